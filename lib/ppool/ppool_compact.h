/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_COMPACT_H_
#define _PPOOL_COMPACT_H_

/**
 * @file
 * Compaction: memory back from packets that are held for long.
 *
 * A page is free when the last of its frags, or of its slots, is freed. Whoever receives many
 * packets and keeps a few of them may end up with one frag in each of many pages, and one header in
 * each of many header pages; or with few slots in each page of a size class, when packets of
 * another size come. ppool_compact() takes what is held out of pages that are nearly empty and puts
 * it into dense ones, so that the others can be used again.
 *
 * Frags go to pages that a carver opens. Slots, with their data, go to idle slots of the same class
 * in the fullest pages that stay.
 *
 * It empties a page only if all that is left in it is among the mbufs it was given, and only if
 * that frees more pages than it fills: hand it all that is held, not a burst at a time.
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "ppool_carver.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Pages with at most so many percent in use are emptied where the caller does not say. */
#define PPOOL_COMPACT_OCCUPANCY 50

/** What to move. All zero is a good choice. */
struct ppool_compact_conf {
	/**
	 * Empty pages of which at most so many percent are in use: of the bytes of a data page, of
	 * the slots of a slot page. 0: #PPOOL_COMPACT_OCCUPANCY.
	 */
	uint32_t max_occupancy;
	/**
	 * Leave data pages alone that a carver opened less than so many milliseconds ago: most of
	 * what they hold may be freed soon without help.
	 */
	uint32_t min_age;
	/**
	 * Tailroom in bytes that is kept where an mbuf has so much. What is behind that is given
	 * up: rte_pktmbuf_append() may fail where it did not before.
	 */
	uint16_t tailroom;
	/**
	 * Move data only: every mbuf stays where it is, so that pointers to it stay valid, but
	 * pointers to its data do not. Slot pages are not emptied, neither those of headers nor
	 * those of slots, whose data lie behind the mbuf.
	 */
	bool keep_mbufs;
	/**
	 * Empty pages of which others hold frags or slots, too. Such a page is not free before
	 * these are, and until then more memory is in use than before: for those who share pages
	 * and all compact in turn.
	 */
	bool shared_pages;
};

/**
 * What became of the segments that were given: X(name, what it counts). All but headers_moved and
 * bytes_copied add up to these segments: the data of each has moved or was kept for one reason.
 */
#define PPOOL_COMPACT_COUNTS(X) \
	X(frags_moved, "frags whose data now lie in another page") \
	X(slots_moved, "slots that were replaced by one in another page") \
	X(kept_pool, "frags and slots of packets with a segment of another pool, or a clone") \
	X(kept_shared, "frags and slots of packets with a segment that others refer to, too") \
	X(kept_mbufs, "slots that stay because keep_mbufs is set") \
	X(kept_dense, "frags and slots in pages that are used well, whole pages among them") \
	X(kept_open, "frags in pages that a carver still fills") \
	X(kept_young, "frags in pages younger than min_age") \
	X(kept_long, "frags in pages with one longer than what the carver may be asked for") \
	X(kept_others, "frags and slots in pages of which others hold some, too") \
	X(kept_no_gain, "frags and slots that would have filled as many pages as they freed") \
	X(kept_no_page, "frags and slots left behind when there was no room to move them to") \
	X(headers_moved, "mbufs that now lie in another header page") \
	X(bytes_copied, "bytes of headroom, data and tailroom copied")

/** What a compaction did. */
struct ppool_compact_result {
	/**
	 * Bytes of pages that are free and were not before, less those that were and are not. What
	 * other threads allocate and free meanwhile shows in it.
	 */
	int64_t released;
#define PPOOL_COMPACT_FIELD(name, desc) uint64_t name; /**< desc */
	PPOOL_COMPACT_COUNTS(PPOOL_COMPACT_FIELD)
#undef PPOOL_COMPACT_FIELD
};

/**
 * Move packets out of pages that are nearly empty.
 *
 * The caller owns the packets: nobody else may look at them meanwhile. Afterwards each is the same
 * packet: data, headroom, lengths, offsets, flags, metadata, dynamic fields, private area and the
 * order of its segments. Other than before are the addresses of data, the truesize (an account is
 * charged with the new one, be it over its limit), and, without keep_mbufs, the addresses of
 * mbufs: what has moved is replaced in the array and in the chain.
 *
 * A segment is moved completely or not at all, and a packet is valid all the time. Where pages run
 * out, the rest stays where it is; where none is free at all, nothing can move: whoever compacts
 * an exhausted pool keeps two pages back for it, one for data and one for headers. Packets that
 * cannot move stay untouched: those with a segment of another pool, or one that is cloned or
 * referred to more than once.
 *
 * Control path: takes time in proportion to mbufs and pages of the pool, allocates memory by
 * malloc() meanwhile, and collects idle headers of all lcores. Other threads may use the pool
 * meanwhile.
 *
 * @param c
 *   Where data are moved to. A carver of the same pool, driven by this thread and kept from one
 *   call to the next, so that its page is filled to the end. It needs no headroom: its max_len
 *   is what headroom and data of a frag may have together, less the headroom of the carver.
 * @param mbufs
 *   Packets. NULL is skipped. None may be given twice.
 * @param n
 *   How many packets.
 * @param conf
 *   What to move; NULL: the defaults.
 * @param result
 *   What was done; may be NULL.
 * @return
 *   0, or
 *   - -EINVAL: max_occupancy over 100
 *   - -ENOMEM: malloc()
 */
int ppool_compact(struct ppool_carver *c, struct rte_mbuf **mbufs, unsigned int n,
		const struct ppool_compact_conf *conf, struct ppool_compact_result *result);

#ifdef __cplusplus
}
#endif

#endif /* _PPOOL_COMPACT_H_ */
