/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_ring.h>

#include "unit.h"

/* Budgets: what is charged to an account is what its mbufs keep, until they are freed. */

#define N 200u /* more than three bursts of what the library handles at a time */

/* A pool, a carver of it, another pool of stock ops. */
struct fixture {
	struct rte_mempool *mp, *stock;
	struct ppool_carver *c;
};

static struct fixture
make_fixture(void)
{
	struct fixture f;

	f.mp = unit_pool(400, 16384, 0, 0);
	f.stock = unit_stock_pool(511, 512);
	f.c = unit_carver(f.mp, 2000, 1);
	return f;
}

static void
make_mbufs(struct fixture *f, struct rte_mbuf **m, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		m[i] = ppool_carve(f->c, 1 + i * 37 % 2000);
		assert_non_null(m[i]);
	}
}

static struct rte_mbuf *
make_foreign(struct fixture *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(f->stock);

	assert_non_null(m);
	return m;
}

/* A packet of frags of several lengths. */
static struct rte_mbuf *
make_chain(struct fixture *f, unsigned int segs)
{
	struct rte_mbuf *head = NULL, *m;
	unsigned int i;

	for (i = 0; i < segs; i++) {
		m = ppool_carve(f->c, 100 + 200 * i);
		assert_non_null(m);
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	return head;
}

static uint64_t
truesizes(struct rte_mbuf * const *m, unsigned int n)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		sum += ppool_mbuf_truesize(m[i]);
	return sum;
}

static struct ppool_account_stats
stats_of(uint16_t account)
{
	struct ppool_account_stats stats;

	assert_int_equal(ppool_account_stats_get(account, &stats), 0);
	assert_int_equal(stats.used, ppool_account_used(account));
	return stats;
}

/* By a walk. */
static uint64_t
frags_of(uint16_t account)
{
	uint64_t frags, bytes;

	assert_int_equal(ppool_account_frags_get(account, &frags, &bytes), 0);
	assert_int_equal(bytes, stats_of(account).used - stats_of(account).foreign);
	return frags;
}

/* What is used, with the books of all accounts checked. */
static void
assert_used(uint16_t account, uint64_t bytes)
{
	assert_int_equal(ppool_account_check(stderr), 0);
	assert_int_equal(ppool_account_used(account), bytes);
}

/* The functions of set-up */

static void
test_names(void **state)
{
	char name[PPOOL_ACCOUNT_NAMESIZE + 1];
	uint16_t a, b;

	(void)state;
	memset(name, 'x', sizeof(name));
	name[PPOOL_ACCOUNT_NAMESIZE] = '\0';
	assert_int_equal(ppool_account_create(name, 1), PPOOL_ACCOUNT_NONE);
	assert_int_equal(rte_errno, ENAMETOOLONG);
	assert_int_equal(ppool_account_create("", 1), PPOOL_ACCOUNT_NONE);
	assert_int_equal(rte_errno, EINVAL);
	assert_int_equal(ppool_account_create(NULL, 1), PPOOL_ACCOUNT_NONE);
	assert_int_equal(rte_errno, EINVAL);

	name[PPOOL_ACCOUNT_NAMESIZE - 1] = '\0';
	a = ppool_account_create(name, 1);
	assert_int_not_equal(a, PPOOL_ACCOUNT_NONE);
	assert_int_equal(ppool_account_lookup(name), a);
	assert_string_equal(ppool_account_name(a), name);
	assert_int_equal(ppool_account_create(name, 1), PPOOL_ACCOUNT_NONE);
	assert_int_equal(rte_errno, EEXIST);
	b = ppool_account_create("unit_b", 1);
	assert_int_not_equal(b, PPOOL_ACCOUNT_NONE);
	assert_int_not_equal(b, a);
	assert_int_equal(ppool_account_lookup("unit_b"), b);

	assert_int_equal(ppool_account_free(a), 0);
	assert_int_equal(ppool_account_lookup(name), PPOOL_ACCOUNT_NONE);
	assert_null(ppool_account_name(a));
	assert_int_equal(ppool_account_free(a), -ENOENT);
	assert_int_equal(ppool_account_free(b), 0);
}

static void
test_no_account(void **state)
{
	static const uint16_t none[] = { PPOOL_ACCOUNT_NONE, PPOOL_ACCOUNTS_MAX - 1,
		PPOOL_ACCOUNTS_MAX, UINT16_MAX };
	struct fixture f = make_fixture();
	uint16_t account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct ppool_account_stats stats;
	struct rte_mbuf *m;
	unsigned int i;

	(void)state;
	make_mbufs(&f, &m, 1);
	assert_int_equal(ppool_account_charge(account, &m, 1), 1);
	for (i = 0; i < RTE_DIM(none); i++) {
		assert_int_equal(ppool_account_charge(none[i], &m, 1), 0);
		assert_int_equal(ppool_account_move(none[i], account, &m, 1), 0);
		assert_int_equal(ppool_account_move(account, none[i], &m, 1), 0);
		assert_int_equal(ppool_account_uncharge(none[i], &m, 1), 0);
		assert_int_equal(ppool_account_used(none[i]), 0);
		assert_int_equal(ppool_account_limit_set(none[i], 1), -ENOENT);
		assert_int_equal(ppool_account_stats_get(none[i], &stats), -ENOENT);
		assert_int_equal(ppool_account_free(none[i]), -ENOENT);
		assert_null(ppool_account_name(none[i]));
	}
	assert_int_equal(ppool_account_of(m), account);
	assert_used(account, ppool_mbuf_truesize(m));
	rte_pktmbuf_free(m);
}

