/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Counters: each lcore has its own, and so has each carver; here they are added up. Reads only, and
 * takes no lock that allocation takes: the data path may ask for counts.
 */

#include <errno.h>
#include <string.h>

#include "ppool_private.h"

/* How often the counters of a carver are read before they are taken as they are. */
#define STATS_TRIES 8u

static void
stats_add(struct ppool_stats *sum, const struct ppool_stats *s)
{
#define PPOOL_STATS_ADD_FIELD(name, desc) sum->name += __atomic_load_n(&s->name, __ATOMIC_RELAXED);
	PPOOL_STATS(PPOOL_STATS_ADD_FIELD)
#undef PPOOL_STATS_ADD_FIELD
}

/* Part of frags and bytes that no page of its lanes has been closed for. */
PPOOL_RACY static void
lanes_stats_add(struct ppool_stats *sum, const struct ppool_carver *c)
{
	const struct ppool_lane *l;
	uint32_t bytes;

	for (l = c->lane; l < c->lane + c->nb_lanes; l++) {
		if (l->left == 0)
			continue;
		bytes = ppool_lane_bytes(c, l);
		sum->frag_alloc += l->frags;
		/* Of two pages, where it goes on to the next one at this moment. */
		sum->frag_alloc_bytes += RTE_MIN(bytes, c->pool->layout.page_bytes);
	}
}

/*
 * A carver's own counters end with its last closed page; its lanes know the rest. Where a lane is
 * closed between the two looks, they are repeated: its frags would be missing.
 */
PPOOL_RACY static void
carver_stats_add(struct ppool_stats *sum, const struct ppool_carver *c)
{
	unsigned int tries = STATS_TRIES;
	struct ppool_stats own;
	uint64_t frags;

	do {
		memset(&own, 0, sizeof(own));
		frags = __atomic_load_n(&c->frags, __ATOMIC_ACQUIRE);
		own.frag_alloc = frags;
		own.frag_alloc_bytes = c->bytes;
		own.page_open = c->pages;
		lanes_stats_add(&own, c);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (__atomic_load_n(&c->frags, __ATOMIC_RELAXED) != frags && --tries > 0);
	sum->frag_alloc += own.frag_alloc;
	sum->frag_alloc_bytes += own.frag_alloc_bytes;
	sum->page_open += own.page_open;
}

int
ppool_stats_get(struct rte_mempool *mp, struct ppool_stats *stats)
{
	struct ppool *p = ppool_find(mp);
	const struct ppool_carver *c;
	const struct ppool_lcore *lc;

	if (p == NULL)
		return -ENOTSUP;
	memset(stats, 0, sizeof(*stats));
	ppool_carvers_lock(p);
	stats_add(stats, &p->stats);
	for (c = p->carvers; c != NULL; c = c->next)
		carver_stats_add(stats, c);
	ppool_carvers_unlock(p);
	PPOOL_LCORE_FOREACH(p, lc)
	stats_add(stats, &lc->stats);
	return 0;
}

/* Slots that wait for a frag: with lcores, with carvers and in the depot. */
uint64_t
ppool_slots_idle(const struct ppool *p)
{
	uint64_t n = __atomic_load_n(&p->depot.nb_idle, __ATOMIC_RELAXED);
	const struct ppool_lcore *lc;

	n += __atomic_load_n(&p->depot.nb_reserved, __ATOMIC_RELAXED);
	PPOOL_LCORE_FOREACH(p, lc)
	n += __atomic_load_n(&lc->nb_headers, __ATOMIC_RELAXED);
	return n;
}

uint64_t
ppool_slots_used(const struct ppool *p)
{
	uint64_t idle = ppool_slots_idle(p), n = p->layout.slots;

	n *= __atomic_load_n(&p->depot.nb_header_pages, __ATOMIC_RELAXED);
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

uint32_t
ppool_idle_count(const struct ppool *p)
{
	const struct ppool_depot *d = &p->depot;
	uint32_t idle, parked, reserved;

	if (!ppool_is_split(p))
		return 0;
	if (ppool_slots_used(p) != 0) {
		idle = __atomic_load_n(&d->nb_idle_pages, __ATOMIC_RELAXED);
		return idle + parked_unused(p);
	}
	/* No frag is in use: neither is a page of any kind, wherever idle slots are. */
	parked = __atomic_load_n(&d->nb_parked, __ATOMIC_RELAXED);
	idle = __atomic_load_n(&d->nb_header_pages, __ATOMIC_RELAXED);
	/* ppool_reclaim() leaves those that carvers keep slots of. */
	reserved = __atomic_load_n(&d->nb_reserved_pages, __ATOMIC_RELAXED);
	return parked + idle - RTE_MIN(idle, reserved);
}

uint64_t
ppool_frag_live(const struct ppool *p)
{
	struct ppool_stats stats;

	ppool_stats_get(p->frag_mp, &stats);
	return stats.frag_alloc - stats.frag_free;
}
