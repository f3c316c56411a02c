/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* rte_pktmbuf_pool_create_extbuf() */
#define ALLOW_EXPERIMENTAL_API

#include <errno.h>
#include <stdio.h>

#include <rte_cycles.h>
#include <rte_memzone.h>
#include <rte_version.h>

#include <ppool_create.h>

#include "dut.h"

/* The device argument share: packets of pools that no receive queue of the port has. */

#define ROOM 2176u
#define MBUFS 64u
#define LARGE 4096u /* more than what shares a hugepage with other pools */
#define LEN 200u
#define ZONE_LEN ((size_t)2 << 20)
/* Longer than the port waits with the next connection. */
#define RECONNECT_MS 2500

/* A pool of mbufs whose buffers are in a memzone. */
static struct rte_mempool *
make_pinned_pool(const struct rte_memzone *mz)
{
	const struct rte_pktmbuf_extmem mem = {
		.buf_ptr = mz->addr, .buf_iova = mz->iova, .buf_len = mz->len, .elt_size = ROOM
	};
	struct rte_mempool *mp = rte_pktmbuf_pool_create_extbuf(unit_name(), MBUFS, 0, 0, ROOM,
			SOCKET_ID_ANY, &mem, 1);

	assert_non_null(mp);
	return mp;
}

static struct rte_mempool *
make_memfd_pool(const char *name)
{
	const struct ppool_create_conf conf = {
		.name = name,
		.pages = MBUFS,
		.page_size = ROOM,
		.socket_id = SOCKET_ID_ANY,
		.backing = PPOOL_BACKING_MEMFD,
	};

	return unit_register(ppool_create(&conf));
}

static struct rte_mempool *
make_named_pool(const char *name)
{
	struct rte_mempool *mp = rte_pktmbuf_pool_create(name, MBUFS, 0, 0, ROOM, SOCKET_ID_ANY);

	assert_non_null(mp);
	return mp;
}

/* Start a port whose back end gets the pool of a name, and whatever more says. */
static void
start_sharing(const char *name, const char *more)
{
	char devargs[128];

	snprintf(devargs, sizeof(devargs), "share=%s%s", name, more);
	dut_start(&(struct dut_conf){ .devargs = devargs });
}

/* Send a packet of a pool, which the back end finds where it is, or in a copy. */
static void
send_from(struct rte_mempool *mp, bool in_place)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);
	uint64_t copied = dut_xstat("tx_q0_copied_packets");
	const struct vhost_desc *desc;
	const char *got;
	uintptr_t data;

	assert_non_null(m);
	assert_non_null(rte_pktmbuf_append(m, LEN));
	data = rte_pktmbuf_mtod(m, uintptr_t);
	unit_fill((void *)data, LEN, data);
	assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
	assert_int_equal(vhost_ring_pending(dut.tx), 1);
	desc = &dut.tx->desc[dut.tx->avail->ring[dut.tx->next_avail % dut.tx->num]];
	assert_int_equal(desc->len, VHOST_HDR_LEN + LEN);
	assert_int_equal(desc->addr == data - VHOST_HDR_LEN, in_place);
	got = vhost_peer_at(dut.peer, desc->addr, desc->len);
	assert_non_null(got);
	assert_true(unit_filled(got + VHOST_HDR_LEN, LEN, data));
	assert_int_equal(dut_tx_consume(), 1);
	assert_int_equal(rte_eth_tx_done_cleanup(dut.port, 0, 0), 1);
	assert_int_equal(dut_xstat("tx_q0_copied_packets") - copied, !in_place);
}

static void
test_stock(void **state)
{
	struct rte_mempool *mp = unit_stock_pool(MBUFS, ROOM);

	(void)state;
	dut_start(&(struct dut_conf){ .ring = 0 });
	send_from(mp, false);
	dut_stop();
	start_sharing(mp->name, "");
	send_from(mp, true);
	dut_exchange(100, LEN);
	dut_restart();
	send_from(mp, true);
}

static void
test_page_pool(void **state)
{
	struct rte_mempool *eal = unit_pool(MBUFS, ROOM, 0, 0);
	struct rte_mempool *memfd = make_memfd_pool(unit_name());
	char more[64];

	(void)state;
	start_sharing(eal->name, "");
	send_from(eal, true);
	send_from(memfd, false);
	dut_stop();
	snprintf(more, sizeof(more), ",share=%s", memfd->name);
	start_sharing(eal->name, more);
	send_from(eal, true);
	send_from(memfd, true);
	/* Slots, too, are in these pages. */
	send_from(unit_slot_pool(memfd, 2 * LEN), true);
	dut_stop();
}

/* Of mbufs whose buffers are elsewhere, nothing but the buffers is shared. */
static void
test_pinned(void **state)
{
	const struct rte_memzone *mz = rte_memzone_reserve_aligned("unit_share", ZONE_LEN,
			SOCKET_ID_ANY, 0, ZONE_LEN);
	struct rte_mempool *mp;
	struct rte_mbuf *m;

	(void)state;
	assert_non_null(mz);
	mp = make_pinned_pool(mz);
	start_sharing(mp->name, "");
	send_from(mp, true);
	m = rte_pktmbuf_alloc(mp);
	assert_non_null(m);
	assert_null(vhost_peer_at(dut.peer, (uintptr_t)m, sizeof(*m)));
	rte_pktmbuf_free(m);
	dut_stop();
	rte_mempool_free(mp);
	rte_memzone_free(mz);
}

