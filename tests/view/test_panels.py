"""Panels: what is typed in one control is seen in all, changes are told in words, a still copy says all."""

import re

import ipywidgets as widgets
import pytest

from hvlab.errors import BadRequest
from hvlab.lab.callsheet import CallSheet
from hvlab.lab.permits import CALLS, REGISTERS, allowed
from hvlab.view.composer import composer
from hvlab.view.inspector import inspector
from hvlab.view.page import _clean
from hvlab.view.panel import Panel
from hvlab.wire.tlfs import EVERY_PRIVILEGE, GUEST_PRIVILEGES, HypercallControl, PrivilegeMask

PANELS = {"composer": lambda: composer(3, 25, rdx=0x5FF0), "inspector": inspector}


def controls(widget):
    """Every control below a widget, in the order of Tab."""
    if isinstance(widget, widgets.Box) and not isinstance(widget, widgets.RadioButtons):
        return [one for child in widget.children for one in controls(child)]
    return [] if isinstance(widget, widgets.HTML) else [widget]


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


# both


@pytest.fixture(params=PANELS)
def panel(request):
    return PANELS[request.param]()


def test_every_control_is_native_and_has_a_label(panel):
    found = controls(panel)

    assert len(found) >= 9
    assert all(one.description for one in found)
    native = (widgets.Text, widgets.Checkbox, widgets.Combobox, widgets.BoundedIntText, widgets.RadioButtons)
    assert all(isinstance(one, native) for one in found)


def test_the_copy_without_a_kernel_says_what_the_panel_says_and_is_the_same_each_time(panel, request):
    other = PANELS[request.node.callspec.params["panel"]]()
    first, again = panel._repr_mimebundle_(), other._repr_mimebundle_()

    assert first["text/html"] == again["text/html"] and first["text/plain"] == again["text/plain"]
    assert panel.said.value in first["text/html"] and "0x7" not in first["text/plain"]
    assert text(_clean(first["text/html"])) == text(first["text/html"])  # an untrusted reader's copy loses no word


def test_tables_have_captions_and_scopes(panel):
    html = panel.said.value

    assert html.count("<caption>") == html.count("<table>") >= 2
    assert html.count("<th") - html.count("<thead") == html.count('scope="col"') + html.count('scope="row"')


def test_markup_in_a_title_stays_text():
    made = Panel("<img src=x onerror=hit()>", [], lambda: "")

    assert "<img" not in made._repr_mimebundle_()["text/html"] + made.children[0].value


# the composer


def test_fields_become_registers_and_registers_fields():
    panel = composer(3)

    panel.fields["rep_count"].value = 25
    panel.fields["rep_start"].value = 20

    assert panel.sheet.rcx == 0x0014_0019_0000_0003
    assert panel.registers["rcx"].value == "0x0014_0019_0000_0003"
    panel.registers["rcx"].value = "0x1005d"
    assert [panel.fields[name].value for name in ("code", "fast", "rep_count")] == ["0x005d", True, 0]


@pytest.mark.parametrize("rcx", [0, 0x1_0000_0000, 0xF000_F000_7800_0000, (1 << 64) - 1])
def test_any_word_is_shown_and_kept_when_another_field_changes(rcx):
    panel = composer()
    panel.registers["rcx"].value = hex(rcx)

    panel.fields["code"].value = "0x40"

    kept = HypercallControl.undeclared((1 << 64) - 1)
    assert panel.sheet.rcx & kept == rcx & kept and panel.sheet.control.code == 0x40


def test_what_cannot_be_read_is_said_and_the_last_call_stands():
    panel = composer(3, 25, rdx=0x5000)

    for name, typed in (("rdx", "fish"), ("rcx", "1" * 30), ("r8", "0x1_0000_0000_0000_0000")):
        panel.registers[name].value = typed
        assert "The last call stands" in panel.told and panel.registers[name].value.startswith("0x0")
    panel.fields["code"].value = "0x10000"
    assert "16 bits" in panel.told and panel.sheet == CallSheet(0x19_0000_0003, 0x5000)


