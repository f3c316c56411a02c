/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include <ppool.h>

#include "commands.h"
#include "json.h"
#include "pool.h"
#include "port.h"

/*
 * How many packets can an application hold? Receives and frees nothing until the pool is exhausted
 * and nothing arrives any more, then reports what the packets held cost. Hugepage bytes are what
 * the process has allocated from EAL's heaps since before its port was configured, and the pool's
 * own memory: pool, posted buffers, mbuf headers, tables, queues. The definition is the same for
 * every driver and pool. A pool that a source has not filled says nothing: that is an error.
 */

#define HOLD_BURST 32

/* Buffers that were posted when the pool was exhausted are filled within this time. */
#define SETTLE_MS 500

/* With nothing to receive, how often the pool is asked whether it is exhausted. */
#define LOOK_MS 50

#define PROGRESS_MS 1000
#define PROGRESS_WAIT_MS 5000 /* before the first packet */

static struct port_conf port_conf = PORT_CONF_DEFAULT;
static uint64_t idle_ms = 5000;
static uint64_t wait_seconds = 30;
static const char *json_path;

static const struct opt hold_opts[] = {
	PORT_OPTS(&port_conf),
	{ "idle", OPT_UINT, &idle_ms, 1, 3600000, "MS",
			"the source has stopped when no packet came for so long" },
	{ "wait", OPT_UINT, &wait_seconds, 1, 3600, "S", "give up when no packet comes at all" },
	{ "json", OPT_STR, &json_path, 0, 0, "FILE", "write the result there" },
	{ .name = NULL },
};

struct held {
	struct rte_mbuf **m;
	size_t n, room;
	uint64_t segments;
	uint64_t wire_bytes;
	uint64_t truesize;
};

struct hold_result {
	size_t memory_bytes;
	unsigned int avail; /* objects the pool still has */
	bool full;          /* the pool could not have delivered more */
	struct rte_eth_stats stats;
	bool page_pool;
	int violations;    /* of the ledger, page pools only */
	int64_t uncharged; /* bytes charged by the pool, but not to a held mbuf */
};

/* Room for one more burst. */
static int
held_grow(struct held *h)
{
	size_t room = h->room == 0 ? 65536 : 2 * h->room;
	struct rte_mbuf **m;

	if (h->n + HOLD_BURST <= h->room)
		return 0;
	m = realloc(h->m, room * sizeof(*m));
	if (m == NULL) {
		fprintf(stderr, "no memory for a list of %zu packets\n", room);
		return -1;
	}
	h->m = m;
	h->room = room;
	return 0;
}

/*
 * Whether the pool could deliver no buffer, or not a burst of them any more. What a driver got in
 * vain it counts, not all of them do; what a pool has left a driver that takes many at once leaves.
 */
static bool
pool_is_exhausted(const struct port *p)
{
	struct rte_eth_stats stats = { .rx_nombuf = 0 };

	rte_eth_stats_get(p->id, &stats);
	return stats.rx_nombuf > 0 || rte_mempool_avail_count(p->mp) < HOLD_BURST;
}

/* When something was received, looked at, printed last: TSC. */
struct hold_clock {
	uint64_t ms;
	uint64_t packet;
	uint64_t look;
	uint64_t progress;
};

/* Whether reception is over: no packet comes, and none could be kept, or none for too long. */
static bool
source_is_over(const struct port *p, const struct held *h, struct hold_clock *c, uint64_t now)
{
	uint64_t limit = h->n == 0 ? wait_seconds * 1000 : idle_ms;

	if (now - c->packet > limit * c->ms)
		return true;
	if (now - c->look < LOOK_MS * c->ms)
		return false;
	c->look = now;
	return now - c->packet > RTE_MIN(SETTLE_MS, limit) * c->ms && pool_is_exhausted(p);
}

static void
print_progress(const struct port *p, const struct held *h, struct hold_clock *c, uint64_t now)
{
	if (now - c->progress < (h->n == 0 ? PROGRESS_WAIT_MS : PROGRESS_MS) * c->ms)
		return;
	c->progress = now;
	if (h->n == 0)
		printf("no packet for %.0f of --wait %" PRIu64 " seconds\n",
				(double)(now - c->packet) / (double)c->ms / 1000, wait_seconds);
	else
		printf("%zu packets held, %u of %u mbufs left, last packet %.1f s ago\n", h->n,
				rte_mempool_avail_count(p->mp), p->mp->size,
				(double)(now - c->packet) / (double)c->ms / 1000);
	fflush(stdout);
}

static int
receive_all(const struct port *p, struct held *h)
{
	uint64_t now = rte_rdtsc();
	struct hold_clock c = { .ms = rte_get_tsc_hz() / 1000, .packet = now, .progress = now };
	uint16_t n;

	while (!port_interrupted()) {
		if (held_grow(h) != 0)
			return -1;
		n = rte_eth_rx_burst(p->id, 0, h->m + h->n, HOLD_BURST);
		now = rte_rdtsc();
		h->n += n;
		if (n > 0)
			c.packet = now;
		else if (source_is_over(p, h, &c, now))
			break;
		print_progress(p, h, &c, now);
	}
	return 0;
}

static void
held_sum(struct held *h)
{
	size_t i;

	for (i = 0; i < h->n; i++) {
		h->segments += h->m[i]->nb_segs;
		h->wire_bytes += h->m[i]->pkt_len;
		h->truesize += ppool_mbuf_truesize(h->m[i]);
	}
}

