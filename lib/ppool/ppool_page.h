/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_PAGE_H_
#define _PPOOL_PAGE_H_

/*
 * The life of ONE page, and every place where its state is written. devtools/model/page.pml has
 * the same steps. Which pages are free, and whose they are, is not known here.
 *
 *   free, whole --open()--> open --settle()--> closed --last drop()--> free
 *                             |                   ^
 *                             +--park()--> parked +--adopt()--> open
 *   free --mono()--> closed with one frag
 *   free --split()--> slot page --retire()--> free
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_cycles.h>

#include "ppool_owner.h"

/*
 * What is in use of a page: users << 32 | bytes, changed together by one atomic operation.
 *
 *   a mono-frag or a free page   1 user
 *   open in a carver             PPOOL_BIAS users, all bytes of the page; each freed frag takes
 *                                one user and its truesize off
 *   parked                       live frags and one user for the parking
 *   closed                       live frags, their truesize
 *
 * The drop of the last user frees the page. The truesizes of a closed page add up to its bytes,
 * so users and bytes reach zero together.
 */
#define PPOOL_USER (UINT64_C(1) << 32)
#define PPOOL_BIAS (UINT64_C(1) << 24)
#define PPOOL_USERS(use) ((uint32_t)((use) >> 32))
#define PPOOL_BYTES(use) ((uint32_t)(use))

#define PPOOL_NONE UINT32_MAX

/* In place of the owner of a page: all of it is one frag, whose mbuf is that of the page. */
#define PPOOL_PAGE_MONO UINT32_MAX

enum ppool_kind {
	PPOOL_KIND_UNSPLIT, /* free, or handed out as an ordinary object */
	PPOOL_KIND_DATA,
	PPOOL_KIND_SLOTS, /* a slot page of headers, class 0; those of class i are i more */
};

/* One line of the page table. */
struct ppool_page {
	uint64_t use;         /* users << 32 | bytes */
	uint64_t owner_drop;  /* dropped by owners while it is open; under their lock */
	uint32_t owner;       /* of the carver that has it open, else 0; or PPOOL_PAGE_MONO */
	uint8_t kind;         /* enum ppool_kind */
	uint8_t parked;       /* its carver is gone and left open bytes; depot lock */
	ppool_owner_t holder; /* who opened a data page; of a tracked pool: who took it, 0: free */
	uint32_t open;        /* bytes, at its end, that nobody had when it was opened or parked */
	uint32_t idle;        /* of a slot page: slots in the depot; depot lock */
	uint32_t idle_first;  /* the first formatted one of these, linked by ppool_frag.next_idle */
	uint32_t next, prev;  /* in the depot's list, or in that of parked pages; depot lock. Of a
			       * page that is one frag: where its record is, see ppool_mono.c */
	union {
		uint32_t opened;    /* of a data page: ppool_coarse_time() then, 0: by no carver */
		uint32_t formatted; /* of a slot page: slots, the first ones; depot lock */
	};
	char *obj;       /* the element, constant */
	rte_iova_t iova; /* of obj, constant */
} __rte_cache_aligned;

_Static_assert(sizeof(struct ppool_page) == RTE_CACHE_LINE_SIZE, "a page is one cache line");

/* Time */

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
ppool_coarse_time(uint8_t shift)
{
	uint32_t now = (uint32_t)(rte_rdtsc() >> shift);

	return RTE_MAX(now, 1u);
}

/* Milliseconds since a carver opened a page, at least so many; 0 where none did. */
static inline uint64_t
ppool_page_age(const struct ppool_page *pg, uint8_t shift)
{
	uint32_t opened = __atomic_load_n(&pg->opened, __ATOMIC_RELAXED);
	uint32_t age = ppool_coarse_time(shift) - opened;

	/* Both times are rounded down: less than a unit may have passed in the last one. */
	age -= age != 0;
	return opened == 0 ? 0 : ((uint64_t)age << shift) / (rte_get_tsc_hz() / 1000);
}

/* What a page is */

/* Whether a carver still fills a page, by what is in use of it. */
static inline bool
ppool_is_open(uint64_t use)
{
	return PPOOL_USERS(use) > PPOOL_BIAS / 2;
}

static inline uint64_t
ppool_page_use(const struct ppool_page *pg)
{
	return __atomic_load_n(&pg->use, __ATOMIC_ACQUIRE);
}

/* The IOVA of a byte of a page, RTE_BAD_IOVA where the page has none. */
static inline rte_iova_t
ppool_page_iova(const struct ppool_page *pg, size_t offset)
{
	return pg->iova == RTE_BAD_IOVA ? RTE_BAD_IOVA : pg->iova + offset;
}

static inline void
ppool_page_init(struct ppool_page *pg, void *obj, rte_iova_t iova)
{
	pg->obj = (char *)obj;
	pg->iova = iova;
	pg->use = PPOOL_USER;
	pg->kind = PPOOL_KIND_UNSPLIT;
}

/* From a free page, which is the caller's alone */

/* A lane of a carver fills it from now on. */
static inline void
ppool_page_open(struct ppool_page *pg, uint32_t owner, uint32_t now, uint32_t page_bytes)
{
	pg->kind = PPOOL_KIND_DATA;
	pg->holder = ppool_owner_me();
	__atomic_store_n(&pg->opened, now, __ATOMIC_RELAXED);
	__atomic_store_n(&pg->owner, owner, __ATOMIC_RELAXED);
	__atomic_store_n(&pg->use, PPOOL_BIAS * PPOOL_USER + page_bytes, __ATOMIC_RELAXED);
	pg->open = page_bytes;
}

