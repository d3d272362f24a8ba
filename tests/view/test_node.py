"""The browser's code, run by Node as it stands, against the golden story that Python writes."""

import re
import subprocess
from pathlib import Path

import pytest

from hvlab.view.esm import STATIC, css, join, source
from view.conftest import NODE, REQUIRED
from view.golden import FOLDER, golden

HERE = Path(__file__).parent
MODULES = sorted(path.name for path in STATIC.glob("*.mjs"))
MAY = {"shared.mjs": ["import(", "globalThis"]}  # once each: the one module for all players of a page
RUN = [pytest.param(True, id="node")] if NODE or REQUIRED else []


def node(*arguments: object) -> str:
    assert NODE, "no `node` on the path; here it is required (CI=true or HVLAB_REQUIRE_BROWSER=1)"
    done = subprocess.run([NODE, *map(str, arguments)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_the_golden_story_is_what_python_says_now():
    text, raw = golden()

    assert (FOLDER / "story.json").read_text(encoding="utf-8") == text
    assert (FOLDER / "story.bin").read_bytes() == raw


@pytest.mark.parametrize("run", RUN)
def test_the_browsers_code_says_what_python_says(run):
    told = node("--test", HERE / "core.test.mjs")

    assert "# fail 0" in told and int(re.search(r"# pass (\d+)", told)[1]) >= 13


@pytest.mark.parametrize("run", RUN)
@pytest.mark.parametrize("name", ["widget.mjs", "page.mjs", "shared.mjs"])
@pytest.mark.parametrize("without", [(), ("bytes.mjs",)])
def test_the_joined_module_is_one_valid_module(run, name, without, tmp_path):
    path = tmp_path / "joined.mjs"
    path.write_text(join(name, without), encoding="utf-8")

    node("--check", path)

    assert "import " not in path.read_text(encoding="utf-8")
    assert len(re.findall(r"^export ", path.read_text(encoding="utf-8"), re.MULTILINE)) == (name != "page.mjs")


def test_the_joined_module_has_letters_of_one_byte_and_says_the_same():
    joined = join("widget.mjs")
    said = re.sub(r"\\u([0-9a-f]{4})", lambda escape: chr(int(escape[1], 16)), joined)
    lines = [line.strip() for module in MODULES if module != "page.mjs" for line in source(module).splitlines()]
    wide = [line for line in lines if max(line, default="") > "\xff" and not line.startswith("//")]

    assert joined.encode("latin-1") and wide
    assert [line for line in wide if line not in said] == []


def test_names_at_the_top_are_unique_across_modules():
    names = [
        name
        for module in MODULES
        for name in re.findall(
            r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+)", source(module), re.MULTILINE
        )
    ]

    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("module", MODULES)
def test_no_module_turns_data_into_markup_or_code_or_talks_to_a_network(module):
    text = source(module)
    forbidden = (
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment"
        r"|\beval\b|new Function"
        r"|\bfetch\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|localStorage|sessionStorage|indexedDB|document\.cookie"
        r"|window\.|globalThis|\bimport\(|\.src\s*=|setAttribute\(\"(?:style|href|src|on)"
    )

    assert re.findall(forbidden, text) == MAY.get(module, [])
    assert re.findall(r"\.href\s*=(?!\s*url;)", text) == []


def test_budgets_of_bytes():
    assert all(len(source(module).encode()) < 40 * 1024 for module in MODULES)
    assert len(join("widget.mjs").encode()) <= 64 * 1024
    assert len(join("widget.mjs", ("bytes.mjs",)).encode()) <= 60 * 1024  # as a story without pages of memory has it
    assert len(join("shared.mjs").encode()) <= 1024  # each player makes a module of it, and none is ever let go
    assert len(css().encode()) <= 12 * 1024
