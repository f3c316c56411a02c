/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "../ppfrag.h"
#include "ppfrag_offload.h"

/* Free descriptors below which a transmit queue looks for used ones: all but these are free. */
#define TX_HELD_DEFAULT 32

/*
 * The arena. For each queue pair:
 *
 *   receive ring | transmit ring | virtio header, all zero | transmit bounce buffers
 */

static size_t
pair_bytes(uint16_t queue_size)
{
	return 2 * virtq_bytes(queue_size) + RTE_CACHE_LINE_SIZE +
			(size_t)queue_size * PPFRAG_BOUNCE_LEN;
}

static char *
pair_mem(const struct ppfrag_dev *pd, uint16_t pair)
{
	return (char *)pd->arena->addr + pair * pair_bytes(pd->queue_size);
}

static char *
vring_mem(const struct ppfrag_dev *pd, uint16_t vring)
{
	return pair_mem(pd, vring / 2) + (vring % 2) * virtq_bytes(pd->queue_size);
}

static struct virtio_hdr *
tx_hdr_mem(const struct ppfrag_dev *pd, uint16_t queue_id)
{
	return (struct virtio_hdr *)(pair_mem(pd, queue_id) + 2 * virtq_bytes(pd->queue_size));
}

static char *
tx_bounce_mem(const struct ppfrag_dev *pd, uint16_t queue_id)
{
	return (char *)tx_hdr_mem(pd, queue_id) + RTE_CACHE_LINE_SIZE;
}

static int
arena_check(const struct rte_eth_dev *dev, const struct rte_memzone *arena)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_mem mem = { .nb = 0 };
	int ret = ppfrag_mem_add(&mem, arena->addr, arena->len);

	if (ret != 0)
		PPFRAG_LOG(ERR,
				"%s: %zu bytes for rings of queue_size=%u cannot be shared: %s, "
				"or use a smaller queue_size",
				dev->data->name, arena->len, pd->queue_size,
				ppfrag_mem_reason(ret));
	return ret;
}

/* Point a queue at its ring, which is emptied. From here on it can be looked at. */
static void
rxq_reset(struct ppfrag_rxq *q)
{
	virtq_init(&q->vq, vring_mem(q->dev, ppfrag_rx_vring(q->queue_id)), q->vq.size);
	memset(q->vq.desc, 0, virtq_bytes(q->dev->queue_size));
	q->vq.avail->flags = rte_cpu_to_le_16(VIRTQ_AVAIL_F_NO_INTERRUPT);
	q->used_idx = 0;
	q->avail_idx = 0;
	q->nb_posted = 0;
	q->nb_starved = 0;
	q->nb_waiting = 0;
	memset(q->posted, 0, q->nb * sizeof(*q->posted));
}

static void
txq_reset(struct ppfrag_txq *q)
{
	uint16_t i;

	virtq_init(&q->vq, vring_mem(q->dev, ppfrag_tx_vring(q->queue_id)), q->vq.size);
	memset(q->vq.desc, 0, virtq_bytes(q->dev->queue_size));
	q->vq.avail->flags = rte_cpu_to_le_16(VIRTQ_AVAIL_F_NO_INTERRUPT);
	q->hdr = tx_hdr_mem(q->dev, q->queue_id);
	q->bounce = tx_bounce_mem(q->dev, q->queue_id);
	q->used_idx = 0;
	q->avail_idx = 0;
	q->free_head = 0;
	q->nb_free = q->vq.size;
	q->nb_inflight = 0;
	for (i = 0; i < q->vq.size; i++) {
		q->slot[i] = (struct ppfrag_tx_slot){ .m = NULL };
		q->free[i] = i;
	}
}

static void
queues_reset(struct rte_eth_dev *dev)
{
	uint16_t i;

	for (i = 0; i < dev->data->nb_rx_queues; i++)
		if (dev->data->rx_queues[i] != NULL)
			rxq_reset(dev->data->rx_queues[i]);
	for (i = 0; i < dev->data->nb_tx_queues; i++)
		if (dev->data->tx_queues[i] != NULL)
			txq_reset(dev->data->tx_queues[i]);
}

/* Names are not used twice: what had them before may be in quarantine. */
static const struct rte_memzone *
zone_reserve(struct ppfrag_dev *pd, const char *what, size_t len, int socket_id)
{
	char name[RTE_MEMZONE_NAMESIZE];

	snprintf(name, sizeof(name), "ppfrag_%s_%u_%u", what, pd->port_id, pd->nb_zones++);
	return ppfrag_mem_reserve(pd, name, len, socket_id);
}

