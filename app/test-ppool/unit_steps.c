/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * A process that ends at any instruction of an operation: a secondary runs it step by step and is
 * killed behind one of them. What it had is taken back, and the ledger is exact.
 */

#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>

#include <ppool_create.h>
#include <ppool_recover.h>

#include "app.h"
#include "unit.h"
#include "unit_child.h"

#define MAX_LEN 1500u
#define LONG_LEN 14000u
#define PAGES 16u

/*
 * Operations. What they need is there before. None allocates from EAL: who ends there leaves EAL's
 * heap locked.
 */

struct scene {
	struct rte_mempool *mp, *frag_mp;
	struct ppool_carver *c;
	struct rte_mbuf *m[2];
};

static void
scene_carver(struct scene *s)
{
	const struct ppool_carver_conf conf = {
		.max_len = MAX_LEN,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = 2,
		.port = RTE_MBUF_PORT_INVALID,
		.socket_id = SOCKET_ID_ANY,
	};

	s->c = ppool_carver_create(s->mp, &conf);
}

static void
op_free(struct scene *s)
{
	rte_pktmbuf_free(s->m[0]);
}

static void
op_free_bulk(struct scene *s)
{
	rte_pktmbuf_free_bulk(s->m, RTE_DIM(s->m));
}

static void
op_carve(struct scene *s)
{
	ppool_carve(s->c, MAX_LEN);
}

static void
op_whole(struct scene *s)
{
	rte_pktmbuf_free(rte_pktmbuf_alloc(s->mp));
}

static void
op_whole_frag(struct scene *s)
{
	rte_pktmbuf_free(rte_pktmbuf_alloc(s->frag_mp));
}

static void
op_headers(struct scene *s)
{
	unsigned int n = ppool_headers_get(s->c, s->m, RTE_DIM(s->m));

	ppool_headers_put(s->c, s->m, n);
}

/* What is left of the page is too little: it is left to another lane. */
static void
op_park(struct scene *s)
{
	ppool_carver_set_max_len(s->c, LONG_LEN);
	ppool_carve(s->c, LONG_LEN);
}

static const struct op {
	const char *name;
	void (*run)(struct scene *s);
} ops[] = {
	{ "free", op_free },
	{ "free-bulk", op_free_bulk },
	{ "carve", op_carve },
	{ "whole", op_whole },
	{ "whole-frag", op_whole_frag },
	{ "headers", op_headers },
	{ "park", op_park },
};

/* The secondary's side */
static int
steps_run(char **args)
{
	struct scene s = { .mp = rte_mempool_lookup(args[1]) };
	const struct op *op = NULL;
	unsigned int i;

	for (i = 0; i < RTE_DIM(ops); i++)
		if (strcmp(ops[i].name, args[0]) == 0)
			op = &ops[i];
	if (s.mp == NULL || op == NULL)
		return EXIT_FAILURE;
	s.frag_mp = ppool_frag_pool(s.mp);
	scene_carver(&s);
	if (s.c == NULL)
		return EXIT_FAILURE;
	rte_pktmbuf_free(rte_pktmbuf_alloc(s.mp));
	rte_pktmbuf_free(rte_pktmbuf_alloc(s.frag_mp));
	for (i = 0; i < RTE_DIM(s.m); i++)
		s.m[i] = ppool_carve(s.c, MAX_LEN);
	rte_pktmbuf_free(ppool_carve(s.c, MAX_LEN));
	unit_child_stop();
	op->run(&s);
	_exit(0);
}

static const struct opt steps_opts[] = { { .name = NULL } };

const struct command cmd_unit_steps = {
	.name = "unit-steps",
	.synopsis = "OPERATION POOL",
	.help = "the secondary process of the unit suite 'steps'",
	.opts = steps_opts,
	.max_args = 2,
	.hidden = true,
	.run = steps_run,
};

/* The primary's side */

/* Kill a secondary behind so many steps. Returns how many it made. */
static unsigned int
op_cut(struct rte_mempool *mp, const struct op *op, unsigned int steps)
{
	const char * const args[] = { "unit-steps", op->name, mp->name, NULL };
	pid_t child = unit_child_trace(unit_free_lcore(), args);
	unsigned int n;

	for (n = 0; n < steps; n++)
		if (!WIFSTOPPED(unit_child_resume(child, PTRACE_SINGLESTEP)))
			return n + 1;
	unit_child_kill(child);
	return n;
}

static void
recover_all(struct rte_mempool *mp)
{
	unit_recover_dead(mp, NULL);
	assert_int_equal(ppool_recover_rest(mp, NULL), 0);
}

static void
op_cut_and_recover(struct rte_mempool *mp, const struct op *op, unsigned int steps)
{
	op_cut(mp, op, steps);
	recover_all(mp);
	if (unit_ledger(mp).frags != 0 || !unit_pool_whole(mp))
		fail_msg("%s: killed behind step %u", op->name, steps);
}

static void
test_steps(void **state)
{
	unsigned int tries = unit_scaled(2, 200), i, k, all, step;
	struct rte_mempool *mp = unit_pool(PAGES, 16384, 0, 0);
	uint64_t rng = unit_seed;

	(void)state;
	unit_require_secondary();
	unit_require(!unit_debug_build() && !UNIT_TSAN, "a build without checks");
	unit_forgive_heap();
	assert_non_null(ppool_frag_pool(mp));
	for (i = 0; i < RTE_DIM(ops); i++) {
		all = op_cut(mp, &ops[i], UINT32_MAX);
		recover_all(mp);
		print_message("%s: %u steps\n", ops[i].name, all);
		/* In long runs, all steps where they are few. */
		for (k = 0; k < RTE_MIN(tries, all); k++) {
			step = tries >= all ? k : unit_range(&rng, 0, all - 1);
			op_cut_and_recover(mp, &ops[i], step);
		}
	}
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_steps),
};

UNIT_SUITE(steps, "a process ends at any instruction (PPFRAG_LONG=1: at many)", tests);
