/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * The books of a pool, kept double: every term is counted where it lives and compared with its
 * counterpart. Nothing here is on a fast path.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ppool_private.h"
#include "ppool_survey.h"

/* What one page should have, collected from header slots and carvers. */
struct expected {
	uint64_t users;
	uint64_t bytes;
	uint64_t idle; /* slots in lists, of a header page */
};

struct audit {
	struct ppool *p;
	struct ppool_ledger *l;
	struct expected *page; /* NULL where only the ledger is asked for */
	FILE *f;
	int violations;
};

static void __rte_format_printf(3, 4) expect(struct audit *a, bool holds, const char *fmt, ...)
{
	va_list ap;

	if (holds)
		return;
	a->violations++;
	if (a->f == NULL)
		return;
	fprintf(a->f, "ppool %s: ", a->p->mp->name);
	va_start(ap, fmt);
	vfprintf(a->f, fmt, ap);
	va_end(ap);
	fputc('\n', a->f);
}

/* Users and bytes of a data page, without what its owner has dropped in the meantime. */
static uint64_t
page_use(const struct ppool_page *pg)
{
	return __atomic_load_n(&pg->use, __ATOMIC_ACQUIRE) - pg->owner_drop;
}

static void
count_free(struct audit *a)
{
	const struct rte_mempool *mp = a->p->mp;
	uint32_t cached = 0;
	int64_t whole;
	unsigned int id;

	whole = __atomic_load_n(&a->p->whole, __ATOMIC_RELAXED);
	for (id = 0; id < RTE_MAX_LCORE; id++) {
		if (a->p->lcore[id] != NULL)
			whole += a->p->lcore[id]->whole;
		if (mp->cache_size != 0)
			cached += mp->local_cache[id].len;
	}
	a->l->free = ppool_pages_count(a->p) + cached;
	a->l->whole = whole - cached;
}

static void
count_slot(struct audit *a, const struct ppool_page *pg, uint32_t i)
{
	const struct rte_mbuf *m = ppool_slot_at(a->p, pg, i);
	const struct ppool_frag *frag = ppool_frag_of(a->p, m);

	if (frag->truesize == 0) {
		expect(a, frag->account == 0, "mbuf %p is idle but charged to account %u",
				(const void *)m, frag->account);
		return;
	}
	a->l->frags++;
	a->l->charged += frag->truesize;
	a->l->slot_charged += frag->slot_bytes;
	if (a->page == NULL)
		return;
	expect(a, frag->page < a->p->mp->size, "mbuf %p: page %u does not exist", (const void *)m,
			frag->page);
	if (frag->page < a->p->mp->size) {
		a->page[frag->page].users++;
		a->page[frag->page].bytes += frag->truesize;
	}
}

static void
count_pages(struct audit *a)
{
	const struct ppool *p = a->p;
	const struct ppool_page *pg;
	uint32_t i, slot, stranded;
	uint64_t use;

	for (i = 0; i < p->mp->size; i++) {
		pg = &p->page[i];
		if (pg->kind == PPOOL_KIND_DATA) {
			use = page_use(pg);
			stranded = p->layout.page_bytes - PPOOL_BYTES(use);
			a->l->data++;
			a->l->data_bytes += p->layout.page_bytes;
			a->l->stranded += stranded;
			if (ppool_is_open(use))
				a->l->stranded_open += stranded;
		} else if (pg->kind == PPOOL_KIND_HEADER) {
			a->l->header++;
			a->l->header_bytes += p->layout.page_bytes;
			for (slot = 0; slot < p->layout.slots; slot++)
				count_slot(a, pg, slot);
		}
	}
}

static void
count_open(struct audit *a, uint32_t page, uint64_t users, uint32_t bytes)
{
	a->l->open += bytes;
	if (a->page == NULL)
		return;
	a->page[page].users += users;
	a->page[page].bytes += bytes;
}

