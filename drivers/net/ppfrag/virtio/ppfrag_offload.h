/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPFRAG_OFFLOAD_H_
#define _PPFRAG_OFFLOAD_H_

/**
 * @file
 * Offloads: what the back end is asked to do, or is done here in its place.
 *
 * Capabilities are what the back end offers. When the port starts, the back end is told of the
 * features that the application has configured, and no others; while it runs, none change. Burst
 * functions that know of offloads are chosen then, where a queue has any.
 */

#include "virtio.h"

/** The longest start of a packet that is rewritten: link and IP header of the longest fields. */
#define PPFRAG_HEAD_MAX (RTE_VLAN_HLEN + 127u + 60u)

/** What stands in front of a packet with offloads. */
struct ppfrag_tx_head {
	uint16_t len;  /**< bytes that are in use */
	uint16_t skip; /**< bytes at the start of the packet that are replaced */
	union {
		struct virtio_hdr hdr;
		uint8_t bytes[VIRTIO_HDR_LEN + PPFRAG_HEAD_MAX];
	};
};

/* ppfrag_offload.c */

/** Fill in the capabilities. */
void ppfrag_offload_info(const struct ppfrag_dev *pd, struct rte_eth_dev_info *info);

/** Have all receive queues do what is wanted now. @return PPFRAG_RX_WORK_... of all of them. */
uint32_t ppfrag_rx_work_set(struct rte_eth_dev *dev);

/** Agree on features for the offloads of all queues, and choose burst functions. */
void ppfrag_offload_start(struct rte_eth_dev *dev);

/** Packet types that are told, ended by RTE_PTYPE_UNKNOWN. @param nb without that */
const uint32_t *ppfrag_ptypes(size_t *nb);

/** Ethdev operations. Without offloads, they are for a stopped port. */
int ppfrag_ptypes_set(struct rte_eth_dev *dev, uint32_t mask);
int ppfrag_vlan_offload_set(struct rte_eth_dev *dev, int mask);

/* ppfrag_rx_offload.c */

/** What there is to do with received packets. */
#define PPFRAG_RX_WORK_HEADER 0x1u /**< look at the virtio header */
#define PPFRAG_RX_WORK_STRIP 0x2u  /**< take out a VLAN tag */
#define PPFRAG_RX_WORK_IP 0x4u     /**< check the checksum of an IPv4 header */
#define PPFRAG_RX_WORK_PTYPE 0x8u  /**< tell the type */

#define PPFRAG_RX_WORK_SIZES 0x10u /**< count sizes and kinds of addresses */

/** Do this with packets, with virtio headers in front if these are to be looked at. */
void ppfrag_rx_offload(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t n, uint32_t work);

/* ppfrag_tx_offload.c */

/** Note the offloads of a queue that is set up. */
void ppfrag_tx_offload_init(struct ppfrag_txq *q, uint64_t offloads);

/**
 * What a packet with offload flags has in front.
 *
 * @return false where it asks for what was not configured, or its lengths make no sense.
 */
bool ppfrag_tx_head(const struct ppfrag_txq *q, const struct rte_mbuf *m,
		struct ppfrag_tx_head *head);

/** What rte_eth_tx_prepare() does. */
uint16_t ppfrag_tx_prepare(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/* ppfrag_sizes.c */

/** Count packets by size, and those to many. */
void ppfrag_sizes_count(struct ppfrag_size_stats *s, struct rte_mbuf * const *pkts, uint16_t n);

/** Send by a burst function, and count what was sent. */
uint16_t ppfrag_sizes_send(struct ppfrag_txq *q, struct rte_mbuf **pkts, uint16_t nb_pkts,
		eth_tx_burst_t burst);

#endif /* _PPFRAG_OFFLOAD_H_ */
