/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Slot pages, of the one class there is: headers, mbufs without a frag.
 *
 * A slot is formatted once, when its page is taken from the page pool. Idle slots wait with an
 * lcore or in the depot, where each slot page has a list of its own: what leaves the depot together
 * lies together, and a page whose slots are all there can go home. Which pages become slot pages is
 * decided in ppool_supply.c.
 */

#include <string.h>

#include "ppool_freelist.h"

static uint32_t
slot_index(const struct ppool *p, const struct ppool_page *pg, const struct rte_mbuf *m)
{
	return (RTE_PTR_DIFF(m, pg->obj) - p->first_slot) / p->layout.slot_bytes;
}

/*
 * Bytes of slots 0..i-1 when a page is split as evenly as possible; the shares add up to its bytes
 * exactly.
 */
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
	struct ppool_frag *frag = ppool_frag_of(m);
	const struct rte_mbuf *model = (const struct rte_mbuf *)pg->obj;

	/* What the application's initialiser put there, in the private area above all. */
	memcpy((void *)m, model, sizeof(*m) + rte_pktmbuf_priv_size(p->mp));

	memset(hdr, 0, sizeof(*hdr));
	hdr->mp = p->frag_mp;
	hdr->iova = ppool_page_iova(pg, RTE_PTR_DIFF(m, pg->obj));
#ifdef RTE_LIBRTE_MEMPOOL_DEBUG
	hdr->cookie = RTE_MEMPOOL_HEADER_COOKIE2;
#endif

	memset(frag, 0, sizeof(*frag));
	frag->shinfo.free_cb = (rte_mbuf_extbuf_free_callback_t)(uintptr_t)p->free_cb;
	frag->shinfo.fcb_opaque = m;
	frag->owner = PPOOL_OWNER_NONE;
	ppool_slot_reset(p, m);
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

/*
 * Returns the header page that has one more idle slot now. A slot that belongs to nobody is in the
 * depot: depot_repair() goes by that.
 */
static struct ppool_page *
depot_push(struct ppool *p, struct rte_mbuf *m)
{
	struct ppool_frag *frag = ppool_frag_of(m);
	struct ppool_page *pg = &p->page[frag->header_page];

	frag->owner = PPOOL_OWNER_NONE;
	frag->page = pg->idle_first;
	pg->idle_first = slot_index(p, pg, m);
	if (pg->idle++ == 0)
		depot_link(p, pg);
	PPOOL_COUNT(p->depot.nb_idle, 1);
	if (pg->idle == p->layout.slots)
		PPOOL_COUNT(p->depot.nb_idle_pages, 1);
	return pg;
}

/* Take up to n idle slots of a header page. */
static unsigned int
depot_pop_from(struct ppool *p, struct ppool_page *pg, struct rte_mbuf **m, unsigned int n)
{
	struct ppool_frag *frag;
	unsigned int i;

	n = RTE_MIN(n, pg->idle);
	if (n == 0)
		return 0;
	if (pg->idle == p->layout.slots)
		PPOOL_COUNT(p->depot.nb_idle_pages, -1);
	for (i = 0; i < n; i++) {
		m[i] = ppool_slot_at(p, pg, pg->idle_first);
		frag = ppool_frag_of(m[i]);
		pg->idle_first = frag->page;
		frag->owner = (ppool_owner_t)ppool_owner_id();
	}
	pg->idle -= n;
	if (pg->idle == 0)
		depot_unlink(p, pg);
	PPOOL_COUNT(p->depot.nb_idle, -n);
	return n;
}

static unsigned int
depot_pop(struct ppool *p, struct rte_mbuf **m, unsigned int n)
{
	const struct ppool_depot *d = &p->depot;
	unsigned int got = 0;

	while (got < n && d->first != PPOOL_NONE)
		got += depot_pop_from(p, &p->page[d->first], m + got, n - got);
	return got;
}

/*
 * Limbo: where slots are put while the depot is stuck. They stay in the hands of the one who put
 * them; whoever has the depot lock next takes all of them.
 */

static void
limbo_push(struct ppool *p, struct rte_mbuf *m)
{
	struct rte_mbuf *first = __atomic_load_n(&p->depot.limbo, __ATOMIC_RELAXED);

	do {
		m->next = first;
	} while (!__atomic_compare_exchange_n(&p->depot.limbo, &first, m, true, __ATOMIC_RELEASE,
			__ATOMIC_RELAXED));
}

