/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * The biased lock (ppool_lock.h, ppool_lock.c): an owner who takes it without atomic operations,
 * and two visitors, on the memory of x86: each CPU has a store buffer. Each is a process of its
 * own. With -DFATE=0 the owner ends at some step, or is stopped for ever; with -DFATE=1 a visitor.
 * With -DPLAIN: the same lock where membarrier is not to be had, which is the mutex alone.
 *
 * Proves over all interleavings, and over all delays of stores: one is inside at a time, and sees
 * what those before have stored, those who have ended included; nobody waits for ever, not even for
 * one who is stopped; where nobody is stopped, the next one gets in, whoever has ended; a visitor
 * whose membarrier() fails leaves the lock as it was.
 *
 * How long others wait for one who is stopped cannot be told here: at any time they may have
 * waited for long enough, also for one who is slow.
 */

/* How often the owner and each visitor take the lock. */
#ifndef OWNER_ROUNDS
#define OWNER_ROUNDS 1
#endif
#ifndef VISITOR_ROUNDS
#define VISITOR_ROUNDS 1
#endif

#define OWNER 0
#define CPUS 3

/* Memory: the members of struct ppool_lock but for plain, and a counter that the lock protects. */
#define BUSY 0
#define REVOKED 1
#define HOLDER 2 /* of the mutex: a process has the number of its CPU + 1 */
/* No more than hints: they are not delayed here. */
#define MUTEX_STUCK 3
#define OWNER_STUCK 4
#define COUNTER 5
byte mem[6];

/* A store buffer: what its CPU has stored and others do not see yet, in order. */
#define DEPTH 4
typedef store_buffer {
	byte fill;
	byte addr[DEPTH];
	byte val[DEPTH]
};
store_buffer sb[CPUS];

mtype = { RUNS, STOPPED, ENDED };
mtype state[CPUS] = RUNS;
byte g_rounds_left = CPUS; /* processes that have not done all of their rounds */
bool g_in[CPUS];           /* is inside */
bool g_late;               /* one has ended in the last round */
byte g_turn;               /* who is in the last round, from 1 on */
byte g_entered;            /* how often the counter was incremented */

/* What the kernel says of a process. What it has stored is in memory then. */
#define IS_DEAD(cpu) (state[cpu] == ENDED && sb[cpu].fill == 0)
#define NOBODY_STOPPED (state[0] != STOPPED && state[1] != STOPPED)
#define LAST_ROUND (g_rounds_left == 0)
/* In the last round, all are quick, and one comes after the other. */
#define WAITED_LONG(cpu) (!IS_DEAD(cpu) && (!LAST_ROUND || state[cpu] == STOPPED))
#define IS_OUR_TURN (LAST_ROUND && (g_turn == 0 || state[g_turn - 1] != RUNS) && \
	sb[0].fill == 0 && sb[1].fill == 0 && sb[2].fill == 0)

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

/* A load of any order: what this CPU has stored last, or else memory. Part of a step. */
inline loaded(a, v)
{
	v = mem[a];
	for (k : 0 .. DEPTH - 1) {
		if
		:: k < sb[me].fill && sb[me].addr[k] == a -> v = sb[me].val[k]
		:: else
		fi
	}
	k = 0
}

inline load(a, v)
{
	d_step { loaded(a, v) }
}

