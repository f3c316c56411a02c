/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * A process that ends at any instruction of an operation: a secondary runs it step by step and is
 * killed behind one of them. What it had is taken back, and the ledger is exact.
 */

#include <inttypes.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_eal.h>

#include <ppool_create.h>
#include <ppool_private.h>
#include <ppool_recover.h>
#include <ppool_slot.h>

#include "commands.h"
#include "unit.h"
#include "unit_child.h"

#define MAX_LEN 1500u
#define LONG_LEN 14000u
#define PAGES 16u
/* More than an lcore keeps, and than a page has. */
#define SLOTS_MAX 40u
#define SLOT_ROOM 1400u
#define FIRST_ROOM 300u
/* More than it takes to format some slots, less than those of a large page. */
#define FIRST_STEPS 15000u
#define MINE 20u

/*
 * Operations. What they need is there before. None allocates from EAL: who ends there leaves EAL's
 * heap locked.
 */

struct scene {
	struct rte_mempool *mp, *frag_mp, *view, *other_view;
	struct ppool_carver *c;
	struct rte_mbuf *m[2];
	struct rte_mbuf *slot[SLOTS_MAX];
	unsigned int nb_slots;
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

/* From the lists of the lcore, which it takes back. */
static void
op_slot(struct scene *s)
{
	rte_pktmbuf_free(rte_pktmbuf_alloc(s->view));
}

/* From pages and the depot. */
static void
op_slots_alloc(struct scene *s)
{
	s->nb_slots = rte_pktmbuf_alloc_bulk(s->view, s->slot, SLOTS_MAX) == 0 ? SLOTS_MAX : 0;
}

/* To the depot, whose pages go home. */
static void
op_slots_free(struct scene *s)
{
	unit_put_bulk(s->slot[0]->pool, (void **)s->slot, s->nb_slots);
}

/* No page is free: what other lcores keep is taken, also of other processes. */
static void
op_slots_last(struct scene *s)
{
	rte_pktmbuf_free(rte_pktmbuf_alloc(s->other_view));
}

/* Of a page that none was taken of before: it is formatted as far as is needed. */
static void
op_first_header(struct scene *s)
{
	ppool_headers_get(s->c, s->m, 1);
}

static void
op_first_slot(struct scene *s)
{
	s->m[0] = rte_pktmbuf_alloc(s->view);
}

static const struct op {
	const char *name;
	void (*run)(struct scene *s);
	bool first; /* the scene has no slots yet */
} ops[] = {
	{ .name = "free", .run = op_free },
	{ .name = "free-bulk", .run = op_free_bulk },
	{ .name = "carve", .run = op_carve },
	{ .name = "whole", .run = op_whole },
	{ .name = "whole-frag", .run = op_whole_frag },
	{ .name = "headers", .run = op_headers },
	{ .name = "park", .run = op_park },
	{ .name = "slot", .run = op_slot },
	{ .name = "slots-alloc", .run = op_slots_alloc },
	{ .name = "slots-free", .run = op_slots_free },
	{ .name = "first-header", .run = op_first_header, .first = true },
	{ .name = "first-slot", .run = op_first_slot, .first = true },
	{ .name = "slots-last", .run = op_slots_last },
};

static void
scene_slots(struct scene *s, const struct op *op)
{
	void *page;

	s->view = ppool_slot_pool(s->mp, SLOT_ROOM);
	s->other_view = ppool_slot_pool(s->mp, SLOT_ROOM / 2);
	rte_pktmbuf_free(rte_pktmbuf_alloc(s->view));
	if (op->run == op_slots_free)
		op_slots_alloc(s);
	/* Not one more: that would look for slots already. */
	while (op->run == op_slots_last && rte_mempool_avail_count(s->mp) > 0)
		if (rte_mempool_get(s->mp, &page) != 0)
			break;
}

static void
scene_frags(struct scene *s)
{
	unsigned int i;

	rte_pktmbuf_free(rte_pktmbuf_alloc(s->frag_mp));
	for (i = 0; i < RTE_DIM(s->m); i++)
		s->m[i] = ppool_carve(s->c, MAX_LEN);
	rte_pktmbuf_free(ppool_carve(s->c, MAX_LEN));
}

/* No slot is idle but those that the carver keeps. */
static void
scene_first(struct scene *s)
{
	struct ppool_layout layout;
	struct rte_mbuf *m;
	uint32_t i;

	s->view = ppool_slot_pool(s->mp, FIRST_ROOM);
	if (ppool_layout_get(s->mp, &layout) == 0)
		for (i = s->c->nb_reserve; i < layout.slots; i++)
			ppool_headers_get(s->c, &m, 1);
}

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
	if (op->first) {
		scene_first(&s);
	} else {
		scene_frags(&s);
		scene_slots(&s, op);
	}
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

/*
 * Slots in the lists of this lcore, which others take where there are no other ones. One of their
 * page stays in use, or it would count as free. Returns that.
 */
static struct rte_mbuf *
slots_offer(struct rte_mempool *mp)
{
	struct rte_mempool *view = ppool_slot_pool(mp, SLOT_ROOM);
	struct rte_mbuf *m[MINE];

	assert_int_equal(rte_pktmbuf_alloc_bulk(view, m, MINE), 0);
	rte_pktmbuf_free_bulk(m, MINE - 1);
	return m[MINE - 1];
}

/* What somebody who has ended had seen there is ours all the same. Returns how many. */
static unsigned int
slots_take(struct rte_mempool *mp, struct rte_mbuf **m)
{
	unsigned int i;

	if (rte_pktmbuf_alloc_bulk(ppool_slot_pool(mp, SLOT_ROOM), m, MINE) != 0)
		return 0;
	for (i = 0; i < MINE; i++)
		unit_fill_buf(m[i], i);
	return MINE;
}

static void
slots_verify(struct rte_mbuf **m, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		assert_true(unit_filled_buf(m[i], i));
	rte_pktmbuf_free_bulk(m, n);
}

/* What is ours is ours, what others had is back. */
static void
recover_and_check(struct rte_mempool *mp, const struct op *op, unsigned int steps,
		struct rte_mbuf *kept)
{
	struct rte_mbuf *mine[MINE];
	struct ppool_ledger l;
	unsigned int n;

