/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <rte_cycles.h>

#include "dut.h"

/*
 * A back end that works in order may tell of many descriptors by one used entry: at the place of
 * the first of them, it names the last one. All but that one are full.
 */

#define RING 64
#define LAPS 400
#define POLLS 200
#define FRAME_MAX 20000
#define HELD_MAX 20000

#define IN_ORDER .ring = RING, .devargs = "in_order=1", .features = VHOST_F_IN_ORDER

static bool
is_agreed(void)
{
	return (vhost_peer_acked(dut.peer) & VHOST_F_IN_ORDER) != 0;
}

static void
start(const struct dut_conf *conf)
{
	dut_start(conf);
	assert_true(is_agreed());
}

/* Receive */

/* A frame in posted buffers, without a used entry. Returns how many, and the length of the last. */
static uint16_t
put_frame(uint32_t len, uint64_t tag, uint32_t *last)
{
	uint32_t left, off = VHOST_HDR_LEN, room;
	char frame[FRAME_MAX], *buf, *head = NULL;
	const struct vhost_desc *desc;
	uint16_t n;

	unit_fill(frame, len, tag);
	for (n = 0, left = len; n == 0 || left > 0; n++, off = 0) {
		desc = &dut.rx->desc[vhost_ring_take(dut.rx)];
		buf = vhost_peer_at(dut.peer, desc->addr, desc->len);
		assert_non_null(buf);
		room = RTE_MIN(left, desc->len - off);
		memcpy(buf + off, frame + (len - left), room);
		left -= room;
		*last = off + room;
		head = head == NULL ? buf : head;
	}
	memset(head, 0, VHOST_HDR_LEN);
	memcpy(head + VHOST_HDR_LEN - sizeof(n), &n, sizeof(n));
	return n;
}

/* The frame with a tag arrives as it was. */
static void
check_frame(struct rte_mbuf *m, uint32_t len, uint64_t tag)
{
	char copy[FRAME_MAX];
	const void *got;

	assert_int_equal(m->pkt_len, len);
	got = rte_pktmbuf_read(m, 0, len, copy);
	assert_non_null(got);
	assert_true(unit_filled(got, len, tag));
	rte_pktmbuf_free(m);
}

/* Names the last of n descriptors at the place of the first, and announces all. */
static void
publish_batch(uint16_t n, uint32_t last)
{
	vhost_ring_put(dut.rx, 0, (dut.rx->next_used + n - 1) & (RING - 1), last);
	vhost_ring_publish(dut.rx, n);
}

/* Poll for n frames in bursts of any size, whose lengths and tags are known. */
static void
receive_frames(unsigned int n, uint16_t burst, const uint32_t *len, uint64_t tag)
{
	unsigned int i, j, k, got = 0;
	struct rte_mbuf *m[RING];

	for (i = 0; i < POLLS && got < n; i++) {
		k = rte_eth_rx_burst(dut.port, 0, m, burst);
		for (j = 0; j < k; j++, got++)
			check_frame(m[j], len[got], tag + got);
	}
	assert_int_equal(got, n);
}

/* Full buffers, and a last one that is not: as one entry, or as one each. */
static void
receive_batches(const struct dut_conf *conf)
{
	const uint32_t full = conf->mtu + 22u;
	uint32_t len[RING], last;
	uint64_t seed = unit_seed, tag = 0;
	unsigned int lap, i, n;

	start(conf);
	for (lap = 0; lap < LAPS; lap++, tag += n) {
		n = unit_range(&seed, 1, 20);
		for (i = 0; i < n; i++) {
			len[i] = i < n - 1 ? full : unit_range(&seed, 14, full);
			assert_int_equal(put_frame(len[i], tag + i, &last), 1);
		}
		publish_batch((uint16_t)n, last);
		receive_frames(n, (uint16_t)unit_range(&seed, 1, RING), len, tag);
		dut_exchange(lap % 3, unit_range(&seed, 14, full));
	}
	assert_int_equal(dut_xstat("rx_q0_bad_used"), 0);
	assert_int_equal(vhost_ring_pending(dut.rx), RING);
	dut_stop();
}

/* Packets of several buffers, one or two for each entry. */
static void
receive_merged(const struct dut_conf *conf)
{
	uint64_t seed = unit_seed, tag = 0;
	unsigned int lap, n;
	uint32_t len[2], last;

	start(conf);
	for (lap = 0; lap < LAPS; lap++, tag += 2) {
		len[0] = dut.buf_len * unit_range(&seed, 1, 3) - VHOST_HDR_LEN;
		len[1] = unit_range(&seed, 14, 9000);
		n = put_frame(len[0], tag, &last);
		n += put_frame(len[1], tag + 1, &last);
		publish_batch((uint16_t)n, last);
		receive_frames(2, 1, len, tag);
		dut_exchange(lap % 3, len[1]);
	}
	assert_int_equal(dut_xstat("rx_q0_bad_used"), 0);
	dut_stop();
}

