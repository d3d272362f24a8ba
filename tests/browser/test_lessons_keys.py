"""Every lesson, whole, by keyboard alone, in its exported page: with wrong predictions, then with the right ones."""

from typing import Any

import pytest

from browser.keys import Keys
from browser.learner import Player, every_picture, give, open_card, refused, right_answer, to_the_end, wrong_answer
from browser.lessons import LESSONS, stories

pytestmark = pytest.mark.browser


def players(page: Any, path: Any) -> list[Player]:
    scenes = stories(path)
    assert page.locator(".hvlab").count() == len(scenes)
    return [Player(page, number, scene) for number, scene in enumerate(scenes)]


def go_through(keys: Keys, player: Player) -> dict[str, Any]:
    """One player with a wrong answer to each question; the right ones, as the machine told them."""
    told = {}
    every_picture(keys, player)
    open_card(keys, player)
    keys.tab_to(name="Next", player=player.number)
    for gate in player.scene["gates"]:
        refused(keys, player, gate)
        answer, name = wrong_answer(gate)
        give(keys, player, gate, answer)
        keys.press("End")
        pinned = player.outcomes()[player.scene["gates"].index(gate)]
        if player.frame() >= gate["at"]:
            assert pinned.startswith("You said ") and f"{name}: " in pinned
            told[gate["id"]] = right_answer(gate, pinned)
    to_the_end(keys, player)
    for gate, pinned in zip(player.scene["gates"], player.outcomes(), strict=True):
        told.setdefault(gate["id"], right_answer(gate, pinned))
    return told


@pytest.mark.parametrize("number", LESSONS)
def test_a_lesson_is_done_by_keyboard_alone(open_page, lesson_page, number):
    path = lesson_page(number)
    page = open_page(path, viewport={"width": 1280, "height": 720})
    keys, told = Keys(page), {}

    for player in players(page, path):
        told |= go_through(keys, player)
    while keys.tab()["tag"] != "body":  # out of the last one and of the page: nothing holds the focus
        assert keys.tabs < 5000
    assert page.locator("details").count() == page.locator("details[open]").count() > 0

    page.reload()
    page.wait_for_selector(".hvlab .caption:not(:empty)")
    for player in players(page, path):
        keys.tab_to(name="Next", player=player.number)
        for gate in player.scene["gates"]:
            keys.press("End")
            give(keys, player, gate, told[gate["id"]])
        keys.press("End")
        assert player.frame() == player.last
        assert not [one for one in player.outcomes() if any(f" {name}: " in one for name in names(player))]


def names(player: Player) -> list[str]:
    """The wrong ideas that a player knows."""
    return [model["name"] for gate in player.scene["gates"] for model in gate["wrong"]]
