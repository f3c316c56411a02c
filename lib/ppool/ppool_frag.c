/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* Page counts, freeing of frags, whole pages as mono-frags, and the frag pool. */

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "ppool_private.h"

/* How many mbufs ahead the page of a frag is fetched. */
#define PREFETCH_PAGE 6u

/* From the element to the first byte that frags may use: the application's mbuf stays intact. */
static uint32_t
element_lead(const struct rte_mempool *mp)
{
	return RTE_ALIGN_CEIL(sizeof(struct rte_mbuf) +
					rte_pktmbuf_priv_size((struct rte_mempool *)(uintptr_t)mp),
			RTE_CACHE_LINE_SIZE);
}

static bool
is_pktmbuf_pool(const struct rte_mempool *mp)
{
	return mp->private_data_size >= sizeof(struct rte_pktmbuf_pool_private) &&
			mp->elt_size >= sizeof(struct rte_mbuf);
}

/* A slot's share of a header page has 16 bits, see struct ppool_frag. */
static int
check_slot_share(const struct ppool *p)
{
	uint32_t share = (p->layout.page_bytes + p->layout.slots - 1) / p->layout.slots;

	if (share <= UINT16_MAX)
		return 0;
	PPOOL_LOG(ERR,
			"mempool %s cannot be split: a header would take %u bytes, more than %u: "
			"create it with a smaller private area",
			p->mp->name, share, UINT16_MAX);
	return -EINVAL;
}

int
ppool_layout_init(struct ppool *p)
{
	const struct rte_mempool *mp = p->mp;
	uint32_t lead, slot, last;

	if (!is_pktmbuf_pool(mp)) {
		PPOOL_LOG(ERR,
				"mempool %s holds no packet mbufs: frags need a pool made by "
				"rte_pktmbuf_pool_create()",
				mp->name);
		return -ENOTSUP;
	}
	if (mp->flags & RTE_MEMPOOL_F_NO_CACHE_ALIGN) {
		PPOOL_LOG(ERR,
				"mempool %s cannot be split: create it without "
				"RTE_MEMPOOL_F_NO_CACHE_ALIGN",
				mp->name);
		return -ENOTSUP;
	}

	lead = element_lead(mp);
	p->frag_offset = sizeof(struct rte_mbuf) +
			rte_pktmbuf_priv_size((struct rte_mempool *)(uintptr_t)mp);
	slot = RTE_ALIGN_CEIL(p->frag_offset + sizeof(struct ppool_frag) +
					sizeof(struct rte_mempool_objhdr),
			RTE_CACHE_LINE_SIZE);
	/* In front of each mbuf there is an object header; nothing follows the last slot. */
	p->first_slot = RTE_ALIGN_CEIL(p->frag_offset + sizeof(struct rte_mempool_objhdr),
			RTE_CACHE_LINE_SIZE);
	last = p->first_slot + slot - sizeof(struct rte_mempool_objhdr);
	if (mp->elt_size < last || mp->elt_size < lead + PPOOL_FRAG_ALIGN) {
		PPOOL_LOG(ERR,
				"elements of mempool %s are too small to split: %u bytes, at least "
				"%u are needed",
				mp->name, mp->elt_size, RTE_MAX(last, lead + PPOOL_FRAG_ALIGN));
		return -EINVAL;
	}

	p->tail_bytes = mp->trailer_size;
	p->layout.page_bytes = mp->header_size + mp->elt_size + mp->trailer_size;
	p->layout.lead_bytes = mp->header_size + lead;
	p->layout.room_bytes = mp->elt_size - lead;
	p->layout.slot_bytes = slot;
	p->layout.slots = 1 + (mp->elt_size - last) / slot;
	return check_slot_share(p);
}

/*
 * Drop users and bytes of a page at once. Returns whether that was the last user: then the page
 * is the caller's.
 */
static inline bool
page_drop(struct ppool_page *pg, uint64_t drop)
{
	uint64_t use = __atomic_load_n(&pg->use, __ATOMIC_ACQUIRE);

	/* Where all users are ours nobody else can change the count: no write is needed. */
	if (PPOOL_USERS(use) != PPOOL_USERS(drop)) {
		use = __atomic_fetch_sub(&pg->use, drop, __ATOMIC_ACQ_REL);
		if (PPOOL_USERS(use) != PPOOL_USERS(drop))
			return false;
	}
	pg->kind = PPOOL_KIND_WHOLE;
	return true;
}

