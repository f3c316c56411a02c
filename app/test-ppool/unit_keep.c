/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* Packets of all kinds moved into slots of their size, by calls and by receive callbacks. */

#define ALLOW_EXPERIMENTAL_API

#include <errno.h>
#include <stdlib.h>

#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf_dyn.h>

#include <ppool_keep.h>
#include <ppool_slot.h>

#include "unit.h"

#define PAGES 64u
#define ROOM 16000u
#define PRIV 16u
#define STOCK 1023u
#define STOCK_ROOM 2048u
#define TIMES 200u
#define BURST 150u /* more than what is done at a time */

struct ctx {
	struct rte_mempool *mp, *stock;
	struct ppool_carver *c;
};

static struct ctx
make_ctx(void)
{
	struct ctx x;

	x.mp = unit_pool(2 * PAGES, ROOM, 0, PRIV);
	x.stock = unit_stock_pool(STOCK, RTE_PKTMBUF_HEADROOM + STOCK_ROOM);
	x.c = unit_carver(x.mp, STOCK_ROOM, 1);
	return x;
}

/* Packets */

#define LONGEST 65535u

/* The same contents however a packet is cut into segments, other than those of unit_fill_data(). */
static void
data_fill(struct rte_mbuf *m, uint64_t tag)
{
	static char data[LONGEST];
	uint32_t at = 0;

	assert_true(m->pkt_len <= LONGEST);
	unit_fill(data, m->pkt_len, tag);
	for (; m != NULL; at += m->data_len, m = m->next)
		memcpy(rte_pktmbuf_mtod(m, void *), data + at, m->data_len);
}

static bool
data_filled(const struct rte_mbuf *m, uint64_t tag)
{
	static char data[LONGEST];
	const char *at = rte_pktmbuf_read(m, 0, m->pkt_len, data);

	return at != NULL && unit_filled(at, m->pkt_len, tag);
}

/* Different in every packet. */
static struct rte_mbuf *
fill(struct rte_mbuf *m, uint32_t len, uint64_t tag)
{
	assert_non_null(m);
	assert_non_null(rte_pktmbuf_append(m, (uint16_t)len));
	data_fill(m, tag);
	return m;
}

/* Metadata that no driver would set all together. */
static void
mark(struct rte_mbuf *m, uint64_t tag)
{
	m->port = (uint16_t)tag;
	m->ol_flags |= RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_RSS_HASH | RTE_MBUF_F_RX_L4_CKSUM_GOOD |
			RTE_MBUF_F_TX_TCP_SEG;
	m->packet_type = (uint32_t)tag * 3;
	m->vlan_tci = (uint16_t)(tag * 5);
	m->vlan_tci_outer = (uint16_t)(tag * 7);
	m->hash.rss = (uint32_t)tag * 11;
	m->hash.fdir.hi = (uint32_t)tag * 13;
	m->tx_offload = tag * 17;
	m->timesync = (uint16_t)(tag * 19);
	memset(m->dynfield1, (int)(tag * 23), sizeof(m->dynfield1));
}

static const char *
find_difference(const struct rte_mbuf *m, const struct rte_mbuf *was)
{
	uint64_t flags = was->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);

	if (m->ol_flags != flags)
		return "ol_flags";
	if (m->port != was->port || m->packet_type != was->packet_type)
		return "port or packet_type";
	if (m->vlan_tci != was->vlan_tci || m->vlan_tci_outer != was->vlan_tci_outer)
		return "VLAN";
	if (memcmp(&m->hash, &was->hash, sizeof(m->hash)) != 0)
		return "hash";
	if (m->tx_offload != was->tx_offload || m->timesync != was->timesync)
		return "tx_offload or timesync";
	if (memcmp(m->dynfield1, was->dynfield1, sizeof(m->dynfield1)) != 0)
		return "dynamic fields";
	return m->pkt_len != was->pkt_len ? "length" : NULL;
}

static void
assert_same(const struct rte_mbuf *m, const struct rte_mbuf *was, uint64_t tag)
{
	const char *what = find_difference(m, was), *reason;

	if (what != NULL)
		fail_msg("%s of a packet of %u bytes changed", what, was->pkt_len);
	if (rte_mbuf_check(m, 1, &reason) != 0)
		fail_msg("%s", reason);
	assert_true(data_filled(m, tag));
}

/* A slot of the size of the packet, and what else an mbuf must be that was received. */
static void
assert_kept(const struct ctx *x, const struct rte_mbuf *m)
{
	assert_true(RTE_MBUF_DIRECT(m));
	assert_true(ppool_is_slot_pool(m->pool));
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	assert_int_equal(m->data_off, RTE_PKTMBUF_HEADROOM);
	assert_int_equal(m->priv_size, rte_pktmbuf_priv_size(x->mp));
	assert_int_equal(m->buf_len,
			rte_pktmbuf_data_room_size(unit_slot_pool(x->mp, (uint16_t)m->pkt_len)));
	assert_int_equal(m->nb_segs, 1);
	assert_int_equal(m->data_len, m->pkt_len);
	assert_null(m->next);
}

