/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* The free of frags, and whole pages as frags. Nothing else: this is the hot path. */

#include <errno.h>
#include <string.h>

#include "ppool_freelist.h"

/* How many mbufs ahead the page of a frag is fetched. */
#define PREFETCH_PAGE 6u

/*
 * Drop the frags of 1 to PPOOL_BULK mbufs, those of one page in a row together. Pages that nobody
 * uses any more are left in pages. The slots are in the hands of me. With self != 0, me has the lock of
 * its lists.
 */
static inline unsigned int
frags_drop(struct ppool *p, ppool_owner_t me, uint32_t self, struct rte_mbuf * const *m,
		unsigned int n, void **pages, uint64_t *bytes)
{
	struct ppool_page *pg = &p->page[ppool_frag_of(p, m[0])->page];
	struct ppool_uncharge uncharge;
	unsigned int i, nb_pages = 0;
	struct ppool_frag *frag;
	uint64_t drop = 0, sum = 0;
	/* What the latest account gets back: not in uncharge, so that it stays in a register. */
	uint64_t charged = 0;

	ppool_uncharge_init(&uncharge);
	for (i = 0; i < n; i++) {
		frag = ppool_frag_of(p, m[i]);
		if (pg != &p->page[frag->page]) {
			if (ppool_page_drop_as(pg, me, self, drop))
				pages[nb_pages++] = pg->obj;
			sum += drop;
			drop = 0;
			pg = &p->page[frag->page];
			/* Where each lies in another page, this hides most of what they cost. */
			if (i + PREFETCH_PAGE < n)
				rte_prefetch0(&p->page[ppool_frag_of(p, m[i + PREFETCH_PAGE])
								       ->page]);
		}
		/* rte_mbuf reads a count of one without ordering: clones were freed. */
		PPOOL_TSAN_ACQUIRE(&frag->shinfo.refcnt);
		drop += PPOOL_USER + frag->truesize;
		if (unlikely(frag->account != 0)) {
			if (unlikely(frag->account != uncharge.account)) {
				ppool_uncharge_switch(&uncharge, frag->account, charged);
				charged = 0;
			}
			charged += frag->truesize + frag->slot_bytes;
			frag->account = 0;
		}
		frag->owner = me;
		frag->truesize = 0;
	}
	if (ppool_page_drop_as(pg, me, self, drop))
		pages[nb_pages++] = pg->obj;
	*bytes = PPOOL_BYTES(sum + drop);
	ppool_debug_pages_in(p, pages, nb_pages, PPOOL_DEBUG_DATA);
	if (unlikely(uncharge.account != 0))
		ppool_uncharge_commit(p, &uncharge, charged);
	return nb_pages;
}

/* One bulk of frags: drop them, keep the headers, recycle the pages. */
static inline void
free_bulk(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_enter(p);
	unsigned int nb_pages, nb_headers = n;
	void *pages[PPOOL_BULK];
	uint64_t bytes;

	if (likely(lc != NULL)) {
		nb_pages = frags_drop(p, lc->owner, lc->drop_owner, m, n, pages, &bytes);
		if (ppool_lcore_push_slots(lc, m, n))
			nb_headers = 0;
		if (nb_pages > 0) {
			PPOOL_STAT_ADD(p, lc, page_recycle, nb_pages);
			if (likely(!p->tracked) && ppool_lcore_push_pages(lc, pages, nb_pages))
				nb_pages = 0;
		}
		ppool_lcore_leave(lc);
	} else {
		nb_pages = frags_drop(p, (ppool_owner_t)ppool_owner_id(), 0, m, n, pages, &bytes);
		PPOOL_STAT_ADD(p, lc, page_recycle, nb_pages);
	}
	if (unlikely(nb_headers > 0))
		ppool_slots_put(p, m, nb_headers);
	if (unlikely(nb_pages > 0))
		ppool_freelist_put(p, pages, nb_pages);
	/* Update last: ppool_reclaim() skips its scan while frag_free is unchanged. */
	PPOOL_STAT_ADD(p, lc, frag_free_bytes, bytes);
	PPOOL_STAT_ADD(p, lc, frag_free, n);
}

static inline void
count_free(struct ppool_lcore *lc, uint32_t bytes)
{
	PPOOL_COUNT(lc->stats.frag_free_bytes, bytes);
	PPOOL_COUNT(lc->stats.frag_free, 1);
}

