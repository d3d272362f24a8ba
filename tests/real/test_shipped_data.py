"""What is known of the shipped real inputs, from outside of hvlab: counts, addresses, registers."""

import hashlib
import json
import zipfile
from importlib.resources import files

import numpy as np
import pytest

from hvlab.capture import NOWHERE, describe, load, sample, samples, summary
from hvlab.errors import BadRequest

FOLDER = files("hvlab") / "data"


def test_all_shipped_data_fit_into_four_megabytes_and_are_listed():
    sources = (FOLDER / "SOURCES.md").read_text(encoding="utf-8")

    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 4_000_000
    assert len(samples()) == 18
    for path in samples().values():
        assert f"`{path.name}`" in sources


def test_notes_of_the_recorder_name_no_command_and_no_path():
    for path in samples().values():
        meta = load(path).meta
        text = json.dumps(meta)
        assert not {"cmd", "command", "argv"} & meta.keys(), path.name
        assert not any(word in text for word in ("qemu-system", "vmlinuz", "mem-path", "/bin/", "/usr/", ".ram")), (
            path.name
        )


def test_an_unknown_sample_names_those_there_are():
    with pytest.raises(BadRequest) as caught:
        sample("windows")
    assert "npt_4lvl" in caught.value.attempt


@pytest.mark.parametrize(
    ("name", "levels", "cpus", "tables", "leaves", "ranges", "probes", "ram"),
    [
        ("pt_4lvl_pti", 4, 4, 150, 264_625, 262_675, 24_000, 160 << 20),
        ("pt_5lvl_nopti_1g", 5, 2, 188, 149_676, 0, 3_074, 2304 << 20),
    ],
)
def test_the_two_kernels_have_the_recorded_sizes(name, levels, cpus, tables, leaves, ranges, probes, ram):
    snapshot = load(sample(name))

    assert (snapshot.levels, len(snapshot.cpus), len(snapshot.table_gpa)) == (levels, cpus, tables)
    assert snapshot.ram_bytes == ram
    assert len({cpu.registers.root for cpu in snapshot.cpus}) == cpus
    assert sum(len(cpu.leaves.gva) for cpu in snapshot.cpus) == leaves
    assert sum(len(cpu.rights.start) for cpu in snapshot.cpus) == ranges
    assert sum(len(cpu.probes.gva) for cpu in snapshot.cpus) == probes
    assert any(int(gpa) == NOWHERE for gpa in snapshot.cpus[0].probes.gpa)


@pytest.mark.parametrize(
    ("name", "kernel", "isolated"), [("pt_4lvl_pti", 98, True), ("pt_5lvl_nopti_1g", 8_797, False)]
)
def test_isolation_leaves_few_kernel_pages_in_sight(name, kernel, isolated):
    spaces = summary(load(sample(name))).spaces

    assert {space.kernel_leaves for space in spaces} == {kernel}
    assert {space.isolated for space in spaces} == {isolated}


@pytest.mark.parametrize("name", ["pt_4lvl_pti", "pt_5lvl_nopti_1g"])
def test_a_walk_of_all_tables_finds_each_leaf_that_the_emulator_listed(name):
    snapshot = load(sample(name))

    for cpu, space in zip(snapshot.cpus, summary(snapshot).spaces, strict=True):
        (espfix,) = (region for region in space.regions if region.name == "espfix stacks")
        assert (espfix.leaves, espfix.times) == (32, 65_536)
        assert space.times == len(cpu.leaves.gva)
        assert (space.missing, space.cut, space.moved) == (0, False, True)


def test_no_page_of_either_kernel_is_writable_and_executable():
    for name in ("pt_4lvl_pti", "pt_5lvl_nopti_1g"):
        for space in summary(load(sample(name))).spaces:
            assert space.writable_code == {"user": 0, "kernel": 0}


def test_user_pages_cover_what_the_emulator_listed_for_the_user():
    snapshot = load(sample("pt_4lvl_pti"))

    for cpu, space in zip(snapshot.cpus, summary(snapshot).spaces, strict=True):
        user = cpu.rights.urw >= 4
        listed = (cpu.rights.end - cpu.rights.start)[user]
        (region,) = (region for region in space.regions if region.name == "user")
        assert int(listed.sum()) == region.mapped


