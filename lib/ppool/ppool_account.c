/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Budgets of those who hold mbufs.
 *
 * The table of accounts is a memzone, at the same address in all processes. An account is one
 * number that charges raise and frees lower, each burst with one atomic operation; the record of a
 * frag says which account that is (struct ppool_frag). Charging marks the records first and takes
 * the bytes then: until the caller has an answer nobody else looks at them.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal_memconfig.h>
#include <rte_errno.h>
#include <rte_memzone.h>
#include <rte_string_fns.h>

#include "ppool_private.h"

#define TABLE_NAME "ppool_accounts"

/* In place of used where there is no account: no limit leaves room above it. */
#define NO_ACCOUNT UINT64_MAX

/* Apart from each other, so that what is polled in vain does not disturb those who free. */
struct account {
	/* Written by every charge and by every free. */
	uint64_t used;
	uint64_t high_water;
	uint64_t limit;
	char name[PPOOL_ACCOUNT_NAMESIZE] __rte_cache_aligned;
	/* Written when charges are refused, or for foreign mbufs. */
	uint64_t refusals __rte_cache_aligned;
	uint64_t foreign;
} __rte_cache_aligned;

struct ppool_accounts {
	rte_spinlock_t lock; /* creating and freeing */
	struct account account[PPOOL_ACCOUNTS_MAX];
};

/* What packets weigh. */
struct weight {
	uint64_t bytes;
	uint64_t foreign; /* part of bytes */
};

/* Frags of one pool, or of all, by account. */
struct census {
	uint64_t bytes[PPOOL_ACCOUNTS_MAX];
	uint64_t frags[PPOOL_ACCOUNTS_MAX];
};

/* The pool of the latest mbuf: the next one is most likely of the same. */
struct latest {
	const struct rte_mempool *mp;
	uint32_t frag_offset; /* 0: foreign */
};

/* The table: EAL's lock keeps everybody from finding it before it is initialised. */

static struct ppool_accounts *table;

static __rte_noinline struct ppool_accounts *
table_find(void)
{
	const struct rte_memzone *mz;

	rte_mcfg_tailq_read_lock();
	mz = rte_memzone_lookup(TABLE_NAME);
	rte_mcfg_tailq_read_unlock();
	if (mz == NULL)
		return NULL;
	__atomic_store_n(&table, mz->addr, __ATOMIC_RELEASE);
	return mz->addr;
}

/* NULL where no account was ever created. */
static inline struct ppool_accounts *
table_get(void)
{
	struct ppool_accounts *t = __atomic_load_n(&table, __ATOMIC_ACQUIRE);

	return likely(t != NULL) ? t : table_find();
}

static struct ppool_accounts *
table_create(void)
{
	const struct rte_memzone *mz;
	struct ppool_accounts *t;
	unsigned int i;

	rte_mcfg_tailq_write_lock();
	mz = rte_memzone_lookup(TABLE_NAME);
	if (mz == NULL) {
		mz = rte_memzone_reserve_aligned(TABLE_NAME, sizeof(*t), SOCKET_ID_ANY, 0,
				RTE_CACHE_LINE_SIZE);
		if (mz != NULL) {
			t = mz->addr;
			memset(t, 0, sizeof(*t));
			rte_spinlock_init(&t->lock);
			for (i = 0; i < PPOOL_ACCOUNTS_MAX; i++)
				t->account[i].used = NO_ACCOUNT;
		}
	}
	rte_mcfg_tailq_write_unlock();
	return mz == NULL ? NULL : table_get();
}

static inline struct account *
account_get(uint16_t id)
{
	struct ppool_accounts *t = table_get();

	if (unlikely(t == NULL || id == PPOOL_ACCOUNT_NONE || id >= PPOOL_ACCOUNTS_MAX))
		return NULL;
	return &t->account[id];
}

static bool
exists(const struct account *a)
{
	return a != NULL && __atomic_load_n(&a->used, __ATOMIC_ACQUIRE) != NO_ACCOUNT;
}

/* Set-up */

static uint16_t
find_name(const struct ppool_accounts *t, const char *name)
{
	uint16_t id;

	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++)
		if (exists(&t->account[id]) && strcmp(t->account[id].name, name) == 0)
			return id;
	return PPOOL_ACCOUNT_NONE;
}

