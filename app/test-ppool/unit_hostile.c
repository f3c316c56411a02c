/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>

#include <rte_launch.h>

#include <ppool_create.h>

#include "dut.h"

/*
 * A back end that breaks every rule at random, on every way to receive: wrong descriptors, lengths
 * and counts, indexes that jump, entries and headers that change while the driver looks at them,
 * rubbish in all rings and in whatever is posted. The driver neither touches memory that is not its
 * own nor delivers what is no packet nor loses a byte, and works again after a restart.
 *
 * In steps, one thread is both sides in turn. Whenever the driver has nothing left to look at, the
 * back end knows what it may write to, and no packet that was delivered may change. In a race, it
 * works on an lcore of its own and keeps changing what it has published.
 */

/*
 * Used entries in steps of all paths together that have one layout of rings, where the environment
 * has PPFRAG_LONG=1.
 */
#define LONG_ENTRIES UINT64_C(10000000)
/* Of one path, else. */
#define SHORT_ENTRIES UINT64_C(20000)
/* A race takes its time where others use the CPUs, too: so many fewer. */
#define RACE_SHARE 10

#define HELD_MAX 8192
#define BURST 64
#define ENTRIES_MAX 96 /* of a round */
#define STUCK_POLLS 40
#define RETRY_POLLS 16
#define XSTATS_MAX 64
#define MARK_LEN 128u
#define FLIPS 256 /* before others may have the CPU */
#define RESTART_ROUNDS 32
#define STOPPED_ROUNDS 4
#define DESC_INDIRECT 4u
#define DRY_ROUNDS 64

struct path {
	const char *name;
	struct dut_conf conf;
};

/* All receive offloads, so that the headers are looked at. */
#define OFFLOADS \
	.features = UINT64_C(0x182), \
	.rx_offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM | RTE_ETH_RX_OFFLOAD_TCP_LRO | \
			RTE_ETH_RX_OFFLOAD_VLAN_STRIP

/* A back end that is bound to work in order. */
#define IN_ORDER \
	.devargs = "in_order=1,event_idx=1", .features = VHOST_F_IN_ORDER | VHOST_F_EVENT_IDX

/* One that says where it is to be woken. */
#define EVENT_IDX .devargs = "event_idx=1", .features = VHOST_F_EVENT_IDX

/* One that has tables of descriptors, for the chains that it gets back. */
#define INDIRECT .ring = 64, .scatter = true, .mtu = 9000, .features = VHOST_F_INDIRECT_DESC

/* The same, bound to work in order. */
#define INDIRECT_IN_ORDER \
	.ring = 64, .scatter = true, .mtu = 9000, .devargs = "in_order=1", \
	.features = VHOST_F_INDIRECT_DESC | VHOST_F_IN_ORDER

/* One from before virtio 1.0, with a short header. */
#define LEGACY .legacy = true, .no_mrg = true

