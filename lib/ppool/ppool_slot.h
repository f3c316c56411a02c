/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_SLOT_H_
#define _PPOOL_SLOT_H_

/**
 * @file
 * Slots: direct mbufs of the size a packet needs.
 *
 * A slot page is a page of the pool that is split into equal slots of one size class: object
 * header, mbuf, private area, headroom and data room in one piece. So a slot is a direct mbuf like
 * those of any mempool: it can be attached to, detached, cloned, extended. Few packets held for
 * long keep only their slots, not a page each, as other packets of their size use the rest of the
 * page.
 *
 * Words used here:
 *
 * - size class: a number of slots a page, and the data room that gives. Each class is longer than
 *   the one before by about a ninth, by a cache line at least. Of the largest a page holds few, 3,
 *   2 and 1 at last: they differ by more.
 * - slot pool: the mempool that `m->pool` of every slot points to, of whatever class.
 * - class view: a mempool that hands out slots of one class. Applications allocate from it, and
 *   give it to receive queues of any driver.
 *
 * Private areas are as the application's initialiser left them in the objects of the page pool.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A size class of a page pool. */
struct ppool_slot_class {
	uint32_t slots;    /**< slots of a page */
	uint32_t truesize; /**< bytes of the page that are one slot's, rounded up */
	uint16_t room;     /**< bytes of data behind the headroom (RTE_PKTMBUF_HEADROOM) */
};

/**
 * The class view for packets up to a length: of the smallest class that holds them. Made by the
 * first call for its class, freed with the page pool.
 *
 * rte_pktmbuf_alloc() and rte_mempool_get_bulk() on it hand out slots, all or none; where no page
 * is free, idle slots of larger classes serve. rte_pktmbuf_data_room_size() of it is that of its
 * class. rte_mempool_avail_count() of it is the number of slots that can be had now.
 *
 * Set-up path: takes locks, may allocate. Callable from any process.
 *
 * @param mp
 *   A fully populated packet mbuf pool with ops ppfrag, or one of its internal pools.
 * @param room
 *   Bytes of data behind the headroom.
 * @return
 *   The class view, or NULL with rte_errno:
 *   - ENOTSUP: mp has other ops, is not a packet mbuf pool, or has RTE_MEMPOOL_F_NO_CACHE_ALIGN
 *   - EINVAL: mp is not fully populated, or its elements or private areas have a size that cannot
 *     be split (see ppool_frag_pool())
 *   - ENOMEM, ENOSPC: no memory for the page table or for an internal pool
 *   - E2BIG: no page of this pool holds so much
 */
struct rte_mempool *ppool_slot_pool(struct rte_mempool *mp, uint16_t room);

/**
 * Take slots of a class view, as mbufs that are reset: rte_pktmbuf_alloc_bulk() for language
 * bindings, which have no inline functions. rte_pktmbuf_free_bulk() frees them.
 *
 * @param view
 *   From ppool_slot_pool().
 * @param m
 *   Room for n mbufs.
 * @return
 *   0, or a negative errno where there are fewer than n: then none is taken.
 */
int ppool_slot_get_bulk(struct rte_mempool *view, struct rte_mbuf **m, unsigned int n);

/**
 * Whether a mempool is the slot pool of some page pool, or a class view.
 */
bool ppool_is_slot_pool(const struct rte_mempool *mp);

/**
 * The size classes of a page pool, the smallest first.
 *
 * @param mp
 *   A page pool with ops ppfrag, or its frag pool.
 * @param c
 *   Room for n classes; NULL where n is 0.
 * @return
 *   How many there are, of which the first n are in c; or the negative errno that ppool_frag_pool()
 *   would set.
 */
int ppool_slot_classes_get(struct rte_mempool *mp, struct ppool_slot_class *c, unsigned int n);

#ifdef __cplusplus
}
#endif

#endif /* _PPOOL_SLOT_H_ */
