/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "ppfrag_device.h"
#include "ppfrag_queue.h"

/*
 * What a queue receives into: pool, slots or lanes, the length of frames, and whether packets are
 * copied. Rings are the business of the device.
 */

#define HUGEPAGE_LEN ((size_t)2 << 20)

/* Bytes of the pages that an address of EAL memory is in, as far as they can be had alone. */
static size_t
page_len(const void *addr)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(addr);

	return msl == NULL ? HUGEPAGE_LEN : RTE_MIN(msl->page_sz, HUGEPAGE_LEN);
}

/* Names are not used twice: what had them before may be in quarantine. */
const struct rte_memzone *
ppfrag_zone_reserve(struct ppfrag_dev *pd, const char *what, size_t len, int socket_id)
{
	char name[RTE_MEMZONE_NAMESIZE];
	size_t page = page_len(pd);
	unsigned int flags = RTE_MEMZONE_2MB | RTE_MEMZONE_SIZE_HINT_ONLY;

	/* A device that does DMA gets no files: there is no need for pages of its own. */
	if (pd->kind == PPFRAG_KIND_PCI) {
		page = RTE_CACHE_LINE_SIZE;
		flags |= RTE_MEMZONE_IOVA_CONTIG;
	}
	snprintf(name, sizeof(name), "ppfrag_%s_%u_%u", what, pd->port_id, pd->nb_zones++);
	return rte_memzone_reserve_aligned(name, RTE_ALIGN_CEIL(len, page), socket_id, flags, page);
}

static uint32_t
mtu_to_frame(uint16_t mtu)
{
	return RTE_MIN((uint32_t)mtu + PPFRAG_L2_LEN, (uint32_t)PPFRAG_MAX_FRAME);
}

/* The longest data that a frag of this pool can have. */
static uint32_t
page_capacity(struct rte_mempool *mp)
{
	struct ppool_layout layout;
	int ret = ppool_layout_get(mp, &layout);

	if (ret != 0 || layout.room_bytes <= RTE_PKTMBUF_HEADROOM)
		return 0;
	return RTE_MIN(layout.room_bytes - RTE_PKTMBUF_HEADROOM, (uint32_t)PPFRAG_MAX_FRAME);
}

/* The longest data of one segment. */
static uint32_t
frame_capacity(const struct ppfrag_rxq *q)
{
	uint32_t capacity = page_capacity(q->mp);

	if (q->slots == NULL)
		return capacity;
	return RTE_MIN(capacity, (uint32_t)ppfrag_slots_class(q->mp, UINT32_MAX).room);
}

/* The size of mbufs, as testpmd counts it, that are certain to hold frames of this length. */
static uint32_t
sufficient_room(const struct ppfrag_rxq *q, uint32_t frame)
{
	uint32_t room = frame + RTE_PKTMBUF_HEADROOM;
	struct ppool_layout layout;

	if (q->slots != NULL && ppool_layout_get(q->mp, &layout) == 0)
		room += layout.slot_bytes; /* an mbuf and its record, inside of the page */
	return RTE_MIN((uint32_t)RTE_ALIGN_CEIL(room, 1024), (uint32_t)UINT16_MAX);
}

static int
check_frame(const struct ppfrag_rxq *q, uint32_t frame)
{
	uint32_t capacity = frame_capacity(q);

	if (capacity == 0) {
		PPFRAG_LOG(ERR, "%s: pool %s cannot hold frames: its elements are too small",
				ppfrag_port_name(q->dev), q->mp->name);
		return -EINVAL;
	}
	if (frame > capacity && !q->scatter) {
		PPFRAG_LOG(ERR,
				"%s: MTU %u makes frames of up to %u bytes, a %s of pool %s "
				"holds %u: use larger mbufs (testpmd --mbuf-size=%u), a smaller "
				"MTU (mtu=%u where the application takes the largest)%s or "
				"RTE_ETH_RX_OFFLOAD_SCATTER",
				ppfrag_port_name(q->dev), frame - PPFRAG_L2_LEN, frame,
				q->slots != NULL ? "slot" : "page", q->mp->name, capacity,
				sufficient_room(q, frame), capacity - PPFRAG_L2_LEN,
				frame <= page_capacity(q->mp) && q->post_len == 0 ? ", rx=lanes" :
										    "");
		return -EINVAL;
	}
	return 0;
}