/* X(name, configuration): every way to receive. */
#define PATHS(X) \
	X(shared_in_order, { .ring = 64, .lanes = true, IN_ORDER }) \
	X(shared_scatter_in_order, \
			{ .ring = 64, .lanes = true, .scatter = true, .mtu = 9000, IN_ORDER }) \
	X(slots_in_order, { .ring = 64, .page_size = 16384, .pages = 96, IN_ORDER }) \
	X(slots_small_ring_in_order, { .ring = 4, .pages = 16, IN_ORDER }) \
	X(slots_scatter_in_order, { .ring = 64, .scatter = true, .mtu = 9000, IN_ORDER }) \
	X(copied_in_order, { .ring = 64, .lanes = true, .copy = true, IN_ORDER }) \
	X(copied_slots_scatter_in_order, \
			{ .ring = 64, .copy = true, .scatter = true, .mtu = 9000, IN_ORDER }) \
	X(shared, { .ring = 64, .lanes = true }) \
	X(shared_small_ring, { .ring = 4, .lanes = true, .pages = 16 }) \
	X(shared_no_mrg, { .ring = 64, .lanes = true, .no_mrg = true }) \
	X(shared_large_pages, { .ring = 64, .lanes = true, .page_size = 16384, .pages = 96 }) \
	X(shared_scatter, { .ring = 64, .lanes = true, .scatter = true, .mtu = 9000 }) \
	X(shared_jumbo, { .ring = 64, .lanes = true, .mtu = 9000, .page_size = 16384 }) \
	X(shared_jumbo_no_mrg, \
			{ .ring = 64, \
					.lanes = true, \
					.mtu = 9000, \
					.page_size = 16384, \
					.no_mrg = true }) \
	X(shared_longest, \
			{ .ring = 64, \
					.lanes = true, \
					.mtu = 65000, \
					.page_size = 300000, \
					.pages = 128 }) \
	X(shared_event_idx, { .ring = 64, .lanes = true, EVENT_IDX }) \
	X(slots_event_idx, { .ring = 64, .page_size = 16384, .pages = 96, EVENT_IDX }) \
	X(shared_indirect, { .lanes = true, INDIRECT }) \
	X(slots_indirect, { INDIRECT }) \
	X(slots_indirect_in_order, { INDIRECT_IN_ORDER }) \
	X(slots, { .ring = 64, .page_size = 16384, .pages = 96 }) \
	X(slots_default_pages, { .ring = 64 }) \
	X(slots_small_ring, { .ring = 4, .pages = 16 }) \
	X(slots_dense, { .ring = 64, .density = true, .page_size = 16384, .pages = 96 }) \
	X(slots_no_mrg, { .ring = 64, .no_mrg = true, .page_size = 16384 }) \
	X(slots_scatter, { .ring = 64, .scatter = true, .mtu = 9000 }) \
	X(slots_jumbo, { .ring = 64, .mtu = 9000, .page_size = 16384 }) \
	X(copied, { .ring = 64, .lanes = true, .copy = true }) \
	X(copied_no_mrg, { .ring = 64, .lanes = true, .copy = true, .no_mrg = true }) \
	X(copied_scatter, \
			{ .ring = 64, .lanes = true, .copy = true, .scatter = true, .mtu = 9000 }) \
	X(copied_jumbo, \
			{ .ring = 64, \
					.lanes = true, \
					.copy = true, \
					.mtu = 9000, \
					.page_size = 16384 }) \
	X(copied_jumbo_no_mrg, \
			{ .ring = 64, \
					.lanes = true, \
					.copy = true, \
					.mtu = 9000, \
					.page_size = 16384, \
					.no_mrg = true }) \
	X(copied_longest, \
			{ .ring = 64, \
					.lanes = true, \
					.copy = true, \
					.mtu = 65000, \
					.page_size = 65500 }) \
	X(copied_slots, { .ring = 64, .copy = true, .page_size = 16384, .pages = 96 }) \
	X(copied_slots_no_mrg, { .ring = 64, .copy = true, .no_mrg = true }) \
	X(copied_slots_scatter, { .ring = 64, .copy = true, .scatter = true, .mtu = 9000 }) \
	X(copied_slots_jumbo, { .ring = 64, .copy = true, .mtu = 9000, .page_size = 16384 }) \
	X(shared_offloads, { .ring = 64, .lanes = true, .scatter = true, OFFLOADS }) \
	X(slots_offloads, { .ring = 64, .scatter = true, OFFLOADS }) \
	X(copied_offloads, { .ring = 64, .lanes = true, .copy = true, .scatter = true, OFFLOADS }) \
	X(copied_slots_offloads, { .ring = 64, .copy = true, .scatter = true, OFFLOADS }) \
	X(legacy_shared, { .ring = 64, .lanes = true, LEGACY }) \
	X(legacy_slots, { .ring = 64, .page_size = 16384, .pages = 96, LEGACY }) \
	X(legacy_copied, { .ring = 64, .copy = true, LEGACY }) \
	X(legacy_slots_offloads, \
			{ .ring = 64, \
					LEGACY, \
					.features = UINT64_C(2), \
					.rx_offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM | \
							RTE_ETH_RX_OFFLOAD_VLAN_STRIP }) \
	X(packed_shared, { .ring = 64, .packed = true, .lanes = true }) \
	X(packed_slots, { .ring = 64, .packed = true, .page_size = 16384, .pages = 96 }) \
	X(packed_small_ring, { .ring = 4, .packed = true, .pages = 16 }) \
	X(packed_no_mrg, { .ring = 64, .packed = true, .no_mrg = true }) \
	X(packed_copied, { .ring = 64, .packed = true, .copy = true }) \
	X(packed_in_order_shared, { .ring = 64, .packed = true, .in_order = true, .lanes = true }) \
	X(packed_in_order_slots, \
			{ .ring = 64, \
					.packed = true, \
					.in_order = true, \
					.page_size = 16384, \
					.pages = 96 }) \
	X(packed_in_order_small_ring, \
			{ .ring = 4, .packed = true, .in_order = true, .pages = 16 }) \
	X(packed_in_order_copied, { .ring = 64, .packed = true, .in_order = true, .copy = true }) \
	X(packed_in_order_offloads, \
			{ .ring = 64, \
					.packed = true, \
					.in_order = true, \
					.scatter = true, \
					OFFLOADS }) \
	X(packed_shared_offloads, \
			{ .ring = 64, .packed = true, .lanes = true, .scatter = true, OFFLOADS }) \
	X(packed_slots_offloads, { .ring = 64, .packed = true, .scatter = true, OFFLOADS })

