/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Compaction. Two steps that need not know of each other:
 *
 *   slots    mbufs leave slot pages with few of them for idle slots of the same class in fuller
 *            ones: headers with the frag that lies elsewhere, others with their data. No page is
 *            needed for that, so it works, and frees pages for the other step, when none is free.
 *   data     frags leave data pages with few of them for those that a carver opens. The mbuf stays:
 *            it and that of the new frag exchange their frags, and the latter is freed with the old
 *            one.
 *
 * What is given is first counted by page. Only pages that all their users will leave are chosen,
 * and frags go page by page, so that a page is free again before many others have been filled.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ppool_compact.h"
#include "ppool_freelist.h"
#include "ppool_private.h"

/* How many mbufs ahead a loop over them prefetches. */
#define AHEAD 8u

/* A segment that can move. */
struct item {
	struct rte_mbuf *m;
	uint32_t packet;    /* its index where this is the first segment, else PPOOL_NONE */
	uint32_t page;      /* of its frag, PPOOL_NONE where the slot has the data */
	uint32_t slot_page; /* of its mbuf */
	uint32_t len;       /* bytes to keep, from the start of the buffer on */
	/* Item of the same class, then of the same data page; PPOOL_NONE behind the last. */
	uint32_t next;
};

/* What there is to do with a page of the pool. */
struct site {
	uint32_t frags; /* items that have their frag there */
	uint32_t mbufs; /* items that have their mbuf there */
	uint32_t first; /* item with a frag there */
	bool too_long;  /* one of the frags is, for the carver */
	bool leave;     /* all items shall leave it */
};

/* A slot page in order of its use. */
struct slot_page {
	uint32_t page;
	uint32_t live; /* slots in use */
	uint32_t idle;
};

struct job {
	struct ppool *p;
	struct ppool_carver *c;
	struct ppool_compact_conf conf;
	struct ppool_compact_result *r;
	struct rte_mbuf **mbufs;
	struct site *site; /* for each page of the pool */
	struct item *item;
	uint32_t nb_items;
	uint32_t first[PPOOL_CLASSES]; /* item of a class */
	struct slot_page *slot_page;   /* of the class at hand */
	uint32_t nb_slot_pages;
	bool no_page; /* left to move data to */
};

/* Frags change mbufs. Where one of these has none, it has the other's afterwards. */
static void
exchange_frags(struct rte_mbuf *a, struct rte_mbuf *b)
{
	struct ppool_frag *fa = ppool_frag_of(a), *fb = ppool_frag_of(b);
	rte_iova_t iova = rte_mbuf_iova_get(a);

	RTE_SWAP(a->buf_addr, b->buf_addr);
	rte_mbuf_iova_set(a, rte_mbuf_iova_get(b));
	rte_mbuf_iova_set(b, iova);
	RTE_SWAP(a->buf_len, b->buf_len);
	RTE_SWAP(fa->page, fb->page);
	RTE_SWAP(fa->truesize, fb->truesize);
}

/*
 * The one place where a packet changes its frag or its mbuf, which are those of by afterwards. The
 * account goes with the packet, and is charged for what it takes now. The mbuf that is the packet's
 * no more is left with the frag that is the packet's no more, if there is one, and uncharged.
 */
static void
hand_over(struct ppool *p, struct rte_mbuf *m, struct rte_mbuf *by, bool keep_mbuf)
{
	struct ppool_frag *from = ppool_frag_of(m), *to = keep_mbuf ? from : ppool_frag_of(by);
	int64_t before = (int64_t)from->truesize + from->slot_bytes;
	uint16_t account = from->account;

	exchange_frags(m, by);
	from->account = PPOOL_ACCOUNT_NONE;
	to->account = account;
	ppool_account_adjust(p, account, (int64_t)to->truesize + to->slot_bytes - before);
}

/* What is given */

static void
prefetch_mbuf(const struct rte_mbuf *m)
{
	rte_prefetch0(m);
	rte_prefetch0(RTE_PTR_ADD(m, RTE_CACHE_LINE_MIN_SIZE));
	rte_prefetch0(ppool_frag_of(m));
}

