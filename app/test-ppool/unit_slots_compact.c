/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Held slots leave pages that are nearly empty. The patterns are those that leave most of every
 * page unused; what a compaction says that it released is taken, page by page.
 */

#include <stdlib.h>

#include <ppool_account.h>
#include <ppool_compact.h>

#include "unit.h"

#define PAGES 64u
#define ROOM 16000u
#define MAX_LEN 1500u
#define HELD_MAX 8192u
#define PRIV 32u

/* Packets that are held, the data of each marked with its index. */
struct holder {
	struct rte_mempool *mp;
	struct ppool_carver *c;
	uint64_t rng;
	unsigned int n;
	struct rte_mbuf *m[HELD_MAX];
};

static struct holder holder;

static struct holder *
holder_init(void)
{
	struct holder *h = &holder;

	memset(h, 0, sizeof(*h));
	h->rng = unit_seed;
	h->mp = unit_pool(PAGES, ROOM, 0, PRIV);
	h->c = unit_carver(h->mp, MAX_LEN, 1);
	return h;
}

/* Fill data and headroom. */
static void
packet_mark(struct rte_mbuf *m, uint64_t tag)
{
	unit_fill(m->buf_addr, RTE_PKTMBUF_HEADROOM, tag);
	unit_fill(rte_mbuf_to_priv(m), PRIV, tag);
	unit_fill_data(m, tag);
	m->hash.rss = (uint32_t)tag;
	m->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
}

static void
packet_verify(struct rte_mbuf *m, uint64_t tag)
{
	const char *reason = NULL;

	if (rte_mbuf_check(m, 1, &reason) != 0)
		fail_msg("mbuf %p: %s", (void *)m, reason);
	assert_true(unit_filled(m->buf_addr, RTE_PKTMBUF_HEADROOM, tag));
	assert_true(unit_filled(rte_mbuf_to_priv(m), PRIV, tag));
	assert_true(unit_filled_data(m, tag));
	assert_int_equal(m->hash.rss, (uint32_t)tag);
	assert_true((m->ol_flags & RTE_MBUF_F_RX_RSS_HASH) != 0);
}

/* All slots of some pages of a class are taken, and one of so many is kept. */
static void
holder_take(struct holder *h, const struct ppool_slot_class *c, unsigned int pages,
		unsigned int every)
{
	unsigned int i, n = pages * c->slots;
	struct rte_mbuf **m = calloc(n, sizeof(*m));

	assert_non_null(m);
	assert_int_equal(rte_pktmbuf_alloc_bulk(unit_slot_pool(h->mp, c->room), m, n), 0);
	for (i = 0; i < n; i++) {
		if (i % every != 0) {
			rte_pktmbuf_free(m[i]);
			continue;
		}
		assert_true(h->n < HELD_MAX);
		assert_non_null(rte_pktmbuf_append(m[i], RTE_MIN(c->room, (uint16_t)MAX_LEN)));
		packet_mark(m[i], h->n);
		h->m[h->n++] = m[i];
	}
	free(m);
}

static void
holder_free(struct holder *h)
{
	unsigned int i;

	for (i = 0; i < h->n; i++)
		packet_verify(h->m[i], i);
	rte_pktmbuf_free_bulk(h->m, h->n);
	h->n = 0;
	/* Idle pages are collected. */
	assert_int_equal(ppool_compact(h->c, h->m, 0, NULL, NULL), 0);
	assert_int_equal(unit_ledger(h->mp).class_pages, 0);
}

/* The class of a room. */
static struct ppool_slot_class
class_of(struct rte_mempool *mp, uint16_t room)
{
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int i = 0;

	unit_slot_classes(mp, c);
	while (c[i].room < room)
		i++;
	return c[i];
}

/* What was released can be had as whole pages, and no more than that. */
static void
released_can_be_had(struct rte_mempool *mp, const struct ppool_ledger *after)
{
	unsigned int n = after->free + after->idle;
	struct rte_mbuf *page[PAGES], *one;

	assert_int_equal(rte_mempool_avail_count(mp), n);
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, page, n), 0);
	one = rte_pktmbuf_alloc(mp);
	assert_null(one);
	rte_pktmbuf_free_bulk(page, n);
}

static uint64_t
fates_sum(const struct ppool_compact_result *r)
{
	uint64_t sum = 0;

#define ADD(name, desc) sum += r->name;
	PPOOL_COMPACT_COUNTS(ADD)
#undef ADD
	return sum - r->headers_moved - r->bytes_copied;
}

