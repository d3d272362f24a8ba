/* The ring of hvlab/vmbus/engine in plain C with memcpy, on the same arrays: write a packet, read it, give room back. */
#include <stdint.h>
#include <string.h>
#include "state.h"

enum { HVLAB, OPENVMM, LINUX };
enum { ALWAYS = 1, AWAKE = 1, MASKED = 2, WAS_EMPTY = 3, NOT_WAITING = 4, NOT_ENOUGH = 5, ENOUGH_BEFORE = 6,
       ENOUGH_NOW = 7, EACH_TIME = 8, NO_FEATURE = 9 };
enum { SOUND, NOTHING, BAD_INDEX, SHORT, BAD_LENGTHS, TOO_LONG, NO_TRAILER, BAD_FLAGS, BAD_TYPE, NO_RANGES };
enum { PAGE_WORDS = 512, COUNT_WORD = 511, FEATURES = 8 };
#define LOW INT64_C(0xffffffff)

struct ring {
    int64_t *mem;
    const int64_t *place;
};

static int64_t *word(const struct ring *r, int64_t page, int64_t k)
{
    return &r->mem[r->place[page] + k];
}

static int inside(const struct end *e, int64_t index)
{
    return index >= 0 && index < e->size && (index & 7) == 0;
}

static int64_t further(const struct end *e, int64_t index, int64_t count)
{
    index += count;
    if (index >= e->size)
        index -= e->size;
    return index < e->size ? index : index % e->size;
}

static int64_t room(const struct end *e, int64_t write, int64_t read)
{
    return write >= read ? e->size - (write - read) : read - write;
}

static void put_words(const struct ring *r, const struct end *e, int64_t at, const int64_t *from, int64_t count)
{
    int64_t where = at >> 3, end = e->size >> 3;
    while (count > 0) {
        int64_t run = PAGE_WORDS - (where & 511);
        run = run < count ? run : count;
        run = run < end - where ? run : end - where;
        memcpy(word(r, 1 + (where >> 9), where & 511), from, (size_t)run * 8);
        from += run;
        count -= run;
        where = where + run < end ? where + run : 0;
    }
}

static void take_words(const struct ring *r, const struct end *e, int64_t at, int64_t *into, int64_t count)
{
    int64_t where = at >> 3, end = e->size >> 3;
    while (count > 0) {
        int64_t run = PAGE_WORDS - (where & 511);
        run = run < count ? run : count;
        run = run < end - where ? run : end - where;
        memcpy(into, word(r, 1 + (where >> 9), where & 511), (size_t)run * 8);
        into += run;
        count -= run;
        where = where + run < end ? where + run : 0;
    }
}

static void ring_bell(const struct ring *r, struct end *e, int64_t old)
{
    int64_t mask = *word(r, 0, 1) & LOW, read = *word(r, 0, 0) >> 32 & LOW;
    int64_t why = mask != 0 ? MASKED : read == old ? WAS_EMPTY : AWAKE;
    why = e->rule == ALWAYS ? EACH_TIME : why;
    e->signal = why == EACH_TIME || why == WAS_EMPTY;
    e->why = why;
    e->signals += e->signal;
    e->saved += 1 - e->signal;
    if (e->signal != 0 && e->counts != 0)
        *word(r, 0, COUNT_WORD) += 1;
}

static int64_t write_packet(const struct ring *r, struct end *e, const int64_t *arena, int64_t length)
{
    int64_t old = e->committed, read = *word(r, 0, 0) >> 32 & LOW;
    e->seen = read;
    e->at = old;
    e->signal = e->why = e->verdict = 0;
    if (!inside(e, old) || (e->policy != LINUX && !inside(e, read))) {
        e->verdict = BAD_INDEX;
        return 0;
    }
    int64_t words = length >= 2 ? arena[0] >> 32 & 0xFFFF : 0;
    if (words < 2 || words > length) {
        e->verdict = BAD_LENGTHS;
        return 0;
    }
    int64_t needed = words * 8 + 8, available = room(e, old, read);
    if (available <= needed) {
        e->available = available;
        e->refused++;
        return 0;
    }
    put_words(r, e, old, arena, words);
    int64_t behind = further(e, old, words * 8), at = further(e, old, needed);
    *word(r, 1 + (behind >> 12), behind >> 3 & 511) = (int64_t)((uint64_t)old << 32);
    e->bytes += words * 8;
    e->packets++;
    e->index = e->committed = at;
    *word(r, 0, 0) = (*word(r, 0, 0) & ~LOW) | at;
    ring_bell(r, e, old);
    return 1;
}

