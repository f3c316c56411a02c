/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Slots where it is hard: pools that are exhausted, loads that leave little in each page, pages and
 * private areas of odd sizes, several threads. Counts are taken at their word: what a pool says is
 * available is had at the first try.
 */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <rte_launch.h>
#include <rte_malloc.h>

#include <ppool_create.h>
#include <ppool_private.h>
#include <ppool_slot.h>

#include "unit.h"

#define PAGES 24u
#define ROOM 16000u

/* Slots in somebody's hands. */
struct hand {
	struct rte_mbuf **m;
	unsigned int n, max;
};

static void
hand_init(struct hand *h, unsigned int max)
{
	h->m = calloc(max, sizeof(h->m[0]));
	assert_non_null(h->m);
	h->n = 0;
	h->max = max;
}

static void
hand_free(struct hand *h, unsigned int n)
{
	assert_true(n <= h->n);
	h->n -= n;
	rte_pktmbuf_free_bulk(h->m + h->n, n);
}

static void
hand_fini(struct hand *h)
{
	hand_free(h, h->n);
	free(h->m);
}

/* Take all there is, one by one. Returns how many. */
static unsigned int
hand_take_all(struct hand *h, struct rte_mempool *view)
{
	unsigned int n = 0;

	while (h->n < h->max && (h->m[h->n] = rte_pktmbuf_alloc(view)) != NULL) {
		h->n++;
		n++;
	}
	assert_true(h->n < h->max);
	return n;
}

static void
hand_take(struct hand *h, struct rte_mempool *view, unsigned int n)
{
	assert_true(h->n + n <= h->max);
	assert_int_equal(rte_pktmbuf_alloc_bulk(view, h->m + h->n, n), 0);
	h->n += n;
}

/* Exhaustion */

/* One class after the other has all pages, one by one and in one bulk, at the first try. */
static void
test_saw_teeth(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int i, turn, n = unit_slot_classes(mp, c);
	struct hand h;

	(void)state;
	hand_init(&h, PAGES * c[0].slots + 1);
	for (turn = 0; turn < 2 * n; turn++) {
		i = turn < n ? turn : 2 * n - 1 - turn;
		assert_int_equal(hand_take_all(&h, unit_slot_pool(mp, c[i].room)),
				PAGES * c[i].slots);
		unit_ledger(mp);
		hand_free(&h, h.n);
		hand_take(&h, unit_slot_pool(mp, c[n - 1 - i].room), PAGES * c[n - 1 - i].slots);
		hand_free(&h, h.n);
	}
	hand_fini(&h);
}

/* The slots of a page come back, some of them to the lists of the lcore: the page can be had. */
static void
page_empties(struct rte_mempool *mp, const struct ppool_slot_class *from,
		const struct ppool_slot_class *to)
{
	struct rte_mbuf *one;
	struct hand h;

	hand_init(&h, PAGES * from->slots + 1);
	hand_take(&h, unit_slot_pool(mp, from->room), PAGES * from->slots);
	/* They were taken page by page. */
	hand_free(&h, from->slots);
	one = rte_pktmbuf_alloc(to == NULL ? mp : unit_slot_pool(mp, to->room));
	if (one == NULL)
		fail_msg("a page of %u slots is idle, but it cannot be had", from->slots);
	rte_pktmbuf_free(one);
	hand_fini(&h);
}

static void
test_first_try(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int i, k, n = unit_slot_classes(mp, c);

	(void)state;
	for (i = 0; i < n; i++) {
		page_empties(mp, &c[i], NULL);
		for (k = 0; k < n; k++)
			page_empties(mp, &c[i], &c[k]);
	}
}

/* Nothing but slots is freed: a pool that was polled in vain notices all the same. */
static void
polled_exercise(struct rte_mempool *mp, const struct ppool_slot_class *c)
{
	struct rte_mempool *large = unit_slot_pool(mp, 4000);
	struct rte_mbuf *one;
	unsigned int i, turn;
	struct hand h;

	hand_init(&h, PAGES * c->slots + 1);
	for (turn = 0; turn < 3; turn++) {
		hand_take(&h, unit_slot_pool(mp, c->room), PAGES * c->slots);
		for (i = 0; i < 100; i++) {
			/* Few frees, again and again in vain. */
			hand_free(&h, 1);
			assert_null(rte_pktmbuf_alloc(large));
			assert_null(rte_pktmbuf_alloc(mp));
			hand_take(&h, unit_slot_pool(mp, c->room), 1);
		}
		hand_free(&h, c->slots);
		one = rte_pktmbuf_alloc(large);
		if (one == NULL)
			fail_msg("a page of %u slots is idle, but it cannot be had", c->slots);
		rte_pktmbuf_free(one);
		hand_free(&h, h.n);
	}
	hand_fini(&h);
}

