/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _XSK_H_
#define _XSK_H_

/**
 * @file
 * The device that is a kernel interface, by AF_XDP.
 *
 *   xsk_device.c   its operations
 *   xsk_netdev.c   the interface: addresses, MTU, flags, channels
 *   xsk_link.c     the link: its state, and what becomes of the interface
 *   xsk_gate.c     keeping bursts off queues whose sockets are made anew
 *   xsk_prog.c     the program that hands packets to sockets
 *   xsk_elf.c      the same of the user's own, from a file
 *   xsk_umem.c     the memory of a pool, registered once
 *   xsk_socket.c   a socket and its four rings
 *   xsk_queue.c    queues: set up, open, close
 *   xsk_intr.c     receive interrupts
 *   xsk_rx.c       receive path
 *   xsk_rx_lanes.c the same into lanes
 *   xsk_rx_copy.c  the same out of a umem of the driver's own
 *   xsk_rx.h       what both ways share
 *   xsk_tx.c       transmit path
 *   xsk_uapi.h     what old kernel headers do not name
 *
 *      fill ring   --> kernel copies a frame into the slot --> receive ring --> application
 *      (posted slots)                                                               |
 *      completions <-- kernel has sent it <-- transmit ring <------- mbuf, wherever in the umem
 *
 * The kernel sees the memory of a pool as one range, the umem, in chunks that start anywhere. It
 * writes behind 256 bytes and a headroom: a chunk is posted so that this is where the data of a
 * slot starts, and lies over what is in front, of which nothing is written. What it may write, the
 * frame, is no longer than the room of the slot.
 *
 * All of this lives in the process that made the port.
 */

#include <pthread.h>

#include "../ppfrag_queue.h"
#include "xsk_uapi.h"

/** Bytes that the kernel leaves in front of every packet. */
#define XSK_KERNEL_HEADROOM 256u
/** Bytes of a chunk: the least there is. */
#define XSK_CHUNK 2048u
/** The longest part of a packet in one chunk: a frame of MTU 1500 with tags. */
#define XSK_FRAME_MAX 1536u
/** Chunks of one packet, either direction: what a packet of the kernel can consist of. */
#define XSK_MAX_CHUNKS 17u
/** The longest frame. */
#define XSK_MAX_FRAME_LEN (XSK_MAX_CHUNKS * XSK_FRAME_MAX)

/** One side of a ring. Positions run on; what is at one is found by the mask. */
struct xsk_ring {
	uint32_t *producer;
	uint32_t *consumer;
	uint32_t *flags;
	void *desc;
	uint32_t mask;
	uint32_t pos; /**< where we are: the next entry to write, or to read */
	void *map;
	size_t map_len;
};

/**
 * The memory of a pool, for all sockets of this process that use it; or that of one socket, which
 * packets are copied out of and into.
 */
struct xsk_umem {
	struct rte_mempool *mp; /**< NULL: the memory is the umem's own */
	char *addr;
	uint64_t len;
	uint32_t headroom; /**< behind that of the kernel */
	uint32_t frame;    /**< what the kernel writes at most */
	uint32_t meta;     /**< bytes in front of what is sent that may ask for a checksum, or 0 */
	bool sg;           /**< packets may take several chunks */
	bool gaps;         /**< there is other memory between the chunks of the mempool */
	struct xsk_socket *bound;
	unsigned int nb_users;
	struct xsk_umem *next;
};

/** A socket for one queue of an interface. */
struct xsk_socket {
	int fd;
	uint32_t ifindex;
	uint32_t queue; /**< of the interface */
	struct xsk_umem *umem;
	struct xsk_ring fill, rx, tx, done;
	struct xsk_socket *next; /**< bound one of the umem */
	bool is_bound;
	bool in_map;
	bool zero_copy;
};

