/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_string_fns.h>
#include <rte_ether.h>
#include <rte_kvargs.h>

#include "ppfrag_device.h"

#define DEFAULT_QUEUE_SIZE 256
/* What the kernel delivers while the application is away has to wait in the ring. */
#define DEFAULT_XSK_QUEUE_SIZE 1024
#define MIN_QUEUE_SIZE 4
#define MAX_QUEUE 895 /* with 128 queues, what the map of the program has */
/* Copying that much takes no longer than handing over; see the guide. */
#define DEFAULT_COPYBREAK 256

static int
parse_uint(const char *value, unsigned long min, unsigned long max, unsigned long *out)
{
	char *end;

	if (value[0] < '0' || value[0] > '9')
		return -EINVAL;
	errno = 0;
	*out = strtoul(value, &end, 0);
	return errno == 0 && *end == '\0' && *out >= min && *out <= max ? 0 : -EINVAL;
}

static int
parse_path(const char *value, struct ppfrag_dev *pd)
{
	if (value[0] == '\0' || strlen(value) >= sizeof(pd->path))
		return -EINVAL;
	rte_strscpy(pd->path, value, sizeof(pd->path));
	return 0;
}

static int
parse_mac(const char *value, struct ppfrag_dev *pd)
{
	if (rte_ether_unformat_addr(value, &pd->mac[0]) != 0)
		return -EINVAL;
	return rte_is_valid_assigned_ether_addr(&pd->mac[0]) ? 0 : -EINVAL;
}

static int
parse_queue_size(const char *value, struct ppfrag_dev *pd)
{
	unsigned long n;

	if (parse_uint(value, MIN_QUEUE_SIZE, PPFRAG_MAX_DESC, &n) != 0 || !rte_is_power_of_2(n))
		return -EINVAL;
	pd->queue_size = (uint16_t)n;
	return 0;
}

static int
parse_queues(const char *value, struct ppfrag_dev *pd)
{
	unsigned long n;

	if (parse_uint(value, 1, PPFRAG_MAX_PAIRS, &n) != 0)
		return -EINVAL;
	pd->max_pairs = (uint16_t)n;
	return 0;
}

static int
parse_flag(const char *value, bool *flag)
{
	unsigned long n;

	if (parse_uint(value, 0, 1, &n) != 0)
		return -EINVAL;
	*flag = n != 0;
	return 0;
}

static int
parse_speed(const char *value, struct ppfrag_dev *pd)
{
	unsigned long n;

	if (parse_uint(value, 1, UINT32_MAX, &n) != 0 ||
			rte_eth_speed_bitflag((uint32_t)n, RTE_ETH_LINK_FULL_DUPLEX) == 0)
		return -EINVAL;
	pd->speed = (uint32_t)n;
	return 0;
}

static int
parse_iface(const char *value, struct ppfrag_dev *pd)
{
	if (value[0] == '\0' || strlen(value) >= sizeof(pd->iface))
		return -EINVAL;
	rte_strscpy(pd->iface, value, sizeof(pd->iface));
	pd->kind = PPFRAG_KIND_XSK;
	return 0;
}

static int
parse_start_queue(const char *value, struct ppfrag_dev *pd)
{
	unsigned long n;

	if (parse_uint(value, 0, MAX_QUEUE, &n) != 0)
		return -EINVAL;
	pd->xsk.start_queue = (uint16_t)n;
	return 0;
}

static int
parse_xdp_mode(const char *value, struct ppfrag_dev *pd)
{
	bool native = strcmp(value, "native") == 0;

	pd->xsk.mode = native ? PPFRAG_XDP_NATIVE : PPFRAG_XDP_SKB;
	return native || strcmp(value, "skb") == 0 ? 0 : -EINVAL;
}

static int
parse_xdp_prog(const char *value, struct ppfrag_dev *pd)
{
	if (value[0] == '\0' || strlen(value) >= sizeof(pd->xsk.prog))
		return -EINVAL;
	rte_strscpy(pd->xsk.prog, value, sizeof(pd->xsk.prog));
	return 0;
}

