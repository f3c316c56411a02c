/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <rte_memcpy.h>

#include "../ppfrag_slots.h"
#include "../virtio/ppfrag_offload.h"
#include "xsk_rx.h"

/*
 * The fill ring has a slot of one class at each position; which ones, and in which order, stands in
 * slots->posted, by position: what the kernel returns is looked for there, first where it is next.
 *
 * A short packet is copied into a slot of its own size, and its slot posted again; a longer one is
 * handed over in its slot, and another one posted. A packet in several chunks is copied into one
 * slot, or where none is long enough handed over as a chain of what was posted.
 *
 * All slots that packets need are taken first: a packet is delivered with all that takes, or stays
 * in the ring. As many descriptors as were posted fit into it, so that none is lost meanwhile.
 */

static inline uint64_t
slot_offset(const struct xsk_rxq *x, const struct rte_mbuf *m)
{
	return (uint64_t)(slot_data(&x->q, m) - x->umem);
}

/* The slot that comes back at a position. */
static inline struct rte_mbuf **
fifo_at(const struct xsk_rxq *x, uint32_t pos)
{
	return &x->q.slots->posted[pos & x->fill.mask];
}

/* Posting */

/*
 * In front of the first slots of the umem there is nothing for a chunk to lie over. They are kept:
 * who puts one back is given it again.
 */
static __rte_noinline void
slot_set_aside(struct xsk_rxq *x, struct rte_mbuf *m)
{
	m->next = x->aside;
	x->aside = m;
}

void
xsk_rx_aside_free(struct xsk_rxq *x)
{
	struct rte_mbuf *m;

	while (x->aside != NULL) {
		m = x->aside;
		x->aside = m->next;
		m->next = NULL;
		rte_mempool_put(x->q.slots->view[x->q.slots->post], m);
	}
}

/* Returns false where the kernel would not take the chunk: it would be lost without a word. */
static inline bool
slot_post(struct xsk_rxq *x, struct rte_mbuf *m)
{
	uint64_t base = slot_offset(x, m) - x->lead;

	if (unlikely(base > x->last_base)) {
		slot_set_aside(x, m);
		return false;
	}
	*fifo_at(x, x->fill.pos) = m;
	*xsk_ring_addr(&x->fill, x->fill.pos++) = base;
	return true;
}

/* Post any slot. Returns false where there is none. */
static bool
slot_post_any(struct xsk_rxq *x)
{
	struct rte_mbuf *m;

	do {
		m = slot_to_post(x->q.slots);
		if (m == NULL)
			return false;
	} while (!slot_post(x, m));
	return true;
}

void
xsk_rx_post_all(struct xsk_rxq *x)
{
	uint32_t missing = x->q.nb - nb_posted(x);

	if (x->copies) {
		xsk_copy_post_all(x);
		return;
	}
	if (x->q.slots == NULL) {
		xsk_lanes_post_all(x);
		return;
	}
	while (missing != 0 && slot_post_any(x))
		missing--;
	x->q.nb_starved = (uint16_t)missing;
	x->q.nb_posted = x->q.nb - x->q.nb_starved;
	xsk_ring_publish(&x->fill);
}

static __rte_noinline void
rx_retry(struct xsk_rxq *x)
{
	if (ppfrag_rxq_retries(&x->q))
		xsk_rx_post_all(x);
}

/* Post a slot for each of n positions that have come back; what is NULL is missing from here on. */
static inline void
slots_repost(struct xsk_rxq *x, struct rte_mbuf * const *again, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		*fifo_at(x, x->tail++) = NULL;
		if (unlikely(again[i] == NULL || (!slot_post(x, again[i]) && !slot_post_any(x)))) {
			x->q.nb_starved++;
			x->q.nb_posted--;
			ppfrag_count(&x->q.stats.no_page, 1);
		}
	}
}

/* Packets of one chunk each */

/* Up to the first one that is none, or not the one that comes next. */
static inline void
part_read(const struct xsk_rxq *x, struct part *p, unsigned int n)
{
	const struct ppfrag_rx_slots *s = x->q.slots;
	const struct xdp_desc *d;
	uint32_t id;

	for (p->n = 0; p->n < n; p->n++) {
		d = xsk_ring_desc(&x->rx, x->rx.pos + p->n);
		id = (x->tail + p->n) & x->fill.mask;
		if (unlikely(desc_offset(d) != slot_offset(x, s->posted[id])))
			break;
		if (unlikely(!desc_is_packet(x, d)))
			break;
		rte_prefetch0(slot_data(&x->q, s->posted[id]));
		p->e[p->n] = (struct rx_entry){ id, d->len };
		p->size_class[p->n] = class_to(s, d->len);
		if (p->size_class[p->n] == s->post) /* it is handed over */
			rte_prefetch0(s->posted[id]);
	}
}

