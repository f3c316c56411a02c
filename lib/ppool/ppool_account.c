/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * What mbufs weigh, and charging them. The uncharging that a free does is in ppool_account_table.c.
 *
 * An account is one number that charges raise and frees lower, each burst with one atomic
 * operation; the record of a frag says which account that is (struct ppool_frag). Charging marks
 * the records first and takes the bytes then: until the caller has an answer nobody else looks at
 * them.
 */

#include "ppool_account_table.h"
#include "ppool_mono.h"
#include "ppool_private.h"

/* What packets weigh. */
struct weight {
	uint64_t bytes;
	uint64_t foreign; /* part of bytes */
};

/* The pool of the latest mbuf: the next one is most likely of the same. */
struct latest {
	const struct rte_mempool *mp;
	bool frags; /* a frag pool */
	bool mono;
};

/* Records */

/* Whose records it changes must find the table when its frags are freed, whoever does that. */
static __rte_noinline void
latest_set(struct latest *latest, const struct rte_mempool *mp)
{
	struct ppool *p;

	latest->mp = mp;
	latest->mono = ppool_is_mono_pool(mp);
	latest->frags = !latest->mono && ppool_is_internal_pool(mp);
	if (!latest->mono && !latest->frags)
		return;
	p = ppool_from_mempool(mp);
	if (p->accounts == NULL)
		__atomic_store_n(&p->accounts, ppool_accounts_get(), __ATOMIC_RELEASE);
}

/* The record of a segment, NULL where it is foreign. */
static inline struct ppool_frag *
record_of(struct latest *latest, struct rte_mbuf *m)
{
	if (unlikely(m->pool != latest->mp))
		latest_set(latest, m->pool);
	if (likely(latest->frags))
		return ppool_frag_of(m);
	return latest->mono ? ppool_record_of(m) : NULL;
}

static inline uint32_t
frag_bytes(const struct ppool_frag *frag)
{
	return frag->truesize + frag->slot_bytes;
}

static uint32_t
foreign_bytes(const struct rte_mbuf *m)
{
	return m->pool->header_size + m->pool->elt_size + m->pool->trailer_size;
}

size_t
ppool_mbuf_truesize(const struct rte_mbuf *m)
{
	const struct ppool_frag *frag;
	size_t bytes = 0;

	for (; m != NULL; m = m->next) {
		frag = ppool_record_of(m);
		bytes += frag == NULL ? foreign_bytes(m) : frag_bytes(frag);
	}
	return bytes;
}

/* Say of a packet's segments that they belong to an account. */
static void
mark_packet(struct latest *latest, struct rte_mbuf *m, uint16_t id)
{
	struct ppool_frag *frag;

	for (; m != NULL; m = m->next) {
		frag = record_of(latest, m);
		if (frag != NULL)
			ppool_record_set_account(frag, id);
	}
}

/* What a packet weighs, without the segments that belong to an account. */
static struct weight
weigh_packet(struct latest *latest, struct rte_mbuf *m, uint16_t without)
{
	struct weight w = { 0, 0 };
	struct ppool_frag *frag;
	uint32_t bytes;

	for (; m != NULL; m = m->next) {
		frag = record_of(latest, m);
		if (frag != NULL) {
			w.bytes += ppool_record_account(frag) == without ? 0 : frag_bytes(frag);
			continue;
		}
		bytes = foreign_bytes(m);
		w.bytes += bytes;
		w.foreign += bytes;
	}
	return w;
}

/* Whether all segments of a packet belong to an account, as far as they know. */
static bool
belongs(struct rte_mbuf *m, uint16_t id)
{
	struct latest latest = { .mp = NULL };
	struct ppool_frag *frag;

	for (; m != NULL; m = m->next) {
		frag = record_of(&latest, m);
		if (frag != NULL && ppool_record_account(frag) != id)
			return false;
	}
	return true;
}

/* remark() of one packet, of any kind. */
static __rte_noinline bool
remark_packet(struct rte_mbuf *m, uint16_t from, uint16_t to, uint64_t room, struct weight *sum)
{
	struct latest latest = { .mp = NULL };
	struct weight w;

	if (!belongs(m, from))
		return false;
	w = weigh_packet(&latest, m, PPOOL_ACCOUNTS_MAX);
	if (w.bytes > room - sum->bytes)
		return false;
	mark_packet(&latest, m, to);
	sum->bytes += w.bytes;
	sum->foreign += w.foreign;
	return true;
}

/*
 * remark() of packets that are single frags of one pool, as long as they are. Whether there is room
 * is asked for the first of them only: take() finds out for how many, and most often it is all.
 */
