/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include <rte_cycles.h>

#include <ppool_mark.h>

#include "unit.h"

/* Being told how full pools and accounts are, and waiting until a pool is idle. */

#define PAGES 40u
#define SLOW_MS 60000u /* the timer does not look within a test */
#define PATIENCE_MS 20000

/* What the function of a mark was told. */
struct told {
	struct ppool_mark *mark;
	unsigned int high, low;
	uint64_t bytes;
	int remove;
};

static void
tell(enum ppool_mark_state state, uint64_t bytes, void *arg)
{
	struct told *t = arg;

	t->bytes = bytes;
	if (t->mark != NULL)
		t->remove = ppool_mark_remove(t->mark);
	__atomic_fetch_add(state == PPOOL_MARK_HIGH ? &t->high : &t->low, 1, __ATOMIC_RELEASE);
}

static uint64_t
page_bytes(struct rte_mempool *mp)
{
	return unit_ledger(mp).page_bytes;
}

/* A mark from half of the pages on, and low again at a quarter. */
static struct ppool_mark *
make_mark(struct rte_mempool *mp, struct told *t, uint32_t interval_ms)
{
	struct ppool_mark_conf conf = {
		.low = PAGES / 4 * page_bytes(mp),
		.high = PAGES / 2 * page_bytes(mp),
		.interval_ms = interval_ms,
		.changed = t == NULL ? NULL : tell,
		.arg = t,
	};
	struct ppool_mark *mark = ppool_mark_pool(mp, &conf);

	assert_non_null(mark);
	return mark;
}

static void
get_pages(struct rte_mempool *mp, void **obj, unsigned int n)
{
	assert_int_equal(rte_mempool_get_bulk(mp, obj, n), 0);
}

static void
test_bounds(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, 4096, 0, 0);
	struct ppool_mark_conf conf = { .low = 5, .high = 5 };
	uint16_t account = unit_account(1 << 20);

	(void)state;
	assert_null(ppool_mark_pool(mp, &conf));
	assert_int_equal(rte_errno, EINVAL);
	assert_null(ppool_mark_account(account, &conf));
	assert_int_equal(rte_errno, EINVAL);
	conf.high = 6;
	conf.interval_ms = SLOW_MS + 1;
	assert_null(ppool_mark_pool(mp, &conf));
	assert_int_equal(rte_errno, EINVAL);
	conf.interval_ms = 0;
	assert_null(ppool_mark_pool(unit_stock_pool(15, 2176), &conf));
	assert_int_equal(rte_errno, ENOTSUP);
	assert_null(ppool_mark_pool(ppool_frag_pool(mp), &conf));
	assert_int_equal(rte_errno, ENOTSUP);
	assert_null(ppool_mark_account(0, &conf));
	assert_int_equal(rte_errno, ENOENT);
	assert_null(ppool_mark_account(1023, &conf));
	assert_int_equal(rte_errno, ENOENT);
}

/* High from the upper bound on, low from the lower bound on, and nothing in between. */
static void
test_pool(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, 4096, 0, 0);
	struct told t = { .mark = NULL };
	struct ppool_mark *mark = make_mark(mp, &t, SLOW_MS);
	void *obj[PAGES];
	eventfd_t changes;

	(void)state;
	assert_int_equal(ppool_mark_state(mark), PPOOL_MARK_LOW);
	get_pages(mp, obj, PAGES / 2 - 1);
	assert_int_equal(ppool_mark_poll(mark), PPOOL_MARK_LOW);
	get_pages(mp, obj + PAGES / 2 - 1, 1);
	assert_int_equal(ppool_mark_state(mark), PPOOL_MARK_LOW);
	assert_int_equal(ppool_mark_poll(mark), PPOOL_MARK_HIGH);
	assert_int_equal(ppool_mark_state(mark), PPOOL_MARK_HIGH);
	assert_int_equal(t.bytes, PAGES / 2 * page_bytes(mp));
	unit_put_bulk(mp, obj + PAGES / 4 + 1, PAGES / 2 - PAGES / 4 - 1);
	assert_int_equal(ppool_mark_poll(mark), PPOOL_MARK_HIGH);
	unit_put_bulk(mp, obj + PAGES / 4, 1);
	assert_int_equal(ppool_mark_poll(mark), PPOOL_MARK_LOW);
	assert_int_equal(t.bytes, PAGES / 4 * page_bytes(mp));
	unit_put_bulk(mp, obj, PAGES / 4);
	assert_int_equal(ppool_mark_poll(mark), PPOOL_MARK_LOW);
	assert_int_equal(t.high, 1);
	assert_int_equal(t.low, 1);
	assert_int_equal(eventfd_read(ppool_mark_fd(mark), &changes), 0);
	assert_int_equal(changes, 2);
	assert_int_equal(eventfd_read(ppool_mark_fd(mark), &changes), -1);
	assert_int_equal(errno, EAGAIN);
	assert_int_equal(ppool_mark_remove(mark), 0);
}

