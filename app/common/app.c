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

/* The command line of every program: EAL options, then "--", a command and its options. */

#define ARGS_MAX 64

char **app_argv;
const char *app_name;

/* Which program has which command, for those who look for it in another one. */
static const struct {
	const char *command, *program;
} homes[] = {
	{ "compact", "dpdk-ppool" },
	{ "hold", "dpdk-ppool" },
	{ "longhold", "dpdk-ppool" },
	{ "rtt", "dpdk-ppool" },
	{ "rx", "dpdk-ppool" },
	{ "size", "dpdk-ppool" },
	{ "account-perf", "dpdk-ppool-bench" },
	{ "frag-perf", "dpdk-ppool-bench" },
	{ "mempool-perf", "dpdk-ppool-bench" },
	{ "unit", "dpdk-test-ppool" },
	{ "verify", "dpdk-test-ppool" },
	{ "wire", "dpdk-test-ppool" },
};

static void
usage(FILE *f, const struct command * const *commands)
{
	fprintf(f, "usage: %s [EAL options] -- COMMAND [options]\n\n", app_name);
	for (; *commands != NULL; commands++)
		if (!(*commands)->hidden)
			fprintf(f, "  %-14s%s\n", (*commands)->name, (*commands)->help);
	fprintf(f, "\n'%s -- COMMAND --help' tells the options of a command.\n", app_name);
}

static const struct command *
command_find(const struct command * const *commands, const char *name)
{
	for (; *commands != NULL; commands++)
		if (strcmp((*commands)->name, name) == 0)
			return *commands;
	return NULL;
}

/* Another program may have it. */
static void
command_unknown(const struct command * const *commands, const char *name)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(homes); i++) {
		if (strcmp(homes[i].command, name) != 0)
			continue;
		fprintf(stderr, "%s: '%s' is a command of another program: %s [EAL options] -- %s\n",
				app_name, name, homes[i].program, name);
		return;
	}
	fprintf(stderr, "%s: unknown command '%s'\n", app_name, name);
	usage(stderr, commands);
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

/* Parse the options of a command, and run it. The first argument is its name. */
static int
command_start(const struct command *cmd, int eal_argc, char **argv, int argc, char **words)
{
	char *args[ARGS_MAX + 1];

	RTE_VERIFY(cmd->max_args <= ARGS_MAX);
	switch (opts_parse(cmd, argc, words, args)) {
	case OPTS_OK:
		return run(cmd, eal_argc, argv, args);
	case OPTS_HELP:
		return EXIT_SUCCESS;
	case OPTS_INVALID:
		break;
	}
	return EXIT_FAILURE;
}

int
app_main(const char *name, const struct command * const *commands, int argc, char **argv)
{
	const struct command *cmd;
	int first, ret;

	app_name = name;
	first = argc == 2 && is_help(argv[1]) ? 1 : command_index(argc, argv);
	if (first == 0) {
		usage(stderr, commands);
		return EXIT_FAILURE;
	}
	if (is_help(argv[first])) {
		usage(stdout, commands);
		return EXIT_SUCCESS;
	}
	cmd = command_find(commands, argv[first]);
	if (cmd == NULL) {
		command_unknown(commands, argv[first]);
		return EXIT_FAILURE;
	}
	app_argv = argv_copy(argc, argv);
	if (app_argv == NULL)
		return EXIT_FAILURE;
	ret = command_start(cmd, first - 1, argv, argc - first, argv + first);
	free(app_argv);
	return ret;
}
