/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* On which NUMA nodes the memory of a mempool is. Who puts it there is region.c, or EAL. */

#include <numaif.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_memory.h>

#include "ppool_create.h"

/* OS pages that the kernel is asked for at a time. */
#define PAGES_BATCH 512u

struct cursor {
	struct ppool_placement *placement;
	uintptr_t end; /* of the OS page last counted */
	unsigned int n;
	void *addr[PAGES_BATCH];
};

static void
placement_count(struct ppool_placement *placement, int node)
{
	if (node < 0 || node >= RTE_MAX_NUMA_NODES) {
		placement->unknown++;
		return;
	}
	placement->on_node[node]++;
	if (placement->socket_id != SOCKET_ID_ANY && node != placement->socket_id)
		placement->elsewhere++;
}

static void
cursor_flush(struct cursor *cursor)
{
	int node[PAGES_BATCH];
	unsigned int i;
	bool told;

	told = move_pages(0, cursor->n, cursor->addr, NULL, node, 0) == 0;
	for (i = 0; i < cursor->n; i++)
		placement_count(cursor->placement, told ? node[i] : -1);
	cursor->placement->os_pages += cursor->n;
	cursor->n = 0;
}

static size_t
os_page_of(const void *addr)
{
	const struct rte_memseg_list *msl = rte_mem_virt2memseg_list(addr);

	return msl == NULL ? (size_t)sysconf(_SC_PAGESIZE) : msl->page_sz;
}

static void
cursor_add(struct cursor *cursor, const void *start, size_t len, size_t os_page)
{
	uintptr_t addr = RTE_ALIGN_FLOOR((uintptr_t)start, os_page), end = (uintptr_t)start + len;

	/* Chunks may meet in an OS page. */
	if (addr + os_page == cursor->end)
		addr = cursor->end;
	for (; addr < end; addr += os_page) {
		cursor->addr[cursor->n++] = (void *)addr;
		if (cursor->n == PAGES_BATCH)
			cursor_flush(cursor);
	}
	cursor->end = addr;
}

static void
chunk_count(struct rte_mempool *mp, void *arg, struct rte_mempool_memhdr *chunk, unsigned int idx)
{
	size_t os_page = os_page_of(chunk->addr);
	struct cursor *cursor = arg;
	struct ppool_placement *placement = cursor->placement;

	RTE_SET_USED(mp);
	RTE_SET_USED(idx);
	placement->bytes += chunk->len;
	placement->chunks++;
	placement->os_page_len = RTE_MIN(placement->os_page_len, os_page);
	cursor_add(cursor, chunk->addr, chunk->len, os_page);
}

void
ppool_placement_get(struct rte_mempool *mp, struct ppool_placement *placement)
{
	struct cursor cursor = { .placement = placement };

	memset(placement, 0, sizeof(*placement));
	placement->socket_id = mp->socket_id;
	placement->os_page_len = SIZE_MAX;
	rte_mempool_mem_iter(mp, chunk_count, &cursor);
	cursor_flush(&cursor);
	if (placement->chunks == 0)
		placement->os_page_len = 0;
}
