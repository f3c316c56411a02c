/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * The lists of free pages (ppool_freelist.c), and a process that ends at any step: two processes
 * with lists of their own and a spare magazine each, the loose pages, shared magazines and limbo.
 * Afterwards the other one goes on, takes locks over, inherits and recovers (ppool_recover.c).
 *
 * Proves from every state in which nobody is inside, over all interleavings: no page is in two
 * lists, or in a list and in the hands of a process; nobody puts to a list what it has not taken
 * or got; no mark says that somebody holds a page that is in a list; a process that lives loses
 * nothing; every page that is lost was in the hands of the dead, and recovery brings it back.
 *
 * One step is one access to shared memory. The order is that of the program, which is enough: what
 * a process has stored before it ends is visible to those whom the kernel tells that it has ended.
 * Locks are one step here, see lock.pml. max_pages is any number at any time.
 */

/* Pages, and what is PPOOL_MAGAZINE and PPOOL_LCORE_PAGES in the C code. */
#ifndef PAGES
#define PAGES 3
#endif
#define MAGAZINE 2
#ifndef LCORE_PAGES
#define LCORE_PAGES 2
#endif
/* How many calls each process makes. */
#ifndef CALLS
#define CALLS 1
#endif

#define SHARED ((PAGES + MAGAZINE - 1) / MAGAZINE)
#define MAGAZINES (SHARED + 2)

/* The process that may end is 1, the other one is 2. 0 is nobody. */
#define OTHER (3 - self)

typedef ppool_lcore {
	byte nb_pages;
	byte spare; /* number of a magazine */
	byte nb_spare;
	byte lock /* who is inside */
};

/*
 * Arrays of pointers to pages, one after the other: those of lcores, magazines, loose pages, and
 * what each process has in hand, which the other one does not look at. Pages have numbers from 1
 * on. What is behind the end of a list is 0 while nobody is inside.
 */
#define LCORE(x) (((x) - 1) * LCORE_PAGES)
#define CELLS(m) (2 * LCORE_PAGES + (m) * MAGAZINE)
#define LOOSE CELLS(MAGAZINES)
#define OBJ (LOOSE + PAGES + (self - 1) * 3)
#define FIRST (OBJ + 2)
byte mem[2 * LCORE_PAGES + MAGAZINES * MAGAZINE + PAGES + 6];

ppool_lcore lc[3];
byte magazine[SHARED];
byte nb_full;
byte nb_loose;
byte limbo;
byte limbo_next[PAGES + 1];
byte nb_limbo; /* wraps as that in the C code */
byte shared_lock;
byte mark[PAGES + 1];

bool g_dead;              /* process 1 has ended in the midst of something, or elsewhere */
bool g_done;              /* process 1 has returned from its last call */
byte g_hand[PAGES + 1];   /* in whose hands a page is, 0: it is in a list */
bool g_app[PAGES + 1];    /* it was handed out and not put yet */
hidden byte g_n[PAGES + 1];
hidden byte g_i, g_p, g_in_limbo;

#define IS_DEAD(process) ((process) == 1 && g_dead)

/*
 * Ghosts. Part of each step that changes the end of a list: it may be put there only what self has
 * in hand, and what was there is in its hands then.
 */

inline g_list(at, from, to)
{
	for (g_i : from .. (to) - 1) {
		g_p = mem[at + g_i];
		assert(g_p != 0);
		assert(mark[g_p] == 0);
		assert(g_hand[g_p] == self && !g_app[g_p]);
		g_hand[g_p] = 0
	}
}

inline g_unlist(at, from, to)
{
	for (g_i : to .. (from) - 1) {
		g_p = mem[at + g_i];
		assert(g_p != 0);
		assert(g_hand[g_p] == 0);
		g_hand[g_p] = self
	}
	g_i = 0;
	g_p = 0
}

