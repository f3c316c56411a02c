/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdlib.h>

#include <rte_launch.h>
#include <rte_malloc.h>

#include <ppool_create.h>

#include "unit.h"

/* What a pool tells about itself. */

static void
assert_layout(struct rte_mempool *mp)
{
	uint32_t page = mp->header_size + mp->elt_size + mp->trailer_size;
	uint16_t priv = rte_pktmbuf_priv_size(mp);
	struct ppool_layout l, of_frag_pool;

	assert_int_equal(ppool_layout_get(mp, &l), 0);
	assert_int_equal(ppool_layout_get(ppool_frag_pool(mp), &of_frag_pool), 0);
	assert_memory_equal(&l, &of_frag_pool, sizeof(l));
	assert_int_equal(l.page_bytes, page);
	/* The application's mbuf and private area are not touched, and little more is wasted. */
	assert_true(l.lead_bytes >= mp->header_size + sizeof(struct rte_mbuf) + priv);
	assert_true(l.lead_bytes <
			mp->header_size + sizeof(struct rte_mbuf) + priv + RTE_CACHE_LINE_SIZE);
	assert_int_equal(l.room_bytes, mp->header_size + mp->elt_size - l.lead_bytes);
	/* An mbuf, its private area, what a frag needs and an object header. */
	assert_true(l.slot_bytes >= sizeof(struct rte_mbuf) + priv + sizeof(struct ppool_frag) +
					sizeof(struct rte_mempool_objhdr));
	assert_int_equal(l.slot_bytes % RTE_CACHE_LINE_SIZE, 0);
	assert_true(l.slots >= 1);
	assert_true((uint64_t)l.slots * l.slot_bytes <= page);
	/* A header page is used well. */
	assert_true((uint64_t)(l.slots + 2) * l.slot_bytes > mp->elt_size - priv);
}

static void
test_layout(void **state)
{
	static const uint16_t rooms[] = { 8 * RTE_CACHE_LINE_SIZE, 2176, 4096, 9216, 16384,
		UINT16_MAX };
	static const uint16_t privs[] = { 0, 8, 64, 256 };
	unsigned int i, k;

	(void)state;
	for (i = 0; i < RTE_DIM(rooms); i++)
		for (k = 0; k < RTE_DIM(privs); k++) {
			struct rte_mempool *mp = unit_pool(20, rooms[i], 0, privs[k]);

			assert_layout(mp);
			unit_pool_free(mp);
		}
}

/* Without a private area a header is three cache lines, or two long ones. */
static void
test_slot_of_three_lines(void **state)
{
	struct ppool_layout l;

	(void)state;
	assert_int_equal(ppool_layout_get(unit_pool(20, 2176, 0, 0), &l), 0);
	assert_int_equal(l.slot_bytes, RTE_ALIGN_CEIL(3 * 64, RTE_CACHE_LINE_SIZE));
}

static void
test_dump(void **state)
{
	struct rte_mempool *mp = unit_pool(40, 4096, 0, 0);
	struct rte_mempool *stock = unit_stock_pool(15, 2176);
	struct rte_mempool *pools[3] = { mp, NULL, stock };
	struct rte_mbuf *m;
	unsigned int i;

	(void)state;
	m = ppool_carve(unit_carver(mp, 1000, 1), 500);
	assert_non_null(m);
	pools[1] = ppool_frag_pool(mp);
	for (i = 0; i < RTE_DIM(pools); i++) {
		char *text = NULL;
		size_t size = 0;
		FILE *f = open_memstream(&text, &size);

		assert_non_null(f);
		ppool_dump(f, pools[i]);
		fclose(f);
		assert_true(size > 0);
		if (pools[i] != stock) {
			/* The names of pool and counters, whichever role it is given in. */
			assert_non_null(strstr(text, mp->name));
			assert_non_null(strstr(text, "frag_alloc"));
			assert_non_null(strstr(text, "page_empty"));
			assert_non_null(strstr(text, "pages by tenths"));
		}
		free(text);
	}
	rte_pktmbuf_free(m);
}

