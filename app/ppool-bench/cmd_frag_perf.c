/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <ppool.h>
#include <ppool_carver.h>
#include <ppool_slot.h>

#include "bench_common.h"
#include "commands.h"
#include "frag_perf.h"
#include "json.h"
#include "pool.h"

/*
 * TSC cycles to allocate and free one mbuf: frags against mbufs of stock pools and against one
 * uncontended atomic increment. All subjects take turns, round by round within one run, because
 * only ratios between neighbours mean anything on a machine that does other things as well.
 *
 * A first-in first-out list lies between allocation and free: what an application holds decides
 * what is still in the processor's caches. And it decides how well they guess what comes next: in a
 * pool nobody has used yet, free objects lie in the order of their addresses, which is lost when
 * they are freed in any other order for the first time. Pools are measured as they are then.
 */

#define SUBJECTS_MAX 128
#define POOLS_MAX 64
#define BURST_MAX 512

static uint64_t rounds = 7;
static uint64_t bursts = 2000;
static uint64_t burst = 32;
static uint64_t lanes = 256;
static uint64_t cache = 512;
static struct uint_list helds = { 3, { 0, 1024, 65536 } };
static struct uint_list lens = { 3, { 64, 570, 1518 } };
static struct uint_list pages = { 3, { RTE_MBUF_DEFAULT_BUF_SIZE, 16384, UINT16_MAX } };
static const char *free_list = "bulk,one,random,other";
static bool free_wanted[FREE_MODES];
static bool fresh;
static const char *only;
static const char *json_path;

static const struct opt frag_perf_opts[] = {
	{ "rounds", OPT_UINT, &rounds, 1, ROUNDS_MAX, "N", "rounds to take the median of" },
	{ "bursts", OPT_UINT, &bursts, 1, 10000000, "N", "bursts timed in each round" },
	{ "burst", OPT_UINT, &burst, 1, BURST_MAX, "N", "mbufs in a burst" },
	{ "held", OPT_LIST, &helds, 0, 1 << 24, "N,...", "mbufs held between allocation and free" },
	{ "len", OPT_LIST, &lens, 1, UINT16_MAX, "N,...", "data lengths of frags" },
	{ "page", OPT_LIST, &pages, RTE_PKTMBUF_HEADROOM + 64, UINT16_MAX, "N,...",
			"data rooms of pages, as testpmd's --mbuf-size" },
	{ "lanes", OPT_UINT, &lanes, 1, 4096, "N", "lanes that reserve and commit take in turn" },
	{ "cache", OPT_UINT, &cache, 1, RTE_MEMPOOL_CACHE_MAX_SIZE, "N",
			"mempool cache of the pools that have one" },
	{ "free", OPT_STR, &free_list, 0, 0, "HOW,...",
			"free in bulks or one by one, those held in random order, on another lcore" },
	{ "fresh", OPT_FLAG, &fresh, 0, 0, NULL,
			"pools nobody has used yet; else each was freed into in random order before" },
	{ "only", OPT_STR, &only, 0, 0, "NAME",
			"a row of the table, measured alone: for a profiler" },
	{ "json", OPT_STR, &json_path, 0, 0, "FILE", "write the result there" },
	{ .name = NULL },
};

/* Everything that exists for one number of held mbufs. */
struct bench {
	uint64_t held;
	unsigned int nb_pools, nb_subjects;
	struct rte_mempool *pool[POOLS_MAX];
	struct subject subject[SUBJECTS_MAX];
	struct subject *ring, *stack; /* with a cache: what the others are compared to */
	double atomic[ROUNDS_MAX];
	struct fifo fifo;
};

static int
alloc_object(struct subject *s, struct rte_mbuf **m, unsigned int n)
{
	return rte_pktmbuf_alloc_bulk(s->mp, m, n);
}

static int
alloc_carve(struct subject *s, struct rte_mbuf **m, unsigned int n)
{
	uint32_t len[BURST_MAX];
	unsigned int i;

	for (i = 0; i < n; i++)
		len[i] = s->len;
	return ppool_carve_bulk(s->c, m, len, n);
}

