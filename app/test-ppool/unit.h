/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _UNIT_H_
#define _UNIT_H_

/*
 * What the unit suites share. Pools, carvers and accounts made by these functions are registered:
 * the teardown of every test checks their ledgers, demands that every page has come back and can be
 * had again, that nothing is charged any more, frees them and demands that EAL's heaps are as
 * before the test.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <rte_common.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_version.h>

#include <ppool.h>
#include <ppool_account.h>
#include <ppool_carver.h>
#include <ppool_slot.h>

/** Since DPDK 25.11, what is allocated from the frag pool says that its buffer is external. */
#define UNIT_EXTERNAL_AT_FIRST (RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0))

struct unit_suite {
	const char *name;
	const char *help;
	const struct CMUnitTest *tests;
	size_t nb_tests;
};

#define UNIT_SUITE(suite, text, list) \
	const struct unit_suite suite_##suite = { \
		.name = #suite, .help = (text), .tests = (list), .nb_tests = RTE_DIM(list) \
	}

#define UNIT_TEST(f) cmocka_unit_test_setup_teardown(f, unit_setup, unit_teardown)

extern const struct unit_suite suite_mempool, suite_frag, suite_slots, suite_slots_hard,
		suite_slots_compact, suite_slots_fuzz, suite_slots_port, suite_keep, suite_carver,
		suite_ledger, suite_mark, suite_threads, suite_secondary, suite_info, suite_create,
		suite_sizing, suite_dma, suite_account, suite_port, suite_port_states,
		suite_rx_secondary, suite_wake, suite_reconnect, suite_offload, suite_share,
		suite_queue_state, suite_in_order, suite_indirect, suite_legacy, suite_features,
		suite_debug, suite_compact, suite_company, suite_steps, suite_limbo, suite_rings,
		suite_packed, suite_hostile, suite_unaware, suite_iova;

int unit_setup(void **state);
int unit_teardown(void **state);

/** A process is killed in this test, and what EAL had allocated for it remains. */
void unit_forgive_heap(void);

/** Skip the test where a condition for it does not hold, and say which. */
#define unit_require(cond, why) \
	do { \
		if (!(cond)) { \
			print_message("[  SKIPPED ] needs %s\n", why); \
			unit_skipped++; \
			skip(); \
		} \
	} while (0)

/** Tests that were started, and those of them that were skipped. */
extern unsigned int unit_ran, unit_skipped;

/* Random numbers that a seed repeats. */

extern uint64_t unit_seed;

/* How often: n times, or many where the environment has PPFRAG_LONG=1. */
uint64_t unit_scaled(uint64_t n, uint64_t many);

