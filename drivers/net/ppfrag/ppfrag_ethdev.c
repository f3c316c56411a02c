/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>

#include "ppfrag_device.h"
#include "ppfrag_queue.h"
#include "virtio/ppfrag_offload.h"

RTE_LOG_REGISTER_DEFAULT(ppfrag_logtype, INFO);

static int
dev_configure(struct rte_eth_dev *dev)
{
	return ppfrag_device(dev)->configure(dev);
}

/* Programs skip queues that are not marked as started. */
static void
mark_stopped(struct rte_eth_dev *dev)
{
	memset(dev->data->rx_queue_state, RTE_ETH_QUEUE_STATE_STOPPED, dev->data->nb_rx_queues);
	memset(dev->data->tx_queue_state, RTE_ETH_QUEUE_STATE_STOPPED, dev->data->nb_tx_queues);
}

static uint8_t
state_begin(const struct ppfrag_run *run)
{
	return run->deferred ? RTE_ETH_QUEUE_STATE_STOPPED : RTE_ETH_QUEUE_STATE_STARTED;
}

static void
mark_started(struct rte_eth_dev *dev)
{
	const struct ppfrag_rxq *rxq;
	const struct ppfrag_txq *txq;
	uint16_t i;

	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		rxq = dev->data->rx_queues[i];
		dev->data->rx_queue_state[i] = state_begin(&rxq->run);
	}
	for (i = 0; i < dev->data->nb_tx_queues; i++) {
		txq = dev->data->tx_queues[i];
		dev->data->tx_queue_state[i] = state_begin(&txq->run);
	}
}

/*
 * A transmit function that puts all it has sent into the pool of the first must not be given
 * received packets and objects of the page pool itself in one burst. Only the application knows
 * whether it does that.
 */
static void
warn_fast_free(const struct rte_eth_dev *dev)
{
	struct rte_eth_conf conf;
	uint16_t port;

	RTE_ETH_FOREACH_DEV(port) {
		if (rte_eth_dev_conf_get(port, &conf) != 0 ||
				(conf.txmode.offloads & RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE) == 0)
			continue;
		PPFRAG_LOG(NOTICE,
				"%s: port %u has MBUF_FAST_FREE: do not send on it what is allocated from the pools of %s, but from a ppool_slot_pool() of them, or switch it off (testpmd --tx-offloads=0)",
				dev->data->name, port, dev->data->name);
		return;
	}
}

static int
dev_start(struct rte_eth_dev *dev)
{
	int ret = ppfrag_device(dev)->start(dev);

	if (ret != 0)
		return ret;
	mark_started(dev);
	warn_fast_free(dev);
	return 0;
}

static int
dev_stop(struct rte_eth_dev *dev)
{
	mark_stopped(dev);
	ppfrag_device(dev)->stop(dev);
	return 0;
}

static int
rx_queue_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc, unsigned int socket_id,
		const struct rte_eth_rxconf *conf, struct rte_mempool *mp)
{
	return ppfrag_device(dev)->rxq_setup(dev, queue_id, nb_desc, socket_id, conf, mp);
}

static int
tx_queue_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc, unsigned int socket_id,
		const struct rte_eth_txconf *conf)
{
	return ppfrag_device(dev)->txq_setup(dev, queue_id, nb_desc, socket_id, conf);
}

static void
rx_queue_release(struct rte_eth_dev *dev, uint16_t queue_id)
{
	if (dev->data->rx_queues[queue_id] == NULL)
		return;
	ppfrag_device(dev)->settle(dev);
	ppfrag_rxq_release(dev, queue_id);
}

static void
tx_queue_release(struct rte_eth_dev *dev, uint16_t queue_id)
{
	if (dev->data->tx_queues[queue_id] == NULL)
		return;
	ppfrag_device(dev)->settle(dev);
	ppfrag_txq_release(dev, queue_id);
}

static int
queue_run(struct rte_eth_dev *dev, bool rx, uint16_t queue_id, bool run)
{
	uint8_t *states = rx ? dev->data->rx_queue_state : dev->data->tx_queue_state;
	int ret = ppfrag_device(dev)->queue_run(dev, rx, queue_id, run);

	if (ret == 0)
		states[queue_id] = run ? RTE_ETH_QUEUE_STATE_STARTED : RTE_ETH_QUEUE_STATE_STOPPED;
	return ret;
}

