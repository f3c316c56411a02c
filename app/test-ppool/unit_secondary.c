/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_log.h>
#include <rte_memory.h>
#include <rte_ring.h>

#include <ppool_create.h>

#include "commands.h"
#include "unit.h"
#include "unit_child.h"

/*
 * A secondary process uses a pool that the primary made: this program starts itself with
 * --proc-type=secondary and the hidden command "unit-secondary".
 */

#define PASSED 96u   /* mbufs passed to the secondary */
#define RETURNED 64u /* mbufs the secondary makes and passes back */
#define FIRST 500u   /* mbufs of slots that the secondary formats */
#define FIRST_STEP 5u
#define LEN 300u
#define CHILD_SECONDS 60
#define ACCOUNT_PRIMARY "unit_of_primary"
#define ACCOUNT_SECONDARY "unit_of_secondary"
#define STRESS_SEED 7u /* the secondary has no seed of its own */

/* What the secondary shall do. */
enum deed {
	DEED_ALL,              /* free what was passed, carve, pass some back, leave in order */
	DEED_CREATE_FRAG_POOL, /* be the first to split the pool */
	DEED_LAST_CLONE,       /* free clones whose originals are gone */
	DEED_FIRST_SLOTS,      /* be the first to carve: format the slots */
	DEED_ACCOUNTS,         /* free what the primary has charged, charge, pass back */
	DEED_STRESS,           /* work at the same time as the primary */
	DEED_DOUBLE_FREE,      /* free an mbuf that the primary has freed */
	DEED_STAY,             /* remain attached until the primary says so */
	DEED_LEAVE,            /* the same, but end without detaching */
};

static const char * const deeds[] = {
	[DEED_ALL] = "all",
	[DEED_CREATE_FRAG_POOL] = "frag-pool",
	[DEED_LAST_CLONE] = "clone",
	[DEED_FIRST_SLOTS] = "slots",
	[DEED_ACCOUNTS] = "accounts",
	[DEED_STRESS] = "stress",
	[DEED_DOUBLE_FREE] = "double-free",
	[DEED_STAY] = "stay",
	[DEED_LEAVE] = "leave",
};

/* The secondary's side. Each step returns 0, or says what is wrong. */

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			fprintf(stderr, "unit-secondary: line %d: %s does not hold: %s\n", \
					__LINE__, #cond, rte_strerror(rte_errno)); \
			return -1; \
		} \
	} while (0)

static int
secondary_free(struct rte_ring *in, unsigned int n)
{
	struct rte_mbuf *m[PASSED];
	unsigned int i;

	CHECK(n <= RTE_DIM(m));
	CHECK(rte_ring_dequeue_bulk(in, (void **)m, n, NULL) == n);
	for (i = 0; i < n; i++)
		CHECK(unit_filled_data(m[i], i));
	for (i = 0; i < n / 2; i++)
		rte_pktmbuf_free(m[i]);
	rte_pktmbuf_free_bulk(m + i, n - i);
	return 0;
}

/* Carves twice as many as it returns, whole objects and mono-frags among them. */
static int
secondary_make(struct rte_mempool *mp, struct rte_ring *out)
{
	struct ppool_carver_conf conf = {
		.max_len = 1500,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = 2,
		.port = RTE_MBUF_PORT_INVALID,
		.socket_id = SOCKET_ID_ANY,
	};
	struct ppool_carver *c = ppool_carver_create(mp, &conf);
	struct rte_mbuf *m[2 * RETURNED];
	unsigned int i;

	CHECK(c != NULL);
	for (i = 0; i < RTE_DIM(m); i++) {
		if (i % 16 == 5)
			m[i] = rte_pktmbuf_alloc(mp);
		else if (i % 16 == 6)
			m[i] = rte_pktmbuf_alloc(ppool_frag_pool(mp));
		else
			m[i] = ppool_carve(c, LEN);
		CHECK(m[i] != NULL);
		CHECK(rte_pktmbuf_append(m[i], LEN) != NULL);
		unit_fill_data(m[i], i);
	}
	CHECK(rte_ring_enqueue_bulk(out, (void **)m, RETURNED, NULL) == RETURNED);
	rte_pktmbuf_free_bulk(m + RETURNED, RETURNED);
	ppool_carver_free(c);
	CHECK(ppool_check(mp, stderr) == 0);
	return 0;
}

