/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bus_pci_driver.h>
#include <rte_cycles.h>
#include <rte_eal_memconfig.h>

#include "../ppfrag_device.h"
#include "../ppfrag_pci.h"
#include "ppfrag_offload.h"
#include "virtio.h"
#include "virtio_dma.h"
#include "virtio_pci.h"

/*
 * A port that is a virtio device on the PCI bus. It is there as long as the port, and a reset makes
 * it forget everything: features are agreed on and rings handed over at each start, by the thread
 * that asks for it. There is no control thread, no quarantine.
 */

/* How long a device may take to send what is in the ring of a queue that is stopped, in ms. */
#define TX_SEND_MS 10

static struct virtio_pci *
pci_of(const struct rte_eth_dev *dev)
{
	const struct ppfrag_local *local = dev->process_private;

	return local->pci;
}

static bool
has_feature(const struct rte_eth_dev *dev, unsigned int bit)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;

	return (pd->features & RTE_BIT64(bit)) != 0;
}

/* Agreements */

/* Taken where they are offered; what comes by the control queue, only with that. */
static uint64_t
features_wanted(const struct ppfrag_dev *pd, uint64_t offered)
{
	const uint64_t control = RTE_BIT64(VIRTIO_NET_F_CTRL_VQ) | RTE_BIT64(VIRTIO_NET_F_CTRL_RX) |
			RTE_BIT64(VIRTIO_NET_F_CTRL_MAC_ADDR) | RTE_BIT64(VIRTIO_NET_F_MQ);
	uint64_t wanted = RTE_BIT64(VIRTIO_F_VERSION_1) | RTE_BIT64(VIRTIO_F_ACCESS_PLATFORM) |
			RTE_BIT64(VIRTIO_F_ORDER_PLATFORM) | RTE_BIT64(VIRTIO_NET_F_MTU) |
			RTE_BIT64(VIRTIO_NET_F_MAC) | RTE_BIT64(VIRTIO_NET_F_STATUS) |
			RTE_BIT64(VIRTIO_NET_F_SPEED_DUPLEX);

	if ((offered & RTE_BIT64(VIRTIO_NET_F_CTRL_VQ)) != 0)
		wanted |= control;
	if (pd->mrg_rxbuf)
		wanted |= RTE_BIT64(VIRTIO_NET_F_MRG_RXBUF);
	return wanted & offered;
}

static int
features_check(const struct virtio_pci *pci)
{
	if ((pci->offered & RTE_BIT64(VIRTIO_F_VERSION_1)) == 0) {
		PPFRAG_LOG(ERR, "%s: the device does not offer virtio 1.0: leave out ppfrag=1, and net_virtio takes it",
				pci->name);
		return -ENOTSUP;
	}
	if (rte_eal_iova_mode() == RTE_IOVA_VA &&
			(pci->offered & RTE_BIT64(VIRTIO_F_ACCESS_PLATFORM)) == 0) {
		PPFRAG_LOG(ERR, "%s: the device goes around the IOMMU, but IOVAs are virtual addresses: with QEMU, add iommu_platform=on to the device, or use --iova-mode=pa",
				pci->name);
		return -ENOTSUP;
	}
	return 0;
}

/* The most descriptors that all rings of a port can have, a power of two. */
static uint16_t
ring_size_max(struct virtio_pci *pci, uint16_t nb_pairs)
{
	uint16_t i, least = PPFRAG_MAX_DESC;

	for (i = 0; i < 2 * nb_pairs; i++)
		least = RTE_MIN(least, virtio_pci_ring_size(pci, i));
	return least == 0 ? 0 : (uint16_t)rte_align32prevpow2(least);
}

