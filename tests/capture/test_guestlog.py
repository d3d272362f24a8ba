"""Boot logs of Hyper-V guests: what real ones say, and what is refused."""

import pytest

from hvlab.capture.callog import call_log
from hvlab.capture.guestlog import guest_log, told_in_full
from hvlab.capture.samples import sample, texts
from hvlab.errors import BadFile

WSL, OTHER = guest_log(sample("dmesg_wsl2_host22000")), guest_log(sample("dmesg_kvm_host14393"))
LINE = "Hyper-V: privilege flags low 0xae7f, high 0x3b8030, hints 0xc2c, misc 0xe0bed7b6"


def test_the_two_real_guests_say_what_is_known_of_them():
    assert (WSL.low, WSL.high, WSL.hints, WSL.build) == (0xAE7F, 0x3B8030, 0xC2C, "10.0.22000.708-0-0")
    assert (OTHER.low, OTHER.high, OTHER.hints) == (0xAFF, 0x30, 0xC2C)
    assert WSL.hint_bits() == OTHER.hint_bits() == [2, 3, 5, 10, 11]


def test_neither_guest_may_create_partitions_and_only_one_may_reset():
    assert not WSL.holds("create_partitions") and not OTHER.holds("create_partitions")
    assert OTHER.holds("access_reset_msr") and not WSL.holds("access_reset_msr")
    assert WSL.holds("post_messages") and OTHER.holds("signal_events")


def test_hints_explain_lines_of_the_same_log():
    told = {line.split(" (")[0]: (bit, there) for line, bit, there in WSL.explained()}

    assert told == {
        "Using hypercall for remote TLB flush": (2, True),
        "Using IPI hypercalls": (10, True),
        "Using enlightened APIC": (3, True),
    }


@pytest.mark.parametrize("name", [name for name in texts() if name.startswith("dmesg")])
def test_every_shipped_log_is_read_and_told(name):
    log = guest_log(sample(name))

    assert log.lines and repr(log).endswith("others left aside")
    assert all("/" not in line or "Direct" in line or "CD" in line or "MB" in line for line in log.lines)


def test_logs_without_privileges_say_so():
    log = guest_log(sample("dmesg_host14393_old"))

    assert log.privileges is None and log.build == "14393-10.0-0-0.576" and log.vmbus == "4.0"
    assert "does not print them" in repr(log)


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        f"[    0.000000] {LINE}",
        f"[    0.000000][    T0] {LINE}",
        f"Jun  1 12:00:00 some-host kernel: [    0.000000] {LINE}",
        LINE.replace("high 0x3b8030,", "high 0x3b8030, ext 0x0,"),
        LINE.replace("privilege flags low", "features").replace("high", "privhigh:"),
    ],
)
def test_a_pasted_line_is_read_with_any_prefix_and_of_any_kernel(line):
    log = guest_log(f"{line}\nsomething else\n")

    assert log.privileges == 0x3B8030_0000AE7F and log.others == 1
    assert "some-host" not in repr(log) + "".join(log.lines)


def test_windows_line_ends_and_blank_lines_do_no_harm():
    assert guest_log(f"\r\n[    0.1] {LINE}\r\n\r\n").hints == 0xC2C


@pytest.mark.parametrize(
    "text, where",
    [
        ("just some text\nand more", "no line about Hyper-V"),
        (LINE.replace("0xae7f", "0x1ae7f0000ae7f") + "\n", "32 bits"),
        (f"{LINE}\n{LINE.replace('0xc2c', '0xc2d')}\n", "another hints"),
        ("x" * 5000 + "\n", "4,096 bytes"),
        ("\n" * 100_001, "100,000 lines"),
        ("Hyper-V: \udc80\n", "UTF-8"),
    ],
)
def test_what_is_no_log_of_one_guest_is_refused_with_its_place(text, where):
    with pytest.raises(BadFile, match=where):
        guest_log(text)


def test_controls_and_direction_marks_of_a_hostile_log_are_not_shown():
    log = guest_log("Hypervisor detected: Micro\u202esoft\x1b[31m\n<script>Hyper-V</script>\n")

    assert "\u202e" not in repr(log) and "\x1b" not in repr(log) and "\x1b" not in "".join(log.lines)


