"""A recording of VMBus, whoever made it: the channel messages that travelled, and what happened beside them.

A recorder sees one message several times: when it arrives, when it leaves a queue, when its handler runs. Here it
is one message, with all that these lines say of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from hvlab.capture.busfields import Value, by_guest
from hvlab.capture.source import Unknown
from hvlab.errors import BadFile

MOST_MESSAGES: Final = 10_000
SEEN, TAKEN, HANDLED = 1, 2, 3  # how far a message's lines have come


@dataclass
class Travelled:
    """One channel message while it is put together."""

    line: int
    seconds: float
    number: int
    where: str
    fields: dict[str, Value] = field(default_factory=dict)
    tries: int = 1
    stage: int = SEEN


@dataclass(frozen=True)
class BusMessage:
    """One channel message.

    Attributes
    ----------
    line, seconds : int, float
        Where it stands first, and the recorder's clock.
    number : int
        Its type.
    where : str
        Task and processor, as the recorder names them.
    fields : mapping
        What the recording says of it; ``ret`` is what the sender's post returned, 0 for success.
    tries : int
        How often it was posted until the receiver's slot was free.
    """

    line: int
    seconds: float
    number: int
    where: str
    fields: Mapping[str, Value] = field(default_factory=dict)
    tries: int = 1

    @property
    def by_guest(self) -> bool:
        """Return whether the guest sends such messages."""
        return by_guest(self.number)

    def says(self, name: str) -> int | None:
        """Return a field that is a number, None where the recording does not say."""
        value = self.fields.get(name)
        return value if isinstance(value, int) else None


@dataclass(frozen=True)
class Beside:
    """Something else on the bus: a packet, a signal, an interrupt, a note of a device."""

    line: int
    seconds: float
    kind: str
    words: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class BusLog:
    """The recording of one connection.

    Attributes
    ----------
    end : str
        Whose end recorded it: ``guest`` or ``host``.
    messages, beside : tuples
        What travelled, in order.
    notes : tuple of Unknown
        Lines that belong to the recorder, not to the bus.
    unknown : tuple of Unknown
        Lines that mean nothing here.
    """

    end: str
    messages: tuple[BusMessage, ...]
    beside: tuple[Beside, ...] = ()
    notes: tuple[Unknown, ...] = field(default=(), repr=False)
    unknown: tuple[Unknown, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.messages)

    def counts(self) -> dict[str, int]:
        """Return how often each other thing happened."""
        return dict(Counter(one.kind for one in self.beside))

    def __repr__(self) -> str:
        from hvlab.capture.handshake import told

        return "\n".join(told(self))


class Collector:
    """Puts lines together to messages, in order of their first lines."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.messages: list[Travelled] = []
        self.waiting: dict[tuple[int, int], deque[Travelled]] = defaultdict(deque)  # by type and stage

    def add(self, one: Travelled) -> Travelled:
        """Take a message that no line before spoke of."""
        if len(self.messages) >= MOST_MESSAGES:
            raise BadFile(self.file, f"line {one.line:,}", "one message more", f"at most {MOST_MESSAGES:,} messages")
        self.messages.append(one)
        self._waits(one)
        return one

    def came(self, one: Travelled) -> Travelled:
        """Take a line about a message that an earlier line may have begun: the first one that has not come so far."""
        queues = [queue for stage in range(SEEN, one.stage) if (queue := self.waiting[one.number, stage])]
        if not queues:
            return self.add(one)
        earlier = min(queues, key=lambda queue: queue[0].line).popleft()
        earlier.stage = one.stage
        earlier.fields |= one.fields
        self._waits(earlier)
        return earlier

    def _waits(self, one: Travelled) -> None:
        if one.stage < HANDLED:
            self.waiting[one.number, one.stage].append(one)

    def done(self) -> tuple[BusMessage, ...]:
        """Return the messages."""
        return tuple(
            BusMessage(one.line, one.seconds, one.number, one.where, dict(one.fields), one.tries)
            for one in self.messages
        )