static void
test_all_numbers(void **state)
{
	static uint16_t account[PPOOL_ACCOUNTS_MAX];
	char name[PPOOL_ACCOUNT_NAMESIZE];
	unsigned int i, n;

	(void)state;
	for (n = 0; n < RTE_DIM(account); n++) {
		snprintf(name, sizeof(name), "unit_all_%u", n);
		account[n] = ppool_account_create(name, n);
		if (account[n] == PPOOL_ACCOUNT_NONE)
			break;
	}
	assert_int_equal(n, PPOOL_ACCOUNTS_MAX - 1);
	assert_int_equal(rte_errno, ENOSPC);
	assert_int_equal(ppool_account_free(account[n / 2]), 0);
	account[n / 2] = ppool_account_create("unit_again", 5);
	assert_int_not_equal(account[n / 2], PPOOL_ACCOUNT_NONE);
	assert_int_equal(stats_of(account[n / 2]).limit, 5);
	for (i = 0; i < n; i++)
		assert_int_equal(ppool_account_free(account[i]), 0);
}

/* Charging */

static void
test_exact(void **state)
{
	struct fixture f = make_fixture();
	uint16_t account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct rte_mbuf *m[N];
	struct ppool_account_stats s;
	uint64_t sum, rest;
	unsigned int i;

	(void)state;
	make_mbufs(&f, m, N);
	sum = truesizes(m, N);
	assert_int_equal(ppool_account_of(m[0]), PPOOL_ACCOUNT_NONE);
	assert_int_equal(ppool_account_charge(account, m, N), N);
	assert_used(account, sum);
	for (i = 0; i < N; i++)
		assert_int_equal(ppool_account_of(m[i]), account);
	assert_int_equal(unit_ledger(f.mp).charged + unit_ledger(f.mp).slot_charged, sum);

	rest = truesizes(m + 70, N - 70);
	rte_pktmbuf_free_bulk(m, 70);
	assert_used(account, rest);
	for (i = 70; i < 100; i++) {
		rest -= ppool_mbuf_truesize(m[i]);
		rte_pktmbuf_free(m[i]);
		assert_used(account, rest);
	}
	s = stats_of(account);
	assert_int_equal(s.limit, PPOOL_ACCOUNT_UNLIMITED);
	assert_int_equal(s.high_water, sum);
	assert_int_equal(frags_of(account), N - 100);
	assert_int_equal(s.refusals, 0);
	assert_int_equal(s.foreign, 0);
	rte_pktmbuf_free_bulk(m + 100, N - 100);
	assert_used(account, 0);
	assert_int_equal(stats_of(account).high_water, sum);

	/* A header that is used again is not charged. */
	make_mbufs(&f, m, N);
	for (i = 0; i < N; i++)
		assert_int_equal(ppool_account_of(m[i]), PPOOL_ACCOUNT_NONE);
	rte_pktmbuf_free_bulk(m, N);
}

static void
test_limit(void **state)
{
	static const unsigned int fits[] = { 0, 1, 31, 63, 64, 65, 128, 130, N - 1, N };
	struct fixture f = make_fixture();
	struct rte_mbuf *m[N];
	unsigned int i, k;

	(void)state;
	make_mbufs(&f, m, N);
	for (i = 0; i < RTE_DIM(fits); i++) {
		uint64_t sum = truesizes(m, fits[i]);
		uint16_t account = unit_account(sum);

		assert_int_equal(ppool_account_charge(account, m, N), fits[i]);
		assert_used(account, sum);
		for (k = 0; k < N; k++)
			assert_int_equal(ppool_account_of(m[k]), k < fits[i] ? account : 0);
		assert_int_equal(stats_of(account).refusals, fits[i] < N);
		assert_int_equal(stats_of(account).high_water, sum);
		assert_int_equal(ppool_account_uncharge(account, m, fits[i]), fits[i]);
		if (fits[i] == 0)
			continue;
		/* One byte less, one packet less. */
		assert_int_equal(ppool_account_limit_set(account, sum - 1), 0);
		assert_int_equal(ppool_account_charge(account, m, N), fits[i] - 1);
		assert_int_equal(ppool_account_charge(account, m + fits[i] - 1, 1), 0);
		assert_int_equal(stats_of(account).refusals, 2 + (fits[i] < N));
		assert_int_equal(ppool_account_uncharge(account, m, fits[i] - 1), fits[i] - 1);
		assert_used(account, 0);
	}
	assert_int_equal(ppool_account_charge(unit_account(0), m, 0), 0);
	rte_pktmbuf_free_bulk(m, N);
}

