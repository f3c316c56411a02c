/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "app.h"

#define OPTS_MAX 32
#define OPT_HELP OPTS_MAX

/* What a script is called that runs one command, such as usertools/ppfrag-size. */
#define SHORTCUT "PPFRAG_SHORTCUT"

static const char *
typed_name(const struct command *cmd)
{
	const char *shortcut = getenv(SHORTCUT);

	return shortcut != NULL ? shortcut : cmd->name;
}

static int
parse_uint(const struct opt *o, const char *text, const char *end, uint64_t *value)
{
	char *stop;

	errno = 0;
	*value = strtoull(text, &stop, 0);
	if (text[0] < '0' || text[0] > '9' || stop != end || errno != 0)
		return -1;
	return *value >= o->min && *value <= o->max ? 0 : -1;
}

static int
parse_list(const struct opt *o, const char *text)
{
	struct uint_list *list = o->value;

	list->n = 0;
	for (;;) {
		const char *end = strchrnul(text, ',');

		if (list->n == UINT_LIST_MAX || parse_uint(o, text, end, &list->v[list->n]) != 0)
			return -1;
		list->n++;
		if (*end == '\0')
			return 0;
		text = end + 1;
	}
}

static int
parse_value(const struct command *cmd, const struct opt *o, const char *text)
{
	switch (o->type) {
	case OPT_FLAG:
		*(bool *)o->value = true;
		return 0;
	case OPT_STR:
		*(const char **)o->value = text;
		return 0;
	case OPT_UINT:
		if (parse_uint(o, text, text + strlen(text), o->value) == 0)
			return 0;
		fprintf(stderr, "%s: --%s '%s' is not a number from %" PRIu64 " to %" PRIu64 "\n",
				cmd->name, o->name, text, o->min, o->max);
		return -1;
	case OPT_LIST:
		if (parse_list(o, text) == 0)
			return 0;
		fprintf(stderr,
				"%s: --%s '%s' is not a comma-separated list of at most %d numbers"
				" from %" PRIu64 " to %" PRIu64 "\n",
				cmd->name, o->name, text, UINT_LIST_MAX, o->min, o->max);
		return -1;
	}
	return -1;
}

static unsigned int
opts_to_getopt(const struct command *cmd, struct option *longs)
{
	unsigned int i;

	for (i = 0; i < OPTS_MAX && cmd->opts[i].name != NULL; i++)
		longs[i] = (struct option){
			.name = cmd->opts[i].name,
			.has_arg = cmd->opts[i].type == OPT_FLAG ? no_argument : required_argument,
			.val = (int)i,
		};
	longs[i] = (struct option){ .name = "help", .has_arg = no_argument, .val = OPT_HELP };
	longs[i + 1] = (struct option){ .name = NULL };
	return i;
}

static int
parse_args(const struct command *cmd, int argc, char **argv, char **args)
{
	unsigned int n = 0;
	int i;

	for (i = optind; i < argc; i++) {
		if (n == cmd->max_args) {
			fprintf(stderr, "%s: unexpected argument '%s'; see '%s --help'\n",
					cmd->name, argv[i], typed_name(cmd));
			return -1;
		}
		args[n++] = argv[i];
	}
	args[n] = NULL;
	return 0;
}

enum opts_result
opts_parse(const struct command *cmd, int argc, char **argv, char **args)
{
	struct option longs[OPTS_MAX + 2];
	int c;

	opts_to_getopt(cmd, longs);
	opterr = 0;
	optind = 0; /* EAL and getopt share their state: start afresh */
	while ((c = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (c == OPT_HELP) {
			opts_help(stdout, cmd);
			return OPTS_HELP;
		}
		if (c == ':') {
			fprintf(stderr, "%s: %s needs a value; see '%s --help'\n", cmd->name,
					argv[optind - 1], typed_name(cmd));
			return OPTS_INVALID;
		}
		if (c == '?') {
			fprintf(stderr, "%s: unknown or ambiguous option '%s'; see '%s --help'\n",
					cmd->name, argv[optind - 1], typed_name(cmd));
			return OPTS_INVALID;
		}
		if (parse_value(cmd, &cmd->opts[c], optarg) != 0)
			return OPTS_INVALID;
	}
	return parse_args(cmd, argc, argv, args) == 0 ? OPTS_OK : OPTS_INVALID;
}

/* The index of a name, or n. */
static unsigned int
name_find(const struct opt_words *w, const char *text, size_t len)
{
	unsigned int i;

	for (i = 0; i < w->n; i++)
		if (strlen(w->names[i]) == len && memcmp(w->names[i], text, len) == 0)
			break;
	return i;
}

static int
names_refuse(const struct opt_words *w, const char *list)
{
	unsigned int i;

	fprintf(stderr, "%s: --%s '%s' is not a comma-separated list of ", w->command, w->option,
			list);
	for (i = 0; i < w->n; i++)
		fprintf(stderr, "%s%s", i == 0 ? "" : ", ", w->names[i]);
	fprintf(stderr, "\n");
	return -1;
}

int
opt_names(const struct opt_words *w, const char *list, unsigned int *which)
{
	const char *text = list, *end;
	unsigned int name;
	int i, n = 0;

	for (;; text = end + 1) {
		end = strchrnul(text, ',');
		name = name_find(w, text, (size_t)(end - text));
		if (name == w->n && !w->skip_unknown)
			return names_refuse(w, list);
		for (i = 0; i < n && which[i] != name; i++)
			;
		if (name < w->n && i == n)
			which[n++] = name;
		if (*end == '\0')
			return n;
	}
}

static void
print_default(FILE *f, const struct opt *o)
{
	const struct uint_list *list = o->value;
	const char *text;
	unsigned int i;

	switch (o->type) {
	case OPT_UINT:
		fprintf(f, " [%" PRIu64 "]", *(const uint64_t *)o->value);
		break;
	case OPT_STR:
		text = *(const char * const *)o->value;
		if (text != NULL)
			fprintf(f, " [%s]", text);
		break;
	case OPT_LIST:
		for (i = 0; i < list->n; i++)
			fprintf(f, "%s%" PRIu64, i == 0 ? " [" : ",", list->v[i]);
		if (list->n > 0)
			fputc(']', f);
		break;
	case OPT_FLAG:
		break;
	}
}

void
opts_help(FILE *f, const struct command *cmd)
{
	const struct opt *o;

	fprintf(f, "%s%s%s%s%s [options]\n%s\n\n", getenv(SHORTCUT) != NULL ? "" : app_name,
			getenv(SHORTCUT) != NULL ? "" : " [EAL options] -- ", typed_name(cmd),
			cmd->synopsis != NULL ? " " : "",
			cmd->synopsis != NULL ? cmd->synopsis : "", cmd->help);
	for (o = cmd->opts; o->name != NULL; o++) {
		int width = fprintf(f, "  --%s%s%s", o->name, o->arg != NULL ? " " : "",
				o->arg != NULL ? o->arg : "");

		fprintf(f, "%*s%s", width < 22 ? 22 - width : 1, "", o->help);
		print_default(f, o);
		fputc('\n', f);
	}
	fprintf(f, "  --help              this text\n");
	if (cmd->more_help != NULL)
		cmd->more_help(f);
}
