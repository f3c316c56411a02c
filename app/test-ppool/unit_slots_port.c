/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * A correct back end sends frames of random lengths to an application that holds packets at random,
 * up to all there are, frees some in any order, changes the MTU, restarts the port. No frame is
 * lost, changed or delivered twice, and what waits for memory arrives once there is some.
 */

#include <stdlib.h>
#include <unistd.h>

#include <rte_dev.h>

#include "dut.h"

#define TURNS 3000u
#define HELD_MAX 16384u
#define FRAME_LONGEST 9018u

struct port_test {
	uint64_t rng;
	uint64_t sent, received;
	struct rte_mbuf *held[HELD_MAX];
	uint64_t tag[HELD_MAX];
	unsigned int n;
	uint32_t longest;
	char frame[FRAME_LONGEST];
};

/* A frame says its length, too: by its number. */
static uint32_t
frame_len(const struct port_test *t, uint64_t i)
{
	uint64_t x = i * 2654435761u;
	uint32_t kind = (uint32_t)(x >> 20) % 4;

	/* The shortest ones, those about half the longest, any. */
	if (kind == 0)
		return 14 + (uint32_t)(x >> 30) % RTE_MIN(130u, t->longest - 13);
	if (kind == 1)
		return t->longest / 2 - 20 + (uint32_t)(x >> 30) % 40;
	return 14 + (uint32_t)(x >> 24) % (t->longest - 13);
}

static bool
is_frame(const struct rte_mbuf *m, uint64_t i, uint32_t len)
{
	uint32_t at = 0;
	char *want;
	bool same = m->pkt_len == len;

	want = malloc(len);
	assert_non_null(want);
	unit_fill(want, len, i);
	for (; same && m != NULL; at += m->data_len, m = m->next)
		same = at + m->data_len <= len &&
				memcmp(rte_pktmbuf_mtod(m, void *), want + at, m->data_len) == 0;
	free(want);
	return same && at == len;
}

static void
frames_send(struct port_test *t, unsigned int n)
{
	uint32_t len;

	for (; n > 0; n--, t->sent++) {
		len = frame_len(t, t->sent);
		unit_fill(t->frame, len, t->sent);
		if (!vhost_peer_send(dut.peer, t->frame, len))
			return;
	}
}

static unsigned int
frames_receive(struct port_test *t, unsigned int max)
{
	struct rte_mbuf *m[64];
	uint16_t i, n;

	max = RTE_MIN(max, RTE_MIN(HELD_MAX - t->n, (unsigned int)RTE_DIM(m)));
	n = rte_eth_rx_burst(dut.port, 0, m, (uint16_t)max);
	for (i = 0; i < n; i++) {
		if (rte_mbuf_check(m[i], 1, &(const char *){ NULL }) != 0 ||
				!is_frame(m[i], t->received, frame_len(t, t->received)))
			fail_msg("frame %u is not as it was sent", (unsigned int)t->received);
		/* The application may write to all of what it got. */
		unit_fill_data(m[i], t->received);
		t->held[t->n] = m[i];
		t->tag[t->n++] = t->received++;
	}
	return n;
}

static void
frames_free(struct port_test *t, unsigned int n)
{
	unsigned int i;

	for (; n > 0 && t->n > 0; n--) {
		i = unit_range(&t->rng, 0, t->n - 1);
		if (!unit_filled_data(t->held[i], t->tag[i]))
			fail_msg("frame %u was overwritten", (unsigned int)t->tag[i]);
		rte_pktmbuf_free(t->held[i]);
		t->held[i] = t->held[--t->n];
		t->tag[i] = t->tag[t->n];
	}
}

/* All that was sent arrives where enough is freed. */
static void
frames_settle(struct port_test *t)
{
	unsigned int i;

	for (i = 0; i < 100000 && t->received < t->sent; i++)
		if (frames_receive(t, 32) == 0)
			frames_free(t, 1 + t->n / 16);
	if (t->received < t->sent)
		fail_msg("%u frames wait, though %u packets are held",
				(unsigned int)(t->sent - t->received), t->n);
}

/* Hold until nothing arrives any more: what the driver has left is not lost. */
static void
hold_all(struct port_test *t)
{
	unsigned int idle = 0;

	while (idle < 3 && t->n < HELD_MAX) {
		frames_send(t, 64);
		idle = frames_receive(t, 64) == 0 ? idle + 1 : 0;
	}
	unit_ledger(dut.mp);
}

