/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_eal.h>

#include "commands.h"
#include "json.h"
#include "unit.h"

/* Runs the unit suites. Each lives in a file of its own, unit_SUITE.c. */

static const struct unit_suite * const suites[] = {
	&suite_mempool,
	&suite_frag,
	&suite_slots,
	&suite_slots_hard,
	&suite_slots_compact,
	&suite_slots_fuzz,
	&suite_slots_port,
	&suite_keep,
	&suite_carver,
	&suite_ledger,
	&suite_mark,
	&suite_threads,
	&suite_secondary,
	&suite_info,
	&suite_create,
	&suite_sizing,
	&suite_dma,
	&suite_account,
	&suite_port,
	&suite_port_states,
	&suite_rx_secondary,
	&suite_wake,
	&suite_reconnect,
	&suite_offload,
	&suite_share,
	&suite_queue_state,
	&suite_in_order,
	&suite_indirect,
	&suite_legacy,
	&suite_features,
	&suite_debug,
	&suite_compact,
	&suite_company,
	&suite_steps,
	&suite_limbo,
	&suite_rings,
	&suite_packed,
	&suite_hostile,
	&suite_unaware,
	&suite_iova,
};

static uint64_t seed;
static const char *test_pattern;
static const char *json_path;

static const struct opt unit_opts[] = {
	{ "seed", OPT_UINT, &seed, 0, UINT64_MAX, "N", "of random plans, 0: a new one" },
	{ "test", OPT_STR, &test_pattern, 0, 0, "PATTERN",
			"only tests of such names, e.g. '*bulk*'" },
	{ "json", OPT_STR, &json_path, 0, 0, "FILE", "write the result there" },
	{ .name = NULL },
};

struct unit_sum {
	unsigned int suites, tests, failed, skipped;
};

static void
unit_help(FILE *f)
{
	unsigned int i;

	fprintf(f, "\nsuites, all of them where none is named:\n");
	for (i = 0; i < RTE_DIM(suites); i++)
		fprintf(f, "  %-20s%s\n", suites[i]->name, suites[i]->help);
	fprintf(f,
			"\nTests that need several lcores are skipped where there is one; two "
			"cores do with\n");
	fprintf(f, "  --lcores '0@0,1@1,2@0,3@1'\n");
}

static const struct unit_suite *
suite_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(suites); i++)
		if (strcmp(suites[i]->name, name) == 0)
			return suites[i];
	fprintf(stderr, "unit: there is no suite '%s'; 'unit --help' lists them\n", name);
	return NULL;
}

static void
run_suite(const struct unit_suite *s, struct unit_sum *sum, struct json *j)
{
	unsigned int ran = unit_ran, skipped = unit_skipped;
	int failed;

	failed = _cmocka_run_group_tests(s->name, s->tests, s->nb_tests, NULL, NULL);
	ran = unit_ran - ran;
	skipped = unit_skipped - skipped;
	sum->suites++;
	sum->tests += ran;
	sum->failed += (unsigned int)abs(failed);
	sum->skipped += skipped;
	json_object(j, NULL);
	json_string(j, "suite", s->name);
	json_uint(j, "tests", ran);
	json_uint(j, "failed", (unsigned int)abs(failed));
	json_uint(j, "skipped", skipped);
	json_end(j);
}

static int
run_suites(char **names, struct unit_sum *sum, struct json *j)
{
	const struct unit_suite *s;
	unsigned int i;

	if (names[0] == NULL) {
		for (i = 0; i < RTE_DIM(suites); i++)
			run_suite(suites[i], sum, j);
		return 0;
	}
	for (i = 0; names[i] != NULL; i++)
		if (suite_find(names[i]) == NULL)
			return -1;
	for (i = 0; names[i] != NULL; i++) {
		s = suite_find(names[i]);
		run_suite(s, sum, j);
	}
	return 0;
}

static int
unit_run(char **args)
{
	struct unit_sum sum = { .suites = 0 };
	struct json *j;
	int ret;

	/* Ports that it makes would be made in the primary, too, which may be at work. */
	if (rte_eal_process_type() == RTE_PROC_SECONDARY) {
		fprintf(stderr, "unit: the suites start secondary processes, they do not run in one: leave out --proc-type\n");
		return EXIT_FAILURE;
	}
	if (json_open(&j, json_path) != 0)
		return EXIT_FAILURE;
	unit_seed = seed != 0 ? seed : rte_rdtsc();
	printf("unit: seed %" PRIu64 " (--seed repeats it), %u lcores\n", unit_seed,
			rte_lcore_count());
	if (test_pattern != NULL)
		cmocka_set_test_filter(test_pattern);
	json_uint(j, "seed", unit_seed);
	json_array(j, "suites");
	ret = run_suites(args, &sum, j);
	json_end(j);
	if (ret == 0 && sum.tests == 0)
		fprintf(stderr, "unit: no test was run: --test '%s' matches none\n", test_pattern);
	if (sum.failed != 0 || sum.tests == 0)
		ret = -1;
	json_uint(j, "tests", sum.tests);
	json_uint(j, "failed", sum.failed);
	json_uint(j, "skipped", sum.skipped);
	json_bool(j, "ok", ret == 0);
	if (json_close(j) != 0)
		ret = -1;
	printf("unit: %u suites, %u tests, %u failed, %u skipped, seed %" PRIu64 ": %s\n",
			sum.suites, sum.tests, sum.failed, sum.skipped, unit_seed,
			ret == 0 ? "PASSED" : "FAILED");
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command cmd_unit = {
	.name = "unit",
	.synopsis = "[SUITE...]",
	.help = "run the unit suites",
	.opts = unit_opts,
	.max_args = RTE_DIM(suites),
	.more_help = unit_help,
	.run = unit_run,
};
