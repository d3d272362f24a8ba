"""Page lists: how they travel, whose pages they may name, and what becomes of them."""

import pytest

from hvlab.errors import BadRequest
from hvlab.vmbus.gpadl import messages
from hvlab.wire import vmbus
from vmbus.world import World

BAD = 0x8000FFFF
WHY = {1: "too small", 2: "too large", 3: "offset", 4: "no range", 5: "missing", 6: "not the guest's", 7: "empty"}


def header(world, words, count=1, gpadl=0x77, channel=1, length=None):
    """Let the guest post a GPADL_HEADER with these words of range data."""
    tail = b"".join(word.to_bytes(8, "little") for word in words)
    size = len(tail) if length is None else length
    world.say(vmbus.GpadlHeader, tail, channel_id=channel, gpadl_id=gpadl, length=size, count=count)


def page_words(pages, length=None, offset=0):
    return [offset << 32 | (len(pages) * 4096 if length is None else length), *pages]


def why(world):
    return [WHY[words["why"]] for words in world.events("gpadl_refused")]


@pytest.mark.parametrize(("pages", "bodies"), [(1, 0), (26, 0), (27, 1), (54, 1), (55, 2), (130, 4)])
def test_a_header_carries_26_page_numbers_and_each_body_28(pages, bodies):
    world = World(pages=512).begun()

    assert world.share(pages).value == 0
    assert [number for who, number in world.messages() if who == "guest"] == [8] + [9] * bodies
    assert world.answers() == [10]
    handle = world.guest.state.next_gpadl - 1
    named = world.guest.state.gpadls[handle]
    assert world.host.state.gpadls[handle, 1].pfns == named.gpns


def test_handles_count_up_from_0xe1e10_as_linux_does():
    world = World().begun()
    for _ in range(3):
        world.share(2)

    assert sorted(world.guest.state.gpadls) == [0xE1E10, 0xE1E11, 0xE1E12]


def test_the_bodies_of_linux_are_not_numbered():
    header, *bodies = messages(1, 0xE1E10, range(100, 190))

    assert [int.from_bytes(body[8:12], "little") for body in bodies] == [0, 0, 0]
    assert len(header) == 236 and int.from_bytes(header[16:18], "little") == 8 * 91


def test_the_root_names_each_page_by_its_own_address_and_both_are_one_page_of_memory():
    world = World().begun()
    world.share(3)

    mapped = world.events("gpadl_page_mapped")
    pages = world.web.partition.pages
    assert [words["root_gpa"] >> 12 for words in mapped] == [pages[words["gpa"] >> 12] for words in mapped]
    for words in mapped:
        world.web.vp.write_gpa(words["gpa"], b"one page")
        assert world.machine.memory.read(words["spa"], 8) == b"one page"
        assert world.machine.root_vp.read_gpa(words["root_gpa"], 8) == b"one page"


@pytest.mark.parametrize(
    ("words", "count", "expected"),
    [
        (page_words([300]), 0, "no range"),
        (page_words([300], length=0), 1, "empty"),
        (page_words([300], offset=4096), 1, "offset"),
        (page_words([300], offset=0xFFFFFFFF), 1, "offset"),
        (page_words([300], length=4097), 1, "too small"),
        (page_words([300], length=4096, offset=1), 1, "too small"),
        (page_words([300], length=0xFFFFFFFF), 1, "too large"),
        (page_words([300], length=0xFFFFF001, offset=0xFFF), 1, "too large"),
        (page_words([300]), 2, "missing"),
        ([*page_words([100]), 0x1000], 2, "too small"),
        (page_words([1 << 40]), 1, "not the guest's"),
        (page_words([100, 5000]), 1, "not the guest's"),
        (page_words([0xFFFFFFFFFFFFFFFF]), 1, "not the guest's"),
    ],
)
def test_ranges_that_lie_are_refused_with_the_reason_and_no_page_is_mapped(words, count, expected):
    world = World().begun()
    before = dict(world.web.partition.pinned)
    header(world, words, count)

    assert why(world) == [expected] and world.answers() == [10]
    assert world.events("gpadl_page_mapped") == []
    sent = world.events("channel_message_sent")[-1]
    assert (sent["gpadl"], sent["status"]) == (0x77, BAD)
    assert world.host.state.gpadls == {} and world.web.partition.pinned == before


def test_a_list_may_have_several_ranges_and_begin_inside_a_page():
    world = World().begun()
    header(world, [*page_words([100, 101], length=5000, offset=8), *page_words([102], length=8)], 2)

    assert world.answers() == [10] and world.events("channel_message_sent")[-1]["status"] == 0
    assert world.host.state.gpadls[0x77, 1].pfns == [100, 101, 102]
    world.say(vmbus.Open, channel_id=1, open_id=9, gpadl_id=0x77, downstream_offset=2)
    assert world.refusals() == ["offset outside the pages"] and world.answers() == [6]


