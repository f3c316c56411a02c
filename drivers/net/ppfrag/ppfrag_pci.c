/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bus_driver.h>
#include <bus_pci_driver.h>
#include <ethdev_driver.h>
#include <rte_kvargs.h>
#include <rte_malloc.h>

#include "ppfrag_device.h"
#include "ppfrag_pci.h"
#include "virtio/virtio_pci.h"

/*
 * Devices on the PCI bus. They have another driver, net_virtio: only those are taken that the
 * device argument ppfrag=1 names. What takes a device first is which of the two was loaded first.
 */

#define CLAIM "ppfrag"
#define VENDOR_VIRTIO 0x1af4
#define DEVICE_NET_TRANSITIONAL 0x1000
#define DEVICE_NET 0x1041

static const char *
args_of(const struct rte_device *dev)
{
	return dev->devargs == NULL ? NULL : dev->devargs->args;
}

/* Whether arguments are for this driver. Whether they are right is found out afterwards. */
static bool
is_claimed(const struct rte_device *dev)
{
	const char *args = args_of(dev);
	struct rte_kvargs *kvlist;
	bool claimed;

	kvlist = args == NULL ? NULL : rte_kvargs_parse(args, NULL);
	claimed = kvlist != NULL && rte_kvargs_count(kvlist, CLAIM) != 0;
	rte_kvargs_free(kvlist);
	return claimed;
}

/* On success, the port has the device. */
static int
port_make(struct rte_pci_device *pci_dev, struct virtio_pci *pci, const struct ppfrag_dev *args)
{
	const size_t len = sizeof(*args) + args->max_pairs * sizeof(args->kept[0]);
	struct rte_eth_dev *dev = rte_eth_dev_allocate(pci_dev->device.name);
	int ret;

	if (dev == NULL)
		return -ENOMEM;
	dev->device = &pci_dev->device;
	dev->data->numa_node = rte_dev_numa_node(&pci_dev->device);
	dev->data->dev_private = rte_zmalloc_socket("ppfrag", len, RTE_CACHE_LINE_SIZE,
			dev->data->numa_node);
	dev->process_private = pci;
	ret = dev->data->dev_private == NULL ? -ENOMEM : ppfrag_port_init(dev, args);
	if (ret != 0) {
		dev->data->mac_addrs = NULL;
		dev->process_private = NULL;
		rte_eth_dev_release_port(dev);
		return ret;
	}
	rte_eth_dev_probing_finish(dev);
	return 0;
}

static int
probe_primary(struct rte_pci_device *dev)
{
	struct ppfrag_dev args = { .queue_size = 0 };
	struct virtio_pci *pci;
	int ret;

	ret = ppfrag_args_parse(dev->name, args_of(&dev->device), &args);
	if (ret != 0)
		return ret;
	pci = malloc(sizeof(*pci));
	ret = pci == NULL ? -ENOMEM : virtio_pci_open(pci, dev);
	if (ret == 0) {
		ret = pci_device_agree(pci, &args);
		if (ret == 0)
			ret = port_make(dev, pci, &args);
		if (ret != 0)
			virtio_pci_close(pci);
	}
	if (ret != 0)
		free(pci);
	return ret;
}

/* 1: another driver may have it. */
static int
pci_probe(struct rte_pci_driver *driver, struct rte_pci_device *dev)
{
	RTE_SET_USED(driver);
	if (!is_claimed(&dev->device))
		return 1;
	if (rte_eal_process_type() == RTE_PROC_SECONDARY)
		return ppfrag_port_attach(&dev->device, false);
	return probe_primary(dev);
}

static int
pci_remove(struct rte_pci_device *dev)
{
	return ppfrag_port_remove(dev->device.name);
}

static const struct rte_pci_id pci_ids[] = {
	{ RTE_PCI_DEVICE(VENDOR_VIRTIO, DEVICE_NET) },
	{ RTE_PCI_DEVICE(VENDOR_VIRTIO, DEVICE_NET_TRANSITIONAL) },
	{ .vendor_id = 0 },
};

static struct rte_pci_driver pci_driver = {
	.id_table = pci_ids,
	.probe = pci_probe,
	.remove = pci_remove,
};

RTE_PMD_REGISTER_PCI(net_ppfrag, pci_driver);
RTE_PMD_REGISTER_PCI_TABLE(net_ppfrag, pci_ids);
RTE_PMD_REGISTER_KMOD_DEP(net_ppfrag, "* igb_uio | uio_pci_generic | vfio-pci");

/*
 * A bus without devices, which EAL scans and probes after the PCI bus: it says what another driver
 * has taken that was loaded first. Nothing else is called for a device that another one takes.
 */

static int
check_scan(void)
{
	return 0;
}

static int
check_probe(PPFRAG_BUS_PROBE_PARAMS)
{
	struct rte_dev_iterator it;
	struct rte_device *dev;

	RTE_DEV_FOREACH(dev, "bus=pci", &it)
	{
		if (!is_claimed(dev) || !rte_dev_is_probed(dev) ||
				rte_dev_driver(dev) == &pci_driver.driver)
			continue;
		PPFRAG_LOG(ERR,
				"%s: has " CLAIM
				"=1, but driver %s took it, which was loaded first: load this one first, by the EAL option -d librte_net_ppfrag.so in front of others",
				rte_dev_name(dev), rte_driver_name(rte_dev_driver(dev)));
	}
	return 0;
}

static struct rte_device *
check_find(PPFRAG_BUS_FIND_PARAM const struct rte_device *start, rte_dev_cmp_t cmp,
		const void *data)
{
	RTE_SET_USED(start);
	RTE_SET_USED(cmp);
	RTE_SET_USED(data);
	return NULL;
}

static struct rte_bus check_bus = {
	.scan = check_scan,
	.probe = check_probe,
	.find_device = check_find,
};

RTE_REGISTER_BUS(ppfrag_check, check_bus);
