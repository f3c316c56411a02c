/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Whatever DPDK allows to be done to mbufs, done to slots at random: cloned, attached, detached,
 * copied, chained with mbufs of other pools, charged, kept, compacted, freed one by one, in mixed
 * bulks, on other threads, or into the pool of another one. Every byte of a packet, of what lies
 * around it and of its private area is looked at before it is freed. Then the same by processes
 * that are killed anywhere.
 */

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_launch.h>

#include <ppool_compact.h>
#include <ppool_create.h>
#include <ppool_keep.h>
#include <ppool_recover.h>
#include <ppool_slot.h>

#include "commands.h"
#include "unit.h"
#include "unit_child.h"

#define ITEMS 400u
#define TURNS 6000u

/* A packet in our hands, and how it was made. */
struct item {
	struct rte_mbuf *m;
	uint64_t tag;
	uint32_t len;
	bool edges;   /* nobody but us has written to its buffer: headroom and tailroom, too */
	bool foreign; /* a segment in it does not know its account */
};

struct fuzz {
	struct rte_mempool *mp, *stock;
	struct rte_mempool *view[UNIT_SLOT_CLASSES];
	unsigned int nb_views;
	struct ppool_carver *carver;
	uint16_t account[2];
	uint64_t rng, tags;
	struct item item[ITEMS];
	unsigned int n;
	char extbuf[2048];
	struct rte_mbuf_ext_shared_info shinfo;
	int thread_ret;
};

/* Contents: of a packet by position, whatever segments it is in */

static uint8_t
byte_at(uint64_t tag, uint32_t i)
{
	return (uint8_t)(tag * 31 + i * 7 + (i >> 8) * 3);
}

static void
bytes_fill(uint8_t *to, uint32_t n, uint64_t tag, uint32_t at)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		to[i] = byte_at(tag, at + i);
}

static bool
bytes_are(const uint8_t *from, uint32_t n, uint64_t tag, uint32_t at)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		if (from[i] != byte_at(tag, at + i))
			return false;
	return true;
}

static void
edges_fill(struct rte_mbuf *m, uint64_t tag)
{
	bytes_fill(m->buf_addr, m->data_off, tag, 3);
	bytes_fill((uint8_t *)m->buf_addr + m->data_off + m->data_len, rte_pktmbuf_tailroom(m), tag,
			5);
	bytes_fill(rte_mbuf_to_priv(m), m->priv_size, tag, 9);
}

static bool
edges_are(const struct rte_mbuf *m, uint64_t tag)
{
	return bytes_are(m->buf_addr, m->data_off, tag, 3) &&
			bytes_are((uint8_t *)m->buf_addr + m->data_off + m->data_len,
					rte_pktmbuf_tailroom(m), tag, 5) &&
			bytes_are((const uint8_t *)(m + 1), m->priv_size, tag, 9);
}

static void
item_verify(const struct item *it)
{
	const char *reason = NULL;
	const struct rte_mbuf *m;
	uint32_t at = 0;

	if (rte_mbuf_check(it->m, 1, &reason) != 0)
		fail_msg("mbuf %p: %s", (void *)it->m, reason);
	assert_int_equal(it->m->pkt_len, it->len);
	for (m = it->m; m != NULL; at += m->data_len, m = m->next)
		if (!bytes_are(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, it->tag, at))
			fail_msg("packet %p of %u bytes was overwritten", (void *)it->m, it->len);
	assert_int_equal(at, it->len);
	if (it->edges && !edges_are(it->m, it->tag))
		fail_msg("around packet %p of %u bytes something was overwritten", (void *)it->m,
				it->len);
}

/* Making packets */

