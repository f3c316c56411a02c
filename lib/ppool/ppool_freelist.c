/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Free pages, last-in first-out: those of the lcore first, then the shared ones, then those of
 * other lcores, so that no free page is ever out of reach.
 *
 * An lcore has pages at hand, and a magazine that is full or empty (Bonwick and Adams, "Magazines
 * and Vmem", USENIX 2001). It trades a full one for an empty one of the shared part, or the other
 * way round, by pointer: the shared lock is held for a moment, however many pages change hands.
 * Where pages are short, and for threads that are no lcore, they are shared one by one: loose.
 */

#include <errno.h>
#include <string.h>

#include <rte_malloc.h>

#include "ppool_freelist.h"

/*
 * Counts are read without locks, too. What stands before a change of a count is done before it,
 * what stands behind it afterwards: a process may end in between, and must not leave a page in two
 * lists.
 */
static inline void
count_set(uint32_t *count, uint32_t n)
{
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	__atomic_store_n(count, n, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

static inline unsigned int
lcore_count(const struct ppool_lcore *lc)
{
	return __atomic_load_n(&lc->nb_pages, __ATOMIC_RELAXED) +
			__atomic_load_n(&lc->nb_spare, __ATOMIC_RELAXED);
}

/* What the shared part has at hand. Exact where its lock is held. */
static inline unsigned int
shared_at_hand(const struct ppool *p)
{
	return __atomic_load_n(&p->nb_loose, __ATOMIC_RELAXED) +
			__atomic_load_n(&p->nb_full, __ATOMIC_RELAXED) * PPOOL_MAGAZINE;
}

static inline unsigned int
shared_count(const struct ppool *p)
{
	return shared_at_hand(p) + __atomic_load_n(&p->nb_limbo, __ATOMIC_RELAXED);
}

unsigned int
ppool_freelist_count(const struct ppool *p)
{
	unsigned int n = shared_count(p);
	const struct ppool_lcore *lc;

	PPOOL_LCORE_FOREACH(p, lc)
		n += lcore_count(lc);
	return n;
}

/* Enough for all pages; a trade is always one full against one empty, so the number is constant. */
static size_t
magazines_needed(uint32_t pages)
{
	return (pages + PPOOL_MAGAZINE - 1) / PPOOL_MAGAZINE;
}

/* The table of magazines fills cache lines, so that magazines do. */
static size_t
magazine_table(uint32_t pages)
{
	return RTE_ALIGN_CEIL(magazines_needed(pages) * sizeof(void **), RTE_CACHE_LINE_SIZE);
}

size_t
ppool_freelist_memory(uint32_t pages)
{
	return magazine_table(pages) +
			(magazines_needed(pages) * PPOOL_MAGAZINE + pages) * sizeof(void *);
}

/* Loose pages: there is room for all of the pool, and no more. Shared lock held. */

static void
loose_refuse(const struct ppool *p, unsigned int n)
{
	PPOOL_LOG(ERR,
			"mempool %s: %u objects more were put into it than it has: they were put twice "
			"(a build with -Dppool_debug=true says by whom)",
			p->mp->name, n);
}

static void
loose_push(struct ppool *p, void * const *obj, unsigned int n)
{
	unsigned int room = p->mp->size - p->nb_loose;

	if (unlikely(n > room)) {
		loose_refuse(p, n - room);
		n = room;
	}
	memcpy(&p->loose[p->nb_loose], obj, n * sizeof(*obj));
	count_set(&p->nb_loose, p->nb_loose + n);
}

/* Take up to n. */
static unsigned int
loose_pop(struct ppool *p, void **obj, unsigned int n)
{
	n = RTE_MIN(n, p->nb_loose);
	count_set(&p->nb_loose, p->nb_loose - n);
	memcpy(obj, &p->loose[p->nb_loose], n * sizeof(*obj));
	return n;
}

/* Have n loose pages, as long as there are full magazines. */
static void
loose_provide(struct ppool *p, unsigned int n)
{
	while (p->nb_loose < n && p->nb_full > 0) {
		count_set(&p->nb_full, p->nb_full - 1);
		loose_push(p, p->magazine[p->nb_full], PPOOL_MAGAZINE);
	}
}

/* What an lcore has becomes loose. Both locks held. */
static void
lcore_loosen(struct ppool *p, struct ppool_lcore *lc)
{
	unsigned int n = lc->nb_spare;

	count_set(&lc->nb_spare, 0);
	loose_push(p, lc->spare, n);
	n = lc->nb_pages;
	count_set(&lc->nb_pages, 0);
	loose_push(p, lc->pages, n);
}

/*
 * Magazines: those of the shared part are an array, the full ones in front. A trade swaps the spare
 * one of an lcore with the one on this or that side of the border. Both locks held. A process that
 * ends in the midst of a trade leaves one magazine in two places: magazines_repair().
 */

static void
magazine_swap(struct ppool *p, struct ppool_lcore *lc, uint32_t i)
{
	void **theirs = p->magazine[i];

	__atomic_store_n(&p->magazine[i], lc->spare, __ATOMIC_RELAXED);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	lc->spare = theirs;
}

static void
trade_full(struct ppool *p, struct ppool_lcore *lc)
{
	count_set(&lc->nb_spare, 0);
	magazine_swap(p, lc, p->nb_full);
	count_set(&p->nb_full, p->nb_full + 1);
}

static void
trade_empty(struct ppool *p, struct ppool_lcore *lc)
{
	count_set(&p->nb_full, p->nb_full - 1);
	magazine_swap(p, lc, p->nb_full);
	count_set(&lc->nb_spare, PPOOL_MAGAZINE);
}

/* How many places a magazine is in. */
static unsigned int
magazine_places(const struct ppool *p, void * const *magazine)
{
	size_t i, n = magazines_needed(p->mp->size);
	const struct ppool_lcore *lc;
	unsigned int places = 0;

	for (i = 0; i < n; i++)
		places += p->magazine[i] == magazine;
	PPOOL_LCORE_FOREACH(p, lc)
		places += lc->spare == magazine;
	return places;
}

/* A magazine that is nowhere. There is one for each that is in two places. */
static void **
magazine_find_lost(const struct ppool *p)
{
	size_t i, n = magazines_needed(p->mp->size);
	void **memory = RTE_PTR_ADD(p->magazine, magazine_table(p->mp->size));
	struct ppool_lcore *lc;

	for (i = 0; i < n; i++)
		if (magazine_places(p, memory + i * PPOOL_MAGAZINE) == 0)
			return memory + i * PPOOL_MAGAZINE;
	PPOOL_LCORE_FOREACH(p, lc)
		if (magazine_places(p, lc->magazine) == 0)
			return lc->magazine;
	return NULL;
}

/* The process that held the shared lock has ended. */
static void
magazines_repair(struct ppool *p)
{
	struct ppool_lcore *lc;

	PPOOL_LCORE_FOREACH(p, lc)
		if (ppool_process_is_dead(lc->lock.process) && lc->nb_spare == 0 &&
				magazine_places(p, lc->spare) > 1)
			lc->spare = magazine_find_lost(p);
}

/*
 * Limbo: where pages are put while the shared part is stuck. Each is linked by its line of the page
 * table; whoever has the shared lock next takes all of them.
 */

static void
pages_limbo_push(struct ppool *p, void * const *obj, unsigned int n)
{
	struct ppool_page *pg;
	uint32_t first;
	unsigned int i;

	/* Counted before they are there: the count is never too low. */
	__atomic_fetch_add(&p->nb_limbo, n, __ATOMIC_RELAXED);
	for (i = 0; i < n; i++) {
		pg = ppool_page_of(p, obj[i]);
		first = __atomic_load_n(&p->limbo, __ATOMIC_RELAXED);
		do {
			pg->next = first;
		} while (!__atomic_compare_exchange_n(&p->limbo, &first, (uint32_t)(pg - p->page),
				true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	}
}

/*
 * One by one, so that a process that ends here has one page in hand, which says so: marked as those
 * who put them, pages would never be missed while these live. Others only add pages in front.
 */
static __rte_noinline void
pages_limbo_drain(struct ppool *p)
{
	uint32_t i = __atomic_load_n(&p->limbo, __ATOMIC_ACQUIRE);
	void *obj;

	while (i != PPOOL_NONE) {
		obj = p->page[i].obj;
		ppool_pages_mark(p, &obj, 1, ppool_owner_me());
		if (!__atomic_compare_exchange_n(&p->limbo, &i, p->page[i].next, false,
				    __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE))
			continue;
		ppool_pages_mark(p, &obj, 1, PPOOL_OWNER_NONE);
		loose_push(p, &obj, 1);
		__atomic_fetch_sub(&p->nb_limbo, 1, __ATOMIC_RELAXED);
		i = __atomic_load_n(&p->limbo, __ATOMIC_ACQUIRE);
	}
}

static void
shared_settle(struct ppool *p, enum ppool_locked locked)
{
	if (unlikely(locked == PPOOL_TAKEN_OVER))
		magazines_repair(p);
	if (unlikely(__atomic_load_n(&p->limbo, __ATOMIC_RELAXED) != PPOOL_NONE))
		pages_limbo_drain(p);
}

/* Returns false, without the lock, where a process was stopped inside. */
static bool
shared_enter(struct ppool *p)
{
	enum ppool_locked locked;

	ppool_debug_lock();
	locked = ppool_mutex_lock(&p->shared_lock);
	if (unlikely(locked == PPOOL_STUCK))
		return false;
	shared_settle(p, locked);
	return true;
}

static void
shared_leave(struct ppool *p)
{
	ppool_mutex_unlock(&p->shared_lock);
}

/*
 * A page of a tracked pool is marked as nobody's before it is in a list: no mark ever says that
 * somebody holds what can be taken by others.
 */
static inline void
pages_give_up(struct ppool *p, void * const *obj, unsigned int n)
{
	if (unlikely(p->tracked))
		ppool_pages_mark(p, obj, n, PPOOL_OWNER_NONE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Put to the loose pages, in any case. */
static void
shared_put(struct ppool *p, void * const *obj, unsigned int n)
{
	if (unlikely(!shared_enter(p))) {
		if (p->page != NULL) {
			pages_limbo_push(p, obj, n);
			return;
		}
		/* Without a page table there is no limbo. */
		shared_settle(p, ppool_mutex_wait(&p->shared_lock));
	}
	pages_give_up(p, obj, n);
	loose_push(p, obj, n);
	shared_leave(p);
}

/* The lists of an owner */

static struct ppool_lcore *
lcore_create(struct ppool *p, uint32_t owner)
{
	struct ppool_lcore *lc, *other;

	lc = rte_zmalloc_socket("ppool_lcore", sizeof(*lc), RTE_CACHE_LINE_SIZE, p->mp->socket_id);
	if (lc == NULL)
		return NULL;
	ppool_lock_init(&lc->lock, p->biased);
	lc->max_pages = PPOOL_LCORE_PAGES;
	lc->spare = lc->magazine;
	lc->owner = (ppool_owner_t)owner;
	lc->drop_owner = lc->owner;
	/* The lock of lists that were abandoned protects what was dropped as this owner. */
	PPOOL_LCORE_FOREACH(p, other)
		if (other->owner == owner)
			lc->drop_owner = PPOOL_OWNER_NONE;
	lc->next = __atomic_load_n(&p->lists, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&p->lists, &lc->next, lc, true, __ATOMIC_RELEASE,
			__ATOMIC_RELAXED))
		;
	__atomic_store_n(&p->lcore[owner], lc, __ATOMIC_RELEASE);
	return lc;
}

/* Lists for the lcores of this process: later it would be in the midst of their work. */
static void
lists_prepare(struct ppool *p)
{
	unsigned int id;

	if (!ppool_process_join() || (p->biased && !ppool_lock_can_bias()))
		return;
	RTE_LCORE_FOREACH(id)
		lcore_create(p, ppool_owner_of(id));
}

/* Before a process does anything to a pool that another one made. */
static void
lists_note_foreign(struct ppool *p)
{
	if (p->foreign || ppool_process_self() == p->creator)
		return;
	/* Either we see that the pool is split, or who splits it sees this. */
	__atomic_store_n(&p->foreign, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	ppool_freelist_track(p);
}

/* Lists of ours that we have abandoned, and that nobody is in any more. */
static struct ppool_lcore *
lcore_return(struct ppool *p, uint32_t owner)
{
	struct ppool_lcore *lc;

	PPOOL_LCORE_FOREACH(p, lc)
		if (lc->owner == owner &&
				__atomic_load_n(&lc->lock.visitor.holder, __ATOMIC_ACQUIRE) == 0)
			break;
	if (lc != NULL)
		__atomic_store_n(&p->lcore[owner], lc, __ATOMIC_RELEASE);
	return lc;
}

struct ppool_lcore *
ppool_lcore_missing(struct ppool *p)
{
	bool numbered = ppool_process_join();
	struct ppool_lcore *lc;

	/* A process that membarrier does not reach must stay out of biased locks. */
	if (p->biased && !ppool_lock_can_bias())
		return NULL;
	lists_note_foreign(p);
	if (!numbered || rte_lcore_id() >= RTE_MAX_LCORE)
		return NULL;
	/* They were made for us, or this process had no number a moment ago. */
	lc = ppool_lcore_existing(p);
	if (lc == NULL)
		lc = lcore_return(p, ppool_owner_id());
	return lc != NULL ? lc : lcore_create(p, ppool_owner_id());
}

struct ppool_lcore *
ppool_lcore_abandon(struct ppool *p, struct ppool_lcore *lc)
{
	PPOOL_LOG(WARNING,
			"mempool %s: another process was stopped in the free lists of lcore %u, which "
			"goes on with others",
			p->mp->name, rte_lcore_id());
	__atomic_store_n(&p->lcore[lc->owner], NULL, __ATOMIC_RELAXED);
	return NULL;
}

int
ppool_freelist_init(struct ppool *p)
{
	size_t i, n = magazines_needed(p->mp->size);
	void **memory;

	p->magazine = rte_malloc_socket("ppool_free", ppool_freelist_memory(p->mp->size),
			RTE_CACHE_LINE_SIZE, p->mp->socket_id);
	if (p->magazine == NULL)
		return -ENOMEM;
	memory = RTE_PTR_ADD(p->magazine, magazine_table(p->mp->size));
	for (i = 0; i < n; i++)
		p->magazine[i] = memory + i * PPOOL_MAGAZINE;
	p->loose = memory + n * PPOOL_MAGAZINE;
	p->limbo = PPOOL_NONE;
	lists_prepare(p);
	return 0;
}

void
ppool_freelist_fini(struct ppool *p)
{
	struct ppool_lcore *lc, *next;

	/* Their magazines have changed hands. */
	for (lc = p->lists; lc != NULL; lc = next) {
		next = lc->next;
		rte_free(lc);
	}
	rte_free(p->magazine);
}

/* Take up to n pages of an lcore, what came last first. Its lock held. */
static unsigned int
lcore_pop(struct ppool_lcore *lc, void **obj, unsigned int n)
{
	unsigned int k = RTE_MIN(n, lc->nb_pages), more, rest;

	ppool_lcore_pop_pages(lc, obj, k);
	if (k == n || lc->nb_spare == 0)
		return k;
	more = RTE_MIN(n - k, PPOOL_MAGAZINE);
	rest = PPOOL_MAGAZINE - more;
	count_set(&lc->nb_spare, 0);
	memcpy(obj + k, lc->spare + rest, more * sizeof(*obj));
	memcpy(lc->pages, lc->spare, rest * sizeof(*obj));
	count_set(&lc->nb_pages, rest);
	return k + more;
}

/* Put up to n pages to the others of an lcore. Its lock held. */
static unsigned int
lcore_push(struct ppool *p, struct ppool_lcore *lc, void * const *obj, unsigned int n)
{
	/* Another lcore may have lowered max_pages below what is here. */
	n = RTE_MIN(n, lc->max_pages - RTE_MIN(lc->max_pages, lc->nb_pages));
	pages_give_up(p, obj, n);
	ppool_lcore_push_pages(lc, obj, n);
	return n;
}

/*
 * Take from an lcore and from the shared part, which have n pages together. Returns how many are
 * taken; the rest is in the magazine that the lcore has then. Both locks held.
 */
static unsigned int
lcore_gather(struct ppool *p, struct ppool_lcore *lc, void **obj, unsigned int n)
{
	unsigned int got = lcore_pop(lc, obj, n);

	if (unlikely(n - got > PPOOL_MAGAZINE))
		loose_provide(p, n - got);
	got += loose_pop(p, obj + got, n - got);
	PPOOL_COUNT(lc->stats.refill_shared, 1);
	if (got < n) {
		lc->max_pages = PPOOL_LCORE_PAGES;
		trade_empty(p, lc);
		return got;
	}
	/* Some more for later. An lcore that consumes may keep more again. */
	lc->max_pages = RTE_MIN(2 * lc->max_pages, PPOOL_LCORE_PAGES);
	count_set(&lc->nb_pages, loose_pop(p, lc->pages, lc->max_pages / 4));
	return got;
}

/* From our lists and the shared part, as long as they have n together. */
static int
refill_shared(struct ppool *p, struct ppool_lcore *lc, void **obj, unsigned int n)
{
	unsigned int got;
	bool enough;

	if (lcore_count(lc) + shared_count(p) < n || !shared_enter(p))
		return -ENOBUFS;
	if (unlikely(!ppool_lock_owner(&lc->lock))) {
		shared_leave(p);
		return -ENOBUFS;
	}
	/* Pages still get into limbo. */
	enough = lcore_count(lc) + shared_at_hand(p) >= n;
	got = enough ? lcore_gather(p, lc, obj, n) : n;
	shared_leave(p);
	/* What is in the magazine is copied without the shared lock. */
	lcore_pop(lc, obj + got, n - got);
	if (unlikely(p->tracked) && enough)
		ppool_pages_mark(p, obj, n, lc->owner);
	ppool_lcore_leave(lc);
	return enough ? 0 : -ENOBUFS;
}

/* Loose pages, for us: no lists are locked but the shared ones. */
static int
loose_take(struct ppool *p, void **obj, unsigned int n)
{
	if (p->nb_loose < n)
		return -ENOBUFS;
	loose_pop(p, obj, n);
	if (unlikely(p->tracked))
		ppool_pages_mark(p, obj, n, ppool_owner_me());
	return 0;
}

/* refill_shared() of a thread that is no lcore. */
static int
refill_other(struct ppool *p, void **obj, unsigned int n)
{
	int ret;

	if (shared_count(p) < n || !shared_enter(p))
		return -ENOBUFS;
	if (shared_at_hand(p) >= n)
		loose_provide(p, n);
	ret = loose_take(p, obj, n);
	shared_leave(p);
	return ret;
}

/*
 * Make pages of an lcore loose: as many as are missing, at least half, the coldest ones. It will
 * keep fewer, so that others need not come for them again. Shared lock held.
 */
static void
lcore_visit(struct ppool *p, struct ppool_lcore *lc, unsigned int missing)
{
	unsigned int n, spare, rest;

	if (lcore_count(lc) == 0 || !ppool_lock_visitor(&lc->lock))
		return;
	n = RTE_MAX(missing, (lcore_count(lc) + 1) / 2);
	spare = lc->nb_spare;
	count_set(&lc->nb_spare, 0);
	loose_push(p, lc->spare, spare);
	n = RTE_MIN(n - RTE_MIN(n, spare), lc->nb_pages);
	rest = lc->nb_pages - n;
	count_set(&lc->nb_pages, 0);
	loose_push(p, lc->pages, n);
	memmove(lc->pages, lc->pages + n, rest * sizeof(lc->pages[0]));
	count_set(&lc->nb_pages, rest);
	lc->max_pages = RTE_MAX(lc->max_pages / 2, PPOOL_LCORE_PAGES_MIN);
	ppool_unlock_visitor(&lc->lock);
}

/* Search everywhere. Under the shared lock, so that two searchers cannot starve each other. */
static int
refill_others(struct ppool *p, struct ppool_lcore *self, void **obj, unsigned int n)
{
	struct ppool_lcore *lc;
	int ret;

	if (ppool_freelist_count(p) < n || !shared_enter(p))
		return -ENOBUFS;
	if (self != NULL && ppool_lock_owner(&self->lock)) {
		lcore_loosen(p, self);
		ppool_lcore_leave(self);
	}
	loose_provide(p, n);
	PPOOL_LCORE_FOREACH(p, lc) {
		if (p->nb_loose >= n)
			break;
		if (lc != self)
			lcore_visit(p, lc, n - p->nb_loose);
	}
	ret = loose_take(p, obj, n);
	shared_leave(p);
	if (ret == 0)
		PPOOL_STAT_ADD(p, self, refill_neighbour, 1);
	return ret;
}

static __rte_noinline int
freelist_get_slow(struct ppool *p, struct ppool_lcore *lc, void **obj, unsigned int n)
{
	int ret = likely(lc != NULL) ? refill_shared(p, lc, obj, n) : refill_other(p, obj, n);

	return likely(ret == 0) ? 0 : refill_others(p, lc, obj, n);
}

int
ppool_freelist_get(struct ppool *p, void **obj, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_enter(p);
	bool done = false;

	if (likely(lc != NULL)) {
		done = ppool_lcore_pop_pages(lc, obj, n) ||
				(lcore_count(lc) >= n && lcore_pop(lc, obj, n) == n);
		if (unlikely(p->tracked) && done)
			ppool_pages_mark(p, obj, n, lc->owner);
		ppool_lcore_leave(lc);
	}
	return likely(done) ? 0 : freelist_get_slow(p, lc, obj, n);
}

/*
 * Put what there is room for to the pages of an lcore, and fill its magazine where there is not
 * enough. Returns how many pages. Its lock held.
 */
static unsigned int
lcore_put(struct ppool *p, struct ppool_lcore *lc, void * const *obj, unsigned int n)
{
	unsigned int k = lcore_push(p, lc, obj, n);

	if (k == n || lc->nb_spare != 0 || lc->nb_pages != PPOOL_LCORE_PAGES)
		return k;
	count_set(&lc->nb_pages, PPOOL_LCORE_PAGES - PPOOL_MAGAZINE);
	memcpy(lc->spare, lc->pages + lc->nb_pages, PPOOL_MAGAZINE * sizeof(*obj));
	count_set(&lc->nb_spare, PPOOL_MAGAZINE);
	return k + lcore_push(p, lc, obj + k, n - k);
}

/*
 * Make room: a full magazine is for all, or half of what an lcore has that is to keep few. Both
 * locks held.
 */
static void
lcore_flush(struct ppool *p, struct ppool_lcore *lc)
{
	uint32_t half, n;

	if (lc->nb_spare != 0 && unlikely(p->nb_full == magazines_needed(p->mp->size))) {
		loose_refuse(p, lc->nb_spare);
		count_set(&lc->nb_spare, 0);
	} else if (lc->nb_spare != 0) {
		trade_full(p, lc);
	} else {
		half = RTE_MIN(lc->nb_pages, lc->max_pages / 2);
		n = lc->nb_pages - half;
		count_set(&lc->nb_pages, half);
		loose_push(p, lc->pages + half, n);
	}
	PPOOL_COUNT(lc->stats.flush_shared, 1);
}

/* Returns our lists, locked, with room in them; NULL where there are none. */
static struct ppool_lcore *
lcore_make_room(struct ppool *p)
{
	struct ppool_lcore *lc;

	if (!shared_enter(p))
		return NULL;
	lc = ppool_lcore_enter(p);
	if (lc != NULL)
		lcore_flush(p, lc);
	shared_leave(p);
	return lc;
}

/* Put what our lists have no room for. */
static __rte_noinline void
freelist_put_slow(struct ppool *p, void * const *obj, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_get(p);
	unsigned int k;

	/* More than an lcore may keep is not even tried. */
	if (lc != NULL && n > lc->max_pages && lc->max_pages < PPOOL_LCORE_PAGES)
		lc = NULL;
	for (; lc != NULL && n > 0; n -= k, obj += k) {
		lc = lcore_make_room(p);
		if (lc == NULL)
			break;
		k = lcore_put(p, lc, obj, n);
		ppool_lcore_leave(lc);
	}
	if (n > 0)
		shared_put(p, obj, n);
}

void
ppool_freelist_put(struct ppool *p, void * const *obj, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_enter(p);
	unsigned int done = 0;

	if (likely(lc != NULL)) {
		if (likely(!p->tracked && ppool_lcore_push_pages(lc, obj, n)))
			done = n;
		else
			done = lcore_put(p, lc, obj, n);
		ppool_lcore_leave(lc);
	}
	if (unlikely(done < n))
		freelist_put_slow(p, obj + done, n - done);
}

/* All lists at once */

void
ppool_freelist_unlock_all(struct ppool *p, struct ppool_lcore *first)
{
	struct ppool_lcore *lc;

	for (lc = first; lc != NULL; lc = lc->next)
		ppool_unlock_visitor(&lc->lock);
	shared_leave(p);
}

bool
ppool_freelist_lock_all(struct ppool *p, struct ppool_lcore **first)
{
	struct ppool_lcore *lc, *done;

	if (!shared_enter(p))
		return false;
	*first = __atomic_load_n(&p->lists, __ATOMIC_ACQUIRE);
	for (lc = *first; lc != NULL && ppool_lock_visitor(&lc->lock); lc = lc->next)
		;
	if (lc == NULL)
		return true;
	for (done = *first; done != lc; done = done->next)
		ppool_unlock_visitor(&done->lock);
	shared_leave(p);
	return false;
}

static void
pages_each(struct ppool *p, void * const *obj, unsigned int n,
		void (*f)(struct ppool *p, void *obj, void *arg), void *arg)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		f(p, obj[i], arg);
}

void
ppool_freelist_each(struct ppool *p, void (*f)(struct ppool *p, void *obj, void *arg), void *arg)
{
	struct ppool_lcore *lc;
	uint32_t i;

	pages_each(p, p->loose, p->nb_loose, f, arg);
	for (i = 0; i < p->nb_full; i++)
		pages_each(p, p->magazine[i], PPOOL_MAGAZINE, f, arg);
	PPOOL_LCORE_FOREACH(p, lc) {
		pages_each(p, lc->pages, lc->nb_pages, f, arg);
		pages_each(p, lc->spare, lc->nb_spare, f, arg);
	}
}

static void
page_note_free(struct ppool *p, void *obj, void *arg)
{
	RTE_SET_USED(arg);
	ppool_pages_mark(p, &obj, 1, PPOOL_OWNER_NONE);
}

void
ppool_freelist_track(struct ppool *p)
{
	struct ppool_lcore *first;
	uint32_t i;

	if (p->page == NULL || p->tracked)
		return;
	if (!ppool_freelist_lock_all(p, &first)) {
		PPOOL_LOG(WARNING,
				"mempool %s: a process was stopped in its lists: it will not be known "
				"which process holds whole pages",
				p->mp->name);
		return;
	}
	/* What was handed out so far was so by the process that made the pool. */
	for (i = 0; i < p->mp->size && !p->tracked; i++)
		if (p->page[i].kind == PPOOL_KIND_UNSPLIT)
			p->page[i].holder = ppool_owner_unbound(p->creator);
	ppool_freelist_each(p, page_note_free, NULL);
	p->tracked = 1;
	ppool_freelist_unlock_all(p, first);
}

bool
ppool_freelist_inherit(struct ppool *p, uint32_t process)
{
	struct ppool_lcore *lc;
	bool all = true;

	if (!shared_enter(p))
		return false;
	PPOOL_LCORE_FOREACH(p, lc) {
		if (lc->lock.process != process)
			continue;
		if (ppool_lock_visitor(&lc->lock)) {
			lcore_loosen(p, lc);
			/* Nobody is inside: the next process of this number begins anew. */
			__atomic_store_n(&lc->lock.busy, 0, __ATOMIC_RELAXED);
			ppool_unlock_visitor(&lc->lock);
		} else {
			all = false;
		}
	}
	shared_leave(p);
	return all;
}

bool
ppool_freelist_settle(struct ppool *p)
{
	if (!shared_enter(p))
		return false;
	/* Nothing is in limbo: what else is counted was about to be put by one who has ended. */
	__atomic_store_n(&p->nb_limbo, 0, __ATOMIC_RELAXED);
	shared_leave(p);
	return true;
}
