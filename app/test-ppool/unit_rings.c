/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stdlib.h>

#include <rte_launch.h>
#include <rte_memzone.h>

#include <ppool_slot.h>

#include "dut.h"

/* What the driver does with single entries of its rings, correct and wrong ones. */

#define BURST 32
#define POLLS 200

/* An lcore that works at the same time. */
static unsigned int
worker(void)
{
	unit_require(unit_workers() > 0, "two lcores");
	return rte_get_next_lcore(-1, 1, 0);
}

/* Put mbufs into m until none is left. */
static unsigned int
take_all_pages(struct rte_mbuf **m, unsigned int max)
{
	unsigned int n = 0;

	while (n < max && (m[n] = rte_pktmbuf_alloc(dut.mp)) != NULL)
		n++;
	return n;
}

static unsigned int
poll_frames(struct rte_mbuf **m, unsigned int max)
{
	unsigned int i, n = 0;

	for (i = 0; i < POLLS && n < max; i++)
		n += rte_eth_rx_burst(dut.port, 0, m + n, (uint16_t)RTE_MIN(max - n, BURST));
	return n;
}

/* Transmission */

/* A chain of segments of 16 bytes. */
static struct rte_mbuf *
make_chain(struct rte_mempool *mp, unsigned int segs)
{
	struct rte_mbuf *m = NULL, *seg;

	while (segs-- > 0) {
		seg = rte_pktmbuf_alloc(mp);
		assert_non_null(seg);
		assert_non_null(rte_pktmbuf_append(seg, 16));
		if (m != NULL)
			assert_int_equal(rte_pktmbuf_chain(seg, m), 0);
		m = seg;
	}
	return m;
}

/* Send packets one by one, with a back end that is never in arrears for more than one poll. */
static void
send_packets(struct rte_mempool *mp, unsigned int segs, uint32_t len)
{
	unsigned int i, tries, sent = 0;
	struct rte_mbuf *m;

	for (i = 0; i < 100; i++) {
		m = make_chain(mp, segs);
		if (len > 0) {
			m->data_len = (uint16_t)len;
			m->pkt_len = len;
		}
		for (tries = 0; tries < 3; tries++) {
			if (rte_eth_tx_burst(dut.port, 0, &m, 1) == 1)
				break;
			sent += dut_tx_consume();
		}
		if (tries == 3) {
			rte_pktmbuf_free(m);
			fail_msg("packet %u of %u segments is never taken", i, segs);
		}
	}
	sent += dut_tx_consume();
	assert_int_equal(sent, 100);
	rte_eth_tx_done_cleanup(dut.port, 0, 0);
}

/* The virtio header is zero whatever stood in the headroom: each byte of it, in turn. */
static void
test_tx_header(void **state)
{
	static const char zero[VHOST_HDR_LEN];
	const struct vhost_desc *desc;
	struct rte_mbuf *m;
	unsigned int i;

	(void)state;
	dut_start(&(struct dut_conf){ .ring = 64 });
	for (i = 0; i < VHOST_HDR_LEN; i++) {
		m = make_chain(dut.mp, 1);
		memset(rte_pktmbuf_mtod_offset(m, char *, -(int)VHOST_HDR_LEN), 0, VHOST_HDR_LEN);
		*rte_pktmbuf_mtod_offset(m, uint8_t *, (int)i - (int)VHOST_HDR_LEN) = 0xa5;
		assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
		desc = &dut.tx->desc[vhost_ring_take(dut.tx)];
		assert_int_equal(desc->len, VHOST_HDR_LEN + 16);
		assert_memory_equal(vhost_peer_at(dut.peer, desc->addr, desc->len), zero,
				VHOST_HDR_LEN);
		vhost_ring_put(dut.tx, 0, (uint32_t)(desc - dut.tx->desc), 0);
		vhost_ring_publish(dut.tx, 1);
	}
	assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), VHOST_HDR_LEN);
	dut_stop();
}

/* More descriptors free than the threshold, but fewer than the packet needs. */
static void
test_tx_short_ring(void **state)
{
	struct rte_mempool *foreign = unit_stock_pool(512, 65000);

	(void)state;
	dut_start(&(struct dut_conf){ .ring = 256, .free_thresh = 32, .pages = 2048 });
	send_packets(dut.mp, 37, 0);
	assert_int_equal(dut_xstat("tx_q0_chained_packets"), 100);
	/* Copied, into 37 descriptors as well. */
	send_packets(foreign, 1, 36 * 1536 + 100);
	assert_int_equal(dut_xstat("tx_q0_copied_packets"), 100);
	/* More segments than are handed over. */
	send_packets(dut.mp, 65, 0);
	assert_int_equal(dut_xstat("tx_q0_copied_packets"), 200);
	assert_int_equal(dut_xstat("tx_q0_dropped_packets"), 0);
	dut_stop();
}

