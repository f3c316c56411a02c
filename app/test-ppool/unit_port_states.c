/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_version.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_epoll.h>
#include <rte_ethdev.h>

#include "commands.h"
#include "unit.h"
#include "unit_child.h"

/*
 * Every operation of net_ppfrag on a port in every state: a result that the documentation of
 * ethdev names. At the other end is a port of the stock driver net_vhost.
 */

#define DUT_NAME "net_ppfrag_states"
#define PEER_NAME "net_vhost_states"
#define RING 64
#define PAGES 512

enum port_state {
	NEW,        /* just probed */
	CONFIGURED, /* without queues */
	SET_UP,
	STARTED,
	STOPPED,
	CONFIGURED_AGAIN, /* stopped, then with more queues: the rings move */
	CLOSED,
	LOST,  /* started, then the back end went away */
	ALONE, /* started after the back end had gone */
	NB_STATES
};

static const char * const state_names[NB_STATES] = { "new", "configured", "set up", "started",
	"stopped", "configured again", "closed", "lost", "alone" };

static struct {
	bool server; /* the port waits for a back end, which never comes */
	uint16_t dut, peer;
	struct rte_mempool *mp, *peer_mp;
	char dir[40], path[48];
	bool lanes; /* the dut receives into lanes, else into slots */
} rig;

/* Results */

enum {
	OK = 1 << 0, /* 0, or a number */
	INVAL = 1 << 1,
	NOTSUP = 1 << 2,
	NODEV = 1 << 3,
	BUSY = 1 << 4,
	ANY = 0xff, /* one of these */
};

static int
result_bit(int ret)
{
	switch (ret) {
	case -EINVAL:
		return INVAL;
	case -ENOTSUP:
		return NOTSUP;
	case -ENODEV:
		return NODEV;
	case -EBUSY:
		return BUSY;
	default:
		return ret >= 0 ? OK : 0;
	}
}

/* Operations */

static const struct rte_eth_conf port_conf = { .intr_conf = { .rxq = 1 } };

static int
op_configure(uint16_t port)
{
	return rte_eth_dev_configure(port, 1, 1, &port_conf);
}

static int
op_configure_more(uint16_t port)
{
	return rte_eth_dev_configure(port, 2, 2, &port_conf);
}

static int
op_rx_queue_setup(uint16_t port)
{
	return rte_eth_rx_queue_setup(port, 0, RING, SOCKET_ID_ANY, NULL, rig.mp);
}

static int
op_tx_queue_setup(uint16_t port)
{
	return rte_eth_tx_queue_setup(port, 0, RING, SOCKET_ID_ANY, NULL);
}

static int
op_infos_get(uint16_t port)
{
	struct rte_eth_dev_info info;

	return rte_eth_dev_info_get(port, &info);
}

static int
op_link_get(uint16_t port)
{
	struct rte_eth_link link;

	return rte_eth_link_get_nowait(port, &link);
}

static int
op_mtu_set(uint16_t port)
{
	return rte_eth_dev_set_mtu(port, 1400);
}

static int
op_mac_addr_set(uint16_t port)
{
	struct rte_ether_addr mac = { .addr_bytes = { 2, 0, 0, 0, 0, 9 } };

	return rte_eth_dev_default_mac_addr_set(port, &mac);
}

static int
op_mac_addr_add(uint16_t port)
{
	struct rte_ether_addr mac = { .addr_bytes = { 2, 0, 0, 0, 0, 8 } };

	return rte_eth_dev_mac_addr_add(port, &mac, 0);
}

static int
op_mac_addr_remove(uint16_t port)
{
	struct rte_ether_addr mac = { .addr_bytes = { 2, 0, 0, 0, 0, 8 } };

	return rte_eth_dev_mac_addr_remove(port, &mac);
}

static int
op_set_mc_addr_list(uint16_t port)
{
	struct rte_ether_addr mac = { .addr_bytes = { 1, 0, 0x5e, 0, 0, 1 } };

	return rte_eth_dev_set_mc_addr_list(port, &mac, 1);
}

static int
op_stats_get(uint16_t port)
{
	struct rte_eth_stats stats;

	return rte_eth_stats_get(port, &stats);
}

