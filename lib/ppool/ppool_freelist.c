/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Free pages, last-in first-out: those of the lcore first, then the shared ones, then those of
 * the neighbours, so that no free page is ever out of reach.
 *
 * An lcore has pages at hand, and a magazine that is full or empty (Bonwick and Adams, "Magazines
 * and Vmem", USENIX 2001). It trades a full one for an empty one of the shared part, or the other
 * way round, by pointer: the shared lock is held for a moment, however many pages change hands.
 * Where pages are short, and for threads that are no lcore, they are shared one by one: loose.
 */

#include <errno.h>
#include <string.h>

#include <rte_malloc.h>

#include "ppool_freelist.h"

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
	lc->spare = lc->magazine;
	__atomic_store_n(&p->lcore[id], lc, __ATOMIC_RELEASE);
	return lc;
}

/* Counts are read without locks, too. */
static inline void
count_set(uint32_t *count, uint32_t n)
{
	__atomic_store_n(count, n, __ATOMIC_RELAXED);
}

static inline unsigned int
lcore_count(const struct ppool_lcore *lc)
{
	return __atomic_load_n(&lc->nb_pages, __ATOMIC_RELAXED) +
			__atomic_load_n(&lc->nb_spare, __ATOMIC_RELAXED);
}

static inline unsigned int
shared_count(const struct ppool *p)
{
	return __atomic_load_n(&p->nb_loose, __ATOMIC_RELAXED) +
			__atomic_load_n(&p->nb_full, __ATOMIC_RELAXED) * PPOOL_MAGAZINE;
}

unsigned int
ppool_freelist_count(const struct ppool *p)
{
	unsigned int id, n = shared_count(p);

	for (id = 0; id < RTE_MAX_LCORE; id++)
		if (p->lcore[id] != NULL)
			n += lcore_count(p->lcore[id]);
	return n;
}

/* Enough for all pages; a trade is always one full against one empty, so the number is constant. */
static size_t
magazines_needed(uint32_t pages)
{
	return (pages + PPOOL_MAGAZINE - 1) / PPOOL_MAGAZINE;
}

/* The table of magazines fills cache lines, so that magazines do. */
static size_t
magazine_table(uint32_t pages)
{
	return RTE_ALIGN_CEIL(magazines_needed(pages) * sizeof(void **), RTE_CACHE_LINE_SIZE);
}

size_t
ppool_freelist_memory(uint32_t pages)
{
	return magazine_table(pages) +
			(magazines_needed(pages) * PPOOL_MAGAZINE + pages) * sizeof(void *);
}

int
ppool_freelist_init(struct ppool *p)
{
	size_t i, n = magazines_needed(p->mp->size);
	void **memory;

	p->magazine = rte_malloc_socket("ppool_free", ppool_freelist_memory(p->mp->size),
			RTE_CACHE_LINE_SIZE, p->mp->socket_id);
	if (p->magazine == NULL)
		return -ENOMEM;
	memory = RTE_PTR_ADD(p->magazine, magazine_table(p->mp->size));
	for (i = 0; i < n; i++)
		p->magazine[i] = memory + i * PPOOL_MAGAZINE;
	p->loose = memory + n * PPOOL_MAGAZINE;
	rte_spinlock_init(&p->shared_lock);
	return 0;
}

void
ppool_freelist_fini(struct ppool *p)
{
	unsigned int id;

	/* Their magazines have changed hands. */
	for (id = 0; id < RTE_MAX_LCORE; id++)
		rte_free(p->lcore[id]);
	rte_free(p->magazine);
}

/* Loose pages: there is room for all of the pool. Shared lock held. */

static void
loose_push(struct ppool *p, void * const *obj, unsigned int n)
{
	memcpy(&p->loose[p->nb_loose], obj, n * sizeof(*obj));
	count_set(&p->nb_loose, p->nb_loose + n);
}

/* Take up to n. */
static unsigned int
loose_pop(struct ppool *p, void **obj, unsigned int n)
{
	n = RTE_MIN(n, p->nb_loose);
	count_set(&p->nb_loose, p->nb_loose - n);
	memcpy(obj, &p->loose[p->nb_loose], n * sizeof(*obj));
	return n;
}

/* Have n loose pages, as long as there are full magazines. */
static void
loose_provide(struct ppool *p, unsigned int n)
{
	while (p->nb_loose < n && p->nb_full > 0) {
		count_set(&p->nb_full, p->nb_full - 1);
		loose_push(p, p->magazine[p->nb_full], PPOOL_MAGAZINE);
	}
}

/* What an lcore has becomes loose. Both locks held. */
static void
lcore_loosen(struct ppool *p, struct ppool_lcore *lc)
{
	loose_push(p, lc->spare, lc->nb_spare);
	loose_push(p, lc->pages, lc->nb_pages);
	count_set(&lc->nb_spare, 0);
	count_set(&lc->nb_pages, 0);
}

