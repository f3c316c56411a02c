/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_version.h>
#include <rte_alarm.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_epoll.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>

#include <ppool_create.h>

#include "unit.h"

/*
 * A port of net_ppfrag, the dut, and at the other end of its socket a port of the stock driver
 * net_vhost, the peer, in one process: what one sends is in the ring of the other at once. All is
 * done by one thread, so that tests know what is in the rings.
 */

#define DUT_NAME "net_ppfrag_unit"
#define PEER_NAME "net_vhost_unit"
#define RING 64
#define FRAMES_MAX 512
#define TIMEOUT_S 30

enum memory { EAL, MEMFD };

static struct {
	uint16_t dut, peer;
	bool ready;                  /* both drivers are there */
	bool no_aio;                 /* io_setup() was refused to the dut */
	bool lanes;                  /* the dut receives into lanes, else into slots */
	uint16_t ring;               /* descriptors of the dut's receive queue */
	struct rte_mempool *mp;      /* of the dut */
	struct rte_mempool *peer_mp; /* fixed buffers */
	char dir[32], path[48];
} wire;

/* Ports */

static struct rte_mempool *
make_pool(enum memory memory, uint32_t pages, uint32_t page_size)
{
	const struct ppool_create_conf conf = {
		.name = unit_name(),
		.pages = pages,
		.page_size = page_size,
		.socket_id = SOCKET_ID_ANY,
		.backing = memory == MEMFD ? PPOOL_BACKING_MEMFD : PPOOL_BACKING_EAL,
	};

	return unit_register(ppool_create(&conf));
}

static int
start_port(uint16_t port, struct rte_mempool *mp, uint16_t ring)
{
	const struct rte_eth_conf conf = { .intr_conf = { .rxq = port == wire.dut } };
	int ret;

	ret = rte_eth_dev_configure(port, 1, 1, &conf);
	if (ret == 0)
		ret = rte_eth_rx_queue_setup(port, 0, ring, SOCKET_ID_ANY, NULL, mp);
	if (ret == 0)
		ret = rte_eth_tx_queue_setup(port, 0, RING, SOCKET_ID_ANY, NULL);
	return ret == 0 ? rte_eth_dev_start(port) : ret;
}

static void
start_dut_ring(enum memory memory, uint32_t pages, uint32_t page_size, uint16_t ring)
{
	unit_require(!wire.no_aio || unit_can_refuse_aio(), UNIT_REFUSE_AIO);
	unit_require(wire.ready, "the drivers net_vhost and net_ppfrag: -d librte_net_ppfrag.so");
	wire.mp = make_pool(memory, pages, page_size);
	wire.ring = ring;
	assert_int_equal(start_port(wire.dut, wire.mp, ring), 0);
	unit_wait_link(wire.peer, RTE_ETH_LINK_UP);
}

static void
start_dut(enum memory memory, uint32_t pages, uint32_t page_size)
{
	start_dut_ring(memory, pages, page_size, RING);
}

/* Stop the dut and free its pool, its receive queue before. */
static void
stop_dut(void)
{
	const struct rte_eth_conf conf = { .rxmode = { .mtu = 0 } };

	assert_int_equal(rte_eth_dev_stop(wire.dut), 0);
	assert_int_equal(rte_eth_dev_configure(wire.dut, 0, 1, &conf), 0);
	unit_pool_free(wire.mp);
	wire.mp = NULL;
}

static int
plug_dut(void *args)
{
	return rte_eal_hotplug_add("vdev", DUT_NAME, args);
}

/* How a test is run. */
struct way {
	bool no_aio, lanes;
};

static int
wire_setup(void **state)
{
	const struct way *way = *state;
	char args[96];
	uint64_t id;

	/* What ethdev allocates at its first use stays. */
	rte_eth_dev_owner_new(&id);
	unit_setup(state);
	memset(&wire, 0, sizeof(wire));
	wire.no_aio = way->no_aio;
	wire.lanes = way->lanes;
	snprintf(wire.dir, sizeof(wire.dir), "/tmp/ppfrag-unit-XXXXXX");
	if (mkdtemp(wire.dir) == NULL)
		return -1;
	snprintf(wire.path, sizeof(wire.path), "%s/sock", wire.dir);
	snprintf(args, sizeof(args), "iface=%s", wire.path);
	if (rte_eal_hotplug_add("vdev", PEER_NAME, args) != 0 ||
			rte_eth_dev_get_port_by_name(PEER_NAME, &wire.peer) != 0)
		return 0;
	wire.dut = RTE_MAX_ETHPORTS;
	wire.peer_mp = unit_stock_pool(4 * FRAMES_MAX, RTE_MBUF_DEFAULT_BUF_SIZE);
	if (start_port(wire.peer, wire.peer_mp, RING) != 0)
		return -1;
	snprintf(args, sizeof(args), "path=%s%s", wire.path, way->lanes ? ",rx=lanes" : "");
	wire.ready = (way->no_aio ? unit_without_aio(plug_dut, args) : plug_dut(args)) == 0 &&
			rte_eth_dev_get_port_by_name(DUT_NAME, &wire.dut) == 0;
	return 0;
}

