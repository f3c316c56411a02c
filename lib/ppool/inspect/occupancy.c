/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* The data pages of a pool: how full, how old, whose. */

#include <string.h>

#include "occupancy.h"
#include "walk.h"

static unsigned int
age_bin(uint64_t ms)
{
	unsigned int bin = 0;
	uint64_t limit;

	for (limit = 10; bin + 1 < PPOOL_OCCUPANCY_AGES && ms >= limit; limit *= 10)
		bin++;
	return bin;
}

/* Keep it if it is one of the oldest. */
static void
page_rank(struct ppool_occupancy *s, const struct ppool_occupancy_page *page)
{
	unsigned int i = s->nb_oldest;

	if (i == PPOOL_OCCUPANCY_OLDEST && s->oldest[i - 1].age_ms >= page->age_ms)
		return;
	if (i < PPOOL_OCCUPANCY_OLDEST)
		s->nb_oldest++;
	else
		i--;
	for (; i > 0 && s->oldest[i - 1].age_ms < page->age_ms; i--)
		s->oldest[i] = s->oldest[i - 1];
	s->oldest[i] = *page;
}

/* -1: a thread that is no lcore. */
static int64_t
lcore_of(ppool_owner_t owner)
{
	unsigned int id = ppool_owner_lcore(owner);

	return owner == PPOOL_OWNER_NONE || id == LCORE_ID_ANY ? -1 : (int64_t)id;
}

/* Whether a page is open is part of its use, so that both are of one moment. */
PPOOL_RACY static void
page_look(const struct ppool *p, struct ppool_occupancy *s, uint32_t i)
{
	const struct ppool_page *pg = &p->page[i];
	uint64_t use = __atomic_load_n(&pg->use, __ATOMIC_ACQUIRE);
	struct ppool_occupancy_page page = {
		.page = i, .users = PPOOL_USERS(use), .owner = "none"
	};

	page.in_use = PPOOL_BYTES(use);
	if (ppool_is_open(use)) {
		page.in_use = PPOOL_BYTES(use - __atomic_load_n(&pg->owner_drop, __ATOMIC_RELAXED));
		page.users = 0;
		page.owner = "carver";
		s->carver++;
	} else if (__atomic_load_n(&pg->parked, __ATOMIC_RELAXED) != 0) {
		page.users -= RTE_MIN(page.users, 1u);
		page.owner = "parked";
		s->parked++;
	} else {
		s->closed++;
	}
	s->data++;
	s->occupancy[RTE_MIN(page.in_use * PPOOL_OCCUPANCY_TENTHS / p->layout.page_bytes,
			PPOOL_OCCUPANCY_TENTHS - 1u)]++;
	if (__atomic_load_n(&pg->opened, __ATOMIC_RELAXED) == 0) {
		s->no_age++;
		return;
	}
	page.age_ms = ppool_page_age(pg, p->time_shift);
	page.lcore = lcore_of(pg->holder);
	s->age[age_bin(page.age_ms)]++;
	page_rank(s, &page);
}

void
ppool_occupancy(const struct ppool *p, struct ppool_occupancy *s)
{
	struct ppool_walk walk;
	uint32_t i;

	memset(s, 0, sizeof(*s));
	ppool_walk_begin(&walk, p);
	for (i = 0; ppool_is_split(p) && i < p->mp->size; i++)
		if (ppool_page_is(&p->page[i], PPOOL_KIND_DATA))
			page_look(p, s, i);
	s->approximate = ppool_walk_end(&walk);
}
