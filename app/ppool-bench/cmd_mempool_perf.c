/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mempool.h>
#include <rte_pause.h>
#include <rte_ring.h>

#include <ppool.h>

#include "bench_common.h"
#include "commands.h"
#include "json.h"

/*
 * Mempool drivers as DPDK's own mempool_perf_autotest compares them: each lcore gets objects in
 * bulks until it keeps a number of them, then puts them back in bulks. And a pipeline, where one
 * lcore gets what another one puts. Objects are not touched: only the mempool is measured.
 *
 * In every cell all drivers take turns, round by round, because only ratios between neighbours
 * mean anything on a machine that does other things as well. Many short rounds tell more than a few
 * long ones: in the cells where a cache serves everything, and all are equal, 99 of 1 ms give 0.99
 * to 1.00, while 11 of 10 ms give 0.84 to 1.06.
 */

#define OPS_MAX 8
#define KEEP_MAX 512
#define OBJECT_BYTES 2048
#define RING_SIZE 1024
/* Objects that an lcore moves before it looks at the clock again. */
#define STRIDE 4096

static uint64_t rounds = 99;
static uint64_t ms = 1;
static struct uint_list caches = { 2, { 0, RTE_MEMPOOL_CACHE_MAX_SIZE } };
static struct uint_list bulks = { 5, { 1, 4, 8, 32, 128 } };
static struct uint_list keeps = { 2, { 32, 128 } };
static const char usual_ops[] = "ring_mp_mc,stack,lf_stack,bucket";
static const char *ops_list = usual_ops;
static bool no_pipeline;
static const char *json_path;

static const struct opt mempool_perf_opts[] = {
	{ "ops", OPT_STR, &ops_list, 0, 0, "OPS,...", "drivers to compare with" },
	{ "cache", OPT_LIST, &caches, 0, RTE_MEMPOOL_CACHE_MAX_SIZE, "N,...",
			"sizes of the mempool cache" },
	{ "bulk", OPT_LIST, &bulks, 1, KEEP_MAX, "N,...", "objects in a get and in a put" },
	{ "keep", OPT_LIST, &keeps, 1, KEEP_MAX, "N,...",
			"objects an lcore keeps; bulks that do not divide it are left out" },
	{ "no-pipeline", OPT_FLAG, &no_pipeline, 0, 0, NULL,
			"leave out the rows where one lcore gets and another one puts" },
	{ "rounds", OPT_UINT, &rounds, 1, ROUNDS_MAX, "N", "rounds to take the median of" },
	{ "ms", OPT_UINT, &ms, 1, 10000, "N", "milliseconds a driver is measured in each round" },
	{ "json", OPT_STR, &json_path, 0, 0, "FILE", "write the result there" },
	{ .name = NULL },
};

/* One driver: ours comes first. */
struct driver {
	char ops[RTE_MEMPOOL_OPS_NAMESIZE];
	struct rte_mempool *mp;
	double rate[ROUNDS_MAX]; /* objects per second */
};

static struct driver drivers[OPS_MAX];
static unsigned int nb_drivers;

enum cell_kind { CELL_LOCAL, CELL_PIPELINE };

static const char * const kind_names[] = {
	[CELL_LOCAL] = "local",
	[CELL_PIPELINE] = "pipeline",
};

/* What is measured: one row of the table. */
struct cell {
	enum cell_kind kind;
	unsigned int cache;
	unsigned int lcores;
	unsigned int bulk;
	unsigned int keep; /* not of a pipeline */
};

/* What an lcore has done in one measurement. */
struct share {
	uint64_t objects;
	uint64_t cycles;
} __rte_cache_aligned;

/* One measurement, for all lcores that take part. */
static struct {
	const struct cell *cell;
	struct rte_mempool *mp;
	struct rte_ring *ring;
	unsigned int ready; /* lcores that wait for the start */
	unsigned int started;
	uint64_t end; /* TSC */
	struct share share[RTE_MAX_LCORE];
} run;

static inline bool
expired(void)
{
	return rte_rdtsc() >= run.end;
}

/* Get a bulk however long it takes: others may hold what a driver lacks for a moment. */
static inline bool
get(struct rte_mempool *mp, void **obj, unsigned int n)
{
	while (unlikely(rte_mempool_get_bulk(mp, obj, n) != 0)) {
		if (expired())
			return false;
		rte_pause();
	}
	return true;
}

/* Each of these moves about STRIDE objects and returns how many it did, fewer when time is over. */

