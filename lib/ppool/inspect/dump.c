/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* A pool as text. */

#include <errno.h>
#include <inttypes.h>

#include "accounts.h"
#include "occupancy.h"
#include "ppool_private.h"

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
#define PPOOL_STATS_PRINT(name, desc) fprintf(f, "  %-18s %" PRIu64 "\n", #name, s.name);
	PPOOL_STATS(PPOOL_STATS_PRINT)
#undef PPOOL_STATS_PRINT
	ppool_account_dump_pool(f, p);
}