/* An index that says more than there can be: each entry is counted when it is looked at. */
static void
test_tx_jump(void **state)
{
	struct rte_mbuf *m;
	unsigned int i;

	(void)state;
	dut_start(&(struct dut_conf){ .ring = 64 });
	for (i = 0; i < 64; i++)
		vhost_ring_put(dut.tx, (uint16_t)i, UINT32_MAX, 0);
	vhost_ring_publish(dut.tx, 1000);
	for (i = 0; i < 1000; i++)
		assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), 0);
	m = make_chain(dut.mp, 1);
	assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
	for (i = 0; i < 2000; i++)
		assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), 0);
	assert_int_equal(dut_xstat("tx_q0_bad_used"), 1000);
	assert_int_equal(dut_tx_consume(), 1);
	assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), 1);
	assert_int_equal(dut_xstat("tx_q0_bad_used"), 1000);
	dut_stop();
}

/* Mbufs that say more than there is: the device can write those that lie in shared memory. */
static void
test_tx_lying_mbuf(void **state)
{
	struct rte_mempool *foreign = unit_stock_pool(64, 2048);
	struct rte_mbuf *m;

	(void)state;
	dut_start(&(struct dut_conf){ .ring = 64 });
	m = make_chain(foreign, 2);
	m->pkt_len = 10000;
	assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
	m = make_chain(foreign, 2);
	m->pkt_len = 0;
	assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
	m = make_chain(foreign, 1);
	m->pkt_len = UINT32_MAX - 4;
	assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
	assert_int_equal(dut_xstat("tx_q0_dropped_packets"), 1);
	assert_int_equal(dut_tx_consume(), 2);
	assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), 2);
	dut_stop();
}

/* Counters */

struct reader {
	uint64_t max_packets, max_bytes, max_errors;
	uint32_t stop;
	bool reset;
};

static int
read_stats(void *arg)
{
	struct reader *r = arg;
	struct rte_eth_stats stats;
	bool last;

	do {
		last = __atomic_load_n(&r->stop, __ATOMIC_ACQUIRE) != 0;
		if (r->reset)
			rte_eth_stats_reset(dut.port);
		rte_eth_stats_get(dut.port, &stats);
		r->max_packets = RTE_MAX(r->max_packets, stats.opackets);
		r->max_bytes = RTE_MAX(r->max_bytes, stats.obytes);
		r->max_errors = RTE_MAX(r->max_errors, stats.oerrors);
	} while (!last);
	return 0;
}

/* Packets longer than the whole ring holds, while somebody looks at the counters. */
static void
drop_packets(struct rte_mempool *mp, unsigned int bursts)
{
	struct rte_mbuf *m[BURST];
	unsigned int i, k;

	for (i = 0; i < bursts; i++) {
		for (k = 0; k < BURST; k++) {
			m[k] = make_chain(mp, 1);
			assert_non_null(rte_pktmbuf_append(m[k], 8000));
		}
		assert_int_equal(rte_eth_tx_burst(dut.port, 0, m, BURST), BURST);
	}
}

static void
test_counters(void **state)
{
	struct rte_mempool *foreign = unit_stock_pool(64, 9000);
	unsigned int i, lcore = worker();
	struct reader reader;

	(void)state;
	dut_start(&(struct dut_conf){ .ring = 4 });
	for (i = 0; i < 2; i++) {
		reader = (struct reader){ .reset = i == 1 };
		assert_int_equal(rte_eal_remote_launch(read_stats, &reader, lcore), 0);
		drop_packets(foreign, 4000);
		__atomic_store_n(&reader.stop, 1, __ATOMIC_RELEASE);
		rte_eal_wait_lcore(lcore);
		assert_int_equal(reader.max_packets, 0);
		assert_int_equal(reader.max_bytes, 0);
		assert_in_range(reader.max_errors, i == 0, 4000 * BURST);
		if (i == 0)
			assert_int_equal(dut_xstat("tx_q0_dropped_packets"), 4000 * BURST);
	}
	rte_eth_stats_reset(dut.port);
	assert_int_equal(dut_xstat("tx_q0_dropped_packets"), 0);
	dut_stop();
}

/* Reception */

struct flipper {
	uint32_t stop;
	uint32_t len[2];
};

/* Change the lengths of all entries for ever. */
static int
flip_lengths(void *arg)
{
	struct flipper *f = arg;
	unsigned int i = 0, at;

	while (__atomic_load_n(&f->stop, __ATOMIC_ACQUIRE) == 0)
		for (at = 0, i++; at < dut.rx->num; at++)
			__atomic_store_n(&dut.rx->used->ring[at].len, f->len[i & 1],
					__ATOMIC_RELAXED);
	return 0;
}