static void
test_stats_of_both_roles(void **state)
{
	struct rte_mempool *mp = unit_pool(40, 4096, 0, 0);
	struct rte_mbuf *m = rte_pktmbuf_alloc(ppool_frag_pool(mp));
	struct ppool_stats a, b;
	struct ppool_ledger la, lb;

	(void)state;
	assert_non_null(m);
	a = unit_stats(mp);
	b = unit_stats(ppool_frag_pool(mp));
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(a.frag_alloc, 1);
	la = unit_ledger(mp);
	lb = unit_ledger(ppool_frag_pool(mp));
	assert_memory_equal(&la, &lb, sizeof(la));
	rte_pktmbuf_free(m);
}

/* Drivers register DMA memory through m->pool: the frag pool lists the page pool's chunks. */

struct chunks {
	struct {
		void *addr;
		rte_iova_t iova;
		size_t len;
	} chunk[256];
	unsigned int n;
};

static void
collect_chunk(struct rte_mempool *mp, void *arg, struct rte_mempool_memhdr *chunk, unsigned int i)
{
	struct chunks *c = arg;

	(void)mp;
	(void)i;
	if (c->n == RTE_DIM(c->chunk))
		return;
	c->chunk[c->n].addr = chunk->addr;
	c->chunk[c->n].iova = chunk->iova;
	c->chunk[c->n].len = chunk->len;
	c->n++;
}

static bool
listed(const struct chunks *c, const void *data, size_t len)
{
	unsigned int i;

	for (i = 0; i < c->n; i++)
		if (data >= c->chunk[i].addr &&
				(const char *)data + len <=
						(const char *)c->chunk[i].addr + c->chunk[i].len)
			return true;
	return false;
}

static void
assert_chunks_listed(struct rte_mempool *mp)
{
	struct rte_mempool *frag_pool = ppool_frag_pool(mp);
	struct chunks of_pages = { .n = 0 }, of_frags = { .n = 0 };
	unsigned int i, k;

	rte_mempool_mem_iter(mp, collect_chunk, &of_pages);
	rte_mempool_mem_iter(frag_pool, collect_chunk, &of_frags);
	assert_true(of_pages.n > 0 && of_pages.n < RTE_DIM(of_pages.chunk));
	for (i = 0; i < of_pages.n; i++) {
		for (k = 0; k < of_frags.n; k++)
			if (of_frags.chunk[k].addr == of_pages.chunk[i].addr &&
					of_frags.chunk[k].iova == of_pages.chunk[i].iova &&
					of_frags.chunk[k].len == of_pages.chunk[i].len)
				break;
		if (k == of_frags.n)
			fail_msg("chunk %u of %u is not listed", i, of_pages.n);
	}
	/* Listing them must not make frags of them. */
	assert_int_equal(rte_mempool_in_use_count(frag_pool), 0);
	assert_int_equal(rte_mempool_avail_count(mp), mp->size);
}

static void
test_chunks(void **state)
{
	struct rte_mempool *mp;
	struct ppool_carver *c;
	struct rte_mbuf *m[100];
	struct chunks chunks = { .n = 0 };
	unsigned int i;

	(void)state;
	assert_chunks_listed(unit_pool(4000, 4096, 0, 0));
	mp = unit_pool(120, 16384, 32, 0);
	assert_chunks_listed(mp);
	/* Every frag lies in memory that its own pool lists. */
	rte_mempool_mem_iter(ppool_frag_pool(mp), collect_chunk, &chunks);
	c = unit_carver(mp, 2000, 1);
	for (i = 0; i < RTE_DIM(m); i++) {
		m[i] = ppool_carve(c, 1 + i * 20);
		assert_non_null(m[i]);
		assert_true(listed(&chunks, m[i]->buf_addr, m[i]->buf_len));
	}
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
}

/* Functions that work on any mempool work on both roles. */
static void
test_mempool_functions(void **state)
{
	struct rte_mempool *mp = unit_pool(100, 4096, 16, 0);
	struct rte_mempool *frag_pool = ppool_frag_pool(mp);
	struct rte_mbuf *m[4];
	char *text = NULL;
	size_t size = 0;
	FILE *f;

	(void)state;
	assert_int_equal(rte_pktmbuf_alloc_bulk(frag_pool, m, RTE_DIM(m)), 0);
	assert_true(rte_pktmbuf_data_room_size(frag_pool) <= m[0]->buf_len);
	assert_int_equal(rte_pktmbuf_priv_size(frag_pool), rte_pktmbuf_priv_size(mp));
	rte_mempool_audit(mp);
	rte_mempool_audit(frag_pool);
	f = open_memstream(&text, &size);
	assert_non_null(f);
	rte_mempool_dump(f, mp);
	rte_mempool_dump(f, frag_pool);
	rte_mempool_list_dump(f);
	fclose(f);
	assert_true(size > 0);
	free(text);
	assert_ptr_equal(rte_mempool_from_obj(m[0]), mp);
	if (rte_mbuf_iova_get(m[0]) != RTE_BAD_IOVA)
		assert_int_not_equal(rte_mempool_virt2iova(m[0]), 0);
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
}

