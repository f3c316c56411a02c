/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include "commands.h"

/* Benchmarks of the pool, each against what DPDK has. They need no port. */

static const struct command * const commands[] = {
	&cmd_mempool_perf,
	&cmd_frag_perf,
	&cmd_account_perf,
	NULL,
};

int
main(int argc, char **argv)
{
	return app_main("dpdk-ppool-bench", commands, argc, argv);
}
