/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include <ppool.h>
#include <ppool_carver.h>
#include <ppool_compact.h>

#include "commands.h"
#include "json.h"
#include "pool.h"

/*
 * What compaction gives back and costs: an application receives many packets, keeps one of so many
 * and frees the others. What it pins are data and header pages in use. In pages that a lane still
 * fills only what it keeps counts: the rest is what the receiver works with, however much is kept.
 * What it is charged for is the truesize of what it keeps.
 */

#define BURST 32u

static uint64_t packets = 262144;
static uint64_t one_in = 64;
static uint64_t window;
static uint64_t page_size = 16384;
static uint64_t lanes = 256;
static uint64_t max_len = 1518;
static struct uint_list lens = { 3, { 64, 570, 1518 } };
static bool shuffle;
static bool keep_mbufs;
static uint64_t max_occupancy = PPOOL_COMPACT_OCCUPANCY;
static uint64_t seed = 1;
static const char *json_path;

static const struct opt compact_opts[] = {
	{ "packets", OPT_UINT, &packets, BURST, 1 << 26, "N", "packets received" },
	{ "keep", OPT_UINT, &one_in, 1, 1 << 20, "N", "one in N is kept, at random" },
	{ "window", OPT_UINT, &window, 0, 1 << 26, "N",
			"packets received before the others are freed; 0: all" },
	{ "len", OPT_LIST, &lens, 1, UINT16_MAX, "N,...", "lengths of packets, in turn" },
	{ "max-len", OPT_UINT, &max_len, 1, UINT16_MAX, "BYTES", "largest packet of the carvers" },
	{ "page", OPT_UINT, &page_size, RTE_PKTMBUF_HEADROOM + 64, UINT16_MAX, "BYTES",
			"data room of pages, as testpmd's --mbuf-size" },
	{ "lanes", OPT_UINT, &lanes, 1, 4096, "N", "lanes of the carver that receives" },
	{ "max-occupancy", OPT_UINT, &max_occupancy, 1, 100, "PERCENT",
			"empty pages that are used up to that" },
	{ "keep-mbufs", OPT_FLAG, &keep_mbufs, 0, 0, NULL, "move data only" },
	{ "shuffle", OPT_FLAG, &shuffle, 0, 0, NULL,
			"hand over what is kept in random order, not in that of arrival" },
	{ "seed", OPT_UINT, &seed, 0, UINT64_MAX, "N", "of lengths and order" },
	{ "json", OPT_STR, &json_path, 0, 0, "FILE", "write the result there" },
	{ .name = NULL },
};

struct compact {
	struct rte_mempool *mp;
	struct ppool_carver *rx, *c;
	struct rte_mbuf **window; /* received, none of them freed yet */
	uint64_t received, keep_next;
	struct rte_mbuf **m; /* kept */
	unsigned int n;
	uint64_t rng;
};

/* What is in use at one time. */
struct state {
	uint64_t pinned, charged, stranded, slot_idle;
	uint32_t free_pages;
};

