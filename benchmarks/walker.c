/* The yardstick: the same model of address translation in plain C.
 *
 * The same caches, checks and counters as hvlab/hardware, over the same state and memory, without the recorder and
 * without bounds checks. `state.h` is generated from the engine's own state type, so that both sides work on copies of
 * the same bytes.
 */
#include <stdbool.h>
#include <stdint.h>

#include "state.h" /* struct machine, struct vp, struct lp, struct tlb, and the room in the tables */

enum { OK, PAGE_FAULT, GENERAL_PROTECTION, EPT_VIOLATION, EPT_MISCONFIGURATION, NESTED_FAULT, MEMORY_MISSING };
enum { DETAIL = 8 };
enum { NONE, EPT, NPT };
enum why { FINE, ABSENT, FORBIDDEN, RESERVED };
enum { WRITE = 2, USER = 4, FETCH = 16, IMPLICIT = 256, PEEK = 512 };

#define BIT(n) ((int64_t)((uint64_t)1 << (n)))
#define FRAME INT64_C(0x000FFFFFFFFFF000)
#define LARGE BIT(7)

#define P BIT(0)
#define W BIT(1)
#define U BIT(2)
#define A BIT(5)
#define D BIT(6)
#define G BIT(8)
#define NX BIT(63)
#define KEY (INT64_C(15) << 59)

#define EPT_W BIT(1)
#define EPT_X BIT(2)
#define EPT_A BIT(8)
#define EPT_D BIT(9)
#define EPT_UX BIT(10)

#define MAY_READ BIT(52)
#define MAY_WRITE BIT(53)
#define MAY_EXECUTE BIT(54)
#define MAY_USER_EXECUTE BIT(55)
#define EVERY_RIGHT (MAY_READ | MAY_WRITE | MAY_EXECUTE | MAY_USER_EXECUTE)
#define SECOND_DIRTY BIT(56)
#define SECOND_RIGHTS (EVERY_RIGHT | SECOND_DIRTY)

#define PAGE_NUMBERS (BIT(45) - 1)
#define PCIDS (INT64_C(4095) << 45)
#define GLOBAL BIT(57)
#define SIZE_SHIFT 10

#define CR0_WP BIT(16)
#define CR0_PG BIT(31)
#define CR4_PGE BIT(7)
#define CR4_LA57 BIT(12)
#define CR4_PCIDE BIT(17)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)
#define CR4_PKE BIT(22)
#define EFER_NXE BIT(11)
#define RFLAGS_AC BIT(18)

struct result {
    int64_t fault, spa;
};

struct page {
    int64_t fault, spa, rights, size;
};

/* --- physical memory --------------------------------------------------------------------------------------------- */

static int64_t word_at(const struct machine *m, const int64_t *mem, int64_t spa)
{
    int64_t spn = spa >> 12;
    if (spn < 0 || spn >= m->pages)
        return -1;
    int64_t begin = mem[spn] >> 32;
    if (begin == 0)
        return -1;
    return begin + (spa >> 3 & 511);
}

/* --- caches ------------------------------------------------------------------------------------------------------ */

static int64_t oldest(const int64_t *used, int64_t ways)
{
    int64_t way = 0;
    for (int64_t w = 1; w < ways; w++)
        if (used[w] < used[way])
            way = w;
    return way;
}

static int64_t l1_lookup(const struct tlb *t, int64_t size, int64_t page, int64_t mine, int64_t everyone)
{
    const int64_t *tags = t->l1[size][page & (t->l1_sets - 1)].tag;
    for (int64_t w = t->l1_ways - 1; w >= 0; w--)
        if (tags[w] == (mine | page) || tags[w] == (everyone | page))
            return w;
    return -1;
}

static int64_t l2_lookup(const struct tlb *t, int64_t size, int64_t page, int64_t mine, int64_t everyone)
{
    int64_t s = page & (t->l2_sets - 1);
    const int64_t *tags = t->l2[s].tag, *entries = t->l2[s].entry;
    for (int64_t w = t->l2_ways - 1; w >= 0; w--)
        if ((tags[w] == (mine | page) || tags[w] == (everyone | page)) && (entries[w] >> SIZE_SHIFT & 3) == size)
            return w;
    return -1;
}

