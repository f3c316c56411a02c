/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>

#include <rte_debug.h>
#include <rte_eal.h>
#include <rte_malloc.h>

#include "ppool_mono.h"
#include "ppool_private.h"

#define MESSAGE_SIZE 512

/* Of this process; where there is none, misuse is a panic. */
static ppool_debug_handler_t handler;
static void *handler_arg;

/* Says what is wrong with a pool, and does not come back but for a handler that does. */
static void __rte_cold __rte_format_printf(2, 3) report(const struct ppool *p, const char *fmt, ...)
{
	char message[MESSAGE_SIZE];
	int len;
	va_list ap;

	len = snprintf(message, sizeof(message), "mempool %s: ", p->mp->name);
	va_start(ap, fmt);
	vsnprintf(message + len, sizeof(message) - (size_t)len, fmt, ap);
	va_end(ap);
	if (handler == NULL)
		rte_panic("PPOOL: %s\n", message);
	handler(message, handler_arg);
}

static uint32_t
commit_limit(const struct ppool_lane *l)
{
	return RTE_MIN(l->left, (uint32_t)UINT16_MAX);
}

/* What can be seen without tables. */
static void
check_commit(const struct ppool_carver *c, uint16_t lane, const struct rte_mbuf *m, uint32_t len)
{
	const struct ppool_lane *l = &c->lane[lane];
	uint64_t bytes = (uint64_t)c->headroom + len;

	if (lane >= c->nb_lanes)
		report(c->pool, "commit on lane %u of carver %p, which has %u lanes", lane,
				(const void *)c, c->nb_lanes);
	else if (l->left == 0)
		report(c->pool,
				"commit on lane %u of carver %p, which has no page open: "
				"ppool_reserve() comes first",
				lane, (const void *)c);
	else if (bytes == 0 || bytes > commit_limit(l))
		report(c->pool,
				"commit of %u bytes and a headroom of %u on lane %u of carver %p, "
				"whose buffer holds %u",
				len, c->headroom, lane, (const void *)c, commit_limit(l));
	else if (ppool_frag_of(m)->truesize != 0)
		report(c->pool, "commit on lane %u of carver %p with mbuf %p, which has a frag",
				lane, (const void *)c, (const void *)m);
}

#ifdef PPOOL_DEBUG

#define POISON 0x6b

/* For messages. */
#define WHO_SIZE 48

struct who {
	uint32_t tid;
	uint32_t lcore;
};

struct debug_page {
	void *obj;                     /* NULL: this place of the table is empty */
	const struct ppool_lane *lane; /* the last one that opened it */
	uint32_t index;
	uint32_t use; /* enum ppool_debug_use; atomic */
	bool poisoned;
	struct who in, out; /* who put it into the free lists and took it from there */
};

enum slot_state {
	SLOT_IDLE,
	SLOT_OUT,
};

struct debug_slot {
	uint32_t state; /* enum slot_state; atomic */
	bool poisoned;  /* its data room is */
	struct who in, out;
};

struct ppool_debug {
	struct debug_slot *slot; /* those of page 0, those of page 1...; NULL until split */
	uint32_t mask;
	struct debug_page page[]; /* hash table by obj */
};

/* Behind the lanes of a carver. */
struct debug_carver {
	uint32_t inside; /* thread that is in a function of the carver, else 0; atomic */
	uint32_t depth;  /* how many functions it is in */
	struct who who;  /* who drives the carver */
	uint8_t reserved[];
};

int
ppool_debug_set_handler(ppool_debug_handler_t f, void *arg)
{
	handler = f;
	handler_arg = arg;
	return 0;
}

static struct who
who_am_i(void)
{
	return (struct who){ .tid = (uint32_t)rte_gettid(), .lcore = rte_lcore_id() };
}

static const char *
who_str(struct who who, char *text)
{
	if (who.tid == 0)
		snprintf(text, WHO_SIZE, "nobody");
	else if (who.lcore == LCORE_ID_ANY)
		snprintf(text, WHO_SIZE, "thread %u, no lcore", who.tid);
	else
		snprintf(text, WHO_SIZE, "thread %u, lcore %u", who.tid, who.lcore);
	return text;
}

/* In an expression, for the length of a call. */
#define WHO(who) who_str((who), (char[WHO_SIZE]){ 0 })
#define ME WHO(who_am_i())

