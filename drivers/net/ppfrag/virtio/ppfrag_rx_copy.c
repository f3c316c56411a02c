/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <string.h>

#include <rte_memcpy.h>

#include "ppfrag_rx.h"

/*
 * The device writes into bounce buffers; each packet is copied into a slot of its size, or into a
 * frag of exactly its length. Descriptor i has buffer i.
 */

static const char *
bounce_buf(const struct ppfrag_rxq *q, uint16_t id)
{
	return q->bounce + (size_t)id * q->buf_len;
}

/* A packet that is being copied: its segments, all full but the last. */
struct copy_dst {
	struct rte_mbuf *seg[PPFRAG_MAX_SEGS];
	unsigned int at;
	uint32_t off; /* in that segment */
};

/* All segments of a chain, or none. */
static int
copy_alloc_segs(struct ppfrag_rxq *q, struct rte_mbuf **seg, const uint32_t *lens, unsigned int n)
{
	unsigned int i;

	if (q->slots == NULL)
		return ppool_carve_bulk(q->carver, seg, lens, n);
	for (i = 0; i < n; i++) {
		seg[i] = ppfrag_slots_get(q, lens[i]);
		if (unlikely(seg[i] == NULL)) {
			rte_pktmbuf_free_bulk(seg, i);
			return -ENOMEM;
		}
	}
	return 0;
}

/* Segments for len bytes: one, or a chain where frames may be longer than a page. */
static __rte_noinline int
copy_alloc_chain(struct ppfrag_rxq *q, struct copy_dst *dst, uint32_t len)
{
	uint32_t lens[PPFRAG_MAX_SEGS], left = len;
	unsigned int i, n = 0;

	do {
		lens[n] = RTE_MIN(left, q->max_len);
		left -= lens[n++];
	} while (left != 0);
	if (copy_alloc_segs(q, dst->seg, lens, n) != 0)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		dst->seg[i]->data_len = (uint16_t)lens[i];
		dst->seg[i]->pkt_len = lens[i];
		dst->seg[i]->next = i < n - 1 ? dst->seg[i + 1] : NULL;
	}
	dst->seg[0]->nb_segs = (uint16_t)n;
	dst->seg[0]->pkt_len = len;
	ppfrag_count(&q->stats.chained_packets, 1);
	return 0;
}

static inline int
copy_alloc(struct ppfrag_rxq *q, struct copy_dst *dst, uint32_t len)
{
	dst->at = 0;
	dst->off = 0;
	if (unlikely(len > q->max_len))
		return copy_alloc_chain(q, dst, len);
	dst->seg[0] = q->slots != NULL ? ppfrag_slots_get(q, len) : ppool_carve(q->carver, len);
	if (unlikely(dst->seg[0] == NULL))
		return -ENOMEM;
	dst->seg[0]->data_len = (uint16_t)len;
	dst->seg[0]->pkt_len = len;
	return 0;
}

static inline void
copy_append(const struct ppfrag_rxq *q, struct copy_dst *dst, const char *src, uint32_t len)
{
	uint32_t n;

	while (len != 0) {
		if (dst->off == q->max_len) {
			dst->at++;
			dst->off = 0;
		}
		n = RTE_MIN(len, q->max_len - dst->off);
		rte_memcpy(rte_pktmbuf_mtod_offset(dst->seg[dst->at], char *, dst->off), src, n);
		dst->off += n;
		src += n;
		len -= n;
	}
}

static inline void
copy_buffers(const struct ppfrag_rxq *q, const uint16_t *ids, const struct rx_merged *p,
		struct copy_dst *dst)
{
	uint32_t skip = VIRTIO_HDR_LEN;
	uint32_t len;
	uint16_t i;

	for (i = 0; i < p->nb; i++) {
		len = i < p->nb - 1 ? q->buf_len : p->last;
		copy_append(q, dst, bounce_buf(q, ids[i]) + skip, len - skip);
		skip = 0;
	}
}

/* A packet whose buffers are all used, the first of them by an entry that was checked. */
static __rte_always_inline struct rx_step
copy_packet(struct ppfrag_rxq *q, const struct rx_cursor *b, struct rx_entry first, uint16_t nb,
		const bool header, const bool plain)
{
	struct rx_merged p = { .nb = nb };
	struct copy_dst dst;
	uint32_t len;

	if (!rx_collect(q, b, first, &p, plain)) {
		ppfrag_count(&q->stats.bad_used, nb);
		return (struct rx_step){ .used = nb, .done = p.done };
	}
	len = p.len - VIRTIO_HDR_LEN;
	if (len > (q->scatter ? q->max_len * PPFRAG_MAX_SEGS : q->max_len)) {
		ppfrag_count(&q->stats.oversize_packets, 1);
		return (struct rx_step){ .used = nb, .done = nb };
	}
	if (copy_alloc(q, &dst, len) != 0) {
		rx_uncollect(q, b->nb_done, &p);
		return (struct rx_step){ .no_page = 1 };
	}
	copy_buffers(q, &q->done[b->nb_done], &p, &dst);
	if (header)
		memcpy(rte_pktmbuf_mtod(dst.seg[0], char *) - VIRTIO_HDR_LEN,
				bounce_buf(q, q->done[b->nb_done]), VIRTIO_HDR_LEN);
	b->pkts[0] = dst.seg[0];
	ppfrag_count(&q->stats.copied_packets, 1);
	return (struct rx_step){ .used = nb, .done = nb, .rx = 1, .bytes = len };
}

static __rte_always_inline struct rx_step
copy_next(struct ppfrag_rxq *q, const struct rx_cursor *b, const bool header, const bool plain)
{
	struct rx_step step;
	struct rx_entry e;
	uint16_t nb = rx_check(q, b, &e, &step, plain);

	return nb != 0 ? copy_packet(q, b, e, nb, header, plain) : step;
}

static __rte_always_inline uint16_t
copy_burst(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts, const bool header,
		const bool plain)
{
	struct rx_cursor b = { .pkts = pkts, .ready = rx_ready(q, plain) };
	struct rx_step step;

	while (b.at < b.ready && b.nb_rx < nb_pkts) {
		step = copy_next(q, &b, header, plain);
		if (!rx_step_done(&b, &step))
			break;
	}
	rx_advance(q, b.at, b.nb_done);
	if (!plain && q->in_order)
		ppfrag_in_order_post(q);
	else
		ppfrag_rx_post(q, q->done, b.nb_done);
	return rx_count(q, &b);
}

uint16_t
ppfrag_rx_burst_copy(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	if (likely(q->plain))
		return copy_burst(q, pkts, nb_pkts, false, true);
	return copy_burst(q, pkts, nb_pkts, false, false);
}

uint16_t
ppfrag_rx_burst_copy_header(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	if (likely(q->plain))
		return copy_burst(q, pkts, nb_pkts, true, true);
	return copy_burst(q, pkts, nb_pkts, true, false);
}
