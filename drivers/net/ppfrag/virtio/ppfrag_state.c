/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stdio.h>

#include "ppfrag_tx.h"

/*
 * What applications ask about a queue besides its packets. Called like the burst functions: by
 * whoever drives the queue. Nothing here changes what comes next; of a packed ring that receives,
 * what the device has used is brought into the image.
 */

/*
 * A queue that is set up has rings, if empty ones. In a secondary process ethdev asks about queues
 * that are not.
 */

/* Used entries that wait to be received. */
static uint16_t
rx_waiting_entries(struct ppfrag_rxq *q)
{
	uint16_t n;

	if (virtq_is_packed(&q->packed))
		ppfrag_rx_packed_take(q);
	n = virtq_used_idx(&q->vq) - q->used_idx;
	return RTE_MIN(n, q->nb_posted);
}

ppfrag_eth_queue_count_t
ppfrag_rx_queue_count(void *rxq)
{
	return rxq == NULL ? 0 : rx_waiting_entries(rxq);
}

int
ppfrag_rx_descriptor_status(void *rxq, uint16_t offset)
{
	struct ppfrag_rxq *q = rxq;

	if (q == NULL || offset >= q->nb)
		return -EINVAL;
	if (offset < rx_waiting_entries(q))
		return RTE_ETH_RX_DESC_DONE;
	return offset < q->nb_posted ? RTE_ETH_RX_DESC_AVAIL : RTE_ETH_RX_DESC_UNAVAIL;
}

/* Descriptors of the n oldest packets, no more than enough, where they are used in order. */
static uint32_t
tx_done_in_order(const struct ppfrag_txq *q, uint16_t n, uint32_t enough)
{
	const uint16_t oldest = q->free_head + q->nb_free;
	uint32_t nb = 0;

	for (; n != 0 && nb < enough; n--)
		nb += q->slot[(oldest + nb) & q->vq.mask].nb;
	return nb;
}

/* Descriptors, no more than enough, that the device is done with and that wait to be reclaimed. */
static uint32_t
tx_done_descriptors(const struct ppfrag_txq *q, uint32_t enough)
{
	uint32_t id, len, nb = 0;
	uint16_t i, n;

	if (virtq_is_packed(&q->packed))
		return ppfrag_tx_packed_done(q, enough);
	n = virtq_used_idx(&q->vq) - q->used_idx;
	n = RTE_MIN(n, q->nb_inflight);
	if (q->in_order)
		return tx_done_in_order(q, n, enough);
	for (i = 0; i < n && nb < enough; i++) {
		virtq_used_read(&q->vq, q->used_idx + i, &id, &len);
		if (id < q->vq.size)
			nb += q->slot[id].nb;
	}
	return nb;
}

/* The next packet takes free descriptors first, then those that the device is done with. */
int
ppfrag_tx_descriptor_status(void *txq, uint16_t offset)
{
	struct ppfrag_txq *q = txq;
	uint32_t behind;

	if (q == NULL || offset >= q->vq.size)
		return -EINVAL;
	if (offset < q->nb_free)
		return RTE_ETH_TX_DESC_DONE;
	behind = offset - q->nb_free;
	return behind < tx_done_descriptors(q, behind + 1) ? RTE_ETH_TX_DESC_DONE :
							     RTE_ETH_TX_DESC_FULL;
}

/* Say how the queue works, and of what layout its ring is now. */
static void
mode_describe(struct rte_eth_burst_mode *mode, const char *way, const struct virtq_packed *p)
{
	static const char * const layouts[] = {
		[VIRTIO_SPLIT] = "",
		[VIRTIO_PACKED] = ", packed ring",
		[VIRTIO_PACKED_IN_ORDER] = ", packed ring in order",
	};

	snprintf(mode->info, sizeof(mode->info), "%s%s%s", way, layouts[p->layout],
			p->dma != NULL ? ", IOVAs" : "");
}

int
ppfrag_rx_burst_mode_get(struct rte_eth_dev *dev, uint16_t queue_id,
		struct rte_eth_burst_mode *mode)
{
	static const char * const names[] = {
		[PPFRAG_RX_LANES] = "Scalar, zero-copy",
		[PPFRAG_RX_COPY] = "Scalar, copy",
		[PPFRAG_RX_SLOTS] = "Scalar, zero-copy into slots",
	};
	const struct ppfrag_rxq *q = dev->data->rx_queues[queue_id];
	const char *way;

	if (q == NULL)
		return -EINVAL;
	mode->flags = RTE_ETH_BURST_FLAG_PER_QUEUE;
	way = names[q->how];
	if (ppfrag_rxq_copies(q) && q->slots != NULL)
		way = "Scalar, copy into slots";
	mode_describe(mode, way, &q->packed);
	return 0;
}

int
ppfrag_tx_burst_mode_get(struct rte_eth_dev *dev, uint16_t queue_id,
		struct rte_eth_burst_mode *mode)
{
	const struct ppfrag_txq *q = dev->data->tx_queues[queue_id];

	if (q == NULL)
		return -EINVAL;
	mode->flags = 0;
	mode_describe(mode, "Scalar, zero-copy from shared memory", &q->packed);
	return 0;
}
