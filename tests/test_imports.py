"""The order of privilege holds between our modules: by import-linter, and by reading the sources."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hvlab import kernel
from hvlab.kernel import compiled_sources

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "hvlab"
SOURCES = sorted(PACKAGE.rglob("*.py"))

# Who may import what of hvlab; a box that is not named here is held by import-linter alone.
MAY = {
    "wire": {"wire", "errors"},
    "kernel": {"compiler", "wire", "errors"},
    "compiler": set(),
    "errors": {"language"},
    "language": set(),
    "tokens": {"wire", "errors", "language"},
    "trace": {"wire", "trace", "kernel", "errors", "language"},
    "capture": {"capture", "wire", "trace", "errors", "language"},
    "story": {"story", "trace", "wire", "errors", "language"},
}
SCREEN = {"ipywidgets", "anywidget", "traitlets", "matplotlib", "IPython"}
GRAPHS = {"networkx"}
PARTITIONS = {"root", "child", "vmbus"}


def imports(path: Path) -> list[str]:
    """Every module that a source names in an import, also inside functions; a name taken from a package counts too."""
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found += [f"{node.module}.{alias.name}" for alias in node.names]
    return found


def box(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def name(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def ours(path: Path) -> list[list[str]]:
    return [
        parts for parts in (module.split(".") for module in imports(path)) if parts[0] == "hvlab" and len(parts) > 1
    ]


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_imports_only_what_its_box_may_know(path: Path) -> None:
    allowed = MAY.get(box(path))

    used = {parts[1] for parts in ours(path)}

    assert allowed is None or used <= allowed


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_only_the_view_knows_the_screen_and_only_stories_and_views_know_graphs(path: Path) -> None:
    used = {module.split(".")[0] for module in imports(path)}

    assert box(path) == "view" or not used & SCREEN
    assert box(path) in {"view", "story"} or not used & GRAPHS


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_software_in_a_partition_knows_nothing_of_the_machine_but_its_virtual_processor(path: Path) -> None:
    behind = [parts for parts in ours(path) if parts[1] in {"hardware", "hypervisor"}]

    assert box(path) not in PARTITIONS or all(parts[1:3] == ["hypervisor", "vp"] for parts in behind)


def test_import_linter_keeps_its_contracts() -> None:
    run = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"

    done = subprocess.run([sys.executable, "-c", run], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_asking_for_the_version_loads_neither_the_compiler_nor_a_plotting_library() -> None:
    heavy = {"numba", "numpy", "matplotlib", "networkx", "ipywidgets", "jupyterlab"}
    run = "import sys, hvlab, hvlab.cli, hvlab.notebooks; hvlab.cli.commands(); print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", run], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert not heavy & set(loaded.split())


def test_a_name_that_hvlab_does_not_have_is_refused_with_those_it_has() -> None:
    import hvlab

    with pytest.raises(AttributeError, match="Machine"):
        _ = hvlab.Gadget
    assert "Machine" in dir(hvlab)


ENTRIES = [path for path in SOURCES if re.search(r"^@entry_point\b", path.read_text(encoding="utf-8"), re.M)]


@pytest.mark.parametrize("path", ENTRIES, ids=name)
def test_a_cache_folder_is_named_after_whatever_an_entry_point_imports(path: Path) -> None:
    """A source left out would leave code on disk as it once was; one too many would compile all again for nothing."""
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    run = f"import sys, {module}; print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('hvlab.')))"

    loaded = subprocess.run([sys.executable, "-c", run], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert {str(found) for found in compiled_sources(path)} == set(loaded.split())


def test_a_source_that_an_entry_point_does_not_import_leaves_its_cache_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = tmp_path / "hvlab"
    files = {"one": "from hvlab.box import two\n", "compiler": "", "box/two": "", "box/__init__": "", "box/other": ""}
    for module, text in files.items():
        (house / module).parent.mkdir(exist_ok=True, parents=True)
        (house / f"{module}.py").write_text(text)
    monkeypatch.setattr(kernel, "HOUSE", tmp_path)
    monkeypatch.setattr(kernel, "CACHE", tmp_path)
    monkeypatch.setattr(kernel, "LIVE", set())

    def folder_after(module: str, text: str) -> Path | None:
        (house / f"{module}.py").write_text(text)
        kernel.compiled_sources.cache_clear()
        return kernel.cache_folder(house / "one.py")

    first = folder_after("box/other", "")
    assert folder_after("box/other", "A = 1\n") == first
    assert folder_after("box/two", "A = 1\n") != first
    assert folder_after("box/two", "") == first
    assert folder_after("box/__init__", "A = 1\n") != first
