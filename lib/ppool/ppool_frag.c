/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* The free of frags. Nothing else: this is the hot path. */

#include <string.h>

#include "ppool_freelist.h"
#include "ppool_slot_pool.h"

/* How many mbufs ahead the page of a frag is fetched. */
#define PREFETCH_PAGE 6u

/* What a bulk of mbufs has left when their frags are dropped. */
struct dropped {
	unsigned int n; /* mbufs, from the first on: up to one that has no frag */
	unsigned int nb_pages;
	uint64_t bytes;
	void *pages[PPOOL_BULK]; /* that nobody uses any more */
};

/*
 * Drop the frags of 1 to PPOOL_BULK mbufs, those of one page in a row together. Their slots are in
 * the hands of me then. With self != 0, me has locked its lists.
 */
static inline void
frags_drop(struct ppool *p, ppool_owner_t me, uint32_t self, struct rte_mbuf * const *m,
		unsigned int n, struct dropped *d)
{
	struct ppool_page *pg = &p->page[ppool_frag_of(m[0])->page];
	unsigned int i, nb_pages = 0;
	struct ppool_uncharge uncharge;
	struct ppool_frag *frag;
	/* What the latest account gets back is not in uncharge, so that it stays in a register. */
	uint64_t drop = 0, sum = 0, charged = 0;

	if (unlikely(!ppool_is_frag(p, m[0]))) {
		*d = (struct dropped){ .n = 0 };
		return;
	}
	ppool_uncharge_init(&uncharge);
	for (i = 0; i < n; i++) {
		frag = ppool_frag_of(m[i]);
		if (pg != &p->page[frag->page]) {
			if (unlikely(!ppool_is_frag(p, m[i])))
				break;
			if (ppool_page_drop_as(pg, me, self, drop))
				d->pages[nb_pages++] = pg->obj;
			sum += drop;
			drop = 0;
			pg = &p->page[frag->page];
			/* Where each lies in another page, this hides most of what they cost. */
			if (i + PREFETCH_PAGE < n)
				rte_prefetch0(&p->page[ppool_frag_of(m[i + PREFETCH_PAGE])->page]);
		}
		/* rte_mbuf reads a count of one without ordering: clones were freed. */
		PPOOL_TSAN_ACQUIRE(&frag->shinfo.refcnt);
		if (unlikely(frag->account != 0)) {
			if (unlikely(frag->account >= PPOOL_RECORD_SLOT))
				break;
			if (unlikely(frag->account != uncharge.account)) {
				ppool_uncharge_switch(&uncharge, frag->account, charged);
				charged = 0;
			}
			charged += frag->truesize + frag->slot_bytes;
			frag->account = 0;
		}
		drop += PPOOL_USER + frag->truesize;
		frag->owner = me;
		frag->truesize = 0;
	}
	if (ppool_page_drop_as(pg, me, self, drop))
		d->pages[nb_pages++] = pg->obj;
	d->n = i;
	d->nb_pages = nb_pages;
	d->bytes = PPOOL_BYTES(sum + drop);
	ppool_debug_pages_in(p, d->pages, nb_pages, PPOOL_DEBUG_DATA);
	if (unlikely(uncharge.account != 0))
		ppool_uncharge_commit(p, &uncharge, charged);
}

/*
 * One bulk of frags: drop them, keep the headers, recycle the pages. Returns how many were frags of
 * slots, from the first on.
 */
