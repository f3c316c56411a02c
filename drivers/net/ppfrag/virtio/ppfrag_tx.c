/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <string.h>

#include <rte_atomic.h>
#include <rte_memcpy.h>

#include "ppfrag_offload.h"
#include "ppfrag_tx.h"

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

/* What instances of functions are for, known when they are compiled. */
#define TX_PLAIN 0x1u   /* the ring is used without any ring_features, as packed rings are */
#define TX_PACKED 0x2u  /* it is a packed one */
#define TX_OFFLOAD 0x4u /* packets may ask for something */

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

/*
 * Write the next descriptor of a packed ring, but for what makes the first one of all available.
 * That comes last: no device looks behind one that is not available.
 */
static __rte_always_inline void
tx_write_packed(struct virtq_packed *p, rte_le64_t addr, uint32_t len, uint16_t id, uint16_t flags)
{
	const uint16_t at = p->avail++;
	struct packed_desc *desc = &p->desc[at & (p->size - 1)];
	rte_le64_t rest = packed_rest(p, at, len, id, flags);

	desc->addr = addr;
	if (unlikely(at == p->offered))
		p->first = rest;
	else
		desc->rest = rest;
}

static inline void
tx_write_packed_chain(struct ppfrag_txq *q, const struct tx_chain *c)
{
	const struct virtq_desc *desc;
	uint16_t id = c->head, nb;

	for (nb = c->nb; nb != 0; nb--, id = q->slot[id].next) {
		desc = &q->vq.desc[id];
		tx_write_packed(&q->packed, desc->addr, rte_le_to_cpu_32(desc->len), c->head,
				nb > 1 ? VIRTQ_DESC_F_NEXT : 0);
	}
}

