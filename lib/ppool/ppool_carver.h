/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_CARVER_H_
#define _PPOOL_CARVER_H_

/**
 * @file
 * Carvers: cursors that hand out frags of one data page after another.
 *
 * A carver has one or more lanes. Each lane cuts frags off the front of a page of its own.
 *
 * Software allocates with ppool_carve(), which uses lane 0. A driver posts what is left of a lane
 * to its device as a receive buffer (ppool_reserve()), and cuts off the frag the device has
 * filled when it knows its length (ppool_commit()):
 *
 *     reserve(lane) -> buffer ... device writes a packet ... headers_get -> commit(lane, length)
 *
 * The largest frag a carver may be asked for is declared when it is created: when what is left of
 * a page cannot hold it, the page is closed at once and the rest is part of the frag just cut,
 * whose mbuf nobody has seen yet. That is why truesize is exact.
 *
 * A carver belongs to one thread at a time, like a queue; it may move to another thread under the
 * caller's synchronisation. What the new thread does first must not be ppool_commit() but a carve,
 * or ppool_headers_get(), which drivers call at every burst. What it hands out may be freed by any
 * thread or process at any time.
 */

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <rte_branch_prediction.h>
#include <rte_byteorder.h>
#include <rte_common.h>
#include <rte_mbuf.h>

#include "ppool.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * In front of functions that C programs compile in. The library exports them under the same names,
 * too, for programs that cannot: language bindings. Define it as empty for a generator of bindings
 * that leaves out inline functions.
 */
#ifndef PPOOL_INLINE
#define PPOOL_INLINE static inline
#endif

/**
 * Whether an mbuf has an IOVA. A DPDK that was built with enable_iova_as_pa=false has the pointer
 * to the next segment in its place.
 */
#ifdef RTE_IOVA_IN_MBUF
#define PPOOL_IOVA_IN_MBUF RTE_IOVA_IN_MBUF
#else
#define PPOOL_IOVA_IN_MBUF RTE_IOVA_AS_PA /* as it was called before DPDK 23.03 */
#endif

/** Frags start, and the bytes they are cut to are rounded up, at multiples of this. */
#define PPOOL_FRAG_ALIGN 64u

/**
 * What an mbuf of ours knows about its memory. Of a frag: m->shinfo points to its first member. Of
 * a slot that has a data room of its own, truesize is its share of the page, always.
 */
struct ppool_frag {
	__extension__ union {
		struct rte_mbuf_ext_shared_info shinfo; /**< what rte_mbuf needs of it */
		__extension__ struct {
			uint8_t shinfo_used[offsetof(struct rte_mbuf_ext_shared_info, refcnt) +
					sizeof(uint16_t)];
			uint16_t owner;     /**< who has taken this slot last; in the padding */
			uint32_t next_idle; /**< next slot's index while idle; in the padding */
		};
	};
	uint32_t page;        /**< index of the data page; else any page's */
	uint32_t truesize;    /**< bytes of the data page that are this frag's; 0 while idle */
	uint32_t header_page; /**< index of the slot page this mbuf lies in */
	uint16_t slot_bytes;  /**< of a header: bytes of its page that are its own */
	uint16_t account;     /**< what this frag is charged to (see ppool_account.h); 0 while idle.
			   * Of a slot with a data room: and PPOOL_RECORD_SLOT, and its class */
};

/** In ppool_frag.account: this is no frag but a slot with a data room. */
#define PPOOL_RECORD_SLOT 0x8000u
/** Then this is its size class, times the number of accounts. */
#define PPOOL_RECORD_CLASS 0x7c00u

/**
 * Bytes in front of the mbuf of a slot: its struct ppool_frag, and at their end what rte_mempool
 * has in front of every object.
 */
#define PPOOL_FRONT \
	RTE_ALIGN_CEIL(sizeof(struct ppool_frag) + sizeof(struct rte_mempool_objhdr), \
			RTE_CACHE_LINE_SIZE)

/** What the mbuf of a frag knows about its memory. */
static inline struct ppool_frag *
ppool_frag_of(const struct rte_mbuf *m)
{
	return (struct ppool_frag *)((uintptr_t)m - PPOOL_FRONT);
}

