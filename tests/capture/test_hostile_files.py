"""Each way in which a file can lie is refused with its place, what was found and what was expected."""

import gzip
import json
import os
import pickle
import random
import struct
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from hvlab.capture import describe, lackey_trace, load, load_vectors, nested_tables, page_tables, recognise
from hvlab.capture.gate import FILE_CAP, INFLATED_CAP, json_value, text_lines
from hvlab.errors import BadFile

from . import build

MEMORY_CAP = (64 << 20) + 2 * INFLATED_CAP


def refused(path, where, found, expected, using=load):
    """The one `BadFile` that a file gives, in time and in bounded memory, after comparing its fields."""
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(BadFile) as caught:
        using(path)
    took, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert took < 2
    assert peak < MEMORY_CAP
    bad = caught.value
    assert bad.file.startswith(str(path))
    assert where in bad.where, bad.where
    assert found in bad.found, bad.found
    assert expected in bad.expected, bad.expected
    return bad


# --- files, zip, gzip ------------------------------------------------------------------------------------------------


def test_what_is_no_file_is_refused(tmp_path):
    refused(tmp_path, "the file", "a folder", "a regular file")
    refused(tmp_path / "missing", "the file", "No such file", "a file to read")
    with pytest.raises(BadFile, match="a file to read"):
        load("a\0b")
    (tmp_path / "empty").write_bytes(b"")
    refused(tmp_path / "empty", "the file", "0 bytes", "page tables")


def test_a_pipe_is_refused_without_waiting(tmp_path):
    pipes = [make(tmp_path / "pipe") or tmp_path / "pipe" for make in [getattr(os, "mkfifo", None)] if make]
    for path in [*pipes, os.devnull]:
        with pytest.raises(BadFile) as caught:
            load(path)
        assert (caught.value.where, caught.value.expected) == ("the file", "a regular file")


def test_a_file_over_the_cap_is_refused_before_it_is_read(tmp_path):
    with open(tmp_path / "big", "wb") as file:
        file.write(b"PK\x03\x04")
        file.truncate(FILE_CAP + 1)
    refused(tmp_path / "big", "the file", "16,777,217 bytes", "at most 16,777,216")


@pytest.mark.parametrize(("size", "found"), [(128 << 20, "134,217,727 bytes"), (48 << 20, "to 1")])
def test_a_zip_bomb_is_refused_by_its_directory(tmp_path, size, found):
    (tmp_path / "bomb.npz").write_bytes(build.deflated_zeros(b"table_gpa.npy", size))
    refused(tmp_path / "bomb.npz", "zip directory", found, "at most")


def test_a_zip_bomb_that_lies_about_its_size_inflates_no_further_than_the_lie(tmp_path):
    (tmp_path / "bomb.npz").write_bytes(build.deflated_zeros(b"table_gpa.npy", 256 << 20, claim=1 << 20))
    refused(tmp_path / "bomb.npz", "member table_gpa", "x00", "a .npy header")


def test_a_gzip_bomb_is_refused(tmp_path):
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"{" + b" " * (100 << 20), 9))
    refused(tmp_path / "bomb.gz", "gzip", "to 1", "100 to 1")


def test_broken_gzip_is_refused(tmp_path):
    whole = gzip.compress(json.dumps({"meta": {}}).encode())
    for name, data, where, found, expected in (
        ("cut", whole[:-6], "offset", "the end of the file", "end of the gzip data"),
        ("more", whole + b"more", "offset", "more after the end", "one gzip member"),
        ("crc", whole[:-8] + b"\0\0\0\0" + whole[-4:], "gzip", "incorrect data check", "sound"),
    ):
        (tmp_path / name).write_bytes(data)
        refused(tmp_path / name, where, found, expected)


def test_a_truncated_zip_is_refused(tmp_path):
    whole = build.save(tmp_path / "any.npz", build.page_tables()).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:-30])
    refused(tmp_path / "cut.npz", "offset", "no zip directory at the end", "a whole zip file")


def test_a_damaged_member_is_refused(tmp_path):
    path = build.save(tmp_path / "any.npz", build.page_tables(), packed=False)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"table_data.npy") + 4000
    whole[at] ^= 1
    path.write_bytes(whole)
    refused(path, "member table_data", "Bad CRC-32", "sound")


