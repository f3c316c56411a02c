/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <net/if.h>
#include <net/if_arp.h>

#include <linux/ethtool.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>

#include <rte_string_fns.h>

#include "xsk.h"

/*
 * The interface itself, by ioctl(). It stays the kernel's: what others change is seen, and what we
 * change for as long as the port is there ends with the process.
 */

static int
netdev_ioctl(const struct rte_eth_dev *dev, unsigned long request, struct ifreq *ifr)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;

	rte_strscpy(ifr->ifr_name, pd->iface, sizeof(ifr->ifr_name));
	return ioctl(xsk_local(dev)->ctl_fd, request, ifr) == 0 ? 0 : -errno;
}

int
xsk_netdev_find(struct rte_eth_dev *dev, uint32_t *ifindex)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ifreq ifr = { .ifr_flags = 0 };
	int ret;

	ret = netdev_ioctl(dev, SIOCGIFHWADDR, &ifr);
	if (ret == -ENODEV) {
		PPFRAG_LOG(ERR, "%s: there is no interface '%s' in this network namespace: see 'ip link'",
				dev->data->name, pd->iface);
		return ret;
	}
	if (ret == 0 && ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER) {
		PPFRAG_LOG(ERR, "%s: interface '%s' is none of Ethernet", dev->data->name,
				pd->iface);
		return -ENOTSUP;
	}
	memcpy(&pd->mac[0], ifr.ifr_hwaddr.sa_data, sizeof(pd->mac[0]));
	if (ret == 0)
		ret = netdev_ioctl(dev, SIOCGIFINDEX, &ifr);
	if (ret != 0)
		PPFRAG_LOG(ERR, "%s: interface '%s': %s", dev->data->name, pd->iface,
				strerror(-ret));
	*ifindex = (uint32_t)ifr.ifr_ifindex;
	return ret;
}

/* The same capability as for AF_XDP: told when the port is made, not when it starts. */
static int
sockets_open(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);

	local->ctl_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	local->packet_fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (local->ctl_fd >= 0 && local->packet_fd >= 0)
		return 0;
	PPFRAG_LOG(ERR, "%s: no socket: %s%s", dev->data->name, strerror(errno),
			errno == EPERM ? ": run it as root, or with the capability CAP_NET_RAW" :
					 "");
	return errno == 0 ? -EPERM : -errno;
}

int
xsk_netdev_open(struct rte_eth_dev *dev)
{
	int ret = sockets_open(dev);

	return ret == 0 ? xsk_netdev_find(dev, &xsk_local(dev)->ifindex) : ret;
}

void
xsk_netdev_close(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);

	if (local->ctl_fd >= 0)
		close(local->ctl_fd);
	local->ctl_fd = -1;
	if (local->packet_fd >= 0)
		close(local->packet_fd);
	local->packet_fd = -1;
}

int
xsk_netdev_mtu_get(const struct rte_eth_dev *dev, uint32_t *mtu)
{
	struct ifreq ifr = { .ifr_mtu = 0 };
	int ret = netdev_ioctl(dev, SIOCGIFMTU, &ifr);

	*mtu = (uint32_t)ifr.ifr_mtu;
	return ret;
}

int
xsk_netdev_mtu_set(struct rte_eth_dev *dev, uint32_t mtu)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct ifreq ifr = { .ifr_mtu = (int)mtu };
	int ret = netdev_ioctl(dev, SIOCSIFMTU, &ifr);

	if (ret != 0)
		PPFRAG_LOG(ERR, "%s: interface '%s' does not take an MTU of %u: %s%s",
				dev->data->name, pd->iface, mtu, strerror(-ret),
				ret == -EPERM ? ": it takes the capability CAP_NET_ADMIN" :
						": use a smaller one, see maxmtu in 'ip -d link'");
	return ret;
}

int
xsk_netdev_mac_set(struct rte_eth_dev *dev, const struct rte_ether_addr *mac)
{
	struct ifreq ifr = { .ifr_flags = 0 };

	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, mac, sizeof(*mac));
	return netdev_ioctl(dev, SIOCSIFHWADDR, &ifr);
}

/*
 * Each is one of the interface that was there when it was asked for.
 *
 * Memberships are counted by the kernel, and end with the socket. ethdev asks for one again at each
 * start of the port: the former one is dropped first, as it drops one only in the end.
 */
static int
membership_set(struct rte_eth_dev *dev, unsigned short type, bool on)
{
	const struct xsk_local *local = xsk_local(dev);
	struct packet_mreq mreq = { .mr_ifindex = (int)local->ifindex, .mr_type = type };
	int ret;

	/* There may be none, or it has gone with the interface. */
	setsockopt(local->packet_fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &mreq, sizeof(mreq));
	if (!on)
		return 0;
	ret = setsockopt(local->packet_fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq, sizeof(mreq));
	return ret == 0 ? 0 : -errno;
}

static int
membership_switch(struct rte_eth_dev *dev, unsigned short type, bool on)
{
	struct xsk_local *local = xsk_local(dev);
	int ret;

	pthread_mutex_lock(&local->ctl);
	ret = membership_set(dev, type, on);
	pthread_mutex_unlock(&local->ctl);
	return ret;
}

int
xsk_netdev_promiscuous(struct rte_eth_dev *dev, bool on)
{
	return membership_switch(dev, PACKET_MR_PROMISC, on);
}

int
xsk_netdev_allmulticast(struct rte_eth_dev *dev, bool on)
{
	return membership_switch(dev, PACKET_MR_ALLMULTI, on);
}

int
xsk_netdev_modes_renew(struct rte_eth_dev *dev)
{
	int ret = 0;

	if (dev->data->promiscuous != 0)
		ret = membership_set(dev, PACKET_MR_PROMISC, true);
	if (ret == 0 && dev->data->all_multicast != 0)
		ret = membership_set(dev, PACKET_MR_ALLMULTI, true);
	return ret;
}

uint32_t
xsk_netdev_index(const struct rte_eth_dev *dev)
{
	struct ifreq ifr = { .ifr_flags = 0 };

	return netdev_ioctl(dev, SIOCGIFINDEX, &ifr) == 0 ? (uint32_t)ifr.ifr_ifindex : 0;
}

static bool
has_flags(const struct rte_eth_dev *dev, short flags)
{
	struct ifreq ifr = { .ifr_flags = 0 };

	return netdev_ioctl(dev, SIOCGIFFLAGS, &ifr) == 0 && (ifr.ifr_flags & flags) == flags;
}

bool
xsk_netdev_is_up(const struct rte_eth_dev *dev)
{
	return has_flags(dev, IFF_UP | IFF_RUNNING);
}

bool
xsk_netdev_is_set_up(const struct rte_eth_dev *dev)
{
	return has_flags(dev, IFF_UP);
}

void
xsk_netdev_check_channels(const struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = { .ifr_data = (void *)&ch };
	uint32_t nb;

	if (netdev_ioctl(dev, SIOCETHTOOL, &ifr) != 0)
		return;
	nb = ch.rx_count + ch.combined_count;
	if (nb > dev->data->nb_rx_queues)
		PPFRAG_LOG(WARNING,
				"%s: interface '%s' receives with %u queues, the port with %u from queue %u on: packets of the others go to the kernel; 'ethtool -L %s' changes their number, queue_count= that of the port",
				dev->data->name, pd->iface, nb, dev->data->nb_rx_queues,
				pd->xsk.start_queue, pd->iface);
}
