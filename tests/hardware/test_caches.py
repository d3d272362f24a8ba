"""The caches of the compiled engine against the slow model, event by event and entry by entry, on random streams."""

import random
from dataclasses import dataclass, field, replace

import numpy as np
from hardware.rig import SECOND, Rig
from model.caches import Tag, everything, one_pcid, one_vpid, one_vpid_but_global
from model.memory import Memory
from model.paging import PEEK, READ, WRITE, Outcome
from model.processor import SHIFTS, Processor, Shape, Vp
from model.worlds import (
    ACCESSES,
    GuestMemory,
    Ink,
    Tables,
    draw_cpu,
    draw_gva,
    draw_second,
    map_guest,
    write_guest,
    write_nested,
)

from hvlab.hardware import flush
from hvlab.hardware.processor import DETAIL, OUTCOMES
from hvlab.hardware.tlb import GLOBAL, PAGE_NUMBERS, PCID_SHIFT, SIZE_SHIFT, VPID_SHIFT, Geometry
from hvlab.kernel import PLAIN
from hvlab.trace.event import CATALOGUE

PAGES = 2048
SEEDS = 27 if PLAIN else 150
STREAM = 300
MASK = (1 << 64) - 1
FRAME = (1 << 52) - (1 << 12)
SMALL = [
    Shape((1, 1), (1, 2), (1, 1), (1, 1)),
    Shape((1, 2), (2, 2), (1, 2), (2, 1)),
    Shape((2, 1), (1, 4), (2, 1), (1, 4)),
    Shape((2, 2), (4, 2), (1, 4), (2, 2)),
    Shape((4, 4), (8, 3), (4, 2), (8, 2)),
    Shape((1, 0), (1, 3), (1, 2), (1, 2)),
    Shape((1, 2), (1, 0), (1, 0), (1, 2)),
    Shape((1, 2), (1, 2), (2, 2), (1, 0)),
    Shape(),
]


@dataclass
class Scene:
    """Address spaces in one memory, and virtual processors that share a logical one."""

    name: str
    rng: random.Random
    memory: Memory
    vps: list[Vp]
    roots: list[int]
    gvas: list[int]
    shape: Shape
    written: list[int] = field(default_factory=list)
    changed: list[tuple[int, int]] = field(default_factory=list)
    recent: list[tuple[int, int]] = field(default_factory=list)

    def next_access(self) -> tuple[int, int]:
        if self.rng.random() < 0.02:
            return self.rng.getrandbits(64), self.rng.choice(ACCESSES)
        if self.recent and self.rng.random() < 0.5:
            return self.rng.choice(self.recent)
        peek = PEEK if self.rng.random() < 0.05 else 0
        access = self.rng.choice([READ, READ, WRITE, *ACCESSES]) | peek
        self.recent = [*self.recent[-2:], (self.rng.choice(self.gvas) | self.rng.randrange(4096), access)]
        return self.recent[-1]


def make_scene(seed: int) -> Scene:
    """Draw three address spaces whose addresses often collide, and three VPs; the last one is of another partition."""
    rng = random.Random(seed)
    cpu = replace(draw_cpu(rng), pcide=rng.random() < 0.8, nxe=rng.random() < 0.9)
    second, memory = replace(draw_second(rng), large_2m=True, large_1g=True), Memory(size=PAGES)
    guest = GuestMemory(rng, PAGES, second, cpu.phys_bits)
    spaces, gvas = [], []
    for _ in range(3):
        tables = Tables(cpu.levels, guest.page)
        mapped = map_guest(rng, guest, tables)
        for gva in gvas:
            if tables.map(gva & ~0xFFF, guest.page()[1], 1):
                mapped.append((gva, 1))
        gvas += [gva for gva, _ in mapped]
        spaces.append(tables)
    gvas.append(draw_gva(rng, cpu.levels, gvas))
    ink = Ink(rng, rng.choice([0.0, 0.0, 0.01]))
    for tables in spaces:
        write_guest(ink, memory, tables, cpu)
    if guest.is_nested:
        second.root = guest.nested.root.address
        write_nested(ink, memory, guest.nested, second, {table.spa for tables in spaces for table in tables.all()})
    vps = [Vp(replace(cpu), second, vp + 1, space, rng.random() < 0.6) for vp, space in enumerate((1, 1, 2))]
    entries = [spn << 12 | 8 * k for spn, page in memory.pages.items() for k, entry in enumerate(page) if entry]
    gvas = rng.sample(gvas, min(len(gvas), 12))
    return Scene(
        f"scene {seed}", rng, memory, vps, [t.root.address for t in spaces], gvas, SMALL[seed % len(SMALL)], entries
    )