/* One bad entry; what comes behind it is as good as ever. */
static void
receive_bad(uint32_t id, uint32_t len)
{
	const uint64_t bad = dut_xstat("rx_q0_bad_used");
	struct rte_mbuf *m;
	unsigned int i;

	vhost_ring_take(dut.rx);
	vhost_ring_put(dut.rx, 0, id, len);
	vhost_ring_publish(dut.rx, 1);
	for (i = 0; i < POLLS; i++)
		assert_int_equal(rte_eth_rx_burst(dut.port, 0, &m, 1), 0);
	assert_int_equal(dut_xstat("rx_q0_bad_used"), bad + 1);
	assert_int_equal(vhost_ring_pending(dut.rx), RING);
	dut_exchange(3, 100);
}

static void
receive_nonsense(const struct dut_conf *conf)
{
	unsigned int i;

	start(conf);
	for (i = 0; i < 2 * RING; i++) {
		receive_bad((dut.rx->next_used + 1) & (RING - 1), 100); /* not announced */
		receive_bad((dut.rx->next_used - 1u) & (RING - 1), 100);
		receive_bad(RING, 100);
		receive_bad(UINT32_MAX, 100);
		receive_bad((dut.rx->next_used & (RING - 1)) + 0x10000, 100);
		receive_bad(dut.rx->next_used & (RING - 1), dut.buf_len + 1);
		receive_bad(dut.rx->next_used & (RING - 1), VHOST_HDR_LEN - 1);
	}
	dut_stop();
}

/* Descriptors that had to wait in the latest test. */
static uint64_t starved;

/* Frames until none is received any more. Returns how many are held. */
static unsigned int
receive_all(struct rte_mbuf **held, uint32_t len)
{
	char frame[FRAME_MAX];
	unsigned int idle = 0, n = 0, got;

	while (idle < POLLS && n < HELD_MAX - 32) {
		unit_fill(frame, len, n);
		if (vhost_ring_pending(dut.rx) > (len + VHOST_HDR_LEN) / dut.buf_len)
			assert_true(vhost_peer_send(dut.peer, frame, len));
		got = rte_eth_rx_burst(dut.port, 0, &held[n], 32);
		n += got;
		idle = got > 0 ? 0 : idle + 1;
	}
	return n;
}

/*
 * Without pages, descriptors wait, in order. What is held is freed in any order, and packets go on
 * from where they were.
 */
static void
starve(const struct dut_conf *conf, uint32_t len)
{
	static struct rte_mbuf *held[HELD_MAX];
	uint64_t seed = unit_seed;
	unsigned int i, n, round;

	start(conf);
	for (round = 0; round < 10; round++) {
		n = receive_all(held, len);
		assert_in_range(n, 1, HELD_MAX - 33);
		assert_true(vhost_ring_pending(dut.rx) < RING);
		assert_true(dut_xstat("rx_q0_no_page") + dut_xstat("rx_q0_no_header") > 0);
		for (i = 0; i < RING; i++)
			assert_int_equal(dut.rx->avail->ring[i], i);
		for (; n > 0; n--) {
			i = unit_range(&seed, 0, n - 1);
			rte_pktmbuf_free(held[i]);
			held[i] = held[n - 1];
		}
		for (i = 0; i < POLLS; i++)
			rte_pktmbuf_free_bulk(held, rte_eth_rx_burst(dut.port, 0, held, 32));
		assert_int_equal(vhost_ring_pending(dut.rx), RING);
		dut_exchange(3 * RING, len);
	}
	assert_int_equal(dut_xstat("rx_q0_bad_used"), 0);
	starved = dut_xstat("rx_q0_no_page");
	dut_stop();
}

/* X(name, configuration): ways to receive. */
#define WAYS(X) \
	X(slots, .page_size = 16384) \
	X(lanes, .lanes = true, .page_size = 16384) \
	X(lanes_small_pages, .lanes = true) \
	X(copy, .copy = true) \
	X(copy_lanes, .copy = true, .lanes = true)

#define WAY_TESTS(name, ...) \
	static void test_batches_##name(void **state) \
	{ \
		RTE_SET_USED(state); \
		receive_batches(&(struct dut_conf){ IN_ORDER, .mtu = 1502, __VA_ARGS__ }); \
	} \
	static void test_nonsense_##name(void **state) \
	{ \
		RTE_SET_USED(state); \
		receive_nonsense(&(struct dut_conf){ IN_ORDER, __VA_ARGS__ }); \
	}
