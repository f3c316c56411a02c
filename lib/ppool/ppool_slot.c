/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Slot pages of all size classes. Those of headers, mbufs without a frag, are one.
 *
 * A slot is formatted when it is first handed out, after its page was taken from the page pool: the
 * first slots of a page are formatted, the others are idle without being in a list. Idle slots wait
 * with an lcore or in the depot, where each slot page has a list of its own: what leaves the depot
 * together lies together, and a page whose slots are all there can go home. Slots are taken from
 * the fullest page first, so that the others can empty. Which pages become slot pages is decided in
 * ppool_supply.c; how long slots are, in ppool_class.c.
 */

#include <string.h>

#include "ppool_freelist.h"

/* What all slots have in front of their mbuf. */
static void
slot_format_front(const struct ppool *p, const struct ppool_page *pg, struct rte_mbuf *m,
		struct rte_mempool *mp)
{
	struct rte_mempool_objhdr *hdr = RTE_PTR_SUB(m, sizeof(*hdr));
	struct ppool_frag *frag = ppool_frag_of(m);

	memset(hdr, 0, sizeof(*hdr));
	hdr->mp = mp;
	hdr->iova = ppool_page_iova(pg, RTE_PTR_DIFF(m, pg->obj));
	memset(frag, 0, sizeof(*frag));
	frag->owner = PPOOL_OWNER_NONE;
	frag->header_page = (uint32_t)(pg - p->page);
	frag->page = frag->header_page;
}

static void
header_format(const struct ppool *p, struct rte_mbuf *m, uint32_t share)
{
	struct ppool_frag *frag = ppool_frag_of(m);

	frag->shinfo.free_cb = (rte_mbuf_extbuf_free_callback_t)(uintptr_t)p->free_cb;
	frag->shinfo.fcb_opaque = m;
	frag->slot_bytes = share;
	ppool_header_reset(p, m);
}

/* A direct mbuf, as rte_pktmbuf_init() makes them. */
static void
mbuf_init(const struct ppool *p, const struct ppool_class *c, struct rte_mbuf *m)
{
	const struct rte_mempool_objhdr *hdr = RTE_PTR_SUB(m, sizeof(*hdr));

	m->pool = p->slot_mp;
	m->buf_addr = RTE_PTR_ADD(m, p->mbuf_bytes);
	rte_mbuf_iova_set(m, hdr->iova == RTE_BAD_IOVA ? RTE_BAD_IOVA : hdr->iova + p->mbuf_bytes);
	m->buf_len = c->buf_len;
	/* A clone has that of the mbuf it was attached to. */
	m->priv_size = (uint16_t)(p->mbuf_bytes - sizeof(*m));
	m->data_off = RTE_PKTMBUF_HEADROOM;
	m->ol_flags = 0;
	m->next = NULL;
	m->nb_segs = 1;
	m->port = RTE_MBUF_PORT_INVALID;
	rte_mbuf_refcnt_set(m, 1);
}

static void
room_format(const struct ppool *p, const struct ppool_class *c, struct rte_mbuf *m, uint32_t share)
{
	struct ppool_frag *frag = ppool_frag_of(m);

	frag->account = ppool_record_slot((unsigned int)(c - p->depot.size_class));
	frag->truesize = share;
	mbuf_init(p, c, m);
}

static void
slot_format(const struct ppool *p, const struct ppool_page *pg, const struct ppool_class *c,
		uint32_t i)
{
	uint32_t share = ppool_slots_share(p, c, i + 1) - ppool_slots_share(p, c, i);
	bool header = c == &p->depot.size_class[PPOOL_HEADERS];
	struct rte_mbuf *m = ppool_slot_at(p, c, pg, i);

	/* What the application's initialiser put there, in the private area above all. */
	memcpy((void *)m, pg->obj, p->mbuf_bytes);
	slot_format_front(p, pg, m, header ? p->frag_mp : p->slot_mp);
	if (header)
		header_format(p, m, share);
	else
		room_format(p, c, m, share);
}

/* Depot lock held for all of depot_*(). */

/* The list in which a page is that has so many idle slots, at least 1. */
static uint32_t *
depot_list(struct ppool_class *c, uint32_t idle)
{
	return &c->first[(uint64_t)idle * c->fill_scale >> PPOOL_FILL_SHIFT];
}

static void
depot_link(struct ppool *p, uint32_t *first, struct ppool_page *pg)
{
	uint32_t i = (uint32_t)(pg - p->page);

	pg->prev = PPOOL_NONE;
	pg->next = *first;
	if (*first != PPOOL_NONE)
		p->page[*first].prev = i;
	*first = i;
}

