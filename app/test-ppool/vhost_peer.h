/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _VHOST_PEER_H_
#define _VHOST_PEER_H_

/*
 * A vhost-user back end of a few queue pairs for tests. A thread of its own follows the protocol;
 * what happens in the rings is up to the test, which can break every rule there. Memory that the
 * driver shares is mapped a second time: what the peer writes is not seen by sanitizers.
 */

#include <stdbool.h>
#include <stdint.h>

#define VHOST_F_MRG_RXBUF (UINT64_C(1) << 15)
#define VHOST_F_MQ (UINT64_C(1) << 22)
#define VHOST_F_ANY_LAYOUT (UINT64_C(1) << 27)
#define VHOST_F_INDIRECT_DESC (UINT64_C(1) << 28)
#define VHOST_F_EVENT_IDX (UINT64_C(1) << 29)
#define VHOST_F_PROTOCOL (UINT64_C(1) << 30)
#define VHOST_F_VERSION_1 (UINT64_C(1) << 32)
#define VHOST_F_PACKED (UINT64_C(1) << 34)
#define VHOST_F_IN_ORDER (UINT64_C(1) << 35)
#define VHOST_F_RING_RESET (UINT64_C(1) << 40)

/** What stands in front of every frame, and of a back end without VERSION_1 and MRG_RXBUF. */
#define VHOST_HDR_LEN 12u
#define VHOST_SHORT_HDR_LEN 10u

/** Queue pairs that a back end with VHOST_F_MQ has. */
#define VHOST_PAIRS 4u

/** Rings of the first pair, as the driver sees them; two more for each pair. */
enum { VHOST_RX, VHOST_TX };

struct vhost_desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

struct vhost_avail {
	uint16_t flags;
	uint16_t idx;
	uint16_t ring[];
};

struct vhost_entry {
	uint32_t id;
	uint32_t len;
};

struct vhost_used {
	uint16_t flags;
	uint16_t idx;
	struct vhost_entry ring[];
};

/** A descriptor of a packed ring. */
struct vhost_packed {
	uint64_t addr;
	uint32_t len;
	uint16_t id;
	uint16_t flags;
};

/** What stands where a packed ring has its event suppression. */
enum { VHOST_EVENT_ENABLE, VHOST_EVENT_DISABLE };

struct vhost_event {
	uint16_t position;
	uint16_t flags;
};

struct vhost_taken;

/**
 * Calls that follow do the same with packed rings, which hold entries themselves: positions count
 * descriptors there. desc is then what the back end knows of each buffer that it has, by id.
 */
struct vhost_ring {
	uint16_t num;
	bool enabled;
	struct vhost_desc *desc;
	struct vhost_avail *avail;
	struct vhost_used *used;
	struct vhost_packed *packed; /**< NULL: a split ring */
	struct vhost_event *driver;  /**< of a packed one: what the driver wants to be told */
	struct vhost_event *device;  /**< what the back end wants to be told */
	struct vhost_taken *taken;   /**< chains that the back end has */
	uint16_t next_avail, next_used;
	int kick; /**< eventfd by which the driver wakes the back end; -1: none yet */
};

struct vhost_peer;

/** Listen on a socket and serve one connection after another. @return NULL with errno. */
struct vhost_peer *vhost_peer_start(const char *path, uint64_t features);

void vhost_peer_stop(struct vhost_peer *p);

/** Wait until the driver has started both rings of the first pair. @return whether it has. */
bool vhost_peer_wait(struct vhost_peer *p);

/** Wait until the driver has enabled a ring, or disabled it. @return whether it has. */
bool vhost_peer_wait_ring(struct vhost_peer *p, unsigned int i, bool enabled);

/** How often the driver has taken a ring back. */
unsigned int vhost_peer_taken(struct vhost_peer *p);

/** Whether a ring was ever enabled. */
bool vhost_peer_had(struct vhost_peer *p, unsigned int i);

/** Answer no more requests about rings, until the connection ends. */
void vhost_peer_mute(struct vhost_peer *p);

/** The features that the driver has agreed to. */
uint64_t vhost_peer_acked(struct vhost_peer *p);

/** The length of the header in front of frames that this leads to. */
uint32_t vhost_peer_hdr_len(const struct vhost_peer *p);

/** A ring of a started driver. */
struct vhost_ring *vhost_peer_ring(struct vhost_peer *p, unsigned int i);

/** Memory at an address of the driver, NULL where any byte of it is not shared. */
void *vhost_peer_at(const struct vhost_peer *p, uint64_t addr, uint32_t len);

/** Chains of descriptors that the driver has posted. */
uint16_t vhost_ring_pending(struct vhost_ring *r);

/** The head of the next of them. There is one. */
uint16_t vhost_ring_take(struct vhost_ring *r);

/** Write a used entry behind those that are published; ahead counts from there. */
void vhost_ring_put(struct vhost_ring *r, uint16_t ahead, uint32_t id, uint32_t len);

/** Where the back end asks to be woken, and where the driver asks for an interrupt. */
void vhost_ring_set_avail_event(struct vhost_ring *r, uint16_t event);
uint16_t vhost_ring_used_event(const struct vhost_ring *r);

/** Publish entries, or more than there are; of a packed ring, no more than it has descriptors. */
void vhost_ring_publish(struct vhost_ring *r, uint16_t n);

/** Give back all packets that the driver sends by a ring. @return how many. */
uint16_t vhost_ring_consume(struct vhost_ring *r);

/** As vhost_peer_send(), by any ring that receives. */
bool vhost_peer_send_by(struct vhost_peer *p, struct vhost_ring *r, const void *frame,
		uint32_t len);

/** As a device that works in order: of so many entries of a packed ring, publish the last only. */
void vhost_ring_publish_last(struct vhost_ring *r, uint16_t n);

/** The most entries that can be written: those of a packed ring overwrite descriptors. */
uint16_t vhost_ring_room(struct vhost_ring *r);

/** The used entry at a place of the ring, whatever is there. */
uint32_t *vhost_ring_len_at(const struct vhost_ring *r, uint16_t place);
void vhost_ring_set_id_at(const struct vhost_ring *r, uint16_t place, uint32_t id);

/** Rubbish over all that both sides write, but for what tells how far they are. */
void vhost_ring_scribble(const struct vhost_ring *r, int byte);

/** Fill buffers with a frame, and write their entries. @return how many, 0: too few are posted. */
uint16_t vhost_peer_fill(struct vhost_peer *p, const void *frame, uint32_t len);

/**
 * Send a frame in as many buffers as it takes, as a correct back end does.
 *
 * @return false where too few are posted.
 */
bool vhost_peer_send(struct vhost_peer *p, const void *frame, uint32_t len);

#endif /* _VHOST_PEER_H_ */
