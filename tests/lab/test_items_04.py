"""Lesson 04's exercises: the engine's truths are those of the slow model, and every wrong idea is named."""

import pytest
from model.memory import Memory
from model.paging import Cpu, SecondLevel, translate

from hvlab.errors import BadRequest
from hvlab.lab.check import told_of
from hvlab.lab.construct import build
from hvlab.lab.exercise import Meter
from hvlab.lab.items import e04, e04_map, shorts
from hvlab.lab.items.e04_map import TRIED, mapped
from lab.item_rules import _declared, held, holds, seeds

PARTS = 4
LOAD = 4
W, U, NX = 2, 4, 1 << 63


def memory_of(words):
    memory = Memory(size=1 << 52)
    for gpa, word in words.items():
        memory.write64(gpa, word & (1 << 64) - 1)
    return memory


def model_of(tables, gva, access, memory=None):
    """The slow model's outcome of one access by a guest without a second level."""
    knobs = dict(tables.knobs)
    cpu = Cpu(tables.root, levels=tables.levels, phys_bits=46, pkru=knobs.pop("pkru", 0))
    for name, value in knobs.items():
        setattr(cpu, name, bool(value))
    return translate(memory or memory_of(tables.words), cpu, SecondLevel(), gva, access)


@pytest.mark.parametrize("part", range(PARTS))
def test_e1_is_what_the_model_finds(part):
    for seed in seeds(part, PARTS):
        world = e04.E1.deal(seed)

        found = tuple(model_of(world.tables, gva, LOAD).gpa for gva in world.gvas)

        assert e04.E1.truth(world) == found and None not in found, seed


@pytest.mark.parametrize("item", [e04.BLANK, e04.BLANKS], ids=lambda item: item.id)
def test_the_blanks_are_what_the_model_finds(item):
    for seed in seeds():
        world = item.deal(seed)
        outcome = model_of(world.tables, world.gvas[0], LOAD)

        entry = outcome.reads[-1][2]

        assert item.truth(world) == (outcome.gpa if item is e04.BLANK else (entry, outcome.gpa)), seed
        assert hex(outcome.gpa) not in item.ask(world).replace("_", "")


def test_e1_has_pages_of_all_three_sizes():
    for seed in range(50):
        world = e04.E1.deal(seed)

        assert {world.leaf(gva)[0] for gva in world.gvas} == {1, 2, 3}


@pytest.mark.parametrize("part", range(PARTS))
def test_e2_is_what_the_model_finds_and_no_access_is_allowed(part):
    for seed in seeds(part, PARTS):
        six = e04.E2.deal(seed)

        outcomes = [model_of(six.tables, gva, access) for gva, access in six.accesses]

        assert {outcome.kind for outcome in outcomes} == {"page_fault"}, seed
        assert e04.E2.truth(six) == tuple((outcome.level, outcome.error_code) for outcome in outcomes), seed


def test_e2_meets_every_bit_of_the_error_code_and_every_level():
    met, levels = 0, set()
    for seed in range(100):
        for level, code in e04.E2.truth(e04.E2.deal(seed)):
            met, levels = met | code, levels | {level}

    assert (met, levels) == (0x3F, {1, 2, 3, 4})


@pytest.mark.parametrize("part", range(PARTS))
def test_every_probe_of_e3_leads_where_the_model_and_the_task_say(part):
    """250 worlds of four maps: 1,000 maps."""
    for k in range(part * 64, part * 64 + 64):
        job = e04.E3.case(2026, k)
        memory, wanted = memory_of(job.tables.words), {gva: (gpa, flags) for gva, gpa, flags in job.maps}

        for gva, (found, rights) in zip(job.probes, e04.E3.truth(job), strict=True):
            if gva & -4096 in wanted:
                gpa, flags = wanted[gva & -4096]
                assert found == gpa | gva & 4095
                assert rights == (bool(flags & U) * (1 | (flags & W) | (0 if flags & NX else 4)))
                continue
            outcomes = [model_of(job.tables, gva, kind, memory) for kind in TRIED]
            assert found == (outcomes[0].gpa or 0), k
            assert rights == sum((one.kind == "ok") << at for at, one in enumerate(outcomes[1:])), k


@pytest.mark.parametrize("item", [e04.X1, *shorts("04")], ids=lambda item: item.id)
def test_exit_and_short_forms_are_what_the_model_finds(item):
    for seed in seeds():
        world = item.deal(seed)

        assert item.truth(world) == by_model(item.id, world), seed


