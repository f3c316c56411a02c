/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "xsk.h"

/*
 * Receive interrupts. What an application waits for is an epoll descriptor of the queue, in which
 * is its socket while interrupts are wanted. So it stays the same when the socket is made anew, and
 * to ask for interrupts again is an event if packets have arrived meanwhile: EAL waits for edges,
 * and there is none for what the ring had before.
 *
 * A socket without buffers is silent; only polling finds new pages. An eventfd that is always
 * readable is asked in its place.
 */

static int
queue_init(struct xsk_local *local, uint16_t i)
{
	struct epoll_event none = { .events = 0 };
	int ret;

	local->intr_fd[i] = epoll_create1(EPOLL_CLOEXEC);
	if (local->intr_fd[i] < 0)
		return -errno;
	if (epoll_ctl(local->intr_fd[i], EPOLL_CTL_ADD, local->ready_fd, &none) != 0)
		return -errno;
	ret = rte_intr_efds_index_set(local->intr, i, local->intr_fd[i]);
	if (ret == 0)
		ret = rte_intr_vec_list_index_set(local->intr, i, RTE_INTR_VEC_RXTX_OFFSET + i);
	return ret;
}

static int
handle_init(struct xsk_local *local, uint16_t nb_queues)
{
	int ret;
	uint16_t i;

	ret = rte_intr_vec_list_alloc(local->intr, "ppfrag_intr", nb_queues);
	for (i = 0; i < nb_queues && ret == 0; i++)
		ret = queue_init(local, i);
	if (ret == 0)
		ret = rte_intr_nb_efd_set(local->intr, nb_queues);
	if (ret == 0)
		ret = rte_intr_max_intr_set(local->intr, nb_queues + 1);
	/* EAL is not to read from them. */
	if (ret == 0)
		ret = rte_intr_efd_counter_size_set(local->intr, 0);
	if (ret == 0)
		ret = rte_intr_type_set(local->intr, RTE_INTR_HANDLE_VDEV);
	return ret;
}

int
xsk_intr_init(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct xsk_local *local = xsk_local(dev);
	int ret = -ENOMEM;

	local->ready_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	local->intr = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	if (local->ready_fd < 0)
		ret = -errno;
	else if (local->intr != NULL)
		ret = handle_init(local, pd->max_pairs);
	if (ret == 0)
		dev->intr_handle = local->intr;
	else
		PPFRAG_LOG(ERR, "%s: cannot create event descriptors: %s", dev->data->name,
				strerror(-ret));
	return ret;
}

void
xsk_intr_fini(struct rte_eth_dev *dev)
{
	struct xsk_local *local = xsk_local(dev);
	uint16_t i;

	dev->intr_handle = NULL;
	if (local->intr != NULL) {
		rte_intr_free_epoll_fd(local->intr);
		rte_intr_vec_list_free(local->intr);
	}
	rte_intr_instance_free(local->intr);
	for (i = 0; i < RTE_DIM(local->intr_fd); i++)
		if (local->intr_fd[i] >= 0)
			close(local->intr_fd[i]);
	if (local->ready_fd >= 0)
		close(local->ready_fd);
}

/* A socket is not there before it is asked for the first time, and when it was made anew. */
static int
fd_watch(int epoll_fd, int fd, uint32_t events)
{
	struct epoll_event event = { .events = events };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static int
intr_set(struct rte_eth_dev *dev, uint16_t queue_id, uint32_t events)
{
	const struct xsk_local *local = xsk_local(dev);
	const struct xsk_rxq *x = dev->data->rx_queues[queue_id];
	const int fd = local->intr_fd[queue_id];
	const bool silent = x->q.nb_starved == x->q.nb;
	int ret;

	if (local->sock[queue_id] == NULL)
		return 0; /* its interface is gone */
	ret = fd_watch(fd, local->sock[queue_id]->fd, events);
	return ret == 0 ? fd_watch(fd, local->ready_fd, silent ? events : 0) : ret;
}

int
xsk_intr_renew(struct rte_eth_dev *dev)
{
	const struct xsk_local *local = xsk_local(dev);
	int ret = 0;
	uint16_t i;

	for (i = 0; i < dev->data->nb_rx_queues && ret == 0; i++)
		if (local->intr_on[i])
			ret = intr_set(dev, i, EPOLLIN);
	return ret;
}

static int
intr_switch(struct rte_eth_dev *dev, uint16_t queue_id, bool on)
{
	struct xsk_local *local = xsk_local(dev);
	int ret;

	pthread_mutex_lock(&local->ctl);
	local->intr_on[queue_id] = on;
	ret = intr_set(dev, queue_id, on ? EPOLLIN : 0);
	pthread_mutex_unlock(&local->ctl);
	return ret;
}

int
xsk_intr_enable(struct rte_eth_dev *dev, uint16_t queue_id)
{
	if (dev->data->rx_queues[queue_id] == NULL || !dev->data->dev_started)
		return -EINVAL;
	return intr_switch(dev, queue_id, true);
}

int
xsk_intr_disable(struct rte_eth_dev *dev, uint16_t queue_id)
{
	if (dev->data->rx_queues[queue_id] == NULL)
		return -EINVAL;
	return intr_switch(dev, queue_id, false);
}
