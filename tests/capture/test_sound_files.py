"""Captures of the known formats load, whatever their sizes, levels and contents."""

import gzip
import json

import numpy as np
import pytest

from hvlab.capture import (
    NOWHERE,
    AddressTrace,
    NestedTables,
    PageTables,
    address_trace,
    lackey_trace,
    load,
    load_vectors,
    nested_tables,
    page_tables,
    recognise,
)

from . import build


@pytest.mark.parametrize("cpus", [1, 2, 16])
@pytest.mark.parametrize("levels", [4, 5])
def test_page_tables_of_any_size_load(tmp_path, cpus, levels):
    snapshot = page_tables(build.save(tmp_path / "any.npz", build.page_tables(cpus, levels)))

    assert (len(snapshot.cpus), snapshot.levels, len(snapshot.table_gpa)) == (cpus, levels, levels)
    assert snapshot.cpus[-1].probes.gpa.tolist() == [0x9123, NOWHERE]
    assert snapshot.cpus[0].registers.root == 0x1000


def test_arrays_are_read_only_and_keep_their_types(tmp_path):
    snapshot = page_tables(build.save(tmp_path / "any.npz", build.page_tables()))

    assert snapshot.table_data.dtype == np.uint64
    assert snapshot.cpus[0].leaves.flags.dtype == np.uint16
    with pytest.raises(ValueError, match="read-only"):
        snapshot.table_data[0, 0] = 1


def test_an_oracle_may_be_empty_or_missing_as_a_whole(tmp_path):
    arrays = build.page_tables(mem_start_0=np.array([]), mem_end_0=np.array([]), mem_urw_0=np.zeros(0, np.uint8))
    del arrays["probe_gva_0"], arrays["probe_gpa_0"]

    cpu = page_tables(build.save(tmp_path / "any.npz", arrays)).cpus[0]

    assert (len(cpu.leaves.gva), len(cpu.rights.start), len(cpu.probes.gva)) == (1, 0, 0)
    assert cpu.rights.urw.dtype == np.uint8


def test_whole_numbers_of_another_width_are_taken_when_they_fit(tmp_path):
    arrays = build.nested_tables()
    arrays |= {"levels": np.array(4), "ncr3": np.array(int(arrays["ncr3"])), "slots": np.zeros((0,))}

    snapshot = nested_tables(build.save(tmp_path / "any.npz", arrays))

    assert (snapshot.levels, snapshot.ncr3, snapshot.slots) == (4, 0x100000, ())


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("levels", [3, 4, 5])
def test_nested_tables_of_any_depth_load(tmp_path, levels, large):
    snapshot = nested_tables(build.save(tmp_path / "any.npz", build.nested_tables(levels, large)))

    assert (snapshot.levels, snapshot.control.asid, snapshot.control.np_enable) == (levels, 3, True)
    assert (snapshot.registers.cr3, snapshot.registers.levels, snapshot.registers.cr0) == (0x5000, 4, 0x80000011)
    assert snapshot.slots[0].read_only is False


def test_arrays_in_column_order_mean_the_same(tmp_path):
    arrays = build.page_tables()
    plain = page_tables(build.save(tmp_path / "rows.npz", arrays))

    arrays["table_data"] = np.asfortranarray(arrays["table_data"])
    columns = page_tables(build.save(tmp_path / "columns.npz", arrays))

    assert np.array_equal(plain.table_data, columns.table_data)


@pytest.mark.parametrize("packed", [False, True])
def test_stored_deflated_and_gzipped_npz_load(tmp_path, packed):
    path = build.save(tmp_path / "any.npz", build.trace(), packed=packed)
    (tmp_path / "any.gz").write_bytes(gzip.compress(path.read_bytes()))

    assert np.array_equal(address_trace(path).gva, address_trace(tmp_path / "any.gz").gva)


def test_an_address_trace_keeps_order_and_signs(tmp_path):
    kind = np.array([0, 1, 0, 3], np.uint8)
    gva = np.array([-0x7E00_0000, 0x1000, -0x7DFF_FFF0, 0xFFF], np.int64)

    path = build.save(tmp_path / "any.npz", build.trace(4, kind=kind, delta_planes=build.planes(kind, gva)))

    assert address_trace(path).gva.tolist() == gva.tolist()


def test_lackey_text_means_the_same_as_npz(tmp_path):
    trace = address_trace(build.save(tmp_path / "any.npz", build.trace()))
    lines = ["==7== Lackey, an example tool", ""]
    for kind, size, gva in zip(trace.kind.tolist(), trace.size.tolist(), trace.gva.tolist(), strict=True):
        lines.append(f"{'I ' if kind == 0 else ' ' + 'ILSM'[kind]} {gva:08x},{size}")
    (tmp_path / "lackey.txt").write_text("\n".join([*lines, "==7=="]))
    (tmp_path / "lackey.gz").write_bytes(gzip.compress("\r\n".join(lines).encode()))

    for name in ("lackey.txt", "lackey.gz"):
        text = lackey_trace(tmp_path / name)
        assert np.array_equal(text.gva, trace.gva)
        assert np.array_equal(text.kind, trace.kind)
        assert np.array_equal(text.size, trace.size)
        assert recognise(tmp_path / name).name == "lackey"


def test_a_long_lackey_text_is_cut_and_says_so(tmp_path):
    (tmp_path / "long.txt").write_text("I  04001a40,3\n" * 300_000)

    trace = lackey_trace(tmp_path / "long.txt", most=100_000)

    assert len(trace) == 100_000
    assert "only the first 100,000 accesses" in trace.note
    assert lackey_trace(tmp_path / "long.txt").note == ""


def test_a_vector_file_may_be_any_part_of_the_cases(tmp_path):
    cases = [[0, -1], [25, 33], [511, 39]]
    (tmp_path / "part.json").write_text(json.dumps({"meta": {"name": "x86_pkeys", "n": 3}, "cases": cases}))

    vectors = load_vectors(tmp_path / "part.json")

    assert vectors.cases == [(0, -1), (25, 33), (511, 39)]
    assert vectors.name == "x86_pkeys"


def test_load_tells_files_by_their_content(tmp_path):
    for arrays, kind in (
        (build.page_tables(), PageTables),
        (build.nested_tables(), NestedTables),
        (build.trace(), AddressTrace),
    ):
        assert isinstance(load(build.save(tmp_path / "no_name_helps", arrays)), kind)


def test_notes_of_a_recorder_may_be_missing_where_nothing_depends_on_them(tmp_path):
    for arrays in (build.trace(), build.nested_tables()):
        del arrays["meta_json"]
        capture = load(build.save(tmp_path / "any.npz", arrays))
        assert (capture.name, capture.meta) == ("", {})
