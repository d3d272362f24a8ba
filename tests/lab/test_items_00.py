"""The exercises of lesson 00 against slow models: the map by hand, arithmetic, a graph, the printed text."""

import random
import re

import networkx as nx
import pytest

from hvlab.lab.check import check
from hvlab.lab.deal import hand
from hvlab.lab.items import any_computer, e00, e00_class, e00_gap, e00_order
from hvlab.lab.items.e00_runs import programs
from hvlab.lab.seed import Draw
from hvlab.story.host import BOXES
from hvlab.trace.event import CATALOGUE
from lab.item_rules import STRIDE, builds, holds, seeds

SEEDS = seeds()
FEW = range(60)
SINGLE = [item for item in (*e00.EXERCISES, *e00.SHORTS) if item.wrong and item is not e00_class.E3]
# Box -> world, as somebody reads them off the map.
MAP = {
    "VMMS": "root user", "VMWP": "root user", "WMI": "root user", "VSPs": "root kernel", "VID": "root kernel",
    "drivers": "root kernel", "NT kernel": "root kernel", "applications": "child user", "VSCs": "child kernel",
    "ICs": "child kernel", "kernel": "child kernel", "processors": "hardware", "memory": "hardware",
    "IOMMU": "hardware", "NIC": "hardware", "disk": "hardware",
    **dict.fromkeys(("hypercalls", "MSRs", "intercepts", "APIC", "SynIC", "address management", "scheduler",
                     "partition manager"), "hypervisor"),
}  # fmt: skip
# Event -> class, with what is different afterwards.
CLASS = {
    "access_begun": "data", "tlb_hit": "data", "tlb_missed": "data", "structure_cache_hit": "data",
    "nested_cache_hit": "data", "table_entry_read": "data", "second_level_entry_read": "data", "accessed_set": "data",
    "dirty_set": "data", "tlb_filled": "data", "translated": "data", "memory_written": "data",
    "partition_created": "control", "partition_initialized": "control", "property_set": "control",
    "vp_created": "control", "memory_deposited": "control", "page_given": "control", "page_mapped": "control",
    "second_level_entry_written": "control", "msr_written": "control", "overlay_placed": "control",
    "hypercall_entered": "notification", "hypercall_returned": "notification", "cpuid_answered": "notification",
    "ept_violation_raised": "notification", "vp_exited": "notification", "intercept_posted": "notification",
    "page_fault_raised": "notification", "exception_raised": "notification",
}  # fmt: skip


# boxes and counts ----------------------------------------------------------------------------------------------------


def test_each_box_stands_where_the_map_has_it_in_hundreds_of_worlds():
    for seed in SEEDS:
        world = e00.BOXES_EXERCISE.deal(seed)
        assert e00.BOXES_EXERCISE.truth(world) == tuple(MAP[BOXES[name].label] for name in world)
        assert len({BOXES[name].label for name in world}) == len(world)


def test_entries_are_counted_as_arithmetic_says_in_hundreds_of_worlds():
    for seed in SEEDS:
        world = e00.X1.deal(seed)
        assert e00.X1.truth(world) == 3 * world.touches + world.cpuids + world.calls


# order ---------------------------------------------------------------------------------------------------------------


def graph_of(trace):
    """Happens-before as a graph, rule by rule, without anything of the item."""
    graph, last = nx.DiGraph(), {}
    graph.add_nodes_from(range(len(trace)))
    kinds = trace.kinds()
    for row, name in enumerate(kinds):
        actor, cause = int(trace.rows[row, 2]), int(trace.rows[row, 3])
        if cause >= 0:
            graph.add_edge(cause, row)
        if actor in last:
            graph.add_edge(last[actor], row)
        last[actor] = row
        if name == "intercept_posted":
            page = trace.fact(row, "spa") >> 12
            reads = (k for k in range(row, len(kinds)) if kinds[k] in ("tlb_hit", "translated"))
            graph.add_edge(row, next(k for k in reads if trace.fact(k, "spa") >> 12 == page))
        if name == "vp_resumed":
            vp = trace.fact(row, "partition") - 1
            graph.add_edge(row, next(k for k in range(row, len(kinds)) if int(trace.rows[k, 2]) == vp))
    return graph