static void
test_limit_change(void **state)
{
	struct fixture f = make_fixture();
	struct rte_mbuf *m[N], *more;
	uint16_t account;
	uint64_t sum;

	(void)state;
	make_mbufs(&f, m, N);
	make_mbufs(&f, &more, 1);
	sum = truesizes(m, N);
	account = unit_account(sum + ppool_mbuf_truesize(more));
	assert_int_equal(ppool_account_charge(account, m, N), N);
	/* Nothing is taken away. */
	assert_int_equal(ppool_account_limit_set(account, sum / 2), 0);
	assert_used(account, sum);
	assert_int_equal(ppool_account_charge(account, &more, 1), 0);
	assert_int_equal(stats_of(account).limit, sum / 2);
	/* Frees count from where it is. */
	rte_pktmbuf_free_bulk(m, N / 10);
	assert_int_equal(ppool_account_charge(account, &more, 1), 0);
	rte_pktmbuf_free_bulk(m + N / 10, N - N / 10);
	assert_used(account, 0);
	assert_int_equal(ppool_account_charge(account, &more, 1), 1);
	assert_int_equal(stats_of(account).refusals, 2);
	assert_int_equal(stats_of(account).high_water, sum);
	assert_int_equal(ppool_account_limit_set(account, 0), 0);
	assert_int_equal(ppool_account_limit_set(account, PPOOL_ACCOUNT_UNLIMITED), 0);
	rte_pktmbuf_free(more);
}

static void
test_chain(void **state)
{
	struct fixture f = make_fixture();
	struct rte_mbuf *m[8], *seg;
	uint16_t account;
	uint64_t sum;
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(m); i++)
		m[i] = make_chain(&f, 1 + i);
	/* All of a packet or nothing. */
	sum = truesizes(m, RTE_DIM(m));
	account = unit_account(sum - 1);
	assert_int_equal(ppool_account_charge(account, m, RTE_DIM(m)), RTE_DIM(m) - 1);
	assert_used(account, truesizes(m, RTE_DIM(m) - 1));
	for (i = 0; i < RTE_DIM(m); i++)
		for (seg = m[i]; seg != NULL; seg = seg->next)
			assert_int_equal(ppool_account_of(seg), i < RTE_DIM(m) - 1 ? account : 0);
	assert_int_equal(ppool_account_limit_set(account, sum), 0);
	assert_int_equal(ppool_account_charge(account, m, RTE_DIM(m)), RTE_DIM(m));
	assert_used(account, sum);
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
	assert_used(account, 0);
}

/* A packet some of whose segments are charged already. */
static void
test_chain_in_part(void **state)
{
	struct fixture f = make_fixture();
	struct rte_mbuf *head = make_chain(&f, 1), *tail = make_chain(&f, 3), *next;
	uint64_t sum = ppool_mbuf_truesize(head) + ppool_mbuf_truesize(tail);
	uint16_t account = unit_account(sum - 1), other = unit_account(PPOOL_ACCOUNT_UNLIMITED);

	(void)state;
	make_mbufs(&f, &next, 1);
	assert_int_equal(ppool_account_charge(account, &tail, 1), 1);
	assert_int_equal(rte_pktmbuf_chain(head, tail), 0);
	assert_int_equal(ppool_account_charge(account, &head, 1), 0);
	assert_int_equal(ppool_account_of(head), PPOOL_ACCOUNT_NONE);
	assert_int_equal(stats_of(account).refusals, 1);
	/* Neither all, nor as a packet of another account. */
	assert_int_equal(ppool_account_uncharge(account, &head, 1), 0);
	assert_int_equal(ppool_account_move(account, other, &head, 1), 0);
	assert_int_equal(ppool_account_charge(other, &head, 1), 0);
	assert_int_equal(stats_of(other).refusals, 0);
	assert_int_equal(ppool_account_limit_set(account, sum), 0);
	assert_int_equal(ppool_account_charge(account, &head, 1), 1);
	assert_used(account, sum);
	assert_int_equal(stats_of(account).high_water, sum);
	assert_used(other, 0);
	rte_pktmbuf_free(head);
	rte_pktmbuf_free(next);
	assert_used(account, 0);
}

static void
test_again(void **state)
{
	struct fixture f = make_fixture();
	uint16_t account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	uint16_t other = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct rte_mbuf *m[N];
	uint64_t sum;

	(void)state;
	make_mbufs(&f, m, N);
	sum = truesizes(m, N);
	assert_int_equal(ppool_account_charge(account, m, 10), 10);
	/* The first ten count once. There is no room for more than all. */
	assert_int_equal(ppool_account_limit_set(account, sum), 0);
	assert_int_equal(ppool_account_charge(account, m, N), N);
	assert_int_equal(ppool_account_charge(account, m, N), N);
	assert_used(account, sum);
	assert_int_equal(stats_of(account).high_water, sum);
	assert_int_equal(stats_of(account).refusals, 0);
	/* Another account does not get them. */
	assert_int_equal(ppool_account_charge(other, m, N), 0);
	assert_used(other, 0);
	assert_int_equal(stats_of(other).refusals, 0);
	rte_pktmbuf_free_bulk(m, 5);
	make_mbufs(&f, m, 5);
	assert_int_equal(ppool_account_charge(other, m, N), 5);
	assert_used(other, truesizes(m, 5));
	rte_pktmbuf_free_bulk(m, N);
	assert_used(account, 0);
	assert_used(other, 0);
}

