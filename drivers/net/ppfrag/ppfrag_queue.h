/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPFRAG_QUEUE_H_
#define _PPFRAG_QUEUE_H_

/**
 * @file
 * Queues. What a receive queue receives into is the same for all devices and decided here: the
 * pool, slots or lanes, the length of frames, whether packets are copied.
 */

#include <rte_mempool.h>

#include <ppool.h>
#include <ppool_carver.h>
#include <ppool_slot.h>

#include "ppfrag.h"
#include "virtio/virtio_packed.h"

/** One piece of a packet that is copied: a frame of MTU 1500 with tags and virtio header. */
#define PPFRAG_BOUNCE_LEN 1536u
/** Most size classes of slots that a queue uses. */
#define PPFRAG_CLASSES_MAX 32u

/** Polls between attempts to find pages for descriptors that wait for them. */
#define PPFRAG_RETRY_POLLS 16u

struct ppfrag_rx_slots;

/** How a queue receives. */
enum ppfrag_rx_how {
	PPFRAG_RX_LANES, /**< into frags of a carver's lanes */
	PPFRAG_RX_COPY,  /**< out of bounce buffers */
	PPFRAG_RX_SLOTS, /**< into slots */
};

/** What the ring of a queue was reset for, and who drives it; the same for both directions. */
struct ppfrag_run {
	uint64_t ring_features;
	uint32_t ring_epoch; /**< atomic */
	bool deferred;       /**< not started with the port */
	bool stopped;        /**< the ring belongs to the control thread; atomic */
};

/** A receive queue. Its first lines are what the receive path uses. */
struct ppfrag_rxq {
	struct virtq vq;             /**< the image of the ring where that is packed */
	struct ppool_carver *carver; /**< lane i is descriptor i, or one to copy; NULL with slots */
	char *bounce;                /**< where the back end writes if not into the pool; NULL */
	uint16_t used_idx;           /**< next used entry to read */
	uint16_t avail_idx;          /**< next available entry to write */
	uint16_t nb;                 /**< descriptors */
	uint16_t nb_posted;          /**< of these, the back end has */
	uint32_t buf_len;            /**< of every buffer, virtio header included */
	uint16_t hdr_offset;         /**< of the virtio header in a frag */
	uint16_t post_offset;        /**< the same as the device has it: a short one is behind */
	uint16_t nb_starved;         /**< descriptors that wait for a page */
	uint16_t nb_waiting;         /**< used entries that wait for an mbuf, as counted */
	uint8_t retry;               /**< polls since they were tried */
	uint8_t how;                 /**< enum ppfrag_rx_how */
	bool plain;                  /**< the ring is used without any ring_features */
	bool in_order;               /**< the device uses descriptors in the order of the ring */
	bool event_idx;              /**< either side says where it is to be notified */
	uint16_t kicked_idx;         /**< the device needs no notification up to there */
	bool unnotified;             /**< the back end may sleep over what was posted */
	bool mrg;                    /**< a packet may fill several buffers */
	bool scatter;                /**< deliver these as chains */
	bool interrupts;             /**< the application wants them */
	uint32_t *posted;            /**< by descriptor, see RX_POSTED in virtio/ppfrag_rx.h */
	uint32_t burst;              /**< number of this burst, for posted */
	uint32_t epoch;              /**< when it last looked what has changed */
	uint16_t *done;              /**< descriptors of this burst */
	uint16_t *starved;           /**< descriptors that wait for a page */
	uint32_t *len;               /**< in order: by descriptor, of used entries that were read */
	uint16_t known;              /**< in order: the first used entry that was not read */
	struct ppfrag_dev *dev;
	struct ppfrag_rxq_stats stats;

	struct rte_mempool *mp;
	struct ppfrag_rx_slots *slots; /**< NULL with a carver */
	const struct rte_memzone *bounce_mz;
	int socket_id;
	uint32_t max_len;             /**< longest data of a frag */
	uint32_t post_len;            /**< data of posted slots; 0: as much as max_len */
	struct ppfrag_rxq_stats base; /**< stats at the latest reset */
	uint64_t offloads;            /**< configured */
	uint32_t work;                /**< to be done with packets, PPFRAG_RX_WORK_...; atomic */
	uint16_t queue_id;
	struct ppfrag_run run;
	struct virtq_packed packed;
} __rte_cache_aligned;

/** What one transmit descriptor is used for. */
struct ppfrag_tx_slot {
	struct rte_mbuf *m; /**< to be freed; NULL where it was copied */
	uint16_t next;      /**< descriptor of the same packet */
	uint16_t nb;        /**< descriptors of the packet it starts; 0: it starts none */
};

/** A transmit queue. */
struct ppfrag_txq {
	struct virtq vq; /**< the image of the ring where that is packed */
	struct ppfrag_dev *dev;
	struct ppfrag_tx_slot *slot; /**< by descriptor */
	uint16_t *free;              /**< ring of free descriptors, first in first out */
	uint16_t free_head;
	uint16_t nb_free;
	uint16_t nb_inflight; /**< packets */
	uint16_t used_idx;
	uint16_t avail_idx;
	uint16_t batch;         /**< in order: packets known to be used, behind used_idx */
	bool plain;             /**< the ring is used without any ring_features */
	uint8_t hdr_len;        /**< of the virtio header */
	bool in_order;          /**< the device uses descriptors in the order of the ring */
	bool event_idx;         /**< either side says where it is to be notified */
	bool indirect;          /**< a descriptor can have a table of others */
	uint16_t free_thresh;   /**< fewer free descriptors than this: look for used ones */
	uint32_t epoch;         /**< when it last looked what has changed */
	struct virtio_hdr *hdr; /**< all zero, for packets that have no place for one */
	char *bounce;           /**< PPFRAG_BOUNCE_LEN by descriptor: copies, or a table */
	struct ppfrag_txq_stats stats;