/* Offer a chain. The mbuf, if any, is freed when the device is done with it. */
static inline void
tx_offer(struct ppfrag_txq *q, const struct tx_chain *c, struct rte_mbuf *m)
{
	q->slot[c->head].m = m;
	q->slot[c->head].nb = c->nb;
	q->nb_inflight++;
	if (virtq_is_packed(&q->packed))
		tx_write_packed_chain(q, c);
	else
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
		const unsigned int how)
{
	const bool plain = (how & TX_PLAIN) != 0;
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

/*
 * The packets that used entries tell of, up to n of them, where the device works in order: those
 * that have an entry each, or all up to the one that the first entry names. One, counted, where it
 * names none of these.
 */
static inline uint16_t
tx_batch_read(struct ppfrag_txq *q, uint16_t n)
{
	uint16_t i, head = tx_oldest(q);
	uint32_t first, id, len;

	virtq_used_read(&q->vq, q->used_idx, &first, &len);
	for (i = 0, id = first; likely(id == head); head = tx_behind(q, head)) {
		if (++i == n)
			return i;
		virtq_used_read(&q->vq, q->used_idx + i, &id, &len);
	}
	if (likely(i != 0))
		return i;
	for (i = 1; i <= n; i++, head = tx_behind(q, head))
		if (first == head)
			return i;
	ppfrag_count(&q->stats.bad_used, 1);
	return 1;
}

/*
 * As tx_reclaim() of a device that works in order: its index alone tells how many packets it has
 * sent. Descriptors become free in the order in which they were taken.
 */
static __rte_noinline uint16_t
tx_reclaim_in_order(struct ppfrag_txq *q, uint16_t max)
{
	uint16_t n = virtq_used_idx(&q->vq) - q->used_idx, batch, freed = 0;
	struct tx_sent sent;

	sent.nb = 0;
	n = RTE_MIN(n, q->nb_inflight);
	while (freed < n && freed < max) {
		if (q->batch == 0)
			q->batch = tx_batch_read(q, n - freed);
		batch = RTE_MIN(q->batch, max - freed);
		tx_put_oldest(q, &sent, batch);
		q->used_idx += batch;
		q->batch -= batch;
		freed += batch;
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
	uint16_t n, freed = 0, at = q->used_idx, end = q->free_head + q->nb_free;
	struct tx_sent sent;
	uint32_t id, len;

	if (q->nb_inflight == 0)
		return 0;
	sent.nb = 0;
	n = virtq_used_idx(&q->vq) - at;
	for (n = RTE_MIN(n, q->nb_inflight); n != 0 && freed < max; n--) {
		virtq_used_read(&q->vq, at++, &id, &len);
		if (unlikely(id >= q->vq.size || q->slot[id].nb == 0)) {
			ppfrag_count(&q->stats.bad_used, 1);
			continue;
		}
		freed++;
		tx_sent_add(&sent, q->slot[id].m);
		end = tx_put_descs(q, (uint16_t)id, end);
	}
	q->used_idx = at;
	q->nb_free = end - q->free_head;
	return tx_sent_end(q, &sent, freed);
}

static __rte_always_inline uint16_t
tx_reclaim(struct ppfrag_txq *q, uint16_t max, const unsigned int how)
{
	if ((how & TX_PACKED) != 0)
		return ppfrag_tx_packed_reclaim(q, max);
	if ((how & TX_PLAIN) != 0 || !q->in_order)
		return tx_reclaim_any_order(q, max);
	return tx_reclaim_in_order(q, max);
}

/* Whether the device wants to know what was offered since the ring was at a position. */
static __rte_always_inline bool
tx_wants_kick(const struct ppfrag_txq *q, uint16_t since, const unsigned int how)
{
	if ((how & TX_PLAIN) != 0 || !q->event_idx)
		return virtq_wants_kick(&q->vq);
	return virtq_event_passed(virtq_avail_event(&q->vq), q->avail_idx, since);
}

static __rte_always_inline void
tx_publish(struct ppfrag_txq *q, uint16_t since, const unsigned int how)
{
	virtq_publish(&q->vq, q->avail_idx);
	/* The device first asks for a notification, then looks at idx; we do the reverse. */
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (unlikely(tx_wants_kick(q, since, how))) {
		ppfrag_count(&q->stats.kicks, 1);
		ppfrag_kick(q->dev, ppfrag_tx_vring(q->queue_id));
	}
}

/*
 * The ring was short: look for packets that the device has sent. Of a packed ring, it gets what is
 * written first: what comes back is then always something that it has.
 */
static __rte_always_inline uint16_t
tx_reclaim_late(struct ppfrag_txq *q, const unsigned int how)
{
	if ((how & TX_PACKED) != 0)
		ppfrag_tx_packed_publish(q);
	return tx_reclaim(q, q->vq.size, how);
}

/* Send a packet, whatever it is. */
static __rte_always_inline enum tx_result
tx_send_retry(struct ppfrag_txq *q, struct rte_mbuf *m, const struct ppfrag_tx_head *head,
		const unsigned int how)
{
	enum tx_result result = tx_send(q, m, head, how);

	if (result == TX_FULL && tx_reclaim_late(q, how) != 0)
		result = tx_send(q, m, head, how);
	return result;
}

/* A packet that asks for something. */
static __rte_always_inline enum tx_result
tx_send_asking(struct ppfrag_txq *q, struct rte_mbuf *m, const unsigned int how)
{
	struct ppfrag_tx_head head;
	enum tx_result result;

	if (unlikely(!ppfrag_tx_head(q, m, &head))) {
		ppfrag_count(&q->stats.bad_offload_packets, 1);
		rte_pktmbuf_free(m);
		return TX_DROPPED;
	}
	if ((how & TX_PLAIN) == 0 && q->hdr_len != VIRTIO_HDR_LEN)
		tx_shorten_head(&head);
	result = tx_send_retry(q, m, &head, how);
	if (result == TX_SENT)
		ppfrag_count(&q->stats.offload_packets, 1);
	return result;
}

/* What is rare, of each kind of rings. */
#define TX_RARE(name, how) \
	static __rte_noinline enum tx_result tx_send_##name(struct ppfrag_txq *q, \
			struct rte_mbuf *m) \
	{ \
		return tx_send_retry(q, m, NULL, how); \
	} \
	static __rte_noinline enum tx_result tx_send_asking_##name(struct ppfrag_txq *q, \
			struct rte_mbuf *m) \
	{ \
		return tx_send_asking(q, m, how); \
	}

TX_RARE(any, 0)
TX_RARE(plain, TX_PLAIN)
TX_RARE(packed, TX_PLAIN | TX_PACKED)

/* Offer one descriptor, of a packet of its own. */
static __rte_always_inline void
tx_offer_one(struct ppfrag_txq *q, struct rte_mbuf *m, const void *addr, uint32_t len,
		const unsigned int how)
{
	const uint16_t id = q->free[q->free_head++ & q->vq.mask];
	struct virtq_desc desc = { .len = rte_cpu_to_le_32(len) };

	q->nb_free--;
	q->nb_inflight++;
	q->slot[id].m = m;
	q->slot[id].nb = 1;
	virtq_desc_point(&desc, addr);
	if ((how & TX_PACKED) != 0) {
		tx_write_packed(&q->packed, desc.addr, len, id, 0);
	} else {
		q->vq.desc[id] = desc;
		virtq_offer(&q->vq, q->avail_idx++, id);
	}
}

/*
 * What most packets are: one segment that has room for the header in front of it, which the device
 * can read. Returns false, and does nothing, where it is another one, or the ring is full.
 */
