/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memcpy.h>

#include <ppool_slot.h>

#include "ppfrag_rx.h"

/*
 * Each descriptor has a slot for the longest frame. A short packet is copied into a slot of its own
 * size, and the descriptor keeps its slot; a longer one is handed over in the slot of the
 * descriptor, which gets another one. Which is which stands in a table by length.
 *
 * All slots that a part of a burst needs are taken first, so that a packet is delivered with all
 * that takes, or stays in the ring.
 */

/* Packets that are dealt with together. */
#define RX_PART 32u
/* Steps of the table, in bytes. */
#define LEN_STEP 64u
/* A packet that leaves more of its slot unused than this is copied in every preset. */
#define WASTE_MAX 2048u
/* Bursts between looks at how many pages are free. */
#define LOOK_BURSTS 64u

#define TABLE_LEN (PPFRAG_MAX_FRAME / LEN_STEP + 2)

struct ppfrag_rx_slots {
	uint32_t mbuf_bytes; /* an mbuf with its private area */
	uint8_t nb_classes;
	uint8_t post;      /* class of what is posted */
	uint8_t dense;     /* 1: the half rule holds; an index of copy_to */
	uint8_t bursts;    /* since the last look at free pages */
	bool secondary;    /* this burst is one of a secondary process */
	uint64_t rearm[2]; /* data_off, refcnt, nb_segs, port; ol_flags */
	struct rte_mempool *view[PPFRAG_CLASSES_MAX];
	uint16_t room[PPFRAG_CLASSES_MAX];
	/* By length: the class to copy into, or that of what is posted: then it is handed over. */
	uint8_t copy_to[2][TABLE_LEN];
	struct rte_mbuf *posted[]; /* by descriptor */
};

/* Buffers */

static char *
slot_buffer(const struct ppfrag_rxq *q, const struct rte_mbuf *m)
{
	return (char *)(uintptr_t)m + q->slots->mbuf_bytes + q->hdr_offset;
}

static char *
slot_data(const struct ppfrag_rxq *q, const struct rte_mbuf *m)
{
	return (char *)(uintptr_t)m + q->slots->mbuf_bytes + RTE_PKTMBUF_HEADROOM;
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
		if (rte_mempool_get(s->view[s->post], (void **)&s->posted[id]) != 0)
			return NULL;
		slot_pin(s->posted[id], is_secondary());
	}
	return slot_buffer(q, s->posted[id]);
}

/* An mbuf of one segment. Nothing is read of it, as the device may be able to write it, too. */
static inline void
slot_fill(const struct ppfrag_rx_slots *s, struct rte_mbuf *m, uint32_t len)
{
	/* packet_type, pkt_len, data_len, vlan_tci, hash.rss */
	const uint64_t lengths[2] = { (uint64_t)len << 32, (uint16_t)len };

	memcpy(&m->data_off, s->rearm, sizeof(s->rearm));
	memcpy(&m->packet_type, lengths, sizeof(lengths));
}

/* Packets */

/* A part of a burst. */
struct part {
	unsigned int n;
	uint16_t id[RX_PART];
	uint32_t len[RX_PART]; /* without the virtio header */
	uint8_t size_class[RX_PART];
	uint8_t first[PPFRAG_CLASSES_MAX]; /* of m: the next slot of a class */
	uint8_t count[PPFRAG_CLASSES_MAX]; /* slots of a class, 0 in between */
	uint32_t classes;                  /* bits: those with a count */
	struct rte_mbuf *m[RX_PART];       /* slots, class by class */
};

static inline void
part_add(const struct ppfrag_rx_slots *s, struct part *p, uint16_t id, uint32_t len)
{
	uint8_t size_class = s->copy_to[s->dense][(len + LEN_STEP - 1) / LEN_STEP];
	unsigned int i = p->n++;

	p->id[i] = id;
	p->len[i] = len;
	p->size_class[i] = size_class;
	if ((p->classes & RTE_BIT32(size_class)) == 0)
		p->count[size_class] = 0;
	p->classes |= RTE_BIT32(size_class);
	p->count[size_class]++;
}

/* Packets of one descriptor each, up to the first used entry that is none. */
static inline void
part_read(struct ppfrag_rxq *q, uint16_t at, struct part *p, unsigned int n)
{
	const struct ppfrag_rx_slots *s = q->slots;
	struct rx_entry e;

	p->n = 0;
	p->classes = 0;
	while (p->n < n) {
		e = rx_read(q, at + p->n);
		if (unlikely(!rx_is_posted(q, e.id)))
			break;
		if (unlikely(e.len < RX_MIN_LEN || e.len >= q->buf_len))
			break;
		q->posted[e.id] = q->burst;
		rte_prefetch0(slot_data(q, s->posted[e.id]));
		part_add(s, p, (uint16_t)e.id, e.len - VIRTIO_HDR_LEN);
	}
}

