/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_launch.h>

#include <ppool_account.h>
#include <ppool_compact.h>

#include "unit.h"

/* Held packets leave pages that are nearly empty. */

#define PAGES 1300
#define ROOM 16384
#define MAX_LEN 1518
#define RECEIVED 12800
#define KEEP 64
#define HELD (RECEIVED / KEEP)

/* Every KEEP-th of many packets is kept; pages and header pages have a few users each. */
struct hoard {
	struct rte_mempool *mp;
	struct ppool_carver *rx, *c;
	uint64_t rng;
	unsigned int n;
	struct rte_mbuf *m[RECEIVED];
};

static struct hoard hoard;

static struct rte_mbuf *
carve_filled(struct ppool_carver *c, uint32_t len, uint64_t tag)
{
	struct rte_mbuf *m = ppool_carve(c, len);

	assert_non_null(m);
	assert_non_null(rte_pktmbuf_append(m, (uint16_t)len));
	unit_fill_data(m, tag);
	return m;
}

static struct hoard *
hoard_init(uint16_t priv)
{
	struct hoard *h = &hoard;

	memset(h, 0, sizeof(*h));
	h->rng = unit_seed;
	h->mp = unit_pool(PAGES, ROOM, 0, priv);
	h->rx = unit_carver(h->mp, MAX_LEN, 1);
	h->c = unit_carver(h->mp, MAX_LEN, 1);
	return h;
}

/* Free all but one in keep of what has been received from the first-th on. */
static void
hoard_thin_out(struct hoard *h, unsigned int first, unsigned int keep)
{
	unsigned int i, n = first;

	for (i = first; i < h->n; i++) {
		if ((i - first) % keep == 0)
			h->m[n++] = h->m[i];
		else
			rte_pktmbuf_free(h->m[i]);
	}
	h->n = n;
}

/* Close the page that is being filled. */
static void
close_page(struct ppool_carver *c)
{
	struct ppool_buf buf = { .len = 0 };
	struct rte_mbuf *m;

	if (c->lane[0].left == 0)
		return;
	assert_int_equal(ppool_reserve(c, 0, &buf), 0);
	assert_int_equal(ppool_headers_get(c, &m, 1), 1);
	ppool_commit(c, 0, m, buf.len - RTE_PKTMBUF_HEADROOM);
	rte_pktmbuf_free(m);
	assert_int_equal(c->lane[0].left, 0);
}

/* HELD packets of any length in closed pages, their data marked with their index. */
static struct hoard *
hoard_make(uint16_t priv)
{
	struct hoard *h = hoard_init(priv);
	unsigned int i;

	for (i = 0; i < RECEIVED; i++)
		h->m[h->n++] = carve_filled(h->rx, unit_range(&h->rng, 1, i % 2 ? MAX_LEN : 200),
				i / KEEP);
	hoard_thin_out(h, 0, KEEP);
	assert_int_equal(h->n, HELD);
	close_page(h->rx);
	return h;
}

static void
hoard_free(struct hoard *h)
{
	unsigned int i;

	for (i = 0; i < h->n; i++)
		assert_true(unit_filled_data(h->m[i], i));
	rte_pktmbuf_free_bulk(h->m, h->n);
	h->n = 0;
}

static uint64_t
pinned(const struct ppool_ledger *l)
{
	return l->data_bytes - l->open - l->stranded_open + l->header_bytes;
}

static uint64_t
segments(struct rte_mbuf * const *m, unsigned int n)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		sum += m[i]->nb_segs;
	return sum;
}

/* Compact a hoard. What must hold in every case: the books, and one fate for every segment. */
static struct ppool_compact_result
compact(struct hoard *h, const struct ppool_compact_conf *conf)
{
	struct ppool_stats old = unit_stats(h->mp), new;
	struct ppool_ledger before, after;
	struct ppool_compact_result r;
	uint64_t fates = 0;

	/* Pages that nobody uses are collected in any case: they do not count as released. */
	assert_int_equal(ppool_compact(h->c, h->m, 0, conf, &r), 0);
	before = unit_ledger(h->mp);
	assert_int_equal(ppool_compact(h->c, h->m, h->n, conf, &r), 0);
	after = unit_ledger(h->mp);
	new = unit_stats(h->mp);
#define ADD(name, desc) fates += r.name;
	PPOOL_COMPACT_COUNTS(ADD)
#undef ADD
	fates -= r.headers_moved + r.bytes_copied;
	assert_int_equal(fates, segments(h->m, h->n));
	assert_int_equal(r.released, ((int64_t)after.free - before.free) * before.page_bytes);
	assert_int_equal(after.frags, before.frags);
	assert_int_equal(new.frag_move - old.frag_move, r.frags_moved);
	assert_int_equal(new.header_move - old.header_move, r.headers_moved);
	assert_true(after.free >= before.free || (conf != NULL && conf->shared_pages));
	return r;
}

