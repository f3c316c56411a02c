/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdlib.h>

#include <rte_memzone.h>
#include <rte_version.h>

#include "unit.h"

/* The frag pool, and everything an application may do to the mbuf of a frag. */

#define ROOM RTE_MBUF_DEFAULT_BUF_SIZE

/* Errors */

static void
assert_no_frag_pool(struct rte_mempool *mp, int err)
{
	struct ppool_layout layout;

	rte_errno = 0;
	assert_null(ppool_frag_pool(mp));
	assert_int_equal(rte_errno, err);
	assert_int_equal(ppool_layout_get(mp, &layout), -err);
}

static void
test_enotsup(void **state)
{
	struct unit_pool_conf plain = { .n = 16, .elt_size = 2304 };
	struct ppool_ledger ledger;
	struct ppool_stats stats;
	struct rte_mempool *stock = unit_stock_pool(15, ROOM);

	(void)state;
	assert_no_frag_pool(stock, ENOTSUP);
	assert_int_equal(ppool_ledger_get(stock, &ledger), -ENOTSUP);
	assert_int_equal(ppool_stats_get(stock, &stats), -ENOTSUP);
	assert_int_equal(ppool_check(stock, NULL), -ENOTSUP);
	/* Ours, but without mbufs. */
	assert_no_frag_pool(unit_mempool(&plain), ENOTSUP);
}

static struct rte_mempool *
mbuf_pool_with_flags(unsigned int n, uint32_t elt_size, unsigned int flags, bool populate)
{
	struct rte_pktmbuf_pool_private priv = {
		.mbuf_data_room_size = RTE_MIN(elt_size - sizeof(struct rte_mbuf), UINT16_MAX),
	};
	struct rte_mempool *mp;

	mp = rte_mempool_create_empty(unit_name(), n, elt_size, 0, sizeof(priv), SOCKET_ID_ANY,
			flags);
	unit_register(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, PPOOL_OPS_NAME, NULL), 0);
	rte_pktmbuf_pool_init(mp, &priv);
	if (populate) {
		assert_int_equal(rte_mempool_populate_default(mp), n);
		rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	}
	return mp;
}

static void
test_enotsup_no_cache_align(void **state)
{
	(void)state;
	assert_no_frag_pool(mbuf_pool_with_flags(16, 2304, RTE_MEMPOOL_F_NO_CACHE_ALIGN, true),
			ENOTSUP);
}

static void
test_einval_not_populated(void **state)
{
	(void)state;
	assert_no_frag_pool(mbuf_pool_with_flags(16, 2304, 0, false), EINVAL);
}

static void
free_zone(struct rte_mempool_memhdr *chunk, void *arg)
{
	(void)chunk;
	rte_memzone_free(arg);
}

static void
test_einval_half_populated(void **state)
{
	struct rte_mempool *mp = mbuf_pool_with_flags(16, 2304, 0, false);
	const struct rte_memzone *mz;

	(void)state;
	do {
		mz = rte_memzone_reserve(unit_name(), 16384, SOCKET_ID_ANY,
				RTE_MEMZONE_IOVA_CONTIG);
		assert_non_null(mz);
		assert_true(rte_mempool_populate_iova(mp, mz->addr, mz->iova, mz->len, free_zone,
					    (void *)(uintptr_t)mz) > 0);
		if (mp->populated_size < mp->size)
			assert_no_frag_pool(mp, EINVAL);
	} while (mp->populated_size < mp->size);
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	assert_non_null(ppool_frag_pool(mp));
}

static void
test_einval_too_small(void **state)
{
	(void)state;
	assert_no_frag_pool(unit_pool(16, 0, 0, 0), EINVAL);
	assert_no_frag_pool(unit_pool(16, 16, 0, 0), EINVAL);
	/* A header slot with a large private area does not fit. */
	assert_no_frag_pool(unit_pool(16, 128, 0, 1024), EINVAL);
}

