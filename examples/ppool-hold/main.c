/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * ppool-hold: receives packets from all ports and holds them, each kind of them on a budget of its
 * own. This file has options, ports and the books; hold.c is what an IDS, a capture or a TCP stack
 * starts from.
 */

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <ppool.h>
#include <ppool_account.h>
#include <ppool_create.h>
#include <ppool_mark.h>

#include "hold.h"

#define MB (UINT64_C(1) << 20)
#define PAGE_SIZE 16384u /* data room of a page */
#define RX_DESC 256u     /* each has a page posted */
#define TICKS 10         /* a second */
#define IDLE_MS 1000     /* for packets that drivers still have to free */

/* The end, before anything is held. Says what is wrong, and what to do about it. */
#define FAIL(...) rte_exit(EXIT_FAILURE, __VA_ARGS__)

static struct hold_conf conf = { .idle_ms = 5000, .depth = 64 };
static uint64_t pool_bytes; /* 0: what the budgets need */
static struct rte_mempool *pool;
static volatile sig_atomic_t stopped;

/* Options */

static void
usage(int status)
{
	printf("usage: ppool-hold [EAL options] -- [options]\n"
	       "Receive, and hold the packets of each flow until it is idle or deep.\n\n"
	       "  --budget NAME=SIZE[,...]  limits of the accounts new, tcp, udp, other\n"
	       "  --drop-new                where an account is full; else its oldest packets\n"
	       "  --keep                    copy packets into slots of their size\n"
	       "  --idle MS                 a flow ends after so long without a packet (5000)\n"
	       "  --depth N                 deliver the packets of a flow when there are N (64)\n"
	       "  --pool SIZE               memory for packets (half as much again as budgets)\n\n"
	       "SIZE is in bytes, or has a K, M or G behind it.\n");
	rte_eal_cleanup();
	exit(status);
}

static uint64_t
parse_number(const char *option, const char *text, uint64_t least)
{
	size_t digits = strspn(text, "0123456789");
	size_t suffix = strspn(text + digits, "kmgKMG");

	if (digits == 0 || digits > 9 || suffix > 1 || text[digits + suffix] != '\0' ||
			rte_str_to_size(text) < least)
		FAIL("%s '%s': give a number from %" PRIu64
		     " on, of up to 9 digits, and K, M or G behind it if need be\n",
				option, text, least);
	return rte_str_to_size(text);
}

/* A packet takes a whole page where the driver knows no frags. */
static void
parse_budgets(char *list)
{
	char *names[NB_HOLDERS + 1] = { NULL }, *value;
	int i;

	for (i = 0; i < NB_HOLDERS; i++)
		names[i] = holders[i].name;
	while (*list != '\0') {
		i = getsubopt(&list, names, &value);
		if (i < 0 || value == NULL)
			FAIL("--budget '%s': give NAME=SIZE, as tcp=64M,udp=8M; names are new, tcp, udp and other\n",
					i < 0 ? value : names[i]);
		holders[i].limit = parse_number("--budget", value, 2 * PAGE_SIZE);
	}
}

