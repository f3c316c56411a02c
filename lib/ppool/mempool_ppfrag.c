/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * The mempool ops, in both roles: a page pool hands out pages, its frag pool frags. The pool_config
 * of a frag pool is the struct ppool it belongs to; a page pool has none.
 */

#include <errno.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "ppool_private.h"

#define PPOOL_MAGIC UINT64_C(0x70706f6f6c2e3031)

RTE_LOG_REGISTER_DEFAULT(ppool_logtype, NOTICE);

static struct ppool *
pool_of(const struct rte_mempool *mp)
{
	return mp->pool_data;
}

static bool
is_frag_role(const struct rte_mempool *mp)
{
	return pool_of(mp)->frag_mp == mp;
}

/* Ordinary objects that left the pool or came back. */
static inline void
count_whole(struct ppool *p, int64_t n)
{
	struct ppool_lcore *lc = ppool_lcore_self(p);

	if (likely(lc != NULL))
		lc->whole += n;
	else
		__atomic_fetch_add(&p->whole, n, __ATOMIC_RELAXED);
}

static int
alloc_page_pool(struct rte_mempool *mp)
{
	struct ppool *p;
	unsigned int id;

	p = rte_zmalloc_socket("ppool", sizeof(*p), RTE_CACHE_LINE_SIZE, mp->socket_id);
	if (p != NULL)
		p->mp = mp;
	if (p == NULL || ppool_pages_init(p) != 0) {
		PPOOL_LOG(ERR, "no memory for the free list of mempool %s, %u objects", mp->name,
				mp->size);
		rte_free(p);
		return -ENOMEM;
	}
	p->magic = PPOOL_MAGIC;
	p->biased = ppool_lock_can_bias();
	p->time_shift = ppool_time_shift(rte_get_tsc_hz());
	rte_spinlock_init(&p->create_lock);
	rte_spinlock_init(&p->depot.lock);
	p->depot.first = PPOOL_NONE;
	p->depot.parked_first = PPOOL_NONE;
	if (ppool_debug_create(p) != 0) {
		ppool_pages_fini(p);
		rte_free(p);
		return -ENOMEM;
	}
	mp->pool_data = p;
	/* Others create theirs when they first use the pool. */
	RTE_LCORE_FOREACH(id)
		ppool_lcore_create(p, id);
	return 0;
}

static int
ppfrag_alloc(struct rte_mempool *mp)
{
	struct ppool *p = mp->pool_config;

	if (p == NULL)
		return alloc_page_pool(mp);
	if (p->magic != PPOOL_MAGIC) {
		PPOOL_LOG(ERR, "mempool %s: ops " PPOOL_OPS_NAME " take no pool_config, pass NULL",
				mp->name);
		return -EINVAL;
	}
	mp->pool_data = p;
	return 0;
}

static void
ppfrag_free(struct rte_mempool *mp)
{
	struct ppool *p = pool_of(mp);
	uint64_t live;

	if (p == NULL)
		return;
	if (is_frag_role(mp)) {
		p->frag_mp = NULL;
		return;
	}
	if (p->frag_mp != NULL) {
		live = ppool_frag_live(p);
		if (live != 0)
			PPOOL_LOG(WARNING,
					"mempool %s freed while %" PRIu64 " of its frags are in "
					"use",
					mp->name, live);
		rte_mempool_free(p->frag_mp);
	}
	ppool_pages_fini(p);
	ppool_debug_destroy(p);
	rte_free(p->page);
	p->magic = 0;
	rte_free(p);
	mp->pool_data = NULL;
}

/*
 * What follows is short enough to be without calls but for the last, so that nothing is saved on
 * the stack: a get or a put of one object takes about as long as a cached one of rte_mempool.
 */

static __rte_noinline int
enqueue_slow(struct rte_mempool *mp, void * const *obj, unsigned int n)
{
	struct ppool *p = pool_of(mp);

	ppool_debug_pages_in(p, obj, n, PPOOL_DEBUG_WHOLE);
	ppool_pages_put(p, obj, n);
	count_whole(p, -(int64_t)n);
	return 0;
}

