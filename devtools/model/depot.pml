/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Idle slots of one size class (ppool_slot.c): lists of two lcores, each of a process of its own,
 * the depot with its lists of pages and of slots, limbo, pages that are formatted as far as slots
 * are handed out; and a process that ends at any step. Afterwards the other one goes on, takes
 * locks over, makes the depot anew, inherits lists and takes slots and pages back
 * (ppool_recover.c). Free pages are in one place here, see lists.pml.
 *
 * A call of the model is one operation on lists or the depot; ppool_supply.c and
 * ppool_slot_pool.c put these together, in some of the orders that are possible here.
 *
 * Proves from every state in which nobody is inside, over all interleavings: no slot is in two
 * lists, or in a list and in the hands of a process; nobody puts to a list what is not in its
 * hands; a process that lives loses nothing; all that the dead had, in hand or in lists, is found
 * by what slots and pages say of their owner; a page goes home only while all of its slots are in
 * the depot; the record of a slot that is not formatted is never read; when nobody is inside, a
 * page is in the list for what is idle of it, and all counts agree.
 *
 * One step is one store to shared memory, with the loads in front of it: all of these are of what
 * nobody else changes, but for owners of slots that are in hand, and limbo. The order is that of
 * the program, see lists.pml. Locks are one step here, see lock.pml. Readers without a lock are in
 * format.pml.
 */

#ifndef PAGES
#define PAGES 1
#endif
#ifndef SLOTS
#define SLOTS 2
#endif
/* What an lcore keeps. */
#ifndef KEEP
#define KEEP 2
#endif
/* How many calls each process makes. */
#ifndef CALLS
#define CALLS 1
#endif
/* And process 2: 0 where it only recovers. */
#ifndef OTHER_CALLS
#define OTHER_CALLS CALLS
#endif
/* The list for pages with so many idle slots, as depot_list(). */
#ifdef FEWER_FILLS
#define FILL(idle) ((idle) / 2)
#endif
#ifndef FILL
#define FILL(idle) ((idle) - 1)
#endif
#define FILLS SLOTS
#define LIMIT (self == 1 -> CALLS : OTHER_CALLS)

/* Slots and pages have numbers from 1 on. */
#define NB (PAGES * SLOTS)
#define PAGE(s) (((s) - 1) / SLOTS + 1)
#define SLOT(pg, i) (((pg) - 1) * SLOTS + (i) + 1)

/* The process that may end is 1, the other one is 2. 0 is nobody. */
#define OTHER (3 - self)
/* A process that ended long ago, in the midst of a change of the depot. */
#define LONG_DEAD 3
#define IS_DEAD(process) ((process) == LONG_DEAD || (process) == 1 && g_dead)

typedef ppool_page {
	bool slots; /* kind: a slot page, else a whole one */
	byte formatted;
	byte idle;
	byte idle_first;
	byte next;
	byte prev;
	byte holder
};

ppool_page page[PAGES + 1];
byte owner[NB + 1];
byte next_idle[NB + 1];
byte limbo_next[NB + 1];

byte first[FILLS];
byte nb_idle;
byte nb_idle_pages;
byte nb_pages;
byte limbo;
byte depot_lock;

/* What is behind the end of a list is 0 while nobody is inside. */
#define LIST(x) (((x) - 1) * KEEP)
byte list[2 * KEEP];
byte nb_slots[3];
byte list_lock[3];

bool g_dead; /* process 1 has ended in the midst of something, or elsewhere */
bool g_done; /* process 1 has returned from its last call */
/* Where a slot is. 1 and 2: in the hands of that process. */
#define FRESH 0 /* not formatted, or in no slot page */
#define DEPOT 3
#define LIMBO 4
#define LISTED(x) (4 + (x))
byte g_at[NB + 1];
bool g_app[NB + 1];          /* it was handed out and not put yet */
bool g_valid[NB + 1];        /* its record was written since its page became one of slots */
byte g_page[PAGES + 1];      /* in whose hands a whole page is, 0: it is free, or of slots */
hidden byte g_i, g_n, g_p, g_listed, g_idle, g_idle_pages;

