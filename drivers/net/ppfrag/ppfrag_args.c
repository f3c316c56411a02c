/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <rte_string_fns.h>
#include <rte_ether.h>
#include <rte_kvargs.h>

#include "ppfrag_device.h"

#define DEFAULT_QUEUE_SIZE 256
/* What the kernel delivers while the application is away has to wait in the ring. */
#define DEFAULT_XSK_QUEUE_SIZE 1024
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

/* An option of ports. */
struct arg {
	const char *key;
	uint8_t kinds;       /* of ports that have it, by bits */
	const char *accepts; /* what it takes; limits of numbers and texts are said by themselves */
	int (*parse)(const struct arg *arg, const char *value, struct ppfrag_dev *pd);
	size_t offset; /* where the value goes in a port */
	size_t size;
	uint32_t min, max; /* of numbers */
};

const char * const ppfrag_preset_names[] = {
	[PPFRAG_PRESET_AUTO] = "auto",
	[PPFRAG_PRESET_SPEED] = "speed",
	[PPFRAG_PRESET_DENSITY] = "density",
};

/* The member is a bool or uint16_t. */
static int
parse_number(const struct arg *arg, const char *value, struct ppfrag_dev *pd)
{
	void *to = RTE_PTR_ADD(pd, arg->offset);
	unsigned long n;

	if (parse_uint(value, arg->min, arg->max, &n) != 0)
		return -EINVAL;
	if (arg->size == sizeof(bool))
		*(bool *)to = n != 0;
	else
		*(uint16_t *)to = (uint16_t)n;
	return 0;
}

static int
parse_text(const struct arg *arg, const char *value, struct ppfrag_dev *pd)
{
	if (value[0] == '\0' || strlen(value) >= arg->size)
		return -EINVAL;
	rte_strscpy(RTE_PTR_ADD(pd, arg->offset), value, arg->size);
	return 0;
}

static int
parse_mac(const struct arg *arg, const char *value, struct ppfrag_dev *pd)
{
	RTE_SET_USED(arg);
	if (rte_ether_unformat_addr(value, &pd->mac[0]) != 0)
		return -EINVAL;
	return rte_is_valid_assigned_ether_addr(&pd->mac[0]) ? 0 : -EINVAL;
}

static int
parse_queue_size(const struct arg *arg, const char *value, struct ppfrag_dev *pd)
{
	unsigned long n;

	RTE_SET_USED(arg);
	if (parse_uint(value, PPFRAG_MIN_DESC, PPFRAG_MAX_DESC, &n) != 0 || !rte_is_power_of_2(n))
		return -EINVAL;
	pd->queue_size = (uint16_t)n;
	return 0;
}

static int
parse_speed(const struct arg *arg, const char *value, struct ppfrag_dev *pd)
{
	unsigned long n;

	RTE_SET_USED(arg);
	if (parse_uint(value, 1, UINT32_MAX, &n) != 0 ||
			rte_eth_speed_bitflag((uint32_t)n, RTE_ETH_LINK_FULL_DUPLEX) == 0)
		return -EINVAL;
	pd->speed = (uint32_t)n;
	return 0;
}

static int
parse_xdp_mode(const struct arg *arg, const char *value, struct ppfrag_dev *pd)
{
	bool native = strcmp(value, "native") == 0;

	RTE_SET_USED(arg);
	pd->xsk.mode = native ? PPFRAG_XDP_NATIVE : PPFRAG_XDP_SKB;
	return native || strcmp(value, "skb") == 0 ? 0 : -EINVAL;
}

static int
parse_umem(const struct arg *arg, const char *value, struct ppfrag_dev *pd)
{
	RTE_SET_USED(arg);
	pd->xsk.own_umem = strcmp(value, "own") == 0;
	return pd->xsk.own_umem || strcmp(value, "pool") == 0 ? 0 : -EINVAL;
}

/* All ports of a pool share its memory anyway. */
static int
parse_shared_umem(const struct arg *arg, const char *value, struct ppfrag_dev *pd)
{
	unsigned long n;

	RTE_SET_USED(arg);
	RTE_SET_USED(pd);
	return parse_uint(value, 0, 1, &n);
}

/* What net_virtio_user or net_af_xdp has and this driver has not. */
static int
parse_unsupported(const struct arg *arg, const char *value, struct ppfrag_dev *pd)
{
	RTE_SET_USED(arg);
	RTE_SET_USED(pd);
	return strcmp(value, "0") == 0 ? 0 : -ENOTSUP;
}

