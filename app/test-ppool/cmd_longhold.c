/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include <ppool.h>
#include <ppool_carver.h>
#include <ppool_keep.h>
#include <ppool_slot.h>

#include "app.h"
#include "json.h"
#include "longhold_load.h"
#include "pool.h"

/*
 * What do few packets pin that are held for long? Packets are made without a port, in bursts. Most
 * of them are freed at once, a share is held for random numbers of packets. The same packets are
 * allocated in several ways, one after the other, and looked at between bursts: what the live ones
 * are charged, what pages of the pool are not free because of them, and what as many stock mbufs
 * take.
 */

#define BURST 32u
/* Samples are taken so often in each run, and a few of them printed. */
#define SAMPLES 400u
#define ROWS 8u
/* By then as many packets end as begin, but for the longest tails. */
#define WARM_UP_LIVES 3

static uint64_t packets = 1000000;
static struct uint_list lens = { 12, { 64, 64, 64, 64, 64, 64, 64, 570, 570, 570, 570, 1518 } };
static struct uint_list shares = { 1, { 5 } };
static const char *life_text = "pareto:1.2:1000";
static struct uint_list pages = { 1, { 16384 } };
static uint64_t memory = 256;
static uint64_t mbufs;
static uint64_t lanes = 256;
static const char *way_list = "stock,carve,lanes,slots,keep-stock,keep-lanes";
static uint64_t seed = 1;
static const char *json_path;

static const struct opt longhold_opts[] = {
	{ "packets", OPT_UINT, &packets, 1000, UINT64_C(1) << 40, "N", "how many in each run" },
	{ "len", OPT_LIST, &lens, 1, UINT16_MAX, "N,...",
			"data lengths of packets, equally often: IMIX" },
	{ "share", OPT_LIST, &shares, 1, 100, "P,...",
			"percent of the packets that are held, a number for each --life" },
	{ "life", OPT_STR, &life_text, 0, 0, "LIFE,...",
			"for so many packets: pareto:SHAPE:MIN or exp:MEAN" },
	{ "page", OPT_LIST, &pages, RTE_PKTMBUF_HEADROOM + 64, 1 << 29, "N,...",
			"data rooms of pages, as testpmd's --mbuf-size" },
	{ "memory", OPT_UINT, &memory, 1, 1 << 20, "MB", "of each pool" },
	{ "mbufs", OPT_UINT, &mbufs, 0, INT32_MAX, "N",
			"mbufs or pages of each pool; 0: as many as --memory holds" },
	{ "lanes", OPT_UINT, &lanes, 1, 4096, "N", "lanes that take turns" },
	{ "ways", OPT_STR, &way_list, 0, 0, "WAY,...", "how packets are allocated" },
	{ "seed", OPT_UINT, &seed, 1, UINT32_MAX, "N", "of the random numbers" },
	{ "json", OPT_STR, &json_path, 0, 0, "FILE", "write the result there" },
	{ .name = NULL },
};

static struct life lives[LIFE_GROUPS_MAX];

/* What is allocated from, in one of the ways. */
struct source {
	struct rte_mempool *mp;
	struct rte_mempool *rx; /* what a stock driver receives into, else NULL */
	struct ppool_carver *carver;
	uint16_t lane;
	struct rte_mempool *view[UINT_LIST_MAX]; /* of each length */
};

struct way {
	const char *name;
	int (*init)(struct source *s);
	struct rte_mbuf *(*alloc)(struct source *s, unsigned int len); /* by its index */
	bool keep; /* what is held is moved into a slot */
};

/* What there is between two bursts. */
struct sample {
	uint64_t packet; /* by when */
	uint64_t live;
	uint64_t wire;    /* bytes of the live */
	uint64_t charged; /* their truesize */
	uint64_t pinned;
	uint64_t reserve; /* pages nobody uses, and idle slots of the lcore: not in pinned */
	uint64_t stock;   /* what as many stock mbufs take */
};

