/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "../ppfrag.h"

/*
 * Everything here but ppfrag_kick() runs in the primary process. Whoever talks to the back end
 * holds the lock; the interrupt thread never waits for it.
 */

static struct ppfrag_local *
local_of(const struct rte_eth_dev *dev)
{
	return dev->process_private;
}

static bool
has_protocol(const struct ppfrag_local *local, unsigned int bit)
{
	return (local->vu.protocol & RTE_BIT64(bit)) != 0;
}

void
ppfrag_kick(const struct ppfrag_dev *pd, uint16_t vring)
{
	struct ppfrag_local *local = local_of(&rte_eth_devices[pd->port_id]);

	/* A secondary process has no descriptor to write to; a polling back end needs none. */
	if (local != NULL)
		ppfrag_notify(&local->notifier, &local->kick[vring]);
}

/* Set the link status. Returns whether it changed. */
static bool
set_link(struct rte_eth_dev *dev, bool up)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct rte_eth_link link = {
		.link_speed = up ? RTE_ETH_SPEED_NUM_UNKNOWN : RTE_ETH_SPEED_NUM_NONE,
		.link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
		.link_autoneg = RTE_ETH_LINK_FIXED,
		.link_status = up ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN,
	};

	__atomic_store_n(&pd->link_up, up, __ATOMIC_RELEASE);
	return rte_eth_linkstatus_set(dev, &link) == 0;
}

/* Called with the lock held. Returns whether the link went down. */
static bool
lost(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	PPFRAG_LOG(WARNING, "%s: back end at %s is gone; stop and start the port to reconnect",
			local->vu.name, local->vu.path);
	local->connected = false;
	return set_link(dev, false);
}

/* The interrupt thread: the socket has something to say. */
static void
on_socket(void *arg)
{
	struct rte_eth_dev *dev = arg;
	struct ppfrag_local *local = local_of(dev);
	bool report = false;

	/* Whoever has a request under way reads the answer and will notice. */
	if (pthread_mutex_trylock(&local->lock) != 0)
		return;
	if (local->watched && vu_is_gone(&local->vu)) {
		if (local->connected)
			report = lost(dev) && dev->data->dev_conf.intr_conf.lsc != 0;
		local->watched = false;
		rte_intr_callback_unregister_pending(local->intr, on_socket, dev, NULL);
	}
	pthread_mutex_unlock(&local->lock);
	/* The port cannot go meanwhile: ppfrag_conn_close() waits. */
	if (report)
		rte_eth_dev_callback_process(dev, RTE_ETH_EVENT_INTR_LSC, NULL);
}

static int
watch(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);
	int ret;

	if (rte_intr_fd_set(local->intr, local->vu.fd) != 0 ||
			rte_intr_type_set(local->intr, RTE_INTR_HANDLE_VDEV) != 0)
		return -EINVAL;
	ret = rte_intr_callback_register(local->intr, on_socket, dev);
	local->watched = ret == 0;
	return ret;
}

