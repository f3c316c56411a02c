/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _VIRTIO_DEVICE_H_
#define _VIRTIO_DEVICE_H_

/**
 * @file
 * What is agreed on with a virtio device that is connected. Called by the control thread; what
 * returns int returns 0 or a negative errno, logged.
 */

#include "virtio.h"

/** Agree on features. @return -ENOTSUP where the device lacks what was agreed on before. */
int virtio_negotiate(struct rte_eth_dev *dev, uint64_t *offered);

/** Agree on features anew, with a device that offers these. */
void virtio_forget(struct rte_eth_dev *dev, uint64_t offered);

/** How what the application has set up suits a device. */
enum virtio_fit {
	VIRTIO_FIT,
	VIRTIO_FIT_RENEWED, /**< when the rings are reset */
	VIRTIO_MISFIT,      /**< not at all; logged */
};

enum virtio_fit virtio_fit(const struct rte_eth_dev *dev);

/** Whether all queues have reset their rings. */
bool virtio_is_ready(const struct rte_eth_dev *dev);

/** Hand over memory and rings, idle ones in place of those that are not ready. */
int virtio_run(struct rte_eth_dev *dev, bool enable);

/** Hand over rings that have become ready. @return how many are not, or a negative errno. */
int virtio_rings_move(struct rte_eth_dev *dev, bool enable);

/**
 * A queue was stopped, and its thread has been told: take from the device what it has of it, and
 * give back packets.
 *
 * @param ours
 *   Whether the device, or one before it, has nothing that it was not asked about here.
 */
int virtio_queue_stop(struct rte_eth_dev *dev, uint16_t vring, bool connected, bool ours);

/** Start a queue that is stopped, and hand over its ring. */
int virtio_queue_start(struct rte_eth_dev *dev, uint16_t vring, bool connected, bool ours,
		bool enable);

/** No device has the rings: free what stopped queues were to send. */
void virtio_stopped_drain(struct rte_eth_dev *dev);

/** Take the rings back. */
int virtio_idle(struct rte_eth_dev *dev);

/** Have the device process the rings that it has, or not. */
int virtio_enable(struct rte_eth_dev *dev, bool enable);

/** Whether it can do that. */
bool virtio_can_enable(const struct rte_eth_dev *dev);

#endif /* _VIRTIO_DEVICE_H_ */
