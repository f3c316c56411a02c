/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPFRAG_H_
#define _PPFRAG_H_

/**
 * @file
 * net_ppfrag: receive into frags of a page pool.
 *
 *   ppfrag_ethdev.c        probe, ethdev operations
 *   ppfrag_args.c          device arguments
 *   ppfrag_stats.c         statistics
 *   virtio/vhost_user.c    requests to a vhost-user back end
 *   virtio/ppfrag_conn.c   connect, start and stop the back end, notice that it is gone
 *   virtio/ppfrag_mem.c    which memory the back end gets
 *   virtio/ppfrag_quarantine.c  what a back end may use that did not confirm its stop
 *   virtio/ppfrag_queue.c  set up, start and stop queues
 *   virtio/ppfrag_rx.c     receive path
 *   virtio/ppfrag_rx_slots.c  the same into slots
 *   virtio/ppfrag_rx_copy.c  the same where the back end cannot reach the pool
 *   virtio/ppfrag_tx.c     transmit path
 *   virtio/ppfrag_offload.c  which offloads there are
 *   virtio/ppfrag_rx_offload.c  what they make of packets that are received
 *   virtio/ppfrag_tx_offload.c  what they make of packets that are sent
 *   virtio/ppfrag_state.c  what is in the rings, how packets are moved
 *   virtio/ppfrag_intr.c   receive interrupts
 *   virtio/ppfrag_notify.c raising eventfds that the back end has, too
 *
 * All structures but struct ppfrag_local are in shared memory: a secondary process may drive
 * queues, and all pointers in them are to shared memory.
 */

#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/un.h>

#include <ethdev_driver.h>
#include <rte_interrupts.h>
#include <rte_log.h>
#include <rte_memzone.h>

#include <ppool.h>
#include <ppool_carver.h>

#include "ppfrag_compat.h"
#include "virtio/vhost_user.h"
#include "virtio/virtio_ring.h"

#define PPFRAG_DRIVER "net_ppfrag"

/** Ethernet header and two VLAN tags: what a frame has on top of the MTU. */
#define PPFRAG_L2_LEN (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN)
/** The longest frame: mbufs count in 16 bits, headroom included. */
#define PPFRAG_MAX_FRAME (UINT16_MAX - RTE_PKTMBUF_HEADROOM)
/** The longest packet that the back end has not cut into segments. */
#define PPFRAG_MAX_LRO (UINT16_MAX + PPFRAG_L2_LEN)
/** Most segments of one packet, either direction. */
#define PPFRAG_MAX_SEGS 64
/** One piece of a packet that is copied: a frame of MTU 1500 with tags and virtio header. */
#define PPFRAG_BOUNCE_LEN 1536u
/** Most size classes of slots that a queue uses. */
#define PPFRAG_CLASSES_MAX 32u

extern int ppfrag_logtype;
#define PPFRAG_LOG(level, ...) \
	rte_log(RTE_LOG_##level, ppfrag_logtype, \
			PPFRAG_DRIVER ": " RTE_FMT(RTE_FMT_HEAD(__VA_ARGS__, ) "\n", \
					RTE_FMT_TAIL(__VA_ARGS__, )))

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
	X(kicks, "notifications", "sent to the back end")

/** Counters of a transmit queue: X(name, unit, what it counts). */
#define PPFRAG_TXQ_XSTATS(X) \
	X(chained_packets, "packets", "sent from more than one segment without a copy") \
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

#define PPFRAG_COUNTER(name, unit, desc) uint64_t name;

/*
 * Counters never decrease and are written by nobody but the thread that drives the queue: a reset
 * notes what they were. Aligned so that 32-bit machines, too, read them in one go.
 */
struct ppfrag_rxq_stats {
	uint64_t packets;
	uint64_t bytes;
	PPFRAG_RXQ_XSTATS(PPFRAG_COUNTER)
} __rte_aligned(8);

