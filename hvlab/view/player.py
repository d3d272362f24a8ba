"""The player in a notebook: a story is sent to the browser once, and steps there."""

import os
from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets

from hvlab.story.gate import CONFIDENCE, Outcome, judge, mode, parse, truth_of
from hvlab.story.storyboard import Storyboard
from hvlab.view.esm import LARGE, css, join
from hvlab.view.still import still_html
from hvlab.view.words import spoken

PRIVATE_TYPE = "application/vnd.hvlab.story+json"
MOST_ANSWERS = 64


class Player(anywidget.AnyWidget):
    """A story with its controls.

    Parameters
    ----------
    story
        What is shown.
    teacher
        Open all predictions; by default only where ``HVLAB_MODE`` is `teach` or `test`. In `teach` it is also large.
    answers
        Predictions that are in already: id -> value, or id -> (value, confidence).

    Attributes
    ----------
    answers : dict
        Predictions so far: id -> ``{"value": decimal text, "confidence": word}``, also those made in the browser.
    step : int
        The frame on show.
    """

    _esm = ""
    _css = ""
    _text = ""
    _player = traitlets.Unicode().tag(sync=True)  # the code, which all players of a page share: see `shared.mjs`
    scene = traitlets.Dict().tag(sync=True)
    story = traitlets.Bytes().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)
    teacher = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self, story: Storyboard, teacher: bool | None = None, answers: Mapping[str, Any] | None = None
    ) -> None:
        self.board = story
        opened = mode() != "learn" if teacher is None else teacher
        given = {id: self._answer(id, value) for id, value in (answers or {}).items()}
        super().__init__(
            _esm=join("shared.mjs"),
            _player=join("widget.mjs", () if story.scene["pages"] else ("bytes.mjs",)),
            _css=css(),
            scene=spoken(story.scene),
            story=story.to_bytes(),
            answers=given,
            teacher=opened,
            _dom_classes=(LARGE,) if mode() == "teach" else (),
        )
        self.on_msg(self._hear)

    def __repr__(self) -> str:
        if not self._text:  # the digest of a long story takes time
            self._text = f"Player({self.board.title!r}, {len(self.board)} frames, {self.board.digest()[:12]})"
        return self._text

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle or {}, {})
        data = {**data, "text/plain": repr(self), "text/html": still_html(self.board, 0)}
        if os.environ.get("HVLAB_EXPORT") == "1":
            from hvlab.view.export import data_of

            data[PRIVATE_TYPE] = data_of(self.board, self.answers)
        return data, metadata

    def answer(self, id: str, text: Any, confidence: str = "") -> Outcome:
        """Answer a prediction from Python; the story opens in every view."""
        gate = self._gate(id)
        value = parse(gate, text)
        self.answers = {**self.answers, id: {"value": str(value), "confidence": confidence}}
        return self.outcome(id)

    def outcome(self, id: str) -> Outcome:
        """An answered prediction beside what the machine did."""
        gate, answer = self._gate(id), self.answers[id]
        truth = truth_of(gate, lambda fact: self.board.value(fact, gate["at"]))
        return judge(gate, int(answer["value"]), truth, answer["confidence"])

    def _gate(self, id: str) -> dict[str, Any]:
        gates: list[dict[str, Any]] = self.board.scene["gates"]
        for gate in gates:
            if gate["id"] == id:
                return gate
        raise ValueError(f"the story asks no {id!r}; it asks {', '.join(g['id'] for g in gates) or 'nothing'}")

    def _answer(self, id: str, given: Any) -> dict[str, str]:
        value, confidence = given if isinstance(given, tuple) else (given, "")
        return {"value": str(parse(self._gate(id), value)), "confidence": str(confidence)}

    @traitlets.validate("answers")  # type: ignore[untyped-decorator]
    def _check_answers(self, proposal: Any) -> dict[str, dict[str, str]]:
        """Whatever a browser sends: known predictions, whole numbers, known words, and nothing else."""
        kept: dict[str, dict[str, str]] = {}
        for id, given in list(proposal["value"].items())[:MOST_ANSWERS]:
            try:
                gate, value, word = self._gate(id), int(str(given["value"])[:24]), str(given.get("confidence", ""))
                parse(gate, str(value))
            except (ValueError, TypeError, KeyError, AttributeError):
                continue
            kept[id] = {"value": str(value), "confidence": word if word in CONFIDENCE else ""}
        return kept

    @traitlets.validate("step")  # type: ignore[untyped-decorator]
    def _check_step(self, proposal: Any) -> int:
        return max(0, min(int(proposal["value"]), len(self.board) - 1))

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """The only messages: an answer (which also travels as state) and a ping; both are acknowledged."""
        if isinstance(content, dict) and content.get("verb") in ("answer", "ping"):
            self.send({"verb": "heard"})
