/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Creating a page pool: from a configuration to a plan without open questions, from that to a
 * populated mempool. How a memfd is made and where memory is stands elsewhere.
 */

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "ppool_create.h"
#include "backing.h"
#include "ppool_freelist.h"
#include "ppool_private.h"
#include "ppool_sizing.h"

/* What a configuration amounts to. */
struct plan {
	const struct ppool_create_conf *conf;
	uint32_t pages;
	uint32_t page_size;
	uint32_t elt_size;
	uint32_t page_bytes;
	int socket_id;
	size_t os_page; /* of a memfd; of EAL */
	size_t unit;    /* pages do not cross multiples of this */
	size_t stride;  /* of pages that do */
	size_t slack;   /* lost as the memory may start anywhere in a unit */
	size_t len;     /* of a memfd */
};

/* The configuration */

static bool
node_exists(int socket_id)
{
	unsigned int i;

	for (i = 0; i < rte_socket_count(); i++)
		if (rte_socket_id_by_idx(i) == socket_id)
			return true;
	return false;
}

static int
plan_socket(struct plan *plan)
{
	const struct ppool_create_conf *conf = plan->conf;

	plan->socket_id = conf->socket_id;
	if (conf->socket_id == PPOOL_SOCKET_OF_PORT) {
		if (!rte_eth_dev_is_valid_port(conf->port_id)) {
			PPOOL_LOG(ERR, "mempool %s: there is no port %u whose NUMA node it could have",
					conf->name, conf->port_id);
			return -EINVAL;
		}
		plan->socket_id = rte_eth_dev_socket_id(conf->port_id);
	}
	if (plan->socket_id == SOCKET_ID_ANY || node_exists(plan->socket_id))
		return 0;
	PPOOL_LOG(ERR, "mempool %s: EAL has no memory on NUMA node %d, it knows %u nodes: choose one of them or SOCKET_ID_ANY",
			conf->name, plan->socket_id, rte_socket_count());
	return -EINVAL;
}

static int
plan_page(struct plan *plan)
{
	const struct ppool_create_conf *conf = plan->conf;
	struct rte_mempool_objsz size;

	plan->page_size = conf->page_size;
	if (plan->page_size == 0)
		plan->page_size = ppool_size_fit(RTE_PGSIZE_2M, 32, conf->priv_size);
	if (plan->page_size > PPOOL_PAGE_SIZE_MAX) {
		PPOOL_LOG(ERR, "mempool %s: page_size %u is more than %u", conf->name,
				plan->page_size, PPOOL_PAGE_SIZE_MAX);
		return -EINVAL;
	}
	if (conf->priv_size % RTE_MBUF_PRIV_ALIGN != 0) {
		PPOOL_LOG(ERR, "mempool %s: priv_size %u is no multiple of %u", conf->name,
				conf->priv_size, RTE_MBUF_PRIV_ALIGN);
		return -EINVAL;
	}
	plan->elt_size = sizeof(struct rte_mbuf) + conf->priv_size + plan->page_size;
	plan->page_bytes = rte_mempool_calc_obj_size(plan->elt_size, 0, &size);
	return 0;
}

static int
smallest_page_find(const struct rte_memseg_list *msl, void *arg)
{
	size_t *smallest = arg;

	if (!msl->external && msl->page_sz < *smallest)
		*smallest = msl->page_sz;
	return 0;
}

static size_t
eal_smallest_page(void)
{
	size_t smallest = SIZE_MAX;

	rte_memseg_list_walk(smallest_page_find, &smallest);
	return smallest;
}

/* What a memfd consists of. */
static int
plan_memfd_page(struct plan *plan)
{
	const struct ppool_create_conf *conf = plan->conf;

	plan->os_page = conf->hugepage_size;
	if (plan->os_page == 0 && rte_eal_has_hugepages())
		plan->os_page = ppool_hugepage_smallest();
	if (plan->os_page == 0) {
		PPOOL_LOG(NOTICE, "mempool %s: no hugepages%s: its memfd consists of 4 KB pages",
				conf->name,
				rte_eal_has_hugepages() ? " on this host" : " in use by EAL");
		plan->os_page = PPOOL_SMALL_PAGE;
	}
	if (plan->os_page == PPOOL_SMALL_PAGE) {
		if (rte_eal_iova_mode() == RTE_IOVA_VA)
			return 0;
		PPOOL_LOG(ERR, "mempool %s: 4 KB pages have no lasting physical address: use hugepages or --iova-mode=va",
				conf->name);
		return -ENOTSUP;
	}
	if (ppool_hugepage_known(plan->os_page))
		return 0;
	PPOOL_LOG(ERR, "mempool %s: this host has no hugepages of %zu bytes, see /sys/kernel/mm/hugepages",
			conf->name, plan->os_page);
	return -EINVAL;
}

