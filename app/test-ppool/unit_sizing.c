/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* Whether sizes predicted for pools of slots are those of real pools. */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include <rte_ether.h>
#include <rte_log.h>
#include <rte_memory.h>

#include <ppool_create.h>
#include <ppool_sizing.h>

#include "longhold_load.h"
#include "pool.h"
#include "unit.h"

#define BURST 32u
#define LCORES_MAX 4u
#define MIX_MAX 16u
#define FRAME_MAX (RTE_ETHER_MTU + 22u)

static const struct ppool_size_mix small[] = { { 64, 1 } };
static const struct ppool_size_mix imix[] = { { 64, 7 }, { 570, 4 }, { 1518, 1 } };
static const struct ppool_size_mix many[] = {
	{ 60, 3 },
	{ 128, 1 },
	{ 200, 1 },
	{ 333, 2 },
	{ 512, 1 },
	{ 640, 1 },
	{ 1024, 1 },
	{ 1514, 4 },
};

#define MIX(m) .mix = (m), .nb_mix = RTE_DIM(m)

/* Slots for IMIX, on one lcore. */
static struct ppool_size_conf
conf_of(uint32_t page_size, uint32_t ring, uint64_t packets)
{
	struct ppool_size_conf conf = {
		.ports = 1,
		.queues = 1,
		.rx_desc = ring,
		.lcores = 1,
		.mtu = RTE_ETHER_MTU,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.packets = packets,
		.one_in = 1,
		.page_size = page_size,
		.slots = true,
		MIX(imix),
	};

	return conf;
}

/* Errors */

/* Silent, as the messages are expected. */
static int
estimate(const struct ppool_size_conf *conf)
{
	uint32_t level = rte_log_get_global_level();
	struct ppool_size size;
	int ret;

	rte_log_set_global_level(RTE_LOG_CRIT);
	ret = ppool_size_estimate(conf, &size);
	rte_log_set_global_level(level);
	return ret;
}

static int
estimate_hold(double share, double lifetime)
{
	const struct ppool_size_hold hold[] = { { 50, 100 }, { share, lifetime } };
	struct ppool_size_conf conf = conf_of(16384, 256, 0);

	conf.hold = hold;
	conf.nb_hold = RTE_DIM(hold);
	return estimate(&conf);
}

static void
test_errors(void **state)
{
	const struct ppool_size_hold hold = { 5, 1000 };
	struct ppool_size_conf good = conf_of(16384, 0, 1000), conf = good;

	(void)state;
	assert_int_equal(estimate(&conf), 0);
	conf.slots = false;
	assert_int_equal(estimate(&conf), -EINVAL);
	conf.rx_desc = 1;
	assert_int_equal(estimate(&conf), 0);
	conf.hold = &hold;
	conf.nb_hold = 1;
	assert_int_equal(estimate(&conf), -EINVAL);
	conf = good;
	conf.headroom = 0;
	assert_int_equal(estimate(&conf), -EINVAL);
	conf = good;
	conf.mtu = 16384 - 22;
	assert_int_equal(estimate(&conf), -EMSGSIZE);
	assert_int_equal(estimate_hold(50, 100), 0);
	assert_int_equal(estimate_hold(0, 0), 0);
	assert_int_equal(estimate_hold(51, 100), -EINVAL);
	assert_int_equal(estimate_hold(-1, 100), -EINVAL);
	assert_int_equal(estimate_hold(1, -100), -EINVAL);
	assert_int_equal(estimate_hold(NAN, 100), -EINVAL);
	assert_int_equal(estimate_hold(1, INFINITY), -EINVAL);
}

/* Arithmetic */

static struct ppool_size
size_of(const struct ppool_size_conf *conf)
{
	struct ppool_size size;

	assert_int_equal(ppool_size_estimate(conf, &size), 0);
	return size;
}

