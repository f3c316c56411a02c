/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* Splitting a pool: the layout of its pages, page table, internal pools. Once in its life. */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "ppool_create.h"
#include "ppool_freelist.h"
#include "ppool_mono.h"
#include "ppool_slot.h"
#include "ppool_slot_pool.h"

static bool
is_pktmbuf_pool(const struct rte_mempool *mp)
{
	return mp->private_data_size >= sizeof(struct rte_pktmbuf_pool_private) &&
			mp->elt_size >= sizeof(struct rte_mbuf);
}

/* A header's share of its page has 16 bits, see struct ppool_frag. */
static int
header_share_check(const struct ppool *p)
{
	uint32_t share = p->depot.size_class[PPOOL_HEADERS].truesize;

	if (share <= UINT16_MAX)
		return 0;
	PPOOL_LOG(ERR,
			"mempool %s cannot be split: a header would take %u bytes, more than %u: "
			"create it with a smaller private area",
			p->mp->name, share, UINT16_MAX);
	return -EINVAL;
}

/* Whether the objects of a mempool can be pages. Returns 0 or a negative errno. */
static int
mempool_check(const struct rte_mempool *mp)
{
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
	/* Where DPDK was built with RTE_LIBRTE_MEMPOOL_DEBUG. */
	if (mp->header_size < PPOOL_FRONT) {
		PPOOL_LOG(ERR,
				"mempool %s cannot be split: this DPDK has %u bytes in front of "
				"objects, %zu are needed: build it without RTE_LIBRTE_MEMPOOL_DEBUG",
				mp->name, mp->header_size, (size_t)PPOOL_FRONT);
		return -ENOTSUP;
	}
	return 0;
}

int
ppool_layout_init(struct ppool *p)
{
	const struct rte_mempool *mp = p->mp;
	int ret = mempool_check(mp);
	uint32_t lead, slot, least;

	if (ret != 0)
		return ret;
	p->mbuf_bytes = sizeof(struct rte_mbuf) + rte_pktmbuf_priv_size(p->mp);
	/* The mbuf of the page stays intact. */
	lead = RTE_ALIGN_CEIL(p->mbuf_bytes, RTE_CACHE_LINE_SIZE);
	slot = RTE_ALIGN_CEIL(PPOOL_FRONT + p->mbuf_bytes, RTE_CACHE_LINE_SIZE);
	p->first_slot = lead + PPOOL_FRONT;
	/* A header at least. */
	least = p->first_slot + p->mbuf_bytes;
	if (mp->elt_size < least) {
		PPOOL_LOG(ERR,
				"elements of mempool %s are too small to split: %u bytes, at least "
				"%u are needed",
				mp->name, mp->elt_size, least);
		return -EINVAL;
	}
	if (mp->elt_size - lead > PPOOL_PAGE_SIZE_MAX) {
		PPOOL_LOG(ERR, "elements of mempool %s are too large to split: a page counts the frags of at most %u bytes, %u would be left for them",
				mp->name, PPOOL_PAGE_SIZE_MAX, mp->elt_size - lead);
		return -EINVAL;
	}

	p->layout.page_bytes = mp->header_size + mp->elt_size + mp->trailer_size;
	p->layout.lead_bytes = mp->header_size + lead;
	p->layout.room_bytes = mp->elt_size - lead;
	p->layout.slot_bytes = slot;
	p->layout.slots = 1 + (mp->elt_size - least) / slot;
	ppool_classes_init(p);
	ppool_depot_init(&p->depot);
	return header_share_check(p);
}

static void
page_table_add(struct rte_mempool *mp, void *arg, void *obj, unsigned int i)
{
	struct ppool_page *pg = (struct ppool_page *)arg + i;

	RTE_SET_USED(mp);
	*ppool_index_of(obj) = i;
	ppool_frag_of(obj)->page = i;
	ppool_frag_of(obj)->account = PPOOL_ACCOUNT_MONO;
	ppool_page_init(pg, obj, rte_mempool_virt2iova(obj));
}

/* Some drivers register DMA memory through m->pool: the frag pool lists the same memory. */
static void
chunk_list(struct rte_mempool *mp, void *arg, struct rte_mempool_memhdr *chunk, unsigned int i)
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
 * Mempool names are short and applications use them to the full, so that of an internal pool cannot
 * be derived from that of the page pool: the first free number is taken.
 */
