/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <dlfcn.h>
#include <stdlib.h>

#include "unit.h"

/* Carvers: where frags lie, what they are charged, lanes, errors, changes of owner. */

#define MAX_FRAGS 4096

static const struct ppool_frag *
frag_of(const struct rte_mbuf *m)
{
	return (const struct ppool_frag *)(const void *)m->shinfo;
}

static struct ppool_layout
layout_of(struct rte_mempool *mp)
{
	struct ppool_layout layout;

	assert_int_equal(ppool_layout_get(mp, &layout), 0);
	return layout;
}

static void
free_all(struct rte_mbuf **m, unsigned int n)
{
	rte_pktmbuf_free_bulk(m, n);
}

/* The pool's objects in the order of their addresses. */
struct pages {
	struct rte_mempool *mp;
	uintptr_t *obj;
	unsigned int n;
};

static void
collect_page(struct rte_mempool *mp, void *arg, void *obj, unsigned int i)
{
	struct pages *p = arg;

	(void)mp;
	p->obj[i] = (uintptr_t)obj;
	p->n++;
}

static int
compare_addresses(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

static struct pages
pages_of(struct rte_mempool *mp)
{
	struct pages p = { .mp = mp, .obj = calloc(mp->size, sizeof(uintptr_t)) };

	assert_non_null(p.obj);
	rte_mempool_obj_iter(mp, collect_page, &p);
	qsort(p.obj, p.n, sizeof(*p.obj), compare_addresses);
	return p;
}

/* The buffer lies in the room of one page, its mbuf elsewhere but in the pool, too. */
static void
assert_inside(const struct pages *p, const struct rte_mbuf *m)
{
	struct ppool_layout layout = layout_of(p->mp);
	uintptr_t addr = (uintptr_t)m->buf_addr, obj;
	unsigned int low = 0, high = p->n, mid;

	while (high - low > 1) {
		mid = (low + high) / 2;
		if (p->obj[mid] <= addr)
			low = mid;
		else
			high = mid;
	}
	obj = p->obj[low];
	assert_in_range(addr, obj + layout.lead_bytes - p->mp->header_size, obj + p->mp->elt_size);
	assert_true(addr + m->buf_len <= obj + p->mp->elt_size);
	assert_false((uintptr_t)m >= obj && (uintptr_t)m < obj + p->mp->elt_size);
	if (rte_mbuf_iova_get(m) != RTE_BAD_IOVA)
		assert_int_equal(rte_mbuf_iova_get(m),
				rte_mempool_virt2iova((void *)obj) + (addr - obj));
}

static unsigned int
carve_until_empty(struct ppool_carver *c, struct rte_mbuf **m, unsigned int max, uint32_t max_len,
		uint64_t *rng)
{
	unsigned int n;

	for (n = 0; n < max; n++) {
		uint32_t len = unit_range(rng, 0, max_len);

		m[n] = ppool_carve(c, len);
		if (m[n] == NULL)
			break;
		if (len > 0)
			assert_non_null(rte_pktmbuf_append(m[n], (uint16_t)len));
	}
	return n;
}

/* Where frags lie */

static void
test_single(void **state)
{
	struct rte_mempool *mp = unit_pool(40, 4096, 0, 0);
	struct rte_mempool *frag_pool = ppool_frag_pool(mp);
	struct ppool_carver *c = unit_carver(mp, 3000, 1);
	struct pages pages = pages_of(mp);
	uint32_t len;

	(void)state;
	assert_ptr_equal(ppool_carver_frag_pool(c), frag_pool);
	for (len = 0; len <= 3000; len += len < 130 ? 1 : 97) {
		struct rte_mbuf *m = ppool_carve(c, len);

		assert_non_null(m);
		unit_assert_fresh(m, frag_pool);
		assert_int_equal(m->data_len, 0);
		assert_true(rte_pktmbuf_tailroom(m) >= len);
		assert_int_equal(m->port, RTE_MBUF_PORT_INVALID);
		assert_inside(&pages, m);
		unit_fill_buf(m, len);
		assert_true(unit_filled_buf(m, len));
		unit_assert_charged(mp, &m, 1);
		rte_pktmbuf_free(m);
	}
	free(pages.obj);
}

/* All pages full of frags of random lengths: each still has its own contents at the end. */
static void
exercise_no_overlap(struct rte_mempool *mp, uint32_t max_len, uint64_t *rng)
{
	struct rte_mempool *frag_pool = ppool_frag_pool(mp);
	struct ppool_carver *c = unit_carver(mp, max_len, 1);
	struct rte_mbuf **m = calloc(MAX_FRAGS, sizeof(*m));
	struct pages pages = pages_of(mp);
	unsigned int i, n;

	assert_non_null(m);
	n = carve_until_empty(c, m, MAX_FRAGS, max_len, rng);
	assert_in_range(n, mp->size / 2, MAX_FRAGS - 1);
	for (i = 0; i < n; i++)
		unit_fill_buf(m[i], i);
	for (i = 0; i < n; i++) {
		unit_assert_fresh(m[i], frag_pool);
		assert_inside(&pages, m[i]);
		if (!unit_filled_buf(m[i], i))
			fail_msg("frag %u of %u was overwritten", i, n);
	}
	unit_assert_charged(mp, m, n);
	unit_shuffle((void **)m, n, rng);
	for (i = 0; i < n; i++)
		rte_pktmbuf_free(m[i]);
	unit_carver_free(c);
	free(pages.obj);
	free(m);
}

static void
test_no_overlap(void **state)
{
	static const uint16_t rooms[] = { 640, 2176, 2304, 9216, 16384, UINT16_MAX };
	uint64_t rng = unit_seed;
	unsigned int i, round;
	uint32_t room;

	(void)state;
	for (i = 0; i < RTE_DIM(rooms); i++) {
		struct rte_mempool *mp = unit_pool(32, rooms[i], 0, 16 * (i % 3));

		/* Recycled pages as well as fresh ones. */
		for (round = 0; round < 3; round++)
			exercise_no_overlap(mp, RTE_MIN(rooms[i] - 128, 1518), &rng);
		room = RTE_MIN(layout_of(mp).room_bytes, (uint32_t)UINT16_MAX);
		exercise_no_overlap(mp, room - RTE_PKTMBUF_HEADROOM, &rng);
		unit_pool_free(mp);
	}
}

static void
test_anonymous(void **state)
{
	struct rte_pktmbuf_pool_private priv = { .mbuf_data_room_size = 2176 };
	struct rte_mempool *mp;
	uint64_t rng = unit_seed;

	(void)state;
	mp = rte_mempool_create_empty(unit_name(), 64, sizeof(struct rte_mbuf) + 2176, 0,
			sizeof(priv), SOCKET_ID_ANY, 0);
	unit_register(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, PPOOL_OPS_NAME, NULL), 0);
	rte_pktmbuf_pool_init(mp, &priv);
	assert_int_equal(rte_mempool_populate_anon(mp), 64);
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	exercise_no_overlap(mp, 1500, &rng);
}

