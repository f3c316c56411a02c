/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Free pages, last-in first-out: those of the lcore first, then the shared ones, then those of
 * the neighbours, so that no free page is ever out of reach.
 */

#include <errno.h>
#include <string.h>

#include <rte_malloc.h>

#include "ppool_private.h"

struct ppool_lcore *
ppool_lcore_create(struct ppool *p, unsigned int id)
{
	struct ppool_lcore *lc;

	/* A process that membarrier does not reach must stay out of biased locks. */
	if (p->biased && !ppool_lock_can_bias())
		return NULL;
	ppool_check_free_cb(p);
	lc = rte_zmalloc_socket("ppool_lcore", sizeof(*lc), RTE_CACHE_LINE_SIZE, p->mp->socket_id);
	if (lc == NULL)
		return NULL;
	ppool_lock_init(&lc->lock, p->biased);
	lc->max_pages = PPOOL_LCORE_PAGES;
	__atomic_store_n(&p->lcore[id], lc, __ATOMIC_RELEASE);
	return lc;
}

/* Append to the shared list; it has room for every page of the pool. Shared lock held. */
static void
shared_push(struct ppool *p, void * const *obj, unsigned int n)
{
	memcpy(&p->shared[p->nb_shared], obj, n * sizeof(*obj));
	__atomic_store_n(&p->nb_shared, p->nb_shared + n, __ATOMIC_RELAXED);
}

/* Take up to n from the shared list. Shared lock held. */
static unsigned int
shared_pop(struct ppool *p, void **obj, unsigned int n)
{
	n = RTE_MIN(n, p->nb_shared);
	__atomic_store_n(&p->nb_shared, p->nb_shared - n, __ATOMIC_RELAXED);
	memcpy(obj, &p->shared[p->nb_shared], n * sizeof(*obj));
	return n;
}

unsigned int
ppool_pages_count(struct ppool *p)
{
	unsigned int id, n = __atomic_load_n(&p->nb_shared, __ATOMIC_RELAXED);

	for (id = 0; id < RTE_MAX_LCORE; id++)
		if (p->lcore[id] != NULL)
			n += __atomic_load_n(&p->lcore[id]->nb_pages, __ATOMIC_RELAXED);
	return n;
}

/*
 * An lcore that asked for n takes more for later, so that it comes back less often; but not with a
 * refill of a large mempool cache, which is for later itself. Shared lock held.
 */
static void
refill_lcore(struct ppool *p, struct ppool_lcore *lc, unsigned int n)
{
	unsigned int k;

	ppool_lock_owner(&lc->lock);
	/* An lcore that consumes may keep more again. */
	lc->max_pages = RTE_MIN(2 * lc->max_pages, PPOOL_LCORE_PAGES);
	k = n <= lc->max_pages / 4 ? lc->max_pages / 4 : 0;
	k = RTE_MIN(k, PPOOL_LCORE_PAGES - lc->nb_pages);
	k = shared_pop(p, lc->pages + lc->nb_pages, k);
	__atomic_store_n(&lc->nb_pages, lc->nb_pages + k, __ATOMIC_RELAXED);
	PPOOL_COUNT(lc->stats.refill_shared, 1);
	ppool_unlock_owner(&lc->lock);
}

static int
refill_shared(struct ppool *p, struct ppool_lcore *lc, void **obj, unsigned int n)
{
	int ret = -ENOBUFS;

	if (__atomic_load_n(&p->nb_shared, __ATOMIC_RELAXED) < n)
		return ret;
	rte_spinlock_lock(&p->shared_lock);
	if (p->nb_shared >= n) {
		shared_pop(p, obj, n);
		if (lc != NULL)
			refill_lcore(p, lc, n);
		ret = 0;
	}
	rte_spinlock_unlock(&p->shared_lock);
	return ret;
}

/*
 * Move pages of one lcore to the shared list: as many as are missing, at least half. It will keep
 * fewer, so that its neighbours need not come for them again. Shared lock held.
 */
