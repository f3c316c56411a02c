/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _XSK_UAPI_H_
#define _XSK_UAPI_H_

/**
 * @file
 * What the kernel understands and the headers of an older one do not name. The kernel that runs is
 * asked, not the one whose headers are installed.
 */

#include <stdint.h>
#include <sys/socket.h>

#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>

#ifndef AF_XDP
#define AF_XDP 44
#endif
#ifndef SOL_XDP
#define SOL_XDP 283
#endif
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_BUSY_POLL_BUDGET
#define SO_BUSY_POLL_BUDGET 70
#endif
#ifndef XDP_USE_SG /* Linux 6.6 */
#define XDP_USE_SG (1 << 4)
#endif
#ifndef XDP_PKT_CONTD
#define XDP_PKT_CONTD (1 << 0)
#endif
#ifndef XDP_UMEM_TX_METADATA_LEN /* Linux 6.11 */
#define XDP_UMEM_TX_METADATA_LEN (1 << 2)
#endif
#ifndef XDP_TX_METADATA /* Linux 6.8 */
#define XDP_TX_METADATA (1 << 1)
#endif
#ifndef XDP_TXMD_FLAGS_CHECKSUM
#define XDP_TXMD_FLAGS_CHECKSUM (1 << 1)
#endif
#ifndef BPF_F_XDP_HAS_FRAGS /* Linux 5.18 */
#define BPF_F_XDP_HAS_FRAGS (1U << 5)
#endif

/**
 * As struct xdp_umem_reg of Linux 6.8 and later. The kernel goes by the length that it is given: it
 * ignores flags in one that is shorter than its own, but takes zeros it does not know.
 */
struct xsk_umem_reg {
	uint64_t addr;
	uint64_t len;
	uint32_t chunk_size;
	uint32_t headroom;
	uint32_t flags;
	uint32_t tx_metadata_len;
};

_Static_assert(sizeof(struct xsk_umem_reg) == 32, "24 and 28 bytes drop the flags");

/**
 * As struct xsk_tx_metadata of Linux 6.14, with what a packet can ask for: in front of its data
 * where the descriptor has XDP_TX_METADATA.
 */
struct xsk_tx_meta {
	uint64_t flags;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint32_t pad; /* the kernel's is as on 64 bits */
	uint64_t launch_time;
};

_Static_assert(sizeof(struct xsk_tx_meta) == 24, "a multiple of 8");

#endif /* _XSK_UAPI_H_ */