static void
depot_unlink(struct ppool *p, uint32_t *first, struct ppool_page *pg)
{
	if (pg->prev == PPOOL_NONE)
		*first = pg->next;
	else
		p->page[pg->prev].next = pg->next;
	if (pg->next != PPOOL_NONE)
		p->page[pg->next].prev = pg->prev;
}

/* A page has so many slots in the depot now. */
static void
depot_set_idle(struct ppool *p, struct ppool_class *c, struct ppool_page *pg, uint32_t idle)
{
	uint32_t *from = pg->idle == 0 ? NULL : depot_list(c, pg->idle);
	uint32_t *to = idle == 0 ? NULL : depot_list(c, idle);

	if (from != to && from != NULL)
		depot_unlink(p, from, pg);
	if (from != to && to != NULL)
		depot_link(p, to, pg);
	PPOOL_COUNT(c->nb_idle, idle - pg->idle);
	if (pg->idle == c->slots || idle == c->slots)
		PPOOL_COUNT(c->nb_idle_pages,
				(uint32_t)(idle == c->slots) - (uint32_t)(pg->idle == c->slots));
	pg->idle = idle;
}

static struct ppool_class *
depot_class(struct ppool *p, const struct ppool_page *pg)
{
	return &p->depot.size_class[ppool_page_class(pg)];
}

struct ppool_page *
ppool_slot_page(const struct ppool *p, const struct rte_mbuf *m)
{
	uint32_t page = __atomic_load_n(&ppool_frag_of(m)->header_page, __ATOMIC_RELAXED);
	const struct ppool_class *c;
	struct ppool_page *pg;
	uint32_t i;

	if (page >= p->mp->size)
		return NULL;
	pg = &p->page[page];
	c = ppool_class_look(p, pg);
	if (c == NULL || (const char *)m <= pg->obj)
		return NULL;
	i = ppool_slot_index(p, c, pg, m);
	return i < ppool_slots_formatted(c, pg) && ppool_slot_at(p, c, pg, i) == m ? pg : NULL;
}

void
ppool_slot_lost(const struct ppool *p, const struct rte_mbuf *m)
{
	PPOOL_LOG(ERR, "mempool %s: the record of mbuf %p was overwritten: it is lost", p->mp->name,
			(const void *)m);
}

/*
 * A page has one more idle slot. One that belongs to nobody is in the depot: depot_repair() goes by
 * that.
 */
static void
depot_push(struct ppool *p, struct ppool_page *pg, struct rte_mbuf *m)
{
	struct ppool_frag *frag = ppool_frag_of(m);
	struct ppool_class *c = depot_class(p, pg);

	frag->owner = PPOOL_OWNER_NONE;
	frag->next_idle = pg->idle_first;
	pg->idle_first = ppool_slot_index(p, c, pg, m);
	depot_set_idle(p, c, pg, pg->idle + 1);
}

/* Returns the slot page that has one more idle slot now, NULL where the slot is lost. */
static struct ppool_page *
depot_push_checked(struct ppool *p, struct rte_mbuf *m)
{
	struct ppool_page *pg = ppool_slot_page(p, m);

	if (unlikely(pg == NULL))
		ppool_slot_lost(p, m);
	else
		depot_push(p, pg, m);
	return pg;
}

/*
 * Whoever shares the memory can write to the records of idle slots: no link may lead out of the
 * page, and to no slot that is somebody's. Returns how many were taken: less than n where one does.
 */
static unsigned int
depot_unlist(const struct ppool *p, const struct ppool_class *c, struct ppool_page *pg,
		struct rte_mbuf **m, unsigned int n)
{
	struct ppool_frag *frag;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (unlikely(pg->idle_first >= pg->formatted))
			break;
		m[i] = ppool_slot_at(p, c, pg, pg->idle_first);
		frag = ppool_frag_of(m[i]);
		if (unlikely(frag->owner != PPOOL_OWNER_NONE))
			break;
		pg->idle_first = frag->next_idle;
		frag->owner = ppool_owner_me();
	}
	return i;
}

/* List those slots of a page, in no list yet, that nobody has. */
static void
depot_list_page(struct ppool *p, struct ppool_page *pg)
{
	struct ppool_class *c = depot_class(p, pg);
	struct rte_mbuf *m;
	uint32_t i;

	pg->idle_first = PPOOL_NONE;
	if (pg->formatted < c->slots)
		depot_set_idle(p, c, pg, c->slots - pg->formatted);
	for (i = pg->formatted; i-- > 0;) {
		m = ppool_slot_at(p, c, pg, i);
		if (ppool_frag_of(m)->owner == PPOOL_OWNER_NONE)
			depot_push(p, pg, m);
	}
}