static void
restart(struct port_test *t, const struct dut_conf *conf)
{
	const uint16_t mtu[] = { 1500, conf->mtu != 0 ? conf->mtu : 1500, 68, 600, 1400 };
	uint16_t to = mtu[unit_range(&t->rng, 0, RTE_DIM(mtu) - 1)];

	frames_settle(t);
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	assert_int_equal(rte_eth_dev_set_mtu(dut.port, to), 0);
	while (rte_eth_dev_start(dut.port) != 0) {
		if (t->n == 0)
			fail_msg("the port does not start with all of its pool free");
		frames_free(t, 16);
	}
	dut_look_at_rings();
	t->longest = to + 18u;
	t->received = t->sent;
}

static void
port_run(const struct dut_conf *conf)
{
	struct port_test *t = calloc(1, sizeof(*t));
	unsigned int i;

	assert_non_null(t);
	dut_start(conf);
	t->rng = unit_seed;
	t->longest = (conf->mtu != 0 ? conf->mtu : 1500u) + 18u;
	for (i = 0; i < TURNS; i++) {
		switch (unit_range(&t->rng, 0, 400)) {
		case 0:
			hold_all(t);
			break;
		case 1:
			frames_free(t, t->n);
			break;
		case 2:
			restart(t, conf);
			break;
		case 3:
			unit_ledger(dut.mp);
			break;
		default:
			frames_send(t, unit_range(&t->rng, 0, 80));
			frames_receive(t, unit_range(&t->rng, 1, 64));
			frames_free(t, unit_range(&t->rng, 0, 70));
		}
	}
	frames_settle(t);
	frames_free(t, t->n);
	free(t);
	dut_stop();
}

static void
test_random(void **state)
{
	port_run(*state);
}

/* Frames that speed hands over in the slots they came in, and density copies. */
#define MIDDLE_LEN 600u

/* Preset auto turns to density also where a pool has so few pages that the ring takes most. */
static void
test_auto_tiny(void **state)
{
	struct dut_conf conf = { .ring = 4, .page_size = 16384 };
	unsigned int i;

	(void)state;
	for (conf.pages = 1; conf.pages <= 3; conf.pages++) {
		dut_start(&conf);
		for (i = 0; i < 100; i++) {
			dut_exchange(1, MIDDLE_LEN);
			unit_ledger(dut.mp);
		}
		if ((dut_xstat("rx_q0_copybreak_packets") != 0) != (conf.pages <= 1))
			fail_msg("%u pages, %u packets copied", conf.pages,
					(unsigned int)dut_xstat("rx_q0_copybreak_packets"));
		dut_stop();
	}
}

/* Two ports */

#define SECOND_NAME "net_ppfrag_dut_second"
#define SECOND_FRAMES 200u

struct second {
	uint16_t port;
	struct vhost_peer *peer;
};

static void
second_start(struct second *s)
{
	const struct rte_eth_conf eth = { .rxmode.mtu = RTE_ETHER_MTU };
	char path[64], args[128];

	snprintf(path, sizeof(path), "%s/second", dut.dir);
	snprintf(args, sizeof(args), "path=%s,queue_size=64", path);
	s->peer = vhost_peer_start(path, VHOST_F_VERSION_1 | VHOST_F_MRG_RXBUF | VHOST_F_PROTOCOL);
	assert_non_null(s->peer);
	assert_int_equal(rte_eal_hotplug_add("vdev", SECOND_NAME, args), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name(SECOND_NAME, &s->port), 0);
	assert_int_equal(rte_eth_dev_configure(s->port, 1, 1, &eth), 0);
	assert_int_equal(rte_eth_rx_queue_setup(s->port, 0, 64, SOCKET_ID_ANY, NULL, dut.mp), 0);
	assert_int_equal(rte_eth_tx_queue_setup(s->port, 0, 64, SOCKET_ID_ANY, NULL), 0);
	assert_int_equal(rte_eth_dev_start(s->port), 0);
	assert_true(vhost_peer_wait(s->peer));
}

static void
second_stop(const struct second *s)
{
	char path[64];

	assert_int_equal(rte_eth_dev_stop(s->port), 0);
	assert_int_equal(rte_eth_dev_close(s->port), 0);
	assert_int_equal(rte_eal_hotplug_remove("vdev", SECOND_NAME), 0);
	vhost_peer_stop(s->peer);
	snprintf(path, sizeof(path), "%s/second", dut.dir);
	unlink(path);
}

