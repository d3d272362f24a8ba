"""The player in a browser: stepping, seeking, gates, filters, stops and cards do what they say, by mouse and by key."""

import json
import random
from pathlib import Path

import pytest
from story.counter import GATE, counter

from browser.conftest import frame, keep, kept
from hvlab.story.gate import Gate

pytestmark = pytest.mark.browser
SHOWN = """() => {
  const text = (what) => [...document.querySelectorAll('.hvlab ' + what)].map((node) => node.textContent).join('|');
  const svg = document.querySelector('.hvlab .picture');
  const drawn = [...svg.querySelectorAll('rect, text, path, g')].map((node) =>
    [node.getAttribute('class'), node.getAttribute('width'), node.tagName === 'g' ? '' : node.textContent].join(' '));
  const said = svg.querySelector('desc').textContent;
  return JSON.stringify([text('.caption'), text('.state td'), text('.fields'), text('.bit span'), said, drawn]);
}"""


@pytest.fixture(scope="module")
def story():
    return counter()


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def to(page, k):
    page.locator(".hvlab .number").fill(str(k))
    page.locator(".hvlab .number").press("Enter")
    assert frame(page) == k


def test_buttons_slider_field_and_keys_step_to_the_frame_they_name(open_story, story):
    page, last = open_story(story, teacher=True), len(story) - 1

    button(page, "Next").click()
    assert page.locator(".caption").inner_text() == story.describe(1)
    button(page, "Last").click()
    assert frame(page) == last
    button(page, "Back").click()
    assert page.locator(".caption").inner_text() == story.describe(last - 1)
    button(page, "First").click()
    to(page, 31)
    page.locator(".slider").evaluate("node => { node.value = 40; node.dispatchEvent(new Event('input')) }")
    assert frame(page) == 40
    page.locator(".slider").focus()
    for key, k in [
        ("ArrowLeft", 39),
        ("PageDown", 49),
        ("PageUp", 39),
        ("Home", 0),
        ("End", last),
        ("ArrowLeft", last - 1),
    ]:
        page.keyboard.press(key)
        assert frame(page) == k


def test_any_way_to_a_frame_shows_what_a_fresh_page_shows_there(open_story, story):
    walked, draw = open_story(story, teacher=True), random.Random(7)

    frames = [draw.randrange(1, len(story) - 1) for _ in range(100)]
    seen = walked.evaluate(
        f"""(frames) => {{
          const shown = {SHOWN}, [field, slider] = ['.number', '.slider'].map((one) => document.querySelector(one));
          const key = (name) => slider.dispatchEvent(new KeyboardEvent('keydown', {{ key: name, bubbles: true }}));
          return frames.map((k) => {{
            field.value = k;
            field.dispatchEvent(new Event('change'));
            const there = shown();
            key('ArrowRight'), key('ArrowLeft');
            const again = shown();
            key('ArrowLeft'), key('ArrowRight');
            return [k, there === again && again === shown(), there];
          }});
        }}""",
        frames,
    )
    assert all(same for _, same, _ in seen)

    fresh = open_story(story, teacher=True)
    for k, _, there in seen[:5]:
        fresh.reload()
        fresh.wait_for_selector(".caption:not(:empty)")
        to(fresh, k)
        assert fresh.evaluate(SHOWN) == there


def test_state_shows_the_old_value_beside_the_new_one(open_story, story):
    page = open_story(story, teacher=True)
    to(page, 1)

    row = page.locator(".state tr", has_text="Writes so far")

    assert row.locator("s").inner_text() == "0" and row.locator("b").inner_text() == "1"
    assert page.locator(".state tr", has_text="Digit 2").locator("s").count() == 0