static void
remove_port(const char *name)
{
	uint16_t port;

	if (rte_eth_dev_get_port_by_name(name, &port) != 0)
		return;
	rte_eth_dev_stop(port);
	rte_eth_dev_close(port);
	rte_eal_hotplug_remove("vdev", name);
}

static int
port_teardown(void **state)
{
	remove_port(DUT_NAME);
	remove_port(PEER_NAME);
	unlink(wire.path);
	rmdir(wire.dir);
	return unit_teardown(state);
}

static struct way slots, lanes = { .lanes = true };
static struct way slots_no_aio = { .no_aio = true };
static struct way lanes_no_aio = { .no_aio = true, .lanes = true };

#define PORT_TEST_AS(f, way) \
	{ \
		.name = #f "_" #way, .test_func = (f), .setup_func = wire_setup, \
		.teardown_func = port_teardown, .initial_state = &(way), \
	}

#define PORT_TEST(f) PORT_TEST_AS(f, slots), PORT_TEST_AS(f, lanes)

/* The same without asynchronous I/O. */
#define PORT_TEST_NO_AIO(f) PORT_TEST_AS(f, slots_no_aio), PORT_TEST_AS(f, lanes_no_aio)

/* Frames */

static struct rte_mbuf *
make_frame(struct rte_mempool *mp, uint32_t len, uint64_t tag)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);

	assert_non_null(m);
	assert_non_null(rte_pktmbuf_append(m, (uint16_t)len));
	unit_fill_data(m, tag);
	return m;
}

static uint32_t
frame_len(uint64_t tag)
{
	return RTE_ETHER_MIN_LEN + (uint32_t)(tag * 61 % (RTE_ETHER_MTU - 64));
}

/* Send frames with tags from first on. */
static void
send_frames(uint16_t port, struct rte_mempool *mp, uint64_t first, unsigned int n)
{
	uint64_t end = rte_rdtsc() + TIMEOUT_S * rte_get_tsc_hz();
	struct rte_mbuf *m;
	unsigned int i;

	for (i = 0; i < n; i++) {
		m = make_frame(mp, frame_len(first + i), first + i);
		while (rte_eth_tx_burst(port, 0, &m, 1) == 0) {
			if (rte_rdtsc() > end) {
				rte_pktmbuf_free(m);
				fail_msg("frame %u of %u is not taken by port %u", i, n, port);
			}
		}
	}
}

/* Receive frames with tags from first on; all of them are in the ring. */
static void
receive_frames(uint16_t port, struct rte_mbuf **m, uint64_t first, unsigned int n)
{
	unsigned int i, got = 0;

	for (i = 0; got < n && i < FRAMES_MAX; i++)
		got += rte_eth_rx_burst(port, 0, m + got, (uint16_t)(n - got));
	assert_int_equal(got, n);
	for (i = 0; i < n; i++) {
		assert_int_equal(m[i]->pkt_len, frame_len(first + i));
		assert_true(unit_filled_data(m[i], first + i));
	}
}

static void
exchange(unsigned int n)
{
	struct rte_mbuf *m[RING];
	unsigned int i, k;

	for (i = 0; i < n; i += k) {
		k = RTE_MIN(n - i, (unsigned int)wire.ring / 2);
		send_frames(wire.peer, wire.peer_mp, i, k);
		receive_frames(wire.dut, m, i, k);
		rte_pktmbuf_free_bulk(m, k);
		send_frames(wire.dut, wire.mp, i, k);
		receive_frames(wire.peer, m, i, k);
		rte_pktmbuf_free_bulk(m, k);
		assert_int_equal(rte_eth_tx_done_cleanup(wire.dut, 0, 0), k);
	}
}

/* Tests */

static bool
is_zero_copy(void)
{
	struct rte_eth_burst_mode mode;

	assert_int_equal(rte_eth_rx_burst_mode_get(wire.dut, 0, &mode), 0);
	return strstr(mode.info, "zero-copy") != NULL;
}