static void
count_carvers(struct audit *a)
{
	const struct ppool_depot *d = &a->p->depot;
	const struct ppool_carver *c;
	const struct ppool_lane *l;
	uint32_t i;

	for (c = d->carvers; c != NULL; c = c->next) {
		a->l->table_bytes += sizeof(*c) + c->nb_lanes * sizeof(c->lane[0]);
		for (i = 0; i < c->nb_lanes; i++) {
			l = &c->lane[i];
			if (l->left != 0)
				count_open(a, l->page, PPOOL_BIAS - l->frags,
						l->left + l->unbilled + c->tail_bytes);
		}
	}
	for (i = d->parked_first; i != PPOOL_NONE; i = a->p->page[i].next)
		count_open(a, i, 1, a->p->page[i].open);
}

static void
count_idle_slot(struct audit *a, const struct rte_mbuf *m)
{
	const struct ppool_frag *frag = ppool_frag_of(a->p, m);

	a->l->slot_idle += frag->slot_bytes;
	if (a->page != NULL)
		a->page[frag->header_page].idle++;
}

static void
count_idle(struct audit *a)
{
	const struct ppool *p = a->p;
	const struct ppool_page *pg;
	const struct rte_mbuf *m;
	unsigned int id, n;
	uint32_t i, slot;

	for (i = p->depot.first; i != PPOOL_NONE; i = pg->next) {
		pg = &p->page[i];
		for (slot = pg->idle_first, n = 0; n < pg->idle; n++) {
			m = ppool_slot_at(p, pg, slot);
			count_idle_slot(a, m);
			slot = ppool_frag_of(p, m)->page;
		}
	}
	for (id = 0; id < RTE_MAX_LCORE; id++)
		for (n = 0; p->lcore[id] != NULL && n < p->lcore[id]->nb_headers; n++)
			count_idle_slot(a, p->lcore[id]->headers[n]);
}

static void
count_tables(struct audit *a)
{
	const struct ppool *p = a->p;
	unsigned int id;

	a->l->table_bytes += sizeof(*p) + ppool_pages_memory(p->mp->size);
	if (p->page != NULL)
		a->l->table_bytes += p->mp->size * sizeof(p->page[0]);
	for (id = 0; id < RTE_MAX_LCORE; id++)
		if (p->lcore[id] != NULL)
			a->l->table_bytes += sizeof(*p->lcore[id]);
}

static void
audit_run(struct audit *a)
{
	struct ppool *p = a->p;

	memset(a->l, 0, sizeof(*a->l));
	a->l->page_bytes = p->mp->header_size + p->mp->elt_size + p->mp->trailer_size;
	a->l->pages = p->mp->populated_size;
	ppool_headers_reclaim(p, true);
	count_free(a);
	count_tables(a);
	if (!ppool_is_split(p))
		return;
	rte_spinlock_lock(&p->depot.lock);
	count_pages(a);
	count_carvers(a);
	count_idle(a);
	rte_spinlock_unlock(&p->depot.lock);
}

int
ppool_ledger_get(struct rte_mempool *mp, struct ppool_ledger *ledger)
{
	struct audit a = { .p = ppool_from_mempool(mp), .l = ledger };

	if (a.p == NULL)
		return -ENOTSUP;
	audit_run(&a);
	return 0;
}

static void
check_page(struct audit *a, uint32_t i)
{
	const struct ppool_page *pg = &a->p->page[i];
	const struct expected *e = &a->page[i];
	uint64_t use = page_use(pg);

	if (pg->kind != PPOOL_KIND_DATA) {
		expect(a, e->users == 0, "page %u is no data page but has %" PRIu64 " users", i,
				e->users);
		return;
	}
	expect(a, PPOOL_USERS(use) == e->users, "page %u counts %u users, found %" PRIu64, i,
			PPOOL_USERS(use), e->users);
	expect(a, PPOOL_BYTES(use) == e->bytes, "page %u counts %u bytes in use, found %" PRIu64, i,
			PPOOL_BYTES(use), e->bytes);
}

static void
check_header_page(struct audit *a, uint32_t i)
{
	const struct ppool_page *pg = &a->p->page[i];
	uint64_t idle = 0;
	uint32_t slot;

	if (pg->kind != PPOOL_KIND_HEADER) {
		expect(a, a->page[i].idle == 0, "page %u is no header page but has idle slots", i);
		return;
	}
	for (slot = 0; slot < a->p->layout.slots; slot++)
		if (ppool_frag_of(a->p, ppool_slot_at(a->p, pg, slot))->truesize == 0)
			idle++;
	expect(a, idle == a->page[i].idle,
			"header page %u has %" PRIu64 " idle slots, %" PRIu64 " in lists", i, idle,
			a->page[i].idle);
}