static void
test_releases(void **state)
{
	struct hoard *h = hoard_make(0);
	struct ppool_ledger l = unit_ledger(h->mp);
	struct ppool_compact_result r;

	(void)state;
	assert_true(pinned(&l) > 10 * (l.charged + l.slot_charged));
	r = compact(h, NULL);
	assert_int_equal(r.frags_moved, HELD);
	assert_true(r.headers_moved > HELD / 2);
	assert_true(r.released > 0);
	l = unit_ledger(h->mp);
	/* But for the pages of either kind that are not full yet. */
	assert_true((pinned(&l) - 2 * l.page_bytes) * 10 <= (l.charged + l.slot_charged) * 11);
	unit_assert_charged(h->mp, h->m, h->n);
	/* There is nothing left to do. */
	r = compact(h, NULL);
	assert_int_equal(r.frags_moved + r.headers_moved + r.bytes_copied, 0);
	assert_int_equal(r.released, 0);
	assert_int_equal(r.kept_dense + r.kept_open, HELD);
	hoard_free(h);
}

/* In any order, with holes. */
static void
test_any_order(void **state)
{
	struct hoard *h = hoard_make(0);
	struct rte_mbuf *m[2 * HELD] = { NULL };
	struct ppool_compact_result r;
	unsigned int i;

	(void)state;
	memcpy(m, h->m, HELD * sizeof(*m));
	unit_shuffle((void **)m, RTE_DIM(m), &h->rng);
	assert_int_equal(ppool_compact(h->c, m, RTE_DIM(m), NULL, &r), 0);
	assert_int_equal(r.frags_moved, HELD);
	for (h->n = 0, i = 0; i < RTE_DIM(m); i++)
		if (m[i] != NULL)
			h->m[h->n++] = m[i];
	unit_assert_charged(h->mp, h->m, HELD);
	rte_pktmbuf_free_bulk(h->m, HELD);
	h->n = 0;
}

/* All of an mbuf but where it is. */
struct snapshot {
	struct rte_mbuf m;
	char priv[64];
};

static struct snapshot
snapshot(const struct rte_mbuf *m)
{
	struct snapshot s;

	memset(&s, 0, sizeof(s));
	memcpy((void *)&s, m, sizeof(s.m) + sizeof(s.priv));
	s.m.buf_addr = NULL;
	rte_mbuf_iova_set(&s.m, 0);
	s.m.buf_len = 0;
	s.m.next = NULL;
	s.m.shinfo = NULL;
	return s;
}

/* Random bytes everywhere but where they would break the mbuf. */
static void
scribble(struct rte_mbuf *m, uint64_t tag)
{
	struct rte_mbuf keep = *m;

	/* Behind the private area lies what the pool knows of the frag. */
	unit_fill(m, sizeof(*m) + sizeof(((struct snapshot *)NULL)->priv), tag);
	m->buf_addr = keep.buf_addr;
	rte_mbuf_iova_set(m, rte_mbuf_iova_get(&keep));
	m->buf_len = keep.buf_len;
	m->refcnt = keep.refcnt;
	m->nb_segs = keep.nb_segs;
	m->pkt_len = keep.pkt_len;
	m->data_len = keep.data_len;
	m->data_off = keep.data_off;
	m->pool = keep.pool;
	m->next = keep.next;
	m->shinfo = keep.shinfo;
	m->priv_size = keep.priv_size;
	m->ol_flags = (m->ol_flags & ~RTE_MBUF_F_INDIRECT) | RTE_MBUF_F_EXTERNAL;
}

