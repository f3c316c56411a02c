/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_ACCOUNT_TABLE_H_
#define _PPOOL_ACCOUNT_TABLE_H_

/*
 * The table of accounts: a memzone, at the same address in all processes. Made and listed in
 * ppool_account_table.c, charged in ppool_account.c, checked in inspect/accounts.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>

#include "ppool_account.h"
#include "ppool_lock.h"

/* In place of used where there is no account: no limit leaves room above it. */
#define PPOOL_ACCOUNT_FREE UINT64_MAX

/* Apart from each other, so that what is polled in vain does not disturb those who free. */
struct ppool_account {
	/* Written by every charge and by every free. */
	uint64_t used;
	uint64_t high_water;
	uint64_t limit;
	char name[PPOOL_ACCOUNT_NAMESIZE] __rte_cache_aligned;
	/* Written when charges are refused, or for foreign mbufs. */
	uint64_t refusals __rte_cache_aligned;
	uint64_t foreign;
} __rte_cache_aligned;

_Static_assert(offsetof(struct ppool_account, used) % 8 == 0 &&
				offsetof(struct ppool_account, high_water) % 8 == 0 &&
				offsetof(struct ppool_account, limit) % 8 == 0 &&
				offsetof(struct ppool_account, refusals) % 8 == 0 &&
				offsetof(struct ppool_account, foreign) % 8 == 0,
		"atomic words of 64 bits do not lie in two cache lines");

struct ppool_accounts {
	struct ppool_mutex lock; /* creating and freeing */
	struct ppool_account account[PPOOL_ACCOUNTS_MAX];
};

/* This process's address of the table, NULL as long as it has not looked for it. */
extern struct ppool_accounts *ppool_accounts;

struct ppool_accounts *ppool_accounts_find(void);

/* NULL where no account was ever created. */
static inline struct ppool_accounts *
ppool_accounts_get(void)
{
	struct ppool_accounts *t = __atomic_load_n(&ppool_accounts, __ATOMIC_ACQUIRE);

	return likely(t != NULL) ? t : ppool_accounts_find();
}

/* A place of the table, NULL where there is none of this number. */
static inline struct ppool_account *
ppool_account_get(uint16_t id)
{
	struct ppool_accounts *t = ppool_accounts_get();

	if (unlikely(t == NULL || id == PPOOL_ACCOUNT_NONE || id >= PPOOL_ACCOUNTS_MAX))
		return NULL;
	return &t->account[id];
}

static inline bool
ppool_account_exists(const struct ppool_account *a)
{
	return a != NULL && __atomic_load_n(&a->used, __ATOMIC_ACQUIRE) != PPOOL_ACCOUNT_FREE;
}

typedef void ppool_account_cb_t(uint16_t account, const struct ppool_account_stats *stats,
		void *arg);
void ppool_accounts_each(ppool_account_cb_t *cb, void *arg);
/* As if frags of that many bytes had been freed. */
void ppool_account_take_off(uint16_t account, uint64_t bytes);

#endif /* _PPOOL_ACCOUNT_TABLE_H_ */