/*
 * Drop what one bulk frees of a page. Where we have the page open and hold the lock of our lists,
 * no atomic operation is needed. Returns whether the page is the caller's now.
 */
static inline bool
run_drop(struct ppool_page *pg, uint32_t self, uint64_t drop)
{
	if (self != 0 && __atomic_load_n(&pg->owner, __ATOMIC_RELAXED) == self) {
		pg->owner_drop += drop;
		return false;
	}
	return page_drop(pg, drop);
}

/*
 * Drop the frags of 1 to PPOOL_BULK mbufs, those of one page in a row together. Pages that nobody
 * uses any more are left in pages. With self != 0, the lock of our lists is held.
 */
static inline unsigned int
frags_drop(struct ppool *p, uint32_t self, struct rte_mbuf * const *m, unsigned int n, void **pages,
		uint64_t *bytes)
{
	struct ppool_page *pg = &p->page[ppool_frag_of(p, m[0])->page];
	struct ppool_uncharge uncharge;
	unsigned int i, nb_pages = 0;
	struct ppool_frag *frag;
	uint64_t drop = 0, sum = 0;
	/* What the latest account gets back: not in uncharge, so that it stays in a register. */
	uint64_t charged = 0;

	ppool_uncharge_init(&uncharge);
	for (i = 0; i < n; i++) {
		frag = ppool_frag_of(p, m[i]);
		if (pg != &p->page[frag->page]) {
			if (run_drop(pg, self, drop))
				pages[nb_pages++] = pg->obj;
			sum += drop;
			drop = 0;
			pg = &p->page[frag->page];
			/* Where each lies in another page, this hides most of what they cost. */
			if (i + PREFETCH_PAGE < n)
				rte_prefetch0(&p->page[ppool_frag_of(p, m[i + PREFETCH_PAGE])
								       ->page]);
		}
		/* rte_mbuf reads a count of one without ordering: clones were freed. */
		PPOOL_TSAN_ACQUIRE(&frag->shinfo.refcnt);
		drop += PPOOL_USER + frag->truesize;
		if (unlikely(frag->account != 0)) {
			if (unlikely(frag->account != uncharge.account)) {
				ppool_uncharge_switch(&uncharge, frag->account, charged);
				charged = 0;
			}
			charged += frag->truesize + frag->slot_bytes;
			frag->account = 0;
		}
		frag->truesize = 0;
	}
	if (run_drop(pg, self, drop))
		pages[nb_pages++] = pg->obj;
	*bytes = PPOOL_BYTES(sum + drop);
	ppool_debug_pages_in(p, pages, nb_pages, PPOOL_DEBUG_DATA);
	if (unlikely(uncharge.account != 0))
		ppool_uncharge_commit(p, &uncharge, charged);
	return nb_pages;
}

/* One bulk of frags: drop them, keep the headers, recycle the pages. */
static inline void
free_bulk(struct ppool *p, struct ppool_lcore *lc, struct rte_mbuf * const *m, unsigned int n)
{
	unsigned int nb_pages, nb_headers = n;
	void *pages[PPOOL_BULK];
	uint64_t bytes;

	if (likely(lc != NULL)) {
		ppool_lock_owner(&lc->lock);
		nb_pages = frags_drop(p, ppool_self(), m, n, pages, &bytes);
		if (ppool_lcore_put_headers(lc, m, n))
			nb_headers = 0;
		if (nb_pages > 0) {
			PPOOL_STAT_ADD(p, lc, page_recycle, nb_pages);
			if (ppool_lcore_put_pages(lc, pages, nb_pages))
				nb_pages = 0;
		}
		ppool_unlock_owner(&lc->lock);
	} else {
		nb_pages = frags_drop(p, 0, m, n, pages, &bytes);
		PPOOL_STAT_ADD(p, lc, page_recycle, nb_pages);
	}
	if (unlikely(nb_headers > 0))
		ppool_headers_give(p, m, nb_headers);
	if (unlikely(nb_pages > 0))
		ppool_pages_put(p, pages, nb_pages);
	/* Last: who finds this counter unchanged need not look for what came back. */
	PPOOL_STAT_ADD(p, lc, frag_free_bytes, bytes);
	PPOOL_STAT_ADD(p, lc, frag_free, n);
}