static uint64_t
xstat(const char *name)
{
	uint64_t id, value;

	assert_int_equal(rte_eth_xstats_get_id_by_name(wire.dut, name, &id), 0);
	assert_int_equal(rte_eth_xstats_get_by_id(wire.dut, &id, &value, 1), 1);
	return value;
}

static void
test_exchange(void **state)
{
	static const struct {
		enum memory memory;
		uint32_t pages, page_size;
	} pools[] = {
		{ EAL, 256, 2176 },
		{ MEMFD, 256, 16384 },
		/* Where each hugepage is a file, these are more than can be passed. */
		{ EAL, 512, 65280 },
	};
	unsigned int i;

	(void)state;
	/* Behind 22.11, DPDK keeps something from the first vhost port on. */
	if (RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0))
		unit_forgive_heap();
	for (i = 0; i < RTE_DIM(pools); i++) {
		start_dut(pools[i].memory, pools[i].pages, pools[i].page_size);
		exchange(FRAMES_MAX);
		assert_int_equal(is_zero_copy(), xstat("rx_q0_copied_packets") == 0);
		assert_int_equal(xstat("rx_q0_packets"), FRAMES_MAX);
		assert_int_equal(xstat("tx_q0_packets"), FRAMES_MAX);
		unit_ledger(wire.mp);
		stop_dut();
		assert_int_equal(rte_eth_stats_reset(wire.dut), 0);
	}
}

static void
test_memfd(void **state)
{
	struct rte_eth_burst_mode mode;
	struct ppool_memfd memfd;
	unsigned int i, repeated = 0;
	void *addr = NULL;

	(void)state;
	/* A new pool at the addresses of the old one is other memory. */
	for (i = 0; i < 4; i++) {
		start_dut(MEMFD, 512, 65280);
		assert_int_equal(ppool_memfd(wire.mp, &memfd), 0);
		repeated += memfd.addr == addr;
		addr = memfd.addr;
		assert_true(is_zero_copy());
		assert_int_equal(rte_eth_tx_burst_mode_get(wire.dut, 0, &mode), 0);
		assert_int_not_equal(mode.info[0], '\0');
		exchange(FRAMES_MAX);
		stop_dut();
	}
	/*
	 * Where the first one was, the back end still has the memory mapped when the next comes. On
	 * 32 bits, where addresses are scarce, the place may go to something else.
	 */
	assert_true(repeated > 0 || sizeof(void *) == 4);
	assert_int_not_equal(rte_eth_rx_burst_mode_get(wire.dut, 0, &mode), 0);
}

/* A page that holds the longest frame, but no slot of it does: into lanes, if nobody said slots. */
static void
test_short_pages(void **state)
{
	struct rte_eth_burst_mode mode;

	(void)state;
	start_dut(MEMFD, 512, 1800);
	assert_int_equal(rte_eth_rx_burst_mode_get(wire.dut, 0, &mode), 0);
	assert_non_null(strstr(mode.info, "zero-copy"));
	assert_null(strstr(mode.info, "slots"));
	exchange(FRAMES_MAX);
	stop_dut();
}

/* Pages over 64 KB, which only ppool_create() makes. */
static void
test_large_pages(void **state)
{
	(void)state;
	start_dut(MEMFD, 128, 300000);
	assert_true(is_zero_copy());
	exchange(FRAMES_MAX);
	stop_dut();
}

static void
test_pool_ops(void **state)
{
	struct rte_mempool *stock;

	(void)state;
	start_dut(EAL, 256, 2176);
	assert_int_equal(rte_eth_dev_pool_ops_supported(wire.dut, PPOOL_OPS_NAME), 0);
	assert_int_equal(rte_eth_dev_pool_ops_supported(wire.dut, "ring_mp_mc"), -ENOTSUP);
	/* What it says is what it does. */
	assert_int_equal(rte_eth_dev_stop(wire.dut), 0);
	stock = unit_stock_pool(256, RTE_MBUF_DEFAULT_BUF_SIZE);
	assert_int_equal(rte_eth_rx_queue_setup(wire.dut, 0, RING, SOCKET_ID_ANY, NULL, stock),
			-EINVAL);
}

