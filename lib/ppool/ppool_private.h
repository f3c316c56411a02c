/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_PRIVATE_H_
#define _PPOOL_PRIVATE_H_

/*
 * The inside of a page pool. All of it lies in EAL memory and is used by every process: no
 * function pointers, no process-local addresses.
 *
 *   ppool_pages.c          free pages: lcore first, then shared, then neighbours
 *   ppool_headers.c        header slots: stash of the lcore, then depot, then a new header page
 *   ppool_frag.c           page counts, frags, the frag pool
 *   ppool_carver.c         carvers and their lanes
 *   ppool_account_table.c  budgets of those who hold mbufs
 *   ppool_account.c        what they are charged with
 *   ppool_compact.c        held frags and headers into fewer pages
 *   ppool_ledger.c         the books
 *   ppool_survey.c         data pages by occupancy and age
 *   ppool_debug.c          checks of a debug build
 *   mempool_ppfrag.c       the mempool ops on top
 *
 * Locks, in the order in which they may be taken inside each other:
 * depot -> shared -> one lcore's lock. An owner lets go of its own lock before any other.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_memcpy.h>
#include <rte_mempool.h>
#include <rte_spinlock.h>

#include "ppool.h"
#include "ppool_account.h"
#include "ppool_carver.h"
#include "ppool_debug.h"
#include "ppool_lock.h"

extern int ppool_logtype;
#define PPOOL_LOG(level, fmt, ...) \
	rte_log(RTE_LOG_##level, ppool_logtype, "PPOOL: " fmt "\n", ##__VA_ARGS__)

/* Free pages one lcore keeps at hand. */
#define PPOOL_LCORE_PAGES 1024u
/* Free pages in a magazine: a refill of the largest mempool cache, 512, and a burst of 128. */
#define PPOOL_MAGAZINE 640u
/* Free pages an lcore may be reduced to keep when its neighbours have to come for them. */
#define PPOOL_LCORE_PAGES_MIN 64u
/* Idle headers one lcore keeps, and how many move between it and the depot at a time. */
#define PPOOL_LCORE_HEADERS 256u
#define PPOOL_HEADER_BATCH 128u
/* Wholly idle header pages the depot keeps, so that a steady load does not format them again. */
#define PPOOL_IDLE_PAGES 4u
/* How many objects a bulk operation handles at a time, for arrays on the stack. */
#define PPOOL_BULK 64u

/*
 * What is in use of a page: users << 32 | bytes, changed together by one atomic operation.
 *
 *   a mono-frag or a free page   1 user
 *   open in a carver             PPOOL_BIAS users, all bytes of the page; each freed frag takes
 *                                one user and its truesize off
 *   parked                       live frags and one user for the parking
 *   closed                       live frags, their truesize
 *
 * Whoever drops the last user frees the page. The truesizes of a closed page add up to its bytes,
 * so users and bytes reach zero together.
 */
#define PPOOL_USER (UINT64_C(1) << 32)
#define PPOOL_BIAS (UINT64_C(1) << 24)
#define PPOOL_USERS(use) ((uint32_t)((use) >> 32))
#define PPOOL_BYTES(use) ((uint32_t)(use))

/* Whether a carver still fills a page, by what is in use of it. */
static inline bool
ppool_is_open(uint64_t use)
{
	return PPOOL_USERS(use) > PPOOL_BIAS / 2;
}

enum ppool_kind {
	PPOOL_KIND_WHOLE, /* free, or handed out as an ordinary object */
	PPOOL_KIND_DATA,
	PPOOL_KIND_HEADER,
};

#define PPOOL_NONE UINT32_MAX

/* One line of the page table. */
struct ppool_page {
	uint64_t use;        /* see above */
	uint64_t owner_drop; /* dropped by owners while it is open; under their lock */
	uint32_t owner;      /* lcore id + 1 of the carver that has this page open, else 0 */
	uint8_t kind;        /* enum ppool_kind */
	uint8_t parked;      /* its carver is gone and left open bytes; depot lock */
	uint16_t opener;     /* of a data page: as owner was, also when it is closed */
	uint32_t open;       /* bytes, at its end, that nobody had when it was opened or parked */
	uint32_t idle;       /* of a header page: slots in the depot; depot lock */
	uint32_t idle_first; /* the first of these, linked by ppool_frag.page */
	uint32_t next, prev; /* in the depot's list, or in that of parked pages; depot lock */
	uint32_t opened;     /* of a data page: ppool_coarse_time() then, 0: by no carver */
	char *obj;           /* the element, constant */
	rte_iova_t iova;     /* of obj, constant */
} __rte_cache_aligned;