/* A packet that the application holds. */
struct held {
	struct rte_mbuf *m;
	uint8_t mark;
};

struct range {
	uintptr_t addr;
	size_t len;
};

/* The application's side. */
struct app {
	const struct path *path;
	uint64_t rng;
	struct held held[HELD_MAX];
	unsigned int nb_held;
	unsigned int limit; /* packets to hold */
	bool quiet;         /* nobody writes to memory behind our back: marks stay */
	uint64_t received;
	uint64_t received_before; /* the latest rounds */
	uint32_t max_len;
	struct range range[64]; /* the memory of the pool */
	unsigned int nb_ranges;
	struct rte_eth_xstat xstats[XSTATS_MAX];
	int nb_xstats;
	uint64_t polls; /* atomic */
};

/* The back end's side. A test that fails leaves it running, until the teardown. */
static struct foe {
	uint64_t rng;
	uint16_t next_id;
	bool in_order;
	bool knows; /* what the descriptors say is true, and is its own to write */
	uint64_t entries;
	uint64_t jumped;  /* entries that it announced without writing them */
	unsigned int dry; /* rounds in which it had nothing that it could use */
	const uint64_t *polls;
	uint64_t goal;
	uint32_t stop; /* atomic */
} foe;

#define PATH_STRUCT(id, ...) static struct path path_##id = { .name = #id, .conf = __VA_ARGS__ };
PATHS(PATH_STRUCT)

#define PATH_ADDRESS(id, ...) &path_##id,
static const struct path * const paths[] = { PATHS(PATH_ADDRESS) };

enum layout { SPLIT, SPLIT_IN_ORDER, PACKED, PACKED_IN_ORDER };

static enum layout
path_layout(const struct path *path)
{
	const struct dut_conf *conf = &path->conf;

	if (conf->packed)
		return conf->in_order ? PACKED_IN_ORDER : PACKED;
	return (conf->features & VHOST_F_IN_ORDER) != 0 ? SPLIT_IN_ORDER : SPLIT;
}

static uint64_t
entries_goal(const struct path *path)
{
	unsigned int i, same = 0;

	for (i = 0; i < RTE_DIM(paths); i++)
		same += path_layout(paths[i]) == path_layout(path);
	return unit_scaled(SHORT_ENTRIES, LONG_ENTRIES / same + 1);
}

/* The back end */

/* Fill a posted buffer, or its first bytes; where it is, or NULL. */
static char *
foe_fill(struct foe *f, uint32_t id, uint32_t len)
{
	const struct vhost_desc *desc = &dut.rx->desc[id & (dut.rx->num - 1)];
	uint32_t n = RTE_MIN(RTE_MIN(len, desc->len), dut.buf_len);
	char *buf;

	if (!f->knows || n == 0)
		return NULL;
	buf = vhost_peer_at(dut.peer, desc->addr, n);
	if (buf != NULL)
		memset(buf, (int)unit_random(&f->rng),
				unit_range(&f->rng, 0, 15) == 0 ? n : RTE_MIN(n, MARK_LEN));
	return n >= dut.hdr_len ? buf : NULL;
}

/* Fill a posted buffer whose header claims a number of buffers. */
static void
foe_fill_first(struct foe *f, uint32_t id, uint16_t buffers)
{
	char *buf = foe_fill(f, id, dut.buf_len);

	if (buf != NULL && dut.hdr_len == VHOST_HDR_LEN)
		memcpy(buf + dut.hdr_len - sizeof(buffers), &buffers, sizeof(buffers));
}

static uint32_t
foe_next_id(struct foe *f, uint16_t at)
{
	uint16_t id = f->in_order ? dut.rx->next_used + at : f->next_id++;

	return id & (dut.rx->num - 1);
}

/* An entry as it should be. */
static uint16_t
foe_put_good(struct foe *f, uint16_t at)
{
	uint32_t id = foe_next_id(f, at);
	uint32_t len = unit_range(&f->rng, dut.hdr_len + 14, RTE_MIN(dut.buf_len - 1, 1600u));

	foe_fill(f, id, len);
	vhost_ring_put(dut.rx, at, id, len);
	return 1;
}

