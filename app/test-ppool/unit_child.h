/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _UNIT_CHILD_H_
#define _UNIT_CHILD_H_

/* Secondary processes of the unit suites. */

#include <limits.h>
#include <sys/types.h>

/** Skip the test where there can be no secondary process. */
void unit_require_secondary(void);
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

/** Wait, but not for ever. @return 0 where it ended well. */
int unit_child_wait(pid_t child);

#endif /* _UNIT_CHILD_H_ */
