/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Accounts as such: creating and freeing them, what each knows of itself, and what the free of
 * frags takes off them. What is found by looking at all frags is in inspect/accounts.c.
 */

#include <errno.h>
#include <string.h>

#include <rte_eal_memconfig.h>
#include <rte_errno.h>
#include <rte_memzone.h>
#include <rte_string_fns.h>

#include "ppool_account_table.h"
#include "ppool_private.h"

#define TABLE_NAME "ppool_accounts"

/* The table: EAL's lock keeps everybody from finding it before it is initialised. */

struct ppool_accounts *ppool_accounts;

struct ppool_accounts *
ppool_accounts_find(void)
{
	const struct rte_memzone *mz;

	rte_mcfg_tailq_read_lock();
	mz = rte_memzone_lookup(TABLE_NAME);
	rte_mcfg_tailq_read_unlock();
	if (mz == NULL)
		return NULL;
	__atomic_store_n(&ppool_accounts, mz->addr, __ATOMIC_RELEASE);
	return mz->addr;
}

static struct ppool_accounts *
table_create(void)
{
	const struct rte_memzone *mz;
	struct ppool_accounts *t;
	unsigned int i;

	rte_mcfg_tailq_write_lock();
	mz = rte_memzone_lookup(TABLE_NAME);
	if (mz == NULL) {
		mz = rte_memzone_reserve_aligned(TABLE_NAME, sizeof(*t), SOCKET_ID_ANY, 0,
				RTE_CACHE_LINE_SIZE);
		if (mz != NULL) {
			t = mz->addr;
			memset(t, 0, sizeof(*t));
			for (i = 0; i < PPOOL_ACCOUNTS_MAX; i++)
				t->account[i].used = PPOOL_ACCOUNT_FREE;
		}
	}
	rte_mcfg_tailq_write_unlock();
	return mz == NULL ? NULL : ppool_accounts_get();
}

/* Set-up */

static uint16_t
find_name(const struct ppool_accounts *t, const char *name)
{
	uint16_t id;

	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++)
		if (ppool_account_exists(&t->account[id]) && strcmp(t->account[id].name, name) == 0)
			return id;
	return PPOOL_ACCOUNT_NONE;
}

static uint16_t
find_free(const struct ppool_accounts *t)
{
	uint16_t id;

	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++)
		if (!ppool_account_exists(&t->account[id]))
			return id;
	return PPOOL_ACCOUNT_NONE;
}

static void
open_account(struct ppool_account *a, const char *name, uint64_t limit)
{
	strlcpy(a->name, name, sizeof(a->name));
	a->high_water = 0;
	a->refusals = 0;
	a->foreign = 0;
	a->limit = limit;
	__atomic_store_n(&a->used, 0, __ATOMIC_RELEASE);
}

static int
check_name(const char *name)
{
	if (name == NULL || name[0] == '\0')
		return EINVAL;
	return strlen(name) < PPOOL_ACCOUNT_NAMESIZE ? 0 : ENAMETOOLONG;
}

uint16_t
ppool_account_create(const char *name, uint64_t limit)
{
	struct ppool_accounts *t;
	uint16_t id = PPOOL_ACCOUNT_NONE;

	rte_errno = check_name(name);
	if (rte_errno != 0)
		return PPOOL_ACCOUNT_NONE;
	t = table_create();
	if (t == NULL) {
		rte_errno = ENOMEM;
		return PPOOL_ACCOUNT_NONE;
	}
	ppool_mutex_wait(&t->lock);
	if (find_name(t, name) != PPOOL_ACCOUNT_NONE) {
		rte_errno = EEXIST;
	} else {
		id = find_free(t);
		rte_errno = id == PPOOL_ACCOUNT_NONE ? ENOSPC : 0;
	}
	if (id != PPOOL_ACCOUNT_NONE)
		open_account(&t->account[id], name, limit);
	ppool_mutex_unlock(&t->lock);
	return id;
}