static void
test_rx_state(void **state)
{
	struct rte_mbuf *m[RING];
	unsigned int i;

	(void)state;
	start_dut(EAL, 256, 2176);
	assert_int_equal(rte_eth_rx_queue_count(wire.dut, 0), 0);
	assert_int_equal(rte_eth_rx_descriptor_status(wire.dut, 0, 0), RTE_ETH_RX_DESC_AVAIL);
	send_frames(wire.peer, wire.peer_mp, 0, 10);
	assert_int_equal(rte_eth_rx_queue_count(wire.dut, 0), 10);
	for (i = 0; i < RING; i++)
		assert_int_equal(rte_eth_rx_descriptor_status(wire.dut, 0, (uint16_t)i),
				i < 10 ? RTE_ETH_RX_DESC_DONE : RTE_ETH_RX_DESC_AVAIL);
	assert_int_equal(rte_eth_rx_descriptor_status(wire.dut, 0, RING), -EINVAL);
	receive_frames(wire.dut, m, 0, 4);
	assert_int_equal(rte_eth_rx_queue_count(wire.dut, 0), 6);
	receive_frames(wire.dut, m + 4, 4, 6);
	assert_int_equal(rte_eth_rx_queue_count(wire.dut, 0), 0);
	rte_pktmbuf_free_bulk(m, 10);
}

static void
test_tx_state(void **state)
{
	struct rte_mbuf *m[RING];
	unsigned int i;

	(void)state;
	start_dut(EAL, 256, 2176);
	for (i = 0; i < RING; i++)
		assert_int_equal(rte_eth_tx_descriptor_status(wire.dut, 0, (uint16_t)i),
				RTE_ETH_TX_DESC_DONE);
	assert_int_equal(rte_eth_tx_descriptor_status(wire.dut, 0, RING), -EINVAL);
	send_frames(wire.dut, wire.mp, 0, 10);
	for (i = 0; i < RING; i++)
		assert_int_equal(rte_eth_tx_descriptor_status(wire.dut, 0, (uint16_t)i),
				i < RING - 10 ? RTE_ETH_TX_DESC_DONE : RTE_ETH_TX_DESC_FULL);
	receive_frames(wire.peer, m, 0, 4);
	for (i = 0; i < RING; i++)
		assert_int_equal(rte_eth_tx_descriptor_status(wire.dut, 0, (uint16_t)i),
				i < RING - 6 ? RTE_ETH_TX_DESC_DONE : RTE_ETH_TX_DESC_FULL);
	assert_int_equal(rte_eth_tx_done_cleanup(wire.dut, 0, 1), 1);
	assert_int_equal(rte_eth_tx_done_cleanup(wire.dut, 0, 0), 3);
	receive_frames(wire.peer, m + 4, 4, 6);
	assert_int_equal(rte_eth_tx_done_cleanup(wire.dut, 0, 0), 6);
	assert_int_equal(rte_eth_tx_done_cleanup(wire.dut, 0, 0), 0);
	rte_pktmbuf_free_bulk(m, 10);
}

static void
test_settings(void **state)
{
	struct rte_ether_addr mac = { .addr_bytes = { 2, 0, 0, 0, 0, 7 } }, got;
	struct rte_eth_rxq_info rxq;
	struct rte_eth_txq_info txq;
	uint16_t mtu;

	(void)state;
	start_dut(EAL, 256, 16384);
	assert_int_equal(rte_eth_rx_queue_info_get(wire.dut, 0, &rxq), 0);
	assert_ptr_equal(rxq.mp, wire.mp);
	assert_int_equal(rxq.nb_desc, RING);
	assert_int_equal(rte_eth_tx_queue_info_get(wire.dut, 0, &txq), 0);
	assert_int_equal(txq.nb_desc, RING);
	assert_int_equal(rte_eth_dev_default_mac_addr_set(wire.dut, &mac), 0);
	assert_int_equal(rte_eth_macaddr_get(wire.dut, &got), 0);
	assert_memory_equal(&got, &mac, sizeof(mac));
	assert_int_equal(rte_eth_promiscuous_enable(wire.dut), 0);
	assert_int_equal(rte_eth_promiscuous_disable(wire.dut), -ENOTSUP);
	assert_int_equal(rte_eth_promiscuous_get(wire.dut), 1);
	assert_int_equal(rte_eth_allmulticast_enable(wire.dut), 0);
	assert_int_equal(rte_eth_allmulticast_disable(wire.dut), -ENOTSUP);
	assert_int_equal(rte_eth_allmulticast_get(wire.dut), 1);
	assert_int_equal(rte_eth_dev_set_mtu(wire.dut, 9000), -EBUSY);
	assert_int_equal(rte_eth_dev_stop(wire.dut), 0);
	assert_int_equal(rte_eth_dev_set_mtu(wire.dut, 9000), 0);
	assert_int_equal(rte_eth_dev_get_mtu(wire.dut, &mtu), 0);
	assert_int_equal(mtu, 9000);
	assert_int_equal(rte_eth_dev_start(wire.dut), 0);
	unit_wait_link(wire.peer, RTE_ETH_LINK_UP);
	exchange(RING);
}

