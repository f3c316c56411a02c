/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_LOG_H_
#define _PPOOL_LOG_H_

#include <rte_log.h>

extern int ppool_logtype;
#define PPOOL_LOG(level, fmt, ...) \
	rte_log(RTE_LOG_##level, ppool_logtype, "PPOOL: " fmt "\n", ##__VA_ARGS__)

#endif /* _PPOOL_LOG_H_ */