static uint32_t
count_segments(struct rte_mbuf * const *mbufs, unsigned int n)
{
	const struct rte_mbuf *m;
	uint32_t sum = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (i + AHEAD < n && mbufs[i + AHEAD] != NULL)
			prefetch_mbuf(mbufs[i + AHEAD]);
		for (m = mbufs[i]; m != NULL; m = m->next)
			sum++;
	}
	return sum;
}

/* Whether an mbuf lies in a page of that class. Whoever shares the memory can write its record. */
static bool
lies_in_class(const struct job *j, const struct rte_mbuf *m, unsigned int size_class)
{
	uint32_t page = ppool_frag_of(m)->header_page;

	return page < j->p->mp->size && size_class < j->p->depot.nb_classes &&
			ppool_class_look(j->p, &j->p->page[page]) ==
			&j->p->depot.size_class[size_class];
}

/* Why the mbuf of a frag cannot move: the counter of such, or NULL. */
static uint64_t *
frag_obstacle(const struct job *j, const struct rte_mbuf *m)
{
	if (rte_mbuf_refcnt_read(m) != 1 || m->shinfo != &ppool_frag_of(m)->shinfo ||
			rte_mbuf_ext_refcnt_read(m->shinfo) != 1)
		return &j->r->kept_shared;
	if (!ppool_is_frag(j->p, m) || !lies_in_class(j, m, PPOOL_HEADERS))
		return &j->r->kept_pool;
	return NULL;
}

/* Why a slot cannot move: one whose data lie elsewhere is a clone. */
static uint64_t *
slot_obstacle(const struct job *j, const struct rte_mbuf *m)
{
	unsigned int size_class = ppool_record_class(ppool_frag_of(m));

	if (!RTE_MBUF_DIRECT(m) || m->buf_addr != RTE_PTR_ADD(m, j->p->mbuf_bytes))
		return &j->r->kept_pool;
	if (rte_mbuf_refcnt_read(m) != 1)
		return &j->r->kept_shared;
	if (size_class == PPOOL_HEADERS || !lies_in_class(j, m, size_class))
		return &j->r->kept_pool;
	return NULL;
}

/* Why a packet cannot move: the counter of such, or NULL. */
static uint64_t *
packet_obstacle(const struct job *j, const struct rte_mbuf *m)
{
	uint64_t *obstacle = NULL;

	for (; m != NULL && obstacle == NULL; m = m->next) {
		if (m->pool == j->p->frag_mp)
			obstacle = frag_obstacle(j, m);
		else if (m->pool == j->p->slot_mp)
			obstacle = slot_obstacle(j, m);
		else
			obstacle = &j->r->kept_pool;
	}
	return obstacle;
}

static void
add_item(struct job *j, struct rte_mbuf *m, uint32_t packet)
{
	const struct ppool_frag *frag = ppool_frag_of(m);
	struct item *it = &j->item[j->nb_items++];
	struct site *site;

	it->m = m;
	it->packet = packet;
	it->page = PPOOL_NONE;
	it->slot_page = frag->header_page;
	it->len = (uint32_t)m->data_off + m->data_len +
			RTE_MIN(j->conf.tailroom, rte_pktmbuf_tailroom(m));
	j->site[frag->header_page].mbufs++;
	if (m->pool == j->p->slot_mp)
		return;
	it->page = frag->page;
	site = &j->site[frag->page];
	site->frags++;
	if (it->len > j->c->max_bytes)
		site->too_long = true;
}

static void
add_packets(struct job *j, unsigned int n)
{
	uint64_t *obstacle;
	struct rte_mbuf *m;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (i + AHEAD < n && j->mbufs[i + AHEAD] != NULL)
			prefetch_mbuf(j->mbufs[i + AHEAD]);
		m = j->mbufs[i];
		obstacle = packet_obstacle(j, m);
		for (; m != NULL; m = m->next) {
			if (obstacle != NULL)
				(*obstacle)++;
			else
				add_item(j, m, m == j->mbufs[i] ? i : PPOOL_NONE);
		}
	}
}

