"""The whole lab in a browser from file://: by keyboard alone, on a narrow screen, in both themes, on paper."""

import re
from pathlib import Path

import pytest
from whole_site import whole_site

from browser.conftest import keep
from hvlab.notebooks import shipped
from hvlab.view import site

pytestmark = pytest.mark.browser
OTHERS = [name for name, _title in site.PAGES]
LESSONS = [f"{path.stem}.html" for path in shipped()]
CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
TEXT_OF_PAGE = re.sub(r"root = document\.querySelector\([^,]*,", "root = document.body,", CONTRAST)
NAME = "document.activeElement.textContent"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return whole_site(tmp_path_factory)


@pytest.fixture
def open_file(open_page, folder):
    """Open a page of the site; whatever it fetches, on any page that it leads to, comes from its own folder."""
    opened = []

    def open_one(name, **options):
        page = open_page(folder / name, ready="main h1", **options)
        page.on("request", lambda request: asked.append(request.url))
        opened.append(page)
        return page

    asked = []
    yield open_one
    for page in opened:
        asked += page.evaluate("performance.getEntriesByType('resource').map((one) => one.name)")
    assert opened and [url for url in asked if not url.startswith(("file://", "data:", "blob:"))] == []


def tab_to(page, text, most=60):
    """Press Tab until the link or button of this name has the focus."""
    for _step in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(NAME).strip() == text:
            return
    raise AssertionError(f"{text!r} is not reached by Tab")


def at(page):
    return page.url.rsplit("/", 1)[1]


def test_from_the_index_through_a_lesson_to_a_word_and_back_by_keyboard_alone(open_file):
    page = open_file("index.html")
    page.keyboard.press("Tab")
    assert page.evaluate(NAME) == "Skip to the text" and page.locator(".skip").bounding_box()["y"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"

    title = page.locator("main tbody a").first.inner_text()
    tab_to(page, title)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    page.keyboard.press("Enter")
    page.wait_for_selector(".hvlab .caption:not(:empty)")
    assert at(page) == LESSONS[0]

    word = page.locator(".words a").first.inner_text()
    tab_to(page, word)
    page.keyboard.press("Enter")
    page.wait_for_url("**/glossary.html#*")
    card = page.locator(":target")
    assert card.locator("h3").inner_text().startswith(word) and card.bounding_box()["y"] < 100

    page.go_back()
    page.go_back()
    page.wait_for_selector("main tbody a")
    assert at(page).split("#")[0] == "index.html"


def test_each_page_leads_to_the_next_lesson_and_past_all_players(open_file):
    page = open_file(LESSONS[0])
    following = page.locator("footer a[rel=next]")

    following.focus()
    page.keyboard.press("Enter")

    page.wait_for_url(f"**/{LESSONS[1]}")
    assert page.locator("footer a[rel=prev]").count() == 1


@pytest.mark.parametrize("name", OTHERS + LESSONS)
def test_a_narrow_screen_needs_no_scrolling_to_the_side(open_file, name):
    page = open_file(name, viewport={"width": 320, "height": 700})
    if name in LESSONS:
        page.wait_for_selector(".hvlab .caption:not(:empty)")
    keep(page, f"site-{name}-320")

    assert page.evaluate("document.documentElement.scrollWidth") == 320


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", OTHERS)
def test_text_stands_out_from_its_ground(open_file, name, scheme):
    page = open_file(name, viewport={"width": 1280, "height": 720}, color_scheme=scheme)
    page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
    keep(page, f"site-{name}-1280-{scheme}")

    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)" if scheme == "light" else "rgb(33, 33, 33)"
    )
    assert page.evaluate(TEXT_OF_PAGE) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_text_of_a_lesson_stands_out_around_its_players(open_file, scheme):
    page = open_file(LESSONS[0], viewport={"width": 1280, "height": 720}, color_scheme=scheme)
    page.wait_for_selector(".hvlab .caption:not(:empty)")
    page.evaluate("for (const one of document.querySelectorAll('.hvlab')) one.remove()")

    assert page.evaluate(TEXT_OF_PAGE) == []


@pytest.mark.parametrize("name", OTHERS)
def test_links_of_the_navigation_are_large_enough_to_hit(open_file, name):
    page = open_file(name, viewport={"width": 500, "height": 800})

    small = page.evaluate(
        "[...document.querySelectorAll('nav a, footer a, .words a')].map((one) => [one.textContent, "
        "one.getBoundingClientRect()]).filter(([, box]) => box.width < 24 || box.height < 24)"
    )
    assert small == []


def test_on_paper_a_player_has_words_and_picture_but_nothing_to_press(open_file):
    page = open_file(LESSONS[-1], viewport={"width": 794, "height": 1123}, color_scheme="dark")
    page.wait_for_selector(".hvlab .caption:not(:empty)")

    page.emulate_media(media="print", color_scheme="dark")

    player = page.locator(".hvlab").first
    pressed = "button, input, select, .site, .skip, .turn"
    shown = f"[...document.querySelectorAll({pressed!r})].filter((one) => one.checkVisibility()).length"
    assert page.evaluate(shown) == 0
    assert player.locator(".caption").is_visible() and player.locator(".picture").first.is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.hvlab')).colorScheme") == "light"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("details[open]").count() == 0  # what a prediction asks stays folded
    keep(page, "site-lesson-print")


def test_without_scripts_the_pages_are_read_all_the_same(open_file):
    for name in [*OTHERS, LESSONS[0]]:
        page = open_file(name, java_script_enabled=False)

        assert page.locator("main").inner_text().strip()
    assert page.locator(".hvlab-still").first.is_visible()
