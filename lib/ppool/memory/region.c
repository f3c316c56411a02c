/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * A memfd as the memory of a pool: EAL and other processes know it, until the pool is freed and
 * nobody is attached any more. The first chunk of the mempool owns the region.
 */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_memory.h>
#include <rte_string_fns.h>

#include "ppool_create.h"
#include "backing.h"
#include "ppool_private.h"

struct peer {
	LIST_ENTRY(peer) next;
	struct ppool_peer id;
};

struct ppool_region {
	LIST_ENTRY(ppool_region) next;
	char name[RTE_MEMPOOL_NAMESIZE]; /* of the mempool */
	struct ppool_file file;
	bool owned;    /* by the mempool */
	bool orphaned; /* its mempool is freed */
	LIST_HEAD(, peer) peers;
	struct ppool_dma *dma;
	size_t nb_ranges;
	struct ppool_range range[]; /* at most one for each OS page */
};

/* All that EAL knows. The lock is for what other processes cause. */
static LIST_HEAD(, ppool_region) regions = LIST_HEAD_INITIALIZER(regions);
static pthread_mutex_t regions_lock = PTHREAD_MUTEX_INITIALIZER;

/* The end of a region */

static void
peer_remove(struct peer *peer)
{
	LIST_REMOVE(peer, next);
	free(peer);
}

/* EAL does not know of it, or not yet. */
static void
region_free(struct ppool_region *r)
{
	while (!LIST_EMPTY(&r->peers))
		peer_remove(LIST_FIRST(&r->peers));
	ppool_dma_free(r->dma);
	ppool_file_close(&r->file);
	free(r);
}

/*
 * Lock held. All or nothing: EAL does not let go of memory that another process has attached to.
 * It asks the kernel, which knows of processes that were killed.
 */
static int
region_release(struct ppool_region *r)
{
	ppool_dma_free(r->dma);
	r->dma = NULL;
	if (rte_extmem_unregister(r->file.addr, r->file.len) != 0)
		return -rte_errno;
	LIST_REMOVE(r, next);
	region_free(r);
	return 0;
}

/* "12 (dpdk-proc-info), 34 (collector)", without those that are known to have died. */
static void
peers_text(const struct ppool_region *r, char *text, size_t room)
{
	const struct peer *peer;
	size_t used = 0;

	strlcpy(text, "unknown", room);
	LIST_FOREACH(peer, &r->peers, next) {
		if (used < room && (kill(peer->id.pid, 0) == 0 || errno != ESRCH))
			used += (size_t)snprintf(text + used, room - used, "%s%d (%s)",
					used == 0 ? "" : ", ", peer->id.pid, peer->id.name);
	}
}

/* The mempool goes. Where the memory cannot go with it, it stays as it is. */
static void
region_orphan(struct ppool_region *r)
{
	char name[RTE_MEMPOOL_NAMESIZE], peers[256];
	int ret;

	pthread_mutex_lock(&regions_lock);
	strlcpy(name, r->name, sizeof(name));
	peers_text(r, peers, sizeof(peers));
	r->orphaned = true;
	ret = region_release(r);
	pthread_mutex_unlock(&regions_lock);
	if (ret == -EBUSY)
		PPOOL_LOG(ERR, "mempool %s is freed while other processes are attached to it: %s; its memfd stays until they call ppool_detach() or end",
				name, peers);
	else if (ret != 0)
		PPOOL_LOG(ERR, "mempool %s is freed, but EAL does not let go of its memory: %s",
				name, rte_strerror(-ret));
}

/* Lock held. Processes that were attached may have gone. */
static void
regions_sweep(void)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	struct ppool_region *r, *next;

	for (r = LIST_FIRST(&regions); r != NULL; r = next) {
		next = LIST_NEXT(r, next);
		if (!r->orphaned)
			continue;
		strlcpy(name, r->name, sizeof(name));
		if (region_release(r) == 0)
			PPOOL_LOG(INFO, "mempool %s, freed before: its memfd is released now",
					name);
	}
}

static void
chunk_free(struct rte_mempool_memhdr *chunk, void *opaque)
{
	RTE_SET_USED(chunk);
	region_orphan(opaque);
}

