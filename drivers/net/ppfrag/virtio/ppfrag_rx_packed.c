/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <rte_atomic.h>
#include <rte_cycles.h>

#include "ppfrag_rx.h"

/*
 * Reception from a packed ring. Each buffer has one descriptor, so that positions in the ring are
 * those in the two rings of its image.
 *
 *     ring:   | used | used | available ...      | (ours, being used) |
 *             ^ used                             ^ avail
 *     image:  used entries up to here;           available entries up to here
 *
 * A burst reads what the device has used into the image, receives from there as from any split
 * ring, and writes what was offered again into the ring.
 */

/* Where the image offers a buffer among those that the device has; end: nowhere. */
static uint16_t
position_of(const struct ppfrag_rxq *q, uint16_t at, uint16_t end, uint16_t id)
{
	while (at != end && q->vq.avail->ring[at & q->vq.mask] != rte_cpu_to_le_16(id))
		at++;
	return at;
}

static inline void
used_put(const struct ppfrag_rxq *q, uint16_t at, uint16_t id, uint32_t len)
{
	struct virtq_used_elem *e = &q->vq.used->ring[at & q->vq.mask];

	e->id = rte_cpu_to_le_32(id);
	e->len = rte_cpu_to_le_32(len);
}

/*
 * A device that works in order has told of the last of several buffers: it has filled the others.
 * Goes on to the position of that one. Returns false where the device has no such buffer.
 */
static __rte_noinline bool
used_skip(const struct ppfrag_rxq *q, uint16_t *at, uint16_t id)
{
	uint16_t last = position_of(q, *at, q->packed.avail, id);

	if (last == q->packed.avail)
		return false;
	for (; *at != last; (*at)++)
		used_put(q, *at, rte_le_to_cpu_16(q->vq.avail->ring[*at & q->vq.mask]), q->buf_len);
	return true;
}

/*
 * Bring what the device has used into the image. Whether it makes sense is looked at there. A
 * device that names a buffer that it has not does not work in order: nothing is searched for any
 * more in this burst, as searches in vain would take the square of the ring.
 */
static __rte_always_inline void
used_take(struct ppfrag_rxq *q, const bool in_order)
{
	const struct virtq_packed p = q->packed;
	const rte_le16_t *order = q->vq.avail->ring;
	uint16_t id, mask = q->vq.mask, at = p.used;
	bool skips = in_order;
	uint64_t rest;

	for (; at != p.avail; at++) {
		rest = packed_read(&p, at);
		if (!packed_is_used(&p, at, rest))
			break;
		id = packed_id(rest);
		if (in_order && skips && unlikely(order[at & mask] != rte_cpu_to_le_16(id)))
			skips = used_skip(q, &at, id);
		used_put(q, at, id, packed_len(rest));
	}
	/* What the device wrote before is visible. */
	rte_atomic_thread_fence(__ATOMIC_ACQUIRE);
	q->packed.used = at;
	q->vq.used->idx = rte_cpu_to_le_16(at);
}

void
ppfrag_rx_packed_take(struct ppfrag_rxq *q)
{
	if (unlikely(q->packed.layout == VIRTIO_PACKED_IN_ORDER))
		used_take(q, true);
	else
		used_take(q, false);
}

/* Write the address of the buffer that the image offers at a position; the rest is returned. */
static inline rte_le64_t
desc_fill(const struct ppfrag_rxq *q, const struct virtq_packed *p, uint16_t at)
{
	const uint16_t id = rte_le_to_cpu_16(q->vq.avail->ring[at & q->vq.mask]);
	const struct virtq_desc *from = &q->vq.desc[id];

	p->desc[at & q->vq.mask].addr = from->addr;
	return packed_rest(p, at, rte_le_to_cpu_32(from->len), id, VIRTQ_DESC_F_WRITE);
}