/* While the back end has memory, the connection is closed for sending only. */
static void
disconnect(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	if (local->watched)
		rte_intr_callback_unregister_sync(local->intr, on_socket, dev);
	local->watched = false;
	local->connected = false;
	local->told.nb = 0;
	if (local->lent)
		shutdown(local->vu.fd, SHUT_WR);
	else
		vu_close(&local->vu);
	set_link(dev, false);
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
check_queues(const struct ppfrag_dev *pd, struct ppfrag_local *local)
{
	uint64_t pairs = 1;
	int ret = 0;

	if (pd->max_pairs > 1 && has_protocol(local, VU_PROTOCOL_F_MQ))
		ret = vu_get(&local->vu, VU_GET_QUEUE_NUM, &pairs);
	if (ret == 0 && pd->max_pairs > pairs) {
		PPFRAG_LOG(ERR,
				"%s: queues=%u, but the back end at %s has %" PRIu64
				": give it more or the port fewer",
				local->vu.name, pd->max_pairs, local->vu.path, pairs);
		ret = -EINVAL;
	}
	return ret;
}

/* Choose features at the first connection; insist on them at later ones. */
static int
choose_features(struct ppfrag_dev *pd, const struct ppfrag_local *local, uint64_t offered)
{
	uint64_t wanted = pd->features | pd->offload_features;

	pd->offered = offered;
	if (pd->features == 0) {
		wanted = RTE_BIT64(VIRTIO_F_VERSION_1) |
				(offered & RTE_BIT64(VU_F_PROTOCOL_FEATURES));
		if (pd->mrg_rxbuf)
			wanted |= offered & RTE_BIT64(VIRTIO_NET_F_MRG_RXBUF);
		if (pd->max_pairs > 1)
			wanted |= RTE_BIT64(VIRTIO_NET_F_MQ);
	}
	if ((offered & wanted) != wanted) {
		PPFRAG_LOG(ERR,
				"%s: back end at %s lacks features 0x%" PRIx64 " of 0x%" PRIx64
				" (virtio 1.0 is bit %u, multi-queue %u)",
				local->vu.name, local->vu.path, wanted & ~offered, wanted,
				VIRTIO_F_VERSION_1, VIRTIO_NET_F_MQ);
		return -ENOTSUP;
	}
	pd->features = wanted & ~pd->offload_features;
	return 0;
}

static int
negotiate(struct ppfrag_dev *pd, struct ppfrag_local *local)
{
	uint64_t offered;
	int ret;

	ret = vu_set_owner(&local->vu);
	if (ret == 0)
		ret = vu_get(&local->vu, VU_GET_FEATURES, &offered);
	if (ret == 0 && (offered & RTE_BIT64(VU_F_PROTOCOL_FEATURES)) != 0)
		ret = negotiate_protocol(local);
	if (ret == 0)
		ret = check_queues(pd, local);
	if (ret == 0)
		ret = choose_features(pd, local, offered);
	return ret;
}

static int
conn_open(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = local_of(dev);
	int ret;

	ret = vu_connect(&local->vu);
	if (ret != 0) {
		PPFRAG_LOG(ERR,
				"%s: cannot connect to path=%s: %s; start the vhost-user back end "
				"(the server) first",
				local->vu.name, local->vu.path, strerror(-ret));
		return ret;
	}
	local->connected = true;
	ret = negotiate(pd, local);
	if (ret == 0)
		ret = watch(dev);
	if (ret != 0)
		disconnect(dev);
	return ret;
}

int
ppfrag_conn_open(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);
	int ret;

	pthread_mutex_lock(&local->lock);
	vu_begin(&local->vu);
	ret = conn_open(dev);
	pthread_mutex_unlock(&local->lock);
	return ret;
}

void
ppfrag_conn_close(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	pthread_mutex_lock(&local->lock);
	disconnect(dev);
	pthread_mutex_unlock(&local->lock);
	/*
	 * The interrupt thread may have unregistered on_socket() and be telling the application. If
	 * that is what closes the port there, it uses nothing of it any more.
	 */
	if (!rte_thread_is_intr())
		rte_intr_callback_unregister_sync(local->intr, on_socket, dev);
}

static int
set_status(struct ppfrag_local *local, uint8_t status)
{
	if (!has_protocol(local, VU_PROTOCOL_F_STATUS))
		return 0;
	return vu_set(&local->vu, VU_SET_STATUS, status);
}

