"""What a learner does in a player with the keyboard: cards, pictures, questions answered wrongly and rightly."""

import re
from typing import Any

from browser.keys import Keys

CLOSED = "The story is closed from here on. Predict first; then it goes on."


class Player:
    """One player of the page, and the scene that it shows."""

    def __init__(self, page: Any, number: int, scene: dict[str, Any]) -> None:
        self.page, self.number, self.scene = page, number, scene
        self.last = scene["frames"] - 1

    def ask(self, script: str) -> Any:
        """Evaluate an expression of `it`, the player's section."""
        return self.page.evaluate(f"(it => {script})(document.querySelectorAll('.hvlab')[{self.number}])")

    def frame(self) -> int:
        return int(self.ask("it.querySelector('.number').value"))

    def said(self) -> str:
        return str(self.ask("it.querySelector(':scope > [role=status]').textContent"))

    def outcomes(self) -> list[str]:
        """What is pinned: the learner's answer before a line, and what the machine did after it."""
        script = (
            "[...it.querySelectorAll('.outcome')].map((one) => [...one.childNodes].map((part) => part.textContent))"
        )
        return ["|".join([said, "".join(rest)]) for said, *rest in self.ask(script)]

    def shown(self, what: str) -> bool:
        return bool(self.ask(f"it.querySelector('{what}')?.checkVisibility() ?? false"))


def open_card(keys: Keys, player: Player) -> None:
    """More, a box, its card; Escape closes the card, then the panel, and the focus goes back each time."""
    at = {"player": player.number}
    keys.tab_to(name="More", **at)
    keys.press("Enter")
    keys.tab_to(name="Box", **at)
    keys.press("ArrowDown")
    assert player.shown(".card") and player.scene["places"][0]["label"] in player.ask(
        "it.querySelector('.card').textContent"
    )
    keys.press("Escape")
    assert not player.shown(".card") and keys.focus()["name"] == "Box"
    keys.press("Escape")
    assert not player.shown(".more") and keys.focus()["name"] == "More"


def every_picture(keys: Keys, player: Player) -> None:
    """Each picture is chosen with its own button, and comes first again."""
    names = [picture["name"] for picture in player.scene["pictures"]]
    for name in names[1:] if len(names) > 1 else []:
        keys.tab_to(name=name, player=player.number)
        keys.press("Enter")
        assert player.ask("it.querySelector('.region').ariaLabel") == next(
            one["title"] for one in player.scene["pictures"] if one["name"] == name
        )


def refused(keys: Keys, player: Player, gate: dict[str, Any]) -> None:
    """No key goes past the question, and the table ends with it."""
    keys.press("End")
    assert player.frame() == gate["frame"] and player.said() == CLOSED
    keys.press("ArrowRight", "PageDown")
    assert player.frame() == gate["frame"] and player.shown("form.gate")
    keys.press("t")
    assert player.shown(".twin") and player.ask("it.querySelectorAll('.twin tbody tr').length") == gate["frame"] + 1
    keys.press("t")
    assert not player.shown(".twin")


def choose(keys: Keys, player: Player, group: str, labels: list[str], label: str) -> None:
    """Of a group of radio buttons, the one with a label: Tab reaches the group where it was left, arrows move in it."""
    found = keys.tab_to(gate=True, type="radio", player=player.number)
    assert found["group"].endswith(group), found
    keys.press(*(["ArrowDown"] * ((labels.index(label) - labels.index(found["name"])) % len(labels)) or ["Space"]))
    assert keys.focus()["name"] == label


def put_in_order(keys: Keys, player: Player, wanted: list[str]) -> None:
    """Move each name up to its place; the focus stays on the button that moves it."""
    keys.tab_to(gate=True, player=player.number)
    for place, name in enumerate(wanted):
        rows = player.ask("[...it.querySelectorAll('.order li span')].map((one) => one.textContent)")
        for _ in range(rows.index(name) - place):
            if keys.focus()["name"] != f"Earlier: {name}":
                to_button(keys, f"Earlier: {name}")
            keys.press("Enter")
            assert keys.focus()["name"] == f"Earlier: {name}"
    rows = player.ask("[...it.querySelectorAll('.order li span')].map((one) => one.textContent)")
    assert rows == wanted


