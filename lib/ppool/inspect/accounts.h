/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _ACCOUNTS_H_
#define _ACCOUNTS_H_

/* Frags by the account that they are charged to, found by a walk through page pools. */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "ppool_private.h"

struct ppool_account_frags {
	uint64_t bytes[PPOOL_ACCOUNTS_MAX]; /* with the slots of the frags */
	uint64_t frags[PPOOL_ACCOUNTS_MAX];
	bool approximate; /* others used a pool meanwhile */
};

/* Add those of one pool. */
void ppool_frags_add(struct ppool *p, struct ppool_account_frags *sum);
/* Of all pools that are mapped in this process. For free(); NULL where there is no memory. */
struct ppool_account_frags *ppool_frags_by_account(void);
/* Print what is charged to which account in one pool. */
void ppool_account_dump_pool(FILE *f, struct ppool *p);

#endif /* _ACCOUNTS_H_ */
