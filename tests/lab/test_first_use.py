"""The first use of a word of a lesson carries its card, and nothing else in the Markdown is touched."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hvlab.lab.first_use import MARK, marked, title, unmarked
from hvlab.lab.glossary import cards, glossary


def words(texts, terms):
    """What is marked, in order."""
    return [found[1] for text in marked(texts, terms) for found in MARK.finditer(text)]


def test_the_first_use_is_marked_once_for_each_card_whatever_it_is_called():
    texts = ["A child has a GPA.", "The child partition and its GPAs. Partitions are many."]

    assert words(texts, ["GPA", "child partition", "partition"]) == ["child", "GPA", "Partitions"]
    assert title(glossary("GPA")).startswith("guest physical address: ")


def test_only_the_words_of_the_lesson_are_marked_and_unknown_ones_are_passed_over():
    assert words(["A GVA and a GPA."], ["GPA", "no such word"]) == ["GPA"]
    assert marked(["A GVA."], []) == ["A GVA."]


@pytest.mark.parametrize(
    "apart",
    [
        "`GPA`", "``a `GPA` b``", "```\nGPA\n```", "~~~python\nGPA\n~~~", "# A GPA", "A GPA\n---", "[GPA](x.html)",
        "![GPA](data:,)", "[a GPA][1]", "<b title='GPA'>", "<a href='x'>a GPA</a>", "<code>GPA</code>", "$GPA$",
        "https://example.org/GPA", "<!-- GPA -->", '<abbr title="mine">another word with GPA</abbr>',
        "**Words** *GPA*: an address.\n*GPA* again.", "GPADL", "my-GPA", "GPA-like", "gpa",
    ],
)  # fmt: skip
def test_code_links_headings_tags_and_the_list_of_words_stay_as_they_are(apart):
    assert marked([apart], ["GPA"]) == [apart]
    assert marked([apart + "\n\nThe GPA."], ["GPA"])[0].endswith(">GPA</abbr>.")


def test_doing_it_twice_changes_nothing_more_and_it_can_be_taken_back():
    texts = ["# GPA\n\n- the *root* has a GPA;\n- `GPA`", "| GPA | child |\n|---|---|\n| 1 | 2 |"]
    terms = ["GPA", "root partition", "child partition"]

    once = marked(texts, terms)

    assert marked(once, terms) == once != texts
    assert [unmarked(text) for text in once] == texts


def test_a_mark_follows_its_card_and_goes_with_its_word():
    old = '<abbr title="what the card said before">GPA</abbr>'

    assert marked([old], ["GPA"]) == [f'<abbr title="{title(glossary("GPA"))}">GPA</abbr>']
    assert marked([old], []) == ["GPA"]


@given(st.text(alphabet="GPA child`*_[]()<>|$#~\n-\"'", max_size=60))
def test_no_text_is_lost_and_no_text_is_marked_differently_the_second_time(text):
    once = marked([text], ["GPA", "child partition"])

    assert marked(once, ["GPA", "child partition"]) == once
    assert unmarked(once[0]) == unmarked(text)


@pytest.mark.parametrize("card", cards(), ids=lambda card: card.term)
def test_every_card_can_be_marked_in_a_sentence_and_in_a_table(card):
    (text,) = marked([f"A {card.term}, as it is."], [card.term])

    said = MARK.fullmatch(text.removeprefix("A ").removesuffix(", as it is."))
    assert said and said[1] == card.term
    assert not re.search(r'[|$`<>\n"]', title(card))
