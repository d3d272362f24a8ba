"""The mask inspector: a box for each privilege, and beside it what a partition with these privileges may call."""

from html import escape
from typing import Any, Final

import ipywidgets as widgets

from hvlab.errors import BadRequest, plain
from hvlab.lab.callsheet import number
from hvlab.lab.permits import CALLS, CHILD, MASK, REGISTERS, ROOT, asks_for, changed, ruled
from hvlab.language import _
from hvlab.trace.words import grouped
from hvlab.view.panel import WIDE, Panel, row, rows_table
from hvlab.wire.tlfs import EVERY_PRIVILEGE, GUEST_PRIVILEGES, PrivilegeMask

HIGH: Final = 32  # the first bit of the half that EBX holds


class Inspector(Panel):
    """Turn privileges on and off, and see which calls open and close.

    Parameters
    ----------
    mask
        The 64 bits to begin with.
    who
        ``"child"``: a child that names itself; ``"root"``: the root about its child.

    Attributes
    ----------
    mask : int
    who : str
    """

    def __init__(self, mask: int, who: str) -> None:
        self.mask, self.who, self._quiet = mask, who, False
        self.boxes = {field.name: _box(field) for field in PrivilegeMask.fields}
        self.text = widgets.Text(
            description=_("Privilege mask"), continuous_update=False, style=WIDE, layout={"width": "330px"}
        )
        told = {_("a child, about itself"): CHILD, _("the root, about its child"): ROOT}
        self.asks = widgets.RadioButtons(
            description=_("Who asks"), options=list(told.items()), value=who, style=WIDE, layout={"width": "330px"}
        )
        self._show()
        for name, box in self.boxes.items():
            box.observe(lambda change, name=name: self._turned(name, change["new"]), "value")
        self.text.observe(lambda change: self._typed(change["new"]), "value")
        self.asks.observe(lambda change: self._take(self.mask, change["new"]), "value")
        halves = [_half(_("EAX: registers"), self.boxes, low=True), _half(_("EBX: calls"), self.boxes, low=False)]
        top = row([self.text, self.asks])
        super().__init__(_("Which calls does a mask open?"), [top, row(halves)], self.tables, before=1)

    def _turned(self, name: str, on: bool) -> None:
        """A box was turned."""
        if not self._quiet:
            bit = PrivilegeMask.mask(name)
            self._take(self.mask | bit if on else self.mask & ~bit, self.who)

    def _typed(self, text: str) -> None:
        """A mask was typed."""
        if self._quiet:
            return
        try:
            mask = number(text)
            if mask > MASK:
                raise BadRequest(plain(text, 40), "", _("64 bits"))
        except BadRequest as refused:
            self._show()
            self.refresh(_("{refused}. The last mask stands.").format(refused=refused))
            return
        self._take(mask, self.who)

    def _take(self, mask: int, who: str) -> None:
        if self._quiet:
            return
        news = changed(self.mask, mask, who) if who == self.who else [_("Another asks now.")]
        self.mask, self.who = mask, who
        self._show()
        self.refresh(" ".join([*(news or [_("No call and no register of the lists turns on that.")]), self.count()]))

    def _show(self) -> None:
        """Bring every control to the mask as it stands."""
        self._quiet = True
        for name, box in self.boxes.items():
            box.value = bool(self.mask & PrivilegeMask.mask(name))
        self.text.value, self.asks.value = grouped(self.mask, 16), self.who
        self._quiet = False

    def count(self) -> str:
        """Say how much is allowed."""
        calls, registers = (sum(one.allowed for one in ruled(self.mask, self.who, of)) for of in (CALLS, REGISTERS))
        told = _("Open: {calls} of {every} calls, {registers} of {all} registers.")
        return told.format(calls=calls, every=len(CALLS), registers=registers, all=len(REGISTERS))

    def tables(self) -> str:
        """Return the mask as tables: calls and registers, what each asks for, and whether it is open."""
        about = _("the root, about its child") if self.who == ROOT else _("a child, about itself")
        head = (_("code"), _("name"), _("asks for"), _("open?"))
        odd = self.mask & ~EVERY_PRIVILEGE
        left = _("Bits that no privilege names: {bits}.").format(bits=grouped(odd, 16)) if odd else ""
        said = _("{mask}, {who}. {count} {left}").format(
            mask=grouped(self.mask, 16), who=about, count=self.count(), left=left
        )
        return "".join((
            f"<p>{said.strip()}</p>",
            rows_table(_("Calls"), head, [_row(one, 4) for one in ruled(self.mask, self.who)], 2),
            rows_table(_("Registers"), head, [_row(one, 8) for one in ruled(self.mask, self.who, REGISTERS)], 2),
        ))  # fmt: skip


def _row(one: Any, digits: int) -> tuple[str, tuple[str, ...]]:
    code = f"{one.permit.code:#0{digits + 2}x}"
    return "on" if one.allowed else "off", (code, one.permit.name, asks_for(one.permit), one.why)


def _box(field: Any) -> Any:
    return widgets.Checkbox(
        description=f"{field.lo} {field.name}", indent=False, layout={"width": "380px"}, tooltip=_(field.doc)
    )


def _half(title: str, boxes: dict[str, Any], low: bool) -> Any:
    chosen = [box for name, box in boxes.items() if (PrivilegeMask.lo(name) < HIGH) is low]
    return widgets.VBox([widgets.HTML(f"<p><strong>{escape(title)}</strong></p>"), *chosen], layout={"width": "400px"})


def inspector(mask: int = GUEST_PRIVILEGES, who: str = CHILD) -> Inspector:
    """Inspect a privilege mask: a box for each privilege, and what is open to whom.

    Raises
    ------
    BadRequest
        For a mask that is no 64-bit number, or for somebody else.
    """
    if type(mask) is not int or not 0 <= mask <= MASK or who not in (CHILD, ROOT):
        raise BadRequest(f"the mask {plain(mask, 30)} of a {plain(who, 20)}", "", "64 bits; child or root")
    return Inspector(mask, who)
