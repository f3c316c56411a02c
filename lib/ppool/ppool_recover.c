/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Who has what, and taking it back from processes that have ended. What a page or a slot says of
 * its owner is all there is to go by. Counting anew what nobody can tell is in ppool_recount.c.
 */

#include <errno.h>
#include <stdlib.h>

#include "ppool_account_table.h"
#include "ppool_freelist.h"
#include "ppool_mono.h"
#include "ppool_private.h"
#include "ppool_recover.h"
#include "ppool_recover_private.h"
#include "ppool_slot_pool.h"

/* Slots */

static void
page_slots_each(struct ppool *p, const struct ppool_page *pg, ppool_slot_cb_t *f, void *arg)
{
	const struct ppool_class *c = ppool_class_look(p, pg);
	uint32_t i;

	if (c == NULL)
		return;
	/* What is done to the last slot in use may send the page home. */
	for (i = 0; i < ppool_slots_formatted(c, pg) && ppool_class_look(p, pg) == c; i++)
		f(p, ppool_slot_at(p, c, pg, i), arg);
}

/* A slot page stays one while a slot of it is in use. */
void
ppool_slots_each(struct ppool *p, ppool_slot_cb_t *f, void *arg)
{
	uint32_t i;

	for (i = 0; i < ppool_nb_pages(p); i++)
		if (ppool_page_is_slots(&p->page[i]))
			page_slots_each(p, &p->page[i], f, arg);
}

/* Listing */

struct listing {
	struct ppool_owner_info owner[PPOOL_OWNERS];
};

static void
slot_list(struct ppool *p, struct rte_mbuf *m, void *arg)
{
	const struct ppool_frag *frag = ppool_frag_of(m);
	uint32_t truesize = __atomic_load_n(&frag->truesize, __ATOMIC_RELAXED);
	ppool_owner_t owner = __atomic_load_n(&frag->owner, __ATOMIC_RELAXED);
	struct listing *l = arg;
	struct ppool_owner_info *info;

	RTE_SET_USED(p);
	if (owner == PPOOL_OWNER_NONE || owner >= PPOOL_OWNERS)
		return;
	info = &l->owner[owner];
	if (truesize == 0) {
		info->idle_headers++;
		return;
	}
	if (ppool_record_is_header(frag))
		info->frags++;
	else
		info->slots++;
	info->bytes += truesize + frag->slot_bytes;
	if (ppool_record_account(frag) == PPOOL_ACCOUNT_NONE)
		info->uncharged += truesize + frag->slot_bytes;
}

static void
pages_list(const struct ppool *p, struct listing *l)
{
	const struct ppool_page *pg;
	uint32_t i;

	if (!p->tracked)
		return;
	for (i = 0; i < p->mp->size; i++) {
		pg = &p->page[i];
		if (pg->kind == PPOOL_KIND_UNSPLIT && pg->holder != PPOOL_OWNER_NONE &&
				pg->holder < PPOOL_OWNERS)
			l->owner[pg->holder].pages++;
	}
}

/* Slots in lists belong to their owners, too. */
static void
idle_slots_list(const struct ppool *p, const struct ppool_lcore *lc, struct ppool_owner_info *info)
{
	uint64_t n, bytes;
	unsigned int i;

	for (i = PPOOL_HEADERS + 1; i < p->depot.nb_classes; i++) {
		n = __atomic_load_n(&lc->nb_slots[i], __ATOMIC_RELAXED);
		bytes = n * p->layout.page_bytes / p->depot.size_class[i].slots;
		info->slots -= RTE_MIN(n, info->slots);
		info->bytes -= RTE_MIN(bytes, info->bytes);
		info->uncharged -= RTE_MIN(bytes, info->uncharged);
	}
}

static void
lists_list(struct ppool *p, struct listing *l)
{
	const struct ppool_lcore *lc;

	PPOOL_LCORE_FOREACH(p, lc) {
		l->owner[lc->owner].free_pages += lc->nb_pages + lc->nb_spare;
		idle_slots_list(p, lc, &l->owner[lc->owner]);
	}
}

static void
carvers_list(struct ppool *p, struct listing *l)
{
	const struct ppool_carver *c;

	ppool_carvers_lock(p);
	for (c = p->carvers; c != NULL; c = c->next)
		if (c->driver < PPOOL_OWNERS)
			l->owner[c->driver].carvers++;
	ppool_carvers_unlock(p);
}

static bool
owner_has_something(const struct ppool_owner_info *info)
{
	return (info->carvers | info->frags | info->slots | info->pages | info->free_pages |
			       info->idle_headers) != 0;
}