struct ratio {
	double last, worst, sum;
	unsigned int n;
};

struct run {
	const struct way *way;
	uint32_t page;
	struct source source;
	struct held_heap held;
	uint64_t rng;
	uint64_t failed; /* packets for which there was no memory */
	uint64_t pages;  /* most that were split at a time */
	struct sample now;
	struct ratio to_charged, to_stock;
};

/* A header, headroom and the default data room, and what a mempool has around them. */
static uint32_t
stock_bytes(void)
{
	return rte_mempool_calc_obj_size(sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE, 0,
			NULL);
}

static uint32_t
len_max(void)
{
	uint64_t max = 0;
	unsigned int i;

	for (i = 0; i < lens.n; i++)
		max = RTE_MAX(max, lens.v[i]);
	return (uint32_t)max;
}

/* Ways to allocate */

static int
nothing_init(struct source *s)
{
	(void)s;
	return 0;
}

static struct rte_mbuf *
stock_alloc(struct source *s, unsigned int len)
{
	(void)len;
	return rte_pktmbuf_alloc(s->mp);
}

static int
carver_init(struct source *s, uint64_t nb_lanes)
{
	struct ppool_carver_conf conf = {
		.max_len = len_max(),
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = (uint16_t)nb_lanes,
		.port = RTE_MBUF_PORT_INVALID,
		.socket_id = SOCKET_ID_ANY,
	};

	s->carver = ppool_carver_create(s->mp, &conf);
	return s->carver == NULL ? -1 : 0;
}

static int
carve_init(struct source *s)
{
	return carver_init(s, 1);
}

static struct rte_mbuf *
carve_alloc(struct source *s, unsigned int len)
{
	return ppool_carve(s->carver, (uint32_t)lens.v[len]);
}

static int
lanes_init(struct source *s)
{
	return carver_init(s, lanes);
}

/* As a driver receives: what a lane has left of its page is the next packet's. */
static struct rte_mbuf *
lanes_alloc(struct source *s, unsigned int len)
{
	struct ppool_buf buf;
	struct rte_mbuf *m;

	if (ppool_headers_get(s->carver, &m, 1) == 0)
		return NULL;
	if (ppool_reserve(s->carver, s->lane, &buf) != 0) {
		ppool_headers_put(s->carver, &m, 1);
		return NULL;
	}
	ppool_commit(s->carver, s->lane, m, (uint32_t)lens.v[len]);
	s->lane = (uint16_t)((s->lane + 1) % lanes);
	return m;
}

static int
slots_init(struct source *s)
{
	unsigned int i;

	for (i = 0; i < lens.n; i++) {
		s->view[i] = ppool_slot_pool(s->mp, (uint16_t)lens.v[i]);
		if (s->view[i] == NULL)
			return -1;
	}
	return 0;
}

static struct rte_mbuf *
slots_alloc(struct source *s, unsigned int len)
{
	return rte_pktmbuf_alloc(s->view[len]);
}

static int
rx_init(struct source *s)
{
	const struct pool_conf conf = {
		.ops = "ring_mp_mc", .n = 4 * BURST, .room = RTE_MBUF_DEFAULT_BUF_SIZE
	};

	s->rx = pool_create("longhold_rx", &conf);
	return s->rx == NULL ? -1 : 0;
}

static struct rte_mbuf *
rx_alloc(struct source *s, unsigned int len)
{
	(void)len;
	return rte_pktmbuf_alloc(s->rx);
}

static const struct way ways[] = {
	{ "stock", nothing_init, stock_alloc, false },
	{ "carve", carve_init, carve_alloc, false },
	{ "lanes", lanes_init, lanes_alloc, false },
	{ "slots", slots_init, slots_alloc, false },
	{ "keep-stock", rx_init, rx_alloc, true },
	{ "keep-lanes", lanes_init, lanes_alloc, true },
};

