/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * The mempool ops, in all roles: a page pool hands out pages, its internal pools frags. The
 * pool_config of an internal pool is the struct ppool it belongs to; a page pool has none.
 */

/* For rte_mempool_event_callback_register(). */
#define ALLOW_INTERNAL_API

#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "inspect/accounts.h"
#include "inspect/mark.h"
#include "ppool_account_table.h"
#include "ppool_freelist.h"
#include "ppool_mono.h"
#include "ppool_slot_pool.h"

RTE_LOG_REGISTER_DEFAULT(ppool_logtype, NOTICE);

/* Ordinary objects that left the pool or came back. */
static inline void
count_whole(struct ppool *p, int64_t n)
{
	struct ppool_lcore *lc = ppool_lcore_get(p);

	if (likely(lc != NULL))
		lc->whole += n;
	else
		__atomic_fetch_add(&p->whole, n, __ATOMIC_RELAXED);
}

/* What is still charged to accounts will not be freed any more. */
static void
charges_take_off(struct ppool *p)
{
	struct ppool_account_frags *sum = calloc(1, sizeof(*sum));
	uint16_t id;

	if (sum == NULL)
		return;
	ppool_frags_add(p, sum);
	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++) {
		ppool_account_take_off(id, sum->bytes[id]);
		p->taken_off += sum->bytes[id];
	}
	free(sum);
}

/* ppfrag_free() is too late for what lies in pages: their memory is freed before. */
static void
mempool_event(enum rte_mempool_event event, struct rte_mempool *mp, void *arg)
{
	RTE_SET_USED(arg);
	if (event == RTE_MEMPOOL_EVENT_DESTROY && ppool_is_page_pool(mp))
		charges_take_off(ppool_of(mp));
}

/* In every process that makes pools. */
static void
mempool_events_register(const struct rte_mempool *mp)
{
	if (rte_mempool_event_callback_register(mempool_event, NULL) != 0 && rte_errno != EEXIST)
		PPOOL_LOG(WARNING,
				"mempool %s: what is charged to accounts when it is freed will "
				"stay charged: %s",
				mp->name, rte_strerror(rte_errno));
}

static int
alloc_page_pool(struct rte_mempool *mp)
{
	struct ppool *p;

	p = rte_zmalloc_socket("ppool", sizeof(*p), RTE_CACHE_LINE_SIZE, mp->socket_id);
	if (p != NULL) {
		ppool_process_join();
		p->mp = mp;
		p->creator = ppool_process_self();
		p->biased = ppool_lock_can_bias();
	}
	if (p == NULL || ppool_freelist_init(p) != 0) {
		PPOOL_LOG(ERR, "no memory for the free list of mempool %s, %u objects", mp->name,
				mp->size);
		rte_free(p);
		return -ENOMEM;
	}
	p->magic = PPOOL_MAGIC;
	p->time_shift = ppool_time_shift(rte_get_tsc_hz());
	p->depot.parked_first = PPOOL_NONE;
	if (ppool_debug_create(p) != 0) {
		ppool_freelist_fini(p);
		rte_free(p);
		return -ENOMEM;
	}
	mp->pool_data = p;
	mempool_events_register(mp);
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
	struct ppool *p = ppool_of(mp);
	uint64_t live;

	if (p == NULL || !ppool_role_check(mp))
		return;
	if (ppool_is_internal_role(mp)) {
		if (ppool_is_frag_role(mp))
			p->frag_mp = NULL;
		return;
	}
	ppool_marks_drop(mp);
	ppool_carvers_orphan(p);
	if (p->frag_mp != NULL) {
		live = ppool_frag_live(p);
		if (live != 0)
			PPOOL_LOG(WARNING,
					"mempool %s freed while %" PRIu64 " of its frags are in "
					"use; %" PRIu64 " bytes are taken off the accounts they "
					"were charged to",
					mp->name, live, p->taken_off);
	}
	ppool_unsplit(p);
	ppool_freelist_fini(p);
	ppool_debug_destroy(p);
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
	struct ppool *p = ppool_of(mp);

	ppool_debug_pages_in(p, obj, n, PPOOL_DEBUG_WHOLE);
	ppool_freelist_put(p, obj, n);
	count_whole(p, -(int64_t)n);
	return 0;
}

/* Into an internal pool, or one of another driver. */
static __rte_noinline int
enqueue_internal(struct rte_mempool *mp, void * const *obj, unsigned int n)
{
	if (ppool_role_check(mp))
		ppool_slots_free_bulk(ppool_of(mp), (struct rte_mbuf * const *)obj, n);
	return 0;
}

