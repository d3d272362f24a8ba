"""The golden story: what Python says of 40 frames, for the browser's code to say alike.

`python -m view.golden` from `tests/` writes it anew; look at the difference before you keep it.
"""

import json
import random
from pathlib import Path
from typing import Any

from story.counter import GATE, counter

from hvlab.story.caption import show_value, signed
from hvlab.story.gate import Gate, answer_text, judge, parse, truth_of
from hvlab.story.picture import alt_at, changes_at, rulers_at
from hvlab.story.storyboard import Storyboard

FOLDER = Path(__file__).parents[1] / "golden"
CHOICES = [{"value": 1, "label": "root"}, {"value": 2, "label": "child"}, {"value": 4, "label": "nobody"}]
ORDERED = [{"value": 1, "label": "root"}, {"value": 2, "label": "child"}, {"value": 3, "label": "hypervisor"}]
GATES = [
    GATE,
    Gate(
        "addressed", 200, "Where is the page?", "spa", "spa", wrong=[{"value": 0, "name": "no page", "says": "it is."}]
    ),
    Gate("ran.over", 220, "Does it run over?", "yes", "state", tells="The machine says {value}."),
    Gate("which", 230, "Which digit?", "pick", "on1", choices=CHOICES),
    Gate("all", 240, "Which digits?", "subset", "digit0", choices=CHOICES),
    Gate("why", 250, "Does it run?", "yes", "state", because="digit0", reasons=ORDERED, wrong=[
        {"value": 0, "name": "never", "says": "it does."},
        {"value": 0, "reason": 2, "name": "asked not to", "says": "nobody asks.", "frame": 7},
    ]),
]  # fmt: skip
ORDER = Gate("order", 0, "Who first?", "order", "count", choices=ORDERED, wrong=[
    {"value": 0x123, "name": "as it stands", "says": "it does not."},
]).as_json(0)  # fmt: skip
TYPED = [
    "3, 1, 2",
    "child > root > hypervisor",
    "2 1 3",
    "1 2 3",
    "530",
    "3,1",
    "3, 1, 1",
    "3, moon, 2",
    "yes, 1",
    "no , child",
    "No -> 2",
    "no; 3",
    "perhaps, 1",
    "4",
    "24",
    "0x18",
    " 0x1dc4_f000 ",
    "18446744073709551615",
    "18446744073709551616",
    "",
    "yes",
    "No",
    "1",
    "0",
    "child",
    "2",
    "3",
    "7",
    "8",
    "nobody",
    "-1",
    "1e3",
    "0x",
    "²",
    "9" * 21,
]
VALUES = [
    0,
    1,
    9,
    65535,
    65536,
    0x1DC4F000,
    0x7FFF_FFFF_F000,
    1 << 47,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
    9999,
    10000,
    10250,
    10350,
    10750,
    10050,
    123456789,
    -1,
    -10250,
]
KINDS = ["dec", "hex", "gva", "gpa", "spa", "iova", "time", "enum:state", "enum:yes", "word:Register"]


def story() -> Storyboard:
    """A story long enough for a second keyframe."""
    return counter(90, gates=GATES)


def frames(board: Storyboard) -> list[dict[str, object]]:
    """Everything that is shown at 40 frames."""
    chosen = {0, 1, 254, 255, 256, 257, len(board) - 1} | set(random.Random(5).sample(range(len(board)), 33))
    kinds, enums, found = board.kinds_of_facts, board.enums, []
    for k in sorted(chosen):
        state, changed = board.state_at(k), board.changed_at(k)
        pictures = [
            {
                "changes": changes_at(picture, state, changed, kinds, enums),
                "alt": alt_at(picture, state, kinds, enums),
                "rulers": rulers_at(picture, state),
            }
            for picture in board.scene["pictures"]
        ]
        found.append(
            {
                "k": k,
                "facts": {name: str(value) for name, value in state.items()},
                "changed": sorted(changed),
                "row": board.rows(k, k)[0],
                "pictures": pictures,
                "bytes": [board.bytes_at(page, k).hex() for page in range(len(board.scene["pages"]))],
            }
        )
    return found


def answers(board: Storyboard) -> list[list[object]]:
    """How each gate reads and judges what may be typed."""
    found: list[list[object]] = []
    for gate in board.scene["gates"]:
        truth = truth_of(gate, lambda fact, at=gate["at"]: board.value(fact, at))
        found += [[gate["id"], typed, answer(gate, typed, truth)] for typed in TYPED]
    return found


def answer(gate: dict[str, Any], typed: str, truth: int) -> dict[str, object]:
    """How one gate reads and judges one answer."""
    try:
        value = parse(gate, typed)
    except ValueError as error:
        return {"error": str(error)}
    outcome = judge(gate, value, truth, "think")
    told = {name: getattr(outcome, name) for name in ("right", "said", "truth", "model", "explains", "frame")}
    return {"value": str(value), "says": answer_text(gate, value), "outcome": told}


def golden() -> tuple[str, bytes]:
    """The text and the bytes of the golden story."""
    board = story()
    said = [[kind, str(value), show_value(kind, signed(value), board.enums)] for kind in KINDS for value in VALUES]
    scene = board.scene | {"bytes": board.scene["bytes"] | {"packed": False}}
    order = {"gate": ORDER, "truth": str(0x312), "answers": [[typed, answer(ORDER, typed, 0x312)] for typed in TYPED]}
    data = {"digest": board.digest(), "scene": scene, "frames": frames(board), "said": said, "answers": answers(board)}
    data["order"] = order
    return json.dumps(data, indent=1, ensure_ascii=False, sort_keys=True) + "\n", board._raw()


def write() -> None:
    """Write both files."""
    text, raw = golden()
    (FOLDER / "story.json").write_text(text, encoding="utf-8", newline="\n")
    (FOLDER / "story.bin").write_bytes(raw)


if __name__ == "__main__":
    write()