/* Move one packet that is moved. Returns it. */
static struct rte_mbuf *
keep_one(const struct ctx *x, struct rte_mbuf *m, uint64_t tag)
{
	struct rte_mbuf was, *old = m;

	mark(m, tag);
	was = *m;
	assert_int_equal(ppool_keep(x->mp, &m, 1, PPOOL_KEEP_ALL), 1);
	assert_ptr_not_equal(m, old);
	assert_same(m, &was, tag);
	assert_kept(x, m);
	return m;
}

/* Try to move one packet that stays, for a reason or 0. */
static void
assert_stays(const struct ctx *x, struct rte_mbuf *m, uint32_t max_len, int err)
{
	struct rte_mbuf was = *m, *old = m;

	rte_errno = 0;
	assert_int_equal(ppool_keep(x->mp, &m, 1, max_len), err == 0);
	assert_int_equal(rte_errno, err);
	assert_ptr_equal(m, old);
	assert_memory_equal(m, &was, sizeof(was));
}

static void
assert_stock_back(const struct ctx *x)
{
	assert_int_equal(rte_mempool_avail_count(x->stock), x->stock->size);
}

/* What is moved */

static void
test_stock(void **state)
{
	struct ctx x = make_ctx();
	uint32_t len;

	(void)state;
	for (len = 0; len <= STOCK_ROOM; len += 13) {
		rte_pktmbuf_free(keep_one(&x, fill(rte_pktmbuf_alloc(x.stock), len, len), len));
		assert_stock_back(&x);
	}
	assert_int_equal(unit_stats(x.mp).keep_move, STOCK_ROOM / 13 + 1);
	assert_int_equal(unit_stats(x.mp).keep_fail, 0);
}

static void
test_frags(void **state)
{
	struct ctx x = make_ctx();
	struct rte_mbuf *m;
	uint32_t len;

	(void)state;
	for (len = 1; len <= STOCK_ROOM; len += 50) {
		m = keep_one(&x, fill(ppool_carve(x.c, (uint16_t)len), len, len), len);
		assert_int_equal(unit_ledger(x.mp).frags, 0);
		rte_pktmbuf_free(m);
	}
}

/* Ordinary objects, as any driver receives into, and those of the frag pool. */
static void
test_whole(void **state)
{
	struct ctx x = make_ctx();
	struct rte_mbuf *m;

	(void)state;
	m = keep_one(&x, fill(rte_pktmbuf_alloc(x.mp), 1500, 1), 1);
	assert_int_equal(unit_ledger(x.mp).whole, 0);
	rte_pktmbuf_free(m);
	m = keep_one(&x, fill(rte_pktmbuf_alloc(ppool_frag_pool(x.mp)), 1500, 2), 2);
	assert_int_equal(unit_ledger(x.mp).frags, 0);
	rte_pktmbuf_free(m);
	/* No slot takes less than the page. */
	m = fill(rte_pktmbuf_alloc(x.mp), 12000, 3);
	assert_stays(&x, m, PPOOL_KEEP_ALL, 0);
	rte_pktmbuf_free(m);
}

/* Larger slots move, those of their size and others' packets of too great a length stay. */
static void
test_slots(void **state)
{
	struct ctx x = make_ctx();
	struct rte_mbuf *m = keep_one(&x,
			fill(rte_pktmbuf_alloc(unit_slot_pool(x.mp, 1518)), 200, 1), 1);

	(void)state;
	assert_stays(&x, m, PPOOL_KEEP_ALL, 0);
	rte_pktmbuf_free(m);
	m = fill(rte_pktmbuf_alloc(x.stock), 257, 2);
	assert_stays(&x, m, 256, 0);
	rte_pktmbuf_trim(m, 1);
	assert_int_equal(ppool_keep(x.mp, &m, 1, 256), 1);
	assert_kept(&x, m);
	rte_pktmbuf_free(m);
	assert_int_equal(ppool_keep(x.mp, NULL, 0, PPOOL_KEEP_ALL), 0);
}

/* Chains */

static struct rte_mbuf *
make_chain(const struct ctx *x, unsigned int segs, uint32_t len, uint64_t tag)
{
	struct rte_mbuf *head = NULL, *m;
	unsigned int i;

	for (i = 0; i < segs; i++) {
		m = i % 2 == 0 ? rte_pktmbuf_alloc(x->stock) : ppool_carve(x->c, (uint16_t)len);
		fill(m, len, tag);
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	data_fill(head, tag);
	return head;
}

static void
test_chain(void **state)
{
	struct ctx x = make_ctx();
	struct rte_mbuf *m;

	(void)state;
	m = keep_one(&x, make_chain(&x, 5, 999, 1), 1);
	assert_int_equal(unit_ledger(x.mp).frags, 0);
	assert_stock_back(&x);
	rte_pktmbuf_free(m);
}

/* Of what pages do not hold. */
static void
test_long(void **state)
{
	struct ctx x = make_ctx();
	struct rte_mbuf was, *m = make_chain(&x, 30, 1500, 1);
	unsigned int segs = 0;

	(void)state;
	mark(m, 1);
	was = *m;
	assert_int_equal(ppool_keep(x.mp, &m, 1, PPOOL_KEEP_ALL), 1);
	assert_int_equal(unit_ledger(x.mp).frags, 0);
	assert_stock_back(&x);
	assert_same(m, &was, 1);
	assert_int_equal(m->nb_segs, 3);
	assert_true(ppool_is_slot_pool(m->next->pool));
	assert_stays(&x, m, PPOOL_KEEP_ALL, 0);
	for (was = *m; was.next != NULL; was = *was.next)
		segs++;
	assert_int_equal(segs, 2);
	rte_pktmbuf_free(m);
}

/* One segment does not become several. */
static void
test_long_segment(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, 2176, 0, 0);
	struct ctx x = make_ctx();
	struct rte_mbuf *m = fill(rte_pktmbuf_alloc(x.mp), 9000, 1);

	(void)state;
	x.mp = mp;
	assert_stays(&x, m, PPOOL_KEEP_ALL, E2BIG);
	rte_pktmbuf_free(m);
}

