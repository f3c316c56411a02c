/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdlib.h>

#include <rte_dev.h>

#include "dut.h"

/*
 * Back ends from before virtio 1.0: they have no VERSION_1. Where packets fill one buffer each, the
 * header in front of a packet has 10 bytes. What suites for offloads and tables show of these is
 * there, and what becomes of nonsense in the suite hostile.
 */

#define RING 64
#define BURST 32
#define LEN_MAX 1522
#define SEGS 3
/* Frames of a restart. */
#define SOME 200

/* The header is a short one. */
#define SHORT .legacy = true, .no_mrg = true
#define PAGES .pages = 2048

/* X(name, configuration, length of the header): all ways to receive. */
#define WAYS(X) \
	X(slots, { SHORT, PAGES }, 10) \
	X(slots_dense, { SHORT, PAGES, .density = true }, 10) \
	X(slots_events, { SHORT, .devargs = "event_idx=1", .features = VHOST_F_EVENT_IDX }, 10) \
	X(lanes, { SHORT, PAGES, .lanes = true }, 10) \
	X(lanes_large, { SHORT, .lanes = true, .page_size = 16384 }, 10) \
	X(copy, { SHORT, PAGES, .copy = true }, 10) \
	X(copy_lanes, { SHORT, PAGES, .copy = true, .lanes = true }, 10) \
	X(declined, { .legacy = true, .declined = true }, 10) \
	X(no_protocol, { SHORT, .no_protocol = true }, 10) \
	X(merging_slots, { .legacy = true, PAGES }, 12) \
	X(merging_lanes, { .legacy = true, .lanes = true }, 12) \
	X(merging_copy, { .legacy = true, .copy = true }, 12) \
	X(merging_scatter, { .legacy = true, .scatter = true, .mtu = 9000 }, 12)

#define WAY_STRUCT(name, ...) WAY_STRUCT_(name, __VA_ARGS__)
#define WAY_STRUCT_(name, ...) static const struct way way_##name = { __VA_ARGS__ };

struct way {
	struct dut_conf conf;
	uint32_t hdr_len;
};

WAYS(WAY_STRUCT)

static void
start_way(const struct way *way)
{
	dut_start(&way->conf);
	assert_int_equal(vhost_peer_acked(dut.peer) & VHOST_F_VERSION_1, 0);
	assert_true((vhost_peer_acked(dut.peer) & VHOST_F_ANY_LAYOUT) != 0);
	assert_int_equal(dut.hdr_len, way->hdr_len);
}

static void
check_frame(const struct rte_mbuf *m, uint32_t len, uint64_t tag)
{
	char buf[LEN_MAX];

	assert_int_equal(m->pkt_len, len);
	assert_int_equal(rte_mbuf_check(m, 1, &(const char *){ NULL }), 0);
	assert_true(unit_filled(rte_pktmbuf_read(m, 0, len, buf), len, tag));
}

/* Several frames, each longer than the one before. */
static void
receive_burst(uint32_t len, uint16_t n)
{
	struct rte_mbuf *m[BURST];
	char frame[LEN_MAX];
	uint16_t i, got = 0;

	for (i = 0; i < n; i++) {
		unit_fill(frame, len + i, len + i);
		assert_true(vhost_peer_send(dut.peer, frame, len + i));
	}
	for (i = 0; i < SOME && got < n; i++)
		got += rte_eth_rx_burst(dut.port, 0, m + got, n - got);
	assert_int_equal(got, n);
	for (i = 0; i < n; i++) {
		check_frame(m[i], len + i, len + i);
		rte_pktmbuf_free(m[i]);
	}
}

/* Frames of every length, the longest of all included. */
static void
test_receive(void **state)
{
	uint32_t len;
	uint16_t n;

	start_way(*state);
	for (len = RTE_ETHER_HDR_LEN; len <= LEN_MAX; len += n) {
		n = (uint16_t)RTE_MIN(1 + len % BURST, LEN_MAX + 1 - len);
		receive_burst(len, n);
	}
	assert_int_equal(dut_xstat("rx_q0_packets"), LEN_MAX + 1 - RTE_ETHER_HDR_LEN);
	assert_int_equal(dut_xstat("rx_q0_bad_used"), 0);
	dut_stop();
}

