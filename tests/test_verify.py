"""`hvlab verify`: what carries an oracle is replayed and counted; what differs, is broken or waits is said."""

import base64
import gzip
import json
import zlib

import numpy as np
import pytest

from hvlab.capture import sample
from hvlab.kernel import PLAIN
from hvlab.verify import main, replay

COUNTS = {
    "npt_4lvl": 325,
    "x86_pkeys": 398,
    "ept_permissions": 2_005,
    "apic_priority": 3_080,
    "apic_sequences": 392,
    "pt_5lvl_nopti_1g": 152_750,
    "x86_page_access": 210_232,
    "pt_4lvl_pti": 813_975,
}
QUICK = ["npt_4lvl", "x86_pkeys", "ept_permissions", "apic_priority", "apic_sequences"]


@pytest.mark.parametrize("name", QUICK if PLAIN else list(COUNTS))
def test_the_engine_agrees_with_every_case_of_a_shipped_file(name):
    count = replay(sample(name))

    assert (count.cases, count.differ, count.first) == (COUNTS[name], 0, "")


def edited(tmp_path, name, change):
    """Write a copy of a snapshot whose arrays `change` has edited."""
    with np.load(sample(name)) as archive:
        arrays = {key: archive[key].copy() for key in archive.files}
    change(arrays)
    path = tmp_path / "edited.npz"
    np.savez_compressed(path, **arrays)
    return path


def test_one_wrong_frame_in_a_nested_table_is_found_and_told(tmp_path, capsys):
    def change(arrays):
        at = np.argwhere((arrays["table_level"] == 1)[:, None] & (arrays["table_data"] & 1 == 1))[5]
        arrays["table_data"][tuple(at)] ^= np.uint64(1 << 13)

    code = main([edited(tmp_path, "npt_4lvl", change)])

    said = capsys.readouterr().out
    assert code == 1
    assert "edited: 325 cases, 32" in said and "first disagreement: GPA 0x" in said


def test_one_wrong_right_in_a_page_table_is_found(tmp_path):
    def change(arrays):
        leaves = np.argwhere(arrays["table_data"] & 0x87 == 0x87)
        arrays["table_data"][tuple(leaves[0])] ^= np.uint64(2)

    count = replay(edited(tmp_path, "pt_5lvl_nopti_1g", change))

    assert count.differ >= 1 and "leaf at" in count.first


def test_one_wrong_answer_in_a_vector_file_is_found(tmp_path):
    whole = json.loads(gzip.decompress(sample("x86_page_access").read_bytes()))
    answers = bytearray(zlib.decompress(base64.b64decode(whole["packed"])))
    state = next(k for k, answer in enumerate(answers) if answer == 255)
    answers[state] = 5
    whole["packed"] = base64.b64encode(zlib.compress(bytes(answers))).decode()
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps(whole))

    count = replay(path)

    assert count.differ == 1
    assert count.first == f"state {state:#x}: expected #PF(0x5), found no fault"


def test_a_folder_says_of_each_file_what_became_of_it(tmp_path, capsys):
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "keys.json").write_bytes(gzip.decompress(sample("x86_pkeys").read_bytes()))
    (tmp_path / "pic.bin").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(600))
    (tmp_path / "slots.json").write_text('{"meta": {"name": "vtd_dma", "n": 0}, "cases": []}')

    code = main([tmp_path])

    said = capsys.readouterr().out.splitlines()
    assert code == 0
    assert said[0] == "keys: 398 cases, 398 agree, 0 differ"
    assert said[1].startswith("pic.bin: not a file of a known form")
    assert said[2].startswith("slots: ") and "comes with the IOMMU capability" in said[2]


def test_nothing_to_compare_is_a_failure(tmp_path, capsys):
    assert main([sample("sort")]) == 1
    assert "nothing was compared" in capsys.readouterr().err


def test_a_broken_file_is_a_failure_with_one_line(tmp_path, capsys):
    path = tmp_path / "cut.npz"
    path.write_bytes(sample("npt_4lvl").read_bytes()[:4000])

    assert main([path, sample("x86_pkeys")]) == 1
    captured = capsys.readouterr()
    assert len(captured.err.splitlines()) == 1 and "expected" in captured.err
    assert "x86_pkeys: 398 cases, 398 agree, 0 differ" in captured.out


def test_a_guest_without_64_bit_paging_is_compared_at_the_second_level_only(tmp_path):
    def change(arrays):
        arrays["vmcb"][0x4D0 // 8] &= ~np.uint64(1 << 10)  # EFER.LMA

    count = replay(edited(tmp_path, "npt_4lvl", change))

    assert (count.cases, count.differ) == (165, 0)
    assert "3-level paging" in count.note
