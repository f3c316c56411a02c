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

#include "app.h"

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

/**
 * Parse --life of a command, where --share has the percent of the packets that each group is.
 *
 * @return
 *   Whether there is one for each and they are 100 percent at most; a message tells if not.
 */
bool life_options(const char *command, struct life *life, const char *text,
		const struct uint_list *shares);

/** The mean lifetime. */
double life_mean(const struct life *life);

/** A random lifetime, at least 1. */
uint64_t life_draw(const struct life *life, uint64_t *rng);

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