static int
set_features(const struct ppfrag_dev *pd, struct ppfrag_local *local)
{
	int ret;

	ret = set_status(local, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	if (ret == 0)
		ret = vu_set(&local->vu, VU_SET_FEATURES, pd->features | pd->offload_features);
	if (ret == 0)
		ret = set_status(local, VIRTIO_STATUS_RUNNING & ~VIRTIO_STATUS_DRIVER_OK);
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
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = local_of(dev);
	struct ppfrag_mem mem;
	unsigned int i;
	int ret;

	ret = ppfrag_mem_collect(&mem, dev);
	if (ret != 0) {
		PPFRAG_LOG(ERR, "%s: memory cannot be shared: %s", local->vu.name,
				ppfrag_mem_reason(ret));
		return ret;
	}
	for (i = 0; i < mem.nb; i++) {
		pd->shared[i].addr = mem.region[i].addr;
		pd->shared[i].len = mem.region[i].len;
		PPFRAG_LOG(DEBUG, "%s: region %u: 0x%" PRIxPTR ", %zu bytes, offset 0x%" PRIx64,
				local->vu.name, i, mem.region[i].addr, mem.region[i].len,
				mem.region[i].offset);
	}
	pd->nb_shared = mem.nb;
	local->told = mem;
	local->lent = true;
	return vu_set_mem_table(&local->vu, mem.region, mem.nb);
}

/*
 * A pool that was freed may have had the addresses that another one has now, and back ends that
 * get the same addresses again keep the mapping they have. A new connection makes them forget it.
 */
static bool
must_reconnect(const struct rte_eth_dev *dev)
{
	const struct ppfrag_local *local = local_of(dev);
	struct ppfrag_mem mem;

	if (!local->connected || vu_is_gone(&local->vu))
		return true;
	return ppfrag_mem_collect(&mem, dev) == 0 && ppfrag_mem_is_disguised(&mem, &local->told);
}

static int
start_vring(struct rte_eth_dev *dev, uint16_t vring)
{
	struct ppfrag_local *local = local_of(dev);
	struct vu *vu = &local->vu;
	struct virtq vq;
	int ret;

	ppfrag_vring_get(dev, vring, &vq);
	ret = vu_set_vring(vu, VU_SET_VRING_NUM, vring, vq.size);
	if (ret == 0)
		ret = vu_set_vring(vu, VU_SET_VRING_BASE, vring, 0);
	if (ret == 0)
		ret = vu_set_vring_addr(vu, vring, vq.desc, vq.avail, vq.used);
	if (ret == 0)
		ret = vu_set_vring_fd(vu, VU_SET_VRING_KICK, vring, local->kick[vring].fd);
	return ret;
}

/* Without protocol features a ring is enabled by its kick descriptor. */
static int
enable_vrings(const struct ppfrag_dev *pd, struct ppfrag_local *local, bool enable)
{
	uint16_t i;
	int ret = 0;

	if ((pd->features & RTE_BIT64(VU_F_PROTOCOL_FEATURES)) == 0)
		return 0;
	for (i = 0; i < 2 * pd->nb_pairs && ret == 0; i++)
		ret = vu_set_vring(&local->vu, VU_SET_VRING_ENABLE, i, enable);
	return ret;
}

static int
conn_start(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = local_of(dev);
	uint16_t i;
	int ret;

	ret = set_calls(pd, local);
	if (ret == 0)
		ret = set_features(pd, local);
	if (ret == 0)
		ret = share_memory(dev);
	for (i = 0; i < 2 * pd->nb_pairs && ret == 0; i++)
		ret = start_vring(dev, i);
	if (ret == 0)
		ret = enable_vrings(pd, local, true);
	if (ret == 0)
		ret = set_status(local, VIRTIO_STATUS_RUNNING);
	if (ret == 0)
		set_link(dev, true);
	else
		disconnect(dev);
	return ret;
}

int
ppfrag_conn_start(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);
	int ret = 0;

	pthread_mutex_lock(&local->lock);
	vu_begin(&local->vu);
	if (must_reconnect(dev)) {
		disconnect(dev);
		ret = ppfrag_notify_restart(local);
		if (ret == 0)
			ret = conn_open(dev);
	}
	if (ret == 0)
		ret = conn_start(dev);
	pthread_mutex_unlock(&local->lock);
	return ret;
}

static int
stop_vrings(const struct ppfrag_dev *pd, struct ppfrag_local *local)
{
	uint16_t i;
	int ret;

	ret = enable_vrings(pd, local, false);
	for (i = 0; i < 2 * pd->nb_pairs && ret == 0; i++)
		ret = vu_stop_vring(&local->vu, i);
	return ret == 0 ? set_status(local, 0) : ret;
}

void
ppfrag_conn_stop(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = local_of(dev);

	pthread_mutex_lock(&local->lock);
	vu_begin(&local->vu);
	/* Closing the connection is the other way to make a back end stop, some time. */
	if (local->connected && stop_vrings(pd, local) == 0)
		local->lent = false;
	else
		disconnect(dev);
	if (local->lent) {
		ppfrag_quarantine_add(dev, local->vu.fd);
		local->vu.fd = -1;
		local->lent = false;
	}
	set_link(dev, false);
	pthread_mutex_unlock(&local->lock);
}

int
ppfrag_conn_set_link(struct rte_eth_dev *dev, bool up)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = local_of(dev);
	int ret;

	if (!dev->data->dev_started)
		return up ? -EINVAL : 0;
	if ((pd->features & RTE_BIT64(VU_F_PROTOCOL_FEATURES)) == 0)
		return -ENOTSUP;
	pthread_mutex_lock(&local->lock);
	vu_begin(&local->vu);
	ret = local->connected ? enable_vrings(pd, local, up) : -ENOTCONN;
	if (ret == 0)
		set_link(dev, up);
	else
		disconnect(dev);
	pthread_mutex_unlock(&local->lock);
	return ret;
}

void
ppfrag_conn_check(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	/* The interrupt thread reports it; this is for who looks before it does. */
	if (local == NULL || pthread_mutex_trylock(&local->lock) != 0)
		return;
	if (local->connected && vu_is_gone(&local->vu))
		lost(dev);
	pthread_mutex_unlock(&local->lock);
}
