/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Locks of shared memory: taking over those of processes that have ended, giving up on those of
 * processes that are stopped. What they protect is not known here.
 */

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_pause.h>

#include "ppool_lock.h"
#include "ppool_log.h"
#include "ppool_owner.h"

/* How often a waiting thread looks before it asks the kernel whether the other process is alive. */
#define SPINS 4096u
/* How long it then waits for one that is: longer than the kernel lets others run in its place. */
#define PATIENCE_MS 100u
/* How often one that waits for as long as it takes says so. */
#define LOG_SECONDS 5u

/* membarrier */

static bool registered;

static int
membarrier(int cmd)
{
	return (int)syscall(__NR_membarrier, cmd, 0, 0);
}

RTE_INIT(ppool_lock_register)
{
#ifndef PPOOL_TSAN
	registered = membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0 &&
			membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0;
#endif
}

/*
 * The owner of a lock may live in another process: then the global flavour, which interrupts the
 * CPUs of all processes that have registered.
 */
static bool
order_owner(const struct ppool_lock *lock)
{
	return membarrier(lock->process == ppool_process_self() ?
					       MEMBARRIER_CMD_PRIVATE_EXPEDITED :
					       MEMBARRIER_CMD_GLOBAL_EXPEDITED) == 0;
}

bool
ppool_lock_can_bias(void)
{
	return registered;
}

/* Mutexes */

