/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPFRAG_RX_H_
#define _PPFRAG_RX_H_

/**
 * @file
 * What the three ways to receive share, into lanes, into slots and by a copy: reading and checking
 * what the device says it has used.
 *
 * Functions with a parameter `plain` are compiled twice: for rings without any ring_features, and
 * for those with some, which look in the queue for which.
 */

#include <string.h>

#include "../ppfrag_slots.h"
#include "virtio.h"

/** What a packet with its virtio header has at least. */
#define RX_MIN_LEN (VIRTIO_HDR_LEN + RTE_ETHER_HDR_LEN)

/** Where a burst is. */
struct rx_cursor {
	struct rte_mbuf **pkts; /**< the next packet's; lanes: its header is there */
	uint64_t bytes;         /**< of the packets */
	uint16_t at, ready;     /**< used entries: dealt with, announced */
	uint16_t nb_rx;         /**< packets delivered */
	uint16_t nb_done;       /**< descriptors in done[], to be posted again */
	uint16_t headers;       /**< lanes: at hand, from pkts on */
	uint16_t no_page;       /**< 1: packets stay in the ring for lack of pages */
};

/** What became of used entries. */
struct rx_step {
	uint16_t used;    /**< used entries consumed; 0: the packet stays in the ring */
	uint16_t done;    /**< descriptors of these, to be posted again */
	uint16_t rx;      /**< packets delivered, 0 or 1 */
	uint16_t no_page; /**< 1: it stays for lack of pages */
	uint16_t spare;   /**< headers taken from the end of those at hand */
	uint32_t bytes;   /**< of the packet */
};

/** Where the device writes a packet and its header. @return NULL where there is no page */
static inline char *
rx_buffer(struct ppfrag_rxq *q, uint16_t id)
{
	struct ppool_buf buf;

	if (likely(q->how == PPFRAG_RX_SLOTS))
		return ppfrag_slots_buffer(q, id);
	if (q->how == PPFRAG_RX_COPY)
		return q->bounce + (size_t)id * q->buf_len + ppfrag_rx_gap(q);
	if (unlikely(ppool_reserve(q->carver, id, &buf) != 0))
		return NULL;
	return buf.addr + q->post_offset;
}

/** A used entry, read once: the device can change what is in the ring at any time. */
static __rte_always_inline struct rx_entry
rx_read(struct ppfrag_rxq *q, uint16_t at, const bool plain)
{
	struct rx_entry e;

	if (!plain && q->in_order)
		return (struct rx_entry){ (q->used_idx + at) & q->vq.mask,
			ppfrag_in_order_len(q, at) };
	virtq_used_read(&q->vq, q->used_idx + at, &e.id, &e.len);
	if (!plain)
		e.len += ppfrag_rx_gap(q); /* a length that overflows is too short then */
	return e;
}

/** Whether the device wants to know what was posted. For sure only behind a memory barrier. */
static inline bool
rx_wants_kick(const struct ppfrag_rxq *q)
{
	if (!q->event_idx)
		return virtq_wants_kick(&q->vq);
	return virtq_event_passed(virtq_avail_event(&q->vq), q->avail_idx, q->kicked_idx);
}

/** Wake the device for all that was posted. */
static inline void
rx_wake(struct ppfrag_rxq *q)
{
	ppfrag_rx_kick(q);
	q->kicked_idx = q->avail_idx;
}

/**
 * What rx_ready() does where either side says at which index it is to be notified: the device may
 * have said so for any entry since kicked_idx, also a moment ago. Before this index is too far
 * behind to be told from one ahead, it is moved on behind a barrier.
 */
static inline void
rx_events(struct ppfrag_rxq *q)
{
	if (unlikely(q->interrupts))
		ppfrag_rx_intr_again(q);
	if (unlikely((uint16_t)(q->avail_idx - q->kicked_idx) > INT16_MAX))
		ppfrag_rx_settle(q);
	else if (q->unnotified && unlikely(rx_wants_kick(q)))
		rx_wake(q);
}

