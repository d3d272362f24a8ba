"""Checks: an answer is read, judged by the engine now, and a wrong one is diagnosed by the ideas that lead to it.

A check never raises and never says what is right: it names the idea, or the first place that differs, and it says
what was tested.
"""

from dataclasses import dataclass
from typing import Any, Final

from hvlab.errors import HvlabError, plain
from hvlab.lab import progress
from hvlab.lab.answer import Plain, Sentence, Unread, differences, shown, swapped
from hvlab.lab.construct import Built, build
from hvlab.lab.deal import Dealt, hand
from hvlab.lab.exercise import Construct, Exercise, Wrong
from hvlab.lab.rules import rule
from hvlab.lab.submit import program
from hvlab.lab.tables import wrapped
from hvlab.language import _
from hvlab.story.gate import mode
from hvlab.story.storyboard import Storyboard

MOST_LINES: Final = 6
ATTEMPTS: Final = ("right", "wrong", "kept")


@dataclass(frozen=True)
class Verdict:
    """What a check came to.

    Attributes
    ----------
    id : str
    verdict : str
        `waiting`, `unread`, `unknown`, `right`, `wrong`, `kept`, `stopped`, or `trouble` (the lab's own mistake).
    lines : tuple of str
        What was printed, at most six lines.
    models : tuple of str
        The wrong models that give the same answer.
    frame : int or None
        Where the first of them and the machine part, in the story of this world.
    case : int or None
        Of a construction: the first hidden case that differs.
    """

    id: str
    verdict: str
    lines: tuple[str, ...]
    models: tuple[str, ...] = ()
    frame: int | None = None
    case: int | None = None

    @property
    def right(self) -> bool:
        return self.verdict == "right"

    def __repr__(self) -> str:
        return f"Verdict({self.id}, {self.verdict})"

    def _ipython_display_(self) -> None:
        """A notebook shows nothing more than what was printed."""


def check(id: str, answer: Any = None) -> Verdict:
    """Check an answer, as often as you like; without one, say what is waited for.

    Parameters
    ----------
    id
        Such as ``"05.E1"``, or ``"05.R1"`` of a warm-up.
    answer
        Numbers (plain, numpy's, ``"0x18"``), bytes or hex, lists, fields by name, a function: as the task asks.
    """
    try:
        mode()
    except ValueError as error:  # HVLAB_MODE is none of the three
        print(error)
        return Verdict(plain(id, 40), "unknown", (str(error),))
    try:
        verdict = _check(id, answer)
    except HvlabError as error:
        verdict = Verdict(plain(id, 40), "unknown", (_("{problem}.").format(problem=plain(error)),))
    except KeyboardInterrupt:
        verdict = Verdict(id, "stopped", (_("{id}: stopped; nothing is recorded.").format(id=id),))
    except Exception as error:  # a mistake of the lab must not look like one of the learner
        told = _("{id}: the lab itself failed here ({kind}). Your answer is not counted; please report it.")
        verdict = Verdict(plain(id, 40), "trouble", (told.format(id=plain(id, 40), kind=type(error).__name__),))
    print("\n".join(verdict.lines[:MOST_LINES]))
    return verdict


def _check(id: str, answer: Any) -> Verdict:
    held = hand(id)
    if answer is None:
        return Verdict(id, "waiting", (waits(held),))
    if isinstance(held.item, Construct):
        return _construct(held, held.item, answer)
    try:
        given = held.item.shape.read(answer)
    except Unread as refused:
        said = _("{id}: {why} Nothing is recorded.").format(id=id, why=refused)
        return Verdict(id, "unread", (said,))
    if isinstance(held.item.shape, Sentence):
        progress.note(id, "exit", seed=held.seed_text, given=given, verdict="kept")
        return Verdict(id, "kept", (_("{id}: kept. Nothing is marked; a teacher may read it.").format(id=id),))
    verdict = judge(held, held.item, given)
    note(held, verdict, progress.given_text(given))
    return verdict


def note(held: Dealt, verdict: Verdict, given: str) -> None:
    """Keep an attempt."""
    kind = "recall" if held.item.kind == "recall" else "exit" if held.item.kind == "exit" else "check"
    models = " or ".join(verdict.models)
    progress.note(held.id, kind, seed=held.seed_text, given=given, verdict=verdict.verdict, model=models)


def waits(held: Dealt) -> str:
    """Say what an item waits for."""
    if isinstance(held.item, Construct):
        return _("{id} waits for your function: check({name}, your_function).").format(id=held.id, name=repr(held.id))
    told = _("{id} waits for {wanted}. The task: task({name}).")
    return told.format(id=held.id, wanted=held.item.shape.wants(), name=repr(held.id))


def judge(held: Dealt, item: Exercise, given: Plain) -> Verdict:
    """Judge a plain answer in the world that is dealt."""
    world = held.world
    truth = item.truth(world)
    if item.right(world, given, truth):
        return Verdict(held.id, "right", (_("{id}: right.").format(id=held.id), tested(_(item.tested))))
    found = [model for model in item.wrong if item.agrees(model, world, given, truth)]
    place = item.place(world, given) if item.place else next(iter(differences(item.shape, given, truth)), "")
    if not found and (kinds := swapped(item.shape, given, truth)):
        place = _("{field}, which is the {kind} that you found").format(field=kinds[0], kind=kinds[1])
    frame = parting(item, found, world)
    lines = (*diagnosis(held.id, found, place), *_parts(held.id, frame), tested(_(item.tested)))
    return Verdict(held.id, "wrong", lines, tuple(model.name for model in found), frame)


