/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "ppfrag_offload.h"
#include "virtio.h"
#include "virtio_dma.h"

/*
 * The rings of queues: their memory, set-up, start and stop. What queues receive into is decided in
 * ppfrag_queue.c.
 */

/* Free descriptors below which a transmit queue looks for used ones: all but these are free. */
#define TX_HELD_DEFAULT 32

/*
 * The arena. For each queue pair:
 *
 *   receive ring | transmit ring | virtio header, all zero | transmit bounce buffers
 *
 * and behind them a ring that nobody uses: a back end has it in place of a ring that waits to be
 * reset.
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

static char *
idle_ring_mem(const struct ppfrag_dev *pd)
{
	return pair_mem(pd, pd->nb_pairs);
}

static int
arena_check(const struct rte_eth_dev *dev, const struct rte_memzone *arena)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_mem mem = { .by_address = pd->backend == VIRTIO_BACKEND_VHOST_KERNEL };
	int ret = ppfrag_mem_add(&mem, arena->addr, arena->len);

	if (ret != 0)
		PPFRAG_LOG(ERR,
				"%s: %zu bytes for rings of queue_size=%u cannot be shared: %s, "
				"or use a smaller queue_size",
				dev->data->name, arena->len, pd->queue_size,
				ppfrag_mem_reason(ret));
	return ret;
}

/*
 * Memory for the image of a packed ring. It is there before anybody knows whether the back end has
 * such rings.
 */
static int
image_init(struct virtq_packed *p, const struct ppfrag_dev *pd, uint16_t size, int socket_id)
{
	const size_t image = virtq_bytes(size);

	if (!pd->packed_vq && !virtio_is_dma(pd))
		return 0;
	p->image = rte_zmalloc_socket("ppfrag_image",
			image + (virtio_is_dma(pd) ? sizeof(*p->dma) : 0), RTE_CACHE_LINE_SIZE,
			socket_id);
	if (p->image == NULL)
		return -ENOMEM;
	if (virtio_is_dma(pd))
		p->dma = RTE_PTR_ADD(p->image, image);
	return 0;
}

static bool
has_image(const struct virtq_packed *p)
{
	return p->dma != NULL || virtq_is_packed(p);
}

/* Empty a ring, and point a queue at it, or at its image. */
static void
ring_reset(struct virtq *vq, struct virtq_packed *p, const struct ppfrag_dev *pd, uint16_t vring,
		bool interrupts)
{
	void *mem = vring_mem(pd, vring);

	p->layout = virtio_layout(pd);
	memset(mem, 0, virtq_bytes(pd->queue_size));
	virtq_init(vq, has_image(p) ? p->image : mem, vq->size);
	if (!has_image(p)) {
		vq->avail->flags = rte_cpu_to_le_16(interrupts ? 0 : VIRTQ_AVAIL_F_NO_INTERRUPT);
		return;
	}
	memset(p->image, 0, virtq_bytes(vq->size));
	/* Who brings this into the ring wakes the device. */
	vq->used->flags = rte_cpu_to_le_16(VIRTQ_USED_F_NO_NOTIFY);
	if (p->dma != NULL) {
		virtq_dma_init(p->dma, mem, vq->size);
		return;
	}
	virtq_packed_init(p, mem, vq->size);
	packed_set_interrupts(p, interrupts);
}

/* From here on it can be looked at. */
static void
rxq_reset(struct ppfrag_rxq *q)
{
	ring_reset(&q->vq, &q->packed, q->dev, ppfrag_rx_vring(q->queue_id), q->interrupts);
	q->used_idx = 0;
	q->avail_idx = 0;
	q->nb_posted = 0;
	q->nb_starved = 0;
	q->nb_waiting = 0;
	q->known = 0;
	q->kicked_idx = 0;
	memset(q->posted, 0, q->nb * sizeof(*q->posted));
}

