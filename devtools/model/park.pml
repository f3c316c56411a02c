/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Carvers that move from thread to thread and go while their page is open: change of owner,
 * parking, adoption, release. Every thread drives any carver and frees any mbuf.
 *
 * Proves over all interleavings what count.pml proves, and: what one owner dropped without atomic
 * operations is never lost when another takes over; a parked page is adopted or released, once;
 * frags stay in the room of their page; no thread waits for ever.
 */

#ifndef PAGES
#define PAGES 1
#endif
#ifndef ROOM
#define ROOM 3
#endif
#ifndef MAX
#define MAX 2
#endif
#ifndef CARVERS
#define CARVERS 2
#endif
/* How many lanes are opened, adoptions included. */
#ifndef OPENS
#define OPENS 3
#endif

#include "page.pml"

typedef ppool_carver {
	byte owner;
	ppool_lane lane;
	bool busy; /* the application lets one thread at a time drive it */
	bool gone
};

ppool_carver carver[CARVERS];
byte opens;
bool lcore_lock[3]; /* by lcore id + 1; what lock.pml is about */
bool depot_lock;

#ifndef SECOND
#define SECOND 2
#endif
#define NB_PARKED (page[0].parked + page[LAST].parked)
#define CARVERS_GONE (carver[0].gone && carver[CARVERS - 1].gone)

inline lock(l) { d_step { !l -> l = true } }
inline unlock(l) { d_step { assert(l); l = false } }

#define LANE_COPY(to, from) \
	to.page = from.page; to.left = from.left; to.unbilled = from.unbilled; to.frags = from.frags

#define LANE_CLEAR(l) \
	l.page = 0; l.left = 0; l.unbilled = 0; l.frags = 0

/* park(): the depot's list is as any set here. */
inline park()
{
	d_step {
		page[l.page].open = l.left + TAIL + l.unbilled;
		page[l.page].parked = true
	}
}

inline unpark()
{
	d_step {
		assert(page[pg].parked);
		page[pg].parked = false;
		page[pg].open = 0
	}
}

/* carver_pass() */
inline change_owner(self)
{
	former = owner;
	if
#ifndef CHANGE_UNLOCKED
	:: former != 0 -> lock(lcore_lock[former])
#endif
	:: else
	fi;
	if
	:: l.left != 0 -> page[l.page].owner = self
	:: else
	fi;
	owner = self;
	if
#ifndef CHANGE_UNLOCKED
	:: former != 0 -> unlock(lcore_lock[former])
#endif
	:: else
	fi;
	former = 0
}

/* lane_adopt(): any parked page. */
inline adopt(self)
{
#ifndef ADOPT_UNLOCKED
	lock(depot_lock);
#endif
	if
	:: page[0].parked && page[0].open >= MAX + TAIL -> pg = 0; adopted = true
	:: page[LAST].parked && page[LAST].open >= MAX + TAIL -> pg = LAST; adopted = true
	:: else
	fi;
	if
	:: adopted ->
		d_step {
			l.page = pg;
			l.frags = 0;
			l.left = page[pg].open - TAIL;
			l.unbilled = 0;
			/* Otherwise addr lies in front of the room. */
			assert(l.left <= ROOM)
		}
		unpark();
		page[pg].owner = self;
		/* __atomic_fetch_add */
		d_step {
			assert(page[pg].g_where == PARKED);
			page[pg].g_where = OPEN;
#ifdef ADOPT_FORGETS_PARKING
			page[pg].use = page[pg].use + BIAS * USER;
#else
			page[pg].use = page[pg].use + (BIAS - 1) * USER;
#endif
			pg = 0
		}
	:: else
	fi;
#ifndef ADOPT_UNLOCKED
	unlock(depot_lock)
#endif
}

/* ppool_lane_open(). Where no page is free, it fails. */
inline lane_open(self)
{
	adopt(self);
	if
	:: adopted -> adopted = false; opens++
	:: else ->
		pages_get();
		if
		:: got -> open_page(self); opens++
		:: else
		fi
	fi
}

