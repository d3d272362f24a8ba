"""A slow, obvious scheduler and event kernel: lists, sets, sorting; one sentence of the description after the other.

Written from the description of the three schedulers, of weight, cap and reserve, and of the workload; it shares no code
with the engine. Time spent in a period is found from the list of all stretches that a processor ever ran.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ROOT = 1
ENDLESS = -1


@dataclass
class Vp:
    """A virtual processor and its guest."""

    number: int
    partition: int
    affinity: set[int]
    weight: int = 100
    cap: int = 65536
    reserve: int = 0
    state: str = "absent"
    burst: int = 0
    pause: int = 0
    handler: int = 0
    tasks: list[list[int]] = field(default_factory=lambda: [[0, 0]])  # (work left, vector) from the burst upwards
    on: int | None = None
    last: int | None = None
    resumes: int = 0  # when the guest itself goes on, after the hypervisor's work
    stretches: list[tuple[int, int]] = field(default_factory=list)
    states: list[tuple[int, str]] = field(default_factory=list)
    bonus: int = 0  # virtual time that it was given, so as not to save up
    overhead: int = 0
    preempts: bool = False
    woken_at: int | None = None
    entering: bool = False
    latencies: list[int] = field(default_factory=list)
    requested: set[int] = field(default_factory=set)
    in_service: set[int] = field(default_factory=set)

    def ran(self) -> int:
        return sum(end - begin for begin, end in self.stretches)

    def virtual_time(self) -> int:
        return self.ran() * 100 // self.weight + self.bonus

    def ran_since(self, start: int) -> int:
        return sum(max(end - max(begin, start), 0) for begin, end in self.stretches)

    def pending(self) -> int | None:
        best, busy = max(self.requested, default=0), max(self.in_service, default=0)
        return best if best // 16 > busy // 16 else None

    def became(self, now: int, state: str) -> None:
        self.state = state
        self.states.append((now, state))

    def spent(self, now: int, state: str) -> int:
        ends = [when for when, _ in self.states[1:]] + [now]
        return sum(end - when for (when, name), end in zip(self.states, ends, strict=True) if name == state)


@dataclass
class Machine:
    """Logical processors, what is due, and the rules."""

    kind: str
    smt: bool
    processors: int
    slice: int
    grain: int
    period: int
    costs: dict[str, int]
    vps: list[Vp]
    now: int = 0
    floor: int = 0
    counter: int = 0
    due: list[tuple[int, int, str, int]] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)
    look: bool = False
    slice_ends: dict[int, int] = field(default_factory=dict)
    was_there: dict[int, int] = field(default_factory=dict)

    # who is where ---------------------------------------------------------------------------------------------------

    def runner(self, lp: int) -> Vp | None:
        return next((vp for vp in self.vps if vp.on == lp), None)

    def sibling(self, lp: int) -> int | None:
        return lp ^ 1 if self.smt and lp ^ 1 < self.processors else None

    def fits(self, vp: Vp, lp: int) -> bool:
        if lp not in vp.affinity:
            return False
        if self.kind != "core" or self.sibling(lp) is None:
            return True
        beside = self.runner(self.sibling(lp))
        return beside is None or beside.partition == vp.partition

    def period_start(self) -> int:
        return self.now // self.period * self.period

    def below_reserve(self, vp: Vp) -> bool:
        return vp.reserve > 0 and vp.ran_since(self.period_start()) < self.period * vp.reserve // 65536

    def claim(self, vp: Vp) -> tuple[bool, int]:
        """Least goes first: those below their reserve, then by virtual time."""
        return not self.below_reserve(vp), vp.virtual_time()

    def allowance(self, vp: Vp) -> int:
        return self.period * vp.cap // 65536

    def waiting(self) -> list[Vp]:
        return [vp for vp in self.vps if vp.state == "ready" and (self.kind != "root" or vp.partition == ROOT)]

    # the clock ------------------------------------------------------------------------------------------------------

    def pay(self, vp: Vp) -> None:
        """Write down how long a running guest ran."""
        if vp.state == "running" and vp.resumes < self.now:
            gone = self.now - vp.resumes
            vp.stretches.append((vp.resumes, self.now))
            if vp.tasks[-1][0] > 0:
                vp.tasks[-1][0] = max(vp.tasks[-1][0] - gone, 0)
            vp.resumes = self.now

    def delay(self, vp: Vp, cost: int) -> None:
        self.pay(vp)
        vp.resumes += cost
        vp.overhead += cost
        self.touched.add(vp.number)

    def end_of(self, vp: Vp) -> int:
        ends = [self.slice_ends[vp.on]]
        if vp.tasks[-1][0] != ENDLESS:
            ends.append(vp.resumes + vp.tasks[-1][0])
        if vp.cap < 65536:
            ends.append(vp.resumes + max(self.allowance(vp) - vp.ran_since(self.armed_period(vp)), 0))
        return min(ends)

    def armed_period(self, vp: Vp) -> int:
        """The period that the guest is in when it was last looked at."""
        return self.now // self.period * self.period

    def remind(self, time: int, what: str, vp: Vp) -> None:
        self.due = [entry for entry in self.due if entry[2:] != (what, vp.number)]
        self.counter += 1
        self.due.append((time, self.counter, what, vp.number))

    # coming and going -----------------------------------------------------------------------------------------------

    def wants(self, vp: Vp) -> None:
        vp.became(self.now, "ready")
        behind = self.floor - vp.virtual_time()
        vp.bonus += max(behind, 0)
        vp.preempts, self.look = True, True

    def off(self, vp: Vp, state: str) -> None:
        self.pay(vp)
        if vp.resumes > self.now:
            vp.overhead -= vp.resumes - self.now
            vp.resumes = self.now
        vp.on = None
        vp.became(self.now, state)
        self.look = True

    def onto(self, vp: Vp, lp: int, time: int) -> None:
        cost = self.costs["entry" if self.was_there.get(lp) == vp.number else "switch"]
        vp.became(self.now, "running")
        vp.on = vp.last = lp
        vp.resumes, vp.entering, vp.preempts = self.now + cost, True, False
        vp.overhead += cost
        self.floor = max(self.floor, vp.virtual_time())
        if vp.woken_at is not None:
            vp.latencies.append(vp.resumes - vp.woken_at)
            vp.woken_at = None
        self.was_there[lp] = vp.number
        self.slice_ends[lp] = vp.resumes + time
        other = self.sibling(lp)
        if self.kind == "core" and other is not None and self.runner(other) and self.slice_ends[other] > self.now:
            self.slice_ends[lp] = self.slice_ends[other]
        self.touched.add(vp.number)

    # choosing -------------------------------------------------------------------------------------------------------

    def choose(self) -> None:
        self.look = False
        tried: set[int] = set()
        while candidates := [vp for vp in self.waiting() if vp.number not in tried]:
            vp = min(candidates, key=lambda v: (*self.claim(v), v.number))
            tried.add(vp.number)
            lp = self.idle_place(vp)
            if lp is None and vp.preempts:
                lp = self.place_to_take(vp)
                if lp is not None:
                    self.off(self.runner(lp), "ready")
            vp.preempts = False
            if lp is not None:
                self.onto(vp, lp, self.slice)
                tried.clear()
        self.look = False

    def idle_place(self, vp: Vp) -> int | None:
        idle = [lp for lp in range(self.processors) if self.runner(lp) is None and self.fits(vp, lp)]
        if vp.last in idle:
            return vp.last

        def core_is_busy(lp: int) -> bool:
            other = self.sibling(lp)
            return other is not None and self.runner(other) is not None

        return min(idle, key=lambda lp: (core_is_busy(lp), lp), default=None)

    def place_to_take(self, vp: Vp) -> int | None:
        found: list[tuple[int, int]] = []
        claim = self.below_reserve(vp)
        for lp in range(self.processors):
            other = self.runner(lp)
            if other is None or not self.fits(vp, lp) or self.kind == "root" and other.partition != ROOT:
                continue
            self.pay(other)
            theirs = self.below_reserve(other)
            ahead = other.virtual_time() - vp.virtual_time() - self.grain
            if claim and not theirs:
                ahead = 1 << 62
            if theirs and not claim or ahead < 0:
                continue
            found.append((-ahead, lp))
        return min(found)[1] if found else None

    def slice_over(self, lp: int) -> None:
        vp = self.runner(lp)
        other = self.sibling(lp) if self.kind == "core" else None
        mine = {lp} if other is None else {lp, other}
        before = [w for w in self.waiting() if self.claim(w) <= self.claim(vp)]
        same = any(w.affinity & {lp} for w in before if other is None or w.partition == vp.partition)
        foreign = other is not None and any(w.affinity & mine for w in before if w.partition != vp.partition)
        told = self.kind == "root" and vp.partition != ROOT
        if same or foreign or told:
            self.off(vp, "ready")
            if foreign and self.runner(other):
                self.off(self.runner(other), "ready")
            return
        for each in mine:
            self.slice_ends[each] = self.now + self.slice
            if self.runner(each):
                self.touched.add(self.runner(each).number)

    # guests ---------------------------------------------------------------------------------------------------------

    def rest(self, vp: Vp) -> None:
        """The guest has nothing to do."""
        self.touched.add(vp.number)
        if vp.tasks[0][0] == 0 and vp.pending() is None:
            self.off(vp, "halted")

    def finished(self, vp: Vp) -> None:
        if len(vp.tasks) == 1:
            if vp.pause > 0 and not any(entry[2:] == ("pause", vp.number) for entry in self.due):
                self.remind(self.now + vp.pause, "pause", vp)
            self.rest(vp)
            return
        vp.in_service.discard(max(vp.in_service))
        self.delay(vp, self.costs["exit"])
        vp.tasks.pop()
        if len(vp.tasks) == 1:
            self.rest(vp)
        self.touched.add(vp.number)

    def attend(self, vp: Vp) -> None:
        if vp.state == "halted" and vp.pending() is not None:
            vp.woken_at = self.now
            self.wants(vp)
        elif vp.state == "running":
            vector = vp.pending()
            if vector is not None and len(vp.tasks) < 16:
                vp.requested.discard(vector)
                vp.in_service.add(vector)
                self.pay(vp)
                cost = self.costs["inject"] + (0 if vp.entering else self.costs["exit"])
                vp.resumes += cost
                vp.overhead += cost
                if len(vp.tasks) == 1 and vp.tasks[0][0] == 0 and vp.pause == -1:
                    vp.tasks[0][0] = vp.burst
                vp.tasks.append([vp.handler, vector])
            vp.entering = False
            self.ends[vp.number] = self.end_of(vp)

    ends: dict[int, int] = field(default_factory=dict)

    # steps ----------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        while self.touched or self.look:
            for vp in self.vps:
                if vp.number in self.touched:
                    self.touched.discard(vp.number)
                    self.attend(vp)
            if self.look:
                self.choose()

    def next_time(self) -> int | None:
        times = [self.ends[vp.number] for vp in self.vps if vp.on is not None] + [entry[0] for entry in self.due]
        return min(times, default=None)

    def advance(self, until: int) -> None:
        while (time := self.next_time()) is not None and time <= until:
            self.now = max(self.now, time)
            lanes = [
                lp for lp in range(self.processors) if self.runner(lp) and self.ends[self.runner(lp).number] <= time
            ]
            if lanes:
                self.lane_ends(lanes[0])
            else:
                entry = min(self.due)
                self.due.remove(entry)
                self.remembered(entry[2], self.vps[entry[3]])
            self.settle()
        self.now = max(self.now, until)

    def lane_ends(self, lp: int) -> None:
        vp = self.runner(lp)
        self.pay(vp)
        if vp.tasks[-1][0] == 0:
            self.finished(vp)
        elif vp.cap < 65536 and vp.ran_since(self.period_start()) >= self.allowance(vp):
            self.off(vp, "capped")
            self.remind(self.period_start() + self.period, "cap", vp)
        elif self.now >= self.slice_ends[lp]:
            self.slice_over(lp)
        else:
            self.touched.add(vp.number)

    def remembered(self, what: str, vp: Vp) -> None:
        if what == "cap":
            self.wants(vp)
        elif vp.tasks[0][0] == 0 and vp.burst != 0:
            vp.tasks[0][0] = vp.burst
            if vp.state == "halted":
                vp.woken_at = self.now
                self.wants(vp)

    # what is asked for ----------------------------------------------------------------------------------------------

    def start(self, number: int, burst: int, pause: int, handler: int) -> None:
        vp = self.vps[number]
        vp.burst, vp.pause, vp.handler = burst, pause, handler
        vp.tasks = [[burst, 0]]
        vp.became(self.now, "halted")
        self.touched.add(number)
        if burst:
            self.wants(vp)
        self.settle()

    def interrupt(self, number: int, vector: int) -> None:
        vp = self.vps[number]
        if vector not in vp.requested:
            vp.requested.add(vector)
        self.touched.add(number)
        self.settle()

    def device(self, number: int, lp: int, vector: int) -> None:
        vp = self.runner(lp)
        if vp is not None:
            self.delay(vp, self.costs["exit"])
            vp.entering = True
        self.interrupt(number, vector)

    def dispatch(self, number: int, lp: int, time: int) -> bool:
        vp, other = self.vps[number], self.runner(lp)
        ok = self.kind == "root" and vp.state == "ready" and lp in vp.affinity
        ok = ok and (other is None or other.partition == ROOT)
        if ok:
            if other is not None:
                self.off(other, "ready")
            self.onto(vp, lp, time)
        self.settle()
        return ok
