"""Lesson 05's exercises: the engine's truths are those of the slow model, and every wrong idea is named."""

import pytest
from model.memory import Memory
from model.paging import Cpu, SecondLevel, translate
from model.shipped import arrays, table_pages

from hvlab.lab.construct import build
from hvlab.lab.items import e05, e05_build, e05_repair, exercises_of, find_exercise, shorts
from hvlab.lab.seed import Draw
from hvlab.lab.worlds import Look
from lab.item_rules import builds, held, holds, seeds

PARTS = 4
TABLES = (("table_gpa", "table_data"), ("l2pt_spa", "l2pt_data"))


def model_of(world, vp=-1, words=None):
    """The slow model's outcome of a world's access."""
    one = world.guests[vp]
    memory = Memory(size=1 << 52)
    for spa, word in (words or world.words).items():
        memory.write64(spa, word & (1 << 64) - 1)
    cpu = Cpu(one.cr3, levels=one.levels, phys_bits=52)
    second = SecondLevel("ept", one.root, one.second_levels, 52, ad=world.accessed_dirty, execute_only=False)
    return translate(memory, cpu, second, world.gva, world.access)


@pytest.mark.parametrize("part", range(PARTS))
def test_e1_is_what_the_model_finds(part):
    for seed in seeds(part, PARTS):
        world = e05.E1.deal(seed)

        outcome = model_of(world)

        assert e05.E1.truth(world) == (outcome.gpa, outcome.spa, len(outcome.reads)), seed


@pytest.mark.parametrize("part", range(PARTS))
def test_e2_is_the_one_bit_by_which_the_model_reaches_the_page(part):
    for seed in seeds(part, PARTS):
        world = e05.E2.deal(seed)
        spa, bit = e05.E2.truth(world)

        refused = model_of(world)
        mended = model_of(world, words={**world.words, spa: world.words[spa] ^ 1 << bit})

        assert refused.kind == world.step.outcome != "ok", seed
        assert (mended.kind, mended.spa) == ("ok", world.more["spa"]), seed


def test_no_other_bit_of_any_entry_of_e2_mends_it():
    for seed in range(40):
        world = e05.E2.deal(seed)
        read = {spa for _guest, _level, spa, _entry in model_of(world).reads}

        found = [
            (spa, bit)
            for spa in read
            for bit in (0, 1, 2, 63)
            if model_of(world, words={**world.words, spa: world.words.get(spa, 0) ^ 1 << bit}).spa == world.more["spa"]
        ]

        assert found == [e05.E2.truth(world)], seed


@pytest.mark.parametrize("part", range(PARTS))
def test_every_hidden_world_of_e3_ends_as_in_the_model(part):
    kinds = set()
    for k in seeds(part, PARTS):
        world = e05.E3.case(2026, k)

        outcome = model_of(world)

        kinds.add(outcome.kind)
        assert e05.E3.truth(world) == said(outcome), k
    assert kinds == set(e05_build.OUTCOMES)


def said(outcome):
    """The model's outcome in the form that E3 wants."""
    number = {"ok": outcome.spa, "page_fault": outcome.error_code, "ept_violation": outcome.gpa}[outcome.kind]
    return outcome.kind, number


@pytest.mark.parametrize("item", [e05.X1, *shorts("05")], ids=lambda item: item.id)
def test_exit_and_short_forms_are_what_the_model_finds(item):
    for seed in seeds():
        world = item.deal(seed)

        outcome = model_of(world)

        expected = len(outcome.reads) if outcome.kind == "ok" else None
        who = {"page_fault": "guest", "ept_violation": "hypervisor"}.get(outcome.kind, expected)
        assert item.truth(world) == who, seed


def test_each_real_address_is_where_the_model_finds_it_in_kvms_tables():
    found = arrays("npt_4lvl")
    host, guest = (table_pages(found[name], found[data]) for name, data in TABLES)
    memory = Memory(host | guest)
    cpu = Cpu(int(found["vmcb"][0x550 // 8]), phys_bits=40)
    second = SecondLevel("npt", root=int(found["ncr3"]), phys_bits=40)
    pages = set()
    for seed in seeds():
        gva = e05.REAL.deal(seed)
        outcome = translate(memory, cpu, second, gva, 512)

        assert e05.REAL.truth(gva) == (outcome.gpa, outcome.spa, len(outcome.reads)), hex(gva)
        assert len(outcome.reads) == 19
        pages.add(gva >> 12)
    assert len(pages) > 100


@pytest.mark.parametrize("item", [e05.E1, e05.REAL, e05.E2, e05.X1, *shorts("05")], ids=lambda item: item.id)
def test_the_solution_is_right_and_every_wrong_model_is_wrong_and_named(item):
    holds(item)


def test_a_right_walker_passes_e3_and_every_wrong_model_is_named():
    builds(e05.E3, walker)


def walker(read, cr3, root, gva, access):
    """The slow model as a learner's function."""

    class Bus:
        def has(self, spa):
            return True

        def read64(self, spa):
            return read(spa)

        def write64(self, spa, word):
            raise AssertionError("A and D are set everywhere")

    cpu, second = Cpu(cr3, phys_bits=52), SecondLevel("ept", root, 4, 52, ad=False, execute_only=False)
    return said(translate(Bus(), cpu, second, gva, access))


def test_a_walker_that_is_off_by_one_page_in_large_pages_has_no_name():
    def off(read, cr3, root, gva, access):
        outcome, number = walker(read, cr3, root, gva, access)
        return outcome, number ^ 0x1000 if outcome == "ok" else number

    built = build(held(e05.E3, "builder"), e05.E3, off)

    assert built.wrong > 500 and not built.models


def test_the_learner_reads_a_world_by_spa_and_holes_read_as_zero():
    world = e05.E1.deal(3)
    spa = next(iter(world.words))

    assert Look(world).read64(spa) == world.words[spa] and Look(world).read64(f"{spa:#x}") == world.words[spa]
    assert Look(world).read64(8) == Look(world).read64("nothing") == 0
    assert e05.RealLook().read64(e05.kvm()[0].ncr3) & 1 and e05.RealLook().read64(8) == 0
    assert repr(Look(world)).count("\n") + 1 == len(world.words)


def test_the_idea_of_one_walk_after_the_other_has_a_run_of_its_own():
    world = e05.E1.deal(5)
    model = e05.E1.wrong[0]

    wrong, right = model.story(world), e05.E1.story(world)

    reads = [
        sum("Second level" in row["what"] or "Guest level" in row["what"] for row in s.rows()) for s in (wrong, right)
    ]
    assert reads == [model.answer(world)[2], e05.E1.truth(world)[2]]


def test_e2_breaks_both_levels_of_tables_and_every_kind_of_bit():
    ends, bits = set(), set()
    for seed in range(200):
        world = e05_repair.broken(Draw(seed))
        ends.add(world.step.outcome)
        bits.add(e05.E2.truth(world)[1])

    assert ends == {"page_fault", "ept_violation", "ept_misconfiguration"}
    assert bits == {0, 1, 2, 63}


def test_some_thirty_entries_stand_in_e2():
    sizes = [len(e05.E2.deal(seed).words) for seed in range(50)]

    assert min(sizes) >= 24 and max(sizes) <= 36


def test_every_exercise_of_the_lesson_is_found_by_its_id():
    ids = [item.id for item in exercises_of("05")]

    assert ids == ["05.E1", "05.E1.real", "05.E2", "05.E3", "05.X1", "05.X2"]
    assert [find_exercise(id).id for id in ids] == ids