static unsigned int
listing_copy(struct listing *l, struct ppool_owner_info *info, unsigned int n)
{
	unsigned int i, found = 0, lcore;

	for (i = 1; i < PPOOL_OWNERS; i++) {
		if (!owner_has_something(&l->owner[i]))
			continue;
		if (found < n) {
			info[found] = l->owner[i];
			lcore = ppool_owner_lcore(i);
			info[found].lcore = lcore == LCORE_ID_ANY ? -1 : (int32_t)lcore;
			info[found].process = ppool_owner_process(i);
			info[found].pid = ppool_process_pid(ppool_owner_process(i));
			info[found].dead = ppool_process_is_dead(ppool_owner_process(i));
		}
		found++;
	}
	return found;
}

int
ppool_owners_get(struct rte_mempool *mp, struct ppool_owner_info *info, unsigned int n)
{
	struct ppool *p = ppool_find(mp);
	struct listing *l;
	unsigned int found;

	if (p == NULL)
		return -ENOTSUP;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	ppool_slots_each(p, slot_list, l);
	pages_list(p, l);
	lists_list(p, l);
	carvers_list(p, l);
	found = listing_copy(l, info, n);
	free(l);
	return (int)found;
}

/* Claims */

static void
mbuf_claim(struct rte_mbuf *m, ppool_owner_t me)
{
	const struct ppool *p = ppool_from_mempool(m->pool);
	struct ppool_frag *frag = p == NULL ? NULL : ppool_record_of(m);

	if (frag != NULL)
		frag->owner = me;
	else if (p != NULL && p->tracked)
		ppool_page_of(p, m)->holder = me;
}

void
ppool_claim(struct rte_mbuf * const *m, unsigned int n)
{
	ppool_owner_t me;
	struct rte_mbuf *seg;
	unsigned int i;

	ppool_process_join();
	me = ppool_owner_me();
	for (i = 0; i < n; i++)
		for (seg = m[i]; seg != NULL; seg = seg->next)
			mbuf_claim(seg, me);
}

/*
 * Mbufs: frags are collected and freed some at a time, as their process would have; slots one by
 * one
 */

struct take_back {
	uint32_t process; /* of this process, charged to no account; or */
	uint16_t account; /* charged to this one */
	struct ppool_recovered *r;
	struct rte_mbuf *m[PPOOL_BULK];
	unsigned int n;
	bool stuck; /* a process was stopped in the depot: something may be left */
};

static void
take_back_flush(struct ppool *p, struct take_back *t)
{
	if (t->n > 0)
		ppool_frag_free_bulk(p, t->m, t->n);
	t->r->frags += t->n;
	t->n = 0;
}

static bool
frag_is_shared(const struct ppool_frag *frag, const struct ppool_page *pg)
{
	const struct rte_mbuf *m = (const struct rte_mbuf *)pg->obj;

	if (!ppool_page_is_mono(pg))
		return rte_mbuf_ext_refcnt_read(&frag->shinfo) > 1;
	/* Its clones refer to the mbuf of the page, or to its label. */
	return rte_mbuf_refcnt_read(m) > 1 ||
			(RTE_MBUF_HAS_EXTBUF(m) &&
					rte_mbuf_ext_refcnt_read(&ppool_frag_of(m)->shinfo) > 2);
}

/* A slot with a data room, which is idle if it belongs to nobody. */
static void
room_take_back(struct ppool *p, struct rte_mbuf *m, struct take_back *t)
{
	const struct ppool_frag *frag = ppool_frag_of(m);

	if (frag->owner == PPOOL_OWNER_NONE)
		return;
	if (rte_mbuf_refcnt_read(m) > 1) {
		t->r->shared++;
		return;
	}
	t->r->slots++;
	t->r->bytes += frag->truesize;
	ppool_slot_restore(p, m);
	ppool_debug_slot_found(p, m, true);
	ppool_slots_free_bulk(p, &m, 1);
}

/*
 * A page may go home while it is walked, and come back as one of another class, or of data: then
 * what was read is no record. Depot lock held: until it is left, the page stays what it is. One of
 * which somebody who has ended has a slot does so afterwards, too.
 */
static bool
slot_exists(const struct ppool *p, const struct rte_mbuf *m)
{
	const struct ppool_frag *frag = ppool_frag_of(m);
	const struct ppool_page *pg = ppool_slot_page(p, m);

	return pg != NULL &&
			ppool_page_class(pg) ==
			(ppool_record_is_header(frag) ? PPOOL_HEADERS : ppool_record_class(frag));
}

static bool
record_is_theirs(const struct ppool_frag *frag, const struct take_back *t)
{
	if (frag->truesize == 0 || ppool_record_account(frag) != t->account)
		return false;
	return t->process == 0 || ppool_owner_process(frag->owner) == t->process;
}