/* The links of a page were overwritten: make its list anew. What was taken of it has an owner. */
static __rte_noinline void
depot_relist_page(struct ppool *p, struct ppool_page *pg)
{
	PPOOL_LOG(ERR, "mempool %s: records of idle mbufs were overwritten: listed anew",
			p->mp->name);
	depot_set_idle(p, depot_class(p, pg), pg, 0);
	depot_list_page(p, pg);
}

/*
 * The next slots of a page, which are ours at once. Nobody reads them before all of it is written:
 * those of a process that ends in between are still to be formatted. So it is done with the lock
 * held; PPOOL_FORMAT bounds for how long: 32 slots take about 1,900 cycles, once in a page's life.
 */
static void
depot_format(const struct ppool *p, const struct ppool_class *c, struct ppool_page *pg,
		struct rte_mbuf **m, unsigned int n)
{
	uint32_t first = pg->formatted;
	unsigned int i;

	for (i = 0; i < n; i++) {
		slot_format(p, pg, c, first + i);
		m[i] = ppool_slot_at(p, c, pg, first + i);
		ppool_frag_of(m[i])->owner = ppool_owner_me();
	}
	__atomic_store_n(&pg->formatted, first + n, __ATOMIC_RELEASE);
}

/* Take up to n idle slots of a slot page, of which up to *fresh may be formatted for that. */
static unsigned int
depot_pop_from(struct ppool *p, struct ppool_page *pg, struct rte_mbuf **m, unsigned int n,
		unsigned int *fresh)
{
	struct ppool_class *c = depot_class(p, pg);
	unsigned int listed, k;

	if (pg->idle == 0)
		return 0;
	listed = RTE_MIN(n, ppool_slots_listed(c, pg));
	k = depot_unlist(p, c, pg, m, listed);
	if (unlikely(k < listed)) {
		depot_relist_page(p, pg);
		return k;
	}
	k = RTE_MIN(RTE_MIN(n - listed, *fresh), c->slots - pg->formatted);
	if (k > 0)
		depot_format(p, c, pg, m + listed, k);
	*fresh -= k;
	n = listed + k;
	if (n > 0)
		depot_set_idle(p, c, pg, pg->idle - n);
	return n;
}

/* From the fullest pages, until one has no others than those that are still to be formatted. */
static unsigned int
depot_pop(struct ppool *p, unsigned int size_class, struct rte_mbuf **m, unsigned int n)
{
	const struct ppool_class *c = &p->depot.size_class[size_class];
	unsigned int got = 0, fresh = PPOOL_FORMAT, i, k;

	for (i = 0; i < PPOOL_FILLS; i++)
		while (got < n && c->first[i] != PPOOL_NONE) {
			k = depot_pop_from(p, &p->page[c->first[i]], m + got, n - got, &fresh);
			if (k == 0)
				return got;
			got += k;
		}
	return got;
}

/*
 * Limbo: where slots are put while the depot is stuck. They stay in the hands of the one who put
 * them; whoever has the depot lock next takes all of them.
 */

static void
slots_limbo_push(struct ppool *p, struct rte_mbuf *m)
{
	struct rte_mbuf *first = __atomic_load_n(&p->depot.limbo, __ATOMIC_RELAXED);

	do {
		m->next = first;
	} while (!__atomic_compare_exchange_n(&p->depot.limbo, &first, m, true, __ATOMIC_RELEASE,
			__ATOMIC_RELAXED));
}