static int
add_address(uint8_t last)
{
	struct rte_ether_addr mac = { .addr_bytes = { 2, 0, 0, 0, 1, last } };

	return rte_eth_dev_mac_addr_add(wire.dut, &mac, 0);
}

/* 64 addresses, and what is sent to none of them: all of it is received. */
static void
test_addresses(void **state)
{
	struct rte_ether_addr mac = { .addr_bytes = { 2, 0, 0, 0, 1, 7 } };
	struct rte_ether_addr multicast[2] = { { .addr_bytes = { 1, 0, 0x5e, 0, 0, 1 } },
		{ .addr_bytes = { 1, 0, 0x5e, 0, 0, 2 } } };
	struct rte_eth_dev_info info;
	uint8_t i;

	(void)state;
	start_dut(EAL, 256, 16384);
	assert_int_equal(rte_eth_dev_info_get(wire.dut, &info), 0);
	assert_int_equal(info.max_mac_addrs, 64);
	for (i = 1; i < 64; i++)
		assert_int_equal(add_address(i), 0);
	assert_int_equal(add_address(7), 0);
	assert_int_equal(add_address(64), -ENOSPC);
	assert_int_equal(rte_eth_dev_mac_addr_remove(wire.dut, &mac), 0);
	assert_int_equal(add_address(64), 0);
	assert_int_equal(add_address(65), -ENOSPC);
	assert_int_equal(rte_eth_dev_set_mc_addr_list(wire.dut, multicast, 2), 0);
	assert_int_equal(rte_eth_dev_set_mc_addr_list(wire.dut, NULL, 0), 0);
	exchange(RING);
	assert_int_equal(rte_eth_dev_stop(wire.dut), 0);
	assert_int_equal(rte_eth_dev_start(wire.dut), 0);
	unit_wait_link(wire.peer, RTE_ETH_LINK_UP);
	assert_int_equal(add_address(64), 0);
	assert_int_equal(add_address(7), -ENOSPC);
	exchange(RING);
}

static void
test_link(void **state)
{
	struct rte_mbuf *m;

	(void)state;
	start_dut(EAL, 256, 16384);
	exchange(RING);
	assert_int_equal(rte_eth_dev_set_link_down(wire.dut), 0);
	assert_true(unit_link_is(wire.dut, RTE_ETH_LINK_DOWN));
	m = make_frame(wire.mp, 64, 1);
	assert_int_equal(rte_eth_tx_burst(wire.dut, 0, &m, 1), 0);
	rte_pktmbuf_free(m);
	assert_int_equal(rte_eth_dev_set_link_up(wire.dut), 0);
	assert_true(unit_link_is(wire.dut, RTE_ETH_LINK_UP));
	exchange(RING);
	assert_int_equal(rte_eth_dev_stop(wire.dut), 0);
	assert_int_equal(rte_eth_dev_set_link_down(wire.dut), 0);
	assert_int_equal(rte_eth_dev_set_link_up(wire.dut), -EINVAL);
	assert_int_equal(rte_eth_dev_start(wire.dut), 0);
	assert_true(unit_link_is(wire.dut, RTE_ETH_LINK_UP));
	unit_wait_link(wire.peer, RTE_ETH_LINK_UP);
	exchange(RING);
}

/* Receive interrupts */

static int
wait_event(int timeout_ms)
{
	struct rte_epoll_event event = { .fd = -1 };
	int n = rte_epoll_wait(RTE_EPOLL_PER_THREAD, &event, 1, timeout_ms);

	if (n == 1)
		assert_int_equal((uintptr_t)event.epdata.data, 0x1234);
	return n;
}

static int
control_events(int op)
{
	return rte_eth_dev_rx_intr_ctl_q(wire.dut, 0, RTE_EPOLL_PER_THREAD, op, (void *)0x1234);
}

/* Take events that came for no reason, as they may. */
static void
drain_events(void)
{
	while (wait_event(0) == 1)
		;
}

