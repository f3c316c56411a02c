/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#define ALLOW_EXPERIMENTAL_API

#include <string.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_version.h>
#ifdef UNIT_PACKET_LIBS
#include <rte_gro.h>
#include <rte_ip_frag.h>
#include <rte_reorder.h>
#endif

#include "unit.h"

/*
 * An application that never heard of frags: it takes m->pool for a pool like any other, and it uses
 * DPDK's libraries and drivers. Whatever it does, nothing is lost.
 */

#define ROOM 4096
#define TIMES 100
#define LEN 300u
/* Such mbufs must not be attached to direct ones: the last two makers. */
#define MAKERS(make) (RTE_DIM(make) - (UNIT_EXTERNAL_AT_FIRST ? 2 : 0))
#define TAG 77u
#define BURST 32

struct ctx {
	struct rte_mempool *mp, *frag_pool, *stock;
	struct ppool_carver *c;
};

static struct ctx
make_ctx(unsigned int cache)
{
	struct ctx x;

	x.mp = unit_pool(255, ROOM, cache, 0);
	x.frag_pool = ppool_frag_pool(x.mp);
	x.stock = unit_stock_pool(511, RTE_MBUF_DEFAULT_BUF_SIZE);
	x.c = unit_carver(x.mp, 1500, 1);
	assert_non_null(x.frag_pool);
	return x;
}

static struct rte_mbuf *
fill(struct rte_mbuf *m, uint16_t len)
{
	assert_non_null(m);
	assert_non_null(rte_pktmbuf_append(m, len));
	unit_fill_data(m, TAG);
	return m;
}

static struct rte_mbuf *
receive(const struct ctx *x)
{
	return fill(ppool_carve(x->c, LEN), LEN);
}

static struct rte_mbuf *
receive_chain(const struct ctx *x)
{
	struct rte_mbuf *head = receive(x);
	unsigned int i;

	for (i = 0; i < 4; i++)
		assert_int_equal(rte_pktmbuf_chain(head, ppool_carve(x->c, LEN)), 0);
	return head;
}

static void
assert_nothing_lost(const struct ctx *x)
{
	assert_int_equal(unit_ledger(x->mp).frags, 0);
	assert_int_equal(rte_mempool_in_use_count(x->frag_pool), 0);
	assert_int_equal(rte_mempool_avail_count(x->stock), x->stock->size);
}

static struct rte_mbuf *
clone_of(struct rte_mbuf *m, struct rte_mempool *mp)
{
	struct rte_mbuf *clone = rte_pktmbuf_clone(m, mp);

	assert_non_null(clone);
	assert_int_equal(clone->pkt_len, m->pkt_len);
	return clone;
}

/* Free in the order of the digits; what is left keeps its contents. */
static void
free_in_order(struct rte_mbuf **m, const char *order)
{
	const char *c;

	for (; *order != '\0'; order++) {
		rte_pktmbuf_free(m[*order - '0']);
		for (c = order + 1; *c != '\0'; c++)
			assert_true(unit_filled(rte_pktmbuf_mtod(m[*c - '0'], void *), LEN, TAG));
	}
}

/* Clones into m->pool */

static void
exercise_clone(struct rte_mbuf *(*make)(const struct ctx *x), unsigned int cache)
{
	struct ctx x = make_ctx(cache);
	struct rte_mbuf *m[2];
	unsigned int i;

	for (i = 0; i < TIMES; i++) {
		m[0] = make(&x);
		m[1] = clone_of(m[0], m[0]->pool);
		free_in_order(m, i % 2 == 0 ? "01" : "10");
	}
	assert_nothing_lost(&x);
}

static struct rte_mbuf *
receive_whole(const struct ctx *x)
{
	return fill(rte_pktmbuf_alloc(x->frag_pool), LEN);
}

static struct rte_mbuf *
make_copy(const struct ctx *x)
{
	struct rte_mbuf *m = receive(x), *copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);

	assert_non_null(copy);
	rte_pktmbuf_free(m);
	return copy;
}

static struct rte_mbuf *
make_stock(const struct ctx *x)
{
	return fill(rte_pktmbuf_alloc(x->stock), LEN);
}

static void
test_clone(void **state)
{
	(void)state;
	exercise_clone(receive, 0);
	exercise_clone(receive, 32);
	exercise_clone(receive_chain, 0);
	exercise_clone(receive_whole, 0);
	exercise_clone(make_copy, 32);
}