static void
parse_args(int argc, char **argv)
{
	static const struct option options[] = {
		{ "budget", required_argument, NULL, 'b' },
		{ "drop-new", no_argument, NULL, 'n' },
		{ "keep", no_argument, NULL, 'k' },
		{ "idle", required_argument, NULL, 'i' },
		{ "depth", required_argument, NULL, 'd' },
		{ "pool", required_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'b')
			parse_budgets(optarg);
		else if (c == 'n')
			conf.drop_new = true;
		else if (c == 'k')
			conf.keep = true;
		else if (c == 'i')
			conf.idle_ms = parse_number("--idle", optarg, 1);
		else if (c == 'd')
			conf.depth = parse_number("--depth", optarg, 1);
		else if (c == 'p')
			pool_bytes = parse_number("--pool", optarg, 1);
		else
			usage(c == 'h' ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	if (optind < argc)
		FAIL("unexpected argument '%s': see --help\n", argv[optind]);
}

/* Pool and ports */

/* The same for all drivers: net_ppfrag splits its mbufs, others fill them. */
static void
create_pool(void)
{
	uint64_t rings = 2ull * rte_eth_dev_count_avail() * RX_DESC * PAGE_SIZE;
	uint64_t budgets = hold_budgets();
	const struct ppool_create_conf pool_conf = {
		.name = "hold",
		.bytes = pool_bytes != 0 ? pool_bytes : rings + budgets + budgets / 2,
		.page_size = PAGE_SIZE,
		.socket_id = SOCKET_ID_ANY,
	};

	if (pool_conf.bytes < rings + budgets)
		FAIL("--pool: %" PRIu64 " MB are less than budgets and receive rings take, %" PRIu64
		     " MB: raise --pool or lower --budget\n",
				pool_conf.bytes / MB, (rings + budgets + MB - 1) / MB);
	pool = ppool_create(&pool_conf);
	if (pool == NULL)
		FAIL("no pool of %" PRIu64
		     " MB: %s; the log says what is missing, or lower --budget\n",
				pool_conf.bytes / MB, rte_strerror(rte_errno));
}

static void
start_port(uint16_t port)
{
	static const struct rte_eth_conf port_conf;
	unsigned int socket = (unsigned int)rte_eth_dev_socket_id(port);
	uint16_t rxd = RX_DESC, txd = RX_DESC;
	int ret;

	ret = rte_eth_dev_configure(port, 1, 1, &port_conf);
	if (ret == 0)
		ret = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rxd, &txd);
	if (ret == 0)
		ret = rte_eth_rx_queue_setup(port, 0, rxd, socket, NULL, pool);
	if (ret == 0)
		ret = rte_eth_tx_queue_setup(port, 0, txd, socket, NULL);
	if (ret == 0)
		ret = rte_eth_dev_start(port);
	if (ret != 0)
		FAIL("port %u does not start: %s; the log says why\n", port, rte_strerror(-ret));
	rte_eth_promiscuous_enable(port); /* where the driver knows it */
}

static void
stop_port(uint16_t port)
{
	struct rte_eth_stats stats;

	if (rte_eth_stats_get(port, &stats) == 0)
		printf("port %u: %" PRIu64 " packets received, %" PRIu64 " missed, %" PRIu64
		       " times no mbuf\n",
				port, stats.ipackets, stats.imissed, stats.rx_nombuf);
	rte_eth_dev_stop(port);
	rte_eth_dev_close(port);
}

/* The work */

static void
report_pool(void)
{
	struct ppool_stats stats;

	printf("pool: %u of %u pages free, %" PRId64 " bytes freed by compaction",
			rte_mempool_avail_count(pool), pool->size, hold_compacted());
	if (conf.keep && ppool_stats_get(pool, &stats) == 0)
		printf(", %" PRIu64 " packets in slots, %" PRIu64 " found none", stats.keep_move,
				stats.keep_fail);
	printf("\n");
}

static void
report(void)
{
	const struct holder *h;

	printf("\n%-8s%12s%12s%9s%12s%12s%16s%14s\n", "account", "used", "limit", "held",
			"delivered", "refusals", "dropped oldest", "dropped new");
	for (h = holders; h < holders + NB_HOLDERS; h++)
		printf("%-8s%12" PRIu64 "%12" PRIu64 "%9" PRIu64 "%12" PRIu64 "%12" PRIu64
		       "%16" PRIu64 "%14" PRIu64 "\n",
				h->name, ppool_account_used(h->account), h->limit, h->nb_held,
				h->delivered, h->refusals, h->dropped_oldest, h->dropped_new);
	report_pool();
	fflush(stdout);
}

static void
receive(uint16_t port, uint64_t tsc)
{
	struct rte_mbuf *m[HOLD_BURST];
	uint16_t n = rte_eth_rx_burst(port, 0, m, HOLD_BURST);

	if (n != 0)
		hold_burst(m, n, tsc);
}

static void
run(void)
{
	uint64_t hz = rte_get_tsc_hz(), tick = 0, second = rte_rdtsc() + hz, tsc;
	uint16_t port;

	while (!stopped) {
		tsc = rte_rdtsc();
		RTE_ETH_FOREACH_DEV(port)
			receive(port, tsc);
		if (tsc < tick)
			continue;
		tick = tsc + hz / TICKS;
		hold_tick(tsc);
		if (tsc >= second) {
			second += hz;
			report();
		}
	}
}

static int
missing_pages(void)
{
	if (ppool_wait_idle(pool, IDLE_MS) == 0)
		return 0;
	printf("%u of %u pages did not come back\n", rte_mempool_in_use_count(pool), pool->size);
	ppool_dump(stdout, pool);
	return 1;
}

/* Whether everything is accounted for, with packets held and without. */
static int
check_books(void)
{
	int wrong;

	report();
	ppool_account_dump(stdout);
	wrong = ppool_check(pool, stdout) != 0;
	wrong += ppool_account_check(stdout) != 0;
	wrong += hold_stop();
	wrong += ppool_check(pool, stdout) != 0;
	wrong += missing_pages();
	printf("The books %s.\n", wrong == 0 ? "balance" : "do not balance");
	return wrong == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void
on_signal(int sig)
{
	(void)sig;
	stopped = 1;
}

int
main(int argc, char **argv)
{
	uint16_t port;
	int ret;

	ret = rte_eal_init(argc, argv);
	if (ret < 0)
		FAIL("EAL does not start: %s\n", rte_strerror(rte_errno));
	parse_args(argc - ret, argv + ret);
	if (rte_eth_dev_count_avail() == 0)
		FAIL("no port: give EAL a device, as --vdev net_ppfrag0,path=SOCKET\n");
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	create_pool();
	ret = hold_start(pool, &conf);
	if (ret != 0)
		FAIL("accounts and tables: %s; lower --budget, or give EAL more memory with -m\n",
				rte_strerror(-ret));
	RTE_ETH_FOREACH_DEV(port)
		start_port(port);
	run();
	RTE_ETH_FOREACH_DEV(port)
		stop_port(port);
	ret = check_books();
	rte_mempool_free(pool);
	rte_eal_cleanup();
	return ret;
}
