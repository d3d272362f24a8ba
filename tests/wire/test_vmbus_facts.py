"""Each channel message lies as three independent sources say: sizes, offsets, numbers, and golden bytes."""

import json
from pathlib import Path

import pytest

from hvlab.vmbus.gpadl import messages
from hvlab.wire import vmbus

FACTS = json.loads((Path(__file__).parent / "vmbus_facts.json").read_text())
HEAD = 8
OPTIONAL = {8: {(20, 16)}, 9: {(16, 8)}}  # what follows the body, in one of the sources
RENAMED = {
    "child_rel_id": "channel_id", "gpadl": "gpadl_id", "vmbus_version_requested": "version",
    "parent_to_child_monitor_page_gpa": "parent_to_child", "child_to_parent_monitor_page_gpa": "child_to_parent",
    "version_supported": "supported", "selected_version": "connection_id", "supported_features": "feature_flags",
    "is_dedicated_interrupt": "is_dedicated", "range_buf_len": "length", "range_count": "count",
    "creation_status": "status", "target_message_vp": "target_vp", "ring_buffer_gpadl_handle": "gpadl_id",
    "downstream_ring_buffer_page_offset": "downstream_offset", "ring_buffer_gpadl": "gpadl_id",
    "downstream_page_offset": "downstream_offset",
}  # fmt: skip


@pytest.mark.parametrize("fact", FACTS["messages"], ids=lambda fact: fact["name"])
def test_sizes_sender_and_places_of_a_message_are_those_of_the_sources(fact):
    forms = vmbus.FORMS[fact["type"]]
    senders = {"host": vmbus.ROOT, "guest": vmbus.CHILD}
    known = set(fact["sizes"])

    assert {form.sender for form in forms} == {senders[fact["from"]]}
    assert {HEAD + form.size for form in forms} <= known | {min(known)}
    assert HEAD + min(form.size for form in forms) == min(known)
    longest = max(forms, key=lambda form: form.size)
    ours = {(HEAD + one.offset, one.bytes) for form in forms for one in form.fields} | {(0, 4), (4, 4)}
    raw = [(HEAD + one.offset, one.bytes) for form in forms for one in form.fields if one.raw]
    wanted = {tuple(one) for one in fact["fields"]} - OPTIONAL.get(fact["type"], set())
    joined = {one for one in wanted if any(at <= one[0] and one[0] + one[1] <= at + size for at, size in raw)}
    assert wanted - joined <= ours
    assert {one for one in ours if one not in raw} <= wanted
    assert HEAD + longest.size == max(known) or fact["type"] in OPTIONAL


def test_there_is_a_form_for_each_of_the_29_messages_and_no_other():
    assert sorted(vmbus.FORMS) == [fact["type"] for fact in FACTS["messages"]] == list(range(1, 30))
    assert sorted(vmbus.NAMES) == sorted(vmbus.FORMS)


@pytest.mark.parametrize("fact", FACTS["messages"], ids=lambda fact: fact["name"])
def test_a_message_is_as_old_as_the_sources_say(fact):
    since = fact["since"].split(" ")[0]
    oldest = vmbus.FORMS[fact["type"]][0].since
    assert oldest == since or since == "any"


@pytest.mark.parametrize("golden", FACTS["golden"], ids=lambda golden: golden["name"])
def test_golden_messages_are_made_and_read_byte_for_byte(golden):
    data = bytes.fromhex(golden["hex"])
    body, tail = vmbus.unpack(data)
    assert vmbus.pack(type(body), tail, **body.__dict__) == data
    for name, value in golden["fields"].items():
        found = getattr(body, RENAMED.get(name, name))
        if isinstance(value, str):
            assert found == bytes.fromhex(value).ljust(len(found), b"\0")
        else:
            assert found == value


def test_the_golden_page_list_of_64_pages_is_what_a_guest_says_but_for_the_middle():
    golden = {one["name"]: bytes.fromhex(one["hex"]) for one in FACTS["golden"]}
    header, body, last = messages(5, 0xE1E11, range(0x30000, 0x30040))

    assert header == golden["gpadl_header_64_pages_first26"]
    assert last == golden["gpadl_body_64_pages_last10"]
    assert len(body) == 16 + 8 * 28


def test_versions_features_flags_and_constants_are_those_of_the_sources():
    assert sorted(one.value for one in vmbus.VERSIONS) == sorted(value for _, _, value in FACTS["versions"])
    for name, value in FACTS["features"].items():
        assert vmbus.FeatureFlags.mask(name) == value
    for name, value in FACTS["offers"].items():
        assert vmbus.OfferFlags.mask(name) == value
    constants = FACTS["constants"]
    assert constants["max_message_size"] == vmbus.MAX_MESSAGE
    assert (
        constants["gpadl_header_max_pfns_single_range"],
        constants["gpadl_body_max_pfns"],
        constants["max_gpadls"],
        constants["vp_index_disable_interrupt"],
        constants["VMBUS_MESSAGE_SINT"],
    ) == (vmbus.HEADER_PFNS, vmbus.BODY_PFNS, vmbus.MAX_GPADLS, vmbus.NO_VP, vmbus.SINT)
    assert sorted(vmbus.ConnectionId) == sorted(constants["connection_ids"].values())
