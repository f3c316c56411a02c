/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#define ALLOW_EXPERIMENTAL_API

#include <stdlib.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_version.h>
#ifdef UNIT_PACKET_LIBS
#include <rte_gro.h>
#include <rte_ip_frag.h>
#include <rte_reorder.h>
#endif

#include "unit.h"

/*
 * An application that never heard of frags: it takes m->pool for a pool like any other, and it uses
 * DPDK's libraries and drivers. Whatever it does, nothing is lost.
 */

#define ROOM 4096
#define TIMES 100
#define LEN 300u
#define TAG 77u

struct ctx {
	struct rte_mempool *mp, *frag_pool, *stock;
	struct ppool_carver *c;
};

static struct ctx
make_ctx(unsigned int cache)
{
	struct ctx x;

	x.mp = unit_pool(255, ROOM, cache, 0);
	x.frag_pool = ppool_frag_pool(x.mp);
	x.stock = unit_stock_pool(511, RTE_MBUF_DEFAULT_BUF_SIZE);
	x.c = unit_carver(x.mp, 1500, 1);
	assert_non_null(x.frag_pool);
	return x;
}

static struct rte_mbuf *
fill(struct rte_mbuf *m, uint16_t len)
{
	assert_non_null(m);
	assert_non_null(rte_pktmbuf_append(m, len));
	unit_fill_data(m, TAG);
	return m;
}

static struct rte_mbuf *
receive(const struct ctx *x)
{
	return fill(ppool_carve(x->c, LEN), LEN);
}

static struct rte_mbuf *
receive_chain(const struct ctx *x)
{
	struct rte_mbuf *head = receive(x);
	unsigned int i;

	for (i = 0; i < 4; i++)
		assert_int_equal(rte_pktmbuf_chain(head, ppool_carve(x->c, LEN)), 0);
	return head;
}

static void
assert_nothing_lost(const struct ctx *x)
{
	assert_int_equal(unit_ledger(x->mp).frags, 0);
	assert_int_equal(rte_mempool_in_use_count(x->frag_pool), 0);
	assert_int_equal(rte_mempool_avail_count(x->stock), x->stock->size);
}

static struct rte_mbuf *
clone_of(struct rte_mbuf *m, struct rte_mempool *mp)
{
	struct rte_mbuf *clone = rte_pktmbuf_clone(m, mp);

	assert_non_null(clone);
	assert_int_equal(clone->pkt_len, m->pkt_len);
	return clone;
}

/* Free in the order of the digits; what is left keeps its contents. */
static void
free_in_order(struct rte_mbuf **m, const char *order)
{
	const char *c;

	for (; *order != '\0'; order++) {
		rte_pktmbuf_free(m[*order - '0']);
		for (c = order + 1; *c != '\0'; c++)
			assert_true(unit_filled(rte_pktmbuf_mtod(m[*c - '0'], void *), LEN, TAG));
	}
}

/* Clones into m->pool */

static void
exercise_clone(struct rte_mbuf *(*make)(const struct ctx *x), unsigned int cache)
{
	struct ctx x = make_ctx(cache);
	struct rte_mbuf *m[2];
	unsigned int i;

	for (i = 0; i < TIMES; i++) {
		m[0] = make(&x);
		m[1] = clone_of(m[0], m[0]->pool);
		free_in_order(m, i % 2 == 0 ? "01" : "10");
	}
	assert_nothing_lost(&x);
}

static struct rte_mbuf *
receive_whole(const struct ctx *x)
{
	return fill(rte_pktmbuf_alloc(x->frag_pool), LEN);
}

static struct rte_mbuf *
make_copy(const struct ctx *x)
{
	struct rte_mbuf *m = receive(x), *copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);

	assert_non_null(copy);
	rte_pktmbuf_free(m);
	return copy;
}

static struct rte_mbuf *
make_stock(const struct ctx *x)
{
	return fill(rte_pktmbuf_alloc(x->stock), LEN);
}

static void
test_clone(void **state)
{
	(void)state;
	exercise_clone(receive, 0);
	exercise_clone(receive, 32);
	exercise_clone(receive_chain, 0);
	exercise_clone(receive_whole, 0);
	exercise_clone(make_copy, 32);
}

static void
test_clone_of_clone(void **state)
{
	static const char * const orders[] = { "012", "021", "102", "120", "201", "210" };
	struct rte_mbuf *(* const make[])(const struct ctx *x) = { receive, receive_chain,
		receive_whole, make_copy, make_stock };
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m[3];
	unsigned int i, k;

	(void)state;
	for (i = 0; i < TIMES; i++)
		for (k = 0; k < RTE_DIM(make); k++) {
			m[0] = make[k](&x);
			m[1] = clone_of(m[0], x.frag_pool);
			m[2] = clone_of(m[1], m[1]->pool);
			free_in_order(m, orders[i % RTE_DIM(orders)]);
		}
	assert_nothing_lost(&x);
}

static int
free_mbuf(void *arg)
{
	rte_pktmbuf_free(arg);
	return 0;
}