def test_a_gate_closes_the_story_in_every_way_until_the_prediction_is_in(open_story, story):
    page = open_story(story)
    closed = GATE.frame

    page.locator(".slider").focus()
    for key in ("End", "PageDown", "ArrowRight"):
        page.keyboard.press(key)
        assert frame(page) == closed
    button(page, "Last").click()
    page.locator(".number").fill("60")
    page.locator(".number").press("Enter")
    page.keyboard.press("Escape")
    button(page, "Table").click()
    assert frame(page) == closed and page.locator(".twin tbody tr").count() == closed + 1
    assert "Predict first" in page.locator(".hvlab > [role=status]").inner_text()

    field = page.locator(".gate input[type=text]")
    field.fill("many")
    button(page, "Answer").click()
    assert page.locator(".gate .fault").inner_text() == "wanted a whole number such as 24 or 0x18"
    assert field.input_value() == "many" and field.get_attribute("aria-invalid") == "true"
    keep(page, "gate")

    field.fill("0x14")
    page.get_by_label("sure").check()
    field.press("Enter")
    assert page.locator(".gate").count() == 0
    assert "Step on" in page.locator(".outcome").inner_text() and "26" not in page.locator(".outcome").inner_text()
    button(page, "Last").click()
    assert "You said 20, sure. The machine made 26 writes. one write a tick" in page.locator(".outcome").inner_text()
    button(page, "Go to frame 13").click()
    assert frame(page) == 13 and page.locator(".twin tbody tr").count() == len(story)


def test_choices_are_native_controls_and_answers_pin_one_after_the_other(open_story):
    choices = [{"value": 1, "label": "one"}, {"value": 2, "label": "two"}, {"value": 4, "label": "none"}]
    gates = [
        Gate("a", 1, "Does it run over?", "yes", "state", at=5),
        Gate("b", 3, "Which digits?", "subset", "digit0", at=8, choices=choices),
        Gate("c", 5, "Which digit?", "pick", "digit0", at=4, choices=choices),
    ]
    page = open_story(counter(gates=gates))

    page.locator(".slider").focus()
    page.keyboard.press("End")
    page.get_by_label("no", exact=True).check()
    button(page, "Answer").click()
    page.keyboard.press("End")
    assert frame(page) == 3
    page.get_by_label("one", exact=True).check()
    page.get_by_label("two").check()
    button(page, "Answer").click()
    page.keyboard.press("End")
    button(page, "Answer").click()
    assert page.locator(".gate .fault").inner_text() == "wanted one of the choices"
    page.get_by_label("two").check()
    button(page, "Answer").click()
    page.keyboard.press("End")

    assert [line.split(".")[0] for line in page.locator(".outcome").all_inner_texts()] == [
        "You said no, think",
        "You said one, two, think",
        "You said two, think",
    ]


def test_of_two_predictions_at_one_frame_the_second_is_said_and_has_the_focus(open_story):
    gates = [
        Gate("a", 3, "First question?", "int", "state", at=5),
        Gate("b", 3, "Second question?", "int", "state", at=5),
    ]
    page = open_story(counter(gates=gates))

    page.locator(".slider").focus()
    page.keyboard.press("End")
    page.locator(".gate input[type=text]").fill("1")
    page.keyboard.press("Enter")

    assert page.locator(".hvlab > [role=status]").inner_text() == "Predict first. Second question?"
    assert page.evaluate("document.activeElement.matches('form.gate input[type=text]')")
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    assert page.locator(".hvlab > [role=status]").inner_text() == "Your prediction is in; the story goes on."
    assert page.evaluate("document.activeElement.textContent.trim()") == "Next"


def test_play_runs_stops_at_a_stop_and_names_its_button_by_what_it_does(open_story, story):
    page = open_story(story, teacher=True)
    button(page, "More").click()
    page.get_by_label("Stop at").select_option(label="Counter")
    page.get_by_label("Condition").select_option("=")
    page.get_by_label("Value").fill("nothing")
    button(page, "Add stop").click()
    assert "such as 24" in page.locator(".note").inner_text()
    page.get_by_label("Value").fill("2")
    button(page, "Add stop").click()
    page.get_by_label("Speed").select_option("10")

    button(page, "Play").click()
    assert button(page, "Pause").count() == 1 and button(page, "Pause").get_attribute("aria-pressed") is None
    page.wait_for_function("() => document.querySelector('.number').value === '4'")
    page.wait_for_selector("button:has-text('Play')")

    assert frame(page) == 4 and story.value("count", 4) == 2
    assert page.locator(".hvlab > [role=status]").inner_text().startswith("Paused. Frame 4 of 65")
    button(page, "Run to stop").click()
    assert frame(page) == len(story) - 1


