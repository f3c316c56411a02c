/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdlib.h>

#include "unit.h"

/* The books: every byte is charged to exactly one mbuf, at every moment, and comes back. */

#define BURST 32
#define HELD_MAX 2048

/* The simple IMIX: 7 of 64, 4 of 570, 1 of 1518 bytes. */
static uint32_t
len_imix(uint64_t *rng)
{
	static const uint32_t lens[] = {
		64,
		64,
		64,
		64,
		64,
		64,
		64,
		570,
		570,
		570,
		570,
		1518,
	};

	return lens[unit_range(rng, 0, RTE_DIM(lens) - 1)];
}

static uint32_t
len_uniform(uint64_t *rng)
{
	return unit_range(rng, 640, 2048);
}

static uint32_t
len_random(uint64_t *rng)
{
	return unit_range(rng, 0, 2048);
}

static uint32_t
len_small(uint64_t *rng)
{
	(void)rng;
	return 64;
}

typedef uint32_t len_t(uint64_t *rng);

/* Nothing between the charges of live mbufs and what the ledger says is charged. */
static void
assert_nothing_uncharged(struct rte_mempool *mp, struct rte_mbuf * const *m, unsigned int n,
		bool never_freed)
{
	struct ppool_ledger l = unit_ledger(mp);
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		sum += ppool_mbuf_truesize(m[i]);
	assert_int_equal(l.charged + l.slot_charged, sum);
	assert_int_equal(l.frags, n);
	if (never_freed) {
		assert_int_equal(l.stranded, 0);
		assert_int_equal(l.data_bytes - l.open, sum - l.slot_charged);
	}
}

/* Fill the pool. Where no frag was freed before, no byte may be stranded either. */
static unsigned int
fill(struct rte_mempool *mp, struct ppool_carver *c, struct rte_mbuf **m, len_t *len, uint64_t *rng,
		bool never_freed)
{
	uint32_t lens[BURST];
	unsigned int i, n = 0, got;

	do {
		for (i = 0; i < BURST; i++)
			lens[i] = len(rng);
		assert_true(n + BURST <= HELD_MAX);
		got = ppool_carve_burst(c, m + n, lens, BURST);
		n += got;
		assert_nothing_uncharged(mp, m, n, never_freed);
	} while (got == BURST);
	/* A burst may have taken more pages for headers than it needed in the end. */
	while (n < HELD_MAX && (m[n] = ppool_carve(c, 2048)) != NULL)
		n++;
	assert_true(n < HELD_MAX);
	assert_nothing_uncharged(mp, m, n, never_freed);
	return n;
}

/* Free some at random, allocate others, at every burst. */
static unsigned int
churn(struct rte_mempool *mp, struct ppool_carver *c, struct rte_mbuf **m, unsigned int n,
		len_t *len, uint64_t *rng)
{
	uint32_t lens[BURST];
	unsigned int i, round, drop;

	for (round = 0; round < 60; round++) {
		unit_shuffle((void **)m, n, rng);
		drop = unit_range(rng, 0, RTE_MIN(n, 3u * BURST / 2));
		n -= drop;
		if (round % 2 == 0)
			rte_pktmbuf_free_bulk(m + n, drop);
		else
			for (i = 0; i < drop; i++)
				rte_pktmbuf_free(m[n + i]);
		assert_nothing_uncharged(mp, m, n, false);
		for (i = 0; i < BURST; i++)
			lens[i] = len(rng);
		n += ppool_carve_burst(c, m + n, lens, BURST);
		assert_nothing_uncharged(mp, m, n, false);
	}
	return n;
}

static void
exercise_sizes(len_t *len)
{
	static const uint16_t rooms[] = { 2304, 4096, 16384, UINT16_MAX };
	static const unsigned int pages[] = { 80, 64, 24, 8 };
	struct rte_mbuf **m = calloc(HELD_MAX, sizeof(*m));
	uint64_t rng = unit_seed;
	unsigned int i, n;

	assert_non_null(m);
	for (i = 0; i < RTE_DIM(rooms); i++) {
		struct rte_mempool *mp = unit_pool(pages[i], rooms[i], 0, 0);
		struct ppool_carver *c = unit_carver(mp, 2048, 1);

		n = fill(mp, c, m, len, &rng, true);
		n = churn(mp, c, m, n, len, &rng);
		rte_pktmbuf_free_bulk(m, n);
		assert_nothing_uncharged(mp, m, 0, false);
		unit_carver_free(c);
		unit_pool_free(mp);
	}
	free(m);
}