/* Ghost: slots leave the end of a list, or come there. Part of a step. */

inline g_list(x, from, to)
{
	for (g_i : from .. (to) - 1) {
		assert(list[LIST(x) + g_i] != 0);
		assert(g_at[list[LIST(x) + g_i]] == self && !g_app[list[LIST(x) + g_i]]);
		g_at[list[LIST(x) + g_i]] = LISTED(x)
	}
	g_i = 0
}

inline g_unlist(x, from, to)
{
	for (g_i : to .. (from) - 1) {
		assert(g_at[list[LIST(x) + g_i]] == LISTED(x));
		g_at[list[LIST(x) + g_i]] = self
	}
	g_i = 0
}

inline list_raise(x, v)
{
	d_step { g_list(x, nb_slots[x], v); nb_slots[x] = v }
}

inline list_lower(x, v)
{
	d_step { g_unlist(x, nb_slots[x], v); nb_slots[x] = v }
}

/* ppool_slots_own() of n slots in m */
inline slots_own()
{
	do
	:: d_step { i < n -> owner[m[i]] = self; i++ }
	:: atomic { i >= n -> i = 0; break }
	od;
	skip
}

/* Locks */

/* ppool_lock_owner(), ppool_lock_visitor(). Leaves in have whether it was to be had. */
inline lcore_lock(x)
{
	atomic {
		if
		:: list_lock[x] == 0 || IS_DEAD(list_lock[x]) -> list_lock[x] = self; have = true
#ifdef TAKE_OVER_LISTS
		:: list_lock[x] == OTHER -> list_lock[x] = self; have = true
#else
		:: list_lock[x] == OTHER && !IS_DEAD(OTHER) -> have = false
#endif
		fi
	}
}

inline lcore_unlock(x)
{
	d_step {
		for (i : nb_slots[x] .. KEEP - 1) {
			list[LIST(x) + i] = 0
		}
		i = 0;
		list_lock[x] = 0;
		have = false
	}
}

/* Lists of an lcore */

/* ppool_lcore_pop_slots(), and what its callers do in a tracked pool. */
inline lcore_pop()
{
	lcore_lock(self);
	if
	:: have ->
		d_step {
			n = (want < nb_slots[self] -> want : nb_slots[self]);
			for (i : 0 .. n - 1) {
				m[i] = list[LIST(self) + nb_slots[self] - n + i]
			}
			i = 0
		}
		list_lower(self, nb_slots[self] - n);
		slots_own();
		lcore_unlock(self)
	:: else
	fi
}

/* lcore_slots_pop_all(): all slots of an lcore, ours or not. */
inline lcore_take(x)
{
	lcore_lock(x);
	if
	:: have ->
		d_step {
			n = nb_slots[x];
			for (i : 0 .. n - 1) {
				m[i] = list[LIST(x) + i]
			}
			i = 0
		}
#ifdef TAKE_MARKS_LATE
		list_lower(x, 0);
		slots_own();
#else
		slots_own();
		list_lower(x, 0);
#endif
		lcore_unlock(x)
	:: else
	fi
}

/* The copy goes where nobody looks, behind the end of the list. */
inline lcore_push()
{
#ifdef PUSH_COUNT_FIRST
	list_raise(self, nb_slots[self] + n);
#endif
	d_step {
		for (i : 0 .. n - 1) {
			list[LIST(self) + nb_slots[self] + i] = m[i]
		}
		i = 0
	}
#ifndef PUSH_COUNT_FIRST
	list_raise(self, nb_slots[self] + n);
#endif
	d_step { for (i : 0 .. n - 1) { m[i] = 0 } i = 0; n = 0 }
}

