/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _VIRTIO_HDR_H_
#define _VIRTIO_HDR_H_

/**
 * @file
 * What the header in front of a packet says where offloads were agreed on, as virtio 1.x has it.
 * The header itself is in virtio_ring.h.
 */

/** Feature bits. HOST: the other side does it for us. GUEST: we do it for the other side. */
#define VIRTIO_NET_F_CSUM 0
#define VIRTIO_NET_F_GUEST_CSUM 1
#define VIRTIO_NET_F_GUEST_TSO4 7
#define VIRTIO_NET_F_GUEST_TSO6 8
#define VIRTIO_NET_F_HOST_TSO4 11
#define VIRTIO_NET_F_HOST_TSO6 12
#define VIRTIO_NET_F_HOST_USO 56

/** Flags: the checksum from csum_start on is missing and belongs at csum_offset behind that. */
#define VIRTIO_HDR_F_NEEDS_CSUM 1
/** The checksum was found to be right. */
#define VIRTIO_HDR_F_DATA_VALID 2

/** Values of gso_type: the packet is to be cut into segments of gso_size. */
#define VIRTIO_GSO_NONE 0
#define VIRTIO_GSO_TCPV4 1
#define VIRTIO_GSO_TCPV6 4
#define VIRTIO_GSO_UDP_L4 5

#endif /* _VIRTIO_HDR_H_ */
