/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_string_fns.h>

#include "../ppfrag_device.h"
#include "../virtio/ppfrag_offload.h"
#include "xsk.h"

/* The device that is a kernel interface: its operations. */

/* Life */

static int
local_alloc(struct rte_eth_dev *dev)
{
	struct xsk_local *local = calloc(1, sizeof(*local));
	unsigned int i;

	if (local == NULL)
		return -ENOMEM;
	local->ctl_fd = -1;
	local->packet_fd = -1;
	local->ready_fd = -1;
	local->link_fd = -1;
	for (i = 0; i < RTE_DIM(local->intr_fd); i++)
		local->intr_fd[i] = -1;
	pthread_mutex_init(&local->ctl, NULL);
	pthread_mutex_init(&local->lock, NULL);
	dev->process_private = local;
	return 0;
}

static void
device_fini(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);

	xsk_intr_fini(dev);
	pthread_mutex_destroy(&local->lock);
	pthread_mutex_destroy(&local->ctl);
	free(local);
	dev->process_private = NULL;
}

static int
device_init(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	uint32_t mtu;
	int ret = local_alloc(dev);

	if (ret != 0)
		return ret;
	/* What a driver that does not copy can do, nobody tells. */
	pd->xsk.tx_csum = pd->xsk.force_copy && xsk_umem_takes_meta();
	dev->data->promiscuous = 0;
	dev->data->all_multicast = 0;
	ret = xsk_intr_init(dev);
	if (ret == 0)
		ret = xsk_netdev_open(dev);
	if (ret == 0)
		ret = xsk_link_init(dev);
	if (ret != 0) {
		xsk_link_fini(dev);
		xsk_netdev_close(dev);
		device_fini(dev);
		return ret;
	}
	if (xsk_netdev_mtu_get(dev, &mtu) == 0)
		dev->data->mtu = (uint16_t)RTE_MIN(mtu, XSK_MAX_FRAME_LEN - PPFRAG_L2_LEN);
	return 0;
}

/* Out of the map and off the interface: packets go to the kernel. */
static void
device_detach(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);

	xsk_queues_close(dev);
	xsk_prog_put(local->prog);
	local->prog = NULL;
}

static void
device_close(struct rte_eth_dev *dev)
{
	xsk_link_fini(dev); /* from here on nobody else makes or closes sockets */
	device_detach(dev);
	xsk_netdev_close(dev);
}

static int
device_configure(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t nb = RTE_MAX(dev->data->nb_rx_queues, dev->data->nb_tx_queues);

	if (nb <= pd->max_pairs)
		return 0;
	PPFRAG_LOG(ERR, "%s: %u queues, the port has %u: use queue_count=%u", dev->data->name, nb,
			pd->max_pairs, nb);
	return -EINVAL;
}

/* Start and stop */

/* From here on packets of its queue go to the kernel. */
static void
socket_unmap(struct rte_eth_dev *dev, uint16_t i)
{
	struct xsk_local *local = xsk_local(dev);

	if (local->sock[i] == NULL || !local->sock[i]->in_map)
		return;
	xsk_prog_set(local->prog, local->sock[i]->queue, -1);
	local->sock[i]->in_map = false;
}

static void
queues_stop(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct xsk_local *local = xsk_local(dev);
	uint16_t i;

	for (i = 0; i < pd->max_pairs; i++)
		socket_unmap(dev, i);
	memset(local->intr_on, 0, sizeof(local->intr_on));
	xsk_link_run(dev, false);
	for (i = 0; i < dev->data->nb_tx_queues; i++)
		if (local->sock[i] != NULL && !xsk_link_is_gone(local))
			xsk_tx_wait(dev->data->tx_queues[i]);
}

static void
device_stop(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);

	pthread_mutex_lock(&local->ctl);
	queues_stop(dev);
	pthread_mutex_unlock(&local->ctl);
}

/* Queues and pools are about to be freed. */
static void
device_settle(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);

	pthread_mutex_lock(&local->ctl);
	xsk_queues_close(dev);
	pthread_mutex_unlock(&local->ctl);
}

/* Frames of the application's MTU are to pass; longer ones of the kernel may. */
static int
raise_mtu(struct rte_eth_dev *dev)
{
	uint32_t mtu;

	if (xsk_netdev_mtu_get(dev, &mtu) != 0 || mtu >= dev->data->mtu)
		return 0;
	return xsk_netdev_mtu_set(dev, dev->data->mtu);
}

/* What was opened for other frames has slots of other classes. */
static int
frames_init(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);
	int ret;

	if (local->mtu != dev->data->mtu)
		xsk_queues_close(dev);
	ret = ppfrag_queues_set_mtu(dev, dev->data->mtu);
	if (ret == 0)
		ret = raise_mtu(dev);
	local->mtu = ret == 0 ? dev->data->mtu : 0;
	return ret;
}

