/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPFRAG_PCI_H_
#define _PPFRAG_PCI_H_

/**
 * @file
 * How a device on the PCI bus becomes a port.
 */

#include "ppfrag.h"

struct virtio_pci;

/**
 * Fill in what a device that is open says of the port that it becomes.
 *
 * @return 0 or a negative errno, logged.
 */
int pci_device_agree(struct virtio_pci *pci, struct ppfrag_dev *pd);

#endif /* _PPFRAG_PCI_H_ */
