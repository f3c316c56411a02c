/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include "dut.h"

/* Packets of several descriptors, for which one of the ring refers to a table of them. */

#define RING 64
#define LAPS 50
#define SEGS_MAX 70
#define LEN_MAX 40000

#define DESC_NEXT 1u
#define DESC_INDIRECT 4u

#define INDIRECT .pages = 4096, .features = VHOST_F_INDIRECT_DESC
/* Of a back end that has a short header. */
#define LEGACY INDIRECT, .legacy = true, .no_mrg = true

/* A packet, and what is expected to be sent for it. */
struct packet {
	struct rte_mbuf *m;
	uint32_t len;
	uint64_t tag;
};

/* Segments of any length, none among these. */
static struct packet
make_packet(unsigned int segs, uint64_t tag, uint64_t *seed)
{
	struct packet p = { .tag = tag };
	struct rte_mbuf *seg;
	char data[LEN_MAX];
	unsigned int i;
	uint32_t len;

	unit_fill(data, sizeof(data), tag);
	for (i = 0; i < segs; i++) {
		seg = rte_pktmbuf_alloc(dut.mp);
		assert_non_null(seg);
		len = i == 0 || unit_range(seed, 0, 9) != 0 ? unit_range(seed, 14, 400) : 0;
		memcpy(rte_pktmbuf_append(seg, (uint16_t)len), data + p.len, len);
		p.len += len;
		if (p.m == NULL)
			p.m = seg;
		else
			assert_int_equal(rte_pktmbuf_chain(p.m, seg), 0);
	}
	return p;
}

static bool
send_packet(struct packet *p)
{
	return rte_eth_tx_burst(dut.port, 0, &p->m, 1) == 1;
}

/* What descriptors from one on refer to, behind one another. Returns how many bytes. */
static uint32_t
read_descriptors(const struct vhost_desc *desc, uint16_t id, uint16_t nb, char *to)
{
	uint32_t len = 0;
	uint16_t i;

	for (i = 0; i < nb; i++, id = desc[id].next) {
		assert_true(id < nb && len + desc[id].len <= LEN_MAX);
		assert_int_equal(desc[id].flags & ~DESC_NEXT, 0);
		memcpy(to + len, vhost_peer_at(dut.peer, desc[id].addr, desc[id].len),
				desc[id].len);
		len += desc[id].len;
		if ((desc[id].flags & DESC_NEXT) == 0)
			return len;
	}
	fail_msg("a chain of descriptors does not end");
	return 0;
}

/* The next packet of the ring is that one. Returns whether it took a table. */
static bool
take_packet(const struct packet *p)
{
	static const char zero[VHOST_HDR_LEN];
	uint16_t id = vhost_ring_take(dut.tx);
	const struct vhost_desc *desc = &dut.tx->desc[id];
	bool table = (desc->flags & DESC_INDIRECT) != 0;
	char got[LEN_MAX];
	uint32_t len;

	if (table) {
		assert_int_equal(desc->flags, DESC_INDIRECT);
		assert_int_equal(desc->len % sizeof(*desc), 0);
		assert_in_range(desc->len / sizeof(*desc), 1, dut.tx->num);
		len = read_descriptors(vhost_peer_at(dut.peer, desc->addr, desc->len), 0,
				(uint16_t)(desc->len / sizeof(*desc)), got);
	} else {
		len = read_descriptors(dut.tx->desc, id, dut.tx->num, got);
	}
	assert_int_equal(len, p->len + dut.hdr_len);
	assert_memory_equal(got, zero, dut.hdr_len);
	assert_true(unit_filled(got + dut.hdr_len, p->len, p->tag));
	vhost_ring_put(dut.tx, 0, id, 0);
	vhost_ring_publish(dut.tx, 1);
	return table;
}

