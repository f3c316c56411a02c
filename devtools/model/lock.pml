/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * The biased lock (ppool_lock.h, ppool_lock.c): an owner who takes it without atomic operations,
 * and two visitors, on the memory of x86: each CPU has a store buffer. With -DPLAIN: the same lock
 * where membarrier is not to be had.
 *
 * Proves over all interleavings, and over all delays of stores: one is inside at a time, and sees
 * what those before have stored; nobody waits for ever; a visitor whose membarrier() fails leaves
 * the lock as it was.
 */

/* How often the owner and each visitor take the lock. */
#ifndef OWNER_ROUNDS
#define OWNER_ROUNDS 3
#endif
#define VISITOR_ROUNDS 2

#define OWNER 0
#define CPUS 3

/* Memory: the members of struct ppool_lock but for plain, and a counter that the lock protects. */
#define BUSY 0
#define REVOKED 1
#define VISITOR 2
#define COUNTER 3
byte mem[4];

/* A store buffer: what its CPU has stored and others do not see yet, in order. */
#define DEPTH 4
typedef store_buffer {
	byte fill;
	byte addr[DEPTH];
	byte val[DEPTH]
};
store_buffer sb[CPUS];

byte g_inside;  /* how many are inside */
byte g_entered; /* how often the counter was to be incremented */

/* A plain store, a relaxed or a release one. */
inline store(a, v)
{
	d_step {
		sb[me].fill < DEPTH;
		sb[me].addr[sb[me].fill] = a;
		sb[me].val[sb[me].fill] = v;
		sb[me].fill++
	}
}

/* A load of any order: what this CPU has stored last, or else memory. */
inline load(a, v)
{
	d_step {
		v = mem[a];
		for (k : 0 .. DEPTH - 1) {
			if
			:: k < sb[me].fill && sb[me].addr[k] == a -> v = sb[me].val[k]
			:: else
			fi
		}
		k = 0
	}
}

/* A sequentially consistent store: xchg, which waits for the store buffer. */
inline store_seq_cst(a, v)
{
	d_step { sb[me].fill == 0 -> mem[a] = v }
}

inline spin_lock(a)
{
	d_step { sb[me].fill == 0 && mem[a] == 0 -> mem[a] = 1 }
}

/* Weaker than the xchg of rte_spinlock_unlock(). */
inline spin_unlock(a)
{
	store(a, 0)
}

/* membarrier(): a full barrier on this CPU and on that of the owner, one after the other. */
inline membarrier()
{
	sb[me].fill == 0;
	sb[OWNER].fill == 0;
	sb[me].fill == 0
}

/* CPUs drain their store buffers when they like. */
active proctype drain()
{
	byte cpu, k;

end:
	do
	:: atomic {
			if
			:: sb[0].fill != 0 -> cpu = 0
			:: sb[1].fill != 0 -> cpu = 1
			:: sb[2].fill != 0 -> cpu = 2
			fi;
			d_step {
				mem[sb[cpu].addr[0]] = sb[cpu].val[0];
				for (k : 1 .. DEPTH - 1) {
					sb[cpu].addr[k - 1] = sb[cpu].addr[k];
					sb[cpu].val[k - 1] = sb[cpu].val[k]
				}
				sb[cpu].addr[DEPTH - 1] = 0;
				sb[cpu].val[DEPTH - 1] = 0;
				sb[cpu].fill--;
				k = 0;
				cpu = 0
			}
		}
	od
}

/* What the lock is for: increment a counter, in two steps. */
inline critical_section(n)
{
	d_step {
		assert(g_inside == 0);
		g_inside++;
		g_entered++
	}
#ifdef LOAD_AHEAD
	n = ahead;
#else
	load(COUNTER, n);
#endif
	store(COUNTER, n + 1);
	d_step {
		n = 0;
		g_inside--
	}
}

/* ppool_lock_owner_wait() */
inline ppool_lock_owner_wait()
{
#ifndef WAIT_BUSY
	store(BUSY, 0);
#endif
	spin_lock(VISITOR);
#ifndef PLAIN
#ifndef WAIT_NOT_BUSY_AGAIN
	store_seq_cst(BUSY, 1);
#endif
	spin_unlock(VISITOR)
#endif
}