/* lcore_slots_cool(): leaves the coldest half in cold. */
inline lcore_cool()
{
	k = (nb_slots[self] < (KEEP + 1) / 2 -> nb_slots[self] : (KEEP + 1) / 2);
	rest = nb_slots[self] - k;
#ifndef COOL_MOVES_LISTED
	list_lower(self, 0);
#endif
	d_step {
		for (i : 0 .. k - 1) {
			cold[i] = list[LIST(self) + i]
		}
		for (i : 0 .. rest - 1) {
			list[LIST(self) + i] = list[LIST(self) + k + i]
		}
		i = 0
	}
#ifdef COOL_MOVES_LISTED
	list_lower(self, 0);
#endif
	list_raise(self, rest);
	rest = 0
}

/* run_put(), slots_put_slow(). What is left in m goes to the depot. */
inline lcore_put()
{
	lcore_lock(self);
	if
	:: have ->
#ifndef PUT_UNMARKED
		slots_own();
#endif
		if
		:: n <= KEEP - nb_slots[self] -> lcore_push()
		:: n > KEEP - nb_slots[self] && n <= KEEP / 2 ->
			lcore_cool();
			lcore_push();
			d_step {
				for (i : 0 .. k - 1) {
					m[i] = cold[i];
					cold[i] = 0
				}
				i = 0; n = k; k = 0
			}
		:: else
		fi;
		lcore_unlock(self)
	:: else -> slots_own()
	fi
}

/*
 * The depot. Its lock is held: nobody else looks at its lists, nor at its counts. Nor does who takes
 * the lock over, who makes them anew: what changes nothing else is one step, unless told otherwise.
 */
#ifdef FINE
#define LISTS_STEP
#define REPAIR_STEP
#else
#define LISTS_STEP atomic
#ifdef SCRAMBLE
#define REPAIR_STEP
#else
/* Only process 2 takes over from a dead one, and it does not end. */
#define REPAIR_STEP atomic
#endif
#endif

inline depot_link(f, pg)
{
	page[pg].prev = 0;
	page[pg].next = first[f];
	d_step {
		if
		:: first[f] != 0 -> page[first[f]].prev = pg
		:: else
		fi
	}
	first[f] = pg
}

inline depot_unlink(f, pg)
{
	d_step {
		if
		:: page[pg].prev == 0 -> first[f] = page[pg].next
		:: else -> page[page[pg].prev].next = page[pg].next
		fi
	}
	d_step {
		if
		:: page[pg].next != 0 -> page[page[pg].next].prev = page[pg].prev
		:: else
		fi;
		page[pg].next = 0; page[pg].prev = 0
	}
}

#define HAS_LIST(idle) ((idle) != 0)
#ifdef SET_IDLE_STAYS
#define MOVES(from, to) (HAS_LIST(from) != HAS_LIST(to))
#else
#define MOVES(from, to) \
	(HAS_LIST(from) != HAS_LIST(to) || HAS_LIST(from) && FILL(from) != FILL(to))
#endif

/* The page is pg, what is idle of it afterwards is in now. */
inline depot_set_idle()
{
	LISTS_STEP {
		if
		:: MOVES(page[pg].idle, now) && page[pg].idle != 0 ->
			depot_unlink(FILL(page[pg].idle), pg)
		:: else
		fi;
		if
		:: MOVES(page[pg].idle, now) && now != 0 -> depot_link(FILL(now), pg)
		:: else
		fi;
		nb_idle = nb_idle + now - page[pg].idle;
		nb_idle_pages = nb_idle_pages + (now == SLOTS) - (page[pg].idle == SLOTS);
		d_step { page[pg].idle = now; now = 0 }
	}
}

/* Whose hands s may have been in when it is put. */
#define PUTS_OWN (g_at[s] == self && !g_app[s])
#define REPAIRS (repair && (g_at[s] == DEPOT || IS_DEAD(g_at[s])))