/* Looking changes nothing */

/* The part of a pool that all processes share: what anybody does to the pool, changes it. */
struct snapshot {
	struct ppool_stats stats;
	size_t size;
	void *copy;
};

static struct snapshot
snapshot_take(struct rte_mempool *mp)
{
	struct snapshot s = { .stats = unit_stats(mp) };

	assert_int_equal(rte_malloc_validate(mp->pool_data, &s.size), 0);
	s.copy = malloc(s.size);
	assert_non_null(s.copy);
	memcpy(s.copy, mp->pool_data, s.size);
	return s;
}

static void
snapshot_assert(struct snapshot *s, struct rte_mempool *mp)
{
	struct ppool_stats stats = unit_stats(mp);

	assert_memory_equal(&stats, &s->stats, sizeof(stats));
	assert_memory_equal(mp->pool_data, s->copy, s->size);
	free(s->copy);
}

struct half {
	struct rte_mbuf **m;
	unsigned int n;
};

static int
free_half(void *arg)
{
	struct half *half = arg;

	rte_pktmbuf_free_bulk(half->m, half->n);
	return 0;
}

/* Idle slots wait with two lcores and in the depot, pages with all of their slots among them. */
static void
test_count_reads_only(void **state)
{
	struct rte_mempool *mp = unit_pool(300, 4096, 0, 0);
	struct rte_mempool *frag_pool = ppool_frag_pool(mp);
	struct ppool_carver *c = unit_carver(mp, 100, 1);
	struct rte_mbuf *m[1000];
	struct half half = { m + 1, 499 };
	struct snapshot s;
	unsigned int i, avail;

	(void)state;
	unit_require(unit_workers() > 0, "a worker lcore");
	for (i = 0; i < RTE_DIM(m); i++) {
		m[i] = ppool_carve(c, 100);
		assert_non_null(m[i]);
	}
	unit_carver_free(c);
	assert_int_equal(unit_on_lcore(0, free_half, &half), 0);
	half = (struct half){ m + 500, 500 };
	free_half(&half);
	s = snapshot_take(mp);
	avail = rte_mempool_avail_count(mp);
	assert_int_equal(rte_mempool_avail_count(mp), avail);
	assert_int_equal(rte_mempool_in_use_count(frag_pool), 1);
	assert_false(rte_mempool_full(mp));
	snapshot_assert(&s, mp);

	rte_pktmbuf_free(m[0]);
	s = snapshot_take(mp);
	assert_true(rte_mempool_full(mp));
	assert_true(rte_mempool_full(frag_pool));
	snapshot_assert(&s, mp);
}

/* As many objects as can be got. */
static void
assert_avail(struct rte_mempool *mp, unsigned int avail)
{
	void *obj[100];
	unsigned int n;

	assert_int_equal(rte_mempool_avail_count(mp), avail);
	for (n = 0; n < RTE_DIM(obj) && rte_mempool_get(mp, &obj[n]) == 0; n++)
		;
	assert_int_equal(n, avail);
	assert_int_equal(rte_mempool_avail_count(mp), 0);
	unit_put_bulk(mp, obj, n);
	assert_int_equal(rte_mempool_avail_count(mp), avail);
}

