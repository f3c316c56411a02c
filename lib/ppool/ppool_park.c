/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Pages that carvers left behind with bytes at their end: the next lane that wants one continues
 * it, or it is released with its last frag. All of it under the depot lock.
 */

#include "ppool_freelist.h"

/* How many parked pages a lane looks at before it opens a fresh one. */
#define ADOPT_TRIES 8u

/* Leave a page, with bytes at its end, to the next lane. */
void
ppool_park(struct ppool *p, struct ppool_page *pg, uint32_t open)
{
	struct ppool_depot *d = &p->depot;
	uint32_t i = (uint32_t)(pg - p->page);

	ppool_page_park(pg, open);
	pg->prev = PPOOL_NONE;
	pg->next = d->parked_first;
	if (d->parked_first != PPOOL_NONE)
		p->page[d->parked_first].prev = i;
	d->parked_first = i;
	__atomic_store_n(&d->nb_parked, d->nb_parked + 1, __ATOMIC_RELAXED);
}

void
ppool_unpark(struct ppool *p, struct ppool_page *pg)
{
	struct ppool_depot *d = &p->depot;

	ppool_page_unpark(pg);
	if (pg->prev == PPOOL_NONE)
		d->parked_first = pg->next;
	else
		p->page[pg->prev].next = pg->next;
	if (pg->next != PPOOL_NONE)
		p->page[pg->next].prev = pg->prev;
	__atomic_store_n(&d->nb_parked, d->nb_parked - 1, __ATOMIC_RELAXED);
}

/* A parked page with that many open bytes, NULL where there is none among the first. */
struct ppool_page *
ppool_park_find(struct ppool *p, uint32_t bytes)
{
	uint32_t i = p->depot.parked_first;
	unsigned int tries;

	for (tries = 0; i != PPOOL_NONE && tries < ADOPT_TRIES; tries++) {
		if (p->page[i].open >= bytes)
			return &p->page[i];
		i = p->page[i].next;
	}
	return NULL;
}

/* Free the parked pages whose frags have all been freed. Returns how many. */
unsigned int
ppool_park_release(struct ppool *p)
{
	struct ppool_page *pg;
	unsigned int n = 0;
	uint32_t i, next;
	void *obj;

	for (i = p->depot.parked_first; i != PPOOL_NONE; i = next) {
		pg = &p->page[i];
		next = pg->next;
		if (!ppool_page_parked_unused(pg))
			continue;
		ppool_unpark(p, pg);
		ppool_page_retire(pg, ppool_owner_me());
		obj = pg->obj;
		ppool_debug_pages_in(p, &obj, 1, PPOOL_DEBUG_DATA);
		ppool_freelist_put(p, &obj, 1);
		n++;
	}
	return n;
}

/* Make the list anew, from what the pages say of themselves. */
void
ppool_park_repair(struct ppool *p)
{
	struct ppool_depot *d = &p->depot;
	uint32_t i;

	d->parked_first = PPOOL_NONE;
	d->nb_parked = 0;
	for (i = 0; i < ppool_nb_pages(p); i++)
		if (p->page[i].kind == PPOOL_KIND_DATA && p->page[i].parked)
			ppool_park(p, &p->page[i], p->page[i].open);
}
