/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Other processes beside a primary that works: on the same lcore number, looking on, stopped,
 * killed at any moment. Every mbuf carries a pattern that is verified before it is freed; what a
 * process held that was killed is taken back, and the ledger is exact.
 */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_launch.h>

#include <ppool_create.h>
#include <ppool_recover.h>
#include <ppool_slot.h>

#include "commands.h"
#include "unit.h"
#include "unit_child.h"

#define MINE_MAX 192u
#define LEN_MIN 16u
#define MAX_LEN 1500u
#define ACCOUNT "unit_company"
#define NULL_PORT "net_null9"
/* Whole pages that a process takes and keeps, and so many pages of headers. */
#define TAKEN 4u
#define TAKEN_HEADER_PAGES 8u
/* Secondaries that get numbers of their own: the primary has one of 16. */
#define NUMBERED 15u
#define GUEST_BULK 8u
#define GUEST_POOL 300u
/* How many steps the primary must come forward, and for how long it may take for that. */
#define PROGRESS 2000u
#define PROGRESS_SECONDS 30u
/* How long a secondary may take to start: EAL waits for others that are about to, too. */
#define START_SECONDS 120u
/* How long somebody looks on in a long run, in each of two ways. */
#define LOOK_SECONDS 600u

/* What works: in the primary on a worker lcore, in the secondary on its only one. */
struct busy {
	struct rte_mempool *mp, *frag_mp;
	struct rte_mempool *view[3];            /* of slots: long ones, shorter ones, short ones */
	struct rte_ring *to_other, *from_other; /* single producer, single consumer */
	uint16_t account;                       /* what is passed to the other is charged to it */
	bool primary;
	struct ppool_carver *c;
	uint64_t rng;
	unsigned int n;
	struct rte_mbuf *mine[MINE_MAX];
	uint64_t steps; /* atomic */
	uint32_t stop;  /* atomic */
	const char *error;
};

/* Patterns: the tag travels in the data. */

static void
mbuf_sign(struct busy *b, struct rte_mbuf *m, uint16_t len)
{
	uint64_t tag = unit_random(&b->rng);
	char *data = rte_pktmbuf_append(m, len);

	if (data == NULL) {
		b->error = "an mbuf without room";
		return;
	}
	memcpy(data, &tag, sizeof(tag));
	unit_fill(data + sizeof(tag), len - sizeof(tag), tag);
	b->mine[b->n++] = m;
}

static void
mbuf_verify(struct busy *b, const struct rte_mbuf *m)
{
	const char *data = rte_pktmbuf_mtod(m, const char *);
	uint64_t tag;

	memcpy(&tag, data, sizeof(tag));
	if (m->data_len < LEN_MIN || m->data_len != m->pkt_len)
		b->error = "a header was overwritten";
	else if (!unit_filled(data + sizeof(tag), m->data_len - sizeof(tag), tag))
		b->error = "a packet was overwritten";
}

/* Steps */

static uint32_t
len_random(struct busy *b)
{
	return unit_range(&b->rng, LEN_MIN, MAX_LEN);
}

static void
step_carve(struct busy *b)
{
	unsigned int i, n = RTE_MIN(unit_range(&b->rng, 1, 32), MINE_MAX - b->n);
	struct rte_mbuf *m[32];
	uint32_t len[32];

	for (i = 0; i < n; i++)
		len[i] = len_random(b);
	n = ppool_carve_burst(b->c, m, len, n);
	for (i = 0; i < n; i++)
		mbuf_sign(b, m[i], (uint16_t)len[i]);
}

static void
step_alloc(struct busy *b, struct rte_mempool *mp)
{
	struct rte_mbuf *m = b->n == MINE_MAX ? NULL : rte_pktmbuf_alloc(mp);

	if (m != NULL)
		mbuf_sign(b, m, (uint16_t)len_random(b));
}

