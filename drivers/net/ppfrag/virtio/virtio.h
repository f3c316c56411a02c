/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _VIRTIO_H_
#define _VIRTIO_H_

/**
 * @file
 * The device with virtio rings.
 *
 *   virtio_device.c        its operations
 *   virtio_queue.c         rings: set up, start, stop
 *   virtio_queue_run.c     the same of one queue while the port runs
 *   virtio_ring.h          a ring and its entries
 *   virtio_packed.h        the same of the other layout, and what all others see of it
 *   ppfrag_rx.c            posting, and which way a queue receives
 *   ppfrag_rx_slots.c      into slots
 *   ppfrag_rx_lanes.c      into lanes
 *   ppfrag_rx_copy.c       by a copy, where the back end cannot reach the pool
 *   ppfrag_rx.h            what these three share: used entries
 *   ppfrag_rx_in_order.c   used entries of a back end that works in order
 *   ppfrag_rx_packed.c     in front of all these where the ring is packed
 *   ppfrag_tx.c            transmit path
 *   ppfrag_tx_packed.c     what is different where the ring is packed
 *   ppfrag_tx.h            what these two share: packets that were sent
 *   ppfrag_offload.c       which offloads there are; in part for all devices, as the next two
 *   ppfrag_rx_offload.c    what is done with received packets
 *   ppfrag_sizes.c         counting packets by size, where it is wanted
 *   ppfrag_tx_offload.c    what goes in front of packets
 *   virtio_hdr.h           values in the virtio header
 *   ppfrag_state.c         what is in the rings, how packets are moved
 *   ppfrag_intr.c          receive interrupts
 *   ppfrag_notify.c        raising eventfds that the back end has, too
 *   ppfrag_mem.c           which memory the back end gets
 *   ppfrag_share.c         of pools that others receive into
 *   ppfrag_quarantine.c    what a back end may use that did not confirm its stop
 *   backend.h              who is on the other side
 *   backend_vhost_user.c   a process at the other end of a socket
 *   backend_vhost_kernel.c the kernel, by vhost-net
 *   vhost_tap.c            the tap that it has behind that
 *   vhost_user.c           the requests that a process gets
 *   vhost_user_server.c    a socket at which it connects
 *   virtio_dma.[ch]        rings of devices that find buffers by IOVA
 *   virtio_pci.h           a device on the PCI bus
 */

#include <pthread.h>
#include <semaphore.h>

#include <rte_interrupts.h>

#include "../ppfrag_control.h"
#include "../ppfrag_device.h"
#include "../ppfrag_queue.h"
#include "vhost_kernel.h"
#include "vhost_user.h"
#include "virtio_packed.h"

/** Regions for the back end. */
struct ppfrag_mem {
	bool by_address; /**< the back end uses our page tables, and needs no files */
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
	struct ppfrag_control control;
	struct vu vu; /**< the control thread uses it */
	struct vu_server server;
	struct vhost_kernel vk; /**< likewise, where the back end is the kernel */
	pthread_mutex_t lock;   /**< of the quarantine, and of pd->arena */
	struct ppfrag_mem mem;  /**< what back ends get, as collected when the port was started */
	struct ppfrag_mem told; /**< what the back end at the other end has mapped */
	struct ppfrag_quarantine *quarantine;
	bool lent; /**< the back end has memory and has not confirmed that it is done with it */
	bool idle[2 * PPFRAG_MAX_PAIRS]; /**< rings in whose place the back end has an idle one */
	struct rte_intr_handle *intr;    /**< by receive queue, of call */
	struct ppfrag_event kick[2 * PPFRAG_MAX_PAIRS]; /**< by ring; those that exist come first */
	struct ppfrag_event call[2 * PPFRAG_MAX_PAIRS];
	struct ppfrag_notifier notifier;
	struct virtio_pci *pci; /**< the device on the PCI bus that has the rings, or NULL */
};

/** How long after a back end has closed its side it may still use memory, in ms. */
#define PPFRAG_QUARANTINE_MS 1000

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

/** Whether a packet may fill several buffers; before that is agreed on, whether it shall. */
static inline bool
virtio_has_mrg(const struct ppfrag_dev *pd)
{
	if (pd->features == 0)
		return pd->mrg_rxbuf;
	return (pd->features & RTE_BIT64(VIRTIO_NET_F_MRG_RXBUF)) != 0;
}

/** Whether the device is one from before virtio 1.0; it is none before that is agreed on. */
static inline bool
virtio_is_legacy(const struct ppfrag_dev *pd)
{
	return pd->features != 0 && (pd->features & RTE_BIT64(VIRTIO_F_VERSION_1)) == 0;
}

/** Whether the device does DMA: it needs IOVAs, and no files of memory. */
static inline bool
virtio_is_dma(const struct ppfrag_dev *pd)
{
	return pd->kind == PPFRAG_KIND_PCI;
}

