"""A recorded VMBus connection: our two ends say the same, and a recording that is changed in one digit is found out."""

import gzip
import shutil
from pathlib import Path

import pytest

from hvlab.verify import main, verify
from hvlab.verify.vmbus import recording
from hvlab.verify.vmbus_recorded import read_folder

REAL = Path(__file__).parent / "real" / "vmbus_live"
FOLDERS = ("balloon_2vp", "connect_only_2vp")


@pytest.fixture
def copy(tmp_path):
    shutil.copytree(REAL / "balloon_2vp", tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize(("name", "least"), [("balloon_2vp", 75), ("connect_only_2vp", 25)])
def test_both_ends_say_what_was_recorded_word_for_word(name, least):
    count = recording(REAL / name)

    assert (count.differ, count.first) == (0, "") and count.cases >= least
    assert "set up as the recording says" in count.note and "timing" in count.note


def test_a_folder_is_replayed_as_a_whole_beside_its_files(capsys):
    told = list(verify([REAL]))
    assert [one.name for one in told][:2] == [f"vmbus_live/{name}" for name in FOLDERS]
    assert main([REAL]) == 0
    assert "vmbus_live/balloon_2vp: 80 cases, 80 agree, 0 differ" in capsys.readouterr().out


def test_what_the_recording_shows_is_what_the_protocol_needs():
    there = read_folder(REAL / "balloon_2vp")

    assert [words["conn"] for words in there.sent] == [4, 4, 4, 4, 1, 1, 1, 1, 1]
    assert [words["w1"] for words in there.sent][:6] == [0x50003, 0x50002, 0x50001, 0x50000, 0x40001, 0x40000]
    assert there.sent[7]["w1"] == 0xE1E10 << 32 | 1 and there.sent[8]["w3"] == 5
    assert [words["d0"] for words in there.read] == [0x0000_0004_0002_0006] * 2
    assert [status for _, _, status in there.hypercalls()][:5] == [0x12] * 4 + [0]


FTRACE, HOST, SYSFS, KVM = "l2_ftrace.txt", "qemu_vmbus_trace.txt", "l2_sysfs.txt", "l1_kvm_hv_trace.txt.gz"
# (file, what is found there and what is put in its place, where the first disagreement is)
CHANGES = [
    (FTRACE, "w1=0x50001 w2", "w1=0x50003 w2", "message 3 of the guest"),
    (FTRACE, "conn=0x1 mtype=0x1 len=8", "conn=0x2 mtype=0x1 len=8", "message 7 of the guest"),
    (FTRACE, "len=148 w0=0x5", "len=156 w0=0x5", "message 9 of the guest"),
    (FTRACE, "w0=0x8 w1=0xe1e10", "w0=0x8 w1=0xe1e11", "message 8 of the guest"),
    (FTRACE, "w2=0xa00000010058", "w2=0xa00000010050", "message 8 of the guest"),
    (FTRACE, "w2=0xe1e10 w3=0x5", "w2=0xe1e10 w3=0x100000005", "message 9 of the guest"),
    (FTRACE, "w1=0xe1e1000000001 w2=0x0", "w1=0xe1e1000000001 w2=0x1", "message 5 of the host"),
    (FTRACE, "w3=0x41df2b1924da39c7 w4", "w3=0x41df2b1924da39c8 w4", "message 3 of the host"),
    (FTRACE, "d0=0x400020006 d1=0x2", "d0=0x500020006 d1=0x2", "packet 2 of the host"),
    (FTRACE, "w0=0x100100001 w1=0x20000", "w0=0x100100001 w1=0x10000", "packet 1 of the guest"),
    (FTRACE, "len=32 req=0x0", "len=32 req=0x7", "packet 2 of the guest"),
    (HOST, "vmbus_post_msg type 1 size 200", "vmbus_post_msg type 1 size 188", "message at the host 6"),
    (HOST, "gpadl #925200 gfns 10", "gpadl #925201 gfns 10", "page list 1"),
    (HOST, "gpadl #925200 target vp 0", "gpadl #925200 target vp 1", "open channel 1"),
    (SYSFS, "out_write_index = 96", "out_write_index = 104", "sysfs out_write_index"),
    (SYSFS, "channels/1/interrupts = 2", "channels/1/interrupts = 3", "sysfs channels/1/interrupts"),
    (KVM, "data 0x200f3", "data 0xf3", "register of the guest 3"),
    (KVM, "in 0x11 out", "in 0x12 out", "signal 1"),
]


@pytest.mark.parametrize(("file", "old", "new", "where"), CHANGES, ids=[where for *_, where in CHANGES])
def test_one_changed_digit_is_a_disagreement(copy, file, old, new, where):
    path = copy / file
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    assert old.encode() in data
    data = data.replace(old.encode(), new.encode(), 1)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    count = recording(copy)

    assert count.differ >= 1 and count.first.startswith(where), count.first


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("l2_ftrace.txt", "w0=0x3 w1=0x0"),
        ("l2_ftrace.txt", "rx_vmbus_onoffers_delivered"),
        ("qemu_vmbus_trace.txt", "vmbus_recv_message type 3"),
        ("qemu_vmbus_trace.txt", "vmbus_channel_notify_guest"),
    ],
)
def test_a_line_that_is_missing_is_a_disagreement(copy, file, line):
    text = (copy / file).read_text()
    lines = text.splitlines(keepends=True)
    first = next(k for k, one in enumerate(lines) if line in one)
    (copy / file).write_text("".join(lines[:first] + lines[first + 1 :]))

    assert recording(copy).differ >= 1