/* Private areas, dynamic fields */

static void
test_private_area(void **state)
{
	static const uint16_t sizes[] = { 0, 8, PRIV, 64 };
	struct ctx x = make_ctx();
	struct rte_mempool *from;
	struct rte_mbuf *m;
	uint16_t n;
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(sizes); i++) {
		from = unit_register(rte_pktmbuf_pool_create_by_ops(unit_name(), 15, 0, sizes[i],
				RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, "ring_mp_mc"));
		m = fill(rte_pktmbuf_alloc(from), 100, i);
		unit_fill(rte_mbuf_to_priv(m), sizes[i], i);
		m = keep_one(&x, m, i);
		n = RTE_MIN(sizes[i], (uint16_t)PRIV);
		assert_true(unit_filled(rte_mbuf_to_priv(m), n, i));
		rte_pktmbuf_free(m);
	}
}

/* An mbuf that is attached says that its private area is as long as that of the other. */
static void
keep_clone_of(struct ctx *x, uint16_t size)
{
	struct rte_mempool *from = unit_register(rte_pktmbuf_pool_create_by_ops(unit_name(), 15, 0,
			size, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY, "ring_mp_mc"));
	struct rte_mbuf *m = fill(rte_pktmbuf_alloc(from), 100, 1);
	struct rte_mbuf *clone = rte_pktmbuf_clone(m, ppool_frag_pool(x->mp));

	assert_non_null(clone);
	assert_int_equal(clone->priv_size, size);
	unit_fill(RTE_PTR_ADD(clone, sizeof(*clone)), PRIV, size);
	clone = keep_one(x, clone, 1);
	assert_true(unit_filled(rte_mbuf_to_priv(clone), PRIV, size));
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	rte_pktmbuf_free(clone);
	rte_pktmbuf_free(m);
}

static void
test_private_of_clone(void **state)
{
	struct ctx x = make_ctx();

	(void)state;
	unit_require(!UNIT_EXTERNAL_AT_FIRST,
			"a DPDK that frees clones in the frag pool: before 25.11");
	keep_clone_of(&x, 256);
	keep_clone_of(&x, 0);
}

static void
test_dynamic(void **state)
{
	static const struct rte_mbuf_dynfield field = {
		.name = "unit_keep_field", .size = 8, .align = 8
	};
	static const struct rte_mbuf_dynflag flag = { .name = "unit_keep_flag" };
	int offset = rte_mbuf_dynfield_register(&field), bit = rte_mbuf_dynflag_register(&flag);
	struct ctx x = make_ctx();
	struct rte_mbuf *m = fill(rte_pktmbuf_alloc(x.stock), 100, 1);

	(void)state;
	assert_true(offset >= 0 && bit >= 0);
	*RTE_MBUF_DYNFIELD(m, offset, uint64_t *) = UINT64_C(0x123456789abcdef);
	m->ol_flags |= UINT64_C(1) << bit;
	assert_int_equal(ppool_keep(x.mp, &m, 1, PPOOL_KEEP_ALL), 1);
	assert_kept(&x, m);
	assert_true(*RTE_MBUF_DYNFIELD(m, offset, uint64_t *) == UINT64_C(0x123456789abcdef));
	assert_true((m->ol_flags & UINT64_C(1) << bit) != 0);
	rte_pktmbuf_free(m);
}

/* References */

static void
count_free(void *addr, void *arg)
{
	(void)addr;
	++*(unsigned int *)arg;
}

static void
test_external(void **state)
{
	static char buf[2048];
	struct rte_mbuf_ext_shared_info shinfo;
	struct ctx x = make_ctx();
	struct rte_mbuf *m = rte_pktmbuf_alloc(x.stock);
	unsigned int freed = 0;

	(void)state;
	assert_non_null(m);
	shinfo.free_cb = count_free;
	shinfo.fcb_opaque = &freed;
	rte_mbuf_ext_refcnt_set(&shinfo, 1);
	rte_pktmbuf_attach_extbuf(m, buf, RTE_BAD_IOVA, sizeof(buf), &shinfo);
	m = keep_one(&x, fill(m, 700, 1), 1);
	assert_int_equal(freed, 1);
	assert_stock_back(&x);
	rte_pktmbuf_free(m);
}

