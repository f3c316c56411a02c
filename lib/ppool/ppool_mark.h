/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_MARK_H_
#define _PPOOL_MARK_H_

/**
 * @file
 * Be told when a pool or an account fills, and when it has emptied again; wait until a pool is
 * idle.
 *
 * A mark watches the bytes that are in use: of a pool, pages that are not free, as a whole; of an
 * account, what is charged to it. At first it is low. It becomes high when they reach its upper
 * bound, and low again when they have fallen to its lower one. Each time a function is called, and
 * a file descriptor can be read.
 *
 * Marks cost the fast path nothing: a timer looks every few milliseconds, on the thread that serves
 * EAL's interrupts and alarms, and whoever needs to know sooner looks by ppool_mark_poll(). Leave
 * room above the upper bound for what comes until then: at 10 million packets a second, 100,000
 * packets in 10 ms.
 *
 * Marks belong to the process that made them, which may be a secondary one.
 */

#include <stdint.h>

#include <rte_mempool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A pool or an account that is watched. */
struct ppool_mark;

/** Which bound was reached last. */
enum ppool_mark_state {
	PPOOL_MARK_LOW, /**< the lower one, or none yet */
	PPOOL_MARK_HIGH /**< the upper one */
};

/**
 * Called when a mark has become low or high, by EAL's interrupt thread or by whoever calls
 * ppool_mark_poll(). It may use the pool, as any thread, and must not wait. It cannot remove its
 * own mark, or free its pool.
 *
 * @param state
 *   What it has become.
 * @param bytes
 *   Bytes in use then.
 * @param arg
 *   Of struct ppool_mark_conf.
 */
typedef void (*ppool_mark_cb_t)(enum ppool_mark_state state, uint64_t bytes, void *arg);

/** What to watch for. */
struct ppool_mark_conf {
	uint64_t low;            /**< bytes in use at which it is low again; less than high */
	uint64_t high;           /**< bytes in use from which on it is high */
	uint32_t interval_ms;    /**< how often to look, at most 60,000; 0: every 10 ms */
	ppool_mark_cb_t changed; /**< NULL: none */
	void *arg;               /**< for it */
};

/**
 * Watch a page pool. Idle slots and headers whose pages nobody needs count as free, as in
 * rte_mempool_avail_count().
 *
 * @return
 *   The mark; NULL with rte_errno: EINVAL where the bounds or the interval are none; ENOTSUP where
 *   mp is no page pool; ENOMEM; what eventfd(2) or rte_eal_alarm_set() say.
 */
struct ppool_mark *ppool_mark_pool(struct rte_mempool *mp, const struct ppool_mark_conf *conf);

/**
 * Watch an account.
 *
 * @return
 *   As ppool_mark_pool(); ENOENT where there is no such account.
 */
struct ppool_mark *ppool_mark_account(uint16_t account, const struct ppool_mark_conf *conf);

/** What it is now, as of the last look. Any thread. */
enum ppool_mark_state ppool_mark_state(const struct ppool_mark *mark);

/**
 * An eventfd(2), which does not block. Each change adds 1 to it: for poll(2) and rte_epoll_wait().
 * It belongs to the mark.
 */
int ppool_mark_fd(const struct ppool_mark *mark);

/**
 * Look now. Any thread; for a pool it reads a line of each lcore that uses it.
 *
 * @return
 *   What it is, after its function was called where it has changed.
 */
enum ppool_mark_state ppool_mark_poll(struct ppool_mark *mark);

/**
 * Watch no more. When this returns, its function does not run any more. A pool that is freed is not
 * looked at any more; its marks still have to be removed.
 *
 * @return
 *   0; -EBUSY where the mark's own function calls this.
 */
int ppool_mark_remove(struct ppool_mark *mark);

/**
 * Wait until everything is back in a pool: before it is freed, after ports were stopped and packets
 * freed. ppool_dump() tells who still has what.
 *
 * @param mp
 *   A page pool.
 * @param timeout_ms
 *   Milliseconds after which to give up; 0: look once.
 * @return
 *   0; -ETIMEDOUT where pages are still in use; -ENOTSUP where mp is no page pool.
 */
int ppool_wait_idle(struct rte_mempool *mp, unsigned int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif /* _PPOOL_MARK_H_ */