/* Little's law, group by group; the margin is one of what is left to chance only. */
static void
test_live(void **state)
{
	/* Of one class; a third and so on have no exact sum. */
	static const struct ppool_size_mix alike[] = { { 60, 1 }, { 61, 3 }, { 62, 7 }, { 63, 11 },
		{ 64, 27 } };
	const struct ppool_size_hold hold[] = { { 5, 6000 }, { 0.5, 200000 } };
	struct ppool_size_conf conf = conf_of(16384, 256, 1000);
	struct ppool_size size;

	(void)state;
	size = size_of(&conf);
	assert_true(size.live == 0);
	assert_int_equal(size.held, 1000 + BURST);
	assert_int_equal(size.peak, size.held);
	assert_true(size.peak_pages > 0);
	conf.mix = alike;
	conf.nb_mix = RTE_DIM(alike);
	assert_int_equal(size_of(&conf).peak_pages, 0);
	conf.hold = hold;
	conf.nb_hold = RTE_DIM(hold);
	size = size_of(&conf);
	assert_true(fabs(size.live - 1300) < 1e-6);
	assert_int_equal(size.held, 2300 + BURST);
	assert_int_equal(size.peak, ceil(2300 + BURST + 5 * sqrt(1300)));
	assert_true(size.peak_pages > 0);
}

/* What is charged is what slots of a real pool of such pages are. */
static void
test_geometry(void **state)
{
	static const uint32_t page_sizes[] = { 2432, 5248, 16128, 65280, 262144 };
	struct ppool_create_conf create = { .pages = 2, .socket_id = SOCKET_ID_ANY };
	struct ppool_size_conf conf = conf_of(0, 0, 0);
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	struct ppool_size_mix one = { 0, 1 };
	struct rte_mempool *mp;
	struct ppool_size size;
	unsigned int i, k;

	(void)state;
	conf.mix = &one;
	conf.nb_mix = 1;
	for (i = 0; i < RTE_DIM(page_sizes); i++) {
		create.name = unit_name();
		create.page_size = conf.page_size = page_sizes[i];
		mp = unit_register(ppool_create(&create));
		k = 0;
		for (unit_slot_classes(mp, c); k == 0 || c[k - 1].room < FRAME_MAX; k++) {
			one.len = RTE_MIN((uint32_t)c[k].room, FRAME_MAX);
			size = size_of(&conf);
			assert_int_equal(ceil(size.truesize), c[k].truesize);
			assert_int_equal(round(size.frags_per_page), c[k].slots);
			assert_int_equal(size.charged, BURST * size.page_bytes / c[k].slots);
		}
		unit_pool_free(mp);
	}
}

/* Page sizes */

/* The longest frame has a slot in every candidate, and none is much better than the choice. */
static void
candidates_check(struct ppool_size_conf *conf, uint16_t mtu)
{
	struct ppool_create_conf create = { .pages = 4, .socket_id = SOCKET_ID_ANY };
	struct ppool_size chosen, other;
	uint32_t candidate[32];
	struct rte_mempool *mp;
	unsigned int i, n;

	conf->mtu = mtu;
	conf->page_size = 0;
	chosen = size_of(conf);
	n = ppool_size_candidates(conf, candidate, RTE_DIM(candidate));
	assert_in_range(n, 1, RTE_DIM(candidate));
	for (i = 0; i < n; i++) {
		create.name = unit_name();
		create.page_size = conf->page_size = candidate[i];
		mp = unit_register(ppool_create(&create));
		assert_non_null(ppool_slot_pool(mp, (uint16_t)(mtu + 22)));
		unit_pool_free(mp);
		other = size_of(conf);
		assert_true((double)chosen.bytes <= 1.02 * (double)other.bytes);
	}
}

static void
test_candidates(void **state)
{
	static const uint16_t mtus[] = { 68, 1500, 9000, 30000, 65535 - 150 };
	struct ppool_size_conf conf = conf_of(0, 64, 20000);
	unsigned int i;

	(void)state;
	conf.mix = small;
	conf.nb_mix = 1;
	for (i = 0; i < RTE_DIM(mtus); i++)
		candidates_check(&conf, mtus[i]);
	conf = conf_of(0, 64, 20000);
	candidates_check(&conf, RTE_ETHER_MTU);
}

/* A load on a pool of the predicted size */