def diagnosis(id: str, found: list[Wrong], place: str) -> tuple[str, ...]:
    """Say which ideas give this answer; if none does, the first place that differs."""
    if not found:
        if not place:
            return (_("{id}: not yet.").format(id=id),)
        return (_("{id}: not yet. The first difference: {place}.").format(id=id, place=place),)
    if len(found) == 1:
        model = found[0]
        said = _("{id}: not yet. {name}: {says}").format(id=id, name=model.name, says=_(model.says))
        return (said, _rule(model))
    names = ", ".join(model.name for model in found)
    said = _("{id}: not yet. Several ideas give this answer: {names}.").format(id=id, names=names)
    asks = [_(model.asks) for model in found if model.asks][:1]
    return (said, *(asks or [f"{model.name}: {_(model.says)}" for model in found[:2]]))


def _rule(model: Wrong) -> str:
    broken = rule(model.rule)
    told = _("The rule: {document}, {section}.")
    return told.format(document=broken.document, section=broken.section)


def parting(item: Exercise, found: list[Wrong], world: Any) -> int | None:
    """Return the first frame of the world's story that shows what the first of the ideas leaves out."""
    test = next((model.parts for model in found if model.parts), None)
    if test is None or item.story is None:
        return None
    story = item.story(world)
    return next((k for k, facts in enumerate(story.states(0, len(story) - 1)) if test(facts)), None)


def _parts(id: str, frame: int | None) -> tuple[str, ...]:
    if frame is None:
        return ()
    told = _("This idea and the machine part at frame {frame}; hint({id}, 3) shows such a run.")
    return (told.format(frame=frame, id=repr(id)),)


def tested(what: str) -> str:
    """Say what was tested."""
    return _("Tested: {what}.").format(what=what)


def _construct(held: Dealt, item: Construct, answer: Any) -> Verdict:
    if not callable(answer):
        told = _("{id}: {given}: wanted a function. Nothing is recorded.")
        return Verdict(held.id, "unread", (told.format(id=held.id, given=shown(answer)),))
    verdict = told_of(held, item, build(held, item, answer))
    if verdict.verdict in ATTEMPTS:
        note(held, verdict, program(answer) or plain(getattr(answer, "__name__", "a function"), 40))
    return verdict


def told_of(held: Dealt, item: Construct, built: Built) -> Verdict:
    """Return the verdict on a function that ran on all hidden cases."""
    last = tested(item.tested(built.worlds))
    if built.stopped is not None:
        said = _("{id}: stopped at case {case}; nothing is recorded.").format(id=held.id, case=built.stopped)
        return Verdict(held.id, "stopped", (said,), case=built.stopped)
    if built.first is None:
        return Verdict(
            held.id, "right", (_("{id}: right in every world.").format(id=held.id), last, *race(item, built))
        )
    k = built.first
    head = _("{id}: {wrong} of {cases} worlds differ; the first is case {case}.")
    said = head.format(id=held.id, wrong=f"{built.wrong:,}", cases=f"{len(built.worlds):,}", case=k)
    what = _("Case {case}: {world} {why}").format(case=k, world=item.tell(built.worlds[k]), why=built.why)
    idea = tuple(f"{model.name}: {_(model.says)}" for model in built.models[:2])
    replay = _("show(case({id}, {case})) replays it.").format(id=repr(held.id), case=k)
    names = tuple(model.name for model in built.models)
    return Verdict(held.id, "wrong", (said, what, *idea, replay, last), names, case=k)


def race(item: Construct, built: Built) -> tuple[str, ...]:
    """Set the function's time beside the engine's; not in `test` mode, since no two runs have the same."""
    if item.race is None or mode() == "test":
        return ()
    told = _("Wall: your function {mine:.2g} s, the engine {its:.2g} s for as many accesses.")
    return (told.format(mine=built.seconds, its=item.race(built.worlds)),)


class Task:
    """A task in words.

    Attributes
    ----------
    look
        What of the world you may read, such as its memory: ``task("05.E1").look.read64(0x1000)``; None if there is
        nothing to be read.
    """

    def __init__(self, held: Dealt) -> None:
        self.id, self._held = held.id, held

    @property
    def look(self) -> Any:
        item = self._held.item
        return item.look(self._held.world) if isinstance(item, Exercise) and item.look else None

    def __repr__(self) -> str:
        item = self._held.item
        text = item.ask() if isinstance(item, Construct) else item.ask(self._held.world)
        return wrapped(f"{self.id}: {text}")


def task(id: str) -> Task:
    """Return a task as it is dealt to you.

    Raises
    ------
    BadRequest
        For an unknown id, with the nearest three.
    """
    return Task(hand(id))


def case(id: str, k: int | None = None) -> Storyboard:
    """Return the story of a hidden case of a construction, for the player: ``show(case("05.E3", 17))``.

    Raises
    ------
    BadRequest
        If there is no such item or case.
    """
    from hvlab.errors import BadRequest

    held = hand(id)
    if not isinstance(held.item, Construct):
        raise BadRequest(f"a case of {id}", "one world", f"hint({id!r}, 3)")
    if type(k) is not int or not 0 <= k < held.item.cases:
        raise BadRequest(f"case {plain(k, 20)} of {id}", f"cases 0 to {held.item.cases - 1}")
    return held.item.story(held.case(k))
