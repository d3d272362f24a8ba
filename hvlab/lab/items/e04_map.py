"""Lesson 04, E3: map pages as a kernel does, with frames from a list; large pages on the way are split."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hvlab.errors import BadRequest
from hvlab.hardware.processor import FETCH, READ, USER, WRITE
from hvlab.lab.answer import Listed, Number, Plain, record, whole
from hvlab.lab.exercise import Construct, Meter, Wrong
from hvlab.lab.own_tables import FRAME, LARGE, LETTERS, MASK, OPEN, PAGE, PRESENT, Builder, Tables, index_of, shift_of
from hvlab.lab.seed import Draw
from hvlab.language import N_, _
from hvlab.story.walk import story_of
from hvlab.trace.words import say

CASES: Final = 125
FREE: Final = 8  # two more than the maps of a case can need
W, U, NX = LETTERS["W"], LETTERS["U"], LETTERS["N"]
A, D = LETTERS["A"], LETTERS["D"]
TRIED: Final = tuple(int(kind) for kind in (READ, READ | USER, WRITE | USER, FETCH | USER))
Request = tuple[int, int, int]  # GVA, GPA, flags


@dataclass(frozen=True, eq=False)
class Job:
    """Tables as they are, free frames with what was left in them, and the pages to be mapped in order."""

    tables: Tables
    frames: tuple[int, ...]
    left: int
    maps: tuple[Request, ...]
    probes: tuple[int, ...]

    def ram(self, meter: Meter) -> "Ram":
        """Return a copy of the guest's memory."""
        pages = self.tables.pages() | {gpa: [self.left] * 512 for gpa in self.frames}
        return Ram(pages, meter)


class Ram:
    """The guest's memory as its kernel sees it: whole words by GPA."""

    def __init__(self, pages: Mapping[int, list[int]], meter: Meter) -> None:
        self._pages, self._meter = pages, meter

    def _place(self, gpa: Any) -> tuple[list[int], int]:
        at = whole(gpa)
        if at is None or at % 8 or at & -PAGE not in self._pages:
            shown = say("gpa", at) if at is not None and 0 <= at <= MASK else "this"
            raise BadRequest(f"a word at GPA {shown}", "no table and no free frame", "a multiple of 8 in one of them")
        return self._pages[at & -PAGE], at >> 3 & 511

    def read64(self, gpa: int) -> int:
        """Return the 64-bit word at a GPA."""
        page, index = self._place(gpa)
        return self._meter.read(page[index])

    def write64(self, gpa: int, word: int) -> None:
        """Store a 64-bit word at a GPA."""
        page, index = self._place(gpa)
        value = whole(word)
        if value is None or not 0 <= value <= MASK:
            raise BadRequest("a word of 64 bits", "a number that does not fit", "0 to 2^64 - 1")
        page[index] = value

    def words(self) -> dict[int, int]:
        """Return every word that is not zero."""
        return {gpa + 8 * k: word for gpa, page in self._pages.items() for k, word in enumerate(page) if word}


def free_frames(draw: Draw) -> Iterator[int]:
    """Yield GPAs of pages below 16 MiB, each once."""
    used: set[int] = set()
    while True:
        gpn = draw.between(16, 4095)
        if gpn not in used:
            used.add(gpn)
            yield gpn * PAGE


def flags_of(draw: Draw) -> int:
    """Draw what a page grants."""
    return sum(bit for bit in (W, U, NX) if draw.chance(1, 2))


def page_of(draw: Draw, leaf: int) -> int:
    """Draw the GPA of a page of a leaf's size, above all tables."""
    return (1 << 39 | draw.bits(39)) >> shift_of(leaf) << shift_of(leaf)


def other(draw: Draw, gva: int, level: int) -> int:
    """Return an address that differs in the index of this level, and in its offset."""
    return (gva ^ draw.between(1, 511) << shift_of(level)) & -PAGE | draw.bits(12)