def test_members_are_taken_by_exact_name_once_and_in_the_open(tmp_path):
    arrays = build.page_tables()
    extra = build.save(tmp_path / "extra.npz", {**arrays, "table_gpa_2": np.zeros(1)})
    refused(extra, "member table_gpa_2", "not on the list", "tlb_gva_#")
    for name in ("tlb_gva_64", "tlb_gva_01", "tlb_gva_-1", "tlb_gva_#", "../x"):
        odd = build.save(tmp_path / "odd.npz", {**arrays, name: np.zeros(1, np.uint64)})
        refused(odd, f"member {name}", "not on the list", "members")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(tmp_path / "twice.npz", "w") as archive:
        for _ in range(2):
            archive.writestr("table_gpa.npy", build.npy(np.zeros(1, np.uint64)))
    refused(tmp_path / "twice.npz", "member table_gpa", "a second member", "one of each name")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("setup.py", "x")
    refused(tmp_path / "other.npz", "zip directory", "setup.py", "NAME.npy")


def test_encrypted_and_exotic_members_are_refused(tmp_path):
    whole = bytearray(build.save(tmp_path / "any.npz", build.trace()).read_bytes())
    entry = whole.index(b"PK\x01\x02")
    for offset, value in ((8, 1), (10, 14), (10, 99)):
        bad = bytearray(whole)
        struct.pack_into("<H", bad, entry + offset, value)
        (tmp_path / "bad.npz").write_bytes(bad)
        refused(tmp_path / "bad.npz", "member kind", "flags", "not encrypted")


def test_a_crowded_directory_is_refused_before_it_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "crowd.npz", "w") as archive:
        for k in range(3000):
            archive.writestr(f"table_{k}.npy", b"")
    refused(tmp_path / "crowd.npz", "zip directory", "3,000 members", "at most")


# --- npy -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("member", "found", "expected"),
    [
        (build.header(shape="(1099511627776,)", body=bytes(64)), "8,796,093,022,208 bytes claimed", "agrees"),
        (build.header(shape="(99999999999999999999, 99999999999999999999)"), "claimed", "agrees"),
        (build.header(shape="(2,)", body=bytes(8)), "16 bytes claimed by shape (2,), 8 there", "agrees"),
        (build.header(shape="(1,)", body=bytes(800)), "8 bytes claimed by shape (1,), 800 there", "agrees"),
        (build.header("|O", "(1,)", body=bytes(8)), "type |O", "whole numbers"),
        (build.header("<f8", "(1,)", body=bytes(8)), "type <f8", "whole numbers"),
        (build.header(">u8", "(1,)", body=bytes(8)), "type >u8", "whole numbers"),
        (build.header("<U9", "(1,)", body=bytes(36)), "type <U9", "whole numbers"),
        (build.header(shape="(-1,)"), "header", "plain numbers"),
        (build.header(shape="(" + "1," * 900 + ")"), "claimed", "agrees"),
        (build.header(raw="__import__('os').abort()"), "header", "plain numbers"),
        (build.header(raw="{'descr': [('a', '<u8')], 'fortran_order': False, 'shape': (1,), }"), "header", "plain"),
        (build.header(raw="(" * 3000), "header", "plain numbers"),
        (build.header(raw="9" * 9000), "a header of 9,001 bytes", "at most 4,096"),
        (b"\x93NUMPY\x09\x00" + bytes(64), "NUMPY", "version 1, 2 or 3"),
        (b"", "b''", "a .npy header"),
        (build.npy(np.zeros((4, 1), np.uint64)), "shape (4, 1)", "shape (tables)"),
        (build.npy(np.array([-4096])), "a value of -4096", "values from 0"),
    ],
)
def test_a_header_that_lies_is_refused_before_memory_is_taken(tmp_path, member, found, expected):
    path = build.save(tmp_path / "bad.npz", build.page_tables(table_gpa=member))
    refused(path, "member table_gpa", found, expected)