static struct rte_mempool *
internal_pool_create_empty(const struct ppool *p, uint64_t n, uint32_t elt_size)
{
	uint32_t private_size =
			RTE_MAX(p->mp->private_data_size, (uint32_t)sizeof(struct ppool_view));
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rte_mempool *mp;
	unsigned int i = 0;

	do {
		snprintf(name, sizeof(name), "ppfrag_%u", i++);
		mp = rte_mempool_create_empty(name, RTE_MIN(n, (uint64_t)INT32_MAX), elt_size, 0,
				private_size, p->mp->socket_id,
				RTE_MEMPOOL_F_NO_SPREAD | RTE_MEMPOOL_F_NO_CACHE_ALIGN);
	} while (mp == NULL && rte_errno == EEXIST);
	return mp;
}

/* NULL with rte_errno. */
static struct rte_mempool *
internal_pool_create(struct ppool *p, uint64_t n, uint32_t elt_size,
		const struct rte_pktmbuf_pool_private *priv)
{
	struct rte_mempool *mp = internal_pool_create_empty(p, n, elt_size);
	int ret;

	if (mp == NULL)
		return NULL;
	ret = rte_mempool_set_ops_byname(mp, PPOOL_OPS_NAME, p);
	if (ret != 0) {
		rte_mempool_free(mp);
		rte_errno = -ret;
		return NULL;
	}
	memcpy(rte_mempool_get_priv(mp), priv, sizeof(*priv));
	return mp;
}

static struct rte_mempool *
frag_pool_create(struct ppool *p)
{
	uint32_t elt_size = p->layout.slot_bytes - PPOOL_FRONT;
	struct rte_pktmbuf_pool_private priv;

	memset(&priv, 0, sizeof(priv));
	/* As little as may be: the headroom of a fresh mbuf is no larger, since DPDK 25.11. */
	priv.mbuf_data_room_size =
			(uint16_t)RTE_MIN(p->layout.room_bytes, (uint32_t)RTE_PKTMBUF_HEADROOM);
	priv.mbuf_priv_size = rte_pktmbuf_priv_size(p->mp);
	priv.flags = RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF;
	return internal_pool_create(p, (uint64_t)p->mp->size * p->layout.slots, elt_size, &priv);
}

static struct rte_mempool *
mono_pool_create(struct ppool *p)
{
	struct rte_pktmbuf_pool_private priv;

	memset(&priv, 0, sizeof(priv));
	ppool_mono_private(p, &priv);
	return internal_pool_create(p, p->mp->size, p->mp->elt_size, &priv);
}

static void
mono_pool_free(struct ppool *p)
{
	rte_mempool_free(p->mono_mp);
	p->mono_mp = NULL;
}

static int
internal_pools_create(struct ppool *p)
{
	struct rte_mempool *frag_mp;
	int err;

	p->mono_mp = mono_pool_create(p);
	if (p->mono_mp == NULL)
		return -rte_errno;
	frag_mp = frag_pool_create(p);
	if (frag_mp == NULL) {
		err = rte_errno;
		mono_pool_free(p);
		return -err;
	}
	p->free_cb = ppool_free_cb();
	rte_mempool_mem_iter(p->mp, chunk_list, p->mono_mp);
	/* As ppool_is_split() finds it. */
	__atomic_store_n(&p->frag_mp, frag_mp, __ATOMIC_RELEASE);
	rte_mempool_mem_iter(p->mp, chunk_list, frag_mp);
	return 0;
}

/* The slot pool or a class view, with the data room of a class. NULL with rte_errno. */
static struct rte_mempool *
class_pool_create(struct ppool *p, unsigned int size_class)
{
	const struct ppool_class *c = &p->depot.size_class[size_class];
	struct rte_pktmbuf_pool_private priv;
	struct rte_mempool *mp;

	memset(&priv, 0, sizeof(priv));
	priv.mbuf_data_room_size = c->buf_len;
	priv.mbuf_priv_size = rte_pktmbuf_priv_size(p->mp);
	mp = internal_pool_create(p, (uint64_t)p->mp->size * c->slots, c->slot_bytes - PPOOL_FRONT,
			&priv);
	if (mp == NULL)
		return NULL;
	((struct ppool_view *)rte_mempool_get_priv(mp))->size_class = size_class;
	rte_mempool_mem_iter(p->mp, chunk_list, mp);
	return mp;
}

