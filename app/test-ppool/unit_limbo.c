/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * A process is stopped in the midst of a change, for longer than others wait: they go round what it
 * has locked. What they put meanwhile is in limbo, and comes out of it when the lock can be had
 * again, whoever ends at which step. Processes of the suite 'steps' end anywhere; here they are
 * stopped exactly where it matters, which the words of the pool tell that they change.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_memzone.h>

#include <ppool_create.h>
#include <ppool_private.h>
#include <ppool_recover.h>
#include <ppool_slot.h>

#include "commands.h"
#include "unit.h"
#include "unit_child.h"

#define PAGES 32u
#define ROOM 2304u
#define MAX_LEN 1500u
/* Pages of slots: some of either class in each. */
#define SLOT_PAGE_ROOM 16384u
#define SLOT_ROOM 300u
#define OTHER_ROOM 1000u
#define SLOTS_MAX 128u
#define CHILDREN 4u
#define ROUNDS 3u
/* So many that an lcore which puts them has to trade a full magazine for an empty one. */
#define MANY (PPOOL_LCORE_PAGES + PPOOL_MAGAZINE + 32u)
/* A test waits for ever where a lock is lost. */
#define TEST_SECONDS 300u
/* More than any operation takes. */
#define STEPS_MAX 1000000u

/* Pages in somebody's hands. */
struct hand {
	struct rte_mempool *mp;
	void *obj[MANY];
	unsigned int n;
};

static int
hand_get(void *arg)
{
	struct hand *h = arg;

	return rte_mempool_get_bulk(h->mp, h->obj, h->n);
}

static int
hand_put(void *arg)
{
	const struct hand *h = arg;

	unit_put_bulk(h->mp, h->obj, h->n);
	return 0;
}

/* The secondary's side: one operation, again and again, each as long as the primary lets it */

struct scene {
	struct hand hand;
	struct ppool_carver *c;
	struct rte_mempool *view;
	struct rte_mbuf *m[SLOTS_MAX];
};

static int
headers_get(void *arg)
{
	struct scene *s = arg;

	return ppool_headers_get(s->c, s->m, s->hand.n) == s->hand.n ? 0 : -ENOBUFS;
}

static int
headers_put(void *arg)
{
	struct scene *s = arg;

	ppool_headers_put(s->c, s->m, s->hand.n);
	return 0;
}

static int
slots_get(void *arg)
{
	struct scene *s = arg;

	return rte_pktmbuf_alloc_bulk(s->view, s->m, s->hand.n);
}

static int
slots_put(void *arg)
{
	struct scene *s = arg;

	rte_pktmbuf_free_bulk(s->m, s->hand.n);
	return 0;
}

static int
pages_get(void *arg)
{
	struct scene *s = arg;

	return hand_get(&s->hand);
}

static int
pages_put(void *arg)
{
	struct scene *s = arg;

	return hand_put(&s->hand);
}

static int
pool_split(void *arg)
{
	const struct scene *s = arg;

	return ppool_frag_pool(s->hand.mp) != NULL ? 0 : -rte_errno;
}

static int
account_look(void *arg)
{
	RTE_SET_USED(arg);
	ppool_account_lookup("unit_limbo");
	return 0;
}

static int
stats_look(void *arg)
{
	const struct scene *s = arg;
	struct ppool_stats stats;

	return ppool_stats_get(s->hand.mp, &stats);
}

static const struct op {
	const char *name;
	lcore_function_t *run, *undo;
	bool starts_undone;
} ops[] = {
	{ "get", pages_get, pages_put, true },
	{ "put", pages_put, pages_get, false },
	{ "headers", headers_get, headers_put, true },
	{ "slots", slots_get, slots_put, true },
	{ "split", pool_split, pool_split, true },
	{ "account", account_look, account_look, true },
	{ "stats", stats_look, stats_look, true },
};

static void
limbo_loop(struct scene *s, const struct op *op)
{
	int ret;

	for (;;) {
		unit_child_stop();
		ret = op->run(s);
		raise(ret == 0 ? SIGSTOP : SIGUSR1);
		if (ret == 0)
			op->undo(s);
	}
}

static int
limbo_run(char **args)
{
	const struct ppool_carver_conf conf = {
		.max_len = MAX_LEN,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = 1,
		.port = RTE_MBUF_PORT_INVALID,
		.socket_id = SOCKET_ID_ANY,
	};
	struct scene s = { .hand.mp = rte_mempool_lookup(args[0]) };
	const struct op *op = ops;

	if (s.hand.mp == NULL)
		return EXIT_FAILURE;
	/* A thread that is no lcore has no lists: it uses what is shared. */
	if (strcmp(args[3], "thread") == 0)
		RTE_PER_LCORE(_lcore_id) = LCORE_ID_ANY;
	while (strcmp(op->name, args[1]) != 0)
		op++;
	s.hand.n = op->run == slots_get ? 1 : (unsigned int)atoi(args[2]);
	if (op->run == headers_get)
		s.c = ppool_carver_create(s.hand.mp, &conf);
	/* Whatever is made at first use is made now. */
	if (pages_get(&s) != 0)
		return EXIT_FAILURE;
	if (op->starts_undone)
		pages_put(&s);
	s.view = ppool_slot_pool(s.hand.mp, SLOT_ROOM);
	s.hand.n = (unsigned int)atoi(args[2]);
	limbo_loop(&s, op);
	return EXIT_FAILURE;
}