static void l1_fill(struct tlb *t, int64_t size, int64_t tag, int64_t entry, int64_t mine, int64_t everyone)
{
    if (t->l1_ways == 0)
        return;
    int64_t page = tag & PAGE_NUMBERS, w = l1_lookup(t, size, page, mine, everyone);
    struct l1 *set = &t->l1[size][page & (t->l1_sets - 1)];
    if (w < 0)
        w = oldest(set->used, t->l1_ways);
    set->tag[w] = tag;
    set->entry[w] = entry;
    set->used[w] = t->tick;
}

static void l2_fill(struct tlb *t, int64_t tag, int64_t entry, int64_t mine, int64_t everyone)
{
    if (t->l2_ways == 0)
        return;
    int64_t page = tag & PAGE_NUMBERS, w = l2_lookup(t, entry >> SIZE_SHIFT & 3, page, mine, everyone);
    struct l2 *set = &t->l2[page & (t->l2_sets - 1)];
    if (w < 0)
        w = oldest(set->used, t->l2_ways);
    set->tag[w] = tag;
    set->entry[w] = entry;
    set->used[w] = t->tick;
}

static void forget(struct tlb *t, int64_t mine, int64_t everyone, int64_t gva)
{
    for (int64_t size = 0; size < 3; size++) {
        int64_t page = gva >> (12 + 9 * size) & PAGE_NUMBERS, w;
        struct l1 *one = &t->l1[size][page & (t->l1_sets - 1)];
        while ((w = l1_lookup(t, size, page, mine, everyone)) >= 0)
            one->tag[w] = one->entry[w] = one->used[w] = 0;
        struct l2 *two = &t->l2[page & (t->l2_sets - 1)];
        while ((w = l2_lookup(t, size, page, mine, everyone)) >= 0)
            two->tag[w] = two->entry[w] = two->used[w] = 0;
    }
    for (int64_t level = 1; level < 5; level++) {
        int64_t prefix = gva >> (12 + 9 * level) & PAGE_NUMBERS;
        struct structure *set = &t->structure[level][prefix & (t->structure_sets - 1)];
        for (int64_t w = 0; w < t->structure_ways; w++)
            if (set->tag[w] == (mine | prefix))
                set->tag[w] = set->entry[w] = set->used[w] = 0;
    }
}

static int64_t nested_lookup(const struct tlb *t, const struct vp *p, int64_t gpa)
{
    int64_t tag = (p->space + 1) << 45 | gpa >> 12;
    const int64_t *tags = t->nested[gpa >> 12 & (t->nested_sets - 1)].tag;
    for (int64_t w = t->nested_ways - 1; w >= 0; w--)
        if (tags[w] == tag)
            return w;
    return -1;
}

static void nested_fill(struct tlb *t, const struct vp *p, int64_t gpa, int64_t spa, int64_t rights, int64_t size)
{
    if (t->nested_ways == 0)
        return;
    int64_t s = gpa >> 12 & (t->nested_sets - 1), w = nested_lookup(t, p, gpa);
    if (w < 0)
        w = oldest(t->nested[s].used, t->nested_ways);
    t->tick++;
    t->nested[s].tag[w] = (p->space + 1) << 45 | gpa >> 12;
    t->nested[s].entry[w] = (spa & FRAME) | rights | size << SIZE_SHIFT;
    t->nested[s].used[w] = t->tick;
}

static void forget_guest_page(struct tlb *t, const struct vp *p, int64_t gpa)
{
    int64_t s = gpa >> 12 & (t->nested_sets - 1), w = nested_lookup(t, p, gpa);
    if (w >= 0)
        t->nested[s].tag[w] = t->nested[s].entry[w] = t->nested[s].used[w] = 0;
}

/* --- second level ------------------------------------------------------------------------------------------------ */

