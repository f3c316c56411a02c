/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>

#include <rte_cycles.h>
#include <rte_launch.h>

#include "dut.h"

/*
 * Queues that are stopped and started while the port runs: what becomes of packets, buffers and
 * rings, whatever the back end does meanwhile.
 */

#define LEN 100u
#define PAIRS 3u
#define RING 64u
#define FLYING 5u
#define POLLS 1000u
#define TIMEOUT_MS 10000u
#define ROUNDS 100u
#define WALK_STEPS 400u

static const struct dut_conf pairs = { .pairs = PAIRS, .ring = RING, .pages = 1024 };

static unsigned int
rx_vring(uint16_t queue)
{
	return 2u * queue + VHOST_RX;
}

static unsigned int
tx_vring(uint16_t queue)
{
	return 2u * queue + VHOST_TX;
}

static struct vhost_ring *
ring_of(unsigned int vring)
{
	return vhost_peer_ring(dut.peer, vring);
}

static void
assert_rx_state(uint16_t queue, uint8_t state)
{
	struct rte_eth_rxq_info info;

	assert_int_equal(rte_eth_rx_queue_info_get(dut.port, queue, &info), 0);
	assert_int_equal(info.queue_state, state);
}

static void
assert_tx_state(uint16_t queue, uint8_t state)
{
	struct rte_eth_txq_info info;

	assert_int_equal(rte_eth_tx_queue_info_get(dut.port, queue, &info), 0);
	assert_int_equal(info.queue_state, state);
}

static void
rx_stop(uint16_t queue)
{
	assert_int_equal(rte_eth_dev_rx_queue_stop(dut.port, queue), 0);
	assert_rx_state(queue, RTE_ETH_QUEUE_STATE_STOPPED);
}

static void
rx_start(uint16_t queue)
{
	assert_int_equal(rte_eth_dev_rx_queue_start(dut.port, queue), 0);
	assert_rx_state(queue, RTE_ETH_QUEUE_STATE_STARTED);
}

static void
tx_stop(uint16_t queue)
{
	assert_int_equal(rte_eth_dev_tx_queue_stop(dut.port, queue), 0);
	assert_tx_state(queue, RTE_ETH_QUEUE_STATE_STOPPED);
}

static void
tx_start(uint16_t queue)
{
	assert_int_equal(rte_eth_dev_tx_queue_start(dut.port, queue), 0);
	assert_tx_state(queue, RTE_ETH_QUEUE_STATE_STARTED);
}

/* Packets */

static bool
peer_sends(uint16_t queue, uint64_t tag)
{
	char frame[LEN];

	unit_fill(frame, LEN, tag);
	return vhost_peer_send_by(dut.peer, ring_of(rx_vring(queue)), frame, LEN);
}

static bool
receive(uint16_t queue, uint64_t tag)
{
	struct rte_mbuf *m;
	bool same;

	if (rte_eth_rx_burst(dut.port, queue, &m, 1) == 0)
		return false;
	same = m->pkt_len == LEN && unit_filled(rte_pktmbuf_mtod(m, void *), LEN, tag);
	rte_pktmbuf_free(m);
	assert_true(same);
	return true;
}

/* Frames of the back end arrive, three times around the ring. */
static void
exchange(uint16_t queue)
{
	unsigned int i;

	for (i = 0; i < 3 * RING; i++) {
		assert_true(peer_sends(queue, i));
		assert_true(receive(queue, i));
	}
	assert_int_equal(vhost_ring_pending(ring_of(rx_vring(queue))), RING);
}

static struct rte_mbuf *
make_packet(void)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(dut.mp);

	assert_non_null(m);
	assert_non_null(rte_pktmbuf_append(m, LEN));
	memset(rte_pktmbuf_mtod(m, void *), 0, LEN);
	return m;
}

static bool
send_packet(uint16_t queue)
{
	struct rte_mbuf *m = make_packet();
	bool sent = rte_eth_tx_burst(dut.port, queue, &m, 1) == 1;

	if (!sent)
		rte_pktmbuf_free(m);
	return sent;
}

/* Packets go to the back end, three times around the ring. */
static void
transmit(uint16_t queue)
{
	struct vhost_ring *r = ring_of(tx_vring(queue));
	unsigned int i;

	for (i = 0; i < 3 * RING; i++) {
		assert_true(send_packet(queue));
		assert_int_equal(vhost_ring_consume(r), 1);
	}
}

