/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPFRAG_CONTROL_H_
#define _PPFRAG_CONTROL_H_

/**
 * @file
 * The connection of a port to its back end. In the primary process only.
 */

#include "ppfrag.h"

/** Connect to the back end and negotiate features. @return 0 or a negative errno, logged. */
int ppfrag_control_open(struct rte_eth_dev *dev);

/** Disconnect. */
void ppfrag_control_close(struct rte_eth_dev *dev);

/** Hand memory and rings to the back end; reconnects. @return 0 or a negative errno, logged. */
int ppfrag_control_start(struct rte_eth_dev *dev);

/**
 * Take the rings back. On return the back end uses them no more; where it did not say so, they are
 * in quarantine with all buffers that are in them.
 */
void ppfrag_control_stop(struct rte_eth_dev *dev);

/** Look whether the back end is still there, and set the link status. */
void ppfrag_control_check(struct rte_eth_dev *dev);

/** Have the back end process the rings of a started port, or not. */
int ppfrag_control_set_link(struct rte_eth_dev *dev, bool up);

#endif /* _PPFRAG_CONTROL_H_ */
