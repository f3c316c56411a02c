/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_PRIVATE_H_
#define _PPOOL_PRIVATE_H_

/*
 * The inside of a page pool. All of it lies in EAL memory and is used by every process: no
 * function pointers, no process-local addresses.
 *
 * From the bottom up; no file calls into one that stands further down in this list, but that a
 * debug build is checked from everywhere:
 *
 *   ppool_log.h            what is logged
 *   ppool_role.c           which mempool is which
 *   ppool_owner.[ch]       who owns: processes and lcores, and which processes have ended
 *   ppool_page.h           the life of one page: its count and its state
 *   ppool_lock.[ch]        locks of shared memory; the lock of an owner's lists
 *   ppool_freelist.[ch]    free pages: of the lcore, in magazines, loose
 *   ppool_class.c          the size classes that a layout gives
 *   ppool_park.c           pages that carvers left behind
 *   ppool_slot.c           slot pages: idle slots of the lcore, then of the depot
 *   ppool_supply.c         where pages and slots come from when lists are empty
 *   ppool_account_table.*  budgets of those who hold mbufs
 *   ppool_pinned.c         the last clone of a frag
 *   ppool_frag.c           the free of frags
 *   ppool_mono.[ch]        whole pages as frags, and
 *   ppool_slot_pool.[ch]   slots as mbufs; they call ppool_frag.c and are called: bulks are mixed
 *   ppool_split.c          layout, page table, the internal pools
 *   ppool_sizing.[ch]      what a pool for a load needs
 *   ppool_carver.[ch]      carvers and their lanes
 *   ppool_account.[ch]     what mbufs weigh, and charging them to a budget
 *   ppool_compact.[ch]     held frags and headers into fewer pages
 *   ppool_keep.[ch]        packets of any pool into slots of their size
 *   ppool_keep_rx.c        the same for all that a queue receives
 *   ppool_stats.c          counters
 *   memory/                memory that pages lie in; pools with memory of their own choice
 *   ppool_recover.[ch]     who has what; taking it back from those who have ended
 *   ppool_recount.c        what they left in no list: everything counted anew
 *   inspect/               ledger, occupancy, dump, telemetry: they read and change nothing
 *   mempool_ppfrag.c       the mempool ops on top
 *
 *   ppool_debug.[ch]       checks of a debug build
 *   ppool_compat.h         what differs between versions of DPDK
 *
 * Locks, in the order in which they may be taken inside each other:
 * carvers -> depot -> shared -> one lcore's lock. An owner lets go of its own lock before another.
 * That of splitting a pool and that of the table of accounts have none of these inside.
 * Who only looks takes none of these, but that of the list of carvers, and no other inside it.
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

#include "ppool.h"
#include "ppool_account.h"
#include "ppool_carver.h"
#include "ppool_debug.h"
#include "ppool_lock.h"
#include "ppool_log.h"
#include "ppool_owner.h"
#include "ppool_page.h"

/* Free pages one lcore keeps at hand. */
#define PPOOL_LCORE_PAGES 1024u
/* Free pages in a magazine: a refill of the largest mempool cache, 512, and a burst of 128. */
#define PPOOL_MAGAZINE 640u
/* Free pages an lcore may be reduced to keep when others have to come for them. */
#define PPOOL_LCORE_PAGES_MIN 64u
/* Size classes of slots: headers, which have no data room, then others, the smallest first. */
#define PPOOL_CLASSES 32u
#define PPOOL_HEADERS 0u
/* How many slots are formatted at a time, at most. */
#define PPOOL_FORMAT 32u
/* Idle headers one lcore keeps. Half of what it may keep moves to and from the depot at a time. */
#define PPOOL_LCORE_HEADERS 256u
/*
 * Idle slots of any other class that one lcore keeps: as many, and of so many bytes. That is a
 * burst of 64 slots for 1,518 bytes. A burst of more than is kept goes to the depot and back: 70
 * cycles a packet instead of 14 in pages of 16 KB, 200 and more where a page is one slot, as it
 * goes home each time (frag-perf).
 */