/* Slots of one class, or of larger ones. */
static void
step_slots(struct busy *b)
{
	unsigned int i, n = RTE_MIN(unit_range(&b->rng, 1, 40), MINE_MAX - b->n);
	struct rte_mempool *view = b->view[unit_range(&b->rng, 0, RTE_DIM(b->view) - 1)];
	struct rte_mbuf *m[40];

	if (rte_pktmbuf_alloc_bulk(view, m, n) != 0)
		return;
	for (i = 0; i < n; i++)
		mbuf_sign(b, m[i],
				(uint16_t)unit_range(&b->rng, LEN_MIN, rte_pktmbuf_tailroom(m[i])));
}

static void
step_free(struct busy *b, unsigned int n)
{
	unsigned int i;

	n = RTE_MIN(n, b->n);
	unit_shuffle((void **)b->mine, b->n, &b->rng);
	for (i = b->n - n; i < b->n; i++)
		mbuf_verify(b, b->mine[i]);
	b->n -= n;
	if (unit_range(&b->rng, 0, 1) == 0)
		rte_pktmbuf_free_bulk(b->mine + b->n, n);
	else
		for (i = 0; i < n; i++)
			rte_pktmbuf_free(b->mine[b->n + i]);
}

/* A page that the other process has cannot be charged to its account, frags and slots can. */
static bool
may_be_charged(const struct busy *b, const struct rte_mbuf *m)
{
	return m->pool == b->frag_mp || ppool_is_slot_pool(m->pool);
}

static void
step_pass(struct busy *b)
{
	struct rte_mbuf *m;

	if (b->n == 0 || !may_be_charged(b, b->mine[b->n - 1]))
		return;
	m = b->mine[b->n - 1];
	/* Before it is out of our hands: it is the other's from then on. */
	if (b->primary && ppool_account_of(m) != b->account &&
			ppool_account_charge(b->account, &m, 1) != 1)
		return;
	if (rte_ring_sp_enqueue(b->to_other, m) == 0)
		b->n--;
}

static void
step_receive(struct busy *b)
{
	struct rte_mbuf *m[8];
	unsigned int i, n = RTE_MIN(8u, MINE_MAX - b->n);

	n = rte_ring_sc_dequeue_burst(b->from_other, (void **)m, n, NULL);
	ppool_claim(m, n);
	for (i = 0; i < n; i++)
		b->mine[b->n++] = m[i];
}

static void
step_charge(struct busy *b)
{
	unsigned int n = RTE_MIN(8u, b->n);

	/* What belongs to no other account; pages of the pool are foreign to accounts. */
	if (!b->primary && n > 0 && may_be_charged(b, b->mine[b->n - 1]))
		ppool_account_charge(b->account, &b->mine[b->n - 1], 1);
}

static void
busy_step(struct busy *b)
{
	switch (unit_range(&b->rng, 0, 12)) {
	case 0:
	case 1:
		step_carve(b);
		break;
	case 10:
	case 11:
		step_slots(b);
		break;
	case 2:
		step_alloc(b, b->mp);
		break;
	case 3:
		step_alloc(b, b->frag_mp);
		break;
	case 4:
		step_free(b, 1);
		break;
	case 5:
		step_free(b, unit_range(&b->rng, 1, 32));
		break;
	case 6:
		step_pass(b);
		break;
	case 7:
		step_receive(b);
		break;
	case 8:
		step_charge(b);
		break;
	default:
		/* Everything, so that pages come back. */
		if (unit_range(&b->rng, 0, 15) == 0)
			step_free(b, MINE_MAX);
		break;
	}
	__atomic_store_n(&b->steps, b->steps + 1, __ATOMIC_RELAXED);
}

static struct ppool_carver *
carver_new(struct rte_mempool *mp)
{
	const struct ppool_carver_conf conf = {
		.max_len = MAX_LEN,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = 4,
		.port = RTE_MBUF_PORT_INVALID,
		.socket_id = SOCKET_ID_ANY,
	};

	return ppool_carver_create(mp, &conf);
}

