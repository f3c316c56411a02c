/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Header slots: mbufs without a frag.
 *
 * A slot is formatted once, when its header page is taken from the page pool. Idle slots wait in
 * the stash of an lcore or in the depot, where each header page has a list of its own: what leaves
 * the depot together lies together, and a page whose slots are all there can go back.
 */

#include <string.h>

#include "ppool_private.h"

static uint32_t
slot_index(const struct ppool *p, const struct ppool_page *pg, const struct rte_mbuf *m)
{
	return (RTE_PTR_DIFF(m, pg->obj) - p->first_slot) / p->layout.slot_bytes;
}

/* The bytes of a header page up to slot i: pages divide among their slots without a remainder. */
static uint32_t
slot_share(const struct ppool *p, uint32_t i)
{
	return (uint64_t)p->layout.page_bytes * i / p->layout.slots;
}

static void
slot_format(const struct ppool *p, const struct ppool_page *pg, uint32_t i)
{
	struct rte_mbuf *m = ppool_slot_at(p, pg, i);
	struct rte_mempool_objhdr *hdr = RTE_PTR_SUB(m, sizeof(*hdr));
	struct ppool_frag *frag = ppool_frag_of(p, m);
	const struct rte_mbuf *model = (const struct rte_mbuf *)pg->obj;

	/* What the application's initialiser put there, in the private area above all. */
	memcpy((void *)m, model, sizeof(*m) + rte_pktmbuf_priv_size(p->mp));
	m->pool = p->frag_mp;
	m->next = NULL;
	m->nb_segs = 1;
	rte_mbuf_refcnt_set(m, 1);
	m->ol_flags = RTE_MBUF_F_EXTERNAL;
	m->shinfo = &frag->shinfo;

	memset(hdr, 0, sizeof(*hdr));
	hdr->mp = p->frag_mp;
	hdr->iova = pg->iova == RTE_BAD_IOVA ? RTE_BAD_IOVA : pg->iova + RTE_PTR_DIFF(m, pg->obj);
#ifdef RTE_LIBRTE_MEMPOOL_DEBUG
	hdr->cookie = RTE_MEMPOOL_HEADER_COOKIE2;
#endif

	memset(frag, 0, sizeof(*frag));
	frag->shinfo.free_cb = ppool_free_pinned;
	frag->shinfo.fcb_opaque = m;
	rte_mbuf_ext_refcnt_set(&frag->shinfo, 1);
	frag->header_page = (uint32_t)(pg - p->page);
	frag->slot_bytes = slot_share(p, i + 1) - slot_share(p, i);
}

/* Depot lock held for all of depot_*(). */

static void
depot_link(struct ppool *p, struct ppool_page *pg)
{
	struct ppool_depot *d = &p->depot;
	uint32_t i = (uint32_t)(pg - p->page);

	pg->prev = PPOOL_NONE;
	pg->next = d->first;
	if (d->first != PPOOL_NONE)
		p->page[d->first].prev = i;
	d->first = i;
}

static void
depot_unlink(struct ppool *p, struct ppool_page *pg)
{
	if (pg->prev == PPOOL_NONE)
		p->depot.first = pg->next;
	else
		p->page[pg->prev].next = pg->next;
	if (pg->next != PPOOL_NONE)
		p->page[pg->next].prev = pg->prev;
}

/* Returns the header page that has one more idle slot now. */
static struct ppool_page *
depot_put(struct ppool *p, struct rte_mbuf *m)
{
	struct ppool_frag *frag = ppool_frag_of(p, m);
	struct ppool_page *pg = &p->page[frag->header_page];

	frag->page = pg->idle_first;
	pg->idle_first = slot_index(p, pg, m);
	if (pg->idle++ == 0)
		depot_link(p, pg);
	PPOOL_COUNT(p->depot.nb_idle, 1);
	if (pg->idle == p->layout.slots)
		p->depot.nb_idle_pages++;
	return pg;
}

/* Take up to n idle slots of a header page. */
static unsigned int
depot_get_from(struct ppool *p, struct ppool_page *pg, struct rte_mbuf **m, unsigned int n)
{
	unsigned int i;

	n = RTE_MIN(n, pg->idle);
	if (n == 0)
		return 0;
	if (pg->idle == p->layout.slots)
		p->depot.nb_idle_pages--;
	for (i = 0; i < n; i++) {
		m[i] = ppool_slot_at(p, pg, pg->idle_first);
		pg->idle_first = ppool_frag_of(p, m[i])->page;
	}
	pg->idle -= n;
	if (pg->idle == 0)
		depot_unlink(p, pg);
	PPOOL_COUNT(p->depot.nb_idle, -n);
	return n;
}

static unsigned int
depot_get(struct ppool *p, struct rte_mbuf **m, unsigned int n)
{
	const struct ppool_depot *d = &p->depot;
	unsigned int got = 0;

	while (got < n && d->first != PPOOL_NONE)
		got += depot_get_from(p, &p->page[d->first], m + got, n - got);
	return got;
}

