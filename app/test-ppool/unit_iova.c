/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_memory.h>

#include <ppool_compact.h>
#include <ppool_create.h>

#include "unit.h"

/*
 * DMA addresses: each buffer that the pool hands out, by whichever function, has the IOVA that EAL
 * knows for its address.
 */

#define ROOM 8192
#define PAGES 64u
#define MAX_LEN 1518u
#define BURST 24u
#define RECEIVED 1200u
#define KEEP 8u
#define ABOVE_4G (UINT64_C(1) << 32)

/* Bytes from addr on are contiguous in IOVA, from iova on. */
static void
assert_iova(void *addr, uint32_t len, rte_iova_t iova)
{
	assert_int_equal(iova, rte_mem_virt2iova(addr));
	assert_int_equal(iova + len - 1, rte_mem_virt2iova(RTE_PTR_ADD(addr, len - 1)));
}

/* What a driver reads of a packet: the buffer and the data of each segment. */
static void
assert_packet(struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next) {
		assert_iova(m->buf_addr, m->buf_len, rte_mbuf_iova_get(m));
		assert_int_equal(rte_mbuf_data_iova(m),
				rte_mem_virt2iova(rte_pktmbuf_mtod(m, void *)));
		assert_int_equal(rte_mempool_virt2iova(m), rte_mem_virt2iova(m));
	}
}

static void
assert_packets(struct rte_mbuf * const *m, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		assert_packet(m[i]);
}

/* Ways to an mbuf. Each fills the array, or says how much of it. */

static unsigned int
get_whole(struct rte_mempool *mp, struct rte_mbuf **m)
{
	unsigned int i;

	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, m, BURST), 0);
	for (i = 0; i < BURST; i++)
		assert_int_equal(rte_mbuf_iova_get(m[i]),
				rte_mempool_virt2iova(m[i]) + sizeof(*m[i]) + m[i]->priv_size);
	return BURST;
}

static unsigned int
get_mono_frags(struct rte_mempool *mp, struct rte_mbuf **m)
{
	unsigned int i;

	for (i = 0; i < BURST / 2; i++) {
		m[i] = rte_pktmbuf_alloc(ppool_frag_pool(mp));
		assert_non_null(m[i]);
	}
	assert_int_equal(rte_pktmbuf_alloc_bulk(ppool_frag_pool(mp), m + i, BURST - i), 0);
	return BURST;
}

static unsigned int
get_carved(struct rte_mempool *mp, struct rte_mbuf **m)
{
	struct ppool_carver *c = unit_carver(mp, MAX_LEN, 1);
	uint32_t len[BURST];
	unsigned int i;

	for (i = 0; i < BURST; i++)
		len[i] = 1 + i * 331 % MAX_LEN;
	for (i = 0; i < BURST / 3; i++) {
		m[i] = ppool_carve(c, len[i]);
		assert_non_null(m[i]);
	}
	assert_int_equal(ppool_carve_bulk(c, m + i, len + i, BURST / 3), 0);
	i += BURST / 3;
	assert_int_equal(ppool_carve_burst(c, m + i, len + i, BURST - i), BURST - i);
	unit_carver_free(c);
	return BURST;
}

/* Several lanes, so that what one hands out does not follow from the one before. */
static unsigned int
get_committed(struct rte_mempool *mp, struct rte_mbuf **m)
{
	struct ppool_carver *c = unit_carver(mp, MAX_LEN, 3);
	struct ppool_buf buf = { .len = 0 };
	unsigned int i;

	assert_int_equal(ppool_headers_get(c, m, BURST), BURST);
	for (i = 0; i < BURST; i++) {
		assert_int_equal(ppool_reserve(c, i % 3, &buf), 0);
		assert_iova(buf.addr, buf.len, buf.iova);
		ppool_commit(c, i % 3, m[i], 1 + i * 331 % MAX_LEN);
		assert_ptr_equal(m[i]->buf_addr, buf.addr);
		assert_int_equal(rte_mbuf_iova_get(m[i]), buf.iova);
	}
	unit_carver_free(c);
	return BURST;
}

typedef unsigned int get_t(struct rte_mempool *mp, struct rte_mbuf **m);

static get_t * const ways[] = { get_whole, get_mono_frags, get_carved, get_committed };

/*
 * Pages of the carvers before are parked: the next one goes on with them. All of it twice, as
 * mbufs that were used before have old addresses in them.
 */
static void
exercise_allocation(struct rte_mempool *mp)
{
	struct rte_mbuf *m[RTE_DIM(ways) * BURST];
	unsigned int i, n, round;

	for (round = 0; round < 2; round++) {
		for (i = 0, n = 0; i < RTE_DIM(ways); i++)
			n += ways[i](mp, m + n);
		assert_packets(m, n);
		rte_pktmbuf_free_bulk(m, n);
	}
}