static int
op_xstats_get(uint16_t port)
{
	struct rte_eth_xstat_name names[128];
	struct rte_eth_xstat xstats[128];
	int n = rte_eth_xstats_get_names(port, names, RTE_DIM(names));

	return n < 0 ? n : rte_eth_xstats_get(port, xstats, RTE_DIM(xstats));
}

static int
op_rxq_info_get(uint16_t port)
{
	struct rte_eth_rxq_info info;

	return rte_eth_rx_queue_info_get(port, 0, &info);
}

static int
op_txq_info_get(uint16_t port)
{
	struct rte_eth_txq_info info;

	return rte_eth_tx_queue_info_get(port, 0, &info);
}

static int
op_rx_burst_mode_get(uint16_t port)
{
	struct rte_eth_burst_mode mode;

	return rte_eth_rx_burst_mode_get(port, 0, &mode);
}

static int
op_tx_burst_mode_get(uint16_t port)
{
	struct rte_eth_burst_mode mode;

	return rte_eth_tx_burst_mode_get(port, 0, &mode);
}

static int
op_rx_intr_enable(uint16_t port)
{
	return rte_eth_dev_rx_intr_enable(port, 0);
}

static int
op_rx_intr_disable(uint16_t port)
{
	return rte_eth_dev_rx_intr_disable(port, 0);
}

static int
op_rx_intr_ctl_q(uint16_t port)
{
	int ret = rte_eth_dev_rx_intr_ctl_q(port, 0, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_ADD,
			NULL);

	if (ret != 0)
		return ret;
	return rte_eth_dev_rx_intr_ctl_q(port, 0, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_DEL, NULL);
}

static int
op_pool_ops_supported(uint16_t port)
{
	return rte_eth_dev_pool_ops_supported(port, PPOOL_OPS_NAME);
}

static int
op_tx_done_cleanup(uint16_t port)
{
	return rte_eth_tx_done_cleanup(port, 0, 0);
}

static int
op_rx_queue_count(uint16_t port)
{
	return rte_eth_rx_queue_count(port, 0);
}

static int
op_rx_descriptor_status(uint16_t port)
{
	return rte_eth_rx_descriptor_status(port, 0, RING - 1);
}

static int
op_tx_descriptor_status(uint16_t port)
{
	return rte_eth_tx_descriptor_status(port, 0, RING - 1);
}

static int
op_rx_burst(uint16_t port)
{
	struct rte_mbuf *m[4];
	uint16_t n = rte_eth_rx_burst(port, 0, m, RTE_DIM(m));

	rte_pktmbuf_free_bulk(m, n);
	return n;
}

/* What is not taken is still ours. */
static int
op_tx_burst(uint16_t port)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rig.mp);

	if (m == NULL || rte_pktmbuf_append(m, RTE_ETHER_MIN_LEN) == NULL)
		return -ENOMEM;
	memset(rte_pktmbuf_mtod(m, void *), 0, RTE_ETHER_MIN_LEN);
	if (rte_eth_tx_burst(port, 0, &m, 1) == 0)
		rte_pktmbuf_free(m);
	return 0;
}

static int
op_rx_queue_start(uint16_t port)
{
	return rte_eth_dev_rx_queue_start(port, 0);
}

static int
op_rx_queue_stop(uint16_t port)
{
	return rte_eth_dev_rx_queue_stop(port, 0);
}

static int
op_tx_queue_start(uint16_t port)
{
	return rte_eth_dev_tx_queue_start(port, 0);
}

static int
op_tx_queue_stop(uint16_t port)
{
	return rte_eth_dev_tx_queue_stop(port, 0);
}

struct operation {
	const char *name;
	int (*run)(uint16_t port);
	bool changes;               /* the state: the next one gets another port */
	bool blind;                 /* ethdev follows pointers of queues unchecked */
	uint8_t results[NB_STATES]; /* that are right in this process */
	uint8_t secondary;          /* and in a secondary, whatever the state is */
};

/* Where queues have to be set up first. */
#define QUEUES(set_up, started, stopped, lost) \
	{ \
		INVAL, INVAL, set_up, started, stopped, stopped, NODEV, lost, lost \
	}
#define ALWAYS(result) \
	{ \
		result, result, result, result, result, result, NODEV, result, result \
	}