static uint64_t
stride_local(void)
{
	const unsigned int bulk = run.cell->bulk, keep = run.cell->keep;
	void *obj[KEEP_MAX] __rte_cache_aligned;
	struct rte_mempool *mp = run.mp;
	unsigned int i, kept;
	uint64_t done;

	for (done = 0; done < STRIDE; done += kept) {
		for (kept = 0; kept < keep && get(mp, obj + kept, bulk); kept += bulk)
			;
		for (i = 0; i < kept; i += bulk)
			rte_mempool_put_bulk(mp, obj + i, bulk);
		if (unlikely(kept < keep))
			return done + kept;
	}
	return done;
}

static uint64_t
stride_get(void)
{
	const unsigned int bulk = run.cell->bulk;
	void *obj[KEEP_MAX] __rte_cache_aligned;
	uint64_t done;

	for (done = 0; done < STRIDE; done += bulk) {
		if (!get(run.mp, obj, bulk))
			return done;
		while (rte_ring_sp_enqueue_bulk(run.ring, obj, bulk, NULL) == 0) {
			if (expired()) {
				rte_mempool_put_bulk(run.mp, obj, bulk);
				return done;
			}
			rte_pause();
		}
	}
	return done;
}

static uint64_t
stride_put(void)
{
	const unsigned int bulk = run.cell->bulk;
	void *obj[KEEP_MAX] __rte_cache_aligned;
	uint64_t done;

	for (done = 0; done < STRIDE; done += bulk) {
		while (rte_ring_sc_dequeue_bulk(run.ring, obj, bulk, NULL) == 0) {
			if (expired())
				return done;
			rte_pause();
		}
		rte_mempool_put_bulk(run.mp, obj, bulk);
	}
	return done;
}

static int
measure_lcore(void *arg)
{
	struct share *share = &run.share[rte_lcore_id()];
	uint64_t (*stride)(void) = stride_local;
	uint64_t begin;

	(void)arg;
	if (run.cell->kind == CELL_PIPELINE)
		stride = rte_lcore_id() == rte_get_main_lcore() ? stride_get : stride_put;

	stride(); /* warm up */
	__atomic_fetch_add(&run.ready, 1, __ATOMIC_RELEASE);
	/* Lcores may share a CPU: let those get ready that are not. */
	while (!__atomic_load_n(&run.started, __ATOMIC_ACQUIRE)) {
		if (rte_lcore_id() != rte_get_main_lcore() ||
				__atomic_load_n(&run.ready, __ATOMIC_ACQUIRE) < run.cell->lcores) {
			sched_yield();
			continue;
		}
		run.end = rte_rdtsc() + ms * rte_get_tsc_hz() / 1000;
		__atomic_store_n(&run.started, 1, __ATOMIC_RELEASE);
	}
	begin = rte_rdtsc();
	share->objects = 0;
	do
		share->objects += stride();
	while (!expired());
	share->cycles = rte_rdtsc() - begin;
	return 0;
}

/* Objects per second that went round; in a pipeline, that arrived. */
static double
measure(const struct cell *cell, struct rte_mempool *mp)
{
	unsigned int id, more = cell->lcores - 1;
	double rate = 0;
	void *obj;

	run.cell = cell;
	run.mp = mp;
	run.ready = 0;
	run.started = 0;
	run.end = rte_rdtsc() + rte_get_tsc_hz() / 100;
	memset(run.share, 0, sizeof(run.share));
	RTE_LCORE_FOREACH_WORKER(id) {
		if (more-- == 0)
			break;
		rte_eal_remote_launch(measure_lcore, NULL, id);
	}
	measure_lcore(NULL);
	rte_eal_mp_wait_lcore();
	while (rte_ring_dequeue(run.ring, &obj) == 0)
		rte_mempool_put(mp, obj);

	RTE_LCORE_FOREACH(id) {
		const struct share *s = &run.share[id];

		if (cell->kind == CELL_PIPELINE && id == rte_get_main_lcore())
			continue;
		if (s->cycles != 0)
			rate += (double)s->objects / (double)s->cycles;
	}
	return rate * (double)rte_get_tsc_hz();
}

/* Our rate as a multiple of another one's. */
static double
ratio_to(const struct driver *other)
{
	return median_ratio(drivers[0].rate, other->rate, (unsigned int)rounds);
}

/* What the others are compared with: the driver that comes closest to ours, or is ahead most. */
static unsigned int
best_other(void)
{
	unsigned int i, best = 1;

	for (i = 2; i < nb_drivers; i++)
		if (ratio_to(&drivers[i]) < ratio_to(&drivers[best]))
			best = i;
	return best;
}