/* Devices have the queues of further pairs when there are to be such. */
static int
ring_size_choose(struct virtio_pci *pci, struct ppfrag_dev *pd)
{
	uint16_t most = 0;
	int ret;

	ret = virtio_pci_agree(pci, pd->features);
	if (ret == 0)
		most = ring_size_max(pci, pd->max_pairs);
	if (ret == 0)
		ret = virtio_pci_reset(pci);
	if (ret != 0)
		return ret;
	if (most < PPFRAG_MIN_DESC) {
		PPFRAG_LOG(ERR, "%s: the device has no %u pairs of queues", pci->name,
				pd->max_pairs);
		return -ENODEV;
	}
	if (pd->queue_size > most)
		PPFRAG_LOG(NOTICE,
				"%s: queue_size=%u, but the device has rings of %u: with QEMU, rx_queue_size and tx_queue_size tell",
				pci->name, pd->queue_size, most);
	pd->queue_size = pd->queue_size == 0 ? most : RTE_MIN(pd->queue_size, most);
	return 0;
}

int
pci_device_agree(struct virtio_pci *pci, struct ppfrag_dev *pd)
{
	struct virtio_pci_config config;
	int ret = features_check(pci);

	if (ret != 0)
		return ret;
	pd->offered = pci->offered;
	pd->features = features_wanted(pd, pci->offered);
	virtio_pci_config_read(pci, pd->features, &config);
	pd->max_pairs = RTE_MIN(config.max_pairs, PPFRAG_MAX_PAIRS);
	if (rte_is_valid_assigned_ether_addr(&config.mac))
		pd->mac[0] = config.mac;
	if (config.mtu != 0)
		pd->max_mtu = RTE_MIN(pd->max_mtu, config.mtu);
	if (pd->speed == RTE_ETH_SPEED_NUM_UNKNOWN)
		pd->speed = config.speed;
	return ring_size_choose(pci, pd);
}

/* Memory that the device can reach: all that EAL knows. */

static bool
region_extend(struct ppfrag_dev *pd, uintptr_t addr, size_t len)
{
	uint16_t i;

	for (i = 0; i < pd->nb_shared; i++) {
		if (addr >= pd->shared[i].addr && addr - pd->shared[i].addr < pd->shared[i].len)
			return true;
		if (pd->shared[i].addr + pd->shared[i].len == addr) {
			pd->shared[i].len += len;
			return true;
		}
		if (addr + len == pd->shared[i].addr) {
			pd->shared[i].addr = addr;
			pd->shared[i].len += len;
			return true;
		}
	}
	return false;
}

/* A list has addresses for memory to come, too. What finds no place is copied when it is sent. */
static int
region_add(const struct rte_memseg_list *msl, void *arg)
{
	struct ppfrag_dev *pd = arg;

	if (msl->base_va == NULL || region_extend(pd, (uintptr_t)msl->base_va, msl->len) ||
			pd->nb_shared == PPFRAG_MAX_REGIONS)
		return 0;
	pd->shared[pd->nb_shared].addr = (uintptr_t)msl->base_va;
	pd->shared[pd->nb_shared++].len = msl->len;
	return 0;
}

/* Lists with memory come first. */
static int
region_add_used(const struct rte_memseg_list *msl, void *arg)
{
	return msl->memseg_arr.count == 0 ? 0 : region_add(msl, arg);
}

static void
regions_find(struct ppfrag_dev *pd)
{
	pd->nb_shared = 0;
	rte_memseg_list_walk(region_add_used, pd);
	rte_memseg_list_walk(region_add, pd);
}

/* Link */

static int
link_update(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct rte_eth_link link = {
		.link_speed = RTE_ETH_SPEED_NUM_NONE,
		.link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
		.link_autoneg = RTE_ETH_LINK_FIXED,
	};
	struct virtio_pci_config config = { .link_up = false };

	if (pd->link_up)
		virtio_pci_config_read(pci_of(dev), pd->features, &config);
	if (config.link_up) {
		link.link_status = RTE_ETH_LINK_UP;
		link.link_speed = pd->speed;
	}
	return rte_eth_linkstatus_set(dev, &link);
}

/* Queues leave their rings alone, or go on. */
static int
set_link(struct rte_eth_dev *dev, bool up)
{
	struct ppfrag_dev *pd = dev->data->dev_private;

	if (!dev->data->dev_started)
		return up ? -EINVAL : 0;
	__atomic_store_n(&pd->link_up, up, __ATOMIC_RELEASE);
	link_update(dev);
	return 0;
}

/* Addresses */

/* Addresses of one kind, as the device takes them. */
struct mac_list {
	rte_le32_t nb;
	struct rte_ether_addr mac[];
};

