"""Every declared structure and word: round trips, no overlap, each field documented, offsets as in the reference."""

import importlib
import json
import pkgutil
import random
from pathlib import Path

import pytest

import hvlab.wire
from hvlab.wire import cpuid, tlfs
from hvlab.wire.hypercalls import CALLS
from hvlab.wire.struct import Struct, Word

for module in pkgutil.iter_modules(hvlab.wire.__path__):
    importlib.import_module(f"hvlab.wire.{module.name}")

REFERENCE = json.loads((Path(__file__).parents[1] / "vectors" / "tlfs.json").read_text())


def below(base):
    for kind in base.__subclasses__():
        if kind.__module__.startswith("hvlab.wire") and kind.fields:
            yield kind
        yield from below(kind)


STRUCTS = sorted(set(below(Struct)), key=lambda kind: kind.__name__)
WORDS = sorted(set(below(Word)), key=lambda kind: kind.__name__)
CALL_LIST = list(CALLS.values())
LAYOUTS = {call["code"]: call for call in REFERENCE["calls"]}


def name_of(item):
    return getattr(item, "__name__", getattr(item, "name", None))


def some(field, pick):
    values = [pick.randrange(field.limit) for _ in range(field.count)]
    return bytes(values) if field.raw else values[0] if field.count == 1 else tuple(values)


@pytest.mark.parametrize("kind", STRUCTS, ids=name_of)
def test_struct_reads_back_what_it_wrote(kind):
    pick = random.Random(kind.__name__)
    values = {field.name: some(field, pick) for field in kind.fields}

    data = kind.encode(**values)

    assert len(data) == kind.size == kind.dtype.itemsize
    assert kind.decode(data).__dict__ == values
    with pytest.raises(ValueError, match=f"{kind.size} bytes needed"):
        kind.decode(data[:-1])


@pytest.mark.parametrize("kind", WORDS, ids=name_of)
def test_word_reads_back_what_it_wrote(kind):
    pick = random.Random(kind.__name__)
    values = {field.name: some(field, pick) for field in kind.fields}

    word = kind.encode(**values)

    assert 0 <= word < 1 << 64
    assert kind.decode(word).__dict__ == values
    assert kind.undeclared(word) == 0


@pytest.mark.parametrize("kind", [*STRUCTS, *WORDS], ids=name_of)
def test_declaration_is_documented_and_refuses_what_does_not_fit(kind):
    assert "Source:" in kind.__doc__
    for field in kind.fields:
        assert field.doc.strip()
        if not field.raw and field.count == 1:
            with pytest.raises(ValueError):
                kind.encode(**{field.name: field.limit})
    with pytest.raises(TypeError):
        kind.encode(no_such_field=1)


@pytest.mark.parametrize("kind", STRUCTS, ids=name_of)
def test_fields_lie_one_behind_the_other(kind):
    end = 0
    for field in kind.fields:
        assert field.offset == end == kind.dtype.fields[field.name][1]
        end += field.bytes
    assert end == kind.size


@pytest.mark.parametrize("kind", WORDS, ids=name_of)
def test_bits_do_not_overlap(kind):
    taken = 0
    for field in kind.fields:
        mask = field.mask & (1 << 64) - 1
        assert mask & taken == 0
        taken |= mask


def starts(kind):
    return {field.offset: field.bytes for field in kind.fields} if kind else {}


@pytest.mark.parametrize("call", CALL_LIST, ids=name_of)
def test_input_block_lies_as_in_the_reference(call):
    layout = LAYOUTS[call.code]

    assert layout["name"] == f"HvCall{call.name}"
    for compiled in ("mile_input_struct", "linux_input_struct"):
        if compiled in layout:
            assert call.header.size == layout[compiled]["size"]
            offsets = {offset for _, offset, size in layout[compiled]["fields"] if size}
            assert offsets <= set(starts(call.header)) or call.code == 0x4F
    for title, fields in layout.get("input", {}).items():
        kind = call.element if "Element" in title else call.header
        for name, offset, size in fields:
            if name == "ProcessorSet" or not isinstance(size, int) or (call.code, name) == (0xE1, "Flags"):
                continue
            assert starts(kind).get(offset) is not None, name


@pytest.mark.parametrize("call", [call for call in CALL_LIST if call.output or call.output_element], ids=name_of)
def test_output_block_lies_as_in_the_reference(call):
    fields = [row for rows in LAYOUTS[call.code].get("output", {}).values() for row in rows]
    ours = set(starts(call.output)) | set(starts(call.output_element))

    for name, offset, _ in fields:
        assert offset in ours, name


@pytest.mark.parametrize("call", CALL_LIST, ids=name_of)
def test_privilege_is_the_one_of_the_reference(call):
    known = LAYOUTS[call.code]["privilege"]
    names = {"CreatePartitions": "create_partitions", "AccessPartitionId": "access_partition_id"}
    names |= {"AccessMemoryPool": "access_memory_pool"}
    names |= {"PostMessages": "post_messages", "SignalEvents": "signal_events"}

    assert call.privilege == names.get(known, "")


def test_control_and_result_words_are_those_of_the_reference():
    for ours, theirs in ((tlfs.HypercallControl, "control"), (tlfs.HypercallResult, "result")):
        assert [[f.lo, f.width] for f in ours.fields] == [[lo, width] for _, lo, width in REFERENCE[theirs]]

    assert tlfs.HypercallControl.encode(code=3, rep_count=25, rep_start=20) == 0x0014001900000003
    assert tlfs.HypercallControl.encode(code=0x5D, fast=1) == 0x1005D


def test_numbers_are_those_of_the_reference():
    assert all(REFERENCE["status"][status.name] == status for status in tlfs.Status)
    assert {f.name: f.lo for f in tlfs.PrivilegeMask.fields} == REFERENCE["privileges"]
    assert {msr.name: msr.value for msr in tlfs.Msr} == REFERENCE["msrs"]
    headers = REFERENCE["linux_headers"]
    assert {name: tlfs.Register[name].value for name in headers["Register"]} == headers["Register"]
    assert {p.name: p.value for p in tlfs.Property} == headers["Property"]
    assert {f.name: f.mask for f in tlfs.MapFlags.fields} == headers["MapFlags"]


@pytest.mark.parametrize("kind", [tlfs.MemoryIntercept, tlfs.MessageHeader], ids=name_of)
def test_message_lies_as_in_the_headers(kind):
    assert [[f.name, f.offset, f.bytes] for f in kind.fields] == REFERENCE["linux_headers"][kind.__name__]


def test_msr_words_are_those_of_the_reference():
    bits = {name: {(lo, width) for label, lo, width in rows} for name, rows in REFERENCE["msr_bits"].items()}

    assert {(f.lo, f.width) for f in tlfs.GuestOsId.fields} == bits["GUEST_OS_ID"]
    assert {(f.lo, f.width) for f in tlfs.HypercallMsr.fields} <= bits["HYPERCALL"]


@pytest.mark.parametrize(
    ("kind", "leaf", "register"),
    [
        (cpuid.FeatureBits, "0x40000003", "EDX"),
        (cpuid.RecommendationBits, "0x40000004", "EAX"),
        (cpuid.AddressBits, "0x40000004", "ECX"),
        (cpuid.HardwareBits, "0x40000006", "EAX"),
    ],
    ids=name_of,
)
def test_cpuid_bits_are_those_of_the_reference(kind, leaf, register):
    known = {(bit, width) for reg, bit, width, _ in REFERENCE["cpuid"][leaf] if reg == register}

    assert {(f.lo, f.width) for f in kind.fields} <= known
