"""Register files of the virtual devices, as their data sheets have them."""

import copy

import pytest

from hvlab.root.vdev import Bus
from hvlab.root.vdev.ide import Ide, Identity
from hvlab.root.vdev.uart import Uart

BASE = 0x3F8


@pytest.fixture
def uart():
    return Uart()


@pytest.fixture
def disk():
    return Ide()


def drive(device, *steps):
    """Do (port, value) writes and port reads; return what the reads gave."""
    found = []
    for step in steps:
        if isinstance(step, tuple):
            device.write(step[0], 1, step[1])
        else:
            found.append(device.read(step, 1))
    return found


def test_an_idle_line_is_empty(uart):
    assert drive(uart, BASE + 5, BASE + 2, BASE) == [0x60, 0x01, 0]


def test_the_divisor_hides_behind_its_bit(uart):
    steps = [(BASE + 3, 0x83), (BASE, 0x0C), (BASE + 1, 0x01), (BASE + 3, 0x03), (BASE, ord("A"))]

    assert drive(uart, *steps, BASE + 3, BASE + 1) == [0x03, 0]
    assert uart.divisor == 0x10C and uart.sent == b"A"


def test_bytes_come_in_order_and_data_ready_goes_with_the_last(uart):
    drive(uart, (BASE + 2, 0x01))
    uart.receive(b"ab")

    assert drive(uart, BASE + 5, BASE, BASE + 5, BASE, BASE + 5) == [0x61, ord("a"), 0x61, ord("b"), 0x60]


def test_without_a_queue_the_newer_byte_wins_and_the_overrun_is_told_once(uart):
    uart.receive(b"ab")

    assert drive(uart, BASE + 5, BASE + 5, BASE) == [0x63, 0x61, ord("b")]


def test_a_queue_of_sixteen_keeps_the_older_bytes(uart):
    drive(uart, (BASE + 2, 0x01))
    uart.receive(bytes(range(20)))

    assert len(uart.waiting) == 16 and drive(uart, BASE + 5, BASE) == [0x63, 0]
    assert drive(uart, (BASE + 2, 0x03), BASE + 5) == [0x60]


def test_what_is_pending_is_identified_by_priority(uart):
    drive(uart, (BASE + 1, 0x03), (BASE, 1))
    uart.receive(b"x")

    assert drive(uart, BASE + 2, BASE, BASE + 2, BASE + 2) == [0x04, ord("x"), 0x02, 0x01]


def test_loop_back_hears_itself(uart):
    assert drive(uart, (BASE + 4, 0x1B), (BASE, 0x55), BASE, BASE + 6) == [0x55, 0xB0]
    assert uart.sent == b""
    assert drive(uart, (BASE + 4, 0x11), BASE + 6) == [0x20]


def test_the_scratch_register_and_wide_reads(uart):
    assert drive(uart, (BASE + 7, 0xA5), BASE + 7) == [0xA5]
    assert uart.read(BASE + 7, 2) == 0xFFA5


def test_a_disk_shows_its_signature(disk):
    assert drive(disk, *range(0x1F1, 0x1F8), 0x3F6) == [1, 1, 1, 0, 0, 0xA0, 0x50, 0x50]


def test_identify_gives_256_words_and_then_no_more(disk):
    disk.write(0x1F7, 1, 0xEC)
    assert disk.read(0x1F7, 1) == 0x58
    words = [disk.read(0x1F0, 2) for _ in range(256)]

    assert b"".join(word.to_bytes(2, "little") for word in words) == Identity().encode()
    assert disk.read(0x1F7, 1) == 0x50 and disk.read(0x1F0, 2) == 0xFFFF


def test_the_identity_says_who_and_how_large():
    data = Identity(model="A disk", sectors=0x2_0000).encode()
    text = b"".join(data[k + 1 : k + 2] + data[k : k + 1] for k in range(54, 94, 2))

    assert text.rstrip() == b"A disk"
    assert int.from_bytes(data[120:124], "little") == 0x2_0000
    assert len(data) == 512


def test_bytes_and_words_come_from_the_same_stream(disk):
    disk.write(0x1F7, 1, 0xEC)

    first = [disk.read(0x1F0, size) for size in (1, 1, 4)]
    assert b"".join(v.to_bytes(s, "little") for v, s in zip(first, (1, 1, 4), strict=True)) == Identity().encode()[:6]


def test_an_unknown_command_is_aborted(disk):
    assert drive(disk, (0x1F7, 0x20), 0x1F7, 0x1F1) == [0x51, 0x04]
    assert drive(disk, (0x1F7, 0x91), 0x1F7, 0x1F1) == [0x50, 0]


def test_the_second_disk_is_not_there(disk):
    assert drive(disk, (0x1F6, 0x10), (0x1F7, 0xEC), 0x1F7, (0x1F6, 0), 0x1F7) == [0, 0x50]


def test_a_reset_is_busy_and_then_shows_the_signature(disk):
    drive(disk, (0x1F2, 9), (0x1F7, 0xEC))

    assert drive(disk, (0x3F6, 4), 0x1F7, (0x1F2, 7), (0x3F6, 0), 0x1F7, 0x1F2, 0x1F1) == [0x80, 0x50, 1, 1]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_a_port_without_a_device_reads_all_ones(size):
    bus = Bus([Uart()])

    assert bus.read(0x80, size) == (0, (1 << 8 * size) - 1)
    assert bus.write(0x80, size, 1) == 0
    assert bus.read(BASE + 5, 1) == (1, 0x60)


@pytest.mark.parametrize("kind", [Uart, Ide])
def test_a_copy_goes_its_own_way(kind):
    device = kind()
    other = copy.deepcopy(device)
    for port in device.ports:
        device.write(port, 1, 0x5A)

    assert other == kind() != device


@pytest.mark.parametrize("kind", [Uart, Ide])
def test_any_write_leaves_registers_that_are_bytes(kind):
    device = kind()
    for value in range(0, 512, 3):
        for port in device.ports:
            device.write(port, 1, value)
            assert all(0 <= device.read(p, 1) < 256 for p in device.ports)
