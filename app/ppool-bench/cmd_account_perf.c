/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <ppool.h>
#include <ppool_account.h>
#include <ppool_carver.h>

#include "bench_common.h"
#include "commands.h"
#include "json.h"
#include "pool.h"

/*
 * What accounts cost: mbufs are carved and freed, with and without charging them in between. All
 * rows of the table take turns, round by round, and a row is compared with another one of the same
 * round. The main lcore is measured while another one does nothing, or something that may disturb.
 */

#define BURST_MAX 64
#define ROWS_MAX 16
#define PAGES 512u
#define PAGE_ROOM 16384u

static uint64_t rounds = 21;
static uint64_t bursts = 5000;
static uint64_t burst = 32;
static uint64_t len = 64;
static const char *json_path;

static const struct opt account_perf_opts[] = {
	{ "rounds", OPT_UINT, &rounds, 1, ROUNDS_MAX, "N", "rounds to take the median of" },
	{ "bursts", OPT_UINT, &bursts, 1, 10000000, "N", "bursts timed in each round" },
	{ "burst", OPT_UINT, &burst, 2, BURST_MAX, "N", "mbufs in a burst" },
	{ "len", OPT_UINT, &len, 1, 2048, "N", "data length of frags" },
	{ "json", OPT_STR, &json_path, 0, 0, "FILE", "write the result there" },
	{ .name = NULL },
};

/* What an lcore does with one burst. */
enum deed {
	REST,
	PLAIN,
	CHARGE,
	MOVE,
	MIX,
	POLL,
};

static const char * const deeds[] = {
	[REST] = "nothing",
	[PLAIN] = "carve, free",
	[CHARGE] = "carve, charge, free",
	[MOVE] = "carve, charge, move, free",
	[MIX] = "the same, 2 accounts mixed",
	[POLL] = "poll a full account",
};

/* A line of the table. */
struct row {
	enum deed deed;
	enum deed other; /* what another lcore does meanwhile */
	bool shared;     /* on the same account */
	int reference;   /* the row that it is compared with, -1: none */
	double cycles[ROUNDS_MAX];
};

static struct row rows[] = {
	{ .deed = PLAIN, .other = REST, .reference = -1 },
	{ .deed = CHARGE, .other = REST, .reference = 0 },
	{ .deed = MOVE, .other = REST, .reference = 1 },
	{ .deed = MIX, .other = REST, .reference = 0 },
	{ .deed = POLL, .other = REST, .reference = -1 },
	/* What follows needs a second lcore. */
	{ .deed = PLAIN, .other = PLAIN, .reference = 0 },
	{ .deed = CHARGE, .other = CHARGE, .reference = 5 },
	{ .deed = CHARGE, .other = CHARGE, .shared = true, .reference = 5 },
	{ .deed = PLAIN, .other = POLL, .reference = 0 },
	{ .deed = CHARGE, .other = POLL, .reference = 1 },
};
#define ROWS_ALONE 5u

/* One lcore with a pool of its own. */
struct actor {
	struct rte_mempool *mp;
	struct ppool_carver *c;
	struct rte_mbuf *refused[BURST_MAX];
	uint32_t len[BURST_MAX];
	uint16_t account, second, full;
	enum deed deed;
	bool failed;
};

struct bench {
	struct actor here, there;
	unsigned int nb_rows;
	unsigned int other_lcore;
	bool stop, started;
	double atomic[ROUNDS_MAX];
};

/* Half of a burst to each of two accounts, mbuf by mbuf. */
static bool
charge_mixed(const struct actor *a, struct rte_mbuf **m)
{
	struct rte_mbuf *half[2][BURST_MAX];
	unsigned int i, odd = (unsigned int)burst / 2, even = (unsigned int)burst - odd;

	for (i = 0; i < burst; i++)
		half[i % 2][i / 2] = m[i];
	return ppool_account_charge(a->account, half[0], even) == even &&
			ppool_account_charge(a->second, half[1], odd) == odd;
}

static bool
charge(const struct actor *a, struct rte_mbuf **m, unsigned int n)
{
	switch (a->deed) {
	case CHARGE:
		return ppool_account_charge(a->account, m, n) == n;
	case MOVE:
		return ppool_account_charge(a->account, m, n) == n &&
				ppool_account_move(a->account, a->second, m, n) == n;
	case MIX:
		return charge_mixed(a, m);
	default:
		return true;
	}
}

static bool
work(struct actor *a)
{
	unsigned int n = (unsigned int)burst;
	struct rte_mbuf *m[BURST_MAX];

	if (a->deed == REST) {
		rte_pause();
		return true;
	}
	if (a->deed == POLL)
		return ppool_account_charge(a->full, a->refused, n) == 0;
	if (ppool_carve_bulk(a->c, m, a->len, n) != 0)
		return false;
	if (!charge(a, m, n))
		return false;
	rte_pktmbuf_free_bulk(m, n);
	return true;
}