/* What a driver does: one lane per descriptor, in turn. */
static int
alloc_lane(struct subject *s, struct rte_mbuf **m, unsigned int n)
{
	unsigned int got = ppool_headers_get(s->c, m, n), i = 0;
	struct ppool_buf buf;

	for (; i < got; i++) {
		if (ppool_reserve(s->c, (uint16_t)s->lane, &buf) != 0)
			break;
		ppool_commit(s->c, (uint16_t)s->lane, m[i], s->len);
		if (++s->lane == lanes)
			s->lane = 0;
	}
	if (i == n)
		return 0;
	rte_pktmbuf_free_bulk(m, i);
	ppool_headers_put(s->c, m + i, got - i);
	return -ENOMEM;
}

static struct rte_mempool *
add_pool_of(struct bench *b, const struct pool_conf *conf)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *mp;

	if (b->nb_pools == POOLS_MAX) {
		fprintf(stderr, "frag-perf: too many pools: ask for fewer --page\n");
		return NULL;
	}
	snprintf(name, sizeof(name), "frag_perf_%u", b->nb_pools);
	mp = pool_create(name, conf);
	if (mp == NULL) {
		fprintf(stderr,
				"frag-perf: no pool of %u mbufs of %" PRIu32
				" bytes with ops %s: %s; ask for less with --held or --page\n",
				conf->n, conf->room, conf->ops, rte_strerror(rte_errno));
		return NULL;
	}
	b->pool[b->nb_pools++] = mp;
	return mp;
}

static struct rte_mempool *
add_pool(struct bench *b, const char *ops, uint64_t n, uint64_t cache_size, uint64_t room)
{
	const struct pool_conf conf = {
		.ops = ops,
		.n = (unsigned int)n,
		.cache = (unsigned int)cache_size,
		.room = (uint32_t)room,
	};

	return add_pool_of(b, &conf);
}

static struct subject *
add_subject(struct bench *b, const char *name, struct rte_mempool *mp, uint64_t page)
{
	struct subject *s = &b->subject[b->nb_subjects];

	if (b->nb_subjects == SUBJECTS_MAX) {
		fprintf(stderr, "frag-perf: too many subjects: ask for fewer --page or --len\n");
		return NULL;
	}
	b->nb_subjects++;
	s->name = name;
	s->mp = mp;
	s->page = (uint32_t)page;
	s->alloc = alloc_object;
	return s;
}

/* A subject with a pool of its own, of the default size. */
static struct subject *
add_stock(struct bench *b, const char *name, const char *ops, uint64_t cache_size)
{
	uint64_t n = b->held + 2 * burst + 2 * cache_size + 1024;
	struct rte_mempool *mp = add_pool(b, ops, n, cache_size, RTE_MBUF_DEFAULT_BUF_SIZE);

	return mp == NULL ? NULL : add_subject(b, name, mp, RTE_MBUF_DEFAULT_BUF_SIZE);
}

/* What an external buffer costs an mbuf, with nothing of ours. */
static int
add_pinned(struct bench *b)
{
	const struct pool_conf conf = {
		.ops = "ring_mp_mc",
		.n = (unsigned int)(b->held + 2 * burst + 2 * cache + 1024),
		.cache = (unsigned int)cache,
		.room = RTE_MBUF_DEFAULT_BUF_SIZE,
		.pinned = true,
	};
	struct rte_mempool *mp = add_pool_of(b, &conf);

	return mp == NULL || add_subject(b, "pinned, cache", mp, conf.room) == NULL ? -1 : 0;
}

/* What a frag count costs a page that is not split: it has none as long as no page is. */
static int
add_unsplit(struct bench *b)
{
	const struct pool_conf conf = {
		.ops = PPOOL_OPS_NAME,
		.n = (unsigned int)(b->held + 2 * burst + 1024),
		.room = RTE_MBUF_DEFAULT_BUF_SIZE,
		.unsplit = true,
	};
	struct rte_mempool *mp = add_pool_of(b, &conf);

	return mp == NULL || add_subject(b, "page, unsplit", mp, conf.room) == NULL ? -1 : 0;
}

