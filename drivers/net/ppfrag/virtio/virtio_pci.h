/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _VIRTIO_PCI_H_
#define _VIRTIO_PCI_H_

/**
 * @file
 * A virtio network device on the PCI bus, as virtio 1.x has it: its registers. What returns int
 * returns 0 or a negative errno, logged.
 *
 *   backend_pci.c     registers: capabilities, status, features, queues, notifications
 *   virtio_control.c  commands by the control queue
 *   pci_device.c      operations of such a port
 *   virtio_dma.[ch]   its rings
 *   ../ppfrag_pci.c   which devices are ours
 */

#include <rte_ether.h>
#include <rte_memzone.h>

#include "../ppfrag.h"
#include "virtio_ring.h"

/** Feature bits. */
#define VIRTIO_NET_F_MTU 3
#define VIRTIO_NET_F_MAC 5
#define VIRTIO_NET_F_STATUS 16
#define VIRTIO_NET_F_CTRL_VQ 17
#define VIRTIO_NET_F_CTRL_RX 18
#define VIRTIO_NET_F_CTRL_MAC_ADDR 23
#define VIRTIO_NET_F_SPEED_DUPLEX 63
#define VIRTIO_F_ACCESS_PLATFORM 33
#define VIRTIO_F_ORDER_PLATFORM 36

/** Device status: it has to be reset. */
#define VIRTIO_STATUS_NEEDS_RESET 0x40

/** Commands of the control queue: class, then command. */
#define VIRTIO_CTRL_RX 0
#define VIRTIO_CTRL_RX_PROMISC 0
#define VIRTIO_CTRL_RX_ALLMULTI 1
#define VIRTIO_CTRL_MAC 1
#define VIRTIO_CTRL_MAC_TABLE_SET 0
#define VIRTIO_CTRL_MAC_ADDR_SET 1
#define VIRTIO_CTRL_MQ 4
#define VIRTIO_CTRL_MQ_PAIRS_SET 0

/** Most multicast addresses of a port: as many as QEMU has of all kinds. */
#define VIRTIO_PCI_MULTICAST_MAX 64

struct rte_pci_device;
struct virtio_pci_common;

/** What of the device's configuration is used. */
struct virtio_pci_config {
	struct rte_ether_addr mac;
	bool link_up;
	uint16_t max_pairs;
	uint16_t mtu;   /**< 0: not told */
	uint32_t speed; /**< in Mbps, or RTE_ETH_SPEED_NUM_UNKNOWN */
};

/** Where the device is told to look at a ring. */
struct virtio_pci_bell {
	volatile void *at;
	uint16_t number; /**< of the ring, as the device has it */
};

/** A device that is mapped. */
struct virtio_pci {
	struct rte_pci_device *dev;
	const char *name;
	volatile struct virtio_pci_common *common;
	volatile uint8_t *config;
	volatile uint8_t *notify;
	uint32_t notify_len;
	uint32_t notify_multiplier;
	uint32_t config_len;
	uint64_t offered;
	uint64_t features; /**< agreed on since the latest reset */
	bool runs;
	struct virtio_pci_bell bell[2 * PPFRAG_MAX_PAIRS]; /**< by ring */
	struct {
		const struct rte_memzone *mz; /**< its ring, and a command; NULL: there is none */
		struct virtio_pci_bell bell;
		struct virtq vq;
		uint16_t at; /**< commands that were given */
	} control;
	uint32_t nb_multicast;
	struct rte_ether_addr multicast[VIRTIO_PCI_MULTICAST_MAX];
};

/* backend_pci.c */

/** Map a device, find its registers, and reset it. */
int virtio_pci_open(struct virtio_pci *pci, struct rte_pci_device *dev);

/** Give it back. */
void virtio_pci_close(struct virtio_pci *pci);

/** Have it forget all that it was told, and leave memory alone. */
int virtio_pci_reset(struct virtio_pci *pci);

/** Agree on features. The device was reset. */
int virtio_pci_agree(struct virtio_pci *pci, uint64_t features);

/** All queues are there: work. */
void virtio_pci_run(struct virtio_pci *pci);

/** Descriptors that a queue can have at most; 0: there is no such queue. */
uint16_t virtio_pci_ring_size(struct virtio_pci *pci, uint16_t vring);

/** Hand over a ring, which lies in mz. @return also, in bell, where the device is told of it. */
int virtio_pci_ring_start(struct virtio_pci *pci, uint16_t number, const struct virtq *vq,
		const struct rte_memzone *mz, struct virtio_pci_bell *bell);

/** Tell a device that works to look at a ring. Any thread. */
void virtio_pci_kick(const struct virtio_pci *pci, const struct virtio_pci_bell *bell);

/** Read the configuration, as far as features tell what there is. */
void virtio_pci_config_read(struct virtio_pci *pci, uint64_t features,
		struct virtio_pci_config *config);

/* virtio_control.c */

/** Make the control queue. @param number the device's for it */
int virtio_control_start(struct virtio_pci *pci, uint16_t number);

/** Free its memory. The device was reset. */
void virtio_control_free(struct virtio_pci *pci);

/** Have the device do something. @return -EIO where it refuses, -ETIMEDOUT. */
int virtio_control(struct virtio_pci *pci, uint8_t class, uint8_t command, const void *data,
		uint32_t len);

#endif /* _VIRTIO_PCI_H_ */
