/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <rte_memcpy.h>

#include "xsk_rx.h"

/*
 * Where the pool can be no umem, chunk i of the socket's own memory is posted for entry i at first,
 * and then as it comes back; which one is at which position of the fill ring stands in x->lane.
 * Every packet is copied, into a slot or a frag of its length, or a chain of these.
 */

static inline uint16_t *
fifo_at(const struct xsk_rxq *x, uint32_t pos)
{
	return &x->lane[pos & x->fill.mask];
}

/* From the start of the memory on. */
static inline uint64_t
chunk_data(const struct xsk_rxq *x, uint16_t chunk)
{
	return (uint64_t)chunk * XSK_CHUNK + x->lead;
}

static void
chunk_post(struct xsk_rxq *x, uint16_t chunk)
{
	*fifo_at(x, x->fill.pos) = chunk;
	*xsk_ring_addr(&x->fill, x->fill.pos++) = (uint64_t)chunk * XSK_CHUNK;
}

/* Post again so many that have come back. */
static void
chunks_repost(struct xsk_rxq *x, uint32_t n)
{
	uint16_t chunk;

	for (; n > 0; n--) {
		chunk = *fifo_at(x, x->tail++);
		chunk_post(x, chunk);
	}
}

void
xsk_copy_post_all(struct xsk_rxq *x)
{
	while (nb_posted(x) < x->q.nb)
		chunk_post(x, (uint16_t)x->fill.pos);
	x->q.nb_posted = x->q.nb;
	xsk_ring_publish(&x->fill);
}

static bool
fifo_find(struct xsk_rxq *x, uint32_t pos, uint64_t offset)
{
	uint32_t at;

	for (at = pos; at != x->fill.pos; at++) {
		if (chunk_data(x, *fifo_at(x, at)) == offset) {
			RTE_SWAP(*fifo_at(x, at), *fifo_at(x, pos));
			return true;
		}
	}
	return false;
}

/* An mbuf of so many bytes. NULL: there is no page. */
static struct rte_mbuf *
copy_alloc(const struct xsk_rxq *x, uint32_t len)
{
	struct rte_mbuf *m;

	if (x->q.slots != NULL)
		return ppfrag_slots_get(&x->q, len);
	m = ppool_carve(len <= x->q.post_len ? x->q.carver : x->jumbo, len);
	if (m == NULL)
		return NULL;
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	return m;
}

static void
chunk_copy(const struct xsk_rxq *x, char *to, uint32_t pos, uint32_t len)
{
	rte_memcpy(to, x->umem + chunk_data(x, *fifo_at(x, pos)), len);
}

static struct rte_mbuf *
packet_copy(const struct xsk_rxq *x, const struct xsk_packet *p)
{
	struct rte_mbuf *m = copy_alloc(x, p->len);
	uint32_t i;
	char *to;

	if (m == NULL)
		return NULL;
	to = rte_pktmbuf_mtod(m, char *);
	for (i = 0; i < p->nb; i++) {
		chunk_copy(x, to, x->tail + i, p->seg_len[i]);
		to += p->seg_len[i];
	}
	return m;
}

/* A segment for each chunk. */
static struct rte_mbuf *
packet_chain(const struct xsk_rxq *x, const struct xsk_packet *p)
{
	struct rte_mbuf *m, *first = NULL, **end = &first;
	uint32_t i;

	for (i = 0; i < p->nb; i++) {
		m = copy_alloc(x, p->seg_len[i]);
		if (m == NULL) {
			rte_pktmbuf_free(first);
			return NULL;
		}
		chunk_copy(x, rte_pktmbuf_mtod(m, char *), x->tail + i, p->seg_len[i]);
		*end = m;
		end = &m->next;
		first->nb_segs = (uint16_t)(i + 1);
	}
	first->pkt_len = p->len;
	return first;
}

/* A packet whose descriptors are checked. NULL: it is dropped, or waits. */
static struct xsk_step
packet_deliver(struct xsk_rxq *x, const struct xsk_packet *p)
{
	struct xsk_step step = { .done = true };

	if (p->len < RTE_ETHER_HDR_LEN) {
		ppfrag_count(&x->q.stats.short_packets, 1);
		return step;
	}
	if (p->len > RTE_MAX(x->q.max_len, x->q.post_len) && !x->q.scatter) {
		ppfrag_count(&x->q.stats.oversize_packets, 1);
		return step;
	}
	step.m = p->nb == 1 || p->len <= x->q.max_len ? packet_copy(x, p) : packet_chain(x, p);
	step.done = step.m != NULL;
	step.no_page = step.m == NULL;
	if (!step.done)
		return step;
	ppfrag_count(&x->q.stats.copied_packets, 1);
	if (step.m->nb_segs > 1)
		ppfrag_count(&x->q.stats.chained_packets, 1);
	return step;
}

static struct xsk_step
packet_run(struct xsk_rxq *x, uint32_t ready)
{
	struct xsk_packet p = { .nb_desc = packet_descs(x, ready), .sane = true };
	struct xsk_step step = { .done = false };

	if (p.nb_desc == 0)
		return step;
	packet_read(x, &p, fifo_find);
	step.done = true;
	if (p.sane)
		step = packet_deliver(x, &p);
	if (!step.done)
		return step;
	chunks_repost(x, p.nb);
	x->rx.pos += p.nb_desc;
	return step;
}

uint16_t
xsk_rx_burst_copy(struct xsk_rxq *x, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	uint32_t begin = x->rx.pos, end = begin + xsk_rx_ready(x), waiting = 0;
	struct xsk_step step;
	uint64_t bytes = 0;
	uint16_t nb_rx = 0;

	if (end == begin) {
		xsk_rx_idle(x);
		return 0;
	}
	while (x->rx.pos != end && nb_rx < nb_pkts) {
		step = packet_run(x, end - x->rx.pos);
		if (!xsk_step_take(step, pkts, &nb_rx, &bytes)) {
			waiting = step.no_page ? end - x->rx.pos : 0;
			break;
		}
	}
	xsk_rx_end(x, pkts, nb_rx, bytes, x->rx.pos - begin, waiting);
	return nb_rx;
}

void
xsk_copy_discard(struct xsk_rxq *x)
{
	struct xsk_packet p;
	uint32_t ready = xsk_ring_ready(&x->rx);

	for (; ready > 0; ready--, x->rx.pos++) {
		p = (struct xsk_packet){ .nb_desc = 1 };
		packet_read(x, &p, fifo_find);
		chunks_repost(x, p.nb);
	}
	xsk_ring_consume(&x->rx);
	xsk_ring_publish(&x->fill);
}