/* Any headroom, data up to the last byte or less, all of the buffer written. */
static void
item_add(struct fuzz *f, struct rte_mbuf *m, bool foreign)
{
	struct item *it = &f->item[f->n++];

	*it = (struct item){ .m = m, .tag = ++f->tags, .edges = true, .foreign = foreign };
	m->data_off = (uint16_t)unit_range(&f->rng, 0, RTE_MIN(m->buf_len, 300u));
	it->len = unit_range(&f->rng, 0, 2) == 0 ? (uint32_t)(m->buf_len - m->data_off) :
						   unit_range(&f->rng, 0, m->buf_len - m->data_off);
	m->data_len = (uint16_t)it->len;
	m->pkt_len = it->len;
	bytes_fill(rte_pktmbuf_mtod(m, uint8_t *), it->len, it->tag, 0);
	edges_fill(m, it->tag);
}

static struct rte_mempool *
any_view(struct fuzz *f)
{
	return f->view[unit_range(&f->rng, 0, f->nb_views - 1)];
}

static struct item *
any_item(struct fuzz *f)
{
	return f->n == 0 ? NULL : &f->item[unit_range(&f->rng, 0, f->n - 1)];
}

/* A fresh slot is as a stock mbuf is when it is fresh. */
static void
slot_assert_fresh(const struct fuzz *f, const struct rte_mempool *view, const struct rte_mbuf *m)
{
	assert_ptr_equal(m->buf_addr, RTE_PTR_ADD(m, sizeof(*m) + m->priv_size));
	assert_int_equal(m->priv_size, rte_pktmbuf_priv_size(f->mp));
	assert_true(m->buf_len >=
			rte_pktmbuf_data_room_size((struct rte_mempool *)(uintptr_t)view));
	assert_int_equal(m->ol_flags, 0);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	assert_int_equal(m->nb_segs, 1);
	assert_null(m->next);
	assert_int_equal(ppool_account_of(m), PPOOL_ACCOUNT_NONE);
	assert_true(rte_mbuf_iova_get(m) == rte_mempool_virt2iova(m) + sizeof(*m) + m->priv_size ||
			rte_mbuf_iova_get(m) == RTE_BAD_IOVA);
}

static void
op_slots(struct fuzz *f)
{
	struct rte_mempool *view = any_view(f);
	struct rte_mbuf *m[32];
	unsigned int i, n = RTE_MIN(unit_range(&f->rng, 1, 32), ITEMS - f->n);

	if (n == 0 || rte_pktmbuf_alloc_bulk(view, m, n) != 0)
		return;
	for (i = 0; i < n; i++) {
		slot_assert_fresh(f, view, m[i]);
		item_add(f, m[i], false);
	}
}

static void
op_other(struct fuzz *f)
{
	unsigned int kind = unit_range(&f->rng, 0, 2);
	struct rte_mbuf *m;

	if (f->n == ITEMS)
		return;
	m = kind == 0             ? rte_pktmbuf_alloc(f->mp) :
			kind == 1 ? rte_pktmbuf_alloc(f->stock) :
				    ppool_carve(f->carver, (uint16_t)unit_range(&f->rng, 0, 600));
	if (m == NULL)
		return;
	if (kind != 2) {
		item_add(f, m, true);
		return;
	}
	f->item[f->n] = (struct item){ .m = m, .tag = ++f->tags, .len = m->data_len };
	bytes_fill(rte_pktmbuf_mtod(m, uint8_t *), m->data_len, f->tags, 0);
	f->n++;
}

/* Clones are of slots, in mbufs of slots. */
static void
op_clone(struct fuzz *f)
{
	struct item *it = any_item(f);
	struct rte_mbuf *m;

	if (it == NULL || f->n == ITEMS)
		return;
	m = rte_pktmbuf_clone(it->m, any_view(f));
	if (m == NULL)
		return;
	f->item[f->n] = *it;
	f->item[f->n].m = m;
	f->item[f->n++].edges = false;
}