/* The first descriptor comes last: no device looks behind one that is not available. */
void
ppfrag_rx_packed_give(struct ppfrag_rxq *q)
{
	const struct virtq_packed p = q->packed;
	const uint16_t end = q->avail_idx;
	uint16_t at;

	if (unlikely(p.avail == end))
		return;
	for (at = p.avail + 1; at != end; at++)
		p.desc[at & q->vq.mask].rest = desc_fill(q, &p, at);
	packed_publish(&p, p.avail, desc_fill(q, &p, p.avail));
	q->packed.avail = end;
}

/*
 * Whether to look what the device has used: where a whole burst is there, or nothing was taken for
 * PACKED_PAUSE_NS. While a device goes on writing, each look takes a line of the ring away from it,
 * and a few packets cost as much as many.
 */
static inline bool
burst_is_due(struct ppfrag_rxq *q, uint16_t nb_pkts)
{
	struct virtq_packed *p = &q->packed;
	uint16_t want = RTE_MIN(nb_pkts, (uint16_t)(p->avail - p->used));
	uint64_t now;

	if (want == 0 || !packed_has_used(p))
		return false;
	now = rte_rdtsc();
	if (!packed_is_used(p, p->used + want - 1, packed_read(p, p->used + want - 1)) &&
			now - p->taken_at < p->pause)
		return false;
	p->taken_at = now;
	return true;
}

/* In posted[], between bursts: a used entry of this buffer is not dealt with yet. */
#define RX_WAITING (RX_POSTED + 1)

static void
buffers_mark_waiting(struct ppfrag_rxq *q)
{
	uint32_t id;
	uint16_t at;

	for (id = 0; id < q->nb; id++)
		q->posted[id] = RTE_MIN(q->posted[id], RX_POSTED);
	for (at = q->used_idx; at != q->packed.used; at++) {
		id = rte_le_to_cpu_32(q->vq.used->ring[at & q->vq.mask].id);
		if (id < q->nb && q->posted[id] != 0)
			q->posted[id] = RX_WAITING;
	}
}

/*
 * The device has used all descriptors, but it has given back other buffers than it had: those that
 * are missing are its own still, and are offered again.
 */
static __rte_noinline void
buffers_recover(struct ppfrag_rxq *q)
{
	uint16_t id;

	buffers_mark_waiting(q);
	for (id = 0; id < q->nb; id++) {
		if (q->posted[id] == RX_POSTED && (uint16_t)(q->avail_idx - q->used_idx) < q->nb)
			virtq_offer(&q->vq, q->avail_idx++, id);
		q->posted[id] = RTE_MIN(q->posted[id], RX_POSTED);
	}
}

/* Whether the device has buffers, and no descriptor of any. */
static inline bool
buffers_are_missing(const struct ppfrag_rxq *q)
{
	return q->packed.used == q->avail_idx &&
			q->nb_posted > (uint16_t)(q->packed.used - q->used_idx);
}

uint16_t
ppfrag_rx_burst_packed(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct ppfrag_rxq *q = rxq;
	uint16_t n;

	if (unlikely(ppfrag_is_stale(q->dev, q->epoch)) && !ppfrag_rxq_renew(q))
		return 0;
	if (unlikely(!virtq_is_packed(&q->packed)))
		return ppfrag_rx_burst_offload(q, pkts, nb_pkts);
	/* If this is too early to see that the device sleeps, the next poll is not. */
	if (unlikely(packed_wants_kick(&q->packed)) && q->unnotified)
		ppfrag_rx_kick(q);
	if (burst_is_due(q, nb_pkts))
		ppfrag_rx_packed_take(q);
	n = ppfrag_rx_burst_offload(q, pkts, nb_pkts);
	/* It may be a split ring now, if another back end has come in between. */
	if (unlikely(!virtq_is_packed(&q->packed)))
		return n;
	if (unlikely(buffers_are_missing(q)))
		buffers_recover(q);
	ppfrag_rx_packed_give(q);
	return n;
}
