/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _VHOST_USER_H_
#define _VHOST_USER_H_

/**
 * @file
 * The vhost-user protocol, seen from the front end: requests over a unix socket.
 *
 * Control plane only, not thread safe. A handshake is all requests from vu_begin() on: together
 * they block up to VU_TIMEOUT_S, however the back end spreads its answers. All but vu_connect()
 * log what went wrong themselves and return a negative errno; the connection is then unusable.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** Memory regions a table can have. */
#define VU_MAX_REGIONS 8
/** How long a back end may take for a whole handshake. */
#define VU_TIMEOUT_S 5

/** Feature bit: there are protocol features. */
#define VU_F_PROTOCOL_FEATURES 30

/** Protocol feature bits. */
#define VU_PROTOCOL_F_MQ 0
#define VU_PROTOCOL_F_REPLY_ACK 3
#define VU_PROTOCOL_F_STATUS 16

/** X(name, number): the requests used here. */
#define VU_REQUESTS(X) \
	X(GET_FEATURES, 1) \
	X(SET_FEATURES, 2) \
	X(SET_OWNER, 3) \
	X(SET_MEM_TABLE, 5) \
	X(SET_VRING_NUM, 8) \
	X(SET_VRING_ADDR, 9) \
	X(SET_VRING_BASE, 10) \
	X(GET_VRING_BASE, 11) \
	X(SET_VRING_KICK, 12) \
	X(SET_VRING_CALL, 13) \
	X(GET_PROTOCOL_FEATURES, 15) \
	X(SET_PROTOCOL_FEATURES, 16) \
	X(GET_QUEUE_NUM, 17) \
	X(SET_VRING_ENABLE, 18) \
	X(SET_STATUS, 39) \
	X(GET_STATUS, 40)

enum vu_request {
#define VU_REQUEST_ENUM(name, number) VU_##name = number,
	VU_REQUESTS(VU_REQUEST_ENUM)
#undef VU_REQUEST_ENUM
};

/** A connection. */
struct vu {
	int fd;            /**< -1: none */
	const char *name;  /**< of the port, for messages */
	const char *path;  /**< of the socket, for messages */
	uint64_t protocol; /**< protocol features agreed on */
	uint64_t deadline; /**< of the handshake, in ms of vu_now() */
	int cancel_fd;     /**< a handshake ends when this can be read; -1: it does not */
	bool quiet;        /**< failures are no news */
};

/** A socket at which back ends connect. */
struct vu_server {
	int fd;    /**< -1: none */
	dev_t dev; /**< which file that is; ino 0: none yet */
	ino_t ino;
};

/** Memory that the back end may use; its addresses are ours. */
struct vu_region {
	uintptr_t addr;
	size_t len;
	uint64_t offset; /**< of addr in fd */
	int fd;
	dev_t dev; /**< which file that is: the number of a closed descriptor is used again */
	ino_t ino;
};

/** The time in ms, of a clock that nobody sets. */
uint64_t vu_now(void);

/** A handshake begins. */
void vu_begin(struct vu *vu);

/**
 * Connect. Waits for a back end that has others in its queue, unless this can be cancelled.
 *
 * @return 0 or a negative errno, unlogged: -ENAMETOOLONG where no socket can have this path.
 */
int vu_connect(struct vu *vu);

/** Use a connection that the back end has made. */
void vu_adopt(struct vu *vu, int fd);

/**
 * Listen at the path. What a process that has ended has left there is replaced.
 *
 * @return 0 or a negative errno, logged.
 */
int vu_server_open(struct vu_server *s, const struct vu *vu);

/** Stop listening, if it does, and remove the socket. */
void vu_server_close(struct vu_server *s, const struct vu *vu);

/** Use the connection that a back end has made. @return 0 or a negative errno, unlogged. */
int vu_server_accept(const struct vu_server *s, struct vu *vu);

/** Close the connection if there is one. */
void vu_close(struct vu *vu);

/** Whether the back end has closed the connection or talks unasked. */
bool vu_is_gone(const struct vu *vu);

/** Requests whose payload is one number. */
int vu_get(struct vu *vu, enum vu_request req, uint64_t *value);
int vu_set(struct vu *vu, enum vu_request req, uint64_t value);

/** SET_OWNER. */
int vu_set_owner(struct vu *vu);

/** SET_MEM_TABLE. */
int vu_set_mem_table(struct vu *vu, const struct vu_region *region, unsigned int n);

/** SET_VRING_NUM, SET_VRING_BASE, SET_VRING_ENABLE. */
int vu_set_vring(struct vu *vu, enum vu_request req, uint16_t vring, uint32_t value);

/** GET_VRING_BASE: the back end stops using this ring. */
int vu_stop_vring(struct vu *vu, uint16_t vring);

/** SET_VRING_ADDR. */
int vu_set_vring_addr(struct vu *vu, uint16_t vring, const void *desc, const void *avail,
		const void *used);

/** SET_VRING_KICK, SET_VRING_CALL. */
int vu_set_vring_fd(struct vu *vu, enum vu_request req, uint16_t vring, int fd);

#endif /* _VHOST_USER_H_ */