_Static_assert(offsetof(struct mac_list, mac) == sizeof(rte_le32_t), "as devices read it");

/* Add one more, if it is any. */
static void
mac_list_add(struct mac_list *list, const struct rte_ether_addr *mac)
{
	const uint32_t nb = rte_le_to_cpu_32(list->nb);

	if (mac == NULL || rte_is_zero_ether_addr(mac))
		return;
	list->mac[nb] = *mac;
	list->nb = rte_cpu_to_le_32(nb + 1);
}

static size_t
mac_list_bytes(const struct mac_list *list)
{
	return sizeof(*list) + rte_le_to_cpu_32(list->nb) * sizeof(list->mac[0]);
}

/* The device knows the first one, which is that of the port. */
static int
macs_tell(struct rte_eth_dev *dev, uint32_t index, const struct rte_ether_addr *mac)
{
	uint8_t table[2 * sizeof(struct mac_list) +
			(PPFRAG_MAX_MACS + VIRTIO_PCI_MULTICAST_MAX) * sizeof(*mac)] = { 0 };
	struct mac_list *list = (struct mac_list *)table;
	const struct virtio_pci *pci = pci_of(dev);
	size_t len;
	uint32_t i;

	if (!has_feature(dev, VIRTIO_NET_F_CTRL_RX) || !pci->runs)
		return 0;
	for (i = 1; i < PPFRAG_MAX_MACS; i++)
		mac_list_add(list, i == index ? mac : &dev->data->mac_addrs[i]);
	len = mac_list_bytes(list);
	list = (struct mac_list *)&table[len];
	for (i = 0; i < pci->nb_multicast; i++)
		mac_list_add(list, &pci->multicast[i]);
	len += mac_list_bytes(list);
	return virtio_control(pci_of(dev), VIRTIO_CTRL_MAC, VIRTIO_CTRL_MAC_TABLE_SET, table,
			(uint32_t)len);
}

/* Start and stop */

/* Offer what is posted in the image of a ring, if a queue receives by it. */
static void
rxq_give(const struct rte_eth_dev *dev, uint16_t vring)
{
	struct ppfrag_rxq *q;

	if (vring % 2 != 0 || vring / 2 >= dev->data->nb_rx_queues)
		return;
	q = dev->data->rx_queues[vring / 2];
	virtq_dma_give(q->packed.dma, &q->vq, q->avail_idx);
}

static int
rings_start(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct virtio_pci *pci = pci_of(dev);
	struct virtq vq;
	uint16_t i;
	int ret = 0;

	for (i = 0; i < 2 * pd->nb_pairs && ret == 0; i++) {
		ppfrag_vring_get(dev, i, &vq);
		rxq_give(dev, i);
		ret = virtio_pci_ring_start(pci, i, &vq, pd->arena, &pci->bell[i]);
	}
	return ret;
}

/* Behind all pairs that the device has, whether they are used or not. */
static int
control_start(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct virtio_pci_config config;

	if (!has_feature(dev, VIRTIO_NET_F_CTRL_VQ))
		return 0;
	virtio_pci_config_read(pci_of(dev), pd->features, &config);
	return virtio_control_start(pci_of(dev), 2 * config.max_pairs);
}

static int
pairs_set(const struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const rte_le16_t nb = rte_cpu_to_le_16(pd->nb_pairs);

	if (!has_feature(dev, VIRTIO_NET_F_MQ))
		return 0;
	return virtio_control(pci_of(dev), VIRTIO_CTRL_MQ, VIRTIO_CTRL_MQ_PAIRS_SET, &nb,
			sizeof(nb));
}

static int
registers_start(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct virtio_pci *pci = pci_of(dev);
	int ret;

	ret = virtio_pci_reset(pci);
	if (ret == 0)
		ret = virtio_pci_agree(pci, pd->features | pd->offload_features);
	if (ret == 0)
		ret = rings_start(dev);
	if (ret == 0)
		ret = control_start(dev);
	if (ret != 0)
		return ret;
	virtio_pci_run(pci);
	ret = pairs_set(dev);
	if (ret == 0 && pci->nb_multicast != 0)
		ret = macs_tell(dev, 0, NULL);
	return ret;
}