static void
test_clone_of_clone(void **state)
{
	static const char * const orders[] = { "012", "021", "102", "120", "201", "210" };
	struct rte_mbuf *(* const make[])(const struct ctx *x) = { receive, receive_chain,
		receive_whole, make_copy, make_stock };
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m[3];
	unsigned int i, k;

	(void)state;
	for (i = 0; i < TIMES; i++)
		for (k = 0; k < MAKERS(make); k++) {
			m[0] = make[k](&x);
			m[1] = clone_of(m[0], x.frag_pool);
			m[2] = clone_of(m[1], m[1]->pool);
			free_in_order(m, orders[i % RTE_DIM(orders)]);
		}
	assert_nothing_lost(&x);
}

static int
free_mbuf(void *arg)
{
	rte_pktmbuf_free(arg);
	return 0;
}

/* The clone is what is left in the end: no carver, no other frag. */
static void
test_clone_outlives(void **state)
{
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m, *clone;
	unsigned int i;

	(void)state;
	for (i = 0; i < 2 + RTE_MIN(unit_workers(), 1u); i++) {
		m = receive_chain(&x);
		clone = clone_of(m, m->pool);
		rte_pktmbuf_free(m);
		unit_carver_free(x.c);
		assert_true(unit_filled(rte_pktmbuf_mtod(clone, void *), LEN, TAG));
		assert_int_equal(unit_ledger(x.mp).frags, 10);
		if (i == 0)
			rte_pktmbuf_free(clone);
		else if (i == 1)
			assert_int_equal(unit_on_thread(free_mbuf, clone), 0);
		else
			assert_int_equal(unit_on_lcore(0, free_mbuf, clone), 0);
		assert_nothing_lost(&x);
		x.c = unit_carver(x.mp, 1500, 1);
	}
}

/* Attach and detach by hand, of everything there is. */
static void
test_attach(void **state)
{
	struct rte_mbuf *(* const make[])(const struct ctx *x) = { receive, receive_whole,
		make_copy, make_stock };
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m, *mi;
	unsigned int i, k;

	(void)state;
	for (i = 0; i < TIMES; i++)
		for (k = 0; k < MAKERS(make); k++) {
			m = make[k](&x);
			mi = rte_pktmbuf_alloc(x.frag_pool);
			assert_non_null(mi);
			rte_pktmbuf_attach(mi, m);
			if (i % 2 == 0)
				rte_pktmbuf_free(m);
			assert_true(unit_filled_data(mi, TAG));
			if (i % 4 < 2) {
				rte_pktmbuf_detach(mi);
				fill(mi, 200);
			}
			if (i % 2 != 0)
				rte_pktmbuf_free(m);
			rte_pktmbuf_free(mi);
		}
	assert_nothing_lost(&x);
}

static void
count_free(void *addr, void *arg)
{
	(void)addr;
	++*(unsigned int *)arg;
}

/* The application's own buffer, in an mbuf from m->pool. */
static void
test_attach_extbuf(void **state)
{
	static char buf[2048];
	struct rte_mbuf_ext_shared_info shinfo;
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m[3];
	unsigned int i, freed = 0;

	(void)state;
	shinfo.free_cb = count_free;
	shinfo.fcb_opaque = &freed;
	for (i = 0; i < TIMES; i++) {
		m[0] = receive(&x);
		m[1] = rte_pktmbuf_alloc(m[0]->pool);
		assert_non_null(m[1]);
		rte_mbuf_ext_refcnt_set(&shinfo, 1);
		rte_pktmbuf_attach_extbuf(m[1], buf, RTE_BAD_IOVA, sizeof(buf), &shinfo);
		fill(m[1], LEN);
		m[2] = clone_of(m[1], m[0]->pool);
		free_in_order(m, i % 2 == 0 ? "012" : "201");
		assert_int_equal(freed, i + 1);
	}
	assert_nothing_lost(&x);
}

/* A copy is as good as an mbuf of a stock pool. */
static void
test_copy(void **state)
{
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m, *copy;
	unsigned int i;

	(void)state;
	for (i = 0; i < TIMES; i++) {
		m = receive_chain(&x);
		copy = rte_pktmbuf_copy(m, m->pool, 0, UINT32_MAX);
		assert_non_null(copy);
		rte_pktmbuf_free(m);
		assert_true(unit_filled_data(copy, TAG));
		assert_true(RTE_MBUF_DIRECT(copy) || UNIT_EXTERNAL_AT_FIRST);
		fill(copy, rte_pktmbuf_tailroom(copy));
		assert_non_null(rte_pktmbuf_prepend(copy, RTE_PKTMBUF_HEADROOM));
		rte_pktmbuf_free(copy);
	}
	assert_nothing_lost(&x);
}