/* What carvers keep for themselves is in use, what they left behind is not. */
static void
test_count_exact(void **state)
{
	struct rte_mempool *mp = unit_pool(30, 4096, 0, 0);
	struct ppool_carver *a = unit_carver(mp, 500, 1), *b = unit_carver(mp, 500, 1);
	struct ppool_carver *c = unit_carver(mp, 500, 1);
	struct rte_mbuf *m[3];
	struct ppool_buf buf;

	(void)state;
	/* Each keeps a slot of the same page. */
	assert_avail(mp, 29);
	unit_carver_free(c);
	assert_avail(mp, 29);
	/* The pages that two of them fill, with headers that lie together. */
	assert_int_equal(ppool_headers_get(a, m, 2), 2);
	assert_int_equal(ppool_reserve(a, 0, &buf), 0);
	ppool_commit(a, 0, m[0], 10);
	assert_int_equal(ppool_reserve(b, 0, &buf), 0);
	ppool_commit(b, 0, m[1], 10);
	assert_int_equal(rte_mempool_in_use_count(ppool_frag_pool(mp)), 2);
	assert_avail(mp, 27);
	/* Parked, with a frag, then without, while another frag is in use. */
	unit_carver_free(b);
	assert_int_equal(rte_mempool_avail_count(mp), 27);
	rte_pktmbuf_free(m[1]);
	assert_avail(mp, 28);
	m[2] = rte_pktmbuf_alloc(ppool_frag_pool(mp));
	assert_avail(mp, 27);
	rte_pktmbuf_free(m[2]);
	rte_pktmbuf_free(m[0]);
	assert_int_equal(rte_mempool_in_use_count(ppool_frag_pool(mp)), 0);
	assert_avail(mp, 28);
	unit_carver_free(a);
	assert_avail(mp, 30);
}

/* Another process may have mempool drivers in another order */

/* What is logged while a mempool is used that says to have other ops. */
struct renumbered {
	struct rte_mempool *mp;
	int32_t ops_index;
	char *text;
	size_t size;
	FILE *log;
};

static void
renumber(struct renumbered *r, struct rte_mempool *mp, int32_t ops_index)
{
	r->mp = mp;
	r->ops_index = mp->ops_index;
	r->log = open_memstream(&r->text, &r->size);
	assert_non_null(r->log);
	rte_openlog_stream(r->log);
	mp->ops_index = ops_index;
}

/* One message, which names the pool, both numbers and the remedy. */
static void
renumber_end(struct renumbered *r, int32_t ours)
{
	char words[3][64];
	unsigned int i;
	const char *at;

	snprintf(words[0], sizeof(words[0]), "mempool %s ", r->mp->name);
	snprintf(words[1], sizeof(words[1]), "ops number %d,", r->mp->ops_index);
	snprintf(words[2], sizeof(words[2]), "ppfrag is number %d,", ours);
	r->mp->ops_index = r->ops_index;
	rte_openlog_stream(NULL);
	fclose(r->log);
	for (i = 0; i < RTE_DIM(words); i++)
		if (strstr(r->text, words[i]) == NULL)
			fail_msg("no '%s' in '%s'", words[i], r->text);
	at = strstr(r->text, "LD_PRELOAD");
	assert_non_null(at);
	assert_null(strstr(at + 1, "LD_PRELOAD"));
	free(r->text);
}

/* Our functions are called with another driver's pool. */
static void
test_ops_of_others(void **state)
{
	struct rte_mempool *stock = unit_stock_pool(63, 512), *mp = unit_pool(15, 2176, 0, 0);
	struct ppool_ledger l;
	struct ppool_stats s;
	struct renumbered r;
	unsigned int avail;
	bool is_page_pool;

	(void)state;
	renumber(&r, stock, mp->ops_index);
	avail = rte_mempool_avail_count(stock);
	is_page_pool = ppool_is_page_pool(stock);
	rte_errno = 0;
	assert_null(ppool_frag_pool(stock));
	assert_int_equal(rte_errno, ENOTSUP);
	assert_int_equal(ppool_ledger_get(stock, &l), -ENOTSUP);
	assert_int_equal(ppool_check(stock, NULL), -ENOTSUP);
	assert_int_equal(ppool_stats_get(stock, &s), -ENOTSUP);
	renumber_end(&r, mp->ops_index);
	assert_int_equal(avail, 0);
	assert_false(is_page_pool);
	assert_true(rte_mempool_full(stock));
}

