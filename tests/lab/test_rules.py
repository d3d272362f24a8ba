"""Each event has one rule, in our words, with the document where it stands; disagreements are shown, not hidden."""

import re

import pytest
from small_toml import put

from hvlab.errors import BadFile, BadRequest
from hvlab.lab import rules, tables
from hvlab.trace import vmbus_events  # noqa: F401  the catalogue is filled by importing it
from hvlab.trace.event import CATALOGUE

DISPUTES = {  # points on which the sources disagree, and the rule that shows both sides
    "status of a full port": "insufficient-buffers",
    "reserved bits of the result": "hypercall-result",
    "reserved privileges": "hypercall-denied",
    "numbers of the SINT registers": "sint-registers",
    "channel messages that grew": "grown-messages",
    "pipe offers": "pipe-offers",
    "free space of a ring": "ring-free",
    "packet types": "packet-types",
    "bodies of integration messages": "integration-tails",
    "input of MapDeviceInterrupt": "map-device-interrupt",
    "flags of MapGpaPages": "map-page",
    "masked SINTs and queues": "synic-policies",
    "how a guest detects Hyper-V": "discovery",
}
EVENTS = sorted(event.name for event in CATALOGUE)


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_has_a_rule_that_cites_what_its_declaration_cites(name):
    declared = next(event for event in CATALOGUE if event.name == name)

    assert rules.why(name).cites == declared.rule


def test_a_rule_names_only_declared_events():
    assert sorted(event for rule in rules.rules() for event in rule.events) == EVENTS


@pytest.mark.parametrize("rule", rules.rules(), ids=lambda rule: rule.id)
def test_a_rule_has_an_id_a_place_and_plain_sentences(rule):
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule.id)
    assert rule.document and rule.section
    assert rule.says.endswith(".") and rule.says[0].isupper()
    assert all(len(sentence.split()) <= 30 for sentence in re.split(r"(?<=[.:;]) ", rule.says))


@pytest.mark.parametrize("id", DISPUTES.values(), ids=DISPUTES)
def test_where_sources_disagree_a_rule_shows_both_and_what_the_machine_follows(id):
    rule = rules.rule(id)

    assert len({claim.split(":")[0] for claim in rule.disagree}) == len(rule.disagree) >= 2
    assert all(claim in " ".join(repr(rule).split()) for claim in rule.disagree)
    assert "This machine: " in repr(rule)


def test_a_rule_prints_itself_with_its_source():
    text = repr(rules.why("hypercall_continued"))

    assert text.startswith("hypercall-continuation: ")
    assert "Source: TLFS, Hypercall interface: hypercall continuation" in text
    assert max(map(len, text.splitlines())) <= tables.WIDTH


def test_a_rule_from_memory_says_so():
    assert "(from memory)" in repr(rules.rule("walk"))
    assert "(from memory)" not in repr(rules.rule("deposit"))


def test_an_unknown_rule_or_event_is_answered_with_the_nearest_three():
    with pytest.raises(BadRequest) as refused:
        rules.rule("walks")
    with pytest.raises(BadRequest) as unheard:
        rules.why("vp_exit")

    assert "walk" in refused.value.attempt.split(", ")
    assert "vp_exited" in unheard.value.attempt.split(", ")


GOOD = {"id": "a", "document": "d", "section": "s", "says": "So.", "standing": "checked"}
BROKEN = {
    "another standing": [GOOD | {"standing": "sure"}],
    "events without a citation": [GOOD | {"events": ["tlb_hit"]}],
    "a citation without events": [GOOD | {"cites": "d, s"}],
    "one side only": [GOOD | {"disagree": ["one: so."], "follows": "one."}],
    "two sides without a decision": [GOOD | {"disagree": ["one: so.", "two: no."]}],
    "one event, two rules": [GOOD | {"id": k, "cites": "d", "events": ["tlb_hit"]} for k in "ab"],
    "the same id twice": [GOOD, GOOD | {"id": "A"}],
    "a field that no rule has": [GOOD | {"chapter": "1"}],
    "a field missing": [{"id": "a"}],
    "an empty text": [GOOD | {"says": " "}],
    "a number": [GOOD | {"section": 4}],
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_refused_with_its_place(broken, monkeypatch, tmp_path):
    put(tmp_path / "rules.toml", "rule", broken, monkeypatch)

    with pytest.raises(BadFile) as refused:
        rules.rules.__wrapped__()

    assert refused.value.file == "rules.toml" and refused.value.expected
