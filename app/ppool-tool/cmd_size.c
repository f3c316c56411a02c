/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_memory.h>

#include <ppool_sizing.h>

#include "commands.h"
#include "json.h"
#include "longhold_load.h"

/*
 * How large a pool has to be. Computes, measures nothing and starts no EAL: the suites "create" and
 * "sizing" compare the numbers with real pools.
 */

#define MIX_MAX 64
#define CANDIDATES_MAX 32
/* What --packets is unless it is given. */
#define PACKETS 65536

static uint64_t ports = 1, queues = 1, rxd = 256, txd = 0, lcores = 1;
static uint64_t mtu = RTE_ETHER_MTU, headroom = RTE_PKTMBUF_HEADROOM, packets = PACKETS, one_in = 1;
static uint64_t mbufs, cache = 256, priv_size, page_size, spare = 5;
static const char *mix_text = "imix";
static bool slots;
static const char *share_text;
static const char *life_text;
static const char *json_path;

static const struct opt size_opts[] = {
	{ "ports", OPT_UINT, &ports, 1, RTE_MAX_ETHPORTS, "N", "ports that receive from the pool" },
	{ "queues", OPT_UINT, &queues, 1, RTE_MAX_QUEUES_PER_PORT, "N",
			"receive queues of each port" },
	{ "rxd", OPT_UINT, &rxd, 0, UINT16_MAX, "N",
			"descriptors of a receive queue; 0, with --slots: the port has a pool of its own" },
	{ "txd", OPT_UINT, &txd, 0, UINT16_MAX, "N",
			"descriptors of a transmit queue that packets leave by; 0: they do not" },
	{ "lcores", OPT_UINT, &lcores, 1, RTE_MAX_LCORE, "N", "lcores that receive or free" },
	{ "mtu", OPT_UINT, &mtu, RTE_ETHER_MIN_MTU, UINT16_MAX, "BYTES", "MTU of the ports" },
	{ "headroom", OPT_UINT, &headroom, 0, UINT16_MAX, "BYTES", "in front of every packet" },
	{ "packets", OPT_UINT, &packets, 0, UINT64_C(1) << 40, "N",
			"packets that the application holds" },
	{ "one-in", OPT_UINT, &one_in, 1, 1000000, "N",
			"it holds one of so many, at random, and frees the others; the same with --slots" },
	{ "mix", OPT_STR, &mix_text, 0, 0, "MIX",
			"lengths and how many of each, LEN[:N],..., without checksum; or imix" },
	{ "slots", OPT_FLAG, &slots, 0, 0, NULL,
			"each packet is in a slot of its size, in place of a frag" },
	{ "share", OPT_STR, &share_text, 0, 0, "P,...",
			"percent of the packets that are held, a number for each --life" },
	{ "life", OPT_STR, &life_text, 0, 0, "LIFE,...",
			"in slots for so many packets, in place of --packets: pareto:SHAPE:MIN or exp:MEAN" },
	{ "mbufs", OPT_UINT, &mbufs, 0, INT32_MAX, "N",
			"ordinary mbufs that the application takes from the pool itself" },
	{ "cache", OPT_UINT, &cache, 0, RTE_MEMPOOL_CACHE_MAX_SIZE, "N",
			"objects in the mempool cache of an lcore" },
	{ "priv-size", OPT_UINT, &priv_size, 0, UINT16_MAX, "BYTES", "private area of an mbuf" },
	{ "page-size", OPT_UINT, &page_size, 0, 1 << 20, "BYTES",
			"data room of a page, as testpmd's --mbuf-size; 0: the best" },
	{ "spare", OPT_UINT, &spare, 0, 1000, "PERCENT", "pages on top of those needed" },
	{ "json", OPT_STR, &json_path, 0, 0, "FILE", "write the result there" },
	{ .name = NULL },
};

static struct load held;

static const struct ppool_size_mix imix[] = { { 64, 7 }, { 570, 4 }, { 1518, 1 } };

/* One "LEN" or "LEN:N". Returns what follows it, NULL where it is neither. */
static const char *
parse_length(const char *text, struct ppool_size_mix *mix)
{
	unsigned long len, weight = 1;
	char *end;

	len = strtoul(text, &end, 10);
	if (end == text || text[0] == '-')
		return NULL;
	if (*end == ':') {
		text = end + 1;
		weight = strtoul(text, &end, 10);
		if (end == text || text[0] == '-')
			return NULL;
	}
	if ((*end != ',' && *end != '\0') || len > UINT16_MAX || weight > UINT32_MAX)
		return NULL;
	mix->len = (uint32_t)len;
	mix->weight = (uint32_t)weight;
	return end;
}