static __rte_noinline void
free_any(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	unsigned int k;

	for (; n > 0; n -= k, m += k) {
		k = RTE_MIN(n, PPOOL_BULK);
		free_bulk(p, m, k);
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
	count_free(lc, bytes);
}

/*
 * rte_pktmbuf_free(): what free_bulk() does, for one mbuf. What calls there are come last, so that
 * nothing is saved on the stack.
 */
static inline void
free_one(struct ppool *p, struct ppool_lcore *lc, struct rte_mbuf * const *m)
{
	struct ppool_frag *frag = ppool_frag_of(p, m[0]);
	struct ppool_page *pg = &p->page[frag->page];
	bool kept, last = false;
	uint32_t bytes;

	PPOOL_TSAN_ACQUIRE(&frag->shinfo.refcnt);
	bytes = frag->truesize;
	if (unlikely(frag->account != 0 || !ppool_trylock_owner(&lc->lock))) {
		free_any(p, m, 1);
		return;
	}
	kept = ppool_lcore_push_slots(lc, m, 1);
	if (likely(kept)) {
		frag->owner = lc->owner;
		frag->truesize = 0;
		last = ppool_page_drop_as(pg, lc->owner, lc->drop_owner, PPOOL_USER + bytes);
	}
	ppool_tryunlock_owner(&lc->lock);
	if (unlikely(!kept))
		free_any(p, m, 1);
	else if (unlikely(last))
		recycle_one(p, lc, pg, bytes);
	else
		count_free(lc, bytes);
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

/* The mbuf of a whole page. */
static void
mono_frag(struct ppool *p, struct rte_mbuf *m, void *obj)
{
	struct ppool_page *pg = ppool_page_of(p, obj);
	struct ppool_frag *frag = ppool_frag_of(p, m);
	uint32_t lead = p->layout.lead_bytes - p->mp->header_size;

	ppool_page_mono(pg, p->layout.page_bytes);
	frag->page = (uint32_t)(pg - p->page);
	frag->truesize = p->layout.page_bytes;
	m->buf_addr = pg->obj + lead;
	m->buf_iova = ppool_page_iova(pg, lead);
	m->buf_len = RTE_MIN(p->layout.room_bytes, (uint32_t)UINT16_MAX);
	m->ol_flags = RTE_MBUF_F_EXTERNAL;
}

/* All or none, up to PPOOL_BULK. */
static int
mono_frag_bulk(struct ppool *p, struct rte_mbuf **m, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_get(p);
	uint64_t grown = ppool_slots_grown(p);
	void *pages[PPOOL_BULK];
	unsigned int i;

	i = ppool_slots_get(p, m, n);
	if (i < n || ppool_pages_get(p, pages, n) != 0) {
		ppool_slots_give_back(p, m, i, grown);
		return -ENOBUFS;
	}
	ppool_debug_pages_out(p, pages, n, PPOOL_DEBUG_DATA);
	for (i = 0; i < n; i++)
		mono_frag(p, m[i], pages[i]);
	PPOOL_STAT_ADD(p, lc, frag_alloc, n);
	PPOOL_STAT_ADD(p, lc, frag_alloc_bytes, (uint64_t)n * p->layout.page_bytes);
	return 0;
}

int
ppool_frag_alloc_bulk(struct ppool *p, struct rte_mbuf **m, unsigned int n)
{
	unsigned int i, k;

	if (n > p->mp->size)
		return -ENOBUFS;
	for (i = 0; i < n; i += k) {
		k = RTE_MIN(n - i, PPOOL_BULK);
		if (mono_frag_bulk(p, m + i, k) != 0) {
			ppool_frag_free_bulk(p, m, i);
			return -ENOBUFS;
		}
	}
	return 0;
}

size_t
ppool_mbuf_truesize(const struct rte_mbuf *m)
{
	const struct ppool_frag *frag;
	size_t bytes = 0;

	for (; m != NULL; m = m->next) {
		const struct rte_mempool *mp = m->pool;

		if (!ppool_is_frag_pool(mp)) {
			bytes += mp->header_size + mp->elt_size + mp->trailer_size;
			continue;
		}
		frag = ppool_frag_of(ppool_from_mempool(mp), m);
		bytes += frag->truesize + frag->slot_bytes;
	}
	return bytes;
}
