"""The composer: the fields of a hypercall and its three registers, each turned into the other; and where blocks lie."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ipywidgets as widgets

from hvlab.errors import BadRequest
from hvlab.lab.bitfields import parts, said
from hvlab.lab.callsheet import CallSheet, number
from hvlab.lab.permits import CALLS
from hvlab.language import _
from hvlab.trace.words import grouped
from hvlab.view.panel import WIDE, Panel, row, rows_table
from hvlab.wire.tlfs import HypercallControl

REGISTERS = ("rcx", "rdx", "r8")


class Composer(Panel):
    """Compose a hypercall by fields or by registers; what is typed in one place is seen in the other.

    Parameters
    ----------
    sheet
        The call to begin with.

    Attributes
    ----------
    sheet : CallSheet
        The call as it stands.
    """

    def __init__(self, sheet: CallSheet) -> None:
        self.sheet, self._quiet = sheet, False
        self.fields = _fields()
        self.registers = {name: _text(name.upper()) for name in REGISTERS}
        self._show()
        for name, control in self.fields.items():
            control.observe(lambda change, name=name: self._field(name, change["new"]), "value")
        for name, control in self.registers.items():
            control.observe(lambda change, name=name: self._register(name, change["new"]), "value")
        first, second = list(self.fields.values())[:3], list(self.fields.values())[3:]
        rows = [row(first), row(second), row(list(self.registers.values()))]
        super().__init__(_("One hypercall: fields, and the registers that carry them"), rows, self.tables)

    def _field(self, name: str, value: Any) -> None:
        """A field of the control word was changed."""
        if not self._quiet:
            self._take(lambda: self.sheet.but(**{name: number(value) if isinstance(value, str) else int(value)}))

    def _register(self, name: str, text: str) -> None:
        """A register was typed."""
        if self._quiet:
            return
        if name == "rcx":
            self._take(lambda: CallSheet(parts(HypercallControl, number(text)).value, self.sheet.rdx, self.sheet.r8))
        else:
            self._take(lambda: self.sheet.but(**{name: number(text)}))

    def _take(self, made: Any) -> None:
        """Take the new call; what cannot be read is said, and the last call stands again."""
        before = self.sheet
        try:
            self.sheet = made()
        except BadRequest as refused:
            self._show()
            self.refresh(_("{refused}. The last call stands.").format(refused=refused))
            return
        self._show()
        self.refresh(self._news(before))

    def _news(self, before: CallSheet) -> str:
        """Say what the last change came to: the registers that moved, and the checks that turned."""
        told = [
            f"{name.upper()} {grouped(getattr(self.sheet, name), 16)}"
            for name in REGISTERS
            if getattr(self.sheet, name) != getattr(before, name)
        ]
        ok = {check.what: check.ok for check in before.checks()}
        turned = [one for one in self.sheet.checks() if ok.get(one.what, True) != one.ok]
        told += [f"{_('yes') if one.ok else _('NO')}, {one.what}" for one in turned]
        return "; ".join(told)

    @contextmanager
    def _still(self) -> Iterator[None]:
        """Let the controls be set without hearing of it."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False

    def _show(self) -> None:
        """Bring every control to the call as it stands."""
        control = self.sheet.control
        with self._still():
            self.fields["code"].value = f"{control.code:#06x}"
            for name, field in list(self.fields.items())[1:]:
                value = getattr(control, name)
                field.value = bool(value) if isinstance(field, widgets.Checkbox) else value
            for name, register in self.registers.items():
                register.value = grouped(getattr(self.sheet, name), 16)

    def tables(self) -> str:
        """Return the call as tables: the word by fields, the registers, what is to be seen on it."""
        word = parts(HypercallControl, self.sheet.rcx)
        fields = [
            ("", (_bits(field), field.name, said(field, getattr(word, field.name)), _(field.doc)))
            for field in reversed(HypercallControl.fields)
        ]
        registers = [("", line.split("  ", 2)) for line in self.sheet.registers()]
        checks = [
            ("on" if one.ok else "odd", (one.what, one.why, _("yes") if one.ok else _("NO")))
            for one in self.sheet.checks()
        ]
        return "".join((
            rows_table(_("RCX bit by bit"), (_("bits"), _("field"), _("value"), _("meaning")), fields, 3),
            rows_table(_("Registers"), (_("register"), _("value"), _("holds")), registers, 2),
            rows_table(_("Before the call"), (_("looked at"), _("numbers"), _("so?")), checks, 0),
        ))  # fmt: skip


def _bits(field: Any) -> str:
    return str(field.lo) if field.width == 1 else f"{field.lo + field.width - 1}-{field.lo}"


def _text(label: str) -> Any:
    return widgets.Text(description=label, continuous_update=False, style=WIDE, layout={"width": "260px"})


def _fields() -> dict[str, Any]:
    """Return a control for each field of the control word, in the order of Tab."""
    known = [f"{one.code:#06x}" for one in CALLS]
    code = widgets.Combobox(
        description=_("code (16 bits)"), options=known, continuous_update=False, style=WIDE, layout={"width": "220px"}
    )
    found: dict[str, Any] = {"code": code}
    for name in ("fast", "nested"):
        found[name] = widgets.Checkbox(description=f"{name} ({_('bit')} {HypercallControl.lo(name)})", indent=False)
        found[name].layout.width = "140px"
    for name in ("variable_header", "rep_count", "rep_start"):
        width = next(field.width for field in HypercallControl.fields if field.name == name)
        words = _("{name} ({width} bits)").format(name=name, width=width)
        found[name] = widgets.BoundedIntText(
            description=words, min=0, max=(1 << width) - 1, style=WIDE, layout={"width": "240px"}
        )
    return found


def composer(code: int = 3, rep_count: int = 0, rdx: int = 0, r8: int = 0, **fields: int) -> Composer:
    """Compose a hypercall by its fields or its registers: ``composer(code=3, rep_count=25, rdx=0x5000)``.

    Parameters
    ----------
    code, rep_count, fields
        Fields of the control word (RCX).
    rdx, r8
        GPA of the input and of the output, or the input itself if ``fast=1``.

    Raises
    ------
    BadRequest
        For a field that is not there, or a value that does not fit.
    """
    return Composer(CallSheet(0).but(code=code, rep_count=rep_count, rdx=rdx, r8=r8, **fields))