/* Entries that are changed while the driver looks at them: a packet has one of the lengths. */
static void
receive_flipped(const struct dut_conf *conf, uint32_t bad_len)
{
	struct flipper f = { .len = { VHOST_HDR_LEN + 60, bad_len } };
	unsigned int i, lcore = worker();
	struct rte_mbuf *m;

	dut_start(conf);
	for (i = 0; i < dut.rx->num; i++)
		vhost_ring_put(dut.rx, (uint16_t)i, i, f.len[0]);
	assert_int_equal(rte_eal_remote_launch(flip_lengths, &f, lcore), 0);
	for (i = 0; i < 200000; i++) {
		vhost_ring_publish(dut.rx, 1);
		if (rte_eth_rx_burst(dut.port, 0, &m, 1) == 0)
			continue;
		if (m->pkt_len != 60 || m->data_len != 60)
			break;
		rte_pktmbuf_free(m);
	}
	__atomic_store_n(&f.stop, 1, __ATOMIC_RELEASE);
	rte_eal_wait_lcore(lcore);
	if (i < 200000)
		fail_msg("packet %u has %u bytes", i, m->pkt_len);
	dut_stop();
}

static void
test_read_once(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		receive_flipped(&(struct dut_conf){ .lanes = i, .copy = true, .no_mrg = true },
				VHOST_HDR_LEN);
		receive_flipped(&(struct dut_conf){ .lanes = i, .copy = true }, UINT32_MAX);
		receive_flipped(&(struct dut_conf){ .lanes = i }, VHOST_HDR_LEN);
	}
}

/* Receive and free frames of 5 buffers. Returns how many of n arrive. */
static unsigned int
receive_large(unsigned int n, unsigned int burst, uint32_t len)
{
	unsigned int polls, i, k, got = 0;
	struct rte_mbuf *m[BURST];

	for (polls = 0; polls < POLLS && got < n; polls++) {
		k = rte_eth_rx_burst(dut.port, 0, m, (uint16_t)burst);
		for (i = 0; i < k; i++) {
			assert_int_equal(m[i]->pkt_len, len);
			assert_int_equal(m[i]->nb_segs, 5);
			rte_pktmbuf_free(m[i]);
		}
		got += k;
	}
	/* Descriptors that wait for a page get one. */
	assert_int_equal(poll_frames(m, BURST), 0);
	return got;
}

/* All pages but two are posted: the headers that a burst has at hand have to do. */
static void
few_pages(bool lanes)
{
	const uint32_t len = 4 * 1530 + 500;
	char *frame = calloc(1, len);
	unsigned int round, i;

	assert_non_null(frame);
	dut_start(&(struct dut_conf){ .lanes = lanes, .pages = 64 + 2, .scatter = true });
	assert_int_equal(dut.buf_len, 1534);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < 10; i++)
			assert_true(vhost_peer_send(dut.peer, frame, len));
		assert_int_equal(receive_large(10, round % 2 == 0 ? BURST : 1, len), 10);
	}
	free(frame);
	dut_stop();
}

static void
test_few_pages(void **state)
{
	(void)state;
	few_pages(true);
	few_pages(false);
}

/* A ring that could have all buffers leaves some for packets. */
static void
test_all_posted(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		dut_start(&(struct dut_conf){ .lanes = i, .pages = 64 });
		dut_exchange(200, 60);
		dut_exchange(200, 1500);
		dut_stop();
	}
}

/* Send and receive until there is no header for a packet, which waits in the ring then. */
static unsigned int
receive_until_short(struct rte_mbuf **m, unsigned int held, unsigned int max)
{
	const char frame[60] = "";

	for (; held < max; held++) {
		assert_true(vhost_peer_send(dut.peer, frame, sizeof(frame)));
		if (rte_eth_rx_burst(dut.port, 0, &m[held], 1) == 0)
			break;
	}
	return held;
}

/* What waits in the ring goes when the port is stopped: what waits later counts, too. */
static void
short_again(bool lanes)
{
	struct rte_mbuf **m = calloc(4096, sizeof(*m));
	unsigned int held;

	assert_non_null(m);
	dut_start(&(struct dut_conf){ .lanes = lanes, .pages = 80, .page_size = 16384 });
	held = take_all_pages(m, 4096);
	held = receive_until_short(m, held, 4096);
	assert_int_equal(dut_xstat("rx_q0_no_header"), 1);
	dut_restart();
	held = receive_until_short(m, held, 4096);
	assert_int_equal(dut_xstat("rx_q0_no_header"), 2);
	rte_pktmbuf_free_bulk(m, held);
	free(m);
	dut_stop();
}

static void
test_short_again(void **state)
{
	(void)state;
	short_again(true);
	short_again(false);
}