static const struct opt limbo_opts[] = { { .name = NULL } };

const struct command cmd_unit_limbo = {
	.name = "unit-limbo",
	.synopsis = "POOL get|put|headers|slots|split|account|stats N lcore|thread",
	.help = "the secondary process of the unit suite 'limbo'",
	.opts = limbo_opts,
	.max_args = 4,
	.hidden = true,
	.run = limbo_run,
};

/* The primary's side: secondaries */

static pid_t children[CHILDREN];

/* One that is stopped before its operation. */
static pid_t
child_start(const struct rte_mempool *mp, const char *op, unsigned int n, const char *who)
{
	char number[16];
	const char * const args[] = { "unit-limbo", mp->name, op, number, who, NULL };
	unsigned int i = 0;

	snprintf(number, sizeof(number), "%u", n);
	while (children[i] != 0)
		assert_true(++i < CHILDREN);
	children[i] = unit_child_trace(unit_free_lcore(), args);
	return children[i];
}

static void
child_kill(pid_t child)
{
	unsigned int i;

	for (i = 0; i < CHILDREN; i++)
		if (children[i] == child)
			children[i] = 0;
	unit_child_kill(child);
}

/* Step by step, until it has changed a word of what all processes share. */
static void
child_step_until_changed(pid_t child, const void *word, size_t size)
{
	char before[sizeof(uint64_t)];
	unsigned int i;
	int status;

	memcpy(before, word, size);
	for (i = 0; i < STEPS_MAX; i++) {
		status = unit_child_resume(child, PTRACE_SINGLESTEP);
		if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP)
			break;
		if (memcmp(before, word, size) != 0)
			return;
	}
	fail_msg("a secondary does not change what it should");
}

#define CHILD_STEP_UNTIL_CHANGED(child, word) child_step_until_changed(child, word, sizeof(*(word)))

/*
 * Stop one inside the shared part, or inside the depot, when it has looked into limbo and taken
 * something: when it goes on, it leaves what is in limbo by then to the next one.
 */

static void
child_stop_in_shared(pid_t child, const struct ppool *p)
{
	CHILD_STEP_UNTIL_CHANGED(child, &p->shared_lock.holder);
	CHILD_STEP_UNTIL_CHANGED(child, &p->nb_loose);
}

static void
child_stop_in_class(pid_t child, const struct ppool *p, unsigned int size_class)
{
	CHILD_STEP_UNTIL_CHANGED(child, &p->depot.lock.holder);
	CHILD_STEP_UNTIL_CHANGED(child, &p->depot.size_class[size_class].nb_idle);
}

static void
child_stop_in_depot(pid_t child, const struct ppool *p)
{
	child_stop_in_class(child, p, PPOOL_HEADERS);
}

/* Let it bring its operation to an end. Returns what came of it. */
static int
child_finish(pid_t child)
{
	int status = unit_child_resume(child, PTRACE_CONT);

	if (!WIFSTOPPED(status) || (WSTOPSIG(status) != SIGSTOP && WSTOPSIG(status) != SIGUSR1))
		fail_msg("a secondary has come to an end, or is about to: status %#x", status);
	return WSTOPSIG(status) == SIGSTOP ? 0 : -1;
}

/* The operation is undone, and can be done again. */
static void
child_undo(pid_t child)
{
	assert_int_equal(child_finish(child), 0);
}

static int
limbo_setup(void **state)
{
	alarm(TEST_SECONDS);
	return unit_setup(state);
}

static int
limbo_teardown(void **state)
{
	unsigned int i;
	int ret;

	for (i = 0; i < CHILDREN; i++)
		if (children[i] != 0)
			child_kill(children[i]);
	ret = unit_teardown(state);
	alarm(0);
	return ret;
}

/* The primary's side: its pages */

static struct rte_mempool *
limbo_pool_of(unsigned int n, uint16_t room)
{
	struct rte_mempool *mp;

	unit_require_secondary();
	unit_require(!UNIT_TSAN, "a build without ThreadSanitizer");
	unit_forgive_heap();
	mp = unit_pool(n, room, 0, 0);
	/* Without a page table there is no limbo. */
	assert_non_null(ppool_frag_pool(mp));
	return mp;
}

static struct rte_mempool *
limbo_pool(unsigned int n)
{
	return limbo_pool_of(n, ROOM);
}

static const struct ppool *
pool_of(const struct rte_mempool *mp)
{
	return mp->pool_data;
}

/* Move all free pages to the shared part. */
static void
pages_share(struct rte_mempool *mp)
{
	struct hand all = { .mp = mp, .n = rte_mempool_avail_count(mp) };

	assert_int_equal(unit_on_thread(hand_get, &all), 0);
	assert_int_equal(unit_on_thread(hand_put, &all), 0);
}

/* Move them to the lists of this lcore, which always keeps so many. */
static void
pages_own(struct rte_mempool *mp)
{
	struct hand all = { .mp = mp, .n = rte_mempool_avail_count(mp) };

	assert_in_range(all.n, 1, PPOOL_LCORE_PAGES_MIN);
	assert_int_equal(hand_get(&all), 0);
	assert_int_equal(hand_put(&all), 0);
}

