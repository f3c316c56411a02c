/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _XSK_RX_H_
#define _XSK_RX_H_

/**
 * @file
 * What both ways to receive share: reading and checking what the kernel says it has written.
 */

#include "xsk.h"

/** A packet, which may take several chunks. */
struct xsk_packet {
	uint32_t nb_desc;
	uint32_t nb; /**< of these, what was posted; they are first in the FIFO */
	uint32_t len;
	bool sane;
	uint16_t seg_len[XSK_MAX_CHUNKS];
};

/** What became of it. */
struct xsk_step {
	bool done;
	bool no_page; /**< it waits for pages */
	struct rte_mbuf *m;
};

/** Deliver the packet of a step where there is one. Returns false where it stays in the ring. */
static inline bool
xsk_step_take(struct xsk_step step, struct rte_mbuf **pkts, uint16_t *nb_rx, uint64_t *bytes)
{
	if (step.m != NULL) {
		*bytes += step.m->pkt_len;
		pkts[(*nb_rx)++] = step.m;
	}
	return step.done;
}

/** Where the kernel says that a packet is. */
static inline uint64_t
desc_offset(const struct xdp_desc *d)
{
	return (d->addr & XSK_UNALIGNED_BUF_ADDR_MASK) +
			(d->addr >> XSK_UNALIGNED_BUF_OFFSET_SHIFT);
}

/**
 * Whether a descriptor is a packet of its own, of a length that can be. As packet_descs() has it:
 * with lanes, what is a packet there and none here would be looked at for ever.
 */
static inline bool
desc_is_packet(const struct xsk_rxq *x, const struct xdp_desc *d)
{
	return (d->options & XDP_PKT_CONTD) == 0 &&
			d->len - RTE_ETHER_HDR_LEN <= x->frame - RTE_ETHER_HDR_LEN;
}

static inline uint32_t
nb_posted(const struct xsk_rxq *x)
{
	return x->fill.pos - x->tail;
}

/** Descriptors of the next packet; 0 where the rest is still to come. */
static inline uint32_t
packet_descs(const struct xsk_rxq *x, uint32_t ready)
{
	uint32_t n;

	for (n = 0; n < ready; n++)
		if ((xsk_ring_desc(&x->rx, x->rx.pos + n)->options & XDP_PKT_CONTD) == 0)
			return n + 1;
	return 0;
}

/**
 * Read a packet. All that the kernel returned is checked against what was posted.
 *
 * @param find
 *   Makes what lies at an offset the one that comes next at a position of the FIFO; false where it
 *   was not posted.
 */
static __rte_always_inline void
packet_read(struct xsk_rxq *x, struct xsk_packet *p,
		bool (*find)(struct xsk_rxq *x, uint32_t pos, uint64_t offset))
{
	const struct xdp_desc *d;
	uint32_t i, len;
	bool found;

	for (i = 0; i < p->nb_desc; i++) {
		d = xsk_ring_desc(&x->rx, x->rx.pos + i);
		len = d->len;
		found = find(x, x->tail + p->nb, desc_offset(d));
		if (!found || len - 1 >= x->frame) {
			p->sane = false;
			ppfrag_count(&x->q.stats.fifo_miss, 1);
			len = 0;
		}
		if (!found)
			continue;
		if (p->nb < XSK_MAX_CHUNKS)
			p->seg_len[p->nb] = (uint16_t)len;
		p->nb++;
		p->len += len;
	}
	if (p->nb > XSK_MAX_CHUNKS)
		p->sane = false;
}

/* xsk_rx.c */

/** Packets to look at. The kernel cannot return more than it has; what is beyond that can wait. */
static inline uint32_t
xsk_rx_ready(struct xsk_rxq *x)
{
	uint32_t ready = xsk_ring_ready(&x->rx);

	return RTE_MIN(ready, nb_posted(x));
}

/** A poll that finds nothing: the kernel may want to be asked. */
void xsk_rx_idle(struct xsk_rxq *x);

/** End a burst of packets, and of so many descriptors; others wait for pages. */
void xsk_rx_end(struct xsk_rxq *x, struct rte_mbuf **pkts, uint16_t nb_rx, uint64_t bytes,
		uint32_t consumed, uint32_t waiting);

/* xsk_rx_copy.c: as those of xsk.h, where the queue has a umem of its own */

void xsk_copy_post_all(struct xsk_rxq *x);
void xsk_copy_discard(struct xsk_rxq *x);

/* xsk_rx_lanes.c: as those of xsk.h, where the queue has lanes */

void xsk_lanes_post_all(struct xsk_rxq *x);
void xsk_lanes_discard(struct xsk_rxq *x);

#endif /* _XSK_RX_H_ */
