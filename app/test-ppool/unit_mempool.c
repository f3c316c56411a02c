/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdlib.h>

#include <rte_launch.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memzone.h>

#include "unit.h"

/* A page pool is an ordinary mempool: any elements, flags, memory, lcores and threads. */

struct objects {
	struct rte_mempool *mp;
	void **obj;
	unsigned int n;
};

static struct objects
objects_of(struct rte_mempool *mp)
{
	struct objects o = {
		.mp = mp,
		.n = mp->populated_size,
		.obj = calloc(mp->populated_size + 1, sizeof(void *)),
	};

	assert_non_null(o.obj);
	return o;
}

static void
assert_count(struct rte_mempool *mp, unsigned int avail)
{
	assert_int_equal(rte_mempool_avail_count(mp), avail);
	assert_int_equal(rte_mempool_in_use_count(mp), mp->size - avail);
}

static int
compare_pointers(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (void * const *)a, y = (uintptr_t) * (void * const *)b;

	return (x > y) - (x < y);
}

/* No object overlaps the next. */
static void
assert_distinct(const struct objects *o)
{
	void **sorted = malloc(o->n * sizeof(void *));
	unsigned int i;
	int ok = sorted != NULL;

	if (ok) {
		memcpy(sorted, o->obj, o->n * sizeof(void *));
		qsort(sorted, o->n, sizeof(void *), compare_pointers);
		for (i = 1; i < o->n; i++)
			ok = ok &&
					(uintptr_t)sorted[i] - (uintptr_t)sorted[i - 1] >=
							o->mp->elt_size;
	}
	free(sorted);
	assert_true(ok);
}

static void
fill_all(const struct objects *o)
{
	unsigned int i;

	for (i = 0; i < o->n; i++)
		unit_fill(o->obj[i], o->mp->elt_size, (uintptr_t)o->obj[i]);
}

static void
assert_filled_all(const struct objects *o)
{
	unsigned int i;

	for (i = 0; i < o->n; i++)
		if (!unit_filled(o->obj[i], o->mp->elt_size, (uintptr_t)o->obj[i]))
			fail_msg("object %u of %u (%u bytes) was overwritten", i, o->n,
					o->mp->elt_size);
}

/* All of the objects, one by one, and not one more. */
static void
take_all(const struct objects *o)
{
	void *none = (void *)o->mp;
	unsigned int i;

	for (i = 0; i < o->n; i++)
		assert_int_equal(rte_mempool_get(o->mp, &o->obj[i]), 0);
	assert_int_not_equal(rte_mempool_get(o->mp, &none), 0);
	assert_ptr_equal(none, o->mp);
}

/* Take everything, write all over it, give it back in any order, find it unchanged. */
static void
exercise(struct rte_mempool *mp)
{
	struct objects o = objects_of(mp);
	uint64_t rng = unit_seed;
	unsigned int i;

	assert_count(mp, mp->size);
	take_all(&o);
	assert_count(mp, mp->size - o.n);
	assert_distinct(&o);
	for (i = 0; i < o.n; i++)
		assert_ptr_equal(rte_mempool_from_obj(o.obj[i]), mp);
	fill_all(&o);
	unit_shuffle(o.obj, o.n, &rng);
	for (i = 0; i < o.n; i++)
		rte_mempool_put(mp, o.obj[i]);
	assert_count(mp, mp->size);
	take_all(&o);
	assert_filled_all(&o);
	rte_mempool_put_bulk(mp, o.obj, o.n);
	assert_count(mp, mp->size);
	free(o.obj);
}

static const uint32_t elt_sizes[] = {
	8,
	16,
	24,
	64,
	100,
	1000,
	2048,
	2304,
	8192,
	16384 + 128,
	65535 + 128,
	65536 + 128,
};

static void
test_element_sizes(void **state)
{
	struct unit_pool_conf conf = { .n = 131 };
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(elt_sizes); i++) {
		struct rte_mempool *mp;

		conf.elt_size = elt_sizes[i];
		mp = unit_mempool(&conf);
		exercise(mp);
		unit_pool_free(mp);
	}
}

