/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include "ppfrag_rx.h"

/*
 * Lane i of the carver is descriptor i of the ring: what is left of its page is where the next
 * packet goes. The device writes its header into the last bytes of the headroom, so that the
 * packet starts where the data of the frag does. When it comes back, the frag is cut to the length
 * of the packet and the descriptor is posted again with what is left behind it.
 *
 *      page  | packet | packet |########| headroom    | posted ...            |
 *                                            | header | next packet ...
 *                                            ^ descriptor
 */

/* How far ahead memory is prefetched, in packets. */
#define RX_AHEAD 4u

/*
 * One more segment for a packet: its data starts where the virtio header would be. Nothing is read
 * of an mbuf, here and below, as the device may be able to write it, too.
 */
static inline void
rx_append(struct ppfrag_rxq *q, struct rte_mbuf *prev, struct rte_mbuf *m, uint16_t id,
		uint32_t len)
{
	ppool_commit(q->carver, id, m, RTE_MAX(len, VIRTIO_HDR_LEN) - VIRTIO_HDR_LEN);
	m->data_off = q->hdr_offset;
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	prev->next = m;
}

/* Make a chain of a packet that fills several buffers. */
static void
rx_chain(struct ppfrag_rxq *q, const uint16_t *ids, const struct rx_merged *p, struct rte_mbuf *m,
		struct rte_mbuf **more)
{
	struct rte_mbuf *prev = m;
	uint16_t i;

	ppool_commit(q->carver, ids[0], m, q->max_len);
	for (i = 1; i < p->nb; i++) {
		rx_append(q, prev, more[i - 1], ids[i], i < p->nb - 1 ? q->buf_len : p->last);
		prev = more[i - 1];
	}
	m->pkt_len = p->len - VIRTIO_HDR_LEN;
	m->nb_segs = p->nb;
	ppfrag_count(&q->stats.chained_packets, 1);
}

/*
 * Headers for all segments but the first: new ones, then those that the burst has at hand for other
 * packets, from the last on: when pages are short there are no others. Returns how many of these,
 * or -1 where there are too few; got tells of the new ones.
 */
static int
rx_more_headers(struct ppfrag_rxq *q, const struct rx_cursor *b, struct rte_mbuf **more, uint16_t n,
		unsigned int *got)
{
	uint16_t i, spare;

	*got = ppool_headers_get(q->carver, more, n);
	spare = n - (uint16_t)*got;
	if (spare > b->headers - 1)
		return -1;
	for (i = 0; i < spare; i++)
		more[*got + i] = b->pkts[b->headers - 1 - i];
	return spare;
}

/* Mergeable packet whose buffers have all arrived. */
static __rte_always_inline struct rx_step
rx_merge(struct ppfrag_rxq *q, const struct rx_cursor *b, struct rx_entry first, uint16_t nb,
		const bool plain)
{
	struct rte_mbuf *more[PPFRAG_MAX_SEGS];
	struct rx_merged p = { .nb = nb };
	unsigned int got;
	int spare;

	if (!q->scatter || nb > PPFRAG_MAX_SEGS) {
		rx_collect(q, b, first, &p, plain);
		return rx_drop_merged(q, &p, true);
	}
	spare = rx_more_headers(q, b, more, nb - 1, &got);
	if (spare < 0) {
		ppool_headers_put(q->carver, more, got);
		return (struct rx_step){ .no_page = 1 };
	}
	if (!rx_collect(q, b, first, &p, plain)) {
		ppool_headers_put(q->carver, more, got);
		return rx_drop_merged(q, &p, false);
	}
	rx_chain(q, &q->done[b->nb_done], &p, b->pkts[0], more);
	return (struct rx_step){
		.used = nb,
		.done = nb,
		.rx = 1,
		.spare = (uint16_t)spare,
		.bytes = p.len - VIRTIO_HDR_LEN,
	};
}

/* A used entry that lanes_run() stops at: its descriptor is full, or it makes no sense. */
static __rte_always_inline struct rx_step
lanes_next(struct ppfrag_rxq *q, const struct rx_cursor *b, const bool plain)
{
	struct rx_step step;
	struct rx_entry e;
	uint16_t nb = rx_check(q, b, &e, &step, plain);

	if (nb == 0)
		return step;
	if (nb > 1)
		return rx_merge(q, b, e, nb, plain);
	e.len -= VIRTIO_HDR_LEN;
	rx_take_back(q, b->nb_done, (uint16_t)e.id);
	ppool_commit(q->carver, (uint16_t)e.id, b->pkts[0], e.len);
	return (struct rx_step){ .used = 1, .done = 1, .rx = 1, .bytes = e.len };
}

