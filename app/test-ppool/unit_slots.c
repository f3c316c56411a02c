/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* Slots: size classes, their views, what comes back in bulks of all kinds. */

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <ppool_create.h>
#include <ppool_recover.h>
#include <ppool_slot.h>

#include "commands.h"
#include "unit.h"
#include "unit_child.h"

#define PAGES 64u
#define ROOM 16000u
#define HELD_MAX 4096u

static struct rte_mbuf *
slot_alloc(struct rte_mempool *mp, uint16_t room)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(unit_slot_pool(mp, room));

	assert_non_null(m);
	return m;
}

/* Classes */

static void
test_classes(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int i, n = unit_slot_classes(mp, c);
	struct ppool_layout layout;

	(void)state;
	assert_int_equal(ppool_layout_get(mp, &layout), 0);
	assert_int_equal(ppool_slot_classes_get(mp, NULL, 0), n);
	/* And what is left of its last cache line. */
	assert_in_range(c[0].room, 64, 64 + RTE_CACHE_LINE_SIZE - 1);
	for (i = 0; i < n; i++) {
		assert_true(c[i].slots * (c[i].truesize - 1) < layout.page_bytes);
		if (i > 0)
			assert_true(c[i].room > c[i - 1].room && c[i].slots < c[i - 1].slots);
	}
	assert_int_equal(c[n - 1].slots, 1);
	/* The smallest class that fits. */
	for (i = 0; i < n; i++) {
		assert_int_equal(rte_pktmbuf_data_room_size(unit_slot_pool(mp, c[i].room)),
				c[i].room + RTE_PKTMBUF_HEADROOM);
		assert_ptr_equal(unit_slot_pool(mp, c[i].room), unit_slot_pool(mp, c[i].room - 1));
		if (i > 0)
			assert_ptr_equal(unit_slot_pool(mp, c[i - 1].room + 1),
					unit_slot_pool(mp, c[i].room));
	}
	assert_null(ppool_slot_pool(mp, c[n - 1].room + 1));
	assert_int_equal(rte_errno, E2BIG);
}

/* Bytes that a class wastes on packets of one length, of what they need, in percent. */
static unsigned int
waste(const struct ppool_slot_class *c, unsigned int n, uint32_t len)
{
	uint32_t need = len + RTE_PKTMBUF_HEADROOM + sizeof(struct rte_mbuf) + PPOOL_FRONT;
	unsigned int i;

	for (i = 0; i < n && c[i].room < len; i++)
		;
	assert_true(i < n);
	return (c[i].truesize - need) * 100 / need;
}

static void
test_spacing(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	unsigned int n, sum = 0, worst = 0, len;
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];

	(void)state;
	n = unit_slot_classes(mp, c);
	for (len = 64; len <= 1518; len++) {
		sum += waste(c, n, len);
		worst = RTE_MAX(worst, waste(c, n, len));
	}
	print_message("waste for 64 to 1518 bytes: mean %u %%, worst %u %%\n", sum / 1455, worst);
	assert_true(sum / 1455 <= 12);
	assert_true(worst <= 31);
}

static void
test_errors(void **state)
{
	struct rte_mempool *stock = unit_stock_pool(15, 2048);
	struct ppool_slot_class c;

	(void)state;
	assert_null(ppool_slot_pool(stock, 64));
	assert_int_equal(rte_errno, ENOTSUP);
	assert_int_equal(ppool_slot_classes_get(stock, &c, 1), -ENOTSUP);
	assert_false(ppool_is_slot_pool(stock));
}

/* One mbuf */