/* A full buffer, with any number of buffers in its header. */
static uint16_t
foe_put_full(struct foe *f, uint16_t at)
{
	static const uint16_t counts[] = { 0, 1, 1, 1, 2, 3, 64, 65, UINT16_MAX };
	uint32_t id = foe_next_id(f, at);
	uint32_t k = unit_range(&f->rng, 0, RTE_DIM(counts));

	foe_fill_first(f, id, k < RTE_DIM(counts) ? counts[k] : (uint16_t)unit_random(&f->rng));
	vhost_ring_put(dut.rx, at, id, dut.buf_len);
	return 1;
}

/* A packet that fills several buffers, now and then with one that does not belong there. */
static uint16_t
foe_put_merged(struct foe *f, uint16_t at)
{
	uint16_t i, n = (uint16_t)unit_range(&f->rng, 2, unit_range(&f->rng, 0, 7) == 0 ? 70 : 8);
	uint32_t id = foe_next_id(f, at);

	n = RTE_MIN(n, (uint16_t)(ENTRIES_MAX - at));
	foe_fill_first(f, id, n);
	vhost_ring_put(dut.rx, at, id, dut.buf_len);
	for (i = 1; i < n; i++) {
		if (unit_range(&f->rng, 0, 99) != 0)
			id = foe_next_id(f, at + i);
		foe_fill(f, id, dut.buf_len);
		vhost_ring_put(dut.rx, at + i, id,
				i < n - 1 ? dut.buf_len : unit_range(&f->rng, 0, dut.buf_len));
	}
	return n;
}

/* An entry that makes no sense. */
static uint16_t
foe_put_bad(struct foe *f, uint16_t at)
{
	const uint32_t ids[] = { dut.rx->num, UINT16_MAX, UINT32_MAX, 0x10000,
		(uint32_t)unit_random(&f->rng), f->next_id - 1u, f->next_id };
	const uint32_t lens[] = { 0, dut.hdr_len - 1, dut.hdr_len, dut.hdr_len + 13,
		dut.buf_len + 1, UINT32_MAX, UINT32_MAX - dut.hdr_len + 1,
		(uint32_t)unit_random(&f->rng) };
	uint32_t k = unit_range(&f->rng, 0, 1);

	vhost_ring_put(dut.rx, at,
			k == 0 ? ids[unit_range(&f->rng, 0, RTE_DIM(ids) - 1)] : foe_next_id(f, at),
			k == 1 ? lens[unit_range(&f->rng, 0, RTE_DIM(lens) - 1)] : 100);
	return 1;
}

/* One entry for several descriptors, all full but the last; or for some that there are not. */
static uint16_t
foe_put_batch(struct foe *f, uint16_t at)
{
	uint16_t i, n = (uint16_t)unit_range(&f->rng, 1, 12);

	n = RTE_MIN(n, (uint16_t)(ENTRIES_MAX - at));
	for (i = 0; i < n; i++)
		foe_fill_first(f, foe_next_id(f, at + i), (uint16_t)unit_range(&f->rng, 0, 3));
	vhost_ring_put(dut.rx, at, foe_next_id(f, at + n - 1),
			unit_range(&f->rng, 0, dut.buf_len + 1));
	return unit_range(&f->rng, 0, 31) == 0 ? (uint16_t)(n / 2 + 1) : n;
}

static uint16_t
foe_put(struct foe *f, uint16_t at)
{
	uint32_t k = unit_range(&f->rng, 0, 99);

	if (f->in_order && k % 10 == 0)
		return foe_put_batch(f, at);
	if (k < 60)
		return foe_put_good(f, at);
	if (k < 70)
		return foe_put_full(f, at);
	return k < 85 ? foe_put_merged(f, at) : foe_put_bad(f, at);
}

/*
 * Rubbish over tables of descriptors. Not in a race: what a descriptor refers to while the driver
 * writes it may be anything.
 */
static void
foe_scribble_tables(struct foe *f)
{
	const struct vhost_desc *desc = dut.tx->desc;
	void *table;
	uint16_t i;

	for (i = 0; f->polls == NULL && i < dut.tx->num; i++) {
		if ((desc[i].flags & DESC_INDIRECT) == 0)
			continue;
		table = vhost_peer_at(dut.peer, desc[i].addr, desc[i].len);
		if (table != NULL)
			memset(table, (int)unit_random(&f->rng), desc[i].len);
	}
}

