/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../ppfrag_control.h"
#include "../ppfrag_device.h"
#include "backend.h"
#include "ppfrag_offload.h"
#include "virtio_device.h"

/* The device with virtio rings: what it agrees on with its back end, and its operations. */

/* Agreements */

static int
check_queues(const struct ppfrag_dev *pd, const struct ppfrag_local *local, uint64_t pairs)
{
	if (pd->max_pairs <= pairs)
		return 0;
	PPFRAG_LOG_LEVEL(local->vu.quiet ? RTE_LOG_DEBUG : RTE_LOG_ERR,
			"%s: queues=%u, but the back end at %s has %" PRIu64
			": give it more or the port fewer",
			local->vu.name, pd->max_pairs, local->vu.path, pairs);
	return -ENOTSUP;
}

/* Packed rings, where there are any. */
static uint64_t
layout_wanted(const struct ppfrag_dev *pd, uint64_t offered)
{
	const uint64_t least = RTE_BIT64(VIRTIO_F_RING_PACKED) | RTE_BIT64(VIRTIO_F_VERSION_1);
	uint64_t wanted = RTE_BIT64(VIRTIO_F_RING_PACKED);

	if (!pd->packed_vq || (offered & least) != least)
		return 0;
	if (pd->in_order)
		wanted |= offered & RTE_BIT64(VIRTIO_F_IN_ORDER);
	return wanted;
}

/*
 * Virtio 1.0, or else that a header and what follows it may lie in one descriptor. A legacy device
 * has the byte order of the CPU, which must be the one that we read and write.
 */
static uint64_t
version_wanted(uint64_t offered)
{
	if (RTE_BYTE_ORDER == RTE_BIG_ENDIAN || (offered & RTE_BIT64(VIRTIO_F_VERSION_1)) != 0)
		return RTE_BIT64(VIRTIO_F_VERSION_1);
	return RTE_BIT64(VIRTIO_F_ANY_LAYOUT);
}

/* What to agree on with a device that offers these features. */
static uint64_t
features_wanted(const struct ppfrag_dev *pd, uint64_t offered)
{
	uint64_t wanted = version_wanted(offered) | (offered & RTE_BIT64(VU_F_PROTOCOL_FEATURES));

	if (pd->mrg_rxbuf)
		wanted |= offered & RTE_BIT64(VIRTIO_NET_F_MRG_RXBUF);
	if (pd->max_pairs > 1)
		wanted |= RTE_BIT64(VIRTIO_NET_F_MQ);
	return wanted | layout_wanted(pd, offered);
}

static void
layout_log(const struct ppfrag_dev *pd, const struct ppfrag_local *local, uint64_t features)
{
	if (pd->packed_vq && (features & RTE_BIT64(VIRTIO_F_RING_PACKED)) == 0)
		PPFRAG_LOG_LEVEL(local->vu.quiet ? RTE_LOG_DEBUG : RTE_LOG_NOTICE,
				"%s: packed_vq=1, but the back end at %s has no packed rings: split ones are used",
				local->vu.name, local->vu.path);
}

/* Choose features at the first connection; insist on them at later ones. */
static int
choose_features(struct ppfrag_dev *pd, const struct ppfrag_local *local, uint64_t offered)
{
	uint64_t first = pd->features != 0 ? pd->features : features_wanted(pd, offered);
	uint64_t wanted = first | pd->offload_features;

	__atomic_store_n(&pd->offered, offered, __ATOMIC_RELAXED);
	if ((offered & wanted) != wanted) {
		PPFRAG_LOG_LEVEL(local->vu.quiet ? RTE_LOG_DEBUG : RTE_LOG_ERR,
				"%s: back end at %s lacks features 0x%" PRIx64 " of 0x%" PRIx64
				" (virtio 1.0 is bit %u, any layout of legacy devices %u, multi-queue %u)",
				local->vu.name, local->vu.path, wanted & ~offered, wanted,
				VIRTIO_F_VERSION_1, VIRTIO_F_ANY_LAYOUT, VIRTIO_NET_F_MQ);
		return -ENOTSUP;
	}
	if (pd->features == 0)
		layout_log(pd, local, first);
	pd->features = first;
	return 0;
}

int
virtio_negotiate(struct rte_eth_dev *dev, uint64_t *offered)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = dev->process_private;
	struct virtio_offer offer;
	int ret;

	ret = virtio_backend(dev)->negotiate(dev, &offer);
	if (ret != 0)
		return ret;
	*offered = offer.features;
	ret = check_queues(pd, local, offer.pairs);
	return ret == 0 ? choose_features(pd, local, offer.features) : ret;
}

