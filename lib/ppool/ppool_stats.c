/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Counters: each lcore has its own, and so has each carver; here they are added up. Reads only, and
 * takes no lock that allocation takes.
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

uint64_t
ppool_frag_live(const struct ppool *p)
{
	struct ppool_stats stats;

	ppool_stats_get(p->frag_mp, &stats);
	return stats.frag_alloc - stats.frag_free;
}
