/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>

#include <bus_pci_driver.h>
#include <rte_cycles.h>
#include <rte_io.h>

#include "virtio_pci.h"

/* The registers of a virtio device on the PCI bus: what stands where is virtio 1.2, 4.1.4. */

/* How long a device may take to be reset, in ms. */
#define RESET_MS 1000

/* In the configuration space of PCI. */
#define PCI_CAPABILITIES 0x34
#define PCI_CAP_VENDOR 9
#define PCI_CAPS_MAX 48 /* that there is room for */

/* Kinds of virtio's capabilities. */
enum virtio_pci_cap_kind {
	CAP_COMMON = 1,
	CAP_NOTIFY = 2,
	CAP_ISR = 3,
	CAP_DEVICE = 4,
};

struct virtio_pci_cap {
	uint8_t id;
	uint8_t next;
	uint8_t len;
	uint8_t kind;
	uint8_t bar;
	uint8_t index;
	uint8_t padding[2];
	rte_le32_t offset;
	rte_le32_t length;
	rte_le32_t multiplier; /* of CAP_NOTIFY only */
};

/* The part that all virtio devices have. */
struct virtio_pci_common {
	rte_le32_t device_feature_select;
	rte_le32_t device_feature;
	rte_le32_t driver_feature_select;
	rte_le32_t driver_feature;
	rte_le16_t config_vector;
	rte_le16_t nb_queues;
	uint8_t status;
	uint8_t generation;
	rte_le16_t queue_select;
	rte_le16_t queue_size;
	rte_le16_t queue_vector;
	rte_le16_t queue_enable;
	rte_le16_t queue_notify_off;
	rte_le32_t queue_desc[2];
	rte_le32_t queue_avail[2];
	rte_le32_t queue_used[2];
};

/* The part of network devices. */
struct virtio_net_config {
	uint8_t mac[RTE_ETHER_ADDR_LEN];
	rte_le16_t status;
	rte_le16_t max_pairs;
	rte_le16_t mtu;
	rte_le32_t speed;
	uint8_t duplex;
};

#define CONFIG_LINK_UP 1u
#define NO_VECTOR 0xffffu
#define CONFIG_TRIES 100
#define MAX_PAIRS 0x7fff /* that leave a number for the control queue */

_Static_assert(sizeof(struct virtio_pci_cap) == 20, "capability");
_Static_assert(offsetof(struct virtio_pci_common, status) == 20 &&
				offsetof(struct virtio_pci_common, queue_desc) == 32 &&
				sizeof(struct virtio_pci_common) == 56,
		"common configuration");
_Static_assert(offsetof(struct virtio_net_config, speed) == 12, "configuration of the device");

static void
write16(volatile rte_le16_t *reg, uint16_t value)
{
	rte_write16(rte_cpu_to_le_16(value), reg);
}

static uint16_t
read16(const volatile rte_le16_t *reg)
{
	return rte_le_to_cpu_16(rte_read16(reg));
}

static void
write32(volatile rte_le32_t *reg, uint32_t value)
{
	rte_write32(rte_cpu_to_le_32(value), reg);
}

static void
write64(volatile rte_le32_t reg[2], uint64_t value)
{
	write32(&reg[0], (uint32_t)value);
	write32(&reg[1], (uint32_t)(value >> 32));
}

/* Capabilities */

/* Where a capability is mapped. NULL where it lies outside of what was mapped. */
static void *
cap_address(const struct rte_pci_device *dev, const struct virtio_pci_cap *cap, uint32_t least)
{
	const uint64_t offset = rte_le_to_cpu_32(cap->offset), len = rte_le_to_cpu_32(cap->length);
	const struct rte_mem_resource *bar = &dev->mem_resource[cap->bar];

	if (cap->bar >= PCI_MAX_RESOURCE || bar->addr == NULL || len < least ||
			offset + len > bar->len)
		return NULL;
	return RTE_PTR_ADD(bar->addr, offset);
}

/* The first of each kind is the one that the device prefers. */
static void
cap_take(struct virtio_pci *pci, const struct virtio_pci_cap *cap)
{
	const uint32_t len = rte_le_to_cpu_32(cap->length);

	if (cap->kind == CAP_COMMON && pci->common == NULL) {
		pci->common = cap_address(pci->dev, cap, sizeof(*pci->common));
	} else if (cap->kind == CAP_NOTIFY && pci->notify == NULL) {
		pci->notify = cap_address(pci->dev, cap, sizeof(uint16_t));
		pci->notify_len = len;
		pci->notify_multiplier = rte_le_to_cpu_32(cap->multiplier);
	} else if (cap->kind == CAP_DEVICE && pci->config == NULL) {
		pci->config = cap_address(pci->dev, cap,
				offsetof(struct virtio_net_config, max_pairs));
		pci->config_len = len;
	}
}

