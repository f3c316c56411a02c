/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_DEBUG_H_
#define _PPOOL_DEBUG_H_

/*
 * Checks of a debug build (Meson option ppool_debug): misuse is reported, with the names of those
 * who did it, before it reaches the books. What the checks need to know lies in tables of their
 * own, found through the pool, so that the layout of everything else is that of a release build,
 * in which the hooks below are empty.
 */

#include <stddef.h>

#include <rte_common.h>
#include <rte_mbuf.h>

struct ppool;
struct ppool_page;
struct ppool_carver;
struct ppool_lane;

/* What a page is in use for. */
enum ppool_debug_use {
	PPOOL_DEBUG_FREE,
	PPOOL_DEBUG_WHOLE,
	PPOOL_DEBUG_DATA,
	PPOOL_DEBUG_SLOTS,
};

#ifdef PPOOL_DEBUG

/* Whether every object has to take a path with checks. */
#define PPOOL_DEBUG_CHECKS true

/* Tables for pages when the pool is made, for slots when it is split. Return 0 or -ENOMEM. */
int ppool_debug_create(struct ppool *p);
int ppool_debug_split(struct ppool *p);
void ppool_debug_destroy(struct ppool *p);

/* Pages leave the free lists for some use, and come back from it; before anybody can take them. */
void ppool_debug_pages_out(struct ppool *p, void * const *obj, unsigned int n,
		enum ppool_debug_use use);
void ppool_debug_pages_in(struct ppool *p, void * const *obj, unsigned int n,
		enum ppool_debug_use use);

/* Headers are taken, are given back without a frag, or are freed with one. */
void ppool_debug_headers_out(struct ppool *p, struct rte_mbuf * const *m, unsigned int n);
void ppool_debug_headers_in(struct ppool *p, struct rte_mbuf * const *m, unsigned int n);
void ppool_debug_frags_in(struct ppool *p, struct rte_mbuf * const *m, unsigned int n);

/* Slots that have a data room are handed out, and taken back. */
void ppool_debug_slots_out(struct ppool *p, struct rte_mbuf * const *m, unsigned int n);
void ppool_debug_slots_in(struct ppool *p, struct rte_mbuf * const *m, unsigned int n);

/*
 * What a process had when it ended is about to be taken back: a page in this use, a slot that was
 * handed out, or one that is idle. It may have ended between a change and what notes it here.
 */
void ppool_debug_page_found(struct ppool *p, void *obj, enum ppool_debug_use use);
void ppool_debug_slot_found(struct ppool *p, const struct rte_mbuf *m, bool out);

/*
 * A slot page is about to go home; depot lock. What was written to its slots after they were freed
 * is told when the depot was left.
 */
void ppool_debug_slots_home(struct ppool *p, const struct ppool_page *pg);
void ppool_debug_depot_left(const struct ppool *p);

/* A class has taken a page: none of its slots was idle but in the lists of lcores. Depot lock. */
void ppool_debug_page_taken(const struct ppool *p, unsigned int size_class);

/* What is appended to a carver. */
size_t ppool_debug_carver_bytes(unsigned int nb_lanes);

/* Around every function that drives a carver; they may be nested. Who enters is its owner. */
void ppool_debug_enter(struct ppool_carver *c);
void ppool_debug_leave(struct ppool_carver *c);

/*
 * Around every walk through a pool by one who only looks, and where a lock is taken that allocation
 * takes: a walk takes none.
 */
void ppool_debug_walk_begin(const struct ppool *p);
void ppool_debug_walk_end(void);
void ppool_debug_lock(void);

void ppool_debug_lane_open(const struct ppool_carver *c, const struct ppool_lane *l);
void ppool_debug_lane_close(const struct ppool_carver *c, const struct ppool_lane *l);

#else

#define PPOOL_DEBUG_CHECKS false

static inline int
ppool_debug_create(struct ppool *p)
{
	RTE_SET_USED(p);
	return 0;
}

static inline int
ppool_debug_split(struct ppool *p)
{
	RTE_SET_USED(p);
	return 0;
}

static inline size_t
ppool_debug_carver_bytes(unsigned int nb_lanes)
{
	RTE_SET_USED(nb_lanes);
	return 0;
}

#define ppool_debug_destroy(p) RTE_SET_USED(p)
#define ppool_debug_pages_out(p, obj, n, use) RTE_SET_USED(obj)
#define ppool_debug_pages_in(p, obj, n, use) RTE_SET_USED(obj)
#define ppool_debug_headers_out(p, m, n) RTE_SET_USED(m)
#define ppool_debug_headers_in(p, m, n) RTE_SET_USED(m)
#define ppool_debug_frags_in(p, m, n) RTE_SET_USED(m)
#define ppool_debug_slots_out(p, m, n) RTE_SET_USED(m)
#define ppool_debug_slots_in(p, m, n) RTE_SET_USED(m)
#define ppool_debug_page_found(p, obj, use) RTE_SET_USED(obj)
#define ppool_debug_slot_found(p, m, out) RTE_SET_USED(m)
#define ppool_debug_slots_home(p, pg) RTE_SET_USED(pg)
#define ppool_debug_depot_left(p) RTE_SET_USED(p)
#define ppool_debug_page_taken(p, size_class) RTE_SET_USED(size_class)
#define ppool_debug_enter(c) RTE_SET_USED(c)
#define ppool_debug_leave(c) RTE_SET_USED(c)
#define ppool_debug_walk_begin(p) RTE_SET_USED(p)
#define ppool_debug_walk_end()
#define ppool_debug_lock()
#define ppool_debug_lane_open(c, l) RTE_SET_USED(l)
#define ppool_debug_lane_close(c, l) RTE_SET_USED(l)

#endif /* PPOOL_DEBUG */

#endif /* _PPOOL_DEBUG_H_ */
