"""The histogram of exits: counted from a real trace, and from lines made by hand; other files are refused."""

import gzip

import pytest

from hvlab.capture.exits import exit_log
from hvlab.capture.samples import sample
from hvlab.errors import BadFile

LINE = "qemu-104     [000] .....     5.19: {}\n"


def test_the_shipped_trace_is_counted_line_by_line():
    log = exit_log(sample("kvm_synic"))
    lines = gzip.decompress(sample("kvm_synic").read_bytes()).decode().splitlines()
    counts = [line for line in lines if "kvm_hv_stimer_set_count:" in line]

    assert dict(log.exits)["MSR: timer, when"] == sum("host 0" in line for line in counts)
    assert sum(count for part in (log.exits, log.others) for _name, count in part) == sum(
        ": kvm_hv_" in line for line in lines
    )
    assert dict(log.others)["kvm_hv_synic_set_irq"] == 501


def test_what_the_host_writes_is_no_exit(tmp_path):
    path = tmp_path / "trace.txt"
    told = ["kvm_hv_synic_set_msr: vcpu_id 0 msr 0x40000080 data 0x0 host 1", "kvm_hv_hypercall: code 0x5c", "other: 1"]
    path.write_text("".join(LINE.format(line) for line in told))

    log = exit_log(path)

    assert log.exits == (("HYPERCALL", 1),)
    assert log.others == (("kvm_hv_synic_set_msr (by the host)", 1),)
    assert "no exits:" in repr(log)


@pytest.mark.parametrize("text", [b"", b"nothing of that kind\n", b"\xff\xfe\n"])
def test_another_file_is_refused(text, tmp_path):
    path = tmp_path / "other.txt"
    path.write_bytes(text)

    with pytest.raises(BadFile):
        exit_log(path)