/* Work until told to stop, then leave nothing. */
static int
busy_run(void *arg)
{
	struct busy *b = arg;
	unsigned int i;

	for (i = 0; i < RTE_DIM(b->view); i++)
		b->view[i] = ppool_slot_pool(b->mp, (uint16_t)(MAX_LEN >> 2 * i));

	/* The other process may have all there is. */
	while ((b->c = carver_new(b->mp)) == NULL &&
			__atomic_load_n(&b->stop, __ATOMIC_RELAXED) == 0)
		rte_delay_us_sleep(1000);
	while (b->error == NULL && __atomic_load_n(&b->stop, __ATOMIC_RELAXED) == 0)
		busy_step(b);
	step_free(b, MINE_MAX);
	ppool_carver_free(b->c);
	return 0;
}

/* The secondary's side */

static int
company_work(struct rte_mempool *mp, char **args)
{
	struct busy b = {
		.mp = mp,
		.frag_mp = ppool_frag_pool(mp),
		.from_other = rte_ring_lookup(args[2]),
		.to_other = rte_ring_lookup(args[3]),
		.account = ppool_account_lookup(ACCOUNT),
		.rng = rte_rdtsc(),
	};

	if (b.from_other == NULL || b.to_other == NULL || b.frag_mp == NULL) {
		fprintf(stderr, "unit-company: no rings or no frag pool\n");
		return EXIT_FAILURE;
	}
	busy_run(&b);
	fprintf(stderr, "unit-company: %s\n", b.error);
	return EXIT_FAILURE;
}

/* As tools do that show mempools. */
static int
company_look(struct rte_mempool *mp)
{
	struct rte_mempool *frag_mp = ppool_frag_pool(mp);
	volatile unsigned int sum = 0;

	for (;;) {
		sum += rte_mempool_avail_count(mp);
		sum += rte_mempool_in_use_count(frag_mp);
	}
	return (int)sum;
}

/* Make a carver, pass it on, and wait to be killed. */
static int
company_leave(struct rte_mempool *mp, char **args)
{
	struct rte_ring *r = rte_ring_lookup(args[2]);
	struct ppool_carver *c = carver_new(mp);

	if (r == NULL || c == NULL || rte_ring_sp_enqueue(r, c) != 0)
		return EXIT_FAILURE;
	for (;;)
		pause();
}

/* Be a process that has done nothing yet, and look for others that have ended. */
static int
company_mourn(struct rte_mempool *mp)
{
	struct ppool_owner_info info[64];
	int i, n = ppool_owners_get(mp, info, RTE_DIM(info));

	for (i = 0; i < n; i++)
		if (info[i].dead && info[i].pid != 0)
			return EXIT_SUCCESS;
	return EXIT_FAILURE;
}

/* Use a pool, and leave nothing. */
static int
company_touch(struct rte_mempool *mp)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);

	rte_pktmbuf_free(m);
	return m == NULL ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* End with pages and headers in hand. */
static int
company_take(struct rte_mempool *mp)
{
	struct ppool_carver *c = carver_new(mp);
	struct rte_mbuf *m[TAKEN], **header;
	struct ppool_layout layout;
	unsigned int n;

	if (c == NULL || ppool_layout_get(mp, &layout) != 0)
		return EXIT_FAILURE;
	n = TAKEN_HEADER_PAGES * layout.slots;
	header = calloc(n, sizeof(*header));
	if (header == NULL || ppool_headers_get(c, header, n) != n ||
			rte_pktmbuf_alloc_bulk(mp, m, TAKEN) != 0)
		return EXIT_FAILURE;
	kill(getpid(), SIGKILL);
	return EXIT_FAILURE;
}

/* Take pages, say so, and keep them; or put and take others until killed. */
static int
company_keep(struct rte_mempool *mp, char **args)
{
	struct rte_ring *say = rte_ring_lookup(args[2]);
	struct rte_mbuf *m[TAKEN];
	void *obj[GUEST_BULK];

	if (say == NULL || rte_pktmbuf_alloc_bulk(mp, m, TAKEN) != 0 ||
			rte_ring_sp_enqueue(say, m[0]) != 0)
		return EXIT_FAILURE;
	while (strcmp(args[0], "keep") == 0)
		pause();
	for (;;)
		if (rte_mempool_get_bulk(mp, obj, GUEST_BULK) == 0)
			rte_mempool_put_bulk(mp, obj, GUEST_BULK);
	return EXIT_FAILURE;
}

