/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <netinet/in.h>
#include <string.h>

#include <rte_net.h>

#include "flow_key.h"

/* Copy two fields that follow each other. Nothing happens where the packet ends before. */
static void
read_pair(const struct rte_mbuf *m, uint32_t offset, uint32_t len, void *first, void *second)
{
	uint8_t copy[32];
	const uint8_t *pair = rte_pktmbuf_read(m, offset, 2 * len, copy);

	if (pair == NULL)
		return;
	memcpy(first, pair, len);
	memcpy(second, pair + len, len);
}

void
flow_key_read(const struct rte_mbuf *m, struct flow_key *key)
{
	struct rte_net_hdr_lens lens;
	struct endpoint *end = key->end, swap;
	uint32_t type = rte_net_get_ptype(m, &lens,
			RTE_PTYPE_L2_MASK | RTE_PTYPE_L3_MASK | RTE_PTYPE_L4_MASK);

	memset(key, 0, sizeof(*key));
	if (RTE_ETH_IS_IPV4_HDR(type))
		read_pair(m, lens.l2_len + offsetof(struct rte_ipv4_hdr, src_addr), 4, end[0].addr,
				end[1].addr);
	else if (RTE_ETH_IS_IPV6_HDR(type))
		read_pair(m, lens.l2_len + offsetof(struct rte_ipv6_hdr, src_addr), 16, end[0].addr,
				end[1].addr);
	if ((type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_TCP)
		key->proto = IPPROTO_TCP;
	else if ((type & RTE_PTYPE_L4_MASK) == RTE_PTYPE_L4_UDP)
		key->proto = IPPROTO_UDP;
	if (key->proto != 0)
		read_pair(m, lens.l2_len + lens.l3_len, 2, &end[0].port, &end[1].port);
	if (memcmp(&end[0], &end[1], sizeof(swap)) > 0) {
		swap = end[0];
		end[0] = end[1];
		end[1] = swap;
	}
}