/* Reset, it has let go of all memory. */
static void
device_stop(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;

	__atomic_store_n(&pd->link_up, 0, __ATOMIC_RELEASE);
	virtio_pci_reset(pci_of(dev));
	ppfrag_queues_stop(dev);
	link_update(dev);
}

static int
device_start(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	int ret;

	ret = ppfrag_queues_start(dev);
	if (ret != 0)
		return ret;
	ppfrag_offload_start(dev);
	dev->rx_pkt_burst = ppfrag_rx_burst_dma;
	dev->tx_pkt_burst = pd->size_stats ? ppfrag_tx_burst_dma_sizes : ppfrag_tx_burst_dma;
	regions_find(pd);
	ret = registers_start(dev);
	if (ret != 0) {
		device_stop(dev);
		return ret;
	}
	__atomic_store_n(&pd->link_up, 1, __ATOMIC_RELEASE);
	link_update(dev);
	return 0;
}

/* Give the device some time to send what is in a ring, and free that. */
static void
txq_settle(struct ppfrag_txq *q)
{
	unsigned int ms;

	for (ms = 0; ms < TX_SEND_MS; ms++) {
		virtq_dma_take(q->packed.dma, &q->vq);
		ppfrag_tx_reclaim(q, 0);
		if (q->nb_inflight == 0)
			break;
		rte_delay_us_sleep(1000);
	}
}

static void
rxq_restart(struct rte_eth_dev *dev, uint16_t queue_id)
{
	struct ppfrag_rxq *q = dev->data->rx_queues[queue_id];

	virtq_dma_take(q->packed.dma, &q->vq);
	ppfrag_vring_start(dev, ppfrag_rx_vring(queue_id), true);
	rxq_give(dev, ppfrag_rx_vring(queue_id));
	ppfrag_rx_kick(q);
}

/*
 * The device goes on with the ring of a queue that is stopped: buffers that it fills are posted
 * again when the queue is started, packets that it has not sent by then are sent.
 */
static int
queue_run(struct rte_eth_dev *dev, bool rx, uint16_t queue_id, bool run)
{
	if (run && rx) {
		rxq_restart(dev, queue_id);
	} else if (run) {
		ppfrag_vring_start(dev, ppfrag_tx_vring(queue_id), true);
	} else if (rx) {
		ppfrag_vring_set_stopped(dev, ppfrag_rx_vring(queue_id), true);
	} else {
		ppfrag_vring_set_stopped(dev, ppfrag_tx_vring(queue_id), true);
		txq_settle(dev->data->tx_queues[queue_id]);
	}
	return 0;
}

static int
device_reset(struct rte_eth_dev *dev)
{
	return virtio_pci_reset(pci_of(dev));
}

static int
rxq_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc, unsigned int socket_id,
		const struct rte_eth_rxconf *conf, struct rte_mempool *mp)
{
	if ((mp->flags & RTE_MEMPOOL_F_NON_IO) != 0) {
		PPFRAG_LOG(ERR, "%s: pool %s is in memory without IOVAs, which no device can reach: use ppool_create(), or memory of EAL",
				dev->data->name, mp->name);
		return -EINVAL;
	}
	return virtio_rxq_setup(dev, queue_id, nb_desc, socket_id, conf, mp);
}

static int
rx_intr_none(struct rte_eth_dev *dev, uint16_t queue_id)
{
	RTE_SET_USED(dev);
	RTE_SET_USED(queue_id);
	return -ENOTSUP;
}

/* What the device filters. While it is reset it is told nothing: ethdev says it at each start. */

static int
rx_mode_set(struct rte_eth_dev *dev, uint8_t mode, bool on)
{
	const uint8_t value = on;

	if (!has_feature(dev, VIRTIO_NET_F_CTRL_RX))
		return on ? 0 : -ENOTSUP;
	if (!pci_of(dev)->runs)
		return 0;
	return virtio_control(pci_of(dev), VIRTIO_CTRL_RX, mode, &value, sizeof(value));
}

