/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_CREATE_H_
#define _PPOOL_CREATE_H_

/**
 * @file
 * Page pools with memory of their own choice.
 *
 * Any packet mbuf pool with ops ppfrag is a page pool. ppool_create() makes one where more is
 * wanted than rte_pktmbuf_pool_create() offers: pages larger than 64 KB, the NUMA node of a port,
 * a check of where the memory really is, memory that can be shared with one peer, and a message
 * that says what to do when hugepages are short. ppool_sizing.h tells how many pages are needed.
 */

#include <stddef.h>
#include <stdint.h>

#include <rte_config.h>
#include <rte_mempool.h>

#ifdef __cplusplus
extern "C" {
#endif

/** socket_id of struct ppool_create_conf: the NUMA node of the port in port_id. */
#define PPOOL_SOCKET_OF_PORT (-2)

/** Largest page_size: a page counts its frags in 24 bits. */
#define PPOOL_PAGE_SIZE_MAX (UINT32_C(1) << 29)

/** What memory the pages lie in. */
enum ppool_backing {
	/** Hugepages of EAL, as those of any mempool. */
	PPOOL_BACKING_EAL,
	/**
	 * A hugetlb memfd of its own, registered with EAL: it can be shared with one peer, see
	 * ppool_memfd(). Where the host or the EAL has no hugepages, it consists of 4 KB pages,
	 * which the log says. Only the primary process can create such a pool; a secondary process
	 * has to call ppool_attach() before it touches anything that lies in the pages, mbufs above
	 * all.
	 */
	PPOOL_BACKING_MEMFD,
};

/** How to create a page pool. */
struct ppool_create_conf {
	const char *name; /**< of the mempool */
	uint32_t pages;   /**< how many pages; 0: as many as fit into bytes */
	uint64_t bytes;   /**< memory of the pages; only read where pages is 0 */
	/**
	 * Data room of a page, headroom included, as rte_pktmbuf_pool_create() counts it; up to
	 * #PPOOL_PAGE_SIZE_MAX. 0: the size of which 32 pages fill 2 MB, a little under 64 KB. An
	 * ordinary mbuf of a pool with pages over 65535 bytes uses the first 65535 of them.
	 */
	uint32_t page_size;
	unsigned int cache_size; /**< mempool cache of each lcore, for ordinary objects only */
	uint16_t priv_size;      /**< private area of every mbuf, as of rte_pktmbuf_pool_create() */
	int socket_id;           /**< NUMA node, SOCKET_ID_ANY or #PPOOL_SOCKET_OF_PORT */
	uint16_t port_id;        /**< only read with #PPOOL_SOCKET_OF_PORT */
	enum ppool_backing backing; /**< what memory the pages lie in */
	/**
	 * Pages of a memfd: a hugepage size of the host, or 4096. 0: the smallest hugepages that
	 * the host has. Memory of EAL has the page sizes that EAL was started with.
	 */
	size_t hugepage_size;
};

/**
 * Create a page pool, fully populated and ready to be split.
 *
 * With #PPOOL_SOCKET_OF_PORT and a memfd, the memory is mapped for DMA of that port as by
 * ppool_dma_map(). The log says where the memory is, and warns where it is on another NUMA node
 * than asked for; ppool_placement_get() tells the same.
 *
 * Everything is released by rte_mempool_free().
 *
 * @return
 *   The page pool, or NULL with rte_errno, the reason and the remedy in the log:
 *   - EINVAL: the configuration contradicts itself, or there is no such NUMA node, port or
 *     hugepage size; a page too small to be split
 *   - ENOMEM: not enough memory; the log says how many hugepages are missing
 *   - EEXIST, ENAMETOOLONG: the name
 *   - ENOTSUP: 4 KB pages while IOVA are physical addresses
 *   - E_RTE_SECONDARY: a memfd in a secondary process
 *   - what memfd_create(), mmap(), rte_extmem_register(), ppool_dma_map() failed with
 */
struct rte_mempool *ppool_create(const struct ppool_create_conf *conf);

/** A file that holds the pages of a pool, and nothing else. */
struct ppool_memfd {
	int fd;          /**< owned by the pool: dup() it to keep it */
	uint64_t offset; /**< in the file, of addr */
	void *addr;      /**< in this process */
	size_t len;      /**< bytes, whole OS pages */
};

/**
 * The memfd of a pool with #PPOOL_BACKING_MEMFD, to hand to a peer: it sees the pages, with the
 * mbufs in them, and no other memory of this process. It can write to all of them: hand the file
 * to nobody who must not write to mbufs. The size of the file is sealed, so that no peer can cut
 * memory off under the pool.
 *
 * rte_memseg_get_fd() does not know this memory, which EAL treats as external.
 *
 * @param mp
 *   A page pool or its frag pool.
 * @return
 *   0, or -ENOTSUP where the pool has no memfd or this is not the process that created it.
 */
int ppool_memfd(struct rte_mempool *mp, struct ppool_memfd *memfd);

/**
 * Map the memory of a pool in a secondary process, which can use it like any other pool then.
 * Asks the primary process, which must not free the pool before ppool_detach(): where it does, its
 * log names the processes that are attached, and the memory stays until they detach or end. May
 * wait for some seconds.
 * Pools in memory of EAL need no such call, nor does the primary: it does nothing there.
 *
 * @param mp
 *   A page pool or its frag pool.
 * @return
 *   0, also where it has been attached before, or a negative errno, logged:
 *   - ENOTSUP: no pool of ours
 *   - ETIMEDOUT, ENOENT: the primary does not answer, or has freed the pool
 *   - EEXIST: something else lies at the addresses that the memory has in the primary
 */
int ppool_attach(struct rte_mempool *mp);

/**
 * Undo ppool_attach(), before the primary frees the pool. Nothing of the pool may be used here
 * any more. Nothing happens where it is not attached.
 *
 * @param mp
 *   A page pool or its frag pool; where the primary has freed it already, the page pool that
 *   ppool_attach() was called for.
 * @return
 *   0, or -ENOTSUP where mp is no pool of ours.
 */
int ppool_detach(struct rte_mempool *mp);

/**
 * Let a port access the memory of a pool by DMA. Pools in memory of EAL need no such call. To be
 * called before the port uses the pool; undone by ppool_dma_unmap(), when the port is closed, and
 * when the pool is freed. Ports whose devices belong to VFIO share one mapping: it is undone with
 * the last of them.
 *
 * Thread safety: any thread.
 *
 * @return
 *   0, also where the port needs no mapping, or a negative errno, logged:
 *   - ENODEV: there is no such port
 *   - E_RTE_SECONDARY: the pool is in a memfd, and this is not the process that created it
 *   - what rte_dev_dma_map() left in rte_errno; EIO where it left nothing, as the IOMMU of a
 *     device that cannot reach these addresses
 */
int ppool_dma_map(struct rte_mempool *mp, uint16_t port_id);

/**
 * Undo ppool_dma_map(): this port does not use the pool any more.
 *
 * Thread safety: any thread.
 *
 * @return
 *   0, also where nothing is mapped for the port or other ports need the mapping; or a negative
 *   errno: ENODEV, or what rte_dev_dma_unmap() left, EIO where it left nothing.
 */
int ppool_dma_unmap(struct rte_mempool *mp, uint16_t port_id);

/** Where the memory of the objects of a mempool is. */
struct ppool_placement {
	uint64_t bytes;       /**< of all chunks */
	uint32_t chunks;      /**< areas of contiguous IOVA */
	int socket_id;        /**< NUMA node asked for, or SOCKET_ID_ANY */
	uint64_t os_page_len; /**< length of an OS page; of the smallest where they differ */
	uint64_t os_pages;    /**< OS pages that the chunks lie in */
	uint64_t elsewhere;   /**< of these, on another node than the one asked for */
	uint64_t unknown;     /**< of these, not in memory yet, or the kernel does not tell */
	uint64_t on_node[RTE_MAX_NUMA_NODES]; /**< the others, by node */
};

/**
 * Ask the kernel where the memory of a mempool is. Any mempool, any ops; not on a fast path.
 */
void ppool_placement_get(struct rte_mempool *mp, struct ppool_placement *placement);

#ifdef __cplusplus
}
#endif

#endif /* _PPOOL_CREATE_H_ */
