"""Real guests' listings, logs and recordings of VMBus, each against facts that were taken from it by somebody else."""

import json
from pathlib import Path

import pytest

from hvlab.capture import busfields, load, sample
from hvlab.capture.handshake import MISSING, REFUSED, RETRIED, handshake
from hvlab.wire.guids import BY_KEY

HERE = Path(__file__).parent / "vmbus"
LISTINGS = {
    "lsvmbus_azure_8vcpu": "lsvmbus_azure_8vcpu_4nic",
    "lsvmbus_2vcpu_lopsided": "lsvmbus_2vcpu_bad_cpu_assignment",
}
LOGS = {
    "dmesg_azure_gen1": "dmesg_azure_gen1_ubuntu_5.15",
    "dmesg_dda_gpu_2016": "dmesg_dda_gpu_hyperv2016",
    "dmesg_host14393_old": "dmesg_debian8_host14393_netvsc",
    "dmesg_wsl2_host22000": "dmesg_wsl2_5.18_host22000",
}


def facts(name):
    return json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))["facts"]


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_has_the_devices_channels_and_processors_that_are_known_of_it(name):
    known, listed = facts(LISTINGS[name]), load(sample(name))

    assert listed.processors == known["vcpus"] and listed.unknown == ()
    assert [
        {
            "id": device.number,
            "k": device.kind.key,
            "dev": device.instance,
            "ch": [[channel.relid, channel.vp] for channel in device.channels],
        }
        for device in listed.devices
    ] == known["devices"]
    assert all(device.class_id == BY_KEY[device.kind.key].guid for device in listed.devices)


def test_each_adapter_with_both_channels_on_one_processor_is_called_lopsided():
    listed = load(sample("lsvmbus_2vcpu_lopsided"))

    assert [(one.device.number, one.counts, one.enough) for one in listed.lopsided()] == [
        (14, {0: 2}, 1),
        (16, {1: 2}, 1),
    ]
    assert repr(listed).count("Lopsided: ") == 2


def test_the_azure_machine_is_not_lopsided_though_one_processor_has_a_third_of_the_channels():
    listed = load(sample("lsvmbus_azure_8vcpu"))

    assert listed.lopsided() == [] and listed.load()[0] == 18
    assert [
        sum(not channel.primary for channel in device.channels) for device in listed.devices if device.kind.key == "net"
    ] == [7] * 4


def plain(word):
    return word.strip() if isinstance(word, str) else word


@pytest.mark.parametrize("name", LOGS)
def test_a_boot_log_says_line_by_line_what_is_known_of_it(name):
    known = facts(LOGS[name])
    known = known["ev"] if isinstance(known, dict) else known
    log = load(sample(name))
    expected = [(time, kind, *map(plain, words)) for time, kind, *words in known]
    expected = [(*row[:2], "enabled") if row[1] == "cold" else row for row in expected]  # the fact leaves that word out

    assert [(event.seconds, event.kind, *event.words) for event in log.events] == expected
    assert log.odd == () and log.left == ()


def test_the_three_devices_that_an_old_kernel_did_not_know_have_names():
    log = load(sample("dmesg_host14393_old"))
    told = [event.says() for event in log.events if event.kind == "unknown"]

    assert [one.rsplit(", ", 1)[1] for one in told] == ["HV_AVMA1_GUID)", "HV_AVMA2_GUID)", "HV_RDV_GUID)"]


def test_the_attributes_of_sysfs_are_those_of_the_one_device_and_channel():
    (device,) = load(sample("vmbus_sysfs")).devices
    (channel,) = device.channels
    lines = sample("vmbus_sysfs").read_text().splitlines()
    attributes = [line for line in lines if " = " in line]

    assert (device.number, device.kind.key, device.instance) == (1, "dm", "24da39c7-2b19-41df-bd5b-cd179ab13ba0")
    assert (channel.relid, channel.vp, channel.primary) == (1, 0, True)
    assert dict(channel.facts)["interrupts"] == "2" and dict(device.facts)["in_read_index"] == "80"
    # all but `id` and the mapping, which are the device's number and its channel's processor
    assert len(device.facts) + len(channel.facts) == len(attributes) - 2


