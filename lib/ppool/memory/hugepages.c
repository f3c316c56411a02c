/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* What hugepages the host has, and what to do when there are too few. Takes none itself. */

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_lcore.h>
#include <rte_memory.h>

#include "backing.h"
#include "ppool_private.h"

#define SYSFS_HUGEPAGES "/sys/kernel/mm/hugepages"
#define SYSFS_NODE "/sys/devices/system/node/node%d/hugepages"

/* One counter of the kernel, of a node or of all; 0 where there is none. */
static uint64_t
sysfs_counter(size_t len, int socket_id, const char *name)
{
	char dir[64] = SYSFS_HUGEPAGES, path[256];
	uint64_t value = 0;
	FILE *f;

	if (socket_id >= 0)
		snprintf(dir, sizeof(dir), SYSFS_NODE, socket_id);
	snprintf(path, sizeof(path), "%s/hugepages-%zukB/%s", dir, len / 1024, name);
	f = fopen(path, "r");
	if (f == NULL)
		return 0;
	if (fscanf(f, "%" SCNu64, &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

/* What the kernel may add by itself. */
static uint64_t
hugepages_overcommit(size_t len)
{
	uint64_t most = sysfs_counter(len, SOCKET_ID_ANY, "nr_overcommit_hugepages");
	uint64_t surplus = sysfs_counter(len, SOCKET_ID_ANY, "surplus_hugepages");

	return most - RTE_MIN(most, surplus);
}

uint64_t
ppool_hugepages_free(size_t len, int socket_id)
{
	return sysfs_counter(len, socket_id, "free_hugepages") + hugepages_overcommit(len);
}

/* Without those that others have reserved, on no particular node. */
static uint64_t
hugepages_usable(size_t len, int socket_id)
{
	uint64_t reserved = sysfs_counter(len, SOCKET_ID_ANY, "resv_hugepages");
	uint64_t all = ppool_hugepages_free(len, SOCKET_ID_ANY);

	all -= RTE_MIN(all, reserved);
	return RTE_MIN(all, ppool_hugepages_free(len, socket_id));
}

bool
ppool_hugepage_known(size_t len)
{
	char path[128];

	snprintf(path, sizeof(path), SYSFS_HUGEPAGES "/hugepages-%zukB", len / 1024);
	return rte_is_power_of_2(len) && access(path, F_OK) == 0;
}

size_t
ppool_hugepage_smallest(void)
{
	size_t kb, smallest = 0;
	struct dirent *e;
	DIR *dir;

	dir = opendir(SYSFS_HUGEPAGES);
	if (dir == NULL)
		return 0;
	while ((e = readdir(dir)) != NULL) {
		if (sscanf(e->d_name, "hugepages-%zukB", &kb) != 1)
			continue;
		if (sysfs_counter(kb * 1024, SOCKET_ID_ANY, "nr_hugepages") +
						sysfs_counter(kb * 1024, SOCKET_ID_ANY,
								"nr_overcommit_hugepages") ==
				0)
			continue;
		if (smallest == 0 || kb * 1024 < smallest)
			smallest = kb * 1024;
	}
	closedir(dir);
	return smallest;
}

/* As hugeadm wants it: "2MB". */
static const char *
size_text(size_t len, char *text, size_t room)
{
	if (len >= RTE_PGSIZE_1G)
		snprintf(text, room, "%zuGB", len >> 30);
	else if (len >= (1u << 20))
		snprintf(text, room, "%zuMB", len >> 20);
	else
		snprintf(text, room, "%zuKB", len >> 10);
	return text;
}

void
ppool_hugepages_short(const char *name, size_t len, int socket_id, uint64_t need)
{
	uint64_t have = hugepages_usable(len, socket_id);
	char size[32], where[32] = "", on_node[32] = "";

	size_text(len, size, sizeof(size));
	if (socket_id >= 0 && rte_socket_count() > 1) {
		snprintf(where, sizeof(where), " on NUMA node %d", socket_id);
		snprintf(on_node, sizeof(on_node), "numactl --membind %d ", socket_id);
	}
	if (have >= need) {
		PPOOL_LOG(ERR,
				"mempool %s: %" PRIu64 " hugepages of %s%s are needed and %" PRIu64
				" are free, but this process does not get them: look at hugetlb.*.max of its control group, and at the EAL options -m, --socket-limit, --legacy-mem",
				name, need, size, where, have);
		return;
	}
	PPOOL_LOG(ERR,
			"mempool %s: %" PRIu64 " hugepages of %s%s are missing: %" PRIu64
			" are needed, %" PRIu64
			" are free. Get them with: %shugeadm %s--pool-pages-min %s:+%" PRIu64,
			name, need - have, size, where, need, have, on_node,
			on_node[0] == '\0' ? "" : "--obey-mempolicy ", size, need - have);
}
