/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <string.h>

#include "ppool_private.h"
#include "ppool_survey.h"

static unsigned int
age_bin(uint64_t ms)
{
	unsigned int bin = 0;
	uint64_t limit;

	for (limit = 10; bin + 1 < PPOOL_SURVEY_AGES && ms >= limit; limit *= 10)
		bin++;
	return bin;
}

/* Keep it if it is one of the oldest. */
static void
rank(struct ppool_survey *s, const struct ppool_survey_page *page)
{
	unsigned int i = s->nb_oldest;

	if (i == PPOOL_SURVEY_OLDEST && s->oldest[i - 1].age_ms >= page->age_ms)
		return;
	if (i < PPOOL_SURVEY_OLDEST)
		s->nb_oldest++;
	else
		i--;
	for (; i > 0 && s->oldest[i - 1].age_ms < page->age_ms; i--)
		s->oldest[i] = s->oldest[i - 1];
	s->oldest[i] = *page;
}

/* Whether a page is open is part of its use, so that both are of one moment. */
static void
look(const struct ppool *p, struct ppool_survey *s, uint32_t i)
{
	const struct ppool_page *pg = &p->page[i];
	uint64_t use = __atomic_load_n(&pg->use, __ATOMIC_ACQUIRE);
	struct ppool_survey_page page = { .page = i, .users = PPOOL_USERS(use), .owner = "none" };

	page.in_use = PPOOL_BYTES(use);
	if (ppool_is_open(use)) {
		page.in_use = PPOOL_BYTES(use - __atomic_load_n(&pg->owner_drop, __ATOMIC_RELAXED));
		page.users = 0;
		page.owner = "carver";
		s->carver++;
	} else if (__atomic_load_n(&pg->parked, __ATOMIC_RELAXED) != 0) {
		page.users--;
		page.owner = "parked";
		s->parked++;
	} else {
		s->closed++;
	}
	s->data++;
	s->occupancy[RTE_MIN(page.in_use * PPOOL_SURVEY_OCCUPANCY / p->layout.page_bytes,
			PPOOL_SURVEY_OCCUPANCY - 1u)]++;
	if (__atomic_load_n(&pg->opened, __ATOMIC_RELAXED) == 0) {
		s->no_age++;
		return;
	}
	page.age_ms = ppool_page_age(p, pg);
	page.lcore = (int64_t)pg->opener - 1;
	s->age[age_bin(page.age_ms)]++;
	rank(s, &page);
}

void
ppool_survey(const struct ppool *p, struct ppool_survey *s)
{
	uint32_t i;

	memset(s, 0, sizeof(*s));
	for (i = 0; ppool_is_split(p) && i < p->mp->size; i++)
		if (p->page[i].kind == PPOOL_KIND_DATA)
			look(p, s, i);
}