static int
work_until_stopped(void *arg)
{
	struct bench *b = arg;

	__atomic_store_n(&b->started, true, __ATOMIC_RELEASE);
	while (!__atomic_load_n(&b->stop, __ATOMIC_ACQUIRE))
		if (!work(&b->there)) {
			b->there.failed = true;
			break;
		}
	return 0;
}

static bool
has_other(const struct bench *b)
{
	return b->other_lcore < RTE_MAX_LCORE;
}

static void
start_other(struct bench *b, const struct row *r)
{
	b->there.deed = r->other;
	b->there.account = r->shared ? b->here.account : b->there.second;
	b->stop = false;
	b->started = false;
	if (!has_other(b) || rte_eal_remote_launch(work_until_stopped, b, b->other_lcore) != 0)
		return;
	while (!__atomic_load_n(&b->started, __ATOMIC_ACQUIRE))
		rte_pause();
}

static void
stop_other(struct bench *b)
{
	__atomic_store_n(&b->stop, true, __ATOMIC_RELEASE);
	if (has_other(b))
		rte_eal_wait_lcore(b->other_lcore);
}

/* Cycles per mbuf, or per call where nothing is charged. */
static double
measure(struct bench *b, const struct row *r)
{
	uint64_t i, begin, cycles, per = r->deed == POLL ? 1 : burst;

	b->here.deed = r->deed;
	for (i = 0; i < bursts / 10; i++)
		b->here.failed |= !work(&b->here);
	begin = rte_rdtsc_precise();
	for (i = 0; i < bursts && !b->here.failed; i++)
		b->here.failed = !work(&b->here);
	cycles = rte_rdtsc_precise() - begin;
	return (double)cycles / (double)(bursts * per);
}

static int
bench_round(struct bench *b, unsigned int round)
{
	unsigned int i;

	b->atomic[round] = measure_atomic(bursts * burst);
	for (i = 0; i < b->nb_rows; i++) {
		start_other(b, &rows[i]);
		rows[i].cycles[round] = measure(b, &rows[i]);
		stop_other(b);
		if (!b->here.failed && !b->there.failed)
			continue;
		fprintf(stderr, "account-perf: %s: the pool is exhausted or a charge wrong\n",
				deeds[rows[i].deed]);
		return -1;
	}
	return 0;
}

static uint16_t
make_account(const char *name, unsigned int i, uint64_t limit)
{
	char text[PPOOL_ACCOUNT_NAMESIZE];
	uint16_t id;

	snprintf(text, sizeof(text), "perf_%s_%u", name, i);
	id = ppool_account_create(text, limit);
	if (id == PPOOL_ACCOUNT_NONE)
		fprintf(stderr, "account-perf: no account %s: %s\n", text, rte_strerror(rte_errno));
	return id;
}

static int
actor_init(struct actor *a, unsigned int i)
{
	struct pool_conf conf = { .ops = PPOOL_OPS_NAME, .n = PAGES, .room = PAGE_ROOM };
	struct ppool_carver_conf carver = {
		.max_len = (uint32_t)len,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = 1,
		.port = RTE_MBUF_PORT_INVALID,
		.socket_id = SOCKET_ID_ANY,
	};
	char name[RTE_MEMPOOL_NAMESIZE];
	unsigned int k;

	for (k = 0; k < BURST_MAX; k++)
		a->len[k] = (uint32_t)len;
	snprintf(name, sizeof(name), "account_perf_%u", i);
	a->mp = pool_create(name, &conf);
	a->c = a->mp == NULL ? NULL : ppool_carver_create(a->mp, &carver);
	if (a->c == NULL || ppool_carve_bulk(a->c, a->refused, a->len, BURST_MAX) != 0) {
		fprintf(stderr, "account-perf: no pool of %u pages of %u bytes: %s\n", PAGES,
				PAGE_ROOM, rte_strerror(rte_errno));
		return -1;
	}
	a->account = make_account("first", i, PPOOL_ACCOUNT_UNLIMITED);
	a->second = make_account("second", i, PPOOL_ACCOUNT_UNLIMITED);
	a->full = make_account("full", i, 1);
	return a->account == 0 || a->second == 0 || a->full == 0 ? -1 : 0;
}

/* Everything has been freed: nothing may be charged, and the books must balance. */
static int
actor_fini(struct actor *a)
{
	int ret = 0;

	if (a->refused[0] != NULL)
		rte_pktmbuf_free_bulk(a->refused, BURST_MAX);
	ppool_carver_free(a->c);
	if (a->mp != NULL && ppool_check(a->mp, stderr) != 0)
		ret = -1;
	rte_mempool_free(a->mp);
	return ret;
}

