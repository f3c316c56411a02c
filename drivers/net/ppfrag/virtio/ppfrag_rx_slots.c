/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <string.h>

#include <ppool_recover.h>

#include "../ppfrag_slots.h"
#include "ppfrag_offload.h"
#include "ppfrag_rx.h"

/*
 * Each descriptor has a slot for the longest frame. A short packet is copied into a slot of its own
 * size, and the descriptor keeps its slot; a longer one is handed over in the slot of the
 * descriptor, which gets another one. Which is which stands in a table by length.
 *
 * All slots that a part of a burst needs are taken first, so that a packet is delivered with all
 * that takes, or stays in the ring.
 */

/* Buffers */

static char *
slot_buffer(const struct ppfrag_rxq *q, const struct rte_mbuf *m)
{
	return slot_data(q, m) - VIRTIO_HDR_LEN;
}

/* The same for the device. */
static char *
slot_to_device(const struct ppfrag_rxq *q, const struct rte_mbuf *m)
{
	return (char *)(uintptr_t)m + q->slots->format.post_offset;
}

/*
 * What a secondary process posts outlives it: a second reference keeps it from being taken back
 * with what that process held, see ppool_recover_process(). It goes when the slot is handed over.
 */
static inline void
slot_pin(struct rte_mbuf *m, bool pinned)
{
	if (unlikely(pinned))
		rte_mbuf_refcnt_set(m, 2);
}

/* What one process has posted and another one receives belongs to that one. */
static inline struct rte_mbuf *
slot_unpost(const struct ppfrag_rx_slots *s, uint16_t id)
{
	if (unlikely(s->shared))
		ppool_claim(&s->posted[id], 1);
	return s->posted[id];
}

static bool
is_secondary(void)
{
	return rte_eal_process_type() == RTE_PROC_SECONDARY;
}

char *
ppfrag_slots_buffer(struct ppfrag_rxq *q, uint16_t id)
{
	struct ppfrag_rx_slots *s = q->slots;

	if (s->posted[id] == NULL) {
		s->posted[id] = slot_to_post(s);
		if (s->posted[id] == NULL)
			return NULL;
		slot_pin(s->posted[id], is_secondary());
	}
	return slot_to_device(q, s->posted[id]);
}

/* Packets */

/* Packets of one descriptor each, up to the first used entry that is none. */
static __rte_always_inline void
part_read(struct ppfrag_rxq *q, uint16_t at, struct part *p, unsigned int n, const bool plain)
{
	const struct ppfrag_rx_slots *s = q->slots;
	struct rx_entry e;

	p->in_place = false;
	for (p->n = 0; p->n < n; p->n++) {
		e = rx_read(q, at + p->n, plain);
		if (unlikely(!rx_is_posted(q, e.id, plain)))
			break;
		if (unlikely(e.len < RX_MIN_LEN || e.len >= q->buf_len))
			break;
		q->posted[e.id] = q->burst;
		rte_prefetch0(slot_data(q, s->posted[e.id]));
		e.len -= VIRTIO_HDR_LEN;
		p->e[p->n] = e;
		p->size_class[p->n] = class_to(s, e.len);
	}
}

/* The device may use these descriptors again. What is read in place was not marked. */
static void
part_forget(struct ppfrag_rxq *q, const struct part *p)
{
	unsigned int i;

	if (p->in_place)
		return;
	for (i = 0; i < p->n; i++)
		q->posted[p->e[i].id] = RX_POSTED;
}

/* Whether used entries at a position are packets of one descriptor each, in the ring's order. */
static inline bool
part_used_in_place(const struct ppfrag_rxq *q, uint16_t pos, struct part *p, unsigned int n)
{
	unsigned int i;

	rx_copy_used(&q->vq, pos, p->e, n);
	for (i = 0; i < n; i++)
		rte_prefetch0(slot_data(q, q->slots->posted[pos + i]));
	return rx_are_in_place(q, pos, p->e, n);
}

/* Whether the available ring offers each descriptor of these positions at its own place. */
static inline bool
part_avail_in_place(const struct ppfrag_rxq *q, uint16_t pos, unsigned int n)
{
	const u16x8 first = { 0, 1, 2, 3, 4, 5, 6, 7 };
	uint16_t ids[RX_PART];
	u16x8 wrong = { 0 }, v;
	unsigned int i;

	for (i = 0; i < n; i += 8)
		memcpy(&ids[i], &q->vq.avail->ring[pos + i], sizeof(v));
	for (i = n; i % 8 != 0; i++)
		ids[i] = (uint16_t)(pos + i);
	for (i = 0; i < n; i += 8) {
		memcpy(&v, &ids[i], sizeof(v));
		wrong |= v ^ (first + (uint16_t)(pos + i));
	}
	return u32x4_is_zero((u32x4)wrong);
}

