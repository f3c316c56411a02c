/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_net.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "ppfrag_offload.h"
#include "virtio_hdr.h"

/*
 * What goes in front of packets with offloads. Checksums of TCP and UDP and segmentation are left
 * to the back end. A VLAN tag and the checksum of an IPv4 header are put into a copy of the
 * packet's start, which takes its place on the way to the back end: the mbuf, which others may
 * use, too, stays as it is.
 */

#define IP_FLAGS (RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6)
#define SEG_FLAGS (RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG)

#define MACS_LEN (2u * RTE_ETHER_ADDR_LEN)
/* A length in the first four bits of a header, in words. */
#define L3_LEN_MAX 60u

/* What a packet asks for: each field of the mbuf, read once, as others may write it. */
struct tx_request {
	uint64_t flags;
	uint32_t l2_len, l3_len, l4_len;
	uint32_t segsz;
	uint32_t pkt_len;
	uint32_t data_len; /* of the first segment */
	const uint8_t *data;
	uint16_t vlan_tci;
	uint8_t tag_len; /* of the tag that is put in */
};

static inline void
request_read(const struct rte_mbuf *m, struct tx_request *r)
{
	struct rte_mbuf copy;

	copy.tx_offload = __atomic_load_n(&m->tx_offload, __ATOMIC_RELAXED);
	r->flags = __atomic_load_n(&m->ol_flags, __ATOMIC_RELAXED) & RTE_MBUF_F_TX_OFFLOAD_MASK;
	r->l2_len = copy.l2_len;
	r->l3_len = copy.l3_len;
	r->l4_len = copy.l4_len;
	r->segsz = copy.tso_segsz;
	r->pkt_len = __atomic_load_n(&m->pkt_len, __ATOMIC_RELAXED);
	r->data_len = __atomic_load_n(&m->data_len, __ATOMIC_RELAXED);
	r->data = rte_pktmbuf_mtod(m, const uint8_t *);
	r->vlan_tci = m->vlan_tci;
	r->tag_len = (r->flags & RTE_MBUF_F_TX_VLAN) != 0 ? RTE_VLAN_HLEN : 0;
}

/* The flag of the checksum that segmentation takes, or of the one that is asked for. */
static inline uint64_t
request_checksum(const struct tx_request *r)
{
	if ((r->flags & RTE_MBUF_F_TX_TCP_SEG) != 0)
		return RTE_MBUF_F_TX_TCP_CKSUM;
	if ((r->flags & RTE_MBUF_F_TX_UDP_SEG) != 0)
		return RTE_MBUF_F_TX_UDP_CKSUM;
	return r->flags & RTE_MBUF_F_TX_L4_MASK;
}

