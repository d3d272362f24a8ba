/* The event kernel of hvlab/hypervisor in plain C, on the same state: agenda, scheduler, workload, interrupts. No recorder.
   Left out are what the benchmark's rows do not ask for: messages, timers, the I/O APIC, the assist page. */
#include <stdint.h>
#include "state.h"
#define run apic_run
#include "apic.c"
#undef run

enum { ABSENT, READY, RUNNING, HALTED, CAPPED };
enum { CLASSIC, CORE, ROOT_KIND };
enum { TICK, START, STOP, HALT, RAISE, DEVICE };
enum { PAUSE_END = 1, CAP_END = 2, SEATS = 256, WHOLE = 1 << 16, WEIGHT = 100, ROOT = 1, NESTED = 16 };
#define FOREVER INT64_MAX
#define BIT(k) (INT64_C(1) << (k))

static int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

/* agenda */

static int before(const struct heap *a, int64_t time, int64_t ticket)
{
    return a->time < time || (a->time == time && a->ticket < ticket);
}

static void store(struct agenda *q, int64_t at, int64_t time, int64_t ticket)
{
    q->heap[at].time = time;
    q->heap[at].ticket = ticket;
    q->seat[ticket & (SEATS - 1)].place = at + 1;
}

static void up(struct agenda *q, int64_t at, int64_t time, int64_t ticket)
{
    while (at > 0) {
        int64_t above = (at - 1) >> 1;
        if (before(&q->heap[above], time, ticket))
            break;
        store(q, at, q->heap[above].time, q->heap[above].ticket);
        at = above;
    }
    store(q, at, time, ticket);
}

static void down(struct agenda *q, int64_t at, int64_t time, int64_t ticket)
{
    for (;;) {
        int64_t below = 2 * at + 1;
        if (below >= q->size)
            break;
        if (below + 1 < q->size && before(&q->heap[below + 1], q->heap[below].time, q->heap[below].ticket))
            below++;
        if (!before(&q->heap[below], time, ticket))
            break;
        store(q, at, q->heap[below].time, q->heap[below].ticket);
        at = below;
    }
    store(q, at, time, ticket);
}

static int64_t seat_of(int64_t kind, int64_t who) { return (kind * 8 + who) * 4; }

static void put(struct machine *m, int64_t time, int64_t kind, int64_t who)
{
    struct agenda *q = &m->agenda;
    int64_t seat = seat_of(kind, who), at = q->seat[seat].place - 1, ticket = q->order << 8 | seat;
    q->seat[seat].generation = 0;
    q->seat[seat].cause = -1;
    q->order++;
    if (at >= 0 && time >= q->heap[at].time) {
        down(q, at, time, ticket);
        return;
    }
    if (at < 0)
        at = q->size++;
    up(q, at, time, ticket);
}

static int64_t take_first(struct machine *m)
{
    struct agenda *q = &m->agenda;
    int64_t seat = q->heap[0].ticket & (SEATS - 1), last = q->size - 1;
    m->now = max(m->now, q->heap[0].time);
    q->seat[seat].place = 0;
    q->size = last;
    if (last > 0)
        down(q, 0, q->heap[last].time, q->heap[last].ticket);
    return seat;
}

/* scheduler */

static void kick(struct machine *m, int64_t vp)
{
    m->scheduler.attention |= BIT(vp);
    m->run[vp].cause = -1;
}

static void account(struct machine *m, struct run *r)
{
    int64_t now = m->now, gone = now - r->since;
    if (gone <= 0)
        return;
    r->since = now;
    r->ran += gone;
    if (r->left[r->depth] > 0)
        r->left[r->depth] = max(r->left[r->depth] - gone, 0);
    int64_t total = gone * WEIGHT + r->spare;
    r->vtime += total / r->weight;
    r->spare = total % r->weight;
    if (now >= r->period_end) {
        int64_t begun = now - now % m->scheduler.period;
        r->used = min(gone, now - begun);
        r->period_end = begun + m->scheduler.period;
    } else {
        r->used += gone;
    }
}

static void charge(struct machine *m, int64_t vp, int64_t cost)
{
    struct run *r = &m->run[vp];
    if (r->state != RUNNING)
        return;
    account(m, r);
    r->since += cost;
    r->overhead += cost;
    m->scheduler.attention |= BIT(vp);
}

