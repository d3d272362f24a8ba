"""Descriptions: what stands in a capture, in words and as numbers."""

import numpy as np
import pytest

from hvlab.capture import describe, load, sample, samples, summary
from hvlab.capture.regions import AREAS, walk

from . import build


def tables_summary(tmp_path, **changes):
    return summary(load(build.save(tmp_path / "any.npz", build.page_tables(**changes))))


def test_one_page_is_one_leaf_with_its_rights(tmp_path):
    (space,) = tables_summary(tmp_path).spaces

    (region,) = space.regions
    assert (region.name, region.first, region.last) == ("user", 0x400000, 0x400FFF)
    assert (region.sizes, region.rights, region.mapped) == ({12: 1}, {"urwx": 1}, 4096)
    assert space.writable_code == {"user": 1, "kernel": 0}
    assert space.tables == {4: 1, 3: 1, 2: 1, 1: 1}


@pytest.mark.parametrize(
    ("clear", "set_", "rights"),
    [(2, 0, "ur-x"), (4, 0, "-rwx"), (0, 1 << 63, "urw-"), (6, 1 << 63, "-r--")],
)
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_rights_are_combined_over_the_levels(tmp_path, depth, clear, set_, rights):
    data = build.page_tables()["table_data"]
    row, column = depth, int(np.flatnonzero(data[depth])[0])
    data[row, column] = int(data[row, column]) & ~clear | set_

    (space,) = tables_summary(tmp_path, table_data=data).spaces

    assert space.regions[0].rights == {rights: 1}


def test_without_nxe_the_nx_bit_takes_nothing_away(tmp_path):
    data = build.page_tables()["table_data"]
    data[3, 0] |= np.uint64(1 << 63)

    (space,) = tables_summary(tmp_path, table_data=data, registers={"efer": 0x500}).spaces

    assert space.regions[0].rights == {"urwx": 1}


def test_a_table_that_is_mapped_many_times_is_counted_and_costs_once():
    gpas = np.arange(1, 5, dtype=np.uint64) * np.uint64(4096)
    data = np.zeros((4, 512), np.uint64)
    data[0, 510] = int(gpas[1]) | 3
    data[1, :] = int(gpas[2]) | 3
    data[2, :] = int(gpas[3]) | 3
    data[3, 7] = 0x9000 | 1

    found = walk(gpas, data, 4096, 4, areas=AREAS[4])

    assert found.times.tolist() == [512 * 512]
    assert found.gva.tolist() == [0xFFFFFF0000007000]
    assert found.tables == {4: 1, 3: 1, 2: 1, 1: 1}


def test_missing_tables_and_kept_entries_are_counted(tmp_path):
    data = build.page_tables()["table_data"]
    data[2, 5] = 0x777000 | 7
    data[3, 9] = 0x1234 << 12 | 0x80

    (space,) = tables_summary(tmp_path, table_data=data).spaces

    assert (space.missing, space.kept) == (1, 1)
    assert "not in the file: 1" in describe(tmp_path / "any.npz")


@pytest.mark.parametrize(
    ("levels", "index", "name"), [(4, 273, "direct map"), (4, 511, "(hole)"), (5, 273, "direct map")]
)
def test_areas_are_named_for_both_depths(tmp_path, levels, index, name):
    arrays = build.page_tables(1, levels)
    arrays["table_data"][0, index] = arrays["table_data"][0, 0]
    arrays["table_data"][0, 0] = 0

    (space,) = summary(load(build.save(tmp_path / "any.npz", arrays))).spaces

    assert space.regions[0].name == name
    assert space.regions[0].upper


def test_shared_frames_and_frames_inside_large_pages_are_counted(tmp_path):
    data = build.page_tables()["table_data"]
    data[3, 1] = data[3, 0]
    data[2, 3] = 0x0 | 0x83

    (space,) = tables_summary(tmp_path, table_data=data).spaces

    assert (space.shared_frames, space.large_too) == (1, 1)
    assert space.regions[0].sizes == {12: 2, 21: 1}


@pytest.mark.parametrize(("large", "sizes"), [(False, {12: 1}), (True, {21: 1})])
def test_a_second_level_says_what_backs_what(tmp_path, large, sizes):
    path = build.save(tmp_path / "any.npz", build.nested_tables(5, large))

    numbers = summary(load(path))

    assert (numbers.sizes, numbers.l2_tables_backed, numbers.outside, numbers.same_root) == (sizes, 1, 0, True)
    assert "ASID 3, nested paging on" in describe(path)


def test_a_trace_counts_pages_on_both_sides_of_a_border(tmp_path):
    kind, size = np.array([0, 1, 2], np.uint8), np.array([4, 8, 4], np.uint8)
    gva = np.array([0x1000, 0x2FFC, 0x2FFC], np.int64)
    arrays = build.trace(3, kind=kind, size=size, delta_planes=build.planes(kind, gva))

    numbers = summary(load(build.save(tmp_path / "any.npz", arrays)))

    assert (numbers.pages, numbers.code_pages, numbers.data_pages, numbers.written_pages) == (3, 1, 2, 1)
    assert (numbers.crossing, numbers.mix) == (1, {"I": 1, "L": 1, "S": 1, "M": 0})


def test_a_study_of_a_trace_is_added_by_whoever_has_an_engine(tmp_path):
    path = build.save(tmp_path / "any.npz", build.trace())

    text = describe(path, study=lambda trace: f"The engine saw {len(trace)} accesses.")

    assert text.endswith("\n\nThe engine saw 64 accesses.")
    assert "The engine" not in describe(sample("npt_4lvl"), study=lambda trace: "The engine")


def test_every_sample_is_described_in_full_sentences():
    for name, path in samples().items():
        first, *rest = describe(path).splitlines()
        assert first.startswith(f"{path} is a"), name
        assert rest[0].startswith("It holds "), name
        assert all(line == "" or line[-1] in ".x-w" or ": " in line or line.startswith("Address") for line in rest), (
            name
        )


def test_slots_count_what_lies_in_them_and_what_lies_in_none(tmp_path):
    rows = [[0, 0, 0x5000, 0, 0], [1, 0x5000, 0x1000, 0, 2], [2, 0x100000, 0x1000, 0, 0]]
    data = build.nested_tables()["table_data"]
    data[3, 6] = 0x88000 | 5
    arrays = build.nested_tables(slots=np.array(rows, np.uint64), table_data=data)

    numbers = summary(load(build.save(tmp_path / "any.npz", arrays)))

    assert [(slot.mapped, slot.not_writable) for slot in numbers.slots] == [(0, 0), (4096, 0), (0, 0)]
    assert (numbers.leaves, numbers.outside, numbers.not_writable) == (2, 1, 1)
