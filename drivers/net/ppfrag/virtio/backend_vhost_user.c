/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "backend.h"

/*
 * What is said to a vhost-user back end. When the connection is made and ended is decided in
 * ppfrag_control.c.
 */

/* vhost-user has so many regions. */
_Static_assert(VU_MAX_REGIONS == PPFRAG_MAX_REGIONS, "regions of a port");

static struct ppfrag_local *
local_of(const struct rte_eth_dev *dev)
{
	return dev->process_private;
}

static int
connect_user(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);
	int ret;

	if (local->server.fd >= 0)
		return vu_server_accept(&local->server, &local->vu);
	ret = vu_connect(&local->vu);
	if (ret != 0)
		PPFRAG_LOG_LEVEL(local->vu.quiet ? RTE_LOG_DEBUG : RTE_LOG_ERR,
				"%s: cannot connect to path=%s: %s; start the vhost-user back end (the server) first, or let it be the client and add server=1",
				local->vu.name, local->vu.path, strerror(-ret));
	return ret;
}

/* While the back end has memory, the connection is closed for sending only. */
static void
disconnect(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	if (local->lent)
		shutdown(local->vu.fd, SHUT_WR);
	else
		vu_close(&local->vu);
}

static void
close_user(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	vu_server_close(&local->server, &local->vu);
}

static bool
is_gone(const struct rte_eth_dev *dev)
{
	return vu_is_gone(&local_of(dev)->vu);
}

static bool
has_protocol(const struct ppfrag_local *local, unsigned int bit)
{
	return (local->vu.protocol & RTE_BIT64(bit)) != 0;
}

static int
negotiate_protocol(struct ppfrag_local *local)
{
	const uint64_t wanted = RTE_BIT64(VU_PROTOCOL_F_MQ) | RTE_BIT64(VU_PROTOCOL_F_REPLY_ACK) |
			RTE_BIT64(VU_PROTOCOL_F_STATUS);
	uint64_t offered;
	int ret;

	ret = vu_get(&local->vu, VU_GET_PROTOCOL_FEATURES, &offered);
	if (ret == 0)
		ret = vu_set(&local->vu, VU_SET_PROTOCOL_FEATURES, offered & wanted);
	if (ret == 0)
		local->vu.protocol = offered & wanted;
	return ret;
}

static int
negotiate(struct rte_eth_dev *dev, struct virtio_offer *offer)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = local_of(dev);
	int ret;

	offer->pairs = 1;
	ret = vu_set_owner(&local->vu);
	if (ret == 0)
		ret = vu_get(&local->vu, VU_GET_FEATURES, &offer->features);
	if (ret == 0 && (offer->features & RTE_BIT64(VU_F_PROTOCOL_FEATURES)) != 0)
		ret = negotiate_protocol(local);
	if (ret == 0 && pd->max_pairs > 1 && has_protocol(local, VU_PROTOCOL_F_MQ))
		ret = vu_get(&local->vu, VU_GET_QUEUE_NUM, &offer->pairs);
	return ret;
}

/* Legacy devices do not say whether they take the features. */
static int
set_status(const struct ppfrag_dev *pd, struct ppfrag_local *local, uint8_t status)
{
	if (!has_protocol(local, VU_PROTOCOL_F_STATUS))
		return 0;
	if (virtio_is_legacy(pd))
		status &= (uint8_t)~VIRTIO_STATUS_FEATURES_OK;
	return vu_set(&local->vu, VU_SET_STATUS, status);
}

static int
set_features(const struct ppfrag_dev *pd, struct ppfrag_local *local)
{
	int ret;

	ret = set_status(pd, local, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	if (ret == 0)
		ret = vu_set(&local->vu, VU_SET_FEATURES,
				pd->features | pd->offload_features | virtio_ring_features(pd));
	if (ret == 0)
		ret = set_status(pd, local, VIRTIO_STATUS_RUNNING & ~VIRTIO_STATUS_DRIVER_OK);
	return ret;
}

/* Some back ends create a ring when they get its call descriptor, and want all before features. */
static int
set_calls(const struct ppfrag_dev *pd, struct ppfrag_local *local)
{
	uint16_t i;
	int ret = 0;

	for (i = 0; i < 2 * pd->nb_pairs && ret == 0; i++)
		ret = vu_set_vring_fd(&local->vu, VU_SET_VRING_CALL, i, local->call[i].fd);
	return ret;
}

static int
share_memory(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);
	int ret = ppfrag_mem_lend(dev);

	return ret == 0 ? vu_set_mem_table(&local->vu, local->mem.region, local->mem.nb) : ret;
}

static int
prepare(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = local_of(dev);
	int ret;

	ret = set_calls(pd, local);
	if (ret == 0)
		ret = set_features(pd, local);
	return ret == 0 ? share_memory(dev) : ret;
}

static int
ring_start(struct rte_eth_dev *dev, uint16_t vring, const struct virtq *vq)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const uint32_t base = virtio_layout(pd) == VIRTIO_SPLIT ? 0 : PACKED_BASE;
	struct ppfrag_local *local = local_of(dev);
	struct vu *vu = &local->vu;
	int ret;

	/* Back ends may forget it with a ring that they give back. */
	ret = vu_set_vring_fd(vu, VU_SET_VRING_CALL, vring, local->call[vring].fd);
	if (ret == 0)
		ret = vu_set_vring(vu, VU_SET_VRING_NUM, vring, vq->size);
	if (ret == 0)
		ret = vu_set_vring(vu, VU_SET_VRING_BASE, vring, base);
	if (ret == 0)
		ret = vu_set_vring_addr(vu, vring, vq->desc, vq->avail, vq->used);
	if (ret == 0)
		ret = vu_set_vring_fd(vu, VU_SET_VRING_KICK, vring, local->kick[vring].fd);
	return ret;
}

static bool
can_enable(const struct ppfrag_dev *pd)
{
	return (pd->features & RTE_BIT64(VU_F_PROTOCOL_FEATURES)) != 0;
}

/* Without protocol features a ring is enabled by its kick descriptor. */
static int
ring_enable(struct rte_eth_dev *dev, uint16_t vring, bool enable)
{
	if (!can_enable(dev->data->dev_private))
		return 0;
	return vu_set_vring(&local_of(dev)->vu, VU_SET_VRING_ENABLE, vring, enable);
}

/* Requests are dealt with one after the other, and acknowledged before that ends. */
static int
settle(struct rte_eth_dev *dev)
{
	uint64_t features;

	return vu_get(&local_of(dev)->vu, VU_GET_FEATURES, &features);
}

static int
ring_stop(struct rte_eth_dev *dev, uint16_t vring)
{
	return vu_stop_vring(&local_of(dev)->vu, vring);
}

static int
run(struct rte_eth_dev *dev, bool on)
{
	return set_status(dev->data->dev_private, local_of(dev), on ? VIRTIO_STATUS_RUNNING : 0);
}

const struct virtio_backend_ops virtio_backend_vhost_user = {
	.name = "vhost-user",
	.gone = "the port waits for another one",
	.wants_first_pair = true,
	.connect = connect_user,
	.disconnect = disconnect,
	.close = close_user,
	.is_gone = is_gone,
	.negotiate = negotiate,
	.prepare = prepare,
	.ring_start = ring_start,
	.ring_enable = ring_enable,
	.settle = settle,
	.ring_stop = ring_stop,
	.run = run,
	.can_enable = can_enable,
};
