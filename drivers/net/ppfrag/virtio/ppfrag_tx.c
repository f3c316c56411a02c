/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <string.h>

#include <rte_atomic.h>
#include <rte_memcpy.h>

#include "ppfrag_offload.h"

/*
 * A packet is one chain of descriptors: its virtio header, then its segments. Where nobody shares
 * the mbuf the header goes into the headroom, and the first segment carries both.
 *
 * The device can write the rings: which descriptors form a packet, and which are free, is kept in
 * memory of our own.
 */

/* Where the table of a descriptor is in its bounce buffer: behind what a packet has in front. */
#define TX_TABLE_OFFSET 256u
#define TX_TABLE_BYTES ((PPFRAG_MAX_SEGS + 1) * sizeof(struct virtq_desc))

_Static_assert(TX_TABLE_OFFSET >= sizeof(((struct ppfrag_tx_head *)0)->bytes) &&
				TX_TABLE_OFFSET + TX_TABLE_BYTES <= PPFRAG_BOUNCE_LEN,
		"header and table in a bounce buffer");

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

/* What became of a packet. */
enum tx_result {
	TX_SENT,
	TX_FULL,    /* too few free descriptors now */
	TX_DROPPED, /* freed */
};

static inline void
tx_append(struct ppfrag_txq *q, struct tx_chain *c, const void *addr, uint32_t len)
{
	uint16_t id = q->free[q->free_head++ & q->vq.mask];
	struct virtq_desc *desc = &q->vq.desc[id];

	q->nb_free--;
	virtq_desc_point(desc, addr);
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

/* Forget a chain of nb descriptors. */
static inline void
tx_abandon(struct ppfrag_txq *q, uint16_t nb)
{
	q->free_head -= nb;
	q->nb_free += nb;
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

/* What a packet has in front; its header is all zero where there are no offloads. */

static inline uint32_t
tx_head_len(const struct ppfrag_txq *q, const struct ppfrag_tx_head *head)
{
	return head == NULL ? q->hdr_len : head->len;
}

static inline uint32_t
tx_skip(const struct ppfrag_tx_head *head, uint32_t data_len)
{
	return head == NULL ? 0 : RTE_MIN((uint32_t)head->skip, data_len);
}

/* A header that has no num_buffers. */
static void
tx_shorten_head(struct ppfrag_tx_head *head)
{
	head->len -= VIRTIO_HDR_GAP;
	memmove(&head->bytes[VIRTIO_SHORT_HDR_LEN], &head->bytes[VIRTIO_HDR_LEN],
			head->len - VIRTIO_SHORT_HDR_LEN);
}

/*
 * Where an mbuf was sent before, these bytes are zero already, and the line that the device has
 * read stays shared with it.
 */
static inline void
tx_zero_head(char *to)
{
	uint64_t first;
	uint32_t last;

	_Static_assert(VIRTIO_HDR_LEN == sizeof(first) + sizeof(last), "all of the header");
	memcpy(&first, to, sizeof(first));
	memcpy(&last, to + sizeof(first), sizeof(last));
	if ((first | last) != 0)
		memset(to, 0, VIRTIO_HDR_LEN);
}

static __rte_always_inline void
tx_put_head(char *to, const struct ppfrag_tx_head *head, uint32_t hdr_len)
{
	if (head != NULL)
		memcpy(to, head->bytes, head->len);
	else if (hdr_len == VIRTIO_HDR_LEN)
		tx_zero_head(to);
	else
		memset(to, 0, VIRTIO_SHORT_HDR_LEN);
}

/* Memory of the next free descriptor. */
static inline char *
tx_next_bounce(const struct ppfrag_txq *q)
{
	return q->bounce + (size_t)q->free[q->free_head & q->vq.mask] * PPFRAG_BOUNCE_LEN;
}

/*
 * Copy a packet behind its header into the bounce buffers of nb descriptors. Of what the mbufs say
 * nothing but their bytes is relied on: the device may be able to write them.
 */
static __rte_always_inline void
tx_fill_bounce(struct ppfrag_txq *q, const struct rte_mbuf *m, uint32_t nb,
		const struct ppfrag_tx_head *head)
{
	uint32_t len, left, skip = tx_skip(head, m->data_len), used = tx_head_len(q, head);
	uint16_t nb_segs = m->nb_segs;
	struct tx_chain c = { .nb = 0 };
	const char *src;
	char *buf;

	buf = tx_next_bounce(q);
	tx_put_head(buf, head, VIRTIO_HDR_LEN); /* what a short one leaves is overwritten */
	for (; nb_segs != 0 && m != NULL; nb_segs--, m = m->next, skip = 0) {
		src = rte_pktmbuf_mtod(m, const char *) + skip;
		left = m->data_len;
		for (left -= RTE_MIN(skip, left); left != 0; left -= len, src += len, used += len) {
			if (used == PPFRAG_BOUNCE_LEN) {
				if (c.nb == nb - 1)
					break;
				tx_append(q, &c, buf, used);
				buf = tx_next_bounce(q);
				used = 0;
			}
			len = RTE_MIN(left, PPFRAG_BOUNCE_LEN - used);
			rte_memcpy(buf + used, src, len);
		}
	}
	tx_append(q, &c, buf, used);
	tx_offer(q, &c, NULL);
}

/* Send a packet that the device cannot read, or with too many segments. */
static __rte_always_inline enum tx_result
tx_copy_behind(struct ppfrag_txq *q, struct rte_mbuf *m, const struct ppfrag_tx_head *head)
{
	uint64_t bytes = (uint64_t)m->pkt_len + tx_head_len(q, head) - tx_skip(head, m->data_len);
	uint64_t nb = (bytes + PPFRAG_BOUNCE_LEN - 1) / PPFRAG_BOUNCE_LEN;

	if (nb > q->nb_free && nb <= q->vq.size)
		return TX_FULL;
	if (nb <= q->vq.size) {
		tx_fill_bounce(q, m, (uint32_t)nb, head);
		ppfrag_count(&q->stats.copied_packets, 1);
	} else {
		ppfrag_count(&q->stats.dropped_packets, 1);
	}
	rte_pktmbuf_free(m);
	return nb <= q->vq.size ? TX_SENT : TX_DROPPED;
}

static __rte_noinline enum tx_result
tx_copy(struct ppfrag_txq *q, struct rte_mbuf *m)
{
	return tx_copy_behind(q, m, NULL);
}

static __rte_noinline enum tx_result
tx_copy_offload(struct ppfrag_txq *q, struct rte_mbuf *m, const struct ppfrag_tx_head *head)
{
	return tx_copy_behind(q, m, head);
}

/* Whether more free descriptors would let a packet be sent as it is. */
static bool
tx_can_share(const struct ppfrag_txq *q, const struct rte_mbuf *m, uint32_t push)
{
	uint32_t nb = push == 0;
	uint16_t i;

	for (i = 0; m != NULL && i < PPFRAG_MAX_SEGS; i++, m = m->next, push = 0) {
		if (m->data_len + push == 0)
			continue;
		if (!tx_is_shared(q->dev, rte_pktmbuf_mtod(m, uintptr_t) - push,
				    m->data_len + push))
			return false;
		nb++;
	}
	return m == NULL && nb <= q->vq.size;
}

/* The device cannot read all segments of a packet, or there are too many: copy it. */
static __rte_noinline enum tx_result
tx_unshared(struct ppfrag_txq *q, struct rte_mbuf *m, uint16_t nb,
		const struct ppfrag_tx_head *head)
{
	tx_abandon(q, nb);
	return head == NULL ? tx_copy(q, m) : tx_copy_offload(q, m, head);
}

/* There are too few free descriptors for a packet, perhaps for ever. */
static __rte_noinline enum tx_result
tx_short(struct ppfrag_txq *q, struct rte_mbuf *m, uint32_t push, uint16_t nb,
		const struct ppfrag_tx_head *head)
{
	if (!tx_can_share(q, m, push))
		return tx_unshared(q, m, nb, head);
	tx_abandon(q, nb);
	return TX_FULL;
}

/* Not before all segments are known to be sent: a packet that is not taken stays as it was. */
static __rte_always_inline void
tx_write_head(struct ppfrag_txq *q, char *inside, char *outside, const struct ppfrag_tx_head *head,
		uint32_t hdr_len)
{
	if (likely(inside != NULL)) {
		tx_put_head(inside, head, hdr_len);
		return;
	}
	ppfrag_count(&q->stats.header_packets, 1);
	if (head != NULL)
		tx_put_head(outside, head, hdr_len);
}

/* Offer a table of descriptors as one. */
static void
tx_offer_table(struct ppfrag_txq *q, struct virtq_desc *table, uint16_t nb, struct rte_mbuf *m)
{
	struct tx_chain c = { .nb = 0 };

	table[nb - 1].flags = 0;
	tx_append(q, &c, table, nb * (uint32_t)sizeof(*table));
	q->vq.desc[c.head].flags = rte_cpu_to_le_16(VIRTQ_DESC_F_INDIRECT);
	ppfrag_count(&q->stats.indirect_packets, 1);
	tx_offer(q, &c, m);
}

static inline void
tx_table_append(struct virtq_desc *table, uint16_t at, const void *addr, uint32_t len)
{
	virtq_desc_point(&table[at], addr);
	table[at].len = rte_cpu_to_le_32(len);
	table[at].flags = rte_cpu_to_le_16(VIRTQ_DESC_F_NEXT);
	table[at].next = rte_cpu_to_le_16(at + 1);
}

/*
 * As tx_send(), of a packet that takes several descriptors: these are in a table, and one of the
 * ring refers to it. A table is no longer than the ring, as virtio demands.
 */
static __rte_noinline enum tx_result
tx_send_indirect(struct ppfrag_txq *q, struct rte_mbuf *m, const struct ppfrag_tx_head *head,
		uint32_t push)
{
	const uint16_t max = RTE_MIN(PPFRAG_MAX_SEGS + 1, q->vq.size);
	uint32_t len, skip, nb_segs = 0;
	struct virtq_desc *table;
	char *bounce, *hdr = NULL;
	struct rte_mbuf *seg;
	uintptr_t data;
	uint16_t nb = 0;

	if (q->nb_free == 0)
		return TX_FULL;
	bounce = tx_next_bounce(q);
	table = (struct virtq_desc *)(bounce + TX_TABLE_OFFSET);
	if (push == 0)
		tx_table_append(table, nb++, head == NULL ? (void *)q->hdr : bounce,
				tx_head_len(q, head));
	for (seg = m; seg != NULL; seg = seg->next, push = 0) {
		len = seg->data_len + push;
		skip = seg == m ? tx_skip(head, len) : 0;
		data = rte_pktmbuf_mtod(seg, uintptr_t) - push + skip;
		len -= skip;
		if (unlikely(nb_segs++ == PPFRAG_MAX_SEGS))
			return tx_unshared(q, m, 0, head);
		if (unlikely(len == 0))
			continue;
		if (unlikely(nb == max || !tx_is_shared(q->dev, data, len)))
			return tx_unshared(q, m, 0, head);
		if (push != 0)
			hdr = (char *)data;
		tx_table_append(table, nb++, (const void *)data, len);
	}
	tx_write_head(q, hdr, bounce, head, q->hdr_len);
	if (nb_segs > 1)
		ppfrag_count(&q->stats.chained_packets, 1);
	tx_offer_table(q, table, nb, m);
	return TX_SENT;
}

/*
 * Hand the segments themselves to the device, the header in front of the first one. What is checked
 * is what is offered: each field of an mbuf is read once, as the device may be able to write it.
 *
 * head: NULL for a packet without offloads. One that replaces bytes of the packet lies outside.
 */
static __rte_always_inline enum tx_result
tx_send(struct ppfrag_txq *q, struct rte_mbuf *m, const struct ppfrag_tx_head *head,
		const bool plain)
{
	const bool inside = (head == NULL || head->skip == 0) && tx_owns_headroom(m);
	const uint32_t hdr_len = plain ? VIRTIO_HDR_LEN : q->hdr_len;
	struct tx_chain c = { .nb = 0 };
	uint32_t len, skip = 0, push = inside ? hdr_len : 0;
	char *hdr = NULL, *bounce = NULL;
	struct rte_mbuf *seg;
	uint16_t nb_segs = 0;
	uintptr_t data;

	if (!plain && q->indirect && unlikely(!inside || m->next != NULL))
		return tx_send_indirect(q, m, head, push);
	if (unlikely(!inside)) {
		if (q->nb_free == 0)
			return TX_FULL;
		bounce = tx_next_bounce(q);
		tx_append(q, &c, head == NULL ? (void *)q->hdr : bounce,
				head == NULL ? hdr_len : head->len);
	}
	for (seg = m; seg != NULL; seg = seg->next, push = 0) {
		if (unlikely(nb_segs++ == PPFRAG_MAX_SEGS))
			return tx_unshared(q, m, c.nb, head);
		len = seg->data_len + push;
		skip = seg == m ? tx_skip(head, len) : 0;
		data = rte_pktmbuf_mtod(seg, uintptr_t) - push + skip;
		len -= skip;
		if (unlikely(len == 0))
			continue;
		if (unlikely(!tx_is_shared(q->dev, data, len)))
			return tx_unshared(q, m, c.nb, head);
		if (unlikely(q->nb_free == 0))
			return tx_short(q, m, inside ? hdr_len : 0, c.nb, head);
		if (likely(push != 0))
			hdr = (char *)data;
		tx_append(q, &c, (const void *)data, len);
	}
	tx_write_head(q, hdr, bounce, head, hdr_len);
	if (unlikely(nb_segs > 1))
		ppfrag_count(&q->stats.chained_packets, 1);
	tx_offer(q, &c, m);
	return TX_SENT;
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

/* The oldest packet that the device has, which was used in order. */
static inline uint16_t
tx_oldest(const struct ppfrag_txq *q)
{
	return (q->free_head + q->nb_free) & q->vq.mask;
}

/*
 * The packets that a used entry tells of, up to n of them, where the device works in order: all up
 * to the one that it names. One, counted, where it names none of these.
 */
static inline uint16_t
tx_batch_read(struct ppfrag_txq *q, uint16_t n)
{
	uint16_t i, head = tx_oldest(q);
	uint32_t id, len;

	virtq_used_read(&q->vq, q->used_idx, &id, &len);
	for (i = 1; i <= n; i++) {
		if (likely(id == head))
			return i;
		head = (head + q->slot[head].nb) & q->vq.mask;
	}
	ppfrag_count(&q->stats.bad_used, 1);
	return 1;
}

/* Mbufs of packets that the device has sent. */
struct tx_sent {
	struct rte_mbuf *m[TX_FREE_BURST];
	unsigned int nb;
};

/* One more; NULL for a packet that was copied. When there are many, they are freed. */
static __rte_always_inline void
tx_sent_add(struct tx_sent *sent, struct rte_mbuf *m)
{
	if (m == NULL)
		return;
	sent->m[sent->nb++] = m;
	if (sent->nb == TX_FREE_BURST) {
		rte_pktmbuf_free_bulk(sent->m, sent->nb);
		sent->nb = 0;
	}
}

/* All are added. Returns how many packets these were. */
static __rte_always_inline uint16_t
tx_sent_end(struct ppfrag_txq *q, struct tx_sent *sent, uint16_t packets)
{
	rte_pktmbuf_free_bulk(sent->m, sent->nb);
	q->nb_inflight -= packets;
	return packets;
}

/*
 * As tx_reclaim() of a device that works in order: its index alone tells how many packets it has
 * sent. Descriptors become free in the order in which they were taken.
 */
static __rte_noinline uint16_t
tx_reclaim_in_order(struct ppfrag_txq *q, uint16_t max)
{
	uint16_t n = virtq_used_idx(&q->vq) - q->used_idx, freed, id;
	struct tx_sent sent;

	sent.nb = 0;
	n = RTE_MIN(n, q->nb_inflight);
	for (freed = 0; freed < n && freed < max; freed++) {
		if (q->batch == 0)
			q->batch = tx_batch_read(q, n - freed);
		q->batch--;
		q->used_idx++;
		id = tx_oldest(q);
		q->nb_free += q->slot[id].nb;
		q->slot[id].nb = 0;
		tx_sent_add(&sent, q->slot[id].m);
	}
	return tx_sent_end(q, &sent, freed);
}

/*
 * Free up to max packets that the device has sent. Returns how many. A device cannot have sent more
 * than it had: what its index announces beyond that is looked at when it has more.
 */
static uint16_t
tx_reclaim_any_order(struct ppfrag_txq *q, uint16_t max)
{
	struct tx_sent sent;
	uint16_t n, freed = 0;
	uint32_t id, len;

	if (q->nb_inflight == 0)
		return 0;
	sent.nb = 0;
	n = virtq_used_idx(&q->vq) - q->used_idx;
	for (n = RTE_MIN(n, q->nb_inflight); n != 0 && freed < max; n--) {
		virtq_used_read(&q->vq, q->used_idx++, &id, &len);
		if (unlikely(id >= q->vq.size || q->slot[id].nb == 0)) {
			ppfrag_count(&q->stats.bad_used, 1);
			continue;
		}
		freed++;
		tx_sent_add(&sent, q->slot[id].m);
		tx_put_descs(q, (uint16_t)id);
	}
	return tx_sent_end(q, &sent, freed);
}

static __rte_always_inline uint16_t
tx_reclaim(struct ppfrag_txq *q, uint16_t max, const bool plain)
{
	return plain || !q->in_order ? tx_reclaim_any_order(q, max) : tx_reclaim_in_order(q, max);
}

/* Whether the device wants to know what was offered since the ring was at a position. */
static __rte_always_inline bool
tx_wants_kick(const struct ppfrag_txq *q, uint16_t since, const bool plain)
{
	if (plain || !q->event_idx)
		return virtq_wants_kick(&q->vq);
	return virtq_event_passed(virtq_avail_event(&q->vq), q->avail_idx, since);
}

static __rte_always_inline void
tx_publish(struct ppfrag_txq *q, uint16_t since, const bool plain)
{
	virtq_publish(&q->vq, q->avail_idx);
	/* The device first asks for a notification, then looks at idx; we do the reverse. */
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (unlikely(tx_wants_kick(q, since, plain))) {
		ppfrag_count(&q->stats.kicks, 1);
		ppfrag_kick(q->dev, ppfrag_tx_vring(q->queue_id));
	}
}

/* The ring was short: look for packets that the device has sent. Packed rings are plain. */
static __rte_always_inline uint16_t
tx_reclaim_late(struct ppfrag_txq *q, const bool plain)
{
	if (plain && virtq_is_packed(&q->packed))
		ppfrag_tx_packed_take(q);
	return tx_reclaim(q, q->vq.size, plain);
}

/* As tx_send(), after that. */
static __rte_noinline enum tx_result
tx_retry_plain(struct ppfrag_txq *q, struct rte_mbuf *m)
{
	if (tx_reclaim_late(q, true) == 0)
		return TX_FULL;
	return tx_send(q, m, NULL, true);
}

static __rte_noinline enum tx_result
tx_retry(struct ppfrag_txq *q, struct rte_mbuf *m)
{
	if (tx_reclaim_late(q, false) == 0)
		return TX_FULL;
	return tx_send(q, m, NULL, false);
}

/* A packet that asks for something. */
static __rte_always_inline enum tx_result
tx_send_asking(struct ppfrag_txq *q, struct rte_mbuf *m, const bool plain)
{
	struct ppfrag_tx_head head;
	enum tx_result result;

	if (unlikely(!ppfrag_tx_head(q, m, &head))) {
		ppfrag_count(&q->stats.bad_offload_packets, 1);
		rte_pktmbuf_free(m);
		return TX_DROPPED;
	}
	if (!plain && q->hdr_len != VIRTIO_HDR_LEN)
		tx_shorten_head(&head);
	result = tx_send(q, m, &head, plain);
	if (result == TX_FULL && tx_reclaim_late(q, plain) != 0)
		result = tx_send(q, m, &head, plain);
	if (result == TX_SENT)
		ppfrag_count(&q->stats.offload_packets, 1);
	return result;
}

static __rte_noinline enum tx_result
tx_send_offload_plain(struct ppfrag_txq *q, struct rte_mbuf *m)
{
	return tx_send_asking(q, m, true);
}

static __rte_noinline enum tx_result
tx_send_offload(struct ppfrag_txq *q, struct rte_mbuf *m)
{
	return tx_send_asking(q, m, false);
}

static __rte_always_inline enum tx_result
tx_one(struct ppfrag_txq *q, struct rte_mbuf *m, const bool offload, const bool plain)
{
	enum tx_result result;

	if (offload && (m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK) != 0)
		return plain ? tx_send_offload_plain(q, m) : tx_send_offload(q, m);
	result = tx_send(q, m, NULL, plain);
	if (likely(result != TX_FULL))
		return result;
	return plain ? tx_retry_plain(q, m) : tx_retry(q, m);
}

/* Of a ring that is up to date. */
static __rte_always_inline uint16_t
tx_burst(struct ppfrag_txq *q, struct rte_mbuf **pkts, uint16_t nb_pkts, const bool offload,
		const bool plain, const bool packed)
{
	uint16_t i, dropped = 0, first = q->avail_idx;
	enum tx_result result;
	uint64_t bytes = 0;
	uint32_t len;

	if (unlikely(__atomic_load_n(&q->dev->link_up, __ATOMIC_RELAXED) == 0))
		return 0;
	if (q->nb_free < q->free_thresh) {
		if (packed)
			ppfrag_tx_packed_take(q);
		tx_reclaim(q, q->vq.size, plain);
	}

	for (i = 0; i < nb_pkts; i++) {
		len = pkts[i]->pkt_len;
		result = tx_one(q, pkts[i], offload, plain);
		if (likely(result == TX_SENT)) {
			bytes += len;
		} else if (result == TX_DROPPED) {
			dropped++;
		} else {
			ppfrag_count(&q->stats.full, 1);
			break;
		}
	}

	if (packed)
		ppfrag_tx_packed_give(q);
	else if (q->avail_idx != first)
		tx_publish(q, first, plain);
	ppfrag_count(&q->stats.packets, i - dropped);
	ppfrag_count(&q->stats.bytes, bytes);
	return i;
}

/* Returns false where the queue is stopped. */
static inline bool
tx_renew(struct ppfrag_txq *q)
{
	return likely(!ppfrag_is_stale(q->dev, q->epoch)) || ppfrag_txq_renew(q);
}

uint16_t
ppfrag_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct ppfrag_txq *q = txq;

	if (unlikely(!tx_renew(q)))
		return 0;
	if (likely(q->plain))
		return tx_burst(q, pkts, nb_pkts, false, true, false);
	return tx_burst(q, pkts, nb_pkts, false, false, false);
}

uint16_t
ppfrag_tx_burst_offload(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct ppfrag_txq *q = txq;

	if (q->allowed == 0)
		return ppfrag_tx_burst(q, pkts, nb_pkts);
	if (unlikely(!tx_renew(q)))
		return 0;
	if (likely(q->plain))
		return tx_burst(q, pkts, nb_pkts, true, true, false);
	return tx_burst(q, pkts, nb_pkts, true, false, false);
}

/* Of a ring that is split, and may be packed afterwards, as another back end has come. */
static __rte_noinline uint16_t
tx_burst_split(struct ppfrag_txq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	uint16_t n = ppfrag_tx_burst_offload(q, pkts, nb_pkts);

	if (unlikely(virtq_is_packed(&q->packed)))
		ppfrag_tx_packed_give(q);
	return n;
}

uint16_t
ppfrag_tx_burst_packed(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct ppfrag_txq *q = txq;

	if (unlikely(!tx_renew(q)))
		return 0;
	if (unlikely(!virtq_is_packed(&q->packed)))
		return tx_burst_split(q, pkts, nb_pkts);
	if (q->allowed == 0)
		return tx_burst(q, pkts, nb_pkts, false, true, true);
	return tx_burst(q, pkts, nb_pkts, true, true, true);
}

uint16_t
ppfrag_tx_reclaim(struct ppfrag_txq *q, uint32_t n)
{
	if (virtq_is_packed(&q->packed))
		ppfrag_tx_packed_take(q);
	return tx_reclaim(q, n == 0 ? q->vq.size : (uint16_t)RTE_MIN(n, (uint32_t)q->vq.size),
			false);
}

/* The ring of a stopped queue belongs to the control thread. */
int
ppfrag_tx_done_cleanup(void *txq, uint32_t n)
{
	struct ppfrag_txq *q = txq;

	return __atomic_load_n(&q->run.stopped, __ATOMIC_ACQUIRE) ? 0 : ppfrag_tx_reclaim(q, n);
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
	q->nb_inflight = 0;
}