static void
test_polled(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int i;

	(void)state;
	unit_slot_classes(mp, c);
	for (i = 0; c[i].room < 3000; i++)
		polled_exercise(mp, &c[i]);
}

/* Counts */

static void
take_something(struct rte_mempool *mp, struct ppool_carver *c, struct hand *h, uint64_t *rng)
{
	uint16_t len = (uint16_t)unit_range(rng, 1, 2000);
	struct rte_mbuf *m = NULL;

	switch (unit_range(rng, 0, 5)) {
	case 0:
		m = rte_pktmbuf_alloc(mp);
		break;
	case 1:
		m = ppool_carve(c, len);
		break;
	default:
		m = rte_pktmbuf_alloc(unit_slot_pool(mp, len));
	}
	if (m != NULL && h->n < h->max)
		h->m[h->n++] = m;
	else
		rte_pktmbuf_free(m);
}

/* Take all of one kind after a random past: at least as many as were said to be there. */
static void
test_counts(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 2000, 1);
	uint64_t rng = unit_seed;
	unsigned int turn, i, avail, got;
	struct hand mine, all;
	struct rte_mempool *from;

	(void)state;
	hand_init(&mine, 1000);
	hand_init(&all, 2000);
	for (turn = 0; turn < 200; turn++) {
		for (i = unit_range(&rng, 0, 300); i > 0; i--)
			take_something(mp, c, &mine, &rng);
		unit_shuffle((void **)mine.m, mine.n, &rng);
		hand_free(&mine, unit_range(&rng, 0, mine.n));
		from = unit_range(&rng, 0, 3) == 0 ?
				mp :
				unit_slot_pool(mp, (uint16_t)unit_range(&rng, 1, 12000));
		avail = rte_mempool_avail_count(from);
		got = hand_take_all(&all, from);
		if (got < avail)
			fail_msg("turn %u: %u available, %u were had", turn, avail, got);
		assert_int_equal(rte_mempool_avail_count(from), 0);
		hand_free(&all, all.n);
		unit_ledger(mp);
	}
	hand_fini(&mine);
	hand_fini(&all);
}

/* What a view can hand out: its own idle slots are not counted twice. */
static void
test_available(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct rte_mempool *view = unit_slot_pool(mp, 500);
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	struct rte_mbuf *page[4], *one;
	unsigned int i = 0, slots;

	(void)state;
	unit_slot_classes(mp, c);
	while (c[i].room < 500)
		i++;
	slots = c[i].slots;
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, page, 4), 0);
	assert_int_equal(rte_mempool_avail_count(view), (PAGES - 4) * slots);
	one = rte_pktmbuf_alloc(view);
	assert_int_equal(rte_mempool_avail_count(view), (PAGES - 4) * slots - 1);
	rte_pktmbuf_free(one);
	assert_int_equal(rte_mempool_avail_count(view), (PAGES - 4) * slots);
	/* Idle slots of a larger class serve where no page is free. */
	one = rte_pktmbuf_alloc(unit_slot_pool(mp, 1500));
	rte_pktmbuf_free_bulk(page, 4);
	assert_true(rte_mempool_avail_count(view) >= (PAGES - 1) * slots);
	rte_pktmbuf_free(one);
}

/* Density */

/* Pages of a class are at most what the peak of its live slots and the reserve take. */
static void
density_check(struct rte_mempool *mp, const struct ppool_slot_class *c, unsigned int peak)
{
	unsigned int reserve = 64 + c->slots, max = (peak + reserve + c->slots - 1) / c->slots + 1;
	struct ppool_ledger l = unit_ledger(mp);

	if (l.class_pages > max)
		fail_msg("%u pages of %u slots for %u slots at most", l.class_pages, c->slots,
				peak);
}