/* Append an OS page to the ranges, each of which is contiguous in IOVA. */
static void
region_add_page(struct ppool_region *r, void *addr, rte_iova_t iova)
{
	struct ppool_range *last = &r->range[r->nb_ranges];

	if (r->nb_ranges > 0 && last[-1].iova + last[-1].len == iova) {
		last[-1].len += r->file.os_page;
		return;
	}
	last->addr = addr;
	last->iova = iova;
	last->len = r->file.os_page;
	r->nb_ranges++;
}

/* The IOVA of all OS pages, to be freed; NULL with rte_errno, logged. */
static rte_iova_t *
region_addresses(struct ppool_region *r)
{
	rte_iova_t *iova = calloc(r->file.len / r->file.os_page, sizeof(*iova));
	void *addr = r->file.addr;
	size_t i;

	for (i = 0; iova != NULL && i < r->file.len / r->file.os_page; i++) {
		iova[i] = rte_mem_virt2iova(addr);
		if (iova[i] == RTE_BAD_IOVA) {
			PPOOL_LOG(ERR, "mempool %s: the physical addresses of its memory cannot be read: start as root, or with --iova-mode=va",
					r->name);
			free(iova);
			rte_errno = EPERM;
			return NULL;
		}
		region_add_page(r, addr, iova[i]);
		addr = RTE_PTR_ADD(addr, r->file.os_page);
	}
	if (iova == NULL)
		rte_errno = ENOMEM;
	return iova;
}

static int
region_register(struct ppool_region *r, rte_iova_t *iova)
{
	int ret;

	if (rte_extmem_register(r->file.addr, r->file.len, iova, r->file.len / r->file.os_page,
			    r->file.os_page) != 0) {
		ret = -rte_errno;
		PPOOL_LOG(ERR, "mempool %s: EAL does not register its memory: %s; memory of EAL (PPOOL_BACKING_EAL) is registered already",
				r->name, rte_strerror(-ret));
		return ret;
	}
	pthread_mutex_lock(&regions_lock);
	LIST_INSERT_HEAD(&regions, r, next);
	pthread_mutex_unlock(&regions_lock);
	return 0;
}

/* Make the memory known: to EAL, to what maps it for ports, to other processes. */
static int
region_announce(struct ppool_region *r)
{
	rte_iova_t *iova = region_addresses(r);
	int ret;

	if (iova == NULL)
		return -rte_errno;
	r->dma = ppool_dma_create(r->range, r->nb_ranges);
	ret = r->dma == NULL ? -ENOMEM : region_register(r, iova);
	free(iova);
	return ret;
}

