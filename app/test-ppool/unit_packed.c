/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdlib.h>
#include <time.h>

#include <rte_cycles.h>

#include "dut.h"

/*
 * Packed rings: what is different there. Single entries, correct and wrong ones, of a back end that
 * writes packed descriptors. Everything else is in the suites rings, hostile and reconnect.
 */

#define BURST 32
#define POLLS 20000
#define IDLE_POLLS 100 /* PPFRAG_RETRY_POLLS is 16 */
#define RING 64
#define TIMEOUT_MS 10000

/* Every way to receive, by number. */
#define WAYS 8

static struct dut_conf
conf_of(unsigned int way)
{
	return (struct dut_conf){
		.packed = true,
		.in_order = (way & 4) != 0,
		.lanes = (way & 2) != 0,
		.copy = (way & 1) != 0,
	};
}

static bool
is_packed(void)
{
	struct rte_eth_burst_mode rx, tx;

	assert_int_equal(rte_eth_rx_burst_mode_get(dut.port, 0, &rx), 0);
	assert_int_equal(rte_eth_tx_burst_mode_get(dut.port, 0, &tx), 0);
	assert_int_equal(strstr(rx.info, "packed ring") != NULL,
			strstr(tx.info, "packed ring") != NULL);
	return strstr(rx.info, "packed ring") != NULL;
}

static void
start(const struct dut_conf *conf)
{
	dut_start(conf);
	assert_true(is_packed());
}

static unsigned int
poll_frames(struct rte_mbuf **m, unsigned int max)
{
	unsigned int i, n = 0;

	for (i = 0; i < POLLS && n < max; i++)
		n += rte_eth_rx_burst(dut.port, 0, m + n, (uint16_t)RTE_MIN(max - n, BURST));
	return n;
}

/* Nothing comes, for longer than a packet may wait for others, or a descriptor for a buffer. */
static void
poll_nothing(void)
{
	uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 100000;
	struct rte_mbuf *m;
	unsigned int i;

	for (i = 0; i < IDLE_POLLS || rte_rdtsc() < end; i++)
		assert_int_equal(rte_eth_rx_burst(dut.port, 0, &m, 1), 0);
}