/* Elements larger than an mbuf can describe. */
static void
test_huge_elements(void **state)
{
	struct rte_pktmbuf_pool_private priv = { .mbuf_data_room_size = UINT16_MAX };
	struct rte_mempool *mp;
	uint64_t rng = unit_seed;

	(void)state;
	mp = rte_mempool_create_empty(unit_name(), 16, 200000, 0, sizeof(priv), SOCKET_ID_ANY, 0);
	unit_register(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, PPOOL_OPS_NAME, NULL), 0);
	rte_pktmbuf_pool_init(mp, &priv);
	assert_int_equal(rte_mempool_populate_default(mp), 16);
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	exercise_no_overlap(mp, 65407, &rng);
	exercise_no_overlap(mp, 2000, &rng);
}

/* Frags of a page follow each other without a gap. */
static void
test_contiguous(void **state)
{
	struct rte_mempool *mp = unit_pool(20, 16384, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 1518, 1);
	struct rte_mbuf *m[200];
	uint64_t rng = unit_seed;
	unsigned int i, same = 0;

	(void)state;
	for (i = 0; i < RTE_DIM(m); i++) {
		m[i] = ppool_carve(c, unit_range(&rng, 0, 1518));
		assert_non_null(m[i]);
		if (i == 0 || frag_of(m[i])->page != frag_of(m[i - 1])->page)
			continue;
		same++;
		assert_ptr_equal(m[i]->buf_addr, (char *)m[i - 1]->buf_addr + m[i - 1]->buf_len);
	}
	assert_true(same > RTE_DIM(m) * 3 / 4);
	free_all(m, RTE_DIM(m));
}

static void
test_conf(void **state)
{
	static const uint16_t headrooms[] = { 0, 2, 64, 100, 128, 256, 300 };
	struct rte_mempool *mp = unit_pool(31, 4096, 0, 0);
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(headrooms); i++) {
		struct ppool_carver_conf conf = {
			.max_len = 1000,
			.headroom = headrooms[i],
			.nb_lanes = 1,
			.port = (uint16_t)(7 + i),
			.socket_id = SOCKET_ID_ANY,
		};
		/* The frag pool names the page pool as well. */
		struct ppool_carver *c = ppool_carver_create(ppool_frag_pool(mp), &conf);
		struct rte_mbuf *m[2];

		assert_non_null(c);
		m[0] = ppool_carve(c, 1000);
		m[1] = ppool_carve(c, 1);
		ppool_carver_free(c);
		assert_non_null(m[0]);
		assert_non_null(m[1]);
		assert_int_equal(m[0]->data_off, headrooms[i]);
		assert_int_equal(m[0]->port, 7 + i);
		assert_true(m[0]->buf_len >= headrooms[i] + 1000);
		unit_fill_buf(m[0], 1);
		unit_fill_buf(m[1], 2);
		assert_true(unit_filled_buf(m[0], 1));
		unit_assert_charged(mp, m, 2);
		free_all(m, 2);
	}
}

/* Truesize */

/*
 * What frags of one length must be charged: the first pays for what lies in front of it, the last
 * for all that is left when the page can hold no other of the largest length.
 */
static void
exercise_truesize(struct rte_mempool *mp, uint32_t len, uint32_t max_len)
{
	struct ppool_layout layout = layout_of(mp);
	struct ppool_carver *c = unit_carver(mp, max_len, 1);
	uint32_t bytes = RTE_ALIGN_CEIL(RTE_PKTMBUF_HEADROOM + RTE_MAX(len, 1u), PPOOL_FRAG_ALIGN);
	uint32_t largest = RTE_PKTMBUF_HEADROOM + max_len;
	uint32_t left = 0, expected, taken;
	struct rte_mbuf *m[300];
	unsigned int i;

	for (i = 0; i < RTE_DIM(m); i++) {
		m[i] = ppool_carve(c, len);
		if (m[i] == NULL)
			break;
		expected = left == 0 ? layout.lead_bytes : 0;
		if (left == 0)
			left = layout.room_bytes;
		taken = RTE_MIN(bytes, left);
		left -= taken;
		expected += taken;
		if (left < largest) {
			expected += left +
					(layout.page_bytes - layout.lead_bytes - layout.room_bytes);
			left = 0;
		}
		assert_int_equal(frag_of(m[i])->truesize, expected);
		assert_int_equal(ppool_mbuf_truesize(m[i]), expected + frag_of(m[i])->slot_bytes);
		assert_in_range(frag_of(m[i])->slot_bytes, layout.slot_bytes,
				2 * layout.slot_bytes);
	}
	assert_true(i > 0);
	unit_assert_charged(mp, m, i);
	free_all(m, i);
	unit_carver_free(c);
}

