"""Answers that are chosen: an order of names, a reason for a yes or no; and the card of a box that a pointer opens."""

import pytest
from story.machines import runs

from browser.conftest import frame, keep
from browser.test_layout import CONTRAST, MEASURE
from hvlab.lab.host import host_lens
from hvlab.story.gate import Gate
from hvlab.story.storyboard import Fact, Frame, Kind, Storyboard

pytestmark = pytest.mark.browser
NAMES = [{"value": 1, "label": "root"}, {"value": 2, "label": "child"}, {"value": 3, "label": "hypervisor"}]
CAUSES = [{"value": k, "label": text} for k, text in ((1, "it is asked to"), (2, "it decides so"), (3, "it must"))]


def asked(*gates):
    facts = [Fact("order"), Fact("state"), Fact("cause")]
    frames = [Frame("step"), Frame("step", facts={"order": 0x312, "state": 1, "cause": 2})]
    kinds = [Kind("step", "It steps.")]
    return Storyboard.from_frames("Three boxes", frames, kinds=kinds, facts=facts, gates=gates)


ORDER = Gate(
    "order", 0, "Who comes first?", "order", "order", choices=NAMES,
    wrong=[{"value": 0x231, "name": "child-first", "says": "the child is made by the others."}],
)  # fmt: skip
WHY = Gate(
    "why", 0, "Does it run?", "yes", "state", reasons=CAUSES, because="cause",
    wrong=[{"value": 1, "reason": 3, "name": "forced", "says": "nobody forces it."}],
)  # fmt: skip


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def names(page):
    return page.locator(".order li > span").all_inner_texts()


@pytest.mark.parametrize("width", [1280, 876, 320])
def test_the_fields_of_both_kinds_are_laid_out_well(open_story, width):
    for gate in (ORDER, WHY):
        page = open_story(asked(gate), viewport={"width": width, "height": 720})
        if gate is WHY:
            button(page, "Answer").click()
        keep(page, f"{gate.id}-{width}")
        assert page.evaluate(MEASURE) == [], gate.id
        assert page.evaluate(CONTRAST) == [], gate.id


def test_names_are_put_in_order_by_pointer_and_by_key_and_the_focus_goes_with_them(open_story):
    page = open_story(asked(ORDER))
    assert names(page) == ["root", "child", "hypervisor"]

    button(page, "Later: root").click()
    assert names(page) == ["child", "root", "hypervisor"]
    assert page.locator(".hvlab > [role=status]").inner_text() == "root is now number 2 of 3."
    page.keyboard.press("Enter")
    assert names(page) == ["child", "hypervisor", "root"]
    assert page.evaluate("document.activeElement.ariaLabel") == "Later: root"
    page.keyboard.press("Space")
    assert names(page) == ["child", "hypervisor", "root"]
    button(page, "Answer").click()

    outcome = page.locator(".outcome b").inner_text()
    assert outcome == "You said child → hypervisor → root, think."
    page.keyboard.press("End")
    assert "The machine gives hypervisor → root → child." in page.locator(".outcome").inner_text()


def test_a_known_order_is_named(open_story):
    page = open_story(asked(ORDER))

    button(page, "Later: root").click()
    button(page, "Later: root").click()
    button(page, "Answer").click()
    page.keyboard.press("End")

    assert "child-first: the child is made by the others." in page.locator(".outcome").inner_text()


def test_a_yes_or_no_wants_its_reason_and_both_are_judged(open_story):
    page = open_story(asked(WHY))

    page.get_by_label("yes", exact=True).check()
    button(page, "Answer").click()
    assert page.locator(".gate .fault").inner_text() == "wanted yes or no, and a reason"
    assert page.evaluate("document.activeElement.name").endswith("answer")
    page.get_by_label("it is asked to").check()
    button(page, "Answer").click()
    page.keyboard.press("End")

    assert page.locator(".outcome").inner_text() == (
        "You said yes, because it is asked to, think. The machine gives yes, because it decides so. "
        "The answer is right; the reason is another one."
    )


def test_a_wrong_idea_may_be_its_reason(open_story):
    page = open_story(asked(WHY))

    page.get_by_label("yes", exact=True).check()
    page.get_by_label("it must").check()
    button(page, "Answer").click()
    page.keyboard.press("End")

    assert "forced: nobody forces it." in page.locator(".outcome").inner_text()


# cards


@pytest.fixture
def mapped(open_story):
    return open_story(host_lens(name="web").story(runs()["one_intercept"]), viewport={"width": 1280, "height": 720})


def on_box(page, label):
    box = page.locator(".picture .jump", has_text=label).first.locator("rect").first
    box.click(position={"x": 6, "y": 4})


def test_a_pointer_on_a_box_opens_its_card_and_escape_gives_the_focus_back(mapped):
    on_box(mapped, "VID")

    card = mapped.locator(".card")
    assert card.is_visible() and not mapped.locator(".more").is_visible()
    text = card.inner_text()
    assert text.startswith("VID of root · ") and "kernel mode" in text and "lesson 0" in text
    assert mapped.evaluate("document.activeElement.textContent") == "Close card"
    mapped.keyboard.press("Escape")
    assert card.is_hidden() and mapped.evaluate("document.activeElement.className").startswith("hvlab")
    mapped.keyboard.press("ArrowRight")
    assert frame(mapped) == 1


def test_a_card_leads_to_the_frames_that_light_its_box(mapped):
    on_box(mapped, "intercepts")
    frames = [int(text) for text in mapped.locator(".card .links button").all_inner_texts()]

    lit = "[...document.querySelectorAll('.picture .lit.jump')].some((one) => one.textContent.startsWith('intercepts'))"
    for k in range(int(mapped.locator(".number").get_attribute("max")) + 1):
        mapped.locator(".number").fill(str(k))
        mapped.locator(".number").press("Enter")
        assert mapped.evaluate(lit) == (k in frames), k
    button(mapped, "First").click()
    button(mapped, "Next of box").click()
    assert frame(mapped) == next(k for k in frames if k > 0)


def test_the_card_of_a_box_without_a_part_in_the_story_says_so(mapped):
    on_box(mapped, "disk")

    assert "In no open frame" in mapped.locator(".card").inner_text()
    assert mapped.locator(".card .links button").count() == 0


def test_the_list_of_boxes_opens_the_same_card_by_keyboard(mapped):
    on_box(mapped, "VID")
    told = mapped.locator(".card").inner_text()
    mapped.keyboard.press("Escape")

    button(mapped, "More").click()
    mapped.get_by_label("Box", exact=True).select_option(label="VID of root")

    assert mapped.locator(".card").inner_text() == told
    mapped.get_by_label("Box", exact=True).press("Escape")
    assert mapped.locator(".card").is_hidden()
    assert mapped.evaluate("document.activeElement.ariaLabel") == "Box"


def test_end_on_a_choice_does_not_scroll_the_page_away_and_arrows_still_choose(open_story):
    page = open_story(asked(WHY), viewport={"width": 876, "height": 300})
    page.get_by_label("yes", exact=True).check()
    at = page.evaluate("scrollY")

    page.keyboard.press("End")

    page.wait_for_timeout(200)  # a scroll is not at once
    assert page.evaluate("scrollY") == at and page.get_by_label("yes", exact=True).is_checked()
    page.keyboard.press("ArrowDown")
    assert page.get_by_label("no", exact=True).is_checked()
