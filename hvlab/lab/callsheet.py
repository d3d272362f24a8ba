"""One hypercall as the caller prepares it: control word, registers, input block, and what is to be seen on them.

Only geometry and bits are told here: where a block lies, which bits no field names. What the hypervisor answers to such
a call is its own affair, and a run shows it.
"""

from dataclasses import dataclass, replace
from typing import Final

from hvlab.errors import BadRequest, plain
from hvlab.lab.answer import whole
from hvlab.lab.bitfields import MASK, compose, parts
from hvlab.lab.permits import BY_CODE
from hvlab.language import N_, _
from hvlab.trace.words import grouped, say
from hvlab.wire.hypercalls import CALLS, Call
from hvlab.wire.tlfs import HypercallControl

PAGE: Final = 4096
ALIGNED: Final = 8  # TLFS, hypercall inputs: blocks begin at a multiple of 8 and lie in one page
REGISTERS: Final = 16  # bytes of input in RDX and R8
UNIT: Final = 8  # bytes of one unit of a variable header
FIELDS: Final = tuple(field.name for field in HypercallControl.fields)


@dataclass(frozen=True)
class Check:
    """One thing to look at before a call: what, whether it is so, and the numbers."""

    what: str
    ok: bool
    why: str


@dataclass(frozen=True, repr=False)
class CallSheet:
    """The three registers of a call.

    Attributes
    ----------
    rcx, rdx, r8 : int
        The control word; the GPA of the input and of the output, or the input itself for a fast call.
    """

    rcx: int
    rdx: int = 0
    r8: int = 0

    @property
    def control(self) -> HypercallControl:
        return HypercallControl.decode(self.rcx)

    @property
    def call(self) -> Call | None:
        """The call of this machine with this code."""
        return CALLS.get(self.control.code)

    def but(self, **fields: int) -> "CallSheet":
        """Return the call with some fields of its control word, or rdx and r8, changed.

        Raises
        ------
        BadRequest
            For a value that does not fit.
        """
        registers = {name: fields.pop(name) for name in ("rdx", "r8") if name in fields}
        for name, value in registers.items():
            if not 0 <= value <= MASK:
                raise BadRequest(f"{name} = {value:#x}", "64 bits", f"0 to {MASK:#x}")
        kept = self.rcx & HypercallControl.undeclared(MASK)
        known = {name: getattr(self.control, name) for name in FIELDS}
        return replace(self, rcx=int(compose(HypercallControl, **(known | fields))) | kept, **registers)

    def sizes(self) -> tuple[int, int] | None:
        """Return the bytes of input and of output, as far as the fields say; None for a call that is not known."""
        call, control = self.call, self.control
        if call is None:
            return None
        given = (call.header.size if call.header else 0) + UNIT * control.variable_header
        back = call.output.size if call.output else 0
        given += control.rep_count * (call.element.size if call.element else 0)
        back += control.rep_count * (call.output_element.size if call.output_element else 0)
        return given, back

    def checks(self) -> list[Check]:
        """Return what is to be seen on the call, each with its numbers."""
        return [*self._word_checks(), *self._block_checks()]

    def _word_checks(self) -> list[Check]:
        control, call = self.control, self.call
        odd = HypercallControl.undeclared(self.rcx)
        named = BY_CODE.get(control.code)
        name = call.name if call else named.name if named else _("no call that is known here")
        found = [
            Check(_("the code is known"), bool(call or named), f"{control.code:#06x} {name}"),
            Check(_("reserved bits of RCX are 0"), odd == 0, grouped(odd, 16)),
        ]
        if call is not None:
            count, start = control.rep_count, control.rep_start
            told = _("{count} elements, {start} of them done").format(count=count, start=start)
            if call.rep:
                found.append(Check(_("a list, and its start lies before its end"), start < count, told))
            else:
                found.append(Check(_("no list, so count and start are 0"), count == start == 0, told))
        return found

    def _block_checks(self) -> list[Check]:
        sizes = self.sizes()
        if sizes is None:
            return [Check(_("the size of the input"), True, _("not known: this machine has no such call"))]
        given, back = sizes
        if self.control.fast:
            told = _("{bytes} bytes of input, {most} fit into RDX and R8").format(bytes=given, most=REGISTERS)
            return [Check(_("input fits the registers"), given <= REGISTERS, told)]
        found = []
        for what, gpa, size in ((_("input"), self.rdx, given), (_("output"), self.r8, back)):
            if size:
                found += _placed(what, gpa, size)
        return found or [Check(_("nothing in memory"), True, _("the call has neither input nor output"))]

    def lines(self) -> list[str]:
        """Return the call as text: the word field by field, the registers, the checks."""
        return [repr(parts(HypercallControl, self.rcx)), "", *self.registers(), "", *map(checked, self.checks())]

    def registers(self) -> list[str]:
        """Return the three registers, and what each holds."""
        fast = self.control.fast
        holds = (
            _("control word"),
            _("first 8 bytes of the input") if fast else _("GPA of the input"),
            _("next 8 bytes of the input") if fast else _("GPA of the output"),
        )
        values = (self.rcx, self.rdx, self.r8)
        names = ("RCX", "RDX", "R8")
        return [f"{name:3}  {grouped(v, 16)}  {told}" for name, v, told in zip(names, values, holds, strict=True)]

    def __repr__(self) -> str:
        return "\n".join(self.lines())


def checked(check: Check) -> str:
    """Write a check as a line: its word first, so that no colour is needed."""
    word = _("yes") if check.ok else _("NO")
    return f"{word:3}  {check.what}: {check.why}"


def _placed(what: str, gpa: int, size: int) -> list[Check]:
    """Say how a block lies in memory."""
    last = gpa + size - 1
    over = max(0, last + 1 - (gpa // PAGE + 1) * PAGE)
    place = _("{size} bytes, GPA {first} to {last}").format(size=size, first=say("gpa", gpa), last=say("gpa", last))
    within = _("{place}, page {page:#x}").format(place=place, page=gpa // PAGE)
    across = _("{place}: {over} bytes lie behind the border at {border}").format(
        place=place, over=over, border=say("gpa", (gpa // PAGE + 1) * PAGE)
    )
    rest = _("{gpa} is {rest} above a multiple of {unit}").format(gpa=say("gpa", gpa), rest=gpa % ALIGNED, unit=ALIGNED)
    return [
        Check(_("{what} begins at a multiple of 8").format(what=what), gpa % ALIGNED == 0, rest),
        Check(_("{what} lies in one page").format(what=what), over == 0, across if over else within),
    ]


WANTED: Final = N_("a whole number such as 25 or 0x19")


def number(text: str) -> int:
    """Read a number as a learner types it.

    Raises
    ------
    BadRequest
        With what was wanted.
    """
    found = whole(text)
    if found is None:
        raise BadRequest(plain(text, 40) or _("nothing"), "", _(WANTED))
    return found
