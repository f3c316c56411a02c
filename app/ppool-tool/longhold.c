/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Packets that are held, and what they pin, whoever made or received them. The same arithmetic for
 * stock mempools and page pools: what is handed out and is not held, the port has.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_lcore.h>

#include <ppool.h>
#include <ppool_keep.h>

#include "longhold.h"

/* So often in each run. */
#define SAMPLES 400u
#define ROWS 8u
#define WARM_UP_LIVES 3

static uint32_t
object_bytes(const struct rte_mempool *mp)
{
	return mp->header_size + mp->elt_size + mp->trailer_size;
}

/* A header, headroom and the default data room, and what a mempool has around them. */
uint32_t
longhold_stock_bytes(void)
{
	return rte_mempool_calc_obj_size(sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE, 0,
			NULL);
}

/* A packet that one stock mbuf does not hold is a chain. */
static uint64_t
stock_bytes_of(uint32_t len)
{
	return (uint64_t)longhold_stock_bytes() *
			RTE_MAX(1u,
					(len + RTE_MBUF_DEFAULT_DATAROOM - 1) /
							RTE_MBUF_DEFAULT_DATAROOM);
}

double
longhold_warm_up(const struct load *load)
{
	return WARM_UP_LIVES * load_mean_max(load);
}

/* Packets */

int
longhold_hold(struct longhold *h, struct rte_mbuf *m, uint64_t due)
{
	struct held_packet held = { .due = due };

	if (h->keep != NULL && ppool_keep(h->keep, &m, 1, PPOOL_KEEP_ALL) == 0)
		h->failed++;
	held.m = m;
	held.truesize = (uint32_t)ppool_mbuf_truesize(m);
	if (held_heap_push(&h->held, held) != 0) {
		fprintf(stderr, "longhold: no memory to note %" PRIu64 " packets\n", h->now.live);
		rte_pktmbuf_free(m);
		return -1;
	}
	h->now.live++;
	h->now.wire += rte_pktmbuf_pkt_len(m);
	h->now.charged += held.truesize;
	h->now.stock += stock_bytes_of(rte_pktmbuf_pkt_len(m));
	return 0;
}

static void
forget(struct longhold *h, const struct held_packet *held)
{
	h->now.live--;
	h->now.wire -= rte_pktmbuf_pkt_len(held->m);
	h->now.charged -= held->truesize;
	h->now.stock -= stock_bytes_of(rte_pktmbuf_pkt_len(held->m));
}

void
longhold_expire(struct longhold *h, uint64_t packet)
{
	struct rte_mbuf *m[LONGHOLD_BURST];
	struct held_packet held;
	unsigned int n = 0;

	while (h->held.n > 0 && h->held.packet[0].due <= packet) {
		held = held_heap_pop(&h->held);
		forget(h, &held);
		m[n++] = held.m;
		if (n == LONGHOLD_BURST) {
			rte_pktmbuf_free_bulk(m, n);
			n = 0;
		}
	}
	rte_pktmbuf_free_bulk(m, n);
}

/* Samples */

/* Of one or two pools; bytes. */
struct books {
	uint64_t out;     /* truesize of what is handed out */
	uint64_t taken;   /* objects and split pages that are not free */
	uint64_t at_hand; /* of taken: what lcores keep, and pages that are to be had */
	uint64_t cached;  /* in mempool caches, not in taken */
	uint64_t open;
	uint64_t pages; /* that are split */
};

static uint64_t
cached_bytes(struct rte_mempool *mp)
{
	const struct rte_mempool_cache *cache;
	uint64_t n = 0;
	unsigned int i;

	for (i = 0; mp->cache_size != 0 && i < RTE_MAX_LCORE; i++) {
		cache = rte_mempool_default_cache(mp, i);
		n += cache == NULL ? 0 : cache->len;
	}
	return n * object_bytes(mp);
}

static int
books_add(struct books *b, struct rte_mempool *mp)
{
	struct ppool_ledger l;
	uint64_t whole;

	b->cached += cached_bytes(mp);
	if (!ppool_is_page_pool(mp)) {
		b->out += (uint64_t)rte_mempool_in_use_count(mp) * object_bytes(mp);
		b->taken += (uint64_t)rte_mempool_in_use_count(mp) * object_bytes(mp);
		return 0;
	}
	if (ppool_ledger_get(mp, &l) != 0)
		return -1;
	whole = (uint64_t)l.whole * l.page_bytes;
	b->out += whole + l.charged + l.slot_charged + l.class_live;
	b->taken += whole + l.data_bytes + l.header_bytes + l.class_bytes;
	b->at_hand += l.class_reserve + (uint64_t)l.idle * l.page_bytes;
	b->open += l.open + l.stranded_open;
	b->pages += l.data + l.header + l.class_pages;
	return 0;
}

/*
 * Pages that are split are pinned, but for those that are to be had as if they were free, and for
 * what the lcore keeps at hand and what the port has posted, which do not grow with what is held.
 */
