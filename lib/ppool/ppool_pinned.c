/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * The last clone of a frag, when the mbuf of the frag was freed before it: rte_mbuf calls us
 * through a pointer in shared memory.
 */

#include "ppool_private.h"

/* The last clone of a frag is gone, and its mbuf before it. */
void
ppool_free_pinned(void *addr, void *opaque)
{
	struct rte_mbuf *m = opaque;

	RTE_SET_USED(addr);
	PPOOL_TSAN_ACQUIRE(&m->shinfo->refcnt);
	rte_mbuf_ext_refcnt_set(m->shinfo, 1);
	m->ol_flags = RTE_MBUF_F_EXTERNAL;
	m->next = NULL;
	m->nb_segs = 1;
	rte_mbuf_raw_free(m);
}

/*
 * DPDK wants a function pointer in the shared information of an external buffer. Where a secondary
 * process has this library at another address, it must not be the one that calls it.
 */
void
ppool_check_free_cb(const struct ppool *p)
{
	static bool warned;

	if (p->free_cb == 0 || p->free_cb == (uintptr_t)ppool_free_pinned || warned)
		return;
	warned = true;
	PPOOL_LOG(WARNING,
			"libppool is at another address than in the process that made mempool %s: "
			"a clone of a frag that outlives it must not be freed here (setarch -R for "
			"both processes lifts this)",
			p->mp->name);
}