/* A call has returned to the application, which has all of what is in our hands. */
inline g_returned()
{
	for (g_i : 1 .. PAGES) {
		if
		:: g_hand[g_i] == self ->
			assert(g_app[g_i]);
			assert(mark[g_i] == self)
		:: else
		fi
	}
	g_i = 0
}

inline count_raise(count, at, v)
{
	d_step { g_list(at, count, v); count = v }
}

inline count_lower(count, at, v)
{
	d_step { g_unlist(at, count, v); count = v }
}

/* One full magazine more, or less. */
inline full_more()
{
	d_step {
		g_list(CELLS(magazine[nb_full]), 0, MAGAZINE);
		nb_full++
	}
}

inline full_less()
{
	d_step {
		nb_full--;
		g_unlist(CELLS(magazine[nb_full]), MAGAZINE, 0)
	}
}

/* Copy to where nobody looks, behind the end of a list: one step is enough. */
inline copy(dst, src, nb)
{
	d_step {
		for (i : 0 .. nb - 1) {
			mem[dst + i] = mem[src + i]
		}
		i = 0
	}
}

/* Copy to the caller's memory, which nobody else sees. Part of a step. */
inline copy_out(src, nb)
{
	for (i : 0 .. nb - 1) {
		mem[OBJ + got + i] = mem[src + i]
	}
	got = got + nb;
	i = 0
}

inline pages_mark(from, nb, holder)
{
	do
	:: d_step {
			i < nb ->
			assert(g_hand[mem[OBJ + from + i]] == self);
			mark[mem[OBJ + from + i]] = holder;
			i++
		}
	:: d_step { i == nb -> i = 0 }; break
	od;
	skip
}

/* Equal states should look equal: what is behind the end of a list is never read. */

inline lcore_clear(x)
{
	for (i : lc[x].nb_pages .. LCORE_PAGES - 1) {
		mem[LCORE(x) + i] = 0
	}
	for (i : lc[x].nb_spare .. MAGAZINE - 1) {
		mem[CELLS(lc[x].spare) + i] = 0
	}
	i = 0
}

inline shared_clear()
{
	for (i : nb_loose .. PAGES - 1) {
		mem[LOOSE + i] = 0
	}
	for (i : nb_full * MAGAZINE .. SHARED * MAGAZINE - 1) {
		mem[CELLS(magazine[i / MAGAZINE]) + i % MAGAZINE] = 0
	}
	i = 0
}

/* Locks */

/* ppool_lock_owner(), ppool_lock_visitor(). Leaves in have whether it was to be had. */
inline lcore_lock(x)
{
	atomic {
		if
		:: lc[x].lock == 0 -> lc[x].lock = self; have = true
#ifdef TAKE_OVER_LISTS
		:: lc[x].lock == OTHER -> lc[x].lock = self; have = true
#else
		:: lc[x].lock == OTHER && IS_DEAD(OTHER) -> lc[x].lock = self; have = true
		:: lc[x].lock == OTHER && !IS_DEAD(OTHER) -> have = false
#endif
		fi
	}
}

inline lcore_unlock(x)
{
	d_step {
		lcore_clear(x);
		lc[x].lock = 0;
		have = false
	}
}

/* magazines_repair(), magazine_places(), magazine_find_lost(). Process 2 does not end. */
inline magazines_repair()
{
	d_step {
		for (k : 0 .. MAGAZINES - 1) {
			g_n[0] = (lc[1].spare == k) + (lc[2].spare == k);
			for (i : 0 .. SHARED - 1) {
				g_n[0] = g_n[0] + (magazine[i] == k)
			}
			if
			:: g_n[0] == 0 -> lost = k + 1
			:: g_n[0] > 1 && lc[1].spare == k && lc[1].nb_spare == 0 -> twice = true
			:: else
			fi
		}
		if
		:: twice -> assert(lost != 0); lc[1].spare = lost - 1
		:: else
		fi;
		g_n[0] = 0; i = 0; k = 0; lost = 0; twice = false
	}
}

