"""The benchmarks compare like with like: C that compiles, equal answers, rows as promised. No time is asserted here."""

import builtins
import json
import re
import shutil

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks import apic, browser, clock, events, forensics, lessons, native, ring, screen, translation, world
from hvlab.hardware.processor import OUTCOMES
from hvlab.hardware.tlb import Geometry
from hvlab.hypervisor.partition import STATE

pytestmark = pytest.mark.compiled
READ, WRITE, USER, FETCH, PEEK = 0, 2, 4, 16, 512


@pytest.fixture(scope="module")
def walker():
    assert shutil.which("cc") or shutil.which("gcc") or shutil.which("clang"), "the benchmarks need a C compiler"
    return native.Walker(STATE, ("-Wall", "-Wextra", "-Werror"))


@pytest.mark.parametrize("name", [*world.PATTERNS, *world.TRACES])
def test_c_and_the_engine_agree_on_faults_spas_memory_and_state(walker, name):
    guest = world.pattern(name, 3000) if name in world.PATTERNS else world.real_trace(name, 3000)

    ratios = translation.compare(guest, walker.run, translation.engine(), pairs=2)

    assert len(ratios) == 2
    assert all(ratio > 0 for ratio in ratios)


@pytest.mark.parametrize("kind", apic.KINDS)
def test_c_and_the_engine_agree_on_each_interrupt_taken_and_on_the_state(kind):
    ratios = apic.compare(kind, 3000, apic.Twin(("-Wall", "-Wextra", "-Werror")), pairs=2)

    assert len(ratios) == 2


@pytest.mark.parametrize("payload", ring.PAYLOADS)
def test_c_and_the_engine_agree_on_each_byte_of_a_ring_and_on_both_its_ends(payload):
    ratios = ring.compare(payload, 800, ring.Twin(("-Wall", "-Wextra", "-Werror")), pairs=2)

    assert len(ratios) == 2


@pytest.mark.parametrize("name", events.SCENES)
def test_c_and_the_event_kernel_agree_on_each_answer_and_on_the_state(name):
    ratios = events.compare(name, 4000, events.Twin(("-Wall", "-Wextra", "-Werror")), pairs=2)

    assert len(ratios) == 2
    assert events.steps_of(name, 4000) > 4000 or not events.SCENES[name][2]


def test_events_that_are_told_are_no_less_than_the_steps_taken():
    name = "core scheduler, eight guests"

    _, told = events.told(name, 2000)

    assert told > events.steps_of(name, 2000) > 2000


def test_simpy_missing_is_said_plainly(monkeypatch):
    monkeypatch.setattr(events.importlib.util, "find_spec", lambda name: None)

    row = events.against_simpy(1000, 1)

    assert row.meets is None
    assert "simpy is not installed" in command.table_row(row)


