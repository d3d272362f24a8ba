"""A bus that is saved, and the same bus twice: nothing of it is outside of what is kept."""

import random

import numpy as np
import pytest

from hvlab.vmbus.invariants import check_bus
from hvlab.wire import vmbus
from vmbus.test_channel_hostile import guest_says, line
from vmbus.world import World


def continued(world, seed):
    """Let drivers and a hostile guest go on in an order of the seed; return what was recorded."""
    luck, found = random.Random(seed), []
    for _ in range(25):
        with world.machine.action():
            (guest_says if luck.random() < 0.4 else line)(world, luck)
            world.rest()
        found.append(world.machine.trace.digest())
    return found, world.machine.hash()


@pytest.mark.parametrize("seed", range(4))
def test_a_restored_bus_goes_on_as_if_nothing_had_been(seed):
    world = World(version="6.0", features=0x2F, vps=2).begun("scsi")
    world.share(3, "net")
    world.send(b"before")
    saved, hashed = world.machine.snapshot(), world.machine.hash()
    first = continued(world, seed)
    world.machine.restore(saved)

    assert world.machine.hash() == hashed
    assert check_bus(world.machine) == []
    assert continued(world, seed) == first


def test_a_snapshot_is_not_changed_by_what_comes_after_it():
    world = World().begun("scsi")
    saved = world.machine.snapshot()
    world.send(b"after")
    world.close("scsi")
    world.unload()
    world.machine.restore(saved)

    world.send(b"again")
    assert [packet.data[:5] for packet in world.host.ends[1].inbox] == [b"again"]
    world.close("scsi")
    assert world.unload().value


def test_messages_that_wait_are_part_of_what_is_saved():
    world = World().begun()
    with world.machine.action():
        for _ in range(20):
            world.host.say(vmbus.AllOffers)
    assert len(world.host.state.outbox) == 3
    saved = world.machine.snapshot()
    with world.machine.action():
        world.rest()
    assert len(world.host.state.outbox) == 0
    world.machine.restore(saved)
    assert len(world.host.state.outbox) == 3
    with world.machine.action():
        world.rest()
    assert world.open("scsi").value


def test_the_same_lines_give_the_same_trace_and_the_same_memory():
    runs = []
    for other in (1, 2):
        world = World(other=other, vps=2)
        for run in (
            world.connect(),
            world.offers(),
            world.open("net", vp=1),
            world.send(b"same", times=3),
            world.close(),
        ):
            runs.append(run.trace.digest())
        runs.append(world.machine.hash())
    assert runs[: len(runs) // 2] == runs[len(runs) // 2 :]


def test_silence_changes_nothing_but_the_trace():
    loud, quiet = World(other=3), World(other=4, recording=False)
    for world in (loud, quiet):
        world.begun("scsi", "net")
        world.send(b"one")
        world.close("net")
    assert repr(loud.host.state) == repr(quiet.host.state) and repr(loud.guest.state) == repr(quiet.guest.state)
    assert int(loud.machine.state["now"][0]) == int(quiet.machine.state["now"][0])
    assert np.array_equal(loud.machine.mem, quiet.machine.mem)