static void
assert_slot(struct rte_mempool *mp, struct rte_mbuf *m, uint16_t room)
{
	const char *reason = NULL;

	if (rte_mbuf_check(m, 1, &reason) != 0)
		fail_msg("mbuf %p: %s", (void *)m, reason);
	assert_true(RTE_MBUF_DIRECT(m));
	assert_true(ppool_is_slot_pool(m->pool));
	assert_false(ppool_is_frag_pool(m->pool) || ppool_is_page_pool(m->pool));
	assert_int_equal(m->priv_size, rte_pktmbuf_priv_size(mp));
	assert_ptr_equal(m->buf_addr, (char *)(m + 1) + m->priv_size);
	assert_true(m->buf_len >= room + RTE_PKTMBUF_HEADROOM);
	assert_int_equal(m->data_off, RTE_PKTMBUF_HEADROOM);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	assert_int_equal(m->nb_segs, 1);
	assert_null(m->next);
	if (rte_eal_iova_mode() == RTE_IOVA_VA && rte_mempool_virt2iova(m) != RTE_BAD_IOVA)
		assert_int_equal(rte_mbuf_iova_get(m),
				rte_mempool_virt2iova(m) + sizeof(*m) + m->priv_size);
}

/* All slots of a page: they do not overlap, and their truesizes are the page. */
static void
page_exercise(struct rte_mempool *mp, const struct ppool_slot_class *c)
{
	struct rte_mbuf **m = calloc(c->slots, sizeof(*m));
	struct rte_mempool *view = unit_slot_pool(mp, c->room);
	struct ppool_layout layout;
	struct ppool_ledger l;
	size_t sum = 0;
	unsigned int i;

	assert_non_null(m);
	assert_int_equal(ppool_layout_get(mp, &layout), 0);
	assert_int_equal(rte_pktmbuf_alloc_bulk(view, m, c->slots), 0);
	for (i = 0; i < c->slots; i++) {
		assert_slot(mp, m[i], c->room);
		assert_int_equal(m[i]->buf_len, c->room + RTE_PKTMBUF_HEADROOM);
		unit_fill_buf(m[i], i);
		sum += ppool_mbuf_truesize(m[i]);
	}
	assert_int_equal(sum, layout.page_bytes);
	l = unit_ledger(mp);
	assert_int_equal(l.class_pages, 1);
	assert_int_equal(l.class_live, layout.page_bytes);
	assert_int_equal(l.class_slots, c->slots);
	assert_int_equal(rte_mempool_in_use_count(m[0]->pool), c->slots);
	for (i = 0; i < c->slots; i++)
		assert_true(unit_filled_buf(m[i], i));
	rte_pktmbuf_free_bulk(m, c->slots);
	assert_true(unit_pool_whole(mp));
	free(m);
}

static void
all_classes_exercise(uint16_t room, uint16_t priv)
{
	struct rte_mempool *mp = unit_pool(PAGES, room, 0, priv);
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int i, n = unit_slot_classes(mp, c);

	for (i = 0; i < n; i++)
		page_exercise(mp, &c[i]);
}

static void
test_pages(void **state)
{
	(void)state;
	all_classes_exercise(ROOM, 0);
	all_classes_exercise(ROOM, 64);
	all_classes_exercise(2176, 0);
	all_classes_exercise(RTE_MBUF_DEFAULT_BUF_SIZE, 8);
	all_classes_exercise(65535, 0);
}

/* The private area is as the application's initialiser left it. */
static void
test_private_area(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 32);
	struct rte_mbuf *whole, *m;
	unsigned int i;

	(void)state;
	for (i = 0; i < PAGES; i++) {
		whole = rte_pktmbuf_alloc(mp);
		assert_non_null(whole);
		memset(rte_mbuf_to_priv(whole), 0x5a, 32);
		rte_pktmbuf_free(whole);
	}
	m = slot_alloc(mp, 300);
	assert_int_equal(((uint8_t *)rte_mbuf_to_priv(m))[31], 0x5a);
	rte_pktmbuf_free(m);
}

/* Exhaustion */

static unsigned int
alloc_all(struct rte_mempool *view, struct rte_mbuf **m)
{
	unsigned int n = 0;

	while (n < HELD_MAX && (m[n] = rte_pktmbuf_alloc(view)) != NULL)
		n++;
	assert_true(n < HELD_MAX);
	return n;
}