/*
 * Magazines: those of the shared part are an array, the full ones in front. A trade swaps the spare
 * one of an lcore with the one on this or that side of the border. Both locks held.
 */

static void
trade_full(struct ppool *p, struct ppool_lcore *lc)
{
	RTE_SWAP(lc->spare, p->magazine[p->nb_full]);
	count_set(&p->nb_full, p->nb_full + 1);
	count_set(&lc->nb_spare, 0);
}

static void
trade_empty(struct ppool *p, struct ppool_lcore *lc)
{
	count_set(&p->nb_full, p->nb_full - 1);
	RTE_SWAP(lc->spare, p->magazine[p->nb_full]);
	count_set(&lc->nb_spare, PPOOL_MAGAZINE);
}

/* Take up to n pages of an lcore, what came last first. Its lock held. */
static unsigned int
lcore_pop(struct ppool_lcore *lc, void **obj, unsigned int n)
{
	unsigned int k = RTE_MIN(n, lc->nb_pages), more, rest;

	ppool_lcore_pop_pages(lc, obj, k);
	if (k == n || lc->nb_spare == 0)
		return k;
	more = RTE_MIN(n - k, PPOOL_MAGAZINE);
	rest = PPOOL_MAGAZINE - more;
	memcpy(obj + k, lc->spare + rest, more * sizeof(*obj));
	memcpy(lc->pages, lc->spare, rest * sizeof(*obj));
	count_set(&lc->nb_spare, 0);
	count_set(&lc->nb_pages, rest);
	return k + more;
}

/* Put up to n pages to the others of an lcore. Its lock held. */
static unsigned int
lcore_push(struct ppool_lcore *lc, void * const *obj, unsigned int n)
{
	/* A neighbour may have lowered max_pages below what is here. */
	n = RTE_MIN(n, lc->max_pages - RTE_MIN(lc->max_pages, lc->nb_pages));
	ppool_lcore_push_pages(lc, obj, n);
	return n;
}

/*
 * Take from an lcore and from the shared part, which have n pages together. Returns how many are
 * taken; the rest is in the magazine that the lcore has then. Both locks held.
 */
static unsigned int
lcore_gather(struct ppool *p, struct ppool_lcore *lc, void **obj, unsigned int n)
{
	unsigned int got = lcore_pop(lc, obj, n);

	if (unlikely(n - got > PPOOL_MAGAZINE))
		loose_provide(p, n - got);
	got += loose_pop(p, obj + got, n - got);
	PPOOL_COUNT(lc->stats.refill_shared, 1);
	if (got < n) {
		lc->max_pages = PPOOL_LCORE_PAGES;
		trade_empty(p, lc);
		return got;
	}
	/* Some more for later. An lcore that consumes may keep more again. */
	lc->max_pages = RTE_MIN(2 * lc->max_pages, PPOOL_LCORE_PAGES);
	count_set(&lc->nb_pages, loose_pop(p, lc->pages, lc->max_pages / 4));
	return got;
}

static int
refill_shared(struct ppool *p, struct ppool_lcore *lc, void **obj, unsigned int n)
{
	unsigned int got;
	bool enough;

	if (lcore_count(lc) + shared_count(p) < n)
		return -ENOBUFS;
	ppool_shared_lock(p);
	ppool_lock_owner(&lc->lock);
	enough = lcore_count(lc) + shared_count(p) >= n;
	got = enough ? lcore_gather(p, lc, obj, n) : n;
	ppool_shared_unlock(p);
	/* What is in the magazine is copied without the shared lock. */
	lcore_pop(lc, obj + got, n - got);
	ppool_unlock_owner(&lc->lock);
	return enough ? 0 : -ENOBUFS;
}

/* refill_shared() of a thread that is no lcore. */
static int
refill_other(struct ppool *p, void **obj, unsigned int n)
{
	int ret = -ENOBUFS;

	ppool_shared_lock(p);
	loose_provide(p, n);
	if (p->nb_loose >= n) {
		loose_pop(p, obj, n);
		ret = 0;
	}
	ppool_shared_unlock(p);
	return ret;
}

/*
 * Make pages of an lcore loose: as many as are missing, at least half, the coldest ones. It will
 * keep fewer, so that its neighbours need not come for them again. Shared lock held.
 */
static void
lcore_visit(struct ppool *p, struct ppool_lcore *lc, unsigned int missing)
{
	unsigned int n;

	if (lcore_count(lc) == 0 || !ppool_lock_visitor(&lc->lock))
		return;
	n = RTE_MAX(missing, (lcore_count(lc) + 1) / 2);
	loose_push(p, lc->spare, lc->nb_spare);
	n = RTE_MIN(n - RTE_MIN(n, lc->nb_spare), lc->nb_pages);
	count_set(&lc->nb_spare, 0);
	loose_push(p, lc->pages, n);
	memmove(lc->pages, lc->pages + n, (lc->nb_pages - n) * sizeof(lc->pages[0]));
	count_set(&lc->nb_pages, lc->nb_pages - n);
	lc->max_pages = RTE_MAX(lc->max_pages / 2, PPOOL_LCORE_PAGES_MIN);
	ppool_unlock_visitor(&lc->lock);
}