/* The clone is what is left in the end: no carver, no other frag. */
static void
test_clone_outlives(void **state)
{
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m, *clone;
	unsigned int i;

	(void)state;
	for (i = 0; i < 2 + RTE_MIN(unit_workers(), 1u); i++) {
		m = receive_chain(&x);
		clone = clone_of(m, m->pool);
		rte_pktmbuf_free(m);
		unit_carver_free(x.c);
		assert_true(unit_filled(rte_pktmbuf_mtod(clone, void *), LEN, TAG));
		assert_int_equal(unit_ledger(x.mp).frags, 10);
		if (i == 0)
			rte_pktmbuf_free(clone);
		else if (i == 1)
			assert_int_equal(unit_on_thread(free_mbuf, clone), 0);
		else
			assert_int_equal(unit_on_lcore(0, free_mbuf, clone), 0);
		assert_nothing_lost(&x);
		x.c = unit_carver(x.mp, 1500, 1);
	}
}

/* Attach and detach by hand, of everything there is. */
static void
test_attach(void **state)
{
	struct rte_mbuf *(* const make[])(const struct ctx *x) = { receive, receive_whole,
		make_copy, make_stock };
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m, *mi;
	unsigned int i, k;

	(void)state;
	for (i = 0; i < TIMES; i++)
		for (k = 0; k < RTE_DIM(make); k++) {
			m = make[k](&x);
			mi = rte_pktmbuf_alloc(x.frag_pool);
			assert_non_null(mi);
			rte_pktmbuf_attach(mi, m);
			if (i % 2 == 0)
				rte_pktmbuf_free(m);
			assert_true(unit_filled_data(mi, TAG));
			if (i % 4 < 2) {
				rte_pktmbuf_detach(mi);
				fill(mi, 200);
			}
			if (i % 2 != 0)
				rte_pktmbuf_free(m);
			rte_pktmbuf_free(mi);
		}
	assert_nothing_lost(&x);
}

static void
count_free(void *addr, void *arg)
{
	(void)addr;
	++*(unsigned int *)arg;
}

/* The application's own buffer, in an mbuf from m->pool. */
static void
test_attach_extbuf(void **state)
{
	static char buf[2048];
	struct rte_mbuf_ext_shared_info shinfo;
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m[3];
	unsigned int i, freed = 0;

	(void)state;
	shinfo.free_cb = count_free;
	shinfo.fcb_opaque = &freed;
	for (i = 0; i < TIMES; i++) {
		m[0] = receive(&x);
		m[1] = rte_pktmbuf_alloc(m[0]->pool);
		assert_non_null(m[1]);
		rte_mbuf_ext_refcnt_set(&shinfo, 1);
		rte_pktmbuf_attach_extbuf(m[1], buf, RTE_BAD_IOVA, sizeof(buf), &shinfo);
		fill(m[1], LEN);
		m[2] = clone_of(m[1], m[0]->pool);
		free_in_order(m, i % 2 == 0 ? "012" : "201");
		assert_int_equal(freed, i + 1);
	}
	assert_nothing_lost(&x);
}

/* A copy is as good as an mbuf of a stock pool. */
static void
test_copy(void **state)
{
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m, *copy;
	unsigned int i;

	(void)state;
	for (i = 0; i < TIMES; i++) {
		m = receive_chain(&x);
		copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
		assert_non_null(copy);
		rte_pktmbuf_free(m);
		assert_true(unit_filled_data(copy, TAG));
		assert_true(RTE_MBUF_DIRECT(copy));
		fill(copy, rte_pktmbuf_tailroom(copy));
		assert_non_null(rte_pktmbuf_prepend(copy, RTE_PKTMBUF_HEADROOM));
		rte_pktmbuf_free(copy);
	}
	assert_nothing_lost(&x);
}

/* Transmit functions that put all they have sent into the pool of the first (MBUF_FAST_FREE) */

#define MIXED 200u

static struct rte_mbuf *
make_any(const struct ctx *x, uint64_t *rng)
{
	struct rte_mempool *mono;
	struct rte_mbuf *m;

	switch (unit_range(rng, 0, 3)) {
	case 0:
		return receive_whole(x);
	case 1:
		return make_copy(x);
	case 2:
		m = receive_whole(x);
		mono = m->pool;
		rte_pktmbuf_free(m);
		return fill(rte_pktmbuf_alloc(mono), LEN);
	default:
		return receive(x);
	}
}

struct burst {
	struct rte_mempool *mp;
	struct rte_mbuf *m[MIXED];
	unsigned int n;
};

static int
put_burst(void *arg)
{
	struct burst *b = arg;

	unit_put_bulk(b->mp, (void **)b->m, b->n);
	return 0;
}