/* rte_mempool never lets an object cross a hugepage boundary; account for the waste. */
static int
plan_unit(struct plan *plan)
{
	int ret;

	plan->os_page = eal_smallest_page();
	plan->unit = rte_eal_has_hugepages() ? plan->os_page : RTE_PGSIZE_4K;
	plan->stride = RTE_ALIGN_CEIL(plan->page_bytes, plan->unit);
	plan->slack = plan->page_bytes;
	if (plan->conf->backing != PPOOL_BACKING_MEMFD)
		return 0;
	if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
		PPOOL_LOG(ERR, "mempool %s: only the primary process can have pools in a memfd; use memory of EAL",
				plan->conf->name);
		return -E_RTE_SECONDARY;
	}
	ret = plan_memfd_page(plan);
	/* Nor does one cross OS pages that may not be neighbours. */
	if (ret == 0 && rte_eal_iova_mode() != RTE_IOVA_VA)
		plan->unit = RTE_MIN(plan->unit, plan->os_page);
	/* In a memfd, objects larger than a unit are laid out back to back. */
	plan->stride = plan->page_bytes;
	if (plan->unit <= plan->os_page)
		plan->slack = 0;
	return ret;
}

static uint64_t
plan_pages_in(const struct plan *plan, uint64_t bytes)
{
	uint64_t whole;

	bytes -= RTE_MIN(bytes, plan->slack);
	whole = bytes / plan->unit;
	if (plan->page_bytes > plan->unit)
		return bytes / plan->stride;
	return whole * (plan->unit / plan->page_bytes) + bytes % plan->unit / plan->page_bytes;
}

static uint64_t
plan_bytes_of(const struct plan *plan, uint64_t pages)
{
	uint64_t in_unit;

	if (plan->page_bytes > plan->unit)
		return pages * plan->stride + plan->slack;
	in_unit = plan->unit / plan->page_bytes;
	return pages / in_unit * plan->unit + pages % in_unit * plan->page_bytes + plan->slack;
}

static int
plan_pages(struct plan *plan)
{
	const struct ppool_create_conf *conf = plan->conf;
	uint64_t pages = conf->pages, bytes;

	if (pages == 0)
		pages = plan_pages_in(plan, conf->bytes);
	if (pages == 0 || pages > UINT32_MAX) {
		PPOOL_LOG(ERR,
				"mempool %s: %" PRIu64 " bytes make %" PRIu64
				" pages of %u bytes; a pool has from 1 to %u",
				conf->name, conf->bytes, pages, plan->page_bytes, UINT32_MAX);
		return -EINVAL;
	}
	bytes = RTE_ALIGN_CEIL(plan_bytes_of(plan, pages), (uint64_t)plan->os_page);
	if (conf->backing == PPOOL_BACKING_MEMFD && bytes > SIZE_MAX) {
		PPOOL_LOG(ERR,
				"mempool %s: %" PRIu64
				" bytes are more than a 32-bit program can address",
				conf->name, bytes);
		return -ENOMEM;
	}
	plan->pages = (uint32_t)pages;
	plan->len = (size_t)bytes;
	return 0;
}

static int
plan_make(struct plan *plan, const struct ppool_create_conf *conf)
{
	int ret;

	memset(plan, 0, sizeof(*plan));
	plan->conf = conf;
	ret = plan_socket(plan);
	if (ret == 0)
		ret = plan_page(plan);
	if (ret == 0)
		ret = plan_unit(plan);
	return ret != 0 ? ret : plan_pages(plan);
}

/* The pool */

static void
empty_explain(const struct ppool_create_conf *conf, uint32_t pages, int err)
{
	switch (err) {
	case EINVAL:
		PPOOL_LOG(ERR, "mempool %s: cache_size %u is too large for %u pages", conf->name,
				conf->cache_size, pages);
		return;
	case EEXIST:
		PPOOL_LOG(ERR, "mempool %s: there is a mempool of this name: choose another",
				conf->name);
		return;
	case ENAMETOOLONG:
		PPOOL_LOG(ERR, "mempool %s: a name has at most %zu characters", conf->name,
				(size_t)RTE_MEMPOOL_NAMESIZE - 1);
		return;
	}
	PPOOL_LOG(ERR, "mempool %s cannot be created: %s", conf->name, rte_strerror(err));
}

