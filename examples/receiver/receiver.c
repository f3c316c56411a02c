/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * A receiver that knows nothing of ppfrag: it holds the newest packets of a port, as many as its
 * pool has memory for. ppfrag.diff moves it over.
 */

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define BURST 32
#define RESERVE 1024 /* objects of the pool that reception is left */
#define HELD_MAX (1 << 20)

static volatile sig_atomic_t stop;
static struct rte_mbuf *held[HELD_MAX];
static uint64_t newest, oldest; /* both count up */

static void
on_signal(int signum)
{
	(void)signum;
	stop = 1;
}

static struct rte_mempool *
pool_create(void)
{
	return rte_pktmbuf_pool_create("packets", 8192, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
			SOCKET_ID_ANY);
}

static int
port_start(uint16_t port, struct rte_mempool *pool)
{
	const struct rte_eth_conf conf = { 0 };
	int ret;

	ret = rte_eth_dev_configure(port, 1, 0, &conf);
	if (ret == 0)
		ret = rte_eth_rx_queue_setup(port, 0, 256, SOCKET_ID_ANY, NULL, pool);
	if (ret == 0)
		ret = rte_eth_dev_start(port);
	return ret;
}

static void
hold(struct rte_mempool *pool, struct rte_mbuf **packets, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		held[newest++ % HELD_MAX] = packets[i];
	while (oldest < newest &&
			(newest - oldest > HELD_MAX - BURST ||
					rte_mempool_avail_count(pool) < RESERVE))
		rte_pktmbuf_free(held[oldest++ % HELD_MAX]);
}

static void
report(const struct rte_mempool *pool)
{
	uint64_t bytes = (uint64_t)pool->size *
			(pool->header_size + pool->elt_size + pool->trailer_size);

	printf("%" PRIu64 " packets held, %" PRIu64 " dropped, pool of %.1f MiB\n", newest - oldest,
			oldest, bytes / 1048576.0);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	struct rte_mbuf *packets[BURST];
	struct rte_mempool *pool;
	uint64_t next = 0;
	unsigned int n;

	if (rte_eal_init(argc, argv) < 0)
		return EXIT_FAILURE;
	pool = pool_create();
	if (pool == NULL || port_start(0, pool) != 0) {
		fprintf(stderr, "no pool or no port: %s\n", rte_strerror(rte_errno));
		return EXIT_FAILURE;
	}
	signal(SIGINT, on_signal);
	while (!stop) {
		n = rte_eth_rx_burst(0, 0, packets, BURST);
		hold(pool, packets, n);
		if (rte_get_timer_cycles() >= next) {
			report(pool);
			next = rte_get_timer_cycles() + rte_get_timer_hz();
		}
	}
	while (oldest < newest)
		rte_pktmbuf_free(held[oldest++ % HELD_MAX]);
	rte_eth_dev_stop(0);
	rte_eth_dev_close(0);
	return rte_eal_cleanup() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