/* Returns how many lengths there are, 0 with a message. */
static unsigned int
parse_mix(const char *text, struct ppool_size_mix *mix)
{
	const char *at = text;
	unsigned int n = 0;

	if (strcmp(text, "imix") == 0) {
		memcpy(mix, imix, sizeof(imix));
		return RTE_DIM(imix);
	}
	while (n < MIX_MAX) {
		at = parse_length(at, &mix[n++]);
		if (at == NULL)
			break;
		if (*at == '\0')
			return n;
		at++;
	}
	fprintf(stderr,
			"size: --mix '%s' is neither imix nor a list LEN[:N],... of at most %d "
			"lengths\n",
			text, MIX_MAX);
	return 0;
}

static double
mib(uint64_t bytes)
{
	return (double)bytes / (1 << 20);
}

static uint64_t
hugepages(const struct ppool_size *s, uint64_t len)
{
	return (ppool_size_memory(s, len) + len - 1) / len;
}

/* All page sizes, to choose another one from. */
static void
print_candidates(const struct ppool_size_conf *conf, const struct ppool_size *chosen)
{
	struct ppool_size_conf each = *conf;
	uint32_t candidate[CANDIDATES_MAX];
	struct ppool_size s;
	unsigned int i, n;

	n = ppool_size_candidates(conf, candidate, CANDIDATES_MAX);
	printf("%9s %12s %9s %9s %14s %13s\n", "page size", "packets/page", "pages", "MiB",
			"bytes/packet", "packets/MiB");
	for (i = 0; i < n; i++) {
		each.page_size = candidate[i];
		if (ppool_size_estimate(&each, &s) != 0)
			continue;
		printf("%9u %12.1f %9" PRIu64 " %9.1f %14.1f %13.1f%s\n", s.page_size,
				s.frags_per_page, s.pages, mib(s.bytes), s.bytes_per_packet,
				s.packets_per_mib, s.page_size == chosen->page_size ? "  <-" : "");
	}
	printf("\n");
}

static void
print_held(const struct ppool_size_conf *conf, const struct ppool_size *s)
{
	unsigned int i;

	for (i = 0; i < conf->nb_hold; i++)
		printf("held for a time   %.0f %% for %.0f packets on average: %.1f\n",
				conf->hold[i].share, conf->hold[i].lifetime,
				conf->hold[i].share / 100 * conf->hold[i].lifetime);
	printf("packets held      %" PRIu64 ", those in bursts and transmit rings included",
			s->held);
	if (s->peak > s->held)
		printf("; %" PRIu64 " at peaks", s->peak);
	printf("\n");
}

static void
print_pages(const struct ppool_size *s)
{
	printf("pages             %" PRIu64 ": %" PRIu64 " held, ", s->pages, s->held_pages);
	if (slots)
		printf("%" PRIu64 " more at peaks, %" PRIu64 " posted, %" PRIu64 " in reserve",
				s->peak_pages, s->posted_pages, s->reserve_pages);
	else
		printf("%" PRIu64 " posted, %" PRIu64 " headers", s->posted_pages, s->header_pages);
	printf(", %" PRIu64 " ordinary mbufs, %" PRIu64 " spare\n", s->whole_pages, s->spare_pages);
}

static void
print_size(const struct ppool_size_conf *conf, const struct ppool_size *s)
{
	printf("page size         %u, %u bytes with what is around it\n", s->page_size,
			s->page_bytes);
	printf("packets per page  %.1f, truesize %.1f\n", s->frags_per_page, s->truesize);
	print_held(conf, s);
	if (slots)
		printf("charged           %.1f MiB\n", mib(s->charged));
	print_pages(s);
	printf("memory            %.1f MiB, %.1f of it tables\n", mib(s->bytes),
			mib(s->table_bytes));
	printf("hugepages         %" PRIu64 " of 2 MB or %" PRIu64 " of 1 GB, besides those of EAL"
	       " and drivers\n",
			hugepages(s, RTE_PGSIZE_2M), hugepages(s, RTE_PGSIZE_1G));
	printf("a packet held     %.1f bytes, %.1f packets per MiB\n", s->bytes_per_packet,
			s->packets_per_mib);
	printf("mbufs that fit the MTU would take %.1f MiB, %.1f times as much\n",
			mib(s->fixed_bytes), (double)s->fixed_bytes / (double)s->bytes);
	if (s->page_size <= UINT16_MAX)
		printf("testpmd           --mbuf-pool-ops-name=ppfrag --mbuf-size=%u"
		       " --total-num-mbufs=%" PRIu64 "\n",
				s->page_size, s->pages);
}

static void
json_slots(struct json *j, const struct ppool_size_conf *conf, const struct ppool_size *s)
{
	unsigned int i;

	json_uint(j, "peak", s->peak);
	json_uint(j, "charged", s->charged);
	json_uint(j, "peak_pages", s->peak_pages);
	json_uint(j, "reserve_pages", s->reserve_pages);
	json_real(j, "live", s->live);
	json_array(j, "hold");
	for (i = 0; i < conf->nb_hold; i++) {
		json_object(j, NULL);
		json_real(j, "share", conf->hold[i].share);
		json_real(j, "lifetime", conf->hold[i].lifetime);
		json_end(j);
	}
	json_end(j);
}