/* What must hold in every case: one fate for every segment, the books, pages that can be had. */
static struct ppool_compact_result
compact(struct holder *h, const struct ppool_compact_conf *conf)
{
	struct ppool_stats old, new;
	struct ppool_ledger before, after;
	struct ppool_compact_result r;
	uint64_t segs = 0;
	unsigned int i;

	for (i = 0; i < h->n; i++)
		segs += h->m[i]->nb_segs;
	/* Pages that nobody uses are collected in any case. */
	assert_int_equal(ppool_compact(h->c, h->m, 0, conf, &r), 0);
	before = unit_ledger(h->mp);
	old = unit_stats(h->mp);
	assert_int_equal(ppool_compact(h->c, h->m, h->n, conf, &r), 0);
	after = unit_ledger(h->mp);
	new = unit_stats(h->mp);
	assert_int_equal(fates_sum(&r), segs);
	assert_int_equal(r.released, ((int64_t)after.free - before.free) * before.page_bytes);
	assert_int_equal(after.class_slots, before.class_slots);
	/* But for a byte, slots of a class are equal. */
	assert_in_range(after.class_live, before.class_live - r.slots_moved,
			before.class_live + r.slots_moved);
	assert_int_equal(new.slot_move - old.slot_move, r.slots_moved);
	assert_int_equal(new.slot_alloc - old.slot_alloc, new.slot_free - old.slot_free);
	released_can_be_had(h->mp, &after);
	return r;
}

/* Patterns */

/* One of each page, class by class: what stays fills pages to the end. */
static void
test_one_of_each(void **state)
{
	struct holder *h = holder_init();
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int i, n = unit_slot_classes(h->mp, c), pages, len;
	struct ppool_compact_result r;

	(void)state;
	for (i = 0; c[i].slots > 1 && i < n; i++) {
		holder_take(h, &c[i], PAGES / 2, c[i].slots);
		assert_int_equal(h->n, PAGES / 2);
		assert_int_equal(unit_ledger(h->mp).class_pages, PAGES / 2);
		r = compact(h, NULL);
		pages = (h->n + c[i].slots - 1) / c[i].slots;
		assert_int_equal(unit_ledger(h->mp).class_pages, pages);
		assert_int_equal(r.slots_moved, h->n - pages);
		len = RTE_PKTMBUF_HEADROOM + RTE_MIN(c[i].room, (uint16_t)MAX_LEN);
		assert_int_equal(r.bytes_copied, r.slots_moved * len);
		/* There is nothing left to do. */
		r = compact(h, NULL);
		assert_int_equal(r.slots_moved, 0);
		assert_int_equal(r.kept_dense + r.kept_no_gain, h->n);
		holder_free(h);
	}
}

/* Pages of a class that live slots need, where all pages may be emptied. */
static unsigned int
pages_needed(const struct holder *h, const struct ppool_slot_class *c, unsigned int n)
{
	unsigned int i, k, live, sum = 0;

	for (k = 0; k < n; k++) {
		live = 0;
		for (i = 0; i < h->n; i++)
			live += h->m[i]->buf_len == c[k].room + RTE_PKTMBUF_HEADROOM;
		sum += (live + c[k].slots - 1) / c[k].slots;
	}
	return sum;
}

/* Each class takes all pages that the ones before have left, and keeps one slot of some of them. */
static void
test_saw_teeth(void **state)
{
	const struct ppool_compact_conf all = { .max_occupancy = 100 };
	struct holder *h = holder_init();
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int i, turn, n = unit_slot_classes(h->mp, c), free_pages;

	(void)state;
	for (turn = 0; turn < 3; turn++) {
		for (i = 0; i < n; i++) {
			free_pages = rte_mempool_avail_count(h->mp);
			holder_take(h, &c[turn == 1 ? n - 1 - i : i], free_pages,
					2 * c[turn == 1 ? n - 1 - i : i].slots + turn);
		}
		unit_shuffle((void **)h->m, h->n, &h->rng);
		for (i = 0; i < h->n; i++)
			packet_mark(h->m[i], i);
		compact(h, turn == 2 ? NULL : &all);
		if (turn != 2)
			assert_int_equal(unit_ledger(h->mp).class_pages, pages_needed(h, c, n));
		holder_free(h);
	}
}

