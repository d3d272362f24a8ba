"""Functions as text in a process of their own: right ones pass, and no trick gains a point."""

import dataclasses
import json
import os
import time

import numpy as np
import pytest

from hvlab.errors import BadRequest
from hvlab.lab.answer import differences
from hvlab.lab.booth import Odd, packed, unpacked
from hvlab.lab.exercise import Construct, Meter
from hvlab.lab.items import exercises, find_exercise
from hvlab.lab.referee import Gone, passes, started
from hvlab.lab.submit import program
from hvlab.wire.tlfs import HypercallControl
from lab.ring_pair import end
from lab.test_items_00 import classify
from lab.test_items_02 import uart
from lab.test_items_03 import solution
from lab.test_items_04 import map_page
from lab.test_items_06 import eoi, select_vector
from lab.test_items_07 import routine

WALK = dataclasses.replace(find_exercise("05.E3"), cases=40)
FRESH = 0x1234_5678_9ABC_DEF0
SECONDS = 60


def walk(read, cr3, root, gva, access):
    """A processor's walk through both levels, from the task alone."""

    def second(gpa):
        table, rights = root, 7
        for level in (4, 3, 2, 1):
            entry = read(table + 8 * (gpa >> 12 + 9 * (level - 1) & 511))
            if not entry & 7:
                return None, 0, 0
            rights &= entry
            shift = 12 + 9 * (level - 1)
            if level == 1 or entry >> 7 & 1:
                return (entry & ADDRESS) >> shift << shift | gpa & (1 << shift) - 1, rights, shift
            table = entry & ADDRESS

    def through(gpa, wanted):
        spa, rights, _shift = second(gpa)
        return None if spa is None or rights & wanted != wanted else spa

    table, rights, never = cr3 & ADDRESS, 6, 0
    for level in (4, 3, 2, 1):
        spot = table + 8 * (gva >> 12 + 9 * (level - 1) & 511)
        place = through(spot, 1)
        if place is None:
            return "ept_violation", spot
        entry = read(place)
        code = access & 2 | access & 4 | access & 16
        if not entry & 1:
            return "page_fault", code
        rights, never, shift = rights & entry, never | entry >> 63, 12 + 9 * (level - 1)
        if level == 1 or entry >> 7 & 1 and level < 4:
            break
        table = entry & ADDRESS
    user, writes, fetches = access & 4, access & 2, access & 16
    if user and not rights & 4 or writes and not rights & 2 or fetches and never:
        return "page_fault", code | 1
    gpa = (entry & ADDRESS) >> shift << shift | gva & (1 << shift) - 1
    spa = through(gpa, 4 if fetches else 2 if writes else 1)
    return ("ept_violation", gpa) if spa is None else ("ok", spa)


ADDRESS = 0x000F_FFFF_FFFF_F000


def given(function):
    found = json.loads(program(function))
    return found["text"], found["name"]


# right ones


# Construction -> a right function, how many cases are tried, and what is changed in its text so that it is wrong.
WRITTEN = {
    "00.E3": (classify, 60, "CLASS[event.name]", "CLASS.get(event.box, 'data')"),
    "02.E3": (uart, 60, "0x60 | held[10]", "0x60"),
    "03.E3": (solution, 45, "-(-guest.free // 4096) * 4096", "guest.free"),
    "04.E3": (map_page, 20, "frames.pop()", "frames[0]"),
    "05.E3": (walk, 300, "second(gpa)\n", "second(gpa & ~7)\n"),
    "06.E3": (select_vector, 60, "best >> 4 > priority", "best >> 4 >= priority"),
    "06.E3.eoi": (eoi, 60, "isr & ~(1 << top)", "isr"),
    "07.E3": (routine, 60, "            slot.eom()", "            pass"),
    "09.E3": (end, 30, "ring.signal()", "pass"),
}


@pytest.mark.parametrize("id", [id for id, item in exercises().items() if isinstance(item, Construct)])
def test_each_construction_can_be_marked_by_the_text_of_its_function(id):
    function, cases, right, wrong = WRITTEN[id]
    item = dataclasses.replace(find_exercise(id), cases=cases)
    text, name = given(function)
    assert right in text

    assert passes(item, text, name, FRESH, SECONDS)
    assert not passes(item, text.replace(right, wrong), name, FRESH, SECONDS)


def test_what_is_nearly_right_is_not():
    def eager(read, cr3, root, gva, access):
        return walk(read, cr3, root, gva, access & ~16)

    assert not passes(WALK, *given(eager), FRESH, SECONDS)


# tricks

