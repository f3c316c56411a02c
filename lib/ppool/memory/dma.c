/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Which ports reach the memory of a pool's own by DMA. A mapping belongs to a device, or to all
 * devices that the kernel's VFIO drivers own, as these share a container: it is made for the first
 * port that wants it, and undone with the last. EAL maps its own memory by itself.
 */

/* rte_dev_dma_map() is not part of the stable ABI of every DPDK. */
#define ALLOW_EXPERIMENTAL_API

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include "backing.h"
#include "ppool_private.h"

struct dma_port {
	struct rte_device *dev; /* NULL: nothing is mapped for this port */
	bool vfio;
};

struct ppool_dma {
	LIST_ENTRY(ppool_dma) next;
	const struct ppool_range *range;
	size_t nb_ranges;
	struct dma_port port[RTE_MAX_ETHPORTS];
};

/* Ports are closed by any thread. */
static LIST_HEAD(, ppool_dma) dma_list = LIST_HEAD_INITIALIZER(dma_list);
static pthread_mutex_t dma_lock = PTHREAD_MUTEX_INITIALIZER;

/* Whether the kernel's driver of a device is one of VFIO: vfio-pci, mlx5_vfio_pci and so on. */
static bool
device_in_vfio(const struct rte_device *dev)
{
	char path[PATH_MAX], driver[PATH_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/sys/bus/%s/devices/%s/driver",
			rte_bus_name(rte_dev_bus(dev)), rte_dev_name(dev));
	len = readlink(path, driver, sizeof(driver) - 1);
	if (len < 0)
		return false;
	driver[len] = '\0';
	return strstr(basename(driver), "vfio") != NULL;
}

/* VFIO leaves no rte_errno where the kernel refuses, but what an earlier call has left. */
static int
dma_error(void)
{
	return rte_errno != 0 ? -rte_errno : -EIO;
}

static int
range_map(struct rte_device *dev, const struct ppool_range *r)
{
	rte_errno = 0;
	return rte_dev_dma_map(dev, r->addr, r->iova, r->len) == 0 ? 0 : dma_error();
}

/* As many as can be. Returns the first error. */
static int
ranges_unmap(struct rte_device *dev, const struct ppool_range *r, size_t n)
{
	int ret = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		rte_errno = 0;
		if (rte_dev_dma_unmap(dev, r[i].addr, r[i].iova, r[i].len) != 0 && ret == 0)
			ret = dma_error();
	}
	return ret;
}

/* All or none. */
static int
ranges_map(struct rte_device *dev, const struct ppool_range *r, size_t n)
{
	size_t i;
	int ret;

	for (i = 0; i < n; i++) {
		ret = range_map(dev, &r[i]);
		if (ret == 0)
			continue;
		ranges_unmap(dev, r, i);
		/* What maps one range can map others. */
		return i > 0 && ret == -ENOTSUP ? -EIO : ret;
	}
	return 0;
}

/* Whether another port keeps up the mapping that this one uses. */
static bool
dma_is_shared(const struct ppool_dma *d, uint16_t port_id, const struct dma_port *port)
{
	unsigned int i;

	for (i = 0; i < RTE_MAX_ETHPORTS; i++)
		if (i != port_id && d->port[i].dev != NULL &&
				(d->port[i].dev == port->dev || (d->port[i].vfio && port->vfio)))
			return true;
	return false;
}

/* Lock held for dma_enter() and dma_leave(). */

static int
dma_enter(struct ppool_dma *d, uint16_t port_id, struct rte_device *dev)
{
	struct dma_port port = { .dev = dev, .vfio = device_in_vfio(dev) };
	int ret = 0;

	if (d->port[port_id].dev != NULL)
		return 0;
	if (!dma_is_shared(d, port_id, &port))
		ret = ranges_map(dev, d->range, d->nb_ranges);
	/* A device without DMA, or one that takes any physical address. */
	if (ret == -ENOTSUP && !port.vfio)
		return 0;
	if (ret == 0)
		d->port[port_id] = port;
	return ret;
}

static int
dma_leave(struct ppool_dma *d, uint16_t port_id)
{
	struct dma_port port = d->port[port_id];

	if (port.dev == NULL)
		return 0;
	memset(&d->port[port_id], 0, sizeof(d->port[port_id]));
	if (dma_is_shared(d, port_id, &port))
		return 0;
	return ranges_unmap(port.dev, d->range, d->nb_ranges);
}

/* A port is closed: its device may be removed next, and its number be given to another. */
static int
port_destroyed(uint16_t port_id, enum rte_eth_event_type event, void *arg, void *ret_param)
{
	struct ppool_dma *d;

	RTE_SET_USED(event);
	RTE_SET_USED(arg);
	RTE_SET_USED(ret_param);
	pthread_mutex_lock(&dma_lock);
	LIST_FOREACH(d, &dma_list, next)
		dma_leave(d, port_id);
	pthread_mutex_unlock(&dma_lock);
	return 0;
}

/* Registering twice is as good as once. */
static int
ports_watch(void)
{
	return rte_eth_dev_callback_register(RTE_ETH_ALL, RTE_ETH_EVENT_DESTROY, port_destroyed,
			NULL);
}

static void
ports_unwatch(void)
{
	rte_eth_dev_callback_unregister(RTE_ETH_ALL, RTE_ETH_EVENT_DESTROY, port_destroyed, NULL);
}

struct ppool_dma *
ppool_dma_create(const struct ppool_range *range, size_t nb_ranges)
{
	struct ppool_dma *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->range = range;
	d->nb_ranges = nb_ranges;
	pthread_mutex_lock(&dma_lock);
	LIST_INSERT_HEAD(&dma_list, d, next);
	pthread_mutex_unlock(&dma_lock);
	return d;
}

void
ppool_dma_free(struct ppool_dma *d)
{
	uint16_t port_id;

	if (d == NULL)
		return;
	pthread_mutex_lock(&dma_lock);
	LIST_REMOVE(d, next);
	for (port_id = 0; port_id < RTE_MAX_ETHPORTS; port_id++)
		dma_leave(d, port_id);
	if (LIST_EMPTY(&dma_list))
		ports_unwatch();
	pthread_mutex_unlock(&dma_lock);
	free(d);
}

int
ppool_dma_enter(struct ppool_dma *d, uint16_t port_id)
{
	struct rte_eth_dev_info info;
	int ret;

	if (rte_eth_dev_info_get(port_id, &info) != 0)
		return -ENODEV;
	pthread_mutex_lock(&dma_lock);
	ret = ports_watch();
	if (ret == 0)
		ret = dma_enter(d, port_id, info.device);
	pthread_mutex_unlock(&dma_lock);
	return ret;
}

int
ppool_dma_leave(struct ppool_dma *d, uint16_t port_id)
{
	int ret;

	pthread_mutex_lock(&dma_lock);
	ret = dma_leave(d, port_id);
	pthread_mutex_unlock(&dma_lock);
	return ret;
}