static int64_t used(const struct machine *m, const struct run *r) { return m->now < r->period_end ? r->used : 0; }

static int owed(const struct machine *m, const struct run *r)
{
    return r->reserve > 0 && used(m, r) < m->scheduler.period * r->reserve >> 16;
}

static void change(struct machine *m, int64_t vp, int64_t state)
{
    struct run *r = &m->run[vp];
    int64_t gone = m->now - r->changed;
    if (r->state == READY)
        r->waited += gone;
    else if (r->state == HALTED)
        r->halted += gone;
    else if (r->state == CAPPED)
        r->capped += gone;
    r->changed = m->now;
    r->state = state;
    if (state == READY)
        m->scheduler.ready |= BIT(vp);
    else
        m->scheduler.ready &= ~BIT(vp);
}

static void ready(struct machine *m, int64_t vp)
{
    struct run *r = &m->run[vp];
    change(m, vp, READY);
    r->vtime = max(r->vtime, m->scheduler.floor);
    r->woken = 1;
    m->scheduler.free = 1;
    r->cause = -1;
}

static void leave(struct machine *m, int64_t vp, int64_t state)
{
    struct run *r = &m->run[vp];
    account(m, r);
    if (r->since > m->now) {
        r->overhead -= r->since - m->now;
        r->since = m->now;
    }
    struct lane *lane = &m->lane[r->lp];
    lane->vp = 0;
    lane->busy += m->now - lane->busy_since;
    r->cause = -1;
    r->lp = -1;
    m->scheduler.free = 1;
    change(m, vp, state);
}

static void enter(struct machine *m, int64_t vp, int64_t lp, int64_t time)
{
    struct run *r = &m->run[vp];
    struct scheduler *s = &m->scheduler;
    struct lane *lane = &m->lane[lp];
    int64_t now = m->now, cost = lane->last - 1 == vp ? m->cost.entry : m->cost.switch_;
    r->cause = -1;
    change(m, vp, RUNNING);
    r->since = now + cost;
    r->begun = r->ran;
    r->lp = r->last = lp;
    r->fresh = 1;
    r->woken = 0;
    r->overhead += cost;
    r->switches++;
    m->vp[vp].lp = lp;
    s->floor = max(s->floor, r->vtime);
    if (r->woken_at >= 0) {
        int64_t latency = r->since - r->woken_at;
        r->wakes++;
        r->latency += latency;
        r->worst = max(r->worst, latency);
        r->woken_at = -1;
    }
    lane->vp = lane->last = vp + 1;
    lane->busy_since = now;
    lane->slice_end = r->since + time;
    if (s->kind == CORE && s->smt != 0 && m->lane[lp ^ 1].vp != 0 && m->lane[lp ^ 1].slice_end > now)
        lane->slice_end = m->lane[lp ^ 1].slice_end;
    s->attention |= BIT(vp);
}

static void arm(struct machine *m, struct run *r)
{
    struct lane *lane = &m->lane[r->lp];
    int64_t end = lane->slice_end, left = r->left[r->depth];
    if (left >= 0)
        end = min(end, r->since + left);
    if (r->cap < WHOLE)
        end = min(end, r->since + max((m->scheduler.period * r->cap >> 16) - used(m, r), 0));
    lane->end = end;
}

static int64_t partition_of(const struct machine *m, int64_t vp) { return m->guest[vp].partition; }

static int allowed(const struct machine *m, int64_t vp, int64_t lp)
{
    const struct scheduler *s = &m->scheduler;
    if ((m->run[vp].affinity >> lp & 1) == 0)
        return 0;
    if (s->kind != CORE || s->smt == 0 || (lp ^ 1) >= m->hypervisor.lps || m->lane[lp ^ 1].vp == 0)
        return 1;
    return partition_of(m, m->lane[lp ^ 1].vp - 1) == partition_of(m, vp);
}

static int waits(const struct machine *m, int64_t vp)
{
    return m->run[vp].state == READY && (m->scheduler.kind != ROOT_KIND || partition_of(m, vp) == ROOT);
}

