/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * A memfd with all its memory: of one NUMA node, mapped where IOMMUs reach it, its size sealed.
 * Nobody knows of it yet.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/memfd.h>
#include <numaif.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_errno.h>
#include <rte_memory.h>

#include "backing.h"
#include "ppool_private.h"

/* As many nodes as the kernel may know of. */
#define NODE_BITS 1024u

/* How often a gap between addresses is looked for, as other threads map memory, too. */
#define MAP_TRIES 8u

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
file_create(struct ppool_file *f, const char *name)
{
	f->fd = memfd_create(name, memfd_flags(f->os_page));
	if (f->fd < 0 || ftruncate(f->fd, (off_t)f->len) != 0 ||
			fcntl(f->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
		return -errno;
	return 0;
}

static int
eal_end_find(const struct rte_memseg_list *msl, void *arg)
{
	uint64_t *end = arg;

	if (!msl->external)
		*end = RTE_MAX(*end, (uint64_t)(uintptr_t)msl->base_va + msl->len);
	return 0;
}

/* The first address from `at` on that len bytes are free behind. 0: nobody knows. */
static uint64_t
gap_find(uint64_t at, size_t len, size_t align)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	uint64_t start, end;

	if (maps == NULL)
		return 0;
	at = RTE_ALIGN_CEIL(at, align);
	while (fscanf(maps, "%" SCNx64 "-%" SCNx64 "%*[^\n]", &start, &end) == 2 &&
			start < at + len)
		if (end > at)
			at = RTE_ALIGN_CEIL(end, align);
	fclose(maps);
	return at + len <= UINTPTR_MAX ? at : 0;
}

/*
 * As low as can be behind the memory of EAL, whose addresses it has chosen such that an IOMMU
 * reaches them: where the kernel is asked, it takes addresses at the top. Right behind it EAL maps
 * tables and PCI resources.
 */
static void *
file_map_low(const struct ppool_file *f)
{
	unsigned int tries = MAP_TRIES;
	uint64_t end = 0, hint;
	void *addr;

	rte_memseg_list_walk(eal_end_find, &end);
	while (tries-- > 0) {
		hint = gap_find(end + RTE_PGSIZE_1G, f->len, f->os_page);
		if (hint == 0)
			break;
		addr = mmap((void *)(uintptr_t)hint, f->len, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_FIXED_NOREPLACE, f->fd, 0);
		if (addr == (void *)(uintptr_t)hint)
			return addr;
		/* Another thread was faster. */
		if (addr != MAP_FAILED)
			munmap(addr, f->len);
		else if (errno != EEXIST)
			break;
	}
	return mmap(NULL, f->len, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
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
policy_enter(const struct ppool_file *f, const char *name, int socket_id, struct policy *old)
{
	const unsigned int bits = 8 * sizeof(old->node[0]);
	struct policy p = {
		.mode = f->os_page == PPOOL_SMALL_PAGE ? MPOL_PREFERRED : MPOL_BIND,
	};

	if (socket_id < 0)
		return false;
	p.node[socket_id / bits] = 1UL << (socket_id % bits);
	if (get_mempolicy(&old->mode, old->node, NODE_BITS, NULL, 0) == 0 && policy_set(&p) == 0)
		return true;
	PPOOL_LOG(WARNING, "mempool %s: memory cannot be bound to NUMA node %d: %s", name,
			socket_id, strerror(errno));
	return false;
}

/* Unlike an access, this fails where memory is short. */
static int
file_allocate(const struct ppool_file *f, const char *name, int socket_id)
{
	struct policy old;
	bool entered = policy_enter(f, name, socket_id, &old);
	int ret = fallocate(f->fd, 0, 0, (off_t)f->len) == 0 ? 0 : -errno;

	if (entered && policy_set(&old) != 0)
		PPOOL_LOG(WARNING, "this thread remains bound to NUMA node %d: %s", socket_id,
				strerror(errno));
	return ret;
}

/* Map the file and get all its memory. */
static int
file_populate(struct ppool_file *f, const char *name, int socket_id)
{
	size_t i;
	int ret;

	f->addr = file_map_low(f);
	if (f->addr == MAP_FAILED)
		return -errno;
	ret = file_allocate(f, name, socket_id);
	if (ret != 0)
		return ret;
	for (i = 0; i < f->len; i += f->os_page)
		*(volatile char *)RTE_PTR_ADD(f->addr, i);
	return 0;
}

static int
file_explain(const struct ppool_file *f, const char *name, int socket_id, int err)
{
	/* A lack of hugepages is reported as ENOMEM or ENOSPC. */
	if (f->os_page != PPOOL_SMALL_PAGE && (err == ENOMEM || err == ENOSPC)) {
		ppool_hugepages_short(name, f->os_page, socket_id, f->len / f->os_page);
		return ENOMEM;
	}
	PPOOL_LOG(ERR, "mempool %s: no memfd of %zu bytes in pages of %zu: %s", name, f->len,
			f->os_page, rte_strerror(err));
	return err;
}

int
ppool_file_open(struct ppool_file *f, const char *name, int socket_id)
{
	int ret;

	f->addr = MAP_FAILED;
	ret = file_create(f, name);
	if (ret == 0)
		ret = file_populate(f, name, socket_id);
	if (ret == 0)
		return 0;
	/* Close the file before counting free hugepages: it still holds some. */
	ppool_file_close(f);
	rte_errno = file_explain(f, name, socket_id, -ret);
	return -rte_errno;
}

void
ppool_file_close(struct ppool_file *f)
{
	if (f->addr != MAP_FAILED)
		munmap(f->addr, f->len);
	if (f->fd >= 0)
		close(f->fd);
}