/* Transmit functions that put all they have sent into the pool of the first (MBUF_FAST_FREE) */

#define MIXED 200u

static struct rte_mbuf *
make_any(const struct ctx *x, uint64_t *rng)
{
	struct rte_mempool *mono;
	struct rte_mbuf *m;

	switch (unit_range(rng, 0, 3)) {
	case 0:
		return receive_whole(x);
	case 1:
		return make_copy(x);
	case 2:
		m = receive_whole(x);
		mono = m->pool;
		rte_pktmbuf_free(m);
		return fill(rte_pktmbuf_alloc(mono), LEN);
	default:
		return receive(x);
	}
}

struct burst {
	struct rte_mempool *mp;
	struct rte_mbuf *m[MIXED];
	unsigned int n;
};

static int
put_burst(void *arg)
{
	struct burst *b = arg;

	unit_put_bulk(b->mp, (void **)b->m, b->n);
	return 0;
}

static void
test_fast_free(void **state)
{
	struct ctx x = make_ctx(0);
	uint64_t rng = unit_seed;
	uint16_t account[3];
	struct burst b;
	unsigned int i, k;

	(void)state;
	for (i = 0; i < RTE_DIM(account); i++)
		account[i] = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	for (i = 0; i < TIMES; i++) {
		b.n = unit_range(&rng, 1, MIXED);
		for (k = 0; k < b.n; k++) {
			b.m[k] = make_any(&x, &rng);
			if (unit_range(&rng, 0, 1) == 0)
				assert_int_equal(ppool_account_charge(account[k % 3], &b.m[k], 1),
						1);
		}
		assert_int_equal(unit_ledger(x.mp).frags, b.n);
		b.mp = b.m[0]->pool;
		if (i % 3 == 0)
			assert_int_equal(unit_on_thread(put_burst, &b), 0);
		else
			put_burst(&b);
		for (k = 0; k < RTE_DIM(account); k++)
			assert_int_equal(ppool_account_used(account[k]), 0);
		assert_nothing_lost(&x);
	}
}

/* Not even detached. */
static void
test_fast_free_attached(void **state)
{
	struct rte_mbuf *(* const make[])(const struct ctx *x) = { receive, receive_whole,
		make_copy, make_stock };
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m, *clone;
	unsigned int i;

	(void)state;
	for (i = 0; i < TIMES; i++) {
		m = make[i % MAKERS(make)](&x);
		clone = clone_of(m, x.frag_pool);
		if (i % 3 == 0)
			rte_pktmbuf_free(m);
		unit_put_bulk(i % 2 == 0 ? x.frag_pool : clone->pool, (void **)&clone, 1);
		if (i % 3 != 0)
			rte_pktmbuf_free(m);
	}
	assert_nothing_lost(&x);
}

/* What m->pool says about itself, and what a charge does to what is allocated from it. */
static void
test_pool(void **state)
{
	struct ctx x = make_ctx(0);
	uint16_t account = unit_account(PPOOL_ACCOUNT_UNLIMITED);
	struct rte_mbuf *m = receive_whole(&x), *same = rte_pktmbuf_alloc(m->pool);
	struct ppool_account_stats stats;
	uint64_t frags, bytes;
	struct rte_mbuf *both[] = { m, same };
	struct ppool_layout layout;

	(void)state;
	assert_non_null(same);
	assert_ptr_equal(same->pool, m->pool);
	assert_ptr_equal(ppool_frag_pool(m->pool), x.frag_pool);
	assert_false(ppool_is_frag_pool(m->pool));
	assert_false(ppool_is_page_pool(m->pool));
	assert_int_equal(rte_mempool_in_use_count(x.frag_pool), 2);
	assert_int_equal(ppool_layout_get(m->pool, &layout), 0);
	assert_true(ppool_mbuf_truesize(m) >= layout.page_bytes + layout.slot_bytes);
	assert_int_equal(ppool_account_charge(account, both, 2), 2);
	assert_int_equal(ppool_account_of(m), account);
	assert_int_equal(ppool_account_used(account),
			ppool_mbuf_truesize(m) + ppool_mbuf_truesize(same));
	assert_int_equal(ppool_account_stats_get(account, &stats), 0);
	assert_int_equal(ppool_account_frags_get(account, &frags, &bytes), 0);
	assert_int_equal(frags, 2);
	assert_int_equal(stats.foreign, 0);
	assert_int_equal(ppool_account_uncharge(account, both, 1), 1);
	assert_int_equal(ppool_account_of(m), PPOOL_ACCOUNT_NONE);
	rte_pktmbuf_free(same);
	assert_int_equal(ppool_account_used(account), 0);
	rte_pktmbuf_free(m);
	assert_nothing_lost(&x);
}

