/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* The telemetry commands /ppfrag/...: what receive queues have, and what counters mean. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_telemetry.h>

#include "ppfrag_device.h"
#include "ppfrag_queue.h"

/*
 * What is told of a receive queue: X(name, value, unit, meaning). The values are those of the
 * thread that drives the queue, read while it works.
 */
#define RXQ_KEYS(X) \
	X(descriptors, q->nb, "descriptors", "of the ring") \
	X(posted, q->nb_posted, "descriptors", "that the device has to receive into") \
	X(starved, q->nb_starved, "descriptors", "that wait for a page before they are posted") \
	X(waiting, q->nb_waiting, "packets", "that wait in the ring for an mbuf") \
	X(ring_bytes, ppfrag_rxq_ring_bytes(q), "bytes", \
			"of the pool that are posted when all descriptors are") \
	X(epoch, q->epoch, "", "of the port, when the queue last looked what has changed")

/* What is told of a port: X(name, value, unit, meaning). */
#define PORT_KEYS(X) \
	X(link, link_is_up(dev), "", "1: the other end processes the rings; with iface=, is up") \
	X(port_epoch, pd->epoch, "", "counts changes that queues have to look at")

static bool
link_is_up(const struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;

	return pd->kind == PPFRAG_KIND_XSK ? dev->data->dev_link.link_status != 0 :
					     pd->link_up != 0;
}

static int
tell_error(struct rte_tel_data *d, const char *text)
{
	rte_tel_data_start_dict(d);
	return rte_tel_data_add_dict_string(d, "error", text);
}

/* A port of this driver, or NULL. */
static struct rte_eth_dev *
port_named(const char *params)
{
	struct rte_eth_dev_info info;
	unsigned long port;
	char *end;

	if (params == NULL)
		return NULL;
	port = strtoul(params, &end, 10);
	if (end == params || *end != '\0' || port >= RTE_MAX_ETHPORTS ||
			rte_eth_dev_info_get((uint16_t)port, &info) != 0 ||
			strcmp(info.driver_name, PPFRAG_DRIVER) != 0)
		return NULL;
	return &rte_eth_devices[port];
}

static int
rxq_add(struct rte_tel_data *d, const struct ppfrag_rxq *q, uint16_t i)
{
	struct rte_tel_data *dict = rte_tel_data_alloc();
	char name[16];

	if (dict == NULL)
		return -ENOMEM;
	rte_tel_data_start_dict(dict);
	rte_tel_data_add_dict_string(dict, "pool", q->mp->name);
#define ADD_KEY(name, value, unit, desc) ppfrag_tel_dict_add_u64(dict, #name, value);
	RXQ_KEYS(ADD_KEY)
#undef ADD_KEY
	snprintf(name, sizeof(name), "rx_q%u", i);
	return rte_tel_data_add_dict_container(d, name, dict, 0);
}

static int
handle_queues(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct rte_eth_dev *dev = port_named(params);
	const struct ppfrag_dev *pd;
	const struct ppfrag_rxq *q;
	uint16_t i;
	int ret = 0;

	RTE_SET_USED(cmd);
	if (dev == NULL)
		return tell_error(d, "the number of a port of net_ppfrag is missing or wrong");
	pd = dev->data->dev_private;
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_string(d, "name", dev->data->name);
#define ADD_KEY(name, value, unit, desc) ppfrag_tel_dict_add_u64(d, #name, value);
	PORT_KEYS(ADD_KEY)
#undef ADD_KEY
	for (i = 0; ret == 0 && i < dev->data->nb_rx_queues; i++) {
		q = dev->data->rx_queues[i];
		if (q != NULL)
			ret = rxq_add(d, q, i);
	}
	return ret;
}

/* Type, unit and meaning in one text, as /ppool/keys has them. */
static void
key_add(struct rte_tel_data *d, const char *type, const char *kind, const char *name,
		const char *unit, const char *desc)
{
	char key[RTE_TEL_MAX_STRING_LEN], text[RTE_TEL_MAX_STRING_LEN];

	snprintf(key, sizeof(key), "%s%s", kind, name);
	snprintf(text, sizeof(text), "%s, %s: %s", type, unit, desc);
	rte_tel_data_add_dict_string(d, key, text);
}

static int
handle_keys(const char *cmd, const char *params, struct rte_tel_data *d)
{
	RTE_SET_USED(cmd);
	RTE_SET_USED(params);
	rte_tel_data_start_dict(d);
#define ADD_RX(name, unit, desc) key_add(d, "counter", "rx_", #name, unit, desc);
#define ADD_TX(name, unit, desc) key_add(d, "counter", "tx_", #name, unit, desc);
#define ADD_BOTH(name, member, unit, desc) ADD_RX(name, unit, desc) ADD_TX(name, unit, desc)
#define ADD_PORT(name, type, unit, desc) key_add(d, #type, "port_", #name, unit, desc);
#define ADD_QUEUE(name, value, unit, desc) key_add(d, "gauge", "queue_", #name, unit, desc);
	PPFRAG_RXQ_XSTATS(ADD_RX)
	PPFRAG_TXQ_XSTATS(ADD_TX)
	PPFRAG_TOTAL_XSTATS(ADD_BOTH)
	PPFRAG_SIZE_XSTATS(ADD_RX)
	PPFRAG_SIZE_XSTATS(ADD_TX)
	PPFRAG_PORT_XSTATS(ADD_PORT)
	RXQ_KEYS(ADD_QUEUE)
#undef ADD_RX
#undef ADD_TX
#undef ADD_BOTH
#undef ADD_PORT
#undef ADD_QUEUE
#define ADD_OF_PORT(name, value, unit, desc) key_add(d, "gauge", "", #name, unit, desc);
	PORT_KEYS(ADD_OF_PORT)
#undef ADD_OF_PORT
	return 0;
}

RTE_INIT(ppfrag_telemetry_init)
{
	rte_telemetry_register_cmd("/ppfrag/queues", handle_queues,
			"Returns what receive queues have. Parameter: port number");
	rte_telemetry_register_cmd("/ppfrag/keys", handle_keys,
			"Returns type, unit, meaning of counters. Takes no parameters");
}
