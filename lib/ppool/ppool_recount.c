/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * What processes that have ended left in no list, or half done: everything is counted anew from
 * slots, lanes and lists, while nobody works. Taking back what says whose it is comes first, in
 * ppool_recover.c.
 */

#include <errno.h>
#include <stdlib.h>

#include "ppool_freelist.h"
#include "ppool_mono.h"
#include "ppool_private.h"
#include "ppool_recover.h"
#include "ppool_recover_private.h"

struct page_sum {
	uint64_t users;
	uint64_t bytes;
	bool listed; /* a free page in a list */
	bool lane;   /* a carver fills it */
};

struct recount {
	struct page_sum *page;
	uint8_t *slot_listed; /* by page and slot */
	uint64_t frags;
	uint64_t bytes;
	uint64_t slots;  /* with a data room, handed out */
	uint8_t no_slot; /* in place of slot_listed where a record was overwritten: not 0 */
	struct ppool_recovered *r;
};

static uint8_t *
slot_flag(const struct ppool *p, struct recount *rc, const struct rte_mbuf *m)
{
	const struct ppool_page *pg = ppool_slot_page(p, m);

	rc->no_slot = 1;
	if (pg == NULL)
		return &rc->no_slot;
	return &rc->slot_listed[(size_t)(pg - p->page) * p->layout.slots +
			ppool_slot_index(p, ppool_class_of(p, pg), pg, m)];
}

static void
slots_note_listed(const struct ppool *p, struct recount *rc, struct rte_mbuf * const *m,
		unsigned int n)
{
	while (n-- > 0)
		*slot_flag(p, rc, m[n]) = 1;
}

static void
depot_note_pages(const struct ppool *p, struct recount *rc, uint32_t i)
{
	const struct ppool_class *c;
	const struct ppool_page *pg;
	uint32_t n, slot;

	for (; i != PPOOL_NONE; i = pg->next) {
		pg = &p->page[i];
		c = ppool_class_of(p, pg);
		slot = pg->idle_first;
		for (n = ppool_slots_listed(c, pg); n > 0 && slot < pg->formatted; n--) {
			rc->slot_listed[(size_t)i * p->layout.slots + slot] = 1;
			slot = ppool_frag_of(ppool_slot_at(p, c, pg, slot))->next_idle;
		}
	}
}

static void
depot_note_listed(const struct ppool *p, struct recount *rc)
{
	unsigned int i, k;

	for (i = 0; i < p->depot.nb_classes; i++)
		for (k = 0; k < PPOOL_FILLS; k++)
			depot_note_pages(p, rc, p->depot.size_class[i].first[k]);
}

static void
page_note_listed(struct ppool *p, void *obj, void *arg)
{
	struct recount *rc = arg;

	rc->page[*ppool_index_of(obj)].listed = true;
	RTE_SET_USED(p);
}

static void
carver_note(const struct ppool *p, struct recount *rc, const struct ppool_carver *c)
{
	const struct ppool_lane *l;
	struct page_sum *sum;

	slots_note_listed(p, rc, c->reserve, c->nb_reserve);
	for (l = c->lane; l < c->lane + c->nb_lanes; l++) {
		if (l->left == 0)
			continue;
		sum = &rc->page[l->page];
		sum->lane = true;
		sum->users += PPOOL_BIAS - l->frags;
		sum->bytes += l->left + l->unbilled + c->tail_bytes;
	}
}

static void
slot_count(struct ppool *p, struct rte_mbuf *m, void *arg)
{
	const struct ppool_frag *frag = ppool_frag_of(m);
	struct recount *rc = arg;

	if (!ppool_record_is_header(frag)) {
		rc->slots += *slot_flag(p, rc, m) == 0;
		return;
	}
	if (frag->truesize == 0 || frag->page >= p->mp->size)
		return;
	rc->frags++;
	rc->bytes += frag->truesize;
	rc->page[frag->page].users++;
	rc->page[frag->page].bytes += frag->truesize;
}

/* An idle slot in no list, of one who has ended, or lost by one. */
static void
slot_relist(struct ppool *p, struct rte_mbuf *m, void *arg)
{
	const struct ppool_frag *frag = ppool_frag_of(m);
	struct recount *rc = arg;

	if ((ppool_record_is_header(frag) && frag->truesize != 0) || *slot_flag(p, rc, m) != 0)
		return;
	if (frag->owner != PPOOL_OWNER_NONE &&
			!ppool_process_is_dead(ppool_owner_process(frag->owner)))
		return;
	ppool_slot_restore(p, m);
	ppool_debug_slot_found(p, m, false);
	if (ppool_record_is_header(frag)) {
		rc->r->headers++;
	} else {
		rc->slots--;
		rc->r->slots++;
	}
	ppool_depot_push(p, &m, 1);
}

