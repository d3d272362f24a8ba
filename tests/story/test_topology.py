"""Who can reach which page: hand-made layouts, sound ones and ones with a hole."""

from dataclasses import replace

import pytest

from hvlab.story.topology import (
    GuestLeaf,
    Layout,
    Leaf,
    Owned,
    Share,
    Tables,
    graph,
    isolation,
    layout,
    owner_of,
    paths,
    reachable,
    runs,
    share_of,
    table,
    ways,
    who_reaches,
)

ROOT, WEB, DB = 1, 2, 3
R, RW, RWX = 1, 3, 7

# 64 pages: the hypervisor 0-7 (4-5 hold tables of web, 6-7 of db), root 8-31, web 32-47, db 48-63; web shares page 40.
SOUND = Layout(
    names=((ROOT, "root"), (WEB, "web"), (DB, "db")),
    owned=(Owned(0, 8, 0), Owned(8, 24, ROOT), Owned(32, 16, WEB), Owned(48, 16, DB)),
    shares=(Share(40, 1, WEB, ROOT, RW),),
    leaves=(
        Leaf(ROOT, 8, 8, 24, RWX),
        Leaf(ROOT, 40, 40, 1, RW),
        Leaf(WEB, 0, 32, 16, RWX),
        Leaf(DB, 0, 48, 16, RWX),
    ),
    tables=(Tables(4, 2, WEB), Tables(6, 2, DB)),
)


def with_leaf(*leaves: Leaf) -> Layout:
    return replace(SOUND, leaves=(*SOUND.leaves, *leaves))


def test_partitions_that_keep_to_themselves_are_apart():
    assert isolation(SOUND) == []


def test_a_partition_reaches_its_own_pages_and_what_is_shared_with_it():
    assert sorted(reachable(SOUND, ROOT)) == [*range(8, 32), 40]
    assert sorted(reachable(SOUND, WEB)) == [*range(32, 48)]
    assert sorted(reachable(SOUND, DB)) == [*range(48, 64)]


def test_a_path_says_each_step_with_the_rights_of_the_whole_way():
    path = reachable(SOUND, ROOT)[40]

    assert str(path) == "root → GPA 0x0002_8000 → second level of root → SPA 0x0002_8000, rw-"


def test_a_shared_page_is_reached_by_both_and_any_other_by_one():
    assert who_reaches(SOUND, 40) == {ROOT: RW, WEB: RWX}
    assert who_reaches(SOUND, 41) == {WEB: RWX}
    assert who_reaches(SOUND, 4) == {}


def test_a_leaf_to_another_childs_page_is_a_break_and_is_told_with_its_path():
    (said,) = isolation(with_leaf(Leaf(WEB, 100, 50, 2, R)))

    assert said == (
        "web reaches a page of db that no share record opens to it: "
        "web → GPA 0x0006_4000 → second level of web → SPA 0x0003_2000 (2 pages), r--"
    )


def test_a_share_record_opens_exactly_its_pages():
    shared = replace(with_leaf(Leaf(WEB, 100, 50, 2, R)), shares=(*SOUND.shares, Share(50, 1, DB, WEB, R)))

    (said,) = isolation(shared)

    assert "SPA 0x0003_3000, r--" in said


@pytest.mark.parametrize("share", [Share(50, 1, ROOT, WEB, R), Share(50, 1, DB, ROOT, R)])
def test_a_share_record_must_name_both_the_owner_and_the_reader(share):
    broken = replace(with_leaf(Leaf(WEB, 100, 50, 1, R)), shares=(*SOUND.shares, share))

    assert [said.partition(":")[0] for said in isolation(broken)] == [
        "web reaches a page of db that no share record opens to it"
    ]


def test_more_rights_than_the_share_are_a_break():
    broken = replace(with_leaf(Leaf(WEB, 100, 50, 1, RW)), shares=(*SOUND.shares, Share(50, 1, DB, WEB, R)))

    assert isolation(broken)[0].startswith("web has more rights (rw-) than its share (r--): web → ")


@pytest.mark.parametrize(("who", "whose"), [(WEB, "web"), (DB, "web"), (ROOT, "web")])
def test_no_partition_reaches_a_table_page_not_even_with_a_share(who, whose):
    broken = replace(with_leaf(Leaf(who, 200, 5, 1, R)), shares=(*SOUND.shares, Share(5, 1, 0, who, R)))

    (said,) = isolation(broken)

    assert f"reaches a second-level table of {whose}: " in said


def test_a_page_of_the_hypervisor_is_out_of_reach_without_a_share_and_in_reach_with_one():
    overlay = with_leaf(Leaf(WEB, 100, 1, 1, 5))

    assert "reaches a page of the hypervisor that no share record" in isolation(overlay)[0]
    assert isolation(replace(overlay, shares=(*SOUND.shares, Share(1, 1, 0, WEB, 5)))) == []


def test_a_leaf_that_leads_to_no_memory_is_told():
    assert isolation(with_leaf(Leaf(DB, 100, 900, 1, R)))[0].startswith("db maps an SPA without memory: db → ")


def test_a_leaf_without_rights_leads_nowhere():
    closed = with_leaf(Leaf(WEB, 100, 50, 1, 0))

    assert isolation(closed) == []
    assert who_reaches(closed, 50) == {DB: RWX}