/* A correct back end fills so many buffers before the driver looks. */
static void
exchange_burst(unsigned int n)
{
	struct rte_mbuf *m[RING];
	char frame[1500];
	unsigned int i;
	uint32_t len;

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

/* A packet of so many segments. */
static struct rte_mbuf *
make_packet(unsigned int segs, uint64_t tag)
{
	struct rte_mbuf *m = NULL, *seg;
	void *data;

	for (; segs > 0; segs--) {
		seg = rte_pktmbuf_alloc(dut.mp);
		assert_non_null(seg);
		data = rte_pktmbuf_append(seg, 40);
		assert_non_null(data);
		unit_fill(data, 40, tag);
		if (m != NULL)
			assert_int_equal(rte_pktmbuf_chain(seg, m), 0);
		m = seg;
	}
	return m;
}

static void
send_packet(unsigned int segs, uint64_t tag)
{
	struct rte_mbuf *m = make_packet(segs, tag);

	assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
}

/* The back end has the bytes of the next packet of one segment. Returns its id. */
static uint16_t
take_packet(uint64_t tag)
{
	const struct vhost_desc *d;
	uint16_t id;
	char *data;

	assert_true(vhost_ring_pending(dut.tx) > 0);
	id = vhost_ring_take(dut.tx);
	d = &dut.tx->desc[id];
	assert_int_equal(d->len, VHOST_HDR_LEN + 40);
	data = vhost_peer_at(dut.peer, d->addr, d->len);
	assert_non_null(data);
	assert_true(unit_filled(data + VHOST_HDR_LEN, 40, tag));
	return id;
}

static void
test_exchange(void **state)
{
	struct dut_conf conf;
	unsigned int way, i, mrg;

	(void)state;
	for (way = 0; way < 2 * WAYS; way++) {
		mrg = way / WAYS;
		conf = conf_of(way % WAYS);
		conf.no_mrg = mrg == 0;
		start(&conf);
		for (i = 0; i < 20; i++)
			exchange_burst(1 + i * 7 % (RING / 2));
		dut_exchange(3 * RING, 1500);
		for (i = 0; i < 3 * RING; i++) {
			send_packet(1, i);
			vhost_ring_put(dut.tx, 0, take_packet(i), 0);
			vhost_ring_publish(dut.tx, 1);
		}
		assert_int_equal(dut_xstat("rx_q0_bad_used") + dut_xstat("tx_q0_bad_used"), 0);
		dut_stop();
	}
}

/* Chains of more buffers than the other tests have, both directions. */
static void
test_chains(void **state)
{
	struct dut_conf conf;
	unsigned int way, i;

	(void)state;
	for (way = 0; way < WAYS; way++) {
		conf = conf_of(way);
		conf.scatter = true;
		conf.mtu = 9000;
		start(&conf);
		dut_exchange(100, 9000);
		for (i = 0; i < 100; i++) {
			send_packet(1 + i % 30, i);
			assert_int_equal(dut_tx_consume(), 1);
		}
		/* None is left but the last few, which are freed when the port stops. */
		assert_int_equal(dut_xstat("tx_q0_dropped_packets"), 0);
		assert_int_equal(dut_xstat("rx_q0_bad_used") + dut_xstat("tx_q0_bad_used"), 0);
		dut_stop();
	}
}

/* So many laps that positions, which have 16 bits, begin anew. */
static void
test_laps(void **state)
{
	struct dut_conf conf;
	unsigned int way, i;

	(void)state;
	for (way = 0; way < 4; way++) {
		conf = conf_of(way);
		conf.ring = 4;
		conf.pages = 32;
		start(&conf);
		dut_exchange(66000, 60);
		for (i = 0; i < 66000; i++) {
			send_packet(1 + i % 2, i);
			assert_int_equal(dut_tx_consume(), 1);
		}
		dut_stop();
	}
}

/* Reception: wrong entries */

static void
use_buffer(uint16_t ahead, uint32_t id, uint32_t len)
{
	vhost_ring_put(dut.rx, ahead, id, len);
}

/* Wrong ids lose descriptors, up to the last one; then all are offered again. */
static void
test_wrong_ids(void **state)
{
	struct dut_conf conf;
	unsigned int way, i, k;

	(void)state;
	for (way = 0; way < 4; way++) {
		conf = conf_of(way);
		start(&conf);
		for (i = 0; i < 3; i++) {
			exchange_burst(RING / 2);
			for (k = 0; k < RING; k++) {
				assert_true(vhost_ring_pending(dut.rx) > 0);
				vhost_ring_take(dut.rx);
				use_buffer(0, k % 2 == 0 ? RING : UINT16_MAX, 100);
				vhost_ring_publish(dut.rx, 1);
				poll_nothing();
			}
			assert_int_equal(dut_xstat("rx_q0_bad_used"), (i + 1) * RING);
			assert_int_equal(vhost_ring_pending(dut.rx), RING);
		}
		exchange_burst(RING / 2);
		unit_ledger(dut.mp);
		dut_stop();
	}
}

/* A ring so large that its square takes long. */
#define LARGE_RING 8192u
#define LARGE_US 5000u

/* What this thread has used of a CPU, in us. */
static uint64_t
cpu_us(void)
{
	struct timespec ts;

	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts), 0);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* A burst, which takes no longer than a look at each entry. */
static uint16_t
burst_in_time(struct rte_mbuf **m, uint16_t n)
{
	uint64_t start = cpu_us();

	n = rte_eth_rx_burst(dut.port, 0, m, n);
	assert_in_range(cpu_us() - start, 0, LARGE_US);
	return n;
}

/* A wrong id in each entry of a large ring costs no more than a right one. */
static void
test_wrong_ids_large(void **state)
{
	struct dut_conf conf = conf_of(4);
	struct rte_mbuf *m;
	unsigned int i;

	(void)state;
	conf.ring = LARGE_RING;
	conf.pages = LARGE_RING + 512;
	start(&conf);
	assert_int_equal(vhost_ring_pending(dut.rx), LARGE_RING);
	for (i = 0; i < LARGE_RING; i++) {
		vhost_ring_take(dut.rx);
		use_buffer((uint16_t)i, UINT16_MAX, 100);
	}
	vhost_ring_publish(dut.rx, LARGE_RING);
	assert_int_equal(burst_in_time(&m, 1), 0);
	assert_int_equal(dut_xstat("rx_q0_bad_used"), LARGE_RING);
	assert_int_equal(vhost_ring_pending(dut.rx), LARGE_RING);
	exchange_burst(RING / 2);
	dut_stop();
}