/*
 * Whether the device has a descriptor for each place of the ring, and what is used at a position is
 * offered again at the same one. Positions alone do not tell: they come round after 65,536 entries
 * for no descriptor.
 */
static inline bool
part_is_aligned(const struct ppfrag_rxq *q, uint16_t at)
{
	return q->nb_posted == q->vq.size &&
			(uint16_t)(q->avail_idx - q->used_idx - at) == q->vq.size;
}

/* In this burst, nothing is dealt with in place any more: what was is not to be used twice. */
static __rte_noinline void
in_place_end(struct ppfrag_rxq *q)
{
	struct ppfrag_rx_slots *s = q->slots;

	for (; s->in_place > 0; s->in_place--)
		q->posted[(q->used_idx + s->in_place - 1) & q->vq.mask] = q->burst;
}

/* Packets that were read in place. */
static inline void
part_classify(const struct ppfrag_rx_slots *s, struct part *p, unsigned int n)
{
	unsigned int i;

	p->n = n;
	p->in_place = true;
	for (i = 0; i < n; i++) {
		p->e[i].len -= VIRTIO_HDR_LEN;
		p->size_class[i] = class_to(s, p->e[i].len);
	}
}

/*
 * As part_read() where a device that has all descriptors, as many as the ring has places, uses them
 * in the order of the ring, and the available ring offers each at its own place: then it does so
 * again as it is. Most devices do all the time. Returns false where there is anything else: also
 * where the device has once written an entry for no descriptor, so that places differ.
 */
static inline bool
part_read_in_place(const struct ppfrag_rxq *q, uint16_t at, struct part *p, unsigned int n)
{
	const struct ppfrag_rx_slots *s = q->slots;
	const uint16_t pos = (q->used_idx + at) & q->vq.mask;

	if (unlikely(s->in_place != at || !part_is_aligned(q, at)))
		return false;
	n = RTE_MIN(n, (unsigned int)q->vq.size - pos);
	if (unlikely(!part_used_in_place(q, pos, p, n) || !part_avail_in_place(q, pos, n)))
		return false;
	part_classify(s, p, n);
	return true;
}

/* The same of a device that is bound to that order: places cannot differ. */
static inline bool
part_read_in_order(struct ppfrag_rxq *q, uint16_t at, struct part *p, unsigned int n)
{
	const uint16_t pos = (q->used_idx + at) & q->vq.mask;

	n = RTE_MIN(n, (unsigned int)q->nb - pos);
	if (unlikely(!rx_is_unread(q, at) || !part_used_in_place(q, pos, p, n)))
		return false;
	part_classify(q->slots, p, n);
	return true;
}

/* Returns whether packets were read in place. */
static __rte_always_inline bool
part_read_wide(struct ppfrag_rxq *q, uint16_t at, struct part *p, unsigned int n, const bool plain)
{
	if (!plain && q->in_order)
		return part_read_in_order(q, at, p, n);
	if (!plain && ppfrag_rx_gap(q) != 0)
		return false;
	return part_read_in_place(q, at, p, n);
}

/* Hand over what is posted, and post another slot. */
static inline struct rte_mbuf *
packet_take(struct ppfrag_rxq *q, uint16_t id, struct rte_mbuf *other, uint32_t len)
{
	struct ppfrag_rx_slots *s = q->slots;
	struct rte_mbuf *m = slot_unpost(s, id);

	slot_pin(other, s->secondary);
	s->posted[id] = other;
	virtq_desc_point(&q->vq.desc[id], slot_to_device(q, other));
	slot_fill(&s->format, m, len);
	return m;
}

static inline struct rte_mbuf *
packet_deliver(struct ppfrag_rxq *q, uint16_t id, struct rte_mbuf *m, uint32_t len,
		uint8_t size_class)
{
	if (size_class == q->slots->post)
		return packet_take(q, id, m, len);
	packet_copy(&q->slots->format, m, q->slots->posted[id], len);
	return m;
}

static inline void
group_take(struct ppfrag_rxq *q, const struct part *p, const struct group *g,
		struct rte_mbuf **pkts)
{
	struct rte_mbuf * const *m = &p->m[g->first];
	uint32_t left, i;

	for (left = g->bits; left != 0; left &= left - 1) {
		i = rte_bsf32(left);
		pkts[i] = packet_take(q, p->e[i].id, *m++, p->e[i].len);
	}
}