static void
test_interrupts(void **state)
{
	struct rte_mbuf *m[RING];
	unsigned int i;

	(void)state;
	start_dut(EAL, 256, 16384);
	assert_true(rte_eth_dev_rx_intr_ctl_q_get_fd(wire.dut, 0) >= 0);
	assert_int_equal(control_events(RTE_INTR_EVENT_ADD), 0);
	drain_events();

	for (i = 0; i < 3; i++) {
		/* Off: silence. */
		assert_int_equal(rte_eth_dev_rx_intr_disable(wire.dut, 0), 0);
		send_frames(wire.peer, wire.peer_mp, 0, 2);
		assert_int_equal(wait_event(0), 0);
		receive_frames(wire.dut, m, 0, 2);
		rte_pktmbuf_free_bulk(m, 2);

		/* On: silence until something comes. */
		assert_int_equal(rte_eth_dev_rx_intr_enable(wire.dut, 0), 0);
		assert_int_equal(wait_event(0), 0);
		send_frames(wire.peer, wire.peer_mp, 2, 2);
		assert_int_equal(wait_event(TIMEOUT_S * 1000), 1);
		assert_int_equal(wait_event(0), 0);
		receive_frames(wire.dut, m, 2, 2);
		rte_pktmbuf_free_bulk(m, 2);

		/* What came before is not slept over. */
		assert_int_equal(rte_eth_dev_rx_intr_disable(wire.dut, 0), 0);
		send_frames(wire.peer, wire.peer_mp, 4, 1);
		assert_int_equal(rte_eth_dev_rx_intr_enable(wire.dut, 0), 0);
		assert_int_equal(wait_event(TIMEOUT_S * 1000), 1);
		receive_frames(wire.dut, m, 4, 1);
		rte_pktmbuf_free_bulk(m, 1);
	}
	assert_int_equal(control_events(RTE_INTR_EVENT_DEL), 0);
	/* One that is forgotten goes with the port. */
	assert_int_equal(control_events(RTE_INTR_EVENT_ADD), 0);
	stop_dut();
	assert_int_equal(rte_eth_dev_rx_intr_enable(wire.dut, 0), -EINVAL);
	drain_events();
}

/* Receive interrupts of a back end that fills the counter for ever and has writers wait. */

#define EVENTFD_FULL (UINT64_MAX - 1)
#define STEALS 20000

static bool rescued;

static void
rescue(void *arg)
{
	eventfd_t count;

	rescued = eventfd_read(*(int *)arg, &count) == 0;
}

static void
test_clogged_interrupt(void **state)
{
	struct rte_mbuf *m[2];
	int fd;

	(void)state;
	start_dut(EAL, 256, 16384);
	fd = rte_eth_dev_rx_intr_ctl_q_get_fd(wire.dut, 0);
	assert_true(fd >= 0);
	assert_int_equal(control_events(RTE_INTR_EVENT_ADD), 0);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	assert_int_equal(eventfd_write(fd, EVENTFD_FULL), 0);
	drain_events();
	send_frames(wire.peer, wire.peer_mp, 0, RTE_DIM(m));
	rescued = false;
	assert_int_equal(rte_eal_alarm_set(TIMEOUT_S * US_PER_S, rescue, &fd), 0);
	assert_int_equal(rte_eth_dev_rx_intr_enable(wire.dut, 0), 0);
	rte_eal_alarm_cancel(rescue, &fd);
	assert_false(rescued);
	assert_int_equal(wait_event(TIMEOUT_S * 1000), 1);
	assert_int_equal(rte_eth_dev_rx_intr_disable(wire.dut, 0), 0);
	assert_int_equal(control_events(RTE_INTR_EVENT_DEL), 0);
	receive_frames(wire.dut, m, 0, RTE_DIM(m));
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
}

/* A back end that empties the counter that EAL is about to read, and has readers wait. */

static bool stealing;

static void *
steal(void *arg)
{
	struct pollfd pfd = { .fd = *(int *)arg, .events = POLLIN };
	eventfd_t count;

	while (__atomic_load_n(&stealing, __ATOMIC_RELAXED))
		if (poll(&pfd, 1, 0) == 1)
			eventfd_read(pfd.fd, &count);
	return NULL;
}

/* Nobody waits for ever, whoever reads first. */
static void
feed(void *arg)
{
	rescued = true;
	eventfd_write(*(int *)arg, 1);
	rte_eal_alarm_set(1000, feed, arg);
}