/* One by one: a process that ends here has one slot in hand, which says so. */
static __rte_noinline void
limbo_drain(struct ppool *p)
{
	struct rte_mbuf *m = __atomic_load_n(&p->depot.limbo, __ATOMIC_ACQUIRE);

	while (m != NULL) {
		ppool_frag_of(m)->owner = (ppool_owner_t)ppool_owner_id();
		if (!__atomic_compare_exchange_n(&p->depot.limbo, &m, m->next, false,
				    __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
			continue;
		m->next = NULL;
		depot_push(p, m);
		m = __atomic_load_n(&p->depot.limbo, __ATOMIC_ACQUIRE);
	}
}

/* Add a slot page with those of its slots that nobody has. */
static void
depot_add_page(struct ppool *p, struct ppool_page *pg)
{
	const struct ppool_frag *frag;
	uint32_t i;

	pg->idle = 0;
	pg->idle_first = PPOOL_NONE;
	for (i = p->layout.slots; i-- > 0;) {
		frag = ppool_frag_of(ppool_slot_at(p, pg, i));
		if (frag->truesize == 0 && frag->owner == PPOOL_OWNER_NONE)
			depot_push(p, ppool_slot_at(p, pg, i));
	}
	PPOOL_COUNT(p->depot.nb_header_pages, 1);
}

/* The process that held the depot lock has ended: make the lists anew, from the slots. */
static __rte_noinline void
depot_repair(struct ppool *p)
{
	struct ppool_depot *d = &p->depot;
	uint32_t i;

	d->first = PPOOL_NONE;
	d->nb_idle = 0;
	d->nb_idle_pages = 0;
	d->nb_header_pages = 0;
	for (i = 0; p->page != NULL && i < p->mp->size; i++)
		if (p->page[i].kind == PPOOL_KIND_HEADER)
			depot_add_page(p, &p->page[i]);
	ppool_park_repair(p);
}

static void
depot_settle(struct ppool *p, enum ppool_locked locked)
{
	if (unlikely(locked == PPOOL_TAKEN_OVER))
		depot_repair(p);
	if (unlikely(__atomic_load_n(&p->depot.limbo, __ATOMIC_RELAXED) != NULL))
		limbo_drain(p);
}

bool
ppool_depot_enter(struct ppool *p)
{
	enum ppool_locked locked;

	ppool_debug_lock();
	locked = ppool_mutex_lock(&p->depot.lock);
	if (unlikely(locked == PPOOL_STUCK))
		return false;
	depot_settle(p, locked);
	return true;
}

void
ppool_depot_wait(struct ppool *p)
{
	ppool_debug_lock();
	depot_settle(p, ppool_mutex_wait(&p->depot.lock));
}

void
ppool_depot_leave(struct ppool *p)
{
	ppool_mutex_unlock(&p->depot.lock);
}

/*
 * Formatted while nobody knows of it: neither is the depot locked for so long, nor is a page that a
 * process leaves half done taken for a slot page.
 */
bool
ppool_slots_add_page(struct ppool *p, void *obj)
{
	struct ppool_page *pg = ppool_page_of(p, obj);
	uint32_t i;

	ppool_debug_pages_out(p, &obj, 1, PPOOL_DEBUG_HEADER);
	for (i = 0; i < p->layout.slots; i++)
		slot_format(p, pg, i);
	if (!ppool_depot_enter(p)) {
		ppool_debug_pages_in(p, &obj, 1, PPOOL_DEBUG_HEADER);
		return false;
	}
	pg->open = 0;
	ppool_page_split(pg);
	depot_add_page(p, pg);
	ppool_depot_leave(p);
	__atomic_fetch_add(&p->stats.header_page_get, 1, __ATOMIC_RELAXED);
	return true;
}

/* Give a wholly idle header page back. */
static void
depot_page_home(struct ppool *p, struct ppool_page *pg)
{
	struct ppool_depot *d = &p->depot;
	void *obj = pg->obj;

	depot_unlink(p, pg);
	PPOOL_COUNT(d->nb_idle_pages, -1);
	PPOOL_COUNT(d->nb_header_pages, -1);
	PPOOL_COUNT(d->nb_idle, -pg->idle);
	ppool_page_retire(pg, (ppool_owner_t)ppool_owner_id());
	ppool_debug_pages_in(p, &obj, 1, PPOOL_DEBUG_HEADER);
	ppool_freelist_put(p, &obj, 1);
	__atomic_fetch_add(&p->stats.header_page_put, 1, __ATOMIC_RELAXED);
}

unsigned int
ppool_depot_release(struct ppool *p, unsigned int keep)
{
	struct ppool_depot *d = &p->depot;
	unsigned int before = d->nb_idle_pages;
	struct ppool_page *pg;
	uint32_t i, next;

	for (i = d->first; i != PPOOL_NONE && d->nb_idle_pages > keep; i = next) {
		pg = &p->page[i];
		next = pg->next;
		if (pg->idle == p->layout.slots)
			depot_page_home(p, pg);
	}
	return before - d->nb_idle_pages;
}

unsigned int
ppool_depot_pop(struct ppool *p, struct rte_mbuf **m, unsigned int n)
{
	if (!ppool_depot_enter(p))
		return 0;
	n = depot_pop(p, m, n);
	ppool_depot_leave(p);
	return n;
}

unsigned int
ppool_depot_pop_from(struct ppool *p, uint32_t page, struct rte_mbuf **m, unsigned int n)
{
	if (!ppool_depot_enter(p))
		return 0;
	n = depot_pop_from(p, &p->page[page], m, n);
	ppool_depot_leave(p);
	ppool_debug_headers_out(p, m, n);
	return n;
}

void
ppool_depot_push(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_page *pg;
	unsigned int i;

	if (unlikely(!ppool_depot_enter(p))) {
		for (i = 0; i < n; i++)
			limbo_push(p, m[i]);
		return;
	}
	for (i = 0; i < n; i++) {
		pg = depot_push(p, m[i]);
		if (pg->idle == p->layout.slots && p->depot.nb_idle_pages > PPOOL_IDLE_PAGES)
			depot_page_home(p, pg);
	}
	ppool_depot_leave(p);
}

/* Idle slots of an lcore */

/* They are in our hands now. */
static void
slots_mark(struct rte_mbuf * const *m, unsigned int n)
{
	while (n-- > 0)
		ppool_frag_of(m[n])->owner = (ppool_owner_t)ppool_owner_id();
}

/* Take all idle slots of an lcore. Its lock held. Returns how many. */
static unsigned int
lcore_slots_pop_all(struct ppool_lcore *lc, struct rte_mbuf **m)
{
	unsigned int n = lc->nb_headers;

	memcpy(m, lc->headers, n * sizeof(m[0]));
	slots_mark(m, n);
	__atomic_store_n(&lc->nb_headers, 0, __ATOMIC_RELEASE);
	return n;
}

/* The same of any lcore, ours or not. */
static unsigned int
lcore_slots_take(struct ppool *p, struct ppool_lcore *lc, struct rte_mbuf **m)
{
	bool ours = lc == ppool_lcore_existing(p);
	unsigned int n;

	if (__atomic_load_n(&lc->nb_headers, __ATOMIC_RELAXED) == 0)
		return 0;
	if (!(ours ? ppool_lock_owner(&lc->lock) : ppool_lock_visitor(&lc->lock)))
		return 0;
	n = lcore_slots_pop_all(lc, m);
	if (ours)
		ppool_unlock_owner(&lc->lock);
	else
		ppool_unlock_visitor(&lc->lock);
	return n;
}

void
ppool_slots_flush_all(struct ppool *p)
{
	struct rte_mbuf *m[PPOOL_LCORE_HEADERS];
	struct ppool_lcore *lc;
	unsigned int n;

	PPOOL_LCORE_FOREACH(p, lc) {
		n = lcore_slots_take(p, lc, m);
		if (n > 0)
			ppool_depot_push(p, m, n);
	}
}

/* Our lists are full: their coldest half goes to the depot. Our lock held. Returns how many. */
static unsigned int
lcore_slots_cool(struct ppool_lcore *lc, struct rte_mbuf **cold)
{
	unsigned int k = RTE_MIN(lc->nb_headers, PPOOL_HEADER_BATCH), rest = lc->nb_headers - k;

	__atomic_store_n(&lc->nb_headers, 0, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	memcpy(cold, lc->headers, k * sizeof(cold[0]));
	memmove(lc->headers, lc->headers + k, rest * sizeof(cold[0]));
	__atomic_store_n(&lc->nb_headers, rest, __ATOMIC_RELEASE);
	return k;
}

/* No room: the coldest half of those of the lcore goes to the depot, or the new ones if many. */
static __rte_noinline void
slots_put_slow(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	struct rte_mbuf *cold[PPOOL_LCORE_HEADERS];
	struct ppool_lcore *lc = n > PPOOL_HEADER_BATCH ? NULL : ppool_lcore_enter(p);
	unsigned int k;

	if (lc == NULL) {
		ppool_depot_push(p, m, n);
		return;
	}
	k = lcore_slots_cool(lc, cold);
	ppool_lcore_push_slots(lc, m, n);
	ppool_lcore_leave(lc);
	ppool_depot_push(p, cold, k);
}

void
ppool_slots_put(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_enter(p);
	bool done = false;

	if (likely(lc != NULL)) {
		done = ppool_lcore_push_slots(lc, m, n);
		ppool_lcore_leave(lc);
	}
	if (unlikely(!done))
		slots_put_slow(p, m, n);
}

bool
ppool_slots_inherit(struct ppool *p, uint32_t process)
{
	struct rte_mbuf *m[PPOOL_LCORE_HEADERS];
	struct ppool_lcore *lc;
	unsigned int n;

	PPOOL_LCORE_FOREACH(p, lc) {
		if (lc->lock.process != process)
			continue;
		n = lcore_slots_take(p, lc, m);
		ppool_depot_push(p, m, n);
		if (__atomic_load_n(&lc->nb_headers, __ATOMIC_RELAXED) != 0)
			return false;
	}
	return true;
}

void
ppool_slot_reset(const struct ppool *p, struct rte_mbuf *m)
{
	struct ppool_frag *frag = ppool_frag_of(m);

	m->pool = p->frag_mp;
	m->next = NULL;
	m->nb_segs = 1;
	rte_mbuf_refcnt_set(m, 1);
	m->ol_flags = RTE_MBUF_F_EXTERNAL;
	m->shinfo = &frag->shinfo;
	rte_mbuf_ext_refcnt_set(&frag->shinfo, 1);
}

void
ppool_slots_return(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	ppool_debug_headers_in(p, m, n);
	slots_mark(m, n);
	ppool_slots_put(p, m, n);
}