/* Look on, with the list of carvers locked nearly all the time. */
static int
company_stats(struct rte_mempool *mp, char **args)
{
	struct rte_ring *say = rte_ring_lookup(args[2]);
	struct ppool_stats stats;

	if (say == NULL || rte_ring_sp_enqueue(say, mp) != 0)
		return EXIT_FAILURE;
	while (ppool_stats_get(mp, &stats) == 0)
		;
	return EXIT_FAILURE;
}

static int
company_run(char **args)
{
	struct rte_mempool *mp = rte_mempool_lookup(args[1]);

	if (mp == NULL || ppool_attach(mp) != 0) {
		fprintf(stderr, "unit-company: no pool %s\n", args[1]);
		return EXIT_FAILURE;
	}
	if (strcmp(args[0], "look") == 0)
		return company_look(mp);
	if (strcmp(args[0], "leave") == 0)
		return company_leave(mp, args);
	if (strcmp(args[0], "mourn") == 0)
		return company_mourn(mp);
	if (strcmp(args[0], "touch") == 0)
		return company_touch(mp);
	if (strcmp(args[0], "take") == 0)
		return company_take(mp);
	if (strcmp(args[0], "stats") == 0)
		return company_stats(mp, args);
	if (strcmp(args[0], "work") == 0)
		return company_work(mp, args);
	return company_keep(mp, args);
}

static const struct opt company_opts[] = { { .name = NULL } };

const struct command cmd_unit_company = {
	.name = "unit-company",
	.synopsis = "look|leave|mourn|touch|take|stats|keep|spin|work POOL [RING [RING]]",
	.help = "the secondary process of the unit suite 'company'",
	.opts = company_opts,
	.max_args = 4,
	.hidden = true,
	.run = company_run,
};

/* The primary's side */

static bool
waits_for_steps(const struct busy *b)
{
	uint64_t from = __atomic_load_n(&b->steps, __ATOMIC_RELAXED);
	unsigned int ms;

	for (ms = 0; ms < PROGRESS_SECONDS * 1000; ms++) {
		if (__atomic_load_n(&b->steps, __ATOMIC_RELAXED) - from >= PROGRESS)
			return true;
		rte_delay_us_sleep(1000);
	}
	return false;
}

/* The first worker lcore. */
static unsigned int
worker_lcore(void)
{
	return rte_get_next_lcore(-1, 1, 0);
}

static void
busy_start(struct busy *b)
{
	assert_int_equal(rte_eal_remote_launch(busy_run, b, worker_lcore()), 0);
}

static void
busy_stop(struct busy *b)
{
	__atomic_store_n(&b->stop, 1, __ATOMIC_RELAXED);
	rte_eal_wait_lcore(worker_lcore());
	if (b->error != NULL)
		fail_msg("primary: %s", b->error);
}

static struct rte_ring *
ring_new(void)
{
	struct rte_ring *r = rte_ring_create(unit_name(), 256, SOCKET_ID_ANY,
			RING_F_SP_ENQ | RING_F_SC_DEQ);

	assert_non_null(r);
	return r;
}

/* Free what one of two processes has put into a ring and the other has not taken out. */
static void
ring_end(struct rte_ring *r)
{
	struct rte_mbuf *m;

	while (rte_ring_sc_dequeue(r, (void **)&m) == 0) {
		ppool_claim(&m, 1);
		rte_pktmbuf_free(m);
	}
	rte_ring_free(r);
}

struct round {
	struct rte_mempool *mp;
	unsigned int lcore; /* of the secondary */
	bool stop;          /* it before it is killed */
	struct ppool_recovered recovered;
	uint64_t *rng;
};