struct held_load {
	const struct ppool_size_conf *conf;
	struct rte_mempool *mp;
	struct rte_mempool *view[MIX_MAX]; /* of each length */
	struct rte_mbuf **posted;
	struct held_heap held;
	uint64_t random;
	uint64_t pages;                           /* most that were slot pages at a time */
	struct rte_mbuf *due[LCORES_MAX * BURST]; /* to be freed */
	unsigned int nb_due;
};

/* A random length, by its index. */
static unsigned int
load_length(struct held_load *l)
{
	const struct ppool_size_conf *conf = l->conf;
	uint32_t sum = 0, pick;
	unsigned int i;

	for (i = 0; i < conf->nb_mix; i++)
		sum += conf->mix[i].weight;
	pick = unit_range(&l->random, 0, sum - 1);
	for (i = 0; pick >= conf->mix[i].weight; i++)
		pick -= conf->mix[i].weight;
	return i;
}

/* Lifetimes are exponential, of random groups; 0: it is not held. */
static uint64_t
load_lifetime(struct held_load *l)
{
	double pick = 100 * load_random(&l->random);
	struct life life = { .kind = LIFE_EXP };
	unsigned int i;

	for (i = 0; i < l->conf->nb_hold; i++) {
		pick -= l->conf->hold[i].share;
		life.scale = l->conf->hold[i].lifetime;
		if (pick < 0)
			return life_draw(&life, &l->random);
	}
	return 0;
}

static struct rte_mbuf *
load_alloc(struct held_load *l)
{
	return rte_pktmbuf_alloc(l->view[load_length(l)]);
}

static void
load_watch(struct held_load *l)
{
	struct ppool_stats s = unit_stats(l->mp);

	l->pages = RTE_MAX(l->pages, s.header_page_get - s.header_page_put);
}

static int
due_free(void *arg)
{
	struct held_load *l = arg;
	unsigned int n = RTE_MIN(l->nb_due, BURST);

	l->nb_due -= n;
	rte_pktmbuf_free_bulk(l->due + l->nb_due, n);
	return 0;
}

/* When each lcore has a burst to free, each does so. */
static void
due_add(struct held_load *l, struct rte_mbuf *m)
{
	unsigned int i;

	l->due[l->nb_due++] = m;
	if (l->nb_due < l->conf->lcores * BURST)
		return;
	load_watch(l);
	due_free(l);
	for (i = 1; i < l->conf->lcores; i++)
		assert_int_equal(unit_on_lcore(i - 1, due_free, l), 0);
}

/* A pool of the predicted size, rings posted and everything held that is held for good. */
static void
load_open(struct held_load *l, const struct ppool_size_conf *conf, const struct ppool_size *size)
{
	struct ppool_create_conf create = { .name = unit_name(),
		.pages = (uint32_t)size->pages,
		.page_size = size->page_size,
		.socket_id = SOCKET_ID_ANY };
	struct rte_mempool *post;
	struct held_packet held;
	uint64_t i;

	memset(l, 0, sizeof(*l));
	l->conf = conf;
	l->random = unit_seed | 1;
	l->mp = unit_register(ppool_create(&create));
	for (i = 0; i < conf->nb_mix; i++)
		l->view[i] = unit_slot_pool(l->mp, (uint16_t)conf->mix[i].len);
	post = unit_slot_pool(l->mp, FRAME_MAX);
	l->posted = calloc(conf->rx_desc + 1, sizeof(l->posted[0]));
	assert_non_null(l->posted);
	assert_int_equal(rte_pktmbuf_alloc_bulk(post, l->posted, conf->rx_desc), 0);
	for (i = 0; i < conf->packets; i++) {
		held = (struct held_packet){ .due = UINT64_MAX, .m = load_alloc(l) };
		assert_non_null(held.m);
		assert_int_equal(held_heap_push(&l->held, held), 0);
	}
}

/* Packets come in bursts; there is memory for each of them. */
static void
load_run(struct held_load *l, uint64_t packets)
{
	struct held_packet held;
	uint64_t i, life;

	for (i = 0; i < packets; i++) {
		while (l->held.n > 0 && l->held.packet[0].due <= i)
			due_add(l, held_heap_pop(&l->held).m);
		held.m = load_alloc(l);
		if (held.m == NULL)
			fail_msg("no memory for packet %" PRIu64, i);
		life = load_lifetime(l);
		held.due = i + life;
		if (life == 0)
			due_add(l, held.m);
		else
			assert_int_equal(held_heap_push(&l->held, held), 0);
	}
}

