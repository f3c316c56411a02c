/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* Carvers: set up, passed from thread to thread, freed; their lanes; carving in software. */

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "ppool_freelist.h"

/* How many pages ahead their indexes and their lines of the page table are fetched. */
#define PREFETCH_INDEX 8u
#define PREFETCH_PAGE 4u

/* Most headers that a carver keeps for itself. */
#define RESERVE_MAX 64u

/*
 * Who drives this carver, as far as drops of the owner are concerned: only an lcore with lists of
 * its own has a lock that protects them.
 */
static uint32_t
owner_of_carver(struct ppool *p)
{
	const struct ppool_lcore *lc = ppool_lcore_get(p);

	return lc == NULL ? PPOOL_OWNER_NONE : lc->drop_owner;
}

static int
max_len_check(const struct ppool *p, uint32_t headroom, uint32_t max_len)
{
	uint64_t bytes = (uint64_t)headroom + max_len;

	return bytes > UINT16_MAX || bytes > p->layout.room_bytes ? -EMSGSIZE : 0;
}

void
ppool_carvers_lock(struct ppool *p)
{
	ppool_mutex_wait(&p->carvers_lock);
}

void
ppool_carvers_unlock(struct ppool *p)
{
	ppool_mutex_unlock(&p->carvers_lock);
}

static void
carver_register(struct ppool *p, struct ppool_carver *c)
{
	ppool_carvers_lock(p);
	c->next = p->carvers;
	__atomic_store_n(&p->carvers, c, __ATOMIC_RELEASE);
	PPOOL_COUNT(p->depot.nb_carvers, 1);
	ppool_carvers_unlock(p);
}

/* Take a carver out of the list, and keep what it has counted. The list is locked. */
static void
carver_unlink(struct ppool *p, struct ppool_carver *c)
{
	struct ppool_carver **link;

	for (link = &p->carvers; *link != c; link = &(*link)->next)
		;
	*link = c->next;
	PPOOL_COUNT(p->depot.nb_carvers, -1);
	__atomic_fetch_add(&p->stats.frag_alloc, c->frags, __ATOMIC_RELAXED);
	__atomic_fetch_add(&p->stats.frag_alloc_bytes, c->bytes, __ATOMIC_RELAXED);
	__atomic_fetch_add(&p->stats.page_open, c->pages, __ATOMIC_RELAXED);
}

static void
carver_unregister(struct ppool *p, struct ppool_carver *c)
{
	ppool_carvers_lock(p);
	carver_unlink(p, c);
	ppool_carvers_unlock(p);
}

static void
rearm_init(uint64_t *rearm, const struct ppool_carver_conf *conf)
{
	struct rte_mbuf m;

	memset(&m, 0, sizeof(m));
	m.data_off = conf->headroom;
	rte_mbuf_refcnt_set(&m, 1);
	m.nb_segs = 1;
	m.port = conf->port;
	m.ol_flags = RTE_MBUF_F_EXTERNAL;
	memcpy(rearm, &m.data_off, 2 * sizeof(rearm[0]));
}

/* Slot pages count in open, which they do not need otherwise, what carvers keep of them. */
static void
reserve_count(struct ppool *p, struct rte_mbuf * const *m, unsigned int n, int32_t by)
{
	struct ppool_page *pg;
	unsigned int i;
	uint32_t now;

	for (i = 0; i < n; i++) {
		pg = ppool_slot_page(p, m[i]);
		if (unlikely(pg == NULL))
			continue;
		now = __atomic_add_fetch(&pg->open, (uint32_t)by, __ATOMIC_RELAXED);
		if (now == (by > 0 ? 1u : 0u))
			__atomic_fetch_add(&p->depot.nb_reserved_pages, (uint32_t)by,
					__ATOMIC_RELAXED);
	}
	__atomic_fetch_add(&p->depot.nb_reserved, (uint32_t)by * n, __ATOMIC_RELAXED);
}

/*
 * Headers that this carver keeps, so that it can deliver what its lanes have received when none are
 * to be had. Returns whether there are as many as it may need.
 */
