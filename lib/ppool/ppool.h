/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_H_
#define _PPOOL_H_

/**
 * @file
 * A page pool whose pages can be split into frags of any size.
 *
 * The pool is an ordinary mempool whose ops are #PPOOL_OPS_NAME. Words used here:
 *
 * - page: one object of that mempool: object header + element + trailer. Not an OS page.
 * - mono-frag: a page with exactly one user. Every page is born so.
 * - data page: a page split into frags, front to back.
 * - frag: a piece of a data page: headroom, packet bytes, tailroom.
 * - header page: a page split into equal slots, each an mbuf for a frag that lies elsewhere.
 * - page pool: the application's mempool.
 * - frag pool: the cache-less mempool that `m->pool` of a frag's mbuf points to.
 * - carver: a single-owner cursor that hands out frags (see ppool_carver.h).
 * - truesize: the bytes one mbuf keeps from being used by anybody else.
 * - account: a budget that charged mbufs belong to until they are freed (see ppool_account.h).
 * - owner: a process and an lcore of it; lists, carvers, headers and pages have one (see
 *   ppool_recover.h).
 *
 * rte_mempool_avail_count() only reads, takes no lock, and is exact while no call is under way.
 * Available of a page pool are:
 *
 * - the pages in free lists and mempool caches
 * - pages left behind by carvers, all of whose frags are freed
 * - header pages whose slots are all idle, but for those with slots that carvers reserve, which
 *   need them to deliver what they receive. While frags are in use, only slots that came back to
 *   the part that lcores share are known to be idle together: a page one of whose idle slots waits
 *   with an lcore is counted when no frag is in use any more, or when that slot is shared. It can
 *   be had meanwhile all the same.
 *
 * A page that a lane of a carver has open is in use, even where all of its frags are freed. When no
 * frag, no ordinary object and no carver is left, rte_mempool_full() is true. Of a frag pool,
 * rte_mempool_in_use_count() is the number of frags and of headers that were taken for some.
 *
 * An mbuf of a frag is one with a pinned external buffer: it can be cloned, chained, copied,
 * transmitted by any driver and freed by any thread, lcore or process, as any other mbuf. That of a
 * whole page allocated from a frag pool is a direct one.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Name of the mempool ops: `--mbuf-pool-ops-name=ppfrag`, rte_mempool_set_ops_byname(). */
#define PPOOL_OPS_NAME "ppfrag"

/** Whether a mempool is a page pool, i.e. its ops are ppfrag and it is no frag pool. */
bool ppool_is_page_pool(const struct rte_mempool *mp);

/** Whether a mempool is the frag pool of some page pool. */
bool ppool_is_frag_pool(const struct rte_mempool *mp);

/**
 * The frag pool of a page pool. Created by the first call, freed with the page pool.
 *
 * Allocating from it (rte_pktmbuf_alloc()) gives an mbuf whose frag is a whole page; freeing into
 * it drops the frag. rte_mempool_in_use_count() of it is the number of live frags, with headers
 * that were taken for a frag and have none yet.
 *
 * So `m->pool` of a frag serves an application that knows of no frags as the pool to clone, copy
 * and allocate from. What it gets is the mbuf of the page, a direct one, whose `m->pool` is another
 * internal pool, without a cache; allocating from that does the same. What is put into either
 * is freed as what it is, also where bulks are mixed (MBUF_FAST_FREE).
 *
 * Set-up path: takes locks, may allocate. Callable from any process.
 *
 * @param mp
 *   A fully populated packet mbuf pool with ops ppfrag, or a frag pool, which is returned as is.
 * @return
 *   The frag pool, or NULL with rte_errno:
 *   - ENOTSUP: other ops, not a packet mbuf pool, or RTE_MEMPOOL_F_NO_CACHE_ALIGN
 *   - EINVAL: not fully populated, its elements are too small for a header slot and a frag or
 *     larger than 512 MB, or its private areas too large for header slots
 *   - ENOMEM, ENOSPC: no memory for the page table
 */
