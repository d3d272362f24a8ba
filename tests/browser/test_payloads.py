"""Two hundred payloads in each name that somebody else chose, in every view and page: nothing runs, nothing is made.

That nothing is made of data is seen by comparing with the same view of a harmless name: as many elements of each kind,
with the same attributes.
"""

from pathlib import Path

import nbformat
import pytest
from capture import build
from story.machines import runs

from browser.test_robust import PAYLOADS, SHAPES
from hvlab.errors import BadRequest
from hvlab.lab import progress
from hvlab.story.frame import Fact, Frame, Kind, Place
from hvlab.story.gate import Gate
from hvlab.story.pairs import two_runs
from hvlab.story.storyboard import Storyboard
from hvlab.story.system import SystemLens
from hvlab.view import export, report, site
from hvlab.view.page import notebook_html

pytestmark = pytest.mark.browser
HARMLESS = "harmless"
AT_ONCE = 50  # players of a page
DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
PROBE = (Path(__file__).parent / "payloads.js").read_text("utf-8")


def titled(name: str) -> Storyboard:
    """A story of one frame; what it is called, and what it is about."""
    return Storyboard.from_frames(name, [Frame("k")], kinds=[Kind("k", "Said.")], facts=[], about=name, token=name)


# Names that a view shows once: one player for each payload.
STORIES = {
    "title": titled,
    "map, lanes, owners: a child": lambda name: SystemLens("request", name=name).story(runs()["one_intercept"]),
    "two runs: their names and the knob": lambda name: two_runs(
        runs()["one_load"], runs()["load_again"], (f"{name} a", f"{name} b"), name, "request"
    ),
}


def listed(names: list[str]) -> Storyboard:
    """A story whose every list of names holds them all: boxes with their cards, facts, kinds, phases, questions."""
    places = [Place(f"{k} {name}", name, name, name, name) for k, name in enumerate(names)]
    kinds = [Kind(f"k{k} {name}", f"{name} {{f0}}", rule=name, left_out=name) for k, name in enumerate(names)]
    facts = [Fact(f"f{k}", name, panel=True) for k, name in enumerate(names)]
    choices = [{"value": k, "label": name} for k, name in enumerate(names)]
    wrong = [{"value": k, "name": name, "says": name} for k, name in enumerate(names[:-1])]
    questions = [  # the first offers all names, the others are called by one each
        Gate(f"q{k} {name}", 0, name, "pick", "f0", choices=choices[: 2 if k else None], wrong=wrong[:1], tells=name)
        for k, name in enumerate(names[: len(SHAPES)])
    ]
    frames = [
        Frame(kinds[k].name, (), {"f0": k}, phase=name, src=places[k].name, dst=places[k].name)
        for k, name in enumerate(names)
    ]
    return Storyboard.from_frames("Lists", frames, kinds=kinds, facts=facts, places=places, gates=questions)


def opened(open_page, path, body):
    path.write_text(export.page(PAYLOADS[0], body), encoding="utf-8")
    page = open_page(path, ready="main, .hvlab")
    page.set_default_timeout(60_000)
    page.evaluate(PROBE)
    return page


def nothing_ran(page) -> None:
    assert page.evaluate("window.hit ?? null") is None
    assert page.evaluate("document.querySelectorAll('script:not([type])').length") == 0
    assert page.evaluate("probe.forbidden()") == []


@pytest.mark.parametrize("field", STORIES)
def test_a_name_in_a_player_stays_a_text(open_page, tmp_path, field):
    for first in range(0, len(PAYLOADS), AT_ONCE):
        names = [HARMLESS, *PAYLOADS[first : first + AT_ONCE]]
        page = opened(
            open_page, tmp_path / "players.html", "".join(export.stage(STORIES[field](name)) for name in names)
        )
        page.wait_for_function(f"document.querySelectorAll('.hvlab .caption:not(:empty)').length === {len(names)}")

        harmless, *made = page.evaluate("probe.players()")

        assert len(made) == AT_ONCE and set(made) == {harmless}
        nothing_ran(page)
        page.close()