static void
test_cache_sizes(void **state)
{
	static const unsigned int caches[] = { 1, 2, 31, 32, 256, RTE_MEMPOOL_CACHE_MAX_SIZE };
	static const uint32_t sizes[] = { 64, 2304 };
	struct unit_pool_conf conf = { .n = 1601 };
	unsigned int i, k;

	(void)state;
	for (k = 0; k < RTE_DIM(sizes); k++)
		for (i = 0; i < RTE_DIM(caches); i++) {
			struct rte_mempool *mp;

			conf.elt_size = sizes[k];
			conf.cache = caches[i];
			mp = unit_mempool(&conf);
			exercise(mp);
			unit_pool_free(mp);
		}
}

static void
test_flags(void **state)
{
	static const unsigned int flags[] = {
		RTE_MEMPOOL_F_NO_SPREAD,
		RTE_MEMPOOL_F_NO_CACHE_ALIGN,
		RTE_MEMPOOL_F_SP_PUT | RTE_MEMPOOL_F_SC_GET,
		RTE_MEMPOOL_F_NO_IOVA_CONTIG,
		RTE_MEMPOOL_F_NO_SPREAD | RTE_MEMPOOL_F_NO_CACHE_ALIGN |
				RTE_MEMPOOL_F_NO_IOVA_CONTIG,
	};
	struct unit_pool_conf conf = { .n = 100, .cache = 8 };
	unsigned int i, k;

	(void)state;
	for (i = 0; i < RTE_DIM(flags); i++)
		for (k = 0; k < RTE_DIM(elt_sizes); k++) {
			struct rte_mempool *mp;

			conf.flags = flags[i];
			conf.elt_size = elt_sizes[k];
			mp = unit_mempool(&conf);
			exercise(mp);
			unit_pool_free(mp);
		}
}

static void
test_sizes(void **state)
{
	static const unsigned int sizes[] = { 1, 2, 63, 64, 65, 1023, 1024, 1025, 100003 };
	struct unit_pool_conf conf = { .elt_size = 8 };
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(sizes); i++) {
		struct rte_mempool *mp;

		conf.n = sizes[i];
		mp = unit_mempool(&conf);
		exercise(mp);
		unit_pool_free(mp);
	}
}

static void
test_anonymous(void **state)
{
	struct unit_pool_conf conf = { .n = 77, .anon = true };
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(elt_sizes); i++) {
		struct rte_mempool *mp;

		conf.elt_size = elt_sizes[i];
		/* Neighbouring small pages of memory are contiguous by chance only. */
		conf.flags = elt_sizes[i] > 4000 ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0;
		mp = unit_mempool(&conf);
		exercise(mp);
		unit_pool_free(mp);
	}
}

static void
free_zone(struct rte_mempool_memhdr *chunk, void *arg)
{
	(void)chunk;
	rte_memzone_free(arg);
}

/* Returns how many objects the chunk gave. */
static int
populate_zone(struct rte_mempool *mp, size_t len)
{
	const struct rte_memzone *mz = rte_memzone_reserve(unit_name(), len, SOCKET_ID_ANY,
			RTE_MEMZONE_IOVA_CONTIG);

	assert_non_null(mz);
	return rte_mempool_populate_iova(mp, mz->addr, mz->iova, mz->len, free_zone,
			(void *)(uintptr_t)mz);
}

/* Memory that comes in pieces of any size, too small ones included. */
static void
test_chunks(void **state)
{
	struct unit_pool_conf conf = { .n = 40, .elt_size = 2304, .empty = true };
	struct rte_mempool *mp = unit_mempool(&conf);
	size_t obj = mp->header_size + mp->elt_size + mp->trailer_size;
	const struct rte_memzone *mz;
	unsigned int i;

	(void)state;
	mz = rte_memzone_reserve(unit_name(), obj / 2, SOCKET_ID_ANY, RTE_MEMZONE_IOVA_CONTIG);
	assert_non_null(mz);
	assert_true(rte_mempool_populate_iova(mp, mz->addr, mz->iova, mz->len, NULL, NULL) <= 0);
	rte_memzone_free(mz);

	/* How many fit depends on the pages of memory that objects must not cross. */
	for (i = 1; mp->populated_size < mp->size; i++) {
		unsigned int before = mp->populated_size;
		int n = populate_zone(mp, i * (obj + 4096));

		assert_in_range(n, 1, mp->size);
		assert_int_equal(mp->populated_size, before + (unsigned int)n);
		assert_int_equal(rte_mempool_avail_count(mp), mp->populated_size);
	}
	assert_true(i > 2);
	exercise(mp);
}

static void
test_never_populated(void **state)
{
	struct unit_pool_conf conf = { .n = 10, .elt_size = 64, .empty = true };

	(void)state;
	unit_pool_free(unit_mempool(&conf));
}

