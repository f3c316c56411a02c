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

/* Event indexes: either side says where it is to be notified. */

#define LAPS 150000 /* past the end of 16 bits */
#define SLEEPS 30000

#define EVENT_IDX .devargs = "event_idx=1", .features = VHOST_F_EVENT_IDX

static const struct dut_conf events = { .ring = 64, EVENT_IDX };
static const struct dut_conf events_lanes = { .ring = 64, .lanes = true, EVENT_IDX };
static const struct dut_conf events_in_order = { .ring = 64,
	.devargs = "in_order=1,event_idx=1",
	.features = VHOST_F_EVENT_IDX | VHOST_F_IN_ORDER };

/* The back end sleeps when it has taken all, at every seventh frame; only then it is woken. */
static void
wake_by_event(const struct dut_conf *conf)
{
	uint64_t rx, tx;
	unsigned int i;
	struct rte_mbuf *m;

	dut_start(conf);
	assert_true((vhost_peer_acked(dut.peer) & VHOST_F_EVENT_IDX) != 0);
	dut_exchange(2, LEN);
	for (i = 0; i < LAPS; i++) {
		rx = dut_xstat("rx_q0_kicks");
		tx = dut_xstat("tx_q0_kicks");
		if (i % 7 == 0) {
			vhost_ring_set_avail_event(dut.rx, dut.rx->avail->idx);
			vhost_ring_set_avail_event(dut.tx, dut.tx->avail->idx);
		}
		m = rte_pktmbuf_alloc(dut.mp);
		assert_non_null(m);
		assert_non_null(rte_pktmbuf_append(m, LEN));
		assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
		assert_int_equal(dut_tx_consume(), 1);
		dut_exchange(1, LEN);
		assert_int_equal(rte_eth_rx_burst(dut.port, 0, &m, 1), 0);
		assert_int_equal(dut_xstat("rx_q0_kicks"), rx + (i % 7 == 0));
		assert_int_equal(dut_xstat("tx_q0_kicks"), tx + (i % 7 == 0));
	}
	dut_stop();
}

static void
test_event_kicks(void **state)
{
	(void)state;
	wake_by_event(&events);
}

static void
test_event_kicks_lanes(void **state)
{
	(void)state;
	wake_by_event(&events_lanes);
}

static void
test_event_kicks_in_order(void **state)
{
	(void)state;
	wake_by_event(&events_in_order);
}

/* An event that lies behind is one ahead after 65,536 entries, and not before. */
static void
test_event_behind(void **state)
{
	uint64_t kicks;

	(void)state;
	dut_start(&events);
	dut_exchange(10, LEN);
	kicks = dut_xstat("rx_q0_kicks");
	dut_exchange(65536 - 200, LEN);
	assert_int_equal(dut_xstat("rx_q0_kicks"), kicks);
	dut_exchange(400, LEN);
	assert_int_equal(dut_xstat("rx_q0_kicks"), kicks + 1);
	dut_stop();
}

/* Whether a correct back end raises an interrupt when it uses one more entry. */
static bool
is_interrupt_due(void)
{
	return vhost_ring_used_event(dut.rx) == dut.rx->next_used;
}

static void
test_event_interrupts(void **state)
{
	unsigned int i;

	(void)state;
	dut_start(&events);
	assert_int_equal(dut.rx->avail->flags, 0);
	assert_int_equal(dut.tx->avail->flags, 0);
	for (i = 0; i < LAPS; i++) {
		if (i % 5 == 0)
			assert_int_equal(rte_eth_dev_rx_intr_enable(dut.port, 0), 0);
		if (i % 5 == 3)
			assert_int_equal(rte_eth_dev_rx_intr_disable(dut.port, 0), 0);
		assert_int_equal(is_interrupt_due(), i % 5 < 3);
		dut_exchange(1, LEN);
		/* Interrupts that are not turned off go on. */
		rte_eth_rx_burst(dut.port, 0, NULL, 0);
	}
	assert_int_equal(dut.rx->avail->flags, 0);
	dut_stop();
}