/* What others have stays, and they see it unchanged. */
static void
shared_exercise(const struct ctx *x, struct rte_mbuf *m)
{
	struct rte_mbuf *clone, *copy, *mine;

	fill(m, 600, 1);
	clone = rte_pktmbuf_clone(m, x->stock);
	assert_non_null(clone);
	copy = keep_one(x, clone, 1);
	/* The original, while a clone refers to it. */
	clone = rte_pktmbuf_clone(m, x->stock);
	assert_non_null(clone);
	mine = keep_one(x, m, 1);
	assert_true(data_filled(clone, 1));
	rte_pktmbuf_free(clone);
	/* One of two references. */
	rte_mbuf_refcnt_update(copy, 1);
	assert_stays(x, copy, PPOOL_KEEP_ALL, 0);
	rte_mbuf_refcnt_update(copy, -1);
	rte_pktmbuf_free(copy);
	rte_pktmbuf_free(mine);
	assert_stock_back(x);
	assert_int_equal(unit_ledger(x->mp).frags, 0);
}

static void
test_shared(void **state)
{
	struct ctx x = make_ctx();
	struct rte_mbuf *m, *copy;

	(void)state;
	shared_exercise(&x, rte_pktmbuf_alloc(x.stock));
	shared_exercise(&x, rte_pktmbuf_alloc(unit_slot_pool(x.mp, 2000)));
	shared_exercise(&x, rte_pktmbuf_alloc(x.mp));
	shared_exercise(&x, rte_pktmbuf_alloc(ppool_frag_pool(x.mp)));
	shared_exercise(&x, ppool_carve(x.c, 600));
	m = copy = fill(rte_pktmbuf_alloc(x.stock), 600, 1);
	rte_mbuf_refcnt_update(m, 1);
	assert_int_equal(ppool_keep(x.mp, &copy, 1, PPOOL_KEEP_ALL), 1);
	assert_kept(&x, copy);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(copy);
}

/* Accounts */

static struct rte_mbuf *
charged(struct rte_mbuf *m, uint32_t len, uint64_t tag, uint16_t account)
{
	fill(m, len, tag);
	assert_int_equal(ppool_account_charge(account, &m, 1), 1);
	return m;
}

/* A full account: it takes less afterwards, and never more meanwhile. */
static void
charged_exercise(const struct ctx *x, struct rte_mbuf *m)
{
	uint16_t account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct ppool_account_stats stats;

	charged(m, 500, 1, account);
	assert_int_equal(ppool_account_limit_set(account, ppool_account_used(account)), 0);
	m = keep_one(x, m, 1);
	assert_int_equal(ppool_account_of(m), account);
	assert_int_equal(ppool_account_used(account), ppool_mbuf_truesize(m));
	assert_int_equal(ppool_account_check(stdout), 0);
	assert_int_equal(ppool_account_stats_get(account, &stats), 0);
	assert_true(stats.high_water <= stats.limit);
	assert_int_equal(stats.refusals, 0);
	rte_pktmbuf_free(m);
	assert_int_equal(ppool_account_used(account), 0);
}

static void
test_charged(void **state)
{
	struct ctx x = make_ctx();

	(void)state;
	charged_exercise(&x, ppool_carve(x.c, 2000));
	charged_exercise(&x, rte_pktmbuf_alloc(ppool_frag_pool(x.mp)));
	charged_exercise(&x, rte_pktmbuf_alloc(unit_slot_pool(x.mp, 4000)));
}

static void
test_charged_chain(void **state)
{
	struct ctx x = make_ctx();
	uint16_t account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct rte_mbuf *m = NULL, *seg;
	unsigned int i;

	(void)state;
	/* One segment of a foreign pool, one that was not charged when it was added. */
	m = charged(ppool_carve(x.c, 300), 300, 1, account);
	for (i = 0; i < 2; i++) {
		seg = fill(i == 0 ? rte_pktmbuf_alloc(x.stock) : ppool_carve(x.c, 300), 300, 1);
		assert_int_equal(rte_pktmbuf_chain(m, seg), 0);
	}
	data_fill(m, 1);
	m = keep_one(&x, m, 1);
	assert_int_equal(ppool_account_used(account), ppool_mbuf_truesize(m));
	rte_pktmbuf_free(m);
	assert_int_equal(ppool_account_used(account), 0);
	/* Longer than a slot. */
	m = make_chain(&x, 1, 1500, 2);
	for (i = 0; i < 20; i++) {
		seg = charged(ppool_carve(x.c, 1500), 1500, 2, account);
		assert_int_equal(rte_pktmbuf_chain(m, seg), 0);
	}
	assert_int_equal(ppool_keep(x.mp, &m, 1, PPOOL_KEEP_ALL), 1);
	assert_int_equal(m->nb_segs, 3);
	assert_int_equal(ppool_account_used(account), ppool_mbuf_truesize(m));
	assert_int_equal(ppool_account_of(m->next), account);
	assert_int_equal(ppool_account_check(stdout), 0);
	rte_pktmbuf_free(m);
}

