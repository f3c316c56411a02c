/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "ppool_private.h"

/* How many parked pages a lane looks at before it opens a fresh one. */
#define ADOPT_TRIES 8u

/* How many pages ahead their indexes and their lines of the page table are fetched. */
#define PREFETCH_INDEX 8u
#define PREFETCH_PAGE 4u

/* Only an lcore with lists of its own has a lock that protects what it drops. */
static uint32_t
self_as_owner(struct ppool *p)
{
	return ppool_lcore_self(p) == NULL ? 0 : ppool_self();
}

static int
check_max_len(const struct ppool *p, uint32_t headroom, uint32_t max_len)
{
	if (max_len > UINT16_MAX || headroom + max_len > UINT16_MAX ||
			headroom + max_len > p->layout.room_bytes)
		return -EMSGSIZE;
	return 0;
}

static void
register_carver(struct ppool *p, struct ppool_carver *c)
{
	rte_spinlock_lock(&p->depot.lock);
	c->next = p->depot.carvers;
	p->depot.carvers = c;
	PPOOL_COUNT(p->depot.nb_carvers, 1);
	rte_spinlock_unlock(&p->depot.lock);
}

static void
unregister_carver(struct ppool *p, struct ppool_carver *c)
{
	struct ppool_carver **link;

	rte_spinlock_lock(&p->depot.lock);
	for (link = &p->depot.carvers; *link != c; link = &(*link)->next)
		;
	*link = c->next;
	PPOOL_COUNT(p->depot.nb_carvers, -1);
	__atomic_fetch_add(&p->stats.frag_alloc, c->frags, __ATOMIC_RELAXED);
	__atomic_fetch_add(&p->stats.frag_alloc_bytes, c->bytes, __ATOMIC_RELAXED);
	__atomic_fetch_add(&p->stats.page_open, c->pages, __ATOMIC_RELAXED);
	rte_spinlock_unlock(&p->depot.lock);
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

struct ppool_carver *
ppool_carver_create(struct rte_mempool *mp, const struct ppool_carver_conf *conf)
{
	struct ppool_carver *c;
	struct ppool *p;
	int ret;

	if (ppool_frag_pool(mp) == NULL)
		return NULL;
	p = ppool_from_mempool(mp);
	ret = conf->nb_lanes == 0 ? -EINVAL : check_max_len(p, conf->headroom, conf->max_len);
	if (ret != 0) {
		rte_errno = -ret;
		return NULL;
	}
	c = rte_zmalloc_socket("ppool_carver",
			sizeof(*c) + conf->nb_lanes * sizeof(c->lane[0]) +
					ppool_debug_carver_bytes(conf->nb_lanes),
			RTE_CACHE_LINE_SIZE, conf->socket_id);
	if (c == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	/* The heap of EAL has a lock. */
	PPOOL_TSAN_ACQUIRE(&p->depot.carvers);
	c->pool = p;
	c->tail_bytes = p->tail_bytes;
	c->frag_offset = p->frag_offset;
	c->headroom = conf->headroom;
	rearm_init(c->rearm, conf);
	c->nb_lanes = conf->nb_lanes;
	c->owner = self_as_owner(p);
	ppool_carver_set_max_len(c, conf->max_len);
	register_carver(p, c);
	if (!ppool_headers_reserve(p, __atomic_load_n(&p->depot.nb_carvers, __ATOMIC_RELAXED))) {
		ppool_carver_free(c);
		rte_errno = ENOMEM;
		return NULL;
	}
	return c;
}

struct rte_mempool *
ppool_carver_frag_pool(const struct ppool_carver *c)
{
	return c->pool->frag_mp;
}

/*
 * Another thread drives this carver now. The former owner may be freeing frags of the open pages
 * at this moment: its lock keeps it out while they change hands.
 */
static __rte_noinline bool
change_owner(struct ppool_carver *c)
{
	struct ppool *p = c->pool;
	struct ppool_lcore *former = c->owner == 0 ? NULL : p->lcore[c->owner - 1];
	uint32_t owner = self_as_owner(p);
	unsigned int i;

	if (former != NULL && !ppool_lock_visitor(&former->lock))
		return false;
	for (i = 0; i < c->nb_lanes; i++)
		if (c->lane[i].left != 0)
			__atomic_store_n(&p->page[c->lane[i].page].owner, owner, __ATOMIC_RELAXED);
	c->owner = owner;
	if (former != NULL)
		ppool_unlock_visitor(&former->lock);
	return true;
}

static inline bool
is_owner(struct ppool_carver *c)
{
	return likely(c->owner == ppool_self()) || change_owner(c);
}

static void
park(struct ppool *p, struct ppool_page *pg)
{
	struct ppool_depot *d = &p->depot;
	uint32_t i = (uint32_t)(pg - p->page);

	__atomic_store_n(&pg->parked, 1, __ATOMIC_RELAXED);
	pg->prev = PPOOL_NONE;
	pg->next = d->parked_first;
	if (d->parked_first != PPOOL_NONE)
		p->page[d->parked_first].prev = i;
	d->parked_first = i;
	__atomic_store_n(&d->nb_parked, d->nb_parked + 1, __ATOMIC_RELAXED);
}

static void
unpark(struct ppool *p, struct ppool_page *pg)
{
	struct ppool_depot *d = &p->depot;

	__atomic_store_n(&pg->parked, 0, __ATOMIC_RELAXED);
	if (pg->prev == PPOOL_NONE)
		d->parked_first = pg->next;
	else
		p->page[pg->prev].next = pg->next;
	if (pg->next != PPOOL_NONE)
		p->page[pg->next].prev = pg->prev;
	__atomic_store_n(&d->nb_parked, d->nb_parked - 1, __ATOMIC_RELAXED);
}

/*
 * Continue a page that another carver left behind. Its parking is one user, which makes place for
 * the bias: nobody else can free it meanwhile.
 */
static __rte_noinline bool
adopt(struct ppool_carver *c, struct ppool_lane *l)
{
	struct ppool *p = c->pool;
	struct ppool_page *pg = NULL;
	unsigned int tries;
	uint32_t i;

	rte_spinlock_lock(&p->depot.lock);
	i = p->depot.parked_first;
	for (tries = 0; i != PPOOL_NONE && tries < ADOPT_TRIES; tries++) {
		pg = &p->page[i];
		if (pg->open >= c->max_bytes + c->tail_bytes)
			break;
		i = pg->next;
		pg = NULL;
	}
	if (pg != NULL) {
		l->page = i;
		l->left = pg->open - c->tail_bytes;
		l->addr = pg->obj + p->mp->elt_size - l->left;
		l->iova = pg->iova + p->mp->elt_size - l->left;
		l->unbilled = 0;
		unpark(p, pg);
		__atomic_store_n(&pg->owner, c->owner, __ATOMIC_RELAXED);
		__atomic_fetch_add(&pg->use, (PPOOL_BIAS - 1) * PPOOL_USER, __ATOMIC_ACQUIRE);
	}
	rte_spinlock_unlock(&p->depot.lock);
	return pg != NULL;
}

/*
 * Free pages lie in memory that nobody has touched for long. Fetch what lane_open() reads of those
 * that come next: first their indexes, then their lines of the page table.
 */
static void
prefetch_pages(const struct ppool *p)
{
	struct ppool_lcore *lc = ppool_lcore_peek(p);

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

	if (!is_owner(c))
		return -ENOMEM;
	l->frags = 0;
	if (unlikely(__atomic_load_n(&p->depot.nb_parked, __ATOMIC_RELAXED) != 0) && adopt(c, l))
		return 0;
	if (unlikely(ppool_pages_get(p, &obj, 1) != 0))
		return -ENOMEM;

	prefetch_pages(p);
	ppool_debug_pages_out(p, &obj, 1, PPOOL_DEBUG_DATA);
	pg = ppool_page_of(p, obj);
	pg->kind = PPOOL_KIND_DATA;
	pg->opener = (uint16_t)c->owner;
	if (c->now == 0)
		c->now = ppool_coarse_time(p);
	__atomic_store_n(&pg->opened, c->now, __ATOMIC_RELAXED);
	__atomic_store_n(&pg->owner, c->owner, __ATOMIC_RELAXED);
	__atomic_store_n(&pg->use, PPOOL_BIAS * PPOOL_USER + p->layout.page_bytes,
			__ATOMIC_RELAXED);
	lead = p->layout.lead_bytes - p->mp->header_size;
	l->addr = pg->obj + lead;
	l->iova = pg->iova + lead;
	l->left = p->layout.room_bytes;
	l->unbilled = p->layout.lead_bytes;
	l->page = (uint32_t)(pg - p->page);
	pg->open = p->layout.page_bytes;
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
uint32_t
ppool_lane_bytes(const struct ppool_carver *c, const struct ppool_lane *l)
{
	return c->pool->page[l->page].open - l->left - l->unbilled - c->tail_bytes;
}

/*
 * Give up the bias but for keep users. After that, every frag is freed with an atomic operation.
 * Returns the users that are left.
 */
static uint32_t
settle(struct ppool_page *pg, uint32_t frags, uint32_t keep)
{
	uint64_t drop = (PPOOL_BIAS - frags - keep) * PPOOL_USER + pg->owner_drop;

	pg->owner_drop = 0;
	__atomic_store_n(&pg->owner, 0, __ATOMIC_RELAXED);
	return PPOOL_USERS(__atomic_sub_fetch(&pg->use, drop, __ATOMIC_ACQ_REL));
}

/* At least the frag just cut is in use: the page cannot become free here. */
void
ppool_lane_close(struct ppool_carver *c, struct ppool_lane *l)
{
	struct ppool *p = c->pool;
	struct ppool_page *pg = &p->page[l->page];
	uint64_t unused = PPOOL_BIAS * PPOOL_USER + p->layout.page_bytes;

	ppool_debug_lane_close(c, l);
	c->frags += l->frags;
	c->bytes += pg->open;
	/* A mono-frag nobody has seen yet. An adopted page has other users. */
	if (l->frags == 1 && __atomic_load_n(&pg->use, __ATOMIC_RELAXED) == unused) {
		__atomic_store_n(&pg->owner, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&pg->use, PPOOL_USER + p->layout.page_bytes, __ATOMIC_RELAXED);
		return;
	}
	settle(pg, l->frags, 0);
}

/* Nothing was cut off this page yet. */
static void
close_unused(struct ppool *p, struct ppool_page *pg)
{
	void *obj = pg->obj;

	__atomic_store_n(&pg->owner, 0, __ATOMIC_RELAXED);
	pg->kind = PPOOL_KIND_WHOLE;
	ppool_debug_pages_in(p, &obj, 1, PPOOL_DEBUG_DATA);
	ppool_pages_put(p, &obj, 1);
}

/* Leave what is left of a page to the next lane that wants it. */
static void
abandon(struct ppool_carver *c, struct ppool_lane *l)
{
	struct ppool *p = c->pool;
	struct ppool_page *pg = &p->page[l->page];

	if (l->unbilled != 0) {
		close_unused(p, pg);
	} else {
		c->frags += l->frags;
		c->bytes += ppool_lane_bytes(c, l);
		rte_spinlock_lock(&p->depot.lock);
		pg->open = l->left + c->tail_bytes;
		park(p, pg);
		settle(pg, l->frags, 1);
		rte_spinlock_unlock(&p->depot.lock);
	}
	l->left = 0;
}

int
ppool_carver_set_max_len(struct ppool_carver *c, uint32_t max_len)
{
	int ret = check_max_len(c->pool, c->headroom, max_len);
	unsigned int i;

	if (ret != 0)
		return ret;
	if (!is_owner(c))
		return -EPERM;
	ppool_debug_enter(c);
	c->max_bytes = c->headroom + max_len;
	/* A lane must hold the largest frag, or be closed. */
	for (i = 0; i < c->nb_lanes; i++)
		if (c->lane[i].left != 0 && c->lane[i].left < c->max_bytes)
			abandon(c, &c->lane[i]);
	ppool_debug_leave(c);
	return 0;
}

/* Free the parked pages whose frags have all been freed. Depot lock held. */
unsigned int
ppool_parked_release(struct ppool *p)
{
	struct ppool_page *pg;
	unsigned int n = 0;
	uint32_t i, next;
	void *obj;

	for (i = p->depot.parked_first; i != PPOOL_NONE; i = next) {
		pg = &p->page[i];
		next = pg->next;
		if (PPOOL_USERS(__atomic_load_n(&pg->use, __ATOMIC_ACQUIRE)) != 1)
			continue;
		unpark(p, pg);
		pg->kind = PPOOL_KIND_WHOLE;
		obj = pg->obj;
		ppool_debug_pages_in(p, &obj, 1, PPOOL_DEBUG_DATA);
		ppool_pages_put(p, &obj, 1);
		n++;
	}
	return n;
}

void
ppool_carver_free(struct ppool_carver *c)
{
	unsigned int i;

	if (c == NULL)
		return;
	if (!is_owner(c)) {
		PPOOL_LOG(ERR,
				"a carver of mempool %s is left behind: membarrier(2) is refused "
				"to this process, free it where it was used",
				c->pool->mp->name);
		return;
	}
	ppool_debug_enter(c);
	for (i = 0; i < c->nb_lanes; i++)
		if (c->lane[i].left != 0)
			abandon(c, &c->lane[i]);
	unregister_carver(c->pool, c);
	ppool_headers_reclaim(c->pool, true);
	PPOOL_TSAN_RELEASE(&c->pool->depot.carvers);
	rte_free(c);
}

unsigned int
ppool_headers_get(struct ppool_carver *c, struct rte_mbuf **m, unsigned int n)
{
	ppool_debug_enter(c);
	c->now = 0;
	n = is_owner(c) ? ppool_headers_take(c->pool, m, n) : 0;
	ppool_debug_leave(c);
	return n;
}

void
ppool_headers_put(struct ppool_carver *c, struct rte_mbuf **m, unsigned int n)
{
	ppool_debug_enter(c);
	ppool_headers_return(c->pool, m, n);
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
		if (unlikely(c->headroom + len[i] > c->max_bytes))
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

	ppool_debug_enter(c);
	got = ppool_headers_get(c, m, n);
	done = carve(c, m, len, got);
	if (unlikely(done < got))
		ppool_headers_return(c->pool, m + done, got - done);
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
