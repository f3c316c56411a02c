/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_SIZING_H_
#define _PPOOL_SIZING_H_

/**
 * @file
 * How large a page pool has to be.
 *
 * Needs no EAL. The numbers are those at the worst moment of a steady load: receive rings are
 * full, as many packets are held as was said, and the pages that all lanes have begun at the same
 * time are full at the same time.
 *
 * Packets in slots (ppool_slot.h) can also be held for a time. By Little's law their number is the
 * share of the packets that is held times its mean lifetime, however lifetimes are distributed.
 * What is left to chance varies: how many packets of a size class are held for a time, and how many
 * of a fixed number are of that class. Each class has pages for five standard deviations more than
 * the mean. If packets come and are chosen independently of each other, the first number has a
 * Poisson distribution and the second a binomial one, and more are held for about one millionth of
 * the time. The margins of classes add up, although their peaks come at different times, as a page
 * stays with its class until the last of its packets is freed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Packets of one length among those received. */
struct ppool_size_mix {
	uint32_t len;    /**< bytes of a frame without its checksum */
	uint32_t weight; /**< how many of them, in relation to the other lengths */
};

/** Packets that are held for a time. */
struct ppool_size_hold {
	double share;    /**< percent of the packets received, chosen at random */
	double lifetime; /**< on average, in packets: how many are received meanwhile */
};

/** What a pool is for. */
struct ppool_size_conf {
	uint32_t ports;  /**< that receive from the pool, 1 or more */
	uint32_t queues; /**< receive queues of a port, 1 or more */
	/** Descriptors of a receive queue; each has a page or a slot posted. 0 only with slots. */
	uint32_t rx_desc;
	uint32_t tx_desc;  /**< descriptors of a transmit queue that packets go out by; 0: none */
	uint32_t lcores;   /**< that receive or free packets, 1 or more */
	uint32_t mtu;      /**< frames are up to 22 bytes longer */
	uint32_t headroom; /**< RTE_PKTMBUF_HEADROOM */
	uint64_t packets;  /**< that the application holds, besides those in transmit rings */
	/** It holds one of so many packets, chosen at random, and frees the others; 1: all. */
	uint32_t one_in;
	uint32_t mbufs;      /**< ordinary mbufs it takes from the pool itself; each is a page */
	uint32_t cache_size; /**< of the mempool */
	uint32_t priv_size;  /**< of its mbufs */
	uint32_t page_size;  /**< as of struct ppool_create_conf; 0: choose */
	uint32_t spare;      /**< percent of pages on top of those needed */
	const struct ppool_size_mix *mix; /**< lengths of packets received */
	unsigned int nb_mix;              /**< how many lengths */
	/** Each packet is in a slot of its size, and one_in is of no matter; false: in a frag. */
	bool slots;
	const struct ppool_size_hold *hold; /**< besides packets; only with slots */
	unsigned int nb_hold;               /**< how many groups of these */
};

/** How large it has to be. */
struct ppool_size {
	uint32_t page_size;      /**< as of struct ppool_create_conf; testpmd's --mbuf-size */
	uint32_t page_bytes;     /**< a page with what is around its data room */
	double frags_per_page;   /**< packets of the mix that a page takes, on average */
	double truesize;         /**< of a packet, on average: its share of a page, its header */
	uint64_t held;           /**< packets held, those in transmit rings and bursts included */
	uint64_t held_pages;     /**< pages these are in, besides the posted ones */
	uint64_t posted_pages;   /**< one for each receive descriptor; or for the posted slots */
	uint64_t header_pages;   /**< for the mbufs of packets; 0 with slots */
	uint64_t whole_pages;    /**< ordinary mbufs, those in mempool caches included */
	uint64_t spare_pages;    /**< on top of those */
	uint64_t pages;          /**< all of these: the size of the mempool */
	uint64_t table_bytes;    /**< outside the pages: page table, lists, mempools, carvers */
	uint64_t bytes;          /**< all memory, if it is in hugepages of 2 MB */
	double bytes_per_packet; /**< all memory, by packets held */
	double packets_per_mib;  /**< packets held, by MiB of all memory */
	uint64_t fixed_bytes; /**< what a pool of mbufs that fit the MTU would take for the same */

	/* Only with slots, else 0. */

	double live;         /**< of held: packets that are held for a time, on average */
	uint64_t peak;       /**< held, with five standard deviations of live */
	uint64_t charged;    /**< bytes of the slots of packets held */
	uint64_t peak_pages; /**< pages for what classes hold more than on average */
	/**
	 * Pages for idle slots that each lcore keeps, for the rest of a page that is being filled,
	 * and an idle one; of each class.
	 */
	uint64_t reserve_pages;
};

/**
 * Estimate the size of a pool.
 *
 * Where conf->page_size is 0, the candidates of ppool_size_candidates() are compared: the largest
 * page is chosen that needs at most 2 % more memory than the best, as a packet costs the less
 * time the more of them share a page.
 *
 * @return
 *   0, or a negative errno, logged:
 *   - EINVAL: a length of the mix is 0, larger than what the MTU allows, or all weights are 0;
 *     a member is 0 that must not be; a page of this size cannot be split; packets are held for
 *     a time, but not in slots, or shares are not 0 to 100 percent together; slots with another
 *     headroom than RTE_PKTMBUF_HEADROOM
 *   - EMSGSIZE: frames of this MTU do not fit into a page
 *   - ENOMEM
 */
int ppool_size_estimate(const struct ppool_size_conf *conf, struct ppool_size *size);

/**
 * Bytes that the pool takes where memory consists of OS pages of a length: RTE_PGSIZE_2M,
 * RTE_PGSIZE_1G, RTE_PGSIZE_4K with --no-huge. Divided by it and rounded up: how many of them.
 */
uint64_t ppool_size_memory(const struct ppool_size *size, uint64_t os_page_len);

/**
 * Page sizes that fill hugepages without a rest and that frames of the MTU fit into, descending.
 * None is over 65535, for the sake of rte_pktmbuf_pool_create(), unless the MTU demands it.
 *
 * @return
 *   How many there are, at most n.
 */
unsigned int ppool_size_candidates(const struct ppool_size_conf *conf, uint32_t *page_size,
		unsigned int n);

/**
 * The largest page_size of which a number of pages fit into a piece of memory.
 *
 * @return
 *   0 where not even their headers do.
 */
uint32_t ppool_size_fit(uint64_t len, uint32_t pages, uint32_t priv_size);

#ifdef __cplusplus
}
#endif

#endif /* _PPOOL_SIZING_H_ */