/* Slots */

static unsigned int
item_class(const struct job *j, const struct item *it)
{
	return ppool_page_class(&j->p->page[it->slot_page]);
}

/* The items of each class, in the order in which they were given. */
static void
link_classes(struct job *j)
{
	uint32_t *first, i;

	for (i = 0; i < PPOOL_CLASSES; i++)
		j->first[i] = PPOOL_NONE;
	for (i = j->nb_items; i-- > 0;) {
		first = &j->first[item_class(j, &j->item[i])];
		j->item[i].next = *first;
		*first = i;
	}
}

static int
compare_slot_pages(const void *a, const void *b)
{
	const struct slot_page *x = a, *y = b;

	return (x->live > y->live) - (x->live < y->live);
}

/* The pages of a class that are in use, by anybody; the emptiest one first. */
static void
find_slot_pages(struct job *j, const struct ppool_class *c)
{
	const struct ppool_page *pg;
	struct slot_page *s;
	uint32_t i;

	j->nb_slot_pages = 0;
	if (!ppool_depot_enter(j->p))
		return;
	for (i = 0; i < j->p->mp->size; i++) {
		pg = &j->p->page[i];
		if (ppool_class_look(j->p, pg) != c || pg->idle == c->slots)
			continue;
		s = &j->slot_page[j->nb_slot_pages++];
		s->page = i;
		s->idle = pg->idle;
		s->live = c->slots - pg->idle;
	}
	ppool_depot_leave(j->p);
	qsort(j->slot_page, j->nb_slot_pages, sizeof(*j->slot_page), compare_slot_pages);
}

/* Why a slot page will not be emptied: the counter of its slots, or NULL. */
static uint64_t *
slot_page_obstacle(const struct job *j, const struct slot_page *s)
{
	uint64_t slots = (uint64_t)s->live + s->idle;

	if ((uint64_t)s->live * 100 > j->conf.max_occupancy * slots)
		return &j->r->kept_dense;
	if (s->live > j->site[s->page].mbufs && !j->conf.shared_pages)
		return &j->r->kept_others;
	return NULL;
}

/*
 * As many of the emptiest pages as the idle slots of the others have room for. What becomes of a
 * header does not count where its frag has a fate of its own.
 */
static void
choose_slot_pages(struct job *j, bool count)
{
	uint64_t room = 0, taken = 0, *obstacle;
	struct slot_page *s;
	struct site *site;
	uint32_t i;

	for (i = 0; i < j->nb_slot_pages; i++)
		room += j->slot_page[i].idle;
	for (i = 0; i < j->nb_slot_pages; i++) {
		s = &j->slot_page[i];
		site = &j->site[s->page];
		if (site->mbufs == 0)
			continue;
		obstacle = slot_page_obstacle(j, s);
		if (obstacle == NULL && taken + site->mbufs > room - s->idle)
			obstacle = &j->r->kept_no_gain;
		if (obstacle == NULL) {
			room -= s->idle;
			taken += site->mbufs;
			site->leave = true;
		} else if (count) {
			*obstacle += site->mbufs;
		}
	}
}

/* Idle slots of the pages that stay, the fullest one first. Returns how many, 0 for no more. */
static unsigned int
next_slots(struct job *j, unsigned int size_class, struct rte_mbuf **slot, unsigned int n)
{
	unsigned int got = 0;

	while (j->nb_slot_pages > 0 && got == 0) {
		const struct slot_page *s = &j->slot_page[j->nb_slot_pages - 1];

		if (!j->site[s->page].leave)
			got = ppool_depot_pop_from(j->p, size_class, s->page, slot, n);
		if (got == 0)
			j->nb_slot_pages--;
	}
	return got;
}

/* They are idle again. To the depot at once, so that pages go home. */
static void
slots_back(struct ppool *p, unsigned int size_class, struct rte_mbuf * const *m, unsigned int n)
{
	if (n == 0)
		return;
	if (size_class == PPOOL_HEADERS) {
		ppool_headers_return(p, m, n);
		return;
	}
	ppool_debug_slots_in(p, m, n);
	ppool_slots_own(m, n, ppool_owner_me());
	ppool_depot_push(p, m, n);
}

