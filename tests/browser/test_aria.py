"""What a screen reader meets: each kind of picture and each kind of question, at a moment that matters, read and kept.

After a wanted change: `HVLAB_REFRESH=1 pytest tests/browser/test_aria.py`, then read the difference as it is heard.
"""

import re
from functools import cache

import pytest
from story.buses import whole_life
from story.counter import GATE, counter
from story.machines import runs
from story.walks import CACHED, GVA, USER, WRITE, plain, unmapped

from browser.conftest import frame, kept
from hvlab.lab.doorbells import doorbells
from hvlab.lab.items import find
from hvlab.story.call import call_story
from hvlab.story.channels import bus_story
from hvlab.story.gate import Gate
from hvlab.story.pairs import two_runs
from hvlab.story.storyboard import Storyboard
from hvlab.story.system import SystemLens, create_child, one_intercept
from hvlab.story.walk import WalkLens

pytestmark = pytest.mark.browser
SQUARES = ["square", "square-own", "square-fault", "square-cached"]
PICTURES = ["map", "lanes", "owners", "call", *SQUARES, "two-runs", "bytes", "channels", "rings", "bells"]


def walk(world, *accesses):
    return WalkLens().story(world.go(*accesses))


def first(story: Storyboard, kind: str) -> int:
    """The first frame of a kind."""
    kinds = [story.scene["kinds"][int(number)]["name"] for number in story.columns["kind"]]
    return kinds.index(kind)


@cache
def moments() -> dict[str, tuple[Storyboard, str, int]]:
    """Name of a picture -> story, the picture's button (or nothing), frame."""
    made, exit_ = create_child(runs()["create_child"]), one_intercept(runs()["one_intercept"], SystemLens(name="web"))
    pair = two_runs(runs()["one_load"], runs()["one_intercept"], ("load", "exit"), "who maps the page")
    called, square = call_story(runs()["create_child"]), walk(plain(), (GVA, USER))
    fault = walk(unmapped(), (GVA, USER | WRITE))
    cached = walk(plain(geometry=CACHED), (GVA, USER), (GVA, USER | WRITE))
    life = bus_story(whole_life())
    return {
        "map": (exit_, "Map", first(exit_, "vp_exited")),
        "lanes": (exit_, "Lanes", first(exit_, "vp_exited")),
        "owners": (made, "Owners", first(made, "page_given")),
        "call": (called, "", first(called, "hypercall_returned")),
        "square": (square, "", 12),
        "square-own": (walk(plain(kind="none"), (GVA, USER)), "", 3),
        "square-fault": (fault, "", len(fault) - 1),
        "square-cached": (cached, "", len(cached) - 1),
        "two-runs": (pair, "", len(pair) // 2),
        "bytes": (counter(gates=()), "Bytes", 4),
        "channels": (life, "Channels", first(life, "gpadl_mapped")),
        "rings": (life, "Rings 1", first(life, "doorbell_rung")),
        "bells": (doorbells().story, "", 100),
    }


CHOICES = [{"value": 1, "label": "the root"}, {"value": 2, "label": "the child"}, {"value": 4, "label": "the disk"}]
QUESTIONS = {
    "number": lambda story: GATE,
    "yes": lambda story: Gate("q.yes", 0, "Does it run over?", "yes", "state", at=5),
    "pick": lambda story: Gate("q.pick", 0, "Who is told?", "pick", "digit0", at=4, choices=CHOICES),
    "subset": lambda story: Gate("q.subset", 0, "Who are told?", "subset", "digit0", at=8, choices=CHOICES),
}


def picture_as_heard(page) -> str:
    """The picture's name and description in the browser's own accessibility tree; what is in it must not be heard."""
    tree = page.context.new_cdp_session(page)
    root = tree.send("DOM.getDocument")["root"]["nodeId"]
    found = tree.send("DOM.querySelector", {"nodeId": root, "selector": ".hvlab .picture"})["nodeId"]
    if not found:
        return ""
    node = tree.send("Accessibility.getPartialAXTree", {"nodeId": found, "fetchRelatives": False})["nodes"][0]
    assert node["role"]["value"] in ("image", "img")
    inside = tree.send("Accessibility.queryAXTree", {"nodeId": found})["nodes"]
    assert [one for one in inside if not one["ignored"] and one["nodeId"] != node["nodeId"]] == []
    return f"# the picture is: {node['name']['value']}\n# and described as: {node['description']['value']}\n"


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_heard_as_it_was_read_and_kept(open_story, name):
    story, tab, k = moments()[name]
    page = open_story(story, teacher=True, viewport={"width": 1280, "height": 720})

    if tab:
        page.get_by_role("button", name=tab, exact=True).click()
    page.locator(".number").fill(str(k))
    page.locator(".number").press("Enter")
    assert frame(page) == k

    says, stage = (page.locator(one).aria_snapshot() for one in (".says", ".stage"))
    kept(name, picture_as_heard(page) + f"{says}\n{re.sub(r'- .?img .*', '- img', stage)}\n")


@pytest.mark.parametrize("kind", QUESTIONS)
def test_a_question_is_heard_as_it_was_read_and_kept(open_story, kind):
    story = counter(gates=())
    page = open_story(story.with_gates([QUESTIONS[kind](story)]))
    page.get_by_role("button", name="Last", exact=True).click()

    asked = page.locator("form.gate").aria_snapshot()
    page.get_by_role("button", name="Answer", exact=True).click()

    after = page.locator(".gates").aria_snapshot()  # of several choices none may be the answer
    kept(f"question-{kind}", f"{asked}\n# Answer, with nothing chosen\n{after}\n")


def test_a_question_with_reasons_and_one_of_order_are_heard_as_they_were_read_and_kept(open_story):
    story = walk(unmapped(), (GVA, USER | WRITE))
    page = open_story(story.with_gates([find("05.violation").gate(story)]))
    kept("question-reasons", page.locator("form.gate").aria_snapshot() + "\n")

    story = counter(gates=())
    at = next(k for k in range(len(story)) if story.value("count", k) == 0x12)  # as if the root came first
    gate = Gate("q.order", 0, "In which order?", "order", "count", at, choices=CHOICES[1::-1])
    page = open_story(story.with_gates([gate]))
    page.get_by_role("button", name="Last", exact=True).click()
    kept("question-order", page.locator("form.gate").aria_snapshot() + "\n")