static inline unsigned int
free_bulk(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_enter(p);
	unsigned int nb_headers;
	struct dropped d;

	if (likely(lc != NULL)) {
		frags_drop(p, lc->owner, lc->drop_owner, m, n, &d);
		nb_headers = d.n;
		if (ppool_lcore_push_slots(p, lc, PPOOL_HEADERS, m, d.n))
			nb_headers = 0;
		if (d.nb_pages > 0) {
			PPOOL_STAT_ADD(p, lc, page_recycle, d.nb_pages);
			if (likely(!p->tracked) && ppool_lcore_push_pages(lc, d.pages, d.nb_pages))
				d.nb_pages = 0;
		}
		ppool_lcore_leave(lc);
	} else {
		frags_drop(p, ppool_owner_me(), 0, m, n, &d);
		nb_headers = d.n;
		PPOOL_STAT_ADD(p, lc, page_recycle, d.nb_pages);
	}
	if (unlikely(nb_headers > 0))
		ppool_slots_put(p, PPOOL_HEADERS, m, nb_headers);
	if (unlikely(d.nb_pages > 0))
		ppool_freelist_put(p, d.pages, d.nb_pages);
	/* Update last: ppool_reclaim() skips its scan while frag_free is unchanged. */
	PPOOL_STAT_ADD(p, lc, frag_free_bytes, d.bytes);
	PPOOL_STAT_ADD(p, lc, frag_free, d.n);
	return d.n;
}

static inline void
lcore_count_free(struct ppool_lcore *lc, uint32_t bytes)
{
	PPOOL_COUNT(lc->stats.frag_free_bytes, bytes);
	PPOOL_COUNT(lc->stats.frag_free, 1);
}

static __rte_noinline void
free_any(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	unsigned int k;

	while (n > 0) {
		k = free_bulk(p, m, RTE_MIN(n, PPOOL_BULK));
		m += k;
		n -= k;
		if (unlikely(n > 0) && !ppool_is_frag(p, m[0])) {
			ppool_slots_free_bulk(p, m, 1);
			m++;
			n--;
		}
	}
}

/* free_one() has dropped the last frag of a page, of that many bytes. */
static __rte_noinline void
recycle_one(struct ppool *p, struct ppool_lcore *lc, struct ppool_page *pg, uint32_t bytes)
{
	void *obj = pg->obj;

	ppool_debug_pages_in(p, &obj, 1, PPOOL_DEBUG_DATA);
	PPOOL_COUNT(lc->stats.page_recycle, 1);
	ppool_freelist_put(p, &obj, 1);
	lcore_count_free(lc, bytes);
}

/*
 * rte_pktmbuf_free(): what free_bulk() does, for one mbuf. What calls there are come last, so that
 * nothing is saved on the stack.
 */
static inline void
free_one(struct ppool *p, struct ppool_lcore *lc, struct rte_mbuf * const *m)
{
	struct ppool_frag *frag = ppool_frag_of(m[0]);
	struct ppool_page *pg = &p->page[frag->page];
	bool kept, last = false;
	uint32_t bytes;

	PPOOL_TSAN_ACQUIRE(&frag->shinfo.refcnt);
	bytes = frag->truesize;
	if (unlikely(frag->account != 0 || !ppool_is_frag(p, m[0]) ||
			    !ppool_trylock_owner(&lc->lock))) {
		free_any(p, m, 1);
		return;
	}
	kept = ppool_lcore_slots_room(p, lc, PPOOL_HEADERS) != 0;
	if (likely(kept)) {
		frag->owner = lc->owner;
		frag->truesize = 0;
		last = ppool_page_drop_as(pg, lc->owner, lc->drop_owner, PPOOL_USER + bytes);
		/* Last: a process that ends here leaves no slot with a frag in a list. */
		ppool_lcore_add_slots(lc, PPOOL_HEADERS, m, 1);
	}
	ppool_tryunlock_owner(&lc->lock);
	if (unlikely(!kept))
		free_any(p, m, 1);
	else if (unlikely(last))
		recycle_one(p, lc, pg, bytes);
	else
		lcore_count_free(lc, bytes);
}

void
ppool_frag_free_bulk(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_existing(p);

	ppool_debug_frags_in(p, m, n);
	if (n == 1 && likely(lc != NULL))
		free_one(p, lc, m);
	else
		free_any(p, m, n);
}