static int
rx_queue_start(struct rte_eth_dev *dev, uint16_t queue_id)
{
	return queue_run(dev, true, queue_id, true);
}

static int
rx_queue_stop(struct rte_eth_dev *dev, uint16_t queue_id)
{
	return queue_run(dev, true, queue_id, false);
}

static int
tx_queue_start(struct rte_eth_dev *dev, uint16_t queue_id)
{
	return queue_run(dev, false, queue_id, true);
}

static int
tx_queue_stop(struct rte_eth_dev *dev, uint16_t queue_id)
{
	return queue_run(dev, false, queue_id, false);
}

/* Only the primary can talk to the back end. */
static int
secondary_queue_run(struct rte_eth_dev *dev, uint16_t queue_id)
{
	PPFRAG_LOG(ERR, "%s: queue %u: queues are started and stopped by the primary process",
			dev->data->name, queue_id);
	return -ENOTSUP;
}

static int
dev_close(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return 0;
	if (dev->data->dev_started)
		dev_stop(dev);
	ppfrag_device(dev)->close(dev);
	for (i = 0; i < dev->data->nb_rx_queues; i++)
		rx_queue_release(dev, i);
	for (i = 0; i < dev->data->nb_tx_queues; i++)
		tx_queue_release(dev, i);
	for (i = 0; i < PPFRAG_MAX_PAIRS; i++)
		rte_memzone_free(pd->bounce_mz[i]);
	ppfrag_device(dev)->fini(dev);
	dev->data->mac_addrs = NULL; /* is part of dev_private, which ethdev frees */
	return 0;
}

static int
dev_infos_get(struct rte_eth_dev *dev, struct rte_eth_dev_info *info)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;

	info->max_rx_queues = pd->max_pairs;
	info->max_tx_queues = pd->max_pairs;
	info->max_mac_addrs = PPFRAG_MAX_MACS;
	info->min_mtu = RTE_ETHER_MIN_MTU;
	info->max_mtu = pd->max_mtu;
	info->max_rx_pktlen = pd->max_mtu + PPFRAG_L2_LEN;
	info->min_rx_bufsize = RTE_ETHER_MIN_LEN;
	ppfrag_offload_info(pd, info);
	info->speed_capa = rte_eth_speed_bitflag(pd->speed, RTE_ETH_LINK_FULL_DUPLEX);
	/* A ring has no more than queue_size descriptors, whatever is asked for. */
	info->rx_desc_lim.nb_max = PPFRAG_MAX_DESC;
	info->rx_desc_lim.nb_min = PPFRAG_MIN_DESC;
	info->rx_desc_lim.nb_align = 1;
	info->rx_desc_lim.nb_seg_max = PPFRAG_MAX_SEGS;
	info->rx_desc_lim.nb_mtu_seg_max = PPFRAG_MAX_SEGS;
	info->tx_desc_lim = info->rx_desc_lim;
	info->default_rxportconf = (struct rte_eth_dev_portconf){
		.burst_size = 32, .ring_size = pd->queue_size, .nb_queues = 1
	};
	info->default_txportconf = info->default_rxportconf;
	if (ppfrag_device(dev)->infos != NULL)
		ppfrag_device(dev)->infos(dev, info);
	return 0;
}

static int
dev_reset(struct rte_eth_dev *dev)
{
	return ppfrag_device(dev)->reset(dev);
}

/* In secondary processes it is as the primary has found it. */
static int
link_update(struct rte_eth_dev *dev, int wait)
{
	const struct ppfrag_device_ops *device = ppfrag_device(dev);

	RTE_SET_USED(wait);
	if (device->link_update == NULL || rte_eal_process_type() != RTE_PROC_PRIMARY)
		return 0;
	return device->link_update(dev);
}

static int
set_link_up(struct rte_eth_dev *dev)
{
	return ppfrag_device(dev)->set_link(dev, true);
}

static int
set_link_down(struct rte_eth_dev *dev)
{
	return ppfrag_device(dev)->set_link(dev, false);
}

/*
 * A back end has no way to be told of modes and addresses, and decides by itself what it sends:
 * there, promiscuous and allmulticast are always on. ethdev keeps the addresses.
 */

static int
mode_always_on(const struct rte_eth_dev *dev, bool on)
{
	if (on)
		return 0;
	PPFRAG_LOG(INFO,
			"%s: promiscuous and allmulticast mode are always on: all that the back end sends is received",
			dev->data->name);
	return -ENOTSUP;
}

