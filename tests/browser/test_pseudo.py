"""A language that nobody speaks, longer than English by a third: no word is left behind, nothing is cut off.

`HVLAB_LANGUAGE=xx-pseudo` accents and lengthens every text that goes through gettext: each word of it ends with ``~``.
What stands without one is a name (of the interfaces, of documents, of a child), or a text that was forgotten.
"""

import re

import pytest
from story.buses import whole_life
from story.counter import counter
from story.machines import runs
from story.walks import GVA, USER, WRITE, plain, unmapped

from browser.test_layout import MEASURE
from browser.test_pictures import frames
from hvlab.lab.host import host_lens
from hvlab.lab.items import find
from hvlab.language import PSEUDO
from hvlab.story.call import call_story
from hvlab.story.channels import bus_story
from hvlab.story.gate import Gate
from hvlab.story.pairs import two_runs
from hvlab.story.system import create_child
from hvlab.story.walk import WalkLens
from hvlab.trace.words import ENUMS, NAMES
from hvlab.wire.guids import CLASSES
from hvlab.wire.vmbus import VERSIONS

pytestmark = pytest.mark.browser
# The children and runs of these tests, units, what no language writes otherwise; ids of wrong models stay as they are.
OURS = "web quick slow KiB MiB TLB EPT GVA GPA SPA RIP RCX RDX RAX ECX EAX EBX EDX MSR CPUID TLFS"
SAID = """() => {  // all that is seen or heard in the player: texts, options, names, hints, descriptions
  const root = document.querySelector('.hvlab'), found = [];
  for (const node of root.querySelectorAll('*')) {
    if (!node.checkVisibility() && !node.closest('select, title, desc')) continue;
    if (node.closest('.off')) continue;
    for (const name of ['aria-label', 'title', 'placeholder', 'aria-valuetext'])
      found.push(node.getAttribute(name) ?? '');
    for (const child of node.childNodes) if (child.nodeType === Node.TEXT_NODE) found.push(child.textContent);
  }
  return [...new Set(found)];
}"""
WORD = re.compile(r"[^\W\d_][\w'-]*~*")


@pytest.fixture(autouse=True)
def pseudo_language(monkeypatch):
    monkeypatch.setenv("HVLAB_LANGUAGE", PSEUDO)


def stories():
    reads, violation = (find(id).gate for id in ("05.reads", "05.violation"))
    walked, refused = (WalkLens().story(world.go((GVA, USER | WRITE))) for world in (plain(), unmapped()))
    return {
        "map": host_lens(guest="linux", name="web").story(runs()["one_intercept"]),
        "owners": create_child(runs()["create_child"]),
        "call": call_story(runs()["create_child"]),
        "square": walked.with_gates([reads(walked)]),
        "fault": refused.with_gates([violation(refused)]),
        "compare": two_runs(runs()["one_load"], runs()["one_intercept"], ("quick", "slow")),
        "bus": bus_story(whole_life(), "request"),
    }


def allowed(story):
    """The names that a story may say as they are."""
    scene = story.scene
    names = [OURS, *(text for name in NAMES for text in ENUMS[name].values())]
    names += [kind["rule"] for kind in scene["kinds"]] + [place["source"] for place in scene["places"]]
    names += [model["name"] for gate in scene["gates"] for model in gate["wrong"]]
    names += [field["name"] for page in scene["pages"] for field in page["fields"]]
    names += [*(one.name for one in CLASSES.values()), *(version.host for version in VERSIONS)]
    names += [name for word, fields in scene["words"].items() for name in (word, *(field["name"] for field in fields))]
    return {word for name in names for word in WORD.findall(name)}


def left_over(page, story):
    """Words of three letters and more that nobody translated."""
    known, found = allowed(story), set()
    for text in page.evaluate(SAID):
        found |= {
            word
            for word in WORD.findall(re.sub("0x[0-9a-f_]+", "", text))
            if "~" not in word and word not in known and len(word) > 2
        }
    return found


def go(page, k):
    page.locator(".hvlab .number").fill(str(k))
    page.locator(".hvlab .number").press("Enter")


def press(page, at):
    page.locator(".hvlab .top > button").nth(at).click()


@pytest.mark.parametrize("width", [1280, 876])
@pytest.mark.parametrize("name", ["map", "owners", "call", "square", "fault", "compare", "bus"])
def test_no_word_is_left_in_english_and_nothing_is_cut(open_story, name, width):
    story = stories()[name]
    page = open_story(story, teacher=True, viewport={"width": width, "height": 720})

    for at in range(max(page.locator(".tab").count(), 1)):
        if page.locator(".tab").count():
            page.locator(".tab").nth(at).click()
        for k in frames(story):
            go(page, k)
            assert left_over(page, story) == set(), (at, k)
            assert page.evaluate(MEASURE) == [], (at, k)


@pytest.mark.parametrize("width", [1280, 876])
def test_panels_cards_and_questions_speak_it_too(open_story, width):
    for name in ("map", "square", "fault"):
        story = stories()[name]
        page = open_story(story, viewport={"width": width, "height": 720})
        press(page, 2)
        if name == "map":
            page.locator(".picture .jump rect").first.click(position={"x": 6, "y": 4})
        else:
            page.locator(".gate .primary").click()
        assert left_over(page, story) == set(), name
        assert page.evaluate(MEASURE) == [], name
        press(page, 0)
        assert left_over(page, story) == set(), name
        assert page.evaluate(MEASURE) == [], name


def test_an_answer_is_judged_in_it(open_story):
    story = stories()["fault"]
    page = open_story(story)

    page.locator(".gate input").nth(1).check()
    page.locator(".gate .parts fieldset").nth(1).locator("input").nth(2).check()
    page.locator(".gate .primary").click()
    page.locator(".outcome button").click()

    assert left_over(page, story) == set()
    assert page.locator(".outcome b").inner_text().startswith("⟦Ýöü~ šàîd~~ ⟦⟦ñö~⟧, béçàüšé~~~ ⟦thàt~~")


def test_the_byte_view_speaks_it(open_story):
    gate = Gate("counter.none", 2, "", "int", "count")
    story = counter(3, gates=[gate])
    page = open_story(story, teacher=True)
    page.locator(".tab").nth(1).click()

    words = {
        word for text in page.locator(".bytes .bar, .bytes thead").all_inner_texts() for word in WORD.findall(text)
    }
    assert {word for word in words if "~" not in word and len(word) > 2} == set()


def test_a_scene_brings_the_browsers_words_only_where_they_are_needed(monkeypatch):
    from hvlab.view.words import spoken, texts

    scene = stories()["fault"].scene
    assert set(spoken(scene)["texts"]) > set(texts()) and scene["lang"] == PSEUDO
    monkeypatch.setenv("HVLAB_LANGUAGE", "")

    assert spoken(scene) == scene and "Predict first." in texts() and len(texts()) > 100