/* One slot of each page stays: the next packets use the others, in whatever order they came. */
static void
test_one_of_each(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	struct rte_mempool *view;
	unsigned int i, k, turn;
	uint64_t rng = unit_seed;
	struct hand h, held;

	(void)state;
	unit_slot_classes(mp, c);
	for (k = 0; k < 3; k++) {
		view = unit_slot_pool(mp, c[4 * k].room);
		hand_init(&h, PAGES * c[0].slots);
		hand_init(&held, PAGES);
		hand_take(&h, view, PAGES / 2 * c[4 * k].slots);
		for (i = 0; i < PAGES / 2; i++) {
			held.m[held.n++] = h.m[i * c[4 * k].slots];
			h.m[i * c[4 * k].slots] = NULL;
		}
		rte_pktmbuf_free_bulk(h.m, h.n);
		h.n = 0;
		for (turn = 0; turn < 100; turn++) {
			hand_take(&h, view, unit_range(&rng, 1, PAGES / 2 * (c[4 * k].slots - 1)));
			unit_shuffle((void **)h.m, h.n, &rng);
			density_check(mp, &c[4 * k], PAGES / 2 * c[4 * k].slots);
			hand_free(&h, h.n);
		}
		hand_fini(&h);
		hand_fini(&held);
		assert_true(unit_pool_whole(mp));
	}
}

/*
 * The same at every page that a class takes: the slots of those it has are in use, but for what
 * other lcores keep. Slots are taken one by one, and counted by what they are.
 */
struct watch {
	struct rte_mempool *mp;
	unsigned int lists; /* other lcores that have slots */
	uint32_t live[PPOOL_CLASSES], peak[PPOOL_CLASSES];
	unsigned int taken;
};

/* The first slot of a page was handed out. */
static void
watch_check(struct watch *w, unsigned int k)
{
	const struct ppool *p = w->mp->pool_data;
	const struct ppool_class *c = &p->depot.size_class[k];
	uint32_t reserve = w->lists * ppool_lcore_slots_keep(p, k);

	w->taken++;
	if ((c->nb_pages - 1) * c->slots > w->live[k] - 1 + reserve)
		fail_msg("a page of %u slots is taken, %u are in use, reserve %u, pages then %u",
				c->slots, w->live[k] - 1, reserve, c->nb_pages);
	if (c->nb_pages > (w->peak[k] + reserve + c->slots - 1) / c->slots)
		fail_msg("%u pages of %u slots for %u at most", c->nb_pages, c->slots, w->peak[k]);
}

static struct rte_mbuf *
watch_alloc(struct watch *w, uint16_t room)
{
	const struct ppool *p = w->mp->pool_data;
	unsigned int k = ppool_class_for(p, room);
	uint32_t pages = p->depot.size_class[k].nb_pages;
	struct rte_mbuf *m = rte_pktmbuf_alloc(unit_slot_pool(w->mp, room));

	if (m == NULL)
		return NULL;
	k = ppool_record_class(ppool_frag_of(m));
	w->live[k]++;
	w->peak[k] = RTE_MAX(w->peak[k], w->live[k]);
	if (k == ppool_class_for(p, room) && p->depot.size_class[k].nb_pages > pages)
		watch_check(w, k);
	return m;
}

static void
watch_free(struct watch *w, struct rte_mbuf *m)
{
	w->live[ppool_record_class(ppool_frag_of(m))]--;
	rte_pktmbuf_free(m);
}

/* Take so many, or all there are, and keep one of every so many. */
static void
watch_take(struct watch *w, struct hand *held, uint16_t room, unsigned int n, unsigned int every)
{
	struct hand h;
	unsigned int i;

	hand_init(&h, n);
	while (h.n < n && (h.m[h.n] = watch_alloc(w, room)) != NULL)
		h.n++;
	for (i = 0; i < h.n; i++)
		if (i % every == 0 && held->n < held->max)
			held->m[held->n++] = h.m[i];
		else
			watch_free(w, h.m[i]);
	h.n = 0;
	hand_fini(&h);
}

/* Fill the lists of another lcore. */
static int
lists_fill(void *arg)
{
	struct rte_mempool *mp = arg;
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int i, n = unit_slot_classes(mp, c);
	struct rte_mbuf *m[PPOOL_LCORE_SLOTS];

	for (i = 0; i < n; i++) {
		unsigned int k = RTE_MIN(c[i].slots, RTE_DIM(m));

		if (rte_pktmbuf_alloc_bulk(unit_slot_pool(mp, c[i].room), m, k) != 0)
			return -1;
		rte_pktmbuf_free_bulk(m, k);
	}
	return 0;
}