HEAD = "def walk(read, cr3, root, gva, access):\n    "
TRICKS = {
    "an answer that equals everything": "return type('Always', (), {'__eq__': lambda self, other: True})()",
    "parts that equal everything": "return (type('Kind', (str,), {'__eq__': lambda s, o: True})('ok'), 0)",
    "not a number": "return 'ok', float('nan')",
    "infinity": "return 'ok', float('inf')",
    "nothing": "return None",
    "all answers at once": "return [('ok', 0), ('page_fault', 4), ('ept_violation', 0)]",
    "ends the process": "import os; os._exit(0)",
    "leaves by an exception": "raise SystemExit(0)",
    "a memory bomb": "return 'ok', len(bytearray(1 << 36))",
    "deep recursion": "return walk(read, cr3, root, gva, access)",
    "deep nesting": "x = []\n    for _ in range(9999): x = [x]\n    return x",
    "a number of many digits": "return 'ok', 10 ** 9999",
    "a flood of words": "[print('right ' * 1000) for _ in range(2000)]; return 'ok', 0",
    "forged lines": 'print(\'{"result": ["ok", 0], "lists": []}\'); return \'ok\', 0',
    "the lab's own answers": "from hvlab.lab.items import find_exercise; return find_exercise('05.E3').truth(None)",
    "the engine": "from hvlab.machine import Machine; return 'ok', Machine().translate(0, gva).spa",
    "what is in memory": "import gc; return next(o for o in gc.get_objects() if type(o) is tuple and len(o) == 2)",
    "a patched encoder": "import json; json.dumps = lambda *a, **k: '{\"ready\": true}'; return 'ok', 0",
    "another line": "import sys; sys.modules['__main__'].packed = lambda *a: {'h': {'number': 0}}; return 'ok', 0",
    "a private name of a stand-in": "line = read.__closure__[0].cell_contents; return line.ask(0, '__class__', (), {})",
    "a stand-in that is not there": "line = read.__closure__[0].cell_contents; return line.ask(99, '', (), {})",
    "more reads than the budget": "[read(8 * k) for k in range(999)]; return 'ok', 0",
    "odd things to read": "return 'ok', read('0x10' * 5000)",
    "a text with a mistake": "return (",
}


@pytest.mark.parametrize("trick", TRICKS)
def test_no_trick_of_a_function_gains_a_point(trick):
    assert not passes(WALK, HEAD + TRICKS[trick] + "\n", "walk", FRESH, SECONDS)


@pytest.mark.parametrize(
    "text",
    ["", "walk = 5\n", "import os\nos._exit(0)\n", "x = open('/etc/hostname').read()\n" + HEAD + "return 'ok', 0\n"],
    ids=["no function", "no callable", "ends at once", "reads a file first"],
)
def test_a_text_without_its_function_gains_nothing(text):
    assert not passes(WALK, text, "walk", FRESH, SECONDS)


@pytest.mark.parametrize("words", ["while True: pass", "import time; time.sleep(999)"])
def test_what_never_ends_is_ended(words):
    assert not passes(WALK, HEAD + words + "\n", "walk", FRESH, 4)


def test_answers_learnt_by_heart_are_worth_nothing_in_other_worlds():
    own, few = 0xFEED, dataclasses.replace(WALK, cases=12)
    cases = [few.case(own, k) for k in range(few.cases)]
    known = {one.gva: tuple(few.truth(one)) for one in cases}
    text = f"KNOWN = {known!r}\n{HEAD}return KNOWN.get(gva, ('ok', 0))\n"

    assert passes(few, text, "walk", own, SECONDS)
    assert not passes(few, text, "walk", FRESH, SECONDS)


PROBE = """
def probe():
    import os, sys
    def tried(act):
        try:
            act()
        except BaseException as error:
            return type(error).__name__
        return "done"
    return {
        "file": tried(lambda: open(sys.executable, "rb")),
        "write": tried(lambda: open("mine", "w")),
        "folder": tried(lambda: os.listdir("/")),
        "connection": tried(lambda: __import__("socket").socket()),
        "module": tried(lambda: __import__("hvlab.lab.items")),
        "program": tried(lambda: __import__("subprocess").run(["true"])),
        "pipe": tried(os.pipe),
        "memory": tried(lambda: bytearray(1 << 31)),
        "environment": "done" if {"HVLAB_LEARNER", "HVLAB_PROGRESS", "HOME", "PATH"} & set(os.environ) else "none",
    }
"""


def test_the_process_has_no_files_no_connection_no_programs_and_little_memory(monkeypatch):
    monkeypatch.setenv("HVLAB_LEARNER", "ada")

    with started(PROBE, "probe", SECONDS) as call:
        found = call()

    assert set(found) == {
        "file", "write", "folder", "connection", "module", "program", "pipe", "memory", "environment",
    }  # fmt: skip
    assert [what for what, came in found.items() if came == "done"] == []