/*
 * Most slots are not, which needs no lock. That one is, has to be read while its page stays what it
 * is: devtools/model/format.pml has what happens else.
 */
static bool
slot_is_theirs(struct ppool *p, const struct rte_mbuf *m, struct take_back *t)
{
	bool is;

	if (!record_is_theirs(ppool_frag_of(m), t))
		return false;
	if (!ppool_depot_enter(p)) {
		t->stuck = true;
		return false;
	}
	is = slot_exists(p, m) && record_is_theirs(ppool_frag_of(m), t);
	ppool_depot_leave(p);
	return is;
}

/* Its process ended before it had made a page a frag: that is a whole one, and found as such. */
static void
header_take_back(struct ppool *p, struct rte_mbuf *m, struct take_back *t)
{
	ppool_frag_of(m)->truesize = 0;
	ppool_debug_slot_found(p, m, true);
	ppool_headers_return(p, &m, 1);
	t->r->headers++;
}

static void
frag_take_back(struct ppool *p, struct rte_mbuf *m, struct take_back *t)
{
	const struct ppool_frag *frag = ppool_frag_of(m);
	struct ppool_page *pg;

	if (frag->page >= p->mp->size)
		return;
	pg = &p->page[frag->page];
	if (t->process != 0 && pg->kind != PPOOL_KIND_DATA) {
		header_take_back(p, m, t);
		return;
	}
	/* A clone drops the last reference, and with it the frag. */
	if (frag_is_shared(frag, pg)) {
		t->r->shared++;
		return;
	}
	if (ppool_page_is_mono(pg))
		ppool_mono_reset(p, pg);
	ppool_header_reset(p, m);
	ppool_debug_slot_found(p, m, true);
	t->r->bytes += frag->truesize + frag->slot_bytes;
	t->m[t->n++] = m;
	if (t->n == RTE_DIM(t->m))
		take_back_flush(p, t);
}

static void
slot_take_back(struct ppool *p, struct rte_mbuf *m, void *arg)
{
	struct take_back *t = arg;

	if (!slot_is_theirs(p, m, t))
		return;
	if (ppool_record_is_header(ppool_frag_of(m)))
		frag_take_back(p, m, t);
	else
		room_take_back(p, m, t);
}

/* Returns false where something may be left, as another process is stopped inside. */
static bool
mbufs_take_back(struct ppool *p, uint32_t process, uint16_t account, struct ppool_recovered *r)
{
	struct take_back t = { .process = process, .account = account, .r = r };

	ppool_slots_each(p, slot_take_back, &t);
	take_back_flush(p, &t);
	return !t.stuck;
}

/* Whole pages */

/*
 * What rte_mempool has cached for lcores that only processes have used that ended. A cache belongs
 * to a number of an lcore: where a process is alive that uses it, it is left alone.
 */

static bool
lcore_is_of_dead(struct ppool *p, unsigned int id, uint32_t process)
{
	const struct ppool_lcore *lc;
	bool theirs = false;

	PPOOL_LCORE_FOREACH(p, lc) {
		if (ppool_owner_lcore(lc->owner) != id)
			continue;
		if (!ppool_process_is_dead(lc->lock.process))
			return false;
		theirs |= lc->lock.process == process;
	}
	return theirs;
}

static void
cache_take_back(struct ppool *p, unsigned int id, uint32_t process)
{
	struct rte_mempool_cache *cache = rte_mempool_default_cache(p->mp, id);
	uint32_t i, n;

	if (cache == NULL || !lcore_is_of_dead(p, id, process))
		return;
	n = cache->len;
	cache->len = 0;
	if (!p->tracked)
		return;
	for (i = 0; i < RTE_MIN(n, (uint32_t)RTE_DIM(cache->objs)); i++)
		ppool_page_of(p, cache->objs[i])->holder = ppool_owner_unbound(process);
}

static void
pages_take_back(struct ppool *p, uint32_t process, struct ppool_recovered *r)
{
	struct ppool_page *pg;
	unsigned int id;
	uint32_t i;
	void *obj;

	for (id = 0; id < RTE_MAX_LCORE; id++)
		cache_take_back(p, id, process);
	/* Whose pages are is not known. */
	if (!p->tracked)
		return;
	for (i = 0; i < p->mp->size; i++) {
		pg = &p->page[i];
		if (pg->kind != PPOOL_KIND_UNSPLIT || ppool_owner_process(pg->holder) != process)
			continue;
		obj = pg->obj;
		/* It may have been a clone, or have had some. */
		ppool_mono_reset(p, pg);
		ppool_debug_page_found(p, obj, PPOOL_DEBUG_WHOLE);
		rte_mempool_ops_enqueue_bulk(p->mp, &obj, 1);
		r->pages++;
	}
}