static void
watch_release(struct watch *w, struct hand *held)
{
	while (held->n > 0)
		watch_free(w, held->m[--held->n]);
	assert_true(unit_pool_whole(w->mp));
	if (w->lists != 0)
		assert_int_equal(unit_on_lcore(0, lists_fill, w->mp), 0);
}

/* One of each page, saw-teeth through the classes, one size after another. */
static void
watch_patterns(struct watch *w)
{
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int i, turn, k, n = unit_slot_classes(w->mp, c);
	uint64_t rng = unit_seed;
	struct hand held;

	hand_init(&held, PAGES * c[0].slots);
	for (i = 0; i < n; i++) {
		watch_take(w, &held, c[i].room, PAGES / 2 * c[i].slots, c[i].slots);
		for (turn = 0; turn < 4; turn++)
			watch_take(w, &held, c[i].room, unit_range(&rng, 1, PAGES / 3 * c[i].slots),
					UINT32_MAX);
		watch_release(w, &held);
	}
	for (turn = 0; turn < 4; turn++) {
		for (k = 0; k < n; k++) {
			i = turn % 2 == 0 ? k : n - 1 - k;
			watch_take(w, &held, c[i].room, PAGES * c[i].slots, 3 * c[i].slots + turn);
			watch_take(w, &held, c[n - 1 - i].room, PAGES / 4, 5);
		}
		unit_shuffle((void **)held.m, held.n, &rng);
		for (k = held.n / 2; turn % 2 == 0 && k > 0; k--)
			watch_free(w, held.m[--held.n]);
	}
	watch_release(w, &held);
	assert_true(w->taken > 10 * PAGES);
	hand_fini(&held);
}

static void
test_pages_taken(void **state)
{
	struct watch w = { .mp = unit_pool(PAGES, ROOM, 0, 0) };

	(void)state;
	watch_patterns(&w);
}

/* The same where another lcore keeps slots of all classes. */
static void
test_pages_taken_company(void **state)
{
	struct watch w = { .mp = unit_pool(2 * PAGES, ROOM, 0, 0), .lists = 1 };

	(void)state;
	assert_int_equal(unit_on_lcore(0, lists_fill, w.mp), 0);
	watch_patterns(&w);
}

/* Sizes */

/* All slots of one page of each class, of which the first and the last bytes are written. */
static void
classes_exercise(struct rte_mempool *mp)
{
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	int i, n = ppool_slot_classes_get(mp, c, UNIT_SLOT_CLASSES);
	unsigned int k;
	struct hand h;

	assert_in_range(n, 0, UNIT_SLOT_CLASSES);
	for (i = 0; i < n; i++) {
		hand_init(&h, c[i].slots);
		hand_take(&h, unit_slot_pool(mp, c[i].room), c[i].slots);
		assert_int_equal(unit_ledger(mp).class_pages, 1);
		for (k = 0; k < h.n; k++) {
			assert_true(h.m[k]->buf_len >= c[i].room + RTE_PKTMBUF_HEADROOM);
			memset(h.m[k]->buf_addr, (int)k, 8);
			memset((char *)h.m[k]->buf_addr + h.m[k]->buf_len - 8, (int)k, 8);
		}
		for (k = 0; k < h.n; k++)
			assert_int_equal(*(uint8_t *)h.m[k]->buf_addr, k & 0xff);
		unit_shuffle((void **)h.m, h.n, &(uint64_t){ unit_seed });
		hand_fini(&h);
		assert_true(unit_pool_whole(mp));
	}
}

static void
test_odd_pages(void **state)
{
	static const uint16_t rooms[] = { 129, 300, 448, 512, 600, 664, 1000, 1024, 2047, 2176,
		3333, 4097, 9000, 16385, 32767, 65534, 65535 };
	static const uint16_t privs[] = { 0, 8, 56, 64, 200, 1024, 4096 };
	struct rte_mempool *mp;
	unsigned int i, k;

	(void)state;
	for (i = 0; i < RTE_DIM(rooms); i++)
		for (k = 0; k < RTE_DIM(privs); k++) {
			mp = unit_pool(3, rooms[i], 0, privs[k]);
			if (ppool_frag_pool(mp) != NULL)
				classes_exercise(mp);
			unit_pool_free(mp);
		}
}

