"""Wires find their way: horizontal and vertical only, in the gutters between boxes, with few bends.

`python -m hvlab.story.routes` writes `host.json` again after a change of the layout.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import networkx

from hvlab.story.host import BOX_HEIGHT, BOXES, BUS, COLUMNS, HARDWARE, HYPERVISOR, KERNEL, USER, WIDTH, Box, wires

STEP: Final = 4
BOTTOM: Final = HARDWARE[0] + HARDWARE[1] - 2
BEND: Final = 40  # px that a bend costs
USED: Final = {0: 12, 1: 4, 2: 1}  # px that a step costs along another wire, so many lines away
BESIDE: Final = 3  # px that stay free around a box
TAKEN: Final = 200  # px that a door costs where another wire leaves
BADGE: Final = (26, 12)  # the count of a box: how far it reaches left of, and above, the upper right corner

Point = tuple[int, int]
Rectangle = tuple[float, float, float, float]


def titles() -> list[tuple[str, int, int, int]]:
    """Return the titles in the drawing: text, left end, baseline, width."""
    found = [(title, left + 8, 14, 8 * len(title)) for title, left, _ in COLUMNS.values()]
    for _, left, _ in COLUMNS.values():
        found += [("user mode", left + 8, USER[0] + 13, 62), ("kernel mode", left + 8, KERNEL[0] + 14, 74)]
    return [*found, ("hypervisor", 752, HYPERVISOR[0] + 15, 76), ("hardware", 760, HARDWARE[0] + 15, 68)]


def obstacles(without: Sequence[str] = ()) -> list[Rectangle]:
    """Return what no wire may touch: boxes (but for some) with the places of their counts, and titles."""
    found: list[Rectangle] = []
    for box in (box for box in BOXES.values() if box.name not in without):
        found.append((box.x - BESIDE, box.y - BESIDE, box.x + box.width + BESIDE, box.y + BOX_HEIGHT + BESIDE))
        right = box.x + box.width + BESIDE
        found.append((right - BADGE[0], box.y - BADGE[1], right + 2, box.y))
    found += [(x - 2, y - 13, x + width, y + 4) for _, x, y, width in titles()]
    return found


def lattice() -> Any:
    """Return the crossings of all lines that a wire may follow: nodes (x, y, along), a bend costs `BEND`."""
    barred = obstacles()
    xs, ys = range(0, WIDTH, STEP), range(0, BOTTOM, STEP)
    free = {(x, y) for x in xs for y in ys if not any(a <= x <= c and b <= y <= d for a, b, c, d in barred)}
    beside_x, beside_y = ({v for line in lines for v in range(line - 3, line + 4)} for lines in frames())
    graph = networkx.Graph(taken=set())
    for x, y in sorted(free):
        if x not in beside_x and y not in beside_y:
            graph.add_edge((x, y, "h"), (x, y, "v"), price=BEND)
        if (x + STEP, y) in free and y not in beside_y:
            graph.add_edge((x, y, "h"), (x + STEP, y, "h"), price=STEP)
        if (x, y + STEP) in free and x not in beside_x:
            graph.add_edge((x, y, "v"), (x, y + STEP, "v"), price=STEP)
    return graph


def frames() -> tuple[set[int], set[int]]:
    """Return the lines of the regions' frames, upright ones and level ones: no wire runs along them."""
    upright = {x for _, left, width in COLUMNS.values() for x in (left, left + width)}
    level = {y for top, height in (USER, KERNEL, HYPERVISOR, HARDWARE) for y in (top, top + height)}
    return upright, level | {BUS}


def doors(box: Box, graph: Any) -> Iterator[tuple[Point, tuple[int, int, str]]]:
    """Yield where a wire may leave a box: the point on its border, and the first crossing outside."""
    for x in range(0, WIDTH, STEP):
        if box.x + 6 <= x <= box.x + box.width - 6:
            for border, way in ((box.y, -1), (box.y + BOX_HEIGHT, 1)):
                if way < 0 and x > box.x + box.width - BADGE[0] - 2 * BESIDE:
                    continue  # the count of the box stands there
                at = next((y for y in _outwards(border, way) if (x, y, "v") in graph), None)
                if at is not None and 0 < (at - border) * way < 4 * STEP:
                    yield (x, border), (x, at, "v")
    for y in range(0, BOTTOM, STEP):
        if box.y + 6 <= y <= box.y + BOX_HEIGHT - 6:
            for border, way in ((box.x, -1), (box.x + box.width, 1)):
                at = next((x for x in _outwards(border, way) if (x, y, "h") in graph), None)
                if at is not None and 0 < (at - border) * way < 4 * STEP:
                    yield (border, y), (at, y, "h")


