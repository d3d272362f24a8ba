"""The wires of a SynIC's story: connections, the ports that they lead to, the sources that these raise."""

from collections.abc import Sequence
from typing import Final

from hvlab.language import _
from hvlab.story.frame import Fact
from hvlab.story.hostmap import Drawn
from hvlab.story.picture import Element, Picture, box, group, wire, words
from hvlab.story.synic_panel import LEFT, WIDTH
from hvlab.story.synic_state import Office
from hvlab.wire.synic import ANY_VP, PortType

MOST_WIRES: Final = 8


def wire_values(office: Office, ports: Sequence[int]) -> dict[str, int]:
    """Return the facts of the wires at one moment."""
    facts = dict[str, int]()
    for port in ports:
        one = office.wire(port)
        waits = sum(source.queue.count(port) for synic in office.synics.values() for source in synic.sources.values())
        facts |= {f"p{port}_posts": one.posts, f"p{port}_waits": waits, f"p{port}_lit": int(port in office.lit)}
        facts |= {f"p{port}_made": one.there or int(one.posts > 0), f"p{port}_wired": int(one.connection >= 0)}
    return facts


def wires(office: Office, ports: Sequence[int], values: list[dict[str, int]]) -> Drawn:
    """Return the picture of connections and ports: who sends where, and how many buffers of each port are in use.

    Parameters
    ----------
    office
        What is known at the end of the story: who owns which port.
    """
    layer: list[Element] = [
        words("", LEFT, 18, _("sender's connection"), "label title", 200),
        words("", 300, 18, _("receiver's port"), "label title", 240),
        words("", 620, 18, _("source that it raises"), "label title", 210),
    ]
    bind, facts = list[Element](), list[Fact]()
    for k, port in enumerate(ports):
        part = _wire(office, port, 34 + 62 * k)
        layer += part[0]
        bind += part[1]
        facts += [Fact(f"p{port}_{name}") for name in ("posts", "waits", "lit", "made", "wired")]
    alt = " ".join(_wire_alt(office, port) for port in ports)
    height = 40 + 62 * len(ports)
    return Drawn(Picture(_("Wiring"), _("Connections and ports"), WIDTH, height, layer, bind, alt), facts, values)


def _names(office: Office, port: int) -> dict[str, str]:
    """What is said of a wire: partitions, numbers, kind."""
    one = office.wire(port)
    unknown = _("made earlier")
    target = _("any VP") if one.vp_index == ANY_VP else _("VP index {index}").format(index=one.vp_index)
    return {
        "sender": _("partition {id}").format(id=one.sender) if one.sender else unknown,
        "owner": _("partition {id}").format(id=one.owner) if one.owner else unknown,
        "connection": f"{one.connection:#x}" if one.connection >= 0 else "–",
        "port": f"{port:#x}",
        "kind": _("signals") if one.kind == PortType.EVENT else _("messages"),
        "sint": str(one.sint) if one.sint >= 0 else "–",
        "target": target if one.vp_index >= 0 else unknown,
    }


def _wire(office: Office, port: int, y: float) -> tuple[list[Element], list[Element]]:
    """One way from a connection to a source."""
    names, id = _names(office, port), f"w{port}"
    event = office.wire(port).kind == PortType.EVENT
    sender = _("{sender}, connection {connection}").format(**names)
    owner = _("{owner}, port {port}: {kind}").format(**names)
    source = _("SINT {sint}, {target}").format(**names)
    used = _("passed {posts}") if event else _("passed {posts}; {waits} of 16 buffers wait")
    used = used.replace("{posts}", f"{{p{port}_posts}}").replace("{waits}", f"{{p{port}_waits}}")
    content = [
        box(f"{id}a", LEFT, y, 210, 44, "box"),
        words("", LEFT + 10, y + 26, sender, "small", 192),
        box(f"{id}b", 300, y, 250, 44, "box"),
        words("", 310, y + 18, owner, "small", 232),
        words(f"{id}u", 310, y + 36, "", "small soft", 232),
        box(f"{id}c", 620, y, 210, 44, "box"),
        words("", 630, y + 26, source, "small", 192),
    ]
    ways = [wire(f"{id}x", f"M214 {y + 22}H296m-8 -5l8 5l-8 5"), wire(f"{id}y", f"M550 {y + 22}H616m-8 -5l8 5l-8 5")]
    tone = "signal" if event else "data"
    layer = [group(id, [*content, *ways], tone)]
    bind: list[Element] = [
        ["say", f"{id}u", used],
        ["lit", id, f"p{port}_lit"],
        ["show", f"{id}b", f"p{port}_made"],
        ["show", f"{id}x", f"p{port}_wired"],
    ]
    return layer, bind


def _wire_alt(office: Office, port: int) -> str:
    told = _("Connection {connection} of {sender} leads to port {port} of {owner}, SINT {sint}; passed {posts}.")
    posts = f"{{p{port}_posts}}"
    return told.format(**_names(office, port), posts=posts)