/* All of one size, then of another, which has no page before its holder compacts. */
static void
test_other_size(void **state)
{
	static const uint16_t rooms[][2] = { { 64, 1500 }, { 1500, 64 }, { 300, 4000 } };
	struct holder *h = holder_init();
	struct ppool_compact_result r;
	struct ppool_slot_class c;
	struct rte_mempool *other;
	struct rte_mbuf *one;
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(rooms); i++) {
		c = class_of(h->mp, rooms[i][0]);
		other = unit_slot_pool(h->mp, rooms[i][1]);
		/* The carver has a page of headers. */
		holder_take(h, &c, PAGES - 1, c.slots);
		one = rooms[i][1] > rooms[i][0] ? rte_pktmbuf_alloc(other) : NULL;
		assert_null(one);
		r = compact(h, NULL);
		assert_true(r.released > 0);
		one = rte_pktmbuf_alloc(other);
		assert_non_null(one);
		assert_int_equal(one->buf_len, rte_pktmbuf_data_room_size(other));
		rte_pktmbuf_free(one);
		holder_free(h);
	}
}

/* Any slots of any classes, again and again while some are freed and others come. */
static void
test_random(void **state)
{
	struct ppool_compact_conf conf = { .max_occupancy = 100 };
	struct holder *h = holder_init();
	unsigned int turn, i;
	struct rte_mbuf *m;
	uint16_t room;

	(void)state;
	for (turn = 0; turn < 60; turn++) {
		while (h->n < 2000) {
			room = (uint16_t)unit_range(&h->rng, 1, MAX_LEN);
			m = rte_pktmbuf_alloc(unit_slot_pool(h->mp, room));
			if (m == NULL)
				break;
			assert_non_null(rte_pktmbuf_append(m, room));
			packet_mark(m, h->n);
			h->m[h->n++] = m;
		}
		unit_shuffle((void **)h->m, h->n, &h->rng);
		i = unit_range(&h->rng, 0, h->n);
		rte_pktmbuf_free_bulk(h->m + i, h->n - i);
		h->n = i;
		for (i = 0; i < h->n; i++)
			packet_mark(h->m[i], i);
		conf.max_occupancy = unit_range(&h->rng, 1, 100);
		compact(h, &conf);
		for (i = 0; i < h->n; i++)
			packet_verify(h->m[i], i);
	}
	holder_free(h);
}

/* What stays */

static void
test_accounts(void **state)
{
	uint16_t account[2] = { unit_account(UINT64_MAX), unit_account(UINT64_MAX) };
	struct holder *h = holder_init();
	struct ppool_slot_class c = class_of(h->mp, 500);
	uint64_t sum[2] = { 0, 0 };
	unsigned int i;

	(void)state;
	holder_take(h, &c, PAGES / 2, c.slots);
	for (i = 0; i < h->n; i++)
		if (i % 3 < 2)
			assert_int_equal(ppool_account_charge(account[i % 3], &h->m[i], 1), 1);
	assert_true(compact(h, NULL).slots_moved > PAGES / 3);
	for (i = 0; i < h->n; i++) {
		assert_int_equal(ppool_account_of(h->m[i]),
				i % 3 < 2 ? account[i % 3] : PPOOL_ACCOUNT_NONE);
		if (i % 3 < 2)
			sum[i % 3] += ppool_mbuf_truesize(h->m[i]);
	}
	for (i = 0; i < 2; i++)
		assert_int_equal(ppool_account_used(account[i]), sum[i]);
	assert_int_equal(ppool_account_check(stderr), 0);
	holder_free(h);
	assert_int_equal(ppool_account_used(account[0]) + ppool_account_used(account[1]), 0);
}

/* Slots that others refer to, and their clones, stay where they are. */
static void
test_shared(void **state)
{
	struct holder *h = holder_init();
	struct ppool_slot_class c = class_of(h->mp, 500);
	struct rte_mbuf *before[PAGES], *clone[PAGES];
	struct ppool_compact_result r;
	unsigned int i, n;

	(void)state;
	holder_take(h, &c, PAGES / 2, c.slots);
	n = h->n;
	memcpy(before, h->m, n * sizeof(before[0]));
	for (i = 0; i < n; i += 2) {
		/* A clone whose mbuf is a slot itself. */
		clone[i / 2] = rte_pktmbuf_clone(h->m[i], unit_slot_pool(h->mp, 64));
		assert_non_null(clone[i / 2]);
		h->m[h->n++] = clone[i / 2];
	}
	r = compact(h, &(struct ppool_compact_conf){ .shared_pages = true });
	assert_int_equal(r.kept_shared, n / 2);
	assert_int_equal(r.kept_pool, n / 2);
	assert_true(r.slots_moved > n / 4);
	for (i = 0; i < n; i += 2) {
		assert_ptr_equal(h->m[i], before[i]);
		assert_ptr_equal(h->m[n + i / 2], clone[i / 2]);
		assert_true(unit_filled_data(clone[i / 2], i));
		rte_pktmbuf_free(clone[i / 2]);
	}
	h->n = n;
	holder_free(h);
}

