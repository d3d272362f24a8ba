"""The README keeps its word: its Python prints what it says, its links lead somewhere."""

import re
import subprocess
import sys
from pathlib import Path

from hvlab.notebooks import table

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_example_prints_what_the_readme_says():
    code, said = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, re.DOTALL).groups()

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert ran.stdout == said


def test_every_link_leads_to_a_file_of_this_folder():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)|(?:src|srcset)=\"([^\"]+)\"", README)
    links = [one or other for one, other in links]

    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_command_of_the_table_exists():
    named = set(re.findall(r"\| `hvlab (\w+)", README))
    known = subprocess.run([sys.executable, "-m", "hvlab", "--help"], capture_output=True, text=True, check=True).stdout

    assert named and all(re.search(rf"^    {name}\b", known, re.MULTILINE) for name in named)


def test_the_table_of_lessons_is_that_of_the_notebooks():
    assert table((ROOT / "notebooks").glob("*.ipynb")) in README