static bool may(const struct vp *p, int64_t rights, int64_t access, bool user)
{
    if (access & WRITE)
        return rights & MAY_WRITE;
    if (access & FETCH)
        return rights & (p->mbec && user ? MAY_USER_EXECUTE : MAY_EXECUTE);
    return rights & MAY_READ;
}

static int64_t second_level_fault(struct machine *m, struct vp *p, int64_t gpa, int64_t access, enum why why,
                                  int64_t rights, int64_t guest_level)
{
    int64_t code;
    p->fault_gpa = gpa;
    m->count.faults++;
    if (p->second_level == NPT) {
        code = USER | (access & WRITE) | (guest_level == 0 ? BIT(32) : BIT(33));
        if (why != ABSENT)
            code |= why == RESERVED ? P | BIT(3) : P;
        if (p->host_nxe)
            code |= access & FETCH;
        return NESTED_FAULT | code << DETAIL;
    }
    if (guest_level > 0)
        code = access & WRITE ? 3 : 1;
    else
        code = BIT(8) | (access & WRITE ? 2 : access & FETCH ? 4 : 1);
    code |= BIT(7) | (rights >> 52 & (p->mbec ? 15 : 7)) << 3;
    return EPT_VIOLATION | code << DETAIL;
}

static bool ept_entry_is_wrong(const struct machine *m, const struct vp *p, int64_t entry, int64_t level, bool leaf)
{
    bool readable = entry & 1, writable = entry & EPT_W;
    bool executable = (entry & EPT_X) || (p->mbec && (entry & EPT_UX));
    if (!readable && (writable || (executable && !p->execute_only)))
        return true;
    if (entry & FRAME & ~(BIT(m->phys_bits) - 1))
        return true;
    if (!leaf)
        return entry & (LARGE | 0x78);
    int64_t kind = entry >> 3 & 7;
    if (kind == 2 || kind == 3 || kind == 7)
        return true;
    return level > 1 && (entry & (BIT(12 + 9 * (level - 1)) - 1) & FRAME);
}

static bool npt_entry_is_wrong(const struct machine *m, const struct vp *p, int64_t entry, int64_t level, bool leaf)
{
    if ((entry & NX) && !p->host_nxe)
        return true;
    if ((entry & FRAME & ~(BIT(m->phys_bits) - 1)) || (level >= 4 && (entry & LARGE)))
        return true;
    return leaf && level > 1 && (entry & (BIT(12 + 9 * (level - 1)) - 1) & ~INT64_C(0x1FFF));
}

static int64_t rights_of(const struct vp *p, int64_t entry)
{
    if (p->second_level == NPT) {
        if (!(entry & U))
            return 0;
        return MAY_READ | (entry & W ? MAY_WRITE : 0) | (entry & NX ? 0 : MAY_EXECUTE | MAY_USER_EXECUTE);
    }
    int64_t rights = (entry & 7) << 52;
    if (p->mbec)
        rights |= (entry & EPT_UX) << 45;
    return rights;
}

static enum why what_is_wrong(const struct machine *m, const struct vp *p, int64_t entry, int64_t level, bool leaf)
{
    if (p->second_level == NPT) {
        if (!(entry & P))
            return ABSENT;
        return npt_entry_is_wrong(m, p, entry, level, leaf) ? RESERVED : FINE;
    }
    if (!(entry & (p->mbec ? 7 | EPT_UX : 7)))
        return ABSENT;
    return ept_entry_is_wrong(m, p, entry, level, leaf) ? RESERVED : FINE;
}

static void nested_mark(struct machine *m, const struct vp *p, int64_t *word, int64_t entry, bool through)
{
    bool npt = p->second_level == NPT;
    if (!npt && !p->accessed_dirty)
        return;
    int64_t now = entry | (npt ? A : EPT_A) | (through ? (npt ? D : EPT_D) : 0);
    if (now != entry) {
        *word = now;
        m->now += m->cost.memory_write;
    }
}