static void
test_stolen_interrupt(void **state)
{
	pthread_t thief;
	bool stuck;
	int fd, i;

	(void)state;
	start_dut(EAL, 256, 16384);
	assert_int_equal(control_events(RTE_INTR_EVENT_ADD), 0);
	fd = rte_eth_dev_rx_intr_ctl_q_get_fd(wire.dut, 0);
	assert_int_equal(fcntl(fd, F_SETFL, 0), 0);
	rescued = false;
	stealing = true;
	assert_int_equal(pthread_create(&thief, NULL, steal, &fd), 0);
	assert_int_equal(rte_eal_alarm_set(TIMEOUT_S * US_PER_S, feed, &fd), 0);
	for (i = 0; i < STEALS; i++) {
		eventfd_write(fd, 1);
		wait_event(0);
	}
	stuck = rescued;
	__atomic_store_n(&stealing, false, __ATOMIC_RELAXED);
	eventfd_write(fd, 1);
	pthread_join(thief, NULL);
	rte_eal_alarm_cancel(feed, &fd);
	assert_false(stuck);
	assert_int_equal(control_events(RTE_INTR_EVENT_DEL), 0);
	drain_events();
}

/* The application is told of a lost link by a thread that must not find the port closed. */

static struct {
	bool began, ended;
} telling;

static int
on_link(uint16_t port, enum rte_eth_event_type type, void *arg, void *ret)
{
	(void)port;
	(void)type;
	(void)arg;
	(void)ret;
	__atomic_store_n(&telling.began, true, __ATOMIC_RELEASE);
	/* Long enough for another thread to close a port. */
	rte_delay_us_sleep(US_PER_S / 2);
	__atomic_store_n(&telling.ended, true, __ATOMIC_RELEASE);
	return 0;
}

static void
wait_told(void)
{
	uint64_t end = rte_rdtsc() + TIMEOUT_S * rte_get_tsc_hz();

	while (!__atomic_load_n(&telling.began, __ATOMIC_ACQUIRE)) {
		if (rte_rdtsc() > end)
			fail_msg("the application is not told of the lost link");
		usleep(1000);
	}
}

static void
test_close_while_telling(void **state)
{
	const struct rte_eth_conf conf = { .intr_conf = { .lsc = 1 } };

	(void)state;
	start_dut(EAL, 256, 16384);
	assert_int_equal(rte_eth_dev_stop(wire.dut), 0);
	assert_int_equal(rte_eth_dev_configure(wire.dut, 1, 1, &conf), 0);
	assert_int_equal(rte_eth_dev_start(wire.dut), 0);
	memset(&telling, 0, sizeof(telling));
	assert_int_equal(rte_eth_dev_callback_register(wire.dut, RTE_ETH_EVENT_INTR_LSC, on_link,
					 NULL),
			0);
	remove_port(PEER_NAME);
	wait_told();
	assert_int_equal(rte_eth_dev_stop(wire.dut), 0);
	assert_int_equal(rte_eth_dev_close(wire.dut), 0);
	assert_int_equal(rte_eal_hotplug_remove("vdev", DUT_NAME), 0);
	assert_true(__atomic_load_n(&telling.ended, __ATOMIC_ACQUIRE));
	/* ethdev keeps it when a port is closed. */
	rte_eth_dev_callback_unregister(RTE_ETH_ALL, RTE_ETH_EVENT_INTR_LSC, on_link, NULL);
}

/* Counters */

static void
test_counters_stay(void **state)
{
	const struct rte_eth_conf conf = { .rxmode = { .mtu = 0 } };
	struct rte_eth_stats before, stats;

	(void)state;
	start_dut(EAL, 256, 16384);
	exchange(RING);
	assert_int_equal(rte_eth_stats_get(wire.dut, &before), 0);
	assert_int_equal(before.ipackets, RING);
	assert_int_equal(before.opackets, RING);
	assert_int_equal(rte_eth_dev_stop(wire.dut), 0);
	assert_int_equal(rte_eth_dev_configure(wire.dut, 0, 1, &conf), 0);
	assert_int_equal(rte_eth_stats_get(wire.dut, &stats), 0);
	assert_int_equal(stats.ipackets, RING);
	assert_int_equal(start_port(wire.dut, wire.mp, RING), 0);
	unit_wait_link(wire.peer, RTE_ETH_LINK_UP);
	assert_int_equal(rte_eth_stats_get(wire.dut, &stats), 0);
	assert_memory_equal(&stats, &before, sizeof(stats));
	assert_int_equal(xstat("rx_q0_packets"), RING);
	exchange(RING);
	assert_int_equal(rte_eth_stats_get(wire.dut, &stats), 0);
	assert_int_equal(stats.ipackets, 2 * RING);
	assert_int_equal(stats.opackets, 2 * RING);
	assert_int_equal(rte_eth_stats_reset(wire.dut), 0);
	assert_int_equal(rte_eth_stats_get(wire.dut, &stats), 0);
	assert_int_equal(stats.ipackets + stats.opackets, 0);
}

