/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* What all frags say of the accounts they are charged to, and whether the accounts agree. */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "accounts.h"
#include "ppool_account_table.h"
#include "walk.h"

static bool
slot_is_charged(const struct ppool *p, const struct ppool_slot_record *r)
{
	return r->truesize != 0 && r->truesize <= p->layout.page_bytes &&
			r->account != PPOOL_ACCOUNT_NONE && r->account < PPOOL_ACCOUNTS_MAX;
}

/* Whose page it is says whether it is a header or has a data room. */
static void
slots_add(const struct ppool *p, const struct ppool_page *pg, struct ppool_account_frags *sum)
{
	unsigned int size_class = ppool_page_class(pg);
	struct ppool_slot_record r;
	const struct ppool_class *c;
	uint32_t slot;

	if (size_class >= p->depot.nb_classes)
		return;
	c = &p->depot.size_class[size_class];
	for (slot = 0; slot < ppool_slots_formatted(c, pg) && ppool_page_is_slots(pg); slot++) {
		r = ppool_slot_read(ppool_slot_at(p, c, pg, slot));
		r.account &= PPOOL_ACCOUNTS_MAX - 1;
		if (!slot_is_charged(p, &r))
			continue;
		sum->bytes[r.account] += r.truesize + r.slot_bytes;
		sum->frags[r.account]++;
	}
}

void
ppool_frags_add(struct ppool *p, struct ppool_account_frags *sum)
{
	struct ppool_walk walk;
	uint32_t i;

	if (p->accounts == NULL || !ppool_is_mapped(p))
		return;
	ppool_walk_begin(&walk, p);
	for (i = 0; i < p->mp->size; i++)
		slots_add(p, &p->page[i], sum);
	sum->approximate |= ppool_walk_end(&walk);
}

static void
mempool_add(struct rte_mempool *mp, void *arg)
{
	if (ppool_is_page_pool(mp))
		ppool_frags_add(ppool_from_mempool(mp), arg);
}

struct ppool_account_frags *
ppool_frags_by_account(void)
{
	struct ppool_account_frags *sum = calloc(1, sizeof(*sum));

	if (sum != NULL)
		rte_mempool_walk(mempool_add, sum);
	return sum;
}

int
ppool_account_frags_get(uint16_t id, uint64_t *frags, uint64_t *bytes)
{
	struct ppool_account_frags *sum;

	if (!ppool_account_exists(ppool_account_get(id)))
		return -ENOENT;
	sum = ppool_frags_by_account();
	if (sum == NULL)
		return -ENOMEM;
	*frags = sum->frags[id];
	*bytes = sum->bytes[id];
	free(sum);
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
check_account(uint16_t id, const struct ppool_account_frags *sum, FILE *f)
{
	const struct ppool_account *a = ppool_account_get(id);
	uint64_t bytes = sum->bytes[id];

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
	struct ppool_account_frags *sum;
	int violations = 0;
	uint16_t id;

	if (ppool_accounts_get() == NULL)
		return 0;
	sum = ppool_frags_by_account();
	if (sum == NULL)
		return -ENOMEM;
	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++)
		violations += check_account(id, sum, f);
	free(sum);
	return violations;
}

struct dump {
	FILE *f;
	const struct ppool_account_frags *sum; /* NULL where there was no memory */
};

static void
dump_account(uint16_t id, const struct ppool_account_stats *s, void *arg)
{
	const char *name = ppool_account_name(id);
	const struct dump *dump = arg;
	FILE *f = dump->f;

	fprintf(f, "account %s, number %u\n", name == NULL ? "" : name, id);
#define PPOOL_ACCOUNT_PRINT(name, desc) fprintf(f, "  %-18s %" PRIu64 "\n", #name, s->name);
	PPOOL_ACCOUNT_STATS(PPOOL_ACCOUNT_PRINT)
#undef PPOOL_ACCOUNT_PRINT
	if (dump->sum != NULL)
		fprintf(f, "  %-18s %" PRIu64 "\n", "frags", dump->sum->frags[id]);
}

void
ppool_account_dump(FILE *f)
{
	struct ppool_account_frags *sum = ppool_frags_by_account();
	struct dump dump = { f, sum };

	ppool_accounts_each(dump_account, &dump);
	free(sum);
}

void
ppool_account_dump_pool(FILE *f, struct ppool *p)
{
	struct ppool_account_frags *sum = p->accounts == NULL ? NULL : calloc(1, sizeof(*sum));
	uint16_t id;

	if (sum == NULL)
		return;
	ppool_frags_add(p, sum);
	for (id = 1; id < PPOOL_ACCOUNTS_MAX; id++)
		if (sum->frags[id] != 0)
			fprintf(f, "  account %s: %" PRIu64 " frags, %" PRIu64 " bytes\n",
					p->accounts->account[id].name, sum->frags[id],
					sum->bytes[id]);
	free(sum);
}
