"""Which virtual processor goes next, and where: the choice of the three schedulers.

A wait ends where a logical processor idles that affinity and, on a core, its other thread allow; one that just woke may
also go before one that runs. Source: Microsoft, Managing Hyper-V hypervisor scheduler types.
"""

from hvlab.hypervisor.agenda import CAP_END, FOREVER, put
from hvlab.hypervisor.scheduler import (
    CAP_REACHED,
    CAPPED,
    CORE,
    ONE,
    OVERTAKEN,
    READY,
    ROOT,
    ROOT_KIND,
    SLICE_OVER,
    WHOLE,
    ZERO,
    account,
    enter,
    leave,
    lowest,
    lps,
    owed,
    used,
)
from hvlab.kernel import I, kernel, routine
from hvlab.trace import scheduler_events as events


@kernel
def partition_on(m, lp):
    """Return the partition that runs on a logical processor; 0 for none."""
    vp = m["lane"][lp]["vp"]
    return m["guest"][vp - 1]["partition"] if vp != 0 else ZERO


@kernel
def beside(m, lp):
    """Return the partition that the other thread of the core runs, if that matters; 0 for none."""
    s = m["scheduler"]
    if s["kind"] != CORE or s["smt"] == 0 or lp ^ 1 >= lps(m):
        return ZERO
    return partition_on(m, lp ^ 1)


@kernel
def allowed(m, vp, lp):
    """Whether affinity and the core scheduler let a virtual processor onto a logical one (I19)."""
    sibling = beside(m, lp)
    return m["run"][vp]["affinity"] >> lp & 1 != 0 and (sibling == 0 or sibling == m["guest"][vp]["partition"])


@kernel
def waits(m, vp):
    """Whether the hypervisor may pick a virtual processor."""
    if m["run"][vp]["state"] != READY:
        return False
    return m["scheduler"]["kind"] != ROOT_KIND or m["guest"][vp]["partition"] == ROOT


@kernel
def next_of(m, candidates):
    """Return who goes next of some that wait: below its reserve, least virtual time, lowest number; -1 for none."""
    found, best, first = I(-1), FOREVER, False
    while candidates != 0:
        vp = lowest(candidates)
        candidates &= candidates - 1
        r = m["run"][vp]
        claim = owed(m, r)
        if claim and not first or claim == first and r["vtime"] < best:
            found, best, first = vp, r["vtime"], claim
    return found


@kernel
def candidates_of(m):
    """Return who might be placed, as bits: whoever waits where a processor idles, else those that woke."""
    s, found, idle = m["scheduler"], ZERO, False
    for k in range(lps(m)):
        idle = idle or m["lane"][k]["vp"] == 0
    bits = s["ready"]
    while bits != 0:
        vp = lowest(bits)
        bits &= bits - 1
        if (idle or m["run"][vp]["woken"] != 0) and (s["kind"] != ROOT_KIND or m["guest"][vp]["partition"] == ROOT):
            found |= ONE << vp
    return found


@kernel
def room_for(m, vp):
    """Return an idle logical processor: the one it ran on last, else one of an idle core, else any; -1: none."""
    last, found, whole = m["run"][vp]["last"], I(-1), False
    for k in range(lps(m)):
        lp = I(k)
        if m["lane"][lp]["vp"] == 0 and allowed(m, vp, lp):
            if lp == last:
                return lp
            alone = m["scheduler"]["smt"] == 0 or lp ^ 1 >= lps(m) or m["lane"][lp ^ 1]["vp"] == 0
            if found < 0 or alone and not whole:
                found, whole = lp, alone
    return found


@kernel
def victim_of(m, vp):
    """Return the logical processor whose runner is furthest ahead of one that woke, beyond the grain; -1: none."""
    r, found, most = m["run"][vp], I(-1), I(-1)
    claim = owed(m, r)
    for k in range(lps(m)):
        lp = I(k)
        who = m["lane"][lp]["vp"] - 1
        if (
            who >= 0
            and allowed(m, vp, lp)
            and (m["scheduler"]["kind"] != ROOT_KIND or m["guest"][who]["partition"] == ROOT)
        ):
            u = m["run"][who]
            account(m, u)
            other = owed(m, u)
            ahead = u["vtime"] - r["vtime"] - m["scheduler"]["grain"]
            if claim and not other:
                ahead = FOREVER >> 1
            elif other and not claim:
                ahead = I(-1)
            if ahead > most:
                found, most = lp, ahead
    return found