/* Pages taken by a thread that is no lcore, which puts them to the shared part. */
static struct hand
hand_of_thread(struct rte_mempool *mp, unsigned int n)
{
	struct hand h = { .mp = mp, .n = n };

	assert_int_equal(unit_on_thread(hand_get, &h), 0);
	return h;
}

/* So many free pages can be had at once, and not one more. */
static void
assert_reachable(struct rte_mempool *mp, unsigned int n)
{
	struct hand h = { .mp = mp, .n = n };

	assert_int_equal(hand_get(&h), 0);
	assert_int_equal(hand_put(&h), 0);
	h.n++;
	assert_int_not_equal(hand_get(&h), 0);
}

static void
assert_limbo_empty(const struct ppool *p)
{
	assert_int_equal(p->limbo, PPOOL_NONE);
	assert_int_equal(p->nb_limbo, 0);
	assert_int_equal(p->shared_lock.stuck, 0);
}

/* The lock of the table of accounts, which is what the table begins with. */
static const struct ppool_mutex *
accounts_lock(void)
{
	return rte_memzone_lookup("ppool_accounts")->addr;
}

/* No lock names a process that has ended: the next one that starts may get its number. */
static void
assert_unlocked(const struct ppool *p)
{
	const struct ppool_lcore *lc;

	assert_int_equal(p->create_lock.holder, 0);
	assert_int_equal(p->carvers_lock.holder, 0);
	assert_int_equal(p->depot.lock.holder, 0);
	assert_int_equal(p->shared_lock.holder, 0);
	assert_int_equal(accounts_lock()->holder, 0);
	PPOOL_LCORE_FOREACH(p, lc)
		assert_int_equal(lc->lock.visitor.holder | lc->lock.busy, 0);
}

static void
recover_all(struct rte_mempool *mp)
{
	unit_recover_dead(mp, NULL);
	assert_int_equal(ppool_recover_rest(mp, NULL), 0);
	assert_unlocked(pool_of(mp));
	assert_limbo_empty(pool_of(mp));
	assert_int_equal(unit_ledger(mp).frags, 0);
	assert_true(unit_pool_whole(mp));
}

/* Tests of limbo */

/* All pages but one of the holder get there, one by one and at once; time and again. */
static void
test_limbo_full(void **state)
{
	struct rte_mempool *mp = limbo_pool(PAGES);
	const struct ppool *p = pool_of(mp);
	pid_t holder = child_start(mp, "get", 1, "thread");
	struct hand rest, mine = { .mp = mp, .n = 2 };
	unsigned int round;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		assert_int_equal(hand_get(&mine), 0);
		pages_share(mp);
		rest = hand_of_thread(mp, rte_mempool_avail_count(mp) - 1);
		/* It may find its own way out of limbo. */
		if (round == 0)
			CHILD_STEP_UNTIL_CHANGED(holder, &p->shared_lock.holder);
		else
			child_stop_in_shared(holder, p);
		for (; rest.n > PAGES / 2; rest.n--) {
			struct hand one = { .mp = mp, .n = 1, .obj = { rest.obj[rest.n - 1] } };

			assert_int_equal(unit_on_thread(hand_put, &one), 0);
		}
		assert_int_equal(unit_on_thread(hand_put, &rest), 0);
		assert_int_not_equal(p->limbo, PPOOL_NONE);
		assert_int_equal(p->nb_limbo, PAGES - mine.n - 1);
		/* Out of reach, but what an lcore has of its own is its own. */
		assert_int_not_equal(unit_on_thread(hand_get, &rest), 0);
		assert_int_equal(hand_put(&mine), 0);
		assert_int_equal(hand_get(&mine), 0);
		assert_int_equal(hand_put(&mine), 0);
		assert_int_equal(child_finish(holder), 0);
		assert_reachable(mp, PAGES - 1);
		assert_limbo_empty(p);
		child_undo(holder);
		assert_true(unit_pool_whole(mp));
	}
}

/* What is counted in limbo is not at hand: it may be about to get there. */
static void
test_limbo_not_at_hand(void **state)
{
	struct rte_mempool *mp = limbo_pool(PAGES);
	const struct ppool *p = pool_of(mp);
	pid_t holder = child_start(mp, "get", 1, "thread");
	pid_t putter = child_start(mp, "put", 8, "thread");
	/* More than there are without those that the other two have. */
	pid_t taker = child_start(mp, "get", PAGES - 8, "lcore");
	struct hand one;

	(void)state;
	pages_share(mp);
	one = hand_of_thread(mp, 1);
	child_stop_in_shared(holder, p);
	assert_int_equal(unit_on_thread(hand_put, &one), 0);
	CHILD_STEP_UNTIL_CHANGED(putter, &p->nb_limbo);
	assert_int_equal(child_finish(holder), 0);
	/* An lcore, which would trade magazines. */
	assert_int_not_equal(child_finish(taker), 0);
	assert_reachable(mp, PAGES - 8 - 1);
	assert_int_equal(child_finish(putter), 0);
	assert_reachable(mp, PAGES - 1);
	child_undo(holder);
	assert_limbo_empty(p);
	assert_true(unit_pool_whole(mp));
}