def test_pickled_objects_are_never_loaded(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    member = build.npy(np.array([Trap()], object), pickle=True)
    refused(build.save(tmp_path / "bad.npz", build.page_tables(table_gpa=member)), "table_gpa", "type |O", "whole")
    (tmp_path / "bad.npz").write_bytes(pickle.dumps(Trap()))
    refused(tmp_path / "bad.npz", "the file", "bytes that begin", "page tables")
    assert not (tmp_path / "sprung").exists()


# --- meaning ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "where", "found", "expected"),
    [
        ({"registers": {"levels": -1}}, "cpus[0].levels", "-1", "0x3 to 0x5"),
        ({"registers": {"levels": 10**30}}, "cpus[0].levels", "10000", "0x3 to 0x5"),
        ({"registers": {"levels": 4.0}}, "cpus[0].levels", "4.0", "whole number"),
        ({"registers": {"levels": True}}, "cpus[0].levels", "True", "whole number"),
        ({"registers": {"cr3": 0x9000}}, "cpus[0].cr3", "0x9000", "one of the table pages"),
        ({"registers": {"cr3": "x\n" * 500}}, "cpus[0].cr3", "x\\n", "whole number"),
        ({"meta_json": build.as_json({"cpus": []})}, "meta_json.cpus", "a list", "1 to 64"),
        ({"meta_json": build.as_json({"cpus": [{}]})}, "cpus[0].cr0", "no such field", "cr0, cr3"),
        ({"meta_json": build.as_json({})}, "meta_json.cpus", "no such field", "cpus"),
        ({"meta_json": build.as_json([])}, "meta_json", "a list", "an object"),
        ({"meta_json": build.as_json(b"{")}, "line 1", "Expecting", "JSON"),
        ({"table_gpa": np.array([1, 2, 3, 2], np.uint64) * np.uint64(4096)}, "table_gpa", "0x2000 twice", "once"),
        ({"table_gpa": np.array([4096, 8192, 4, 12288], np.uint64)}, "table_gpa", "0x4 at index 2", "below 2**52"),
        ({"table_gpa": np.array([4096, 1 << 52, 8192, 12288], np.uint64)}, "table_gpa", "0x10000000000000", "2**52"),
        ({"table_data": np.zeros((3, 512), np.uint64)}, "table_data", "shape (3, 512)", "shape (4, 512)"),
        ({"table_data": np.zeros((4, 511), np.uint64)}, "table_data", "shape (4, 511)", "shape (4, 512)"),
        ({"tlb_gpa_0": np.zeros(2, np.uint64)}, "tlb_gpa_0", "shape (2,)", "shape (1)"),
        ({"tlb_gva_0": np.array([5], np.uint64)}, "tlb_gva_0", "0x5", "multiples of 4096"),
        ({"tlb_flags_0": np.array([0x200], np.uint16)}, "tlb_flags_0", "0x200", "nine bits"),
        ({"tlb_flags_0": np.array([1 << 16])}, "tlb_flags_0", "65536", "0 to 65535"),
        ({"mem_urw_0": np.array([8], np.uint8)}, "mem_urw_0", "8", "three bits"),
        ({"probe_gpa_0": np.array([0, 1 << 60], np.uint64)}, "probe_gpa_0", "0x1000000000000000", "2**64-1"),
        ({"tlb_gva_3": np.zeros(1, np.uint64)}, "tlb_gva_3", "a processor too many", "0 to 0"),
        (
            {"table_gpa": np.zeros(0, np.uint64), "table_data": np.zeros((0, 512), np.uint64)},
            "table_gpa",
            "no table",
            "one",
        ),
    ],
)
def test_page_tables_that_mean_nothing_are_refused(tmp_path, changes, where, found, expected):
    path = build.save(tmp_path / "bad.npz", build.page_tables(**changes))
    refused(path, where, found, expected)


def test_half_an_oracle_is_refused(tmp_path):
    arrays = build.page_tables()
    del arrays["tlb_flags_0"]
    refused(build.save(tmp_path / "bad.npz", arrays), "tlb_flags_0", "no such member", "tlb_gva_0 is there")


