/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* Which mempool is which: a page pool, a frag pool, a mono pool, or none of ours. */

#include "ppool_private.h"

static rte_mempool_enqueue_t our_enqueue;

void
ppool_role_set_ops(rte_mempool_enqueue_t enqueue)
{
	our_enqueue = enqueue;
}

/* The index of our ops differs from process to process, our own functions do not. */
bool
ppool_has_our_ops(const struct rte_mempool *mp)
{
	return mp->ops_index >= 0 && (uint32_t)mp->ops_index < rte_mempool_ops_table.num_ops &&
			rte_mempool_ops_table.ops[mp->ops_index].enqueue == our_enqueue;
}

struct ppool *
ppool_from_mempool(const struct rte_mempool *mp)
{
	return ppool_has_our_ops(mp) && ppool_of(mp) != NULL ? ppool_of(mp)->real : NULL;
}

bool
ppool_is_page_pool(const struct rte_mempool *mp)
{
	return ppool_from_mempool(mp) != NULL && !ppool_is_internal_role(mp);
}

bool
ppool_is_frag_pool(const struct rte_mempool *mp)
{
	return ppool_from_mempool(mp) != NULL && ppool_is_frag_role(mp);
}

bool
ppool_is_mono_pool(const struct rte_mempool *mp)
{
	return ppool_from_mempool(mp) != NULL && ppool_is_mono_role(mp);
}

bool
ppool_is_internal_pool(const struct rte_mempool *mp)
{
	return ppool_from_mempool(mp) != NULL && ppool_is_internal_role(mp);
}
