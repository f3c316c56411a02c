/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * The way of a packet, copied into a slot before if the user says so:
 *
 *   find its flow -> charge it to the holder of that flow -> hold it -> flow is idle or deep:
 *                                 |                                     deliver all of it
 *                                 '-- refused: drop the oldest of this holder, or this one
 *
 * A flow begins with the holder of new ones; with its fourth packet it is handed over to that of
 * its protocol. All of this is done by one lcore.
 */

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_hash.h>
#include <rte_jhash.h>
#include <rte_malloc.h>
#include <rte_tailq.h>

#include <ppool_account.h>
#include <ppool_carver.h>
#include <ppool_compact.h>
#include <ppool_keep.h>
#include <ppool_mark.h>

#include "flow_key.h"
#include "hold.h"

#define FLOWS_MAX 65536u
#define ESTABLISHED 4u  /* packets of a flow after which it is no new one */
#define COMPACT_FROM 75 /* per cent of the pool in use from which on to compact */
#define COMPACT_TO 70   /* and below which no longer */
#define YOUNG_MS 100    /* pages that compaction leaves alone */

struct flow {
	TAILQ_ENTRY(flow) by_age;
	struct flow_key key;
	struct holder *holder;
	struct packet_list held; /* in order of arrival */
	uint32_t nb_held;
	uint32_t received;
	uint64_t last_seen; /* TSC */
};

/*
 * A packet that is held. Its mbuf is mbufs[] at the index that this has in packets[]: nothing else
 * points to mbufs, so that compaction may replace them.
 */
struct packet {
	TAILQ_ENTRY(packet) by_holder; /* or among those unused */
	TAILQ_ENTRY(packet) by_flow;
	struct flow *flow;
	struct holder *holder;
};

/* Packets of a burst that one holder shall hold. */
struct batch {
	struct rte_mbuf *m[HOLD_BURST];
	struct flow *flow[HOLD_BURST];
	unsigned int n;
};

struct holder holders[NB_HOLDERS] = {
	[NEW] = { .name = "new", .limit = 16 << 20 },
	[TCP] = { .name = "tcp", .limit = 64 << 20 },
	[UDP] = { .name = "udp", .limit = 16 << 20 },
	[OTHER] = { .name = "other", .limit = 4 << 20 },
};

static struct hold_conf conf;
static struct rte_mempool *pool;
static struct ppool_carver *carver; /* where compaction puts packets */
static struct rte_mbuf *reserve[2]; /* pages that compaction begins with: data, headers */
static struct ppool_mark *mark;     /* high while the pool is short of pages */
static int64_t compacted;

static struct rte_hash *flow_table;
static struct flow *flows; /* at the index that the table gives */
static TAILQ_HEAD(, flow) by_age = TAILQ_HEAD_INITIALIZER(by_age); /* idle longest comes first */

static struct packet *packets;
static struct rte_mbuf **mbufs; /* NULL: unused */
static uint32_t nb_packets;     /* of both */
static struct packet_list unused = TAILQ_HEAD_INITIALIZER(unused);

/* Packets */

/* Hold a packet that was charged. There is a struct packet for all that budgets can pay for. */
static void
packet_add(struct holder *h, struct flow *f, struct rte_mbuf *m)
{
	struct packet *p = TAILQ_FIRST(&unused);

	TAILQ_REMOVE(&unused, p, by_holder);
	mbufs[p - packets] = m;
	p->flow = f;
	p->holder = h;
	TAILQ_INSERT_TAIL(&f->held, p, by_flow);
	TAILQ_INSERT_TAIL(&h->held, p, by_holder);
	f->nb_held++;
	h->nb_held++;
}

/*
 * Hold a packet no longer. A frag or a slot knows its account: whoever frees it, here or the driver
 * that has transmitted it, takes it off. Mbufs of drivers that know no frags are whole pages and do
 * not.
 */
static struct rte_mbuf *
packet_remove(struct packet *p)
{
	struct rte_mbuf *m = mbufs[p - packets];

	TAILQ_REMOVE(&p->flow->held, p, by_flow);
	TAILQ_REMOVE(&p->holder->held, p, by_holder);
	p->flow->nb_held--;
	p->holder->nb_held--;
	if (ppool_account_of(m) == PPOOL_ACCOUNT_NONE)
		ppool_account_uncharge(p->holder->account, &m, 1);
	mbufs[p - packets] = NULL;
	TAILQ_INSERT_HEAD(&unused, p, by_holder);
	return m;
}

/* Charge a packet to another holder. */
static bool
packet_move(struct packet *p, struct holder *to)
{
	if (ppool_account_move(p->holder->account, to->account, &mbufs[p - packets], 1) == 0)
		return false;
	TAILQ_REMOVE(&p->holder->held, p, by_holder);
	p->holder->nb_held--;
	p->holder = to;
	TAILQ_INSERT_TAIL(&to->held, p, by_holder);
	to->nb_held++;
	return true;
}

