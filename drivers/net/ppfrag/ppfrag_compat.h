/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPFRAG_COMPAT_H_
#define _PPFRAG_COMPAT_H_

/* The one place of the driver for differences between DPDK 22.11 and later. */

#include <pthread.h>
#include <stdint.h>

#include <rte_lcore.h>
#include <rte_thread.h>
#include <rte_version.h>

/*
 * The counters of queues were part of struct rte_eth_stats; now they are apart from it,
 * and NULL where nobody asks for them.
 */
#if RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0)
#define ppfrag_eth_queue_stats eth_queue_stats
#define PPFRAG_ETH_STATS_PARAMS struct rte_eth_stats *stats, struct eth_queue_stats *queues
#define PPFRAG_ETH_STATS_ARGS stats, queues
typedef int ppfrag_eth_queue_count_t;
#else
#define ppfrag_eth_queue_stats rte_eth_stats
#define PPFRAG_ETH_STATS_PARAMS struct rte_eth_stats *stats
#define PPFRAG_ETH_STATS_ARGS stats, stats
typedef uint32_t ppfrag_eth_queue_count_t;
#endif

/* Numbers of 64 bits in telemetry. */
#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
#define ppfrag_tel_dict_add_u64 rte_tel_data_add_dict_uint
#else
#define ppfrag_tel_dict_add_u64 rte_tel_data_add_dict_u64
#endif

/* The list of packet types that a port tells has its length, and no end mark. */
#if RTE_VERSION >= RTE_VERSION_NUM(24, 3, 0, 0)
#define PPFRAG_PTYPES_PARAMS struct rte_eth_dev *dev, size_t *nb
#define PPFRAG_PTYPES_NB nb
#else
#define PPFRAG_PTYPES_PARAMS struct rte_eth_dev *dev
#define PPFRAG_PTYPES_NB (&(size_t){ 0 })
#endif

/* A bus is told which one it is. */
#if RTE_VERSION >= RTE_VERSION_NUM(26, 7, 0, 0)
#define PPFRAG_BUS_PROBE_PARAMS __rte_unused struct rte_bus *bus
#define PPFRAG_BUS_FIND_PARAM __rte_unused const struct rte_bus *bus,
#else
#define PPFRAG_BUS_PROBE_PARAMS void
#define PPFRAG_BUS_FIND_PARAM
#endif

/* Control threads: EAL's own type has replaced that of POSIX, which it contains. */
#if RTE_VERSION >= RTE_VERSION_NUM(23, 11, 0, 0)
typedef uint32_t ppfrag_thread_ret_t;

static inline int
ppfrag_thread_create(pthread_t *thread, const char *name, rte_thread_func run, void *arg)
{
	rte_thread_t id = { .opaque_id = 0 };
	int ret = rte_thread_create_control(&id, name, run, arg);

	*thread = (pthread_t)id.opaque_id;
	return ret;
}
#else
typedef void *ppfrag_thread_ret_t;

static inline int
ppfrag_thread_create(pthread_t *thread, const char *name, void *(*run)(void *), void *arg)
{
	return rte_ctrl_thread_create(thread, name, NULL, run, arg);
}
#endif

#endif /* _PPFRAG_COMPAT_H_ */