/* Data copied from somewhere on: the pattern goes on as it is, so from the start only. */
static void
op_copy(struct fuzz *f)
{
	struct item *it = any_item(f);
	struct rte_mbuf *m;

	if (it == NULL || f->n == ITEMS || it->len == 0)
		return;
	m = rte_pktmbuf_copy(it->m, any_view(f), 0, UINT32_MAX);
	if (m == NULL)
		return;
	f->item[f->n] = (struct item){ .m = m, .tag = it->tag, .len = it->len };
	f->n++;
}

static void
ext_free(void *addr, void *opaque)
{
	RTE_SET_USED(addr);
	RTE_SET_USED(opaque);
}

/* A slot whose buffer lies elsewhere, or one that was attached and is itself again. */
static void
op_attach(struct fuzz *f)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(any_view(f));
	struct item *it = any_item(f);

	if (m == NULL || f->n == ITEMS) {
		rte_pktmbuf_free(m);
		return;
	}
	if (it != NULL && it->m->nb_segs == 1 && unit_range(&f->rng, 0, 1) == 0)
		rte_pktmbuf_attach(m, it->m);
	else {
		rte_mbuf_ext_refcnt_update(&f->shinfo, 1);
		rte_pktmbuf_attach_extbuf(m, f->extbuf, (uintptr_t)f->extbuf, sizeof(f->extbuf),
				&f->shinfo);
		if (unit_range(&f->rng, 0, 1) == 0) {
			/* As it is: the data of tag 0 from the start of the buffer on. */
			m->data_off = 0;
			m->data_len = (uint16_t)unit_range(&f->rng, 0, sizeof(f->extbuf));
			m->pkt_len = m->data_len;
			f->item[f->n++] = (struct item){ .m = m, .len = m->data_len };
			return;
		}
	}
	rte_pktmbuf_detach(m);
	assert_true(RTE_MBUF_DIRECT(m));
	item_add(f, m, false);
}

static void
item_remove(struct fuzz *f, struct item *it)
{
	*it = f->item[--f->n];
}

/* Two packets become one, whose second part says nothing: it takes the content of its place. */
static void
op_chain(struct fuzz *f)
{
	struct item *a = any_item(f), *b = any_item(f);
	struct rte_mbuf *m;
	uint32_t at;

	if (a == NULL || a == b || !b->edges || rte_mbuf_refcnt_read(b->m) != 1 ||
			a->m->nb_segs > 6 || a->len + b->len > 60000 ||
			rte_mbuf_refcnt_read(a->m) != 1)
		return;
	m = b->m;
	at = a->len;
	bytes_fill(rte_pktmbuf_mtod(m, uint8_t *), m->data_len, a->tag, at);
	if (rte_pktmbuf_chain(a->m, m) != 0)
		fail_msg("no chain of %u segments", a->m->nb_segs);
	a->len += b->len;
	a->edges = false;
	a->foreign |= b->foreign;
	item_remove(f, b);
}

static void
op_charge(struct fuzz *f)
{
	struct item *it = any_item(f);
	unsigned int i = unit_range(&f->rng, 0, 1);

	if (it == NULL || it->foreign)
		return;
	switch (unit_range(&f->rng, 0, 3)) {
	case 0:
		ppool_account_uncharge(f->account[i], &it->m, 1);
		break;
	case 1:
		ppool_account_move(f->account[i], f->account[1 - i], &it->m, 1);
		break;
	default:
		ppool_account_charge(f->account[i], &it->m, 1);
	}
}

/* Some items, each with an mbuf of its own: as an array, and back. */
static unsigned int
some_mbufs(struct fuzz *f, struct rte_mbuf **m, unsigned int max, unsigned int *first)
{
	unsigned int i, n;

	if (f->n == 0)
		return 0;
	*first = unit_range(&f->rng, 0, f->n - 1);
	n = RTE_MIN(unit_range(&f->rng, 1, max), f->n - *first);
	for (i = 0; i < n; i++)
		m[i] = f->item[*first + i].m;
	return n;
}

