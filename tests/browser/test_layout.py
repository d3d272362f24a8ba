"""What is drawn can be read: sizes, overlaps, contrast and targets, measured from computed styles."""

from pathlib import Path

import pytest
from story.buses import whole_life
from story.counter import counter

from browser.conftest import keep

pytestmark = pytest.mark.browser
SIZES = [(1280, 720), (876, 640), (500, 800), (320, 700)]
SCENES = ["picture", "bytes", "table", "more", "gate"]

MEASURE = (Path(__file__).parent / "measure.js").read_text(encoding="utf-8")

CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")


def arrange(page, scene):
    """Bring the player into the next of its looks; they follow one another as in `SCENES`."""
    if scene == "picture":
        page.locator(".number").fill("4")
        page.locator(".number").press("Enter")
    elif scene == "bytes":
        page.get_by_role("button", name="Bytes", exact=True).click()
        page.get_by_role("button", name="note", exact=True).click()
    elif scene == "table" and not page.locator(".twin").is_visible():
        page.get_by_role("button", name="Table", exact=True).click()
    elif scene == "more":
        page.get_by_role("button", name="Digits", exact=True).click()
        page.get_by_role("button", name="More", exact=True).click()
        page.get_by_label("Box", exact=True).select_option(label="Memory")
        page.get_by_label("Stop at").select_option(label="Counter")
        page.get_by_role("button", name="Add stop").click()
        page.get_by_role("button", name="All fields").click()
    elif scene == "gate":
        page.get_by_role("button", name="Last", exact=True).click()
        page.get_by_role("button", name="Answer", exact=True).click()


@pytest.mark.parametrize("width, height", SIZES)
def test_nothing_is_cut_small_overlapping_or_hard_to_hit(open_story, width, height):
    page = open_story(counter(), viewport={"width": width, "height": height})

    for scene in SCENES:
        arrange(page, scene)
        keep(page, f"{scene}-{width}-light")
        assert page.evaluate(MEASURE) == [], scene


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_lines_stand_out_from_their_ground(open_story, scheme):
    page = open_story(counter(), viewport={"width": 1280, "height": 720}, color_scheme=scheme)

    assert page.evaluate("getComputedStyle(document.querySelector('.hvlab')).colorScheme") == scheme
    for scene in SCENES:
        arrange(page, scene)
        keep(page, f"{scene}-1280-{scheme}")
        assert page.evaluate(CONTRAST) == [], scene


def test_full_screen_is_read_from_the_last_row(open_story):
    page = open_story(counter(), viewport={"width": 1280, "height": 720})
    page.get_by_role("button", name="Full screen", exact=True).click()
    page.wait_for_selector(".hvlab.full")

    for scene in SCENES:
        arrange(page, scene)
        keep(page, f"{scene}-full")
        assert page.evaluate(MEASURE) == [], scene


def test_the_ground_decides_between_light_and_dark_and_is_watched(open_story):
    page = open_story(counter(), color_scheme="light")

    page.evaluate("document.body.style.background = '#181818'")

    page.wait_for_selector(".hvlab.dark")
    assert page.evaluate(CONTRAST.replace("'.picture rect, .picture path'", "'.none'")) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_forced_colours_keep_the_lit_box_and_every_control(open_story, scheme):
    page = open_story(counter(), forced_colors="active", color_scheme=scheme, viewport={"width": 1280, "height": 720})
    page.get_by_role("button", name="Next", exact=True).click()

    strokes = page.evaluate(
        "['.lit .box', '.box:not(.lit .box)'].map((one) =>"
        " getComputedStyle(document.querySelector('.picture ' + one)).stroke)"
    )
    keep(page, f"forced-{scheme}")

    assert strokes[0] != strokes[1]
    assert page.evaluate(CONTRAST) == []


def test_reduced_motion_moves_nothing_and_the_switch_does_the_same(open_story):
    moves = """[...document.querySelectorAll('.hvlab *')].filter((node) =>
      getComputedStyle(node).transitionDuration.split(', ').some((one) => parseFloat(one) > 0)).length"""
    reduced = open_story(counter())
    assert reduced.evaluate(moves) == 0

    page = open_story(counter(), reduced_motion="no-preference")
    assert page.evaluate(moves) > 0
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_label("no motion").check()
    assert page.evaluate(moves) == 0