static inline unsigned int
remark_frags(const struct latest *pool, struct rte_mbuf * const *m, unsigned int n, uint16_t from,
		uint16_t to, uint64_t room, struct weight *sum)
{
	const struct rte_mempool *mp = pool->mp;
	struct ppool_frag *frag;
	uint64_t bytes = 0;
	unsigned int i;

	frag = ppool_frag_of(m[0]);
	if (unlikely(frag_bytes(frag) > room - sum->bytes))
		return 0;
	for (i = 0; i < n; i++) {
		if (unlikely(m[i]->pool != mp || m[i]->nb_segs != 1))
			break;
		frag = ppool_frag_of(m[i]);
		if (unlikely(ppool_record_account(frag) != from))
			break;
		ppool_record_set_account(frag, to);
		bytes += frag->truesize;
		bytes += frag->slot_bytes;
	}
	sum->bytes += bytes;
	return i;
}

/*
 * Say of packets all of whose segments belong to an account that they belong to another one.
 * Stops at the first that has other segments, or for which there is no room for certain. Where an
 * mbuf is in a burst twice, the second finds itself changed: what is marked here can be undone.
 */
static inline unsigned int
remark(struct rte_mbuf * const *m, unsigned int n, uint16_t from, uint16_t to, uint64_t room,
		struct weight *sum)
{
	struct latest pool;
	unsigned int i = 0, k;

	sum->bytes = 0;
	sum->foreign = 0;
	while (i < n && sum->bytes <= room) {
		k = 0;
		latest_set(&pool, m[i]->pool);
		if (likely(pool.frags))
			k = remark_frags(&pool, m + i, n - i, from, to, room, sum);
		if (unlikely(k == 0)) {
			if (!remark_packet(m[i], from, to, room, sum))
				break;
			k = 1;
		}
		i += k;
	}
	return i;
}

/* Undo what remark() has done to one packet. */
static void
unmark(struct rte_mbuf *m, uint16_t from, struct weight *sum)
{
	struct latest latest = { .mp = NULL };
	struct weight w = weigh_packet(&latest, m, PPOOL_ACCOUNTS_MAX);

	mark_packet(&latest, m, from);
	sum->bytes -= w.bytes;
	sum->foreign -= w.foreign;
}

/* Budgets */

static inline uint64_t
room_above(const struct ppool_account *a, uint64_t used)
{
	uint64_t limit = __atomic_load_n(&a->limit, __ATOMIC_RELAXED);

	return used < limit ? limit - used : 0;
}

static inline uint64_t
room_left(const struct ppool_account *a)
{
	return room_above(a, __atomic_load_n(&a->used, __ATOMIC_RELAXED));
}

