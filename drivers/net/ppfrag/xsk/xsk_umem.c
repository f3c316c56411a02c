/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../ppfrag_slots.h"
#include "xsk.h"

/*
 * The memory of a pool as the kernel has it: one range, pinned, registered once in this process.
 * All sockets whose queues have this pool share it, so that what one port receives another one
 * sends from where it is.
 */

#define OS_PAGE 4096u

/* Also of the sockets that are bound; taken again by what is called under it. */
static pthread_mutex_t umems_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static struct xsk_umem *umems;

uint32_t
xsk_umem_frame(struct rte_mempool *mp)
{
	return RTE_MIN((uint32_t)ppfrag_slots_class(mp, XSK_FRAME_MAX).room, XSK_FRAME_MAX);
}

/* The range that a pool lies in. */
struct range {
	uintptr_t start;
	uintptr_t end;
	size_t used;
};

static void
range_add(struct rte_mempool *mp, void *arg, struct rte_mempool_memhdr *chunk, unsigned int idx)
{
	struct range *r = arg;

	RTE_SET_USED(mp);
	RTE_SET_USED(idx);
	r->start = RTE_MIN(r->start, (uintptr_t)chunk->addr);
	r->end = RTE_MAX(r->end, (uintptr_t)chunk->addr + chunk->len);
	r->used += chunk->len;
}

/* Gaps between the chunks of a mempool are given along: more than a fourth is another range. */
static int
range_find(struct xsk_umem *u)
{
	struct range r = { .start = UINTPTR_MAX };

	rte_mempool_mem_iter(u->mp, range_add, &r);
	if (r.end - r.start > r.used + r.used / 4 + OS_PAGE)
		return -ENOTSUP;
	u->gaps = r.end - r.start != r.used;
	u->addr = (char *)RTE_ALIGN_FLOOR(r.start, (uintptr_t)OS_PAGE);
	u->len = RTE_ALIGN_CEIL(r.end, (uintptr_t)OS_PAGE) - (uintptr_t)u->addr;
	return 0;
}

static const char *
reg_remedy(int err)
{
	if (err == ENOBUFS)
		return ": raise the limit of locked memory (ulimit -l), or run it as root or with the capability CAP_IPC_LOCK";
	if (err == EINVAL)
		return ": chunks at any address take Linux 5.4";
	if (err == EFAULT || err == ENOMEM)
		return ": the memory of the pool is not one piece: start EAL with more memory at once (-m or --socket-mem), or use a pool made by ppool_create() in a memfd";
	return "";
}

static int
reg_try(const struct xsk_umem *u, int fd)
{
	const struct xsk_umem_reg reg = {
		.addr = (uintptr_t)u->addr,
		.len = u->len,
		.chunk_size = XSK_CHUNK,
		.headroom = u->headroom,
		.flags = XDP_UMEM_UNALIGNED_CHUNK_FLAG |
				(u->meta != 0 ? XDP_UMEM_TX_METADATA_LEN : 0),
		.tx_metadata_len = u->meta,
	};

	return setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) == 0 ? 0 : -errno;
}

static int
umem_register(const char *name, const struct xsk_umem *u, int fd)
{
	int ret = reg_try(u, fd);

	if (ret != 0)
		PPFRAG_LOG(ERR, "%s: the %" PRIu64 " bytes of %s%s cannot be registered: %s%s",
				name, u->len, u->mp != NULL ? "pool " : "a umem",
				u->mp != NULL ? u->mp->name : "", strerror(-ret), reg_remedy(-ret));
	return ret;
}

/* An older kernel does not take the flag. */
bool
xsk_umem_takes_meta(void)
{
	struct xsk_umem u = { .len = OS_PAGE, .meta = sizeof(struct xsk_tx_meta) };
	int ret = -1, fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);

	u.addr = mmap(NULL, u.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd >= 0 && u.addr != MAP_FAILED)
		ret = reg_try(&u, fd);
	if (u.addr != MAP_FAILED)
		munmap(u.addr, u.len);
	if (fd >= 0)
		close(fd);
	return ret == 0;
}

/* The same for all umems of the process. */
static uint32_t
meta_len(void)
{
	static int takes = -1;

	if (takes < 0)
		takes = xsk_umem_takes_meta();
	return takes != 0 ? sizeof(struct xsk_tx_meta) : 0;
}