/* An index far ahead while there is no header for any packet. */
static void
jump_starved(bool lanes)
{
	struct rte_mbuf **m = calloc(4096, sizeof(*m));
	unsigned int i, n, held;

	assert_non_null(m);
	dut_start(&(struct dut_conf){ .lanes = lanes, .pages = 80, .page_size = 16384 });
	held = receive_until_short(m, take_all_pages(m, 4096), 4096);
	assert_int_equal(dut_xstat("rx_q0_no_header"), 1);
	/* All entries but the one of the packet that waits. */
	for (i = 0; i < dut.rx->num - 1u; i++)
		vhost_ring_put(dut.rx, (uint16_t)i, UINT32_MAX, 100);
	vhost_ring_publish(dut.rx, (uint16_t)(dut.rx->num - 1));
	vhost_ring_publish(dut.rx, 700);
	for (i = 0; i < 3000; i++)
		assert_int_equal(rte_eth_rx_burst(dut.port, 0, &m[held], 1), 0);
	assert_int_equal(dut_xstat("rx_q0_bad_used"), 0);
	/* Each waits once, those that cannot be not at all. */
	assert_in_range(dut_xstat("rx_q0_no_header"), 1, dut.rx->num);
	rte_pktmbuf_free_bulk(m, held);
	for (i = 0, n = 0; i < 3000; i++) {
		if (rte_eth_rx_burst(dut.port, 0, m, 1) == 1) {
			rte_pktmbuf_free(m[0]);
			n++;
		}
	}
	assert_int_equal(n + dut_xstat("rx_q0_bad_used") + dut_xstat("rx_q0_short_packets"),
			1 + dut.rx->num - 1 + 700);
	assert_int_equal(rte_eth_rx_queue_count(dut.port, 0), 0);
	free(m);
	dut_stop();
}

static void
test_jump_starved(void **state)
{
	(void)state;
	jump_starved(true);
	jump_starved(false);
}

/* Descriptors that wait for a page have no memory. */
static void
test_starved_descriptor(void **state)
{
	struct rte_mbuf *page[32], *m[4];
	const char frame[1400] = "";
	unsigned int i, n;
	uint16_t id;

	(void)state;
	dut_start(&(struct dut_conf){ .lanes = true, .ring = RTE_DIM(m), .pages = RTE_DIM(page) });
	n = take_all_pages(page, RTE_DIM(page));
	for (i = 0; i < RTE_DIM(m); i++)
		assert_true(vhost_peer_send(dut.peer, frame, sizeof(frame)));
	assert_int_equal(poll_frames(m, RTE_DIM(m)), RTE_DIM(m));
	assert_int_equal(dut_xstat("rx_q0_no_page"), RTE_DIM(m));
	for (i = 0; i < RTE_DIM(m); i++) {
		assert_int_equal(dut.rx->desc[i].len, 0);
		assert_int_equal(dut.rx->desc[i].addr, 0);
	}
	assert_int_equal(vhost_ring_pending(dut.rx), 0);
	rte_pktmbuf_free_bulk(page, n);
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
	assert_int_equal(poll_frames(m, 1), 0);
	for (i = 0; i < RTE_DIM(m); i++) {
		id = vhost_ring_take(dut.rx);
		assert_int_equal(dut.rx->desc[id].len, dut.buf_len);
		assert_non_null(vhost_peer_at(dut.peer, dut.rx->desc[id].addr, dut.buf_len));
	}
	dut.rx->next_avail -= RTE_DIM(m);
	dut_exchange(10, sizeof(frame));
	dut_stop();
}

/* Fewer bytes than an Ethernet header are no fault of the ring. */
static void
receive_short(const struct dut_conf *conf)
{
	struct rte_eth_stats stats;
	struct rte_mbuf *m;
	uint32_t len;

	dut_start(conf);
	for (len = 0; len < VHOST_HDR_LEN + 14; len++) {
		vhost_ring_put(dut.rx, 0, vhost_ring_take(dut.rx), len);
		vhost_ring_publish(dut.rx, 1);
		assert_int_equal(poll_frames(&m, 1), 0);
	}
	assert_int_equal(dut_xstat("rx_q0_bad_used"), VHOST_HDR_LEN);
	assert_int_equal(dut_xstat("rx_q0_short_packets"), 14);
	assert_int_equal(rte_eth_stats_get(dut.port, &stats), 0);
	assert_int_equal(stats.ierrors, VHOST_HDR_LEN + 14);
	dut_exchange(100, 14);
	dut_stop();
}

static void
test_short_frames(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++)
		receive_short(&(struct dut_conf){ .lanes = i / 2, .copy = i % 2 });
}

/* Packets that are copied out of bounce buffers, into slots */

/* The smallest class that holds so much. */
static struct ppool_slot_class
class_of(uint32_t len)
{
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int i, n = unit_slot_classes(dut.mp, c);

	for (i = 0; i < n && c[i].room < len; i++)
		;
	assert_true(i < n);
	return c[i];
}

static struct rte_mbuf *
receive_frame(const char *frame, uint32_t len)
{
	struct rte_mbuf *m;

	assert_true(vhost_peer_send(dut.peer, frame, len));
	assert_int_equal(poll_frames(&m, 1), 1);
	assert_int_equal(m->pkt_len, len);
	return m;
}