static const char *
use_str(uint32_t use)
{
	static const char * const names[] = {
		[PPOOL_DEBUG_FREE] = "free",
		[PPOOL_DEBUG_WHOLE] = "an ordinary object",
		[PPOOL_DEBUG_DATA] = "a data page",
		[PPOOL_DEBUG_SLOTS] = "a slot page",
	};

	return names[use];
}

/* Pools and pointers */

static bool
lies_in(const struct rte_mempool *mp, const void *ptr, size_t len)
{
	const struct rte_mempool_memhdr *chunk;
	uintptr_t offset;

	STAILQ_FOREACH(chunk, &mp->mem_list, next) {
		/* What lies in front of a chunk, or of a NULL pointer, is far behind it. */
		offset = (uintptr_t)ptr - (uintptr_t)chunk->addr;
		if (offset < chunk->len && len <= chunk->len - offset)
			return true;
	}
	return false;
}

struct search {
	const void *ptr;
	const struct rte_mempool *mp;
};

/* Internal pools list the memory of their page pool, which is the one to name. */
static void
search_mempool(struct rte_mempool *mp, void *arg)
{
	struct search *s = arg;

	if (!ppool_is_internal_pool(mp) && lies_in(mp, s->ptr, 1))
		s->mp = mp;
}

static const char *
pool_name_of(const void *ptr)
{
	struct search s = { .ptr = ptr };

	rte_mempool_walk(search_mempool, &s);
	return s.mp == NULL ? "none" : s.mp->name;
}

/* Pages */

