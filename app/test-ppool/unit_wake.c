/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_launch.h>

#include "dut.h"

/*
 * How the driver wakes a back end, by eventfds that both have: where the kernel raises them by
 * asynchronous I/O, and where it refuses that and a thread of the port does it. A back end that has
 * writers wait for ever gets no more than this thread stuck, until the port meets another one.
 */

#define EVENTFD_FULL (UINT64_MAX - 1)
#define LEN 100u
#define TIMEOUT_MS 30000
#define STUCK_MS 500 /* what takes longer than this is stuck */
#define TRIES 20000

static const struct dut_conf with_aio = { .ring = 64 };
static const struct dut_conf no_aio = { .ring = 64, .no_aio = true };
static const struct dut_conf lanes = { .ring = 64, .lanes = true };

/* Threads of ports that wake back ends. */
static unsigned int
count_threads(void)
{
	DIR *dir = opendir("/proc/self/task");
	char path[300], name[32];
	struct dirent *entry;
	unsigned int n = 0;
	FILE *f;

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL) {
		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", entry->d_name);
		f = fopen(path, "r");
		if (f == NULL)
			continue;
		n += fgets(name, sizeof(name), f) != NULL && strcmp(name, "ppfrag-wake\n") == 0;
		fclose(f);
	}
	closedir(dir);
	return n;
}

/* A thread that has been joined may be there for another moment. */
static void
check_threads(unsigned int n)
{
	unsigned int ms;

	for (ms = 0; ms < TIMEOUT_MS && count_threads() != n; ms++)
		rte_delay_us_sleep(1000);
	assert_int_equal(count_threads(), n);
}

static bool
is_kicked(const struct vhost_ring *r, int timeout_ms)
{
	struct pollfd pfd = { .fd = r->kick, .events = POLLIN };
	eventfd_t count;

	return poll(&pfd, 1, timeout_ms) == 1 && eventfd_read(r->kick, &count) == 0;
}

/* One frame in either direction: the driver kicks both rings once. */
static void
exchange(void)
{
	uint64_t rx = dut_xstat("rx_q0_kicks"), tx = dut_xstat("tx_q0_kicks");
	struct rte_mbuf *m = rte_pktmbuf_alloc(dut.mp);

	assert_non_null(m);
	assert_non_null(rte_pktmbuf_append(m, LEN));
	dut_exchange(1, LEN);
	assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
	assert_int_equal(dut_tx_consume(), 1);
	assert_int_equal(dut_xstat("rx_q0_kicks"), rx + 1);
	assert_int_equal(dut_xstat("tx_q0_kicks"), tx + 1);
}

static void
check_kicks(void)
{
	unsigned int i;

	for (i = 0; i < 200; i++) {
		exchange();
		assert_true(is_kicked(dut.tx, TIMEOUT_MS));
		assert_true(is_kicked(dut.rx, TIMEOUT_MS));
	}
}

static void
kicks(const struct dut_conf *conf)
{
	bool thread = conf->no_aio || !unit_has_aio();

	dut_start(conf);
	check_threads(thread);
	check_kicks();
	dut_restart();
	check_kicks();
	dut_replace_peer();
	dut_restart();
	check_threads(thread);
	check_kicks();
	dut_stop();
	check_threads(0);
}

static void
test_kicks(void **state)
{
	(void)state;
	kicks(&with_aio);
}

static void
test_kicks_lanes(void **state)
{
	(void)state;
	kicks(&lanes);
}

static void
test_kicks_no_aio(void **state)
{
	(void)state;
	kicks(&no_aio);
}

/* An eventfd without room, whose writers wait until there is some. */
static void
clog_ring(const struct vhost_ring *r)
{
	is_kicked(r, 0);
	assert_int_equal(fcntl(r->kick, F_SETFL, 0), 0);
	assert_int_equal(eventfd_write(r->kick, EVENTFD_FULL), 0);
}

/* The other ring is not to suffer. */
static void
clogged(const struct dut_conf *conf)
{
	unsigned int i;

	dut_start(conf);
	for (i = 0; i < 200; i++) {
		clog_ring(dut.rx);
		exchange();
		assert_true(is_kicked(dut.tx, TIMEOUT_MS));
		assert_true(is_kicked(dut.rx, TIMEOUT_MS));
	}
	dut_restart();
	exchange();
	dut_stop();
}

static void
test_clogged(void **state)
{
	(void)state;
	clogged(&with_aio);
}

static void
test_clogged_no_aio(void **state)
{
	(void)state;
	clogged(&no_aio);
}

/* A back end that has writers wait, whatever the driver does about it. */

static struct {
	int fd;
	bool stop; /* atomic */
} foe;

static int
foe_run(void *arg)
{
	RTE_SET_USED(arg);
	while (!__atomic_load_n(&foe.stop, __ATOMIC_RELAXED))
		fcntl(foe.fd, F_SETFL, 0);
	return 0;
}

static void
foe_start(void)
{
	unit_require(unit_workers() > 0, "two lcores");
	dut_start(&no_aio);
	foe.fd = fcntl(dut.rx->kick, F_DUPFD_CLOEXEC, 0);
	assert_true(foe.fd >= 0);
	__atomic_store_n(&foe.stop, false, __ATOMIC_RELAXED);
	assert_int_equal(rte_eal_remote_launch(foe_run, NULL, rte_get_next_lcore(-1, 1, 0)), 0);
}

static void
foe_stop(void)
{
	__atomic_store_n(&foe.stop, true, __ATOMIC_RELAXED);
	rte_eal_mp_wait_lcore();
	close(foe.fd);
	foe.fd = -1;
}

static int
foe_setup(void **state)
{
	foe.fd = -1;
	return dut_setup(state);
}

static int
foe_teardown(void **state)
{
	if (foe.fd >= 0)
		foe_stop();
	return dut_teardown(state);
}

#define FOE_TEST(f) cmocka_unit_test_setup_teardown(f, foe_setup, foe_teardown)

/* Until a kick of the other ring does not come; with one CPU there may be no such luck. */
static void
foe_win(void)
{
	unsigned int i;

	for (i = 0; i < TRIES; i++) {
		clog_ring(dut.rx);
		exchange();
		if (!is_kicked(dut.tx, STUCK_MS)) {
			print_message("stuck in try %u\n", i);
			return;
		}
		assert_true(is_kicked(dut.rx, TIMEOUT_MS));
	}
	print_message("not stuck in %u tries\n", i);
}

static void
test_stuck_close(void **state)
{
	(void)state;
	foe_start();
	foe_win();
	dut_exchange(200, LEN);
	dut_stop();
	check_threads(0);
	foe_stop();
}

static void
test_stuck_reconnect(void **state)
{
	(void)state;
	foe_start();
	foe_win();
	dut_exchange(200, LEN);
	/* What it did to the eventfds stays. */
	foe_stop();
	dut_replace_peer();
	dut_restart();
	check_threads(1);
	check_kicks();
	dut_stop();
	check_threads(0);
}

static const struct CMUnitTest tests[] = {
	DUT_TEST(test_kicks),
	DUT_TEST(test_kicks_lanes),
	DUT_TEST(test_kicks_no_aio),
	DUT_TEST(test_clogged),
	DUT_TEST(test_clogged_no_aio),
	FOE_TEST(test_stuck_close),
	FOE_TEST(test_stuck_reconnect),
};

UNIT_SUITE(wake, "waking the back end, with and without asynchronous I/O", tests);