/* The back end of a port sends a frame, which is received by that port. */
static struct rte_mbuf *
frame_through(struct vhost_peer *peer, uint16_t port, uint32_t len, uint64_t tag)
{
	struct rte_mbuf *m = NULL;
	char frame[1500];
	unsigned int i;

	unit_fill(frame, len, tag);
	assert_true(vhost_peer_send_by(peer, vhost_peer_ring(peer, VHOST_RX), frame, len));
	for (i = 0; i < 1000 && rte_eth_rx_burst(port, 0, &m, 1) == 0; i++)
		;
	assert_non_null(m);
	assert_int_equal(m->port, port);
	assert_int_equal(m->pkt_len, len);
	assert_true(unit_filled(rte_pktmbuf_mtod(m, void *), len, tag));
	return m;
}

/* A port sends what another one has received, as it is: they have one pool. */
static void
frame_forward(struct rte_mbuf *m, uint16_t port, struct vhost_peer *peer, uint64_t tag)
{
	struct vhost_ring *r = vhost_peer_ring(peer, VHOST_TX);
	uint32_t len = m->pkt_len;
	uint16_t id;
	char *data;

	assert_int_equal(rte_eth_tx_burst(port, 0, &m, 1), 1);
	assert_int_equal(vhost_ring_pending(r), 1);
	id = vhost_ring_take(r);
	assert_int_equal(r->desc[id].len, VHOST_HDR_LEN + len);
	data = vhost_peer_at(peer, r->desc[id].addr, r->desc[id].len);
	assert_non_null(data);
	assert_true(unit_filled(data + VHOST_HDR_LEN, len, tag));
	vhost_ring_put(r, 0, id, 0);
	vhost_ring_publish(r, 1);
}

/* Either sends what the other one has received; one of them restarts, and ends, meanwhile. */
static void
test_two_ports(void **state)
{
	static const struct dut_conf conf = { .page_size = 16384, .pages = 64 };
	struct second s;
	unsigned int i;
	uint32_t len;

	(void)state;
	dut_start(&conf);
	second_start(&s);
	for (i = 0; i < SECOND_FRAMES; i++) {
		len = 60 + i * 37 % 1400;
		frame_forward(frame_through(dut.peer, dut.port, len, i), s.port, s.peer, i);
		frame_forward(frame_through(s.peer, s.port, len, ~i), dut.port, dut.peer, ~i);
		if (i % 50 != 49)
			continue;
		unit_ledger(dut.mp);
		dut_restart();
	}
	second_stop(&s);
	unit_ledger(dut.mp);
	dut_exchange(SECOND_FRAMES, 300);
	dut_stop();
}

#define CONFS(X) \
	X(auto_large_ring, { .ring = 1024, .page_size = 16384, .pages = 600 }) \
	X(auto_small_pages, { .ring = 1024, .pages = 1100 }) \
	X(auto_few_pages, { .ring = 256, .page_size = 16384, .pages = 40 }) \
	X(auto_rxd, { .ring = 256, .rxd = 100, .page_size = 16384, .pages = 40 }) \
	X(dense, { .ring = 256, .page_size = 16384, .pages = 60, .density = true }) \
	X(dense_odd, { .ring = 128, .page_size = 5003, .pages = 90, .density = true }) \
	X(jumbo, { .ring = 128, .page_size = 65000, .pages = 40, .mtu = 9000 }) \
	X(jumbo_scatter, \
			{ .ring = 128, \
					.page_size = 4097, \
					.pages = 300, \
					.mtu = 9000, \
					.scatter = true }) \
	X(no_mrg, { .ring = 128, .page_size = 16384, .pages = 60, .no_mrg = true }) \
	X(copied, { .ring = 256, .page_size = 16384, .pages = 40, .copy = true }) \
	X(copied_few, { .ring = 64, .page_size = 16384, .pages = 2, .copy = true }) \
	X(copied_scatter, \
			{ .ring = 256, \
					.page_size = 4097, \
					.pages = 100, \
					.copy = true, \
					.mtu = 9000, \
					.scatter = true })

#define CONF(id, ...) static struct dut_conf conf_##id = __VA_ARGS__;
CONFS(CONF)
#define CONF_TEST(id, ...) { "test_random_" #id, test_random, dut_setup, dut_teardown, &conf_##id },
static const struct CMUnitTest tests[] = {
	CONFS(CONF_TEST) DUT_TEST(test_auto_tiny),
	DUT_TEST(test_two_ports),
};

UNIT_SUITE(slots_port, "random loads on a port that receives into slots, none of them lost", tests);
