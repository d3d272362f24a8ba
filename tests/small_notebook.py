"""Small notebooks for tests, made from their parts."""

from typing import Any

Cell = dict[str, Any]


def code(source: str, *tags: str, outputs: list[Cell] | None = None, **metadata: Any) -> Cell:
    metadata = {**metadata, **({"tags": list(tags)} if tags else {})}
    named = {"cell_type": "code", "id": f"00-{sum(map(ord, source))}", "source": source, "metadata": metadata}
    return {**named, "outputs": outputs or [], "execution_count": 77}


def text(source: str, *tags: str) -> Cell:
    return {"cell_type": "markdown", "id": f"00-{len(source)}", "source": source, "metadata": {"tags": list(tags)}}


def notebook(*cells: Cell, **metadata: Any) -> Cell:
    return {"cells": list(cells), "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def printed(words: str) -> Cell:
    return {"output_type": "stream", "name": "stdout", "text": words}
