/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _DUT_H_
#define _DUT_H_

/* A port of net_ppfrag with a vhost_peer as its back end: tests write every entry of its rings. */

#include <stdbool.h>
#include <stdint.h>

#include <rte_ethdev.h>

#include "unit.h"
#include "vhost_peer.h"

#define DUT_NAME "net_ppfrag_dut"

struct dut_conf {
	bool copy;          /* the pool is where the back end cannot reach it: packets are copied */
	bool no_protocol;   /* the back end has no protocol features: it cannot disable rings */
	bool no_mrg;        /* without mergeable buffers: the back end has none */
	bool declined;      /* the same: the port does not want them */
	bool legacy;        /* the back end is one from before virtio 1.0 */
	bool lanes;         /* receive into frags, not into slots */
	bool density;       /* into slots, with that preset */
	bool scatter;       /* deliver frames longer than a page as chains */
	bool packed;        /* packed rings, if the back end has them */
	bool in_order;      /* which uses them in order */
	bool no_packed;     /* it has none */
	bool no_aio;        /* io_setup() is refused to the driver */
	bool size_stats;    /* count packets by size */
	bool lsc;           /* have changes of the link reported */
	bool rx_interrupts; /* have interrupts for received packets */
	uint16_t pairs;     /* queue pairs; 0: 1 */
	uint32_t rx_deferred; /* queues that are not started with the port, as bits */
	uint32_t tx_deferred;
	uint16_t ring; /* descriptors of either ring; 0: 64 */
	uint16_t rxd;  /* descriptors that are asked for to receive; 0: as ring */
	uint16_t mtu;  /* 0: 1500 */
	uint16_t free_thresh;
	uint64_t features;    /* that the back end offers besides what the others take */
	uint64_t rx_offloads; /* besides scatter */
	uint64_t tx_offloads;
	const char *devargs; /* more of them; NULL: none */
	uint32_t pages;      /* 0: 512 */
	uint32_t page_size;  /* 0: 2176 */
};

struct dut {
	uint16_t port;
	bool first_deferred; /* a queue of the first pair */
	uint64_t features;   /* that every back end of this port needs */
	uint64_t version;    /* features by which back ends say which they are */
	uint32_t hdr_len;    /* of what stands in front of frames */
	struct rte_mempool *mp;
	struct vhost_peer *peer;
	struct vhost_ring *rx, *tx; /* as the driver sees them */
	uint32_t buf_len;           /* of the buffers it posts */
	uint64_t packed;            /* of the layout of rings, that back ends offer */
	char dir[32], path[48];
};

extern struct dut dut;

int dut_setup(void **state);
int dut_teardown(void **state);

#define DUT_TEST(f) cmocka_unit_test_setup_teardown(f, dut_setup, dut_teardown)

/** Make the port with its pool and its back end, and start it. */
void dut_start(const struct dut_conf *conf);

/** The same with a pool of the test's own. */
void dut_start_pool(const struct dut_conf *conf, struct rte_mempool *mp);

/** Configure the stopped port anew and start it. @return 0 or a negative errno. */
int dut_configure(const struct dut_conf *conf);

/** Stop and start the port: its rings are as new. */
void dut_restart(void);

/** Configure and start the port, as dut_start() does. */
void dut_start_port(const struct dut_conf *conf);

/** End the back end, or start another one. */
void dut_stop_peer(void);
void dut_start_peer(bool no_mrg);

/** The same, one that offers these features. */
void dut_start_peer_with(uint64_t features);

/** End the back end, and wait until the port has noticed. */
void dut_lose_peer(void);

/** Poll all queues once, as an application that frees what it receives. */
void dut_poll_queues(void);

/** Poll them until the link is up. */
void dut_poll_until_up(void);

/** Another back end takes the place of the one there is, for a port that starts then. */
void dut_replace_peer(void);

/** Wait until the back end has rings, and look where they are. */
void dut_look_at_rings(void);

/** Close the port and its back end, check and free the pool. */
void dut_stop(void);

/** A counter of the port. */
uint64_t dut_xstat(const char *name);

/** Whether packets are copied. */
bool dut_copies(void);

/** A correct back end takes all packets of the transmit ring. @return how many. */
unsigned int dut_tx_consume(void);

/** Exchange frames: a correct back end sends n of that length, all of them arrive. */
void dut_exchange(unsigned int n, uint32_t len);

#endif /* _DUT_H_ */
