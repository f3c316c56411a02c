/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <rte_atomic.h>

#include "ppfrag_tx.h"

/*
 * Transmission into a packed ring: how packets come back, and how the device learns of new ones.
 *
 * A packet is as many descriptors one behind the other, whose buffer id is the head of the chain
 * that its image has, see ppfrag_tx.c. The device gives back the first one only, and then goes on
 * behind the last. Where it works in order, it may give back the last of several packets only.
 */

/* How far it is to the end of a packet. A device that gave back nonsense may be anywhere. */
static inline uint16_t
packet_step(const struct virtq_packed *p, uint16_t at, uint16_t nb)
{
	return RTE_MIN(nb, (uint16_t)(p->avail - at));
}

/* Whether the device has used the descriptor at a position, and for which packet. */
static __rte_always_inline bool
used_read(const struct virtq_packed *p, uint16_t at, uint16_t *id)
{
	uint64_t rest;

	if (at == p->avail)
		return false;
	rest = packed_read(p, at);
	*id = packed_id(rest);
	return packed_is_used(p, at, rest);
}

/* Whether the device has such a packet. All that were written are available here. */
static inline bool
packet_is_out(const struct ppfrag_txq *q, uint16_t id)
{
	return likely(id < q->vq.size) && likely(q->slot[id].nb != 0);
}

/*
 * The device has used all descriptors, but it has given back other packets than it had. It cannot
 * give back the others any more.
 */
static __rte_noinline uint16_t
packets_recover(struct ppfrag_txq *q)
{
	uint16_t i, n = q->nb_inflight;

	ppfrag_tx_drain(q);
	q->free_head = 0;
	q->nb_free = q->vq.size;
	q->batch = 0;
	for (i = 0; i < q->vq.size; i++)
		q->free[i] = i;
	return n;
}

static __rte_always_inline uint16_t
reclaim_end(struct ppfrag_txq *q, struct tx_sent *sent, uint16_t freed)
{
	tx_sent_end(q, sent, freed);
	if (unlikely(q->packed.used == q->packed.avail && q->nb_inflight != 0))
		freed += packets_recover(q);
	return freed;
}

static uint16_t
reclaim_any_order(struct ppfrag_txq *q, uint16_t max)
{
	struct virtq_packed *p = &q->packed;
	uint16_t id, nb, freed = 0, at = p->used, end = q->free_head + q->nb_free;
	struct tx_sent sent;

	sent.nb = 0;
	while (freed < max && used_read(p, at, &id)) {
		if (unlikely(!packet_is_out(q, id))) {
			ppfrag_count(&q->stats.bad_used, 1);
			at++;
			continue;
		}
		nb = q->slot[id].nb;
		tx_sent_add(&sent, q->slot[id].m);
		end = tx_put_descs(q, id, end);
		freed++;
		at = tx_step(at, packet_step(p, at, nb));
	}
	p->used = at;
	q->nb_free = end - q->free_head;
	return reclaim_end(q, &sent, freed);
}

/* The device works in order, and each used descriptor from here on tells of its own packet. */
static inline uint16_t
batch_read_each(const struct ppfrag_txq *q)
{
	const struct virtq_packed *p = &q->packed;
	uint16_t id, n = 0, at = p->used, head = tx_oldest(q);

	while (q->slot[head].nb == 1 && used_read(p, at++, &id) && id == head) {
		head = (head + 1) & q->vq.mask;
		n++;
	}
	return n;
}

/*
 * The packets that the next used descriptor tells of, where the device works in order: from the
 * oldest up to the one that it names. 0: there is none.
 */
static __rte_noinline uint16_t
batch_read(struct ppfrag_txq *q)
{
	struct virtq_packed *p = &q->packed;
	uint16_t id, head, n;

	for (; used_read(p, p->used, &id); p->used++) {
		if (unlikely(!packet_is_out(q, id))) {
			ppfrag_count(&q->stats.bad_used, 1);
			continue;
		}
		head = tx_oldest(q);
		for (n = 1; head != id; n++)
			head = tx_behind(q, head);
		return n;
	}
	return 0;
}

static uint16_t
reclaim_in_order(struct ppfrag_txq *q, uint16_t max)
{
	struct virtq_packed *p = &q->packed;
	uint16_t n, freed = 0;
	struct tx_sent sent;

	sent.nb = 0;
	while (freed < max) {
		if (q->batch == 0)
			q->batch = batch_read_each(q);
		if (q->batch == 0)
			q->batch = batch_read(q);
		if (q->batch == 0)
			break;
		n = RTE_MIN(q->batch, max - freed);
		p->used += packet_step(p, p->used, tx_put_oldest(q, &sent, n));
		q->batch -= n;
		freed += n;
	}
	return reclaim_end(q, &sent, freed);
}

uint16_t
ppfrag_tx_packed_reclaim(struct ppfrag_txq *q, uint16_t max)
{
	if (q->packed.layout == VIRTIO_PACKED_IN_ORDER)
		return reclaim_in_order(q, max);
	return reclaim_any_order(q, max);
}

void
ppfrag_tx_packed_publish(struct ppfrag_txq *q)
{
	struct virtq_packed *p = &q->packed;

	if (p->offered == p->avail)
		return;
	packed_publish(p, p->offered, p->first);
	p->offered = p->avail;
	/* The device first asks for a notification, then looks at the ring; we do the reverse. */
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (unlikely(packed_wants_kick(p))) {
		ppfrag_count(&q->stats.kicks, 1);
		ppfrag_kick(q->dev, ppfrag_tx_vring(q->queue_id));
	}
}

/* Descriptors of the oldest packets up to one. */
static inline uint16_t
descs_until(const struct ppfrag_txq *q, uint16_t id)
{
	return ((id - tx_oldest(q)) & q->vq.mask) + q->slot[id].nb;
}

/* Of the packets that are known to be used. */
static uint16_t
batch_descs(const struct ppfrag_txq *q)
{
	uint16_t i, nb = 0;

	for (i = 0; i < q->batch; i++)
		nb += q->slot[(tx_oldest(q) + nb) & q->vq.mask].nb;
	return nb;
}

uint32_t
ppfrag_tx_packed_done(const struct ppfrag_txq *q, uint32_t enough)
{
	const struct virtq_packed *p = &q->packed;
	const bool in_order = p->layout == VIRTIO_PACKED_IN_ORDER;
	const uint16_t known = batch_descs(q);
	uint16_t id, at = p->used + packet_step(p, p->used, known);
	uint32_t nb = known;

	while (nb < enough && used_read(p, at, &id)) {
		if (!packet_is_out(q, id)) {
			at++;
			continue;
		}
		if (in_order && descs_until(q, id) > nb) {
			at += packet_step(p, at, (uint16_t)(descs_until(q, id) - nb));
			nb = descs_until(q, id);
		} else {
			at += packet_step(p, at, q->slot[id].nb);
			nb += in_order ? 0 : q->slot[id].nb;
		}
	}
	return nb;
}
