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

struct process {
	uint32_t given; /* atomic */
	uint32_t pid;
};

/* In a memzone, at the same address in all processes. */
struct table {
	/* The file: where it was removed and made again, locks in it say nothing. */
	uint64_t dev, ino;
	struct process process[PPOOL_PROCESS_JOINING + 1];
};

uint32_t ppool_owner_base;

/* Of this process. */
static struct table *table;
static int file = -1;
static rte_spinlock_t join_lock = RTE_SPINLOCK_INITIALIZER;
/* This thread looks for a number, and uses pools to find one; some thread does. */
static __thread bool joining;
static volatile bool joining_here;
static bool (*is_left_without)(uint32_t process);

/*
 * The file. Locks of POSIX: a child process does not inherit them, and nothing else in this process
 * opens the file, which would release them when it is closed.
 */

static int
file_lock(int cmd, short type, off_t byte)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	if (fcntl(file, cmd, &lock) != 0)
		return -errno;
	return cmd == F_GETLK ? lock.l_type : 0;
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

/* The table is locked: one process at a time is about to get a number. */
static uint32_t
number_get(void)
{
	uint32_t number = number_take_first();

	if (number == 0 && number_take(PPOOL_PROCESS_JOINING)) {
		numbers_sweep();
		number = number_take_first();
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

static uint32_t
number_find(void)
{
	uint32_t number = 0;

	table = table_get();
	if (table == NULL)
		return 0;
	if (ppool_process_is_alone())
		return number_take_first();
	if (file_open() != 0)
		return 0;
	if (file_lock(F_SETLKW, F_WRLCK, TABLE_BYTE) != 0)
		return 0;
	if (file_is_ours())
		number = number_get();
	file_lock(F_SETLK, F_UNLCK, TABLE_BYTE);
	return number;
}

static bool
has_number(void)
{
	return ppool_owner_base != 0 && ppool_process_self() != PPOOL_PROCESS_REFUSED;
}

bool
ppool_process_join(void)
{
	uint32_t number;

	if (ppool_owner_base != 0 || joining)
		return has_number();
	rte_spinlock_lock(&join_lock);
	if (ppool_owner_base == 0) {
		joining = true;
		joining_here = true;
		number = number_find();
		joining_here = false;
		joining = false;
		if (number == 0)
			number = PPOOL_PROCESS_REFUSED;
		__atomic_store_n(&ppool_owner_base, number * PPOOL_PROCESS_OWNERS,
				__ATOMIC_RELEASE);
	}
	rte_spinlock_unlock(&join_lock);
	return has_number();
}

uint32_t
ppool_process_as_holder(void)
{
	if (likely(has_number()))
		return ppool_process_self();
	return joining ? PPOOL_PROCESS_JOINING : PPOOL_PROCESS_UNKNOWN;
}

bool
ppool_process_exists(uint32_t process)
{
	return process != 0 && process <= PPOOL_PROCESS_JOINING && table != NULL &&
			__atomic_load_n(&table->process[process].given, __ATOMIC_ACQUIRE) != 0;
}

bool
ppool_process_is_dead(uint32_t process)
{
	if (process == ppool_process_self() || !ppool_process_exists(process) || file < 0)
		return false;
	/* The kernel does not tell a process of its own locks. */
	if (process == PPOOL_PROCESS_JOINING && joining_here)
		return false;
	return file_lock(F_GETLK, F_WRLCK, process) == F_UNLCK;
}

uint32_t
ppool_process_pid(uint32_t process)
{
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
	if (ppool_process_is_dead(process))
		__atomic_store_n(&table->process[process].given, 0, __ATOMIC_RELEASE);
}