static __rte_always_inline bool
tx_send_simple(struct ppfrag_txq *q, struct rte_mbuf *m, const unsigned int how)
{
	const uint32_t hdr_len = (how & TX_PLAIN) != 0 ? VIRTIO_HDR_LEN : q->hdr_len;
	const uint32_t len = m->data_len;
	const uintptr_t data = rte_pktmbuf_mtod(m, uintptr_t) - hdr_len;

	if (unlikely(m->next != NULL || q->nb_free == 0 || !tx_owns_headroom(m)))
		return false;
	if (unlikely(!tx_is_shared(q->dev, data, len + hdr_len)))
		return false;
	tx_put_head((char *)data, NULL, hdr_len);
	tx_offer_one(q, m, (const void *)data, len + hdr_len, how);
	return true;
}

static __rte_always_inline enum tx_result
tx_one(struct ppfrag_txq *q, struct rte_mbuf *m, const unsigned int how)
{
	if ((how & TX_OFFLOAD) != 0 && (m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK) != 0) {
		if ((how & TX_PACKED) != 0)
			return tx_send_asking_packed(q, m);
		return (how & TX_PLAIN) != 0 ? tx_send_asking_plain(q, m) :
					       tx_send_asking_any(q, m);
	}
	if (likely(tx_send_simple(q, m, how)))
		return TX_SENT;
	if ((how & TX_PACKED) != 0)
		return tx_send_packed(q, m);
	return (how & TX_PLAIN) != 0 ? tx_send_plain(q, m) : tx_send_any(q, m);
}

/* Of a ring that is up to date. */
static __rte_always_inline uint16_t
tx_burst(struct ppfrag_txq *q, struct rte_mbuf **pkts, uint16_t nb_pkts, const unsigned int how)
{
	uint16_t i, dropped = 0, first = q->avail_idx;
	enum tx_result result;
	uint64_t bytes = 0;
	uint32_t len;

	if (unlikely(__atomic_load_n(&q->dev->link_up, __ATOMIC_RELAXED) == 0))
		return 0;
	if (q->nb_free < q->free_thresh)
		tx_reclaim(q, q->vq.size, how);

	for (i = 0; i < nb_pkts; i++) {
		len = pkts[i]->pkt_len;
		result = tx_one(q, pkts[i], how);
		if (likely(result == TX_SENT)) {
			bytes += len;
		} else if (result == TX_DROPPED) {
			dropped++;
		} else {
			ppfrag_count(&q->stats.full, 1);
			break;
		}
	}

	if ((how & TX_PACKED) != 0)
		ppfrag_tx_packed_publish(q);
	else if (q->avail_idx != first)
		tx_publish(q, first, how);
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

/* Of a split ring that is up to date, without offloads and with them. */

static __rte_noinline uint16_t
tx_burst_split(struct ppfrag_txq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	if (likely(q->plain))
		return tx_burst(q, pkts, nb_pkts, TX_PLAIN);
	return tx_burst(q, pkts, nb_pkts, 0);
}

static __rte_noinline uint16_t
tx_burst_split_offload(struct ppfrag_txq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	if (q->allowed == 0)
		return tx_burst_split(q, pkts, nb_pkts);
	if (likely(q->plain))
		return tx_burst(q, pkts, nb_pkts, TX_OFFLOAD | TX_PLAIN);
	return tx_burst(q, pkts, nb_pkts, TX_OFFLOAD);
}

uint16_t
ppfrag_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	return unlikely(!tx_renew(txq)) ? 0 : tx_burst_split(txq, pkts, nb_pkts);
}

uint16_t
ppfrag_tx_burst_offload(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	return unlikely(!tx_renew(txq)) ? 0 : tx_burst_split_offload(txq, pkts, nb_pkts);
}

uint16_t
ppfrag_tx_burst_packed(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct ppfrag_txq *q = txq;

	if (unlikely(!tx_renew(q)))
		return 0;
	if (unlikely(!virtq_is_packed(&q->packed)))
		return tx_burst_split_offload(q, pkts, nb_pkts);
	if (q->allowed == 0)
		return tx_burst(q, pkts, nb_pkts, TX_PLAIN | TX_PACKED);
	return tx_burst(q, pkts, nb_pkts, TX_OFFLOAD | TX_PLAIN | TX_PACKED);
}

uint16_t
ppfrag_tx_reclaim(struct ppfrag_txq *q, uint32_t n)
{
	const uint16_t max = n == 0 ? q->vq.size : (uint16_t)RTE_MIN(n, (uint32_t)q->vq.size);

	if (virtq_is_packed(&q->packed))
		return ppfrag_tx_packed_reclaim(q, max);
	return tx_reclaim(q, max, 0);
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
