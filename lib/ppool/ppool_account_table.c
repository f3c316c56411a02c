/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* Accounts as such: creating and freeing them, and what is charged to each. */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal_memconfig.h>
#include <rte_errno.h>
#include <rte_memzone.h>
#include <rte_string_fns.h>

#include "ppool_account_table.h"
#include "ppool_private.h"

#define TABLE_NAME "ppool_accounts"

/* Frags of one pool, or of all, by account. */
struct census {
	uint64_t bytes[PPOOL_ACCOUNTS_MAX];
	uint64_t frags[PPOOL_ACCOUNTS_MAX];
};

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
			t->lock = (struct ppool_mutex){ 0 };
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

/* The books */

static void
census_page(const struct ppool *p, const struct ppool_page *pg, struct census *census)
{
	const struct ppool_frag *frag;
	uint32_t slot, truesize;
	uint16_t id;

	for (slot = 0; slot < p->layout.slots; slot++) {
		frag = ppool_frag_of(p, ppool_slot_at(p, pg, slot));
		truesize = __atomic_load_n(&frag->truesize, __ATOMIC_RELAXED);
		id = __atomic_load_n(&frag->account, __ATOMIC_RELAXED);
		if (truesize == 0 || id >= PPOOL_ACCOUNTS_MAX)
			continue;
		census->bytes[id] += truesize + frag->slot_bytes;
		census->frags[id]++;
	}
}

static void
census_pool(struct ppool *p, struct census *census)
{
	uint32_t i;

	if (p->accounts == NULL || !ppool_is_mapped(p))
		return;
	/* While it is locked no header page becomes another one. */
	ppool_depot_wait(p);
	for (i = 0; i < p->mp->size; i++)
		if (p->page[i].kind == PPOOL_KIND_HEADER)
			census_page(p, &p->page[i], census);
	ppool_depot_leave(p);
}

static void
census_mempool(struct rte_mempool *mp, void *arg)
{
	if (ppool_is_page_pool(mp))
		census_pool(ppool_from_mempool(mp), arg);
}

/* Of all pools. NULL where there is no memory. */
static struct census *
census_new(void)
{
	struct census *census = calloc(1, sizeof(*census));

	if (census != NULL)
		rte_mempool_walk(census_mempool, census);
	return census;
}

static void
stats_fill(struct ppool_account_stats *s, uint16_t id, const struct census *census)
{
	const struct ppool_account *a = ppool_account_get(id);

	s->limit = __atomic_load_n(&a->limit, __ATOMIC_RELAXED);
	s->used = ppool_account_used(id);
	s->high_water = __atomic_load_n(&a->high_water, __ATOMIC_RELAXED);
	s->refusals = __atomic_load_n(&a->refusals, __ATOMIC_RELAXED);
	s->foreign = __atomic_load_n(&a->foreign, __ATOMIC_RELAXED);
	s->frags = census->frags[id];
}

int
ppool_accounts_each(ppool_account_cb_t *cb, void *arg)
{
	struct ppool_account_stats stats;
	struct census *census;
	uint16_t id;

	if (ppool_accounts_get() == NULL)
		return 0;
	census = census_new();
	if (census == NULL)
		return -ENOMEM;
	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++) {
		if (!ppool_account_exists(ppool_account_get(id)))
			continue;
		stats_fill(&stats, id, census);
		cb(id, &stats, arg);
	}
	free(census);
	return 0;
}

int
ppool_account_stats_get(uint16_t id, struct ppool_account_stats *stats)
{
	struct census *census;

	if (!ppool_account_exists(ppool_account_get(id)))
		return -ENOENT;
	census = census_new();
	if (census == NULL)
		return -ENOMEM;
	stats_fill(stats, id, census);
	free(census);
	return 0;
}

static void __rte_format_printf(2, 3) explain(FILE *f, const char *fmt, ...)
{
	va_list ap;

	if (f == NULL)
		return;
	va_start(ap, fmt);
	vfprintf(f, fmt, ap);
	va_end(ap);
}

/* Returns the violations found. */
static int
check_account(uint16_t id, const struct census *census, FILE *f)
{
	const struct ppool_account *a = ppool_account_get(id);
	uint64_t bytes = census->bytes[id];

	if (!ppool_account_exists(a)) {
		if (bytes == 0)
			return 0;
		explain(f,
				"account %u: there is none, but %" PRIu64
				" bytes of frags are charged\n",
				id, bytes);
		return 1;
	}
	if (a->used == bytes + a->foreign && a->used <= a->high_water)
		return 0;
	explain(f,
			"account %s: used %" PRIu64 " != frags %" PRIu64 " + foreign %" PRIu64
			", or > high water %" PRIu64 "\n",
			a->name, a->used, bytes, a->foreign, a->high_water);
	return 1;
}

int
ppool_account_check(FILE *f)
{
	struct census *census;
	int violations = 0;
	uint16_t id;

	if (ppool_accounts_get() == NULL)
		return 0;
	census = census_new();
	if (census == NULL)
		return -ENOMEM;
	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++)
		violations += check_account(id, census, f);
	free(census);
	return violations;
}

static void
dump_account(uint16_t id, const struct ppool_account_stats *s, void *arg)
{
	fprintf(arg, "account %s, number %u\n", ppool_account_name(id), id);
#define PPOOL_ACCOUNT_PRINT(name, desc) fprintf(arg, "  %-18s %" PRIu64 "\n", #name, s->name);
	PPOOL_ACCOUNT_STATS(PPOOL_ACCOUNT_PRINT)
#undef PPOOL_ACCOUNT_PRINT
}

void
ppool_account_dump(FILE *f)
{
	if (ppool_accounts_each(dump_account, f) != 0)
		fprintf(f, "accounts: no memory to count frags\n");
}

void
ppool_account_dump_pool(FILE *f, struct ppool *p)
{
	struct census *census = p->accounts == NULL ? NULL : calloc(1, sizeof(*census));
	uint16_t id;

	if (census == NULL)
		return;
	census_pool(p, census);
	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++)
		if (census->frags[id] != 0)
			fprintf(f, "  account %s: %" PRIu64 " frags, %" PRIu64 " bytes\n",
					p->accounts->account[id].name, census->frags[id],
					census->bytes[id]);
	free(census);
}