static int
prog_init(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct xsk_local *local = xsk_local(dev);

	if (local->prog == NULL)
		local->prog = xsk_prog_get(pd, local->ifindex, pd->xsk.mode,
				local->sock[0]->umem->sg);
	return local->prog == NULL ? -errno : 0;
}

/* From here on packets arrive. What did before the port was stopped is none of this time. */
static int
rxq_run(struct rte_eth_dev *dev, uint16_t i)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct xsk_local *local = xsk_local(dev);
	struct xsk_rxq *x = dev->data->rx_queues[i];
	struct xsk_socket *s = local->sock[i];
	int ret;

	x->runs = true;
	if (s == NULL)
		return 0; /* its interface is gone: when that is back */
	xsk_rx_discard(x);
	ret = xsk_prog_set(local->prog, s->queue, s->fd);
	if (ret != 0)
		PPFRAG_LOG(ERR, "%s: queue %u of interface '%s' cannot be put into the map: %s",
				dev->data->name, s->queue, pd->iface, strerror(-ret));
	s->in_map = ret == 0;
	return ret;
}

/* As the port begins: all queues but those that the application starts. */
static void
queues_begin(struct rte_eth_dev *dev)
{
	struct xsk_rxq *x;
	uint16_t i;

	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		x = dev->data->rx_queues[i];
		x->runs = !x->q.run.deferred;
	}
}

/* Make what is not there yet, and have those queues run that are to. */
static int
queues_run(struct rte_eth_dev *dev)
{
	const struct xsk_rxq *x;
	uint16_t i;
	int ret;

	ret = xsk_queues_open(dev);
	if (ret == 0)
		ret = prog_init(dev);
	for (i = 0; i < dev->data->nb_rx_queues && ret == 0; i++) {
		x = dev->data->rx_queues[i];
		if (x->runs)
			ret = rxq_run(dev, i);
	}
	return ret;
}

/* Packets of a stopped queue go to the kernel. What is sent is up to the application alone. */
static int
queue_run_locked(struct rte_eth_dev *dev, bool rx, uint16_t queue_id, bool run)
{
	struct xsk_rxq *x;

	if (!rx) {
		if (!run && xsk_local(dev)->sock[queue_id] != NULL)
			xsk_tx_wait(dev->data->tx_queues[queue_id]);
		return 0;
	}
	if (run)
		return rxq_run(dev, queue_id);
	x = dev->data->rx_queues[queue_id];
	x->runs = false;
	socket_unmap(dev, queue_id);
	return 0;
}

static int
queue_run(struct rte_eth_dev *dev, bool rx, uint16_t queue_id, bool run)
{
	struct xsk_local *local = xsk_local(dev);
	int ret;

	pthread_mutex_lock(&local->ctl);
	ret = queue_run_locked(dev, rx, queue_id, run);
	pthread_mutex_unlock(&local->ctl);
	return ret;
}

static void
set_gone(struct xsk_local *local, bool gone)
{
	pthread_mutex_lock(&local->lock);
	__atomic_store_n(&local->gone, gone, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&local->lock);
}

/* What was opened on an interface that is gone is of no use on its successor. */
static int
interface_take(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);
	uint32_t ifindex;
	int ret;

	ret = xsk_netdev_find(dev, &ifindex);
	if (ret != 0 || (ifindex == local->ifindex && !local->gone))
		return ret;
	xsk_prog_set_gone(local->prog);
	device_detach(dev);
	pthread_mutex_lock(&local->lock);
	local->ifindex = ifindex;
	local->told_back = false;
	local->detached = false;
	pthread_mutex_unlock(&local->lock);
	return 0;
}

/* Many applications poll a receive queue for each queue that they send to. */
static void
log_unpaired(const struct rte_eth_dev *dev)
{
	const uint16_t nb_rx = dev->data->nb_rx_queues, nb_tx = dev->data->nb_tx_queues;

	if (nb_tx != 0 && nb_tx < nb_rx)
		PPFRAG_LOG(NOTICE,
				"%s: %u receive queues and %u to send: an application that pairs them, as testpmd, does not poll queues %u to %u, and what the interface hands to these stands still; use as many of both (testpmd --rxq and --txq)",
				dev->data->name, nb_rx, nb_tx, nb_tx, nb_rx - 1);
}