def hidden(draw: Draw, k: int) -> Job:
    """Draw hidden case k: a page next to one that is mapped, one far away, and two inside of large pages."""
    frames, gva = free_frames(draw), draw.bits(46) | 1 << 21
    builder = Builder(frames)
    places = {1: gva, 2: other(draw, gva, 2), 3: other(draw, gva, 3)}
    for leaf, at in places.items():
        builder.map(at, page_of(draw, leaf), flags_of(draw) | A | D, leaf, OPEN | A)
    far = gva ^ 1 << 46
    wanted = [far, other(draw, far, 1), inside(draw, places[2], 2), inside(draw, places[3], 3)]
    if k % 2:
        wanted[1] = other(draw, gva, 1)
    if k % 5 == 0:
        wanted[3] = gva & -PAGE  # a page that is mapped already: the new map replaces it
    maps = tuple((at & -PAGE, page_of(draw, 1), flags_of(draw)) for at in draw.shuffled(wanted))
    probes = [at & -PAGE | draw.bits(12) for at in (*places.values(), *wanted)]
    probes += [inside(draw, places[leaf], leaf) for leaf in (2, 3)]
    probes += [other(draw, places[3], 1), *(other(draw, at, 1) for at in wanted), other(draw, far, 2)]
    free = tuple(next(frames) for _frame in range(FREE))
    left = free[0] | PRESENT | W | U | A | D  # an old entry: it leads to a frame that no map takes
    return Job(builder.tables(), free, left, maps, tuple(probes))


def inside(draw: Draw, gva: int, leaf: int) -> int:
    """Return an address in the same large page."""
    size = shift_of(leaf)
    return gva >> size << size | draw.bits(size)


def answers(tables: Tables, probes: tuple[int, ...]) -> tuple[Plain, ...]:
    """Let the engine say where each probe leads, and which accesses it lets through; 0 and 0 where nowhere."""
    ended = iter(tables.silent([(gva, kind) for gva in probes for kind in TRIED]))
    found = []
    for _gva in probes:
        tried = [next(ended) for _kind in TRIED]
        rights = sum(one.ok << k for k, one in enumerate(tried[1:]))
        found.append((tried[0].gpa, rights))
    return tuple(found)


def truth(job: Job) -> Plain:
    """Return what the engine says of every page that no map touched, and what the maps ask for of the others."""
    before = answers(job.tables, job.probes)
    wanted = {gva: (gpa, flags) for gva, gpa, flags in job.maps}
    found = list(before)
    for k, gva in enumerate(job.probes):
        if gva & -PAGE in wanted:
            gpa, flags = wanted[gva & -PAGE]
            user = 1 if flags & U else 0
            found[k] = (gpa | gva & PAGE - 1, user | user * bool(flags & W) << 1 | user * (not flags & NX) << 2)
    return tuple(found)


def call(function: Callable[..., Any], job: Job, meter: Meter) -> Any:
    """Let the learner's function make all maps of a case, and the engine walk the tables that it left."""
    ram, frames = job.ram(meter), list(job.frames)
    for gva, gpa, flags in job.maps:
        function(ram, job.tables.root, frames, gva, gpa, flags)
    return answers(Tables(ram.words(), job.tables.root), job.probes)


# wrong models: one kernel that maps pages, and what each idea makes of it ---------------------------------------------


def mapped(ram: Ram, root: int, frames: list[int], request: Request, idea: str = "") -> None:
    """Map one page as a kernel does, or as somebody with this idea does."""
    gva, gpa, flags = request
    way = PRESENT if idea == "leaf-decides" else flags | PRESENT if idea == "flags-on-the-way" else OPEN | PRESENT
    table = root
    for level in (4, 3, 2):
        at = table + 8 * index_of(gva, level)
        entry = ram.read64(at)
        if not entry & PRESENT or entry & LARGE:
            fresh = frames.pop()
            if idea != "old-bytes-stay" or entry & PRESENT:
                keep = entry if idea != "split-forgets-the-rest" else 0
                fill(ram, fresh, keep, level)
            ram.write64(at, fresh | way)
            entry = fresh
        table = entry & FRAME
    leaf = gpa >> 12 if idea == "byte-not-page" else gpa
    ram.write64(table + 8 * index_of(gva, 1), leaf | flags | PRESENT)


def fill(ram: Ram, frame: int, entry: int, level: int) -> None:
    """Empty a new table; where it takes the place of a large page, let it map the same memory with the same rights."""
    bits, below = entry & ~FRAME & MASK, shift_of(level - 1)
    base = entry & FRAME & -(1 << shift_of(level))
    for index in range(512):
        word = base + (index << below) | (bits if level > 2 else bits & ~LARGE)
        ram.write64(frame + 8 * index, word if entry & PRESENT else 0)