static void
held_free(struct held *h)
{
	size_t i;

	for (i = 0; i < h->n; i += HOLD_BURST)
		rte_pktmbuf_free_bulk(h->m + i,
				(unsigned int)RTE_MIN(h->n - i, (size_t)HOLD_BURST));
	free(h->m);
}

static void
measure(const struct port *p, const struct held *h, struct hold_result *r)
{
	struct ppool_ledger ledger;

	r->memory_bytes = port_memory_bytes(p);
	r->avail = rte_mempool_avail_count(p->mp);
	r->full = h->n > 0 && pool_is_exhausted(p);
	rte_eth_stats_get(p->id, &r->stats);
	r->page_pool = ppool_is_page_pool(p->mp);
	if (!r->page_pool)
		return;
	r->violations = ppool_check(p->mp, stderr);
	/*
	 * Other drivers take whole pages, for which the ledger charges nothing; slots are charged
	 * while they are posted, too.
	 */
	if (ppool_ledger_get(p->mp, &ledger) == 0 && ledger.whole == 0 && ledger.class_slots == 0)
		r->uncharged = (int64_t)(ledger.charged + ledger.slot_charged) -
				(int64_t)h->truesize;
}

static double
per_packet(uint64_t sum, const struct held *h)
{
	return h->n == 0 ? 0 : (double)sum / (double)h->n;
}

static double
packets_per_mib(const struct held *h, const struct hold_result *r)
{
	return r->memory_bytes == 0 ? 0 : (double)h->n * 1048576 / (double)r->memory_bytes;
}

static void
report(const struct port *p, const struct held *h, const struct hold_result *r)
{
	printf("driver            %s, pool ops %s\n", p->driver, pool_ops_name(p->mp));
	printf("pool              %u mbufs of %u bytes, %u left\n", p->mp->size,
			rte_pktmbuf_data_room_size(p->mp), r->avail);
	printf("packets held      %zu in %" PRIu64 " segments\n", h->n, h->segments);
	printf("wire bytes        %" PRIu64 ", %.1f a packet\n", h->wire_bytes,
			per_packet(h->wire_bytes, h));
	printf("truesize          %" PRIu64 ", %.1f a packet\n", h->truesize,
			per_packet(h->truesize, h));
	printf("hugepage bytes    %zu, %.1f a packet\n", r->memory_bytes,
			per_packet(r->memory_bytes, h));
	printf("packets per MiB   %.1f\n", packets_per_mib(h, r));
	printf("not received      %" PRIu64 " no mbuf, %" PRIu64 " missed, %" PRIu64 " errors\n",
			r->stats.rx_nombuf, r->stats.imissed, r->stats.ierrors);
	if (r->page_pool)
		printf("ledger            %d violations, %" PRId64 " bytes uncharged\n",
				r->violations, r->uncharged);
}

static void
report_json(struct json *j, const struct port *p, const struct held *h, const struct hold_result *r)
{
	port_json(p, &port_conf, j);
	json_uint(j, "packets", h->n);
	json_uint(j, "segments", h->segments);
	json_uint(j, "wire_bytes", h->wire_bytes);
	json_uint(j, "truesize", h->truesize);
	json_uint(j, "hugepage_bytes", r->memory_bytes);
	json_real(j, "packets_per_mib", packets_per_mib(h, r));
	json_uint(j, "pool_avail", r->avail);
	json_bool(j, "pool_full", r->full);
	json_uint(j, "rx_nombuf", r->stats.rx_nombuf);
	json_uint(j, "imissed", r->stats.imissed);
	json_uint(j, "ierrors", r->stats.ierrors);
	if (r->page_pool) {
		json_bool(j, "ledger_balanced", r->violations == 0);
		json_real(j, "uncharged", (double)r->uncharged);
	}
}

/* Whether the figures are what they claim to be. Tells why not. */
static bool
is_valid(const struct port *p, const struct held *h, const struct hold_result *r)
{
	if (h->n == 0)
		fprintf(stderr, "hold: no packet came within --wait %" PRIu64 " seconds\n",
				wait_seconds);
	else if (!r->full)
		fprintf(stderr,
				"hold: %s, pool not full: %zu packets held, %u of %u mbufs left. "
				"Have the source send without end, or give it more time with "
				"--idle MS\n",
				port_interrupted() ? "interrupted" : "source stopped", h->n,
				r->avail, p->mp->size);
	return r->full && r->violations == 0 && r->uncharged == 0;
}

static int
hold(struct port *p, struct json *j)
{
	struct hold_result r = { .violations = 0 };
	struct held h = { .m = NULL };
	int ret;

	printf("ready\n");
	fflush(stdout);
	ret = receive_all(p, &h);
	held_sum(&h);
	measure(p, &h, &r);
	if (r.full)
		report(p, &h, &r);
	report_json(j, p, &h, &r);
	fflush(stdout);
	if (!is_valid(p, &h, &r))
		ret = -1;
	held_free(&h);
	return ret;
}

static int
hold_run(char **args)
{
	(void)args;
	return port_run(&port_conf, json_path, hold);
}

const struct command cmd_hold = {
	.name = "hold",
	.help = "receive, hold every packet until the pool is full, report what that costs",
	.opts = hold_opts,
	.run = hold_run,
};