static void
change_peer(void)
{
	dut_lose_peer();
	dut_start_peer(false);
	dut_poll_until_up();
}

/* Reception */

/* What was received before the stop is gone, other queues go on, the ring stays where it is. */
static void
stop_reception(const struct dut_conf *conf)
{
	uint16_t queue = conf->pairs - 1;
	unsigned int i;

	dut_start(conf);
	for (i = 0; i < FLYING; i++)
		assert_true(peer_sends(queue, i));
	rx_stop(queue);
	assert_int_equal(rte_eth_dev_rx_queue_stop(dut.port, queue), 0);
	assert_true(vhost_peer_wait_ring(dut.peer, rx_vring(queue), false));
	assert_false(receive(queue, 0));
	assert_int_equal(rte_eth_rx_queue_count(dut.port, queue), 0);
	exchange(0);
	unit_ledger(dut.mp);
	rx_start(queue);
	assert_int_equal(rte_eth_dev_rx_queue_start(dut.port, queue), 0);
	assert_true(vhost_peer_wait_ring(dut.peer, rx_vring(queue), true));
	assert_false(receive(queue, 0));
	assert_int_equal(vhost_ring_pending(ring_of(rx_vring(queue))), RING);
	exchange(queue);
	exchange(0);
	assert_int_equal(vhost_peer_taken(dut.peer), 0);
	dut_stop();
}

static void
test_rx_stop(void **arg)
{
	struct dut_conf conf = pairs;

	RTE_SET_USED(arg);
	stop_reception(&conf);
	conf.lanes = true;
	stop_reception(&conf);
	conf.copy = true;
	stop_reception(&conf);
	conf.lanes = false;
	stop_reception(&conf);
}

/* A back end that offers to have single rings reset gets the same requests as any other. */
static void
test_ring_reset(void **arg)
{
	struct dut_conf conf = pairs;

	RTE_SET_USED(arg);
	conf.features = VHOST_F_RING_RESET;
	dut_start(&conf);
	assert_int_equal(vhost_peer_acked(dut.peer) & VHOST_F_RING_RESET, 0);
	assert_true(send_packet(1));
	tx_stop(1);
	assert_int_equal(vhost_peer_taken(dut.peer), 1);
	tx_start(1);
	assert_true(vhost_peer_wait_ring(dut.peer, tx_vring(1), true));
	assert_int_equal(vhost_ring_pending(ring_of(tx_vring(1))), 0);
	transmit(1);
	exchange(1);
	dut_stop();
	stop_reception(&conf);
}

/* A back end that is told to leave a ring alone, and writes into it all the same, harms nobody. */
static void
test_rx_stop_ignored(void **arg)
{
	struct rte_mbuf *held[RING];
	unsigned int i;

	RTE_SET_USED(arg);
	dut_start(&pairs);
	rx_stop(1);
	for (i = 0; i < RING; i++) {
		assert_true(peer_sends(0, i));
		assert_int_equal(rte_eth_rx_burst(dut.port, 0, &held[i], 1), 1);
	}
	for (i = 0; i < RING; i++)
		assert_true(peer_sends(1, RING + i));
	for (i = 0; i < RING; i++)
		assert_true(unit_filled(rte_pktmbuf_mtod(held[i], void *), LEN, i));
	rte_pktmbuf_free_bulk(held, RING);
	rx_start(1);
	exchange(1);
	dut_stop();
}

/* Without protocol features rings cannot be disabled: the device gives the ring back. */
static void
test_no_protocol(void **arg)
{
	const struct dut_conf conf = { .ring = RING, .no_protocol = true };

	RTE_SET_USED(arg);
	dut_start(&conf);
	assert_true(peer_sends(0, 1));
	rx_stop(0);
	assert_int_equal(vhost_peer_taken(dut.peer), 1);
	/* Nor is it acknowledged when it has the next ring. */
	assert_true(vhost_peer_wait(dut.peer));
	assert_int_equal(vhost_ring_pending(ring_of(VHOST_RX)), 0);
	assert_false(receive(0, 1));
	transmit(0);
	tx_stop(0);
	rx_start(0);
	assert_true(vhost_peer_wait(dut.peer));
	exchange(0);
	assert_false(send_packet(0));
	tx_start(0);
	assert_true(vhost_peer_wait(dut.peer));
	transmit(0);
	dut_stop();
}