/* The same mbuf several times in one burst. */
static void
test_twice_in_a_burst(void **state)
{
	struct fixture f = make_fixture();
	uint16_t account, other = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct rte_mbuf *m[4];

	(void)state;
	make_mbufs(&f, m, 2);
	rte_mbuf_refcnt_update(m[0], 1);
	m[2] = m[0];
	m[3] = m[1];
	rte_mbuf_refcnt_update(m[1], 1);
	account = unit_account(truesizes(m, 2));
	assert_int_equal(ppool_account_charge(account, m, 4), 4);
	assert_used(account, truesizes(m, 2));
	assert_int_equal(stats_of(account).high_water, truesizes(m, 2));
	/* The second time they are not what is moved or uncharged. */
	assert_int_equal(ppool_account_move(account, other, m, 4), 2);
	assert_used(other, truesizes(m, 2));
	assert_int_equal(ppool_account_uncharge(other, m, 4), 2);
	assert_used(other, 0);
	assert_int_equal(ppool_account_charge(account, m, 4), 4);
	rte_pktmbuf_free_bulk(m, 2);
	assert_used(account, truesizes(m, 2));
	rte_pktmbuf_free_bulk(m + 2, 2);
	assert_used(account, 0);
}

/* A clone is charged with its own object; the data stays with the original. */
static void
test_clone(void **state)
{
	struct fixture f = make_fixture();
	uint16_t account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	uint16_t of_clones = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct rte_mbuf *m, *clone;
	uint64_t bytes;

	(void)state;
	m = make_chain(&f, 3);
	bytes = ppool_mbuf_truesize(m);
	assert_int_equal(ppool_account_charge(account, &m, 1), 1);
	clone = rte_pktmbuf_clone(m, f.stock);
	assert_non_null(clone);
	assert_int_equal(ppool_account_of(clone), PPOOL_ACCOUNT_NONE);
	assert_int_equal(ppool_account_charge(of_clones, &clone, 1), 1);
	assert_used(account, bytes);
	assert_used(of_clones, ppool_mbuf_truesize(clone));
	assert_int_equal(stats_of(of_clones).foreign, ppool_mbuf_truesize(clone));
	/* The original is gone, the last reference is not. */
	rte_pktmbuf_free(m);
	assert_used(account, bytes);
	assert_int_equal(ppool_account_uncharge(of_clones, &clone, 1), 1);
	assert_used(account, bytes);
	rte_pktmbuf_free(clone);
	assert_used(account, 0);
	assert_used(of_clones, 0);
}

static void
test_foreign(void **state)
{
	struct fixture f = make_fixture();
	uint16_t account, other = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct rte_mbuf *m[6];
	uint64_t sum, frags;

	(void)state;
	make_mbufs(&f, m, 2);
	frags = truesizes(m, 2);
	m[2] = make_foreign(&f);
	m[3] = make_foreign(&f);
	/* An ordinary object of a page pool has no record either. */
	m[4] = rte_pktmbuf_alloc(f.mp);
	assert_non_null(m[4]);
	m[5] = make_chain(&f, 2);
	assert_int_equal(rte_pktmbuf_chain(m[5], make_foreign(&f)), 0);
	frags += ppool_mbuf_truesize(m[5]) - ppool_mbuf_truesize(m[2]);
	sum = truesizes(m, 6);

	account = unit_account(sum);
	assert_int_equal(ppool_account_charge(account, m, 6), 6);
	assert_used(account, sum);
	assert_int_equal(stats_of(account).foreign, sum - frags);
	assert_int_equal(frags_of(account), 4);
	assert_int_equal(ppool_account_of(m[2]), PPOOL_ACCOUNT_NONE);
	assert_int_equal(ppool_account_charge(account, m + 3, 1), 0);
	assert_int_equal(stats_of(account).refusals, 1);

	assert_int_equal(ppool_account_move(account, other, m, 6), 6);
	assert_used(account, 0);
	assert_used(other, sum);
	assert_int_equal(stats_of(account).foreign, 0);
	assert_int_equal(stats_of(other).foreign, sum - frags);
	/* More than was charged is not given back, not even in part. */
	assert_int_equal(ppool_account_uncharge(account, m + 2, 1), 0);
	assert_int_equal(ppool_account_move(account, other, m + 2, 1), 0);
	assert_int_equal(ppool_account_move(account, other, m + 5, 1), 0);
	assert_used(account, 0);
	assert_used(other, sum);
	assert_int_equal(stats_of(other).refusals, 0);

	assert_int_equal(ppool_account_uncharge(other, m, 6), 6);
	assert_used(other, 0);
	assert_int_equal(stats_of(other).foreign, 0);
	rte_pktmbuf_free_bulk(m, 6);
}

static void
test_move(void **state)
{
	struct fixture f = make_fixture();
	uint16_t from = unit_account(PPOOL_ACCOUNT_UNLIMITED), to;
	struct rte_mbuf *m[N];
	uint64_t sum, fits;
	unsigned int i;

	(void)state;
	make_mbufs(&f, m, N - 10);
	for (i = N - 10; i < N; i++)
		m[i] = make_chain(&f, 3);
	sum = truesizes(m, N);
	fits = truesizes(m, 100);
	to = unit_account(fits);
	assert_int_equal(ppool_account_move(from, to, m, N), 0);
	assert_int_equal(ppool_account_charge(from, m, N), N);
	assert_int_equal(ppool_account_move(from, to, m, N), 100);
	assert_used(from, sum - fits);
	assert_used(to, fits);
	assert_int_equal(stats_of(to).refusals, 1);
	assert_int_equal(stats_of(from).refusals, 0);
	for (i = 0; i < N; i++)
		assert_int_equal(ppool_account_of(m[i]), i < 100 ? to : from);
	/* A chain fits as a whole or stays. */
	assert_int_equal(ppool_account_limit_set(to, sum - 1), 0);
	assert_int_equal(ppool_account_move(from, to, m, N), 0);
	assert_int_equal(ppool_account_move(from, to, m + 100, N - 100), N - 101);
	assert_int_equal(ppool_account_of(m[N - 1]->next), from);
	assert_used(from, ppool_mbuf_truesize(m[N - 1]));
	assert_int_equal(stats_of(to).refusals, 2);
	/* To itself: no change, and no room is needed. */
	assert_int_equal(ppool_account_limit_set(to, 0), 0);
	assert_int_equal(ppool_account_move(to, to, m, N), N - 1);
	assert_used(to, sum - ppool_mbuf_truesize(m[N - 1]));
	assert_int_equal(stats_of(from).high_water, sum);
	rte_pktmbuf_free_bulk(m, N);
	assert_used(from, 0);
	assert_used(to, 0);
}