/* Let a secondary work beside the primary, end it at a random moment, take back what it had. */
static void
round_run(struct round *round)
{
	struct busy b = {
		.mp = round->mp,
		.frag_mp = ppool_frag_pool(round->mp),
		.to_other = ring_new(),
		.from_other = ring_new(),
		.account = ppool_account_create(ACCOUNT, PPOOL_ACCOUNT_UNLIMITED),
		.primary = true,
		.rng = unit_random(round->rng),
	};
	const char * const args[] = { "unit-company", "work", round->mp->name, b.to_other->name,
		b.from_other->name, NULL };
	pid_t child = unit_child_start(UNIT_SELF, round->lcore, args);
	unsigned int ms;

	busy_start(&b);
	for (ms = 0; ms < PROGRESS_SECONDS * 1000 && rte_ring_empty(b.from_other); ms++)
		rte_delay_us_sleep(1000);
	rte_delay_us_sleep(unit_range(round->rng, 0, 20000));
	if (round->stop) {
		assert_int_equal(kill(child, SIGSTOP), 0);
		assert_true(waits_for_steps(&b));
		assert_int_equal(kill(child, SIGCONT), 0);
		assert_true(waits_for_steps(&b));
	}
	unit_child_kill(child);
	assert_true(waits_for_steps(&b));
	/* While the primary works. */
	unit_recover_dead(round->mp, &round->recovered);
	assert_true(waits_for_steps(&b));
	busy_stop(&b);
	ring_end(b.to_other);
	ring_end(b.from_other);
	assert_int_equal(ppool_recover_account(b.account, &round->recovered), 0);
	assert_int_equal(ppool_recover_rest(round->mp, &round->recovered), 0);
	assert_int_equal(unit_ledger(round->mp).frags, 0);
	assert_true(unit_pool_whole(round->mp));
	assert_int_equal(ppool_account_free(b.account), 0);
}

static void
rounds_run(struct round *round, unsigned int n)
{
	uint64_t rng = unit_seed;
	unsigned int i;

	unit_require_secondary();
	unit_require(unit_workers() >= 1, "two lcores");
	unit_require(!unit_debug_build(), "a release build: a debug build panics at what is lost");
	unit_forgive_heap();
	round->rng = &rng;
	for (i = 0; i < n; i++)
		round_run(round);
	print_message("taken back: %" PRIu64 " frags, %" PRIu64 " pages, %" PRIu64
		      " headers, %" PRIu64 " carvers\n",
			round->recovered.frags, round->recovered.pages, round->recovered.headers,
			round->recovered.carvers);
	/* It would not be a test of taking back otherwise. */
	assert_true(round->recovered.frags > 0 && round->recovered.carvers > 0);
}

/* The secondary has the number of the primary's lcore that works. */
static void
test_kill(void **state)
{
	struct round round = { .lcore = worker_lcore() };

	(void)state;
	round.mp = unit_pool(200, 16384, 0, 0);
	rounds_run(&round, unit_scaled(6, 100));
}

/* Small pages and few of them: lists of others are visited all the time. */
static void
test_kill_short(void **state)
{
	struct round round = { .lcore = worker_lcore() };

	(void)state;
	round.mp = unit_pool(240, 2304, 0, 0);
	rounds_run(&round, unit_scaled(5, 50));
}

/* rte_mempool's caches go by the number of the lcore: with one, it has to be another. */
static void
test_kill_cached(void **state)
{
	struct round round = { .lcore = unit_free_lcore() };

	(void)state;
	round.mp = unit_pool(400, 4096, 32, 0);
	rounds_run(&round, unit_scaled(5, 50));
}

static void
test_stop(void **state)
{
	struct round round = { .lcore = worker_lcore(), .stop = true };

	(void)state;
	round.mp = unit_pool(300, 2304, 0, 0);
	rounds_run(&round, unit_scaled(4, 20));
}

/* A carver whose process has ended. */
static struct ppool_carver *
carver_inherit(struct rte_mempool *mp)
{
	struct rte_ring *r = ring_new();
	const char * const args[] = { "unit-company", "leave", mp->name, r->name, NULL };
	pid_t child = unit_child_start(UNIT_SELF, worker_lcore(), args);
	void *c = NULL;
	unsigned int ms;

	for (ms = 0; ms < PROGRESS_SECONDS * 1000 && rte_ring_sc_dequeue(r, &c) != 0; ms++)
		rte_delay_us_sleep(1000);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, NULL, 0), child);
	rte_ring_free(r);
	assert_non_null(c);
	return c;
}