/* A pool of ours has a number that is another driver's here. */
static void
test_ops_of_ours(void **state)
{
	struct rte_mempool *stock = unit_stock_pool(63, 512), *mp = unit_pool(15, 2176, 0, 0);
	const int32_t ours = mp->ops_index;
	struct renumbered r;
	char *text;

	(void)state;
	text = unit_telemetry("/ppool/list");
	unit_require(text != NULL, "telemetry");
	assert_non_null(strstr(text, mp->name));
	free(text);
	renumber(&r, mp, stock->ops_index);
	rte_errno = 0;
	assert_null(ppool_frag_pool(mp));
	assert_int_equal(rte_errno, ENOTSUP);
	assert_int_equal(ppool_attach(mp), -ENOTSUP);
	text = unit_telemetry("/ppool/list");
	renumber_end(&r, ours);
	assert_non_null(text);
	assert_null(strstr(text, mp->name));
	free(text);
}

/* Telemetry */

static char *
ask(const char *command, const char *name)
{
	char text[128];
	char *answer;

	snprintf(text, sizeof(text), "%s,%s", command, name);
	answer = unit_telemetry(text);
	unit_require(answer != NULL, "telemetry");
	return answer;
}

/* Every term of the ledger, every counter, and what the pool is made of. */
static void
test_telemetry_info(void **state)
{
	struct rte_mempool *mp = unit_pool(200, 16384, 0, 64);
	struct ppool_carver *c = unit_carver(mp, 1500, 2);
	struct ppool_layout layout;
	struct ppool_ledger l;
	struct ppool_stats s;
	struct rte_mbuf *m[40];
	char *text;
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(m); i++)
		m[i] = ppool_carve(c, 1000);
	rte_pktmbuf_free_bulk(m, RTE_DIM(m) / 2);
	text = ask("/ppool/info", mp->name);
	l = unit_ledger(mp);
	s = unit_stats(mp);
	assert_int_equal(ppool_layout_get(mp, &layout), 0);
#define COUNTER(name, desc) assert_int_equal(unit_json_uint(text, #name), s.name);
	PPOOL_STATS(COUNTER)
#undef COUNTER
#define TERM(name, type, unit, desc) assert_int_equal(unit_json_uint(text, #name), l.name);
	PPOOL_LEDGER(TERM)
#undef TERM
#define SAME(of, name) assert_int_equal(unit_json_uint(text, #name), (of).name)
	SAME(layout, lead_bytes);
	SAME(layout, room_bytes);
	SAME(layout, slot_bytes);
	SAME(layout, slots);
	assert_int_equal(unit_json_uint(text, "priv_bytes"), 64);
	assert_int_equal(unit_json_uint(text, "carvers"), 1);
	assert_true(unit_json_uint(text, "memory_bytes") >= (uint64_t)l.pages * l.page_bytes);
	assert_int_equal(unit_json_uint(text, "violations"), 0);
	free(text);

	text = ask("/ppool/stats", mp->name);
#define COUNTER(name, desc) assert_int_equal(unit_json_uint(text, #name), s.name);
	PPOOL_STATS(COUNTER)
#undef COUNTER
	SAME(l, page_bytes);
	SAME(l, pages);
	SAME(layout, slots);
#undef SAME
	assert_int_equal(unit_json_uint(text, "avail"), l.free + l.idle);
	free(text);
	rte_pktmbuf_free_bulk(m + RTE_DIM(m) / 2, RTE_DIM(m) / 2);
}

static uint64_t
sum_of(const char *text, const char *key, unsigned int bins)
{
	uint64_t value[32], sum = 0;
	unsigned int i;

	assert_int_equal(unit_json_uints(text, key, value, RTE_DIM(value)), bins);
	for (i = 0; i < bins; i++)
		sum += value[i];
	return sum;
}