/* One by one: a process that ends here has one slot in hand, which says so. */
static __rte_noinline void
slots_limbo_drain(struct ppool *p)
{
	struct rte_mbuf *m = __atomic_load_n(&p->depot.limbo, __ATOMIC_ACQUIRE);

	while (m != NULL) {
		ppool_frag_of(m)->owner = ppool_owner_me();
		if (!__atomic_compare_exchange_n(&p->depot.limbo, &m, m->next, false,
				    __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
			continue;
		m->next = NULL;
		depot_push_checked(p, m);
		m = __atomic_load_n(&p->depot.limbo, __ATOMIC_ACQUIRE);
	}
}

/* Add a slot page with those of its slots that nobody has. */
static void
depot_add_page(struct ppool *p, struct ppool_page *pg)
{
	pg->idle = 0;
	depot_list_page(p, pg);
	PPOOL_COUNT(depot_class(p, pg)->nb_pages, 1);
}

void
ppool_depot_init(struct ppool_depot *d)
{
	unsigned int i, k;

	for (i = 0; i < d->nb_classes; i++) {
		for (k = 0; k < PPOOL_FILLS; k++)
			d->size_class[i].first[k] = PPOOL_NONE;
		d->size_class[i].nb_idle = 0;
		d->size_class[i].nb_idle_pages = 0;
		d->size_class[i].nb_pages = 0;
	}
}

/* The process that held the depot lock has ended: make the lists anew, from the slots. */
static __rte_noinline void
depot_repair(struct ppool *p)
{
	uint32_t i;

	ppool_depot_init(&p->depot);
	for (i = 0; i < ppool_nb_pages(p); i++)
		if (ppool_page_is_slots(&p->page[i]))
			depot_add_page(p, &p->page[i]);
	ppool_park_repair(p);
}

static void
depot_settle(struct ppool *p, enum ppool_locked locked)
{
	if (unlikely(locked == PPOOL_TAKEN_OVER))
		depot_repair(p);
	if (unlikely(__atomic_load_n(&p->depot.limbo, __ATOMIC_RELAXED) != NULL))
		slots_limbo_drain(p);
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

bool
ppool_depot_relist(struct ppool *p)
{
	if (!ppool_depot_enter(p))
		return false;
	depot_repair(p);
	ppool_depot_leave(p);
	return true;
}

void
ppool_depot_leave(struct ppool *p)
{
	ppool_mutex_unlock(&p->depot.lock);
	ppool_debug_depot_left(p);
}

/* The page goes back where slots have become idle since its caller looked for some. */
bool
ppool_slots_add_page(struct ppool *p, unsigned int size_class, void *obj)
{
	struct ppool_page *pg = ppool_page_of(p, obj);
	bool entered, taken = false;

	ppool_debug_pages_out(p, &obj, 1, PPOOL_DEBUG_SLOTS);
	entered = ppool_depot_enter(p);
	if (likely(entered)) {
		taken = p->depot.size_class[size_class].nb_idle == 0;
		if (likely(taken)) {
			ppool_page_split(pg, size_class);
			depot_add_page(p, pg);
			ppool_debug_page_taken(p, size_class);
		}
		ppool_depot_leave(p);
	}
	if (likely(taken)) {
		__atomic_fetch_add(&p->stats.header_page_get, 1, __ATOMIC_RELAXED);
	} else {
		ppool_debug_pages_in(p, &obj, 1, PPOOL_DEBUG_SLOTS);
		ppool_freelist_put(p, &obj, 1);
	}
	return entered;
}

/* Give a wholly idle slot page back. */
static void
depot_page_home(struct ppool *p, struct ppool_page *pg)
{
	struct ppool_class *c = depot_class(p, pg);
	void *obj = pg->obj;

	ppool_debug_slots_home(p, pg);
	depot_set_idle(p, c, pg, 0);
	PPOOL_COUNT(c->nb_pages, -1);
	ppool_page_retire(pg, ppool_owner_me());
	ppool_debug_pages_in(p, &obj, 1, PPOOL_DEBUG_SLOTS);
	ppool_freelist_put(p, &obj, 1);
	__atomic_fetch_add(&p->stats.header_page_put, 1, __ATOMIC_RELAXED);
}

static unsigned int
class_release(struct ppool *p, struct ppool_class *c)
{
	unsigned int before = c->nb_idle_pages;
	struct ppool_page *pg;
	uint32_t i, next;

	if (before == 0)
		return 0;
	for (i = *depot_list(c, c->slots); i != PPOOL_NONE && c->nb_idle_pages > 0; i = next) {
		pg = &p->page[i];
		next = pg->next;
		if (pg->idle == c->slots)
			depot_page_home(p, pg);
	}
	return before - c->nb_idle_pages;
}

unsigned int
ppool_depot_release(struct ppool *p)
{
	unsigned int i, n = 0;

	for (i = 0; i < p->depot.nb_classes; i++)
		n += class_release(p, &p->depot.size_class[i]);
	return n;
}

unsigned int
ppool_depot_pop(struct ppool *p, unsigned int size_class, struct rte_mbuf **m, unsigned int n)
{
	if (!ppool_depot_enter(p))
		return 0;
	n = depot_pop(p, size_class, m, n);
	ppool_depot_leave(p);
	return n;
}

unsigned int
ppool_depot_pop_from(struct ppool *p, unsigned int size_class, uint32_t page, struct rte_mbuf **m,
		unsigned int n)
{
	const struct ppool_class *c = &p->depot.size_class[size_class];
	unsigned int fresh = PPOOL_FORMAT;

	if (!ppool_depot_enter(p))
		return 0;
	/* It may have gone home in the meantime. */
	if (ppool_class_look(p, &p->page[page]) != c)
		n = 0;
	else
		n = depot_pop_from(p, &p->page[page], m, n, &fresh);
	ppool_depot_leave(p);
	ppool_debug_headers_out(p, m, n);
	return n;
}

/* Whether a page is idle, and the depot has others that are. */
static bool
depot_has_enough(const struct ppool *p, const struct ppool_page *pg)
{
	const struct ppool_class *c = ppool_class_of(p, pg);
	bool headers = ppool_page_class(pg) == PPOOL_HEADERS;

	return pg->idle == c->slots &&
			c->nb_idle_pages >
			(headers ? PPOOL_IDLE_HEADER_PAGES : PPOOL_IDLE_CLASS_PAGES);
}

void
ppool_depot_push(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_page *pg;
	unsigned int i;

	if (unlikely(!ppool_depot_enter(p))) {
		for (i = 0; i < n; i++)
			slots_limbo_push(p, m[i]);
		return;
	}
	for (i = 0; i < n; i++) {
		pg = depot_push_checked(p, m[i]);
		if (likely(pg != NULL) && depot_has_enough(p, pg))
			depot_page_home(p, pg);
	}
	ppool_depot_leave(p);
}

/* Idle slots of an lcore */

/* As many as an lcore can have. */
#define LCORE_SLOTS_MAX RTE_DIM(((struct ppool_lcore *)NULL)->slots)

/* Take all idle slots of an lcore, of all classes. Its lock held. Returns how many. */
static unsigned int
lcore_slots_pop_all(const struct ppool *p, struct ppool_lcore *lc, struct rte_mbuf **m)
{
	unsigned int i, k, n = 0;

	for (i = 0; i < p->depot.nb_classes; i++) {
		k = lc->nb_slots[i];
		memcpy(m + n, ppool_lcore_slots(lc, i), k * sizeof(m[0]));
		ppool_slots_own(m + n, k, ppool_owner_me());
		__atomic_store_n(&lc->nb_slots[i], 0, __ATOMIC_RELEASE);
		n += k;
	}
	return n;
}

static bool
lcore_has_slots(const struct ppool *p, const struct ppool_lcore *lc)
{
	unsigned int i;

	for (i = 0; i < p->depot.nb_classes; i++)
		if (__atomic_load_n(&lc->nb_slots[i], __ATOMIC_RELAXED) != 0)
			return true;
	return false;
}

/* The lists of any lcore, ours or not. Returns false where somebody is stopped inside. */
static bool
lcore_lock(const struct ppool *p, struct ppool_lcore *lc)
{
	return lc == ppool_lcore_existing(p) ? ppool_lock_owner(&lc->lock) :
					       ppool_lock_visitor(&lc->lock);
}

static void
lcore_unlock(const struct ppool *p, struct ppool_lcore *lc)
{
	if (lc == ppool_lcore_existing(p))
		ppool_unlock_owner(&lc->lock);
	else
		ppool_unlock_visitor(&lc->lock);
}

/* Take all idle slots of any lcore, of all classes. Returns how many. */
static unsigned int
lcore_slots_take(struct ppool *p, struct ppool_lcore *lc, struct rte_mbuf **m)
{
	unsigned int n;

	if (!lcore_has_slots(p, lc) || !lcore_lock(p, lc))
		return 0;
	n = lcore_slots_pop_all(p, lc, m);
	lcore_unlock(p, lc);
	return n;
}

void
ppool_slots_flush_all(struct ppool *p)
{
	struct rte_mbuf *m[LCORE_SLOTS_MAX];
	struct ppool_lcore *lc;
	unsigned int n;

	/* While the depot is stuck, they would be in limbo, and their lcores without any. */
	if (!ppool_depot_enter(p))
		return;
	ppool_depot_leave(p);
	PPOOL_LCORE_FOREACH(p, lc) {
		n = lcore_slots_take(p, lc, m);
		if (n > 0)
			ppool_depot_push(p, m, n);
	}
}

/*
 * Our lists are full: their coldest half goes to the depot. Our lock held. Returns how many. While
 * they move, the count is 0: where this process ends here, slots are in no list, which
 * ppool_recover_rest() finds, and none is in two.
 */
static unsigned int
lcore_slots_cool(const struct ppool *p, struct ppool_lcore *lc, unsigned int size_class,
		struct rte_mbuf **cold)
{
	uint32_t *n = &lc->nb_slots[size_class];
	unsigned int k = RTE_MIN(*n, (ppool_lcore_slots_keep(p, size_class) + 1) / 2),
		     rest = *n - k;
	struct rte_mbuf **slots = ppool_lcore_slots(lc, size_class);

	__atomic_store_n(n, 0, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	memcpy(cold, slots, k * sizeof(cold[0]));
	memmove(slots, slots + k, rest * sizeof(cold[0]));
	__atomic_store_n(n, rest, __ATOMIC_RELEASE);
	return k;
}

/* No room: the coldest half of those of the lcore goes to the depot, or the new ones if many. */
static __rte_noinline void
slots_put_slow(struct ppool *p, unsigned int size_class, struct rte_mbuf * const *m, unsigned int n)
{
	bool many = n > ppool_lcore_slots_keep(p, size_class) / 2;
	struct ppool_lcore *lc = many ? NULL : ppool_lcore_enter(p);
	struct rte_mbuf *cold[PPOOL_LCORE_HEADERS];
	unsigned int k;

	if (lc == NULL) {
		ppool_depot_push(p, m, n);
		return;
	}
	k = lcore_slots_cool(p, lc, size_class, cold);
	ppool_lcore_push_slots(p, lc, size_class, m, n);
	ppool_lcore_leave(lc);
	ppool_depot_push(p, cold, k);
}

void
ppool_slots_put(struct ppool *p, unsigned int size_class, struct rte_mbuf * const *m,
		unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_enter(p);
	bool done = false;

	if (likely(lc != NULL)) {
		done = ppool_lcore_push_slots(p, lc, size_class, m, n);
		ppool_lcore_leave(lc);
	}
	if (unlikely(!done))
		slots_put_slow(p, size_class, m, n);
}

/* Whether a process that has ended has noted its name on slots of an lcore, to take them. */
PPOOL_RACY static bool
lcore_slots_are_marked(const struct ppool *p, struct ppool_lcore *lc, uint32_t process)
{
	ppool_owner_t owner;
	uint32_t i, k, n;

	for (i = 0; i < p->depot.nb_classes; i++) {
		n = __atomic_load_n(&lc->nb_slots[i], __ATOMIC_RELAXED);
		for (k = 0; k < n; k++) {
			owner = ppool_frag_of(ppool_lcore_slots(lc, i)[k])->owner;
			if (ppool_owner_process(owner) == process)
				return true;
		}
	}
	return false;
}

/* They stay where they are: it ended before it had taken them. Returns false where it cannot be. */
static bool
lcore_slots_unmark(struct ppool *p, struct ppool_lcore *lc)
{
	uint32_t i;

	if (!lcore_lock(p, lc))
		return false;
	for (i = 0; i < p->depot.nb_classes; i++)
		ppool_slots_own(ppool_lcore_slots(lc, i), lc->nb_slots[i], lc->owner);
	lcore_unlock(p, lc);
	return true;
}

bool
ppool_slots_inherit(struct ppool *p, uint32_t process)
{
	struct rte_mbuf *m[LCORE_SLOTS_MAX];
	struct ppool_lcore *lc;
	unsigned int n;

	PPOOL_LCORE_FOREACH(p, lc) {
		if (lc->lock.process == process) {
			n = lcore_slots_take(p, lc, m);
			ppool_depot_push(p, m, n);
			if (lcore_has_slots(p, lc))
				return false;
		} else if (lcore_slots_are_marked(p, lc, process) && !lcore_slots_unmark(p, lc)) {
			return false;
		}
	}
	return true;
}

void
ppool_slot_restore(struct ppool *p, struct rte_mbuf *m)
{
	const struct ppool_frag *frag = ppool_frag_of(m);

	if (frag->account < PPOOL_RECORD_SLOT)
		ppool_header_reset(p, m);
	else
		mbuf_init(p, &p->depot.size_class[ppool_record_class(frag)], m);
}

void
ppool_header_reset(const struct ppool *p, struct rte_mbuf *m)
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
ppool_headers_return(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	ppool_debug_headers_in(p, m, n);
	ppool_slots_own(m, n, ppool_owner_me());
	ppool_slots_put(p, PPOOL_HEADERS, m, n);
}