/* All ports of a pool share its memory anyway. */
static int
parse_shared_umem(const char *value, struct ppfrag_dev *pd)
{
	unsigned long n;

	RTE_SET_USED(pd);
	return parse_uint(value, 0, 1, &n);
}

static int
parse_busy_budget(const char *value, struct ppfrag_dev *pd)
{
	unsigned long n;

	if (parse_uint(value, 0, UINT16_MAX, &n) != 0)
		return -EINVAL;
	pd->xsk.busy_budget = (uint16_t)n;
	return 0;
}

/* What net_virtio_user or net_af_xdp has and this driver has not. */
static int
parse_unsupported(const char *value, struct ppfrag_dev *pd)
{
	RTE_SET_USED(pd);
	return strcmp(value, "0") == 0 ? 0 : -ENOTSUP;
}

static int
parse_rx(const char *value, struct ppfrag_dev *pd)
{
	pd->want_slots = strcmp(value, "slots") == 0;
	pd->insist_slots = pd->want_slots;
	return pd->want_slots || strcmp(value, "lanes") == 0 ? 0 : -EINVAL;
}

static int
parse_copybreak(const char *value, struct ppfrag_dev *pd)
{
	unsigned long n;

	if (parse_uint(value, 0, PPFRAG_MAX_FRAME, &n) != 0)
		return -EINVAL;
	pd->copybreak = (uint16_t)n;
	return 0;
}

static int
parse_preset(const char *value, struct ppfrag_dev *pd)
{
	static const char * const names[] = {
		[PPFRAG_PRESET_AUTO] = "auto",
		[PPFRAG_PRESET_SPEED] = "speed",
		[PPFRAG_PRESET_DENSITY] = "density",
	};
	uint8_t i;

	for (i = 0; i < RTE_DIM(names) && strcmp(value, names[i]) != 0; i++)
		;
	pd->preset = i;
	return i < RTE_DIM(names) ? 0 : -EINVAL;
}

static int
parse_mtu(const char *value, struct ppfrag_dev *pd)
{
	unsigned long n;

	if (parse_uint(value, RTE_ETHER_MIN_MTU, PPFRAG_MAX_MTU, &n) != 0)
		return -EINVAL;
	pd->max_mtu = (uint16_t)n;
	return 0;
}

static int
parse_share(const char *value, struct ppfrag_dev *pd)
{
	struct ppfrag_share *share = &pd->share;

	if (strcmp(value, "all") == 0) {
		share->all = true;
		return 0;
	}
	if (value[0] == '\0' || strlen(value) >= sizeof(share->name[0]) ||
			share->nb == RTE_DIM(share->name))
		return -EINVAL;
	rte_strscpy(share->name[share->nb++], value, sizeof(share->name[0]));
	return 0;
}

#define FLAG(member) "number, 0 or 1", NULL, offsetof(struct ppfrag_dev, member)

