/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* What walks through all pages of a pool have in common. */

#include <string.h>

#include "ppool_freelist.h"
#include "walk.h"

static uint32_t
cached_count(const struct rte_mempool *mp)
{
	uint32_t n = 0;
	unsigned int id;

	for (id = 0; mp->cache_size != 0 && id < RTE_MAX_LCORE; id++)
		n += __atomic_load_n(&mp->local_cache[id].len, __ATOMIC_RELAXED);
	return n;
}

PPOOL_RACY static int64_t
whole_count(const struct ppool *p)
{
	int64_t n = __atomic_load_n(&p->whole, __ATOMIC_RELAXED);
	const struct ppool_lcore *lc;

	PPOOL_LCORE_FOREACH(p, lc)
		n += __atomic_load_n(&lc->whole, __ATOMIC_RELAXED);
	return n;
}

static void
motion_read(struct ppool_motion *m, const struct ppool *p)
{
	unsigned int i;

	/* Compared as a whole. */
	memset(m, 0, sizeof(*m));
	ppool_stats_get(p->mp, &m->stats);
	for (i = 0; i < p->depot.nb_classes; i++)
		m->slots_idle += ppool_slots_idle(p, i);
	m->free = ppool_freelist_count(p);
	m->whole = whole_count(p);
	m->cached = cached_count(p->mp);
}

void
ppool_walk_begin(struct ppool_walk *w, const struct ppool *p)
{
	ppool_debug_walk_begin(p);
	w->p = p;
	motion_read(&w->before, p);
}

bool
ppool_walk_end(const struct ppool_walk *w)
{
	struct ppool_motion after;

	motion_read(&after, w->p);
	ppool_debug_walk_end();
	return memcmp(&after, &w->before, sizeof(after)) != 0;
}
