"""The hunt: a claim without a run is asked for one; the lab answers with the run. And the source behind a name."""

import pytest

from hvlab.errors import BadRequest
from hvlab.hardware.processor import run, walk
from hvlab.lab import errata, progress
from hvlab.lab.hunt import hunt
from hvlab.lab.source import source
from hvlab.lab.walks import one_walk


def test_the_list_shows_what_the_overview_says_and_nothing_better(capsys):
    hunt()

    said = capsys.readouterr().out
    for one in errata.errata():
        assert (f"{one.id}: " in said) == (one.standing == "checked")
        assert one.better[:40] not in said


def test_a_sentence_without_a_claim_asks_for_one(capsys):
    hunt("slat")

    assert "what would you say instead?" in capsys.readouterr().out and not progress.BOOK.memory


def test_a_claim_without_a_run_is_kept_and_asked_for_one(capsys):
    hunt("slat", "The processor does it.")

    said = capsys.readouterr().out
    assert "Which run shows it?" in said and "one-load" in said and "two stages" not in said.lower()
    assert (progress.BOOK.memory[-1].item, progress.BOOK.memory[-1].verdict) == ("errata.slat", "kept")


@pytest.mark.parametrize("run", ["one-load", one_walk()], ids=["by name", "of the learner"])
def test_the_run_answers(run, capsys):
    hunt("slat", "The processor does it.", run)

    said = capsys.readouterr().out
    assert "second_level_entry_read x 20" in said and errata.erratum("slat").better[:30] in said


def test_a_run_that_does_not_touch_it_is_named_by_what_it_lacks(capsys):
    hunt("slat", "The processor does it.", one_walk(second_page=None))

    said = capsys.readouterr().out
    assert "nothing of the kind second_level_entry_read" in said and "Better" not in said


@pytest.mark.parametrize(("id", "run"), [("space", "one-load"), ("rootmem", "own-steps"), ("sources", "family")])
def test_a_run_that_touches_it_and_does_not_show_it_is_no_evidence(id, run, capsys):
    hunt(id, "Not so.", run)

    said = capsys.readouterr().out
    assert "Your claim is kept" in said and "Better" not in said


@pytest.mark.parametrize("one", [one for one in errata.errata() if one.demo], ids=lambda one: one.id)
def test_each_run_answers_its_sentence(one, capsys):
    hunt(one.id, "Not so.", one.demo)

    assert "the run says:" in (said := capsys.readouterr().out) and one.better.split(". ")[0][:30] in said


def test_what_no_run_can_show_yet_is_kept(capsys):
    without = next(one for one in errata.errata() if not one.demo and one.standing == "checked")

    hunt(without.id, "Not so.")

    assert "No run of this lab can show it yet" in capsys.readouterr().out


@pytest.mark.parametrize("asked", [("salt", "x"), ("winhv", "x"), ("slat", "x", "two-loads"), ("slat", "x", 5)])
def test_what_is_not_there_is_refused(asked):
    with pytest.raises(BadRequest):
        hunt(*asked)


# source


def test_the_source_of_a_function_tells_where_it_stands():
    found = source(walk)

    assert repr(found).startswith(f"# hvlab/hardware/processor.py, line {found.line}\n@kernel\ndef walk(")
    assert source("hardware.processor.walk") == source("hvlab.hardware.processor.walk") == found
    assert source(run).text.startswith("@entry_point") and source("one_walk").file == "hvlab/lab/walks.py"


@pytest.mark.parametrize(
    "what", ["os.path.join", "nowhere.walk", "hardware.processor.gone", "1+1.x", len, pytest.raises, 5, "gone"]
)
def test_only_sources_of_hvlab_are_shown(what):
    with pytest.raises(BadRequest, match="a function or class of hvlab"):
        source(what)