struct rte_mempool *ppool_frag_pool(struct rte_mempool *mp);

/** What a page of a page pool is made of. Bytes. */
struct ppool_layout {
	uint32_t page_bytes; /**< object header + element + trailer: truesize of a whole page */
	uint32_t lead_bytes; /**< in front of the first frag: object header, mbuf, private area */
	uint32_t room_bytes; /**< what carvers can hand out of one data page */
	uint32_t slot_bytes; /**< one header slot */
	uint32_t slots;      /**< header slots per header page */
};

/**
 * The layout of the pages of a pool.
 *
 * @return
 *   0, or the negative errno that ppool_frag_pool() would set.
 */
int ppool_layout_get(struct rte_mempool *mp, struct ppool_layout *layout);

/**
 * The exact bytes that an mbuf, with all segments of its chain, keeps from being used by anybody
 * else.
 *
 * A segment that is a frag counts its share of a header page and of a data page. Any
 * other segment counts the footprint of its mempool object. A clone counts its own object only:
 * the data it refers to stays charged to the mbuf it was cloned from until the last reference is
 * gone.
 *
 * Any thread that may read the mbuf.
 */
size_t ppool_mbuf_truesize(const struct rte_mbuf *m);

/** Terms of the ledger: X(name, type, unit, what it is). Behind struct, dump and telemetry. */
#define PPOOL_LEDGER(X) \
	X(page_bytes, uint32_t, "bytes", "size of one page") \
	X(pages, uint32_t, "pages", "pages of the pool") \
	X(free, uint32_t, "pages", "in free lists and in mempool caches") \
	X(whole, uint32_t, "pages", "handed out as ordinary objects") \
	X(data, uint32_t, "pages", "data pages, mono-frags of the frag pool included") \
	X(header, uint32_t, "pages", "header pages") \
	X(class_pages, uint32_t, "pages", "slot pages of size classes") \
	X(idle, uint32_t, "pages", \
			"of data, header and class_pages, nobody uses them: available as free ones") \
	X(data_bytes, uint64_t, "bytes", "of data pages") \
	X(charged, uint64_t, "bytes", "truesize of live frags, without their slots") \
	X(stranded, uint64_t, "bytes", "of freed frags whose page is still in use") \
	X(stranded_open, uint64_t, "bytes", "of stranded, in pages that a carver still fills") \
	X(open, uint64_t, "bytes", "that carvers have not handed out yet") \
	X(header_bytes, uint64_t, "bytes", "of header pages") \
	X(slot_charged, uint64_t, "bytes", "slots of live frags") \
	X(slot_idle, uint64_t, "bytes", "slots that wait for a frag") \
	X(frags, uint64_t, "frags", "live frags") \
	X(class_bytes, uint64_t, "bytes", "of slot pages of size classes") \
	X(class_live, uint64_t, "bytes", "slots of size classes that are handed out") \
	X(class_idle, uint64_t, "bytes", "slots of size classes in lists") \
	X(class_reserve, uint64_t, "bytes", "of class_idle, kept by lcores for themselves") \
	X(class_slots, uint64_t, "slots", "slots of size classes that are handed out") \
	X(table_bytes, uint64_t, "bytes", "outside the pages: page table, free lists, carvers") \
	X(approximate, uint32_t, "", "1: others used the pool while it was read")

/**
 * Where the memory of a page pool is. All terms are exact when no call on the pool is under way.
 *
 * pages = free + whole + data + header + class_pages; data_bytes = charged + stranded + open;
 * header_bytes = slot_charged + slot_idle; class_bytes = class_live + class_idle.
 */
struct ppool_ledger {
#define PPOOL_LEDGER_FIELD(name, type, unit, desc) type name; /**< unit: desc */
	PPOOL_LEDGER(PPOOL_LEDGER_FIELD)
#undef PPOOL_LEDGER_FIELD
};

