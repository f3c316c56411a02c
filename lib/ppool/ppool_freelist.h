/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_FREELIST_H_
#define _PPOOL_FREELIST_H_

/*
 * The free pages of an lcore, whose lock is held. The rest of the free list is in
 * ppool_freelist.c.
 */

#include "ppool_private.h"

/* Put free pages to those of an lcore. Returns false where there is no room. */
static inline bool
ppool_lcore_push_pages(struct ppool_lcore *lc, void * const *obj, unsigned int n)
{
	uint32_t old = lc->nb_pages;

	/* Another lcore may have lowered max_pages below what is here. */
	if (unlikely((uint64_t)old + n > lc->max_pages))
		return false;
	ppool_copy(&lc->pages[old], obj, n);
	/* A process that ends here has put all or nothing. */
	__atomic_store_n(&lc->nb_pages, old + n, __ATOMIC_RELEASE);
	return true;
}

/* Take the n pages that came last. Returns false where there are fewer. */
static inline bool
ppool_lcore_pop_pages(struct ppool_lcore *lc, void **obj, unsigned int n)
{
	uint32_t left = lc->nb_pages - n;

	if (unlikely(lc->nb_pages < n))
		return false;
	__atomic_store_n(&lc->nb_pages, left, __ATOMIC_RELAXED);
	ppool_copy(obj, &lc->pages[left], n);
	return true;
}

/* Note who takes pages of a tracked pool, or that they are free. A lock on their list is held. */
static inline void
ppool_pages_mark(struct ppool *p, void * const *obj, unsigned int n, ppool_owner_t holder)
{
	while (n-- > 0)
		ppool_page_of(p, obj[n])->holder = holder;
}

int ppool_freelist_init(struct ppool *p);
void ppool_freelist_fini(struct ppool *p);
size_t ppool_freelist_memory(uint32_t pages);
/* Both are all-or-nothing and leave the count of whole (ordinary) objects alone. */
int ppool_freelist_get(struct ppool *p, void **obj, unsigned int n);
void ppool_freelist_put(struct ppool *p, void * const *obj, unsigned int n);
unsigned int ppool_freelist_count(const struct ppool *p);
/*
 * Have everybody note who takes a page from now on, once the pool is split and used by a process
 * that did not make it.
 */
void ppool_freelist_track(struct ppool *p);
/*
 * Lock all free lists: nobody takes or puts a page meanwhile. Returns false, without them, where a
 * process is stopped inside. Lists made later are not in *first.
 */
bool ppool_freelist_lock_all(struct ppool *p, struct ppool_lcore **first);
void ppool_freelist_unlock_all(struct ppool *p, struct ppool_lcore *first);
/* Call f for every free page; all lists are locked. */
void ppool_freelist_each(struct ppool *p, void (*f)(struct ppool *p, void *obj, void *arg),
		void *arg);
/* Move the pages that a process that has ended left in its lists to the shared part. */
bool ppool_freelist_inherit(struct ppool *p, uint32_t process);
/*
 * Bring the shared part in order while no other call is under way. Returns false where a process
 * is stopped inside.
 */
bool ppool_freelist_settle(struct ppool *p);

#endif /* _PPOOL_FREELIST_H_ */