def test_a_block_is_told_to_leave_its_page_by_how_much_and_no_answer_is_told():
    panel = composer(3, 25, rdx=0x5000)

    panel.registers["rdx"].value = "0x5ff0"

    assert panel.told == "RDX 0x0000_0000_0000_5ff0; NO, input lies in one page"
    said = text(panel.said.value)
    assert "208 bytes lie behind the border at 0x0000_6000" in said
    assert not re.search(r"INVALID|ALIGNMENT|DENIED|status|#GP|#UD", said)


@pytest.mark.parametrize(
    ("made", "what", "ok"),
    [
        (CallSheet(0x40, 0x1004), "input begins at a multiple of 8", False),
        (CallSheet(0x40, 0x1000, 0x2000), "output lies in one page", True),
        (CallSheet(0x40, 0x1000, 0x2FFC), "output lies in one page", False),
        (CallSheet(0x1_0040), "input fits the registers", False),
        (CallSheet(0x1_0041), "input fits the registers", True),
        (CallSheet(1 << 44 | 3), "reserved bits of RCX are 0", False),
        (CallSheet(0x19 << 32 | 0x41), "no list, so count and start are 0", False),
        (CallSheet(25 << 48 | 25 << 32 | 3), "a list, and its start lies before its end", False),
        (CallSheet(0x5C), "the code is known", True),
        (CallSheet(0x7777), "the code is known", False),
    ],
)
def test_each_thing_to_look_at_before_a_call(made, what, ok):
    assert {one.what: one.ok for one in made.checks()}[what] is ok


def test_a_field_that_is_not_there_is_refused():
    with pytest.raises(BadRequest):
        composer(3, width=5)


# the inspector


def test_a_box_opens_and_closes_what_asks_for_its_bit():
    panel = inspector()

    panel.boxes["create_partitions"].value = True
    assert panel.told.startswith("Now open: CreatePartition.") and panel.mask == GUEST_PRIVILEGES | 1 << 32
    panel.boxes["access_hypercall_msrs"].value = False
    assert panel.told.startswith("Now closed: HYPERCALL.")


def test_a_relation_is_no_bit():
    panel = inspector(EVERY_PRIVILEGE)

    said = text(panel.said.value)
    assert "InitializePartition parent no: a child is not its own parent" in said
    assert "GetVpRegisters bit 49, or parent may" in said
    panel.asks.value = "root"
    assert "InitializePartition parent may" in text(panel.said.value)


@pytest.mark.parametrize("who", ["child", "root"])
def test_the_table_says_of_each_call_what_the_mask_allows(who):
    panel = inspector(0x12_3456_0000_00FF, who)

    rows = re.findall(r'<tr class="(on|off)"><th[^>]*>(0x[0-9a-f]+)</th>', panel.said.value)

    assert [int(code, 16) for look, code in rows if look == "on" and len(code) == 6] == allowed(panel.mask, who)
    assert len(rows) == len(CALLS) + len(REGISTERS)
    assert panel.said.value.count(">may<") == sum(look == "on" for look, _code in rows)


def test_a_mask_is_typed_and_the_boxes_follow():
    panel = inspector(0)

    panel.text.value = "0x1_0000_0020"

    assert {name for name, box in panel.boxes.items() if box.value} == {"create_partitions", "access_hypercall_msrs"}
    panel.text.value = "many"
    assert "The last mask stands" in panel.told and panel.mask == PrivilegeMask.mask(
        "create_partitions", "access_hypercall_msrs"
    )


@pytest.mark.parametrize("asked", [(-1,), (1 << 64,), (True,), (0, "nobody")])
def test_what_is_no_mask_is_refused(asked):
    with pytest.raises(BadRequest):
        inspector(*asked)