/* Returns 0 or an errno. */
static int
view_create(struct ppool *p, unsigned int size_class)
{
	if (p->slot_mp == NULL)
		__atomic_store_n(&p->slot_mp, class_pool_create(p, PPOOL_HEADERS + 1),
				__ATOMIC_RELEASE);
	if (p->slot_mp == NULL)
		return rte_errno;
	if (p->view[size_class] == NULL)
		__atomic_store_n(&p->view[size_class], class_pool_create(p, size_class),
				__ATOMIC_RELEASE);
	return p->view[size_class] == NULL ? rte_errno : 0;
}

struct rte_mempool *
ppool_slot_pool(struct rte_mempool *mp, uint16_t room)
{
	unsigned int size_class;
	struct ppool *p;

	if (ppool_frag_pool(mp) == NULL)
		return NULL;
	p = ppool_from_mempool(mp);
	size_class = ppool_class_for(p, room);
	if (size_class == PPOOL_HEADERS) {
		PPOOL_LOG(ERR, "no slot of mempool %s holds %u bytes, the largest holds %u: create the pool with larger pages",
				p->mp->name, room, p->depot.room_max);
		rte_errno = E2BIG;
		return NULL;
	}
	ppool_mutex_wait(&p->create_lock);
	rte_errno = view_create(p, size_class);
	ppool_mutex_unlock(&p->create_lock);
	return rte_errno != 0 ? NULL : p->view[size_class];
}

int
ppool_slot_classes_get(struct rte_mempool *mp, struct ppool_slot_class *c, unsigned int n)
{
	const struct ppool_class *from;
	const struct ppool *p;
	unsigned int i;

	if (ppool_frag_pool(mp) == NULL)
		return -rte_errno;
	p = ppool_from_mempool(mp);
	for (i = PPOOL_HEADERS + 1; i < p->depot.nb_classes && n > 0; i++, n--, c++) {
		from = &p->depot.size_class[i];
		c->slots = from->slots;
		c->truesize = from->truesize;
		c->room = ppool_class_room(p, i);
	}
	return (int)p->depot.nb_classes - 1;
}

static void
class_pools_free(struct ppool *p)
{
	unsigned int i;

	for (i = 0; i < PPOOL_CLASSES; i++) {
		rte_mempool_free(p->view[i]);
		p->view[i] = NULL;
	}
	rte_mempool_free(p->slot_mp);
	p->slot_mp = NULL;
}

void
ppool_unsplit(struct ppool *p)
{
	class_pools_free(p);
	rte_mempool_free(p->frag_mp);
	mono_pool_free(p);
	rte_free(p->page);
	p->page = NULL;
}

static int
page_table_create(struct ppool *p)
{
	p->page = rte_zmalloc_socket("ppool_pages", (size_t)p->mp->size * sizeof(p->page[0]),
			RTE_CACHE_LINE_SIZE, p->mp->socket_id);
	if (p->page == NULL)
		return -ENOMEM;
	rte_mempool_obj_iter(p->mp, page_table_add, p->page);
	return 0;
}

static int
pool_split(struct ppool *p)
{
	int ret;

	if (p->mp->populated_size != p->mp->size) {
		PPOOL_LOG(ERR, "mempool %s cannot be split yet: %u of %u objects are populated",
				p->mp->name, p->mp->populated_size, p->mp->size);
		return EINVAL;
	}
	ret = ppool_layout_init(p);
	if (ret == 0)
		ret = page_table_create(p);
	if (ret == 0)
		ret = ppool_debug_split(p);
	if (ret != 0)
		return -ret;
	ret = internal_pools_create(p);
	if (ret != 0) {
		ppool_unsplit(p);
		return -ret;
	}
	/* Other processes may have come before: see lists_note_foreign(). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&p->foreign, __ATOMIC_RELAXED) != 0)
		ppool_freelist_track(p);
	return 0;
}

struct rte_mempool *
ppool_frag_pool(struct rte_mempool *mp)
{
	struct ppool *p = ppool_find(mp);
	int err = 0;

	if (p == NULL) {
		/* Memory for the pool is allocated when it is first populated. */
		rte_errno = ppool_has_our_ops(mp) && mp->pool_data == NULL ? EINVAL : ENOTSUP;
		return NULL;
	}
	ppool_check_free_cb(p);
	ppool_process_join();
	ppool_mutex_wait(&p->create_lock);
	if (p->frag_mp == NULL)
		err = pool_split(p);
	ppool_mutex_unlock(&p->create_lock);
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