/* Passes some of what it carves back, so that no slot page becomes free, and frees the rest. */
static int
secondary_format(struct rte_mempool *mp, struct rte_ring *out)
{
	struct ppool_carver_conf conf = {
		.max_len = LEN, .nb_lanes = 1, .socket_id = SOCKET_ID_ANY
	};
	struct ppool_carver *c = ppool_carver_create(mp, &conf);
	struct rte_mbuf *m[FIRST];
	unsigned int i;

	CHECK(c != NULL);
	for (i = 0; i < FIRST; i++) {
		m[i] = ppool_carve(c, LEN);
		CHECK(m[i] != NULL);
	}
	for (i = 0; i < FIRST; i++)
		if (i % FIRST_STEP == 0)
			CHECK(rte_ring_enqueue(out, m[i]) == 0);
		else
			rte_pktmbuf_free(m[i]);
	ppool_carver_free(c);
	return 0;
}

/* Frees a third, moves a third to an account of its own, passes that and the rest back. */
static int
secondary_account(struct rte_mempool *mp, struct rte_ring *in, struct rte_ring *out)
{
	const unsigned int third = PASSED / 3;
	uint16_t theirs = ppool_account_lookup(ACCOUNT_PRIMARY);
	struct ppool_account_stats stats;
	struct rte_mbuf *m[PASSED];
	uint64_t frags, bytes;
	uint16_t ours;
	unsigned int i;

	CHECK(theirs != PPOOL_ACCOUNT_NONE);
	CHECK(rte_ring_dequeue_bulk(in, (void **)m, PASSED, NULL) == PASSED);
	CHECK(ppool_account_stats_get(theirs, &stats) == 0);
	CHECK(stats.used == stats.high_water);
	CHECK(ppool_account_frags_get(theirs, &frags, &bytes) == 0);
	CHECK(frags == PASSED && bytes == stats.used);
	for (i = 0; i < PASSED; i++)
		CHECK(ppool_account_of(m[i]) == theirs);
	rte_pktmbuf_free_bulk(m, third - 1);
	rte_pktmbuf_free(m[third - 1]);
	CHECK(ppool_account_check(stderr) == 0);
	ours = ppool_account_create(ACCOUNT_SECONDARY, PPOOL_ACCOUNT_UNLIMITED);
	CHECK(ours != PPOOL_ACCOUNT_NONE);
	CHECK(ppool_account_move(theirs, ours, m + third, third) == third);
	CHECK(ppool_account_check(stderr) == 0);
	CHECK(ppool_check(mp, stderr) == 0);
	CHECK(rte_ring_enqueue_bulk(out, (void **)(m + third), 2 * third, NULL) == 2 * third);
	return 0;
}

/* Tells the primary that it may begin, too. */
static int
secondary_stress(struct rte_mempool *mp, struct rte_ring *ring, struct rte_ring *ready)
{
	const struct unit_stress s = {
		.mp = mp,
		.ring = ring,
		.max_len = 1500,
		.seed = STRESS_SEED,
		.alone = true,
	};
	const char *error;

	CHECK(rte_ring_enqueue(ready, mp) == 0);
	error = unit_stress(&s);
	if (error != NULL)
		fprintf(stderr, "unit-secondary: %s\n", error);
	return error == NULL ? 0 : -1;
}

static char reported[512];
static jmp_buf before_free;

static void
hear(const char *message, void *arg)
{
	(void)arg;
	snprintf(reported, sizeof(reported), "%s", message);
	longjmp(before_free, 1);
}

/* The first thread of a process has its number. */
static int
secondary_double_free(struct rte_ring *in)
{
	char first[64];
	void *m;

	CHECK(rte_ring_dequeue(in, &m) == 0);
	CHECK(ppool_debug_set_handler(hear, NULL) == 0);
	if (setjmp(before_free) == 0)
		rte_pktmbuf_free(m);
	snprintf(first, sizeof(first), "freed before by thread %d, lcore", getppid());
	CHECK(strstr(reported, "double free") != NULL);
	CHECK(strstr(reported, first) != NULL);
	return 0;
}