def test_a_file_that_is_not_there_is_a_bad_file(tmp_path):
    with pytest.raises(BadFile):
        guest_log(tmp_path / "none.txt")


# recorded hypercalls -------------------------------------------------------------------------------------------------


def test_the_recorded_calls_are_put_together_again():
    log = call_log(sample("kvm_hypercalls"))
    seen = [(call.name, call.rcx, call.rax) for call in log.calls]

    assert ("SignalEvent", 0x1005D, 0) in seen
    assert ("FlushVirtualAddressList", 0x1_0000_0003, 0x1_0000_0000) in seen
    assert sum(name == "PostMessage" and rax == 0x12 for name, _rcx, rax in seen) == 4
    assert any((call.rcx, call.rdx, call.r8) == (0x1000B, 0xFB, 1) for call in log.calls)
    assert "INVALID_CONNECTION_ID" in repr(log)


def test_a_trace_without_calls_or_with_fields_that_do_not_fit_is_refused(tmp_path):
    path = tmp_path / "trace.txt"
    path.write_text("nothing\n")
    with pytest.raises(BadFile, match="no line of"):
        call_log(path)

    path.write_text(" q-1 [0] 1.0: kvm_hv_hypercall: code 0x3 slow var_cnt 0x0 rep_cnt 0x1000 idx 0x0 in 0x0 out 0x0\n")
    with pytest.raises(BadFile, match="line 1"):
        call_log(path)


def test_a_call_whose_answer_was_cut_off_keeps_its_place(tmp_path):
    path = tmp_path / "trace.txt"
    line = " q-1 [0] 1.0: kvm_hv_hypercall: code 0x5d fast var_cnt 0x0 rep_cnt 0x0 idx 0x0 in 0x1 out 0x2"
    path.write_text(f"{line}\nx\n")

    log = call_log(path)

    assert (log.calls[0].rax, log.others, len(log)) == (None, 1, 1) and "?" in repr(log)


# line by line ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prefix",
    [
        "[    0.865112] ",
        "[    0.865112][    T1] ",
        "[    0.865112] [    T1] ",
        "<6>[    0.865112] ",
        "kern  :info  : [    0.865112] ",
        "Jun  1 12:00:00 some-host kernel: [    0.865112] ",
        "2022-06-01T12:00:00.000000+00:00 some-host kernel: [    0.865112] ",
        "[Wed Jun  1 12:00:00 2022] ",
        "",
    ],
)
def test_a_line_says_the_same_behind_any_prefix_and_keeps_the_kernels_clock(prefix):
    log = guest_log(f"{prefix}hv_vmbus: Vmbus version:5.3\n{prefix}hv_vmbus: registering driver hv_netvsc\nx\n")

    assert [(event.kind, event.words) for event in log.events] == [("vmbus_ver", ("5.3",)), ("reg", ("hv_netvsc",))]
    assert {event.seconds for event in log.events} == {0.865112 if "0.865112" in prefix else -1.0}
    assert log.vmbus == "5.3" and "some-host" not in "\n".join(told_in_full(log))


def test_lines_that_mean_nothing_are_shown_those_about_hyper_v_apart():
    log = guest_log("Hyper-V: something new\nhv_vmbus: Vmbus version:9.9\nusb 1-1: new device\n")
    text = "\n".join(told_in_full(log))

    assert [one.text for one in log.odd] == ["Hyper-V: something new"]
    assert [one.text for one in log.left] == ["usb 1-1: new device"] and log.others == 1
    assert "line 1: Hyper-V: something new" in text and "line 3: usb 1-1: new device" in text
    assert "VMBus 9.9: no such version is known here." in text


def test_a_version_is_told_with_what_it_has_and_what_it_lacks():
    text = "\n".join(told_in_full(guest_log("hv_vmbus: Vmbus version:4.1\n")))

    assert "the first host that speaks it is Windows 10 version 1709" in text
    assert "has, since 4.1: MODIFYCHANNEL" in text and "lacks, as of 5.3: an answer to MODIFYCHANNEL" in text
    assert "lacks, as of 4.1" not in text and "has, since 5.0" not in text
