/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_string_fns.h>

#include "virtio.h"
#include "virtio_hdr.h"

/* The tap behind vhost-net. */

#define TUN_DEVICE "/dev/net/tun"
/* The kernel puts the first number that is free in place of %d. */
#define DEFAULT_NAME "tap%d"

#define TAP_LOG(dev, level, ...) PPFRAG_LOG_LEVEL(log_level(dev, RTE_LOG_##level), __VA_ARGS__)

/* What fails again and again is said once. */
static uint32_t
log_level(const struct rte_eth_dev *dev, uint32_t level)
{
	const struct ppfrag_local *local = dev->process_private;

	return local->vu.quiet ? RTE_LOG_DEBUG : level;
}

static struct vhost_tap *
tap_of(const struct rte_eth_dev *dev)
{
	return &((struct ppfrag_local *)dev->process_private)->vk.tap;
}

/* Opening */

static int
open_tun(const struct rte_eth_dev *dev)
{
	int fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int err = errno;

	if (fd >= 0)
		return fd;
	if (err == EACCES || err == EPERM)
		TAP_LOG(dev, ERR,
				"%s: " TUN_DEVICE
				" is refused: %s; run as root, or give the user access to it",
				dev->data->name, strerror(err));
	else
		TAP_LOG(dev, ERR,
				"%s: no " TUN_DEVICE
				", which makes the tap of path=/dev/vhost-net: %s; load its module: modprobe tun",
				dev->data->name, strerror(err));
	return -err;
}

/* What helps where the kernel refuses a queue of the tap. */
static const char *
refusal_remedy(int err, uint16_t pairs)
{
	switch (err) {
	case EPERM:
		return pairs == 1 ?
				"this takes CAP_NET_ADMIN: run as root, or let root make the tap: ip tuntap add dev NAME mode tap user USER" :
				"this takes CAP_NET_ADMIN: run as root, or let root make the tap: ip tuntap add dev NAME mode tap multi_queue user USER";
	case EBUSY:
		return "another program has it: choose another name";
	case EINVAL:
		return pairs == 1 ?
				"an interface of this name is no tap: choose another name" :
				"an interface of this name is no tap, or one of a single queue: choose another name, queues=1, or make it with multi_queue";
	default:
		return "choose another name, or fewer queues";
	}
}

static int
set_iff(int fd, struct ifreq *ifr, const char *name, bool multi_queue)
{
	memset(ifr, 0, sizeof(*ifr));
	rte_strscpy(ifr->ifr_name, name, sizeof(ifr->ifr_name));
	ifr->ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (multi_queue)
		ifr->ifr_flags |= IFF_MULTI_QUEUE;
	return ioctl(fd, TUNSETIFF, ifr) == 0 ? 0 : -errno;
}

/* Make the tap, or get one more queue of it. Its name is known then. */
static int
attach(struct rte_eth_dev *dev, int fd)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	const char *name = pd->iface[0] == '\0' ? DEFAULT_NAME : pd->iface;
	struct ifreq ifr;
	int ret;

	ret = set_iff(fd, &ifr, name, pd->max_pairs > 1);
	/* It may be there, and have more queues than are asked for. */
	if (ret == -EINVAL && pd->max_pairs == 1)
		ret = set_iff(fd, &ifr, name, true);
	if (ret == 0) {
		rte_strscpy(pd->iface, ifr.ifr_name, sizeof(pd->iface));
		return 0;
	}
	TAP_LOG(dev, ERR, "%s: tap iface=%s with queues=%u is refused: %s; %s", dev->data->name,
			name, pd->max_pairs, strerror(-ret), refusal_remedy(-ret, pd->max_pairs));
	return ret;
}

int
vhost_tap_open(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct vhost_tap *tap = tap_of(dev);
	uint16_t i;
	int ret = 0;

	for (i = 0; i < pd->max_pairs && ret == 0; i++) {
		tap->fd[i] = open_tun(dev);
		ret = tap->fd[i] < 0 ? tap->fd[i] : attach(dev, tap->fd[i]);
	}
	if (ret != 0) {
		vhost_tap_close(tap);
		return ret;
	}
	vhost_tap_set_carrier(tap, false);
	return 0;
}

void
vhost_tap_close(struct vhost_tap *tap)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(tap->fd); i++) {
		if (tap->fd[i] >= 0)
			close(tap->fd[i]);
		tap->fd[i] = -1;
		tap->detached[i] = false;
	}
	tap->mtu = 0;
	tap->mac = (struct rte_ether_addr){ .addr_bytes = { 0 } };
}

/* State */

/* It can be written to exactly while it is up; when it is deleted, there is an error. */
static short
tap_events(const struct vhost_tap *tap)
{
	struct pollfd pfd = { .fd = tap->fd[0], .events = POLLOUT };

	return poll(&pfd, 1, 0) == 1 ? pfd.revents : 0;
}

bool
vhost_tap_is_gone(const struct vhost_tap *tap)
{
	return tap->fd[0] < 0 || (tap_events(tap) & POLLERR) != 0;
}

bool
vhost_tap_is_up(const struct vhost_tap *tap)
{
	return tap->fd[0] >= 0 && (tap_events(tap) & (POLLOUT | POLLERR)) == POLLOUT;
}

