/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <string.h>

#include <rte_atomic.h>
#include <rte_memcpy.h>

#include "../ppfrag.h"

/*
 * A packet is one chain of descriptors: its virtio header, then its segments. Where nobody shares
 * the mbuf the header goes into the headroom, and the first segment carries both.
 *
 * The device can write the rings: which descriptors form a packet, and which are free, is kept in
 * memory of our own.
 */

/* Packets freed in one go. */
#define TX_FREE_BURST 64

/* Whether the device can read these bytes. */
static inline bool
tx_is_shared(const struct ppfrag_dev *pd, uintptr_t addr, size_t len)
{
	uint16_t i;

	for (i = 0; i < pd->nb_shared; i++)
		if (addr - pd->shared[i].addr < pd->shared[i].len)
			return len <= pd->shared[i].len - (addr - pd->shared[i].addr);
	return false;
}

/* Whether the bytes in front of the packet are free, and ours alone. */
static inline bool
tx_owns_headroom(const struct rte_mbuf *m)
{
	if (rte_pktmbuf_headroom(m) < VIRTIO_HDR_LEN || rte_mbuf_refcnt_read(m) != 1)
		return false;
	if (RTE_MBUF_DIRECT(m))
		return true;
	return RTE_MBUF_HAS_PINNED_EXTBUF(m) && rte_mbuf_ext_refcnt_read(m->shinfo) == 1;
}

/* A chain of descriptors under construction. */
struct tx_chain {
	uint16_t head;
	uint16_t last;
	uint16_t nb;
};

static inline void
tx_append(struct ppfrag_txq *q, struct tx_chain *c, const void *addr, uint32_t len)
{
	uint16_t id = q->free[q->free_head++ & q->vq.mask];
	struct virtq_desc *desc = &q->vq.desc[id];

	q->nb_free--;
	desc->addr = rte_cpu_to_le_64((uintptr_t)addr);
	desc->len = rte_cpu_to_le_32(len);
	desc->flags = 0;
	if (c->nb++ == 0) {
		c->head = id;
	} else {
		q->vq.desc[c->last].flags = rte_cpu_to_le_16(VIRTQ_DESC_F_NEXT);
		q->vq.desc[c->last].next = rte_cpu_to_le_16(id);
		q->slot[c->last].next = id;
	}
	c->last = id;
}

/* Offer a chain. The mbuf, if any, is freed when the device is done with it. */
static inline void
tx_offer(struct ppfrag_txq *q, const struct tx_chain *c, struct rte_mbuf *m)
{
	q->slot[c->head].m = m;
	q->slot[c->head].nb = c->nb;
	q->nb_inflight++;
	virtq_offer(&q->vq, q->avail_idx++, c->head);
}

/* Descriptors for the segments of a packet; 0: it must be copied. */
static inline uint16_t
tx_count(const struct ppfrag_txq *q, const struct rte_mbuf *m, uint32_t push)
{
	uint16_t n = 0;

	if (unlikely(m->nb_segs > PPFRAG_MAX_SEGS))
		return 0;
	for (; m != NULL; m = m->next, push = 0) {
		if (unlikely(m->data_len + push == 0))
			continue;
		if (!tx_is_shared(q->dev, rte_pktmbuf_mtod(m, uintptr_t) - push,
				    m->data_len + push))
			return 0;
		n++;
	}
	return n;
}

/* Hand the segments themselves to the device, the header in front of the first one. */
static inline void
tx_share(struct ppfrag_txq *q, struct rte_mbuf *m, uint32_t push)
{
	struct tx_chain c = { .nb = 0 };
	struct rte_mbuf *seg;
	char *data;

	if (push != 0) {
		memset(rte_pktmbuf_mtod(m, char *) - push, 0, VIRTIO_HDR_LEN);
	} else {
		tx_append(q, &c, q->hdr, VIRTIO_HDR_LEN);
		q->stats.header_packets++;
	}
	for (seg = m; seg != NULL; seg = seg->next, push = 0) {
		data = rte_pktmbuf_mtod(seg, char *);
		if (likely(seg->data_len + push != 0))
			tx_append(q, &c, data - push, seg->data_len + push);
	}
	q->stats.chained_packets += m->nb_segs > 1;
	tx_offer(q, &c, m);
}

/* Copy a packet behind its header into the bounce buffers of its descriptors. */
static void
tx_fill_bounce(struct ppfrag_txq *q, const struct rte_mbuf *m)
{
	uint32_t hdr = VIRTIO_HDR_LEN, off = 0, len;
	struct tx_chain c = { .nb = 0 };
	const void *src;
	char *buf;

	do {
		len = RTE_MIN(m->pkt_len - off, PPFRAG_BOUNCE_LEN - hdr);
		buf = q->bounce + (size_t)q->free[q->free_head & q->vq.mask] * PPFRAG_BOUNCE_LEN;
		memset(buf, 0, hdr);
		src = rte_pktmbuf_read(m, off, len, buf + hdr);
		if (src != buf + hdr)
			rte_memcpy(buf + hdr, src, len);
		tx_append(q, &c, buf, hdr + len);
		off += len;
		hdr = 0;
	} while (off < m->pkt_len);
	tx_offer(q, &c, NULL);
}