struct ppfrag_txq_stats {
	uint64_t packets;
	uint64_t bytes;
	PPFRAG_TXQ_XSTATS(PPFRAG_COUNTER)
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

struct ppfrag_dev;
struct ppfrag_rx_slots;

/** How a queue receives. */
enum ppfrag_rx_how {
	PPFRAG_RX_LANES, /**< into frags of a carver's lanes */
	PPFRAG_RX_COPY,  /**< out of bounce buffers */
	PPFRAG_RX_SLOTS, /**< into slots */
};

/** What counts where packets are received into slots. */
enum ppfrag_preset {
	PPFRAG_PRESET_AUTO, /**< speed while pages are plenty, else density */
	PPFRAG_PRESET_SPEED,
	PPFRAG_PRESET_DENSITY,
};

/** A receive queue. Its first lines are what the receive path uses. */
struct ppfrag_rxq {
	struct virtq vq;
	struct ppool_carver *carver; /**< lane i is descriptor i; NULL with slots */
	char *bounce;                /**< where the back end writes if not into the pool; NULL */
	uint16_t used_idx;           /**< next used entry to read */
	uint16_t avail_idx;          /**< next available entry to write */
	uint16_t nb;                 /**< descriptors */
	uint16_t nb_posted;          /**< of these, the back end has */
	uint32_t buf_len;            /**< of every buffer, virtio header included */
	uint16_t hdr_offset;         /**< of the virtio header in a frag */
	uint16_t nb_starved;         /**< descriptors that wait for a page */
	uint16_t nb_waiting;         /**< used entries that wait for an mbuf, as counted */
	uint8_t retry;               /**< polls since they were tried */
	uint8_t how;                 /**< enum ppfrag_rx_how */
	bool unnotified;             /**< the back end may sleep over what was posted */
	bool mrg;                    /**< a packet may fill several buffers */
	bool scatter;                /**< deliver these as chains */
	uint32_t *posted; /**< by descriptor: the burst it was last used in, 0: not posted */
	uint32_t burst;   /**< number of this burst, for posted */
	uint16_t *done;   /**< descriptors of this burst */
	uint16_t *starved;
	struct ppfrag_rxq_stats stats;

	struct ppfrag_dev *dev;
	struct rte_mempool *mp;
	struct ppfrag_rx_slots *slots;
	const struct rte_memzone *bounce_mz;
	int socket_id;
	uint32_t max_len;             /**< longest data of a frag */
	struct ppfrag_rxq_stats base; /**< stats at the latest reset */
	uint64_t offloads;            /**< configured */
	uint32_t work;                /**< to be done with packets, PPFRAG_RX_WORK_...; atomic */
	uint16_t queue_id;
	bool copy; /**< the pool is not shared with the back end */
} __rte_cache_aligned;

/** What one transmit descriptor is used for. */
struct ppfrag_tx_slot {
	struct rte_mbuf *m; /**< to be freed; NULL where it was copied */
	uint16_t next;      /**< descriptor of the same packet */
	uint16_t nb;        /**< descriptors of the packet it starts; 0: it starts none */
};

/** A transmit queue. */
struct ppfrag_txq {
	struct virtq vq;
	struct ppfrag_dev *dev;
	struct ppfrag_tx_slot *slot; /**< by descriptor */
	uint16_t *free;              /**< ring of free descriptors, first in first out */
	uint16_t free_head;
	uint16_t nb_free;
	uint16_t nb_inflight; /**< packets */
	uint16_t used_idx;
	uint16_t avail_idx;
	uint16_t free_thresh;   /**< fewer free descriptors than this: look for used ones */
	struct virtio_hdr *hdr; /**< all zero, for packets that have no place for one */
	char *bounce;           /**< PPFRAG_BOUNCE_LEN by descriptor */
	struct ppfrag_txq_stats stats;

	struct ppfrag_txq_stats base; /**< stats at the latest reset */
	uint64_t offloads;            /**< configured */
	uint64_t allowed;             /**< flags of mbufs that ask for them */
	uint16_t queue_id;
} __rte_cache_aligned;

/** A port. */
struct ppfrag_dev {
	uint32_t link_up; /**< the back end processes our rings; atomic */
	uint16_t port_id;
	int16_t ops_number; /**< of the mempool ops, in the primary process */
	uint16_t nb_shared;
	struct {
		uintptr_t addr;
		size_t len;
	} shared[VU_MAX_REGIONS]; /**< what the back end can access */