static void
test_truesize(void **state)
{
	static const uint16_t rooms[] = { 2176, 4096, 9216, 16384, UINT16_MAX };
	static const uint32_t lens[] = { 0, 1, 60, 64, 65, 570, 1518 };
	unsigned int i, k;

	(void)state;
	for (i = 0; i < RTE_DIM(rooms); i++) {
		struct rte_mempool *mp = unit_pool(30, rooms[i], 0, 0);

		for (k = 0; k < RTE_DIM(lens); k++) {
			exercise_truesize(mp, lens[k], 1518);
			exercise_truesize(mp, lens[k], lens[k]);
			exercise_truesize(mp, lens[k], rooms[i] - 128);
		}
		unit_pool_free(mp);
	}
}

/* Every byte of a closed page belongs to the truesize of exactly one frag. */
static void
test_closed_pages_add_up(void **state)
{
	struct rte_mempool *mp = unit_pool(50, 16384, 0, 0);
	struct ppool_layout layout = layout_of(mp);
	struct ppool_carver *c = unit_carver(mp, 2048, 1);
	struct rte_mbuf **m = calloc(MAX_FRAGS, sizeof(*m));
	uint32_t sum[50] = { 0 };
	unsigned int i, n, closed = 0;
	uint64_t rng = unit_seed;

	(void)state;
	assert_non_null(m);
	n = carve_until_empty(c, m, MAX_FRAGS, 2048, &rng);
	for (i = 0; i < n; i++) {
		assert_true(frag_of(m[i])->page < mp->size);
		sum[frag_of(m[i])->page] += frag_of(m[i])->truesize;
	}
	for (i = 0; i < mp->size; i++) {
		assert_true(sum[i] <= layout.page_bytes);
		closed += sum[i] == layout.page_bytes;
	}
	/* All but the one that the carver may still have open. */
	assert_true(closed + 1 >= unit_ledger(mp).data);
	free_all(m, n);
	free(m);
}

static void
test_set_max_len(void **state)
{
	struct rte_mempool *mp = unit_pool(20, 4096, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 100, 1);
	struct rte_mbuf *m[30];
	unsigned int i, n = 0;

	(void)state;
	assert_int_equal(ppool_carver_set_max_len(c, 5000), -EMSGSIZE);
	assert_int_equal(ppool_carver_set_max_len(c, 66000), -EMSGSIZE);
	assert_int_equal(ppool_carver_set_max_len(c, UINT32_MAX), -EMSGSIZE);
	/* At every fill level of the open page, a larger frag may be asked for. */
	for (i = 0; i < 10; i++) {
		unsigned int k;

		for (k = 0; k < i; k++) {
			m[n] = ppool_carve(c, 100);
			assert_non_null(m[n]);
			n++;
		}
		assert_int_equal(ppool_carver_set_max_len(c, 3000), 0);
		m[n] = ppool_carve(c, 3000);
		assert_non_null(m[n]);
		assert_true(rte_pktmbuf_tailroom(m[n]) >= 3000);
		unit_fill_buf(m[n], i);
		assert_true(unit_filled_buf(m[n], i));
		n++;
		unit_assert_charged(mp, m, n);
		assert_int_equal(ppool_carver_set_max_len(c, 100), 0);
		free_all(m, n);
		n = 0;
	}
}

/* Errors */

static void
assert_no_carver(struct rte_mempool *mp, const struct ppool_carver_conf *conf, int err)
{
	rte_errno = 0;
	assert_null(ppool_carver_create(mp, conf));
	assert_int_equal(rte_errno, err);
}

static void
test_create_errors(void **state)
{
	struct ppool_carver_conf conf = {
		.max_len = 1500,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = 1,
		.socket_id = SOCKET_ID_ANY,
	};
	struct rte_mempool *mp = unit_pool(20, 4096, 0, 0);
	struct rte_mempool *small = unit_pool(20, 0, 0, 0);
	struct rte_mempool *stock = unit_stock_pool(15, 2176);
	struct rte_mempool *huge = unit_pool(4, UINT16_MAX, 0, 0);
	void *obj[20];

	(void)state;
	assert_no_carver(stock, &conf, ENOTSUP);
	assert_no_carver(small, &conf, EINVAL);
	conf.nb_lanes = 0;
	assert_no_carver(mp, &conf, EINVAL);
	conf.nb_lanes = 1;
	conf.max_len = layout_of(mp).room_bytes - RTE_PKTMBUF_HEADROOM + 1;
	assert_no_carver(mp, &conf, EMSGSIZE);
	conf.max_len = UINT32_MAX;
	assert_no_carver(mp, &conf, EMSGSIZE);
	conf.max_len = UINT16_MAX - RTE_PKTMBUF_HEADROOM + 1;
	assert_no_carver(huge, &conf, EMSGSIZE);
	conf.max_len = layout_of(mp).room_bytes - RTE_PKTMBUF_HEADROOM;
	ppool_carver_free(ppool_carver_create(mp, &conf));
	ppool_carver_free(NULL);
	/* No page free, not even for the headers. */
	assert_int_equal(rte_mempool_get_bulk(mp, obj, mp->size), 0);
	assert_no_carver(mp, &conf, ENOMEM);
	unit_put_bulk(mp, obj, mp->size);
}