static void
carry(const struct ppool_compact_conf *conf)
{
	struct hoard *h = hoard_make(sizeof(((struct snapshot *)NULL)->priv));
	static struct snapshot before[HELD];
	struct snapshot after;
	unsigned int i;

	for (i = 0; i < HELD; i++) {
		/* What an application puts in front of the data is carried with it. */
		unit_fill(h->m[i]->buf_addr, RTE_PKTMBUF_HEADROOM, i);
		if (i % 3 == 1)
			assert_non_null(rte_pktmbuf_prepend(h->m[i], 14));
		else if (i % 3 == 2 && h->m[i]->data_len > 100)
			assert_non_null(rte_pktmbuf_adj(h->m[i], 100));
		scribble(h->m[i], 1000 + i);
		before[i] = snapshot(h->m[i]);
	}
	assert_true(compact(h, conf).frags_moved > HELD / 2);
	for (i = 0; i < HELD; i++) {
		after = snapshot(h->m[i]);
		assert_memory_equal(&after, &before[i], sizeof(after));
		assert_true(unit_filled(h->m[i]->buf_addr, RTE_PKTMBUF_HEADROOM, i));
		assert_true(rte_pktmbuf_headroom(h->m[i]) + h->m[i]->data_len <= h->m[i]->buf_len);
		assert_true(rte_is_aligned(h->m[i]->buf_addr, PPOOL_FRAG_ALIGN));
		assert_ptr_equal(h->m[i]->pool, ppool_frag_pool(h->mp));
		/* Back to where the data were filled. */
		h->m[i]->data_len += h->m[i]->data_off - RTE_PKTMBUF_HEADROOM;
		h->m[i]->data_off = RTE_PKTMBUF_HEADROOM;
	}
	hoard_free(h);
}

static void
test_carries_all(void **state)
{
	const struct ppool_compact_conf keep_mbufs = { .keep_mbufs = true };

	(void)state;
	carry(NULL);
	carry(&keep_mbufs);
}

/* mbufs stay where they are, and what pointed to them still does. */
static void
test_keep_mbufs(void **state)
{
	const struct ppool_compact_conf conf = { .keep_mbufs = true };
	struct hoard *h = hoard_make(0);
	struct rte_mbuf *before[HELD];
	struct ppool_compact_result r;

	(void)state;
	memcpy(before, h->m, sizeof(before));
	r = compact(h, &conf);
	assert_int_equal(r.frags_moved, HELD);
	assert_int_equal(r.headers_moved, 0);
	assert_memory_equal(before, h->m, sizeof(before));
	unit_assert_charged(h->mp, h->m, h->n);
	hoard_free(h);
}

/* Mono-frags have nothing to gain, but their headers have. */
static void
test_whole_pages(void **state)
{
	struct hoard *h = hoard_init(0);
	struct ppool_compact_result r;
	struct ppool_layout layout;
	struct ppool_carver *whole;
	void *addr[8];
	unsigned int i;

	(void)state;
	assert_int_equal(ppool_layout_get(h->mp, &layout), 0);
	whole = unit_carver(h->mp, layout.room_bytes - RTE_PKTMBUF_HEADROOM, 1);
	for (i = 0; i < RTE_DIM(addr) * layout.slots; i++)
		h->m[h->n++] = ppool_carve(i % layout.slots == 0 ? whole : h->rx, 1);
	hoard_thin_out(h, 0, layout.slots);
	assert_int_equal(h->n, RTE_DIM(addr));
	for (i = 0; i < h->n; i++) {
		assert_non_null(rte_pktmbuf_append(h->m[i], 9000));
		unit_fill_data(h->m[i], i);
		addr[i] = h->m[i]->buf_addr;
	}
	r = compact(h, NULL);
	assert_int_equal(r.kept_dense, RTE_DIM(addr));
	assert_int_equal(r.bytes_copied, 0);
	assert_true(r.headers_moved >= RTE_DIM(addr) / 2);
	assert_true(r.released > 0);
	for (i = 0; i < h->n; i++)
		assert_ptr_equal(h->m[i]->buf_addr, addr[i]);
	unit_assert_charged(h->mp, h->m, h->n);
	hoard_free(h);
}

