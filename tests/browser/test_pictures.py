"""Map, lanes, owners and two runs in a browser: readable, in contrast, apart, and stepped by the same facts."""

from pathlib import Path

import pytest
from story.machines import runs

from browser.conftest import keep
from hvlab.story.pairs import two_runs
from hvlab.story.picture import changes_at
from hvlab.story.system import SystemLens, create_child, one_intercept, one_load, power_on

pytestmark = pytest.mark.browser
MEASURE = (Path(__file__).parent / "measure.js").read_text(encoding="utf-8")
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
BOXED = """() => {  // every label of the map inside its box; no token on a word
  const found = [], texts = [...document.querySelectorAll('.picture text.label.middle')];
  for (const text of texts) {
    const box = text.previousElementSibling?.getBBox?.(), own = text.getBBox();
    if (box && (own.x < box.x + 1 || own.x + own.width > box.x + box.width - 1)) found.push(text.textContent);
  }
  for (const mark of document.querySelectorAll('.picture .layer > .mark:not(.off)')) {
    const a = mark.querySelector('path').getBoundingClientRect();
    for (const text of texts) {
      const b = text.getBoundingClientRect();
      if (b.width && a.left < b.right && a.right > b.left && a.top < b.bottom - 3 && a.bottom > b.top + 3)
        found.push(`a token on ${text.textContent}`);
    }
  }
  return found;
}"""


def stories():
    return {
        "power_on": power_on(runs()["power_on"]),
        "create_child": create_child(runs()["create_child"], SystemLens(name="web", guest="linux")),
        "requests": create_child(runs()["create_child"], SystemLens("request", name="web")),
        "one_load": one_load(runs()["one_load"], SystemLens(name="web")),
        "one_intercept": one_intercept(runs()["one_intercept"], SystemLens(name="web")),
        "destroyed": SystemLens(name="web", guest="unenlightened").story(runs()["destroyed"]),
        "two_runs": two_runs(runs()["one_load"], runs()["one_intercept"], ("load", "exit"), "who maps the page"),
    }


def frames(story):
    """The first, two in the middle, those with an exit or fault, the last."""
    letters = [story.scene["kinds"][int(kind)]["letter"] for kind in story.columns["kind"]]
    odd = [k for k, letter in enumerate(letters) if letter in "!XM"][:3]
    return sorted({0, len(story) // 3, len(story) // 2, *odd, len(story) - 1})


def walk(page, story):
    """Go through the pictures and frames."""
    for picture in story.scene["pictures"]:
        if len(story.scene["pictures"]) > 1:
            page.get_by_role("button", name=picture["name"], exact=True).click()
        for k in frames(story):
            page.locator(".number").fill(str(k))
            page.locator(".number").press("Enter")
            yield picture, k


@pytest.mark.parametrize("name", stories())
def test_nothing_overlaps_is_cut_or_small(open_story, name):
    story = stories()[name]
    page = open_story(story, viewport={"width": 1280, "height": 720})

    for picture, k in walk(page, story):
        keep(page, f"{name}-{picture['name']}-{k}-light")
        assert page.evaluate(MEASURE) == [], (picture["name"], k)
        assert page.evaluate(BOXED) == [], (picture["name"], k)
        assert page.evaluate("document.querySelectorAll('.picture *').length") <= 1500


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["create_child", "one_intercept", "two_runs"])
def test_text_and_lines_stand_out_in_both_themes(open_story, name, scheme):
    story = stories()[name]
    page = open_story(story, viewport={"width": 876, "height": 640}, color_scheme=scheme)

    for picture, k in walk(page, story):
        keep(page, f"{name}-{picture['name']}-{k}-876-{scheme}")
        assert page.evaluate(CONTRAST) == [], (picture["name"], k)


def test_full_screen_is_read_from_the_last_row(open_story):
    story = stories()["one_intercept"]
    page = open_story(story, viewport={"width": 1280, "height": 720})
    page.get_by_role("button", name="Full screen", exact=True).click()
    page.wait_for_selector(".hvlab.full")

    for picture, k in walk(page, story):
        keep(page, f"full-{picture['name']}-{k}")
        assert page.evaluate(MEASURE) == [], (picture["name"], k)


@pytest.mark.parametrize("name", ["create_child", "one_intercept", "two_runs"])
def test_the_browser_draws_what_python_says(open_story, name):
    story = stories()[name]
    page = open_story(story, viewport={"width": 1280, "height": 720})

    for picture, k in walk(page, story):
        asked = changes_at(picture, story.state_at(k), story.changed_at(k), story.kinds_of_facts, story.enums)
        texts = [ask[2] for ask in asked if ask[1] == "text"]
        drawn = page.evaluate("[...document.querySelectorAll('.picture text')].map((one) => one.textContent)")
        assert set(texts) <= set(drawn), (picture["name"], k)
        shown = sum(1 for ask in asked if ask[1] == "show" and not ask[2])
        hidden = page.evaluate("document.querySelectorAll('.picture .off').length")
        assert hidden == shown, (picture["name"], k)


def test_a_pointer_on_a_request_or_a_mark_goes_to_its_frame(open_story):
    story = stories()["create_child"]
    page = open_story(story, viewport={"width": 1280, "height": 720})
    page.get_by_role("button", name="Lanes", exact=True).click()
    page.get_by_role("button", name="Last", exact=True).click()

    page.locator(".picture .mark.jump:not(.off) path").first.click()

    assert int(page.locator(".number").input_value()) < len(story) - 1