/* As many packets as the ring has descriptors, of any number of segments. */
static void
fill_ring(const struct dut_conf *conf)
{
	struct packet p[RING + 1];
	uint64_t seed = unit_seed, tag = 0;
	unsigned int lap, i, tables = 0;

	dut_start(conf);
	for (lap = 0; lap < LAPS; lap++) {
		for (i = 0; i <= RING; i++)
			p[i] = make_packet(unit_range(&seed, 1, 8), tag++, &seed);
		for (i = 0; i < RING; i++)
			assert_true(send_packet(&p[i]));
		assert_false(send_packet(&p[RING]));
		assert_int_equal(rte_eth_tx_descriptor_status(dut.port, 0, 0),
				RTE_ETH_TX_DESC_FULL);
		for (i = 0; i < RING; i++)
			tables += take_packet(&p[i]);
		assert_true(send_packet(&p[RING]));
		tables += take_packet(&p[RING]);
		rte_eth_tx_done_cleanup(dut.port, 0, 0);
	}
	assert_in_range(tables, LAPS * RING / 2, LAPS * (RING + 1));
	assert_int_equal(dut_xstat("tx_q0_indirect_packets"), tables);
	assert_int_equal(dut_xstat("tx_q0_copied_packets"), 0);
	assert_int_equal(dut_xstat("tx_q0_bad_used"), 0);
	dut_stop();
}

static void
test_full_ring(void **state)
{
	RTE_SET_USED(state);
	fill_ring(&(struct dut_conf){ INDIRECT });
}

static void
test_full_ring_in_order(void **state)
{
	RTE_SET_USED(state);
	fill_ring(&(struct dut_conf){ .pages = 4096,
			.devargs = "in_order=1",
			.features = VHOST_F_INDIRECT_DESC | VHOST_F_IN_ORDER });
}

static void
test_full_ring_legacy(void **state)
{
	RTE_SET_USED(state);
	fill_ring(&(struct dut_conf){ LEGACY });
}

/* Numbers of segments up to more than are handed over; a table is no longer than the ring. */
static void
send_all_lengths(uint16_t ring)
{
	uint64_t seed = unit_seed;
	struct packet p;
	unsigned int segs, dropped = 0;

	dut_start(&(struct dut_conf){ INDIRECT, .ring = ring });
	for (segs = 1; segs <= SEGS_MAX; segs++) {
		p = make_packet(segs, segs, &seed);
		assert_true(send_packet(&p));
		if (vhost_ring_pending(dut.tx) == 0)
			dropped++;
		else
			take_packet(&p);
		rte_eth_tx_done_cleanup(dut.port, 0, 0);
	}
	assert_int_equal(dut_xstat("tx_q0_dropped_packets"), dropped);
	assert_int_equal(dropped > 0, ring == 4);
	assert_true(dut_xstat("tx_q0_copied_packets") > 0);
	assert_true(dut_xstat("tx_q0_indirect_packets") > 0);
	dut_stop();
}

static void
test_lengths(void **state)
{
	RTE_SET_USED(state);
	send_all_lengths(RING);
}

static void
test_lengths_small_ring(void **state)
{
	RTE_SET_USED(state);
	send_all_lengths(4);
}

/* Where others use the packet, too, its header is in a descriptor of its own. */
static void
send_shared(const struct dut_conf *conf)
{
	uint64_t seed = unit_seed;
	struct packet p, q;
	unsigned int i;

	dut_start(conf);
	for (i = 0; i < 3 * RING; i++) {
		p = make_packet(unit_range(&seed, 1, 3), i, &seed);
		q = p;
		q.m = rte_pktmbuf_clone(p.m, dut.mp);
		assert_non_null(q.m);
		assert_true(send_packet(&q));
		assert_true(take_packet(&q));
		rte_pktmbuf_free(p.m);
	}
	rte_eth_tx_done_cleanup(dut.port, 0, 0);
	assert_int_equal(dut_xstat("tx_q0_header_packets"), 3 * RING);
	assert_int_equal(dut_xstat("tx_q0_indirect_packets"), 3 * RING);
	dut_stop();
}

static void
test_shared_mbuf(void **state)
{
	RTE_SET_USED(state);
	send_shared(&(struct dut_conf){ INDIRECT });
}

static void
test_shared_mbuf_legacy(void **state)
{
	RTE_SET_USED(state);
	send_shared(&(struct dut_conf){ LEGACY });
}

/* Segments that the back end cannot read: copied into descriptors of the ring. */
static void
test_foreign_segment(void **state)
{
	struct rte_mempool *foreign = unit_stock_pool(64, 2048);
	uint64_t seed = unit_seed;
	struct rte_mbuf *seg;
	char data[LEN_MAX];
	struct packet p;
	unsigned int i;

	RTE_SET_USED(state);
	dut_start(&(struct dut_conf){ INDIRECT });
	for (i = 0; i < 3 * RING; i++) {
		p = make_packet(3, i, &seed);
		seg = rte_pktmbuf_alloc(foreign);
		assert_non_null(seg);
		assert_int_equal(rte_pktmbuf_chain(p.m, seg), 0);
		unit_fill(data, sizeof(data), p.tag);
		*rte_pktmbuf_append(p.m, 1) = data[p.len++];
		assert_true(send_packet(&p));
		assert_false(take_packet(&p));
		rte_eth_tx_done_cleanup(dut.port, 0, 0);
	}
	assert_int_equal(dut_xstat("tx_q0_copied_packets"), 3 * RING);
	dut_stop();
}

