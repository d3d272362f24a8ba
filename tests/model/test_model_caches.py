"""The cache model: which entry leaves, which entry serves, and what each flush drops."""

import random
from collections import OrderedDict

import pytest

from model.caches import (
    Cache,
    Tag,
    everything,
    one_page,
    one_page_in_all,
    one_pcid,
    one_vpid,
    one_vpid_but_global,
    tag_serves,
)


def test_the_least_recently_used_way_leaves():
    cache = Cache(1, 3)
    for key in "abc":
        assert cache.fill(key, 0, key.upper()) is None

    assert cache.lookup("a", 0) == "A"
    assert cache.fill("d", 0, "D") == "b"
    assert cache.fill("e", 0, "E") == "c"
    assert cache.keys() == ["a", "d", "e"]


def test_a_miss_changes_nothing():
    cache = Cache(1, 2)
    cache.fill("a", 0, 1)
    cache.fill("b", 0, 2)

    assert cache.lookup("c", 0) is None
    assert cache.fill("c", 0, 3) == "a"


def test_the_first_way_that_is_not_valid_is_filled_first():
    cache = Cache(1, 4)
    for key in "abcd":
        cache.fill(key, 0, key)
    assert cache.flush(lambda key: key in "bd") == 2

    assert cache.fill("x", 0, "x") is None
    assert cache.keys() == ["a", "x", "c"]
    assert cache.fill("y", 0, "y") is None
    assert cache.fill("z", 0, "z") == "a"
    assert cache.keys() == ["z", "x", "c", "y"]


def test_filling_a_key_again_replaces_its_value_and_evicts_nobody():
    cache = Cache(1, 2)
    cache.fill("a", 0, 1)
    cache.fill("b", 0, 2)

    assert cache.fill("a", 0, 3) is None
    assert cache.lookup("a", 0) == 3
    assert cache.fill("c", 0, 4) == "b"


def test_sets_do_not_disturb_each_other():
    cache = Cache(4, 1)
    for page in range(8):
        evicted = cache.fill(page, cache.index_of(page), page)
        assert evicted == (page - 4 if page >= 4 else None)

    assert cache.keys() == [4, 5, 6, 7]


@pytest.mark.parametrize(("sets", "ways"), [(0, 1), (3, 4), (4, 0)])
def test_a_shape_that_cannot_be_is_refused(sets, ways):
    with pytest.raises(ValueError, match="power of two"):
        Cache(sets, ways)


@pytest.mark.parametrize(
    ("tag", "page", "vpid", "pcid", "serves"),
    [
        (Tag(5, 1, 2), 5, 1, 2, True),
        (Tag(5, 1, 2), 6, 1, 2, False),
        (Tag(5, 1, 2), 5, 2, 2, False),
        (Tag(5, 1, 2), 5, 1, 3, False),
        (Tag(5, 1, 2, is_global=True), 5, 1, 3, True),
        (Tag(5, 1, 2, is_global=True), 5, 2, 3, False),
    ],
)
def test_a_global_entry_serves_every_address_space_of_its_own_guest(tag, page, vpid, pcid, serves):
    cache = Cache(1, 2)
    cache.fill(tag, 0, "here")

    found = cache.lookup(None, 0, serves=lambda held: tag_serves(held, page, vpid, pcid))

    assert tag_serves(tag, page, vpid, pcid) == serves
    assert found == ("here" if serves else None)


TAGS = [
    Tag(page, vpid, pcid, is_global) for page in (5, 6) for vpid in (1, 2) for pcid in (0, 3) for is_global in (0, 1)
]


@pytest.mark.parametrize(
    ("goes", "dropped", "witness", "survivor"),
    [
        (everything, 16, Tag(6, 2, 3, 1), None),
        (one_vpid(1), 8, Tag(5, 1, 0, 1), Tag(5, 2, 0, 0)),
        (one_vpid_but_global(1), 4, Tag(5, 1, 3, 0), Tag(5, 1, 3, 1)),
        (one_pcid(1, 3), 2, Tag(6, 1, 3, 0), Tag(6, 1, 3, 1)),
        (one_page(1, 3, 5), 3, Tag(5, 1, 0, 1), Tag(5, 1, 0, 0)),
        (one_page_in_all(2, 6), 4, Tag(6, 2, 0, 0), Tag(6, 1, 0, 0)),
    ],
)
def test_what_a_flush_drops(goes, dropped, witness, survivor):
    cache = Cache(2, 8)
    for tag in TAGS:
        cache.fill(tag, cache.index_of(tag.page), None)

    assert cache.flush(goes) == dropped
    left = cache.keys()
    assert witness not in left
    assert survivor is None or survivor in left
    assert len(left) == 16 - dropped


def test_a_long_random_run_agrees_with_one_ordered_dict_per_set():
    rng, cache = random.Random(3), Cache(8, 4)
    orders: list[OrderedDict[int, int]] = [OrderedDict() for _ in range(8)]
    hits = evictions = 0
    for step in range(20_000):
        page = int(rng.paretovariate(0.7)) % 200
        order = orders[page % 8]
        value = cache.lookup(page, cache.index_of(page))

        assert value == order.get(page)
        if value is None:
            evicted = cache.fill(page, cache.index_of(page), step)
            expected = order.popitem(last=False)[0] if len(order) == 4 else None
            assert evicted == expected
            evictions += evicted is not None
            order[page] = step
        else:
            hits += 1
            order.move_to_end(page)
        if step % 500 == 0:
            dropped = cache.flush(lambda key: key % 7 == 3)
            gone = [(order, key) for order in orders for key in order if key % 7 == 3]
            for order, key in gone:
                del order[key]
            assert dropped == len(gone)
    assert min(hits, evictions) > 2_000