static void
test_bulk(void **state)
{
	struct rte_mempool *mp = unit_pool(100, 4096, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 1500, 1);
	struct rte_mbuf *m[300];
	uint32_t len[300];
	uint64_t rng = unit_seed;
	unsigned int i, n;

	(void)state;
	for (n = 1; n <= 150; n = n * 2 + 1) {
		for (i = 0; i < n; i++)
			len[i] = unit_range(&rng, 0, 1500);
		assert_int_equal(ppool_carve_bulk(c, m, len, n), 0);
		for (i = 0; i < n; i++) {
			unit_assert_fresh(m[i], ppool_frag_pool(mp));
			assert_true(rte_pktmbuf_tailroom(m[i]) >= len[i]);
			unit_fill_buf(m[i], i);
		}
		for (i = 0; i < n; i++)
			assert_true(unit_filled_buf(m[i], i));
		unit_assert_charged(mp, m, n);
		free_all(m, n);
	}
	assert_int_equal(ppool_carve_bulk(c, m, len, 0), 0);
	assert_int_equal(ppool_carve_burst(c, m, len, 0), 0);
}

/* How many frags of which two fill a page there can be: some pages hold the mbufs. */
static unsigned int
most_pairs(struct rte_mempool *mp)
{
	struct ppool_layout layout = layout_of(mp);
	unsigned int headers, frags, most = 0;

	for (headers = 1; headers < mp->size; headers++) {
		frags = RTE_MIN(2 * (mp->size - headers), headers * layout.slots);
		most = RTE_MAX(most, frags);
	}
	return most;
}

static void
test_bulk_when_empty(void **state)
{
	struct rte_mempool *mp = unit_pool(12, 4096, 0, 0);
	unsigned int most = most_pairs(mp);
	struct ppool_carver *c = unit_carver(mp, 1500, 1);
	struct rte_mbuf *m[60];
	uint32_t len[60];
	uint64_t empty = unit_stats(mp).page_empty;
	unsigned int i, n;

	(void)state;
	for (i = 0; i < RTE_DIM(len); i++)
		len[i] = 1500;
	assert_int_equal(ppool_carve_bulk(c, m, len, RTE_DIM(len)), -ENOMEM);
	assert_true(unit_stats(mp).page_empty > empty);
	assert_int_equal(unit_ledger(mp).frags, 0);
	assert_int_equal(rte_mempool_in_use_count(ppool_frag_pool(mp)), 0);
	/*
	 * A burst gives what there is. It may have taken more pages for headers than it needed in
	 * the end, and then another one finds them.
	 */
	n = ppool_carve_burst(c, m, len, RTE_DIM(len));
	assert_in_range(n, most / 2, most);
	while (n < RTE_DIM(m) && ppool_carve_burst(c, m + n, len, 1) == 1)
		n++;
	assert_in_range(n, most - 2, most);
	for (i = 0; i < n; i++)
		unit_fill_buf(m[i], i);
	for (i = 0; i < n; i++)
		assert_true(unit_filled_buf(m[i], i));
	unit_assert_charged(mp, m, n);
	assert_int_equal(ppool_carve_bulk(c, m + n, len, 1), -ENOMEM);
	assert_int_equal(ppool_carve_burst(c, m + n, len, 8), 0);
	unit_assert_charged(mp, m, n);
	free_all(m, n);
	assert_int_equal(ppool_carve_bulk(c, m, len, 16), 0);
	free_all(m, 16);
}

/* Reserve and commit */

static void
test_reserve(void **state)
{
	struct rte_mempool *mp = unit_pool(30, 16384, 0, 0);
	struct ppool_layout layout = layout_of(mp);
	struct ppool_carver *c = unit_carver(mp, 1518, 4);
	struct ppool_buf buf, again;
	uint16_t lane;

	(void)state;
	for (lane = 0; lane < 4; lane++) {
		assert_int_equal(ppool_reserve(c, lane, &buf), 0);
		assert_int_equal(buf.len, layout.room_bytes);
		assert_int_equal(ppool_reserve(c, lane, &again), 0);
		assert_ptr_equal(again.addr, buf.addr);
		assert_int_equal(again.iova, buf.iova);
		assert_int_equal(again.len, buf.len);
		assert_int_equal(unit_ledger(mp).data, lane + 1);
		assert_int_equal(unit_ledger(mp).open, (uint64_t)(lane + 1) * layout.page_bytes);
	}
}

/* What language bindings call: the functions that the library exports under the same names. */
struct exported {
	int (*reserve)(struct ppool_carver *c, uint16_t lane, struct ppool_buf *buf);
	char *(*lane_addr)(const struct ppool_carver *c, uint16_t lane);
	void (*commit)(struct ppool_carver *c, uint16_t lane, struct rte_mbuf *m, uint32_t len);
};

static struct exported
exported_get(void)
{
	struct exported e = { .reserve = NULL };

	*(void **)&e.reserve = dlsym(RTLD_DEFAULT, "ppool_reserve");
	*(void **)&e.lane_addr = dlsym(RTLD_DEFAULT, "ppool_lane_addr");
	*(void **)&e.commit = dlsym(RTLD_DEFAULT, "ppool_commit");
	assert_non_null(e.reserve);
	assert_non_null(e.lane_addr);
	assert_non_null(e.commit);
	return e;
}

