/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
range_find(const char *name, struct xsk_umem *u)
{
	struct range r = { .start = UINTPTR_MAX };

	rte_mempool_mem_iter(u->mp, range_add, &r);
	if (r.end - r.start > r.used + r.used / 4 + OS_PAGE) {
		PPFRAG_LOG(ERR, "%s: pool %s lies in %u pieces, in a range %zu times its size: the kernel takes one piece; start EAL with more memory at once (-m or --socket-mem), or use a pool made by ppool_create() in a memfd",
				name, u->mp->name, u->mp->nb_mem_chunks,
				(r.end - r.start) / r.used);
		return -ENOTSUP;
	}
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
umem_register(const char *name, const struct xsk_umem *u, int fd)
{
	const struct xsk_umem_reg reg = {
		.addr = (uintptr_t)u->addr,
		.len = u->len,
		.chunk_size = XSK_CHUNK,
		.headroom = u->headroom,
		.flags = XDP_UMEM_UNALIGNED_CHUNK_FLAG,
	};
	int err;

	if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &reg, sizeof(reg)) == 0)
		return 0;
	err = errno;
	PPFRAG_LOG(ERR, "%s: the %" PRIu64 " bytes of pool %s cannot be registered: %s%s", name,
			u->len, u->mp->name, strerror(err), reg_remedy(err));
	return -err;
}

static int
umem_init(const char *name, struct xsk_umem *u, int fd)
{
	int ret = range_find(name, u);

	if (ret != 0)
		return ret;
	u->frame = xsk_umem_frame(u->mp);
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

void
xsk_umem_put(struct xsk_umem *u)
{
	struct xsk_umem **at;

	if (u == NULL)
		return;
	xsk_umems_lock();
	if (--u->nb_users == 0) {
		for (at = &umems; *at != u; at = &(*at)->next)
			;
		*at = u->next;
		free(u);
	}
	xsk_umems_unlock();
}