static bool
wait_token(struct rte_ring *r, void **token)
{
	int ms;

	for (ms = 0; ms < CHILD_SECONDS * 1000; ms++) {
		if (rte_ring_dequeue(r, token) == 0)
			return true;
		rte_delay_us_sleep(1000);
	}
	return false;
}

/* The primary frees the mbuf and then the pool: its memory is still that of both. */
static int
secondary_stay(struct rte_mempool *mp, struct rte_ring *in, struct rte_ring *out)
{
	char *buf;
	void *m;

	CHECK(rte_ring_dequeue(in, &m) == 0);
	CHECK(ppool_dma_map(mp, 0) == -E_RTE_SECONDARY); /* logged */
	buf = ((struct rte_mbuf *)m)->buf_addr;
	CHECK(unit_filled(buf, LEN, 1));
	CHECK(rte_ring_enqueue(out, m) == 0);
	CHECK(wait_token(in, &m));
	unit_fill(buf, LEN, 2);
	CHECK(rte_ring_enqueue(out, m) == 0);
	CHECK(wait_token(in, &m));
	return 0;
}

static int
secondary_do(enum deed deed, struct rte_mempool *mp, struct rte_ring *in, struct rte_ring *out)
{
	CHECK(ppool_is_page_pool(mp));
	switch (deed) {
	case DEED_ALL:
		if (secondary_free(in, PASSED) != 0)
			return -1;
		return secondary_make(mp, out);
	case DEED_CREATE_FRAG_POOL:
		CHECK(ppool_frag_pool(mp) != NULL);
		CHECK(ppool_is_frag_pool(ppool_frag_pool(mp)));
		return secondary_make(mp, out);
	case DEED_LAST_CLONE:
		return secondary_free(in, PASSED);
	case DEED_FIRST_SLOTS:
		return secondary_format(mp, out);
	case DEED_ACCOUNTS:
		return secondary_account(mp, in, out);
	case DEED_STRESS:
		return secondary_stress(mp, in, out);
	case DEED_DOUBLE_FREE:
		return secondary_double_free(in);
	case DEED_STAY:
	case DEED_LEAVE:
		return secondary_stay(mp, in, out);
	}
	return -1;
}

/* Pages in a memfd are not mapped yet, but they can be counted. */
static int
secondary_before_attach(struct rte_mempool *mp)
{
	struct rte_mempool *frag_pool = ppool_frag_pool(mp);
	unsigned int avail = rte_mempool_avail_count(mp);
	unsigned int used = rte_mempool_in_use_count(frag_pool);
	struct ppool_ledger l;
	int ret;

	CHECK(avail > 0 && used > 0);
	ret = ppool_ledger_get(mp, &l);
	CHECK(ret == 0 || ret == -ENXIO);
	CHECK(ppool_check(mp, stderr) == ret);
	CHECK(ppool_attach(mp) == 0);
	CHECK(rte_mempool_avail_count(mp) == avail);
	CHECK(rte_mempool_in_use_count(frag_pool) == used);
	CHECK(ppool_ledger_get(mp, &l) == 0);
	CHECK(l.free + l.idle == avail && l.frags == used);
	return 0;
}

