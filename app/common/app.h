/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _APP_H_
#define _APP_H_

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/** What an option's value is parsed into. */
enum opt_type {
	OPT_FLAG, /**< bool, no argument */
	OPT_UINT, /**< uint64_t within [min, max] */
	OPT_STR,  /**< const char *, points into argv */
	OPT_LIST, /**< struct uint_list, comma separated, each within [min, max] */
};

#define UINT_LIST_MAX 16

struct uint_list {
	unsigned int n;
	uint64_t v[UINT_LIST_MAX];
};

struct opt {
	const char *name;
	enum opt_type type;
	void *value; /**< holds the default before parsing */
	uint64_t min, max;
	const char *arg; /**< what --help calls the argument */
	const char *help;
};

/** A command of a program. Its options are parsed before EAL starts. */
struct command {
	const char *name;
	const char *synopsis; /**< positional arguments, for --help */
	const char *help;
	const struct opt *opts;     /**< ends with a NULL name */
	unsigned int max_args;      /**< positional arguments accepted */
	bool no_eal;                /**< runs without EAL, whose options it ignores */
	bool hidden;                /**< not for users: started by the program itself */
	void (*more_help)(FILE *f); /**< printed behind the options; may be NULL */
	int (*run)(char **args);    /**< positional arguments, a NULL behind them */
};

/**
 * Run the command that the command line names.
 *
 * @param name
 *   Of the program.
 * @param commands
 *   Those that it has, a NULL behind them.
 * @return
 *   The exit status.
 */
int app_main(const char *name, const struct command * const *commands, int argc, char **argv);

/** Name of the program. */
extern const char *app_name;

/** The command line as the program was started, for those who start it again. */
extern char **app_argv;

enum opts_result {
	OPTS_OK,
	OPTS_HELP,    /**< help was asked for and printed */
	OPTS_INVALID, /**< an error was printed */
};

/**
 * Parse argv[1..] of a command into the values of its options.
 *
 * @param args
 *   Room for max_args + 1 positional arguments.
 */
enum opts_result opts_parse(const struct command *cmd, int argc, char **argv, char **args);

/** What a comma-separated list of names may have. */
struct opt_words {
	const char *command, *option;
	const char * const *names;
	unsigned int n;
	bool skip_unknown; /**< leave out what is no such name: the list is ours, not a user's */
};

/**
 * Find the names in a comma-separated list. One that is there twice counts once.
 *
 * @param which
 *   Room for n indexes; gets those of the names, in the order of the list.
 * @return
 *   How many, at least 1 unless unknown ones are skipped; -1 with a message that lists the names.
 */
int opt_names(const struct opt_words *w, const char *list, unsigned int *which);

/** What --help says of a command. */
void opts_help(FILE *f, const struct command *cmd);

#endif /* _APP_H_ */