/* Frags count as the pages that they are in. */
static void
test_frags(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, 4096, 0, 0);
	struct ppool_mark *mark = make_mark(mp, NULL, SLOW_MS);
	struct ppool_carver *c = unit_carver(mp, 3000, 1);
	struct rte_mbuf *m[PAGES / 2];
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(m); i++) {
		m[i] = ppool_carve(c, 3000);
		assert_non_null(m[i]);
	}
	assert_int_equal(ppool_mark_poll(mark), PPOOL_MARK_HIGH);
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
	assert_int_equal(ppool_mark_poll(mark), PPOOL_MARK_LOW);
	assert_int_equal(ppool_mark_remove(mark), 0);
}

/* Wait until a mark has changed, without looking at it. */
static void
wait_change(struct ppool_mark *mark, enum ppool_mark_state state)
{
	struct pollfd fd = { .fd = ppool_mark_fd(mark), .events = POLLIN };
	eventfd_t changes;

	assert_int_equal(poll(&fd, 1, PATIENCE_MS), 1);
	assert_int_equal(eventfd_read(fd.fd, &changes), 0);
	assert_int_equal(changes, 1);
	assert_int_equal(ppool_mark_state(mark), state);
}

static void
test_timer(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, 4096, 0, 0);
	struct told t = { .mark = NULL };
	struct ppool_mark *mark = make_mark(mp, &t, 0);
	void *obj[PAGES];
	unsigned int i;

	(void)state;
	for (i = 1; i <= 3; i++) {
		get_pages(mp, obj, PAGES);
		wait_change(mark, PPOOL_MARK_HIGH);
		unit_put_bulk(mp, obj, PAGES);
		wait_change(mark, PPOOL_MARK_LOW);
	}
	assert_int_equal(ppool_mark_remove(mark), 0);
	assert_int_equal(t.high, 3);
	assert_int_equal(t.low, 3);
}

static void
test_account(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, 4096, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 1000, 1);
	struct ppool_mark_conf conf = { .low = 0, .high = 2000, .interval_ms = SLOW_MS };
	uint16_t account = unit_account(1 << 20);
	struct ppool_mark *mark = ppool_mark_account(account, &conf);
	struct rte_mbuf *m[2];

	(void)state;
	assert_non_null(mark);
	m[0] = ppool_carve(c, 1000);
	m[1] = ppool_carve(c, 1000);
	assert_non_null(m[0]);
	assert_non_null(m[1]);
	assert_int_equal(ppool_mark_poll(mark), PPOOL_MARK_LOW);
	assert_int_equal(ppool_account_charge(account, m, 1), 1);
	assert_int_equal(ppool_mark_poll(mark), PPOOL_MARK_LOW);
	assert_int_equal(ppool_account_charge(account, m + 1, 1), 1);
	assert_int_equal(ppool_mark_poll(mark), PPOOL_MARK_HIGH);
	rte_pktmbuf_free(m[0]);
	assert_int_equal(ppool_mark_poll(mark), PPOOL_MARK_HIGH);
	rte_pktmbuf_free(m[1]);
	assert_int_equal(ppool_mark_poll(mark), PPOOL_MARK_LOW);
	assert_int_equal(ppool_mark_remove(mark), 0);
}