static int
ppfrag_enqueue(struct rte_mempool *mp, void * const *obj, unsigned int n)
{
	struct ppool *p = ppool_of(mp);
	struct ppool_lcore *lc;
	bool done;

	if (n == 1 && p->slot_mp == mp)
		return ppool_slots_free_one(p, (struct rte_mbuf * const *)obj);
	if (ppool_is_frag_role(mp)) {
		ppool_frag_free_bulk(p, (struct rte_mbuf * const *)obj, n);
		return 0;
	}
	if (unlikely(ppool_is_internal_role(mp)))
		return enqueue_internal(mp, obj, n);
	lc = ppool_lcore_existing(p);
	if (unlikely(PPOOL_DEBUG_CHECKS || lc == NULL || !ppool_trylock_owner(&lc->lock)))
		return enqueue_slow(mp, obj, n);
	/* Looked at under the lock, as it is changed. */
	done = likely(!p->tracked) && ppool_lcore_push_pages(lc, obj, n);
	if (likely(done))
		lc->whole -= n;
	ppool_tryunlock_owner(&lc->lock);
	return likely(done) ? 0 : enqueue_slow(mp, obj, n);
}

static __rte_noinline int
dequeue_slow(struct rte_mempool *mp, void **obj, unsigned int n)
{
	struct ppool *p = ppool_of(mp);
	int ret;

	ret = ppool_pages_get_whole(p, obj, n);
	if (likely(ret == 0)) {
		ppool_debug_pages_out(p, obj, n, PPOOL_DEBUG_WHOLE);
		count_whole(p, n);
	}
	return ret;
}

/* From an internal pool, or one of another driver. */
static __rte_noinline int
dequeue_internal(struct rte_mempool *mp, void **obj, unsigned int n)
{
	struct rte_mbuf **m = (struct rte_mbuf **)obj;
	unsigned int size_class;

	if (!ppool_role_check(mp))
		return -ENOTSUP;
	size_class = ppool_view_class(mp);
	return size_class == PPOOL_HEADERS ? ppool_mono_get_bulk(mp, m, n) :
					     ppool_slots_alloc_bulk(ppool_of(mp), size_class, m, n);
}

static int
ppfrag_dequeue(struct rte_mempool *mp, void **obj, unsigned int n)
{
	struct ppool *p = ppool_of(mp);
	struct ppool_lcore *lc;
	bool done;

	if (unlikely(ppool_is_internal_role(mp)))
		return dequeue_internal(mp, obj, n);
	lc = ppool_lcore_existing(p);
	if (unlikely(PPOOL_DEBUG_CHECKS || lc == NULL || !ppool_trylock_owner(&lc->lock)))
		return dequeue_slow(mp, obj, n);
	done = likely(!p->tracked) && ppool_lcore_pop_pages(lc, obj, n);
	if (likely(done))
		lc->whole += n;
	ppool_tryunlock_owner(&lc->lock);
	return likely(done) ? 0 : dequeue_slow(mp, obj, n);
}

/* Only reads, so that the data path may ask. What counts as available is said in ppool.h. */
static unsigned int
ppfrag_get_count(const struct rte_mempool *mp)
{
	const struct ppool *p = ppool_of(mp);
	uint64_t used;

	if (unlikely(p == NULL || !ppool_role_check(mp)))
		return 0;
	if (ppool_is_internal_role(mp) && ppool_view_class(mp) != PPOOL_HEADERS)
		return ppool_slots_available(mp);
	/* More have been put than there are, where one was put twice. */
	if (!ppool_is_frag_role(mp))
		return RTE_MIN(ppool_freelist_count(p) + ppool_idle_count(p), mp->size);
	used = ppool_slots_used(p, PPOOL_HEADERS);
	return mp->size - (unsigned int)RTE_MIN(used, (uint64_t)mp->size);
}

/* An internal pool lists the memory of its page pool, but has no objects of its own. */
static int
ppfrag_populate(struct rte_mempool *mp, unsigned int max_objs, void *vaddr, rte_iova_t iova,
		size_t len, rte_mempool_populate_obj_cb_t *obj_cb, void *arg)
{
	int ret;

	if (ppool_is_internal_role(mp))
		return 1;
	ret = rte_mempool_op_populate_default(mp, max_objs, vaddr, iova, len, obj_cb, arg);
	/* populate() enqueues objects that were never dequeued; cancel that in the count. */
	if (ret > 0)
		count_whole(ppool_of(mp), ret);
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

static const char *
file_of(rte_mempool_enqueue_t function)
{
	Dl_info info;

	return dladdr((void *)(uintptr_t)function, &info) != 0 ? info.dli_fname : "another file";
}

/* A second copy of the library registers nothing, and programs go on with the first one. */
RTE_INIT(ppfrag_ops_init)
{
	const struct rte_mempool_ops *first;

	ppool_role_set_ops(ppfrag_enqueue);
	first = ppool_role_first_copy();
	if (first == NULL)
		rte_mempool_register_ops(&ppfrag_ops);
	else
		PPOOL_LOG(WARNING,
				"libppool is loaded twice: %s is used, %s is not: leave out -d, or run 'ninja -C build uninstall'",
				file_of(first->enqueue), file_of(ppfrag_enqueue));
}