def after(job: Job, idea: str = "") -> Tables:
    """Return the tables after all maps of a case."""
    ram, frames = job.ram(Meter(1 << 30)), list(job.frames)
    for request in job.maps:
        mapped(ram, job.tables.root, frames, request, idea)
    return Tables(ram.words(), job.tables.root)


def thought(name: str, says: str, rule: str = "walk") -> Wrong:
    """Return a wrong model by its name."""
    return Wrong(name, says, rule, lambda job: answers(after(job, name), job.probes))


# what the learner reads -----------------------------------------------------------------------------------------------


def ask() -> str:
    """Say the task."""
    return _(
        "Write map_page(memory, root, frames, gva, gpa, flags). memory.read64(gpa) and memory.write64(gpa, word) reach "
        "the tables and the free frames; root is the GPA of the level-4 table; frames is a list of GPAs of free pages, "
        "frames.pop() takes one: it holds old bytes. flags are W (2), U (4) and NX (1 << 63) of the page: after the "
        "call the page at gva leads to gpa with exactly these rights, and every other page is as it was.\n"
        "A large page in the way is split. check('04.E3', map_page) makes 500 maps in 125 worlds and walks the tables."
    )


def tell(job: Job) -> str:
    """Say what a case is about."""
    parts = (f"{say('gva', gva)} → {say('gpa', gpa)}" for gva, gpa, _flags in job.maps)
    return _("CR3 {root}, maps {maps}.").format(root=say("gpa", job.tables.root), maps=", ".join(parts))


def tested(jobs: list[Job]) -> str:
    """Say what was tested."""
    maps = [(job, gva) for job in jobs for gva, _gpa, _flags in job.maps]
    large = sum(bool(job.tables.path(gva)[-1][2] & LARGE) for job, gva in maps)
    told = _("{maps} maps in {worlds} worlds, {large} into a large page; not tested: 5 levels, unmapping, flushes")
    return told.format(maps=len(maps), worlds=len(jobs), large=large)


def steps() -> list[str]:
    """Return the solution in words."""
    return [
        _("index: table = root. For level 4, 3, 2 the entry is at table + 8 * (gva >> 12 + 9 * (level - 1) & 511)."),
        _("fetch entry: if P is 0, take a frame, write 512 zeros into it, store frame | 7 as the entry: P, W and U."),
        _("descend: if P and PS are 1, the entry is a large page: take a frame and write 512 entries into it, each"),
        _("  with the same other bits, and base + index * the smaller size; PS stays where these are 2 MiB pages."),
        _("  Then store frame | 7 in its place. The next table is at entry & 0x000f_ffff_ffff_f000."),
        _("deliver: at level 1 store gpa | flags | 1. The leaf alone decides, since all above it grant everything."),
    ]


E3: Final = Construct(
    id="04.E3",
    version=1,
    shape=Listed(record(gpa=Number("gpa"), rights=Number(high=7)), one="probe"),
    make=hidden,
    ask=ask,
    truth=truth,
    call=call,
    tell=tell,
    story=lambda job: story_of(after(job).run([(gva, int(READ)) for gva, _gpa, _flags in job.maps])[1]),
    tested=tested,
    steps=steps,
    budget=256,
    cases=CASES,
    hints=(
        N_(
            "Phases *index* and *descend*: walk down by hand first. What is to be done where P is 0, and where PS is 1?"
        ),
        N_("Sub-goal: write a table that maps the same 2 MiB by 512 entries of the same rights; then change one."),
    ),
    wrong=(
        thought(
            "leaf-decides",
            N_("entries of the new tables grant nothing but P: a right counts only if every level grants it."),
        ),
        thought(
            "flags-on-the-way",
            N_("the page's flags stand in the entries above it, too: later pages below them lose rights."),
        ),
        thought(
            "byte-not-page",
            N_("a page number stands in bits 51 to 12: there it is the page's address, not that shifted down."),
        ),
        thought(
            "split-forgets-the-rest",
            N_("the large page's other 511 parts are gone: they have to be mapped as before."),
        ),
        thought(
            "old-bytes-stay",
            N_("a free frame holds old bytes; every one of the 512 entries of a new table counts."),
        ),
    ),
)