static void
test_exhausted(void **state)
{
	struct rte_mbuf **m = calloc(HELD_MAX, sizeof(*m)), *one;
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int n;

	(void)state;
	assert_non_null(m);
	unit_slot_classes(mp, c);
	assert_int_equal(rte_mempool_avail_count(unit_slot_pool(mp, 64)), PAGES * c[0].slots);
	n = alloc_all(unit_slot_pool(mp, 64), m);
	assert_int_equal(n, PAGES * c[0].slots);
	assert_int_equal(rte_mempool_avail_count(unit_slot_pool(mp, 64)), 0);
	assert_null(rte_pktmbuf_alloc(unit_slot_pool(mp, 1000)));
	assert_null(rte_pktmbuf_alloc(mp));
	/* All or none. */
	rte_pktmbuf_free(m[--n]);
	assert_int_equal(rte_mempool_get_bulk(unit_slot_pool(mp, 64), (void **)&m[n], 2), -ENOBUFS);
	one = rte_pktmbuf_alloc(unit_slot_pool(mp, 64));
	assert_non_null(one);
	rte_pktmbuf_free(one);
	unit_ledger(mp);
	rte_pktmbuf_free_bulk(m, n);
	free(m);
}

/* An idle slot of a larger class serves where no page is free. */
static void
test_larger(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct rte_mbuf *big, *m[PAGES], *small;
	unsigned int n;

	(void)state;
	big = slot_alloc(mp, 1500);
	for (n = 0; n < PAGES - 1; n++) {
		m[n] = rte_pktmbuf_alloc(mp);
		assert_non_null(m[n]);
	}
	assert_null(rte_pktmbuf_alloc(mp));
	small = slot_alloc(mp, 64);
	assert_slot(mp, small, 1500);
	assert_ptr_equal(small->pool, big->pool);
	rte_pktmbuf_free(small);
	rte_pktmbuf_free(big);
	rte_pktmbuf_free_bulk(m, n);
}

/* Few of many are held: the others' places are used again, and pages empty. */
static void
test_few_held(void **state)
{
	struct rte_mbuf **m = calloc(HELD_MAX, sizeof(*m)), *held[PAGES];
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct rte_mempool *view = unit_slot_pool(mp, 500);
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int i, n, k = 0, turns;

	(void)state;
	assert_non_null(m);
	unit_slot_classes(mp, c);
	n = alloc_all(view, m);
	/* One of each page stays. */
	for (i = 0; i < n; i++)
		if (k < 8 && i % (n / PAGES) == 0)
			held[k++] = m[i];
		else
			rte_pktmbuf_free(m[i]);
	for (turns = 0; turns < 100; turns++) {
		for (i = 0; i < 100; i++) {
			m[i] = rte_pktmbuf_alloc(view);
			assert_non_null(m[i]);
		}
		assert_in_range(unit_ledger(mp).class_pages, 1, 8 + 8);
		rte_pktmbuf_free_bulk(m, 100);
	}
	rte_pktmbuf_free_bulk(held, k);
	free(m);
}

/* Bulks */

/* A slot, a frag or a page, now and then charged. */
static struct rte_mbuf *
any_alloc(struct rte_mempool *mp, struct ppool_carver *c, uint16_t account, uint64_t *rng)
{
	uint32_t len = unit_range(rng, 1, 2000);
	struct rte_mbuf *m;

	switch (unit_range(rng, 0, 7)) {
	case 0:
		m = rte_pktmbuf_alloc(ppool_frag_pool(mp));
		break;
	case 1:
	case 2:
		m = ppool_carve(c, len);
		break;
	default:
		m = rte_pktmbuf_alloc(unit_slot_pool(mp, (uint16_t)len));
	}
	if (m != NULL && unit_range(rng, 0, 2) == 0)
		assert_int_equal(ppool_account_charge(account, &m, 1), 1);
	return m;
}

/* As transmit functions do that take all mbufs for those of one pool. */
static void
test_mixed(void **state)
{
	struct rte_mempool *mp = unit_pool(2 * PAGES, ROOM, 0, 0), *into[3];
	struct ppool_carver *c = unit_carver(mp, 2000, 1);
	uint16_t account = unit_account(UINT64_MAX);
	uint64_t rng = unit_seed;
	struct rte_mbuf *m[96];
	unsigned int turn, i;

	(void)state;
	into[0] = ppool_frag_pool(mp);
	into[1] = unit_slot_pool(mp, 100);
	m[0] = slot_alloc(mp, 64);
	into[2] = m[0]->pool;
	rte_pktmbuf_free(m[0]);
	for (turn = 0; turn < 300; turn++) {
		for (i = 0; i < RTE_DIM(m); i++) {
			m[i] = any_alloc(mp, c, account, &rng);
			if (m[i] == NULL)
				break;
		}
		unit_put_bulk(into[turn % 3], (void **)m, i);
		assert_int_equal(ppool_account_used(account), 0);
		unit_ledger(mp);
	}
}