/* It is seen, and ignored. */
static void
test_put_twice(void **state)
{
	struct rte_mempool *mono;
	struct rte_mbuf *m;
	struct ctx x;

	(void)state;
	unit_require(!unit_debug_build(), "a library built without -Dppool_debug=true");
	x = make_ctx(0);
	m = receive_whole(&x);
	mono = m->pool;
	rte_pktmbuf_free(m);
	unit_put_bulk(mono, (void **)&m, 1);
	assert_nothing_lost(&x);
}

/* A page that comes back is an ordinary object, whatever was done to it. */
static void
test_ordinary_again(void **state)
{
	struct ctx x = make_ctx(0);
	struct rte_mbuf *m[255];
	unsigned int i, n;

	(void)state;
	for (i = 0; i < TIMES; i++) {
		m[0] = receive(&x);
		m[1] = clone_of(m[0], m[0]->pool);
		memset(rte_mbuf_to_priv(m[1]), 0xff, m[1]->priv_size);
		free_in_order(m, "01");
	}
	unit_carver_free(x.c);
	rte_mempool_avail_count(x.mp);
	for (n = 0; n < RTE_DIM(m) && (m[n] = rte_pktmbuf_alloc(x.mp)) != NULL; n++) {
		assert_ptr_equal(m[n]->pool, x.mp);
		assert_int_equal(m[n]->buf_len, ROOM);
		assert_int_equal(m[n]->priv_size, 0);
		assert_ptr_equal(m[n]->buf_addr, m[n] + 1);
		if (rte_mbuf_iova_get(m[n]) != RTE_BAD_IOVA)
			assert_int_equal(rte_mbuf_iova_get(m[n]),
					rte_mempool_virt2iova(m[n]) + sizeof(*m[n]));
	}
	assert_int_equal(n, 255);
	rte_pktmbuf_free_bulk(m, n);
}

/* DPDK's libraries for packets */

#ifdef UNIT_PACKET_LIBS

#define PAYLOAD 1200u
#define MTU 576

/* A packet that starts with its IPv4 header. */
static struct rte_mbuf *
receive_ipv4(const struct ctx *x, uint8_t proto, uint16_t payload)
{
	struct rte_mbuf *m = ppool_carve(x->c, 1400);
	struct rte_ipv4_hdr *ip;

	assert_non_null(m);
	assert_non_null(rte_pktmbuf_append(m, sizeof(*ip) + payload));
	ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);
	memset(ip, 0, sizeof(*ip));
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip) + payload));
	ip->time_to_live = 64;
	ip->next_proto_id = proto;
	ip->src_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 1));
	ip->dst_addr = rte_cpu_to_be_32(RTE_IPV4(10, 0, 0, 2));
	unit_fill(ip + 1, payload, TAG);
	m->l3_len = sizeof(*ip);
	return m;
}

/* Gives the fragments of a packet that is gone. */
static unsigned int
fragment(const struct ctx *x, struct rte_mbuf **out, unsigned int max)
{
	struct rte_mbuf *m = receive_ipv4(x, IPPROTO_UDP, PAYLOAD);
	int n = rte_ipv4_fragment_packet(m, out, (uint16_t)max, MTU, m->pool, m->pool);

	assert_in_range(n, 3, max);
	rte_pktmbuf_free(m);
	return (unsigned int)n;
}