static bool
mutex_try(struct ppool_mutex *m, uint32_t from)
{
	if (!__atomic_compare_exchange_n(&m->holder, &from, ppool_process_as_holder(), false,
			    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		return false;
	if (unlikely(m->stuck != 0))
		__atomic_store_n(&m->stuck, 0, __ATOMIC_RELAXED);
	return true;
}

static bool
spin_until_free(const uint32_t *word)
{
	unsigned int i;

	for (i = 0; i < SPINS; i++) {
		if (__atomic_load_n(word, __ATOMIC_RELAXED) == 0)
			return true;
		rte_pause();
	}
	return false;
}

static uint64_t
cycles_of_ms(uint64_t ms)
{
	return ms * rte_get_tsc_hz() / 1000;
}

static bool
mutex_is_stuck(const struct ppool_mutex *m)
{
	return __atomic_load_n(&m->stuck, __ATOMIC_RELAXED) != 0;
}

/* One more try, for as long as a thread spins where that is of use. */
static enum ppool_locked
mutex_try_hard(struct ppool_mutex *m)
{
	uint32_t holder;

	if (!mutex_is_stuck(m) && spin_until_free(&m->holder))
		return mutex_try(m, 0) ? PPOOL_LOCKED : PPOOL_STUCK;
	holder = __atomic_load_n(&m->holder, __ATOMIC_RELAXED);
	if (holder != 0 && ppool_process_is_dead(holder) && mutex_try(m, holder))
		return PPOOL_TAKEN_OVER;
	return PPOOL_STUCK;
}

/*
 * A thread of this process runs again: only another process can be stopped while we are not. It may
 * be another one where neither is known.
 */
static bool
holder_is_other(const struct ppool_mutex *m)
{
	uint32_t holder = __atomic_load_n(&m->holder, __ATOMIC_RELAXED);

	return holder != ppool_process_as_holder() || holder == PPOOL_PROCESS_UNKNOWN;
}

static __rte_noinline enum ppool_locked
mutex_lock_slow(struct ppool_mutex *m)
{
	uint64_t start = rte_rdtsc();
	enum ppool_locked locked;

	for (;;) {
		locked = mutex_try_hard(m);
		if (locked != PPOOL_STUCK)
			return locked;
		if (!holder_is_other(m))
			continue;
		if (mutex_is_stuck(m))
			return PPOOL_STUCK;
		if (rte_rdtsc() - start > cycles_of_ms(PATIENCE_MS)) {
			__atomic_store_n(&m->stuck, 1, __ATOMIC_RELAXED);
			return PPOOL_STUCK;
		}
	}
}

enum ppool_locked
ppool_mutex_lock(struct ppool_mutex *m)
{
	return likely(mutex_try(m, 0)) ? PPOOL_LOCKED : mutex_lock_slow(m);
}

enum ppool_locked
ppool_mutex_wait(struct ppool_mutex *m)
{
	uint64_t now, last = rte_rdtsc();
	enum ppool_locked locked;

	for (;;) {
		locked = ppool_mutex_lock(m);
		if (locked != PPOOL_STUCK)
			return locked;
		now = rte_rdtsc();
		if (now - last > cycles_of_ms(1000 * LOG_SECONDS)) {
			PPOOL_LOG(WARNING,
					"waiting for process %u, which was stopped in the midst of a "
					"change: let it go on, or kill it",
					ppool_process_pid(__atomic_load_n(&m->holder,
							__ATOMIC_RELAXED)));
			last = now;
		}
		usleep(1000);
	}
}

void
ppool_mutex_unlock(struct ppool_mutex *m)
{
	__atomic_store_n(&m->holder, 0, __ATOMIC_RELEASE);
}

void
ppool_mutex_release_dead(struct ppool_mutex *m)
{
	uint32_t holder = __atomic_load_n(&m->holder, __ATOMIC_RELAXED);

	if (holder != 0 && ppool_process_is_dead(holder) && mutex_try(m, holder))
		ppool_mutex_unlock(m);
}

/* Biased locks */

void
ppool_lock_init(struct ppool_lock *lock, bool biased)
{
	lock->busy = 0;
	lock->plain = !biased;
	/* A plain lock looks revoked for ever, which leads its owner to the mutex. */
	lock->revoked = !biased;
	lock->visitor = (struct ppool_mutex){ 0 };
	lock->process = ppool_process_self();
	lock->stuck = 0;
}

bool
ppool_lock_owner_wait(struct ppool_lock *lock)
{
	__atomic_store_n(&lock->busy, 0, __ATOMIC_RELEASE);
	if (ppool_mutex_lock(&lock->visitor) == PPOOL_STUCK)
		return false;
	if (lock->plain)
		return true;
	/* A visitor that has ended inside leaves it revoked. */
	__atomic_store_n(&lock->revoked, 0, __ATOMIC_RELAXED);
	/* No visitor is inside while we hold the mutex; the next one will see us busy. */
	__atomic_store_n(&lock->busy, 1, __ATOMIC_SEQ_CST);
	ppool_mutex_unlock(&lock->visitor);
	return true;
}

/* Whether the owner has left, or will not come back. */
static bool
owner_is_out(struct ppool_lock *lock)
{
	uint64_t start = rte_rdtsc();

	while (__atomic_load_n(&lock->stuck, __ATOMIC_RELAXED) == 0) {
		if (spin_until_free(&lock->busy))
			return true;
		if (lock->process == ppool_process_self())
			continue;
		if (ppool_process_is_dead(lock->process)) {
			__atomic_store_n(&lock->busy, 0, __ATOMIC_RELAXED);
			return true;
		}
		if (rte_rdtsc() - start > cycles_of_ms(PATIENCE_MS))
			__atomic_store_n(&lock->stuck, 1, __ATOMIC_RELAXED);
	}
	return __atomic_load_n(&lock->busy, __ATOMIC_RELAXED) == 0 ||
			ppool_process_is_dead(lock->process);
}

/* Revoke the owner's right to enter, and wait until it is out. */
static bool
owner_revoke(struct ppool_lock *lock)
{
	__atomic_store_n(&lock->revoked, 1, __ATOMIC_SEQ_CST);
	if (!order_owner(lock) || !owner_is_out(lock))
		return false;
	if (unlikely(lock->stuck != 0))
		__atomic_store_n(&lock->stuck, 0, __ATOMIC_RELAXED);
	/* What the owner stored inside happened before. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return true;
}

bool
ppool_lock_visitor(struct ppool_lock *lock)
{
	ppool_debug_lock();
	ppool_debug_lock();
	if (!lock->plain && !registered)
		return false;
	if (ppool_mutex_lock(&lock->visitor) == PPOOL_STUCK)
		return false;
	if (lock->plain || owner_revoke(lock))
		return true;
	__atomic_store_n(&lock->revoked, 0, __ATOMIC_RELEASE);
	ppool_mutex_unlock(&lock->visitor);
	return false;
}

void
ppool_unlock_visitor(struct ppool_lock *lock)
{
	if (!lock->plain)
		__atomic_store_n(&lock->revoked, 0, __ATOMIC_RELEASE);
	ppool_mutex_unlock(&lock->visitor);
}