int
ppfrag_arena_init(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	const struct rte_memzone *arena;
	size_t len;
	int ret;

	pd->nb_pairs = RTE_MAX(dev->data->nb_rx_queues, dev->data->nb_tx_queues);
	len = pd->nb_pairs * pair_bytes(pd->queue_size);
	if (pd->arena != NULL && pd->arena->len >= len)
		return 0;
	arena = zone_reserve(pd, "arena", len, dev->data->numa_node);
	if (arena == NULL) {
		PPFRAG_LOG(ERR, "%s: no memory for rings of queue_size=%u: %zu bytes: %s",
				dev->data->name, pd->queue_size, len, rte_strerror(rte_errno));
		return -ENOMEM;
	}
	ret = arena_check(dev, arena);
	if (ret != 0) {
		rte_memzone_free(arena);
		return ret;
	}
	rte_memzone_free(pd->arena);
	pd->arena = arena;
	queues_reset(dev);
	return 0;
}

void
ppfrag_vring_get(const struct rte_eth_dev *dev, uint16_t vring, struct virtq *vq)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const struct ppfrag_rxq *rxq;
	const struct ppfrag_txq *txq;
	uint16_t size = pd->queue_size;

	if (vring % 2 == 0 && vring / 2 < dev->data->nb_rx_queues) {
		rxq = dev->data->rx_queues[vring / 2];
		size = rxq->vq.size;
	} else if (vring % 2 == 1 && vring / 2 < dev->data->nb_tx_queues) {
		txq = dev->data->tx_queues[vring / 2];
		size = txq->vq.size;
	}
	virtq_init(vq, vring_mem(pd, vring), size);
}

/* Receive queues. */

static uint32_t
mtu_to_frame(uint16_t mtu)
{
	return RTE_MIN((uint32_t)mtu + PPFRAG_L2_LEN, (uint32_t)PPFRAG_MAX_FRAME);
}

/* The longest data that a frag of this pool can have. */
static uint32_t
page_capacity(struct rte_mempool *mp, struct ppool_layout *layout)
{
	int ret = ppool_layout_get(mp, layout);

	if (ret != 0 || layout->room_bytes <= RTE_PKTMBUF_HEADROOM)
		return 0;
	return RTE_MIN(layout->room_bytes - RTE_PKTMBUF_HEADROOM, (uint32_t)PPFRAG_MAX_FRAME);
}

/* The longest data of one segment. */
static uint32_t
frame_capacity(const struct ppfrag_rxq *q, struct ppool_layout *layout)
{
	uint32_t capacity = page_capacity(q->mp, layout);

	return q->how == PPFRAG_RX_SLOTS ? RTE_MIN(capacity, ppfrag_slots_capacity(q->mp)) :
					   capacity;
}

static int
check_frame(const struct ppfrag_rxq *q, uint32_t frame)
{
	struct ppool_layout layout;
	uint32_t capacity = frame_capacity(q, &layout);

	if (capacity == 0) {
		PPFRAG_LOG(ERR, "%s: pool %s cannot hold frames: its elements are too small",
				ppfrag_port_name(q->dev), q->mp->name);
		return -EINVAL;
	}
	if (frame > capacity && !q->scatter) {
		PPFRAG_LOG(ERR,
				"%s: MTU %u makes frames of up to %u bytes, a %s of pool %s "
				"holds %u: use larger mbufs (testpmd --mbuf-size=%u), a smaller "
				"MTU or RTE_ETH_RX_OFFLOAD_SCATTER",
				ppfrag_port_name(q->dev), frame - PPFRAG_L2_LEN, frame,
				q->how == PPFRAG_RX_SLOTS ? "slot" : "page", q->mp->name, capacity,
				(uint32_t)RTE_ALIGN_CEIL(frame + RTE_PKTMBUF_HEADROOM, 1024));
		return -EINVAL;
	}
	return 0;
}

