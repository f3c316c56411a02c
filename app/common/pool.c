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

int
pool_close(struct rte_mempool *mp, const char *command)
{
	unsigned int missing;
	int ret = 0;

	if (mp == NULL)
		return 0;
	missing = rte_mempool_in_use_count(mp);
	if (missing != 0) {
		fprintf(stderr, "%s: %u of %u mbufs did not come back to the pool %s\n", command,
				missing, mp->size, mp->name);
		ret = -1;
	}
	if (ppool_is_page_pool(mp) && ppool_check(mp, stderr) != 0) {
		fprintf(stderr, "%s: the ledger of the pool %s does not balance\n", command,
				mp->name);
		ret = -1;
	}
	pool_free(mp);
	return ret;
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

/* Between which numbers of objects the largest pool lies that fits into some memory. */
struct fit {
	size_t bytes;         /* to be filled */
	unsigned int fits;    /* objects of the largest pool known to fit */
	unsigned int exceeds; /* objects of the smallest pool known not to */
	size_t fits_bytes;    /* what the one took */
	size_t exceeds_bytes; /* what the other one took; 0: it could not be created */
};

/* A pool that leaves less than this share of the memory fills it. */
#define FIT_SHARE 256

/* Objects alone, without gaps, rings and tables, tell where to begin. */
static struct fit
fit_begin(const struct pool_conf *conf, size_t bytes)
{
	struct rte_mempool_objsz size;
	size_t object = rte_mempool_calc_obj_size(sizeof(struct rte_mbuf) + conf->room, 0, &size);
	size_t n = bytes / object;

	n = RTE_MIN(n, (size_t)UINT32_MAX / 2);
	return (struct fit){ .bytes = bytes,
		.exceeds = (unsigned int)n + 1,
		.exceeds_bytes = bytes + bytes / RTE_MAX(n, (size_t)1) };
}

static bool
fit_is_found(const struct fit *f)
{
	return f->exceeds - f->fits <= 1 || f->bytes - f->fits_bytes < f->bytes / FIT_SHARE;
}

/* Between the bounds, where a straight line meets the memory. */
static unsigned int
fit_next(const struct fit *f)
{
	unsigned int range = f->exceeds - f->fits;
	double share = 0.5;

	if (f->exceeds_bytes != 0)
		share = (double)(f->bytes - f->fits_bytes) /
				(double)(f->exceeds_bytes - f->fits_bytes);
	return f->fits + RTE_MIN(RTE_MAX((unsigned int)(share * range), 1u), range - 1);
}

/* Create a pool and move one of the bounds. Returns NULL where it is too large. */
static struct rte_mempool *
fit_try(struct fit *f, const char *name, const struct pool_conf *conf)
{
	size_t before = pool_heap_bytes(), used = 0;
	struct rte_mempool *mp = pool_create(name, conf);

	if (mp != NULL)
		used = pool_heap_bytes() - before + pool_own_bytes(mp);
	if (mp != NULL && used <= f->bytes) {
		f->fits = conf->n;
		f->fits_bytes = used;
		return mp;
	}
	f->exceeds = conf->n;
	f->exceeds_bytes = used;
	rte_mempool_free(mp);
	return NULL;
}

static bool
is_lack_of_memory(int err)
{
	return err == ENOMEM || err == ENOBUFS || err == ENOSPC;
}

/* Find the bounds. Returns -1 with rte_errno where pools are refused, or EAL has less memory. */
static int
fit_search(struct fit *f, const char *name, struct pool_conf *conf)
{
	struct rte_mempool *mp;

	while (!fit_is_found(f)) {
		conf->n = fit_next(f);
		mp = fit_try(f, name, conf);
		if (mp == NULL && f->exceeds_bytes == 0 && !is_lack_of_memory(rte_errno))
			return -1;
		rte_mempool_free(mp);
	}
	if (f->fits > 0 && (f->exceeds_bytes != 0 || f->exceeds - f->fits > 1))
		return 0;
	rte_errno = ENOMEM;
	return -1;
}

struct rte_mempool *
pool_create_fit(const char *name, const struct pool_conf *conf, size_t bytes)
{
	struct fit f = fit_begin(conf, bytes);
	struct pool_conf fit = *conf;

	if (fit_search(&f, name, &fit) != 0)
		return NULL;
	fit.n = f.fits;
	return pool_create(name, &fit);
}

const char *
pool_ops_name(const struct rte_mempool *mp)
{
	return rte_mempool_get_ops(mp->ops_index)->name;
}