/* One wrong id, and packets in all other entries, for which there is no memory. */
static void
test_wrong_id_starved(void **state)
{
	struct rte_mbuf **held = calloc(2 * LARGE_RING, sizeof(held[0])), *m[BURST];
	struct dut_conf conf = conf_of(0);
	unsigned int i, n = 0;
	uint16_t id;

	(void)state;
	assert_non_null(held);
	conf.ring = LARGE_RING;
	conf.pages = LARGE_RING + 512;
	start(&conf);
	while (n < 2 * LARGE_RING && (held[n] = rte_pktmbuf_alloc(dut.mp)) != NULL)
		n++;
	vhost_ring_pending(dut.rx);
	for (i = 0; i < LARGE_RING; i++) {
		id = vhost_ring_take(dut.rx);
		use_buffer((uint16_t)i, i == 0 ? UINT16_MAX : id, VHOST_HDR_LEN + 1400);
	}
	vhost_ring_publish(dut.rx, LARGE_RING);
	assert_int_equal(burst_in_time(m, BURST), 0);
	assert_int_equal(dut_xstat("rx_q0_bad_used"), 1);
	assert_int_equal(vhost_ring_pending(dut.rx), 1);
	rte_pktmbuf_free_bulk(held, n);
	for (i = 1; i < LARGE_RING; i += n) {
		n = rte_eth_rx_burst(dut.port, 0, m, BURST);
		assert_true(n > 0);
		rte_pktmbuf_free_bulk(m, n);
	}
	assert_int_equal(vhost_ring_pending(dut.rx), LARGE_RING);
	exchange_burst(RING / 2);
	free(held);
	dut_stop();
}

/* The same buffer two times in one burst: one of them is wrong. */
static void
test_twice(void **state)
{
	struct rte_mbuf *m[RING];
	unsigned int way, before, i;
	uint16_t id, first = 0;
	struct dut_conf conf;

	(void)state;
	for (way = 0; way < 4; way++) {
		for (before = 1; before < 60; before += 7) {
			conf = conf_of(way);
			start(&conf);
			vhost_ring_pending(dut.rx);
			for (i = 0; i < before; i++) {
				id = vhost_ring_take(dut.rx);
				if (i == 0)
					first = id;
				use_buffer((uint16_t)i, id, VHOST_HDR_LEN + 60 + i * 20);
			}
			use_buffer((uint16_t)i, first, VHOST_HDR_LEN + 60);
			vhost_ring_publish(dut.rx, (uint16_t)(before + 1));
			assert_int_equal(rte_eth_rx_queue_count(dut.port, 0), before + 1);
			assert_int_equal(rte_eth_rx_burst(dut.port, 0, m, RING), before);
			assert_int_equal(dut_xstat("rx_q0_bad_used"), 1);
			rte_pktmbuf_free_bulk(m, before);
			unit_ledger(dut.mp);
			dut_stop();
		}
	}
}

/* Lengths that are too short for a header, for a frame, or longer than the buffer. */
static void
test_wrong_lengths(void **state)
{
	struct dut_conf conf;
	unsigned int way, bad;
	uint32_t len;

	(void)state;
	for (way = 0; way < WAYS; way++) {
		conf = conf_of(way);
		start(&conf);
		for (len = 0, bad = 0; len < VHOST_HDR_LEN + 14; len++) {
			vhost_ring_pending(dut.rx);
			use_buffer(0, vhost_ring_take(dut.rx), len);
			vhost_ring_publish(dut.rx, 1);
			poll_nothing();
		}
		for (; bad < 32; bad++) {
			vhost_ring_pending(dut.rx);
			use_buffer(0, vhost_ring_take(dut.rx),
					bad % 2 == 0 ? dut.buf_len + 1 : UINT32_MAX - bad);
			vhost_ring_publish(dut.rx, 1);
			poll_nothing();
		}
		assert_int_equal(dut_xstat("rx_q0_bad_used"), VHOST_HDR_LEN + bad);
		assert_int_equal(dut_xstat("rx_q0_short_packets"), 14);
		exchange_burst(RING / 2);
		assert_int_equal(vhost_ring_pending(dut.rx), RING);
		dut_stop();
	}
}