static struct page second_level_walk(struct machine *m, struct vp *p, int64_t *mem, int64_t gpa, int64_t access,
                                     int64_t guest_level, bool user)
{
    int64_t level = p->second_levels, table = p->root, rights = EVERY_RIGHT;
    bool npt = p->second_level == NPT;
    if (gpa >> (12 + 9 * level))
        return (struct page){second_level_fault(m, p, gpa, access, ABSENT, 0, guest_level), gpa, 0, 0};
    for (;;) {
        int64_t spa = table | (gpa >> (12 + 9 * (level - 1)) & 511) << 3;
        int64_t at = word_at(m, mem, spa);
        if (at < 0) {
            m->count.faults++;
            return (struct page){MEMORY_MISSING, spa, 0, 0};
        }
        int64_t entry = mem[at];
        m->count.reads++;
        m->now += m->cost.table_read;
        bool leaf = level == 1 || (level <= 3 && (entry & LARGE));
        enum why why = what_is_wrong(m, p, entry, level, leaf);
        rights &= why == ABSENT ? 0 : rights_of(p, entry);
        if (why == RESERVED && !npt) {
            p->fault_gpa = gpa;
            m->count.faults++;
            return (struct page){EPT_MISCONFIGURATION, gpa, 0, 0};
        }
        if (why == FINE && leaf && !may(p, rights, access, user))
            why = FORBIDDEN;
        if (why != FINE)
            return (struct page){second_level_fault(m, p, gpa, access, why, rights, guest_level), gpa, 0, 0};
        if (!(access & PEEK))
            nested_mark(m, p, mem + at, entry, leaf && (access & WRITE));
        if (leaf) {
            int64_t below = BIT(12 + 9 * (level - 1)) - 1;
            if ((access & WRITE) || (entry & (npt ? D : EPT_D)) || (!npt && !p->accessed_dirty))
                rights |= SECOND_DIRTY;
            return (struct page){OK, (entry & FRAME & ~below) | (gpa & below), rights, level - 1};
        }
        table = entry & FRAME;
        level--;
    }
}

static struct page second_level(struct machine *m, struct vp *p, struct tlb *t, int64_t *mem, int64_t gpa,
                                int64_t access, int64_t guest_level, bool user)
{
    if (p->second_level == NONE)
        return (struct page){OK, gpa, SECOND_RIGHTS, 2};
    bool quiet = access & PEEK;
    if (!quiet) {
        int64_t s = gpa >> 12 & (t->nested_sets - 1), w = nested_lookup(t, p, gpa);
        if (w >= 0) {
            int64_t entry = t->nested[s].entry[w];
            if (may(p, entry, access, user) && (!(access & WRITE) || (entry & SECOND_DIRTY))) {
                t->nested[s].used[w] = ++t->tick;
                int64_t spa = (entry & FRAME) | (gpa & 4095);
                return (struct page){OK, spa, entry & SECOND_RIGHTS, entry >> SIZE_SHIFT & 3};
            }
        }
    }
    struct page found = second_level_walk(m, p, mem, gpa, access, guest_level, user);
    if (found.fault == OK && !quiet)
        nested_fill(t, p, gpa, found.spa, found.rights, found.size);
    return found;
}

/* --- the guest's tables ------------------------------------------------------------------------------------------ */

static int64_t kind_of(int64_t access)
{
    return (access & WRITE) >> 1 | (access & FETCH) >> 3 | (access & USER) | (access & IMPLICIT) >> 5;
}