/** A lane: where the next frag of its page starts. Private to the inline functions below. */
struct ppool_lane {
	/** Start of the next frag. Eight bytes in 32-bit programs, too, as in struct rte_mbuf. */
	union {
		char *addr;
		uint64_t addr_word; /**< behind a 32-bit address, whatever is left there */
	};
	rte_iova_t iova;   /**< IOVA of addr */
	uint32_t left;     /**< bytes from addr to the end of the room; 0: no page is open */
	uint32_t unbilled; /**< bytes in front of addr that the next frag pays for */
	uint32_t page;     /**< index of the open page */
	uint32_t frags;    /**< frags cut from the open page */
};

/** A carver. Private to the inline functions below; allocate with ppool_carver_create(). */
struct ppool_carver {
	uint32_t max_bytes;  /**< a page with less than this left is closed */
	uint32_t tail_bytes; /**< of every page, behind the room: the last frag pays for them */
	uint16_t headroom;
	uint64_t rearm[2]; /**< data_off, refcnt, nb_segs, port; ol_flags of every mbuf */
	uint32_t nb_lanes;
	uint32_t owner;       /**< who drives it, where its lists protect what it drops; else 0 */
	uint16_t driver;      /**< who drives it */
	uint16_t nb_reserve;  /**< headers that it keeps for when none are to be had */
	uint16_t max_reserve; /**< as many as it keeps if it can */
	uint64_t frags; /**< frags cut from pages that are closed, since the carver was created */
	uint64_t bytes; /**< truesize of these */
	uint64_t pages; /**< pages opened, since the carver was created */
	uint32_t now; /**< when this burst opened a page, 0: not yet; reading the TSC takes long */
	struct ppool *pool;
	struct ppool_carver *next; /**< of the same pool */
	struct rte_mbuf **reserve; /**< these headers; behind the lanes */
	struct ppool_lane lane[] __rte_cache_aligned;
};

/** How to create a carver. */
struct ppool_carver_conf {
	uint32_t max_len;  /**< largest data length that will be asked for, without headroom */
	uint16_t headroom; /**< in front of the data of every frag; RTE_PKTMBUF_HEADROOM */
	uint16_t nb_lanes; /**< 1 or more */
	uint16_t port;     /**< m->port of what is carved; RTE_MBUF_PORT_INVALID */
	int socket_id;     /**< NUMA node of the carver's own memory; SOCKET_ID_ANY */
};

/** A receive buffer: what is left of a lane. */
struct ppool_buf {
	char *addr;      /**< start of the headroom */
	rte_iova_t iova; /**< IOVA of addr, RTE_BAD_IOVA where the pool has none */
	uint32_t len;    /**< bytes from addr on, headroom included */
};

/**
 * Create a carver on a page pool. Set-up path; reserves a header for each lane, up to 64, so that
 * whoever holds pages in its lanes can always deliver what they receive.
 *
 * @param mp
 *   A page pool with ops ppfrag, or its frag pool.
 * @return
 *   The carver, or NULL with rte_errno:
 *   - ENOTSUP: mp has other ops, is not a packet mbuf pool, or has RTE_MEMPOOL_F_NO_CACHE_ALIGN
 *   - EINVAL: no lanes; mp is not fully populated, or its elements or private areas have a size
 *     that cannot be split (see ppool_frag_pool())
 *   - ENOSPC: no memory for the page table
 *   - EMSGSIZE: headroom + max_len do not fit into a page of this pool, or exceed 65535
 *   - ENOMEM: no memory, or no page free for the headers that it reserves
 */
struct ppool_carver *ppool_carver_create(struct rte_mempool *mp,
		const struct ppool_carver_conf *conf);

/**
 * Free a carver. Frags that it handed out stay valid. What is left of its pages is handed out by
 * the next carver of the pool, or freed with the last frag of each page. NULL is ignored.
 */
void ppool_carver_free(struct ppool_carver *c);

/** The frag pool of what a carver hands out. */
struct rte_mempool *ppool_carver_frag_pool(const struct ppool_carver *c);

/**
 * Change the largest data length that will be asked for. No buffer may be reserved: what is left
 * of a page and too small is left to other carvers.
 *
 * @return
 *   0; -EMSGSIZE as ppool_carver_create(); -EPERM where another process used this carver and
 *   membarrier(2) is refused to this one.
 */
int ppool_carver_set_max_len(struct ppool_carver *c, uint32_t max_len);