static void
load_close(struct held_load *l)
{
	unit_ledger(l->mp);
	while (l->held.n > 0)
		due_add(l, held_heap_pop(&l->held).m);
	while (l->nb_due > 0)
		due_free(l);
	rte_pktmbuf_free_bulk(l->posted, l->conf->rx_desc);
	free(l->posted);
	free(l->held.packet);
}

/*
 * The pool is never short, not even so that it is searched for idle slots. Its pages are needed:
 * without the reserve and the margin those of the mean, or fewer by no more than that margin.
 */
static void
prediction_check(const struct ppool_size_conf *conf, uint64_t packets)
{
	struct ppool_size size = size_of(conf);
	uint64_t heap = pool_heap_bytes(), taken;
	struct held_load l;

	load_open(&l, conf, &size);
	load_run(&l, packets);
	taken = pool_heap_bytes() - heap;
	print_message("page %5u, ring %4u, %5" PRIu64
		      " held, %u lcores, %u lengths: pages %5" PRIu64 " predicted, %5" PRIu64
		      " used, %+5.1f %%; memory %+5.1f %%\n",
			conf->page_size, conf->rx_desc, size.held, conf->lcores, conf->nb_mix,
			size.pages, l.pages, 100.0 * ((double)size.pages / (double)l.pages - 1),
			100.0 * ((double)size.bytes / (double)taken - 1));
	assert_int_equal(unit_stats(l.mp).search, 0);
	load_close(&l);
	assert_true(size.pages <= l.pages + size.reserve_pages + 2 * size.peak_pages);
	assert_true(4 * size.pages <= 5 * l.pages);
	unit_pool_free(l.mp);
	/* Where misuse is looked for, there are more tables. */
	if (!unit_debug_build() && rte_eal_has_hugepages())
		assert_in_range(size.bytes * 100, taken * 95, taken * 105);
}

static void
mixes_check(struct ppool_size_conf *conf, uint64_t packets)
{
	conf->mix = small;
	conf->nb_mix = RTE_DIM(small);
	prediction_check(conf, packets);
	conf->mix = imix;
	conf->nb_mix = RTE_DIM(imix);
	prediction_check(conf, packets);
	conf->mix = many;
	conf->nb_mix = RTE_DIM(many);
	prediction_check(conf, packets);
}

/* Everything is held until so many are. */
static void
test_hold_all(void **state)
{
	struct ppool_size_conf conf[] = { conf_of(4096, 256, 10000), conf_of(16384, 1024, 30000),
		conf_of(65280, 256, 60000) };
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(conf); i++)
		mixes_check(&conf[i], BURST);
}

static const struct ppool_size_hold groups[] = { { 5, 100000 }, { 10, 20000 } };

/* Few are held for long, and others for a shorter time. */
static void
test_hold_some(void **state)
{
	struct ppool_size_conf conf[] = { conf_of(4096, 256, 0), conf_of(16384, 256, 1000),
		conf_of(32512, 1024, 0) };
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(conf); i++) {
		conf[i].hold = groups;
		conf[i].nb_hold = RTE_DIM(groups);
		mixes_check(&conf[i], unit_scaled(500000, 10000000));
	}
}

/* One lcore receives, and all of them free. */
static void
test_hold_lcores(void **state)
{
	struct ppool_size_conf conf = conf_of(16384, 256, 0);

	(void)state;
	unit_require(unit_workers() > 0, "several lcores");
	conf.lcores = RTE_MIN(unit_workers() + 1, LCORES_MAX);
	conf.hold = groups;
	conf.nb_hold = RTE_DIM(groups);
	mixes_check(&conf, unit_scaled(500000, 10000000));
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_errors),
	UNIT_TEST(test_live),
	UNIT_TEST(test_geometry),
	UNIT_TEST(test_candidates),
	UNIT_TEST(test_hold_all),
	UNIT_TEST(test_hold_some),
	UNIT_TEST(test_hold_lcores),
};

UNIT_SUITE(sizing, "sizes of pools of slots predicted and real", tests);
