/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ring.h>

#include <ppool_create.h>

#include "app.h"
#include "unit.h"

/*
 * A secondary process uses a pool that the primary made: this program starts itself with
 * --proc-type=secondary and the hidden command "unit-secondary".
 */

#define PASSED 96u   /* mbufs passed to the secondary */
#define RETURNED 64u /* mbufs the secondary makes and passes back */
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
	DEED_ACCOUNTS,         /* free what the primary has charged, charge, pass back */
	DEED_STRESS,           /* work at the same time as the primary */
	DEED_DOUBLE_FREE,      /* free an mbuf that the primary has freed */
};

static const char * const deeds[] = {
	[DEED_ALL] = "all",
	[DEED_CREATE_FRAG_POOL] = "frag-pool",
	[DEED_LAST_CLONE] = "clone",
	[DEED_ACCOUNTS] = "accounts",
	[DEED_STRESS] = "stress",
	[DEED_DOUBLE_FREE] = "double-free",
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

/* Frees a third, moves a third to an account of its own, passes that and the rest back. */
static int
secondary_account(struct rte_mempool *mp, struct rte_ring *in, struct rte_ring *out)
{
	const unsigned int third = PASSED / 3;
	uint16_t theirs = ppool_account_lookup(ACCOUNT_PRIMARY);
	struct ppool_account_stats stats;
	struct rte_mbuf *m[PASSED];
	uint16_t ours;
	unsigned int i;

	CHECK(theirs != PPOOL_ACCOUNT_NONE);
	CHECK(rte_ring_dequeue_bulk(in, (void **)m, PASSED, NULL) == PASSED);
	CHECK(ppool_account_stats_get(theirs, &stats) == 0);
	CHECK(stats.frags == PASSED && stats.used == stats.high_water);
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
	case DEED_ACCOUNTS:
		return secondary_account(mp, in, out);
	case DEED_STRESS:
		return secondary_stress(mp, in, out);
	case DEED_DOUBLE_FREE:
		return secondary_double_free(in);
	}
	return -1;
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
	if (ppool_attach(mp) != 0)
		return EXIT_FAILURE;
	for (i = 0; i < RTE_DIM(deeds); i++)
		if (strcmp(deeds[i], args[0]) == 0)
			ret = secondary_do(i, mp, in, out);
	if (ppool_detach(mp) != 0)
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

static bool
eal_option_given(const char *name)
{
	size_t len = strlen(name);
	unsigned int i;

	for (i = 1; app_argv[i] != NULL && strcmp(app_argv[i], "--") != 0; i++)
		if (strncmp(app_argv[i], name, len) == 0)
			return true;
	return false;
}

/* The shadow memory of AddressSanitizer lies where EAL puts its own in every process. */
#if defined(__SANITIZE_ADDRESS__)
#define UNIT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNIT_ASAN 1
#endif
#endif

static bool
same_addresses_likely(void)
{
#ifdef UNIT_ASAN
	return eal_option_given("--base-virtaddr");
#else
	return true;
#endif
}

static bool
secondary_possible(void)
{
	return rte_eal_has_hugepages() && !eal_option_given("--in-memory") &&
			!eal_option_given("--no-shconf");
}

void
unit_secondary_require(void)
{
	unit_require(secondary_possible(), "hugepages that processes can share");
	unit_require(same_addresses_likely(),
			"the EAL option --base-virtaddr=0x200000000000, because of "
			"AddressSanitizer");
}

/* An lcore that the primary does not have, on a processor that we may use. */
static void
secondary_lcore(char *text, size_t size)
{
	unsigned int id = RTE_MAX_LCORE - 1, cpu = 0;
	cpu_set_t set;

	while (id > 0 && rte_lcore_is_enabled(id))
		id--;
	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		while (cpu + 1 < CPU_SETSIZE && !CPU_ISSET(cpu, &set))
			cpu++;
	snprintf(text, size, "--lcores=%u@%u", id, cpu);
}

/* Plugins must be loaded in the primary's order. */
static unsigned int
copy_plugins(char **argv, unsigned int n, unsigned int max)
{
	unsigned int i;

	for (i = 1; app_argv[i] != NULL && strcmp(app_argv[i], "--") != 0 && n + 2 < max; i++) {
		if (strncmp(app_argv[i], "-d", 2) != 0)
			continue;
		argv[n++] = app_argv[i];
		if (app_argv[i][2] == '\0' && app_argv[i + 1] != NULL)
			argv[n++] = app_argv[++i];
	}
	return n;
}

static void
secondary_exec(const char * const *args)
{
	char prefix[256], lcores[32], dir[PATH_MAX];
	char *argv[64];
	unsigned int n = 0;

	snprintf(dir, sizeof(dir), "%s", rte_eal_get_runtime_dir());
	snprintf(prefix, sizeof(prefix), "--file-prefix=%s", basename(dir));
	secondary_lcore(lcores, sizeof(lcores));
	argv[n++] = app_argv[0];
	argv[n++] = (char *)(uintptr_t) "--proc-type=secondary";
	argv[n++] = prefix;
	argv[n++] = lcores;
	argv[n++] = (char *)(uintptr_t) "--no-pci";
	argv[n++] = (char *)(uintptr_t) "--no-telemetry";
	argv[n++] = (char *)(uintptr_t) "--log-level=lib.eal:warning";
	n = copy_plugins(argv, n, RTE_DIM(argv) - 8);
	argv[n++] = (char *)(uintptr_t) "--";
	while (*args != NULL && n < RTE_DIM(argv) - 1)
		argv[n++] = (char *)(uintptr_t)*args++;
	argv[n] = NULL;
	execv("/proc/self/exe", argv);
	fprintf(stderr, "unit secondary: cannot start itself: %s\n", strerror(errno));
	_exit(127);
}

pid_t
unit_secondary_start(const char * const *args)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0)
		secondary_exec(args);
	assert_true(child > 0);
	return child;
}

