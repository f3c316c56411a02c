/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include <rte_launch.h>
#include <rte_ring.h>

#include "unit.h"
#include "unit_child.h"

/*
 * Lcores and other threads allocate, free and pass mbufs to each other by plans that a seed
 * repeats. Every mbuf carries a pattern that whoever frees it verifies. The ledger is checked when
 * all have come to an end.
 */

#define ACTORS_MAX 16
#define THREADS 2 /* that are no lcores */
#define MINE_MAX 256
/* A thread sanitizer takes ten times as long. */
#define STEPS (UNIT_TSAN ? 1500u : 6000u)

struct world {
	struct rte_mempool *mp, *frag_pool, *clones;
	struct rte_ring *ring;
	uint32_t max_len;
	uint32_t room;      /* of a page */
	unsigned int start; /* actors that are ready */
	unsigned int actors;
	unsigned int done; /* actors that have come to their end */
};

struct actor {
	struct world *w;
	struct ppool_carver *c;
	uint64_t rng;
	unsigned int n;
	struct rte_mbuf *mine[MINE_MAX];
	uint64_t steps, made, freed; /* for the summary */
	const char *error;
};

/* The pattern's tag travels in the mbuf's data, which holds at least that. */
#define LEN_MIN 16u

static void
sign(struct actor *a, struct rte_mbuf *m, uint32_t len)
{
	uint64_t tag = unit_random(&a->rng);
	char *data = rte_pktmbuf_append(m, (uint16_t)len);

	if (data == NULL) {
		a->error = "too little tailroom";
		return;
	}
	memcpy(data, &tag, sizeof(tag));
	unit_fill(data + sizeof(tag), len - sizeof(tag), tag);
	a->mine[a->n++] = m;
	a->made++;
}

static void
verify(struct actor *a, const struct rte_mbuf *m)
{
	const char *data = rte_pktmbuf_mtod(m, const char *);
	uint64_t tag;

	memcpy(&tag, data, sizeof(tag));
	if (m->nb_segs != 1 || m->data_len < LEN_MIN || m->data_len != m->pkt_len)
		a->error = "a header was overwritten";
	else if (!unit_filled(data + sizeof(tag), m->data_len - sizeof(tag), tag))
		a->error = "a frag was overwritten";
}

/*
 * As rte_pktmbuf_free_bulk(). That is part of DPDK, and a thread sanitizer does not see how it
 * counts.
 */
static void
free_bulk(struct actor *a, struct rte_mbuf **m, unsigned int n)
{
	unsigned int i;

	a->freed += n;
	if (UNIT_TSAN || unit_range(&a->rng, 0, 1) == 0)
		for (i = 0; i < n; i++)
			rte_pktmbuf_free(m[i]);
	else
		rte_pktmbuf_free_bulk(m, n);
}

static void
step_carve(struct actor *a)
{
	uint32_t len[32];
	struct rte_mbuf *m[32];
	unsigned int i, n = unit_range(&a->rng, 1, 32);

	if (a->c == NULL)
		return;
	n = RTE_MIN(n, MINE_MAX - a->n);
	for (i = 0; i < n; i++)
		len[i] = unit_range(&a->rng, LEN_MIN, a->w->max_len);
	if (unit_range(&a->rng, 0, 3) == 0)
		n = ppool_carve_bulk(a->c, m, len, n) == 0 ? n : 0;
	else
		n = ppool_carve_burst(a->c, m, len, n);
	for (i = 0; i < n; i++)
		sign(a, m[i], len[i]);
}

/* As a driver does, in any lane. */
static void
step_lanes(struct actor *a)
{
	struct rte_mbuf *m[32];
	unsigned int i, n, done = 0, want = unit_range(&a->rng, 1, 32);
	struct ppool_buf buf;

	if (a->c == NULL)
		return;
	n = ppool_headers_get(a->c, m, RTE_MIN(want, MINE_MAX - a->n));
	for (i = 0; i < n; i++) {
		uint16_t lane = (uint16_t)unit_range(&a->rng, 0, a->c->nb_lanes - 1);
		uint32_t len = unit_range(&a->rng, LEN_MIN, a->w->max_len);

		if (ppool_reserve(a->c, lane, &buf) != 0)
			break;
		if (buf.len > a->w->room || buf.len < RTE_PKTMBUF_HEADROOM + len)
			a->error = "a buffer that is no room of a page";
		ppool_commit(a->c, lane, m[i], len);
		rte_pktmbuf_trim(m[i], (uint16_t)len);
		sign(a, m[i], len);
		done++;
	}
	ppool_headers_put(a->c, m + done, n - done);
}

