"""The glossary: every word of the overview and of the lessons has a card that is short, placed and sourced."""

import re

import pytest
from small_toml import put

from hvlab.errors import BadFile, BadRequest
from hvlab.lab import glossary, tables

# Every term of the overview, with the lessons in which it has its place.
OVERVIEW = {
    "hypervisor": "00 01 13",
    "isolation": "00 01 13",
    "hardware platform shared": "00 01 13",
    "partition": "00 01 12",
    "isolated execution environment": "00 01 12",
    "root partition": "00 01 12",
    "parent partition": "00 01 12",
    "running Windows": "00 01 12",
    "child partition": "00 01 11",
    "guest operating system": "00 01 11",
    "virtualization management stack": "01 12",
    "hypercall": "03 01 12",
    "hypercall API": "03 01 12",
    "optimizations": "03 01 12",
    "virtual view of the processor": "02 06",
    "processor interrupts, redirected": "06 07",
    "private virtual memory region": "04 05 01",
    "guest virtual address spaces": "04 05",
    "address translation": "04 05",
    "IOMMU": "08 05",
    "remap of physical addresses": "08 05",
    "VDevs": "02 10",
    "virtual view of resources": "02 10",
    "requests redirected via VMBus or hypervisor": "00 02 09 10",
    "device drivers": "01 09 12",
    "power management": "01 09 12",
    "hot add and removal": "01 09 12",
    "direct access to memory and devices": "01 08",
    "Windows Server 2008 instance": "12",
    "Windows Server Virtualization": "12",
    "the diagram": "00",
    "boxes of the diagram": "00",
    "VMBus": "00 07 09",
    "logical inter-partition channel": "00 07 09",
    "device enumeration": "00 07 09",
    "VSP": "00 09 10",
    "VSC": "00 09 10",
    "virtualization service consumer": "00 09 10",
    "virtualization service client": "00 09 10",
    "virtual server client": "00 09 10",
    "Enlightened I/O": "10",
    "storage": "10",
    "networking": "10",
    "graphics": "10 09",
    "input": "10 09",
    "SCSI": "10",
    "I/O stack": "10",
    "high-level protocols": "10",
    "device emulation layer": "02 10",
    "bypassing any device emulation layer": "02 10",
    "enlightened guest": "11 03 09",
    "hypervisor- and VMBus-aware": "11 03 09",
    "integration services": "11 09",
    "IC": "11 09",
    "other client systems": "11 09",
    "transparent to the guest": "11 02",
    "Intel VT": "01 02 05",
    "AMD-V": "01 02 05",
    "hardware assistance": "01 02 05",
    "x64": "01 02 05",
    "APIC": "06 07",
    "MSR": "03 06 07",
    "VID": "12 01",
    "VMMS": "12 02",
    "VMWP": "12 02",
    "WinHv": "03 12",
    "standard calling conventions": "03 12",
    "WMI-based APIs": "12",
}
# What the first lessons use beside it, with the lesson that may need the card first.
LESSONS = {
    "00": "GVA, GPA, SPA, exit, DMA, doorbell, ring, channel, control path, data path, happens-before",
    "01": "privilege mask, parent, deposit, withdraw, memory pool, page owner, scrub, CPUID, Hv#1, MapGpaPages, status",
    "03": "hypercall page, overlay, control word, result word, rep call, reps completed, continuation, fast call, "
    "GUEST_OS_ID, synthetic register, #GP, #UD",
    "04": "page table, page-table entry, leaf, large page, page walk, CR3, canonical address, #PF, error code, NX, "
    "CR0.WP, SMEP, SMAP, protection key, A/D bits, page-table isolation, TLB, INVLPG, PCID",
    "05": "SLAT, EPT, NPT, VPID, ASID, EPT violation, EPT misconfiguration, nested page fault, walk cache, flush, "
    "stale entry, shadow page tables, IOMMU",
}
USED = [(term, lesson) for lesson, terms in LESSONS.items() for term in terms.split(", ")]
CARDS = glossary.cards()


def by_term(card: glossary.Card) -> str:
    return card.term


@pytest.mark.parametrize(("term", "lessons"), OVERVIEW.items(), ids=list(OVERVIEW))
def test_a_term_of_the_overview_has_a_card_in_its_lessons(term, lessons):
    card = glossary.glossary(term)

    assert set(lessons.split()) <= set(card.lessons)