@pytest.mark.parametrize(
    ("words", "count"),
    [
        ([*page_words([100, 101, 102]), *page_words([103, 104, 105])], 2),
        (page_words([100, 101, 102, 103, 104], length=4 * 4096, offset=8), 1),
        (page_words([100, 101, 102, 103], length=4 * 4096 - 8), 1),
    ],
)
def test_rings_need_one_range_of_whole_pages(words, count):
    world = World().begun()
    header(world, words, count)
    assert world.events("channel_message_sent")[-1]["status"] == 0
    world.say(vmbus.Open, channel_id=1, open_id=1, gpadl_id=0x77, downstream_offset=2)

    assert world.refusals() == ["offset outside the pages"] and world.host.ends == {}


def test_the_pages_of_another_partition_are_refused():
    world = World().begun()
    other = world.machine.child("db", memory=8 * 4096)
    foreign = set(other.partition.pages.values())
    assert not foreign & set(world.web.partition.pages.values())

    header(world, page_words([max(world.web.partition.pages) + 1]))
    assert why(world) == ["not the guest's"]


def test_a_handle_that_lives_or_is_still_coming_is_not_given_twice():
    world = World().begun()
    header(world, page_words([100, 101]))
    header(world, page_words([102, 103]))
    assert (world.refusals(), world.answers()) == (["handle in use"], [])

    header(world, page_words(range(100, 126)), gpadl=0x78, length=8 * 40)
    assert world.answers() == []
    header(world, page_words([102]), gpadl=0x78, channel=2)
    assert world.refusals() == ["handle in use"]
    assert world.host.state.gpadls[0x77, 1].pfns == [100, 101]


def test_a_body_without_a_header_is_refused():
    world = World().begun()
    world.say(vmbus.GpadlBody, bytes(16), gpadl_id=0x99)

    assert (world.refusals(), world.answers()) == (["unknown GPADL"], [])


def test_a_list_that_a_guest_never_completes_can_be_dropped_with_its_channel_only():
    world = World().begun()
    header(world, page_words(range(100, 126)), length=8 * 40)
    world.say(vmbus.GpadlTeardown, channel_id=1, gpadl_id=0x77)
    assert (world.refusals(), world.answers()) == (["not in this state"], [])

    world.rescind("scsi")
    assert world.answers()[:2] == [10, 2]
    assert world.host.state.incomplete == {} and world.host.state.gpadls == {}


def test_teardown_gives_the_pages_back_and_is_answered_by_the_handle():
    world = World().begun()
    world.share(4)
    before = dict(world.web.partition.pinned)

    assert world.unshare(0xE1E10).value
    assert world.answers() == [12] and world.events("gpadl_unmapped")[0]["pages"] == 4
    assert len(before) - len(world.web.partition.pinned) == 4


@pytest.mark.parametrize(
    ("channel", "gpadl", "expected"),
    [(1, 0x999, "unknown GPADL"), (2, 0xE1E10, "GPADL of another channel"), (9, 0xE1E10, "unknown channel")],
)
def test_a_teardown_that_names_the_wrong_list_changes_nothing(channel, gpadl, expected):
    world = World().begun()
    world.share(4, "scsi")
    world.say(vmbus.GpadlTeardown, channel_id=channel, gpadl_id=gpadl)

    assert (world.refusals(), world.answers()) == ([expected], [])
    assert (0xE1E10, 1) in world.host.state.gpadls


def test_the_pages_of_an_open_channels_rings_are_not_torn_down():
    world = World().begun("scsi")
    world.say(vmbus.GpadlTeardown, channel_id=1, gpadl_id=0xE1E10)

    assert (world.refusals(), world.answers()) == (["GPADL in use"], [])
    world.send(b"still there")
    assert world.host.ends[1].inbox[0].data[:11] == b"still there"


def test_a_page_in_a_list_cannot_be_taken_from_the_guest_until_the_list_is_gone():
    world = World().begun()
    world.share(4)
    page = world.guest.state.gpadls[0xE1E10].gpns[2]
    with pytest.raises(BadRequest, match="GPADL"):
        world.machine.vid.remove_memory(world.web.partition, page - 5, 8)
    world.hold_all()

    world.unshare(0xE1E10)
    world.machine.vid.remove_memory(world.web.partition, page, 1)
    world.hold_all()


def test_no_more_than_256_lists_live_at_a_time():
    world = World().begun()
    for number in range(256):
        with world.machine.action():
            world.kernel.boxes[0].post(world.guest.state.post_to, messages(1, number + 1, [100])[0])
            world.rest()
    assert len(world.host.state.gpadls) == 256
    header(world, page_words([100]), gpadl=0x999)

    assert world.refusals() == ["too many"] and world.answers() == [10]
    assert world.events("channel_message_sent")[-1]["status"] == BAD


def test_a_child_that_is_taken_down_leaves_no_list_and_no_pages_behind():
    world = World().begun("scsi")
    world.share(4, "net")
    free = len(world.machine.vid.winhv.memory.free)
    world.web.destroy()

    assert world.machine.vmbus.hosts == {} and len(world.machine.vid.winhv.memory.free) > free + 250
    world.hold_all()
    assert world.counts() == {"port": 0, "connection": 0}