static int64_t lowest(int64_t bits) { return __builtin_ctzll((uint64_t)bits); }

static int64_t next_of(const struct machine *m, int64_t candidates)
{
    int64_t found = -1, best = FOREVER;
    int first = 0;
    for (; candidates != 0; candidates &= candidates - 1) {
        int64_t vp = lowest(candidates);
        const struct run *r = &m->run[vp];
        int claim = owed(m, r);
        if ((claim && !first) || (claim == first && r->vtime < best)) {
            found = vp;
            best = r->vtime;
            first = claim;
        }
    }
    return found;
}

static int64_t candidates_of(const struct machine *m)
{
    int64_t found = 0;
    int idle = 0;
    for (int64_t lp = 0; lp < m->hypervisor.lps; lp++)
        idle |= m->lane[lp].vp == 0;
    for (int64_t bits = m->scheduler.ready; bits != 0; bits &= bits - 1) {
        int64_t vp = lowest(bits);
        if ((idle || m->run[vp].woken != 0) && waits(m, vp))
            found |= BIT(vp);
    }
    return found;
}

static int64_t room_for(const struct machine *m, int64_t vp)
{
    int64_t found = -1;
    int whole = 0;
    for (int64_t lp = 0; lp < m->hypervisor.lps; lp++) {
        if (m->lane[lp].vp == 0 && allowed(m, vp, lp)) {
            if (lp == m->run[vp].last)
                return lp;
            int alone = m->scheduler.smt == 0 || (lp ^ 1) >= m->hypervisor.lps || m->lane[lp ^ 1].vp == 0;
            if (found < 0 || (alone && !whole)) {
                found = lp;
                whole = alone;
            }
        }
    }
    return found;
}

static int64_t victim_of(struct machine *m, int64_t vp)
{
    const struct run *r = &m->run[vp];
    int64_t found = -1, most = -1;
    int claim = owed(m, r);
    for (int64_t lp = 0; lp < m->hypervisor.lps; lp++) {
        int64_t who = m->lane[lp].vp - 1;
        if (who < 0 || !allowed(m, vp, lp) || (m->scheduler.kind == ROOT_KIND && partition_of(m, who) != ROOT))
            continue;
        struct run *u = &m->run[who];
        account(m, u);
        int other = owed(m, u);
        int64_t ahead = u->vtime - r->vtime - m->scheduler.grain;
        if (claim && !other)
            ahead = FOREVER >> 1;
        else if (other && !claim)
            ahead = -1;
        if (ahead > most) {
            found = lp;
            most = ahead;
        }
    }
    return found;
}

static void place(struct machine *m)
{
    int64_t bits = candidates_of(m);
    m->scheduler.free = 0;
    while (bits != 0) {
        int64_t vp = next_of(m, bits), lp = room_for(m, vp);
        bits &= ~BIT(vp);
        if (lp < 0 && m->run[vp].woken != 0) {
            lp = victim_of(m, vp);
            if (lp >= 0)
                leave(m, m->lane[lp].vp - 1, READY);
        }
        m->run[vp].woken = 0;
        if (lp >= 0) {
            enter(m, vp, lp, m->scheduler.slice);
            bits = candidates_of(m);
        }
    }
    m->scheduler.free = 0;
}

static void slice_over(struct machine *m, int64_t lp)
{
    struct scheduler *s = &m->scheduler;
    int64_t who = m->lane[lp].vp - 1, here = partition_of(m, who);
    const struct run *runner = &m->run[who];
    int claim = owed(m, runner), core = s->kind == CORE && s->smt != 0, own = 0, other = 0;
    for (int64_t bits = s->ready; bits != 0; bits &= bits - 1) {
        int64_t vp = lowest(bits);
        if (!waits(m, vp))
            continue;
        const struct run *r = &m->run[vp];
        int first = owed(m, r);
        if ((first && !claim) || (first == claim && r->vtime <= runner->vtime)) {
            if (partition_of(m, vp) == here || !core)
                own = own || (r->affinity >> lp & 1) != 0;
            else
                other = other || (r->affinity >> (lp & ~INT64_C(1)) & 3) != 0;
        }
    }
    if (own || other || (s->kind == ROOT_KIND && here != ROOT)) {
        leave(m, who, READY);
        if (other && (lp ^ 1) < m->hypervisor.lps && m->lane[lp ^ 1].vp != 0)
            leave(m, m->lane[lp ^ 1].vp - 1, READY);
        return;
    }
    m->lane[lp].slice_end = m->now + s->slice;
    s->attention |= BIT(who);
    if (core) {
        m->lane[lp ^ 1].slice_end = m->now + s->slice;
        if (m->lane[lp ^ 1].vp != 0)
            s->attention |= BIT(m->lane[lp ^ 1].vp - 1);
    }
}

