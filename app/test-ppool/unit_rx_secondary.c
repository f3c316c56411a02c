/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdlib.h>
#include <unistd.h>

#include <rte_cycles.h>

#include "commands.h"
#include "dut.h"
#include "unit_child.h"

/*
 * A secondary process drives the queues of a net_ppfrag port: it receives what a back end sends and
 * sends it back, or holds some of it and is gone. The port, its rings and its pool are as good as
 * before then.
 */

#define FRAMES 1000u
#define HELD_ONE_IN 5u
#define HELD (FRAMES / HELD_ONE_IN)
#define FRAME_MAX 1500u
#define TIMEOUT_S 30

static uint32_t
frame_len(unsigned int i)
{
	/* Some are copied into slots of their size, others handed over. */
	return i % 3 == 0 ? 60 + i % 100 : FRAME_MAX - i % 500;
}

/* The secondary's side */

static bool
is_frame(const struct rte_mbuf *m, unsigned int i)
{
	char want[FRAME_MAX];

	unit_fill(want, frame_len(i), i);
	return m->pkt_len == frame_len(i) && m->nb_segs == 1 &&
			memcmp(rte_pktmbuf_mtod(m, const void *), want, m->pkt_len) == 0;
}

/* Send a frame back, or hold it. Returns whether that went well. */
static bool
frame_use(uint16_t port, struct rte_mbuf *m, unsigned int i, bool hold)
{
	uint64_t end = rte_rdtsc() + TIMEOUT_S * rte_get_tsc_hz();

	if (hold) {
		if (i % HELD_ONE_IN != 0)
			rte_pktmbuf_free(m);
		return true;
	}
	while (rte_eth_tx_burst(port, 0, &m, 1) == 0)
		if (rte_rdtsc() > end)
			return false;
	return true;
}

static int
secondary_run(char **args)
{
	uint64_t end = rte_rdtsc() + TIMEOUT_S * rte_get_tsc_hz();
	bool hold = args[0] != NULL && strcmp(args[0], "hold") == 0;
	struct rte_mbuf *m;
	uint16_t port;
	unsigned int i;

	if (args[0] == NULL || rte_eth_dev_get_port_by_name(DUT_NAME, &port) != 0) {
		fprintf(stderr, "unit-secondary-rx is started by 'unit rx_secondary'\n");
		return EXIT_FAILURE;
	}
	for (i = 0; i < FRAMES && rte_rdtsc() < end;) {
		if (rte_eth_rx_burst(port, 0, &m, 1) == 0)
			continue;
		if (!is_frame(m, i) || !frame_use(port, m, i, hold))
			break;
		i++;
	}
	if (i < FRAMES)
		fprintf(stderr, "secondary: frame %u of %u is another one, or missing\n", i,
				FRAMES);
	/* As if it were killed. */
	if (hold)
		_exit(i == FRAMES ? EXIT_SUCCESS : EXIT_FAILURE);
	return i == FRAMES ? EXIT_SUCCESS : EXIT_FAILURE;
}

static const struct opt secondary_opts[] = { { .name = NULL } };

const struct command cmd_unit_secondary_rx = {
	.name = "unit-secondary-rx",
	.synopsis = "hold|echo",
	.help = "the secondary process of the unit suite 'rx_secondary'",
	.opts = secondary_opts,
	.max_args = 1,
	.hidden = true,
	.run = secondary_run,
};

/* The primary's side */

/* Send all frames to a secondary process, and take what it sends back. Returns how many came. */
static unsigned int
serve(const char *what)
{
	const char * const argv[] = { cmd_unit_secondary_rx.name, what, NULL };
	uint64_t end = rte_rdtsc() + TIMEOUT_S * rte_get_tsc_hz();
	unsigned int i, back = 0;
	char frame[FRAME_MAX];
	pid_t child;

	child = unit_child_start(UNIT_SELF, unit_free_lcore(), argv);
	for (i = 0; i < FRAMES;) {
		unit_fill(frame, frame_len(i), i);
		if (vhost_peer_send(dut.peer, frame, frame_len(i)))
			i++;
		back += dut_tx_consume();
		if (rte_rdtsc() > end)
			fail_msg("frame %u of %u finds no buffer", i, FRAMES);
	}
	assert_int_equal(unit_child_wait(child), 0);
	return back + dut_tx_consume();
}

static void
check_port(void)
{
	dut_exchange(200, 60);
	dut_exchange(200, FRAME_MAX);
	dut_restart();
	dut_exchange(200, FRAME_MAX);
}

static void
start(const struct dut_conf *conf)
{
	unit_require_secondary();
	/* In memory that a secondary process has, too, and of few enough hugepages. */
	dut_start_pool(conf,
			unit_pool(conf->page_size == 2176 ? 1024 : 320, conf->page_size, 0, 0));
	assert_false(dut_copies());
}

/* What goes back is in the ring until the primary cleans up. */
static void
test_echo(void **state)
{
	(void)state;
	start(*state);
	assert_int_equal(serve("echo"), FRAMES);
	rte_eth_tx_done_cleanup(dut.port, 0, 0);
	assert_int_equal(dut_xstat("rx_q0_packets"), FRAMES);
	assert_int_equal(dut_xstat("tx_q0_packets"), FRAMES);
	check_port();
	dut_stop();
}

/* What it held is taken back; what it posted stays with the ring. */
static void
test_gone(void **state)
{
	const struct dut_conf *conf = *state;
	struct ppool_recovered r;

	/* EAL's own, of a process that ends without a word. */
	unit_forgive_heap();
	start(conf);
	serve("hold");
	memset(&r, 0, sizeof(r));
	unit_recover_dead(dut.mp, &r);
	assert_int_equal(conf->lanes ? r.frags : r.slots, HELD);
	dut_exchange(200, FRAME_MAX);
	check_port();
	dut_stop();
}

static struct dut_conf slots = { .page_size = 2176 };
static struct dut_conf slots_large = { .page_size = 16384 };
static struct dut_conf dense = { .page_size = 16384, .density = true };
static struct dut_conf lanes = { .page_size = 2176, .lanes = true };
static struct dut_conf lanes_large = { .page_size = 16384, .lanes = true };

#define RX_TEST(f, conf) \
	{ \
#f "_" #conf, f, dut_setup, dut_teardown, &(conf) \
	}

static const struct CMUnitTest tests[] = {
	RX_TEST(test_echo, slots),
	RX_TEST(test_echo, slots_large),
	RX_TEST(test_echo, dense),
	RX_TEST(test_echo, lanes),
	RX_TEST(test_echo, lanes_large),
	RX_TEST(test_gone, slots),
	RX_TEST(test_gone, slots_large),
	RX_TEST(test_gone, dense),
	RX_TEST(test_gone, lanes),
	RX_TEST(test_gone, lanes_large),
};

UNIT_SUITE(rx_secondary, "a secondary process that drives the queues of net_ppfrag", tests);