/* Rubbish over what the driver writes. */
static void
foe_scribble(struct foe *f)
{
	foe_scribble_tables(f);
	vhost_ring_scribble(dut.rx, (int)unit_random(&f->rng));
	vhost_ring_scribble(dut.tx, (int)unit_random(&f->rng));
}

/* Some used entries of the transmit ring. */
static void
foe_transmit(struct foe *f)
{
	uint16_t i, n = (uint16_t)unit_range(&f->rng, 0, dut.tx->num);

	n = RTE_MIN(n, vhost_ring_room(dut.tx));
	for (i = 0; i < n; i++)
		vhost_ring_put(dut.tx, i,
				unit_range(&f->rng, 0, 9) != 0 ?
						unit_range(&f->rng, 0, dut.tx->num - 1u) :
						(uint32_t)unit_random(&f->rng),
				(uint32_t)unit_random(&f->rng));
	vhost_ring_publish(dut.tx, n);
	if (unit_range(&f->rng, 0, 255) == 0)
		vhost_ring_publish(dut.tx, (uint16_t)unit_random(&f->rng));
}

/* Say when to be woken. */
static void
foe_ask(struct foe *f)
{
	if (dut.rx->packed != NULL) {
		dut.rx->device->flags = (uint16_t)unit_random(&f->rng);
		return;
	}
	if (unit_range(&f->rng, 0, 31) == 0)
		dut.rx->used->flags = (uint16_t)unit_random(&f->rng);
	if (unit_range(&f->rng, 0, 31) == 0)
		vhost_ring_set_avail_event(dut.rx, (uint16_t)unit_random(&f->rng));
	if (unit_range(&f->rng, 0, 31) == 0)
		vhost_ring_set_avail_event(dut.tx, (uint16_t)unit_random(&f->rng));
}

/* One batch of used entries of the receive ring, and other mischief now and then. */
static void
foe_round(struct foe *f)
{
	uint16_t n = 0,
		 end = (uint16_t)unit_range(&f->rng, 1, RTE_MIN(ENTRIES_MAX, 2 * dut.rx->num));

	end = RTE_MIN(end, vhost_ring_room(dut.rx));
	while (n < end)
		n += foe_put(f, n);
	f->dry = n == 0 ? f->dry + 1 : 0;
	vhost_ring_publish(dut.rx, n);
	f->entries += n;
	if (unit_range(&f->rng, 0, 255) == 0) {
		n = (uint16_t)unit_random(&f->rng);
		vhost_ring_publish(dut.rx, n);
		f->jumped += n;
	}
	foe_ask(f);
	if (unit_range(&f->rng, 0, 63) == 0)
		foe_scribble(f);
	foe_transmit(f);
}

/*
 * Whether it has brought itself to a stop: who says of a packed ring that works in order that later
 * buffers are used, and goes on with earlier ones, finds no more.
 */
static bool
foe_is_stuck(const struct foe *f)
{
	return f->dry >= DRY_ROUNDS;
}

/* Change something that the driver may be looking at. */
static void
foe_flip(struct foe *f)
{
	uint32_t at = unit_range(&f->rng, 0, dut.rx->num - 1u);
	uint32_t k = unit_range(&f->rng, 0, 9), *len = vhost_ring_len_at(dut.rx, (uint16_t)at);

	if (k < 3)
		__atomic_store_n(len, unit_range(&f->rng, 0, k == 0 ? 30 : dut.buf_len + 1),
				__ATOMIC_RELAXED);
	else if (k < 5)
		__atomic_store_n(len, dut.buf_len, __ATOMIC_RELAXED);
	else if (k < 8)
		vhost_ring_set_id_at(dut.rx, (uint16_t)at, unit_range(&f->rng, 0, dut.rx->num));
	else
		foe_fill_first(f, at, (uint16_t)unit_range(&f->rng, 0, 70));
}

/* The back end on an lcore of its own, no faster than the driver can follow. */
static int
foe_race(void *arg)
{
	struct foe *f = arg;
	unsigned int i;
	uint64_t polls;

	while (f->entries < f->goal && !foe_is_stuck(f) &&
			__atomic_load_n(&f->stop, __ATOMIC_ACQUIRE) == 0) {
		foe_round(f);
		polls = __atomic_load_n(f->polls, __ATOMIC_ACQUIRE);
		for (i = 1; __atomic_load_n(f->polls, __ATOMIC_ACQUIRE) < polls + 3 &&
				__atomic_load_n(&f->stop, __ATOMIC_ACQUIRE) == 0;
				i++) {
			foe_flip(f);
			if (i % FLIPS == 0)
				sched_yield();
		}
	}
	return 0;
}

/* The application */