static inline void
count_free(struct ppool_lcore *lc, uint32_t bytes)
{
	PPOOL_COUNT(lc->stats.frag_free_bytes, bytes);
	PPOOL_COUNT(lc->stats.frag_free, 1);
}

static __rte_noinline void
free_any(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_self(p);
	unsigned int k;

	for (; n > 0; n -= k, m += k) {
		k = RTE_MIN(n, PPOOL_BULK);
		free_bulk(p, lc, m, k);
	}
}

/* free_one() has dropped the last frag of a page, of that many bytes. */
static __rte_noinline void
recycle_one(struct ppool *p, struct ppool_lcore *lc, struct ppool_page *pg, uint32_t bytes)
{
	void *obj = pg->obj;

	ppool_debug_pages_in(p, &obj, 1, PPOOL_DEBUG_DATA);
	PPOOL_COUNT(lc->stats.page_recycle, 1);
	ppool_pages_put(p, &obj, 1);
	count_free(lc, bytes);
}

/*
 * rte_pktmbuf_free(): what free_bulk() does, for one mbuf. What calls there are come last, so that
 * nothing is saved on the stack.
 */
static inline void
free_one(struct ppool *p, struct ppool_lcore *lc, struct rte_mbuf * const *m)
{
	struct ppool_frag *frag = ppool_frag_of(p, m[0]);
	struct ppool_page *pg = &p->page[frag->page];
	bool kept, last = false;
	uint32_t bytes;

	PPOOL_TSAN_ACQUIRE(&frag->shinfo.refcnt);
	bytes = frag->truesize;
	if (unlikely(frag->account != 0 || !ppool_trylock_owner(&lc->lock))) {
		free_any(p, m, 1);
		return;
	}
	kept = ppool_lcore_put_headers(lc, m, 1);
	if (likely(kept)) {
		frag->truesize = 0;
		last = run_drop(pg, ppool_self(), PPOOL_USER + bytes);
	}
	ppool_tryunlock_owner(&lc->lock);
	if (unlikely(!kept))
		free_any(p, m, 1);
	else if (unlikely(last))
		recycle_one(p, lc, pg, bytes);
	else
		count_free(lc, bytes);
}

void
ppool_frag_free_bulk(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_peek(p);

	ppool_debug_frags_in(p, m, n);
	if (n == 1 && likely(lc != NULL))
		free_one(p, lc, m);
	else
		free_any(p, m, n);
}

/* The mbuf of a whole page. */
static void
mono_frag(struct ppool *p, struct rte_mbuf *m, void *obj)
{
	struct ppool_page *pg = ppool_page_of(p, obj);
	struct ppool_frag *frag = ppool_frag_of(p, m);
	uint32_t lead = p->layout.lead_bytes - p->mp->header_size;

	pg->kind = PPOOL_KIND_DATA;
	pg->owner = 0;
	pg->opener = 0;
	pg->opened = 0;
	__atomic_store_n(&pg->use, PPOOL_USER + p->layout.page_bytes, __ATOMIC_RELAXED);
	frag->page = (uint32_t)(pg - p->page);
	frag->truesize = p->layout.page_bytes;
	m->buf_addr = pg->obj + lead;
	rte_mbuf_iova_set(m, pg->iova + lead);
	m->buf_len = RTE_MIN(p->layout.room_bytes, (uint32_t)UINT16_MAX);
	m->ol_flags = RTE_MBUF_F_EXTERNAL;
}