class Pair:
    """The engine and the model over the same scene."""

    def __init__(self, scene: Scene) -> None:
        self.scene, self.model, shape = scene, Processor(scene.memory, scene.shape), scene.shape
        words = {
            f"{c}_{w}": v
            for c in ("l1", "l2", "structure", "nested")
            for w, v in zip(("sets", "ways"), getattr(shape, c), strict=True)
        }
        self.rig = Rig(PAGES, 0, Geometry(**words))
        for spn, page in scene.memory.pages.items():
            self.rig.memory.page(spn)[:] = np.array(page, np.uint64).astype(np.int64)
        second, cpu = scene.vps[0].second, scene.vps[0].cpu
        self.rig.state["phys_bits"] = second.phys_bits if second.kind != "none" else cpu.phys_bits
        self.tlb = self.rig.state["lp"][0, 0]["tlb"]
        for number in range(len(scene.vps)):
            self.load(number)

    def load(self, number: int) -> None:
        """Give the engine's VP the registers of the model's."""
        vp = self.scene.vps[number]
        cpu, second = vp.cpu, vp.second
        self.rig.set(
            number,
            cr0=1 << 31 | 1 | cpu.wp << 16,
            cr3=cpu.cr3,
            cr4=1 << 5
            | vp.pge << 7
            | cpu.la57 << 12
            | cpu.pcide << 17
            | cpu.smep << 20
            | cpu.smap << 21
            | cpu.pke << 22,
            efer=1 << 8 | 1 << 10 | cpu.nxe << 11,
            rflags=cpu.ac << 18,
            pkru=cpu.pkru,
            phys_bits=cpu.phys_bits,
            vpid=vp.vpid,
            space=vp.space,
            second_level=SECOND[second.kind],
            root=second.root,
            second_levels=second.levels,
            accessed_dirty=int(second.kind == "ept" and second.ad),
            execute_only=second.execute_only,
            mbec=second.kind == "ept" and second.mbec,
            host_nxe=second.nxe,
        )

    def access(self, number: int, gva: int, access: int) -> list:
        """Make one access on both sides and return what happened."""
        outcome, log = self.model.access(self.scene.vps[number], gva, access)
        fault, spa, trace = self.rig.run([gva], [access], vp=number, trace=True)

        assert told(trace) == log, f"{self.scene.name}, VP {number}: {gva:#x}, access {access}"
        assert int(fault[0]) == fault_of(outcome)
        assert outcome.kind != "ok" or int(spa[0]) == outcome.spa
        return log

    def write(self, spa: int, entry: int) -> None:
        """Change a table behind the caches' back."""
        self.scene.memory.write64(spa, entry)
        self.rig.memory.write64(spa, entry)

    def change_something(self) -> None:
        """Switch the address space, change a register, or change a table without a flush."""
        rng, number = self.scene.rng, self.scene.rng.randrange(3)
        cpu, what = self.scene.vps[number].cpu, rng.random()
        if what < 0.5:
            cpu.cr3 = rng.choice(self.scene.roots) | rng.choice([cpu.cr3 & 0xFFF, 0, 1, 1, 2, 0xFFF])
        elif what < 0.7:
            cpu.wp, cpu.ac, cpu.smap, cpu.smep = (rng.random() < 0.6 for _ in range(4))
            cpu.pkru = rng.choice([0, cpu.pkru, rng.getrandbits(32)])
        elif self.scene.written:
            spa, bit = rng.choice(self.scene.written), rng.choice([0, 1, 1, 2, 5, 6, 6, 7, 8, 8, 8, 9, 59, 63])
            if self.scene.changed and rng.random() < 0.6:
                spa, bit = self.scene.changed.pop()  # back again
            else:
                self.scene.changed.append((spa, bit))
            self.write(spa, self.scene.memory.read64(spa) ^ 1 << bit)
        self.load(number)

    def flush_something(self) -> None:
        """Drop the same entries on both sides."""
        rng, vp = self.scene.rng, self.scene.rng.choice(self.scene.vps)
        goes, engine = rng.choice(
            [
                (everything, lambda: flush.everything(self.tlb)),
                (one_vpid(vp.vpid), lambda: flush.one_tag(self.tlb, vp.vpid)),
                (one_vpid_but_global(vp.vpid), lambda: flush.one_tag(self.tlb, vp.vpid, True)),
                (one_pcid(vp.vpid, vp.pcid), lambda: flush.one_space(self.tlb, vp.vpid, vp.pcid)),
            ]
        )
        model = self.model
        count = sum(c.flush(lambda key: goes(key[1])) for c in (*model.l1.values(), model.l2) if c)
        count += sum(c.flush(goes) for c in model.structure.values() if c)
        if goes is everything and model.nested:
            count += model.nested.flush(lambda key: True)
        assert engine() == count

    def flush_one_page(self) -> None:
        """INVLPG on both sides: the page in every size, and all that is known of the address space's tables."""
        vp, gva, model = self.scene.rng.choice(self.scene.vps), self.scene.rng.choice(self.scene.gvas), self.model
        count = 0
        for cache in (*model.l1.values(), model.l2):
            if cache:
                count += cache.flush(
                    lambda key: key[1] in (Tag(gva >> key[0], vp.vpid, vp.pcid), Tag(gva >> key[0], vp.vpid, 0, True))
                )
        count += sum(c.flush(one_pcid(vp.vpid, vp.pcid)) for c in model.structure.values() if c)
        signed = gva - (1 << 64) if gva >> 63 else gva
        assert flush.one_address(self.tlb, vp.vpid, vp.pcid, signed) == count

    def assert_same_content(self) -> None:
        """Compare each way: its tag, what it keeps, and the order of use in its set."""
        for number, shift in enumerate(SHIFTS):
            assert content(self.tlb["l1"], number) == kept(self.model.l1[shift])
        assert content(self.tlb["l2"]) == kept(self.model.l2)
        for level, cache in self.model.structure.items():
            assert content(self.tlb["structure"], level, sized=False) == kept(cache, 12 + 9 * level)
        assert content(self.tlb["nested"], nested=True) == kept(self.model.nested)


