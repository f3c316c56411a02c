/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <sched.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_pause.h>

#include "frag_perf.h"

#define RING_BURSTS 4u
#define SPINS 1024u

const char * const free_names[FREE_MODES] = {
	[FREE_BULK] = "bulk",
	[FREE_ONE] = "one",
	[FREE_RANDOM] = "random",
	[FREE_OTHER] = "other",
};

/* The lcore that frees what it is sent. */
static struct {
	struct fifo *f;
	bool stop;
	uint64_t freed; /* bursts */
} other;

int
fifo_init(struct fifo *f, uint64_t held, unsigned int burst)
{
	f->burst = burst;
	f->bursts = (held + burst - 1) / burst + 1;
	f->rng = 1;
	f->m = calloc(f->bursts * burst, sizeof(f->m[0]));
	f->ring = rte_ring_create("frag_perf", rte_align32pow2(RING_BURSTS * burst), SOCKET_ID_ANY,
			RING_F_SP_ENQ | RING_F_SC_DEQ);
	return f->m == NULL || f->ring == NULL ? -1 : 0;
}

void
fifo_fini(struct fifo *f)
{
	rte_ring_free(f->ring);
	free(f->m);
}

bool
free_mode_works(enum free_mode mode)
{
	return mode != FREE_OTHER || rte_lcore_count() > 1;
}

/* The lcore that is waited for may have to share our CPU. */
static void
relax(unsigned int *spins)
{
	if (++*spins % SPINS == 0)
		sched_yield();
	else
		rte_pause();
}

/* Swap an mbuf with any of the first n. */
static inline void
swap_random(struct fifo *f, size_t i, size_t n)
{
	struct rte_mbuf *m = f->m[i];
	size_t k;

	/* xorshift: a few cycles, for all subjects alike */
	f->rng ^= f->rng << 13;
	f->rng ^= f->rng >> 7;
	f->rng ^= f->rng << 17;
	k = (size_t)(((f->rng & UINT32_MAX) * n) >> 32);
	f->m[i] = f->m[k];
	f->m[k] = m;
}

/* Fill all bursts but the last. */
static int
fifo_fill(struct fifo *f, struct subject *s, enum free_mode mode)
{
	size_t i, n = (f->bursts - 1) * f->burst;

	for (i = 0; i < n; i += f->burst)
		if (s->alloc(s, f->m + i, f->burst) != 0) {
			rte_pktmbuf_free_bulk(f->m, (unsigned int)i);
			return -1;
		}
	if (mode == FREE_RANDOM)
		for (i = 0; i < n; i++)
			swap_random(f, i, n);
	return 0;
}

/* Free all bursts but the one that is empty. */
static void
fifo_drain(struct fifo *f, size_t empty)
{
	size_t i;

	for (i = 0; i < f->bursts; i++)
		if (i != empty)
			rte_pktmbuf_free_bulk(f->m + i * f->burst, f->burst);
}

static int
other_lcore(void *arg)
{
	struct fifo *f = other.f;
	struct rte_mbuf **m = arg;
	unsigned int spins = 0;

	while (!__atomic_load_n(&other.stop, __ATOMIC_ACQUIRE)) {
		if (rte_ring_sc_dequeue_bulk(f->ring, (void **)m, f->burst, NULL) == 0) {
			relax(&spins);
			continue;
		}
		rte_pktmbuf_free_bulk(m, f->burst);
		__atomic_store_n(&other.freed, other.freed + 1, __ATOMIC_RELEASE);
	}
	return 0;
}

static inline void
send_burst(struct fifo *f, struct rte_mbuf **m)
{
	unsigned int spins = 0;

	while (rte_ring_sp_enqueue_bulk(f->ring, (void **)m, f->burst, NULL) == 0)
		relax(&spins);
}

static void
wait_freed(uint64_t bursts)
{
	unsigned int spins = 0;

	while (__atomic_load_n(&other.freed, __ATOMIC_ACQUIRE) < bursts)
		relax(&spins);
}

/* Free one burst of the list. */
static inline void
free_burst(struct fifo *f, size_t burst, enum free_mode mode)
{
	struct rte_mbuf **m = f->m + burst * f->burst;
	unsigned int i;

	switch (mode) {
	case FREE_ONE:
		for (i = 0; i < f->burst; i++)
			rte_pktmbuf_free(m[i]);
		return;
	case FREE_OTHER:
		send_burst(f, m);
		return;
	case FREE_RANDOM:
		for (i = 0; i < f->burst; i++)
			swap_random(f, burst * f->burst + i, f->bursts * f->burst);
		break;
	default:
		break;
	}
	rte_pktmbuf_free_bulk(m, f->burst);
}

static double
measure(struct fifo *f, struct subject *s, enum free_mode mode, uint64_t bursts)
{
	size_t empty = f->bursts - 1;
	uint64_t i, begin, cycles;

	if (fifo_fill(f, s, mode) != 0)
		return -1;
	begin = rte_rdtsc_precise();
	for (i = 0; i < bursts; i++) {
		if (s->alloc(s, f->m + empty * f->burst, f->burst) != 0)
			break;
		if (++empty == f->bursts)
			empty = 0;
		free_burst(f, empty, mode);
	}
	if (mode == FREE_OTHER)
		wait_freed(i);
	cycles = rte_rdtsc_precise() - begin;
	fifo_drain(f, empty);
	return i < bursts ? -1 : (double)cycles / (double)(bursts * f->burst);
}

/* What another lcore holds for a moment does not exhaust a pool: it has room for that. */
static double
measure_other(struct fifo *f, struct subject *s, uint64_t bursts)
{
	struct rte_mbuf **m = calloc(f->burst, sizeof(*m));
	unsigned int id = rte_get_next_lcore(-1, 1, 0);
	double cycles;

	if (m == NULL)
		return -1;
	other.f = f;
	other.stop = false;
	other.freed = 0;
	rte_eal_remote_launch(other_lcore, m, id);
	cycles = measure(f, s, FREE_OTHER, bursts);
	__atomic_store_n(&other.stop, true, __ATOMIC_RELEASE);
	rte_eal_wait_lcore(id);
	free(m);
	return cycles;
}

int
frag_perf_age(struct fifo *f, struct subject *s)
{
	if (fifo_fill(f, s, FREE_RANDOM) != 0)
		return -1;
	fifo_drain(f, f->bursts - 1);
	return 0;
}

double
frag_perf_measure(struct fifo *f, struct subject *s, enum free_mode mode, uint64_t bursts)
{
	return mode == FREE_OTHER ? measure_other(f, s, bursts) : measure(f, s, mode, bursts);
}