/* ethdev does not let these near the driver unless the port is started, and then not say why. */
#define FAST \
	{ \
		ANY, ANY, ANY, OK, ANY, ANY, ANY, OK, OK \
	}

static const struct operation operations[] = {
	{ "configure", op_configure, true, false, { OK, OK, OK, BUSY, OK, OK, NODEV, BUSY, BUSY },
			NOTSUP | BUSY },
	{ "configure more", op_configure_more, true, false,
			{ OK, OK, OK, BUSY, OK, OK, NODEV, BUSY, BUSY }, NOTSUP | BUSY },
	{ "rx_queue_setup", op_rx_queue_setup, true, false,
			{ INVAL, OK, OK, BUSY, OK, OK, NODEV, BUSY, BUSY }, INVAL | NOTSUP | BUSY },
	{ "tx_queue_setup", op_tx_queue_setup, true, false,
			{ INVAL, OK, OK, BUSY, OK, OK, NODEV, BUSY, BUSY }, INVAL | NOTSUP | BUSY },
	{ "start", rte_eth_dev_start, true, false,
			{ INVAL, INVAL, OK, OK, OK, INVAL, NODEV, OK, OK }, OK | INVAL | NOTSUP },
	{ "stop", rte_eth_dev_stop, true, false, ALWAYS(OK), OK | NOTSUP },
	{ "set_link_up", rte_eth_dev_set_link_up, true, false,
			{ INVAL, INVAL, INVAL, OK, INVAL, INVAL, NODEV, OK, OK }, NOTSUP },
	{ "set_link_down", rte_eth_dev_set_link_down, true, false,
			{ OK, OK, OK, OK, OK, OK, NODEV, OK, OK }, NOTSUP },
	{ "reset", rte_eth_dev_reset, true, false, ALWAYS(OK), NOTSUP },
	{ "mtu_set", op_mtu_set, true, false, { INVAL, OK, OK, BUSY, OK, OK, NODEV, BUSY, BUSY },
			INVAL | NOTSUP },
	{ "infos_get", op_infos_get, false, false, ALWAYS(OK), OK },
	{ "link_update", op_link_get, false, false, ALWAYS(OK), OK },
	{ "promiscuous_enable", rte_eth_promiscuous_enable, false, false, ALWAYS(OK), OK | NOTSUP },
	{ "promiscuous_disable", rte_eth_promiscuous_disable, false, false, ALWAYS(NOTSUP),
			NOTSUP },
	{ "allmulticast_enable", rte_eth_allmulticast_enable, false, false, ALWAYS(OK),
			OK | NOTSUP },
	{ "allmulticast_disable", rte_eth_allmulticast_disable, false, false, ALWAYS(NOTSUP),
			NOTSUP },
	{ "mac_addr_set", op_mac_addr_set, false, false, ALWAYS(OK), OK | NOTSUP },
	{ "mac_addr_add", op_mac_addr_add, false, false, ALWAYS(OK), NOTSUP },
	{ "mac_addr_remove", op_mac_addr_remove, false, false, ALWAYS(OK), NOTSUP },
	{ "set_mc_addr_list", op_set_mc_addr_list, false, false, ALWAYS(OK), NOTSUP },
	{ "stats_get", op_stats_get, false, false, ALWAYS(OK), OK },
	{ "stats_reset", rte_eth_stats_reset, false, false, ALWAYS(OK), OK },
	{ "xstats_get", op_xstats_get, false, false, ALWAYS(OK), OK },
	{ "xstats_reset", rte_eth_xstats_reset, false, false, ALWAYS(OK), OK },
	{ "pool_ops_supported", op_pool_ops_supported, false, false, ALWAYS(OK), OK },
	{ "rxq_info_get", op_rxq_info_get, false, false, QUEUES(OK, OK, OK, OK), OK | INVAL },
	{ "txq_info_get", op_txq_info_get, false, false, QUEUES(OK, OK, OK, OK), OK | INVAL },
	{ "rx_burst_mode_get", op_rx_burst_mode_get, false, false, QUEUES(OK, OK, OK, OK),
			OK | INVAL },
	{ "tx_burst_mode_get", op_tx_burst_mode_get, false, false, QUEUES(OK, OK, OK, OK),
			OK | INVAL },
	{ "rx_queue_intr_enable", op_rx_intr_enable, false, false, QUEUES(INVAL, OK, INVAL, OK),
			OK | INVAL | NOTSUP },
	{ "rx_queue_intr_disable", op_rx_intr_disable, false, false, QUEUES(OK, OK, OK, OK),
			INVAL | NOTSUP },
	{ "rx_intr_ctl_q", op_rx_intr_ctl_q, false, false,
			{ INVAL, OK, OK, OK, OK, OK, NODEV, OK, OK }, INVAL | NOTSUP },
	{ "tx_done_cleanup", op_tx_done_cleanup, false, true, QUEUES(OK, OK, OK, OK), OK | INVAL },
	{ "rx_queue_start", op_rx_queue_start, false, false, QUEUES(INVAL, OK, INVAL, OK),
			OK | INVAL | NOTSUP },
	{ "tx_queue_start", op_tx_queue_start, false, false, QUEUES(INVAL, OK, INVAL, OK),
			OK | INVAL | NOTSUP },
	{ "rx_queue_stop", op_rx_queue_stop, true, false, QUEUES(OK, OK, OK, OK),
			OK | INVAL | NOTSUP },
	{ "tx_queue_stop", op_tx_queue_stop, true, false, QUEUES(OK, OK, OK, OK),
			OK | INVAL | NOTSUP },
	{ "rx_queue_count", op_rx_queue_count, false, false, FAST, OK | INVAL },
	{ "rx_descriptor_status", op_rx_descriptor_status, false, false, FAST, OK | INVAL },
	{ "tx_descriptor_status", op_tx_descriptor_status, false, false, FAST, OK | INVAL },
	{ "rx_pkt_burst", op_rx_burst, false, false, FAST, OK },
	{ "tx_pkt_burst", op_tx_burst, false, false, FAST, OK },
	{ "close", rte_eth_dev_close, true, false,
			{ OK, OK, OK, INVAL, OK, OK, NODEV, INVAL, INVAL }, OK },
};

