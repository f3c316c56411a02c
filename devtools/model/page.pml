/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * What count.pml and park.pml share: the page table, the free list, the application's mbufs, how
 * frags are cut and how they are dropped.
 *
 * One step of a model is one access to shared memory, as in the C code: a plain load, a plain
 * store, or one atomic operation; what follows it in an atomic block is local. Memory is
 * sequentially consistent here, which is enough: pages and mbufs pass from thread to thread
 * through a lock, a queue of the application, or the count itself, and each of them orders what
 * went before. lock.pml has store buffers.
 *
 * Ghosts (g_...) are not in the C code. They say what is true, change in the step that makes it
 * true, and only assertions read them, and pages_get().
 */

/* As in ppool_page.h, but small. */
#define USER 64
#define BIAS 8
#define USERS(use) ((use) / USER)
#define BYTES(use) ((use) % USER)

#define LEAD 1
#define TAIL 1
#define PAGE_BYTES (LEAD + ROOM + TAIL)
#define LAST (PAGES - 1)

/* Where a page is: free, in the hands of one thread, in a lane, or none of these. */
mtype = { FREE, TAKEN, OPEN, CLOSED, PARKED };
/* enum ppool_kind */
mtype = { WHOLE, DATA };

typedef ppool_page {
	short use;
	short owner_drop;
	byte owner;
	byte open;
	bool parked;
	mtype kind;
	mtype g_where;
	byte g_live /* frags that were cut and are not dropped */
};

typedef ppool_lane {
	byte page;
	byte left; /* 0: no page is open */
	byte unbilled;
	byte frags
};

ppool_page page[PAGES];

/* Mbufs in the hands of the application: page and truesize. Sorted, as their order is nothing. */
chan app = [PAGES * ROOM] of { byte, byte };

/* What a thread needs to free frags. */
#define FREE_LOCALS \
	byte f_page[2], f_truesize[2], n, i; \
	byte pages[2], nb_pages; \
	byte pg; \
	short drop, use, old; \
	bool last

/* What a thread needs to carve, besides. */
#define CARVE_LOCALS \
	ppool_lane l; \
	byte size, truesize; \
	bool got

/* At the start, every page is free. */
inline pages_init()
{
	for (k : 0 .. LAST) {
		page[k].use = USER;
		page[k].kind = WHOLE;
		page[k].g_where = FREE
	}
}

/* At the end, every page is free again. */
inline pages_check()
{
	for (k : 0 .. LAST) {
		assert(page[k].g_where == FREE);
		assert(page[k].kind == WHOLE);
		assert(page[k].g_live == 0)
	}
}

/* ppool_pages_put(). The lists are behind locks: one step. */
inline pages_put(p)
{
	d_step {
		assert(page[p].g_where == TAKEN);
		page[p].g_where = FREE
	}
}

#define CAN_GET (page[0].g_where == FREE || page[LAST].g_where == FREE)

/* ppool_pages_get(): any of the free pages, to pg. Leaves in got whether there was one. */
inline pages_get()
{
	atomic {
		if
		:: page[0].g_where == FREE -> pg = 0; got = true
		:: page[LAST].g_where == FREE -> pg = LAST; got = true
		:: !CAN_GET
		fi;
		if
		:: got ->
			assert(page[pg].g_live == 0);
			page[pg].g_where = TAKEN
		:: else
		fi
	}
}

/* Part of the step after which a page is the caller's. */
inline g_last(p)
{
	assert(page[p].g_where == CLOSED);
	assert(page[p].g_live == 0);
	page[p].g_where = TAKEN
}

/* The fetch_sub of ppool_page_drop(). Does its mutations, too. */
inline fetch_sub_use(p)
{
#ifdef NON_ATOMIC_DROP
	use = page[p].use;
#endif
	d_step {
#ifndef NON_ATOMIC_DROP
		use = page[p].use;
#endif
		last = (USERS(use) == USERS(drop));
		page[p].g_live = page[p].g_live - USERS(drop);
#ifdef TWO_COUNTS
		page[p].use = use - USERS(drop) * USER
#else
		page[p].use = use - drop;
		if
#ifndef LOAD_AFTER_DROP
		:: last ->
			assert(BYTES(use) == BYTES(drop));
			g_last(p)
#endif
		:: else -> assert(USERS(use) >= USERS(drop) && BYTES(use) >= BYTES(drop))
		fi
#endif
	}
#ifdef TWO_COUNTS
	d_step {
		page[p].use = page[p].use - BYTES(drop);
		if
		:: last ->
			assert(BYTES(page[p].use) == 0);
			g_last(p)
		:: else
		fi
	}
#endif
#ifdef LOAD_AFTER_DROP
	d_step {
		last = (USERS(page[p].use) == 0);
		if
		:: last -> g_last(p)
		:: else
		fi
	}
#endif
}