static void
test_roles(void **state)
{
	struct rte_mempool *page_pool = unit_pool(15, ROOM, 0, 0);
	struct rte_mempool *stock = unit_stock_pool(15, ROOM);
	struct rte_mempool *frag_pool = ppool_frag_pool(page_pool);

	(void)state;
	assert_non_null(frag_pool);
	assert_ptr_not_equal(frag_pool, page_pool);
	assert_ptr_equal(ppool_frag_pool(page_pool), frag_pool);
	assert_ptr_equal(ppool_frag_pool(frag_pool), frag_pool);
	assert_true(ppool_is_page_pool(page_pool));
	assert_false(ppool_is_frag_pool(page_pool));
	assert_true(ppool_is_frag_pool(frag_pool));
	assert_false(ppool_is_page_pool(frag_pool));
	assert_false(ppool_is_page_pool(stock));
	assert_false(ppool_is_frag_pool(stock));
	assert_int_equal(frag_pool->cache_size, 0);
	assert_int_equal(ppool_check(frag_pool, stderr), 0);
}

static void
test_frag_pool_goes_with_page_pool(void **state)
{
	struct rte_mempool *page_pool = unit_pool(15, ROOM, 0, 0);
	char name[RTE_MEMPOOL_NAMESIZE];

	(void)state;
	snprintf(name, sizeof(name), "%s", ppool_frag_pool(page_pool)->name);
	assert_non_null(rte_mempool_lookup(name));
	unit_pool_free(page_pool);
	assert_null(rte_mempool_lookup(name));
}

/* Mono-frags from the frag pool */

/* A whole page is a direct mbuf, as good as one of a stock pool. */
static void
assert_whole_page(struct rte_mbuf *m, struct rte_mempool *frag_pool)
{
	const char *reason = NULL;

	if (rte_mbuf_check(m, 1, &reason) != 0)
		fail_msg("mbuf %p: %s", (void *)m, reason);
	assert_true(m->pool != frag_pool && !ppool_is_page_pool(m->pool));
	assert_int_equal(m->pool->cache_size, 0);
	/* DPDK 25.11 says otherwise when it allocates it. */
	assert_true(RTE_MBUF_DIRECT(m) || UNIT_EXTERNAL_AT_FIRST);
	assert_ptr_equal(m->buf_addr, (char *)m + sizeof(*m) + m->priv_size);
	assert_int_equal(m->buf_len,
			rte_pktmbuf_data_room_size(m->pool) + (UNIT_EXTERNAL_AT_FIRST ? 1 : 0));
	assert_int_equal(m->data_off, RTE_PKTMBUF_HEADROOM);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->pkt_len, m->data_len);
}

static void
assert_mono_frag(struct rte_mbuf *m, const struct rte_mempool *page_pool,
		struct rte_mempool *frag_pool, const struct ppool_layout *layout)
{
	size_t truesize = ppool_mbuf_truesize(m);
	uint32_t lead = sizeof(*m) + m->priv_size;

	assert_whole_page(m, frag_pool);
	assert_int_equal(m->data_len, 0);
	assert_int_equal(m->priv_size, rte_pktmbuf_priv_size(frag_pool));
	assert_int_equal(m->buf_len, RTE_MIN(page_pool->elt_size - lead, UINT16_MAX));
	/* A header page is shared evenly by its slots. */
	assert_in_range(truesize, layout->page_bytes + layout->slot_bytes,
			layout->page_bytes +
					(layout->page_bytes + layout->slots - 1) / layout->slots);
}

