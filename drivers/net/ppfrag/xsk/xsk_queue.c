/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "../ppfrag_slots.h"
#include "../virtio/ppfrag_offload.h"
#include "xsk.h"

/*
 * Queues and their sockets. A receive and a transmit queue of the same number share one. It is made
 * when the port starts and stays while the port is stopped, with what is posted: as long as queues,
 * pools and the length of frames are the same.
 */

/* Set-up */

static int
rxq_check(const struct rte_eth_dev *dev, struct rte_mempool *mp)
{
	int ret = ppfrag_pool_check(dev, mp);

	if (ret != 0)
		return ret;
	if (xsk_umem_frame(mp) >= RTE_ETHER_MIN_LEN)
		return 0;
	PPFRAG_LOG(ERR, "%s: pool %s has no slots to receive into: use larger mbufs (testpmd --mbuf-size=2176 or more)",
			dev->data->name, mp->name);
	return -EINVAL;
}

static struct xsk_rxq *
rxq_alloc(uint16_t nb, unsigned int socket_id)
{
	struct xsk_rxq *x = rte_zmalloc_socket("ppfrag_rxq",
			sizeof(*x) + nb * (sizeof(*x->lane) + sizeof(*x->q.starved)),
			RTE_CACHE_LINE_SIZE, (int)socket_id);

	if (x == NULL)
		return NULL;
	x->q.nb = nb;
	x->lane = (uint16_t *)(x + 1);
	x->q.starved = x->lane + nb;
	return x;
}

/* The memory that the kernel writes into: that of the pool, if it can be. */
static void
memory_choose(struct xsk_rxq *x)
{
	const char *reason = "umem=own asks for that";

	if (!x->q.dev->xsk.own_umem)
		reason = xsk_umem_misfit(x->q.mp);
	x->copies = reason != NULL;
	if (reason == NULL)
		ppfrag_rxq_log(&x->q, NULL);
	else
		PPFRAG_LOG(NOTICE,
				"%s: receive queue %u: packets are copied, those that are sent, too, as pool %s is no memory of the kernel's: %s",
				ppfrag_port_name(x->q.dev), x->q.queue_id, x->q.mp->name, reason);
}

int
xsk_rxq_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc, unsigned int socket_id,
		const struct rte_eth_rxconf *conf, struct rte_mempool *mp)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	uint64_t offloads = conf->offloads | dev->data->dev_conf.rxmode.offloads;
	struct xsk_rxq *x;
	int ret;

	ret = rxq_check(dev, mp);
	if (ret != 0)
		return ret;
	x = rxq_alloc((uint16_t)rte_align32pow2(RTE_MIN(nb_desc, pd->queue_size)), socket_id);
	if (x == NULL)
		return -ENOMEM;
	x->q.dev = pd;
	x->q.mp = mp;
	x->q.queue_id = queue_id;
	x->q.socket_id = (int)socket_id;
	x->q.hdr_offset = RTE_PKTMBUF_HEADROOM;
	x->q.post_len = xsk_umem_frame(mp);
	x->q.offloads = offloads;
	x->q.run.deferred = conf->rx_deferred_start != 0;
	x->q.scatter = (offloads & RTE_ETH_RX_OFFLOAD_SCATTER) != 0;
	ret = ppfrag_rxq_init(&x->q, NULL);
	if (ret != 0) {
		ppfrag_rxq_free(&x->q);
		return ret;
	}
	memory_choose(x);
	ppfrag_rxq_attach(dev, &x->q);
	return 0;
}

int
xsk_txq_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc, unsigned int socket_id,
		const struct rte_eth_txconf *conf)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	uint32_t size = rte_align32pow2(RTE_MIN(nb_desc, pd->queue_size));
	struct xsk_txq *x;

	/* The longest packet must fit. */
	size = RTE_MAX(size, rte_align32pow2(XSK_MAX_CHUNKS));
	x = rte_zmalloc_socket("ppfrag_txq", sizeof(*x) + size * sizeof(x->flight[0]),
			RTE_CACHE_LINE_SIZE, (int)socket_id);
	if (x == NULL)
		return -ENOMEM;
	x->q.dev = pd;
	x->q.queue_id = queue_id;
	x->q.vq.size = (uint16_t)size;
	x->q.run.deferred = conf->tx_deferred_start != 0;
	x->q.free_thresh = conf->tx_free_thresh;
	ppfrag_tx_offload_init(&x->q, conf->offloads | dev->data->dev_conf.txmode.offloads);
	ppfrag_txq_attach(dev, &x->q);
	return 0;
}

/* Sockets */