/* Wait, but not for ever. */
int
unit_secondary_wait(pid_t child)
{
	int status, ms;

	for (ms = 0; ms < CHILD_SECONDS * 1000; ms += 10) {
		if (waitpid(child, &status, WNOHANG) == child) {
			if (WIFSIGNALED(status))
				print_error("the secondary died of signal %d\n", WTERMSIG(status));
			return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
		}
		rte_delay_us_sleep(10000);
	}
	print_error("the secondary does not come to an end\n");
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return -1;
}

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
	const char *args[] = { cmd_unit_secondary.name, deeds[deed], mp->name, r->in->name,
		r->out->name, NULL };

	return unit_secondary_start(args);
}

static int
run_secondary(enum deed deed, struct rte_mempool *mp, struct rings *r)
{
	return unit_secondary_wait(start_secondary(deed, mp, r));
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
	unit_secondary_require();
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
	unit_secondary_require();
	conf.name = unit_name();
	exchange(unit_register(ppool_create(&conf)));
	conf.name = unit_name();
	conf.page_size = 2304;
	exchange(unit_register(ppool_create(&conf)));
}

/* The secondary makes the frag pool; the primary uses it when the secondary is gone. */
static void
test_create_frag_pool(void **state)
{
	struct rte_mempool *mp;
	struct rings r;

	(void)state;
	unit_secondary_require();
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
static bool
addresses_fixed(void)
{
	return (personality(0xffffffff) & ADDR_NO_RANDOMIZE) != 0;
}

static void
test_last_clone(void **state)
{
	struct rte_mempool *mp, *stock;
	struct ppool_carver *c;
	struct rte_mbuf *m[PASSED];
	struct rings r;
	unsigned int i;

	(void)state;
	unit_secondary_require();
	unit_require(addresses_fixed(), "libraries at fixed addresses: start it with setarch -R");
	mp = unit_pool(300, 4096, 0, 0);
	stock = unit_stock_pool(255, 128);
	c = unit_carver(mp, 1500, 1);
	r = make_rings();
	for (i = 0; i < PASSED; i++) {
		struct rte_mbuf *original = ppool_carve(c, LEN);

		assert_non_null(original);
		assert_non_null(rte_pktmbuf_append(original, LEN));
		unit_fill_data(original, i);
		m[i] = rte_pktmbuf_clone(original, stock);
		assert_non_null(m[i]);
		rte_pktmbuf_free(original);
	}
	assert_int_equal(unit_ledger(mp).frags, PASSED);
	assert_int_equal(rte_ring_enqueue_bulk(r.in, (void **)m, PASSED, NULL), PASSED);
	assert_int_equal(run_secondary(DEED_LAST_CLONE, mp, &r), 0);
	free_rings(&r);
	assert_int_equal(unit_ledger(mp).frags, 0);
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
	unit_secondary_require();
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

/* Wait until the secondary works, unless it does not come so far. */
static void
wait_ready(struct rte_ring *ready)
{
	void *token;
	int ms;

	for (ms = 0; ms < CHILD_SECONDS * 1000 && rte_ring_dequeue(ready, &token) != 0; ms++)
		rte_delay_us_sleep(1000);
}

/* Lcores and other threads of both processes at the same time, which pass mbufs to each other. */
static void
test_at_once(void **state)
{
	struct unit_stress s = { .max_len = 1500, .seed = unit_seed };
	const char *error;
	struct rings r;
	pid_t child;

	(void)state;
	unit_secondary_require();
	s.mp = unit_pool(400, 16384, 0, 0);
	assert_non_null(ppool_frag_pool(s.mp));
	r = make_rings();
	s.ring = r.in;
	child = start_secondary(DEED_STRESS, s.mp, &r);
	wait_ready(r.out);
	error = unit_stress(&s);
	assert_int_equal(unit_secondary_wait(child), 0);
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
	unit_secondary_require();
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
	UNIT_TEST(test_create_frag_pool),
	UNIT_TEST(test_last_clone),
	UNIT_TEST(test_accounts),
	UNIT_TEST(test_at_once),
	UNIT_TEST(test_double_free),
};

UNIT_SUITE(secondary, "a secondary process frees, carves and splits the primary's pool", tests);