	n = slots_take(mp, mine);
	recover_all(mp);
	l = unit_ledger(mp);
	if (l.frags != 0 || l.class_slots != n + 1)
		fail_msg("%s: killed behind step %u: %" PRIu64 " slots, not %u", op->name, steps,
				l.class_slots, n + 1);
	slots_verify(mine, n);
	rte_pktmbuf_free(kept);
	if (!unit_pool_whole(mp))
		fail_msg("%s: killed behind step %u", op->name, steps);
}

static void
op_cut_and_recover(struct rte_mempool *mp, const struct op *op, unsigned int steps)
{
	struct rte_mbuf *kept = slots_offer(mp);

	op_cut(mp, op, steps);
	recover_and_check(mp, op, steps, kept);
}

static void
test_steps(void **state)
{
	unsigned int tries = unit_scaled(2, 200), i, k, all, step;
	struct rte_mempool *mp = unit_pool(PAGES, 16384, 0, 0);
	uint64_t rng = unit_seed;
	struct rte_mbuf *kept;

	(void)state;
	unit_require_secondary();
	unit_require(!unit_debug_build() && !UNIT_TSAN, "a build without checks: fewer steps");
	unit_forgive_heap();
	assert_non_null(ppool_frag_pool(mp));
	for (i = 0; i < RTE_DIM(ops); i++) {
		kept = slots_offer(mp);
		all = op_cut(mp, &ops[i], UINT32_MAX);
		rte_pktmbuf_free(kept);
		recover_all(mp);
		print_message("%s: %u steps\n", ops[i].name, all);
		/* In long runs, all steps where they are few. */
		for (k = 0; k < RTE_MIN(tries, all); k++) {
			step = tries >= all ? k : unit_range(&rng, 0, all - 1);
			op_cut_and_recover(mp, &ops[i], step);
		}
	}
}

/* However many slots a page has. */
static void
test_first(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, UINT16_MAX, 0, 0);
	unsigned int i, n;

