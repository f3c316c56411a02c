/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Where pages and slots come from when lists are empty: pages from slot pages that are idle and
 * from parked ones, slots from pages.
 */

#include <errno.h>
#include <string.h>

#include "ppool_freelist.h"

static uint64_t
frags_freed(const struct ppool *p)
{
	uint64_t n = __atomic_load_n(&p->stats.frag_free, __ATOMIC_RELAXED);
	unsigned int id;

	for (id = 0; id < RTE_MAX_LCORE; id++)
		if (p->lcore[id] != NULL)
			n += __atomic_load_n(&p->lcore[id]->stats.frag_free, __ATOMIC_RELAXED);
	return n;
}

/*
 * Collect pages that are not free but that nobody uses: idle header pages but for one for each
 * carver, which needs headers to deliver what it has received, and parked pages. Returns whether
 * there were any. Unless forced, fails cheaply while nothing is freed, as callers poll an
 * exhausted pool.
 */
bool
ppool_reclaim(struct ppool *p, bool force)
{
	uint32_t carvers = ppool_carvers_count(p);
	uint64_t freed;
	unsigned int n;

	if (p->frag_mp == NULL)
		return false;
	freed = frags_freed(p) + 1;
	if (!force && __atomic_load_n(&p->depot.reclaim_mark, __ATOMIC_RELAXED) == freed)
		return false;
	ppool_slots_flush_all(p);
	ppool_depot_lock(p);
	/* Header pages in use serve the carvers, too. */
	n = p->depot.nb_header_pages - p->depot.nb_idle_pages;
	n = ppool_depot_release(p, carvers - RTE_MIN(n, carvers));
	n += ppool_park_release(p);
	if (n == 0)
		__atomic_store_n(&p->depot.reclaim_mark, freed, __ATOMIC_RELAXED);
	ppool_depot_unlock(p);
	return n > 0;
}

/* Pages */

static __rte_noinline int
pages_get_slow(struct ppool *p, void **obj, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_get(p);

	if (n <= p->mp->size && ppool_reclaim(p, false) && ppool_freelist_get(p, obj, n) == 0)
		return 0;
	PPOOL_STAT_ADD(p, lc, page_empty, 1);
	return -ENOBUFS;
}

int
ppool_pages_get(struct ppool *p, void **obj, unsigned int n)
{
	return likely(ppool_freelist_get(p, obj, n) == 0) ? 0 : pages_get_slow(p, obj, n);
}

/* Slots */

/* Make a page of the pool a slot page. */
static bool
slots_grow(struct ppool *p)
{
	void *obj;

	if (ppool_pages_get(p, &obj, 1) != 0)
		return false;
	ppool_slots_add_page(p, obj);
	return true;
}

bool
ppool_slots_reserve(struct ppool *p, unsigned int pages)
{
	while (__atomic_load_n(&p->depot.nb_header_pages, __ATOMIC_RELAXED) < pages)
		if (!slots_grow(p))
			return false;
	return true;
}

/* The lcore has none: from the depot, from new pages, from other lcores. */
static __rte_noinline unsigned int
slots_get_slow(struct ppool *p, struct ppool_lcore *lc, struct rte_mbuf **m, unsigned int n)
{
	struct rte_mbuf *later[PPOOL_HEADER_BATCH];
	unsigned int got, k;

	got = ppool_depot_pop(p, m, n);
	while (got < n && slots_grow(p))
		got += ppool_depot_pop(p, m + got, n - got);
	if (got < n) {
		ppool_slots_flush_all(p);
		got += ppool_depot_pop(p, m + got, n - got);
	}
	if (lc == NULL || __atomic_load_n(&p->depot.nb_idle, __ATOMIC_RELAXED) == 0)
		return got;
	k = ppool_depot_pop(p, later, RTE_DIM(later));
	ppool_slots_put(p, later, k);
	return got;
}

unsigned int
ppool_slots_get(struct ppool *p, struct rte_mbuf **m, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_get(p);
	unsigned int k = 0;

	if (likely(lc != NULL)) {
		ppool_lock_owner(&lc->lock);
		k = RTE_MIN(n, lc->nb_headers);
		__atomic_store_n(&lc->nb_headers, lc->nb_headers - k, __ATOMIC_RELAXED);
		rte_memcpy(m, &lc->headers[lc->nb_headers], k * sizeof(m[0]));
		ppool_unlock_owner(&lc->lock);
	}
	if (unlikely(k < n))
		k += slots_get_slow(p, lc, m + k, n - k);
	ppool_debug_headers_out(p, m, k);
	return k;
}