static int64_t judge_head(const struct end *e, int64_t first, int64_t available)
{
    int64_t kind = first & 0xFFFF, offset = first >> 16 & 0xFFFF, length = first >> 32 & 0xFFFF;
    int64_t flags = first >> 48 & 0xFFFF;
    if (length < offset || offset < 2)
        return BAD_LENGTHS;
    if (available < length * 8)
        return TOO_LONG;
    if (e->policy == HVLAB && available < length * 8 + 8)
        return NO_TRAILER;
    if ((flags & ~1) != 0)
        return BAD_FLAGS;
    if (kind == 6 || kind == 11)
        return SOUND;
    if (kind != 7 && kind != 9)
        return BAD_TYPE;
    return offset >= 3 ? SOUND : BAD_LENGTHS;
}

static int64_t reject(struct end *e, int64_t verdict)
{
    e->verdict = verdict;
    e->length = 0;
    e->refused += verdict != NOTHING;
    return verdict;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t clamp(const struct end *e, int64_t first, int64_t available)
{
    available = least(available, e->limit);
    int64_t length = (first >> 32 & 0xFFFF) * 8, offset = (first >> 16 & 0xFFFF) * 8;
    if (length < 16 || length > available)
        length = available;
    if (offset < 16 || offset > length)
        offset = 16;
    return (first & ~(LOW << 16)) | (offset >> 3) << 16 | (length >> 3) << 32;
}

static int64_t read_packet(const struct ring *r, struct end *e, int64_t *arena, int64_t length)
{
    int64_t own = e->index, written = *word(r, 0, 0) & LOW;
    int strict = e->policy != LINUX;
    e->seen = written;
    e->at = own;
    if (!inside(e, own) || (strict && !inside(e, written)) || length * 8 < e->size)
        return reject(e, BAD_INDEX);
    int64_t available = written >= own ? written - own : e->size - own + written;
    e->available = available;
    if (written == own || (available < 16 && !strict))
        return reject(e, NOTHING);
    if (available < 16)
        return reject(e, SHORT);
    int64_t first = *word(r, 1 + (own >> 12), own >> 3 & 511);
    if (strict) {
        int64_t verdict = judge_head(e, first, available);
        if (verdict != SOUND)
            return reject(e, verdict);
    } else {
        first = clamp(e, first, available);
    }
    int64_t words = first >> 32 & 0xFFFF;
    take_words(r, e, own, arena, words);
    arena[0] = first;
    if (strict && (first & 0xFFFF) == 9 && (arena[2] >> 32 & LOW) == 0)
        return reject(e, NO_RANGES);
    e->index = further(e, own, words * 8 + 8);
    e->verdict = SOUND;
    e->length = words * 8;
    e->packets++;
    e->bytes += words * 8;
    return SOUND;
}

static int64_t tell_room(const struct ring *r, struct end *e, int64_t old)
{
    int64_t pending = (*word(r, 0, 1) >> 32 & LOW) & ~INT64_C(7), written = *word(r, 0, 0) & LOW;
    if (!inside(e, written))
        return 0;
    int64_t before = room(e, written, old) - 8, now = room(e, written, e->index) - 8;
    e->why = e->policy != OPENVMM && (*word(r, 0, FEATURES) & 1) == 0 ? NO_FEATURE
             : pending == 0                                           ? NOT_WAITING
             : before >= pending                                      ? ENOUGH_BEFORE
             : now < pending                                          ? NOT_ENOUGH
                                                                      : ENOUGH_NOW;
    return e->why == ENOUGH_NOW;
}

static void close_read(const struct ring *r, struct end *e)
{
    int64_t old = e->committed, now = e->index;
    e->signal = 0;
    e->why = NOT_WAITING;
    if (now == old)
        return;
    *word(r, 0, 0) = (*word(r, 0, 0) & LOW) | (int64_t)((uint64_t)now << 32);
    e->signal = tell_room(r, e, old);
    e->committed = now;
    e->signals += e->signal;
    e->saved += 1 - e->signal;
}

/* Write the packet in `arena` and read it into `copy`, `burst` of them in a row; return how many rows. */
int64_t stream(int64_t *mem, const int64_t *place, struct end *w, struct end *e, const int64_t *arena,
               int64_t *copy, int64_t words, int64_t room_words, int64_t burst, int64_t times)
{
    struct ring r = {mem, place};
    for (int64_t k = 0; k < times; k++) {
        for (int64_t n = 0; n < burst; n++)
            if (write_packet(&r, w, arena, words) != 1)
                return k;
        for (int64_t n = 0; n < burst; n++) {
            if (read_packet(&r, e, copy, room_words) != SOUND)
                return k;
            close_read(&r, e);
        }
    }
    return times;
}
