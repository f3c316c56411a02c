/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_mempool.h>

#include "virtio.h"

/*
 * Pools that no receive queue of the port has, but the option share names: what other ports
 * receive into. Packets out of them are sent without a copy.
 */

/* Whether a mempool can have packets, whose bytes devices can reach. */
static bool
holds_packets(const struct rte_mempool *mp)
{
	return (mp->flags & RTE_MEMPOOL_F_NON_IO) == 0 && mp->populated_size != 0 &&
			mp->elt_size >= sizeof(struct rte_mbuf) &&
			mp->private_data_size >= sizeof(struct rte_pktmbuf_pool_private);
}

struct share_arg {
	struct ppfrag_mem *mem;
	const struct rte_eth_dev *dev;
	int ret;
};

static void
add_buffer(struct rte_mempool *mp, void *opaque, void *obj, unsigned int idx)
{
	const struct rte_mbuf *m = obj;
	struct share_arg *arg = opaque;

	RTE_SET_USED(mp);
	RTE_SET_USED(idx);
	if (arg->ret == 0)
		arg->ret = ppfrag_mem_add(arg->mem, m->buf_addr, m->buf_len);
}

/* The mbufs of some pools have their buffers elsewhere: the back end needs these only. */
static int
add_bytes(struct share_arg *arg, struct rte_mempool *mp)
{
	if (!holds_packets(mp) ||
			(rte_pktmbuf_priv_flags(mp) & RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF) == 0)
		return ppfrag_mem_add_pool(arg->mem, mp);
	rte_mempool_obj_iter(mp, add_buffer, arg);
	return arg->ret;
}

/* What helps besides what always does. */
static const char *
more_remedies(int err)
{
	return err == -EMFILE ? ", name fewer pools" : "";
}

static int
share_pool(struct share_arg *arg, struct rte_mempool *mp, const char *value)
{
	arg->ret = add_bytes(arg, mp);
	if (arg->ret != 0)
		PPFRAG_LOG(ERR, "%s: option 'share=%s': pool %s cannot be shared with the back end: %s%s, or leave the option out: what is sent from this pool is copied then",
				arg->dev->data->name, value, mp->name, ppfrag_mem_reason(arg->ret),
				more_remedies(arg->ret));
	return arg->ret;
}

static void
share_if_packets(struct rte_mempool *mp, void *opaque)
{
	struct share_arg *arg = opaque;

	if (arg->ret == 0 && holds_packets(mp))
		share_pool(arg, mp, "all");
}

/* The names of pools that could have been meant. */
struct name_list {
	char text[256];
	size_t len;
};

static void
list_name(struct rte_mempool *mp, void *opaque)
{
	struct name_list *list = opaque;
	size_t left = sizeof(list->text) - list->len;
	int n;

	if (!holds_packets(mp))
		return;
	n = snprintf(list->text + list->len, left, "%s%s", list->len == 0 ? "" : ", ", mp->name);
	if (n > 0 && (size_t)n < left)
		list->len += n;
	else
		list->text[list->len] = '\0';
}

static int
share_named(struct share_arg *arg, const char *name)
{
	struct rte_mempool *mp = rte_mempool_lookup(name);
	struct name_list list = { .len = 0 };

	if (mp != NULL)
		return share_pool(arg, mp, name);
	rte_mempool_walk(list_name, &list);
	PPFRAG_LOG(ERR, "%s: option 'share=%s': there is no pool of this name: create it before the port is started, or name one of these: %s",
			arg->dev->data->name, name, list.text);
	return -ENOENT;
}

int
ppfrag_share_add(struct ppfrag_mem *mem, const struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct share_arg arg = { .mem = mem, .dev = dev };
	uint8_t i;

	for (i = 0; i < pd->share.nb && arg.ret == 0; i++)
		arg.ret = share_named(&arg, pd->share.name[i]);
	if (arg.ret == 0 && pd->share.all)
		rte_mempool_walk(share_if_packets, &arg);
	return arg.ret;
}