static uint64_t
headers_of_dead(struct rte_mempool *mp)
{
	struct ppool_owner_info info[64];
	int i, n = ppool_owners_get(mp, info, RTE_DIM(info));
	uint64_t headers = 0;

	assert_in_range(n, 0, RTE_DIM(info));
	for (i = 0; i < n; i++)
		headers += info[i].dead ? info[i].idle_headers : 0;
	return headers;
}

/* Headers that a carver keeps belong to who drives it, also where they are used at last. */
static void
test_inherit_carver(void **state)
{
	struct rte_mempool *mp = unit_pool(8, 16384, 0, 0);
	struct rte_mbuf *m[1024];
	struct ppool_recovered r = { .frags = 0 };
	struct ppool_carver *c;
	unsigned int got, n;
	void *obj[8];

	(void)state;
	unit_require_secondary();
	unit_require(unit_workers() >= 1, "two lcores");
	unit_forgive_heap();
	assert_non_null(ppool_frag_pool(mp));
	c = carver_inherit(mp);
	assert_true(headers_of_dead(mp) > 0);
	/* No page for others: all headers there are, those that the carver keeps at last. */
	for (n = 0; n < RTE_DIM(obj) && rte_mempool_get(mp, &obj[n]) == 0; n++)
		;
	got = ppool_headers_get(c, m, RTE_DIM(m));
	assert_in_range(got, 1, RTE_DIM(m) - 1);
	assert_int_equal(headers_of_dead(mp), 0);
	ppool_headers_put(c, m, got);
	rte_mempool_put_bulk(mp, obj, n);
	ppool_carver_free(c);
	unit_recover_dead(mp, &r);
	assert_int_equal(ppool_recover_rest(mp, &r), 0);
	assert_int_equal(r.headers, 0);
	assert_true(unit_pool_whole(mp));
}

/* A process that has used no pool yet knows who has ended. */
static void
test_mourn(void **state)
{
	struct rte_mempool *mp = unit_pool(8, 16384, 0, 0);
	const char * const args[] = { "unit-company", "mourn", mp->name, NULL };
	struct ppool_recovered r = { .frags = 0 };

	(void)state;
	unit_require_secondary();
	unit_require(unit_workers() >= 1, "two lcores");
	unit_forgive_heap();
	assert_non_null(ppool_frag_pool(mp));
	carver_inherit(mp);
	assert_int_equal(unit_child_wait(unit_child_start(UNIT_SELF, unit_free_lcore(), args)), 0);
	unit_recover_dead(mp, &r);
	assert_int_equal(ppool_recover_rest(mp, &r), 0);
	assert_int_equal(r.carvers, 1);
	assert_true(unit_pool_whole(mp));
}

/* Somebody looks on while lcore 0 works: another thread starts who does. */

struct look {
	struct busy busy;
	const char *failed;
	void (*run)(struct look *l);
};