/* A pool is looked up when the port is started, not before. */
static void
test_late(void **state)
{
	const struct dut_conf conf = { .devargs = "share=unit_share_late" };
	struct rte_mempool *mp = make_named_pool("unit_share_late");

	(void)state;
	dut_start(&conf);
	send_from(mp, true);
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	rte_mempool_free(mp);
	assert_int_equal(dut_configure(&conf), -ENOENT);
	mp = make_named_pool("unit_share_late");
	assert_int_equal(dut_configure(&conf), 0);
	send_from(mp, true);
	dut_stop();
	rte_mempool_free(mp);
}

/* There is no file that the back end could map. */
static void
test_no_file(void **state)
{
	const struct dut_conf conf = { .devargs = "share=unit_share_anon" };
	struct rte_mempool *mp = make_named_pool("unit_share_anon");

	(void)state;
	dut_start(&conf);
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	rte_mempool_free(mp);
	mp = rte_mempool_create_empty("unit_share_anon", MBUFS, ROOM, 0, 0, SOCKET_ID_ANY, 0);
	assert_non_null(mp);
	assert_int_equal(rte_mempool_populate_anon(mp), MBUFS);
	assert_int_equal(dut_configure(&conf), -ENOTSUP);
	rte_mempool_free(mp);
	dut_stop();
}

/* More files than vhost-user can pass: the port says so, and starts when there are fewer. */
static void
test_too_many(void **state)
{
	const struct dut_conf conf = { .devargs = "share=all" };
	struct rte_mempool *mp[8];
	unsigned int i;

	(void)state;
	dut_start(&conf);
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	for (i = 0; i < RTE_DIM(mp); i++)
		mp[i] = make_memfd_pool(unit_name());
	assert_int_equal(dut_configure(&conf), -EMFILE);
	unit_pool_free(mp[0]);
	unit_pool_free(mp[1]);
	assert_int_equal(dut_configure(&conf), 0);
	for (i = 2; i < RTE_DIM(mp); i++)
		send_from(mp[i], true);
	dut_stop();
}

/* What can hold packets, and nothing else. */
static void
test_all(void **state)
{
	struct rte_mempool *stock = unit_stock_pool(MBUFS, ROOM);
	struct rte_mempool *memfd = make_memfd_pool(unit_name());
	struct rte_mempool *others = unit_mempool(&(struct unit_pool_conf){
			.n = LARGE, .elt_size = ROOM, .ops = "ring_mp_mc" });
	const struct rte_mempool_memhdr *chunk = STAILQ_FIRST(&others->mem_list);

	(void)state;
	dut_start(&(struct dut_conf){ .devargs = "share=all" });
	send_from(stock, true);
	send_from(memfd, true);
	assert_null(vhost_peer_at(dut.peer, (uintptr_t)chunk->addr + chunk->len / 2, ROOM));
	dut_stop();
}

/* The next back end gets what the first one had, and no pool that was made since. */
static void
test_reconnected(void **state)
{
	struct rte_mempool *stock = unit_stock_pool(MBUFS, ROOM), *since;

	(void)state;
	dut_start(&(struct dut_conf){ .devargs = "share=all" });
	send_from(stock, true);
	since = make_memfd_pool(unit_name());
	dut_lose_peer();
	dut_start_peer(false);
	dut_poll_until_up();
	dut_look_at_rings();
	send_from(stock, true);
	send_from(since, false);
	dut_restart();
	send_from(since, true);
	dut_stop();
}

/* The application has freed a pool too early: no other file is handed over in its place. */
static void
test_freed(void **state)
{
	const struct dut_conf conf = { .devargs = "share=unit_share_freed" };
	struct rte_mempool *mp = make_memfd_pool("unit_share_freed");

	(void)state;
	dut_start(&conf);
	send_from(mp, true);
	unit_pool_free(mp);
	dut_lose_peer();
	dut_start_peer(false);
	rte_delay_us_sleep(1000 * RECONNECT_MS);
	assert_true(unit_link_is(dut.port, RTE_ETH_LINK_DOWN));
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	mp = make_memfd_pool("unit_share_freed");
	assert_int_equal(dut_configure(&conf), 0);
	send_from(mp, true);
	dut_stop();
}

static const struct CMUnitTest tests[] = {
	DUT_TEST(test_stock),
	DUT_TEST(test_page_pool),
	DUT_TEST(test_pinned),
	DUT_TEST(test_late),
	DUT_TEST(test_no_file),
	DUT_TEST(test_too_many),
	DUT_TEST(test_all),
	DUT_TEST(test_reconnected),
	DUT_TEST(test_freed),
};

UNIT_SUITE(share, "pools that the back end may read besides those of the port", tests);