static void
report_cell(const struct cell *cell, struct json *j)
{
	unsigned int i, best = best_other();
	double rate[OPS_MAX], ratio = ratio_to(&drivers[best]);

	for (i = 0; i < nb_drivers; i++)
		rate[i] = median(drivers[i].rate, (unsigned int)rounds);

	printf("%-9s%6u%7u%6u", kind_names[cell->kind], cell->cache, cell->lcores, cell->bulk);
	if (cell->keep != 0)
		printf("%6u", cell->keep);
	else
		printf("%6s", "-");
	for (i = 0; i < nb_drivers; i++)
		printf("%12.1f", rate[i] / 1e6);
	printf("%8.2f  %s\n", ratio, drivers[best].ops);
	fflush(stdout);

	json_object(j, NULL);
	json_string(j, "kind", kind_names[cell->kind]);
	json_uint(j, "cache", cell->cache);
	json_uint(j, "lcores", cell->lcores);
	json_uint(j, "bulk", cell->bulk);
	json_uint(j, "keep", cell->keep);
	json_object(j, "rate");
	for (i = 0; i < nb_drivers; i++)
		json_real(j, drivers[i].ops, rate[i]);
	json_end(j);
	json_string(j, "best_other", drivers[best].ops);
	json_real(j, "ratio", ratio);
	json_end(j);
}

static void
measure_cell(const struct cell *cell, struct json *j)
{
	unsigned int round, i;
	struct driver *d;

	/* Who follows whom matters: each round begins with another one. */
	for (round = 0; round < rounds; round++)
		for (i = 0; i < nb_drivers; i++) {
			d = &drivers[(round + i) % nb_drivers];
			d->rate[round] = measure(cell, d->mp);
		}
	report_cell(cell, j);
}

static void
measure_local(unsigned int cache, unsigned int lcores, struct json *j)
{
	struct cell cell = { .kind = CELL_LOCAL, .cache = cache, .lcores = lcores };
	unsigned int k, b;

	for (k = 0; k < keeps.n; k++)
		for (b = 0; b < bulks.n; b++) {
			cell.keep = (unsigned int)keeps.v[k];
			cell.bulk = (unsigned int)bulks.v[b];
			if (cell.keep % cell.bulk == 0)
				measure_cell(&cell, j);
		}
}

static void
measure_pipeline(unsigned int cache, struct json *j)
{
	struct cell cell = { .kind = CELL_PIPELINE, .cache = cache, .lcores = 2 };
	unsigned int b;

	for (b = 0; b < bulks.n; b++) {
		cell.bulk = (unsigned int)bulks.v[b];
		measure_cell(&cell, j);
	}
}

static struct rte_mempool *
create_pool(const char *ops, unsigned int cache)
{
	/* What all lcores may keep and cache, as in mempool_perf_autotest, and a full ring. */
	unsigned int n =
			rte_lcore_count() * (KEEP_MAX + RTE_MEMPOOL_CACHE_MAX_SIZE) - 1 + RING_SIZE;
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *mp;
	int ret;

	snprintf(name, sizeof(name), "perf_%s", ops);
	mp = rte_mempool_create_empty(name, n, OBJECT_BYTES, cache, 0, SOCKET_ID_ANY, 0);
	if (mp == NULL)
		return NULL;
	ret = rte_mempool_set_ops_byname(mp, ops, NULL);
	if (ret == 0)
		ret = rte_mempool_populate_default(mp);
	if (ret > 0)
		return mp;
	rte_mempool_free(mp);
	rte_errno = ret == 0 ? ENOMEM : -ret;
	return NULL;
}

/* Pools of all drivers. Those of others that are not to be had are left out, with a note. */
static int
create_pools(unsigned int cache)
{
	unsigned int i = 0;

	while (i < nb_drivers) {
		drivers[i].mp = create_pool(drivers[i].ops, cache);
		if (drivers[i].mp != NULL) {
			i++;
			continue;
		}
		fprintf(stderr, "mempool-perf: no pool with ops %s: %s%s\n", drivers[i].ops,
				rte_strerror(rte_errno), i == 0 ? "" : "; left out");
		if (i == 0)
			return -1;
		nb_drivers--;
		memmove(&drivers[i], &drivers[i + 1], (nb_drivers - i) * sizeof(drivers[i]));
	}
	if (nb_drivers > 1)
		return 0;
	fprintf(stderr, "mempool-perf: no driver to compare with: name one with --ops\n");
	return -1;
}

/* Nothing is in use any more: the books of our pool must balance. */
static int
free_pools(void)
{
	int ret = 0;
	unsigned int i;

	if (drivers[0].mp != NULL &&
			(ppool_check(drivers[0].mp, stderr) != 0 ||
					rte_mempool_in_use_count(drivers[0].mp) != 0)) {
		fprintf(stderr, "mempool-perf: the ledger of our pool does not balance\n");
		ret = -1;
	}
	for (i = 0; i < nb_drivers; i++) {
		rte_mempool_free(drivers[i].mp);
		drivers[i].mp = NULL;
	}
	return ret;
}

