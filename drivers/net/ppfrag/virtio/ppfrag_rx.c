/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <rte_atomic.h>

#include "ppfrag_offload.h"
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

static inline char *
rx_buffer(struct ppfrag_rxq *q, uint16_t id)
{
	struct ppool_buf buf;

	if (unlikely(q->how == PPFRAG_RX_COPY))
		return q->bounce + (size_t)id * q->buf_len + ppfrag_rx_gap(q);
	if (unlikely(q->how == PPFRAG_RX_SLOTS))
		return ppfrag_slots_buffer(q, id);
	if (unlikely(ppool_reserve(q->carver, id, &buf) != 0))
		return NULL;
	return buf.addr + q->post_offset;
}

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

char *
ppfrag_rx_buffer(struct ppfrag_rxq *q, uint16_t id)
{
	return rx_buffer(q, id);
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

/* One that was posted when the device used it. */
static __rte_noinline void
rx_lost(struct ppfrag_rxq *q, uint16_t id)
{
	q->posted[id] = 0;
	q->nb_posted--;
	rx_starve(q, id);
}

/* Offer descriptors that the device does not have; those without memory are starved. */
static inline void
rx_post(struct ppfrag_rxq *q, const uint16_t *ids, uint16_t n)
{
	uint16_t i;

	for (i = 0; i < n; i++)
		if (unlikely(!rx_post_one(q, ids[i])))
			rx_starve(q, ids[i]);
}

void
ppfrag_rx_post(struct ppfrag_rxq *q, const uint16_t *ids, uint16_t n)
{
	const uint16_t avail = q->avail_idx;

	rx_post(q, ids, n);
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

/* Where a burst is when it meets an entry that rx_run() does not deliver. */
struct rx_place {
	uint16_t at;         /* the entry */
	uint16_t ready;      /* entries */
	uint16_t nb_done;    /* descriptors taken back */
	uint16_t headers;    /* at hand */
	struct rte_mbuf **m; /* these, the first for the next packet */
};

/*
 * Headers for all segments but the first: new ones, then those that the burst has at hand for other
 * packets, from the last on: when pages are short there are no others. Returns how many of these,
 * or -1 where there are too few; got tells of the new ones.
 */
static int
rx_more_headers(struct ppfrag_rxq *q, const struct rx_place *b, struct rte_mbuf **more, uint16_t n,
		unsigned int *got)
{
	uint16_t i, spare;

	*got = ppool_headers_get(q->carver, more, n);
	spare = n - (uint16_t)*got;
	if (spare > b->headers - 1)
		return -1;
	for (i = 0; i < spare; i++)
		more[*got + i] = b->m[b->headers - 1 - i];
	return spare;
}

/* Mergeable packet whose buffers have all arrived. */
static __rte_always_inline struct rx_step
rx_merge(struct ppfrag_rxq *q, const struct rx_place *b, struct rx_entry first, uint16_t nb,
		const bool plain)
{
	struct rte_mbuf *more[PPFRAG_MAX_SEGS];
	struct rx_merged p = { .nb = nb };
	unsigned int got;
	int spare;

	if (!q->scatter || nb > PPFRAG_MAX_SEGS) {
		rx_collect(q, b->at, b->nb_done, first, &p, plain);
		return rx_drop_merged(q, &p, true);
	}
	spare = rx_more_headers(q, b, more, nb - 1, &got);
	if (spare < 0) {
		ppool_headers_put(q->carver, more, got);
		return (struct rx_step){ .no_page = 1 };
	}
	if (!rx_collect(q, b->at, b->nb_done, first, &p, plain)) {
		ppool_headers_put(q->carver, more, got);
		return rx_drop_merged(q, &p, false);
	}
	rx_chain(q, &q->done[b->nb_done], &p, b->m[0], more);
	return (struct rx_step){
		.used = nb,
		.done = nb,
		.rx = 1,
		.spare = (uint16_t)spare,
		.bytes = p.len - VIRTIO_HDR_LEN,
	};
}

/* A packet of one descriptor. */
static inline struct rx_step
rx_deliver_one(struct ppfrag_rxq *q, const struct rx_place *b, uint16_t id, uint32_t len)
{
	rx_done(q, b->nb_done, id);
	ppool_commit(q->carver, id, b->m[0], len);
	return (struct rx_step){ .used = 1, .done = 1, .rx = 1, .bytes = len };
}

/*
 * A used entry whose descriptor is full, or which makes no sense. In order, also one that was told
 * of together with others.
 */
static __rte_always_inline struct rx_step
rx_next(struct ppfrag_rxq *q, const struct rx_place *b, const bool plain)
{
	const struct rx_entry e = rx_read(q, b->at, plain);
	const uint16_t id = (uint16_t)e.id;
	struct ppool_buf buf;
	uint16_t nb;

	if (!rx_is_posted(q, e.id, plain)) {
		ppfrag_count(&q->stats.bad_used, 1);
		return (struct rx_step){ .used = 1 };
	}
	if (e.len < RX_MIN_LEN)
		return rx_short(q, b->nb_done, e);
	if (!plain && e.len < q->buf_len)
		return rx_deliver_one(q, b, id, e.len - VIRTIO_HDR_LEN);
	/* The lane is reserved: this tells where the device wrote. */
	if (e.len != q->buf_len || ppool_reserve(q->carver, id, &buf) != 0)
		return rx_bad(q, b->nb_done, id);
	nb = rx_num_buffers(q, buf.addr + q->hdr_offset);
	if (nb == 1)
		return rx_deliver_one(q, b, id, q->max_len);
	if (nb == 0 || nb > q->nb_posted - b->nb_done)
		return rx_bad(q, b->nb_done, id);
	if (nb > b->ready - b->at)
		return (struct rx_step){ .used = 0 }; /* the rest is still to come */
	return rx_merge(q, b, e, nb, plain);
}

static __rte_noinline struct rx_step
rx_unusual_plain(struct ppfrag_rxq *q, const struct rx_place *b)
{
	return rx_next(q, b, true);
}

static __rte_noinline struct rx_step
rx_unusual(struct ppfrag_rxq *q, const struct rx_place *b)
{
	return rx_next(q, b, false);
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
			rx_lost(q, ids[i]);
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
rx_deliver(struct ppfrag_rxq *q, uint16_t at, struct rte_mbuf **pkts, uint16_t n, uint16_t nb_done,
		uint64_t *bytes, const bool plain)
{
	if (!plain && q->in_order)
		return rx_run_in_order(q, at, pkts, n, bytes);
	n = rx_run(q, at, pkts, n, &q->done[nb_done], bytes, plain);
	rx_repost(q, &q->done[nb_done], n);
	return n;
}

static __rte_always_inline uint16_t
rx_burst(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts, const bool plain)
{
	uint16_t ready, got, no_page, avail, at = 0, nb_rx = 0, nb_done = 0, n;
	struct rx_place place;
	struct rx_step step;
	uint64_t bytes = 0;

	ready = rx_ready(q, plain);
	if (ready == 0)
		return 0;
	nb_pkts = RTE_MIN(ready, nb_pkts);
	rx_prefetch_used(q, nb_pkts);
	rx_next_burst(q);
	avail = q->avail_idx;
	got = (uint16_t)ppool_headers_get(q->carver, pkts, nb_pkts);
	no_page = got < nb_pkts;

	while (true) {
		n = rx_deliver(q, at, &pkts[nb_rx], RTE_MIN(ready - at, got - nb_rx), nb_done,
				&bytes, plain);
		at += n;
		nb_rx += n;
		if (likely(nb_rx == got || at == ready))
			break;
		if (!plain && q->in_order && n != 0)
			continue; /* there may be more such parts */
		place = (struct rx_place){ at, ready, nb_done, got - nb_rx, &pkts[nb_rx] };
		step = plain ? rx_unusual_plain(q, &place) : rx_unusual(q, &place);
		if (step.used == 0) {
			no_page |= step.no_page;
			break;
		}
		at += step.used;
		nb_done += step.done;
		nb_rx += step.rx;
		got -= step.spare;
		bytes += step.bytes;
	}

	if (unlikely(nb_rx < got))
		ppool_headers_put(q->carver, &pkts[nb_rx], got - nb_rx);
	if (unlikely((no_page | q->nb_waiting) != 0))
		ppfrag_rxq_count_waiting(q, at, no_page != 0 ? ready - at : 0);
	if (!plain && q->in_order) {
		rx_advance(q, at, at);
		rx_repost_in_order(q, at);
	} else {
		rx_advance(q, at, nb_done);
		rx_post(q, q->done, nb_done);
		rx_publish(q, avail);
	}
	ppfrag_count(&q->stats.packets, nb_rx);
	ppfrag_count(&q->stats.bytes, bytes);
	return nb_rx;
}

static __rte_noinline uint16_t
rx_burst_lanes(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	return rx_burst(q, pkts, nb_pkts, false);
}

uint16_t
ppfrag_rx_burst(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct ppfrag_rxq *q = rxq;

	if (unlikely(ppfrag_is_stale(q->dev, q->epoch)) && !ppfrag_rxq_renew(q))
		return 0;
	if (unlikely(q->how == PPFRAG_RX_COPY))
		return ppfrag_rx_burst_copy(q, pkts, nb_pkts);
	if (unlikely(q->nb_starved != 0))
		rx_retry(q);
	if (unlikely(q->how == PPFRAG_RX_SLOTS))
		return ppfrag_rx_burst_slots(q, pkts, nb_pkts);
	if (unlikely(!q->plain))
		return rx_burst_lanes(q, pkts, nb_pkts);
	return rx_burst(q, pkts, nb_pkts, true);
}

/* The same with the virtio header in front of each packet. In lanes it is there always. */
static uint16_t
rx_burst_header(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	if (q->how == PPFRAG_RX_LANES)
		return ppfrag_rx_burst(q, pkts, nb_pkts);
	if (unlikely(ppfrag_is_stale(q->dev, q->epoch)) && !ppfrag_rxq_renew(q))
		return 0;
	if (q->how == PPFRAG_RX_COPY)
		return ppfrag_rx_burst_copy_header(q, pkts, nb_pkts);
	if (unlikely(q->nb_starved != 0))
		rx_retry(q);
	return ppfrag_rx_burst_slots_header(q, pkts, nb_pkts);
}

uint16_t
ppfrag_rx_burst_offload(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct ppfrag_rxq *q = rxq;
	uint32_t work = __atomic_load_n(&q->work, __ATOMIC_RELAXED);
	uint16_t n;

	if ((work & PPFRAG_RX_WORK_HEADER) != 0)
		n = rx_burst_header(q, pkts, nb_pkts);
	else
		n = ppfrag_rx_burst(q, pkts, nb_pkts);
	if (work != 0)
		ppfrag_rx_offload(q, pkts, n, work);
	return n;
}