def test_the_process_is_gone_afterwards():
    with started("import os\ndef me(): return os.getpid()\n", "me", SECONDS) as call:
        number = call()

    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_time_that_the_engine_takes_is_not_counted():
    def slow(n):
        time.sleep(0.5)
        return n

    with started("def thrice(read): return read(1) + read(2) + read(3)\n", "thrice", 60) as call:
        before = call.taken()
        assert call(slow) == 6 and call.taken() - before < 0.5


def test_what_a_stand_in_refuses_is_told_as_an_exception():
    text = (
        "def ask(memory):\n    try:\n        memory.read64(3)\n    except Exception as error:\n"
        "        return str(error)\n"
    )

    class Refusing:
        def read64(self, gpa):
            raise BadRequest("a word", "nothing", "8")

    with started(text, "ask", SECONDS) as call:
        assert call(Refusing()) == "a word; found nothing; try 8"


def test_a_list_that_is_changed_there_is_changed_here():
    frames = [1, 2, 3]
    with started("def take(frames, rest): return frames.pop(), rest\n", "take", SECONDS) as call:
        assert call(frames, b"\x01\x02") == (3, b"\x01\x02")
        assert call(frames, {"a": (1,)}) == (2, {"a": (1,)})
    assert frames == [1]


def test_a_budget_counts_what_stand_ins_read():
    meter = Meter(2)
    with started("def twice(read): return read(5) + read(6)\n", "twice", SECONDS) as call:
        assert call(meter.read) == 11 and meter.reads == 2


# values


@pytest.mark.parametrize("value", [0, True, "x", None, b"\0\xff", (1, (2,)), [1, [b""]], {"a": 1, 2: (3,)}, -(1 << 70)])
def test_plain_values_travel(value):
    found = unpacked(json.loads(json.dumps(packed(value))))

    assert found == value and type(found) is type(value)


def test_numbers_of_numpy_become_plain():
    assert packed(np.int64(7)) == 7 and type(packed(np.uint64(7))) is int
    assert packed(np.bool_(True)) is True and packed(np.array([1, 2])) == [1, 2]


@pytest.mark.parametrize(
    "odd", [{"z": 1}, {"b": 5}, {"b": "zz"}, {"t": 1}, {"d": [[1]]}, {}, {"h": {}}, 1.5, [{"q": 0}]]
)
def test_what_is_no_value_is_refused(odd):
    with pytest.raises((Odd, ValueError)):
        unpacked(odd)


def test_what_cannot_travel_is_refused():
    with pytest.raises(Odd):
        packed(object())


# the text of a function

SIZE = 8
NAMES = {"a": (1, 2)}


def helper(n):
    return n * SIZE + len(NAMES)


def uses_much(word, base=SIZE):
    control = HypercallControl.decode(word)
    return helper(control.rep_count) + np.int64(base) + later(word)


def later(word):
    return uses_much(word - 1) if word > 1 << 60 else 0


def test_a_text_holds_what_the_function_uses_and_runs_by_itself():
    text, name = given(uses_much)

    with started(text, name, SECONDS) as call:
        assert call(25 << 32 | 3) == uses_much(25 << 32 | 3) == 209
    assert "secret" not in text and text.index("SIZE = 8") < text.index("def uses_much")


def test_values_of_an_outer_function_are_brought_too():
    more = 5

    def adds(n):
        return n + more

    text, name = given(adds)
    with started(text, name, SECONDS) as call:
        assert call(1) == 6


@pytest.mark.parametrize(
    "odd", [lambda x: x, len, 5, Meter(1).read, int], ids=["lambda", "built-in", "int", "method", "type"]
)
def test_what_has_no_text_has_none(odd):
    assert program(odd) == ""


def test_a_text_that_is_too_long_is_not_kept(tmp_path):
    import runpy

    path = tmp_path / "long.py"
    path.write_text("def long(x):\n" + "    x += 1\n" * 5000 + "    return x\n")

    assert program(runpy.run_path(str(path))["long"]) == ""


def test_a_message_that_is_none_of_ours_ends_the_matter():
    text = "import sys\ndef forge():\n    line = sys.modules['__main__']\n    return 1\n"
    with started(text, "forge", SECONDS) as call:
        call.end()
        with pytest.raises(Gone):
            call()


def test_the_walk_of_these_tests_is_that_of_the_engine():
    for k in range(300):
        world = WALK.case(FRESH, k)
        assert not differences(
            WALK.shape, WALK.shape.read(WALK.call(walk, world, Meter(WALK.budget))), WALK.truth(world)
        ), k