/* Whole pages as mono-frags, allocated from the frag pool: headers take pages as well. */
static int
add_mono_frags(struct bench *b)
{
	uint64_t mbufs = b->held + 2 * burst;
	uint64_t headers = mbufs / (RTE_MBUF_DEFAULT_BUF_SIZE / 256);
	struct rte_mempool *mp = add_pool(b, PPOOL_OPS_NAME, mbufs + headers + 1024, 0,
			RTE_MBUF_DEFAULT_BUF_SIZE);

	if (mp == NULL)
		return -1;
	return add_subject(b, "mono-frag", ppool_frag_pool(mp), RTE_MBUF_DEFAULT_BUF_SIZE) == NULL ?
			-1 :
			0;
}

static int
add_carver(struct bench *b, const char *name, struct rte_mempool *mp, uint64_t page, uint64_t len,
		uint64_t nb_lanes)
{
	struct ppool_carver_conf conf = {
		.max_len = (uint32_t)len,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = (uint16_t)nb_lanes,
		.port = RTE_MBUF_PORT_INVALID,
		.socket_id = SOCKET_ID_ANY,
	};
	struct subject *s = add_subject(b, name, mp, page);

	if (s == NULL)
		return -1;
	s->len = (uint32_t)len;
	s->alloc = nb_lanes == 1 ? alloc_carve : alloc_lane;
	s->c = ppool_carver_create(mp, &conf);
	if (s->c == NULL) {
		fprintf(stderr,
				"frag-perf: no carver of %" PRIu64 " lanes for --len %" PRIu64 ": "
				"%s"
				"\n",
				nb_lanes, len, rte_strerror(rte_errno));
		return -1;
	}
	return 0;
}

/* A slot of its length for each packet. */
static int
add_slots(struct bench *b, struct rte_mempool *mp, uint64_t page, uint64_t len)
{
	struct rte_mempool *view = ppool_slot_pool(mp, (uint16_t)len);
	struct subject *s;

	if (view == NULL)
		return rte_errno == E2BIG ? 0 : -1;
	s = add_subject(b, "slot", view, page);
	if (s == NULL)
		return -1;
	s->len = (uint32_t)len;
	return 0;
}

/* What a slot takes, at most, besides its data: front line, mbuf, headroom, and by its class. */
static uint64_t
slot_bytes(uint64_t page, uint64_t len)
{
	uint64_t bytes = (len + RTE_PKTMBUF_HEADROOM + 192 + RTE_CACHE_LINE_SIZE) * 9 / 8;

	return RTE_MIN(bytes, page);
}

/* Pages that a carver of each length needs when it holds what it shall. */
static uint64_t
pages_needed(const struct bench *b, uint64_t page)
{
	uint64_t slots = page / 256, max = 0, per_page, n;
	unsigned int i;

	for (i = 0; i < lens.n; i++) {
		per_page = RTE_MAX(page / slot_bytes(page, lens.v[i]), 1u);
		n = (b->held + 2 * burst) / per_page;
		/* In random order, a page waits for the last of its frags: harmonic numbers. */
		if (free_wanted[FREE_RANDOM])
			n *= 1 + rte_log2_u64(per_page);
		n += (b->held + 2 * burst) / slots;
		max = RTE_MAX(max, n);
	}
	return max + lens.n * (2 * lanes + 2) + 256;
}

static int
add_carvers(struct bench *b, uint64_t page)
{
	struct rte_mempool *mp = add_pool(b, PPOOL_OPS_NAME, pages_needed(b, page), 0, page);
	unsigned int i;

	if (mp == NULL)
		return -1;
	for (i = 0; i < lens.n; i++) {
		if (lens.v[i] + RTE_PKTMBUF_HEADROOM > page)
			continue;
		if (add_carver(b, "carve", mp, page, lens.v[i], 1) != 0)
			return -1;
		if (add_slots(b, mp, page, lens.v[i]) != 0)
			return -1;
		if (lanes > 1 && add_carver(b, "lanes", mp, page, lens.v[i], lanes) != 0)
			return -1;
	}
	return 0;
}