void
virtio_forget(struct rte_eth_dev *dev, uint64_t offered)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	uint64_t wanted = features_wanted(pd, offered);

	pd->features = (offered & wanted) == wanted ? wanted : 0;
	pd->offload_features = 0;
}

/* Whether a queue has come to the latest reset, for the features that are agreed on now. */
static bool
run_fits(const struct ppfrag_run *run, const struct ppfrag_dev *pd)
{
	return __atomic_load_n(&run->ring_epoch, __ATOMIC_ACQUIRE) == pd->ring_epoch &&
			run->ring_features == virtio_ring_features(pd);
}

/*
 * Whether rings are used as this back end has it. A queue that has not yet come to the latest reset
 * may have seen what another back end had.
 */
static bool
rings_fit(const struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const uint8_t layout = virtio_layout(pd);
	const struct ppfrag_rxq *rxq;
	const struct ppfrag_txq *txq;
	bool fit = true;
	uint16_t i;

	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		rxq = dev->data->rx_queues[i];
		if (ppfrag_vring_runs(dev, ppfrag_rx_vring(i)))
			fit = fit && run_fits(&rxq->run, pd) && rxq->packed.layout == layout;
	}
	for (i = 0; i < dev->data->nb_tx_queues; i++) {
		txq = dev->data->tx_queues[i];
		if (ppfrag_vring_runs(dev, ppfrag_tx_vring(i)))
			fit = fit && run_fits(&txq->run, pd) && txq->packed.layout == layout;
	}
	return fit;
}

/* Queues may have been set up before anybody knew what the back end does. */
enum virtio_fit
virtio_fit(const struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const struct ppfrag_local *local = dev->process_private;
	enum virtio_fit fit = rings_fit(dev) ? VIRTIO_FIT : VIRTIO_FIT_RENEWED;
	const struct ppfrag_rxq *q;
	uint16_t i;

	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		q = dev->data->rx_queues[i];
		if (q->mrg == virtio_has_mrg(pd))
			continue;
		fit = VIRTIO_FIT_RENEWED;
		if (virtio_has_mrg(pd) || !ppfrag_rxq_needs_mrg(q))
			continue;
		PPFRAG_LOG_LEVEL(local->vu.quiet ? RTE_LOG_DEBUG : RTE_LOG_ERR,
				"%s: back end at %s has no mergeable buffers, which receive queue %u was set up for: reset the port, or use mrg_rxbuf=0",
				local->vu.name, local->vu.path, i);
		return VIRTIO_MISFIT;
	}
	return fit;
}

bool
virtio_is_ready(const struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct virtq vq;
	uint16_t i;

	for (i = 0; i < 2 * pd->nb_pairs; i++)
		if (ppfrag_vring_runs(dev, i) && !ppfrag_vring_get(dev, i, &vq))
			return false;
	return true;
}

/* Rings. Those that no queue uses, or one that is stopped, are with the device and disabled. */

static int
ring_run(struct rte_eth_dev *dev, uint16_t vring, bool enable)
{
	const struct virtio_backend_ops *backend = virtio_backend(dev);
	struct ppfrag_local *local = dev->process_private;
	struct virtq vq;
	int ret;

	local->idle[vring] = !ppfrag_vring_get(dev, vring, &vq);
	ret = backend->ring_start(dev, vring, &vq);
	return ret == 0 && enable ? backend->ring_enable(dev, vring, true) : ret;
}

/* Hand over another ring in place of the one that the device has. */
static int
ring_move(struct rte_eth_dev *dev, uint16_t vring, bool enable)
{
	const struct virtio_backend_ops *backend = virtio_backend(dev);
	int ret;

	ret = backend->ring_enable(dev, vring, false);
	if (ret == 0)
		ret = backend->ring_stop(dev, vring);
	return ret == 0 ? ring_run(dev, vring, enable) : ret;
}

/*
 * DPDK's vhost library works when the rings of the first pair are enabled, and again when any ring
 * was taken back; it goes on when they are disabled. So they are enabled for a moment where they
 * are not used. There is nothing in them but receive buffers of a stopped queue.
 */
static int
rings_rest(struct rte_eth_dev *dev)
{
	const struct virtio_backend_ops *backend = virtio_backend(dev);
	uint16_t i;
	int ret = 0;

	if (!backend->wants_first_pair)
		return 0;
	for (i = 0; i < 2 && ret == 0; i++)
		if (!ppfrag_vring_runs(dev, i))
			ret = backend->ring_enable(dev, i, true);
	for (i = 0; i < 2 && ret == 0; i++)
		if (!ppfrag_vring_runs(dev, i))
			ret = backend->ring_enable(dev, i, false);
	return ret;
}