def test_names_in_lists_stay_texts_in_captions_cards_tables_and_questions(open_page, tmp_path):
    made = []
    for names in ([f"{HARMLESS} {PAYLOADS.index(name)}" for name in PAYLOADS], PAYLOADS):
        page = opened(open_page, tmp_path / f"{names[0][:4]}.html".replace("<", "-"), export.stage(listed(names)))
        page.wait_for_selector(".hvlab .caption:not(:empty)")
        made.append(page.evaluate(f"probe.lists({len(names)}, {len(SHAPES)})"))
        nothing_ran(page)

    assert len(made[0]) == 2 * len(PAYLOADS) + len(SHAPES) + 1 and made[0] == made[1]


def test_the_name_of_a_file_stays_a_text_in_its_report(open_page, tmp_path):
    data, names = build.page_tables(), [HARMLESS, *PAYLOADS]
    files = [HARMLESS, *(shape.replace("/", "\u2215").replace("\x00", "") for shape in SHAPES)]
    pages = {f"page{k}.html": report.page(name, [report.section(name, "")]) for k, name in enumerate(names)}
    for k, name in enumerate(files):
        pages[f"file{k}.html"] = report.html(build.save(tmp_path / f"{name}.npz", data))
    for file, text in pages.items():
        (tmp_path / file).write_text(text, encoding="utf-8")
    frames = "".join(f"<iframe src={name} name={name}></iframe>" for name in pages)
    (tmp_path / "all.html").write_text(f"<!DOCTYPE html><title>All</title>{frames}", encoding="utf-8")

    page = open_page(tmp_path / "all.html", ready="iframe")
    page.wait_for_load_state("load")
    made = {frame.name: frame.evaluate(f"({PROBE})() || probe.all()") for frame in page.frames if frame.name}

    assert set(made) == set(pages)
    for kind in ("page", "file"):
        assert len({tags for name, tags in made.items() if name.startswith(kind)}) == 1
    assert all(frame.evaluate("window.hit ?? null") is None for frame in page.frames)


def lesson(folder, number, name):
    """A lesson with a name in its title, its headings, its words, and in all that a cell can print."""
    printed = [
        nbformat.v4.new_output("stream", name="stdout", text=name),
        nbformat.v4.new_output("error", ename=name, evalue=name, traceback=[]),
        nbformat.v4.new_output("display_data", {"text/plain": name}, metadata={"alt": name}),
        nbformat.v4.new_output("display_data", {"image/png": DOT, "text/plain": name}, metadata={"alt": name}),
        nbformat.v4.new_output("display_data", {"text/html": name}),
    ]
    text = f"# {number} · {name}\n\n**Words** *{name}*: {name}\n\n## {name}\n\n| a |\n|---|\n| {name} |"
    folded = {"jupyter": {"outputs_hidden": True}}
    cells = [nbformat.v4.new_markdown_cell(text), nbformat.v4.new_code_cell(name, outputs=printed, metadata=folded)]
    about = {"number": number, "minutes": name, "needs": [name], "boxes": [name], "terms": [name], "theme": name}
    path = folder / f"{number}-evil.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"hvlab": about}), path)
    return path


def test_texts_of_a_notebook_run_nothing_in_its_page_and_in_the_site(open_page, tmp_path):
    paths = [lesson(tmp_path, f"{number:02}", name) for number, name in enumerate(SHAPES, 20)]
    folder = tmp_path / "site"
    site.write(paths, folder, execute=False)
    cells = [cell for name in PAYLOADS for cell in nbformat.read(lesson(tmp_path, "99", name), 4).cells]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "all.ipynb")
    (folder / "all.html").write_text(notebook_html(tmp_path / "all.ipynb", execute=False), encoding="utf-8")

    page = open_page(folder / "index.html", ready="main h1")
    for path in sorted(folder.iterdir()):
        page.goto(path.as_uri())
        page.evaluate(PROBE)
        scripts = page.evaluate("[...document.querySelectorAll('script')].map((one) => one.type)")
        assert scripts in ([], ["module"]), path.name
        nothing_ran(page)


@pytest.mark.parametrize("payload", SHAPES)
def test_an_alias_cannot_hold_markup(payload):
    with pytest.raises(BadRequest):
        progress.alias(payload)
