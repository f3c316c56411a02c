/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _OCCUPANCY_H_
#define _OCCUPANCY_H_

/*
 * The data pages of a pool at one time: how full they are, how old, and who fills them. Read while
 * others use the pool: each page is looked at once, all together are no consistent picture.
 */

#include <stdint.h>

struct ppool;
typedef const char *ppool_text;

/* Tenths of a page. */
#define PPOOL_OCCUPANCY_TENTHS 10u
/* Powers of ten, in milliseconds: less than 10, less than 100, ...; the last: anything older. */
#define PPOOL_OCCUPANCY_AGES 7u
#define PPOOL_OCCUPANCY_OLDEST 16u

/* What is told of a data page: X(name, type of its value, unit and meaning). */
#define PPOOL_OCCUPANCY_PAGE(X) \
	X(page, uint64_t, "index in the page table") \
	X(age_ms, uint64_t, "milliseconds since its carver opened it") \
	X(in_use, uint64_t, "bytes of live frags and what a carver has left of it") \
	X(users, uint64_t, "live frags; 0 while a carver fills it") \
	X(owner, ppool_text, "carver: still fills it; parked: the next one will; none: closed") \
	X(lcore, int64_t, "lcore of the carver that opened it, -1: no lcore")

struct ppool_occupancy_page {
#define PPOOL_OCCUPANCY_FIELD(name, type, desc) type name;
	PPOOL_OCCUPANCY_PAGE(PPOOL_OCCUPANCY_FIELD)
#undef PPOOL_OCCUPANCY_FIELD
};

/* Sums over all data pages: X(name, unit and meaning). */
#define PPOOL_OCCUPANCY_SUMS(X) \
	X(data, "data pages") \
	X(carver, "pages that a carver still fills") \
	X(parked, "pages that the next carver will fill") \
	X(closed, "pages that wait for their frags to be freed") \
	X(no_age, "pages that no carver opened: whole pages of the frag pool") \
	X(approximate, "1: others used the pool meanwhile")

struct ppool_occupancy {
#define PPOOL_OCCUPANCY_FIELD(name, desc) uint64_t name;
	PPOOL_OCCUPANCY_SUMS(PPOOL_OCCUPANCY_FIELD)
#undef PPOOL_OCCUPANCY_FIELD
	uint64_t occupancy[PPOOL_OCCUPANCY_TENTHS]; /* pages by tenths in use */
	uint64_t age[PPOOL_OCCUPANCY_AGES];         /* pages by age */
	unsigned int nb_oldest;
	struct ppool_occupancy_page oldest[PPOOL_OCCUPANCY_OLDEST]; /* the oldest first */
};

void ppool_occupancy(const struct ppool *p, struct ppool_occupancy *s);

#endif /* _OCCUPANCY_H_ */