/*
 * Another carver takes the place of this one, which leaves reserved buffers behind. Where pages
 * are scarce there may be none for a while.
 */
static void
step_renew(struct actor *a)
{
	struct ppool_carver_conf conf = {
		.max_len = a->w->max_len,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = (uint16_t)unit_range(&a->rng, 1, 4),
		.port = RTE_MBUF_PORT_INVALID,
		.socket_id = SOCKET_ID_ANY,
	};
	struct ppool_buf buf;
	uint16_t lane;

	for (lane = 0; a->c != NULL && lane < a->c->nb_lanes; lane++)
		ppool_reserve(a->c, lane, &buf);
	ppool_carver_free(a->c);
	a->c = ppool_carver_create(a->w->mp, &conf);
	if (a->c == NULL && rte_errno != ENOMEM)
		a->error = "no carver, but for want of memory";
}

/* Whole objects and mono-frags. */
static void
step_alloc(struct actor *a)
{
	struct rte_mempool *mp = unit_range(&a->rng, 0, 1) == 0 ? a->w->mp : a->w->frag_pool;
	struct rte_mbuf *m[8];
	unsigned int i, n = RTE_MIN(unit_range(&a->rng, 1, 8), MINE_MAX - a->n);

	if (rte_pktmbuf_alloc_bulk(mp, m, n) != 0)
		return;
	for (i = 0; i < n; i++)
		sign(a, m[i], LEN_MIN + 8 * i);
}

/* The clone takes the original's place; which of them is freed last is left to chance. */
static void
step_clone(struct actor *a)
{
	struct rte_mbuf *m, *clone;

	if (a->n == 0)
		return;
	m = a->mine[unit_range(&a->rng, 0, a->n - 1)];
	if (a->w->clones == NULL)
		return;
	/* An object's own count is read without ordering, and not by this library. */
	if (UNIT_TSAN && !RTE_MBUF_HAS_EXTBUF(m))
		return;
	clone = rte_pktmbuf_clone(m, a->w->clones);
	if (clone == NULL)
		return;
	if (a->n < MINE_MAX)
		a->mine[a->n++] = clone;
	else
		rte_pktmbuf_free(clone);
}

static void
step_free(struct actor *a)
{
	unsigned int i, n;

	if (a->n == 0)
		return;
	unit_shuffle((void **)a->mine, a->n, &a->rng);
	n = unit_range(&a->rng, 1, a->n);
	a->n -= n;
	for (i = 0; i < n; i++)
		verify(a, a->mine[a->n + i]);
	free_bulk(a, a->mine + a->n, n);
}

static void
step_give(struct actor *a)
{
	unsigned int i, n = RTE_MIN(a->n, unit_range(&a->rng, 1, 64));

	for (i = 1; i <= n; i++)
		UNIT_TSAN_RELEASE(a->mine[a->n - i]);
	n = rte_ring_enqueue_bulk(a->w->ring, (void **)(a->mine + a->n - n), n, NULL);
	a->n -= n;
}

static void
step_take(struct actor *a)
{
	unsigned int i, n;

	n = rte_ring_dequeue_burst(a->w->ring, (void **)(a->mine + a->n),
			RTE_MIN(MINE_MAX - a->n, 64u), NULL);
	for (i = 0; i < n; i++) {
		UNIT_TSAN_ACQUIRE(a->mine[a->n + i]);
		verify(a, a->mine[a->n + i]);
	}
	a->n += n;
}

static int
act(void *arg)
{
	static void (* const steps[])(struct actor *) = {
		step_carve,
		step_carve,
		step_lanes,
		step_lanes,
		step_alloc,
		step_clone,
		step_free,
		step_free,
		step_give,
		step_give,
		step_take,
		step_take,
		step_renew,
	};
	struct actor *a = arg;
	unsigned int i;

	__atomic_fetch_add(&a->w->start, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&a->w->start, __ATOMIC_ACQUIRE) < a->w->actors)
		sched_yield();
	for (i = 0; i < STEPS && a->error == NULL; i++)
		steps[unit_range(&a->rng, 0, RTE_DIM(steps) - 1)](a);
	a->steps = i;
	free_bulk(a, a->mine, a->n);
	ppool_carver_free(a->c);
	__atomic_fetch_add(&a->w->done, 1, __ATOMIC_RELEASE);
	return a->error == NULL ? 0 : -1;
}

static void *
act_thread(void *arg)
{
	act(arg);
	return NULL;
}