/** What to make a socket for. */
struct xsk_socket_conf {
	const char *name; /**< of the port */
	const char *iface;
	uint32_t ifindex;
	uint32_t queue;
	struct rte_mempool *mp; /**< NULL: with memory of its own */
	uint32_t frame;         /**< what the kernel may write into a chunk of that at most */
	uint32_t rx_size;
	uint32_t tx_size;
	uint16_t busy_budget;
	bool force_copy;
	bool hasty; /**< not to wait for a queue that is busy */
};

/** Between the thread that drives a queue and one that makes its socket anew, see xsk_gate.c. */
struct xsk_gate {
	bool inside; /**< a burst is running; atomic */
	bool shut;   /**< none may begin; atomic */
};

/** A receive queue. */
struct xsk_rxq {
	struct ppfrag_rxq q; /* first: this is what ethdev has */
	struct xsk_gate gate;
	bool runs;               /**< packets are to arrive: the queue is started */
	struct xsk_socket *sock; /**< NULL: not open */
	struct xsk_ring fill;
	struct xsk_ring rx;
	char *umem;         /**< address of offset 0 */
	uint64_t last_base; /**< largest offset of a chunk */
	uint32_t lead;      /**< from the start of a chunk to the data */
	uint32_t frame;
	uint32_t tail;              /**< position in the fill ring of what comes back next */
	struct rte_mbuf *aside;     /**< slots that cannot be posted */
	bool copies;                /**< out of memory of its own */
	bool busy;                  /**< poll the interface with system calls */
	bool wakeup;                /**< the kernel may want to be told of what is posted */
	struct ppool_carver *jumbo; /**< with lanes: for packets of several chunks; or NULL */
	uint16_t *lane; /**< with lanes, or copies: which one, by position in the fill ring */
};

/** A descriptor that the kernel has. */
struct xsk_flight {
	uint64_t addr;
	struct rte_mbuf *m; /**< to be freed with it; NULL: there are more of this packet */
};

/** A transmit queue. */
struct xsk_txq {
	struct ppfrag_txq q; /* first: this is what ethdev has */
	struct xsk_gate gate;
	struct xsk_socket *sock; /**< NULL: not open */
	struct xsk_ring tx;
	struct xsk_ring done;
	const struct ppfrag_rxq *slots; /**< queue whose slots packets are copied into */
	struct rte_mempool *copy_pool;  /**< these, where that queue has lanes; else NULL */
	uint32_t max_copy;              /**< the longest one */
	char *umem;
	uint64_t umem_len;
	bool copies;                    /**< packets, into memory of its own, */
	uint64_t own;                   /**< which is at this offset */
	const struct rte_mempool *gaps; /**< the pool, if it has gaps; or NULL */
	uint32_t tail;                  /**< of flight: the oldest one */
	uint16_t max_chunks;
	uint16_t max_piece; /**< of data, by one descriptor */
	uint16_t meta;      /**< as that of the umem */
	struct xsk_flight flight[];
};

/** The program on an interface. */
struct xsk_prog {
	uint32_t ifindex;
	int map_fd;
	int link_fd;
	bool skb;  /**< in generic mode */
	bool gone; /**< with its interface: not for further ports */
	char file[sizeof(((struct ppfrag_xsk_conf *)0)->prog)];
	unsigned int nb_users;
	struct xsk_prog *next;
};