static uint64_t
random_number(uint64_t *state)
{
	uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static struct ppool_carver *
carver(const struct compact *t, uint64_t nb_lanes, uint64_t headroom, uint64_t largest)
{
	struct ppool_carver_conf conf = {
		.max_len = (uint32_t)largest,
		.headroom = (uint16_t)headroom,
		.nb_lanes = (uint16_t)nb_lanes,
		.port = RTE_MBUF_PORT_INVALID,
		.socket_id = SOCKET_ID_ANY,
	};

	return ppool_carver_create(t->mp, &conf);
}

/* All in the window, and one page for data and one for the header of each that is kept. */
static uint64_t
pages_to_need(void)
{
	uint64_t per_page = page_size / RTE_ALIGN_CEIL(max_len + RTE_PKTMBUF_HEADROOM, 64);
	uint64_t kept = packets / one_in + 1;

	return window / RTE_MAX(per_page, 1u) + window / (page_size / 256 + 1) +
			2 * RTE_MIN(kept, packets - window) + 2 * lanes + 1024;
}

static int
compact_init(struct compact *t)
{
	struct pool_conf conf = {
		.ops = PPOOL_OPS_NAME,
		.n = (unsigned int)pages_to_need(),
		.room = (uint16_t)page_size,
	};

	t->rng = seed;
	t->m = malloc((packets / one_in + 1) * sizeof(*t->m));
	t->window = malloc((window + BURST) * sizeof(*t->window));
	t->mp = pool_create("compact", &conf);
	if (t->m == NULL || t->window == NULL || t->mp == NULL) {
		fprintf(stderr,
				"compact: no pool of %u pages of %" PRIu64 " bytes: %s; ask for "
				"fewer --packets or a --window\n",
				conf.n, page_size, rte_strerror(rte_errno));
		return -1;
	}
	t->rx = carver(t, lanes, RTE_PKTMBUF_HEADROOM, max_len);
	if (t->rx != NULL)
		t->c = carver(t, 1, RTE_PKTMBUF_HEADROOM, max_len);
	if (t->c != NULL)
		return 0;
	fprintf(stderr, "compact: no carver for --max-len %" PRIu64 " in --page %" PRIu64 ": %s\n",
			max_len, page_size, rte_strerror(rte_errno));
	return -1;
}

static int
compact_fini(struct compact *t)
{
	ppool_carver_free(t->rx);
	ppool_carver_free(t->c);
	free(t->m);
	free(t->window);
	return pool_close(t->mp, "compact");
}

/* A burst as a driver receives it, descriptor by descriptor. */
static unsigned int
receive(struct compact *t, unsigned int *lane, struct rte_mbuf **m)
{
	unsigned int i, got = ppool_headers_get(t->rx, m, BURST);
	struct ppool_buf buf;
	uint32_t len;

	for (i = 0; i < got; i++) {
		if (ppool_reserve(t->rx, (uint16_t)*lane, &buf) != 0)
			break;
		len = (uint32_t)lens.v[random_number(&t->rng) % lens.n];
		ppool_commit(t->rx, (uint16_t)*lane, m[i], RTE_MIN(len, (uint32_t)max_len));
		memset(rte_pktmbuf_mtod(m[i], char *), (int)(t->rng & 0xff), m[i]->data_len);
		*lane = (*lane + 1) % (unsigned int)lanes;
	}
	ppool_headers_put(t->rx, m + i, got - i);
	return i;
}

/* Of one_in packets after each other, one is kept. */
static bool
is_kept(struct compact *t)
{
	bool kept;

	if (t->received % one_in == 0)
		t->keep_next = t->received + random_number(&t->rng) % one_in;
	kept = t->received++ == t->keep_next;
	return kept && t->n < packets / one_in;
}

static void
free_others(struct compact *t, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (is_kept(t))
			t->m[t->n++] = t->window[i];
		else
			rte_pktmbuf_free(t->window[i]);
	}
}

static int
build(struct compact *t)
{
	unsigned int lane = 0, n = 0, got;
	uint64_t left = packets;

	while (left > 0) {
		got = receive(t, &lane, t->window + n);
		n += got;
		left -= RTE_MIN(left, got);
		if (n >= window || left == 0 || got < BURST) {
			free_others(t, n);
			n = 0;
		}
		if (got < BURST) {
			fprintf(stderr, "compact: no page left with %" PRIu64 " to come\n", left);
			return -1;
		}
	}
	return 0;
}

static void
shuffle_kept(struct compact *t)
{
	struct rte_mbuf *m;
	unsigned int i, k;

	for (i = t->n; i > 1; i--) {
		k = (unsigned int)(random_number(&t->rng) % i);
		m = t->m[i - 1];
		t->m[i - 1] = t->m[k];
		t->m[k] = m;
	}
}

static int
look(const struct compact *t, struct state *s)
{
	struct ppool_ledger l;

	if (ppool_check(t->mp, stderr) != 0 || ppool_ledger_get(t->mp, &l) != 0)
		return -1;
	s->pinned = l.data_bytes - l.open - l.stranded_open + l.header_bytes;
	s->charged = l.charged + l.slot_charged;
	s->stranded = l.stranded - l.stranded_open;
	s->slot_idle = l.slot_idle;
	s->free_pages = l.free;
	return 0;
}

