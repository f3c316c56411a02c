/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <rte_memcpy.h>

#include "xsk_rx.h"

/*
 * Each descriptor has a lane of a carver: what is left of its page is posted, and the frag is cut
 * to the length of the packet when it comes back. Which lane is at which position of the fill ring
 * stands in x->lane. A packet in several chunks is copied into one frag, and the lanes are posted
 * again as they were; where no page is long enough it is a chain of what was posted.
 */

/* Headers taken at once. */
#define LANES_PART 32u
/* What is cut off where a page starts with the memory of the pool: headroom and a line. */
#define SKIP_LEN RTE_CACHE_LINE_SIZE

static inline char *
lane_data(const struct xsk_rxq *x, uint16_t lane)
{
	return ppool_lane_addr(x->q.carver, lane) + RTE_PKTMBUF_HEADROOM;
}

static inline uint16_t *
fifo_at(const struct xsk_rxq *x, uint32_t pos)
{
	return &x->lane[pos & x->fill.mask];
}

/* Posting */

/* In front of the first page of the pool there is nothing for a chunk to lie over. */
static __rte_noinline bool
lane_skip(struct xsk_rxq *x, uint16_t lane)
{
	struct rte_mbuf *m;

	if (ppool_headers_get(x->q.carver, &m, 1) != 1)
		return false;
	ppool_commit(x->q.carver, lane, m, SKIP_LEN);
	rte_pktmbuf_free(m);
	return true;
}

/* Returns false where there is no page. */
static inline bool
lane_post(struct xsk_rxq *x, uint16_t lane)
{
	struct ppool_buf buf;
	uint64_t base;

	do {
		if (unlikely(ppool_reserve(x->q.carver, lane, &buf) != 0))
			return false;
		base = (uint64_t)(buf.addr + RTE_PKTMBUF_HEADROOM - x->umem) - x->lead;
		if (likely(base <= x->last_base))
			break;
	} while (lane_skip(x, lane));
	if (unlikely(base > x->last_base))
		return false;
	*fifo_at(x, x->fill.pos) = lane;
	*xsk_ring_addr(&x->fill, x->fill.pos++) = base;
	return true;
}

static inline void
lanes_post(struct xsk_rxq *x, const uint16_t *lanes, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		if (likely(lane_post(x, lanes[i])))
			continue;
		x->q.starved[x->q.nb_starved++] = lanes[i];
		x->q.nb_posted--;
		ppfrag_count(&x->q.stats.no_page, 1);
	}
}

/* Take so many lanes out of the FIFO. */
static inline void
fifo_take(struct xsk_rxq *x, uint16_t *lanes, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		lanes[i] = *fifo_at(x, x->tail++);
}

void
xsk_lanes_post_all(struct xsk_rxq *x)
{
	/* A socket that was just opened has none. */
	if (nb_posted(x) == 0 && x->q.nb_starved == 0)
		for (; x->q.nb_starved < x->q.nb; x->q.nb_starved++)
			x->q.starved[x->q.nb_starved] = x->q.nb - 1 - x->q.nb_starved;
	while (x->q.nb_starved != 0 && lane_post(x, x->q.starved[x->q.nb_starved - 1]))
		x->q.nb_starved--;
	x->q.nb_posted = x->q.nb - x->q.nb_starved;
	xsk_ring_publish(&x->fill);
}

static __rte_noinline void
rx_retry(struct xsk_rxq *x)
{
	if (ppfrag_rxq_retries(&x->q))
		xsk_lanes_post_all(x);
}

/* Packets of one chunk each. Returns how many, the first that is something else being the next. */
static inline uint32_t
lanes_run(struct xsk_rxq *x, struct rte_mbuf **m, uint32_t n, uint64_t *bytes)
{
	struct ppool_carver *c = x->q.carver;
	uint16_t lanes[LANES_PART];
	const struct xdp_desc *d;
	uint16_t lane;
	uint32_t i;

	for (i = 0; i < n; i++) {
		d = xsk_ring_desc(&x->rx, x->rx.pos + i);
		lane = *fifo_at(x, x->tail + i);
		if (unlikely(x->umem + desc_offset(d) != lane_data(x, lane) ||
				    !desc_is_packet(x, d)))
			break;
		rte_prefetch0(lane_data(x, lane));
		ppool_commit(c, lane, m[i], d->len);
		*bytes += d->len;
	}
	fifo_take(x, lanes, i);
	lanes_post(x, lanes, i);
	x->rx.pos += i;
	return i;
}

/* Other packets, one at a time */

static bool
fifo_find(struct xsk_rxq *x, uint32_t pos, uint64_t offset)
{
	uint32_t at;

	for (at = pos; at != x->fill.pos; at++) {
		if (lane_data(x, *fifo_at(x, at)) == x->umem + offset) {
			RTE_SWAP(*fifo_at(x, at), *fifo_at(x, pos));
			return true;
		}
	}
	return false;
}

static struct rte_mbuf *
packet_copy(const struct xsk_rxq *x, const struct xsk_packet *p)
{
	struct rte_mbuf *m = ppool_carve(x->jumbo, p->len);
	uint32_t i;
	char *to;

	if (m == NULL)
		return NULL;
	to = rte_pktmbuf_mtod(m, char *);
	for (i = 0; i < p->nb; i++) {
		rte_memcpy(to, lane_data(x, *fifo_at(x, x->tail + i)), p->seg_len[i]);
		to += p->seg_len[i];
	}
	m->data_len = (uint16_t)p->len;
	m->pkt_len = p->len;
	return m;
}