/* Chains keep their order; those with a segment from elsewhere stay as they are. */
static void
test_chains(void **state)
{
	struct hoard *h = hoard_make(0);
	struct rte_mempool *stock = unit_stock_pool(255, 2048);
	struct rte_mbuf *chain[HELD] = { NULL }, *m;
	struct rte_mbuf *foreign[HELD];
	unsigned int i, n = 0, untouched = 0;
	uint64_t tag[HELD], stay = 0;
	struct ppool_compact_result r;

	(void)state;
	for (i = 0; i < h->n;) {
		unsigned int want = unit_range(&h->rng, 1, 6), k;

		tag[n] = i;
		for (k = 0; k < want && i < h->n; k++, i++) {
			if (chain[n] == NULL)
				chain[n] = h->m[i];
			else
				assert_int_equal(rte_pktmbuf_chain(chain[n], h->m[i]), 0);
		}
		foreign[n] = NULL;
		if (n % 4 == 3) {
			m = rte_pktmbuf_alloc(stock);
			assert_non_null(m);
			assert_non_null(rte_pktmbuf_append(m, 100));
			unit_fill(rte_pktmbuf_mtod(m, void *), 100, i);
			assert_int_equal(rte_pktmbuf_chain(chain[n], m), 0);
			foreign[n] = chain[n];
			stay += chain[n]->nb_segs;
			/* The tag of the next one is that of the data. */
		}
		n++;
	}
	memcpy(h->m, chain, n * sizeof(*chain));
	h->n = n;
	r = compact(h, &(struct ppool_compact_conf){ .shared_pages = true });
	assert_int_equal(r.kept_pool, stay);
	assert_int_equal(r.frags_moved, HELD - (stay - n / 4));
	for (i = 0; i < n; i++) {
		assert_int_equal(rte_mbuf_check(h->m[i], 1, &(const char *){ NULL }), 0);
		assert_true(unit_filled_data(h->m[i], tag[i]));
		if (foreign[i] != NULL)
			assert_ptr_equal(h->m[i], foreign[i]);
		untouched += foreign[i] != NULL;
	}
	assert_int_equal(untouched, n / 4);
	rte_pktmbuf_free_bulk(h->m, h->n);
}

/* Packets that somebody else refers to stay untouched, and their clones. */
static void
test_shared(void **state)
{
	struct hoard *h = hoard_make(0);
	struct rte_mempool *stock = unit_stock_pool(255, 128);
	struct rte_mbuf *before[HELD];
	void *addr[HELD];
	struct ppool_compact_result r;
	unsigned int i;

	(void)state;
	for (i = 0; i < HELD; i++) {
		before[i] = h->m[i];
		addr[i] = h->m[i]->buf_addr;
		if (i % 4 == 0)
			h->m[h->n++] = rte_pktmbuf_clone(h->m[i], stock);
		else if (i % 4 == 1)
			rte_mbuf_refcnt_update(h->m[i], 1);
	}
	r = compact(h, &(struct ppool_compact_conf){ .shared_pages = true });
	assert_int_equal(r.kept_shared, HELD / 2);
	assert_int_equal(r.kept_pool, HELD / 4);
	assert_int_equal(r.frags_moved, HELD / 2);
	for (i = 0; i < HELD; i++) {
		assert_true(unit_filled_data(h->m[i], i));
		if (i % 4 >= 2)
			continue;
		assert_ptr_equal(h->m[i], before[i]);
		assert_ptr_equal(h->m[i]->buf_addr, addr[i]);
		if (i % 4 == 1)
			rte_mbuf_refcnt_update(h->m[i], -1);
	}
	for (i = HELD; i < h->n; i++)
		assert_true(unit_filled_data(h->m[i], (i - HELD) * 4));
	rte_pktmbuf_free_bulk(h->m, h->n);
}

/* The account goes with the packet, and is charged for what the packet takes now. */
static void
test_accounts(void **state)
{
	struct hoard *h = hoard_make(0);
	uint16_t account[2] = { unit_account(PPOOL_ACCOUNT_UNLIMITED),
		unit_account(PPOOL_ACCOUNT_UNLIMITED) };
	uint64_t sum[2], round;
	unsigned int i, k;

	(void)state;
	for (i = 0; i < HELD; i++)
		if (i % 3 < 2)
			assert_int_equal(ppool_account_charge(account[i % 3], &h->m[i], 1), 1);
	for (round = 0; round < 2; round++) {
		const struct ppool_compact_conf conf = { .keep_mbufs = round == 0 };

		compact(h, &conf);
		memset(sum, 0, sizeof(sum));
		for (i = 0; i < HELD; i++) {
			k = i % 3;
			assert_int_equal(ppool_account_of(h->m[i]),
					k < 2 ? account[k] : PPOOL_ACCOUNT_NONE);
			if (k < 2)
				sum[k] += ppool_mbuf_truesize(h->m[i]);
		}
		for (k = 0; k < 2; k++)
			assert_int_equal(ppool_account_used(account[k]), sum[k]);
		assert_int_equal(ppool_account_check(stderr), 0);
	}
	hoard_free(h);
	assert_int_equal(ppool_account_used(account[0]) + ppool_account_used(account[1]), 0);
}

