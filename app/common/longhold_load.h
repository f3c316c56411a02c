/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _LONGHOLD_LOAD_H_
#define _LONGHOLD_LOAD_H_

/* How long packets are held, counted in packets, and which of those held are due next. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_mbuf.h>

#define LIFE_GROUPS_MAX 8u

enum life_kind {
	LIFE_PARETO, /**< long-tailed */
	LIFE_EXP,
};

/** How long the packets of one group are held. */
struct life {
	enum life_kind kind;
	double shape; /**< of LIFE_PARETO, above 1: below there is no mean */
	double scale; /**< LIFE_PARETO: the least lifetime; LIFE_EXP: the mean */
};

/**
 * Parse a comma-separated list of pareto:SHAPE:MIN and exp:MEAN.
 *
 * @return
 *   How many there are, 0 where the text is no such list of at most n.
 */
unsigned int life_parse(struct life *life, unsigned int n, const char *text);

/** Groups of packets that are held. */
struct load {
	unsigned int n;
	double share[LIFE_GROUPS_MAX]; /**< percent of all packets */
	struct life life[LIFE_GROUPS_MAX];
};

/**
 * Parse --share and --life of a command: percentages, and for each how long such packets are held.
 *
 * @return
 *   Whether they are sound and fit together; a message tells if not.
 */
bool load_options(struct load *load, const char *command, const char *share, const char *life);

/** The mean lifetime of a group. */
double life_mean(const struct life *life);

/** The longest mean lifetime of a group. */
double load_mean_max(const struct load *load);

/** A random lifetime of a group, at least 1. */
uint64_t life_draw(const struct life *life, uint64_t *rng);

/** How many packets are held on average, once as many end as begin. */
double load_mean_live(const struct load *load);

/** How long a packet is held; 0: not at all. */
uint64_t load_draw(const struct load *load, uint64_t *rng);

/** A number from 0 to below 1. */
double load_random(uint64_t *rng);

/** A packet that is held. */
struct held_packet {
	uint64_t due; /**< the number of the packet before which it is freed */
	struct rte_mbuf *m;
	uint32_t truesize;
};

/** Held packets, what is due first on top: a heap. All zero: empty. */
struct held_heap {
	struct held_packet *packet;
	size_t n, room;
};

/** @return 0, or -1 where there is no memory for one more. */
int held_heap_push(struct held_heap *h, struct held_packet packet);

/** Take the packet that is due first; there is one. */
struct held_packet held_heap_pop(struct held_heap *h);

#endif /* _LONGHOLD_LOAD_H_ */