static bool
way_is_wanted(const struct way *way)
{
	size_t n = strlen(way->name);
	const char *text;

	for (text = way_list; text != NULL; text = strchr(text, ',')) {
		text += *text == ',';
		if (strncmp(text, way->name, n) == 0 && (text[n] == ',' || text[n] == '\0'))
			return true;
	}
	return false;
}

/* Pools */

static bool
run_is_stock(const struct run *r)
{
	return r->way->alloc == stock_alloc;
}

static int
run_open(struct run *r)
{
	struct pool_conf conf = { .ops = PPOOL_OPS_NAME, .room = r->page };

	if (run_is_stock(r)) {
		conf.ops = "ring_mp_mc";
		conf.room = RTE_MBUF_DEFAULT_BUF_SIZE;
	}
	conf.n = (unsigned int)mbufs;
	if (mbufs == 0)
		conf.n = (unsigned int)(memory * 1048576 / (sizeof(struct rte_mbuf) + conf.room));
	r->source.mp = conf.n == 0 ? NULL : pool_create("longhold", &conf);
	if (r->source.mp != NULL && r->way->init(&r->source) == 0)
		return 0;
	fprintf(stderr,
			"longhold: no %s in a pool of %u mbufs with pages of %" PRIu32 ": %s; "
			"try another --memory, --mbufs or --page\n",
			r->way->name, conf.n, r->page, rte_strerror(rte_errno));
	return -1;
}

/* Nothing is held any more: the books must balance. */
static int
run_close(struct run *r)
{
	struct rte_mempool *mp = r->source.mp;
	int ret = 0;

	free(r->held.packet);
	ppool_carver_free(r->source.carver);
	if (mp == NULL)
		return 0;
	if (ppool_is_page_pool(mp) && ppool_check(mp, stderr) != 0)
		ret = -1;
	if (rte_mempool_in_use_count(mp) != 0) {
		fprintf(stderr, "longhold: %s: mbufs did not come back\n", r->way->name);
		ret = -1;
	}
	pool_free(mp);
	if (r->source.rx != NULL)
		pool_free(r->source.rx);
	return ret;
}

/* Samples */

/*
 * Pages that are split are pinned, but for those that are to be had as if they were free, and for
 * what the lcore keeps at hand, which does not grow with what is held.
 */
static int
run_pinned(struct run *r)
{
	struct sample *s = &r->now;
	struct ppool_ledger l;

	if (run_is_stock(r)) {
		s->pinned = s->stock;
		return 0;
	}
	if (ppool_ledger_get(r->source.mp, &l) != 0)
		return -1;
	s->reserve = l.class_reserve + (uint64_t)l.idle * l.page_bytes;
	s->pinned = l.data_bytes + l.header_bytes + l.class_bytes - s->reserve;
	r->pages = RTE_MAX(r->pages, l.data + l.header + l.class_pages);
	return 0;
}

static void
ratio_add(struct ratio *r, uint64_t a, uint64_t b, bool warm)
{
	if (b == 0)
		return;
	r->last = (double)a / (double)b;
	if (!warm)
		return;
	r->worst = RTE_MAX(r->worst, r->last);
	r->sum += r->last;
	r->n++;
}

/* Packets until as many end as begin. */
static double
warm_up(void)
{
	double mean = 0;
	unsigned int i;

	for (i = 0; i < shares.n; i++)
		mean = RTE_MAX(mean, life_mean(&lives[i]));
	return WARM_UP_LIVES * mean;
}

static int
run_sample(struct run *r, uint64_t packet)
{
	bool warm = (double)packet >= warm_up();

	r->now.packet = packet;
	r->now.stock = r->now.live * stock_bytes();
	if (run_pinned(r) != 0)
		return -1;
	ratio_add(&r->to_charged, r->now.pinned, r->now.charged, warm);
	ratio_add(&r->to_stock, r->now.pinned, r->now.stock, warm);
	return 0;
}

static double
ratio_mean(const struct ratio *r)
{
	return r->n == 0 ? 0 : r->sum / r->n;
}

/* Packets */

