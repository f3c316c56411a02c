/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include "commands.h"

/* Tests: suites of one process, and the ends of tests of ports. */

static const struct command * const commands[] = {
	&cmd_unit,
	&cmd_unit_secondary,
	&cmd_unit_company,
	&cmd_unit_limbo,
	&cmd_unit_slots,
	&cmd_unit_slots_fuzz,
	&cmd_unit_steps,
	&cmd_unit_secondary_port,
	&cmd_unit_secondary_rx,
	&cmd_verify,
	&cmd_wire,
	NULL,
};

int
main(int argc, char **argv)
{
	return app_main("dpdk-test-ppool", commands, argc, argv);
}
