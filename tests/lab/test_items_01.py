"""The exercises of lesson 01 against tables and arithmetic of their own, and the permits against the engine."""

import pytest

from hvlab.lab.calling import established
from hvlab.lab.discovery import cpuid_leaves
from hvlab.lab.hint import hint
from hvlab.lab.items import e01
from hvlab.lab.permits import BY_CODE, CALLS, CHILD, ROOT, allowed, inspect, least
from hvlab.machine import Machine
from hvlab.trace.words import grouped
from hvlab.wire.hypercalls import CALLS as SHAPES
from hvlab.wire.tlfs import SELF, HypercallControl, HypercallResult, Status
from lab.item_rules import ideas, named_by_check, seeds, sound, steady

SEEDS = seeds()
EVERY = (e01.BLANK, e01.BLANKS, e01.E1, e01.E2, e01.E3, e01.X1, *e01.SHORTS)
# code: (bit of the mask or None, what else): the test's own table. own: a child may, about itself.
TABLE = {
    0x02: (None, "own"), 0x03: (None, "own"), 0x0B: (None, "own"), 0x0D: (48, "own"), 0x0F: (48, "own"),
    0x13: (None, "own"), 0x14: (None, "own"), 0x40: (32, "own"), 0x41: (None, "up"), 0x42: (None, "up"),
    0x43: (None, "up"), 0x44: (None, "up"), 0x45: (None, "up"), 0x46: (33, "own"), 0x48: (34, "up"), 0x49: (34, "up"),
    0x4A: (34, "up"), 0x4B: (None, "up"), 0x4C: (None, "up"), 0x4D: (None, "up"), 0x4E: (None, "up"),
    0x4F: (None, "up"), 0x50: (49, "own"), 0x51: (49, "own"), 0x53: (None, "up"), 0x54: (None, "up"),
    0x58: (None, "up"), 0x5B: (None, "up"), 0x5C: (36, "own"), 0x5D: (37, "own"), 0x69: (43, "own"), 0x6A: (43, "own"),
    0x6B: (43, "own"), 0x7C: (44, "up"), 0x7D: (44, "up"), 0x7E: (44, "own"), 0x82: (44, "up"), 0x83: (44, "up"),
    0x99: (53, "own"), 0x8001: (52, "own"),
}  # fmt: skip
REGISTER_BITS = {
    "HYPERCALL": 5, "VP_INDEX": 6, "VP_RUNTIME": 0, "TIME_REF_COUNT": 1, "REFERENCE_TSC": 9, "TSC_FREQUENCY": 11,
    "EOI": 4, "SCONTROL": 2, "STIMER0_CONFIG": 3, "GUEST_IDLE": 10,
}  # fmt: skip


def may(mask, code):
    bit, how = TABLE[code]
    return how == "own" and (bit is None or f"{mask:064b}"[63 - bit] == "1")


def test_the_table_of_calls_is_the_test_s_own_table():
    assert {one.code: (one.bit if one.privilege else None) for one in CALLS} == {k: v[0] for k, v in TABLE.items()}
    assert all(one.related(CHILD) == (TABLE[one.code][1] == "own") for one in CALLS) and len(CALLS) == 40


def by_digits(world):
    """The five answers of a dump, read from the digits of its numbers."""
    rows = dict(world.rows)
    return {
        "hyperv": int(bytes.fromhex(f"{rows[0x40000001][0]:08x}")[::-1] == b"Hv#1"),
        "build": rows[0x40000002][0],
        "privileges": int(f"{rows[0x40000003][1]:08x}{rows[0x40000003][0]:08x}", 16),
        "hints": tuple(k for k in range(32) if f"{rows[0x40000004][0]:032b}"[31 - k] == "1"),
        "hardware": tuple(k for k in (3, 4, 5) if f"{rows[0x40000006][0]:032b}"[31 - k] == "1"),
    }


def test_a_dump_is_decoded_as_letters_and_digits_say_in_hundreds_of_worlds():
    for seed in SEEDS:
        world = e01.E1.deal(seed)
        assert e01.E1.truth(world) == tuple(by_digits(world).values())