/* A port whose ring takes few of the pages; all others are at page. Returns how many these are. */
static unsigned int
start_short(struct rte_mbuf **page, uint32_t pages, uint16_t ring)
{
	unsigned int n = 0;

	start_dut_ring(EAL, pages, 2176, ring);
	assert_int_equal(control_events(RTE_INTR_EVENT_ADD), 0);
	while (n < pages && (page[n] = rte_pktmbuf_alloc(wire.mp)) != NULL)
		n++;
	return n;
}

/*
 * All pages are in use: packets have no slots and wait in the ring. An application that sleeps is
 * told of them, and all are there when it has freed pages.
 */
static void
test_waiting(void **state)
{
	struct rte_mbuf *page[32], *m[4];
	unsigned int n, i;

	(void)state;
	n = start_short(page, RTE_DIM(page), RTE_DIM(m));
	send_frames(wire.peer, wire.peer_mp, 10, RTE_DIM(m));
	for (i = 0; i < RING; i++)
		assert_int_equal(rte_eth_rx_burst(wire.dut, 0, m, RTE_DIM(m)), 0);
	assert_int_equal(rte_eth_rx_queue_count(wire.dut, 0), RTE_DIM(m));
	assert_int_equal(xstat("rx_q0_no_header"), RTE_DIM(m));
	drain_events();
	assert_int_equal(rte_eth_dev_rx_intr_enable(wire.dut, 0), 0);
	assert_int_equal(wait_event(TIMEOUT_S * 1000), 1);

	rte_pktmbuf_free_bulk(page, n);
	receive_frames(wire.dut, m, 10, RTE_DIM(m));
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
	assert_int_equal(xstat("rx_q0_no_header"), RTE_DIM(m));
	assert_int_equal(rte_eth_dev_rx_intr_enable(wire.dut, 0), 0);
	drain_events();
	exchange(RING);
}

/*
 * All pages are in use: lanes wait for one. Nothing can come then, and an application that sleeps
 * would not find out that there are pages again.
 */
static void
test_starved(void **state)
{
	struct rte_mbuf *page[32], *m[4];
	unsigned int n, i;

	(void)state;
	n = start_short(page, RTE_DIM(page), RTE_DIM(m));
	/* Frames so long that a page takes one. */
	send_frames(wire.peer, wire.peer_mp, 10, RTE_DIM(m));
	receive_frames(wire.dut, m, 10, RTE_DIM(m));
	assert_int_equal(rte_eth_rx_queue_count(wire.dut, 0), 0);
	for (i = 0; i < RTE_DIM(m); i++)
		assert_int_equal(rte_eth_rx_descriptor_status(wire.dut, 0, (uint16_t)i),
				RTE_ETH_RX_DESC_UNAVAIL);
	drain_events();
	assert_int_equal(rte_eth_dev_rx_intr_enable(wire.dut, 0), 0);
	assert_int_equal(wait_event(TIMEOUT_S * 1000), 1);

	rte_pktmbuf_free_bulk(page, n);
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
	for (i = 0; i < RING; i++)
		assert_int_equal(rte_eth_rx_burst(wire.dut, 0, m, 1), 0);
	assert_int_equal(rte_eth_rx_descriptor_status(wire.dut, 0, RTE_DIM(m) - 1),
			RTE_ETH_RX_DESC_AVAIL);
	assert_int_equal(rte_eth_dev_rx_intr_enable(wire.dut, 0), 0);
	assert_int_equal(wait_event(0), 0);
	exchange(RING);
}

static const struct CMUnitTest tests[] = {
	PORT_TEST(test_exchange),
	PORT_TEST(test_memfd),
	PORT_TEST(test_short_pages),
	PORT_TEST(test_large_pages),
	PORT_TEST(test_pool_ops),
	PORT_TEST(test_rx_state),
	PORT_TEST(test_tx_state),
	PORT_TEST(test_settings),
	PORT_TEST(test_addresses),
	PORT_TEST(test_link),
	PORT_TEST(test_interrupts),
	PORT_TEST_NO_AIO(test_interrupts),
	PORT_TEST(test_clogged_interrupt),
	PORT_TEST_NO_AIO(test_clogged_interrupt),
	PORT_TEST(test_stolen_interrupt),
	PORT_TEST(test_close_while_telling),
	PORT_TEST(test_counters_stay),
	PORT_TEST_AS(test_waiting, slots),
	PORT_TEST_AS(test_waiting, slots_no_aio),
	PORT_TEST_AS(test_starved, lanes),
	PORT_TEST_AS(test_starved, lanes_no_aio),
};

UNIT_SUITE(port, "ports of net_ppfrag, with stock net_vhost at the other end", tests);
