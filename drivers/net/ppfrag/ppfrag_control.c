/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "ppfrag_control.h"
#include "virtio/virtio_device.h"

/*
 * The connection to the back end: make it, end it, notice that it is gone. What is said there, the
 * device knows. Whoever uses the connection holds the lock; the interrupt thread never waits for
 * it.
 */

static struct ppfrag_local *
local_of(const struct rte_eth_dev *dev)
{
	return dev->process_private;
}

/* Set the link status. Returns whether it changed. */
static bool
link_set(struct rte_eth_dev *dev, bool up)
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
conn_lost(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	PPFRAG_LOG(WARNING, "%s: back end at %s is gone; stop and start the port to reconnect",
			local->vu.name, local->vu.path);
	local->connected = false;
	return link_set(dev, false);
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
			report = conn_lost(dev) && dev->data->dev_conf.intr_conf.lsc != 0;
		local->watched = false;
		rte_intr_callback_unregister_pending(local->intr, on_socket, dev, NULL);
	}
	pthread_mutex_unlock(&local->lock);
	/* The port cannot go meanwhile: ppfrag_control_close() waits. */
	if (report)
		rte_eth_dev_callback_process(dev, RTE_ETH_EVENT_INTR_LSC, NULL);
}

static int
conn_watch(struct rte_eth_dev *dev)
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
conn_close(struct rte_eth_dev *dev)
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
	link_set(dev, false);
}

static int
conn_open(struct rte_eth_dev *dev)
{
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
	ret = virtio_negotiate(dev);
	if (ret == 0)
		ret = conn_watch(dev);
	if (ret != 0)
		conn_close(dev);
	return ret;
}

int
ppfrag_control_open(struct rte_eth_dev *dev)
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
ppfrag_control_close(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	pthread_mutex_lock(&local->lock);
	conn_close(dev);
	pthread_mutex_unlock(&local->lock);
	/*
	 * The interrupt thread may have unregistered on_socket() and be telling the application. If
	 * that is what closes the port there, it uses nothing of it any more.
	 */
	if (!rte_thread_is_intr())
		rte_intr_callback_unregister_sync(local->intr, on_socket, dev);
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

int
ppfrag_control_start(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);
	int ret = 0;

	pthread_mutex_lock(&local->lock);
	vu_begin(&local->vu);
	if (must_reconnect(dev)) {
		conn_close(dev);
		ret = ppfrag_notify_restart(local);
		if (ret == 0)
			ret = conn_open(dev);
	}
	if (ret == 0) {
		ret = virtio_run(dev);
		if (ret == 0)
			link_set(dev, true);
		else
			conn_close(dev);
	}
	pthread_mutex_unlock(&local->lock);
	return ret;
}

void
ppfrag_control_stop(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	pthread_mutex_lock(&local->lock);
	vu_begin(&local->vu);
	/* Closing the connection is the other way to make a back end stop, some time. */
	if (local->connected && virtio_idle(dev) == 0)
		local->lent = false;
	else
		conn_close(dev);
	if (local->lent) {
		ppfrag_quarantine_add(dev, local->vu.fd);
		local->vu.fd = -1;
		local->lent = false;
	}
	link_set(dev, false);
	pthread_mutex_unlock(&local->lock);
}

int
ppfrag_control_set_link(struct rte_eth_dev *dev, bool up)
{
	struct ppfrag_local *local = local_of(dev);
	int ret;

	if (!dev->data->dev_started)
		return up ? -EINVAL : 0;
	if (!virtio_can_enable(dev))
		return -ENOTSUP;
	pthread_mutex_lock(&local->lock);
	vu_begin(&local->vu);
	ret = local->connected ? virtio_enable(dev, up) : -ENOTCONN;
	if (ret == 0)
		link_set(dev, up);
	else
		conn_close(dev);
	pthread_mutex_unlock(&local->lock);
	return ret;
}

void
ppfrag_control_check(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	/* The interrupt thread reports it; this is for who looks before it does. */
	if (local == NULL || pthread_mutex_trylock(&local->lock) != 0)
		return;
	if (local->connected && vu_is_gone(&local->vu))
		conn_lost(dev);
	pthread_mutex_unlock(&local->lock);
}