def test_what_is_left_open_is_what_the_digits_say_in_hundreds_of_worlds_and_stands_nowhere_in_the_task():
    for seed in SEEDS:
        one, two = e01.BLANK.deal(seed), e01.BLANKS.deal(seed)
        assert e01.BLANK.truth(one) == by_digits(one)["privileges"]
        assert e01.BLANKS.truth(two) == (by_digits(two)["hyperv"], by_digits(two)["hints"])
        assert e01.BLANK.ask(one).count("____") == 1 and grouped(e01.BLANK.truth(one), 16) not in e01.BLANK.ask(one)
        assert e01.BLANKS.ask(two).count("____") == 2 and str(list(e01.BLANKS.truth(two)[1])) not in e01.BLANKS.ask(two)


def test_a_worked_dump_has_a_caption_for_each_field():
    said = hint("01.E1", 3).text

    assert all(f"  {name}: leaf 0x4000000" in said for name in ("hyperv", "build", "privileges", "hints", "hardware"))


def test_what_only_a_may_do_is_what_the_slow_table_says_in_hundreds_of_worlds():
    for seed in SEEDS:
        first, second = e01.E2.deal(seed)
        assert set(e01.E2.truth((first, second))) == {
            code for code in TABLE if may(first, code) and not may(second, code)
        }


def test_the_smallest_mask_is_the_sum_of_the_bits_asked_for_in_hundreds_of_worlds():
    for seed in SEEDS:
        world = e01.E3.deal(seed)
        bits = {REGISTER_BITS[one.name] if one.code >> 16 else TABLE[one.code][0] for one in world.lines} - {None}
        assert e01.E3.truth(world) == sum(1 << bit for bit in bits)
        assert world.finishes(e01.E3.truth(world))


def test_the_number_of_calls_that_succeed_is_that_of_the_slow_table_in_hundreds_of_worlds():
    for seed in SEEDS:
        mask, calls = e01.X1.deal(seed)
        assert e01.X1.truth((mask, calls)) == sum(may(mask, one.code) for one in calls)
        eax, ebx = e01.SHORTS[0].deal(seed)
        assert e01.SHORTS[0].truth((eax, ebx)) == int(f"{ebx:08x}{eax:08x}", 16)


@pytest.mark.parametrize("item", EVERY, ids=lambda item: item.id)
def test_no_world_is_dealt_in_which_a_wrong_model_is_right_and_each_is_named(item):
    sound(item, 100)


@pytest.mark.parametrize("item", EVERY, ids=lambda item: item.id)
def test_a_seed_deals_the_same_world_for_ever_and_the_task_can_be_read(item):
    steady(item)


@pytest.mark.parametrize(("item", "name"), ideas(EVERY[:6]))
def test_check_names_the_idea_that_was_answered(item, name, capsys):
    named_by_check(item, name, capsys)


def test_the_engine_denies_a_child_what_the_permits_deny():
    machine = Machine(memory=2 << 20)
    kernel = established(machine)
    slot = machine.hv.slot_of(kernel.number)
    for mask in (0x3B8030_0000AE7F, 0x30_00000AFF, 0x7_00000020, 0xFFFF_FFFF_FFFF_FFFF >> 1):
        machine.state["partition"]["privileges"][0, slot] = mask
        for code in sorted(set(SHAPES) & set(BY_CODE)):
            call = SHAPES[code]
            names = {field.name for field in call.header.fields} if call.header else set()
            header = call.header.encode(**({"partition_id": SELF} if "partition_id" in names else {})) if names else b""
            kernel.write_gpa(0x5000, header.ljust(64, b"\0"))
            rcx = HypercallControl.encode(code=code, rep_count=int(call.rep))
            status = HypercallResult.decode(kernel.hypercall(rcx, 0x5000, 0x6000)).status
            assert (status != Status.ACCESS_DENIED) == BY_CODE[code].allows(mask, CHILD), (hex(code), hex(mask), status)


def test_the_inspector_says_why_not():
    told = repr(inspect(0x3B8030_0000AE7F, 0x30_00000AFF, names=("WSL2", "other")))

    assert "0x0040  CreatePartition             bit 32                  –  no bit" in told
    assert "–  relation" in told and told.splitlines()[0].startswith("WSL2: 0x003b_8030_0000_ae7f")
    assert allowed((1 << 64) - 1, ROOT) == list(BY_CODE)
    assert least(lambda mask: bool(mask >> 32 & 1)) == 1 << 32


def test_a_guest_reads_vendor_and_interface_by_cpuid():
    machine = Machine(memory=2 << 20)
    table = cpuid_leaves(machine.root_vp)

    assert "Microsoft Hv" in repr(table) and "Hv#1" in repr(table)
    assert table.privileges >> 32 & 1, "the root may create partitions"
    assert table[1][2] >> 31 == 1
