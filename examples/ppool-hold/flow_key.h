/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef FLOW_KEY_H
#define FLOW_KEY_H

#include <stdint.h>

#include <rte_mbuf.h>

struct endpoint {
	uint8_t addr[16];
	uint16_t port;
};

/* The same for both directions. Whole words without padding, as that is what rte_jhash() reads. */
struct flow_key {
	struct endpoint end[2]; /* in ascending order */
	uint32_t proto;         /* IPPROTO_TCP, IPPROTO_UDP, 0 for others and IP fragments */
};

/* The key of a packet's flow. What a packet does not have is zero. */
void flow_key_read(const struct rte_mbuf *m, struct flow_key *key);

#endif /* FLOW_KEY_H */
