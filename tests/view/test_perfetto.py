"""Exports of a run: a Chrome trace by the rules of the Trace Event Format, JSON with a schema, and their endings."""

import json
from collections import defaultdict

import pytest

from hvlab import Machine, export
from hvlab.errors import BadFile, BadRequest
from hvlab.story.walk import story_of
from hvlab.trace.journal import Trace
from hvlab.view import perfetto
from hvlab.view.export import chrome_trace

NEEDED = {
    "M": {"name", "pid", "tid", "args"},
    "X": {"name", "cat", "pid", "tid", "ts", "dur", "args"},
    "s": {"name", "cat", "id", "pid", "tid", "ts"},
    "f": {"name", "cat", "id", "pid", "tid", "ts", "bp"},
}


def checked(text):
    """The events of a Chrome trace, after the rules that a viewer relies on.

    Source: "Trace Event Format" (catapult project): fields of each phase, complete events sorted within a thread and
    properly nested, flow events bound to the slice before them, each flow with one start and one end of one name and
    category, metadata for what is used.
    """
    data = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert set(data) >= {"traceEvents", "displayTimeUnit"} and data["displayTimeUnit"] in ("ms", "ns")
    last, flows, ends = {}, defaultdict(list), {}
    named = defaultdict(set)
    for event in data["traceEvents"]:
        assert set(event) == NEEDED[event["ph"]] | {"ph"}, event
        assert (
            isinstance(event["pid"], int) and isinstance(event["tid"], int) and event["pid"] >= 0 and event["tid"] >= 0
        )
        track = event["pid"], event["tid"]
        if event["ph"] == "M":
            named[event["name"]].add(event["pid"] if event["name"].startswith("process") else track)
            continue
        assert event["ts"] >= 0
        if event["ph"] == "X":
            assert event["ts"] >= last.get(track, 0.0)  # in order within its track
            assert event["ts"] >= ends.get(track, 0.0)  # begins after the one before has ended: none overlap
            last[track], ends[track] = event["ts"], event["ts"] + event["dur"]
            here = track, event["ts"]
        else:
            assert (track, event["ts"]) == here  # a flow's end belongs to the slice right before it
            flows[event["id"]].append(event)
        if event["ph"] == "f":
            assert event["bp"] == "e"
    for pair in flows.values():
        assert [one["ph"] for one in pair] == ["s", "f"]
        assert len({(one["name"], one["cat"]) for one in pair}) == 1
        assert pair[0]["ts"] <= pair[1]["ts"]
    assert {pid for pid, _tid in last} == named["process_name"] and set(last) == named["thread_name"]
    return data["traceEvents"]


def of(events, phase):
    return [event for event in events if event["ph"] == phase]


@pytest.fixture(scope="module")
def made():
    machine = Machine()
    machine.child("web")
    return machine


@pytest.mark.parametrize("ordered", [False, True])
def test_each_row_is_a_slice_on_the_track_of_its_processor_and_place(made, ordered):
    trace = made.trace
    events = checked(perfetto.perfetto(trace, perfetto.owners_of(made), ordered))
    slices = sorted(of(events, "X"), key=lambda event: event["args"]["row"])

    assert [event["name"] for event in slices] == trace.kinds()
    assert [event["args"]["says"] for event in slices] == trace.sentences()
    assert [event["cat"] for event in slices] == [trace.event(k).box for k in range(len(trace))]
    assert {event["pid"] for event in slices} == {1}  # the root makes the child
    if not ordered:
        assert [round(event["ts"] * 1000) for event in slices] == trace.rows[:, 1].tolist()


def test_each_recorded_cause_is_an_arrow_between_its_two_rows(made):
    trace = made.trace
    events = checked(perfetto.perfetto(trace))
    place, starts, ends = None, {}, {}
    for event in events:
        if event["ph"] == "X":
            place = event["args"]["row"]
        elif event["ph"] in "sf":
            (starts if event["ph"] == "s" else ends)[event["id"]] = place
    causes = {k: int(cause) for k, cause in enumerate(trace.rows[:, 3]) if cause >= 0}

    assert {ends[one]: starts[one] for one in starts} == causes and causes