@pytest.mark.parametrize(
    ("changes", "where", "found", "expected"),
    [
        ({"levels": np.array(200, np.uint8)}, "levels", "200", "0x3 to 0x5"),
        ({"levels": np.array(5, np.uint8)}, "ncr3", "0x100000", "level 5"),
        ({"ncr3": np.array(0x101000, np.uint64)}, "ncr3", "0x101000", "level 4"),
        ({"table_level": np.array([4, 3, 2, 0], np.uint8)}, "table_level", "levels 0 to 4", "1 to 4"),
        ({"vmcb": np.zeros(511, np.uint64)}, "vmcb", "shape (511,)", "shape (512)"),
        ({"l2pt_spa": np.array([1 << 52], np.uint64)}, "l2pt_spa", "0x10000000000000", "2**52"),
        ({"l2pt_spa": np.zeros(2, np.uint64)}, "l2pt_spa", "shape (2,)", "shape (1)"),
        ({"touched_first8": np.zeros(3, np.uint64)}, "touched_first8", "3 values", "none or 0"),
        (
            {"slots": np.array([[0, 1 << 51, 1 << 51, 0, 0], [0, 4096, (1 << 64) - 4096, 0, 0]], np.uint64)},
            "slots",
            "0x",
            "2**52",
        ),
        ({"slots": np.zeros((1, 4), np.uint64)}, "slots", "shape (1, 4)", "5"),
    ],
)
def test_nested_tables_that_mean_nothing_are_refused(tmp_path, changes, where, found, expected):
    path = build.save(tmp_path / "bad.npz", build.nested_tables(**changes))
    refused(path, where, found, expected, nested_tables)


@pytest.mark.parametrize(
    ("changes", "where", "found", "expected"),
    [
        ({"kind": np.full(64, 4, np.uint8)}, "kind", "kind 4", "0 I, 1 L, 2 S or 3 M"),
        ({"kind": np.zeros(63, np.uint8)}, "size", "shape (64,)", "shape (63)"),
        ({"delta_planes": np.zeros((7, 64), np.uint8)}, "delta_planes", "shape (7, 64)", "shape (8, 64)"),
        ({"delta_planes": np.zeros((8, 64), np.uint64)}, "delta_planes", "type <u8", "type |u1"),
        ({"delta_planes": np.full((8, 64), 0x41, np.uint8)}, "delta_planes", "0x4141", "57 bits"),
        ({"size": np.full(64, 70000)}, "size", "70000", "0 to 65535"),
    ],
)
def test_traces_that_mean_nothing_are_refused(tmp_path, changes, where, found, expected):
    refused(build.save(tmp_path / "bad.npz", build.trace(**changes)), where, found, expected)


# --- text ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "where", "found"),
    [
        (b"I  04001a40,3\nhello\n", "line 2", "hello"),
        (b"I  04001a40,3\n L 04zz,4\n", "line 2", "04zz"),
        (b"I  04001a40,3\n L 04,0\n", "line 2", "04,0"),
        (b"I  04001a40,3\n\n L 04,9999", "line 3", "9999"),
        (b"I 04001a40,3\n", "line 1", "I 0400"),
        (b"I  11112222333344445,3\n", "line 1", "11112222333344445"),
        (b"I  0111222233334444,3\n", "line 1", "0111222233334444"),
        (b"I  04001a40,3\n\xff\xfe\n", "line 2", "xff"),
        (b"I  04001a40,3\n==\xff==\n", "line 2, byte 3", "invalid start byte"),
        (b"I  04001a40,3\n==" + b"x" * 5000 + b"\n", "line 2", "5,002 bytes"),
        (b"I  04001a40,3\n" + b"x" * (3 << 20), "line 2", "over 4,096 bytes"),
        (b"==\n" * 200_000, "line", "lines without an access"),
        (b"", "the text", "no access"),
    ],
)
def test_lackey_text_is_refused_by_line(tmp_path, text, where, found):
    (tmp_path / "bad.txt").write_bytes(text)
    refused(tmp_path / "bad.txt", where, found, "", lackey_trace)


def test_text_is_bounded_and_strict():
    assert text_lines("f", b"a\r\nb") == ["a", "b"]
    for text, where in (
        (b"\n" * 100_001, "the text"),
        (b"a\n" + b"x" * 4097, "line 2"),
        (b"a\n\x80", "line 2, byte 1"),
    ):
        with pytest.raises(BadFile) as caught:
            text_lines("f", text)
        assert caught.value.where == where


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"[" * 100_000, "levels of nesting"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "levels of nesting"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": -Infinity}', "-Infinity"),
        (b'{"a": 1e999}', "1e999"),
        (b'{"a": 1, "b": 2, "a": 3}', "field a twice"),
        (b'{"a": ' + b"9" * 5000 + b"}", "a number of 5,000 digits"),
        (b"[" + b"1," * 1_200_000 + b"1]", "about 1,200,001 values"),
        (b'"' + b"x" * (9 << 20) + b'"', "bytes"),
        (b'{"a": "\xff"}', "invalid start byte"),
        (b'{"a": 1} {', "Extra data"),
        (b'["' + b'\\"' * 1_000_000, "Unterminated string"),
        (b"[" + b'"["' * 500, "Expecting"),
    ],
)
def test_hostile_json_is_refused(text, found):
    began = time.process_time()
    with pytest.raises(BadFile) as caught:
        json_value("f", text)
    assert time.process_time() - began < 2
    assert found in caught.value.found