/* Another header takes the place of this one, which is idle then. */
static void
replace_header(struct ppool *p, struct rte_mbuf *m, struct rte_mbuf *by)
{
	struct rte_mbuf_ext_shared_info *shinfo = by->shinfo;

	/* All there is, dynamic fields and private area included. */
	memcpy((void *)by, m, p->mbuf_bytes);
	by->shinfo = shinfo;
	hand_over(p, m, by, false);
	m->ol_flags = RTE_MBUF_F_EXTERNAL;
	m->next = NULL;
	m->nb_segs = 1;
}

/* The same of a slot with a data room, whose first bytes are kept. */
static void
replace_slot(struct ppool *p, struct rte_mbuf *m, struct rte_mbuf *by, uint32_t len)
{
	struct ppool_frag *from = ppool_frag_of(m), *to = ppool_frag_of(by);
	uint16_t account = ppool_record_account(from);
	rte_iova_t iova = rte_mbuf_iova_get(by);
	void *buf_addr = by->buf_addr;

	memcpy((void *)by, m, p->mbuf_bytes);
	by->buf_addr = buf_addr;
	rte_mbuf_iova_set(by, iova);
	rte_memcpy(buf_addr, m->buf_addr, len);
	ppool_record_set_account(from, PPOOL_ACCOUNT_NONE);
	ppool_record_set_account(to, account);
	ppool_account_adjust(p, account, (int64_t)to->truesize - from->truesize);
	ppool_slot_restore(p, m);
}

static void
replace_item(struct job *j, uint32_t i, struct rte_mbuf *by)
{
	struct item *it = &j->item[i];

	if (it->page != PPOOL_NONE) {
		replace_header(j->p, it->m, by);
		j->r->headers_moved++;
	} else {
		replace_slot(j->p, it->m, by, it->len);
		j->r->slots_moved++;
		j->r->bytes_copied += it->len;
	}
	if (it->packet != PPOOL_NONE)
		j->mbufs[it->packet] = by;
	else
		j->item[i - 1].m->next = by;
	it->m = by;
}

static void
prefetch_item(const struct job *j, uint32_t i)
{
	if (i != PPOOL_NONE && j->site[j->item[i].slot_page].leave)
		prefetch_mbuf(j->item[i].m);
}

/* Returns the first item that could not move, PPOOL_NONE where all did. */
static uint32_t
move_class(struct job *j, unsigned int size_class)
{
	struct rte_mbuf *slot[PPOOL_BULK], *old[PPOOL_BULK];
	unsigned int got = 0, used = 0;
	uint32_t i;

	for (i = j->first[size_class]; i != PPOOL_NONE; i = j->item[i].next) {
		prefetch_item(j, j->item[i].next);
		if (!j->site[j->item[i].slot_page].leave)
			continue;
		if (used == got) {
			slots_back(j->p, size_class, old, used);
			used = 0;
			got = next_slots(j, size_class, slot, RTE_DIM(slot));
			if (got == 0)
				break;
		}
		old[used] = j->item[i].m;
		replace_item(j, i, slot[used++]);
	}
	slots_back(j->p, size_class, old, used);
	slots_back(j->p, size_class, slot + used, got - used);
	return i;
}

/* Slots of pages that should have been emptied, when others have taken the room. */
static void
count_left(struct job *j, uint32_t i)
{
	for (; i != PPOOL_NONE; i = j->item[i].next)
		j->r->kept_no_page += j->site[j->item[i].slot_page].leave;
}

static void
compact_class(struct job *j, unsigned int size_class)
{
	bool count = size_class != PPOOL_HEADERS;
	uint32_t i;

	find_slot_pages(j, &j->p->depot.size_class[size_class]);
	choose_slot_pages(j, count);
	i = move_class(j, size_class);
	if (count)
		count_left(j, i);
}

/* Data */