static void
visit_lcore(struct ppool *p, struct ppool_lcore *lc, unsigned int missing)
{
	unsigned int n;

	if (__atomic_load_n(&lc->nb_pages, __ATOMIC_RELAXED) == 0 || !ppool_lock_visitor(&lc->lock))
		return;
	n = RTE_MIN(RTE_MAX(missing, (lc->nb_pages + 1) / 2), lc->nb_pages);
	/* The coldest ones, at the bottom. */
	shared_push(p, lc->pages, n);
	memmove(lc->pages, lc->pages + n, (lc->nb_pages - n) * sizeof(lc->pages[0]));
	__atomic_store_n(&lc->nb_pages, lc->nb_pages - n, __ATOMIC_RELAXED);
	lc->max_pages = RTE_MAX(lc->max_pages / 2, PPOOL_LCORE_PAGES_MIN);
	ppool_unlock_visitor(&lc->lock);
}

/* Search everywhere. Under the shared lock, so that two searchers cannot starve each other. */
static int
refill_neighbours(struct ppool *p, struct ppool_lcore *self, void **obj, unsigned int n)
{
	unsigned int id;
	int ret = -ENOBUFS;

	if (ppool_pages_count(p) < n)
		return ret;
	rte_spinlock_lock(&p->shared_lock);
	if (self != NULL) {
		ppool_lock_owner(&self->lock);
		shared_push(p, self->pages, self->nb_pages);
		__atomic_store_n(&self->nb_pages, 0, __ATOMIC_RELAXED);
		ppool_unlock_owner(&self->lock);
	}
	for (id = 0; id < RTE_MAX_LCORE && p->nb_shared < n; id++)
		if (p->lcore[id] != NULL && p->lcore[id] != self)
			visit_lcore(p, p->lcore[id], n - p->nb_shared);
	if (p->nb_shared >= n) {
		shared_pop(p, obj, n);
		ret = 0;
	}
	rte_spinlock_unlock(&p->shared_lock);
	if (ret == 0)
		PPOOL_STAT_ADD(p, self, refill_neighbour, 1);
	return ret;
}

static __rte_noinline int
pages_get_slow(struct ppool *p, struct ppool_lcore *lc, void **obj, unsigned int n)
{
	if (refill_shared(p, lc, obj, n) == 0 || refill_neighbours(p, lc, obj, n) == 0)
		return 0;
	/* The last reserve: header pages whose slots are all idle. */
	if (n <= p->mp->size && ppool_headers_reclaim(p, false) &&
			refill_neighbours(p, lc, obj, n) == 0)
		return 0;
	PPOOL_STAT_ADD(p, lc, page_empty, 1);
	return -ENOBUFS;
}

int
ppool_pages_get(struct ppool *p, void **obj, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_self(p);

	if (likely(lc != NULL)) {
		ppool_lock_owner(&lc->lock);
		if (likely(ppool_lcore_get_pages(lc, obj, n))) {
			ppool_unlock_owner(&lc->lock);
			return 0;
		}
		ppool_unlock_owner(&lc->lock);
	}
	return pages_get_slow(p, lc, obj, n);
}

/* Make room for n pages of an lcore: its coldest half is for all. Shared lock held. */
static bool
flush_lcore(struct ppool *p, struct ppool_lcore *lc, void * const *obj, unsigned int n)
{
	uint32_t k;
	bool done;

	ppool_lock_owner(&lc->lock);
	k = lc->nb_pages - RTE_MIN(lc->nb_pages, lc->max_pages / 2);
	shared_push(p, lc->pages, k);
	memmove(lc->pages, lc->pages + k, (lc->nb_pages - k) * sizeof(lc->pages[0]));
	__atomic_store_n(&lc->nb_pages, lc->nb_pages - k, __ATOMIC_RELAXED);
	done = ppool_lcore_put_pages(lc, obj, n);
	PPOOL_COUNT(lc->stats.flush_shared, 1);
	ppool_unlock_owner(&lc->lock);
	return done;
}

/* The lcore has no room. Many pages at once go to the shared list as they are. */
static __rte_noinline void
pages_put_slow(struct ppool *p, struct ppool_lcore *lc, void * const *obj, unsigned int n)
{
	rte_spinlock_lock(&p->shared_lock);
	if (lc == NULL || n > lc->max_pages / 2 || !flush_lcore(p, lc, obj, n))
		shared_push(p, obj, n);
	rte_spinlock_unlock(&p->shared_lock);
}

void
ppool_pages_put(struct ppool *p, void * const *obj, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_self(p);

	if (likely(lc != NULL)) {
		ppool_lock_owner(&lc->lock);
		if (ppool_lcore_put_pages(lc, obj, n))
			n = 0;
		ppool_unlock_owner(&lc->lock);
	}
	if (unlikely(n > 0))
		pages_put_slow(p, lc, obj, n);
}