static void
test_large_pages(void **state)
{
	static const uint32_t sizes[] = { 100000, 2097152, 140000000 };
	struct ppool_create_conf conf = {
		.name = "slots_hard", .pages = 1, .socket_id = SOCKET_ID_ANY
	};
	struct rte_mempool *mp;
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(sizes); i++) {
		conf.page_size = sizes[i];
		conf.pages = sizes[i] < 1000000 ? 4 : 1;
		mp = ppool_create(&conf);
		if (mp == NULL)
			continue;
		unit_register(mp);
		classes_exercise(mp);
		unit_pool_free(mp);
		print_message("pages of %u bytes\n", sizes[i]);
	}
}

static struct rte_mempool *
flags_pool(unsigned int flags, unsigned int cache)
{
	struct rte_pktmbuf_pool_private priv = { .mbuf_data_room_size = ROOM };
	struct rte_mempool *mp = rte_mempool_create_empty(unit_name(), PAGES,
			sizeof(struct rte_mbuf) + ROOM, cache, sizeof(priv), SOCKET_ID_ANY, flags);

	assert_non_null(mp);
	unit_register(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, PPOOL_OPS_NAME, NULL), 0);
	rte_pktmbuf_pool_init(mp, &priv);
	assert_in_range(rte_mempool_populate_default(mp), 1, PAGES);
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
}

static void
test_flags(void **state)
{
	static const unsigned int flags[] = { RTE_MEMPOOL_F_NO_SPREAD,
		RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET, RTE_MEMPOOL_F_NO_IOVA_CONTIG };
	struct rte_mempool *mp;
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(flags); i++) {
		mp = flags_pool(flags[i], 0);
		classes_exercise(mp);
		unit_pool_free(mp);
	}
	mp = flags_pool(RTE_MEMPOOL_F_NO_CACHE_ALIGN, 0);
	assert_null(ppool_slot_pool(mp, 64));
	assert_int_equal(rte_errno, ENOTSUP);
}

/* Pages in the mempool cache of the lcore are had, too. */
static void
test_cache(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, PAGES / 2, 0);
	struct rte_mempool *view = unit_slot_pool(mp, 500);
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	struct rte_mbuf *page[PAGES];
	unsigned int i = 0;
	struct hand h;

	(void)state;
	unit_slot_classes(mp, c);
	while (c[i].room < 500)
		i++;
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, page, PAGES), 0);
	rte_pktmbuf_free_bulk(page, PAGES);
	hand_init(&h, PAGES * c[0].slots);
	assert_int_equal(hand_take_all(&h, view), PAGES * c[i].slots);
	hand_free(&h, h.n);
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, page, PAGES), 0);
	rte_pktmbuf_free_bulk(page, PAGES);
	hand_fini(&h);
}

/* Threads */

#define ACTORS_MAX 8u
#define TURNS 20000u

struct actor {
	struct rte_mempool *mp;
	struct rte_ring *to, *from; /* of the neighbours */
	struct rte_mempool *view[16];
	uint64_t rng;
	struct hand hand;
	const char *error;
};

static void
actor_verify(struct actor *a, const struct rte_mbuf *m)
{
	if (!unit_filled(rte_pktmbuf_mtod(m, void *), m->data_len, (uintptr_t)m))
		a->error = "a packet was overwritten";
}

static void
actor_take(struct actor *a)
{
	unsigned int i, n = RTE_MIN(unit_range(&a->rng, 1, 40), a->hand.max - a->hand.n);
	unsigned int v = unit_range(&a->rng, 0, RTE_DIM(a->view) - 1);
	struct rte_mbuf **m = a->hand.m + a->hand.n;
	uint16_t len;

	if (rte_pktmbuf_alloc_bulk(a->view[v], m, n) != 0)
		return;
	for (i = 0; i < n; i++) {
		len = (uint16_t)RTE_MIN(100 * (v + 1), 200u);
		unit_fill(rte_pktmbuf_append(m[i], len), len, (uintptr_t)m[i]);
	}
	a->hand.n += n;
}

