/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <unistd.h>

#include <rte_cycles.h>

#include "dut.h"

/* A back end goes, another one comes: what becomes of packets, buffers, queues and events. */

#define TIMEOUT_MS 10000
#define LEN 100u
#define HELD 20u
#define FLYING 5u
#define ROUNDS 20u
#define POLLS 20000

static unsigned int lsc_events, reset_events;

static int
on_event(uint16_t port, enum rte_eth_event_type type, void *arg, void *ret)
{
	RTE_SET_USED(port);
	RTE_SET_USED(arg);
	RTE_SET_USED(ret);
	__atomic_add_fetch(type == RTE_ETH_EVENT_INTR_RESET ? &reset_events : &lsc_events, 1,
			__ATOMIC_SEQ_CST);
	return 0;
}

static void
wait_count(const unsigned int *count, unsigned int n)
{
	unsigned int ms;

	for (ms = 0; ms < TIMEOUT_MS && __atomic_load_n(count, __ATOMIC_SEQ_CST) < n; ms++)
		rte_delay_us_sleep(1000);
	assert_int_equal(*count, n);
}

static struct rte_mbuf *
make_packet(uint64_t tag)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(dut.mp);

	assert_non_null(m);
	assert_non_null(rte_pktmbuf_append(m, LEN));
	unit_fill(rte_pktmbuf_mtod(m, void *), LEN, tag);
	return m;
}

static void
send_packet(uint64_t tag)
{
	struct rte_mbuf *m = make_packet(tag);

	assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
}

/* Frames that the application keeps. */
static void
hold_packets(struct rte_mbuf **held, unsigned int n)
{
	char frame[LEN];
	unsigned int i, polls;

	for (i = 0; i < n; i++) {
		unit_fill(frame, LEN, i);
		assert_true(vhost_peer_send(dut.peer, frame, LEN));
		for (polls = 0; polls < POLLS; polls++)
			if (rte_eth_rx_burst(dut.port, 0, &held[i], 1) == 1)
				break;
		assert_in_range(polls, 0, POLLS - 1);
	}
}

static void
check_held(struct rte_mbuf **held, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		assert_int_equal(held[i]->pkt_len, LEN);
		assert_true(unit_filled(rte_pktmbuf_mtod(held[i], void *), LEN, i));
	}
}

/* Frames are on their way in both rings, and some are held, when the back end goes. */
static void
renewed(const struct dut_conf *conf)
{
	struct rte_mbuf *held[HELD];
	struct rte_eth_stats before, after;
	char frame[LEN] = { 0 };
	unsigned int i;

	dut_start(conf);
	hold_packets(held, HELD);
	for (i = 0; i < FLYING; i++) {
		send_packet(i);
		assert_true(vhost_peer_send(dut.peer, frame, LEN));
	}
	rte_eth_stats_get(dut.port, &before);
	dut_lose_peer();
	dut_start_peer(conf->no_mrg);
	dut_poll_until_up();
	dut_look_at_rings();
	check_held(held, HELD);
	assert_int_equal(vhost_ring_pending(dut.rx), dut.rx->num);
	assert_int_equal(vhost_ring_pending(dut.tx), 0);
	assert_int_equal(dut_xstat("reconnections"), 1);
	unit_ledger(dut.mp);

	dut_exchange(3 * dut.rx->num, LEN);
	for (i = 0; i < 3u * dut.tx->num; i++) {
		send_packet(i);
		assert_int_equal(dut_tx_consume(), 1);
	}
	check_held(held, HELD);
	rte_eth_stats_get(dut.port, &after);
	assert_true(after.ipackets >= before.ipackets + 3u * dut.rx->num);
	assert_int_equal(after.opackets, before.opackets + 3u * dut.tx->num);
	assert_int_equal(after.ierrors + after.oerrors, 0);
	rte_pktmbuf_free_bulk(held, HELD);
	dut_stop();
}

#define RENEWED(name, ...) \
	static void test_renewed_##name(void **arg) \
	{ \
		RTE_SET_USED(arg); \
		renewed(&(struct dut_conf){ __VA_ARGS__ }); \
	}

RENEWED(lanes, .lanes = true)
RENEWED(slots, .page_size = 16384)
RENEWED(copy, .copy = true)
RENEWED(copy_lanes, .copy = true, .lanes = true)
RENEWED(no_mrg, .no_mrg = true)
RENEWED(packed, .packed = true, .page_size = 16384)
RENEWED(packed_lanes, .packed = true, .lanes = true)
RENEWED(packed_copy, .packed = true, .copy = true)

/* Queues that nobody polls keep nobody waiting, and go on when they are polled. */
static void
test_unpolled(void **arg)
{
	unsigned int ms;

	RTE_SET_USED(arg);
	dut_start(&(struct dut_conf){ .ring = 64 });
	dut_lose_peer();
	dut_start_peer(false);
	unit_wait_link(dut.port, RTE_ETH_LINK_UP);
	dut_look_at_rings();
	assert_int_equal(vhost_ring_pending(dut.rx), 0);
	send_packet(1);
	for (ms = 0; ms < TIMEOUT_MS && vhost_ring_pending(dut.tx) != 1; ms++) {
		rte_delay_us_sleep(1000);
		dut_look_at_rings();
	}
	assert_int_equal(dut_tx_consume(), 1);
	dut_poll_queues();
	for (ms = 0; ms < TIMEOUT_MS && vhost_ring_pending(dut.rx) != dut.rx->num; ms++) {
		rte_delay_us_sleep(1000);
		dut_look_at_rings();
	}
	dut_exchange(200, LEN);
	dut_stop();
}