static void
test_uniform(void **state)
{
	(void)state;
	exercise_sizes(len_uniform);
}

static void
test_imix(void **state)
{
	(void)state;
	exercise_sizes(len_imix);
}

static void
test_random(void **state)
{
	(void)state;
	exercise_sizes(len_random);
}

static void
test_small(void **state)
{
	(void)state;
	exercise_sizes(len_small);
}

/* Whole objects and mono-frags appear in the ledger for what they are. */
static void
test_terms(void **state)
{
	static const unsigned int caches[] = { 0, 16 };
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(caches); i++) {
		struct rte_mempool *mp = unit_pool(64, 4096, caches[i], 0);
		struct ppool_ledger l = unit_ledger(mp);
		struct rte_mbuf *whole[10], *mono[5];

		assert_int_equal(l.pages, 64);
		assert_int_equal(l.free, 64);
		assert_int_equal(l.page_bytes, mp->header_size + mp->elt_size + mp->trailer_size);
		assert_int_equal(rte_pktmbuf_alloc_bulk(mp, whole, 10), 0);
		l = unit_ledger(mp);
		assert_int_equal(l.whole, 10);
		assert_int_equal(l.free, 54);
		assert_int_equal(ppool_mbuf_truesize(whole[0]), l.page_bytes);
		assert_int_equal(rte_pktmbuf_alloc_bulk(ppool_frag_pool(mp), mono, 5), 0);
		l = unit_ledger(mp);
		assert_int_equal(l.whole, 10);
		assert_int_equal(l.data, 5);
		assert_int_equal(l.header, 1);
		assert_int_equal(l.free, 48);
		assert_int_equal(l.charged, 5ull * l.page_bytes);
		assert_true(l.table_bytes > 64 * 64);
		rte_pktmbuf_free_bulk(whole, 10);
		rte_pktmbuf_free_bulk(mono, 5);
		l = unit_ledger(mp);
		assert_int_equal(l.free + l.header, 64);
		assert_int_equal(rte_mempool_avail_count(mp), 64);
		unit_pool_free(mp);
	}
}

/* Exhaustion is a NULL and a counter; what is freed can be had again, to the last page. */
static void
exercise_exhaustion(struct rte_mempool *mp)
{
	struct ppool_carver *c = unit_carver(mp, 2048, 1);
	struct rte_mbuf **m = calloc(HELD_MAX, sizeof(*m));
	uint64_t rng = unit_seed, empty = unit_stats(mp).page_empty;
	unsigned int n, again, round;

	assert_non_null(m);
	for (round = 0; round < 3; round++) {
		n = fill(mp, c, m, len_random, &rng, round == 0);
		assert_true(unit_stats(mp).page_empty > empty);
		empty = unit_stats(mp).page_empty;
		assert_null(ppool_carve(c, 2048));
		assert_true(unit_stats(mp).page_empty > empty);
		empty = unit_stats(mp).page_empty;
		/* One page may be left where a frag would need two: one of them for its header. */
		assert_in_range(unit_ledger(mp).free, 0, 1);
		assert_in_range(rte_mempool_avail_count(mp), 0, 1);

		/* Half of the frags in arrival order: nearly half of the pages. */
		rte_pktmbuf_free_bulk(m, n / 2);
		assert_true(rte_mempool_avail_count(mp) >= mp->size / 4);
		memmove(m, m + n / 2, (n - n / 2) * sizeof(*m));
		n -= n / 2;
		for (again = 0; again < 10; again++) {
			m[n] = ppool_carve(c, 2048);
			assert_non_null(m[n]);
			n++;
		}
		assert_nothing_uncharged(mp, m, n, false);
		rte_pktmbuf_free_bulk(m, n);
		assert_int_equal(unit_ledger(mp).frags, 0);
	}
	unit_carver_free(c);
	assert_int_equal(rte_mempool_avail_count(mp), mp->size);
	assert_int_equal(unit_ledger(mp).free, mp->size);
	free(m);
}

