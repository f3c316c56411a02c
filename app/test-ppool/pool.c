/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* rte_pktmbuf_pool_create_extbuf() */
#define ALLOW_EXPERIMENTAL_API

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memzone.h>

#include <ppool.h>
#include <ppool_create.h>

#include "pool.h"

size_t
pool_heap_bytes(void)
{
	struct rte_malloc_socket_stats stats;
	size_t bytes = 0;
	unsigned int i;

	for (i = 0; i < rte_socket_count(); i++)
		if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0)
			bytes += stats.heap_allocsz_bytes;
	return bytes;
}

size_t
pool_own_bytes(struct rte_mempool *mp)
{
	struct ppool_memfd memfd;

	return ppool_memfd(mp, &memfd) == 0 ? memfd.len : 0;
}

/* A pool that only ppool_create() can make. */
static struct rte_mempool *
create_special(const char *name, const struct pool_conf *conf)
{
	const char *ops = conf->ops != NULL ? conf->ops : rte_mbuf_best_mempool_ops();
	const struct ppool_create_conf special = {
		.name = name,
		.pages = conf->n,
		.page_size = conf->room,
		.cache_size = conf->cache,
		.socket_id = (int)rte_socket_id(),
		.backing = conf->own_memory ? PPOOL_BACKING_MEMFD : PPOOL_BACKING_EAL,
	};

	if (strcmp(ops, PPOOL_OPS_NAME) == 0)
		return ppool_create(&special);
	rte_errno = ENOTSUP;
	return NULL;
}

/* The external buffers of a pool are a memory zone of its name. Nobody does DMA to them. */
static struct rte_mempool *
create_pinned(const char *name, const struct pool_conf *conf)
{
	size_t bytes = (size_t)conf->n * conf->room;
	const struct rte_memzone *mz = rte_memzone_reserve_aligned(name, bytes, SOCKET_ID_ANY, 0,
			RTE_CACHE_LINE_SIZE);
	struct rte_pktmbuf_extmem memory = { .elt_size = (uint16_t)conf->room };
	struct rte_mempool *mp;

	if (mz == NULL)
		return NULL;
	memory.buf_ptr = mz->addr;
	memory.buf_iova = mz->iova;
	memory.buf_len = mz->len;
	mp = rte_pktmbuf_pool_create_extbuf(name, conf->n, conf->cache, 0, (uint16_t)conf->room,
			(int)rte_socket_id(), &memory, 1);
	if (mp == NULL)
		rte_memzone_free(mz);
	return mp;
}

void
pool_free(struct rte_mempool *mp)
{
	const struct rte_memzone *mz = mp == NULL ? NULL : rte_memzone_lookup(mp->name);

	rte_mempool_free(mp);
	rte_memzone_free(mz);
}

struct rte_mempool *
pool_create(const char *name, const struct pool_conf *conf)
{
	struct rte_mempool *mp;
	int err;

	if (conf->pinned)
		return create_pinned(name, conf);
	if (conf->own_memory || conf->room > UINT16_MAX)
		return create_special(name, conf);
	mp = rte_pktmbuf_pool_create_by_ops(name, conf->n, conf->cache, 0, (uint16_t)conf->room,
			(int)rte_socket_id(), conf->ops);
	if (mp == NULL || conf->unsplit || !ppool_is_page_pool(mp) || ppool_frag_pool(mp) != NULL)
		return mp;
	err = rte_errno;
	rte_mempool_free(mp);
	rte_errno = err;
	return NULL;
}

static size_t
object_bytes(const struct pool_conf *conf)
{
	struct rte_mempool_objsz size;

	return rte_mempool_calc_obj_size(sizeof(struct rte_mbuf) + conf->room, 0, &size);
}

struct rte_mempool *
pool_create_fit(const char *name, const struct pool_conf *conf, size_t bytes)
{
	size_t before = pool_heap_bytes(), object = object_bytes(conf), used, excess;
	struct pool_conf fit = *conf;
	struct rte_mempool *mp;

	/* Rings, tables and gaps between objects take more than the objects alone. */
	fit.n = (unsigned int)RTE_MIN(bytes / object, (size_t)UINT32_MAX / 2);
	while (fit.n > 0) {
		mp = pool_create(name, &fit);
		if (mp == NULL)
			return NULL;
		used = pool_heap_bytes() - before + pool_own_bytes(mp);
		if (used <= bytes)
			return mp;
		rte_mempool_free(mp);
		excess = (used - bytes + object - 1) / object;
		fit.n -= (unsigned int)RTE_MIN(excess, fit.n);
	}
	rte_errno = ENOSPC;
	return NULL;
}

const char *
pool_ops_name(const struct rte_mempool *mp)
{
	return rte_mempool_get_ops(mp->ops_index)->name;
}
