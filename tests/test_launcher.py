"""lab.py: what a learner sees when it works, and the one sentence for each thing that can go wrong."""

import ast
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = (ROOT / "lab.py").read_text("utf-8")
PACKAGE = ("__init__.py", "__main__.py", "cli.py", "errors.py", "language.py", "notebooks.py")


def load(root: Path) -> ModuleType:
    """Return lab.py as the launcher of another checkout."""
    spec = importlib.util.spec_from_file_location("launcher", ROOT / "lab.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.ROOT = root
    module.signal = SimpleNamespace(signal=lambda *_: None, SIGTERM=signal.SIGTERM, SIGINT=signal.SIGINT)  # ours stay
    return module


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "a checkout é"
    (root / "binder").mkdir(parents=True)
    for name in ("pyproject.toml", "constraints.txt", "binder/overrides.json"):
        shutil.copy(ROOT / name, root / name)
    return root


@pytest.fixture
def launcher(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A launcher whose venv and pip are written down in `calls` instead of run; `pip` is the code that pip returns."""
    module = load(checkout)
    module.calls, module.pip = [], 0
    monkeypatch.delenv("HVLAB_VENV", raising=False)
    monkeypatch.setenv("HOME", str(checkout.parent / "home"))
    monkeypatch.setenv("USERPROFILE", str(checkout.parent / "home"))

    def venv(run: list[str], **_: object) -> SimpleNamespace:
        module.calls.append("venv")
        folder = Path(run[-1])
        shutil.rmtree(folder, ignore_errors=True)
        module.python_of(folder).parent.mkdir(parents=True)
        module.python_of(folder).touch()
        return SimpleNamespace(returncode=0, stdout=b"")

    def pip(run: list[str], **_: object) -> int:
        module.calls.append("pip")
        if isinstance(module.pip, BaseException):
            raise module.pip
        return module.pip

    def child(run: list[str], folder: Path) -> int:
        module.calls.append(" ".join(run[2:]))
        return 0

    module.subprocess = SimpleNamespace(run=venv, call=pip, **{n: getattr(subprocess, n) for n in ("PIPE", "STDOUT")})
    module.follow = child
    return module


def test_an_old_python_can_still_read_it_and_it_needs_nothing_but_python() -> None:
    tree = ast.parse(SOURCE, feature_version=(3, 8))
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]

    assert {name.split(".")[0] for name in imported} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("found", [(3, 8), (3, 10), (3, 16), (4, 0)])
def test_another_python_is_named_with_those_that_work(launcher: ModuleType, found: tuple[int, int]) -> None:
    with pytest.raises(launcher.Stop, match=rf"^Python {found[0]}\.{found[1]} found, 3\.11 to 3\.15 needed$"):
        launcher.check_python(found)


def test_the_range_of_pythons_is_the_one_that_pyproject_asks_for(launcher: ModuleType) -> None:
    low, high = launcher.OLDEST, launcher.NEWEST

    assert f'requires-python = ">={low[0]}.{low[1]},<{high[0]}.{high[1] + 1}"' in (ROOT / "pyproject.toml").read_text()


@pytest.mark.parametrize("words", [[], ["notebook"]])
def test_another_command_is_refused_in_one_line(
    launcher: ModuleType, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = launcher.main(words)

    assert code == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert launcher.calls == []


def test_the_first_run_makes_installs_and_warms_and_the_second_only_warms(launcher: ModuleType) -> None:
    first = launcher.main(["test", "-k", "walk"])
    begun, launcher.calls = launcher.calls, []
    second = launcher.main(["test", "-k", "walk"])

    assert (first, second) == (0, 0)
    assert begun == ["venv", "pip", "hvlab warm", "pytest -k walk"]
    assert launcher.calls == ["hvlab warm", "pytest -k walk"]


def test_further_arguments_of_lab_go_to_jupyter(launcher: ModuleType) -> None:
    launcher.main(["lab", "--port=9999"])

    assert launcher.calls[-1] == "hvlab lab --port=9999"


def test_a_changed_lock_renews_in_place(launcher: ModuleType, checkout: Path) -> None:
    launcher.main(["test"])
    launcher.calls.clear()
    with (checkout / "constraints.txt").open("a") as lock:
        lock.write("one-more==1.0\n")

    launcher.main(["test"])

    assert launcher.calls[:-2] == ["pip"]


def test_a_moved_checkout_starts_anew(launcher: ModuleType, checkout: Path) -> None:
    launcher.main(["test"])
    launcher.calls.clear()
    launcher.ROOT = checkout.rename(checkout.with_name("moved"))

    launcher.main(["test"])

    assert launcher.calls[:-2] == ["venv", "pip"]


def test_a_python_that_is_gone_starts_anew(launcher: ModuleType, checkout: Path) -> None:
    launcher.main(["test"])
    launcher.calls.clear()
    launcher.python_of(checkout / ".venv").unlink()

    launcher.main(["test"])

    assert launcher.calls[:-2] == ["venv", "pip"]


def test_without_an_index_the_sentence_names_proxy_and_mirror_and_the_environment_is_reused(
    launcher: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    launcher.pip = 1
    failed = launcher.main(["lab"])
    said = capsys.readouterr().err
    launcher.pip = 0
    launcher.calls.clear()

    again = launcher.main(["lab"])

    assert (failed, again) == (1, 0)
    assert said.count("\n") == 1 and "HTTPS_PROXY" in said and "PIP_INDEX_URL" in said
    assert launcher.calls == ["pip", "hvlab lab"]


def test_a_venv_that_fails_leaves_nothing_and_names_debians_package_and_conda(
    launcher: ModuleType, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(run: list[str], **_: object) -> SimpleNamespace:
        (Path(run[-1]) / "bin").mkdir(parents=True)
        return SimpleNamespace(returncode=1, stdout=b"The virtual environment was not created: no ensurepip\nmore\n")

    launcher.subprocess.run = broken

    code = launcher.main(["lab"])
    said = capsys.readouterr().err

    assert code == 1
    assert said.count("\n") == 1
    assert "no ensurepip" in said and "sudo apt install python3-venv" in said and "conda env create" in said
    assert not (checkout / ".venv").exists()


def test_a_folder_with_something_else_in_it_is_not_touched(
    launcher: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all of it")
    monkeypatch.setenv("HVLAB_VENV", str(mine))

    code = launcher.main(["lab"])
    said = capsys.readouterr().err

    assert code == 1
    assert said.count("\n") == 1
    assert f"{mine} is neither empty nor an environment of hvlab; nothing was changed" in said
    assert [path.name for path in mine.iterdir()] == ["thesis.txt"] and launcher.calls == []


def test_an_environment_of_hvlab_may_lie_anywhere(
    launcher: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HVLAB_VENV", str(tmp_path / "deep" / "down"))

    assert launcher.main(["test"]) == 0
    assert (tmp_path / "deep" / "down" / launcher.MARK).is_file()


def test_a_checkout_that_cannot_be_written_gets_its_environment_at_home(
    launcher: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = launcher.can_write

    def read_only(place: Path) -> bool:
        if checkout in place.parents:
            raise PermissionError(13, "Permission denied", str(place))
        return bool(write(place))

    monkeypatch.setattr(launcher, "can_write", read_only)

    assert launcher.main(["test"]) == 0
    assert (checkout.parent / "home/.cache/hvlab/.venv" / launcher.MARK).is_file()


def test_where_nothing_can_be_written_the_sentence_names_the_variable(
    launcher: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere(place: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(place))

    launcher.can_write = nowhere

    code = launcher.main(["lab"])
    said = capsys.readouterr().err

    assert code == 1
    assert said.count("\n") == 1 and "set HVLAB_VENV" in said


def test_an_interrupted_first_installation_is_taken_back(launcher: ModuleType, checkout: Path) -> None:
    launcher.pip = KeyboardInterrupt()

    code = launcher.main(["lab"])

    assert code == 130
    assert not (checkout / ".venv").exists()


def test_an_interrupted_renewal_is_finished_by_the_next_run(launcher: ModuleType, checkout: Path) -> None:
    launcher.main(["test"])
    (checkout / "constraints.txt").write_text("")
    launcher.pip = KeyboardInterrupt()
    interrupted = launcher.main(["test"])
    launcher.pip = 0
    launcher.calls.clear()

    launcher.main(["test"])

    assert interrupted == 130
    assert launcher.calls[:-2] == ["pip"]


def test_the_environments_programs_come_first_for_a_child(launcher: ModuleType, tmp_path: Path) -> None:
    path = launcher.surroundings(tmp_path)["PATH"].split(os.pathsep)

    assert path[0] == str(launcher.python_of(tmp_path).parent)
    assert path[1:] == os.environ["PATH"].split(os.pathsep)


def test_a_childs_exit_code_is_ours(tmp_path: Path) -> None:
    launcher = load(tmp_path)

    assert launcher.follow([sys.executable, "-c", "raise SystemExit(5)"], tmp_path) == 5


# ---- lab --check, with a real JupyterLab and a checkout that holds one small notebook ----


@pytest.fixture
def small(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The launcher of a checkout with our command and a machine that is warm at once; the environment is this one."""
    (checkout / "hvlab").mkdir()
    for name in PACKAGE:
        shutil.copy(ROOT / "hvlab" / name, checkout / "hvlab")
    (checkout / "hvlab" / "machine.py").write_text("def warm():\n    return 0.0\n")
    (checkout / "hvlab" / "kernel.py").write_text("CACHE = None\n\n\ndef sweep():\n    return []\n")
    write(checkout, "print(6 * 7)")
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(checkout.parent / "config"))
    monkeypatch.setenv("JUPYTERLAB_SETTINGS_DIR", str(checkout.parent / "settings"))
    monkeypatch.setenv("JUPYTERLAB_WORKSPACES_DIR", str(checkout.parent / "workspaces"))
    module = load(checkout)
    module.environment = lambda: (Path(sys.prefix), Path(sys.executable))
    return module


def write(checkout: Path, source: str) -> None:
    cell = {"cell_type": "code", "id": "00-a", "metadata": {}, "source": source, "outputs": [], "execution_count": None}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (checkout / "notebooks").mkdir(exist_ok=True)
    (checkout / "notebooks" / "00-small.ipynb").write_text(json.dumps(notebook))


def address(said: str) -> tuple[str, int]:
    """Host and port that the launcher printed."""
    return "127.0.0.1", int(said.split("://")[1].split("/")[0].split(":")[1])


def answers(place: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(place) == 0


def test_check_serves_the_first_notebook_runs_it_and_stops_the_server(
    small: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    code = small.main(["lab", "--check"])
    said = capsys.readouterr().out

    assert code == 0, said
    assert [line.split()[1] for line in said.splitlines()[:-1]] == [
        "environment", "engine", "server", "notebook", "lab", "server", "executed",
    ]  # fmt: skip
    assert "00-small.ipynb served over HTTP, 1 cells" in said
    assert not answers(address(said))


def test_check_fails_where_the_notebook_fails_and_shows_why(
    small: ModuleType, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(checkout, "1 / 0")

    code = small.main(["lab", "--check"])
    said = capsys.readouterr()

    assert code == 1
    assert said.err.splitlines()[-1] == "hvlab: 00-small.ipynb does not run to its end"
    assert "ZeroDivisionError" in said.err
    assert not answers(address(said.out))


def test_check_fails_where_the_server_does_not_start(small: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    code = small.main(["lab", "--check", "--ServerApp.root_dir=/nowhere/at/all"])
    said = capsys.readouterr()

    assert code == 1
    assert said.err.splitlines()[-1].startswith("hvlab: JupyterLab ended with code")


def test_check_without_a_notebook_says_so(
    small: ModuleType, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "notebooks" / "00-small.ipynb").unlink()

    code = small.main(["lab", "--check"])

    assert code == 1
    assert capsys.readouterr().err.startswith("hvlab: there is no notebook in")
