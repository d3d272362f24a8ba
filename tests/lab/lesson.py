"""A lesson as the tests run it: its code cells by their ids, some of them as one program after the import cell."""

import runpy
from dataclasses import dataclass
from functools import cached_property

from hvlab import notebooks
from hvlab.lab import predict as asking
from hvlab.lab.items import every, find


@dataclass(frozen=True)
class Lesson:
    """One notebook. `drawn` are cells that take seconds; only nbval runs them."""

    name: str
    drawn: frozenset[str] = frozenset()

    @property
    def number(self):
        return self.name[:2]

    @cached_property
    def cells(self):
        book = notebooks.read(notebooks.shipped()[0].parent / f"{self.name}.ipynb")
        return {cell["id"]: cell for cell in book["cells"] if cell["cell_type"] == "code"}

    @property
    def questions(self):
        return [id for id in every() if id.startswith(f"{self.number}.")]

    def source(self, id):
        return "".join(self.cells[id]["source"])

    def shown(self, id):
        return "".join(str(output) for output in self.cells[id]["outputs"])

    def run(self, folder, *ids):
        """Run cells in order, as one program after the import cell; give back what they left."""
        program = folder / "cells.py"
        sources = [self.source(id) for id in (f"{self.number}-import", *ids)]
        program.write_text("\n".join(sources), encoding="utf-8")
        return runpy.run_path(str(program))

    def between(self, first, last):
        order = list(self.cells)
        return [id for id in order[order.index(first) : order.index(last) + 1] if id not in self.drawn]

    def twice(self, folder, capsys, first, last):
        """Run a part alone, two times; give back what was printed each time."""
        said = []
        for _time in range(2):
            self.run(folder, *self.between(first, last))
            said.append(capsys.readouterr().out)
        return said

    def left_alone(self, parts):
        """The code cells that belong to none of these parts."""
        tried = {id for first, last in parts for id in self.between(first, last)}
        return sorted(set(self.cells) - tried - self.drawn - {f"{self.number}-import"})

    def unasked(self):
        """The questions of the lesson that no cell asks."""
        sources = "".join(self.source(id) for id in self.cells)
        return [id for id in self.questions if f'predict("{id}")' not in sources]

    def given_away(self, *words):
        """Cells that store one of these words although they stand at a gate, and facts that are not folded."""
        told = []
        for id, cell in self.cells.items():
            tags = cell["metadata"].get("tags", [])
            if "story" in tags and "predict(" in self.source(id):
                told += [(id, word) for word in words if word in self.shown(id)]
            if "check" in tags and cell["metadata"].get("jupyter", {}).get("outputs_hidden") is not True:
                told.append((id, "not folded"))
        return told


def named(id, story, truth):
    """Assert that the machine answers a question so, and that each wrong model's answer is told by its name."""
    gate = find(id).gate(story)
    assert story.value(gate.fact) == truth
    assert len(gate.wrong) == len(find(id).models), "each model gives a number of its own here"
    assert all(model["value"] != truth and 0 < model["frame"] < len(story) for model in gate.wrong)
    for model in find(id).models:
        asked = asking.again(id)
        value = model.answer(story)
        asked.give(bool(value) if asked.item.kind == "yes" else value, "sure")
        assert f"{model.name}: {model.says}" in str(asked.outcome(story))
