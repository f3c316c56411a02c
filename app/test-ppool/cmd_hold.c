/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include <ppool.h>

#include "app.h"
#include "json.h"
#include "pool.h"
#include "port.h"

/*
 * How many packets can an application hold? Receives and frees nothing until nothing arrives any
 * more, then reports what the packets held cost. Hugepage bytes are what the process has allocated
 * from EAL's heaps since before its pool was created, and the pool's own memory: pool, posted
 * buffers, mbuf headers, tables, queues. The definition is the same for every driver and pool.
 */

#define HOLD_BURST 32

static struct port_conf port_conf = PORT_CONF_DEFAULT;
static uint64_t idle_ms = 500;
static uint64_t wait_seconds = 30;
static const char *json_path;

static const struct opt hold_opts[] = {
	PORT_OPTS(&port_conf),
	{ "idle", OPT_UINT, &idle_ms, 1, 3600000, "MS", "stop when no packet came for so long" },
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

static int
receive_all(uint16_t port, struct held *h)
{
	uint64_t ms = rte_get_tsc_hz() / 1000;
	uint64_t deadline = rte_rdtsc() + wait_seconds * 1000 * ms;
	uint16_t n;

	while (!port_interrupted()) {
		if (held_grow(h) != 0)
			return -1;
		n = rte_eth_rx_burst(port, 0, h->m + h->n, HOLD_BURST);
		if (n > 0) {
			h->n += n;
			deadline = rte_rdtsc() + idle_ms * ms;
		} else if (rte_rdtsc() > deadline) {
			break;
		}
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
	rte_eth_stats_get(p->id, &r->stats);
	r->page_pool = ppool_is_page_pool(p->mp);
	if (!r->page_pool)
		return;
	r->violations = ppool_check(p->mp, stderr);
	if (ppool_ledger_get(p->mp, &ledger) == 0)
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
	json_uint(j, "rx_nombuf", r->stats.rx_nombuf);
	json_uint(j, "imissed", r->stats.imissed);
	json_uint(j, "ierrors", r->stats.ierrors);
	if (r->page_pool) {
		json_bool(j, "ledger_balanced", r->violations == 0);
		json_real(j, "uncharged", (double)r->uncharged);
	}
}

static int
hold(struct port *p, struct json *j)
{
	struct hold_result r = { .violations = 0 };
	struct held h = { .m = NULL };
	int ret;

	printf("ready\n");
	fflush(stdout);
	ret = receive_all(p->id, &h);
	held_sum(&h);
	measure(p, &h, &r);
	report(p, &h, &r);
	report_json(j, p, &h, &r);
	held_free(&h);
	if (h.n == 0)
		fprintf(stderr, "no packet came within --wait %" PRIu64 " seconds\n", wait_seconds);
	return ret == 0 && h.n > 0 && r.violations == 0 && r.uncharged == 0 ? 0 : -1;
}

static int
hold_run(char **args)
{
	struct json *j;
	struct port p;
	int ret;

	(void)args;
	if (json_open(&j, json_path) != 0)
		return EXIT_FAILURE;
	port_catch_signals();
	ret = port_open(&p, &port_conf);
	if (ret == 0) {
		ret = hold(&p, j);
		if (port_close(&p) != 0)
			ret = -1;
		json_bool(j, "ok", ret == 0);
	}
	if (json_close(j) != 0)
		ret = -1;
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command cmd_hold = {
	.name = "hold",
	.help = "receive, hold every packet until nothing arrives, report what that costs",
	.opts = hold_opts,
	.run = hold_run,
};
