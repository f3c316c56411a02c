/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "virtio.h"

/*
 * A back end that did not confirm that it has stopped may still write: it was stopped by a signal
 * in the middle of a burst, or its threads do not know yet that the connection is closed. What it
 * was given goes nowhere until it has closed its side of the connection, as it does when it has
 * let go of everything, or when it dies, and its threads have had some time. This side is closed
 * for sending only, so that one can see it.
 *
 * Primary process only; static functions are called with the lock held.
 */

/* How long a start waits for it, in ms; whatever is left stays where it is. */
#define QUARANTINE_START_MS (2 * PPFRAG_QUARANTINE_MS)
/* How long a port is closed or a queue released, in ms; the memory is lost then. */
#define QUARANTINE_FLUSH_MS (VU_TIMEOUT_S * 1000)
/* How often to look. */
#define QUARANTINE_POLL_MS 10

struct ppfrag_quarantine {
	struct ppfrag_quarantine *next;
	int fd;         /* -1: the back end has closed its side */
	uint64_t until; /* then: the end, in ms of vu_now() */
	const struct rte_memzone *arena;
	const struct rte_memzone *bounce_mz[PPFRAG_MAX_PAIRS];
	struct ppool_carver *carver[PPFRAG_MAX_PAIRS];
	uint32_t nb_buffers;
	uint32_t nb_pkts;
	struct rte_mbuf *pkt[]; /* that the back end was sending, and posted slots */
};

static uint32_t
packets_max(const struct rte_eth_dev *dev)
{
	const struct ppfrag_rxq *rxq;
	const struct ppfrag_txq *q;
	uint32_t nb = 0;
	uint16_t i;

	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		rxq = dev->data->rx_queues[i];
		nb += rxq == NULL || rxq->slots == NULL ? 0 : rxq->nb;
	}
	for (i = 0; i < dev->data->nb_tx_queues; i++) {
		q = dev->data->tx_queues[i];
		nb += q == NULL ? 0 : q->vq.size;
	}
	return nb;
}

static void
entry_take_txq(struct ppfrag_quarantine *e, struct ppfrag_txq *q)
{
	uint16_t i;

	for (i = 0; i < q->vq.size; i++) {
		e->nb_buffers += q->slot[i].nb;
		if (q->slot[i].nb != 0 && q->slot[i].m != NULL)
			e->pkt[e->nb_pkts++] = q->slot[i].m;
		q->slot[i].nb = 0;
	}
}

/* The pages that were posted are open in the lanes of the carver, or split into slots. */
static void
entry_take_rxq(struct ppfrag_quarantine *e, struct ppfrag_rxq *q)
{
	uint16_t i = q->queue_id;

	e->nb_buffers += q->nb_posted;
	q->nb_posted = 0;
	q->nb_starved = 0;
	if (ppfrag_rxq_copies(q)) {
		e->bounce_mz[i] = q->bounce_mz;
		q->dev->bounce_mz[i] = NULL;
		q->bounce_mz = NULL;
	} else if (q->slots != NULL) {
		e->nb_pkts += ppfrag_slots_release(q, &e->pkt[e->nb_pkts]);
	} else {
		e->carver[i] = q->carver;
		q->carver = NULL;
	}
}

static void
entry_take(struct ppfrag_quarantine *e, struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;

	e->arena = pd->arena;
	pd->arena = NULL;
	for (i = 0; i < dev->data->nb_rx_queues; i++)
		if (dev->data->rx_queues[i] != NULL)
			entry_take_rxq(e, dev->data->rx_queues[i]);
	for (i = 0; i < dev->data->nb_tx_queues; i++)
		if (dev->data->tx_queues[i] != NULL)
			entry_take_txq(e, dev->data->tx_queues[i]);
	pd->quarantined_buffers += e->nb_buffers;
	pd->quarantines++;
}