static void
test_busy(void **state)
{
	struct fixture f = make_fixture();
	uint16_t account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct rte_mbuf *m[2];

	(void)state;
	make_mbufs(&f, m, 1);
	m[1] = make_foreign(&f);
	assert_int_equal(ppool_account_charge(account, m, 2), 2);
	assert_int_equal(ppool_account_free(account), -EBUSY);
	rte_pktmbuf_free(m[0]);
	assert_int_equal(ppool_account_free(account), -EBUSY);
	assert_int_equal(ppool_account_uncharge(account, m + 1, 1), 1);
	rte_pktmbuf_free(m[1]);
}

/* A pool that is freed too early takes its frags along, not the budgets of those who held them. */
static void
test_pool_freed(void **state)
{
	struct fixture f = make_fixture();
	struct rte_mempool *mp = rte_pktmbuf_pool_create_by_ops(unit_name(), 300, 0, 0, 4096,
			SOCKET_ID_ANY, PPOOL_OPS_NAME);
	uint16_t a = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	uint16_t b = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct rte_mbuf *mono[N], *m[10];
	char *text = NULL, words[64];
	size_t size = 0;
	uint64_t bytes;
	FILE *log;

	(void)state;
	assert_non_null(mp);
	assert_int_equal(rte_pktmbuf_alloc_bulk(ppool_frag_pool(mp), mono, N), 0);
	bytes = truesizes(mono, N);
	make_mbufs(&f, m, RTE_DIM(m));
	assert_int_equal(ppool_account_charge(a, mono, N / 2), N / 2);
	assert_int_equal(ppool_account_charge(b, mono + N / 2, N / 2), N / 2);
	assert_int_equal(ppool_account_charge(b, m, RTE_DIM(m)), RTE_DIM(m));
	assert_int_equal(ppool_account_free(a), -EBUSY);
	unit_assert_charged(mp, mono, N);

	log = open_memstream(&text, &size);
	assert_non_null(log);
	rte_openlog_stream(log);
	rte_mempool_free(mp);
	rte_openlog_stream(NULL);
	fclose(log);
	snprintf(words, sizeof(words), "%" PRIu64 " bytes are taken off", bytes);
	if (strstr(text, words) == NULL)
		fail_msg("no '%s' in '%s'", words, text);
	free(text);
	assert_used(a, 0);
	assert_used(b, truesizes(m, RTE_DIM(m)));
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
}

/* A burst whose frags belong to many accounts, and to none. */
static void
test_many_accounts(void **state)
{
	struct fixture f = make_fixture();
	struct rte_mbuf *m[64];
	uint16_t account[64];
	uint64_t sum[64];
	unsigned int i, k, kinds;

	(void)state;
	for (i = 0; i < RTE_DIM(account); i++)
		account[i] = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	for (kinds = 1; kinds <= RTE_DIM(account); kinds++) {
		memset(sum, 0, sizeof(sum));
		make_mbufs(&f, m, RTE_DIM(m));
		for (i = 0; i < RTE_DIM(m); i++) {
			k = i % kinds;
			if (kinds % 3 == 0 && k == 1)
				continue;
			assert_int_equal(ppool_account_charge(account[k], &m[i], 1), 1);
			sum[k] += ppool_mbuf_truesize(m[i]);
		}
		for (i = 0; i < RTE_DIM(account); i++)
			assert_int_equal(ppool_account_used(account[i]), sum[i]);
		rte_pktmbuf_free_bulk(m, RTE_DIM(m));
		for (i = 0; i < RTE_DIM(account); i++)
			assert_used(account[i], 0);
	}
}

/* Frees of other lcores, of threads that are no lcores, one by one and in bulk. */

struct passed {
	struct rte_mbuf *m[N];
};

static int
free_passed(void *arg)
{
	struct passed *p = arg;
	unsigned int i;

	for (i = 0; i < 10; i++)
		rte_pktmbuf_free(p->m[i]);
	rte_pktmbuf_free_bulk(p->m + 10, N - 10);
	return 0;
}