/* NULL where there is none, or none is set up. */
static struct xsk_rxq *
rxq_of(const struct rte_eth_dev *dev, uint16_t i)
{
	return i < dev->data->nb_rx_queues ? dev->data->rx_queues[i] : NULL;
}

static struct xsk_txq *
txq_of(const struct rte_eth_dev *dev, uint16_t i)
{
	return i < dev->data->nb_tx_queues ? dev->data->tx_queues[i] : NULL;
}

/* Packets of several chunks are copied into frags of their length. */
static int
jumbo_init(struct xsk_rxq *x)
{
	const struct ppool_carver_conf conf = {
		.max_len = x->q.max_len,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = 1,
		.port = x->q.dev->port_id,
		.socket_id = x->q.socket_id,
	};

	if (x->q.slots != NULL || x->q.max_len <= x->q.post_len)
		return 0;
	x->jumbo = ppool_carver_create(x->q.mp, &conf);
	if (x->jumbo != NULL)
		return 0;
	PPFRAG_LOG(ERR, "%s: cannot receive frames of %u bytes into pool %s: %s",
			ppfrag_port_name(x->q.dev), x->q.max_len, x->q.mp->name,
			rte_strerror(rte_errno));
	return -rte_errno;
}

static int
rxq_open(struct xsk_rxq *x, struct xsk_socket *s)
{
	const struct ppfrag_dev *pd = x->q.dev;
	int ret = jumbo_init(x);

	if (ret != 0)
		return ret;

	x->fill = s->fill;
	x->rx = s->rx;
	x->umem = s->umem->addr;
	x->last_base = s->umem->len - XSK_CHUNK;
	x->lead = XSK_KERNEL_HEADROOM + s->umem->headroom;
	x->frame = s->umem->frame;
	x->busy = pd->xsk.busy_budget != 0;
	x->tail = 0;
	x->q.nb_waiting = 0;
	x->sock = s;
	xsk_rx_post_all(x);
	ppfrag_rxq_log_starved(&x->q);
	return 0;
}

/* A copy takes a slot, also where packets are received into lanes. */
static int
copies_init(struct xsk_txq *x, const struct ppfrag_rxq *slots)
{
	const uint32_t room = ppfrag_slots_class(slots->mp, slots->max_len).room;

	x->max_copy = RTE_MIN(slots->max_len, room);
	x->copy_pool = NULL;
	if (slots->slots != NULL)
		return 0;
	x->copy_pool = ppool_slot_pool(slots->mp, (uint16_t)x->max_copy);
	if (x->copy_pool != NULL)
		return 0;
	PPFRAG_LOG(ERR, "%s: pool %s has no slots to copy packets into: %s",
			ppfrag_port_name(x->q.dev), slots->mp->name, rte_strerror(rte_errno));
	return -rte_errno;
}

static int
txq_open(struct xsk_txq *x, struct xsk_socket *s, const struct ppfrag_rxq *slots)
{
	int ret;

	x->copies = s->umem->mp == NULL;
	ret = x->copies ? 0 : copies_init(x, slots);
	if (ret != 0)
		return ret;
	x->own = s->umem->len - (uint64_t)x->q.vq.size * XSK_CHUNK;
	x->tx = s->tx;
	x->done = s->done;
	x->umem = s->umem->addr;
	x->umem_len = s->umem->len;
	x->gaps = s->umem->gaps ? s->umem->mp : NULL;
	x->max_chunks = s->umem->sg ? XSK_MAX_CHUNKS : 1;
	x->max_piece = (uint16_t)(XSK_CHUNK - s->umem->meta);
	x->meta = (uint16_t)s->umem->meta;
	x->slots = slots;
	x->tail = 0;
	x->sock = s;
	return 0;
}

/* Positions in rings start at 0 again. */
static void
rxq_close(struct xsk_rxq *x)
{
	xsk_rx_aside_free(x);
	ppfrag_slots_release(&x->q, NULL);
	ppool_carver_free(x->jumbo);
	x->jumbo = NULL;
	x->q.nb_starved = 0;
	x->q.nb_posted = 0;
	x->fill.pos = 0;
	x->tail = 0;
	x->sock = NULL;
}

static void
txq_close(struct xsk_txq *x)
{
	xsk_tx_drain(x);
	x->tx.pos = 0;
	x->tail = 0;
	x->sock = NULL;
}

static void
socket_forget(struct xsk_local *local, uint16_t i)
{
	struct xsk_socket *s = local->sock[i];

	pthread_mutex_lock(&local->lock);
	xsk_socket_stats(s, &local->gone_missed, &local->gone_no_chunk);
	local->sock[i] = NULL;
	pthread_mutex_unlock(&local->lock);
	xsk_socket_close(s);
}