static void
txq_reset(struct ppfrag_txq *q)
{
	uint16_t i;

	ring_reset(&q->vq, &q->packed, q->dev, ppfrag_tx_vring(q->queue_id), false);
	q->hdr = tx_hdr_mem(q->dev, q->queue_id);
	q->bounce = tx_bounce_mem(q->dev, q->queue_id);
	q->used_idx = 0;
	q->avail_idx = 0;
	q->free_head = 0;
	q->nb_free = q->vq.size;
	q->nb_inflight = 0;
	q->batch = 0;
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

/* Called with the lock of the quarantine, which may give an arena back. */
static int
arena_make(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	const struct rte_memzone *arena;
	size_t len;
	int ret;

	len = pd->nb_pairs * pair_bytes(pd->queue_size) + virtq_bytes(pd->queue_size);
	if (pd->arena != NULL && pd->arena->len >= len)
		return 0;
	arena = ppfrag_zone_reserve(pd, "arena", len, dev->data->numa_node);
	if (arena == NULL) {
		PPFRAG_LOG(ERR, "%s: no memory for rings of queue_size=%u: %zu bytes: %s",
				dev->data->name, pd->queue_size, len, rte_strerror(rte_errno));
		return -ENOMEM;
	}
	ret = virtio_is_dma(pd) ? 0 : arena_check(dev, arena);
	if (ret != 0) {
		rte_memzone_free(arena);
		return ret;
	}
	rte_memzone_free(pd->arena);
	pd->arena = arena;
	queues_reset(dev);
	return 0;
}

/*
 * The control thread ends a quarantine by itself, at any time: where the port has no arena then, it
 * gets its old one back, and must not lose the one that is being made here.
 */
int
ppfrag_arena_init(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = dev->process_private;
	int ret;

	pthread_mutex_lock(&local->lock);
	pd->nb_pairs = RTE_MAX(dev->data->nb_rx_queues, dev->data->nb_tx_queues);
	ret = arena_make(dev);
	pthread_mutex_unlock(&local->lock);
	return ret;
}

bool
ppfrag_vring_get(const struct rte_eth_dev *dev, uint16_t vring, struct virtq *vq)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	uint32_t now = __atomic_load_n(&pd->ring_epoch, __ATOMIC_RELAXED), epoch = now;
	const struct ppfrag_rxq *rxq;
	const struct ppfrag_txq *txq;
	uint16_t size = pd->queue_size;
	void *mem;

	if (vring % 2 == 0 && vring / 2 < dev->data->nb_rx_queues) {
		rxq = dev->data->rx_queues[vring / 2];
		epoch = __atomic_load_n(&rxq->run.ring_epoch, __ATOMIC_ACQUIRE);
		size = rxq->vq.size;
	} else if (vring % 2 == 1 && vring / 2 < dev->data->nb_tx_queues) {
		txq = dev->data->tx_queues[vring / 2];
		epoch = __atomic_load_n(&txq->run.ring_epoch, __ATOMIC_ACQUIRE);
		size = txq->vq.size;
	}
	mem = epoch == now ? vring_mem(pd, vring) : idle_ring_mem(pd);
	if (virtio_layout(pd) == VIRTIO_SPLIT)
		virtq_init(vq, mem, size);
	else
		virtq_packed_place(vq, mem, size);
	return epoch == now;
}

/* Whether packets must be copied, and why: the back end cannot reach the pool. */
static const char *
reason_to_copy(const struct rte_eth_dev *dev, struct rte_mempool *mp)
{
	struct ppfrag_mem mem;
	int ret;

	if (virtio_is_dma(dev->data->dev_private))
		return NULL;
	ret = ppfrag_mem_collect(&mem, dev);
	if (ret == 0)
		ret = ppfrag_mem_add_pool(&mem, mp);
	return ret == 0 ? NULL : ppfrag_mem_reason(ret);
}

/* Whether the back end can reach what it writes into where packets are copied. */
static int
bounce_check(const struct rte_eth_dev *dev, const struct ppfrag_rxq *q)
{
	struct ppfrag_mem mem;
	int ret;

	ret = ppfrag_mem_collect(&mem, dev);
	if (ret == 0)
		ret = ppfrag_mem_add(&mem, q->bounce_mz->addr, q->bounce_mz->len);
	if (ret != 0)
		PPFRAG_LOG(ERR,
				"%s: %zu bytes of receive buffers cannot be shared: %s, or use a "
				"smaller ring",
				dev->data->name, q->bounce_mz->len, ppfrag_mem_reason(ret));
	return ret;
}

static int
rxq_init(const struct rte_eth_dev *dev, struct ppfrag_rxq *q)
{
	const char *copy_reason = reason_to_copy(dev, q->mp);
	int ret;

	ret = ppfrag_rxq_init(q, copy_reason);
	if (ret == 0 && ppfrag_rxq_copies(q))
		ret = bounce_check(dev, q);
	if (ret == 0)
		ppfrag_rxq_log(q, copy_reason);
	return ret;
}