def _outwards(border: int, way: int) -> Iterator[int]:
    first = border // STEP * STEP
    yield from (first + STEP * k * way for k in range(5))


def route(graph: Any, first: Box, last: Box) -> list[Point]:
    """Return the corners of the cheapest way between two boxes, and raise the price of what it uses."""
    begin, end = {b: a for a, b in doors(first, graph)}, {b: a for a, b in doors(last, graph)}
    taken, abroad = graph.graph["taken"], foreign(first, last)
    for name, found in (("begin", begin), ("end", end)):
        for node, door in found.items():
            graph.add_edge(name, node, price=STEP + (TAKEN if door in taken else 0))

    def price(one: Any, other: Any, edge: Mapping[str, int]) -> int | None:
        return None if one[:2] in abroad or other[:2] in abroad else edge["price"]

    path = networkx.dijkstra_path(graph, "begin", "end", weight=price)[1:-1]
    graph.remove_nodes_from(["begin", "end"])
    for one, other in zip(path, path[1:], strict=False):
        if one[2] == other[2]:
            raise_price(graph, one, other)
    taken |= {begin[path[0]], end[path[-1]]}
    return corners([begin[path[0]], *((x, y) for x, y, _ in path), end[path[-1]]])


def raise_price(graph: Any, one: tuple[int, int, str], other: tuple[int, int, str]) -> None:
    """Make the ways along a used piece of line dear, and those right beside it."""
    for lines, price in USED.items():
        for way in {-lines, lines}:
            dx, dy = (0, STEP * way) if one[2] == "h" else (STEP * way, 0)
            a, b = (one[0] + dx, one[1] + dy, one[2]), (other[0] + dx, other[1] + dy, other[2])
            if graph.has_edge(a, b):
                graph[a][b]["price"] += price


def foreign(first: Box, last: Box) -> set[Point]:
    """Return the crossings inside partitions that a wire has no business in."""
    own = {box.name.partition(".")[0] for box in (first, last)}
    spans = [(left, left + width) for column, (_, left, width) in COLUMNS.items() if column not in own]
    bottom = KERNEL[0] + KERNEL[1]
    return {
        (x, y)
        for x in range(0, WIDTH, STEP)
        for y in range(0, bottom + 1, STEP)
        if any(left <= x <= right for left, right in spans)
    }


def corners(points: list[Point]) -> list[Point]:
    """Leave out what lies between two corners."""
    kept: list[Point] = []
    for point in points:
        if kept and point == kept[-1]:
            continue
        while len(kept) > 1 and (kept[-2][0] == kept[-1][0] == point[0] or kept[-2][1] == kept[-1][1] == point[1]):
            kept.pop()
        kept.append(point)
    return kept


def compute() -> dict[tuple[str, str], list[Point]]:
    """Return the corners of every wire; short ones first, so that long ones give way.

    No story draws more than one kind of child, so the children's wires do not give way to each other.
    """

    def far(pair: tuple[str, str]) -> tuple[float, tuple[str, str]]:
        one, other = BOXES[pair[0]], BOXES[pair[1]]
        return abs(one.x + one.width / 2 - other.x - other.width / 2) + abs(one.y - other.y), pair

    def of(column: str) -> list[tuple[str, str]]:
        return sorted((pair for pair in wires() if pair[0].startswith(f"{column}.")), key=far)

    graph, found = lattice(), {}
    children = [column for column in COLUMNS if column != "root"]
    common = [pair for pair in sorted(wires(), key=far) if pair[0].partition(".")[0] not in children]
    for pair in common:
        found[pair] = route(graph, BOXES[pair[0]], BOXES[pair[1]])
    for column in children:
        own = graph.copy()
        own.graph["taken"] = set(graph.graph["taken"])
        found |= {pair: route(own, BOXES[pair[0]], BOXES[pair[1]]) for pair in of(column)}
    return found


def main() -> None:
    """Write the routes beside this module."""
    rows = [{"from": a, "to": b, "points": points} for (a, b), points in sorted(compute().items())]
    text = ",\n".join(json.dumps(row) for row in rows)
    Path(__file__).with_name("host.json").write_text(f'{{"wires": [\n{text}\n]}}\n', encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
