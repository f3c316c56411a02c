/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "backend.h"
#include "virtio_hdr.h"

/*
 * What is said to vhost-net. Each queue pair has a descriptor of it, with two rings, and a queue of
 * the tap. Nothing here waits for anybody: when a request to leave a ring alone returns, the kernel
 * has done so. It uses our addresses and page tables, so that memory need not lie in files.
 */

/* How often to look at the tap, which has no event for most of what happens to it. */
#define LOOK_MS 100

/* Of those that it offers, which of the rings it shall have. */
#define RING_FEATURES \
	(RTE_BIT64(VIRTIO_F_VERSION_1) | RTE_BIT64(VIRTIO_NET_F_MRG_RXBUF) | \
			RTE_BIT64(VIRTIO_F_INDIRECT_DESC) | RTE_BIT64(VIRTIO_F_EVENT_IDX))

/* What the tap has, and vhost-net knows nothing about. */
#define TAP_FEATURES \
	(RTE_BIT64(VIRTIO_NET_F_CSUM) | RTE_BIT64(VIRTIO_NET_F_GUEST_CSUM) | \
			RTE_BIT64(VIRTIO_NET_F_GUEST_TSO4) | RTE_BIT64(VIRTIO_NET_F_GUEST_TSO6) | \
			RTE_BIT64(VIRTIO_NET_F_HOST_TSO4) | RTE_BIT64(VIRTIO_NET_F_HOST_TSO6))

static struct ppfrag_local *
local_of(const struct rte_eth_dev *dev)
{
	return dev->process_private;
}

void
vhost_kernel_init(struct vhost_kernel *vk)
{
	unsigned int i;

	*vk = (struct vhost_kernel){ .runs = { false } };
	for (i = 0; i < RTE_DIM(vk->fd); i++) {
		vk->fd[i] = -1;
		vk->tap.fd[i] = -1;
	}
}

/* Requests */

#define ASK(dev, pair, request, arg) ask(dev, pair, request, #request, arg)

static int
ask(const struct rte_eth_dev *dev, uint16_t pair, unsigned long request, const char *name,
		void *arg)
{
	const struct ppfrag_local *local = local_of(dev);
	int err;

	if (ioctl(local->vk.fd[pair], request, arg) == 0)
		return 0;
	err = errno;
	PPFRAG_LOG_LEVEL(local->vu.quiet ? RTE_LOG_DEBUG : RTE_LOG_ERR,
			"%s: path=%s refuses %s of queue pair %u: %s%s", local->vu.name,
			local->vu.path, name, pair, strerror(err),
			err == ENOTTY ? "; it is no vhost-net: use path=/dev/vhost-net" : "");
	return -err;
}

/* Connection */

static const char *
open_remedy(int err)
{
	if (err == EACCES || err == EPERM)
		return "run as root, or give the user access to it";
	return "load its module: modprobe vhost_net";
}

static int
open_pair(const struct rte_eth_dev *dev, uint16_t pair)
{
	struct ppfrag_local *local = local_of(dev);
	int err;

	local->vk.fd[pair] = open(local->vu.path, O_RDWR | O_CLOEXEC);
	if (local->vk.fd[pair] >= 0)
		return ASK(dev, pair, VHOST_SET_OWNER, NULL);
	err = errno;
	PPFRAG_LOG_LEVEL(local->vu.quiet ? RTE_LOG_DEBUG : RTE_LOG_ERR,
			"%s: cannot open path=%s of the kernel's vhost-net: %s; %s", local->vu.name,
			local->vu.path, strerror(err), open_remedy(err));
	return -err;
}

static int
set_backend(const struct rte_eth_dev *dev, uint16_t vring, bool on)
{
	struct vhost_kernel *vk = &local_of(dev)->vk;
	const int fd = on ? vk->tap.fd[vring / 2] : -1;
	struct vhost_vring_file file = { .index = vring % 2, .fd = fd };
	int ret;

	if (vk->runs[vring] == on)
		return 0;
	ret = ASK(dev, vring / 2, VHOST_NET_SET_BACKEND, &file);
	if (ret == 0)
		vk->runs[vring] = on;
	return ret;
}

/*
 * Rings are taken back one by one: a process that was forked has the descriptors, too, and closing
 * ours would then end nothing. The tap stays, with its addresses and routes, unless it is gone.
 */
static void
disconnect(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);
	struct vhost_kernel *vk = &local->vk;
	unsigned int i;

	vhost_tap_set_carrier(&vk->tap, false);
	for (i = 0; i < RTE_DIM(vk->runs); i++) {
		set_backend(dev, (uint16_t)i, false);
		vk->runs[i] = false;
	}
	for (i = 0; i < RTE_DIM(vk->fd); i++) {
		if (vk->fd[i] >= 0)
			close(vk->fd[i]);
		vk->fd[i] = -1;
	}
	local->lent = false;
	if (vhost_tap_is_gone(&vk->tap))
		vhost_tap_close(&vk->tap);
}

static int
connect_kernel(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const struct vhost_kernel *vk = &local_of(dev)->vk;
	uint16_t i;
	int ret = 0;

	for (i = 0; i < pd->max_pairs && ret == 0; i++)
		ret = open_pair(dev, i);
	if (ret == 0 && vk->tap.fd[0] < 0)
		ret = vhost_tap_open(dev);
	if (ret != 0)
		disconnect(dev);
	return ret;
}

static void
close_kernel(struct rte_eth_dev *dev)
{
	disconnect(dev);
	vhost_tap_close(&local_of(dev)->vk.tap);
}

