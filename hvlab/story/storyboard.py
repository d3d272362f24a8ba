"""A trace as seen through a lens: frames, facts that change, bytes on show. No drawing, no Jupyter.

A lens (or a test) builds a storyboard with `Storyboard.from_frames`. Everything a picture, a caption or a gate may
use is a *fact*: a named 64-bit number that frames change. What a frame shows is found by replay, here slowly and
plainly (`state_at`), in the browser with keyframes; `tests/golden` holds the two together.
"""

import hashlib
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from hvlab.errors import BadRequest
from hvlab.language import N_, _
from hvlab.story.build import build
from hvlab.story.caption import MASK, Enums, fill, known_kind, names_in, show_value, signed
from hvlab.story.frame import CHANGES, COLUMNS, NONE, WRITES, Arrays, Fact, Frame, Kind, Page, Place
from hvlab.story.gate import Gate, check_gate, check_truth, truth_of
from hvlab.story.picture import Picture, check_picture
from hvlab.trace.words import ENUMS, told

__all__ = ["Fact", "Frame", "Gate", "Kind", "Page", "Picture", "Place", "Storyboard"]

HEADS = {
    "number": N_("frame"),
    "time": N_("time"),
    "phase": N_("phase"),
    "where": N_("where"),
    "what": N_("what"),
    "cause": N_("because of"),
}
PACK_ABOVE = 16 * 1024


