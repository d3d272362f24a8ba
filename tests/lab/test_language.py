"""What a learner reads goes through gettext: in the pseudo-language no plain text is left."""

import ast
import re
from html import unescape
from pathlib import Path

import pytest

from hvlab import language
from hvlab.capture import describe, samples
from hvlab.capture.devices import GUID, MEANINGS
from hvlab.capture.gate import content
from hvlab.capture.guestlog import ABSENT
from hvlab.capture.kvmlog import NAMES as CALL_NAMES
from hvlab.capture.samples import texts
from hvlab.lab import check as checking
from hvlab.lab import items
from hvlab.lab.check import check, task
from hvlab.lab.deal import again, hand
from hvlab.lab.hint import hint
from hvlab.lab.hunt import hunt
from hvlab.lab.predict import predict
from hvlab.lab.progress import progress
from hvlab.lab.recall import recall
from hvlab.lab.study import study
from hvlab.lab.tell import tell
from hvlab.lab.walks import one_walk
from hvlab.language import CLOSE, N_, OPEN, PSEUDO, _, lang, ngettext, pseudo
from hvlab.story.compare import compare
from hvlab.view.explain import explain
from hvlab.view.report import html
from hvlab.wire.cpuid import RecommendationBits
from hvlab.wire.guids import CLASSES, INSTANCES
from hvlab.wire.hypercalls import CALLS
from hvlab.wire.tlfs import Msr, PrivilegeMask, Status
from hvlab.wire.vmbus import NAMES as MESSAGES
from hvlab.wire.vmbus import VERSIONS

LAB = Path(language.__file__).parent / "lab"
SAY = (
    "check",
    "construct",
    "deal",
    "hint",
    "hunt",
    "progress",
    "recall",
    "scenario",
    "teacher",
    "classroom",
    "predict",
)

FILES = [*samples().values(), *texts().values()]
NAMES = (  # what no language writes otherwise: of the interfaces, of devices, and what a field of a word is for
    *("Microsoft Hyper-V", "VMBus"),
    *(text for one in (*CLASSES.values(), *INSTANCES.values()) for text in (one.name, one.symbol)),
    *(f"{one.name}: {one.doc}" for word in (PrivilegeMask, RecommendationBits) for one in word.fields),
    *(one.name for one in (*Msr, *Status, *CALLS.values())),
    *(*ABSENT, *MESSAGES.values(), *CALL_NAMES.values(), *(one.host for one in VERSIONS)),
)
ATTRIBUTES = "|".join(MEANINGS)
QUOTED = re.compile(  # numbers, rights, and what stands in a file: its odd lines, its attributes, KVM's trace points
    rf"0x[\da-f_]+|{GUID}|\b[u-]r[w-][x-]|(?<=^  ⟦liñé~~ )[\d,]+⟧: .*|^  (?:{ATTRIBUTES}) = \S+|^  state = .*"
    "|^(?:stimer|syndbg|flush|send) [a-z ]+?  "
)


@pytest.fixture
def pseudo_language(monkeypatch):
    monkeypatch.setenv("HVLAB_LANGUAGE", PSEUDO)


def left_over(text):
    """Words of a text that stand in no brackets."""
    depth, outside = 0, []
    for letter in re.sub(r"^\d\d\.\S+: ", "", text):  # an id stays as it is
        depth += (letter == OPEN) - (letter == CLOSE)
        if depth == 0 and letter not in (OPEN, CLOSE):
            outside.append(letter)
    return re.findall(r"[A-Za-z]{4,}", "".join(outside))


def test_the_pseudo_language_is_longer_accented_and_keeps_placeholders():
    said = pseudo("The case {case} differs in {place:>4}.")

    assert len(said) - len("{case}{place:>4}") > 1.3 * len("The case  differs in .")
    assert pseudo("{a} · {b:gva}") == "{a} · {b:gva}" and pseudo("4") == "4"
    assert "{case}" in said and "{place:>4}" in said and "çàšé" in said
    assert lang() == "en"
    assert said.format(case=1, place="x").startswith(OPEN)


def test_english_is_as_it_stands_and_an_unknown_language_falls_back(monkeypatch):
    assert _("right") == N_("right") == "right" and ngettext("one", "many", 2) == "many"
    monkeypatch.setenv("HVLAB_LANGUAGE", "tlh")
    assert _("right") == "right" and ngettext("one", "many", 1) == "one" and _("") == ""


def test_a_catalogue_is_used_where_there_is_one(monkeypatch):
    class German:
        def gettext(self, text):
            return {"right": "richtig"}[text]

        def ngettext(self, one, many, count):
            return "viele"

    monkeypatch.setattr(language, "_catalogue", lambda name: German())
    monkeypatch.setenv("HVLAB_LANGUAGE", "de")

    assert _("right") == "richtig" and ngettext("one", "many", 3) == "viele"


