/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* Counters: each lcore has its own, and so has each carver; here they are added up. */

#include <errno.h>
#include <string.h>

#include "ppool_private.h"

static void
stats_add(struct ppool_stats *sum, const struct ppool_stats *s)
{
#define PPOOL_STATS_ADD_FIELD(name, desc) sum->name += __atomic_load_n(&s->name, __ATOMIC_RELAXED);
	PPOOL_STATS(PPOOL_STATS_ADD_FIELD)
#undef PPOOL_STATS_ADD_FIELD
}

/* A carver's own counters end with its last closed page; its lanes know the rest. */
static void
carver_stats_add(struct ppool_stats *sum, const struct ppool_carver *c)
{
	const struct ppool_lane *l;

	sum->frag_alloc += c->frags;
	sum->frag_alloc_bytes += c->bytes;
	sum->page_open += c->pages;
	for (l = c->lane; l < c->lane + c->nb_lanes; l++) {
		if (l->left == 0)
			continue;
		sum->frag_alloc += l->frags;
		sum->frag_alloc_bytes += ppool_lane_bytes(c, l);
	}
}

int
ppool_stats_get(struct rte_mempool *mp, struct ppool_stats *stats)
{
	struct ppool *p = ppool_from_mempool(mp);
	const struct ppool_carver *c;
	const struct ppool_lcore *lc;

	if (p == NULL)
		return -ENOTSUP;
	memset(stats, 0, sizeof(*stats));
	ppool_carvers_lock(p);
	stats_add(stats, &p->stats);
	for (c = p->depot.carvers; c != NULL; c = c->next)
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
