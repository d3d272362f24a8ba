"""Budgets that are counts or bytes, on a story of real addresses: what a notebook sends, keeps and leaves running."""

import base64
import json

import pytest

from benchmarks import browser, screen

pytestmark = pytest.mark.browser
STEP = """async ([count, pause]) => {
  const slider = document.querySelector('.hvlab .slider');
  for (let k = 0; k < count; k++) {
    slider.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowRight', bubbles: true }));
    await new Promise((done) => setTimeout(done, pause));
  }
  return probe.models[0].sent;
}"""


@pytest.fixture(scope="module")
def story():
    return screen.walks(500)


@pytest.fixture
def notebook(open_page, tmp_path):
    """A page with the widget's module, and a stand-in for the model that a notebook gives it."""
    path = browser.widget_page(tmp_path)
    return open_page(path, ready=".ready", script=browser.PROBE.read_text(encoding="utf-8"))


def frames(page):
    return page.evaluate("[...document.querySelectorAll('.hvlab .number')].map((one) => one.value)")


def test_stepping_sends_nothing_and_resting_sends_the_step_once(notebook, story):
    browser.show(notebook, story, views=2)

    assert notebook.evaluate(STEP, [30, 10]) == []
    assert frames(notebook) == ["30", "30"]
    notebook.wait_for_function("() => probe.models[0].sent.length")
    notebook.wait_for_timeout(300)

    assert [json.loads(one) for one in notebook.evaluate("probe.models[0].sent")] == [{"step": 30}]


KEYS = """async ([scene, story, keys]) => {
  probe.show([scene, story, 0, 1]);
  while (!document.querySelector('.hvlab .slider')) await Promise.resolve();
  const slider = document.querySelector('.hvlab .slider'), whole = probe.told.whole !== undefined;
  for (const key of keys) slider.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true }));
  return whole;
}"""


def test_keys_that_are_pressed_before_the_story_is_unpacked_all_count(notebook, story):
    packed = base64.b64encode(story.to_bytes()).decode()
    notebook.wait_for_function("() => window.widget")
    keys = ["ArrowRight", "ArrowRight", "PageDown", "ArrowRight", "ArrowLeft", "ArrowRight"]

    assert not notebook.evaluate(KEYS, [json.dumps(story.scene), packed, keys])

    notebook.wait_for_function("() => document.querySelector('.hvlab .number').value !== '0'")
    assert frames(notebook) == ["13"]


def test_twelve_players_keep_little_and_run_nothing_when_idle(notebook, story):
    notebook.wait_for_function("() => window.widget")
    before = screen.heap(notebook)
    for _ in range(12):
        browser.show(notebook, story)
    notebook.wait_for_function("() => document.querySelectorAll('.hvlab .caption:not(:empty)').length === 12")
    notebook.wait_for_timeout(500)

    assert screen.heap(notebook) - before <= 40 * 2**20
    begun = notebook.evaluate("probe.told.timers + probe.told.frames")
    notebook.wait_for_timeout(500)
    assert notebook.evaluate("probe.told.timers + probe.told.frames") == begun


def test_the_whole_story_is_there_after_its_first_frame(notebook, story):
    browser.show(notebook, story, step=499)

    notebook.wait_for_function("() => probe.told.whole")

    assert frames(notebook) == ["499"]
    assert notebook.locator(".hvlab .caption").inner_text() == story.describe(499)
    assert notebook.evaluate("document.querySelectorAll('.hvlab .picture *').length") <= 1500