static int
promiscuous_set(struct rte_eth_dev *dev, bool on)
{
	const struct ppfrag_device_ops *device = ppfrag_device(dev);

	if (device->promiscuous == NULL)
		return mode_always_on(dev, on);
	return device->promiscuous(dev, on);
}

static int
promiscuous_enable(struct rte_eth_dev *dev)
{
	return promiscuous_set(dev, true);
}

static int
promiscuous_disable(struct rte_eth_dev *dev)
{
	return promiscuous_set(dev, false);
}

static int
allmulticast_set(struct rte_eth_dev *dev, bool on)
{
	const struct ppfrag_device_ops *device = ppfrag_device(dev);

	if (device->allmulticast == NULL)
		return mode_always_on(dev, on);
	return device->allmulticast(dev, on);
}

static int
allmulticast_enable(struct rte_eth_dev *dev)
{
	return allmulticast_set(dev, true);
}

static int
allmulticast_disable(struct rte_eth_dev *dev)
{
	return allmulticast_set(dev, false);
}

static int
mac_addr_set(struct rte_eth_dev *dev, struct rte_ether_addr *addr)
{
	const struct ppfrag_device_ops *device = ppfrag_device(dev);

	return device->set_mac == NULL ? 0 : device->set_mac(dev, addr);
}

static int
mac_addr_add(struct rte_eth_dev *dev, struct rte_ether_addr *addr, uint32_t index, uint32_t pool)
{
	const struct ppfrag_device_ops *device = ppfrag_device(dev);

	RTE_SET_USED(pool);
	return device->set_macs == NULL ? 0 : device->set_macs(dev, index, addr);
}

static void
mac_addr_remove(struct rte_eth_dev *dev, uint32_t index)
{
	const struct ppfrag_device_ops *device = ppfrag_device(dev);

	if (device->set_macs != NULL)
		device->set_macs(dev, index, NULL);
}

static int
set_mc_addr_list(struct rte_eth_dev *dev, struct rte_ether_addr *addrs, uint32_t nb)
{
	const struct ppfrag_device_ops *device = ppfrag_device(dev);

	return device->set_multicast == NULL ? 0 : device->set_multicast(dev, addrs, nb);
}

static int
mtu_set(struct rte_eth_dev *dev, uint16_t mtu)
{
	int ret;

	if (dev->data->dev_started) {
		PPFRAG_LOG(ERR, "%s: stop the port to change its MTU", dev->data->name);
		return -EBUSY;
	}
	ret = ppfrag_queues_check_mtu(dev, mtu);
	if (ret == 0 && ppfrag_device(dev)->set_mtu != NULL)
		ret = ppfrag_device(dev)->set_mtu(dev, mtu);
	return ret == 0 ? ppfrag_queues_set_mtu(dev, mtu) : ret;
}

static const uint32_t *
supported_ptypes_get(PPFRAG_PTYPES_PARAMS)
{
	RTE_SET_USED(dev);
	return ppfrag_ptypes(PPFRAG_PTYPES_NB);
}

/* Receive queues take pools with our ops only. */
static int
pool_ops_supported(struct rte_eth_dev *dev, const char *ops)
{
	RTE_SET_USED(dev);
	return strcmp(ops, PPOOL_OPS_NAME) == 0 ? 0 : -ENOTSUP;
}

static int
rx_burst_mode_get(struct rte_eth_dev *dev, uint16_t queue_id, struct rte_eth_burst_mode *mode)
{
	return ppfrag_device(dev)->rx_burst_mode_get(dev, queue_id, mode);
}

static int
tx_burst_mode_get(struct rte_eth_dev *dev, uint16_t queue_id, struct rte_eth_burst_mode *mode)
{
	return ppfrag_device(dev)->tx_burst_mode_get(dev, queue_id, mode);
}

static int
rx_queue_intr_enable(struct rte_eth_dev *dev, uint16_t queue_id)
{
	return ppfrag_device(dev)->rx_intr_enable(dev, queue_id);
}

static int
rx_queue_intr_disable(struct rte_eth_dev *dev, uint16_t queue_id)
{
	return ppfrag_device(dev)->rx_intr_disable(dev, queue_id);
}

static const struct eth_dev_ops secondary_ops;