@pytest.mark.parametrize(("term", "lesson"), USED, ids=[term for term, _ in USED])
def test_a_term_of_a_lesson_has_a_card_by_then(term, lesson):
    card = glossary.glossary(term)

    assert card.lessons[0] <= lesson and lesson in card.lessons


@pytest.mark.parametrize("card", CARDS, ids=by_term)
def test_a_card_is_short_and_made_of_plain_sentences(card):
    assert len(card.short.split()) <= 25
    assert card.short.endswith(".") and card.exactly.endswith(".")
    assert not re.search(r"\b(simply|just|obviously|of course)\b", f"{card.short} {card.exactly}", re.IGNORECASE)


@pytest.mark.parametrize("card", CARDS, ids=by_term)
def test_a_card_quotes_at_most_twelve_words(card):
    quoted = re.findall(r'"([^"]+)"', card.overview_says)

    assert sum(len(words.split()) for words in quoted) <= 12


@pytest.mark.parametrize("card", CARDS, ids=by_term)
def test_a_card_stands_in_the_diagram_in_lessons_and_in_a_source(card):
    assert card.box in glossary.BOXES
    assert not card.wire or card.wire in glossary.WIRES
    assert set(card.lessons) <= set(tables.LESSONS)
    assert card.source


def test_a_name_leads_to_one_card():
    names = [name.casefold() for card in CARDS for name in card.names]

    assert len(names) == len(set(names))


def test_each_erratum_of_a_word_is_on_a_card():
    on_cards = {id for card in CARDS for id in card.errata}

    assert on_cards == {one.id for one in glossary.errata()}


def test_every_box_of_the_diagram_that_lessons_00_to_05_light_has_a_card():
    places = {card.box for card in CARDS if card.lessons[0] <= "05"}

    assert {"VMMS", "VMWP", "VID", "WinHv", "VMBus", "VSPs", "VSCs", "hypercalls", "MSRs", "intercepts"} <= places
    assert {"partition manager", "scheduler", "address management", "processors", "memory", "IOMMU"} <= places


@pytest.mark.parametrize("asked", ["GPADL", "gpadl", " GPADLs ", "gpa  descriptor list"])
def test_a_word_is_found_whatever_its_capitals_spaces_or_plural(asked):
    assert glossary.glossary(asked).term == "GPADL"


def test_a_card_prints_all_that_is_known():
    text = repr(glossary.glossary("MSR"))

    assert text.startswith("MSR: model-specific register")
    for part in ("Exactly: ", "In the diagram: MSRs · travels as exit (X)", "The overview says: ", "Errata: msr"):
        assert part in text
    assert "Lessons: 03, 06, 07" in text and "Source: TLFS" in text
    assert max(map(len, text.splitlines())) <= tables.WIDTH


def test_an_unknown_word_is_answered_with_the_nearest_three():
    with pytest.raises(BadRequest) as refused:
        glossary.glossary("GPADLE")

    near = refused.value.attempt.split(", ")
    assert near[0] == "GPADL" and len(near) == 3


@pytest.mark.parametrize(
    "asked", ["", "\x1b[31m", "x" * 100_000, None, 5], ids=["empty", "escape", "long", "none", "number"]
)
def test_what_is_no_word_is_refused_as_well(asked):
    with pytest.raises(BadRequest) as refused:
        glossary.glossary(asked)

    assert "\x1b" not in str(refused.value) and len(str(refused.value)) < 500


GOOD = {"term": "a", "short": "So.", "exactly": "So.", "box": "VMBus", "lessons": ["01"], "source": "s"}
BROKEN = {
    "26 words": [GOOD | {"short": "word " * 26}],
    "no such box": [GOOD | {"box": "VMBUS"}],
    "no such wire": [GOOD | {"wire": "string"}],
    "no such lesson": [GOOD | {"lessons": ["14"]}],
    "lessons out of order": [GOOD | {"lessons": ["05", "01"]}],
    "a lesson twice": [GOOD | {"lessons": ["05", "05"]}],
    "no such erratum": [GOOD | {"errata": ["typo"]}],
    "no source": [{name: value for name, value in GOOD.items() if name != "source"}],
    "another card's name": [GOOD | {"also": ["b"]}, GOOD | {"term": "B"}],
    "its own name again": [GOOD | {"also": ["A"]}],
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused_with_its_place(broken, monkeypatch, tmp_path):
    glossary.errata()
    put(tmp_path / "glossary.toml", "card", broken, monkeypatch)

    with pytest.raises(BadFile) as refused:
        glossary.cards.__wrapped__()

    assert refused.value.file == "glossary.toml" and refused.value.expected
