/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>

#include <rte_atomic.h>
#include <rte_eal_memconfig.h>
#include <rte_errno.h>
#include <rte_io.h>

#include "ppfrag_offload.h"
#include "virtio.h"
#include "virtio_dma.h"

/* Rings with IOVAs, and the burst functions of queues that have such. */

/* Addresses */

/* Changes when EAL gives memory back: other memory may have the same addresses then. */
static uint32_t memory_generation;

static void
on_memory_event(enum rte_mem_event event, const void *addr, size_t len, void *arg)
{
	RTE_SET_USED(addr);
	RTE_SET_USED(len);
	RTE_SET_USED(arg);
	if (event == RTE_MEM_EVENT_FREE)
		__atomic_add_fetch(&memory_generation, 1, __ATOMIC_RELEASE);
}

/* Where EAL's memory is legacy, none is given back while it runs. */
int
virtq_dma_watch(void)
{
	int ret = rte_mem_event_callback_register("ppfrag_dma", on_memory_event, NULL);

	return ret == 0 || rte_errno == EEXIST || rte_errno == ENOTSUP ? 0 : -rte_errno;
}

/* Nobody tells of memory that is not EAL's own and goes: its addresses are not remembered. */
static __rte_noinline rte_iova_t
iova_find(struct virtq_dma *d, uintptr_t addr)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list((const void *)addr);
	const struct rte_memseg *ms = rte_mem_virt2memseg((const void *)addr, msl);
	rte_iova_t delta;

	if (ms == NULL || ms->iova == RTE_BAD_IOVA) {
		/* As rte_mempool has it: the application may have mapped it for the device. */
		return rte_mem_virt2iova((const void *)addr);
	}
	delta = ms->iova - ms->addr_64;
	if (!msl->external)
		d->piece[(addr >> DMA_CACHE_SHIFT) % DMA_CACHE_PLACES] = (struct dma_piece){
			.addr = (uintptr_t)ms->addr_64, .len = ms->len, .delta = delta
		};
	return addr + delta;
}

static inline rte_iova_t
iova_of(struct virtq_dma *d, uintptr_t addr)
{
	const struct dma_piece *p = &d->piece[(addr >> DMA_CACHE_SHIFT) % DMA_CACHE_PLACES];

	return likely(addr - p->addr < p->len) ? addr + p->delta : iova_find(d, addr);
}

static void
pieces_forget(struct virtq_dma *d, uint32_t generation)
{
	memset(d->piece, 0, sizeof(d->piece));
	d->generation = generation;
}

/* The ring */

void
virtq_dma_init(struct virtq_dma *d, void *mem, uint16_t size)
{
	virtq_init(&d->ring, mem, size);
	d->ring.avail->flags = rte_cpu_to_le_16(VIRTQ_AVAIL_F_NO_INTERRUPT);
	d->used = 0;
	d->avail = 0;
	pieces_forget(d, __atomic_load_n(&memory_generation, __ATOMIC_ACQUIRE));
}

/* A device cannot have used more than it was offered. */
void
virtq_dma_take(struct virtq_dma *d, const struct virtq *image)
{
	uint16_t n = virtq_used_idx(&d->ring) - d->used, end;
	struct virtq_used_elem *to;
	uint32_t id, len;

	n = RTE_MIN(n, (uint16_t)(d->avail - d->used));
	if (n == 0)
		return;
	rte_io_rmb();
	for (end = d->used + n; d->used != end; d->used++) {
		virtq_used_read(&d->ring, d->used, &id, &len);
		to = &image->used->ring[d->used & image->mask];
		to->id = rte_cpu_to_le_32(id);
		to->len = rte_cpu_to_le_32(len);
	}
	image->used->idx = rte_cpu_to_le_16(end);
}

/*
 * Buffers that are offered again leave their descriptor as it is: so is its cache line. Where the
 * device cannot reach the memory it gets none.
 */
static inline uint16_t
desc_put(struct virtq_dma *d, const struct virtq *image, uint16_t id)
{
	const struct virtq_desc *from = &image->desc[id];
	struct virtq_desc *to = &d->ring.desc[id];
	struct virtq_desc put = *from;
	rte_iova_t iova = iova_of(d, (uintptr_t)rte_le_to_cpu_64(from->addr));

	if (unlikely(iova == RTE_BAD_IOVA)) {
		iova = 0;
		put.len = 0;
	}
	put.addr = rte_cpu_to_le_64(iova);
	if (memcmp(to, &put, sizeof(put)) != 0)
		*to = put;
	return put.flags;
}

