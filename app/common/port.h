/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PORT_H_
#define _PORT_H_

/* One port of any driver, with one receive queue fed by one pool of any ops. */

#include <stddef.h>
#include <stdint.h>

#include <rte_ethdev.h>
#include <rte_mempool.h>

#include <ppool_create.h>

#include "app.h"
#include "json.h"

struct port_conf {
	uint64_t port;
	uint64_t mbuf_size; /* as testpmd's option of that name: headroom included */
	uint64_t mbufs;     /* 0: what hold and the rings need */
	uint64_t mem;       /* MB; 0: mbufs counts */
	uint64_t cache;
	uint64_t mtu;
	uint64_t rxd; /* 0: what the driver prefers */
	const char *ops;
	bool own_memory;
	bool interrupts; /* ask the port for receive interrupts */
	uint64_t hold;   /* packets that the application will hold */
};

#define PORT_CONF_DEFAULT \
	{ \
		.mbuf_size = RTE_MBUF_DEFAULT_BUF_SIZE, .cache = 256, .mtu = RTE_ETHER_MTU, \
	}

/* The options of a command that fill a struct port_conf. */
#define PORT_OPTS(c) \
	{ "port", OPT_UINT, &(c)->port, 0, RTE_MAX_ETHPORTS - 1, "N", "port to receive on" }, \
			{ "mbuf-size", OPT_UINT, &(c)->mbuf_size, RTE_PKTMBUF_HEADROOM + 64, \
				PPOOL_PAGE_SIZE_MAX, "BYTES", \
				"data room of an mbuf, headroom included" }, \
			{ "mbufs", OPT_UINT, &(c)->mbufs, 0, INT32_MAX, "N", \
				"mbufs (pages) of the pool, 0: as many as it needs" }, \
			{ "mem", OPT_UINT, &(c)->mem, 0, 1 << 20, "MB", \
				"as many mbufs as fill so much hugepage memory, with the port's" }, \
			{ "ops", OPT_STR, &(c)->ops, 0, 0, "NAME", \
				"mempool ops, e.g. ring_mp_mc, stack, ppfrag" }, \
			{ "own-memory", OPT_FLAG, &(c)->own_memory, 0, 0, NULL, \
				"pages in a memfd, all that a vhost-user peer gets to see" }, \
			{ "cache", OPT_UINT, &(c)->cache, 0, RTE_MEMPOOL_CACHE_MAX_SIZE, "N", \
				"objects in the mempool cache of an lcore" }, \
			{ "mtu", OPT_UINT, &(c)->mtu, RTE_ETHER_MIN_MTU, UINT16_MAX, "BYTES", \
				"MTU of the port" }, \
	{ \
		"rxd", OPT_UINT, &(c)->rxd, 0, UINT16_MAX, "N", \
				"receive descriptors, 0: what the driver prefers" \
	}

struct port {
	uint16_t id;
	const char *driver;
	struct rte_mempool *mp;
	uint16_t nb_txq;
	size_t heap_before; /* bytes, before the port was configured */
};

/** Configure the port, create its pool, start it. @return 0, or -1 with a message printed. */
int port_open(struct port *p, const struct port_conf *conf);

/** Hugepage bytes taken since before the port was configured: pool, tables, queues, headers. */
size_t port_memory_bytes(const struct port *p);

/**
 * Stop and close the port and free the pool. All mbufs must have been freed.
 *
 * @return
 *   0, or -1 with a message where mbufs are missing or the ledger of a ppfrag pool is not balanced.
 */
int port_close(struct port *p);

/**
 * Run a command with a port: open it, call run, close it, and tell the result in a JSON document.
 *
 * @param json_path
 *   NULL where no document is wanted.
 * @param run
 *   Returns 0, or -1 with a message printed.
 * @return
 *   EXIT_SUCCESS or EXIT_FAILURE.
 */
int port_run(const struct port_conf *conf, const char *json_path,
		int (*run)(struct port *p, struct json *j));

/** Driver, pool and options, as fields of the open JSON object. */
void port_json(const struct port *p, const struct port_conf *conf, struct json *j);

/** Make SIGINT and SIGTERM end a command early. */
void port_catch_signals(void);

/** Whether such a signal arrived. */
bool port_interrupted(void);

#endif /* _PORT_H_ */