/* Hand over what was posted; slots that were taken for it are posted in its place. */
static inline void
group_hand_over(const struct slot_format *f, const struct part *p, const struct group *g,
		struct rte_mbuf **pkts, struct rte_mbuf **again)
{
	struct rte_mbuf * const *m = &p->m[g->first];
	uint32_t left, i;

	for (left = g->bits; left != 0; left &= left - 1) {
		i = rte_bsf32(left);
		pkts[i] = again[i];
		slot_fill(f, pkts[i], p->e[i].len);
		again[i] = *m++;
	}
}

static inline void
part_deliver(struct xsk_rxq *x, const struct part *p, const struct group *g, unsigned int nb,
		struct rte_mbuf **pkts)
{
	const struct ppfrag_rx_slots *s = x->q.slots;
	struct rte_mbuf *again[RX_PART];
	unsigned int i;

	for (i = 0; i < p->n; i++)
		again[i] = s->posted[p->e[i].id];
	for (; nb > 0; nb--, g++) {
		if (g->size_class == s->post) {
			group_hand_over(&s->format, p, g, pkts, again);
		} else {
			group_copy(&x->q, p, g, pkts);
			ppfrag_count(&x->q.stats.copybreak_packets, __builtin_popcount(g->bits));
		}
	}
	slots_repost(x, again, p->n);
}

/* Returns how many packets are delivered. */
static inline unsigned int
part_run(struct xsk_rxq *x, struct rte_mbuf **pkts, unsigned int n, uint64_t *bytes)
{
	struct group g[RX_PART];
	struct part p;
	unsigned int nb, i;

	memset(p.size_class, 0, sizeof(p.size_class));
	part_read(x, &p, RTE_MIN(n, RX_PART));
	if (unlikely(p.n == 0))
		return 0;
	nb = part_slots_get(&x->q, &p, g);
	if (unlikely(nb == 0))
		return 0;
	part_deliver(x, &p, g, nb, pkts);
	for (i = 0; i < p.n; i++)
		*bytes += p.e[i].len;
	x->rx.pos += p.n;
	return p.n;
}

/* What part_run() stops at, one packet at a time */

/* Make what the kernel returned the one that comes next, at a position. False: not posted. */
static bool
fifo_find(struct xsk_rxq *x, uint32_t pos, uint64_t offset)
{
	uint32_t at;

	for (at = pos; at != x->fill.pos; at++) {
		if (slot_offset(x, *fifo_at(x, at)) == offset) {
			RTE_SWAP(*fifo_at(x, at), *fifo_at(x, pos));
			return true;
		}
	}
	return false;
}

static void
packet_copy_all(const struct xsk_rxq *x, const struct xsk_packet *p, struct rte_mbuf *m)
{
	char *to = slot_data(&x->q, m);
	uint32_t i;

	for (i = 0; i < p->nb; i++) {
		rte_memcpy(to, slot_data(&x->q, *fifo_at(x, x->tail + i)), p->seg_len[i]);
		to += p->seg_len[i];
	}
}

/*
 * Make a chain of what was posted. Other slots are taken for it afterwards: were they taken first,
 * a packet that needs more than there are would never come.
 */
static struct rte_mbuf *
packet_chain(const struct xsk_rxq *x, const struct xsk_packet *p, struct rte_mbuf **again)
{
	struct rte_mbuf *first = again[0];
	uint32_t i;

	for (i = 0; i < p->nb; i++) {
		slot_fill(&x->q.slots->format, again[i], p->seg_len[i]);
		again[i]->next = i + 1 < p->nb ? again[i + 1] : NULL;
	}
	for (i = 0; i < p->nb; i++)
		again[i] = slot_to_post(x->q.slots);
	first->nb_segs = (uint16_t)p->nb;
	first->pkt_len = p->len;
	return first;
}

/* One chunk is handed over or copied; several are copied into a slot. NULL: there is none. */
static struct rte_mbuf *
packet_contiguous(struct xsk_rxq *x, const struct xsk_packet *p, struct rte_mbuf **again)
{
	const struct ppfrag_rx_slots *s = x->q.slots;
	struct rte_mbuf *m, *posted = again[0];

	if (p->nb == 1 && class_to(s, p->len) == s->post) {
		if (rte_mempool_get(s->view[s->post], (void **)&m) != 0)
			return NULL;
		slot_fill(&s->format, posted, p->len);
		again[0] = m;
		return posted;
	}
	m = ppfrag_slots_get(&x->q, p->len);
	if (m == NULL)
		return NULL;
	packet_copy_all(x, p, m);
	ppfrag_count(p->nb == 1 ? &x->q.stats.copybreak_packets : &x->q.stats.copied_packets, 1);
	return m;
}