int
virtio_rxq_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc,
		unsigned int socket_id, const struct rte_eth_rxconf *conf, struct rte_mempool *mp)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	uint64_t offloads = conf->offloads | dev->data->dev_conf.rxmode.offloads;
	struct ppfrag_rxq *q;
	int ret;

	ret = ppfrag_pool_check(dev, mp);
	if (ret == 0)
		ret = ppfrag_arena_init(dev);
	if (ret != 0)
		return ret;
	q = ppfrag_rxq_alloc(RTE_MIN(nb_desc, pd->queue_size), socket_id);
	if (q == NULL)
		return -ENOMEM;
	q->vq.size = (uint16_t)rte_align32pow2(q->nb);
	q->dev = pd;
	q->mp = mp;
	q->queue_id = queue_id;
	q->socket_id = (int)socket_id;
	q->hdr_offset = RTE_PKTMBUF_HEADROOM - VIRTIO_HDR_LEN;
	q->post_offset = q->hdr_offset;
	q->mrg = virtio_has_mrg(pd);
	q->offloads = offloads;
	q->run.deferred = conf->rx_deferred_start != 0;
	q->scatter = q->mrg &&
			(offloads & (RTE_ETH_RX_OFFLOAD_SCATTER | RTE_ETH_RX_OFFLOAD_TCP_LRO)) != 0;
	ret = image_init(&q->packed, pd, q->vq.size, q->socket_id);
	if (ret == 0)
		ret = rxq_init(dev, q);
	if (ret != 0) {
		ppfrag_rxq_free(q);
		return ret;
	}
	rxq_reset(q);
	ppfrag_rxq_attach(dev, q);
	return 0;
}

/* By how much the virtio header is shorter than it is with virtio 1.0. */
static uint8_t
hdr_gap(uint64_t ring_features)
{
	return (ring_features & RTE_BIT64(VIRTIO_F_ANY_LAYOUT)) == 0 ? 0 : VIRTIO_HDR_GAP;
}

/* Use the ring as is agreed on now. Before the epoch is stored in the queue, see rings_fit(). */
static void
rxq_set_features(struct ppfrag_rxq *q)
{
	q->mrg = virtio_has_mrg(q->dev);
	q->run.ring_features = virtio_ring_features(q->dev);
	q->in_order = (q->run.ring_features & RTE_BIT64(VIRTIO_F_IN_ORDER)) != 0;
	q->event_idx = (q->run.ring_features & RTE_BIT64(VIRTIO_F_EVENT_IDX)) != 0;
	q->post_offset = q->hdr_offset + hdr_gap(q->run.ring_features);
	q->plain = !q->in_order && !q->event_idx && q->post_offset == q->hdr_offset;
	ppfrag_slots_set_post(q);
	ppfrag_rx_intr_ask(q);
}

static void
txq_set_features(struct ppfrag_txq *q)
{
	q->run.ring_features = virtio_ring_features(q->dev);
	q->in_order = (q->run.ring_features & RTE_BIT64(VIRTIO_F_IN_ORDER)) != 0;
	q->indirect = (q->run.ring_features & RTE_BIT64(VIRTIO_F_INDIRECT_DESC)) != 0;
	q->event_idx = (q->run.ring_features & RTE_BIT64(VIRTIO_F_EVENT_IDX)) != 0;
	q->hdr_len = VIRTIO_HDR_LEN - hdr_gap(q->run.ring_features);
	q->plain = !q->in_order && !q->indirect && !q->event_idx && q->hdr_len == VIRTIO_HDR_LEN;
	if (q->event_idx) {
		q->vq.avail->flags = 0;
		*virtq_used_event(&q->vq) = rte_cpu_to_le_16((uint16_t)(q->used_idx - 1));
	}
}

void
ppfrag_rxq_start(struct ppfrag_rxq *q)
{
	uint32_t epoch = __atomic_load_n(&q->dev->ring_epoch, __ATOMIC_ACQUIRE);
	uint16_t i;

	rxq_reset(q);
	rxq_set_features(q);
	for (i = 0; i < q->nb; i++) {
		q->vq.desc[i].len = rte_cpu_to_le_32(ppfrag_rx_desc_len(q));
		q->vq.desc[i].flags = rte_cpu_to_le_16(VIRTQ_DESC_F_WRITE);
		q->done[i] = i;
	}
	if (q->in_order)
		ppfrag_in_order_post(q);
	else
		ppfrag_rx_post(q, q->done, q->nb);
	if (virtq_is_packed(&q->packed))
		ppfrag_rx_packed_give(q);
	ppfrag_rxq_log_starved(q);
	__atomic_store_n(&q->run.ring_epoch, epoch, __ATOMIC_RELEASE);
}

void
ppfrag_txq_start(struct ppfrag_txq *q)
{
	uint32_t epoch = __atomic_load_n(&q->dev->ring_epoch, __ATOMIC_ACQUIRE);

	ppfrag_tx_drain(q);
	txq_reset(q);
	txq_set_features(q);
	__atomic_store_n(&q->run.ring_epoch, epoch, __ATOMIC_RELEASE);
}

/* What was received and not polled, and what was not sent, is lost: nobody knows how far it got. */

bool
ppfrag_rxq_renew(struct ppfrag_rxq *q)
{
	uint32_t epoch = __atomic_load_n(&q->dev->epoch, __ATOMIC_ACQUIRE);

	if (__atomic_load_n(&q->run.stopped, __ATOMIC_ACQUIRE))
		return false;
	if (__atomic_load_n(&q->dev->ring_epoch, __ATOMIC_ACQUIRE) != q->run.ring_epoch) {
		ppfrag_rxq_start(q);
		ppfrag_control_ready(q->dev);
	}
	q->epoch = epoch;
	return true;
}