/* A clone has the IOVA of what it refers to, and its own again when it is freed. */
static void
exercise_clones(struct rte_mempool *mp)
{
	struct rte_mbuf *m[BURST], *clone[BURST];
	unsigned int i, k, n;

	for (i = 0; i < RTE_DIM(ways); i++) {
		n = ways[i](mp, m);
		for (k = 0; k < n; k++) {
			clone[k] = rte_pktmbuf_clone(m[k], mp);
			assert_non_null(clone[k]);
			assert_int_equal(rte_mbuf_iova_get(clone[k]), rte_mbuf_iova_get(m[k]));
		}
		rte_pktmbuf_free_bulk(m, n);
		assert_packets(clone, n);
		rte_pktmbuf_free_bulk(clone, n);
		n = get_whole(mp, m);
		assert_packets(m, n);
		rte_pktmbuf_free_bulk(m, n);
	}
}

/* A copy, and a chain of two ways to get memory. */
static void
exercise_chains(struct rte_mempool *mp)
{
	struct rte_mbuf *m[2 * BURST], *copy;
	unsigned int i, n;

	n = get_committed(mp, m);
	get_mono_frags(mp, m + n);
	for (i = 0; i < n; i++) {
		assert_non_null(rte_pktmbuf_append(m[n + i], 100));
		assert_int_equal(rte_pktmbuf_chain(m[i], m[n + i]), 0);
	}
	assert_packets(m, n);
	copy = rte_pktmbuf_copy(m[0], ppool_frag_pool(mp), 0, UINT32_MAX);
	assert_non_null(copy);
	assert_packet(copy);
	rte_pktmbuf_free(copy);
	rte_pktmbuf_free_bulk(m, n);
}

/* Frags that compaction moves, and frags that are handed out afterwards. */
static void
exercise_compaction(struct rte_mempool *mp, bool keep_mbufs)
{
	const struct ppool_compact_conf conf = { .max_occupancy = 90, .keep_mbufs = keep_mbufs };
	struct ppool_carver *rx = unit_carver(mp, MAX_LEN, 1), *c = unit_carver(mp, MAX_LEN, 1);
	struct ppool_compact_result r;
	struct rte_mbuf *m[RECEIVED / KEEP + 1];
	unsigned int i, n = 0;

	for (i = 0; i < RECEIVED; i++) {
		m[n] = ppool_carve(rx, 1000);
		assert_non_null(m[n]);
		assert_non_null(rte_pktmbuf_append(m[n], 1000));
		if (i % KEEP == 0)
			n++;
		else
			rte_pktmbuf_free(m[n]);
	}
	assert_int_equal(ppool_compact(c, m, n, &conf, &r), 0);
	assert_true(r.frags_moved > n / 2);
	assert_packets(m, n);
	rte_pktmbuf_free_bulk(m, n);
	unit_carver_free(c);
	unit_carver_free(rx);
	exercise_allocation(mp);
}

static void
exercise(struct rte_mempool *mp)
{
	exercise_allocation(mp);
	exercise_clones(mp);
	exercise_chains(mp);
	exercise_compaction(mp, false);
	exercise_compaction(mp, true);
}

static void
test_eal(void **state)
{
	(void)state;
	exercise(unit_pool(8 * PAGES, ROOM, 0, 0));
	exercise(unit_pool(8 * PAGES, ROOM, 32, 64));
}

static struct rte_mempool *
special_pool(uint32_t pages, uint32_t page_size, enum ppool_backing backing)
{
	const struct ppool_create_conf conf = {
		.name = unit_name(),
		.pages = pages,
		.page_size = page_size,
		.socket_id = SOCKET_ID_ANY,
		.backing = backing,
	};

	return unit_register(ppool_create(&conf));
}

static void
test_large_pages(void **state)
{
	(void)state;
	exercise(special_pool(2 * PAGES, 100000, PPOOL_BACKING_EAL));
}

/* In small pages of the OS the kernel may hide where they are. */
static void
test_memfd(void **state)
{
	(void)state;
	unit_require(rte_eal_iova_mode() == RTE_IOVA_VA || rte_eal_has_hugepages(),
			"hugepages or --iova-mode=va");
	exercise(special_pool(8 * PAGES, ROOM, PPOOL_BACKING_MEMFD));
	exercise(special_pool(2 * PAGES, 100000, PPOOL_BACKING_MEMFD));
}

static void
highest_iova(struct rte_mempool *mp, void *arg, void *obj, unsigned int i)
{
	rte_iova_t *highest = arg;

	(void)mp;
	(void)i;
	*highest = RTE_MAX(*highest, rte_mempool_virt2iova(obj));
}

/* Addresses that do not fit into 32 bits: of any 64-bit program with IOVA as VA, too. */
static void
test_above_4g(void **state)
{
	struct rte_mempool *mp = unit_pool(8 * PAGES, ROOM, 0, 0);
	rte_iova_t highest = 0;

	(void)state;
	rte_mempool_obj_iter(mp, highest_iova, &highest);
	unit_require(highest >= ABOVE_4G,
			"memory above 4 GB, and hugepages where this is a 32-bit program");
	print_message("highest IOVA 0x%" PRIx64 ", pointers of %zu bits\n", highest,
			8 * sizeof(void *));
	exercise(mp);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_eal),
	UNIT_TEST(test_large_pages),
	UNIT_TEST(test_memfd),
	UNIT_TEST(test_above_4g),
};

UNIT_SUITE(iova, "DMA addresses of all that is handed out", tests);
