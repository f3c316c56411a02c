/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

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
	assert_int_equal(s.frags, N - 100);
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
	assert_int_equal(stats_of(account).frags, 4);
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
	UNIT_TEST(test_many_accounts),
};

UNIT_SUITE(account, "budgets: charge, move, limits, frees from anywhere, books", tests);