def test_focus_is_seen_and_stays_where_it_was(open_story):
    page = open_story(counter())

    page.locator(".slider").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    outline = page.evaluate(
        "(style => [style.outlineStyle, style.outlineWidth])(getComputedStyle(document.activeElement))"
    )
    assert outline == ["solid", "3px"]
    page.keyboard.press("ArrowRight")

    assert page.evaluate("document.activeElement.className") == "slider"


def test_text_spacing_and_large_type_cut_nothing(open_story):
    page = open_story(counter(), viewport={"width": 876, "height": 640})
    arrange(page, "bytes")

    page.add_style_tag(
        content="* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important }"
    )

    assert [one for one in page.evaluate(MEASURE) if one.startswith(("cut", "clipped", "the page"))] == []


def test_the_narrowest_view_begins_with_the_table_and_scrolls_in_the_picture_only(open_story):
    page = open_story(counter(), viewport={"width": 320, "height": 700})

    table, picture = page.locator(".twin").bounding_box(), page.locator(".region").bounding_box()

    assert table["y"] < picture["y"]
    assert page.locator(".region").get_attribute("tabindex") == "0"
    page.get_by_role("button", name="Next", exact=True).click()
    lit, region = page.locator(".picture .lit rect").first.bounding_box(), page.locator(".region").bounding_box()
    assert lit["x"] >= region["x"] - 1 and lit["x"] + lit["width"] <= region["x"] + region["width"] + 1


@pytest.mark.parametrize("width, least", [(1280, 17.5), (876, 13)])
def test_a_teachers_player_is_as_large_as_there_is_room(open_story, monkeypatch, width, least):
    monkeypatch.setenv("HVLAB_MODE", "teach")

    page = open_story(whole_life().story, viewport={"width": width, "height": 720})

    keep(page, f"teacher-{width}-light")
    sizes = page.evaluate("""() => {
      const svg = document.querySelector('.picture');
      const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
      return [13 * scale, ...['.caption', 'button', 'td'].map((one) =>
        parseFloat(getComputedStyle(document.querySelector('.hvlab ' + one)).fontSize))];
    }""")
    assert sizes[0] >= least and sizes[1:] == [21, 18, 16]
    assert page.evaluate(MEASURE) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


TEXT = """(attributes) => {
  const svg = document.querySelector('.picture'), one = document.createElementNS(svg.namespaceURI, 'text');
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  one.textContent = 'planted';
  svg.append(one);
}"""
PLANTED = {
    "overlap: ": (MEASURE, f"for (const x of [40, 44]) ({TEXT})({{ x, y: 40 }})"),
    "small: 4.0 px": (MEASURE, f"({TEXT})({{ x: 40, y: 40, style: 'font-size: 4px' }})"),
    "out of the picture by": (MEASURE, f"({TEXT})({{ x: -20, y: 40 }})"),
    "cut: ": (MEASURE, "document.querySelector('.hvlab').style.width = '3000px'"),
    "the page scrolls sideways": (MEASURE, "document.body.style.width = '3000px'"),
    "target: ": (MEASURE, "document.querySelector('.hvlab button').style = 'min-height: 0; height: 9px'"),
    '1.00 "planted': (CONTRAST, f"({TEXT})({{ x: 40, y: 40, style: 'fill: #fff' }})"),
    "line 1.": (CONTRAST, "for (const one of document.querySelectorAll('.picture rect')) one.style.stroke = '#eee'"),
    "border 1.": (CONTRAST, "document.querySelector('.hvlab button').style.borderColor = '#eee'"),
}


@pytest.mark.parametrize("found", PLANTED)
def test_each_check_finds_what_is_planted(open_story, found):
    check, plant = PLANTED[found]
    page = open_story(counter(gates=()), viewport={"width": 1280, "height": 720}, color_scheme="light")
    assert page.evaluate(check) == []

    page.evaluate(f"() => {{ {plant} }}")

    said = page.evaluate(check)
    assert [one for one in said if one.startswith(found)], said