/* Who puts to limbo ends, with so many of its 3 pages there. The others find what is there. */
static void
putter_end(unsigned int there)
{
	struct rte_mempool *mp = limbo_pool(PAGES);
	const struct ppool *p = pool_of(mp);
	pid_t holder = child_start(mp, "get", 1, "thread");
	pid_t putter = child_start(mp, "put", 3, "thread");
	struct hand one;
	unsigned int i;

	pages_share(mp);
	one = hand_of_thread(mp, 1);
	child_stop_in_shared(holder, p);
	assert_int_equal(unit_on_thread(hand_put, &one), 0);
	if (there == 0)
		CHILD_STEP_UNTIL_CHANGED(putter, &p->nb_limbo);
	for (i = 0; i < there; i++)
		CHILD_STEP_UNTIL_CHANGED(putter, &p->limbo);
	child_kill(putter);
	assert_int_equal(child_finish(holder), 0);
	child_undo(holder);
	assert_reachable(mp, PAGES - 3 + there);
	recover_all(mp);
	child_kill(holder);
	unit_pool_free(mp);
}

static void
test_limbo_putter_ends(void **state)
{
	unsigned int there;

	(void)state;
	for (there = 0; there <= 3; there++)
		putter_end(there);
}

/* Who takes pages out of limbo ends behind a step; those who put them live, and have none. */
static void
test_limbo_drainer_ends(void **state)
{
	struct rte_mempool *mp = limbo_pool(PAGES);
	const struct ppool *p = pool_of(mp);
	const uint32_t * const step[] = { &p->limbo, &p->nb_loose, &p->nb_limbo };
	pid_t holder = child_start(mp, "get", 1, "thread");
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(step); i++) {
		pid_t drainer = child_start(mp, "get", 1, "thread");
		struct hand mine;

		pages_share(mp);
		mine = hand_of_thread(mp, 4);
		child_stop_in_shared(holder, p);
		assert_int_equal(unit_on_thread(hand_put, &mine), 0);
		assert_int_equal(child_finish(holder), 0);
		CHILD_STEP_UNTIL_CHANGED(drainer, step[i]);
		child_kill(drainer);
		child_undo(holder);
		recover_all(mp);
	}
}

/* The same of headers in the depot's limbo. What was put last is taken out first. */
static void
test_limbo_headers(void **state)
{
	struct rte_mempool *mp = limbo_pool(PAGES);
	const struct ppool *p = pool_of(mp);
	struct scene mine = { .hand.n = 4, .c = unit_carver(mp, MAX_LEN, 1) };
	pid_t holder = child_start(mp, "headers", 1, "thread");
	unsigned int step;

	(void)state;
	for (step = 0; step < 4; step++) {
		pid_t drainer = child_start(mp, "headers", 1, "thread");
		const struct ppool_page *pg;

		/* By a thread that is no lcore: the rest stays in the depot. */
		assert_int_equal(unit_on_thread(headers_get, &mine), 0);
		pg = &p->page[ppool_frag_of(mine.m[mine.hand.n - 1])->header_page];
		child_stop_in_depot(holder, p);
		assert_int_equal(unit_on_thread(headers_put, &mine), 0);
		assert_non_null(p->depot.limbo);
		assert_int_equal(child_finish(holder), 0);
		CHILD_STEP_UNTIL_CHANGED(drainer, &p->depot.limbo);
		if (step == 1)
			CHILD_STEP_UNTIL_CHANGED(drainer, &pg->idle_first);
		else if (step == 2)
			CHILD_STEP_UNTIL_CHANGED(drainer, &pg->idle);
		else if (step == 3)
			CHILD_STEP_UNTIL_CHANGED(drainer,
					&p->depot.size_class[PPOOL_HEADERS].nb_idle);
		child_kill(drainer);
		child_undo(holder);
		unit_recover_dead(mp, NULL);
		assert_int_equal(ppool_recover_rest(mp, NULL), 0);
		assert_null(p->depot.limbo);
		unit_ledger(mp);
	}
	child_kill(holder);
	unit_carver_free(mine.c);
	recover_all(mp);
}

/* Pages in limbo are in no list, but not lost: neither those of one who has ended, nor our own. */
static void
test_limbo_recover(void **state)
{
	struct rte_mempool *mp = limbo_pool(PAGES);
	const struct ppool *p = pool_of(mp);
	pid_t holder = child_start(mp, "get", 1, "thread");
	pid_t putter = child_start(mp, "put", 4, "thread");
	struct hand mine;

	(void)state;
	pages_share(mp);
	mine = hand_of_thread(mp, 2);
	child_stop_in_shared(holder, p);
	assert_int_equal(child_finish(putter), 0);
	assert_int_equal(unit_on_thread(hand_put, &mine), 0);
	assert_int_equal(p->nb_limbo, 4 + 2);
	child_kill(putter);
	assert_int_equal(child_finish(holder), 0);
	child_kill(holder);
	assert_int_equal(ppool_recover_rest(mp, NULL), 0);
	recover_all(mp);
}

/* While a process is stopped inside, nothing is taken back of others, and nothing is broken. */
static void
recover_refused(const char *op, const struct ppool_mutex *lock, struct rte_mempool *mp)
{
	pid_t holder = child_start(mp, op, 1, "thread");
	pid_t dead = child_start(mp, "put", 2, "thread");
	struct ppool_owner_info info[8];
	uint32_t process = 0;
	int i, n;

	pages_share(mp);
	child_kill(dead);
	n = ppool_owners_get(mp, info, RTE_DIM(info));
	for (i = 0; i < n; i++)
		if (info[i].dead)
			process = (uint32_t)info[i].process;
	CHILD_STEP_UNTIL_CHANGED(holder, &lock->holder);
	assert_int_equal(ppool_recover_process(mp, process, NULL), -EAGAIN);
	assert_int_equal(ppool_recover_rest(mp, NULL), -EAGAIN);
	assert_int_equal(child_finish(holder), 0);
	child_undo(holder);
	assert_int_equal(ppool_recover_process(mp, process, NULL), 0);
	child_kill(holder);
	recover_all(mp);
}

