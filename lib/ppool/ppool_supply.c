/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Where pages and slots come from when lists are empty: pages from slot pages that are idle and
 * from parked ones, slots from pages. And how many of these there are.
 */

#include <errno.h>
#include <string.h>

#include "ppool_freelist.h"

/* After searches in vain, the next waits for so many more frees at most. */
#define RECLAIM_STEP_MAX 32u

/* What there is. Reads only, and takes no lock: the data path may ask for counts. */

/* Slots that wait: with lcores, with carvers and in the depot. */
uint64_t
ppool_slots_idle(const struct ppool *p, unsigned int size_class)
{
	const struct ppool_class *c = &p->depot.size_class[size_class];
	uint64_t n = __atomic_load_n(&c->nb_idle, __ATOMIC_RELAXED);
	const struct ppool_lcore *lc;

	if (size_class == PPOOL_HEADERS)
		n += __atomic_load_n(&p->depot.nb_reserved, __ATOMIC_RELAXED);
	PPOOL_LCORE_FOREACH(p, lc)
		n += __atomic_load_n(&lc->nb_slots[size_class], __ATOMIC_RELAXED);
	return n;
}

uint64_t
ppool_slots_used(const struct ppool *p, unsigned int size_class)
{
	const struct ppool_class *c = &p->depot.size_class[size_class];
	uint64_t idle = ppool_slots_idle(p, size_class), n = c->slots;

	n *= __atomic_load_n(&c->nb_pages, __ATOMIC_RELAXED);
	/* The two are of different moments while others work. */
	return n - RTE_MIN(n, idle);
}

/*
 * Parked pages all of whose frags are freed. The list may change meanwhile: it may lead anywhere in
 * the page table, but not beyond it, and not for longer than it was.
 */
PPOOL_RACY static uint32_t
parked_unused(const struct ppool *p)
{
	uint32_t left = __atomic_load_n(&p->depot.nb_parked, __ATOMIC_RELAXED), n = 0;
	uint32_t i = __atomic_load_n(&p->depot.parked_first, __ATOMIC_RELAXED);
	const struct ppool_page *pg;

	for (; left > 0 && i < p->mp->size; left--) {
		pg = &p->page[i];
		if (__atomic_load_n(&pg->parked, __ATOMIC_RELAXED) != 0)
			n += ppool_page_parked_unused(pg);
		i = __atomic_load_n(&pg->next, __ATOMIC_RELAXED);
	}
	return n;
}

/* Of frags: parked pages, and those of their headers. */
static uint32_t
frags_idle_count(const struct ppool *p)
{
	const struct ppool_class *c = &p->depot.size_class[PPOOL_HEADERS];
	const struct ppool_depot *d = &p->depot;
	uint32_t idle, parked, reserved;

	if (ppool_slots_used(p, PPOOL_HEADERS) != 0) {
		idle = __atomic_load_n(&c->nb_idle_pages, __ATOMIC_RELAXED);
		return idle + parked_unused(p);
	}
	/* No frag is in use: neither is a data page, nor one of headers, wherever idle ones are. */
	parked = __atomic_load_n(&d->nb_parked, __ATOMIC_RELAXED);
	idle = __atomic_load_n(&c->nb_pages, __ATOMIC_RELAXED);
	/* ppool_reclaim() leaves those that carvers keep slots of. */
	reserved = __atomic_load_n(&d->nb_reserved_pages, __ATOMIC_RELAXED);
	return parked + idle - RTE_MIN(idle, reserved);
}

uint32_t
ppool_class_idle_count(const struct ppool *p, unsigned int size_class)
{
	const struct ppool_class *c = &p->depot.size_class[size_class];

	return ppool_slots_used(p, size_class) != 0 ?
			__atomic_load_n(&c->nb_idle_pages, __ATOMIC_RELAXED) :
			__atomic_load_n(&c->nb_pages, __ATOMIC_RELAXED);
}

uint32_t
ppool_idle_count(const struct ppool *p)
{
	uint32_t i, n;

	if (!ppool_is_split(p))
		return 0;
	n = frags_idle_count(p);
	for (i = PPOOL_HEADERS + 1; i < p->depot.nb_classes; i++)
		n += ppool_class_idle_count(p, i);
	return n;
}

/* Searching */

/* Frags and slots. */
static uint64_t
freed_count(const struct ppool *p)
{
	uint64_t n = __atomic_load_n(&p->stats.frag_free, __ATOMIC_RELAXED) +
			__atomic_load_n(&p->stats.slot_free, __ATOMIC_RELAXED);
	const struct ppool_lcore *lc;

	PPOOL_LCORE_FOREACH(p, lc)
		n += __atomic_load_n(&lc->stats.frag_free, __ATOMIC_RELAXED) +
				__atomic_load_n(&lc->stats.slot_free, __ATOMIC_RELAXED);
	return n;
}

/* A search visits the lists of all lcores, which costs a system call each: one in vain is rare. */
static void
reclaim_note(struct ppool_depot *d, uint64_t freed, unsigned int found)
{
	d->reclaim_step = found > 0 ? 0 : RTE_MIN(2 * d->reclaim_step + 1, RECLAIM_STEP_MAX);
	__atomic_store_n(&d->reclaim_mark, found > 0 ? 0 : freed + d->reclaim_step,
			__ATOMIC_RELAXED);
}

