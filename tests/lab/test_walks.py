"""One page through tables of any shape: the counts that the lesson teaches."""

import pytest

from hvlab.errors import BadRequest
from hvlab.hardware.tlb import Geometry
from hvlab.lab.walks import GVA, one_walk, shift_of

READS = ("second_level_entry_read", "table_entry_read")


def reads(walked):
    return len(list(walked.trace.of(*READS)))


@pytest.mark.parametrize(
    ("guest", "second", "levels", "count"),
    [
        (12, 12, 4, 24),
        (21, 12, 4, 19),
        (12, 21, 4, 19),
        (21, 21, 4, 15),
        (30, 30, 4, 8),
        (12, 12, 5, 29),
        (12, None, 4, 4),
        (21, None, 4, 3),
        (30, None, 4, 2),
    ],
)
def test_page_sizes_and_levels_set_the_number_of_reads(guest, second, levels, count):
    walked = one_walk(guest, second, levels)

    assert walked.outcome == "ok" and reads(walked) == count
    assert walked.trace.fact(len(walked.trace) - 1, "reads") == count


def test_sizes_may_be_given_in_words():
    assert reads(one_walk("2 MiB", "1 GiB")) == reads(one_walk(21, 30)) == 11
    with pytest.raises(BadRequest, match="'4 KiB', '2 MiB', '1 GiB'"):
        shift_of("8 KiB")


def test_without_a_second_level_the_gpa_is_the_spa():
    walked = one_walk(second_page=None)
    fact = walked.trace.facts(len(walked.trace) - 1)

    assert fact["gpa"] == fact["spa"] == walked.spa
    assert fact["gva"] == GVA


def test_caches_serve_the_second_access():
    walked = one_walk(caches=Geometry(), accesses=(4, 4))

    assert "tlb_hit" in walked.trace.kinds() and reads(walked) == 24


def test_without_a_and_d_bits_the_second_level_is_not_written():
    kept, not_kept = (
        [
            one_walk(accessed_dirty=on).trace.fact(row, "stage")
            for row in one_walk(accessed_dirty=on).trace.of("accessed_set", "dirty_set")
        ]
        for on in (True, False)
    )

    assert set(kept) == {1, 2} and set(not_kept) == {1}


def test_other_numbers_of_levels_are_refused():
    with pytest.raises(BadRequest, match="3 levels"):
        one_walk(levels=3)