static int
secondary_run(char **args)
{
	struct rte_mempool *mp;
	struct rte_ring *in, *out;
	unsigned int i;
	int ret = -1;

	if (rte_eal_process_type() != RTE_PROC_SECONDARY || args[3] == NULL) {
		fprintf(stderr, "unit-secondary is started by 'unit secondary'\n");
		return EXIT_FAILURE;
	}
	mp = rte_mempool_lookup(args[1]);
	in = rte_ring_lookup(args[2]);
	out = rte_ring_lookup(args[3]);
	if (mp == NULL || in == NULL || out == NULL) {
		fprintf(stderr, "unit-secondary: no pool %s or no rings\n", args[1]);
		return EXIT_FAILURE;
	}
	if (strcmp(deeds[DEED_ALL], args[0]) == 0 && secondary_before_attach(mp) != 0)
		return EXIT_FAILURE;
	if (ppool_attach(mp) != 0)
		return EXIT_FAILURE;
	for (i = 0; i < RTE_DIM(deeds); i++)
		if (strcmp(deeds[i], args[0]) == 0)
			ret = secondary_do(i, mp, in, out);
	/* Also where the primary has freed it. */
	if (strcmp(args[0], deeds[DEED_LEAVE]) != 0 && ppool_detach(mp) != 0)
		ret = -1;
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static const struct opt secondary_opts[] = { { .name = NULL } };

const struct command cmd_unit_secondary = {
	.name = "unit-secondary",
	.synopsis = "DEED POOL RING RING",
	.help = "the secondary process of the unit suite 'secondary'",
	.opts = secondary_opts,
	.max_args = 4,
	.hidden = true,
	.run = secondary_run,
};

/* The primary's side */

struct rings {
	struct rte_ring *in, *out;
};

static struct rings
make_rings(void)
{
	struct rings r;

	r.in = rte_ring_create(unit_name(), 1024, SOCKET_ID_ANY, 0);
	r.out = rte_ring_create(unit_name(), 1024, SOCKET_ID_ANY, 0);
	assert_non_null(r.in);
	assert_non_null(r.out);
	return r;
}

static void
free_rings(struct rings *r)
{
	rte_ring_free(r->in);
	rte_ring_free(r->out);
}

static pid_t
start_secondary(enum deed deed, struct rte_mempool *mp, struct rings *r)
{
	const char * const args[] = { "unit-secondary", deeds[deed], mp->name, r->in->name,
		r->out->name, NULL };

	return unit_child_start(UNIT_SELF, unit_free_lcore(), args);
}

static int
run_secondary(enum deed deed, struct rte_mempool *mp, struct rings *r)
{
	return unit_child_wait(start_secondary(deed, mp, r));
}

static void
receive_returned(struct rte_mempool *mp, struct rings *r)
{
	struct rte_mbuf *m[RETURNED];
	unsigned int i, whole = 0;

	assert_int_equal(rte_ring_dequeue_bulk(r->out, (void **)m, RETURNED, NULL), RETURNED);
	for (i = 0; i < RETURNED; i++) {
		assert_true(unit_filled_data(m[i], i));
		whole += m[i]->pool == mp;
	}
	assert_int_equal(unit_ledger(mp).whole, whole);
	assert_int_equal(unit_ledger(mp).frags, RETURNED - whole);
	rte_pktmbuf_free_bulk(m, RETURNED);
	assert_int_equal(unit_ledger(mp).frags, 0);
}

/* Passes mbufs to a secondary, which frees them, and receives what it makes. */
static void
exchange(struct rte_mempool *mp)
{
	struct ppool_carver *c = unit_carver(mp, 1500, 1);
	struct rings r = make_rings();
	struct rte_mbuf *m[PASSED];
	unsigned int i;

	for (i = 0; i < PASSED; i++) {
		m[i] = i % 8 == 0 ? rte_pktmbuf_alloc(mp) : ppool_carve(c, LEN);
		assert_non_null(m[i]);
		assert_non_null(rte_pktmbuf_append(m[i], LEN));
		unit_fill_data(m[i], i);
	}
	assert_int_equal(rte_ring_enqueue_bulk(r.in, (void **)m, PASSED, NULL), PASSED);
	assert_int_equal(run_secondary(DEED_ALL, mp, &r), 0);
	receive_returned(mp, &r);
	free_rings(&r);
	unit_carver_free(c);
	unit_pool_free(mp);
}

static void
test_free_and_carve(void **state)
{
	(void)state;
	unit_require_secondary();
	exchange(unit_pool(300, 2304, 0, 0));
	exchange(unit_pool(300, 16384, 0, 0));
}

/* The pages lie in a memfd, which the secondary has to ask for. */
static void
test_memfd(void **state)
{
	struct ppool_create_conf conf = {
		.pages = 300,
		.page_size = 16384,
		.socket_id = SOCKET_ID_ANY,
		.backing = PPOOL_BACKING_MEMFD,
	};

	(void)state;
	unit_require_secondary();
	conf.name = unit_name();
	exchange(unit_register(ppool_create(&conf)));
	conf.name = unit_name();
	conf.page_size = 2304;
	exchange(unit_register(ppool_create(&conf)));
}

/* A pool that is freed too early */

static struct rte_mempool *
memfd_pool(const char *name)
{
	struct ppool_create_conf conf = {
		.name = name,
		.pages = 64,
		.page_size = 16384,
		.socket_id = SOCKET_ID_ANY,
		.backing = PPOOL_BACKING_MEMFD,
	};

	return unit_register(ppool_create(&conf));
}

/* Frees the pool. Returns what was logged, to be freed. */
static char *
free_logged(struct rte_mempool *mp)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	rte_openlog_stream(f);
	unit_pool_free(mp);
	rte_openlog_stream(NULL);
	fclose(f);
	return text;
}