/* An account refused a packet. Whether to try again: something of the same account was dropped. */
static bool
make_room(struct holder *h)
{
	struct packet *oldest = TAILQ_FIRST(&h->held);

	h->refusals++;
	if (conf.drop_new || oldest == NULL) {
		h->dropped_new++;
		return false;
	}
	h->dropped_oldest++;
	rte_pktmbuf_free(packet_remove(oldest));
	return true;
}

/* Flows */

/* All packets of a flow together: here an application looks at them, stores them, sends them. */
static void
flow_deliver(struct flow *f)
{
	struct rte_mbuf *m[HOLD_BURST];
	struct packet *p;
	unsigned int n = 0;

	while ((p = TAILQ_FIRST(&f->held)) != NULL) {
		p->holder->delivered++;
		m[n++] = packet_remove(p);
		if (n == HOLD_BURST || f->nb_held == 0) {
			rte_pktmbuf_free_bulk(m, n);
			n = 0;
		}
	}
}

static void
flow_end(struct flow *f)
{
	flow_deliver(f);
	TAILQ_REMOVE(&by_age, f, by_age);
	rte_hash_del_key(flow_table, &f->key);
}

/* A full table loses the flow that has been idle longest, never one of this burst. */
static struct flow *
flow_begin(const struct flow_key *key)
{
	struct flow *f;
	int32_t i;

	while ((i = rte_hash_add_key(flow_table, key)) == -ENOSPC)
		flow_end(TAILQ_FIRST(&by_age));
	f = &flows[i];
	*f = (struct flow){ .key = *key, .holder = &holders[NEW] };
	TAILQ_INIT(&f->held);
	TAILQ_INSERT_TAIL(&by_age, f, by_age);
	return f;
}

static struct flow *
flow_of(const struct rte_mbuf *m, uint64_t now)
{
	struct flow_key key;
	struct flow *f;
	int32_t i;

	flow_key_read(m, &key);
	i = rte_hash_lookup(flow_table, &key);
	f = i < 0 ? flow_begin(&key) : &flows[i];
	TAILQ_REMOVE(&by_age, f, by_age);
	TAILQ_INSERT_TAIL(&by_age, f, by_age);
	f->last_seen = now;
	f->received++;
	return f;
}

/* Hand a flow over to the holder of its protocol, where its packets are as new ones. */
static void
flow_establish(struct flow *f)
{
	struct holder *to = &holders[OTHER];
	struct packet *p, *next;

	if (f->key.proto == IPPROTO_TCP)
		to = &holders[TCP];
	else if (f->key.proto == IPPROTO_UDP)
		to = &holders[UDP];
	f->holder = to;
	RTE_TAILQ_FOREACH_SAFE(p, &f->held, by_flow, next) {
		while (!packet_move(p, to)) {
			if (make_room(to))
				continue;
			rte_pktmbuf_free(packet_remove(p));
			break;
		}
	}
}

/* The work */

/* Charge and hold packets. Then their flows may have so many that something is to be done. */
static void
hold(struct holder *h, const struct batch *b)
{
	unsigned int i = 0, end;

	while (i < b->n) {
		end = i + ppool_account_charge(h->account, b->m + i, b->n - i);
		for (; i < end; i++)
			packet_add(h, b->flow[i], b->m[i]);
		if (i < b->n && !make_room(h))
			rte_pktmbuf_free(b->m[i++]);
	}
	for (i = 0; i < b->n; i++) {
		if (b->flow[i]->holder == &holders[NEW] && b->flow[i]->received >= ESTABLISHED)
			flow_establish(b->flow[i]);
		if (b->flow[i]->nb_held >= conf.depth)
			flow_deliver(b->flow[i]);
	}
}

/* One charge for each holder. What finds no slot is held, and charged for, as it came. */
void
hold_burst(struct rte_mbuf **m, uint16_t n, uint64_t tsc)
{
	struct batch batch[NB_HOLDERS], *b;
	struct flow *f;
	uint16_t i;

	if (conf.keep)
		ppool_keep(pool, m, n, PPOOL_KEEP_ALL);
	for (i = 0; i < NB_HOLDERS; i++)
		batch[i].n = 0;
	for (i = 0; i < n; i++) {
		f = flow_of(m[i], tsc);
		b = &batch[f->holder - holders];
		b->m[b->n] = m[i];
		b->flow[b->n++] = f;
	}
	for (i = 0; i < NB_HOLDERS; i++)
		hold(&holders[i], &batch[i]);
}

/* Where nothing is free, compaction has nowhere to move the first packets to. */
static int
reserve_pages(void)
{
	int ret = rte_pktmbuf_alloc_bulk(pool, reserve, RTE_DIM(reserve));

	if (ret != 0)
		memset(reserve, 0, sizeof(reserve));
	return ret;
}

static int
watch_pool(void)
{
	uint64_t bytes = (uint64_t)pool->size *
			(pool->header_size + pool->elt_size + pool->trailer_size);
	struct ppool_mark_conf marks = {
		.high = bytes * COMPACT_FROM / 100,
		.low = bytes * COMPACT_TO / 100,
	};

	mark = ppool_mark_pool(pool, &marks);
	return mark == NULL ? -rte_errno : 0;
}

