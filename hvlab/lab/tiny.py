"""Lesson 02: tiny programs, their stories, and what they cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hvlab.child.program import Instruction, Program, add, load, move, special, store
from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Fault
from hvlab.language import _
from hvlab.machine import Child, Machine
from hvlab.root.vdev.ide import COMMAND, IDENTIFY, Ide
from hvlab.root.vdev.ide import DATA as DISK_DATA
from hvlab.root.vdev.uart import COM1, Uart
from hvlab.story.storyboard import Storyboard
from hvlab.story.strip import MOST, strip_story
from hvlab.trace.journal import Trace
from hvlab.trace.words import grouped, say
from hvlab.wire.intercepts import MESSAGES, InterceptHeader
from hvlab.wire.struct import Struct
from hvlab.wire.tlfs import MemoryIntercept, MessageHeader, MessageType

PLACE: Final = 0x3000
LEAF: Final = 0x4000_0001


@dataclass(frozen=True)
class Ran:
    """A program that has run: where it left the guest, and what was recorded."""

    trace: Trace
    program: Program
    time: int  # nanoseconds, in all

    @property
    def exits(self) -> int:
        """How often the guest was left."""
        return len(self.program.exits)

    def story(self, title: str = "") -> Storyboard:
        """Tell it instruction by instruction."""
        return strip_story(self.trace, self.program.places[:MOST], len(self.program.lines), title)

    def __repr__(self) -> str:
        lines = [f"{line.rip:#06x}  {line.text:<22}  {line.exit or '·':<6}  {line.handled}" for line in
                 self.program.lines]  # fmt: skip
        shown = lines if len(lines) <= 24 else [*lines[:12], _("… {count} more …").format(count=len(lines) - 24)]
        shown += lines[-12:] if len(lines) > 24 else []
        total = _("{count} instructions, {exits} exits, {time}").format(
            count=len(lines), exits=self.exits, time=say("time", self.time)
        )
        return "\n".join([*(line.rstrip() for line in shown), total])


def adding() -> list[Instruction]:
    """Two numbers, their sum, stored and loaded; then CPUID."""
    return [move("rax", 2), move("rbx", 3), add("rbx", "rax"), move("rsi", PLACE), store("rsi", "rbx"),
            load("rcx", "rsi"), move("rax", LEAF), special("cpuid")]  # fmt: skip


def hello(text: bytes = b"Hi") -> list[Instruction]:
    """Write a text to the serial port."""
    out = [part for byte in text for part in (move("rax", byte), special("out dx, al"))]
    return [move("rdx", COM1), *out]


def identify(count: int = 512) -> list[Instruction]:
    """Ask the disk who it is, and read so many bytes of its answer by one repeated instruction."""
    return [move("rdx", COMMAND), move("rax", IDENTIFY), special("out dx, al"), *reading(count)]


def reading(count: int = 512) -> list[Instruction]:
    """Read so many bytes from the disk's data port by one repeated instruction."""
    return [move("rdx", DISK_DATA), move("rdi", PLACE), move("rcx", count), special("rep insb")]


def child_with_devices(whole: bool = True) -> Child:
    """Make a machine whose child has a serial port and a disk, by its worker process."""
    child = Machine().child("web")
    child.worker.add_device(Uart())
    child.worker.add_device(Ide())
    child.worker.whole_strings = whole
    return child


def run_tiny(code: Sequence[Instruction], child: Child | None = None) -> Ran:
    """Run a program in a child (a new one with a serial port and a disk, if none is given).

    Raises
    ------
    BadRequest
        If it could not go on.
    """
    child = child or child_with_devices()
    program, now = Program(list(code)), child.machine.state["now"]
    begun = int(now[0])
    fault = child.run(program)
    if fault is not None:
        raise BadRequest(_("a program that goes on to its end"), fault.kind)
    return Ran(child.machine.trace, program, int(now[0]) - begun)


@dataclass(frozen=True)
class Told:
    """A message about an intercept, as it lies in memory: its parts, field by field."""

    data: bytes

    def __repr__(self) -> str:
        header = MessageHeader.decode(self.data)
        of_memory = header.type in (MessageType.UNMAPPED_GPA, MessageType.GPA_INTERCEPT)
        kind = MemoryIntercept if of_memory else next((one for one in MESSAGES if one.number == header.type), None)
        lines = [_("{size} bytes of payload").format(size=header.payload_size)]
        lines += _fields(MessageHeader, self.data, 0)
        if kind is not None:
            lines += _fields(InterceptHeader, self.data, MessageHeader.size)
            lines += _fields(kind, self.data, MessageHeader.size, InterceptHeader.size)
        return "\n".join(lines)


def _fields(kind: type[Struct], data: bytes, at: int, begin: int = 0) -> list[str]:
    """The fields of a structure that are not zero: offset, bytes, name, number."""
    found = []
    for field in kind.fields:
        part = data[at + field.offset : at + field.offset + field.bytes]
        if field.offset >= begin and any(part):
            number = "" if field.raw else grouped(int.from_bytes(part, "little"), 1)
            found.append(f"  {at + field.offset:3}  {part.hex(' '):<24} {field.name:<22} {number}".rstrip())
    return found


def message_of(child: Child) -> Told:
    """Return the message about a child that waits for its parent.

    Raises
    ------
    BadRequest
        If it does not wait.
    """
    if not child.vp.suspended:
        raise BadRequest(_("the message about a child"), _("a child that runs"))
    page = child.partition.message_gpns[child.vp.index]
    data = child.machine.root_vp.read(page * 4096, 256)
    if isinstance(data, Fault):
        raise BadRequest(_("the message about a child"), data.kind)
    return Told(data)