static void
test_free_elsewhere(void **state)
{
	struct fixture f = make_fixture();
	uint16_t account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct passed p;
	unsigned int i;

	(void)state;
	for (i = 0; i < 1 + RTE_MIN(unit_workers(), 3u); i++) {
		make_mbufs(&f, p.m, N);
		assert_int_equal(ppool_account_charge(account, p.m, N), N);
		assert_used(account, truesizes(p.m, N));
		if (i == 0)
			assert_int_equal(unit_on_thread(free_passed, &p), 0);
		else
			assert_int_equal(unit_on_lcore(i - 1, free_passed, &p), 0);
		assert_used(account, 0);
	}
	/* Mono-frags, straight into the mempool, as some drivers do. */
	assert_int_equal(rte_pktmbuf_alloc_bulk(ppool_frag_pool(f.mp), p.m, 100), 0);
	assert_int_equal(ppool_account_charge(account, p.m, 100), 100);
	assert_used(account, truesizes(p.m, 100));
	unit_put_bulk(ppool_frag_pool(f.mp), (void **)p.m, 100);
	assert_used(account, 0);
}

/* Several threads on the same accounts. */

#define ACTORS_MAX 8u
#define MINE_MAX 128u
#define STEPS 4000u

struct world {
	struct rte_mempool *mp;
	struct rte_ring *ring;
	uint16_t account[3]; /* without a limit, with one, with a tight one */
};

struct actor {
	struct world *w;
	struct ppool_carver *c;
	uint64_t rng;
	unsigned int n;
	struct rte_mbuf *mine[MINE_MAX];
	uint64_t charged, refused;
	const char *error;
};

static uint16_t
any_account(struct actor *a)
{
	return a->w->account[unit_range(&a->rng, 0, RTE_DIM(a->w->account) - 1)];
}

/* Some of what this actor has: all of one kind, or mixed. */
static struct rte_mbuf **
any_mbufs(struct actor *a, unsigned int *n)
{
	unsigned int first = a->n == 0 ? 0 : unit_range(&a->rng, 0, a->n - 1);

	*n = a->n == 0 ? 0 : unit_range(&a->rng, 0, a->n - first);
	return a->mine + first;
}

static void
expect_account(struct actor *a, struct rte_mbuf * const *m, unsigned int n, uint16_t account)
{
	const struct rte_mbuf *seg;
	unsigned int i;

	for (i = 0; i < n; i++)
		for (seg = m[i]; seg != NULL; seg = seg->next)
			if (ppool_account_of(seg) != account)
				a->error = "a segment belongs to another account than it was told";
}

/* A packet that stays is not changed in part. */
static void
expect_whole(struct actor *a, struct rte_mbuf *m)
{
	expect_account(a, &m, 1, ppool_account_of(m));
}

static void
step_carve(struct actor *a)
{
	unsigned int want = RTE_MIN(unit_range(&a->rng, 1, 40), MINE_MAX - a->n);
	struct rte_mbuf *m;

	for (; want > 0; want--) {
		m = ppool_carve(a->c, unit_range(&a->rng, 1, 1500));
		if (m == NULL)
			return;
		if (a->n > 0 && unit_range(&a->rng, 0, 7) == 0 && a->mine[a->n - 1]->nb_segs < 4 &&
				ppool_account_of(a->mine[a->n - 1]) == PPOOL_ACCOUNT_NONE)
			rte_pktmbuf_chain(a->mine[a->n - 1], m);
		else
			a->mine[a->n++] = m;
	}
}

static void
step_charge(struct actor *a)
{
	uint16_t account = any_account(a);
	struct rte_mbuf **m;
	unsigned int n, k;

	m = any_mbufs(a, &n);
	k = ppool_account_charge(account, m, n);
	expect_account(a, m, k, account);
	if (k < n)
		expect_whole(a, m[k]);
	a->charged += k;
	a->refused += k < n;
}

static void
step_move(struct actor *a)
{
	uint16_t from, to = any_account(a);
	struct rte_mbuf **m;
	unsigned int n, k;

	m = any_mbufs(a, &n);
	from = n == 0 ? to : ppool_account_of(m[0]);
	k = ppool_account_move(from, to, m, n);
	expect_account(a, m, k, to);
	if (k < n && from != to)
		expect_whole(a, m[k]);
}

static void
step_uncharge(struct actor *a)
{
	struct rte_mbuf **m;
	unsigned int n, k;

	m = any_mbufs(a, &n);
	if (n == 0)
		return;
	k = ppool_account_uncharge(ppool_account_of(m[0]), m, n);
	expect_account(a, m, k, PPOOL_ACCOUNT_NONE);
}

static void
step_free(struct actor *a)
{
	unsigned int i, n = unit_range(&a->rng, 0, a->n);

	unit_shuffle((void **)a->mine, a->n, &a->rng);
	a->n -= n;
	if (unit_range(&a->rng, 0, 1) == 0)
		rte_pktmbuf_free_bulk(a->mine + a->n, n);
	else
		for (i = 0; i < n; i++)
			rte_pktmbuf_free(a->mine[a->n + i]);
}

static void
step_give(struct actor *a)
{
	unsigned int n = RTE_MIN(a->n, unit_range(&a->rng, 1, 32));

	a->n -= rte_ring_enqueue_bulk(a->w->ring, (void **)(a->mine + a->n - n), n, NULL);
}

static void
step_take(struct actor *a)
{
	a->n += rte_ring_dequeue_burst(a->w->ring, (void **)(a->mine + a->n),
			RTE_MIN(MINE_MAX - a->n, 32u), NULL);
}