	const struct rte_memzone *arena; /**< rings, headers, bounce buffers; may be NULL */
	const struct rte_memzone *bounce_mz[VU_MAX_PAIRS]; /**< receive buffers, by queue */
	uint64_t offered;                                  /**< features, by the latest back end */
	uint64_t features;         /**< agreed on with the back end; never change */
	uint64_t offload_features; /**< besides these, while the port is started */
	uint16_t nb_pairs;         /**< queue pairs in use */
	uint16_t max_pairs;
	uint16_t queue_size;
	uint32_t ptypes;    /**< packet types to tell */
	bool ptypes_chosen; /**< the application said so */
	bool mrg_rxbuf;     /**< wanted */
	bool want_slots;
	uint8_t preset;     /**< enum ppfrag_preset */
	uint16_t copybreak; /**< longest packet that is copied in every preset */
	struct rte_ether_addr mac;
	uint16_t nb_zones;            /**< memzones that were reserved; part of their names */
	uint64_t quarantined_buffers; /**< that a back end may still use though the port stopped */
	uint64_t quarantines;         /**< stops that a back end did not confirm */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct ppfrag_kept_stats kept[]; /**< by queue, max_pairs of them */
};

/** Regions for the back end. */
struct ppfrag_mem {
	unsigned int nb;
	struct vu_region region[VU_MAX_REGIONS];
};

/** An eventfd that the back end has, too. */
struct ppfrag_event {
	int fd;       /**< -1: none */
	bool pending; /**< the thread is to raise it; atomic */
};

/** Raises these eventfds; never has its caller wait. */
struct ppfrag_notifier {
	unsigned long ctx; /**< of the kernel's asynchronous reads */
	int null_fd;       /**< what they read; -1: there are none, but the thread */
	bool has_thread;
	pthread_t thread;
	sem_t wake; /**< what the thread waits for: something is pending */
};

/** What only the primary process has, in process_private. */
struct ppfrag_local {
	pthread_mutex_t lock; /**< whoever uses the socket */
	struct vu vu;
	struct ppfrag_mem told; /**< what the back end at the other end has mapped */
	struct ppfrag_quarantine *quarantine;
	bool connected;
	bool lent;    /**< the back end has memory and has not confirmed that it is done with it */
	bool watched; /**< the interrupt thread has the socket */
	struct rte_intr_handle *intr; /**< of the socket and, by receive queue, of call */
	struct ppfrag_event kick[2 * VU_MAX_PAIRS]; /**< by ring; those that exist come first */
	struct ppfrag_event call[2 * VU_MAX_PAIRS];
	struct ppfrag_notifier notifier;
};

/** Vring numbers: even ones receive. */
static inline uint16_t
ppfrag_rx_vring(uint16_t queue_id)
{
	return 2 * queue_id;
}

static inline uint16_t
ppfrag_tx_vring(uint16_t queue_id)
{
	return 2 * queue_id + 1;
}

static inline const char *
ppfrag_port_name(const struct ppfrag_dev *pd)
{
	return rte_eth_devices[pd->port_id].data->name;
}

/* ppfrag_args.c */

/**
 * Fill path, mac, queue_size, max_pairs, mrg_rxbuf, want_slots, copybreak, preset.
 *
 * @return 0 or a negative errno, logged.
 */
int ppfrag_args_parse(const char *name, const char *args, struct ppfrag_dev *pd);

/* ppfrag_stats.c */

int ppfrag_stats_get(struct rte_eth_dev *dev, PPFRAG_ETH_STATS_PARAMS);
int ppfrag_stats_reset(struct rte_eth_dev *dev);
int ppfrag_xstats_get(struct rte_eth_dev *dev, struct rte_eth_xstat *xstats, unsigned int n);
int ppfrag_xstats_get_names(struct rte_eth_dev *dev, struct rte_eth_xstat_name *names,
		unsigned int n);

/* virtio/ppfrag_mem.c */

/**
 * Add memory, rounded to whole EAL memory segments. Neighbours become one region, and where there
 * are too many, parts of one file with what lies between them.
 *
 * @return 0, -ENOTSUP where it has no file descriptor, -E2BIG where it takes too many regions as
 * each hugepage is a file, -EMFILE where it is in too many files of several pages.
 */
int ppfrag_mem_add(struct ppfrag_mem *mem, const void *addr, size_t len);

/** Add the memory of a mempool: its memfd and nothing else where it has one. */
int ppfrag_mem_add_pool(struct ppfrag_mem *mem, struct rte_mempool *mp);

/** All that the back end needs of what is set up so far. */
int ppfrag_mem_collect(struct ppfrag_mem *mem, const struct rte_eth_dev *dev);

/**
 * Whether regions look the same to a back end that compares addresses, as those of DPDK do, but
 * are other memory: it would go on using the old one.
 */
bool ppfrag_mem_is_disguised(const struct ppfrag_mem *mem, const struct ppfrag_mem *told);

/** Why ppfrag_mem_add() failed, and what helps. */
const char *ppfrag_mem_reason(int err);

/** Reserve memory that shares no hugepage with anything else. @return NULL with rte_errno. */
const struct rte_memzone *ppfrag_mem_reserve(const struct ppfrag_dev *pd, const char *name,
		size_t len, int socket_id);

/* virtio/ppfrag_conn.c */

/** Connect to the back end and negotiate features. @return 0 or a negative errno, logged. */
int ppfrag_conn_open(struct rte_eth_dev *dev);

/** Disconnect. */
void ppfrag_conn_close(struct rte_eth_dev *dev);

/** Hand memory and rings to the back end; reconnects. @return 0 or a negative errno, logged. */
int ppfrag_conn_start(struct rte_eth_dev *dev);

/**
 * Take the rings back. On return the back end uses them no more; where it did not say so, they are
 * in quarantine with all buffers that are in them.
 */
void ppfrag_conn_stop(struct rte_eth_dev *dev);

/** Look whether the back end is still there, and set the link status. */
void ppfrag_conn_check(struct rte_eth_dev *dev);

/** Have the back end process the rings of a started port, or not. */
int ppfrag_conn_set_link(struct rte_eth_dev *dev, bool up);

/** Wake the back end. */
void ppfrag_kick(const struct ppfrag_dev *pd, uint16_t vring);

/* virtio/ppfrag_quarantine.c */

/**
 * Keep rings, posted buffers and packets in the rings from everybody, until the back end has closed
 * its side of a connection, which becomes ours to close. Called with the lock held.
 */
void ppfrag_quarantine_add(struct rte_eth_dev *dev, int fd);

/** Wait a little for the end of quarantine. */
void ppfrag_quarantine_wait(struct rte_eth_dev *dev);

/** End quarantine: pools, mbufs and memory of the port belong to the application now. */
void ppfrag_quarantine_flush(struct rte_eth_dev *dev);

/* virtio/ppfrag_queue.c */

/** Have rings for the configured queues. @return 0 or a negative errno, logged. */
int ppfrag_arena_init(struct rte_eth_dev *dev);

int ppfrag_rxq_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc,
		unsigned int socket_id, const struct rte_eth_rxconf *conf, struct rte_mempool *mp);