/* Whether everything that is asked for was configured. */
static inline bool
request_is_allowed(const struct ppfrag_txq *q, const struct tx_request *r)
{
	const uint64_t l4 = r->flags & RTE_MBUF_F_TX_L4_MASK;

	if ((r->flags & ~(q->allowed | RTE_MBUF_F_TX_L4_MASK | IP_FLAGS)) != 0)
		return false;
	if ((r->flags & SEG_FLAGS) != 0)
		return (r->flags & SEG_FLAGS) != SEG_FLAGS &&
				(l4 == 0 || l4 == request_checksum(r));
	if (l4 == RTE_MBUF_F_TX_TCP_CKSUM)
		return (q->offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0;
	if (l4 == RTE_MBUF_F_TX_UDP_CKSUM)
		return (q->offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) != 0;
	return l4 == 0;
}

/* Have the back end compute the checksum of TCP or UDP. Returns whether it can be there. */
static inline bool
head_set_checksum(struct virtio_hdr *hdr, const struct tx_request *r)
{
	const uint32_t start = r->l2_len + r->l3_len;
	const uint32_t offset = request_checksum(r) == RTE_MBUF_F_TX_TCP_CKSUM ?
			offsetof(struct rte_tcp_hdr, cksum) :
			offsetof(struct rte_udp_hdr, dgram_cksum);

	if (r->l2_len < RTE_ETHER_HDR_LEN || r->l3_len < sizeof(struct rte_ipv4_hdr) ||
			start + offset + sizeof(uint16_t) > r->pkt_len)
		return false;
	hdr->flags = VIRTIO_HDR_F_NEEDS_CSUM;
	hdr->csum_start = rte_cpu_to_le_16((uint16_t)(start + r->tag_len));
	hdr->csum_offset = rte_cpu_to_le_16((uint16_t)offset);
	return true;
}

/* Have the back end cut the packet into segments. Returns whether that makes sense. */
static inline bool
head_set_gso(struct virtio_hdr *hdr, const struct tx_request *r)
{
	const bool tcp = (r->flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
	const uint32_t headers = r->l2_len + r->l3_len + r->l4_len;
	const uint64_t ip = r->flags & IP_FLAGS;

	if (ip != RTE_MBUF_F_TX_IPV4 && ip != RTE_MBUF_F_TX_IPV6)
		return false;
	if (r->segsz == 0 || headers > r->pkt_len ||
			r->l4_len < (tcp ? sizeof(struct rte_tcp_hdr) : sizeof(struct rte_udp_hdr)))
		return false;
	if (r->pkt_len - headers <= r->segsz)
		return true; /* one segment: the checksum is all it takes */
	if (tcp)
		hdr->gso_type = ip == RTE_MBUF_F_TX_IPV4 ? VIRTIO_GSO_TCPV4 : VIRTIO_GSO_TCPV6;
	else
		hdr->gso_type = VIRTIO_GSO_UDP_L4;
	hdr->gso_size = rte_cpu_to_le_16((uint16_t)r->segsz);
	hdr->hdr_len = rte_cpu_to_le_16((uint16_t)(headers + r->tag_len));
	return true;
}

/* How much of the packet is rewritten; more than it has where its lengths make no sense. */
static inline uint32_t
request_skip(const struct tx_request *r)
{
	if ((r->flags & RTE_MBUF_F_TX_IP_CKSUM) == 0)
		return r->tag_len != 0 ? MACS_LEN : 0;
	if ((r->flags & RTE_MBUF_F_TX_IPV4) == 0 || r->l2_len < RTE_ETHER_HDR_LEN ||
			r->l3_len < sizeof(struct rte_ipv4_hdr) || r->l3_len > L3_LEN_MAX)
		return UINT32_MAX;
	return r->l2_len + r->l3_len;
}

/* Copy the start of the packet, with a tag behind the addresses. */
static inline void
head_copy_start(struct ppfrag_tx_head *head, const struct tx_request *r)
{
	uint8_t *to = &head->bytes[VIRTIO_HDR_LEN];
	const uint16_t tag[2] = { rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN),
		rte_cpu_to_be_16(r->vlan_tci) };

	memcpy(to, r->data, MACS_LEN);
	if (r->tag_len != 0)
		memcpy(to + MACS_LEN, tag, sizeof(tag));
	memcpy(to + MACS_LEN + r->tag_len, r->data + MACS_LEN, head->skip - MACS_LEN);
	head->len += head->skip + r->tag_len;
}

static inline void
head_set_ip_checksum(struct ppfrag_tx_head *head, const struct tx_request *r)
{
	uint8_t *ip = &head->bytes[VIRTIO_HDR_LEN + r->tag_len + r->l2_len];
	uint16_t sum = 0;

	memcpy(ip + offsetof(struct rte_ipv4_hdr, hdr_checksum), &sum, sizeof(sum));
	sum = (uint16_t)~rte_raw_cksum(ip, r->l3_len);
	memcpy(ip + offsetof(struct rte_ipv4_hdr, hdr_checksum), &sum, sizeof(sum));
}

static inline bool
head_init(const struct ppfrag_txq *q, const struct tx_request *r, struct ppfrag_tx_head *head)
{
	const uint32_t skip = request_skip(r);

	memset(&head->hdr, 0, sizeof(head->hdr));
	head->len = VIRTIO_HDR_LEN;
	if (!request_is_allowed(q, r) || skip > r->data_len)
		return false;
	head->skip = (uint16_t)skip;
	if (request_checksum(r) != 0 && !head_set_checksum(&head->hdr, r))
		return false;
	if ((r->flags & SEG_FLAGS) != 0 && !head_set_gso(&head->hdr, r))
		return false;
	if (skip != 0)
		head_copy_start(head, r);
	if ((r->flags & RTE_MBUF_F_TX_IP_CKSUM) != 0)
		head_set_ip_checksum(head, r);
	return true;
}

bool
ppfrag_tx_head(const struct ppfrag_txq *q, const struct rte_mbuf *m, struct ppfrag_tx_head *head)
{
	struct tx_request r;

	request_read(m, &r);
	return head_init(q, &r, head);
}

/*
 * Where the checksum of TCP or UDP is left to the back end, that of the pseudo header stands in its
 * place, with the length of the packet also where it is to be cut.
 */
static int
prepare_one(const struct ppfrag_txq *q, struct rte_mbuf *m)
{
	struct ppfrag_tx_head head;
	struct tx_request r;

	request_read(m, &r);
	if (r.flags == 0)
		return 0;
	if (!head_init(q, &r, &head))
		return -EINVAL;
	r.flags = (r.flags & ~(RTE_MBUF_F_TX_L4_MASK | SEG_FLAGS)) | request_checksum(&r);
	return rte_net_intel_cksum_flags_prepare(m, r.flags);
}

uint16_t
ppfrag_tx_prepare(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	const struct ppfrag_txq *q = txq;
	uint16_t i;
	int ret;

	for (i = 0; i < nb_pkts && q->allowed != 0; i++) {
		ret = prepare_one(q, pkts[i]);
		if (ret != 0) {
			rte_errno = -ret;
			return i;
		}
	}
	return nb_pkts;
}

/* X(offload, flag of an mbuf that asks for it) */
#define TX_FLAGS(X) \
	X(VLAN_INSERT, VLAN) \
	X(IPV4_CKSUM, IP_CKSUM) \
	X(TCP_CKSUM, TCP_CKSUM) \
	X(UDP_CKSUM, UDP_CKSUM) \
	X(TCP_TSO, TCP_SEG) \
	X(UDP_TSO, UDP_SEG)

#define TX_FLAG(offload, flag) \
	if ((offloads & RTE_ETH_TX_OFFLOAD_##offload) != 0) \
		q->allowed |= RTE_MBUF_F_TX_##flag;

void
ppfrag_tx_offload_init(struct ppfrag_txq *q, uint64_t offloads)
{
	q->offloads = offloads;
	q->allowed = 0;
	TX_FLAGS(TX_FLAG)
}
