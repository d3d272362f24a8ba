"""Hostile rings and descriptors by the million: what the other side may write, and what must hold whatever it wrote.

An input is an index, a descriptor or a range that a generator made, most of them near a border. After each one the
invariants are looked at: I11 (indices stay in the ring, used + free = size - 8, nothing is accepted that is not sound,
nothing moves when something is refused, copied bytes equal, no word outside is touched), and of I14 the arithmetic.
They are written once more, as one sentence each, and share no line with the code that they watch.
"""

from hvlab.kernel import I, entry_point, kernel
from hvlab.vmbus.engine.ranges import judge_range
from hvlab.vmbus.engine.reader import close_read, read_packet
from hvlab.vmbus.engine.words import HVLAB, LINUX, LOW, OPENVMM, PAGE_WORDS
from hvlab.vmbus.engine.writer import write_packets

SENTINEL = I(0x5EA5_0DD5_5EA5_0DD5)
GUARD = I(8)  # words before and behind all that may be touched
SOUND, READER, WRITER, RANGE = I(0), I(0), I(1), I(2)
KINDS, VERDICTS = 3, 16  # counted
POSITIVE = I((1 << 63) - 1)


@kernel
def luck(seed):
    """Return the next state of a 64-bit generator: xorshift, Marsaglia 2003 (13, 7, 17)."""
    seed ^= seed << 13
    seed ^= seed >> 7 & POSITIVE >> 6
    return seed ^ seed << 17


@kernel
def near(seed, value):
    """Return a 16-bit number: at or around `value`, small, or anything."""
    how, by = seed & 7, seed >> 3 & 0xFFFF
    if how < 4:
        return value + (by & 3) - 1 & 0xFFFF
    return by & 7 if how < 6 else by


@kernel
def some_index(seed, size):
    """Return a 32-bit index: mostly one that may stand in a control page."""
    how, by = seed & 15, seed >> 4 & LOW
    if how < 12:
        return by % size & ~I(7)
    return by % size if how < 13 else size + (by & 15) - 8 if how < 14 else by


@kernel
def may_stand(index, size):
    return index >= 0 and index < size and index % 8 == 0


@kernel
def between(size, write, read):
    """Bytes from one index on to another, around the end."""
    return (write - read + size) % size


@kernel
def acceptable(policy, first, third, available):
    """Whether a packet may be taken at all, as the rules are told in one sentence."""
    kind, offset, length, flags = first & 0xFFFF, first >> 16 & 0xFFFF, first >> 32 & 0xFFFF, first >> 48 & 0xFFFF
    trailer = I(1) if policy == HVLAB else I(0)
    ranges = kind in (7, 9)
    return (
        2 + I(ranges) <= offset <= length
        and (length + trailer) * 8 <= available
        and flags < 2
        and (ranges or kind in (6, 11))
        and (kind != 9 or third >> 32 & LOW != 0)
    )


@kernel
def hostile_read(m, mem, control, trace, places, e, arena, policy, seed):
    """Let the other side write an index and a descriptor, read, and return (verdict, broken invariants)."""
    size, vp, cause = e["size"], I(0), I(-1)
    own, end = (seed >> 20 & LOW) % size & ~I(7), size >> 3
    seed = luck(seed)
    written = some_index(seed, size)
    seed = luck(seed)
    kind = I(6) + (seed & 7) if seed & 8 != 0 else near(seed >> 4, I(9))
    seed = luck(seed)
    available = between(size, written, own)
    length = near(seed, available >> 3 if seed >> 40 & 1 != 0 else (seed >> 41 & 63))
    offset = near(seed >> 20, length if seed >> 47 & 7 == 0 else I(2))
    flags = seed >> 50 & 1 if seed >> 51 & 3 != 0 else near(seed >> 53, I(1))
    first = kind | offset << 16 | length << 32 | flags << 48
    third = seed if seed >> 60 & 3 != 0 else seed & LOW
    base, place = places[1], own >> 3
    control[0] = own << 32 | written
    mem[base + place], mem[base + (place + 1) % end], mem[base + (place + 2) % end] = first, seed, third
    e["policy"], e["index"], e["committed"] = policy, own, own
    for k in range(GUARD):
        arena[end + k] = SENTINEL
    verdict = read_packet(m, mem, control, trace, vp, cause, places, e, arena)
    bad, known = I(0), may_stand(written, size)
    if verdict != SOUND:
        wrong = policy != LINUX and known and written != own and available >= 16
        bad += I(wrong and acceptable(policy, first, third, available))
        bad += I(e["index"] != own) + I(control[0] != own << 32 | written)
    else:
        taken, now = e["length"], e["index"]
        bad += I(policy != LINUX and not (known and acceptable(policy, first, third, available)))
        bad += I(not may_stand(now, size)) + I(now != (own + taken + 8) % size) + I(taken < 16 or taken > size)
        bad += I(policy == HVLAB and between(size, written, now) != available - taken - 8)
        bad += I(policy == LINUX and (arena[0] >> 32 & 0xFFFF) * 8 != taken)
        bad += I(arena[0] & 0xFFFF != kind) + I(arena[1] != seed)
        bad += I(taken > 16 and arena[(taken >> 3) - 1] != mem[base + (place + (taken >> 3) - 1) % end])
        signal = close_read(m, control, trace, vp, cause, places, e)
        bad += I(control[0] != now << 32 | written) + I(signal != 0)  # nobody waits
    for k in range(GUARD):
        bad += I(arena[end + k] != SENTINEL)
    return verdict, bad


