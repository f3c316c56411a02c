/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _VIRTIO_PACKED_H_
#define _VIRTIO_PACKED_H_

/**
 * @file
 * The packed virtqueue as virtio 1.x lays it out in shared memory, and what is known of it.
 *
 * There is one ring of descriptors. We write one to make it available, the device overwrites it
 * when it has used a buffer, both in the order of the ring. Two bits of its flags tell which of
 * the two it is; what they mean changes with each lap.
 *
 * Whatever the device writes is read once, by the functions here. To receive, it goes into the
 * ring's image: a split ring in memory of our own, which all code works on that knows no layout.
 * What this code offers in the image is then written to the ring. To transmit, only the descriptors
 * of the image are used: a packet is put together there, and is written to the ring at once. See
 * ppfrag_rx_packed.c, ppfrag_tx_packed.c.
 *
 * Positions count on for ever, as those of split rings; the ring has a power of two of places.
 */

#include <rte_cycles.h>

#include "virtio_ring.h"

/** Feature bits. */
#define VIRTIO_F_RING_PACKED 34
#define VIRTIO_F_IN_ORDER 35

#define PACKED_DESC_F_AVAIL 0x80u
#define PACKED_DESC_F_USED 0x8000u
/** Both of them. */
#define PACKED_DESC_F_LAP (PACKED_DESC_F_AVAIL | PACKED_DESC_F_USED)

/** Bits of SET_VRING_BASE: positions 0 of both sides, each in its first lap. */
#define PACKED_BASE 0x80008000u

/** How long a packet may wait for others of its burst, in ns. */
#define PACKED_PAUSE_NS 1000

/** Whether the one that writes this wants to be told, in struct packed_event. */
#define PACKED_EVENT_ENABLE 0
#define PACKED_EVENT_DISABLE 1

struct packed_desc {
	rte_le64_t addr;
	rte_le64_t rest; /**< length: 32 bits; buffer id: 16; flags: 16 */
} __rte_aligned(16);

struct packed_event {
	rte_le16_t position;
	rte_le16_t flags;
};

/* As virtio has them. */
_Static_assert(sizeof(struct packed_desc) == 16 && offsetof(struct packed_desc, rest) == 8,
		"packed descriptor");
_Static_assert(sizeof(struct packed_event) == 4, "event suppression");

/** Layouts of a ring. */
enum virtio_layout {
	VIRTIO_SPLIT,
	VIRTIO_PACKED,
	VIRTIO_PACKED_IN_ORDER, /**< the device may tell of the last buffer of several only */
};

struct virtq_dma;

/** A packed ring, and how much of it is in its image. */
struct virtq_packed {
	struct packed_desc *desc;
	struct packed_event *driver; /**< whether we want interrupts */
	struct packed_event *device; /**< whether the device wants to be woken */
	void *image;                 /**< memory of the image; NULL where rings are never packed */
	uint16_t size;
	uint16_t used;    /**< position of the next descriptor that the device has used */
	uint16_t avail;   /**< position of the next descriptor to be made available */
	uint16_t offered; /**< transmit: next descriptor to be made so, of those that are written */
	rte_le64_t first; /**< transmit: all but the address of that one */
	uint8_t layout;   /**< enum virtio_layout that the ring was reset for */
	uint64_t taken_at; /**< when a burst was last taken, in TSC cycles */
	uint64_t pause;    /**< from there until less than a burst is worth a look */

	/** A split ring that has an image, see virtio_dma.h, or NULL. */
	struct virtq_dma *dma;
};

static inline bool
virtq_is_packed(const struct virtq_packed *p)
{
	return p->layout != VIRTIO_SPLIT;
}

/**
 * Where the three parts are, as a split ring has three. They take less memory: there is no ring so
 * small that virtq_bytes() would not do.
 */
static inline void
virtq_packed_place(struct virtq *vq, void *mem, uint16_t size)
{
	char *events = (char *)mem +
			RTE_ALIGN_CEIL(size * sizeof(struct packed_desc), RTE_CACHE_LINE_SIZE);

	vq->size = size;
	vq->mask = size - 1;
	vq->desc = mem;
	vq->avail = (struct virtq_avail *)events;
	vq->used = (struct virtq_used *)(events + RTE_CACHE_LINE_SIZE);
}

/** An empty ring, whose memory is all zero. */
static inline void
virtq_packed_init(struct virtq_packed *p, void *mem, uint16_t size)
{
	struct virtq vq;

	virtq_packed_place(&vq, mem, size);
	p->desc = mem;
	p->driver = (struct packed_event *)vq.avail;
	p->device = (struct packed_event *)vq.used;
	p->size = size;
	p->used = 0;
	p->avail = 0;
	p->offered = 0;
	p->first = 0;
	p->pause = rte_get_tsc_hz() * PACKED_PAUSE_NS / 1000000000;
}

/**
 * All but the address of a descriptor. The only place that reads one. What the device did before it
 * wrote that is visible.
 */
static inline uint64_t
packed_read(const struct virtq_packed *p, uint16_t at)
{
	const struct packed_desc *d = &p->desc[at & (p->size - 1)];

	return rte_le_to_cpu_64(__atomic_load_n(&d->rest, __ATOMIC_ACQUIRE));
}

static inline uint32_t
packed_len(uint64_t rest)
{
	return (uint32_t)rest;
}

static inline uint16_t
packed_id(uint64_t rest)
{
	return (uint16_t)(rest >> 32);
}

/**
 * Whether the descriptor at a position is used. Only for one that was made available: what was
 * there two laps ago looks the same.
 */
static inline bool
packed_is_used(const struct virtq_packed *p, uint16_t at, uint64_t rest)
{
	const uint64_t mask = (uint64_t)PACKED_DESC_F_LAP << 48;

	return (rest & mask) == ((at & p->size) == 0 ? mask : 0);
}

/** Whether the device has used any descriptor that is not in the image. */
static inline bool
packed_has_used(const struct virtq_packed *p)
{
	return p->used != p->avail && packed_is_used(p, p->used, packed_read(p, p->used));
}

/** All but the address of an available descriptor. */
static inline rte_le64_t
packed_rest(const struct virtq_packed *p, uint16_t at, uint32_t len, uint16_t id, uint16_t flags)
{
	flags |= (at & p->size) == 0 ? PACKED_DESC_F_AVAIL : PACKED_DESC_F_USED;
	return rte_cpu_to_le_64(len | (uint64_t)id << 32 | (uint64_t)flags << 48);
}

/** Make the first of several descriptors available, and by this the others, which are written. */
static inline void
packed_publish(const struct virtq_packed *p, uint16_t at, rte_le64_t rest)
{
	__atomic_store_n(&p->desc[at & (p->size - 1)].rest, rest, __ATOMIC_RELEASE);
}

/** Whether the device wants to be woken. What is no plain "no" is a "yes". */
static inline bool
packed_wants_kick(const struct virtq_packed *p)
{
	return __atomic_load_n(&p->device->flags, __ATOMIC_RELAXED) !=
			rte_cpu_to_le_16(PACKED_EVENT_DISABLE);
}

/** Whether we want interrupts. */
static inline void
packed_set_interrupts(const struct virtq_packed *p, bool on)
{
	__atomic_store_n(&p->driver->flags,
			rte_cpu_to_le_16(on ? PACKED_EVENT_ENABLE : PACKED_EVENT_DISABLE),
			__ATOMIC_RELAXED);
}

#endif /* _VIRTIO_PACKED_H_ */
