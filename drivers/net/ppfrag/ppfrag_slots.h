/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPFRAG_SLOTS_H_
#define _PPFRAG_SLOTS_H_

/**
 * @file
 * Receiving into slots, whatever the device is: which packets are copied, into slots of which
 * class, and how the slots for a part of a burst are taken and filled. Rings are the business of
 * the device.
 */

#include <string.h>

#include <rte_memcpy.h>

#include "ppfrag_queue.h"

/* Packets that are dealt with together. */
#define RX_PART 32u
/* Steps of the table, in bytes. */
#define LEN_STEP 64u
#define TABLE_LEN (PPFRAG_MAX_FRAME / LEN_STEP + 2)
/* Bursts between looks at how many pages are free. */
#define LOOK_BURSTS 64u

/* See part_of_class(). */
_Static_assert(PPFRAG_CLASSES_MAX <= 128, "classes in seven bits");

/* What received mbufs have in common. */
struct slot_format {
	uint64_t rearm[2];    /* data_off, refcnt, nb_segs, port; ol_flags */
	uint32_t data_offset; /* of the data from the mbuf on */
	uint32_t post_offset; /* of what is posted */
};

/** Set up by ppfrag_slots_init() and ppfrag_slots_set_frame(). */
struct ppfrag_rx_slots {
	struct slot_format format;
	uint8_t nb_classes;
	uint8_t post;      /* class of what is posted */
	uint8_t dense;     /* 1: the half rule holds; an index of copy_to */
	uint8_t bursts;    /* since the last look at free pages */
	uint16_t in_place; /* first entries of this burst, dealt with in place: without a mark */
	bool secondary;    /* this burst is one of a secondary process */
	bool shared;       /* several processes have driven the queue */
	struct rte_mempool *view[PPFRAG_CLASSES_MAX];
	uint16_t room[PPFRAG_CLASSES_MAX];
	/* By length: the class to copy into, or that of what is posted: then it is handed over. */
	uint8_t copy_to[2][TABLE_LEN];
	struct rte_mbuf *posted[]; /* by descriptor, or by position in the fill ring of AF_XDP */
};

/** A packet: where it is in posted, and its length. */
struct rx_entry {
	uint32_t id;
	uint32_t len;
};

static inline char *
slot_data(const struct ppfrag_rxq *q, const struct rte_mbuf *m)
{
	return (char *)(uintptr_t)m + q->slots->format.data_offset;
}

/* The last slot is not posted: where all are, there is none for a packet that comes. */
static inline struct rte_mbuf *
slot_to_post(const struct ppfrag_rx_slots *s)
{
	struct rte_mbuf *m[2];

	if (rte_mempool_get_bulk(s->view[s->post], (void **)m, 2) != 0)
		return NULL;
	rte_mempool_put(s->view[s->post], m[1]);
	return m[0];
}

/* An mbuf of one segment. Nothing is read of it, as the device may be able to write it, too. */
static inline void
slot_fill(const struct slot_format *f, struct rte_mbuf *m, uint32_t len)
{
	/* packet_type, pkt_len, data_len, vlan_tci, hash.rss */
	const uint64_t lengths[2] = { (uint64_t)len << 32, (uint16_t)len };

	memcpy(&m->data_off, f->rearm, sizeof(f->rearm));
	memcpy(&m->packet_type, lengths, sizeof(lengths));
}

/* A part of a burst. */
struct part {
	unsigned int n;
	bool in_place;              /* the available ring has these descriptors there already */
	struct rx_entry e[RX_PART]; /* lengths without the virtio header */
	uint8_t size_class[RX_PART] __rte_aligned(8);
	struct rte_mbuf *m[RX_PART]; /* slots, class by class */
};

static inline uint8_t
class_to(const struct ppfrag_rx_slots *s, uint32_t len)
{
	return s->copy_to[s->dense][(len + LEN_STEP - 1) / LEN_STEP];
}

/*
 * The packets that are of a class, as bits. Eight at a time: a byte whose highest bit stays clear
 * when 127 is added is zero, and the product gathers these bits in its highest byte.
 */
static inline uint32_t
part_of_class(const struct part *p, uint8_t size_class)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	uint32_t bits = 0;
	unsigned int i;
	uint64_t x;

	for (i = 0; i < RX_PART; i += 8) {
		memcpy(&x, &p->size_class[i], sizeof(x));
		x = (rte_le_to_cpu_64(x) ^ size_class * ones) + 127 * ones;
		x = (~x >> 7) & ones;
		bits |= (uint32_t)(x * UINT64_C(0x0102040810204080) >> 56) << i;
	}
	return bits;
}

/* Packets of one class and their slots. */
struct group {
	uint32_t bits;
	uint8_t size_class;
	uint8_t first; /* of the slots of the part */
};

/*
 * A slot for each packet: to copy into, or for its descriptor. All or none. Returns the number of
 * groups.
 */
static inline unsigned int
part_slots_get(struct ppfrag_rxq *q, struct part *p, struct group *g)
{
	const struct ppfrag_rx_slots *s = q->slots;
	uint32_t left = UINT32_MAX >> (RX_PART - p->n);
	unsigned int nb = 0, got = 0, n;

	for (; left != 0; left &= ~g[nb++].bits) {
		g[nb].size_class = p->size_class[rte_bsf32(left)];
		g[nb].bits = part_of_class(p, g[nb].size_class) & left;
		g[nb].first = (uint8_t)got;
		n = (unsigned int)__builtin_popcount(g[nb].bits);
		if (unlikely(rte_mempool_get_bulk(s->view[g[nb].size_class], (void **)&p->m[got],
					     n) != 0)) {
			rte_pktmbuf_free_bulk(p->m, got);
			return 0;
		}
		got += n;
	}
	return nb;
}

/*
 * Whole lines of LEN_STEP: the class that a packet is copied into has room for them, see
 * table_init(), and the class of what is posted is larger.
 */
static inline void
packet_copy(const struct slot_format *f, struct rte_mbuf *to, const struct rte_mbuf *from,
		uint32_t len)
{
	const uint8_t *src = (const uint8_t *)from + f->data_offset;
	uint8_t *dst = (uint8_t *)to + f->data_offset;

	slot_fill(f, to, len);
	rte_mov64(dst, src);
	while (unlikely(len > LEN_STEP)) {
		len -= LEN_STEP;
		src += LEN_STEP;
		dst += LEN_STEP;
		rte_mov64(dst, src);
	}
}

/* Works on copies, as the compiler cannot know that no store changes what it reads. */
static inline void
group_copy(const struct ppfrag_rxq *q, const struct part *p, const struct group *g,
		struct rte_mbuf **pkts)
{
	const struct slot_format f = q->slots->format;
	struct rte_mbuf * const *posted = q->slots->posted;
	struct rte_mbuf * const *m = &p->m[g->first];
	uint32_t left, i;

	for (left = g->bits; left != 0; left &= left - 1) {
		i = rte_bsf32(left);
		packet_copy(&f, *m, posted[p->e[i].id], p->e[i].len);
		pkts[i] = *m++;
	}
}

/* ppfrag_slots.c */

/** Look whether pages are few, which decides between density and speed; now and then. */
void ppfrag_slots_look(struct ppfrag_rxq *q);

#endif /* _PPFRAG_SLOTS_H_ */