/* Make a chain of what was posted. */
static struct rte_mbuf *
packet_chain(struct xsk_rxq *x, const struct xsk_packet *p)
{
	struct rte_mbuf *m[XSK_MAX_CHUNKS];
	uint32_t i, got = ppool_headers_get(x->q.carver, m, p->nb);

	if (got < p->nb) {
		ppool_headers_put(x->q.carver, m, got);
		return NULL;
	}
	for (i = 0; i < p->nb; i++) {
		ppool_commit(x->q.carver, *fifo_at(x, x->tail + i), m[i], p->seg_len[i]);
		m[i]->next = i + 1 < p->nb ? m[i + 1] : NULL;
	}
	m[0]->nb_segs = (uint16_t)p->nb;
	m[0]->pkt_len = p->len;
	return m[0];
}

/* A packet whose descriptors are checked. NULL: it is dropped, or waits. */
static struct xsk_step
packet_deliver(struct xsk_rxq *x, const struct xsk_packet *p)
{
	struct xsk_step step = { .done = true };
	uint64_t *count = &x->q.stats.oversize_packets;

	if (p->len < RTE_ETHER_HDR_LEN) {
		count = &x->q.stats.short_packets;
	} else if (p->len <= x->q.max_len && x->jumbo != NULL) {
		count = &x->q.stats.copied_packets;
		step.m = packet_copy(x, p);
		step.done = step.m != NULL;
	} else if (x->q.scatter) {
		count = &x->q.stats.chained_packets;
		step.m = packet_chain(x, p);
		step.done = step.m != NULL;
	}
	step.no_page = !step.done;
	if (step.done)
		ppfrag_count(count, 1);
	return step;
}

/* A packet of several chunks, or one that was not expected here. */
static __rte_noinline struct xsk_step
rx_unusual(struct xsk_rxq *x, uint32_t ready)
{
	struct xsk_packet p = { .nb_desc = packet_descs(x, ready), .sane = true };
	struct xsk_step step = { .done = false };
	uint16_t lane;

	if (p.nb_desc == 0)
		return step;
	packet_read(x, &p, fifo_find);
	step.done = true;
	if (p.sane && p.nb == 1 && p.len >= RTE_ETHER_HDR_LEN)
		return step; /* now it is the one that comes next */
	if (p.sane)
		step = packet_deliver(x, &p);
	if (!step.done)
		return step;
	for (; p.nb > 0; p.nb--) {
		fifo_take(x, &lane, 1);
		lanes_post(x, &lane, 1);
	}
	x->rx.pos += p.nb_desc;
	return step;
}

static __rte_always_inline uint16_t
rx_burst(struct xsk_rxq *x, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	uint32_t n, got, end, begin = x->rx.pos, waiting = 0;
	struct xsk_step step;
	uint64_t bytes = 0;
	uint16_t nb_rx = 0;

	if (unlikely(x->q.nb_starved != 0))
		rx_retry(x);
	end = begin + xsk_rx_ready(x);
	if (end == begin) {
		xsk_rx_idle(x);
		return 0;
	}
	while (x->rx.pos != end && nb_rx < nb_pkts) {
		n = RTE_MIN(RTE_MIN(end - x->rx.pos, (uint32_t)(nb_pkts - nb_rx)), LANES_PART);
		got = ppool_headers_get(x->q.carver, &pkts[nb_rx], n);
		n = lanes_run(x, &pkts[nb_rx], got, &bytes);
		if (unlikely(n < got))
			ppool_headers_put(x->q.carver, &pkts[nb_rx + n], got - n);
		nb_rx += (uint16_t)n;
		if (likely(n != 0))
			continue;
		step = (struct xsk_step){ .no_page = true };
		if (got != 0)
			step = rx_unusual(x, end - x->rx.pos);
		if (!xsk_step_take(step, pkts, &nb_rx, &bytes)) {
			waiting = step.no_page ? end - x->rx.pos : 0;
			break;
		}
	}
	xsk_rx_end(x, pkts, nb_rx, bytes, x->rx.pos - begin, waiting);
	return nb_rx;
}

uint16_t
xsk_rx_burst_lanes(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct xsk_rxq *x = rxq;
	uint16_t nb_rx;

	if (unlikely(!xsk_gate_enter(&x->gate)))
		return 0;
	if (unlikely(x->copies))
		nb_rx = xsk_rx_burst_copy(x, pkts, nb_pkts);
	else
		nb_rx = rx_burst(x, pkts, nb_pkts);
	xsk_gate_leave(&x->gate);
	return nb_rx;
}

void
xsk_lanes_discard(struct xsk_rxq *x)
{
	struct xsk_packet p;
	uint32_t ready = xsk_ring_ready(&x->rx);
	uint16_t lane;

	for (; ready > 0; ready--, x->rx.pos++) {
		p = (struct xsk_packet){ .nb_desc = 1 };
		packet_read(x, &p, fifo_find);
		if (p.nb == 0)
			continue;
		fifo_take(x, &lane, 1);
		lanes_post(x, &lane, 1);
	}
	xsk_ring_consume(&x->rx);
	xsk_lanes_post_all(x);
}