/**
 * Used entries to look at. A device cannot have used more descriptors than it had: what its index
 * announces beyond that is looked at when it has more, and counted then, entry by entry.
 *
 * Whether it wants to know what was posted last time is in the same cache line. Looking only now
 * spares a memory barrier: if this is too early to see it, the next poll is not.
 */
static __rte_always_inline uint16_t
rx_ready(struct ppfrag_rxq *q, const bool plain)
{
	uint16_t ready;

	if (!plain && q->event_idx)
		rx_events(q);
	ready = virtq_used_idx(&q->vq) - q->used_idx;
	if ((plain || !q->event_idx) && unlikely(virtq_wants_kick(&q->vq)) && q->unnotified)
		ppfrag_rx_kick(q);
	return RTE_MIN(ready, q->nb_posted);
}

/*
 * Vectors of this compiler, for any processor: so many of their elements make 16 bytes. Comparisons
 * give elements of ones where they hold.
 */
typedef uint32_t u32x4 __attribute__((vector_size(16)));
typedef uint16_t u16x8 __attribute__((vector_size(16)));

static inline bool
u32x4_is_zero(u32x4 v)
{
	uint64_t half[2];

	memcpy(half, &v, sizeof(half));
	return (half[0] | half[1]) == 0;
}

/**
 * Copy the n used entries at a position of the ring, RX_PART at most. Read once, as the device can
 * change them; the ring ends with a cache line that it fills in part, so that there is a second one
 * of each pair.
 */
static inline void
rx_copy_used(const struct virtq *vq, uint16_t pos, struct rx_entry *e, unsigned int n)
{
	unsigned int i;
	u32x4 pair;

	for (i = 0; i < n; i += 2) {
		memcpy(&pair, &vq->used->ring[pos + i], sizeof(pair));
		memcpy(&e[i], &pair, sizeof(pair));
	}
	rte_compiler_barrier();
}

/**
 * Whether copies of used entries at a position are packets of one descriptor each, in the order of
 * the ring. The second one of the last pair is overwritten where it is none.
 */
static inline bool
rx_are_in_place(const struct ppfrag_rxq *q, uint16_t pos, struct rx_entry *e, unsigned int n)
{
	const u32x4 range = { 0, q->buf_len - RX_MIN_LEN - 1, 0, q->buf_len - RX_MIN_LEN - 1 };
	u32x4 least = { pos, RX_MIN_LEN, pos + 1u, RX_MIN_LEN }, wrong = { 0 }, pair;
	const u32x4 step = { 2, 0, 2, 0 };
	unsigned int i;

	if (RTE_BYTE_ORDER != RTE_LITTLE_ENDIAN)
		return false; /* entries, and the available ring, are compared as they lie there */
	if (n % 2 != 0)
		e[n] = (struct rx_entry){ pos + n, RX_MIN_LEN };
	for (i = 0; i < n; i += 2) {
		memcpy(&pair, &e[i], sizeof(pair));
		wrong |= (u32x4)(pair - least > range);
		least += step;
	}
	return u32x4_is_zero(wrong);
}

/** In order: the position behind used_idx is that of an entry that was not read ahead. */
static inline bool
rx_is_unread(const struct ppfrag_rxq *q, uint16_t at)
{
	return (uint16_t)(q->known - q->used_idx) <= at;
}

/** In order: all entries up to that one behind used_idx are dealt with. */
static inline void
rx_consumed(struct ppfrag_rxq *q, uint16_t at)
{
	if (rx_is_unread(q, at))
		q->known = q->used_idx + at;
}

/** posted[id]: 0 = ours, 1 = at the device, n > 1 = at the device, used in burst n. */
#define RX_POSTED UINT32_C(1)

/** Number the next burst. */
static inline void
rx_next_burst(struct ppfrag_rxq *q)
{
	if (unlikely(++q->burst <= RX_POSTED))
		q->burst = RX_POSTED + 1;
}