/** The layout of rings; before that is agreed on, what it shall be. */
static inline uint8_t
virtio_layout(const struct ppfrag_dev *pd)
{
	const bool agreed = pd->features != 0;

	if (agreed ? (pd->features & RTE_BIT64(VIRTIO_F_RING_PACKED)) == 0 : !pd->packed_vq)
		return VIRTIO_SPLIT;
	if (agreed ? (pd->features & RTE_BIT64(VIRTIO_F_IN_ORDER)) == 0 : !pd->in_order)
		return VIRTIO_PACKED;
	return VIRTIO_PACKED_IN_ORDER;
}

/**
 * Features that only say how rings are used, those that are agreed on with the latest back end;
 * before there is one, those that are wanted. Each back end may have others than the one before. A
 * queue uses its ring by them from its next reset on. Packed rings have an order of their own, and
 * none of the others. VIRTIO_F_ANY_LAYOUT is among them where packets have a short header.
 */
static inline uint64_t
virtio_ring_features(const struct ppfrag_dev *pd)
{
	uint64_t offered = __atomic_load_n(&pd->offered, __ATOMIC_RELAXED), wanted = 0;

	if (virtio_layout(pd) != VIRTIO_SPLIT || virtio_is_dma(pd))
		return 0;
	if (virtio_is_legacy(pd) && !virtio_has_mrg(pd))
		wanted |= RTE_BIT64(VIRTIO_F_ANY_LAYOUT);
	if (pd->in_order && pd->is_square && !virtio_is_legacy(pd))
		wanted |= RTE_BIT64(VIRTIO_F_IN_ORDER);
	if (pd->event_idx)
		wanted |= RTE_BIT64(VIRTIO_F_EVENT_IDX);
	if (pd->indirect)
		wanted |= RTE_BIT64(VIRTIO_F_INDIRECT_DESC);
	return offered == 0 ? wanted : offered & wanted;
}

/** Whether a queue was set up so that it cannot do without mergeable buffers. */
static inline bool
ppfrag_rxq_needs_mrg(const struct ppfrag_rxq *q)
{
	return q->scatter || q->buf_len < q->max_len + VIRTIO_HDR_LEN;
}

/**
 * What the virtio header of a receive queue is shorter by than one of virtio 1.0. Everywhere but in
 * the ring and in front of the packet, buffers, addresses and lengths are those of a long header.
 */
static inline uint16_t
ppfrag_rx_gap(const struct ppfrag_rxq *q)
{
	return q->post_offset - q->hdr_offset;
}

/** The length of a buffer, for its descriptor. */
static inline uint32_t
ppfrag_rx_desc_len(const struct ppfrag_rxq *q)
{
	return q->buf_len - ppfrag_rx_gap(q);
}

/* ppfrag_mem.c */

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

/** The same where all is set up. @return 0 or a negative errno, logged. */
int ppfrag_mem_collect_all(struct ppfrag_mem *mem, const struct rte_eth_dev *dev);

/**
 * Whether regions have the addresses and sizes that the back end was told before, but are other
 * files: a back end that compares addresses, as those of DPDK do, would go on using the old memory.
 */
bool ppfrag_mem_was_remapped(const struct ppfrag_mem *mem, const struct ppfrag_mem *told);

/**
 * The back end gets what was collected: note so.
 *
 * @return 0, or -ESTALE, logged, where the files of regions are others than were collected.
 */
int ppfrag_mem_lend(struct rte_eth_dev *dev);

/** Why ppfrag_mem_add() failed, and what helps. */
const char *ppfrag_mem_reason(int err);

/* ppfrag_share.c */

/** Add the pools that the option share names. @return 0 or a negative errno, logged. */
int ppfrag_share_add(struct ppfrag_mem *mem, const struct rte_eth_dev *dev);

/* virtio_queue.c */

/** Have rings for the configured queues. @return 0 or a negative errno, logged. */
int ppfrag_arena_init(struct rte_eth_dev *dev);

int virtio_rxq_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc,
		unsigned int socket_id, const struct rte_eth_rxconf *conf, struct rte_mempool *mp);
int virtio_txq_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc,
		unsigned int socket_id, const struct rte_eth_txconf *conf);

/** Clear all rings and post receive buffers. */
int ppfrag_queues_start(struct rte_eth_dev *dev);

/** Free what is in the transmit rings, and empty all rings. The back end must be stopped. */
void ppfrag_queues_stop(struct rte_eth_dev *dev);

/** Reset the ring of a queue, and post receive buffers. */
void ppfrag_rxq_start(struct ppfrag_rxq *q);
void ppfrag_txq_start(struct ppfrag_txq *q);