static void prepare(struct vp *p)
{
    bool paging = p->cr0 & CR0_PG, nx = p->efer & EFER_NXE;
    p->levels = paging ? (p->cr4 & CR4_LA57 ? 5 : 4) : 0;
    int64_t pcid = (p->cr4 & CR4_PCIDE) && paging ? p->cr3 & 4095 : 0;
    p->tag = (int64_t)((uint64_t)p->vpid << 58) | pcid << 45;
    for (int kind = 0; kind < 16; kind++) {
        bool write = kind & 1, fetch = kind & 2, user = kind & 4, implicit = kind & 8;
        int64_t need = P, bar = 0;
        if (user)
            need |= U;
        if (write) {
            need |= D | MAY_WRITE | SECOND_DIRTY;
            if (user || (p->cr0 & CR0_WP))
                need |= W;
        } else if (!fetch) {
            need |= MAY_READ;
        }
        if (fetch) {
            need |= MAY_EXECUTE;
            if (nx)
                bar |= NX;
            if (paging && !user && (p->cr4 & CR4_SMEP))
                bar |= U;
        } else if (paging && !user && (p->cr4 & CR4_SMAP) && (implicit || !(p->rflags & RFLAGS_AC))) {
            bar |= U;
        }
        p->needs[kind] = need;
        p->bars[kind] = bar;
    }
}

static bool key_forbids(const struct vp *p, int64_t entry, int64_t access)
{
    if (!(p->cr4 & CR4_PKE) || !(entry & U) || (access & FETCH) || p->levels == 0)
        return false;
    int64_t rights = p->pkru >> 2 * (entry >> 59 & 15);
    if (rights & 1)
        return true;
    return (access & WRITE) && (rights & 2) && ((access & USER) || (p->cr0 & CR0_WP));
}

static bool granted(const struct vp *p, int64_t entry, int64_t access)
{
    int64_t kind = kind_of(access), need = p->needs[kind];
    return (entry & need) == need && !(entry & p->bars[kind]) && !key_forbids(p, entry, access);
}

static int64_t reserved_bits(const struct vp *p, int64_t level, bool leaf)
{
    int64_t bits = FRAME & ~(BIT(p->phys_bits) - 1);
    if (!(p->efer & EFER_NXE))
        bits |= NX;
    if (level >= 4)
        bits |= LARGE;
    else if (leaf && level > 1)
        bits |= (BIT(12 + 9 * (level - 1)) - 1) & ~INT64_C(0x1FFF);
    return bits;
}

static int64_t page_fault(struct machine *m, struct vp *p, int64_t gva, int64_t access, int64_t why)
{
    int64_t code = why | (access & (WRITE | USER));
    if ((access & FETCH) && ((p->efer & EFER_NXE) || (p->cr4 & CR4_SMEP)))
        code |= FETCH;
    if (!(access & PEEK))
        p->cr2 = gva;
    m->count.faults++;
    return PAGE_FAULT | code << DETAIL;
}

static int64_t leaf_fault(struct machine *m, struct vp *p, int64_t gva, int64_t access, int64_t rights)
{
    int64_t kind = kind_of(access), need = p->needs[kind] & (P | W | U);
    int64_t key = key_forbids(p, rights, access) ? 32 : 0;
    if (key || (rights & need) != need || (rights & p->bars[kind]))
        return page_fault(m, p, gva, access, P | key);
    return OK;
}

static int64_t structure_lookup(const struct vp *p, struct tlb *t, int64_t gva, int64_t *entry)
{
    for (int64_t level = 1; level < p->levels; level++) {
        int64_t prefix = gva >> (12 + 9 * level) & PAGE_NUMBERS, s = prefix & (t->structure_sets - 1);
        for (int64_t w = 0; w < t->structure_ways; w++)
            if (t->structure[level][s].tag[w] == (p->tag | prefix)) {
                t->structure[level][s].used[w] = ++t->tick;
                *entry = t->structure[level][s].entry[w];
                return level;
            }
    }
    return 0;
}

static void structure_fill(struct tlb *t, const struct vp *p, int64_t gva, int64_t level, int64_t entry)
{
    if (t->structure_ways == 0)
        return;
    int64_t prefix = gva >> (12 + 9 * level) & PAGE_NUMBERS, s = prefix & (t->structure_sets - 1);
    int64_t w = oldest(t->structure[level][s].used, t->structure_ways);
    t->tick++;
    t->structure[level][s].tag[w] = p->tag | prefix;
    t->structure[level][s].entry[w] = entry;
    t->structure[level][s].used[w] = t->tick;
}