static void
json_size(struct json *j, const struct ppool_size *s)
{
	json_uint(j, "page_size", s->page_size);
	json_uint(j, "page_bytes", s->page_bytes);
	json_real(j, "frags_per_page", s->frags_per_page);
	json_real(j, "truesize", s->truesize);
	json_uint(j, "held", s->held);
	json_uint(j, "held_pages", s->held_pages);
	json_uint(j, "posted_pages", s->posted_pages);
	json_uint(j, "header_pages", s->header_pages);
	json_uint(j, "whole_pages", s->whole_pages);
	json_uint(j, "spare_pages", s->spare_pages);
	json_uint(j, "pages", s->pages);
	json_uint(j, "table_bytes", s->table_bytes);
	json_uint(j, "bytes", s->bytes);
	json_uint(j, "hugepages_2m", hugepages(s, RTE_PGSIZE_2M));
	json_uint(j, "hugepages_1g", hugepages(s, RTE_PGSIZE_1G));
	json_real(j, "bytes_per_packet", s->bytes_per_packet);
	json_real(j, "packets_per_mib", s->packets_per_mib);
	json_uint(j, "fixed_bytes", s->fixed_bytes);
}

/* Returns false, with a message, where they contradict each other. */
static bool
check_options(void)
{
	if (life_text == NULL && share_text == NULL)
		return true;
	if (life_text == NULL)
		fprintf(stderr, "size: --share needs --life: how long packets are held\n");
	else if (share_text == NULL)
		fprintf(stderr, "size: --life needs --share: the percent of the packets that are held so long\n");
	else if (packets != PACKETS)
		fprintf(stderr, "size: --packets and --life: give one of them, --life tells how many packets are held\n");
	else
		return load_options(&held, "size", share_text, life_text);
	return false;
}

static void
fill_hold(struct ppool_size_conf *conf, struct ppool_size_hold *hold)
{
	unsigned int i;

	conf->slots = slots;
	if (life_text == NULL)
		return;
	for (i = 0; i < held.n; i++) {
		hold[i].share = held.share[i];
		hold[i].lifetime = life_mean(&held.life[i]);
	}
	conf->packets = 0;
	conf->hold = hold;
	conf->nb_hold = held.n;
}

static void
fill_conf(struct ppool_size_conf *conf)
{
	conf->ports = (uint32_t)ports;
	conf->queues = (uint32_t)queues;
	conf->rx_desc = (uint32_t)rxd;
	conf->tx_desc = (uint32_t)txd;
	conf->lcores = (uint32_t)lcores;
	conf->mtu = (uint32_t)mtu;
	conf->headroom = (uint32_t)headroom;
	conf->packets = packets;
	conf->one_in = (uint32_t)one_in;
	conf->mbufs = (uint32_t)mbufs;
	conf->cache_size = (uint32_t)cache;
	conf->priv_size = (uint32_t)priv_size;
	conf->page_size = (uint32_t)page_size;
	conf->spare = (uint32_t)spare;
}

/* A pool counts its pages in 31 bits, as the ring behind a stock one does. */
static int
check_pages(const struct ppool_size *s)
{
	if (s->pages <= INT32_MAX)
		return 0;
	fprintf(stderr,
			"size: %" PRIu64
			" pages of %u bytes are more than a pool can have, %d: lower "
			"--packets or --mbufs, or have several pools\n",
			s->pages, s->page_size, INT32_MAX);
	return -1;
}

static int
size_run(char **args)
{
	struct ppool_size_hold hold[LIFE_GROUPS_MAX];
	struct ppool_size_mix mix[MIX_MAX];
	struct ppool_size_conf conf = { .mix = mix };
	struct ppool_size size;
	struct json *j;

	(void)args;
	conf.nb_mix = parse_mix(mix_text, mix);
	if (conf.nb_mix == 0 || !check_options())
		return EXIT_FAILURE;
	if (life_text != NULL)
		slots = true;
	fill_conf(&conf);
	fill_hold(&conf, hold);
	/* The reason is in the log. */
	if (ppool_size_estimate(&conf, &size) != 0 || check_pages(&size) != 0)
		return EXIT_FAILURE;
	if (json_open(&j, json_path) != 0)
		return EXIT_FAILURE;
	if (page_size == 0)
		print_candidates(&conf, &size);
	print_size(&conf, &size);
	json_size(j, &size);
	if (slots)
		json_slots(j, &conf, &size);
	return json_close(j) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static void
size_help(FILE *f)
{
	fprintf(f,
			"\nNeeds no EAL options: dpdk-ppool -- size ...\n"
			"imix is 64:7,570:4,1518:1. The numbers are the peak of a steady load, see"
			" ppool_sizing.h.\n"
			"With --life, share times mean lifetime are held on average. Slots of each size"
			" suffice for\nfive standard deviations more: for packets that come independently"
			" of each other.\n");
}

const struct command cmd_size = {
	.name = "size",
	.help = "tell how many pages and hugepages a pool needs for a load",
	.opts = size_opts,
	.no_eal = true,
	.more_help = size_help,
	.run = size_run,
};