/* ppool_page_drop() */
inline page_drop(p)
{
	d_step {
		use = page[p].use;
		last = (USERS(use) == USERS(drop));
		if
		:: last ->
			assert(BYTES(use) == BYTES(drop));
			page[p].g_live = page[p].g_live - USERS(drop);
			g_last(p)
		:: else
		fi
	}
	if
	:: last
	:: else -> fetch_sub_use(p)
	fi;
	if
	:: last ->
		atomic {
			page[p].kind = WHOLE;
			pages[nb_pages] = p;
			nb_pages++;
			last = false
		}
	:: else
	fi
}

/* The application picks an mbuf to free, of any page. */
inline take_one()
{
	atomic {
		if
		:: app??0, f_truesize[n] -> f_page[n] = 0
		:: app??eval(LAST), f_truesize[n] -> f_page[n] = LAST
		fi;
		n++
	}
}

inline take_one_or_two()
{
	take_one();
	if
	:: take_one()
	:: skip
	fi
}

/* frags_drop() of n mbufs. Where self is not 0, its lock is held. */
inline frags_drop(self)
{
	pg = f_page[0];
	do
	:: i < n && pg != f_page[i] ->
		if
		:: drop != 0 -> page_drop(pg); drop = 0
		:: else
		fi;
		pg = f_page[i]
	:: i < n && pg == f_page[i] ->
		if
		:: self != 0 && page[pg].owner == self ->
			old = page[pg].owner_drop;
			d_step {
				page[pg].owner_drop = old + USER + f_truesize[i];
				page[pg].g_live--;
				i++
			}
		:: else ->
			drop = drop + USER + f_truesize[i];
			i++
		fi
	:: i == n -> break
	od;
	if
	:: drop != 0 -> page_drop(pg)
	:: else
	fi
}

/* free_bulk(): put the pages that frags_drop() left. */
inline recycle()
{
	do
	:: nb_pages > 0 -> nb_pages--; pages_put(pages[nb_pages])
	:: else -> break
	od;
	/* Equal states should look equal. */
	atomic {
		n = 0; i = 0; drop = 0; use = 0; old = 0; pg = 0;
		f_page[0] = 0; f_page[1] = 0; f_truesize[0] = 0; f_truesize[1] = 0;
		pages[0] = 0; pages[1] = 0
	}
}

/* ppool_lane_open() with pg from the free list: it is ours, nobody else looks at it. */
inline open_page(self)
{
	d_step {
		page[pg].kind = DATA;
		page[pg].owner = self;
		page[pg].use = BIAS * USER + PAGE_BYTES;
		page[pg].g_where = OPEN;
		l.page = pg;
		l.frags = 0;
		l.left = ROOM;
		l.unbilled = LEAD;
		pg = 0;
		got = false
	}
}

/* ppool_lane_cut(): touches nothing but the lane and the new mbuf. */
inline lane_cut()
{
	d_step {
		assert(page[l.page].g_where == OPEN);
		page[l.page].g_live++;
		truesize = size + l.unbilled;
		l.unbilled = 0;
		l.left = l.left - size;
		l.frags++;
		if
		:: l.left < MAX ->
			truesize = truesize + l.left + TAIL;
			l.left = 0
		:: else
		fi
	}
}

/* ppool_page_settle(). There always is a user left: the frag just cut, or the parking. */
inline settle(keep, where)
{
	drop = (BIAS - l.frags - keep) * USER + page[l.page].owner_drop;
#ifdef SETTLE_FORGETS_USER
	drop = drop - USER;
#endif
#ifdef SETTLE_TAKES_USER
	drop = drop + USER;
#endif
#ifdef SETTLE_FORGETS_BYTES
	drop = USERS(drop) * USER;
#endif
#ifndef SETTLE_KEEPS_OWNER_DROP
	page[l.page].owner_drop = 0;
#endif
#ifndef SETTLE_KEEPS_OWNER
	page[l.page].owner = 0;
#endif
	/* __atomic_sub_fetch */
	d_step {
		page[l.page].use = page[l.page].use - drop;
		assert(USERS(page[l.page].use) >= 1);
		page[l.page].g_where = where;
		drop = 0
	}
}

/* ppool_lane_close() */
inline lane_close()
{
#ifdef MONO_UNCHECKED
	use = BIAS * USER + PAGE_BYTES;
#else
	use = page[l.page].use;
#endif
	if
	:: l.frags == 1 && use == BIAS * USER + PAGE_BYTES ->
		page[l.page].owner = 0;
		d_step {
			page[l.page].use = USER + PAGE_BYTES;
			page[l.page].g_where = CLOSED;
			use = 0
		}
	:: else ->
		use = 0;
		settle(0, CLOSED)
	fi
}

/*
 * ppool_commit(), and a step of carve_page(): cut a frag of any size. Where that fills the page,
 * close it before the application gets the frag.
 */
inline commit()
{
	if
	:: size = 1
	:: size = MAX
	fi;
	lane_cut();
#ifdef CLOSE_LATE
	app!!l.page, truesize;
#endif
	if
	:: l.left == 0 -> lane_close()
	:: else
	fi;
	atomic {
#ifndef CLOSE_LATE
		app!!l.page, truesize;
#endif
		size = 0;
		truesize = 0
	}
}