/* As many as pages allow, each a page of its own. */
static void
exercise_mono_frags(struct rte_mempool *mp)
{
	struct rte_mbuf **m = calloc(mp->size + 1, sizeof(*m));
	struct rte_mempool *frag_pool = ppool_frag_pool(mp);
	struct ppool_layout layout;
	struct ppool_ledger l;
	unsigned int i, n;

	assert_non_null(m);
	assert_int_equal(ppool_layout_get(mp, &layout), 0);
	for (n = 0; n <= mp->size; n++) {
		m[n] = rte_pktmbuf_alloc(frag_pool);
		if (m[n] == NULL)
			break;
		assert_mono_frag(m[n], mp, frag_pool, &layout);
		assert_int_equal(rte_mempool_in_use_count(frag_pool), n + 1);
		unit_fill_buf(m[n], n);
	}
	/* One more frag and its share of header pages would be more than there is. */
	assert_true(n + (n + layout.slots - 1) / layout.slots <= mp->size);
	assert_true(n + 1 + (n + layout.slots) / layout.slots > mp->size);
	unit_assert_charged(mp, m, n);
	l = unit_ledger(mp);
	assert_int_equal(l.data, n);
	assert_int_equal(l.stranded + l.open, 0);
	for (i = 0; i < n; i++) {
		assert_true(unit_filled_buf(m[i], i));
		rte_pktmbuf_free(m[i]);
		assert_int_equal(rte_mempool_in_use_count(frag_pool), n - i - 1);
	}
	assert_int_equal(unit_ledger(mp).data, 0);
	free(m);
}

static void
test_mono_frag(void **state)
{
	static const uint16_t rooms[] = { 512, ROOM, 9216, 16384, UINT16_MAX };
	static const unsigned int caches[] = { 0, 32 };
	unsigned int i, k;

	(void)state;
	for (i = 0; i < RTE_DIM(rooms); i++)
		for (k = 0; k < RTE_DIM(caches); k++) {
			struct rte_mempool *mp = unit_pool(99, rooms[i], caches[k], 0);

			exercise_mono_frags(mp);
			exercise_mono_frags(mp);
			unit_pool_free(mp);
		}
}

static void
test_mono_frag_bulk(void **state)
{
	struct rte_mempool *mp = unit_pool(400, ROOM, 0, 0);
	struct rte_mempool *frag_pool = ppool_frag_pool(mp);
	void *table[2] = { mp, mp };
	struct rte_mbuf *m[400];
	unsigned int n;

	(void)state;
	for (n = 1; n <= 300; n += 37) {
		assert_int_equal(rte_pktmbuf_alloc_bulk(frag_pool, m, n), 0);
		assert_int_equal(rte_mempool_in_use_count(frag_pool), n);
		unit_assert_charged(mp, m, n);
		rte_pktmbuf_free_bulk(m, n);
		assert_int_equal(rte_mempool_in_use_count(frag_pool), 0);
	}
	/* All or none. */
	assert_int_not_equal(rte_pktmbuf_alloc_bulk(frag_pool, m, 400), 0);
	assert_int_equal(unit_ledger(mp).data, 0);
	assert_int_not_equal(rte_mempool_ops_dequeue_bulk(frag_pool, table, UINT_MAX), 0);
	assert_ptr_equal(table[0], mp);
	assert_ptr_equal(table[1], mp);
	assert_int_equal(unit_ledger(mp).data, 0);
}

/* Some TX drivers put mbufs into their pool without looking at them. */
static void
test_raw_put(void **state)
{
	struct rte_mempool *mp = unit_pool(200, ROOM, 0, 0);
	struct rte_mempool *frag_pool = ppool_frag_pool(mp);
	struct rte_mbuf *m[96];

	(void)state;
	assert_int_equal(rte_pktmbuf_alloc_bulk(frag_pool, m, RTE_DIM(m)), 0);
	unit_put_bulk(frag_pool, (void **)m, RTE_DIM(m));
	assert_int_equal(unit_ledger(mp).frags, 0);
	assert_int_equal(rte_mempool_in_use_count(frag_pool), 0);
}

/*
 * What an application does to mbufs. Every test runs on two kinds of frag: a mono-frag, and one
 * of several in a page.
 */

struct ctx {
	struct rte_mempool *mp, *frag_pool, *stock;
	struct ppool_carver *c; /* NULL: mono-frags */
};