/* Every way in which applications make packet mbuf pools. */

static void
exercise_mbufs(struct rte_mempool *mp)
{
	struct rte_mbuf *m[64];
	unsigned int i;

	assert_true(ppool_is_page_pool(mp));
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, m, RTE_DIM(m)), 0);
	for (i = 0; i < RTE_DIM(m); i++) {
		rte_mbuf_sanity_check(m[i], 1);
		assert_ptr_equal(m[i]->buf_addr, (char *)(m[i] + 1) + m[i]->priv_size);
		unit_fill_buf(m[i], i);
	}
	for (i = 0; i < RTE_DIM(m); i++)
		assert_true(unit_filled_buf(m[i], i));
	for (i = 0; i < RTE_DIM(m) / 2; i++)
		rte_pktmbuf_free(m[i]);
	rte_pktmbuf_free_bulk(m + i, RTE_DIM(m) - i);
	assert_count(mp, mp->size);
}

/* DPDK keeps the user's choice in a memzone that stays: it must exist before the test. */
static int
setup_user_ops(void **state)
{
	static char ops[RTE_MEMPOOL_OPS_NAMESIZE];

	snprintf(ops, sizeof(ops), "%s", rte_mbuf_best_mempool_ops());
	if (rte_mbuf_set_user_mempool_ops(ops) != 0)
		return -1;
	*state = ops;
	return unit_setup(state);
}

static void
test_pktmbuf_pool_create(void **state)
{
	const char *ops = *state;
	struct rte_mempool *mp;

	assert_int_equal(rte_mbuf_set_user_mempool_ops(PPOOL_OPS_NAME), 0);
	mp = rte_pktmbuf_pool_create(unit_name(), 255, 32, 64, 2176, SOCKET_ID_ANY);
	assert_int_equal(rte_mbuf_set_user_mempool_ops(ops), 0);
	exercise_mbufs(unit_register(mp));
}

static void
test_pktmbuf_pool_create_by_ops(void **state)
{
	(void)state;
	exercise_mbufs(unit_pool(255, 2176, 0, 0));
	exercise_mbufs(unit_pool(255, UINT16_MAX, 64, 0));
}

/* As rte_mempool_create() does, which takes no name of ops. */
static void
test_mempool_create(void **state)
{
	struct rte_mempool *mp;

	(void)state;
	mp = rte_mempool_create_empty(unit_name(), 100, sizeof(struct rte_mbuf) + 2048, 16,
			sizeof(struct rte_pktmbuf_pool_private), SOCKET_ID_ANY, 0);
	unit_register(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, PPOOL_OPS_NAME, NULL), 0);
	rte_pktmbuf_pool_init(mp, NULL);
	assert_int_equal(rte_mempool_populate_default(mp), 100);
	assert_int_equal(rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL), 100);
	exercise_mbufs(mp);
}

/* The longest name there is, and one that differs in the last character only. */
static void
test_long_names(void **state)
{
	static const char * const names[] = {
		"a_name_of_25_characters_0",
		"a_name_of_25_characters_1",
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(names); i++) {
		struct rte_mempool *mp;

		assert_int_equal(strlen(names[i]), RTE_MEMPOOL_NAMESIZE - 1);
		mp = rte_pktmbuf_pool_create_by_ops(names[i], 31, 0, 0, 2176, SOCKET_ID_ANY,
				PPOOL_OPS_NAME);
		unit_register(mp);
		assert_non_null(ppool_frag_pool(mp));
		assert_ptr_equal(rte_mempool_lookup(names[i]), mp);
	}
}

/* Bulk operations: all or nothing. */

static void
assert_bulk_fails(struct rte_mempool *mp, unsigned int n)
{
	void *table[4] = { mp, mp, mp, mp };
	unsigned int i, avail = rte_mempool_avail_count(mp);

	/* A request that cannot be met must not touch the table, which is far too small. */
	assert_int_not_equal(rte_mempool_ops_dequeue_bulk(mp, table, n), 0);
	/* With a mempool cache, rte_mempool itself writes what the cache has. */
	if (mp->cache_size == 0)
		assert_int_not_equal(rte_mempool_get_bulk(mp, table, n), 0);
	for (i = 0; i < RTE_DIM(table); i++)
		assert_ptr_equal(table[i], mp);
	assert_count(mp, avail);
}

