/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Slots as mbufs of a mempool: handed out by class, taken back of any class in one bulk.
 *
 * All slots have one pool, as transmit functions put mbufs into the pool of the first of a burst.
 * What comes back is told by the line in front of the mbuf, which no application writes to. The
 * slot pool has no mempool cache: the lists of the lcore are one, and they know classes.
 *
 * As long as the lists of the lcore serve, neither handing out nor taking back writes to that line,
 * unless several processes use the pool.
 */

#include <errno.h>

#include "ppool_freelist.h"
#include "ppool_mono.h"
#include "ppool_slot_pool.h"

/* Taking back */

/* What of a slot is not as it was handed out, or not of the class; 0: nothing. */
static inline uint32_t
slot_differs(const struct rte_mbuf *m, uint16_t record, uint16_t buf_len)
{
	return (uint32_t)(ppool_frag_of(m)->account ^ record) | (uint32_t)(m->buf_len ^ buf_len);
}

static inline bool
four_differ(struct rte_mbuf * const *m, uint16_t record, uint16_t buf_len)
{
	uint32_t differs = slot_differs(m[0], record, buf_len);

	differs |= slot_differs(m[1], record, buf_len);
	differs |= slot_differs(m[2], record, buf_len);
	differs |= slot_differs(m[3], record, buf_len);
	return differs != 0;
}

/*
 * How many slots there are, from the first on, that are of a class and uncharged. buf_len is put
 * right where rte_pktmbuf_detach() has set that of m->pool, which is of the smallest class.
 */
static inline unsigned int
run_length(const struct ppool *p, unsigned int size_class, struct rte_mbuf * const *m,
		unsigned int n)
{
	uint16_t buf_len = p->depot.size_class[size_class].buf_len;
	uint16_t record = ppool_record_slot(size_class);
	unsigned int i = 0;

	while (i + 4 <= n && likely(!four_differ(m + i, record, buf_len)))
		i += 4;
	for (; i < n && ppool_frag_of(m[i])->account == record; i++)
		if (unlikely(m[i]->buf_len != buf_len))
			m[i]->buf_len = buf_len;
	return i;
}

/* The lists of the lcore are full, or it has none. */
static __rte_noinline void
run_put_slow(struct ppool *p, unsigned int size_class, struct rte_mbuf * const *m, unsigned int n)
{
	unsigned int k;

	ppool_slots_own(m, n, ppool_owner_me());
	for (; n > 0; n -= k, m += k) {
		k = RTE_MIN(n, PPOOL_BULK);
		ppool_slots_put(p, size_class, m, k);
		PPOOL_STAT_ADD(p, ppool_lcore_get(p), slot_free, k);
	}
}

static inline void
run_put(struct ppool *p, unsigned int size_class, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_existing(p);
	bool done;

	ppool_debug_slots_in(p, m, n);
	if (unlikely(lc == NULL || !ppool_trylock_owner(&lc->lock))) {
		run_put_slow(p, size_class, m, n);
		return;
	}
	if (unlikely(p->tracked))
		ppool_slots_own(m, n, lc->owner);
	done = ppool_lcore_push_slots(p, lc, size_class, m, n);
	if (likely(done))
		PPOOL_COUNT(lc->stats.slot_free, n);
	ppool_tryunlock_owner(&lc->lock);
	if (unlikely(!done))
		run_put_slow(p, size_class, m, n);
}

/* Whether the record of an mbuf is that of a slot with a data room. */
static inline bool
is_slot(const struct ppool *p, const struct rte_mbuf *m)
{
	const struct ppool_frag *frag = ppool_frag_of(m);
	unsigned int size_class = ppool_record_class(frag);

	return frag->account >= PPOOL_RECORD_SLOT && size_class != PPOOL_HEADERS &&
			size_class < p->depot.nb_classes;
}

static inline bool
mbuf_is_charged(const struct rte_mbuf *m)
{
	return ppool_record_account(ppool_frag_of(m)) != 0;
}

/* Anything but an uncharged slot. */
static __rte_noinline void
other_put(struct ppool *p, struct rte_mbuf *m)
{
	struct ppool_frag *frag = ppool_frag_of(m);
	struct ppool_uncharge uncharge;

	if (frag->account == PPOOL_ACCOUNT_MONO) {
		ppool_mono_put(p, m);
	} else if (ppool_is_frag(p, m)) {
		ppool_frag_free_bulk(p, &m, 1);
	} else if (is_slot(p, m)) {
		ppool_uncharge_init(&uncharge);
		ppool_uncharge_switch(&uncharge, ppool_record_account(frag), 0);
		ppool_record_set_account(frag, 0);
		ppool_uncharge_commit(p, &uncharge, frag->truesize);
		ppool_slots_free_bulk(p, &m, 1);
	} else {
		/* It may be one whose page has gone home. */
		ppool_debug_slots_in(p, &m, 1);
		ppool_slot_lost(p, m);
	}
}

