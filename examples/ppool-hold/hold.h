/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef HOLD_H
#define HOLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#define HOLD_BURST 32

TAILQ_HEAD(packet_list, packet);

/* Who holds packets: an account, and the packets charged to it. */
struct holder {
	char name[8];
	uint64_t limit; /* bytes */
	uint16_t account;
	struct packet_list held; /* the one charged first comes first */
	uint64_t nb_held;
	uint64_t delivered;
	uint64_t refusals;       /* of the account */
	uint64_t dropped_oldest; /* held before, to make room */
	uint64_t dropped_new;    /* not held at all */
};

/* Flows that are new, of which a scan makes many, take nothing from those that are established. */
enum { NEW, TCP, UDP, OTHER, NB_HOLDERS };

extern struct holder holders[NB_HOLDERS];

struct hold_conf {
	uint64_t idle_ms; /* a flow ends after so long without a packet */
	uint64_t depth;   /* so many packets of a flow are delivered at once */
	bool drop_new;    /* where an account is full; else its oldest */
	bool keep;        /* in slots of their size, wherever they were received */
};

/* The limits of all holders. */
uint64_t hold_budgets(void);

/* Accounts and tables, for packets of a pool with ops ppfrag. 0 or a negative errno. */
int hold_start(struct rte_mempool *mp, const struct hold_conf *conf);

/* Hold packets that have arrived, HOLD_BURST at most. */
void hold_burst(struct rte_mbuf **m, uint16_t n, uint64_t tsc);

/* What is to be done from time to time: flows that are idle end, packets held are compacted. */
void hold_tick(uint64_t tsc);

/* Bytes of pages that compaction has freed. */
int64_t hold_compacted(void);

/* Let everything go. How many accounts are charged for something nevertheless. */
int hold_stop(void);

#endif /* HOLD_H */