static void
test_two_accounts(void **state)
{
	struct ctx x = make_ctx();
	uint16_t a = unit_account(PPOOL_ACCOUNT_UNLIMITED), b = unit_account(UINT64_MAX);
	struct rte_mbuf *m = charged(ppool_carve(x.c, 300), 300, 1, a);

	(void)state;
	assert_int_equal(rte_pktmbuf_chain(m, charged(ppool_carve(x.c, 300), 300, 1, b)), 0);
	assert_stays(&x, m, PPOOL_KEEP_ALL, EDQUOT);
	rte_pktmbuf_free(m);
}

/* What a clone shows is paid for by somebody else: a copy may be too much for its account. */
static void
test_charged_clone(void **state)
{
	struct ctx x = make_ctx();
	uint16_t owner = unit_account(PPOOL_ACCOUNT_UNLIMITED), holder = unit_account(600);
	struct rte_mbuf *m = charged(rte_pktmbuf_alloc(unit_slot_pool(x.mp, 1000)), 1000, 1, owner);
	struct rte_mbuf *clone = rte_pktmbuf_clone(m, unit_slot_pool(x.mp, 64));
	uint64_t used = ppool_account_used(owner);

	(void)state;
	assert_non_null(clone);
	assert_int_equal(ppool_account_charge(holder, &clone, 1), 1);
	assert_stays(&x, clone, PPOOL_KEEP_ALL, EDQUOT);
	assert_int_equal(ppool_account_used(holder), ppool_mbuf_truesize(clone));
	assert_int_equal(ppool_account_limit_set(holder, 2000), 0);
	clone = keep_one(&x, clone, 1);
	assert_int_equal(ppool_account_used(holder), ppool_mbuf_truesize(clone));
	assert_int_equal(ppool_account_used(owner), used);
	rte_pktmbuf_free(clone);
	rte_pktmbuf_free(m);
}

/* The original stays charged as long as others have it; the copy comes on top. */
static void
charged_shared_exercise(const struct ctx *x, struct rte_mbuf *m)
{
	uint16_t account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct rte_mbuf *clone;
	uint64_t used;

	charged(m, 1000, 1, account);
	used = ppool_account_used(account);
	clone = rte_pktmbuf_clone(m, x->stock);
	assert_non_null(clone);
	assert_int_equal(ppool_account_limit_set(account, used + 100), 0);
	assert_stays(x, m, PPOOL_KEEP_ALL, EDQUOT);
	assert_int_equal(ppool_account_limit_set(account, 2 * used), 0);
	m = keep_one(x, m, 1);
	assert_int_equal(ppool_account_used(account), used + ppool_mbuf_truesize(m));
	assert_int_equal(ppool_account_check(stdout), 0);
	rte_pktmbuf_free(clone);
	assert_int_equal(ppool_account_used(account), ppool_mbuf_truesize(m));
	rte_pktmbuf_free(m);
}

static void
test_charged_shared(void **state)
{
	struct ctx x = make_ctx();

	(void)state;
	charged_shared_exercise(&x, ppool_carve(x.c, 1000));
	charged_shared_exercise(&x, rte_pktmbuf_alloc(unit_slot_pool(x.mp, 2000)));
	/* Such a page is taken for one that is shared. */
	if (!UNIT_EXTERNAL_AT_FIRST)
		charged_shared_exercise(&x, rte_pktmbuf_alloc(ppool_frag_pool(x.mp)));
}

/* Another lcore drops the last clones of packets that are moved at that moment. */

#define RACES 20000u

static int
clones_free(void *arg)
{
	void *m;

	for (;;) {
		if (rte_ring_dequeue(arg, &m) != 0)
			continue;
		if (m == arg)
			return 0;
		rte_pktmbuf_free(m);
	}
}

static void
clone_send(const struct ctx *x, struct rte_mbuf *m, struct rte_ring *ring)
{
	struct rte_mbuf *clone = rte_pktmbuf_clone(m, x->stock);

	/* None where the other has fallen behind. */
	if (clone != NULL && rte_ring_enqueue(ring, clone) != 0)
		rte_pktmbuf_free(clone);
}

/* The more segments, the more may change while they are counted. */
static struct rte_mbuf *
race_chain(const struct ctx *x, uint16_t account)
{
	struct rte_mbuf *head = NULL, *m;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		m = i % 2 == 0 ? ppool_carve(x->c, 100) :
				 rte_pktmbuf_alloc(unit_slot_pool(x->mp, 200));
		fill(m, 100, i);
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	assert_int_equal(ppool_account_charge(account, &head, 1), 1);
	return head;
}