/* Transmission */

/* What the back end has sent is free after the stop. */
static void
test_tx_stop(void **arg)
{
	unsigned int avail, i;

	RTE_SET_USED(arg);
	dut_start(&pairs);
	avail = rte_mempool_avail_count(dut.mp);
	for (i = 0; i < FLYING; i++)
		assert_true(send_packet(1));
	assert_int_equal(vhost_ring_consume(ring_of(tx_vring(1))), FLYING);
	assert_int_equal(rte_mempool_avail_count(dut.mp), avail - FLYING);
	tx_stop(1);
	assert_int_equal(rte_eth_dev_tx_queue_stop(dut.port, 1), 0);
	assert_int_equal(rte_mempool_avail_count(dut.mp), avail);
	assert_int_equal(vhost_peer_taken(dut.peer), 0);
	assert_true(vhost_peer_wait_ring(dut.peer, tx_vring(1), false));
	assert_false(send_packet(1));
	transmit(0);
	tx_start(1);
	assert_int_equal(rte_eth_dev_tx_queue_start(dut.port, 1), 0);
	assert_true(vhost_peer_wait_ring(dut.peer, tx_vring(1), true));
	transmit(1);
	assert_int_equal(vhost_peer_taken(dut.peer), 0);
	dut_stop();
}

/* What it has not sent is taken from it, and never sent. */
static void
test_tx_stop_unsent(void **arg)
{
	unsigned int avail, i;

	RTE_SET_USED(arg);
	dut_start(&pairs);
	avail = rte_mempool_avail_count(dut.mp);
	for (i = 0; i < FLYING; i++)
		assert_true(send_packet(1));
	vhost_ring_take(ring_of(tx_vring(1)));
	tx_stop(1);
	assert_int_equal(rte_mempool_avail_count(dut.mp), avail);
	assert_int_equal(vhost_peer_taken(dut.peer), 1);
	assert_int_equal(vhost_ring_pending(ring_of(tx_vring(1))), 0);
	assert_false(send_packet(1));
	transmit(0);
	exchange(1);
	tx_start(1);
	assert_int_equal(vhost_ring_pending(ring_of(tx_vring(1))), 0);
	transmit(1);
	dut_stop();
}

/* Deferred start */

static void
assert_deferred(uint16_t queue)
{
	struct rte_eth_rxq_info rx;
	struct rte_eth_txq_info tx;

	assert_rx_state(queue, RTE_ETH_QUEUE_STATE_STOPPED);
	assert_tx_state(queue, RTE_ETH_QUEUE_STATE_STOPPED);
	assert_int_equal(rte_eth_rx_queue_info_get(dut.port, queue, &rx), 0);
	assert_int_equal(rte_eth_tx_queue_info_get(dut.port, queue, &tx), 0);
	assert_int_equal(rx.conf.rx_deferred_start, 1);
	assert_int_equal(tx.conf.tx_deferred_start, 1);
	assert_true(vhost_peer_wait_ring(dut.peer, rx_vring(queue), false));
	assert_true(vhost_peer_wait_ring(dut.peer, tx_vring(queue), false));
	assert_int_equal(vhost_ring_pending(ring_of(rx_vring(queue))), 0);
	assert_false(receive(queue, 0));
	assert_false(send_packet(queue));
}

static void
defer(uint16_t queue)
{
	struct dut_conf conf = pairs;
	uint16_t i;

	conf.rx_deferred = RTE_BIT32(queue);
	conf.tx_deferred = RTE_BIT32(queue);
	dut_start(&conf);
	for (i = 0; i < PAIRS; i++)
		assert_true(i == queue || vhost_peer_wait_ring(dut.peer, tx_vring(i), true));
	assert_deferred(queue);
	exchange((queue + 1) % PAIRS);
	transmit((queue + 1) % PAIRS);
	rx_start(queue);
	tx_start(queue);
	exchange(queue);
	transmit(queue);
	assert_int_equal(vhost_peer_taken(dut.peer), 0);
	/* It is deferred at the next start, too. */
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	assert_int_equal(rte_eth_dev_start(dut.port), 0);
	assert_deferred(queue);
	rx_start(queue);
	exchange(queue);
	dut_stop();
}