/* Turn a page into a header page. */
static void
depot_add_page(struct ppool *p, struct ppool_page *pg)
{
	uint32_t i;

	pg->kind = PPOOL_KIND_HEADER;
	pg->idle = 0;
	pg->idle_first = PPOOL_NONE;
	for (i = p->layout.slots; i-- > 0;) {
		slot_format(p, pg, i);
		depot_put(p, ppool_slot_at(p, pg, i));
	}
	PPOOL_COUNT(p->depot.nb_header_pages, 1);
}

/* Give a wholly idle header page back. */
static void
release_page(struct ppool *p, struct ppool_page *pg)
{
	struct ppool_depot *d = &p->depot;
	void *obj = pg->obj;

	depot_unlink(p, pg);
	d->nb_idle_pages--;
	PPOOL_COUNT(d->nb_header_pages, -1);
	PPOOL_COUNT(d->nb_idle, -pg->idle);
	pg->kind = PPOOL_KIND_WHOLE;
	ppool_debug_pages_in(p, &obj, 1, PPOOL_DEBUG_HEADER);
	ppool_pages_put(p, &obj, 1);
	__atomic_fetch_add(&p->stats.header_page_put, 1, __ATOMIC_RELAXED);
}

/* Give such pages back until only keep are left. Returns how many went. */
static unsigned int
depot_release(struct ppool *p, unsigned int keep)
{
	struct ppool_depot *d = &p->depot;
	unsigned int before = d->nb_idle_pages;
	struct ppool_page *pg;
	uint32_t i, next;

	for (i = d->first; i != PPOOL_NONE && d->nb_idle_pages > keep; i = next) {
		pg = &p->page[i];
		next = pg->next;
		if (pg->idle == p->layout.slots)
			release_page(p, pg);
	}
	return before - d->nb_idle_pages;
}

/* Take a page of the pool for headers. */
static bool
grow(struct ppool *p)
{
	void *obj;

	if (ppool_pages_get(p, &obj, 1) != 0)
		return false;
	ppool_debug_pages_out(p, &obj, 1, PPOOL_DEBUG_HEADER);
	rte_spinlock_lock(&p->depot.lock);
	depot_add_page(p, ppool_page_of(p, obj));
	rte_spinlock_unlock(&p->depot.lock);
	__atomic_fetch_add(&p->stats.header_page_get, 1, __ATOMIC_RELAXED);
	return true;
}

bool
ppool_headers_reserve(struct ppool *p, unsigned int pages)
{
	while (__atomic_load_n(&p->depot.nb_header_pages, __ATOMIC_RELAXED) < pages)
		if (!grow(p))
			return false;
	return true;
}

static unsigned int
depot_get_locked(struct ppool *p, struct rte_mbuf **m, unsigned int n)
{
	rte_spinlock_lock(&p->depot.lock);
	n = depot_get(p, m, n);
	rte_spinlock_unlock(&p->depot.lock);
	return n;
}

/* Slots of one header page, none where it has no idle ones. */
unsigned int
ppool_headers_take_from(struct ppool *p, uint32_t page, struct rte_mbuf **m, unsigned int n)
{
	rte_spinlock_lock(&p->depot.lock);
	n = depot_get_from(p, &p->page[page], m, n);
	rte_spinlock_unlock(&p->depot.lock);
	ppool_debug_headers_out(p, m, n);
	return n;
}

static void
depot_put_locked(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_depot *d = &p->depot;
	struct ppool_page *pg;
	unsigned int i;

	rte_spinlock_lock(&d->lock);
	for (i = 0; i < n; i++) {
		pg = depot_put(p, m[i]);
		if (pg->idle == p->layout.slots &&
				d->nb_idle_pages > d->nb_carvers + PPOOL_IDLE_PAGES)
			release_page(p, pg);
	}
	rte_spinlock_unlock(&d->lock);
}

/* Empty the stash of an lcore into the depot. */
static void
stash_flush(struct ppool *p, struct ppool_lcore *lc, bool self)
{
	struct rte_mbuf *m[PPOOL_LCORE_HEADERS];
	unsigned int n;

	if (__atomic_load_n(&lc->nb_headers, __ATOMIC_RELAXED) == 0)
		return;
	if (self)
		ppool_lock_owner(&lc->lock);
	else if (!ppool_lock_visitor(&lc->lock))
		return;
	n = lc->nb_headers;
	memcpy(m, lc->headers, n * sizeof(m[0]));
	__atomic_store_n(&lc->nb_headers, 0, __ATOMIC_RELAXED);
	if (self)
		ppool_unlock_owner(&lc->lock);
	else
		ppool_unlock_visitor(&lc->lock);
	depot_put_locked(p, m, n);
}

static void
stash_flush_all(struct ppool *p)
{
	struct ppool_lcore *self = ppool_lcore_self(p);
	unsigned int id;

	for (id = 0; id < RTE_MAX_LCORE; id++)
		if (p->lcore[id] != NULL)
			stash_flush(p, p->lcore[id], p->lcore[id] == self);
}