bool
ppfrag_txq_renew(struct ppfrag_txq *q)
{
	uint32_t epoch = __atomic_load_n(&q->dev->epoch, __ATOMIC_ACQUIRE);

	if (__atomic_load_n(&q->run.stopped, __ATOMIC_ACQUIRE))
		return false;
	if (__atomic_load_n(&q->dev->ring_epoch, __ATOMIC_ACQUIRE) != q->run.ring_epoch) {
		ppfrag_txq_start(q);
		ppfrag_control_ready(q->dev);
	}
	q->epoch = epoch;
	return true;
}

/* Memory for a queue with a ring of so many places, all zero. Returns NULL where there is none. */
static struct ppfrag_txq *
txq_alloc(const struct ppfrag_dev *pd, uint16_t size, unsigned int socket_id)
{
	struct ppfrag_txq *q = rte_zmalloc_socket("ppfrag_txq",
			sizeof(*q) + size * (sizeof(*q->slot) + sizeof(*q->free)),
			RTE_CACHE_LINE_SIZE, socket_id);

	if (q == NULL)
		return NULL;
	if (image_init(&q->packed, pd, size, (int)socket_id) != 0) {
		rte_free(q);
		return NULL;
	}
	q->slot = RTE_PTR_ADD(q, sizeof(*q));
	q->free = (uint16_t *)(q->slot + size);
	q->vq.size = size;
	return q;
}

int
virtio_txq_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc,
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
	q = txq_alloc(pd, size, socket_id);
	if (q == NULL)
		return -ENOMEM;
	q->dev = pd;
	q->queue_id = queue_id;
	q->free_thresh = thresh;
	q->run.deferred = conf->tx_deferred_start != 0;
	ppfrag_tx_offload_init(q, conf->offloads | dev->data->dev_conf.txmode.offloads);
	txq_reset(q);
	ppfrag_txq_attach(dev, q);
	return 0;
}

/* In order, the descriptor of a place is always the same: there must be one for each place. */
static bool
rings_are_square(const struct rte_eth_dev *dev)
{
	const struct ppfrag_rxq *q;
	uint16_t i;

	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		q = dev->data->rx_queues[i];
		if (q->nb != q->vq.size)
			return false;
	}
	return true;
}

/* A queue that is not started with the port has an empty ring, and looks what has changed. */

/* Returns the epoch that the queue knows. */
static uint32_t
run_begin(struct ppfrag_run *run, const struct ppfrag_dev *pd)
{
	run->stopped = run->deferred;
	return pd->epoch - (run->deferred ? 1 : 0);
}

static void
rxq_begin(struct ppfrag_rxq *q)
{
	q->interrupts = false;
	q->epoch = run_begin(&q->run, q->dev);
	if (!q->run.deferred) {
		ppfrag_rxq_start(q);
		return;
	}
	rxq_reset(q);
	rxq_set_features(q);
	q->run.ring_epoch = q->dev->ring_epoch;
}

static void
txq_begin(struct ppfrag_txq *q)
{
	q->epoch = run_begin(&q->run, q->dev);
	ppfrag_txq_start(q);
}

int
ppfrag_queues_start(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;
	int ret;

	ret = ppfrag_queues_check(dev);
	if (ret == 0)
		ret = ppfrag_arena_init(dev);
	if (ret == 0)
		ret = ppfrag_queues_set_mtu(dev, dev->data->mtu);
	if (ret != 0)
		return ret;
	/* Also those that no queue uses: the back end is told of pairs. */
	for (i = 0; i < 2 * pd->nb_pairs; i++)
		memset(vring_mem(pd, i), 0, virtq_bytes(pd->queue_size));
	memset(idle_ring_mem(pd), 0, virtq_bytes(pd->queue_size));
	for (i = 0; i < pd->nb_pairs; i++)
		*tx_hdr_mem(pd, i) = (struct virtio_hdr){ .flags = 0 };
	pd->is_square = rings_are_square(dev);
	for (i = 0; i < dev->data->nb_rx_queues; i++)
		rxq_begin(dev->data->rx_queues[i]);
	for (i = 0; i < dev->data->nb_tx_queues; i++)
		txq_begin(dev->data->tx_queues[i]);
	return 0;
}

void
ppfrag_queues_stop(struct rte_eth_dev *dev)
{
	uint16_t i;

	for (i = 0; i < dev->data->nb_tx_queues; i++)
		ppfrag_tx_drain(dev->data->tx_queues[i]);
	/* Rings in quarantine are replaced; they are still there where that fails. */
	if (ppfrag_arena_init(dev) == 0)
		queues_reset(dev);
}
