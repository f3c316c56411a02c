/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Memory of a pool's own: a memfd, bound to a NUMA node, registered with EAL as external memory.
 * The first chunk of the mempool owns the region; its free callback releases everything.
 */

/* rte_dev_dma_map() is not part of the stable ABI of every DPDK. */
#define ALLOW_EXPERIMENTAL_API

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <numaif.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_memory.h>

#include "ppool_create.h"
#include "ppool_memory.h"
#include "ppool_private.h"

/* As many nodes as the kernel may know of. */
#define NODE_BITS 1024u

struct ppool_region {
	const char *name; /* of the mempool; while it is created */
	void *addr;
	size_t len;
	size_t os_page;
	int fd;
	int socket_id;
	bool registered;            /* with EAL */
	bool owned;                 /* by the mempool */
	bool dma[RTE_MAX_ETHPORTS]; /* mapped for this port */
	rte_iova_t iova[];          /* by OS page */
};

static size_t
nb_os_pages(const struct ppool_region *r)
{
	return r->len / r->os_page;
}

/* OS pages from the i-th on that are contiguous in IOVA. */
static size_t
run_length(const struct ppool_region *r, size_t i)
{
	size_t k = 1;

	while (i + k < nb_os_pages(r) && r->iova[i + k] == r->iova[i] + k * r->os_page)
		k++;
	return k;
}

static int
map_run(struct rte_device *dev, const struct ppool_region *r, size_t i, size_t k, bool map)
{
	void *addr = RTE_PTR_ADD(r->addr, i * r->os_page);
	size_t len = k * r->os_page;

	return map ? rte_dev_dma_map(dev, addr, r->iova[i], len) :
		     rte_dev_dma_unmap(dev, addr, r->iova[i], len);
}

/* Map or unmap all of a region, or its first nb OS pages. */
static int
map_runs(struct rte_device *dev, const struct ppool_region *r, size_t nb, bool map)
{
	size_t i, k;
	int err;

	for (i = 0; i < nb; i += k) {
		k = run_length(r, i);
		if (map_run(dev, r, i, k, map) == 0)
			continue;
		err = rte_errno;
		if (map)
			map_runs(dev, r, i, false);
		return -err;
	}
	return 0;
}

static int
set_dma(struct ppool_region *r, uint16_t port_id, bool map)
{
	struct rte_eth_dev_info info;
	int ret;

	if (rte_eth_dev_info_get(port_id, &info) != 0)
		return -ENODEV;
	if (r->dma[port_id] == map)
		return 0;
	ret = map_runs(info.device, r, nb_os_pages(r), map);
	/* A device without DMA, or one that takes any physical address. */
	if (ret == -ENOTSUP)
		return 0;
	if (ret == 0)
		r->dma[port_id] = map;
	return ret;
}

static void
region_free(struct ppool_region *r)
{
	uint16_t port_id;

	RTE_ETH_FOREACH_DEV(port_id)
		set_dma(r, port_id, false);
	if (r->registered && rte_extmem_unregister(r->addr, r->len) != 0)
		PPOOL_LOG(ERR, "EAL does not let go of the memory at %p: %s", r->addr,
				rte_strerror(rte_errno));
	if (r->addr != MAP_FAILED)
		munmap(r->addr, r->len);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}

static void
free_chunk(struct rte_mempool_memhdr *chunk, void *opaque)
{
	RTE_SET_USED(chunk);
	region_free(opaque);
}

static unsigned int
memfd_flags(size_t os_page)
{
	if (os_page == PPOOL_SMALL_PAGE)
		return MFD_CLOEXEC | MFD_ALLOW_SEALING;
	return MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB |
			(unsigned int)__builtin_ctzl(os_page) << MFD_HUGE_SHIFT;
}