static void
test_recover_refused(void **state)
{
	struct rte_mempool *mp = limbo_pool(PAGES);
	struct ppool *p = mp->pool_data;

	(void)state;
	recover_refused("get", &p->shared_lock, mp);
	recover_refused("headers", &p->depot.lock, mp);
	recover_refused("slots", &p->depot.lock, mp);
}

/* A process ends with a lock, any one. */
static void
test_holder_ends(void **state)
{
	struct rte_mempool *mp = limbo_pool(PAGES);
	const struct ppool *p = pool_of(mp);
	const struct {
		const char *op;
		const struct ppool_mutex *lock;
	} locks[] = {
		{ "get", &p->shared_lock },
		{ "headers", &p->depot.lock },
		{ "slots", &p->depot.lock },
		{ "split", &p->create_lock },
		{ "stats", &p->carvers_lock },
		{ "account", accounts_lock() },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(locks); i++) {
		pid_t holder = child_start(mp, locks[i].op, 1, "thread");

		CHILD_STEP_UNTIL_CHANGED(holder, &locks[i].lock->holder);
		child_kill(holder);
		recover_all(mp);
	}
}

/*
 * An lcore ends when one magazine is in two places. Lists are those of the next process that gets
 * the number, which trades, too.
 */
static void
test_trade_ends(void **state)
{
	struct rte_mempool *mp;
	const struct ppool *p;
	pid_t child;

	(void)state;
	unit_require(!unit_debug_build(), "a release build: with checks it is millions of steps");
	mp = limbo_pool(MANY + PAGES);
	p = pool_of(mp);
	child = child_start(mp, "put", MANY, "lcore");
	CHILD_STEP_UNTIL_CHANGED(child, &p->magazine[0]);
	child_kill(child);
	recover_all(mp);
	child = child_start(mp, "put", MANY, "lcore");
	assert_int_equal(child_finish(child), 0);
	assert_true(unit_pool_whole(mp));
	child_kill(child);
	recover_all(mp);
}

/* Tests of the lists of an lcore */

/* Stop a visitor in our lists, and find out: we go on with others. */
static void
lists_desert(struct rte_mempool *mp, pid_t visitor, ppool_owner_t owner)
{
	struct ppool *p = mp->pool_data;
	struct ppool_lcore *lc;
	struct hand one[2] = { { .mp = mp, .n = 1 }, { .mp = mp, .n = 1 } };

	pages_own(mp);
	lc = p->lcore[owner];
	assert_int_equal(hand_get(&one[0]), 0);
	assert_int_equal(hand_get(&one[1]), 0);
	CHILD_STEP_UNTIL_CHANGED(visitor, &lc->lock.visitor.holder);
	CHILD_STEP_UNTIL_CHANGED(visitor, &lc->nb_pages);
	/* The visitor has the shared lock, too: this one gets into limbo. */
	assert_int_equal(hand_put(&one[0]), 0);
	assert_ptr_not_equal(p->lcore[owner], lc);
	/* This one is all that we can have. */
	assert_int_equal(hand_put(&one[1]), 0);
	assert_reachable(mp, 1);
}

/* The owner of all free pages. */
static ppool_owner_t
lists_owner(struct rte_mempool *mp)
{
	struct ppool *p = mp->pool_data;
	const struct ppool_lcore *lc;

	pages_own(mp);
	PPOOL_LCORE_FOREACH(p, lc)
		if (lc->nb_pages != 0)
			break;
	assert_non_null(lc);
	return lc->owner;
}

static unsigned int
lists_count(struct rte_mempool *mp, ppool_owner_t owner)
{
	struct ppool *p = mp->pool_data;
	const struct ppool_lcore *lc;
	unsigned int n = 0;

	PPOOL_LCORE_FOREACH(p, lc)
		n += lc->owner == owner;
	return n;
}

/* An lcore deserts its lists, time and again, and has them back later: it needs no third ones. */
static void
test_desert(void **state)
{
	struct rte_mempool *mp = limbo_pool(PAGES);
	pid_t visitor = child_start(mp, "get", PAGES / 4, "thread");
	ppool_owner_t owner = lists_owner(mp);
	unsigned int round;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		lists_desert(mp, visitor, owner);
		assert_int_equal(child_finish(visitor), 0);
		assert_reachable(mp, PAGES - PAGES / 4);
		child_undo(visitor);
		assert_limbo_empty(pool_of(mp));
		assert_true(unit_pool_whole(mp));
	}
	assert_int_equal(lists_count(mp, owner), 2);
}

/* The same where the visitor ends in the lists. The next process gets its number. */
static void
test_desert_ends(void **state)
{
	struct rte_mempool *mp = limbo_pool(PAGES);
	ppool_owner_t owner = lists_owner(mp);
	unsigned int round;
	pid_t visitor;

	(void)state;
	for (round = 0; round < ROUNDS; round++) {
		visitor = child_start(mp, "get", PAGES / 4, "thread");
		lists_desert(mp, visitor, owner);
		child_kill(visitor);
		recover_all(mp);
	}
	assert_int_equal(lists_count(mp, owner), 2);
}