/* Each packet, in one piece or in several, weighs what slots of its size weigh. */
static void
receive_into_classes(const struct dut_conf *conf, uint32_t max_len)
{
	struct rte_mbuf *m[512], *seg;
	char *frame = malloc(max_len);
	struct rte_eth_rxq_info info;
	unsigned int n = 0, segs;
	size_t weight;
	uint32_t len;

	assert_non_null(frame);
	dut_start(conf);
	assert_int_equal(rte_eth_rx_queue_info_get(dut.port, 0, &info), 0);
	unit_fill(frame, max_len, 1);
	for (len = 60; n < RTE_DIM(m) && len <= max_len; len += 1 + len / 50) {
		m[n] = receive_frame(frame, len);
		weight = 0;
		segs = 0;
		for (seg = m[n]; seg != NULL; seg = seg->next, segs++)
			weight += class_of(seg->data_len).truesize;
		assert_in_range(ppool_mbuf_truesize(m[n]), weight - segs, weight);
		assert_int_equal(segs, (len + info.rx_buf_size - 1) / info.rx_buf_size);
		n++;
	}
	assert_int_equal(unit_ledger(dut.mp).frags, 0);
	rte_pktmbuf_free_bulk(m, n);
	dut_exchange(100, max_len);
	free(frame);
	dut_stop();
}

static void
test_copied_into_classes(void **state)
{
	(void)state;
	receive_into_classes(&(struct dut_conf){ .copy = true }, 1522);
	receive_into_classes(&(struct dut_conf){ .copy = true, .page_size = 16384 }, 1522);
	receive_into_classes(&(struct dut_conf){ .copy = true, .mtu = 9000, .page_size = 16384 },
			9022);
	receive_into_classes(&(struct dut_conf){ .copy = true,
					     .mtu = 9000,
					     .page_size = 16384,
					     .no_mrg = true },
			9022);
	receive_into_classes(&(struct dut_conf){ .copy = true,
					     .mtu = 9000,
					     .pages = 1024,
					     .scatter = true },
			9022);
}

/* What a few held packets pin is proportional to them, whatever came in between. */
static void
test_copied_few_held(void **state)
{
	struct rte_mbuf *held[50], *m;
	const char frame[1500] = "";
	unsigned int i, k, n = 0;
	uint64_t bytes = 0;

	(void)state;
	dut_start(&(struct dut_conf){ .copy = true, .page_size = 16384 });
	for (i = 0; i < 50 * RTE_DIM(held); i++) {
		k = i % 50;
		m = receive_frame(frame, k % 2 == 0 ? 60 : 1500);
		if (k == 0)
			held[n++] = m;
		else
			rte_pktmbuf_free(m);
	}
	for (i = 0; i < n; i++)
		bytes += ppool_mbuf_truesize(held[i]);
	assert_in_range(unit_ledger(dut.mp).class_live, bytes - n, bytes);
	/* One page of each of the two classes would do; another one may be idle or begun. */
	assert_in_range(unit_ledger(dut.mp).class_pages, 1, 4);
	rte_pktmbuf_free_bulk(held, n);
	dut_stop();
}

/*
 * Without a slot of its class a packet takes an idle one of the next larger class, and without any
 * it stays in the ring, counted once, until there is one.
 */
static void
test_copied_short(void **state)
{
	struct rte_mbuf *page[512], *big[64], *m, *two[2];
	struct ppool_slot_class large;
	const char frame[60] = "";
	unsigned int n;

	(void)state;
	dut_start(&(struct dut_conf){ .copy = true, .page_size = 16384 });
	large = class_of(1500);
	assert_in_range(large.slots, 2, RTE_DIM(big));
	assert_int_equal(rte_pktmbuf_alloc_bulk(unit_slot_pool(dut.mp, 1500), big, large.slots), 0);
	n = take_all_pages(page, RTE_DIM(page));
	rte_pktmbuf_free(big[--large.slots]);
	m = receive_frame(frame, sizeof(frame));
	assert_in_range(ppool_mbuf_truesize(m), large.truesize - 1, large.truesize);
	assert_int_equal(dut_xstat("rx_q0_no_header"), 0);
	assert_true(vhost_peer_send(dut.peer, frame, sizeof(frame)));
	assert_true(vhost_peer_send(dut.peer, frame, sizeof(frame)));
	assert_int_equal(poll_frames(two, 2), 0);
	assert_int_equal(rte_eth_rx_queue_count(dut.port, 0), 2);
	assert_int_equal(dut_xstat("rx_q0_no_header"), 2);
	rte_pktmbuf_free(m);
	assert_int_equal(poll_frames(two, 2), 1);
	rte_pktmbuf_free_bulk(page, n);
	assert_int_equal(poll_frames(&two[1], 1), 1);
	assert_int_equal(dut_xstat("rx_q0_no_header"), 2);
	assert_int_equal(dut_xstat("rx_q0_packets"), 3);
	rte_pktmbuf_free_bulk(two, 2);
	rte_pktmbuf_free_bulk(big, large.slots);
	dut_stop();
}