static const struct arg {
	const char *key;
	const char *accepts;
	int (*parse)(const char *value, struct ppfrag_dev *pd); /* NULL: a flag */
	size_t flag;                                            /* where it is in pd */
} known_args[] = {
	{ "path", "path of the back end's socket, shorter than 108 characters", parse_path, 0 },
	{ "mac", "unicast MAC address, as 02:00:00:00:00:01", parse_mac, 0 },
	{ "queue_size", "power of 2 from 4 to 32768", parse_queue_size, 0 },
	{ "queues", "number of queue pairs from 1 to 128", parse_queues, 0 },
	{ "mrg_rxbuf", FLAG(mrg_rxbuf) },
	{ "packed_vq", FLAG(packed_vq) },
	{ "in_order", FLAG(in_order) },
	{ "indirect", FLAG(indirect) },
	{ "event_idx", FLAG(event_idx) },
	{ "server", FLAG(server) },
	{ "size_stats", FLAG(size_stats) },
	{ "speed", "speed in Mbps that Ethernet has, as 10000", parse_speed, 0 },
	{ "vectorized", "0", parse_unsupported, 0 },
	{ "cq", "0", parse_unsupported, 0 },
	{ "iface", "name of an interface, shorter than 16 characters", parse_iface, 0 },
	{ "start_queue", "number from 0 to 895", parse_start_queue, 0 },
	{ "queue_count", "number of queues from 1 to 128", parse_queues, 0 },
	{ "xdp_mode", "mode, native or skb", parse_xdp_mode, 0 },
	{ "force_copy", FLAG(xsk.force_copy) },
	{ "shared_umem", "number, 0 or 1", parse_shared_umem, 0 },
	{ "busy_budget", "number from 0 to 65535", parse_busy_budget, 0 },
	{ "xdp_prog", "path of an object file for BPF, shorter than 256 characters", parse_xdp_prog,
			0 },
	{ "use_cni", "0", parse_unsupported, 0 },
	{ "use_pinned_map", "0", parse_unsupported, 0 },
	{ "dp_path", "0", parse_unsupported, 0 },
	{ "rx", "way to receive, slots or lanes", parse_rx, 0 },
	{ "copybreak", "length in bytes from 0 to 65407", parse_copybreak, 0 },
	{ "mtu", "largest MTU from 68 to 65385", parse_mtu, 0 },
	{ "preset", "preset, auto, speed or density", parse_preset, 0 },
	{ "share", "name of a mempool, of 25 characters at most, or all; up to 8 times",
			parse_share, 0 },
};

#define KNOWN_KEYS \
	"path, mac, queue_size, queues, server, speed, mtu, mrg_rxbuf, packed_vq, in_order, indirect, " \
	"event_idx, size_stats, rx, copybreak, preset, share, iface, start_queue, queue_count, " \
	"xdp_mode, force_copy, shared_umem, busy_budget, xdp_prog"

/* Options of ports with iface=, and those of all ports; the others are of ports with path=. */
static const char * const xsk_keys[] = { "iface", "start_queue", "queue_count", "xdp_mode",
	"force_copy", "shared_umem", "busy_budget", "xdp_prog", "use_cni", "use_pinned_map",
	"dp_path" };
static const char * const common_keys[] = { "queue_size", "size_stats", "mtu", "rx", "copybreak",
	"preset" };

static bool
is_in(const char *key, const char * const *keys, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n && strcmp(key, keys[i]) != 0; i++)
		;
	return i < n;
}

static bool
is_of_kind(const char *key, uint8_t kind)
{
	bool xsk = is_in(key, xsk_keys, RTE_DIM(xsk_keys));

	return is_in(key, common_keys, RTE_DIM(common_keys)) || xsk == (kind == PPFRAG_KIND_XSK);
}

RTE_PMD_REGISTER_PARAM_STRING(net_ppfrag,
		"path=<string> mac=<mac> queue_size=<int> queues=<int> server=<0|1> speed=<int> mtu=<int> mrg_rxbuf=<0|1> "
		"packed_vq=<0|1> in_order=<0|1> indirect=<0|1> event_idx=<0|1> "
		"size_stats=<0|1> rx=<slots|lanes> copybreak=<int> preset=<auto|speed|density> share=<string|all> "
		"iface=<string> start_queue=<int> queue_count=<int> xdp_mode=<native|skb> "
		"force_copy=<0|1> shared_umem=<0|1> busy_budget=<int> xdp_prog=<string>");

static const struct arg *
find_arg(const char *key)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(known_args); i++)
		if (strcmp(known_args[i].key, key) == 0)
			return &known_args[i];
	return NULL;
}

static int
parse_pair(const char *name, const struct rte_kvargs *kvlist, const struct rte_kvargs_pair *pair,
		struct ppfrag_dev *pd)
{
	const struct arg *arg = find_arg(pair->key);
	const char *value = pair->value == NULL ? "" : pair->value;
	int ret;