/**
 * An epoch has begun. Where it is one of the rings, that of the queue is reset: packets in it are
 * given back, buffers are posted again. By the thread that drives the queue, in any process.
 *
 * @return false where the queue is stopped.
 */
bool ppfrag_rxq_renew(struct ppfrag_rxq *q);
bool ppfrag_txq_renew(struct ppfrag_txq *q);

/**
 * The ring of a vring number, whether a queue uses it or not: where the parts of it are, whatever
 * their layout.
 *
 * @return false where it is an idle ring, as the queue has not yet reset its own.
 */
bool ppfrag_vring_get(const struct rte_eth_dev *dev, uint16_t vring, struct virtq *vq);

/* virtio_queue_run.c */

/** Start or stop a queue of a started port. @return 0 or a negative errno, logged. */
int ppfrag_queue_run(struct rte_eth_dev *dev, bool rx, uint16_t queue_id, bool run);

/* The others are for the control thread, which drives queues that are stopped. */

/** Have the thread of a queue see that it is stopped, or runs. */
void ppfrag_vring_set_stopped(const struct rte_eth_dev *dev, uint16_t vring, bool stopped);

/** Whether a queue uses a ring, and is not stopped. */
bool ppfrag_vring_runs(const struct rte_eth_dev *dev, uint16_t vring);

/** Give the device some time to send what is in the ring of a stopped queue, if it works. */
void ppfrag_vring_settle(const struct rte_eth_dev *dev, uint16_t vring);

/**
 * The device leaves the ring of a stopped queue alone: forget what was received, and free what was
 * sent.
 *
 * @return whether the ring can stay with the device: it has no more to send, and is plain.
 */
bool ppfrag_vring_drop(const struct rte_eth_dev *dev, uint16_t vring);

/** The ring of a stopped queue is to be reset before anybody uses it. */
void ppfrag_vring_forget(const struct rte_eth_dev *dev, uint16_t vring);

/** Free what is in the ring of a stopped queue that no device has. */
void ppfrag_vring_drain(const struct rte_eth_dev *dev, uint16_t vring);

/** Have a stopped queue run again. @param ours whether its ring is no back end's */
void ppfrag_vring_start(const struct rte_eth_dev *dev, uint16_t vring, bool ours);

/* ppfrag_quarantine.c */

/**
 * Keep rings, posted buffers and packets in the rings from everybody, until the back end has closed
 * its side of a connection, which is closed then.
 */
void ppfrag_quarantine_add(struct rte_eth_dev *dev, int fd);

/** Give back what can be given back, if nobody else is at it. @return whether anything is left. */
bool ppfrag_quarantine_check(struct rte_eth_dev *dev);

/** Wait a little for the end of quarantine. */
void ppfrag_quarantine_wait(struct rte_eth_dev *dev);

/** End quarantine: pools, mbufs and memory of the port belong to the application now. */
void ppfrag_quarantine_flush(struct rte_eth_dev *dev);

/* ppfrag_rx.c */

