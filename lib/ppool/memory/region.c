/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Memory of a pool's own: a memfd, bound to a NUMA node, registered with EAL as external memory.
 * The first chunk of the mempool owns the region; its free callback releases everything.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <numaif.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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

/* As many nodes as the kernel may know of. */
#define NODE_BITS 1024u

/* How often a gap between addresses is looked for, as other threads map memory, too. */
#define MAP_TRIES 8u

struct peer {
	LIST_ENTRY(peer) next;
	struct ppool_peer id;
};

struct ppool_region {
	LIST_ENTRY(ppool_region) next;
	char name[RTE_MEMPOOL_NAMESIZE]; /* of the mempool */
	void *addr;
	size_t len;
	size_t os_page;
	int fd;
	int socket_id;
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
	if (r->addr != MAP_FAILED)
		munmap(r->addr, r->len);
	if (r->fd >= 0)
		close(r->fd);
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
	if (rte_extmem_unregister(r->addr, r->len) != 0)
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
	LIST_FOREACH(peer, &r->peers, next)
	{
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
	struct ppool_region *r, *next;

	for (r = LIST_FIRST(&regions); r != NULL; r = next) {
		next = LIST_NEXT(r, next);
		if (r->orphaned)
			region_release(r);
	}
}

static void
chunk_free(struct rte_mempool_memhdr *chunk, void *opaque)
{
	RTE_SET_USED(chunk);
	region_orphan(opaque);
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
region_open_file(struct ppool_region *r)
{
	r->fd = memfd_create(r->name, memfd_flags(r->os_page));
	if (r->fd < 0 || ftruncate(r->fd, (off_t)r->len) != 0 ||
			fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return -errno;
	return 0;
}

static int
eal_end_find(const struct rte_memseg_list *msl, void *arg)
{
	uint64_t *end = arg;

	if (!msl->external)
		*end = RTE_MAX(*end, (uintptr_t)msl->base_va + msl->len);
	return 0;
}

/* The first address from `at` on that len bytes are free behind. 0: nobody knows. */
static uint64_t
gap_find(uint64_t at, size_t len, size_t align)
{
	FILE *f = fopen("/proc/self/maps", "r");
	uint64_t start, end;

	if (f == NULL)
		return 0;
	at = RTE_ALIGN_CEIL(at, align);
	while (fscanf(f, "%" SCNx64 "-%" SCNx64 "%*[^\n]", &start, &end) == 2 && start < at + len)
		if (end > at)
			at = RTE_ALIGN_CEIL(end, align);
	fclose(f);
	return at + len <= UINTPTR_MAX ? at : 0;
}

/*
 * As low as can be behind the memory of EAL, whose addresses it has chosen such that an IOMMU
 * reaches them: where the kernel is asked, it takes addresses at the top. Right behind it EAL maps
 * tables and PCI resources.
 */
static void *
region_map_low(const struct ppool_region *r)
{
	unsigned int tries = MAP_TRIES;
	uint64_t end = 0, hint;
	void *addr;

	rte_memseg_list_walk(eal_end_find, &end);
	while (tries-- > 0) {
		hint = gap_find(end + RTE_PGSIZE_1G, r->len, r->os_page);
		if (hint == 0)
			break;
		addr = mmap((void *)(uintptr_t)hint, r->len, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED_NOREPLACE, r->fd, 0);
		if (addr == (void *)(uintptr_t)hint)
			return addr;
		/* Another thread was faster. */
		if (addr != MAP_FAILED)
			munmap(addr, r->len);
		else if (errno != EEXIST)
			break;
	}
	return mmap(NULL, r->len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
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
region_allocate(const struct ppool_region *r)
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
region_map_file(struct ppool_region *r)
{
	size_t i;
	int ret;

	r->addr = region_map_low(r);
	if (r->addr == MAP_FAILED)
		return -errno;
	ret = region_allocate(r);
	if (ret != 0)
		return ret;
	for (i = 0; i < r->len; i += r->os_page)
		*(volatile char *)RTE_PTR_ADD(r->addr, i);
	return 0;
}

static int
region_get_memory(struct ppool_region *r)
{
	int ret = region_open_file(r);

	return ret != 0 ? ret : region_map_file(r);
}

/* Append an OS page to the ranges, each of which is contiguous in IOVA. */
static void
region_add_page(struct ppool_region *r, void *addr, rte_iova_t iova)
{
	struct ppool_range *last = &r->range[r->nb_ranges];

	if (r->nb_ranges > 0 && last[-1].iova + last[-1].len == iova) {
		last[-1].len += r->os_page;
		return;
	}
	last->addr = addr;
	last->iova = iova;
	last->len = r->os_page;
	r->nb_ranges++;
}

/* The IOVA of all OS pages, to be freed; NULL with rte_errno, logged. */
static rte_iova_t *
region_addresses(struct ppool_region *r)
{
	rte_iova_t *iova = calloc(r->len / r->os_page, sizeof(*iova));
	void *addr = r->addr;
	size_t i;

	for (i = 0; iova != NULL && i < r->len / r->os_page; i++) {
		iova[i] = rte_mem_virt2iova(addr);
		if (iova[i] == RTE_BAD_IOVA) {
			PPOOL_LOG(ERR, "mempool %s: the physical addresses of its memory cannot be read: start as root, or with --iova-mode=va",
					r->name);
			free(iova);
			rte_errno = EPERM;
			return NULL;
		}
		region_add_page(r, addr, iova[i]);
		addr = RTE_PTR_ADD(addr, r->os_page);
	}
	if (iova == NULL)
		rte_errno = ENOMEM;
	return iova;
}

static int
region_register(struct ppool_region *r, rte_iova_t *iova)
{
	if (rte_extmem_register(r->addr, r->len, iova, r->len / r->os_page, r->os_page) != 0) {
		PPOOL_LOG(ERR, "mempool %s: EAL does not register its memory: %s", r->name,
				rte_strerror(rte_errno));
		return -rte_errno;
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

static int
region_explain(const char *name, size_t len, size_t os_page, int socket_id, int err)
{
	/* A lack of hugepages is reported as ENOMEM or ENOSPC. */
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

	pthread_mutex_lock(&regions_lock);
	regions_sweep();
	pthread_mutex_unlock(&regions_lock);
	r = calloc(1, sizeof(*r) + len / os_page * sizeof(r->range[0]));
	if (r == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	strlcpy(r->name, name, sizeof(r->name));
	r->fd = -1;
	r->addr = MAP_FAILED;
	r->len = len;
	r->os_page = os_page;
	r->socket_id = socket_id;
	ret = region_get_memory(r);
	if (ret != 0) {
		/* Free the region before counting free hugepages: it still holds some. */
		region_free(r);
		rte_errno = region_explain(name, len, os_page, socket_id, -ret);
		return NULL;
	}
	ret = region_announce(r);
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
	const struct ppool *p = ppool_from_mempool(mp);
	const struct rte_mempool_memhdr *chunk;

	if (p == NULL || rte_eal_process_type() != RTE_PROC_PRIMARY)
		return NULL;
	chunk = STAILQ_FIRST(&p->mp->mem_list);
	return chunk != NULL && chunk->free_cb == chunk_free ? chunk->opaque : NULL;
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
	int fd = fcntl(r->fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (peer_add(r, peer) != 0) {
		close(fd);
		return -ENOMEM;
	}
	memfd->fd = fd;
	memfd->offset = 0;
	memfd->addr = r->addr;
	memfd->len = r->len;
	return 0;
}

int
ppool_region_share(const char *name, const struct ppool_peer *peer, struct ppool_memfd *memfd)
{
	struct ppool_region *r;
	int ret = -ENOENT;

	pthread_mutex_lock(&regions_lock);
	LIST_FOREACH(r, &regions, next)
	{
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

	LIST_FOREACH(peer, &r->peers, next)
	{
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
	LIST_FOREACH(r, &regions, next)
	{
		if (r->addr == addr)
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

	if (ppool_needs_attach(ppool_from_mempool(mp)))
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
