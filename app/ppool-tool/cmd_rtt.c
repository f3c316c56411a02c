/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_ether.h>

#include "commands.h"
#include "json.h"
#include "pool.h"
#include "port.h"

/*
 * How long does a packet take to the other side and back? A few are sent at once, and no more
 * before all of them are back: so nothing waits in a queue but for the drivers and the peer, which
 * has to send back what it gets, such as testpmd with one port and --forward-mode=io.
 */

#define RTT_BURST_MAX 32
#define RTT_ETHER_TYPE 0x88b5 /* for experiments: IEEE 802, clause 9 */

static struct port_conf port_conf = PORT_CONF_DEFAULT;
static uint64_t rounds = 200000;
static uint64_t warm = 10000;
static uint64_t burst = 1;
static uint64_t length = 64;
static uint64_t wait_seconds = 10;
static const char *json_path;

/* What a packet of ours carries behind its Ethernet header. The least packet has room for it. */
struct rtt_payload {
	uint64_t run; /* another one may send packets of that type, too */
	uint64_t sequence;
} __rte_packed;

static uint64_t run_id;
static uint64_t next_sequence;

/* What was sent and is not back. */
struct pending {
	uint64_t first;   /* sequence number */
	uint32_t missing; /* bit i: first + i */
};

static const struct opt rtt_opts[] = {
	PORT_OPTS(&port_conf),
	{ "rounds", OPT_UINT, &rounds, 1, 100000000, "N", "times to send, and to wait" },
	{ "warm", OPT_UINT, &warm, 0, 100000000, "N", "the same before, not counted" },
	{ "burst", OPT_UINT, &burst, 1, RTT_BURST_MAX, "N", "packets sent at once" },
	{ "length", OPT_UINT, &length, 64, 1518, "BYTES", "of a packet, with 4 for its checksum" },
	{ "wait", OPT_UINT, &wait_seconds, 1, 3600, "S", "give up when a packet is not back" },
	{ "json", OPT_STR, &json_path, 0, 0, "FILE", "write the result there" },
	{ .name = NULL },
};

