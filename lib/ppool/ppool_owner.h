/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_OWNER_H_
#define _PPOOL_OWNER_H_

/*
 * Who owns lists, locks, carvers, slots and pages: a process and an lcore. The same lcore number in
 * another process is another owner.
 *
 * Processes have numbers, from 1 on, in a table that all of them share. Whether one is dead is what
 * the kernel says: each holds a lock on a byte of an open file, which the kernel releases when the
 * process ends, however it ends. Process ids only name it in messages, as processes may live in
 * different pid namespaces. A process that is stopped is alive.
 */

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_lcore.h>

/* Most processes that can own lists at the same time; further ones use the shared lists. */
#define PPOOL_PROCESSES 16u
/* The holder of mutexes in a process that is about to get a number. */
#define PPOOL_PROCESS_JOINING (PPOOL_PROCESSES + 1)
/* All processes that got no number, as owners: they have ended when the last one has. */
#define PPOOL_PROCESS_GUESTS (PPOOL_PROCESSES + 2)
/* As owners: all processes of which nobody can know whether they have ended. */
#define PPOOL_PROCESS_UNKNOWN (PPOOL_PROCESSES + 3)
/* The first guest as the holder of mutexes, where each counts for itself. */
#define PPOOL_PROCESS_GUEST (PPOOL_PROCESSES + 4)
/* Owners of one process: all its threads that are no lcore, and its lcores. */
#define PPOOL_PROCESS_OWNERS (RTE_MAX_LCORE + 1u)
static_assert(LCORE_ID_ANY == UINT32_MAX, "ppool_owner_id() goes by it");
/* Places of a table by owner. No process has number 0. */
#define PPOOL_OWNERS (PPOOL_PROCESS_GUEST * PPOOL_PROCESS_OWNERS)

/* In 16 bits: of a page, and of a slot. */
typedef uint16_t ppool_owner_t;
static_assert(PPOOL_OWNERS < UINT16_MAX, "an owner does not fit into ppool_owner_t");

/* Nobody: of a free page, of a slot in the depot. */
#define PPOOL_OWNER_NONE 0u

/* This process's first owner, 0 until it has asked for a number. */
extern uint32_t ppool_owner_base;

/*
 * An lcore of this process. The process's first owner is all its threads that are no lcore:
 * LCORE_ID_ANY and 1 are 0.
 */
static inline uint32_t
ppool_owner_of(unsigned int lcore)
{
	return ppool_owner_base + (uint32_t)(lcore + 1u);
}

/* This thread. In a process that owns nothing yet: an owner that nothing belongs to. */
static inline uint32_t
ppool_owner_id(void)
{
	return ppool_owner_of(rte_lcore_id());
}

/* The same, as pages and slots note it. */
static inline ppool_owner_t
ppool_owner_me(void)
{
	return (ppool_owner_t)ppool_owner_id();
}

/* This process, whichever thread. */
static inline uint32_t
ppool_process_self(void)
{
	return ppool_owner_base / PPOOL_PROCESS_OWNERS;
}

static inline uint32_t
ppool_owner_process(uint32_t owner)
{
	return owner / PPOOL_PROCESS_OWNERS;
}

/* LCORE_ID_ANY where it is no lcore. */
static inline unsigned int
ppool_owner_lcore(uint32_t owner)
{
	return owner % PPOOL_PROCESS_OWNERS - 1u;
}

/* The threads of a process that are no lcore. */
static inline ppool_owner_t
ppool_owner_unbound(uint32_t process)
{
	return (ppool_owner_t)(process * PPOOL_PROCESS_OWNERS);
}

/*
 * Get a number for this process. Does nothing where it has one. Returns false where there is none
 * left, or the file cannot be locked (logged once).
 */
bool ppool_process_join(void);

/* This process as the holder of a mutex. */
uint32_t ppool_process_as_holder(void);

/* Whether the kernel says that a process has ended. Never of this one. */
bool ppool_process_is_dead(uint32_t process);

/* Whether a number was given to a process, which may have ended. */
bool ppool_process_exists(uint32_t process);

/* The process id, in the pid namespace of that process; for messages. */
uint32_t ppool_process_pid(uint32_t process);

/*
 * Ask before a new process is refused: whether nothing is left of one that has ended, so that its
 * number can be given away. Set by ppool_recover.c, which knows.
 */
void ppool_process_set_check(bool (*nothing_left)(uint32_t process));

/* Nothing is left of a process that has ended: its number can be given to another one. */
void ppool_process_forget(uint32_t process);

/* No other process can attach to the memory of this one (--in-memory, --no-shconf). */
bool ppool_process_is_alone(void);

#endif /* _PPOOL_OWNER_H_ */