/* Lists of a process that is stopped inside: others take what is there when it is out, or ends. */
static void
test_owner_stopped(void **state)
{
	struct rte_mempool *mp = limbo_pool(PAGES);
	struct ppool *p = mp->pool_data;
	pid_t owner = child_start(mp, "get", 4, "lcore");
	struct ppool_lcore *lc;
	const uint32_t *inside;

	(void)state;
	PPOOL_LCORE_FOREACH(p, lc)
		if (lc->lock.process != p->creator && lc->nb_pages != 0)
			break;
	assert_non_null(lc);
	assert_int_equal(lc->nb_pages, 4);
	inside = lc->lock.plain ? &lc->lock.visitor.holder : &lc->lock.busy;
	CHILD_STEP_UNTIL_CHANGED(owner, inside);
	assert_reachable(mp, PAGES - 4);
	assert_int_equal(child_finish(owner), 0);
	child_undo(owner);
	assert_true(unit_pool_whole(mp));
	assert_int_equal(lc->lock.stuck | lc->lock.visitor.stuck, 0);
	/* Its lists are empty now: it gets 4 pages, and has them there when it has put them. */
	assert_int_equal(child_finish(owner), 0);
	child_undo(owner);
	assert_int_equal(lc->nb_pages, 4);
	CHILD_STEP_UNTIL_CHANGED(owner, inside);
	assert_reachable(mp, PAGES - 4);
	child_kill(owner);
	assert_reachable(mp, PAGES);
	recover_all(mp);
}

/* Tests of slots */

static const struct ppool_class *
slot_class(const struct rte_mempool *mp)
{
	const struct ppool *p = pool_of(mp);

	return &p->depot.size_class[ppool_class_for(p, SLOT_ROOM)];
}

/* Our slots of two classes: half of them each, as many as fit into one page. */
struct slots {
	struct rte_mempool *view[2];
	struct rte_mbuf *m[8];
};

static struct slots
slots_of(struct rte_mempool *mp)
{
	struct slots s = { .view = { unit_slot_pool(mp, SLOT_ROOM),
					   unit_slot_pool(mp, OTHER_ROOM) } };

	return s;
}

static int
slots_take(void *arg)
{
	struct slots *s = arg;
	unsigned int i;

	for (i = 0; i < RTE_DIM(s->m); i++) {
		s->m[i] = rte_pktmbuf_alloc(s->view[i % 2]);
		if (s->m[i] == NULL)
			break;
		unit_fill_buf(s->m[i], i);
	}
	if (i == RTE_DIM(s->m))
		return 0;
	while (i > 0)
		rte_pktmbuf_free(s->m[--i]);
	return -ENOBUFS;
}

static int
slots_drop(void *arg)
{
	struct slots *s = arg;
	unsigned int i;

	for (i = 0; i < RTE_DIM(s->m); i++) {
		assert_true(unit_filled_buf(s->m[i], i));
		rte_pktmbuf_free(s->m[i]);
	}
	return 0;
}

/*
 * As with headers, of two classes: who takes them out of limbo ends behind a step. While the depot
 * is stuck, an lcore has its own slots, and nobody else waits for ever.
 */
static void
test_limbo_slots(void **state)
{
	struct rte_mempool *mp = limbo_pool_of(PAGES, SLOT_PAGE_ROOM);
	const struct ppool *p = pool_of(mp);
	unsigned int step, k = ppool_class_for(p, SLOT_ROOM), last;
	struct slots mine = slots_of(mp), own = slots_of(mp), none = slots_of(mp);
	pid_t holder = child_start(mp, "slots", 1, "thread");

	(void)state;
	for (step = 0; step < 4; step++) {
		pid_t drainer = child_start(mp, "slots", 1, "thread");
		const struct ppool_page *pg;

		assert_int_equal(slots_take(&own), 0);
		assert_int_equal(slots_drop(&own), 0);
		/* By a thread that is no lcore: the rest stays in the depot. */
		assert_int_equal(unit_on_thread(slots_take, &mine), 0);
		pg = &p->page[ppool_frag_of(mine.m[RTE_DIM(mine.m) - 1])->header_page];
		last = ppool_page_class(pg);
		child_stop_in_class(holder, p, k);
		assert_int_equal(unit_on_thread(slots_drop, &mine), 0);
		assert_non_null(p->depot.limbo);
		assert_int_not_equal(unit_on_thread(slots_take, &none), 0);
		assert_int_equal(slots_take(&own), 0);
		assert_int_equal(slots_drop(&own), 0);
		assert_int_equal(child_finish(holder), 0);
		CHILD_STEP_UNTIL_CHANGED(drainer, &p->depot.limbo);
		if (step == 1)
			CHILD_STEP_UNTIL_CHANGED(drainer, &pg->idle_first);
		else if (step == 2)
			CHILD_STEP_UNTIL_CHANGED(drainer, &pg->idle);
		else if (step == 3)
			CHILD_STEP_UNTIL_CHANGED(drainer, &p->depot.size_class[last].nb_idle);
		child_kill(drainer);
		child_undo(holder);
		unit_recover_dead(mp, NULL);
		assert_int_equal(ppool_recover_rest(mp, NULL), 0);
		assert_null(p->depot.limbo);
		assert_int_equal(unit_ledger(mp).class_slots, 0);
	}
	child_kill(holder);
	recover_all(mp);
}

