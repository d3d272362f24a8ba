"""What cannot happen, because no source holds it: no pickle, eval, shell or network; and a lock without hosts."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "hvlab").rglob("*.py"))
TEMPLATE = "hvlab/trace/event.py"  # writes one emitter for each declared event; the names in it are identifiers
NEVER_IMPORTED = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "yaml"}
NETWORK = {
    "socket",
    "ssl",
    "urllib",
    "http",
    "ftplib",
    "smtplib",
    "requests",
    "httpx",
    "aiohttp",
    "urllib3",
    "websocket",
}
NEVER_CALLED = {"eval", "compile", "__import__", "os.system", "os.popen", "yaml.load", "pty.spawn"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def calls(path: Path) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_source_runs_text_or_loads_objects(path: Path) -> None:
    called = {ast.unparse(call.func) for call in calls(path)}

    assert not called & NEVER_CALLED
    assert "exec" not in called or name(path) == TEMPLATE
    assert not imported(path) & NEVER_IMPORTED


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_source_starts_a_shell_or_lets_numpy_unpickle(path: Path) -> None:
    words = [(word.arg, ast.unparse(word.value)) for call in calls(path) for word in call.keywords]

    assert ("shell", "True") not in words
    assert ("allow_pickle", "True") not in words


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_no_source_opens_a_connection(path: Path) -> None:
    assert not imported(path) & NETWORK


@pytest.mark.parametrize("path", sorted((ROOT / "hvlab").rglob("*.mjs")) or [None], ids=str)
def test_no_module_of_the_browser_fetches_anything(path: Path | None) -> None:
    text = path.read_text(encoding="utf-8") if path else ""

    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|importScripts|eval|Function)\s*\(", text)
    assert not re.search(r"import[^;\n]*[\"']https?:", text)


def test_the_lock_names_versions_and_no_host() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

    assert len(lines) > 100
    assert all(re.fullmatch(r"[a-z0-9._-]+==[0-9][^ ;@]*( ; [^@]+)?", line) for line in lines)
    assert not [line for line in lines if "://" in line]


def test_no_other_lock_is_here_since_those_hold_addresses() -> None:
    assert not [
        file for file in ("uv.lock", "pylock.toml", "poetry.lock", "requirements.txt") if (ROOT / file).exists()
    ]


def test_every_dependency_is_locked_and_says_why_it_is_there() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    asked = project["dependencies"] + [word for extra in project["optional-dependencies"].values() for word in extra]
    locked = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()}

    for requirement in asked:
        package = re.split(r"[<>=!~\[]", requirement)[0].lower()

        assert package == "hvlab" or package in locked
        assert re.search(rf'"{re.escape(requirement)}",? +# \w', text), requirement