#define PPOOL_LCORE_SLOTS 64u
#define PPOOL_LCORE_SLOT_BYTES 163840u
/* Wholly idle header pages the depot keeps, so that a steady load does not format them again. */
#define PPOOL_IDLE_HEADER_PAGES 4u
/* Wholly idle slot pages of any other class that it keeps. */
#define PPOOL_IDLE_CLASS_PAGES 1u
/* Slot pages in the depot are told apart by how full they are, in so many steps. */
#define PPOOL_FILLS 8u
/* Bits of struct ppool_class.fill_scale behind the point: pages have up to 2 M slots. */
#define PPOOL_FILL_SHIFT 28u
/* How many objects a bulk operation handles at a time, for arrays on the stack. */
#define PPOOL_BULK 64u

/* What one lcore keeps for itself. */
struct ppool_lcore {
	struct ppool_lock lock;
	uint32_t nb_pages;
	uint32_t max_pages;
	ppool_owner_t owner;      /* constant */
	ppool_owner_t drop_owner; /* owner where ppool_page_drop_as() may be told of it, else 0 */
	uint32_t nb_slots[PPOOL_CLASSES]; /* idle ones */
	/* ordinary objects handed out minus taken back here */
	int64_t whole __rte_aligned(8);
	struct ppool_stats stats; /* written by the owner only */
	uint32_t nb_spare;        /* pages in the magazine: PPOOL_MAGAZINE or 0 */
	void **spare;             /* the magazine */
	void *pages[PPOOL_LCORE_PAGES] __rte_cache_aligned;
	/* headers, then the others, class by class */
	struct rte_mbuf *slots[PPOOL_LCORE_HEADERS + (PPOOL_CLASSES - 1) * PPOOL_LCORE_SLOTS];
	void *magazine[PPOOL_MAGAZINE]; /* the first spare one, whoever has it now */
	struct ppool_lcore *next;       /* of the same pool, constant */
} __rte_cache_aligned;

/* Slots of a size class: what they are, which is constant, and those in the depot. */
struct ppool_class {
	uint32_t slots;      /* of a page */
	uint32_t slot_bytes; /* from one slot to the next */
	uint32_t fill_scale; /* idle slots of a page times this, scaled: the list it is in */
	uint32_t truesize;   /* of one slot, rounded up */
	uint16_t keep;       /* idle slots that an lcore keeps at most */
	uint16_t buf_len;
	uint32_t first[PPOOL_FILLS]; /* pages with slots in the depot, the fullest ones first */
	uint32_t nb_idle;            /* slots in the depot */
	uint32_t nb_idle_pages;      /* pages with all slots in the depot */
	uint32_t nb_pages;
};

/* Slot pages with idle slots, and pages of carvers that are gone. */
struct ppool_depot {
	struct ppool_mutex lock;
	uint32_t nb_classes; /* constant */
	struct ppool_class size_class[PPOOL_CLASSES];
	uint16_t room_min, room_max; /* of the smallest and of the largest class; constant */
	/* The class for a room, by the cache lines that it is longer than the least. Constant. */
	uint8_t class_for[UINT16_MAX / RTE_CACHE_LINE_MIN_SIZE + 2];
	uint32_t parked_first;
	uint32_t nb_parked;
	uint32_t nb_carvers;        /* written under the lock of the list of carvers */
	uint32_t nb_reserved;       /* slots that carvers keep; atomic */
	uint32_t nb_reserved_pages; /* slot pages with such slots; atomic */
	/* frags and slots freed when reclaim is of use again */
	uint64_t reclaim_mark __rte_aligned(8);
	uint32_t reclaim_step;  /* how many more after one that found nothing */
	struct rte_mbuf *limbo; /* slots put while the depot was stuck, linked by next; atomic */
};

