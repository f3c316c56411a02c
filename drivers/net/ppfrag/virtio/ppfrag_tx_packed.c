/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <rte_atomic.h>

#include "virtio.h"

/*
 * Transmission into a packed ring. In its image each packet is a chain of descriptors, somewhere,
 * and one entry of the available and of the used ring. In the packed ring it is as many descriptors
 * one behind the other; their buffer id is the head of the chain. The device gives back the first
 * one only, and then goes on behind the last.
 */

/*
 * In the flags of a chain's head, which are our own in the image: the device has the packet, and
 * may give it back, once. Building a chain clears it.
 */
#define TX_OUT 0x4000u

static inline bool
packet_is_out(const struct ppfrag_txq *q, uint16_t id)
{
	return id < q->vq.size && (q->vq.desc[id].flags & rte_cpu_to_le_16(TX_OUT)) != 0;
}

/* A packet is back: an entry of the image's used ring. */
static inline void
packet_put(struct ppfrag_txq *q, uint16_t id)
{
	struct virtq_packed *p = &q->packed;
	uint16_t at = rte_le_to_cpu_16(q->vq.used->idx);

	q->vq.desc[id].flags &= rte_cpu_to_le_16((uint16_t)~TX_OUT);
	q->vq.used->ring[at & q->vq.mask].id = rte_cpu_to_le_32(id);
	q->vq.used->idx = rte_cpu_to_le_16(at + 1);
	/* A device that gave back nonsense before may be anywhere. */
	p->used += RTE_MIN(q->slot[id].nb, (uint16_t)(p->avail - p->used));
}

/* A device that works in order has given back all packets up to this one. */
static inline void
packets_put_until(struct ppfrag_txq *q, uint16_t last)
{
	uint16_t id;

	do {
		id = rte_le_to_cpu_16(q->vq.avail->ring[rte_le_to_cpu_16(q->vq.used->idx) &
				q->vq.mask]);
		packet_put(q, id);
	} while (id != last);
}

void
ppfrag_tx_packed_take(struct ppfrag_txq *q)
{
	struct virtq_packed *p = &q->packed;
	uint64_t rest;
	uint16_t id;

	while (p->used != p->avail) {
		rest = packed_read(p, p->used);
		if (!packed_is_used(p, p->used, rest))
			break;
		id = packed_id(rest);
		if (unlikely(!packet_is_out(q, id))) {
			ppfrag_count(&q->stats.bad_used, 1);
			p->used++;
		} else if (p->layout == VIRTIO_PACKED_IN_ORDER) {
			packets_put_until(q, id);
		} else {
			packet_put(q, id);
		}
	}
	/* The device has read the packets before it gave them back. */
	rte_atomic_thread_fence(__ATOMIC_ACQUIRE);
}

/*
 * Write the descriptors of a packet, but for the first of all, which makes them available: all but
 * the address of that one is stored at first.
 */
static inline void
packet_write(struct ppfrag_txq *q, uint16_t head, uint16_t start, rte_le64_t *first)
{
	struct virtq_packed *p = &q->packed;
	uint16_t nb = q->slot[head].nb, id = head;
	const struct virtq_desc *from;
	struct packed_desc *to;
	rte_le64_t rest;

	q->vq.desc[head].flags |= rte_cpu_to_le_16(TX_OUT);
	for (; nb != 0; nb--, p->avail++, id = q->slot[id].next) {
		from = &q->vq.desc[id];
		to = &p->desc[p->avail & q->vq.mask];
		to->addr = from->addr;
		rest = packed_rest(p, p->avail, rte_le_to_cpu_32(from->len), head,
				nb > 1 ? VIRTQ_DESC_F_NEXT : 0);
		if (p->avail == start)
			*first = rest;
		else
			to->rest = rest;
	}
}

void
ppfrag_tx_packed_give(struct ppfrag_txq *q)
{
	struct virtq_packed *p = &q->packed;
	const uint16_t start = p->avail;
	rte_le64_t first = 0;

	for (; p->offered != q->avail_idx; p->offered++)
		packet_write(q, rte_le_to_cpu_16(q->vq.avail->ring[p->offered & q->vq.mask]), start,
				&first);
	if (p->avail == start)
		return;
	packed_publish(p, start, first);
	/* The device first asks for a notification, then looks at the ring; we do the reverse. */
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (unlikely(packed_wants_kick(p))) {
		ppfrag_count(&q->stats.kicks, 1);
		ppfrag_kick(q->dev, ppfrag_tx_vring(q->queue_id));
	}
}