/* shared_enter(). Leaves in inside whether it was to be had. */
inline shared_enter()
{
	atomic {
		if
		:: shared_lock == 0 -> shared_lock = self; inside = true
#ifdef TAKE_OVER_SHARED
		:: shared_lock == OTHER -> shared_lock = self; inside = true
#else
		:: shared_lock == OTHER && IS_DEAD(OTHER) ->
			shared_lock = self; inside = true; taken_over = true
		:: shared_lock == OTHER && !IS_DEAD(OTHER) -> inside = false
#endif
		fi
	}
	if
	:: inside ->
#ifndef NO_REPAIR
		if
		:: taken_over -> magazines_repair()
		:: else
		fi;
#endif
		taken_over = false;
		if
		:: limbo != 0 -> limbo_drain()
		:: else
		fi
	:: else
	fi
}

inline shared_leave()
{
	d_step {
		shared_clear();
		shared_lock = 0;
		inside = false
	}
}

/* Loose pages */

inline loose_push(src, nb)
{
#ifdef LOOSE_COUNT_FIRST
	count_raise(nb_loose, LOOSE, nb_loose + nb);
	copy(LOOSE + nb_loose - nb, src, nb)
#else
	copy(LOOSE + nb_loose, src, nb);
	count_raise(nb_loose, LOOSE, nb_loose + nb)
#endif
}

/* Take up to want - got. */
inline loose_pop()
{
	d_step {
		more = (want - got < nb_loose -> want - got : nb_loose);
		g_unlist(LOOSE, nb_loose, nb_loose - more);
		nb_loose = nb_loose - more;
		copy_out(LOOSE + nb_loose, more);
		more = 0
	}
}

inline loose_provide()
{
	do
	:: nb_loose < want && nb_full > 0 ->
#ifdef PROVIDE_TWICE
		loose_push(CELLS(magazine[nb_full - 1]), MAGAZINE);
		full_less()
#else
		full_less();
		loose_push(CELLS(magazine[nb_full]), MAGAZINE)
#endif
	:: else -> break
	od
}

inline lcore_loosen(x)
{
	more = lc[x].nb_spare;
#ifdef LOOSEN_TWICE
	loose_push(CELLS(lc[x].spare), more);
	count_lower(lc[x].nb_spare, CELLS(lc[x].spare), 0);
#else
	count_lower(lc[x].nb_spare, CELLS(lc[x].spare), 0);
	loose_push(CELLS(lc[x].spare), more);
#endif
	more = lc[x].nb_pages;
	count_lower(lc[x].nb_pages, LCORE(x), 0);
	loose_push(LCORE(x), more);
	more = 0
}

/* Magazines */

inline magazine_swap(at)
{
	k = magazine[at];
	magazine[at] = lc[self].spare;
	d_step { lc[self].spare = k; k = 0 }
}

inline trade_full()
{
#ifdef TRADE_FULL_AT_ONCE
	magazine_swap(nb_full);
	count_lower(lc[self].nb_spare, CELLS(lc[self].spare), 0);
#else
	count_lower(lc[self].nb_spare, CELLS(lc[self].spare), 0);
	magazine_swap(nb_full);
#endif
	full_more()
}

inline trade_empty()
{
#ifdef TRADE_EMPTY_AT_ONCE
	magazine_swap(nb_full - 1);
	full_less();
#else
	full_less();
	magazine_swap(nb_full);
#endif
	count_raise(lc[self].nb_spare, CELLS(lc[self].spare), MAGAZINE)
}

/* Limbo */