def content(cache, at=(), sized=True, nested=False) -> dict:
    """Return (set, way) -> (tag, frame, size) of the engine's cache, each set in its order of use."""
    found = []
    tags, entries, used = (cache[word][at] for word in ("tag", "entry", "used"))
    for s, w in zip(*np.nonzero(tags), strict=True):
        tag, entry = int(tags[s, w]) & MASK, int(entries[s, w])
        size = entry >> SIZE_SHIFT & 3 if sized else -1
        key = (tag >> 45, tag & int(PAGE_NUMBERS)) if nested else tag
        found.append((int(s), int(used[s, w]), int(w), key, entry & FRAME, size))
    return {(s, w): rest for s, _, w, *rest in sorted(found)}


def kept(cache, shift=0) -> dict:
    """Return the same of the model's cache; `shift` says how many address bits a structure cache's tag leaves out."""
    found = []
    for s, places in enumerate(cache.content if cache else []):
        for w, way in enumerate(places):
            if way.valid:
                found.append((s, way.last_used, w, *word_of(way.key, way.value, shift)))
    return {(s, w): rest for s, _, w, *rest in sorted(found)}


def word_of(key, value, shift) -> tuple:
    """Return the model's entry as the engine writes it: tag, frame and size."""
    if isinstance(key, Tag):
        return tag_word(key, shift), value.place.spa, -1
    if isinstance(key[1], Tag):
        return tag_word(key[1], key[0]), value.spa, SHIFTS.index(value.shift)
    return (key[0] + 1, key[1]), value.spa, (value.shift - 12) // 9


