"""What an exercise is: a generator of worlds, a truth that the engine computes, named wrong models, hints.

Nothing here holds an answer. A world is made from a seed; its truth is computed when somebody asks; the wrong models
run on the same world, and a world in which one of them is right is never dealt.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hvlab.errors import HvlabError
from hvlab.lab.answer import Plain, Sentence, Shape, differences
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.story.storyboard import Storyboard

World = Any
Facts = Mapping[str, int]

ATTEMPTS: Final = 200  # worlds drawn before the generator is said to be broken
KINDS: Final = ("trace", "compute", "construct", "recall", "exit")


class NoWorld(HvlabError):
    """A generator that finds no world in which every wrong model is wrong: a mistake in the item, not of a learner."""


@dataclass(frozen=True)
class Wrong:
    """A known wrong idea.

    Parameters
    ----------
    name, says
        Its id, such as ``"one-after-the-other"``, and one sentence about what the machine does instead, in lower case
        at its start and without the word *wrong*.
    rule
        The id of the rule that it breaks, in ``rules.toml``.
    answer
        What somebody who holds the idea answers in a world; None where the idea says nothing about it.
    parts
        Whether the facts of a frame of the world's story show what the idea leaves out: the first such frame is where
        idea and machine part.
    asks
        The small case that separates this idea from others which give the same answer, as a question.
    story
        The idea's own run, for a teacher to show beside the machine's.
    """

    name: str
    says: str
    rule: str
    answer: Callable[[World], Plain | None]
    parts: Callable[[Facts], bool] | None = None
    asks: str = ""
    story: Callable[[World], Storyboard] | None = None


@dataclass(frozen=True)
class Exercise:
    """An exercise with one answer for each world.

    Parameters
    ----------
    id, version
        Such as ``"05.E1"``; the version grows when the same seed gives another world.
    kind
        One of `KINDS`.
    shape
        What an answer looks like (`hvlab.lab.answer`).
    make
        The generator: draws a world. It need not look at the wrong models; `deal` does.
    ask
        The task in a world, as text; all that is needed to answer by hand stands in it or can be read by `look`.
    truth
        The answer, computed now, by the engine.
    story
        The world's own run, told: the worked run of another seed, or of this one once it is solved.
    tested
        What was tested, and what was not, in one sentence.
    hints
        Stage 1: which phase or rule to look at; stage 2: the next sub-goal.
    steps
        The worked solution of a world as lines, computed now.
    fits
        For tasks with several right answers: whether a plain answer is one. Then `truth` is one of them.
    place
        For such tasks: the first place of a wrong answer that cannot stand as it is, never what is right there.
    look
        What of the world the learner may read: an object with methods, such as ``read64``.
    """

    id: str
    version: int
    kind: str
    shape: Shape
    make: Callable[[Draw], World]
    ask: Callable[[World], str]
    truth: Callable[[World], Plain]
    tested: str
    hints: tuple[str, str] = ("", "")
    wrong: tuple[Wrong, ...] = ()
    story: Callable[[World], Storyboard] | None = None
    steps: Callable[[World], list[str]] | None = None
    fits: Callable[[World, Plain], bool] | None = None
    place: Callable[[World, Plain], str] | None = None
    look: Callable[[World], Any] | None = None

    def deal(self, seed: int) -> World:
        """Return the world of a seed: the first that is drawn in which every wrong model is wrong.

        Raises
        ------
        NoWorld
            If the generator draws none.
        """
        draw = Draw(seed)
        for _attempt in range(ATTEMPTS):
            world = self.make(draw)
            if self.sorts(world):
                return world
        raise NoWorld(f"{self.id}: no world in which the wrong models are wrong, in {ATTEMPTS} draws")

    def sorts(self, world: World) -> bool:
        """Whether every wrong model is wrong in this world."""
        if not self.wrong:
            return True
        truth = self.truth(world)
        answers = (model.answer(world) for model in self.wrong)
        return not any(said is not None and self.right(world, said, truth) for said in answers)

    def right(self, world: World, answer: Plain, truth: Plain) -> bool:
        """Whether a plain answer is right."""
        return self.fits(world, answer) if self.fits else not differences(self.shape, answer, truth)

    def agrees(self, model: Wrong, world: World, answer: Plain, truth: Plain) -> bool:
        """Whether a wrong answer is what a model says, at least in every place where it differs from the truth."""
        said = model.answer(world)
        if said is None:
            return False
        mine, its, right = (dict(self.shape.atoms(one)) for one in (answer, said, truth))
        odd = [name for name in {**mine, **right} if mine.get(name) != right.get(name)]
        return bool(odd) and all(mine.get(name) == its.get(name) for name in odd)


def in_own_words(id: str, asks: str) -> Exercise:
    """Return the exit item that asks for a sentence, marked with ``N_()``; what is written is kept, and not judged."""
    return Exercise(
        id=id,
        version=1,
        kind="exit",
        shape=Sentence(),
        make=lambda draw: None,
        ask=lambda world: _(asks),
        truth=lambda world: "",
        tested=N_("nothing; your sentence is kept"),
    )


@dataclass(frozen=True)
class Construct:
    """An exercise whose answer is a function, run on copies of hidden worlds under a budget of memory reads.

    Parameters
    ----------
    id, version, hints, tested, wrong
        As for `Exercise`; a wrong model's `answer` is what its function returns in a world.
    ask
        The task: the signature, what is given, what is to be returned.
    shape
        What the function returns.
    make
        Draws hidden case k.
    truth
        What the engine says about a case.
    call
        Calls the learner's function on a case: ``call(function, world, meter)``. All that it hands over are copies,
        and every read of memory goes through ``meter.read(word)``.
    tell
        A case in words, without its answer.
    budget
        Reads of memory that one case may take.
    race
        The seconds that the engine takes for as many cases, for comparison; never judged.
    """

    id: str
    version: int
    shape: Shape
    make: Callable[[Draw, int], World]
    ask: Callable[[], str]
    truth: Callable[[World], Plain]
    call: Callable[[Callable[..., Any], World, "Meter"], Any]
    tell: Callable[[World], str]
    story: Callable[[World], Storyboard]
    tested: Callable[[list[World]], str]
    steps: Callable[[], list[str]]
    budget: int = 128
    cases: int = 1000
    hints: tuple[str, str] = ("", "")
    wrong: tuple[Wrong, ...] = ()
    race: Callable[[list[World]], float] | None = None
    kind: str = field(default="construct", init=False)

    def case(self, seed: int, k: int) -> World:
        """Return hidden case k of a seed."""
        draw = Draw(seed)
        return self.make(Draw(draw.word() ^ Draw(k).word()), k)


class Spent(BaseException):
    """The budget of memory reads is spent. Not an Exception, so that ``except Exception`` in a loop does not eat it."""


class Meter:
    """Counts the reads of memory of one case."""

    def __init__(self, budget: int) -> None:
        self.budget, self.reads = budget, 0

    def read(self, word: int) -> int:
        """Count one read, and hand its word on."""
        self.reads += 1
        if self.reads > self.budget:
            raise Spent
        return word


Item = Exercise | Construct
