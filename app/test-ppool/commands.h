/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _COMMANDS_H_
#define _COMMANDS_H_

/* The commands of dpdk-test-ppool. */

#include "app.h"

extern const struct command cmd_unit;
extern const struct command cmd_unit_secondary;
extern const struct command cmd_unit_company;
extern const struct command cmd_unit_limbo;
extern const struct command cmd_unit_slots;
extern const struct command cmd_unit_slots_fuzz;
extern const struct command cmd_unit_steps;
extern const struct command cmd_unit_secondary_port;
extern const struct command cmd_unit_secondary_rx;
extern const struct command cmd_verify;
extern const struct command cmd_wire;

#endif /* _COMMANDS_H_ */
