"""The whole lab as a folder of pages: every link leads somewhere, nothing is loaded, nobody's files are touched."""

import re
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from whole_site import whole_site

from hvlab.errors import BadFile, BadRequest
from hvlab.lab import left_out
from hvlab.lab.errata import errata
from hvlab.lab.glossary import cards, glossary
from hvlab.lab.rules import rules
from hvlab.language import PSEUDO
from hvlab.notebooks import read, shipped
from hvlab.view import reference, site
from hvlab.view.page import lesson

MIB = 1 << 20
LOADS = {"src", "srcset", "poster", "data", "background", "action", "formaction", "manifest", "ping"}


class Page(HTMLParser):
    """What a page links to, what can be linked to in it, what it would load, and its outline."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.loads: list[str] = []
        self.outline: list[str] = []
        self.lang = ""
        self.feed(text)

    def handle_starttag(self, tag: str, given: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in given}
        self.ids += [attributes["id"]] if "id" in attributes else []
        self.links += [attributes["href"]] if tag == "a" and "href" in attributes else []
        self.loads += [attributes[name] for name in LOADS & set(attributes)]
        self.loads += [attributes.get("href", "")] if tag == "link" else []
        self.outline += [tag] if re.fullmatch("h[1-6]", tag) else []
        self.lang = attributes.get("lang", "") if tag == "html" else self.lang


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_site(tmp_path_factory)


@pytest.fixture(scope="module")
def pages(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def parsed(pages: dict[str, str]) -> dict[str, Page]:
    return {name: Page(text) for name, text in pages.items()}


def lessons() -> list[tuple[str, dict]]:
    return [(f"{path.stem}.html", read(path)["metadata"]["hvlab"]) for path in shipped()]


def tiny(folder: Path, number: str, source: str = "", text: str = "", terms: tuple[str, ...] = ()) -> Path:
    cells = [nbformat.v4.new_markdown_cell(f"# {number} · Lesson {number}\n\n**Words** *GPA*: an address.\n\n{text}")]
    cells += [nbformat.v4.new_code_cell(source)] if source else []
    about = {"number": number, "minutes": 5, "needs": [], "boxes": ["root"], "terms": list(terms)}
    path = folder / f"{number}-tiny.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"hvlab": about}), path)
    return path


# ---- what the site holds ----


def test_it_has_a_page_for_each_lesson_and_the_four_others(pages):
    assert set(pages) == {name for name, _about in lessons()} | {name for name, _title in site.PAGES}


def test_every_link_leads_to_a_place_of_the_site_or_to_an_https_source(parsed):
    wrong = []
    for name, page in parsed.items():
        for link in page.links:
            file, _, anchor = link.partition("#")
            target = parsed.get(file or name)
            if not link.startswith("https://") and (target is None or anchor and anchor not in target.ids):
                wrong.append(f"{name}: {link}")

    assert wrong == []
    assert all(len(page.links) > 10 for page in parsed.values())


def test_nothing_is_loaded_and_each_place_has_one_name(parsed):
    assert {load[:5] for page in parsed.values() for load in page.loads} == {"data:"}
    assert {name: page.ids for name, page in parsed.items() if len(page.ids) != len(set(page.ids))} == {}


def test_each_page_has_a_language_one_title_no_skipped_heading_and_a_way_past_the_links(pages, parsed):
    for name, page in parsed.items():
        levels = [int(tag[1]) for tag in page.outline]
        assert page.lang == "en" and levels.count(1) == 1 and levels[0] == 1, name
        assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False)), name
        assert page.links[0] == "#main" and "main" in page.ids, name
    titles = [re.search("<title>([^<]+)</title>", text)[1] for text in pages.values()]
    assert len(set(titles)) == len(pages) and all("hvlab" in title for title in titles)


def test_a_policy_lets_each_page_run_our_two_scripts_or_none(pages):
    for name, text in pages.items():
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
        scripts = re.findall(r"script-src ([^;]*);", policy)
        known = ["'none'"] if name in dict(site.PAGES) else re.findall(r"'sha256-[^']*' 'sha256-[^']*'", policy)
        assert scripts == known and "default-src 'none'" in policy, name


def test_the_sizes_keep_their_budget(pages):
    sizes = {name: len(text.encode()) for name, text in pages.items()}

    assert sum(sizes.values()) <= 10 * MIB
    assert max(sizes.values()) <= 2 * MIB


def test_the_index_lists_each_lesson_with_its_minutes_needs_and_boxes(pages):
    rows = re.findall(r'<tr><th scope="row"><a href="([^"]*)">.*?</tr>', pages["index.html"])

    assert rows == [name for name, _about in lessons()]
    for name, about in lessons():
        row = re.search(rf'<a href="{name}">.*?</tr>', pages["index.html"])[0]
        assert f">{about['minutes']}<" in row and ", ".join(about["boxes"]) in row
        assert all(f">{need}</a>" in row or need not in numbers() for need in about["needs"])


def numbers() -> set[str]:
    return {about["number"] for _name, about in lessons()}


def test_each_lesson_leads_to_its_neighbours(parsed):
    names = [name for name, _about in lessons()]
    for at, name in enumerate(names):
        assert set(names[max(0, at - 1) : at + 2]) - {name} <= set(parsed[name].links)


def test_each_word_of_a_lesson_and_each_marked_word_leads_to_its_card(pages, parsed):
    for name, about in lessons():
        listed = re.search(r'<div class="words">.*?</div>', pages[name])[0]
        for term in about["terms"]:
            assert f'href="glossary.html#{reference.slug(glossary(term).term)}"' in listed, (name, term)
        for word in re.findall(r"<abbr title=[^>]*>([^<]*)</abbr>", pages[name]):
            assert f'href="glossary.html#{reference.slug(glossary(word).term)}"' in listed, (name, word)
        assert "<abbr title=" in pages[name]


def test_the_glossary_holds_every_card_whole(pages, parsed):
    text = pages["glossary.html"]
    for card in cards():
        (part,) = re.findall(rf'<article id="{reference.slug(card.term)}">.*?</article>', text)
        for said in (card.short, card.exactly, card.source, card.overview_says, card.box, *card.also):
            assert reference.said(said) in part, card.term
        assert part.count("errata.html#") == len(card.errata)
        assert part.count("href") == len(card.errata) + len(numbers() & set(card.lessons))


def test_the_errata_page_holds_every_row_and_the_runs_that_show_some(pages):
    for one in errata():
        (part,) = re.findall(rf'<article id="{one.id}">.*?</article>', pages["errata.html"])
        for said in (one.overview_says, one.better, one.why, one.source):
            assert reference.said(said) in part, one.id
        assert ("from memory" in part.split("<dt>words")[0]) >= (one.standing == "recalled")
        assert (one.demo in part and "<li>" in part) if one.demo else "none can show it yet" in part
    assert sum("<details>" in part for part in pages["errata.html"].split("<article")) == sum(
        bool(one.demo) for one in errata()
    )


def test_the_machine_page_holds_every_confession_rule_and_disagreement(pages):
    text = pages["machine.html"]
    for file, note in left_out.everywhere().rows:
        part = text.split(f'id="{reference.module_anchor(file)}"')[1].split("</article>")[0]
        assert reference.said(note) in part, file
    for rule in rules():
        assert reference.said(rule.says) in text and all(reference.said(side) in text for side in rule.disagree)
        assert not rule.follows or reference.said(rule.follows) in text


def test_every_confession_of_the_sources_is_collected():
    found = {(file, text) for file, text in left_out.everywhere().rows}

    for number in sorted({name[:2] for name, _about in lessons()}):
        assert set(left_out.left_out(number).rows) <= found
    assert len(found) > 20 and not any(file == "lab/left_out.py" for file, _text in found)


# ---- the same bytes, in the learner's language ----


def test_the_same_lessons_give_the_same_bytes(pages):
    """One real lesson runs a second time; the other pages are made a second time from what the lessons stored."""
    notebooks = shipped()
    stored = [lesson(path, execute=False) for path in notebooks]
    names = [f"{path.stem}.html" for path in notebooks]

    again = site.lesson_page([lesson(notebooks[0]), *stored[1:]], names, 0)
    others = site.pages(notebooks, execute=False)

    assert again == pages[names[0]]
    assert {name: others[name] for name in dict(site.PAGES)} == {name: pages[name] for name in dict(site.PAGES)}


def test_what_a_program_prints_in_pieces_is_one_output(tmp_path):
    path = tiny(tmp_path, "01", "import sys\nfor k in range(3):\n    print(k, flush=True)\n    sys.stdout.flush()")

    assert "<pre>0\n1\n2\n</pre>" in site.pages([path])["01-tiny.html"]


def test_every_word_of_ours_goes_through_the_catalogue(monkeypatch):
    monkeypatch.setenv("HVLAB_LANGUAGE", PSEUDO)

    title, body = reference.machine_page({})
    told = re.sub(r"<code>.*?</code>|<a .*?</a>|⟦[^⟧]*⟧|<[^>]*>", " ", body)

    assert title.startswith("⟦")
    assert set(re.findall(r"[A-Za-z]{4,}", told)) <= {word for rule in rules() for word in re.findall(r"\w+", rule.id)}


# ---- lessons of any kind ----


def test_words_and_notebooks_are_linked_and_a_lesson_alone_leads_back(tmp_path):
    path = tiny(tmp_path, "01", text="The GPA. See [this](01-tiny.ipynb).", terms=("GPA", "no such word"))

    text = site.pages([path], execute=False)["01-tiny.html"]

    assert '<em><a href="glossary.html#gpa">GPA</a></em>' in text
    assert 'href="01-tiny.html"' in text and ".ipynb" not in text
    assert '<a href="index.html">All lessons</a>' in text


def test_a_notebook_without_metadata_is_a_page_too(tmp_path):
    path = tmp_path / "plain.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[]), path)

    pages = site.pages([path], execute=False)

    assert "plain" in pages["plain.html"] and 'class="words"' not in pages["plain.html"]


# ---- where it is written ----


def kept(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_older_site_is_replaced_and_its_pages_that_are_gone_go(tmp_path):
    target = tmp_path / "site"
    site.write([tiny(tmp_path, "01"), tiny(tmp_path, "02")], target, execute=False)
    sizes = site.write([tiny(tmp_path, "01")], target, execute=False)

    assert {path.name for path in target.iterdir()} == set(sizes) == {"01-tiny.html", *dict(site.PAGES)}
    assert sizes == {name: len(text) for name, text in kept(target).items()}


def test_an_empty_folder_is_taken(tmp_path):
    (tmp_path / "site").mkdir()

    assert "index.html" in site.write([tiny(tmp_path, "01")], tmp_path / "site", execute=False)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("notes.txt", "mine", "notes.txt"),
        ("index.html", "<html>mine</html>", "index.html"),
        ("sub/index.html", "x", "sub"),
        (".hidden", "x", "hidden"),
    ],
)
def test_a_folder_with_anything_else_is_left_as_it_is(tmp_path, name, content, says):
    target = tmp_path / "site"
    site.write([tiny(tmp_path, "01")], target, execute=False)
    (target / name).parent.mkdir(exist_ok=True)
    (target / name).write_text(content)
    before = kept(target)

    with pytest.raises(BadRequest, match=says):
        site.write([tiny(tmp_path, "01")], target, execute=False)
    assert kept(target) == before


def test_a_file_and_a_folder_without_a_parent_are_refused_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("mine")

    with pytest.raises(BadRequest, match="a file of this name"):
        site.write([tmp_path / "missing.ipynb"], tmp_path / "file")
    with pytest.raises(BadRequest, match="no folder"):
        site.write([tmp_path / "missing.ipynb"], tmp_path / "no" / "such")
    assert not (tmp_path / "no").exists()


def test_a_lesson_that_fails_or_a_disk_that_is_full_changes_nothing(tmp_path, monkeypatch):
    target, new = tmp_path / "site", tmp_path / "new"
    site.write([tiny(tmp_path, "01")], target, execute=False)
    before = kept(target)

    with pytest.raises(BadFile, match="ZeroDivisionError"):
        site.write([tiny(tmp_path, "02", "1 / 0")], target)

    def full(path: Path, *given: object, **named: object) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", full)
    for folder in (target, new):
        with pytest.raises(OSError, match="No space"):
            site.write([tmp_path / "01-tiny.ipynb"], folder, execute=False)
    assert kept(target) == before and not new.exists()


def test_what_a_killed_run_left_behind_is_no_obstacle(tmp_path):
    target = tmp_path / "site"
    (target / site.SCRATCH).mkdir(parents=True)
    (target / site.SCRATCH / "index.html").write_text("half")

    site.write([tiny(tmp_path, "01")], target, execute=False)

    assert not (target / site.SCRATCH).exists()