/* ethdev does not check that the queue is set up. */
static int
tx_done_cleanup(void *txq, uint32_t n)
{
	const struct rte_eth_dev *dev;

	if (txq == NULL)
		return -EINVAL;
	dev = &rte_eth_devices[((const struct ppfrag_txq *)txq)->dev->port_id];
	/* In a secondary process that cannot use the queues of this port. */
	if (dev->dev_ops == &secondary_ops && dev->tx_pkt_burst == rte_eth_pkt_burst_dummy)
		return -ENOTSUP;
	return ppfrag_device(dev)->tx_done_cleanup(txq, n);
}

static const struct eth_dev_ops primary_ops = {
	.dev_configure = dev_configure,
	.dev_start = dev_start,
	.dev_stop = dev_stop,
	.dev_close = dev_close,
	.dev_reset = dev_reset,
	.dev_infos_get = dev_infos_get,
	.rx_queue_setup = rx_queue_setup,
	.rx_queue_release = rx_queue_release,
	.tx_queue_setup = tx_queue_setup,
	.tx_queue_release = tx_queue_release,
	.rx_queue_start = rx_queue_start,
	.rx_queue_stop = rx_queue_stop,
	.tx_queue_start = tx_queue_start,
	.tx_queue_stop = tx_queue_stop,
	.tx_done_cleanup = tx_done_cleanup,
	.link_update = link_update,
	.dev_set_link_up = set_link_up,
	.dev_set_link_down = set_link_down,
	.promiscuous_enable = promiscuous_enable,
	.promiscuous_disable = promiscuous_disable,
	.allmulticast_enable = allmulticast_enable,
	.allmulticast_disable = allmulticast_disable,
	.dev_supported_ptypes_get = supported_ptypes_get,
	.dev_ptypes_set = ppfrag_ptypes_set,
	.vlan_offload_set = ppfrag_vlan_offload_set,
	.mtu_set = mtu_set,
	.mac_addr_set = mac_addr_set,
	.mac_addr_add = mac_addr_add,
	.mac_addr_remove = mac_addr_remove,
	.set_mc_addr_list = set_mc_addr_list,
	.stats_get = ppfrag_stats_get,
	.stats_reset = ppfrag_stats_reset,
	.xstats_get = ppfrag_xstats_get,
	.xstats_get_names = ppfrag_xstats_get_names,
	.xstats_reset = ppfrag_stats_reset,
	.rxq_info_get = ppfrag_rxq_info_get,
	.txq_info_get = ppfrag_txq_info_get,
	.rx_burst_mode_get = rx_burst_mode_get,
	.tx_burst_mode_get = tx_burst_mode_get,
	.rx_queue_intr_enable = rx_queue_intr_enable,
	.rx_queue_intr_disable = rx_queue_intr_disable,
	.pool_ops_supported = pool_ops_supported,
};

/* A secondary process can use queues and look, but has no connection to the back end. */
static const struct eth_dev_ops secondary_ops = {
	.dev_close = dev_close,
	.dev_infos_get = dev_infos_get,
	.dev_supported_ptypes_get = supported_ptypes_get,
	.rx_queue_start = secondary_queue_run,
	.rx_queue_stop = secondary_queue_run,
	.tx_queue_start = secondary_queue_run,
	.tx_queue_stop = secondary_queue_run,
	.tx_done_cleanup = tx_done_cleanup,
	.link_update = link_update,
	.stats_get = ppfrag_stats_get,
	.stats_reset = ppfrag_stats_reset,
	.xstats_get = ppfrag_xstats_get,
	.xstats_get_names = ppfrag_xstats_get_names,
	.xstats_reset = ppfrag_stats_reset,
	.rxq_info_get = ppfrag_rxq_info_get,
	.txq_info_get = ppfrag_txq_info_get,
	.rx_burst_mode_get = rx_burst_mode_get,
	.tx_burst_mode_get = tx_burst_mode_get,
	.pool_ops_supported = pool_ops_supported,
};

/* The number of the pool's ops in the table of this process, in which inline functions look. */
static int16_t
ops_number(void)
{
	uint32_t i;

	for (i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, PPOOL_OPS_NAME) == 0)
			return (int16_t)i;
	return -1;
}

static int
dev_init(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;

	pd->port_id = dev->data->port_id;
	pd->ops_number = ops_number();
	dev->data->mac_addrs = pd->mac;
	dev->data->promiscuous = 1;
	dev->data->all_multicast = 1;
	dev->data->dev_flags = RTE_ETH_DEV_AUTOFILL_QUEUE_XSTATS;
	if (pd->kind != PPFRAG_KIND_PCI) /* which is asked, and does not tell */
		dev->data->dev_flags |= RTE_ETH_DEV_INTR_LSC;
	dev->dev_ops = &primary_ops;
	return ppfrag_device(dev)->init(dev);
}