static int
parse_rx(const struct arg *arg, const char *value, struct ppfrag_dev *pd)
{
	RTE_SET_USED(arg);
	pd->want_slots = strcmp(value, "slots") == 0;
	pd->insist_slots = pd->want_slots;
	return pd->want_slots || strcmp(value, "lanes") == 0 ? 0 : -EINVAL;
}

/* Only devices on the PCI bus have it, and without it they have another driver. */
static int
parse_claim(const struct arg *arg, const char *value, struct ppfrag_dev *pd)
{
	RTE_SET_USED(arg);
	pd->kind = PPFRAG_KIND_PCI;
	return strcmp(value, "1") == 0 ? 0 : -EINVAL;
}

static int
parse_preset(const struct arg *arg, const char *value, struct ppfrag_dev *pd)
{
	const uint8_t nb = RTE_DIM(ppfrag_preset_names);
	uint8_t i;

	RTE_SET_USED(arg);
	for (i = 0; i < nb && strcmp(value, ppfrag_preset_names[i]) != 0; i++)
		;
	pd->preset = i;
	return i < nb ? 0 : -EINVAL;
}

static int
parse_share(const struct arg *arg, const char *value, struct ppfrag_dev *pd)
{
	struct ppfrag_share *share = &pd->share;

	RTE_SET_USED(arg);
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

#define OF_VIRTIO (1u << PPFRAG_KIND_VIRTIO) /* with path= */
#define OF_XSK (1u << PPFRAG_KIND_XSK)       /* with iface= */
#define OF_PCI (1u << PPFRAG_KIND_PCI)       /* with ppfrag=1 */
#define OF_RINGS (OF_VIRTIO | OF_PCI)
#define OF_ALL (OF_RINGS | OF_XSK)

#define MEMBER(member) offsetof(struct ppfrag_dev, member), sizeof(((struct ppfrag_dev *)0)->member)
#define NUMBER(member, min, max) parse_number, MEMBER(member), min, max
#define FLAG(member) "number, 0 or 1", NUMBER(member, 0, 1)
#define TEXT(member) parse_text, MEMBER(member), 0, 0
#define OTHER(parse) parse, 0, 0, 0, 0

static const struct arg known_args[] = {
	{ "ppfrag", OF_PCI, "1", OTHER(parse_claim) },
	{ "path", OF_VIRTIO, "path of the back end's socket", TEXT(path) },
	{ "mac", OF_VIRTIO, "unicast MAC address, as 02:00:00:00:00:01", OTHER(parse_mac) },
	{ "queue_size", OF_ALL,
			"power of 2 from " RTE_STR(PPFRAG_MIN_DESC) " to " RTE_STR(PPFRAG_MAX_DESC),
			OTHER(parse_queue_size) },
	{ "queues", OF_VIRTIO, "number of queue pairs", NUMBER(max_pairs, 1, PPFRAG_MAX_PAIRS) },
	{ "server", OF_VIRTIO, FLAG(server) },
	{ "speed", OF_RINGS, "speed in Mbps that Ethernet has, as 10000", OTHER(parse_speed) },
	{ "mtu", OF_ALL, "largest MTU", NUMBER(max_mtu, RTE_ETHER_MIN_MTU, PPFRAG_MAX_MTU) },
	{ "mrg_rxbuf", OF_RINGS, FLAG(mrg_rxbuf) },
	{ "packed_vq", OF_VIRTIO, FLAG(packed_vq) },
	{ "in_order", OF_VIRTIO, FLAG(in_order) },
	{ "indirect", OF_VIRTIO, FLAG(indirect) },
	{ "event_idx", OF_VIRTIO, FLAG(event_idx) },
	{ "size_stats", OF_ALL, FLAG(size_stats) },
	{ "rx", OF_ALL, "way to receive, slots or lanes", OTHER(parse_rx) },
	{ "copybreak", OF_ALL, "length in bytes", NUMBER(copybreak, 0, PPFRAG_MAX_FRAME) },
	{ "preset", OF_ALL, "preset, auto, speed or density", OTHER(parse_preset) },
	{ "share", OF_VIRTIO, "name of a mempool, of 25 characters at most, or all; up to 8 times",
			OTHER(parse_share) },
	{ "iface", OF_VIRTIO | OF_XSK, "name of an interface", TEXT(iface) },
	{ "start_queue", OF_XSK, "number", NUMBER(xsk.start_queue, 0, MAX_QUEUE) },
	{ "queue_count", OF_XSK, "number of queues", NUMBER(max_pairs, 1, PPFRAG_MAX_PAIRS) },
	{ "xdp_mode", OF_XSK, "mode, native or skb", OTHER(parse_xdp_mode) },
	{ "force_copy", OF_XSK, FLAG(xsk.force_copy) },
	{ "shared_umem", OF_XSK, "number, 0 or 1", OTHER(parse_shared_umem) },
	{ "umem", OF_XSK, "memory, pool or own", OTHER(parse_umem) },
	{ "busy_budget", OF_XSK, "number", NUMBER(xsk.busy_budget, 0, UINT16_MAX) },
	{ "xdp_prog", OF_XSK, "path of an object file for BPF", TEXT(xsk.prog) },
	{ "vectorized", OF_VIRTIO, "0", OTHER(parse_unsupported) },
	{ "cq", OF_VIRTIO, "0", OTHER(parse_unsupported) },
	{ "use_cni", OF_XSK, "0", OTHER(parse_unsupported) },
	{ "use_pinned_map", OF_XSK, "0", OTHER(parse_unsupported) },
	{ "dp_path", OF_XSK, "0", OTHER(parse_unsupported) },
};

/* What the text for share= says. */
_Static_assert(RTE_MEMPOOL_NAMESIZE - 1 == 25 && PPFRAG_MAX_REGIONS == 8, "limits of share");

/* For dpdk-pmdinfo.py, which reads it out of the file: known_args in its words. */
RTE_PMD_REGISTER_PARAM_STRING(net_ppfrag,
		"ppfrag=<1> path=<string> mac=<mac> queue_size=<int> queues=<int> server=<0|1> speed=<int> mtu=<int> mrg_rxbuf=<0|1> "
		"packed_vq=<0|1> in_order=<0|1> indirect=<0|1> event_idx=<0|1> "
		"size_stats=<0|1> rx=<slots|lanes> copybreak=<int> preset=<auto|speed|density> share=<string|all> "
		"iface=<string> start_queue=<int> queue_count=<int> xdp_mode=<native|skb> "
		"force_copy=<0|1> shared_umem=<0|1> umem=<pool|own> busy_budget=<int> xdp_prog=<string>");

static const struct arg *
find_arg(const char *key)
{
	unsigned int i;

	for (i = 0; i < RTE_DIM(known_args); i++)
		if (strcmp(known_args[i].key, key) == 0)
			return &known_args[i];
	return NULL;
}

/* For those who have asked for an option that there is not. Devices of the PCI bus have theirs. */
static void
log_unknown(const char *name, const char *key)
{
	char known[512];
	size_t len = 0;
	unsigned int i;

	known[0] = '\0';
	for (i = 0; i < RTE_DIM(known_args) && len < sizeof(known); i++)
		if (known_args[i].parse != parse_unsupported && known_args[i].kinds != OF_PCI)
			len += (size_t)snprintf(&known[len], sizeof(known) - len, "%s%s",
					len == 0 ? "" : ", ", known_args[i].key);
	PPFRAG_LOG(ERR, "%s: unknown option '%s'; known are: %s", name, key, known);
}

static void
log_invalid(const char *name, const struct arg *arg, const char *value)
{
	char limits[64] = "";

	if (arg->parse == parse_number && arg->max > 1)
		snprintf(limits, sizeof(limits), " from %u to %u", arg->min, arg->max);
	else if (arg->parse == parse_text)
		snprintf(limits, sizeof(limits), ", shorter than %zu characters", arg->size);
	PPFRAG_LOG(ERR, "%s: option '%s=%s' is invalid; it takes a %s%s", name, arg->key, value,
			arg->accepts, limits);
}

static int
parse_pair(const char *name, const struct rte_kvargs *kvlist, const struct rte_kvargs_pair *pair,
		struct ppfrag_dev *pd)
{
	const struct arg *arg = find_arg(pair->key);
	const char *value = pair->value == NULL ? "" : pair->value;
	int ret;

	if (arg == NULL) {
		log_unknown(name, pair->key);
		return -EINVAL;
	}
	if (arg->parse != parse_share && rte_kvargs_count(kvlist, pair->key) > 1) {
		PPFRAG_LOG(ERR, "%s: option '%s' is given more than once", name, pair->key);
		return -EINVAL;
	}
	ret = arg->parse(arg, value, pd);
	if (ret == -ENOTSUP) {
		PPFRAG_LOG(ERR, "%s: option '%s=%s' of %s is not supported: leave it out", name,
				pair->key, value,
				arg->kinds == OF_XSK ? "net_af_xdp" : "net_virtio_user");
		return ret;
	}
	if (ret != 0)
		log_invalid(name, arg, value);
	return ret;
}

/* Whether the back end is the kernel: the name says so where there is no such device. */
static bool
path_is_kernel(const char *path)
{
	struct stat st;

	return strcmp(path, "/dev/vhost-net") == 0 || (stat(path, &st) == 0 && S_ISCHR(st.st_mode));
}

static int
check_backend(const char *name, struct ppfrag_dev *pd)
{
	if (!path_is_kernel(pd->path)) {
		pd->backend = VIRTIO_BACKEND_VHOST_USER;
		return 0;
	}
	pd->backend = VIRTIO_BACKEND_VHOST_KERNEL;
	if (!pd->server)
		return 0;
	PPFRAG_LOG(ERR, "%s: option 'server=1' is for sockets, and path=%s is the kernel's: leave it out",
			name, pd->path);
	return -EINVAL;
}

/* A port is of one kind: options of the other one are mistakes. */
static int
check_kind(const char *name, const struct rte_kvargs *kvlist, struct ppfrag_dev *pd)
{
	const bool kernel = path_is_kernel(pd->path);
	bool xsk = pd->iface[0] != '\0' && !kernel;
	unsigned int i;

	pd->kind = xsk ? PPFRAG_KIND_XSK : PPFRAG_KIND_VIRTIO;
	if (!xsk && pd->path[0] == '\0') {
		PPFRAG_LOG(ERR, "%s: option 'path=SOCKET' of the vhost-user back end is missing, or 'iface=NAME' of an interface of the kernel",
				name);
		return -EINVAL;
	}
	if (xsk && pd->path[0] != '\0') {
		PPFRAG_LOG(ERR, "%s: options 'path' and 'iface' exclude each other: a port is a virtio device or an interface of the kernel; only with path=/dev/vhost-net, iface names the tap",
				name);
		return -EINVAL;
	}
	for (i = 0; i < kvlist->count; i++) {
		if ((find_arg(kvlist->pairs[i].key)->kinds & (1u << pd->kind)) != 0)
			continue;
		PPFRAG_LOG(ERR, "%s: option '%s' is for ports with %s=, this one has %s=", name,
				kvlist->pairs[i].key, xsk ? "path" : "iface",
				xsk ? "iface" : "path");
		return -EINVAL;
	}
	if (check_backend(name, pd) != 0)
		return -EINVAL;
	/* There all frames are in slots, or all are in lanes. */
	pd->insist_slots = pd->insist_slots || (xsk && pd->want_slots);
	if (pd->queue_size == 0)
		pd->queue_size = xsk ? DEFAULT_XSK_QUEUE_SIZE : DEFAULT_QUEUE_SIZE;
	return 0;
}

/* A device of the PCI bus tells most of itself, and its rings are as large as it has them. */
static int
check_pci(const char *name, const struct rte_kvargs *kvlist)
{
	unsigned int i;

	for (i = 0; i < kvlist->count; i++) {
		if ((find_arg(kvlist->pairs[i].key)->kinds & OF_PCI) != 0)
			continue;
		PPFRAG_LOG(ERR, "%s: option '%s' is for other ports than devices of the PCI bus, with ppfrag=1: leave one of the two out",
				name, kvlist->pairs[i].key);
		return -EINVAL;
	}
	return 0;
}

/* What is only of use where packets are received into slots. */
static int
check_lanes(const char *name, const struct rte_kvargs *kvlist, const struct ppfrag_dev *pd)
{
	static const char * const keys[] = { "preset", "copybreak" };
	unsigned int i;

	if (pd->want_slots)
		return 0;
	for (i = 0; i < RTE_DIM(keys); i++) {
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
	pd->xsk.force_copy = true;
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
	if (ret == 0 && pd->kind == PPFRAG_KIND_PCI)
		ret = check_pci(name, kvlist);
	else if (ret == 0)
		ret = check_kind(name, kvlist, pd);
	if (ret == 0)
		ret = check_lanes(name, kvlist, pd);
	rte_kvargs_free(kvlist);
	return ret;
}