/** Whether the device may use this id now. In order, all that rx_read() gives are such. */
static __rte_always_inline bool
rx_is_posted(const struct ppfrag_rxq *q, uint32_t id, const bool plain)
{
	if (!plain && q->in_order)
		return true;
	return id < q->nb && q->posted[id] != 0 && q->posted[id] != q->burst;
}

/** Take a descriptor back from the device. */
static inline void
rx_take_back(struct ppfrag_rxq *q, uint16_t nb_done, uint16_t id)
{
	q->posted[id] = 0;
	q->done[nb_done] = id;
}

/** Go on behind entries that are dealt with. */
static inline void
rx_advance(struct ppfrag_rxq *q, uint16_t used, uint16_t nb_done)
{
	q->used_idx += used;
	q->nb_posted -= nb_done;
}

/** A descriptor that came back with nonsense. */
static inline struct rx_step
rx_bad(struct ppfrag_rxq *q, uint16_t nb_done, uint16_t id)
{
	ppfrag_count(&q->stats.bad_used, 1);
	rx_take_back(q, nb_done, id);
	return (struct rx_step){ .used = 1, .done = 1 };
}

/** A descriptor that came back with too few bytes: they are no frame, or not even its header. */
static inline struct rx_step
rx_short(struct ppfrag_rxq *q, uint16_t nb_done, struct rx_entry e)
{
	if (e.len < VIRTIO_HDR_LEN)
		return rx_bad(q, nb_done, (uint16_t)e.id);
	ppfrag_count(&q->stats.short_packets, 1);
	rx_take_back(q, nb_done, (uint16_t)e.id);
	return (struct rx_step){ .used = 1, .done = 1 };
}

/** Take up what became of used entries. @return false where the next one stays in the ring */
static inline bool
rx_step_done(struct rx_cursor *b, const struct rx_step *s)
{
	b->no_page |= s->no_page;
	b->at += s->used;
	b->nb_done += s->done;
	b->nb_rx += s->rx;
	b->pkts += s->rx;
	b->bytes += s->bytes;
	return s->used != 0;
}

/** Count what a burst has delivered, and what stays in the ring for lack of pages. */
static inline uint16_t
rx_count(struct ppfrag_rxq *q, const struct rx_cursor *b)
{
	if (unlikely((b->no_page | q->nb_waiting) != 0))
		ppfrag_rxq_count_waiting(q, b->at, b->no_page != 0 ? b->ready - b->at : 0);
	ppfrag_count(&q->stats.packets, b->nb_rx);
	ppfrag_count(&q->stats.bytes, b->bytes);
	return b->nb_rx;
}

/** Point a descriptor at its memory. */
static inline void
rx_point(const struct ppfrag_rxq *q, struct virtq *vq, uint16_t id, char *addr)
{
	/* Without mergeable buffers devices need not set this, but some do, where there is one. */
	if (unlikely(!q->mrg))
		((struct virtio_hdr *)addr)->num_buffers = 0;
	virtq_desc_point(&vq->desc[id], addr);
}

/** Offer a descriptor with its memory at a position of the ring. The device is not told yet. */
static inline void
rx_offer(const struct ppfrag_rxq *q, struct virtq *vq, uint16_t at, uint16_t id, char *addr)
{
	rx_point(q, vq, id, addr);
	virtq_offer(vq, at, id);
}

/** Tell the device about what was offered since the ring was at this position, if anything. */
static inline void
rx_publish(struct ppfrag_rxq *q, uint16_t since)
{
	if (unlikely(q->avail_idx == since))
		return;
	q->unnotified = true;
	virtq_publish(&q->vq, q->avail_idx);
}

/**
 * How many buffers the packet fills whose first descriptor came back full.
 *
 * Devices fill all buffers of a packet but the last one completely. That is why the header of a
 * packet that leaves room in its buffer is never read.
 */
