"""Errata: every loose claim of the overview has a better one with its source, and a run where one can show it."""

import re

import pytest
from small_toml import put

from hvlab.errors import BadFile, BadRequest
from hvlab.lab import errata, tables
from hvlab.trace.event import by_name

SHOWN = {  # the claims that the lab corrects, and where
    "msr": "03",
    "slat": "05",
    "iommu": "08",
    "cpu": "02",
    "space": "04 05",
    "irq": "06",
    "oneroot": "01",
    "rootwin": "01",
    "rootmem": "01",
    "bybus": "00 05 09",
    "direct": "08",
    "vdev": "02 10",
    "vsc": "10",
    "transp": "11",
    "install": "09 11",
    "ic": "11",
    "apic": "06",
    "ws2008": "12",
    "needs": "01",
    "winhv": "03 12",
    "wmi": "12",
    "absent": "left out",
    "sources": "03 07",
}
ROWS = errata.errata()


def test_every_claim_of_the_list_is_there_once():
    assert [one.id for one in ROWS] == list(SHOWN)


@pytest.mark.parametrize("one", ROWS, ids=lambda one: one.id)
def test_an_erratum_is_shown_in_its_lessons(one):
    assert " ".join(one.shown_in) == SHOWN[one.id]


@pytest.mark.parametrize("one", ROWS, ids=lambda one: one.id)
def test_an_erratum_has_short_sentences_and_a_source(one):
    assert one.source
    for text in (one.overview_says, one.better, one.why):
        assert text.endswith(".")
        assert all(len(sentence.split()) <= 25 for sentence in re.split(r"(?<=[.;]) ", text))


@pytest.mark.parametrize("one", ROWS, ids=lambda one: one.id)
def test_at_most_twelve_words_are_quoted(one):
    quoted = re.findall(r'"([^"]+)"', one.overview_says)

    assert sum(len(words.split()) for words in quoted) <= 12


def test_what_rests_on_memory_alone_is_marked():
    recalled = {one.id for one in ROWS if one.standing == "recalled"}

    assert recalled == {"winhv"}
    assert "(from memory, not checked)" in repr(errata.erratum("winhv"))


def test_the_listing_prints_every_claim_and_no_long_line():
    text = repr(ROWS)

    assert [line.split(":")[0] for line in text.splitlines() if not line.startswith(" ") and line] == list(SHOWN)
    assert max(map(len, text.splitlines())) <= tables.WIDTH


def test_an_unknown_erratum_is_answered_with_the_nearest_three():
    with pytest.raises(BadRequest) as refused:
        errata.erratum("rootwindows")

    near = refused.value.attempt.split(", ")
    assert near[0] == "rootwin" and len(near) == 3


def test_every_run_that_errata_name_can_be_called():
    named = {one.demo for one in ROWS if one.demo}

    assert named == set(errata.RUNS)


def test_one_load_is_translated_by_the_processor_in_two_stages_and_by_nobody_else():
    trace = errata.RUNS[errata.erratum("slat").demo]()

    boxes = {by_name(kind).box for kind in trace.kinds()}
    assert boxes == {"processor", "tlb", "memory"}
    assert trace.kinds().count("table_entry_read") == 4
    assert trace.kinds().count("second_level_entry_read") == 20


def test_one_load_holds_nothing_of_the_hypervisor_or_vmbus():
    trace = errata.RUNS[errata.erratum("bybus").demo]()

    assert trace.kinds()[-1] == "translated"
    assert not {"vp_exited", "hypercall_entered", "intercept_posted"} & set(trace.kinds())
    assert all(by_name(kind).box != "hypervisor" for kind in trace.kinds())


GOOD = {
    "id": "a",
    "overview_says": "So.",
    "better": "Not so.",
    "why": "Seen.",
    "source": "s",
    "standing": "checked",
    "shown_in": ["01"],
}
BROKEN = {
    "another standing": [GOOD | {"standing": "sure"}],
    "a lesson that does not exist": [GOOD | {"shown_in": ["14"]}],
    "no lesson": [GOOD | {"shown_in": []}],
    "a run that does not exist": [GOOD | {"demo": "two-loads"}],
    "no source": [{name: value for name, value in GOOD.items() if name != "source"}],
    "an empty source": [GOOD | {"source": ""}],
    "the same id twice": [GOOD, GOOD],
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused_with_its_place(broken, monkeypatch, tmp_path):
    put(tmp_path / "errata.toml", "erratum", broken, monkeypatch)

    with pytest.raises(BadFile) as refused:
        errata.errata.__wrapped__()

    assert refused.value.file == "errata.toml" and refused.value.expected
