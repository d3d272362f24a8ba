"""Runs on a VMBus that several tests tell, made once."""

from functools import cache

from hvlab.lab.bus import Bus, Run, bus


@cache
def handshake() -> tuple[Bus, Run]:
    """From the first contact, whose version is refused, to an open channel."""
    one = bus()
    return one, one.connect(refuse=("5.3",)) + one.offers() + one.open(pages=(2, 3))


@cache
def whole_life() -> Run:
    """A channel's whole life, with a page list that is refused, packets both ways, and the end of the connection."""
    one = bus()
    run = one.connect(refuse=("5.3",)) + one.offers() + one.open(pages=(2, 2)) + one.share(length=200_000)
    run = run + one.mask(True) + one.send(b"hello " * 20, times=5) + one.drain() + one.mask(False)
    run = run + one.send(b"z" * 900, times=6) + one.reply(b"done")
    return run + one.close() + one.rescind() + one.unload()


@cache
def lies() -> Run:
    """A sound packet, then a write index that is none: the host refuses to read."""
    one = bus()
    run = one.connect() + one.offers() + one.open(pages=(2, 2)) + one.send(b"sound")
    with one.machine.action():
        one.web.vp.write_gpa(one.end().writer.window.gpas[0], (0xFFFC).to_bytes(4, "little"))
        one.host.drain(1)
    return run + Run(one.machine.trace, one.before)