static struct rte_mbuf *
make(const struct ctx *x, uint16_t len, uint64_t tag)
{
	struct rte_mbuf *m;

	m = x->c != NULL ? ppool_carve(x->c, len) : rte_pktmbuf_alloc(x->frag_pool);
	assert_non_null(m);
	if (x->c != NULL)
		unit_assert_fresh(m, x->frag_pool);
	else
		assert_whole_page(m, x->frag_pool);
	assert_non_null(rte_pktmbuf_append(m, len));
	unit_fill_data(m, tag);
	return m;
}

static void
assert_live(const struct ctx *x, unsigned int frags)
{
	assert_int_equal(unit_ledger(x->mp).frags, frags);
	assert_int_equal(rte_mempool_in_use_count(x->frag_pool), frags);
}

static void
run_both(void (*f)(const struct ctx *x))
{
	struct ctx x = { .c = NULL };

	x.mp = unit_pool(128, ROOM, 0, 0);
	x.frag_pool = ppool_frag_pool(x.mp);
	x.stock = unit_stock_pool(255, ROOM);
	assert_non_null(x.frag_pool);
	f(&x);
	assert_live(&x, 0);
	x.c = unit_carver(x.mp, 500, 1);
	f(&x);
	assert_live(&x, 0);
	unit_carver_free(x.c);
}

static void
do_refcnt(const struct ctx *x)
{
	struct rte_mbuf *m = make(x, 300, 1);

	rte_mbuf_refcnt_update(m, 2);
	rte_pktmbuf_free(m);
	assert_live(x, 1);
	rte_pktmbuf_free(m);
	assert_live(x, 1);
	assert_true(unit_filled_data(m, 1));
	rte_pktmbuf_free(m);
	assert_live(x, 0);
}

static void
do_clone(const struct ctx *x, struct rte_mempool *clone_pool, bool original_first)
{
	struct rte_mbuf *m = make(x, 300, 2), *clone[3];
	size_t truesize = ppool_mbuf_truesize(m);
	unsigned int i;

	clone[0] = rte_pktmbuf_clone(m, clone_pool);
	clone[1] = rte_pktmbuf_clone(m, clone_pool);
	assert_non_null(clone[0]);
	assert_non_null(clone[1]);
	clone[2] = rte_pktmbuf_clone(clone[1], clone_pool);
	assert_non_null(clone[2]);
	for (i = 0; i < RTE_DIM(clone); i++) {
		assert_ptr_equal(rte_pktmbuf_mtod(clone[i], void *), rte_pktmbuf_mtod(m, void *));
		/* A clone keeps its own object only. */
		assert_int_equal(ppool_mbuf_truesize(clone[i]),
				clone_pool->header_size + clone_pool->elt_size +
						clone_pool->trailer_size);
	}
	assert_int_equal(ppool_mbuf_truesize(m), truesize);
	assert_live(x, 1);
	if (original_first) {
		rte_pktmbuf_free(m);
		assert_live(x, 1);
	}
	for (i = 0; i < RTE_DIM(clone); i++) {
		assert_true(unit_filled_data(clone[i], 2));
		rte_pktmbuf_free(clone[i]);
		assert_live(x, original_first && i == RTE_DIM(clone) - 1 ? 0 : 1);
	}
	if (!original_first) {
		assert_true(unit_filled_data(m, 2));
		rte_pktmbuf_free(m);
	}
	assert_live(x, 0);
	/* The header is as good as new. */
	rte_pktmbuf_free(make(x, 300, 3));
}

static void
do_clones(const struct ctx *x)
{
	do_clone(x, x->stock, true);
	do_clone(x, x->stock, false);
	do_clone(x, x->mp, true);
	do_clone(x, x->mp, false);
}

static int
free_mbuf(void *arg)
{
	rte_pktmbuf_free(arg);
	return 0;
}

