/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPFRAG_H_
#define _PPFRAG_H_

/**
 * @file
 * net_ppfrag: receive into frags or slots of a page pool. Here is what a port is.
 *
 *   ppfrag_ethdev.c        probe of virtual devices, ethdev operations; knows no ring
 *   ppfrag_pci.[ch]        probe of devices on the PCI bus
 *   ppfrag_args.c          device arguments
 *   ppfrag_stats.c         statistics
 *   ppfrag_telemetry.c     what queues have, and what counters mean, as JSON
 *   ppfrag_queue.[ch]      what a queue receives into, whatever the device is
 *   ppfrag_slots.[ch]      slots: classes, which packets are copied, and how
 *   ppfrag_control.c       the connection to a virtio back end: make it, notice that it is gone
 *   ppfrag_device.h        operations of a kind of device
 *   ppfrag_compat.h        what differs between versions of DPDK
 *   virtio/                virtio rings, see virtio/virtio.h
 *   xsk/                   interfaces of the kernel by AF_XDP, see xsk/xsk.h
 *
 * All structures but struct ppfrag_local are in shared memory: a secondary process may drive
 * queues, and all pointers in them are to shared memory. Tables of operations are not: they are
 * named by an index.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include <net/if.h>

#include <ethdev_driver.h>
#include <rte_log.h>
#include <rte_memzone.h>

#include "ppfrag_compat.h"

#define PPFRAG_DRIVER "net_ppfrag"

/** Ethernet header and two VLAN tags: what a frame has on top of the MTU. */
#define PPFRAG_L2_LEN (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN)
/** The longest frame: mbufs count in 16 bits, headroom included. */
#define PPFRAG_MAX_FRAME (UINT16_MAX - RTE_PKTMBUF_HEADROOM)
/** The largest MTU that there can be. */
#define PPFRAG_MAX_MTU (PPFRAG_MAX_FRAME - PPFRAG_L2_LEN)
/** The longest packet that the back end has not cut into segments. */
#define PPFRAG_MAX_LRO (UINT16_MAX + PPFRAG_L2_LEN)
/** Most segments of one packet, either direction. */
#define PPFRAG_MAX_SEGS 64
/** Most queue pairs of a port: vhost-user names rings in 8 bits. */
#define PPFRAG_MAX_PAIRS 128
/** Fewest and most descriptors of a ring. */
#define PPFRAG_MIN_DESC 4
#define PPFRAG_MAX_DESC 32768
/** Most addresses of a port, its own included: as many as with net_virtio_user. */
#define PPFRAG_MAX_MACS 64
/** Most pieces of memory that a back end gets. */
#define PPFRAG_MAX_REGIONS 8

extern int ppfrag_logtype;
#define PPFRAG_LOG_LEVEL(level, ...) \
	rte_log(level, ppfrag_logtype, \
			PPFRAG_DRIVER ": " RTE_FMT(RTE_FMT_HEAD(__VA_ARGS__, ) "\n", \
					RTE_FMT_TAIL(__VA_ARGS__, )))
#define PPFRAG_LOG(level, ...) PPFRAG_LOG_LEVEL(RTE_LOG_##level, __VA_ARGS__)

/** Counters of a receive queue: X(name, unit, what it counts). */
#define PPFRAG_RXQ_XSTATS(X) \
	X(chained_packets, "packets", "delivered in more than one segment") \
	X(copied_packets, "packets", "copied, as the back end cannot write into the pool") \
	X(copybreak_packets, "packets", "copied into slots of their size") \
	X(oversize_packets, "packets", "dropped: longer than the frames this port receives") \
	X(short_packets, "packets", "dropped: shorter than an Ethernet header") \
	X(bad_header_packets, "packets", \
			"delivered as such with a wrong checksum: their virtio header makes no sense") \
	X(no_header, "packets", "had to wait in the ring: no page for their mbufs") \
	X(no_page, "descriptors", "had to wait before they could be posted again: no page") \
	X(bad_used, "used entries", "ignored: the back end gave a wrong id, length or count") \
	X(fifo_miss, "descriptors", \
			"ignored: the kernel gave an address or length that was not posted") \
	X(kicks, "notifications", "sent to the back end")

/** Counters of a transmit queue: X(name, unit, what it counts). */
#define PPFRAG_TXQ_XSTATS(X) \
	X(chained_packets, "packets", "sent from more than one segment without a copy") \
	X(indirect_packets, "packets", "sent by one descriptor that refers to a table of others") \
	X(header_packets, "packets", \
			"sent with a header outside the mbuf, which is shared or full") \
	X(copied_packets, "packets", "copied: outside of what the back end can read") \
	X(dropped_packets, "packets", "dropped: need more descriptors than the ring has") \
	X(offload_packets, "packets", "sent with flags of offloads") \
	X(bad_offload_packets, "packets", \
			"dropped: ask for an offload that is not configured, or with wrong lengths") \
	X(full, "bursts", "cut short: no free descriptor") \
	X(bad_used, "used entries", "ignored: the back end gave a wrong id or count") \
	X(kicks, "notifications", "sent to the back end")