/* Returns whether the page is nobody's. */
static bool
data_page_count(struct ppool_page *pg, const struct page_sum *sum)
{
	uint64_t users = sum->users + (pg->parked ? 1 : 0);
	uint64_t bytes = sum->bytes + (pg->parked ? pg->open : 0);

	if (!sum->lane) {
		if (!ppool_page_is_mono(pg))
			pg->owner = 0;
		pg->owner_drop = 0;
	}
	/* An owner that is alive takes off what it has dropped when it settles. */
	__atomic_store_n(&pg->use, users * PPOOL_USER + bytes + pg->owner_drop, __ATOMIC_RELEASE);
	return users == 0;
}

/* A page in no list that nobody alive has taken. */
static bool
whole_page_is_lost(const struct ppool *p, const struct ppool_page *pg, const struct page_sum *sum)
{
	if (pg->kind != PPOOL_KIND_UNSPLIT || sum->listed || !p->tracked)
		return false;
	return pg->holder == PPOOL_OWNER_NONE ||
			ppool_process_is_dead(ppool_owner_process(pg->holder));
}

static void
pages_count(struct ppool *p, struct recount *rc)
{
	ppool_owner_t me = ppool_owner_me();
	struct ppool_page *pg;
	uint32_t i;
	void *obj;

	/* Only now: what was relisted may have sent slot pages home. */
	ppool_freelist_each(p, page_note_listed, rc);
	for (i = 0; i < p->mp->size; i++) {
		pg = &p->page[i];
		obj = pg->obj;
		if (pg->kind == PPOOL_KIND_DATA && data_page_count(pg, &rc->page[i]))
			ppool_page_retire(pg, me);
		else if (!whole_page_is_lost(p, pg, &rc->page[i]))
			continue;
		ppool_mono_reset(p, pg);
		ppool_debug_page_found(p, obj, PPOOL_DEBUG_FREE);
		ppool_freelist_put(p, &obj, 1);
		rc->r->pages++;
	}
}

/* Ordinary objects that are out, as the free lists have it. */
static void
whole_recount(struct ppool *p)
{
	const struct ppool_lcore *lc;
	int64_t counted = __atomic_load_n(&p->whole, __ATOMIC_RELAXED), out = 0;
	uint32_t i;

	PPOOL_LCORE_FOREACH(p, lc)
		counted += lc->whole;
	for (i = 0; i < p->mp->size; i++)
		out += p->page[i].kind == PPOOL_KIND_UNSPLIT;
	out -= ppool_freelist_count(p);
	__atomic_fetch_add(&p->whole, out - counted, __ATOMIC_RELAXED);
}

static void
stats_count(struct ppool *p, const struct recount *rc)
{
	struct ppool_stats s;

	ppool_stats_get(p->mp, &s);
	p->stats.frag_alloc += rc->frags - (s.frag_alloc - s.frag_free);
	p->stats.slot_alloc += rc->slots - (s.slot_alloc - s.slot_free);
	p->stats.frag_alloc_bytes += rc->bytes - (s.frag_alloc_bytes - s.frag_free_bytes);
}

static void
lists_note(struct ppool *p, struct recount *rc)
{
	const struct ppool_carver *c;
	struct ppool_lcore *lc;
	unsigned int i;

	depot_note_listed(p, rc);
	PPOOL_LCORE_FOREACH(p, lc)
		for (i = 0; i < p->depot.nb_classes; i++)
			slots_note_listed(p, rc, ppool_lcore_slots(lc, i), lc->nb_slots[i]);
	for (c = p->carvers; c != NULL; c = c->next)
		carver_note(p, rc, c);
}

static void
recount_run(struct ppool *p, struct recount *rc)
{
	rc->r->carvers += ppool_carvers_reap(p);
	lists_note(p, rc);
	ppool_slots_each(p, slot_count, rc);
	ppool_slots_each(p, slot_relist, rc);
	pages_count(p, rc);
	whole_recount(p);
	stats_count(p, rc);
}

int
ppool_recover_rest(struct rte_mempool *mp, struct ppool_recovered *r)
{
	struct ppool *p = ppool_from_mempool(mp);
	struct ppool_recovered none = { .frags = 0 };
	struct recount rc = { .r = r != NULL ? r : &none };
	uint32_t process;
	int ret = -ENOMEM;

	if (p == NULL)
		return -ENOTSUP;
	if (p->page == NULL)
		return 0;
	ppool_process_join();
	/* Pages in limbo are in no list that is walked below. */
	if (!ppool_locks_take_over(p) || !ppool_freelist_settle(p) || !ppool_depot_relist(p))
		return -EAGAIN;
	rc.page = calloc(p->mp->size, sizeof(rc.page[0]));
	rc.slot_listed = calloc(p->mp->size, p->layout.slots);
	if (rc.page != NULL && rc.slot_listed != NULL) {
		recount_run(p, &rc);
		for (process = 1; process <= PPOOL_PROCESSES; process++)
			if (ppool_process_is_dead(process) && ppool_process_left_nothing(process))
				ppool_process_forget(process);
		ret = 0;
	}
	free(rc.page);
	free(rc.slot_listed);
	return ret;
}
