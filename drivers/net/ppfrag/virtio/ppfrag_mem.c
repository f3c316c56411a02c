/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <rte_memory.h>

#include <ppool_create.h>

#include "virtio.h"

/* Whether b starts where a ends, in our memory and in the file. */
static bool
joins(const struct vu_region *a, const struct vu_region *b)
{
	return a->fd == b->fd && a->addr + a->len == b->addr && a->offset + a->len == b->offset;
}

/* A new piece joins at most two regions, so one merge is enough. */
static void
join_regions(struct ppfrag_mem *mem)
{
	struct vu_region *r = mem->region;
	unsigned int i, j;

	for (i = 0; i < mem->nb; i++) {
		for (j = 0; j < mem->nb; j++) {
			if (!joins(&r[i], &r[j]))
				continue;
			r[i].len += r[j].len;
			r[j] = r[--mem->nb];
			return;
		}
	}
}

/* Extend a region by a piece if they touch. */
static bool
extend(struct vu_region *r, const struct vu_region *piece)
{
	if (joins(piece, r)) {
		r->addr = piece->addr;
		r->offset = piece->offset;
	} else if (!joins(r, piece)) {
		return false;
	}
	r->len += piece->len;
	return true;
}

/* Whether b lies behind a in our memory, and by as much in the same file. */
static bool
can_bridge(const struct vu_region *a, const struct vu_region *b)
{
	return a->fd == b->fd && a->addr + a->len <= b->addr &&
			b->addr - a->addr == b->offset - a->offset;
}

/*
 * Make one region of the two between which the least lies: the back end gets that, too. Returns
 * whether there are such.
 */
static bool
bridge_gap(struct vu_region *r, unsigned int *nb)
{
	unsigned int i, j, a = 0, b = 0;
	size_t gap, least = SIZE_MAX;

	for (i = 0; i < *nb; i++) {
		for (j = 0; j < *nb; j++) {
			if (!can_bridge(&r[i], &r[j]))
				continue;
			gap = r[j].addr - r[i].addr - r[i].len;
			if (gap < least) {
				least = gap;
				a = i;
				b = j;
			}
		}
	}
	if (least == SIZE_MAX)
		return false;
	r[a].len = r[b].addr + r[b].len - r[a].addr;
	r[b] = r[--*nb];
	return true;
}

/* Whether a region is all of a file, and one page of EAL's memory. */
static bool
is_page_file(const struct vu_region *r)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list((const void *)r->addr);
	struct stat st;

	return msl != NULL && !msl->external && msl->page_sz == r->len && fstat(r->fd, &st) == 0 &&
			(size_t)st.st_size == r->len;
}

/* More regions than vhost-user can pass: whether it is enough to have EAL's pages in one file. */
static int
explain_files(const struct vu_region *r, unsigned int nb)
{
	unsigned int i, pages = 0;

	for (i = 0; i < nb; i++)
		pages += is_page_file(&r[i]);
	return pages > 1 && nb - pages + 1 <= VU_MAX_REGIONS ? -E2BIG : -EMFILE;
}

/* Add a piece to a full table. */
static int
bridge_piece(struct ppfrag_mem *mem, const struct vu_region *piece)
{
	struct vu_region r[VU_MAX_REGIONS + 1];
	unsigned int nb = VU_MAX_REGIONS + 1;

	memcpy(r, mem->region, sizeof(mem->region));
	r[VU_MAX_REGIONS] = *piece;
	if (!bridge_gap(r, &nb))
		return explain_files(r, nb);
	memcpy(mem->region, r, sizeof(mem->region));
	return 0;
}

static int
add_piece(struct ppfrag_mem *mem, const struct vu_region *piece)
{
	const struct vu_region *r;
	unsigned int i;

	for (i = 0; i < mem->nb; i++) {
		r = &mem->region[i];
		if (piece->addr >= r->addr && piece->addr < r->addr + r->len)
			return 0;
	}
	for (i = 0; i < mem->nb; i++) {
		if (extend(&mem->region[i], piece)) {
			join_regions(mem);
			return 0;
		}
	}
	if (mem->nb == VU_MAX_REGIONS)
		return bridge_piece(mem, piece);
	mem->region[mem->nb++] = *piece;
	return 0;
}

/* The memory segment at an address, as a part of its file. */
static int
find_file(const void *addr, struct vu_region *piece)
{
	const struct rte_memseg *ms = rte_mem_virt2memseg(addr, NULL);
	size_t offset;
	int fd;

	if (ms == NULL)
		return -ENOTSUP;
	fd = rte_memseg_get_fd(ms);
	if (fd < 0 || rte_memseg_get_fd_offset(ms, &offset) != 0)
		return -ENOTSUP;
	*piece = (struct vu_region){
		.addr = ms->addr_64, .len = ms->len, .offset = offset, .fd = fd
	};
	return 0;
}

/* The same where files do not matter; what is no memory of EAL is one piece up to its end. */
static int
find_memory(const void *addr, uintptr_t end, struct vu_region *piece)
{
	const struct rte_memseg *ms = rte_mem_virt2memseg(addr, NULL);
	const uintptr_t start = ms == NULL ? (uintptr_t)addr : (uintptr_t)ms->addr_64;

	*piece = (struct vu_region){
		.addr = start,
		.len = ms == NULL ? end - start : ms->len,
		.offset = start,
		.fd = -1,
	};
	return 0;
}

int
ppfrag_mem_add(struct ppfrag_mem *mem, const void *addr, size_t len)
{
	uintptr_t end = (uintptr_t)addr + len;
	struct vu_region piece;
	int ret;

	while ((uintptr_t)addr < end) {
		ret = mem->by_address ? find_memory(addr, end, &piece) : find_file(addr, &piece);
		if (ret == 0)
			ret = add_piece(mem, &piece);
		if (ret != 0)
			return ret;
		addr = (const void *)(piece.addr + piece.len);
	}
	return 0;
}