inline limbo_push(from)
{
	do
	:: from < n ->
#ifdef LIMBO_COUNT_LATE
		skip;
#else
		nb_limbo++;
#endif
		do
		:: k = limbo;
			limbo_next[mem[OBJ + from]] = k;
			/* Compare and exchange. */
			d_step {
				swapped = (limbo == k);
				if
				:: swapped ->
					assert(!g_app[mem[OBJ + from]]);
					limbo = mem[OBJ + from];
					g_hand[limbo] = 0
				:: else
				fi
			}
			if
			:: swapped -> break
			:: else
			fi
		od;
		skip;
		d_step { k = 0; swapped = false; from++ }
#ifdef LIMBO_COUNT_LATE
		nb_limbo++
#endif
	:: else -> break
	od
}

#ifdef LIMBO_AT_ONCE
inline limbo_drain()
{
	d_step {
		mem[FIRST] = limbo;
		do
		:: limbo != 0 -> g_hand[limbo] = self; limbo = limbo_next[limbo]
		:: else -> break
		od
	}
	do
	:: mem[FIRST] != 0 ->
		mark[mem[FIRST]] = 0;
		k = limbo_next[mem[FIRST]];
		loose_push(FIRST, 1);
		nb_limbo--;
		d_step { limbo_next[mem[FIRST]] = 0; mem[FIRST] = k; k = 0 }
	:: else -> break
	od
}
#else
/* Only one at a time takes pages away, so that the first one stays in limbo until then. */
inline limbo_drain()
{
	do
	:: limbo != 0 ->
		mem[FIRST] = limbo;
		mark[mem[FIRST]] = self;
		d_step {
			swapped = (limbo == mem[FIRST]);
			if
			:: swapped -> g_hand[limbo] = self; limbo = limbo_next[mem[FIRST]]
			:: else
			fi
		}
		if
		:: swapped ->
			d_step { limbo_next[mem[FIRST]] = 0; swapped = false }
			mark[mem[FIRST]] = 0;
			loose_push(FIRST, 1);
			nb_limbo--
		:: else
		fi;
		mem[FIRST] = 0
	:: else -> break
	od
}
#endif

/* Getting */

/* Take up to want - got. */
inline lcore_pop()
{
	d_step {
		more = (want - got < lc[self].nb_pages -> want - got : lc[self].nb_pages);
		g_unlist(LCORE(self), lc[self].nb_pages, lc[self].nb_pages - more);
		lc[self].nb_pages = lc[self].nb_pages - more;
		copy_out(LCORE(self) + lc[self].nb_pages, more);
		more = 0
	}
	if
	:: got < want && lc[self].nb_spare != 0 ->
		d_step {
			more = (want - got < MAGAZINE -> want - got : MAGAZINE);
#ifndef POP_SPARE_TWICE
			g_unlist(CELLS(lc[self].spare), MAGAZINE, 0);
			lc[self].nb_spare = 0;
#endif
			copy_out(CELLS(lc[self].spare) + MAGAZINE - more, more)
		}
		copy(LCORE(self), CELLS(lc[self].spare), MAGAZINE - more);
		count_raise(lc[self].nb_pages, LCORE(self), MAGAZINE - more);
#ifdef POP_SPARE_TWICE
		count_lower(lc[self].nb_spare, CELLS(lc[self].spare), 0);
#endif
	:: else
	fi;
	more = 0
}

/* Some more for later. */
inline lcore_refill()
{
	if
	:: nb_loose > 0 ->
#ifdef REFILL_TWICE
		copy(LCORE(self), LOOSE + nb_loose - 1, 1);
		count_raise(lc[self].nb_pages, LCORE(self), 1);
		count_lower(nb_loose, LOOSE, nb_loose - 1)
#else
		count_lower(nb_loose, LOOSE, nb_loose - 1);
		copy(LCORE(self), LOOSE + nb_loose, 1);
		count_raise(lc[self].nb_pages, LCORE(self), 1)
#endif
	:: true
	fi
}

inline lcore_gather()
{
	lcore_pop();
	if
	:: want - got > MAGAZINE -> loose_provide()
	:: else
	fi;
	loose_pop();
	if
	:: got < want -> trade_empty()
	:: else -> lcore_refill()
	fi
}