static void
test_ip_fragment(void **state)
{
	struct ctx x = make_ctx(0);
	uint64_t rng = unit_seed;
	struct rte_mbuf *out[8];
	unsigned int i, k, n;
	uint32_t bytes;

	(void)state;
	for (i = 0; i < TIMES; i++) {
		n = fragment(&x, out, RTE_DIM(out));
		bytes = 0;
		for (k = 0; k < n; k++)
			bytes += out[k]->pkt_len - sizeof(struct rte_ipv4_hdr);
		assert_int_equal(bytes, PAYLOAD);
		unit_shuffle((void **)out, n, &rng);
		rte_pktmbuf_free_bulk(out, n);
	}
	assert_nothing_lost(&x);
}

static void
test_ip_reassemble(void **state)
{
	struct rte_ip_frag_tbl *table = rte_ip_frag_table_create(16, 4, 64, rte_get_tsc_hz(), 0);
	struct rte_ip_frag_death_row row = { .cnt = 0 };
	struct ctx x = make_ctx(0);
	uint64_t rng = unit_seed;
	struct rte_mbuf *out[8], *whole;
	unsigned int i, k, n;

	(void)state;
	assert_non_null(table);
	for (i = 0; i < TIMES; i++) {
		n = fragment(&x, out, RTE_DIM(out));
		unit_shuffle((void **)out, n, &rng);
		for (k = 0, whole = NULL; k < n; k++) {
			assert_null(whole);
			out[k]->l2_len = 0;
			out[k]->l3_len = sizeof(struct rte_ipv4_hdr);
			whole = rte_ipv4_frag_reassemble_packet(table, &row, out[k], rte_rdtsc(),
					rte_pktmbuf_mtod(out[k], struct rte_ipv4_hdr *));
		}
		assert_non_null(whole);
		assert_int_equal(whole->pkt_len, PAYLOAD + sizeof(struct rte_ipv4_hdr));
		assert_int_equal(rte_pktmbuf_linearize(whole), 0);
		assert_true(unit_filled(rte_pktmbuf_mtod_offset(whole, void *,
							sizeof(struct rte_ipv4_hdr)),
				PAYLOAD, TAG));
		rte_pktmbuf_free(whole);
	}
	rte_ip_frag_free_death_row(&row, 0);
	rte_ip_frag_table_destroy(table);
	assert_nothing_lost(&x);
}

#define SEGMENTS 8u

/* One of several segments of a TCP connection. */
static struct rte_mbuf *
receive_tcp(const struct ctx *x, uint32_t seq)
{
	struct rte_mbuf *m = receive_ipv4(x, IPPROTO_TCP, sizeof(struct rte_tcp_hdr) + LEN);
	struct rte_tcp_hdr *tcp = rte_pktmbuf_mtod_offset(m, struct rte_tcp_hdr *, m->l3_len);
	struct rte_ether_hdr *eth;

	/* Else numbers in the IP header must be in order. */
	rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *)->fragment_offset =
			rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG);
	memset(tcp, 0, sizeof(*tcp));
	tcp->sent_seq = rte_cpu_to_be_32(seq);
	tcp->data_off = sizeof(*tcp) / 4 << 4;
	tcp->tcp_flags = RTE_TCP_ACK_FLAG;
	unit_fill(tcp + 1, LEN, TAG);
	assert_non_null(rte_pktmbuf_prepend(m, sizeof(*eth)));
	eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	memset(eth, 0, sizeof(*eth));
	eth->ether_type = rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4);
	m->l2_len = sizeof(*eth);
	m->l4_len = sizeof(*tcp);
	m->packet_type = RTE_PTYPE_L2_ETHER | RTE_PTYPE_L3_IPV4 | RTE_PTYPE_L4_TCP;
	return m;
}

static void
test_gro(void **state)
{
	const struct rte_gro_param param = {
		.gro_types = RTE_GRO_TCP_IPV4,
		.max_flow_num = 4,
		.max_item_per_flow = SEGMENTS,
	};
	struct rte_mbuf *m[SEGMENTS], *clone;
	struct ctx x = make_ctx(0);
	unsigned int i, k;

	(void)state;
	for (i = 0; i < TIMES; i++) {
		for (k = 0; k < SEGMENTS; k++) {
			m[k] = receive_tcp(&x, k * LEN);
			if (k % 3 != 1)
				continue;
			/* Others hold it, too. */
			clone = clone_of(m[k], m[k]->pool);
			rte_pktmbuf_free(m[k]);
			m[k] = clone;
		}
		assert_int_equal(rte_gro_reassemble_burst(m, SEGMENTS, &param), 1);
		assert_int_equal(m[0]->nb_segs, SEGMENTS);
		clone = clone_of(m[0], x.frag_pool);
		rte_pktmbuf_free(m[0]);
		rte_pktmbuf_free(clone);
	}
	assert_nothing_lost(&x);
}