static void
test_fast_free(void **state)
{
	struct ctx x = make_ctx(0);
	uint64_t rng = unit_seed;
	uint16_t account[3];
	struct burst b;
	unsigned int i, k;

	(void)state;
	for (i = 0; i < RTE_DIM(account); i++)
		account[i] = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	for (i = 0; i < TIMES; i++) {
		b.n = unit_range(&rng, 1, MIXED);
		for (k = 0; k < b.n; k++) {
			b.m[k] = make_any(&x, &rng);
			if (unit_range(&rng, 0, 1) == 0)
				assert_int_equal(ppool_account_charge(account[k % 3], &b.m[k], 1),
						1);
		}
		assert_int_equal(unit_ledger(x.mp).frags, b.n);
		b.mp = b.m[0]->pool;
		if (i % 3 == 0)
			assert_int_equal(unit_on_thread(put_burst, &b), 0);
		else
			put_burst(&b);
		for (k = 0; k < RTE_DIM(account); k++)
			assert_int_equal(ppool_account_used(account[k]), 0);
		assert_nothing_lost(&x);
	}
}

/* Not even detached. */
static void
test_fast_free_attached(void **state)
{
	struct rte_mbuf *(* const make[])(const struct ctx *x) = { receive, receive_whole,
		make_copy, make_stock };
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m, *clone;
	unsigned int i;

	(void)state;
	for (i = 0; i < TIMES; i++) {
		m = make[i % RTE_DIM(make)](&x);
		clone = clone_of(m, x.frag_pool);
		if (i % 3 == 0)
			rte_pktmbuf_free(m);
		unit_put_bulk(i % 2 == 0 ? x.frag_pool : clone->pool, (void **)&clone, 1);
		if (i % 3 != 0)
			rte_pktmbuf_free(m);
	}
	assert_nothing_lost(&x);
}

/* What m->pool says about itself, and what a charge does to what is allocated from it. */
static void
test_pool(void **state)
{
	struct ctx x = make_ctx(0);
	uint16_t account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct rte_mbuf *m = receive_whole(&x), *same = rte_pktmbuf_alloc(m->pool);
	struct ppool_account_stats stats;
	struct rte_mbuf *both[] = { m, same };
	struct ppool_layout layout;

	(void)state;
	assert_non_null(same);
	assert_ptr_equal(same->pool, m->pool);
	assert_ptr_equal(ppool_frag_pool(m->pool), x.frag_pool);
	assert_false(ppool_is_frag_pool(m->pool));
	assert_false(ppool_is_page_pool(m->pool));
	assert_int_equal(rte_mempool_in_use_count(x.frag_pool), 2);
	assert_int_equal(ppool_layout_get(m->pool, &layout), 0);
	assert_true(ppool_mbuf_truesize(m) >= layout.page_bytes + layout.slot_bytes);
	assert_int_equal(ppool_account_charge(account, both, 2), 2);
	assert_int_equal(ppool_account_of(m), account);
	assert_int_equal(ppool_account_used(account),
			ppool_mbuf_truesize(m) + ppool_mbuf_truesize(same));
	assert_int_equal(ppool_account_stats_get(account, &stats), 0);
	assert_int_equal(stats.frags, 2);
	assert_int_equal(stats.foreign, 0);
	assert_int_equal(ppool_account_uncharge(account, both, 1), 1);
	assert_int_equal(ppool_account_of(m), PPOOL_ACCOUNT_NONE);
	rte_pktmbuf_free(same);
	assert_int_equal(ppool_account_used(account), 0);
	rte_pktmbuf_free(m);
	assert_nothing_lost(&x);
}

/* A page that comes back is an ordinary object, whatever was done to it. */
static void
test_ordinary_again(void **state)
{
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m[255];
	unsigned int i, n;

	(void)state;
	for (i = 0; i < TIMES; i++) {
		m[0] = receive(&x);
		m[1] = clone_of(m[0], m[0]->pool);
		memset(rte_mbuf_to_priv(m[1]), 0xff, m[1]->priv_size);
		free_in_order(m, "01");
	}
	unit_carver_free(x.c);
	rte_mempool_avail_count(x.mp);
	for (n = 0; n < RTE_DIM(m) && (m[n] = rte_pktmbuf_alloc(x.mp)) != NULL; n++) {
		assert_ptr_equal(m[n]->pool, x.mp);
		assert_int_equal(m[n]->buf_len, ROOM);
		assert_int_equal(m[n]->priv_size, 0);
		assert_ptr_equal(m[n]->buf_addr, m[n] + 1);
		if (m[n]->buf_iova != RTE_BAD_IOVA)
			assert_int_equal(m[n]->buf_iova,
					rte_mempool_virt2iova(m[n]) + sizeof(*m[n]));
	}
	assert_int_equal(n, 255);
	rte_pktmbuf_free_bulk(m, n);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_clone),
	UNIT_TEST(test_clone_of_clone),
	UNIT_TEST(test_clone_outlives),
	UNIT_TEST(test_attach),
	UNIT_TEST(test_attach_extbuf),
	UNIT_TEST(test_copy),
	UNIT_TEST(test_fast_free),
	UNIT_TEST(test_fast_free_attached),
	UNIT_TEST(test_pool),
	UNIT_TEST(test_ordinary_again),
};

UNIT_SUITE(unaware, "an application that knows nothing of frags, with DPDK's libraries", tests);