static int
carver_init(struct ppfrag_rxq *q)
{
	const struct ppool_carver_conf conf = {
		.max_len = q->post_len != 0 ? q->post_len : q->max_len,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = ppfrag_rxq_copies(q) ? 1 : q->nb,
		.port = q->dev->port_id,
		.socket_id = q->socket_id,
	};

	q->carver = ppool_carver_create(q->mp, &conf);
	if (q->carver == NULL) {
		PPFRAG_LOG(ERR, "%s: cannot receive into pool %s: %s", ppfrag_port_name(q->dev),
				q->mp->name, rte_strerror(rte_errno));
		return -rte_errno;
	}
	return 0;
}

/* What the device writes in front of a packet. */
static uint32_t
hdr_len(const struct ppfrag_rxq *q)
{
	return RTE_PKTMBUF_HEADROOM - q->hdr_offset;
}

/* What one buffer of the ring takes where packets are copied. */
static uint32_t
bounce_len(const struct ppfrag_rxq *q)
{
	return q->mrg ? PPFRAG_BOUNCE_LEN :
			RTE_ALIGN_CEIL(q->max_len + hdr_len(q), RTE_CACHE_LINE_SIZE);
}

/*
 * The memory belongs to the port and stays when the queue is set up again: back ends take regions
 * of the same addresses and sizes for the same memory and keep their old mapping, though a
 * hugepage that was freed in between is another one.
 */
static int
bounce_init(struct ppfrag_rxq *q)
{
	const struct rte_memzone **mz = &q->dev->bounce_mz[q->queue_id];
	size_t len = (size_t)q->nb * bounce_len(q);

	if (*mz == NULL || (*mz)->len < len) {
		rte_memzone_free(*mz);
		*mz = ppfrag_zone_reserve(q->dev, "bounce", len, q->socket_id);
	}
	q->bounce_mz = *mz;
	if (q->bounce_mz == NULL) {
		PPFRAG_LOG(ERR, "%s: no memory for receive buffers: %zu bytes: %s",
				ppfrag_port_name(q->dev), len, rte_strerror(rte_errno));
		return -ENOMEM;
	}
	q->bounce = q->bounce_mz->addr;
	return 0;
}

/* What is in quarantine belongs to the queue no more. */
static bool
has_memory(const struct ppfrag_rxq *q)
{
	return (q->slots != NULL || q->carver != NULL) &&
			(!ppfrag_rxq_copies(q) || q->bounce_mz != NULL);
}

/* Make a queue ready for frames of a length that check_frame() accepts. */
static int
set_frame(struct ppfrag_rxq *q, uint32_t frame)
{
	uint32_t max_len = RTE_MIN(frame, frame_capacity(q));
	int ret;

	if (q->max_len == max_len && has_memory(q))
		return 0;
	/* The old carver goes first: its pages may be the last ones. */
	ppool_carver_free(q->carver);
	q->carver = NULL;
	q->max_len = max_len;
	ret = ppfrag_rxq_copies(q) ? bounce_init(q) : 0;
	if (ret == 0)
		ret = q->slots != NULL ? ppfrag_slots_set_frame(q) : carver_init(q);
	q->buf_len = ppfrag_rxq_copies(q) ? bounce_len(q) : max_len + hdr_len(q);
	if (ret != 0)
		q->max_len = 0; /* once more the next time */
	return ret;
}

int
ppfrag_queues_check_mtu(const struct rte_eth_dev *dev, uint16_t mtu)
{
	uint32_t frame = mtu_to_frame(mtu);
	uint16_t i;
	int ret = 0;

	for (i = 0; i < dev->data->nb_rx_queues && ret == 0; i++)
		if (dev->data->rx_queues[i] != NULL)
			ret = check_frame(dev->data->rx_queues[i], frame);
	return ret;
}

int
ppfrag_queues_set_mtu(struct rte_eth_dev *dev, uint16_t mtu)
{
	uint32_t frame = mtu_to_frame(mtu);
	uint16_t i;
	int ret = ppfrag_queues_check_mtu(dev, mtu);

	for (i = 0; i < dev->data->nb_rx_queues && ret == 0; i++)
		if (dev->data->rx_queues[i] != NULL)
			ret = set_frame(dev->data->rx_queues[i], frame);
	return ret;
}

int
ppfrag_pool_check(const struct rte_eth_dev *dev, const struct rte_mempool *mp)
{
	if (mp == NULL) {
		PPFRAG_LOG(ERR, "%s: a receive queue needs one mempool, not several",
				dev->data->name);
		return -EINVAL;
	}
	if (!ppool_is_page_pool(mp)) {
		PPFRAG_LOG(ERR,
				"%s: pool %s has mempool ops '%s', '" PPOOL_OPS_NAME "' are "
				"needed: add the EAL option --mbuf-pool-ops-name=" PPOOL_OPS_NAME,
				dev->data->name, mp->name,
				rte_mempool_get_ops(mp->ops_index)->name);
		return -EINVAL;
	}
	return 0;
}