/* The slot is s. Leaves its page in pg. */
inline depot_push()
{
#ifndef PUSH_KEEPS_OWNER
	owner[s] = 0;
#endif
	LISTS_STEP {
		d_step { pg = PAGE(s); next_idle[s] = page[pg].idle_first };
		d_step {
			assert(page[pg].slots);
			assert(PUTS_OWN || REPAIRS);
			page[pg].idle_first = s;
			g_at[s] = DEPOT;
			g_app[s] = false;
			s = 0
		}
		now = page[pg].idle + 1;
		depot_set_idle()
	}
}

/* depot_add_page(), where it is taken and where the depot is made anew. */
inline depot_add_page()
{
	LISTS_STEP {
		page[pg].idle = 0;
		page[pg].idle_first = 0;
		if
		:: page[pg].formatted < SLOTS ->
			now = SLOTS - page[pg].formatted;
			depot_set_idle()
		:: else
		fi;
#ifdef REPAIR_ALL
		k = SLOTS
#else
		k = page[pg].formatted
#endif
	}
	do
	:: k > 0 ->
		d_step {
			k--;
			s = SLOT(pg, k);
			assert(g_valid[s]);
			if
			:: owner[s] != 0 -> s = 0
			:: else
			fi
		}
		if
		:: s != 0 -> depot_push()
		:: else
		fi
	:: else -> break
	od;
	nb_pages++
}

inline depot_clear()
{
	for (k : 0 .. FILLS - 1) {
		first[k] = 0
	}
	k = 0;
	nb_idle = 0;
	nb_idle_pages = 0;
	nb_pages = 0
}

inline limbo_drain()
{
	do
	:: limbo != 0 ->
		s = limbo;
#ifndef DRAIN_MARKS_LATE
		owner[s] = self;
#endif
		/* Compare and exchange. */
		d_step {
			if
			:: limbo == s ->
				assert(g_at[s] == LIMBO);
				limbo = limbo_next[s];
				g_at[s] = self;
				limbo_next[s] = 0
			:: else -> s = 0
			fi
		}
#ifdef DRAIN_MARKS_LATE
		if
		:: s != 0 -> owner[s] = self
		:: else
		fi;
#endif
		if
		:: s != 0 -> depot_push()
		:: else
		fi
	:: else -> break
	od
}

/* depot_repair() */
inline depot_repair()
{
	REPAIR_STEP {
		depot_clear();
		page_first = 1;
		do
		:: page_first <= PAGES && page[page_first].slots ->
			pg = page_first;
			depot_add_page();
			page_first++
		:: page_first <= PAGES && !page[page_first].slots -> page_first++
		:: page_first > PAGES -> break
		od;
		skip;
		d_step { repair = false; pg = 0; page_first = 0 }
	}
}

/* depot_settle() */
inline depot_settle()
{
#ifndef NO_REPAIR
	if
	:: repair -> depot_repair()
	:: else
	fi;
#endif
	if
	:: limbo != 0 -> limbo_drain(); pg = 0
	:: else
	fi
}

/* ppool_depot_enter(). Leaves in inside whether it was to be had. */
inline depot_enter()
{
	atomic {
		if
		:: depot_lock == 0 -> depot_lock = self; inside = true
#ifdef TAKE_OVER_DEPOT
		:: depot_lock == OTHER -> depot_lock = self; inside = true
#else
		:: depot_lock == OTHER && !IS_DEAD(OTHER) -> inside = false
#endif
		:: depot_lock != 0 && IS_DEAD(depot_lock) ->
			depot_lock = self; inside = true; repair = true
		fi
	}
	if
	:: inside -> depot_settle()
	:: else
	fi
}

/* depot_unlist(): the first idle slot of a page. */
inline depot_unlist()
{
	d_step {
		m[got] = page[pg].idle_first;
		assert(m[got] != 0 && g_at[m[got]] == DEPOT && g_valid[m[got]]);
		g_at[m[got]] = self;
		page[pg].idle_first = next_idle[m[got]];
		next_idle[m[got]] = 0
	}
#ifndef UNLIST_UNMARKED
	owner[m[got]] = self;
#endif
	got++
}