static void
test_exhaustion(void **state)
{
	(void)state;
	exercise_exhaustion(unit_pool(60, 2304, 0, 0));
	exercise_exhaustion(unit_pool(40, 16384, 0, 0));
	exercise_exhaustion(unit_pool(40, 16384, 16, 0));
}

/* Header pages are taken as they are needed, and given back. */
static void
test_header_pages(void **state)
{
	struct rte_mempool *mp = unit_pool(80, 2304, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 64, 1);
	struct rte_mbuf *m[400];
	struct ppool_layout layout;
	struct ppool_ledger l;
	void *obj[80];
	uint32_t len[100];
	unsigned int i, n;

	(void)state;
	assert_int_equal(ppool_layout_get(mp, &layout), 0);
	for (i = 0; i < RTE_DIM(len); i++)
		len[i] = 64;
	for (n = 0; n < 300; n += 100) {
		assert_int_equal(ppool_carve_bulk(c, m + n, len, 100), 0);
		l = unit_ledger(mp);
		assert_true(l.header >= (n + 100) / layout.slots);
		assert_true(l.header_bytes == (uint64_t)l.header * l.page_bytes);
	}
	assert_true(unit_stats(mp).header_page_get >= 300 / layout.slots);
	/* One frag keeps its header page, all the others go back when pages run out. */
	rte_pktmbuf_free_bulk(m + 1, n - 1);
	for (n = 0; n < RTE_DIM(obj); n++)
		if (rte_mempool_get(mp, &obj[n]) != 0)
			break;
	/* A page for the frag, one that is still open, one or two for headers. */
	assert_in_range(n, mp->size - 4, mp->size - 2);
	l = unit_ledger(mp);
	assert_in_range(l.header, 1, 2);
	assert_true(unit_stats(mp).header_page_put > 0);
	assert_int_equal(l.whole, n);
	unit_put_bulk(mp, obj, n);
	unit_assert_charged(mp, m, 1);
	rte_pktmbuf_free(m[0]);
	assert_int_equal(unit_ledger(mp).frags, 0);
}

/* One live header in each of many header pages pins them, and only them. */
static void
test_header_pages_pinned(void **state)
{
	struct rte_mempool *mp = unit_pool(100, 2304, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 64, 1);
	struct rte_mbuf *m[400];
	struct ppool_layout layout;
	unsigned int i, n = 0;
	uint32_t page;

	(void)state;
	assert_int_equal(ppool_layout_get(mp, &layout), 0);
	for (i = 0; i < RTE_DIM(m) / 2; i++) {
		m[i] = ppool_carve(c, 64);
		assert_non_null(m[i]);
	}
	/* Keep the first one seen of each header page. */
	for (i = 0; i < RTE_DIM(m) / 2; i++) {
		unsigned int k;

		page = ((struct ppool_frag *)m[i]->shinfo)->header_page;
		for (k = 0; k < n; k++)
			if (((struct ppool_frag *)m[k]->shinfo)->header_page == page)
				break;
		if (k < n)
			rte_pktmbuf_free(m[i]);
		else
			m[n++] = m[i];
	}
	assert_true(n >= RTE_DIM(m) / 2 / layout.slots);
	unit_assert_charged(mp, m, n);
	assert_in_range(unit_ledger(mp).header, n, n + 1);
	rte_pktmbuf_free_bulk(m, n);
}

/* A chain's truesize, and that of others' mbufs. */
static void
test_truesize_of_stock(void **state)
{
	struct rte_mempool *stock = unit_stock_pool(15, 2176);
	struct rte_mbuf *m = rte_pktmbuf_alloc(stock);

	(void)state;
	assert_non_null(m);
	assert_int_equal(ppool_mbuf_truesize(m),
			stock->header_size + stock->elt_size + stock->trailer_size);
	assert_int_equal(rte_pktmbuf_chain(m, rte_pktmbuf_alloc(stock)), 0);
	assert_int_equal(ppool_mbuf_truesize(m),
			2 * (stock->header_size + stock->elt_size + stock->trailer_size));
	rte_pktmbuf_free(m);
}