/* What a posted slot holds at least. */
static uint32_t
posted_len(const struct ppfrag_rxq *q)
{
	return q->post_len != 0 ? q->post_len : q->max_len;
}

size_t
ppfrag_rxq_ring_bytes(const struct ppfrag_rxq *q)
{
	struct ppool_layout layout;

	if (ppfrag_rxq_copies(q))
		return (size_t)q->nb * q->buf_len;
	if (q->slots != NULL)
		return (size_t)q->nb * ppfrag_slots_class(q->mp, posted_len(q)).truesize;
	return ppool_layout_get(q->mp, &layout) == 0 ? (size_t)q->nb * layout.page_bytes : 0;
}

/* Frames of a length that a page takes before what is left is too little for the largest. */
static uint32_t
frames_per_page(const struct ppfrag_rxq *q, const struct ppool_layout *layout, uint32_t len)
{
	uint32_t frag = RTE_ALIGN_CEIL(RTE_PKTMBUF_HEADROOM + len, PPOOL_FRAG_ALIGN);

	if (q->slots != NULL)
		return ppfrag_slots_class(q->mp, len).slots;
	return (layout->room_bytes - RTE_PKTMBUF_HEADROOM - q->max_len) / frag + 1;
}

/* What becomes of packets, into size bytes at text. */
static void
describe_way(const struct ppfrag_rxq *q, const char *copy_reason, char *text, size_t size)
{
	if (ppfrag_rxq_copies(q))
		snprintf(text, size,
				"packets are copied, the back end cannot write into the pool: %s",
				copy_reason);
	else if (q->slots != NULL)
		snprintf(text, size,
				"zero-copy into slots, frames of up to %u are copied; preset %s",
				q->dev->copybreak, ppfrag_preset_names[q->dev->preset]);
	else
		snprintf(text, size, "zero-copy%s",
				q->dev->want_slots ? " into lanes, as no slot holds such frames" :
						     "");
}

/* An application that holds packets stops reception soon where the ring takes most pages. */
static void
warn_few_pages(const struct ppfrag_rxq *q)
{
	uint64_t buffers = q->mp->size;

	if (q->slots != NULL)
		buffers *= ppfrag_slots_class(q->mp, posted_len(q)).slots;
	if (!ppfrag_rxq_copies(q) && 2 * buffers < 3 * (uint64_t)q->nb)
		PPFRAG_LOG(WARNING,
				"%s: pool %s has pages for %" PRIu64
				" buffers, fewer than 1.5 times the ring of %u: an application that holds packets stops reception; use more mbufs (testpmd --total-num-mbufs) or a smaller ring",
				ppfrag_port_name(q->dev), q->mp->name, buffers, q->nb);
}

void
ppfrag_rxq_log(const struct ppfrag_rxq *q, const char *copy_reason)
{
	struct ppool_layout layout;
	char way[256];

	if (ppool_layout_get(q->mp, &layout) != 0)
		return; /* not of a pool that the queue was set up for */
	describe_way(q, copy_reason, way, sizeof(way));
	PPFRAG_LOG(INFO,
			"%s: receive queue %u: a page of pool %s (%u bytes) holds %u frames of %u "
			"bytes or %u of 64; a ring of %u posts %zu bytes; %s",
			ppfrag_port_name(q->dev), q->queue_id, q->mp->name, layout.page_bytes,
			frames_per_page(q, &layout, q->max_len), q->max_len,
			frames_per_page(q, &layout, 64), q->nb, ppfrag_rxq_ring_bytes(q), way);
	warn_few_pages(q);
}

void
ppfrag_rxq_log_starved(const struct ppfrag_rxq *q)
{
	if (q->nb_starved == 0)
		return;
	PPFRAG_LOG(WARNING,
			"%s: receive queue %u starts with %u of %u buffers: pool %s has no more free pages",
			ppfrag_port_name(q->dev), q->queue_id, q->nb - q->nb_starved, q->nb,
			q->mp->name);
}

struct ppfrag_rxq *
ppfrag_rxq_alloc(uint16_t nb, unsigned int socket_id)
{
	struct ppfrag_rxq *q;
	size_t per_desc = sizeof(*q->done) + sizeof(*q->starved) + sizeof(*q->posted) +
			sizeof(*q->len);

	q = rte_zmalloc_socket("ppfrag_rxq", sizeof(*q) + nb * per_desc, RTE_CACHE_LINE_SIZE,
			socket_id);
	if (q == NULL)
		return NULL;
	q->nb = nb;
	q->done = RTE_PTR_ADD(q, sizeof(*q));
	q->starved = q->done + nb;
	q->posted = (uint32_t *)(q->starved + nb);
	q->len = q->posted + nb;
	return q;
}

