/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <stdlib.h>

#include "commands.h"
#include "longhold.h"

/*
 * What do few packets pin that are held for long? Packets are made, or received from a port. Most
 * of them are freed at once, a share is held for random numbers of packets. What is held is looked
 * at between bursts: what it is charged, what is not free because of it, and what as many stock
 * mbufs take.
 */

static struct longhold_conf conf = {
	.packets = 1000000,
	.seed = 1,
	.pages = { 1, { 16384 } },
	.memory = 256,
	.lens = { 12, { 64, 64, 64, 64, 64, 64, 64, 570, 570, 570, 570, 1518 } },
	.lanes = 256,
	.wait = 30,
	.port = PORT_CONF_DEFAULT,
};
static const char *ways_text = "stock,carve,lanes,slots,keep-stock,keep-lanes";
static const char *share_text = "5";
static const char *life_text = "pareto:1.2:1000";
static const char *json_path;

static const struct opt longhold_opts[] = {
	{ "packets", OPT_UINT, &conf.packets, 1000, UINT64_C(1) << 40, "N",
			"how many in each run" },
	{ "share", OPT_STR, &share_text, 0, 0, "P,...",
			"percent of the packets that are held, e.g. 0.01, one for each --life" },
	{ "life", OPT_STR, &life_text, 0, 0, "LIFE,...",
			"for so many packets: pareto:SHAPE:MIN or exp:MEAN" },
	{ "seed", OPT_UINT, &conf.seed, 1, UINT32_MAX, "N", "of the random numbers" },
	{ "json", OPT_STR, &json_path, 0, 0, "FILE", "write the result there" },
	{ "page", OPT_LIST, &conf.pages, RTE_PKTMBUF_HEADROOM + 64, 1 << 29, "N,...",
			"data rooms of pages, as testpmd's --mbuf-size" },
	{ "memory", OPT_UINT, &conf.memory, 1, 1 << 20, "MB",
			"of each pool of these pages, unless --mbufs says how many" },
	{ "len", OPT_LIST, &conf.lens, 1, UINT16_MAX, "N,...",
			"data lengths of packets that are made, equally often: IMIX" },
	{ "lanes", OPT_UINT, &conf.lanes, 1, 4096, "N", "lanes that take turns" },
	{ "ways", OPT_STR, &ways_text, 0, 0, "WAY,...", "how packets are made" },
	{ "live", OPT_FLAG, &conf.live, 0, 0, NULL,
			"receive from a port instead; what follows is for that" },
	{ "keep", OPT_FLAG, &conf.keep, 0, 0, NULL,
			"ppool_keep() what is held: in a pool by --page and --memory, or the port's" },
	{ "label", OPT_STR, &conf.label, 0, 0, "TEXT", "what the result is called in a chart" },
	{ "wait", OPT_UINT, &conf.wait, 1, 3600, "S", "give up when no packet comes for so long" },
	PORT_OPTS(&conf.port),
	{ .name = NULL },
};

/* Returns false, with a message, where the options contradict each other. */
static bool
options_check(void)
{
	struct load *load = &conf.load;
	double warm_up;

	if (!load_options(load, "longhold", share_text, life_text) || !longhold_ways(ways_text))
		return false;
	if (conf.keep && !conf.live) {
		fprintf(stderr, "longhold: --keep is for --live; without it: --ways keep-stock,keep-lanes\n");
		return false;
	}
	warm_up = longhold_warm_up(load);
	if ((double)conf.packets > warm_up)
		return true;
	fprintf(stderr, "longhold: 3 mean lifetimes are %.0f packets: give more of --packets\n",
			warm_up);
	return false;
}

static int
longhold_run(char **args)
{
	struct json *j;
	int ret;

	(void)args;
	if (!options_check() || json_open(&j, json_path) != 0)
		return EXIT_FAILURE;
	json_string(j, "command", "longhold");
	json_bool(j, "live", conf.live);
	json_uint(j, "packets", conf.packets);
	json_string(j, "share", share_text);
	json_string(j, "life", life_text);
	json_real(j, "warm_up", longhold_warm_up(&conf.load));
	json_uint(j, "stock_bytes", longhold_stock_bytes());
	json_array(j, "results");
	ret = conf.live ? longhold_live(&conf, j) : longhold_made(&conf, j);
	json_end(j);
	json_bool(j, "ok", ret == 0);
	if (json_close(j) != 0)
		ret = -1;
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command cmd_longhold = {
	.name = "longhold",
	.help = "what packets pin of which a few are held for long: stock mbufs, frags, slots",
	.opts = longhold_opts,
	.run = longhold_run,
};