/* Give everything to others. */
static void
entry_release(struct rte_eth_dev *dev, struct ppfrag_quarantine *e)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	unsigned int i;

	for (i = 0; i < PPFRAG_MAX_PAIRS; i++) {
		ppool_carver_free(e->carver[i]);
		rte_memzone_free(e->bounce_mz[i]);
	}
	for (i = 0; i < e->nb_pkts; i++)
		rte_pktmbuf_free(e->pkt[i]);
	/* The rings of queues that found no other memory are still there. */
	if (pd->arena == NULL)
		pd->arena = e->arena;
	else
		rte_memzone_free(e->arena);
	if (e->fd >= 0)
		close(e->fd);
	pd->quarantined_buffers -= e->nb_buffers;
	free(e);
}

/* Whether the back end has closed its side, and when what it had can be given to others. */
static bool
entry_is_over(struct ppfrag_quarantine *e)
{
	struct pollfd pfd = { .fd = e->fd };

	if (e->fd >= 0 && poll(&pfd, 1, 0) == 1) {
		close(e->fd);
		e->fd = -1;
		e->until = vu_now() + PPFRAG_QUARANTINE_MS;
	}
	return e->fd < 0 && vu_now() >= e->until;
}

/* Release what can be released. Returns whether anything is left. */
static bool
entries_check(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = dev->process_private;
	struct ppfrag_quarantine **at = &local->quarantine, *e;

	while (*at != NULL) {
		e = *at;
		if (!entry_is_over(e)) {
			at = &e->next;
			continue;
		}
		*at = e->next;
		PPFRAG_LOG(NOTICE, "%s: %u buffers left quarantine", local->vu.name, e->nb_buffers);
		entry_release(dev, e);
	}
	return local->quarantine != NULL;
}

/* The control thread is not to wait for an application that waits. */
bool
ppfrag_quarantine_check(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = dev->process_private;
	bool left = true;

	if (pthread_mutex_trylock(&local->lock) == 0) {
		left = entries_check(dev);
		pthread_mutex_unlock(&local->lock);
	}
	return left;
}

void
ppfrag_quarantine_add(struct rte_eth_dev *dev, int fd)
{
	struct ppfrag_local *local = dev->process_private;
	struct ppfrag_quarantine *e;

	e = calloc(1, sizeof(*e) + packets_max(dev) * sizeof(e->pkt[0]));
	if (e == NULL) {
		PPFRAG_LOG(ERR, "%s: no memory to quarantine what the back end may still use",
				local->vu.name);
		close(fd);
		return;
	}
	e->fd = fd;
	pthread_mutex_lock(&local->lock);
	entry_take(e, dev);
	PPFRAG_LOG(WARNING,
			"%s: back end at %s did not confirm that it has stopped: %u buffers are in "
			"quarantine until it closes the connection or ends",
			local->vu.name, local->vu.path, e->nb_buffers);
	e->next = local->quarantine;
	local->quarantine = e;
	pthread_mutex_unlock(&local->lock);
}

/* Wait, but not for ever. Returns whether anything is left. */
static bool
entries_wait(struct rte_eth_dev *dev, uint64_t ms)
{
	uint64_t end = vu_now() + ms;

	while (entries_check(dev)) {
		if (vu_now() >= end)
			return true;
		rte_delay_us_sleep(QUARANTINE_POLL_MS * 1000);
	}
	return false;
}

void
ppfrag_quarantine_wait(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = dev->process_private;

	pthread_mutex_lock(&local->lock);
	entries_wait(dev, QUARANTINE_START_MS);
	pthread_mutex_unlock(&local->lock);
}

void
ppfrag_quarantine_flush(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = dev->process_private;
	struct ppfrag_quarantine *e;

	pthread_mutex_lock(&local->lock);
	if (entries_wait(dev, QUARANTINE_FLUSH_MS))
		PPFRAG_LOG(ERR,
				"%s: back end at %s still has memory of this port, which is given "
				"to others now: end it",
				local->vu.name, local->vu.path);
	while ((e = local->quarantine) != NULL) {
		local->quarantine = e->next;
		entry_release(dev, e);
	}
	pthread_mutex_unlock(&local->lock);
}