static int
promiscuous_set(struct rte_eth_dev *dev, bool on)
{
	return rx_mode_set(dev, VIRTIO_CTRL_RX_PROMISC, on);
}

static int
allmulticast_set(struct rte_eth_dev *dev, bool on)
{
	return rx_mode_set(dev, VIRTIO_CTRL_RX_ALLMULTI, on);
}

static int
mac_set(struct rte_eth_dev *dev, const struct rte_ether_addr *mac)
{
	if (!has_feature(dev, VIRTIO_NET_F_CTRL_MAC_ADDR))
		return rte_is_same_ether_addr(mac, dev->data->mac_addrs) ? 0 : -ENOTSUP;
	if (!pci_of(dev)->runs)
		return 0;
	return virtio_control(pci_of(dev), VIRTIO_CTRL_MAC, VIRTIO_CTRL_MAC_ADDR_SET, mac,
			sizeof(*mac));
}

/* ethdev does not keep these, and does not say them again. */
static int
multicast_set(struct rte_eth_dev *dev, const struct rte_ether_addr *macs, uint32_t nb)
{
	struct virtio_pci *pci = pci_of(dev);

	if (nb > VIRTIO_PCI_MULTICAST_MAX) {
		PPFRAG_LOG(ERR, "%s: %u multicast addresses, at most %u are possible: switch on allmulticast mode",
				dev->data->name, nb, VIRTIO_PCI_MULTICAST_MAX);
		return -ENOSPC;
	}
	if (nb != 0)
		memcpy(pci->multicast, macs, nb * sizeof(*macs));
	pci->nb_multicast = nb;
	return macs_tell(dev, 0, NULL);
}

/* The port */

static int
device_init(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = calloc(1, sizeof(*local));
	int ret = virtq_dma_watch();

	if (local == NULL || ret != 0) {
		free(local);
		return local == NULL ? -ENOMEM : ret;
	}
	local->pci = dev->process_private;
	local->control.ready_fd = -1;
	local->vu.fd = -1;
	local->vu.name = dev->data->name;
	pthread_mutex_init(&local->lock, NULL);
	dev->process_private = local;
	return 0;
}

static void
device_close(struct rte_eth_dev *dev)
{
	virtio_pci_reset(pci_of(dev));
}

static void
device_fini(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = dev->process_private;

	rte_memzone_free(pd->arena);
	virtio_pci_close(local->pci);
	free(local->pci);
	pthread_mutex_destroy(&local->lock);
	free(local);
	dev->process_private = NULL;
}

/* There is nothing that others may still use. */
static void
device_settle(struct rte_eth_dev *dev)
{
	RTE_SET_USED(dev);
}

static void
set_burst(struct rte_eth_dev *dev)
{
	dev->rx_pkt_burst = ppfrag_rx_burst_dma;
	dev->tx_pkt_burst = ppfrag_tx_burst_dma;
	dev->rx_queue_count = ppfrag_rx_queue_count_dma;
	dev->rx_descriptor_status = ppfrag_rx_descriptor_status_dma;
	dev->tx_descriptor_status = ppfrag_tx_descriptor_status_dma;
}

const struct ppfrag_device_ops pci_device_ops = {
	.name = "virtio-pci",
	.init = device_init,
	.close = device_close,
	.fini = device_fini,
	.configure = ppfrag_arena_init,
	.start = device_start,
	.stop = device_stop,
	.settle = device_settle,
	.set_link = set_link,
	.queue_run = queue_run,
	.reset = device_reset,
	.rxq_setup = rxq_setup,
	.txq_setup = virtio_txq_setup,
	.rx_intr_enable = rx_intr_none,
	.rx_intr_disable = rx_intr_none,
	.set_burst = set_burst,
	.rx_burst_mode_get = ppfrag_rx_burst_mode_get,
	.tx_burst_mode_get = ppfrag_tx_burst_mode_get,
	.tx_done_cleanup = ppfrag_tx_done_cleanup_dma,
	.link_update = link_update,
	.promiscuous = promiscuous_set,
	.allmulticast = allmulticast_set,
	.set_mac = mac_set,
	.set_macs = macs_tell,
	.set_multicast = multicast_set,
};
