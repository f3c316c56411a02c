/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _VIRTIO_DMA_H_
#define _VIRTIO_DMA_H_

/**
 * @file
 * The split ring of a device that does DMA: it finds buffers by IOVA, and needs the barriers of
 * devices.
 *
 * As with packed rings, all code that knows no layout works on the ring's image, a split ring in
 * memory of our own with our addresses. What the device has used is brought into the image, what is
 * offered there is written to the ring with IOVAs. So the burst functions of other rings know
 * nothing of this.
 */

#include <rte_memory.h>

#include "virtio_ring.h"

/** Pieces of memory of which a ring remembers the IOVA. A power of 2. */
#define DMA_CACHE_PLACES 64u
/** Bytes that share a place, as a power of 2: those of a hugepage. */
#define DMA_CACHE_SHIFT 21

/** A piece of memory that is contiguous in IOVA; len 0: none. */
struct dma_piece {
	uintptr_t addr;
	size_t len;
	rte_iova_t delta; /**< from addr to its IOVA */
};

struct virtq_dma {
	struct virtq ring;
	uint16_t used;       /**< next entry of the device to be brought into the image */
	uint16_t avail;      /**< next entry of the image to be offered */
	uint32_t generation; /**< of EAL's memory, that the pieces are of */
	struct dma_piece piece[DMA_CACHE_PLACES];
};

/** An empty ring. @param mem its memory, all zero */
void virtq_dma_init(struct virtq_dma *d, void *mem, uint16_t size);

/** Bring what the device has used into the image. */
void virtq_dma_take(struct virtq_dma *d, const struct virtq *image);

/** Offer what the image offers, up to a position. @return whether there was anything. */
bool virtq_dma_give(struct virtq_dma *d, const struct virtq *image, uint16_t end);

/** EAL's memory is watched from now on. @return 0 or a negative errno. */
int virtq_dma_watch(void);

#endif /* _VIRTIO_DMA_H_ */