static void
check_totals(struct audit *a)
{
	const struct ppool_ledger *l = a->l;
	struct ppool_stats s;

	expect(a, l->pages == (uint64_t)l->free + l->whole + l->data + l->header,
			"pages %u != free %u + whole %u + data %u + header %u", l->pages, l->free,
			l->whole, l->data, l->header);
	expect(a, l->data_bytes == l->charged + l->stranded + l->open,
			"data bytes %" PRIu64 " != charged %" PRIu64 " + stranded %" PRIu64
			" + open %" PRIu64,
			l->data_bytes, l->charged, l->stranded, l->open);
	expect(a, l->header_bytes == l->slot_charged + l->slot_idle,
			"header bytes %" PRIu64 " != charged %" PRIu64 " + idle %" PRIu64,
			l->header_bytes, l->slot_charged, l->slot_idle);
	ppool_stats_get(a->p->mp, &s);
	expect(a, s.frag_alloc - s.frag_free == l->frags,
			"frags handed out %" PRIu64 " - freed %" PRIu64 " != live %" PRIu64,
			s.frag_alloc, s.frag_free, l->frags);
	expect(a, s.frag_alloc_bytes - s.frag_free_bytes == l->charged,
			"bytes handed out %" PRIu64 " - freed %" PRIu64 " != charged %" PRIu64,
			s.frag_alloc_bytes, s.frag_free_bytes, l->charged);
}

int
ppool_check(struct rte_mempool *mp, FILE *f)
{
	struct ppool_ledger ledger;
	struct audit a = { .p = ppool_from_mempool(mp), .l = &ledger, .f = f };
	uint32_t i;

	if (a.p == NULL)
		return -ENOTSUP;
	a.page = calloc(a.p->mp->size, sizeof(a.page[0]));
	if (a.page == NULL)
		return -ENOMEM;
	audit_run(&a);
	check_totals(&a);
	for (i = 0; ppool_is_split(a.p) && i < a.p->mp->size; i++) {
		check_page(&a, i);
		check_header_page(&a, i);
	}
	free(a.page);
	return a.violations;
}

static void
stats_add(struct ppool_stats *sum, const struct ppool_stats *s)
{
#define PPOOL_STATS_ADD_FIELD(name, desc) sum->name += __atomic_load_n(&s->name, __ATOMIC_RELAXED);
	PPOOL_STATS(PPOOL_STATS_ADD_FIELD)
#undef PPOOL_STATS_ADD_FIELD
}

/* A carver's own counters end with its last closed page; its lanes know the rest. */
static void
carver_stats_add(struct ppool_stats *sum, const struct ppool_carver *c)
{
	const struct ppool_lane *l;

	sum->frag_alloc += c->frags;
	sum->frag_alloc_bytes += c->bytes;
	sum->page_open += c->pages;
	for (l = c->lane; l < c->lane + c->nb_lanes; l++) {
		if (l->left == 0)
			continue;
		sum->frag_alloc += l->frags;
		sum->frag_alloc_bytes += ppool_lane_bytes(c, l);
	}
}

int
ppool_stats_get(struct rte_mempool *mp, struct ppool_stats *stats)
{
	struct ppool *p = ppool_from_mempool(mp);
	const struct ppool_carver *c;
	unsigned int id;

	if (p == NULL)
		return -ENOTSUP;
	memset(stats, 0, sizeof(*stats));
	rte_spinlock_lock(&p->depot.lock);
	stats_add(stats, &p->stats);
	for (c = p->depot.carvers; c != NULL; c = c->next)
		carver_stats_add(stats, c);
	rte_spinlock_unlock(&p->depot.lock);
	for (id = 0; id < RTE_MAX_LCORE; id++)
		if (p->lcore[id] != NULL)
			stats_add(stats, &p->lcore[id]->stats);
	return 0;
}

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
	struct ppool_survey s;

	ppool_survey(p, &s);
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
