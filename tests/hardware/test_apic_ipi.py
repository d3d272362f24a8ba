"""Who gets an interprocessor interrupt: IDs, logical destinations, shorthands, priorities; xAPIC and x2APIC."""

import pytest
from hardware.controllers import Controllers

from hvlab.hardware import apic_registers
from hvlab.wire.apic import ApicBase, Esr, Offset, Svr

VECTOR = 0xCF
FLAT, CLUSTER = 0xFFFFFFFF, 0x0FFFFFFF


def reached(machine, count=4, vector=VECTOR):
    return {vp for vp in range(count) if vector in machine.vectors("irr", vp)}


def xapics(ids, model=FLAT):
    """Return xAPICs with these logical IDs."""
    machine = Controllers(len(ids), x2apic=False)
    for vp, mine in enumerate(ids):
        machine.write(Offset.LDR, mine << 24, vp)
        machine.write(Offset.DFR, model, vp)
    return machine


@pytest.mark.parametrize("x2apic", [False, True])
def test_an_ipi_to_an_apic_id_reaches_that_processor_only(x2apic):
    four = Controllers(4, x2apic=x2apic)

    answer = four.ipi(VECTOR, to=2, x2apic=x2apic)

    assert (answer, reached(four)) == (1 << 2, {2})


@pytest.mark.parametrize("x2apic", [False, True])
def test_a_self_ipi_is_delivered_once(x2apic):
    one = Controllers(x2apic=x2apic)

    one.ipi(0xF1, shorthand="self", x2apic=x2apic)

    assert one.handle(lambda vector: None) == [0xF1]


def test_the_self_ipi_register_of_an_x2apic_does_the_same():
    one = Controllers()

    one.write(Offset.SELF_IPI, 0xF1)

    assert one.vectors("irr") == {0xF1}


@pytest.mark.parametrize(("x2apic", "everybody"), [(False, 0xFF), (True, 0xFFFFFFFF)])
def test_all_ones_is_everybody_in_the_width_of_the_mode(x2apic, everybody):
    four = Controllers(4, x2apic=x2apic)

    four.ipi(VECTOR, to=everybody, x2apic=x2apic)

    assert reached(four) == {0, 1, 2, 3}


@pytest.mark.parametrize(("shorthand", "who"), [("self", {1}), ("all", {0, 1, 2, 3}), ("others", {0, 2, 3})])
def test_shorthands_need_no_destination(shorthand, who):
    four = Controllers(4)

    four.ipi(VECTOR, to=3, sender=1, shorthand=shorthand)

    assert reached(four) == who


def test_a_processor_of_another_bus_is_never_reached():
    four = Controllers(4)
    four[2]["bus"] = 2

    four.ipi(VECTOR, shorthand="all")
    four.ipi(VECTOR + 1, to=2)

    assert (reached(four), reached(four, vector=VECTOR + 1)) == ({0, 1, 3}, set())


def test_flat_destinations_are_bits_one_for_each_of_eight_processors():
    wrong = []
    for mine in range(8):
        for others in range(0xFF):
            machine = xapics([0, 1 << mine])
            machine.ipi(VECTOR, to=others, logical=True, x2apic=False)
            if reached(machine, 2) != ({1} if others >> mine & 1 else set()):
                wrong.append((mine, others))

    assert wrong == []


def test_cluster_destinations_are_a_cluster_and_four_bits():
    wrong = []
    for cluster in range(15):
        for mine in range(4):
            for to in (cluster << 4 | bits for bits in range(16)):
                machine = xapics([(cluster + 1) % 15 << 4 | 15, cluster << 4 | 1 << mine], CLUSTER)
                machine.ipi(VECTOR, to=to, logical=True, x2apic=False)
                if reached(machine, 2) != ({1} if to >> mine & 1 else set()):
                    wrong.append((cluster, mine, to))

    assert wrong == []


