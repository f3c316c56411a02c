/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* A pool as text. */

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "accounts.h"
#include "occupancy.h"
#include "ppool_private.h"
#include "ppool_recover.h"

static void
dump_bins(FILE *f, const char *name, const uint64_t *bin, unsigned int n)
{
	unsigned int i;

	fprintf(f, "  %-18s", name);
	for (i = 0; i < n; i++)
		fprintf(f, " %" PRIu64, bin[i]);
	fputc('\n', f);
}

/* How full and how old data pages are. */
static void
dump_pages(FILE *f, const struct ppool *p)
{
	struct ppool_occupancy s;

	ppool_occupancy(p, &s);
	dump_bins(f, "pages by tenths", s.occupancy, RTE_DIM(s.occupancy));
	dump_bins(f, "by age, 10^n ms", s.age, RTE_DIM(s.age));
}

/* Who has something of the pool: what is not zero. */
static void
dump_owner(FILE *f, const struct ppool_owner_info *o)
{
	fprintf(f, "  owner lcore %" PRId32, o->lcore);
#define PPOOL_OWNER_PRINT(name, desc) \
	if (o->name != 0) \
		fprintf(f, ", %s %" PRIu64, #name, o->name);
	PPOOL_OWNER_INFO(PPOOL_OWNER_PRINT)
#undef PPOOL_OWNER_PRINT
	fputc('\n', f);
}

static void
dump_owners(FILE *f, struct rte_mempool *mp)
{
	int n = ppool_owners_get(mp, NULL, 0), i;
	struct ppool_owner_info *info;

	if (n <= 0)
		return;
	info = calloc((size_t)n, sizeof(*info));
	if (info == NULL)
		return;
	n = RTE_MIN(n, ppool_owners_get(mp, info, (unsigned int)n));
	for (i = 0; i < n; i++)
		dump_owner(f, &info[i]);
	free(info);
}

static void
dump_ledger(FILE *f, const struct ppool_ledger *l)
{
	if (l->approximate != 0)
		fprintf(f, "  others use the pool: what follows is of different moments\n");
#define PPOOL_LEDGER_PRINT(name, type, unit, desc) \
	fprintf(f, "  %-18s %" PRIu64 " %s\n", #name, (uint64_t)l->name, unit);
	PPOOL_LEDGER(PPOOL_LEDGER_PRINT)
#undef PPOOL_LEDGER_PRINT
}

void
ppool_dump(FILE *f, struct rte_mempool *mp)
{
	struct ppool *p = ppool_find(mp);
	struct ppool_ledger l;
	struct ppool_stats s;
	int ret;

	ret = ppool_ledger_get(mp, &l);
	if (ret == -ENXIO)
		fprintf(f, "ppool %s: its pages are not mapped here, call ppool_attach()\n",
				mp->name);
	else if (ret != 0)
		fprintf(f, "mempool %s is no page pool: its ops are not " PPOOL_OPS_NAME "\n",
				mp->name);
	if (ret != 0)
		return;
	ppool_stats_get(mp, &s);
	fprintf(f, "ppool %s, frag pool %s\n", p->mp->name,
			p->frag_mp == NULL ? "none" : p->frag_mp->name);
	fprintf(f, "  page: lead %u, room %u bytes; header page: %u slots of %u bytes\n",
			p->layout.lead_bytes, p->layout.room_bytes, p->layout.slots,
			p->layout.slot_bytes);
	dump_ledger(f, &l);
	dump_pages(f, p);
	dump_owners(f, mp);
#define PPOOL_STATS_PRINT(name, desc) fprintf(f, "  %-18s %" PRIu64 "\n", #name, s.name);
	PPOOL_STATS(PPOOL_STATS_PRINT)
#undef PPOOL_STATS_PRINT
	ppool_account_dump_pool(f, p);
}