#ifdef COUNT_LIMBO
#define IN_LIMBO nb_limbo
#else
#define IN_LIMBO 0
#endif

inline refill_shared()
{
	shared_enter();
	if
	:: inside ->
		lcore_lock(self);
		if
		:: have ->
			total = lc[self].nb_pages + lc[self].nb_spare + nb_loose +
				nb_full * MAGAZINE + IN_LIMBO;
			enough = (total >= want);
			total = 0;
			if
			:: enough -> lcore_gather()
			:: else
			fi;
			shared_leave();
			if
			:: enough ->
				lcore_pop();
				assert(got == want);
				pages_mark(0, want, self)
			:: else
			fi;
			enough = false;
			lcore_unlock(self)
		:: else -> shared_leave()
		fi
	:: else
	fi
}

inline loose_take()
{
	if
	:: nb_loose >= want -> loose_pop(); pages_mark(0, want, self)
	:: else
	fi
}

inline refill_other()
{
	shared_enter();
	if
	:: inside ->
		if
		:: nb_loose + nb_full * MAGAZINE >= want -> loose_provide()
		:: else
		fi;
		loose_take();
		shared_leave()
	:: else
	fi
}

inline lcore_visit(x)
{
	lcore_lock(x);
	if
	:: have ->
		total = want - nb_loose;
		half = (lc[x].nb_pages + lc[x].nb_spare + 1) / 2;
		total = (total > half -> total : half);
		more = lc[x].nb_spare;
		count_lower(lc[x].nb_spare, CELLS(lc[x].spare), 0);
		loose_push(CELLS(lc[x].spare), more);
		total = (total > more -> total - more : 0);
		total = (total < lc[x].nb_pages -> total : lc[x].nb_pages);
		half = lc[x].nb_pages - total;
#ifdef VISIT_TWICE
		loose_push(LCORE(x), total);
		count_lower(lc[x].nb_pages, LCORE(x), 0);
#else
#ifndef VISIT_MOVES_LISTED
		count_lower(lc[x].nb_pages, LCORE(x), 0);
#endif
		loose_push(LCORE(x), total);
#endif
		copy(LCORE(x), LCORE(x) + total, half);
		count_raise(lc[x].nb_pages, LCORE(x), half);
		d_step { total = 0; half = 0; more = 0 }
		lcore_unlock(x)
	:: else
	fi
}

inline refill_neighbours()
{
	shared_enter();
	if
	:: inside ->
		lcore_lock(self);
		if
		:: have -> lcore_loosen(self); lcore_unlock(self)
		:: else
		fi;
		loose_provide();
		if
		:: nb_loose < want -> lcore_visit(OTHER)
		:: else
		fi;
		loose_take();
		shared_leave()
	:: else
	fi
}

/* The application has got the pages, or none. */
inline get_return()
{
	d_step {
		assert(got == 0 || got == want);
		for (i : 0 .. got - 1) {
			g_app[mem[OBJ + i]] = true;
			mem[OBJ + i] = 0
		}
		g_returned();
		i = 0; got = 0; want = 0
	}
}

/* Counts that are read without locks may say anything. */
inline freelist_get_slow(lists)
{
	if
	:: lists -> refill_shared()
	:: !lists -> refill_other()
	:: true
	fi;
	if
	:: got == 0 -> refill_neighbours()
	:: got == 0
	:: got != 0
	fi
}

inline ppool_freelist_get()
{
	lcore_lock(self);
	if
	:: have ->
		if
		:: lc[self].nb_pages + lc[self].nb_spare >= want ->
			lcore_pop();
			pages_mark(0, want, self)
		:: else
		fi;
		lcore_unlock(self);
		if
		:: got == 0 -> freelist_get_slow(true)
		:: else
		fi
	:: else -> freelist_get_slow(false)
	fi;
	get_return()
}