/* All of it is one frag. */
static inline void
ppool_page_mono(struct ppool_page *pg, uint32_t page_bytes)
{
	pg->owner = PPOOL_PAGE_MONO;
	pg->holder = ppool_owner_me();
	pg->opened = 0;
	pg->kind = PPOOL_KIND_DATA;
	__atomic_store_n(&pg->use, PPOOL_USER + page_bytes, __ATOMIC_RELAXED);
}

static inline bool
ppool_page_is_mono(const struct ppool_page *pg)
{
	return pg->kind == PPOOL_KIND_DATA && pg->owner == PPOOL_PAGE_MONO;
}

/* It is divided into slots of a size class, none of which is formatted. */
static inline void
ppool_page_split(struct ppool_page *pg, unsigned int size_class)
{
	__atomic_store_n(&pg->formatted, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&pg->kind, (uint8_t)(PPOOL_KIND_SLOTS + size_class), __ATOMIC_RELEASE);
}

static inline bool
ppool_page_is_slots(const struct ppool_page *pg)
{
	return __atomic_load_n(&pg->kind, __ATOMIC_ACQUIRE) >= PPOOL_KIND_SLOTS;
}

/* Of a slot page. */
static inline unsigned int
ppool_page_class(const struct ppool_page *pg)
{
	return __atomic_load_n(&pg->kind, __ATOMIC_RELAXED) - PPOOL_KIND_SLOTS;
}

/* Back to a free page: me was its last user, and has it in hand. */
static inline void
ppool_page_retire(struct ppool_page *pg, ppool_owner_t me)
{
	pg->holder = me;
	__atomic_store_n(&pg->kind, PPOOL_KIND_UNSPLIT, __ATOMIC_RELEASE);
}

/* Nothing was cut off an open page. */
static inline void
ppool_page_close_unused(struct ppool_page *pg, ppool_owner_t me)
{
	__atomic_store_n(&pg->owner, 0, __ATOMIC_RELAXED);
	ppool_page_retire(pg, me);
}

/* Frags come and go */

/*
 * Give up the bias but for keep users. After that, every frag is freed with an atomic operation.
 * Returns the users that are left.
 */
static inline uint32_t
ppool_page_settle(struct ppool_page *pg, uint32_t frags, uint32_t keep)
{
	uint64_t drop = (PPOOL_BIAS - frags - keep) * PPOOL_USER + pg->owner_drop;

	pg->owner_drop = 0;
	__atomic_store_n(&pg->owner, 0, __ATOMIC_RELAXED);
	return PPOOL_USERS(__atomic_sub_fetch(&pg->use, drop, __ATOMIC_ACQ_REL));
}

/* Close a page that is a mono-frag nobody has seen yet. Returns false where it is not. */
static inline bool
ppool_page_close_mono(struct ppool_page *pg, uint32_t frags, uint32_t page_bytes)
{
	uint64_t unused = PPOOL_BIAS * PPOOL_USER + page_bytes;

	/* An adopted page has other users. */
	if (frags != 1 || __atomic_load_n(&pg->use, __ATOMIC_RELAXED) != unused)
		return false;
	__atomic_store_n(&pg->owner, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&pg->use, PPOOL_USER + page_bytes, __ATOMIC_RELAXED);
	return true;
}

/* The carver leaves bytes at the end to another one; settle with one user kept. Depot lock held. */
static inline void
ppool_page_park(struct ppool_page *pg, uint32_t open)
{
	pg->open = open;
	__atomic_store_n(&pg->parked, 1, __ATOMIC_RELAXED);
}

static inline void
ppool_page_unpark(struct ppool_page *pg)
{
	__atomic_store_n(&pg->parked, 0, __ATOMIC_RELAXED);
}

/* Nothing of a parked page is in use. Depot lock held. */
static inline bool
ppool_page_parked_unused(const struct ppool_page *pg)
{
	return PPOOL_USERS(ppool_page_use(pg)) == 1;
}

/*
 * A lane continues a page that was parked. The parking is one user, which makes place for the bias:
 * nobody else can free the page meanwhile.
 */
static inline void
ppool_page_adopt(struct ppool_page *pg, uint32_t owner)
{
	__atomic_store_n(&pg->owner, owner, __ATOMIC_RELAXED);
	__atomic_fetch_add(&pg->use, (PPOOL_BIAS - 1) * PPOOL_USER, __ATOMIC_ACQUIRE);
}

/* Another owner drives the carver that fills it. The lock of the former owner is held. */
static inline void
ppool_page_pass(struct ppool_page *pg, uint32_t owner)
{
	__atomic_store_n(&pg->owner, owner, __ATOMIC_RELAXED);
}

/*
 * Drop users and bytes of a page at once. Returns whether that was the last user: then the page is
 * in the hands of me, who calls.
 */
static inline bool
ppool_page_drop(struct ppool_page *pg, ppool_owner_t me, uint64_t drop)
{
	uint64_t use = ppool_page_use(pg);

	/* Where all users are ours nobody else can change the count: no write is needed. */
	if (PPOOL_USERS(use) != PPOOL_USERS(drop)) {
		use = __atomic_fetch_sub(&pg->use, drop, __ATOMIC_ACQ_REL);
		if (PPOOL_USERS(use) != PPOOL_USERS(drop))
			return false;
	}
	ppool_page_retire(pg, me);
	return true;
}

/*
 * The same for one who has the page open and holds the lock of its lists, self, if so: then a plain
 * addition does, as settle() takes it off. With self 0, always ppool_page_drop().
 */
static inline bool
ppool_page_drop_as(struct ppool_page *pg, ppool_owner_t me, uint32_t self, uint64_t drop)
{
	if (self != 0 && __atomic_load_n(&pg->owner, __ATOMIC_RELAXED) == self) {
		pg->owner_drop += drop;
		return false;
	}
	return ppool_page_drop(pg, me, drop);
}

#endif /* _PPOOL_PAGE_H_ */