void
ppfrag_rxq_free(struct ppfrag_rxq *q)
{
	ppool_carver_free(q->carver);
	ppfrag_slots_release(q, NULL);
	rte_free(q->slots);
	rte_free(q->packed.image);
	rte_free(q);
}

/* Where nobody asked for slots, frames that fit into a page but into no slot of it go to lanes. */
static bool
is_for_slots(const struct ppfrag_rxq *q, uint32_t frame)
{
	if (!q->dev->want_slots || q->dev->insist_slots)
		return q->dev->want_slots;
	return frame <= ppfrag_slots_class(q->mp, frame).room || frame > page_capacity(q->mp);
}

int
ppfrag_rxq_init(struct ppfrag_rxq *q, const char *copy_reason)
{
	uint32_t frame = mtu_to_frame(rte_eth_devices[q->dev->port_id].data->mtu);
	bool slots = is_for_slots(q, frame);
	int ret;

	q->how = slots ? PPFRAG_RX_SLOTS : PPFRAG_RX_LANES;
	if (copy_reason != NULL)
		q->how = PPFRAG_RX_COPY;
	if (slots) {
		ret = ppfrag_slots_init(q);
		if (ret != 0)
			return ret;
	}
	ret = check_frame(q, frame);
	return ret == 0 ? set_frame(q, frame) : ret;
}

void
ppfrag_rxq_attach(struct rte_eth_dev *dev, struct ppfrag_rxq *q)
{
	q->stats = q->dev->kept[q->queue_id].rx;
	q->base = q->dev->kept[q->queue_id].rx_base;
	dev->data->rx_queues[q->queue_id] = q;
}

void
ppfrag_txq_attach(struct rte_eth_dev *dev, struct ppfrag_txq *q)
{
	q->stats = q->dev->kept[q->queue_id].tx;
	q->base = q->dev->kept[q->queue_id].tx_base;
	dev->data->tx_queues[q->queue_id] = q;
}

void
ppfrag_rxq_release(struct rte_eth_dev *dev, uint16_t queue_id)
{
	struct ppfrag_rxq *q = dev->data->rx_queues[queue_id];

	if (q == NULL)
		return;
	q->dev->kept[queue_id].rx = q->stats;
	q->dev->kept[queue_id].rx_base = q->base;
	ppfrag_rxq_free(q);
	dev->data->rx_queues[queue_id] = NULL;
}

void
ppfrag_txq_release(struct rte_eth_dev *dev, uint16_t queue_id)
{
	struct ppfrag_txq *q = dev->data->tx_queues[queue_id];

	if (q == NULL)
		return;
	q->dev->kept[queue_id].tx = q->stats;
	q->dev->kept[queue_id].tx_base = q->base;
	rte_free(q->packed.image);
	rte_free(q);
	dev->data->tx_queues[queue_id] = NULL;
}

int
ppfrag_queues_check(const struct rte_eth_dev *dev)
{
	uint16_t i;

	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		if (dev->data->rx_queues[i] == NULL) {
			PPFRAG_LOG(ERR, "%s: receive queue %u is not set up", dev->data->name, i);
			return -EINVAL;
		}
	}
	for (i = 0; i < dev->data->nb_tx_queues; i++) {
		if (dev->data->tx_queues[i] == NULL) {
			PPFRAG_LOG(ERR, "%s: transmit queue %u is not set up", dev->data->name, i);
			return -EINVAL;
		}
	}
	return 0;
}

void
ppfrag_rxq_info_get(struct rte_eth_dev *dev, uint16_t queue_id, struct rte_eth_rxq_info *info)
{
	const struct ppfrag_rxq *q = dev->data->rx_queues[queue_id];

	info->mp = q->mp;
	info->nb_desc = q->nb;
	info->scattered_rx = q->scatter;
	info->rx_buf_size = (uint16_t)q->max_len;
	info->conf.offloads = q->offloads;
	info->conf.rx_deferred_start = q->run.deferred;
}

void
ppfrag_txq_info_get(struct rte_eth_dev *dev, uint16_t queue_id, struct rte_eth_txq_info *info)
{
	const struct ppfrag_txq *q = dev->data->tx_queues[queue_id];

	info->nb_desc = q->vq.size;
	info->conf.tx_free_thresh = q->free_thresh;
	info->conf.tx_deferred_start = q->run.deferred;
	info->conf.offloads = q->offloads;
}
