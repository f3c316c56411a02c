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
static const struct counter port_counters[] = {
	{ "quarantines", offsetof(struct ppfrag_dev, quarantines) },
	{ "quarantined_buffers", offsetof(struct ppfrag_dev, quarantined_buffers) },
};

static void
add_rxq(struct rte_eth_stats *stats, struct ppool_queue_stats *queues,
		const struct ppfrag_rxq_stats *s, uint16_t i)
{
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
add_txq(struct rte_eth_stats *stats, struct ppool_queue_stats *queues,
		const struct ppfrag_txq_stats *s, uint16_t i)
{
	stats->opackets += s->packets;
	stats->obytes += s->bytes;
	stats->oerrors += s->dropped_packets + s->bad_used;
	if (queues != NULL && i < RTE_ETHDEV_QUEUE_STAT_CNTRS) {
		queues->q_opackets[i] = s->packets;
		queues->q_obytes[i] = s->bytes;
	}
}

/*
 * Counters belong to the port. While a queue is not set up they are kept there, so that totals do
 * not decrease when it is released, set up again, or configured away.
 */
static struct ppfrag_rxq_stats *
rxq_stats(const struct rte_eth_dev *dev, uint16_t i)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_rxq *q = i < dev->data->nb_rx_queues ? dev->data->rx_queues[i] : NULL;

	return q == NULL ? &pd->kept[i].rx : &q->stats;
}

static struct ppfrag_txq_stats *
txq_stats(const struct rte_eth_dev *dev, uint16_t i)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_txq *q = i < dev->data->nb_tx_queues ? dev->data->tx_queues[i] : NULL;

	return q == NULL ? &pd->kept[i].tx : &q->stats;
}

static int
get_all(struct rte_eth_dev *dev, struct rte_eth_stats *stats, struct ppool_queue_stats *queues)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;

	for (i = 0; i < pd->max_pairs; i++) {
		add_rxq(stats, queues, rxq_stats(dev, i), i);
		add_txq(stats, queues, txq_stats(dev, i), i);
	}
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
	struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;

	for (i = 0; i < pd->max_pairs; i++) {
		memset(rxq_stats(dev, i), 0, sizeof(struct ppfrag_rxq_stats));
		memset(txq_stats(dev, i), 0, sizeof(struct ppfrag_txq_stats));
	}
	pd->quarantines = 0;
	return 0;
}

static unsigned int
nb_xstats(const struct rte_eth_dev *dev)
{
	return RTE_DIM(port_counters) + dev->data->nb_rx_queues * RTE_DIM(rxq_counters) +
			dev->data->nb_tx_queues * RTE_DIM(txq_counters);
}

static uint64_t
read_counter(const void *stats, const struct counter *c)
{
	return *(const uint64_t *)RTE_PTR_ADD(stats, c->offset);
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
	for (j = 0; j < RTE_DIM(port_counters); j++, k++)
		xstats[k].value = read_counter(dev->data->dev_private, &port_counters[j]);
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
	for (j = 0; j < RTE_DIM(port_counters); j++)
		snprintf(names[k++].name, sizeof(names[0].name), "%s", port_counters[j].name);
	return nb_xstats(dev);
}