static int
free_accounts(const struct actor *a, uint16_t first)
{
	uint16_t ids[] = { first, a->second, a->full };
	unsigned int i;
	int ret = 0;

	for (i = 0; i < RTE_DIM(ids); i++)
		if (ids[i] != PPOOL_ACCOUNT_NONE && ppool_account_free(ids[i]) != 0) {
			fprintf(stderr, "account-perf: %s is still charged\n",
					ppool_account_name(ids[i]));
			ret = -1;
		}
	return ret;
}

/* Of what a row takes more than its reference in the same round. */
static double
median_above(const double *samples, const double *reference)
{
	double above[ROUNDS_MAX];
	unsigned int i;

	for (i = 0; i < rounds; i++)
		above[i] = samples[i] - reference[i];
	return median(above, (unsigned int)rounds);
}

static void
report_row(const struct bench *b, const struct row *r, struct json *j)
{
	const double *reference = r->reference < 0 ? NULL : rows[r->reference].cycles;
	double atomic = median(b->atomic, (unsigned int)rounds),
	       cycles = median(r->cycles, (unsigned int)rounds);
	double more = reference == NULL ? 0 : median_above(r->cycles, reference);

	printf("%3td  %-28s%-21s%-5s%9.1f", r - rows, deeds[r->deed], deeds[r->other],
			r->shared ? "same" : "", cycles);
	if (reference != NULL)
		printf("%9.1f%9.2f  of %d", more, more / atomic, r->reference);
	else if (r->deed == POLL)
		printf("%9s%9.2f  a call", "", cycles / atomic);
	printf("\n");
	json_object(j, NULL);
	json_string(j, "what", deeds[r->deed]);
	json_string(j, "other_lcore", deeds[r->other]);
	json_bool(j, "same_account", r->shared);
	json_string(j, "per", r->deed == POLL ? "call" : "mbuf");
	json_real(j, "cycles", cycles);
	if (reference != NULL) {
		json_uint(j, "reference", (uint64_t)r->reference);
		json_real(j, "more", more);
	}
	json_real(j, "to_atomic", (reference != NULL ? more : cycles) / atomic);
	json_end(j);
}

static void
report(const struct bench *b, struct json *j)
{
	double atomic = median(b->atomic, (unsigned int)rounds);
	unsigned int i;

	printf("TSC cycles per mbuf, bursts of %" PRIu64 ", %" PRIu64 " bytes; median of %" PRIu64
	       " rounds; atomic increment %.1f\n\n",
			burst, len, rounds, atomic);
	printf("     %-28s%-26s%9s%9s%9s\n", "this lcore", "the other one, account", "cycles",
			"more", "/atomic");
	json_uint(j, "tsc_hz", rte_get_tsc_hz());
	json_uint(j, "rounds", rounds);
	json_uint(j, "burst", burst);
	json_uint(j, "len", len);
	json_real(j, "atomic", atomic);
	json_array(j, "results");
	for (i = 0; i < b->nb_rows; i++)
		report_row(b, &rows[i], j);
	json_end(j);
	if (!has_other(b))
		printf("\nRows with another lcore need one: --lcores 0@0,1@1\n");
}

static int
bench(struct json *j)
{
	struct bench b = { .other_lcore = rte_get_next_lcore(-1, 1, 0) };
	uint16_t first_there;
	unsigned int round;
	int ret;

	b.nb_rows = has_other(&b) ? RTE_DIM(rows) : ROWS_ALONE;
	ret = actor_init(&b.here, 0);
	if (ret == 0)
		ret = actor_init(&b.there, 1);
	first_there = b.there.account;
	for (round = 0; ret == 0 && round < rounds; round++)
		ret = bench_round(&b, round);
	if (ret == 0)
		report(&b, j);
	if (ret == 0 && ppool_account_check(stderr) != 0)
		ret = -1;
	if (actor_fini(&b.here) != 0 || actor_fini(&b.there) != 0)
		ret = -1;
	if (free_accounts(&b.here, b.here.account) != 0 ||
			free_accounts(&b.there, first_there) != 0)
		ret = -1;
	return ret;
}

static int
account_perf_run(char **args)
{
	struct json *j;
	int ret;

	(void)args;
	if (json_open(&j, json_path) != 0)
		return EXIT_FAILURE;
	ret = bench(j);
	json_bool(j, "ok", ret == 0);
	if (json_close(j) != 0)
		ret = -1;
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command cmd_account_perf = {
	.name = "account-perf",
	.help = "cycles to charge mbufs to accounts, against an atomic increment",
	.opts = account_perf_opts,
	.run = account_perf_run,
};