struct add_pool_arg {
	struct ppfrag_mem *mem;
	int ret;
};

static void
add_chunk(struct rte_mempool *mp, void *opaque, struct rte_mempool_memhdr *chunk, unsigned int idx)
{
	struct add_pool_arg *arg = opaque;

	RTE_SET_USED(mp);
	RTE_SET_USED(idx);
	if (arg->ret == 0)
		arg->ret = ppfrag_mem_add(arg->mem, chunk->addr, chunk->len);
}

int
ppfrag_mem_add_pool(struct ppfrag_mem *mem, struct rte_mempool *mp)
{
	struct add_pool_arg arg = { .mem = mem };
	struct ppool_memfd memfd;
	struct vu_region piece;

	if (!mem->by_address && ppool_memfd(mp, &memfd) == 0) {
		piece = (struct vu_region){
			.addr = (uintptr_t)memfd.addr,
			.len = memfd.len,
			.offset = memfd.offset,
			.fd = memfd.fd,
		};
		return add_piece(mem, &piece);
	}
	rte_mempool_mem_iter(mp, add_chunk, &arg);
	return arg.ret;
}

static int
identify_files(struct ppfrag_mem *mem)
{
	struct stat st;
	unsigned int i;

	for (i = 0; i < mem->nb && !mem->by_address; i++) {
		if (fstat(mem->region[i].fd, &st) != 0)
			return -errno;
		mem->region[i].dev = st.st_dev;
		mem->region[i].ino = st.st_ino;
	}
	return 0;
}

int
ppfrag_mem_collect(struct ppfrag_mem *mem, const struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	const struct ppfrag_rxq *q;
	uint16_t i;
	int ret;

	mem->by_address = pd->backend == VIRTIO_BACKEND_VHOST_KERNEL;
	mem->nb = 0;
	ret = ppfrag_mem_add(mem, pd->arena->addr, pd->arena->len);
	for (i = 0; i < dev->data->nb_rx_queues && ret == 0; i++) {
		q = dev->data->rx_queues[i];
		if (q == NULL)
			continue;
		if (!ppfrag_rxq_copies(q))
			ret = ppfrag_mem_add_pool(mem, q->mp);
		else if (q->bounce_mz != NULL)
			ret = ppfrag_mem_add(mem, q->bounce_mz->addr, q->bounce_mz->len);
	}
	return ret == 0 ? identify_files(mem) : ret;
}

bool
ppfrag_mem_was_remapped(const struct ppfrag_mem *mem, const struct ppfrag_mem *told)
{
	const struct vu_region *a, *b;
	bool same = true;
	unsigned int i;

	if (mem->nb != told->nb)
		return false;
	for (i = 0; i < mem->nb; i++) {
		a = &mem->region[i];
		b = &told->region[i];
		if (a->addr != b->addr || a->len != b->len)
			return false;
		same = same && a->dev == b->dev && a->ino == b->ino && a->offset == b->offset;
	}
	return !same;
}

/* Whether the files of regions are still those that were collected. */
static bool
is_intact(const struct ppfrag_mem *mem)
{
	struct ppfrag_mem now = *mem;
	unsigned int i;

	if (identify_files(&now) != 0)
		return false;
	for (i = 0; i < mem->nb; i++)
		if (now.region[i].dev != mem->region[i].dev ||
				now.region[i].ino != mem->region[i].ino)
			return false;
	return true;
}

int
ppfrag_mem_lend(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = dev->process_private;
	const struct ppfrag_mem *mem = &local->mem;
	unsigned int i;

	if (!is_intact(mem)) {
		PPFRAG_LOG_LEVEL(local->vu.quiet ? RTE_LOG_DEBUG : RTE_LOG_ERR,
				"%s: a pool of receive queues or of the option share was freed while the port was started: stop and start the port",
				local->vu.name);
		return -ESTALE;
	}
	for (i = 0; i < mem->nb; i++) {
		pd->shared[i].addr = mem->region[i].addr;
		pd->shared[i].len = mem->region[i].len;
		PPFRAG_LOG(DEBUG, "%s: region %u: 0x%" PRIxPTR ", %zu bytes, offset 0x%" PRIx64,
				local->vu.name, i, mem->region[i].addr, mem->region[i].len,
				mem->region[i].offset);
	}
	pd->nb_shared = mem->nb;
	local->told = *mem;
	local->lent = true;
	return 0;
}

const char *
ppfrag_mem_reason(int err)
{
	if (err == -E2BIG)
		return "each hugepage is a file, and vhost-user can pass " RTE_STR(
				VU_MAX_REGIONS) ": add the EAL option --single-file-segments, or use a pool made by ppool_create() in a memfd";
	if (err == -EMFILE)
		return "the memory is in more than the " RTE_STR(
				VU_MAX_REGIONS) " files that vhost-user can pass: let receive queues share pools";
	return "the memory is in no file that vhost-user could pass: use that of EAL, or a pool "
	       "made by ppool_create() in a memfd";
}

int
ppfrag_mem_collect_all(struct ppfrag_mem *mem, const struct rte_eth_dev *dev)
{
	int ret = ppfrag_mem_collect(mem, dev);

	if (ret != 0) {
		PPFRAG_LOG(ERR, "%s: memory cannot be shared: %s", dev->data->name,
				ppfrag_mem_reason(ret));
		return ret;
	}
	ret = ppfrag_share_add(mem, dev);
	return ret == 0 ? identify_files(mem) : ret;
}