static const char *
ops_name(int16_t number)
{
	if (number < 0 || (uint32_t)number >= rte_mempool_ops_table.num_ops)
		return "nothing";
	return rte_mempool_ops_table.ops[number].name;
}

/* Whether get and put, with the pools of the primary, end in this library here, too. */
static bool
has_same_ops(const struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;

	if (pd->ops_number == ops_number())
		return true;
	PPFRAG_LOG(WARNING,
			"%s: its queues cannot be used here: its pools have mempool ops number %d, which is %s in this process, where " PPOOL_OPS_NAME
			" is number %d: load the same plugins in the same order as the primary (-d), and with LD_PRELOAD the mempool drivers that only one of the programs is linked with",
			dev->data->name, pd->ops_number, ops_name(pd->ops_number), ops_number());
	return false;
}

int
ppfrag_port_init(struct rte_eth_dev *dev, const struct ppfrag_dev *args)
{
	*(struct ppfrag_dev *)dev->data->dev_private = *args;
	ppfrag_device(dev)->set_burst(dev);
	return dev_init(dev);
}

static int
probe_primary(struct rte_vdev_device *vdev, const struct ppfrag_dev *args)
{
	struct rte_eth_dev *dev;
	int ret;

	if (vdev->device.numa_node == SOCKET_ID_ANY)
		vdev->device.numa_node = (int)rte_socket_id();
	dev = rte_eth_vdev_allocate(vdev, sizeof(*args) + args->max_pairs * sizeof(args->kept[0]));
	if (dev == NULL)
		return -ENOMEM;
	ret = ppfrag_port_init(dev, args);
	if (ret != 0) {
		dev->data->mac_addrs = NULL;
		rte_eth_dev_release_port(dev);
		return ret;
	}
	rte_eth_dev_probing_finish(dev);
	return 0;
}

/* With has_queues, that is. */
int
ppfrag_port_attach(struct rte_device *device, bool has_queues)
{
	struct rte_eth_dev *dev = rte_eth_dev_attach_secondary(rte_dev_name(device));

	if (dev == NULL)
		return -ENODEV;
	dev->device = device;
	dev->dev_ops = &secondary_ops;
	if (has_queues && has_same_ops(dev)) {
		ppfrag_device(dev)->set_burst(dev);
	} else {
		/* Nor looks it into rings: that brings what was used into images of the primary. */
		dev->rx_pkt_burst = rte_eth_pkt_burst_dummy;
		dev->tx_pkt_burst = rte_eth_pkt_burst_dummy;
		dev->tx_pkt_prepare = NULL;
	}
	rte_eth_dev_probing_finish(dev);
	return 0;
}

static int
ppfrag_probe(struct rte_vdev_device *vdev)
{
	struct ppfrag_dev args = { .queue_size = 0 };
	int ret;

	if (rte_eal_process_type() == RTE_PROC_SECONDARY)
		return ppfrag_port_attach(&vdev->device, true);
	ret = ppfrag_args_parse(rte_vdev_device_name(vdev), rte_vdev_device_args(vdev), &args);
	if (ret == 0 && args.kind == PPFRAG_KIND_PCI) {
		PPFRAG_LOG(ERR, "%s: option 'ppfrag' is for devices on the PCI bus: -a 0000:00:10.0,ppfrag=1",
				rte_vdev_device_name(vdev));
		return -EINVAL;
	}
	return ret == 0 ? probe_primary(vdev, &args) : ret;
}

int
ppfrag_port_remove(const char *name)
{
	struct rte_eth_dev *dev = rte_eth_dev_allocated(name);

	if (dev == NULL)
		return 0; /* closed before */
	dev_close(dev);
	return rte_eth_dev_release_port(dev);
}

static int
ppfrag_remove(struct rte_vdev_device *vdev)
{
	return ppfrag_port_remove(rte_vdev_device_name(vdev));
}

static struct rte_vdev_driver ppfrag_driver = {
	.probe = ppfrag_probe,
	.remove = ppfrag_remove,
};

RTE_PMD_REGISTER_VDEV(net_ppfrag, ppfrag_driver);