def test_play_stops_at_a_gate_and_asks(open_story, story):
    page = open_story(story)
    page.get_by_label("Speed").select_option("10")

    button(page, "Play").click()
    page.locator(".gate").wait_for()
    page.wait_for_selector("button[title=Play]")

    assert frame(page) == GATE.frame
    assert page.locator(".hvlab > [role=status]").inner_text().startswith("The story is closed from here on")


def test_play_pauses_when_the_player_leaves_the_view(open_story, story):
    page = open_story(story, teacher=True)
    page.evaluate("() => { document.querySelector('main').style.paddingBottom = '3000px' }")
    button(page, "Play").click()
    assert button(page, "Pause").count() == 1

    page.evaluate("() => scrollTo(0, 2900)")

    page.wait_for_selector("button[title=Play]", state="attached")


def test_nothing_is_said_while_it_plays_and_a_manual_step_stops_it(open_story, story):
    page = open_story(story, teacher=True)
    page.get_by_label("Speed").select_option("10")
    page.evaluate("""() => {
      window.said = [];
      const all = { childList: true, characterData: true, subtree: true };
      new MutationObserver(() => said.push(1)).observe(document.querySelector('.hvlab > [role=status]'), all);
    }""")

    button(page, "Play").click()
    page.wait_for_function("() => Number(document.querySelector('.number').value) > 2")
    assert page.evaluate("said.length") == 0
    button(page, "Next").click()

    assert button(page, "Play").count() == 1 and page.evaluate("said.length") > 0


def test_letters_go_to_kind_and_cause_and_act_inside_the_player_only(open_story, story):
    page = open_story(story, teacher=True)
    page.keyboard.press("n")
    assert frame(page) == 0
    page.locator(".slider").focus()
    page.keyboard.press("n")
    assert frame(page) == 3
    page.keyboard.press("p")
    assert frame(page) == 0
    to(page, 5)
    page.locator(".slider").focus()
    page.keyboard.press("c")
    assert frame(page) == story.columns["cause"][5] == 4
    page.keyboard.press("t")
    assert page.locator(".twin").is_visible()
    page.get_by_label("Text in the row").fill("cnt")
    assert frame(page) == 4


def test_keys_do_not_reach_the_page_but_those_that_a_notebook_needs(open_story, story):
    page = open_story(story, teacher=True)
    page.evaluate("() => { window.heard = []; document.addEventListener('keydown', (event) => heard.push(event.key)) }")
    button(page, "Next").focus()

    for key in ("a", "b", "x", "z", "ArrowRight", "Enter", "Control+s", "Shift+Enter", "Tab"):
        page.keyboard.press(key)

    heard = page.evaluate("heard")
    assert [key for key in heard if key not in ("Control", "Shift")] == ["s", "Enter", "Tab"]


def test_steps_by_phase_land_where_phases_begin(open_story, story):
    page = open_story(story, teacher=True)
    page.get_by_label("Step by").select_option("phase")
    begins = [k for k in range(1, len(story)) if story.columns["phase"][k] != story.columns["phase"][k - 1]]

    seen = []
    for _ in range(6):
        button(page, "Next").click()
        seen.append(frame(page))

    assert seen == begins[:6]