/* Used entries of every length up to the shortest frame, and beyond the buffer. */
static void
test_bad_lengths(void **state)
{
	const uint32_t longest = UINT32_MAX, least = RTE_ETHER_HDR_LEN;
	uint32_t len, bad;
	struct rte_mbuf *m;

	start_way(*state);
	for (len = 0; len < dut.hdr_len + least; len++) {
		vhost_ring_put(dut.rx, 0, vhost_ring_take(dut.rx), len);
		vhost_ring_publish(dut.rx, 1);
		assert_int_equal(rte_eth_rx_burst(dut.port, 0, &m, 1), 0);
	}
	assert_int_equal(dut_xstat("rx_q0_short_packets"), least);
	for (bad = dut.hdr_len, len = longest; len > longest - 4; len--, bad++) {
		vhost_ring_put(dut.rx, 0, vhost_ring_take(dut.rx), len);
		vhost_ring_publish(dut.rx, 1);
		assert_int_equal(rte_eth_rx_burst(dut.port, 0, &m, 1), 0);
	}
	vhost_ring_put(dut.rx, 0, vhost_ring_take(dut.rx), dut.buf_len + 1);
	vhost_ring_publish(dut.rx, 1);
	assert_int_equal(rte_eth_rx_burst(dut.port, 0, &m, 1), 0);
	assert_int_equal(dut_xstat("rx_q0_bad_used"), bad + 1);
	dut_exchange(2 * RING, 100);
	dut_stop();
}

/* Transmission */

enum place { PLACE_OWN, PLACE_CLONE, PLACE_CHAIN, PLACE_FOREIGN, PLACES };

/* A packet with rubbish in its headroom. */
static struct rte_mbuf *
make_packet(struct rte_mempool *mp, uint32_t len, uint64_t tag)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);

	assert_non_null(m);
	memset(m->buf_addr, 0xa5, m->data_off);
	unit_fill(rte_pktmbuf_append(m, (uint16_t)len), len, tag);
	return m;
}

/* The same in several segments. */
static struct rte_mbuf *
make_chain(uint32_t len, uint64_t tag)
{
	struct rte_mbuf *m = NULL, *seg;
	char data[LEN_MAX];
	uint32_t i, n, off = 0;

	unit_fill(data, len, tag);
	for (i = SEGS; i > 0; i--, off += n) {
		n = (len - off) / i;
		seg = make_packet(dut.mp, n, 0);
		memcpy(rte_pktmbuf_mtod(seg, void *), data + off, n);
		if (m == NULL)
			m = seg;
		else
			assert_int_equal(rte_pktmbuf_chain(m, seg), 0);
	}
	return m;
}

/* The packet that is sent has these bytes behind a header of zeros. */
static void
take_packet(uint32_t len, uint64_t tag)
{
	static const char zero[VHOST_HDR_LEN];
	char got[LEN_MAX + VHOST_HDR_LEN];
	const struct vhost_desc *d;
	uint16_t head, id;
	uint32_t n = 0;

	assert_int_equal(vhost_ring_pending(dut.tx), 1);
	head = id = vhost_ring_take(dut.tx);
	do {
		d = &dut.tx->desc[id & (dut.tx->num - 1)];
		assert_in_range(d->len, 1, sizeof(got) - n);
		memcpy(got + n, vhost_peer_at(dut.peer, d->addr, d->len), d->len);
		n += d->len;
		id = d->next;
	} while ((d->flags & 1) != 0);
	assert_int_equal(n, dut.hdr_len + len);
	assert_memory_equal(got, zero, dut.hdr_len);
	assert_true(unit_filled(got + dut.hdr_len, len, tag));
	vhost_ring_put(dut.tx, 0, head, 0);
	vhost_ring_publish(dut.tx, 1);
}

static void
send_one(enum place place, struct rte_mempool *foreign, uint32_t len)
{
	struct rte_mbuf *m, *orig = NULL;

	if (place == PLACE_CHAIN)
		m = make_chain(len, len);
	else
		m = make_packet(place == PLACE_FOREIGN ? foreign : dut.mp, len, len);
	if (place == PLACE_CLONE) {
		orig = m;
		m = rte_pktmbuf_clone(orig, dut.mp);
		assert_non_null(m);
	}
	assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
	take_packet(len, len);
	assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), 1);
	if (orig != NULL)
		assert_true(unit_filled(rte_pktmbuf_mtod(orig, void *), len, len));
	rte_pktmbuf_free(orig);
}