/* Putting */

/* Put what there is room for of mem[OBJ + put] .. mem[OBJ + n - 1]. */
inline lcore_push()
{
	atomic {
		if
		:: more = LCORE_PAGES
		:: more = 1
		fi;
		more = (more > lc[self].nb_pages -> more - lc[self].nb_pages : 0);
		more = (more < n - put -> more : n - put)
	}
#ifndef MARK_LATE
	pages_mark(put, more, 0);
#endif
#ifdef PUSH_COUNT_FIRST
	count_raise(lc[self].nb_pages, LCORE(self), lc[self].nb_pages + more);
	copy(LCORE(self) + lc[self].nb_pages - more, OBJ + put, more);
#else
	copy(LCORE(self) + lc[self].nb_pages, OBJ + put, more);
	count_raise(lc[self].nb_pages, LCORE(self), lc[self].nb_pages + more);
#endif
#ifdef MARK_LATE
	pages_mark(put, more, 0);
#endif
	d_step { put = put + more; more = 0 }
}

inline lcore_put()
{
	lcore_push();
	if
	:: put < n && lc[self].nb_spare == 0 && lc[self].nb_pages == LCORE_PAGES ->
#ifdef SPARE_TWICE
		copy(CELLS(lc[self].spare), LCORE(self) + LCORE_PAGES - MAGAZINE, MAGAZINE);
		count_raise(lc[self].nb_spare, CELLS(lc[self].spare), MAGAZINE);
		count_lower(lc[self].nb_pages, LCORE(self), LCORE_PAGES - MAGAZINE);
#else
		count_lower(lc[self].nb_pages, LCORE(self), LCORE_PAGES - MAGAZINE);
		copy(CELLS(lc[self].spare), LCORE(self) + LCORE_PAGES - MAGAZINE, MAGAZINE);
		count_raise(lc[self].nb_spare, CELLS(lc[self].spare), MAGAZINE);
#endif
		lcore_push()
	:: else
	fi
}

inline lcore_flush()
{
	if
	:: lc[self].nb_spare != 0 ->
		assert(nb_full < SHARED);
		trade_full()
	:: else ->
		if
		:: half = 0
		:: half = (lc[self].nb_pages < LCORE_PAGES / 2 -> lc[self].nb_pages :
				LCORE_PAGES / 2)
		fi;
		more = lc[self].nb_pages - half;
#ifdef FLUSH_TWICE
		loose_push(LCORE(self) + half, more);
		count_lower(lc[self].nb_pages, LCORE(self), half);
#else
		count_lower(lc[self].nb_pages, LCORE(self), half);
		loose_push(LCORE(self) + half, more);
#endif
		d_step { half = 0; more = 0 }
	fi
}

/* Leaves in have whether the lists of this lcore are locked, and have room. */
inline lcore_make_room()
{
	shared_enter();
	if
	:: inside ->
		lcore_lock(self);
		if
		:: have -> lcore_flush()
		:: else
		fi;
		shared_leave()
	:: else
	fi
}

inline shared_put()
{
	shared_enter();
	if
	:: inside ->
#ifndef MARK_LATE
		pages_mark(put, n - put, 0);
#endif
		loose_push(OBJ + put, n - put);
#ifdef MARK_LATE
		pages_mark(put, n - put, 0);
#endif
		put = n;
		shared_leave()
	:: else -> limbo_push(put)
	fi
}

inline ppool_freelist_put()
{
	lcore_lock(self);
	if
	:: have -> lcore_put(); lcore_unlock(self)
	:: else
	fi;
	do
	:: put < n ->
		lcore_make_room();
		if
		:: have -> lcore_put(); lcore_unlock(self)
		:: else -> break
		fi
	:: put < n -> break
	:: put == n -> break
	od;
	if
	:: put < n -> shared_put()
	:: else
	fi;
	skip;
	d_step {
		mem[OBJ] = 0; mem[OBJ + 1] = 0; n = 0; put = 0;
		g_returned()
	}
}