static int
carver_init(struct ppfrag_rxq *q)
{
	const struct ppool_carver_conf conf = {
		.max_len = q->max_len,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = q->copy ? 1 : q->nb,
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

/* What one buffer of the ring takes where packets are copied. */
static uint32_t
bounce_len(const struct ppfrag_rxq *q)
{
	return q->mrg ? PPFRAG_BOUNCE_LEN :
			RTE_ALIGN_CEIL(q->max_len + VIRTIO_HDR_LEN, RTE_CACHE_LINE_SIZE);
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
		*mz = zone_reserve(q->dev, "bounce", len, q->socket_id);
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

/* Make a queue ready for frames of a length that check_frame() accepts. */
static int
set_frame(struct ppfrag_rxq *q, uint32_t frame)
{
	struct ppool_layout layout;
	uint32_t max_len = RTE_MIN(frame, frame_capacity(q, &layout));
	int ret;

	if (q->how == PPFRAG_RX_SLOTS) {
		if (q->max_len == max_len)
			return 0;
		q->max_len = max_len;
		q->buf_len = max_len + VIRTIO_HDR_LEN;
		return ppfrag_slots_set_frame(q);
	}
	if (q->carver != NULL && q->max_len == max_len && (!q->copy || q->bounce_mz != NULL))
		return 0;
	/* The old carver goes first: its pages may be the last ones. */
	ppool_carver_free(q->carver);
	q->carver = NULL;
	q->max_len = max_len;
	ret = q->copy ? bounce_init(q) : 0;
	if (ret == 0)
		ret = carver_init(q);
	q->buf_len = q->copy ? bounce_len(q) : q->max_len + VIRTIO_HDR_LEN;
	return ret;
}

int
ppfrag_queues_set_mtu(struct rte_eth_dev *dev, uint16_t mtu)
{
	uint32_t frame = mtu_to_frame(mtu);
	uint16_t i;
	int ret = 0;

	for (i = 0; i < dev->data->nb_rx_queues && ret == 0; i++)
		if (dev->data->rx_queues[i] != NULL)
			ret = check_frame(dev->data->rx_queues[i], frame);
	for (i = 0; i < dev->data->nb_rx_queues && ret == 0; i++)
		if (dev->data->rx_queues[i] != NULL)
			ret = set_frame(dev->data->rx_queues[i], frame);
	return ret;
}

static int
check_pool(const struct rte_eth_dev *dev, struct rte_mempool *mp)
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

/* Whether packets must be copied, and why: the back end cannot reach the pool. */
static const char *
reason_to_copy(const struct rte_eth_dev *dev, struct rte_mempool *mp)
{
	struct ppfrag_mem mem;
	int ret;

	ret = ppfrag_mem_collect(&mem, dev);
	if (ret == 0)
		ret = ppfrag_mem_add_pool(&mem, mp);
	return ret == 0 ? NULL : ppfrag_mem_reason(ret);
}

/* Frames of a length that a page takes before what is left is too little for the largest. */
static uint32_t
frames_per_page(const struct ppool_layout *layout, uint32_t max_len, uint32_t len)
{
	uint32_t frag = RTE_ALIGN_CEIL(RTE_PKTMBUF_HEADROOM + len, PPOOL_FRAG_ALIGN);

	return (layout->room_bytes - RTE_PKTMBUF_HEADROOM - max_len) / frag + 1;
}

static void
log_slots(const struct ppfrag_rxq *q)
{
	static const char * const presets[] = {
		[PPFRAG_PRESET_AUTO] = "auto",
		[PPFRAG_PRESET_SPEED] = "speed",
		[PPFRAG_PRESET_DENSITY] = "density",
	};

	PPFRAG_LOG(INFO,
			"%s: receive queue %u: slots of pool %s for frames of up to %u bytes, those of up to %u are copied; preset %s",
			ppfrag_port_name(q->dev), q->queue_id, q->mp->name, q->max_len,
			q->dev->copybreak, presets[q->dev->preset]);
}

static void
log_setup(const struct ppfrag_rxq *q, const char *copy_reason)
{
	static const char copied[] =
			"packets are copied, the back end cannot write into the pool: ";
	struct ppool_layout layout;

	page_capacity(q->mp, &layout);
	PPFRAG_LOG(INFO,
			"%s: receive queue %u: a page of pool %s (%u bytes) holds %u frames of %u "
			"bytes or %u of 64; a ring of %u posts %zu bytes; %s%s",
			ppfrag_port_name(q->dev), q->queue_id, q->mp->name, layout.page_bytes,
			frames_per_page(&layout, q->max_len, q->max_len), q->max_len,
			frames_per_page(&layout, q->max_len, 64), q->nb,
			q->copy ? (size_t)q->nb * q->buf_len : (size_t)q->nb * layout.page_bytes,
			q->copy ? copied : "zero-copy", q->copy ? copy_reason : "");
	if (!q->copy && 2 * (uint64_t)q->mp->size < 3 * (uint64_t)q->nb)
		PPFRAG_LOG(WARNING,
				"%s: pool %s has %u pages, fewer than 1.5 times the ring of %u: "
				"an application that holds packets stops reception; use more mbufs "
				"(testpmd --total-num-mbufs) or a smaller ring",
				ppfrag_port_name(q->dev), q->mp->name, q->mp->size, q->nb);
}

static struct ppfrag_rxq *
rxq_alloc(uint16_t nb, unsigned int socket_id)
{
	struct ppfrag_rxq *q;
	size_t per_desc = sizeof(*q->done) + sizeof(*q->starved) + sizeof(*q->posted);

	q = rte_zmalloc_socket("ppfrag_rxq", sizeof(*q) + nb * per_desc, RTE_CACHE_LINE_SIZE,
			socket_id);
	if (q == NULL)
		return NULL;
	q->nb = nb;
	q->done = RTE_PTR_ADD(q, sizeof(*q));
	q->starved = q->done + nb;
	q->posted = (uint32_t *)(q->starved + nb);
	return q;
}

static void
rxq_free(struct ppfrag_rxq *q)
{
	ppool_carver_free(q->carver);
	ppfrag_slots_release(q, NULL);
	rte_free(q->slots);
	rte_free(q);
}

/* Decide how to receive, and get the memory for it. */
static int
rxq_init(struct rte_eth_dev *dev, struct ppfrag_rxq *q)
{
	uint32_t frame = mtu_to_frame(dev->data->mtu);
	const char *copy_reason = reason_to_copy(dev, q->mp);
	struct ppfrag_mem mem;
	int ret;

	q->copy = copy_reason != NULL;
	q->how = q->copy ? PPFRAG_RX_COPY : PPFRAG_RX_LANES;
	if (q->dev->want_slots && !q->copy) {
		q->how = PPFRAG_RX_SLOTS;
		ret = ppfrag_slots_init(q);
		if (ret != 0)
			return ret;
	}
	ret = check_frame(q, frame);
	if (ret == 0)
		ret = set_frame(q, frame);
	if (ret != 0)
		return ret;
	if (q->copy) {
		ret = ppfrag_mem_collect(&mem, dev);
		if (ret == 0)
			ret = ppfrag_mem_add(&mem, q->bounce_mz->addr, q->bounce_mz->len);
	}
	if (ret != 0) {
		PPFRAG_LOG(ERR,
				"%s: %zu bytes of receive buffers cannot be shared: %s, or use a "
				"smaller ring",
				dev->data->name, q->bounce_mz->len, ppfrag_mem_reason(ret));
		return ret;
	}
	if (q->how == PPFRAG_RX_SLOTS)
		log_slots(q);
	else
		log_setup(q, copy_reason);
	return 0;
}

int
ppfrag_rxq_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc,
		unsigned int socket_id, const struct rte_eth_rxconf *conf, struct rte_mempool *mp)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	uint64_t offloads = conf->offloads | dev->data->dev_conf.rxmode.offloads;
	struct ppfrag_rxq *q;
	int ret;

	ret = check_pool(dev, mp);
	if (ret == 0)
		ret = ppfrag_arena_init(dev);
	if (ret != 0)
		return ret;
	q = rxq_alloc(RTE_MIN(nb_desc, pd->queue_size), socket_id);
	if (q == NULL)
		return -ENOMEM;
	q->vq.size = (uint16_t)rte_align32pow2(q->nb);
	q->dev = pd;
	q->mp = mp;
	q->queue_id = queue_id;
	q->socket_id = (int)socket_id;
	q->hdr_offset = RTE_PKTMBUF_HEADROOM - VIRTIO_HDR_LEN;
	q->mrg = (pd->features & RTE_BIT64(VIRTIO_NET_F_MRG_RXBUF)) != 0;
	q->offloads = offloads;
	q->scatter = q->mrg &&
			(offloads & (RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_TCP_LRO)) != 0;
	ret = rxq_init(dev, q);
	if (ret != 0) {
		rxq_free(q);
		return ret;
	}
	q->stats = pd->kept[queue_id].rx;
	q->base = pd->kept[queue_id].rx_base;
	rxq_reset(q);
	dev->data->rx_queues[queue_id] = q;
	return 0;
}

void
ppfrag_rxq_release(struct rte_eth_dev *dev, uint16_t queue_id)
{
	struct ppfrag_rxq *q = dev->data->rx_queues[queue_id];

	if (q == NULL)
		return;
	ppfrag_quarantine_flush(dev);
	q->dev->kept[queue_id].rx = q->stats;
	q->dev->kept[queue_id].rx_base = q->base;
	rxq_free(q);
	dev->data->rx_queues[queue_id] = NULL;
}

static void
rxq_start(struct ppfrag_rxq *q)
{
	uint16_t i;

	rxq_reset(q);
	for (i = 0; i < q->nb; i++) {
		q->vq.desc[i].len = rte_cpu_to_le_32(q->buf_len);
		q->vq.desc[i].flags = rte_cpu_to_le_16(VIRTQ_DESC_F_WRITE);
		q->done[i] = i;
	}
	ppfrag_rx_post(q, q->done, q->nb);
	if (q->nb_starved != 0)
		PPFRAG_LOG(WARNING,
				"%s: receive queue %u starts with %u of %u buffers: pool %s has "
				"no more free pages",
				ppfrag_port_name(q->dev), q->queue_id, q->nb_posted, q->nb,
				q->mp->name);
}

/* Transmit queues. */

int
ppfrag_txq_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc,
		unsigned int socket_id, const struct rte_eth_txconf *conf)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t size = (uint16_t)rte_align32pow2(RTE_MIN(nb_desc, pd->queue_size));
	uint16_t thresh = conf->tx_free_thresh;
	struct ppfrag_txq *q;
	int ret;

	ret = ppfrag_arena_init(dev);
	if (ret != 0)
		return ret;
	if (thresh == 0)
		thresh = size - RTE_MIN(TX_HELD_DEFAULT, size / 4);
	if (thresh > size) {
		PPFRAG_LOG(ERR, "%s: tx_free_thresh %u (testpmd --txfreet) exceeds the ring of %u",
				dev->data->name, thresh, size);
		return -EINVAL;
	}
	q = rte_zmalloc_socket("ppfrag_txq",
			sizeof(*q) + size * (sizeof(*q->slot) + sizeof(*q->free)),
			RTE_CACHE_LINE_SIZE, socket_id);
	if (q == NULL)
		return -ENOMEM;
	q->slot = RTE_PTR_ADD(q, sizeof(*q));
	q->free = (uint16_t *)(q->slot + size);
	q->vq.size = size;
	q->dev = pd;
	q->queue_id = queue_id;
	q->free_thresh = thresh;
	ppfrag_tx_offload_init(q, conf->offloads | dev->data->dev_conf.txmode.offloads);
	q->stats = pd->kept[queue_id].tx;
	q->base = pd->kept[queue_id].tx_base;
	txq_reset(q);
	dev->data->tx_queues[queue_id] = q;
	return 0;
}