static uint16_t
find_free(const struct ppool_accounts *t)
{
	uint16_t id;

	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++)
		if (!exists(&t->account[id]))
			return id;
	return PPOOL_ACCOUNT_NONE;
}

static void
open_account(struct account *a, const char *name, uint64_t limit)
{
	strlcpy(a->name, name, sizeof(a->name));
	a->high_water = 0;
	a->refusals = 0;
	a->foreign = 0;
	a->limit = limit;
	__atomic_store_n(&a->used, 0, __ATOMIC_RELEASE);
}

static int
check_name(const char *name)
{
	if (name == NULL || name[0] == '\0')
		return EINVAL;
	return strlen(name) < PPOOL_ACCOUNT_NAMESIZE ? 0 : ENAMETOOLONG;
}

uint16_t
ppool_account_create(const char *name, uint64_t limit)
{
	struct ppool_accounts *t;
	uint16_t id = PPOOL_ACCOUNT_NONE;

	rte_errno = check_name(name);
	if (rte_errno != 0)
		return PPOOL_ACCOUNT_NONE;
	t = table_create();
	if (t == NULL) {
		rte_errno = ENOMEM;
		return PPOOL_ACCOUNT_NONE;
	}
	rte_spinlock_lock(&t->lock);
	if (find_name(t, name) != PPOOL_ACCOUNT_NONE) {
		rte_errno = EEXIST;
	} else {
		id = find_free(t);
		rte_errno = id == PPOOL_ACCOUNT_NONE ? ENOSPC : 0;
	}
	if (id != PPOOL_ACCOUNT_NONE)
		open_account(&t->account[id], name, limit);
	rte_spinlock_unlock(&t->lock);
	return id;
}

int
ppool_account_free(uint16_t id)
{
	struct account *a = account_get(id);
	uint64_t none = 0;

	if (!exists(a))
		return -ENOENT;
	/* Whoever charges at this moment does so before, or finds no account. */
	if (__atomic_compare_exchange_n(&a->used, &none, NO_ACCOUNT, false, __ATOMIC_ACQ_REL,
			    __ATOMIC_ACQUIRE))
		return 0;
	return none == NO_ACCOUNT ? -ENOENT : -EBUSY;
}

uint16_t
ppool_account_lookup(const char *name)
{
	struct ppool_accounts *t = table_get();
	uint16_t id;

	if (t == NULL || check_name(name) != 0)
		return PPOOL_ACCOUNT_NONE;
	rte_spinlock_lock(&t->lock);
	id = find_name(t, name);
	rte_spinlock_unlock(&t->lock);
	return id;
}

const char *
ppool_account_name(uint16_t id)
{
	const struct account *a = account_get(id);

	return exists(a) ? a->name : NULL;
}

int
ppool_account_limit_set(uint16_t id, uint64_t limit)
{
	struct account *a = account_get(id);

	if (!exists(a))
		return -ENOENT;
	__atomic_store_n(&a->limit, limit, __ATOMIC_RELAXED);
	return 0;
}

uint64_t
ppool_account_used(uint16_t id)
{
	const struct account *a = account_get(id);
	uint64_t used = a == NULL ? NO_ACCOUNT : __atomic_load_n(&a->used, __ATOMIC_RELAXED);

	return used == NO_ACCOUNT ? 0 : used;
}

/* Records */

/* Whose records it changes must find the table when its frags are freed, whoever does that. */
static __rte_noinline void
latest_set(struct latest *latest, const struct rte_mempool *mp)
{
	struct ppool *p;

	latest->mp = mp;
	latest->frag_offset = 0;
	if (!ppool_is_frag_pool(mp))
		return;
	p = ppool_from_mempool(mp);
	latest->frag_offset = p->frag_offset;
	if (p->accounts == NULL)
		__atomic_store_n(&p->accounts, table_get(), __ATOMIC_RELEASE);
}