/* guests */

static int64_t request(struct machine *m, int64_t vp, int64_t vector, int64_t level, int64_t auto_eoi)
{
    int64_t result = raise_vector(m, vp, vector, level, auto_eoi);
    if (result == QUEUED)
        kick(m, vp);
    return result;
}

static int64_t deliverable(const struct machine *m, int64_t vp)
{
    const struct apic *a = &m->apic[vp];
    return a->nmi > a->nmi_runs ? 2 : waiting(a);
}

static int halt(struct machine *m, int64_t vp)
{
    struct run *r = &m->run[vp];
    if (r->state != RUNNING || deliverable(m, vp) >= 0)
        return 0;
    r->cause = -1;
    leave(m, vp, HALTED);
    return 1;
}

static void nothing_left(struct machine *m, int64_t vp, struct run *r)
{
    m->scheduler.attention |= BIT(vp);
    if (r->left[0] == 0)
        halt(m, vp);
}

static void handle(struct machine *m, int64_t vp, struct run *r)
{
    int64_t depth = r->depth;
    if (depth + 1 >= NESTED || (depth > 0 && (r->silent >> depth & 1) != 0))
        return;
    int64_t vector = take(m, vp);
    if (vector < 0)
        return;
    account(m, r);
    int64_t cost = m->cost.inject + (r->fresh != 0 ? 0 : m->cost.exit);
    r->since += cost;
    r->overhead += cost;
    if (depth == 0 && r->left[0] == 0 && r->pause == -1)
        r->left[0] = r->burst;
    depth++;
    int64_t owes = m->apic[vp].isr[vector >> 6] >> (vector & 63) & 1;
    r->silent = (r->silent & ~BIT(depth)) | (1 - owes) << depth;
    r->depth = depth;
    r->left[depth] = r->handler;
    r->cause = -1;
}

static void attend(struct machine *m, int64_t vp)
{
    struct run *r = &m->run[vp];
    if (r->state == HALTED) {
        if (deliverable(m, vp) >= 0) {
            r->woken_at = m->now;
            ready(m, vp);
        }
    } else if (r->state == RUNNING) {
        if (r->takes == 1)
            handle(m, vp, r);
        r->fresh = 0;
        arm(m, r);
    }
}

static void write_eoi(struct machine *m, int64_t vp)
{
    struct apic *a = &m->apic[vp];
    int64_t vector = highest(a->isr);
    if (a->virtual != 0 && vector >= 0) {
        a->count.eoi_virtual++;
        a->count.exits_saved++;
    } else {
        a->count.eoi_exits++;
        a->count.exits++;
        charge(m, vp, m->cost.exit);
    }
    end(m, vp);
    kick(m, vp);
}

static void work_done(struct machine *m, int64_t vp, struct run *r)
{
    int64_t depth = r->depth;
    if (depth == 0) {
        if (r->pause > 0 && m->agenda.seat[seat_of(PAUSE_END, vp)].place == 0)
            put(m, m->now + r->pause, PAUSE_END, vp);
        nothing_left(m, vp, r);
        return;
    }
    if (m->apic[vp].nmi_runs != 0)
        m->apic[vp].nmi_runs = 0;
    else if ((r->silent >> depth & 1) == 0)
        write_eoi(m, vp);
    r->depth = depth - 1;
    if (depth == 1)
        nothing_left(m, vp, r);
    m->scheduler.attention |= BIT(vp);
}

