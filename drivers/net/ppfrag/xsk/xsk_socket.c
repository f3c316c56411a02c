/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "xsk.h"

/* A socket, its four rings and its binding to a queue of an interface. */

/* The kernel wants a fill and a completion ring for every socket, used or not. */
#define RING_UNUSED 64u
/* How long the kernel may take to let go of a queue whose socket was just closed, and how often it
 * is asked.
 */
#define BUSY_MS 1000
#define BUSY_STEP_MS 5
/* The latest that the kernel waits for packets by itself where it is polled, in microseconds. */
#define BUSY_POLL_US 20

/* Rings */

static int
ring_map(struct xsk_ring *r, int fd, uint64_t page_offset, const struct xdp_ring_offset *o,
		uint32_t size, size_t entry)
{
	size_t len = o->desc + size * entry;
	void *map;

	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd,
			(off_t)page_offset);
	if (map == MAP_FAILED)
		return -errno;
	*r = (struct xsk_ring){
		.producer = RTE_PTR_ADD(map, o->producer),
		.consumer = RTE_PTR_ADD(map, o->consumer),
		.flags = RTE_PTR_ADD(map, o->flags),
		.desc = RTE_PTR_ADD(map, o->desc),
		.mask = size - 1,
		.map = map,
		.map_len = len,
	};
	return 0;
}

static void
ring_unmap(struct xsk_ring *r)
{
	if (r->map != NULL)
		munmap(r->map, r->map_len);
	r->map = NULL;
}

static int
ring_size(int fd, int option, uint32_t size)
{
	if (size == 0)
		return 0;
	return setsockopt(fd, SOL_XDP, option, &size, sizeof(size)) == 0 ? 0 : -errno;
}

static uint32_t
size_or_unused(uint32_t size)
{
	return size != 0 ? size : RING_UNUSED;
}

static int
rings_size(const struct xsk_socket *s, const struct xsk_socket_conf *conf)
{
	int ret;

	ret = ring_size(s->fd, XDP_UMEM_FILL_RING, size_or_unused(conf->rx_size));
	if (ret == 0)
		ret = ring_size(s->fd, XDP_UMEM_COMPLETION_RING, size_or_unused(conf->tx_size));
	if (ret == 0)
		ret = ring_size(s->fd, XDP_RX_RING, conf->rx_size);
	if (ret == 0)
		ret = ring_size(s->fd, XDP_TX_RING, conf->tx_size);
	return ret;
}

static int
rings_map(struct xsk_socket *s, const struct xsk_socket_conf *conf)
{
	struct xdp_mmap_offsets o;
	socklen_t len = sizeof(o);
	int ret;

	if (getsockopt(s->fd, SOL_XDP, XDP_MMAP_OFFSETS, &o, &len) != 0)
		return -errno;
	ret = ring_map(&s->fill, s->fd, XDP_UMEM_PGOFF_FILL_RING, &o.fr,
			size_or_unused(conf->rx_size), sizeof(uint64_t));
	if (ret == 0)
		ret = ring_map(&s->done, s->fd, XDP_UMEM_PGOFF_COMPLETION_RING, &o.cr,
				size_or_unused(conf->tx_size), sizeof(uint64_t));
	if (ret == 0 && conf->rx_size != 0)
		ret = ring_map(&s->rx, s->fd, XDP_PGOFF_RX_RING, &o.rx, conf->rx_size,
				sizeof(struct xdp_desc));
	if (ret == 0 && conf->tx_size != 0)
		ret = ring_map(&s->tx, s->fd, XDP_PGOFF_TX_RING, &o.tx, conf->tx_size,
				sizeof(struct xdp_desc));
	return ret;
}

static int
rings_init(struct xsk_socket *s, const struct xsk_socket_conf *conf)
{
	int ret = rings_size(s, conf);

	if (ret == 0)
		ret = rings_map(s, conf);
	if (ret != 0)
		PPFRAG_LOG(ERR, "%s: no rings of %u and %u descriptors: %s: use a smaller queue_size",
				conf->name, conf->rx_size, conf->tx_size, strerror(-ret));
	return ret;
}