/*
 * While a slot is in limbo its record is overwritten: that leads nowhere. What is lost by that is
 * freed once more, so that the books agree: a debug build would take it for a fault.
 */
static void
test_limbo_scribbled(void **state)
{
	struct rte_mempool *mp;
	const struct ppool *p;
	struct slots mine, own;
	struct rte_mbuf *m;
	uint32_t page;
	pid_t holder;

	(void)state;
	unit_require(!unit_debug_build(), "a release build: a debug build panics at a second free");
	mp = limbo_pool_of(PAGES, SLOT_PAGE_ROOM);
	p = pool_of(mp);
	mine = slots_of(mp);
	own = slots_of(mp);
	holder = child_start(mp, "slots", 1, "thread");
	assert_int_equal(unit_on_thread(slots_take, &mine), 0);
	child_stop_in_class(holder, p, ppool_class_for(p, SLOT_ROOM));
	assert_int_equal(unit_on_thread(slots_drop, &mine), 0);
	m = p->depot.limbo;
	assert_non_null(m);
	page = ppool_frag_of(m)->header_page;
	ppool_frag_of(m)->header_page = UINT32_MAX;
	assert_int_equal(child_finish(holder), 0);
	/* What is in limbo is taken out with the next lock. */
	assert_int_equal(unit_on_thread(slots_take, &own), 0);
	assert_null(p->depot.limbo);
	ppool_frag_of(m)->header_page = page;
	rte_pktmbuf_free(m);
	assert_int_equal(unit_on_thread(slots_drop, &own), 0);
	child_undo(holder);
	child_kill(holder);
	recover_all(mp);
}

/* The page that has become one of the class. */
static struct ppool_page *
slot_page(const struct rte_mempool *mp)
{
	const struct ppool *p = pool_of(mp);
	uint32_t i;

	for (i = 0; i < mp->size; i++)
		if (ppool_class_look(p, &p->page[i]) == slot_class(mp))
			return &p->page[i];
	fail_msg("no page was taken");
	return NULL;
}

enum format_step {
	PAGE_TAKEN,
	SLOT_WRITTEN, /* the first of those that are being formatted */
	FORMATTED,
	COUNTED,
	FORMAT_STEPS,
};

/* A process that formats the first slots of a page, up to a step. */
static pid_t
format_stop(struct rte_mempool *mp, enum format_step step)
{
	pid_t child = child_start(mp, "slots", 3, "thread");
	struct rte_mbuf *first;
	struct ppool_page *pg;

	CHILD_STEP_UNTIL_CHANGED(child, &slot_class(mp)->nb_pages);
	pg = slot_page(mp);
	assert_int_equal(pg->formatted, 0);
	first = ppool_slot_at(pool_of(mp), slot_class(mp), pg, 0);
	first->pool = NULL;
	if (step == SLOT_WRITTEN)
		CHILD_STEP_UNTIL_CHANGED(child, &first->pool);
	if (step >= FORMATTED)
		CHILD_STEP_UNTIL_CHANGED(child, &pg->formatted);
	if (step == COUNTED)
		CHILD_STEP_UNTIL_CHANGED(child, &pg->idle);
	assert_int_equal(pg->formatted, step >= FORMATTED ? 3 : 0);
	return child;
}

/* It goes on, or ends: the slots it was at are neither lost nor handed out twice. */
static void
format_end(enum format_step step, bool ends)
{
	struct rte_mempool *mp = limbo_pool_of(PAGES, SLOT_PAGE_ROOM);
	struct slots mine = slots_of(mp);
	pid_t child = format_stop(mp, step);

	/* Others go round it. */
	assert_int_not_equal(unit_on_thread(slots_take, &mine), 0);
	if (!ends)
		assert_int_equal(child_finish(child), 0);
	else
		child_kill(child);
	assert_int_equal(unit_on_thread(slots_take, &mine), 0);
	if (!ends) {
		child_undo(child);
		child_kill(child);
	}
	unit_recover_dead(mp, NULL);
	assert_int_equal(ppool_recover_rest(mp, NULL), 0);
	assert_int_equal(unit_ledger(mp).class_slots, RTE_DIM(mine.m));
	assert_int_equal(unit_on_thread(slots_drop, &mine), 0);
	recover_all(mp);
	unit_pool_free(mp);
}

static void
test_format_stopped(void **state)
{
	enum format_step step;

	(void)state;
	for (step = 0; step < FORMAT_STEPS; step++) {
		format_end(step, false);
		format_end(step, true);
	}
}

/* Take all slots that can be had. Returns how many. */
static unsigned int
slots_exhaust(struct rte_mempool *mp)
{
	struct rte_mempool *view = unit_slot_pool(mp, SLOT_ROOM);
	unsigned int n = 0, max = mp->size * slot_class(mp)->slots;
	struct rte_mbuf **m = calloc(max + 1, sizeof(*m));

	assert_non_null(m);
	while (n <= max && (m[n] = rte_pktmbuf_alloc(view)) != NULL)
		n++;
	rte_pktmbuf_free_bulk(m, n);
	free(m);
	return n;
}