/* Read a capability; the last one of a device may have no multiplier behind it. */
static bool
cap_read(struct rte_pci_device *dev, struct virtio_pci_cap *cap, uint8_t at)
{
	const int least = offsetof(struct virtio_pci_cap, multiplier);

	memset(cap, 0, sizeof(*cap));
	return rte_pci_read_config(dev, cap, sizeof(*cap), at) >= least ||
			rte_pci_read_config(dev, cap, (size_t)least, at) >= least;
}

static int
caps_find(struct virtio_pci *pci)
{
	struct virtio_pci_cap cap;
	unsigned int i;
	uint8_t at = 0;

	if (rte_pci_read_config(pci->dev, &at, 1, PCI_CAPABILITIES) != 1)
		at = 0;
	for (i = 0; i < PCI_CAPS_MAX && at != 0 && cap_read(pci->dev, &cap, at); i++) {
		if (cap.id == PCI_CAP_VENDOR)
			cap_take(pci, &cap);
		at = cap.next;
	}
	if (pci->common != NULL && pci->notify != NULL && pci->config != NULL)
		return 0;
	PPFRAG_LOG(ERR, "%s: not a modern virtio device (1.0 or later): leave out ppfrag=1 and net_virtio takes it, or with QEMU, leave out disable-modern=on",
			pci->name);
	return -ENOTSUP;
}

/* Status and features */

static void
status_add(struct virtio_pci *pci, uint8_t bits)
{
	rte_write8(rte_read8(&pci->common->status) | bits, &pci->common->status);
}

int
virtio_pci_reset(struct virtio_pci *pci)
{
	unsigned int ms;

	pci->runs = false;
	rte_write8(0, &pci->common->status);
	for (ms = 0; ms < RESET_MS; ms++) {
		if (rte_read8(&pci->common->status) == 0)
			return 0;
		rte_delay_us_sleep(1000);
	}
	/* It must not write to memory that is somebody else's from here on. */
	rte_pci_set_bus_master(pci->dev, false);
	PPFRAG_LOG(ERR, "%s: the device cannot be reset: DMA is switched off, give it back to the kernel and bind it again",
			pci->name);
	return -EIO;
}

static uint64_t
features_read(struct virtio_pci *pci)
{
	uint64_t features;

	write32(&pci->common->device_feature_select, 1);
	features = (uint64_t)rte_le_to_cpu_32(rte_read32(&pci->common->device_feature)) << 32;
	write32(&pci->common->device_feature_select, 0);
	return features | rte_le_to_cpu_32(rte_read32(&pci->common->device_feature));
}

int
virtio_pci_agree(struct virtio_pci *pci, uint64_t features)
{
	status_add(pci, VIRTIO_STATUS_ACKNOWLEDGE);
	status_add(pci, VIRTIO_STATUS_DRIVER);
	write32(&pci->common->driver_feature_select, 0);
	write32(&pci->common->driver_feature, (uint32_t)features);
	write32(&pci->common->driver_feature_select, 1);
	write32(&pci->common->driver_feature, (uint32_t)(features >> 32));
	status_add(pci, VIRTIO_STATUS_FEATURES_OK);
	if ((rte_read8(&pci->common->status) & VIRTIO_STATUS_FEATURES_OK) == 0) {
		PPFRAG_LOG(ERR, "%s: the device refuses features 0x%" PRIx64 " of 0x%" PRIx64,
				pci->name, features, pci->offered);
		return -ENOTSUP;
	}
	pci->features = features;
	write16(&pci->common->config_vector, NO_VECTOR);
	return 0;
}

void
virtio_pci_run(struct virtio_pci *pci)
{
	status_add(pci, VIRTIO_STATUS_DRIVER_OK);
	pci->runs = true;
}

int
virtio_pci_open(struct virtio_pci *pci, struct rte_pci_device *dev)
{
	int ret;

	*pci = (struct virtio_pci){ .dev = dev, .name = dev->name };
	ret = rte_pci_map_device(dev);
	if (ret != 0) {
		PPFRAG_LOG(ERR, "%s: the device cannot be mapped: bind it to vfio-pci or uio_pci_generic first",
				dev->name);
		return ret > 0 ? -ENODEV : ret;
	}
	rte_pci_set_bus_master(dev, true);
	ret = caps_find(pci);
	if (ret == 0)
		ret = virtio_pci_reset(pci);
	if (ret != 0) {
		rte_pci_unmap_device(dev);
		return ret;
	}
	pci->offered = features_read(pci);
	return 0;
}