static void
do_clone_thread(const struct ctx *x)
{
	struct rte_mbuf *m = make(x, 300, 4);
	struct rte_mbuf *clone = rte_pktmbuf_clone(m, x->stock);

	assert_non_null(clone);
	rte_pktmbuf_free(m);
	assert_int_equal(unit_on_thread(free_mbuf, clone), 0);
	assert_live(x, 0);
}

static void
do_indirect(const struct ctx *x)
{
	struct rte_mbuf *m = make(x, 300, 5), *mi = rte_pktmbuf_alloc(x->stock);
	void *own;

	assert_non_null(mi);
	own = mi->buf_addr;
	rte_pktmbuf_attach(mi, m);
	assert_ptr_equal(mi->buf_addr, m->buf_addr);
	if (x->c != NULL)
		assert_int_equal(rte_mbuf_ext_refcnt_read(m->shinfo), 2);
	else if (!UNIT_EXTERNAL_AT_FIRST)
		assert_int_equal(rte_mbuf_refcnt_read(m), 2);
	rte_pktmbuf_free(m);
	assert_live(x, 1);
	assert_true(unit_filled_data(mi, 5));
	/* Detaching drops the last reference; the other mbuf lives on. */
	rte_pktmbuf_detach(mi);
	assert_live(x, 0);
	assert_ptr_equal(mi->buf_addr, own);
	rte_pktmbuf_free(mi);
}

static struct rte_mbuf *
make_chain(const struct ctx *x, unsigned int n, uint16_t len, uint64_t tag)
{
	struct rte_mbuf *head = make(x, len, tag), *m;
	unsigned int i;

	for (i = 1; i < n; i++) {
		/* Every third segment is a stock mbuf. */
		m = i % 3 == 0 ? rte_pktmbuf_alloc(x->stock) : make(x, len, tag + i);
		assert_non_null(m);
		if (m->data_len == 0) {
			assert_non_null(rte_pktmbuf_append(m, len));
			unit_fill_data(m, tag + i);
		}
		assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	return head;
}

static void
do_chain(const struct ctx *x)
{
	struct rte_mbuf *head = make_chain(x, 10, 200, 6), *m, *next;
	size_t sum = 0;

	for (m = head; m != NULL; m = next) {
		next = m->next;
		m->next = NULL;
		sum += ppool_mbuf_truesize(m);
		m->next = next;
	}
	assert_int_equal(ppool_mbuf_truesize(head), sum);
	rte_mbuf_sanity_check(head, 1);
	assert_int_equal(head->pkt_len, 2000);
	assert_live(x, 7);
	assert_true(unit_filled_data(head, 6));
	rte_pktmbuf_free(head);
	assert_live(x, 0);
	/* The segments' headers are single ones again. */
	rte_pktmbuf_free(make_chain(x, 10, 200, 6));
}

static void
do_chain_clone(const struct ctx *x)
{
	struct rte_mbuf *head = make_chain(x, 5, 200, 7), *clone;

	clone = rte_pktmbuf_clone(head, x->stock);
	assert_non_null(clone);
	rte_pktmbuf_free(head);
	assert_live(x, 4);
	assert_int_equal(clone->pkt_len, 1000);
	assert_true(unit_filled_data(clone, 7));
	rte_pktmbuf_free(clone);
	assert_live(x, 0);
}

static void
do_copy(const struct ctx *x)
{
	struct rte_mempool *to[] = { x->stock, x->frag_pool, x->mp };
	struct rte_mbuf *head = make_chain(x, 3, 200, 8), *copy;
	unsigned int i;

	for (i = 0; i < RTE_DIM(to); i++) {
		copy = rte_pktmbuf_copy(head, to[i], 0, UINT32_MAX);
		assert_non_null(copy);
		assert_int_equal(copy->pkt_len, 600);
		assert_int_equal(copy->nb_segs, 1);
		assert_true(unit_filled(rte_pktmbuf_mtod(copy, void *), 200, 8));
		assert_true(unit_filled(rte_pktmbuf_mtod_offset(copy, void *, 200), 200, 9));
		assert_true(unit_filled(rte_pktmbuf_mtod_offset(copy, void *, 400), 200, 10));
		rte_pktmbuf_free(copy);
	}
	rte_pktmbuf_free(head);
}

/* The head has room for all: the other segments are freed into it. */
static void
do_linearize(const struct ctx *x)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(x->frag_pool);
	unsigned int i;

	assert_non_null(head);
	for (i = 0; i < 5; i++)
		assert_int_equal(rte_pktmbuf_chain(head, make(x, 200, 11 + i)), 0);
	assert_live(x, 6);
	assert_int_equal(rte_pktmbuf_linearize(head), 0);
	assert_live(x, 1);
	assert_int_equal(head->pkt_len, 1000);
	for (i = 0; i < 5; i++)
		assert_true(unit_filled(rte_pktmbuf_mtod_offset(head, void *, i * 200), 200,
				11 + i));
	rte_pktmbuf_free(head);
}