static void
test_bulk_all_or_nothing(void **state)
{
	static const unsigned int caches[] = { 0, 32 };
	struct unit_pool_conf conf = { .n = 3000, .elt_size = 64 };
	unsigned int i, k, n;

	(void)state;
	for (i = 0; i < RTE_DIM(caches); i++) {
		struct objects o;

		conf.cache = caches[i];
		o = objects_of(unit_mempool(&conf));
		assert_bulk_fails(o.mp, UINT_MAX);
		assert_bulk_fails(o.mp, o.n + 1);
		for (n = 1; n <= o.n; n = n * 3 + 1) {
			assert_int_equal(rte_mempool_get_bulk(o.mp, o.obj, n), 0);
			assert_count(o.mp, o.n - n);
			assert_bulk_fails(o.mp, UINT_MAX);
			assert_bulk_fails(o.mp, o.n - n + 1);
			/* What is left can still be had. */
			assert_int_equal(rte_mempool_get_bulk(o.mp, o.obj + n, o.n - n), 0);
			assert_count(o.mp, 0);
			assert_bulk_fails(o.mp, 1);
			assert_distinct(&o);
			for (k = 0; k < o.n; k += 100)
				rte_mempool_put_bulk(o.mp, o.obj + k, 100);
			assert_count(o.mp, o.n);
		}
		free(o.obj);
	}
}

static void
test_bulk_zero(void **state)
{
	struct unit_pool_conf conf = { .n = 5, .elt_size = 64 };
	struct rte_mempool *mp = unit_mempool(&conf);
	void *table = mp;

	(void)state;
	assert_int_equal(rte_mempool_ops_dequeue_bulk(mp, &table, 0), 0);
	assert_int_equal(rte_mempool_ops_enqueue_bulk(mp, &table, 0), 0);
	assert_ptr_equal(table, mp);
	assert_count(mp, 5);
}

/* What was freed last is handed out first. */
static void
test_lifo(void **state)
{
	struct unit_pool_conf conf = { .n = 500, .elt_size = 64 };
	struct objects o = objects_of(unit_mempool(&conf));
	uint64_t rng = unit_seed;
	unsigned int i;
	void *obj;

	(void)state;
	take_all(&o);
	unit_shuffle(o.obj, o.n, &rng);
	for (i = 0; i < o.n; i++) {
		rte_mempool_put(o.mp, o.obj[i]);
		assert_int_equal(rte_mempool_get(o.mp, &obj), 0);
		assert_ptr_equal(obj, o.obj[i]);
		rte_mempool_put(o.mp, obj);
	}
	/* All are back; the last of them come first, newest first. */
	for (i = 0; i < 200; i++) {
		assert_int_equal(rte_mempool_get(o.mp, &obj), 0);
		assert_ptr_equal(obj, o.obj[o.n - 1 - i]);
	}
	while (i-- > 0)
		rte_mempool_put(o.mp, o.obj[o.n - 1 - i]);
	free(o.obj);
}

static void
test_counts(void **state)
{
	static const unsigned int caches[] = { 0, 16, 512 };
	struct unit_pool_conf conf = { .n = 2048, .elt_size = 128 };
	unsigned int i, k, n;

	(void)state;
	for (k = 0; k < RTE_DIM(caches); k++) {
		struct objects o;

		conf.cache = caches[k];
		o = objects_of(unit_mempool(&conf));
		for (i = 0; i < o.n; i += n) {
			n = RTE_MIN(1 + i % 37, o.n - i);
			assert_int_equal(rte_mempool_get_bulk(o.mp, o.obj + i, n), 0);
			assert_count(o.mp, o.n - i - n);
			assert_int_equal(rte_mempool_empty(o.mp), i + n == o.n);
		}
		for (i = 0; i < o.n; i += n) {
			n = RTE_MIN(1 + i % 41, o.n - i);
			rte_mempool_put_bulk(o.mp, o.obj + i, n);
			assert_count(o.mp, i + n);
		}
		assert_true(rte_mempool_full(o.mp));
		free(o.obj);
	}
}

static void
count_object(struct rte_mempool *mp, void *arg, void *obj, unsigned int i)
{
	struct objects *o = arg;

	(void)mp;
	if (i == o->n)
		o->obj[o->n++] = obj;
}