/* Send a packet that the device cannot read, or with too many segments. */
static __rte_noinline bool
tx_copy(struct ppfrag_txq *q, struct rte_mbuf *m)
{
	uint32_t nb = (m->pkt_len + VIRTIO_HDR_LEN + PPFRAG_BOUNCE_LEN - 1) / PPFRAG_BOUNCE_LEN;

	if (nb > q->vq.size) {
		q->stats.dropped_packets++;
		q->stats.packets--;
		q->stats.bytes -= m->pkt_len;
		rte_pktmbuf_free(m);
		return true;
	}
	if (nb > q->nb_free)
		return false;
	tx_fill_bounce(q, m);
	q->stats.copied_packets++;
	rte_pktmbuf_free(m);
	return true;
}

/* Returns false if the ring has too few free descriptors now. */
static inline bool
tx_send(struct ppfrag_txq *q, struct rte_mbuf *m)
{
	uint32_t push = tx_owns_headroom(m) ? VIRTIO_HDR_LEN : 0;
	uint32_t nb = tx_count(q, m, push);

	if (unlikely(nb == 0))
		return tx_copy(q, m);
	nb += push == 0;
	if (unlikely(nb > q->nb_free))
		return nb > q->vq.size && tx_copy(q, m);
	tx_share(q, m, push);
	return true;
}

/* The descriptors of a packet are free. */
static inline void
tx_put_descs(struct ppfrag_txq *q, uint16_t id)
{
	uint16_t nb = q->slot[id].nb;

	q->slot[id].nb = 0;
	for (; nb != 0; nb--) {
		q->free[(uint16_t)(q->free_head + q->nb_free++) & q->vq.mask] = id;
		id = q->slot[id].next;
	}
}

/* Free up to max packets that the device has sent. Returns how many. */
static uint16_t
tx_reclaim(struct ppfrag_txq *q, uint16_t max)
{
	uint16_t n = virtq_used_idx(&q->vq) - q->used_idx;
	struct rte_mbuf *m[TX_FREE_BURST];
	unsigned int nb_m = 0;
	uint32_t id, len;
	uint16_t i;

	if (unlikely(n > q->nb_inflight)) {
		q->stats.bad_used++;
		n = q->nb_inflight;
	}
	n = RTE_MIN(n, max);
	for (i = 0; i < n; i++) {
		virtq_used_read(&q->vq, q->used_idx++, &id, &len);
		if (unlikely(id >= q->vq.size || q->slot[id].nb == 0)) {
			q->stats.bad_used++;
			continue;
		}
		q->nb_inflight--;
		if (q->slot[id].m != NULL)
			m[nb_m++] = q->slot[id].m;
		tx_put_descs(q, (uint16_t)id);
		if (nb_m == TX_FREE_BURST) {
			rte_pktmbuf_free_bulk(m, nb_m);
			nb_m = 0;
		}
	}
	rte_pktmbuf_free_bulk(m, nb_m);
	return n;
}

static inline void
tx_publish(struct ppfrag_txq *q)
{
	virtq_publish(&q->vq, q->avail_idx);
	/* The device first asks for a notification, then looks at idx; we do the reverse. */
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (unlikely(virtq_wants_kick(&q->vq))) {
		q->stats.kicks++;
		ppfrag_kick(q->dev, ppfrag_tx_vring(q->queue_id));
	}
}

uint16_t
ppfrag_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct ppfrag_txq *q = txq;
	uint16_t first = q->avail_idx;
	uint64_t bytes = 0;
	uint32_t len;
	uint16_t i;

	if (unlikely(__atomic_load_n(&q->dev->link_up, __ATOMIC_RELAXED) == 0))
		return 0;
	if (q->nb_free < q->free_thresh)
		tx_reclaim(q, q->vq.size);

	for (i = 0; i < nb_pkts; i++) {
		len = pkts[i]->pkt_len;
		if (unlikely(!tx_send(q, pkts[i]))) {
			q->stats.full++;
			break;
		}
		bytes += len;
	}

	if (q->avail_idx != first)
		tx_publish(q);
	q->stats.packets += i;
	q->stats.bytes += bytes;
	return i;
}

int
ppfrag_tx_done_cleanup(void *txq, uint32_t n)
{
	struct ppfrag_txq *q = txq;

	return tx_reclaim(q, n == 0 ? q->vq.size : (uint16_t)RTE_MIN(n, (uint32_t)q->vq.size));
}

void
ppfrag_tx_drain(struct ppfrag_txq *q)
{
	uint16_t i;

	for (i = 0; i < q->vq.size; i++) {
		if (q->slot[i].nb != 0)
			rte_pktmbuf_free(q->slot[i].m);
		q->slot[i].nb = 0;
	}
}