/*
 * After a ring was taken back. The device was down for that; net_vhost and Open vSwitch forget
 * which rings are enabled then, and hear of changes only.
 */
static int
rings_resume(struct rte_eth_dev *dev)
{
	const struct virtio_backend_ops *backend = virtio_backend(dev);
	const struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;
	int ret = 0;

	if (!backend->wants_first_pair)
		return 0;
	for (i = 0; i < 2 * pd->nb_pairs && ret == 0; i++) {
		if (!ppfrag_vring_runs(dev, i))
			continue;
		ret = backend->ring_enable(dev, i, false);
		if (ret == 0)
			ret = backend->ring_enable(dev, i, true);
	}
	return ret == 0 ? rings_rest(dev) : ret;
}

/* Have the device process all rings that are used, or none. */
static int
rings_enable(struct rte_eth_dev *dev, bool enable)
{
	const struct virtio_backend_ops *backend = virtio_backend(dev);
	const struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;
	int ret = 0;

	for (i = 0; i < 2 * pd->nb_pairs && ret == 0; i++)
		if (!enable || ppfrag_vring_runs(dev, i))
			ret = backend->ring_enable(dev, i, enable);
	if (ret == 0 && backend->enabled != NULL)
		backend->enabled(dev, enable);
	return ret;
}

int
virtio_enable(struct rte_eth_dev *dev, bool enable)
{
	int ret = rings_enable(dev, enable);

	return ret == 0 && enable ? rings_rest(dev) : ret;
}

int
virtio_run(struct rte_eth_dev *dev, bool enable)
{
	const struct virtio_backend_ops *backend = virtio_backend(dev);
	const struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;
	int ret;

	ret = backend->prepare(dev);
	for (i = 0; i < 2 * pd->nb_pairs && ret == 0; i++)
		ret = ring_run(dev, i, false);
	if (ret == 0 && enable)
		ret = rings_enable(dev, true);
	if (ret == 0)
		ret = backend->run(dev, true);
	return ret == 0 && enable ? rings_rest(dev) : ret;
}

int
virtio_rings_move(struct rte_eth_dev *dev, bool enable)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = dev->process_private;
	int ret = 0, left = 0;
	bool moved = false;
	struct virtq vq;
	uint16_t i;

	for (i = 0; i < 2 * pd->nb_pairs && ret == 0; i++) {
		if (!local->idle[i] || !ppfrag_vring_runs(dev, i))
			continue;
		if (!ppfrag_vring_get(dev, i, &vq)) {
			left++;
			continue;
		}
		ret = ring_move(dev, i, enable);
		moved = true;
		/* A back end that sleeps was told about these buffers when it had the idle ring. */
		if (ret == 0)
			ppfrag_kick(pd, i);
	}
	if (ret == 0 && moved && enable)
		ret = rings_resume(dev);
	return ret == 0 ? left : ret;
}

/*
 * Whether the ring of a queue can stay with the device while the queue is stopped: the device has
 * confirmed that it leaves it alone, and has nothing to send.
 */
static bool
ring_can_stay(const struct rte_eth_dev *dev, uint16_t vring)
{
	return virtio_backend(dev)->can_enable(dev->data->dev_private) &&
			ppfrag_vring_drop(dev, vring);
}

/*
 * A ring that cannot stay is taken back, and the device gets an idle one; DPDK's vhost library is
 * down for a moment then, with all its rings.
 */
static int
ring_disconnect(struct rte_eth_dev *dev, uint16_t vring)
{
	const struct virtio_backend_ops *backend = virtio_backend(dev);
	struct ppfrag_local *local = dev->process_private;
	int ret;

	ppfrag_vring_settle(dev, vring);
	ret = backend->ring_enable(dev, vring, false);
	if (ret == 0)
		ret = backend->settle(dev);
	if (ret != 0 || ring_can_stay(dev, vring))
		return ret;
	ppfrag_vring_forget(dev, vring);
	if (local->idle[vring])
		return 0;
	ret = ring_move(dev, vring, false);
	return ret == 0 ? rings_resume(dev) : ret;
}

