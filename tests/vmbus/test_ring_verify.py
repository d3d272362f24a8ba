"""The ring against what others wrote down: verdicts on hostile packets, and a kernel's own ring code."""

import gzip
import json

import pytest

from hvlab.capture import load, sample
from hvlab.errors import BadFile
from hvlab.verify import replay

COUNTS = {
    "ring_1p_fillsome_1": 400,
    "ring_2p_fillsome_2": 600,
    "ring_4p_mixed_3": 600,
    "vmbus_messages": 26,
    "vmbus_ring_hostile": 2_433,
    "vmbus_gpa_range": 495,
}


@pytest.mark.parametrize("name", COUNTS)
def test_the_ring_agrees_with_every_case_of_a_shipped_file(name):
    count = replay(sample(name))

    assert (count.cases, count.differ, count.first) == (COUNTS[name], 0, "")


def changed(tmp_path, name, change):
    """Write a copy of a shipped file that `change` has edited."""
    whole = json.loads(gzip.decompress(sample(name).read_bytes()))
    change(whole)
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(whole))
    return path


@pytest.mark.parametrize(
    "field, value",
    [("signal", True), ("write_index", 8), ("sha256_data", "0" * 64), ("sha256_control", "f" * 64)],
)
def test_one_wrong_word_after_one_operation_on_a_ring_is_found(tmp_path, field, value):
    def change(whole):
        whole["ops"][5][field] = value

    count = replay(changed(tmp_path, "ring_1p_fillsome_1", change))

    assert count.differ == 1
    assert count.first.startswith("operation 5, write: (expected, found) {") and field in count.first


@pytest.mark.parametrize(
    "name, where, wrong",
    [("vmbus_ring_hostile", 7, ["ok", 0]), ("vmbus_gpa_range", 3, ["ok", 2])],
)
def test_one_wrong_verdict_is_found(tmp_path, name, where, wrong):
    def change(whole):
        assert whole["cases"][where][1] != wrong
        whole["cases"][where][1] = wrong

    count = replay(changed(tmp_path, name, change))

    assert (count.cases, count.differ) == (COUNTS[name], 1)


@pytest.mark.parametrize(
    "change, found",
    [
        (lambda one: one["fields"].update(child_rel_id=6), "child_rel_id: expected 6, found 5"),
        (lambda one: one.update(hex="02000000" + one["hex"][8:]), "number 2 instead of 1"),
        (lambda one: one.update(hex=one["hex"][:-2], size=one["size"] - 1), "188 bytes needed, 187 there"),
    ],
)
def test_one_wrong_field_number_or_length_of_a_channel_message_is_found(tmp_path, change, found):
    def edit(whole):
        change(next(one for one in whole["vectors"] if one["name"] == "offer_scsi"))

    count = replay(changed(tmp_path, "vmbus_messages", edit))

    assert count.differ == 1
    assert count.first.startswith("offer_scsi: ") and found in count.first


@pytest.mark.parametrize(
    "name, change",
    [
        ("ring_1p_fillsome_1", lambda whole: whole.update(data_bytes=4104)),
        ("ring_1p_fillsome_1", lambda whole: whole.update(data_bytes=1 << 40)),
        ("ring_1p_fillsome_1", lambda whole: whole["initial"].update(read_index=8)),
        ("ring_1p_fillsome_1", lambda whole: whole["ops"][0].update(op="destroy")),
        ("ring_1p_fillsome_1", lambda whole: whole["ops"][0].update(payload_len=-1)),
        ("ring_1p_fillsome_1", lambda whole: whole["ops"][0].update(header_hex="06")),
        ("ring_1p_fillsome_1", lambda whole: whole["ops"][0].update(kind="letter")),
        ("ring_1p_fillsome_1", lambda whole: whole["ops"][0].update(signal=1)),
        ("ring_1p_fillsome_1", lambda whole: whole["ops"][1].pop("packet_lens")),
        ("ring_1p_fillsome_1", lambda whole: whole.update(ops={})),
        ("vmbus_messages", lambda whole: whole["vectors"][0].update(hex="xy")),
        ("vmbus_messages", lambda whole: whole["vectors"][0].update(size=1)),
        ("vmbus_messages", lambda whole: whole["vectors"][0]["fields"].update(target_sint=-1)),
        ("vmbus_messages", lambda whole: whole["vectors"][0].update(message=5)),
        ("vmbus_ring_hostile", lambda whole: whole["cases"][0][0].update(size=4097)),
        ("vmbus_ring_hostile", lambda whole: whole["cases"][0][0].update(type=1 << 16)),
        ("vmbus_ring_hostile", lambda whole: whole["cases"][0][0].pop("in")),
        ("vmbus_ring_hostile", lambda whole: whole["cases"][0].__setitem__(1, ["ok"])),
        ("vmbus_gpa_range", lambda whole: whole["cases"][0][0].update(words=["0x1_0"])),
        ("vmbus_gpa_range", lambda whole: whole["cases"][0].__setitem__(1, ["ok", "2"])),
    ],
)
def test_a_file_of_another_shape_is_refused_with_its_place(tmp_path, name, change):
    path = changed(tmp_path, name, change)

    with pytest.raises(BadFile) as refused:
        load(path)

    assert refused.value.where and refused.value.found and refused.value.expected