void
virtio_pci_close(struct virtio_pci *pci)
{
	virtio_pci_reset(pci);
	virtio_control_free(pci);
	rte_pci_unmap_device(pci->dev);
}

/* Queues */

uint16_t
virtio_pci_ring_size(struct virtio_pci *pci, uint16_t vring)
{
	if (vring >= read16(&pci->common->nb_queues))
		return 0;
	write16(&pci->common->queue_select, vring);
	return read16(&pci->common->queue_size);
}

static uint64_t
part_iova(const void *part, const struct rte_memzone *mz)
{
	return mz->iova + (uintptr_t)part - (uintptr_t)mz->addr;
}

int
virtio_pci_ring_start(struct virtio_pci *pci, uint16_t number, const struct virtq *vq,
		const struct rte_memzone *mz, struct virtio_pci_bell *bell)
{
	volatile struct virtio_pci_common *c = pci->common;
	uint64_t offset;

	if (virtio_pci_ring_size(pci, number) < vq->size) {
		PPFRAG_LOG(ERR, "%s: ring %u has less than %u descriptors", pci->name, number,
				vq->size);
		return -EINVAL;
	}
	offset = (uint64_t)read16(&c->queue_notify_off) * pci->notify_multiplier;
	if (offset + sizeof(uint16_t) > pci->notify_len) {
		PPFRAG_LOG(ERR,
				"%s: ring %u has its notifications at 0x%" PRIx64
				", behind the end of their registers",
				pci->name, number, offset);
		return -EINVAL;
	}
	*bell = (struct virtio_pci_bell){ .at = pci->notify + offset, .number = number };
	write16(&c->queue_size, vq->size);
	write16(&c->queue_vector, NO_VECTOR);
	write64(c->queue_desc, part_iova(vq->desc, mz));
	write64(c->queue_avail, part_iova(vq->avail, mz));
	write64(c->queue_used, part_iova(vq->used, mz));
	write16(&c->queue_enable, 1);
	return 0;
}

void
virtio_pci_kick(const struct virtio_pci *pci, const struct virtio_pci_bell *bell)
{
	if (pci->runs)
		rte_write16(rte_cpu_to_le_16(bell->number), bell->at);
}

/* Configuration */

/* All of one generation, which changes with anything: no device does so all the time. */
static void
config_copy(const struct virtio_pci *pci, struct virtio_net_config *config)
{
	const uint32_t len = RTE_MIN(pci->config_len, (uint32_t)sizeof(*config));
	uint8_t generation, *to = (uint8_t *)config;
	uint32_t i, tries = 0;

	do {
		generation = rte_read8(&pci->common->generation);
		for (i = 0; i < len; i++)
			to[i] = rte_read8(pci->config + i);
	} while (generation != rte_read8(&pci->common->generation) && ++tries < CONFIG_TRIES);
}

/* A device that says nonsense has one. */
static uint16_t
pairs_checked(uint16_t n)
{
	return n == 0 || n > MAX_PAIRS ? 1 : n;
}

void
virtio_pci_config_read(struct virtio_pci *pci, uint64_t features, struct virtio_pci_config *config)
{
	struct virtio_net_config c = { .duplex = 0 };
	uint32_t speed;

	config_copy(pci, &c);
	*config = (struct virtio_pci_config){
		.link_up = true,
		.max_pairs = 1,
		.speed = RTE_ETH_SPEED_NUM_UNKNOWN,
	};
	if ((features & RTE_BIT64(VIRTIO_NET_F_MAC)) != 0)
		memcpy(config->mac.addr_bytes, c.mac, sizeof(c.mac));
	if ((features & RTE_BIT64(VIRTIO_NET_F_STATUS)) != 0)
		config->link_up = (rte_le_to_cpu_16(c.status) & CONFIG_LINK_UP) != 0;
	if ((features & RTE_BIT64(VIRTIO_NET_F_MQ)) != 0)
		config->max_pairs = pairs_checked(rte_le_to_cpu_16(c.max_pairs));
	if ((features & RTE_BIT64(VIRTIO_NET_F_MTU)) != 0)
		config->mtu = rte_le_to_cpu_16(c.mtu);
	speed = rte_le_to_cpu_32(c.speed);
	if ((features & RTE_BIT64(VIRTIO_NET_F_SPEED_DUPLEX)) != 0 && speed <= INT32_MAX)
		config->speed = speed;
}
