"""The computer as a whole: power-on, snapshots, determinism, recorded machines, studies."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from invariants import hold

from hvlab.capture.tables import nested_tables, page_tables
from hvlab.errors import BadRequest
from hvlab.hardware import clock, processor
from hvlab.hardware.tlb import Geometry
from hvlab.kernel import PLAIN
from hvlab.machine import Machine, warm

PAGE = 4096
DATA = Path(__file__).parents[1] / "hvlab" / "data"
SCRIPT = """
import sys
from hvlab.machine import Machine
machine = Machine(seed=5, memory=2 << 20, vendor=sys.argv[1])
with machine.action():
    child = machine.child("web", 32 * 4096)
    child.enable_paging({0x70000000 + k * 4096: k * 4096 for k in range(4)} | {0: 0}, 16)
    child.write(0x70000000, b"hello")
    child.read(0x70003000)
    machine.vid.remove_memory(child.partition, 3, 1)
    child.read(0x70003000)
print(len(machine.trace), machine.trace.digest(), machine.hash())
"""


@pytest.fixture
def machine():
    return Machine(memory=2 << 20)


@pytest.mark.parametrize("vendor", ["intel", "amd"])
@pytest.mark.parametrize("levels", [4, 5])
def test_the_hypervisor_takes_the_first_pages_and_the_root_has_all_others(vendor, levels):
    machine = Machine(memory=2 << 20, vendor=vendor, levels=levels)

    owners = machine.page_map()
    first = int(np.argmax(owners == 1))
    assert (owners[:first] == 0).all() and (owners[first:] == 1).all()
    assert first == levels + 2
    hold(machine)


def test_the_root_runs_behind_a_second_level_too(machine):
    step = machine.translate(machine.root_vp, 200 * PAGE)

    assert (step.outcome, step.spa) == ("ok", 200 * PAGE)
    assert "second_level_entry_read" in step.trace.kinds()


def test_a_walk_of_four_by_four_levels_reads_twenty_four_entries():
    none = Geometry(l1_ways=0, l2_ways=0, structure_ways=0, nested_ways=0)
    reads = {}
    for levels in (4, 5):
        machine = Machine(memory=2 << 20, levels=levels, geometry=none)
        child = machine.child("web", 32 * PAGE)
        child.enable_paging({0x7000_0000: 5 * PAGE}, 16)
        step = machine.translate(child.vp, 0x7000_0000)
        reads[levels] = step.trace.fact(len(step.trace) - 1, "reads")

    assert reads == {4: 24, 5: 35}


def test_a_fault_is_told_but_not_handled(machine):
    child = machine.child("web", 8 * PAGE)

    step = machine.translate(child.vp, 0x80_0000)

    assert (step.ok, step.outcome) == (False, "ept_violation")
    assert not child.vp.suspended


def test_restoring_a_snapshot_brings_everything_back(machine):
    child = machine.child("web", 16 * PAGE)
    child.write(0, b"before")
    snapshot, before = machine.snapshot(), machine.hash()

    child.write(0, b"after!")
    machine.child("other", 8 * PAGE)
    child.destroy()
    machine.restore(snapshot)

    assert machine.hash() == before
    assert list(machine.children) == ["web"]
    assert machine.children["web"].read(0, 6) == b"before"
    hold(machine)


def test_the_same_actions_after_a_restore_give_the_same_trace(machine):
    machine.child("web", 16 * PAGE)
    snapshot, digests = machine.snapshot(), []
    for _ in range(2):
        machine.restore(snapshot)
        with machine.action():
            machine.child("second", 8 * PAGE).write(0, b"x")
            machine.children["web"].read(0x3000)
        digests.append((machine.trace.digest(), machine.hash()))

    assert digests[0] == digests[1]


def test_a_snapshot_of_another_machine_is_refused(machine):
    with pytest.raises(BadRequest, match="another machine"):
        machine.restore(Machine(memory=4 << 20).snapshot())


@pytest.mark.parametrize("vendor", ["intel", "amd"])
def test_one_seed_one_trace_in_any_process_compiled_or_plain(vendor):
    answers = set()
    for plain in ("0", "0", "1"):
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT, vendor],
            capture_output=True,
            text=True,
            check=True,
            env={**__import__("os").environ, "NUMBA_DISABLE_JIT": plain, "PYTHONHASHSEED": plain},
        )
        answers.add(run.stdout)

    assert len(answers) == 1
    assert int(answers.pop().split()[0]) > 200


def test_another_seed_deals_other_pages():
    one, two = (Machine(seed=seed, memory=2 << 20).child("web", 8 * PAGE) for seed in (1, 2))

    assert one.partition.pages != two.partition.pages
    assert Machine(seed=1, memory=2 << 20).child("web", 8 * PAGE).partition.pages == one.partition.pages


def test_a_study_counts_what_single_steps_would(machine):
    child = machine.child("web", 32 * PAGE)
    child.enable_paging({0x7000_0000 + k * PAGE: k * PAGE for k in range(12)}, 16)
    pick = np.random.default_rng(3)
    gvas = 0x7000_0000 + pick.integers(0, 14, 300 if PLAIN else 3000) * PAGE
    snapshot = machine.snapshot()

    counts = machine.study(child.vp, gvas, 0)
    machine.restore(snapshot)
    kinds = []
    for gva in gvas[:200].tolist():
        kinds += machine.translate(child.vp, gva).trace.kinds()

    machine.restore(snapshot)
    few = machine.study(child.vp, gvas[:200], 0)
    assert few.l1_hits + few.l2_hits == kinds.count("tlb_hit")
    assert few.walks == kinds.count("tlb_missed")
    assert few.reads == kinds.count("table_entry_read") + kinds.count("second_level_entry_read")
    assert few.faults == kinds.count("page_fault_raised")
    assert counts.accesses == len(gvas) == counts.l1_hits + counts.l2_hits + counts.walks


def test_a_study_leaves_no_rows_and_its_walks_are_remembered(machine):
    child = machine.child("web", 32 * PAGE)
    child.enable_paging({0x7000_0000: 0, 19 * PAGE: 19 * PAGE}, 16)
    machine.study(child.vp, np.full(10, 0x7000_0000), 0)

    child.write(19 * PAGE, (2 << 12 | 0x67).to_bytes(8, "little"))
    child.read(0x7000_0000)

    assert "stale_entry_used" in machine.trace.kinds()


def test_costs_can_be_seen_and_changed():
    machine = Machine(memory=2 << 20, costs={"table_read": 100})

    assert clock.costs(machine.state)["table_read"] == 100
    assert all(source for _, _, source in clock.TABLE.values())
    with pytest.raises(BadRequest, match="cost tea"):
        Machine(memory=2 << 20, costs={"tea": 1})


@pytest.mark.parametrize(
    "wrong", [{"vendor": "via"}, {"levels": 3}, {"lps": 9}, {"memory": 5000}, {"memory": 4096}, {"memory": 1 << 40}]
)
def test_a_machine_that_cannot_be_is_refused(wrong):
    with pytest.raises(BadRequest):
        Machine(**wrong)


def test_a_child_is_found_by_its_name(machine):
    child = machine.child("web", 8 * PAGE)

    assert machine.child("web") is child
    with pytest.raises(BadRequest):
        machine.child("")
    with pytest.raises(BadRequest, match="VP 6"):
        machine.translate(6, 0)
    with pytest.raises(BadRequest, match="partition 9"):
        machine.vps(9)


def test_topology_names_what_each_partition_reaches(machine):
    child = machine.child("web", 8 * PAGE)

    root, web = machine.topology()["partitions"]

    assert (root["name"], web["name"], web["parent"]) == ("root", "web", 1)
    assert {gpn: spn for gpn, spn, _ in web["maps"]} == child.partition.pages
    assert not set(web["tables"]) & {spn for _, spn, _ in root["maps"]}
    assert [child.partition.pages[0], web["id"], 1, 7] in machine.topology()["shares"]


def test_one_type_and_one_signature_for_all_machines(machine):
    machine.child("web", 8 * PAGE).read(0)
    Machine(memory=4 << 20, vendor="amd", levels=5).translate(0, 0x20_0000)

    assert PLAIN or len(processor.run.signatures) == 1


def test_warming_uses_each_entry_point():
    assert warm() > 0


@pytest.mark.parametrize("name", ["pt_4lvl_pti", "pt_5lvl_nopti_1g"])
def test_a_recorded_guest_translates_as_its_oracle_says(name):
    tables = page_tables(DATA / f"{name}.npz")
    machine = Machine.from_snapshot(tables)
    probes = tables.cpus[0].probes

    mapped = probes.gpa != np.uint64(2**64 - 1)
    for gva, gpa in list(zip(probes.gva[mapped].tolist(), probes.gpa[mapped].tolist(), strict=True))[:40]:
        assert machine.translate(0, gva).spa == gpa
    for gva in probes.gva[~mapped][:20].tolist():
        assert not machine.translate(0, gva).ok


def test_a_recorded_second_level_answers_the_known_address():
    machine = Machine.from_nested(nested_tables(DATA / "npt_4lvl.npz"))

    step = machine.translate(0, 0x4028F1A9)

    assert (step.outcome, step.spa) == ("ok", 0xE3471A9)
    assert step.trace.fact(len(step.trace) - 1, "gpa") == 0x4028F1A9
    assert step.trace.fact(len(step.trace) - 1, "reads") == 19


def test_a_recorded_machine_has_no_hypervisor(machine):
    recorded = Machine.from_nested(nested_tables(DATA / "npt_4lvl.npz"))

    with pytest.raises(BadRequest):
        recorded.child("web")
    with pytest.raises(BadRequest, match="processor 7"):
        Machine.from_snapshot(page_tables(DATA / "pt_4lvl_pti.npz"), cpu=7)