static __rte_noinline struct rx_step
lanes_unusual_plain(struct ppfrag_rxq *q, const struct rx_cursor *b)
{
	return lanes_next(q, b, true);
}

static __rte_noinline struct rx_step
lanes_unusual(struct ppfrag_rxq *q, const struct rx_cursor *b)
{
	return lanes_next(q, b, false);
}

/* The used entries of a burst, which the device has just written: all lines at once. */
static inline void
rx_prefetch_used(const struct ppfrag_rxq *q, uint16_t n)
{
	uint16_t at;

	for (at = 0; at < n; at += RTE_CACHE_LINE_SIZE / sizeof(struct virtq_used_elem))
		rte_prefetch0(&q->vq.used->ring[(q->used_idx + at) & q->vq.mask]);
}

static inline void
rx_prefetch_header(const struct rte_mbuf *m)
{
	rte_prefetch0(m);
	rte_prefetch0(ppool_frag_of(m));
}

/*
 * Deliver the next packets, one descriptor each, up to n of them or to the first used entry that
 * is not such a packet. Works on copies of what it reads of the queue, as the compiler cannot know
 * that no store changes it.
 */
static __rte_always_inline uint16_t
rx_run(const struct ppfrag_rxq *q, uint16_t at, struct rte_mbuf **pkts, uint16_t n, uint16_t *done,
		uint64_t *bytes, const bool plain)
{
	struct ppool_carver *c = q->carver;
	const struct virtq vq = q->vq;
	uint32_t *posted = q->posted;
	uint32_t id, len, buf_len = q->buf_len, nb = q->nb, burst = q->burst;
	uint32_t headroom = q->hdr_offset + VIRTIO_HDR_LEN, gap = plain ? 0 : ppfrag_rx_gap(q);
	uint16_t i;

	at += q->used_idx;
	for (i = 0; i < RTE_MIN(n, RX_AHEAD); i++)
		rx_prefetch_header(pkts[i]);
	for (i = 0; i < n; i++) {
		if (i + RX_AHEAD < n)
			rx_prefetch_header(pkts[i + RX_AHEAD]);
		virtq_used_read(&vq, at + i, &id, &len);
		len += gap;
		if (unlikely(id >= nb || posted[id] == 0 || posted[id] == burst))
			break;
		if (unlikely(len < RX_MIN_LEN || len >= buf_len))
			break;
		posted[id] = burst;
		/* For the application. */
		rte_prefetch0(ppool_lane_addr(c, (uint16_t)id) + headroom);
		ppool_commit(c, (uint16_t)id, pkts[i], len - VIRTIO_HDR_LEN);
		done[i] = (uint16_t)id;
		*bytes += len - VIRTIO_HDR_LEN;
	}
	return i;
}

/*
 * As rx_run() of a device that works in order, in parts. All descriptors of the burst are offered
 * again at its end.
 */
static inline uint16_t
rx_run_in_order(struct ppfrag_rxq *q, uint16_t at, struct rte_mbuf **pkts, uint16_t n,
		uint64_t *bytes)
{
	const uint16_t pos = (q->used_idx + at) & q->vq.mask;
	const uint32_t headroom = q->hdr_offset + VIRTIO_HDR_LEN;
	struct ppool_carver *c = q->carver;
	struct rx_entry e[RX_PART];
	uint16_t i;

	n = RTE_MIN(RTE_MIN(n, (uint16_t)RX_PART), q->nb - pos);
	if (unlikely(n == 0 || !rx_is_unread(q, at)))
		return 0;
	rx_copy_used(&q->vq, pos, e, n);
	for (i = 0; i < n; i++) {
		rx_prefetch_header(pkts[i]);
		rte_prefetch0(ppool_lane_addr(c, pos + i) + headroom); /* for the application */
	}
	if (unlikely(!rx_are_in_place(q, pos, e, n)))
		return 0;
	for (i = 0; i < n; i++) {
		ppool_commit(c, pos + i, pkts[i], e[i].len - VIRTIO_HDR_LEN);
		*bytes += e[i].len - VIRTIO_HDR_LEN;
	}
	rx_consumed(q, at + n);
	return n;
}