def test_brackets_inside_strings_are_no_nesting():
    assert json_value("f", json.dumps(["[" * 500, '\\"[[' * 50]).encode()) == ["[" * 500, '\\"[[' * 50]


SEQUENCE = {"id": 0, "steps": [[["tpr", 256], {}]], "final": {"irr": [], "isr": []}}


@pytest.mark.parametrize(
    ("value", "where", "found"),
    [
        ([], "the JSON text", "a list"),
        ({"x": 1}, "the JSON text", "fields x"),
        ({"meta": {"name": "x86_new", "n": 0}, "cases": []}, "meta.name", "x86_new"),
        ({"meta": {"name": "x86_pkeys"}, "cases": []}, "meta.n", "no such field"),
        ({"meta": {"name": "apic_priority", "n": 1}, "cases": [[{}, {}]]}, "cases[0][0].tpr_class", "no such field"),
        ({"meta": {"name": "apic_sequences", "n": 1}, "cases": [SEQUENCE | {"steps": 3}]}, "cases[0].steps", "int"),
        ({"meta": {"name": "apic_sequences", "n": 1}, "cases": [SEQUENCE]}, "cases[0].steps[0][0][1]", "256"),
        ({"meta": {"name": "x86_pkeys", "n": 2}, "cases": [[0, -1]]}, "meta.n", "2"),
        ({"meta": {"name": "x86_pkeys", "n": 1}, "cases": [[512, -1]]}, "cases[0][0]", "512"),
        ({"meta": {"name": "x86_pkeys", "n": 1}, "cases": [[0, -2]]}, "cases[0][1]", "-2"),
        ({"meta": {"name": "x86_pkeys", "n": 1}, "cases": [0]}, "cases[0]", "0"),
        ({"meta": {"name": "x86_pkeys", "n": 1}, "cases": {}}, "cases", "a dict"),
        (
            {"meta": {"name": "ept_permissions", "n": 1}, "cases": [[{"upper": 0}, ["ok"]]]},
            "cases[0][0].leaf",
            "no such",
        ),
        ({"meta": {"name": "x86_page_access", "n": 0}, "packed": "!"}, "packed", "Only base64"),
        ({"meta": {"name": "x86_page_access", "n": 0}, "packed": "AAAA"}, "packed", "Error"),
        ({"meta": {"name": "x86_page_access", "n": 0}}, "the file.packed", "no such field"),
    ],
)
def test_vector_files_of_the_wrong_shape_are_refused(tmp_path, value, where, found):
    (tmp_path / "bad.json").write_text(json.dumps(value))
    refused(tmp_path / "bad.json", where, found, "")


def test_a_packed_answer_that_inflates_without_end_is_stopped(tmp_path):
    import base64
    import zlib

    packed = base64.b64encode(zlib.compress(bytes(1 << 24), 9)).decode()
    value = {"meta": {"name": "x86_page_access", "n": 0}, "packed": packed}
    (tmp_path / "bad.json").write_text(json.dumps(value))
    refused(tmp_path / "bad.json", "packed", "262,145 bytes and no end", "262,144 bytes", load_vectors)


def test_names_in_files_cannot_write_on_the_screen(tmp_path):
    arrays = build.page_tables(registers={"cr3": "\x1b[2J\u202e" + "x" * 9000})
    bad = refused(build.save(tmp_path / "bad.npz", arrays), "cr3", "x1b", "whole number")
    assert "\x1b" not in str(bad)
    assert len(str(bad)) < 1000


