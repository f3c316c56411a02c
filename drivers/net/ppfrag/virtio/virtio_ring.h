/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _VIRTIO_RING_H_
#define _VIRTIO_RING_H_

/**
 * @file
 * The split virtqueue and the network header as virtio 1.x lays them out in shared memory.
 *
 * The other side can write all of it at any time: what is read here is read once and checked.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_byteorder.h>
#include <rte_common.h>

#define VIRTQ_DESC_F_NEXT 1     /**< the chain goes on at next */
#define VIRTQ_DESC_F_WRITE 2    /**< the device writes */
#define VIRTQ_DESC_F_INDIRECT 4 /**< it has a table of descriptors in place of a buffer */

#define VIRTQ_AVAIL_F_NO_INTERRUPT 1
#define VIRTQ_USED_F_NO_NOTIFY 1

/** Feature bits. */
#define VIRTIO_NET_F_MRG_RXBUF 15
#define VIRTIO_NET_F_MQ 22
#define VIRTIO_F_ANY_LAYOUT 27
#define VIRTIO_F_INDIRECT_DESC 28
#define VIRTIO_F_EVENT_IDX 29
#define VIRTIO_F_VERSION_1 32
#define VIRTIO_F_IN_ORDER 35

/** Device status. */
#define VIRTIO_STATUS_ACKNOWLEDGE 0x01
#define VIRTIO_STATUS_DRIVER 0x02
#define VIRTIO_STATUS_DRIVER_OK 0x04
#define VIRTIO_STATUS_FEATURES_OK 0x08
#define VIRTIO_STATUS_RUNNING 0x0f /**< all of these */

/** In front of every packet. Without offloads all of it is zero but num_buffers. */
struct virtio_hdr {
	uint8_t flags;
	uint8_t gso_type;
	rte_le16_t hdr_len;
	rte_le16_t gso_size;
	rte_le16_t csum_start;
	rte_le16_t csum_offset;
	rte_le16_t num_buffers; /**< receive: how many buffers the packet fills */
};

#define VIRTIO_HDR_LEN ((uint32_t)sizeof(struct virtio_hdr))
/** Of the header that legacy devices have where packets fill one buffer each: no num_buffers. */
#define VIRTIO_SHORT_HDR_LEN ((uint32_t)offsetof(struct virtio_hdr, num_buffers))
/** What that is shorter by. */
#define VIRTIO_HDR_GAP (VIRTIO_HDR_LEN - VIRTIO_SHORT_HDR_LEN)

struct virtq_desc {
	rte_le64_t addr;
	rte_le32_t len;
	rte_le16_t flags;
	rte_le16_t next;
};

struct virtq_avail {
	rte_le16_t flags;
	rte_le16_t idx;
	rte_le16_t ring[];
};

struct virtq_used_elem {
	rte_le32_t id;
	rte_le32_t len;
};

struct virtq_used {
	rte_le16_t flags;
	rte_le16_t idx;
	struct virtq_used_elem ring[];
};

/* As virtio has them, whatever this compiler aligns to. */
_Static_assert(VIRTIO_HDR_LEN == 12 && VIRTIO_SHORT_HDR_LEN == 10, "header of a packet");
_Static_assert(sizeof(struct virtq_desc) == 16 && offsetof(struct virtq_desc, len) == 8 &&
				offsetof(struct virtq_desc, flags) == 12 &&
				offsetof(struct virtq_desc, next) == 14,
		"descriptor");
_Static_assert(offsetof(struct virtq_avail, ring) == 4, "available ring");
_Static_assert(sizeof(struct virtq_used_elem) == 8 && offsetof(struct virtq_used, ring) == 4,
		"used ring");

/** Where the three parts of a virtqueue are. */
struct virtq {
	struct virtq_desc *desc;
	struct virtq_avail *avail;
	struct virtq_used *used;
	uint16_t size;
	uint16_t mask;
};