/* Search everywhere. Under the shared lock, so that two searchers cannot starve each other. */
static int
refill_neighbours(struct ppool *p, struct ppool_lcore *self, void **obj, unsigned int n)
{
	unsigned int id;
	int ret = -ENOBUFS;

	if (ppool_freelist_count(p) < n)
		return ret;
	ppool_shared_lock(p);
	if (self != NULL) {
		ppool_lock_owner(&self->lock);
		lcore_loosen(p, self);
		ppool_unlock_owner(&self->lock);
	}
	loose_provide(p, n);
	for (id = 0; id < RTE_MAX_LCORE && p->nb_loose < n; id++)
		if (p->lcore[id] != NULL && p->lcore[id] != self)
			lcore_visit(p, p->lcore[id], n - p->nb_loose);
	if (p->nb_loose >= n) {
		loose_pop(p, obj, n);
		ret = 0;
	}
	ppool_shared_unlock(p);
	if (ret == 0)
		PPOOL_STAT_ADD(p, self, refill_neighbour, 1);
	return ret;
}

static __rte_noinline int
freelist_get_slow(struct ppool *p, struct ppool_lcore *lc, void **obj, unsigned int n)
{
	int ret = likely(lc != NULL) ? refill_shared(p, lc, obj, n) : refill_other(p, obj, n);

	return likely(ret == 0) ? 0 : refill_neighbours(p, lc, obj, n);
}

int
ppool_freelist_get(struct ppool *p, void **obj, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_get(p);
	bool done = false;

	if (likely(lc != NULL)) {
		ppool_lock_owner(&lc->lock);
		done = ppool_lcore_pop_pages(lc, obj, n) ||
				(lcore_count(lc) >= n && lcore_pop(lc, obj, n) == n);
		ppool_unlock_owner(&lc->lock);
	}
	return likely(done) ? 0 : freelist_get_slow(p, lc, obj, n);
}

/*
 * Put what there is room for to the pages of an lcore, and fill its magazine where there is not
 * enough. Returns how many pages.
 */
static unsigned int
lcore_put(struct ppool_lcore *lc, void * const *obj, unsigned int n)
{
	unsigned int k;

	ppool_lock_owner(&lc->lock);
	k = lcore_push(lc, obj, n);
	if (k < n && lc->nb_spare == 0 && lc->nb_pages == PPOOL_LCORE_PAGES) {
		count_set(&lc->nb_pages, PPOOL_LCORE_PAGES - PPOOL_MAGAZINE);
		memcpy(lc->spare, lc->pages + lc->nb_pages, PPOOL_MAGAZINE * sizeof(*obj));
		count_set(&lc->nb_spare, PPOOL_MAGAZINE);
		k += lcore_push(lc, obj + k, n - k);
	}
	ppool_unlock_owner(&lc->lock);
	return k;
}

/* Make room: a full magazine is for all, or half of what an lcore has that is to keep few. */
static void
lcore_flush(struct ppool *p, struct ppool_lcore *lc)
{
	uint32_t half;

	ppool_shared_lock(p);
	ppool_lock_owner(&lc->lock);
	if (lc->nb_spare != 0) {
		trade_full(p, lc);
	} else {
		half = RTE_MIN(lc->nb_pages, lc->max_pages / 2);
		loose_push(p, lc->pages + half, lc->nb_pages - half);
		count_set(&lc->nb_pages, half);
	}
	PPOOL_COUNT(lc->stats.flush_shared, 1);
	ppool_unlock_owner(&lc->lock);
	ppool_shared_unlock(p);
}

static __rte_noinline void
freelist_put_slow(struct ppool *p, struct ppool_lcore *lc, void * const *obj, unsigned int n)
{
	unsigned int k;

	/* More than an lcore may keep is not even tried. */
	if (unlikely(lc == NULL || (n > lc->max_pages && lc->max_pages < PPOOL_LCORE_PAGES))) {
		ppool_shared_lock(p);
		loose_push(p, obj, n);
		ppool_shared_unlock(p);
		return;
	}
	for (k = lcore_put(lc, obj, n); k < n; k += lcore_put(lc, obj + k, n - k))
		lcore_flush(p, lc);
}

void
ppool_freelist_put(struct ppool *p, void * const *obj, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_get(p);
	bool done = false;

	if (likely(lc != NULL)) {
		ppool_lock_owner(&lc->lock);
		done = ppool_lcore_push_pages(lc, obj, n);
		ppool_unlock_owner(&lc->lock);
	}
	if (unlikely(!done))
		freelist_put_slow(p, lc, obj, n);
}