static void
add_range(struct rte_mempool *mp, void *opaque, struct rte_mempool_memhdr *chunk, unsigned int i)
{
	struct app *a = opaque;

	RTE_SET_USED(mp);
	RTE_SET_USED(i);
	assert_true(a->nb_ranges < RTE_DIM(a->range));
	a->range[a->nb_ranges++] = (struct range){ (uintptr_t)chunk->addr, chunk->len };
}

static struct app *
app_create(const struct path *path)
{
	struct app *a = calloc(1, sizeof(*a));
	uint16_t mtu;

	assert_non_null(a);
	assert_int_equal(rte_eth_dev_get_mtu(dut.port, &mtu), 0);
	a->path = path;
	a->rng = unit_seed;
	a->max_len = path->conf.scatter ? 64 * dut.buf_len : mtu + 22u;
	rte_mempool_mem_iter(dut.mp, add_range, a);
	return a;
}

/* Whether memory is the pool's. */
static bool
app_owns(const struct app *a, const void *addr, size_t len)
{
	unsigned int i;

	for (i = 0; i < a->nb_ranges; i++)
		if ((uintptr_t)addr - a->range[i].addr < a->range[i].len)
			return len <= a->range[i].len - ((uintptr_t)addr - a->range[i].addr);
	return false;
}

/* Mark both ends of what the frag of a segment has, or look whether they still are. */
static bool
segment_mark(const struct rte_mbuf *m, uint8_t mark, bool check)
{
	uint32_t n = RTE_MIN(m->buf_len, MARK_LEN);
	uint8_t *start = m->buf_addr, *end = start + m->buf_len - n;
	uint32_t i;

	if (!check) {
		memset(start, mark, n);
		memset(end, mark, n);
	}
	for (i = 0; check && i < n; i++)
		if (start[i] != mark || end[i] != mark)
			return false;
	return true;
}

/* What is delivered is a packet in memory of the pool. */
static void
packet_check(struct app *a, struct rte_mbuf *m, uint8_t mark)
{
	const struct rte_mbuf *seg;
	const char *reason = NULL;

	if (rte_mbuf_check(m, 1, &reason) != 0)
		fail_msg("%s: packet %" PRIu64 ": %s", a->path->name, a->received, reason);
	if (m->pkt_len < 14 || m->pkt_len > a->max_len ||
			(!a->path->conf.scatter && m->nb_segs > 1))
		fail_msg("%s: packet %" PRIu64 " has %u bytes in %u segments", a->path->name,
				a->received, m->pkt_len, m->nb_segs);
	for (seg = m; seg != NULL; seg = seg->next) {
		if (!app_owns(a, seg->buf_addr, seg->buf_len))
			fail_msg("%s: packet %" PRIu64 " is outside of the pool", a->path->name,
					a->received);
		segment_mark(seg, mark, false);
	}
	a->received++;
}

static void
packet_release(struct app *a, const struct held *h)
{
	const struct rte_mbuf *seg;

	for (seg = h->m; a->quiet && seg != NULL; seg = seg->next)
		if (!segment_mark(seg, h->mark, true))
			fail_msg("%s: a packet was written to after it was delivered",
					a->path->name);
	rte_pktmbuf_free(h->m);
}

static void
app_release(struct app *a, unsigned int keep)
{
	unsigned int k;

	while (a->nb_held > keep) {
		k = unit_range(&a->rng, 0, a->nb_held - 1);
		packet_release(a, &a->held[k]);
		a->held[k] = a->held[--a->nb_held];
	}
}

/* Poll once: check what comes, hold it, free others. Returns how many. */
static uint16_t
app_poll(struct app *a)
{
	struct rte_mbuf *m[BURST];
	uint16_t i, n;

	n = rte_eth_rx_burst(dut.port, 0, m, (uint16_t)unit_range(&a->rng, 1, BURST));
	__atomic_store_n(&a->polls, a->polls + 1, __ATOMIC_RELEASE);
	for (i = 0; i < n; i++) {
		a->held[a->nb_held] = (struct held){ m[i], (uint8_t)a->received };
		packet_check(a, m[i], (uint8_t)a->received);
		a->nb_held++;
	}
	app_release(a, RTE_MIN(a->limit, (unsigned int)HELD_MAX - BURST));
	return n;
}

/* Send some of the packets back to where they came from. */
static void
app_transmit(struct app *a)
{
	unsigned int n = unit_range(&a->rng, 0, 8);
	struct held *h;

	for (; n > 0 && a->nb_held > 0; n--) {
		h = &a->held[a->nb_held - 1];
		if (rte_eth_tx_burst(dut.port, 0, &h->m, 1) == 0)
			break;
		a->nb_held--;
	}
}