int
ppool_account_free(uint16_t id)
{
	struct ppool_account *a = ppool_account_get(id);
	uint64_t none = 0;

	if (!ppool_account_exists(a))
		return -ENOENT;
	/* Whoever charges at this moment does so before, or finds no account. */
	if (__atomic_compare_exchange_n(&a->used, &none, PPOOL_ACCOUNT_FREE, false,
			    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return 0;
	return none == PPOOL_ACCOUNT_FREE ? -ENOENT : -EBUSY;
}

uint16_t
ppool_account_lookup(const char *name)
{
	struct ppool_accounts *t = ppool_accounts_get();
	uint16_t id;

	if (t == NULL || check_name(name) != 0)
		return PPOOL_ACCOUNT_NONE;
	ppool_mutex_wait(&t->lock);
	id = find_name(t, name);
	ppool_mutex_unlock(&t->lock);
	return id;
}

const char *
ppool_account_name(uint16_t id)
{
	const struct ppool_account *a = ppool_account_get(id);

	return ppool_account_exists(a) ? a->name : NULL;
}

int
ppool_account_limit_set(uint16_t id, uint64_t limit)
{
	struct ppool_account *a = ppool_account_get(id);

	if (!ppool_account_exists(a))
		return -ENOENT;
	__atomic_store_n(&a->limit, limit, __ATOMIC_RELAXED);
	return 0;
}

uint64_t
ppool_account_used(uint16_t id)
{
	const struct ppool_account *a = ppool_account_get(id);
	uint64_t used = a == NULL ? PPOOL_ACCOUNT_FREE :
				    __atomic_load_n(&a->used, __ATOMIC_RELAXED);

	return used == PPOOL_ACCOUNT_FREE ? 0 : used;
}

int
ppool_account_stats_get(uint16_t id, struct ppool_account_stats *stats)
{
	const struct ppool_account *a = ppool_account_get(id);

	if (!ppool_account_exists(a))
		return -ENOENT;
	stats->limit = __atomic_load_n(&a->limit, __ATOMIC_RELAXED);
	stats->used = ppool_account_used(id);
	stats->high_water = __atomic_load_n(&a->high_water, __ATOMIC_RELAXED);
	stats->refusals = __atomic_load_n(&a->refusals, __ATOMIC_RELAXED);
	stats->foreign = __atomic_load_n(&a->foreign, __ATOMIC_RELAXED);
	return 0;
}

void
ppool_accounts_each(ppool_account_cb_t *cb, void *arg)
{
	struct ppool_account_stats stats;
	uint16_t id;

	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++)
		if (ppool_account_stats_get(id, &stats) == 0)
			cb(id, &stats, arg);
}

/* Of a pool that is about to be freed. */
void
ppool_account_take_off(uint16_t id, uint64_t bytes)
{
	struct ppool_account *a = ppool_account_get(id);
	uint64_t used;

	if (!ppool_account_exists(a))
		return;
	used = __atomic_load_n(&a->used, __ATOMIC_RELAXED);
	while (used != PPOOL_ACCOUNT_FREE &&
			!__atomic_compare_exchange_n(&a->used, &used, used - RTE_MIN(used, bytes),
					true, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
}

/* What a free takes off */

/* A frag of another account follows: put the bytes of the latest one to the others. */
__rte_noinline void
ppool_uncharge_switch(struct ppool_uncharge *u, uint16_t account, uint64_t bytes)
{
	unsigned int i;

	for (i = 0; i < u->nb_others && u->other[i].account != u->account; i++)
		;
	if (i == u->nb_others) {
		u->other[i].account = u->account;
		u->other[i].bytes = 0;
		/* Nothing was charged before the first. */
		u->nb_others += u->account != PPOOL_ACCOUNT_NONE;
	}
	u->other[i].bytes += bytes;
	u->account = account;
}

/* Whoever shares the memory of the pool can write any number to a record. */
static void
account_give(struct ppool *p, uint16_t id, uint64_t bytes)
{
	if (likely(p->accounts != NULL && id < PPOOL_ACCOUNTS_MAX))
		__atomic_fetch_sub(&p->accounts->account[id].used, bytes, __ATOMIC_RELAXED);
}

__rte_noinline void
ppool_uncharge_commit(struct ppool *p, const struct ppool_uncharge *u, uint64_t bytes)
{
	unsigned int i;

	for (i = 0; i < u->nb_others; i++)
		if (u->other[i].account == u->account)
			bytes += u->other[i].bytes;
		else
			account_give(p, u->other[i].account, u->other[i].bytes);
	account_give(p, u->account, bytes);
}