static void
test_deferred(void **arg)
{
	RTE_SET_USED(arg);
	defer(0);
	defer(PAIRS - 1);
}

/* Only what is configured is enabled, and in a pair that is in use only the rings that are. */
static void
test_unused_rings(void **arg)
{
	const struct dut_conf conf = { .ring = RING, .pairs = PAIRS };
	const struct rte_eth_conf eth = { .rxmode.mtu = RTE_ETHER_MTU };
	unsigned int i;

	RTE_SET_USED(arg);
	dut_start(&conf);
	for (i = 0; i < 2 * VHOST_PAIRS; i++)
		assert_int_equal(vhost_peer_had(dut.peer, i), i < 2 * PAIRS);
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	dut_replace_peer();
	assert_int_equal(rte_eth_dev_configure(dut.port, 2, 1, &eth), 0);
	assert_int_equal(rte_eth_rx_queue_setup(dut.port, 0, RING, SOCKET_ID_ANY, NULL, dut.mp), 0);
	assert_int_equal(rte_eth_rx_queue_setup(dut.port, 1, RING, SOCKET_ID_ANY, NULL, dut.mp), 0);
	assert_int_equal(rte_eth_tx_queue_setup(dut.port, 0, RING, SOCKET_ID_ANY, NULL), 0);
	assert_int_equal(rte_eth_dev_start(dut.port), 0);
	dut_poll_until_up();
	for (i = 0; i < 2 * VHOST_PAIRS; i++)
		assert_int_equal(vhost_peer_had(dut.peer, i), i < 3);
	exchange(1);
	transmit(0);
	dut_stop();
}

/* Back ends that go */

/* A queue that is stopped when another back end comes gets its own ring when it is started. */
static void
test_reconnected(void **arg)
{
	RTE_SET_USED(arg);
	dut_start(&pairs);
	assert_true(send_packet(2));
	rx_stop(1);
	tx_stop(2);
	change_peer();
	assert_true(vhost_peer_wait_ring(dut.peer, rx_vring(1), false));
	assert_true(vhost_peer_wait_ring(dut.peer, tx_vring(2), false));
	assert_int_equal(vhost_ring_pending(ring_of(rx_vring(1))), 0);
	assert_false(receive(1, 0));
	exchange(0);
	exchange(2);
	rx_start(1);
	tx_start(2);
	exchange(1);
	transmit(2);
	dut_stop();
}

/* Queues are stopped and started while there is no back end, or while it is on its way. */
static void
test_without_peer(void **arg)
{
	unsigned int i;

	RTE_SET_USED(arg);
	dut_start(&pairs);
	for (i = 0; i < 3; i++) {
		assert_true(send_packet(1));
		dut_lose_peer();
		rx_stop(0);
		tx_stop(1);
		rx_stop(2);
		/* Before, and after the memory has come back from the old one. */
		rte_delay_us_sleep(i * 600 * 1000);
		rx_start(0);
		tx_start(1);
		dut_start_peer(false);
		dut_poll_until_up();
		assert_true(vhost_peer_wait_ring(dut.peer, rx_vring(2), false));
		rx_start(2);
		exchange(0);
		transmit(1);
		exchange(2);
	}
	unit_ledger(dut.mp);
	dut_stop();
}

/* The packets of a queue are sent when it has been waited for them for long enough. */
static int
consume_late(void *arg)
{
	rte_delay_us_sleep(3000 * 1000);
	*(uint16_t *)arg = vhost_ring_consume(ring_of(tx_vring(1)));
	return 0;
}

/* Packets in a stopped queue are for the control thread to free, and for nobody else. */
static void
test_cleanup_stopped(void **arg)
{
	unsigned int avail, i, lcore;
	uint16_t sent = 0;

	RTE_SET_USED(arg);
	unit_require(unit_workers() > 0, "two lcores");
	lcore = rte_get_next_lcore(-1, 1, 0);
	dut_start(&pairs);
	avail = rte_mempool_avail_count(dut.mp);
	for (i = 0; i < FLYING; i++)
		assert_true(send_packet(1));
	vhost_peer_mute(dut.peer);
	assert_int_equal(rte_eal_remote_launch(consume_late, &sent, lcore), 0);
	tx_stop(1);
	assert_int_equal(rte_eal_wait_lcore(lcore), 0);
	assert_int_equal(sent, FLYING);
	assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 1, 0), 0);
	assert_int_equal(rte_mempool_avail_count(dut.mp), avail - FLYING);
	dut_replace_peer();
	dut_poll_until_up();
	assert_int_equal(rte_mempool_avail_count(dut.mp), avail);
	tx_start(1);
	transmit(1);
	dut_stop();
}

