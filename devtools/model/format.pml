/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * A page that is one of slots, goes home, is one of data or of slots of another class, while others
 * read it without a lock: a ledger (inspect/), and recovery (ppool_recover.c) of a process that has
 * ended. The first slots of all classes lie at the same address, and so do data.
 *
 * Proves over all interleavings, for the first slot: recovery takes it back only if the dead has
 * it, and does where it had it from the start; a reader that finds the page as it was before
 * has read no slot that was not formatted.
 *
 * One step is one access to shared memory, in the order of the program: kind and formatted are
 * stored with release and loaded with acquire, and slots are read in between. depot.pml has the
 * steps of one who ends while it formats.
 */

/* How often the page is taken from the free ones. */
#ifndef LIVES
#define LIVES 3
#endif

/* Kinds: 0 is a free page, 1 and 2 are slots of a class. */
#define WHOLE 0
#define DATA 3
#define IS_SLOTS(kind) ((kind) == 1 || (kind) == 2)

/* Owners */
#define NOBODY 0
#define ALIVE 1
#define DEAD 2

byte kind;
bool formatted; /* whether the first slot is; in its place a data page has a time, which is any */

/* The record, at the same address in all lives of the page. */
byte owner;
byte size_class;

bool depot_lock;
bool g_valid;   /* the record is that of a slot, formatted since the page became one of slots */
byte g_owner;   /* who has the slot */
byte g_life;    /* changes when the page becomes another */
bool g_recovered;
bool g_had;

inline depot_enter() { atomic { !depot_lock -> depot_lock = true } }
inline depot_leave() { depot_lock = false }

/* ppool_slots_add_page(), then depot_format() where a slot is handed out: the lock is held. */
inline slots_add_page()
{
	if
	:: class = 1
	:: class = 2
	fi;
	depot_enter();
#ifdef SPLIT_KIND_FIRST
	kind = class;
	formatted = false;
#else
#ifndef SPLIT_KEEPS_FORMATTED
	formatted = false;
#endif
	kind = class;
#endif
	depot_leave()
}

inline slot_format()
{
	depot_enter();
#ifdef FORMATTED_FIRST
	formatted = true;
#endif
	owner = NOBODY;
	d_step { size_class = class; g_valid = true };
	d_step { owner = ALIVE; g_owner = ALIVE };
	formatted = true;
	depot_leave()
}

/* ppool_depot_push(), and depot_page_home() */
inline slot_put()
{
	depot_enter();
	d_step { owner = NOBODY; g_owner = NOBODY };
	depot_leave()
}

inline page_home()
{
	depot_enter();
	d_step {
		assert(g_owner == NOBODY);
		kind = WHOLE;
		g_valid = false;
		g_life++;
		class = 0
	}
	depot_leave()
}

/* Packets are written to a data page: what a record would say is any. */
inline page_data()
{
	kind = DATA;
	if
	:: formatted = true
	:: skip
	fi;
	d_step { owner = DEAD; size_class = 1 };
	if
	:: owner = NOBODY; size_class = 2
	:: skip
	fi;
	d_step { kind = WHOLE; g_life++ }
}

/* All who are alive and use the page. Slots that the dead has are not theirs. */
proctype users()
{
	byte class, lives;

	d_step { class = (IS_SLOTS(kind) -> kind : 0) };
	do
	:: class == 0 && lives < LIVES -> lives++; slots_add_page()
	:: class == 0 && lives < LIVES -> lives++; page_data()
	:: class != 0 && !formatted -> slot_format()
	:: class != 0 && formatted && g_owner == ALIVE -> slot_put()
	:: class != 0 && g_owner == NOBODY -> page_home()
	:: class == 0 && lives == LIVES -> break
	od
}

/* ppool_class_look(), ppool_slots_formatted(): leaves in look what is the class, if formatted. */
inline slots_look()
{
	look = (IS_SLOTS(kind) -> kind : 0);
#ifndef FORMATTED_UNCHECKED
	if
	:: look != 0 -> look = (formatted -> look : 0)
	:: else
	fi
#endif
}

/* page_slots_each(), slot_take_back(), slot_is_theirs() */
proctype recovery()
{
	byte look, was;

	slots_look();
	was = look;
	if
	:: was != 0 && kind == was && owner == DEAD ->
#ifndef HARVEST_UNLOCKED
		depot_enter();
#endif
		/* slot_exists() */
		slots_look();
		look = (look != 0 && size_class == look -> look : 0);
#ifndef HARVEST_OWNER_ONCE
		look = (owner == DEAD -> look : 0);
#endif
#ifndef HARVEST_UNLOCKED
		depot_leave();
#endif
		if
		:: look != 0 ->
			d_step {
				assert(g_valid);
				assert(g_owner == DEAD);
				g_recovered = true;
				owner = ALIVE;
				g_owner = ALIVE
			}
		:: else
		fi
	:: else
	fi;
	assert(g_recovered == g_had)
}

/* add_slot_page(): what it reads counts where the page is still the same. */
proctype ledger()
{
	byte look, life;
	bool valid;

	d_step { look = (IS_SLOTS(kind) -> kind : 0); life = g_life };
	if
	:: look != 0 ->
#ifndef FORMATTED_UNCHECKED
		if
		:: formatted -> skip
		:: else -> look = 0
		fi
#endif
	:: else
	fi;
	if
	:: look != 0 ->
		d_step { valid = g_valid };
		d_step { assert(valid || g_life != life) }
	:: else
	fi
}

init
{
	atomic {
		if
		/* The dead has the slot. */
		:: kind = 1; formatted = true; owner = DEAD; size_class = 1;
			g_owner = DEAD; g_had = true; g_valid = true
		/* Somebody else has it. */
		:: kind = 1; formatted = true; owner = ALIVE; size_class = 1;
			g_owner = ALIVE; g_valid = true
		/* The page is free. */
		:: formatted = true; owner = DEAD; size_class = 1
		fi;
		run users();
		run recovery();
		run ledger()
	}
}