/* A sequentially consistent store: xchg, which waits for the store buffer. */
inline store_seq_cst(a, v)
{
	d_step { sb[me].fill == 0 -> mem[a] = v }
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

#ifdef FATE
/* At any time. One who is stopped may go on one day. */
proctype fate()
{
	if
	:: d_step { state[FATE] = ENDED; g_in[FATE] = false; g_late = LAST_ROUND }
	:: state[FATE] = STOPPED
	fi
}
#endif

/* What the lock is for: increment a counter, in two steps. */
inline critical_section(n)
{
	d_step {
		assert(!g_in[0] && !g_in[1] && !g_in[2]);
		g_in[me] = true
	}
#ifdef LOAD_AHEAD
	n = ahead;
#else
	load(COUNTER, n);
#endif
	d_step {
		sb[me].fill < DEPTH;
		assert(n == g_entered);
		sb[me].addr[sb[me].fill] = COUNTER;
		sb[me].val[sb[me].fill] = n + 1;
		sb[me].fill++;
		g_entered++
	}
	d_step {
		n = 0;
		g_in[me] = false
	}
}

/* mutex_try(): compare and exchange, which waits for the store buffer. Part of a step. */
inline mutex_taken()
{
	mem[HOLDER] = me + 1;
	got = true
}

/*
 * ppool_mutex_lock(). Leaves in got whether it was to be had. Waiting is one step for as long as
 * nothing changes.
 */
inline ppool_mutex_lock()
{
	do
	:: d_step { sb[me].fill == 0 && mem[HOLDER] == 0 -> mutex_taken() }; break
	:: d_step { mem[HOLDER] != 0 -> holder = mem[HOLDER] };
		if
#ifdef TAKE_OVER_ALIVE
		:: true ->
#else
		:: IS_DEAD(holder - 1) ->
#endif
#ifdef TAKE_OVER_TWICE
			d_step { sb[me].fill == 0 -> mutex_taken() };
			break
#else
			d_step {
				sb[me].fill == 0 ->
				if
				:: mem[HOLDER] == holder -> mutex_taken()
				:: else
				fi
			};
			if
			:: got -> break
			:: else
			fi
#endif
#ifndef MUTEX_FOR_EVER
		:: WAITED_LONG(holder - 1) && mem[MUTEX_STUCK] != 0 -> break
		:: WAITED_LONG(holder - 1) -> mem[MUTEX_STUCK] = 1; break
#endif
		/* It has changed hands. */
		:: mem[HOLDER] != holder
		fi
	od;
	holder = 0;
	if
	:: got && mem[MUTEX_STUCK] != 0 -> mem[MUTEX_STUCK] = 0
	:: else
	fi
}

/* ppool_mutex_unlock() */
inline ppool_mutex_unlock()
{
	store(HOLDER, 0)
}

/* ppool_lock_owner_wait(). Leaves in got whether the lock was to be had. */
inline ppool_lock_owner_wait()
{
#ifndef WAIT_BUSY
	store(BUSY, 0);
#endif
	ppool_mutex_lock();
#ifndef PLAIN
	if
	:: got ->
#ifndef WAIT_REVOKED
		store(REVOKED, 0);
#endif
#ifndef WAIT_NOT_BUSY_AGAIN
		store_seq_cst(BUSY, 1);
#endif
		ppool_mutex_unlock()
	:: else
	fi
#endif
}

/* ppool_lock_owner(). Leaves in got whether it was to be had. */
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
		ppool_lock_owner_wait();
#ifdef LOAD_AHEAD
		load(COUNTER, ahead)
#endif
	:: else -> got = true
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
	ppool_mutex_unlock()
#else
	store(BUSY, 0)
#endif
}

/* owner_is_out(). Leaves in got whether it is. */
inline owner_is_out()
{
	got = false;
	do
	:: mem[BUSY] == 0 -> got = true; break
	:: mem[BUSY] != 0 ->
		if
#ifndef OWNER_NEVER_DEAD
		:: IS_DEAD(OWNER) -> store(BUSY, 0); got = true; break
#endif
#ifdef OWNER_TAKEN_FOR_DEAD
		:: state[OWNER] == RUNS -> got = true; break
#endif
#ifndef OWNER_FOR_EVER
		:: WAITED_LONG(OWNER) && mem[OWNER_STUCK] != 0 -> break
		:: WAITED_LONG(OWNER) -> mem[OWNER_STUCK] = 1; break
#endif
		:: mem[BUSY] == 0
		fi
	od
}