def test_a_run_over_a_border_is_cut_where_the_owner_changes():
    (said,) = isolation(with_leaf(Leaf(WEB, 100, 46, 4, R)))

    assert "GPA 0x0006_6000" in said
    assert "SPA 0x0003_0000 (2 pages)" in said


GUEST = replace(
    SOUND,
    guest_leaves=(
        GuestLeaf(WEB, "VP 0", 0x400, 0, 4, R),
        GuestLeaf(WEB, "VP 0", 0x7000, 1, 1, RW),
        GuestLeaf(WEB, "VP 1", 0x400, 8, 2, RWX),
        GuestLeaf(WEB, "VP 1", 0x900, 4000, 1, RWX),
    ),
)


def test_guest_tables_add_paths_by_gva_and_take_rights_away():
    said = [str(path) for path in paths(GUEST, WEB, 33)]

    way = "GPA 0x0000_1000 → second level of web → SPA 0x0002_1000"
    assert said == [
        f"web → {way}, rwx",
        f"web → tables of VP 0: GVA 0x0000_0000_0040_1000 → {way}, r--",
        f"web → tables of VP 0: GVA 0x0000_0000_0700_0000 → {way}, rw-",
    ]


def test_guest_tables_open_nothing_that_the_second_level_does_not():
    assert sorted(reachable(GUEST, WEB)) == sorted(reachable(SOUND, WEB))
    assert isolation(GUEST) == []
    assert not [path for path in ways(GUEST, WEB) if path.gvn == 0x900]


def test_each_node_of_the_graph_has_one_owner_and_owning_carries_no_access():
    made = graph(with_leaf(Leaf(WEB, 100, 46, 4, R)))

    pages = [node for node in made if node[0] == "page"]
    owners = [[a for a, _, kind in made.in_edges(page, data="kind") if kind == "owns"] for page in pages]
    assert all(len(who) == 1 for who in owners)
    assert sum(page[2] for page in pages) == 64
    assert made.edges[("page", 4, 2), ("partition", WEB)]["kind"] == "confines"
    assert ways(Layout(names=SOUND.names, owned=SOUND.owned), DB) == []


def test_plain_data_become_runs():
    root = {"id": 1, "name": "root", "maps": [(4, 4, 7), (3, 3, 7), (5, 5, 3), (6, 6, 3)], "tables": []}
    web = {"id": 2, "name": "web", "maps": [(0, 5, 15), (1, 6, 15), (2, 8, 1)], "tables": [2, 1]}
    told = {"partitions": [root, web], "shares": [(5, 2, 1, 3), (6, 2, 1, 3)]}
    guest = GuestLeaf(2, "VP 0", 0x10, 0, 2, R)

    made = layout(told, [-1, 0, 0, 1, 1, 2, 2, -1, 2], [guest])

    assert made.owned == (Owned(1, 2, 0), Owned(3, 2, 1), Owned(5, 2, 2), Owned(8, 1, 2))
    assert made.shares == (Share(5, 2, 2, 1, 3),)
    assert made.leaves == (Leaf(1, 3, 3, 2, 7), Leaf(1, 5, 5, 2, 3), Leaf(2, 0, 5, 2, 7), Leaf(2, 2, 8, 1, 1))
    assert made.tables == (Tables(1, 2, 2),)
    assert made.guest_leaves == (guest,)
    assert isolation(made) == []


def test_runs_of_nothing_are_none():
    assert list(runs([], (1, 1))) == []
    assert list(runs([(3, 9)], (1, 1))) == [(1, (3, 9))]


def test_the_table_tells_every_path_with_its_verdict():
    rows = table(with_leaf(Leaf(WEB, 100, 50, 1, R)))

    assert rows[0] == ("partition", "GPA", "SPA", "pages", "rights", "owner", "share", "verdict")
    assert ("root", "0x0002_8000", "0x0002_8000", "1", "rw-", "web", "rw-", "allowed") in rows
    assert ("web", "0x0006_4000", "0x0003_2000", "1", "r--", "db", "",
            "web reaches a page of db that no share record opens to it") in rows  # fmt: skip
    assert sum(row[-1] == "allowed" for row in rows) == len(rows) - 2


def test_owners_and_shares_are_found_page_by_page():
    assert [owner_of(SOUND, spn) for spn in (0, 8, 47, 48, 64)] == [0, ROOT, WEB, DB, None]
    assert share_of(SOUND, 40, ROOT) == SOUND.shares[0]
    assert share_of(SOUND, 41, ROOT) is None
    assert share_of(SOUND, 40, DB) is None


def test_a_machine_of_a_thousand_runs_is_answered():
    many = replace(
        SOUND,
        owned=(*SOUND.owned, *(Owned(1000 + 2 * k, 1, WEB if k % 2 else DB) for k in range(1000))),
        leaves=(*SOUND.leaves, *(Leaf(WEB if k % 2 else DB, 5000 - 2 * k, 1000 + 2 * k, 1, R) for k in range(1000))),
    )

    assert isolation(many) == []
    assert len(reachable(many, WEB)) == 16 + 500
