"""A recorded connection as a story: each message and each that is missing, told from the recording alone."""

import pytest

from hvlab import explain, show
from hvlab.capture import load, sample
from hvlab.capture.handshake import MARKS, MISSING, handshake
from hvlab.errors import BadRequest
from hvlab.trace.words import say
from hvlab.view.recorded import SHOWN, recorded_story, says

LOG = load(sample("vmbus_ftrace"))


@pytest.fixture(scope="module")
def story():
    return recorded_story(LOG)


def lit(story, k):
    drawn = story.scene["pictures"][0]
    state = story.state_at(k)
    return [id for verb, id, fact, *rest in drawn["bind"] if verb == "lit" and state[fact] in rest[0]], [
        id for verb, id, fact, *rest in drawn["bind"] if verb == "show" and state[fact] in rest[0]
    ]


def test_each_step_of_the_handshake_is_a_frame_with_its_words_phase_and_time(story):
    rows = handshake(LOG).rows
    told = story.rows()

    assert [row["what"] for row in told] == [says(row) for row in rows]
    assert [row["phase"] for row in told] == [row.phase for row in rows]
    times = [row["time"] for row, of in zip(told, rows, strict=True) if of.message]
    assert times == [say("time", round((one.seconds - LOG.messages[0].seconds) * 1e9)) for one in LOG.messages]


def test_an_answer_is_caused_by_the_request_that_it_answers_also_a_missing_one(story):
    causes = {k: int(cause) for k, cause in enumerate(story.columns["cause"]) if cause >= 0}

    # five versions and their answers, all offers, pages, opening; an offer answers no message of its own
    assert causes == {1: 0, 3: 2, 5: 4, 7: 6, 9: 8, 11: 10, 14: 12, 16: 15, 18: 17}


def test_what_is_missing_or_refused_is_counted_and_the_version_is_known_when_it_is_accepted(story):
    assert [story.value(name) for name in ("messages", "missing", "refused", "retried")] == [15, 4, 1, 0]
    assert [story.value("agreed", k) for k in (10, 11, 18)] == [0, 1, 1]
    assert story.enums["agreed"]["1"] == "4.0"
    host = recorded_story(load(sample("vmbus_host")))
    assert [host.value(name) for name in ("messages", "missing", "refused", "retried")] == [11, 0, 1, 1]


def test_the_picture_lights_the_step_and_turns_its_page_after_sixteen(story):
    assert [lit(story, k) for k in (0, SHOWN - 1, SHOWN, 18)] == [
        (["rung0"], ["part0"]),
        ([f"rung{SHOWN - 1}"], ["part0"]),
        ([f"rung{SHOWN}"], ["part1"]),
        (["rung18"], ["part1"]),
    ]


def test_a_missing_message_is_dashed_and_a_recorded_one_is_not(story):
    rungs = {
        one[1]: one for part in story.scene["pictures"][0]["layer"] if part[1].startswith("part") for one in part[4]
    }
    rows = handshake(LOG).rows

    assert {id for id, rung in rungs.items() if "dashed" in rung[4][0][2]} == {
        f"rung{k}" for k, row in enumerate(rows) if row.mark == MISSING
    }


def test_a_cell_shows_the_story_of_what_was_pasted():
    player = show(explain(sample("vmbus_host").read_text()))

    assert "11 frames" in repr(player)
    with pytest.raises(BadRequest, match="a recording"):
        show(explain("VMBUS ID  1: Synthetic mouse\n"))


def test_every_mark_of_the_handshake_is_explained_in_the_picture(story):
    texts = [one[4] for one in story.scene["pictures"][0]["layer"] if one[0] == "text"]

    for mark, sign in MARKS.items():
        assert texts[texts.index(sign) + 1] == mark