static double
ratio(const struct state *s)
{
	return s->charged == 0 ? 0 : (double)s->pinned / (double)s->charged;
}

static void
report_state(const char *name, const struct state *s, struct json *j)
{
	printf("%-8s%12" PRIu64 "%12" PRIu64 "%12" PRIu64 "%12" PRIu64 "%10.3f%12" PRIu32 "\n",
			name, s->pinned, s->charged, s->stranded, s->slot_idle, ratio(s),
			s->free_pages);
	json_object(j, name);
	json_uint(j, "pinned", s->pinned);
	json_uint(j, "charged", s->charged);
	json_uint(j, "stranded", s->stranded);
	json_uint(j, "slot_idle", s->slot_idle);
	json_real(j, "pinned_per_charged", ratio(s));
	json_uint(j, "free_pages", s->free_pages);
	json_end(j);
}

static void
report(const struct compact *t, const struct state *before, const struct state *after,
		const struct ppool_compact_result *r, uint64_t cycles, struct json *j)
{
	uint64_t moved = RTE_MAX(r->frags_moved, r->headers_moved);
	double each = moved == 0 ? 0 : (double)cycles / (double)moved;

	printf("%u packets kept of %" PRIu64 ", pages of %" PRIu64 " bytes, %" PRIu64 " lanes\n",
			t->n, packets, page_size, lanes);
	printf("%-8s%12s%12s%12s%12s%10s%12s\n", "", "pinned", "charged", "stranded", "idle slots",
			"pin/chg", "free pages");
	report_state("before", before, j);
	report_state("after", after, j);
	printf("released %" PRId64 " bytes in %" PRIu64 " cycles, %.0f a packet moved, %.2f ms\n",
			r->released, cycles, each,
			(double)cycles * 1000 / (double)rte_get_tsc_hz());
	json_uint(j, "kept", t->n);
	json_real(j, "released", (double)r->released);
	json_uint(j, "cycles", cycles);
	json_real(j, "cycles_per_packet", each);
#define COMPACT_PRINT(name, desc) \
	if (r->name != 0) \
		printf("  %-14s%10" PRIu64 "  %s\n", #name, r->name, desc); \
	json_uint(j, #name, r->name);
	PPOOL_COMPACT_COUNTS(COMPACT_PRINT)
#undef COMPACT_PRINT
}

static int
compact(struct compact *t, struct json *j)
{
	struct ppool_compact_conf conf = {
		.max_occupancy = (uint32_t)max_occupancy,
		.keep_mbufs = keep_mbufs,
	};
	struct ppool_compact_result r;
	struct state before, after;
	uint64_t cycles;

	if (build(t) != 0 || look(t, &before) != 0)
		return -1;
	if (shuffle)
		shuffle_kept(t);
	cycles = rte_rdtsc_precise();
	if (ppool_compact(t->c, t->m, t->n, &conf, &r) != 0)
		return -1;
	cycles = rte_rdtsc_precise() - cycles;
	if (look(t, &after) != 0)
		return -1;
	report(t, &before, &after, &r, cycles, j);
	return 0;
}

static int
compact_run(char **args)
{
	struct compact t = { .n = 0 };
	struct json *j;
	int ret;

	(void)args;
	window = window == 0 ? packets : RTE_MIN(window, packets);
	if (json_open(&j, json_path) != 0)
		return EXIT_FAILURE;
	json_uint(j, "packets", packets);
	json_uint(j, "window", window);
	json_uint(j, "keep", one_in);
	json_uint(j, "page", page_size);
	json_uint(j, "lanes", lanes);
	json_uint(j, "seed", seed);
	ret = compact_init(&t);
	if (ret == 0)
		ret = compact(&t, j);
	rte_pktmbuf_free_bulk(t.m, t.n);
	if (compact_fini(&t) != 0)
		ret = -1;
	json_bool(j, "ok", ret == 0);
	if (json_close(j) != 0)
		ret = -1;
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command cmd_compact = {
	.name = "compact",
	.help = "hold a few of many packets, and what compaction of these gives back",
	.opts = compact_opts,
	.run = compact_run,
};