/* All rows of one size of the mempool cache. */
static int
measure_cache(unsigned int cache, struct json *j)
{
	unsigned int lcores = rte_lcore_count();
	int ret = create_pools(cache);

	if (ret == 0) {
		measure_local(cache, 1, j);
		if (lcores > 1)
			measure_local(cache, lcores, j);
		if (lcores > 1 && !no_pipeline)
			measure_pipeline(cache, j);
	}
	return free_pools() == 0 ? ret : -1;
}

static void
driver_add(const char *ops)
{
	struct driver *d = &drivers[nb_drivers++];

	snprintf(d->ops, sizeof(d->ops), "%s", ops);
}

/* Ours, and those that were named; of the usual ones those that this DPDK has. */
static int
parse_ops(void)
{
	const char *names[RTE_MEMPOOL_MAX_OPS_IDX];
	unsigned int which[RTE_MEMPOOL_MAX_OPS_IDX], i;
	struct opt_words words = { .command = "mempool-perf",
		.option = "ops",
		.names = names,
		.skip_unknown = ops_list == usual_ops };
	int k, n;

	for (i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, PPOOL_OPS_NAME) != 0)
			names[words.n++] = rte_mempool_ops_table.ops[i].name;
	n = opt_names(&words, ops_list, which);
	if (n >= OPS_MAX) {
		fprintf(stderr, "mempool-perf: --ops '%s' has more than %d names\n", ops_list,
				OPS_MAX - 1);
		return -1;
	}
	driver_add(PPOOL_OPS_NAME);
	for (k = 0; k < n; k++)
		driver_add(names[which[k]]);
	return n < 0 ? -1 : 0;
}

/* On how many CPUs the lcores run. */
static unsigned int
count_cpus(void)
{
	rte_cpuset_t all, one;
	unsigned int id;

	CPU_ZERO(&all);
	RTE_LCORE_FOREACH(id) {
		one = rte_lcore_cpuset(id);
		CPU_OR(&all, &all, &one);
	}
	return (unsigned int)CPU_COUNT(&all);
}

static void
print_head(unsigned int cpus)
{
	unsigned int i;

	printf("million objects per second, got and put; median of %" PRIu64 " rounds of %" PRIu64
	       " ms\n",
			rounds, ms);
	printf("ratio: " PPOOL_OPS_NAME " to the fastest other driver, median of those of each "
	       "round; above 1 is better\n");
	if (cpus < rte_lcore_count())
		printf("%u lcores share %u CPUs: who is preempted inside a driver makes the others "
		       "wait\n",
				rte_lcore_count(), cpus);
	if (rte_lcore_count() == 1)
		printf("one lcore only: give more with --lcores for rows of many and pipelines\n");
	printf("\n%-9s%6s%7s%6s%6s", "", "cache", "lcores", "bulk", "keep");
	for (i = 0; i < nb_drivers; i++)
		printf("%12s", drivers[i].ops);
	printf("%8s  %s\n", "ratio", "to");
}

static int
mempool_perf_run(char **args)
{
	unsigned int i, cpus = count_cpus();
	struct json *j;
	int ret;

	(void)args;
	ret = parse_ops();
	if (ret == 0)
		ret = create_pools(0);
	if (free_pools() != 0 || ret != 0 || json_open(&j, json_path) != 0)
		return EXIT_FAILURE;
	run.ring = rte_ring_create("mempool_perf", RING_SIZE, SOCKET_ID_ANY,
			RING_F_SP_ENQ | RING_F_SC_DEQ);
	ret = run.ring == NULL ? -1 : 0;
	print_head(cpus);
	json_string(j, "command", "mempool-perf");
	json_uint(j, "tsc_hz", rte_get_tsc_hz());
	json_uint(j, "lcores", rte_lcore_count());
	json_uint(j, "cpus", cpus);
	json_uint(j, "rounds", rounds);
	json_uint(j, "ms", ms);
	json_array(j, "results");
	for (i = 0; i < caches.n && ret == 0; i++)
		ret = measure_cache((unsigned int)caches.v[i], j);
	json_end(j);
	json_bool(j, "ok", ret == 0);
	rte_ring_free(run.ring);
	if (json_close(j) != 0)
		ret = -1;
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command cmd_mempool_perf = {
	.name = "mempool-perf",
	.help = "rates of ordinary objects, against the mempool drivers of DPDK",
	.opts = mempool_perf_opts,
	.run = mempool_perf_run,
};