void
ppfrag_txq_release(struct rte_eth_dev *dev, uint16_t queue_id)
{
	struct ppfrag_txq *q = dev->data->tx_queues[queue_id];

	if (q == NULL)
		return;
	ppfrag_quarantine_flush(dev);
	q->dev->kept[queue_id].tx = q->stats;
	q->dev->kept[queue_id].tx_base = q->base;
	rte_free(q);
	dev->data->tx_queues[queue_id] = NULL;
}

static int
check_queues(const struct rte_eth_dev *dev)
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

int
ppfrag_queues_start(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;
	int ret;

	ret = check_queues(dev);
	if (ret == 0)
		ret = ppfrag_arena_init(dev);
	if (ret == 0)
		ret = ppfrag_queues_set_mtu(dev, dev->data->mtu);
	if (ret != 0)
		return ret;
	for (i = 0; i < 2 * pd->nb_pairs; i++)
		memset(vring_mem(pd, i), 0, virtq_bytes(pd->queue_size));
	for (i = 0; i < pd->nb_pairs; i++)
		*tx_hdr_mem(pd, i) = (struct virtio_hdr){ .flags = 0 };
	for (i = 0; i < dev->data->nb_rx_queues; i++)
		rxq_start(dev->data->rx_queues[i]);
	for (i = 0; i < dev->data->nb_tx_queues; i++)
		txq_reset(dev->data->tx_queues[i]);
	return 0;
}

void
ppfrag_queues_stop(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;

	for (i = 0; i < dev->data->nb_tx_queues; i++)
		ppfrag_tx_drain(dev->data->tx_queues[i]);
	/* Rings in quarantine are replaced; they are still there where that fails. */
	if (pd->arena != NULL || ppfrag_arena_init(dev) == 0)
		queues_reset(dev);
}