def test_facts_are_numbers_and_those_that_a_browser_would_round_are_text(made):
    trace = made.trace
    slices = of(checked(perfetto.perfetto(trace)), "X")

    for event in slices:
        for name, value in trace.facts(event["args"]["row"]).items():
            assert event["args"][name] == (value if abs(value) < 2**53 else hex(value % 2**64))
    assert [perfetto.exact(value) for value in (2**53 - 1, 2**53, -1)] == [2**53 - 1, "0x20000000000000", -1]
    assert perfetto.exact(-(2**63)) == "0x8000000000000000"


def test_partitions_have_the_names_that_the_machine_knows(made):
    web = made.children["web"].vps[0]
    rows = made.trace.rows[:4].copy()
    rows[:, 2] = [0, web.number, 77, -1]
    events = checked(perfetto.perfetto(Trace(rows), perfetto.owners_of(made)))
    names = {event["pid"]: event["args"]["name"] for event in of(events, "M") if event["name"] == "process_name"}
    threads = {event["args"]["name"].split(":")[0] for event in of(events, "M") if event["name"] == "thread_name"}

    assert names == {1: "partition 1: root", 2: "partition 2: web", 0: "no partition is recorded"}
    assert {"VP 0", "VP slot 77", "no processor"} <= threads


def test_a_run_that_makes_its_processors_knows_their_partitions_by_itself(made):
    trace = made.trace
    known = [trace.facts(k) for k in trace.of("vp_created")]
    rows = trace.rows.copy()
    rows[-1, 2] = known[0]["slot"]
    pids = {event["pid"] for event in of(checked(perfetto.perfetto(Trace(rows))), "X")}

    assert known[0]["partition"] == 2 and 2 in pids


def test_a_story_is_told_by_partition_and_place_in_the_same_form(made):
    story = story_of(made.trace)
    events = checked(chrome_trace(story))

    assert len(of(events, "X")) == len(story)
    assert len(of(events, "f")) == int((story.columns["cause"] >= 0).sum())
    assert {event["args"]["name"] for event in of(events, "M") if event["name"] == "process_name"} >= {"root partition"}


def test_the_ending_of_a_name_chooses_the_form(made, tmp_path):
    for name, begins in (
        ("run.json", '{"schema": 1, "events": [['),
        ("run.trace.json", '{"traceEvents":['),
        ("run.html", "<!DOCTYPE html>"),
        ("run.svg", "<svg "),
        ("run.csv", "frame,time"),
    ):
        path = export(made, tmp_path / name)
        assert path.read_text(encoding="utf-8").startswith(begins), name
    checked((tmp_path / "run.trace.json").read_text())
    checked(export(story_of(made.trace), tmp_path / "story.trace.json", ordered=True).read_text())
    with pytest.raises(BadRequest, match=r"\.trace\.json"):
        export(made, tmp_path / "run.png")
    with pytest.raises(BadRequest):
        export(object(), tmp_path / "run.json")


def test_a_run_comes_back_from_its_json_as_it_was(made, tmp_path):
    text = export(made.trace, tmp_path / "run.json").read_text()
    again = Trace.from_json(text)

    assert (again.rows == made.trace.rows).all() and again.digest() == made.trace.digest()
    assert again.to_json() == made.trace.to_json()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data.update(schema=2),
        lambda data: data.pop("schema"),
        lambda data: data.update(events={}),
        lambda data: data["events"][1].pop(),
        lambda data: data["events"][1].__setitem__(0, "no_such_event"),
        lambda data: data["events"][1].__setitem__(3, 1),
        lambda data: data["events"][1].__setitem__(4, 2**63),
        lambda data: data["events"][1].__setitem__(4, 1.5),
        lambda data: data["events"][1].__setitem__(4, True),
    ],
)
def test_json_of_another_form_is_refused_as_a_whole(made, change):
    data = json.loads(made.trace.to_json())
    change(data)

    with pytest.raises(BadFile):
        Trace.from_json(json.dumps(data))
