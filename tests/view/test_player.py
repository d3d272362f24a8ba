"""The widget, its still figure and the exports carry the story, and nothing that a story's texts could smuggle in."""

import base64
import csv
import io
import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import pytest
from story.counter import GATE, counter

from hvlab.story.gate import Gate
from hvlab.view import export, show
from hvlab.view.esm import css, join, squeeze
from hvlab.view.player import PRIVATE_TYPE, Player
from hvlab.view.still import still_html, style, svg


@pytest.fixture(scope="module")
def story():
    return counter()


def test_the_repr_is_the_story_and_no_address(story):
    assert repr(show(story)) == f"Player('A counter that carries', {len(story)} frames, {story.digest()[:12]})"


def test_a_cell_shows_the_widget_and_a_still_figure(story):
    data, _ = show(story)._repr_mimebundle_()

    assert "application/vnd.jupyter.widget-view+json" in data and PRIVATE_TYPE not in data
    assert data["text/html"] == still_html(story)
    assert data["text/plain"] == repr(show(story))


def test_a_player_brings_the_shared_code_beside_a_module_of_its_own(story):
    state = show(story).get_state()

    assert state["_esm"] == join("shared.mjs") and state["_player"] == join("widget.mjs")


def test_only_an_export_carries_the_whole_story(story, monkeypatch):
    monkeypatch.setenv("HVLAB_EXPORT", "1")

    data, _ = show(story)._repr_mimebundle_()

    assert data[PRIVATE_TYPE]["scene"] == story.scene and not data[PRIVATE_TYPE]["teacher"]


def test_the_still_table_ends_at_the_first_gate_in_every_mode(story):
    rows = re.findall(r"<tr>", still_html(story))

    assert len(rows) == GATE.frame + 2
    assert "<td>7</td>" not in still_html(story) and str(story.value("writes")) not in still_html(story)


@pytest.mark.parametrize("mode, large", [("teach", True), ("learn", False), ("test", False)])
def test_a_teachers_players_are_large(story, monkeypatch, mode, large):
    monkeypatch.setenv("HVLAB_MODE", mode)

    assert ("hvlab-large" in show(story).get_state()["_dom_classes"]) == large
    assert ('<div data-hvlab-story class="hvlab-large">' in export.stage(story)) == large


def test_gates_are_open_in_test_mode_and_closed_for_a_learner(story, monkeypatch):
    assert show(story).teacher and not show(story, teacher=False).teacher
    monkeypatch.setenv("HVLAB_MODE", "learn")
    assert not show(story).teacher and show(story, teacher=True).teacher


def test_a_prediction_made_elsewhere_comes_with_the_gate():
    class Prediction:
        id, answer, confidence = GATE.id, 20, "sure"

        def gate_for(self, story):
            return GATE

    player = show(counter(gates=()), gate=Prediction())

    assert player.answers == {GATE.id: {"value": "20", "confidence": "sure"}}
    assert str(player.outcome(GATE.id)).startswith("You said 20, sure. The machine made 26 writes.")
    assert [gate["id"] for gate in show(counter(), gate=[GATE]).scene["gates"]] == [GATE.id]


def test_an_answer_in_python_opens_the_story_and_says_what_it_wanted(story):
    player = show(story)

    assert player.answer(GATE.id, "0x1a").right
    assert player.answers[GATE.id]["value"] == "26"
    with pytest.raises(ValueError, match="wanted a whole number such as 24 or 0x18"):
        player.answer(GATE.id, "many")
    with pytest.raises(ValueError, match="asks no 'moon'"):
        player.answer("moon", 1)


@pytest.mark.parametrize(
    "sent",
    [
        {"moon": {"value": "1"}},
        {GATE.id: {"value": "x"}},
        {GATE.id: {"value": "1e3"}},
        {GATE.id: {}},
        {GATE.id: 7},
        {GATE.id: {"value": "9" * 30}},
        {"__class__": {"value": "1"}},
    ],
)
def test_what_a_browser_sends_is_taken_only_if_it_is_a_known_answer(story, sent):
    player = Player(story)

    player.set_state({"answers": sent})

    assert player.answers == {}