/* Statistics say the same as the ledger. */
static void
test_stats(void **state)
{
	struct rte_mempool *mp = unit_pool(60, 4096, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 1000, 1);
	struct ppool_stats s;
	struct rte_mbuf *m[50];
	uint64_t bytes = 0;
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(m); i++) {
		m[i] = i % 10 == 0 ? rte_pktmbuf_alloc(ppool_frag_pool(mp)) : ppool_carve(c, 500);
		assert_non_null(m[i]);
		bytes += i % 10 == 0 ? unit_ledger(mp).page_bytes :
				       ((struct ppool_frag *)m[i]->shinfo)->truesize;
	}
	s = unit_stats(mp);
	assert_int_equal(s.frag_alloc, RTE_DIM(m));
	assert_int_equal(s.frag_alloc_bytes, bytes);
	assert_int_equal(s.frag_free, 0);
	assert_true(s.page_open > 0);
	for (i = 0; i < RTE_DIM(m); i++)
		rte_pktmbuf_free(m[i]);
	unit_carver_free(c);
	s = unit_stats(mp);
	assert_int_equal(s.frag_alloc, RTE_DIM(m));
	assert_int_equal(s.frag_free, RTE_DIM(m));
	assert_int_equal(s.frag_free_bytes, bytes);
	assert_int_equal(s.page_empty, 0);
}

/* The check can fail: each way to cook the books must show. */

static void
assert_check_fails(struct rte_mempool *mp)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	int violations;

	assert_non_null(f);
	violations = ppool_check(mp, f);
	fclose(f);
	assert_true(violations > 0);
	/* And it says what is wrong. */
	assert_true(size > 10);
	free(text);
	assert_true(ppool_check(mp, NULL) > 0);
}

static void
test_check_can_fail(void **state)
{
	static const int32_t errors[] = { 1, -1, 64, -64, 4096 };
	struct rte_mempool *mp = unit_pool(30, 4096, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 1000, 1);
	struct ppool_frag *frag, *other, saved;
	struct rte_mbuf *m[20];
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(m); i++) {
		m[i] = ppool_carve(c, 500);
		assert_non_null(m[i]);
	}
	frag = (struct ppool_frag *)m[3]->shinfo;
	other = (struct ppool_frag *)m[19]->shinfo;
	assert_int_not_equal(frag->page, other->page);
	saved = *frag;

	for (i = 0; i < RTE_DIM(errors); i++) {
		frag->truesize += (uint32_t)errors[i];
		assert_check_fails(mp);
		*frag = saved;
		assert_int_equal(ppool_check(mp, stderr), 0);
	}
	/* A frag nobody knows of. */
	frag->truesize = 0;
	assert_check_fails(mp);
	*frag = saved;
	/* A byte moved from one frag to another, of another page: the sums still hold. */
	frag->truesize++;
	other->truesize--;
	assert_check_fails(mp);
	*frag = saved;
	other->truesize++;
	/* A frag of the wrong page, and of a page that does not exist. */
	frag->page = other->page;
	assert_check_fails(mp);
	frag->page = mp->size;
	assert_check_fails(mp);
	*frag = saved;
	frag->slot_bytes++;
	assert_check_fails(mp);
	*frag = saved;

	assert_int_equal(ppool_check(mp, stderr), 0);
	unit_assert_charged(mp, m, RTE_DIM(m));
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_uniform),
	UNIT_TEST(test_imix),
	UNIT_TEST(test_random),
	UNIT_TEST(test_small),
	UNIT_TEST(test_terms),
	UNIT_TEST(test_exhaustion),
	UNIT_TEST(test_header_pages),
	UNIT_TEST(test_header_pages_pinned),
	UNIT_TEST(test_truesize_of_stock),
	UNIT_TEST(test_stats),
	UNIT_TEST(test_check_can_fail),
};

UNIT_SUITE(ledger, "every byte charged to one mbuf; exhaustion; the check can fail", tests);
