/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _FRAG_PERF_H_
#define _FRAG_PERF_H_

/* How frag-perf measures one way to allocate mbufs. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_ring.h>

#include <ppool_carver.h>

#include "bench_common.h"

/** How mbufs are freed. */
enum free_mode {
	FREE_BULK,   /**< in arrival order, a burst at a time */
	FREE_ONE,    /**< in arrival order, one by one */
	FREE_RANDOM, /**< any of those held, a burst at a time */
	FREE_OTHER,  /**< in arrival order, by another lcore */
	FREE_MODES
};

extern const char * const free_names[FREE_MODES];

/** One way to allocate mbufs. */
struct subject {
	const char *name;
	int (*alloc)(struct subject *s, struct rte_mbuf **m, unsigned int n);
	struct rte_mempool *mp; /**< to allocate from, where it is no carver */
	struct ppool_carver *c;
	uint32_t page;     /**< data room of the pool's objects */
	uint32_t len;      /**< of frags, 0 for whole objects */
	unsigned int lane; /**< the next one */
	double cycles[FREE_MODES][ROUNDS_MAX];
};

/** What lies between allocation and free: bursts, one of which is empty. */
struct fifo {
	struct rte_mbuf **m;
	size_t bursts;
	unsigned int burst; /**< mbufs of each */
	uint64_t rng;
	struct rte_ring *ring; /**< to the lcore that frees, room for a few bursts */
};

/** @return 0, or -1 for want of memory. */
int fifo_init(struct fifo *f, uint64_t held, unsigned int burst);
void fifo_fini(struct fifo *f);

/** Whether there is what it takes to free like that. */
bool free_mode_works(enum free_mode mode);

/**
 * Allocate as many as are held, and free them in random order.
 *
 * @return
 *   0, or -1 where the pool ran out.
 */
int frag_perf_age(struct fifo *f, struct subject *s);

/**
 * Allocate and free bursts.
 *
 * @return
 *   TSC cycles per mbuf, negative where the pool ran out.
 */
double frag_perf_measure(struct fifo *f, struct subject *s, enum free_mode mode, uint64_t bursts);

#endif /* _FRAG_PERF_H_ */
