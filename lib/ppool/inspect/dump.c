/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* A pool as text. */

#include <inttypes.h>

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

void
ppool_dump(FILE *f, struct rte_mempool *mp)
{
	struct ppool *p = ppool_from_mempool(mp);
	struct ppool_ledger l;
	struct ppool_stats s;

	if (ppool_ledger_get(mp, &l) != 0) {
		fprintf(f, "mempool %s is no page pool: its ops are not " PPOOL_OPS_NAME "\n",
				mp->name);
		return;
	}
	ppool_stats_get(mp, &s);
	fprintf(f, "ppool %s, frag pool %s\n", p->mp->name,
			p->frag_mp == NULL ? "none" : p->frag_mp->name);
	fprintf(f, "  page %u bytes: lead %u, room %u; header page: %u slots of %u\n", l.page_bytes,
			p->layout.lead_bytes, p->layout.room_bytes, p->layout.slots,
			p->layout.slot_bytes);
	fprintf(f, "  pages %u = free %u + whole %u + data %u + header %u\n", l.pages, l.free,
			l.whole, l.data, l.header);
	fprintf(f,
			"  data bytes %" PRIu64 " = charged %" PRIu64 " + stranded %" PRIu64
			" (%" PRIu64 " in open pages) + open %" PRIu64 "\n",
			l.data_bytes, l.charged, l.stranded, l.stranded_open, l.open);
	fprintf(f, "  header bytes %" PRIu64 " = charged %" PRIu64 " + idle %" PRIu64 "\n",
			l.header_bytes, l.slot_charged, l.slot_idle);
	dump_pages(f, p);
	fprintf(f, "  frags %" PRIu64 ", tables %" PRIu64 " bytes\n", l.frags, l.table_bytes);
#define PPOOL_STATS_PRINT(name, desc) fprintf(f, "  %-18s %" PRIu64 "\n", #name, s.name);
	PPOOL_STATS(PPOOL_STATS_PRINT)
#undef PPOOL_STATS_PRINT
	ppool_account_dump_pool(f, p);
}