/* An exported call does what the inline one does: they take turns on one lane. */
static void
test_exported(void **state)
{
	struct rte_mempool *mp = unit_pool(30, 16384, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 1518, 1);
	struct rte_mempool *frag_pool = ppool_frag_pool(mp);
	struct exported e = exported_get();
	struct ppool_buf buf, other;
	struct rte_mbuf *m[64];
	unsigned int i;

	(void)state;
	assert_null(e.lane_addr(c, 0));
	assert_int_equal(ppool_headers_get(c, m, RTE_DIM(m)), RTE_DIM(m));
	for (i = 0; i < RTE_DIM(m); i++) {
		assert_int_equal(i % 2 == 0 ? e.reserve(c, 0, &buf) : ppool_reserve(c, 0, &buf), 0);
		assert_int_equal(i % 2 == 0 ? ppool_reserve(c, 0, &other) : e.reserve(c, 0, &other),
				0);
		assert_ptr_equal(other.addr, buf.addr);
		assert_int_equal(other.iova, buf.iova);
		assert_int_equal(other.len, buf.len);
		assert_ptr_equal(e.lane_addr(c, 0), buf.addr);
		if (i % 4 < 2)
			e.commit(c, 0, m[i], 64 + i);
		else
			ppool_commit(c, 0, m[i], 64 + i);
		assert_ptr_equal(m[i]->buf_addr, buf.addr);
		assert_int_equal(m[i]->data_len, 64 + i);
		assert_ptr_equal(m[i]->pool, frag_pool);
	}
	unit_assert_charged(mp, m, RTE_DIM(m));
	free_all(m, RTE_DIM(m));
}

/* As a device does: packets of any length into lanes in any order. */
static void
exercise_lanes(struct rte_mempool *mp, uint16_t lanes, uint32_t max_len, uint64_t *rng)
{
	struct ppool_carver *c = unit_carver(mp, max_len, lanes);
	struct rte_mempool *frag_pool = ppool_frag_pool(mp);
	struct pages pages = pages_of(mp);
	struct rte_mbuf *m[256];
	struct ppool_buf buf = { .addr = NULL };
	unsigned int i;

	for (i = 0; i < RTE_DIM(m); i++) {
		uint16_t lane = (uint16_t)unit_range(rng, 0, lanes - 1);
		uint32_t len = unit_range(rng, 1, max_len);

		if (i % 16 == 0) {
			unit_ledger(mp);
			assert_int_equal(ppool_headers_get(c, m + i, 16), 16);
		}
		assert_int_equal(ppool_reserve(c, lane, &buf), 0);
		assert_true(buf.len >= RTE_PKTMBUF_HEADROOM + max_len);
		unit_fill(buf.addr + RTE_PKTMBUF_HEADROOM, len, i);
		ppool_commit(c, lane, m[i], len);
		assert_ptr_equal(m[i]->buf_addr, buf.addr);
		assert_int_equal(m[i]->data_len, len);
		unit_assert_fresh(m[i], frag_pool);
		assert_inside(&pages, m[i]);
	}
	for (i = 0; i < RTE_DIM(m); i++)
		assert_true(unit_filled_data(m[i], i));
	unit_assert_charged(mp, m, RTE_DIM(m));
	free_all(m, RTE_DIM(m));
	unit_carver_free(c);
	free(pages.obj);
}

static void
test_lanes(void **state)
{
	struct rte_mempool *mp = unit_pool(300, 16384, 0, 0);
	uint64_t rng = unit_seed;

	(void)state;
	exercise_lanes(mp, 1, 1518, &rng);
	exercise_lanes(mp, 2, 64, &rng);
	exercise_lanes(mp, 7, 1518, &rng);
	exercise_lanes(mp, 64, 1518, &rng);
	exercise_lanes(mp, 16, 16384 - 128, &rng);
}

/* A device may write more than the largest frame the carver was told of, into what was posted. */
static void
test_commit_whole_buffer(void **state)
{
	static const uint16_t rooms[] = { 4096, UINT16_MAX };
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(rooms); i++) {
		struct rte_mempool *mp = unit_pool(10, rooms[i], 0, 0);
		struct ppool_carver *c = unit_carver(mp, 100, 1);
		struct ppool_buf buf;
		struct rte_mbuf *m;

		assert_int_equal(ppool_headers_get(c, &m, 1), 1);
		assert_int_equal(ppool_reserve(c, 0, &buf), 0);
		ppool_commit(c, 0, m, RTE_MIN(buf.len, UINT16_MAX) - RTE_PKTMBUF_HEADROOM);
		unit_assert_fresh(m, ppool_frag_pool(mp));
		unit_fill_buf(m, 1);
		unit_assert_charged(mp, &m, 1);
		rte_pktmbuf_free(m);
	}
}

static void
test_reserve_when_empty(void **state)
{
	struct rte_mempool *mp = unit_pool(8, 4096, 0, 0);
	unsigned int header_pages =
			RTE_ALIGN_MUL_CEIL(16, layout_of(mp).slots) / layout_of(mp).slots;
	struct ppool_carver *c = unit_carver(mp, 1518, 16);
	struct ppool_buf buf;
	struct rte_mbuf *m[16];
	uint16_t lane, n = 0;

	(void)state;
	/* The carver has pages for 16 headers: the lanes can have the others. */
	for (lane = 0; lane < 16; lane++) {
		int ret = ppool_reserve(c, lane, &buf);

		assert_true(ret == 0 || ret == -ENOMEM);
		n += ret == 0;
	}
	assert_int_equal(n, 8 - header_pages);
	/* What they receive can be delivered, although no page is free. */
	assert_int_equal(ppool_headers_get(c, m, n), n);
	for (lane = 0; lane < n; lane++)
		ppool_commit(c, lane, m[lane], 1518);
	unit_assert_charged(mp, m, n);
	free_all(m, n);
	unit_ledger(mp);
}

