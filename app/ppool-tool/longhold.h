/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _LONGHOLD_H_
#define _LONGHOLD_H_

/* What the two modes of 'longhold' share: options, packets that are held, and what these pin. */

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "app.h"
#include "json.h"
#include "longhold_load.h"
#include "port.h"

#define LONGHOLD_BURST 32u

struct longhold_conf {
	uint64_t packets;
	struct load load;
	uint64_t seed;
	struct uint_list pages; /* data rooms */
	uint64_t memory;        /* MB of each pool of such pages, where port.mbufs is 0 */
	struct uint_list lens;
	uint64_t lanes;
	bool live, keep;
	uint64_t wait; /* seconds without a packet */
	const char *label;
	struct port_conf port;
};

/** What there is between two bursts: X(name). Bytes, but for packet and live. */
#define LONGHOLD_SAMPLE(X) \
	X(packet)  /* by when */ \
	X(live)    /* packets that are held */ \
	X(wire)    /* their lengths */ \
	X(charged) /* their truesize */ \
	X(pinned)  /* that, and what nobody can use because of them */ \
	X(open)    /* of pinned, in pages that lanes still fill */ \
	X(posted)  /* buffers that the port has: not in pinned */ \
	X(reserve) /* what lcores keep at hand, and pages nobody uses: not in pinned */ \
	X(stock)   /* what the live take in stock mbufs */

struct longhold_sample {
#define LONGHOLD_SAMPLE_FIELD(name) uint64_t name;
	LONGHOLD_SAMPLE(LONGHOLD_SAMPLE_FIELD)
#undef LONGHOLD_SAMPLE_FIELD
};

struct longhold_ratio {
	double last, worst, sum;
	unsigned int n;
};

#define LONGHOLD_SAMPLES_MAX 1024u

/** Packets that are held in one run. All zero, but for name to conf. */
struct longhold {
	const char *name;
	uint32_t page; /* data room */
	const struct longhold_conf *conf;
	struct rte_mempool *mp;   /* where the packets come from */
	struct rte_mempool *keep; /* where ppool_keep() moves what is held, or NULL */
	struct held_heap held;
	uint64_t rng;
	uint64_t failed; /* packets for which there was no memory, or no slot to keep them */
	uint64_t pages;  /* most that were split at a time */
	uint64_t next;   /* number of the next sample */
	unsigned int rows;
	struct longhold_sample now;
	struct longhold_ratio to_charged, to_stock; /* of pinned, after the warm-up */
	unsigned int nb_series;
	struct longhold_sample series[LONGHOLD_SAMPLES_MAX];
};

/** A stock mbuf of default size in its mempool. */
uint32_t longhold_stock_bytes(void);

/** Packets until as many end as begin, but for the longest tails. */
double longhold_warm_up(const struct load *load);

/** Hold a packet until that one. @return 0, or -1 where there is no memory to note it. */
int longhold_hold(struct longhold *h, struct rte_mbuf *m, uint64_t due);

/** Free what is due, in bursts, in the order in which it is. */
void longhold_expire(struct longhold *h, uint64_t packet);

/** Sample if it is time to. @return 1 if so, else 0; -1 with a message printed. */
int longhold_look(struct longhold *h, uint64_t packet);

/** Title of the table, once: before the first row, and not where there is an error instead. */
void longhold_header_print(void);

void longhold_summary_print(const struct longhold *h);

/** Figures and series, as fields of the open JSON object. */
void longhold_json(const struct longhold *h, struct json *j);

/** Choose ways to make packets from a list. @return false with a message printed. */
bool longhold_ways(const char *list);

/** Packets are made, in each of these ways and pages. @return 0, or -1 with a message. */
int longhold_made(const struct longhold_conf *conf, struct json *j);

/** Packets are received. @return 0, or -1 with a message printed. */
int longhold_live(const struct longhold_conf *conf, struct json *j);

#endif /* _LONGHOLD_H_ */