static __rte_noinline void
raise_high_water(struct ppool_account *a, uint64_t used)
{
	uint64_t high = __atomic_load_n(&a->high_water, __ATOMIC_RELAXED);

	while (high < used &&
			!__atomic_compare_exchange_n(&a->high_water, &high, used, true,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static inline void
took(struct ppool_account *a, uint64_t used, const struct weight *w)
{
	if (unlikely(used > __atomic_load_n(&a->high_water, __ATOMIC_RELAXED)))
		raise_high_water(a, used);
	if (unlikely(w->foreign != 0))
		__atomic_fetch_add(&a->foreign, w->foreign, __ATOMIC_RELAXED);
}

static inline void
give(struct ppool_account *a, const struct weight *w)
{
	__atomic_fetch_sub(&a->used, w->bytes, __ATOMIC_RELAXED);
	if (unlikely(w->foreign != 0))
		__atomic_fetch_sub(&a->foreign, w->foreign, __ATOMIC_RELAXED);
}

static void
account_refuse(struct ppool_account *a)
{
	__atomic_fetch_add(&a->refusals, 1, __ATOMIC_RELAXED);
}

/*
 * Take what n packets weigh, that remark() has taken from an account. Others may have used the
 * room in the meantime: then the last ones are unmarked. Returns how many fit.
 */
static inline unsigned int
take(struct ppool_account *a, uint16_t from, struct rte_mbuf * const *m, unsigned int n,
		struct weight *sum)
{
	uint64_t used = __atomic_load_n(&a->used, __ATOMIC_RELAXED);

	do {
		while (unlikely(sum->bytes > room_above(a, used)))
			unmark(m[--n], from, sum);
		if (unlikely(n == 0))
			return 0;
	} while (unlikely(!__atomic_compare_exchange_n(&a->used, &used, used + sum->bytes, false,
			__ATOMIC_RELAXED, __ATOMIC_RELAXED)));
	took(a, used + sum->bytes, sum);
	return n;
}

enum answer { CHARGED, NO_ROOM, NOT_OURS };

/* A packet some segments of which are charged already. */
static __rte_noinline enum answer
charge_rest(struct ppool_account *a, uint16_t id, struct rte_mbuf *m)
{
	struct latest latest = { .mp = NULL };
	struct ppool_frag *frag;
	struct rte_mbuf *seg;
	struct weight w;
	uint64_t used;

	for (seg = m; seg != NULL; seg = seg->next) {
		frag = record_of(&latest, seg);
		if (frag != NULL && ppool_record_account(frag) != PPOOL_ACCOUNT_NONE &&
				ppool_record_account(frag) != id)
			return NOT_OURS;
	}
	w = weigh_packet(&latest, m, id);
	used = __atomic_load_n(&a->used, __ATOMIC_RELAXED);
	do {
		if (w.bytes > room_above(a, used))
			return NO_ROOM;
	} while (w.bytes != 0 &&
			!__atomic_compare_exchange_n(&a->used, &used, used + w.bytes, false,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED));
	took(a, used + w.bytes, &w);
	mark_packet(&latest, m, id);
	return CHARGED;
}

/* The packet at which remark() or take() stopped. */
static enum answer
charge_one(struct ppool_account *a, uint16_t id, struct rte_mbuf *m)
{
	enum answer answer = NO_ROOM;

	if (!belongs(m, PPOOL_ACCOUNT_NONE))
		answer = charge_rest(a, id, m);
	if (answer == NO_ROOM)
		account_refuse(a);
	return answer;
}

unsigned int
ppool_account_charge(uint16_t id, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_account *a = ppool_account_get(id);
	unsigned int done = 0, want, k;
	struct weight sum;

	if (unlikely(a == NULL))
		return 0;
	while (done < n) {
		want = RTE_MIN(n - done, PPOOL_BULK);
		k = remark(m + done, want, PPOOL_ACCOUNT_NONE, id, room_left(a), &sum);
		if (likely(k != 0))
			k = take(a, PPOOL_ACCOUNT_NONE, m + done, k, &sum);
		done += k;
		if (likely(k == want))
			continue;
		if (charge_one(a, id, m[done]) != CHARGED)
			break;
		done++;
	}
	return done;
}

/*
 * Take foreign bytes off an account, as long as it has so many: nothing but the caller's word says
 * that it was charged for them.
 */
static bool
give_foreign(struct ppool_account *a, uint64_t bytes)
{
	uint64_t foreign = __atomic_load_n(&a->foreign, __ATOMIC_RELAXED);

	do {
		if (foreign < bytes)
			return false;
	} while (!__atomic_compare_exchange_n(&a->foreign, &foreign, foreign - bytes, true,
			__ATOMIC_RELAXED, __ATOMIC_RELAXED));
	return true;
}

/* Take off the source what packets weigh that are marked. Undone where it has not so much. */
static bool
give_moved(struct ppool_account *source, uint16_t from, struct rte_mbuf * const *m, unsigned int n,
		struct weight *sum)
{
	unsigned int i;

	if (unlikely(sum->foreign != 0) && !give_foreign(source, sum->foreign)) {
		for (i = 0; i < n; i++)
			unmark(m[i], from, sum);
		return false;
	}
	__atomic_fetch_sub(&source->used, sum->bytes, __ATOMIC_RELAXED);
	return true;
}

/* Up to PPOOL_BULK packets. */
static unsigned int
move_burst(uint16_t from, uint16_t to, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_account *source = ppool_account_get(from), *target = ppool_account_get(to);
	struct weight sum, taken;
	unsigned int k;

	k = remark(m, n, from, to, room_left(target), &sum);
	if (likely(k != 0))
		k = take(target, from, m, k, &sum);
	taken = sum;
	if (k != 0 && !give_moved(source, from, m, k, &sum)) {
		give(target, &taken);
		return 0;
	}
	if (k < n && belongs(m[k], from))
		account_refuse(target);
	return k;
}

static unsigned int
count_belonging(uint16_t id, struct rte_mbuf * const *m, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n && belongs(m[i], id); i++)
		;
	return i;
}

unsigned int
ppool_account_move(uint16_t from, uint16_t to, struct rte_mbuf * const *m, unsigned int n)
{
	unsigned int done = 0, want, k;

	if (unlikely(ppool_account_get(from) == NULL || ppool_account_get(to) == NULL))
		return 0;
	if (unlikely(from == to))
		return count_belonging(from, m, n);
	do {
		want = RTE_MIN(n - done, PPOOL_BULK);
		k = move_burst(from, to, m + done, want);
		done += k;
	} while (k == want && done < n);
	return done;
}

unsigned int
ppool_account_uncharge(uint16_t id, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_account *a = ppool_account_get(id);
	unsigned int done = 0, want, k;
	struct weight sum;

	if (unlikely(a == NULL))
		return 0;
	do {
		want = RTE_MIN(n - done, PPOOL_BULK);
		k = remark(m + done, want, id, PPOOL_ACCOUNT_NONE, UINT64_MAX, &sum);
		if (k == 0 || !give_moved(a, id, m + done, k, &sum))
			break;
		done += k;
	} while (k == want && done < n);
	return done;
}

uint16_t
ppool_account_of(const struct rte_mbuf *m)
{
	const struct ppool_frag *frag = ppool_record_of(m);

	return frag == NULL ? PPOOL_ACCOUNT_NONE : ppool_record_account(frag);
}

/* What a charged packet weighs has changed; that is no reason to refuse it. */
void
ppool_account_adjust(struct ppool *p, uint16_t id, int64_t bytes)
{
	struct ppool_account *a;
	uint64_t used;

	if (id == PPOOL_ACCOUNT_NONE || bytes == 0)
		return;
	a = &p->accounts->account[id];
	used = __atomic_add_fetch(&a->used, (uint64_t)bytes, __ATOMIC_RELAXED);
	raise_high_water(a, used);
}

/* A packet that is replaced by a copy */

/*
 * Whether an mbuf is free for good when its reference is dropped. Nobody else can take one
 * meanwhile, as there is no other.
 */
static bool
is_last_reference(const struct rte_mbuf *m)
{
	return rte_mbuf_refcnt_read(m) == 1 &&
			(!RTE_MBUF_HAS_PINNED_EXTBUF(m) ||
					rte_mbuf_ext_refcnt_read(m->shinfo) == 1);
}

/* The account that segments of a packet are charged to. Returns false where there are two. */
static bool
packet_account(struct latest *latest, struct rte_mbuf *m, uint16_t *id)
{
	struct ppool_frag *frag;
	uint16_t account;

	*id = PPOOL_ACCOUNT_NONE;
	for (; m != NULL; m = m->next) {
		frag = record_of(latest, m);
		account = frag == NULL ? PPOOL_ACCOUNT_NONE : ppool_record_account(frag);
		if (account == PPOOL_ACCOUNT_NONE || account == *id)
			continue;
		if (*id != PPOOL_ACCOUNT_NONE)
			return false;
		*id = account;
	}
	return true;
}

/* The record of a segment that gives back what it is charged for, NULL where it does not. */
static struct ppool_frag *
leaving_record(struct latest *latest, struct rte_mbuf *m)
{
	struct ppool_frag *frag = record_of(latest, m);

	if (frag == NULL || ppool_record_account(frag) == PPOOL_ACCOUNT_NONE)
		return NULL;
	return is_last_reference(m) ? frag : NULL;
}

/* Take so many bytes in place of others. */
static bool
exchange_bytes(struct ppool_account *a, uint64_t before, uint64_t after)
{
	struct weight w = { after - before, 0 };
	uint64_t used = __atomic_load_n(&a->used, __ATOMIC_RELAXED);

	if (after <= before) {
		__atomic_fetch_sub(&a->used, before - after, __ATOMIC_RELAXED);
		return true;
	}
	do {
		if (w.bytes > room_above(a, used)) {
			account_refuse(a);
			return false;
		}
	} while (!__atomic_compare_exchange_n(&a->used, &used, used + w.bytes, false,
			__ATOMIC_RELAXED, __ATOMIC_RELAXED));
	took(a, used + w.bytes, &w);
	return true;
}

/* The bytes of those segments. */
static uint64_t
weigh_leaving(struct latest *latest, struct rte_mbuf *m)
{
	struct ppool_frag *frag;
	uint64_t bytes = 0;

	for (; m != NULL; m = m->next) {
		frag = leaving_record(latest, m);
		bytes += frag == NULL ? 0 : frag_bytes(frag);
	}
	return bytes;
}

/* The same, and say of them that they belong to no account. */
static uint64_t
unmark_leaving(struct latest *latest, struct rte_mbuf *m)
{
	struct ppool_frag *frag;
	uint64_t bytes = 0;

	for (; m != NULL; m = m->next) {
		frag = leaving_record(latest, m);
		if (frag == NULL)
			continue;
		bytes += frag_bytes(frag);
		ppool_record_set_account(frag, PPOOL_ACCOUNT_NONE);
	}
	return bytes;
}

/* What others have a reference to stays charged, until it is free. */
bool
ppool_account_pass_on(struct rte_mbuf *m, struct rte_mbuf *by)
{
	struct latest latest = { .mp = NULL };
	uint64_t before, left;
	uint16_t id;

	if (!packet_account(&latest, m, &id))
		return false;
	if (id == PPOOL_ACCOUNT_NONE)
		return true;
	before = weigh_leaving(&latest, m);
	if (!exchange_bytes(ppool_account_get(id), before, ppool_mbuf_truesize(by)))
		return false;
	/* More where others have dropped their reference in the meantime. */
	left = unmark_leaving(&latest, m);
	exchange_bytes(ppool_account_get(id), left - before, 0);
	mark_packet(&latest, by, id);
	return true;
}