def test_a_step_from_a_browser_stays_in_the_story_and_a_strange_word_is_dropped(story):
    player = Player(story)

    player.set_state({"step": 10**9, "answers": {GATE.id: {"value": "3", "confidence": "<b>"}}})

    assert player.step == len(story) - 1
    assert player.answers == {GATE.id: {"value": "3", "confidence": ""}}


def test_messages_are_acknowledged_or_ignored(story):
    player, sent = Player(story), []
    player.send = lambda message: sent.append(message)

    for content in ({"verb": "ping"}, {"verb": "eval", "code": "1"}, "ping", None, {"verb": "answer", "id": "x"}):
        player._hear(player, content, [])

    assert sent == [{"verb": "heard"}] * 2


# stills


def test_a_still_is_valid_svg_in_plain_colours(story):
    tree = ElementTree.fromstring(svg(story, 4))
    space = {"s": "http://www.w3.org/2000/svg"}

    assert tree.find("s:title", space).text == "The digits of the counter"
    assert tree.find("s:desc", space).text.startswith("Digits 0, 0, 2")
    assert "2" in [text.text for text in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert "var(" not in style() and "light-dark" not in style() and "var(" not in svg(story, 4)


def test_a_still_shows_what_the_bindings_ask_for(story):
    tree = ElementTree.fromstring(svg(story, 1))
    shapes = {node.get("class"): node for node in tree.iter() if node.get("class")}

    assert "lit changed" in shapes and "label fault off" in shapes
    assert shapes["box data"].get("width") == "9"
    assert style() != style(dark=True) and "#2a" not in style()


def test_two_stills_of_one_frame_are_the_same_bytes(story):
    assert svg(story, 9) == svg(counter(), 9)
    with pytest.raises(ValueError, match="no picture 'moon'; it has 'Digits'"):
        svg(story, 0, "moon")


class Tags(HTMLParser):
    """Collects the tags and attributes of a text."""

    def __init__(self, text):
        super().__init__()
        self.seen = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))


def test_names_stay_text_in_figures_pages_and_pictures():
    evil = "<img src=x onerror=hit()></script>\u202e"
    story = counter(3, title=evil, about=evil, gates=[Gate("g", 1, evil, "int", "count")], phases=[evil], token=evil)

    for text in (still_html(story), export.html(story)):
        assert not [tag for tag, names in Tags(text).seen if tag == "img" and names.get("src") == "x"]
        assert "\u202e" not in text.split("<title>")[-1].split("</title>")[0]
    assert export.html(story).count("</script>") == 2


# files


def test_the_page_runs_one_known_script_and_loads_nothing(story, tmp_path):
    text = export.html(story, tmp_path / "story.html")

    assert (tmp_path / "story.html").read_text(encoding="utf-8") == text
    assert "default-src 'none'; script-src 'sha256-" in text and "unsafe-eval" not in text
    assert not re.search(r'(?:src|href)="(?!data:)', text)


def test_json_holds_scene_bytes_and_digest(story):
    data = json.loads(export.as_json(story))

    assert data["digest"] == story.digest() and data["scene"] == story.scene
    assert base64.b64decode(data["bytes"]) == story.to_bytes()


def test_a_chrome_trace_has_each_frame_on_the_thread_of_its_place_and_each_cause_as_an_arrow(story):
    events = json.loads(export.chrome_trace(story))["traceEvents"]
    causes = int((story.columns["cause"] >= 0).sum())

    assert [sum(event["ph"] == kind for event in events) for kind in "Xsf"] == [len(story), causes, causes]
    names = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    places = [story.scene["places"][at]["label"] for at in story.columns["src"]]
    assert [names[event["tid"]] for event in events if event["ph"] == "X"] == places
    assert set(names.values()) == set(places) == {"User code", "Counter logic"}


def test_csv_is_the_table_and_no_formula():
    story = counter(4, gates=(), phases=[], title="x")
    rows = list(csv.reader(io.StringIO(export.csv(story))))

    assert len(rows) == len(story) + 1 and rows[1][4] == story.describe(0)
    assert not [text for row in rows for text in row if text[:1] in "=+-@" and text]


def test_a_style_sheet_loses_spaces_and_comments_only():
    assert squeeze("/* x */ .a :is(b, c) { width: 0.5px; color: red; }\n") == ".a :is(b,c){width:.5px;color:red}"
    assert css().count("{") == css().count("}")