WAYS(WAY_TESTS)

static void
test_batches_no_mrg(void **state)
{
	RTE_SET_USED(state);
	receive_batches(&(struct dut_conf){ IN_ORDER, .mtu = 1502, .no_mrg = true });
}

static void
test_merged_slots(void **state)
{
	RTE_SET_USED(state);
	receive_merged(&(struct dut_conf){ IN_ORDER, .scatter = true, .mtu = 9000 });
}

static void
test_merged_lanes(void **state)
{
	RTE_SET_USED(state);
	receive_merged(&(struct dut_conf){ IN_ORDER, .scatter = true, .mtu = 9000, .lanes = true });
}

static void
test_merged_copy(void **state)
{
	RTE_SET_USED(state);
	receive_merged(&(struct dut_conf){ IN_ORDER, .scatter = true, .mtu = 9000, .copy = true });
}

static void
test_starved_slots(void **state)
{
	RTE_SET_USED(state);
	starve(&(struct dut_conf){ IN_ORDER, .pages = 100 }, 1000);
}

static void
test_starved_chains(void **state)
{
	RTE_SET_USED(state);
	starve(&(struct dut_conf){ IN_ORDER, .scatter = true, .mtu = 9000, .pages = 200 }, 5000);
	assert_true(starved > 0);
}

static void
test_starved_lanes(void **state)
{
	RTE_SET_USED(state);
	starve(&(struct dut_conf){ IN_ORDER, .lanes = true, .pages = 200 }, 1000);
	assert_true(starved > 0);
}

/* Transmit */

static void
send_chain(unsigned int segs)
{
	struct rte_mbuf *m = NULL, *seg;

	for (; segs > 0; segs--) {
		seg = rte_pktmbuf_alloc(dut.mp);
		assert_non_null(seg);
		assert_non_null(rte_pktmbuf_append(seg, 60));
		if (m != NULL)
			assert_int_equal(rte_pktmbuf_chain(seg, m), 0);
		m = seg;
	}
	assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
}

/* The heads of n chains, whose descriptors are in the order of the ring. Returns the last one. */
static uint16_t
take_chains(unsigned int n, uint16_t *next)
{
	uint16_t id = 0, head = 0;

	for (; n > 0; n--) {
		head = id = vhost_ring_take(dut.tx);
		assert_int_equal(id, *next & (RING - 1));
		while ((dut.tx->desc[id].flags & 1) != 0) {
			assert_int_equal(dut.tx->desc[id].next, (id + 1) & (RING - 1));
			id = dut.tx->desc[id].next;
			(*next)++;
		}
		(*next)++;
	}
	return head;
}

static void
test_transmit(void **state)
{
	uint64_t seed = unit_seed;
	unsigned int lap, i, n, few;
	uint16_t next = 0;

	RTE_SET_USED(state);
	start(&(struct dut_conf){ IN_ORDER });
	for (lap = 0; lap < LAPS; lap++) {
		n = unit_range(&seed, 1, 10);
		for (i = 0; i < n; i++)
			send_chain(unit_range(&seed, 1, 5));
		assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), 0);
		vhost_ring_put(dut.tx, 0, take_chains(n, &next), 0);
		vhost_ring_publish(dut.tx, (uint16_t)n);
		/* A batch is taken back in parts. */
		few = unit_range(&seed, 1, n);
		assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, few), few);
		assert_int_equal(rte_eth_tx_descriptor_status(dut.port, 0, RING - 1),
				RTE_ETH_TX_DESC_DONE);
		assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), n - few);
	}
	assert_int_equal(dut_xstat("tx_q0_bad_used"), 0);
	dut_stop();
}

/* A full ring, of which part is used. */
static void
test_transmit_full(void **state)
{
	struct rte_mbuf *m;
	unsigned int lap, i;
	uint16_t next = 0;

	RTE_SET_USED(state);
	start(&(struct dut_conf){ IN_ORDER });
	for (lap = 0; lap < LAPS; lap++) {
		for (i = 0; i < RING; i++)
			send_chain(1);
		m = rte_pktmbuf_alloc(dut.mp);
		assert_non_null(rte_pktmbuf_append(m, 60));
		assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 0);
		assert_int_equal(rte_eth_tx_descriptor_status(dut.port, 0, 0),
				RTE_ETH_TX_DESC_FULL);
		vhost_ring_put(dut.tx, 0, take_chains(20, &next), 0);
		vhost_ring_publish(dut.tx, 20);
		assert_int_equal(rte_eth_tx_descriptor_status(dut.port, 0, 19),
				RTE_ETH_TX_DESC_DONE);
		assert_int_equal(rte_eth_tx_descriptor_status(dut.port, 0, 20),
				RTE_ETH_TX_DESC_FULL);
		assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
		vhost_ring_put(dut.tx, 0, take_chains(RING - 20 + 1, &next), 0);
		vhost_ring_publish(dut.tx, RING - 20 + 1);
		assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), RING - 20 + 1);
	}
	assert_int_equal(dut_xstat("tx_q0_bad_used"), 0);
	dut_stop();
}