/* Frees a pool that a secondary is attached to. Returns a buffer in memory that still is there. */
static void *
free_early(const char *name, struct rings *r, enum deed deed, pid_t *child)
{
	struct rte_mempool *mp = memfd_pool(name);
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);
	char *text, peer[64];
	void *token, *buf;

	assert_non_null(m);
	buf = m->buf_addr;
	unit_fill(buf, LEN, 1);
	assert_int_equal(rte_ring_enqueue(r->in, m), 0);
	*child = start_secondary(deed, mp, r);
	assert_true(wait_token(r->out, &token));
	rte_pktmbuf_free(m);
	text = free_logged(mp);
	snprintf(peer, sizeof(peer), " attached to it: %d (", *child);
	if (strstr(text, peer) == NULL || strstr(text, name) == NULL)
		fail_msg("no process %d or no pool %s in the log: %s", *child, name, text);
	free(text);
	return buf;
}

/* EAL knows it, and what the secondary writes there is seen here. */
static void
assert_kept(char *buf, struct rings *r)
{
	void *token;

	assert_non_null(rte_mem_virt2memseg_list(buf));
	assert_int_equal(rte_ring_enqueue(r->in, buf), 0);
	assert_true(wait_token(r->out, &token));
	assert_true(unit_filled(buf, LEN, 2));
}

static void
assert_released(char *buf)
{
	assert_null(rte_mem_virt2memseg_list(buf));
	assert_int_equal(msync(RTE_PTR_ALIGN_FLOOR(buf, 4096), 1, MS_ASYNC), -1);
}

/* Nothing of its memory is lost until the secondary detaches, then all of it goes. */
static void
test_freed_while_attached(void **state)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	struct rings r;
	pid_t child;
	char *buf;
	int ms;

	(void)state;
	unit_require_secondary();
	snprintf(name, sizeof(name), "%s", unit_name());
	r = make_rings();
	buf = free_early(name, &r, DEED_STAY, &child);
	/* The name can be used again. */
	exchange(memfd_pool(name));
	assert_kept(buf, &r);
	assert_int_equal(rte_ring_enqueue(r.in, buf), 0);
	assert_int_equal(unit_child_wait(child), 0);
	/* A thread of EAL is told. */
	for (ms = 0; ms < 10000 && rte_mem_virt2memseg_list(buf) != NULL; ms += 10)
		rte_delay_us_sleep(10000);
	assert_released(buf);
	free_rings(&r);
}

static int
external_count(const struct rte_memseg_list *msl, void *arg)
{
	*(unsigned int *)arg += msl->external;
	return 0;
}

/* Memory that EAL knows besides its own. */
static unsigned int
external_areas(void)
{
	unsigned int n = 0;

	rte_memseg_list_walk(external_count, &n);
	return n;
}

