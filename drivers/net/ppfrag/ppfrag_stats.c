/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdio.h>
#include <string.h>

#include "ppfrag_device.h"
#include "ppfrag_queue.h"

struct counter {
	const char *name;
	size_t offset;
};

#define RXQ_COUNTER(name, unit, desc) { #name, offsetof(struct ppfrag_rxq_stats, name) },
#define TXQ_COUNTER(name, unit, desc) { #name, offsetof(struct ppfrag_txq_stats, name) },
#define RXQ_TOTAL(name, member, unit, desc) { #name, offsetof(struct ppfrag_rxq_stats, member) },
#define TXQ_TOTAL(name, member, unit, desc) { #name, offsetof(struct ppfrag_txq_stats, member) },
#define RXQ_SIZE(name, unit, desc) { #name, offsetof(struct ppfrag_rxq_stats, sizes.name) },
#define TXQ_SIZE(name, unit, desc) { #name, offsetof(struct ppfrag_txq_stats, sizes.name) },
#define PORT_COUNTER(name, type, unit, desc) { #name, offsetof(struct ppfrag_dev, name) },

/* Those of sizes come last: most ports do not count them, and do not have them. */
#define NB_SIZES (sizeof(struct ppfrag_size_stats) / sizeof(uint64_t))

static const struct counter rxq_counters[] = { PPFRAG_RXQ_XSTATS(RXQ_COUNTER)
			PPFRAG_TOTAL_XSTATS(RXQ_TOTAL) PPFRAG_SIZE_XSTATS(RXQ_SIZE) };
static const struct counter txq_counters[] = { PPFRAG_TXQ_XSTATS(TXQ_COUNTER)
			PPFRAG_TOTAL_XSTATS(TXQ_TOTAL) PPFRAG_SIZE_XSTATS(TXQ_SIZE) };
static const struct counter port_counters[] = { PPFRAG_PORT_XSTATS(PORT_COUNTER) };

/* Where the counters of a queue are, and what they were at the latest reset. */
struct counters {
	const uint64_t *now;
	uint64_t *base;
};

/*
 * Counters belong to the port. While a queue is not set up they are kept there, so that totals do
 * not decrease when it is released, set up again, or configured away.
 */

static struct counters
rxq_counters_of(const struct rte_eth_dev *dev, uint16_t i)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_rxq *q = i < dev->data->nb_rx_queues ? dev->data->rx_queues[i] : NULL;

	if (q == NULL)
		return (struct counters){ &pd->kept[i].rx.packets, &pd->kept[i].rx_base.packets };
	return (struct counters){ &q->stats.packets, &q->base.packets };
}

static struct counters
txq_counters_of(const struct rte_eth_dev *dev, uint16_t i)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_txq *q = i < dev->data->nb_tx_queues ? dev->data->tx_queues[i] : NULL;

	if (q == NULL)
		return (struct counters){ &pd->kept[i].tx.packets, &pd->kept[i].tx_base.packets };
	return (struct counters){ &q->stats.packets, &q->base.packets };
}

/* The base first: it is no more than a counter that is read later, also during a reset. */
static uint64_t
counter_read(struct counters c, size_t offset)
{
	size_t i = offset / sizeof(uint64_t);
	uint64_t base;

	base = __atomic_load_n(&c.base[i], __ATOMIC_ACQUIRE);
	return __atomic_load_n(&c.now[i], __ATOMIC_RELAXED) - base;
}

/* What a queue with these counters has counted since the latest reset. */
#define RXQ_READ(c, name) counter_read(c, offsetof(struct ppfrag_rxq_stats, name))
#define TXQ_READ(c, name) counter_read(c, offsetof(struct ppfrag_txq_stats, name))

static void
rxq_add(struct rte_eth_stats *stats, struct ppfrag_eth_queue_stats *queues, struct counters c,
		uint16_t i)
{
	uint64_t packets = RXQ_READ(c, packets), bytes = RXQ_READ(c, bytes);
	uint64_t errors = RXQ_READ(c, oversize_packets) + RXQ_READ(c, short_packets) +
			RXQ_READ(c, bad_used);

	stats->ipackets += packets;
	stats->ibytes += bytes;
	stats->ierrors += errors;
	stats->rx_nombuf += RXQ_READ(c, no_header) + RXQ_READ(c, no_page);
	if (queues != NULL && i < RTE_ETHDEV_QUEUE_STAT_CNTRS) {
		queues->q_ipackets[i] = packets;
		queues->q_ibytes[i] = bytes;
		queues->q_errors[i] = errors;
	}
}