/* Others have taken all headers and pages, but what a carver has reserved can be delivered. */
static void
test_reserve_when_taken(void **state)
{
	struct rte_mempool *mp = unit_pool(40, 2176, 0, 0);
	struct ppool_layout layout = layout_of(mp);
	struct ppool_carver *other = unit_carver(mp, 64, 1);
	struct ppool_carver *c = unit_carver(mp, 1518, 4);
	struct rte_mbuf *m[1024], *received[4];
	struct ppool_buf buf;
	unsigned int n;
	uint16_t lane;

	(void)state;
	for (lane = 0; lane < 4; lane++)
		assert_int_equal(ppool_reserve(c, lane, &buf), 0);
	assert_true(40 * layout.slots < RTE_DIM(m));
	n = ppool_headers_get(other, m, RTE_DIM(m));
	assert_int_equal(rte_mempool_avail_count(mp), 0);
	assert_int_equal(ppool_headers_get(c, received, 4), 4);
	for (lane = 0; lane < 4; lane++)
		ppool_commit(c, lane, received[lane], 1518);
	ppool_headers_put(other, m, n);
	unit_assert_charged(mp, received, 4);
	free_all(received, 4);
}

/* Lengths whose sum with a headroom does not fit into 32 bits. */
static void
test_absurd_lengths(void **state)
{
	struct rte_mempool *mp = unit_pool(30, 16384, 0, 0);
	const uint32_t len[] = { 1519, 65535, 65536, UINT32_MAX - RTE_PKTMBUF_HEADROOM,
		UINT32_MAX - RTE_PKTMBUF_HEADROOM + 1, UINT32_MAX - 20, UINT32_MAX };
	struct ppool_carver *c = unit_carver(mp, 1518, 1);
	struct rte_mbuf *m[2];
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(len); i++) {
		const uint32_t both[2] = { 1518, len[i] };

		assert_null(ppool_carve(c, len[i]));
		assert_int_equal(ppool_carve_bulk(c, m, both, 2), -ENOMEM);
		assert_int_equal(ppool_carve_burst(c, m, both, 2), 1);
		rte_pktmbuf_free(m[0]);
		assert_int_equal(ppool_carver_set_max_len(c, len[i] == 1519 ? 65536 : len[i]),
				-EMSGSIZE);
	}
	assert_int_equal(unit_ledger(mp).frags, 0);
}

/* Pages that rte_mempool has cached for this lcore are free. */
static void
test_cached_pages(void **state)
{
	struct rte_mempool *mp = unit_pool(300, 2176, 128, 0);
	struct ppool_carver *c = unit_carver(mp, 1518, 1);
	struct rte_mbuf *m[300];
	struct ppool_ledger l;
	unsigned int n = 0;
	void *obj[128];

	(void)state;
	assert_int_equal(rte_mempool_get_bulk(mp, obj, RTE_DIM(obj)), 0);
	rte_mempool_put_bulk(mp, obj, RTE_DIM(obj));
	while (n < RTE_DIM(m) && (m[n] = ppool_carve(c, 1518)) != NULL)
		n++;
	/* One frag a page. */
	l = unit_ledger(mp);
	assert_int_equal(n, l.data);
	assert_true(l.free <= 1);
	free_all(m, n);
}

/* Searches for pages cost system calls: few where frees give back no page. */
static void
test_search_seldom(void **state)
{
	struct rte_mempool *mp = unit_pool(30, 16384, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 64, 1), *hungry = unit_carver(mp, 1518, 1);
	struct rte_mbuf *m[MAX_FRAGS];
	unsigned int n = 0, i;
	uint64_t before;

	(void)state;
	while (n < RTE_DIM(m) && (m[n] = ppool_carve(c, 64)) != NULL)
		n++;
	before = unit_stats(mp).search;
	/* Every other one: no page becomes empty. */
	for (i = 0; i < n; i += 2) {
		rte_pktmbuf_free(m[i]);
		assert_null(ppool_carve(hungry, 1518));
	}
	assert_in_range(unit_stats(mp).search - before, 1, n / 2 / 8);
	for (i = 1; i < n; i += 2)
		rte_pktmbuf_free(m[i]);
}

/* The pool is freed before its carver: an error that is logged, and no crash. */
static void
test_pool_freed_first(void **state)
{
	struct rte_mempool *mp = rte_pktmbuf_pool_create_by_ops(unit_name(), 30, 0, 0, 4096,
			SOCKET_ID_ANY, PPOOL_OPS_NAME);
	const struct ppool_carver_conf conf = {
		.max_len = 1000,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = 2,
		.socket_id = SOCKET_ID_ANY,
	};
	struct ppool_carver *c = ppool_carver_create(mp, &conf);
	struct ppool_buf buf;
	struct rte_mbuf *m;

	(void)state;
	assert_non_null(c);
	assert_int_equal(ppool_reserve(c, 1, &buf), 0);
	unit_ledger(mp);
	rte_mempool_free(mp);
	assert_null(ppool_carver_frag_pool(c));
	assert_null(ppool_carve(c, 10));
	assert_int_equal(ppool_headers_get(c, &m, 1), 0);
	assert_int_equal(ppool_reserve(c, 0, &buf), -ENOMEM);
	assert_int_equal(ppool_reserve(c, 1, &buf), -ENOMEM);
	assert_int_equal(ppool_carver_set_max_len(c, 100), -EPERM);
	ppool_carver_free(c);
}

