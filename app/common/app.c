/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_debug.h>
#include <rte_eal.h>
#include <rte_errno.h>

#include "app.h"

/* EAL options, then "--", a command and its options. */

#define ARGS_MAX 64

char **app_argv;

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
	&cmd_mempool_perf,
	&cmd_frag_perf,
	&cmd_account_perf,
	&cmd_hold,
	&cmd_longhold,
	&cmd_rx,
	&cmd_rtt,
	&cmd_size,
	&cmd_compact,
	&cmd_verify,
	&cmd_wire,
};

static void
usage(FILE *f)
{
	unsigned int i;

	fprintf(f, "usage: dpdk-test-ppool [EAL options] -- COMMAND [options]\n\n");
	for (i = 0; i < RTE_DIM(commands); i++)
		if (!commands[i]->hidden)
			fprintf(f, "  %-14s%s\n", commands[i]->name, commands[i]->help);
	fprintf(f, "\n'dpdk-test-ppool -- COMMAND --help' tells the options of a command.\n");
}

static const struct command *
command_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static bool
is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0 || strcmp(arg, "help") == 0;
}

/* Index of the command: what follows "--". 0 where there is none. */
static int
command_index(int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0)
			return i + 1 < argc ? i + 1 : 0;
	return 0;
}

static int
run(const struct command *cmd, int eal_argc, char **argv, char **args)
{
	int ret;

	if (cmd->no_eal)
		return cmd->run(args);
	if (rte_eal_init(eal_argc, argv) < 0) {
		fprintf(stderr, "EAL does not start: %s; without hugepages use --no-huge -m 512\n",
				rte_strerror(rte_errno));
		return EXIT_FAILURE;
	}
	ret = cmd->run(args);
	rte_eal_cleanup();
	return ret;
}

/* EAL reorders the vector that it parses. */
static char **
argv_copy(int argc, char **argv)
{
	char **copy = calloc((size_t)argc + 1, sizeof(*copy));

	if (copy != NULL)
		memcpy(copy, argv, (size_t)argc * sizeof(*copy));
	return copy;
}

int
main(int argc, char **argv)
{
	const struct command *cmd;
	char *args[ARGS_MAX + 1];
	int first, ret;

	if (argc == 2 && is_help(argv[1])) {
		usage(stdout);
		return EXIT_SUCCESS;
	}
	first = command_index(argc, argv);
	if (first == 0) {
		usage(stderr);
		return EXIT_FAILURE;
	}
	if (is_help(argv[first])) {
		usage(stdout);
		return EXIT_SUCCESS;
	}
	cmd = command_find(argv[first]);
	if (cmd == NULL) {
		fprintf(stderr, "dpdk-test-ppool: unknown command '%s'\n", argv[first]);
		usage(stderr);
		return EXIT_FAILURE;
	}

	RTE_VERIFY(cmd->max_args <= ARGS_MAX);
	app_argv = argv_copy(argc, argv);
	if (app_argv == NULL)
		return EXIT_FAILURE;
	ret = EXIT_FAILURE;
	switch (opts_parse(cmd, argc - first, argv + first, args)) {
	case OPTS_OK:
		ret = run(cmd, first - 1, argv, args);
		break;
	case OPTS_HELP:
		ret = EXIT_SUCCESS;
		break;
	case OPTS_INVALID:
		break;
	}
	free(app_argv);
	return ret;
}