/* A process that ends tells nobody: the memory goes when the next pool is made. */
static void
test_freed_and_left(void **state)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	unsigned int before = external_areas();
	struct rings r;
	pid_t child;
	char *buf;

	(void)state;
	unit_require_secondary();
	snprintf(name, sizeof(name), "%s", unit_name());
	r = make_rings();
	buf = free_early(name, &r, DEED_LEAVE, &child);
	unit_pool_free(memfd_pool(name));
	assert_kept(buf, &r);
	assert_int_equal(rte_ring_enqueue(r.in, buf), 0);
	assert_int_equal(unit_child_wait(child), 0);
	assert_int_equal(external_areas(), before + 1);
	memfd_pool(name);
	assert_int_equal(external_areas(), before + 1);
	free_rings(&r);
}

/* The secondary makes the frag pool; the primary uses it when the secondary is gone. */
static void
test_create_frag_pool(void **state)
{
	struct rte_mempool *mp;
	struct rings r;

	(void)state;
	unit_require_secondary();
	mp = unit_pool(300, 4096, 0, 0);
	r = make_rings();
	assert_int_equal(run_secondary(DEED_CREATE_FRAG_POOL, mp, &r), 0);
	assert_non_null(ppool_frag_pool(mp));
	receive_returned(mp, &r);
	free_rings(&r);
	rte_pktmbuf_free(ppool_carve(unit_carver(mp, 100, 1), 100));
}

/*
 * The last reference to a frag is a clone that another process frees. rte_mbuf calls a function
 * through a pointer in shared memory then, which every process must have at the same address.
 */
static void
test_last_clone(void **state)
{
	struct rte_mempool *mp, *stock;
	struct ppool_carver *c;
	struct rte_mbuf *m[PASSED];
	struct rings r;
	unsigned int i;

	(void)state;
	unit_require_secondary();
	mp = unit_pool(300, 4096, 0, 0);
	stock = unit_stock_pool(255, 128);
	c = unit_carver(mp, 1500, 1);
	r = make_rings();
	for (i = 0; i < PASSED; i++) {
		struct rte_mbuf *original = ppool_carve(c, LEN);

		assert_non_null(original);
		assert_non_null(rte_pktmbuf_append(original, LEN));
		unit_fill_data(original, i);
		/* Every other one into the pool it seems to come from. */
		m[i] = rte_pktmbuf_clone(original, i % 2 == 0 ? stock : original->pool);
		assert_non_null(m[i]);
		rte_pktmbuf_free(original);
	}
	assert_int_equal(unit_ledger(mp).frags, PASSED + PASSED / 2);
	assert_int_equal(rte_ring_enqueue_bulk(r.in, (void **)m, PASSED, NULL), PASSED);
	assert_int_equal(run_secondary(DEED_LAST_CLONE, mp, &r), 0);
	free_rings(&r);
	assert_int_equal(unit_ledger(mp).frags, 0);
}

/* The secondary formats the slots, and is gone; the primary calls what they point to. */
static void
test_first_slots(void **state)
{
	struct rte_mempool *mp, *stock;
	struct rte_mbuf *back[FIRST / FIRST_STEP], *m, *clone;
	struct ppool_carver *c;
	struct rings r;
	unsigned int i;

	(void)state;
	unit_require_secondary();
	mp = unit_pool(300, 4096, 0, 0);
	stock = unit_stock_pool(255, 128);
	r = make_rings();
	assert_int_equal(run_secondary(DEED_FIRST_SLOTS, mp, &r), 0);
	assert_int_equal(rte_ring_dequeue_bulk(r.out, (void **)back, RTE_DIM(back), NULL),
			RTE_DIM(back));
	free_rings(&r);
	c = unit_carver(mp, LEN, 1);
	for (i = 0; i < FIRST; i++) {
		m = ppool_carve(c, LEN);
		assert_non_null(m);
		clone = rte_pktmbuf_clone(m, stock);
		assert_non_null(clone);
		rte_pktmbuf_free(m);
		rte_pktmbuf_free(clone);
	}
	rte_pktmbuf_free_bulk(back, RTE_DIM(back));
	assert_int_equal(unit_ledger(mp).frags, 0);
	unit_carver_free(c);
}

static uint64_t
truesizes(struct rte_mbuf * const *m, unsigned int n)
{
	uint64_t sum = 0;

	while (n-- > 0)
		sum += ppool_mbuf_truesize(m[n]);
	return sum;
}