def by_model(id, world):
    if id == "04.X1":
        one = world.guests[0]
        second = SecondLevel("ept", one.root, 4, 52, ad=False, execute_only=False)
        return translate(memory_of(world.words), Cpu(one.cr3, phys_bits=52), second, world.gva, world.access).spa
    outcome = model_of(world["tables"], world["gva"], world.get("access", LOAD))
    if id == "04.code":
        return outcome.error_code
    if id == "04.reads":
        return len(outcome.reads)
    return next(spa >> 3 & 511 for level, _second, spa, _entry in outcome.reads if level == world["level"])


@pytest.mark.parametrize(
    "item", [e04.BLANK, e04.BLANKS, e04.E1, e04.E2, e04.X1, *shorts("04")], ids=lambda item: item.id
)
def test_the_solution_is_right_and_every_wrong_model_is_wrong_and_named(item):
    holds(item)


# E3 as a learner writes it


def map_page(memory, root, frames, gva, gpa, flags):
    """A kernel's map, written from the task alone."""
    table = root
    for shift in (39, 30, 21):
        spot = table + (gva >> shift & 511) * 8
        entry = memory.read64(spot)
        if entry & 1 == 0 or entry >> 7 & 1:
            table = frames.pop()
            for part in range(512):
                word = 0
                if entry & 1:
                    small = entry & ~(1 << 7) if shift == 21 else entry
                    word = small + (part << shift - 9)
                memory.write64(table + part * 8, word)
            memory.write64(spot, table + 7)
        else:
            table = entry & 0x000F_FFFF_FFFF_F000
    memory.write64(table + (gva >> 12 & 511) * 8, gpa + flags + 1)


def verdict_of(function):
    one = held(e04.E3, "builder")
    return told_of(one, e04.E3, build(one, e04.E3, function))


def test_a_right_map_passes_e3():
    verdict = verdict_of(map_page)

    assert verdict.verdict == "right"
    assert "500 maps in 125 worlds" in verdict.lines[-1]


@pytest.mark.parametrize("model", e04.E3.wrong, ids=lambda model: model.name)
def test_each_wrong_map_is_named(model):
    def as_the_idea(memory, root, frames, gva, gpa, flags):
        mapped(memory, root, frames, (gva, gpa, flags), model.name)

    verdict = verdict_of(as_the_idea)

    assert verdict.verdict == "wrong" and verdict.models == (model.name,)
    assert len(verdict.lines) <= 6


def test_what_e3_declares_is_in_order():
    _declared(e04.E3)
    assert len(e04.E3.steps()) > 4 and "map_page" in e04.E3.ask()
    assert "CR3" in e04.E3.tell(e04.E3.case(1, 0))
    assert len(e04.E3.story(e04.E3.case(1, 0))) > 4


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (lambda memory, *more: memory.read64(0x7000_0000_0000), "no table and no free frame"),
        (lambda memory, root, *more: memory.read64(root + 1), "a multiple of 8"),
        (lambda memory, root, *more: memory.write64(root, -1), "a number that does not fit"),
        (lambda memory, root, *more: [memory.read64(root) for _read in range(1000)], "more than 256 times"),
        (lambda *given: None, "Your result differs"),
    ],
)
def test_a_map_that_goes_astray_is_told_where(function, says):
    verdict = verdict_of(function)

    assert verdict.verdict == "wrong" and verdict.case == 0
    assert any(says in line for line in verdict.lines), verdict.lines


def test_a_map_cannot_change_the_case_of_the_next_learner():
    job = e04.E3.case(3, 4)
    before = dict(job.tables.words), job.frames

    e04.E3.call(map_page, job, Meter(256))

    assert (dict(job.tables.words), job.frames) == before


def test_the_memory_of_a_case_takes_hex_text_as_every_answer_does():
    job = e04.E3.case(3, 4)
    ram = job.ram(Meter(4))

    assert ram.read64(f"{job.frames[1]:#x}") == job.left
    with pytest.raises(BadRequest):
        ram.read64(3.5)


def test_hidden_cases_split_large_pages_of_both_sizes():
    jobs = [e04.E3.case(9, k) for k in range(e04.E3.cases)]
    sizes = [job.tables.path(gva)[-1][0] for job in jobs for gva, _gpa, _flags in job.maps]

    assert sizes.count(2) >= 100 and sizes.count(3) >= 90
    assert e04_map.tested(jobs).startswith("500 maps in 125 worlds")