/* No counter ever decreases. */
static void
app_check_counters(struct app *a)
{
	struct rte_eth_xstat now[XSTATS_MAX];
	int i, n = rte_eth_xstats_get(dut.port, now, XSTATS_MAX);

	assert_in_range(n, 1, XSTATS_MAX);
	for (i = 0; i < a->nb_xstats; i++)
		if (now[i].value < a->xstats[i].value)
			fail_msg("%s: counter %d goes from %" PRIu64 " to %" PRIu64, a->path->name,
					i, a->xstats[i].value, now[i].value);
	memcpy(a->xstats, now, sizeof(now));
	a->nb_xstats = n;
}

/* Now and then everything changes: how much is held, up to all there is. */
static void
app_round(struct app *a, uint64_t round)
{
	static const unsigned int limits[] = { 0, 16, 256, HELD_MAX };

	app_transmit(a);
	if (round % 32 != 0)
		return;
	app_check_counters(a);
	a->limit = limits[unit_range(&a->rng, 0, RTE_DIM(limits) - 1)];
	/* All pages are held. */
	if (a->received == a->received_before)
		app_release(a, 0);
	a->received_before = a->received;
}

/* Receive until nothing is left that could be. Returns whether nothing is left at all. */
static bool
app_drain(struct app *a)
{
	unsigned int i, idle = 0;

	/* So many polls may pass before descriptors without a page get one. */
	for (i = 0; i < RETRY_POLLS; i++)
		app_poll(a);
	while (rte_eth_rx_queue_count(dut.port, 0) > 0 && idle < STUCK_POLLS) {
		idle = app_poll(a) > 0 ? 0 : idle + 1;
		if (idle == STUCK_POLLS / 2)
			app_release(a, 0); /* for lack of pages, perhaps */
	}
	return rte_eth_rx_queue_count(dut.port, 0) == 0;
}

/* The end of both tests: all is accounted for, and the port is as good as new. */
static void
finish(struct app *a, const struct foe *f)
{
	const uint64_t bad = dut_xstat("rx_q0_bad_used");

	print_message("hostile: %s: %" PRIu64 " used entries, %" PRIu64 " packets, %" PRIu64
		      " bad entries\n",
			a->path->name, f->entries, a->received, bad);
	app_check_counters(a);
	assert_int_equal(a->received, dut_xstat("rx_q0_packets"));
	assert_in_range(a->received, f->entries / 100, f->entries + f->jumped);
	assert_in_range(bad, f->entries / 100, f->entries + f->jumped - a->received);
	/* In a race, few chains are received, and sent. */
	if (f->polls == NULL && (a->path->conf.features & VHOST_F_INDIRECT_DESC) != 0)
		assert_in_range(dut_xstat("tx_q0_indirect_packets"), 1, UINT64_MAX);
	app_release(a, 0);
	unit_ledger(dut.mp);
	dut_restart();
	dut_exchange(2u * dut.rx->num, RTE_MIN(a->max_len, dut.buf_len));
	free(a);
	dut_stop();
}

static int
hostile_setup(void **state)
{
	foe = (struct foe){
		.rng = unit_seed,
		.goal = entries_goal(*state),
		.knows = true,
	};
	return dut_setup(state);
}

static int
hostile_teardown(void **state)
{
	__atomic_store_n(&foe.stop, 1, __ATOMIC_RELEASE);
	rte_eal_mp_wait_lcore();
	return dut_teardown(state);
}

/* A restart of the port helps. */
static void
foe_resume(struct foe *f)
{
	dut_restart();
	f->dry = 0;
	f->next_id = 0;
}

static void
test_steps(void **state)
{
	const struct path *path = *state;
	/*
	 * By an id it can give up buffers in between, too, which it goes on to fill: in copies it
	 * may, elsewhere they are somebody else's by then.
	 */
	const bool quiet = path_layout(path) != PACKED_IN_ORDER;
	uint64_t round;
	bool drained;
	struct app *a;

	dut_start(&path->conf);
	a = app_create(path);
	foe.in_order = (path->conf.features & VHOST_F_IN_ORDER) != 0;
	assert_true(!foe.in_order || (vhost_peer_acked(dut.peer) & VHOST_F_IN_ORDER) != 0);
	a->quiet = quiet;
	foe.knows = quiet || path->conf.copy;
	for (round = 0; foe.entries < foe.goal; round++) {
		foe_round(&foe);
		app_round(a, round);
		/* Where something is left it may be taken later, and its buffer is ours then. */
		drained = app_drain(a);
		foe.knows = quiet ? drained : path->conf.copy;
		if (foe_is_stuck(&foe))
			foe_resume(&foe);
	}
	finish(a, &foe);
}

