/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_LOCK_H_
#define _PPOOL_LOCK_H_

/*
 * Locks in shared memory that outlive the processes that hold them.
 *
 * A mutex is a spinlock that names the process inside. Where that process has ended, the next one
 * takes the mutex over and is told, as what it protects may be half changed. Where it is alive but
 * does not let go for long (it was stopped), the others give up and go round what it protects:
 * "stuck", which lasts until the mutex is free once more.
 *
 * A biased lock is free of atomic operations for the one thread that owns it, expensive for others.
 * Each lcore owns the lock of its own free lists and takes it at every burst; another thread takes
 * it only when it has to search the lists of others. The owner announces itself with a plain store
 * and then looks for a revocation; the visitor revokes, and the membarrier() system call orders its
 * store against that of the owner (Dekker's algorithm with the owner's fence moved into the
 * visitor, as in liburcu's "memb" flavour). See membarrier(2).
 *
 * Where a process cannot register with membarrier, or under a thread sanitizer, which does not
 * know it, a biased lock is its mutex and nothing else ("plain").
 */

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "ppool_debug.h"

/*
 * A thread sanitizer sees what is built with it, DPDK is not: here it is told of the order that
 * DPDK's own locks and counts make.
 */
#if defined(__SANITIZE_THREAD__)
#define PPOOL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PPOOL_TSAN 1
#endif
#endif
#ifdef PPOOL_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define PPOOL_TSAN_ACQUIRE(addr) __tsan_acquire(addr)
#define PPOOL_TSAN_RELEASE(addr) __tsan_release(addr)
#else
#define PPOOL_TSAN_ACQUIRE(addr) RTE_SET_USED(addr)
#define PPOOL_TSAN_RELEASE(addr) RTE_SET_USED(addr)
#endif

/*
 * A function that looks at what others write at the same time, knows that, and checks what it gets.
 * The functions that it calls have to say so, too.
 */
#ifdef PPOOL_TSAN
#define PPOOL_RACY __attribute__((no_sanitize("thread")))
#else
#define PPOOL_RACY
#endif

/* All zero: free. */
struct ppool_mutex {
	uint32_t holder; /* number of the process inside, 0: nobody */
	uint32_t stuck;  /* somebody has waited in vain */
};

enum ppool_locked {
	PPOOL_STUCK,      /* not locked: go round it */
	PPOOL_LOCKED,     /* locked */
	PPOOL_TAKEN_OVER, /* locked; the process that held it has ended */
};

/* Waits, but not for a process that is stopped. Not recursive. */
enum ppool_locked ppool_mutex_lock(struct ppool_mutex *m);
/* The same for as long as it takes: set-up paths. Logs what it waits for. Never PPOOL_STUCK. */
enum ppool_locked ppool_mutex_wait(struct ppool_mutex *m);
void ppool_mutex_unlock(struct ppool_mutex *m);
/* Unlock what a process holds that has ended, where nothing has to be repaired. Never waits. */
void ppool_mutex_release_dead(struct ppool_mutex *m);

struct ppool_lock {
	uint32_t busy;              /* the owner is inside; written by the owner only */
	uint32_t revoked;           /* a visitor wants in or is inside */
	struct ppool_mutex visitor; /* serialises visitors; the whole lock when plain */
	uint32_t plain;             /* constant */
	uint32_t process;           /* of the owner, constant */
	uint32_t stuck;             /* a visitor has waited for the owner in vain */
};

/* Whether this process takes part in membarrier, so that its locks can be biased. */
bool ppool_lock_can_bias(void);

/* The owner is a thread of this process. */
void ppool_lock_init(struct ppool_lock *lock, bool biased);

/* Rare part of ppool_lock_owner(): plain, or revoked. */
bool ppool_lock_owner_wait(struct ppool_lock *lock);

/*
 * Owner only. Not recursive; the owner must not visit other locks inside.
 * Returns false, without the lock, where a visitor was stopped inside: what it protects is out of
 * reach.
 */
static inline bool
ppool_lock_owner(struct ppool_lock *lock)
{
	ppool_debug_lock();
	__atomic_store_n(&lock->busy, 1, __ATOMIC_RELAXED);
	/* The visitor's membarrier() makes this order visible; the compiler must keep it. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (unlikely(__atomic_load_n(&lock->revoked, __ATOMIC_ACQUIRE) != 0))
		return ppool_lock_owner_wait(lock);
	return true;
}

static inline void
ppool_unlock_owner(struct ppool_lock *lock)
{
	if (unlikely(lock->plain))
		ppool_mutex_unlock(&lock->visitor);
	else
		__atomic_store_n(&lock->busy, 0, __ATOMIC_RELEASE);
}

/*
 * Owner only: take the lock if that costs next to nothing. Returns false, without the lock, where
 * it is plain or a visitor wants it; then ppool_lock_owner() is for the caller's slow path. Keeps
 * function calls out of the fast one.
 */
static inline bool
ppool_trylock_owner(struct ppool_lock *lock)
{
	ppool_debug_lock();
	__atomic_store_n(&lock->busy, 1, __ATOMIC_RELAXED);
	/* As in ppool_lock_owner(). */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (likely(__atomic_load_n(&lock->revoked, __ATOMIC_ACQUIRE) == 0))
		return true;
	__atomic_store_n(&lock->busy, 0, __ATOMIC_RELEASE);
	return false;
}

/* Let go of what ppool_trylock_owner() took: that is never plain. */
static inline void
ppool_tryunlock_owner(struct ppool_lock *lock)
{
	__atomic_store_n(&lock->busy, 0, __ATOMIC_RELEASE);
}

/*
 * Any other thread. Waits for the owner to leave, unless its process has ended or is stopped.
 * Returns false, without the lock, where the owner or another visitor is stopped inside, or where
 * this process may not use membarrier but the lock is biased: then it cannot be reached.
 */
bool ppool_lock_visitor(struct ppool_lock *lock);
void ppool_unlock_visitor(struct ppool_lock *lock);

#endif /* _PPOOL_LOCK_H_ */
