/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <rte_memcpy.h>

#include "ppfrag_rx.h"

/*
 * The device writes into bounce buffers; each packet is copied into a frag of exactly its length.
 * Descriptor i has buffer i.
 */

static const char *
bounce_buf(const struct ppfrag_rxq *q, uint16_t id)
{
	return q->bounce + (size_t)id * q->buf_len;
}

/* Memory for len bytes: one frag, or a chain where frames may be longer than a page. */
static struct rte_mbuf *
copy_alloc(struct ppfrag_rxq *q, uint32_t len)
{
	struct rte_mbuf *seg[PPFRAG_MAX_SEGS];
	uint32_t lens[PPFRAG_MAX_SEGS];
	unsigned int i, n;

	if (likely(len <= q->max_len))
		return ppool_carve(q->carver, len);
	for (n = 0; len != 0; n++) {
		lens[n] = RTE_MIN(len, q->max_len);
		len -= lens[n];
	}
	if (ppool_carve_bulk(q->carver, seg, lens, n) != 0)
		return NULL;
	for (i = 0; i < n - 1; i++)
		seg[i]->next = seg[i + 1];
	seg[0]->nb_segs = n;
	q->stats.chained_packets++;
	return seg[0];
}

/* Append bytes to the last segment of a chain whose segments fill up in turn. */
static struct rte_mbuf *
copy_append(const struct ppfrag_rxq *q, struct rte_mbuf *head, struct rte_mbuf *seg,
		const char *src, uint32_t len)
{
	uint32_t n;

	while (len != 0) {
		if (seg->data_len == q->max_len)
			seg = seg->next;
		n = RTE_MIN(len, q->max_len - seg->data_len);
		rte_memcpy(rte_pktmbuf_mtod_offset(seg, char *, seg->data_len), src, n);
		seg->data_len += n;
		head->pkt_len += n;
		src += n;
		len -= n;
	}
	return seg;
}

static void
copy_buffers(const struct ppfrag_rxq *q, const uint16_t *ids, const struct rx_merged *p,
		struct rte_mbuf *m)
{
	struct rte_mbuf *seg = m;
	uint32_t skip = VIRTIO_HDR_LEN;
	uint32_t len;
	uint16_t i;

	for (i = 0; i < p->nb; i++) {
		len = i < p->nb - 1 ? q->buf_len : p->last;
		seg = copy_append(q, m, seg, bounce_buf(q, ids[i]) + skip, len - skip);
		skip = 0;
	}
}

/* A packet whose buffers are all used. */
static struct rx_step
copy_packet(struct ppfrag_rxq *q, uint16_t at, uint16_t nb_done, uint16_t nb, struct rte_mbuf **m)
{
	struct rx_merged p = { .nb = nb };
	uint32_t len;

	if (!rx_collect(q, at, nb_done, &p)) {
		q->stats.bad_used++;
		return (struct rx_step){ .used = nb, .done = p.done };
	}
	len = p.len - VIRTIO_HDR_LEN;
	if (len > (q->scatter ? q->max_len * PPFRAG_MAX_SEGS : q->max_len)) {
		q->stats.oversize_packets++;
		return (struct rx_step){ .used = nb, .done = nb };
	}
	*m = copy_alloc(q, len);
	if (*m == NULL) {
		rx_uncollect(q, nb_done, &p);
		return (struct rx_step){ .no_page = 1 };
	}
	copy_buffers(q, &q->done[nb_done], &p, *m);
	q->stats.copied_packets++;
	return (struct rx_step){ .used = nb, .done = nb, .rx = 1 };
}

static struct rx_step
copy_next(struct ppfrag_rxq *q, uint16_t at, uint16_t ready, uint16_t nb_done, struct rte_mbuf **m)
{
	uint32_t id, len;
	uint16_t nb = 1;

	virtq_used_read(&q->vq, q->used_idx + at, &id, &len);
	if (!rx_is_posted(q, id)) {
		q->stats.bad_used++;
		return (struct rx_step){ .used = 1 };
	}
	if (len < RX_MIN_LEN || len > q->buf_len)
		return rx_bad(q, nb_done, id);
	if (len == q->buf_len)
		nb = rx_num_buffers(q, bounce_buf(q, id));
	if (nb == 0 || nb > q->nb_posted - nb_done)
		return rx_bad(q, nb_done, id);
	if (nb > ready - at)
		return (struct rx_step){ .used = 0 }; /* the rest is still to come */
	return copy_packet(q, at, nb_done, nb, m);
}

uint16_t
ppfrag_rx_burst_copy(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	uint16_t at = 0, nb_rx = 0, nb_done = 0, no_page = 0;
	uint16_t ready = rx_ready(q);
	struct rx_step step;

	while (at < ready && nb_rx < nb_pkts) {
		step = copy_next(q, at, ready, nb_done, &pkts[nb_rx]);
		if (step.used == 0) {
			no_page = step.no_page;
			break;
		}
		if (step.rx != 0)
			q->stats.bytes += pkts[nb_rx]->pkt_len;
		at += step.used;
		nb_done += step.done;
		nb_rx += step.rx;
	}
	if (unlikely((no_page | q->nb_waiting) != 0))
		rx_waiting(q, nb_rx, no_page != 0 ? ready - at : 0);
	rx_advance(q, at, nb_done);
	ppfrag_rx_post(q, q->done, nb_done);
	q->stats.packets += nb_rx;
	return nb_rx;
}