/**
 * Read the ledger of a page pool.
 *
 * Walks the page table and every header slot: meant for tests, tools and telemetry. Changes
 * nothing, and holds no lock that allocation takes: others may use the pool at the same time. Then
 * the terms are of different moments, approximate is 1, and they need not balance. Any thread.
 *
 * @param mp
 *   A page pool or its frag pool.
 * @return
 *   0; -ENOTSUP where mp is neither; -ENXIO where its pages are not mapped in this process, see
 *   ppool_attach().
 */
int ppool_ledger_get(struct rte_mempool *mp, struct ppool_ledger *ledger);

/**
 * Check every invariant of the ledger, page by page.
 *
 * Each term is counted on its own (free lists, page table, header slots, carvers), never derived
 * from the others, so that a lost or doubly counted byte shows.
 *
 * @param mp
 *   A page pool or its frag pool. No other call on the pool may be under way.
 * @param f
 *   Where to explain what does not balance; NULL for nowhere.
 * @return
 *   0 when everything balances, the number of violations found, or a negative errno: those of
 *   ppool_ledger_get(), -ENOMEM.
 */
int ppool_check(struct rte_mempool *mp, FILE *f);

/** Counters of a page pool: X(name, what it counts). Behind struct, dump and telemetry. */
#define PPOOL_STATS(X) \
	X(frag_alloc, "frags handed out") \
	X(frag_free, "frags freed") \
	X(frag_alloc_bytes, "bytes of truesize handed out, without header slots") \
	X(frag_free_bytes, "bytes of truesize freed, without header slots") \
	X(slot_alloc, "slots of size classes handed out") \
	X(slot_free, "slots of size classes taken back") \
	X(page_open, "data pages opened by carvers") \
	X(page_recycle, "data pages whose last frag was freed") \
	X(page_empty, "allocations that failed because no page was free") \
	X(header_page_get, "pages taken for slots, of headers or of a size class") \
	X(header_page_put, "slot pages given back") \
	X(refill_shared, "refills of an lcore's free list from the shared one") \
	X(refill_neighbour, "refills of an lcore's free list from another lcore's") \
	X(flush_shared, "batches of free pages an lcore moved to the shared list") \
	X(search, "searches of all lists for idle slots, a system call for each other list") \
	X(frag_move, "frags whose data compaction moved to another page; in frag_alloc, too") \
	X(header_move, "mbufs that compaction moved to another header page") \
	X(slot_move, "slots whose packet compaction moved to another page") \
	X(keep_move, "packets that ppool_keep() moved into slots") \
	X(keep_fail, "packets that ppool_keep() could not move")

/** Counters of a page pool, summed over lcores since the pool was created. */
struct ppool_stats {
#define PPOOL_STATS_FIELD(name, desc) uint64_t name; /**< desc */
	PPOOL_STATS(PPOOL_STATS_FIELD)
#undef PPOOL_STATS_FIELD
};

/** Read the counters. Any thread. @return 0, or -ENOTSUP where mp is no pool of ours. */
int ppool_stats_get(struct rte_mempool *mp, struct ppool_stats *stats);

/** Print layout, ledger and counters. Any thread. */
void ppool_dump(FILE *f, struct rte_mempool *mp);

/** Told of misuse by a debug build; message is one line. */
typedef void (*ppool_debug_handler_t)(const char *message, void *arg);

/**
 * Have a function called where a debug build of this library (Meson option ppool_debug) would
 * panic. Of this process, for tests; set it while no pool is in use.
 *
 * @param handler
 *   Should not return, but longjmp() or end the process: the misuse takes place otherwise. No lock
 *   is held where it is called for what a caller does wrong. NULL: panic, the default.
 * @return
 *   0, or -ENOTSUP where this is no debug build.
 */
int ppool_debug_set_handler(ppool_debug_handler_t handler, void *arg);

#ifdef __cplusplus
}
#endif

#endif /* _PPOOL_H_ */
