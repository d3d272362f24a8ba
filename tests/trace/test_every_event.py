"""Every declared event: its rule, its caption, its words, and the formats in which they are told."""

import re

import numpy as np
import pytest

from hvlab.trace.event import COLUMNS, WORDS
from hvlab.trace.journal import CATALOGUE, Trace
from hvlab.trace.words import ADDRESSES, ENUMS, say

KINDS = {"dec", "hex", "time", *ADDRESSES}
REGISTERS = {"leaf", "eax", "ebx", "ecx", "edx"}  # of 32 bits
TYPICAL = {"gva": 0x7FFF_1234_5678, "gpa": 0x1DC4_F000, "spa": 0x1_2345_6000}
BOXES = {"processor", "memory", "tlb", "hypervisor", "guest", "vmbus"}


def name_of(event):
    return event.name


def shown(event):
    """Yield (field, kind) of each place in the caption."""
    for inside in re.findall(r"{([^}]*)}", event.says):
        field, _, kind = inside.partition(":")
        yield field, kind or "dec"


def row(event, words):
    return Trace(np.array([[event.number, 0, 3, -1, *words]], np.int64))


@pytest.mark.parametrize("event", CATALOGUE, ids=name_of)
def test_it_is_declared_whole(event):
    assert event.doc.strip() and event.rule.strip()
    assert event.box in BOXES
    assert event.says[0].isupper() or event.says.startswith("{")
    assert event.says.endswith(".")
    assert 0 < len(event.fields) <= WORDS
    assert CATALOGUE[event.number] is event


@pytest.mark.parametrize("event", CATALOGUE, ids=name_of)
def test_the_caption_shows_only_its_own_words_in_known_kinds(event):
    for field, kind in shown(event):
        assert field in (*event.fields, "actor")
        assert kind in KINDS or kind.startswith("enum:") and kind[5:] in ENUMS


@pytest.mark.parametrize("event", CATALOGUE, ids=name_of)
def test_the_caption_is_short_with_typical_values(event):
    kinds = dict(shown(event))
    words = []
    for field in event.fields:
        kind = kinds.get(field, "dec")
        if kind.startswith("enum:"):
            words.append(max(ENUMS[kind[5:]], key=lambda value: len(ENUMS[kind[5:]][value])))
        elif field in REGISTERS:
            words.append(0x8000_4003)
        else:
            words.append(TYPICAL.get(kind, 0x8000_0000_0123_4067 - (1 << 64) if kind == "hex" else 17))

    sentence = row(event, words + [0] * (COLUMNS - 4 - len(words))).sentence(0)

    assert len(sentence) <= 140, sentence
    assert "{" not in sentence


@pytest.mark.parametrize("event", CATALOGUE, ids=name_of)
@pytest.mark.parametrize("value", [0, 1, -1, 2**63 - 1, -(2**63)])
def test_any_word_can_be_told_and_written(event, value):
    trace = row(event, [value] * WORDS)

    assert trace.sentence(0)
    assert Trace.from_json(trace.to_json()).digest() == trace.digest()
    assert trace.facts(0) == dict.fromkeys(event.fields, value)


def test_names_and_numbers_are_unique():
    assert len({event.name for event in CATALOGUE}) == len(CATALOGUE)
    assert [event.number for event in CATALOGUE] == list(range(len(CATALOGUE)))


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("gva", 0x1DC4F000, "0x0000_0000_1dc4_f000"),
        ("gva", -4096, "0xffff_ffff_ffff_f000"),
        ("gpa", 0x1DC4F00, "0x01dc_4f00"),
        ("spa", 0x123456789, "0x0001_2345_6789"),
        ("hex", 0xAE7F, "0xae7f"),
        ("hex", 0x1AE7F, "0x0001_ae7f"),
        ("dec", -3, "-3"),
        ("time", 900, "900 ns"),
        ("enum:status", 0x0B, "INSUFFICIENT_MEMORY"),
        ("enum:call", 0x4B, "MapGpaPages"),
        ("enum:partition", 1, "the root partition"),
        ("enum:status", 0x999, "0x999"),
    ],
)
def test_values_are_written_in_one_way(kind, value, text):
    assert say(kind, value) == text
