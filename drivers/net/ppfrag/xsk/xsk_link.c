/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "xsk.h"

/*
 * The state of the link, as the kernel tells of changes by netlink, to EAL's interrupt thread.
 *
 * Sockets of an interface that is deleted, or moved to another namespace, are of no use any more,
 * also when it comes back. The link is down from then on, until the port is started again.
 */

/* The longest message of the kernel about an interface; one that is longer is cut. */
#define MESSAGE_LEN 16384

static bool
is_gone(const struct xsk_local *local)
{
	return __atomic_load_n(&local->gone, __ATOMIC_ACQUIRE);
}

static int
link_look(struct rte_eth_dev *dev)
{
	const struct xsk_local *local = xsk_local(dev);
	const struct rte_eth_link link = {
		.link_speed = RTE_ETH_SPEED_NUM_UNKNOWN,
		.link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
		.link_autoneg = RTE_ETH_LINK_AUTONEG,
		.link_status = local->runs && !is_gone(local) && xsk_netdev_is_up(dev),
	};

	return rte_eth_linkstatus_set(dev, &link);
}

int
xsk_link_update(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);
	int ret;

	pthread_mutex_lock(&local->lock);
	ret = link_look(dev);
	pthread_mutex_unlock(&local->lock);
	return ret;
}

void
xsk_link_run(struct rte_eth_dev *dev, bool run)
{
	struct xsk_local *local = xsk_local(dev);

	pthread_mutex_lock(&local->lock);
	local->runs = run;
	link_look(dev);
	pthread_mutex_unlock(&local->lock);
}

/* Only an interface that was moved has a number in another namespace. */
static bool
was_moved(struct nlmsghdr *h)
{
	struct rtattr *a = IFLA_RTA(NLMSG_DATA(h));
	size_t len = IFLA_PAYLOAD(h);

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == IFLA_NEW_NETNSID)
			return true;
	return false;
}

static void
note_gone(struct rte_eth_dev *dev, struct nlmsghdr *h)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const struct ifinfomsg *info = NLMSG_DATA(h);
	struct xsk_local *local = xsk_local(dev);

	if (h->nlmsg_type != RTM_DELLINK || (uint32_t)info->ifi_index != local->ifindex ||
			info->ifi_family != AF_UNSPEC)
		return;
	__atomic_store_n(&local->gone, true, __ATOMIC_RELEASE);
	PPFRAG_LOG(WARNING,
			"%s: interface '%s' %s: the link is down; when it is here again, stop and start the port",
			dev->data->name, pd->iface,
			was_moved(h) ? "was moved to another network namespace" : "was deleted");
}

/* Messages are lost where the kernel has more than the socket holds, that of a deletion, too. */
static void
note_replaced(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);
	bool replaced = false;
	uint32_t ifindex;

	pthread_mutex_lock(&local->lock);
	ifindex = xsk_netdev_index(dev);
	if (!is_gone(local) && ifindex != 0 && ifindex != local->ifindex) {
		__atomic_store_n(&local->gone, true, __ATOMIC_RELEASE);
		replaced = true;
	}
	pthread_mutex_unlock(&local->lock);
	if (replaced)
		PPFRAG_LOG(WARNING, "%s: another interface has its name now: the link is down",
				dev->data->name);
}

/* Tell once that there is an interface of that name again. */
static void
note_back(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct xsk_local *local = xsk_local(dev);

	if (!is_gone(local) || local->told_back || xsk_netdev_index(dev) == 0)
		return;
	local->told_back = true;
	PPFRAG_LOG(NOTICE,
			"%s: there is an interface '%s' again: stop and start the port to use it",
			dev->data->name, pd->iface);
	rte_eth_dev_callback_process(dev, RTE_ETH_EVENT_INTR_RESET, NULL);
}

static void
messages_read(struct rte_eth_dev *dev)
{
	char buf[MESSAGE_LEN] __rte_aligned(NLMSG_ALIGNTO);
	struct xsk_local *local = xsk_local(dev);
	struct nlmsghdr *h;
	ssize_t len;
	size_t left;

	for (;;) {
		len = recv(local->link_fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (len < 0 && errno != ENOBUFS && errno != EINTR)
			return;
		left = len < 0 ? 0 : (size_t)len;
		for (h = (struct nlmsghdr *)buf; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
			note_gone(dev, h);
	}
}

static void
link_changed(void *arg)
{
	struct rte_eth_dev *dev = arg;

	messages_read(dev);
	note_replaced(dev);
	if (xsk_link_update(dev) == 0)
		rte_eth_dev_callback_process(dev, RTE_ETH_EVENT_INTR_LSC, NULL);
	note_back(dev);
}

static int
socket_open(void)
{
	const struct sockaddr_nl addr = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd >= 0 && bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
handle_init(struct xsk_local *local)
{
	int ret;

	local->link_intr = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	if (local->link_intr == NULL)
		return -ENOMEM;
	ret = rte_intr_fd_set(local->link_intr, local->link_fd);
	return ret == 0 ? rte_intr_type_set(local->link_intr, RTE_INTR_HANDLE_EXT) : ret;
}

int
xsk_link_init(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);
	int ret;

	local->link_fd = socket_open();
	ret = local->link_fd < 0 ? -errno : handle_init(local);
	if (ret == 0)
		ret = rte_intr_callback_register(local->link_intr, link_changed, dev);
	local->link_watched = ret == 0;
	if (ret != 0)
		PPFRAG_LOG(ERR, "%s: changes of the link cannot be watched: %s", dev->data->name,
				strerror(-ret));
	return ret;
}

void
xsk_link_fini(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);

	if (local->link_watched)
		rte_intr_callback_unregister_sync(local->link_intr, link_changed, dev);
	local->link_watched = false;
	rte_intr_instance_free(local->link_intr);
	local->link_intr = NULL;
	if (local->link_fd >= 0)
		close(local->link_fd);
	local->link_fd = -1;
}