/* The device may use these descriptors again. */
static void
part_forget(struct ppfrag_rxq *q, const struct part *p)
{
	unsigned int i;

	for (i = 0; i < p->n; i++)
		q->posted[p->id[i]] = RX_POSTED;
}

/* A slot for each packet: to copy into, or for its descriptor. All or none. */
static inline bool
part_slots_get(struct ppfrag_rxq *q, struct part *p)
{
	const struct ppfrag_rx_slots *s = q->slots;
	uint32_t left, size_class, got = 0;

	for (left = p->classes; left != 0; left &= left - 1) {
		size_class = rte_bsf32(left);
		p->first[size_class] = (uint8_t)got;
		if (unlikely(rte_mempool_get_bulk(s->view[size_class], (void **)&p->m[got],
					     p->count[size_class]) != 0)) {
			rte_pktmbuf_free_bulk(p->m, got);
			return false;
		}
		got += p->count[size_class];
	}
	return true;
}

/* Hand over what is posted, and post another slot. */
static inline struct rte_mbuf *
packet_take(struct ppfrag_rx_slots *s, uint16_t id, struct rte_mbuf *other, uint32_t len)
{
	struct rte_mbuf *m = s->posted[id];

	slot_pin(other, s->secondary);
	s->posted[id] = other;
	slot_fill(s, m, len);
	return m;
}

static inline struct rte_mbuf *
packet_copy(const struct ppfrag_rxq *q, uint16_t id, struct rte_mbuf *to, uint32_t len)
{
	slot_fill(q->slots, to, len);
	rte_memcpy(slot_data(q, to), slot_data(q, q->slots->posted[id]), len);
	return to;
}

static inline struct rte_mbuf *
packet_deliver(struct ppfrag_rxq *q, uint16_t id, struct rte_mbuf *m, uint32_t len,
		uint8_t size_class)
{
	return size_class == q->slots->post ? packet_take(q->slots, id, m, len) :
					      packet_copy(q, id, m, len);
}

/* Deliver packets for which there are slots, and offer their descriptors again. */
static inline void
part_deliver(struct ppfrag_rxq *q, struct part *p, struct rte_mbuf **pkts, uint64_t *bytes)
{
	struct ppfrag_rx_slots *s = q->slots;
	struct virtq vq = q->vq;
	uint16_t avail = q->avail_idx;
	unsigned int i, taken = 0;
	struct rte_mbuf *m;

	for (i = 0; i < p->n; i++)
		rte_prefetch0(p->m[i]);
	for (i = 0; i < p->n; i++) {
		m = p->m[p->first[p->size_class[i]]++];
		pkts[i] = packet_deliver(q, p->id[i], m, p->len[i], p->size_class[i]);
		taken += p->size_class[i] == s->post;
		*bytes += p->len[i];
	}
	for (i = 0; i < p->n; i++)
		rx_offer(q, &vq, avail++, p->id[i], slot_buffer(q, s->posted[p->id[i]]));
	q->avail_idx = avail;
	ppfrag_count(&q->stats.copybreak_packets, p->n - taken);
}

/* Returns how many packets are delivered, from the first used entry on. */
static inline unsigned int
part_run(struct ppfrag_rxq *q, uint16_t at, struct rte_mbuf **pkts, unsigned int n, uint64_t *bytes)
{
	struct part p;

	part_read(q, at, &p, RTE_MIN(n, RX_PART));
	if (unlikely(p.n == 0))
		return 0;
	if (unlikely(!part_slots_get(q, &p))) {
		part_forget(q, &p);
		return 0;
	}
	part_deliver(q, &p, pkts, bytes);
	return p.n;
}

/* What part_run() stops at, one packet at a time */

/* Where a burst is. */
struct slots_place {
	uint16_t at; /* the entry */
	uint16_t ready;
	uint16_t nb_done;
	struct rte_mbuf **pkt;
};

static struct rx_step
one_deliver(struct ppfrag_rxq *q, const struct slots_place *b, uint16_t id, uint32_t len)
{
	struct ppfrag_rx_slots *s = q->slots;
	uint8_t size_class = s->copy_to[s->dense][(len + LEN_STEP - 1) / LEN_STEP];
	struct rte_mbuf *m;

	if (rte_mempool_get(s->view[size_class], (void **)&m) != 0)
		return (struct rx_step){ .no_page = 1 };
	*b->pkt = packet_deliver(q, id, m, len, size_class);
	rx_done(q, b->nb_done, id);
	return (struct rx_step){ .used = 1, .done = 1, .rx = 1, .bytes = len };
}