/** What only the primary process has, in process_private. */
struct xsk_local {
	pthread_mutex_t ctl;  /**< of making and closing sockets; taken before the other one */
	pthread_mutex_t lock; /**< of sockets, against those who ask for statistics; of the link */
	int ctl_fd;           /**< for ioctl() */
	int packet_fd;        /**< whose memberships keep the interface promiscuous */
	uint32_t ifindex;
	uint16_t mtu; /**< that sockets were opened for */
	struct xsk_prog *prog;
	struct xsk_socket *sock[PPFRAG_MAX_PAIRS];
	struct rte_intr_handle *intr;
	int intr_fd[PPFRAG_MAX_PAIRS]; /**< what is waited for, by receive queue */
	bool intr_on[PPFRAG_MAX_PAIRS];
	int ready_fd; /**< always readable */
	struct rte_intr_handle *link_intr;
	int link_fd; /**< netlink */
	bool link_watched;
	bool runs;            /**< the port is started; under the lock */
	uint16_t told_status; /**< of the link, to the application; under the lock */
	bool has_gates;       /**< bursts can be kept off queues */
	bool told_back;       /**< that there is an interface of that name again */
	bool gone;            /**< the interface that sockets were opened for; atomic */
	bool detached;        /**< its sockets are closed, and the gates shut; under ctl */
	uint64_t detach_at;   /**< when they are to be, as rte_get_timer_cycles() */
	uint32_t tried;       /**< the interface that sockets were last made for in vain; 0: none */
	uint32_t retry_ms;    /**< until the next attempt */
	uint64_t retry_at;    /**< not before */
	uint64_t gone_missed; /**< by sockets that are closed */
	uint64_t gone_no_chunk;
	uint64_t base_missed; /**< at the latest reset */
	uint64_t base_no_chunk;
};

static inline struct xsk_local *
xsk_local(const struct rte_eth_dev *dev)
{
	return dev->process_private;
}

/** Entries that the kernel has written and we have not read. */
static inline uint32_t
xsk_ring_ready(const struct xsk_ring *r)
{
	return __atomic_load_n(r->producer, __ATOMIC_ACQUIRE) - r->pos;
}

/** The kernel may overwrite what we have read. */
static inline void
xsk_ring_consume(const struct xsk_ring *r)
{
	__atomic_store_n(r->consumer, r->pos, __ATOMIC_RELEASE);
}

/** The kernel may read what we have written. */
static inline void
xsk_ring_publish(const struct xsk_ring *r)
{
	__atomic_store_n(r->producer, r->pos, __ATOMIC_RELEASE);
}

