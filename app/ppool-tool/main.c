/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include "commands.h"

/* What users run: how much memory a load needs, and what packets take. */

static const struct command * const commands[] = {
	&cmd_size,
	&cmd_hold,
	&cmd_rx,
	&cmd_rtt,
	&cmd_compact,
	&cmd_longhold,
	NULL,
};

int
main(int argc, char **argv)
{
	return app_main("dpdk-ppool", commands, argc, argv);
}