static int
act(void *arg)
{
	static void (* const steps[])(struct actor *) = {
		step_carve,
		step_carve,
		step_charge,
		step_charge,
		step_charge,
		step_move,
		step_uncharge,
		step_free,
		step_give,
		step_take,
	};
	struct actor *a = arg;
	unsigned int i;

	for (i = 0; i < STEPS && a->error == NULL; i++)
		steps[unit_range(&a->rng, 0, RTE_DIM(steps) - 1)](a);
	rte_pktmbuf_free_bulk(a->mine, a->n);
	a->n = 0;
	return 0;
}

static void *
act_thread(void *arg)
{
	act(arg);
	return NULL;
}

/* One actor is a thread that is no lcore, one the main lcore. */
static unsigned int
run_actors(struct actor *a)
{
	pthread_t thread;
	unsigned int n = 2, id;

	assert_int_equal(pthread_create(&thread, NULL, act_thread, &a[0]), 0);
	RTE_LCORE_FOREACH_WORKER(id) {
		if (n == ACTORS_MAX)
			break;
		assert_int_equal(rte_eal_remote_launch(act, &a[n++], id), 0);
	}
	act(&a[1]);
	rte_eal_mp_wait_lcore();
	pthread_join(thread, NULL);
	return n;
}

static void
test_threads(void **state)
{
	struct world w = { .mp = unit_pool(600, 16384, 0, 0) };
	struct actor *a = calloc(ACTORS_MAX, sizeof(*a));
	uint64_t charged = 0, refused = 0;
	struct rte_mbuf *m;
	unsigned int i, n;

	(void)state;
	assert_non_null(a);
	w.account[0] = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	w.account[1] = unit_account(300000);
	w.account[2] = unit_account(30000);
	w.ring = rte_ring_create(unit_name(), 256, SOCKET_ID_ANY, 0);
	assert_non_null(w.ring);
	for (i = 0; i < ACTORS_MAX; i++) {
		a[i].w = &w;
		a[i].rng = unit_seed + i;
		a[i].c = unit_carver(w.mp, 1500, 1);
	}
	n = run_actors(a);
	assert_int_equal(ppool_account_check(stderr), 0);
	while (rte_ring_dequeue(w.ring, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(w.ring);
	for (i = 0; i < n; i++) {
		if (a[i].error != NULL)
			fail_msg("actor %u: %s; --seed %" PRIu64 " repeats it", i, a[i].error,
					unit_seed);
		charged += a[i].charged;
		refused += a[i].refused;
	}
	free(a);
	for (i = 0; i < RTE_DIM(w.account); i++) {
		struct ppool_account_stats s = stats_of(w.account[i]);

		assert_used(w.account[i], 0);
		assert_true(s.high_water > 0);
		assert_true(s.high_water <= s.limit);
	}
	assert_true(stats_of(w.account[2]).refusals > 0);
	print_message("%u actors charged %" PRIu64 " packets, %" PRIu64 " calls fell short\n", n,
			charged, refused);
}

/* A plan that a seed repeats, against a model that adds up by itself. */
static void
test_model(void **state)
{
	struct fixture f = make_fixture();
	uint64_t rng = unit_seed, used[2] = { 0, 0 }, high[2] = { 0, 0 }, limit[2], bytes;
	uint16_t account[2];
	struct rte_mbuf *m[100];
	int owner[RTE_DIM(m)];
	unsigned int step, i, k;
	bool fits;

	(void)state;
	for (k = 0; k < 2; k++) {
		limit[k] = 40000 + k * 20000;
		account[k] = unit_account(limit[k]);
	}
	for (i = 0; i < RTE_DIM(m); i++) {
		m[i] = make_chain(&f, 1 + i % 3);
		owner[i] = -1;
	}
	for (step = 0; step < 5000; step++) {
		i = unit_range(&rng, 0, RTE_DIM(m) - 1);
		k = unit_range(&rng, 0, 1);
		bytes = ppool_mbuf_truesize(m[i]);
		fits = used[k] + bytes <= limit[k];
		if (owner[i] == (int)k) {
			if (unit_range(&rng, 0, 1) == 0) {
				rte_pktmbuf_free(m[i]);
				m[i] = make_chain(&f, 1 + i % 3);
			} else {
				assert_int_equal(ppool_account_uncharge(account[k], &m[i], 1), 1);
			}
			used[k] -= bytes;
			owner[i] = -1;
		} else if (owner[i] < 0) {
			assert_int_equal(ppool_account_charge(account[k], &m[i], 1), fits);
		} else {
			assert_int_equal(ppool_account_move(account[!k], account[k], &m[i], 1),
					fits);
			used[!k] -= fits ? bytes : 0;
		}
		if (ppool_account_of(m[i]) == account[k]) {
			owner[i] = (int)k;
			used[k] += bytes;
			high[k] = RTE_MAX(high[k], used[k]);
		}
		assert_int_equal(ppool_account_used(account[0]), used[0]);
		assert_int_equal(ppool_account_used(account[1]), used[1]);
	}
	for (k = 0; k < 2; k++)
		assert_int_equal(stats_of(account[k]).high_water, high[k]);
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
	assert_used(account[0], 0);
	assert_used(account[1], 0);
}

/* The books */

/* What the check is for: a byte that is charged to nobody, or twice. */
static void
test_check_finds(void **state)
{
	struct fixture f = make_fixture();
	uint16_t account = unit_account(PPOOL_ACCOUNT_UNLIMITED), other = unit_account(0);
	struct ppool_frag *frag;
	struct rte_mbuf *m;

	(void)state;
	make_mbufs(&f, &m, 1);
	assert_int_equal(ppool_account_charge(account, &m, 1), 1);
	frag = (struct ppool_frag *)m->shinfo;
	frag->account = other;
	assert_int_equal(ppool_account_check(NULL), 2);
	frag->account = PPOOL_ACCOUNT_NONE;
	assert_int_equal(ppool_account_check(NULL), 1);
	frag->account = PPOOL_ACCOUNTS_MAX - 1;
	assert_int_equal(ppool_account_check(NULL), 2);
	frag->account = account;
	assert_int_equal(ppool_account_check(NULL), 0);
	rte_pktmbuf_free(m);
	/* An idle header that is charged. */
	frag->account = account;
	assert_int_equal(ppool_check(f.mp, NULL), 1);
	frag->account = PPOOL_ACCOUNT_NONE;
	assert_int_equal(ppool_check(f.mp, NULL), 0);
}

static char *
dump_of(struct rte_mempool *mp)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	if (mp == NULL)
		ppool_account_dump(f);
	else
		ppool_dump(f, mp);
	fclose(f);
	assert_non_null(text);
	return text;
}

static void
test_dump(void **state)
{
	struct fixture f = make_fixture();
	uint16_t account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	char line[128], *text;
	struct rte_mbuf *m;

	(void)state;
	make_mbufs(&f, &m, 1);
	text = dump_of(f.mp);
	assert_null(strstr(text, "account"));
	free(text);
	assert_int_equal(ppool_account_charge(account, &m, 1), 1);
	text = dump_of(f.mp);
	snprintf(line, sizeof(line), "account %s: 1 frags, %zu bytes", ppool_account_name(account),
			ppool_mbuf_truesize(m));
	assert_non_null(strstr(text, line));
	free(text);
	text = dump_of(NULL);
	assert_non_null(strstr(text, ppool_account_name(account)));
	assert_non_null(strstr(text, "high_water"));
	assert_non_null(strstr(text, "frags              1\n"));
	free(text);
	rte_pktmbuf_free(m);
}

/* A header's share of its page has 16 bits. */
static void
test_slot_too_large(void **state)
{
	struct rte_mempool *mp = unit_pool(8, 60000, 0, 40000);

	(void)state;
	assert_null(ppool_frag_pool(mp));
	assert_int_equal(rte_errno, EINVAL);
	assert_non_null(ppool_frag_pool(unit_pool(8, 60000, 0, 20000)));
}

/* Telemetry, over its socket. */

static int
telemetry_connect(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	char greeting[1024];

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/dpdk_telemetry.v2",
			rte_eal_get_runtime_dir());
	if (fd >= 0 &&
			(connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
					recv(fd, greeting, sizeof(greeting), 0) <= 0)) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static void
ask(int fd, const char *command, char *answer, size_t size)
{
	ssize_t len;

	assert_int_equal(send(fd, command, strlen(command), 0), strlen(command));
	len = recv(fd, answer, size - 1, 0);
	assert_true(len > 0);
	answer[len] = '\0';
}

static void
test_telemetry(void **state)
{
	int fd = telemetry_connect();
	struct fixture f = make_fixture();
	static char answer[16384];
	uint16_t account, other;
	char command[64], text[256];
	struct rte_mbuf *m;

	(void)state;
	unit_require(fd >= 0, "the telemetry socket");
	account = unit_account(123456);
	other = unit_account(1);
	make_mbufs(&f, &m, 1);
	assert_int_equal(ppool_account_charge(other, &m, 1), 0);
	assert_int_equal(ppool_account_charge(account, &m, 1), 1);
	snprintf(command, sizeof(command), "/ppool/accounts,%s", ppool_account_name(account));
	ask(fd, command, answer, sizeof(answer));
	close(fd);
	snprintf(text, sizeof(text), "\"%u\":{\"name\":\"%s\",\"limit\":123456,\"used\":%zu,",
			account, ppool_account_name(account), ppool_mbuf_truesize(m));
	if (strstr(answer, text) == NULL || strstr(answer, ppool_account_name(other)) != NULL)
		fail_msg("no %s in %s", text, answer);
	rte_pktmbuf_free(m);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_names),
	UNIT_TEST(test_no_account),
	UNIT_TEST(test_all_numbers),
	UNIT_TEST(test_exact),
	UNIT_TEST(test_limit),
	UNIT_TEST(test_limit_change),
	UNIT_TEST(test_chain),
	UNIT_TEST(test_chain_in_part),
	UNIT_TEST(test_again),
	UNIT_TEST(test_twice_in_a_burst),
	UNIT_TEST(test_clone),
	UNIT_TEST(test_foreign),
	UNIT_TEST(test_move),
	UNIT_TEST(test_busy),
	UNIT_TEST(test_pool_freed),
	UNIT_TEST(test_many_accounts),
	UNIT_TEST(test_free_elsewhere),
	UNIT_TEST(test_threads),
	UNIT_TEST(test_model),
	UNIT_TEST(test_check_finds),
	UNIT_TEST(test_dump),
	UNIT_TEST(test_slot_too_large),
	UNIT_TEST(test_telemetry),
};

UNIT_SUITE(account, "budgets: charge, move, limits, frees from anywhere, books", tests);