static void
test_keep_mbufs(void **state)
{
	const struct ppool_compact_conf conf = { .keep_mbufs = true };
	struct holder *h = holder_init();
	struct ppool_slot_class c = class_of(h->mp, 500);
	struct ppool_compact_result r;

	(void)state;
	holder_take(h, &c, PAGES / 2, c.slots);
	r = compact(h, &conf);
	assert_int_equal(r.kept_mbufs, h->n);
	assert_int_equal(r.slots_moved + r.bytes_copied, 0);
	holder_free(h);
}

/* Pages of which others hold slots are no gain, unless all compact in turn. */
static void
test_others(void **state)
{
	struct ppool_slot_class c, classes[UNIT_SLOT_CLASSES];
	struct holder *h = holder_init();
	struct rte_mbuf *all[PAGES];
	struct ppool_compact_result r;
	unsigned int i = 4, n;

	(void)state;
	unit_slot_classes(h->mp, classes);
	while (classes[i].slots % 2 != 0)
		i++;
	c = classes[i];
	/* Two of each page. */
	holder_take(h, &c, PAGES / 2, c.slots / 2);
	n = h->n / 2;
	assert_int_equal(n, PAGES / 2);
	memcpy(all, h->m, 2 * n * sizeof(all[0]));
	for (i = 0; i < n; i++)
		h->m[i] = all[2 * i];
	h->n = n;
	r = compact(h, NULL);
	assert_int_equal(r.kept_others, n);
	assert_int_equal(r.released, 0);
	r = compact(h, &(struct ppool_compact_conf){ .shared_pages = true });
	assert_true(r.slots_moved > 0);
	for (i = 0; i < n; i++)
		all[2 * i] = h->m[i];
	/* The other holder does the same. */
	for (i = 0; i < n; i++)
		h->m[i] = all[2 * i + 1];
	r = compact(h, &(struct ppool_compact_conf){ .shared_pages = true });
	assert_true(r.released > 0);
	for (i = 0; i < n; i++)
		all[2 * i + 1] = h->m[i];
	h->n = 2 * n;
	memcpy(h->m, all, h->n * sizeof(all[0]));
	holder_free(h);
}

/* A chain of slots of several classes and of frags keeps its order. */
static void
test_chains(void **state)
{
	static const uint16_t rooms[] = { 100, 500, 1000 };
	struct holder *h = holder_init();
	struct ppool_compact_result r;
	struct ppool_slot_class c;
	struct rte_mbuf *chain[8], *frag;
	unsigned int i, k;

	(void)state;
	for (i = 0; i < RTE_DIM(rooms); i++) {
		c = class_of(h->mp, rooms[i]);
		holder_take(h, &c, RTE_DIM(chain), c.slots);
	}
	for (i = 0; i < RTE_DIM(chain); i++) {
		chain[i] = h->m[i];
		frag = ppool_carve(h->c, 200);
		assert_non_null(frag);
		assert_non_null(rte_pktmbuf_append(frag, 200));
		assert_int_equal(rte_pktmbuf_chain(chain[i], frag), 0);
		for (k = 1; k < RTE_DIM(rooms); k++)
			assert_int_equal(rte_pktmbuf_chain(chain[i], h->m[k * RTE_DIM(chain) + i]),
					0);
		packet_mark(chain[i], i);
	}
	memcpy(h->m, chain, sizeof(chain));
	h->n = RTE_DIM(chain);
	r = compact(h, NULL);
	assert_true(r.slots_moved >= RTE_DIM(rooms) * (RTE_DIM(chain) - 4));
	assert_int_equal(r.kept_open, RTE_DIM(chain));
	for (i = 0; i < h->n; i++)
		assert_int_equal(h->m[i]->nb_segs, RTE_DIM(rooms) + 1);
	holder_free(h);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_one_of_each),
	UNIT_TEST(test_saw_teeth),
	UNIT_TEST(test_other_size),
	UNIT_TEST(test_random),
	UNIT_TEST(test_accounts),
	UNIT_TEST(test_shared),
	UNIT_TEST(test_keep_mbufs),
	UNIT_TEST(test_others),
	UNIT_TEST(test_chains),
};

UNIT_SUITE(slots_compact, "held slots leave pages that are nearly empty", tests);
