/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "xsk.h"

/*
 * Keeping bursts off queues whose sockets are made anew, while the application goes on polling.
 *
 * A burst notes that it runs, and then looks whether it may; who shuts a gate does so first, and
 * then waits until none runs. For one of the two to see the other, both would need a memory
 * barrier in between. That of the burst, which would cost more than all the rest of a poll that
 * finds nothing, is left to a system call that has all threads of the process pass one.
 *
 * No queue has to be polled for that, as none is waited for that does not run.
 */

static int
barrier(int command)
{
	return (int)syscall(SYS_membarrier, command, 0, 0);
}

bool
xsk_gates_init(void)
{
	return barrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
}

static void
gate_shut(struct xsk_gate *g)
{
	__atomic_store_n(&g->shut, true, __ATOMIC_RELAXED);
}

static void
gate_open(struct xsk_gate *g)
{
	__atomic_store_n(&g->shut, false, __ATOMIC_RELEASE);
}

static void
gate_wait(struct xsk_gate *g)
{
	while (__atomic_load_n(&g->inside, __ATOMIC_ACQUIRE))
		usleep(1);
}

static void
gates_each(const struct rte_eth_dev *dev, void (*call)(struct xsk_gate *g))
{
	struct xsk_rxq *rx;
	struct xsk_txq *tx;
	uint16_t i;

	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		rx = dev->data->rx_queues[i];
		if (rx != NULL)
			call(&rx->gate);
	}
	for (i = 0; i < dev->data->nb_tx_queues; i++) {
		tx = dev->data->tx_queues[i];
		if (tx != NULL)
			call(&tx->gate);
	}
}

void
xsk_gates_shut(const struct rte_eth_dev *dev)
{
	gates_each(dev, gate_shut);
	barrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	gates_each(dev, gate_wait);
}

void
xsk_gates_open(const struct rte_eth_dev *dev)
{
	gates_each(dev, gate_open);
}
