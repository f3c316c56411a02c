/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * What C programs compile in from headers, as functions for language bindings. Those of
 * ppool_carver.h are compiled here as they are there, under their names: no prototype is in front
 * of a definition then.
 */

#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wmissing-declarations"
#define PPOOL_INLINE

#include "ppool_carver.h"
#include "ppool_slot.h"

int
ppool_slot_get_bulk(struct rte_mempool *view, struct rte_mbuf **m, unsigned int n)
{
	return rte_pktmbuf_alloc_bulk(view, m, n);
}