/* A page of which others hold frags is not worth it, unless all compact in turn. */
static void
test_others(void **state)
{
	struct hoard *h = hoard_init(0);
	static struct rte_mbuf *other[HELD];
	struct ppool_compact_result r;
	struct ppool_ledger first;
	unsigned int i;

	(void)state;
	for (i = 0; i < RECEIVED; i++)
		h->m[h->n++] = carve_filled(h->rx, 60, i / (KEEP / 2) / 2);
	hoard_thin_out(h, 0, KEEP / 2);
	close_page(h->rx);
	/* Two in each page or so, one for each holder. */
	for (i = 0; i < HELD; i++) {
		other[i] = h->m[2 * i + 1];
		h->m[i] = h->m[2 * i];
	}
	h->n = HELD;
	r = compact(h, NULL);
	assert_true(r.kept_others > HELD / 4);
	assert_int_equal(r.kept_others + r.frags_moved, HELD);
	first = unit_ledger(h->mp);
	r = compact(h, &(struct ppool_compact_conf){ .shared_pages = true });
	assert_int_equal(r.kept_others, 0);
	hoard_free(h);
	memcpy(h->m, other, sizeof(other));
	h->n = HELD;
	r = compact(h, &(struct ppool_compact_conf){ .shared_pages = true });
	assert_true(r.frags_moved > HELD / 2);
	assert_true(unit_ledger(h->mp).free > first.free);
	hoard_free(h);
}

/* Pages that a carver fills will have other users soon; young ones perhaps fewer. */
static void
test_open_and_young(void **state)
{
	struct hoard *h = hoard_init(0);
	struct ppool_compact_result r;
	unsigned int i;

	(void)state;
	/* No page is full yet. */
	for (i = 0; i < 10; i++)
		h->m[h->n++] = carve_filled(h->rx, 500, i / 10);
	hoard_thin_out(h, 0, 10);
	r = compact(h, NULL);
	assert_int_equal(r.kept_open, 1);
	hoard_free(h);

	h = hoard_make(0);
	r = compact(h, &(struct ppool_compact_conf){ .min_age = 3600000 });
	assert_int_equal(r.kept_young, HELD);
	assert_int_equal(r.frags_moved, 0);
	rte_delay_us_sleep(50000);
	r = compact(h, &(struct ppool_compact_conf){ .min_age = 1 });
	assert_int_equal(r.frags_moved, HELD);
	hoard_free(h);
}

/* How old a page is does not depend on how long its carver has been at work. */
static void
test_ages(void **state)
{
	const struct ppool_compact_conf conf = { .min_age = 200 };
	struct hoard *h = hoard_init(0);
	struct ppool_compact_result r;
	unsigned int i, old;
	uint64_t since;

	(void)state;
	for (i = 0; i < RECEIVED / 2; i++)
		h->m[h->n++] = carve_filled(h->rx, 500, i / KEEP);
	rte_delay_us_sleep(2 * conf.min_age * 1000);
	since = rte_rdtsc();
	for (; i < RECEIVED; i++)
		h->m[h->n++] = carve_filled(h->rx, 500, i / KEEP);
	hoard_thin_out(h, 0, KEEP);
	close_page(h->rx);
	old = h->n / 2;
	r = compact(h, &conf);
	/* One page may have been opened before and filled after. */
	assert_in_range(r.frags_moved, old - 1, h->n);
	/* All of this takes a few milliseconds, but nobody promises that. */
	if ((rte_rdtsc() - since) * 1000 / rte_get_tsc_hz() < conf.min_age)
		assert_in_range(r.kept_young, h->n - old - 1, h->n - old);
	hoard_free(h);
}

static uint64_t
us_since(uint64_t tsc)
{
	return (rte_rdtsc() - tsc) * 1000000 / rte_get_tsc_hz();
}

/* However coarse the time of a page is, it never counts as older than it is. */
static void
test_min_age(void **state)
{
	const struct ppool_compact_conf conf = { .min_age = 100 };
	struct ppool_compact_result r;
	unsigned int i, round;
	uint64_t since, us;
	struct hoard *h;

	(void)state;
	for (round = 0; round < 5; round++) {
		h = hoard_init(0);
		since = rte_rdtsc();
		for (i = 0; i < 10 * KEEP; i++)
			h->m[h->n++] = carve_filled(h->rx, 500, i / KEEP);
		hoard_thin_out(h, 0, KEEP);
		close_page(h->rx);
		us = us_since(since) + (round + 1) * 1000;
		if (us < conf.min_age * 1000)
			rte_delay_us_sleep((unsigned int)(conf.min_age * 1000 - us));
		r = compact(h, &conf);
		if (us_since(since) < conf.min_age * 1000)
			assert_int_equal(r.kept_young, 10);
		/* Each page is older now, however long it took to fill them. */
		rte_delay_us_sleep((conf.min_age + 20) * 1000);
		assert_int_equal(compact(h, &conf).kept_young, 0);
		hoard_free(h);
	}
}

