/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPFRAG_TX_H_
#define _PPFRAG_TX_H_

/**
 * @file
 * What transmission into split and into packed rings shares: packets that were sent.
 */

#include <rte_mbuf.h>

#include "virtio.h"

/** Segments freed in one go. */
#define TX_FREE_BURST 64

/** Segments of packets that the device has sent, of one pool, which nobody else uses. */
struct tx_sent {
	struct rte_mempool *mp;
	void *m[TX_FREE_BURST];
	unsigned int nb;
};

static inline void
tx_sent_free(struct tx_sent *sent)
{
	rte_mempool_put_bulk(sent->mp, sent->m, sent->nb);
	sent->nb = 0;
}

/** One more packet; NULL: it was copied. */
static __rte_always_inline void
tx_sent_add(struct tx_sent *sent, struct rte_mbuf *m)
{
	struct rte_mbuf *next;

	for (; m != NULL; m = next) {
		next = m->next;
		m = rte_pktmbuf_prefree_seg(m);
		if (unlikely(m == NULL))
			continue;
		if (unlikely(sent->nb != 0 && (sent->nb == TX_FREE_BURST || m->pool != sent->mp)))
			tx_sent_free(sent);
		sent->mp = m->pool;
		sent->m[sent->nb++] = m;
	}
}

/** All are added. @return how many packets these were. */
static __rte_always_inline uint16_t
tx_sent_end(struct ppfrag_txq *q, struct tx_sent *sent, uint16_t packets)
{
	if (sent->nb != 0)
		tx_sent_free(sent);
	q->nb_inflight -= packets;
	return packets;
}

/**
 * The place behind a packet of so many descriptors. Most have one: as a branch, that is foreseen,
 * and the next packet is looked at before the number is there. The barrier keeps it a branch.
 */
static __rte_always_inline uint16_t
tx_step(uint16_t at, uint16_t nb)
{
	if (unlikely(nb != 1)) {
		rte_compiler_barrier();
		return at + nb;
	}
	return at + 1;
}

/** The descriptors of a packet are free, from a place of the ring of these on. @return its end */
static __rte_always_inline uint16_t
tx_put_descs(struct ppfrag_txq *q, uint16_t id, uint16_t end)
{
	uint16_t nb = q->slot[id].nb;

	q->slot[id].nb = 0;
	q->free[end++ & q->vq.mask] = id;
	if (likely(nb == 1))
		return end;
	for (; nb > 1; nb--) {
		id = q->slot[id].next;
		q->free[end++ & q->vq.mask] = id;
	}
	return end;
}

/** The oldest packet that the device has, where descriptors are used in order. */
static inline uint16_t
tx_oldest(const struct ppfrag_txq *q)
{
	return (q->free_head + q->nb_free) & q->vq.mask;
}

/** The packet behind another one there. */
static __rte_always_inline uint16_t
tx_behind(const struct ppfrag_txq *q, uint16_t id)
{
	return tx_step(id, q->slot[id].nb) & q->vq.mask;
}

/** The n oldest packets were sent, where descriptors are used in order. @return descriptors */
static __rte_always_inline uint16_t
tx_put_oldest(struct ppfrag_txq *q, struct tx_sent *sent, uint16_t n)
{
	uint16_t id, nb, at = q->free_head + q->nb_free;

	for (; n != 0; n--) {
		id = at & q->vq.mask;
		nb = q->slot[id].nb;
		q->slot[id].nb = 0;
		tx_sent_add(sent, q->slot[id].m);
		at = tx_step(at, nb);
	}
	nb = at - (q->free_head + q->nb_free);
	q->nb_free += nb;
	return nb;
}

/* ppfrag_tx_packed.c */

/**
 * As ppfrag_tx_reclaim(), of a packed ring. Where the device has used all descriptors and has not
 * given back all packets, these are freed, too, whatever max is.
 */
uint16_t ppfrag_tx_packed_reclaim(struct ppfrag_txq *q, uint16_t max);

/** Make available what was written into a packed ring, and wake the device if it sleeps. */
void ppfrag_tx_packed_publish(struct ppfrag_txq *q);

/** Descriptors, no more than enough, that the device is done with and that wait to be reclaimed. */
uint32_t ppfrag_tx_packed_done(const struct ppfrag_txq *q, uint32_t enough);

#endif /* _PPFRAG_TX_H_ */
