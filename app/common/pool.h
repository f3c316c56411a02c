/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _POOL_H_
#define _POOL_H_

/* Packet mbuf pools of any ops, for the commands that measure. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mempool.h>

struct pool_conf {
	const char *ops; /* NULL: what EAL was told, else the default of this DPDK */
	unsigned int n;
	unsigned int cache;
	uint32_t room;   /* bytes of an mbuf behind its header, headroom included */
	bool own_memory; /* in a memfd and not in memory of EAL; ops ppfrag only */
	bool unsplit;    /* leave a pool of ops ppfrag as it is: its pages have no counts yet */
	bool pinned;     /* data in pinned external buffers, as those of frags; stock ops only */
};

/**
 * Bytes allocated from EAL's heaps: memzones, mempools, rte_malloc. The growth between two calls
 * is the hugepage memory that was taken in between, whoever took it: pools of any ops, rings,
 * queues, tables.
 */
size_t pool_heap_bytes(void);

/** Bytes of memory that a pool has besides: its memfd. */
size_t pool_own_bytes(struct rte_mempool *mp);

/**
 * Create a packet mbuf pool, with all the memory that it will ever need outside its objects.
 *
 * @return
 *   The pool, or NULL with rte_errno.
 */
struct rte_mempool *pool_create(const char *name, const struct pool_conf *conf);

/**
 * As pool_create(), with as many mbufs as fill a number of bytes of EAL's heaps and the pool's own
 * memory: less than a mbuf, or a 256th of the bytes, is left. Pools of several sizes are tried, as
 * drivers and memory modes differ in what they need besides. conf->n is ignored. Where EAL has less
 * memory than that, rte_errno is ENOMEM.
 */
struct rte_mempool *pool_create_fit(const char *name, const struct pool_conf *conf, size_t bytes);

/** Free a pool and its external buffers. */
void pool_free(struct rte_mempool *mp);

/**
 * Check that all mbufs are back and that the books of a page pool balance, then free the pool and
 * its external buffers. NULL is fine.
 *
 * @return
 *   0, or -1 with a message printed.
 */
int pool_close(struct rte_mempool *mp, const char *command);

/** Name of a pool's ops. */
const char *pool_ops_name(const struct rte_mempool *mp);

#endif /* _POOL_H_ */