/* depot_format(): so many as k says. */
inline depot_format()
{
#ifdef FORMATTED_FIRST
	page[pg].formatted = page[pg].formatted + k;
	page[pg].formatted = page[pg].formatted - k;
#endif
	do
	:: i < k ->
		d_step {
			m[got + i] = SLOT(pg, page[pg].formatted + i);
			assert(page[pg].formatted + i < SLOTS && g_at[m[got + i]] == FRESH);
			/* slot_format() */
			g_valid[m[got + i]] = true;
			owner[m[got + i]] = 0
		}
#ifndef FORMAT_UNMARKED
		owner[m[got + i]] = self;
#endif
		i++
	:: else -> break
	od;
	skip;
	d_step {
		page[pg].formatted = page[pg].formatted + k;
		for (i : got .. got + k - 1) {
			assert(g_at[m[i]] == FRESH);
			g_at[m[i]] = self
		}
		got = got + k;
		i = 0; k = 0
	}
}

/* depot_pop_from() of page pg */
inline depot_pop_from()
{
	now = page[pg].idle;
	do
	:: got < want && page[pg].idle_first != 0 -> depot_unlist(); now--
	:: else -> break
	od;
	k = (want - got < SLOTS - page[pg].formatted -> want - got : SLOTS - page[pg].formatted);
	now = now - k;
	if
	:: k > 0 -> depot_format()
	:: else
	fi;
	depot_set_idle()
}

inline depot_pop()
{
	do
	:: got < want && f < FILLS ->
		d_step {
			pg = first[f];
			if
			:: pg == 0 -> f++
			:: else
			fi
		}
		if
		:: pg != 0 -> depot_pop_from()
		:: else
		fi
	:: else -> break
	od;
	skip;
	d_step { n = got; got = 0; f = 0; pg = 0 }
}

/* ppool_freelist_put() of the page that is in hand */
inline page_put(pg)
{
	d_step {
		assert(g_page[pg] == self && page[pg].holder == self && !page[pg].slots);
		g_page[pg] = 0;
		page[pg].holder = 0
	}
}

/* depot_page_home(): the page is pg. */
inline depot_page_home()
{
	now = 0;
#ifndef HOME_LISTED
	depot_set_idle();
#endif
	nb_pages--;
	page[pg].holder = self;
	/* ppool_page_retire() */
	d_step {
		for (i : 0 .. SLOTS - 1) {
			s = SLOT(pg, i);
			assert(g_at[s] == FRESH || g_at[s] == DEPOT);
			g_at[s] = FRESH;
			g_valid[s] = false;
			/* What lies there then, may be anything. */
			owner[s] = 0;
			next_idle[s] = 0
		}
		page[pg].slots = false;
		page[pg].idle_first = 0;
		g_page[pg] = self;
		i = 0; s = 0
	}
	page_put(pg);
	pg = 0
}

/* ppool_slots_add_page() behind the lock: the page is in grown. */
inline slots_add_page()
{
	if
	:: nb_idle == 0 ->
		pg = grown;
		/* ppool_page_split() */
#ifdef SPLIT_KIND_FIRST
		page[pg].slots = true;
#endif
#ifndef SPLIT_KEEPS_FORMATTED
		page[pg].formatted = 0;
#endif
		d_step { page[pg].slots = true; g_page[pg] = 0; grown = 0 };
		depot_add_page();
		pg = 0
	:: else
	fi
}

#ifdef HOME_TOO_EARLY
#define IS_IDLE(pg) (page[pg].slots && page[pg].idle != 0)
#else
#define IS_IDLE(pg) (page[pg].slots && page[pg].idle == SLOTS)
#endif

/* ppool_depot_push(), ppool_depot_release(). Any number of idle pages may stay. */
inline depot_push_all()
{
	do
	:: n > 0 -> d_step { n--; s = m[n]; m[n] = 0 }; depot_push(); pg = 0
	:: IS_IDLE(1) -> pg = 1; depot_page_home()
	:: IS_IDLE(PAGES) && PAGES > 1 -> pg = PAGES; depot_page_home()
	:: n == 0 -> break
	od
}