/* One packet of ten in a page that is still open. */
static struct hoard *
hoard_of_one(void)
{
	struct hoard *h = hoard_init(0);
	unsigned int i;

	for (i = 0; i < 10; i++)
		h->m[h->n++] = carve_filled(h->rx, 500, 0);
	hoard_thin_out(h, 0, 10);
	return h;
}

/* A page of a carver that is gone will be filled by the next one. */
static void
test_parked(void **state)
{
	struct hoard *h = hoard_of_one();
	struct ppool_compact_result r;

	(void)state;
	unit_carver_free(h->rx);
	r = compact(h, NULL);
	assert_int_equal(r.kept_open, 1);
	hoard_free(h);
}

/* Pages are emptied up to the occupancy that is asked for. */
static void
test_occupancy(void **state)
{
	struct hoard *h = hoard_init(0);
	const struct ppool_compact_conf too_much = { .max_occupancy = 101 };
	struct ppool_compact_result r;
	unsigned int i;

	(void)state;
	assert_int_equal(ppool_compact(h->c, h->m, 0, &too_much, &r), -EINVAL);
	/* A quarter of each page. */
	for (i = 0; i < 2000; i++)
		h->m[h->n++] = carve_filled(h->rx, 300, i / 4);
	hoard_thin_out(h, 0, 4);
	close_page(h->rx);
	r = compact(h, &(struct ppool_compact_conf){ .max_occupancy = 5 });
	assert_int_equal(r.kept_dense, h->n);
	assert_int_equal(r.released, 0);
	r = compact(h, &(struct ppool_compact_conf){ .max_occupancy = 45 });
	assert_int_equal(r.frags_moved, h->n);
	assert_true(r.released > 0);
	/* Dense pages would fill as many. */
	r = compact(h, &(struct ppool_compact_conf){ .max_occupancy = 100 });
	assert_int_equal(r.frags_moved + r.headers_moved, 0);
	assert_int_equal(r.kept_no_gain + r.kept_open, h->n);
	assert_int_equal(r.released, 0);
	hoard_free(h);
}

/* What the carver cannot be asked for. */
static void
test_too_long(void **state)
{
	struct hoard *h = hoard_make(0);
	struct ppool_compact_result r;
	struct ppool_carver *c = h->c;
	unsigned int i;
	uint64_t too_long = 0;

	(void)state;
	h->c = unit_carver(h->mp, 300, 1);
	for (i = 0; i < h->n; i++)
		too_long += h->m[i]->data_len > 300;
	r = compact(h, NULL);
	assert_true(r.kept_long >= too_long);
	assert_int_equal(r.kept_long + r.frags_moved, HELD);
	h->c = c;
	r = compact(h, NULL);
	assert_true(r.frags_moved >= too_long);
	hoard_free(h);
}

/* Lengths that are asked for leave room behind the data. */
static void
test_tailroom(void **state)
{
	struct hoard *h = hoard_init(0);
	unsigned int i, round;

	(void)state;
	for (round = 0; round < 2; round++) {
		const struct ppool_compact_conf conf = { .tailroom = round ? 500 : 0 };

		for (i = 0; i < RECEIVED; i++) {
			struct rte_mbuf *m = ppool_carve(h->rx, 1000);

			assert_non_null(m);
			assert_non_null(rte_pktmbuf_append(m, 100));
			unit_fill_data(m, i / KEEP);
			h->m[h->n++] = m;
		}
		hoard_thin_out(h, 0, KEEP);
		close_page(h->rx);
		assert_int_equal(compact(h, &conf).frags_moved, HELD);
		for (i = 0; i + 1 < h->n; i++) {
			assert_true(rte_pktmbuf_tailroom(h->m[i]) >= conf.tailroom);
			if (conf.tailroom == 0)
				assert_true(ppool_mbuf_truesize(h->m[i]) < 8192);
		}
		close_page(h->c);
		hoard_free(h);
	}
}

/* Take all pages that can be had. */
static unsigned int
exhaust(struct rte_mempool *mp, void **obj)
{
	unsigned int n = 0;

	while (rte_mempool_get(mp, &obj[n]) == 0)
		n++;
	return n;
}