/* ppool_lock_visitor(). Leaves in got whether it was to be had. */
inline ppool_lock_visitor()
{
	ppool_mutex_lock();
#ifndef PLAIN
	if
	:: got ->
		store_seq_cst(REVOKED, 1);
		if
		:: true ->
#ifndef NO_MEMBARRIER
			membarrier();
#endif
			owner_is_out();
			if
			:: got && mem[OWNER_STUCK] != 0 -> mem[OWNER_STUCK] = 0
			:: else
			fi
		/* membarrier() fails. */
		:: !LAST_ROUND -> got = false
		fi;
		if
		:: !got ->
#ifndef GIVE_UP_REVOKED
			store(REVOKED, 0);
#endif
			ppool_mutex_unlock()
		:: else
		fi
	:: else
	fi
#endif
}

/* ppool_unlock_visitor() */
inline ppool_unlock_visitor()
{
#ifdef UNLOCK_BEFORE_REVOKED
	ppool_mutex_unlock();
	store(REVOKED, 0)
#else
#ifndef PLAIN
	store(REVOKED, 0);
#endif
	ppool_mutex_unlock()
#endif
}

/* Stopped, or ended: equal states should look equal. */
#define HALTED d_step { \
	state[me] != RUNS -> \
	n = 0; k = 0; holder = 0; revoked = 0; got = false; round = 0; \
	if \
	:: !finished -> g_rounds_left-- \
	:: else \
	fi; \
	finished = true \
}

#ifdef LOAD_AHEAD
#define LOCALS byte round, revoked, n, k, holder, ahead; bool got, finished
#else
#define LOCALS byte round, revoked, n, k, holder; bool got, finished
#endif

inline owner_round()
{
	ppool_lock_owner();
	assert(got || !LAST_ROUND || !NOBODY_STOPPED);
	if
	:: got ->
		critical_section(n);
		ppool_unlock_owner()
	:: else
	fi;
	got = false
}

/* Who tries in vain does something else before it waits, or does not wait. */
inline owner_try()
{
	ppool_trylock_owner();
	if
	:: got ->
		critical_section(n);
		ppool_tryunlock_owner()
	:: else
	fi;
	got = false
}

inline visitor_round()
{
	ppool_lock_visitor();
	assert(got || !LAST_ROUND || !NOBODY_STOPPED);
	if
	:: got ->
#ifdef LOAD_AHEAD
		load(COUNTER, ahead);
#endif
		critical_section(n);
		ppool_unlock_visitor()
	:: else
	fi;
	got = false
}

proctype owner(byte me)
{
	LOCALS;

	{
		do
		:: round < OWNER_ROUNDS -> owner_try(); round++
		:: round < OWNER_ROUNDS -> owner_round(); round++
		:: else ->
			d_step { finished = true; g_rounds_left--; round = 0 };
			d_step {
				IS_OUR_TURN -> g_turn = me + 1;
#if !defined(FATE) && !defined(PLAIN)
				assert(mem[REVOKED] == 0)
#endif
			};
			owner_round();
#ifndef PLAIN
			/* Whoever has left it so, the owner is fast again. */
			assert(mem[REVOKED] == 0 || !NOBODY_STOPPED);
#endif
			g_turn = 0;
			break
		od
	} unless {
		HALTED
	}
}

proctype visitor(byte me)
{
	LOCALS;

	{
		do
		:: round < VISITOR_ROUNDS -> visitor_round(); round++
		:: else ->
			d_step { finished = true; g_rounds_left--; round = 0 };
			d_step { IS_OUR_TURN -> g_turn = me + 1 };
			visitor_round();
			g_turn = 0;
			break
		od
	} unless {
		HALTED
	}
}

init
{
#ifdef PLAIN
	mem[REVOKED] = 1;
#endif
	atomic {
		run owner(0);
		run visitor(1);
		run visitor(2);
#ifdef FATE
		run fate()
#endif
	}
	_nr_pr == 2 && sb[0].fill == 0 && sb[1].fill == 0 && sb[2].fill == 0;
	assert(mem[COUNTER] == g_entered);
	if
	:: NOBODY_STOPPED && !g_late ->
		/* The next ones have put in order what others have left. */
		assert(!g_in[0] && !g_in[1] && !g_in[2]);
		assert(mem[HOLDER] == 0);
#ifndef PLAIN
		assert(mem[BUSY] == 0 && mem[REVOKED] == 0)
#endif
	:: else
	fi
}