/** What every queue counts, by the names that net_virtio_user has: X(name, member, unit, what). */
#define PPFRAG_TOTAL_XSTATS(X) \
	X(good_packets, packets, "packets", "received or sent") \
	X(good_bytes, bytes, "bytes", "of these, without the virtio header and without a CRC")

/** Counters that either kind of queue has with size_stats=1 only. A size has no CRC. */
#define PPFRAG_SIZE_XSTATS(X) \
	X(multicast_packets, "packets", "to a multicast address, broadcast not included") \
	X(broadcast_packets, "packets", "to the broadcast address") \
	X(undersize_packets, "packets", "shorter than 64 bytes") \
	X(size_64_packets, "packets", "of 64 bytes") \
	X(size_65_127_packets, "packets", "of 65 to 127 bytes") \
	X(size_128_255_packets, "packets", "of 128 to 255 bytes") \
	X(size_256_511_packets, "packets", "of 256 to 511 bytes") \
	X(size_512_1023_packets, "packets", "of 512 to 1023 bytes") \
	X(size_1024_1518_packets, "packets", "of 1024 to 1518 bytes") \
	X(size_1519_max_packets, "packets", "longer than 1518 bytes")

/** Of a port: X(name, type in the sense of Prometheus, unit, meaning). */
#define PPFRAG_PORT_XSTATS(X) \
	X(quarantines, counter, "stops", "of the port that a back end did not confirm") \
	X(reconnections, counter, "reconnections", \
			"of a started port to a back end, or an interface") \
	X(quarantined_buffers, gauge, "buffers", \
			"that a back end may still use though the port stopped") \
	X(no_chunk, counter, "times", "an interface found no buffer posted (AF_XDP)")

#define PPFRAG_COUNTER(name, unit, desc) uint64_t name;

struct ppfrag_size_stats {
	PPFRAG_SIZE_XSTATS(PPFRAG_COUNTER)
} __rte_aligned(8);

/*
 * Counters never decrease and are written by nobody but the thread that drives the queue: a reset
 * notes what they were. Aligned so that 32-bit machines, too, read them in one go.
 */
struct ppfrag_rxq_stats {
	uint64_t packets;
	uint64_t bytes;
	PPFRAG_RXQ_XSTATS(PPFRAG_COUNTER)
	struct ppfrag_size_stats sizes;
} __rte_aligned(8);

struct ppfrag_txq_stats {
	uint64_t packets;
	uint64_t bytes;
	PPFRAG_TXQ_XSTATS(PPFRAG_COUNTER)
	struct ppfrag_size_stats sizes;
} __rte_aligned(8);

#undef PPFRAG_COUNTER