#define PPOOL_MAGIC UINT64_C(0x70706f6f6c2e3031)

struct ppool {
	uint64_t magic; /* PPOOL_MAGIC from the pool's creation to its end */
	struct rte_mempool *mp;
	struct rte_mempool *frag_mp; /* NULL until the pool is first split */
	struct rte_mempool *mono_mp; /* of whole pages that are frags; NULL until it is split */
	struct rte_mempool *slot_mp; /* of slots of all classes; NULL until one is needed */
	struct rte_mempool *view[PPOOL_CLASSES]; /* of one class each; NULL until it is needed */
	struct ppool_page *page; /* page table; NULL until the pool is first split */
	struct ppool_layout layout;
	uint32_t first_slot; /* from the element to the first mbuf of a slot page */
	uint32_t mbuf_bytes; /* an mbuf and the application's private area */
	uint8_t biased;      /* constant */
	uint8_t time_shift;  /* of ppool_coarse_time(), the same in all processes; constant */
	uint64_t free_cb;    /* ppool_free_cb() of the process that split the pool */
	/* NULL until a frag is first charged */
	struct ppool_accounts *accounts;
	uint8_t tracked;           /* several processes use it: who takes a page is noted in it */
	uint8_t foreign;           /* a process has used it that did not make it */
	uint32_t creator;          /* the process that made it */
	struct ppool_debug *debug; /* NULL but in a debug build */
	struct ppool_lcore *lists; /* of all owners; none is ever taken out */
	struct ppool_lcore *lcore[PPOOL_OWNERS];