static void lane_ends(struct machine *m, int64_t lp)
{
    int64_t vp = m->lane[lp].vp - 1;
    struct run *r = &m->run[vp];
    account(m, r);
    if (r->left[r->depth] == 0) {
        work_done(m, vp, r);
    } else if (r->cap < WHOLE && used(m, r) >= m->scheduler.period * r->cap >> 16) {
        leave(m, vp, CAPPED);
        put(m, r->period_end, CAP_END, vp);
    } else if (m->now >= m->lane[lp].slice_end) {
        slice_over(m, lp);
    } else {
        m->scheduler.attention |= BIT(vp);
    }
}

static void start(struct machine *m, int64_t vp, const int64_t *w)
{
    struct run *r = &m->run[vp];
    if (r->state == ABSENT) {
        r->joined = r->changed = r->since = m->now;
        r->woken_at = -1;
        r->ran = r->waited = r->halted = r->capped = r->overhead = 0;
        r->state = HALTED;
    } else if (r->state == RUNNING) {
        account(m, r);
    }
    r->burst = w[3];
    r->pause = w[4];
    r->handler = w[5];
    r->takes = w[6];
    r->left[0] = r->burst;
    r->cause = -1;
    m->scheduler.attention |= BIT(vp);
    if (r->state == HALTED && (r->burst != 0 || r->depth != 0))
        ready(m, vp);
    else if (r->burst == 0 && r->depth == 0 && r->state == RUNNING)
        nothing_left(m, vp, r);
}

static int64_t operate(struct machine *m, const int64_t *w)
{
    int64_t vp = w[2];
    switch (w[1]) {
    case RAISE:
        return request(m, vp, w[3], w[4], w[5]);
    case DEVICE: {
        int64_t who = m->lane[w[3]].vp - 1;
        if (who >= 0) {
            charge(m, who, m->cost.exit);
            m->run[who].fresh = 1;
        }
        return request(m, vp, w[4], 0, 0);
    }
    case HALT:
        return halt(m, vp);
    case START:
        start(m, vp, w);
        return 0;
    default:
        return 0;
    }
}

static void happen(struct machine *m)
{
    int64_t seat = take_first(m), kind = seat / 32, who = seat / 4 % 8;
    struct run *r = &m->run[who];
    if (kind == PAUSE_END) {
        if (r->left[0] != 0 || r->burst == 0)
            return;
        r->left[0] = r->burst;
        r->cause = -1;
        if (r->state == HALTED) {
            r->woken_at = m->now;
            ready(m, who);
        }
    } else if (kind == CAP_END && r->state == CAPPED) {
        ready(m, who);
    }
}

static void settle(struct machine *m)
{
    struct scheduler *s = &m->scheduler;
    for (;;) {
        for (int64_t bits = m->news.who; bits != 0; bits &= bits - 1)
            kick(m, lowest(bits));
        m->news.who = 0;
        if (s->attention == 0 && s->free == 0)
            return;
        int64_t left = -1, bits;
        while ((bits = s->attention & left) != 0) {
            int64_t vp = lowest(bits);
            left = -BIT(vp + 1);
            s->attention &= ~BIT(vp);
            attend(m, vp);
        }
        if (s->free != 0)
            place(m);
    }
}

/* Do each row of work at its time, and what is due meanwhile, up to `until`; return the number of steps. */
int64_t turn(struct machine *m, const int64_t *work, int64_t *answer, int64_t rows, int64_t until)
{
    int64_t done = 0, steps = 0;
    m->scheduler.stop = 0;
    settle(m);
    for (;; steps++) {
        int64_t lp = -1, time = FOREVER;
        for (int64_t k = 0; k < m->hypervisor.lps; k++) {
            if (m->lane[k].vp != 0 && m->lane[k].end < time) {
                lp = k;
                time = m->lane[k].end;
            }
        }
        int64_t due = m->agenda.size > 0 ? m->agenda.heap[0].time : FOREVER;
        int64_t row = done < rows ? work[8 * done] : FOREVER;
        if (min(min(time, due), row) > until)
            break;
        if (time <= due && time <= row) {
            m->now = max(m->now, time);
            lane_ends(m, lp);
        } else if (due <= row) {
            happen(m);
        } else {
            m->now = max(m->now, row);
            answer[done] = operate(m, work + 8 * done);
            done++;
        }
        settle(m);
    }
    m->now = max(m->now, until);
    return steps;
}
