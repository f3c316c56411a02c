/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Packets that a port receives, of any driver, into a pool of any ops. Lifetimes are counted in
 * packets that were sent: while the pool is dry these cannot be seen, so they are taken to come at
 * the pace that they had before. Else nothing would ever be freed again.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>

#include <ppool.h>

#include "longhold.h"
#include "pool.h"

/* So often the pool is asked whether it is dry. */
#define INTERVALS_PER_SECOND 1000

/* A source that was sending is not silent for longer, unless it has stopped. */
#define SILENCES_PER_SECOND 5

#define PROGRESS_SECONDS 5

enum flow {
	FLOW_FULL,
	FLOW_UNCLEAR, /* slow, and the pool has little: it may be the source */
	FLOW_DRY,
};

/* Since the pool was asked last. */
struct interval {
	uint64_t tsc;
	uint64_t received;
	uint64_t nombuf;
};

struct live {
	struct port *port;
	struct longhold *hold;
	uint64_t sent; /* packets, received or lost: what lifetimes are counted in */
	uint64_t received;
	uint64_t lost;      /* while the pool was dry */
	uint64_t dry_after; /* packets: when it was so first */
	uint64_t dry_tsc;   /* how long that was */
	enum flow flow;     /* of the last interval */
	bool uncounted;     /* the driver does not count that there is no memory */
	struct interval from;
	uint64_t pace_packets, pace_tsc; /* before it was so first */
	uint64_t packet_tsc;             /* when the last packet came */
	uint64_t progress_tsc;
};

/* Pools */

/* What is held goes to the port's pool if that has slots, else to one more. */
static int
keep_open(struct longhold *h)
{
	const struct longhold_conf *c = h->conf;
	struct pool_conf conf = { .ops = PPOOL_OPS_NAME, .room = (uint32_t)c->pages.v[0] };

	if (!c->keep)
		return 0;
	if (ppool_is_page_pool(h->mp)) {
		h->keep = h->mp;
		return 0;
	}
	conf.n = (unsigned int)(c->memory * 1048576 / (sizeof(struct rte_mbuf) + conf.room));
	h->keep = conf.n == 0 ? NULL : pool_create("longhold", &conf);
	if (h->keep != NULL)
		return 0;
	fprintf(stderr,
			"longhold: no pool of %" PRIu64 " MB with pages of %" PRIu32
			" for --keep: %s; try another --memory or --page\n",
			c->memory, conf.room, rte_strerror(rte_errno));
	return -1;
}

static int
keep_close(struct longhold *h)
{
	return h->keep == h->mp ? 0 : pool_close(h->keep, "longhold: --keep");
}

/* Time, in packets */

static uint64_t
port_nombuf(const struct live *l)
{
	struct rte_eth_stats stats = { .rx_nombuf = 0 };

	rte_eth_stats_get(l->port->id, &stats);
	return stats.rx_nombuf;
}

static void
interval_begin(struct live *l)
{
	l->from.tsc = rte_rdtsc();
	l->from.received = l->received;
	l->from.nombuf = port_nombuf(l);
}

/* What would have come in so long, had there been memory. */
static uint64_t
pace_packets(const struct live *l, uint64_t tsc)
{
	if (l->pace_tsc == 0)
		return 0;
	return (uint64_t)((double)l->pace_packets * (double)tsc / (double)l->pace_tsc);
}

/*
 * What an interval was like. Drivers that wait for memory count so, some of them once, until there
 * is some. Other drivers do not count: a pool that has less than a burst, and a long silence, tell
 * that this is one of those.
 */
static enum flow
interval_flow(struct live *l, uint64_t received, uint64_t expected)
{
	uint64_t nombuf = port_nombuf(l);

	if (nombuf != l->from.nombuf || (l->flow == FLOW_DRY && received == 0))
		return FLOW_DRY;
	if (received >= expected / 2 || rte_mempool_avail_count(l->hold->mp) >= LONGHOLD_BURST)
		return FLOW_FULL;
	if (nombuf == 0 && rte_rdtsc() - l->packet_tsc > rte_get_tsc_hz() / SILENCES_PER_SECOND)
		l->uncounted = true;
	return l->uncounted ? FLOW_DRY : FLOW_UNCLEAR;
}

