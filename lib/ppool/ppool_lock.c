/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_pause.h>

#include "ppool_lock.h"

static bool registered;

/* The global flavour, because the owner of a lock may live in a secondary process. */
static int
membarrier(int cmd)
{
	return (int)syscall(__NR_membarrier, cmd, 0, 0);
}

RTE_INIT(ppool_lock_register)
{
#ifndef PPOOL_TSAN
	registered = membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) == 0;
#endif
}

bool
ppool_lock_can_bias(void)
{
	return registered;
}

void
ppool_lock_init(struct ppool_lock *lock, bool biased)
{
	lock->busy = 0;
	lock->plain = !biased;
	/* A plain lock looks revoked for ever, which leads its owner to the spinlock. */
	lock->revoked = !biased;
	rte_spinlock_init(&lock->visitor);
}

void
ppool_lock_owner_wait(struct ppool_lock *lock)
{
	__atomic_store_n(&lock->busy, 0, __ATOMIC_RELEASE);
	rte_spinlock_lock(&lock->visitor);
	if (lock->plain)
		return;
	/* No visitor is inside while we hold the spinlock; the next one will see us busy. */
	__atomic_store_n(&lock->busy, 1, __ATOMIC_SEQ_CST);
	rte_spinlock_unlock(&lock->visitor);
}

bool
ppool_lock_visitor(struct ppool_lock *lock)
{
	ppool_debug_lock();
	if (!lock->plain && !registered)
		return false;
	rte_spinlock_lock(&lock->visitor);
	if (lock->plain)
		return true;
	__atomic_store_n(&lock->revoked, 1, __ATOMIC_SEQ_CST);
	if (membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED) != 0) {
		__atomic_store_n(&lock->revoked, 0, __ATOMIC_RELEASE);
		rte_spinlock_unlock(&lock->visitor);
		return false;
	}
	while (__atomic_load_n(&lock->busy, __ATOMIC_ACQUIRE) != 0)
		rte_pause();
	return true;
}

void
ppool_unlock_visitor(struct ppool_lock *lock)
{
	if (!lock->plain)
		__atomic_store_n(&lock->revoked, 0, __ATOMIC_RELEASE);
	rte_spinlock_unlock(&lock->visitor);
}
