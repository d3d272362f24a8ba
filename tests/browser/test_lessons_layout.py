"""Every player of every lesson, as a reader meets it in the exported page: nothing cut, overlapping, faint or small."""

from pathlib import Path

import pytest

from browser.lessons import LESSONS, stories

pytestmark = pytest.mark.browser
HERE = Path(__file__).parent
MEASURE, CONTRAST, VISIT = ((HERE / name).read_text("utf-8") for name in ("measure.js", "contrast.js", "visit.js"))
WHOLE = """() => [...document.querySelectorAll('.hvlab[data-measured] .region[tabindex]')]
  .map((one) => `the picture scrolls sideways: ${one.scrollWidth} in ${one.clientWidth}`)"""
ROOMS = {  # width of the window, theme, what is measured
    "1280 light": ((1280, 720), "light", [MEASURE, CONTRAST, WHOLE]),
    "844 dark": ((876, 720), "dark", [MEASURE, CONTRAST, WHOLE]),
    "500 light": ((500, 800), "light", [MEASURE]),
}


@pytest.mark.parametrize("room", ROOMS)
@pytest.mark.parametrize("number", LESSONS)
def test_every_player_can_be_read_at_its_key_frames(open_page, lesson_page, number, room):
    (width, height), scheme, checks = ROOMS[room]
    path = lesson_page(number)
    least = sum(2 + max(1, len(scene["pictures"])) for scene in stories(path))

    page = open_page(path, viewport={"width": width, "height": height}, color_scheme=scheme)

    page.evaluate(VISIT)
    assert page.evaluate(f"visit.all([{', '.join(checks)}], {least})") == []
