/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_COMPAT_H_
#define _PPOOL_COMPAT_H_

/* The one place for differences between DPDK 22.11 and later. Not installed. */

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

#endif /* _PPOOL_COMPAT_H_ */
