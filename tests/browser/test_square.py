"""The square in a browser: nothing cut or overlapping, readable in both themes, silent before the answer."""

from pathlib import Path

import pytest
from story.walks import CACHED, GVA, USER, WRITE, World, plain, sized, unmapped

from browser.conftest import frame, keep
from hvlab.lab.items import find
from hvlab.story.walk import WalkLens

pytestmark = pytest.mark.browser
MEASURE = (Path(__file__).parent / "measure.js").read_text(encoding="utf-8")
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
SEEN = """() => [...document.querySelectorAll('.hvlab *')].filter((one) => !one.closest('.off, [hidden], desc, title')
  && !one.children.length).map((one) => one.textContent).join(' | ')"""


def forbidden() -> World:
    world = World()
    world.map(GVA, 0x321, flags=0x25)
    return world.ready()


def own_fault() -> World:
    world = World(kind="none")
    world.map(GVA, 0x321, flags=0x25)
    return world.ready()


WALKS = {
    "4x4": lambda: plain().go((GVA, USER)),
    "5x5 nested": lambda: plain(5, 5, "nested").go((GVA, USER)),
    "none": lambda: plain(kind="none").go((GVA, USER)),
    "own write": lambda: plain(kind="none").go((GVA, USER | WRITE)),
    "own fault": lambda: own_fault().go((GVA, USER | WRITE)),
    "cached": lambda: plain(geometry=CACHED).go((GVA, USER), (GVA, USER | WRITE)),
    "large": lambda: sized(1, 1).go((GVA, USER)),
    "violation": lambda: unmapped().go((GVA, USER | WRITE)),
    "nested fault": lambda: unmapped("nested").go((GVA, USER)),
    "page fault": lambda: forbidden().go((GVA, USER | WRITE)),
}


def story_of(name):
    return WalkLens().story(WALKS[name]())


def go(page, k):
    page.locator(".hvlab .number").fill(str(k))
    page.locator(".hvlab .number").press("Enter")
    assert frame(page) == k


def moments(story):
    """The first frame, the first read, the middle, the last ones."""
    last = len(story) - 1
    return sorted({0, min(2, last), last // 2, last - 1, last})


@pytest.mark.parametrize("name", WALKS)
def test_nothing_is_cut_or_overlaps_at_any_moment_of_a_walk(open_story, name):
    story = story_of(name)
    page = open_story(story, viewport={"width": 876, "height": 720})

    for k in moments(story):
        go(page, k)
        keep(page, f"square-{name.replace(' ', '-')}-{k}")
        assert page.evaluate(MEASURE) == [], f"{name}, frame {k}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["cached", "violation"])
def test_the_square_stands_out_from_its_ground(open_story, name, scheme):
    story = story_of(name)
    page = open_story(story, viewport={"width": 1280, "height": 720}, color_scheme=scheme)

    for k in moments(story):
        go(page, k)
        keep(page, f"square-{name}-{k}-{scheme}")
        assert page.evaluate(CONTRAST) == [], f"{name}, frame {k}"


def test_the_square_is_read_from_the_last_row(open_story):
    story = story_of("5x5 nested")
    page = open_story(story, viewport={"width": 1280, "height": 720})
    page.get_by_role("button", name="Full screen", exact=True).click()
    page.wait_for_selector(".hvlab.full")

    for k in moments(story):
        go(page, k)
        keep(page, f"square-full-{k}")
        assert page.evaluate(MEASURE) == [], f"frame {k}"


def test_a_narrow_square_scrolls_inside_itself(open_story):
    story = story_of("4x4")
    page = open_story(story, viewport={"width": 500, "height": 800})

    for k in moments(story):
        go(page, k)
        assert page.evaluate(MEASURE) == [], f"frame {k}"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_cell_leads_to_its_read(open_story):
    page = open_story(story_of("4x4"))
    page.get_by_role("button", name="Last", exact=True).click()

    page.locator(".picture .jump").nth(12).locator("text").first.click(force=True)

    assert frame(page) == 14


def test_before_the_answer_nothing_tells_how_many_reads_there_are(open_story):
    story = story_of("4x4")
    page = open_story(story.with_gates([find("05.reads").gate(story)]))

    closed = page.evaluate(SEEN)
    assert "of ?" in closed and "24" not in closed and f" {len(story) - 1}" not in closed
    assert "of" not in page.locator(".slider").get_attribute("aria-valuetext").split(":")[0]
    assert page.locator(".band").count() <= 1
    page.locator("form.gate input[type=text]").fill("8")
    page.get_by_role("button", name="Answer", exact=True).click()

    assert f"of {len(story) - 1}" in page.evaluate(SEEN)
    page.get_by_role("button", name="Last", exact=True).click()
    assert "one-after-the-other" in page.locator(".outcome").inner_text()


def test_a_narrow_square_follows_the_read(open_story):
    page = open_story(story_of("4x4"), viewport={"width": 420, "height": 800})

    go(page, 6)  # the guest's own entry, at the right end of the first row

    cell = page.evaluate("document.querySelector('.picture .cell.lit').getBoundingClientRect().toJSON()")
    frame_ = page.evaluate("document.querySelector('.hvlab .region').getBoundingClientRect().toJSON()")
    assert frame_["left"] <= cell["left"] and cell["right"] <= frame_["right"]