/* Both processes see the same accounts, and free what the other one has charged. */
static void
test_accounts(void **state)
{
	const unsigned int third = PASSED / 3;
	struct rte_mempool *mp;
	struct ppool_carver *c;
	struct rte_mbuf *m[PASSED];
	uint16_t ours, theirs;
	struct rings r;
	unsigned int i;

	(void)state;
	unit_require_secondary();
	mp = unit_pool(300, 4096, 0, 0);
	c = unit_carver(mp, 1500, 1);
	ours = ppool_account_create(ACCOUNT_PRIMARY, PPOOL_ACCOUNT_UNLIMITED);
	assert_int_not_equal(ours, PPOOL_ACCOUNT_NONE);
	r = make_rings();
	for (i = 0; i < PASSED; i++) {
		m[i] = ppool_carve(c, LEN);
		assert_non_null(m[i]);
	}
	assert_int_equal(ppool_account_charge(ours, m, PASSED), PASSED);
	assert_int_equal(rte_ring_enqueue_bulk(r.in, (void **)m, PASSED, NULL), PASSED);
	assert_int_equal(run_secondary(DEED_ACCOUNTS, mp, &r), 0);
	assert_int_equal(rte_ring_dequeue_bulk(r.out, (void **)m, 2 * third, NULL), 2 * third);
	theirs = ppool_account_lookup(ACCOUNT_SECONDARY);
	assert_int_equal(unit_ledger(mp).frags, 2 * third);
	assert_int_equal(ppool_account_used(theirs), truesizes(m, third));
	assert_int_equal(ppool_account_used(ours), truesizes(m + third, third));
	assert_int_equal(ppool_account_free(theirs), -EBUSY);
	rte_pktmbuf_free_bulk(m, 2 * third);
	assert_int_equal(unit_ledger(mp).frags, 0);
	assert_int_equal(ppool_account_free(theirs), 0);
	assert_int_equal(ppool_account_free(ours), 0);
	free_rings(&r);
}

/* Lcores and other threads of both processes at the same time, which pass mbufs to each other. */
static void
test_at_once(void **state)
{
	struct unit_stress s = { .max_len = 1500, .seed = unit_seed };
	const char *error;
	struct rings r;
	pid_t child;
	void *token;

	(void)state;
	unit_require_secondary();
	s.mp = unit_pool(400, 16384, 0, 0);
	assert_non_null(ppool_frag_pool(s.mp));
	r = make_rings();
	s.ring = r.in;
	child = start_secondary(DEED_STRESS, s.mp, &r);
	/* Unless it does not come so far. */
	wait_token(r.out, &token);
	error = unit_stress(&s);
	assert_int_equal(unit_child_wait(child), 0);
	rte_ring_free(r.out);
	if (error != NULL)
		fail_msg("%s", error);
	unit_stress_end(s.mp, r.in);
}

/* The tables of a debug build are everybody's. */
static void
test_double_free(void **state)
{
	struct rte_mempool *mp;
	struct rte_mbuf *m;
	struct rings r;

	(void)state;
	unit_require(unit_debug_build(), "a library built with -Dppool_debug=true");
	unit_require_secondary();
	mp = unit_pool(64, 4096, 0, 0);
	m = ppool_carve(unit_carver(mp, 1000, 1), 100);
	assert_non_null(m);
	rte_pktmbuf_free(m);
	r = make_rings();
	assert_int_equal(rte_ring_enqueue(r.in, m), 0);
	assert_int_equal(run_secondary(DEED_DOUBLE_FREE, mp, &r), 0);
	free_rings(&r);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(test_free_and_carve),
	UNIT_TEST(test_memfd),
	UNIT_TEST(test_freed_while_attached),
	UNIT_TEST(test_freed_and_left),
	UNIT_TEST(test_create_frag_pool),
	UNIT_TEST(test_last_clone),
	UNIT_TEST(test_first_slots),
	UNIT_TEST(test_accounts),
	UNIT_TEST(test_at_once),
	UNIT_TEST(test_double_free),
};

UNIT_SUITE(secondary, "a secondary process frees, carves and splits the primary's pool", tests);
