"""The hvlab command: what each command says, and that what goes wrong on purpose is one line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from small_notebook import code as code_cell
from small_notebook import notebook, text

import hvlab
from hvlab import cli, kernel, notebooks
from hvlab.errors import BadFile

ROOT = Path(__file__).parent.parent
COMMANDS = ("lab", "warm", "doctor", "open", "verify", "html", "refresh", "class", "notebooks")


def hvlab_command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hvlab", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_help_names_every_command() -> None:
    said = hvlab_command("--help")

    assert said.returncode == 0
    assert re.findall(r"^    ([a-z]+)\b", said.stdout, re.MULTILINE) == list(COMMANDS)


def test_the_version_is_the_one_of_the_citation() -> None:
    assert hvlab_command("--version").stdout == f"hvlab {hvlab.__version__}\n"
    assert f"\nversion: {hvlab.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")


def test_doctor_says_what_a_question_about_an_installation_needs(capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["doctor"])
    names = {line[:16].strip() for line in capsys.readouterr().out.splitlines()}

    assert code == 0
    assert names >= {"hvlab", "Python", "platform", "environment", "numba", "compiler", "cache folder", "home folder"}


def test_doctor_names_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    assert cli._writable(tmp_path) == "can be written"
    assert cli._writable(tmp_path / "missing").startswith("cannot be written")


def test_what_goes_wrong_on_purpose_is_one_line_and_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(path: Path, run: bool) -> str:
        raise BadFile(path, "the file", "a picture", "a notebook")

    monkeypatch.setattr(notebooks, "refresh", refuse)

    code = cli.main(["refresh", "x.ipynb"])

    assert code == 1
    assert capsys.readouterr().err == "hvlab: x.ipynb: the file: found a picture; expected a notebook\n"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")

    code = cli.main(["notebooks", str(tmp_path / "file" / "below")])

    assert code == 1
    assert capsys.readouterr().err.startswith(f"hvlab: {tmp_path / 'file'}")


def test_notebooks_says_of_each_lesson_what_was_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["notebooks", str(tmp_path)])

    assert code == 0
    assert capsys.readouterr().out == "".join(f"{path.name}: copied\n" for path in notebooks.shipped())


def test_refresh_can_leave_out_the_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(notebooks, "refresh", lambda path, run: f"{path}: {run}")

    codes = [cli.main(["refresh", *words, "x.ipynb"]) for words in ([], ["--text"])]

    assert codes == [0, 0]
    assert capsys.readouterr().out == "x.ipynb: True\nx.ipynb: False\n"


# ---- pages ----


@pytest.fixture
def one_lesson(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lesson that prints one line, as the only one that is shipped."""
    path = tmp_path / "00-small.ipynb"
    about = {"number": "00", "minutes": 5, "needs": [], "boxes": ["root"], "terms": ["GPA"]}
    book = notebook(text("# 00 · Small\n\nA GPA.", "title"), code_cell("print(6 * 7)"), hvlab=about)
    path.write_text(json.dumps(book))
    monkeypatch.setattr(notebooks, "shipped", lambda: [path])
    return path


def test_html_writes_one_lesson_beside_it(one_lesson: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = cli.main(["html", str(one_lesson)])

    page = one_lesson.with_suffix(".html")
    assert code == 0 and "<pre>42\n</pre>" in page.read_text("utf-8")
    assert re.fullmatch(rf"{re.escape(str(page))}: \d+ KiB\n", capsys.readouterr().out)


def test_html_all_writes_the_site_and_says_each_page_and_the_sum(
    one_lesson: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = one_lesson.parent / "site"

    code = cli.main(["html", "--all", str(folder)])

    *pages, total = capsys.readouterr().out.splitlines()
    assert code == 0 and {Path(line.rsplit(":", 1)[0]).name for line in pages} == {one.name for one in folder.iterdir()}
    assert re.fullmatch(r".*site: 5 pages, 0\.\d MiB; begin with index\.html", total)
    assert "<pre>42\n</pre>" in (folder / "00-small.html").read_text("utf-8")


def test_html_all_into_a_file_or_a_folder_of_others_is_one_line_and_changes_nothing(
    one_lesson: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = one_lesson.read_bytes()

    codes = [cli.main(["html", "--all", str(path)]) for path in (one_lesson, one_lesson.parent)]

    assert codes == [1, 1] and one_lesson.read_bytes() == before
    assert [path.name for path in one_lesson.parent.iterdir()] == [one_lesson.name]
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "a file of this name" in said[0] and "00-small.ipynb, which is not of a site" in said[1]


def test_the_place_of_one_page_and_the_folder_of_the_site_are_not_given_both(
    one_lesson: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["html", "--all", str(one_lesson.parent / "site"), "--out", "x.html"])

    assert code == 1 and "--out" in capsys.readouterr().err
    assert not (one_lesson.parent / "site").exists()


WRONG = [[], ["launch"], ["doctor", "--fix"], ["verify"], ["open"], ["html"], ["html", "a.ipynb", "--all", "site"]]


@pytest.mark.parametrize("words", WRONG)
def test_a_wrong_call_is_told_how_to_call(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(words)

    assert stopped.value.code == 2
    assert "usage: hvlab" in capsys.readouterr().err


def test_warm_says_where_its_cache_lies() -> None:
    said = hvlab_command("warm")

    assert said.returncode == 0, said.stderr
    assert "engine warm, wall " in said.stdout


def test_sweep_takes_old_caches_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walker, clockwork, old, fresh, other = (
        tmp_path / name for name in ("a" * 16, "d" * 16, "b" * 16, "c" * 16, ".venv")
    )
    for folder in (walker, clockwork, old, fresh, other):
        folder.mkdir()
    for folder in (walker, clockwork, old, other):
        os.utime(folder, (0, 0))
    monkeypatch.setattr(kernel, "CACHE", tmp_path)
    monkeypatch.setattr(kernel, "LIVE", {walker, clockwork})

    assert kernel.sweep() == ["b" * 16]
    assert sorted(path.name for path in tmp_path.iterdir()) == [".venv", "a" * 16, "c" * 16, "d" * 16]