static void *
look_thread(void *arg)
{
	struct look *l = arg;

	l->run(l);
	__atomic_store_n(&l->busy.stop, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void
look_run(void (*run)(struct look *l))
{
	struct look l = { .busy = { .primary = true, .rng = unit_seed }, .run = run };
	struct busy *b = &l.busy;
	pthread_t thread;

	b->mp = unit_pool(200, 4096, 0, 0);
	b->frag_mp = ppool_frag_pool(b->mp);
	b->to_other = ring_new();
	b->from_other = ring_new();
	assert_int_equal(pthread_create(&thread, NULL, look_thread, &l), 0);
	busy_run(b);
	pthread_join(thread, NULL);
	ring_end(b->to_other);
	ring_end(b->from_other);
	if (b->error != NULL || l.failed != NULL)
		fail_msg("%s", b->error != NULL ? b->error : l.failed);
	/* Who only looks has nothing to take back. */
	assert_int_equal(unit_recover_dead(b->mp, NULL), 0);
}

static void
look_count(struct look *l)
{
	pid_t child = unit_child_start(UNIT_SELF, 0,
			(const char * const[]){ "unit-company", "look", l->busy.mp->name, NULL });

	rte_delay_us_sleep(unit_scaled(2, LOOK_SECONDS) * 1000000);
	if (waitpid(child, NULL, WNOHANG) != 0)
		l->failed = "who looks has ended by itself";
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void
test_look(void **state)
{
	(void)state;
	unit_require_secondary();
	unit_forgive_heap();
	look_run(look_count);
}

/* The stock tool, which knows nothing of us. */
static void
look_proc_info(struct look *l)
{
	uint64_t end = rte_get_timer_cycles() + unit_scaled(3, LOOK_SECONDS) * rte_get_timer_hz();
	char show[64];

	snprintf(show, sizeof(show), "--show-mempool=%s", l->busy.mp->name);
	while (rte_get_timer_cycles() < end && l->failed == NULL)
		if (unit_child_wait(unit_child_start("dpdk-proc-info", UNIT_LCORE_DEFAULT,
				    (const char * const[]){ show, NULL })) != 0)
			l->failed = "dpdk-proc-info fails";
}

static void
test_proc_info(void **state)
{
	(void)state;
	unit_require_secondary();
	unit_require_stock("dpdk-proc-info");
	unit_forgive_heap();
	/* It ends at once where there is no port. */
	assert_int_equal(rte_eal_hotplug_add("vdev", NULL_PORT, ""), 0);
	look_run(look_proc_info);
	rte_eal_hotplug_remove("vdev", NULL_PORT);
}

/* What a process had in hand that has ended; all others keep what they have. */

/* A process that takes pages and headers, and ends with them. */
static void
take_run(struct rte_mempool *mp)
{
	const char * const args[] = { "unit-company", "take", mp->name, NULL };
	pid_t child = unit_child_start(UNIT_SELF, unit_free_lcore(), args);
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* Everything that is to be had; returns how much that is. */
static unsigned int
pages_count(struct rte_mempool *mp)
{
	void **obj = calloc(mp->size, sizeof(*obj));
	unsigned int i, n = 0;

	assert_non_null(obj);
	while (n < mp->size && rte_mempool_get(mp, &obj[n]) == 0)
		n++;
	for (i = 0; i < n; i++)
		rte_mempool_put(mp, obj[i]);
	free(obj);
	return n;
}

static void
rest_run(struct rte_mempool *mp, struct ppool_recovered *r)
{
	unit_recover_dead(mp, r);
	assert_int_equal(ppool_recover_rest(mp, r), 0);
}

static void
company_require(void)
{
	unit_require_secondary();
	unit_require(!unit_debug_build(), "a release build: a debug build panics at what is lost");
	unit_forgive_heap();
}

static void
test_rest(void **state)
{
	struct rte_mempool *mp = unit_pool(100, 2304, 0, 0);
	struct ppool_recovered r = { .frags = 0 };
	struct rte_mbuf *mine[TAKEN];

	(void)state;
	company_require();
	assert_non_null(ppool_frag_pool(mp));
	take_run(mp);
	/* Taken by the lcore that calls. */
	assert_int_equal(rte_pktmbuf_alloc_bulk(mp, mine, TAKEN), 0);
	rest_run(mp, &r);
	/* So many headers that their pages go home. */
	assert_true(r.headers >= TAKEN_HEADER_PAGES);
	assert_true(r.pages >= TAKEN);
	assert_int_equal(pages_count(mp), mp->size - TAKEN);
	rte_pktmbuf_free_bulk(mine, TAKEN);
}

/* A process comes before the pool is split, another one afterwards. */
static void
test_unsplit(void **state)
{
	struct rte_mempool *mp = unit_pool(100, 2304, 0, 0);
	const char * const args[] = { "unit-company", "touch", mp->name, NULL };
	struct ppool_recovered r = { .frags = 0 };

	(void)state;
	company_require();
	assert_int_equal(unit_child_wait(unit_child_start(UNIT_SELF, unit_free_lcore(), args)), 0);
	assert_non_null(ppool_frag_pool(mp));
	take_run(mp);
	rest_run(mp, &r);
	assert_true(r.pages >= TAKEN);
}

/* More processes than there are numbers. */

/* Start one; it has taken its pages when this returns. */
static pid_t
keep_start(struct rte_mempool *mp, const char *deed, struct rte_ring *said)
{
	const char * const args[] = { "unit-company", deed, mp->name, said->name, NULL };
	pid_t child = unit_child_start(UNIT_SELF, 0, args);
	unsigned int ms;
	void *obj;

	for (ms = 0; ms < START_SECONDS * 1000; ms++) {
		if (rte_ring_sc_dequeue(said, &obj) == 0)
			return child;
		rte_delay_us_sleep(1000);
	}
	fail_msg("a secondary does not start");
	return child;
}

/* Two that share the lock of what is shared; each is killed at a random moment. */
static void
guests_kill(struct rte_mempool *mp, struct rte_ring *said, uint64_t *rng)
{
	pid_t guest[2] = { keep_start(mp, "spin", said), keep_start(mp, "spin", said) };
	unsigned int i;

	for (i = 0; i < RTE_DIM(guest); i++) {
		rte_delay_us_sleep(unit_range(rng, 0, 20000));
		unit_child_kill(guest[i]);
	}
	rest_run(mp, NULL);
	assert_int_equal(pages_count(mp), GUEST_POOL - NUMBERED * TAKEN);
}

static void
test_guests(void **state)
{
	struct rte_mempool *mp = unit_pool(GUEST_POOL, 2304, 0, 0);
	struct rte_ring *said;
	uint64_t rng = unit_seed;
	pid_t child[NUMBERED], guest;
	unsigned int i;

	(void)state;
	company_require();
	said = ring_new();
	assert_non_null(ppool_frag_pool(mp));
	for (i = 0; i < NUMBERED; i++)
		child[i] = keep_start(mp, "keep", said);
	guest = keep_start(mp, "keep", said);
	/* What a guest has that is alive is its own. */
	rest_run(mp, NULL);
	assert_int_equal(pages_count(mp), GUEST_POOL - (NUMBERED + 1) * TAKEN);
	unit_child_kill(guest);
	rest_run(mp, NULL);
	assert_int_equal(pages_count(mp), GUEST_POOL - NUMBERED * TAKEN);
	for (i = 0; i < unit_scaled(4, 40); i++)
		guests_kill(mp, said, &rng);
	for (i = 0; i < NUMBERED; i++)
		unit_child_kill(child[i]);
	rest_run(mp, NULL);
	rte_ring_free(said);
}

/* Who only looks has no number. */
static void
test_look_kill(void **state)
{
	struct rte_mempool *mp = unit_pool(100, 2304, 0, 0);
	struct rte_ring *said;
	uint64_t rng = unit_seed;
	unsigned int i;

	(void)state;
	company_require();
	said = ring_new();
	assert_non_null(ppool_frag_pool(mp));
	for (i = 0; i < unit_scaled(8, 80); i++) {
		pid_t child = keep_start(mp, "stats", said);

		rte_delay_us_sleep(unit_range(&rng, 0, 2000));
		unit_child_kill(child);
		/* Waits for ever where the lock is lost. */
		alarm(PROGRESS_SECONDS);
		unit_carver_free(unit_carver(mp, MAX_LEN, 1));
		alarm(0);
	}
	rte_ring_free(said);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_look_kill),
	UNIT_TEST(test_rest),
	UNIT_TEST(test_unsplit),
	UNIT_TEST(test_guests),
	UNIT_TEST(test_look),
	UNIT_TEST(test_proc_info),
	UNIT_TEST(test_kill),
	UNIT_TEST(test_kill_short),
	UNIT_TEST(test_kill_cached),
	UNIT_TEST(test_stop),
	UNIT_TEST(test_inherit_carver),
	UNIT_TEST(test_mourn),
};

UNIT_SUITE(company, "other processes on the same lcore, looking on, stopped, killed", tests);