static void
test_race(void **state)
{
	unsigned int lcore = rte_get_next_lcore(-1, 1, 0), i;
	struct rte_ring *ring;
	struct rte_mbuf *m;
	uint16_t account;
	struct ctx x;

	(void)state;
	unit_require(unit_workers() > 0, "a worker lcore");
	x = make_ctx();
	account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	ring = rte_ring_create(unit_name(), 256, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	assert_non_null(ring);
	assert_int_equal(rte_eal_remote_launch(clones_free, ring, lcore), 0);
	for (i = 0; i < RACES; i++) {
		m = race_chain(&x, account);
		clone_send(&x, m, ring);
		if (ppool_keep(x.mp, &m, 1, PPOOL_KEEP_ALL) != 1)
			break;
		rte_pktmbuf_free(m);
	}
	while (rte_ring_enqueue(ring, ring) != 0)
		;
	rte_eal_wait_lcore(lcore);
	rte_ring_free(ring);
	assert_int_equal(i, RACES);
	assert_int_equal(ppool_account_used(account), 0);
	assert_int_equal(ppool_account_check(stdout), 0);
	assert_stock_back(&x);
}

/* No slot */

static unsigned int
take_pages(struct rte_mempool *mp, struct rte_mbuf **m)
{
	unsigned int n = 0;

	while ((m[n] = rte_pktmbuf_alloc(mp)) != NULL)
		n++;
	return n;
}

static void
test_exhausted(void **state)
{
	struct ctx x = make_ctx();
	struct rte_mbuf *page[2 * PAGES + 1], *m[BURST], *old[BURST];
	struct ppool_slot_class c;
	unsigned int i, n, kept, same = 0;

	(void)state;
	assert_true(ppool_slot_classes_get(x.mp, &c, 1) > 0);
	for (i = 0; i < BURST; i++)
		m[i] = old[i] = fill(rte_pktmbuf_alloc(x.stock), 64, i);
	n = take_pages(x.mp, page);
	assert_int_equal(ppool_keep(x.mp, m, BURST, PPOOL_KEEP_ALL), 0);
	assert_int_equal(rte_errno, ENOBUFS);
	assert_memory_equal(m, old, sizeof(m));
	assert_int_equal(unit_stats(x.mp).keep_fail, BURST);
	/* One page has slots for some of them. */
	rte_pktmbuf_free(page[--n]);
	kept = ppool_keep(x.mp, m, BURST, PPOOL_KEEP_ALL);
	assert_int_equal(kept, c.slots);
	for (i = 0; i < BURST; i++) {
		same += m[i] == old[i];
		assert_true(data_filled(m[i], i));
	}
	assert_int_equal(same, BURST - kept);
	rte_pktmbuf_free_bulk(m, BURST);
	rte_pktmbuf_free_bulk(page, n);
	assert_stock_back(&x);
}

/* The slot there is takes no less than the original. */
static void
test_larger(void **state)
{
	struct ctx x = make_ctx();
	struct rte_mbuf *page[2 * PAGES + 1], *big, *m;
	unsigned int n;

	(void)state;
	big = rte_pktmbuf_alloc(unit_slot_pool(x.mp, 1500));
	m = fill(rte_pktmbuf_alloc(unit_slot_pool(x.mp, 1500)), 100, 1);
	assert_non_null(big);
	n = take_pages(x.mp, page);
	assert_stays(&x, m, PPOOL_KEEP_ALL, ENOBUFS);
	rte_pktmbuf_free(m);
	/* But less than a foreign one. */
	m = fill(rte_pktmbuf_alloc(x.stock), 100, 1);
	assert_int_equal(ppool_keep(x.mp, &m, 1, PPOOL_KEEP_ALL), 1);
	assert_true(ppool_is_slot_pool(m->pool));
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(big);
	rte_pktmbuf_free_bulk(page, n);
}

static void
test_long_exhausted(void **state)
{
	struct ctx x = make_ctx();
	struct rte_mbuf *page[2 * PAGES + 1], *m = make_chain(&x, 20, 1500, 1);
	unsigned int n = take_pages(x.mp, page);

	(void)state;
	rte_pktmbuf_free(page[--n]);
	assert_stays(&x, m, PPOOL_KEEP_ALL, ENOBUFS);
	assert_true(data_filled(m, 1));
	rte_pktmbuf_free(m);
	rte_pktmbuf_free_bulk(page, n);
}

/* Bursts of everything */

static struct rte_mbuf *
make_any(const struct ctx *x, uint64_t *rng, uint64_t tag)
{
	uint32_t len = unit_range(rng, 1, STOCK_ROOM);
	struct rte_mbuf *m, *clone;

	switch (unit_range(rng, 0, 7)) {
	case 0:
		return make_chain(x, unit_range(rng, 2, 12), len / 2 + 1, tag);
	case 1:
		return fill(rte_pktmbuf_alloc(unit_slot_pool(x->mp, STOCK_ROOM)), len, tag);
	case 2:
		return fill(rte_pktmbuf_alloc(unit_slot_pool(x->mp, (uint16_t)len)), len, tag);
	case 3:
	case 4:
		return fill(ppool_carve(x->c, (uint16_t)len), len, tag);
	case 5:
		m = fill(rte_pktmbuf_alloc(x->stock), len, tag);
		clone = rte_pktmbuf_clone(m, unit_slot_pool(x->mp, 64));
		assert_non_null(clone);
		rte_pktmbuf_free(m);
		return clone;
	default:
		return fill(rte_pktmbuf_alloc(x->stock), len, tag);
	}
}

struct plan {
	struct ctx x;
	uint16_t account;
	uint64_t rng;
};

static void
burst_exercise(struct plan *t)
{
	struct rte_mbuf was[BURST], *m[BURST];
	uint64_t sum = 0;
	unsigned int i, n = unit_range(&t->rng, 1, BURST);

	for (i = 0; i < n; i++) {
		m[i] = make_any(&t->x, &t->rng, i);
		mark(m[i], i);
		if (ppool_is_frag_pool(m[i]->pool) && unit_range(&t->rng, 0, 3) == 0)
			assert_int_equal(ppool_account_charge(t->account, &m[i], 1), 1);
		was[i] = *m[i];
	}
	assert_int_equal(ppool_keep(t->x.mp, m, n, PPOOL_KEEP_ALL), n);
	for (i = 0; i < n; i++) {
		assert_same(m[i], &was[i], i);
		assert_kept(&t->x, m[i]);
		if (ppool_account_of(m[i]) != PPOOL_ACCOUNT_NONE)
			sum += ppool_mbuf_truesize(m[i]);
	}
	assert_int_equal(ppool_account_used(t->account), sum);
	assert_stock_back(&t->x);
	rte_pktmbuf_free_bulk(m, n);
	assert_int_equal(ppool_account_used(t->account), 0);
}

static int
bursts_run(void *arg)
{
	unsigned int i;

	for (i = 0; i < TIMES; i++)
		burst_exercise(arg);
	return 0;
}

static void
test_bursts(void **state)
{
	struct plan t = { .rng = unit_seed };

	(void)state;
	t.x = make_ctx();
	t.account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	bursts_run(&t);
}

/* Every thread may, but asserts only in the one that runs the test. */
static int
keep_run(void *arg)
{
	const struct ctx *x = arg;
	struct rte_mbuf *m[32];
	unsigned int i, k, bad = 0;

	for (i = 0; i < TIMES; i++) {
		if (rte_pktmbuf_alloc_bulk(x->stock, m, RTE_DIM(m)) != 0)
			return 1;
		for (k = 0; k < RTE_DIM(m); k++) {
			rte_pktmbuf_append(m[k], (uint16_t)(1 + k * 50));
			unit_fill_data(m[k], k);
		}
		bad += ppool_keep(x->mp, m, RTE_DIM(m), PPOOL_KEEP_ALL) != RTE_DIM(m);
		for (k = 0; k < RTE_DIM(m); k++)
			bad += !ppool_is_slot_pool(m[k]->pool) || !unit_filled_data(m[k], k);
		rte_pktmbuf_free_bulk(m, RTE_DIM(m));
	}
	return bad != 0;
}

static void
test_threads(void **state)
{
	struct ctx x = make_ctx();

	(void)state;
	assert_int_equal(unit_on_thread(keep_run, &x), 0);
	if (unit_workers() > 0)
		assert_int_equal(unit_on_lcore(0, keep_run, &x), 0);
	assert_stock_back(&x);
}

/* Receive callbacks */

#define RING_NAME "net_ring_keep"
#define DESCRIPTORS 512

static bool
port_start(struct rte_mempool *mp, uint16_t *id)
{
	struct rte_eth_conf conf;

	memset(&conf, 0, sizeof(conf));
	return (rte_eth_dev_get_port_by_name(RING_NAME, id) == 0 ||
			       rte_eal_hotplug_add("vdev", RING_NAME, "") == 0) &&
			rte_eth_dev_get_port_by_name(RING_NAME, id) == 0 &&
			rte_eth_dev_configure(*id, 1, 1, &conf) == 0 &&
			rte_eth_rx_queue_setup(*id, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL, mp) == 0 &&
			rte_eth_tx_queue_setup(*id, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL) == 0 &&
			rte_eth_dev_start(*id) == 0;
}

/* What is sent into a ring is received there, the very mbufs. */
static void
receive(uint16_t port, const struct ctx *x, uint32_t max_len)
{
	struct rte_mbuf *m[32], *got[32];
	unsigned int i;

	for (i = 0; i < RTE_DIM(m); i++)
		m[i] = fill(rte_pktmbuf_alloc(x->stock), i * 50, i);
	assert_int_equal(rte_eth_tx_burst(port, 0, m, RTE_DIM(m)), RTE_DIM(m));
	assert_int_equal(rte_eth_rx_burst(port, 0, got, RTE_DIM(m)), RTE_DIM(m));
	for (i = 0; i < RTE_DIM(m); i++) {
		assert_true(data_filled(got[i], i));
		assert_int_equal(got[i]->pkt_len, i * 50);
		if (got[i]->pkt_len <= max_len)
			assert_kept(x, got[i]);
		else
			assert_ptr_equal(got[i], m[i]);
	}
	rte_pktmbuf_free_bulk(got, RTE_DIM(m));
	assert_stock_back(x);
}

static void
assert_rx_fails(int ret, int err)
{
	assert_int_equal(ret, -err);
	assert_int_equal(rte_errno, err);
}

static void
test_rx(void **state)
{
	struct rte_mbuf *page[2 * PAGES + 1], *m;
	struct ctx x = make_ctx();
	uint16_t port;
	unsigned int n;

	(void)state;
	unit_require(port_start(x.stock, &port), "the driver net_ring");
	assert_rx_fails(ppool_keep_rx_remove(port, 0), ENOENT);
	assert_rx_fails(ppool_keep_rx_add(RTE_MAX_ETHPORTS, 0, x.mp, 256), ENODEV);
	assert_rx_fails(ppool_keep_rx_add(port, 7, x.mp, 256), EINVAL);
	assert_rx_fails(ppool_keep_rx_add(port, 0, x.stock, 256), ENOTSUP);
	assert_int_equal(ppool_keep_rx_add(port, 0, x.mp, 256), 0);
	assert_rx_fails(ppool_keep_rx_add(port, 0, x.mp, 512), EEXIST);
	receive(port, &x, 256);
	assert_int_equal(ppool_keep_rx_remove(port, 0), 0);
	m = fill(rte_pktmbuf_alloc(x.stock), 64, 1);
	assert_int_equal(rte_eth_tx_burst(port, 0, &m, 1), 1);
	assert_int_equal(rte_eth_rx_burst(port, 0, page, 1), 1);
	assert_ptr_equal(page[0], m);
	rte_pktmbuf_free(m);
	/* What cannot be moved is received all the same. */
	assert_int_equal(ppool_keep_rx_add(port, 0, x.mp, PPOOL_KEEP_ALL), 0);
	receive(port, &x, PPOOL_KEEP_ALL);
	n = take_pages(x.mp, page);
	m = fill(rte_pktmbuf_alloc(x.stock), 64, 1);
	assert_int_equal(rte_eth_tx_burst(port, 0, &m, 1), 1);
	assert_int_equal(rte_eth_rx_burst(port, 0, &page[n], 1), 1);
	assert_ptr_equal(page[n], m);
	rte_pktmbuf_free_bulk(page, n + 1);
	assert_int_equal(ppool_keep_rx_remove(port, 0), 0);
	assert_int_equal(rte_eth_dev_stop(port), 0);
}

static void
test_errors(void **state)
{
	struct ctx x = make_ctx();
	struct rte_mbuf *m = rte_pktmbuf_alloc(x.stock), *old = m;

	(void)state;
	assert_int_equal(ppool_keep(x.stock, &m, 1, PPOOL_KEEP_ALL), 0);
	assert_int_equal(rte_errno, ENOTSUP);
	assert_ptr_equal(m, old);
	/* Any mempool of a page pool will do. */
	assert_int_equal(ppool_keep(ppool_frag_pool(x.mp), &m, 1, PPOOL_KEEP_ALL), 1);
	assert_int_equal(ppool_keep(m->pool, &m, 1, PPOOL_KEEP_ALL), 1);
	rte_pktmbuf_free(m);
}

/* What the port and EAL keep of the first time is no loss. */
static int
setup_with_port(void **state)
{
	static bool done;
	struct rte_mempool *mp;
	uint16_t id;

	if (!done) {
		mp = rte_pktmbuf_pool_create("keep_warm_up", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
				SOCKET_ID_ANY);
		if (port_start(mp, &id))
			rte_eth_dev_stop(id);
		rte_mempool_free(mp);
		done = true;
	}
	return unit_setup(state);
}

/* The table of dynamic fields lasts. */
static int
setup_with_dynamic(void **state)
{
	static const struct rte_mbuf_dynfield field = {
		.name = "unit_keep_field", .size = 8, .align = 8
	};
	static const struct rte_mbuf_dynflag flag = { .name = "unit_keep_flag" };

	rte_mbuf_dynfield_register(&field);
	rte_mbuf_dynflag_register(&flag);
	return unit_setup(state);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_errors),
	UNIT_TEST(test_stock),
	UNIT_TEST(test_frags),
	UNIT_TEST(test_whole),
	UNIT_TEST(test_slots),
	UNIT_TEST(test_chain),
	UNIT_TEST(test_long),
	UNIT_TEST(test_long_segment),
	UNIT_TEST(test_private_area),
	UNIT_TEST(test_private_of_clone),
	cmocka_unit_test_setup_teardown(test_dynamic, setup_with_dynamic, unit_teardown),
	UNIT_TEST(test_external),
	UNIT_TEST(test_shared),
	UNIT_TEST(test_charged),
	UNIT_TEST(test_charged_chain),
	UNIT_TEST(test_two_accounts),
	UNIT_TEST(test_charged_clone),
	UNIT_TEST(test_charged_shared),
	UNIT_TEST(test_race),
	UNIT_TEST(test_exhausted),
	UNIT_TEST(test_larger),
	UNIT_TEST(test_long_exhausted),
	UNIT_TEST(test_bursts),
	UNIT_TEST(test_threads),
	cmocka_unit_test_setup_teardown(test_rx, setup_with_port, unit_teardown),
};

UNIT_SUITE(keep, "packets of any pool moved into slots of their size", tests);