/* Wrong descriptors */

/* Use a buffer as a packet of so many bytes, and say that it was this one. */
static void
use_buffer(uint16_t ahead, uint32_t id, uint32_t len)
{
	vhost_ring_put(dut.rx, ahead, id, VHOST_HDR_LEN + len);
}

/* A correct back end fills so many buffers before the driver looks, again and again. */
static void
exchange_bursts(unsigned int n, unsigned int times)
{
	char frame[1500];
	struct rte_mbuf *m[64];
	unsigned int i;
	uint32_t len;

	for (; times > 0; times--) {
		for (i = 0; i < n; i++) {
			len = i % 2 == 0 ? 60 + i : sizeof(frame) - i;
			unit_fill(frame, len, i);
			assert_true(vhost_peer_send(dut.peer, frame, len));
		}
		assert_int_equal(poll_frames(m, n), n);
		for (i = 0; i < n; i++) {
			assert_int_equal(m[i]->pkt_len, i % 2 == 0 ? 60 + i : sizeof(frame) - i);
			assert_true(unit_filled_data(m[i], i));
		}
		rte_pktmbuf_free_bulk(m, n);
	}
}

/*
 * A back end that loses a descriptor, as it gives back another number, and then one that comes back
 * with a wrong length: from there on neither ring is in order. All frames behind these arrive.
 */
static void
test_lost_descriptors(void **state)
{
	unsigned int way, i;
	struct rte_mbuf *m;

	(void)state;
	for (way = 0; way < 4; way++) {
		dut_start(&(struct dut_conf){ .lanes = way / 2, .copy = way % 2 });
		for (i = 0; i < 8; i++) {
			exchange_bursts(40, 3);
			vhost_ring_take(dut.rx);
			use_buffer(0, dut.rx->num, 100);
			vhost_ring_publish(dut.rx, 1);
			assert_int_equal(poll_frames(&m, 1), 0);
			exchange_bursts(19, 3);
			use_buffer(0, vhost_ring_take(dut.rx), UINT32_MAX);
			vhost_ring_publish(dut.rx, 1);
			assert_int_equal(poll_frames(&m, 1), 0);
		}
		exchange_bursts(40, 20);
		assert_int_equal(dut_xstat("rx_q0_bad_used"), 2 * i);
		dut_stop();
	}
}

/* The same descriptor two times in one burst, at any place of a new ring: one of them is wrong. */
static void
test_twice(void **state)
{
	unsigned int way, before, n, i;
	struct rte_mbuf *m[64];
	uint16_t id, first = 0;

	(void)state;
	for (way = 0; way < 4; way++) {
		for (before = 1; before < 60; before += 7) {
			dut_start(&(struct dut_conf){ .lanes = way / 2, .copy = way % 2 });
			for (i = 0; i < before; i++) {
				id = vhost_ring_take(dut.rx);
				if (i == 0)
					first = id;
				use_buffer((uint16_t)i, id, 60 + i * 20);
			}
			use_buffer((uint16_t)i, first, 100);
			vhost_ring_publish(dut.rx, (uint16_t)(before + 1));
			n = rte_eth_rx_burst(dut.port, 0, m, RTE_DIM(m));
			assert_int_equal(n, before);
			assert_int_equal(dut_xstat("rx_q0_bad_used"), 1);
			rte_pktmbuf_free_bulk(m, n);
			exchange_bursts(40, 5);
			assert_int_equal(dut_xstat("rx_q0_bad_used"), 1);
			dut_stop();
		}
	}
}

/* Fewer descriptors than the ring has places. */
static void
test_part_of_ring(void **state)
{
	static const uint16_t rxd[] = { 4, 5, 33, 50, 63 };
	unsigned int way, i;

	(void)state;
	for (way = 0; way < 4; way++) {
		for (i = 0; i < RTE_DIM(rxd); i++) {
			dut_start(&(struct dut_conf){
					.lanes = way / 2, .copy = way % 2, .rxd = rxd[i] });
			exchange_bursts(rxd[i] / 2, 100);
			assert_int_equal(dut_xstat("rx_q0_bad_used"), 0);
			dut_stop();
		}
	}
}

/*
 * So many wrong entries that places of both rings are equal again, then one for the place itself,
 * behind the last descriptor, also in the available ring, which the device can write.
 */