static void remember(const struct vp *p, struct tlb *t, int64_t gva, int64_t spa, int64_t rights, int64_t second,
                     int64_t size)
{
    int64_t mine = p->tag, everyone = (p->tag & ~PCIDS) | GLOBAL;
    int64_t shift = 12 + 9 * size, tag = gva >> shift & PAGE_NUMBERS;
    tag |= (rights & G) && (p->cr4 & CR4_PGE) ? everyone : mine;
    int64_t right = p->mbec && (rights & U) ? MAY_USER_EXECUTE : MAY_EXECUTE;
    int64_t entry = (rights & ~SECOND_RIGHTS) | (second & (MAY_READ | MAY_WRITE | SECOND_DIRTY));
    if (second & right)
        entry |= MAY_EXECUTE;
    entry &= ~FRAME & ~(INT64_C(3) << SIZE_SHIFT);
    entry |= (spa & ~(BIT(shift) - 1)) | size << SIZE_SHIFT;
    l1_fill(t, size, tag, entry, mine, everyone);
    l2_fill(t, tag, entry, mine, everyone);
}

static struct result walk(struct machine *m, struct vp *p, struct tlb *t, int64_t *mem, int64_t gva, int64_t access)
{
    int64_t quiet = access & PEEK;
    int64_t level = p->levels, table = p->cr3 & FRAME, rights = P | W | U | (level == 0 ? D : 0), size = 2, gpa = gva;
    struct page page = {OK, 0, 0, 0};
    bool known = false;
    if (!quiet) {
        m->count.walks++;
        int64_t entry, low = structure_lookup(p, t, gva, &entry);
        if (low > 0) {
            level = low;
            known = true;
            rights = entry & (P | W | U | NX);
            page = (struct page){OK, entry & FRAME, entry & SECOND_RIGHTS, entry >> SIZE_SHIFT & 3};
        }
    }
    int64_t table_access = quiet | (p->second_level == NPT || p->accessed_dirty ? WRITE : 0);
    while (level > 0) {
        int64_t offset = (gva >> (12 + 9 * (level - 1)) & 511) << 3, spa;
        if (known) {
            known = false;
            spa = page.spa | offset;
            gpa = -1;
        } else {
            gpa = table | offset;
            page = second_level(m, p, t, mem, gpa, table_access, level, rights & U);
            if (page.fault != OK)
                return (struct result){page.fault, page.spa};
            spa = page.spa;
            if (!quiet && level < p->levels && (page.rights & MAY_WRITE))
                structure_fill(t, p, gva, level, (spa & FRAME) | rights | page.rights | page.size << SIZE_SHIFT);
        }
        int64_t at = word_at(m, mem, spa);
        if (at < 0) {
            m->count.faults++;
            return (struct result){MEMORY_MISSING, spa};
        }
        int64_t entry = mem[at];
        m->count.reads++;
        m->now += m->cost.table_read;
        if (!(entry & P))
            return (struct result){page_fault(m, p, gva, access, 0), gva};
        bool leaf = level == 1 || (level <= 3 && (entry & LARGE));
        if (entry & reserved_bits(p, level, leaf))
            return (struct result){page_fault(m, p, gva, access, P | BIT(3)), gva};
        rights = (rights & (entry | ~(W | U))) | (entry & NX);
        int64_t now = entry | A;
        if (leaf) {
            rights |= entry & (KEY | G | D);
            int64_t fault = leaf_fault(m, p, gva, access, rights);
            if (fault != OK)
                return (struct result){fault, gva};
            if (access & WRITE) {
                now |= D;
                rights |= D;
            }
        }
        if (now != entry && !quiet) {
            if (!(page.rights & MAY_WRITE))
                return (struct result){second_level_fault(m, p, gpa, WRITE, FORBIDDEN, page.rights, level), gpa};
            mem[at] = now;
            m->now += m->cost.memory_write;
        }
        table = entry & FRAME;
        if (leaf) {
            size = level - 1;
            int64_t below = BIT(12 + 9 * size) - 1;
            gpa = (table & ~below) | (gva & below);
            break;
        }
        level--;
    }
    page = second_level(m, p, t, mem, gpa, access, 0, rights & U);
    if (page.fault != OK)
        return (struct result){page.fault, page.spa};
    if (!quiet)
        remember(p, t, gva, page.spa, rights, page.rights, size < page.size ? size : page.size);
    return (struct result){OK, page.spa};
}