static void
dry_first(struct live *l)
{
	l->dry_after = l->sent;
	printf("pool is dry after %" PRIu64 " packets, %" PRIu64
	       " are held; what is lost from now on is counted at the pace before\n",
			l->sent, l->hold->now.live);
	fflush(stdout);
}

static void
interval_end(struct live *l)
{
	uint64_t tsc = rte_rdtsc() - l->from.tsc;
	uint64_t received = l->received - l->from.received;
	uint64_t expected = pace_packets(l, tsc);

	l->flow = l->pace_tsc == 0 ? FLOW_FULL : interval_flow(l, received, expected);
	if (l->flow == FLOW_FULL && l->dry_tsc == 0) {
		l->pace_packets += received;
		l->pace_tsc += tsc;
	}
	if (l->flow != FLOW_DRY)
		return;
	if (l->dry_tsc == 0)
		dry_first(l);
	l->dry_tsc += tsc;
	if (expected > received) {
		l->lost += expected - received;
		l->sent += expected - received;
	}
}

/* Packets */

static int
live_burst(struct live *l)
{
	struct rte_mbuf *m[LONGHOLD_BURST], *rest[LONGHOLD_BURST];
	struct longhold *h = l->hold;
	unsigned int i, nb_rest = 0;
	uint64_t life;
	uint16_t n;
	int ret = 0;

	n = rte_eth_rx_burst(l->port->id, 0, m, LONGHOLD_BURST);
	for (i = 0; i < n; i++) {
		life = ret == 0 ? load_draw(&h->conf->load, &h->rng) : 0;
		if (life == 0)
			rest[nb_rest++] = m[i];
		else
			ret = longhold_hold(h, m[i], l->sent + i + life);
	}
	rte_pktmbuf_free_bulk(rest, nb_rest);
	if (n != 0)
		l->packet_tsc = rte_rdtsc();
	if (n != 0 && l->received == 0)
		interval_begin(l);
	l->received += n;
	l->sent += n;
	return ret;
}

/* Returns -1, with a message, where no packet has come for too long. */
static int
check_source(struct live *l)
{
	uint64_t now = rte_rdtsc(), hz = rte_get_tsc_hz(), silent = now - l->packet_tsc;
	uint64_t wait = l->hold->conf->wait;

	if (silent > wait * hz) {
		fprintf(stderr,
				"longhold: no packet for --wait %" PRIu64 " seconds, after %" PRIu64
				" of --packets %" PRIu64 "; have the source send without end\n",
				wait, l->sent, l->hold->conf->packets);
		return -1;
	}
	if (silent > PROGRESS_SECONDS * hz && now - l->progress_tsc > PROGRESS_SECONDS * hz) {
		printf("no packet for %" PRIu64 " of --wait %" PRIu64 " seconds\n", silent / hz,
				wait);
		fflush(stdout);
		l->progress_tsc = now;
	}
	return 0;
}

/* To look takes a while, during which nothing is received: it is in no interval. */
static int
live_look(struct live *l)
{
	uint64_t before;
	int ret;

	if (l->received != 0 &&
			rte_rdtsc() - l->from.tsc >= rte_get_tsc_hz() / INTERVALS_PER_SECOND) {
		interval_end(l);
		interval_begin(l);
	}
	before = rte_rdtsc();
	ret = longhold_look(l->hold, l->sent);
	if (ret > 0)
		l->from.tsc += rte_rdtsc() - before;
	return ret < 0 ? -1 : check_source(l);
}

