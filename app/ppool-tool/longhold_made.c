/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Packets that are made, in bursts, without a port. The same packets are allocated in several ways,
 * one after the other.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>

#include <ppool.h>
#include <ppool_carver.h>
#include <ppool_slot.h>

#include "longhold.h"
#include "pool.h"

/* What is allocated from, in one of the ways. */
struct source {
	const struct longhold_conf *conf;
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

struct run {
	const struct way *way;
	struct source source;
	struct longhold hold;
};

static uint32_t
len_max(const struct uint_list *lens)
{
	uint64_t max = 0;
	unsigned int i;

	for (i = 0; i < lens->n; i++)
		max = RTE_MAX(max, lens->v[i]);
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
		.max_len = len_max(&s->conf->lens),
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
	return ppool_carve(s->carver, (uint32_t)s->conf->lens.v[len]);
}

static int
lanes_init(struct source *s)
{
	return carver_init(s, s->conf->lanes);
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
	ppool_commit(s->carver, s->lane, m, (uint32_t)s->conf->lens.v[len]);
	s->lane = (uint16_t)((s->lane + 1) % s->conf->lanes);
	return m;
}

static int
slots_init(struct source *s)
{
	unsigned int i;

	for (i = 0; i < s->conf->lens.n; i++) {
		s->view[i] = ppool_slot_pool(s->mp, (uint16_t)s->conf->lens.v[i]);
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
		.ops = "ring_mp_mc", .n = 4 * LONGHOLD_BURST, .room = RTE_MBUF_DEFAULT_BUF_SIZE
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

static bool way_wanted[RTE_DIM(ways)];

bool
longhold_ways(const char *list)
{
	const char *names[RTE_DIM(ways)];
	unsigned int which[RTE_DIM(ways)];
	const struct opt_words words = {
		.command = "longhold", .option = "ways", .names = names, .n = RTE_DIM(ways)
	};
	unsigned int i;
	int k, n;

	for (i = 0; i < RTE_DIM(ways); i++)
		names[i] = ways[i].name;
	n = opt_names(&words, list, which);
	for (k = 0; k < n; k++)
		way_wanted[which[k]] = true;
	return n > 0;
}

/* Pools */

static int
run_open(struct run *r)
{
	const struct longhold_conf *c = r->source.conf;
	struct pool_conf conf = { .ops = PPOOL_OPS_NAME, .room = r->hold.page };

	if (r->way->alloc == stock_alloc) {
		conf.ops = "ring_mp_mc";
		conf.room = RTE_MBUF_DEFAULT_BUF_SIZE;
	}
	conf.n = (unsigned int)c->port.mbufs;
	if (c->port.mbufs == 0)
		conf.n = (unsigned int)(c->memory * 1048576 /
				(sizeof(struct rte_mbuf) + conf.room));
	r->source.mp = conf.n == 0 ? NULL : pool_create("longhold", &conf);
	if (r->source.mp != NULL && r->way->init(&r->source) == 0) {
		r->hold.mp = r->source.rx != NULL ? r->source.rx : r->source.mp;
		r->hold.keep = r->way->keep ? r->source.mp : NULL;
		return 0;
	}
	fprintf(stderr,
			"longhold: no %s in a pool of %u mbufs with pages of %" PRIu32
			": %s; try another --memory, --mbufs or --page\n",
			r->way->name, conf.n, r->hold.page, rte_strerror(rte_errno));
	return -1;
}

/* Nothing is held any more: the books must balance. */
static int
run_close(struct run *r)
{
	int ret;

	free(r->hold.held.packet);
	ppool_carver_free(r->source.carver);
	ret = pool_close(r->source.mp, "longhold");
	return pool_close(r->source.rx, "longhold") == 0 ? ret : -1;
}

/* Packets */

/* The same random numbers whether there is memory or not: so all ways see the same packets. */
static struct rte_mbuf *
run_alloc(struct run *r)
{
	const struct uint_list *lens = &r->source.conf->lens;
	unsigned int len = (unsigned int)(load_random(&r->hold.rng) * lens->n);
	struct rte_mbuf *m = r->way->alloc(&r->source, len);

	if (m == NULL) {
		r->hold.failed++;
		return NULL;
	}
	m->pkt_len = (uint32_t)lens->v[len];
	m->data_len = (uint16_t)lens->v[len];
	return m;
}

/* All packets of a burst are there before the first of them is freed. */
static int
run_burst(struct run *r, uint64_t packet)
{
	struct rte_mbuf *m[LONGHOLD_BURST];
	unsigned int i, n = 0;
	uint64_t life;
	int ret = 0;

	for (i = 0; i < LONGHOLD_BURST && ret == 0; i++) {
		m[n] = run_alloc(r);
		life = load_draw(&r->source.conf->load, &r->hold.rng);
		if (m[n] == NULL)
			continue;
		if (life == 0)
			n++;
		else
			ret = longhold_hold(&r->hold, m[n], packet + i + life);
	}
	rte_pktmbuf_free_bulk(m, n);
	return ret;
}

static int
run_packets(struct run *r)
{
	uint64_t packet;

	for (packet = 0; packet < r->source.conf->packets; packet += LONGHOLD_BURST) {
		longhold_expire(&r->hold, packet);
		if (run_burst(r, packet) != 0 ||
				longhold_look(&r->hold, packet + LONGHOLD_BURST) < 0)
			return -1;
	}
	return 0;
}

static void
run_json(const struct run *r, struct json *j)
{
	json_object(j, NULL);
	json_string(j, "way", r->way->name);
	longhold_json(&r->hold, j);
	json_end(j);
}

static int
run_way(struct run *r, struct json *j)
{
	int ret = run_open(r);

	if (ret == 0) {
		longhold_header_print();
		ret = run_packets(r);
	}
	if (ret == 0) {
		longhold_summary_print(&r->hold);
		run_json(r, j);
	}
	longhold_expire(&r->hold, UINT64_MAX);
	if (run_close(r) != 0)
		ret = -1;
	return ret;
}

static int
way_run(const struct longhold_conf *conf, const struct way *way, uint32_t page, struct json *j)
{
	struct run *r = calloc(1, sizeof(*r));
	int ret;

	if (r == NULL)
		return -1;
	r->way = way;
	r->source.conf = conf;
	r->hold.name = way->name;
	r->hold.page = page;
	r->hold.conf = conf;
	r->hold.rng = conf->seed;
	ret = run_way(r, j);
	free(r);
	return ret;
}

int
longhold_made(const struct longhold_conf *conf, struct json *j)
{
	unsigned int i, k;

	for (i = 0; i < conf->pages.n; i++)
		for (k = 0; k < RTE_DIM(ways); k++) {
			if (!way_wanted[k])
				continue;
			if (way_run(conf, &ways[k], (uint32_t)conf->pages.v[i], j) != 0)
				return -1;
		}
	return 0;
}