def test_what_happens_before_what_is_what_a_graph_says():
    for seed in FEW:
        trace = programs(Draw(seed)).trace
        graph = graph_of(trace)
        mine = e00_order.happens_before(trace)
        for row in range(len(trace)):
            assert {k for k in range(len(trace)) if mine[row] >> k & 1} == nx.ancestors(graph, row)


def test_the_recorded_order_is_right_in_hundreds_of_worlds():
    for seed in SEEDS:
        world = e00_order.E1.deal(seed)
        truth = e00_order.E1.truth(world)
        assert [world.sheet[k - 1] for k in truth] == sorted(world.sheet) and e00_order.fits(world, truth)
        assert len({world.run.trace.sentence(row) for row in world.sheet}) == 14, "no two events read the same"


def test_any_order_that_keeps_the_graph_is_right_and_any_that_breaks_it_is_not():
    for seed in FEW:
        world = e00_order.E1.deal(seed)
        closed = nx.transitive_closure(graph_of(world.run.trace)).subgraph(world.sheet)
        chance = random.Random(seed)
        for _time in range(5):
            rows = random_order(closed, chance)
            answer = world.order(rows)
            assert e00_order.fits(world, answer)
            first, second = sorted(chance.sample(range(14), 2))
            rows[first], rows[second] = rows[second], rows[first]
            keeps = not any(closed.has_edge(b, a) for k, a in enumerate(rows) for b in rows[k + 1 :])
            assert e00_order.fits(world, world.order(rows)) == keeps
            assert bool(e00_order.place(world, world.order(rows))) != keeps


def random_order(graph, chance):
    """Some topological order, drawn."""
    left, found = nx.DiGraph(graph), []
    while left:
        row = chance.choice(sorted(node for node, degree in left.in_degree if degree == 0))
        found.append(row)
        left.remove_node(row)
    return found


def test_there_is_more_than_one_right_order():
    for seed in FEW:
        world = e00_order.E1.deal(seed)
        closed = nx.transitive_closure(graph_of(world.run.trace)).subgraph(world.sheet)
        assert closed.number_of_edges() < 14 * 13 // 2


# the gap -------------------------------------------------------------------------------------------------------------

EASY = ["asks for", "Guest level"]
CHAIN = [*EASY, "EPT violation", "leaves the guest", "posts UNMAPPED_GPA", *EASY]
NAMES = {
    "EPT violation": "ept_violation_raised", "leaves the guest": "vp_exited",
    "posts UNMAPPED_GPA": "intercept_posted", " is GPA ": "translated", "is now SPA": "page_mapped",
}  # fmt: skip


def solved(text):
    """Solve a task from its printed text alone."""
    cast = {name: int(number) for name, number in re.findall(r"VP \d: (?:the )?(\w+), partition (\d)", text)}
    lines = [line.split(None, 1) for line in text.splitlines() if re.match(r"  \w+ ", line)]
    assert {who for who, _ in lines} == set(cast)
    by = {who: [said for name, said in lines if name == who] for who in cast}
    late = next(who for who in cast if who != "root" and sum("asks for" in said for said in by[who]) == 2)
    for who, said in by.items():
        about = late if who == "root" else who
        wanted = ["is now SPA"] if who == "root" else [*(CHAIN if who == late else EASY), " is GPA "]
        left = list(said)
        for part in wanted:
            at = next((k for k, line in enumerate(left) if part in line), None)
            if at is None:
                return NAMES[part], cast[about], gpa_of(by[about], part)
            del left[at]
    raise AssertionError("nothing is missing")


