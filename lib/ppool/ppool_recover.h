/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_RECOVER_H_
#define _PPOOL_RECOVER_H_

/**
 * @file
 * Who holds what of a page pool, and taking back what a process held that has ended.
 *
 * An owner is a process and an lcore of it, or all its threads that are no lcore. A process that
 * ends, however it ends, takes nothing with it that other processes need: its locks are taken over,
 * and its free pages and idle headers are found by those that look for some. What it had in use
 * stays in use until it is taken back:
 *
 *     ppool_owners_get()        lists owners, and which of them have ended
 *     ppool_recover_process()   takes back the frags and pages that a process had, at any time
 *     ppool_recover_account()   takes back what is charged to an account, at any time
 *     ppool_recover_rest()      takes back its carvers and what it had in hand when it ended, and
 *                               brings the counters in line; while nobody else uses the pool
 *
 * A frag or a page belongs to the owner that allocated it. One that another process takes over
 * belongs to that process when it says so, by ppool_claim() or by charging it to an account.
 * Mempool caches do not say who has what they pass on, so that a pool with a cache needs this, too.
 *
 * Any thread of any process may take back, but only one at a time: two would free the same frags.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What is told of an owner: X(name, unit and meaning). Behind struct and telemetry. */
#define PPOOL_OWNER_INFO(X) \
	X(process, "number of the process, from 1 on") \
	X(pid, "its process id, in its own pid namespace") \
	X(dead, "1 where the kernel says that the process has ended") \
	X(carvers, "carvers that it drives") \
	X(frags, "live frags that it allocated or claimed") \
	X(bytes, "bytes of these, header slots included, and of slots") \
	X(slots, "slots of size classes that it took or claimed, those in its lists not counted") \
	X(uncharged, "bytes of these that are charged to no account") \
	X(pages, "whole pages that it has; told where several processes use the pool") \
	X(free_pages, "free pages in its lists") \
	X(idle_headers, "headers without a frag that it has")

/** An owner. */
struct ppool_owner_info {
#define PPOOL_OWNER_INFO_FIELD(name, desc) uint64_t name; /**< desc */
	PPOOL_OWNER_INFO(PPOOL_OWNER_INFO_FIELD)
#undef PPOOL_OWNER_INFO_FIELD
	int32_t lcore; /**< -1: threads that are no lcore */
};

/**
 * List the owners that have something of a pool.
 *
 * Walks page table and header slots without a lock: approximate while others work. Any thread.
 *
 * @param mp
 *   A page pool or its frag pool.
 * @param info
 *   Room for n owners; NULL where n is 0.
 * @return
 *   How many there are, of which the first n are in info; or -ENOTSUP where mp is no pool of ours,
 *   -ENOMEM.
 */
int ppool_owners_get(struct rte_mempool *mp, struct ppool_owner_info *info, unsigned int n);

/**
 * Take packets over from another process: they belong to this process and lcore from now on. Mbufs
 * of other pools are left alone. Fast path, any thread that may free the packets.
 */
void ppool_claim(struct rte_mbuf * const *m, unsigned int n);

/** What was taken back. */
struct ppool_recovered {
	uint64_t frags;   /**< frags freed */
	uint64_t slots;   /**< slots of size classes taken back */
	uint64_t bytes;   /**< truesize of both, header slots included */
	uint64_t pages;   /**< whole pages, and free ones that were in hand */
	uint64_t headers; /**< headers that were in hand */
	uint64_t carvers; /**< carvers freed */
	uint64_t shared;  /**< frags and slots left as they are, since clones of them are in use */
};

/**
 * Take back what a process has of a pool that has ended: its live frags and slots that are charged
 * to no account, its whole pages, and what is in its lists. Others may use the pool meanwhile, but
 * nobody may hold a frag or a page that belongs to that process, see ppool_claim(), or a clone of
 * one.
 *
 * Frags and slots of which that process had clones itself are left, and counted as shared, as the
 * count of references does not tell whose they are: ppool_recover_rest() takes them back.
 *
 * @param mp
 *   A page pool or its frag pool.
 * @param process
 *   Its number, as ppool_owners_get() tells.
 * @param r
 *   What was taken back is added; NULL where nobody wants to know.
 * @return
 *   0; -EBUSY while the process is alive; -ENOENT where there is none of this number; -EAGAIN where
 *   another process is stopped in the midst of a change; -ENOTSUP where mp is no pool of ours.
 */
int ppool_recover_process(struct rte_mempool *mp, uint32_t process, struct ppool_recovered *r);

/**
 * Take back all frags and slots of all pools that are charged to an account, and set its use to 0,
 * whoever charged it: for the account of a holder that has ended. Others may use accounts and pools
 * meanwhile, but nobody may hold one of these frags, or a clone of one.
 *
 * @return
 *   0; -ENOENT where there is no such account; -EAGAIN where a process is stopped in the midst of a
 *   change: call it again.
 */
int ppool_recover_account(uint16_t account, struct ppool_recovered *r);

/**
 * Take back what ppool_recover_process() cannot while others work: carvers of processes that have
 * ended, pages and headers that these had in hand. Count the users of every page anew, and bring
 * the counters in line with what there is. Call ppool_recover_process() before. The ledger balances
 * afterwards, see ppool_check().
 *
 * No other call on the pool may be under way, in any process. Walks everything.
 *
 * @return
 *   0; -EAGAIN where another process is stopped in the midst of a change; -ENOTSUP, -ENOMEM.
 */
int ppool_recover_rest(struct rte_mempool *mp, struct ppool_recovered *r);

#ifdef __cplusplus
}
#endif

#endif /* _PPOOL_RECOVER_H_ */