@kernel
def hostile_write(m, mem, control, trace, places, e, arena, seed):
    """Let the other side write a read index and a mask, write a packet, and return (verdict, broken invariants)."""
    size, own = e["size"], (seed >> 20 & LOW) % e["size"] & ~I(7)
    seed = luck(seed)
    read, mask = own if seed >> 50 & 7 == 0 else some_index(seed, size), seed >> 60 & 1
    used = between(size, own, read)
    seed = luck(seed)
    words = I(2) + (seed & 31) if seed & 96 != 0 else near(seed >> 8, (size - used >> 3) - 1)
    words = min(max(words, I(2)), (size >> 3) - 2)
    arena[0], arena[1], arena[words - 1] = I(6) | I(2) << 16 | words << 32, seed, seed
    control[0], control[1] = read << 32 | own, mask
    e["policy"], e["index"], e["committed"] = I(HVLAB), own, own
    done = write_packets(m, mem, control, trace, I(0), I(-1), places, e, arena, I(1))
    now, sound = e["index"], may_stand(read, size)
    needed, bad = (words + 1) * 8, I(0)
    bad += I((done == 1) != (sound and used + needed <= size - 8))
    if done == 0:
        bad += I(now != own) + I(control[0] != read << 32 | own) + I(e["signal"] != 0)
    else:
        base, end, last = places[1], size >> 3, (own >> 3) + words
        bad += I(now != (own + needed) % size) + I(between(size, now, read) != used + needed)
        bad += I(control[0] != read << 32 | now) + I(mem[base + last % end] != own << 32)
        bad += I(words > 2 and mem[base + (last - 1) % end] != seed)
        bad += I((e["signal"] != 0) != (mask == 0 and read == own))
    control[1] = 0
    return I(0) if done == 1 else I(1) if sound else I(2), bad


@kernel
def hostile_range(arena, seed):
    """Let the other side write the header of a range, judge it, and return (verdict, broken invariants)."""
    there = seed >> 50 & 31
    seed = luck(seed)
    length = near(seed, I(0)) << (seed >> 30 & 31) & LOW if seed & 1 != 0 else (there << 12) + near(seed >> 8, I(0))
    seed = luck(seed)
    offset = near(seed, I(4095)) if seed >> 40 & 3 != 0 else seed >> 3 & LOW
    if seed >> 42 & 15 == 0:
        length = LOW - (seed >> 46 & 0x1FFF)
    arena[0] = offset << 32 | length
    verdict, pages = judge_range(arena, I(0), there)
    last = offset + length  # the byte behind the last one, counted from the first page on
    fits = there > 0 and length > 0 and offset < 4096 and last + 4095 <= LOW
    fits = fits and (last + 4095) // 4096 + 1 <= there
    bad = I((verdict == SOUND) != fits)
    if verdict == SOUND:
        bad += I(not (pages * 4096 >= last > (pages - 1) * 4096)) + I(pages < 1) + I(pages + 1 > there)
    return verdict, bad


@entry_point
def storm(state, mem, trace, places, end, arena, seen, seed, count):
    """Meet `count` hostile inputs; return how many broke an invariant.

    `seen` counts by kind and verdict; its last row says which input was the first to break one (with its seed), and
    holds the generator's next state, so that slices of a storm are the storm.
    """
    m, e, broken, control = state[0], end[0], I(0), mem[places[0] : places[0] + PAGE_WORDS]
    if trace.shape[0] != 0 or control.shape[0] < PAGE_WORDS:
        return I(-1)  # a storm is silent, and the compiler leaves out what would be told
    for k in range(count):
        seed = luck(seed)
        what = seed & 7
        if what < 6:
            policy = I(HVLAB) if what < 4 else I(OPENVMM) if what < 5 else I(LINUX)
            kind = READER
            verdict, bad = hostile_read(m, mem, control, trace, places, e, arena, policy, seed)
        elif what < 7:
            kind = WRITER
            verdict, bad = hostile_write(m, mem, control, trace, places, e, arena, seed)
        else:
            kind = RANGE
            verdict, bad = hostile_range(arena, seed)
        seen[kind, verdict & 15] += 1
        if bad != 0:
            if broken == 0:
                seen[KINDS, 0], seen[KINDS, 1] = k, seed
            broken += 1
    for k in range(GUARD):
        broken += I(mem[k] != SENTINEL) + I(mem[mem.shape[0] - 1 - k] != SENTINEL)
    seen[KINDS, 2] = seed
    return broken