static inline uint16_t
rx_num_buffers(const struct ppfrag_rxq *q, const void *hdr)
{
	const rte_le16_t *field = &((const struct virtio_hdr *)hdr)->num_buffers;
	uint16_t n;

	if (unlikely(ppfrag_rx_gap(q) != 0))
		return 1;
	n = rte_le_to_cpu_16(__atomic_load_n(field, __ATOMIC_RELAXED));
	return n == 0 && !q->mrg ? 1 : n;
}

/**
 * Read and check the used entry of the next packet.
 *
 * @return how many buffers the packet fills; 0: there is none, *step says what became of the entry.
 */
static __rte_always_inline uint16_t
rx_check(struct ppfrag_rxq *q, const struct rx_cursor *b, struct rx_entry *e, struct rx_step *step,
		const bool plain)
{
	uint16_t nb = 1;
	char *hdr;

	*e = rx_read(q, b->at, plain);
	*step = (struct rx_step){ .used = 0 };
	if (!rx_is_posted(q, e->id, plain)) {
		ppfrag_count(&q->stats.bad_used, 1);
		step->used = 1;
		return 0;
	}
	if (e->len < RX_MIN_LEN) {
		*step = rx_short(q, b->nb_done, *e);
		return 0;
	}
	if (e->len == q->buf_len) {
		/* What is posted has its memory: this tells where. */
		hdr = rx_buffer(q, (uint16_t)e->id);
		nb = hdr != NULL ? rx_num_buffers(q, hdr) : 0;
	}
	if (e->len > q->buf_len || nb == 0 || nb > q->nb_posted - b->nb_done) {
		*step = rx_bad(q, b->nb_done, (uint16_t)e->id);
		return 0;
	}
	return nb <= b->ready - b->at ? nb : 0; /* the rest is still to come */
}

/** A packet that fills several buffers. */
struct rx_merged {
	uint16_t nb;   /**< used entries */
	uint16_t done; /**< descriptors taken back; fewer where the device says nonsense */
	uint32_t len;  /**< of all, virtio header included */
	uint32_t last; /**< in the last buffer */
};

/**
 * Take back the descriptors of a packet. The caller has read and checked the first entry.
 *
 * @return whether they make sense.
 */
static __rte_always_inline bool
rx_collect(struct ppfrag_rxq *q, const struct rx_cursor *b, struct rx_entry e, struct rx_merged *p,
		const bool plain)
{
	bool sane = true;
	uint16_t i;

	p->done = 0;
	for (i = 0; i < p->nb; i++) {
		if (i > 0)
			e = rx_read(q, b->at + i, plain);
		if (!rx_is_posted(q, e.id, plain)) {
			sane = false;
			continue;
		}
		rx_take_back(q, b->nb_done + p->done++, (uint16_t)e.id);
		if (i < p->nb - 1 ? e.len != q->buf_len : e.len - 1 >= q->buf_len)
			sane = false;
	}
	p->last = e.len;
	p->len = (p->nb - 1) * q->buf_len + p->last;
	return sane;
}

/** Mergeable packet whose buffers have all arrived, too many for a chain or nonsense. */
static inline struct rx_step
rx_drop_merged(struct ppfrag_rxq *q, const struct rx_merged *p, bool oversize)
{
	if (oversize && p->done == p->nb)
		ppfrag_count(&q->stats.oversize_packets, 1);
	else
		ppfrag_count(&q->stats.bad_used, p->nb);
	return (struct rx_step){ .used = p->nb, .done = p->done };
}

/** Leave the packet in the ring after all. */
static inline void
rx_uncollect(struct ppfrag_rxq *q, uint16_t nb_done, const struct rx_merged *p)
{
	uint16_t i;

	for (i = 0; i < p->done; i++)
		q->posted[q->done[nb_done + i]] = RX_POSTED;
}

#endif /* _PPFRAG_RX_H_ */