/* The application puts up to two of the pages that it has: which ones makes no difference. */
inline app_take(max)
{
	d_step {
		for (i : 1 .. PAGES) {
			if
			:: n < max && g_hand[i] == self && g_app[i] ->
				mem[OBJ + n] = i;
				n++;
				g_app[i] = false
			:: else
			fi
		}
		i = 0
	}
}

#define LOCALS \
	byte want, got, more, half, total, n, put, i, k, lost; \
	bool have, inside, taken_over, enough, swapped, twice

#define LOCALS_CLEAR \
	mem[OBJ] = 0; mem[OBJ + 1] = 0; mem[FIRST] = 0; \
	want = 0; got = 0; more = 0; half = 0; total = 0; n = 0; put = 0; i = 0; k = 0; lost = 0; \
	have = false; inside = false; taken_over = false; enough = false; swapped = false; \
	twice = false

inline call_choose()
{
	if
	:: want = 1
	:: want = 2
	:: app_take(1)
	:: app_take(2)
	fi
}

inline call()
{
	if
	:: want != 0 -> ppool_freelist_get()
	:: want == 0 && n != 0 -> ppool_freelist_put()
	:: else
	fi
}

/* ppool_freelist_inherit() */
inline inherit()
{
	shared_enter();
	assert(inside);
	lcore_lock(1);
	assert(have);
	lcore_loosen(1);
	lcore_unlock(1);
	shared_leave()
}

/*
 * Go on with a page that is taken back. pages_take_back() goes by what the mark says, which has to
 * be true; recover_rest(), pages_count(), when nobody is inside, by what is in no list, too.
 */
#define IS_TO_TAKE_BACK(pg) (mark[pg] == 1 || rest && mark[pg] == 0 && g_hand[pg] != 0)

inline take_back()
{
	d_step {
		do
		:: pg <= PAGES && !IS_TO_TAKE_BACK(pg) -> pg++
		:: else -> break
		od;
		if
		:: pg <= PAGES ->
			assert(g_hand[pg] == 1);
			g_hand[pg] = self;
			g_app[pg] = false;
			mem[OBJ] = pg;
			n = 1
		:: else -> pg = 1; rest = !rest; recovered = !rest
		fi
	}
}

/* At the end, lists have what the ghosts say. */

inline g_add(pg)
{
	g_p = pg;
	assert(g_p != 0);
	assert(mark[g_p] == 0);
	g_n[g_p]++
}

inline g_add_lcore(x)
{
	assert(lc[x].nb_pages <= LCORE_PAGES);
	for (g_i : 0 .. lc[x].nb_pages - 1) {
		g_add(mem[LCORE(x) + g_i])
	}
	for (g_i : 0 .. lc[x].nb_spare - 1) {
		g_add(mem[CELLS(lc[x].spare) + g_i])
	}
}

inline lists_check()
{
	for (g_i : 1 .. PAGES) {
		g_n[g_i] = 0
	}
	g_add_lcore(1);
	g_add_lcore(2);
	assert(nb_loose <= PAGES && nb_full <= SHARED);
	for (g_i : 0 .. nb_loose - 1) {
		g_add(mem[LOOSE + g_i])
	}
	for (g_i : 0 .. nb_full * MAGAZINE - 1) {
		g_add(mem[CELLS(magazine[g_i / MAGAZINE]) + g_i % MAGAZINE])
	}
	do
	:: limbo != 0 -> g_n[limbo]++; limbo = limbo_next[limbo]; g_in_limbo++
	:: else -> break
	od;
	/* Otherwise nobody would look for what is there. */
	assert(nb_limbo >= g_in_limbo && nb_limbo <= PAGES);
	g_in_limbo = 0;
	for (g_i : 1 .. PAGES) {
		assert(g_n[g_i] == (g_hand[g_i] == 0))
	}
}

