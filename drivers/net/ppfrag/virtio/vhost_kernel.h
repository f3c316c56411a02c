/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _VHOST_KERNEL_H_
#define _VHOST_KERNEL_H_

/**
 * @file
 * A port whose back end is the kernel: vhost-net processes the rings, and what it sends and
 * receives is what an interface of the kernel, a tap, receives and sends.
 */

#include <stdbool.h>
#include <stdint.h>

#include "../ppfrag.h"

/** The tap. It stays while the back end is connected anew. */
struct vhost_tap {
	int fd[PPFRAG_MAX_PAIRS]; /**< by queue pair; -1: none */
	bool detached[PPFRAG_MAX_PAIRS];
	uint16_t mtu;              /**< that it was told; 0: none yet */
	struct rte_ether_addr mac; /**< likewise */
};

/** What only the primary process has of such a port. */
struct vhost_kernel {
	int fd[PPFRAG_MAX_PAIRS];        /**< of vhost-net, by queue pair; -1: none */
	bool runs[2 * PPFRAG_MAX_PAIRS]; /**< rings that vhost-net processes */
	struct vhost_tap tap;
};

/** Descriptors of a port that has none yet. */
void vhost_kernel_init(struct vhost_kernel *vk);

/* vhost_tap.c. What returns int returns 0 or a negative errno, logged. */

/** Have the tap, made by its name or there before, with a queue for each pair. */
int vhost_tap_open(struct rte_eth_dev *dev);

/** It goes where it was made here. */
void vhost_tap_close(struct vhost_tap *tap);

/** Whether somebody has deleted it, or there is none. */
bool vhost_tap_is_gone(const struct vhost_tap *tap);

/** Whether it is set up, in whatever network namespace it is. */
bool vhost_tap_is_up(const struct vhost_tap *tap);

/** Tell it address, MTU, number of queues, and the offloads among features. */
int vhost_tap_prepare(struct rte_eth_dev *dev, uint64_t features);

/** Whether the kernel sees a carrier. */
void vhost_tap_set_carrier(const struct vhost_tap *tap, bool on);

#endif /* _VHOST_KERNEL_H_ */
