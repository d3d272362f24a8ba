"""Who reaches what on a real machine: through its second levels, and through the tables its guests have loaded."""

import pytest

from hvlab.hardware.memory import signed
from hvlab.hypervisor.address import look_up
from hvlab.lab.reach import layout_of
from hvlab.machine import Machine
from hvlab.story.topology import isolation, owner_of, paths, reachable, who_reaches

ROOT = 1


@pytest.fixture(scope="module", params=[("intel", 4, 0), ("amd", 4, 7), ("intel", 5, 3)], ids=str)
def machine(request):
    vendor, levels, seed = request.param
    made = Machine(seed=seed, vendor=vendor, levels=levels)
    made.child("web")
    made.child("db")
    made.children["web"].enable_paging({0x400000: 0x1000, 0x401000: 0x2000}, 16)
    return made


def test_the_partitions_of_a_machine_are_apart(machine):
    assert isolation(layout_of(machine)) == []


def test_children_reach_their_own_pages_and_no_page_of_each_other(machine):
    layout = layout_of(machine)
    web, db = (machine.children[name].partition_id for name in ("web", "db"))

    assert len(reachable(layout, web)) == len(reachable(layout, db)) == 256
    assert {owner_of(layout, spn) for spn in reachable(layout, web)} == {web}
    assert not set(reachable(layout, web)) & set(reachable(layout, db))
    assert set(reachable(layout, web)) < set(reachable(layout, ROOT))


def test_a_guest_virtual_address_is_a_path_of_its_own(machine):
    layout, web = layout_of(machine), machine.children["web"]
    (spn,) = (int(spn) for spn in look_up(machine.hv, 2, [2])[0])

    direct, virtual = paths(layout, web.partition_id, spn)

    assert (direct.gvn, direct.gpn) == (None, 2)
    assert (virtual.tables, virtual.gvn, virtual.gpn, virtual.spn) == ("VP 0", 0x401, 2, spn)
    assert machine.translate(web.vp, 0x401000).spa == spn << 12


def test_a_forged_second_level_entry_is_found_with_its_path(machine):
    before = machine.snapshot()
    web, db = (machine.children[name].partition_id for name in ("web", "db"))
    (stolen,) = (int(spn) for spn in look_up(machine.hv, 3, [5])[0])
    told = next(one for one in machine.topology()["partitions"] if one["id"] == web)
    where = {gpn: spn for gpn, spn, _ in told["maps"]}[9]
    for table in told["tables"]:
        page = machine.hv.memory.page(table)
        for index in range(512):
            if int(page[index]) >> 12 & (1 << 40) - 1 == where:
                page[index] = signed(int(page[index]) ^ (where ^ stolen) << 12)

    layout = layout_of(machine)
    machine.restore(before)

    (said,) = isolation(layout)
    assert said.startswith("web reaches a page of db that no share record opens to it: web → GPA 0x0000_9000 → ")
    assert set(who_reaches(layout, stolen)) == {ROOT, web, db}
    assert isolation(layout_of(machine)) == []


def test_a_child_that_is_gone_is_in_no_path():
    machine = Machine()
    machine.child("web")
    machine.child("db").destroy()

    layout = layout_of(machine)

    assert isolation(layout) == []
    assert [name for _, name in layout.names] == ["root", "web"]


def test_guest_tables_that_lead_to_themselves_come_to_an_end(monkeypatch):
    from hvlab.lab import reach

    monkeypatch.setattr(reach, "MOST", 50)
    machine = Machine()
    web = machine.child("web")
    web.enable_paging({0x400000: 0x1000}, 16)
    (top,) = (int(spn) for spn in look_up(machine.hv, 2, [16])[0])
    machine.hv.memory.page(top)[300:] = 16 << 12 | 7

    assert isolation(layout_of(machine)) == []
