"""The pictures of a VMBus in three rooms: channels, a message, rings, pages, bells; all of it can be read."""

from pathlib import Path

import pytest
from story.buses import lies, whole_life

from browser.test_lessons_layout import CONTRAST, MEASURE, ROOMS, VISIT
from browser.test_pictures import frames
from hvlab.lab.bells import doorbells
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
