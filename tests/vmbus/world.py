"""A machine with a guest and a host at two ends of a VMBus, and what a test asks of them."""

from collections import Counter

from invariants import hold as hold_machine

from hvlab.lab.bus import Bus
from hvlab.vmbus.channel import Knobs
from hvlab.vmbus.invariants import check_answers, check_bus, check_states
from hvlab.wire import vmbus

REFUSALS = {
    1: "before contact", 2: "unknown message", 3: "too short", 4: "unknown channel", 5: "not in this state",
    6: "not in this version", 7: "unknown GPADL", 8: "GPADL of another channel", 9: "GPADL in use",
    10: "handle in use", 11: "too many", 12: "no such VP", 13: "offset outside the pages", 14: "wrong sender",
    15: "rescinded",
}  # fmt: skip


MADE = {}


def World(other=0, **how):  # noqa: N802
    """Return a `Tested` bus in its first state; worlds made alike are one object, but for `other`."""
    key = repr((other, sorted(how.items())))
    if key not in MADE:
        if len(MADE) > 24:
            MADE.clear()
        MADE[key] = Tested(**({"pages": 256} | how))
    return MADE[key].begin()


class Tested(Bus):
    """A `Bus` that is asked to hold after every line, and whose guest may say anything."""

    def __init__(self, **how):
        super().__init__(**how)
        self.host_knobs = self.host.knobs
        self.first = self.machine.snapshot(), self.before

    def begin(self):
        """Go back to the beginning."""
        self.parties = [self._root, self.kernel.service]
        self.guest.cpu, self.guest.knobs, self.host.knobs = 0, Knobs(self.rule), self.host_knobs
        self.machine.restore(self.first[0])
        self.before = self.trace = self.first[1]
        return self

    def begun(self, *opened, version=None):
        """Connect, ask for offers, open these channels."""
        self.connect()
        self.offers()
        for name in opened:
            assert self.open(name).value
        return self

    def _run(self, *given, **named):
        run = super()._run(*given, **named)
        self.trace = run.trace
        self.hold()
        return run

    def hold(self):
        """Fail if any invariant of the bus is broken."""
        found = self.breaches(self.trace)
        assert found == [], "\n".join(found)

    def breaches(self, trace, honest=True):
        """Return what is broken after a trace; a host that lies (`honest` False) answers as it likes."""
        found = check_bus(self.machine) + check_states(trace)
        negotiated = {"version_accepted", "version_refused"} & set(trace.kinds())
        version = 0 if negotiated else self.host.state.version
        return found + (check_answers(trace, self.machine.root_vp.number, version) if honest else [])

    def hold_all(self):
        """Fail if any invariant of the machine is broken."""
        self.hold()
        hold_machine(self.machine)

    def say(self, kind, tail=b"", connection=None, rest=True, **fields):
        """Let the guest post a message that its driver would not."""
        return self.post(vmbus.pack(kind, tail, **fields), connection, rest)

    def post(self, data, connection=None, rest=True):
        """Let the guest post bytes."""
        to = self.guest.state.post_to or 1 if connection is None else connection
        with self.machine.action():
            status = self.kernel.boxes[0].post(to, data)
            if rest:
                self.rest()
        self._run()
        return status

    def tell(self, kind, **fields):
        """Let the host post a message that its driver would not."""
        with self.machine.action():
            box, ground = self.machine.vmbus.box, self.host.ground
            box.post(ground.target(0, vmbus.SINT), vmbus.pack(kind, **fields))
            self.rest()
        self.trace = self.machine.trace
        self.before = self.before + self.trace
        found = self.breaches(self.trace, honest=False)
        assert found == [], "\n".join(found)

    # what the last line did ------------------------------------------------------------------------------------------

    def events(self, name):
        """Return the words of each event of a name."""
        return [self.trace.facts(k) for k, kind in enumerate(self.trace.kinds()) if kind == name]

    def messages(self, *actors):
        """Return (who, number) of each message that was sent."""
        root = self.machine.root_vp.number
        return [
            ("host" if int(self.trace.rows[k, 2]) == root else "guest", self.trace.fact(k, "number"))
            for k, kind in enumerate(self.trace.kinds())
            if kind == "channel_message_sent"
        ]

    def answers(self):
        """Return the numbers of the host's messages."""
        return [number for who, number in self.messages() if who == "host"]

    def refusals(self, host=True):
        """Return why the host, or the guest, refused messages."""
        root = self.machine.root_vp.number
        return [
            REFUSALS[self.trace.fact(k, "why")]
            for k, kind in enumerate(self.trace.kinds())
            if kind == "channel_message_refused" and (int(self.trace.rows[k, 2]) == root) == host
        ]

    def counts(self):
        """Return how many ports and connections there are."""
        state = self.machine.state
        return Counter(
            port=int((state["port"]["owner"][0] != 0).sum()),
            connection=int((state["connection"]["owner"][0] != 0).sum()),
        )
