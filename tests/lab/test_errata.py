"""Errata: every loose claim of the overview has a better one with its source, and a run where one can show it."""

import re

import pytest
from small_toml import put

from hvlab.errors import BadFile, BadRequest
from hvlab.lab import errata, tables
from hvlab.lab.demos import RUNS
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

    assert named == set(RUNS)
    assert {one.id for one in ROWS if one.demo} == {
        "msr", "slat", "cpu", "space", "irq", "oneroot", "rootmem", "bybus", "vdev", "apic", "sources",
    }  # fmt: skip


@pytest.mark.parametrize("name", RUNS)
def test_a_run_holds_what_it_is_about_and_shows_it_each_time_alike(name):
    first, again = RUNS[name](), RUNS[name]()

    assert set(RUNS[name].kinds) <= set(first.kinds()) and RUNS[name].shows(first)
    assert (first.rows == again.rows).all()


def run_of(id):
    return RUNS[errata.erratum(id).demo]()


def places(trace, kind):
    return [k for k, name in enumerate(trace.kinds()) if name == kind]


def test_a_byte_for_a_serial_port_goes_by_a_message_to_the_worker_process_and_over_no_channel():
    trace = run_of("vdev")
    names = trace.kinds()

    ways = [names.index(kind) for kind in ("instruction_exited", "parent_told", "message_handled", "device_written")]
    assert ways == sorted(ways)
    assert not [name for name in names if "channel" in name or "packet" in name]
    by = {kind: int(trace.rows[names.index(kind), 2]) for kind in ("instruction_exited", "device_written")}
    assert by == {"instruction_exited": 1, "device_written": 0}  # VP 0 is the root's


def test_one_load_is_translated_by_the_processor_in_two_stages_and_by_nobody_else():
    trace = run_of("slat")

    boxes = {by_name(kind).box for kind in trace.kinds()}
    assert boxes == {"processor", "tlb", "memory"}
    assert trace.kinds().count("table_entry_read") == 4
    assert trace.kinds().count("second_level_entry_read") == 20


def test_one_load_holds_nothing_of_the_hypervisor_or_vmbus():
    trace = run_of("bybus")

    assert trace.kinds()[-1] == "translated"
    assert not {"vp_exited", "hypercall_entered", "intercept_posted"} & set(trace.kinds())
    assert all(by_name(kind).box != "hypervisor" for kind in trace.kinds())


def test_an_msr_is_a_numbered_register_that_reads_back_and_serves_no_memory():
    trace = run_of("msr")

    assert trace.kinds() == ["msr_written", "msr_read", "exception_raised"]
    written, read = trace.facts(0), trace.facts(1)
    assert written["msr"] == read["msr"] == 0x4000_0000 and read["value"] == written["value"]
    assert not any(by_name(kind).box in ("memory", "tlb") for kind in trace.kinds())


def test_a_guest_runs_by_itself_until_a_chosen_event_leaves_it():
    kinds = run_of("cpu").kinds()

    out = kinds.index("vp_exited")
    assert kinds[:out].count("tlb_hit") == 3 and set(kinds[:out]) == {"access_begun", "tlb_hit"}
    assert kinds[out:] == ["vp_exited", "intercept_posted"]


def test_the_guest_physical_space_is_private_though_gva_and_gpa_are_the_same():
    trace = run_of("space")

    one, two = (trace.facts(k) for k in places(trace, "translated"))
    assert (one["gva"], one["gpa"]) == (two["gva"], two["gpa"]) and one["spa"] != two["spa"]


def test_there_is_one_root_and_parent_is_a_relation():
    trace = run_of("oneroot")

    born = [trace.facts(k) for k in places(trace, "partition_created")]
    assert [one["parent"] for one in born] == [0, 1, 1] and len({one["partition"] for one in born}) == 3
    denied = trace.facts(places(trace, "call_denied")[0])
    assert (denied["code"], denied["wanted"]) == (0x41, 0)  # InitializePartition: no bit is wanting
    assert trace.sentence(places(trace, "call_denied")[0]).endswith("from its parent.")


def test_the_root_s_memory_is_reached_through_a_mapping_that_leaves_the_hypervisor_s_pages_out():
    trace = run_of("rootmem")

    found = trace.facts(places(trace, "translated")[0])
    assert found["gpa"] == found["spa"] and "second_level_entry_read" in trace.kinds()
    assert trace.kinds()[-2:] == ["vp_exited", "exception_raised"]
    refused = trace.facts(places(trace, "vp_exited")[0])["gpa"]
    assert refused in {trace.fact(k, "spa") & -4096 for k in places(trace, "second_level_entry_read")}


def test_reps_of_a_result_word_reach_bit_43():
    trace = run_of("sources")

    result = trace.facts(places(trace, "hypercall_returned")[0])["result"]
    assert result >> 32 & 0xFFF == 500 > 0xFF and result >> 44 == 0
    assert trace.kinds().count("rep_done") == 500


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