static uint64_t
frags_freed(const struct ppool *p)
{
	uint64_t n = __atomic_load_n(&p->stats.frag_free, __ATOMIC_RELAXED);
	unsigned int id;

	for (id = 0; id < RTE_MAX_LCORE; id++)
		if (p->lcore[id] != NULL)
			n += __atomic_load_n(&p->lcore[id]->stats.frag_free, __ATOMIC_RELAXED);
	return n;
}

/*
 * Collect pages that are not free but that nobody uses: idle header pages but for one for each
 * carver, which needs headers to deliver what it has received, and parked pages. Returns whether
 * there were any. Unless forced, fails cheaply while nothing is freed, as callers poll an
 * exhausted pool.
 */
bool
ppool_headers_reclaim(struct ppool *p, bool force)
{
	uint64_t freed;
	unsigned int n;

	if (!ppool_is_split(p))
		return false;
	freed = frags_freed(p) + 1;
	if (!force && __atomic_load_n(&p->depot.reclaim_mark, __ATOMIC_RELAXED) == freed)
		return false;
	stash_flush_all(p);
	rte_spinlock_lock(&p->depot.lock);
	/* Header pages in use serve the carvers, too. */
	n = p->depot.nb_header_pages - p->depot.nb_idle_pages;
	n = depot_release(p, p->depot.nb_carvers - RTE_MIN(n, p->depot.nb_carvers));
	n += ppool_parked_release(p);
	if (n == 0)
		__atomic_store_n(&p->depot.reclaim_mark, freed, __ATOMIC_RELAXED);
	rte_spinlock_unlock(&p->depot.lock);
	return n > 0;
}

/* The stash is empty: refill it from the depot, from new pages, from the neighbours. */
static __rte_noinline unsigned int
headers_take_slow(struct ppool *p, struct ppool_lcore *lc, struct rte_mbuf **m, unsigned int n)
{
	struct rte_mbuf *later[PPOOL_HEADER_BATCH];
	unsigned int got, k;

	got = depot_get_locked(p, m, n);
	while (got < n && grow(p))
		got += depot_get_locked(p, m + got, n - got);
	if (got < n) {
		stash_flush_all(p);
		got += depot_get_locked(p, m + got, n - got);
	}
	if (lc == NULL || __atomic_load_n(&p->depot.nb_idle, __ATOMIC_RELAXED) == 0)
		return got;
	k = depot_get_locked(p, later, RTE_DIM(later));
	ppool_headers_give(p, later, k);
	return got;
}

unsigned int
ppool_headers_take(struct ppool *p, struct rte_mbuf **m, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_self(p);
	unsigned int k = 0;

	if (likely(lc != NULL)) {
		ppool_lock_owner(&lc->lock);
		k = RTE_MIN(n, lc->nb_headers);
		__atomic_store_n(&lc->nb_headers, lc->nb_headers - k, __ATOMIC_RELAXED);
		rte_memcpy(m, &lc->headers[lc->nb_headers], k * sizeof(m[0]));
		ppool_unlock_owner(&lc->lock);
	}
	if (unlikely(k < n))
		k += headers_take_slow(p, lc, m + k, n - k);
	ppool_debug_headers_out(p, m, k);
	return k;
}

/* The stash is full: its coldest half goes to the depot, or the new ones if many. */
static __rte_noinline void
headers_give_slow(struct ppool *p, struct ppool_lcore *lc, struct rte_mbuf * const *m,
		unsigned int n)
{
	struct rte_mbuf *cold[PPOOL_LCORE_HEADERS];
	unsigned int k;

	if (lc == NULL || n > PPOOL_HEADER_BATCH) {
		depot_put_locked(p, m, n);
		return;
	}
	ppool_lock_owner(&lc->lock);
	k = RTE_MIN(lc->nb_headers, PPOOL_HEADER_BATCH);
	memcpy(cold, lc->headers, k * sizeof(cold[0]));
	memmove(lc->headers, lc->headers + k, (lc->nb_headers - k) * sizeof(cold[0]));
	memcpy(&lc->headers[lc->nb_headers - k], m, n * sizeof(m[0]));
	__atomic_store_n(&lc->nb_headers, lc->nb_headers - k + n, __ATOMIC_RELAXED);
	ppool_unlock_owner(&lc->lock);
	depot_put_locked(p, cold, k);
}

void
ppool_headers_give(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_self(p);

	if (likely(lc != NULL)) {
		ppool_lock_owner(&lc->lock);
		if (ppool_lcore_put_headers(lc, m, n))
			n = 0;
		ppool_unlock_owner(&lc->lock);
	}
	if (unlikely(n > 0))
		headers_give_slow(p, lc, m, n);
}

/*
 * Give back headers that never had a frag. The pages they lie in may be what an exhausted pool
 * lacks, though no frag was freed.
 */
void
ppool_headers_return(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	ppool_debug_headers_in(p, m, n);
	ppool_headers_give(p, m, n);
	__atomic_store_n(&p->depot.reclaim_mark, 0, __ATOMIC_RELAXED);
}
