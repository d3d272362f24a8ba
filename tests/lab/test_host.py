"""The boxes of the map have the glossary's cards."""

from story.machines import runs

from hvlab.lab.glossary import glossary
from hvlab.lab.host import box_cards, host_lens
from hvlab.story.host import BOXES
from hvlab.story.system import power_on


def test_most_boxes_of_the_map_have_a_card_and_each_card_is_whole():
    boxes = {box.card for box in BOXES.values()}

    assert set(box_cards()) < boxes and len(box_cards()) >= 0.6 * len(boxes)
    assert all(says and source and lesson for says, source, lesson in box_cards().values())


def test_a_box_says_what_its_word_says():
    word = glossary("VID")

    assert box_cards()["VID"] == (word.short, word.source, word.lessons[0])
    assert box_cards()["hypercalls"][0] == glossary("hypercall").short


def test_a_story_through_the_lens_carries_the_cards():
    story = power_on(runs()["power_on"], host_lens(name="web"))

    found = {place["name"]: place for place in story.scene["places"]}
    assert found["root.WinHv"]["says"] == glossary("WinHv").short
    assert found["root.WinHv"]["lesson"] == glossary("WinHv").lessons[0]
    assert found["windows.kernel"]["label"] == "kernel of web"