/* NULL: it is dropped, or waits. */
static struct xsk_step
packet_deliver(struct xsk_rxq *x, const struct xsk_packet *p, struct rte_mbuf **again)
{
	struct xsk_step step = { .done = true };

	if (!p->sane)
		return step;
	if (p->len < RTE_ETHER_HDR_LEN) {
		ppfrag_count(&x->q.stats.short_packets, 1);
	} else if (p->len <= x->q.max_len) {
		step.m = packet_contiguous(x, p, again);
		step.no_page = step.m == NULL;
		step.done = step.m != NULL;
	} else if (x->q.scatter) {
		step.m = packet_chain(x, p, again);
		ppfrag_count(&x->q.stats.chained_packets, 1);
	} else {
		ppfrag_count(&x->q.stats.oversize_packets, 1);
	}
	return step;
}

/* A packet of several chunks, one that was not expected here, or for which there was no slot. */
static __rte_noinline struct xsk_step
rx_unusual(struct xsk_rxq *x, uint32_t ready)
{
	struct xsk_packet p = { .nb_desc = packet_descs(x, ready), .sane = true };
	struct rte_mbuf *again[XSK_MAX_CHUNKS];
	struct xsk_step step = { .done = false };
	uint32_t i;

	if (p.nb_desc == 0)
		return step;
	packet_read(x, &p, fifo_find);
	for (i = 0; i < RTE_MIN(p.nb, XSK_MAX_CHUNKS); i++)
		again[i] = *fifo_at(x, x->tail + i);
	step = packet_deliver(x, &p, again);
	if (!step.done)
		return step;
	slots_repost(x, again, RTE_MIN(p.nb, XSK_MAX_CHUNKS));
	for (; i < p.nb; i++) {
		again[0] = *fifo_at(x, x->tail);
		slots_repost(x, again, 1);
	}
	x->rx.pos += p.nb_desc;
	return step;
}

/* The burst */

/* The kernel has stopped looking for what is posted, or shall look for packets now. */
static __rte_noinline void
rx_wake(const struct xsk_rxq *x)
{
	recvfrom(x->sock->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

/*
 * Where the kernel copies it never does. The flag is in the line of the position up to which it has
 * read the fill ring, which it writes all the time: looking at it costs both sides a miss.
 */
static inline bool
rx_wants_wakeup(const struct xsk_rxq *x)
{
	return x->wakeup && xsk_ring_wants_wakeup(&x->fill);
}

void
xsk_rx_idle(struct xsk_rxq *x)
{
	if (unlikely(x->busy || rx_wants_wakeup(x)))
		rx_wake(x);
}

void
xsk_rx_end(struct xsk_rxq *x, struct rte_mbuf **pkts, uint16_t nb_rx, uint64_t bytes,
		uint32_t consumed, uint32_t waiting)
{
	if (unlikely((waiting | x->q.nb_waiting) != 0))
		ppfrag_rxq_count_waiting(&x->q, (uint16_t)consumed, (uint16_t)waiting);
	xsk_ring_consume(&x->rx);
	xsk_ring_publish(&x->fill);
	if (unlikely(rx_wants_wakeup(x)))
		rx_wake(x);
	ppfrag_count(&x->q.stats.packets, nb_rx);
	ppfrag_count(&x->q.stats.bytes, bytes);
	if (unlikely(x->q.work != 0))
		ppfrag_rx_offload(&x->q, pkts, nb_rx, x->q.work);
}

static __rte_always_inline uint16_t
rx_burst(struct xsk_rxq *x, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	uint32_t left, end, begin = x->rx.pos, waiting = 0;
	struct xsk_step step;
	uint64_t bytes = 0;
	uint16_t nb_rx = 0;
	unsigned int n;

	if (unlikely(x->q.nb_starved != 0))
		rx_retry(x);
	left = xsk_rx_ready(x);
	if (left == 0) {
		xsk_rx_idle(x);
		return 0;
	}
	if (unlikely(++x->q.slots->bursts >= LOOK_BURSTS))
		ppfrag_slots_look(&x->q);
	end = begin + left;
	while (x->rx.pos != end && nb_rx < nb_pkts) {
		n = part_run(x, &pkts[nb_rx], RTE_MIN(end - x->rx.pos, (uint32_t)(nb_pkts - nb_rx)),
				&bytes);
		nb_rx += (uint16_t)n;
		if (likely(n != 0))
			continue;
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
xsk_rx_burst(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts)
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
xsk_rx_discard(struct xsk_rxq *x)
{
	struct xsk_packet p;
	struct rte_mbuf *again;
	uint32_t ready = xsk_ring_ready(&x->rx);

	if (x->copies) {
		xsk_copy_discard(x);
		return;
	}
	if (x->q.slots == NULL) {
		xsk_lanes_discard(x);
		return;
	}
	for (; ready > 0; ready--, x->rx.pos++) {
		p = (struct xsk_packet){ .nb_desc = 1 };
		packet_read(x, &p, fifo_find);
		if (p.nb == 0)
			continue;
		again = *fifo_at(x, x->tail);
		slots_repost(x, &again, 1);
	}
	xsk_ring_consume(&x->rx);
	xsk_rx_post_all(x);
}