static void
do_free_bulk(const struct ctx *x)
{
	struct rte_mbuf *m[40];
	unsigned int i;

	for (i = 0; i < RTE_DIM(m); i++)
		switch (i % 5) {
		case 0:
			m[i] = NULL;
			break;
		case 1:
			m[i] = rte_pktmbuf_alloc(x->stock);
			break;
		case 2:
			m[i] = make_chain(x, 2, 100, i);
			break;
		default:
			m[i] = make(x, 100, i);
		}
	rte_pktmbuf_free_bulk(m, RTE_DIM(m));
	assert_live(x, 0);
	assert_int_equal(rte_mempool_avail_count(x->stock), x->stock->size);
}

/* Using all of one frag's head- and tailroom leaves its neighbours alone. */
static void
do_room(const struct ctx *x)
{
	struct rte_mbuf *before = make(x, 200, 20);
	struct rte_mbuf *m = make(x, 200, 21);
	struct rte_mbuf *behind = make(x, 200, 22);

	assert_int_equal(rte_pktmbuf_headroom(m), RTE_PKTMBUF_HEADROOM);
	assert_non_null(rte_pktmbuf_prepend(m, RTE_PKTMBUF_HEADROOM));
	assert_non_null(rte_pktmbuf_append(m, rte_pktmbuf_tailroom(m)));
	assert_int_equal(m->data_len, m->buf_len);
	unit_fill_data(m, 23);
	assert_true(unit_filled_data(before, 20));
	assert_true(unit_filled_data(behind, 22));
	assert_true(unit_filled_data(m, 23));
	assert_non_null(rte_pktmbuf_adj(m, 500 < m->data_len ? 500 : 10));
	assert_int_equal(rte_pktmbuf_trim(m, 10), 0);
	rte_pktmbuf_free(before);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(behind);
}

