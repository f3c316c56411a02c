/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _COMMANDS_H_
#define _COMMANDS_H_

/* The commands of dpdk-ppool-bench. */

#include "app.h"

extern const struct command cmd_mempool_perf;
extern const struct command cmd_frag_perf;
extern const struct command cmd_account_perf;

#endif /* _COMMANDS_H_ */