void
ppool_slots_free_bulk(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	unsigned int k, size_class;

	for (; n > 0; n -= k, m += k) {
		if (likely(is_slot(p, m[0]) && !mbuf_is_charged(m[0]))) {
			size_class = ppool_record_class(ppool_frag_of(m[0]));
			k = run_length(p, size_class, m, n);
			run_put(p, size_class, m, k);
		} else {
			other_put(p, m[0]);
			k = 1;
		}
	}
}

static __rte_noinline int
free_one_slow(struct ppool *p, struct rte_mbuf * const *m)
{
	ppool_slots_free_bulk(p, m, 1);
	return 0;
}

int
ppool_slots_free_one(struct ppool *p, struct rte_mbuf * const *mbuf)
{
	struct ppool_lcore *lc = ppool_lcore_existing(p);
	struct rte_mbuf *m = mbuf[0];
	uint16_t account = ppool_frag_of(m)->account;
	unsigned int size_class = ppool_record_class(ppool_frag_of(m));
	bool done;

	/* An lcore keeps none of a class that there is not. */
	if (unlikely(PPOOL_DEBUG_CHECKS || lc == NULL || p->tracked ||
			    (account & ~PPOOL_RECORD_CLASS) != PPOOL_RECORD_SLOT ||
			    size_class == PPOOL_HEADERS ||
			    m->buf_len != p->depot.size_class[size_class].buf_len ||
			    !ppool_trylock_owner(&lc->lock)))
		return free_one_slow(p, mbuf);
	done = ppool_lcore_push_slots(p, lc, size_class, &m, 1);
	if (likely(done))
		PPOOL_COUNT(lc->stats.slot_free, 1);
	ppool_tryunlock_owner(&lc->lock);
	return likely(done) ? 0 : free_one_slow(p, mbuf);
}

/* Handing out */

/* Idle slots of larger classes. Returns how many. */
static unsigned int
larger_get(struct ppool *p, unsigned int size_class, struct rte_mbuf **m, unsigned int n)
{
	unsigned int got = 0, k;

	for (size_class++; got < n && size_class < p->depot.nb_classes; size_class++)
		do {
			k = ppool_depot_pop(p, size_class, m + got, n - got);
			got += k;
		} while (k > 0 && got < n);
	return got;
}

static __rte_noinline int
slots_alloc_slow(struct ppool *p, unsigned int size_class, struct rte_mbuf **m, unsigned int n)
{
	unsigned int got = ppool_slots_get(p, size_class, m, n);

	/* What lcores had is in the depot now. */
	if (unlikely(got < n))
		got += larger_get(p, size_class, m + got, n - got);
	PPOOL_STAT_ADD(p, ppool_lcore_get(p), slot_alloc, got);
	ppool_debug_slots_out(p, m, got);
	if (likely(got == n))
		return 0;
	ppool_slots_free_bulk(p, m, got);
	return -ENOBUFS;
}

int
ppool_slots_alloc_bulk(struct ppool *p, unsigned int size_class, struct rte_mbuf **m,
		unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_existing(p);
	bool done;

	if (unlikely(lc == NULL || !ppool_trylock_owner(&lc->lock)))
		return slots_alloc_slow(p, size_class, m, n);
	done = n <= lc->nb_slots[size_class];
	if (likely(done)) {
		ppool_lcore_pop_slots(lc, size_class, m, n);
		if (unlikely(p->tracked))
			ppool_slots_own(m, n, lc->owner);
		PPOOL_COUNT(lc->stats.slot_alloc, n);
	}
	ppool_tryunlock_owner(&lc->lock);
	if (unlikely(!done))
		return slots_alloc_slow(p, size_class, m, n);
	ppool_debug_slots_out(p, m, n);
	return 0;
}

/* What there is */

unsigned int
ppool_slots_available(const struct rte_mempool *mp)
{
	const struct ppool *p = ppool_of(mp);
	unsigned int size_class = ppool_view_class(mp), i;
	uint64_t n = 0, pages;

	if (mp == p->slot_mp) {
		for (i = PPOOL_HEADERS + 1; i < p->depot.nb_classes; i++)
			n += ppool_slots_used(p, i);
		return mp->size - (unsigned int)RTE_MIN(n, (uint64_t)mp->size);
	}
	n = ppool_slots_idle(p, size_class);
	/* What of the pages is idle in this class is in that number. */
	pages = ppool_freelist_count(p) + ppool_idle_count(p);
	pages -= RTE_MIN(pages, (uint64_t)ppool_class_idle_count(p, size_class));
	n += pages * p->depot.size_class[size_class].slots;
	return (unsigned int)RTE_MIN(n, (uint64_t)mp->size);
}