static void
test_obj_iter(void **state)
{
	struct unit_pool_conf conf = { .n = 321, .elt_size = 2304, .cache = 16 };
	struct rte_mempool *mp = unit_mempool(&conf);
	struct objects o = objects_of(mp);

	(void)state;
	o.n = 0;
	assert_int_equal(rte_mempool_obj_iter(mp, count_object, &o), mp->size);
	assert_int_equal(o.n, mp->size);
	assert_distinct(&o);
	free(o.obj);
}

/* Several threads */

static int
free_objects(void *arg)
{
	const struct objects *o = arg;
	unsigned int i, n;

	for (i = 0; i < o->n; i += n) {
		n = RTE_MIN(1 + i % 70, o->n - i);
		rte_mempool_put_bulk(o->mp, o->obj + i, n);
	}
	return 0;
}

static int
take_objects(void *arg)
{
	const struct objects *o = arg;
	unsigned int i;

	for (i = 0; i < o->n; i++)
		if (rte_mempool_get(o->mp, &o->obj[i]) != 0)
			return -1;
	return 0;
}

/* One frees all pages elsewhere: every one of them can be had here, at once or one by one. */
static void
exercise_frees(struct rte_mempool *mp, int (*elsewhere)(unsigned int, lcore_function_t *, void *),
		unsigned int workers)
{
	struct objects o = objects_of(mp), part;
	unsigned int i, share;

	take_all(&o);
	assert_int_equal(elsewhere(0, free_objects, &o), 0);
	assert_count(mp, o.n);
	/* Those in the mempool cache of another lcore are that lcore's. */
	if (mp->cache_size == 0) {
		assert_int_equal(rte_mempool_get_bulk(mp, o.obj, o.n), 0);
		assert_distinct(&o);

		share = o.n / workers;
		for (i = 0; i < workers; i++) {
			part = (struct objects){ .mp = mp, .obj = o.obj + i * share, .n = share };
			if (i == workers - 1)
				part.n = o.n - i * share;
			assert_int_equal(elsewhere(i, free_objects, &part), 0);
		}
		assert_count(mp, o.n);
		take_all(&o);
		assert_distinct(&o);

		/* And those freed here can be had elsewhere. */
		free_objects(&o);
		assert_int_equal(elsewhere(0, take_objects, &o), 0);
		assert_count(mp, 0);
		assert_distinct(&o);
		free_objects(&o);
	}
	free(o.obj);
}

static void
test_other_lcores(void **state)
{
	static const unsigned int sizes[] = { 10, 1000, 5000 };
	struct unit_pool_conf conf = { .elt_size = 64 };
	unsigned int i;

	(void)state;
	unit_require(unit_workers() > 0, "two lcores");
	for (i = 0; i < RTE_DIM(sizes); i++) {
		conf.n = sizes[i];
		conf.cache = 0;
		exercise_frees(unit_mempool(&conf), unit_on_lcore, unit_workers());
		conf.cache = sizes[i] / 40;
		exercise_frees(unit_mempool(&conf), unit_on_lcore, unit_workers());
	}
}

static int
on_thread(unsigned int i, lcore_function_t *f, void *arg)
{
	(void)i;
	return unit_on_thread(f, arg);
}

static void
test_non_eal_thread(void **state)
{
	static const unsigned int sizes[] = { 10, 1000, 5000 };
	struct unit_pool_conf conf = { .elt_size = 64 };
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(sizes); i++) {
		conf.n = sizes[i];
		exercise_frees(unit_mempool(&conf), on_thread, 1);
	}
}

/* Takes and frees at random, all lcores at once, several times until the pool is empty. */
#define CHURN_MAX 4096u

struct churn {
	struct rte_mempool *mp;
	uint64_t seed;
	unsigned int steps;
	unsigned int bulk; /* most objects taken at a time */
	unsigned int hold; /* most objects an lcore holds */
};

static int
churn(void *arg)
{
	const struct churn *c = arg;
	uint64_t rng = c->seed + rte_lcore_id();
	void *obj[CHURN_MAX];
	unsigned int i, n, have = 0;
	int ret = 0;

	for (i = 0; i < c->steps; i++) {
		n = unit_range(&rng, 1, c->bulk);
		if (have + n <= c->hold && rte_mempool_get_bulk(c->mp, obj + have, n) == 0) {
			have += n;
			unit_fill(obj[have - 1], 64, rng ^ 1);
			if (!unit_filled(obj[have - 1], 64, rng ^ 1))
				ret = -1;
		} else if (have > 0) {
			n = unit_range(&rng, 1, have);
			have -= n;
			rte_mempool_put_bulk(c->mp, obj + have, n);
		}
	}
	rte_mempool_put_bulk(c->mp, obj, have);
	return ret;
}

