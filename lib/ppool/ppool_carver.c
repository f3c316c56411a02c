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

/* Only an lcore with lists of its own has a lock that protects what it drops. */
static uint32_t
owner_of_carver(struct ppool *p)
{
	return ppool_lcore_get(p) == NULL ? 0 : ppool_owner_id();
}

static int
max_len_check(const struct ppool *p, uint32_t headroom, uint32_t max_len)
{
	if (max_len > UINT16_MAX || headroom + max_len > UINT16_MAX ||
			headroom + max_len > p->layout.room_bytes)
		return -EMSGSIZE;
	return 0;
}

static void
carver_register(struct ppool *p, struct ppool_carver *c)
{
	rte_spinlock_lock(&p->carvers_lock);
	c->next = p->carvers;
	p->carvers = c;
	PPOOL_COUNT(p->depot.nb_carvers, 1);
	rte_spinlock_unlock(&p->carvers_lock);
}

static void
carver_unregister(struct ppool *p, struct ppool_carver *c)
{
	struct ppool_carver **link;

	rte_spinlock_lock(&p->carvers_lock);
	for (link = &p->carvers; *link != c; link = &(*link)->next)
		;
	*link = c->next;
	PPOOL_COUNT(p->depot.nb_carvers, -1);
	__atomic_fetch_add(&p->stats.frag_alloc, c->frags, __ATOMIC_RELAXED);
	__atomic_fetch_add(&p->stats.frag_alloc_bytes, c->bytes, __ATOMIC_RELAXED);
	__atomic_fetch_add(&p->stats.page_open, c->pages, __ATOMIC_RELAXED);
	rte_spinlock_unlock(&p->carvers_lock);
}

/*
 * What ppool_lane_cut() writes with wide stores lies in rte_mbuf like this: buf_addr, buf_iova |
 * data_off .. port, ol_flags | packet_type .. hash.rss | hash.fdir.hi, vlan_tci_outer, buf_len.
 */
#define FIELD_AT(field, at) RTE_BUILD_BUG_ON(offsetof(struct rte_mbuf, field) != (at))

static void
rearm_init(uint64_t *rearm, const struct ppool_carver_conf *conf)
{
	struct rte_mbuf m;

	FIELD_AT(buf_addr, 0);
	FIELD_AT(buf_iova, 8);
	FIELD_AT(data_off, 16);
	FIELD_AT(ol_flags, 24);
	FIELD_AT(packet_type, 32);
	FIELD_AT(pkt_len, 36);
	FIELD_AT(data_len, 40);
	FIELD_AT(hash.rss, 44);
	FIELD_AT(hash.fdir.hi, 48);
	FIELD_AT(vlan_tci_outer, 52);
	FIELD_AT(buf_len, 54);
	RTE_BUILD_BUG_ON(RTE_BYTE_ORDER != RTE_LITTLE_ENDIAN);
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
	ret = conf->nb_lanes == 0 ? -EINVAL : max_len_check(p, conf->headroom, conf->max_len);
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
	PPOOL_TSAN_ACQUIRE(&p->carvers);
	c->pool = p;
	c->tail_bytes = p->tail_bytes;
	c->frag_offset = p->frag_offset;
	c->headroom = conf->headroom;
	rearm_init(c->rearm, conf);
	c->nb_lanes = conf->nb_lanes;
	c->owner = owner_of_carver(p);
	ppool_carver_set_max_len(c, conf->max_len);
	carver_register(p, c);
	if (!ppool_slots_reserve(p, ppool_carvers_count(p))) {
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
carver_pass(struct ppool_carver *c)
{
	struct ppool *p = c->pool;
	struct ppool_lcore *former = c->owner == 0 ? NULL : p->lcore[c->owner - 1];
	uint32_t owner = owner_of_carver(p);
	unsigned int i;

	if (former != NULL && !ppool_lock_visitor(&former->lock))
		return false;
	for (i = 0; i < c->nb_lanes; i++)
		if (c->lane[i].left != 0)
			ppool_page_pass(&p->page[c->lane[i].page], owner);
	c->owner = owner;
	if (former != NULL)
		ppool_unlock_visitor(&former->lock);
	return true;
}

static inline bool
carver_enter(struct ppool_carver *c)
{
	return likely(c->owner == ppool_owner_id()) || carver_pass(c);
}

/* Continue a page that another carver left behind. */
static __rte_noinline bool
lane_adopt(struct ppool_carver *c, struct ppool_lane *l)
{
	struct ppool *p = c->pool;
	struct ppool_page *pg;

	ppool_depot_lock(p);
	pg = ppool_park_find(p, c->max_bytes + c->tail_bytes);
	if (pg != NULL) {
		l->page = (uint32_t)(pg - p->page);
		l->left = pg->open - c->tail_bytes;
		l->addr = pg->obj + p->mp->elt_size - l->left;
		l->iova = pg->iova + p->mp->elt_size - l->left;
		l->unbilled = 0;
		ppool_unpark(p, pg);
		ppool_page_adopt(pg, c->owner);
	}
	ppool_depot_unlock(p);
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

	pages_prefetch(p);
	ppool_debug_pages_out(p, &obj, 1, PPOOL_DEBUG_DATA);
	pg = ppool_page_of(p, obj);
	if (c->now == 0)
		c->now = ppool_coarse_time();
	ppool_page_open(pg, c->owner, c->now, p->layout.page_bytes);
	lead = p->layout.lead_bytes - p->mp->header_size;
	l->addr = pg->obj + lead;
	l->iova = pg->iova + lead;
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
	struct ppool_page *pg = &p->page[l->page];

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

	ppool_page_close_unused(pg);
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
		ppool_depot_lock(p);
		ppool_park(p, pg, l->left + c->tail_bytes);
		ppool_page_settle(pg, l->frags, 1);
		ppool_depot_unlock(p);
	}
	l->left = 0;
}

int
ppool_carver_set_max_len(struct ppool_carver *c, uint32_t max_len)
{
	int ret = max_len_check(c->pool, c->headroom, max_len);
	unsigned int i;

	if (ret != 0)
		return ret;
	if (!carver_enter(c))
		return -EPERM;
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
	unsigned int i;

	if (c == NULL)
		return;
	if (!carver_enter(c)) {
		PPOOL_LOG(ERR,
				"a carver of mempool %s is left behind: membarrier(2) is refused "
				"to this process, free it where it was used",
				c->pool->mp->name);
		return;
	}
	ppool_debug_enter(c);
	for (i = 0; i < c->nb_lanes; i++)
		if (c->lane[i].left != 0)
			lane_abandon(c, &c->lane[i]);
	carver_unregister(c->pool, c);
	ppool_reclaim(c->pool, true);
	PPOOL_TSAN_RELEASE(&c->pool->carvers);
	rte_free(c);
}

unsigned int
ppool_headers_get(struct ppool_carver *c, struct rte_mbuf **m, unsigned int n)
{
	ppool_debug_enter(c);
	c->now = 0;
	n = carver_enter(c) ? ppool_slots_get(c->pool, m, n) : 0;
	ppool_debug_leave(c);
	return n;
}

void
ppool_headers_put(struct ppool_carver *c, struct rte_mbuf **m, unsigned int n)
{
	ppool_debug_enter(c);
	ppool_slots_return(c->pool, m, n);
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
		ppool_slots_return(c->pool, m + done, got - done);
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