#define BOTH(name) \
	static void test_##name(void **state) \
	{ \
		(void)state; \
		run_both(do_##name); \
	}

BOTH(refcnt)
BOTH(clones)
BOTH(clone_thread)
BOTH(indirect)
BOTH(chain)
BOTH(chain_clone)
BOTH(copy)
BOTH(linearize)
BOTH(free_bulk)
BOTH(room)

/* The application's initialiser */

#define SOURCE_TAG UINT64_C(0x7366726167746167)

struct private_area {
	uint64_t source; /* the same in all objects, as Open vSwitch has it */
	uint64_t self;   /* different in all */
};

static void
init_private(struct rte_mempool *mp, void *arg, void *obj, unsigned int i)
{
	struct private_area *area = rte_mbuf_to_priv(obj);

	(void)mp;
	(void)arg;
	(void)i;
	unit_fill(area, rte_pktmbuf_priv_size(mp), (uintptr_t)obj);
	area->source = SOURCE_TAG;
	area->self = (uintptr_t)obj;
}

/* What is in front of an ordinary object's data: to compare with later. */
struct snapshot {
	char *bytes;
	size_t each;
	unsigned int different;
};

static void
take_snapshot(struct rte_mempool *mp, void *arg, void *obj, unsigned int i)
{
	struct snapshot *s = arg;

	(void)mp;
	memcpy(s->bytes + i * s->each, obj, s->each);
}

static void
compare_snapshot(struct rte_mempool *mp, void *arg, void *obj, unsigned int i)
{
	struct snapshot *s = arg;

	(void)mp;
	if (memcmp(s->bytes + i * s->each, obj, s->each) != 0)
		s->different++;
}

static unsigned int
carve_all(struct ppool_carver *c, struct rte_mbuf **m, unsigned int max)
{
	unsigned int n;

	for (n = 0; n < max; n++) {
		m[n] = ppool_carve(c, 60 + n % 100);
		if (m[n] == NULL)
			break;
		unit_fill_buf(m[n], n);
	}
	return n;
}

static void
exercise_private(uint16_t priv_size)
{
	struct rte_mempool *mp = unit_pool(61, ROOM, 0, priv_size);
	struct rte_mempool *frag_pool = ppool_frag_pool(mp);
	struct snapshot s = { .each = sizeof(struct rte_mbuf) + priv_size };
	struct ppool_carver *c;
	struct rte_mbuf *m[1000];
	unsigned int i, n;

	assert_int_equal(rte_mempool_obj_iter(mp, init_private, NULL), mp->size);
	s.bytes = malloc(mp->size * s.each);
	assert_non_null(s.bytes);
	rte_mempool_obj_iter(mp, take_snapshot, &s);

	c = unit_carver(mp, 500, 1);
	n = carve_all(c, m, RTE_DIM(m));
	assert_in_range(n, mp->size, RTE_DIM(m) - 1);
	for (i = 0; i < n; i++) {
		const struct private_area *area = rte_mbuf_to_priv(m[i]);

		unit_assert_fresh(m[i], frag_pool);
		assert_int_equal(m[i]->priv_size, priv_size);
		assert_int_equal(area->source, SOURCE_TAG);
		assert_true(unit_filled_buf(m[i], i));
	}
	rte_pktmbuf_free_bulk(m, n);
	unit_carver_free(c);

	/* Whole objects are as if nothing had ever been carved. */
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, m, mp->size), 0);
	for (i = 0; i < mp->size; i++) {
		const struct private_area *area = rte_mbuf_to_priv(m[i]);

		assert_int_equal(area->source, SOURCE_TAG);
		assert_int_equal(area->self, (uintptr_t)m[i]);
		rte_mbuf_sanity_check(m[i], 1);
	}
	rte_pktmbuf_free_bulk(m, mp->size);
	rte_mempool_obj_iter(mp, compare_snapshot, &s);
	free(s.bytes);
	assert_int_equal(s.different, 0);
}

static void
test_private_area(void **state)
{
	static const uint16_t sizes[] = { 16, 64, 72, 128, 320 };
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(sizes); i++)
		exercise_private(sizes[i]);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_enotsup),
	UNIT_TEST(test_enotsup_no_cache_align),
	UNIT_TEST(test_einval_not_populated),
	UNIT_TEST(test_einval_half_populated),
	UNIT_TEST(test_einval_too_small),
	UNIT_TEST(test_roles),
	UNIT_TEST(test_frag_pool_goes_with_page_pool),
	UNIT_TEST(test_mono_frag),
	UNIT_TEST(test_mono_frag_bulk),
	UNIT_TEST(test_raw_put),
	UNIT_TEST(test_refcnt),
	UNIT_TEST(test_clones),
	UNIT_TEST(test_clone_thread),
	UNIT_TEST(test_indirect),
	UNIT_TEST(test_chain),
	UNIT_TEST(test_chain_clone),
	UNIT_TEST(test_copy),
	UNIT_TEST(test_linearize),
	UNIT_TEST(test_free_bulk),
	UNIT_TEST(test_room),
	UNIT_TEST(test_private_area),
};

UNIT_SUITE(frag, "the frag pool; clones, chains, copies; the private area", tests);