def gpa_of(said, part):
    """The GPA by hand: the page number in the guest's last entry, the place in the page from the GVA."""
    gva = int(re.search(r"asks for (0x[0-9a-f_]+)", said[0])[1].replace("_", ""), 16)
    entry = next(int(line.rsplit(" ", 1)[1].rstrip(".").replace("_", ""), 16) for line in said if "Guest level" in line)
    return (entry & ~4095) | (0 if part == "is now SPA" else gva & 4095)


def test_the_missing_hop_is_found_from_the_printed_text_alone_in_hundreds_of_worlds():
    kinds = set()
    for seed in SEEDS:
        world = e00_gap.E2.deal(seed)
        truth = e00_gap.E2.truth(world)
        assert truth == solved(e00_gap.E2.ask(world)), seed
        kinds.add(truth[0])
    assert kinds == set(e00_gap.KINDS)


# classes -------------------------------------------------------------------------------------------------------------


def test_each_event_has_the_class_that_the_rule_gives_it_in_hundreds_of_cases():
    seen = set()
    for seed in range(0, 5, STRIDE):
        for k in range(200):
            world = e00_class.E3.case(seed, k)
            assert e00_class.E3.truth(world) == CLASS[world.name]
            seen.add(world.name)
    assert seen == set(CLASS) == set().union(*e00_class.OF_CLASS.values())
    assert seen < {event.name for event in CATALOGUE}
    assert all(name in e00_class.E3.ask() for name in seen)


def test_what_is_called_control_changes_pages_rights_or_registers_and_data_does_not():
    trace, rows = e00_class.whole_run(0)
    for name in rows:
        words = set(trace.facts(rows[name][0]))
        if CLASS[name] == "data":
            assert not words & {"partition", "parent", "property", "msr"}, name
        if CLASS[name] == "control":
            assert words & {"partition", "new", "msr"}, name


def classify(event):
    """The rule as a learner's function: a table of names."""
    return CLASS[event.name]


def test_a_classifier_passes_and_each_idea_about_classes_is_named():
    builds(e00_class.E3, classify)


def test_an_event_can_be_seen_as_the_last_frame_of_its_moment():
    for k in range(40):
        world = e00_class.E3.case(3, k)
        story = e00_class.E3.story(world)
        assert story.describe(len(story) - 1) == world.trace.sentence(world.row)


def test_a_learner_s_function_gets_a_copy():
    world = e00_class.E3.case(1, 1)
    world.told().facts.clear()

    assert world.told().facts == world.trace.facts(world.row)


# all of them ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("item", SINGLE, ids=lambda item: item.id)
def test_no_world_is_dealt_in_which_a_wrong_model_is_right_and_each_is_named(item):
    holds(item)


@pytest.mark.parametrize(
    ("item", "name"),
    [(item, model.name) for item in SINGLE if item.kind != "recall" for model in item.wrong],
    ids=lambda part: part if isinstance(part, str) else part.id,
)
def test_check_names_the_idea_that_was_answered(item, name, capsys):
    world = hand(item.id).world
    model = next(one for one in item.wrong if one.name == name)

    verdict = check(item.id, model.answer(world))

    assert verdict.verdict == "wrong" and name in verdict.models
    assert name in capsys.readouterr().out
    assert check(item.id, item.truth(world)).right


def test_short_forms_about_any_computer_agree_with_counting_one_by_one():
    asked = {item.id: item for item in any_computer.SHORTS}
    needs = ("opens", "sends", "asks for more", "reads from a file")
    for seed in SEEDS:
        span = asked["any.span"].deal(seed)
        pages = {at >> 12 for at in range(span["first"], span["first"] + span["count"])}
        assert asked["any.span"].truth(span) == len(pages)
        steps = asked["any.kernel"].deal(seed)["steps"]
        assert asked["any.kernel"].truth({"steps": steps}) == len([one for one in steps if one.startswith(needs)])