/* Stop a queue, which the back end goes on to use, and start it. */
static void
restart_queue(struct app *a, struct foe *f)
{
	const bool rx = unit_range(&a->rng, 0, 1) == 0;
	unsigned int i, n = unit_range(&a->rng, 0, STOPPED_ROUNDS);
	struct rte_mbuf *m;

	assert_int_equal(rx ? rte_eth_dev_rx_queue_stop(dut.port, 0) :
			      rte_eth_dev_tx_queue_stop(dut.port, 0),
			0);
	for (i = 0; i < n; i++) {
		foe_round(f);
		if (rx)
			assert_int_equal(rte_eth_rx_burst(dut.port, 0, &m, 1), 0);
		else
			app_drain(a);
		app_transmit(a);
		app_check_counters(a);
	}
	assert_int_equal(rx ? rte_eth_dev_rx_queue_start(dut.port, 0) :
			      rte_eth_dev_tx_queue_start(dut.port, 0),
			0);
	assert_true(vhost_peer_wait(dut.peer));
}

/* As test_steps(), while queues are stopped and started. */
static void
test_queues(void **state)
{
	const struct path *path = *state;
	uint64_t round;
	struct app *a;

	dut_start(&path->conf);
	a = app_create(path);
	foe.in_order = (path->conf.features & VHOST_F_IN_ORDER) != 0;
	a->quiet = true;
	for (round = 0; foe.entries < foe.goal; round++) {
		foe_round(&foe);
		app_round(a, round);
		foe.knows = app_drain(a);
		if (round % RESTART_ROUNDS != RESTART_ROUNDS - 1)
			continue;
		restart_queue(a, &foe);
		foe.next_id = 0;
		foe.knows = app_drain(a);
	}
	finish(a, &foe);
}

/* Receive while it is at work. */
static void
app_race(struct app *a, struct foe *f, unsigned int lcore)
{
	uint64_t round;

	assert_int_equal(rte_eal_remote_launch(foe_race, f, lcore), 0);
	for (round = 0; rte_eal_get_lcore_state(lcore) == RUNNING; round++) {
		app_round(a, round);
		if (app_poll(a) == 0 && round % STUCK_POLLS == 0)
			app_release(a, 0);
	}
	rte_eal_wait_lcore(lcore);
}

static void
test_race(void **state)
{
	const struct path *path = *state;
	unsigned int lcore;
	struct app *a;

	unit_require(unit_workers() > 0, "two lcores");
	lcore = rte_get_next_lcore(-1, 1, 0);
	dut_start(&path->conf);
	a = app_create(path);
	foe.in_order = (path->conf.features & VHOST_F_IN_ORDER) != 0;
	foe.polls = &a->polls;
	foe.goal /= RACE_SHARE;
	/* Elsewhere what it is about to fill may have become somebody else's meanwhile. */
	foe.knows = path->conf.copy;
	app_race(a, &foe, lcore);
	while (foe.entries < foe.goal) {
		foe_resume(&foe);
		app_race(a, &foe, lcore);
	}
	app_drain(a);
	finish(a, &foe);
}

#define PATH_TESTS(id, ...) \
	{ "test_steps_" #id, test_steps, hostile_setup, hostile_teardown, &path_##id }, \
			{ "test_race_" #id, test_race, hostile_setup, hostile_teardown, \
				&path_##id },

/* Split rings whose queues are restarted: those that stay with the back end, and others. */
#define QUEUE_PATHS(X) \
	X(shared) \
	X(shared_in_order) \
	X(shared_scatter) \
	X(shared_event_idx) \
	X(shared_indirect) \
	X(slots) \
	X(slots_in_order) \
	X(slots_small_ring) \
	X(slots_indirect) \
	X(slots_indirect_in_order) \
	X(copied) \
	X(copied_in_order) \
	X(legacy_slots)

#define QUEUE_TEST(id) \
	{ "test_queues_" #id, test_queues, hostile_setup, hostile_teardown, &path_##id },

static const struct CMUnitTest tests[] = { PATHS(PATH_TESTS) QUEUE_PATHS(QUEUE_TEST) };

UNIT_SUITE(hostile, "a back end of net_ppfrag that breaks every rule (PPFRAG_LONG=1: for long)",
		tests);
