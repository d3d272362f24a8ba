"""What a guest finds out by CPUID about the hypervisor below it, as a table; and six calls that a child may try."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hvlab.hypervisor.vp import Vp
from hvlab.trace.journal import Trace
from hvlab.wire import cpuid
from hvlab.wire.hypercalls import CALLS, CODES
from hvlab.wire.tlfs import SELF, THIS_VP, HypercallControl, Register

LEAVES: Final = (
    cpuid.PRESENT_LEAF, cpuid.VENDOR, cpuid.INTERFACE, cpuid.VERSION, cpuid.FEATURES, cpuid.RECOMMENDATIONS,
    cpuid.LIMITS, cpuid.HARDWARE,
)  # fmt: skip
MEANS: Final = {
    cpuid.PRESENT_LEAF: "ECX bit 31: a hypervisor is present",
    cpuid.VENDOR: "EAX last leaf; EBX, ECX, EDX vendor",
    cpuid.INTERFACE: "EAX interface: decide on this one",
    cpuid.VERSION: "EAX build, EBX version",
    cpuid.FEATURES: "EAX, EBX privilege mask; EDX features",
    cpuid.RECOMMENDATIONS: "EAX hints",
    cpuid.LIMITS: "EAX most virtual processors, EBX most logical ones",
    cpuid.HARDWARE: "EAX hardware in use: 3 SLAT, 4 DMA, 5 interrupt remapping",
}
INPUT_PAGE, OUTPUT_PAGE = 0x5, 0x6
PAGE: Final = 4096
SIX: Final = (
    "FlushVirtualAddressSpace", "GetVpRegisters", "CreatePartition", "GetPartitionId", "MapGpaPages",
    "InitializePartition",
)  # fmt: skip


@dataclass(frozen=True, repr=False)
class Leaves:
    """CPUID leaves as a guest reads them: leaf -> (EAX, EBX, ECX, EDX)."""

    rows: tuple[tuple[int, tuple[int, int, int, int]], ...]

    def __getitem__(self, leaf: int) -> tuple[int, int, int, int]:
        return dict(self.rows)[leaf]

    @staticmethod
    def table(rows: Sequence[tuple[int, tuple[int, int, int, int]]]) -> str:
        """Return leaves as numbers, a line each."""
        lines = ["leaf        EAX         EBX         ECX         EDX"]
        return "\n".join(
            [*lines, *(f"{leaf:#010x}  " + "  ".join(f"{w:#010x}" for w in words) for leaf, words in rows)]
        )

    def __repr__(self) -> str:
        head, *lines = self.table(self.rows).splitlines()
        told = [f"{line}  {text(*row)}".rstrip() for line, row in zip(lines, self.rows, strict=True)]
        means = (f"{leaf:#010x}  {MEANS[leaf]}" for leaf, _words in self.rows)
        return "\n".join([f"{head}         as text", *told, "", *means])

    @property
    def privileges(self) -> int:
        """The privilege mask: EBX over EAX of leaf 0x40000003."""
        eax, ebx, _ecx, _edx = self[cpuid.FEATURES]
        return ebx << 32 | eax


def text(leaf: int, words: tuple[int, int, int, int]) -> str:
    """Return the letters of a leaf that holds some."""
    chosen = words[1:] if leaf == cpuid.VENDOR else words[:1] if leaf == cpuid.INTERFACE else ()
    data = b"".join(word.to_bytes(4, "little") for word in chosen)
    return "".join(chr(byte) if 32 <= byte < 127 else "." for byte in data)


def cpuid_leaves(vp: Vp) -> Leaves:
    """Let a virtual processor read the leaves."""
    return Leaves(tuple((leaf, vp.cpuid(leaf)) for leaf in LEAVES))


def try_calls(kernel: Vp, names: tuple[str, ...] = SIX) -> Trace:
    """Let a child make calls about itself, and return what was recorded; its hypercall page must be there."""
    rows = None
    for name in names:
        call = CALLS[CODES[name]]
        block = _block(name)
        fields = {"code": call.code, "rep_count": int(call.rep)}
        kernel.write_gpa(INPUT_PAGE * PAGE, block)
        written = kernel.trace
        kernel.hypercall(HypercallControl.encode(**fields), INPUT_PAGE * PAGE, OUTPUT_PAGE * PAGE)
        made = written + kernel.trace
        rows = made if rows is None else rows + made
    return rows if rows is not None else Trace([])  # type: ignore[arg-type]


def _block(name: str) -> bytes:
    call = CALLS[CODES[name]]
    known = {field.name for field in call.header.fields} if call.header else set()
    values = {"partition_id": SELF, "vp_index": THIS_VP, "flags": 1}
    header = call.header.encode(**{k: v for k, v in values.items() if k in known}) if call.header else b""
    if name == "CreatePartition":
        header = bytes(len(header))
    wanted = {"name": Register.RIP} if name == "GetVpRegisters" else {}
    return header + (call.element.encode(**wanted) if call.element else b"")
