"""A hundred million hostile rings, descriptors and ranges: no invariant breaks, and each check is needed for that."""

import inspect
import re

import numpy as np
import pytest

from hvlab.kernel import PLAIN, plain
from hvlab.vmbus import storm
from hvlab.vmbus.engine import hostile, ranges, reader, words, writer

READER, WRITER, RANGE = range(3)
INPUTS = 100_000_000
FEW = 6_000


@pytest.mark.compiled
def test_a_hundred_million_hostile_inputs_break_no_invariant():
    met = storm.meet(INPUTS, seed=1)

    assert (met.inputs, met.broken, met.first) == (INPUTS, 0, (0, 0))
    assert met.seen.sum() == INPUTS
    assert (met.seen[READER, :10] > 10_000).all(), "each verdict of a reader was met"
    assert (met.seen[WRITER, :3] > 1_000_000).all(), "written, no room, an index that is none"
    assert (met.seen[RANGE, [0, 1, 2, 3, 4, 7]] > 10_000).all(), "each verdict on a range was met"


@pytest.mark.compiled
def test_the_storm_is_the_same_compiled_and_plain():
    compiled, slow = storm.meet(FEW, seed=3, threads=1), storm.meet(FEW, seed=3, threads=1, run=plain(hostile.storm))

    assert np.array_equal(compiled.seen, slow.seen)
    assert compiled.broken == slow.broken == 0


def test_the_same_seed_brings_the_same_storm_in_slices_of_any_size(monkeypatch):
    whole = storm.meet(FEW, seed=5, threads=1, run=plain(hostile.storm))
    monkeypatch.setattr(storm, "SLICE", 999)

    assert np.array_equal(storm.meet(FEW, seed=5, threads=1, run=plain(hostile.storm)).seen, whole.seen)
    assert not np.array_equal(storm.meet(FEW, seed=6, threads=1, run=plain(hostile.storm)).seen, whole.seen)


MISTAKES = {
    "a reader believes the write index": (reader.read_packet, " or strict and not inside(e, written)", ""),
    "an index need not be a multiple of 8": (words.inside, " and index & 7 == 0", ""),
    "an index may be the size": (words.inside, "index < e", "index <= e"),
    "the data may begin before the descriptor's end": (reader.judge_head, " or offset8 < DESCRIPTOR", ""),
    "the data may begin behind their end": (reader.judge_head, "length8 < offset8 or ", ""),
    "a packet may be longer than what is there": (
        reader.judge_head,
        "    if available < length8 * UNIT:\n        return TOO_LONG\n    if e",
        "    if False and e",
    ),
    "the trailer may lie outside": (reader.judge_head, '    if e["policy"] == HVLAB and', "    if False and"),
    "any flag will do": (reader.judge_head, "    if flags & ~1 != 0:\n", "    if False:\n"),
    "any type will do": (reader.judge_head, "        return BAD_TYPE", "        return SOUND"),
    "ranges need no header": (reader.judge_head, "SOUND if offset8 >= WITH_RANGES else BAD_LENGTHS", "SOUND"),
    "ranges need not be there": (reader.read_packet, "    if strict and kind == GPA_DIRECT and", "    if False and"),
    "the trailer is not skipped": (reader.read_packet, "words * UNIT + BEHIND", "words * UNIT"),
    "the reader moves on when it refuses": (reader.reject, " = verdict, 0", ' = verdict, 0; e["index"] = 8 * verdict'),
    "the descriptor is read again": (reader.read_packet, "    arena[0] = first", "    arena[0] = arena[0] + 1"),
    "an index runs out of the ring": (words.further, 'if index >= e["size"]:', "return index\n    if False:"),
    "copies do not come back at the end": (words.take_words, "< end else I(0)", "< end else I(1)"),
    "a writer believes the read index": (writer.write_packets, ' or e["policy"] != LINUX and', " or False and"),
    "a writer fills the ring": (writer.put_packet, "available <= needed", "available < needed"),
    "the trailer names another place": (writer.put_packet, "at << 32", "read << 32"),
    "a masked reader is woken": (writer.ring_bell, "MASKED if mask != 0 else ", ""),
    "a reader that is awake is woken": (writer.ring_bell, "WAS_EMPTY if read == old else AWAKE", "WAS_EMPTY"),
    "a range may be empty": (ranges.judge_range, "    if length == 0:\n", "    if False:\n"),
    "an offset may be outside the page": (ranges.judge_range, "    if offset > IN_PAGE:\n", "    if False:\n"),
    "page numbers may be missing": (ranges.judge_range, "    if end - start - 1 < pages:\n", "    if False:\n"),
    "the last page is forgotten": (ranges.judge_range, "length + IN_PAGE + offset", "length + offset"),
}  # fmt: skip
HOMES = (words, writer, reader, ranges, hostile)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_without_one_check_the_storm_breaks_an_invariant(mistake, monkeypatch):
    function, old, new = MISTAKES[mistake]
    source = inspect.getsource(function)
    assert source.count(old) == 1, "the check stands where this test looks for it"
    wrong = re.sub(r"^@\w+\n", "", source).replace(old, new)
    home = next(module for module in HOMES if module.__name__ == function.__module__)
    space = dict(vars(home))
    exec(wrong, space)  # the same module, but for this one function
    for module in HOMES:
        if hasattr(module, function.__name__):
            monkeypatch.setattr(module, function.__name__, space[function.__name__])

    try:
        met = storm.meet(FEW, seed=7, threads=1, run=plain(hostile.storm))
    except (IndexError, ValueError):
        return  # a word outside the arrays was about to be touched
    assert met.broken > 0


def test_what_the_other_mistakes_are_compared_with_breaks_nothing():
    assert storm.meet(FEW, seed=7, threads=1, run=plain(hostile.storm)).broken == 0
    assert PLAIN or hostile.storm.py_func is plain(hostile.storm)
