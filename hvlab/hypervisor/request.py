"""One hypercall under way: who asks, about whom, and with which input."""

from dataclasses import dataclass, field
from typing import Any

from hvlab.wire.hypercalls import Call


@dataclass
class Request:
    """What a call's function gets.

    Attributes
    ----------
    vp, slot : int
        The calling virtual processor, and its partition's slot.
    target : int
        Slot of the partition that the call is about.
    input : the decoded header of the input block, or None.
    variable : bytes
        The variable header, for calls that have one.
    spa : int
        Where the input block lies in memory; -1 if it came in registers.
    owes : set of int
        Slots whose second level lost something: they are owed a flush before the call returns to the guest.
    """

    call: Call
    vp: int
    slot: int
    target: int
    input: Any
    variable: bytes = b""
    spa: int = -1
    owes: set[int] = field(default_factory=set)
