/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Whole pages as frags: what is allocated from a frag pool.
 *
 * An application that knows nothing of frags allocates from m->pool, to clone, to copy, to attach.
 * What it gets is the mbuf of the page itself, a direct one: DPDK detaches no mbuf of a pool with
 * pinned buffers, which the frag pool is, and it takes for direct what it has copied. So m->pool is
 * the mono pool, which has no cache either.
 *
 * Its record is that of a header slot, as of any other frag; the mbuf of that slot is seen by
 * nobody. The page table knows which slot it is. In front of the page there is a label in the place
 * where the mbuf of a slot has its record: transmit functions put mbufs into the pool of the first
 * of a burst, and whoever finds one there must see what it is.
 *
 * Since DPDK 25.11, rte_pktmbuf_alloc() says of any mbuf from the frag pool that its buffer is an
 * external one (PPOOL_ALLOC_SETS_EXTERNAL). Then its clones refer to the shared information in the
 * label, and it may come back before they do. There are two references at first: that of the mbuf
 * to its own buffer, which DPDK drops when it detaches it, and one for the time until it is put.
 * With the last one the page is free: here, or with the last clone, by way of ppool_pinned.c.
 * An mbuf that was attached to something else was detached from that, not from its own buffer. If
 * that was a direct mbuf, nothing tells it from one that has a clone: then it is never freed.
 */

#include <errno.h>

#include "ppool_compat.h"
#include "ppool_mono.h"

/* A buffer nobody has detached is that much longer than one that was. */
#define UNDETACHED (PPOOL_ALLOC_SETS_EXTERNAL ? 1u : 0u)

static uint16_t
data_room(const struct ppool *p)
{
	return (uint16_t)RTE_MIN(p->mp->elt_size - p->mbuf_bytes, (uint32_t)UINT16_MAX);
}

void
ppool_mono_private(const struct ppool *p, struct rte_pktmbuf_pool_private *priv)
{
	priv->mbuf_priv_size = rte_pktmbuf_priv_size(p->mp);
	priv->mbuf_data_room_size = data_room(p) - UNDETACHED;
}

/* What rte_pktmbuf_detach() does to mbufs of that pool. */
static void
set_buffer(struct rte_mbuf *m, struct rte_mempool *mp)
{
	rte_iova_t iova = rte_mempool_virt2iova(m);
	uint32_t lead;

	m->pool = mp;
	m->priv_size = rte_pktmbuf_priv_size(mp);
	m->buf_len = rte_pktmbuf_data_room_size(mp);
	lead = (uint32_t)sizeof(*m) + m->priv_size;
	m->buf_addr = RTE_PTR_ADD(m, lead);
	rte_mbuf_iova_set(m, iova == RTE_BAD_IOVA ? iova : iova + lead);
	m->ol_flags = 0;
}

/* The page whose element this is. */
static struct ppool_page *
page_at(const struct ppool *p, const struct rte_mbuf *m)
{
	uint32_t i = *ppool_index_of((void *)(uintptr_t)m);

	return i < p->mp->size && p->page[i].obj == (const char *)m ? &p->page[i] : NULL;
}

bool
ppool_mono_owns(const struct ppool *p, const struct rte_mbuf *m)
{
	const struct ppool_page *pg = page_at(p, m);

	return pg != NULL && ppool_page_is_mono(pg);
}

static struct rte_mbuf *
slot_of(const struct ppool *p, const struct ppool_page *pg)
{
	return (struct rte_mbuf *)(p->page[pg->next].obj + pg->prev);
}

struct ppool_frag *
ppool_mono_record(const struct ppool *p, const struct rte_mbuf *m)
{
	const struct ppool_page *pg = page_at(p, m);

	return pg == NULL || !ppool_page_is_mono(pg) ? NULL : ppool_frag_of(slot_of(p, pg));
}

struct ppool_frag *
ppool_record_of(const struct rte_mbuf *m)
{
	struct ppool *p = ppool_from_mempool(m->pool);

	if (p == NULL || !ppool_is_internal_role(m->pool))
		return NULL;
	return ppool_is_mono_role(m->pool) ? ppool_mono_record(p, m) : ppool_frag_of(m);
}

static struct rte_mbuf_ext_shared_info *
own_shinfo(const struct rte_mbuf *m)
{
	return &ppool_frag_of(m)->shinfo;
}

/* Clones may outlive the mbuf: they refer to its label then. */
static void
share_buffer(const struct ppool *p, struct rte_mbuf *m)
{
	struct ppool_frag *label = ppool_frag_of(m);

	m->shinfo = &label->shinfo;
	m->buf_len = data_room(p);
	label->shinfo.free_cb = (rte_mbuf_extbuf_free_callback_t)(uintptr_t)p->free_cb;
	label->shinfo.fcb_opaque = m;
	rte_mbuf_ext_refcnt_set(&label->shinfo, 2);
}