static void
test_headers(void **state)
{
	struct rte_mempool *mp = unit_pool(30, 2176, 0, 0);
	struct ppool_layout layout = layout_of(mp);
	struct ppool_carver *c = unit_carver(mp, 64, 1);
	struct rte_mbuf *m[1024];
	struct ppool_ledger l;
	unsigned int n;

	(void)state;
	for (n = 1; n < 100; n *= 3) {
		assert_int_equal(ppool_headers_get(c, m, n), n);
		ppool_headers_put(c, m, n);
		assert_int_equal(unit_ledger(mp).frags, 0);
	}
	/* All pages can become header pages. */
	n = ppool_headers_get(c, m, RTE_DIM(m));
	assert_int_equal(n, 30 * layout.slots);
	assert_int_equal(ppool_ledger_get(mp, &l), 0);
	assert_int_equal(l.header, 30);
	assert_int_equal(l.slot_charged, 0);
	assert_null(ppool_carve(c, 1));
	ppool_headers_put(c, m, n);
	assert_int_equal(unit_ledger(mp).slot_charged, 0);
}

/* Carvers come and go */

static void
test_free_with_live_frags(void **state)
{
	struct rte_mempool *mp = unit_pool(30, 16384, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 1518, 3);
	struct rte_mbuf *m[6];
	struct ppool_buf buf;
	unsigned int i;

	(void)state;
	assert_int_equal(ppool_headers_get(c, m, 6), 6);
	for (i = 0; i < 6; i++) {
		assert_int_equal(ppool_reserve(c, i % 3, &buf), 0);
		ppool_commit(c, i % 3, m[i], 100);
		unit_fill_buf(m[i], i);
	}
	unit_carver_free(c);
	unit_assert_charged(mp, m, 6);
	assert_int_equal(unit_ledger(mp).data, 3);
	for (i = 0; i < 6; i++)
		assert_true(unit_filled_buf(m[i], i));
	/* Each page goes with its last frag. */
	free_all(m, 3);
	assert_int_equal(unit_ledger(mp).frags, 3);
	free_all(m + 3, 3);
	assert_int_equal(rte_mempool_avail_count(mp), 30);
}

/* A carver that reserved and received nothing leaves nothing. */
static void
test_free_reserved(void **state)
{
	struct rte_mempool *mp = unit_pool(30, 4096, 0, 0);
	struct ppool_carver *other = unit_carver(mp, 1518, 4);
	struct ppool_carver *c = unit_carver(mp, 1518, 4);
	struct ppool_layout layout = layout_of(mp);
	struct ppool_buf buf;
	uint16_t lane;

	(void)state;
	for (lane = 0; lane < 4; lane++)
		assert_int_equal(ppool_reserve(c, lane, &buf), 0);
	unit_carver_free(c);
	assert_int_equal(unit_ledger(mp).data, 0);
	for (lane = 0; lane < 4; lane++) {
		assert_int_equal(ppool_reserve(other, lane, &buf), 0);
		assert_int_equal(buf.len, layout.room_bytes);
	}
}

static void
test_adopt(void **state)
{
	struct rte_mempool *mp = unit_pool(30, 16384, 0, 0);
	struct ppool_carver *c = unit_carver(mp, 1518, 1);
	struct rte_mbuf *m[40];
	unsigned int i, data;

	(void)state;
	m[0] = ppool_carve(c, 100);
	m[1] = ppool_carve(c, 200);
	unit_carver_free(c);
	assert_true(unit_ledger(mp).open > 0);
	/* A frag freed meanwhile leaves stranded bytes, not open ones. */
	rte_pktmbuf_free(m[1]);
	assert_true(unit_ledger(mp).stranded > 0);
	unit_assert_charged(mp, m, 1);

	c = unit_carver(mp, 1518, 1);
	for (i = 1; i < 8; i++) {
		m[i] = ppool_carve(c, 1000);
		assert_non_null(m[i]);
		unit_fill_buf(m[i], i);
		assert_int_equal(frag_of(m[i])->page, frag_of(m[0])->page);
	}
	for (i = 1; i < 8; i++)
		assert_true(unit_filled_buf(m[i], i));
	data = unit_ledger(mp).data;
	assert_int_equal(data, 1);
	unit_assert_charged(mp, m, 8);
	unit_carver_free(c);

	/* One that asks for more than what is left gets a fresh page. */
	c = unit_carver(mp, 16000, 1);
	m[8] = ppool_carve(c, 16000);
	assert_non_null(m[8]);
	assert_int_not_equal(frag_of(m[8])->page, frag_of(m[0])->page);
	unit_assert_charged(mp, m, 9);
	free_all(m, 9);
}

/* The adopted page's frags are freed before, while and after the second carver uses it. */
static void
test_adopt_many(void **state)
{
	struct rte_mempool *mp = unit_pool(60, 8192, 0, 0);
	struct rte_mbuf *m[200];
	unsigned int i, round, n = 0;
	uint64_t rng = unit_seed;

	(void)state;
	for (round = 0; round < 50; round++) {
		struct ppool_carver *c = unit_carver(mp, 512, 1 + round % 5);
		unsigned int more = unit_range(&rng, 0, 20);

		for (i = 0; i < more && n < RTE_DIM(m); i++) {
			struct ppool_buf buf;
			uint16_t lane = (uint16_t)unit_range(&rng, 0, round % 5);

			assert_int_equal(ppool_headers_get(c, &m[n], 1), 1);
			assert_int_equal(ppool_reserve(c, lane, &buf), 0);
			ppool_commit(c, lane, m[n], unit_range(&rng, 1, 512));
			unit_fill_buf(m[n], (uintptr_t)m[n]);
			n++;
		}
		unit_shuffle((void **)m, n, &rng);
		if (round % 2 != 0)
			unit_carver_free(c);
		unit_assert_charged(mp, m, n);
		for (i = n / 2; i < n; i++)
			assert_true(unit_filled_buf(m[i], (uintptr_t)m[i]));
		free_all(m + n / 2, n - n / 2);
		n /= 2;
		unit_assert_charged(mp, m, n);
		if (round % 2 == 0)
			unit_carver_free(c);
	}
	free_all(m, n);
}