/* It does not confirm: the connection is given up; what it had stays with the port for a while. */
static void
test_unconfirmed(void **arg)
{
	unsigned int avail, i;

	RTE_SET_USED(arg);
	dut_start(&pairs);
	avail = rte_mempool_avail_count(dut.mp);
	for (i = 0; i < FLYING; i++)
		assert_true(send_packet(1));
	vhost_peer_mute(dut.peer);
	tx_stop(1);
	unit_wait_link(dut.port, RTE_ETH_LINK_DOWN);
	assert_int_equal(rte_mempool_avail_count(dut.mp), avail - FLYING);
	unit_ledger(dut.mp);
	dut_replace_peer();
	dut_poll_until_up();
	assert_int_equal(rte_mempool_avail_count(dut.mp), avail);
	tx_start(1);
	transmit(1);
	exchange(0);
	dut_stop();
}

/* The link is down meanwhile: rings are enabled with it. */
static void
test_link_down(void **arg)
{
	RTE_SET_USED(arg);
	dut_start(&pairs);
	assert_int_equal(rte_eth_dev_set_link_down(dut.port), 0);
	rx_stop(0);
	rx_stop(1);
	rx_start(1);
	assert_true(vhost_peer_wait_ring(dut.peer, rx_vring(1), false));
	assert_int_equal(rte_eth_dev_set_link_up(dut.port), 0);
	assert_true(vhost_peer_wait_ring(dut.peer, rx_vring(1), true));
	assert_true(vhost_peer_wait_ring(dut.peer, rx_vring(0), false));
	exchange(1);
	rx_start(0);
	exchange(0);
	dut_stop();
}

/* Others work */

static struct {
	bool stop;
	uint64_t sent;
} worker;

static int
send_always(void *arg)
{
	struct rte_mbuf *m = NULL;

	RTE_SET_USED(arg);
	while (!__atomic_load_n(&worker.stop, __ATOMIC_ACQUIRE)) {
		if (m == NULL) {
			m = rte_pktmbuf_alloc(dut.mp);
			if (m != NULL && rte_pktmbuf_append(m, LEN) == NULL)
				return -1;
		}
		if (m != NULL && rte_eth_tx_burst(dut.port, 0, &m, 1) == 1) {
			worker.sent++;
			m = NULL;
		}
	}
	rte_pktmbuf_free(m);
	return 0;
}

/* Another lcore sends by another queue all the time: nothing of that is lost. */
static void
test_others_work(void **arg)
{
	struct vhost_ring *r;
	uint64_t arrived = 0;
	unsigned int lcore, i;

	RTE_SET_USED(arg);
	unit_require(unit_workers() > 0, "two lcores");
	lcore = rte_get_next_lcore(-1, 1, 0);
	dut_start(&pairs);
	memset(&worker, 0, sizeof(worker));
	r = ring_of(tx_vring(0));
	assert_int_equal(rte_eal_remote_launch(send_always, NULL, lcore), 0);
	for (i = 0; i < ROUNDS; i++) {
		assert_true(send_packet(1));
		if (i % 4 != 0)
			vhost_ring_consume(ring_of(tx_vring(1)));
		tx_stop(1);
		rx_stop(1);
		arrived += vhost_ring_consume(r);
		tx_start(1);
		rx_start(1);
		assert_true(peer_sends(1, i));
		assert_true(receive(1, i));
		arrived += vhost_ring_consume(r);
	}
	__atomic_store_n(&worker.stop, true, __ATOMIC_RELEASE);
	assert_int_equal(rte_eal_wait_lcore(lcore), 0);
	arrived += vhost_ring_consume(r);
	assert_true(worker.sent > ROUNDS);
	assert_int_equal(arrived, worker.sent);
	dut_stop();
}

/* Any order */

struct walk {
	uint64_t seed;
	bool rx_runs[PAIRS], tx_runs[PAIRS];
};

static void
walk_rx(struct walk *w, uint16_t queue)
{
	if (w->rx_runs[queue])
		rx_stop(queue);
	else
		rx_start(queue);
	w->rx_runs[queue] = !w->rx_runs[queue];
}