/* The lists of a secondary. */
static struct ppool_lcore *
lists_of_child(const struct rte_mempool *mp)
{
	const struct ppool *p = pool_of(mp);
	struct ppool_lcore *lc;

	PPOOL_LCORE_FOREACH(p, lc)
		if (lc->lock.process != p->creator)
			break;
	assert_non_null(lc);
	return lc;
}

/* Slots in the lists of a process that is stopped inside: others have them when it is out. */
static void
test_slots_owner_stopped(void **state)
{
	struct rte_mempool *mp = limbo_pool_of(PAGES, SLOT_PAGE_ROOM);
	pid_t owner = child_start(mp, "slots", 4, "lcore");
	unsigned int k = ppool_class_for(pool_of(mp), SLOT_ROOM), slots = slot_class(mp)->slots;
	struct ppool_lcore *lc = lists_of_child(mp);
	const uint32_t *inside = lc->lock.plain ? &lc->lock.visitor.holder : &lc->lock.busy;

	(void)state;
	assert_int_equal(child_finish(owner), 0);
	child_undo(owner);
	assert_in_range(lc->nb_slots[k], 4, PPOOL_LCORE_SLOTS);
	CHILD_STEP_UNTIL_CHANGED(owner, inside);
	/* Neither these nor its free pages. */
	assert_int_equal(slots_exhaust(mp), (PAGES - lc->nb_pages) * slots - lc->nb_slots[k]);
	assert_int_equal(child_finish(owner), 0);
	child_undo(owner);
	assert_int_equal(slots_exhaust(mp), PAGES * slots);
	assert_int_equal(lc->nb_slots[k], 0);
	/* It has slots again, and ends inside. */
	assert_int_equal(child_finish(owner), 0);
	child_undo(owner);
	assert_in_range(lc->nb_slots[k], 4, PPOOL_LCORE_SLOTS);
	CHILD_STEP_UNTIL_CHANGED(owner, inside);
	child_kill(owner);
	assert_int_equal(slots_exhaust(mp), PAGES * slots);
	recover_all(mp);
}

/* A process comes for the slots of this lcore, and is stopped there: we go on with other lists. */
static void
visitor_stop(bool ends)
{
	struct rte_mempool *mp = limbo_pool_of(PAGES, SLOT_PAGE_ROOM);
	unsigned int k = ppool_class_for(pool_of(mp), SLOT_ROOM), n = slot_class(mp)->slots;
	struct rte_mempool *view = unit_slot_pool(mp, SLOT_ROOM);
	pid_t visitor = child_start(mp, "slots", n, "thread");
	struct hand rest = { .mp = mp };
	struct ppool_lcore *lc = NULL;
	struct rte_mbuf *m;

	rte_pktmbuf_free(rte_pktmbuf_alloc(view));
	/* The slots of one page, in our lists and in the depot. */
	PPOOL_LCORE_FOREACH(pool_of(mp), lc)
		if (lc->nb_slots[k] != 0)
			break;
	assert_non_null(lc);
	rest.n = PAGES - 1;
	assert_int_equal(hand_get(&rest), 0);
	CHILD_STEP_UNTIL_CHANGED(visitor, &lc->lock.visitor.holder);
	CHILD_STEP_UNTIL_CHANGED(visitor, &lc->nb_slots[k]);
	assert_null(rte_pktmbuf_alloc(view));
	rest.n--;
	rte_mempool_put(mp, rest.obj[rest.n]);
	m = rte_pktmbuf_alloc(view);
	assert_non_null(m);
	unit_fill_buf(m, 1);
	if (ends)
		child_kill(visitor);
	else
		assert_int_equal(child_finish(visitor), 0);
	assert_true(unit_filled_buf(m, 1));
	rte_pktmbuf_free(m);
	if (!ends) {
		child_undo(visitor);
		child_kill(visitor);
	}
	assert_int_equal(hand_put(&rest), 0);
	recover_all(mp);
	unit_pool_free(mp);
}

static void
test_slots_visitor_stopped(void **state)
{
	(void)state;
	visitor_stop(false);
	visitor_stop(true);
}

#define LIMBO_TEST(f) cmocka_unit_test_setup_teardown(f, limbo_setup, limbo_teardown)

static const struct CMUnitTest tests[] = {
	LIMBO_TEST(test_limbo_full),
	LIMBO_TEST(test_limbo_not_at_hand),
	LIMBO_TEST(test_limbo_putter_ends),
	LIMBO_TEST(test_limbo_drainer_ends),
	LIMBO_TEST(test_limbo_headers),
	LIMBO_TEST(test_limbo_recover),
	LIMBO_TEST(test_recover_refused),
	LIMBO_TEST(test_holder_ends),
	LIMBO_TEST(test_trade_ends),
	LIMBO_TEST(test_desert),
	LIMBO_TEST(test_desert_ends),
	LIMBO_TEST(test_owner_stopped),
	LIMBO_TEST(test_limbo_slots),
	LIMBO_TEST(test_limbo_scribbled),
	LIMBO_TEST(test_format_stopped),
	LIMBO_TEST(test_slots_owner_stopped),
	LIMBO_TEST(test_slots_visitor_stopped),
};

UNIT_SUITE(limbo, "a process is stopped in the midst of a change, others go round it", tests);
