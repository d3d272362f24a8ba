"""What must always hold of logical and virtual processors: one function for each; each returns a sentence for a breach.

They compare records that the scheduler keeps apart (who is on a logical processor, where a virtual one is, what time
was booked on what) and never ask its own functions.
"""

from typing import Any

from hvlab.hypervisor import scheduler
from hvlab.hypervisor.partition import ROOT

READY, RUNNING, ABSENT = int(scheduler.READY), int(scheduler.RUNNING), int(scheduler.ABSENT)
BOOKS = ("ran", "overhead", "waited", "halted", "capped")


def _state(machine: Any) -> Any:
    return getattr(machine, "hv", machine).state[0]


def _on(m: Any) -> list[int]:
    """Return who is on each logical processor, -1 for nobody."""
    return [int(lane["vp"]) - 1 for lane in m["lane"][: int(m["hypervisor"]["lps"])]]


def check_siblings(machine: Any) -> list[str]:
    """I19: with the core scheduler, two SMT siblings never run virtual processors of different partitions."""
    m = _state(machine)
    if m["scheduler"]["kind"] != scheduler.CORE or not m["scheduler"]["smt"]:
        return []
    here, found = _on(m), []
    for lp in range(0, len(here) - 1, 2):
        pair = [vp for vp in here[lp : lp + 2] if vp >= 0]
        partitions = {int(m["guest"]["partition"][vp]) for vp in pair}
        if len(partitions) > 1:
            found.append(f"I19: processors {lp} and {lp + 1} run VPs {pair} of partition slots {sorted(partitions)}")
    return found


def check_places(machine: Any) -> list[str]:
    """Each virtual processor that runs is on one logical processor, which its affinity allows; no other is on any."""
    m, found = _state(machine), []
    here = _on(m)
    for vp, r in enumerate(m["run"]):
        places = [lp for lp, who in enumerate(here) if who == vp]
        if (int(r["state"]) == RUNNING) != (len(places) == 1) or len(places) > 1:
            found.append(f"VP {vp} is in state {int(r['state'])} and on processors {places}")
        found += [f"VP {vp} may not be on processor {lp}" for lp in places if not int(r["affinity"]) >> lp & 1]
        found += [f"VP {vp} believes to be on processor {int(r['lp'])}" for lp in places if int(r["lp"]) != lp]
        if places and not m["guest"]["partition"][vp]:
            found.append(f"VP {vp}, which does not exist, runs")
    return found


def check_work_conserved(machine: Any) -> list[str]:
    """No logical processor idles while one waits that may run there (at rest, between two steps)."""
    m, found = _state(machine), []
    here, s = _on(m), m["scheduler"]
    for vp, r in enumerate(m["run"]):
        partition = int(m["guest"]["partition"][vp])
        if int(r["state"]) != READY or s["kind"] == scheduler.ROOT_KIND and partition != ROOT:
            continue
        for lp, who in enumerate(here):
            beside = here[lp ^ 1] if lp ^ 1 < len(here) else -1
            strange = s["kind"] == scheduler.CORE and s["smt"] and beside >= 0
            strange = strange and int(m["guest"]["partition"][beside]) != partition
            if who < 0 and int(r["affinity"]) >> lp & 1 and not strange:
                found.append(f"VP {vp} waits while processor {lp} idles")
    return found


def check_books(machine: Any) -> list[str]:
    """Every nanosecond of a virtual processor is booked once: as run, hypervisor's work, waited, halted or capped."""
    m, found = _state(machine), []
    now = int(m["now"])
    for vp, r in enumerate(m["run"]):
        if int(r["state"]) == ABSENT:
            continue
        open_ = int(r["changed"]) if int(r["state"]) != RUNNING else int(r["since"])
        booked = sum(int(r[name]) for name in BOOKS) + now - open_
        if booked != now - int(r["joined"]):
            found.append(f"VP {vp}: {booked} ns are booked of {now - int(r['joined'])}")
    return found


def check_caps(machine: Any) -> list[str]:
    """No virtual processor has had more of a period than its cap allows."""
    m, found = _state(machine), []
    for vp, r in enumerate(m["run"]):
        most = int(m["scheduler"]["period"]) * int(r["cap"]) >> 16
        if int(r["state"]) != ABSENT and int(r["cap"]) < scheduler.WHOLE and int(r["used"]) > most:
            found.append(f"VP {vp} had {int(r['used'])} ns of a period in which {most} are allowed")
    return found


CHECKS = (check_siblings, check_places, check_work_conserved, check_books, check_caps)


def check_all(machine: Any) -> list[str]:
    """Return every breach."""
    return [sentence for check in CHECKS for sentence in check(machine)]