/* The index tells how many packets are sent, whatever entries say, and no more than there are. */
static void
test_transmit_nonsense(void **state)
{
	const uint32_t ids[] = { RING, UINT32_MAX, 0x10000, 5, 1 };
	unsigned int i;

	RTE_SET_USED(state);
	start(&(struct dut_conf){ IN_ORDER });
	for (i = 0; i < RTE_DIM(ids); i++) {
		send_chain(1);
		vhost_ring_take(dut.tx);
		vhost_ring_put(dut.tx, 0, (dut.tx->next_used & (RING - 1)) + ids[i], 0);
		vhost_ring_publish(dut.tx, 1);
		assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), 1);
		assert_int_equal(dut_xstat("tx_q0_bad_used"), i + 1);
	}
	send_chain(2);
	vhost_ring_publish(dut.tx, 1000);
	assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), 1);
	assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), 0);
	dut_stop();
}

/* What is agreed on */

/* Each place of the ring has a descriptor, or there is no such order. */
static void
test_fewer_descriptors(void **state)
{
	RTE_SET_USED(state);
	dut_start(&(struct dut_conf){ IN_ORDER, .rxd = 48 });
	assert_false(is_agreed());
	dut_exchange(3 * RING, 100);
	dut_stop();
}

static void
test_not_wanted(void **state)
{
	RTE_SET_USED(state);
	dut_start(&(struct dut_conf){ .features = VHOST_F_IN_ORDER });
	assert_false(is_agreed());
	dut_exchange(3 * RING, 100);
	dut_stop();
}

static void
meet_peer(uint64_t features)
{
	dut_lose_peer();
	dut_start_peer_with(features);
	dut_poll_until_up();
	dut_look_at_rings();
	assert_int_equal(vhost_peer_acked(dut.peer) & VHOST_F_IN_ORDER, features);
}

/* Back ends with and without it take turns, also while the port is stopped. */
static void
renew(const struct dut_conf *conf)
{
	unsigned int i, k;

	start(conf);
	for (i = 0; i < 3; i++) {
		meet_peer(i % 2 == 0 ? 0 : VHOST_F_IN_ORDER);
		dut_exchange(3 * RING, 100);
		for (k = 0; k < 3 * RING; k++) {
			send_chain(2);
			assert_int_equal(dut_tx_consume(), 1);
		}
	}
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	dut_stop_peer();
	dut_start_peer_with(VHOST_F_IN_ORDER);
	assert_int_equal(rte_eth_dev_start(dut.port), 0);
	dut_poll_until_up();
	dut_look_at_rings();
	assert_true(is_agreed());
	dut_exchange(3 * RING, 100);
	dut_stop();
}

static void
test_renewed_slots(void **state)
{
	RTE_SET_USED(state);
	renew(&(struct dut_conf){ IN_ORDER });
}

static void
test_renewed_lanes(void **state)
{
	RTE_SET_USED(state);
	renew(&(struct dut_conf){ IN_ORDER, .lanes = true });
}

#define WAY_LIST(name, ...) DUT_TEST(test_batches_##name), DUT_TEST(test_nonsense_##name),

static const struct CMUnitTest tests[] = {
	WAYS(WAY_LIST) DUT_TEST(test_batches_no_mrg),
	DUT_TEST(test_merged_slots),
	DUT_TEST(test_merged_lanes),
	DUT_TEST(test_merged_copy),
	DUT_TEST(test_starved_slots),
	DUT_TEST(test_starved_chains),
	DUT_TEST(test_starved_lanes),
	DUT_TEST(test_transmit),
	DUT_TEST(test_transmit_full),
	DUT_TEST(test_transmit_nonsense),
	DUT_TEST(test_fewer_descriptors),
	DUT_TEST(test_not_wanted),
	DUT_TEST(test_renewed_slots),
	DUT_TEST(test_renewed_lanes),
};

UNIT_SUITE(in_order, "back ends of net_ppfrag that use descriptors in order", tests);