static struct ppool_region *
region_open(const char *name, const struct ppool_file *file, int socket_id)
{
	size_t nb_os_pages = file->len / file->os_page;
	struct ppool_region *r = calloc(1, sizeof(*r) + nb_os_pages * sizeof(r->range[0]));

	if (r == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	strlcpy(r->name, name, sizeof(r->name));
	r->file = *file;
	if (ppool_file_open(&r->file, name, socket_id) == 0)
		return r;
	free(r);
	return NULL;
}

struct ppool_region *
ppool_region_create(const char *name, size_t len, size_t os_page, int socket_id)
{
	const struct ppool_file file = { .len = len, .os_page = os_page };
	struct ppool_region *r;
	int ret;

	pthread_mutex_lock(&regions_lock);
	regions_sweep();
	pthread_mutex_unlock(&regions_lock);
	r = region_open(name, &file, socket_id);
	if (r == NULL)
		return NULL;
	ret = region_announce(r);
	if (ret == 0)
		return r;
	region_free(r);
	rte_errno = -ret;
	return NULL;
}

int
ppool_region_populate(struct ppool_region *r, struct rte_mempool *mp)
{
	size_t i;
	int ret = 0;

	for (i = 0; i < r->nb_ranges && mp->populated_size < mp->size; i++) {
		ret = rte_mempool_populate_iova(mp, r->range[i].addr, r->range[i].iova,
				r->range[i].len, r->owned ? NULL : chunk_free, r);
		if (ret < 0)
			break;
		if (ret > 0)
			r->owned = true;
	}
	if (!r->owned)
		region_orphan(r);
	return ret < 0 ? ret : (int)mp->populated_size;
}

/* The region of a pool, in the process that created it. */
static struct ppool_region *
region_of(const struct rte_mempool *mp)
{
	const struct ppool *p = ppool_find(mp);
	const struct rte_mempool_memhdr *chunk;

	if (p == NULL || rte_eal_process_type() != RTE_PROC_PRIMARY)
		return NULL;
	chunk = STAILQ_FIRST(&p->mp->mem_list);
	return chunk != NULL && chunk->free_cb == chunk_free ? chunk->opaque : NULL;
}

static void
region_describe(const struct ppool_region *r, struct ppool_memfd *memfd)
{
	memfd->fd = r->file.fd;
	memfd->offset = 0;
	memfd->addr = r->file.addr;
	memfd->len = r->file.len;
}

int
ppool_memfd(struct rte_mempool *mp, struct ppool_memfd *memfd)
{
	const struct ppool_region *r = region_of(mp);

	if (r == NULL)
		return -ENOTSUP;
	region_describe(r, memfd);
	return 0;
}

/* Other processes */

static int
peer_add(struct ppool_region *r, const struct ppool_peer *id)
{
	struct peer *peer = malloc(sizeof(*peer));

	if (peer == NULL)
		return -ENOMEM;
	peer->id = *id;
	LIST_INSERT_HEAD(&r->peers, peer, next);
	return 0;
}

/* Lock held. */
static int
region_share(struct ppool_region *r, const struct ppool_peer *peer, struct ppool_memfd *memfd)
{
	int fd = fcntl(r->file.fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (peer_add(r, peer) != 0) {
		close(fd);
		return -ENOMEM;
	}
	region_describe(r, memfd);
	memfd->fd = fd;
	return 0;
}

int
ppool_region_share(const char *name, const struct ppool_peer *peer, struct ppool_memfd *memfd)
{
	struct ppool_region *r;
	int ret = -ENOENT;

	pthread_mutex_lock(&regions_lock);
	LIST_FOREACH(r, &regions, next) {
		if (r->orphaned || strcmp(r->name, name) != 0)
			continue;
		ret = region_share(r, peer, memfd);
		break;
	}
	pthread_mutex_unlock(&regions_lock);
	return ret;
}

static void
region_unshare(struct ppool_region *r, const struct ppool_peer *id)
{
	struct peer *peer;

	LIST_FOREACH(peer, &r->peers, next) {
		if (peer->id.pid != id->pid)
			continue;
		peer_remove(peer);
		return;
	}
}

void
ppool_region_unshare(const void *addr, const struct ppool_peer *peer)
{
	struct ppool_region *r;

	pthread_mutex_lock(&regions_lock);
	LIST_FOREACH(r, &regions, next) {
		if (r->file.addr == addr)
			region_unshare(r, peer);
	}
	regions_sweep();
	pthread_mutex_unlock(&regions_lock);
}

/* DMA */

static int
region_map_dma(const struct rte_mempool *mp, uint16_t port_id)
{
	const struct ppool_region *r = region_of(mp);

	if (ppool_needs_attach(ppool_find(mp)))
		return -E_RTE_SECONDARY;
	if (!rte_eth_dev_is_valid_port(port_id))
		return -ENODEV;
	return r == NULL ? 0 : ppool_dma_enter(r->dma, port_id);
}

static const char *
dma_remedy(int ret)
{
	switch (ret) {
	case -ENODEV:
		return "it is not the id of a port";
	case -E_RTE_SECONDARY:
		return "let the primary process do it";
	}
	return "memory of EAL (PPOOL_BACKING_EAL) needs no such mapping";
}

int
ppool_dma_map(struct rte_mempool *mp, uint16_t port_id)
{
	int ret = region_map_dma(mp, port_id);

	if (ret != 0)
		PPOOL_LOG(ERR, "mempool %s cannot be mapped for DMA of port %u: %s; %s", mp->name,
				port_id, rte_strerror(-ret), dma_remedy(ret));
	return ret;
}

int
ppool_dma_unmap(struct rte_mempool *mp, uint16_t port_id)
{
	const struct ppool_region *r = region_of(mp);

	if (!rte_eth_dev_is_valid_port(port_id))
		return -ENODEV;
	return r == NULL ? 0 : ppool_dma_leave(r->dma, port_id);
}
