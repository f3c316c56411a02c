/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _BACKEND_H_
#define _BACKEND_H_

/**
 * @file
 * Who is on the other side of virtio rings. For control only.
 */

#include "virtio.h"

/** What a back end offers. */
struct virtio_offer {
	uint64_t features;
	uint64_t pairs; /**< of queues */
};

/**
 * What to say to a back end that is connected, in this order. What returns int returns 0 or a
 * negative errno, logged; the connection is then unusable.
 */
struct virtio_backend_ops {
	const char *name;
	const char *gone; /**< what to say when it is gone */
	int look_ms;      /**< how often to look whether it is gone or up; 0: never */
	/** Whether it works only once rings of the first pair were enabled, see rings_rest(). */
	bool wants_first_pair;
	/** Connect, maybe again. @return -EAGAIN, unlogged: it is to connect, and has not. */
	int (*connect)(struct rte_eth_dev *dev);
	/** End the connection, as far as the back end lets go of memory: see lent. */
	void (*disconnect)(struct rte_eth_dev *dev);
	/** There will be no other connection. */
	void (*close)(struct rte_eth_dev *dev);
	/** Whether the back end has ended the connection. */
	bool (*is_gone)(const struct rte_eth_dev *dev);
	/** Whether its side of the link is up, while it processes rings; NULL: always. */
	bool (*is_up)(const struct rte_eth_dev *dev);
	/** Take the device and ask what there is. */
	int (*negotiate)(struct rte_eth_dev *dev, struct virtio_offer *offer);
	/** Tell the features of the port, and hand over its memory. */
	int (*prepare)(struct rte_eth_dev *dev);
	/** Hand over a ring. */
	int (*ring_start)(struct rte_eth_dev *dev, uint16_t vring, const struct virtq *vq);
	/** Have it process a ring that it has, or leave that alone. */
	int (*ring_enable)(struct rte_eth_dev *dev, uint16_t vring, bool enable);
	/** Wait until all that was said before is done. */
	int (*settle)(struct rte_eth_dev *dev);
	/** Take a ring back. */
	int (*ring_stop)(struct rte_eth_dev *dev, uint16_t vring);
	/** All rings are started: the device is to work; or it is to be idle. */
	int (*run)(struct rte_eth_dev *dev, bool run);
	/** All rings that are used are enabled now, or none; may be NULL. */
	void (*enabled)(struct rte_eth_dev *dev, bool on);
	/** Whether a ring that is enabled can be left alone for a while. */
	bool (*can_enable)(const struct ppfrag_dev *pd);
};

extern const struct virtio_backend_ops virtio_backend_vhost_user;
extern const struct virtio_backend_ops virtio_backend_vhost_kernel;

/** The back end of a port. */
static inline const struct virtio_backend_ops *
virtio_backend(const struct rte_eth_dev *dev)
{
	static const struct virtio_backend_ops * const kinds[] = {
		[VIRTIO_BACKEND_VHOST_USER] = &virtio_backend_vhost_user,
		[VIRTIO_BACKEND_VHOST_KERNEL] = &virtio_backend_vhost_kernel,
	};
	const struct ppfrag_dev *pd = dev->data->dev_private;

	return kinds[pd->backend];
}

#endif /* _BACKEND_H_ */