static bool
reserve_fill(struct ppool_carver *c)
{
	struct rte_mbuf **m = c->reserve + c->nb_reserve;
	unsigned int n = ppool_slots_get(c->pool, PPOOL_HEADERS, m, c->max_reserve - c->nb_reserve);

	c->nb_reserve += n;
	reserve_count(c->pool, m, n, 1);
	return c->nb_reserve == c->max_reserve;
}

static __rte_noinline unsigned int
reserve_take(struct ppool_carver *c, struct rte_mbuf **m, unsigned int n)
{
	n = RTE_MIN(n, c->nb_reserve);
	c->nb_reserve -= n;
	memcpy(m, c->reserve + c->nb_reserve, n * sizeof(m[0]));
	reserve_count(c->pool, m, n, -1);
	return n;
}

static void
reserve_return(struct ppool *p, struct ppool_carver *c)
{
	reserve_count(p, c->reserve, c->nb_reserve, -1);
	ppool_headers_return(p, c->reserve, c->nb_reserve);
	c->nb_reserve = 0;
}

/* Count anew what carvers keep: one that has ended in between has not counted what it did. */
static void
reserves_recount(struct ppool *p)
{
	const struct ppool_carver *c;
	uint32_t i;

	for (i = 0; i < p->mp->size; i++)
		if (p->page[i].kind == PPOOL_KIND_SLOTS + PPOOL_HEADERS)
			p->page[i].open = 0;
	p->depot.nb_reserved = 0;
	p->depot.nb_reserved_pages = 0;
	for (c = p->carvers; c != NULL; c = c->next)
		reserve_count(p, c->reserve, c->nb_reserve, 1);
}