static void
run_forget(struct run *r, const struct held_packet *held)
{
	r->now.live--;
	r->now.wire -= rte_pktmbuf_pkt_len(held->m);
	r->now.charged -= held->truesize;
}

/* Free what is due, in bursts, in the order in which it is. */
static void
run_expire(struct run *r, uint64_t packet)
{
	struct rte_mbuf *m[BURST];
	struct held_packet held;
	unsigned int n = 0;

	while (r->held.n > 0 && r->held.packet[0].due <= packet) {
		held = held_heap_pop(&r->held);
		run_forget(r, &held);
		m[n++] = held.m;
		if (n == BURST) {
			rte_pktmbuf_free_bulk(m, n);
			n = 0;
		}
	}
	rte_pktmbuf_free_bulk(m, n);
}

/* How long a packet is held, 0: not at all. */
static uint64_t
run_draw_life(struct run *r)
{
	double x = 100 * load_random(&r->rng);
	unsigned int i;

	for (i = 0; i < shares.n; i++) {
		if (x < (double)shares.v[i])
			return life_draw(&lives[i], &r->rng);
		x -= (double)shares.v[i];
	}
	return 0;
}

static int
run_hold(struct run *r, struct rte_mbuf *m, uint64_t due)
{
	struct held_packet held = { .due = due };

	if (r->way->keep && ppool_keep(r->source.mp, &m, 1, PPOOL_KEEP_ALL) == 0)
		r->failed++;
	held.m = m;
	held.truesize = (uint32_t)ppool_mbuf_truesize(m);
	if (held_heap_push(&r->held, held) != 0)
		return -1;
	r->now.live++;
	r->now.wire += rte_pktmbuf_pkt_len(m);
	r->now.charged += held.truesize;
	return 0;
}

/* The same random numbers whether there is memory or not: so all ways see the same packets. */
static struct rte_mbuf *
run_alloc(struct run *r)
{
	unsigned int len = (unsigned int)(load_random(&r->rng) * lens.n);
	struct rte_mbuf *m = r->way->alloc(&r->source, len);

	if (m == NULL) {
		r->failed++;
		return NULL;
	}
	m->pkt_len = (uint32_t)lens.v[len];
	m->data_len = (uint16_t)lens.v[len];
	return m;
}

/* All packets of a burst are there before the first of them is freed. */
static int
run_burst(struct run *r, uint64_t packet)
{
	struct rte_mbuf *m[BURST];
	unsigned int i, n = 0;
	uint64_t life;

	for (i = 0; i < BURST; i++) {
		m[n] = run_alloc(r);
		life = run_draw_life(r);
		if (m[n] == NULL)
			continue;
		if (life == 0)
			n++;
		else if (run_hold(r, m[n], packet + i + life) != 0)
			break;
	}
	if (i < BURST)
		rte_pktmbuf_free(m[n]);
	rte_pktmbuf_free_bulk(m, n);
	return i < BURST ? -1 : 0;
}

static double
megabytes(uint64_t bytes)
{
	return (double)bytes / 1e6;
}

static void
row_print(const struct run *r)
{
	const struct sample *s = &r->now;

	printf("%-11s%9" PRIu32 "%11" PRIu64 "%9" PRIu64 "%9.3f%9.3f%9.3f%9.3f%9.3f%9.3f%9.3f\n",
			r->way->name, r->page, s->packet, s->live, megabytes(s->wire),
			megabytes(s->charged), megabytes(s->pinned), megabytes(s->reserve),
			megabytes(s->stock), r->to_charged.last, r->to_stock.last);
	fflush(stdout);
}

static int
run_packets(struct run *r)
{
	uint64_t packet, sample = 1, step = packets / SAMPLES;

	for (packet = 0; packet < packets; packet += BURST) {
		run_expire(r, packet);
		if (run_burst(r, packet) != 0)
			return -1;
		if (packet + BURST < RTE_MIN(sample * step, packets))
			continue;
		if (run_sample(r, packet + BURST) != 0)
			return -1;
		if (sample++ % (SAMPLES / ROWS) == 0)
			row_print(r);
	}
	return 0;
}