int
virtio_queue_stop(struct rte_eth_dev *dev, uint16_t vring, bool connected, bool ours)
{
	int ret = 0;

	if (connected)
		ret = ring_disconnect(dev, vring);
	else if (ours)
		ppfrag_vring_forget(dev, vring);
	if (ret == 0 && ours)
		ppfrag_vring_drain(dev, vring);
	return ret;
}

int
virtio_queue_start(struct rte_eth_dev *dev, uint16_t vring, bool connected, bool ours, bool enable)
{
	const struct virtio_backend_ops *backend = virtio_backend(dev);
	struct ppfrag_local *local = dev->process_private;
	int ret = 0;

	ppfrag_vring_start(dev, vring, ours);
	if (!connected)
		return 0;
	if (local->idle[vring]) {
		ret = ring_move(dev, vring, enable);
		if (ret == 0 && enable)
			ret = rings_resume(dev);
	} else if (enable) {
		ret = backend->ring_enable(dev, vring, true);
	}
	if (ret == 0)
		ppfrag_kick(dev->data->dev_private, vring);
	return ret;
}

void
virtio_stopped_drain(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;

	for (i = 0; i < 2 * pd->nb_pairs; i++)
		if (!ppfrag_vring_runs(dev, i))
			ppfrag_vring_drain(dev, i);
}

int
virtio_idle(struct rte_eth_dev *dev)
{
	const struct virtio_backend_ops *backend = virtio_backend(dev);
	const struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;
	int ret;

	ret = virtio_enable(dev, false);
	for (i = 0; i < 2 * pd->nb_pairs && ret == 0; i++)
		ret = backend->ring_stop(dev, i);
	return ret == 0 ? backend->run(dev, false) : ret;
}

bool
virtio_can_enable(const struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;

	/* Before there was a back end nobody knows: the link is as it was set when there is one. */
	return pd->features == 0 || virtio_backend(dev)->can_enable(pd);
}

/* What only the primary process has */

static void
local_free(struct ppfrag_local *local)
{
	unsigned int i;

	if (local->intr != NULL)
		ppfrag_intr_fini(local);
	rte_intr_instance_free(local->intr);
	ppfrag_notify_fini(local);
	for (i = 0; i < RTE_DIM(local->kick); i++) {
		if (local->kick[i].fd >= 0)
			close(local->kick[i].fd);
		if (local->call[i].fd >= 0)
			close(local->call[i].fd);
	}
	pthread_mutex_destroy(&local->lock);
	free(local);
}

static int
create_eventfds(struct ppfrag_local *local, uint16_t nb_vrings)
{
	uint16_t i;

	for (i = 0; i < nb_vrings; i++) {
		local->kick[i].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		local->call[i].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
		if (local->kick[i].fd < 0 || local->call[i].fd < 0)
			return -errno;
	}
	return 0;
}

static int
local_init(struct ppfrag_local *local, const struct ppfrag_dev *pd)
{
	int ret;

	local->intr = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	ret = local->intr == NULL ? -ENOMEM : create_eventfds(local, 2 * pd->max_pairs);
	if (ret == 0)
		ret = ppfrag_intr_init(local, pd->max_pairs);
	if (ret != 0) {
		PPFRAG_LOG(ERR, "%s: cannot create event descriptors: %s", local->vu.name,
				strerror(-ret));
		return ret;
	}
	return ppfrag_notify_init(local);
}

static void
local_release(struct rte_eth_dev *dev)
{
	dev->intr_handle = NULL;
	local_free(dev->process_private);
	dev->process_private = NULL;
}

static int
local_alloc(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = malloc(sizeof(*local));
	unsigned int i;
	int ret;

	if (local == NULL)
		return -ENOMEM;
	*local = (struct ppfrag_local){
		.control = { .call_fd = -1, .ready_fd = -1 },
		.server = { .fd = -1 },
		.vu = { .fd = -1, .cancel_fd = -1, .name = dev->data->name, .path = pd->path },
		.notifier = { .null_fd = -1 },
	};
	for (i = 0; i < RTE_DIM(local->kick); i++) {
		local->kick[i].fd = -1;
		local->call[i].fd = -1;
	}
	vhost_kernel_init(&local->vk);
	pthread_mutex_init(&local->lock, NULL);
	ret = local_init(local, pd);
	if (ret != 0) {
		local_free(local);
		return ret;
	}
	dev->process_private = local;
	dev->intr_handle = local->intr;
	ret = ppfrag_control_init(dev);
	if (ret != 0)
		local_release(dev);
	return ret;
}

/* Operations */

static void
device_fini(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;

	rte_memzone_free(pd->arena);
	local_release(dev);
}