static void
test_two_carvers(void **state)
{
	struct rte_mempool *mp = unit_pool(40, 4096, 0, 0);
	struct ppool_carver *c[2] = { unit_carver(mp, 1000, 1), unit_carver(mp, 300, 1) };
	struct rte_mbuf *m[60];
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(m); i++) {
		m[i] = ppool_carve(c[i % 2], 100 + i);
		assert_non_null(m[i]);
		unit_fill_buf(m[i], i);
		if (i >= 2)
			assert_int_not_equal(frag_of(m[i])->page, frag_of(m[i - 1])->page);
	}
	for (i = 0; i < RTE_DIM(m); i++)
		assert_true(unit_filled_buf(m[i], i));
	unit_assert_charged(mp, m, RTE_DIM(m));
	free_all(m, RTE_DIM(m));
}

/* Changes of owner */

struct move {
	struct ppool_carver *c;
	struct rte_mbuf *m[100];
	unsigned int n;    /* live */
	unsigned int from; /* free from here on */
};

static int
carve_ten(void *arg)
{
	struct move *v = arg;
	unsigned int i;

	for (i = 0; i < 10; i++) {
		v->m[v->n] = ppool_carve(v->c, 50 + 10 * i);
		if (v->m[v->n] == NULL)
			return -1;
		unit_fill_buf(v->m[v->n], v->n);
		v->n++;
	}
	return 0;
}

static int
free_half(void *arg)
{
	struct move *v = arg;

	v->from = v->n / 2;
	rte_pktmbuf_free_bulk(v->m + v->from, v->n - v->from);
	v->n = v->from;
	return 0;
}

static int
here(unsigned int i, lcore_function_t *f, void *arg)
{
	(void)i;
	return f(arg);
}

static int
on_thread(unsigned int i, lcore_function_t *f, void *arg)
{
	(void)i;
	return unit_on_thread(f, arg);
}

typedef int on_t(unsigned int i, lcore_function_t *f, void *arg);

/* Carve in one place, free half of it in another, for every pair of places. */
static void
exercise_move(on_t * const *places, unsigned int n)
{
	struct rte_mempool *mp = unit_pool(60, 8192, 0, 0);
	struct move v = { .c = unit_carver(mp, 500, 1) };
	unsigned int i, k, j;

	for (i = 0; i < n; i++)
		for (k = 0; k < n; k++) {
			assert_int_equal(places[i](0, carve_ten, &v), 0);
			unit_assert_charged(mp, v.m, v.n);
			assert_int_equal(places[k](0, carve_ten, &v), 0);
			unit_assert_charged(mp, v.m, v.n);
			for (j = 0; j < v.n; j++)
				assert_true(unit_filled_buf(v.m[j], j));
			assert_int_equal(places[k](0, free_half, &v), 0);
			unit_assert_charged(mp, v.m, v.n);
			assert_int_equal(places[i](0, free_half, &v), 0);
			unit_assert_charged(mp, v.m, v.n);
		}
	free_all(v.m, v.n);
	assert_int_equal(unit_ledger(mp).frags, 0);
}

static void
test_move_threads(void **state)
{
	on_t * const places[] = { here, on_thread };

	(void)state;
	exercise_move(places, RTE_DIM(places));
}

static void
test_move_lcores(void **state)
{
	on_t * const places[] = { here, unit_on_lcore, on_thread };

	(void)state;
	unit_require(unit_workers() > 0, "two lcores");
	exercise_move(places, RTE_DIM(places));
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_single),
	UNIT_TEST(test_no_overlap),
	UNIT_TEST(test_anonymous),
	UNIT_TEST(test_huge_elements),
	UNIT_TEST(test_contiguous),
	UNIT_TEST(test_conf),
	UNIT_TEST(test_truesize),
	UNIT_TEST(test_closed_pages_add_up),
	UNIT_TEST(test_set_max_len),
	UNIT_TEST(test_create_errors),
	UNIT_TEST(test_bulk),
	UNIT_TEST(test_bulk_when_empty),
	UNIT_TEST(test_reserve),
	UNIT_TEST(test_exported),
	UNIT_TEST(test_lanes),
	UNIT_TEST(test_commit_whole_buffer),
	UNIT_TEST(test_reserve_when_empty),
	UNIT_TEST(test_reserve_when_taken),
	UNIT_TEST(test_absurd_lengths),
	UNIT_TEST(test_cached_pages),
	UNIT_TEST(test_search_seldom),
	UNIT_TEST(test_pool_freed_first),
	UNIT_TEST(test_headers),
	UNIT_TEST(test_free_with_live_frags),
	UNIT_TEST(test_free_reserved),
	UNIT_TEST(test_adopt),
	UNIT_TEST(test_adopt_many),
	UNIT_TEST(test_two_carvers),
	UNIT_TEST(test_move_threads),
	UNIT_TEST(test_move_lcores),
};

UNIT_SUITE(carver, "carve, reserve, commit; truesize; carvers that come, go and move", tests);