uint16_t ppfrag_rx_burst(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** The same where a queue of the port has offloads. */
uint16_t ppfrag_rx_burst_offload(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** Post descriptors; those without memory wait in the starved list. */
void ppfrag_rx_post(struct ppfrag_rxq *q, const uint16_t *ids, uint16_t n);

/** One that was posted when the device used it has no memory: it waits in the starved list. */
void ppfrag_rx_lost(struct ppfrag_rxq *q, uint16_t id);

/** Wake the back end for what was posted. */
void ppfrag_rx_kick(struct ppfrag_rxq *q);

/** The same if the back end sleeps since before that; it is known for sure afterwards. */
void ppfrag_rx_settle(struct ppfrag_rxq *q);

/* ppfrag_rx_in_order.c */

/**
 * The used entry at a distance from used_idx, where the device works in order: the descriptor is
 * that of its place, the length is 0 where the device says nonsense. Entries are read once each, in
 * turn, and are what they were when they are looked at again.
 */
uint32_t ppfrag_in_order_len(struct ppfrag_rxq *q, uint16_t at);

/**
 * Post the descriptors that the device does not have, in the order of the ring, up to one for which
 * there is no page: that and those behind it wait.
 */
void ppfrag_in_order_post(struct ppfrag_rxq *q);

/* ppfrag_rx_slots.c */

/** As ppfrag_rx_burst(), of a queue that receives into slots. */
uint16_t ppfrag_rx_burst_slots(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** The same, with the virtio header in front of each packet. */
uint16_t ppfrag_rx_burst_slots_header(struct ppfrag_rxq *q, struct rte_mbuf **pkts,
		uint16_t nb_pkts);

/** Where the device shall write a packet and its header. @return NULL where there is no page */
char *ppfrag_slots_buffer(struct ppfrag_rxq *q, uint16_t id);

/* ppfrag_rx_lanes.c */

/** As ppfrag_rx_burst(), of a queue that receives into lanes. */
uint16_t ppfrag_rx_burst_lanes(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts);

/* ppfrag_rx_copy.c */

/** As ppfrag_rx_burst(), of a queue whose pool is not shared with the back end. */
uint16_t ppfrag_rx_burst_copy(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** The same, with the virtio header in front of each packet. */
uint16_t ppfrag_rx_burst_copy_header(struct ppfrag_rxq *q, struct rte_mbuf **pkts,
		uint16_t nb_pkts);

/* ppfrag_rx_packed.c */

/** As ppfrag_rx_burst_offload(), of a port that has packed rings where the back end has them. */
uint16_t ppfrag_rx_burst_packed(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** Read what the device has used into the image of a packed ring. */
void ppfrag_rx_packed_take(struct ppfrag_rxq *q);

/** Write what was offered in the image into the ring. */
void ppfrag_rx_packed_give(struct ppfrag_rxq *q);

/* ppfrag_tx.c */

uint16_t ppfrag_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** The same where a queue of the port has offloads. */
uint16_t ppfrag_tx_burst_offload(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** The same of a port that has packed rings where the back end has them. */
uint16_t ppfrag_tx_burst_packed(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** Free up to n packets that the device has sent, 0: all. Does nothing while a queue is stopped. */
int ppfrag_tx_done_cleanup(void *txq, uint32_t n);

/** The same, by whoever drives the queue. */
uint16_t ppfrag_tx_reclaim(struct ppfrag_txq *q, uint32_t n);

/** Free all packets in the ring, whether sent or not. The back end must be stopped. */
void ppfrag_tx_drain(struct ppfrag_txq *q);

/* ppfrag_sizes.c; what all devices use stands in ppfrag_offload.h */

/** As ppfrag_tx_burst_offload(), with that. */
uint16_t ppfrag_tx_burst_sizes(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/* ppfrag_state.c */

ppfrag_eth_queue_count_t ppfrag_rx_queue_count(void *rxq);
int ppfrag_rx_descriptor_status(void *rxq, uint16_t offset);
int ppfrag_tx_descriptor_status(void *txq, uint16_t offset);
int ppfrag_rx_burst_mode_get(struct rte_eth_dev *dev, uint16_t queue_id,
		struct rte_eth_burst_mode *mode);
int ppfrag_tx_burst_mode_get(struct rte_eth_dev *dev, uint16_t queue_id,
		struct rte_eth_burst_mode *mode);

/* ppfrag_notify.c */

/** The eventfds exist. @return 0 or a negative errno, logged. */
int ppfrag_notify_init(struct ppfrag_local *local);
void ppfrag_notify_fini(struct ppfrag_local *local);

/**
 * A back end that is gone has no hold on what comes now.
 *
 * @return 0 or a negative errno, logged.
 */
int ppfrag_notify_restart(struct ppfrag_local *local);

/** Wake the back end, if it is this process that can. Any thread. */
void ppfrag_kick(const struct ppfrag_dev *pd, uint16_t vring);

/** Add 1 to an eventfd, soon. Never waits, whatever others do with it. Any thread. */
void ppfrag_notify(struct ppfrag_notifier *n, struct ppfrag_event *event);

/* virtio_dma.c */

uint16_t ppfrag_rx_burst_dma(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts);
uint16_t ppfrag_tx_burst_dma(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts);
uint16_t ppfrag_tx_burst_dma_sizes(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** What the functions without "dma" do, of such queues. */
ppfrag_eth_queue_count_t ppfrag_rx_queue_count_dma(void *rxq);
int ppfrag_rx_descriptor_status_dma(void *rxq, uint16_t offset);
int ppfrag_tx_descriptor_status_dma(void *txq, uint16_t offset);
int ppfrag_tx_done_cleanup_dma(void *txq, uint32_t n);

/* ppfrag_intr.c */

/** Make local->call what receive interrupts of the queues come by. @return 0 or negative. */
int ppfrag_intr_init(struct ppfrag_local *local, uint16_t nb_queues);

/** Have the device raise interrupts of a queue, or not, as the application wants. */
void ppfrag_rx_intr_ask(struct ppfrag_rxq *q);

/** Ask for the next interrupt where the device has been told of one only. By whoever polls. */
void ppfrag_rx_intr_again(struct ppfrag_rxq *q);

/** Nobody can wait for interrupts any more. */
void ppfrag_intr_fini(struct ppfrag_local *local);

int ppfrag_rx_intr_enable(struct rte_eth_dev *dev, uint16_t queue_id);
int ppfrag_rx_intr_disable(struct rte_eth_dev *dev, uint16_t queue_id);

#endif /* _VIRTIO_H_ */