def test_large_pages_of_both_sizes_are_there():
    sizes = [region.sizes for space in summary(load(sample("pt_5lvl_nopti_1g"))).spaces for region in space.regions]

    assert sum(size.get(30, 0) for size in sizes) == 2
    assert sum(size.get(21, 0) for size in sizes) > 1000


def test_the_second_level_that_kvm_built():
    snapshot = load(sample("npt_4lvl"))
    numbers = summary(snapshot)

    assert (snapshot.levels, len(snapshot.table_spa), snapshot.ncr3) == (4, 13, 0x2E4B000)
    assert (snapshot.control.asid, snapshot.control.np_enable, snapshot.control.ncr3) == (2, True, 0x2E4B000)
    assert (snapshot.registers.cr3, snapshot.registers.levels) == (0x10000, 4)
    assert (numbers.leaves, numbers.sizes, numbers.user) == (165, {12: 165}, 165)
    assert (numbers.l2_tables, numbers.l2_tables_backed, numbers.outside) == (5, 5, 0)
    assert [slot.read_only for slot in snapshot.slots] == [False, False, False, True]
    assert (len(snapshot.pagemap_gpa), len(snapshot.touched_gva)) == (382, 160)


def test_pages_of_the_read_only_slot_and_27_more_are_not_writable():
    slots = summary(load(sample("npt_4lvl"))).slots

    assert sum(slot.not_writable for slot in slots if slot.read_only) == 39
    assert sum(slot.not_writable for slot in slots if not slot.read_only) == 27


def test_the_nested_tables_agree_with_the_monitors_process_map():
    from hvlab.capture.regions import walk

    snapshot = load(sample("npt_4lvl"))
    found = walk(snapshot.table_spa, snapshot.table_data, snapshot.ncr3, snapshot.levels)
    backing = dict(zip(snapshot.pagemap_gpa.tolist(), snapshot.pagemap_spa.tolist(), strict=True))

    leaves = dict(zip(found.gva.tolist(), found.frame.tolist(), strict=True))
    assert len(leaves) == 165
    assert {gpa: spa for gpa, spa in leaves.items() if backing.get(gpa) != spa} == {}
    assert leaves[0x4028F000] == 0xE347000


@pytest.mark.parametrize(("name", "pages"), [("sort", 363), ("gzip", 86), ("sqlite", 239)])
def test_the_traces_hold_what_their_recorder_counted(name, pages):
    trace = load(sample(name))
    numbers, meta = summary(trace), trace.meta

    assert (len(trace), numbers.pages, trace.name) == (1_500_000, pages, name)
    assert {letter: meta[letter] for letter in "ILSM"} == numbers.mix
    assert numbers.pages == meta["unique_pages"]
    assert (numbers.code_pages, numbers.written_pages) == (meta["code_pages"], meta["written_pages"])
    assert (numbers.crossing, numbers.large_pages) == (meta["page_crossing"], meta["unique_2M"])


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("x86_page_access", 210_232),
        ("x86_pkeys", 398),
        ("ept_permissions", 2_005),
        ("apic_priority", 3_080),
        ("apic_sequences", 392),
    ],
)
def test_the_vector_files_hold_all_their_cases(name, cases):
    vectors = load(sample(name))

    assert (vectors.name, vectors.meta["n"], summary(vectors).cases) == (name, cases, cases)
    assert sum(summary(vectors).answers.values()) == cases


def test_page_access_codes_of_reserved_bits_include_the_present_bit():
    codes = load(sample("x86_page_access")).cases
    faults = codes[codes < 32]

    assert not np.any(faults[faults & 8 != 0] & 1 == 0)


def test_samples_and_their_descriptions_are_the_same_every_time():
    texts = {name: describe(path).replace(str(path), name) for name, path in samples().items()}
    again = {name: describe(path).replace(str(path), name) for name, path in samples().items()}

    assert hashlib.sha256(repr(texts).encode()).digest() == hashlib.sha256(repr(again).encode()).digest()


def test_shipped_archives_are_well_inside_the_gates_limits():
    for path in samples().values():
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                inflated = sum(info.file_size for info in archive.infolist())
            assert inflated < 16 << 20
            assert inflated / path.stat().st_size < 100
