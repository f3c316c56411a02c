/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>

#include <rte_atomic.h>

#include "ppfrag_rx.h"

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

static bool
wants_kick(const struct ppfrag_rxq *q)
{
	return virtq_is_packed(&q->packed) ? packed_wants_kick(&q->packed) : rx_wants_kick(q);
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
	 * be reset is reset by polling. A queue that is stopped gives nothing.
	 */
	if (__atomic_load_n(&q->run.stopped, __ATOMIC_RELAXED))
		return false;
	return has_used(q) || q->nb_posted == 0 || ppfrag_is_stale(q->dev, q->epoch);
}

/*
 * Where indexes tell of events, flags are not used. No interrupt is the one for an entry that was
 * used already: it comes after 65,536 others.
 */
void
ppfrag_rx_intr_ask(struct ppfrag_rxq *q)
{
	const uint16_t flags = q->interrupts || q->event_idx ? 0 : VIRTQ_AVAIL_F_NO_INTERRUPT;
	const uint16_t event = q->interrupts ? q->used_idx : q->used_idx - 1;

	if (virtq_is_packed(&q->packed)) {
		packed_set_interrupts(&q->packed, q->interrupts);
		return;
	}
	if (q->event_idx)
		__atomic_store_n(virtq_used_event(&q->vq), rte_cpu_to_le_16(event),
				__ATOMIC_RELAXED);
	__atomic_store_n(&q->vq.avail->flags, rte_cpu_to_le_16(flags), __ATOMIC_RELAXED);
}

/* Who is not told of an entry, since the device has used it just before, is told here. */
void
ppfrag_rx_intr_again(struct ppfrag_rxq *q)
{
	struct ppfrag_local *local = rte_eth_devices[q->dev->port_id].process_private;
	const uint16_t seen = virtq_used_idx(&q->vq);

	if (*virtq_used_event(&q->vq) == rte_cpu_to_le_16(seen))
		return;
	__atomic_store_n(virtq_used_event(&q->vq), rte_cpu_to_le_16(seen), __ATOMIC_RELAXED);
	/* The device writes its index, then looks at ours; we do the reverse. */
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (virtq_used_idx(&q->vq) != seen && local != NULL)
		ppfrag_notify(&local->notifier, &local->call[ppfrag_rx_vring(q->queue_id)]);
}

int
ppfrag_rx_intr_enable(struct rte_eth_dev *dev, uint16_t queue_id)
{
	struct ppfrag_local *local = dev->process_private;
	struct ppfrag_rxq *q = dev->data->rx_queues[queue_id];

	if (q == NULL || !dev->data->dev_started)
		return -EINVAL;
	q->interrupts = true;
	ppfrag_rx_intr_ask(q);
	/* The device writes what it has used, then looks at our flags; we do the reverse. */
	rte_atomic_thread_fence(__ATOMIC_SEQ_CST);
	/* What the next poll would do, as there may be none. */
	if (q->unnotified && wants_kick(q))
		rx_wake(q);
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
	q->interrupts = false;
	ppfrag_rx_intr_ask(q);
	return 0;
}