/** Count something, for other threads to read at any time. */
static inline void
ppfrag_count(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/** Counters of a queue pair while its queues are not set up, and what they were at the reset. */
struct ppfrag_kept_stats {
	struct ppfrag_rxq_stats rx, rx_base;
	struct ppfrag_txq_stats tx, tx_base;
};

/** What counts where packets are received into slots. */
enum ppfrag_preset {
	PPFRAG_PRESET_AUTO, /**< speed while pages are plenty, else density */
	PPFRAG_PRESET_SPEED,
	PPFRAG_PRESET_DENSITY,
};

/** Kinds of back ends of virtio rings, by the index that stands in shared memory. */
enum virtio_backend_kind {
	VIRTIO_BACKEND_VHOST_USER,
	VIRTIO_BACKEND_VHOST_KERNEL,
};

/** How a program is attached to an interface of the kernel. */
enum ppfrag_xdp_mode {
	PPFRAG_XDP_AUTO, /**< native, or else skb */
	PPFRAG_XDP_NATIVE,
	PPFRAG_XDP_SKB,
};

/** What is asked for of an interface of the kernel. */
struct ppfrag_xsk_conf {
	uint16_t start_queue;
	uint16_t busy_budget; /**< 0: the interface is not polled */
	uint8_t mode;         /**< enum ppfrag_xdp_mode */
	bool force_copy;
	bool own_umem;  /**< copy packets, whatever the pool is */
	bool tx_csum;   /**< the kernel completes checksums of what is sent */
	char prog[256]; /**< file of a program to use in place of the driver's; "": none */
};

/** Pools of other ports that the back end gets, too, see virtio/ppfrag_share.c. */
struct ppfrag_share {
	bool all; /**< that can hold packets */
	uint8_t nb;
	char name[PPFRAG_MAX_REGIONS][RTE_MEMPOOL_NAMESIZE];
};

/** A port. */
struct ppfrag_dev {
	uint32_t link_up;    /**< the back end processes our rings; atomic */
	uint32_t epoch;      /**< changes when queues have to look at what follows; atomic */
	uint32_t ring_epoch; /**< that rings are to be reset for, see ppfrag_control.c; atomic */
	uint16_t port_id;
	uint8_t kind;       /**< enum ppfrag_kind */
	uint8_t backend;    /**< enum virtio_backend_kind */
	int16_t ops_number; /**< of the mempool ops, in the primary process */
	uint16_t nb_shared;
	struct {
		uintptr_t addr;
		size_t len;
	} shared[PPFRAG_MAX_REGIONS]; /**< what the back end can access */

	const struct rte_memzone *arena; /**< rings, headers, bounce buffers; may be NULL */
	const struct rte_memzone *bounce_mz[PPFRAG_MAX_PAIRS]; /**< receive buffers, by queue */
	uint64_t offered;  /**< features, by the latest back end */
	uint64_t features; /**< agreed on with the first back end, insisted on later; 0: none yet */
	uint64_t offload_features; /**< besides these, of the latest start */
	uint32_t ptypes;           /**< packet types to tell */
	bool ptypes_chosen;        /**< the application said so */
	uint32_t speed;            /**< of the link, in Mbps, to be told to applications */
	uint16_t nb_pairs;         /**< queue pairs in use */
	uint16_t max_pairs;
	uint16_t queue_size;
	bool server;     /**< back ends connect to us */
	bool mrg_rxbuf;  /**< wanted */
	bool packed_vq;  /**< packed rings, wanted */
	bool in_order;   /**< the back end may use buffers in order, wanted */
	bool indirect;   /**< wanted */
	bool event_idx;  /**< wanted */
	bool is_square;  /**< each receive ring has as many descriptors as places */
	bool size_stats; /**< count packets by size and kind of address */
	bool want_slots;
	bool insist_slots;  /**< said to, not by default */
	uint8_t preset;     /**< enum ppfrag_preset */
	uint16_t copybreak; /**< longest packet that is copied in every preset */
	uint16_t max_mtu;   /**< that applications are told */
	struct rte_ether_addr mac[PPFRAG_MAX_MACS]; /**< the first is the one of the port */
	struct ppfrag_share share;
	uint16_t nb_zones;            /**< memzones that were reserved; part of their names */
	uint64_t quarantined_buffers; /**< that a back end may still use though the port stopped */
	uint64_t quarantines;         /**< stops that a back end did not confirm */
	uint64_t reconnections;       /**< of a started port to a back end, or an interface */
	uint64_t missed;              /**< packets that found no room, as the kernel counts them */
	uint64_t no_chunk;            /**< times that it found nothing posted */
	struct ppfrag_xsk_conf xsk;
	char iface[IF_NAMESIZE]; /**< of AF_XDP, or the tap behind vhost-net */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct ppfrag_kept_stats kept[]; /**< by queue, max_pairs of them */
};

/** Whether a queue has to look what has changed. By the thread that drives it. */
static inline bool
ppfrag_is_stale(const struct ppfrag_dev *pd, uint32_t epoch)
{
	return __atomic_load_n(&pd->epoch, __ATOMIC_ACQUIRE) != epoch;
}

static inline const char *
ppfrag_port_name(const struct ppfrag_dev *pd)
{
	return rte_eth_devices[pd->port_id].data->name;
}

/* ppfrag_args.c */

/** By enum ppfrag_preset. */
extern const char * const ppfrag_preset_names[];

/**
 * Fill in what device arguments say of a port that is all zero, and defaults for what they do not.
 *
 * @return 0 or a negative errno, logged.
 */
int ppfrag_args_parse(const char *name, const char *args, struct ppfrag_dev *pd);

/* ppfrag_ethdev.c */

/** Make a port of one that ethdev has allocated. @return 0 or a negative errno. */
int ppfrag_port_init(struct rte_eth_dev *dev, const struct ppfrag_dev *args);

/**
 * Find a port of the primary process.
 *
 * @param has_queues
 *   Whether its queues can be used in a secondary process.
 * @return
 *   0 or a negative errno.
 */
int ppfrag_port_attach(struct rte_device *device, bool has_queues);

/** Close and release a port, if it is there. @return 0 or a negative errno. */
int ppfrag_port_remove(const char *name);

/* ppfrag_stats.c */

int ppfrag_stats_get(struct rte_eth_dev *dev, PPFRAG_ETH_STATS_PARAMS);
int ppfrag_stats_reset(struct rte_eth_dev *dev);
int ppfrag_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int n);
int ppfrag_xstats_get_names(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names,
		unsigned int n);

#endif /* _PPFRAG_H_ */