/* What applications do to direct mbufs */

static void
test_clones(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct rte_mbuf *m = slot_alloc(mp, 1000), *clone, *copy, *indirect = slot_alloc(mp, 2000);
	uint16_t buf_len = indirect->buf_len;

	(void)state;
	assert_non_null(rte_pktmbuf_append(m, 1000));
	unit_fill_data(m, 1);
	clone = rte_pktmbuf_clone(m, m->pool);
	copy = rte_pktmbuf_copy(m, unit_slot_pool(mp, 1000), 0, UINT32_MAX);
	assert_non_null(clone);
	assert_non_null(copy);
	assert_int_equal(copy->nb_segs, 1);
	/* A slot that was attached gets its own length back when it is free. */
	rte_pktmbuf_attach(indirect, m);
	assert_int_equal(rte_mbuf_refcnt_read(m), 3);
	rte_pktmbuf_free(m);
	assert_true(unit_filled_data(clone, 1));
	rte_pktmbuf_free(clone);
	rte_pktmbuf_free(indirect);
	m = slot_alloc(mp, 2000);
	assert_ptr_equal(m, indirect);
	assert_slot(mp, m, 2000);
	assert_int_equal(m->buf_len, buf_len);
	assert_true(unit_filled_data(copy, 1));
	rte_pktmbuf_free(copy);
	rte_pktmbuf_free(m);
}

static void
test_charged(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	uint16_t a = unit_account(UINT64_MAX), b = unit_account(UINT64_MAX);
	uint64_t frags, bytes, sum = 0;
	struct rte_mbuf *m[40];
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(m); i++) {
		m[i] = slot_alloc(mp, (uint16_t)(i * 40));
		sum += ppool_mbuf_truesize(m[i]);
	}
	assert_int_equal(ppool_account_charge(a, m, RTE_DIM(m)), RTE_DIM(m));
	assert_int_equal(ppool_account_used(a), sum);
	assert_int_equal(ppool_account_of(m[7]), a);
	assert_int_equal(ppool_account_frags_get(a, &frags, &bytes), 0);
	assert_int_equal(frags, RTE_DIM(m));
	assert_int_equal(bytes, sum);
	assert_int_equal(ppool_account_move(a, b, m, RTE_DIM(m)), RTE_DIM(m));
	assert_int_equal(ppool_account_used(a), 0);
	assert_int_equal(ppool_account_used(b), sum);
	assert_int_equal(ppool_account_uncharge(b, m, 10), 10);
	rte_pktmbuf_free_bulk(m, 20);
	for (i = 20; i < RTE_DIM(m); i++)
		rte_pktmbuf_free(m[i]);
	assert_int_equal(ppool_account_used(b), 0);
}

/* Several threads */

struct hand {
	struct rte_mempool *mp;
	struct rte_ring *to, *from;
	uint64_t rng;
	const char *error;
};

#define HAND_TURNS 20000u

static void
hand_verify(struct hand *h, struct rte_mbuf *m)
{
	uint64_t tag = (uintptr_t)m;

	if (!unit_filled(rte_pktmbuf_mtod(m, void *), m->data_len, tag))
		h->error = "a packet was overwritten";
	rte_pktmbuf_free(m);
}