inline limbo_push_all()
{
	do
	:: n > 0 ->
		limbo_next[m[n - 1]] = limbo;
		/* Compare and exchange. */
		d_step {
			if
			:: limbo == limbo_next[m[n - 1]] ->
				n--;
				assert(g_at[m[n]] == self && !g_app[m[n]]);
				g_at[m[n]] = LIMBO;
				limbo = m[n];
				m[n] = 0
			:: else
			fi
		}
	:: else -> break
	od
}

inline depot_leave()
{
	d_step { depot_lock = 0; inside = false }
}

/* Calls */

mtype = { NOTHING, POP, POP_DEPOT, PUT, PUSH, TAKE, RELEASE, GROW };

/* The application has got what is in m. */
inline get_return()
{
	d_step {
		for (i : 0 .. n - 1) {
			assert(g_at[m[i]] == self && owner[m[i]] == self);
			g_app[m[i]] = true;
			m[i] = 0
		}
		i = 0; n = 0; want = 0
	}
}

inline depot_call()
{
	depot_enter();
	if
	:: inside ->
		if
		:: op == POP_DEPOT -> depot_pop()
		:: op == GROW -> slots_add_page()
		:: else -> depot_push_all()
		fi;
		depot_leave()
	:: else ->
		if
		:: op != POP_DEPOT -> limbo_push_all()
		:: else
		fi
	fi;
	if
	:: grown != 0 -> page_put(grown); grown = 0
	:: else
	fi
}

inline call()
{
	if
	:: op == POP -> lcore_pop()
	:: op == PUT -> lcore_put()
	:: op == PUSH -> slots_own()
	:: op == TAKE -> lcore_take(x)
	:: else
	fi;
	if
	:: op == POP_DEPOT || op == GROW || op == RELEASE || op != POP && n > 0 -> depot_call()
	:: else
	fi;
	get_return();
	d_step { op = NOTHING; x = 0 }
}

/* The application puts some of the slots that it has. */
inline app_take()
{
	for (i : 1 .. NB) {
		if
		:: n < 2 && g_at[i] == self && g_app[i] -> m[n] = i; n++; g_app[i] = false
		:: true
		fi
	}
	i = 0
}

/* A free page, from wherever: ppool_pages_get(). */
inline page_get(nr)
{
	!page[nr].slots && page[nr].holder == 0 && g_page[nr] == 0;
	page[nr].holder = self; g_page[nr] = self; grown = nr; op = GROW
}

inline call_choose()
{
	atomic {
		if
		:: op = POP; want = 1
		:: op = POP_DEPOT; want = 1
		:: op = POP_DEPOT; want = 2
		:: app_take(); op = PUT
		:: app_take(); op = PUSH
		:: op = TAKE; x = 1
		:: op = TAKE; x = 2
		:: op = RELEASE
		:: page_get(1)
		:: page_get(PAGES)
		fi
	}
}

#define LOCALS \
	byte m[NB + 1], cold[KEEP], want, got, n, i, k, s, pg, f, x, now, rest, grown, page_first; \
	bool have, inside, repair; \
	mtype op = NOTHING

inline locals_clear()
{
	for (i : 0 .. NB) {
		m[i] = 0
	}
	for (i : 0 .. KEEP - 1) {
		cold[i] = 0
	}
	want = 0; got = 0; n = 0; i = 0; k = 0; s = 0; pg = 0; f = 0; x = 0; now = 0; rest = 0;
	grown = 0; page_first = 0; have = false; inside = false; repair = false; op = NOTHING
}

/* Recovery. Process 2 is alone then */

/* lcore_slots_unmark(), where lcore_slots_are_marked(). */
inline lists_unmark()
{
#ifndef NO_UNMARK
	d_step {
		for (i : 0 .. nb_slots[2] - 1) {
			if
			:: owner[list[LIST(2) + i]] == 1 -> owner[list[LIST(2) + i]] = 2
			:: else
			fi
		}
		i = 0
	}
#endif
	skip
}