/* Ports */

static void
remove_port(const char *name)
{
	uint16_t port;

	if (rte_eth_dev_get_port_by_name(name, &port) == 0) {
		rte_eth_dev_stop(port);
		rte_eth_dev_close(port);
	}
	rte_eal_hotplug_remove("vdev", name);
}

static void
add_peer(void)
{
	char args[96];

	snprintf(args, sizeof(args), "iface=%s,queues=2", rig.path);
	unit_require(rte_eal_hotplug_add("vdev", PEER_NAME, args) == 0, "the driver net_vhost");
	assert_int_equal(rte_eth_dev_get_port_by_name(PEER_NAME, &rig.peer), 0);
	assert_int_equal(rte_eth_dev_configure(rig.peer, 1, 1, &(struct rte_eth_conf){ 0 }), 0);
	assert_int_equal(rte_eth_rx_queue_setup(rig.peer, 0, RING, SOCKET_ID_ANY, NULL,
					 rig.peer_mp),
			0);
	assert_int_equal(rte_eth_tx_queue_setup(rig.peer, 0, RING, SOCKET_ID_ANY, NULL), 0);
	assert_int_equal(rte_eth_dev_start(rig.peer), 0);
}

static void
add_dut(void)
{
	char args[96];

	snprintf(args, sizeof(args), "path=%s,queues=2,queue_size=1024,server=%d,rx=%s", rig.path,
			rig.server, rig.lanes ? "lanes" : "slots");
	unit_require(rte_eal_hotplug_add("vdev", DUT_NAME, args) == 0,
			"the driver net_ppfrag: -d librte_net_ppfrag.so");
	assert_int_equal(rte_eth_dev_get_port_by_name(DUT_NAME, &rig.dut), 0);
}

static void
set_up(void)
{
	assert_int_equal(op_configure(rig.dut), 0);
	assert_int_equal(op_rx_queue_setup(rig.dut), 0);
	assert_int_equal(op_tx_queue_setup(rig.dut), 0);
}

static void
start(void)
{
	set_up();
	assert_int_equal(rte_eth_dev_start(rig.dut), 0);
	unit_wait_link(rig.peer, RTE_ETH_LINK_UP);
}