void ppfrag_rxq_release(struct rte_eth_dev *dev, uint16_t queue_id);
int ppfrag_txq_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc,
		unsigned int socket_id, const struct rte_eth_txconf *conf);
void ppfrag_txq_release(struct rte_eth_dev *dev, uint16_t queue_id);

/** Make every receive queue ready for frames of an MTU. @return 0 or a negative errno, logged. */
int ppfrag_queues_set_mtu(struct rte_eth_dev *dev, uint16_t mtu);

/** Clear all rings and post receive buffers. */
int ppfrag_queues_start(struct rte_eth_dev *dev);

/** Free what is in the transmit rings, and empty all rings. The back end must be stopped. */
void ppfrag_queues_stop(struct rte_eth_dev *dev);

/** The ring of a vring number, whether a queue uses it or not. */
void ppfrag_vring_get(const struct rte_eth_dev *dev, uint16_t vring, struct virtq *vq);

/* virtio/ppfrag_rx.c */

uint16_t ppfrag_rx_burst(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** The same where a queue of the port has offloads. */
uint16_t ppfrag_rx_burst_offload(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** Post descriptors; those without memory wait in the starved list. */
void ppfrag_rx_post(struct ppfrag_rxq *q, const uint16_t *ids, uint16_t n);

/** Wake the back end for what was posted. */
void ppfrag_rx_kick(struct ppfrag_rxq *q);

/* virtio/ppfrag_rx_slots.c */

/** As ppfrag_rx_burst(), of a queue that receives into slots. */
uint16_t ppfrag_rx_burst_slots(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** The same, with the virtio header in front of each packet. */
uint16_t ppfrag_rx_burst_slots_header(struct ppfrag_rxq *q, struct rte_mbuf **pkts,
		uint16_t nb_pkts);

/** Where the device shall write a packet and its header. @return NULL where there is no page */
char *ppfrag_slots_buffer(struct ppfrag_rxq *q, uint16_t id);

/** Set up a queue for slots. @return 0 or -ENOMEM. */
int ppfrag_slots_init(struct ppfrag_rxq *q);

/** Make it ready for frames of q->max_len. @return 0 or a negative errno, logged. */
int ppfrag_slots_set_frame(struct ppfrag_rxq *q);

/** The longest frame that a slot of a pool holds. */
uint32_t ppfrag_slots_capacity(struct rte_mempool *mp);

/** Free the slots of all descriptors, or store them at to. @return how many are stored. */
uint32_t ppfrag_slots_release(struct ppfrag_rxq *q, struct rte_mbuf **to);

/* virtio/ppfrag_rx_copy.c */

/** As ppfrag_rx_burst(), of a queue whose pool is not shared with the back end. */
uint16_t ppfrag_rx_burst_copy(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** The same, with the virtio header in front of each packet. */
uint16_t ppfrag_rx_burst_copy_header(struct ppfrag_rxq *q, struct rte_mbuf **pkts,
		uint16_t nb_pkts);

/* virtio/ppfrag_tx.c */

uint16_t ppfrag_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** The same where a queue of the port has offloads. */
uint16_t ppfrag_tx_burst_offload(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts);

int ppfrag_tx_done_cleanup(void *txq, uint32_t n);

/** Free all packets in the ring, whether sent or not. The back end must be stopped. */
void ppfrag_tx_drain(struct ppfrag_txq *q);

/* virtio/ppfrag_state.c */

ppfrag_eth_queue_count_t ppfrag_rx_queue_count(void *rxq);
int ppfrag_rx_descriptor_status(void *rxq, uint16_t offset);
int ppfrag_tx_descriptor_status(void *txq, uint16_t offset);
int ppfrag_rx_burst_mode_get(struct rte_eth_dev *dev, uint16_t queue_id,
		struct rte_eth_burst_mode *mode);
int ppfrag_tx_burst_mode_get(struct rte_eth_dev *dev, uint16_t queue_id,
		struct rte_eth_burst_mode *mode);

/* virtio/ppfrag_notify.c */

/** The eventfds exist. @return 0 or a negative errno, logged. */
int ppfrag_notify_init(struct ppfrag_local *local);
void ppfrag_notify_fini(struct ppfrag_local *local);

/**
 * A back end that is gone has no hold on what comes now. The port is stopped.
 *
 * @return 0 or a negative errno, logged.
 */
int ppfrag_notify_restart(struct ppfrag_local *local);

/** Add 1 to an eventfd, soon. Never waits, whatever others do with it. Any thread. */
void ppfrag_notify(struct ppfrag_notifier *n, struct ppfrag_event *event);

/* virtio/ppfrag_intr.c */

/** Make local->call what receive interrupts of the queues come by. @return 0 or negative. */
int ppfrag_intr_init(struct ppfrag_local *local, uint16_t nb_queues);

/** Nobody can wait for interrupts any more. */
void ppfrag_intr_fini(struct ppfrag_local *local);

int ppfrag_rx_intr_enable(struct rte_eth_dev *dev, uint16_t queue_id);
int ppfrag_rx_intr_disable(struct rte_eth_dev *dev, uint16_t queue_id);

#endif /* _PPFRAG_H_ */