@pytest.mark.parametrize("model", [FLAT, CLUSTER])
def test_one_logical_destination_reaches_several_processors(model):
    machine = xapics([0x21, 0x22, 0x28], model)

    machine.ipi(VECTOR, to=0x29, logical=True, x2apic=False)

    assert reached(machine, 3) == ({0, 1, 2} if model == FLAT else {0, 2})


def test_an_x2apic_derives_its_logical_id_from_its_own():
    three = Controllers(3)
    for vp, identity in enumerate((3, 0x13, 0x1F)):
        three[vp]["id"] = identity
    ldr = [apic_registers.read(three.state, vp, Offset.LDR) for vp in range(3)]

    three.ipi(VECTOR, to=0x1_8008, logical=True)

    assert ldr == [0x0000_0008, 0x0001_0008, 0x0001_8000]
    assert reached(three, 3) == {1, 2}


def test_processors_with_the_same_xapic_id_all_get_the_interrupt():
    three = Controllers(3, x2apic=False)
    for vp in (1, 2):
        three.write(Offset.ID, 7 << 24, vp)

    three.ipi(VECTOR, to=7, x2apic=False)

    assert reached(three, 3) == {1, 2}


def test_lowest_priority_chooses_who_is_least_busy():
    three = Controllers(3)
    three.write(Offset.TPR, 0x40, 0)
    three.write(Offset.TPR, 0x20, 1)
    three.write(Offset.TPR, 0x30, 2)

    three.ipi(VECTOR, to=0x7, logical=True, mode="lowest")

    assert reached(three, 3) == {1}


@pytest.mark.parametrize("mode", ["fixed", "lowest"])
def test_an_illegal_vector_is_not_sent_and_is_the_senders_error(mode):
    two = Controllers(2)

    answer = two.ipi(9, to=1, mode=mode)
    two.write(Offset.ESR, 0)

    assert (answer, two.vectors("irr", 1), int(two[1]["errors"])) == (0, set(), 0)
    assert Esr.decode(apic_registers.read(two.state, 0, Offset.ESR)) == Esr(send_illegal_vector=1)


def test_an_nmi_to_others_leaves_out_the_sender():
    three = Controllers(3)

    three.ipi(0, shorthand="others", mode="nmi")

    assert [three.pending(vp) for vp in range(3)] == [None, 2, 2]


def test_an_nmi_to_oneself_by_shorthand_is_not_sent():
    one = Controllers()

    assert one.ipi(0, shorthand="self", mode="nmi") == 0
    assert one.pending() is None


def test_an_init_level_de_assert_resets_nobody():
    two = Controllers(2)
    two.raise_vector(0x50, vp=1)

    answer = two.ipi(0, to=1, mode="init", level=1)

    assert (answer, two.vectors("irr", 1), int(two[1]["waits"])) == (0, {0x50}, 0)


def test_an_apic_that_software_switched_off_still_sends():
    two = Controllers(2)
    two.write(Offset.SVR, Svr.encode(vector=0xFF), 0)

    two.ipi(VECTOR, to=1)

    assert reached(two, 2) == {1}


def test_an_apic_that_is_off_in_its_base_register_is_reached_by_nothing():
    two = Controllers(2)
    two[1]["base"] = int(two[1]["base"]) & ~ApicBase.mask("enable", "x2apic")

    assert two.ipi(VECTOR, shorthand="all") == 1
    assert two.ipi(0, to=1, mode="nmi") == 0


def test_reading_the_command_register_shows_what_was_sent():
    two = Controllers(2)

    two.ipi(VECTOR, to=1, assert_level=1)

    assert apic_registers.read(two.state, 0, Offset.ICR) == 1 << 32 | 1 << 14 | VECTOR


def test_the_cause_of_each_delivery_is_the_command():
    four = Controllers(4)

    four.ipi(VECTOR, shorthand="others")

    kinds, causes = four.trace.kinds(), four.trace.rows[:, 3].tolist()
    assert kinds == ["ipi_sent"] + ["vector_raised"] * 3
    assert causes[1:] == [0, 0, 0]