static void
run_actors(struct actor *a, unsigned int workers)
{
	pthread_t thread[THREADS];
	unsigned int i = 0, id, t;

	for (t = 0; t < THREADS; t++)
		assert_int_equal(pthread_create(&thread[t], NULL, act_thread, &a[i++]), 0);
	RTE_LCORE_FOREACH_WORKER(id) {
		if (workers-- == 0)
			break;
		assert_int_equal(rte_eal_remote_launch(act, &a[i++], id), 0);
	}
	act(&a[i]);
	rte_eal_mp_wait_lcore();
	for (t = 0; t < THREADS; t++)
		pthread_join(thread[t], NULL);
	assert_int_equal(__atomic_load_n(&a->w->done, __ATOMIC_ACQUIRE), a->w->actors);
}

static void
drain(struct rte_ring *ring)
{
	void *m;

	while (rte_ring_dequeue(ring, &m) == 0) {
		UNIT_TSAN_ACQUIRE(m);
		rte_pktmbuf_free(m);
	}
}

/* No frag was ever written over the mbuf of an ordinary object, or in front of it. */
static void
check_object(struct rte_mempool *mp, void *arg, void *obj, unsigned int i)
{
	const struct rte_mbuf *m = obj;
	unsigned int *intact = arg;

	(void)i;
	*intact += rte_mempool_from_obj(obj) == mp && m->pool == mp &&
			m->buf_addr == (const char *)obj + sizeof(*m) &&
			m->buf_len == rte_pktmbuf_data_room_size(mp) && m->priv_size == 0 &&
			rte_mbuf_refcnt_read(m) == 1 && m->next == NULL && m->nb_segs == 1;
}

const char *
unit_stress(const struct unit_stress *conf)
{
	unsigned int i, workers = RTE_MIN(unit_workers(), ACTORS_MAX - THREADS - 1u);
	struct world w = {
		.mp = conf->mp,
		.frag_pool = ppool_frag_pool(conf->mp),
		.clones = conf->clones,
		.ring = conf->ring,
		.max_len = conf->max_len,
		.actors = conf->alone ? 1 : workers + THREADS + 1,
	};
	struct actor *a = calloc(ACTORS_MAX, sizeof(*a));
	uint64_t steps = 0, made = 0, freed = 0;
	const char *error = NULL;
	struct ppool_layout layout;

	if (a == NULL || ppool_layout_get(w.mp, &layout) != 0) {
		free(a);
		return "no memory, or no page pool";
	}
	w.room = layout.room_bytes;
	for (i = 0; i < w.actors; i++) {
		a[i].w = &w;
		a[i].rng = conf->seed + i;
		step_renew(&a[i]);
	}
	if (conf->alone)
		act(&a[0]);
	else
		run_actors(a, workers);
	for (i = 0; i < w.actors; i++) {
		error = a[i].error != NULL ? a[i].error : error;
		steps += a[i].steps;
		made += a[i].made;
		freed += a[i].freed;
	}
	free(a);
	printf("%u actors took %" PRIu64 " steps: made %" PRIu64 " mbufs, freed %" PRIu64
	       " mbufs and clones, %" PRIu64 " allocations found no page\n",
			w.actors, steps, made, freed, unit_stats(w.mp).page_empty);
	return error;
}

void
unit_stress_end(struct rte_mempool *mp, struct rte_ring *ring)
{
	unsigned int intact = 0;

	drain(ring);
	rte_ring_free(ring);
	assert_int_equal(unit_ledger(mp).frags, 0);
	assert_int_equal(unit_ledger(mp).whole, 0);
	assert_int_equal(rte_mempool_avail_count(mp), mp->size);
	assert_int_equal(rte_mempool_obj_iter(mp, check_object, &intact), mp->size);
	assert_int_equal(intact, mp->size);
}

static void
exercise(unsigned int pages, uint16_t room, unsigned int cache, uint32_t max_len)
{
	struct unit_stress s = { .max_len = max_len, .seed = unit_seed };
	const char *error;

	s.mp = unit_pool(pages, room, cache, 0);
	/* A thread sanitizer does not see what orders the stock one. */
	s.clones = UNIT_TSAN ? unit_pool(4095, 128, 0, 0) : unit_stock_pool(4095, 128);
	s.ring = rte_ring_create(unit_name(), UNIT_STRESS_RING, SOCKET_ID_ANY, 0);
	assert_non_null(s.ring);
	error = unit_stress(&s);
	if (error != NULL)
		fail_msg("%s; --seed %" PRIu64 " repeats it", error, unit_seed);
	unit_stress_end(s.mp, s.ring);
}