/* A back end that sleeps as soon as there is nothing to do. */
struct sleeper {
	struct vhost_ring *ring;
	uint64_t done; /* atomic */
	unsigned int sleeps;
	bool forgotten; /* it was not woken */
};

static void
sleeper_wait(struct sleeper *s)
{
	vhost_ring_set_avail_event(s->ring, s->ring->next_avail);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (vhost_ring_pending(s->ring) != 0)
		return;
	s->sleeps++;
	s->forgotten = !is_kicked(s->ring, TIMEOUT_MS / 3) && vhost_ring_pending(s->ring) != 0;
}

static int
sleeper_run(void *arg)
{
	struct sleeper *s = arg;
	char frame[LEN] = { 0 };

	while (s->done < SLEEPS && !s->forgotten) {
		if (vhost_ring_pending(s->ring) == 0) {
			sleeper_wait(s);
			continue;
		}
		if (s->ring == dut.rx) {
			vhost_peer_send(dut.peer, frame, LEN);
		} else {
			vhost_ring_put(s->ring, 0, vhost_ring_take(s->ring), 0);
			vhost_ring_publish(s->ring, 1);
		}
		__atomic_add_fetch(&s->done, 1, __ATOMIC_RELEASE);
	}
	return 0;
}

/* One packet at a time, so that it sleeps all the time. */
static void
sleep_by_event(const struct dut_conf *conf, bool receive)
{
	unsigned int lcore = rte_get_next_lcore(-1, 1, 0);
	struct sleeper s = { .done = 0 };
	struct rte_mbuf *m = NULL;

	dut_start(conf);
	s.ring = receive ? dut.rx : dut.tx;
	assert_int_equal(rte_eal_remote_launch(sleeper_run, &s, lcore), 0);
	while (rte_eal_get_lcore_state(lcore) == RUNNING) {
		rte_delay_us_block(5); /* slower than the back end, which runs dry */
		if (receive) {
			if (rte_eth_rx_burst(dut.port, 0, &m, 1) == 1)
				rte_pktmbuf_free(m);
			continue;
		}
		rte_eth_tx_done_cleanup(dut.port, 0, 0);
		m = rte_pktmbuf_alloc(dut.mp);
		if (m == NULL)
			continue;
		rte_pktmbuf_append(m, LEN);
		if (rte_eth_tx_burst(dut.port, 0, &m, 1) == 0)
			rte_pktmbuf_free(m);
	}
	rte_eal_wait_lcore(lcore);
	assert_false(s.forgotten);
	assert_true(s.sleeps > 0);
	print_message("wake: slept %u times\n", s.sleeps);
	dut_stop();
}

static void
test_event_sleeps(void **state)
{
	(void)state;
	unit_require(unit_workers() > 0, "two lcores");
	sleep_by_event(&events, true);
}

static void
test_event_sleeps_lanes(void **state)
{
	(void)state;
	unit_require(unit_workers() > 0, "two lcores");
	sleep_by_event(&events_lanes, true);
}

static void
test_event_sleeps_sending(void **state)
{
	(void)state;
	unit_require(unit_workers() > 0, "two lcores");
	sleep_by_event(&events, false);
}

static const struct CMUnitTest tests[] = {
	DUT_TEST(test_event_kicks),
	DUT_TEST(test_event_kicks_lanes),
	DUT_TEST(test_event_kicks_in_order),
	DUT_TEST(test_event_behind),
	DUT_TEST(test_event_interrupts),
	DUT_TEST(test_event_sleeps),
	DUT_TEST(test_event_sleeps_lanes),
	DUT_TEST(test_event_sleeps_sending),
	DUT_TEST(test_kicks),
	DUT_TEST(test_kicks_lanes),
	DUT_TEST(test_kicks_no_aio),
	DUT_TEST(test_clogged),
	DUT_TEST(test_clogged_no_aio),
	FOE_TEST(test_stuck_close),
	FOE_TEST(test_stuck_reconnect),
};

UNIT_SUITE(wake, "waking the back end, with and without asynchronous I/O", tests);