/*
 * Offer the descriptors of a run again; rx_run() has marked them so that the device cannot use them
 * a second time before it is told.
 *
 * The lines of the descriptors are in the device's cache. Nothing else is stored in between, so
 * that all these stores find room in the processor's queue and drain while the packets are
 * processed.
 */
static inline void
rx_repost(struct ppfrag_rxq *q, const uint16_t *ids, uint16_t n)
{
	struct ppool_carver *c = q->carver;
	struct virtq vq = q->vq;
	uint16_t i, avail = q->avail_idx, post_offset = q->post_offset;
	struct ppool_buf buf;

	for (i = 0; i < n; i++) {
		if (likely(ppool_reserve(c, ids[i], &buf) == 0))
			rx_offer(q, &vq, avail++, ids[i], buf.addr + post_offset);
		else
			ppfrag_rx_lost(q, ids[i]);
	}
	q->avail_idx = avail;
}

/*
 * The same, of all descriptors of a burst in the order of the ring, which has each at its own place
 * since the first lap.
 */
static inline void
rx_repost_in_order(struct ppfrag_rxq *q, uint16_t n)
{
	const uint16_t avail = q->avail_idx, mask = q->vq.mask, hdr_offset = q->hdr_offset;
	struct ppool_carver *c = q->carver;
	struct virtq vq = q->vq;
	struct ppool_buf buf;
	uint16_t i;

	if (unlikely(q->nb_starved != 0))
		n = 0;
	for (i = 0; i < n; i++) {
		if (unlikely(ppool_reserve(c, (avail + i) & mask, &buf) != 0))
			break;
		rx_point(q, &vq, (avail + i) & mask, buf.addr + hdr_offset);
	}
	q->avail_idx += i;
	q->nb_posted += i;
	rx_publish(q, avail);
	if (unlikely(q->nb_posted != q->nb))
		ppfrag_in_order_post(q);
}

/* Packets of one descriptor each; the descriptors are offered again. Returns how many. */
static __rte_always_inline uint16_t
lanes_deliver(struct ppfrag_rxq *q, struct rx_cursor *b, const bool plain)
{
	uint16_t n = RTE_MIN(b->ready - b->at, b->headers), *done = &q->done[b->nb_done];

	if (!plain && q->in_order) {
		n = rx_run_in_order(q, b->at, b->pkts, n, &b->bytes);
	} else {
		n = rx_run(q, b->at, b->pkts, n, done, &b->bytes, plain);
		rx_repost(q, done, n);
	}
	b->at += n;
	b->nb_rx += n;
	b->pkts += n;
	b->headers -= n;
	return n;
}

static __rte_always_inline uint16_t
lanes_burst(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts, const bool plain)
{
	struct rx_cursor b = { .pkts = pkts, .ready = rx_ready(q, plain) };
	const uint16_t avail = q->avail_idx;
	struct rx_step step;
	uint16_t n;

	if (b.ready == 0)
		return 0;
	nb_pkts = RTE_MIN(b.ready, nb_pkts);
	rx_prefetch_used(q, nb_pkts);
	rx_next_burst(q);
	b.headers = (uint16_t)ppool_headers_get(q->carver, pkts, nb_pkts);
	b.no_page = b.headers < nb_pkts;

	while (true) {
		n = lanes_deliver(q, &b, plain);
		if (likely(b.headers == 0 || b.at == b.ready))
			break;
		if (!plain && q->in_order && n != 0)
			continue; /* there may be more such parts */
		step = plain ? lanes_unusual_plain(q, &b) : lanes_unusual(q, &b);
		b.headers -= step.rx + step.spare;
		if (!rx_step_done(&b, &step))
			break;
	}

	if (unlikely(b.headers != 0))
		ppool_headers_put(q->carver, b.pkts, b.headers);
	if (!plain && q->in_order) {
		rx_advance(q, b.at, b.at);
		rx_repost_in_order(q, b.at);
	} else {
		rx_advance(q, b.at, b.nb_done);
		rx_publish(q, avail);
		if (unlikely(b.nb_done != 0))
			ppfrag_rx_post(q, q->done, b.nb_done);
	}
	return rx_count(q, &b);
}

uint16_t
ppfrag_rx_burst_lanes(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	if (likely(q->plain))
		return lanes_burst(q, pkts, nb_pkts, true);
	return lanes_burst(q, pkts, nb_pkts, false);
}