/* Every magazine is in one place. */
inline magazines_check()
{
	for (k : 0 .. MAGAZINES - 1) {
		n = (lc[1].spare == k) + (lc[2].spare == k);
		for (i : 0 .. SHARED - 1) {
			n = n + (magazine[i] == k)
		}
		assert(n == 1)
	}
	i = 0;
	k = 0;
	n = 0
}

/* Process 1 may end at any step. Afterwards process 2 recovers. */
proctype process(byte self)
{
	LOCALS;
	byte calls, pg;
	bool rest, recovered;

	{
		do
		:: true ->
			if
			:: d_step { calls < CALLS -> calls++ }; call_choose()
			:: calls == CALLS && self == 1 -> g_done = true; goto done
			:: calls == CALLS && self == 2 && g_done -> goto check
			:: calls == CALLS && self == 2 && g_dead && pg == 0 -> inherit(); pg = 1
			:: pg != 0 && !recovered -> take_back()
			:: recovered -> goto check
			fi;
			call()
		od;
check:
		skip;
		d_step {
			for (pg : 1 .. PAGES) {
				assert(g_hand[pg] != 1 || g_app[pg] && !g_dead);
				assert(g_hand[pg] != 2 || g_app[pg] && mark[pg] == 2)
			}
			magazines_check();
		lists_check()
		}
done:
		skip
	} unless {
		d_step { g_dead && self == 1 -> LOCALS_CLEAR; calls = 0 }
	}
}

proctype fate()
{
	if
	:: d_step { !g_done -> g_dead = true }
	:: true
	fi
}

/* Any state with nobody inside, which is any number of pages in each place. */

inline fill_lcore(x)
{
	do
	:: lc[x].nb_pages < LCORE_PAGES && pg <= PAGES ->
		mem[LCORE(x) + lc[x].nb_pages] = pg;
		lc[x].nb_pages++;
		pg++
	:: break
	od;
	if
	:: pg + MAGAZINE - 1 <= PAGES ->
		for (i : 0 .. MAGAZINE - 1) {
			mem[CELLS(lc[x].spare) + i] = pg;
			pg++
		}
		lc[x].nb_spare = MAGAZINE
	:: true
	fi
}

inline fill_shared()
{
	do
	:: pg + MAGAZINE - 1 <= PAGES ->
		for (i : 0 .. MAGAZINE - 1) {
			mem[CELLS(magazine[nb_full]) + i] = pg;
			pg++
		}
		nb_full++
	:: break
	od;
	do
	:: pg <= PAGES ->
		mem[LOOSE + nb_loose] = pg;
		nb_loose++;
		pg++
	:: break
	od;
	/* In limbo, by either of them. */
	do
	:: pg <= PAGES && nb_limbo < 2 ->
		limbo_next[pg] = limbo;
		limbo = pg;
		nb_limbo++;
		if
		:: mark[pg] = 1
		:: mark[pg] = 2
		fi;
		pg++
	:: break
	od
}

/* The rest is in the hands of applications. */
inline fill_hands()
{
	do
	:: pg <= PAGES -> g_hand[pg] = 1; mark[pg] = 1; g_app[pg] = true; pg++
	:: break
	od;
	do
	:: pg <= PAGES -> g_hand[pg] = 2; mark[pg] = 2; g_app[pg] = true; pg++
	:: else -> break
	od
}

init
{
	byte i, pg = 1;

	atomic {
		for (i : 0 .. SHARED - 1) {
			magazine[i] = i
		}
		lc[1].spare = SHARED;
		lc[2].spare = SHARED + 1;
		fill_lcore(1);
		fill_lcore(2);
		fill_shared();
		fill_hands();
		i = 0;
		pg = 0;
		run process(1);
		run process(2);
		run fate()
	}
}
