/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_COMPAT_H_
#define _PPOOL_COMPAT_H_

/* The one place of the library for differences between DPDK 22.11 and later. Not installed. */

#include <stdint.h>

#include <rte_telemetry.h>
#include <rte_version.h>

#if RTE_VERSION >= RTE_VERSION_NUM(23, 3, 0, 0)
#define ppool_tel_dict_add_u64 rte_tel_data_add_dict_uint
#define ppool_tel_array_add_u64 rte_tel_data_add_array_uint
#define PPOOL_TEL_U64 RTE_TEL_UINT_VAL
#else
#define ppool_tel_dict_add_u64 rte_tel_data_add_dict_u64
#define ppool_tel_array_add_u64 rte_tel_data_add_array_u64
#define PPOOL_TEL_U64 RTE_TEL_U64_VAL
#endif

/*
 * Whether rte_pktmbuf_alloc() says of what the frag pool gives that it has an external buffer, and
 * does not leave that to the mempool driver.
 */
#ifndef PPOOL_ALLOC_SETS_EXTERNAL
#define PPOOL_ALLOC_SETS_EXTERNAL (RTE_VERSION >= RTE_VERSION_NUM(25, 11, 0, 0))
#endif

/*
 * Objects that a mempool cache of a size may hold, and a pool has to have at least: half as many
 * again as its size, before DPDK 26.07.
 */
#if RTE_VERSION >= RTE_VERSION_NUM(26, 7, 0, 0)
#define PPOOL_CACHE_OBJECTS(size) (size)
#else
#define PPOOL_CACHE_OBJECTS(size) ((size) + (size) / 2)
#endif

#endif /* _PPOOL_COMPAT_H_ */