/* One frag in each of some pages, and a page that is being filled. */
static void
test_telemetry_pages(void **state)
{
	struct rte_mempool *mp = unit_pool(200, 16384, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 1500, 1);
	struct rte_mbuf *m[101], *mono = rte_pktmbuf_alloc(ppool_frag_pool(mp));
	uint64_t occupancy[10];
	unsigned int i;
	char *text;

	(void)state;
	for (i = 0; i < RTE_DIM(m); i++)
		m[i] = ppool_carve(c, 1500);
	for (i = 0; i < RTE_DIM(m); i++)
		if (i % 10 != 0)
			rte_pktmbuf_free(m[i]);
	text = ask("/ppool/pages", mp->name);
	assert_int_equal(unit_json_uint(text, "data"), 12);
	assert_int_equal(unit_json_uint(text, "closed"), 11);
	assert_int_equal(unit_json_uint(text, "carver"), 1);
	assert_int_equal(unit_json_uint(text, "parked"), 0);
	assert_int_equal(unit_json_uint(text, "no_age"), 1);
	assert_int_equal(sum_of(text, "occupancy", 10), 12);
	assert_int_equal(sum_of(text, "age", 7), 11);
	/* A tenth or less in ten of them, all in two. */
	assert_int_equal(unit_json_uints(text, "occupancy", occupancy, 10), 10);
	assert_int_equal(occupancy[0] + occupancy[1], 10);
	assert_int_equal(occupancy[8] + occupancy[9], 2);
	/* The oldest are told one by one. */
	assert_non_null(strstr(text, "\"oldest\":{\"0\":{"));
	assert_non_null(strstr(text, "\"10\":{"));
	assert_null(strstr(text, "\"11\":{"));
	assert_non_null(strstr(text, "\"owner\":\"carver\""));
	assert_int_equal(unit_json_uint(strstr(text, "oldest"), "lcore"), rte_lcore_id());
	free(text);

	unit_carver_free(c);
	text = ask("/ppool/pages", mp->name);
	assert_int_equal(unit_json_uint(text, "carver"), 0);
	assert_int_equal(unit_json_uint(text, "parked"), 1);
	free(text);
	for (i = 0; i < RTE_DIM(m); i += 10)
		rte_pktmbuf_free(m[i]);
	rte_pktmbuf_free(mono);
	text = ask("/ppool/pages", mp->name);
	assert_int_equal(sum_of(text, "occupancy", 10), unit_json_uint(text, "data"));
	free(text);
}

/* All who look, while an lcore allocates and frees */

#define HELD 20000u
#define HELD_LONG 1000000u
#define ROUNDS 40u
#define ROUNDS_MAX 4000u

struct traffic {
	struct ppool_carver *c;
	uint64_t seed;
	unsigned int rounds;
	bool stop;
};

/* Bursts from a page to several, with pages of headers that come and go. */
static int
traffic_run(void *arg)
{
	struct traffic *t = arg;
	struct rte_mbuf *m[600];
	uint32_t lens[RTE_DIM(m)];
	unsigned int i, n;

	while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
		n = unit_range(&t->seed, 1, RTE_DIM(m));
		for (i = 0; i < n; i++)
			lens[i] = unit_range(&t->seed, 1, 200);
		n = ppool_carve_burst(t->c, m, lens, n);
		unit_shuffle((void **)m, n, &t->seed);
		rte_pktmbuf_free_bulk(m, n);
		__atomic_fetch_add(&t->rounds, 1, __ATOMIC_RELAXED);
	}
	return 0;
}

/* As many as are held and what they take, which nobody touches. */
struct held {
	struct rte_mempool *mp;
	uint16_t account;
	uint64_t frags;
};