static void
walk_tx(struct walk *w, uint16_t queue)
{
	if (w->tx_runs[queue])
		tx_stop(queue);
	else
		tx_start(queue);
	w->tx_runs[queue] = !w->tx_runs[queue];
}

static void
walk_traffic(const struct walk *w, uint16_t queue)
{
	const uint64_t tag = w->seed;

	if (w->rx_runs[queue]) {
		assert_true(peer_sends(queue, tag));
		assert_true(receive(queue, tag));
	} else {
		assert_false(receive(queue, tag));
	}
	assert_int_equal(send_packet(queue), w->tx_runs[queue]);
	if (tag % 3 != 0)
		vhost_ring_consume(ring_of(tx_vring(queue)));
}

static void
walk_restart(struct walk *w)
{
	uint16_t i;

	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	unit_ledger(dut.mp);
	assert_int_equal(rte_eth_dev_start(dut.port), 0);
	for (i = 0; i < PAIRS; i++) {
		assert_rx_state(i, RTE_ETH_QUEUE_STATE_STARTED);
		assert_tx_state(i, RTE_ETH_QUEUE_STATE_STARTED);
		w->rx_runs[i] = w->tx_runs[i] = true;
	}
}

static void
walk(struct dut_conf conf)
{
	struct walk w = { .seed = unit_seed };
	unsigned int i;
	uint16_t queue;

	dut_start(&conf);
	walk_restart(&w);
	for (i = 0; i < unit_scaled(WALK_STEPS, 20 * WALK_STEPS); i++) {
		queue = (uint16_t)unit_range(&w.seed, 0, PAIRS - 1);
		switch (unit_range(&w.seed, 0, 9)) {
		case 0:
			walk_rx(&w, queue);
			break;
		case 1:
			walk_tx(&w, queue);
			break;
		case 2:
			if (i % 10 == 0)
				walk_restart(&w);
			break;
		default:
			walk_traffic(&w, queue);
		}
	}
	change_peer();
	for (queue = 0; queue < PAIRS; queue++)
		walk_traffic(&w, queue);
	dut_stop();
}

static void
test_any_order(void **arg)
{
	struct dut_conf conf = pairs;

	RTE_SET_USED(arg);
	walk(conf);
	conf.lanes = true;
	walk(conf);
	conf.copy = true;
	walk(conf);
}

/* The arena of a port that is in quarantine comes back while another one is made. */
static void
test_arena(void **arg)
{
	const struct rte_eth_conf eth = { .rxmode.mtu = RTE_ETHER_MTU };
	const struct dut_conf conf = { .ring = 1024, .pairs = VHOST_PAIRS, .pages = 8192 };
	unsigned int ms;

	RTE_SET_USED(arg);
	dut_start(&conf);
	dut_lose_peer();
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	assert_true(dut_xstat("quarantined_buffers") > 0);
	for (ms = 0; ms < TIMEOUT_MS && dut_xstat("quarantined_buffers") != 0; ms++) {
		assert_int_equal(rte_eth_dev_configure(dut.port, 1 + ms % VHOST_PAIRS,
						 1 + ms % VHOST_PAIRS, &eth),
				0);
		rte_delay_us_sleep(1000);
	}
	assert_int_equal(dut_xstat("quarantined_buffers"), 0);
	dut_start_peer(false);
	dut_start_port(&conf);
	dut_exchange(FLYING, LEN);
	dut_stop();
}

static const struct CMUnitTest tests[] = {
	DUT_TEST(test_rx_stop),
	DUT_TEST(test_ring_reset),
	DUT_TEST(test_rx_stop_ignored),
	DUT_TEST(test_no_protocol),
	DUT_TEST(test_tx_stop),
	DUT_TEST(test_tx_stop_unsent),
	DUT_TEST(test_deferred),
	DUT_TEST(test_unused_rings),
	DUT_TEST(test_reconnected),
	DUT_TEST(test_without_peer),
	DUT_TEST(test_unconfirmed),
	DUT_TEST(test_cleanup_stopped),
	DUT_TEST(test_link_down),
	DUT_TEST(test_others_work),
	DUT_TEST(test_any_order),
	DUT_TEST(test_arena),
};

UNIT_SUITE(queue_state, "queues of a net_ppfrag port that are stopped and started", tests);
