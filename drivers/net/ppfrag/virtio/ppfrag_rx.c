/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <rte_atomic.h>

#include "ppfrag_offload.h"
#include "ppfrag_rx.h"

/* Offer a descriptor that the device does not have. Returns whether there was a page. */
static inline bool
rx_post_one(struct ppfrag_rxq *q, uint16_t id)
{
	char *addr = rx_buffer(q, id);

	if (unlikely(addr == NULL))
		return false;
	rx_offer(q, &q->vq, q->avail_idx++, id, addr);
	q->posted[id] = RX_POSTED;
	q->nb_posted++;
	return true;
}

/*
 * A descriptor has to wait for a page. It forgets the memory that it had, which can be anybody's
 * soon: a confused device that uses the descriptor all the same finds no room.
 */
static void
rx_starve(struct ppfrag_rxq *q, uint16_t id)
{
	q->vq.desc[id].len = 0;
	q->vq.desc[id].addr = 0;
	q->starved[q->nb_starved++] = id;
	ppfrag_count(&q->stats.no_page, 1);
}

__rte_noinline void
ppfrag_rx_lost(struct ppfrag_rxq *q, uint16_t id)
{
	q->posted[id] = 0;
	q->nb_posted--;
	rx_starve(q, id);
}

void
ppfrag_rx_post(struct ppfrag_rxq *q, const uint16_t *ids, uint16_t n)
{
	const uint16_t avail = q->avail_idx;
	uint16_t i;

	for (i = 0; i < n; i++)
		if (unlikely(!rx_post_one(q, ids[i])))
			rx_starve(q, ids[i]);
	rx_publish(q, avail);
}

/* Try to post starved descriptors, but not at every poll. */
static __rte_noinline void
rx_retry(struct ppfrag_rxq *q)
{
	const uint16_t avail = q->avail_idx;
	uint16_t id;

	if (!ppfrag_rxq_retries(q))
		return;
	if (q->in_order) {
		ppfrag_in_order_post(q);
		return;
	}
	for (; q->nb_starved != 0; q->nb_starved--) {
		id = q->starved[q->nb_starved - 1];
		if (!rx_post_one(q, id))
			break;
		q->vq.desc[id].len = rte_cpu_to_le_32(ppfrag_rx_desc_len(q));
	}
	rx_publish(q, avail);
}

void
ppfrag_rx_kick(struct ppfrag_rxq *q)
{
	q->unnotified = false;
	ppfrag_count(&q->stats.kicks, 1);
	ppfrag_kick(q->dev, ppfrag_rx_vring(q->queue_id));
}

void
ppfrag_rx_settle(struct ppfrag_rxq *q)
{
	/* The device says where it is to be woken, then looks at our index; we do the reverse. */
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (q->unnotified && rx_wants_kick(q))
		ppfrag_rx_kick(q);
	q->kicked_idx = q->avail_idx;
}

/*
 * Each way has an instance that leaves the virtio header in front of each packet. In lanes it is
 * there always. Where packets are copied no descriptor is starved, as its bounce buffer is there.
 */
static __rte_always_inline uint16_t
rx_burst(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts, const bool header)
{
	if (unlikely(ppfrag_is_stale(q->dev, q->epoch)) && !ppfrag_rxq_renew(q))
		return 0;
	if (unlikely(q->nb_starved != 0))
		rx_retry(q);
	if (likely(q->how == PPFRAG_RX_SLOTS))
		return header ? ppfrag_rx_burst_slots_header(q, pkts, nb_pkts) :
				ppfrag_rx_burst_slots(q, pkts, nb_pkts);
	if (q->how == PPFRAG_RX_LANES)
		return ppfrag_rx_burst_lanes(q, pkts, nb_pkts);
	return header ? ppfrag_rx_burst_copy_header(q, pkts, nb_pkts) :
			ppfrag_rx_burst_copy(q, pkts, nb_pkts);
}

uint16_t
ppfrag_rx_burst(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	return rx_burst(rxq, pkts, nb_pkts, false);
}

uint16_t
ppfrag_rx_burst_offload(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct ppfrag_rxq *q = rxq;
	uint32_t work = __atomic_load_n(&q->work, __ATOMIC_RELAXED);
	uint16_t n;

	if ((work & PPFRAG_RX_WORK_HEADER) != 0)
		n = rx_burst(q, pkts, nb_pkts, true);
	else
		n = rx_burst(q, pkts, nb_pkts, false);
	if (work != 0)
		ppfrag_rx_offload(q, pkts, n, work);
	return n;
}