	if (arg == NULL) {
		PPFRAG_LOG(ERR, "%s: unknown option '%s'; known are: " KNOWN_KEYS, name, pair->key);
		return -EINVAL;
	}
	if (arg->parse != parse_share && rte_kvargs_count(kvlist, pair->key) > 1) {
		PPFRAG_LOG(ERR, "%s: option '%s' is given more than once", name, pair->key);
		return -EINVAL;
	}
	ret = arg->parse != NULL ? arg->parse(value, pd) :
				   parse_flag(value, RTE_PTR_ADD(pd, arg->flag));
	if (ret == -ENOTSUP) {
		PPFRAG_LOG(ERR, "%s: option '%s=%s' of %s is not supported: leave it out", name,
				pair->key, value,
				is_of_kind(pair->key, PPFRAG_KIND_XSK) ? "net_af_xdp" :
									 "net_virtio_user");
		return ret;
	}
	if (ret != 0) {
		PPFRAG_LOG(ERR, "%s: option '%s=%s' is invalid; it takes a %s", name, pair->key,
				value, arg->accepts);
		return -EINVAL;
	}
	return 0;
}

/* A port is of one kind: options of the other one are mistakes. */
static int
check_kind(const char *name, const struct rte_kvargs *kvlist, struct ppfrag_dev *pd)
{
	bool xsk = pd->kind == PPFRAG_KIND_XSK;
	unsigned int i;

	if (!xsk && pd->path[0] == '\0') {
		PPFRAG_LOG(ERR, "%s: option 'path=SOCKET' of the vhost-user back end is missing, or 'iface=NAME' of an interface of the kernel",
				name);
		return -EINVAL;
	}
	if (xsk && pd->path[0] != '\0') {
		PPFRAG_LOG(ERR, "%s: options 'path' and 'iface' exclude each other: a port is a virtio device or an interface of the kernel",
				name);
		return -EINVAL;
	}
	for (i = 0; i < kvlist->count; i++) {
		if (is_of_kind(kvlist->pairs[i].key, pd->kind))
			continue;
		PPFRAG_LOG(ERR, "%s: option '%s' is for ports with %s=, this one has %s=", name,
				kvlist->pairs[i].key, xsk ? "path" : "iface",
				xsk ? "iface" : "path");
		return -EINVAL;
	}
	/* There all frames are in slots, or all are in lanes. */
	pd->insist_slots = pd->insist_slots || (xsk && pd->want_slots);
	if (pd->queue_size == 0)
		pd->queue_size = xsk ? DEFAULT_XSK_QUEUE_SIZE : DEFAULT_QUEUE_SIZE;
	return 0;
}

/* What is only of use where packets are received into slots. */
static int
check_lanes(const char *name, const struct rte_kvargs *kvlist, const struct ppfrag_dev *pd)
{
	static const char * const keys[] = { "preset", "copybreak" };
	unsigned int i;

	for (i = 0; i < RTE_DIM(keys) && !pd->want_slots; i++) {
		if (rte_kvargs_count(kvlist, keys[i]) == 0)
			continue;
		PPFRAG_LOG(ERR, "%s: option '%s' is about slots, and rx=lanes receives into none: leave one of the two out",
				name, keys[i]);
		return -EINVAL;
	}
	return 0;
}

int
ppfrag_args_parse(const char *name, const char *args, struct ppfrag_dev *pd)
{
	struct rte_kvargs *kvlist;
	unsigned int i;
	int ret = 0;

	pd->max_pairs = 1;
	pd->speed = RTE_ETH_SPEED_NUM_UNKNOWN;
	pd->mrg_rxbuf = true;
	pd->indirect = true;
	pd->want_slots = true;
	pd->copybreak = DEFAULT_COPYBREAK;
	pd->max_mtu = PPFRAG_MAX_MTU;
	rte_eth_random_addr(pd->mac[0].addr_bytes);

	kvlist = rte_kvargs_parse(args == NULL ? "" : args, NULL);
	if (kvlist == NULL) {
		PPFRAG_LOG(ERR, "%s: options '%s' are no list of key=value", name, args);
		return -EINVAL;
	}
	for (i = 0; i < kvlist->count && ret == 0; i++)
		ret = parse_pair(name, kvlist, &kvlist->pairs[i], pd);
	if (ret == 0)
		ret = check_kind(name, kvlist, pd);
	if (ret == 0)
		ret = check_lanes(name, kvlist, pd);
	rte_kvargs_free(kvlist);
	return ret;
}