def test_the_table_filters_marks_the_step_and_jumps(open_story, story):
    page = open_story(story, teacher=True)
    button(page, "Table").click()
    to(page, 7)

    assert page.locator("tr[aria-current=step] th").inner_text() == "7"
    page.get_by_label("Only kind").select_option(label="overflowed")
    assert page.locator(".twin tbody tr").count() == 0
    page.get_by_label("Only kind").select_option(label="digit cleared")
    cleared = [
        k for k in range(len(story)) if story.scene["kinds"][story.columns["kind"][k]]["name"] == "digit_cleared"
    ]
    assert [int(text) for text in page.locator(".twin tbody th").all_inner_texts()] == cleared
    page.locator(".twin tbody th button").nth(2).click()
    assert frame(page) == cleared[2]
    page.get_by_label("Only kind").select_option("-1")
    page.get_by_label("Text in the row").fill("tick 11 ")
    page.wait_for_function("() => document.querySelectorAll('.twin tbody tr').length === 2")
    with page.expect_download() as saved:
        button(page, "Save as CSV").click()
    lines = Path(saved.value.path()).read_bytes().decode().split("\r\n")
    assert len(lines) == 4 and lines[1].startswith("35,")


def test_a_card_tells_a_box_and_escape_closes_it_and_gives_focus_back(open_story, story):
    page = open_story(story, teacher=True)
    button(page, "More").click()
    box = page.get_by_label("Box", exact=True)
    box.select_option(label="Memory")

    card = page.locator(".card")
    assert "Keeps the digits." in card.inner_text() and "Counter manual 3" in card.inner_text()
    button(page, "Next of box").click()
    assert frame(page) == 1
    page.keyboard.press("Escape")
    assert not card.is_visible() and page.evaluate("document.activeElement.ariaLabel") == "Box"
    page.keyboard.press("Escape")
    assert not page.locator(".more").is_visible()


def test_bytes_show_fields_changes_and_who_wrote_them(open_story, story):
    page = open_story(story, teacher=True)
    button(page, "Bytes").click()
    to(page, 4)

    row = page.locator(".bytes tr", has_text="digit0")
    assert row.locator("s").inner_text() == "1" and row.locator("b").inner_text() == "2"
    assert page.locator(".byte.changed").count() == 1
    button(page, "note").click()
    assert page.locator(".byte.chosen").count() == 16
    button(page, "Go to frame 2, which wrote it").click()
    assert frame(page) == 2
    to(page, 20)
    page.get_by_label("Compare with frame").fill("2")
    page.get_by_label("Compare with frame").press("Enter")
    old, new = story.bytes_at(0, 2), story.bytes_at(0, 20)
    assert page.locator(".byte.changed").count() == sum(a != b for a, b in zip(old, new, strict=True))
    page.locator(".byte[data-at='1']").click()
    assert page.locator(".bytes [aria-pressed=true]").inner_text() == "digit0"


def test_the_ruler_marks_fields_changes_and_reserved_bits_that_are_set(open_story):
    story = counter(70, gates=())
    over = next(k for k in range(len(story)) if story.value("state", k) == 2)
    page = open_story(story)
    to(page, over)

    bits = page.locator(".bit span").all_inner_texts()

    assert int("".join(bits), 2) == story.value("register", over) % (1 << 64)
    assert page.locator(".bit.changed").count() == bin(
        (story.value("register", over) ^ story.value("register", over - 1)) % (1 << 64)
    ).count("1")
    assert page.locator(".ruler tr", has_text="overflow").locator("s").inner_text() == "no"
    button(page, "All fields").click()
    assert page.locator(".ruler tbody tr").count() == 7


def test_a_click_on_a_picture_goes_where_its_binding_says(open_story, story):
    page = open_story(story, teacher=True)

    page.locator(".picture rect").nth(4).click()

    assert frame(page) == 2


def test_the_whole_player_is_used_by_keyboard_alone(open_story, story):
    page = open_story(story)

    def tab_to(name):
        for _ in range(60):
            page.keyboard.press("Tab")
            focused = "(a => a.ariaLabel || a.textContent.trim() || a.type)(document.activeElement)"
            if page.evaluate(focused) == name:
                return
        raise AssertionError(f"Tab never reaches {name}")

    tab_to("Next")
    for _ in range(8):
        page.keyboard.press("Space")
    assert frame(page) == GATE.frame
    assert page.evaluate("document.activeElement.textContent.trim()") == "Next"
    tab_to("text")
    page.keyboard.type("26")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Next"
    page.keyboard.press("End")
    assert frame(page) == len(story) - 1
    assert "You said 26, think. The machine made 26 writes." in page.locator(".outcome").inner_text()
    page.keyboard.press("t")
    tab_to("7")
    page.keyboard.press("Enter")
    assert frame(page) == 7
    tab_to("because of frame 6")


