"""The SynIC's declarations against the reference: pages, messages, words, and the table of synthetic registers."""

import json
from pathlib import Path

import pytest

from hvlab.wire import msrs, ports, synic, tlfs
from hvlab.wire.msrs import REGISTERS

FACTS = json.loads((Path(__file__).parents[1] / "vectors" / "synic.json").read_text())
STRUCTS = FACTS["structs"]
MSRS = {name: row for name, *row in FACTS["msrs"]}
PRIVILEGES = {
    "AccessHypercallMsrs": "access_hypercall_msrs",
    "AccessVpIndex": "access_vp_index",
    "AccessVpRuntimeMsr": "access_vp_runtime_msr",
    "AccessPartitionReferenceCounter": "access_partition_reference_counter",
    "AccessFrequencyRegs": "access_frequency_msrs",
    "AccessApicMsrs": "access_apic_msrs",
    "AccessSynicRegs": "access_synic_msrs",
    "AccessSyntheticTimerRegs": "access_synthetic_timer_msrs",
    "AccessGuestIdleReg": "access_guest_idle_msr",
    "GuestCrashMsrsAvailable": msrs.CRASH,
    "AccessReenlightenmentControls": "access_reenlightenment_ctrls",
}
# Where TLFS pages disagree with its appendix C: the chapter "Timers" has the privilege of its own and lets the guest
# write it; EOM is a trigger that reads zeros; the appendix does not list the last one.
CHAPTER_SAYS = {
    "REFERENCE_TSC": ("access_partition_reference_tsc", "R/W"),
    "EOM": ("access_synic_msrs", "R/W"),
    "TSC_INVARIANT_CONTROL": ("access_tsc_invariant_controls", "R/W"),
}
WORD_BITS = {"SINT0": synic.Sint, "STIMER0_CONFIG": synic.StimerConfig, "SCONTROL": synic.Scontrol}


@pytest.mark.parametrize("register", REGISTERS.values(), ids=lambda one: one.msr.name)
def test_a_register_has_the_number_privilege_and_access_of_the_reference(register):
    address, privilege, access, *_ = MSRS[register.msr.name]
    wanted = CHAPTER_SAYS.get(register.msr.name) or (PRIVILEGES[privilege], access)

    assert (int(register.msr), register.privilege, register.access) == (address, *wanted)


def test_the_table_has_each_register_that_a_guest_can_reach():
    reach = {name for name, (_, privilege, *_) in MSRS.items() if privilege in PRIVILEGES}
    not_offered = {"STIME_UNHALTED_TIMER_CONFIG", "STIME_UNHALTED_TIMER_COUNT"}  # bit 23 of the features is clear

    assert reach - not_offered <= {register.msr.name for register in REGISTERS.values()}
    assert set(REGISTERS) == {int(msr) for msr in tlfs.Msr}


@pytest.mark.parametrize("name", ["SINT0", "STIMER0_CONFIG", "SCONTROL", "SIMP", "SIEFP", "REFERENCE_TSC"])
def test_the_bits_of_a_register_are_those_of_the_reference(name):
    register = REGISTERS[tlfs.Msr[name]]
    known = {(lo, width) for label, lo, width in MSRS[name][3]}
    ours = {(field.lo, field.width) for field in register.word.fields}

    assert ours <= known
    assert register.reset == MSRS[name][4]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (tlfs.MessageHeader, "hv_message_header"),
        (synic.SynicMessage, "hv_message"),
        (synic.MessagePage, "hv_message_page"),
        (synic.EventFlags, "hv_synic_event_flags"),
        (synic.TimerPayload, "hv_timer_message_payload"),
        (synic.ReferenceTscPage, "ms_hyperv_tsc_page"),
    ],
)
def test_a_structure_lies_as_compilers_laid_it_out(kind, name):
    theirs = STRUCTS[name]
    places = {offset: size for _, offset, size, bit, _ in theirs["fields"] if bit is None}

    assert kind.size == theirs["size"]
    assert {field.offset for field in kind.fields} <= set(places)
    assert max(field.offset for field in kind.fields) == max(places)


@pytest.mark.parametrize(
    ("kind", "name"),
    [(synic.Sint, "hv_synic_sint"), (synic.StimerConfig, "hv_stimer_config"), (synic.Simp, "hv_synic_simp")],
)
def test_a_word_has_the_bits_that_compilers_gave_it(kind, name):
    theirs = {(lo, width) for _, _, _, lo, width in STRUCTS[name]["fields"] if lo is not None}

    assert {(field.lo, field.width) for field in kind.fields} <= theirs


def test_numbers_of_messages_and_ports_are_those_of_the_reference():
    assert int(FACTS["types"]["HvMessageTimerExpired"], 16) == tlfs.MessageType.TIMER_EXPIRED
    assert {f"HvPortType{kind.name.capitalize()}": kind.value for kind in synic.PortType} == FACTS["port_types"]


def test_sixteen_buffers_of_a_port_fill_one_page():
    assert synic.GUEST_BUFFERS * synic.SynicMessage.size == 4096
    assert synic.PAYLOAD + tlfs.MessageHeader.size == synic.SLOT


def test_the_recorded_sint_is_vector_f3_with_automatic_eoi():
    sint = synic.Sint.decode(0x200F3)

    assert (sint.vector, sint.masked, sint.auto_eoi, sint.polling) == (0xF3, 0, 1, 0)
    assert synic.StimerConfig.decode(0x20009) == synic.StimerConfig(enable=1, auto_enable=1, sint=2)
    assert synic.Simp.decode(0x288F001) == synic.Simp(enable=1, gpn=0x288F)


def test_a_port_has_the_same_size_whatever_it_takes():
    assert synic.MessagePortInfo.size == synic.EventPortInfo.size == 24
    assert ports.CreatePort.size == 56 and ports.ConnectPort.size == 72