/* What one lcore keeps for itself. */
struct ppool_lcore {
	struct ppool_lock lock;
	uint32_t nb_pages;
	uint32_t max_pages;
	uint32_t nb_headers;
	/* ordinary objects handed out minus taken back here */
	int64_t whole __rte_aligned(8);
	struct ppool_stats stats; /* written by the owner only */
	uint32_t nb_spare;        /* pages in the magazine: PPOOL_MAGAZINE or 0 */
	void **spare;             /* the magazine */
	void *pages[PPOOL_LCORE_PAGES] __rte_cache_aligned;
	struct rte_mbuf *headers[PPOOL_LCORE_HEADERS];
	void *magazine[PPOOL_MAGAZINE]; /* the first spare one, whoever has it now */
} __rte_cache_aligned;

/* Header pages with idle slots, and pages of carvers that are gone. */
struct ppool_depot {
	rte_spinlock_t lock;
	uint32_t first;         /* header pages with slots in the depot */
	uint32_t nb_idle;       /* slots in the depot */
	uint32_t nb_idle_pages; /* header pages with all slots in the depot */
	uint32_t nb_header_pages;
	uint32_t parked_first;
	uint32_t nb_parked;
	uint32_t nb_carvers;
	struct ppool_carver *carvers;
	/* frags freed when the last reclaim found nothing */
	uint64_t reclaim_mark __rte_aligned(8);
};

struct ppool {
	uint64_t magic;
	struct rte_mempool *mp;
	struct rte_mempool *frag_mp; /* NULL until the pool is first split */
	struct ppool_page *page;     /* page table, likewise */
	struct ppool_layout layout;
	uint32_t tail_bytes;  /* of a page, behind the room */
	uint32_t first_slot;  /* from the element to the first mbuf of a header page */
	uint16_t frag_offset; /* from an mbuf to its struct ppool_frag */
	uint8_t biased;       /* constant */
	uint8_t time_shift;   /* of ppool_coarse_time(), the same in all processes; constant */
	uint64_t free_cb;     /* ppool_free_pinned() in the process that split the pool */
	/* NULL until a frag is first charged */
	struct ppool_accounts *accounts;
	struct ppool_lcore *lcore[RTE_MAX_LCORE];
	struct ppool_debug *debug; /* NULL but in a debug build */

	rte_spinlock_t create_lock __rte_cache_aligned;
	rte_spinlock_t shared_lock;
	uint32_t nb_full;
	uint32_t nb_loose;
	void ***magazine; /* for all pages, the full ones first */
	void **loose;     /* free pages in no magazine, room for all */
	/* as in ppool_lcore, for threads that are no lcore; atomic */
	int64_t whole __rte_aligned(8);
	struct ppool_stats stats; /* likewise; atomic */
	struct ppool_depot depot __rte_cache_aligned;
} __rte_cache_aligned;

/*
 * Compilers for 32 bits align a 64-bit member to 4 bytes. Where it is changed by atomic operations,
 * or written by one thread and read by another, it must not lie in two cache lines.
 */
