"""What a trace of KVM's Hyper-V events tells, in sentences: registers, timers, interrupts, hypercalls.

Source of the order of events: Linux arch/x86/kvm/hyperv.c; there a SINT is raised right before the timer event whose
message it announces.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from hvlab.capture.kvmlog import MSRS, SENT, STATUS, KvmEvent, KvmLog, call_name
from hvlab.errors import plain
from hvlab.language import _, ngettext
from hvlab.wire.synic import Sint
from hvlab.wire.tlfs import Msr

MOST_NAMED: Final = 8


def tale(log: KvmLog) -> list[str]:
    """Return what happened, a sentence or two for each part of the interface."""
    return [" ".join(part) for part in map(list, (_set_up(log), _timers(log), _sources(log), _calls(log))) if part]


def raised_by_timers(log: KvmLog) -> set[int]:
    """Return the lines of the SINTs that announce a timer's message: that task's next event is the timer's."""
    found: set[int] = set()
    last: dict[str, KvmEvent] = {}
    for event in log.events:
        before = last.get(event.task)
        delivered = event.kind == "stimer_expiration" and not event.words.get(SENT, 0) and not event.words.get("direct")
        if delivered and before is not None and before.kind == "synic_set_irq" and before.vcpu == event.vcpu:
            found.add(before.line)
        last[event.task] = event
    return found


def times(number: int) -> str:
    """`once`, `2 times`."""
    return ngettext("once", "{count} times", number).format(count=f"{number:,}")


def listed(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`; what is more than eight is counted."""
    if len(parts) > MOST_NAMED:
        parts = [*parts[: MOST_NAMED - 1], _("{count} more").format(count=len(parts) - MOST_NAMED + 1)]
    if len(parts) < 2:
        return "".join(parts)
    return _("{some} and {last}").format(some=", ".join(parts[:-1]), last=parts[-1])


def _set_up(log: KvmLog) -> Iterator[str]:
    """Who wrote which registers, and what the guest made of its sources."""
    if own := sum(not event.by_guest for event in log.events):
        yield _("The emulator itself set registers {times}.").format(times=times(own))
    wrote: dict[int, dict[str, int]] = {}
    for event in log.events:
        if event.kind == "synic_set_msr" and event.by_guest and event.words.get("msr") != Msr.EOM:
            name = MSRS.get(event.words.get("msr", 0), f"{event.words.get('msr', 0):#x}")
            wrote.setdefault(event.vcpu, {})[name] = event.words.get("data", 0)
    alike: dict[tuple[str, ...], list[str]] = {}
    for vp, registers in sorted(wrote.items()):
        alike.setdefault(tuple(registers), []).append(f"VP {vp}")
    for names, vps in alike.items():
        yield _("The guest wrote {names} on {vps}.").format(names=listed(list(names)), vps=listed(vps))
    values = sorted({(name, value) for of in wrote.values() for name, value in of.items() if name.startswith("SINT")})
    for name, value in values[:MOST_NAMED]:
        yield _source_set(name, value)


def _source_set(name: str, value: int) -> str:
    word = Sint.decode(value)
    told = [_("vector {vector:#x}").format(vector=word.vector), _("masked") if word.masked else _("not masked")]
    told += [_("auto-EOI")] if word.auto_eoi else []
    return f"{name} = {value:#x}: {', '.join(told)}."


def _timers(log: KvmLog) -> Iterator[str]:
    """How often timers were set, were due, and found their slot full."""
    numbers = sorted({event.words["timer"] for event in log.events if "timer" in event.words})
    for number in numbers:
        mine = [event for event in log.events if event.words.get("timer") == number]
        put = sum(event.kind == "stimer_set_count" and event.by_guest for event in mine)
        due = Counter(event.words.get(SENT, 0) for event in mine if event.kind == "stimer_expiration")
        if not put and not due:
            continue
        busy = sum(due.values()) - due[0]
        told = _("Timer {timer} was set {put} by the guest and expired {due}.")
        if busy:
            told = _(
                "Timer {timer} was set {put} by the guest and expired {due}; {busy} its slot was full, and it had to "
                "try again."
            )
        yield told.format(timer=number, put=times(put), due=times(due[0]), busy=times(busy))


def _sources(log: KvmLog) -> Iterator[str]:
    """How often each SINT was raised, for whom, and how often the guest asked for the next message."""
    of_timers = raised_by_timers(log)
    raised = [event for event in log.events if event.kind == "synic_set_irq"]
    for sint in sorted({event.words.get("sint", -1) for event in raised}):
        mine = [event for event in raised if event.words.get("sint", -1) == sint]
        vectors = sorted({event.words.get("vector", 0) for event in mine})
        clock = sum(event.line in of_timers for event in mine)
        told = _(
            "SINT {sint} was raised {times} with {vectors}: {clock} for a timer's message, {others} for something else."
        )
        yield told.format(
            sint=sint,
            times=times(len(mine)),
            vectors=listed([_("vector {vector:#x}").format(vector=one) for one in vectors]),
            clock=f"{clock:,}",
            others=f"{len(mine) - clock:,}",
        )
    asked = sum(event.by_guest and event.words.get("msr") == Msr.EOM for event in log.events)
    if asked:
        yield _("The guest wrote EOM {times}.").format(times=times(asked))


def _calls(log: KvmLog) -> Iterator[str]:
    """Which hypercalls, and which of them were refused."""
    made = Counter(call_name(event.words.get("code", 0)) for event in log.events if event.kind == "hypercall")
    if not made:
        return
    parts = [f"{plain(name)} {count:,}" for name, count in made.most_common()]
    total = sum(made.values())
    text = ngettext("The guest made {count} hypercall: {calls}.", "The guest made {count} hypercalls: {calls}.", total)
    yield text.format(count=f"{total:,}", calls=listed(parts))
    answers = (event.words.get("result", 0) & 0xFFFF for event in log.events if event.kind == "hypercall_done")
    refused = Counter(answer for answer in answers if answer)
    for status, count in refused.most_common(MOST_NAMED):
        name = STATUS.get(status, f"{status:#x}")
        yield _("{status} was answered {times}.").format(status=name, times=times(count))