	struct ppool_mutex create_lock __rte_cache_aligned;
	struct ppool_mutex shared_lock;
	uint32_t nb_full;
	uint32_t nb_loose;
	uint32_t limbo; /* pages put while the shared part was stuck, by ppool_page.next; atomic */
	uint32_t nb_limbo; /* atomic */
	void ***magazine;  /* for all pages, the full ones first */
	void **loose;      /* free pages in no magazine, room for all */
	/* as in ppool_lcore, for threads that are no lcore; atomic */
	int64_t whole __rte_aligned(8);
	struct ppool_stats stats; /* of the same threads; atomic */
	struct ppool_depot depot __rte_cache_aligned;
	/* No allocation takes this lock: it is for set-up, and for those who only look. */
	struct ppool_mutex carvers_lock __rte_cache_aligned;
	struct ppool_carver *carvers;
	uint64_t taken_off; /* bytes that accounts got back because the pool is freed */
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

/* Whether a pool is split: then its layout and its page table are there. Needs no lock. */
static inline bool
ppool_is_split(const struct ppool *p)
{
	return __atomic_load_n(&p->frag_mp, __ATOMIC_ACQUIRE) != NULL;
}

/* Pages in the page table: none before the pool is first split. */
static inline uint32_t
ppool_nb_pages(const struct ppool *p)
{
	return p->page == NULL ? 0 : p->mp->size;
}

#define PPOOL_LCORE_FOREACH(p, lc) \
	for (lc = __atomic_load_n(&(p)->lists, __ATOMIC_ACQUIRE); lc != NULL; lc = lc->next)

static inline uint32_t
ppool_carvers_count(const struct ppool *p)
{
	return __atomic_load_n(&p->depot.nb_carvers, __ATOMIC_RELAXED);
}

/* ppool_freelist.c */

/* Make our lists where this thread is an lcore, else return NULL. */
struct ppool_lcore *ppool_lcore_missing(struct ppool *p);
/* A visitor is stopped in our lists: do without them. Returns NULL. */
struct ppool_lcore *ppool_lcore_abandon(struct ppool *p, struct ppool_lcore *lc);

/* As ppool_lcore_get(), but NULL also where these lists are still to be made. */
static inline struct ppool_lcore *
ppool_lcore_existing(const struct ppool *p)
{
	return p->lcore[ppool_owner_id()];
}

/* Our own lists, or NULL where this thread is no lcore: then only the shared ones are used. */
static inline struct ppool_lcore *
ppool_lcore_get(struct ppool *p)
{
	struct ppool_lcore *lc = ppool_lcore_existing(p);

	return likely(lc != NULL) ? lc : ppool_lcore_missing(p);
}

/* Our own lists, locked, or NULL. */
static inline struct ppool_lcore *
ppool_lcore_enter(struct ppool *p)
{
	struct ppool_lcore *lc = ppool_lcore_get(p);

	if (unlikely(lc == NULL) || likely(ppool_lock_owner(&lc->lock)))
		return lc;
	return ppool_lcore_abandon(p, lc);
}

static inline void
ppool_lcore_leave(struct ppool_lcore *lc)
{
	ppool_unlock_owner(&lc->lock);
}

/* Add to a counter that is read without the lock or by others than the thread that may write it. */
#define PPOOL_COUNT(counter, n) __atomic_store_n(&(counter), (counter) + (n), __ATOMIC_RELAXED)

/* Add to a counter: ours alone, or shared by all threads that are no lcore. */
#define PPOOL_STAT_ADD(p, lc, name, n) \
	do { \
		if (likely((lc) != NULL)) \
			PPOOL_COUNT((lc)->stats.name, n); \
		else \
			__atomic_fetch_add(&(p)->stats.name, (n), __ATOMIC_RELAXED); \
	} while (0)

/* The class of a slot page that stays one. */
static inline const struct ppool_class *
ppool_class_of(const struct ppool *p, const struct ppool_page *pg)
{
	return &p->depot.size_class[ppool_page_class(pg)];
}

/* The class of a page, NULL where it is no slot page. It may become another meanwhile. */
static inline const struct ppool_class *
ppool_class_look(const struct ppool *p, const struct ppool_page *pg)
{
	unsigned int kind = __atomic_load_n(&pg->kind, __ATOMIC_ACQUIRE);

	if (kind < PPOOL_KIND_SLOTS || kind - PPOOL_KIND_SLOTS >= p->depot.nb_classes)
		return NULL;
	return &p->depot.size_class[kind - PPOOL_KIND_SLOTS];
}

/* Slot i of a page of that class. */
static inline struct rte_mbuf *
ppool_slot_at(const struct ppool *p, const struct ppool_class *c, const struct ppool_page *pg,
		uint32_t i)
{
	return (struct rte_mbuf *)(pg->obj + p->first_slot + (size_t)i * c->slot_bytes);
}

static inline uint32_t
ppool_slot_index(const struct ppool *p, const struct ppool_class *c, const struct ppool_page *pg,
		const struct rte_mbuf *m)
{
	return (RTE_PTR_DIFF(m, pg->obj) - p->first_slot) / c->slot_bytes;
}

/*
 * Slots of a page that can be read, from the first on. The others have not been handed out since it
 * became a slot page: they are idle, in no list, and what lies there may be anything. Any number,
 * but none beyond the page, where it is no slot page any more.
 */
static inline uint32_t
ppool_slots_formatted(const struct ppool_class *c, const struct ppool_page *pg)
{
	return RTE_MIN(__atomic_load_n(&pg->formatted, __ATOMIC_ACQUIRE), c->slots);
}

/* Slots in the list of a page: the idle ones that are formatted. Depot lock held. */
static inline uint32_t
ppool_slots_listed(const struct ppool_class *c, const struct ppool_page *pg)
{
	return pg->idle - (c->slots - pg->formatted);
}

/*
 * Bytes of slots 0..i-1 when a page is split as evenly as possible; the shares add up to its bytes
 * exactly.
 */
static inline uint32_t
ppool_slots_share(const struct ppool *p, const struct ppool_class *c, uint32_t i)
{
	return (uint32_t)((uint64_t)p->layout.page_bytes * i / c->slots);
}

/* The page table's index of a page: in front of its object header there is room for a record. */
static inline uint32_t *
ppool_index_of(void *obj)
{
	return &ppool_frag_of((struct rte_mbuf *)obj)->header_page;
}

static inline struct ppool_page *
ppool_page_of(const struct ppool *p, void *obj)
{
	return &p->page[*ppool_index_of(obj)];
}

/* ppool_role.c */

/* The function by which a process recognises our ops in its table. Set by mempool_ppfrag.c. */
void ppool_role_set_ops(rte_mempool_enqueue_t enqueue);
/* The ops of another copy of this library that was loaded before; NULL where there is none. */
const struct rte_mempool_ops *ppool_role_first_copy(void);
bool ppool_has_our_ops(const struct rte_mempool *mp);
/* The pool behind one of its mempools, NULL where mp is none of ours. Believes the ops. */
struct ppool *ppool_from_mempool(const struct rte_mempool *mp);
/*
 * For set-up and tools: as ppool_from_mempool(), but looks at the pool, too. Where the ops of this
 * process are in another order than those of the process that made mp, it logs that, and returns
 * NULL.
 */
struct ppool *ppool_find(const struct rte_mempool *mp);
void ppool_role_mismatch(const struct rte_mempool *mp);

/* Of a mempool with our ops. */
static inline struct ppool *
ppool_of(const struct rte_mempool *mp)
{
	return mp->pool_data;
}

/* Whether what a mempool has, which may be another driver's, begins as a pool of ours. */
static inline bool
ppool_has_magic(const struct rte_mempool *mp)
{
	uint64_t magic;

	memcpy(&magic, mp->pool_data, sizeof(magic));
	return magic == PPOOL_MAGIC;
}

/* Whether a mempool that our ops are called with is a pool of ours. Logs where it is not. */
static inline bool
ppool_role_check(const struct rte_mempool *mp)
{
	if (likely(ppool_has_magic(mp)))
		return true;
	ppool_role_mismatch(mp);
	return false;
}

static inline bool
ppool_is_frag_role(const struct rte_mempool *mp)
{
	return ppool_of(mp)->frag_mp == mp;
}

static inline bool
ppool_is_mono_role(const struct rte_mempool *mp)
{
	return ppool_of(mp)->mono_mp == mp;
}

/*
 * Any mempool of a page pool but itself: frag, mono and slot pool, class views. It has no objects
 * of its own.
 */
static inline bool
ppool_is_internal_role(const struct rte_mempool *mp)
{
	return ppool_of(mp)->mp != mp;
}

/* The same of any mempool. */
bool ppool_is_mono_pool(const struct rte_mempool *mp);
bool ppool_is_internal_pool(const struct rte_mempool *mp);

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

/* ppool_slot.c */

/* Idle slots of an lcore, whose lock is held. For headers the compiler knows what these return. */
static inline struct rte_mbuf **
ppool_lcore_slots(struct ppool_lcore *lc, unsigned int size_class)
{
	return size_class == PPOOL_HEADERS ?
			lc->slots :
			&lc->slots[PPOOL_LCORE_HEADERS + (size_class - 1) * PPOOL_LCORE_SLOTS];
}

static inline unsigned int
ppool_lcore_slots_keep(const struct ppool *p, unsigned int size_class)
{
	return size_class == PPOOL_HEADERS ? PPOOL_LCORE_HEADERS :
					     p->depot.size_class[size_class].keep;
}

/* For how many more there is room. */
static inline unsigned int
ppool_lcore_slots_room(const struct ppool *p, const struct ppool_lcore *lc, unsigned int size_class)
{
	return ppool_lcore_slots_keep(p, size_class) - lc->nb_slots[size_class];
}

/* Put what there is room for. */
static inline void
ppool_lcore_add_slots(struct ppool_lcore *lc, unsigned int size_class, struct rte_mbuf * const *m,
		unsigned int n)
{
	uint32_t old = lc->nb_slots[size_class];

	ppool_copy((void **)(ppool_lcore_slots(lc, size_class) + old), (void * const *)m, n);
	__atomic_store_n(&lc->nb_slots[size_class], old + n, __ATOMIC_RELEASE);
}

/* Put all or none. Returns false where there is no room. */
static inline bool
ppool_lcore_push_slots(const struct ppool *p, struct ppool_lcore *lc, unsigned int size_class,
		struct rte_mbuf * const *m, unsigned int n)
{
	if (unlikely(n > ppool_lcore_slots_room(p, lc, size_class)))
		return false;
	ppool_lcore_add_slots(lc, size_class, m, n);
	return true;
}

/* Take up to n, what came last first. Returns how many. */
static inline unsigned int
ppool_lcore_pop_slots(struct ppool_lcore *lc, unsigned int size_class, struct rte_mbuf **m,
		unsigned int n)
{
	uint32_t left;

	n = RTE_MIN(n, lc->nb_slots[size_class]);
	left = lc->nb_slots[size_class] - n;
	__atomic_store_n(&lc->nb_slots[size_class], left, __ATOMIC_RELAXED);
	ppool_copy((void **)m, (void * const *)(ppool_lcore_slots(lc, size_class) + left), n);
	return n;
}

/*
 * Note whose slots are, in a tracked pool also when they are handed out: who came for those of an
 * lcore, and ended before it took them out of the list, has left its name on them.
 */
static inline void
ppool_slots_own(struct rte_mbuf * const *m, unsigned int n, ppool_owner_t owner)
{
	while (n-- > 0)
		ppool_frag_of(m[n])->owner = owner;
}

/* The smallest class with so much behind the headroom; PPOOL_HEADERS where there is none. */
static inline unsigned int
ppool_class_for(const struct ppool *p, uint32_t room)
{
	const struct ppool_depot *d = &p->depot;

	if (unlikely(room > d->room_max))
		return PPOOL_HEADERS;
	room -= RTE_MIN(room, (uint32_t)d->room_min);
	return d->class_for[(room + RTE_CACHE_LINE_MIN_SIZE - 1) / RTE_CACHE_LINE_MIN_SIZE];
}

/*
 * The page of a slot, NULL where there is none. Whoever shares the memory can write to the record,
 * which says so: it has to be what it was formatted as, as far as lists go by it.
 */
struct ppool_page *ppool_slot_page(const struct ppool *p, const struct rte_mbuf *m);
/* Log that a slot cannot be put anywhere, as its record says of no page that it is there. */
__rte_cold void ppool_slot_lost(const struct ppool *p, const struct rte_mbuf *m);
/* Make a page that of a class without an idle slot. Returns false where the depot is stuck. */
bool ppool_slots_add_page(struct ppool *p, unsigned int size_class, void *obj);
/* A depot without pages, whose classes are known. */
void ppool_depot_init(struct ppool_depot *d);
/* Lock the depot. Returns false, without it, where a process was stopped inside. */
bool ppool_depot_enter(struct ppool *p);
/* The same for as long as it takes: set-up paths. */
void ppool_depot_wait(struct ppool *p);
void ppool_depot_leave(struct ppool *p);
/* Make its lists anew: links may have been overwritten. Returns false where it is stuck. */
bool ppool_depot_relist(struct ppool *p);
/* Take idle slots from the depot. Returns how many, 0 where there are none, else perhaps less. */
unsigned int ppool_depot_pop(struct ppool *p, unsigned int size_class, struct rte_mbuf **m,
		unsigned int n);
/* The same of one slot page, where it is one of the class. */
unsigned int ppool_depot_pop_from(struct ppool *p, unsigned int size_class, uint32_t page,
		struct rte_mbuf **m, unsigned int n);
/* Of any classes. */
void ppool_depot_push(struct ppool *p, struct rte_mbuf * const *m, unsigned int n);
/* Give wholly idle pages back. Depot lock held. Returns how many went. */
unsigned int ppool_depot_release(struct ppool *p);
void ppool_slots_flush_all(struct ppool *p);
/* Put idle slots of a class to those of the lcore. */
void ppool_slots_put(struct ppool *p, unsigned int size_class, struct rte_mbuf * const *m,
		unsigned int n);
/*
 * Move what a process that has ended left with its lcores to the depot, and have what it was about
 * to take from others be theirs. Returns false where another process is stopped inside.
 */
bool ppool_slots_inherit(struct ppool *p, uint32_t process);
/* Make an mbuf that of an idle slot, whatever was done to it. */
void ppool_slot_restore(struct ppool *p, struct rte_mbuf *m);
/* Make an mbuf what that of a header without a frag has to be. */
void ppool_header_reset(const struct ppool *p, struct rte_mbuf *m);
/* Give back headers that never had a frag. */
void ppool_headers_return(struct ppool *p, struct rte_mbuf * const *m, unsigned int n);

/* ppool_class.c */

/* The classes of a layout that is known. */
void ppool_classes_init(struct ppool *p);
/* What a class has behind the headroom. */
uint16_t ppool_class_room(const struct ppool *p, unsigned int size_class);

/* ppool_park.c: depot lock held */
struct ppool_page *ppool_park_find(struct ppool *p, uint32_t bytes);
void ppool_park(struct ppool *p, struct ppool_page *pg, uint32_t open);
void ppool_unpark(struct ppool *p, struct ppool_page *pg);
unsigned int ppool_park_release(struct ppool *p);
void ppool_park_repair(struct ppool *p);

/* ppool_supply.c */

/* Take n free pages, wherever they are. All or none. */
int ppool_pages_get(struct ppool *p, void **obj, unsigned int n);
/* The same for rte_mempool, whose cache of this lcore is in the midst of a change. */
int ppool_pages_get_whole(struct ppool *p, void **obj, unsigned int n);
/* Take n idle slots of a class, wherever they are. Returns how many. */
unsigned int ppool_slots_get(struct ppool *p, unsigned int size_class, struct rte_mbuf **m,
		unsigned int n);
uint64_t ppool_slots_idle(const struct ppool *p, unsigned int size_class);
/* Headers that have a frag, or are in the hands of one who is about to cut one; other slots. */
uint64_t ppool_slots_used(const struct ppool *p, unsigned int size_class);
/*
 * Pages in no free list that are to be had all the same: idle slot pages but for those that carvers
 * reserve, and parked pages without a frag. Never more than ppool_reclaim() would collect: while
 * frags are in use, a page some of whose idle slots wait with lcores does not count.
 */
uint32_t ppool_idle_count(const struct ppool *p);
/* Of these, the slot pages of a class other than headers. */
uint32_t ppool_class_idle_count(const struct ppool *p, unsigned int size_class);
/* Collect pages that are not free but that nobody uses. */
bool ppool_reclaim(struct ppool *p, bool force);
/* The next search need not wait for frees. */
void ppool_reclaim_soon(struct ppool *p);
/*
 * Give back headers for whose frags there was no memory. Pages that were taken for slots since
 * grown was ppool_slots_grown(), or are idle with so many, may be what is missing.
 */
void ppool_headers_give_back(struct ppool *p, struct rte_mbuf * const *m, unsigned int n,
		uint64_t grown);

static inline uint64_t
ppool_slots_grown(const struct ppool *p)
{
	return __atomic_load_n(&p->stats.header_page_get, __ATOMIC_RELAXED);
}

/* ppool_pinned.c */

/* What shinfo.free_cb of a slot shall be: the same address in all processes, if possible. */
uintptr_t ppool_free_cb(void);
void ppool_check_free_cb(const struct ppool *p);

/* ppool_frag.c */

/* In place of an account: the mbuf behind it is that of a page. Headers have no data room. */
#define PPOOL_ACCOUNT_MONO (PPOOL_RECORD_SLOT | PPOOL_HEADERS)

_Static_assert((PPOOL_RECORD_SLOT | PPOOL_RECORD_CLASS | (PPOOL_ACCOUNTS_MAX - 1)) == UINT16_MAX &&
				(PPOOL_CLASSES - 1) * PPOOL_ACCOUNTS_MAX == PPOOL_RECORD_CLASS,
		"an account and a class do not fit into a record");

/*
 * Whether the record of an mbuf is that of a frag. Whoever shares the memory of the pool can write
 * to it: no index may lead out of the page table, or to a page of another kind.
 */
static inline bool
ppool_is_frag(const struct ppool *p, const struct rte_mbuf *m)
{
	const struct ppool_frag *frag = ppool_frag_of(m);

	return frag->account < PPOOL_RECORD_SLOT && frag->page < p->mp->size &&
			p->page[frag->page].kind == PPOOL_KIND_DATA;
}

/* What a frag or a slot is charged to. */
static inline uint16_t
ppool_record_account(const struct ppool_frag *frag)
{
	return frag->account & (PPOOL_ACCOUNTS_MAX - 1);
}

/* The account of a slot with a data room that is charged to none. */
static inline uint16_t
ppool_record_slot(unsigned int size_class)
{
	return (uint16_t)(PPOOL_RECORD_SLOT | size_class * PPOOL_ACCOUNTS_MAX);
}

/* The class of a slot with a data room. */
static inline unsigned int
ppool_record_class(const struct ppool_frag *frag)
{
	return (frag->account & PPOOL_RECORD_CLASS) / PPOOL_ACCOUNTS_MAX;
}

static inline void
ppool_record_set_account(struct ppool_frag *frag, uint16_t account)
{
	frag->account = (uint16_t)((frag->account & ~(PPOOL_ACCOUNTS_MAX - 1)) | account);
}

void ppool_frag_free_bulk(struct ppool *p, struct rte_mbuf * const *m, unsigned int n);

/* ppool_split.c */
int ppool_layout_init(struct ppool *p);
/* Free the internal pools and the page table, if there are any. */
void ppool_unsplit(struct ppool *p);

/* ppool_stats.c */

/* Frags handed out and not freed yet. */
uint64_t ppool_frag_live(const struct ppool *p);

/*
 * ppool_account_table.c
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

static inline void
ppool_uncharge_init(struct ppool_uncharge *u)
{
	u->account = 0;
	u->nb_others = 0;
}

/* ppool_account.c */

/* What a charged packet weighs has changed. */
void ppool_account_adjust(struct ppool *p, uint16_t account, int64_t bytes);
/*
 * Charge a copy of a packet, which is about to be freed, to its account in place of the packet.
 * Returns false, and changes nothing, where that would exceed the limit or where the packet belongs
 * to two accounts.
 */
bool ppool_account_pass_on(struct rte_mbuf *m, struct rte_mbuf *by);

/* memory/secondary.c: whether the pages of a pool are mapped in this process */
bool ppool_is_mapped(const struct ppool *p);

/* ppool_carver.c: by the carver's owner, or with the list of carvers locked, about */
uint32_t ppool_lane_bytes(const struct ppool_carver *c, const struct ppool_lane *l);
/* The list of carvers stays as it is, and they stay allocated. */
void ppool_carvers_lock(struct ppool *p);
void ppool_carvers_unlock(struct ppool *p);
/* Free the carvers of processes that have ended. Nobody uses the pool. Returns how many. */
unsigned int ppool_carvers_reap(struct ppool *p);
/* The pool is freed before its carvers are: they hand out nothing any more. */
void ppool_carvers_orphan(struct ppool *p);

#endif /* _PPOOL_PRIVATE_H_ */