static int
bench_init(struct bench *b, uint64_t held)
{
	unsigned int i;

	b->held = held;
	if (fifo_init(&b->fifo, held, (unsigned int)burst) != 0)
		return -1;
	b->ring = add_stock(b, "ring, cache", "ring_mp_mc", cache);
	b->stack = add_stock(b, "stack, cache", "stack", cache);
	if (b->ring == NULL || b->stack == NULL || add_stock(b, "ring", "ring_mp_mc", 0) == NULL ||
			add_stock(b, "stack", "stack", 0) == NULL ||
			add_stock(b, "page, cache", PPOOL_OPS_NAME, cache) == NULL ||
			add_stock(b, "page", PPOOL_OPS_NAME, 0) == NULL || add_unsplit(b) != 0 ||
			add_pinned(b) != 0 || add_mono_frags(b) != 0)
		return -1;
	for (i = 0; i < pages.n; i++)
		if (add_carvers(b, pages.v[i]) != 0)
			return -1;
	return 0;
}

static bool
is_wanted(const struct subject *s)
{
	return only == NULL || strcmp(only, s->name) == 0;
}

/* Rows that differ in page or length have one name. */
static bool
is_first_of_name(const struct bench *b, const struct subject *s)
{
	const struct subject *o = b->subject;

	while (strcmp(o->name, s->name) != 0)
		o++;
	return o == s;
}

static int
check_only(const struct bench *b)
{
	const struct subject *s;

	for (s = b->subject; s < b->subject + b->nb_subjects; s++)
		if (is_wanted(s))
			return 0;
	fprintf(stderr, "frag-perf: --only '%s' is no row of the table; rows are", only);
	for (s = b->subject; s < b->subject + b->nb_subjects; s++)
		if (is_first_of_name(b, s))
			fprintf(stderr, "%s '%s'", s == b->subject ? "" : ",", s->name);
	fprintf(stderr, "\n");
	return -1;
}

static int
subject_exhausted(const struct subject *s)
{
	fprintf(stderr,
			"frag-perf: %s of %" PRIu32 " bytes, pages of %" PRIu32
			": pool exhausted\n",
			s->name, s->len, s->page);
	return -1;
}

static int
bench_age(struct bench *b)
{
	struct subject *s;

	for (s = b->subject; s < b->subject + b->nb_subjects; s++)
		if (is_wanted(s) && frag_perf_age(&b->fifo, s) != 0)
			return subject_exhausted(s);
	return 0;
}

/* Nothing is held any more: the books of our pools must balance. */
static int
bench_fini(struct bench *b)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < b->nb_subjects; i++)
		ppool_carver_free(b->subject[i].c);
	for (i = 0; i < b->nb_pools; i++)
		if (pool_close(b->pool[i], "frag-perf") != 0)
			ret = -1;
	fifo_fini(&b->fifo);
	return ret;
}

static int
bench_round(struct bench *b, unsigned int round)
{
	struct subject *s;
	unsigned int mode;

	b->atomic[round] = measure_atomic(bursts * burst);
	for (s = b->subject; s < b->subject + b->nb_subjects; s++)
		for (mode = 0; mode < FREE_MODES; mode++) {
			if (!free_wanted[mode] || !is_wanted(s))
				continue;
			s->cycles[mode][round] = frag_perf_measure(&b->fifo, s, mode, bursts);
			if (s->cycles[mode][round] < 0)
				return subject_exhausted(s);
		}
	return 0;
}

/* Compared with the others, where these were measured. */
static void
report_ratios(const struct bench *b, const struct subject *s, enum free_mode mode, struct json *j)
{
	unsigned int n = (unsigned int)rounds;
	double ring = median_ratio(s->cycles[mode], b->ring->cycles[mode], n);
	double stack = median_ratio(s->cycles[mode], b->stack->cycles[mode], n);

	printf("%7.2f%7.2f", ring, stack);
	json_real(j, "to_ring_cache", ring);
	json_real(j, "to_stack_cache", stack);
}