static void
test_beyond_descriptors(void **state)
{
	const uint16_t rxd = 50, before = 5;
	struct rte_mbuf *m;
	unsigned int way, i;

	(void)state;
	for (way = 0; way < 4; way++) {
		dut_start(&(struct dut_conf){ .lanes = way / 2, .copy = way % 2, .rxd = rxd });
		dut_exchange(before, 100);
		for (i = 0; i < rxd; i++) {
			use_buffer(0, UINT32_MAX, 100);
			vhost_ring_publish(dut.rx, 1);
			assert_int_equal(poll_frames(&m, 1), 0);
		}
		dut.rx->avail->ring[rxd + before] = rxd + before;
		use_buffer(0, rxd + before, 100);
		vhost_ring_publish(dut.rx, 1);
		assert_int_equal(poll_frames(&m, 1), 0);
		assert_int_equal(dut_xstat("rx_q0_bad_used"), rxd + 1);
		dut_restart();
		exchange_bursts(rxd / 2, 10);
		dut_stop();
	}
}

/*
 * So many wrong entries that places of both rings seem to be equal where no descriptor is: numbers
 * of places come round after 65,536.
 */
static void
test_places_come_round(void **state)
{
	const uint16_t ring = 64, rxd = 50, first = rxd + 1, step = 23;
	const unsigned int wrong = 65536 - (ring - rxd);
	struct rte_mbuf *m[64];
	unsigned int i, n;

	(void)state;
	dut_start(&(struct dut_conf){ .ring = ring, .rxd = rxd });
	dut_exchange(1, 100);
	for (i = 0; i < wrong; i += n) {
		for (n = 0; n < RTE_MIN(step, wrong - i); n++)
			use_buffer((uint16_t)n, UINT32_MAX, 100);
		vhost_ring_publish(dut.rx, (uint16_t)n);
		assert_int_equal(rte_eth_rx_burst(dut.port, 0, m, RTE_DIM(m)), 0);
	}
	for (i = first; i < ring; i++) {
		dut.rx->avail->ring[i] = (uint16_t)i;
		use_buffer((uint16_t)(i - first), i, 100);
	}
	vhost_ring_publish(dut.rx, ring - first);
	assert_int_equal(rte_eth_rx_burst(dut.port, 0, m, RTE_DIM(m)), 0);
	assert_int_equal(dut_xstat("rx_q0_bad_used"), wrong + ring - first);
	dut_restart();
	exchange_bursts(rxd / 2, 10);
	dut_stop();
}

/* Memory */

#define RANGES 20
#define RANGE_LEN ((size_t)2 << 20)

/* A pool in ranges of EAL's memory as long as the gaps between them. */
static struct rte_mempool *
make_scattered_pool(char *mem)
{
	struct rte_pktmbuf_pool_private priv = { .mbuf_data_room_size = 16384 };
	struct rte_mempool *mp;
	unsigned int i;

	mp = rte_mempool_create_empty(unit_name(), 2048, sizeof(struct rte_mbuf) + 16384, 0,
			sizeof(priv), SOCKET_ID_ANY, 0);
	unit_register(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, PPOOL_OPS_NAME, NULL), 0);
	rte_pktmbuf_pool_init(mp, &priv);
	for (i = 0; i < RANGES && mp->populated_size < mp->size; i++)
		assert_true(rte_mempool_populate_virt(mp, mem + 2 * i * RANGE_LEN, RANGE_LEN,
					    RANGE_LEN, NULL, NULL) > 0);
	assert_int_equal(mp->populated_size, mp->size);
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
}

/* Whether two parts of EAL's memory are in one file. */
static bool
share_file(const void *a, const void *b)
{
	const struct rte_memseg *x = rte_mem_virt2memseg(a, NULL);
	const struct rte_memseg *y = rte_mem_virt2memseg(b, NULL);

	return x != NULL && y != NULL && rte_memseg_get_fd(x) >= 0 &&
			rte_memseg_get_fd(x) == rte_memseg_get_fd(y);
}

/* What lies between ranges of one file is shared before packets are copied. */
static void
test_ranges(void **state)
{
	const struct rte_memzone *mz;
	struct rte_mempool *mp;
	bool one_file;

	(void)state;
	mz = rte_memzone_reserve_aligned("unit_ranges", 2 * RANGES * RANGE_LEN, SOCKET_ID_ANY, 0,
			RANGE_LEN);
	assert_non_null(mz);
	mp = make_scattered_pool(mz->addr);
	one_file = share_file(mz->addr, RTE_PTR_ADD(mz->addr, RANGE_LEN));
	dut_start_pool(&(struct dut_conf){ .ring = 64 }, mp);
	print_message("the pool has %u ranges of %s\n", mp->nb_mem_chunks,
			one_file ? "one file" : "several files");
	assert_int_equal(dut_copies(), !one_file);
	dut_exchange(1000, 1500);
	dut_stop();
	rte_memzone_free(mz);
}

/* Sizes and kinds of addresses */

