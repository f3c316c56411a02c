/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * The books of a pool, kept double: every term is counted where it lives and compared with its
 * counterpart. Nothing here is on a fast path, and nothing waits for it: see walk.h.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ledger.h"
#include "ppool_freelist.h"
#include "walk.h"

/* What one page should have, collected from header slots and carvers. */
struct expected {
	uint64_t users;
	uint64_t bytes;
	uint64_t idle;   /* slots without a frag, of a header page */
	uint64_t listed; /* slots in lists */
};

struct audit {
	struct ppool *p;
	struct ppool_ledger *l;
	struct expected *page; /* NULL where only the ledger is asked for */
	struct ppool_walk walk;
	FILE *f;
	int violations;
	uint32_t parked;
	uint64_t listed_bytes; /* of header slots in lists */
	uint64_t listed;       /* slots of size classes in lists */
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

static void
audit_free_pages(struct audit *a, const struct ppool_motion *m)
{
	a->l->free = m->free + m->cached;
	a->l->whole = (uint32_t)RTE_MAX(m->whole - (int64_t)m->cached, INT64_C(0));
	a->l->idle = ppool_idle_count(a->p);
}

/* Slots */

/* What the slots of one page say. */
struct slot_sums {
	uint64_t frags, charged, slot_charged, slot_idle, nb_idle;
};

/* Bytes of the slots of a page that are still to be formatted. */
static uint32_t
fresh_bytes(const struct audit *a, const struct ppool_class *c, uint32_t formatted)
{
	return a->l->page_bytes - ppool_slots_share(a->p, c, formatted);
}

static void
add_idle_slot(struct audit *a, const struct ppool_slot_record *r, struct slot_sums *sum)
{
	sum->slot_idle += r->slot_bytes;
	sum->nb_idle++;
	expect(a, r->account == 0, "a slot of header page %u is idle but charged to account %u",
			r->header_page, r->account);
}

static void
add_slot(struct audit *a, const struct ppool_slot_record *r, struct slot_sums *sum)
{
	bool page_exists = r->page < a->p->mp->size;

	sum->frags++;
	sum->charged += r->truesize;
	sum->slot_charged += r->slot_bytes;
	expect(a, page_exists, "a frag in header page %u: page %u does not exist", r->header_page,
			r->page);
	if (a->page == NULL || !page_exists)
		return;
	a->page[r->page].users++;
	a->page[r->page].bytes += r->truesize;
}

static void
add_slot_page(struct audit *a, uint32_t i)
{
	const struct ppool_class *c = &a->p->depot.size_class[PPOOL_HEADERS];
	const struct ppool_page *pg = &a->p->page[i];
	struct ppool_slot_record r;
	uint32_t slot, formatted = ppool_slots_formatted(c, pg);
	struct slot_sums sum;

	memset(&sum, 0, sizeof(sum));
	sum.slot_idle = fresh_bytes(a, c, formatted);
	sum.nb_idle = c->slots - formatted;
	for (slot = 0; slot < formatted; slot++) {
		r = ppool_slot_read(ppool_slot_at(a->p, c, pg, slot));
		if (r.truesize == 0)
			add_idle_slot(a, &r, &sum);
		else
			add_slot(a, &r, &sum);
	}
	/* What was read may be anything, where the page went home meanwhile. */
	if (!ppool_page_is(pg, PPOOL_KIND_SLOTS + PPOOL_HEADERS))
		return;
	a->l->header++;
	a->l->header_bytes += a->l->page_bytes;
	a->l->frags += sum.frags;
	a->l->charged += sum.charged;
	a->l->slot_charged += sum.slot_charged;
	a->l->slot_idle += sum.slot_idle;
	if (a->page != NULL)
		a->page[i].idle = sum.nb_idle;
}

static void
add_class_page(struct audit *a, uint32_t i)
{
	const struct ppool_class *c = ppool_class_look(a->p, &a->p->page[i]);

	if (c == NULL)
		return;
	a->l->class_pages++;
	a->l->class_bytes += a->l->page_bytes;
	if (a->page != NULL)
		a->page[i].idle = c->slots;
}

/* Data pages */

static void
count_open(struct audit *a, uint32_t page, uint64_t users, uint32_t bytes)
{
	a->l->open += bytes;
	if (a->page == NULL || page >= a->p->mp->size)
		return;
	a->page[page].users += users;
	a->page[page].bytes += bytes;
}

PPOOL_RACY static void
add_data_page(struct audit *a, uint32_t i)
{
	const struct ppool_page *pg = &a->p->page[i];
	uint64_t use = ppool_page_look(pg);
	bool parked = __atomic_load_n(&pg->parked, __ATOMIC_RELAXED) != 0;
	uint32_t open = __atomic_load_n(&pg->open, __ATOMIC_RELAXED), stranded;

	if (!ppool_page_is(pg, PPOOL_KIND_DATA))
		return;
	stranded = a->l->page_bytes - RTE_MIN(PPOOL_BYTES(use), a->l->page_bytes);
	a->l->data++;
	a->l->data_bytes += a->l->page_bytes;
	a->l->stranded += stranded;
	if (ppool_is_open(use))
		a->l->stranded_open += stranded;
	if (parked) {
		a->parked++;
		count_open(a, i, 1, open);
	}
}

static void
count_pages(struct audit *a)
{
	const struct ppool *p = a->p;
	uint32_t i;

	for (i = 0; i < p->mp->size; i++) {
		if (ppool_page_is(&p->page[i], PPOOL_KIND_DATA))
			add_data_page(a, i);
		else if (ppool_page_is(&p->page[i], PPOOL_KIND_SLOTS + PPOOL_HEADERS))
			add_slot_page(a, i);
		else if (ppool_page_is_slots(&p->page[i]))
			add_class_page(a, i);
	}
}

/* No carver is freed meanwhile, but all may be at work. */
PPOOL_RACY static void
count_carvers(struct audit *a)
{
	const struct ppool_carver *c;
	const struct ppool_lane *l;
	uint32_t i, left, bytes;

	ppool_carvers_lock(a->p);
	for (c = a->p->carvers; c != NULL; c = c->next) {
		a->l->table_bytes += sizeof(*c) + c->nb_lanes * sizeof(c->lane[0]) +
				c->max_reserve * sizeof(c->reserve[0]);
		for (i = 0; i < c->nb_lanes; i++) {
			l = &c->lane[i];
			left = __atomic_load_n(&l->left, __ATOMIC_RELAXED);
			bytes = left + l->unbilled + c->tail_bytes;
			if (left != 0)
				count_open(a, l->page, PPOOL_BIAS - l->frags, bytes);
		}
	}
	ppool_carvers_unlock(a->p);
}

/* Lists of idle slots. They lead to some slots of the pool while others work. */

static void
list_slot(struct audit *a, const struct rte_mbuf *m)
{
	struct ppool_slot_record r = ppool_slot_read(m);

	if (r.account < PPOOL_RECORD_SLOT) {
		a->listed_bytes += r.slot_bytes;
	} else {
		a->l->class_idle += r.truesize;
		a->listed++;
	}
	if (a->page == NULL)
		return;
	expect(a, r.header_page < a->p->mp->size, "idle mbuf %p: header page %u does not exist",
			(const void *)m, r.header_page);
	if (r.header_page < a->p->mp->size)
		a->page[r.header_page].listed++;
}

/* Slots that are still to be formatted count as listed. */
static void
list_fresh(struct audit *a, const struct ppool_class *c, const struct ppool_page *pg,
		uint32_t formatted)
{
	uint32_t bytes = fresh_bytes(a, c, formatted), n = c->slots - formatted;

	if (c == &a->p->depot.size_class[PPOOL_HEADERS]) {
		a->listed_bytes += bytes;
	} else {
		a->l->class_idle += bytes;
		a->listed += n;
	}
	if (a->page != NULL)
		a->page[pg - a->p->page].listed += n;
}

PPOOL_RACY static void
list_depot_page(struct audit *a, const struct ppool_class *c, const struct ppool_page *pg)
{
	uint32_t formatted = ppool_slots_formatted(c, pg), fresh = c->slots - formatted;
	uint32_t idle = __atomic_load_n(&pg->idle, __ATOMIC_RELAXED);
	uint32_t slot = __atomic_load_n(&pg->idle_first, __ATOMIC_RELAXED);
	uint32_t left = idle - RTE_MIN(idle, fresh);
	const struct rte_mbuf *m;

	list_fresh(a, c, pg, formatted);
	for (; left > 0 && slot < formatted; left--) {
		m = ppool_slot_at(a->p, c, pg, slot);
		list_slot(a, m);
		slot = ppool_slot_read(m).next_idle;
	}
}

PPOOL_RACY static void
list_depot_pages(struct audit *a, const struct ppool_class *c, uint32_t i)
{
	const struct ppool *p = a->p;
	uint32_t left = p->mp->size;

	for (; left > 0 && i < p->mp->size; left--) {
		list_depot_page(a, c, &p->page[i]);
		i = __atomic_load_n(&p->page[i].next, __ATOMIC_RELAXED);
	}
}

PPOOL_RACY static void
list_depot(struct audit *a)
{
	const struct ppool_depot *d = &a->p->depot;
	unsigned int i, k;

	for (i = 0; i < d->nb_classes; i++)
		for (k = 0; k < PPOOL_FILLS; k++)
			list_depot_pages(a, &d->size_class[i],
					__atomic_load_n(&d->size_class[i].first[k],
							__ATOMIC_RELAXED));
}

PPOOL_RACY static void
list_lcores(struct audit *a)
{
	uint64_t before = a->l->class_idle;
	uint32_t i, n, size_class;
	struct ppool_lcore *lc;

	PPOOL_LCORE_FOREACH(a->p, lc) {
		for (size_class = 0; size_class < a->p->depot.nb_classes; size_class++) {
			n = __atomic_load_n(&lc->nb_slots[size_class], __ATOMIC_RELAXED);
			for (i = 0; i < n; i++)
				list_slot(a, ppool_lcore_slots(lc, size_class)[i]);
		}
	}
	a->l->class_reserve = a->l->class_idle - before;
}

/* What carvers keep. */
PPOOL_RACY static void
list_reserves(struct audit *a)
{
	const struct ppool_carver *c;
	uint32_t i;

	ppool_carvers_lock(a->p);
	for (c = a->p->carvers; c != NULL; c = c->next)
		for (i = 0; i < c->nb_reserve; i++)
			list_slot(a, c->reserve[i]);
	ppool_carvers_unlock(a->p);
}

static void
count_tables(struct audit *a)
{
	const struct ppool *p = a->p;
	const struct ppool_lcore *lc;

	a->l->table_bytes += sizeof(*p) + ppool_freelist_memory(p->mp->size);
	if (p->page != NULL)
		a->l->table_bytes += p->mp->size * sizeof(p->page[0]);
	PPOOL_LCORE_FOREACH(p, lc)
		a->l->table_bytes += sizeof(*lc);
}

/* The terms, and what pages should have. */
static void
audit_count(struct audit *a)
{
	const struct ppool *p = a->p;

	memset(a->l, 0, sizeof(*a->l));
	a->l->page_bytes = p->mp->header_size + p->mp->elt_size + p->mp->trailer_size;
	a->l->pages = p->mp->populated_size;
	audit_free_pages(a, &a->walk.before);
	count_tables(a);
	if (!ppool_is_split(p))
		return;
	count_pages(a);
	count_carvers(a);
	list_depot(a);
	list_lcores(a);
	list_reserves(a);
	a->l->class_slots = a->walk.before.stats.slot_alloc - a->walk.before.stats.slot_free;
	a->l->class_live = a->l->class_bytes - RTE_MIN(a->l->class_idle, a->l->class_bytes);
}

static bool
can_walk(const struct ppool *p)
{
	return !ppool_is_split(p) || ppool_is_mapped(p);
}

int
ppool_ledger_get(struct rte_mempool *mp, struct ppool_ledger *ledger)
{
	struct audit a = { .p = ppool_find(mp), .l = ledger };

	if (a.p == NULL)
		return -ENOTSUP;
	if (!can_walk(a.p))
		return -ENXIO;
	ppool_walk_begin(&a.walk, a.p);
	audit_count(&a);
	ledger->approximate = ppool_walk_end(&a.walk);
	return 0;
}

static void
check_page(struct audit *a, uint32_t i)
{
	const struct ppool_page *pg = &a->p->page[i];
	const struct expected *e = &a->page[i];
	uint64_t use = ppool_page_look(pg);

	if (!ppool_page_is(pg, PPOOL_KIND_DATA)) {
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
check_slot_page(struct audit *a, uint32_t i)
{
	const struct expected *e = &a->page[i];

	if (!ppool_page_is_slots(&a->p->page[i]))
		expect(a, e->listed == 0, "page %u is no slot page but has idle slots", i);
	else if (!ppool_page_is(&a->p->page[i], PPOOL_KIND_SLOTS + PPOOL_HEADERS))
		expect(a, e->listed <= e->idle,
				"slot page %u has %" PRIu64 " slots, %" PRIu64 " in lists", i,
				e->idle, e->listed);
	else
		expect(a, e->idle == e->listed,
				"header page %u has %" PRIu64 " idle slots, %" PRIu64 " in lists",
				i, e->idle, e->listed);
}

/* Of all pages. */
static uint64_t
class_slots(const struct ppool *p)
{
	uint64_t n = 0;
	unsigned int i;

	for (i = PPOOL_HEADERS + 1; i < p->depot.nb_classes; i++)
		n += (uint64_t)p->depot.size_class[i].slots * p->depot.size_class[i].nb_pages;
	return n;
}

static void
check_totals(struct audit *a)
{
	const struct ppool_stats *s = &a->walk.before.stats;
	const struct ppool_ledger *l = a->l;

	expect(a, l->pages == (uint64_t)l->free + l->whole + l->data + l->header + l->class_pages,
			"pages %u != free %u + whole %u + data %u + header %u + class %u", l->pages,
			l->free, l->whole, l->data, l->header, l->class_pages);
	expect(a, l->data_bytes == l->charged + l->stranded + l->open,
			"data bytes %" PRIu64 " != charged %" PRIu64 " + stranded %" PRIu64
			" + open %" PRIu64,
			l->data_bytes, l->charged, l->stranded, l->open);
	expect(a, l->header_bytes == l->slot_charged + l->slot_idle,
			"header bytes %" PRIu64 " != charged %" PRIu64 " + idle %" PRIu64,
			l->header_bytes, l->slot_charged, l->slot_idle);
	expect(a, l->slot_idle == a->listed_bytes,
			"slots without a frag have %" PRIu64 " bytes, those in lists %" PRIu64,
			l->slot_idle, a->listed_bytes);
	expect(a, class_slots(a->p) == l->class_slots + a->listed,
			"slots of size classes %" PRIu64 " != handed out %" PRIu64
			" + in lists %" PRIu64,
			class_slots(a->p), l->class_slots, a->listed);
	expect(a, l->class_idle <= l->class_bytes && (l->class_slots != 0 || l->class_live == 0),
			"class bytes %" PRIu64 " != live %" PRIu64 " + idle %" PRIu64,
			l->class_bytes, l->class_live, l->class_idle);
	expect(a, a->parked == a->p->depot.nb_parked, "%u pages are parked, %u in the list",
			a->parked, a->p->depot.nb_parked);
	expect(a, s->frag_alloc - s->frag_free == l->frags,
			"frags handed out %" PRIu64 " - freed %" PRIu64 " != live %" PRIu64,
			s->frag_alloc, s->frag_free, l->frags);
	expect(a, s->frag_alloc_bytes - s->frag_free_bytes == l->charged,
			"bytes handed out %" PRIu64 " - freed %" PRIu64 " != charged %" PRIu64,
			s->frag_alloc_bytes, s->frag_free_bytes, l->charged);
}

static void
check_pages(struct audit *a)
{
	uint32_t i;

	for (i = 0; ppool_is_split(a->p) && i < a->p->mp->size; i++) {
		check_page(a, i);
		check_slot_page(a, i);
	}
}

int
ppool_audit(struct ppool *p, struct ppool_ledger *l, FILE *f)
{
	struct audit a = { .p = p, .l = l, .f = f };

	if (!can_walk(p))
		return -ENXIO;
	a.page = calloc(p->mp->size, sizeof(a.page[0]));
	if (a.page == NULL)
		return -ENOMEM;
	ppool_walk_begin(&a.walk, p);
	audit_count(&a);
	check_totals(&a);
	check_pages(&a);
	l->approximate = ppool_walk_end(&a.walk);
	free(a.page);
	return a.violations;
}

int
ppool_check(struct rte_mempool *mp, FILE *f)
{
	struct ppool *p = ppool_find(mp);
	struct ppool_ledger ledger;

	return p == NULL ? -ENOTSUP : ppool_audit(p, &ledger, f);
}