def test_every_verdict_goes_through_it(pseudo_language, capsys):
    held = hand("05.E1")
    truth = held.item.truth(held.world)
    models = [model.answer(held.world) for model in held.item.wrong]
    for answer in (
        None,
        truth,
        (0, 0, 0),
        "x",
        [1],
        {"gpa": 1},
        {"gap": 1},
        {"gpa": "x", "spa": 1, "reads": 2},
        *models,
    ):
        check("05.E1", answer)
    for answer in (
        None,
        5,
        lambda *given: ("ok", 0),
        lambda *given: 1 / 0,
        lambda read, *more: [read(0)] * 99,
        lambda *x: 1,
    ):
        check("05.E3", answer)
    check("05.X2", "A sentence.")
    check("05.X2", " ")
    check("05.X1", -1)
    capsys.readouterr  # noqa: B018
    said = capsys.readouterr().out

    lines = [line for line in said.splitlines() if not line.startswith("show(")]
    assert len(lines) > 40
    assert [line for line in lines if left_over(line)] == []


def test_tasks_hints_and_warm_ups_go_through_it(pseudo_language, capsys):
    told = [repr(task(id)) for id in items.exercises() if id[:2] == "05"]
    told += [repr(hint("05.E1", stage)).split("\n")[0] for stage in (1, 2, 3)]
    recall("05")
    again("05.E1")
    tell(one_walk(), predict("05.reads"))
    hunt("slat", "A claim.")
    told += [repr(predict("05.reads")), repr(progress()).split("\n")[0], capsys.readouterr().out.split("\n")[-2]]

    assert [text for text in told if left_over(text)] == []


def test_traces_comparisons_and_studies_go_through_it(pseudo_language):
    first, second = one_walk(), one_walk(21, 12)
    table = study("sort", page_sizes=(12, 21), limit=200)
    told = [*first.trace.sentences(), *repr(compare(first, second)).splitlines(), *str(table).splitlines()]

    assert len(told) > 40
    assert [line for line in told if set(left_over(line)) - {"first", "second", "sort"}] == []


def forgotten(line, file):
    """Words of a line that no translation reaches: outside of brackets, or put into them and not of the file."""
    for name in sorted(filter(None, NAMES), key=len, reverse=True):
        line = line.replace(name, " ")
    line = QUOTED.sub(" ", line)
    inside = (word for word in re.findall(r"[^\W\d_][\w-]{3,}~*", line) if word.isascii())
    return left_over(line) + [word for word in inside if not word.endswith("~") and word not in file]


def nodes(page):
    """What is read on a page; a word that is cut off is left out."""
    page = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
    return [re.sub(r"\S+…$", "", unescape(text)) for text in re.findall(r">([^<]+)<", page)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_a_file_is_and_holds_goes_through_it(pseudo_language, path):
    file = "" if path.suffix == ".npz" else content(path).decode()
    given = file if path in texts().values() else path

    found = explain(given)
    told = [describe(given), repr(found), *map(unescape, re.findall(r'alt="([^"]*)"', found._repr_html_()))]
    told += [text for drawing in found.drawings for text in nodes(drawing.svg())]

    lines = [line for text in told for line in text.replace(str(path), "").splitlines() if line]
    assert len(lines) > 4 and told[0].startswith(OPEN)
    assert [line for line in lines if forgotten(line, file)] == []


@pytest.mark.parametrize("name", ["pt_5lvl_nopti_1g", "npt_4lvl", "sort"])
def test_the_page_of_a_file_goes_through_it(pseudo_language, name):
    told = nodes(html(samples()[name]).replace(f"{name}.npz: hvlab", "").replace(f"{name}.npz", ""))

    assert len(told) > 100
    assert [text for text in told if forgotten(text, "")] == []


def test_what_waits_for_a_capability_says_so_in_the_learners_language(pseudo_language, tmp_path):
    disk = tmp_path / "disk"
    disk.write_bytes(b"vhdxfile" + bytes(600))

    assert not forgotten(describe(disk).replace(str(disk), ""), "")


def test_a_lab_that_fails_says_so_in_the_learners_language(pseudo_language, monkeypatch, capsys):
    monkeypatch.setattr(checking, "judge", lambda *given: 1 / 0)
    check("05.E1", [1, 2, 3])

    assert not left_over(capsys.readouterr().out)


@pytest.mark.parametrize("name", SAY)
def test_no_module_of_the_lab_prints_a_bare_text(name):
    tree = ast.parse((LAB / f"{name}.py").read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"]

    bare = [word for call in calls for word in call.args if isinstance(word, ast.Constant | ast.JoinedStr)]

    assert not bare