@dataclass(frozen=True, eq=False)
class Storyboard:
    """A story: plain JSON, and columns of numbers.

    Attributes
    ----------
    scene
        Plain JSON, `"schema": 1`: kinds, phases, places, facts, words, pages, pictures, gates, cards.
    columns, changes, writes
        Arrays, little endian; see `COLUMNS`, `CHANGES` and `WRITES`.
    arena
        The written bytes, to which `writes["at"]` points.
    """

    scene: dict[str, Any]
    columns: Arrays
    changes: Arrays
    writes: Arrays
    arena: bytes

    @classmethod
    def from_frames(
        cls,
        title: str,
        frames: Iterable[Frame],
        *,
        kinds: Sequence[Kind],
        facts: Sequence[Fact],
        pictures: Sequence[Picture] = (),
        gates: Sequence[Gate] = (),
        places: Sequence[Place] = (),
        phases: Sequence[str] = (),
        words: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
        pages: Sequence[Page] = (),
        enums: Mapping[str, Mapping[int, str]] | None = None,
        token: str = "",
        about: str = "",
    ) -> Self:
        """Build a story from its frames and the declarations they refer to by name.

        Parameters
        ----------
        title, about
            The accessible name of the player, and one sentence beneath it.
        frames
            The steps, in order; see `Frame`. Phases are those declared, or those met, in order.
        kinds, facts, places, pages
            What frames may name. A name that a frame uses and nobody declares is a ValueError.
        pictures, gates
            See `hvlab.story.picture` and `hvlab.story.gate`.
        words
            Declared words for rulers: name -> fields `{"name", "lo", "width", "doc"}` and optionally `"enum"` (the
            name of an enumeration) and `"reserved": True`.
        enums
            The story's own enumerations, beside those of `trace.words`; in the learner's language.
        token
            The scenario token that makes this run again.

        Raises
        ------
        ValueError
            For anything that refers to what is not declared, or a story without frames or with over 100,000.
        """
        scene, columns, changes, writes, arena = build(title, frames, kinds, facts, list(phases), places, pages)
        scene |= {
            "token": token,
            "about": about,
            "words": {name: [dict(one) for one in rows] for name, rows in (words or {}).items()},
            "pictures": [picture.as_json() for picture in pictures],
            "gates": [gate.as_json(scene["frames"] - 1) for gate in sorted(gates, key=lambda gate: gate.frame)],
        }
        scene["enums"] = _enums(scene, enums or {})
        story = cls(scene, columns, changes, writes, arena)
        story._check()
        scene["opening"] = story._opening()
        scene["bytes"] = {"arrays": story._layout(), "arena": len(arena), "packed": story._size() > PACK_ABOVE}
        return story

    def __len__(self) -> int:
        return int(self.scene["frames"])

    def __repr__(self) -> str:
        return f"Storyboard({self.title!r}, {len(self)} frames, {self.digest()[:12]})"

    @property
    def title(self) -> str:
        """The title of the story."""
        return str(self.scene["title"])

    @property
    def kinds_of_facts(self) -> dict[str, str]:
        """How each fact is written, by name."""
        return {fact["name"]: fact["kind"] for fact in self.scene["facts"]}

    @property
    def enums(self) -> Enums:
        """All enumerations that the story's texts use."""
        found: Enums = self.scene["enums"]
        return found

    def with_gates(self, gates: Sequence[Gate]) -> "Storyboard":
        """The same story with further gates; a gate of the same id is replaced."""
        new = {gate.id: gate.as_json(len(self) - 1) for gate in gates}
        old = [gate for gate in self.scene["gates"] if gate["id"] not in new]
        scene = self.scene | {"gates": sorted([*old, *new.values()], key=lambda gate: int(gate["frame"]))}
        story = Storyboard(scene, self.columns, self.changes, self.writes, self.arena)
        story._check()
        return story

    def state_at(self, k: int) -> dict[str, int]:
        """All facts after frame k, signed; slow and plain: the oracle for the browser's replay."""
        k = self._frame(k)
        facts = self.scene["facts"]
        state = {fact["name"]: signed(int(fact["start"], 16)) for fact in facts}
        rows = self.changes
        for at in range(int(np.searchsorted(rows["frame"], k, side="right"))):
            state[facts[int(rows["row"][at])]["name"]] = signed(int(rows["hi"][at]) << 32 | int(rows["lo"][at]))
        return state

    def before(self, k: int) -> dict[str, int]:
        """All facts before frame k."""
        if self._frame(k) == 0:
            return {fact["name"]: signed(int(fact["start"], 16)) for fact in self.scene["facts"]}
        return self.state_at(k - 1)

    def changed_at(self, k: int) -> set[str]:
        """Names of the facts that frame k gives another value."""
        old, new = self.before(k), self.state_at(k)
        return {name for name in new if new[name] != old[name]}

    def bytes_at(self, page: int, k: int) -> bytes:
        """The bytes of a page on show after frame k."""
        declared = self.scene["pages"][page]
        data = bytearray(bytes.fromhex(declared["start"]).ljust(declared["length"], b"\0"))
        for at in range(int(np.searchsorted(self.writes["frame"], self._frame(k), side="right"))):
            if int(self.writes["page"][at]) == page:
                start, length = int(self.writes["at"][at]), int(self.writes["length"][at])
                offset = int(self.writes["offset"][at])
                data[offset : offset + length] = self.arena[start : start + length]
        return bytes(data)

    def words_at(self, k: int) -> dict[str, int]:
        """The words of the event of frame k, signed, by name."""
        kind = self.scene["kinds"][int(self.columns["kind"][self._frame(k)])]
        return {
            name: signed(int(self.columns[f"w{at}hi"][k]) << 32 | int(self.columns[f"w{at}lo"][k]))
            for at, name in enumerate(kind["fields"])
        }

    def states(self, first: int, last: int) -> Iterator[dict[str, int]]:
        """The facts after each frame from `first` to `last`; one dictionary, brought forward from frame to frame."""
        state = self.state_at(first)
        facts, rows = self.scene["facts"], self.changes
        at = int(np.searchsorted(rows["frame"], first, side="right"))
        yield state
        for k in range(first + 1, last + 1):
            while at < len(rows["frame"]) and rows["frame"][at] == k:
                state[facts[int(rows["row"][at])]["name"]] = signed(int(rows["hi"][at]) << 32 | int(rows["lo"][at]))
                at += 1
            yield state

    def describe(self, k: int) -> str:
        """The caption of frame k, filled from the template of its kind."""
        return self._caption(self._frame(k), self.state_at(k))

    def _caption(self, k: int, state: Mapping[str, int]) -> str:
        kind = self.scene["kinds"][int(self.columns["kind"][k])]
        values = {**state, "actor": int(self.columns["actor"][k]), **self.words_at(k)}
        formats = {**self.kinds_of_facts, "actor": "dec", **dict(zip(kind["fields"], kind["kinds"], strict=True))}
        return fill(kind["says"], lambda name: (values[name], formats[name]), self.enums)

    def rows(self, first: int = 0, last: int | None = None) -> list[dict[str, str]]:
        """The table twin as text, one row a frame: number, time, phase, where, what, because of."""
        last = len(self) - 1 if last is None else self._frame(last)
        states = self.states(self._frame(first), last)
        return [self._row(k, state) for k, state in zip(range(first, last + 1), states, strict=True)]

    def table(self, k: int | None = None) -> str:
        """The table twin as one text, up to and with frame k; the whole story without k."""
        head = {name: _(text) for name, text in HEADS.items()}
        rows = [head, *self.rows(0, k)]
        width = {name: max(len(row[name]) for row in rows) for name in head if name != "what"}
        order = [name for name in ("number", "time", "phase", "where", "cause") if any(r[name] for r in rows[1:])]
        return "\n".join("  ".join([*(row[n].ljust(width[n]) for n in order), row["what"]]).rstrip() for row in rows)

    def value(self, fact: str, k: int | None = None) -> int:
        """One fact after frame k, or at the end."""
        state = self.state_at(len(self) - 1 if k is None else k)
        if fact not in state:
            raise BadRequest(f"the fact {fact!r} of a story", ", ".join(sorted(state)))
        return state[fact]

    def digest(self) -> str:
        """SHA-256 of the scene as canonical JSON and of the raw columns, never of compressed bytes."""
        sha = hashlib.sha256(canonical(self.scene).encode())
        sha.update(self._raw())
        return sha.hexdigest()

    def to_bytes(self) -> bytes:
        """All columns back to back, as the scene's `bytes` says; packed by zlib where they are large."""
        raw = self._raw()
        return zlib.compress(raw, 1) if self.scene["bytes"]["packed"] else raw

    def _raw(self) -> bytes:
        groups = ((COLUMNS, self.columns), (CHANGES, self.changes), (WRITES, self.writes))
        parts = [arrays[name].astype(dtype).tobytes() for names, arrays in groups for name, dtype in names]
        return b"".join([*parts, self.arena])

    def _layout(self) -> list[list[Any]]:
        groups = (
            ("columns", COLUMNS, self.columns),
            ("changes", CHANGES, self.changes),
            ("writes", WRITES, self.writes),
        )
        return [[group, name, dtype[1:], len(arrays[name])] for group, names, arrays in groups for name, dtype in names]

    def _size(self) -> int:
        sizes = [int(dtype[1:]) * int(count) for _, _, dtype, count in self._layout()]
        return sum(sizes) + len(self.arena)

    def _row(self, k: int, state: Mapping[str, int]) -> dict[str, str]:
        place, phase = int(self.columns["src"][k]), int(self.columns["phase"][k])
        cause = int(self.columns["cause"][k])
        return {
            "number": str(k),
            "time": show_value("time", int(self.columns["time"][k])) if self.columns["time"].any() else "",
            "phase": "" if phase == NONE else str(self.scene["phases"][phase]),
            "where": "" if place == NONE else str(self.scene["places"][place]["label"]),
            "what": self._caption(k, state),
            "cause": "" if cause < 0 else str(cause),
        }

    def _opening(self) -> dict[str, Any]:
        """Frame 0, painted before the columns are inflated."""
        state = {name: f"{value & MASK:x}" for name, value in self.state_at(0).items() if value}
        row = {name: self.columns[name][0].item() for name, _ in COLUMNS}
        return {"facts": state, "row": row}

    def _frame(self, k: int) -> int:
        if not 0 <= k < len(self):
            raise BadRequest(f"frame {k}", f"frames 0 to {len(self) - 1}")
        return k

    def _check(self) -> None:
        kinds, enums = self.kinds_of_facts, self.enums
        for name, kind in kinds.items():
            if not known_kind(kind, enums):
                raise ValueError(f"fact {name!r} is written in the kind {kind!r}, which does not exist")
            if kind.startswith("word:") and kind[5:] not in self.scene["words"]:
                raise ValueError(f"fact {name!r} is the word {kind[5:]!r}, which the story does not declare")
        for kind in self.scene["kinds"]:
            known = {*kind["fields"], *kinds, "actor"}
            for name, asked in names_in(kind["says"]):
                if name not in known or (asked and not known_kind(asked, enums)):
                    raise ValueError(f"kind {kind['name']!r} says {{{name}:{asked}}}; it has {sorted(known)}")
        places = {place["name"] for place in self.scene["places"]}
        for picture in self.scene["pictures"]:
            check_picture(picture, kinds, self.scene["words"], enums)
            for verb, _id, place, *_rest in picture["bind"]:
                if verb == "card" and place not in places:
                    raise ValueError(f"picture {picture['name']!r} opens the card of {place!r}, which is no place")
        for gate in self.scene["gates"]:
            check_gate(gate, len(self), kinds)
            if gate["kind"] == "order" or "reasons" in gate:
                check_truth(gate, truth_of(gate, self.state_at(gate["at"]).__getitem__))


def canonical(value: Any) -> str:
    """JSON in one spelling only: sorted keys, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _enums(scene: Mapping[str, Any], own: Mapping[str, Mapping[int, str]]) -> dict[str, dict[str, str]]:
    """The enumerations that some text or field of the scene names."""
    used = set(re.findall(r"enum:([A-Za-z0-9_]+)", canonical(scene)))
    used |= {str(field.get("enum")) for fields in scene["words"].values() for field in fields}
    both = {name: own[name] if name in own else told(name) for name in sorted(used & {*ENUMS, *own})}
    return {name: {str(int(value)): text for value, text in words.items()} for name, words in both.items()}