/* Counts of buffers that there cannot be. */
static void
test_wrong_counts(void **state)
{
	static const uint16_t counts[] = { 0, RING + 1, 1000, UINT16_MAX };
	struct dut_conf conf;
	unsigned int way, i;
	uint16_t id;
	char *buf;

	(void)state;
	for (way = 0; way < WAYS; way++) {
		conf = conf_of(way);
		start(&conf);
		for (i = 0; i < RTE_DIM(counts); i++) {
			vhost_ring_pending(dut.rx);
			id = vhost_ring_take(dut.rx);
			buf = vhost_peer_at(dut.peer, dut.rx->desc[id].addr, dut.buf_len);
			assert_non_null(buf);
			memcpy(buf + VHOST_HDR_LEN - sizeof(counts[i]), &counts[i],
					sizeof(counts[i]));
			use_buffer(0, id, dut.buf_len);
			vhost_ring_publish(dut.rx, 1);
			poll_nothing();
			assert_int_equal(dut_xstat("rx_q0_bad_used"), i + 1);
		}
		exchange_burst(RING / 2);
		dut_stop();
	}
}

/* Without pages, packets wait in the ring, or descriptors out of it; both come again. */
static void
test_starved(void **state)
{
	struct rte_mbuf **m = calloc(4096, sizeof(*m)), *got;
	const char frame[1400] = "";
	unsigned int way, held, i;
	struct dut_conf conf;

	(void)state;
	assert_non_null(m);
	for (way = 0; way < WAYS; way++) {
		conf = conf_of(way);
		conf.pages = 160;
		start(&conf);
		for (held = 0; held < 4096 && (m[held] = rte_pktmbuf_alloc(dut.mp)) != NULL; held++)
			;
		for (i = 0; i < 40 * RING && vhost_ring_pending(dut.rx) > 0; i++) {
			assert_true(vhost_peer_send(dut.peer, frame, sizeof(frame)));
			if (poll_frames(&got, 1) == 1)
				m[held++] = got;
		}
		assert_true(dut_xstat("rx_q0_no_header") + dut_xstat("rx_q0_no_page") > 0);
		rte_pktmbuf_free_bulk(m, held);
		held = poll_frames(m, rte_eth_rx_queue_count(dut.port, 0));
		rte_pktmbuf_free_bulk(m, held);
		poll_nothing();
		assert_int_equal(dut_xstat("rx_q0_packets"), i);
		assert_int_equal(vhost_ring_pending(dut.rx), RING);
		exchange_burst(RING / 2);
		dut_stop();
	}
	free(m);
}

/* Use in order */

/* A packet in several buffers, of which the back end tells of the last. */
static void
test_skipped_buffers(void **state)
{
	const uint32_t len = 4 * 1530;
	struct rte_mbuf *m;
	struct dut_conf conf;
	unsigned int way, round;
	char *frame = malloc(2 * (size_t)len);
	const void *data;
	uint16_t n;

	(void)state;
	assert_non_null(frame);
	for (way = 4; way < WAYS; way++) {
		conf = conf_of(way);
		conf.scatter = true;
		conf.mtu = 9000;
		start(&conf);
		for (round = 0; round < 100; round++) {
			unit_fill(frame, len, round);
			n = vhost_peer_fill(dut.peer, frame, len);
			assert_true(n > 1);
			vhost_ring_publish_last(dut.rx, n);
			assert_int_equal(poll_frames(&m, 1), 1);
			assert_int_equal(m->pkt_len, len);
			data = rte_pktmbuf_read(m, 0, len, &frame[len]);
			assert_memory_equal(data, frame, len);
			rte_pktmbuf_free(m);
		}
		assert_int_equal(dut_xstat("rx_q0_bad_used"), 0);
		dut_stop();
	}
	free(frame);
}

