/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* The table of processes, and the file by whose locks the kernel tells which of them have ended. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_eal_memconfig.h>
#include <rte_memzone.h>
#include <rte_spinlock.h>

#include "ppool_log.h"
#include "ppool_owner.h"

#define TABLE_NAME "ppool_processes"
#define FILE_NAME "ppool_processes"
/* The byte that is locked by a process that looks for a number. The others belong to numbers. */
#define TABLE_BYTE 0
/* Most processes without a number that can be told from each other. */
#define GUESTS 4096u

struct process {
	uint32_t given; /* atomic */
	uint32_t pid;
};

/* In a memzone, at the same address in all processes. */
struct table {
	/* The file: where it was removed and made again, locks in it say nothing. */
	uint64_t dev, ino;
	struct process process[PPOOL_PROCESS_GUESTS + 1];
};

uint32_t ppool_owner_base;

/* Of this process. */
static struct table *table;
static int file = -1;
static rte_spinlock_t join_lock = RTE_SPINLOCK_INITIALIZER;
static uint32_t guest; /* as the holder of mutexes, as long as it has no number */
static bool file_refused, guest_refused;
static bool sweeping;
/* This thread looks for a number, and uses pools to find one. */
static __thread bool joining;
static bool (*is_left_without)(uint32_t process);

/*
 * The file. Locks of POSIX: a child process does not inherit them, and nothing else in this process
 * opens the file, which would release them when it is closed.
 */