static void
mbufs_back(struct fuzz *f, struct rte_mbuf * const *m, unsigned int n, unsigned int first,
		bool edges)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		struct item *it = &f->item[first + i];
		const struct rte_mbuf *s;

		if (it->m != m[i] && !edges)
			it->edges = false;
		it->m = m[i];
		for (s = m[i], it->foreign = false; s != NULL; s = s->next)
			it->foreign |= s->pool == f->stock || s->pool == f->mp;
		item_verify(it);
	}
}

static void
op_keep(struct fuzz *f)
{
	struct rte_mbuf *m[100];
	unsigned int first, n = some_mbufs(f, m, RTE_DIM(m), &first);
	uint32_t max_len =
			unit_range(&f->rng, 0, 1) ? PPOOL_KEEP_ALL : unit_range(&f->rng, 0, 3000);

	ppool_keep(f->mp, m, n, max_len);
	mbufs_back(f, m, n, first, false);
}

static void
op_compact(struct fuzz *f)
{
	struct rte_mbuf *m[ITEMS];
	unsigned int first, n = some_mbufs(f, m, RTE_DIM(m), &first);
	struct ppool_compact_conf conf = {
		.max_occupancy = unit_range(&f->rng, 0, 100),
		.keep_mbufs = unit_range(&f->rng, 0, 3) == 0,
		.shared_pages = unit_range(&f->rng, 0, 1) == 0,
	};

	assert_int_equal(ppool_compact(f->carver, m, n, &conf, NULL), 0);
	mbufs_back(f, m, n, first, false);
}

/* Freeing */

struct freeing {
	struct rte_mbuf *m[64];
	unsigned int n;
};

static int
free_bulk(void *arg)
{
	struct freeing *fr = arg;

	rte_pktmbuf_free_bulk(fr->m, fr->n);
	return 0;
}

static int
free_each(void *arg)
{
	struct freeing *fr = arg;
	unsigned int i;

	for (i = 0; i < fr->n; i++)
		rte_pktmbuf_free(fr->m[i]);
	return 0;
}

/* What a transmit queue with MBUF_FAST_FREE may put into the pool of its neighbour. */
static bool
is_fast(const struct rte_mbuf *m)
{
	return m->nb_segs == 1 && RTE_MBUF_DIRECT(m) && ppool_is_slot_pool(m->pool) &&
			rte_mbuf_refcnt_read(m) == 1;
}

static void
op_free_fast(struct fuzz *f)
{
	struct freeing fr = { .n = 0 };
	struct rte_mempool *to = NULL;
	unsigned int i;

	for (i = 0; i < f->n && fr.n < RTE_DIM(fr.m);) {
		if (unit_range(&f->rng, 0, 2) != 0 || !is_fast(f->item[i].m)) {
			i++;
			continue;
		}
		item_verify(&f->item[i]);
		fr.m[fr.n++] = f->item[i].m;
		to = f->item[i].m->pool;
		item_remove(f, &f->item[i]);
	}
	if (fr.n == 0)
		return;
	if (unit_range(&f->rng, 0, 1) == 0)
		to = any_view(f);
	if (unit_range(&f->rng, 0, 1) == 0)
		unit_put_bulk(to, (void **)fr.m, fr.n);
	else
		for (i = 0; i < fr.n; i++)
			rte_mempool_put(to, fr.m[i]);
}

static void
op_free(struct fuzz *f)
{
	unsigned int want = unit_range(&f->rng, 1, 64), where = unit_range(&f->rng, 0, 9);
	lcore_function_t *how = unit_range(&f->rng, 0, 1) == 0 ? free_bulk : free_each;
	struct freeing fr = { .n = 0 };
	struct item *it;

	while (fr.n < want && (it = any_item(f)) != NULL) {
		item_verify(it);
		fr.m[fr.n++] = it->m;
		item_remove(f, it);
	}
	if (where == 0)
		assert_int_equal(unit_on_thread(how, &fr), 0);
	else if (where < 4 && unit_workers() > 0)
		assert_int_equal(unit_on_lcore(where % unit_workers(), how, &fr), 0);
	else
		how(&fr);
}