static int
sample_pinned(struct longhold *h)
{
	struct longhold_sample *s = &h->now;
	struct books b;

	memset(&b, 0, sizeof(b));
	if (books_add(&b, h->mp) != 0)
		return -1;
	if (h->keep != NULL && h->keep != h->mp && books_add(&b, h->keep) != 0)
		return -1;
	h->pages = RTE_MAX(h->pages, b.pages);
	s->posted = b.out - RTE_MIN(b.out, s->charged);
	s->reserve = b.at_hand + b.cached;
	s->open = b.open;
	s->pinned = s->charged + b.taken - RTE_MIN(b.taken, b.out + b.at_hand);
	return 0;
}

static void
ratio_add(struct longhold_ratio *r, uint64_t a, uint64_t b, bool warm)
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

static double
ratio_mean(const struct longhold_ratio *r)
{
	return r->n == 0 ? 0 : r->sum / r->n;
}

static double
megabytes(uint64_t bytes)
{
	return (double)bytes / 1e6;
}

void
longhold_header_print(void)
{
	static bool printed;

	if (printed)
		return;
	printed = true;
	printf("MB of packets that are held; pinned is without what is posted and the reserve; ratios of pinned\n");
	printf("%-15s%9s%11s%9s%9s%9s%9s%9s%9s%9s%9s%9s%9s\n", "", "page", "packets", "live",
			"wire", "charged", "pinned", "open", "posted", "reserve", "stock",
			"/charged", "/stock");
}

static void
row_print(const struct longhold *h)
{
	const struct longhold_sample *s = &h->now;

	printf("%-15s%9" PRIu32 "%11" PRIu64 "%9" PRIu64
	       "%9.3f%9.3f%9.3f%9.3f%9.3f%9.3f%9.3f%9.3f%9.3f\n",
			h->name, h->page, s->packet, s->live, megabytes(s->wire),
			megabytes(s->charged), megabytes(s->pinned), megabytes(s->open),
			megabytes(s->posted), megabytes(s->reserve), megabytes(s->stock),
			h->to_charged.last, h->to_stock.last);
	fflush(stdout);
}

int
longhold_look(struct longhold *h, uint64_t packet)
{
	bool warm = (double)packet >= longhold_warm_up(&h->conf->load);
	uint64_t packets = h->conf->packets, step = packets / SAMPLES;

	if (packet < RTE_MIN((h->next + 1) * step, packets))
		return 0;
	h->next = packet / step;
	h->now.packet = packet;
	if (sample_pinned(h) != 0) {
		fprintf(stderr, "longhold: the ledger of the pool cannot be read\n");
		return -1;
	}
	ratio_add(&h->to_charged, h->now.pinned, h->now.charged, warm);
	ratio_add(&h->to_stock, h->now.pinned, h->now.stock, warm);
	if (h->nb_series < LONGHOLD_SAMPLES_MAX)
		h->series[h->nb_series++] = h->now;
	if (packet * ROWS / packets == h->rows)
		return 1;
	h->rows = (unsigned int)(packet * ROWS / packets);
	row_print(h);
	return 1;
}

/* Results */

void
longhold_summary_print(const struct longhold *h)
{
	printf("%s: pinned/charged last %.3f mean %.3f worst %.3f, pinned/stock last %.3f mean %.3f worst %.3f, %" PRIu64
	       " without memory\n\n",
			h->name, h->to_charged.last, ratio_mean(&h->to_charged),
			h->to_charged.worst, h->to_stock.last, ratio_mean(&h->to_stock),
			h->to_stock.worst, h->failed);
}

static void
ratio_json(struct json *j, const char *key, const struct longhold_ratio *r)
{
	json_object(j, key);
	json_real(j, "last", r->last);
	json_real(j, "mean", ratio_mean(r));
	json_real(j, "worst", r->worst);
	json_end(j);
}

static void
series_json(const struct longhold *h, struct json *j)
{
	unsigned int i;

	json_object(j, "series");
#define SERIES_JSON(name) \
	json_array(j, #name); \
	for (i = 0; i < h->nb_series; i++) \
		json_uint(j, NULL, h->series[i].name); \
	json_end(j);
	LONGHOLD_SAMPLE(SERIES_JSON)
#undef SERIES_JSON
	json_end(j);
}

void
longhold_json(const struct longhold *h, struct json *j)
{
	json_uint(j, "page", h->page);
	json_uint(j, "pool_bytes", (uint64_t)h->mp->size * object_bytes(h->mp));
	json_uint(j, "live", h->now.live);
	json_uint(j, "wire_bytes", h->now.wire);
	json_uint(j, "charged", h->now.charged);
	json_uint(j, "pinned", h->now.pinned);
	json_uint(j, "open", h->now.open);
	json_uint(j, "posted", h->now.posted);
	json_uint(j, "reserve", h->now.reserve);
	json_uint(j, "stock", h->now.stock);
	json_uint(j, "pages", h->pages);
	json_uint(j, "failed", h->failed);
	json_uint(j, "samples", h->to_stock.n);
	ratio_json(j, "pinned_to_charged", &h->to_charged);
	ratio_json(j, "pinned_to_stock", &h->to_stock);
	series_json(h, j);
}