/* Without a page nothing can be moved, but nothing is lost. One is enough for all. */
static void
test_no_page(void **state)
{
	const struct ppool_compact_conf conf = { .keep_mbufs = true };
	struct hoard *h = hoard_make(0);
	struct rte_mbuf *before[HELD];
	struct ppool_compact_result r;
	void *obj[PAGES];
	unsigned int n;

	(void)state;
	n = exhaust(h->mp, obj);
	memcpy(before, h->m, sizeof(before));
	r = compact(h, &conf);
	assert_int_equal(r.kept_no_page, HELD);
	assert_int_equal(r.released, 0);
	assert_memory_equal(before, h->m, sizeof(before));
	unit_assert_charged(h->mp, h->m, h->n);
	unit_put_bulk(h->mp, &obj[--n], 1);
	r = compact(h, &conf);
	assert_int_equal(r.frags_moved, HELD);
	unit_put_bulk(h->mp, obj, n);
	hoard_free(h);

	/* Headers need no page to go to, and make some free. */
	h = hoard_make(0);
	n = exhaust(h->mp, obj);
	r = compact(h, NULL);
	assert_int_equal(r.frags_moved, HELD);
	unit_put_bulk(h->mp, obj, n);
	hoard_free(h);
}

/* One sparse page would only become another one. */
static void
test_no_gain(void **state)
{
	struct hoard *h = hoard_of_one();
	struct ppool_compact_result r;

	(void)state;
	close_page(h->rx);
	r = compact(h, NULL);
	assert_int_equal(r.kept_no_gain, 1);
	assert_int_equal(r.released, 0);
	hoard_free(h);
	/* Nothing is not too little. */
	r = compact(h, NULL);
	assert_int_equal(r.released, 0);
}

/* Small pages, from the default size on. */
static void
test_page_sizes(void **state)
{
	static const uint16_t rooms[] = { 2176, 4096, 9000, UINT16_MAX };
	struct hoard *h = &hoard;
	struct ppool_compact_result r;
	unsigned int i, k;

	(void)state;
	for (k = 0; k < RTE_DIM(rooms); k++) {
		memset(h, 0, sizeof(*h));
		h->mp = unit_pool(2200, rooms[k], 0, 0);
		h->rx = unit_carver(h->mp, 200, 4);
		h->c = unit_carver(h->mp, 200, 1);
		for (i = 0; i < 6400; i++)
			h->m[h->n++] = carve_filled(h->rx, 64, i / 32);
		hoard_thin_out(h, 0, 32);
		r = compact(h, NULL);
		assert_true(r.frags_moved + r.kept_open == h->n);
		assert_true(r.released > 0);
		hoard_free(h);
		unit_carver_free(h->rx);
		unit_carver_free(h->c);
		unit_pool_free(h->mp);
	}
}

/* Others use the pages meanwhile. */

struct worker {
	struct rte_mempool *mp;
	struct rte_mbuf **m; /* to free, in the pages that are compacted */
	unsigned int n;
	uint64_t rng;
	unsigned int *go;
	bool compacts; /* what it has, instead of freeing it */
	struct ppool_carver *c;
};

static int
work(void *arg)
{
	struct worker *w = arg;
	struct rte_mbuf *m[64];
	uint32_t len[RTE_DIM(m)];
	unsigned int i, k;

	while (__atomic_load_n(w->go, __ATOMIC_ACQUIRE) == 0)
		rte_pause();
	if (w->compacts) {
		const struct ppool_compact_conf conf = { .shared_pages = true };

		for (i = 0; i < 4; i++)
			if (ppool_compact(w->c, w->m, w->n, &conf, NULL) != 0)
				return -1;
		return 0;
	}
	for (i = 0; i < w->n; i += k) {
		k = RTE_MIN(w->n - i, unit_range(&w->rng, 1, 8));
		rte_pktmbuf_free_bulk(w->m + i, k);
		for (unsigned int l = 0; l < RTE_DIM(len); l++)
			len[l] = unit_range(&w->rng, 1, MAX_LEN);
		if (ppool_carve_bulk(w->c, m, len, RTE_DIM(m)) == 0)
			rte_pktmbuf_free_bulk(m, RTE_DIM(m));
	}
	return 0;
}

static void *
work_thread(void *arg)
{
	return work(arg) == 0 ? NULL : arg;
}