/* A file whose size nobody can change: a peer that shrank it would make us fail. */
static int
open_file(struct ppool_region *r)
{
	r->fd = memfd_create(r->name, memfd_flags(r->os_page));
	if (r->fd < 0 || ftruncate(r->fd, (off_t)r->len) != 0 ||
			fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return -errno;
	return 0;
}

static int
find_end(const struct rte_memseg_list *msl, void *arg)
{
	uintptr_t *end = arg;

	if (!msl->external)
		*end = RTE_MAX(*end, (uintptr_t)msl->base_va + msl->len);
	return 0;
}

/* Near the memory of EAL, whose addresses it has chosen such that an IOMMU reaches them. */
static void *
address_hint(const struct ppool_region *r)
{
	uintptr_t end = 0;

	rte_memseg_list_walk(find_end, &end);
	return (void *)RTE_ALIGN_CEIL(end, r->os_page);
}

/* Where the memory that this thread causes to be allocated comes from. */
struct policy {
	int mode;
	unsigned long node[NODE_BITS / (8 * sizeof(long))];
};

static int
policy_set(const struct policy *p)
{
	return (int)set_mempolicy(p->mode, p->node, NODE_BITS);
}

/*
 * Hugepages from one node only, small ones preferably. It is the policy of the thread that counts,
 * as the kernel has none for a file of hugepages and fallocate() looks at no mapping. Returns
 * whether there is an old policy to go back to.
 */
static bool
policy_enter(const struct ppool_region *r, struct policy *old)
{
	const unsigned int bits = 8 * sizeof(old->node[0]);
	struct policy p = {
		.mode = r->os_page == PPOOL_SMALL_PAGE ? MPOL_PREFERRED : MPOL_BIND,
	};

	if (r->socket_id < 0)
		return false;
	p.node[r->socket_id / bits] = 1UL << (r->socket_id % bits);
	if (get_mempolicy(&old->mode, old->node, NODE_BITS, NULL, 0) == 0 && policy_set(&p) == 0)
		return true;
	PPOOL_LOG(WARNING, "mempool %s: memory cannot be bound to NUMA node %d: %s", r->name,
			r->socket_id, strerror(errno));
	return false;
}

/* Unlike an access, this fails where memory is short. */
static int
allocate_file(const struct ppool_region *r)
{
	struct policy old;
	bool entered = policy_enter(r, &old);
	int ret = fallocate(r->fd, 0, 0, (off_t)r->len) == 0 ? 0 : -errno;

	if (entered && policy_set(&old) != 0)
		PPOOL_LOG(WARNING, "this thread remains bound to NUMA node %d: %s", r->socket_id,
				strerror(errno));
	return ret;
}

/* Map the file and get all its memory. */
static int
map_file(struct ppool_region *r)
{
	size_t i;
	int ret;

	r->addr = mmap(address_hint(r), r->len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->addr == MAP_FAILED)
		return -errno;
	ret = allocate_file(r);
	if (ret != 0)
		return ret;
	for (i = 0; i < r->len; i += r->os_page)
		*(volatile char *)RTE_PTR_ADD(r->addr, i);
	return 0;
}

static int
get_memory(struct ppool_region *r)
{
	int ret = open_file(r);

	return ret != 0 ? ret : map_file(r);
}

static int
register_memory(struct ppool_region *r)
{
	size_t i;

	for (i = 0; i < nb_os_pages(r); i++) {
		r->iova[i] = rte_mem_virt2iova(RTE_PTR_ADD(r->addr, i * r->os_page));
		if (r->iova[i] == RTE_BAD_IOVA) {
			PPOOL_LOG(ERR,
					"mempool %s: the physical addresses of its memory cannot "
					"be read: start as root, or with --iova-mode=va",
					r->name);
			return -EPERM;
		}
	}
	if (rte_extmem_register(r->addr, r->len, r->iova, nb_os_pages(r), r->os_page) != 0) {
		PPOOL_LOG(ERR, "mempool %s: EAL does not register its memory: %s", r->name,
				rte_strerror(rte_errno));
		return -rte_errno;
	}
	r->registered = true;
	return 0;
}

static int
explain(const char *name, size_t len, size_t os_page, int socket_id, int err)
{
	/* Hugepages that are short show as either. */
	if (os_page != PPOOL_SMALL_PAGE && (err == ENOMEM || err == ENOSPC)) {
		ppool_hugepages_short(name, os_page, socket_id, len / os_page);
		return ENOMEM;
	}
	PPOOL_LOG(ERR, "mempool %s: no memfd of %zu bytes in pages of %zu: %s", name, len, os_page,
			rte_strerror(err));
	return err;
}

struct ppool_region *
ppool_region_create(const char *name, size_t len, size_t os_page, int socket_id)
{
	struct ppool_region *r;
	int ret;

	r = calloc(1, sizeof(*r) + len / os_page * sizeof(r->iova[0]));
	if (r == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	r->name = name;
	r->addr = MAP_FAILED;
	r->len = len;
	r->os_page = os_page;
	r->socket_id = socket_id;
	ret = get_memory(r);
	if (ret != 0) {
		/* First, as what was got in vain would be missing in the count. */
		region_free(r);
		rte_errno = explain(name, len, os_page, socket_id, -ret);
		return NULL;
	}
	ret = register_memory(r);
	if (ret != 0) {
		region_free(r);
		rte_errno = -ret;
		return NULL;
	}
	return r;
}

int
ppool_region_populate(struct ppool_region *r, struct rte_mempool *mp)
{
	size_t i, k;
	int ret = 0;

	for (i = 0; i < nb_os_pages(r) && mp->populated_size < mp->size; i += k) {
		k = run_length(r, i);
		ret = rte_mempool_populate_iova(mp, RTE_PTR_ADD(r->addr, i * r->os_page),
				r->iova[i], k * r->os_page, r->owned ? NULL : free_chunk, r);
		if (ret < 0)
			break;
		if (ret > 0)
			r->owned = true;
	}
	if (!r->owned)
		region_free(r);
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
	return chunk != NULL && chunk->free_cb == free_chunk ? chunk->opaque : NULL;
}

int
ppool_memfd(struct rte_mempool *mp, struct ppool_memfd *memfd)
{
	const struct ppool_region *r = region_of(mp);

	if (r == NULL)
		return -ENOTSUP;
	memfd->fd = r->fd;
	memfd->offset = 0;
	memfd->addr = r->addr;
	memfd->len = r->len;
	return 0;
}

static int
change_dma(struct rte_mempool *mp, uint16_t port_id, bool map)
{
	struct ppool_region *r = region_of(mp);

	if (!rte_eth_dev_is_valid_port(port_id))
		return -ENODEV;
	return r == NULL ? 0 : set_dma(r, port_id, map);
}

int
ppool_dma_map(struct rte_mempool *mp, uint16_t port_id)
{
	return change_dma(mp, port_id, true);
}

int
ppool_dma_unmap(struct rte_mempool *mp, uint16_t port_id)
{
	return change_dma(mp, port_id, false);
}
