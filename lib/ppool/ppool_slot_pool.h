/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_SLOT_POOL_H_
#define _PPOOL_SLOT_POOL_H_

/* The slot pool and the class views, see ppool_slot_pool.c. */

#include "ppool_private.h"

/* Behind the private data that internal pools share with all packet mbuf pools. */
struct ppool_view {
	struct rte_pktmbuf_pool_private priv;
	uint32_t size_class; /* 0: its objects are no slots */
};

/* Which slots a class view hands out, or the slot pool itself. */
static inline unsigned int
ppool_view_class(const struct rte_mempool *mp)
{
	const struct ppool_view *view = rte_mempool_get_priv((struct rte_mempool *)(uintptr_t)mp);

	return view->size_class;
}

/* Take slots of a class, or larger ones. All or none. */
int ppool_slots_alloc_bulk(struct ppool *p, unsigned int size_class, struct rte_mbuf **m,
		unsigned int n);

/* Free mbufs of all kinds, by what they are. */
void ppool_slots_free_bulk(struct ppool *p, struct rte_mbuf * const *m, unsigned int n);
/*
 * The same of one, without a call where it is an uncharged slot. Takes and returns what mempool ops
 * do, so that these end in a jump. Returns 0.
 */
int ppool_slots_free_one(struct ppool *p, struct rte_mbuf * const *mbuf);

/* rte_mempool_avail_count() of the slot pool or of a class view. */
unsigned int ppool_slots_available(const struct rte_mempool *mp);

#endif /* _PPOOL_SLOT_POOL_H_ */