static void
test_reorder(void **state)
{
	struct rte_reorder_buffer *b = rte_reorder_create(unit_name(), 0, 64);
	struct rte_mbuf *m[BURST], *out[BURST];
	struct ctx x = make_ctx(0);
	uint64_t rng = unit_seed;
	uint32_t seq = 0;
	unsigned int i, k;

	(void)state;
	assert_non_null(b);
	for (i = 0; i < TIMES; i++) {
		for (k = 0; k < BURST; k++) {
			m[k] = make_any(&x, &rng);
			*rte_reorder_seqn(m[k]) = seq++;
		}
		/* The first one says where the numbers start. */
		unit_shuffle((void **)(m + 1), BURST - 1, &rng);
		for (k = 0; k < BURST; k++)
			assert_int_equal(rte_reorder_insert(b, m[k]), 0);
		assert_int_equal(rte_reorder_drain(b, out, BURST), BURST);
		for (k = 1; k < BURST; k++)
			assert_int_equal(*rte_reorder_seqn(out[k]), *rte_reorder_seqn(out[0]) + k);
		rte_pktmbuf_free_bulk(out, BURST);
	}
	for (k = 0; k < BURST; k++) {
		m[k] = receive(&x);
		*rte_reorder_seqn(m[k]) = seq++;
		assert_int_equal(rte_reorder_insert(b, m[k]), 0);
	}
	/* Frees what is left in it. */
	rte_reorder_free(b);
	assert_nothing_lost(&x);
}

#endif /* UNIT_PACKET_LIBS */

/* DPDK's drivers, made once for all tests: EAL keeps some memory of theirs. */

#define RING_NAME "net_ring_unit"
#define NULL_NAME "net_null_unit"
#define PCAP_NAME "net_pcap_unit"
#define PCAP_ARGS "tx_pcap=/dev/null"
#define BOND_NAME "net_bonding_unit"
#define MEMBER_NAME "net_null_unit_"
/* How the members of a bond are given. */
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
#define MEMBER "member"
#else
#define MEMBER "slave"
#endif
#define BOND_ARGS "mode=3," MEMBER "=" MEMBER_NAME "0," MEMBER "=" MEMBER_NAME "1"
#define DESCRIPTORS 512

static bool
port_make(const char *name, const char *args)
{
	uint16_t id;

	return rte_eth_dev_get_port_by_name(name, &id) == 0 ||
			rte_eal_hotplug_add("vdev", name, args) == 0;
}

static bool
port_start(const char *name, struct rte_mempool *mp, uint16_t *id)
{
	struct rte_eth_conf conf;

	memset(&conf, 0, sizeof(conf));
	return rte_eth_dev_get_port_by_name(name, id) == 0 &&
			rte_eth_dev_configure(*id, 1, 1, &conf) == 0 &&
			rte_eth_rx_queue_setup(*id, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL, mp) == 0 &&
			rte_eth_tx_queue_setup(*id, 0, DESCRIPTORS, SOCKET_ID_ANY, NULL) == 0 &&
			rte_eth_dev_start(*id) == 0;
}

/* Sends packets of all kinds; returns how many the port took. The rest is freed. */
static unsigned int
send_mixed(const struct ctx *x, uint16_t port, uint64_t *rng)
{
	struct rte_mbuf *m[BURST];
	unsigned int i, n, sent;

	n = unit_range(rng, 1, RTE_DIM(m));
	for (i = 0; i < n; i++) {
		m[i] = unit_range(rng, 0, 4) == 0 ? receive_chain(x) : make_any(x, rng);
		if (unit_range(rng, 0, 4) == 0) {
			struct rte_mbuf *clone = clone_of(m[i], m[i]->pool);

			rte_pktmbuf_free(m[i]);
			m[i] = clone;
		}
	}
	sent = rte_eth_tx_burst(port, 0, m, (uint16_t)n);
	rte_pktmbuf_free_bulk(m + sent, n - sent);
	return sent;
}