static void
pool_init_private(const struct plan *plan, struct rte_mempool *mp)
{
	struct rte_pktmbuf_pool_private priv;

	memset(&priv, 0, sizeof(priv));
	priv.mbuf_data_room_size = (uint16_t)RTE_MIN(plan->page_size, (uint32_t)UINT16_MAX);
	priv.mbuf_priv_size = plan->conf->priv_size;
	rte_pktmbuf_pool_init(mp, &priv);
}

/* A packet mbuf pool with ops ppfrag and no memory yet. */
static struct rte_mempool *
pool_create_empty(const struct plan *plan)
{
	const struct ppool_create_conf *conf = plan->conf;
	struct rte_mempool *mp;
	int ret;

	mp = rte_mempool_create_empty(conf->name, plan->pages, plan->elt_size, conf->cache_size,
			sizeof(struct rte_pktmbuf_pool_private), plan->socket_id, 0);
	if (mp == NULL) {
		empty_explain(conf, plan->pages, rte_errno);
		return NULL;
	}
	ret = rte_mempool_set_ops_byname(mp, PPOOL_OPS_NAME, NULL);
	if (ret != 0) {
		PPOOL_LOG(ERR,
				"mempool %s: no ops " PPOOL_OPS_NAME
				": there are more mempool drivers than DPDK has room for",
				conf->name);
		rte_mempool_free(mp);
		rte_errno = -ret;
		return NULL;
	}
	pool_init_private(plan, mp);
	return mp;
}

static size_t
heap_free(int socket_id)
{
	struct rte_malloc_socket_stats stats;
	size_t bytes = 0;
	unsigned int i;

	/* Without hugepages there is one heap, and nodes are no criterion. */
	if (!rte_eal_has_hugepages())
		socket_id = SOCKET_ID_ANY;
	for (i = 0; i < rte_socket_count(); i++)
		if ((socket_id == SOCKET_ID_ANY || rte_socket_id_by_idx(i) == socket_id) &&
				rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0)
			bytes += stats.heap_freesz_bytes;
	return bytes;
}

struct hugepages {
	int socket_id;
	uint64_t bytes;
	size_t counted[RTE_MAX_MEMSEG_LISTS]; /* page sizes */
	unsigned int nb;
};

static int
hugepages_add(const struct rte_memseg_list *msl, void *arg)
{
	struct hugepages *h = arg;
	unsigned int i;

	if (msl->external)
		return 0;
	for (i = 0; i < h->nb; i++)
		if (h->counted[i] == msl->page_sz)
			return 0;
	h->counted[h->nb++] = msl->page_sz;
	h->bytes += ppool_hugepages_free(msl->page_sz, h->socket_id) * msl->page_sz;
	return 0;
}

/* What EAL could still take from the host, at most. */
static uint64_t
hugepages_free(int socket_id)
{
	struct hugepages h = { .socket_id = socket_id };

	if (rte_eal_has_hugepages())
		rte_memseg_list_walk(hugepages_add, &h);
	return h.bytes;
}

/* Of the pool's memory, what EAL's heaps do not have. */
static uint64_t
heap_missing(const struct plan *plan)
{
	uint64_t need = plan_bytes_of(plan, plan->pages), have = heap_free(plan->socket_id);

	/* Tables are of the same order, and needed as well. */
	need += plan->pages * sizeof(struct ppool_page) + ppool_freelist_memory(plan->pages);
	return need - RTE_MIN(need, have);
}

static void
heap_explain(const struct plan *plan)
{
	uint64_t missing = heap_missing(plan);

	if (rte_eal_has_hugepages())
		ppool_hugepages_short(plan->conf->name, plan->os_page, plan->socket_id,
				RTE_MAX((missing + plan->os_page - 1) / plan->os_page,
						UINT64_C(1)));
	else
		PPOOL_LOG(ERR,
				"mempool %s: without hugepages EAL has only the memory it was started with, %" PRIu64
				" MB are missing: raise its option -m by so much",
				plan->conf->name, (missing >> 20) + 1);
}

/* There is memory enough, but not in one piece for each page. */
static int
contiguity_explain(const struct plan *plan)
{
	PPOOL_LOG(ERR, "mempool %s: pages of %u bytes find no contiguous physical memory: choose a smaller page_size, larger hugepages%s or --iova-mode=va",
			plan->conf->name, plan->page_bytes,
			plan->conf->backing == PPOOL_BACKING_MEMFD ? " (hugepage_size)" :
								     " for EAL");
	return -ENOMEM;
}