/* The socket */

static int
fd_open(const struct xsk_socket_conf *conf)
{
	int fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
	const char *remedy = "";
	int err = errno;

	if (fd >= 0)
		return fd;
	if (err == EPERM)
		remedy = ": run it as root, or with the capability CAP_NET_RAW";
	else if (err == EAFNOSUPPORT)
		remedy = ": it takes Linux 5.9 with XDP sockets (CONFIG_XDP_SOCKETS)";
	PPFRAG_LOG(ERR, "%s: no AF_XDP socket: %s%s", conf->name, strerror(err), remedy);
	errno = err;
	return -1;
}

static int
option_set(int fd, int option, int value)
{
	return setsockopt(fd, SOL_SOCKET, option, &value, sizeof(value)) == 0 ? 0 : -errno;
}

static int
busy_poll_set(const struct xsk_socket *s, const struct xsk_socket_conf *conf)
{
	int ret;

	if (conf->busy_budget == 0)
		return 0;
	ret = option_set(s->fd, SO_PREFER_BUSY_POLL, 1);
	if (ret == 0)
		ret = option_set(s->fd, SO_BUSY_POLL, BUSY_POLL_US);
	if (ret == 0)
		ret = option_set(s->fd, SO_BUSY_POLL_BUDGET, conf->busy_budget);
	if (ret != 0)
		PPFRAG_LOG(ERR, "%s: busy_budget=%u: %s: it takes Linux 5.11 and the capability CAP_NET_ADMIN; leave it out",
				conf->name, conf->busy_budget, strerror(-ret));
	return ret;
}

static int
socket_init(struct xsk_socket *s, const struct xsk_socket_conf *conf)
{
	s->fd = fd_open(conf);
	if (s->fd < 0)
		return -errno;
	s->umem = conf->mp != NULL ? xsk_umem_get(conf->name, conf->mp, s->fd) :
				     xsk_umem_get_own(conf->name, conf->rx_size + conf->tx_size,
						     conf->frame, s->fd);
	if (s->umem == NULL)
		return -errno;
	if (rings_init(s, conf) != 0)
		return -EINVAL;
	return busy_poll_set(s, conf);
}

struct xsk_socket *
xsk_socket_open(const struct xsk_socket_conf *conf)
{
	struct xsk_socket *s = calloc(1, sizeof(*s));
	int ret;

	if (s == NULL)
		return NULL;
	s->ifindex = conf->ifindex;
	s->queue = conf->queue;
	ret = socket_init(s, conf);
	if (ret != 0) {
		xsk_socket_close(s);
		errno = -ret;
		return NULL;
	}
	return s;
}

/* Binding */