bool
ppool_locks_take_over(struct ppool *p)
{
	struct ppool_lcore *lc;

	ppool_mutex_release_dead(&p->create_lock);
	if (!ppool_depot_enter(p))
		return false;
	ppool_depot_leave(p);
	PPOOL_LCORE_FOREACH(p, lc)
		ppool_mutex_release_dead(&lc->lock.visitor);
	return true;
}

/*
 * Locks, free pages and idle slots that a process has left. Returns false where another process is
 * stopped inside.
 */
static bool
lists_take_over(struct ppool *p, uint32_t process)
{
	return ppool_locks_take_over(p) && ppool_freelist_inherit(p, process) &&
			ppool_slots_inherit(p, process);
}

/* The number of a process can be given away when no pool has anything of it. */

struct remains {
	uint32_t process;
	bool found;
};

static void
slot_search(struct ppool *p, struct rte_mbuf *m, void *arg)
{
	const struct ppool_frag *frag = ppool_frag_of(m);
	struct remains *remains = arg;

	RTE_SET_USED(p);
	remains->found |= ppool_owner_process(frag->owner) == remains->process;
}

/* Whole pages and data pages. */
static void
pages_search(const struct ppool *p, struct remains *remains)
{
	uint32_t i;

	for (i = 0; i < p->mp->size; i++)
		remains->found |= !ppool_page_is_slots(&p->page[i]) &&
				ppool_owner_process(p->page[i].holder) == remains->process;
}

/* Takes over what a process has left in lists, then searches the rest of a pool. */
static void
pool_inherit_and_search(struct rte_mempool *mp, void *arg)
{
	struct ppool *p = ppool_from_mempool(mp);
	struct remains *remains = arg;
	const struct ppool_carver *c;

	if (p == NULL || p->mp != mp || remains->found)
		return;
	/* Where its pages cannot be read, or its lists not be had, something may be left. */
	if (!ppool_is_mapped(p) || !lists_take_over(p, remains->process)) {
		remains->found = true;
		return;
	}
	ppool_carvers_lock(p);
	for (c = p->carvers; c != NULL; c = c->next)
		remains->found |= ppool_owner_process(c->driver) == remains->process;
	ppool_carvers_unlock(p);
	if (p->tracked)
		pages_search(p, remains);
	ppool_slots_each(p, slot_search, remains);
}

bool
ppool_process_left_nothing(uint32_t process)
{
	struct remains remains = { .process = process };

	if (ppool_accounts_get() != NULL)
		ppool_mutex_release_dead(&ppool_accounts_get()->lock);
	rte_mempool_walk(pool_inherit_and_search, &remains);
	return !remains.found;
}

/* A process */

int
ppool_recover_process(struct rte_mempool *mp, uint32_t process, struct ppool_recovered *r)
{
	struct ppool *p = ppool_from_mempool(mp);
	struct ppool_recovered none = { .frags = 0 };

	if (p == NULL)
		return -ENOTSUP;
	ppool_process_join();
	if (!ppool_process_exists(process) || process == PPOOL_PROCESS_JOINING)
		return -ENOENT;
	if (!ppool_process_is_dead(process))
		return -EBUSY;
	if (!lists_take_over(p, process))
		return -EAGAIN;
	if (r == NULL)
		r = &none;
	if (!mbufs_take_back(p, process, PPOOL_ACCOUNT_NONE, r))
		return -EAGAIN;
	pages_take_back(p, process, r);
	if (ppool_process_left_nothing(process))
		ppool_process_forget(process);
	return 0;
}

/* An account */

static void
pool_recover_account(struct rte_mempool *mp, void *arg)
{
	struct take_back *t = arg;
	struct ppool *p = ppool_from_mempool(mp);

	if (p != NULL && p->mp == mp && ppool_is_mapped(p) &&
			!mbufs_take_back(p, 0, t->account, t->r))
		t->stuck = true;
}

int
ppool_recover_account(uint16_t id, struct ppool_recovered *r)
{
	struct ppool_account *a = ppool_account_get(id);
	struct ppool_recovered none = { .frags = 0 };
	struct take_back t = { .account = id, .r = r != NULL ? r : &none };

	if (!ppool_account_exists(a))
		return -ENOENT;
	ppool_process_join();
	rte_mempool_walk(pool_recover_account, &t);
	if (t.stuck)
		return -EAGAIN;
	/* Who ended in the midst of charging had marked more, or less, than it took. */
	if (t.r->shared == 0) {
		__atomic_store_n(&a->used, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&a->foreign, 0, __ATOMIC_RELAXED);
	}
	return 0;
}

RTE_INIT(ppool_recover_init)
{
	ppool_process_set_check(ppool_process_left_nothing);
}