static void
churn_on_all(struct churn *c)
{
	unsigned int id;
	int ret;

	RTE_LCORE_FOREACH_WORKER(id)
		assert_int_equal(rte_eal_remote_launch(churn, c, id), 0);
	ret = churn(c);
	RTE_LCORE_FOREACH_WORKER(id)
		if (rte_eal_wait_lcore(id) != 0)
			ret = -1;
	assert_int_equal(ret, 0);
	exercise(c->mp);
}

static void
test_churn(void **state)
{
	/* Fewer objects than the lcores ask for together. */
	struct unit_pool_conf conf = { .n = 64 * (1 + rte_lcore_count()), .elt_size = 64 };
	struct churn c = { .seed = unit_seed, .steps = 20000, .bulk = 64, .hold = 128 };

	(void)state;
	unit_require(unit_workers() > 0, "two lcores");
	c.mp = unit_mempool(&conf);
	churn_on_all(&c);
}

/* As many at a time as make whole magazines change hands; plenty of objects, or too few. */
static void
test_churn_bulks(void **state)
{
	struct unit_pool_conf conf = { .elt_size = 64 };
	struct churn c = { .seed = unit_seed, .steps = 3000, .bulk = 1500, .hold = CHURN_MAX };
	unsigned int i;

	(void)state;
	unit_require(unit_workers() > 0, "two lcores");
	for (i = 1; i <= 4; i++) {
		conf.n = (CHURN_MAX + 1500) / 2 * rte_lcore_count() * i / 2;
		c.mp = unit_mempool(&conf);
		churn_on_all(&c);
	}
}

/* The teardown compares the heaps. */
/* Far more often than there are objects: counted out, not written behind the lists. */
static void
test_put_too_often(void **state)
{
	struct rte_mempool *mp = unit_mempool(&(struct unit_pool_conf){ .n = 64, .elt_size = 64 });
	void *obj[64], *twice[9];
	unsigned int i;

	(void)state;
	unit_require(!unit_debug_build(), "a release build: a debug build panics");
	assert_int_equal(rte_mempool_get(mp, &twice[0]), 0);
	for (i = 1; i < RTE_DIM(twice); i++)
		twice[i] = twice[0];
	for (i = 0; i < 1000; i++)
		rte_mempool_put_bulk(mp, twice, RTE_DIM(twice));
	assert_int_equal(rte_mempool_avail_count(mp), 64);
	/* What is in the lists is objects of the pool. */
	for (i = 0; i < 64; i++) {
		assert_int_equal(rte_mempool_get(mp, &obj[i]), 0);
		assert_ptr_equal(rte_mempool_from_obj(obj[i]), mp);
	}
	/* It has lost its balance for good. */
	unit_unregister(mp);
	rte_mempool_free(mp);
}

static void
test_create_and_free(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 50; i++) {
		struct rte_mempool *mp = unit_pool(16 + i, 2176, i % 8, 0);

		if (i % 2 != 0)
			assert_non_null(ppool_frag_pool(mp));
		unit_pool_free(mp);
	}
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_element_sizes),
	UNIT_TEST(test_cache_sizes),
	UNIT_TEST(test_flags),
	UNIT_TEST(test_sizes),
	UNIT_TEST(test_anonymous),
	UNIT_TEST(test_chunks),
	UNIT_TEST(test_never_populated),
	cmocka_unit_test_setup_teardown(test_pktmbuf_pool_create, setup_user_ops, unit_teardown),
	UNIT_TEST(test_pktmbuf_pool_create_by_ops),
	UNIT_TEST(test_mempool_create),
	UNIT_TEST(test_long_names),
	UNIT_TEST(test_bulk_all_or_nothing),
	UNIT_TEST(test_bulk_zero),
	UNIT_TEST(test_lifo),
	UNIT_TEST(test_counts),
	UNIT_TEST(test_obj_iter),
	UNIT_TEST(test_other_lcores),
	UNIT_TEST(test_non_eal_thread),
	UNIT_TEST(test_churn),
	UNIT_TEST(test_churn_bulks),
	UNIT_TEST(test_put_too_often),
	UNIT_TEST(test_create_and_free),
};

UNIT_SUITE(mempool, "an ordinary mempool: elements, flags, memory, bulks, lcores", tests);
