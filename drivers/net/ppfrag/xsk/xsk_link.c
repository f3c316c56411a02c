/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include <rte_alarm.h>

#include "xsk.h"

/*
 * The state of the link, as the kernel tells of changes by netlink, to EAL's interrupt thread.
 *
 * Sockets of an interface that is deleted, or moved to another namespace, are of no use any more,
 * also when it comes back. The link is down from then on. Some time later, when what was received
 * before has been polled, they are closed; and as soon as there is an interface of that name again
 * which is set up, others are made for it. Where that fails, it is tried again, later each time.
 *
 * What is to be done, an alarm does: the application, which is told of events, may close the port.
 */

/* The longest message of the kernel about an interface; one that is longer is cut. */
#define MESSAGE_LEN 16384
/* How long what was received before its interface was gone can be polled. */
#define GRACE_MS 50u
/* From one attempt to go on to the next one. */
#define RETRY_MIN_MS 10u
#define RETRY_MAX_MS 10000u

bool
xsk_link_is_gone(const struct xsk_local *local)
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
		.link_status = local->runs && !xsk_link_is_gone(local) && xsk_netdev_is_up(dev),
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
	local->told_status = dev->data->dev_link.link_status;
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
	PPFRAG_LOG(WARNING, "%s: interface '%s' %s: the link is down until it is here again",
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
	if (!xsk_link_is_gone(local) && ifindex != 0 && ifindex != local->ifindex) {
		__atomic_store_n(&local->gone, true, __ATOMIC_RELEASE);
		replaced = true;
	}
	pthread_mutex_unlock(&local->lock);
	if (replaced)
		PPFRAG_LOG(WARNING, "%s: another interface has its name now: the link is down",
				dev->data->name);
}

/*
 * Where bursts cannot be kept off the queues, the application has to act. Returns whether it is to
 * be told, once, that there is an interface of that name again.
 */
static bool
note_back(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct xsk_local *local = xsk_local(dev);

	if (!xsk_link_is_gone(local) || local->told_back || xsk_netdev_index(dev) == 0)
		return false;
	local->told_back = true;
	PPFRAG_LOG(NOTICE,
			"%s: there is an interface '%s' again: stop and start the port to use it, as the kernel has no membarrier()",
			dev->data->name, pd->iface);
	return true;
}

static void link_step(void *arg);

static void
step_in(struct rte_eth_dev *dev, unsigned int ms)
{
	rte_eal_alarm_set(RTE_MAX(ms * 1000, 1u), link_step, dev);
}

/* Make sockets for the interface that is there now, if there is one that was not tried just now. */
static void
resume_try(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct xsk_local *local = xsk_local(dev);
	const uint32_t ifindex = xsk_netdev_index(dev);

	if (ifindex == 0 || !xsk_netdev_is_set_up(dev))
		return; /* there will be a message */
	if (ifindex != local->tried)
		local->retry_ms = 0;
	else if (rte_get_timer_cycles() < local->retry_at)
		return; /* there will be an alarm */
	local->tried = ifindex;
	if (xsk_device_resume(dev) == 0) {
		local->tried = 0;
		pd->reconnections++;
		PPFRAG_LOG(NOTICE, "%s: goes on with the interface '%s' that is here now",
				dev->data->name, pd->iface);
		step_in(dev, 0);
		return;
	}
	local->retry_ms = RTE_MIN(RTE_MAX(2 * local->retry_ms, RETRY_MIN_MS), RETRY_MAX_MS);
	local->retry_at = rte_get_timer_cycles() + local->retry_ms * rte_get_timer_hz() / 1000;
	step_in(dev, local->retry_ms + 1);
}

/* What is to be done about an interface that is gone. */
static void
resume_step(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);

	pthread_mutex_lock(&local->ctl);
	if (xsk_link_is_gone(local)) {
		if (!local->detached && rte_get_timer_cycles() >= local->detach_at)
			xsk_device_detach(dev);
		if (local->detached && local->runs)
			resume_try(dev);
	}
	pthread_mutex_unlock(&local->ctl);
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

/* Whether the link is another one than the application was told last. It may have looked, too. */
static bool
link_differs(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);
	bool differs;

	pthread_mutex_lock(&local->lock);
	link_look(dev);
	differs = local->told_status != dev->data->dev_link.link_status;
	local->told_status = dev->data->dev_link.link_status;
	pthread_mutex_unlock(&local->lock);
	return differs;
}

/* One event for each call: nothing of the port is used after it. */
static void
link_step(void *arg)
{
	struct rte_eth_dev *dev = arg;
	struct xsk_local *local = xsk_local(dev);

	/* Before the port goes on, the application has been told that the link was down. */
	if (link_differs(dev)) {
		step_in(dev, 0);
		rte_eth_dev_callback_process(dev, RTE_ETH_EVENT_INTR_LSC, NULL);
	} else if (local->has_gates) {
		resume_step(dev);
	} else if (note_back(dev)) {
		rte_eth_dev_callback_process(dev, RTE_ETH_EVENT_INTR_RESET, NULL);
	}
}

static void
link_changed(void *arg)
{
	struct rte_eth_dev *dev = arg;
	struct xsk_local *local = xsk_local(dev);
	const bool was_gone = xsk_link_is_gone(local);

	messages_read(dev);
	note_replaced(dev);
	if (!was_gone && xsk_link_is_gone(local)) {
		local->detach_at = rte_get_timer_cycles() + GRACE_MS * rte_get_timer_hz() / 1000;
		step_in(dev, GRACE_MS + 1);
	}
	step_in(dev, 0);
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

	local->has_gates = xsk_gates_init();
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
	rte_eal_alarm_cancel(link_step, dev);
	rte_intr_instance_free(local->link_intr);
	local->link_intr = NULL;
	if (local->link_fd >= 0)
		close(local->link_fd);
	local->link_fd = -1;
}
