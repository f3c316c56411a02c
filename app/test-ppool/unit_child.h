/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _UNIT_CHILD_H_
#define _UNIT_CHILD_H_

/* Secondary processes of the unit suites. */

#include <limits.h>
#include <sys/types.h>

#include <rte_mempool.h>

#include <ppool_recover.h>

/** Skip the test where there can be no secondary process. */
void unit_require_secondary(void);
/** Skip it where there can be one: threads that register as lcores would keep all of them away. */
void unit_require_alone(void);
/* Programs of DPDK load this library, too. */
void unit_require_stock(const char *program);

/** An lcore that the primary does not have. */
unsigned int unit_free_lcore(void);

/** The lcore that a program chooses itself. */
#define UNIT_LCORE_DEFAULT UINT_MAX

/** This program, to be started once more. */
#define UNIT_SELF "/proc/self/exe"

/**
 * Start a secondary process of this one, with the same plugins.
 *
 * @param lcore
 *   The number of its lcore; it may be one of ours.
 * @param args
 *   What follows "--"; a NULL behind it.
 */
pid_t unit_child_start(const char *program, unsigned int lcore, const char * const *args);

/** Kill those that a test that failed has left. Called by the teardown. */
void unit_children_end(void);

/** Wait, but not for ever. @return 0 where it ended well. */
int unit_child_wait(pid_t child);

/* Secondaries that the primary traces: run step by step, stopped anywhere. */

/** In the secondary: stop here until the primary resumes it. */
void unit_child_stop(void);

/** Start one, which is stopped. The test is skipped where processes cannot be traced. */
pid_t unit_child_trace(unsigned int lcore, const char * const *args);

/** Resume one by a request of ptrace(). @return its status, when it is stopped again or ends */
int unit_child_resume(pid_t child, int request);

/** It ends at once, wherever it is. */
void unit_child_kill(pid_t child);

/** Take back what processes had that have ended. @return how many owners these were */
unsigned int unit_recover_dead(struct rte_mempool *mp, struct ppool_recovered *r);

#endif /* _UNIT_CHILD_H_ */