#define IS_THEIRS(s) \
	(page[PAGE(s)].slots && ((s) - 1) % SLOTS < page[PAGE(s)].formatted && owner[s] == 1)

/* slot_take_back(): the next slot that says it is theirs, to m. Its page does not go home. */
inline slot_take_back()
{
	d_step {
		do
		:: at <= NB && !IS_THEIRS(at) -> at++
		:: else -> break
		od;
		if
		:: at <= NB ->
			assert(g_valid[at]);
			assert(g_at[at] == 1);
			g_at[at] = self;
			g_app[at] = false;
			m[0] = at;
			n = 1;
			op = PUT
		:: else -> at = 0; phase = 4
		fi
	}
}

/* pages_take_back() */
inline pages_take_back()
{
	d_step {
		for (i : 1 .. PAGES) {
			if
			:: !page[i].slots && page[i].holder == 1 ->
				assert(g_page[i] == 1);
				g_page[i] = 0;
				page[i].holder = 0
			:: else
			fi
		}
		i = 0
	}
}

/* At the end, lists and counts have what the ghosts say. */

inline lcore_check(x)
{
	for (g_i : 0 .. nb_slots[x] - 1) {
		assert(g_at[list[LIST(x) + g_i]] == LISTED(x));
		assert(owner[list[LIST(x) + g_i]] == x);
		g_listed++
	}
}

/* The list of a page. Those that are not formatted are in none. */
inline page_check(pg)
{
	assert(page[pg].slots && FILL(page[pg].idle) == i);
	g_n = SLOTS - page[pg].formatted;
	g_p = page[pg].idle_first;
	do
	:: g_p != 0 ->
		assert(PAGE(g_p) == pg && g_at[g_p] == DEPOT && owner[g_p] == 0);
		assert(g_n < SLOTS);
		g_n++;
		g_listed++;
		g_p = next_idle[g_p]
	:: else -> break
	od;
	assert(g_n == page[pg].idle);
	g_idle = g_idle + g_n;
	g_idle_pages = g_idle_pages + (g_n == SLOTS)
}

inline depot_check()
{
	g_idle = 0; g_idle_pages = 0; g_listed = 0;
	for (i : 0 .. FILLS - 1) {
		k = 0;
		pg = first[i];
		do
		:: pg != 0 ->
			assert(page[pg].prev == k);
			page_check(pg);
			k = pg;
			pg = page[pg].next
		:: else -> break
		od
	}
	assert(g_idle == nb_idle && g_idle_pages == nb_idle_pages);
	lcore_check(1);
	lcore_check(2);
	g_p = limbo;
	do
	:: g_p != 0 -> assert(g_at[g_p] == LIMBO); g_listed++; g_p = limbo_next[g_p]
	:: else -> break
	od;
	g_n = 0;
	for (i : 1 .. PAGES) {
		g_n = g_n + page[i].slots;
		assert(page[i].slots || page[i].holder == 0 && g_page[i] == 0)
	}
	assert(g_n == nb_pages);
	for (i : 1 .. NB) {
		assert(g_at[i] != 1 || g_app[i] && !g_dead);
		assert(g_at[i] != 2 || g_app[i] && owner[i] == 2);
		assert((g_at[i] != FRESH) == (page[PAGE(i)].slots &&
				(i - 1) % SLOTS < page[PAGE(i)].formatted));
		g_listed = g_listed + (g_at[i] == 1 || g_at[i] == 2);
		/* All others are somewhere. */
		g_listed = g_listed - (g_at[i] != FRESH)
	}
	assert(g_listed == 0);
	i = 0; k = 0; pg = 0; g_n = 0; g_p = 0; g_i = 0; g_idle = 0; g_idle_pages = 0
}

