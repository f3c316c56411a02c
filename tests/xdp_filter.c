/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* A program for xdp_prog=: the port gets frames for experiments, the kernel all others. */

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u32);
} MAP SEC(".maps");

SEC("xdp")
int
filter(struct xdp_md *ctx)
{
	const struct ethhdr *eth = (void *)(long)ctx->data;

	if ((void *)(eth + 1) > (void *)(long)ctx->data_end ||
			eth->h_proto != bpf_htons(0x88b5))
		return XDP_PASS;
	return bpf_redirect_map(&MAP, ctx->rx_queue_index, XDP_PASS);
}
