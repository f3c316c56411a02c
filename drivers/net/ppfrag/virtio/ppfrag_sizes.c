/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <rte_ether.h>

#include "ppfrag_offload.h"
#include "virtio.h"

/*
 * Counting packets by size and by kind of address, as net_virtio_user does for all ports. It reads
 * the first line of every packet, which nothing else here does: so it is done only where the device
 * argument size_stats=1 asks for it, and nothing of it is in other burst functions.
 */

/* Packets that are looked at before they are sent: afterwards they may be gone. */
#define SIZES_BURST 64

/* What is counted of a packet. */
struct size_note {
	uint32_t len;
	bool multicast;
	bool broadcast;
};

static inline struct size_note
note_of(const struct rte_mbuf *m)
{
	const struct rte_ether_addr *to = rte_pktmbuf_mtod(m, const struct rte_ether_addr *);

	return (struct size_note){
		.len = m->pkt_len,
		.multicast = rte_is_multicast_ether_addr(to),
		.broadcast = rte_is_broadcast_ether_addr(to),
	};
}

/* The counters from 65 bytes on double their length. */
static inline uint64_t *
counter_of(struct ppfrag_size_stats *s, uint32_t len)
{
	if (len < 64)
		return &s->undersize_packets;
	if (len == 64)
		return &s->size_64_packets;
	if (len > 1518)
		return &s->size_1519_max_packets;
	return &s->size_65_127_packets + (rte_fls_u32(len) - rte_fls_u32(64));
}

static inline void
note_count(struct ppfrag_size_stats *s, const struct size_note *note)
{
	ppfrag_count(counter_of(s, note->len), 1);
	if (unlikely(note->multicast))
		ppfrag_count(note->broadcast ? &s->broadcast_packets : &s->multicast_packets, 1);
}

void
ppfrag_sizes_count(struct ppfrag_size_stats *s, struct rte_mbuf * const *pkts, uint16_t n)
{
	struct size_note note;
	uint16_t i;

	for (i = 0; i < n; i++) {
		note = note_of(pkts[i]);
		note_count(s, &note);
	}
}

uint16_t
ppfrag_sizes_send(struct ppfrag_txq *q, struct rte_mbuf **pkts, uint16_t nb_pkts,
		eth_tx_burst_t burst)
{
	struct size_note note[SIZES_BURST];
	uint16_t i, n, sent, done = 0;

	do {
		n = RTE_MIN(nb_pkts - done, SIZES_BURST);
		for (i = 0; i < n; i++)
			note[i] = note_of(pkts[done + i]);
		sent = burst(q, pkts + done, n);
		for (i = 0; i < sent; i++)
			note_count(&q->stats.sizes, &note[i]);
		done += sent;
	} while (sent == n && done < nb_pkts);
	return done;
}

uint16_t
ppfrag_tx_burst_sizes(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct ppfrag_txq *q = txq;

	return ppfrag_sizes_send(q, pkts, nb_pkts,
			q->dev->packed_vq ? ppfrag_tx_burst_packed : ppfrag_tx_burst_offload);
}