static uint32_t
hash(const struct ppool_debug *d, const void *obj)
{
	return (uint32_t)(((uintptr_t)obj >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & d->mask;
}

/* The page, or the empty place where it would be. */
static struct debug_page *
lookup(struct ppool_debug *d, const void *obj)
{
	uint32_t i = hash(d, obj);

	while (d->page[i].obj != NULL && d->page[i].obj != obj)
		i = (i + 1) & d->mask;
	return &d->page[i];
}

/* Objects are enqueued for the first time when they have just been appended to the pool's list. */
static bool
is_new(const struct rte_mempool *mp, void *obj)
{
	struct rte_mempool_objhdr *hdr = RTE_PTR_SUB(obj, sizeof(*hdr));

	return mp->elt_list.stqh_last == &STAILQ_NEXT(hdr, next);
}

static struct debug_page *
find_page(struct ppool *p, void *obj, enum ppool_debug_use use)
{
	struct debug_page *pg = obj == NULL ? NULL : lookup(p->debug, obj);

	if (pg != NULL && pg->obj == NULL && use == PPOOL_DEBUG_WHOLE && is_new(p->mp, obj)) {
		pg->obj = obj;
		pg->index = p->mp->populated_size - 1;
		pg->use = PPOOL_DEBUG_WHOLE;
	}
	return pg == NULL || pg->obj == NULL ? NULL : pg;
}

/* The part of a page that belongs to nobody while it is free. */
static char *
page_room(const struct ppool *p, const struct debug_page *pg)
{
	return (char *)pg->obj + p->mp->elt_size - p->layout.room_bytes;
}

static void
poison(const struct ppool *p, struct debug_page *pg)
{
	/* What an object holds that can never be split is not known. */
	if (!ppool_is_split(p))
		return;
	memset(page_room(p, pg), POISON, p->layout.room_bytes);
	pg->poisoned = true;
}

static void
check_poison(const struct ppool *p, struct debug_page *pg)
{
	const char *room = page_room(p, pg);
	uint32_t i = 0, n = p->layout.room_bytes;

	if (!pg->poisoned)
		return;
	pg->poisoned = false;
	if (room[0] == POISON && memcmp(room, room + 1, n - 1) == 0)
		return;
	while (room[i] == POISON)
		i++;
	report(p,
			"page %u, %p, was written to after it was freed, first at %p, byte %u of "
			"the element; freed by %s; found by %s",
			pg->index, pg->obj, (const void *)(room + i),
			(uint32_t)RTE_PTR_DIFF(room + i, pg->obj), WHO(pg->in), ME);
}

static void
report_put(struct ppool *p, const struct debug_page *pg, uint32_t found, enum ppool_debug_use use)
{
	if (found == PPOOL_DEBUG_FREE)
		report(p, "double put of page %u, %p, by %s: it is free, put before by %s",
				pg->index, pg->obj, ME, WHO(pg->in));
	else
		report(p, "put of page %u, %p, as %s by %s: it is %s, taken by %s", pg->index,
				pg->obj, use_str(use), ME, use_str(found), WHO(pg->out));
}

static void
page_in(struct ppool *p, void *obj, enum ppool_debug_use use)
{
	struct debug_page *pg = find_page(p, obj, use);
	uint32_t found = use;

	if (pg == NULL) {
		report(p, "put of %p by %s: it is no object of this mempool but lies in mempool %s",
				obj, ME, pool_name_of(obj));
		return;
	}
	if (!__atomic_compare_exchange_n(&pg->use, &found, PPOOL_DEBUG_FREE, false,
			    __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		report_put(p, pg, found, use);
		return;
	}
	pg->in = who_am_i();
	poison(p, pg);
}

void
ppool_debug_pages_in(struct ppool *p, void * const *obj, unsigned int n, enum ppool_debug_use use)
{
	unsigned int i;

	for (i = 0; p->debug != NULL && i < n; i++)
		page_in(p, obj[i], use);
}

static void
page_out(struct ppool *p, void *obj, enum ppool_debug_use use)
{
	struct debug_page *pg = find_page(p, obj, use);
	uint32_t found = PPOOL_DEBUG_FREE;

	if (pg == NULL) {
		report(p, "%p is in the free lists but is no object of this mempool", obj);
		return;
	}
	if (!__atomic_compare_exchange_n(&pg->use, &found, use, false, __ATOMIC_ACQ_REL,
			    __ATOMIC_ACQUIRE))
		report(p, "page %u, %p, is in the free lists but is %s, taken by %s; found by %s",
				pg->index, obj, use_str(found), WHO(pg->out), ME);
	pg->out = who_am_i();
	check_poison(p, pg);
}

void
ppool_debug_pages_out(struct ppool *p, void * const *obj, unsigned int n, enum ppool_debug_use use)
{
	unsigned int i;

	for (i = 0; p->debug != NULL && i < n; i++)
		page_out(p, obj[i], use);
}

/* A process that ended had got so far with a page as nobody can know. */
void
ppool_debug_page_found(struct ppool *p, void *obj, enum ppool_debug_use use)
{
	struct debug_page *pg;

	if (p->debug == NULL)
		return;
	pg = find_page(p, obj, use);
	if (pg == NULL)
		return;
	pg->poisoned = false;
	__atomic_store_n(&pg->use, use, __ATOMIC_RELEASE);
}

/* Headers */

static struct debug_slot *
slot_at(const struct ppool *p, uint32_t page, uint32_t i)
{
	return &p->debug->slot[(size_t)page * p->layout.slots + i];
}

/* NULL where m is no slot of a header page of this pool; it may point anywhere. */
static struct debug_slot *
find_slot(const struct ppool *p, const struct rte_mbuf *m)
{
	const struct ppool_class *c;
	const struct ppool_page *pg;
	uint32_t page, i;

	if (!lies_in(p->mp, ppool_frag_of(m), PPOOL_FRONT + p->mbuf_bytes))
		return NULL;
	page = ppool_frag_of(m)->header_page;
	if (page >= p->mp->size || !ppool_page_is_slots(&p->page[page]))
		return NULL;
	pg = &p->page[page];
	if ((uintptr_t)m < (uintptr_t)pg->obj + p->first_slot)
		return NULL;
	c = ppool_class_of(p, pg);
	i = ppool_slot_index(p, c, pg, m);
	if (i >= ppool_slots_formatted(c, pg) || ppool_slot_at(p, c, pg, i) != m)
		return NULL;
	return slot_at(p, page, i);
}

static void
report_foreign(const struct ppool *p, const char *what, const void *m)
{
	report(p, "%s of %p by %s: it is no slot of this mempool but lies in mempool %s", what, m,
			ME, pool_name_of(m));
}

static void
report_twice(const struct ppool *p, const char *what, const struct rte_mbuf *m,
		const struct debug_slot *slot)
{
	const struct ppool_frag *frag = ppool_frag_of(m);

	report(p, "double %s of mbuf %p, in slot page %u, by %s: it is idle, freed before by %s",
			what, (const void *)m, frag->header_page, ME, WHO(slot->in));
}

/* The part of a slot that nobody writes to while it is idle. */
static uint8_t *
slot_room(const struct ppool *p, const struct rte_mbuf *m)
{
	return RTE_PTR_ADD(m, p->mbuf_bytes);
}

/* Returns the first byte that is not as the poison left it; NULL where all are. */
static const uint8_t *
room_overwritten(const struct ppool *p, const struct ppool_class *c, const struct rte_mbuf *m)
{
	uint32_t i = 0, n = c->slot_bytes - PPOOL_FRONT - p->mbuf_bytes;
	const uint8_t *room = slot_room(p, m);

	if (room[0] == POISON && memcmp(room, room + 1, n - 1) == 0)
		return NULL;
	while (room[i] == POISON)
		i++;
	return room + i;
}

/* Of a slot that is in the caller's hands, on its way to a list. */
static void
room_poison(const struct ppool *p, const struct rte_mbuf *m, struct debug_slot *slot)
{
	const struct ppool_page *pg = &p->page[ppool_frag_of(m)->header_page];
	const struct ppool_class *c = ppool_class_of(p, pg);

	memset(slot_room(p, m), POISON, c->slot_bytes - PPOOL_FRONT - p->mbuf_bytes);
	slot->poisoned = true;
}

/* A write to a slot that was idle. */
struct found {
	const struct rte_mbuf *m;
	const uint8_t *byte;
	uint32_t page;
	struct who in;
};

static void
report_found(const struct ppool *p, const struct found *f)
{
	report(p,
			"mbuf %p, in slot page %u, was written to after it was freed, first at %p, "
			"byte %u of its buffer; freed by %s; found by %s",
			(const void *)f->m, f->page, (const void *)f->byte,
			(uint32_t)RTE_PTR_DIFF(f->byte, slot_room(p, f->m)), WHO(f->in), ME);
}

/* Whether somebody has written to an idle slot, which is not idle any more. */
static bool
room_check(const struct ppool *p, const struct rte_mbuf *m, struct debug_slot *slot,
		struct found *f)
{
	uint32_t page = ppool_frag_of(m)->header_page;

	if (!slot->poisoned)
		return false;
	slot->poisoned = false;
	f->byte = room_overwritten(p, ppool_class_of(p, &p->page[page]), m);
	f->m = m;
	f->page = page;
	f->in = slot->in;
	return f->byte != NULL;
}

/* The same of a slot: it was handed out and is to be freed, or is idle and goes to a list. */
void
ppool_debug_slot_found(struct ppool *p, const struct rte_mbuf *m, bool out)
{
	struct debug_slot *slot = p->debug == NULL ? NULL : find_slot(p, m);

	if (slot == NULL)
		return;
	slot->poisoned = false;
	__atomic_store_n(&slot->state, out ? SLOT_OUT : SLOT_IDLE, __ATOMIC_RELEASE);
}

static bool
slot_change(struct debug_slot *slot, uint32_t from, uint32_t to)
{
	return __atomic_compare_exchange_n(&slot->state, &from, to, false, __ATOMIC_ACQ_REL,
			__ATOMIC_ACQUIRE);
}

static void
header_out(struct ppool *p, struct rte_mbuf *m)
{
	struct debug_slot *slot = find_slot(p, m);
	struct found found;

	if (slot == NULL) {
		report_foreign(p, "handing out", m);
		return;
	}
	if (!slot_change(slot, SLOT_IDLE, SLOT_OUT)) {
		report(p, "mbuf %p is in the lists of idle slots but was taken by %s",
				(const void *)m, WHO(slot->out));
		return;
	}
	slot->out = who_am_i();
	if (room_check(p, m, slot, &found))
		report_found(p, &found);
}

void
ppool_debug_headers_out(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	unsigned int i;

	for (i = 0; p->debug != NULL && i < n; i++)
		header_out(p, m[i]);
}

static void
header_in(struct ppool *p, struct rte_mbuf *m)
{
	struct debug_slot *slot = find_slot(p, m);

	if (slot == NULL)
		report_foreign(p, "giving back", m);
	else if (ppool_frag_of(m)->truesize != 0)
		report(p,
				"giving back of header %p by %s: it has a frag on page %u, free it "
				"instead",
				(const void *)m, ME, ppool_frag_of(m)->page);
	else if (!slot_change(slot, SLOT_OUT, SLOT_IDLE))
		report_twice(p, "giving back", m, slot);
	else
		slot->in = who_am_i();
}

void
ppool_debug_headers_in(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	unsigned int i;

	for (i = 0; p->debug != NULL && i < n; i++)
		header_in(p, m[i]);
}

void
ppool_debug_slots_out(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	ppool_debug_headers_out(p, m, n);
}

static void
room_in(struct ppool *p, struct rte_mbuf *m)
{
	struct debug_slot *slot = find_slot(p, m);

	if (slot == NULL) {
		report_foreign(p, "free", m);
		return;
	}
	if (rte_mbuf_refcnt_read(m) != 1 || m->next != NULL || m->nb_segs != 1)
		report(p, "free of mbuf %p by %s: refcnt %u, %u segments, next %p", (const void *)m,
				ME, rte_mbuf_refcnt_read(m), m->nb_segs, (void *)m->next);
	if (m->buf_addr != RTE_PTR_ADD(m, p->mbuf_bytes))
		report(p, "free of mbuf %p by %s: its buffer is not its own, detach it first",
				(const void *)m, ME);
	if (!slot_change(slot, SLOT_OUT, SLOT_IDLE)) {
		report_twice(p, "free", m, slot);
		return;
	}
	slot->in = who_am_i();
	room_poison(p, m, slot);
}

void
ppool_debug_slots_in(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	unsigned int i;

	for (i = 0; p->debug != NULL && i < n; i++)
		room_in(p, m[i]);
}

/* The first write that was found since the depot was entered. */
static __thread struct found found_home;

void
ppool_debug_slots_home(struct ppool *p, const struct ppool_page *pg)
{
	const struct ppool_class *c = ppool_class_of(p, pg);
	uint32_t i, page = (uint32_t)(pg - p->page);
	struct found found;

	for (i = 0; p->debug != NULL && i < pg->formatted; i++)
		if (room_check(p, ppool_slot_at(p, c, pg, i), slot_at(p, page, i), &found) &&
				found_home.m == NULL)
			found_home = found;
}

void
ppool_debug_depot_left(const struct ppool *p)
{
	struct found found = found_home;

	if (likely(found.m == NULL))
		return;
	found_home.m = NULL;
	report_found(p, &found);
}

/* What lcores may keep, and the page. */
static uint64_t
class_reserve(const struct ppool *p, unsigned int size_class)
{
	uint64_t n = p->depot.size_class[size_class].slots;
	const struct ppool_lcore *lc;

	PPOOL_LCORE_FOREACH(p, lc)
		n += ppool_lcore_slots_keep(p, size_class);
	return n;
}

/* So pages of a class are at most what the peak of its live slots and the reserve take. */
void
ppool_debug_page_taken(const struct ppool *p, unsigned int size_class)
{
	uint64_t idle = ppool_slots_idle(p, size_class), reserve = class_reserve(p, size_class);

	/* Carvers keep some for what their lanes receive: these are in use. */
	if (size_class == PPOOL_HEADERS)
		idle -= RTE_MIN(idle, (uint64_t)p->depot.nb_reserved);
	if (idle > reserve)
		report(p,
				"a page was taken for slots of %u bytes by %s, while %" PRIu64
				" of them are idle: %" PRIu64 " may be",
				p->depot.size_class[size_class].slot_bytes, ME, idle, reserve);
}

/* What frees an mbuf has made it ready for the next user. */
static void
check_mbuf(const struct ppool *p, const struct rte_mbuf *m)
{
	const struct ppool_frag *frag = ppool_frag_of(m);

	if (rte_mbuf_refcnt_read(m) != 1 || m->next != NULL || m->nb_segs != 1)
		report(p, "free of mbuf %p by %s: refcnt %u, %u segments, next %p", (const void *)m,
				ME, rte_mbuf_refcnt_read(m), m->nb_segs, (void *)m->next);
	if (m->pool != p->frag_mp || m->shinfo != &frag->shinfo)
		report(p, "free of mbuf %p by %s: its pool or shinfo was overwritten",
				(const void *)m, ME);
	if (frag->page >= p->mp->size || p->page[frag->page].kind != PPOOL_KIND_DATA ||
			frag->truesize > p->layout.page_bytes)
		report(p, "free of mbuf %p by %s: its record was overwritten, page %u, truesize %u",
				(const void *)m, ME, frag->page, frag->truesize);
}

static void
frag_in(struct ppool *p, struct rte_mbuf *m)
{
	struct debug_slot *slot = find_slot(p, m);

	if (slot == NULL) {
		report_foreign(p, "free", m);
		return;
	}
	if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == SLOT_OUT) {
		if (ppool_frag_of(m)->truesize == 0)
			report(p, "free of mbuf %p by %s: it has no frag, ppool_headers_put() it",
					(const void *)m, ME);
		check_mbuf(p, m);
	}
	if (!slot_change(slot, SLOT_OUT, SLOT_IDLE))
		report_twice(p, "free", m, slot);
	else
		slot->in = who_am_i();
}

/* Its free drops the frag of a slot, too. m may point anywhere. */
static bool
is_whole_page(const struct ppool *p, const struct rte_mbuf *m)
{
	return lies_in(p->mp, m, sizeof(*m)) &&
			lies_in(p->mp, (const char *)m - p->mp->header_size, p->mp->header_size) &&
			ppool_mono_owns(p, m);
}

/* It is freed as what it is, by ppool_slots_free_bulk(). */
static bool
has_room(const struct ppool *p, const struct rte_mbuf *m)
{
	return find_slot(p, m) != NULL && ppool_frag_of(m)->account >= PPOOL_RECORD_SLOT;
}

void
ppool_debug_frags_in(struct ppool *p, struct rte_mbuf * const *m, unsigned int n)
{
	unsigned int i;

	for (i = 0; p->debug != NULL && i < n; i++)
		if (!is_whole_page(p, m[i]) && !has_room(p, m[i]))
			frag_in(p, m[i]);
}

/* Carvers */

size_t
ppool_debug_carver_bytes(unsigned int nb_lanes)
{
	return sizeof(struct debug_carver) + nb_lanes;
}

/* NULL where the pool was made by a release build. */
static struct debug_carver *
debug_of(const struct ppool_carver *c)
{
	return c->pool == NULL || c->pool->debug == NULL ?
			NULL :
			(struct debug_carver *)((uintptr_t)&c->lane[c->nb_lanes]);
}

void
ppool_debug_enter(struct ppool_carver *c)
{
	struct debug_carver *d = debug_of(c);
	struct who me = who_am_i();
	uint32_t inside = 0;

	if (d == NULL)
		return;
	if (!__atomic_compare_exchange_n(&d->inside, &inside, me.tid, false, __ATOMIC_ACQUIRE,
			    __ATOMIC_RELAXED) &&
			inside != me.tid) {
		report(c->pool, "carver %p entered by %s while thread %u, lcore %d, is inside",
				(const void *)c, ME, inside, (int)d->who.lcore);
		return;
	}
	d->depth++;
	d->who = me;
}

void
ppool_debug_leave(struct ppool_carver *c)
{
	struct debug_carver *d = debug_of(c);

	if (d != NULL && --d->depth == 0)
		__atomic_store_n(&d->inside, 0, __ATOMIC_RELEASE);
}

/* Whether this thread drives the carver; says so if not. */
static bool
check_driver(const struct ppool_carver *c, const struct ppool_lane *l)
{
	const struct debug_carver *d = debug_of(c);

	if (d->who.tid == (uint32_t)rte_gettid())
		return true;
	report(c->pool,
			"commit on lane %u of carver %p by %s: it is driven by %s; a thread that "
			"takes it over calls ppool_headers_get() first",
			(unsigned int)(l - c->lane), (const void *)c, ME, WHO(d->who));
	return false;
}

static struct debug_page *
page_of_lane(const struct ppool_carver *c, const struct ppool_lane *l)
{
	return lookup(c->pool->debug, c->pool->page[l->page].obj);
}

void
ppool_debug_lane_open(const struct ppool_carver *c, const struct ppool_lane *l)
{
	if (c->pool->debug != NULL)
		page_of_lane(c, l)->lane = l;
}

/* The only look at what a driver commits that was not built for debugging. */
void
ppool_debug_lane_close(const struct ppool_carver *c, const struct ppool_lane *l)
{
	uint64_t use;

	if (c->pool->debug == NULL || !check_driver(c, l))
		return;
	/* An open page has far more users than it could have frags. */
	use = __atomic_load_n(&c->pool->page[l->page].use, __ATOMIC_RELAXED);
	if (page_of_lane(c, l)->lane != l || PPOOL_USERS(use) < PPOOL_BIAS / 2)
		report(c->pool,
				"commit on lane %u of carver %p by %s, which has no page open: "
				"ppool_reserve() comes first",
				(unsigned int)(l - c->lane), (const void *)c, ME);
}

void
ppool_debug_reserve(struct ppool_carver *c, uint16_t lane)
{
	struct debug_carver *d = debug_of(c);

	if (d != NULL && lane < c->nb_lanes)
		d->reserved[lane] = 1;
}

void
ppool_debug_commit(struct ppool_carver *c, uint16_t lane, const struct rte_mbuf *m, uint32_t len)
{
	struct debug_carver *d = debug_of(c);
	const struct debug_slot *slot;

	if (d == NULL || lane >= c->nb_lanes) {
		check_commit(c, lane, m, len);
		return;
	}
	check_driver(c, &c->lane[lane]);
	if (c->lane[lane].left != 0 && !d->reserved[lane])
		report(c->pool,
				"commit on lane %u of carver %p by %s, which is not reserved since "
				"the last commit",
				lane, (const void *)c, ME);
	d->reserved[lane] = 0;
	slot = find_slot(c->pool, m);
	if (slot == NULL)
		report_foreign(c->pool, "commit", m);
	else if (slot->state != SLOT_OUT)
		report(c->pool, "commit with mbuf %p by %s: it is idle, freed before by %s",
				(const void *)m, ME, WHO(slot->in));
	else
		check_commit(c, lane, m, len);
}

/* Tables */

/* The pool that this thread looks at. */
static __thread const struct ppool *walked;

void
ppool_debug_walk_begin(const struct ppool *p)
{
	walked = p;
}

void
ppool_debug_walk_end(void)
{
	walked = NULL;
}

void
ppool_debug_lock(void)
{
	if (unlikely(walked != NULL))
		report(walked,
				"a lock that allocation needs is taken by %s, which looks at all "
				"pages meanwhile",
				ME);
}

int
ppool_debug_create(struct ppool *p)
{
	/* At most half full, so that a search ends soon. */
	uint32_t n = rte_align32pow2(2 * p->mp->size + 2);

	p->debug = rte_zmalloc_socket("ppool_debug",
			sizeof(*p->debug) + n * sizeof(p->debug->page[0]), 0, p->mp->socket_id);
	if (p->debug == NULL) {
		PPOOL_LOG(ERR, "no memory for the debug tables of mempool %s", p->mp->name);
		return -ENOMEM;
	}
	p->debug->mask = n - 1;
	return 0;
}

int
ppool_debug_split(struct ppool *p)
{
	if (p->debug == NULL)
		return 0;
	p->debug->slot = rte_zmalloc_socket("ppool_debug",
			(size_t)p->mp->size * p->layout.slots * sizeof(p->debug->slot[0]), 0,
			p->mp->socket_id);
	return p->debug->slot == NULL ? -ENOMEM : 0;
}

void
ppool_debug_destroy(struct ppool *p)
{
	if (p->debug != NULL)
		rte_free(p->debug->slot);
	rte_free(p->debug);
}

#else /* !PPOOL_DEBUG */

int
ppool_debug_set_handler(ppool_debug_handler_t f, void *arg)
{
	RTE_SET_USED(f);
	RTE_SET_USED(arg);
	return -ENOTSUP;
}

/* For programs that were built for debugging where this library was not. */

void
ppool_debug_reserve(struct ppool_carver *c, uint16_t lane)
{
	RTE_SET_USED(c);
	RTE_SET_USED(lane);
}

void
ppool_debug_commit(struct ppool_carver *c, uint16_t lane, const struct rte_mbuf *m, uint32_t len)
{
	check_commit(c, lane, m, len);
}

#endif /* PPOOL_DEBUG */