static inline bool
xsk_ring_wants_wakeup(const struct xsk_ring *r)
{
	return (__atomic_load_n(r->flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP) != 0;
}

static inline struct xdp_desc *
xsk_ring_desc(const struct xsk_ring *r, uint32_t pos)
{
	return &((struct xdp_desc *)r->desc)[pos & r->mask];
}

static inline uint64_t *
xsk_ring_addr(const struct xsk_ring *r, uint32_t pos)
{
	return &((uint64_t *)r->desc)[pos & r->mask];
}

/* xsk_netdev.c: of the interface of a port. What returns int returns 0 or a negative errno. */

/** Find it, and note its address. Logged. Where it fails, too, call xsk_netdev_close(). */
int xsk_netdev_open(struct rte_eth_dev *dev);
void xsk_netdev_close(struct rte_eth_dev *dev);

/** The interface that has the name now: another one where it was deleted and made again. Logged. */
int xsk_netdev_find(struct rte_eth_dev *dev, uint32_t *ifindex);

int xsk_netdev_mtu_get(const struct rte_eth_dev *dev, uint32_t *mtu);
/** Logged. */
int xsk_netdev_mtu_set(struct rte_eth_dev *dev, uint32_t mtu);
int xsk_netdev_mac_set(struct rte_eth_dev *dev, const struct rte_ether_addr *mac);
int xsk_netdev_promiscuous(struct rte_eth_dev *dev, bool on);
int xsk_netdev_allmulticast(struct rte_eth_dev *dev, bool on);
/** Of the interface that has the name now; 0: there is none. Not logged. */
uint32_t xsk_netdev_index(const struct rte_eth_dev *dev);
/** Whether frames can pass. */
bool xsk_netdev_is_up(const struct rte_eth_dev *dev);
/** Whether it was set up, whatever its peer or cable says. */
bool xsk_netdev_is_set_up(const struct rte_eth_dev *dev);
/** Have the interface of now in the modes that the port is in; under the lock ctl. */
int xsk_netdev_modes_renew(struct rte_eth_dev *dev);
/** Warn where the kernel spreads packets over more queues than the port has. */
void xsk_netdev_check_channels(const struct rte_eth_dev *dev);

/* xsk_link.c */

/** Have the link watched. Logged. Where it fails, too, call xsk_link_fini(). */
int xsk_link_init(struct rte_eth_dev *dev);
void xsk_link_fini(struct rte_eth_dev *dev);

/** The port is started, or stopped, which is a link that is down. */
void xsk_link_run(struct rte_eth_dev *dev, bool run);

/** Look at the link. @return 0 if it has changed */
int xsk_link_update(struct rte_eth_dev *dev);

/** Whether the interface that sockets were opened for is gone. */
bool xsk_link_is_gone(const struct xsk_local *local);

/* xsk_gate.c */

/** Have it possible that gates are shut. @return false where the kernel cannot do that */
bool xsk_gates_init(void);

/** Wait until no burst runs, of any queue of the port, and have none begin. */
void xsk_gates_shut(const struct rte_eth_dev *dev);
void xsk_gates_open(const struct rte_eth_dev *dev);

/** A burst begins. @return false where it may not: the queue is not to be touched */
static inline bool
xsk_gate_enter(struct xsk_gate *g)
{
	__atomic_store_n(&g->inside, true, __ATOMIC_RELAXED);
	/* What orders this for the processor is the system call of who shuts the gate. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (likely(!__atomic_load_n(&g->shut, __ATOMIC_ACQUIRE)))
		return true;
	__atomic_store_n(&g->inside, false, __ATOMIC_RELEASE);
	return false;
}

/** It ends. */
static inline void
xsk_gate_leave(struct xsk_gate *g)
{
	__atomic_store_n(&g->inside, false, __ATOMIC_RELEASE);
}

/* xsk_device.c */

/** Close the sockets of an interface that is gone. */
void xsk_device_detach(struct rte_eth_dev *dev);

/** Make those of the interface that has the name now. @return 0 or a negative errno, logged. */
int xsk_device_resume(struct rte_eth_dev *dev);

/* xsk_prog.c */

/**
 * Have the program on an interface, for a port. Ports of the same interface share it.
 *
 * @param mode
 *   enum ppfrag_xdp_mode
 * @param sg
 *   Packets may take several chunks.
 * @return NULL with errno, logged.
 */
struct xsk_prog *xsk_prog_get(const struct ppfrag_dev *pd, uint32_t ifindex, uint8_t mode, bool sg);
void xsk_prog_put(struct xsk_prog *p);

/** Its interface is gone; one that comes back can have the same number. NULL is ignored. */
void xsk_prog_set_gone(struct xsk_prog *p);

/** Hand the packets of a queue to a socket, or again to the kernel (fd -1). */
int xsk_prog_set(const struct xsk_prog *p, uint32_t queue, int fd);

/* xsk_elf.c */

/** What was loaded from a file. */
struct xsk_elf {
	int prog_fd;
	int map_fd;
};

/** Load pd->xsk.prog. @param sg packets may take several chunks @return 0 or -errno, logged */
int xsk_elf_load(const struct ppfrag_dev *pd, bool sg, struct xsk_elf *elf);

/* xsk_umem.c */

/** What the kernel can write at most into a slot that is posted for it; 0: there are no slots. */
uint32_t xsk_umem_frame(struct rte_mempool *mp);

/** Whether the kernel completes checksums where it copies what is sent. */
bool xsk_umem_takes_meta(void);

/** Why the memory of a pool can be no umem; NULL: it can be one, as far as one can see. */
const char *xsk_umem_misfit(struct rte_mempool *mp);

/**
 * The umem of a pool, registered for a socket if it is the first one.
 *
 * @return NULL with errno, logged.
 */
struct xsk_umem *xsk_umem_get(const char *name, struct rte_mempool *mp, int fd);

/**
 * One of so many chunks of its own, of frames of this length, for this socket alone.
 *
 * @return NULL with errno, logged.
 */
struct xsk_umem *xsk_umem_get_own(const char *name, uint32_t nb_chunks, uint32_t frame, int fd);
void xsk_umem_put(struct xsk_umem *u);

/* xsk_socket.c */

/**
 * Make a socket with its rings. It has no packets before xsk_socket_bind().
 *
 * @return NULL with errno, logged.
 */
struct xsk_socket *xsk_socket_open(const struct xsk_socket_conf *conf);

/** Bind it to its queue. What is in the fill ring can be written from here on. Logged. */
int xsk_socket_bind(struct xsk_socket *s, const struct xsk_socket_conf *conf);

/** After this the kernel writes into none of its chunks. NULL is ignored. */
void xsk_socket_close(struct xsk_socket *s);

/**
 * Between these, a socket is made and bound, or closed again: another one could share the umem of
 * one that is neither. Not to be held by a thread that waits for xsk_local.ctl.
 */
void xsk_umems_lock(void);
void xsk_umems_unlock(void);

/** What the kernel dropped for want of room, and how often no chunk was posted. */
void xsk_socket_stats(const struct xsk_socket *s, uint64_t *missed, uint64_t *no_chunk);

/* xsk_queue.c */

int xsk_rxq_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc,
		unsigned int socket_id, const struct rte_eth_rxconf *conf, struct rte_mempool *mp);
int xsk_txq_setup(struct rte_eth_dev *dev, uint16_t queue_id, uint16_t nb_desc,
		unsigned int socket_id, const struct rte_eth_txconf *conf);

/** Make the sockets that the queues of a port do not have yet. Logged. */
int xsk_queues_open(struct rte_eth_dev *dev);

/** Close all of them. What was posted, or not sent, is given back. */
void xsk_queues_close(struct rte_eth_dev *dev);

/* xsk_intr.c */

/** Make what applications wait for. Logged. Where it fails, too, call xsk_intr_fini(). */
int xsk_intr_init(struct rte_eth_dev *dev);
void xsk_intr_fini(struct rte_eth_dev *dev);

/** Wait for the sockets that a port has now. @return 0 or a negative errno */
int xsk_intr_renew(struct rte_eth_dev *dev);

int xsk_intr_enable(struct rte_eth_dev *dev, uint16_t queue_id);
int xsk_intr_disable(struct rte_eth_dev *dev, uint16_t queue_id);

/* xsk_rx.c */

uint16_t xsk_rx_burst(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** The same where all queues of the port have lanes. In xsk_rx_lanes.c. */
uint16_t xsk_rx_burst_lanes(void *rxq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** Post as many slots, or lanes, as the fill ring takes and the pool has. */
void xsk_rx_post_all(struct xsk_rxq *x);

/** Free slots that were kept as they cannot be posted. */
void xsk_rx_aside_free(struct xsk_rxq *x);

/** Post again what was received and not polled. */
void xsk_rx_discard(struct xsk_rxq *x);

/** The same where the queue has a umem of its own: by xsk_rx_burst() and xsk_rx_burst_lanes(). */
uint16_t xsk_rx_burst_copy(struct xsk_rxq *x, struct rte_mbuf **pkts, uint16_t nb_pkts);

/* xsk_tx.c */

uint16_t xsk_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts);

/** The same that counts packets by size, for size_stats=1. */
uint16_t xsk_tx_burst_sizes(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts);

int xsk_tx_done_cleanup(void *txq, uint32_t n);

/** Give the kernel some time to send what it has. */
void xsk_tx_wait(struct xsk_txq *x);

/** Free all packets. The socket is closed. */
void xsk_tx_drain(struct xsk_txq *x);

#endif /* _XSK_H_ */
