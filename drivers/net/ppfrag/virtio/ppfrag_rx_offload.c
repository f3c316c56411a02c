/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_net.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "ppfrag_offload.h"
#include "ppfrag_rx.h"
#include "virtio_hdr.h"

/*
 * What is made of packets that have been received, on queues with offloads. Wherever a packet was
 * received into, its virtio header lies right in front of it.
 *
 * Nothing a header says is trusted. One that makes no sense is counted and ignored, and its packet
 * marked as one with a wrong checksum: nobody can tell whether it is complete.
 */

#define PARSED_LAYERS (RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK)

/* A header, read once and in the byte order of the CPU, and what the packet itself says. */
struct rx_offload {
	uint8_t flags;
	uint8_t gso_type;
	uint32_t hdr_len;
	uint32_t gso_size;
	uint32_t csum_start;
	uint32_t csum_offset;
	uint32_t tag_len; /* of the tag that was taken out */
	uint32_t ptype;
	struct rte_net_hdr_lens lens;
};

static inline void
header_read(const struct ppfrag_rxq *q, const struct rte_mbuf *m, struct rx_offload *o)
{
	struct virtio_hdr hdr;

	memcpy(&hdr, rte_pktmbuf_mtod(m, const char *) + q->post_offset - RTE_PKTMBUF_HEADROOM,
			sizeof(hdr));
	rte_compiler_barrier();
	o->flags = hdr.flags;
	o->gso_type = hdr.gso_type;
	o->hdr_len = rte_le_to_cpu_16(hdr.hdr_len);
	o->gso_size = rte_le_to_cpu_16(hdr.gso_size);
	o->csum_start = rte_le_to_cpu_16(hdr.csum_start);
	o->csum_offset = rte_le_to_cpu_16(hdr.csum_offset);
}

/* Take the tag out of the packet. Returns its length. */
static inline uint32_t
tag_strip(struct rte_mbuf *m)
{
	if (m->data_len < RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN || rte_vlan_strip(m) != 0)
		return 0;
	return RTE_VLAN_HLEN;
}

static inline bool
is_tcp(const struct rx_offload *o)
{
	return (o->ptype & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_TCP;
}

/* Whether a packet may be one of several segments that the back end has not cut. */
static inline bool
gso_is_sane(const struct ppfrag_rxq *q, const struct rte_mbuf *m, const struct rx_offload *o)
{
	const bool v4 = o->gso_type == VIRTIO_GSO_TCPV4 && RTE_ETH_IS_IPV4_HDR(o->ptype);
	const bool v6 = o->gso_type == VIRTIO_GSO_TCPV6 && RTE_ETH_IS_IPV6_HDR(o->ptype);

	if ((q->offloads & RTE_ETH_RX_OFFLOAD_TCP_LRO) == 0 || !is_tcp(o) || (!v4 && !v6))
		return false;
	return o->gso_size != 0 && o->hdr_len <= m->pkt_len + o->tag_len;
}

/* Whether the place of a missing checksum is in the packet. */
static inline bool
csum_is_sane(const struct rte_mbuf *m, const struct rx_offload *o)
{
	const uint32_t at = o->csum_start + o->csum_offset;

	return o->csum_start >= RTE_ETHER_HDR_LEN + o->tag_len &&
			at - o->tag_len + sizeof(uint16_t) <= m->data_len;
}

/* Whether the missing checksum is that of the packet's TCP or UDP, and not of one inside. */
static inline bool
csum_is_of_l4(const struct rx_offload *o)
{
	if (o->csum_start - o->tag_len != (uint32_t)o->lens.l2_len + o->lens.l3_len)
		return false;
	if (is_tcp(o))
		return o->csum_offset == offsetof(struct rte_tcp_hdr, cksum);
	return (o->ptype & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_UDP &&
			o->csum_offset == offsetof(struct rte_udp_hdr, dgram_cksum);
}

/* Put in a checksum that no flag of an mbuf can tell of. */
static __rte_noinline void
csum_complete(struct rte_mbuf *m, const struct rx_offload *o)
{
	const uint32_t start = o->csum_start - o->tag_len;
	uint16_t sum;

	if (rte_raw_cksum_mbuf(m, start, m->pkt_len - start, &sum) != 0)
		return;
	sum = (uint16_t)~sum;
	if (sum == 0)
		sum = UINT16_MAX; /* the same number; zero would be none for UDP */
	memcpy(rte_pktmbuf_mtod_offset(m, char *, start + o->csum_offset), &sum, sizeof(sum));
}

static inline void
header_apply(struct ppfrag_rxq *q, struct rte_mbuf *m, const struct rx_offload *o)
{
	const bool needs_csum = (o->flags & VIRTIO_HDR_F_NEEDS_CSUM) != 0;

	if ((o->gso_type != VIRTIO_GSO_NONE && !gso_is_sane(q, m, o)) ||
			(needs_csum && !csum_is_sane(m, o))) {
		ppfrag_count(&q->stats.bad_header_packets, 1);
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_BAD;
		return;
	}
	if (o->gso_type != VIRTIO_GSO_NONE) {
		m->ol_flags |= RTE_MBUF_F_RX_LRO;
		m->tso_segsz = (uint16_t)o->gso_size;
	}
	if (needs_csum && csum_is_of_l4(o))
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_NONE;
	else if (needs_csum)
		csum_complete(m, o);
	else if ((o->flags & VIRTIO_HDR_F_DATA_VALID) != 0)
		m->ol_flags |= RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

static inline void
ip_check(struct rte_mbuf *m, const struct rx_offload *o)
{
	const uint32_t l2_len = o->lens.l2_len, l3_len = o->lens.l3_len;

	if (!RTE_ETH_IS_IPV4_HDR(o->ptype))
		return;
	if (l3_len >= sizeof(struct rte_ipv4_hdr) && l2_len + l3_len <= m->data_len &&
			rte_raw_cksum(rte_pktmbuf_mtod_offset(m, void *, l2_len), l3_len) ==
					UINT16_MAX)
		m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	else
		m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_BAD;
}

static inline void
packet_offload(struct ppfrag_rxq *q, struct rte_mbuf *m, uint32_t work)
{
	struct rx_offload o = { .flags = 0 };

	if ((work & PPFRAG_RX_WORK_HEADER) != 0)
		header_read(q, m, &o);
	if ((work & PPFRAG_RX_WORK_STRIP) != 0)
		o.tag_len = tag_strip(m);
	if ((work & (PPFRAG_RX_WORK_IP | PPFRAG_RX_WORK_PTYPE)) != 0 ||
			(o.flags & VIRTIO_HDR_F_NEEDS_CSUM) != 0 || o.gso_type != VIRTIO_GSO_NONE)
		o.ptype = rte_net_get_ptype(m, &o.lens, PARSED_LAYERS);
	if ((o.flags | o.gso_type) != 0)
		header_apply(q, m, &o);
	if ((work & PPFRAG_RX_WORK_IP) != 0)
		ip_check(m, &o);
	if ((work & PPFRAG_RX_WORK_PTYPE) != 0)
		m->packet_type = o.ptype & q->dev->ptypes;
}

void
ppfrag_rx_offload(struct ppfrag_rxq *q, struct rte_mbuf **pkts, uint16_t n, uint32_t work)
{
	uint16_t i;

	if ((work & PPFRAG_RX_WORK_SIZES) != 0)
		ppfrag_sizes_count(&q->stats.sizes, pkts, n);
	if ((work & ~PPFRAG_RX_WORK_SIZES) == 0)
		return;
	for (i = 0; i < n; i++)
		packet_offload(q, pkts[i], work);
}
