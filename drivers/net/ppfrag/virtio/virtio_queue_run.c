/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>

#include <rte_cycles.h>

#include "ppfrag_rx.h"
#include "virtio_device.h"

/*
 * Queues that are stopped and started while the port runs. As ethdev demands, nobody else uses a
 * queue meanwhile; bursts of other queues go on.
 *
 * A stopped queue gives and takes nothing: its thread, if there is one, sees that the epoch has
 * changed, and finds out. The device is told to leave the ring alone, and confirms that. Then what
 * was received is forgotten, what was sent is freed. Posted receive buffers stay posted, as when a
 * port is stopped: so it makes no difference whether the device keeps its word. Packets that the
 * device had not sent by then would be sent when it goes on, so that it must give back the ring.
 */

/*
 * How long a device may take to send what is in the ring, in ms. It is asked to give back a ring
 * only after that: vhost of DPDK stops all queues of the device with the first one.
 */
#define TX_SEND_MS 500

static struct ppfrag_rxq *
rxq_of(const struct rte_eth_dev *dev, uint16_t vring)
{
	if (vring % 2 != 0 || vring / 2 >= dev->data->nb_rx_queues)
		return NULL;
	return dev->data->rx_queues[vring / 2];
}

static struct ppfrag_txq *
txq_of(const struct rte_eth_dev *dev, uint16_t vring)
{
	if (vring % 2 == 0 || vring / 2 >= dev->data->nb_tx_queues)
		return NULL;
	return dev->data->tx_queues[vring / 2];
}

/* Of the queue that uses a ring; NULL where none does. */
static struct ppfrag_run *
run_of(const struct rte_eth_dev *dev, uint16_t vring)
{
	struct ppfrag_rxq *rxq = rxq_of(dev, vring);
	struct ppfrag_txq *txq = txq_of(dev, vring);

	if (rxq != NULL)
		return &rxq->run;
	return txq != NULL ? &txq->run : NULL;
}

bool
ppfrag_vring_runs(const struct rte_eth_dev *dev, uint16_t vring)
{
	const struct ppfrag_run *run = run_of(dev, vring);

	return run != NULL && !__atomic_load_n(&run->stopped, __ATOMIC_ACQUIRE);
}

/* The threads of all queues look what has changed. */
void
ppfrag_vring_set_stopped(const struct rte_eth_dev *dev, uint16_t vring, bool stopped)
{
	struct ppfrag_dev *pd = dev->data->dev_private;

	__atomic_store_n(&run_of(dev, vring)->stopped, stopped, __ATOMIC_RELEASE);
	__atomic_add_fetch(&pd->epoch, 1, __ATOMIC_SEQ_CST);
}

/* Post the buffers of received packets again. */
static void
rxq_drop(struct ppfrag_rxq *q)
{
	uint16_t i, nb_done = 0, n = (uint16_t)ppfrag_rx_queue_count(q);
	struct rx_entry e;

	rx_next_burst(q);
	for (i = 0; i < n; i++) {
		e = rx_read(q, i, true);
		if (rx_is_posted(q, e.id, true))
			rx_take_back(q, nb_done++, (uint16_t)e.id);
		else
			ppfrag_count(&q->stats.bad_used, 1);
	}
	ppfrag_rxq_count_waiting(q, n, 0);
	rx_advance(q, n, nb_done);
	ppfrag_rx_post(q, q->done, nb_done);
}

/* Where an entry may stand for several buffers, or has to be looked for, rings are taken back. */
static bool
rxq_can_drop(const struct ppfrag_rxq *q)
{
	return q->plain && !virtq_is_packed(&q->packed);
}

void
ppfrag_vring_settle(const struct rte_eth_dev *dev, uint16_t vring)
{
	struct ppfrag_txq *q = txq_of(dev, vring);
	unsigned int ms;

	if (q == NULL)
		return;
	ppfrag_tx_reclaim(q, 0);
	for (ms = 0; ms < TX_SEND_MS && q->nb_inflight != 0; ms++) {
		if (__atomic_load_n(&q->dev->link_up, __ATOMIC_RELAXED) == 0)
			return;
		rte_delay_us_sleep(1000);
		ppfrag_tx_reclaim(q, 0);
	}
}

bool
ppfrag_vring_drop(const struct rte_eth_dev *dev, uint16_t vring)
{
	struct ppfrag_rxq *rxq = rxq_of(dev, vring);
	struct ppfrag_txq *txq = txq_of(dev, vring);

	if (rxq != NULL && rxq_can_drop(rxq))
		rxq_drop(rxq);
	if (rxq != NULL)
		return rxq_can_drop(rxq);
	ppfrag_tx_reclaim(txq, 0);
	return txq->nb_inflight == 0;
}

void
ppfrag_vring_forget(const struct rte_eth_dev *dev, uint16_t vring)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const uint32_t before = __atomic_load_n(&pd->ring_epoch, __ATOMIC_RELAXED) - 1;

	__atomic_store_n(&run_of(dev, vring)->ring_epoch, before, __ATOMIC_RELEASE);
}

void
ppfrag_vring_drain(const struct rte_eth_dev *dev, uint16_t vring)
{
	struct ppfrag_txq *txq = txq_of(dev, vring);

	if (txq != NULL && txq->nb_inflight != 0)
		ppfrag_tx_drain(txq);
}

static void
rxq_restart(struct ppfrag_rxq *q, bool current)
{
	if (current && q->nb_posted + q->nb_starved != 0)
		rxq_drop(q);
	else
		ppfrag_rxq_start(q);
}

void
ppfrag_vring_start(const struct rte_eth_dev *dev, uint16_t vring, bool ours)
{
	struct ppfrag_rxq *rxq = rxq_of(dev, vring);
	struct ppfrag_txq *txq = txq_of(dev, vring);
	struct virtq vq;
	bool current = ppfrag_vring_get(dev, vring, &vq);

	if (ours && rxq != NULL)
		rxq_restart(rxq, current);
	else if (ours && !current)
		ppfrag_txq_start(txq);
	ppfrag_vring_set_stopped(dev, vring, false);
}

int
ppfrag_queue_run(struct rte_eth_dev *dev, bool rx, uint16_t queue_id, bool run)
{
	const uint16_t vring = rx ? ppfrag_rx_vring(queue_id) : ppfrag_tx_vring(queue_id);

	if (run)
		return ppfrag_control_run_queue(dev, vring, true);
	ppfrag_vring_set_stopped(dev, vring, true);
	return ppfrag_control_run_queue(dev, vring, false);
}
