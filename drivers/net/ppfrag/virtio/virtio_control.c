/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_atomic.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_io.h>

#include "virtio_pci.h"

/*
 * The control queue of a device: one command at a time, for whose end the caller waits. A command
 * is three descriptors in one chain: class and command, data, and what the device makes of it.
 */

#define CONTROL_SIZE 4u
#define CONTROL_DATA_MAX 1024u
/* How long a device may take, in ms. */
#define CONTROL_MS 2000
#define CONTROL_OK 0

/* A command, in the memory behind the ring. */
struct command {
	uint8_t class;
	uint8_t command;
	uint8_t ack;
	uint8_t padding[5];
	uint8_t data[CONTROL_DATA_MAX];
};

static struct command *
command_mem(const struct virtio_pci *pci)
{
	return RTE_PTR_ADD(pci->control.mz->addr, virtq_bytes(CONTROL_SIZE));
}

int
virtio_control_start(struct virtio_pci *pci, uint16_t number)
{
	const size_t len = virtq_bytes(CONTROL_SIZE) + sizeof(struct command);
	char name[RTE_MEMZONE_NAMESIZE];

	snprintf(name, sizeof(name), "ppfrag_control_%s", pci->name);
	if (pci->control.mz == NULL)
		pci->control.mz = rte_memzone_reserve_aligned(name, len, SOCKET_ID_ANY,
				RTE_MEMZONE_IOVA_CONTIG, RTE_CACHE_LINE_SIZE);
	if (pci->control.mz == NULL) {
		PPFRAG_LOG(ERR, "%s: no memory for the control queue: %s", pci->name,
				rte_strerror(rte_errno));
		return -ENOMEM;
	}
	memset(pci->control.mz->addr, 0, len);
	virtq_init(&pci->control.vq, pci->control.mz->addr, CONTROL_SIZE);
	pci->control.vq.avail->flags = rte_cpu_to_le_16(VIRTQ_AVAIL_F_NO_INTERRUPT);
	pci->control.at = 0;
	return virtio_pci_ring_start(pci, number, &pci->control.vq, pci->control.mz,
			&pci->control.bell);
}

void
virtio_control_free(struct virtio_pci *pci)
{
	rte_memzone_free(pci->control.mz);
	pci->control.mz = NULL;
}

static void
desc_set(struct virtio_pci *pci, uint16_t id, const void *at, uint32_t len, uint16_t flags)
{
	const struct rte_memzone *mz = pci->control.mz;

	pci->control.vq.desc[id] = (struct virtq_desc){
		.addr = rte_cpu_to_le_64(mz->iova + (uintptr_t)at - (uintptr_t)mz->addr),
		.len = rte_cpu_to_le_32(len),
		.flags = rte_cpu_to_le_16(flags),
		.next = rte_cpu_to_le_16(id + 1),
	};
}

static bool
command_wait(const struct virtio_pci *pci)
{
	const uint64_t end = rte_get_timer_cycles() + CONTROL_MS * rte_get_timer_hz() / 1000;

	while (virtq_used_idx(&pci->control.vq) != pci->control.at) {
		if (rte_get_timer_cycles() > end)
			return false;
		rte_delay_us_sleep(20);
	}
	rte_io_rmb();
	return true;
}

int
virtio_control(struct virtio_pci *pci, uint8_t class, uint8_t command, const void *data,
		uint32_t len)
{
	volatile struct command *c;

	if (pci->control.mz == NULL || !pci->runs || len > CONTROL_DATA_MAX)
		return -ENOTSUP;
	c = command_mem(pci);
	c->class = class;
	c->command = command;
	c->ack = CONTROL_OK + 1;
	memcpy(command_mem(pci)->data, data, len);
	desc_set(pci, 0, command_mem(pci), 2, VIRTQ_DESC_F_NEXT);
	desc_set(pci, 1, command_mem(pci)->data, len, VIRTQ_DESC_F_NEXT);
	desc_set(pci, 2, &command_mem(pci)->ack, 1, VIRTQ_DESC_F_WRITE);
	virtq_offer(&pci->control.vq, pci->control.at++, 0);
	rte_io_wmb();
	virtq_publish(&pci->control.vq, pci->control.at);
	rte_mb();
	virtio_pci_kick(pci, &pci->control.bell);
	if (!command_wait(pci)) {
		PPFRAG_LOG(ERR, "%s: the device does not answer command %u of class %u", pci->name,
				command, class);
		return -ETIMEDOUT;
	}
	if (c->ack == CONTROL_OK)
		return 0;
	PPFRAG_LOG(ERR, "%s: the device refuses command %u of class %u", pci->name, command, class);
	return -EIO;
}