/* Counters, and how many of the lengths below each of them counts. */
static const struct {
	const char *name;
	unsigned int n;
} size_counters[] = {
	{ "undersize_packets", 2 },
	{ "size_64_packets", 1 },
	{ "size_65_127_packets", 2 },
	{ "size_128_255_packets", 2 },
	{ "size_256_511_packets", 2 },
	{ "size_512_1023_packets", 2 },
	{ "size_1024_1518_packets", 2 },
	{ "size_1519_max_packets", 2 },
	{ "multicast_packets", 1 },
	{ "broadcast_packets", 2 },
	{ "good_packets", 15 },
};

static const uint32_t sized_lens[] = { 14, 63, 64, 65, 127, 128, 255, 256, 511, 512, 1023, 1024,
	1518, 1519, 1522 };

/* The second one is sent to many, the third one and the fourth one to all. */
static void
sized_frame(char *frame, unsigned int i)
{
	memset(frame, 0, sized_lens[i]);
	memset(frame, i == 2 || i == 3 ? 0xff : i == 1 ? 0x01 : 0x02, RTE_ETHER_ADDR_LEN);
}

static void
check_sizes(const char *queue)
{
	char name[RTE_ETH_XSTATS_NAME_SIZE];
	uint64_t bytes = 0;
	unsigned int i;

	for (i = 0; i < RTE_DIM(size_counters); i++) {
		snprintf(name, sizeof(name), "%s_%s", queue, size_counters[i].name);
		assert_int_equal(dut_xstat(name), size_counters[i].n);
	}
	for (i = 0; i < RTE_DIM(sized_lens); i++)
		bytes += sized_lens[i];
	snprintf(name, sizeof(name), "%s_good_bytes", queue);
	assert_int_equal(dut_xstat(name), bytes);
}

static void
send_sized(unsigned int i)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(dut.mp);
	char *frame;

	assert_non_null(m);
	frame = rte_pktmbuf_append(m, (uint16_t)sized_lens[i]);
	assert_non_null(frame);
	sized_frame(frame, i);
	assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
}

static void
count_sizes(const struct dut_conf *conf)
{
	char frame[2048];
	struct rte_mbuf *m;
	unsigned int i;

	dut_start(conf);
	for (i = 0; i < RTE_DIM(sized_lens); i++) {
		sized_frame(frame, i);
		assert_true(vhost_peer_send(dut.peer, frame, sized_lens[i]));
		assert_int_equal(poll_frames(&m, 1), 1);
		rte_pktmbuf_free(m);
		send_sized(i);
	}
	check_sizes("rx_q0");
	check_sizes("tx_q0");
	/* What is not taken is not counted. */
	dut_tx_consume();
	assert_int_equal(rte_eth_dev_set_link_down(dut.port), 0);
	m = make_chain(dut.mp, 4);
	assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 0);
	rte_pktmbuf_free(m);
	check_sizes("tx_q0");
	assert_int_equal(rte_eth_xstats_reset(dut.port), 0);
	assert_int_equal(dut_xstat("rx_q0_size_64_packets"), 0);
	assert_int_equal(dut_xstat("tx_q0_broadcast_packets"), 0);
	dut_stop();
}

static void
test_sizes(void **state)
{
	uint64_t id;

	RTE_SET_USED(state);
	count_sizes(&(struct dut_conf){ .size_stats = true });
	count_sizes(&(struct dut_conf){ .size_stats = true, .lanes = true });
	count_sizes(&(struct dut_conf){ .size_stats = true, .copy = true });
	dut_start(&(struct dut_conf){ .ring = 64 });
	assert_int_equal(rte_eth_xstats_get_id_by_name(dut.port, "rx_q0_size_64_packets", &id),
			-EINVAL);
	dut_exchange(10, 64);
	assert_int_equal(dut_xstat("rx_q0_good_packets"), 10);
	dut_stop();
}

static const struct CMUnitTest tests[] = {
	DUT_TEST(test_tx_header),
	DUT_TEST(test_tx_short_ring),
	DUT_TEST(test_tx_jump),
	DUT_TEST(test_tx_lying_mbuf),
	DUT_TEST(test_counters),
	DUT_TEST(test_read_once),
	DUT_TEST(test_few_pages),
	DUT_TEST(test_all_posted),
	DUT_TEST(test_short_again),
	DUT_TEST(test_jump_starved),
	DUT_TEST(test_starved_descriptor),
	DUT_TEST(test_short_frames),
	DUT_TEST(test_copied_into_classes),
	DUT_TEST(test_copied_few_held),
	DUT_TEST(test_copied_short),
	DUT_TEST(test_lost_descriptors),
	DUT_TEST(test_twice),
	DUT_TEST(test_part_of_ring),
	DUT_TEST(test_beyond_descriptors),
	DUT_TEST(test_places_come_round),
	DUT_TEST(test_ranges),
	DUT_TEST(test_sizes),
};

UNIT_SUITE(rings, "entries of net_ppfrag's rings, with a back end that does what a test wants",
		tests);