/* Results */

static void
ratio_json(struct json *j, const char *key, const struct ratio *r)
{
	json_object(j, key);
	json_real(j, "last", r->last);
	json_real(j, "mean", ratio_mean(r));
	json_real(j, "worst", r->worst);
	json_end(j);
}

static void
run_json(struct json *j, const struct run *r)
{
	json_object(j, NULL);
	json_string(j, "way", r->way->name);
	json_uint(j, "page", r->page);
	json_uint(j, "live", r->now.live);
	json_uint(j, "wire_bytes", r->now.wire);
	json_uint(j, "charged", r->now.charged);
	json_uint(j, "pinned", r->now.pinned);
	json_uint(j, "reserve", r->now.reserve);
	json_uint(j, "stock", r->now.stock);
	json_uint(j, "failed", r->failed);
	json_uint(j, "pages", r->pages);
	json_uint(j, "samples", r->to_stock.n);
	ratio_json(j, "pinned_to_charged", &r->to_charged);
	ratio_json(j, "pinned_to_stock", &r->to_stock);
	json_end(j);
}

static void
run_summary(const struct run *r)
{
	printf("%-6s pinned/charged last %.3f mean %.3f worst %.3f, pinned/stock last %.3f mean %.3f worst %.3f, %" PRIu64
	       " without memory\n\n",
			r->way->name, r->to_charged.last, ratio_mean(&r->to_charged),
			r->to_charged.worst, r->to_stock.last, ratio_mean(&r->to_stock),
			r->to_stock.worst, r->failed);
}

static int
run_way(const struct way *way, uint32_t page, struct json *j)
{
	struct run r = { .way = way, .page = page, .rng = seed };
	int ret;

	ret = run_open(&r);
	if (ret == 0)
		ret = run_packets(&r);
	if (ret == 0) {
		run_summary(&r);
		run_json(j, &r);
	}
	run_expire(&r, UINT64_MAX);
	if (run_close(&r) != 0)
		ret = -1;
	return ret;
}

static int
run_all(struct json *j)
{
	unsigned int i, k;

	printf("%-11s%9s%11s%9s%9s%9s%9s%9s%9s%9s%9s\n", "", "page", "packets", "live", "wire",
			"charged", "pinned", "reserve", "stock", "/charged", "/stock");
	for (i = 0; i < pages.n; i++)
		for (k = 0; k < RTE_DIM(ways); k++) {
			if (!way_is_wanted(&ways[k]))
				continue;
			if (run_way(&ways[k], (uint32_t)pages.v[i], j) != 0)
				return -1;
		}
	return 0;
}

/* Returns false, with a message, where the options contradict each other. */
static bool
options_check(void)
{
	if (!life_options("longhold", lives, life_text, &shares))
		return false;
	if ((double)packets > warm_up())
		return true;
	fprintf(stderr, "longhold: %d mean lifetimes are %.0f packets: give more of --packets\n",
			WARM_UP_LIVES, warm_up());
	return false;
}

static int
longhold_run(char **args)
{
	struct json *j;
	int ret;

	(void)args;
	if (!options_check() || json_open(&j, json_path) != 0)
		return EXIT_FAILURE;
	printf("MB of packets that are held; pinned is without the reserve; ratios of pinned\n");
	json_string(j, "command", "longhold");
	json_uint(j, "packets", packets);
	json_string(j, "life", life_text);
	json_real(j, "warm_up", warm_up());
	json_uint(j, "stock_bytes", stock_bytes());
	json_array(j, "results");
	ret = run_all(j);
	json_end(j);
	json_bool(j, "ok", ret == 0);
	if (json_close(j) != 0)
		ret = -1;
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command cmd_longhold = {
	.name = "longhold",
	.help = "what packets pin of which a few are held for long: stock mbufs, frags, slots",
	.opts = longhold_opts,
	.run = longhold_run,
};