static inline uint64_t
unit_random(uint64_t *state)
{
	uint64_t x = (*state += UINT64_C(0x9e3779b97f4a7c15));

	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/** From low to high, both included. */
static inline uint32_t
unit_range(uint64_t *state, uint32_t low, uint32_t high)
{
	return low + (uint32_t)(unit_random(state) % ((uint64_t)high - low + 1));
}

void unit_shuffle(void **array, unsigned int n, uint64_t *state);

/* As ppool_lock.h: where a thread sanitizer must be told of the order that DPDK makes. */
#if defined(__SANITIZE_THREAD__)
#define UNIT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNIT_TSAN 1
#endif
#endif
#ifdef UNIT_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define UNIT_TSAN_ACQUIRE(addr) __tsan_acquire(addr)
#define UNIT_TSAN_RELEASE(addr) __tsan_release(addr)
#else
#define UNIT_TSAN 0
#define UNIT_TSAN_ACQUIRE(addr) RTE_SET_USED(addr)
#define UNIT_TSAN_RELEASE(addr) RTE_SET_USED(addr)
#endif

/** ppool_commit() as in a program that is built without debugging. */
void unit_commit_unchecked(struct ppool_carver *c, uint16_t lane, struct rte_mbuf *m, uint32_t len);

/** Whether the library reports misuse: it was built with -Dppool_debug=true. */
bool unit_debug_build(void);

/* Pools. All names are given by the functions. */

struct unit_pool_conf {
	unsigned int n;
	uint32_t elt_size;
	unsigned int cache;
	unsigned int flags;
	bool anon;       /* anonymous memory */
	bool empty;      /* do not populate */
	const char *ops; /* NULL: ppfrag */
};

/** A mempool without mbufs. */
struct rte_mempool *unit_mempool(const struct unit_pool_conf *conf);

/** A packet mbuf pool with ops ppfrag. */
struct rte_mempool *unit_pool(unsigned int n, uint16_t room, unsigned int cache, uint16_t priv);

/** A packet mbuf pool with stock ops. */
struct rte_mempool *unit_stock_pool(unsigned int n, uint16_t room);

/** Register a pool that a test made itself. */
struct rte_mempool *unit_register(struct rte_mempool *mp);

/** The test frees a pool itself, without checks. */
void unit_unregister(struct rte_mempool *mp);

/** Free a registered pool before the teardown does, with the same checks. */
void unit_pool_free(struct rte_mempool *mp);

/** A name for a pool that is not in use. */
const char *unit_name(void);

/** rte_mempool_put_bulk(), where the compiler does not see how short the array is. */
void unit_put_bulk(struct rte_mempool *mp, void * const *obj, unsigned int n);

/** Everything of a pool is back: exact count, every page can be had at once, ledger balanced. */
bool unit_pool_whole(struct rte_mempool *mp);

/* Slots */

/** Room for all classes of a pool. */
#define UNIT_SLOT_CLASSES 32u

/** The classes of a pool. Returns how many. */
unsigned int unit_slot_classes(struct rte_mempool *mp, struct ppool_slot_class *c);

/** The class view for so many bytes. */
struct rte_mempool *unit_slot_pool(struct rte_mempool *mp, uint16_t room);

/* Carvers: freed by the teardown if the test does not. */

struct ppool_carver *unit_carver(struct rte_mempool *mp, uint32_t max_len, uint16_t lanes);
void unit_carver_free(struct ppool_carver *c);

/** An account, freed by the teardown, which fails where something is still charged to it. */
uint16_t unit_account(uint64_t limit);

/* Contents: a pattern that is different in every mbuf and at every place in it. */

void unit_fill(void *data, size_t len, uint64_t tag);
bool unit_filled(const void *data, size_t len, uint64_t tag);

/** All of the mbuf's buffer: headroom, data and tailroom. */
void unit_fill_buf(struct rte_mbuf *m, uint64_t tag);
bool unit_filled_buf(const struct rte_mbuf *m, uint64_t tag);

/** Data of a chain. */
void unit_fill_data(struct rte_mbuf *m, uint64_t tag);
bool unit_filled_data(const struct rte_mbuf *m, uint64_t tag);

/** An mbuf of a frag is as a fresh allocation must be. */
void unit_assert_fresh(struct rte_mbuf *m, struct rte_mempool *frag_pool);

/* Ledger */

/** The ledger, checked: fails the test with an explanation where it does not balance. */
struct ppool_ledger unit_ledger(struct rte_mempool *mp);

/** The ledger charges live frags exactly with the sum of the mbufs' truesizes. */
void unit_assert_charged(struct rte_mempool *mp, struct rte_mbuf * const *m, unsigned int n);

struct ppool_stats unit_stats(struct rte_mempool *mp);

/* Telemetry */

/**
 * This process's own answer to a telemetry command, to be freed; NULL where it has no telemetry.
 */
char *unit_telemetry(const char *command);

/** The values behind a key of a JSON text: of a number, or of an array. Returns how many. */
unsigned int unit_json_uints(const char *json, const char *key, uint64_t *value, unsigned int n);

/** The number behind a key, UINT64_MAX where there is none. */
uint64_t unit_json_uint(const char *json, const char *key);

/* Threads. Functions that run there return 0, or another number to fail the test. */

/** Run on a worker lcore, the i-th from 0, and wait. */
int unit_on_lcore(unsigned int i, lcore_function_t *f, void *arg);

/** Run on a thread that is no lcore, and wait. */
int unit_on_thread(lcore_function_t *f, void *arg);

unsigned int unit_workers(void);

/* Asynchronous I/O of the kernel, which may refuse io_setup(). */

/** Run on a thread to which io_setup() is refused, as are threads that it starts, and wait. */
int unit_without_aio(lcore_function_t *f, void *arg);

/** Whether it is refused there. */
bool unit_can_refuse_aio(void);

/** What tests of that need. */
#define UNIT_REFUSE_AIO "seccomp, to refuse io_setup()"

/** Whether it is allowed here. */
bool unit_has_aio(void);

/* Ports. The link of a vhost port changes in another thread. */

bool unit_link_is(uint16_t port, int status);

/** Fails the test where it does not come, after half a minute. */
void unit_wait_link(uint16_t port, int status);

/* What the suite 'threads' does, for others. */

struct unit_stress {
	struct rte_mempool *mp;     /* page pool */
	struct rte_mempool *clones; /* NULL: none are made */
	struct rte_ring *ring;      /* by which actors, also of other processes, pass mbufs */
	uint32_t max_len;
	uint64_t seed;
	bool alone; /* this thread only, else all lcores and other threads */
};

/** Elements of the ring. */
#define UNIT_STRESS_RING 1024u

/** Returns what went wrong, or NULL. */
const char *unit_stress(const struct unit_stress *conf);

/** Free what is left in the ring, and the ring; all is as before then. */
void unit_stress_end(struct rte_mempool *mp, struct rte_ring *ring);

#endif /* _UNIT_H_ */
