"""The map of the host: every box of the diagram, wires in the gutters, tokens apart, nothing drawn without an event."""

from itertools import combinations

import pytest

from hvlab.errors import BadRequest
from hvlab.lab.glossary import BOXES as WORDS
from hvlab.lab.glossary import COLUMNS as COLUMN_WORDS
from hvlab.story.host import BOX_HEIGHT, BOXES, COLUMNS, HEIGHT, WIDTH, places, routes, wires
from hvlab.story.hostmap import MOST_LIT, _spots, along, host_map
from hvlab.story.picture import alt_at, elements
from hvlab.story.routes import compute, corners, frames, obstacles
from hvlab.story.steps import steps
from hvlab.story.system import SystemLens, create_child, one_intercept
from story.machines import runs


def pieces(points):
    return list(zip(points, points[1:], strict=False))


def meets(piece, rectangle):
    (ax, ay), (bx, by) = piece
    left, top, right, bottom = rectangle
    return min(ax, bx) < right and max(ax, bx) > left and min(ay, by) < bottom and max(ay, by) > top


def test_every_box_of_the_diagram_has_its_place():
    drawn = {box.card for box in BOXES.values()}

    assert drawn >= set(WORDS) - set(COLUMN_WORDS)
    assert {title for title, _, _ in COLUMNS.values()} == set(COLUMN_WORDS) - {"hypervisor", "hardware"}


def test_boxes_stand_on_the_paper_and_apart():
    for box in BOXES.values():
        assert box.x > 0 and box.x + box.width < WIDTH and box.y > 0 and box.y + BOX_HEIGHT < HEIGHT
    for one, other in combinations(BOXES.values(), 2):
        beside = one.x + one.width < other.x or other.x + other.width < one.x
        assert beside or one.y + BOX_HEIGHT < other.y or other.y + BOX_HEIGHT < one.y


def test_the_buses_share_one_height():
    assert len({box.y for box in BOXES.values() if box.label == "VMBus"}) == 1
    assert sum(box.label == "VMBus" for box in BOXES.values()) == 3


def test_the_routes_are_those_that_the_layout_gives():
    assert compute() == routes()


@pytest.mark.parametrize("pair", wires(), ids=" to ".join)
def test_a_wire_is_level_or_upright_and_meets_no_box_count_or_title(pair):
    for (ax, ay), (bx, by) in pieces(routes()[pair]):
        assert ax == bx or ay == by
    own = [(b.x, b.y, b.x + b.width, b.y + BOX_HEIGHT) for b in (BOXES[name] for name in pair)]
    for piece in pieces(routes()[pair]):
        assert not any(meets(piece, rectangle) for rectangle in [*obstacles(without=pair), *own])


@pytest.mark.parametrize("pair", wires(), ids=" to ".join)
def test_a_wire_ends_on_the_borders_of_its_boxes(pair):
    for name, (x, y) in zip(pair, (routes()[pair][0], routes()[pair][-1]), strict=True):
        box = BOXES[name]
        on_side = x in (box.x, box.x + box.width) and box.y <= y <= box.y + BOX_HEIGHT
        assert on_side or (y in (box.y, box.y + BOX_HEIGHT) and box.x <= x <= box.x + box.width)


def test_no_wire_runs_along_a_frame():
    upright, level = frames()
    for pair in wires():
        for (ax, ay), (bx, by) in pieces(routes()[pair]):
            assert ax != bx or ax not in upright
            assert ay != by or ay not in level


@pytest.mark.parametrize("name", ["power_on", "create_child", "one_load", "one_intercept"])
def test_tokens_stand_apart_and_on_their_wires(name):
    moves = {move for step in steps(runs()[name]) for move in step.moves}
    paths = [pair for pair in routes() if any({move[0], move[1]} == set(pair) for move in moves)]

    spots = _spots(paths)

    for one, other in combinations(spots.values(), 2):
        assert max(abs(one[0] - other[0]), abs(one[1] - other[1])) >= 24
    for pair, spot in spots.items():
        assert spot in [along(routes()[pair], k / 40) for k in range(3, 38)]


@pytest.mark.parametrize("name", ["power_on", "create_child", "one_load", "one_intercept", "destroyed"])
@pytest.mark.parametrize("guest", ["windows", "linux", "unenlightened"])
def test_every_move_has_a_wire_and_only_moves_have_one(name, guest):
    found = steps(runs()[name], "event", guest)

    drawn = host_map(found, "web", guest)

    moves = {frozenset(move[:2]) for step in found for move in step.moves}
    assert moves <= {frozenset(pair) for pair in wires()}
    ids = {element[1] for element in elements(drawn.picture.layer)}
    assert sum(id.startswith("way") for id in ids) == len(moves)


@pytest.mark.parametrize("grain", ["request", "event", "bit"])
def test_at_most_seven_boxes_are_lit_and_each_is_counted(grain):
    story = create_child(runs()["create_child"], SystemLens(grain))
    facts = [fact["name"] for fact in story.scene["facts"] if fact["name"].startswith("lit")]

    lit = [sum(state[fact] for fact in facts) for state in story.states(0, len(story) - 1)]

    assert min(lit) >= 1 and max(lit) <= MOST_LIT


def test_the_picture_is_said_in_words():
    story = one_intercept(runs()["one_intercept"], SystemLens(name="web"))
    said = alt_at(story.scene["pictures"][0], story.state_at(3), story.kinds_of_facts, story.enums)

    assert said == "Lit: intercepts and VID of root; a token goes from the first to the second: a message."


def test_cards_come_from_whoever_has_a_glossary():
    found = {place.name: place for place in places({"linux": "web"}, {"VID": ("A card.", "A source.")})}

    assert (found["root.VID"].says, found["root.VID"].source) == ("A card.", "A source.")
    assert found["linux.hv core"].label == "hv core of web"
    assert all(place.says and place.where and place.source for place in found.values())


def test_a_column_that_does_not_exist_is_refused():
    with pytest.raises(BadRequest, match="beos"):
        places({"beos": "web"})


def test_corners_leave_out_what_lies_between():
    assert corners([(0, 0), (0, 0), (4, 0), (8, 0), (8, 4), (8, 9)]) == [(0, 0), (8, 0), (8, 9)]