/* Process 1 may end at any step. Afterwards process 2 recovers. */
proctype process(byte self)
{
	LOCALS;
	byte calls, at, phase;

	{
		do
		:: calls < LIMIT -> calls++; call_choose(); call()
		:: calls == LIMIT && self == 1 -> g_done = true; goto done
		:: calls == LIMIT && self == 2 && g_done ->
			d_step { op = RELEASE; calls++ };
			call();
			goto check
		/* ppool_locks_take_over(), ppool_slots_inherit() */
		:: calls == LIMIT && self == 2 && g_dead && phase == 0 ->
			op = RELEASE; phase = 1; call()
		:: phase == 1 -> op = TAKE; x = 1; phase = 2; call()
		:: phase == 2 -> lists_unmark(); at = 1; phase = 3
		:: phase == 3 ->
			slot_take_back();
			if
			:: n > 0 -> call()
			:: else
			fi
		:: phase == 4 -> pages_take_back(); goto check
		od;
check:
		skip;
		d_step { at = 0; phase = 0; calls = 0; depot_check() }
done:
		skip
	} unless {
		d_step { g_dead && self == 1 -> locals_clear(); calls = 0 }
	}
}

proctype fate()
{
	if
	:: d_step { !g_done -> g_dead = true }
	:: true
	fi
}

/* Any state with nobody inside */

/* The next slot of a page that is formatted is somewhere. */
inline fill_slot(s)
{
	g_valid[s] = true;
	if
	:: limit <= 0 -> /* in the depot */
		g_at[s] = DEPOT;
		next_idle[s] = page[pg].idle_first;
		page[pg].idle_first = s;
		limit = 0
	:: limit <= 1 && nb_slots[1] < KEEP ->
		g_at[s] = LISTED(1); owner[s] = 1;
		list[LIST(1) + nb_slots[1]] = s; nb_slots[1]++;
		limit = 1
	:: limit <= 2 && nb_slots[2] < KEEP ->
		g_at[s] = LISTED(2); owner[s] = 2;
		list[LIST(2) + nb_slots[2]] = s; nb_slots[2]++;
		limit = 2
	:: limit <= 3 -> g_at[s] = 1; owner[s] = 1; g_app[s] = true; limit = 3
	:: limit <= 4 || limbo != 0 -> g_at[s] = 2; owner[s] = 2; g_app[s] = true; limit = 4
	/* In limbo, by either of them. */
	:: limit <= 5 && limbo == 0 ->
		g_at[s] = LIMBO; owner[s] = 1; limbo = s; limit = 5
	fi
}

inline fill_page()
{
	/* Which one of two pages makes no difference. */
	if
	/* Free: what it has in place of formatted is anything, such as a time. */
	:: page[pg].formatted = SLOTS
	:: pg == 1 || page[1].slots ->
		page[pg].slots = true;
		nb_pages++;
		limit = 0;
		do
		:: page[pg].formatted < SLOTS &&
				(pg == 1 || page[pg].formatted < page[1].formatted) ->
			fill_slot(SLOT(pg, page[pg].formatted));
			page[pg].formatted++
		:: break
		od;
		for (i : 0 .. SLOTS - 1) {
			now = now + (g_at[SLOT(pg, i)] == DEPOT || g_at[SLOT(pg, i)] == FRESH)
		}
		i = 0;
		depot_set_idle()
	fi
}

/* Somebody has ended in the depot: its lists and counts may be anything. */
inline scramble()
{
	depot_lock = LONG_DEAD;
	for (i : 0 .. FILLS - 1) {
		first[i] = 1
	}
	for (i : 1 .. PAGES) {
		page[i].idle = 1;
		page[i].idle_first = SLOT(i, 0);
		page[i].next = i;
		page[i].prev = i
	}
	nb_idle = 1; nb_idle_pages = 1; nb_pages = 0
}

init
{
	byte i, now, pg, limit;

	atomic {
		for (pg : 1 .. PAGES) {
			fill_page()
		}
#ifdef SCRAMBLE
		scramble();
#endif
		i = 0; now = 0; pg = 0; limit = 0;
		run process(1);
		run process(2);
		run fate()
	}
}