/* The image is ours alone: its chains end. */
static inline void
chain_put(struct virtq_dma *d, const struct virtq *image, uint16_t id)
{
	while (desc_put(d, image, id) & rte_cpu_to_le_16(VIRTQ_DESC_F_NEXT))
		id = rte_le_to_cpu_16(image->desc[id].next);
}

bool
virtq_dma_give(struct virtq_dma *d, const struct virtq *image, uint16_t end)
{
	const uint32_t now = __atomic_load_n(&memory_generation, __ATOMIC_ACQUIRE);
	uint16_t id;

	if (d->avail == end)
		return false;
	if (unlikely(now != d->generation))
		pieces_forget(d, now);
	for (; d->avail != end; d->avail++) {
		id = rte_le_to_cpu_16(image->avail->ring[d->avail & image->mask]);
		chain_put(d, image, id);
		virtq_offer(&d->ring, d->avail, id);
	}
	rte_io_wmb();
	virtq_publish(&d->ring, end);
	return true;
}

/* Queues */

uint16_t
ppfrag_rx_burst_dma(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct ppfrag_rxq *q = rxq;
	struct virtq_dma *d = q->packed.dma;
	uint16_t n;

	if (unlikely(ppfrag_is_stale(q->dev, q->epoch)) && !ppfrag_rxq_renew(q))
		return 0;
	if (unlikely(__atomic_load_n(&q->dev->link_up, __ATOMIC_RELAXED) == 0))
		return 0;
	/* If this is too early to see that the device sleeps, the next poll is not. */
	if (unlikely(virtq_wants_kick(&d->ring)) && q->unnotified)
		ppfrag_rx_kick(q);
	virtq_dma_take(d, &q->vq);
	n = ppfrag_rx_burst_offload(q, pkts, nb_pkts);
	virtq_dma_give(d, &q->vq, q->avail_idx);
	return n;
}

static void
txq_give(struct ppfrag_txq *q)
{
	struct virtq_dma *d = q->packed.dma;

	if (!virtq_dma_give(d, &q->vq, q->avail_idx))
		return;
	/* The device first asks for a notification, then looks at the ring; we do the reverse. */
	rte_mb();
	if (virtq_wants_kick(&d->ring)) {
		ppfrag_count(&q->stats.kicks, 1);
		ppfrag_kick(q->dev, ppfrag_tx_vring(q->queue_id));
	}
}

uint16_t
ppfrag_tx_burst_dma(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct ppfrag_txq *q = txq;
	uint16_t n;

	if (unlikely(ppfrag_is_stale(q->dev, q->epoch)) && !ppfrag_txq_renew(q))
		return 0;
	/* Always: what is missing here is not found where the ring turns out to be full. */
	virtq_dma_take(q->packed.dma, &q->vq);
	n = ppfrag_tx_burst_offload(q, pkts, nb_pkts);
	txq_give(q);
	return n;
}

uint16_t
ppfrag_tx_burst_dma_sizes(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	return ppfrag_sizes_send(txq, pkts, nb_pkts, ppfrag_tx_burst_dma);
}

/* What applications ask about a queue; ethdev does not check that it is set up. */

static void
rxq_take(const struct ppfrag_rxq *q)
{
	if (q != NULL)
		virtq_dma_take(q->packed.dma, &q->vq);
}

static void
txq_take(const struct ppfrag_txq *q)
{
	if (q != NULL)
		virtq_dma_take(q->packed.dma, &q->vq);
}

ppfrag_eth_queue_count_t
ppfrag_rx_queue_count_dma(void *rxq)
{
	rxq_take(rxq);
	return ppfrag_rx_queue_count(rxq);
}

int
ppfrag_rx_descriptor_status_dma(void *rxq, uint16_t offset)
{
	rxq_take(rxq);
	return ppfrag_rx_descriptor_status(rxq, offset);
}

int
ppfrag_tx_descriptor_status_dma(void *txq, uint16_t offset)
{
	txq_take(txq);
	return ppfrag_tx_descriptor_status(txq, offset);
}

int
ppfrag_tx_done_cleanup_dma(void *txq, uint32_t n)
{
	const struct ppfrag_txq *q = txq;

	/* The ring of a stopped queue belongs to whoever stops it. */
	if (!__atomic_load_n(&q->run.stopped, __ATOMIC_ACQUIRE))
		txq_take(q);
	return ppfrag_tx_done_cleanup(txq, n);
}