/* The descriptors of a part have their buffers. */
static __rte_always_inline void
part_offer(struct ppfrag_rxq *q, const struct part *p, const bool plain)
{
	struct virtq vq = q->vq;
	unsigned int i;

	/* Devices need not set this then, but some do. */
	for (i = 0; i < p->n && unlikely(!q->mrg); i++)
		((struct virtio_hdr *)slot_to_device(q, q->slots->posted[p->e[i].id]))
				->num_buffers = 0;
	/* In order, all of the burst are offered at its end. */
	if (!plain && q->in_order)
		return;
	for (i = 0; i < p->n && !p->in_place; i++)
		virtq_offer(&vq, q->avail_idx + i, (uint16_t)p->e[i].id);
	q->avail_idx += p->n;
}

/* Deliver packets for which there are slots, and offer their descriptors again. */
static __rte_always_inline void
part_deliver(struct ppfrag_rxq *q, const struct part *p, const struct group *g, unsigned int nb,
		struct rte_mbuf **pkts, const bool plain)
{
	const uint8_t post = q->slots->post;

	for (; nb > 0; nb--, g++) {
		if (g->size_class == post) {
			group_take(q, p, g, pkts);
		} else {
			group_copy(q, p, g, pkts);
			ppfrag_count(&q->stats.copybreak_packets, __builtin_popcount(g->bits));
		}
	}
	part_offer(q, p, plain);
}

/* Put the virtio header of a packet that was copied in front of the copy. */
static inline void
packet_copy_header(const struct ppfrag_rxq *q, const struct rte_mbuf *to, uint32_t id)
{
	memcpy(slot_buffer(q, to), slot_buffer(q, q->slots->posted[id]), VIRTIO_HDR_LEN);
}

/* The same for all that are copied. */
static inline void
part_copy_headers(const struct ppfrag_rxq *q, const struct part *p, struct rte_mbuf * const *pkts)
{
	unsigned int i;

	for (i = 0; i < p->n; i++)
		if (p->size_class[i] != q->slots->post)
			packet_copy_header(q, pkts[i], p->e[i].id);
}

/* Packets of one descriptor each. Returns false where there is none, or no slot. */
static __rte_always_inline bool
part_run(struct ppfrag_rxq *q, struct rx_cursor *b, unsigned int n, const bool header,
		const bool plain)
{
	struct group g[RX_PART];
	struct part p;
	unsigned int nb, i;

	memset(p.size_class, 0, sizeof(p.size_class));
	n = RTE_MIN(n, RX_PART);
	if (!part_read_wide(q, b->at, &p, n, plain)) {
		if (unlikely(q->slots->in_place != 0))
			in_place_end(q);
		part_read(q, b->at, &p, n, plain);
	}
	if (unlikely(p.n == 0))
		return false;
	nb = part_slots_get(q, &p, g);
	if (unlikely(nb == 0)) {
		part_forget(q, &p);
		return false;
	}
	part_deliver(q, &p, g, nb, b->pkts, plain);
	if (header)
		part_copy_headers(q, &p, b->pkts);
	for (i = 0; i < p.n; i++)
		b->bytes += p.e[i].len;
	b->at += p.n;
	b->nb_rx += p.n;
	b->pkts += p.n;
	if (!plain && q->in_order)
		rx_consumed(q, b->at);
	else if (likely(p.in_place))
		q->slots->in_place = b->at;
	return true;
}

/* What part_run() stops at, one packet at a time */

static struct rx_step
one_deliver(struct ppfrag_rxq *q, const struct rx_cursor *b, uint16_t id, uint32_t len)
{
	struct ppfrag_rx_slots *s = q->slots;
	uint8_t size_class = class_to(s, len);
	struct rte_mbuf *m;

	if (rte_mempool_get(s->view[size_class], (void **)&m) != 0)
		return (struct rx_step){ .no_page = 1 };
	b->pkts[0] = packet_deliver(q, id, m, len, size_class);
	if ((q->work & PPFRAG_RX_WORK_HEADER) != 0 && size_class != s->post)
		packet_copy_header(q, m, id);
	rx_take_back(q, b->nb_done, id);
	return (struct rx_step){ .used = 1, .done = 1, .rx = 1, .bytes = len };
}

/*
 * Make a chain of what is posted. Its descriptors get other slots when they are posted again, or
 * wait for them: were these taken first, a packet that needs more than there are would never come.
 */
static void
chain_deliver(struct ppfrag_rxq *q, const uint16_t *ids, const struct rx_merged *p,
		struct rte_mbuf **pkt)
{
	struct ppfrag_rx_slots *s = q->slots;
	struct rte_mbuf *m, *prev = NULL;
	uint32_t len;
	uint16_t i;

	for (i = 0; i < p->nb; i++) {
		len = i < p->nb - 1 ? q->buf_len : p->last;
		m = slot_unpost(s, ids[i]);
		s->posted[ids[i]] = NULL;
		slot_fill(&s->format, m, i == 0 ? q->max_len : len);
		if (i == 0) {
			*pkt = m;
		} else {
			/* Its data starts where the virtio header would be. */
			m->data_off = q->hdr_offset;
			prev->next = m;
		}
		prev = m;
	}
	(*pkt)->pkt_len = p->len - VIRTIO_HDR_LEN;
	(*pkt)->nb_segs = p->nb;
	ppfrag_count(&q->stats.chained_packets, 1);
}