static void
log_way(const struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const struct xsk_local *local = xsk_local(dev);

	PPFRAG_LOG(INFO, "%s: interface '%s', queues %u to %u: %s mode, the kernel %s packets%s",
			dev->data->name, pd->iface, pd->xsk.start_queue,
			pd->xsk.start_queue + dev->data->nb_rx_queues - 1,
			local->prog->skb ? "skb" : "native",
			local->sock[0]->zero_copy ? "does not copy" : "copies",
			local->sock[0]->umem->sg ? "" : "; frames over 1536 bytes take Linux 6.6");
	if (local->sock[0]->zero_copy)
		PPFRAG_LOG(WARNING,
				"%s: the driver of interface '%s' writes into the pool by itself, which has not been tried: it loses buffers that lie over two pages which are not contiguous for the device; leave force_copy=0 out",
				dev->data->name, pd->iface);
}

void
xsk_device_detach(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);

	if (local->runs) /* else nobody uses the queues, and they may be about to be freed */
		xsk_gates_shut(dev);
	xsk_prog_set_gone(local->prog);
	device_detach(dev);
	local->detached = true;
}

/* Nobody else touches the queues meanwhile: their gates are shut. */
int
xsk_device_resume(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);
	int ret;

	ret = interface_take(dev);
	if (ret == 0)
		ret = raise_mtu(dev);
	if (ret == 0)
		ret = queues_run(dev);
	if (ret == 0)
		ret = xsk_netdev_modes_renew(dev);
	if (ret == 0)
		ret = xsk_intr_renew(dev);
	if (ret != 0) {
		device_detach(dev);
		local->detached = true;
		return ret;
	}
	xsk_netdev_check_channels(dev);
	log_way(dev);
	set_gone(local, false);
	xsk_gates_open(dev);
	return 0;
}

static int
start_locked(struct rte_eth_dev *dev)
{
	int ret;

	ret = ppfrag_queues_check(dev);
	if (ret == 0)
		ret = interface_take(dev);
	ppfrag_rx_work_set(dev);
	if (ret == 0) {
		set_gone(xsk_local(dev), false);
		queues_begin(dev);
		ret = frames_init(dev);
	}
	if (ret == 0)
		ret = queues_run(dev);
	if (ret != 0) {
		queues_stop(dev);
		device_detach(dev);
		return ret;
	}
	xsk_netdev_check_channels(dev);
	log_unpaired(dev);
	log_way(dev);
	xsk_gates_open(dev);
	xsk_link_run(dev, true);
	return 0;
}

static int
device_start(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);
	int ret;

	pthread_mutex_lock(&local->ctl);
	ret = start_locked(dev);
	pthread_mutex_unlock(&local->ctl);
	return ret;
}

/* The interface */

static void
device_infos(const struct rte_eth_dev *dev, struct rte_eth_dev_info *info)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;

	if (xsk_local(dev) != NULL) /* in the primary process */
		info->if_index = xsk_local(dev)->ifindex;
	info->max_mtu = RTE_MIN(info->max_mtu, XSK_MAX_FRAME_LEN - PPFRAG_L2_LEN);
	info->max_rx_pktlen = info->max_mtu + PPFRAG_L2_LEN;
	info->max_lro_pkt_size = 0;
	info->tx_offload_capa = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
	if (pd->xsk.tx_csum)
		info->tx_offload_capa |=
				RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
	info->tx_queue_offload_capa = info->tx_offload_capa;
}

/* The kernel is told, and what is posted given back: slots of other classes take its place. */
static int
device_set_mtu(struct rte_eth_dev *dev, uint16_t mtu)
{
	device_settle(dev);
	return xsk_netdev_mtu_set(dev, mtu);
}

static void
device_stats(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct xsk_local *local = xsk_local(dev);
	uint64_t missed, no_chunk;
	uint16_t i;

	if (local == NULL)
		return; /* a secondary process has no sockets: as the primary has found it */
	pthread_mutex_lock(&local->lock);
	missed = local->gone_missed;
	no_chunk = local->gone_no_chunk;
	for (i = 0; i < pd->max_pairs; i++)
		if (local->sock[i] != NULL)
			xsk_socket_stats(local->sock[i], &missed, &no_chunk);
	pthread_mutex_unlock(&local->lock);
	pd->missed = missed - local->base_missed;
	pd->no_chunk = no_chunk - local->base_no_chunk;
}

static void
device_stats_reset(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct xsk_local *local = xsk_local(dev);

	if (local == NULL)
		return;
	device_stats(dev);
	local->base_missed += pd->missed;
	local->base_no_chunk += pd->no_chunk;
}

static int
set_link(struct rte_eth_dev *dev, bool up)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;

	PPFRAG_LOG(ERR, "%s: the link is that of the kernel: use 'ip link set dev %s %s'",
			dev->data->name, pd->iface, up ? "up" : "down");
	return -ENOTSUP;
}

