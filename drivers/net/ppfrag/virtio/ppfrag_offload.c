/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include "../ppfrag_device.h"
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

static const struct offload rx_offloads[] = {
	{ RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM, F(GUEST_CSUM) },
	{ RTE_ETH_RX_OFFLOAD_TCP_LRO,
			F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6) | F(MRG_RXBUF) },
	/* Done here. */
	{ RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_VLAN_STRIP |
					RTE_ETH_RX_OFFLOAD_IPV4_CKSUM,
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
	/* Mergeable buffers may have been declined. */
	const uint64_t rx_features = (pd->offered & ~F(MRG_RXBUF)) | (pd->features & F(MRG_RXBUF));

	info->rx_offload_capa = offloads_of(rx_offloads, RTE_DIM(rx_offloads), rx_features);
	info->max_lro_pkt_size = PPFRAG_MAX_LRO;
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

#define RX_CHECKSUMS RTE_ETH_RX_OFFLOAD_CHECKSUM
#define RX_FROM_HEADER \
	(RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_LRO)

/* Applications that have checksums checked go by packet types without a word. */
static uint32_t
rx_work(const struct ppfrag_dev *pd, uint64_t offloads)
{
	uint32_t work = pd->size_stats ? PPFRAG_RX_WORK_SIZES : 0;

	if ((offloads & RX_FROM_HEADER) != 0)
		work |= PPFRAG_RX_WORK_HEADER;
	if ((offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP) != 0)
		work |= PPFRAG_RX_WORK_STRIP;
	if ((offloads & RTE_ETH_RX_OFFLOAD_IPV4_CKSUM) != 0)
		work |= PPFRAG_RX_WORK_IP;
	if (pd->ptypes_chosen ? pd->ptypes != 0 : (offloads & RX_CHECKSUMS) != 0)
		work |= PPFRAG_RX_WORK_PTYPE;
	return work;
}

uint32_t
ppfrag_rx_work_set(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	const uint64_t offloads = dev->data->dev_conf.rxmode.offloads;
	struct ppfrag_rxq *q;
	uint16_t i;

	if (!pd->ptypes_chosen)
		pd->ptypes = UINT32_MAX;
	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		q = dev->data->rx_queues[i];
		if (q == NULL)
			continue;
		q->offloads = offloads | (q->offloads & RTE_ETH_RX_OFFLOAD_SCATTER);
		__atomic_store_n(&q->work, rx_work(pd, offloads), __ATOMIC_RELAXED);
	}
	return rx_work(pd, offloads);
}

/* A burst function of virtio that does no work cannot be replaced while the port runs. */
static int
rx_work_change(struct rte_eth_dev *dev, const char *what)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const uint64_t offloads = dev->data->dev_conf.rxmode.offloads;

	if (pd->kind == PPFRAG_KIND_VIRTIO && dev->data->dev_started &&
			dev->rx_pkt_burst == ppfrag_rx_burst && rx_work(pd, offloads) != 0) {
		PPFRAG_LOG(ERR, "%s: stop the port to turn on %s", dev->data->name, what);
		return -EBUSY;
	}
	ppfrag_rx_work_set(dev);
	return 0;
}

int
ppfrag_vlan_offload_set(struct rte_eth_dev *dev, int mask)
{
	if ((mask & RTE_ETH_VLAN_STRIP_MASK) == 0)
		return 0;
	return rx_work_change(dev, "stripping of VLAN tags");
}

int
ppfrag_ptypes_set(struct rte_eth_dev *dev, uint32_t mask)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	const uint32_t before = pd->ptypes;
	const bool chosen = pd->ptypes_chosen;
	int ret;

	pd->ptypes = mask;
	pd->ptypes_chosen = true;
	ret = rx_work_change(dev, "packet types");
	if (ret != 0) {
		pd->ptypes = before;
		pd->ptypes_chosen = chosen;
	}
	return ret;
}

const uint32_t *
ppfrag_ptypes(size_t *nb)
{
	static const uint32_t ptypes[] = {
		RTE_PTYPE_L2_ETHER,
		RTE_PTYPE_L2_ETHER_VLAN,
		RTE_PTYPE_L2_ETHER_QINQ,
		RTE_PTYPE_L3_IPV4,
		RTE_PTYPE_L3_IPV4_EXT,
		RTE_PTYPE_L3_IPV6,
		RTE_PTYPE_L3_IPV6_EXT,
		RTE_PTYPE_L4_FRAG,
		RTE_PTYPE_L4_TCP,
		RTE_PTYPE_L4_UDP,
		RTE_PTYPE_L4_SCTP,
		RTE_PTYPE_UNKNOWN,
	};

	*nb = RTE_DIM(ptypes) - 1;
	return ptypes;
}

void
ppfrag_offload_start(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	const uint64_t tx = tx_offloads_used(dev), rx = dev->data->dev_conf.rxmode.offloads;
	const uint32_t work = ppfrag_rx_work_set(dev);

	pd->offload_features = (features_of(tx_offloads, RTE_DIM(tx_offloads), tx) |
					       features_of(rx_offloads, RTE_DIM(rx_offloads), rx)) &
			~pd->features;
	dev->rx_pkt_burst = work != 0 ? ppfrag_rx_burst_offload : ppfrag_rx_burst;
	dev->tx_pkt_burst = tx != 0 ? ppfrag_tx_burst_offload : ppfrag_tx_burst;
	dev->tx_pkt_prepare = tx != 0 ? ppfrag_tx_prepare : NULL;
	/* These look whether there is any work. */
	if (pd->packed_vq) {
		dev->rx_pkt_burst = ppfrag_rx_burst_packed;
		dev->tx_pkt_burst = ppfrag_tx_burst_packed;
	}
	if (pd->size_stats)
		dev->tx_pkt_burst = ppfrag_tx_burst_sizes;
}