	(void)state;
	unit_require_secondary();
	unit_require(!unit_debug_build() && !UNIT_TSAN, "a build without checks: fewer steps");
	unit_forgive_heap();
	assert_non_null(ppool_frag_pool(mp));
	for (i = 0; i < RTE_DIM(ops); i++) {
		if (!ops[i].first)
			continue;
		n = op_cut(mp, &ops[i], UINT32_MAX);
		recover_all(mp);
		print_message("%s of a page of 64 KB: %u steps\n", ops[i].name, n);
		assert_in_range(n, 1, FIRST_STEPS);
		assert_true(unit_pool_whole(mp));
	}
}

static const struct op *
op_named(const char *name)
{
	const struct op *op = ops;

	while (strcmp(op->name, name) != 0)
		op++;
	return op;
}

/* Headers that say that they have a whole page. */
static unsigned int
whole_frags(const struct rte_mempool *mp)
{
	const struct ppool *p = mp->pool_data;
	const struct ppool_class *c = &p->depot.size_class[PPOOL_HEADERS];
	unsigned int i, k, n = 0;

	for (i = 0; i < mp->size; i++)
		if (ppool_class_look(p, &p->page[i]) == c)
			for (k = 0; k < ppool_slots_formatted(c, &p->page[i]); k++)
				n += ppool_frag_of(ppool_slot_at(p, c, &p->page[i], k))->truesize ==
						p->layout.page_bytes;
	return n;
}

/* It ends when a header says that it has a page, but the page does not say so yet. */
static void
test_half_made(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, 16384, 0, 0);
	const char * const args[] = { "unit-steps", "whole-frag", mp->name, NULL };
	pid_t child;

	(void)state;
	unit_require_secondary();
	unit_require(!UNIT_TSAN, "a build without ThreadSanitizer");
	unit_forgive_heap();
	assert_non_null(ppool_frag_pool(mp));
	child = unit_child_trace(unit_free_lcore(), args);
	assert_int_equal(whole_frags(mp), 0);
	while (whole_frags(mp) == 0)
		assert_true(WIFSTOPPED(unit_child_resume(child, PTRACE_SINGLESTEP)));
	unit_child_kill(child);
	recover_all(mp);
	assert_int_equal(unit_ledger(mp).frags, 0);
	assert_true(unit_pool_whole(mp));
}

static ppool_owner_t
owner_of(const struct rte_mbuf *m)
{
	return __atomic_load_n(&ppool_frag_of(m)->owner, __ATOMIC_RELAXED);
}

/* Kill a secondary so many steps behind the one in which it took slots of this lcore. */
static void
visitor_cut(struct rte_mempool *mp, const struct op *op, unsigned int steps)
{
	const char * const args[] = { "unit-steps", op->name, mp->name, NULL };
	struct rte_mbuf *m = rte_pktmbuf_alloc(ppool_slot_pool(mp, SLOT_ROOM));
	pid_t child = unit_child_trace(unit_free_lcore(), args);
	ppool_owner_t owner;

	assert_non_null(m);
	rte_pktmbuf_free(m);
	owner = owner_of(m);
	while (owner_of(m) == owner)
		assert_true(WIFSTOPPED(unit_child_resume(child, PTRACE_SINGLESTEP)));
	while (steps-- > 0)
		assert_true(WIFSTOPPED(unit_child_resume(child, PTRACE_SINGLESTEP)));
	unit_child_kill(child);
}

/* It ends while slots are in our lists and in its hands. */
static void
test_visitor_ends(void **state)
{
	struct rte_mempool *mp = unit_pool(PAGES, 16384, 0, 0);
	const struct op *op = op_named("slots-last");
	struct rte_mbuf *kept;
	unsigned int steps;

	(void)state;
	unit_require_secondary();
	unit_require(!UNIT_TSAN, "a build without ThreadSanitizer");
	unit_forgive_heap();
	for (steps = 0; steps < unit_scaled(400, 1600); steps += 40) {
		kept = slots_offer(mp);
		visitor_cut(mp, op, steps);
		recover_and_check(mp, op, steps, kept);
	}
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_steps),
	UNIT_TEST(test_first),
	UNIT_TEST(test_half_made),
	UNIT_TEST(test_visitor_ends),
};

UNIT_SUITE(steps, "a process ends at any instruction (PPFRAG_LONG=1: at many)", tests);
