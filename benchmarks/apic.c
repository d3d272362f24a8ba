/* The local APIC of hvlab/hardware/apic.py in plain C, on the same state: raise, take, end. No recorder. */
#include <stdint.h>
#include "state.h"

enum { ENABLE = 1 << 8, GLOBAL_ENABLE = 1 << 11, MASKED = 1 << 16, RECEIVED_ILLEGAL = 1 << 6, SUPPRESS = 1 << 12 };
enum { ERROR = 5, LOWEST = 16, COALESCED = 0, QUEUED = 1, ILLEGAL = -1, DROPPED = -2 };

static int64_t highest(const int64_t *words)
{
    for (int k = 3; k >= 0; k--)
        if (words[k] != 0)
            return 64 * k + 63 - __builtin_clzll((uint64_t)words[k]);
    return -1;
}

static int64_t ppr(const struct apic *a)
{
    int64_t in_service = highest(a->isr);
    return a->tpr >> 4 >= in_service >> 4 ? a->tpr : in_service & 0xF0;
}

static int on(const struct apic *a)
{
    return (a->base & GLOBAL_ENABLE) != 0 && (a->svr & ENABLE) != 0;
}

static int64_t waiting(const struct apic *a)
{
    int64_t vector = highest(a->irr);
    return vector >> 4 > ppr(a) >> 4 && on(a) ? vector : -1;
}

static int64_t raise_vector(struct machine *m, int64_t vp, int64_t vector, int64_t level, int64_t auto_eoi)
{
    struct apic *a = &m->apic[vp];
    int64_t result = QUEUED;
    if (vector < LOWEST || vector > 255) {
        int fresh = (a->errors & RECEIVED_ILLEGAL) == 0;
        a->errors |= RECEIVED_ILLEGAL;
        result = ILLEGAL;
        vector = a->lvt[ERROR] & 255;
        level = auto_eoi = 0;
        if (!fresh || (a->lvt[ERROR] & MASKED) != 0 || vector < LOWEST)
            return ILLEGAL;
    }
    if (!on(a))
        return result == QUEUED ? DROPPED : ILLEGAL;
    int64_t word = vector >> 6, bit = (int64_t)(UINT64_C(1) << (vector & 63));
    a->count.raised++;
    a->tmr[word] = (a->tmr[word] & ~bit) | (level != 0 ? bit : 0);
    a->auto_eoi[word] = (a->auto_eoi[word] & ~bit) | (auto_eoi != 0 ? bit : 0);
    if ((a->irr[word] & bit) != 0) {
        a->count.coalesced++;
        return result == QUEUED ? COALESCED : ILLEGAL;
    }
    a->irr[word] |= bit;
    m->news.who |= INT64_C(1) << vp;
    m->news.row[vp] = -1;
    return result;
}

static int64_t take(struct machine *m, int64_t vp)
{
    struct apic *a = &m->apic[vp];
    if (a->nmi > a->nmi_runs) {
        a->nmi--;
        a->nmi_runs = 1;
        return 2;
    }
    int64_t vector = waiting(a);
    if (vector < 0)
        return -1;
    int64_t word = vector >> 6, bit = (int64_t)(UINT64_C(1) << (vector & 63));
    a->irr[word] &= ~bit;
    a->count.delivered++;
    if ((a->auto_eoi[word] & bit) != 0) {
        a->auto_eoi[word] &= ~bit;
        return vector;
    }
    a->isr[word] |= bit;
    return vector;
}

static int64_t end(struct machine *m, int64_t vp)
{
    struct apic *a = &m->apic[vp];
    int64_t vector = highest(a->isr);
    if (vector < 0)
        return -1;
    a->isr[vector >> 6] &= ~(int64_t)(UINT64_C(1) << (vector & 63));
    a->count.ended++;
    return vector;
}

/* Raise each vector, take what is deliverable, and end an interrupt where `ends` says so; the answers are summed up. */
int64_t run(struct machine *m, const int64_t *vectors, const int64_t *ends, int64_t *answer, int64_t count)
{
    int64_t sum = 0;
    for (int64_t k = 0; k < count; k++) {
        int64_t vector = vectors[k];
        sum += raise_vector(m, 0, vector & 255, vector >> 8 & 1, vector >> 9 & 1);
        answer[k] = take(m, 0);
        if (ends[k] != 0)
            sum += end(m, 0);
    }
    return sum;
}