/* Make a chain of what is posted; other slots take its place. */
static void
chain_deliver(struct ppfrag_rxq *q, const uint16_t *ids, const struct rx_merged *p,
		struct rte_mbuf * const *other, struct rte_mbuf **pkt)
{
	struct rte_mbuf *m, *prev = NULL;
	uint32_t len;
	uint16_t i;

	for (i = 0; i < p->nb; i++) {
		len = i < p->nb - 1 ? q->buf_len : p->last;
		m = packet_take(q->slots, ids[i], other[i], i == 0 ? q->max_len : len);
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
static struct rx_step
merged_deliver(struct ppfrag_rxq *q, const struct slots_place *b, struct rx_entry first,
		uint16_t nb)
{
	struct rte_mbuf *other[PPFRAG_MAX_SEGS];
	struct rx_merged p = { .nb = nb };
	bool chain = q->scatter && nb <= PPFRAG_MAX_SEGS;

	if (chain && rte_mempool_get_bulk(q->slots->view[q->slots->post], (void **)other, nb) != 0)
		return (struct rx_step){ .no_page = 1 };
	if (!rx_collect(q, b->at, b->nb_done, first, &p) || !chain) {
		if (chain)
			rte_pktmbuf_free_bulk(other, nb);
		return rx_drop_merged(q, &p, !chain);
	}
	chain_deliver(q, &q->done[b->nb_done], &p, other, b->pkt);
	return (struct rx_step){ .used = nb, .done = nb, .rx = 1, .bytes = p.len - VIRTIO_HDR_LEN };
}

/* A used entry whose descriptor is full, which makes no sense, or for which there was no slot. */
static __rte_noinline struct rx_step
slots_unusual(struct ppfrag_rxq *q, const struct slots_place *b)
{
	struct rx_entry e = rx_read(q, b->at);
	uint16_t nb = 1;

	if (!rx_is_posted(q, e.id)) {
		ppfrag_count(&q->stats.bad_used, 1);
		return (struct rx_step){ .used = 1 };
	}
	if (e.len < RX_MIN_LEN)
		return rx_short(q, b->nb_done, e);
	if (e.len > q->buf_len)
		return rx_bad(q, b->nb_done, (uint16_t)e.id);
	if (e.len == q->buf_len)
		nb = rx_num_buffers(q, slot_buffer(q, q->slots->posted[e.id]));
	if (nb == 1)
		return one_deliver(q, b, (uint16_t)e.id, e.len - VIRTIO_HDR_LEN);
	if (nb == 0 || nb > q->nb_posted - b->nb_done)
		return rx_bad(q, b->nb_done, (uint16_t)e.id);
	if (nb > b->ready - b->at)
		return (struct rx_step){ .used = 0 }; /* the rest is still to come */
	return merged_deliver(q, b, e, nb);
}

/* Whether pages are few decides whether density or speed counts; in between, it stays as it is. */
static __rte_noinline void
density_look(struct ppfrag_rxq *q)
{
	struct ppfrag_rx_slots *s = q->slots;
	unsigned int free_pages;

	s->bursts = 0;
	if (q->dev->preset != PPFRAG_PRESET_AUTO)
		return;
	free_pages = rte_mempool_avail_count(q->mp);
	if (free_pages < q->mp->size / 2)
		s->dense = 1;
	else if (free_pages > q->mp->size / 4 * 3)
		s->dense = 0;
}

uint16_t
ppfrag_rx_burst_slots(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	uint16_t ready, avail, at = 0, nb_rx = 0, nb_done = 0, no_page = 0, n;
	struct slots_place place;
	struct rx_step step;
	uint64_t bytes = 0;

	ready = rx_ready(q);
	if (ready == 0)
		return 0;
	rx_next_burst(q);
	avail = q->avail_idx;
	q->slots->secondary = is_secondary();
	if (unlikely(++q->slots->bursts >= LOOK_BURSTS))
		density_look(q);
	while (at < ready && nb_rx < nb_pkts) {
		n = part_run(q, at, &pkts[nb_rx], RTE_MIN(ready - at, nb_pkts - nb_rx), &bytes);
		at += n;
		nb_rx += n;
		if (likely(n != 0))
			continue;
		place = (struct slots_place){ at, ready, nb_done, &pkts[nb_rx] };
		step = slots_unusual(q, &place);
		if (step.used == 0) {
			no_page = step.no_page;
			break;
		}
		at += step.used;
		nb_done += step.done;
		nb_rx += step.rx;
		bytes += step.bytes;
	}
	if (unlikely((no_page | q->nb_waiting) != 0))
		rx_waiting(q, at, no_page != 0 ? ready - at : 0);
	rx_advance(q, at, nb_done);
	rx_publish(q, avail);
	if (unlikely(nb_done != 0))
		ppfrag_rx_post(q, q->done, nb_done);
	ppfrag_count(&q->stats.packets, nb_rx);
	ppfrag_count(&q->stats.bytes, bytes);
	return nb_rx;
}

/* Set-up */

/* The smallest class with so much room. */
static uint8_t
class_for(const struct ppfrag_rx_slots *s, uint32_t len)
{
	uint8_t i;

	for (i = 0; i < s->nb_classes - 1 && s->room[i] < len; i++)
		;
	return i;
}

static bool
is_copied(const struct ppfrag_rxq *q, uint32_t len, bool dense)
{
	uint32_t room = q->slots->room[q->slots->post];

	if (len <= q->dev->copybreak || room - RTE_MIN(len, room) > WASTE_MAX)
		return true;
	return dense && len < room / 2;
}

static void
table_init(struct ppfrag_rxq *q)
{
	struct ppfrag_rx_slots *s = q->slots;
	uint32_t i, len;
	uint8_t dense;

	for (dense = 0; dense < 2; dense++) {
		for (i = 0; i < TABLE_LEN; i++) {
			len = RTE_MIN(i * LEN_STEP, q->max_len);
			s->copy_to[dense][i] =
					is_copied(q, len, dense != 0) ? class_for(s, len) : s->post;
		}
	}
	s->dense = q->dev->preset == PPFRAG_PRESET_DENSITY;
}

static void
rearm_init(struct ppfrag_rxq *q)
{
	struct rte_mbuf m;

	memset(&m, 0, sizeof(m));
	m.data_off = RTE_PKTMBUF_HEADROOM;
	m.nb_segs = 1;
	m.port = q->dev->port_id;
	rte_mbuf_refcnt_set(&m, 1);
	memcpy(q->slots->rearm, &m.data_off, sizeof(q->slots->rearm));
}

/* The class views up to the one for the longest frame. */
static int
views_init(struct ppfrag_rxq *q)
{
	struct ppool_slot_class c[PPFRAG_CLASSES_MAX];
	struct ppfrag_rx_slots *s = q->slots;
	int i, n = ppool_slot_classes_get(q->mp, c, PPFRAG_CLASSES_MAX);

	for (i = 0; i < n; i++) {
		s->room[i] = c[i].room;
		s->view[i] = ppool_slot_pool(q->mp, c[i].room);
		if (s->view[i] == NULL)
			return -rte_errno;
		s->nb_classes = (uint8_t)(i + 1);
		if (c[i].room >= q->max_len)
			break;
	}
	s->post = (uint8_t)(s->nb_classes - 1);
	return n < 0 ? n : 0;
}

uint32_t
ppfrag_slots_capacity(struct rte_mempool *mp)
{
	struct ppool_slot_class c[PPFRAG_CLASSES_MAX];
	int n = ppool_slot_classes_get(mp, c, PPFRAG_CLASSES_MAX);

	return n <= 0 ? 0 : c[RTE_MIN((unsigned int)n, PPFRAG_CLASSES_MAX) - 1].room;
}

/* Posted slots of another class are given back. */
int
ppfrag_slots_set_frame(struct ppfrag_rxq *q)
{
	int ret;

	ppfrag_slots_release(q, NULL);
	ret = views_init(q);
	if (ret != 0) {
		PPFRAG_LOG(ERR, "%s: cannot receive into slots of pool %s: %s",
				ppfrag_port_name(q->dev), q->mp->name, rte_strerror(-ret));
		return ret;
	}
	q->slots->mbuf_bytes = sizeof(struct rte_mbuf) + rte_pktmbuf_priv_size(q->mp);
	rearm_init(q);
	table_init(q);
	return 0;
}

int
ppfrag_slots_init(struct ppfrag_rxq *q)
{
	q->slots = rte_zmalloc_socket("ppfrag_rx_slots",
			sizeof(*q->slots) + q->nb * sizeof(q->slots->posted[0]),
			RTE_CACHE_LINE_SIZE, q->socket_id);
	return q->slots == NULL ? -ENOMEM : 0;
}

uint32_t
ppfrag_slots_release(struct ppfrag_rxq *q, struct rte_mbuf **to)
{
	uint32_t i, n = 0;

	for (i = 0; q->slots != NULL && i < q->nb; i++) {
		if (q->slots->posted[i] == NULL)
			continue;
		rte_mbuf_refcnt_set(q->slots->posted[i], 1);
		if (to != NULL)
			to[n++] = q->slots->posted[i];
		else
			rte_mempool_put(q->slots->view[q->slots->post], q->slots->posted[i]);
		q->slots->posted[i] = NULL;
	}
	return n;
}