/** Bytes of a virtqueue, each part on cache lines of its own, an event index behind two of them. */
static inline size_t
virtq_bytes(uint16_t size)
{
	return RTE_ALIGN_CEIL(size * sizeof(struct virtq_desc), RTE_CACHE_LINE_SIZE) +
			RTE_ALIGN_CEIL(sizeof(struct virtq_avail) + (size + 1) * sizeof(rte_le16_t),
					RTE_CACHE_LINE_SIZE) +
			RTE_ALIGN_CEIL(sizeof(struct virtq_used) +
							size * sizeof(struct virtq_used_elem) +
							sizeof(rte_le16_t),
					RTE_CACHE_LINE_SIZE);
}

static inline void
virtq_init(struct virtq *vq, void *mem, uint16_t size)
{
	char *p = mem;

	vq->size = size;
	vq->mask = size - 1;
	vq->desc = (struct virtq_desc *)p;
	p += RTE_ALIGN_CEIL(size * sizeof(struct virtq_desc), RTE_CACHE_LINE_SIZE);
	vq->avail = (struct virtq_avail *)p;
	p += RTE_ALIGN_CEIL(sizeof(struct virtq_avail) + (size + 1) * sizeof(rte_le16_t),
			RTE_CACHE_LINE_SIZE);
	vq->used = (struct virtq_used *)p;
}

/**
 * Point a descriptor at a buffer, by our address: back ends map our memory and know it by that. For
 * devices that do DMA virtio_dma.c puts the IOVA in its place.
 */
static inline void
virtq_desc_point(struct virtq_desc *desc, const void *addr)
{
	desc->addr = rte_cpu_to_le_64((uintptr_t)addr);
}

/** How far the device is. What it wrote before is visible. */
static inline uint16_t
virtq_used_idx(const struct virtq *vq)
{
	return rte_le_to_cpu_16(__atomic_load_n(&vq->used->idx, __ATOMIC_ACQUIRE));
}

/** The used entry at a position. rx_copy_used() is what reads several at once. */
static inline void
virtq_used_read(const struct virtq *vq, uint16_t at, uint32_t *id, uint32_t *len)
{
	const struct virtq_used_elem *e = &vq->used->ring[at & vq->mask];

	*id = rte_le_to_cpu_32(__atomic_load_n(&e->id, __ATOMIC_RELAXED));
	*len = rte_le_to_cpu_32(__atomic_load_n(&e->len, __ATOMIC_RELAXED));
}

/** Offer a descriptor at a position, without telling the device yet. */
static inline void
virtq_offer(struct virtq *vq, uint16_t at, uint16_t id)
{
	rte_le16_t *slot = &vq->avail->ring[at & vq->mask];

	/* A device that works in order makes this the same id each lap: leave the line clean. */
	if (*slot != rte_cpu_to_le_16(id))
		*slot = rte_cpu_to_le_16(id);
}

/** Tell the device how far we are. */
static inline void
virtq_publish(struct virtq *vq, uint16_t idx)
{
	__atomic_store_n(&vq->avail->idx, rte_cpu_to_le_16(idx), __ATOMIC_RELEASE);
}

/** Whether the device wants to be woken. */
static inline bool
virtq_wants_kick(const struct virtq *vq)
{
	return (__atomic_load_n(&vq->used->flags, __ATOMIC_RELAXED) &
			       rte_cpu_to_le_16(VIRTQ_USED_F_NO_NOTIFY)) == 0;
}

/** Where we ask for an interrupt: when the device gets beyond this used entry. */
static inline rte_le16_t *
virtq_used_event(const struct virtq *vq)
{
	return &vq->avail->ring[vq->size];
}

/** Where the device asks to be woken: when we get beyond this available entry. */
static inline uint16_t
virtq_avail_event(const struct virtq *vq)
{
	const rte_le16_t *event = (const rte_le16_t *)&vq->used->ring[vq->size];

	return rte_le_to_cpu_16(__atomic_load_n(event, __ATOMIC_RELAXED));
}

/** Whether an index has gone beyond an event since it was at another value. */
static inline bool
virtq_event_passed(uint16_t event, uint16_t idx, uint16_t since)
{
	return (uint16_t)(idx - event - 1) < (uint16_t)(idx - since);
}

#endif /* _VIRTIO_RING_H_ */
