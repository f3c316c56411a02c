/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_ACCOUNT_H_
#define _PPOOL_ACCOUNT_H_

/**
 * @file
 * Accounts: named budgets, in bytes, of those who hold mbufs.
 *
 * A charged mbuf belongs to its account until it is freed: by any thread, lcore or process, by the
 * TX completion of any driver, or with its last clone. The free itself uncharges it. What is
 * charged is the truesize (see ppool_mbuf_truesize()), the header slot included.
 *
 * A packet, i.e. a chain of segments, is charged, moved and uncharged as a whole or not at all.
 * Functions that take several packets stop at the first one they have to leave as it is, and
 * return how many they have dealt with.
 *
 * - Frags whose pool is freed before them are uncharged with it, and a warning is logged.
 * - An mbuf belongs to one account at most. Charging it again to the same account changes nothing;
 *   charging it to another one is refused: move it.
 * - A clone or an indirect mbuf is charged with its own object. The data stays charged with the
 *   mbuf it was cloned from until the last reference is gone.
 * - Mbufs of other pools, *foreign* ones, and ordinary mbufs of a page pool itself, can be charged
 *   too, with the footprint of their mempool object. Nothing in them says so: each must be charged
 *   once, and uncharged by a call of ppool_account_uncharge() before it is freed.
 *
 * Accounts are shared by all processes and are known by a number that is the same in all of them.
 * All functions can be called from any thread of any process at any time, but whoever passes mbufs
 * must be the only one who charges, moves, uncharges or frees these at that moment.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <rte_mbuf.h>

#ifdef __cplusplus
extern "C" {
#endif

/** The account of mbufs that are not charged. */
#define PPOOL_ACCOUNT_NONE 0u

/** One more than the largest number of an account. */
#define PPOOL_ACCOUNTS_MAX 1024u

/** Bytes of an account's name, the terminating zero included. */
#define PPOOL_ACCOUNT_NAMESIZE 32u

/** A limit that nothing exceeds: the account only counts. */
#define PPOOL_ACCOUNT_UNLIMITED UINT64_MAX

/**
 * Create an account. Set-up path: takes a lock, the first call allocates the table of accounts,
 * which exists as long as EAL's memory does.
 *
 * @param name
 *   Not empty, shorter than #PPOOL_ACCOUNT_NAMESIZE.
 * @param limit
 *   Bytes, or #PPOOL_ACCOUNT_UNLIMITED.
 * @return
 *   The number of the account, or #PPOOL_ACCOUNT_NONE with rte_errno:
 *   - EINVAL: no name
 *   - ENAMETOOLONG: the name is too long
 *   - EEXIST: there is an account of this name
 *   - ENOSPC: there are #PPOOL_ACCOUNTS_MAX - 1 accounts
 *   - ENOMEM: no memory for the table
 */
uint16_t ppool_account_create(const char *name, uint64_t limit);

/**
 * Free an account, whose number may be given to another one then. Set-up path.
 *
 * @return
 *   0; -EBUSY while something is charged to it; -ENOENT where there is no such account.
 */
int ppool_account_free(uint16_t account);

/** The account of this name, #PPOOL_ACCOUNT_NONE where there is none. Set-up path. */
uint16_t ppool_account_lookup(const char *name);

/**
 * The name of an account, NULL where there is no such account. Valid until the account is freed.
 */
const char *ppool_account_name(uint16_t account);

/**
 * Change the limit. It may be lower than what is charged: nothing is taken away, but further
 * charges are refused until enough has been freed.
 *
 * @return
 *   0, or -ENOENT where there is no such account.
 */
int ppool_account_limit_set(uint16_t account, uint64_t limit);

/**
 * Charge packets to an account. Fast path: one atomic operation per burst of 64 packets of which
 * no segment has been charged before. Where nothing fits, no memory that frees or other charges
 * use is written.
 *
 * @return
 *   How many packets are charged, from the first on; 0 where there is no such account. The one
 *   behind them exceeds the limit (counted as a refusal), or a segment of it belongs to another
 *   account.
 */
unsigned int ppool_account_charge(uint16_t account, struct rte_mbuf * const *m, unsigned int n);

/**
 * Move packets from one account to another. Fast path: one atomic operation per account and burst
 * of 64 packets. Each packet fits into the target as a whole, or stays where it is.
 *
 * @return
 *   How many packets are moved, from the first on. The one behind them exceeds the limit of the
 *   target (counted as a refusal there), or a segment of it does not belong to from.
 */
unsigned int ppool_account_move(uint16_t from, uint16_t to, struct rte_mbuf * const *m,
		unsigned int n);

/**
 * Uncharge packets that are not freed yet: handed to somebody who has no budget, or foreign mbufs
 * that are about to be freed. Fast path: one atomic operation per burst of 64 packets.
 *
 * @return
 *   How many packets are uncharged, from the first on. A segment of the one behind them does not
 *   belong to the account, or less is charged for foreign mbufs than these take.
 */
unsigned int ppool_account_uncharge(uint16_t account, struct rte_mbuf * const *m, unsigned int n);

/**
 * The account an mbuf is charged to: a single segment, not its chain. #PPOOL_ACCOUNT_NONE for those
 * that are not charged, and for foreign ones, which do not know. Any thread that may read the mbuf.
 */
uint16_t ppool_account_of(const struct rte_mbuf *m);

/** Bytes charged to an account at this moment, 0 where there is no such account. Fast path. */
uint64_t ppool_account_used(uint16_t account);

/** What an account tells: X(name, what it is). Behind struct, dump and telemetry. */
#define PPOOL_ACCOUNT_STATS(X) \
	X(limit, "bytes that may be charged; all bits set: unlimited") \
	X(used, "bytes charged") \
	X(high_water, "bytes charged at once, at most") \
	X(refusals, "calls that left packets uncharged because of the limit") \
	X(foreign, "bytes charged for mbufs of other pools, part of used")

/** An account's numbers since it was created. */
struct ppool_account_stats {
#define PPOOL_ACCOUNT_STATS_FIELD(name, desc) uint64_t name; /**< desc */
	PPOOL_ACCOUNT_STATS(PPOOL_ACCOUNT_STATS_FIELD)
#undef PPOOL_ACCOUNT_STATS_FIELD
};

/**
 * Read the numbers of an account. They are kept with it: nothing is searched, and nobody waits.
 *
 * @return
 *   0, or -ENOENT where there is no such account.
 */
int ppool_account_stats_get(uint16_t account, struct ppool_account_stats *stats);

/**
 * Count the frags that are charged to an account, and their bytes, header slots included.
 *
 * Walks every header slot of every page pool that is mapped in this process: meant for tests, tools
 * and telemetry. Changes nothing, and holds no lock that allocation takes; while others use the
 * pools the result is about right.
 *
 * @return
 *   0, -ENOENT where there is no such account, or -ENOMEM.
 */
int ppool_account_frags_get(uint16_t account, uint64_t *frags, uint64_t *bytes);

/**
 * Check the books of all accounts: what each has charged is the sum over the frags that say they
 * belong to it, and over foreign mbufs.
 *
 * @param f
 *   Where to explain what does not balance; NULL for nowhere. No other call on accounts or page
 *   pools may be under way.
 * @return
 *   0 when everything balances, the number of violations found, or -ENOMEM.
 */
int ppool_account_check(FILE *f);

/**
 * Print all accounts, with the frags charged to each, for which it walks as
 * ppool_account_frags_get() does. Any thread.
 */
void ppool_account_dump(FILE *f);

#ifdef __cplusplus
}
#endif

#endif /* _PPOOL_ACCOUNT_H_ */