static void
test_removed_by_itself(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, 4096, 0, 0);
	struct told t = { .remove = 1 };
	void *obj[PAGES];

	(void)state;
	t.mark = make_mark(mp, &t, SLOW_MS);
	get_pages(mp, obj, PAGES);
	assert_int_equal(ppool_mark_poll(t.mark), PPOOL_MARK_HIGH);
	assert_int_equal(t.remove, -EBUSY);
	unit_put_bulk(mp, obj, PAGES);
	assert_int_equal(ppool_mark_remove(t.mark), 0);
}

/* Removed while the timer looks all the time. */
static void
test_removed_in_time(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, 4096, 0, 0);
	unsigned int i, n = (unsigned int)unit_scaled(100, 10000);
	struct told t = { .mark = NULL };
	struct ppool_mark *mark;
	void *obj[PAGES];
	unsigned int seen;

	(void)state;
	for (i = 0; i < n; i++) {
		mark = make_mark(mp, &t, 1);
		get_pages(mp, obj, PAGES);
		rte_delay_us_sleep(i % 3 * 500);
		assert_int_equal(ppool_mark_remove(mark), 0);
		seen = __atomic_load_n(&t.high, __ATOMIC_ACQUIRE);
		unit_put_bulk(mp, obj, PAGES);
	}
	rte_delay_us_sleep(3000);
	assert_int_equal(t.high, seen);
	assert_int_equal(t.low, 0);
}

static void
test_pool_freed(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, 4096, 0, 0);
	struct told t = { .mark = NULL };
	struct ppool_mark *mark = make_mark(mp, &t, 1), *slow = make_mark(mp, NULL, SLOW_MS);
	void *obj[PAGES];

	(void)state;
	get_pages(mp, obj, PAGES);
	wait_change(mark, PPOOL_MARK_HIGH);
	assert_int_equal(ppool_mark_poll(slow), PPOOL_MARK_HIGH);
	unit_unregister(mp);
	rte_mempool_free(mp);
	wait_change(mark, PPOOL_MARK_LOW);
	assert_int_equal(t.bytes, 0);
	assert_int_equal(ppool_mark_poll(slow), PPOOL_MARK_LOW);
	assert_int_equal(ppool_mark_remove(mark), 0);
	assert_int_equal(ppool_mark_remove(slow), 0);
}

/* Free a packet later. */
static void *
free_later(void *m)
{
	rte_delay_us_sleep(20000);
	rte_pktmbuf_free(m);
	return NULL;
}

static void
test_wait_idle(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, 4096, 0, 0);
	struct rte_mbuf *m;
	pthread_t thread;

	(void)state;
	assert_int_equal(ppool_wait_idle(mp, 0), 0);
	assert_int_equal(ppool_wait_idle(unit_stock_pool(15, 2176), 0), -ENOTSUP);
	m = rte_pktmbuf_alloc(mp);
	assert_non_null(m);
	assert_int_equal(ppool_wait_idle(mp, 0), -ETIMEDOUT);
	assert_int_equal(ppool_wait_idle(mp, 10), -ETIMEDOUT);
	assert_int_equal(pthread_create(&thread, NULL, free_later, m), 0);
	assert_int_equal(ppool_wait_idle(mp, PATIENCE_MS), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Who still has something, before a pool is freed. */
static void
test_dump_tells_owners(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, 4096, 0, 0);
	struct rte_mbuf *m = rte_pktmbuf_alloc(unit_slot_pool(mp, 200));
	char *text = NULL, expected[64];
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	assert_non_null(m);
	assert_non_null(f);
	ppool_dump(f, mp);
	fclose(f);
	snprintf(expected, sizeof(expected), "owner lcore %d, process ", (int)rte_lcore_id());
	assert_non_null(strstr(text, expected));
	assert_non_null(strstr(strstr(text, expected), "slots 1, uncharged "));
	free(text);
	rte_pktmbuf_free(m);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_bounds),
	UNIT_TEST(test_pool),
	UNIT_TEST(test_frags),
	UNIT_TEST(test_timer),
	UNIT_TEST(test_account),
	UNIT_TEST(test_removed_by_itself),
	UNIT_TEST(test_removed_in_time),
	UNIT_TEST(test_pool_freed),
	UNIT_TEST(test_wait_idle),
	UNIT_TEST(test_dump_tells_owners),
};

UNIT_SUITE(mark, "being told how full pools and accounts are", tests);