def test_the_slider_and_the_status_say_frame_and_caption(open_story, story):
    page = open_story(story, teacher=True)
    button(page, "Next").click()

    assert (
        page.locator(".slider").get_attribute("aria-valuetext") == f"Frame 1 of {len(story) - 1}: {story.describe(1)}"
    )
    assert page.locator(".hvlab > [role=status]").inner_text() == f"Frame 1 of {len(story) - 1}: {story.describe(1)}"
    tree = page.locator(".hvlab .region").aria_snapshot()
    assert 'img "The digits of the counter"' in tree
    assert page.locator(".picture desc").text_content().startswith("Digits 0, 0, 1; the counter is 1")


def test_the_accessible_tree_of_each_view_is_the_one_that_was_read_and_kept(open_story, story):
    page, told = open_story(story, teacher=True), []
    button(page, "Next").click()

    for name in ("Digits", "Bytes", "Table"):
        button(page, name).click()
        told.append(f"# {name}\n{page.locator('.hvlab').aria_snapshot()}\n")

    kept("counter", "".join(told))


def test_full_screen_makes_the_picture_larger_and_escape_gives_it_back(open_story, story):
    page = open_story(story, teacher=True, viewport={"width": 1280, "height": 720})
    before = page.locator(".picture").bounding_box()["width"]

    button(page, "Full screen").click()
    page.wait_for_selector(".hvlab.full")
    assert page.locator(".picture").bounding_box()["width"] > 1.3 * before
    keep(page, "full")
    page.locator(".slider").focus()
    page.keyboard.press("f")
    page.wait_for_selector(".hvlab:not(.full)")

    assert page.locator(".picture").bounding_box()["width"] == before


def test_a_saved_picture_is_one_valid_svg_without_script_or_link(open_story, story):
    page = open_story(story, teacher=True)
    button(page, "More").click()

    with page.expect_download() as saved:
        button(page, "Save picture").click()

    text = Path(saved.value.path()).read_text(encoding="utf-8")
    assert text.startswith("<svg") and "Counter" in text and "href" not in text and "<script" not in text


def test_the_token_is_copied_or_offered_for_copying(open_story, story):
    page = open_story(story, teacher=True)
    to(page, 12)
    page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')) }")

    button(page, "More").click()
    button(page, "Copy token").click()

    assert page.get_by_label("Token to copy").input_value() == "counter-20@12"


def test_stepping_makes_no_request_and_leaves_nothing_running(open_story, story):
    page, requests = open_story(story, teacher=True), []
    page.on("request", lambda request: requests.append(request.url))
    page.evaluate("""() => {
      window.frames_asked = 0, window.timers = 0;
      const raf = requestAnimationFrame, set = setTimeout;
      window.requestAnimationFrame = (f) => (frames_asked++, raf(f));
      window.setTimeout = (...all) => (timers++, set(...all));
    }""")

    for _ in range(5):
        button(page, "Next").click()

    assert requests == [] and page.evaluate("[frames_asked, timers]") == [0, 0]
    assert page.evaluate("document.querySelectorAll('.hvlab .picture *').length") <= 1500


def test_many_players_share_a_page_without_sharing_ids_or_state(open_page, tmp_path):
    from hvlab.view import export

    stages = "".join(export.stage(counter(3, gates=()), teacher=True) for _ in range(12))
    path = tmp_path / "many.html"
    path.write_text(export.page("Twelve", stages), encoding="utf-8")
    page = open_page(path)

    page.locator(".hvlab").nth(3).get_by_role("button", name="Next", exact=True).click()

    assert (
        page.evaluate("[...document.querySelectorAll('.number')].map((one) => one.value)")
        == ["0"] * 3 + ["1"] + ["0"] * 8
    )
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids)) and json.dumps(ids).count("hv") >= 12
