/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdio.h>
#include <string.h>

#include "ppfrag.h"

struct counter {
	const char *name;
	size_t offset;
};

#define RXQ_COUNTER(name, unit, desc) { #name, offsetof(struct ppfrag_rxq_stats, name) },
#define TXQ_COUNTER(name, unit, desc) { #name, offsetof(struct ppfrag_txq_stats, name) },

static const struct counter rxq_counters[] = { PPFRAG_RXQ_XSTATS(RXQ_COUNTER) };
static const struct counter txq_counters[] = { PPFRAG_TXQ_XSTATS(TXQ_COUNTER) };

static void
add_rxq(struct rte_eth_stats *stats, struct ppool_queue_stats *queues, const struct ppfrag_rxq *q,
		uint16_t i)
{
	const struct ppfrag_rxq_stats *s = &q->stats;

	stats->ipackets += s->packets;
	stats->ibytes += s->bytes;
	stats->ierrors += s->oversize_packets + s->bad_used;
	stats->rx_nombuf += s->no_header + s->no_page;
	if (queues != NULL && i < RTE_ETHDEV_QUEUE_STAT_CNTRS) {
		queues->q_ipackets[i] = s->packets;
		queues->q_ibytes[i] = s->bytes;
		queues->q_errors[i] = s->oversize_packets + s->bad_used;
	}
}

static void
add_txq(struct rte_eth_stats *stats, struct ppool_queue_stats *queues, const struct ppfrag_txq *q,
		uint16_t i)
{
	const struct ppfrag_txq_stats *s = &q->stats;

	stats->opackets += s->packets;
	stats->obytes += s->bytes;
	stats->oerrors += s->dropped_packets + s->bad_used;
	if (queues != NULL && i < RTE_ETHDEV_QUEUE_STAT_CNTRS) {
		queues->q_opackets[i] = s->packets;
		queues->q_obytes[i] = s->bytes;
	}
}

static int
get_all(struct rte_eth_dev *dev, struct rte_eth_stats *stats, struct ppool_queue_stats *queues)
{
	uint16_t i;

	for (i = 0; i < dev->data->nb_rx_queues; i++)
		if (dev->data->rx_queues[i] != NULL)
			add_rxq(stats, queues, dev->data->rx_queues[i], i);
	for (i = 0; i < dev->data->nb_tx_queues; i++)
		if (dev->data->tx_queues[i] != NULL)
			add_txq(stats, queues, dev->data->tx_queues[i], i);
	return 0;
}

int
ppfrag_stats_get(struct rte_eth_dev *dev, PPOOL_STATS_PARAMS)
{
	return get_all(dev, PPOOL_STATS_ARGS);
}

int
ppfrag_stats_reset(struct rte_eth_dev *dev)
{
	struct ppfrag_rxq *rxq;
	struct ppfrag_txq *txq;
	uint16_t i;

	for (i = 0; i < dev->data->nb_rx_queues; i++) {
		rxq = dev->data->rx_queues[i];
		if (rxq != NULL)
			memset(&rxq->stats, 0, sizeof(rxq->stats));
	}
	for (i = 0; i < dev->data->nb_tx_queues; i++) {
		txq = dev->data->tx_queues[i];
		if (txq != NULL)
			memset(&txq->stats, 0, sizeof(txq->stats));
	}
	return 0;
}

static unsigned int
nb_xstats(const struct rte_eth_dev *dev)
{
	return dev->data->nb_rx_queues * RTE_DIM(rxq_counters) +
			dev->data->nb_tx_queues * RTE_DIM(txq_counters);
}

static uint64_t
read_counter(const void *stats, const struct counter *c)
{
	return stats == NULL ? 0 : *(const uint64_t *)RTE_PTR_ADD(stats, c->offset);
}

static const void *
rxq_stats(const struct rte_eth_dev *dev, uint16_t i)
{
	const struct ppfrag_rxq *q = dev->data->rx_queues[i];

	return q == NULL ? NULL : &q->stats;
}

static const void *
txq_stats(const struct rte_eth_dev *dev, uint16_t i)
{
	const struct ppfrag_txq *q = dev->data->tx_queues[i];

	return q == NULL ? NULL : &q->stats;
}

int
ppfrag_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int n)
{
	unsigned int i, j, k = 0;

	if (xstats == NULL || n < nb_xstats(dev))
		return nb_xstats(dev);
	for (i = 0; i < dev->data->nb_rx_queues; i++)
		for (j = 0; j < RTE_DIM(rxq_counters); j++, k++)
			xstats[k].value = read_counter(rxq_stats(dev, i), &rxq_counters[j]);
	for (i = 0; i < dev->data->nb_tx_queues; i++)
		for (j = 0; j < RTE_DIM(txq_counters); j++, k++)
			xstats[k].value = read_counter(txq_stats(dev, i), &txq_counters[j]);
	for (k = 0; k < nb_xstats(dev); k++)
		xstats[k].id = k;
	return nb_xstats(dev);
}

int
ppfrag_xstats_get_names(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names, unsigned int n)
{
	unsigned int i, j, k = 0;

	if (names == NULL || n < nb_xstats(dev))
		return nb_xstats(dev);
	for (i = 0; i < dev->data->nb_rx_queues; i++)
		for (j = 0; j < RTE_DIM(rxq_counters); j++)
			snprintf(names[k++].name, sizeof(names[0].name), "rx_q%u_%s", i,
					rxq_counters[j].name);
	for (i = 0; i < dev->data->nb_tx_queues; i++)
		for (j = 0; j < RTE_DIM(txq_counters); j++)
			snprintf(names[k++].name, sizeof(names[0].name), "tx_q%u_%s", i,
					txq_counters[j].name);
	return nb_xstats(dev);
}
