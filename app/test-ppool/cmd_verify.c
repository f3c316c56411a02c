/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>

#include <ppool.h>

#include "commands.h"
#include "pool.h"
#include "port.h"

/*
 * Does anybody write where packets are held? Receives frames that have a number, their length and a
 * pattern, as tests/xsk_frames.py makes them, holds some, overwrites what lies around their data,
 * which is the application's, and looks at all of it again before they are freed.
 */

#define VERIFY_BURST 32
#define FRAME_TYPE 0x88b5 /* for experiments */
#define FRAME_MIN 22
#define PATTERN_STEP 7
#define HEADROOM_BYTE 0x5a
#define TAILROOM_BYTE 0xa5
/* What frames are sent back from: mbufs of another pool, of so much room. */
#define REFLECT_MBUFS 1023
#define REFLECT_ROOM (RTE_PKTMBUF_HEADROOM + 512)
/* Nothing comes for so long: all is held that can be. */
#define DRY_MS 300

static struct port_conf port_conf = PORT_CONF_DEFAULT;
static uint64_t packets = 10000;
static uint64_t idle_ms = 3000;
static bool until_dry;
static bool lossy;
static bool reflect;

static const struct opt verify_opts[] = {
	PORT_OPTS(&port_conf),
	{ "packets", OPT_UINT, &packets, 1, UINT32_MAX, "N", "frames to receive" },
	{ "hold", OPT_UINT, &port_conf.hold, 0, INT32_MAX, "N",
			"keep the last N of them before they are freed" },
	{ "until-dry", OPT_FLAG, &until_dry, 0, 0, NULL,
			"keep all until no more come, then free them and go on" },
	{ "lossy", OPT_FLAG, &lossy, 0, 0, NULL,
			"frames may be missing, if they are counted, but not overtake" },
	{ "reflect", OPT_FLAG, &reflect, 0, 0, NULL,
			"send each back, from mbufs of another pool and in segments" },
	{ "idle", OPT_UINT, &idle_ms, 1, 3600000, "MS",
			"give up when no packet comes for so long" },
	{ .name = NULL },
};

/* What a frame has behind its type. */
struct frame {
	rte_be32_t number;
	rte_be32_t length;
} __rte_packed;

struct verify {
	uint16_t port;
	struct rte_mempool *other; /* NULL: nothing is sent back */
	struct rte_mbuf **m;       /* a ring of the packets that are held */
	size_t size, head, n;
	uint64_t received;
	uint64_t next;    /* number */
	uint64_t gaps;    /* frames that are missing or out of order */
	uint64_t bad;     /* not as they were sent, when received */
	uint64_t damaged; /* the same later */
	uint64_t dry;     /* times that all were freed */
};

/* Whether bytes from an offset on are what the frame's pattern says. Works on chains. */
static bool
pattern_is_whole(const struct rte_mbuf *m, uint32_t number, uint32_t length)
{
	uint8_t value = (uint8_t)(number * PATTERN_STEP);
	uint32_t skip = FRAME_MIN, i;
	const uint8_t *data;

	if (m->pkt_len != length)
		return false;
	for (; m != NULL; m = m->next) {
		data = rte_pktmbuf_mtod(m, const uint8_t *);
		for (i = RTE_MIN(skip, (uint32_t)m->data_len); i < m->data_len; i++)
			if (data[i] != value++)
				return false;
		skip -= RTE_MIN(skip, (uint32_t)m->data_len);
	}
	return true;
}

static bool
frame_is_whole(const struct rte_mbuf *m, uint32_t *number)
{
	const struct frame *f = rte_pktmbuf_mtod_offset(m, const struct frame *, RTE_ETHER_HDR_LEN);

	*number = rte_be_to_cpu_32(f->number);
	return pattern_is_whole(m, *number, rte_be_to_cpu_32(f->length));
}

static bool
is_ours(const struct rte_mbuf *m)
{
	const struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);

	return m->data_len >= FRAME_MIN && eth->ether_type == rte_cpu_to_be_16(FRAME_TYPE);
}

static bool
bytes_are(const uint8_t *p, size_t n, uint8_t value)
{
	for (; n > 0; n--)
		if (*p++ != value)
			return false;
	return true;
}

/* What belongs to whoever has the mbuf. */
static void
spoil(struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next) {
		memset(m->buf_addr, HEADROOM_BYTE, rte_pktmbuf_headroom(m));
		memset(rte_pktmbuf_mtod_offset(m, char *, m->data_len), TAILROOM_BYTE,
				rte_pktmbuf_tailroom(m));
	}
}