def test_a_guest_without_devices_has_a_bus():
    listed = load(HERE / "connect_sysfs.txt")

    assert listed.devices == () and "no device on it" in repr(listed)


# --- recordings ------------------------------------------------------------------------------------------------------

BALLOON = [14, 14, 14, 14, 14, 15, 14, 15, 3, 1, 4, 8, 10, 5, 6]


def numbers(log):
    return [message.number for message in log.messages]


def test_the_guests_end_tells_each_message_once_with_its_fields():
    log = load(sample("vmbus_ftrace"))
    contact, offer, header, opened = log.messages[0], log.messages[9], log.messages[11], log.messages[13]

    assert numbers(log) == BALLOON
    assert [busfields.version_name(one.says("version")) for one in log.messages if one.number == 14] == [
        "5.3", "5.2", "5.1", "5.0", "4.1", "4.0",
    ]  # fmt: skip
    assert [one.says("connection") for one in log.messages if one.number == 14] == [4, 4, 4, 4, 1, 1]
    assert contact.says("target_sint") == 2
    assert offer.fields["interface_type"] == BY_KEY["dm"].guid
    assert offer.fields["interface_instance"] == "24da39c7-2b19-41df-bd5b-cd179ab13ba0"
    assert (header.says("gpadl_id"), header.says("length"), busfields.pages_of(header.fields)) == (0xE1E10, 0x58, 10)
    assert (opened.says("target_vp"), opened.says("downstream_offset")) == (0, 5)
    assert log.counts() == {"packet written": 2, "host signalled": 2, "packet read": 2, "ring found empty": 2}


def test_the_hosts_end_tells_the_same_messages_but_for_those_that_never_reached_it():
    guest, host = load(sample("vmbus_ftrace")), load(sample("vmbus_host"))

    assert numbers(host) == numbers(guest)[4:]
    for name in ("version", "channel_id", "gpadl_id", "target_vp", "status"):
        for one, other in zip(guest.messages[4:], host.messages, strict=True):
            said = {one.says(name), other.says(name)} - {None}
            assert len(said) <= 1, (name, one, other)


def test_the_handshake_marks_what_was_unanswered_refused_and_retried():
    guest, host = handshake(load(sample("vmbus_ftrace"))), handshake(load(sample("vmbus_host")))

    assert [row.number for row in guest.marked(MISSING)] == [15] * 4
    assert [row.number for row in guest.marked(REFUSED)] == [row.number for row in host.marked(REFUSED)] == [15]
    assert [(row.number, row.message.tries) for row in host.marked(RETRIED)] == [(4, 2)]
    assert guest.version == host.version == 4 << 16 and guest.agreed and host.agreed


def test_a_connection_without_devices_is_told_from_both_ends():
    guest, host = load(HERE / "connect_ftrace.txt"), load(HERE / "connect_host.txt")

    assert numbers(guest) == [14, 14, 14, 14, 14, 15, 14, 15, 3, 4]
    assert numbers(host) == numbers(guest)[4:]
    assert guest.counts()["interrupt taken"] == (HERE / "connect_ftrace.txt").read_text().count(": vmbus_isr <-__")
    assert [message.tries for message in host.messages] == [1, 2, 1, 1, 1, 1]
    assert handshake(guest).agreed and handshake(guest).version is None  # the function tracer shows no versions
    assert [one.text.endswith("vmbus_isr <-") for one in guest.unknown] == [True]  # the recording was cut there


def test_the_log_of_that_guest_says_which_version_its_recording_could_not_show():
    assert load(HERE / "connect_dmesg.txt").vmbus == "4.0"
    assert handshake(load(HERE / "connect_host.txt")).version == 4 << 16