/* The items of each data page, in the order in which they were given. */
static void
link_items(struct job *j)
{
	struct item *it;
	uint32_t i;

	for (i = j->nb_items; i-- > 0;) {
		it = &j->item[i];
		if (it->page == PPOOL_NONE)
			continue;
		it->next = j->site[it->page].first;
		j->site[it->page].first = i;
	}
}

/* Why a data page will not be emptied: the counter of its frags, or NULL. */
static uint64_t *
page_obstacle(const struct job *j, uint32_t i)
{
	const struct ppool_page *pg = &j->p->page[i];
	const struct site *site = &j->site[i];
	uint64_t use = __atomic_load_n(&pg->use, __ATOMIC_ACQUIRE);

	if (ppool_is_open(use) || __atomic_load_n(&pg->parked, __ATOMIC_RELAXED) != 0)
		return &j->r->kept_open;
	if ((uint64_t)PPOOL_BYTES(use) * 100 >
			(uint64_t)j->conf.max_occupancy * j->p->layout.page_bytes)
		return &j->r->kept_dense;
	if (ppool_page_age(pg, j->p->time_shift) < j->conf.min_age)
		return &j->r->kept_young;
	if (site->too_long)
		return &j->r->kept_long;
	if (PPOOL_USERS(use) > site->frags && !j->conf.shared_pages)
		return &j->r->kept_others;
	return NULL;
}

/* Returns how many pages shall be emptied. */
static uint32_t
choose_pages(struct job *j)
{
	uint64_t *obstacle;
	uint32_t i, n = 0;

	for (i = 0; i < j->p->mp->size; i++) {
		if (j->site[i].frags == 0)
			continue;
		obstacle = page_obstacle(j, i);
		if (obstacle != NULL) {
			*obstacle += j->site[i].frags;
			continue;
		}
		j->site[i].leave = true;
		n++;
	}
	return n;
}

/* The length that is asked of the carver; see carve_page(). */
static uint32_t
carve_len(const struct job *j, const struct item *it)
{
	return it->len > j->c->headroom ? it->len - j->c->headroom : 1;
}

/* How many pages the carver will open: it cuts them as ppool_lane_cut() does. */
static uint32_t
pages_needed(const struct job *j)
{
	uint32_t page, i, bytes, n = 0, left = j->c->lane[0].left;

	for (page = 0; page < j->p->mp->size; page++) {
		if (!j->site[page].leave || j->site[page].frags == 0)
			continue;
		for (i = j->site[page].first; i != PPOOL_NONE; i = j->item[i].next) {
			if (left == 0) {
				left = j->p->layout.room_bytes;
				n++;
			}
			bytes = j->c->headroom + carve_len(j, &j->item[i]);
			left -= RTE_MIN(RTE_ALIGN_CEIL(bytes, PPOOL_FRAG_ALIGN), left);
			if (left < j->c->max_bytes)
				left = 0;
		}
	}
	return n;
}

/* Give items new frags and free the old ones. Returns how many, from the first on. */
static unsigned int
move_frags(struct job *j, struct item * const *it, unsigned int n)
{
	struct rte_mbuf *m[PPOOL_BULK];
	uint32_t len[PPOOL_BULK];
	unsigned int i;

	for (i = 0; i < n; i++) {
		len[i] = carve_len(j, it[i]);
		rte_prefetch0(rte_pktmbuf_mtod(it[i]->m, void *));
	}
	n = ppool_carve_burst(j->c, m, len, n);
	for (i = 0; i < n; i++) {
		rte_memcpy(m[i]->buf_addr, it[i]->m->buf_addr, it[i]->len);
		hand_over(j->p, it[i]->m, m[i], true);
		j->r->bytes_copied += it[i]->len;
	}
	if (n > 0)
		ppool_frag_free_bulk(j->p, m, n);
	j->r->frags_moved += n;
	return n;
}

/* What is freed on the way may be the page that the next of the batch go to. */
static void
move_batch(struct job *j, struct item * const *it, unsigned int n)
{
	unsigned int done;

	for (; n > 0 && !j->no_page; n -= done, it += done) {
		done = move_frags(j, it, n);
		j->no_page = done == 0;
	}
	j->r->kept_no_page += n;
}