/* The link is reported to go down and up, each time. */
static void
test_events(void **arg)
{
	unsigned int i;

	RTE_SET_USED(arg);
	dut_start(&(struct dut_conf){ .lsc = true });
	lsc_events = 0;
	rte_eth_dev_callback_register(dut.port, RTE_ETH_EVENT_INTR_LSC, on_event, NULL);
	for (i = 0; i < 3; i++) {
		dut_lose_peer();
		wait_count(&lsc_events, 2 * i + 1);
		dut_start_peer(false);
		dut_poll_until_up();
		dut_look_at_rings();
		wait_count(&lsc_events, 2 * i + 2);
	}
	rte_eth_dev_callback_unregister(dut.port, RTE_ETH_EVENT_INTR_LSC, on_event, NULL);
	dut_stop();
}

/* A back end that cannot do what was agreed on: the application is told once, and can act. */
static void
test_reset(void **arg)
{
	const struct dut_conf conf = { .ring = 64 };

	RTE_SET_USED(arg);
	dut_start(&conf);
	reset_events = 0;
	rte_eth_dev_callback_register(dut.port, RTE_ETH_EVENT_INTR_RESET, on_event, NULL);
	dut_lose_peer();
	dut_start_peer(true);
	wait_count(&reset_events, 1);
	rte_delay_us_sleep(1500 * 1000);
	assert_int_equal(reset_events, 1);
	assert_true(unit_link_is(dut.port, RTE_ETH_LINK_DOWN));
	assert_int_equal(rte_eth_dev_reset(dut.port), 0);
	dut_start_port(&conf);
	dut_exchange(200, LEN);
	dut_lose_peer();
	dut_start_peer(false);
	dut_poll_until_up();
	dut_look_at_rings();
	dut_exchange(200, LEN);
	assert_int_equal(reset_events, 1);
	rte_eth_dev_callback_unregister(dut.port, RTE_ETH_EVENT_INTR_RESET, on_event, NULL);
	dut_stop();
}

/* The link stays as the application has set it. */
static void
test_link_set_down(void **arg)
{
	RTE_SET_USED(arg);
	dut_start(&(struct dut_conf){ .ring = 64 });
	assert_int_equal(rte_eth_dev_set_link_down(dut.port), 0);
	dut_stop_peer();
	dut_start_peer(false);
	rte_delay_us_sleep(1500 * 1000);
	dut_poll_queues();
	rte_delay_us_sleep(500 * 1000);
	assert_true(unit_link_is(dut.port, RTE_ETH_LINK_DOWN));
	assert_int_equal(rte_eth_dev_set_link_up(dut.port), 0);
	dut_poll_until_up();
	dut_look_at_rings();
	dut_exchange(200, LEN);
	dut_stop();
}

/* A port is stopped, started and closed at any moment of a reconnection. */
static void
test_any_moment(void **arg)
{
	uint64_t seed = unit_seed;
	unsigned int i;

	RTE_SET_USED(arg);
	dut_start(&(struct dut_conf){ .ring = 64 });
	for (i = 0; i < ROUNDS; i++) {
		dut_lose_peer();
		rte_delay_us_sleep(unit_range(&seed, 0, 1000 * 1000));
		dut_start_peer(false);
		rte_delay_us_sleep(unit_range(&seed, 0, 300 * 1000));
		if (i % 2 == 0)
			dut_poll_queues();
		assert_int_equal(rte_eth_dev_stop(dut.port), 0);
		unit_ledger(dut.mp);
		assert_int_equal(rte_eth_dev_start(dut.port), 0);
		dut_poll_until_up();
		dut_look_at_rings();
		dut_exchange(10, LEN);
	}
	dut_stop_peer();
	dut_start_peer(false);
	rte_delay_us_sleep(unit_range(&seed, 900 * 1000, 1200 * 1000));
	dut_stop();
}

static const struct CMUnitTest tests[] = {
	DUT_TEST(test_renewed_lanes),
	DUT_TEST(test_renewed_slots),
	DUT_TEST(test_renewed_copy),
	DUT_TEST(test_renewed_copy_lanes),
	DUT_TEST(test_renewed_no_mrg),
	DUT_TEST(test_renewed_packed),
	DUT_TEST(test_renewed_packed_lanes),
	DUT_TEST(test_renewed_packed_copy),
	DUT_TEST(test_unpolled),
	DUT_TEST(test_events),
	DUT_TEST(test_reset),
	DUT_TEST(test_link_set_down),
	DUT_TEST(test_any_moment),
};

UNIT_SUITE(reconnect, "back ends of a net_ppfrag port that go and come", tests);