static int
bind_once(const struct xsk_socket *s, const struct xsk_socket_conf *conf, uint16_t flags,
		int shared_fd)
{
	const struct sockaddr_xdp addr = {
		.sxdp_family = AF_XDP,
		.sxdp_flags = flags,
		.sxdp_ifindex = conf->ifindex,
		.sxdp_queue_id = conf->queue,
		.sxdp_shared_umem_fd = (uint32_t)shared_fd,
	};

	if (bind(s->fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0)
		return 0;
	return -errno;
}

/*
 * The kernel frees a queue some time after the socket it was bound to. Who tries again anyway does
 * not wait for that.
 */
static int
bind_patiently(const struct xsk_socket *s, const struct xsk_socket_conf *conf, uint16_t flags,
		int shared_fd)
{
	unsigned int ms;
	int ret;

	for (ms = 0; ms < BUSY_MS; ms += BUSY_STEP_MS) {
		ret = bind_once(s, conf, flags, shared_fd);
		if (ret != -EBUSY || conf->hasty)
			return ret;
		usleep(BUSY_STEP_MS * 1000);
	}
	return -EBUSY;
}

/* The first socket of a umem decides how all of them work. */
static int
bind_first(const struct xsk_socket *s, const struct xsk_socket_conf *conf)
{
	uint16_t flags = XDP_USE_NEED_WAKEUP | (conf->force_copy ? XDP_COPY : 0);
	int ret;

	s->umem->sg = true;
	ret = bind_patiently(s, conf, flags | XDP_USE_SG, 0);
	if (ret != -EINVAL)
		return ret;
	s->umem->sg = false;
	return bind_patiently(s, conf, flags, 0);
}

/* One that is bound; the interface of some may be gone. */
static int
bind_shared(const struct xsk_socket *s, const struct xsk_socket_conf *conf)
{
	const struct xsk_socket *other;
	int ret = -EBADF;

	for (other = s->umem->bound; other != NULL && ret == -EBADF; other = other->next)
		ret = bind_patiently(s, conf, XDP_SHARED_UMEM, other->fd);
	return ret;
}

static void
bind_failed(const struct xsk_socket *s, const struct xsk_socket_conf *conf, int err)
{
	const char *remedy = "";

	if (err == EBUSY)
		remedy = ": another socket has it, see 'ss --xdp -p'";
	else if (err == EINVAL)
		remedy = ": it has no such queue: use a smaller start_queue or queue_count, see 'ethtool -l'; sharing a pool between queues takes Linux 5.10";
	else if (err == EOPNOTSUPP && s->umem->bound != NULL)
		remedy = ": it cannot work as the other ports of the pool do: use force_copy=1 for all of them, or a pool for each";
	else if (err == EBADF)
		remedy = ": the interfaces of all other ports of the pool are gone: stop these ports";
	else if (err == ENETDOWN)
		remedy = ": set it up with 'ip link set dev ... up'";
	PPFRAG_LOG(ERR, "%s: no socket for queue %u of interface '%s': %s%s", conf->name,
			conf->queue, conf->iface, strerror(err), remedy);
}

static void
look_at_mode(struct xsk_socket *s)
{
	struct xdp_options options = { .flags = 0 };
	socklen_t len = sizeof(options);

	if (getsockopt(s->fd, SOL_XDP, XDP_OPTIONS, &options, &len) == 0)
		s->zero_copy = (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
}

/* The kernel would have both of them use the rings of the first. */
static bool
is_bound_twice(const struct xsk_socket *s)
{
	const struct xsk_socket *other = s->umem->bound;

	while (other != NULL && (other->ifindex != s->ifindex || other->queue != s->queue))
		other = other->next;
	return other != NULL;
}

int
xsk_socket_bind(struct xsk_socket *s, const struct xsk_socket_conf *conf)
{
	int ret;

	if (is_bound_twice(s))
		ret = -EBUSY;
	else
		ret = s->umem->bound != NULL ? bind_shared(s, conf) : bind_first(s, conf);
	if (ret != 0) {
		bind_failed(s, conf, -ret);
		return ret;
	}
	s->next = s->umem->bound;
	s->umem->bound = s;
	s->is_bound = true;
	look_at_mode(s);
	return 0;
}

void
xsk_socket_close(struct xsk_socket *s)
{
	struct xsk_socket **at;

	if (s == NULL)
		return;
	xsk_umems_lock();
	if (s->is_bound) {
		for (at = &s->umem->bound; *at != s; at = &(*at)->next)
			;
		*at = s->next;
	}
	/* Rings that are mapped would keep the queue busy. */
	ring_unmap(&s->fill);
	ring_unmap(&s->rx);
	ring_unmap(&s->tx);
	ring_unmap(&s->done);
	if (s->fd >= 0)
		close(s->fd);
	xsk_umem_put(s->umem);
	xsk_umems_unlock();
	free(s);
}

void
xsk_socket_stats(const struct xsk_socket *s, uint64_t *missed, uint64_t *no_chunk)
{
	struct xdp_statistics stats = { .rx_dropped = 0 };
	socklen_t len = sizeof(stats);

	if (getsockopt(s->fd, SOL_XDP, XDP_STATISTICS, &stats, &len) != 0)
		return;
	*missed += stats.rx_dropped + stats.rx_ring_full;
	*no_chunk += stats.rx_fill_ring_empty_descs;
}