static void
pair_close(struct rte_eth_dev *dev, uint16_t i)
{
	struct xsk_rxq *rx = rxq_of(dev, i);
	struct xsk_txq *tx = txq_of(dev, i);

	socket_forget(xsk_local(dev), i);
	if (rx != NULL && rx->sock != NULL)
		rxq_close(rx);
	if (tx != NULL && tx->sock != NULL)
		txq_close(tx);
}

/* A transmit queue alone uses the pool of the first. */
static void
socket_conf_init(struct rte_eth_dev *dev, uint16_t i, struct xsk_socket_conf *conf)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const struct xsk_local *local = xsk_local(dev);
	const struct xsk_rxq *rx = rxq_of(dev, i);
	const struct xsk_txq *tx = txq_of(dev, i);
	const struct xsk_rxq *pool = rx != NULL ? rx : dev->data->rx_queues[0];

	*conf = (struct xsk_socket_conf){
		.name = dev->data->name,
		.iface = pd->iface,
		.ifindex = local->ifindex,
		.queue = pd->xsk.start_queue + i,
		.mp = pool->copies ? NULL : pool->q.mp,
		.frame = pool->q.post_len,
		.rx_size = rx != NULL ? rx->q.nb : 0,
		.tx_size = tx != NULL ? tx->q.vq.size : 0,
		.busy_budget = pd->xsk.busy_budget,
		.force_copy = pd->xsk.force_copy,
		.hasty = local->runs,
	};
}

static void
socket_set(struct xsk_local *local, uint16_t i, struct xsk_socket *s)
{
	pthread_mutex_lock(&local->lock);
	local->sock[i] = s;
	pthread_mutex_unlock(&local->lock);
}

/* The socket of the queues of a number; there may be one of either kind, or both. */
static int
pair_open(struct rte_eth_dev *dev, uint16_t i)
{
	struct xsk_rxq *rx = rxq_of(dev, i);
	struct xsk_txq *tx = txq_of(dev, i);
	struct xsk_socket_conf conf;
	struct xsk_socket *s;
	int ret;

	socket_conf_init(dev, i, &conf);
	s = xsk_socket_open(&conf);
	if (s == NULL)
		return -errno;
	socket_set(xsk_local(dev), i, s);
	ret = rx != NULL ? rxq_open(rx, s) : 0;
	if (ret == 0)
		ret = xsk_socket_bind(s, &conf);
	if (rx != NULL)
		rx->wakeup = s->zero_copy;
	if (ret == 0 && tx != NULL)
		ret = txq_open(tx, s, rx != NULL ? &rx->q : dev->data->rx_queues[0]);
	if (ret != 0)
		pair_close(dev, i);
	return ret;
}

/* What the kernel can hand over of frames that the interface has. */
static int
sg_check(const struct rte_eth_dev *dev)
{
	const struct xsk_local *local = xsk_local(dev);
	const struct xsk_umem *u = local->sock[0]->umem;
	uint32_t mtu, frame;

	if (u->sg || xsk_netdev_mtu_get(dev, &mtu) != 0)
		return 0;
	frame = RTE_MAX(mtu, (uint32_t)dev->data->mtu) + PPFRAG_L2_LEN;
	if (frame <= u->frame)
		return 0;
	PPFRAG_LOG(ERR, "%s: MTU %u is too large: frames over %u bytes take Linux 6.6; use an MTU of %u",
			dev->data->name, frame - PPFRAG_L2_LEN, u->frame, u->frame - PPFRAG_L2_LEN);
	return -ENOTSUP;
}

int
xsk_queues_open(struct rte_eth_dev *dev)
{
	const struct xsk_local *local = xsk_local(dev);
	uint16_t nb_rx = dev->data->nb_rx_queues, nb_tx = dev->data->nb_tx_queues, i;
	int ret = 0;

	if (nb_rx == 0) {
		PPFRAG_LOG(ERR, "%s: a receive queue is needed: its pool is the memory that the kernel sends from",
				dev->data->name);
		return -EINVAL;
	}
	for (i = 0; i < RTE_MAX(nb_rx, nb_tx) && ret == 0; i++) {
		if (local->sock[i] != NULL)
			continue;
		xsk_umems_lock();
		ret = pair_open(dev, i);
		xsk_umems_unlock();
	}
	return ret == 0 ? sg_check(dev) : ret;
}

void
xsk_queues_close(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);
	struct xsk_txq *tx;
	uint16_t i;

	for (i = 0; i < PPFRAG_MAX_PAIRS; i++) {
		if (local->sock[i] == NULL)
			continue;
		tx = txq_of(dev, i);
		if (tx != NULL && tx->sock != NULL && !xsk_link_is_gone(local))
			xsk_tx_wait(tx);
		pair_close(dev, i);
	}
}