static void
actor_drop(struct actor *a)
{
	unsigned int i, n = unit_range(&a->rng, 0, a->hand.n);

	unit_shuffle((void **)a->hand.m, a->hand.n, &a->rng);
	for (i = a->hand.n - n; i < a->hand.n; i++)
		actor_verify(a, a->hand.m[i]);
	a->hand.n -= n;
	rte_pktmbuf_free_bulk(a->hand.m + a->hand.n, n);
}

static void
actor_pass(struct actor *a)
{
	while (a->hand.n > 0 && rte_ring_sp_enqueue(a->to, a->hand.m[a->hand.n - 1]) == 0)
		a->hand.n--;
	a->hand.n += rte_ring_sc_dequeue_burst(a->from, (void **)a->hand.m + a->hand.n,
			RTE_MIN(16u, a->hand.max - a->hand.n), NULL);
}

static void
actor_whole(struct actor *a)
{
	rte_pktmbuf_free(rte_pktmbuf_alloc(a->mp));
}

static int
actor_run(void *arg)
{
	struct actor *a = arg;
	unsigned int i;

	for (i = 0; i < TURNS && a->error == NULL; i++)
		switch (unit_range(&a->rng, 0, 7)) {
		case 0:
		case 1:
		case 2:
			actor_take(a);
			break;
		case 3:
		case 4:
			actor_drop(a);
			break;
		case 5:
			actor_whole(a);
			break;
		default:
			actor_pass(a);
		}
	return 0;
}

static void *
actor_thread(void *arg)
{
	actor_run(arg);
	return NULL;
}

static void
actors_run(struct actor *a, unsigned int n)
{
	pthread_t thread[ACTORS_MAX];
	unsigned int id, i = 0, lcores;

	RTE_LCORE_FOREACH_WORKER(id)
		if (i < n - 2)
			rte_eal_remote_launch(actor_run, &a[i++], id);
	lcores = i;
	for (; i < n - 1; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, actor_thread, &a[i]), 0);
	actor_run(&a[n - 1]);
	rte_eal_mp_wait_lcore();
	for (i = lcores; i < n - 1; i++)
		pthread_join(thread[i], NULL);
}

/* Lcores and other threads in a pool that is short: each frees what others took. */
static void
test_actors(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	unsigned int i, k, n = RTE_MIN(unit_workers() + 3, ACTORS_MAX);
	struct rte_ring *ring[ACTORS_MAX];
	struct actor a[ACTORS_MAX];

	(void)state;
	memset(a, 0, sizeof(a));
	for (i = 0; i < n; i++) {
		ring[i] = rte_ring_create(unit_name(), 64, SOCKET_ID_ANY,
				RING_F_SP_ENQ | RING_F_SC_DEQ);
		assert_non_null(ring[i]);
	}
	for (i = 0; i < n; i++) {
		a[i].mp = mp;
		a[i].to = ring[i];
		a[i].from = ring[(i + 1) % n];
		a[i].rng = unit_seed + i;
		hand_init(&a[i].hand, 300);
		for (k = 0; k < RTE_DIM(a[i].view); k++)
			a[i].view[k] = unit_slot_pool(mp, (uint16_t)(100 * (k + 1)));
	}
	actors_run(a, n);
	for (i = 0; i < n; i++) {
		actor_pass(&a[i]);
		hand_fini(&a[i].hand);
	}
	for (i = 0; i < n; i++) {
		void *m;

		while (rte_ring_sc_dequeue(ring[i], &m) == 0)
			rte_pktmbuf_free(m);
		rte_ring_free(ring[i]);
		if (a[i].error != NULL)
			fail_msg("%s", a[i].error);
	}
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_saw_teeth),
	UNIT_TEST(test_first_try),
	UNIT_TEST(test_polled),
	UNIT_TEST(test_counts),
	UNIT_TEST(test_available),
	UNIT_TEST(test_one_of_each),
	UNIT_TEST(test_pages_taken),
	UNIT_TEST(test_pages_taken_company),
	UNIT_TEST(test_odd_pages),
	UNIT_TEST(test_large_pages),
	UNIT_TEST(test_flags),
	UNIT_TEST(test_cache),
	UNIT_TEST(test_actors),
};

UNIT_SUITE(slots_hard, "slots in exhausted pools, odd sizes, by several threads", tests);