static void
txq_add(struct rte_eth_stats *stats, struct ppfrag_eth_queue_stats *queues, struct counters c,
		uint16_t i)
{
	uint64_t packets = TXQ_READ(c, packets), bytes = TXQ_READ(c, bytes);

	stats->opackets += packets;
	stats->obytes += bytes;
	stats->oerrors += TXQ_READ(c, dropped_packets) + TXQ_READ(c, bad_offload_packets) +
			TXQ_READ(c, bad_used);
	if (queues != NULL && i < RTE_ETHDEV_QUEUE_STAT_CNTRS) {
		queues->q_opackets[i] = packets;
		queues->q_obytes[i] = bytes;
	}
}

static void
update(struct rte_eth_dev *dev)
{
	if (ppfrag_device(dev)->update_stats != NULL)
		ppfrag_device(dev)->update_stats(dev);
}

static int
get_all(struct rte_eth_dev *dev, struct rte_eth_stats *stats, struct ppfrag_eth_queue_stats *queues)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;

	update(dev);
	stats->imissed = pd->missed;
	for (i = 0; i < pd->max_pairs; i++) {
		rxq_add(stats, queues, rxq_counters_of(dev, i), i);
		txq_add(stats, queues, txq_counters_of(dev, i), i);
	}
	return 0;
}

int
ppfrag_stats_get(struct rte_eth_dev *dev, PPFRAG_ETH_STATS_PARAMS)
{
	return get_all(dev, PPFRAG_ETH_STATS_ARGS);
}

static void
counters_reset(struct counters c, size_t bytes)
{
	size_t i;

	for (i = 0; i < bytes / sizeof(c.now[0]); i++)
		__atomic_store_n(&c.base[i], __atomic_load_n(&c.now[i], __ATOMIC_RELAXED),
				__ATOMIC_RELEASE);
}

int
ppfrag_stats_reset(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	uint16_t i;

	for (i = 0; i < pd->max_pairs; i++) {
		counters_reset(rxq_counters_of(dev, i), sizeof(struct ppfrag_rxq_stats));
		counters_reset(txq_counters_of(dev, i), sizeof(struct ppfrag_txq_stats));
	}
	if (ppfrag_device(dev)->reset_stats != NULL)
		ppfrag_device(dev)->reset_stats(dev);
	pd->quarantines = 0;
	pd->reconnections = 0;
	return 0;
}

/* Counters of a queue that a port has. */

static unsigned int
nb_rxq_counters(const struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;

	return RTE_DIM(rxq_counters) - (pd->size_stats ? 0 : NB_SIZES);
}

static unsigned int
nb_txq_counters(const struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;

	return RTE_DIM(txq_counters) - (pd->size_stats ? 0 : NB_SIZES);
}

static unsigned int
nb_xstats(const struct rte_eth_dev *dev)
{
	return RTE_DIM(port_counters) + dev->data->nb_rx_queues * nb_rxq_counters(dev) +
			dev->data->nb_tx_queues * nb_txq_counters(dev);
}

static uint64_t
port_counter_read(const struct rte_eth_dev *dev, const struct counter *c)
{
	return *(const uint64_t *)RTE_PTR_ADD(dev->data->dev_private, c->offset);
}

int
ppfrag_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int n)
{
	unsigned int i, j, k = 0;

	if (xstats == NULL || n < nb_xstats(dev))
		return nb_xstats(dev);
	update(dev);
	for (i = 0; i < dev->data->nb_rx_queues; i++)
		for (j = 0; j < nb_rxq_counters(dev); j++, k++)
			xstats[k].value = counter_read(rxq_counters_of(dev, i),
					rxq_counters[j].offset);
	for (i = 0; i < dev->data->nb_tx_queues; i++)
		for (j = 0; j < nb_txq_counters(dev); j++, k++)
			xstats[k].value = counter_read(txq_counters_of(dev, i),
					txq_counters[j].offset);
	for (j = 0; j < RTE_DIM(port_counters); j++, k++)
		xstats[k].value = port_counter_read(dev, &port_counters[j]);
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
		for (j = 0; j < nb_rxq_counters(dev); j++)
			snprintf(names[k++].name, sizeof(names[0].name), "rx_q%u_%s", i,
					rxq_counters[j].name);
	for (i = 0; i < dev->data->nb_tx_queues; i++)
		for (j = 0; j < nb_txq_counters(dev); j++)
			snprintf(names[k++].name, sizeof(names[0].name), "tx_q%u_%s", i,
					txq_counters[j].name);
	for (j = 0; j < RTE_DIM(port_counters); j++)
		snprintf(names[k++].name, sizeof(names[0].name), "%s", port_counters[j].name);
	return nb_xstats(dev);
}