/* Mergeable packet whose buffers have all arrived. */
static __rte_always_inline struct rx_step
merged_deliver(struct ppfrag_rxq *q, const struct rx_cursor *b, struct rx_entry first, uint16_t nb,
		const bool plain)
{
	struct rx_merged p = { .nb = nb };
	bool chain = q->scatter && nb <= PPFRAG_MAX_SEGS;

	if (!rx_collect(q, b, first, &p, plain) || !chain)
		return rx_drop_merged(q, &p, !chain);
	chain_deliver(q, &q->done[b->nb_done], &p, b->pkts);
	return (struct rx_step){ .used = nb, .done = nb, .rx = 1, .bytes = p.len - VIRTIO_HDR_LEN };
}

/* A used entry whose descriptor is full, which makes no sense, or for which there was no slot. */
static __rte_always_inline struct rx_step
slots_next(struct ppfrag_rxq *q, const struct rx_cursor *b, const bool plain)
{
	struct rx_step step;
	struct rx_entry e;
	uint16_t nb = rx_check(q, b, &e, &step, plain);

	if (nb == 0)
		return step;
	if (nb > 1)
		return merged_deliver(q, b, e, nb, plain);
	return one_deliver(q, b, (uint16_t)e.id, e.len - VIRTIO_HDR_LEN);
}

static __rte_noinline struct rx_step
slots_unusual_plain(struct ppfrag_rxq *q, const struct rx_cursor *b)
{
	return slots_next(q, b, true);
}

static __rte_noinline struct rx_step
slots_unusual(struct ppfrag_rxq *q, const struct rx_cursor *b)
{
	return slots_next(q, b, false);
}

/*
 * In order: go on behind entries that are dealt with, and offer their descriptors again. All of
 * them have their buffers, but for those that were dealt with one at a time.
 */
static inline void
slots_end_in_order(struct ppfrag_rxq *q, uint16_t used, uint16_t nb_done)
{
	const uint16_t avail = q->avail_idx;

	if (unlikely(nb_done != 0 || q->nb_starved != 0)) {
		rx_advance(q, used, used);
		ppfrag_in_order_post(q);
		return;
	}
	q->used_idx += used;
	q->avail_idx += used;
	rx_publish(q, avail);
}

static inline void
slots_begin(struct ppfrag_rxq *q)
{
	struct ppfrag_rx_slots *s = q->slots;

	rx_next_burst(q);
	s->in_place = 0;
	s->secondary = is_secondary();
	if (unlikely(s->secondary))
		s->shared = true;
	if (unlikely(++s->bursts >= LOOK_BURSTS))
		ppfrag_slots_look(q);
}

static __rte_always_inline uint16_t
slots_burst(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts, const bool header,
		const bool plain)
{
	struct rx_cursor b = { .pkts = pkts, .ready = rx_ready(q, plain) };
	const uint16_t avail = q->avail_idx;
	struct rx_step step;

	if (b.ready == 0)
		return 0;
	slots_begin(q);
	while (b.at < b.ready && b.nb_rx < nb_pkts) {
		if (likely(part_run(q, &b, RTE_MIN(b.ready - b.at, nb_pkts - b.nb_rx), header,
				    plain)))
			continue;
		step = plain ? slots_unusual_plain(q, &b) : slots_unusual(q, &b);
		if (!rx_step_done(&b, &step))
			break;
	}
	if (!plain && q->in_order) {
		slots_end_in_order(q, b.at, b.nb_done);
	} else {
		rx_advance(q, b.at, b.nb_done);
		rx_publish(q, avail);
		if (unlikely(b.nb_done != 0))
			ppfrag_rx_post(q, q->done, b.nb_done);
	}
	return rx_count(q, &b);
}

uint16_t
ppfrag_rx_burst_slots(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	if (likely(q->plain))
		return slots_burst(q, pkts, nb_pkts, false, true);
	return slots_burst(q, pkts, nb_pkts, false, false);
}

uint16_t
ppfrag_rx_burst_slots_header(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	if (likely(q->plain))
		return slots_burst(q, pkts, nb_pkts, true, true);
	return slots_burst(q, pkts, nb_pkts, true, false);
}

/* Set-up */

void
ppfrag_slots_set_post(struct ppfrag_rxq *q)
{
	if (q->slots != NULL)
		q->slots->format.post_offset =
				q->slots->format.data_offset - VIRTIO_HDR_LEN + ppfrag_rx_gap(q);
}
