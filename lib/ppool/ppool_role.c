/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Which mempool is which: a page pool, a frag pool, a mono pool, or none of ours.
 *
 * A mempool knows its ops by their number in a table that each process fills in the order in which
 * it loads drivers. Where that order differs, the functions of one driver are called with the pools
 * of another. The magic number of a pool tells.
 */

#include <string.h>

#include <rte_memory.h>

#include "ppool_private.h"
#include "ppool_slot.h"
#include "ppool_slot_pool.h"

static rte_mempool_enqueue_t our_enqueue;

void
ppool_role_set_ops(rte_mempool_enqueue_t enqueue)
{
	our_enqueue = enqueue;
}

/*
 * Where EAL has loaded the build tree's library and the installed one, the first registered its ops
 * before our constructors run. It serves all pools, and the second must not answer for it.
 */
const struct rte_mempool_ops *
ppool_role_first_copy(void)
{
	const struct rte_mempool_ops *ops;
	uint32_t i;

	for (i = 0; i < rte_mempool_ops_table.num_ops; i++) {
		ops = &rte_mempool_ops_table.ops[i];
		if (strcmp(ops->name, PPOOL_OPS_NAME) == 0)
			return ops->enqueue == our_enqueue ? NULL : ops;
	}
	return NULL;
}

/* The index of our ops differs from process to process, our own functions do not. */
bool
ppool_has_our_ops(const struct rte_mempool *mp)
{
	return mp->ops_index >= 0 && (uint32_t)mp->ops_index < rte_mempool_ops_table.num_ops &&
			rte_mempool_ops_table.ops[mp->ops_index].enqueue == our_enqueue;
}

struct ppool *
ppool_from_mempool(const struct rte_mempool *mp)
{
	return ppool_has_our_ops(mp) ? ppool_of(mp) : NULL;
}

/* Our number in the table of this process, -1 where we are not in it. */
static int
our_number(void)
{
	uint32_t i;

	for (i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (rte_mempool_ops_table.ops[i].enqueue == our_enqueue)
			return (int)i;
	return -1;
}

static const char *
name_here(int number)
{
	if (number < 0 || (uint32_t)number >= rte_mempool_ops_table.num_ops)
		return "nothing";
	return rte_mempool_ops_table.ops[number].name;
}

/* Once for each mempool, unless they take turns. */
void
ppool_role_mismatch(const struct rte_mempool *mp)
{
	static const struct rte_mempool *last;

	if (__atomic_exchange_n(&last, mp, __ATOMIC_RELAXED) == mp)
		return;
	PPOOL_LOG(ERR,
			"mempool %s cannot be used here: it has mempool ops number %d, which is "
			"%s in this process, where " PPOOL_OPS_NAME " is number %d, and another "
			"driver in the process that made it: load the same plugins in the same "
			"order in both (-d), and with LD_PRELOAD the mempool drivers that only one "
			"of the programs is linked with",
			mp->name, mp->ops_index, name_here(mp->ops_index), our_number());
}

/* Other drivers may have anything there, addresses of other processes among it. */
static bool
lies_in_eal_memory(const void *ptr)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(ptr);
	const struct rte_memseg *ms;

	if (msl == NULL || msl->external || !rte_is_aligned(ptr, RTE_CACHE_LINE_SIZE))
		return false;
	ms = rte_mem_virt2memseg(ptr, msl);
	return ms != NULL && ms->len != 0;
}

struct ppool *
ppool_find(const struct rte_mempool *mp)
{
	struct ppool *p = ppool_of(mp);

	if (p == NULL)
		return NULL;
	if (ppool_has_our_ops(mp))
		return ppool_role_check(mp) ? p : NULL;
	if (lies_in_eal_memory(p) && ppool_has_magic(mp))
		ppool_role_mismatch(mp);
	return NULL;
}

bool
ppool_is_page_pool(const struct rte_mempool *mp)
{
	return ppool_has_our_ops(mp) && ppool_of(mp) != NULL && ppool_has_magic(mp) &&
			!ppool_is_internal_role(mp);
}

bool
ppool_is_frag_pool(const struct rte_mempool *mp)
{
	return ppool_from_mempool(mp) != NULL && ppool_is_frag_role(mp);
}

bool
ppool_is_slot_pool(const struct rte_mempool *mp)
{
	const struct ppool *p = ppool_from_mempool(mp);

	return p != NULL && ppool_has_magic(mp) && ppool_is_internal_role(mp) &&
			ppool_view_class(mp) != PPOOL_HEADERS;
}

bool
ppool_is_mono_pool(const struct rte_mempool *mp)
{
	return ppool_from_mempool(mp) != NULL && ppool_is_mono_role(mp);
}

bool
ppool_is_internal_pool(const struct rte_mempool *mp)
{
	return ppool_from_mempool(mp) != NULL && ppool_is_internal_role(mp);
}