/* One kept for us in KEEP packets, one for each worker; the last worker is no lcore. */
static void
with_workers(bool compacting)
{
	unsigned int i, k, id, go = 0, nb = RTE_MIN(unit_workers(), 6u) + 1, share = KEEP / 8;
	struct hoard *h = hoard_init(0);
	struct rte_mbuf *kept[8][HELD];
	struct worker w[8];
	pthread_t thread;
	void *failed;

	for (i = 0; i < RECEIVED; i++)
		h->m[i] = carve_filled(h->rx, unit_range(&h->rng, 1, MAX_LEN), i / KEEP);
	for (i = 0; i < RECEIVED; i++) {
		k = i % KEEP / share;
		if (i % share == 0 && k < nb + 1)
			kept[k][i / KEEP] = h->m[i];
		else
			rte_pktmbuf_free(h->m[i]);
	}
	for (k = 0; k < nb; k++) {
		w[k] = (struct worker){
			.mp = h->mp,
			.m = kept[k + 1],
			.n = HELD,
			.rng = unit_seed + k,
			.go = &go,
			.compacts = compacting,
			.c = unit_carver(h->mp, MAX_LEN, 1),
		};
		unit_shuffle((void **)w[k].m, compacting ? 0 : HELD, &h->rng);
	}
	memcpy(h->m, kept[0], sizeof(kept[0]));
	h->n = HELD;
	assert_int_equal(pthread_create(&thread, NULL, work_thread, &w[nb - 1]), 0);
	k = 0;
	RTE_LCORE_FOREACH_WORKER(id)
		if (k < nb - 1)
			assert_int_equal(rte_eal_remote_launch(work, &w[k++], id), 0);
	__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
	for (i = 0; i < 20; i++) {
		const struct ppool_compact_conf conf = { .shared_pages = i % 2 != 0 };

		assert_int_equal(ppool_compact(h->c, h->m, h->n, &conf, NULL), 0);
	}
	RTE_LCORE_FOREACH_WORKER(id)
		assert_int_equal(rte_eal_wait_lcore(id), 0);
	pthread_join(thread, &failed);
	assert_null(failed);
	/* All are quiet. */
	compact(h, NULL);
	for (k = 0; k < nb && compacting; k++) {
		memcpy(h->m + h->n, w[k].m, HELD * sizeof(*h->m));
		h->n += HELD;
	}
	unit_assert_charged(h->mp, h->m, h->n);
	for (i = 0; i < h->n; i++)
		assert_true(unit_filled_data(h->m[i], i % HELD));
	rte_pktmbuf_free_bulk(h->m, h->n);
}

static void
test_freed_meanwhile(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 5; i++)
		with_workers(false);
}

static void
test_compacted_meanwhile(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 5; i++)
		with_workers(true);
}

/* The carver and the mbufs come from another thread. */
static int
compact_there(void *arg)
{
	struct hoard *h = arg;
	struct ppool_compact_result r;

	return ppool_compact(h->c, h->m, h->n, NULL, &r) == 0 && r.frags_moved == h->n ? 0 : -1;
}

static void
test_other_threads(void **state)
{
	struct hoard *h = hoard_make(0);

	(void)state;
	assert_int_equal(unit_on_thread(compact_there, h), 0);
	hoard_free(h);
	unit_require(unit_workers() >= 1, "a second lcore");
	h = hoard_make(0);
	assert_int_equal(unit_on_lcore(0, compact_there, h), 0);
	unit_assert_charged(h->mp, h->m, h->n);
	hoard_free(h);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_releases),
	UNIT_TEST(test_any_order),
	UNIT_TEST(test_carries_all),
	UNIT_TEST(test_keep_mbufs),
	UNIT_TEST(test_whole_pages),
	UNIT_TEST(test_chains),
	UNIT_TEST(test_shared),
	UNIT_TEST(test_accounts),
	UNIT_TEST(test_others),
	UNIT_TEST(test_open_and_young),
	UNIT_TEST(test_ages),
	UNIT_TEST(test_min_age),
	UNIT_TEST(test_parked),
	UNIT_TEST(test_occupancy),
	UNIT_TEST(test_too_long),
	UNIT_TEST(test_tailroom),
	UNIT_TEST(test_no_page),
	UNIT_TEST(test_no_gain),
	UNIT_TEST(test_page_sizes),
	UNIT_TEST(test_freed_meanwhile),
	UNIT_TEST(test_compacted_meanwhile),
	UNIT_TEST(test_other_threads),
};

UNIT_SUITE(compact, "held packets leave pages that are nearly empty", tests);