/* Bring a port that was just probed into a state. */
static void
enter(enum port_state state)
{
	switch (state) {
	case CONFIGURED:
		assert_int_equal(op_configure(rig.dut), 0);
		break;
	case SET_UP:
		set_up();
		break;
	case STARTED:
		start();
		break;
	case STOPPED:
		start();
		assert_int_equal(rte_eth_dev_stop(rig.dut), 0);
		break;
	case CONFIGURED_AGAIN:
		start();
		assert_int_equal(rte_eth_dev_stop(rig.dut), 0);
		assert_int_equal(op_configure_more(rig.dut), 0);
		break;
	case CLOSED:
		assert_int_equal(rte_eth_dev_close(rig.dut), 0);
		break;
	case LOST:
		start();
		remove_port(PEER_NAME);
		unit_wait_link(rig.dut, RTE_ETH_LINK_DOWN);
		break;
	case ALONE:
		set_up();
		remove_port(PEER_NAME);
		assert_int_equal(rte_eth_dev_start(rig.dut), 0);
		unit_wait_link(rig.dut, RTE_ETH_LINK_DOWN);
		break;
	default:
		break;
	}
}

/* The thread of the vhost library takes a second to see a new peer, but not a new dut. */
static void
make_port(enum port_state state)
{
	uint16_t port;

	if (!rig.server && rte_eth_dev_get_port_by_name(PEER_NAME, &port) != 0)
		add_peer();
	add_dut();
	enter(state);
}

/* Since 25.11, ethdev calls what a port that is not started does not have. */
#define CALLS_UNCHECKED (RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0))

/*
 * ethdev itself follows a null pointer where the array of queues was never allocated: with one
 * operation, and in a secondary, where it does not know that the port is not started, with all that
 * are to be fast.
 */
static bool
is_possible(const struct operation *op, enum port_state state, bool primary)
{
	if (CALLS_UNCHECKED && op->results[NEW] == ANY && op->results[state] == ANY)
		return false;
	return state != NEW || !(op->blind || (!primary && op->results[NEW] == ANY));
}

static void
test_states(enum port_state state)
{
	const struct operation *op;
	unsigned int i;
	int ret;

	make_port(state);
	for (i = 0; i < RTE_DIM(operations); i++) {
		op = &operations[i];
		if (!is_possible(op, state, true))
			continue;
		ret = op->run(rig.dut);
		if ((result_bit(ret) & op->results[state]) == 0)
			fail_msg("%s of a port that is %s: %d, %s", op->name, state_names[state],
					ret, rte_strerror(-ret));
		if (!op->changes || ret < 0)
			continue;
		remove_port(DUT_NAME);
		make_port(state);
	}
}

#define STATE_TEST(name, state) \
	static void test_##name(void **arg) \
	{ \
		(void)arg; \
		test_states(state); \
	}

STATE_TEST(new, NEW)
STATE_TEST(configured, CONFIGURED)
STATE_TEST(set_up, SET_UP)
STATE_TEST(started, STARTED)
STATE_TEST(stopped, STOPPED)
STATE_TEST(configured_again, CONFIGURED_AGAIN)
STATE_TEST(closed, CLOSED)
STATE_TEST(lost, LOST)
STATE_TEST(alone, ALONE)

static void
test_server(void **arg)
{
	static const enum port_state states[] = { NEW, CONFIGURED, SET_UP, CLOSED, ALONE };
	unsigned int i;

	(void)arg;
	rig.server = true;
	for (i = 0; i < RTE_DIM(states); i++) {
		test_states(states[i]);
		remove_port(DUT_NAME);
		assert_int_equal(access(rig.path, F_OK), -1);
	}
}

/* Rings in more files than can be passed: what failed once fails again. */
static void
test_failed_configure(void **arg)
{
	char args[96];
	int ret;

	(void)arg;
	add_peer();
	snprintf(args, sizeof(args), "path=%s,queue_size=32768", rig.path);
	unit_require(rte_eal_hotplug_add("vdev", DUT_NAME, args) == 0,
			"the driver net_ppfrag: -d librte_net_ppfrag.so");
	assert_int_equal(rte_eth_dev_get_port_by_name(DUT_NAME, &rig.dut), 0);
	ret = op_configure(rig.dut);
	unit_require(ret == -E2BIG, "EAL memory of 2 MB files, without --single-file-segments");
	assert_int_equal(op_configure(rig.dut), -E2BIG);
	assert_int_equal(op_rx_queue_setup(rig.dut), -EINVAL);
	assert_int_equal(rte_eth_dev_start(rig.dut), -EINVAL);
}