/* Transmission */

/* Packets come back in the reverse order. */
static void
test_any_order(void **state)
{
	const struct dut_conf conf = conf_of(0);
	uint16_t id[RING];
	unsigned int round, i, n;

	(void)state;
	start(&conf);
	for (round = 0; round < 50; round++) {
		n = 1 + round % 20;
		for (i = 0; i < n; i++)
			send_packet(1 + i % 3, i);
		assert_int_equal(vhost_ring_pending(dut.tx), n);
		for (i = 0; i < n; i++)
			id[n - 1 - i] = vhost_ring_take(dut.tx);
		for (i = 0; i < n; i++)
			vhost_ring_put(dut.tx, (uint16_t)i, id[i], 0);
		vhost_ring_publish(dut.tx, (uint16_t)n);
		assert_int_equal(rte_eth_tx_descriptor_status(dut.port, 0, RING - 1),
				RTE_ETH_TX_DESC_DONE);
		assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), n);
	}
	assert_int_equal(dut_xstat("tx_q0_bad_used"), 0);
	dut_stop();
}

/* The back end tells of the last packet of several; chains are among them. */
static void
test_skipped_packets(void **state)
{
	const struct dut_conf conf = conf_of(4);
	unsigned int round, i, n;

	(void)state;
	start(&conf);
	for (round = 0; round < 200; round++) {
		n = 1 + round % 20;
		for (i = 0; i < n; i++)
			send_packet(1 + i % 3, i);
		assert_int_equal(vhost_ring_pending(dut.tx), n);
		for (i = 0; i < n; i++)
			vhost_ring_put(dut.tx, (uint16_t)i, vhost_ring_take(dut.tx), 0);
		vhost_ring_publish_last(dut.tx, (uint16_t)n);
		assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), n);
	}
	assert_int_equal(dut_xstat("tx_q0_bad_used"), 0);
	dut_stop();
}

/* Numbers of no packet, and of one that came back before, free nothing. */
static void
test_wrong_packets(void **state)
{
	struct dut_conf conf;
	unsigned int way, i;
	uint16_t id;

	(void)state;
	for (way = 0; way < WAYS; way += 4) {
		conf = conf_of(way);
		start(&conf);
		for (i = 0; i < 5; i++)
			send_packet(1, i);
		id = take_packet(0);
		vhost_ring_put(dut.tx, 0, id, 0);
		vhost_ring_put(dut.tx, 1, id, 0);
		vhost_ring_put(dut.tx, 2, RING, 0);
		vhost_ring_put(dut.tx, 3, UINT16_MAX, 0);
		vhost_ring_publish(dut.tx, 4);
		assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), 1);
		assert_int_equal(dut_xstat("tx_q0_bad_used"), 3);
		dut_restart();
		for (i = 0; i < 2 * RING; i++) {
			send_packet(1, i);
			assert_int_equal(dut_tx_consume(), 1);
		}
		assert_int_equal(dut_xstat("tx_q0_bad_used"), 3);
		dut_stop();
	}
}

/* Send packets of 1 to segs segments until the ring is full. Returns how many. */
static unsigned int
fill_ring(unsigned int segs)
{
	unsigned int n = 0, used = 0, nb = 1;

	for (; used + nb <= RING; nb = 1 + n % segs) {
		send_packet(nb, n++);
		used += nb;
	}
	for (; used < RING; used++)
		send_packet(1, n++);
	return n;
}

/* Whether one more packet is taken. */
static bool
is_taken(void)
{
	struct rte_mbuf *m = make_packet(1, 0);

	if (rte_eth_tx_burst(dut.port, 0, &m, 1) == 1)
		return true;
	rte_pktmbuf_free(m);
	return false;
}

/*
 * The back end uses every descriptor, and names packets that it has not: it cannot give back the
 * others any more, so that these are free, and the ring is as good as new.
 */
