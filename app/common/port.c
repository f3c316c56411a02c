/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mbuf_pool_ops.h>

#include <ppool.h>

#include "pool.h"
#include "port.h"

static volatile sig_atomic_t interrupted;

static void
on_signal(int sig)
{
	(void)sig;
	interrupted = 1;
}

void
port_catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

bool
port_interrupted(void)
{
	return interrupted != 0;
}

/*
 * What the user asks for, else what EAL was told, else the default of this DPDK; but ours where
 * the driver takes no other.
 */
static const char *
choose_ops(uint16_t id, const char *ops)
{
	if (ops != NULL)
		return ops;
	ops = rte_mbuf_best_mempool_ops();
	if (rte_eth_dev_pool_ops_supported(id, ops) < 0 &&
			rte_eth_dev_pool_ops_supported(id, PPOOL_OPS_NAME) >= 0)
		return PPOOL_OPS_NAME;
	return ops;
}

/* Rings and caches full twice over, and what is held; a page of frags holds several packets. */
static unsigned int
default_mbufs(const struct port_conf *conf, const char *ops)
{
	uint64_t rxd = conf->rxd != 0 ? conf->rxd : 1024;
	uint64_t hold = conf->hold;

	if (strcmp(ops, PPOOL_OPS_NAME) == 0)
		hold = hold * 3 / (2 * RTE_MAX(conf->mbuf_size / (conf->mtu + 256), 1u));
	return (unsigned int)(2 * (rxd + conf->cache + 64) + hold);
}

/* What of --mem the port has left for its pool. */
static size_t
pool_share(const struct port *p, const struct port_conf *conf)
{
	size_t all = (size_t)conf->mem << 20;

	return all - RTE_MIN(pool_heap_bytes() - p->heap_before, all);
}

static int
create_pool(struct port *p, const struct port_conf *conf)
{
	const char *ops = choose_ops(p->id, conf->ops);
	struct pool_conf pc = {
		.ops = ops,
		.n = conf->mbufs != 0 ? (unsigned int)conf->mbufs : default_mbufs(conf, ops),
		.cache = (unsigned int)conf->cache,
		.room = (uint32_t)conf->mbuf_size,
		.own_memory = conf->own_memory,
	};

	if (conf->mem != 0)
		p->mp = pool_create_fit("ppool_rx", &pc, pool_share(p, conf));
	else
		p->mp = pool_create("ppool_rx", &pc);
	if (p->mp != NULL)
		return 0;
	fprintf(stderr,
			"no pool with ops %s, --mbuf-size %u, --cache %u%s, %s %u: %s; "
			"check --ops, ask for less, give EAL more with -m, or reserve hugepages\n",
			ops, pc.room, pc.cache, pc.own_memory ? ", --own-memory" : "",
			conf->mem != 0 ? "--mem" : "--mbufs",
			conf->mem != 0 ? (unsigned int)conf->mem : pc.n, rte_strerror(rte_errno));
	return -1;
}

/* Bytes of a frame that the MTU does not count. */
static uint32_t
frame_overhead(const struct rte_eth_dev_info *info)
{
	if (info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu)
		return info->max_rx_pktlen - info->max_mtu;
	return RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
}

static int
port_error(const struct port *p, const struct port_conf *conf, int ret)
{
	fprintf(stderr, "port %u (%s) does not start with --mtu %u, --rxd %u: %s\n", p->id,
			p->driver, (unsigned int)conf->mtu, (unsigned int)conf->rxd,
			rte_strerror(-ret));
	return -1;
}

static int
configure(struct port *p, const struct port_conf *conf)
{
	struct rte_eth_conf eth = { .rxmode = { .mtu = (uint32_t)conf->mtu },
		.intr_conf = { .rxq = conf->interrupts } };
	struct rte_eth_dev_info info;
	int ret;

	ret = rte_eth_dev_info_get(p->id, &info);
	if (ret != 0)
		return port_error(p, conf, ret);
	/* A driver may refuse a frame larger than an mbuf without it. */
	if (conf->mtu + frame_overhead(&info) > conf->mbuf_size - RTE_PKTMBUF_HEADROOM)
		eth.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	p->nb_txq = RTE_MIN(info.max_tx_queues, 1);
	ret = rte_eth_dev_configure(p->id, 1, p->nb_txq, &eth);
	return ret == 0 ? 0 : port_error(p, conf, ret);
}