/* A port that has sent all before it returns. */
static void
exercise_port(const char *name)
{
	struct ctx x = make_ctx(32);
	uint64_t rng = unit_seed;
	unsigned int i, sent = 0;
	uint16_t port;

	assert_true(port_start(name, x.stock, &port));
	/* A bond looks for its members from time to time. */
	unit_wait_link(port, RTE_ETH_LINK_UP);
	for (i = 0; i < TIMES; i++)
		sent += send_mixed(&x, port, &rng);
	assert_true(sent >= TIMES);
	assert_int_equal(rte_eth_dev_stop(port), 0);
	assert_nothing_lost(&x);
}

static void
test_null_port(void **state)
{
	(void)state;
	unit_require(port_make(NULL_NAME, ""), "the driver net_null");
	exercise_port(NULL_NAME);
}

static void
test_pcap_port(void **state)
{
	(void)state;
	unit_require(port_make(PCAP_NAME, PCAP_ARGS), "the driver net_pcap");
	exercise_port(PCAP_NAME);
}

/* What is sent into a ring is received there, the very mbufs. */
static void
port_drain(uint16_t port, unsigned int n)
{
	struct rte_mbuf *m[BURST];
	unsigned int i, k;

	while (n > 0) {
		k = rte_eth_rx_burst(port, 0, m, BURST);
		assert_in_range(k, 1, n);
		for (i = 0; i < k; i++)
			assert_true(unit_filled(rte_pktmbuf_mtod(m[i], void *), LEN, TAG));
		rte_pktmbuf_free_bulk(m, k);
		n -= k;
	}
}

static void
test_ring_port(void **state)
{
	struct ctx x;
	uint64_t rng = unit_seed;
	unsigned int i;
	uint16_t port;

	(void)state;
	unit_require(port_make(RING_NAME, ""), "the driver net_ring");
	x = make_ctx(32);
	assert_true(port_start(RING_NAME, x.stock, &port));
	for (i = 0; i < TIMES; i++)
		port_drain(port, send_mixed(&x, port, &rng));
	assert_int_equal(rte_eth_dev_stop(port), 0);
	assert_nothing_lost(&x);
}

/* Mode 3 sends every packet through every member: by its reference count, there is no clone. */
static void
test_bonding(void **state)
{
	(void)state;
	unit_require(port_make(BOND_NAME, BOND_ARGS), "the driver net_bonding");
	exercise_port(BOND_NAME);
}

/* What ports and EAL keep of the first time is no loss. */
static int
setup_with_ports(void **state)
{
	static const struct {
		const char *name, *args;
	} ports[] = {
		{ NULL_NAME, "" },
		{ PCAP_NAME, PCAP_ARGS },
		{ RING_NAME, "" },
		{ MEMBER_NAME "0", "" },
		{ MEMBER_NAME "1", "" },
		{ BOND_NAME, BOND_ARGS },
	};
	static bool done;
	struct rte_mempool *mp;
	unsigned int i;
	uint16_t id;

	if (done)
		return unit_setup(state);
	done = true;
	mp = rte_pktmbuf_pool_create("unaware_warm_up", 255, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
			SOCKET_ID_ANY);
	for (i = 0; i < RTE_DIM(ports); i++)
		if (port_make(ports[i].name, ports[i].args) && port_start(ports[i].name, mp, &id))
			rte_eth_dev_stop(id);
	rte_mempool_free(mp);
#ifdef UNIT_PACKET_LIBS
	rte_reorder_free(rte_reorder_create("unaware_warm_up", 0, 64));
#endif
	return unit_setup(state);
}

#define PORT_TEST(f) cmocka_unit_test_setup_teardown(f, setup_with_ports, unit_teardown)

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_clone),
	UNIT_TEST(test_clone_of_clone),
	UNIT_TEST(test_clone_outlives),
	UNIT_TEST(test_attach),
	UNIT_TEST(test_attach_extbuf),
	UNIT_TEST(test_copy),
	UNIT_TEST(test_fast_free),
	UNIT_TEST(test_fast_free_attached),
	UNIT_TEST(test_pool),
	UNIT_TEST(test_put_twice),
	UNIT_TEST(test_ordinary_again),
#ifdef UNIT_PACKET_LIBS
	PORT_TEST(test_ip_fragment),
	PORT_TEST(test_ip_reassemble),
	PORT_TEST(test_gro),
	PORT_TEST(test_reorder),
#endif
	PORT_TEST(test_null_port),
	PORT_TEST(test_pcap_port),
	PORT_TEST(test_ring_port),
	PORT_TEST(test_bonding),
};

UNIT_SUITE(unaware, "an application that knows nothing of frags, with DPDK's libraries", tests);