def tag_word(tag: Tag, shift: int) -> int:
    page = tag.page | -(tag.page >> 63 - shift) << 63 - shift  # the address's sign goes on
    pcid = int(GLOBAL) if tag.is_global else tag.pcid << PCID_SHIFT
    return tag.vpid << VPID_SHIFT | pcid | page & int(PAGE_NUMBERS)


def fault_of(outcome: Outcome) -> int:
    kind = {name: number for number, name in OUTCOMES.items()}[outcome.kind]
    return kind | (outcome.error_code or outcome.qualification or 0) << int(DETAIL)


# the engine's event -> the model's word for it, and the fields that the model tells
FORM = {
    "tlb_hit": ("tlb_hit", "cache", "spa", "shift"),
    "tlb_missed": ("tlb_missed",),
    "structure_cache_hit": ("structure_cache_hit", "level", "table"),
    "nested_cache_hit": ("nested_cache_hit", "guest_level", "gpa", "spa"),
    "second_level_entry_read": ("second_level_entry_read", "guest_level", "level", "spa", "entry"),
    "table_entry_read": ("table_entry_read", "level", "spa", "entry"),
    "accessed_set": ("written", "spa", "old", "new"),
    "dirty_set": ("written", "spa", "old", "new"),
    "tlb_filled": ("tlb_filled", "cache", "spa", "shift", "evicted"),
    "translated": ("translated", "gpa", "spa", "shift", "reads"),
    "page_fault_raised": ("page_fault", "gva", "error_code", "level"),
    "general_protection_raised": ("general_protection", "gva"),
    "ept_violation_raised": ("ept_violation", "gpa", "qualification", "guest_level", "level"),
    "nested_page_fault_raised": ("nested_page_fault", "gpa", "error_code", "guest_level", "level"),
    "ept_misconfigured": ("ept_misconfiguration", "gpa", "guest_level", "level"),
    "memory_missing": ("memory_missing", "spa"),
}
COLUMNS = {
    event.number: (form[0], [4 + event.fields.index(name) for name in form[1:]])
    for event in CATALOGUE
    if (form := FORM.get(event.name))
}


def told(trace) -> list[tuple]:
    """Return what a trace tells, in the model's form; the first row only repeats the question."""
    rows = trace.rows[1:].tolist()
    return [(COLUMNS[row[0]][0], *(row[c] & MASK for c in COLUMNS[row[0]][1])) for row in rows]


def test_every_event_and_entry_agrees_with_the_model():
    seen, evicted = set(), 0
    for seed in range(SEEDS):
        scene = make_scene(seed)
        pair = Pair(scene)
        for step in range(STREAM):
            chance = scene.rng.random()
            if chance < 0.1:
                pair.change_something()
            elif chance < 0.11:
                pair.flush_something()
            elif chance < 0.12:
                pair.flush_one_page()
            log = pair.access(scene.rng.randrange(3), *scene.next_access())
            seen |= {event[0:2] if event[0] == "tlb_hit" else event[0] for event in log}
            evicted += sum(event[-1] for event in log if event[0] == "tlb_filled")
            if step % 50 == 49:
                pair.assert_same_content()
        for spn, words in scene.memory.pages.items():
            assert pair.rig.memory.page(spn).astype(np.uint64).tolist() == words, f"scene {seed}"
    hits = {("tlb_hit", 1), ("tlb_hit", 2), "structure_cache_hit", "nested_cache_hit"}
    assert seen >= hits | {"tlb_filled", "page_fault", "written", "translated"}
    assert evicted > 20 * SEEDS
