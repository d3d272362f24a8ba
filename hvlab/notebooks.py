"""The lessons as files: where they are, copies for students, and the one way to renew what they store.

A stored output is a promise: the tests compare it with what the cell prints today. So only cells tagged ``check`` or
``story`` keep theirs, and everything that may differ between two runs of the same code is taken out.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hvlab.errors import BadFile, BadRequest, HvlabError

STORED = frozenset({"check", "story"})  # tags of the cells whose outputs are kept
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
VIEW = "application/vnd.jupyter.widget-view+json"  # names a widget of one run
CELL_SECONDS = 120
HERE = Path(__file__).resolve().parent

Json = dict[str, Any]


# ---- where they are ----


def checkout() -> Path | None:
    """Return the folder of the sources that this package runs from, or None when it was installed from a wheel."""
    return HERE.parent if (HERE.parent / "notebooks").is_dir() else None


def shipped() -> list[Path]:
    """Return the lessons that came with this hvlab, in order."""
    for folder in (HERE / "_notebooks", HERE.parent / "notebooks"):
        if folder.is_dir():
            return sorted(folder.glob("*.ipynb"))
    raise BadRequest("the lessons", "no notebooks beside this package", "to install hvlab again, from its wheel")


def copy(target: Path) -> list[tuple[str, str]]:
    """Copy the lessons into a folder and tell of each what was done; a file that differs is left as it is."""
    target.mkdir(parents=True, exist_ok=True)
    return [(source.name, _copy_one(source, target / source.name)) for source in shipped()]


def _copy_one(source: Path, target: Path) -> str:
    content = source.read_bytes()
    try:
        with target.open("xb") as file:
            file.write(content)
        return "copied"
    except FileExistsError:
        same = target.is_file() and target.read_bytes() == content
        return "already there" if same else "kept yours, which differs"


def start_page(here: Path) -> tuple[Path, str]:
    """Return the folder to serve and the first lesson in it, as a path with slashes."""
    root = checkout()
    if root is not None:
        found = sorted((root / "notebooks").glob("*.ipynb"))
        return root, found[0].relative_to(root).as_posix() if found else ""
    names = [lesson.name for lesson in shipped()]
    for folder in (here, here / "notebooks"):
        for name in names:
            if (folder / name).is_file():
                return here, (folder / name).relative_to(here).as_posix()
    raise BadRequest("JupyterLab on the lessons", f"none of them in {here}", "hvlab notebooks . and then hvlab lab")


# ---- what is stored ----


def normalise(notebook: Json) -> Json:
    """Return the notebook in its one committed form; doing it twice changes nothing more.

    Kept: the sources, our cell ids, the tags and folds of each cell, and the outputs of stored cells with their
    position as the count. Everything else that a run leaves behind goes. In the text the first use of each word of the
    lesson carries its card (see `hvlab.lab.first_use`).
    """
    texts = iter(_texts(notebook))
    cells, position = [], 0
    for cell in notebook["cells"]:
        kind = cell["cell_type"]
        position += kind == "code"
        new: Json = {"cell_type": kind, "id": cell["id"], "metadata": _cell_metadata(cell["metadata"])}
        new["source"] = next(texts) if kind == "markdown" else _text(cell["source"])
        if "attachments" in cell and kind != "code":
            new["attachments"] = cell["attachments"]
        if kind == "code":
            stored = not STORED.isdisjoint(new["metadata"].get("tags", ()))
            new["execution_count"] = position if stored else None
            new["outputs"] = _outputs(cell["outputs"], position) if stored else []
        cells.append(new)
    metadata = {"kernelspec": dict(KERNEL), "language_info": {"name": "python"}}
    if "hvlab" in notebook["metadata"]:
        metadata["hvlab"] = notebook["metadata"]["hvlab"]
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _texts(notebook: Json) -> list[str]:
    from hvlab.lab.first_use import marked  # the errata behind the cards load NumPy, which `hvlab --version` need not

    terms = notebook["metadata"].get("hvlab", {}).get("terms", ())
    return marked([_text(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"], terms)


def _cell_metadata(metadata: Json) -> Json:
    return {name: metadata[name] for name in ("tags", "jupyter") if metadata.get(name)}


def _outputs(outputs: Iterable[Json], position: int) -> list[Json]:
    kept: list[Json] = []
    for output in outputs:
        new = _output(output, position)
        if new is None:
            continue
        before = kept[-1] if kept else {}
        if new["output_type"] == "stream" and before.get("name") == new["name"]:  # one write may arrive in pieces
            before["text"] += new["text"]
        else:
            kept.append(new)
    return kept


def _output(output: Json, position: int) -> Json | None:
    kind = output["output_type"]
    if kind == "stream":
        return {"output_type": kind, "name": output["name"], "text": _text(output["text"])}
    if kind == "error":
        name, value = output["ename"], output["evalue"]  # a real traceback holds colours and paths
        return {"output_type": kind, "ename": name, "evalue": value, "traceback": [f"{name}: {value}"]}
    data = {mime: _text(value) for mime, value in output["data"].items() if mime != VIEW}
    if not data:
        return None
    new: Json = {"output_type": kind, "data": data, "metadata": {}}
    if kind == "execute_result":
        new["execution_count"] = position
    return new


def _text(value: Any) -> Any:
    return "".join(value) if isinstance(value, list) else value


# ---- files ----


def read(path: Path) -> Json:
    """Read a notebook of format 4.5; anything else is a `BadFile`."""
    try:
        notebook: Json = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadFile(path, "the file", error.strerror or error, "a notebook") from error
    except ValueError as error:
        raise BadFile(path, "the file", error, "a notebook, which is JSON") from error
    version = (notebook.get("nbformat"), notebook.get("nbformat_minor")) if isinstance(notebook, dict) else None
    if version is None or version[0] != 4:
        raise BadFile(path, "nbformat", version, "a notebook of format 4.5")
    for number, cell in enumerate(notebook["cells"]):
        if "id" not in cell:
            raise BadFile(path, f"cell {number}", "no id", "an id of ours, such as 05-predict-reads")
    return notebook


def text_of(notebook: Json) -> str:
    """Return the notebook as it is committed: keys sorted, long texts as lines, so that a diff shows what changed."""
    return json.dumps(_as_lines(notebook), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _as_lines(notebook: Json) -> Json:
    def lines(value: Any) -> Any:
        return value.splitlines(keepends=True) if isinstance(value, str) else value

    cells = []
    for cell in notebook["cells"]:
        cell = {**cell, "source": lines(cell["source"])}
        if "outputs" in cell:
            cell["outputs"] = [_output_as_lines(output, lines) for output in cell["outputs"]]
        cells.append(cell)
    return {**notebook, "cells": cells}


def _output_as_lines(output: Json, lines: Any) -> Json:
    if "text" in output:
        return {**output, "text": lines(output["text"])}
    if "data" in output:
        return {**output, "data": {mime: lines(value) for mime, value in output["data"].items()}}
    return output


def refresh(path: Path, run: bool = True) -> str:
    """Run a lesson in test mode, store what its tests compare, and say what came of it.

    Without `run` its outputs stay as they are stored: only the rest is brought into the committed form.
    """
    before = path.read_text(encoding="utf-8") if path.is_file() else ""
    after = text_of(normalise(execute(path) if run else read(path)))
    stored = sum(1 for cell in json.loads(after)["cells"] if cell.get("execution_count") is not None)
    if after != before:
        path.write_text(after, encoding="utf-8", newline="\n")
    return f"{path.name}: {stored} stored cells, {'renewed' if after != before else 'unchanged'}"


def execute(path: Path) -> Json:
    """Return a lesson as one fresh kernel ran it, in test mode: gates open, nothing random, no progress kept."""
    read(path)
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    except ImportError as error:
        raise HvlabError(f"running a notebook needs {error.name}: pip install 'hvlab[test]'") from error
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        kernel_name=KERNEL["name"],
        store_widget_state=False,
        resources={"metadata": {"path": str(path.resolve().parent)}},
    )
    try:
        client.execute(env={**os.environ, "HVLAB_MODE": "test"})
    except CellExecutionError as error:
        raise HvlabError(f"{path.name} does not run to its end: {error.ename}: {error.evalue}") from error
    except (CellTimeoutError, DeadKernelError) as error:
        raise HvlabError(f"{path.name} does not run to its end: {str(error).splitlines()[0]}") from error
    result: Json = json.loads(nbformat.writes(notebook))
    return result


def table(paths: Iterable[Path]) -> str:
    """Return the lessons as a Markdown table, from their own metadata and titles."""
    rows = ["| lesson | minutes | after |", "|---|---|---|"]
    for path in sorted(paths):
        notebook = read(path)
        about, title = notebook["metadata"]["hvlab"], "".join(notebook["cells"][0]["source"]).split("\n")[0]
        link = f"[{title.removeprefix('# ')}](notebooks/{path.name})"
        rows.append(f"| {link} | {about['minutes']} | {', '.join(about['needs'])} |")
    return "\n".join(rows)