static int
setup_queues(const struct port *p, const struct port_conf *conf)
{
	uint16_t rxd = (uint16_t)conf->rxd, txd = 0;
	int ret = 0;

	if (rxd != 0)
		ret = rte_eth_dev_adjust_nb_rx_tx_desc(p->id, &rxd, &txd);
	if (ret == 0)
		ret = rte_eth_rx_queue_setup(p->id, 0, rxd, rte_eth_dev_socket_id(p->id), NULL,
				p->mp);
	if (ret == 0 && p->nb_txq != 0)
		ret = rte_eth_tx_queue_setup(p->id, 0, 0, rte_eth_dev_socket_id(p->id), NULL);
	return ret;
}

static int
start(struct port *p, const struct port_conf *conf)
{
	int ret = setup_queues(p, conf);

	if (ret == 0)
		ret = rte_eth_dev_start(p->id);
	if (ret != 0)
		return port_error(p, conf, ret);
	ret = rte_eth_promiscuous_enable(p->id);
	if (ret != 0 && ret != -ENOTSUP)
		fprintf(stderr, "port %u (%s) does not become promiscuous: %s\n", p->id, p->driver,
				rte_strerror(-ret));
	return 0;
}

/* Drivers take memory when they are configured; the pool gets what --mem leaves it. */
int
port_open(struct port *p, const struct port_conf *conf)
{
	struct rte_eth_dev_info info;

	*p = (struct port){ .id = (uint16_t)conf->port };
	if (!rte_eth_dev_is_valid_port(p->id) || rte_eth_dev_info_get(p->id, &info) != 0) {
		fprintf(stderr,
				"there is no port %u: give EAL a device, e.g. --vdev"
				" net_ppfrag0,path=SOCK\n",
				p->id);
		return -1;
	}
	p->driver = info.driver_name;
	p->heap_before = pool_heap_bytes();
	if (configure(p, conf) == 0 && create_pool(p, conf) == 0 && start(p, conf) == 0)
		return 0;
	rte_eth_dev_close(p->id);
	rte_mempool_free(p->mp);
	return -1;
}

size_t
port_memory_bytes(const struct port *p)
{
	return pool_heap_bytes() - p->heap_before + pool_own_bytes(p->mp);
}

int
port_close(struct port *p)
{
	int ret;

	ret = rte_eth_dev_stop(p->id);
	if (ret == 0)
		ret = rte_eth_dev_close(p->id);
	if (ret != 0)
		fprintf(stderr, "port %u does not close: %s\n", p->id, rte_strerror(-ret));
	if (pool_close(p->mp, "port") != 0)
		ret = -1;
	return ret == 0 ? 0 : -1;
}

int
port_run(const struct port_conf *conf, const char *json_path,
		int (*run)(struct port *p, struct json *j))
{
	struct json *j;
	struct port p;
	int ret;

	if (json_open(&j, json_path) != 0)
		return EXIT_FAILURE;
	port_catch_signals();
	ret = port_open(&p, conf);
	if (ret == 0) {
		ret = run(&p, j);
		if (port_close(&p) != 0)
			ret = -1;
		json_bool(j, "ok", ret == 0);
	}
	if (json_close(j) != 0)
		ret = -1;
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

void
port_json(const struct port *p, const struct port_conf *conf, struct json *j)
{
	json_string(j, "driver", p->driver);
	json_string(j, "ops", pool_ops_name(p->mp));
	json_uint(j, "mbuf_size", conf->mbuf_size);
	json_uint(j, "mbufs", p->mp->size);
	json_bool(j, "own_memory", conf->own_memory);
	json_uint(j, "cache", conf->cache);
	json_uint(j, "mtu", conf->mtu);
	json_uint(j, "rxd", conf->rxd);
}