/* Kernels before 4.20 always have a carrier. */
void
vhost_tap_set_carrier(const struct vhost_tap *tap, bool on)
{
	int carrier = on;

	if (tap->fd[0] >= 0)
		ioctl(tap->fd[0], TUNSETCARRIER, &carrier);
}

/* What it is told */

/* The tap has the address of the port, as with net_virtio_user. */
static int
set_mac(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct vhost_tap *tap = tap_of(dev);
	struct ifreq ifr;
	int err;

	if (rte_is_same_ether_addr(&tap->mac, &pd->mac[0]))
		return 0;
	memset(&ifr, 0, sizeof(ifr));
	ifr.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(ifr.ifr_hwaddr.sa_data, &pd->mac[0], sizeof(pd->mac[0]));
	if (ioctl(tap->fd[0], SIOCSIFHWADDR, &ifr) != 0) {
		err = errno;
		TAP_LOG(dev, ERR,
				"%s: tap %s does not take mac=" RTE_ETHER_ADDR_PRT_FMT
				": %s; use another address",
				dev->data->name, pd->iface, RTE_ETHER_ADDR_BYTES(&pd->mac[0]),
				strerror(err));
		return -err;
	}
	tap->mac = pd->mac[0];
	return 0;
}

/* By its name, in the network namespace that the port was made in. */
static int
change_mtu(const struct ppfrag_dev *pd, uint16_t mtu)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret = 0;
	struct ifreq ifr;

	if (fd < 0)
		return -errno;
	memset(&ifr, 0, sizeof(ifr));
	rte_strscpy(ifr.ifr_name, pd->iface, sizeof(ifr.ifr_name));
	if (ioctl(fd, SIOCGIFMTU, &ifr) != 0)
		ret = -errno;
	if (ret == 0 && ifr.ifr_mtu != mtu) {
		ifr.ifr_mtu = mtu;
		ret = ioctl(fd, SIOCSIFMTU, &ifr) == 0 ? 0 : -errno;
	}
	close(fd);
	return ret;
}

/* Where the kernel refuses, frames up to the smaller one of both pass all the same. */
static void
set_mtu(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const uint16_t mtu = dev->data->mtu;
	struct vhost_tap *tap = tap_of(dev);
	int ret;

	if (tap->mtu == mtu)
		return;
	tap->mtu = mtu;
	ret = change_mtu(pd, mtu);
	if (ret != 0)
		TAP_LOG(dev, WARNING,
				"%s: the MTU of tap %s cannot be set: %s; set it where the tap is: ip link set dev %s mtu %u",
				dev->data->name, pd->iface, strerror(-ret), pd->iface, mtu);
}

static int
set_queue(const struct rte_eth_dev *dev, uint16_t i, bool detach)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct vhost_tap *tap = tap_of(dev);
	struct ifreq ifr;
	int err;

	if (tap->detached[i] == detach)
		return 0;
	memset(&ifr, 0, sizeof(ifr));
	ifr.ifr_flags = detach ? IFF_DETACH_QUEUE : IFF_ATTACH_QUEUE;
	if (ioctl(tap->fd[i], TUNSETQUEUE, &ifr) != 0) {
		err = errno;
		TAP_LOG(dev, ERR, "%s: queue %u of tap %s cannot be %s: %s", dev->data->name, i,
				pd->iface, detach ? "detached" : "attached", strerror(err));
		return -err;
	}
	tap->detached[i] = detach;
	return 0;
}

/* The kernel spreads packets over the queues that are attached. */
static int
set_queues(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;
	int ret = 0;

	for (i = 0; i < pd->max_pairs && ret == 0; i++)
		ret = set_queue(dev, i, i >= pd->nb_pairs);
	if (ret == 0 && dev->data->nb_rx_queues < pd->nb_pairs)
		TAP_LOG(dev, WARNING,
				"%s: what the kernel sends by queues %u to %u of tap %s is lost: configure as many receive queues as transmit queues",
				dev->data->name, dev->data->nb_rx_queues, pd->nb_pairs - 1,
				pd->iface);
	return ret;
}

/* What the kernel may leave to the port. */
static unsigned int
tun_offloads(uint64_t features)
{
	unsigned int offloads = 0;

	if ((features & RTE_BIT64(VIRTIO_NET_F_GUEST_CSUM)) == 0)
		return 0;
	offloads |= TUN_F_CSUM;
	if ((features & RTE_BIT64(VIRTIO_NET_F_GUEST_TSO4)) != 0)
		offloads |= TUN_F_TSO4;
	if ((features & RTE_BIT64(VIRTIO_NET_F_GUEST_TSO6)) != 0)
		offloads |= TUN_F_TSO6;
	return offloads;
}

int
vhost_tap_prepare(struct rte_eth_dev *dev, uint64_t features)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const struct vhost_tap *tap = tap_of(dev);
	const unsigned long offloads = tun_offloads(features);
	int header = VIRTIO_HDR_LEN, err;

	if (ioctl(tap->fd[0], TUNSETVNETHDRSZ, &header) != 0 ||
			ioctl(tap->fd[0], TUNSETOFFLOAD, offloads) != 0) {
		err = errno;
		TAP_LOG(dev, ERR,
				"%s: tap %s has no headers for offloads: %s; this takes Linux 4.0",
				dev->data->name, pd->iface, strerror(err));
		return -err;
	}
	set_mtu(dev);
	err = set_mac(dev);
	return err == 0 ? set_queues(dev) : err;
}