/* close_unused(): nobody else looks at a page that nothing was cut off. */
inline close_unused()
{
	d_step {
		pg = l.page;
		assert(page[pg].g_where == OPEN && page[pg].g_live == 0);
		page[pg].owner = 0;
		page[pg].kind = WHOLE;
		page[pg].g_where = TAKEN
	}
	pages_put(pg);
	pg = 0
}

/* lane_abandon() */
inline lane_abandon()
{
	if
#ifndef ABANDON_UNUSED
	:: l.unbilled != 0 -> close_unused()
#endif
	:: else ->
		lock(depot_lock);
		park();
#ifdef ABANDON_WITHOUT_USER
		settle(0, CLOSED);
#else
		settle(1, PARKED);
#endif
		unlock(depot_lock)
	fi;
	l.left = 0
}

/* ppool_headers_reclaim(), ppool_park_release() */
inline parked_release()
{
#ifndef RELEASE_UNLOCKED
	lock(depot_lock);
#endif
	for (pg : 0 .. LAST) {
		if
		:: page[pg].parked ->
			use = page[pg].use;
			if
			:: USERS(use) == 1 ->
				assert(page[pg].g_live == 0 && page[pg].g_where == PARKED);
				assert(BYTES(use) == page[pg].open);
				unpark();
				d_step {
					page[pg].kind = WHOLE;
					page[pg].g_where = TAKEN
				}
				pages_put(pg)
			:: else
			fi;
			use = 0
		:: else
		fi
	}
	pg = 0;
#ifndef RELEASE_UNLOCKED
	unlock(depot_lock)
#endif
}

/* ppool_carver_free(); the reclaim at its end is left to another thread. */
inline carver_free()
{
	if
	:: l.left != 0 -> lane_abandon()
	:: else
	fi;
	gone = true
}

/* One call of the application on a carver. */
inline drive(self)
{
	if
#ifndef COMMIT_WITHOUT_OWNER
	:: owner != self -> change_owner(self)
#endif
	:: else
	fi;
	if
	:: l.left == 0 && opens < OPENS -> lane_open(self)
	:: l.left != 0 -> commit()
	:: carver_free()
	fi;
}

/* free_bulk() */
inline free_bulk(self)
{
	if
#ifndef DROP_UNLOCKED
	:: self != 0 -> lock(lcore_lock[self])
#endif
	:: else
	fi;
	frags_drop(self);
	recycle();
	if
#ifndef DROP_UNLOCKED
	:: self != 0 -> unlock(lcore_lock[self])
#endif
	:: else
	fi
}

proctype thread(byte self)
{
	FREE_LOCALS;
	CARVE_LOCALS;
	byte c, owner, former;
	bool adopted, gone;

	do
	:: take_one(); free_bulk(self)
	:: atomic {
			if
			:: !carver[0].busy && !carver[0].gone -> c = 0
			:: !carver[CARVERS - 1].busy && !carver[CARVERS - 1].gone -> c = CARVERS - 1
			fi;
			carver[c].busy = true;
			owner = carver[c].owner;
			LANE_COPY(l, carver[c].lane)
		};
		drive(self);
		atomic {
			if
			:: l.left == 0 -> LANE_CLEAR(l)
			:: else
			fi;
			carver[c].owner = (gone -> 0 : owner);
			LANE_COPY(carver[c].lane, l);
			carver[c].gone = gone;
			carver[c].busy = false;
			c = 0; owner = 0; gone = false;
			LANE_CLEAR(l)
		}
	:: CARVERS_GONE && empty(app) -> break
	od
}

/* Neither an lcore nor a driver of carvers: frees, and collects parked pages at any time. */
proctype helper()
{
	FREE_LOCALS;

	do
	:: take_one(); free_bulk(0)
	:: NB_PARKED != 0 -> parked_release()
	:: CARVERS_GONE && empty(app) -> break
	od
}

init
{
	byte k, pg;
	short use;

	pages_init();
	carver[0].owner = 1;
	atomic {
		run thread(1);
		run thread(SECOND);
#ifndef NO_HELPER
		run helper()
#endif
	}
	_nr_pr == 1;
	parked_release();
	pages_check()
}