def test_entangled_tables_cannot_stall_a_description(tmp_path):
    tables, shuffled = 3000, random.Random(5)
    gpas = np.arange(1, tables + 1, dtype=np.uint64) * np.uint64(4096)
    data = np.array([[shuffled.randrange(1, tables + 1) << 12 for _ in range(512)] for _ in range(8)], np.uint64)
    rights = np.arange(tables * 512, dtype=np.uint64).reshape(tables, 512) % np.uint64(4) << np.uint64(1)
    tangle = np.tile(data, (tables // 8, 1)) | rights | np.uint64(1)
    arrays = build.page_tables(16, 5, table_gpa=gpas, table_data=tangle)
    path = build.save(tmp_path / "tangle.npz", arrays)

    began = time.process_time()
    text = describe(path)

    assert time.process_time() - began < 5
    assert "16 processors" in text


# --- mutations -------------------------------------------------------------------------------------------------------


def sound(kind, tmp_path):
    """Small sound files of each format, as bytes."""
    makers = {"pt": build.page_tables, "npt": build.nested_tables, "trace": build.trace}
    if kind in makers:
        return build.save(tmp_path / "sound", makers[kind](), packed=False).read_bytes()
    if kind == "json":
        return json.dumps({"meta": {"name": "x86_pkeys", "n": 2}, "cases": [[0, -1], [25, 33]]}).encode()
    if kind == "gz":
        return gzip.compress(sound("json", tmp_path), mtime=0)
    return b"==1== Lackey\nI  04001a40,3\n L 1ffeffe7e0,8\n S 1ffeffe7d8,8\n M 04021000,4\n" * 3


def mutated(data, draw):
    """One to four small changes: bits, bytes, runs, cuts, copies, swaps."""
    data = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(data)) if data else 0
        match draw.randrange(6):
            case 0 if data:
                data[at] ^= 1 << draw.randrange(8)
            case 1 if data:
                data[at] = draw.choice((0, 1, 9, 0x22, 0x2D, 0x5B, 0x7F, 0x80, 0xFF))
            case 2:
                data[at : at + draw.randint(1, 40)] = draw.randbytes(draw.randint(0, 40))
            case 3:
                del data[at : at + draw.choice((1, 8, 100, len(data)))]
            case 4:
                data[at:at] = data[at : at + draw.choice((1, 8, 64))]
            case _ if len(data) > 8:
                data[at : at + 4] = struct.pack("<I", draw.choice((0, 1, 0x7FFFFFFF, 0xFFFFFFFF, len(data))))
    return bytes(data)


@pytest.mark.parametrize("kind", ["pt", "npt", "trace", "json", "gz", "lackey"])
def test_mutated_files_load_or_are_refused(tmp_path, kind):
    """500 mutations of each format: a valid capture or a `BadFile`, nothing else."""
    whole, draw, path = sound(kind, tmp_path), random.Random(kind), tmp_path / "mutant"
    outcomes = {"loaded": 0, "refused": 0}
    for _ in range(500):
        path.write_bytes(mutated(whole, draw))
        try:
            load(path) if recognise(path).ready else describe(path)
            outcomes["loaded"] += 1
        except BadFile as bad:
            outcomes["refused"] += 1
            assert bad.where and bad.found and bad.expected
    assert outcomes["refused"] > 100
    assert sum(outcomes.values()) == 500


@pytest.mark.parametrize("make", [build.page_tables, build.nested_tables, build.trace])
def test_mutated_contents_load_or_are_refused(tmp_path, make):
    """300 files whose zip is sound and whose arrays are not: what loads can also be described."""
    draw, path, refusals = random.Random(make.__name__), tmp_path / "mutant.npz", 0
    for _ in range(300):
        arrays = make()
        name = draw.choice(list(arrays))
        value = np.asarray(arrays[name])
        match draw.randrange(4):
            case 0:
                changed = np.frombuffer(
                    mutated(value.tobytes(), draw)[: value.nbytes].ljust(value.nbytes, b"\1"), value.dtype
                )
                arrays[name] = changed.reshape(value.shape)
            case 1:
                arrays[name] = value.astype(draw.choice(("f8", "i8", "u2", "u1", ">u8", "S9", "?")))
            case 2:
                arrays[name] = value.ravel()[: draw.randrange(value.size + 1)]
            case _:
                del arrays[name]
        try:
            describe(build.save(path, arrays))
        except BadFile as bad:
            refusals += 1
            assert bad.where and bad.found and bad.expected
    assert refusals > 50


def test_a_refusal_survives_a_trip_between_processes(tmp_path):
    bad = refused(tmp_path / "missing", "the file", "No such file", "a file", page_tables)
    again = pickle.loads(pickle.dumps(bad))
    assert (again.file, again.where, again.found, again.expected) == (bad.file, bad.where, bad.found, bad.expected)