#define TAGS .tx_offloads = RTE_ETH_TX_OFFLOAD_VLAN_INSERT | RTE_ETH_TX_OFFLOAD_MULTI_SEGS

/* A tag is put in on the way: the start of the packet is replaced. */
static void
send_tagged(const struct dut_conf *conf)
{
	uint64_t seed = unit_seed;
	char got[LEN_MAX], data[LEN_MAX];
	const struct vhost_desc *desc;
	struct packet p;
	unsigned int i;
	uint32_t len;
	uint16_t id;

	dut_start(conf);
	for (i = 0; i < 3 * RING; i++) {
		p = make_packet(unit_range(&seed, 1, 5), i, &seed);
		p.m->ol_flags |= RTE_MBUF_F_TX_VLAN;
		p.m->vlan_tci = 0x123;
		assert_true(send_packet(&p));
		id = vhost_ring_take(dut.tx);
		desc = &dut.tx->desc[id];
		assert_int_equal(desc->flags, DESC_INDIRECT);
		len = read_descriptors(vhost_peer_at(dut.peer, desc->addr, desc->len), 0,
				(uint16_t)(desc->len / sizeof(*desc)), got);
		assert_int_equal(len, dut.hdr_len + p.len + 4);
		unit_fill(data, sizeof(data), p.tag);
		assert_memory_equal(got + dut.hdr_len, data, 12);
		assert_memory_equal(got + dut.hdr_len + 12, "\x81\x00\x01\x23", 4);
		assert_memory_equal(got + dut.hdr_len + 16, data + 12, p.len - 12);
		vhost_ring_put(dut.tx, 0, id, 0);
		vhost_ring_publish(dut.tx, 1);
		rte_eth_tx_done_cleanup(dut.port, 0, 0);
	}
	dut_stop();
}

static void
test_offload(void **state)
{
	RTE_SET_USED(state);
	send_tagged(&(struct dut_conf){ INDIRECT, TAGS });
}

static void
test_offload_legacy(void **state)
{
	RTE_SET_USED(state);
	send_tagged(&(struct dut_conf){ LEGACY, TAGS });
}

/* Without tables, as before. */
static void
without_tables(const struct dut_conf *conf)
{
	uint64_t seed = unit_seed;
	struct packet p;
	unsigned int i;

	dut_start(conf);
	assert_int_equal(vhost_peer_acked(dut.peer) & VHOST_F_INDIRECT_DESC, 0);
	for (i = 0; i < 3 * RING; i++) {
		p = make_packet(unit_range(&seed, 2, 8), i, &seed);
		assert_true(send_packet(&p));
		assert_false(take_packet(&p));
		rte_eth_tx_done_cleanup(dut.port, 0, 0);
	}
	assert_int_equal(dut_xstat("tx_q0_indirect_packets"), 0);
	dut_stop();
}

static void
test_not_offered(void **state)
{
	RTE_SET_USED(state);
	without_tables(&(struct dut_conf){ .pages = 512 });
}

static void
test_not_wanted(void **state)
{
	RTE_SET_USED(state);
	without_tables(&(struct dut_conf){ INDIRECT, .devargs = "indirect=0" });
}

static const struct CMUnitTest tests[] = {
	DUT_TEST(test_full_ring),
	DUT_TEST(test_full_ring_in_order),
	DUT_TEST(test_full_ring_legacy),
	DUT_TEST(test_lengths),
	DUT_TEST(test_lengths_small_ring),
	DUT_TEST(test_shared_mbuf),
	DUT_TEST(test_shared_mbuf_legacy),
	DUT_TEST(test_foreign_segment),
	DUT_TEST(test_offload),
	DUT_TEST(test_offload_legacy),
	DUT_TEST(test_not_offered),
	DUT_TEST(test_not_wanted),
};

UNIT_SUITE(indirect, "tables of descriptors in transmit rings", tests);