static bool cached(struct machine *m, struct vp *p, struct tlb *t, int64_t gva, int64_t access, int64_t *spa)
{
    int64_t mine = p->tag, everyone = (p->tag & ~PCIDS) | GLOBAL;
    t->tick++;
    for (int64_t size = 0; size < 3; size++) {
        int64_t shift = 12 + 9 * size, page = gva >> shift & PAGE_NUMBERS;
        int64_t w = l1_lookup(t, size, page, mine, everyone);
        if (w >= 0) {
            int64_t s = page & (t->l1_sets - 1), entry = t->l1[size][s].entry[w];
            if (granted(p, entry, access)) {
                t->l1[size][s].used[w] = t->tick;
                *spa = (entry & FRAME) | (gva & (BIT(shift) - 1));
                return true;
            }
        }
    }
    for (int64_t size = 0; size < 3; size++) {
        int64_t shift = 12 + 9 * size, page = gva >> shift & PAGE_NUMBERS;
        int64_t w = l2_lookup(t, size, page, mine, everyone);
        if (w >= 0) {
            int64_t s = page & (t->l2_sets - 1), entry = t->l2[s].entry[w];
            if (granted(p, entry, access)) {
                t->l2[s].used[w] = t->tick;
                m->count.l2_hits++;
                m->now += m->cost.l2_hit;
                *spa = (entry & FRAME) | (gva & (BIT(shift) - 1));
                l1_fill(t, size, t->l2[s].tag[w], entry, mine, everyone);
                return true;
            }
        }
    }
    return false;
}

static struct result translate(struct machine *m, struct vp *p, struct tlb *t, int64_t *mem, int64_t gva,
                               int64_t access)
{
    if (p->levels > 0) {
        int64_t upper = gva >> (9 * p->levels + 11);
        if (upper != 0 && upper != -1) {
            m->count.not_canonical++;
            return (struct result){GENERAL_PROTECTION, gva};
        }
    }
    if (!(access & PEEK)) {
        int64_t spa;
        if (cached(m, p, t, gva, access, &spa))
            return (struct result){OK, spa};
    }
    struct result found = walk(m, p, t, mem, gva, access);
    if (found.fault != OK && !(access & PEEK)) {
        int64_t kind = found.fault & ((1 << DETAIL) - 1);
        if (kind == EPT_VIOLATION || kind == NESTED_FAULT)
            forget_guest_page(t, p, p->fault_gpa);
        if (kind == PAGE_FAULT || kind == EPT_VIOLATION || kind == NESTED_FAULT)
            forget(t, p->tag, (p->tag & ~PCIDS) | GLOBAL, gva);
    }
    return found;
}

int64_t run(struct machine *m, int64_t *mem, int64_t vp, const int64_t *gva, const int64_t *access, int64_t *fault,
            int64_t *spa, int64_t count)
{
    if (vp < 0 || vp >= VPS || m->vp[vp].lp < 0 || m->vp[vp].lp >= LPS)
        return -1;
    struct vp *p = &m->vp[vp];
    struct tlb *t = &m->lp[p->lp].tlb;
    prepare(p);
    for (int64_t k = 0; k < count; k++) {
        int64_t want = access[k] & (WRITE | USER | FETCH | IMPLICIT | PEEK);
        if (want & IMPLICIT)
            want &= ~USER;
        struct result found = translate(m, p, t, mem, gva[k], want);
        fault[k] = found.fault;
        spa[k] = found.spa;
    }
    m->steps += count;
    m->count.accesses += count;
    return count;
}