static int
compare_cycles(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* To ourselves: a peer that learns addresses sends it back, too. */
static struct rte_mbuf *
packet_make(const struct port *p, uint64_t sequence)
{
	uint16_t len = (uint16_t)(length - RTE_ETHER_CRC_LEN);
	struct rte_mbuf *m = rte_pktmbuf_alloc(p->mp);
	struct rtt_payload payload = { .run = run_id, .sequence = sequence };
	struct rte_ether_hdr *eth;

	if (m == NULL)
		return NULL;
	eth = (struct rte_ether_hdr *)rte_pktmbuf_append(m, len);
	if (eth == NULL) {
		rte_pktmbuf_free(m);
		return NULL;
	}
	memset(eth, 0, len);
	rte_eth_macaddr_get(p->id, &eth->dst_addr);
	rte_eth_macaddr_get(p->id, &eth->src_addr);
	eth->ether_type = rte_cpu_to_be_16(RTT_ETHER_TYPE);
	memcpy(eth + 1, &payload, sizeof(payload));
	return m;
}

/* Take note of a packet of ours: not one of others, nor one that was late or came twice. */
static void
pending_take(struct pending *sent, const struct rte_mbuf *m)
{
	const size_t len = sizeof(struct rte_ether_hdr) + sizeof(struct rtt_payload);
	char copy[sizeof(struct rte_ether_hdr) + sizeof(struct rtt_payload)];
	const char *got = rte_pktmbuf_read(m, 0, (uint32_t)len, copy);
	struct rtt_payload payload;
	struct rte_ether_hdr eth;

	if (got == NULL)
		return;
	memcpy(&eth, got, sizeof(eth));
	memcpy(&payload, got + sizeof(eth), sizeof(payload));
	if (eth.ether_type != rte_cpu_to_be_16(RTT_ETHER_TYPE) || payload.run != run_id)
		return;
	if (payload.sequence - sent->first < burst)
		sent->missing &= ~(UINT32_C(1) << (payload.sequence - sent->first));
}

static int
send_burst(const struct port *p, struct pending *out)
{
	struct rte_mbuf *m[RTT_BURST_MAX];
	uint16_t n, sent;

	for (n = 0; n < burst; n++) {
		m[n] = packet_make(p, next_sequence + n);
		if (m[n] == NULL)
			break;
	}
	sent = n == burst ? rte_eth_tx_burst(p->id, 0, m, n) : 0;
	if (sent == burst) {
		out->first = next_sequence;
		out->missing = UINT32_MAX >> (RTT_BURST_MAX - burst);
		next_sequence += burst;
		return 0;
	}
	rte_pktmbuf_free_bulk(m + sent, n - sent);
	fprintf(stderr, "rtt: %s\n",
			n < burst ? "no mbuf is left: more --mbufs, or a larger --mbuf-size" :
				    "the port does not send: the peer has gone, or does not send back what it gets, as testpmd does with --forward-mode=io");
	return -1;
}

/* Take packets until all that were sent are back. */
static int
receive_burst(const struct port *p, struct pending *sent, uint64_t deadline)
{
	struct rte_mbuf *m[RTT_BURST_MAX];
	uint16_t i, n;

	while (sent->missing != 0) {
		/* Some drivers return nothing to those who ask for few. */
		n = rte_eth_rx_burst(p->id, 0, m, RTT_BURST_MAX);
		for (i = 0; i < n; i++)
			pending_take(sent, m[i]);
		rte_pktmbuf_free_bulk(m, n);
		if (sent->missing != 0 && (port_interrupted() || rte_rdtsc() > deadline)) {
			fprintf(stderr,
					"rtt: %d of %" PRIu64
					" packets are not back within --wait %" PRIu64
					" seconds: the peer has to send back what it gets\n",
					__builtin_popcount(sent->missing), burst, wait_seconds);
			return -1;
		}
	}
	return 0;
}

static int
rtt_rounds(const struct port *p, uint64_t *cycles, uint64_t n)
{
	uint64_t wait = wait_seconds * rte_get_tsc_hz(), begin, i;
	struct pending sent;

	for (i = 0; i < n; i++) {
		begin = rte_rdtsc();
		if (send_burst(p, &sent) != 0 || receive_burst(p, &sent, begin + wait) != 0)
			return -1;
		if (cycles != NULL)
			cycles[i] = rte_rdtsc() - begin;
	}
	return 0;
}

static void
report(struct json *j, const struct port *p, uint64_t *cycles)
{
	static const struct {
		const char *name;
		unsigned int part; /* of 1,000 */
	} quantiles[] = { { "least", 0 }, { "median", 500 }, { "p90", 900 }, { "p99", 990 },
		{ "p999", 999 } };
	uint64_t at;
	unsigned int i;

	qsort(cycles, rounds, sizeof(cycles[0]), compare_cycles);
	printf("driver           %s, pool ops %s, bursts of %" PRIu64 ", %" PRIu64 " bytes\n",
			p->driver, pool_ops_name(p->mp), burst, length);
	printf("%-16s %10s %10s\n", "there and back", "cycles", "us");
	json_object(j, "cycles");
	for (i = 0; i < RTE_DIM(quantiles); i++) {
		at = cycles[(rounds - 1) * quantiles[i].part / 1000];
		printf("%-16s %10" PRIu64 " %10.2f\n", quantiles[i].name, at,
				(double)at * 1e6 / (double)rte_get_tsc_hz());
		json_uint(j, quantiles[i].name, at);
	}
	json_end(j);
}

static int
rtt(struct port *p, struct json *j)
{
	uint64_t *cycles;
	int ret;

	if (p->nb_txq == 0) {
		fprintf(stderr, "rtt: %s does not send\n", p->driver);
		return -1;
	}
	cycles = calloc(rounds, sizeof(*cycles));
	if (cycles == NULL) {
		fprintf(stderr, "rtt: no memory for --rounds %" PRIu64 "\n", rounds);
		return -1;
	}
	run_id = rte_rdtsc();
	ret = rtt_rounds(p, NULL, warm);
	if (ret == 0)
		ret = rtt_rounds(p, cycles, rounds);
	port_json(p, &port_conf, j);
	json_uint(j, "burst", burst);
	json_uint(j, "length", length);
	json_uint(j, "rounds", rounds);
	json_uint(j, "tsc_hz", rte_get_tsc_hz());
	if (ret == 0)
		report(j, p, cycles);
	free(cycles);
	return ret;
}

static int
rtt_run(char **args)
{
	(void)args;
	return port_run(&port_conf, json_path, rtt);
}

const struct command cmd_rtt = {
	.name = "rtt",
	.help = "send packets to a peer that returns them, report how long they take",
	.opts = rtt_opts,
	.run = rtt_run,
};