/* The secondary's side. */

static int
secondary_run(char **args)
{
	enum port_state state = args[0] == NULL ? NB_STATES : (enum port_state)atoi(args[0]);
	const struct operation *op;
	unsigned int i;
	int ret, bad = 0;

	if (state >= NB_STATES || rte_eth_dev_get_port_by_name(DUT_NAME, &rig.dut) != 0 ||
			(rig.mp = rte_mempool_lookup(args[1])) == NULL) {
		fprintf(stderr, "unit-secondary-port is started by 'unit port_states'\n");
		return EXIT_FAILURE;
	}
	for (i = 0; i < RTE_DIM(operations); i++) {
		op = &operations[i];
		if (!is_possible(op, state, false))
			continue;
		ret = op->run(rig.dut);
		if ((result_bit(ret) & op->secondary) != 0)
			continue;
		fprintf(stderr, "secondary: %s of a port that is %s: %d, %s\n", op->name,
				state_names[state], ret, rte_strerror(-ret));
		bad++;
	}
	return bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static const struct opt secondary_opts[] = { { .name = NULL } };

const struct command cmd_unit_secondary_port = {
	.name = "unit-secondary-port",
	.synopsis = "STATE POOL",
	.help = "the secondary process of the unit suite 'port_states'",
	.opts = secondary_opts,
	.max_args = 2,
	.hidden = true,
	.run = secondary_run,
};

static void
test_secondary(void **arg)
{
	static const enum port_state states[] = { NEW, CONFIGURED, SET_UP, STARTED, STOPPED,
		CONFIGURED_AGAIN, LOST };
	char number[8];
	const char * const argv[] = { cmd_unit_secondary_port.name, number, rig.mp->name, NULL };
	unsigned int i;

	(void)arg;
	unit_require_secondary();
	for (i = 0; i < RTE_DIM(states); i++) {
		make_port(states[i]);
		snprintf(number, sizeof(number), "%d", states[i]);
		assert_int_equal(unit_child_wait(unit_child_start(UNIT_SELF, unit_free_lcore(),
						 argv)),
				0);
		remove_port(DUT_NAME);
	}
}

static int
states_setup(void **state)
{
	const bool lanes = *state != NULL;
	uint64_t id;

	/* What ethdev allocates at its first use stays. */
	rte_eth_dev_owner_new(&id);
	unit_setup(state);
	memset(&rig, 0, sizeof(rig));
	rig.lanes = lanes;
	snprintf(rig.dir, sizeof(rig.dir), "/tmp/ppfrag-states-XXXXXX");
	if (mkdtemp(rig.dir) == NULL)
		return -1;
	snprintf(rig.path, sizeof(rig.path), "%s/sock", rig.dir);
	rig.mp = unit_pool(PAGES, RTE_MBUF_DEFAULT_BUF_SIZE, 0, 0);
	rig.peer_mp = unit_stock_pool(PAGES, RTE_MBUF_DEFAULT_BUF_SIZE);
	return 0;
}

static int
states_teardown(void **state)
{
	remove_port(DUT_NAME);
	remove_port(PEER_NAME);
	unlink(rig.path);
	rmdir(rig.dir);
	return unit_teardown(state);
}

#define PORT_TEST_AS(f, way, state) \
	{ \
		.name = #f "_" way, .test_func = (f), .setup_func = states_setup, \
		.teardown_func = states_teardown, .initial_state = (state), \
	}

#define PORT_TEST(f) PORT_TEST_AS(f, "slots", NULL), PORT_TEST_AS(f, "lanes", rig.dir)

static const struct CMUnitTest tests[] = {
	PORT_TEST(test_new),
	PORT_TEST(test_configured),
	PORT_TEST(test_set_up),
	PORT_TEST(test_started),
	PORT_TEST(test_stopped),
	PORT_TEST(test_configured_again),
	PORT_TEST(test_closed),
	PORT_TEST(test_lost),
	PORT_TEST(test_alone),
	PORT_TEST(test_server),
	PORT_TEST(test_failed_configure),
	PORT_TEST(test_secondary),
};

UNIT_SUITE(port_states, "every operation of a net_ppfrag port in every state", tests);