/* Plenty of pages. */
static void
test_plenty(void **state)
{
	(void)state;
	exercise(8000, 2304, 0, 1500);
}

/* Mempool caches in front of the pool. */
static void
test_caches(void **state)
{
	(void)state;
	exercise(8000, 2304, 64, 1500);
}

/* Pages run out all the time. */
static void
test_scarce(void **state)
{
	(void)state;
	exercise(120, 2304, 0, 1500);
}

/* Large pages, many frags in each. */
static void
test_large_pages(void **state)
{
	(void)state;
	exercise(400, 16384, 0, 1500);
}

static void
test_large_pages_scarce(void **state)
{
	(void)state;
	exercise(40, UINT16_MAX, 8, 9000);
}

/* Short-lived threads that are no lcores. */

struct visit {
	struct rte_mempool *mp;
	struct ppool_carver *c;
	struct rte_mbuf *m[64];
};

static int
visit(void *arg)
{
	struct visit *v = arg;
	unsigned int i;

	rte_pktmbuf_free_bulk(v->m, 32);
	for (i = 0; i < 32; i++) {
		v->m[i] = ppool_carve(v->c, 100 + i);
		if (v->m[i] == NULL)
			return -1;
	}
	return 0;
}

static void
test_short_lived(void **state)
{
	struct visit v = { .mp = unit_pool(200, 4096, 0, 0) };
	unsigned int i;

	(void)state;
	v.c = unit_carver(v.mp, 1000, 1);
	for (i = 0; i < RTE_DIM(v.m); i++)
		v.m[i] = ppool_carve(v.c, 100);
	for (i = 0; i < 100; i++) {
		assert_int_equal(unit_on_thread(visit, &v), 0);
		unit_assert_charged(v.mp, v.m, RTE_DIM(v.m));
	}
	rte_pktmbuf_free_bulk(v.m, RTE_DIM(v.m));
}

/* Threads that become lcores, and end */

#define GUESTS 100u
#define GUEST_SLOTS 40u
#define GUEST_KEEPS 10u

struct guest {
	struct rte_mempool *view;
	struct rte_mbuf *kept[GUESTS * GUEST_KEEPS];
	unsigned int n;
	unsigned int lcore;
};

/* Is an lcore for a while. Some of its slots wait in its lists then, others stay in use. */
static void *
guest_run(void *arg)
{
	struct guest *g = arg;
	struct rte_mbuf *m[GUEST_SLOTS];

	if (rte_thread_register() != 0)
		return NULL;
	g->lcore = rte_lcore_id();
	if (rte_pktmbuf_alloc_bulk(g->view, m, GUEST_SLOTS) == 0) {
		memcpy(&g->kept[g->n], m, GUEST_KEEPS * sizeof(m[0]));
		g->n += GUEST_KEEPS;
		rte_pktmbuf_free_bulk(m + GUEST_KEEPS, GUEST_SLOTS - GUEST_KEEPS);
	}
	rte_thread_unregister();
	return arg;
}

/*
 * One after another they get the same number of an lcore. What the ones before have left is not
 * lost, and what they hold is anybody's to free.
 */
static void
test_registered(void **state)
{
	struct rte_mempool *mp;
	struct guest *g;
	unsigned int i, all;
	pthread_t thread;
	void *done;

	(void)state;
	unit_require_alone();
	mp = unit_pool(200, 16000, 0, 0);
	g = calloc(1, sizeof(*g));
	assert_non_null(g);
	g->view = unit_slot_pool(mp, 1500);
	all = rte_mempool_avail_count(g->view);
	for (i = 1; i <= GUESTS; i++) {
		assert_int_equal(pthread_create(&thread, NULL, guest_run, g), 0);
		assert_int_equal(pthread_join(thread, &done), 0);
		assert_non_null(done);
		assert_false(rte_lcore_is_enabled(g->lcore));
		assert_int_equal(g->n, i * GUEST_KEEPS);
		unit_ledger(mp);
		assert_true(rte_mempool_avail_count(g->view) <= all - g->n);
	}
	rte_pktmbuf_free_bulk(g->kept, g->n);
	assert_int_equal(rte_mempool_avail_count(g->view), all);
	free(g);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_plenty),
	UNIT_TEST(test_caches),
	UNIT_TEST(test_scarce),
	UNIT_TEST(test_large_pages),
	UNIT_TEST(test_large_pages_scarce),
	UNIT_TEST(test_short_lived),
	UNIT_TEST(test_registered),
};

UNIT_SUITE(threads, "lcores and other threads at once, by a seeded plan", tests);
