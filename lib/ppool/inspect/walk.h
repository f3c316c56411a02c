/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _WALK_H_
#define _WALK_H_

/*
 * How to look at all pages of a pool. A walk takes no lock that allocation takes, so that nobody
 * waits for it: pages change while they are read. Every value is read once and checked before it
 * leads anywhere, a page counts only if it is still of the kind it was read as, and who asks is
 * told whether others worked meanwhile.
 */

#include <stdbool.h>
#include <stdint.h>

#include "ppool_private.h"

/* What does not move while nobody uses a pool. */
struct ppool_motion {
	struct ppool_stats stats;
	uint64_t slots_idle;
	int64_t whole;   /* pages that mempool caches and applications have */
	uint32_t free;   /* pages in free lists */
	uint32_t cached; /* of whole, in mempool caches */
};

/* A walk under way. Walks of a thread are not nested. */
struct ppool_walk {
	const struct ppool *p;
	struct ppool_motion before;
};

void ppool_walk_begin(struct ppool_walk *w, const struct ppool *p);
/* Returns whether others used the pool meanwhile: then the result is no more than about right. */
bool ppool_walk_end(const struct ppool_walk *w);

/* A header slot, as it was when it was read. */
struct ppool_slot_record {
	uint32_t page;
	uint32_t next_idle;
	uint32_t truesize;
	uint32_t header_page;
	uint16_t slot_bytes;
	uint16_t account;
};

PPOOL_RACY static inline struct ppool_slot_record
ppool_slot_read(const struct rte_mbuf *m)
{
	const struct ppool_frag *frag = ppool_frag_of(m);

	return (struct ppool_slot_record){
		.next_idle = __atomic_load_n(&frag->next_idle, __ATOMIC_RELAXED),
		.page = __atomic_load_n(&frag->page, __ATOMIC_RELAXED),
		.truesize = __atomic_load_n(&frag->truesize, __ATOMIC_RELAXED),
		.header_page = __atomic_load_n(&frag->header_page, __ATOMIC_RELAXED),
		.slot_bytes = __atomic_load_n(&frag->slot_bytes, __ATOMIC_RELAXED),
		.account = __atomic_load_n(&frag->account, __ATOMIC_RELAXED),
	};
}

/* Whether a page is of a kind. Ask again when it has been read. */
PPOOL_RACY static inline bool
ppool_page_is(const struct ppool_page *pg, enum ppool_kind kind)
{
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return __atomic_load_n(&pg->kind, __ATOMIC_ACQUIRE) == kind;
}

/* Users and bytes, without what the owner of an open page has dropped in the meantime. */
PPOOL_RACY static inline uint64_t
ppool_page_look(const struct ppool_page *pg)
{
	uint64_t use = __atomic_load_n(&pg->use, __ATOMIC_ACQUIRE);

	return use - __atomic_load_n(&pg->owner_drop, __ATOMIC_RELAXED);
}

#endif /* _WALK_H_ */