static bool
is_gone(const struct rte_eth_dev *dev)
{
	return vhost_tap_is_gone(&local_of(dev)->vk.tap);
}

static bool
is_up(const struct rte_eth_dev *dev)
{
	return vhost_tap_is_up(&local_of(dev)->vk.tap);
}

/* Features and memory */

static int
negotiate(struct rte_eth_dev *dev, struct virtio_offer *offer)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	uint64_t features;
	int ret;

	ret = ASK(dev, 0, VHOST_GET_FEATURES, &features);
	if (ret != 0)
		return ret;
	offer->pairs = pd->max_pairs;
	offer->features = (features & RING_FEATURES) | TAP_FEATURES;
	if (pd->max_pairs > 1)
		offer->features |= RTE_BIT64(VIRTIO_NET_F_MQ);
	return 0;
}

/* Regions, as vhost-net has them: addresses in rings are those of this process. */
static struct vhost_memory *
memory_table(const struct ppfrag_mem *mem)
{
	struct vhost_memory *table =
			calloc(1, sizeof(*table) + mem->nb * sizeof(table->regions[0]));
	unsigned int i;

	if (table == NULL)
		return NULL;
	table->nregions = mem->nb;
	for (i = 0; i < mem->nb; i++) {
		table->regions[i].guest_phys_addr = mem->region[i].addr;
		table->regions[i].userspace_addr = mem->region[i].addr;
		table->regions[i].memory_size = mem->region[i].len;
	}
	return table;
}

static int
share_memory(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = local_of(dev);
	struct vhost_memory *table;
	uint16_t i;
	int ret;

	ret = ppfrag_mem_lend(dev);
	if (ret != 0)
		return ret;
	table = memory_table(&local->mem);
	if (table == NULL)
		return -ENOMEM;
	for (i = 0; i < pd->nb_pairs && ret == 0; i++)
		ret = ASK(dev, i, VHOST_SET_MEM_TABLE, table);
	if (ret == -E2BIG)
		PPFRAG_LOG(ERR, "%s: %u regions of memory are too many for the kernel: give its module vhost at least max_mem_regions=%u",
				local->vu.name, local->mem.nb, PPFRAG_MAX_REGIONS);
	free(table);
	return ret;
}

static int
prepare(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const uint64_t all = pd->features | pd->offload_features | virtio_ring_features(pd);
	uint64_t features = all & RING_FEATURES;
	uint16_t i;
	int ret;

	ret = vhost_tap_prepare(dev, all);
	for (i = 0; i < pd->nb_pairs && ret == 0; i++)
		ret = ASK(dev, i, VHOST_SET_FEATURES, &features);
	return ret == 0 ? share_memory(dev) : ret;
}

/* Rings */

static int
ring_start(struct rte_eth_dev *dev, uint16_t vring, const struct virtq *vq)
{
	const struct ppfrag_local *local = local_of(dev);
	struct vhost_vring_state state = { .index = vring % 2, .num = vq->size };
	struct vhost_vring_addr addr = {
		.index = vring % 2,
		.desc_user_addr = (uintptr_t)vq->desc,
		.avail_user_addr = (uintptr_t)vq->avail,
		.used_user_addr = (uintptr_t)vq->used,
	};
	struct vhost_vring_file file = { .index = vring % 2, .fd = local->call[vring].fd };
	const uint16_t pair = vring / 2;
	int ret;

	ret = set_backend(dev, vring, false);
	if (ret == 0)
		ret = ASK(dev, pair, VHOST_SET_VRING_NUM, &state);
	state.num = 0;
	if (ret == 0)
		ret = ASK(dev, pair, VHOST_SET_VRING_BASE, &state);
	if (ret == 0)
		ret = ASK(dev, pair, VHOST_SET_VRING_ADDR, &addr);
	if (ret == 0)
		ret = ASK(dev, pair, VHOST_SET_VRING_CALL, &file);
	file.fd = local->kick[vring].fd;
	return ret == 0 ? ASK(dev, pair, VHOST_SET_VRING_KICK, &file) : ret;
}

static int
ring_enable(struct rte_eth_dev *dev, uint16_t vring, bool enable)
{
	return set_backend(dev, vring, enable);
}

static int
settle(struct rte_eth_dev *dev)
{
	RTE_SET_USED(dev);
	return 0;
}

static int
ring_stop(struct rte_eth_dev *dev, uint16_t vring)
{
	return set_backend(dev, vring, false);
}

static int
run(struct rte_eth_dev *dev, bool on)
{
	RTE_SET_USED(dev);
	RTE_SET_USED(on);
	return 0;
}

static void
enabled(struct rte_eth_dev *dev, bool on)
{
	vhost_tap_set_carrier(&local_of(dev)->vk.tap, on);
}

static bool
can_enable(const struct ppfrag_dev *pd)
{
	RTE_SET_USED(pd);
	return true;
}

const struct virtio_backend_ops virtio_backend_vhost_kernel = {
	.name = "vhost-kernel",
	.gone = "its tap was deleted, which the port makes again",
	.look_ms = LOOK_MS,
	.connect = connect_kernel,
	.disconnect = disconnect,
	.close = close_kernel,
	.is_gone = is_gone,
	.is_up = is_up,
	.negotiate = negotiate,
	.prepare = prepare,
	.ring_start = ring_start,
	.ring_enable = ring_enable,
	.settle = settle,
	.ring_stop = ring_stop,
	.run = run,
	.enabled = enabled,
	.can_enable = can_enable,
};