/* Allocates slots of all sizes, and frees some of its own and some of another thread's. */
static int
hand_run(void *arg)
{
	struct hand *h = arg;
	struct rte_mbuf *m;
	unsigned int i;
	uint16_t len;
	void *got;

	for (i = 0; i < HAND_TURNS && h->error == NULL; i++) {
		len = (uint16_t)unit_range(&h->rng, 8, 2000);
		m = rte_pktmbuf_alloc(ppool_slot_pool(h->mp, len));
		if (m != NULL) {
			unit_fill(rte_pktmbuf_append(m, len), len, (uintptr_t)m);
			if (unit_range(&h->rng, 0, 1) == 0 || rte_ring_enqueue(h->to, m) != 0)
				hand_verify(h, m);
		}
		if (rte_ring_dequeue(h->from, &got) == 0)
			hand_verify(h, got);
	}
	return h->error != NULL;
}

static void *
hand_thread(void *arg)
{
	hand_run(arg);
	return NULL;
}

/* An lcore and a thread that is none hand each other what they free. */
static void
test_hands(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct rte_ring *ring[2];
	struct hand h[2];
	pthread_t thread;
	unsigned int i;
	void *m;

	(void)state;
	for (i = 0; i < 2; i++) {
		ring[i] = rte_ring_create(unit_name(), 64, SOCKET_ID_ANY,
				RING_F_SP_ENQ | RING_F_SC_DEQ);
		assert_non_null(ring[i]);
	}
	for (i = 0; i < 2; i++)
		h[i] = (struct hand){
			.mp = mp, .to = ring[i], .from = ring[1 - i], .rng = unit_seed + i
		};
	assert_int_equal(pthread_create(&thread, NULL, hand_thread, &h[1]), 0);
	hand_run(&h[0]);
	pthread_join(thread, NULL);
	for (i = 0; i < 2; i++) {
		while (rte_ring_dequeue(ring[i], &m) == 0)
			hand_verify(&h[0], m);
		rte_ring_free(ring[i]);
		if (h[i].error != NULL)
			fail_msg("%s", h[i].error);
	}
}

/* Several processes */

#define CLONES 40u

/*
 * Clone a packet of a pool without a private area into all that there is, and keep pages that are
 * cloned, too: then this process ends.
 */
static int
clones_hold(struct rte_mempool *mp, struct rte_mempool *other)
{
	struct rte_mempool *view = ppool_slot_pool(mp, 500);
	struct rte_mbuf *m = rte_pktmbuf_alloc(other), *page = rte_pktmbuf_alloc(mp);
	unsigned int i;

	if (m == NULL || page == NULL)
		return EXIT_FAILURE;
	for (i = 0; i < CLONES; i++)
		if (rte_pktmbuf_clone(m, view) == NULL)
			return EXIT_FAILURE;
	if (rte_pktmbuf_clone(page, view) == NULL || rte_pktmbuf_clone(m, mp) == NULL)
		return EXIT_FAILURE;
	_exit(EXIT_SUCCESS);
}

static int
slots_run(char **args)
{
	struct rte_mempool *mp = rte_mempool_lookup(args[1]);
	struct rte_mbuf *m;
	unsigned int i;

	if (mp == NULL || ppool_attach(mp) != 0)
		return EXIT_FAILURE;
	if (args[0][0] == 'c')
		return clones_hold(mp, rte_mempool_lookup(args[2]));
	for (i = 0; i < 200; i++) {
		m = rte_pktmbuf_alloc(ppool_slot_pool(mp, (uint16_t)(i * 10)));
		if (m == NULL)
			return EXIT_FAILURE;
		if (args[0][0] == 'f')
			rte_pktmbuf_free(m);
	}
	_exit(EXIT_SUCCESS);
}

static const struct opt slots_opts[] = { { .name = NULL } };

const struct command cmd_unit_slots = {
	.name = "unit-slots",
	.synopsis = "free|hold|clones POOL [POOL]",
	.help = "the secondary process of the unit suite 'slots'",
	.opts = slots_opts,
	.max_args = 3,
	.hidden = true,
	.run = slots_run,
};

/* What a process held that has ended is taken back; what others hold stays. */
static void
child_ends(const char *what, uint64_t slots)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct ppool_recovered r = { .frags = 0 };
	struct rte_mbuf *mine[2];

	unit_forgive_heap();
	mine[0] = slot_alloc(mp, 100);
	mine[1] = slot_alloc(mp, 1400);
	assert_int_equal(unit_child_wait(unit_child_start(UNIT_SELF, unit_free_lcore(),
					 (const char * const[]){
							 "unit-slots", what, mp->name, NULL })),
			0);
	assert_int_equal(unit_recover_dead(mp, &r), 1);
	assert_int_equal(r.slots, slots);
	unit_ledger(mp);
	rte_pktmbuf_free_bulk(mine, 2);
}