static void
test_only_wrong_packets(void **state)
{
	struct dut_conf conf;
	unsigned int way, round, i;

	(void)state;
	for (way = 0; way < WAYS; way += 4) {
		conf = conf_of(way);
		start(&conf);
		for (round = 0; round < 6; round++) {
			fill_ring(1 + round % 3);
			assert_true(vhost_ring_pending(dut.tx) > 0);
			for (i = 0; i < RING; i++) {
				assert_false(is_taken());
				vhost_ring_put(dut.tx, 0, i % 2 == 0 ? RING : UINT16_MAX, 0);
				vhost_ring_publish(dut.tx, 1);
			}
			assert_true(is_taken());
			assert_int_equal(dut_xstat("tx_q0_bad_used"), (round + 1) * RING);
			dut_restart();
			unit_ledger(dut.mp);
		}
		dut_stop();
	}
}

/* The same of all but one: also where its packet has come back before. */
static void
test_one_right_packet(void **state)
{
	struct dut_conf conf;
	unsigned int way, i, n = 0;
	uint16_t id;

	(void)state;
	for (way = 0; way < WAYS; way += 4) {
		conf = conf_of(way);
		start(&conf);
		fill_ring(1);
		id = take_packet(0);
		for (i = 0; i < RING; i++)
			vhost_ring_put(dut.tx, (uint16_t)i, id, 0);
		vhost_ring_publish(dut.tx, RING);
		assert_int_equal(rte_eth_tx_descriptor_status(dut.port, 0, 0),
				RTE_ETH_TX_DESC_DONE);
		n = (unsigned int)rte_eth_tx_done_cleanup(dut.port, 0, 1);
		n += (unsigned int)rte_eth_tx_done_cleanup(dut.port, 0, 0);
		assert_int_equal(n, RING);
		assert_int_equal(dut_xstat("tx_q0_bad_used"), RING - 1);
		assert_int_equal(rte_eth_tx_descriptor_status(dut.port, 0, RING - 1),
				RTE_ETH_TX_DESC_DONE);
		unit_ledger(dut.mp);
		dut_stop();
	}
}

/* Events */

static void
test_kicks(void **state)
{
	const struct dut_conf conf = conf_of(0);
	uint64_t rx, tx;

	(void)state;
	start(&conf);
	dut.rx->device->flags = VHOST_EVENT_DISABLE;
	dut.tx->device->flags = VHOST_EVENT_DISABLE;
	send_packet(1, 0);
	exchange_burst(RING / 2);
	poll_nothing();
	send_packet(1, 1);
	assert_int_equal(dut_tx_consume(), 2);
	rx = dut_xstat("rx_q0_kicks");
	tx = dut_xstat("tx_q0_kicks");
	exchange_burst(RING / 2);
	send_packet(1, 2);
	assert_int_equal(dut_xstat("rx_q0_kicks"), rx);
	assert_int_equal(dut_xstat("tx_q0_kicks"), tx);
	dut.rx->device->flags = VHOST_EVENT_ENABLE;
	dut.tx->device->flags = VHOST_EVENT_ENABLE;
	poll_nothing();
	send_packet(1, 3);
	assert_int_equal(dut_xstat("rx_q0_kicks"), rx + 1);
	assert_int_equal(dut_xstat("tx_q0_kicks"), tx + 1);
	assert_int_equal(dut.rx->driver->flags, VHOST_EVENT_DISABLE);
	assert_int_equal(rte_eth_dev_rx_intr_enable(dut.port, 0), 0);
	assert_int_equal(dut.rx->driver->flags, VHOST_EVENT_ENABLE);
	assert_int_equal(rte_eth_dev_rx_intr_disable(dut.port, 0), 0);
	assert_int_equal(dut.rx->driver->flags, VHOST_EVENT_DISABLE);
	dut_stop();
}

/* Layouts */

/* Packets in both rings when the port is stopped: none is lost, and the rings are as new. */
static void
test_stop_inflight(void **state)
{
	const char frame[200] = "";
	struct dut_conf conf;
	unsigned int way, i;

	(void)state;
	for (way = 0; way < WAYS; way++) {
		conf = conf_of(way);
		start(&conf);
		for (i = 0; i < 20; i++) {
			send_packet(1 + i % 3, i);
			assert_true(vhost_peer_send(dut.peer, frame, sizeof(frame)));
		}
		dut_restart();
		unit_ledger(dut.mp);
		assert_int_equal(vhost_ring_pending(dut.tx), 0);
		assert_int_equal(vhost_ring_pending(dut.rx), RING);
		exchange_burst(RING / 2);
		dut_stop();
	}
}