@kernel
def place(m, trace):
    """Put those that wait where there is room; one that just woke may go before one that runs."""
    s, bits = m["scheduler"], candidates_of(m)
    s["free"] = 0
    while bits != 0:
        vp = next_of(m, bits)
        bits &= ~(ONE << vp)
        r = m["run"][vp]
        lp = room_for(m, vp)
        if lp < 0 and r["woken"] != 0:
            lp = victim_of(m, vp)
            if lp >= 0:
                leave(m, trace, m["lane"][lp]["vp"] - 1, OVERTAKEN, READY)
        r["woken"] = 0
        if lp >= 0:
            enter(m, trace, vp, lp, s["slice"])
            bits = candidates_of(m)  # a core may have changed its partition: those passed over may fit now
    s["free"] = 0


@routine
def rivals(m, lp):
    """Return who would use a logical processor before the one there: (of its partition, of another one)."""
    own, other, s = False, False, m["scheduler"]
    who = m["lane"][lp]["vp"] - 1
    here, runner, claim = m["guest"][who]["partition"], m["run"][who], owed(m, m["run"][who])
    core = s["kind"] == CORE and s["smt"] != 0
    bits = s["ready"]
    while bits != 0:
        vp = lowest(bits)
        bits &= bits - 1
        if waits(m, vp):
            r = m["run"][vp]
            first = owed(m, r)
            if first and not claim or first == claim and r["vtime"] <= runner["vtime"]:
                if m["guest"][vp]["partition"] == here or not core:
                    own = own or r["affinity"] >> lp & 1 != 0
                else:
                    other = other or r["affinity"] >> (lp & ~ONE) & 3 != 0
    return own, other


@routine
def slice_over(m, trace, lp):
    """A time slice is over: others go next, or it is renewed. A core is given up by both of its threads at once."""
    s, vp = m["scheduler"], m["lane"][lp]["vp"] - 1
    told = s["kind"] == ROOT_KIND and m["guest"][vp]["partition"] != ROOT
    own, other = rivals(m, lp)
    if own or other or told:
        leave(m, trace, vp, SLICE_OVER, READY)
        if other and lp ^ 1 < lps(m) and m["lane"][lp ^ 1]["vp"] != 0:
            leave(m, trace, m["lane"][lp ^ 1]["vp"] - 1, SLICE_OVER, READY)
    else:
        m["lane"][lp]["slice_end"] = m["now"] + s["slice"]
        s["attention"] |= ONE << vp
        if s["kind"] == CORE and s["smt"] != 0:
            m["lane"][lp ^ 1]["slice_end"] = m["now"] + s["slice"]
            if m["lane"][lp ^ 1]["vp"] != 0:
                s["attention"] |= ONE << m["lane"][lp ^ 1]["vp"] - 1


@kernel
def at_cap(m, r):
    """Whether a virtual processor has had all that its cap allows in this period."""
    return r["cap"] < WHOLE and used(m, r) >= m["scheduler"]["period"] * r["cap"] >> 16


@kernel
def hold(m, trace, vp):
    """Let a virtual processor that reached its cap wait for the next period."""
    leave(m, trace, vp, CAP_REACHED, CAPPED)
    r = m["run"][vp]
    put(m, r["period_end"], CAP_END, vp, ZERO, ZERO, r["cause"])


@kernel
def dispatch(m, trace, vp, cause, lp, time):
    """Root scheduler: run a virtual processor as the root asks; False if that cannot be."""
    if lp < 0 or lp >= lps(m) or vp < 0 or vp >= m["run"].shape[0] or time <= 0:
        return False
    r, who = m["run"][vp], m["lane"][lp]["vp"] - 1
    if m["scheduler"]["kind"] != ROOT_KIND or r["state"] != READY or r["affinity"] >> lp & 1 == 0:
        return False
    if who >= 0:
        if m["guest"][who]["partition"] != ROOT:
            return False
        leave(m, trace, who, OVERTAKEN, READY)
    r["cause"] = events.vp_dispatched(m, trace, vp, cause, lp, time)
    enter(m, trace, vp, lp, time)
    return True