/* A second reference to a packet: one of them is kept, or goes at once. */
static void
op_refer(struct fuzz *f)
{
	struct item *it = any_item(f);
	struct rte_mbuf *m;

	if (it == NULL || it->m->nb_segs != 1)
		return;
	m = it->m;
	rte_mbuf_refcnt_update(m, 1);
	if (unit_range(&f->rng, 0, 1) == 0)
		ppool_keep(f->mp, &it->m, 1, PPOOL_KEEP_ALL);
	it->edges &= it->m == m;
	rte_pktmbuf_free(m);
}

static void (* const ops[])(struct fuzz *f) = {
	op_slots,
	op_slots,
	op_other,
	op_other,
	op_clone,
	op_copy,
	op_attach,
	op_chain,
	op_chain,
	op_charge,
	op_charge,
	op_keep,
	op_compact,
	op_refer,
	op_free,
	op_free,
	op_free_fast,
};

static void
fuzz_run(struct fuzz *f, unsigned int turns)
{
	unsigned int i, k;

	for (i = 0; i < turns; i++) {
		k = unit_range(&f->rng, 0, RTE_DIM(ops) - 1);
		if (k == 12 && unit_range(&f->rng, 0, 9) != 0)
			continue;
		ops[k](f);
		if (i % 200 == 0)
			unit_ledger(f->mp);
	}
	for (k = 0; k < f->n; k++)
		item_verify(&f->item[k]);
	while (f->n > 0)
		op_free(f);
}

static bool
fuzz_init(struct fuzz *f, struct rte_mempool *mp)
{
	struct ppool_slot_class c[UNIT_SLOT_CLASSES];
	unsigned int i;

	memset(f, 0, sizeof(*f));
	f->mp = mp;
	f->rng = unit_seed;
	f->nb_views = unit_slot_classes(mp, c);
	for (i = 0; i < f->nb_views; i++)
		f->view[i] = unit_slot_pool(mp, c[i].room);
	bytes_fill((uint8_t *)f->extbuf, sizeof(f->extbuf), 0, 0);
	f->shinfo.free_cb = ext_free;
	rte_mbuf_ext_refcnt_set(&f->shinfo, 1);
	return f->nb_views > 0;
}

/* Pages of so many bytes for mbufs, so many of them, with a private area and a cache. */
static void
fuzz_pool(unsigned int pages, uint16_t room, unsigned int cache, uint16_t priv)
{
	struct rte_mempool *mp = unit_pool(pages, room, cache, priv);
	struct fuzz *f = malloc(sizeof(*f));

	assert_non_null(f);
	if (!fuzz_init(f, mp)) {
		free(f);
		return;
	}
	f->stock = unit_stock_pool(64, 2176);
	f->carver = unit_carver(mp, RTE_MIN(room / 3u, 800u), 1);
	f->account[0] = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	f->account[1] = unit_account(100000);
	fuzz_run(f, (unsigned int)unit_scaled(TURNS, 20 * TURNS));
	assert_int_equal(rte_mbuf_ext_refcnt_read(&f->shinfo), 1);
	unit_carver_free(f->carver);
	free(f);
}

static void
test_fuzz_plain(void **state)
{
	(void)state;
	fuzz_pool(60, 16000, 0, 0);
}

static void
test_fuzz_few(void **state)
{
	(void)state;
	fuzz_pool(3, 16000, 0, 8);
	fuzz_pool(2, 4000, 0, 0);
	fuzz_pool(1, 9000, 0, 16);
}

static void
test_fuzz_small(void **state)
{
	(void)state;
	fuzz_pool(100, 2176, 32, 0);
	fuzz_pool(100, 2177, 0, 24);
	fuzz_pool(100, 2559, 0, 136);
}