static void
test_child_frees(void **state)
{
	(void)state;
	unit_require_secondary();
	child_ends("free", 0);
}

static void
test_child_holds(void **state)
{
	(void)state;
	unit_require_secondary();
	child_ends("hold", 200);
}

/* All mbufs of a pool are as they were made. */
static void
assert_as_made(struct rte_mempool *pool, struct rte_mempool *mp, unsigned int n)
{
	struct rte_mbuf *m[PAGES * 64];
	unsigned int i;

	assert_true(n <= RTE_DIM(m));
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, m, n), 0);
	for (i = 0; i < n; i++) {
		assert_int_equal(rte_mbuf_refcnt_read(m[i]), 1);
		assert_int_equal(m[i]->priv_size, rte_pktmbuf_priv_size(mp));
		assert_ptr_equal(m[i]->buf_addr,
				RTE_PTR_ADD(m[i], sizeof(*m[0]) + m[i]->priv_size));
		assert_true(m[i]->buf_len >= rte_pktmbuf_data_room_size(pool));
		assert_true(RTE_MBUF_DIRECT(m[i]));
	}
	rte_pktmbuf_free_bulk(m, n);
}

/*
 * What held clones when its process ended is a direct mbuf again, with its own private area: else
 * a clone of it would take another place for the mbuf that it is a clone of.
 */
static void
test_child_clones(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 64);
	struct rte_mempool *other = unit_pool(8, 2176, 0, 0);
	struct ppool_recovered r = { .frags = 0 };

	(void)state;
	unit_require_secondary();
	unit_forgive_heap();
	assert_non_null(unit_slot_pool(other, 100));
	assert_int_equal(unit_child_wait(unit_child_start(UNIT_SELF, unit_free_lcore(),
					 (const char * const[]){ "unit-slots", "clones", mp->name,
							 other->name, NULL })),
			0);
	assert_int_equal(unit_recover_dead(mp, &r), 1);
	unit_recover_dead(other, &r);
	assert_int_equal(r.slots, CLONES + 1);
	assert_int_equal(r.pages, 3);
	unit_ledger(mp);
	assert_as_made(unit_slot_pool(mp, 500), mp, CLONES + 1);
	assert_as_made(mp, mp, PAGES);
	assert_as_made(other, other, 8);
}

/* Records lie in memory that a back end may share */

static void
scribble(struct rte_mbuf *m, unsigned int which, uint64_t *rng)
{
	struct ppool_frag *record = ppool_frag_of(m);
	uint32_t value = (uint32_t)unit_random(rng);

	if (which == 0)
		record->page = value;
	else if (which == 1)
		record->header_page = value;
	else if (which == 2)
		record->account = (uint16_t)value;
	else if (which == 3)
		record->account = (uint16_t)(value | PPOOL_RECORD_SLOT);
	else
		record->next_idle = value;
}

/* Whatever is written to records of mbufs in use: no index leads out of the pool. */
static void
test_scribbled(void **state)
{
	struct rte_mempool *mp = unit_pool(2 * PAGES, ROOM, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 2000, 1);
	uint64_t rng = unit_seed;
	struct rte_mbuf *m[400];
	unsigned int i, n;

	(void)state;
	unit_require(!unit_debug_build(), "a library built without -Dppool_debug=true");
	for (n = 0; n < RTE_DIM(m); n++) {
		m[n] = n % 2 == 0 ? ppool_carve(c, 500) : slot_alloc(mp, (uint16_t)(n * 4));
		assert_non_null(m[n]);
	}
	unit_carver_free(c);
	for (i = 0; i < n; i++)
		scribble(m[i], i / 2 % 5, &rng);
	for (i = 0; i < n; i += 8)
		rte_pktmbuf_free_bulk(m + i, 8);
	/* Lists of all lcores meet the depot. */
	while (rte_pktmbuf_alloc(unit_slot_pool(mp, 64)) != NULL)
		;
	unit_unregister(mp);
	rte_mempool_free(mp);
}