static void
report_subject(const struct bench *b, const struct subject *s, enum free_mode mode, struct json *j)
{
	unsigned int n = (unsigned int)rounds;
	double cycles = median(s->cycles[mode], n);
	double atomic = median_ratio(s->cycles[mode], b->atomic, n);

	json_object(j, NULL);
	json_uint(j, "held", b->held);
	json_string(j, "name", s->name);
	json_uint(j, "page", s->page);
	json_uint(j, "len", s->len);
	json_string(j, "free", free_names[mode]);
	json_real(j, "cycles", cycles);
	json_real(j, "to_atomic", atomic);
	printf("%-13s%6" PRIu32 "%6" PRIu32 "%8s%9.1f", s->name, s->page, s->len, free_names[mode],
			cycles);
	if (only == NULL)
		report_ratios(b, s, mode, j);
	printf("%7.2f\n", atomic);
	json_end(j);
}

static void
report(const struct bench *b, struct json *j)
{
	unsigned int i, mode;

	printf("\n%" PRIu64 " held, bursts of %" PRIu64 ", atomic increment %.1f cycles\n", b->held,
			burst, median(b->atomic, (unsigned int)rounds));
	printf("%-13s%6s%6s%8s%9s%s%7s\n", "", "page", "len", "free", "cycles",
			only == NULL ? "  /ring /stack" : "", "/atom");
	for (mode = 0; mode < FREE_MODES; mode++)
		for (i = 0; free_wanted[mode] && i < b->nb_subjects; i++)
			if (is_wanted(&b->subject[i]))
				report_subject(b, &b->subject[i], mode, j);
	fflush(stdout);
}

static int
bench(uint64_t held, struct json *j)
{
	struct bench *b = calloc(1, sizeof(*b));
	unsigned int round;
	int ret;

	if (b == NULL)
		return -1;
	ret = bench_init(b, held);
	if (ret == 0)
		ret = check_only(b);
	if (ret == 0 && !fresh)
		ret = bench_age(b);
	for (round = 0; ret == 0 && round < rounds; round++)
		ret = bench_round(b, round);
	if (ret == 0)
		report(b, j);
	if (bench_fini(b) != 0)
		ret = -1;
	free(b);
	return ret;
}

/* Which ways to free are wanted, and can be had. */
static int
parse_free(void)
{
	const struct opt_words words = {
		.command = "frag-perf", .option = "free", .names = free_names, .n = FREE_MODES
	};
	unsigned int which[FREE_MODES];
	int i, n = opt_names(&words, free_list, which);

	for (i = 0; i < n; i++) {
		free_wanted[which[i]] = free_mode_works(which[i]);
		if (!free_wanted[which[i]])
			printf("'%s' is left out: give a second lcore with --lcores\n",
					free_names[which[i]]);
	}
	return n < 0 ? -1 : 0;
}

static int
frag_perf_run(char **args)
{
	struct json *j;
	unsigned int i;
	int ret = 0;

	(void)args;
	if (parse_free() != 0 || json_open(&j, json_path) != 0)
		return EXIT_FAILURE;
	printf("TSC cycles to allocate and free one mbuf; median of %" PRIu64 " rounds; TSC",
			rounds);
	printf(" %" PRIu64 " MHz;\n", rte_get_tsc_hz() / 1000000);
	printf("ratios to ring and stack with a cache of %" PRIu64 ", to an atomic increment\n",
			cache);
	json_string(j, "command", "frag-perf");
	json_uint(j, "tsc_hz", rte_get_tsc_hz());
	json_uint(j, "rounds", rounds);
	json_uint(j, "burst", burst);
	json_uint(j, "cache", cache);
	json_uint(j, "lanes", lanes);
	json_bool(j, "fresh", fresh);
	json_array(j, "results");
	for (i = 0; i < helds.n && ret == 0; i++)
		ret = bench(helds.v[i], j);
	json_end(j);
	json_bool(j, "ok", ret == 0);
	if (json_close(j) != 0)
		ret = -1;
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command cmd_frag_perf = {
	.name = "frag-perf",
	.help = "cycles to allocate and free frags, against stock pools and an atomic increment",
	.opts = frag_perf_opts,
	.run = frag_perf_run,
};