#define PPOOL_WHOLE_WORD(type, field) \
	_Static_assert(offsetof(type, field) % 8 == 0, #field " may lie in two cache lines")
PPOOL_WHOLE_WORD(struct ppool_page, use);
PPOOL_WHOLE_WORD(struct ppool_page, owner_drop);
PPOOL_WHOLE_WORD(struct ppool_lcore, whole);
PPOOL_WHOLE_WORD(struct ppool_lcore, stats);
PPOOL_WHOLE_WORD(struct ppool_depot, reclaim_mark);
PPOOL_WHOLE_WORD(struct ppool, depot);
PPOOL_WHOLE_WORD(struct ppool, whole);
PPOOL_WHOLE_WORD(struct ppool, stats);
_Static_assert(sizeof(struct ppool_page) == RTE_CACHE_LINE_SIZE, "a page is one cache line");

/*
 * Time in units of a power of two of TSC cycles, 4 to 8 ms whatever the frequency of the timer: in
 * 32 bits it wraps after half a year at the earliest. Never 0.
 */
static inline uint8_t
ppool_time_shift(uint64_t tsc_hz)
{
	return (uint8_t)(63 - __builtin_clzll(tsc_hz / 128 | 1));
}

static inline uint32_t
ppool_coarse_time(const struct ppool *p)
{
	uint32_t now = (uint32_t)(rte_rdtsc() >> p->time_shift);

	return RTE_MAX(now, 1u);
}

/* Milliseconds since a carver opened a page, at least so many; 0 where none did. */
static inline uint64_t
ppool_page_age(const struct ppool *p, const struct ppool_page *pg)
{
	uint32_t opened = __atomic_load_n(&pg->opened, __ATOMIC_RELAXED);
	uint32_t age = ppool_coarse_time(p) - opened;

	/* Both times are rounded down: less than a unit may have passed in the last one. */
	age -= age != 0;
	return opened == 0 ? 0 : ((uint64_t)age << p->time_shift) / (rte_get_tsc_hz() / 1000);
}

/* Whether a pool is split: then its layout and its page table are there. Needs no lock. */
static inline bool
ppool_is_split(const struct ppool *p)
{
	return __atomic_load_n(&p->frag_mp, __ATOMIC_ACQUIRE) != NULL;
}

/* Who we are, as in ppool_page.owner: 0 where this thread is no lcore. */
static inline uint32_t
ppool_self(void)
{
	return rte_lcore_id() + 1;
}

/* ppool_pages.c */
struct ppool_lcore *ppool_lcore_create(struct ppool *p, unsigned int id);

/* As ppool_lcore_self(), but NULL also where these lists are still to be made. */
static inline struct ppool_lcore *
ppool_lcore_peek(const struct ppool *p)
{
	unsigned int id = rte_lcore_id();

	return likely(id < RTE_MAX_LCORE) ? p->lcore[id] : NULL;
}

/* Our own lists, or NULL where this thread is no lcore: then only the shared ones are used. */
static inline struct ppool_lcore *
ppool_lcore_self(struct ppool *p)
{
	unsigned int id = rte_lcore_id();

	if (unlikely(id >= RTE_MAX_LCORE))
		return NULL;
	if (unlikely(p->lcore[id] == NULL))
		return ppool_lcore_create(p, id);
	return p->lcore[id];
}

/*
 * Copy pointers from one array to another. Bulks are of any length, most of them short: what is not
 * a multiple of the blocks copied is covered by two blocks that overlap, without a loop.
 */
static __rte_always_inline void
ppool_copy(void **dst, void * const *src, unsigned int n)
{
	void **last;

	if (n < 2) {
		if (likely(n == 1))
			*dst = *src;
	} else if (n <= 4) {
		memcpy(dst, src, 2 * sizeof(*dst));
		memcpy(dst + n - 2, src + n - 2, 2 * sizeof(*dst));
	} else if (n <= 8) {
		memcpy(dst, src, 4 * sizeof(*dst));
		memcpy(dst + n - 4, src + n - 4, 4 * sizeof(*dst));
	} else {
		last = dst + n - 8;
		memcpy(last, src + n - 8, 8 * sizeof(*dst));
		for (; dst < last; dst += 8, src += 8)
			memcpy(dst, src, 8 * sizeof(*dst));
	}
}

/*
 * Put idle headers or free pages into the lists of an lcore whose lock is held. Return false where
 * there is no room.
 */
static inline bool
ppool_lcore_put_headers(struct ppool_lcore *lc, struct rte_mbuf * const *m, unsigned int n)
{
	uint32_t old = lc->nb_headers;

	if (unlikely(n > PPOOL_LCORE_HEADERS - old))
		return false;
	rte_memcpy(&lc->headers[old], m, n * sizeof(m[0]));
	__atomic_store_n(&lc->nb_headers, old + n, __ATOMIC_RELAXED);
	return true;
}

static inline bool
ppool_lcore_put_pages(struct ppool_lcore *lc, void * const *obj, unsigned int n)
{
	uint32_t old = lc->nb_pages;

	/* A neighbour may have lowered max_pages below what is here. */
	if (unlikely((uint64_t)old + n > lc->max_pages))
		return false;
	ppool_copy(&lc->pages[old], obj, n);
	__atomic_store_n(&lc->nb_pages, old + n, __ATOMIC_RELAXED);
	return true;
}

/* Add to a counter that is read without the lock or by others than the thread that may write it. */
#define PPOOL_COUNT(counter, n) __atomic_store_n(&(counter), (counter) + (n), __ATOMIC_RELAXED)

/* Take the n pages that came last. Returns false where there are fewer. */
static inline bool
ppool_lcore_get_pages(struct ppool_lcore *lc, void **obj, unsigned int n)
{
	uint32_t left = lc->nb_pages - n;

	if (unlikely(lc->nb_pages < n))
		return false;
	__atomic_store_n(&lc->nb_pages, left, __ATOMIC_RELAXED);
	ppool_copy(obj, &lc->pages[left], n);
	return true;
}

/* Add to a counter: ours alone, or shared by all threads that are no lcore. */
#define PPOOL_STAT_ADD(p, lc, name, n) \
	do { \
		if (likely((lc) != NULL)) \
			PPOOL_COUNT((lc)->stats.name, n); \
		else \
			__atomic_fetch_add(&(p)->stats.name, (n), __ATOMIC_RELAXED); \
	} while (0)

static inline struct ppool_frag *
ppool_frag_of(const struct ppool *p, const struct rte_mbuf *m)
{
	return (struct ppool_frag *)((uintptr_t)m + p->frag_offset);
}

/* Slot i of a header page. */
static inline struct rte_mbuf *
ppool_slot_at(const struct ppool *p, const struct ppool_page *pg, uint32_t i)
{
	return (struct rte_mbuf *)(pg->obj + p->first_slot + (size_t)i * p->layout.slot_bytes);
}

/* The page table's index of a page is kept in the padding of its object header. */
static inline uint32_t *
ppool_index_of(void *obj)
{
	RTE_BUILD_BUG_ON(sizeof(struct rte_mempool_objhdr) + sizeof(uint32_t) > RTE_MEMPOOL_ALIGN);
	return RTE_PTR_SUB(obj, sizeof(struct rte_mempool_objhdr) + sizeof(uint32_t));
}

static inline struct ppool_page *
ppool_page_of(const struct ppool *p, void *obj)
{
	return &p->page[*ppool_index_of(obj)];
}

/* The pool behind a page pool or a frag pool, NULL where mp is neither. */
struct ppool *ppool_from_mempool(const struct rte_mempool *mp);

/* ppool_pages.c */
int ppool_pages_init(struct ppool *p);
void ppool_pages_fini(struct ppool *p);
size_t ppool_pages_memory(uint32_t pages);
/* All or none; neither counts ordinary objects. */
int ppool_pages_get(struct ppool *p, void **obj, unsigned int n);
void ppool_pages_put(struct ppool *p, void * const *obj, unsigned int n);
unsigned int ppool_pages_count(struct ppool *p);

/* ppool_headers.c */
unsigned int ppool_headers_take(struct ppool *p, struct rte_mbuf **m, unsigned int n);
void ppool_headers_give(struct ppool *p, struct rte_mbuf * const *m, unsigned int n);
void ppool_headers_return(struct ppool *p, struct rte_mbuf * const *m, unsigned int n);
unsigned int ppool_headers_take_from(struct ppool *p, uint32_t page, struct rte_mbuf **m,
		unsigned int n);
bool ppool_headers_reclaim(struct ppool *p, bool force);
bool ppool_headers_reserve(struct ppool *p, unsigned int pages);

/* ppool_frag.c */
int ppool_layout_init(struct ppool *p);
void ppool_frag_free_bulk(struct ppool *p, struct rte_mbuf * const *m, unsigned int n);
int ppool_frag_alloc_bulk(struct ppool *p, struct rte_mbuf **m, unsigned int n);
uint64_t ppool_frag_live(const struct ppool *p);
void ppool_free_pinned(void *addr, void *opaque);
void ppool_check_free_cb(const struct ppool *p);

/*
 * ppool_account.c
 *
 * What a burst of frags takes off the accounts they belong to: bytes are collected by account, so
 * that each takes one atomic operation. Those of the latest account are the caller's to add up.
 */
struct ppool_uncharge {
	uint16_t account; /* the latest one, 0: none of the frags was charged */
	uint16_t nb_others;
	struct {
		uint64_t bytes;
		uint16_t account;
	} other[PPOOL_BULK];
};

void ppool_uncharge_switch(struct ppool_uncharge *u, uint16_t account, uint64_t bytes);
void ppool_uncharge_commit(struct ppool *p, const struct ppool_uncharge *u, uint64_t bytes);
void ppool_account_adjust(struct ppool *p, uint16_t account, int64_t bytes);

static inline void
ppool_uncharge_init(struct ppool_uncharge *u)
{
	u->account = 0;
	u->nb_others = 0;
}

typedef void ppool_account_cb_t(uint16_t account, const struct ppool_account_stats *stats,
		void *arg);
int ppool_accounts_each(ppool_account_cb_t *cb, void *arg);
void ppool_account_dump_pool(FILE *f, struct ppool *p);

/* ppool_attach.c: whether the pages of a pool are mapped in this process */
bool ppool_is_mapped(const struct ppool *p);

/* ppool_carver.c: depot lock held */
uint32_t ppool_lane_bytes(const struct ppool_carver *c, const struct ppool_lane *l);
unsigned int ppool_parked_release(struct ppool *p);

/* mempool_ppfrag.c */
bool ppool_has_our_ops(const struct rte_mempool *mp);

#endif /* _PPOOL_PRIVATE_H_ */