/* A back end without packed rings gets split ones. After a reset another one gets packed ones. */
static void
test_fallback(void **state)
{
	struct dut_conf conf = conf_of(0);

	(void)state;
	conf.no_packed = true;
	dut_start(&conf);
	assert_false(is_packed());
	dut_exchange(2 * RING, 100);
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	dut.features = VHOST_F_PACKED;
	dut_replace_peer();
	/* The port has met it by then. */
	rte_delay_us_sleep(1500 * 1000);
	assert_int_equal(rte_eth_dev_reset(dut.port), 0);
	dut_start_port(&conf);
	assert_true(is_packed());
	exchange_burst(RING / 2);
	dut_stop();
}

/* What was in the rings is gone, and they work again. */
static void
restart_queues(void)
{
	assert_int_equal(rte_eth_dev_rx_queue_stop(dut.port, 0), 0);
	assert_int_equal(rte_eth_dev_tx_queue_stop(dut.port, 0), 0);
	unit_ledger(dut.mp);
	assert_int_equal(rte_eth_dev_rx_queue_start(dut.port, 0), 0);
	assert_int_equal(rte_eth_dev_tx_queue_start(dut.port, 0), 0);
	dut_look_at_rings();
}

/*
 * Rubbish over the whole ring, what tells how far it is, too. Afterwards a restart of the port
 * helps, or of its queues.
 */
static void
test_rubbish(void **state)
{
	unsigned int way, round, rounds = (unsigned int)unit_scaled(200, 20000), i;
	uint64_t rng = unit_seed, *word;
	struct rte_mbuf *m[BURST];
	struct dut_conf conf;
	uint16_t n;

	(void)state;
	for (way = 0; way < WAYS; way++) {
		conf = conf_of(way);
		conf.scatter = true;
		start(&conf);
		for (round = 0; round < rounds; round++) {
			send_packet(1 + round % 3, round);
			word = (uint64_t *)dut.rx->packed;
			for (i = 0; i < 2u * RING; i++)
				word[i] = unit_random(&rng);
			word = (uint64_t *)dut.tx->packed;
			for (i = 0; i < 2u * RING; i++)
				word[i] = unit_random(&rng);
			for (i = 0; i < 4; i++) {
				n = rte_eth_rx_burst(dut.port, 0, m, BURST);
				rte_pktmbuf_free_bulk(m, n);
			}
			rte_eth_tx_done_cleanup(dut.port, 0, 0);
			if (round % 8 != 0)
				continue;
			if (round % 16 == 0)
				dut_restart();
			else
				restart_queues();
			exchange_burst(RING / 4);
			send_packet(1, round);
			assert_int_equal(dut_tx_consume(), 1);
		}
		unit_ledger(dut.mp);
		dut_stop();
	}
}

static const struct CMUnitTest tests[] = {
	DUT_TEST(test_exchange),
	DUT_TEST(test_chains),
	DUT_TEST(test_laps),
	DUT_TEST(test_wrong_ids),
	DUT_TEST(test_wrong_ids_large),
	DUT_TEST(test_wrong_id_starved),
	DUT_TEST(test_twice),
	DUT_TEST(test_wrong_lengths),
	DUT_TEST(test_wrong_counts),
	DUT_TEST(test_starved),
	DUT_TEST(test_skipped_buffers),
	DUT_TEST(test_any_order),
	DUT_TEST(test_skipped_packets),
	DUT_TEST(test_wrong_packets),
	DUT_TEST(test_only_wrong_packets),
	DUT_TEST(test_one_right_packet),
	DUT_TEST(test_kicks),
	DUT_TEST(test_stop_inflight),
	DUT_TEST(test_fallback),
	DUT_TEST(test_rubbish),
};

UNIT_SUITE(packed, "packed rings of net_ppfrag, with a back end that does what a test wants",
		tests);