/**
 * Allocate an mbuf with room for at least len bytes of data behind the headroom, reset, empty.
 *
 * @param len
 *   At most the max_len of the carver.
 * @return
 *   The mbuf, or NULL when no page is free (counted in page_empty).
 */
struct rte_mbuf *ppool_carve(struct ppool_carver *c, uint32_t len);

/**
 * Allocate mbufs for several lengths, from neighbouring memory: all or none.
 *
 * @return
 *   0, or -ENOMEM when pages ran out: then none is allocated.
 */
int ppool_carve_bulk(struct ppool_carver *c, struct rte_mbuf **m, const uint32_t *len,
		unsigned int n);

/** As ppool_carve_bulk(), as many as memory allows. @return how many, from the first on. */
unsigned int ppool_carve_burst(struct ppool_carver *c, struct rte_mbuf **m, const uint32_t *len,
		unsigned int n);

/**
 * Take idle headers (mbufs without a frag) for ppool_commit(). Fast path, one call per burst.
 *
 * @return
 *   How many were taken, fewer than n when pages ran out.
 */
unsigned int ppool_headers_get(struct ppool_carver *c, struct rte_mbuf **m, unsigned int n);

/** Give unused headers back. Only headers that never saw ppool_commit(). */
void ppool_headers_put(struct ppool_carver *c, struct rte_mbuf **m, unsigned int n);

/** Slow path of ppool_reserve(): open a page. @return 0 or -ENOMEM. */
int ppool_lane_open(struct ppool_carver *c, struct ppool_lane *lane);

/** Slow path of ppool_commit(): settle the count of a page whose room is handed out. */
void ppool_lane_close(struct ppool_carver *c, struct ppool_lane *lane);

/** Part of ppool_reserve() where it is compiled with PPOOL_DEBUG: note that a lane is reserved. */
void ppool_debug_reserve(struct ppool_carver *c, uint16_t lane);

/** Part of ppool_commit() where it is compiled with PPOOL_DEBUG: check what it is given. */
void ppool_debug_commit(struct ppool_carver *c, uint16_t lane, const struct rte_mbuf *m,
		uint32_t len);

/**
 * The receive buffer of a lane: all that is left of its page, at least headroom + max_len.
 *
 * The buffer stays valid until the lane is committed or the carver is freed. Reserving again
 * without a commit in between gives the same buffer.
 *
 * @return
 *   0, or -ENOMEM when no page is free.
 */
PPOOL_INLINE int
ppool_reserve(struct ppool_carver *c, uint16_t lane, struct ppool_buf *buf)
{
	struct ppool_lane *l = &c->lane[lane];

	if (unlikely(l->left == 0) && ppool_lane_open(c, l) != 0)
		return -ENOMEM;
#ifdef PPOOL_DEBUG
	ppool_debug_reserve(c, lane);
#endif
	buf->addr = l->addr;
	buf->iova = l->iova;
	buf->len = l->left;
	return 0;
}

/**
 * Where the buffer of a reserved lane starts, for prefetching; NULL where no page is open.
 */
PPOOL_INLINE char *
ppool_lane_addr(const struct ppool_carver *c, uint16_t lane)
{
	return c->lane[lane].left != 0 ? c->lane[lane].addr : NULL;
}

/** A member of a struct must lie at this offset, as wide stores write it with its neighbours. */
#define PPOOL_FIELD_AT(type, field, at) RTE_BUILD_BUG_ON(offsetof(type, field) != (at))

/**
 * @internal
 * What ppool_lane_cut() relies on, asked of the program it is compiled into.
 */