/* Lanes, what a debug build appends to them, the reserve. */
static struct ppool_carver *
carver_allocate(struct ppool *p, const struct ppool_carver_conf *conf)
{
	uint32_t reserve = RTE_MIN((uint32_t)conf->nb_lanes, RESERVE_MAX);
	size_t bytes = sizeof(struct ppool_carver) + conf->nb_lanes * sizeof(struct ppool_lane) +
			ppool_debug_carver_bytes(conf->nb_lanes);
	struct ppool_carver *c;

	bytes = RTE_ALIGN_CEIL(bytes, sizeof(c->reserve[0]));
	c = rte_zmalloc_socket("ppool_carver", bytes + reserve * sizeof(c->reserve[0]),
			RTE_CACHE_LINE_SIZE, conf->socket_id);
	if (c == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	/* Tell TSan: the lock of EAL's heap orders this after the previous rte_free(). */
	PPOOL_TSAN_ACQUIRE(&p->carvers);
	c->pool = p;
	c->reserve = RTE_PTR_ADD(c, bytes);
	c->max_reserve = reserve;
	return c;
}

struct ppool_carver *
ppool_carver_create(struct rte_mempool *mp, const struct ppool_carver_conf *conf)
{
	struct ppool_carver *c;
	struct ppool *p;
	int ret;

	if (ppool_frag_pool(mp) == NULL)
		return NULL;
	p = ppool_from_mempool(mp);
	ret = conf->nb_lanes == 0 ? -EINVAL : max_len_check(p, conf->headroom, conf->max_len);
	if (ret != 0) {
		rte_errno = -ret;
		return NULL;
	}
	c = carver_allocate(p, conf);
	if (c == NULL)
		return NULL;
	c->tail_bytes = p->mp->trailer_size;
	c->headroom = conf->headroom;
	rearm_init(c->rearm, conf);
	c->nb_lanes = conf->nb_lanes;
	c->owner = owner_of_carver(p);
	c->driver = ppool_owner_me();
	ppool_carver_set_max_len(c, conf->max_len);
	carver_register(p, c);
	if (!reserve_fill(c)) {
		ppool_carver_free(c);
		rte_errno = ENOMEM;
		return NULL;
	}
	return c;
}

struct rte_mempool *
ppool_carver_frag_pool(const struct ppool_carver *c)
{
	return c->pool == NULL ? NULL : c->pool->frag_mp;
}

/* The lists whose lock protects what was dropped as an owner, NULL where there are none. */
static struct ppool_lcore *
lists_of_owner(struct ppool *p, uint32_t owner)
{
	struct ppool_lcore *lc;

	if (owner == PPOOL_OWNER_NONE)
		return NULL;
	PPOOL_LCORE_FOREACH(p, lc)
		if (lc->drop_owner == owner)
			break;
	return lc;
}

/*
 * Another thread drives this carver now. The former owner may be freeing frags of the open pages
 * at this moment: its lock keeps it out while they change hands.
 */
static __rte_noinline bool
carver_pass(struct ppool_carver *c)
{
	struct ppool *p = c->pool;
	struct ppool_lcore *former;
	unsigned int i;
	uint32_t owner;

	/* The pool is gone. */
	if (p == NULL)
		return false;
	former = lists_of_owner(p, c->owner);
	owner = owner_of_carver(p);

	if (former != NULL && !ppool_lock_visitor(&former->lock))
		return false;
	for (i = 0; i < c->nb_lanes; i++)
		if (c->lane[i].left != 0)
			ppool_page_pass(&p->page[c->lane[i].page], owner);
	c->owner = owner;
	c->driver = ppool_owner_me();
	/* Who drives the carver has its headers. */
	ppool_slots_own(c->reserve, c->nb_reserve, c->driver);
	if (former != NULL)
		ppool_unlock_visitor(&former->lock);
	return true;
}

static inline bool
carver_enter(struct ppool_carver *c)
{
	return likely(c->driver == ppool_owner_id()) || carver_pass(c);
}

/* Continue a page that another carver left behind. */
static __rte_noinline bool
lane_adopt(struct ppool_carver *c, struct ppool_lane *l)
{
	struct ppool *p = c->pool;
	struct ppool_page *pg;

	if (!ppool_depot_enter(p))
		return false;
	pg = ppool_park_find(p, c->max_bytes + c->tail_bytes);
	if (pg != NULL) {
		l->page = (uint32_t)(pg - p->page);
		l->left = pg->open - c->tail_bytes;
		l->addr = pg->obj + p->mp->elt_size - l->left;
		l->iova = ppool_page_iova(pg, p->mp->elt_size - l->left);
		l->unbilled = 0;
		ppool_unpark(p, pg);
		ppool_page_adopt(pg, c->owner);
	}
	ppool_depot_leave(p);
	return pg != NULL;
}

/*
 * Free pages lie in memory that nobody has touched for long. Fetch what lane_open() reads of those
 * that come next: first their indexes, then their lines of the page table.
 */
static void
pages_prefetch(const struct ppool *p)
{
	struct ppool_lcore *lc = ppool_lcore_existing(p);

	if (unlikely(lc == NULL || !ppool_trylock_owner(&lc->lock)))
		return;
	if (likely(lc->nb_pages >= PREFETCH_INDEX)) {
		rte_prefetch0(ppool_index_of(lc->pages[lc->nb_pages - PREFETCH_INDEX]));
		rte_prefetch0(ppool_page_of(p, lc->pages[lc->nb_pages - PREFETCH_PAGE]));
	}
	ppool_tryunlock_owner(&lc->lock);
}

static int
lane_open(struct ppool_carver *c, struct ppool_lane *l)
{
	struct ppool *p = c->pool;
	struct ppool_page *pg;
	uint32_t lead;
	void *obj;

	if (!carver_enter(c))
		return -ENOMEM;
	l->frags = 0;
	if (unlikely(__atomic_load_n(&p->depot.nb_parked, __ATOMIC_RELAXED) != 0) &&
			lane_adopt(c, l))
		return 0;
	if (unlikely(ppool_pages_get(p, &obj, 1) != 0))
		return -ENOMEM;

	if (unlikely(c->nb_reserve < c->max_reserve))
		reserve_fill(c);
	pages_prefetch(p);
	ppool_debug_pages_out(p, &obj, 1, PPOOL_DEBUG_DATA);
	pg = ppool_page_of(p, obj);
	if (c->now == 0)
		c->now = ppool_coarse_time(p->time_shift);
	ppool_page_open(pg, c->owner, c->now, p->layout.page_bytes);
	lead = p->layout.lead_bytes - p->mp->header_size;
	l->addr = pg->obj + lead;
	l->iova = ppool_page_iova(pg, lead);
	l->left = p->layout.room_bytes;
	l->unbilled = p->layout.lead_bytes;
	l->page = (uint32_t)(pg - p->page);
	c->pages++;
	return 0;
}

int
ppool_lane_open(struct ppool_carver *c, struct ppool_lane *l)
{
	int ret;

	ppool_debug_enter(c);
	ret = lane_open(c, l);
	if (ret == 0)
		ppool_debug_lane_open(c, l);
	ppool_debug_leave(c);
	return ret;
}

/* What a lane has cut off its page so far, since it opened or adopted it. */
PPOOL_RACY uint32_t
ppool_lane_bytes(const struct ppool_carver *c, const struct ppool_lane *l)
{
	return c->pool->page[l->page].open - l->left - l->unbilled - c->tail_bytes;
}

/* At least the frag just cut is in use: the page cannot become free here. */
void
ppool_lane_close(struct ppool_carver *c, struct ppool_lane *l)
{
	struct ppool *p = c->pool;
	struct ppool_page *pg;

	if (unlikely(p == NULL))
		return;
	pg = &p->page[l->page];
	ppool_debug_lane_close(c, l);
	c->frags += l->frags;
	c->bytes += pg->open;
	if (!ppool_page_close_mono(pg, l->frags, p->layout.page_bytes))
		ppool_page_settle(pg, l->frags, 0);
}

/* Nothing was cut off this page yet. */
static void
lane_close_unused(struct ppool *p, struct ppool_page *pg)
{
	void *obj = pg->obj;

	ppool_page_close_unused(pg, ppool_owner_me());
	ppool_debug_pages_in(p, &obj, 1, PPOOL_DEBUG_DATA);
	ppool_freelist_put(p, &obj, 1);
}

/* Leave what is left of a page to the next lane that wants it. */
static void
lane_abandon(struct ppool_carver *c, struct ppool_lane *l)
{
	struct ppool *p = c->pool;
	struct ppool_page *pg = &p->page[l->page];

	if (l->unbilled != 0) {
		lane_close_unused(p, pg);
	} else {
		c->frags += l->frags;
		c->bytes += ppool_lane_bytes(c, l);
		ppool_depot_wait(p);
		ppool_park(p, pg, l->left + c->tail_bytes);
		ppool_page_settle(pg, l->frags, 1);
		ppool_depot_leave(p);
	}
	l->left = 0;
}

int
ppool_carver_set_max_len(struct ppool_carver *c, uint32_t max_len)
{
	unsigned int i;
	int ret;

	if (!carver_enter(c))
		return -EPERM;
	ret = max_len_check(c->pool, c->headroom, max_len);
	if (ret != 0)
		return ret;
	ppool_debug_enter(c);
	c->max_bytes = c->headroom + max_len;
	/* A lane must hold the largest frag, or be closed. */
	for (i = 0; i < c->nb_lanes; i++)
		if (c->lane[i].left != 0 && c->lane[i].left < c->max_bytes)
			lane_abandon(c, &c->lane[i]);
	ppool_debug_leave(c);
	return 0;
}

void
ppool_carver_free(struct ppool_carver *c)
{
	struct ppool *p;
	unsigned int i;

	if (c == NULL)
		return;
	p = c->pool;
	if (p != NULL && !carver_enter(c)) {
		PPOOL_LOG(ERR,
				"a carver of mempool %s is left behind: its lcore's lists are out of "
				"reach, as its process is stopped or membarrier(2) is refused to this "
				"one; free it where it was used",
				p->mp->name);
		return;
	}
	if (p != NULL) {
		ppool_debug_enter(c);
		for (i = 0; i < c->nb_lanes; i++)
			if (c->lane[i].left != 0)
				lane_abandon(c, &c->lane[i]);
		reserve_return(p, c);
		carver_unregister(p, c);
		ppool_reclaim(p, true);
		PPOOL_TSAN_RELEASE(&p->carvers);
	}
	rte_free(c);
}

/* What their lanes have left is counted as nobody's by ppool_recover_rest(), which calls. */
unsigned int
ppool_carvers_reap(struct ppool *p)
{
	struct ppool_carver *c, *next;
	unsigned int n = 0;

	ppool_carvers_lock(p);
	for (c = p->carvers; c != NULL; c = next) {
		next = c->next;
		if (!ppool_process_is_dead(ppool_owner_process(c->driver)))
			continue;
		carver_unlink(p, c);
		reserve_return(p, c);
		rte_free(c);
		n++;
	}
	reserves_recount(p);
	ppool_carvers_unlock(p);
	return n;
}

void
ppool_carvers_orphan(struct ppool *p)
{
	struct ppool_carver *c;
	unsigned int i;

	if (p->carvers == NULL)
		return;
	PPOOL_LOG(ERR,
			"mempool %s is freed before %u of its carvers are: close the ports that receive "
			"into it, and call ppool_carver_free(), before rte_mempool_free()",
			p->mp->name, p->depot.nb_carvers);
	for (c = p->carvers; c != NULL; c = c->next) {
		for (i = 0; i < c->nb_lanes; i++)
			c->lane[i].left = 0;
		c->nb_reserve = 0;
		c->max_reserve = 0;
		c->driver = PPOOL_OWNER_NONE;
		c->pool = NULL;
	}
}

unsigned int
ppool_headers_get(struct ppool_carver *c, struct rte_mbuf **m, unsigned int n)
{
	unsigned int got = 0;

	ppool_debug_enter(c);
	c->now = 0;
	if (carver_enter(c))
		got = ppool_slots_get(c->pool, PPOOL_HEADERS, m, n);
	if (unlikely(got < n && c->pool != NULL))
		got += reserve_take(c, m + got, n - got);
	ppool_debug_leave(c);
	return got;
}

void
ppool_headers_put(struct ppool_carver *c, struct rte_mbuf **m, unsigned int n)
{
	if (c->pool == NULL)
		return;
	ppool_debug_enter(c);
	ppool_headers_return(c->pool, m, n);
	ppool_reclaim_soon(c->pool);
	ppool_debug_leave(c);
}

/*
 * Cut frags off an open lane until its page is full or n are cut. Works on a copy of the lane, as
 * the compiler cannot know that no mbuf lies in it.
 */
static unsigned int
carve_page(struct ppool_carver *c, struct rte_mbuf **m, const uint32_t *len, unsigned int n)
{
	struct ppool_lane l = c->lane[0];
	unsigned int i;

	for (i = 0; i < n && l.left != 0; i++) {
		if (unlikely(len[i] > c->max_bytes - c->headroom))
			break;
		/* Even an empty frag is at least a byte. */
		ppool_lane_cut(c, &l, m[i], RTE_MAX(len[i], 1u), 0);
		/* What else rte_pktmbuf_reset() resets. */
		m[i]->tx_offload = 0;
	}
	c->lane[0] = l;
	if (l.left == 0)
		ppool_lane_close(c, &c->lane[0]);
	return i;
}

/* Cut n frags off lane 0 for as many headers. Returns how many. */
static unsigned int
carve(struct ppool_carver *c, struct rte_mbuf **m, const uint32_t *len, unsigned int n)
{
	unsigned int done = 0, k;

	while (done < n) {
		if (c->lane[0].left == 0 && ppool_lane_open(c, &c->lane[0]) != 0)
			break;
		k = carve_page(c, m + done, len + done, n - done);
		if (unlikely(k == 0))
			break;
		done += k;
	}
	return done;
}

unsigned int
ppool_carve_burst(struct ppool_carver *c, struct rte_mbuf **m, const uint32_t *len, unsigned int n)
{
	unsigned int got, done;
	uint64_t grown;

	if (unlikely(c->pool == NULL))
		return 0;
	ppool_debug_enter(c);
	grown = ppool_slots_grown(c->pool);
	got = ppool_headers_get(c, m, n);
	done = carve(c, m, len, got);
	if (unlikely(done < got))
		ppool_headers_give_back(c->pool, m + done, got - done, grown);
	ppool_debug_leave(c);
	return done;
}

int
ppool_carve_bulk(struct ppool_carver *c, struct rte_mbuf **m, const uint32_t *len, unsigned int n)
{
	unsigned int done = ppool_carve_burst(c, m, len, n);

	if (likely(done == n))
		return 0;
	ppool_frag_free_bulk(c->pool, m, done);
	return -ENOMEM;
}

struct rte_mbuf *
ppool_carve(struct ppool_carver *c, uint32_t len)
{
	struct rte_mbuf *m;

	return ppool_carve_burst(c, &m, &len, 1) == 1 ? m : NULL;
}