/* Whether the kernel takes the first page of a piece: it does not take memory of every kind. */
static void
piece_try(struct rte_mempool *mp, void *arg, struct rte_mempool_memhdr *chunk, unsigned int idx)
{
	const struct xsk_umem u = {
		.addr = RTE_PTR_ALIGN_FLOOR(chunk->addr, OS_PAGE),
		.len = OS_PAGE,
	};
	int fd, ret, *result = arg;

	RTE_SET_USED(mp);
	RTE_SET_USED(idx);
	if (*result != 0)
		return;
	fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return; /* that is told when the port starts */
	ret = reg_try(&u, fd);
	close(fd);
	if (ret == -EFAULT || ret == -ENOMEM || ret == -EOPNOTSUPP)
		*result = ret;
}

const char *
xsk_umem_misfit(struct rte_mempool *mp)
{
	struct xsk_umem u = { .mp = mp };
	int result = 0;

	if (range_find(&u) != 0)
		return "it lies in several pieces: start EAL with more memory at once (-m or --socket-mem), or use a pool made by ppool_create() in a memfd";
	rte_mempool_mem_iter(mp, piece_try, &result);
	return result != 0 ? "the kernel does not take memory of this kind" : NULL;
}

static int
umem_init(const char *name, struct xsk_umem *u, int fd)
{
	int ret = range_find(u);

	if (ret != 0)
		return ret;
	u->frame = xsk_umem_frame(u->mp);
	u->meta = meta_len();
	u->headroom = XSK_CHUNK - XSK_KERNEL_HEADROOM - u->frame;
	return umem_register(name, u, fd);
}

static struct xsk_umem *
umem_new(const char *name, struct rte_mempool *mp, int fd)
{
	struct xsk_umem *u = calloc(1, sizeof(*u));
	int ret;

	if (u == NULL)
		return NULL;
	u->mp = mp;
	ret = umem_init(name, u, fd);
	if (ret != 0) {
		free(u);
		errno = -ret;
		return NULL;
	}
	u->next = umems;
	umems = u;
	return u;
}

void
xsk_umems_lock(void)
{
	pthread_mutex_lock(&umems_lock);
}

void
xsk_umems_unlock(void)
{
	pthread_mutex_unlock(&umems_lock);
}

struct xsk_umem *
xsk_umem_get(const char *name, struct rte_mempool *mp, int fd)
{
	struct xsk_umem *u;

	xsk_umems_lock();
	for (u = umems; u != NULL && u->mp != mp; u = u->next)
		;
	if (u == NULL)
		u = umem_new(name, mp, fd);
	if (u != NULL)
		u->nb_users++;
	xsk_umems_unlock();
	return u;
}

/* The same chunks as those of pools, one behind the other. */
static int
own_init(const char *name, struct xsk_umem *u, uint32_t nb_chunks, uint32_t frame, int fd)
{
	u->frame = frame; /* no more than a copy has room for */
	u->meta = meta_len();
	u->headroom = XSK_CHUNK - XSK_KERNEL_HEADROOM - u->frame;
	u->len = RTE_ALIGN_CEIL((uint64_t)nb_chunks * XSK_CHUNK, OS_PAGE);
	u->addr = mmap(NULL, u->len, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (u->addr == MAP_FAILED) {
		u->addr = NULL;
		PPFRAG_LOG(ERR,
				"%s: no memory for a umem of %" PRIu64
				" bytes: use a smaller queue_size",
				name, u->len);
		return -ENOMEM;
	}
	return umem_register(name, u, fd);
}

struct xsk_umem *
xsk_umem_get_own(const char *name, uint32_t nb_chunks, uint32_t frame, int fd)
{
	struct xsk_umem *u = calloc(1, sizeof(*u));
	int ret;

	if (u == NULL)
		return NULL;
	u->nb_users = 1;
	ret = own_init(name, u, nb_chunks, frame, fd);
	if (ret == 0)
		return u;
	if (u->addr != NULL)
		munmap(u->addr, u->len);
	free(u);
	errno = -ret;
	return NULL;
}

void
xsk_umem_put(struct xsk_umem *u)
{
	struct xsk_umem **at;

	if (u == NULL)
		return;
	xsk_umems_lock();
	if (--u->nb_users == 0) {
		for (at = &umems; *at != u && *at != NULL; at = &(*at)->next)
			;
		if (*at != NULL)
			*at = u->next;
		if (u->mp == NULL)
			munmap(u->addr, u->len);
		free(u);
	}
	xsk_umems_unlock();
}