/* Packets held for long keep pages from being used that have little else in them. */
static void
compact(uint64_t tsc)
{
	static const struct ppool_compact_conf how = { .min_age = YOUNG_MS };
	static uint64_t not_before;
	struct ppool_compact_result result = { .released = 0 };

	if (tsc < not_before || ppool_mark_state(mark) == PPOOL_MARK_LOW)
		return;
	rte_pktmbuf_free_bulk(reserve, RTE_DIM(reserve));
	ppool_compact(carver, mbufs, nb_packets, &how, &result);
	reserve_pages();
	compacted += result.released;
	if (result.released <= 0)
		not_before = tsc + rte_get_tsc_hz();
}

void
hold_tick(uint64_t tsc)
{
	uint64_t idle = conf.idle_ms * rte_get_tsc_hz() / 1000;
	struct flow *f;

	while ((f = TAILQ_FIRST(&by_age)) != NULL && tsc - f->last_seen > idle)
		flow_end(f);
	compact(tsc);
}

int64_t
hold_compacted(void)
{
	return compacted;
}

/* Beginning and end */

uint64_t
hold_budgets(void)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < NB_HOLDERS; i++)
		sum += holders[i].limit;
	return sum;
}

static int
create_accounts(void)
{
	struct holder *h;

	for (h = holders; h < holders + NB_HOLDERS; h++) {
		TAILQ_INIT(&h->held);
		h->account = ppool_account_create(h->name, h->limit);
		if (h->account == PPOOL_ACCOUNT_NONE)
			return -rte_errno;
	}
	return 0;
}

static int
create_flows(void)
{
	const struct rte_hash_parameters params = {
		.name = "flows",
		.entries = FLOWS_MAX,
		.key_len = sizeof(struct flow_key),
		.hash_func = rte_jhash,
		.socket_id = (int)rte_socket_id(),
		.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE, /* it takes all entries */
	};

	flow_table = rte_hash_create(&params);
	if (flow_table == NULL)
		return -rte_errno;
	flows = rte_calloc("flows", rte_hash_max_key_id(flow_table) + 1, sizeof(*flows), 0);
	return flows == NULL ? -ENOMEM : 0;
}

/* As many as the budgets can pay for: each is charged for a header and a piece of a page. */
static int
create_packets(void)
{
	struct ppool_layout layout;
	uint32_t i;
	int ret;

	ret = ppool_layout_get(pool, &layout);
	if (ret != 0)
		return ret;
	nb_packets = (uint32_t)(hold_budgets() / (layout.slot_bytes + PPOOL_FRAG_ALIGN));
	packets = rte_calloc("packets", nb_packets, sizeof(*packets), 0);
	mbufs = rte_calloc("mbufs", nb_packets, sizeof(*mbufs), 0);
	if (packets == NULL || mbufs == NULL)
		return -ENOMEM;
	for (i = 0; i < nb_packets; i++)
		TAILQ_INSERT_TAIL(&unused, &packets[i], by_holder);
	return 0;
}

/* For any frame of standard length, headroom included. */
static int
create_carver(void)
{
	const struct ppool_carver_conf carver_conf = {
		.max_len = RTE_MBUF_DEFAULT_BUF_SIZE,
		.nb_lanes = 1,
		.port = RTE_MBUF_PORT_INVALID,
		.socket_id = SOCKET_ID_ANY,
	};

	carver = ppool_carver_create(pool, &carver_conf);
	return carver == NULL ? -rte_errno : 0;
}

int
hold_start(struct rte_mempool *mp, const struct hold_conf *hold_conf)
{
	int ret;

	pool = mp;
	conf = *hold_conf;
	ret = create_accounts();
	if (ret == 0)
		ret = create_flows();
	if (ret == 0)
		ret = create_packets();
	if (ret == 0)
		ret = create_carver();
	if (ret == 0)
		ret = reserve_pages();
	if (ret == 0)
		ret = watch_pool();
	return ret;
}

/* 1 where something is charged to it, which nobody holds. */
static int
release_account(const struct holder *h)
{
	uint64_t used = ppool_account_used(h->account);

	if (ppool_account_free(h->account) == 0)
		return 0;
	printf("account %s: %" PRIu64 " bytes are charged for nothing\n", h->name, used);
	return 1;
}

int
hold_stop(void)
{
	struct holder *h;
	int charged = 0;

	while (!TAILQ_EMPTY(&by_age))
		flow_end(TAILQ_FIRST(&by_age));
	for (h = holders; h < holders + NB_HOLDERS; h++)
		charged += release_account(h);
	rte_pktmbuf_free_bulk(reserve, RTE_DIM(reserve));
	ppool_carver_free(carver);
	ppool_mark_remove(mark);
	rte_hash_free(flow_table);
	rte_free(flows);
	rte_free(packets);
	rte_free(mbufs);
	return charged;
}