static int
live_receive(struct live *l)
{
	l->packet_tsc = rte_rdtsc();
	l->progress_tsc = l->packet_tsc;
	while (l->sent < l->hold->conf->packets && !port_interrupted()) {
		longhold_expire(l->hold, l->sent);
		if (live_burst(l) != 0 || live_look(l) != 0)
			return -1;
	}
	if (!port_interrupted() || l->hold->to_stock.n > 0)
		return 0;
	fprintf(stderr, "longhold: interrupted before the first sample that counts, after %.0f packets; fewer --packets have closer samples\n",
			longhold_warm_up(&l->hold->conf->load));
	return -1;
}

/* Results */

static double
dry_seconds(const struct live *l)
{
	return (double)l->dry_tsc / (double)rte_get_tsc_hz();
}

static void
live_print(const struct live *l, const struct rte_eth_stats *stats)
{
	printf("driver %s, pool ops %s, %u mbufs of %u bytes\n", l->port->driver,
			pool_ops_name(l->port->mp), l->port->mp->size,
			rte_pktmbuf_data_room_size(l->port->mp));
	printf("%" PRIu64 " packets received, %" PRIu64
	       " lost, as the pool was dry for %.3f s; the port counts %" PRIu64
	       " no mbuf, %" PRIu64 " missed, %" PRIu64 " errors\n",
			l->received, l->lost, dry_seconds(l), stats->rx_nombuf, stats->imissed,
			stats->ierrors);
	longhold_summary_print(l->hold);
}

static void
live_json(const struct live *l, const struct rte_eth_stats *stats, struct json *j)
{
	const struct longhold_conf *c = l->hold->conf;

	json_object(j, NULL);
	json_string(j, "way", "live");
	json_string(j, "label", l->hold->name);
	json_bool(j, "keep", c->keep);
	port_json(l->port, &c->port, j);
	json_uint(j, "received", l->received);
	json_uint(j, "lost", l->lost);
	json_real(j, "dry_seconds", dry_seconds(l));
	if (l->dry_tsc != 0)
		json_uint(j, "dry_after", l->dry_after);
	json_uint(j, "rx_nombuf", stats->rx_nombuf);
	json_uint(j, "imissed", stats->imissed);
	json_uint(j, "ierrors", stats->ierrors);
	longhold_json(l->hold, j);
	json_end(j);
}

static int
live_run(struct live *l, struct json *j)
{
	struct rte_eth_stats stats;
	int ret = keep_open(l->hold);

	if (ret == 0) {
		longhold_header_print();
		printf("ready\n");
		fflush(stdout);
		ret = live_receive(l);
	}
	memset(&stats, 0, sizeof(stats));
	rte_eth_stats_get(l->port->id, &stats);
	if (ret == 0) {
		live_print(l, &stats);
		live_json(l, &stats, j);
	}
	longhold_expire(l->hold, UINT64_MAX);
	free(l->hold->held.packet);
	return keep_close(l->hold) == 0 ? ret : -1;
}

/* As many again as are held on average: lifetimes have long tails. */
static struct port_conf
live_port_conf(const struct longhold_conf *conf)
{
	struct port_conf port = conf->port;

	port.hold = (uint64_t)(2 * load_mean_live(&conf->load));
	return port;
}

int
longhold_live(const struct longhold_conf *conf, struct json *j)
{
	const struct port_conf port_conf = live_port_conf(conf);
	struct longhold *h = calloc(1, sizeof(*h));
	struct port port;
	struct live l = { .port = &port, .hold = h };
	int ret = -1;

	if (h == NULL)
		return -1;
	port_catch_signals();
	if (port_open(&port, &port_conf) == 0) {
		h->name = conf->label != NULL ? conf->label : port.driver;
		h->page = (uint32_t)port_conf.mbuf_size;
		h->conf = conf;
		h->mp = port.mp;
		h->rng = conf->seed;
		ret = live_run(&l, j);
		if (port_close(&port) != 0)
			ret = -1;
	}
	free(h);
	return ret;
}