static void
move_data(struct job *j)
{
	struct item *batch[PPOOL_BULK];
	unsigned int n = 0;
	uint32_t page, i;

	for (page = 0; page < j->p->mp->size; page++) {
		if (!j->site[page].leave || j->site[page].frags == 0)
			continue;
		for (i = j->site[page].first; i != PPOOL_NONE; i = j->item[i].next) {
			prefetch_mbuf(j->item[i].m);
			batch[n++] = &j->item[i];
			if (n == RTE_DIM(batch)) {
				move_batch(j, batch, n);
				n = 0;
			}
		}
	}
	move_batch(j, batch, n);
}

static void
compact_data(struct job *j)
{
	uint32_t page, chosen;

	link_items(j);
	chosen = choose_pages(j);
	if (chosen == 0)
		return;
	if (pages_needed(j) < chosen) {
		move_data(j);
		return;
	}
	for (page = 0; page < j->p->mp->size; page++)
		if (j->site[page].leave)
			j->r->kept_no_gain += j->site[page].frags;
}

static void
keep_slots(struct job *j)
{
	uint32_t i;

	for (i = 0; i < j->nb_items; i++)
		j->r->kept_mbufs += j->item[i].page == PPOOL_NONE;
}

static int
compact_slots(struct job *j)
{
	unsigned int i;

	if (j->conf.keep_mbufs) {
		keep_slots(j);
		return 0;
	}
	j->slot_page = malloc((j->p->mp->size + 1) * sizeof(*j->slot_page));
	if (j->slot_page == NULL)
		return -ENOMEM;
	link_classes(j);
	for (i = 0; i < j->p->depot.nb_classes; i++)
		if (j->first[i] != PPOOL_NONE)
			compact_class(j, i);
	free(j->slot_page);
	/* The pages that they have left may be what the other step needs. */
	ppool_reclaim_soon(j->p);
	return 0;
}

static int
job_run(struct job *j, unsigned int n)
{
	uint32_t i;
	int ret;

	j->site = calloc(j->p->mp->size, sizeof(*j->site));
	j->item = malloc((count_segments(j->mbufs, n) + 1) * sizeof(*j->item));
	ret = j->site == NULL || j->item == NULL ? -ENOMEM : 0;
	if (ret == 0) {
		for (i = 0; i < j->p->mp->size; i++)
			j->site[i].first = PPOOL_NONE;
		add_packets(j, n);
		ret = compact_slots(j);
	}
	if (ret == 0)
		compact_data(j);
	free(j->site);
	free(j->item);
	return ret;
}

int
ppool_compact(struct ppool_carver *c, struct rte_mbuf **mbufs, unsigned int n,
		const struct ppool_compact_conf *conf, struct ppool_compact_result *result)
{
	struct ppool_compact_result r = { .released = 0 };
	struct job j = { .p = c->pool, .c = c, .r = &r, .mbufs = mbufs };
	struct ppool_lcore *lc = ppool_lcore_get(j.p);
	int64_t free_pages;
	int ret;

	if (conf != NULL)
		j.conf = *conf;
	if (j.conf.max_occupancy > 100)
		return -EINVAL;
	if (j.conf.max_occupancy == 0)
		j.conf.max_occupancy = PPOOL_COMPACT_OCCUPANCY;
	/* Idle slots are known to their pages only when they are all in the depot. */
	ppool_reclaim(j.p, true);
	free_pages = ppool_freelist_count(j.p);
	ret = job_run(&j, n);
	ppool_reclaim(j.p, true);
	r.released = ((int64_t)ppool_freelist_count(j.p) - free_pages) * j.p->layout.page_bytes;
	PPOOL_STAT_ADD(j.p, lc, frag_move, r.frags_moved);
	PPOOL_STAT_ADD(j.p, lc, header_move, r.headers_moved);
	PPOOL_STAT_ADD(j.p, lc, slot_move, r.slots_moved);
	if (result != NULL)
		*result = r;
	return ret;
}
