"""The pictures of a VMBus in three rooms: channels, a message, rings, pages, bells; all of it can be read."""

from pathlib import Path

import pytest
from story.buses import lies, whole_life

from browser.conftest import keep
from browser.test_lessons_layout import CONTRAST, MEASURE, ROOMS, VISIT
from browser.test_pictures import frames
from hvlab.lab.doorbells import doorbells
from hvlab.lab.talk import ready
from hvlab.story.channels import bus_story
from hvlab.story.picture import changes_at
from hvlab.view.export import page as page_of
from hvlab.view.export import stage

pytestmark = pytest.mark.browser
LEAST = 40  # looks at pictures, frames and tables


@pytest.fixture(scope="module")
def stories():
    return [bus_story(whole_life()), bus_story(lies(), "request"), doorbells().story]


@pytest.fixture(scope="module")
def bus_page(stories, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bus") / "bus.html"
    path.write_text(page_of("VMBus", "".join(stage(one) for one in stories)), encoding="utf-8")
    return path


@pytest.mark.parametrize("room", ROOMS)
def test_every_picture_of_a_bus_can_be_read_at_its_key_frames(open_page, bus_page, room):
    (width, height), scheme, checks = ROOMS[room]

    page = open_page(bus_page, viewport={"width": width, "height": height}, color_scheme=scheme)

    page.evaluate(VISIT)
    assert MEASURE in checks and (CONTRAST in checks or width < 780)
    assert page.evaluate(f"visit.all([{', '.join(checks)}], {LEAST})") == []


def test_the_browser_draws_what_python_says_and_no_picture_is_heavy(open_story, stories):
    story = stories[0]
    page = open_story(story, viewport={"width": 1280, "height": 720})

    for picture in story.scene["pictures"]:
        page.get_by_role("button", name=picture["name"], exact=True).click()
        for k in frames(story)[::2]:
            page.locator(".number").fill(str(k))
            page.locator(".number").press("Enter")
            asked = changes_at(picture, story.state_at(k), story.changed_at(k), story.kinds_of_facts, story.enums)
            drawn = page.evaluate("[...document.querySelectorAll('.picture text')].map((one) => one.textContent)")
            assert {ask[2] for ask in asked if ask[1] == "text"} <= set(drawn), (picture["name"], k)
        assert page.evaluate("document.querySelectorAll('.picture *').length") <= 1500, picture["name"]


@pytest.mark.parametrize("number", [1, 2])
def test_full_screen_is_read_from_the_last_row(open_story, stories, number):
    story = stories[number]
    page = open_story(story, viewport={"width": 1280, "height": 720})
    page.get_by_role("button", name="Full screen", exact=True).click()
    page.wait_for_selector(".hvlab.full")

    for picture in story.scene["pictures"]:
        if len(story.scene["pictures"]) > 1:
            page.get_by_role("button", name=picture["name"], exact=True).click()
        for k in (0, len(story) // 2, len(story) - 1):
            page.locator(".number").fill(str(k))
            page.locator(".number").press("Enter")
            assert page.evaluate(MEASURE) == [], (picture["name"], k)


def test_a_pointer_on_a_packet_or_a_message_goes_to_the_frame_that_wrote_it(open_story, stories):
    story = stories[0]
    page = open_story(story, viewport={"width": 1280, "height": 720})
    written = next(k for k, row in enumerate(story.rows()) if "writes a packet" in row["what"])
    page.get_by_role("button", name="Rings 1", exact=True).click()
    page.locator(".number").fill(str(written + 1))
    page.locator(".number").press("Enter")

    page.locator(".picture .jump:not(.off) rect").first.click()

    assert int(page.locator(".number").input_value()) == written
    page.get_by_role("button", name="Bytes", exact=True).click()
    page.locator(".bytes select").select_option(label="packet 1, guest to host, channel 1")
    assert page.locator(".bytes caption").inner_text().startswith("packet 1, guest to host, channel 1")


def at_frame(page, story, says):
    """Go to the first frame that says this, with the rings on show."""
    page.get_by_role("button", name="Rings 1", exact=True).click()
    k = next(k for k, row in enumerate(story.rows()) if says in row["what"])
    page.locator(".number").fill(str(k))
    page.locator(".number").press("Enter")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 876])
def test_a_packet_that_wraps_is_drawn_at_both_ends_of_the_strip_and_over_the_top_of_the_dial(open_story, width, scheme):
    turned = ready()
    story = (turned.send(bytes(900), times=4) + turned.drain() + turned.send(bytes(900))).story
    page = open_story(story, viewport={"width": width, "height": 720}, color_scheme=scheme)
    at_frame(page, story, "at 0xe80")
    keep(page, f"ring-wraps-{width}-{scheme}")

    pieces, strip = page.evaluate("""() => {
      const box = (one) => { const { x, width } = one.getBBox(); return [x, x + width]; };
      const block = [...document.querySelectorAll('.picture .lit.jump')].find((one) => one.querySelector('rect'));
      const ground = block.parentNode.querySelector(':scope > rect.plain');
      return [[...block.querySelectorAll('rect')].map(box), box(ground)];
    }""")
    numbers = page.locator(".picture .lit.jump text").all_text_contents()

    assert [round(edge) for piece in pieces for edge in piece] == [
        round(edge) for edge in (strip[0] + 3712 / 4096 * (strip[1] - strip[0]), strip[1],
                                 strip[0], strip[0] + 544 / 4096 * (strip[1] - strip[0]))
    ]  # fmt: skip
    assert numbers == ["5"]
    assert page.evaluate(MEASURE) == [] and page.evaluate(CONTRAST) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 876])
def test_a_writer_that_waits_for_room_is_seen_until_the_read_that_makes_it(open_story, width, scheme):
    full = ready()
    story = (full.send(bytes(900), times=5) + full.wait_for(928) + full.drain()).story
    page = open_story(story, viewport={"width": width, "height": 720}, color_scheme=scheme)
    mark = page.locator(".picture g.signal text", has_text="P").locator("visible=true")
    seen = []

    for says in ("publishes the write index", "waits for 928", "signals that there is room"):
        at_frame(page, story, says)
        keep(page, f"ring-waits-{width}-{scheme}-{len(seen)}")
        seen.append(mark.count())
        assert page.evaluate(MEASURE) == [] and page.evaluate(CONTRAST) == []

    assert seen == [0, 1, 1]
    assert page.locator(".picture").get_by_text("signal: now there is room", exact=True).is_visible()