static void
test_fuzz_largest(void **state)
{
	(void)state;
	fuzz_pool(20, UINT16_MAX, 8, 0);
	fuzz_pool(20, UINT16_MAX, 0, 1000);
	fuzz_pool(20, 65000, 0, 72);
}

static void
test_fuzz_random(void **state)
{
	uint64_t rng = unit_seed;
	unsigned int i;

	(void)state;
	for (i = 0; i < 4; i++)
		fuzz_pool(unit_range(&rng, 1, 80), (uint16_t)unit_range(&rng, 2176, UINT16_MAX), 0,
				(uint16_t)(8 * unit_range(&rng, 0, 40)));
}

/* Processes that are killed */

#define KILLED_PAGES 64u

/* What DPDK lets one process do, again and again, until it is killed. */
static int
killed_run(char **args)
{
	struct rte_mempool *mp = args[0] == NULL ? NULL : rte_mempool_lookup(args[0]);
	struct fuzz *f = malloc(sizeof(*f));
	unsigned int k;

	if (mp == NULL || f == NULL || ppool_attach(mp) != 0)
		return EXIT_FAILURE;
	unit_seed = (uint64_t)strtoull(args[1], NULL, 10);
	memset(f, 0, sizeof(*f));
	f->mp = mp;
	f->rng = unit_seed;
	for (k = 0; k < 12; k++)
		f->view[k] = ppool_slot_pool(mp, (uint16_t)(100 + 150 * k));
	f->nb_views = k;
	for (;;)
		switch (unit_range(&f->rng, 0, 7)) {
		case 0:
		case 1:
		case 2:
			op_slots(f);
			break;
		case 3:
			op_clone(f);
			break;
		case 4:
			op_keep(f);
			break;
		case 5:
			rte_pktmbuf_free(rte_pktmbuf_alloc(mp));
			break;
		case 6:
			op_free_fast(f);
			break;
		default:
			op_free(f);
		}
	return EXIT_FAILURE;
}

static const struct opt killed_opts[] = { { .name = NULL } };

const struct command cmd_unit_slots_fuzz = {
	.name = "unit-slots-fuzz",
	.synopsis = "POOL SEED",
	.help = "a secondary process of the unit suite 'slots_fuzz', which is killed",
	.opts = killed_opts,
	.max_args = 2,
	.hidden = true,
	.run = killed_run,
};

static pid_t
killed_start(struct rte_mempool *mp, unsigned int lcore, uint64_t seed)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, seed);
	return unit_child_start(UNIT_SELF, lcore,
			(const char * const[]){ cmd_unit_slots_fuzz.name, mp->name, text, NULL });
}

/* Whether a process has slots of the pool. */
static bool
has_slots(struct rte_mempool *mp, pid_t pid)
{
	struct ppool_owner_info info[64];
	int i, n = ppool_owners_get(mp, info, RTE_DIM(info));

	for (i = 0; i < n; i++)
		if (info[i].pid == (uint64_t)pid && info[i].slots > 0)
			return true;
	return false;
}

/* Work on the pool until a process has begun, and for a random time then. */
static void
work_meanwhile(struct fuzz *f, const pid_t *pid, unsigned int n)
{
	uint64_t end = rte_rdtsc() + 30 * rte_get_tsc_hz();
	unsigned int i = 0;

	while (i < n && rte_rdtsc() < end) {
		if (has_slots(f->mp, pid[i]))
			i++;
		op_slots(f);
		op_free(f);
	}
	assert_int_equal(i, n);
	end = rte_rdtsc() + unit_range(&f->rng, 0, 20000) * (rte_get_tsc_hz() / 1000000);
	while (rte_rdtsc() < end) {
		op_slots(f);
		op_keep(f);
		op_free(f);
	}
}

/* Another lcore, which goes on while a process is killed and what it had is taken back. */
struct worker {
	struct fuzz *f;
	uint64_t rng;
	bool stop; /* atomic */
	const char *error;
};