/* The record of a segment, NULL where it is foreign. */
static inline struct ppool_frag *
record_of(struct latest *latest, struct rte_mbuf *m)
{
	if (unlikely(m->pool != latest->mp))
		latest_set(latest, m->pool);
	if (unlikely(latest->frag_offset == 0))
		return NULL;
	return RTE_PTR_ADD(m, latest->frag_offset);
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

/* Say of a packet's segments that they belong to an account. */
static void
mark_packet(struct latest *latest, struct rte_mbuf *m, uint16_t id)
{
	struct ppool_frag *frag;

	for (; m != NULL; m = m->next) {
		frag = record_of(latest, m);
		if (frag != NULL)
			frag->account = id;
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
			w.bytes += frag->account == without ? 0 : frag_bytes(frag);
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
	struct latest latest = { NULL, 0 };
	struct ppool_frag *frag;

	for (; m != NULL; m = m->next) {
		frag = record_of(&latest, m);
		if (frag != NULL && frag->account != id)
			return false;
	}
	return true;
}

/* remark() of one packet, of any kind. */
static __rte_noinline bool
remark_packet(struct rte_mbuf *m, uint16_t from, uint16_t to, uint64_t room, struct weight *sum)
{
	struct latest latest = { NULL, 0 };
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
	uint32_t offset = pool->frag_offset;
	struct ppool_frag *frag;
	uint64_t bytes = 0;
	unsigned int i;

	frag = RTE_PTR_ADD(m[0], offset);
	if (unlikely(frag_bytes(frag) > room - sum->bytes))
		return 0;
	for (i = 0; i < n; i++) {
		if (unlikely(m[i]->pool != mp || m[i]->nb_segs != 1))
			break;
		frag = RTE_PTR_ADD(m[i], offset);
		if (unlikely(frag->account != from))
			break;
		frag->account = to;
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
		if (likely(pool.frag_offset != 0))
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
	struct latest latest = { NULL, 0 };
	struct weight w = weigh_packet(&latest, m, PPOOL_ACCOUNTS_MAX);

	mark_packet(&latest, m, from);
	sum->bytes -= w.bytes;
	sum->foreign -= w.foreign;
}

/* Budgets */

static inline uint64_t
room_above(const struct account *a, uint64_t used)
{
	uint64_t limit = __atomic_load_n(&a->limit, __ATOMIC_RELAXED);

	return used < limit ? limit - used : 0;
}

static inline uint64_t
room_left(const struct account *a)
{
	return room_above(a, __atomic_load_n(&a->used, __ATOMIC_RELAXED));
}

static __rte_noinline void
raise_high_water(struct account *a, uint64_t used)
{
	uint64_t high = __atomic_load_n(&a->high_water, __ATOMIC_RELAXED);

	while (high < used &&
			!__atomic_compare_exchange_n(&a->high_water, &high, used, true,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

static inline void
took(struct account *a, uint64_t used, const struct weight *w)
{
	if (unlikely(used > __atomic_load_n(&a->high_water, __ATOMIC_RELAXED)))
		raise_high_water(a, used);
	if (unlikely(w->foreign != 0))
		__atomic_fetch_add(&a->foreign, w->foreign, __ATOMIC_RELAXED);
}

static inline void
give(struct account *a, const struct weight *w)
{
	__atomic_fetch_sub(&a->used, w->bytes, __ATOMIC_RELAXED);
	if (unlikely(w->foreign != 0))
		__atomic_fetch_sub(&a->foreign, w->foreign, __ATOMIC_RELAXED);
}

static void
refuse(struct account *a)
{
	__atomic_fetch_add(&a->refusals, 1, __ATOMIC_RELAXED);
}

/*
 * Take what n packets weigh, that remark() has taken from an account. Others may have used the
 * room in the meantime: then the last ones are unmarked. Returns how many fit.
 */
static inline unsigned int
take(struct account *a, uint16_t from, struct rte_mbuf * const *m, unsigned int n,
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
charge_rest(struct account *a, uint16_t id, struct rte_mbuf *m)
{
	struct latest latest = { NULL, 0 };
	struct ppool_frag *frag;
	struct rte_mbuf *seg;
	struct weight w;
	uint64_t used;

	for (seg = m; seg != NULL; seg = seg->next) {
		frag = record_of(&latest, seg);
		if (frag != NULL && frag->account != PPOOL_ACCOUNT_NONE && frag->account != id)
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
charge_one(struct account *a, uint16_t id, struct rte_mbuf *m)
{
	enum answer answer = NO_ROOM;

	if (!belongs(m, PPOOL_ACCOUNT_NONE))
		answer = charge_rest(a, id, m);
	if (answer == NO_ROOM)
		refuse(a);
	return answer;
}

unsigned int
ppool_account_charge(uint16_t id, struct rte_mbuf * const *m, unsigned int n)
{
	struct account *a = account_get(id);
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
give_foreign(struct account *a, uint64_t bytes)
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
give_moved(struct account *source, uint16_t from, struct rte_mbuf * const *m, unsigned int n,
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
	struct account *source = account_get(from), *target = account_get(to);
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
		refuse(target);
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

	if (unlikely(account_get(from) == NULL || account_get(to) == NULL))
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
	struct account *a = account_get(id);
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
	const struct ppool *p;

	if (!ppool_is_frag_pool(m->pool))
		return PPOOL_ACCOUNT_NONE;
	p = ppool_from_mempool(m->pool);
	return ppool_frag_of(p, m)->account;
}

/* The free of frags, see ppool_frag.c */

/* A frag of another account follows: put the bytes of the latest one to the others. */
__rte_noinline void
ppool_uncharge_switch(struct ppool_uncharge *u, uint16_t account, uint64_t bytes)
{
	unsigned int i;

	for (i = 0; i < u->nb_others && u->other[i].account != u->account; i++)
		;
	if (i == u->nb_others) {
		u->other[i].account = u->account;
		u->other[i].bytes = 0;
		/* Nothing was charged before the first. */
		u->nb_others += u->account != PPOOL_ACCOUNT_NONE;
	}
	u->other[i].bytes += bytes;
	u->account = account;
}

__rte_noinline void
ppool_uncharge_commit(struct ppool *p, const struct ppool_uncharge *u, uint64_t bytes)
{
	struct account *a = p->accounts->account;
	unsigned int i;

	for (i = 0; i < u->nb_others; i++)
		if (u->other[i].account == u->account)
			bytes += u->other[i].bytes;
		else
			__atomic_fetch_sub(&a[u->other[i].account].used, u->other[i].bytes,
					__ATOMIC_RELAXED);
	__atomic_fetch_sub(&a[u->account].used, bytes, __ATOMIC_RELAXED);
}

/* What a charged packet weighs has changed; that is no reason to refuse it. */
void
ppool_account_adjust(struct ppool *p, uint16_t id, int64_t bytes)
{
	struct account *a;
	uint64_t used;

	if (id == PPOOL_ACCOUNT_NONE || bytes == 0)
		return;
	a = &p->accounts->account[id];
	used = __atomic_add_fetch(&a->used, (uint64_t)bytes, __ATOMIC_RELAXED);
	raise_high_water(a, used);
}

/* The books */

static void
census_page(const struct ppool *p, const struct ppool_page *pg, struct census *census)
{
	const struct ppool_frag *frag;
	uint32_t slot, truesize;
	uint16_t id;

	for (slot = 0; slot < p->layout.slots; slot++) {
		frag = ppool_frag_of(p, ppool_slot_at(p, pg, slot));
		truesize = __atomic_load_n(&frag->truesize, __ATOMIC_RELAXED);
		id = __atomic_load_n(&frag->account, __ATOMIC_RELAXED);
		if (truesize == 0 || id >= PPOOL_ACCOUNTS_MAX)
			continue;
		census->bytes[id] += truesize + frag->slot_bytes;
		census->frags[id]++;
	}
}

static void
census_pool(struct ppool *p, struct census *census)
{
	uint32_t i;

	if (p->accounts == NULL || !ppool_is_mapped(p))
		return;
	/* While it is locked no header page becomes another one. */
	rte_spinlock_lock(&p->depot.lock);
	for (i = 0; i < p->mp->size; i++)
		if (p->page[i].kind == PPOOL_KIND_HEADER)
			census_page(p, &p->page[i], census);
	rte_spinlock_unlock(&p->depot.lock);
}

static void
census_mempool(struct rte_mempool *mp, void *arg)
{
	if (ppool_is_page_pool(mp))
		census_pool(ppool_from_mempool(mp), arg);
}

/* Of all pools. NULL where there is no memory. */
static struct census *
census_new(void)
{
	struct census *census = calloc(1, sizeof(*census));

	if (census != NULL)
		rte_mempool_walk(census_mempool, census);
	return census;
}

static void
stats_fill(struct ppool_account_stats *s, uint16_t id, const struct census *census)
{
	const struct account *a = account_get(id);

	s->limit = __atomic_load_n(&a->limit, __ATOMIC_RELAXED);
	s->used = ppool_account_used(id);
	s->high_water = __atomic_load_n(&a->high_water, __ATOMIC_RELAXED);
	s->refusals = __atomic_load_n(&a->refusals, __ATOMIC_RELAXED);
	s->foreign = __atomic_load_n(&a->foreign, __ATOMIC_RELAXED);
	s->frags = census->frags[id];
}

int
ppool_accounts_each(ppool_account_cb_t *cb, void *arg)
{
	struct ppool_account_stats stats;
	struct census *census;
	uint16_t id;

	if (table_get() == NULL)
		return 0;
	census = census_new();
	if (census == NULL)
		return -ENOMEM;
	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++) {
		if (!exists(account_get(id)))
			continue;
		stats_fill(&stats, id, census);
		cb(id, &stats, arg);
	}
	free(census);
	return 0;
}

int
ppool_account_stats_get(uint16_t id, struct ppool_account_stats *stats)
{
	struct census *census;

	if (!exists(account_get(id)))
		return -ENOENT;
	census = census_new();
	if (census == NULL)
		return -ENOMEM;
	stats_fill(stats, id, census);
	free(census);
	return 0;
}

static void __rte_format_printf(2, 3) explain(FILE *f, const char *fmt, ...)
{
	va_list ap;

	if (f == NULL)
		return;
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
}

/* Returns the violations found. */
static int
check_account(uint16_t id, const struct census *census, FILE *f)
{
	const struct account *a = account_get(id);
	uint64_t bytes = census->bytes[id];

	if (!exists(a)) {
		if (bytes == 0)
			return 0;
		explain(f,
				"account %u: there is none, but %" PRIu64
				" bytes of frags are charged\n",
				id, bytes);
		return 1;
	}
	if (a->used == bytes + a->foreign && a->used <= a->high_water)
		return 0;
	explain(f,
			"account %s: used %" PRIu64 " != frags %" PRIu64 " + foreign %" PRIu64
			", or > high water %" PRIu64 "\n",
			a->name, a->used, bytes, a->foreign, a->high_water);
	return 1;
}

int
ppool_account_check(FILE *f)
{
	struct census *census;
	int violations = 0;
	uint16_t id;

	if (table_get() == NULL)
		return 0;
	census = census_new();
	if (census == NULL)
		return -ENOMEM;
	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++)
		violations += check_account(id, census, f);
	free(census);
	return violations;
}

static void
dump_account(uint16_t id, const struct ppool_account_stats *s, void *arg)
{
	fprintf(arg, "account %s, number %u\n", ppool_account_name(id), id);
#define PPOOL_ACCOUNT_PRINT(name, desc) fprintf(arg, "  %-18s %" PRIu64 "\n", #name, s->name);
	PPOOL_ACCOUNT_STATS(PPOOL_ACCOUNT_PRINT)
#undef PPOOL_ACCOUNT_PRINT
}

void
ppool_account_dump(FILE *f)
{
	if (ppool_accounts_each(dump_account, f) != 0)
		fprintf(f, "accounts: no memory to count frags\n");
}

void
ppool_account_dump_pool(FILE *f, struct ppool *p)
{
	struct census *census = p->accounts == NULL ? NULL : calloc(1, sizeof(*census));
	uint16_t id;

	if (census == NULL)
		return;
	census_pool(p, census);
	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++)
		if (census->frags[id] != 0)
			fprintf(f, "  account %s: %" PRIu64 " frags, %" PRIu64 " bytes\n",
					p->accounts->account[id].name, census->frags[id],
					census->bytes[id]);
	free(census);
}
