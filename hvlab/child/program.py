"""A child's tiny program, instruction by instruction: most run on the bare processor, some leave the guest.

The encodings are those of the SDM, vol. 2, so that each instruction has its true length; RIP moves as on a processor.

SIMPLER THAN REAL: instructions are not fetched from memory, flags are not changed, and there is no stack.
SIMPLER THAN REAL: an exception ends the program: it has no handlers.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from hvlab.errors import BadRequest
from hvlab.hypervisor.vp import Fault, Vp

REGISTERS: Final = ("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi")
MASK: Final = (1 << 64) - 1
BUDGET: Final = 20_000
DIRECT: Final = ""
HYPERVISOR, PARENT = "hypervisor", "parent"


@dataclass(frozen=True)
class Instruction:
    """One instruction: its text, its bytes, and what it does.

    Attributes
    ----------
    act : str
        ``move add load store loop jump`` run on the processor; else the name of an instruction that leaves the guest.
    """

    text: str
    code: bytes
    act: str
    words: tuple[int, ...] = ()


def _number(name: str) -> int:
    if name not in REGISTERS:
        raise BadRequest(f"register {name}", "", ", ".join(REGISTERS))
    return REGISTERS.index(name)


def move(register: str, value: int) -> Instruction:
    """MOV of a constant: REX.W B8+r, eight bytes."""
    number, value = _number(register), value & MASK
    code = bytes((0x48, 0xB8 + number)) + value.to_bytes(8, "little")
    return Instruction(f"mov {register}, {value:#x}", code, "move", (number, value))


def add(register: str, other: str) -> Instruction:
    """ADD of two registers: REX.W 01 /r."""
    to, source = _number(register), _number(other)
    return Instruction(f"add {register}, {other}", bytes((0x48, 0x01, 0xC0 | source << 3 | to)), "add", (to, source))


def _plain_base(base: str) -> int:
    if base in ("rsp", "rbp"):
        raise BadRequest(f"[{base}]", "", "another base register: these two are encoded in another way")
    return _number(base)


def load(register: str, base: str) -> Instruction:
    """MOV from memory: REX.W 8B /r."""
    to, place = _number(register), _plain_base(base)
    return Instruction(f"mov {register}, [{base}]", bytes((0x48, 0x8B, to << 3 | place)), "load", (to, place))


def store(base: str, register: str) -> Instruction:
    """MOV to memory: REX.W 89 /r."""
    source, place = _number(register), _plain_base(base)
    return Instruction(f"mov [{base}], {register}", bytes((0x48, 0x89, source << 3 | place)), "store", (place, source))


def jump(distance: int) -> Instruction:
    """JMP by so many bytes from its end: EB cb."""
    return Instruction(f"jmp {distance:+d}", b"\xeb" + distance.to_bytes(1, "little", signed=True), "jump", (distance,))


def loop(distance: int) -> Instruction:
    """LOOP: RCX - 1, and a jump while it is not 0: E2 cb."""
    return Instruction(
        f"loop {distance:+d}", b"\xe2" + distance.to_bytes(1, "little", signed=True), "loop", (distance,)
    )


# Instructions that leave the guest, or would: their names are those of the door.
SPECIAL: Final = {
    "cpuid": "0fa2",
    "rdmsr": "0f32",
    "wrmsr": "0f30",
    "in al, dx": "ec",
    "out dx, al": "ee",
    "rep insb": "f36c",
    "rep outsb": "f36e",
    "hlt": "f4",
    "ud2": "0f0b",
}


def special(text: str) -> Instruction:
    """An instruction that the hypervisor may want to see, by its text."""
    if text not in SPECIAL:
        raise BadRequest(f"the instruction {text!r}", "", ", ".join(SPECIAL))
    return Instruction(text, bytes.fromhex(SPECIAL[text]), text)


@dataclass(frozen=True)
class Line:
    """What one execution of an instruction was.

    Attributes
    ----------
    exit : str
        Why it left the guest (``CPUID MSR IO HLT MEMORY EXCEPTION``); empty: it did not.
    handled : str
        ``hypervisor`` or ``parent``; empty: nobody was asked.
    """

    rip: int
    text: str
    exit: str = DIRECT
    handled: str = DIRECT


@dataclass
class Program:
    """Instructions one behind the other from `base` on, and what their execution was like so far.

    Attributes
    ----------
    lines : list of Line
        One for each execution: the instruction strip.
    """

    instructions: Sequence[Instruction]
    base: int = 0x1000
    lines: list[Line] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._at, rip = dict[int, Instruction](), self.base
        for instruction in self.instructions:
            self._at[rip] = instruction
            rip += len(instruction.code)
        self.end = rip

    @property
    def places(self) -> list[tuple[int, str]]:
        """(RIP, text) of each instruction, in order."""
        return [(rip, instruction.text) for rip, instruction in self._at.items()]

    @property
    def exits(self) -> list[tuple[int, str]]:
        """(RIP, reason) of each exit so far, in order."""
        return [(line.rip, line.exit) for line in self.lines if line.exit]

    @property
    def histogram(self) -> dict[str, int]:
        """Exits so far by reason, and how often an instruction stayed (``direct``)."""
        counts = Counter(line.exit or "direct" for line in self.lines)
        return dict(sorted(counts.items()))

    def start(self, vp: Vp) -> None:
        """Put RIP at the first instruction, and begin a new strip."""
        self.lines.clear()
        vp.put(rip=self.base)

    def run(self, vp: Vp, budget: int = BUDGET) -> Fault | None:
        """Run from RIP on until the end, a fault or a halt.

        Returns
        -------
        Fault or None
            None at the end or after HLT; ``intercept`` where the parent has to go on; ``budget`` after so many
            executions in all.
        """
        while (rip := vp.get("rip")) != self.end:
            if len(self.lines) >= budget:
                return Fault("budget")
            if rip not in self._at:
                return Fault("#UD")
            instruction = self._at[rip]
            fault = self._step(vp, rip, instruction)
            if fault is not None:
                return fault
            if instruction.act == "hlt":
                return None
        return None

    def _step(self, vp: Vp, rip: int, instruction: Instruction) -> Fault | None:
        before = vp.exits
        fault = self._special(vp, instruction) if instruction.act in SPECIAL else self._direct(vp, instruction)
        reason = next((name for name, count in vp.exits.items() if count > before[name]), DIRECT)
        asked = fault is not None and fault.kind == "intercept"
        self.lines.append(Line(rip, instruction.text, reason, (PARENT if asked else HYPERVISOR) if reason else DIRECT))
        return fault

    @staticmethod
    def _special(vp: Vp, instruction: Instruction) -> Fault | None:
        vp.direct()
        return vp.execute(instruction.act)

    @staticmethod
    def _direct(vp: Vp, instruction: Instruction) -> Fault | None:
        """Do what the processor does by itself."""
        vp.direct()
        act, words, after = instruction.act, instruction.words, vp.get("rip") + len(instruction.code)
        if act == "move":
            vp.put(**{REGISTERS[words[0]]: words[1]})
        elif act == "add":
            to, source = (REGISTERS[number] for number in words)
            vp.put(**{to: vp.get(to) + vp.get(source)})
        elif act == "load":
            found = vp.read(vp.get(REGISTERS[words[1]]), 8)
            if isinstance(found, Fault):
                return found
            vp.put(**{REGISTERS[words[0]]: int.from_bytes(found, "little")})
        elif act == "store":
            fault = vp.write(vp.get(REGISTERS[words[0]]), vp.get(REGISTERS[words[1]]).to_bytes(8, "little"))
            if fault is not None:
                return fault
        elif act == "jump":
            after += words[0]
        elif act == "loop":
            vp.put(rcx=vp.get("rcx") - 1)
            after += words[0] if vp.get("rcx") else 0
        vp.put(rip=after)
        return None
