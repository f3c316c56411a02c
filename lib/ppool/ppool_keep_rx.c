/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* Copybreak for any driver: receive callbacks that keep what a queue receives. */

#include <errno.h>
#include <stdlib.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_spinlock.h>

#include "ppool_keep.h"
#include "ppool_slot.h"

/* Of this process. */
struct keep_rx {
	struct keep_rx *next;
	const struct rte_eth_rxtx_callback *cb;
	struct rte_mempool *mp;
	uint32_t max_len;
	uint16_t port_id;
	uint16_t queue_id;
};

static struct keep_rx *keep_rx_first;
static rte_spinlock_t keep_rx_lock = RTE_SPINLOCK_INITIALIZER;

static uint16_t
keep_rx_burst(uint16_t port_id, uint16_t queue_id, struct rte_mbuf *pkts[], uint16_t nb_pkts,
		uint16_t max_pkts, void *arg)
{
	const struct keep_rx *rx = arg;

	RTE_SET_USED(port_id);
	RTE_SET_USED(queue_id);
	RTE_SET_USED(max_pkts);
	ppool_keep(rx->mp, pkts, nb_pkts, rx->max_len);
	return nb_pkts;
}

/* Where a queue's entry is linked, or would be. */
static struct keep_rx **
keep_rx_find(uint16_t port_id, uint16_t queue_id)
{
	struct keep_rx **link;

	for (link = &keep_rx_first; *link != NULL; link = &(*link)->next)
		if ((*link)->port_id == port_id && (*link)->queue_id == queue_id)
			break;
	return link;
}

/* Locked. Returns 0 or an errno. */
static int
keep_rx_insert(const struct keep_rx *conf)
{
	struct keep_rx **link = keep_rx_find(conf->port_id, conf->queue_id), *rx;

	if (*link != NULL)
		return EEXIST;
	rx = malloc(sizeof(*rx));
	if (rx == NULL)
		return ENOMEM;
	*rx = *conf;
	rx->cb = rte_eth_add_rx_callback(rx->port_id, rx->queue_id, keep_rx_burst, rx);
	if (rx->cb == NULL) {
		free(rx);
		return rte_errno;
	}
	*link = rx;
	return 0;
}

/* The callback may be running in another thread no more. Locked. Returns 0 or an errno. */
static int
keep_rx_delete(uint16_t port_id, uint16_t queue_id)
{
	struct keep_rx **link = keep_rx_find(port_id, queue_id), *rx = *link;
	int ret;

	if (rx == NULL)
		return ENOENT;
	ret = rte_eth_remove_rx_callback(port_id, queue_id, rx->cb);
	if (ret != 0)
		return -ret;
	*link = rx->next;
	rte_free((void *)(uintptr_t)rx->cb);
	free(rx);
	return 0;
}

int
ppool_keep_rx_add(uint16_t port_id, uint16_t queue_id, struct rte_mempool *mp, uint32_t max_len)
{
	const struct keep_rx conf = {
		.mp = mp,
		.max_len = max_len,
		.port_id = port_id,
		.queue_id = queue_id,
	};
	int err;

	if (!rte_eth_dev_is_valid_port(port_id)) {
		rte_errno = ENODEV;
		return -ENODEV;
	}
	/* Packets need not wait for it to be made. */
	if (ppool_slot_pool(mp, 0) == NULL)
		return -rte_errno;
	rte_spinlock_lock(&keep_rx_lock);
	err = keep_rx_insert(&conf);
	rte_spinlock_unlock(&keep_rx_lock);
	rte_errno = err;
	return -err;
}

int
ppool_keep_rx_remove(uint16_t port_id, uint16_t queue_id)
{
	int err;

	rte_spinlock_lock(&keep_rx_lock);
	err = keep_rx_delete(port_id, queue_id);
	rte_spinlock_unlock(&keep_rx_lock);
	rte_errno = err;
	return -err;
}
