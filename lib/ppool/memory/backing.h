/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_BACKING_H_
#define _PPOOL_BACKING_H_

/* Memory that pages lie in: hugepages of the host, and memfds of a pool's own. Not installed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "ppool_create.h"

#define PPOOL_SMALL_PAGE 4096u

/* hugepages.c */

/**
 * The smallest hugepages that the host has or may get, 0 where it has none.
 */
size_t ppool_hugepage_smallest(void);

/** Whether the host's kernel has hugepages of a size, reserved or not. */
bool ppool_hugepage_known(size_t len);

/** Free hugepages of a size on a node, or on all where it is negative; some may be reserved. */
uint64_t ppool_hugepages_free(size_t len, int socket_id);

/**
 * Log that hugepages are short: how many, of which size, where, and the command that gets them.
 *
 * @param need
 *   Hugepages that are needed on top of those in use.
 */
void ppool_hugepages_short(const char *name, size_t len, int socket_id, uint64_t need);

/* dma.c */

/** Memory that is contiguous in IOVA. */
struct ppool_range {
	void *addr;
	rte_iova_t iova;
	size_t len;
};

/** Which ports reach some ranges by DMA. */
struct ppool_dma;

/**
 * @param range
 *   Registered with EAL, kept until ppool_dma_free().
 * @return
 *   NULL where there is no memory for it.
 */
struct ppool_dma *ppool_dma_create(const struct ppool_range *range, size_t nb_ranges);

/** Undo what is mapped. Nothing happens where d is NULL. */
void ppool_dma_free(struct ppool_dma *d);

/**
 * Let a port access the ranges, until ppool_dma_leave() or until it is closed.
 *
 * @return
 *   0, also where the port needs no mapping, or a negative errno.
 */
int ppool_dma_enter(struct ppool_dma *d, uint16_t port_id);

/** What a port no longer needs is unmapped, unless other ports use the same mapping. */
int ppool_dma_leave(struct ppool_dma *d, uint16_t port_id);

/* memfd.c */

/** A memfd that is mapped. */
struct ppool_file {
	size_t len;
	size_t os_page; /* of which len is a multiple */
	int fd;
	void *addr;
};

/**
 * Create the memfd and get all its memory.
 *
 * @param f
 *   len and os_page are given.
 * @param name
 *   Of the mempool, for messages.
 * @param socket_id
 *   NUMA node or SOCKET_ID_ANY.
 * @return
 *   0, or a negative errno, which is in rte_errno as well, logged.
 */
int ppool_file_open(struct ppool_file *f, const char *name, int socket_id);

void ppool_file_close(struct ppool_file *f);

/* region.c */

/** A memfd that holds the pages of one pool, mapped and registered with EAL. */
struct ppool_region;

/**
 * @param len
 *   Bytes, a multiple of os_page.
 * @param socket_id
 *   NUMA node or SOCKET_ID_ANY.
 * @return
 *   The region, or NULL with rte_errno, logged.
 */
struct ppool_region *ppool_region_create(const char *name, size_t len, size_t os_page,
		int socket_id);

/**
 * Put the region's memory into a mempool, which then owns the region: it is released with the
 * mempool, even if the mempool could not be populated.
 *
 * @return
 *   How many objects there are now, or a negative errno.
 */
int ppool_region_populate(struct ppool_region *r, struct rte_mempool *mp);

/** A process that is attached to a memfd, as it calls itself. */
struct ppool_peer {
	int pid; /* in its own namespace */
	char name[16];
};

/**
 * Share the memfd of a pool with another process, which is named where the pool is freed too
 * early.
 *
 * @param memfd
 *   Its fd is the caller's to close.
 * @return
 *   0, or a negative errno: ENOENT where there is no such pool.
 */
int ppool_region_share(const char *name, const struct ppool_peer *peer, struct ppool_memfd *memfd);

/** A process has detached from the memfd at an address. */
void ppool_region_unshare(const void *addr, const struct ppool_peer *peer);

/* secondary.c */

struct ppool;

/** Whether this is a secondary process and the pool's pages lie in a memfd of the primary. */
bool ppool_needs_attach(const struct ppool *p);

/** In the primary process: let secondary processes attach to pools in a memfd. */
void ppool_attach_serve(void);

#endif /* _PPOOL_BACKING_H_ */
