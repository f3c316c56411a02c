/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include "ppfrag_offload.h"
#include "virtio_hdr.h"

/* Which offloads there are, and which features they need. Nothing here is called per packet. */

/* An offload is there where the back end offers all features that it takes. */
struct offload {
	uint64_t flags;
	uint64_t features;
};

#define F(name) RTE_BIT64(VIRTIO_NET_F_##name)

static const struct offload tx_offloads[] = {
	{ RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM, F(CSUM) },
	{ RTE_ETH_TX_OFFLOAD_TCP_TSO, F(CSUM) | F(HOST_TSO4) | F(HOST_TSO6) },
	{ RTE_ETH_TX_OFFLOAD_UDP_TSO, F(CSUM) | F(HOST_USO) },
	/* Done here. */
	{ RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_VLAN_INSERT |
					RTE_ETH_TX_OFFLOAD_IPV4_CKSUM,
			0 },
};

static uint64_t
offloads_of(const struct offload *list, unsigned int n, uint64_t features)
{
	uint64_t flags = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		if ((features & list[i].features) == list[i].features)
			flags |= list[i].flags;
	return flags;
}

static uint64_t
features_of(const struct offload *list, unsigned int n, uint64_t flags)
{
	uint64_t features = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		if ((flags & list[i].flags) != 0)
			features |= list[i].features;
	return features;
}

void
ppfrag_offload_info(const struct ppfrag_dev *pd, struct rte_eth_dev_info *info)
{
	info->rx_offload_capa = RTE_ETH_RX_OFFLOAD_SCATTER;
	info->rx_queue_offload_capa = RTE_ETH_RX_OFFLOAD_SCATTER;
	info->tx_offload_capa = offloads_of(tx_offloads, RTE_DIM(tx_offloads), pd->offered);
	info->tx_queue_offload_capa = info->tx_offload_capa;
}

/* The transmit offloads of all queues. Those that take no work make no difference. */
static uint64_t
tx_offloads_used(const struct rte_eth_dev *dev)
{
	const struct ppfrag_txq *q;
	uint64_t flags = 0;
	uint16_t i;

	for (i = 0; i < dev->data->nb_tx_queues; i++) {
		q = dev->data->tx_queues[i];
		flags |= q->offloads;
	}
	return flags & ~RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
}

void
ppfrag_offload_start(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	const uint64_t tx = tx_offloads_used(dev);

	pd->offload_features = features_of(tx_offloads, RTE_DIM(tx_offloads), tx);
	dev->tx_pkt_burst = tx != 0 ? ppfrag_tx_burst_offload : ppfrag_tx_burst;
	dev->tx_pkt_prepare = tx != 0 ? ppfrag_tx_prepare : NULL;
}
