/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>

#include <rte_atomic.h>

#include "virtio.h"

/*
 * Receive interrupts: the eventfd that the back end writes to when it has used buffers is what an
 * application that called rte_eth_dev_rx_intr_ctl_q() waits for. It exists in the primary process
 * only.
 */

int
ppfrag_intr_init(struct ppfrag_local *local, uint16_t nb_queues)
{
	struct rte_intr_handle *intr = local->intr;
	uint16_t i;
	int ret;

	ret = rte_intr_vec_list_alloc(intr, "ppfrag_intr", nb_queues);
	for (i = 0; i < nb_queues && ret == 0; i++) {
		ret = rte_intr_efds_index_set(intr, i, local->call[ppfrag_rx_vring(i)].fd);
		if (ret == 0)
			ret = rte_intr_vec_list_index_set(intr, i, RTE_INTR_VEC_RXTX_OFFSET + i);
	}
	if (ret == 0)
		ret = rte_intr_nb_efd_set(intr, nb_queues);
	if (ret == 0)
		ret = rte_intr_max_intr_set(intr, nb_queues + 1);
	/*
	 * EAL waits for edges and need not read the counter: the back end, which has the eventfd,
	 * too, could empty it first and have EAL wait for ever.
	 */
	if (ret == 0)
		ret = rte_intr_efd_counter_size_set(intr, 0);
	if (ret == 0)
		ret = rte_intr_type_set(intr, RTE_INTR_HANDLE_VDEV);
	return ret;
}

void
ppfrag_intr_fini(struct ppfrag_local *local)
{
	rte_intr_free_epoll_fd(local->intr);
	rte_intr_vec_list_free(local->intr);
}

/* Have the device interrupt, or not. */
static void
interrupts_set(struct ppfrag_rxq *q, bool on)
{
	uint16_t flags = on ? 0 : VIRTQ_AVAIL_F_NO_INTERRUPT;

	q->interrupts = on;
	if (virtq_is_packed(&q->packed))
		packed_set_interrupts(&q->packed, on);
	else
		__atomic_store_n(&q->vq.avail->flags, rte_cpu_to_le_16(flags), __ATOMIC_RELAXED);
}

static bool
wants_kick(const struct ppfrag_rxq *q)
{
	return virtq_is_packed(&q->packed) ? packed_wants_kick(&q->packed) :
					     virtq_wants_kick(&q->vq);
}

/* Whether the device has used buffers that were not received yet. */
static bool
has_used(const struct ppfrag_rxq *q)
{
	return virtq_used_idx(&q->vq) != q->used_idx ||
			(virtq_is_packed(&q->packed) && packed_has_used(&q->packed));
}

/* Whether nothing would wake an application that sleeps now, though there is something to do. */
static bool
must_poll(const struct ppfrag_rxq *q)
{
	/*
	 * Without buffers the device is silent; only polling finds new pages. A ring that waits to
	 * be reset is reset by polling.
	 */
	return has_used(q) || q->nb_posted == 0 || ppfrag_is_stale(q->dev, q->epoch);
}

int
ppfrag_rx_intr_enable(struct rte_eth_dev *dev, uint16_t queue_id)
{
	struct ppfrag_local *local = dev->process_private;
	struct ppfrag_rxq *q = dev->data->rx_queues[queue_id];

	if (q == NULL || !dev->data->dev_started)
		return -EINVAL;
	interrupts_set(q, true);
	/* The device writes what it has used, then looks at our flags; we do the reverse. */
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* What the next poll would do, as there may be none. */
	if (q->unnotified && wants_kick(q))
		ppfrag_rx_kick(q);
	if (must_poll(q))
		ppfrag_notify(&local->notifier, &local->call[ppfrag_rx_vring(queue_id)]);
	return 0;
}

int
ppfrag_rx_intr_disable(struct rte_eth_dev *dev, uint16_t queue_id)
{
	struct ppfrag_rxq *q = dev->data->rx_queues[queue_id];

	if (q == NULL)
		return -EINVAL;
	interrupts_set(q, false);
	return 0;
}