/* Packets of every length, the header inside of the mbuf, outside of it, or both copied. */
static void
test_transmit(void **state)
{
	struct rte_mempool *foreign = unit_stock_pool(64, 2048);
	const uint64_t n = LEN_MAX + 1 - RTE_ETHER_HDR_LEN;
	enum place place;
	uint32_t len;

	start_way(*state);
	for (len = RTE_ETHER_HDR_LEN; len <= LEN_MAX; len++)
		for (place = 0; place < PLACES; place++)
			send_one(place, foreign, len);
	assert_int_equal(dut_xstat("tx_q0_packets"), PLACES * n);
	if (!dut_copies()) {
		assert_int_equal(dut_xstat("tx_q0_copied_packets"), n);
		assert_int_equal(dut_xstat("tx_q0_header_packets"), n);
		assert_int_equal(dut_xstat("tx_q0_chained_packets"), n);
	}
	dut_stop();
}

/* Agreements */

/* Legacy rings are split ones, without an order, whatever else the back end claims. */
static void
test_no_later_rings(void **state)
{
	const uint64_t later = VHOST_F_PACKED | VHOST_F_IN_ORDER;

	(void)state;
	dut_start(&(struct dut_conf){ SHORT, .packed = true, .in_order = true, .features = later });
	assert_int_equal(vhost_peer_acked(dut.peer) & later, 0);
	assert_int_equal(dut.hdr_len, VHOST_SHORT_HDR_LEN);
	dut_exchange(3 * RING, 100);
	dut_stop();
}

/* One that wants a descriptor for the header alone is refused. */
static void
test_any_layout_needed(void **state)
{
	struct rte_devargs devargs = { .type = RTE_DEVTYPE_VIRTUAL };
	bool loaded = rte_devargs_parse(&devargs, DUT_NAME) == 0;
	char args[128];
	uint16_t port;

	(void)state;
	free(devargs.data);
	unit_require(loaded, "the driver net_ppfrag: -d librte_net_ppfrag.so");
	dut.peer = vhost_peer_start(dut.path, VHOST_F_MRG_RXBUF | VHOST_F_PROTOCOL);
	assert_non_null(dut.peer);
	snprintf(args, sizeof(args), "path=%s", dut.path);
	assert_int_not_equal(rte_eal_hotplug_add("vdev", DUT_NAME, args), 0);
	assert_int_not_equal(rte_eth_dev_get_port_by_name(DUT_NAME, &port), 0);
}

/* Another back end gets what the first one had; virtio 1.0 again after a reset. */
static void
test_turns(void **state)
{
	const struct dut_conf conf = { SHORT };

	(void)state;
	dut_start(&conf);
	dut_lose_peer();
	dut_start_peer(true);
	dut_poll_until_up();
	dut_look_at_rings();
	dut_exchange(SOME, 100);
	dut_lose_peer();
	dut.version = VHOST_F_VERSION_1 | VHOST_F_ANY_LAYOUT;
	dut_start_peer(true);
	dut_poll_until_up();
	dut_look_at_rings();
	assert_int_equal(dut.hdr_len, VHOST_SHORT_HDR_LEN);
	dut_exchange(SOME, 100);
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	assert_int_equal(rte_eth_dev_reset(dut.port), 0);
	dut_start_port(&conf);
	assert_true((vhost_peer_acked(dut.peer) & VHOST_F_VERSION_1) != 0);
	assert_int_equal(dut.hdr_len, VHOST_HDR_LEN);
	dut_exchange(SOME, 100);
	dut_stop();
}

/* The MTU changes, and with it all buffers. */
static void
test_mtu(void **state)
{
	struct way way = *(const struct way *)*state;
	uint16_t mtu;

	start_way(&way);
	for (mtu = 200; mtu <= 1500; mtu += 100) {
		assert_int_equal(rte_eth_dev_stop(dut.port), 0);
		way.conf.mtu = mtu;
		assert_int_equal(dut_configure(&way.conf), 0);
		dut_exchange(3, mtu + 22u);
	}
	assert_int_equal(dut_xstat("rx_q0_bad_used"), 0);
	dut_stop();
}

#define WAY_TEST(f, name) \
	{ \
#f "_" #name, f, dut_setup, dut_teardown, (void *)(uintptr_t)&way_##name \
	}
#define WAY_TESTS(name, ...) \
	WAY_TEST(test_receive, name), WAY_TEST(test_bad_lengths, name), \
			WAY_TEST(test_transmit, name), WAY_TEST(test_mtu, name),

static const struct CMUnitTest tests[] = {
	WAYS(WAY_TESTS) DUT_TEST(test_no_later_rings),
	DUT_TEST(test_any_layout_needed),
	DUT_TEST(test_turns),
};

UNIT_SUITE(legacy, "back ends of net_ppfrag from before virtio 1.0", tests);