static bool
is_spoiled(const struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next) {
		if (!bytes_are(m->buf_addr, rte_pktmbuf_headroom(m), HEADROOM_BYTE))
			return false;
		if (!bytes_are(rte_pktmbuf_mtod_offset(m, const uint8_t *, m->data_len),
				    rte_pktmbuf_tailroom(m), TAILROOM_BYTE))
			return false;
	}
	return true;
}

static void
free_oldest(struct verify *v, size_t n)
{
	struct rte_mbuf *m;
	uint32_t number;

	for (; n > 0; n--, v->n--) {
		m = v->m[v->head];
		v->head = (v->head + 1) % v->size;
		if (!frame_is_whole(m, &number) || !is_spoiled(m))
			v->damaged++;
		rte_pktmbuf_free(m);
	}
}

/* A port that takes none now may take it later. */
static void
send_back(const struct verify *v, const struct rte_mbuf *m)
{
	struct rte_mbuf *copy = rte_pktmbuf_copy(m, v->other, 0, UINT32_MAX);

	while (copy != NULL && rte_eth_tx_burst(v->port, 0, &copy, 1) == 0 && !port_interrupted())
		;
}

static void
take(struct verify *v, struct rte_mbuf *m)
{
	uint32_t number;

	if (!is_ours(m)) {
		rte_pktmbuf_free(m);
		return;
	}
	v->received++;
	if (!frame_is_whole(m, &number))
		v->bad++;
	if (lossy ? number < v->next : number != v->next)
		v->gaps++;
	v->next = (uint64_t)number + 1;
	if (v->other != NULL)
		send_back(v, m);
	spoil(m);
	if (v->n == v->size)
		free_oldest(v, 1);
	v->m[(v->head + v->n++) % v->size] = m;
	if (!until_dry && v->n > port_conf.hold)
		free_oldest(v, v->n - port_conf.hold);
}

static void
receive(struct verify *v)
{
	const uint64_t ms = rte_get_tsc_hz() / 1000;
	uint64_t now = rte_rdtsc(), last = now;
	struct rte_mbuf *m[VERIFY_BURST];
	uint16_t i, n;

	while (v->received < packets && now - last < idle_ms * ms && !port_interrupted()) {
		n = rte_eth_rx_burst(v->port, 0, m, VERIFY_BURST);
		for (i = 0; i < n; i++)
			take(v, m[i]);
		now = rte_rdtsc();
		if (n != 0)
			last = now;
		if (until_dry && v->n != 0 && now - last > DRY_MS * ms) {
			free_oldest(v, v->n);
			v->dry++;
			last = now;
		}
	}
	free_oldest(v, v->n);
}

static int
report(const struct verify *v)
{
	struct rte_eth_stats stats = { .imissed = 0 };
	uint64_t lost;
	bool ok;

	rte_eth_stats_get(v->port, &stats);
	printf("received %" PRIu64 " of %" PRIu64 ", gaps %" PRIu64 ", bad %" PRIu64
	       ", damaged %" PRIu64 ", dry %" PRIu64 " times, no mbuf %" PRIu64 ", missed %" PRIu64
	       "\n",
			v->received, packets, v->gaps, v->bad, v->damaged, v->dry, stats.rx_nombuf,
			stats.imissed);
	fflush(stdout);
	lost = lossy ? stats.imissed : 0;
	ok = v->gaps == 0 && v->bad == 0 && v->damaged == 0 && v->received + lost == packets;
	return ok ? 0 : -1;
}

static int
verify(const struct port *p)
{
	struct verify v = { .port = p->id };
	int ret;

	if (reflect) {
		v.other = rte_pktmbuf_pool_create_by_ops("test_ppool_tx", REFLECT_MBUFS, 0, 0,
				REFLECT_ROOM, SOCKET_ID_ANY, "ring_mp_mc");
		if (v.other == NULL) {
			fprintf(stderr, "no pool to send from: %s\n", rte_strerror(rte_errno));
			return -1;
		}
	}
	v.size = (until_dry ? packets : port_conf.hold) + 1;
	v.m = calloc(v.size, sizeof(*v.m));
	if (v.m == NULL) {
		fprintf(stderr, "no memory for a list of %zu packets\n", v.size);
		return -1;
	}
	printf("ready\n");
	fflush(stdout);
	receive(&v);
	ret = report(&v);
	free(v.m);
	return ret;
}

static int
verify_run(char **args)
{
	struct port p;
	int ret;

	(void)args;
	port_catch_signals();
	if (port_open(&p, &port_conf) != 0)
		return EXIT_FAILURE;
	ret = verify(&p);
	if (port_close(&p) != 0)
		ret = -1;
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command cmd_verify = {
	.name = "verify",
	.help = "receive numbered frames, hold them, look whether anybody writes into them",
	.opts = verify_opts,
	.run = verify_run,
};