/* The lcore must be stopped before the test may fail. */
#define WRONG_UNLESS(cond) \
	do { \
		if (!(cond)) { \
			print_error("%s does not hold\n", #cond); \
			return false; \
		} \
	} while (0)

static bool
info_holds(const struct held *h, unsigned int *busy)
{
	char *text = ask("/ppool/info", h->mp->name);
	uint64_t approximate = unit_json_uint(text, "approximate");
	uint64_t violations = unit_json_uint(text, "violations");

	free(text);
	WRONG_UNLESS(approximate == 0 || approximate == 1);
	WRONG_UNLESS(violations == (approximate == 0 ? 0 : UINT64_MAX));
	*busy += approximate;
	return true;
}

/* All who look, one after the other. */
static bool
looks_hold(const struct held *h, FILE *f, unsigned int *busy)
{
	uint64_t frags, bytes;
	struct ppool_ledger l;

	if (!info_holds(h, busy))
		return false;
	free(ask("/ppool/pages", h->mp->name));
	free(ask("/ppool/stats", h->mp->name));
	free(ask("/ppool/account_frags", h->mp->name));
	WRONG_UNLESS(ppool_ledger_get(h->mp, &l) == 0);
	WRONG_UNLESS(l.frags >= h->frags && l.charged >= h->frags);
	WRONG_UNLESS(ppool_account_frags_get(h->account, &frags, &bytes) == 0);
	WRONG_UNLESS(frags == h->frags && bytes == ppool_account_used(h->account));
	WRONG_UNLESS(rte_mempool_avail_count(h->mp) < h->mp->size);
	WRONG_UNLESS(rte_mempool_in_use_count(ppool_frag_pool(h->mp)) >= h->frags);
	ppool_dump(f, h->mp);
	return true;
}

/* Until it was seen that the lcore works, and often enough. Returns whether all held. */
static bool
look(const struct held *h, FILE *f)
{
	unsigned int i, busy = 0;

	for (i = 0; i < ROUNDS_MAX && (i < ROUNDS || busy == 0); i++)
		if (!looks_hold(h, f, &busy))
			return false;
	return busy > 0;
}

static void
test_look_while_busy(void **state)
{
	const unsigned int held = unit_scaled(HELD, HELD_LONG);
	struct rte_mempool *mp = unit_pool(held / 40 + 200, 16384, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 200, 1);
	struct traffic traffic = { .c = unit_carver(mp, 200, 2), .seed = unit_seed };
	struct rte_mbuf **m = calloc(held, sizeof(*m));
	const struct held h = { mp, unit_account(PPOOL_ACCOUNT_UNLIMITED), held };
	unsigned int i, n = 0, lcore = rte_get_next_lcore(-1, 1, 0);
	FILE *f = fopen("/dev/null", "w");
	char *text;
	bool ok;

	(void)state;
	unit_require(lcore < RTE_MAX_LCORE, "a worker lcore");
	assert_non_null(m);
	assert_non_null(f);
	for (i = 0; i < held; i++) {
		m[i] = ppool_carve(c, 1);
		assert_non_null(m[i]);
		assert_int_equal(ppool_account_charge(h.account, &m[i], 1), 1);
	}
	assert_int_equal(rte_eal_remote_launch(traffic_run, &traffic, lcore), 0);
	ok = look(&h, f);
	__atomic_store_n(&traffic.stop, true, __ATOMIC_RELEASE);
	rte_eal_wait_lcore(lcore);
	fclose(f);
	assert_true(ok && traffic.rounds > 0);

	/* And what is quiet is told to be exact. */
	text = ask("/ppool/info", mp->name);
	assert_int_equal(unit_json_uint(text, "approximate"), 0);
	assert_int_equal(unit_json_uint(text, "violations"), 0);
	assert_int_equal(unit_json_uint(text, "frags"), held);
	free(text);
	for (i = 0; i < held; i += n) {
		n = RTE_MIN(held - i, 1000u);
		rte_pktmbuf_free_bulk(m + i, n);
	}
	free(m);
}

/* Pools that were never split have no data pages; others do not exist. */
static void
test_telemetry_others(void **state)
{
	struct unit_pool_conf conf = { .n = 100, .elt_size = 128 };
	struct rte_mempool *stock = unit_stock_pool(15, 2176);
	struct rte_mempool *mp = unit_mempool(&conf);
	char *text;

	(void)state;
	text = ask("/ppool/info", mp->name);
	assert_int_equal(unit_json_uint(text, "free"), 100);
	assert_int_equal(unit_json_uint(text, "priv_bytes"), 0);
	free(text);
	text = ask("/ppool/pages", mp->name);
	assert_int_equal(unit_json_uint(text, "data"), 0);
	free(text);
	text = ask("/ppool/pages", stock->name);
	assert_null(strstr(text, "occupancy"));
	free(text);
	text = ask("/ppool/pages", "no such pool");
	assert_null(strstr(text, "occupancy"));
	free(text);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_layout),
	UNIT_TEST(test_slot_of_three_lines),
	UNIT_TEST(test_dump),
	UNIT_TEST(test_stats_of_both_roles),
	UNIT_TEST(test_chunks),
	UNIT_TEST(test_mempool_functions),
	UNIT_TEST(test_count_reads_only),
	UNIT_TEST(test_count_exact),
	UNIT_TEST(test_ops_of_others),
	UNIT_TEST(test_ops_of_ours),
	UNIT_TEST(test_telemetry_info),
	UNIT_TEST(test_telemetry_pages),
	UNIT_TEST(test_look_while_busy),
	UNIT_TEST(test_telemetry_others),
};

UNIT_SUITE(info, "layout, statistics, dump, the chunks of memory that a pool lists", tests);
