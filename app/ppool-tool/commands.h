/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _COMMANDS_H_
#define _COMMANDS_H_

/* The commands of dpdk-ppool. */

#include "app.h"

extern const struct command cmd_size;
extern const struct command cmd_hold;
extern const struct command cmd_rx;
extern const struct command cmd_rtt;
extern const struct command cmd_compact;
extern const struct command cmd_longhold;

#endif /* _COMMANDS_H_ */