def to_button(keys: Keys, name: str) -> None:
    """By Tab to a button of the same form, forward, else back."""
    for key in ("Tab", "Shift+Tab"):
        for _ in range(12):
            if keys.tab(key)["name"] == name:
                return
    raise AssertionError(f"Tab does not reach {name}")


def give(keys: Keys, player: Player, gate: dict[str, Any], answer: Any) -> None:
    """Answer a question by keyboard; `answer` is a number as text, or labels."""
    at = {"gate": True, "player": player.number}
    labels = [choice["label"] for choice in gate["choices"]]
    if gate["kind"] == "order":
        put_in_order(keys, player, answer)
    elif gate["kind"] == "subset":
        for _ in labels:
            if keys.tab_to(type="checkbox", **at)["name"] in answer:
                keys.press("Space")
    elif gate["kind"] == "pick":
        choose(keys, player, "answer", labels, answer[0])
    elif gate["kind"] == "yes":
        choose(keys, player, "answer", ["yes", "no"], answer[0])
        if "reasons" in gate:
            choose(keys, player, "reason", [one["label"] for one in gate["reasons"]], answer[1])
    else:
        keys.tab_to(type="text", **at)
        keys.type(answer)
    keys.tab_to(type="submit", **at)
    keys.press("Enter")
    goes_on(keys, player, gate)


def goes_on(keys: Keys, player: Player, gate: dict[str, Any]) -> None:
    """After an answer the focus is on Next, or in the next question of the same frame, from where Next is near."""
    after = player.scene["gates"][player.scene["gates"].index(gate) + 1 :]
    if after and after[0]["frame"] == player.frame():
        assert player.said() == f"Predict first. {after[0]['question']}"
        assert player.shown("form.gate") and keys.focus()["gate"]
        keys.tab_to("Shift+Tab", name="Next", player=player.number)
    else:
        assert player.said() == "Your prediction is in; the story goes on."
        assert not player.shown("form.gate")
    assert keys.focus()["name"] == "Next" and keys.focus()["player"] == player.number


def wrong_answer(gate: dict[str, Any]) -> tuple[Any, str]:
    """An answer that a known wrong idea gives, and the idea's name."""
    model = next(one for one in gate["wrong"] if "value" in one)
    value, labels = int(model["value"]), {int(one["value"]): one["label"] for one in gate["choices"]}
    if gate["kind"] == "order":
        return [labels[int(digit, 16)] for digit in f"{value:x}"], model["name"]
    if gate["kind"] == "subset":
        return [label for bit, label in labels.items() if bit & value], model["name"]
    if gate["kind"] == "pick":
        return [labels[value]], model["name"]
    if gate["kind"] == "yes":
        reasons = {int(one["value"]): one["label"] for one in gate.get("reasons", [{"value": 0, "label": ""}])}
        reason = reasons[model.get("reason", min(reasons))]
        return ["yes" if value else "no", reason], model["name"]
    return str(value), model["name"]


def right_answer(gate: dict[str, Any], outcome: str) -> Any:
    """What the reveal said to whoever was wrong."""
    before, after = gate["tells"].split("{value}")
    end = f"{re.escape(after)}(?= |$)" if after else r"(?:\. |\.?$)"
    told = re.search(f"{re.escape(before)}(.*?){end}", outcome.split("|")[1].strip())
    assert told, (gate["tells"], outcome)
    labels = [choice["label"] for choice in gate["choices"]]
    if gate["kind"] == "order":
        return told[1].split(" → ")
    if gate["kind"] in ("pick", "subset"):
        return [label for label in labels if label in told[1]]
    if gate["kind"] == "yes":
        reasons = [one["label"] for one in gate.get("reasons", ()) if one["label"] in told[1]]
        return [re.match("yes|no", told[1])[0], *reasons]
    return told[1]


def to_the_end(keys: Keys, player: Player) -> None:
    """Every frame in turn, by the arrow key; each has its words."""
    keys.press("Home")
    for k in range(player.last + 1):
        at, words = player.ask("[it.querySelector('.number').value, it.querySelector('.caption').textContent]")
        assert int(at) == k and words, (at, k, keys.focus())
        keys.press("ArrowRight")