/*
 * Collect pages that are not free but that nobody uses: wholly idle slot pages, and parked pages.
 * Returns whether there were any. Unless forced, fails cheaply while little is freed, as callers
 * poll an exhausted pool.
 */
bool
ppool_reclaim(struct ppool *p, bool force)
{
	uint64_t freed;
	unsigned int n;

	if (!ppool_is_split(p))
		return false;
	freed = freed_count(p);
	if (!force && freed < __atomic_load_n(&p->depot.reclaim_mark, __ATOMIC_RELAXED))
		return false;
	PPOOL_STAT_ADD(p, ppool_lcore_get(p), search, 1);
	ppool_slots_flush_all(p);
	if (!ppool_depot_enter(p))
		return false;
	n = ppool_depot_release(p) + ppool_park_release(p);
	reclaim_note(&p->depot, freed, n);
	ppool_depot_leave(p);
	return n > 0;
}

void
ppool_reclaim_soon(struct ppool *p)
{
	__atomic_store_n(&p->depot.reclaim_mark, 0, __ATOMIC_RELAXED);
}

/* Pages */

static __rte_noinline int
pages_get_slow(struct ppool *p, void **obj, unsigned int n)
{
	/* What counts as available is to be had at once. */
	bool enough = ppool_freelist_count(p) + ppool_idle_count(p) >= n;

	if (n <= p->mp->size && ppool_reclaim(p, enough) && ppool_freelist_get(p, obj, n) == 0)
		return 0;
	PPOOL_STAT_ADD(p, ppool_lcore_get(p), page_empty, 1);
	return -ENOBUFS;
}

int
ppool_pages_get_whole(struct ppool *p, void **obj, unsigned int n)
{
	return likely(ppool_freelist_get(p, obj, n) == 0) ? 0 : pages_get_slow(p, obj, n);
}

/* Pages that rte_mempool keeps for this lcore. Returns whether there were any. */
static bool
cache_flush(struct ppool *p)
{
	struct rte_mempool_cache *cache = rte_mempool_default_cache(p->mp, rte_lcore_id());

	if (cache == NULL || cache->len == 0)
		return false;
	rte_mempool_cache_flush(cache, p->mp);
	return true;
}

int
ppool_pages_get(struct ppool *p, void **obj, unsigned int n)
{
	if (likely(ppool_freelist_get(p, obj, n) == 0))
		return 0;
	if (cache_flush(p) && ppool_freelist_get(p, obj, n) == 0)
		return 0;
	return pages_get_slow(p, obj, n);
}

/* Slots */

/* Make a page of the pool a slot page. Returns whether it is worth looking for slots again. */
static bool
slots_grow(struct ppool *p, unsigned int size_class)
{
	void *obj;

	return ppool_pages_get(p, &obj, 1) == 0 && ppool_slots_add_page(p, size_class, obj);
}

static unsigned int
slots_get_shared(struct ppool *p, unsigned int size_class, struct rte_mbuf **m, unsigned int n)
{
	unsigned int got = 0, k;

	/* Some at a time, where they are to be formatted. */
	while (got < n) {
		k = ppool_depot_pop(p, size_class, m + got, n - got);
		if (k == 0 && !slots_grow(p, size_class))
			break;
		got += k;
	}
	return got;
}

/*
 * The lcore has none: from the depot, from new pages, from other lcores. What these keep may also
 * be what is missing of a page of another class.
 */
static __rte_noinline unsigned int
slots_get_slow(struct ppool *p, unsigned int size_class, struct rte_mbuf **m, unsigned int n)
{
	const struct ppool_class *c = &p->depot.size_class[size_class];
	struct rte_mbuf *later[PPOOL_LCORE_HEADERS];
	unsigned int got, k;

	got = slots_get_shared(p, size_class, m, n);
	if (got < n) {
		ppool_slots_flush_all(p);
		got += slots_get_shared(p, size_class, m + got, n - got);
	}
	if (ppool_lcore_get(p) == NULL || __atomic_load_n(&c->nb_idle, __ATOMIC_RELAXED) == 0)
		return got;
	k = ppool_depot_pop(p, size_class, later, ppool_lcore_slots_keep(p, size_class) / 2);
	ppool_slots_put(p, size_class, later, k);
	return got;
}

unsigned int
ppool_slots_get(struct ppool *p, unsigned int size_class, struct rte_mbuf **m, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_enter(p);
	unsigned int k = 0;

	if (likely(lc != NULL)) {
		k = ppool_lcore_pop_slots(lc, size_class, m, n);
		if (unlikely(p->tracked))
			ppool_slots_own(m, k, lc->owner);
		ppool_lcore_leave(lc);
	}
	if (unlikely(k < n))
		k += slots_get_slow(p, size_class, m + k, n - k);
	if (size_class == PPOOL_HEADERS)
		ppool_debug_headers_out(p, m, k);
	return k;
}

void
ppool_headers_give_back(struct ppool *p, struct rte_mbuf * const *m, unsigned int n, uint64_t grown)
{
	ppool_headers_return(p, m, n);
	if (ppool_slots_grown(p) != grown || n >= p->layout.slots)
		ppool_reclaim_soon(p);
}
