"""Small scenes for the scheduler: a state without memory, virtual processors of some partitions, and rows of work."""

from types import SimpleNamespace

import numpy as np
from model import scheduler as model

from hvlab.hardware import apic, clock
from hvlab.hypervisor import clockwork, scheduler, scheduler_invariants
from hvlab.hypervisor.partition import STATE
from hvlab.hypervisor.workload import MODEL

KINDS = {"classic": scheduler.CLASSIC, "core": scheduler.CORE, "root": scheduler.ROOT_KIND}
NAMES = {0: "absent", 1: "ready", 2: "running", 3: "halted", 4: "capped"}
OFF = np.zeros((0, 10), np.int64)
MEM = np.zeros(8, np.int64)
COSTS = {name: nanoseconds for name, (nanoseconds, *_) in clock.TABLE.items()}


class Scene:
    """The engine's side; `hv` is what the invariants ask for."""

    def __init__(self, partitions, kind="classic", smt=True, lps=4, rows=0, **times):
        self.state = np.zeros(1, STATE)
        clock.set_costs(self.state)
        scheduler.switch_on(self.state)
        m = self.state[0]
        m["hypervisor"]["lps"] = lps
        m["scheduler"]["kind"], m["scheduler"]["smt"] = KINDS[kind], smt
        for name, value in times.items():
            m["scheduler"][name] = value
        for vp, partition in enumerate(partitions):
            m["guest"]["partition"][vp] = partition
            apic.switch_on(self.state, vp, vp, partition)
        self.hv = SimpleNamespace(state=self.state)
        self.trace = np.zeros((rows, 10), np.int64)

    def knobs(self, vp, **values):
        for name, value in values.items():
            self.state["run"][name][0, vp] = value

    def work(self, *rows, until=None):
        """Do rows of work, then let time pass; return the answers."""
        table = np.zeros((len(rows), clockwork.COLUMNS), np.int64)
        for k, row in enumerate(rows):
            table[k, : len(row)] = row
        answer = np.zeros(len(rows), np.int64)
        end = max([int(self.state["now"][0]), *table[:, 0].tolist()]) if until is None else until
        done, s = 0, self.state["scheduler"][0]
        while True:
            done += clockwork.advance(self.state, MEM, self.trace, table[done:], answer[done:], end)
            assert s["stop"] != scheduler.STOP_ROOM, "a scene has more rows than the trace has room for"
            if s["stop"] == 0:
                break
        assert done == len(rows)
        return answer.tolist()

    def start(self, vp, burst, pause=0, handler=0):
        return self.work((0, clockwork.START, vp, burst, pause, handler, MODEL))

    def now(self):
        return int(self.state["now"][0])

    def on(self):
        """Return who runs on each logical processor."""
        lps = int(self.state["hypervisor"]["lps"][0])
        return [int(vp) - 1 for vp in self.state["lane"]["vp"][0, :lps]]

    def books(self, vp):
        """Return where the time of a virtual processor went, to the nanosecond, as if it were booked now."""
        r, now = self.state["run"][0, vp], self.now()
        found = {name: int(r[name]) for name in ("ran", "overhead", "waited", "halted", "capped")}
        state = NAMES[int(r["state"])]
        if state == "running":
            late = max(int(r["since"]) - now, 0)
            found["ran"] += max(now - int(r["since"]), 0)
            found["overhead"] -= late
        elif state != "absent":
            found[{"ready": "waited"}.get(state, state)] += now - int(r["changed"])
        return found

    def breaches(self):
        return scheduler_invariants.check_all(self.hv)


def twin(scene, partitions, kind, smt, lps):
    """Return the slow model of a scene."""
    s = scene.state["scheduler"][0]
    vps = []
    for vp, partition in enumerate(partitions):
        r = scene.state["run"][0, vp]
        affinity = {lp for lp in range(lps) if int(r["affinity"]) >> lp & 1}
        vps.append(model.Vp(vp, partition, affinity, int(r["weight"]), int(r["cap"]), int(r["reserve"])))
    times = {name: int(s[name]) for name in ("slice", "grain", "period")}
    return model.Machine(kind=kind, smt=smt, processors=lps, costs=COSTS, vps=vps, **times)


def seen(scene, vp):
    """Return what is compared of a virtual processor."""
    r, a = scene.state["run"][0, vp], scene.state["apic"][0, vp]
    bits = {
        name: {64 * k + b for k in range(4) for b in range(64) if int(a[name][k]) >> b & 1} for name in ("irr", "isr")
    }
    books = scene.books(vp)
    return {
        "state": NAMES[int(r["state"])],
        "on": int(r["lp"]) if int(r["lp"]) >= 0 else None,
        **books,
        "irr": bits["irr"],
        "isr": bits["isr"],
        "depth": int(r["depth"]),
        "latency": (int(r["wakes"]), int(r["latency"]), int(r["worst"])),
    }


def expected(machine, vp):
    """Return the same of the model."""
    running, now = vp.state == "running", machine.now
    late = max(vp.resumes - now, 0) if running else 0
    return {
        "state": vp.state,
        "on": vp.on,
        "ran": vp.ran() + (max(now - vp.resumes, 0) if running else 0),
        "overhead": vp.overhead - late,
        "waited": vp.spent(now, "ready"),
        "halted": vp.spent(now, "halted"),
        "capped": vp.spent(now, "capped"),
        "irr": vp.requested,
        "isr": vp.in_service,
        "depth": len(vp.tasks) - 1,
        "latency": (len(vp.latencies), sum(vp.latencies), max(vp.latencies, default=0)),
    }