static int
ppfrag_enqueue(struct rte_mempool *mp, void * const *obj, unsigned int n)
{
	struct ppool *p = pool_of(mp);
	struct ppool_lcore *lc = ppool_lcore_peek(p);
	bool done;

	if (is_frag_role(mp)) {
		ppool_frag_free_bulk(p, (struct rte_mbuf * const *)obj, n);
		return 0;
	}
	if (unlikely(PPOOL_DEBUG_CHECKS || lc == NULL || !ppool_trylock_owner(&lc->lock)))
		return enqueue_slow(mp, obj, n);
	done = ppool_lcore_put_pages(lc, obj, n);
	if (likely(done))
		lc->whole -= n;
	ppool_tryunlock_owner(&lc->lock);
	return likely(done) ? 0 : enqueue_slow(mp, obj, n);
}

static __rte_noinline int
dequeue_slow(struct rte_mempool *mp, void **obj, unsigned int n)
{
	struct ppool *p = pool_of(mp);
	int ret;

	if (is_frag_role(mp))
		return ppool_frag_alloc_bulk(p, (struct rte_mbuf **)obj, n);
	ret = ppool_pages_get(p, obj, n);
	if (likely(ret == 0)) {
		ppool_debug_pages_out(p, obj, n, PPOOL_DEBUG_WHOLE);
		count_whole(p, n);
	}
	return ret;
}

static int
ppfrag_dequeue(struct rte_mempool *mp, void **obj, unsigned int n)
{
	struct ppool *p = pool_of(mp);
	struct ppool_lcore *lc = ppool_lcore_peek(p);
	bool done;

	if (unlikely(PPOOL_DEBUG_CHECKS || is_frag_role(mp) || lc == NULL ||
			    !ppool_trylock_owner(&lc->lock)))
		return dequeue_slow(mp, obj, n);
	done = ppool_lcore_get_pages(lc, obj, n);
	if (likely(done))
		lc->whole += n;
	ppool_tryunlock_owner(&lc->lock);
	return likely(done) ? 0 : dequeue_slow(mp, obj, n);
}

static unsigned int
ppfrag_get_count(const struct rte_mempool *mp)
{
	struct ppool *p = pool_of(mp);

	if (is_frag_role(mp))
		return mp->size - (unsigned int)ppool_frag_live(p);
	/* Pages that would come back if they were asked for count as free. */
	ppool_headers_reclaim(p, true);
	return ppool_pages_count(p);
}

/* A frag pool lists the memory of its page pool, but its objects lie in header pages. */
static int
ppfrag_populate(struct rte_mempool *mp, unsigned int max_objs, void *vaddr, rte_iova_t iova,
		size_t len, rte_mempool_populate_obj_cb_t *obj_cb, void *arg)
{
	int ret;

	if (is_frag_role(mp))
		return 1;
	ret = rte_mempool_op_populate_default(mp, max_objs, vaddr, iova, len, obj_cb, arg);
	/* What has just been put in had never been handed out. */
	if (ret > 0)
		count_whole(pool_of(mp), ret);
	return ret;
}

static const struct rte_mempool_ops ppfrag_ops = {
	.name = PPOOL_OPS_NAME,
	.alloc = ppfrag_alloc,
	.free = ppfrag_free,
	.enqueue = ppfrag_enqueue,
	.dequeue = ppfrag_dequeue,
	.get_count = ppfrag_get_count,
	.populate = ppfrag_populate,
};

RTE_MEMPOOL_REGISTER_OPS(ppfrag_ops);

/* The index of our ops differs from process to process, our own functions do not. */
bool
ppool_has_our_ops(const struct rte_mempool *mp)
{
	return mp->ops_index >= 0 && (uint32_t)mp->ops_index < rte_mempool_ops_table.num_ops &&
			rte_mempool_ops_table.ops[mp->ops_index].enqueue == ppfrag_enqueue;
}

struct ppool *
ppool_from_mempool(const struct rte_mempool *mp)
{
	return ppool_has_our_ops(mp) ? pool_of(mp) : NULL;
}

bool
ppool_is_page_pool(const struct rte_mempool *mp)
{
	return ppool_from_mempool(mp) != NULL && !is_frag_role(mp);
}

bool
ppool_is_frag_pool(const struct rte_mempool *mp)
{
	return ppool_from_mempool(mp) != NULL && is_frag_role(mp);
}