	struct ppfrag_txq_stats base; /**< stats at the latest reset */
	uint64_t offloads;            /**< configured */
	uint64_t allowed;             /**< flags of mbufs that ask for them */
	uint16_t queue_id;
	struct ppfrag_run run;
	struct virtq_packed packed;
} __rte_cache_aligned;

/** Whether packets are copied out of bounce buffers, into slots or into frags of a carver. */
static inline bool
ppfrag_rxq_copies(const struct ppfrag_rxq *q)
{
	return q->how == PPFRAG_RX_COPY;
}

/** Whether to try now to post what waits for pages: every so many polls that find it waiting. */
static inline bool
ppfrag_rxq_retries(struct ppfrag_rxq *q)
{
	if (++q->retry < PPFRAG_RETRY_POLLS)
		return false;
	q->retry = 0;
	return true;
}

/** Count used entries that wait for pages, each once; the oldest ones were just consumed. */
static inline void
ppfrag_rxq_count_waiting(struct ppfrag_rxq *q, uint16_t consumed, uint16_t waiting)
{
	q->nb_waiting -= RTE_MIN(q->nb_waiting, consumed);
	if (waiting > q->nb_waiting) {
		ppfrag_count(&q->stats.no_header, waiting - q->nb_waiting);
		q->nb_waiting = waiting;
	}
}

/* ppfrag_queue.c */

/** Reserve memory that shares no hugepage with anything else. @return NULL with rte_errno. */
const struct rte_memzone *ppfrag_zone_reserve(struct ppfrag_dev *pd, const char *what, size_t len,
		int socket_id);

/** Whether a pool is one to receive into. @return 0 or a negative errno, logged. */
int ppfrag_pool_check(const struct rte_eth_dev *dev, const struct rte_mempool *mp);

/** Memory for a receive queue of nb descriptors, all zero. @return NULL where there is none. */
struct ppfrag_rxq *ppfrag_rxq_alloc(uint16_t nb, unsigned int socket_id);

/**
 * Decide how to receive, and get the memory for it. Filled in before: dev, mp, queue_id, socket_id,
 * hdr_offset, mrg, scatter.
 *
 * @param copy_reason
 *   Why packets must be copied; NULL: they need not.
 * @return
 *   0 or a negative errno, logged.
 */
int ppfrag_rxq_init(struct ppfrag_rxq *q, const char *copy_reason);

/** The bytes of the pool, or of bounce buffers, that are posted when all descriptors are. */
size_t ppfrag_rxq_ring_bytes(const struct ppfrag_rxq *q);

/** Tell the log how a queue receives. */
void ppfrag_rxq_log(const struct ppfrag_rxq *q, const char *copy_reason);

/** Tell the log where a queue begins with fewer buffers than descriptors. */
void ppfrag_rxq_log_starved(const struct ppfrag_rxq *q);

/** The counters of the port go on in a queue; the queue is one of the port from here on. */
void ppfrag_rxq_attach(struct rte_eth_dev *dev, struct ppfrag_rxq *q);
void ppfrag_txq_attach(struct rte_eth_dev *dev, struct ppfrag_txq *q);

/** Free a queue that is no queue of the port. */
void ppfrag_rxq_free(struct ppfrag_rxq *q);

/** Free a queue of the port, if there is one. */
void ppfrag_rxq_release(struct rte_eth_dev *dev, uint16_t queue_id);
void ppfrag_txq_release(struct rte_eth_dev *dev, uint16_t queue_id);

/** Whether all queues are set up. @return 0 or a negative errno, logged. */
int ppfrag_queues_check(const struct rte_eth_dev *dev);

/** Whether the pools of all receive queues take an MTU. @return 0 or a negative errno, logged. */
int ppfrag_queues_check_mtu(const struct rte_eth_dev *dev, uint16_t mtu);

/** Make every receive queue ready for frames of an MTU. @return 0 or a negative errno, logged. */
int ppfrag_queues_set_mtu(struct rte_eth_dev *dev, uint16_t mtu);

void ppfrag_rxq_info_get(struct rte_eth_dev *dev, uint16_t queue_id, struct rte_eth_rxq_info *info);
void ppfrag_txq_info_get(struct rte_eth_dev *dev, uint16_t queue_id, struct rte_eth_txq_info *info);

/* ppfrag_slots.c */

/** Set up a queue for slots. @return 0 or -ENOMEM. */
int ppfrag_slots_init(struct ppfrag_rxq *q);

/** Make it ready for frames of q->max_len. @return 0 or a negative errno, logged. */
int ppfrag_slots_set_frame(struct ppfrag_rxq *q);

/** Note where the device writes, where that has changed. */
void ppfrag_slots_set_post(struct ppfrag_rxq *q);

/**
 * The smallest class of a pool that holds so many bytes, or the largest one where none does. One
 * without room where there are no slots.
 */
struct ppool_slot_class ppfrag_slots_class(struct rte_mempool *mp, uint32_t len);

/**
 * An mbuf of so many bytes, q->max_len at most: a slot of the smallest class that holds them, or a
 * larger one. @return NULL where there is no page
 */
struct rte_mbuf *ppfrag_slots_get(const struct ppfrag_rxq *q, uint32_t len);

/** Free the slots of all descriptors, or store them at to. @return how many are stored. */
uint32_t ppfrag_slots_release(struct ppfrag_rxq *q, struct rte_mbuf **to);

#endif /* _PPFRAG_QUEUE_H_ */
