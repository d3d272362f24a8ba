"""What a real guest and host did to a SynIC, replayed: the same interrupts in the same order, and no others."""

import gzip
import json
import re

import pytest

from hvlab.capture import describe, sample
from hvlab.capture.kvmlog import kvm_log
from hvlab.capture.load import load
from hvlab.errors import BadFile
from hvlab.verify import replay
from hvlab.verify.synic import synic_slots
from hvlab.view import report


def text():
    return gzip.decompress(sample("kvm_synic").read_bytes()).decode()


def put(tmp_path, lines):
    path = tmp_path / "changed.txt"
    path.write_text(lines)
    return path


def test_every_recorded_sint_is_raised_here_with_its_vector_in_its_order():
    count = replay(sample("kvm_synic"))

    assert count.differ == 0 and count.cases > 1000
    assert "SINTs raised for what the host sent" in count.note


def test_the_five_sequences_of_slots_end_as_they_should():
    count = replay(sample("synic_slots"))

    assert (count.cases, count.differ) == (5, 0)


def test_a_wrong_expectation_about_a_slot_is_found():
    case = ({"ops": [["post", "self", 1]]}, {"msg_pending": 1})

    assert synic_slots([case]).differ == 1


@pytest.mark.parametrize(
    ("found", "put_in"),
    [
        ("sint 2 vector 243 ret 1", "sint 2 vector 242 ret 1"),
        ("msr 0x40000092 data 0x200f3 host 0", "msr 0x40000092 data 0x200f4 host 0"),
        ("send result -11", "send result 0"),
    ],
)
def test_one_changed_line_is_found(tmp_path, found, put_in):
    assert found in text()

    assert replay(put(tmp_path, text().replace(found, put_in, 1))).differ > 0


def test_a_missing_interrupt_is_found(tmp_path):
    lines = text().splitlines(keepends=True)
    at = [k for k, line in enumerate(lines) if "kvm_hv_synic_set_irq" in line][100]

    assert replay(put(tmp_path, "".join(lines[:at] + lines[at + 1 :]))).differ > 0


def test_a_missing_setting_of_a_timer_is_found(tmp_path):
    lines = text().splitlines(keepends=True)
    at = [k for k, line in enumerate(lines) if "set_count" in line and "host 0" in line][50]

    assert replay(put(tmp_path, "".join(lines[:at] + lines[at + 1 :]))).differ > 0


def test_a_trace_is_told_as_a_table():
    log = load(sample("kvm_synic"))

    assert log.vcpus == [0, 1]
    assert re.search(r"SINT raised +SINT 2, vector 0xf3, VP 1 +272", describe(sample("kvm_synic")))
    assert ("hypercall", "PostMessage", 9) in log.rows()
    assert ("register written", "EOM by the guest, VP 0", 5) in log.rows()


def test_a_page_of_a_trace_has_the_table():
    page = report.html(sample("kvm_synic"))

    assert '<tr><td>hypercall</td><td>PostMessage</td><td class="number">9</td></tr>' in page


def test_a_text_without_such_lines_is_refused(tmp_path):
    with pytest.raises(BadFile):
        kvm_log(put(tmp_path, "nothing here\n"))


def test_the_vectors_are_as_they_came():
    whole = json.loads(gzip.decompress(sample("synic_slots").read_bytes()))

    assert whole["meta"]["n"] == len(whole["cases"]) == 5