/* Free all but one slot of each page, so that the others stay in the depot. Returns how many. */
static unsigned int
free_most(const struct rte_mempool *mp, struct rte_mbuf **m, unsigned int n)
{
	bool *seen = calloc(mp->size, sizeof(*seen)), *page;
	unsigned int i, freed = 0;
	struct rte_mbuf *kept;

	assert_non_null(seen);
	for (i = 0; i < n; i++) {
		page = &seen[ppool_frag_of(m[i])->header_page];
		if (*page) {
			*(char *)m[i]->buf_addr = 0;
			kept = m[freed];
			m[freed++] = m[i];
			m[i] = kept;
		}
		*page = true;
	}
	rte_pktmbuf_free_bulk(m, freed);
	free(seen);
	return freed;
}

static void
scribble_links(struct rte_mbuf **m, unsigned int n, uint64_t *rng)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		ppool_frag_of(m[i])->next_idle = (uint32_t)unit_random(rng) >> i % 32;
}

/* Whatever is written to links of idle slots: none is handed out twice, and none is lost. */
static void
test_scribbled_idle(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0), *view = unit_slot_pool(mp, 64);
	struct rte_mbuf **m = calloc(HELD_MAX, sizeof(*m)), *one;
	unsigned int n = alloc_all(view, m), freed, got = 0;
	uint64_t rng = unit_seed;

	(void)state;
	freed = free_most(mp, m, n);
	assert_true(freed > n / 2);
	scribble_links(m, freed, &rng);
	while ((one = rte_pktmbuf_alloc(view)) != NULL) {
		assert_int_not_equal(*(char *)one->buf_addr, 1);
		*(char *)one->buf_addr = 1;
		m[got++] = one;
	}
	assert_int_equal(got, freed);
	assert_int_equal(free_most(mp, m, n), freed);
	scribble_links(m, freed, &rng);
	assert_int_equal(ppool_recover_rest(mp, NULL), 0);
	unit_ledger(mp);
	rte_pktmbuf_free_bulk(m + freed, n - freed);
	free(m);
}

/* For language bindings */

static void
test_get_bulk(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, ROOM, 0, 0);
	struct rte_mempool *view = unit_slot_pool(mp, 570);
	unsigned int i, n = rte_mempool_avail_count(view);
	struct rte_mbuf **m = calloc(n + 1, sizeof(*m));

	(void)state;
	assert_non_null(m);
	assert_true(n > PAGES);
	assert_true(ppool_slot_get_bulk(view, m, n + 1) < 0);
	assert_int_equal(unit_ledger(mp).class_slots, 0);
	assert_int_equal(ppool_slot_get_bulk(view, m, n), 0);
	assert_int_equal(unit_ledger(mp).class_slots, n);
	for (i = 0; i < n; i++) {
		assert_int_equal(m[i]->pkt_len, 0);
		assert_int_equal(m[i]->data_off, RTE_PKTMBUF_HEADROOM);
		assert_true(rte_pktmbuf_tailroom(m[i]) >= 570);
	}
	assert_true(ppool_slot_get_bulk(view, m + n, 1) < 0);
	rte_pktmbuf_free_bulk(m, n);
	free(m);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_classes),
	UNIT_TEST(test_spacing),
	UNIT_TEST(test_errors),
	UNIT_TEST(test_pages),
	UNIT_TEST(test_private_area),
	UNIT_TEST(test_exhausted),
	UNIT_TEST(test_larger),
	UNIT_TEST(test_few_held),
	UNIT_TEST(test_mixed),
	UNIT_TEST(test_clones),
	UNIT_TEST(test_charged),
	UNIT_TEST(test_hands),
	UNIT_TEST(test_scribbled),
	UNIT_TEST(test_scribbled_idle),
	UNIT_TEST(test_child_frees),
	UNIT_TEST(test_child_holds),
	UNIT_TEST(test_child_clones),
	UNIT_TEST(test_get_bulk),
};

UNIT_SUITE(slots, "slots of all size classes", tests);