def spoiled(guest, seed):
    """Break entries of full tables, change registers, and ask for all kinds of accesses: many kinds of faults come."""
    random = np.random.default_rng(seed)
    tables = guest.mem[guest.state["pages"][0] :].reshape(-1, 512)
    held = np.count_nonzero(tables, axis=1)
    full = np.flatnonzero((tables != 0) & (held > 8)[:, None]) + guest.state["pages"][0]
    chosen = random.choice(full, len(full) // 40)
    guest.mem[chosen] ^= np.int64(1) << random.choice([0, 1, 2, 3, 4, 7, 8, 10, 51, 62], len(chosen))
    guest.gva[::97] ^= np.int64(1) << 60
    guest.access[:] = random.choice([READ, WRITE, USER, USER | WRITE, FETCH, USER | FETCH, 256, PEEK], len(guest.gva))
    vp = guest.state["vp"][0, 0]
    vp["cr4"] |= (1 << 20 | 1 << 21 | 1 << 22) * (seed & 1)
    vp["pkru"], vp["mbec"], vp["execute_only"] = 0b1110 * (seed & 1), seed >> 1 & 1, seed & 1
    vp["second_level"], vp["host_nxe"] = 1 + (seed >> 2 & 1), seed & 1
    if seed == 3:
        guest.state["pages"] = guest.state["pages"] // 2  # tables where there is no memory
    return guest


def test_c_and_the_engine_agree_where_translations_fail(walker):
    small = Geometry(l1_sets=2, l1_ways=2, l2_sets=4, l2_ways=3, nested_sets=2, nested_ways=2, structure_ways=2)
    seen = set()
    for seed in range(8):
        guest = spoiled(world.pattern("Zipf 1.2", 4000, seed), seed)
        small.into(guest.state["lp"][0, 0]["tlb"])

        translation.compare(guest, walker.run, translation.engine(), pairs=1)

        state, mem, fault, spa = guest.copy()
        walker.run(state, mem, guest.gva, guest.access, fault, spa)
        seen |= {OUTCOMES[kind] for kind in (fault & 255).tolist()}

    assert seen == set(OUTCOMES.values())


def test_a_difference_between_the_sides_stops_the_benchmark(walker):
    guest = world.pattern("random", 100)

    def wrong(*side):
        done = walker.run(*side)
        side[-1][7] ^= 1
        return done

    with pytest.raises(AssertionError, match="SPAs of the two sides differ"):
        translation.compare(guest, wrong, translation.engine(), pairs=1)


def test_volatility_missing_is_said_plainly(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "volatility3":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)

    rows = list(forensics.against_volatility(1, 1, lambda name: True))

    assert [(row.ratio, row.meets) for row in rows] == [(None, None), (None, None)]
    assert all("volatility3 is not installed" in command.table_row(row) for row in rows)


def test_the_json_has_the_promised_rows(tmp_path, capsys, monkeypatch):
    out = tmp_path / "rows.json"
    monkeypatch.setattr("sys.argv", ["benchmarks", "--quick", "--only", "one translation", "--json", str(out)])

    assert command.main() == 0

    rows = json.loads(out.read_text())
    assert [row["name"] for row in rows] == ["one translation from Python, recorded, us"]
    assert set(rows[0]) == {"name", "ratio", "low", "high", "target", "meets"}
    assert rows[0]["low"] <= rows[0]["ratio"] <= rows[0]["high"]
    assert "| one translation from Python, recorded, us |" in capsys.readouterr().out


def test_without_a_browser_each_screen_row_says_so_and_is_not_met(monkeypatch):
    monkeypatch.setenv("HVLAB_BROWSER", "no-such-browser")
    counted = {name for name in screen.MOST if re.search("KiB|storyboard|kernel memory", name)} - {screen.RESTING}

    rows = list(screen.everything(True, lambda name: name not in counted))

    assert sorted(row.name for row in rows) == sorted(set(screen.MOST) - counted)
    assert all((row.ratio, row.meets, row.note) == (None, False, "not measured: no browser") for row in rows)
    assert {row.target for row in rows} >= {"<= 16", "<= 8", "<= 150", "<= 600", "<= 2.5", "<= 1500", "<= 40", "<= 0"}
    assert all("not measured: no browser" in command.table_row(row) for row in rows)


def test_each_lesson_has_a_first_story_and_two_rows():
    found = {number: lessons.first_story(path) for number, path in lessons.paths().items()}

    assert list(found) == screen.LESSONS and all(cell > 3 for cell in found.values())
    assert all(screen.MOST[screen.LESSON_FIRST.format(number)] == 2 for number in found)
    assert all(screen.MOST[screen.LESSON_MEMORY.format(number)] == 300 for number in found)


def test_the_memory_of_a_kernel_is_read_after_a_run_from_top_to_bottom(tmp_path):
    path = tmp_path / "tiny.ipynb"
    book = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    sources = ["import os, hvlab", "held = bytearray(os.urandom(64 << 20))"]
    for k, text in enumerate(sources):
        book["cells"].append(
            {"cell_type": "code", "id": f"c{k}", "metadata": {}, "source": text, "outputs": [], "execution_count": None}
        )
    path.write_text(json.dumps(book))

    assert 64 << 10 < lessons.memory(path) < 400 << 10


def test_the_bytes_of_real_walks_stay_within_their_budgets(monkeypatch):
    short = screen.walks(500)
    monkeypatch.setattr(screen, "walks", lambda frames: short)

    rows = list(screen.everything(True, lambda name: name in (screen.EVENTS_500, screen.MODULE, screen.PAGE)))

    assert [row.name for row in rows] == [screen.EVENTS_500, screen.MODULE, screen.PAGE]
    assert all(row.meets and row.low == row.ratio == row.high for row in rows)
    assert [row.target for row in rows] == ["<= 30", "<= 40", "<= 100"]


def test_a_step_is_the_work_from_its_key_to_the_frame_that_shows_it():
    def event(name, ts, dur, cpu, kind=""):
        data = {"data": {"type": kind}} if kind else {}
        return {"ph": "X", "name": name, "ts": ts, "dur": dur, "tdur": cpu, "pid": 1, "tid": 1, "args": data}

    trace = [
        event("RunTask", 0, 900, 900),  # before the key
        event("RunTask", 1000, 4000, 3100),
        event("EventDispatch", 1100, 3000, 3000, "keydown"),
        event("Layout", 2000, 500, 500),  # inside the handler: counted with it
        event("RunTask", 6000, 8000, 5000),
        event("UpdateLayoutTree", 6100, 200, 200),
        event("Layout", 6400, 2000, 1800),
        event("Commit", 9000, 100, 100),
        event("RunTask", 15_000, 2000, 2000),  # the next frame of a movement
        event("Commit", 16_000, 100, 100),
        event("EventDispatch", 20_000, 9, 9, "keydown"),  # back to the first frame: not a step
    ]

    total, drawing = screen.work_of_steps(trace, [True, False])

    assert total == [8.1] and drawing == [5.0]
    assert screen.row(screen.WORK.format(screen.STORIES[0]), [1.0] * 19 + [99.0], "").ratio < 99


def test_a_browser_that_is_named_must_be_there(monkeypatch):
    monkeypatch.setenv("HVLAB_BROWSER", "no-such-browser")

    with pytest.raises(browser.NotHere, match="no browser"):
        browser.program()


def test_a_row_meets_its_target_by_its_median():
    assert clock.at_most("a", [0.9, 1.0, 3.0], 1.0).meets
    assert not clock.at_most("a", [0.9, 1.01, 1.02], 1.0).meets
    assert clock.at_least("a", [99, 100, 101], 100).meets