static int
file_lock_ask(int cmd, short type, off_t byte, struct flock *lock)
{
	*lock = (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	return fcntl(file, cmd, lock) == 0 ? 0 : -errno;
}

static int
file_lock(int cmd, short type, off_t byte)
{
	struct flock lock;

	return file_lock_ask(cmd, type, byte, &lock);
}

static int
file_open(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/" FILE_NAME, rte_eal_get_runtime_dir());
	file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (file >= 0)
		return 0;
	PPOOL_LOG(ERR, "%s cannot be opened: %s. It tells which processes are alive", path,
			strerror(errno));
	return -errno;
}

/* Whether the file is the one that the other processes have open. */
static bool
file_is_ours(void)
{
	struct stat st;

	if (fstat(file, &st) != 0)
		return false;
	if (table->ino == 0) {
		table->dev = st.st_dev;
		table->ino = st.st_ino;
	}
	if (table->dev == st.st_dev && table->ino == st.st_ino)
		return true;
	PPOOL_LOG(ERR,
			"%s/" FILE_NAME
			" was removed while processes use it: this one uses no lists "
			"of its own; restart all of them",
			rte_eal_get_runtime_dir());
	return false;
}

/* Open it once. Returns false where its locks say nothing. */
static bool
file_find(void)
{
	bool ours = false;

	if (file >= 0 || file_refused)
		return file >= 0;
	if (file_open() == 0 && file_lock(F_SETLKW, F_WRLCK, TABLE_BYTE) == 0) {
		ours = file_is_ours();
		file_lock(F_SETLK, F_UNLCK, TABLE_BYTE);
	}
	file_refused = !ours;
	/* By the locks of another file, all processes would have ended. */
	if (!ours && file >= 0) {
		close(file);
		file = -1;
	}
	return ours;
}

/* The table */

static struct table *
table_get(void)
{
	const struct rte_memzone *mz;

	rte_mcfg_tailq_write_lock();
	mz = rte_memzone_lookup(TABLE_NAME);
	if (mz == NULL) {
		mz = rte_memzone_reserve_aligned(TABLE_NAME, sizeof(struct table), SOCKET_ID_ANY, 0,
				RTE_CACHE_LINE_SIZE);
		if (mz != NULL)
			memset(mz->addr, 0, sizeof(struct table));
	}
	rte_mcfg_tailq_write_unlock();
	return mz == NULL ? NULL : mz->addr;
}

static bool
number_take(uint32_t i)
{
	if (file >= 0 && file_lock(F_SETLK, F_WRLCK, i) != 0)
		return false;
	table->process[i].pid = (uint32_t)getpid();
	__atomic_store_n(&table->process[i].given, 1, __ATOMIC_RELEASE);
	return true;
}

/* The first number that nobody has. */
static uint32_t
number_take_first(void)
{
	uint32_t i;

	for (i = 1; i <= PPOOL_PROCESSES; i++)
		if (!ppool_process_exists(i) && number_take(i))
			return i;
	return 0;
}

/* Numbers of processes that have ended, of which nothing is left. */
static void
numbers_sweep(void)
{
	uint32_t i;

	for (i = 1; i <= PPOOL_PROCESSES; i++)
		if (ppool_process_is_dead(i) && is_left_without != NULL && is_left_without(i))
			ppool_process_forget(i);
}

/* What holds mutexes in a process without a number: a lock of its own. 0: there is none left. */
static uint32_t
guest_take_first(void)
{
	uint32_t i = PPOOL_PROCESS_GUEST;

	while (i < PPOOL_PROCESS_GUEST + GUESTS && file_lock(F_SETLK, F_WRLCK, i) != 0)
		i++;
	return i < PPOOL_PROCESS_GUEST + GUESTS ? i : 0;
}

/* One of those that got no number, which hold a lock together. */
static uint32_t
guests_join(void)
{
	if (file_lock(F_SETLK, F_RDLCK, PPOOL_PROCESS_GUESTS) != 0)
		return PPOOL_PROCESS_UNKNOWN;
	if (guest == 0)
		__atomic_store_n(&guest, guest_take_first(), __ATOMIC_RELAXED);
	__atomic_store_n(&table->process[PPOOL_PROCESS_GUESTS].given, 1, __ATOMIC_RELEASE);
	return PPOOL_PROCESS_GUESTS;
}

/* The table is locked: one process at a time is about to get a number. */
static uint32_t
number_get(void)
{
	uint32_t number = number_take_first();

	if (number == 0 && number_take(PPOOL_PROCESS_JOINING)) {
		__atomic_store_n(&sweeping, true, __ATOMIC_RELAXED);
		numbers_sweep();
		number = number_take_first();
		__atomic_store_n(&sweeping, false, __ATOMIC_RELAXED);
		file_lock(F_SETLK, F_UNLCK, PPOOL_PROCESS_JOINING);
	}
	if (number == 0)
		PPOOL_LOG(ERR,
				"%u processes own lists of page pools, which is as many as can: this "
				"one uses the shared lists, which is slow. ppool_recover_process() and "
				"ppool_recover_rest() free the numbers of those that have ended",
				PPOOL_PROCESSES);
	return number;
}

bool
ppool_process_is_alone(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/config", rte_eal_get_runtime_dir());
	return access(path, F_OK) != 0;
}

/* Whether a number is of one process. */
static bool
number_is_own(uint32_t number)
{
	return number != 0 && number <= PPOOL_PROCESSES;
}

static bool
table_find(void)
{
	if (table == NULL)
		table = table_get();
	return table != NULL;
}

static uint32_t
number_find(void)
{
	uint32_t number;

	if (!table_find())
		return PPOOL_PROCESS_UNKNOWN;
	if (ppool_process_is_alone())
		return number_take_first();
	if (!file_find() || file_lock(F_SETLKW, F_WRLCK, TABLE_BYTE) != 0)
		return PPOOL_PROCESS_UNKNOWN;
	number = number_get();
	if (number == 0)
		number = guests_join();
	file_lock(F_SETLK, F_UNLCK, TABLE_BYTE);
	return number;
}

bool
ppool_process_join(void)
{
	uint32_t number;

	if (ppool_owner_base != 0 || joining)
		return number_is_own(ppool_process_self());
	rte_spinlock_lock(&join_lock);
	if (ppool_owner_base == 0) {
		joining = true;
		number = number_find();
		joining = false;
		__atomic_store_n(&ppool_owner_base, number * PPOOL_PROCESS_OWNERS,
				__ATOMIC_RELEASE);
	}
	rte_spinlock_unlock(&join_lock);
	return number_is_own(ppool_process_self());
}

/* Who only looks takes a mutex, too, but needs no number. */
static __rte_noinline uint32_t
guest_get(void)
{
	rte_spinlock_lock(&join_lock);
	if (guest == 0 && !guest_refused) {
		if (table_find() && !ppool_process_is_alone() && file_find())
			__atomic_store_n(&guest, guest_take_first(), __ATOMIC_RELAXED);
		guest_refused = guest == 0;
	}
	rte_spinlock_unlock(&join_lock);
	return guest != 0 ? guest : PPOOL_PROCESS_UNKNOWN;
}

uint32_t
ppool_process_as_holder(void)
{
	uint32_t self = ppool_process_self();

	if (likely(number_is_own(self)))
		return self;
	if (joining)
		return PPOOL_PROCESS_JOINING;
	return guest != 0 ? guest : guest_get();
}

static bool
process_is_guest(uint32_t process)
{
	return process >= PPOOL_PROCESS_GUEST && process < PPOOL_PROCESS_GUEST + GUESTS;
}

bool
ppool_process_exists(uint32_t process)
{
	return process != 0 && process <= PPOOL_PROCESS_GUESTS && table != NULL &&
			__atomic_load_n(&table->process[process].given, __ATOMIC_ACQUIRE) != 0;
}

/* The kernel does not tell a process of its own locks. */
static bool
process_is_own(uint32_t process)
{
	return process == ppool_process_self() || process == guest ||
			(process == PPOOL_PROCESS_JOINING && !joining &&
					__atomic_load_n(&sweeping, __ATOMIC_RELAXED));
}

bool
ppool_process_is_dead(uint32_t process)
{
	struct flock lock;

	if (file < 0 || process_is_own(process) ||
			!(ppool_process_exists(process) || process_is_guest(process)))
		return false;
	return file_lock_ask(F_GETLK, F_WRLCK, process, &lock) == 0 && lock.l_type == F_UNLCK;
}

uint32_t
ppool_process_pid(uint32_t process)
{
	struct flock lock;

	if (process_is_guest(process) && file_lock_ask(F_GETLK, F_WRLCK, process, &lock) == 0 &&
			lock.l_type != F_UNLCK)
		return (uint32_t)lock.l_pid;
	return ppool_process_exists(process) ? table->process[process].pid : 0;
}

void
ppool_process_set_check(bool (*nothing_left)(uint32_t process))
{
	is_left_without = nothing_left;
}

void
ppool_process_forget(uint32_t process)
{
	if (number_is_own(process) && ppool_process_is_dead(process))
		__atomic_store_n(&table->process[process].given, 0, __ATOMIC_RELEASE);
}