static void
device_close(struct rte_eth_dev *dev)
{
	ppfrag_control_close(dev);
	ppfrag_control_fini(dev);
	ppfrag_quarantine_flush(dev);
}

static int
device_init(struct rte_eth_dev *dev)
{
	int ret;

	ret = local_alloc(dev);
	if (ret != 0)
		return ret;
	ret = ppfrag_control_open(dev);
	if (ret != 0) {
		device_close(dev);
		device_fini(dev);
	}
	return ret;
}

static void
device_stop(struct rte_eth_dev *dev)
{
	ppfrag_control_stop(dev);
	ppfrag_queues_stop(dev);
}

static int
device_start(struct rte_eth_dev *dev)
{
	int ret;

	ppfrag_quarantine_wait(dev);
	ret = ppfrag_queues_start(dev);
	if (ret != 0)
		return ret;
	ppfrag_offload_start(dev);
	ret = ppfrag_control_start(dev);
	if (ret != 0)
		device_stop(dev);
	return ret;
}

/*
 * In a secondary process ethdev calls these functions whatever state the port is in, and whatever
 * the primary does to it.
 */

static bool
is_started(const struct ppfrag_dev *pd)
{
	return rte_eth_devices[pd->port_id].data->dev_started != 0;
}

static uint16_t
secondary_rx_burst(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	const struct ppfrag_rxq *q = rxq;

	if (unlikely(q == NULL || !is_started(q->dev)))
		return 0;
	if (q->dev->packed_vq)
		return ppfrag_rx_burst_packed(rxq, pkts, nb_pkts);
	return ppfrag_rx_burst_offload(rxq, pkts, nb_pkts);
}

static uint16_t
secondary_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	const struct ppfrag_txq *q = txq;

	if (unlikely(q == NULL || !is_started(q->dev)))
		return 0;
	if (q->dev->size_stats)
		return ppfrag_tx_burst_sizes(txq, pkts, nb_pkts);
	if (q->dev->packed_vq)
		return ppfrag_tx_burst_packed(txq, pkts, nb_pkts);
	return ppfrag_tx_burst_offload(txq, pkts, nb_pkts);
}

static uint16_t
secondary_tx_prepare(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	return txq == NULL ? nb_pkts : ppfrag_tx_prepare(txq, pkts, nb_pkts);
}

/* The kernel sleeps until it is notified, which only the primary process can. */
static void
set_burst_refused(struct rte_eth_dev *dev)
{
	PPFRAG_LOG(NOTICE,
			"%s: its queues can be used in the primary process only, as those of any port with path=/dev/vhost-net",
			dev->data->name);
	dev->rx_pkt_burst = rte_eth_pkt_burst_dummy;
	dev->tx_pkt_burst = rte_eth_pkt_burst_dummy;
	dev->tx_pkt_prepare = NULL;
}

static void
set_burst(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	bool primary = rte_eal_process_type() == RTE_PROC_PRIMARY;

	if (!primary && pd->backend == VIRTIO_BACKEND_VHOST_KERNEL) {
		set_burst_refused(dev);
		return;
	}
	dev->rx_pkt_burst = primary ? ppfrag_rx_burst : secondary_rx_burst;
	dev->tx_pkt_burst = primary ? ppfrag_tx_burst : secondary_tx_burst;
	dev->tx_pkt_prepare = primary ? NULL : secondary_tx_prepare;
	dev->rx_queue_count = ppfrag_rx_queue_count;
	dev->rx_descriptor_status = ppfrag_rx_descriptor_status;
	dev->tx_descriptor_status = ppfrag_tx_descriptor_status;
}

const struct ppfrag_device_ops virtio_device_ops = {
	.name = "virtio",
	.init = device_init,
	.close = device_close,
	.fini = device_fini,
	.configure = ppfrag_arena_init,
	.start = device_start,
	.stop = device_stop,
	.settle = ppfrag_quarantine_flush,
	.set_link = ppfrag_control_set_link,
	.queue_run = ppfrag_queue_run,
	.reset = ppfrag_control_reset,
	.rxq_setup = virtio_rxq_setup,
	.txq_setup = virtio_txq_setup,
	.rx_intr_enable = ppfrag_rx_intr_enable,
	.rx_intr_disable = ppfrag_rx_intr_disable,
	.set_burst = set_burst,
	.rx_burst_mode_get = ppfrag_rx_burst_mode_get,
	.tx_burst_mode_get = ppfrag_tx_burst_mode_get,
	.tx_done_cleanup = ppfrag_tx_done_cleanup,
};