/* ppool_lock_owner() */
inline ppool_lock_owner()
{
#ifdef LOAD_REVOKED_FIRST
	load(REVOKED, revoked);
	store(BUSY, 1);
#else
	store(BUSY, 1);
#ifdef LOAD_AHEAD
	/* Loads out of order, as on CPUs other than x86. */
	load(COUNTER, ahead);
#endif
	load(REVOKED, revoked);
#endif
	if
	:: revoked != 0 ->
		ppool_lock_owner_wait()
#ifdef LOAD_AHEAD
		load(COUNTER, ahead)
#endif
	:: else
	fi;
	revoked = 0
}

/* ppool_trylock_owner(). Leaves in got whether it was to be had. */
inline ppool_trylock_owner()
{
	store(BUSY, 1);
#ifdef LOAD_AHEAD
	load(COUNTER, ahead);
#endif
	load(REVOKED, revoked);
	got = (revoked == 0);
#ifndef TRY_BUSY
	if
	:: !got -> store(BUSY, 0)
	:: else
	fi;
#endif
	revoked = 0
}

/* ppool_tryunlock_owner() */
inline ppool_tryunlock_owner()
{
	store(BUSY, 0)
}

/* ppool_unlock_owner() */
inline ppool_unlock_owner()
{
#ifdef PLAIN
	spin_unlock(VISITOR)
#else
	store(BUSY, 0)
#endif
}

/* ppool_lock_visitor(). Leaves in got whether it was to be had. */
inline ppool_lock_visitor()
{
	spin_lock(VISITOR);
	got = true;
#ifndef PLAIN
	store_seq_cst(REVOKED, 1);
	if
	:: true
#ifndef NO_MEMBARRIER
		-> membarrier()
#endif
	:: true ->
		/* membarrier() failed. */
		store(REVOKED, 0);
		spin_unlock(VISITOR);
		got = false
	fi;
	if
	:: got -> mem[BUSY] == 0 /* its own store buffer has no store to busy */
	:: else
	fi
#endif
}

/* ppool_unlock_visitor() */
inline ppool_unlock_visitor()
{
#ifdef UNLOCK_BEFORE_REVOKED
	spin_unlock(VISITOR);
	store(REVOKED, 0)
#else
#ifndef PLAIN
	store(REVOKED, 0);
#endif
	spin_unlock(VISITOR)
#endif
}

proctype owner()
{
	byte me = OWNER, round, revoked, n, k;
	bool got;
#ifdef LOAD_AHEAD
	byte ahead;
#endif

	do
	:: round < OWNER_ROUNDS ->
		/* Who tries in vain does something else before it waits, or does not wait. */
		if
		:: ppool_trylock_owner();
			if
			:: got ->
				critical_section(n);
				ppool_tryunlock_owner()
			:: else
			fi
		:: ppool_lock_owner();
			critical_section(n);
			ppool_unlock_owner()
		fi;
		got = false;
		round++
	:: else -> break
	od
}

proctype visitor(byte me)
{
	byte round, n, k;
	bool got;
#ifdef LOAD_AHEAD
	byte ahead;
#endif

	do
	:: round < VISITOR_ROUNDS ->
		ppool_lock_visitor();
		if
		:: got ->
#ifdef LOAD_AHEAD
			load(COUNTER, ahead);
#endif
			critical_section(n);
			ppool_unlock_visitor()
		:: else
		fi;
		got = false;
		round++
	:: else -> break
	od
}

init
{
#ifdef PLAIN
	mem[REVOKED] = 1;
#endif
	atomic {
		run owner();
		run visitor(1);
		run visitor(2)
	}
	_nr_pr == 2 && sb[0].fill == 0 && sb[1].fill == 0 && sb[2].fill == 0;
	assert(mem[COUNTER] == g_entered);
	assert(g_inside == 0 && mem[BUSY] == 0 && mem[VISITOR] == 0);
#ifndef PLAIN
	assert(mem[REVOKED] == 0)
#endif
}