static inline void
ppool_lane_check_layout(void)
{
	PPOOL_FIELD_AT(struct ppool_lane, addr, 0);
	PPOOL_FIELD_AT(struct ppool_lane, iova, 8);
	RTE_BUILD_BUG_ON(sizeof(struct ppool_lane) != 32);
	PPOOL_FIELD_AT(struct ppool_frag, truesize, offsetof(struct ppool_frag, page) + 4);
	PPOOL_FIELD_AT(struct rte_mbuf, buf_addr, 0);
#if PPOOL_IOVA_IN_MBUF
	PPOOL_FIELD_AT(struct rte_mbuf, buf_iova, 8);
#else
	PPOOL_FIELD_AT(struct rte_mbuf, next, 8);
#endif
	PPOOL_FIELD_AT(struct rte_mbuf, data_off, 16);
	PPOOL_FIELD_AT(struct rte_mbuf, ol_flags, 24);
	PPOOL_FIELD_AT(struct rte_mbuf, packet_type, 32);
	PPOOL_FIELD_AT(struct rte_mbuf, pkt_len, 36);
	PPOOL_FIELD_AT(struct rte_mbuf, data_len, 40);
	PPOOL_FIELD_AT(struct rte_mbuf, hash.rss, 44);
	PPOOL_FIELD_AT(struct rte_mbuf, hash.fdir.hi, 48);
	PPOOL_FIELD_AT(struct rte_mbuf, vlan_tci_outer, 52);
	PPOOL_FIELD_AT(struct rte_mbuf, buf_len, 54);
	RTE_BUILD_BUG_ON(RTE_BYTE_ORDER != RTE_LITTLE_ENDIAN);
}

/**
 * @internal
 * Cut a frag with room for that many bytes of data off the front of a lane and give it to a
 * header, as an mbuf of len bytes of data.
 *
 * Few and wide stores: the first cache line of the mbuf up to pool, eight bytes of the record.
 *
 * Where l->left is 0 afterwards, the page has to be closed.
 */
static inline void
ppool_lane_cut(const struct ppool_carver *c, struct ppool_lane *l, struct rte_mbuf *m,
		uint32_t room, uint32_t len)
{
	struct ppool_frag *frag = ppool_frag_of(m);
	uint32_t bytes = RTE_ALIGN_CEIL(c->headroom + room, PPOOL_FRAG_ALIGN);
	/* packet_type, pkt_len, data_len, vlan_tci, hash.rss */
	const uint64_t lengths[2] = { (uint64_t)len << 32, (uint16_t)len };
	uint64_t addr[2], last, record;
	uint32_t truesize;

	ppool_lane_check_layout();
	bytes = RTE_MIN(bytes, l->left);
	memcpy(addr, &l->addr, sizeof(addr));
	/* An idle header has no next segment. */
	memcpy(&m->buf_addr, addr, PPOOL_IOVA_IN_MBUF ? sizeof(addr) : sizeof(addr[0]));
	memcpy(&m->data_off, c->rearm, sizeof(c->rearm));
	memcpy(&m->packet_type, lengths, sizeof(lengths));

	truesize = bytes + l->unbilled;
	l->unbilled = 0;
	addr[0] += bytes;
	addr[1] += addr[1] == RTE_BAD_IOVA ? 0 : bytes;
	memcpy(&l->addr, addr, sizeof(addr));
	l->left -= bytes;
	l->frags++;
	if (unlikely(l->left < c->max_bytes)) {
		truesize += l->left + c->tail_bytes;
		bytes += l->left;
		l->left = 0;
	}
	/* hash.fdir.hi, vlan_tci_outer, buf_len */
	last = (uint64_t)RTE_MIN(bytes, (uint32_t)UINT16_MAX) << 48;
	memcpy(&m->hash.fdir.hi, &last, sizeof(last));
	record = (uint64_t)truesize << 32 | l->page;
	memcpy(&frag->page, &record, sizeof(record));
}

/**
 * Cut the frag that a device has filled off a reserved lane and give it to a header.
 *
 * The mbuf is complete: one segment, data_off = headroom, data_len = pkt_len = len, port,
 * no offload flags but RTE_MBUF_F_EXTERNAL, packet type 0; truesize is final.
 *
 * @param m
 *   From ppool_headers_get().
 * @param len
 *   Bytes of data behind the headroom, at least 1: no more than the reserved buffer holds and
 *   65535 allow. The caller checks what its device claims.
 */
PPOOL_INLINE void
ppool_commit(struct ppool_carver *c, uint16_t lane, struct rte_mbuf *m, uint32_t len)
{
	struct ppool_lane *l = &c->lane[lane];

#ifdef PPOOL_DEBUG
	ppool_debug_commit(c, lane, m, len);
#endif
	ppool_lane_cut(c, l, m, len, len);
	if (unlikely(l->left == 0))
		ppool_lane_close(c, l);
}

#ifdef __cplusplus
}
#endif

#endif /* _PPOOL_CARVER_H_ */