/* Whether the mbuf was detached from its own buffer, as far as can be told. */
static bool
was_detached(const struct ppool *p, struct rte_mbuf *m)
{
	return m->shinfo == own_shinfo(m) && m->buf_len == rte_pktmbuf_data_room_size(p->mono_mp);
}

/* It is put: returns whether no clone refers to it. Their last one puts it again. */
static bool
unshare_buffer(const struct ppool *p, struct rte_mbuf *m)
{
	struct rte_mbuf_ext_shared_info *own = own_shinfo(m);

	if (m->shinfo == NULL || rte_mbuf_ext_refcnt_read(own) == 0)
		return true;
	return (int16_t)rte_mbuf_ext_refcnt_update(own, was_detached(p, m) ? -1 : -2) <= 0;
}

static struct rte_mbuf *
mono_make(struct ppool *p, struct rte_mbuf *slot, void *obj, bool external)
{
	struct ppool_frag *frag = ppool_frag_of(slot);
	struct ppool_page *pg = ppool_page_of(p, obj);
	struct rte_mbuf *m = obj;

	pg->next = frag->header_page;
	pg->prev = (uint32_t)RTE_PTR_DIFF(slot, p->page[pg->next].obj);
	frag->page = (uint32_t)(pg - p->page);
	frag->truesize = p->layout.page_bytes;
	/* Last: what looks for users of a page finds its record. */
	ppool_page_mono(pg, p->layout.page_bytes);

	set_buffer(m, p->mono_mp);
	m->shinfo = NULL;
	if (external)
		share_buffer(p, m);
	return m;
}

/* All or none, up to PPOOL_BULK. */
static int
mono_get(struct ppool *p, struct rte_mbuf **m, unsigned int n, bool external)
{
	struct ppool_lcore *lc = ppool_lcore_get(p);
	uint64_t grown = ppool_slots_grown(p);
	void *pages[PPOOL_BULK];
	unsigned int i;

	i = ppool_slots_get(p, PPOOL_HEADERS, m, n);
	if (i < n || ppool_pages_get(p, pages, n) != 0) {
		ppool_headers_give_back(p, m, i, grown);
		return -ENOBUFS;
	}
	ppool_debug_pages_out(p, pages, n, PPOOL_DEBUG_DATA);
	for (i = 0; i < n; i++)
		m[i] = mono_make(p, m[i], pages[i], external);
	PPOOL_STAT_ADD(p, lc, frag_alloc, n);
	PPOOL_STAT_ADD(p, lc, frag_alloc_bytes, (uint64_t)n * p->layout.page_bytes);
	return 0;
}

int
ppool_mono_get_bulk(struct rte_mempool *mp, struct rte_mbuf **m, unsigned int n)
{
	bool external = PPOOL_ALLOC_SETS_EXTERNAL && ppool_is_frag_role(mp);
	struct ppool *p = ppool_of(mp);
	unsigned int i, k;

	if (n > p->mp->size)
		return -ENOBUFS;
	for (i = 0; i < n; i += k) {
		k = RTE_MIN(n - i, PPOOL_BULK);
		if (mono_get(p, m + i, k, external) != 0) {
			while (i > 0)
				ppool_mono_put(p, m[--i]);
			return -ENOBUFS;
		}
	}
	return 0;
}

/* The page will be an ordinary object again. */
void
ppool_mono_reset(struct ppool *p, struct ppool_page *pg)
{
	struct rte_mbuf *m = (struct rte_mbuf *)pg->obj;

	set_buffer(m, p->mp);
	m->next = NULL;
	m->nb_segs = 1;
	rte_mbuf_refcnt_set(m, 1);
}

static void
mono_free(struct ppool *p, struct ppool_page *pg)
{
	struct rte_mbuf *slot = slot_of(p, pg);

	set_buffer((struct rte_mbuf *)pg->obj, p->mp);
	ppool_frag_free_bulk(p, &slot, 1);
}

/* A page that is no frag: somebody puts it twice. */
static void
put_twice(struct ppool *p, struct rte_mbuf *m)
{
	void *obj = m;

	if (PPOOL_DEBUG_CHECKS)
		ppool_debug_pages_in(p, &obj, 1, PPOOL_DEBUG_DATA);
	else
		PPOOL_LOG(ERR, "mempool %s: put of mbuf %p, which is free: ignored", p->mp->name,
				(void *)m);
}

void
ppool_mono_put(struct ppool *p, struct rte_mbuf *m)
{
	struct ppool_page *pg = page_at(p, m);

	if (pg == NULL || !ppool_page_is_mono(pg)) {
		put_twice(p, m);
		return;
	}
	/* Some drivers put mbufs into their pool without looking at them. */
	if (unlikely(!RTE_MBUF_DIRECT(m) && (RTE_MBUF_CLONED(m) || m->shinfo != own_shinfo(m)))) {
		rte_pktmbuf_detach(m);
		m->shinfo = NULL;
	}
	if (!PPOOL_ALLOC_SETS_EXTERNAL || unshare_buffer(p, m))
		mono_free(p, pg);
}
