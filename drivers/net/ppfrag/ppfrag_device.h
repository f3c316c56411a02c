/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPFRAG_DEVICE_H_
#define _PPFRAG_DEVICE_H_

/**
 * @file
 * What a kind of device can do. For control only: per packet there is no call through this table.
 */

#include "ppfrag.h"

/** Kinds of devices, by the index that stands in shared memory. */
enum ppfrag_kind {
	PPFRAG_KIND_VIRTIO,
	PPFRAG_KIND_XSK,
	PPFRAG_KIND_PCI, /**< virtio, too */
};

/**
 * Operations of a kind of device. Those that return int return 0 or a negative errno, logged.
 *
 * All processes have what looks at queues; only the primary process calls the others.
 */
struct ppfrag_device_ops {
	const char *name;
	/** The port was just made: get what it needs in this process, and connect it. */
	int (*init)(struct rte_eth_dev *dev);
	/** Disconnect a stopped port. Whatever it has given to others is given back. */
	void (*close)(struct rte_eth_dev *dev);
	/** Free the rest, when there are no queues any more. */
	void (*fini)(struct rte_eth_dev *dev);
	/** The number of queues is known. */
	int (*configure)(struct rte_eth_dev *dev);
	int (*start)(struct rte_eth_dev *dev);
	void (*stop)(struct rte_eth_dev *dev);
	/** Queues and pools are about to be freed: get back what others may still use. */
	void (*settle)(struct rte_eth_dev *dev);
	/** Have a started device leave its rings alone, or go on. */
	int (*set_link)(struct rte_eth_dev *dev, bool up);
	/** Start or stop a queue of a started port. */
	int (*queue_run)(struct rte_eth_dev *dev, bool rx, uint16_t queue_id, bool run);
	/** Agree anew on what the port can do: it is to be configured again. */
	int (*reset)(struct rte_eth_dev *dev);
	eth_rx_queue_setup_t rxq_setup;
	eth_tx_queue_setup_t txq_setup;
	eth_rx_enable_intr_t rx_intr_enable;
	eth_rx_disable_intr_t rx_intr_disable;
	/** In any process. */
	void (*set_burst)(struct rte_eth_dev *dev);
	eth_burst_mode_get_t rx_burst_mode_get;
	eth_burst_mode_get_t tx_burst_mode_get;
	eth_tx_done_cleanup_t tx_done_cleanup;

	/* What some devices have a say in; NULL where ethdev alone keeps it. */

	/** Change what is told about a port. */
	void (*infos)(const struct rte_eth_dev *dev, struct rte_eth_dev_info *info);
	/** Look at the link; NULL: it is set as it changes. */
	int (*link_update)(struct rte_eth_dev *dev);
	int (*promiscuous)(struct rte_eth_dev *dev, bool on);
	int (*allmulticast)(struct rte_eth_dev *dev, bool on);
	/** Tell the device of a stopped port, before queues are made ready for such frames. */
	int (*set_mtu)(struct rte_eth_dev *dev, uint16_t mtu);
	int (*set_mac)(struct rte_eth_dev *dev, const struct rte_ether_addr *mac);
	/**
	 * Receive what is sent to the addresses that ethdev has; to mac in place of the one with
	 * this index, if it is not NULL.
	 */
	int (*set_macs)(struct rte_eth_dev *dev, uint32_t index, const struct rte_ether_addr *mac);
	/** Receive what is sent to these multicast addresses, and to no others. */
	int (*set_multicast)(struct rte_eth_dev *dev, const struct rte_ether_addr *macs,
			uint32_t nb);
	/** Bring the counters of the port up to date that the device keeps elsewhere. */
	void (*update_stats)(struct rte_eth_dev *dev);
	/** They are to count from 0 on. */
	void (*reset_stats)(struct rte_eth_dev *dev);
};

extern const struct ppfrag_device_ops virtio_device_ops;
extern const struct ppfrag_device_ops xsk_device_ops;
extern const struct ppfrag_device_ops pci_device_ops;

/** The operations of a port, in this process. */
static inline const struct ppfrag_device_ops *
ppfrag_device(const struct rte_eth_dev *dev)
{
	static const struct ppfrag_device_ops * const kinds[] = {
		[PPFRAG_KIND_VIRTIO] = &virtio_device_ops,
		[PPFRAG_KIND_XSK] = &xsk_device_ops,
#ifdef PPFRAG_HAS_PCI
		[PPFRAG_KIND_PCI] = &pci_device_ops,
#endif
	};
	const struct ppfrag_dev *pd = dev->data->dev_private;

	return kinds[pd->kind];
}

#endif /* _PPFRAG_DEVICE_H_ */