static int
populate_explain(const struct plan *plan, int ret)
{
	if (rte_eal_iova_mode() != RTE_IOVA_VA && plan->page_bytes > plan->os_page)
		return contiguity_explain(plan);
	if (ret == -ENOMEM)
		heap_explain(plan);
	else
		PPOOL_LOG(ERR, "mempool %s cannot be populated: %s", plan->conf->name,
				rte_strerror(-ret));
	return ret;
}

static int
pool_populate_eal(const struct plan *plan, struct rte_mempool *mp)
{
	int ret;

	/* EAL would take all there is, page by page, before it gave up. */
	if (heap_missing(plan) > hugepages_free(plan->socket_id)) {
		heap_explain(plan);
		return -ENOMEM;
	}
	ret = rte_mempool_populate_default(mp);
	return ret < 0 ? populate_explain(plan, ret) : 0;
}

static int
pool_populate_memfd(const struct plan *plan, struct rte_mempool *mp)
{
	struct ppool_region *r;
	int ret;

	ppool_attach_serve();
	r = ppool_region_create(mp->name, plan->len, plan->os_page, plan->socket_id);
	if (r == NULL)
		return -rte_errno;
	ret = ppool_region_populate(r, mp);
	if (ret >= 0 && ret != (int)mp->size)
		return contiguity_explain(plan);
	return ret < 0 ? ret : 0;
}

static int
pool_map_for_port(const struct plan *plan, struct rte_mempool *mp)
{
	if (plan->conf->socket_id != PPOOL_SOCKET_OF_PORT)
		return 0;
	return ppool_dma_map(mp, plan->conf->port_id);
}

static int
pool_fill(const struct plan *plan, struct rte_mempool *mp)
{
	int ret;

	ret = plan->conf->backing == PPOOL_BACKING_MEMFD ? pool_populate_memfd(plan, mp) :
							   pool_populate_eal(plan, mp);
	if (ret != 0)
		return ret;
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	if (ppool_frag_pool(mp) == NULL) {
		ret = -rte_errno;
		PPOOL_LOG(ERR, "mempool %s cannot be split: %s", mp->name, rte_strerror(-ret));
		return ret;
	}
	return pool_map_for_port(plan, mp);
}

/* The report */

/* "node 0: 12, node 1: 3" */
static void
nodes_text(const struct ppool_placement *placement, char *text, size_t room)
{
	size_t used = 0;
	int i;

	text[0] = '\0';
	for (i = 0; i < RTE_MAX_NUMA_NODES; i++)
		if (placement->on_node[i] != 0 && used < room)
			used += (size_t)snprintf(text + used, room - used, "%snode %d: %" PRIu64,
					used == 0 ? "" : ", ", i, placement->on_node[i]);
	if (placement->unknown != 0 && used < room)
		snprintf(text + used, room - used, "%sunknown: %" PRIu64, used == 0 ? "" : ", ",
				placement->unknown);
}

static void
pool_report(const struct plan *plan, struct rte_mempool *mp)
{
	struct ppool_placement placement;
	char nodes[256];

	ppool_placement_get(mp, &placement);
	nodes_text(&placement, nodes, sizeof(nodes));
	PPOOL_LOG(INFO,
			"mempool %s: %u pages of %u bytes in %" PRIu64 " OS pages of %" PRIu64
			" KB%s (%s)",
			mp->name, mp->size, plan->page_bytes, placement.os_pages,
			placement.os_page_len >> 10,
			plan->conf->backing == PPOOL_BACKING_MEMFD ? " of a memfd" : "", nodes);
	if (placement.elsewhere != 0)
		PPOOL_LOG(WARNING,
				"mempool %s: %" PRIu64 " of its %" PRIu64
				" OS pages are not on NUMA node %d (%s): accesses to them are slower",
				mp->name, placement.elsewhere, placement.os_pages,
				placement.socket_id, nodes);
}

struct rte_mempool *
ppool_create(const struct ppool_create_conf *conf)
{
	struct rte_mempool *mp;
	struct plan plan;
	int ret;

	ret = plan_make(&plan, conf);
	if (ret != 0) {
		rte_errno = -ret;
		return NULL;
	}
	mp = pool_create_empty(&plan);
	if (mp == NULL)
		return NULL;
	ret = pool_fill(&plan, mp);
	if (ret != 0) {
		rte_mempool_free(mp);
		rte_errno = -ret;
		return NULL;
	}
	pool_report(&plan, mp);
	return mp;
}