/* All or none, up to PPOOL_BULK. */
static int
mono_frag_bulk(struct ppool *p, struct rte_mbuf **m, unsigned int n)
{
	struct ppool_lcore *lc = ppool_lcore_self(p);
	void *pages[PPOOL_BULK];
	unsigned int i;

	i = ppool_headers_take(p, m, n);
	if (i < n || ppool_pages_get(p, pages, n) != 0) {
		ppool_headers_return(p, m, i);
		return -ENOBUFS;
	}
	ppool_debug_pages_out(p, pages, n, PPOOL_DEBUG_DATA);
	for (i = 0; i < n; i++)
		mono_frag(p, m[i], pages[i]);
	PPOOL_STAT_ADD(p, lc, frag_alloc, n);
	PPOOL_STAT_ADD(p, lc, frag_alloc_bytes, (uint64_t)n * p->layout.page_bytes);
	return 0;
}

int
ppool_frag_alloc_bulk(struct ppool *p, struct rte_mbuf **m, unsigned int n)
{
	unsigned int i, k;

	if (n > p->mp->size)
		return -ENOBUFS;
	for (i = 0; i < n; i += k) {
		k = RTE_MIN(n - i, PPOOL_BULK);
		if (mono_frag_bulk(p, m + i, k) != 0) {
			ppool_frag_free_bulk(p, m, i);
			return -ENOBUFS;
		}
	}
	return 0;
}

/* The last clone of a frag is gone, and its mbuf before it. */
void
ppool_free_pinned(void *addr, void *opaque)
{
	struct rte_mbuf *m = opaque;

	RTE_SET_USED(addr);
	PPOOL_TSAN_ACQUIRE(&m->shinfo->refcnt);
	rte_mbuf_ext_refcnt_set(m->shinfo, 1);
	m->ol_flags = RTE_MBUF_F_EXTERNAL;
	m->next = NULL;
	m->nb_segs = 1;
	rte_mbuf_raw_free(m);
}

/*
 * DPDK wants a function pointer in the shared information of an external buffer. Where a secondary
 * process has this library at another address, it must not be the one that calls it.
 */
void
ppool_check_free_cb(const struct ppool *p)
{
	static bool warned;

	if (p->free_cb == 0 || p->free_cb == (uintptr_t)ppool_free_pinned || warned)
		return;
	warned = true;
	PPOOL_LOG(WARNING,
			"libppool is at another address than in the process that made mempool %s: "
			"a clone of a frag that outlives it must not be freed here (setarch -R for "
			"both processes lifts this)",
			p->mp->name);
}

static void
page_init(struct rte_mempool *mp, void *arg, void *obj, unsigned int i)
{
	struct ppool_page *pg = (struct ppool_page *)arg + i;

	RTE_SET_USED(mp);
	*ppool_index_of(obj) = i;
	pg->obj = obj;
	pg->iova = rte_mempool_virt2iova(obj);
	pg->use = PPOOL_USER;
	pg->kind = PPOOL_KIND_WHOLE;
}

/* Some drivers register DMA memory through m->pool: the frag pool lists the same memory. */
static void
list_chunk(struct rte_mempool *mp, void *arg, struct rte_mempool_memhdr *chunk, unsigned int i)
{
	struct rte_mempool *frag_mp = arg;

	RTE_SET_USED(mp);
	RTE_SET_USED(i);
	if (rte_mempool_populate_iova(frag_mp, chunk->addr, chunk->iova, chunk->len, NULL, NULL) <
			0)
		PPOOL_LOG(WARNING, "mempool %s does not list a chunk of %s", frag_mp->name,
				mp->name);
}

/*
 * Mempool names are short and applications use them to the full, so that of the frag pool cannot
 * be derived from that of the page pool: the first free number is taken.
 */
static struct rte_mempool *
create_empty(const struct ppool *p)
{
	uint64_t frags = (uint64_t)p->mp->size * p->layout.slots;
	uint32_t private_size = RTE_MAX(p->mp->private_data_size,
			(uint32_t)sizeof(struct rte_pktmbuf_pool_private));
	uint32_t elt_size = p->layout.slot_bytes - sizeof(struct rte_mempool_objhdr);
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *mp;
	unsigned int i = 0;

	do {
		snprintf(name, sizeof(name), "ppfrag_%u", i++);
		mp = rte_mempool_create_empty(name, RTE_MIN(frags, (uint64_t)INT32_MAX), elt_size,
				0, private_size, p->mp->socket_id,
				RTE_MEMPOOL_F_NO_SPREAD | RTE_MEMPOOL_F_NO_CACHE_ALIGN);
	} while (mp == NULL && rte_errno == EEXIST);
	return mp;
}

