/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_KEEP_H_
#define _PPOOL_KEEP_H_

/**
 * @file
 * Keeping packets: a copy of its own size for each packet that is going to be held.
 *
 * A received packet lies in a buffer for the longest frame, or in a page with many others. Whoever
 * frees it soon does not mind. Whoever holds it keeps all of that from being used: the buffer of
 * the driver, or the page. ppool_keep() copies such packets, while they are in the CPU's cache,
 * into slots of a page pool (see ppool_slot.h), and frees the originals. They may be of any
 * mempool and driver.
 *
 * ppool_keep_rx_add() has that done to all packets up to a length that a queue receives.
 */

#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** No packet is too long to be kept. */
#define PPOOL_KEEP_ALL UINT32_MAX

/**
 * Move packets into slots of their size, in place in the array.
 *
 * A packet that is moved is another mbuf afterwards, and the original is freed. It is the same
 * packet: data, lengths, offload flags, packet type, hash, VLAN, timestamps, port, dynamic fields
 * and flags, and the private area up to the smaller of the two sizes. It is a direct mbuf with a
 * reference count of 1 and the standard headroom (RTE_PKTMBUF_HEADROOM), whose tailroom is what
 * its slot has left. A chain becomes one slot. Where no slot holds all of it, it becomes a chain of
 * the largest slots, cut anew.
 *
 * Moved are
 * - mbufs of other mempools, always
 * - clones, mbufs with an external buffer, and frags, always: however little they take themselves,
 *   they keep a buffer or a page from being used. What they show is copied, and one reference is
 *   dropped.
 * - whole pages and larger slots of this pool where a slot of their length takes less. If others
 *   have a reference to such an mbuf, it is copied, and one reference is dropped.
 *
 * Others are as they should be, and stay: slots of their own size, and packets longer than max_len.
 *
 * Accounts are taken along (see ppool_account.h): the copy is charged to the account of the
 * original, in place of what the original gives back. Where that is less it is never refused.
 * Where it is more, as with a clone whose data somebody else pays for, it never exceeds the limit:
 * the packet stays. Charged mbufs of other pools, and whole pages of this one, do not know it:
 * uncharge them before.
 *
 * What cannot be moved stays untouched, and is still the caller's.
 *
 * Fast path: no lock but that of the lists of this lcore, one allocation for each size in a burst
 * of 64 packets. Callable from any thread of any process that may use the pool, also if it is no
 * lcore. Nobody else may use these mbufs meanwhile, or write to the data that clones share with
 * them.
 *
 * @param mp
 *   A fully populated packet mbuf pool with ops ppfrag, or one of its internal pools. The slots are
 *   of this pool.
 * @param mbufs
 *   Packets. None may be given twice.
 * @param n
 *   How many packets.
 * @param max_len
 *   Leave longer packets alone; #PPOOL_KEEP_ALL: none is too long.
 * @return
 *   How many packets are as they should be now: moved, or left alone as said above. Where it is
 *   less than n, rte_errno says why the last of the others could not be moved:
 *   - ENOBUFS: no slot is free
 *   - EDQUOT: it would exceed the limit of its account, or its segments have different accounts
 *   - E2BIG: a single segment longer than any slot of this pool
 *   - those of ppool_slot_pool(); then none of them was moved
 */
unsigned int ppool_keep(struct rte_mempool *mp, struct rte_mbuf **mbufs, unsigned int n,
		uint32_t max_len);

/**
 * Copybreak for any driver: every packet up to a length that is received from a queue is moved by
 * ppool_keep() before rte_eth_rx_burst() returns it. What cannot be moved is received as it is.
 *
 * It is a callback of rte_eth_add_rx_callback(), behind those that were added before. Like these it
 * works in the process that added it, and only in this one.
 *
 * Mbufs of one queue are of two pools then: no port that they are sent to may have the offload
 * RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE.
 *
 * Set-up path: not before the port is configured. The port may be started.
 *
 * @param port_id
 *   The port.
 * @param queue_id
 *   A receive queue of it.
 * @param mp
 *   As for ppool_keep(). It must not be freed before the callback is removed.
 * @param max_len
 *   As for ppool_keep().
 * @return
 *   0, or a negative errno, which rte_errno has, too:
 *   - ENODEV: no such port
 *   - EINVAL: no such queue
 *   - EEXIST: this queue has such a callback, remove it before
 *   - ENOMEM
 *   - those of ppool_slot_pool(), and those of rte_eth_add_rx_callback()
 */
int ppool_keep_rx_add(uint16_t port_id, uint16_t queue_id, struct rte_mempool *mp,
		uint32_t max_len);

/**
 * Remove the callback, before the port is closed. Set-up path: no other thread may be receiving
 * from the queue.
 *
 * @return
 *   0, or a negative errno, which rte_errno has, too:
 *   - ENOENT: this process has added none to this queue
 *   - those of rte_eth_remove_rx_callback(): then it is still there
 */
int ppool_keep_rx_remove(uint16_t port_id, uint16_t queue_id);

#ifdef __cplusplus
}
#endif

#endif /* _PPOOL_KEEP_H_ */