static int
device_reset(struct rte_eth_dev *dev)
{
	RTE_SET_USED(dev);
	return 0; /* nothing was agreed on with anybody */
}

/* Bursts */

static int
burst_mode(const struct rte_eth_dev *dev, uint16_t queue_id, const void *queue, const char *what,
		struct rte_eth_burst_mode *mode)
{
	struct xsk_local *local = xsk_local(dev);
	const char *how = "";

	if (queue == NULL)
		return -EINVAL;
	mode->flags = RTE_ETH_BURST_FLAG_PER_QUEUE;
	if (local != NULL) { /* in the primary process */
		pthread_mutex_lock(&local->lock);
		if (local->sock[queue_id] != NULL)
			how = local->sock[queue_id]->zero_copy ? ", zero-copy" :
								 ", copied by the kernel";
		pthread_mutex_unlock(&local->lock);
	}
	snprintf(mode->info, sizeof(mode->info), "AF_XDP%s %s", how, what);
	return 0;
}

static int
rx_burst_mode_get(struct rte_eth_dev *dev, uint16_t queue_id, struct rte_eth_burst_mode *mode)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const struct xsk_rxq *x = dev->data->rx_queues[queue_id];
	const char *what = pd->want_slots ? "into slots" : "into lanes";

	if (x != NULL && x->copies)
		what = pd->want_slots ? "and by the driver, into slots" :
					"and by the driver, into lanes";
	return burst_mode(dev, queue_id, x, what, mode);
}

static int
tx_burst_mode_get(struct rte_eth_dev *dev, uint16_t queue_id, struct rte_eth_burst_mode *mode)
{
	const struct xsk_txq *x = dev->data->tx_queues[queue_id];

	return burst_mode(dev, queue_id, x,
			x != NULL && x->copies ? "and by the driver" : "from the pool", mode);
}

/* Other threads than that of the bursts may ask: a gate is for that one alone. */
static ppfrag_eth_queue_count_t
rx_queue_count(void *rxq)
{
	const struct xsk_rxq *x = rxq;
	const struct xsk_socket *s;
	struct xsk_local *local;
	uint32_t n = 0;

	if (x == NULL)
		return 0;
	local = xsk_local(&rte_eth_devices[x->q.dev->port_id]);
	pthread_mutex_lock(&local->lock);
	s = local->sock[x->q.queue_id];
	if (s != NULL)
		n = __atomic_load_n(s->rx.producer, __ATOMIC_RELAXED) - x->rx.pos;
	pthread_mutex_unlock(&local->lock);
	return (ppfrag_eth_queue_count_t)RTE_MIN(n, x->q.nb);
}

/* Rings and sockets are those of the primary process. */
static void
set_burst_secondary(struct rte_eth_dev *dev)
{
	PPFRAG_LOG(NOTICE,
			"%s: its queues can be used in the primary process only, as those of any port with iface=",
			dev->data->name);
	dev->rx_pkt_burst = rte_eth_pkt_burst_dummy;
	dev->tx_pkt_burst = rte_eth_pkt_burst_dummy;
	dev->tx_pkt_prepare = NULL;
}

static void
set_burst(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;

	if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
		set_burst_secondary(dev);
		return;
	}
	dev->rx_pkt_burst = pd->want_slots ? xsk_rx_burst : xsk_rx_burst_lanes;
	dev->tx_pkt_burst = pd->size_stats ? xsk_tx_burst_sizes : xsk_tx_burst;
	dev->tx_pkt_prepare = ppfrag_tx_prepare;
	dev->rx_queue_count = rx_queue_count;
}

const struct ppfrag_device_ops xsk_device_ops = {
	.name = "xsk",
	.init = device_init,
	.close = device_close,
	.fini = device_fini,
	.configure = device_configure,
	.start = device_start,
	.stop = device_stop,
	.settle = device_settle,
	.set_link = set_link,
	.queue_run = queue_run,
	.reset = device_reset,
	.rxq_setup = xsk_rxq_setup,
	.txq_setup = xsk_txq_setup,
	.rx_intr_enable = xsk_intr_enable,
	.rx_intr_disable = xsk_intr_disable,
	.set_burst = set_burst,
	.rx_burst_mode_get = rx_burst_mode_get,
	.tx_burst_mode_get = tx_burst_mode_get,
	.tx_done_cleanup = xsk_tx_done_cleanup,
	.infos = device_infos,
	.link_update = xsk_link_update,
	.promiscuous = xsk_netdev_promiscuous,
	.allmulticast = xsk_netdev_allmulticast,
	.set_mtu = device_set_mtu,
	.set_mac = xsk_netdev_mac_set,
	.update_stats = device_stats,
	.reset_stats = device_stats_reset,
};