static struct rte_mempool *
create_frag_pool(struct ppool *p)
{
	struct rte_pktmbuf_pool_private priv;
	struct rte_mempool *mp;
	int ret;

	mp = create_empty(p);
	if (mp == NULL)
		return NULL;
	ret = rte_mempool_set_ops_byname(mp, PPOOL_OPS_NAME, p);
	if (ret != 0) {
		rte_errno = -ret;
		rte_mempool_free(mp);
		return NULL;
	}
	memset(&priv, 0, sizeof(priv));
	/* As little as may be: the headroom of a fresh mbuf is no larger, since DPDK 25.11. */
	priv.mbuf_data_room_size =
			(uint16_t)RTE_MIN(p->layout.room_bytes, (uint32_t)RTE_PKTMBUF_HEADROOM);
	priv.mbuf_priv_size = rte_pktmbuf_priv_size(p->mp);
	priv.flags = RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF;
	memcpy(rte_mempool_get_priv(mp), &priv, sizeof(priv));
	p->free_cb = (uintptr_t)ppool_free_pinned;
	/* As ppool_is_split() finds it. */
	__atomic_store_n(&p->frag_mp, mp, __ATOMIC_RELEASE);
	rte_mempool_mem_iter(p->mp, list_chunk, mp);
	return mp;
}

static int
create_page_table(struct ppool *p)
{
	p->page = rte_zmalloc_socket("ppool_pages", (size_t)p->mp->size * sizeof(p->page[0]),
			RTE_CACHE_LINE_SIZE, p->mp->socket_id);
	if (p->page == NULL)
		return -ENOMEM;
	rte_mempool_obj_iter(p->mp, page_init, p->page);
	return 0;
}

static int
split(struct ppool *p)
{
	int ret;

	if (p->mp->populated_size != p->mp->size) {
		PPOOL_LOG(ERR, "mempool %s cannot be split yet: %u of %u objects are populated",
				p->mp->name, p->mp->populated_size, p->mp->size);
		return EINVAL;
	}
	ret = ppool_layout_init(p);
	if (ret == 0)
		ret = create_page_table(p);
	if (ret == 0)
		ret = ppool_debug_split(p);
	if (ret != 0)
		return -ret;
	if (create_frag_pool(p) == NULL) {
		rte_free(p->page);
		p->page = NULL;
		return rte_errno;
	}
	return 0;
}

struct rte_mempool *
ppool_frag_pool(struct rte_mempool *mp)
{
	struct ppool *p = ppool_from_mempool(mp);
	int err = 0;

	if (p == NULL) {
		/* Memory for the pool is allocated when it is first populated. */
		rte_errno = ppool_has_our_ops(mp) ? EINVAL : ENOTSUP;
		return NULL;
	}
	ppool_check_free_cb(p);
	rte_spinlock_lock(&p->create_lock);
	if (p->frag_mp == NULL)
		err = split(p);
	rte_spinlock_unlock(&p->create_lock);
	rte_errno = err;
	return err != 0 ? NULL : p->frag_mp;
}

int
ppool_layout_get(struct rte_mempool *mp, struct ppool_layout *layout)
{
	if (ppool_frag_pool(mp) == NULL)
		return -rte_errno;
	*layout = ppool_from_mempool(mp)->layout;
	return 0;
}

/* Frags handed out and not freed yet. */
uint64_t
ppool_frag_live(const struct ppool *p)
{
	struct ppool_stats stats;

	ppool_stats_get(p->frag_mp, &stats);
	return stats.frag_alloc - stats.frag_free;
}

size_t
ppool_mbuf_truesize(const struct rte_mbuf *m)
{
	const struct ppool_frag *frag;
	size_t bytes = 0;

	for (; m != NULL; m = m->next) {
		const struct rte_mempool *mp = m->pool;

		if (!ppool_is_frag_pool(mp)) {
			bytes += mp->header_size + mp->elt_size + mp->trailer_size;
			continue;
		}
		frag = ppool_frag_of(ppool_from_mempool(mp), m);
		bytes += frag->truesize + frag->slot_bytes;
	}
	return bytes;
}
