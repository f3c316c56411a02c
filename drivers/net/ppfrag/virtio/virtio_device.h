/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _VIRTIO_DEVICE_H_
#define _VIRTIO_DEVICE_H_

/**
 * @file
 * What is agreed on with a virtio device that is connected. Called by whoever holds the connection;
 * all return 0 or a negative errno, logged.
 */

#include "virtio.h"

/** Agree on features. */
int virtio_negotiate(struct rte_eth_dev *dev);

/** Hand over memory and rings. */
int virtio_run(struct rte_eth_dev *dev);

/** Take the rings back. */
int virtio_idle(struct rte_eth_dev *dev);

/** Have the device process the rings that it has, or not. */
int virtio_enable(struct rte_eth_dev *dev, bool enable);

/** Whether it can do that. */
bool virtio_can_enable(const struct rte_eth_dev *dev);

#endif /* _VIRTIO_DEVICE_H_ */