static void
worker_turn(struct worker *w)
{
	unsigned int i, n = unit_range(&w->rng, 1, 64);
	struct rte_mempool *view = w->f->view[unit_range(&w->rng, 0, w->f->nb_views - 1)];
	struct rte_mbuf *m[64];

	if (rte_pktmbuf_alloc_bulk(view, m, n) != 0)
		return;
	for (i = 0; i < n; i++)
		bytes_fill(m[i]->buf_addr, m[i]->buf_len, (uintptr_t)m[i], 0);
	for (i = 0; i < n; i++)
		if (!bytes_are(m[i]->buf_addr, m[i]->buf_len, (uintptr_t)m[i], 0))
			w->error = "a slot of the worker was overwritten";
	rte_pktmbuf_free_bulk(m, n);
	rte_pktmbuf_free(rte_pktmbuf_alloc(w->f->mp));
}

static int
worker_run(void *arg)
{
	struct worker *w = arg;

	while (!__atomic_load_n(&w->stop, __ATOMIC_RELAXED) && w->error == NULL)
		worker_turn(w);
	return 0;
}

/* The first worker lcore works until worker_stop(). */
static void
worker_start(struct worker *w, struct fuzz *f)
{
	unsigned int id = rte_get_next_lcore(-1, 1, 0);

	*w = (struct worker){ .f = f, .rng = unit_random(&f->rng) };
	if (id < RTE_MAX_LCORE)
		assert_int_equal(rte_eal_remote_launch(worker_run, w, id), 0);
}

static void
worker_stop(struct worker *w)
{
	__atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
	rte_eal_mp_wait_lcore();
	if (w->error != NULL)
		fail_msg("%s", w->error);
}

static void
kill_round(struct fuzz *f, unsigned int n)
{
	struct ppool_recovered r = { .frags = 0 };
	struct worker w;
	unsigned int i;
	pid_t pid[2];

	for (i = 0; i < n; i++)
		pid[i] = killed_start(f->mp, unit_free_lcore() - i, unit_random(&f->rng));
	work_meanwhile(f, pid, n);
	worker_start(&w, f);
	for (i = 0; i < n; i++)
		kill(pid[i], SIGKILL);
	for (i = 0; i < n; i++)
		unit_child_wait(pid[i]);
	unit_recover_dead(f->mp, &r);
	worker_stop(&w);
	assert_int_equal(ppool_recover_rest(f->mp, &r), 0);
	unit_ledger(f->mp);
	for (i = 0; i < f->n; i++)
		item_verify(&f->item[i]);
}

static void
kill_rounds(unsigned int n, unsigned int cache)
{
	struct rte_mempool *mp;
	struct fuzz *f = malloc(sizeof(*f));
	unsigned int i;

	unit_require(!UNIT_TSAN, "a build without ThreadSanitizer");
	unit_require_secondary();
	unit_forgive_heap();
	mp = unit_pool(KILLED_PAGES, 16000, cache, 0);
	assert_non_null(f);
	assert_true(fuzz_init(f, mp));
	for (i = 0; i < unit_scaled(8, 200); i++)
		kill_round(f, n);
	while (f->n > 0)
		op_free(f);
	free(f);
}

static void
test_killed(void **state)
{
	(void)state;
	kill_rounds(1, 0);
}

static void
test_two_killed(void **state)
{
	(void)state;
	kill_rounds(2, 0);
}

static void
test_killed_cache(void **state)
{
	(void)state;
	kill_rounds(1, 32);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_fuzz_plain),
	UNIT_TEST(test_fuzz_few),
	UNIT_TEST(test_fuzz_small),
	UNIT_TEST(test_fuzz_largest),
	UNIT_TEST(test_fuzz_random),
	UNIT_TEST(test_killed),
	UNIT_TEST(test_two_killed),
	UNIT_TEST(test_killed_cache),
};

UNIT_SUITE(slots_fuzz, "slots used in every way that DPDK allows, and processes killed meanwhile",
		tests);
