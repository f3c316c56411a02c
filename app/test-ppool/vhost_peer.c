/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_bitops.h>
#include <rte_common.h>

#include "vhost_peer.h"

/* The thread owns all but the positions in the rings; the lock guards what the test reads. */

#define REGIONS_MAX 8
#define FDS_MAX 16
#define PAYLOAD_MAX 512
#define WAIT_S 60

enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	GET_STATUS = 40,
};

#define MSG_VERSION 0x1u
#define MSG_REPLY 0x4u
#define MSG_NEED_REPLY 0x8u
#define PROTOCOL_MQ (UINT64_C(1) << 0)
#define PROTOCOL_REPLY_ACK (UINT64_C(1) << 3)
#define PROTOCOL_STATUS (UINT64_C(1) << 16)
#define DESC_NEXT 1u
#define DESC_WRITE 2u
#define DESC_AVAIL 0x80u
#define DESC_USED 0x8000u
/* Both positions 0, in the first lap. */
#define PACKED_BASE 0x80008000u

struct msg {
	struct {
		uint32_t request;
		uint32_t flags;
		uint32_t size;
	} hdr;
	union {
		uint64_t u64;
		struct {
			uint32_t index;
			uint32_t num;
		} state;
		struct {
			uint32_t index;
			uint32_t flags;
			uint64_t desc;
			uint64_t used;
			uint64_t avail;
			uint64_t log;
		} addr;
		struct {
			uint32_t nb;
			uint32_t padding;
			struct {
				uint64_t guest;
				uint64_t size;
				uint64_t user;
				uint64_t offset;
			} region[REGIONS_MAX];
		} mem;
		char bytes[PAYLOAD_MAX];
	};
	int fd[FDS_MAX];
	unsigned int nb_fds;
};

struct region {
	uint64_t addr;
	uint64_t size;
	char *mem;
};

struct vhost_peer {
	uint64_t features, acked;
	int listener, conn, wake[2];
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct region region[REGIONS_MAX];
	unsigned int nb_regions;
	unsigned int taken; /* rings */
	bool mute;
	uint32_t had; /* rings that were enabled once, as bits */
	struct vhost_ring ring[2 * VHOST_PAIRS];
};

/* Memory */

void *
vhost_peer_at(const struct vhost_peer *p, uint64_t addr, uint32_t len)
{
	const struct region *r;
	unsigned int i;

	for (i = 0; i < p->nb_regions; i++) {
		r = &p->region[i];
		if (addr - r->addr < r->size && len <= r->size - (addr - r->addr))
			return r->mem + (addr - r->addr);
	}
	return NULL;
}

static void
regions_unmap(struct vhost_peer *p)
{
	while (p->nb_regions > 0) {
		p->nb_regions--;
		munmap(p->region[p->nb_regions].mem, p->region[p->nb_regions].size);
	}
}

static bool
regions_map(struct vhost_peer *p, const struct msg *m)
{
	struct region *r;
	unsigned int i;

	regions_unmap(p);
	if (m->mem.nb != m->nb_fds || m->nb_fds > REGIONS_MAX)
		return false;
	for (i = 0; i < m->nb_fds; i++) {
		r = &p->region[i];
		r->addr = m->mem.region[i].user;
		r->size = m->mem.region[i].size;
		r->mem = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd[i],
				(off_t)m->mem.region[i].offset);
		if (r->mem == MAP_FAILED)
			return false;
		p->nb_regions++;
	}
	return true;
}

/* The protocol */

static bool
read_all(int fd, void *buf, size_t len)
{
	ssize_t n;

	for (; len > 0; len -= (size_t)n, buf = RTE_PTR_ADD(buf, n)) {
		n = recv(fd, buf, len, 0);
		if (n <= 0)
			return false;
	}
	return true;
}

static bool
msg_read(int fd, struct msg *m)
{
	union {
		char buf[CMSG_SPACE(FDS_MAX * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = &m->hdr, .iov_len = sizeof(m->hdr) };
	struct msghdr mh = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &mh, MSG_CMSG_CLOEXEC);
	struct cmsghdr *c;

	m->nb_fds = 0;
	if (n <= 0 || !read_all(fd, RTE_PTR_ADD(&m->hdr, n), sizeof(m->hdr) - (size_t)n) ||
			m->hdr.size > sizeof(m->bytes) || !read_all(fd, m->bytes, m->hdr.size))
		return false;
	c = CMSG_FIRSTHDR(&mh);
	if (c != NULL && c->cmsg_type == SCM_RIGHTS) {
		m->nb_fds = (unsigned int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(m->fd, CMSG_DATA(c), m->nb_fds * sizeof(int));
	}
	return true;
}

static bool
msg_reply(const struct vhost_peer *p, struct msg *m, uint32_t size)
{
	struct iovec iov[2] = { { .iov_base = &m->hdr, .iov_len = sizeof(m->hdr) },
		{ .iov_base = m->bytes, .iov_len = size } };
	const struct msghdr mh = { .msg_iov = iov, .msg_iovlen = RTE_DIM(iov) };

	m->hdr.flags = MSG_VERSION | MSG_REPLY;
	m->hdr.size = size;
	return sendmsg(p->conn, &mh, MSG_NOSIGNAL) == (ssize_t)(sizeof(m->hdr) + size);
}

static bool
reply_u64(const struct vhost_peer *p, struct msg *m, uint64_t value)
{
	m->u64 = value;
	return msg_reply(p, m, sizeof(m->u64));
}

/* The chains of a packed ring. */
struct vhost_taken {
	uint16_t first, nb;    /* of those in fifo */
	uint16_t nb_put;       /* entries that were written and not published */
	uint16_t chain[65536]; /* by id: descriptors, 0: the back end has no such chain */
	uint16_t fifo[65536];
	uint16_t place[65537]; /* by entry that was written: descriptors before it */
	struct vhost_desc desc[65536];
};

static bool
ring_set_packed(struct vhost_peer *p, struct vhost_ring *r, const struct msg *m)
{
	free(r->taken);
	r->taken = calloc(1, sizeof(*r->taken));
	r->packed = vhost_peer_at(p, m->addr.desc, r->num * sizeof(*r->packed));
	r->driver = vhost_peer_at(p, m->addr.avail, sizeof(*r->driver));
	r->device = vhost_peer_at(p, m->addr.used, sizeof(*r->device));
	r->next_used = 0;
	if (r->taken == NULL || r->packed == NULL || r->driver == NULL || r->device == NULL)
		return false;
	r->desc = r->taken->desc;
	return true;
}

static bool
ring_set_addr(struct vhost_peer *p, const struct msg *m)
{
	struct vhost_ring *r = &p->ring[m->addr.index % RTE_DIM(p->ring)];

	if ((p->acked & VHOST_F_PACKED) != 0)
		return ring_set_packed(p, r, m);
	r->packed = NULL;
	r->desc = vhost_peer_at(p, m->addr.desc, r->num * sizeof(*r->desc));
	r->avail = vhost_peer_at(p, m->addr.avail,
			sizeof(*r->avail) + r->num * sizeof(r->avail->ring[0]));
	r->used = vhost_peer_at(p, m->addr.used,
			sizeof(*r->used) + r->num * sizeof(r->used->ring[0]));
	r->next_used = 0;
	return r->desc != NULL && r->avail != NULL && r->used != NULL;
}

/* The descriptor is the ring's from here on. */
static void
ring_set_kick(struct vhost_peer *p, struct msg *m)
{
	struct vhost_ring *r = &p->ring[m->u64 % RTE_DIM(p->ring)];

	if (m->nb_fds == 0)
		return;
	if (r->kick >= 0)
		close(r->kick);
	r->kick = m->fd[0];
	m->fd[0] = -1;
	/* Without protocol features this is what enables a ring. */
	if ((p->acked & VHOST_F_PROTOCOL) == 0)
		r->enabled = true;
}

static bool
handle_state(struct vhost_peer *p, struct msg *m)
{
	struct vhost_ring *r = &p->ring[m->state.index % RTE_DIM(p->ring)];

	switch (m->hdr.request) {
	case SET_VRING_NUM:
		r->num = (uint16_t)m->state.num;
		return true;
	case SET_VRING_BASE:
		if ((p->acked & VHOST_F_PACKED) != 0 && m->state.num != PACKED_BASE)
			return false;
		r->next_avail = (uint16_t)(m->state.num & ~PACKED_BASE);
		return true;
	case SET_VRING_ENABLE:
		r->enabled = m->state.num != 0;
		if (r->enabled)
			p->had |= RTE_BIT32(r - p->ring);
		return true;
	default: /* GET_VRING_BASE */
		r->enabled = false;
		p->taken++;
		m->state.num = r->next_avail;
		return msg_reply(p, m, sizeof(m->state));
	}
}

/* A request; returns whether to go on. */
static bool
handle(struct vhost_peer *p, struct msg *m)
{
	bool ack = (m->hdr.flags & MSG_NEED_REPLY) != 0, ok = true;

	if (p->mute && (m->hdr.request == SET_VRING_ENABLE || m->hdr.request == GET_VRING_BASE))
		return true;
	switch (m->hdr.request) {
	case GET_FEATURES:
		return reply_u64(p, m, p->features);
	case GET_PROTOCOL_FEATURES:
		return reply_u64(p, m, PROTOCOL_MQ | PROTOCOL_REPLY_ACK | PROTOCOL_STATUS);
	case GET_QUEUE_NUM:
		return reply_u64(p, m, VHOST_PAIRS);
	case GET_STATUS:
		return reply_u64(p, m, 0);
	case GET_VRING_BASE:
		return handle_state(p, m);
	case SET_FEATURES:
		p->acked = m->u64;
		break;
	case SET_MEM_TABLE:
		ok = regions_map(p, m);
		break;
	case SET_VRING_ADDR:
		ok = ring_set_addr(p, m);
		break;
	case SET_VRING_KICK:
		ring_set_kick(p, m);
		break;
	case SET_VRING_NUM:
	case SET_VRING_BASE:
	case SET_VRING_ENABLE:
		ok = handle_state(p, m);
		break;
	default:
		break;
	}
	return ok && (!ack || reply_u64(p, m, 0));
}

static bool
serve_one(struct vhost_peer *p)
{
	struct msg m;
	unsigned int i;
	bool ok;

	if (!msg_read(p->conn, &m))
		return false;
	pthread_mutex_lock(&p->lock);
	ok = handle(p, &m);
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	for (i = 0; i < m.nb_fds; i++)
		if (m.fd[i] >= 0)
			close(m.fd[i]);
	return ok;
}

/* Wait for something from a descriptor; false: for nothing any more. */
static bool
wait_input(const struct vhost_peer *p, int fd)
{
	struct pollfd pfd[2] = { { .fd = p->wake[0], .events = POLLIN },
		{ .fd = fd, .events = POLLIN } };

	while (poll(pfd, RTE_DIM(pfd), -1) < 0 && errno == EINTR)
		;
	return pfd[0].revents == 0;
}

static void *
serve(void *arg)
{
	struct vhost_peer *p = arg;
	unsigned int i;

	while (wait_input(p, p->listener)) {
		p->conn = accept(p->listener, NULL, NULL);
		while (p->conn >= 0 && wait_input(p, p->conn) && serve_one(p))
			;
		close(p->conn);
		pthread_mutex_lock(&p->lock);
		for (i = 0; i < RTE_DIM(p->ring); i++)
			p->ring[i].enabled = false;
		p->mute = false;
		regions_unmap(p);
		pthread_mutex_unlock(&p->lock);
	}
	return NULL;
}

/* Control, by the test */

static int
listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strncpy(addr.sun_path, path, sizeof(addr.sun_path) - 1);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || listen(fd, 1) != 0)
		return -1;
	return fd;
}

struct vhost_peer *
vhost_peer_start(const char *path, uint64_t features)
{
	struct vhost_peer *p = calloc(1, sizeof(*p));
	unsigned int i;

	if (p == NULL)
		return NULL;
	p->features = features;
	for (i = 0; i < RTE_DIM(p->ring); i++)
		p->ring[i].kick = -1;
	p->listener = listen_at(path);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	if (p->listener < 0 || pipe(p->wake) != 0 ||
			pthread_create(&p->thread, NULL, serve, p) != 0) {
		free(p);
		return NULL;
	}
	return p;
}

void
vhost_peer_stop(struct vhost_peer *p)
{
	unsigned int i;

	close(p->wake[1]);
	pthread_join(p->thread, NULL);
	close(p->wake[0]);
	close(p->listener);
	for (i = 0; i < RTE_DIM(p->ring); i++) {
		if (p->ring[i].kick >= 0)
			close(p->ring[i].kick);
		free(p->ring[i].taken);
	}
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

bool
vhost_peer_wait_ring(struct vhost_peer *p, unsigned int i, bool enabled)
{
	struct timespec end;
	bool ready;
	int ret = 0;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += WAIT_S;
	pthread_mutex_lock(&p->lock);
	while (!(ready = p->ring[i].enabled == enabled) && ret == 0)
		ret = pthread_cond_timedwait(&p->changed, &p->lock, &end);
	pthread_mutex_unlock(&p->lock);
	return ready;
}

bool
vhost_peer_wait(struct vhost_peer *p)
{
	return vhost_peer_wait_ring(p, VHOST_RX, true) && vhost_peer_wait_ring(p, VHOST_TX, true);
}

unsigned int
vhost_peer_taken(struct vhost_peer *p)
{
	unsigned int taken;

	pthread_mutex_lock(&p->lock);
	taken = p->taken;
	pthread_mutex_unlock(&p->lock);
	return taken;
}

bool
vhost_peer_had(struct vhost_peer *p, unsigned int i)
{
	bool had;

	pthread_mutex_lock(&p->lock);
	had = (p->had & RTE_BIT32(i)) != 0;
	pthread_mutex_unlock(&p->lock);
	return had;
}

void
vhost_peer_mute(struct vhost_peer *p)
{
	pthread_mutex_lock(&p->lock);
	p->mute = true;
	pthread_mutex_unlock(&p->lock);
}

uint64_t
vhost_peer_acked(struct vhost_peer *p)
{
	uint64_t acked;

	pthread_mutex_lock(&p->lock);
	acked = p->acked;
	pthread_mutex_unlock(&p->lock);
	return acked;
}

uint32_t
vhost_peer_hdr_len(const struct vhost_peer *p)
{
	return (p->acked & (VHOST_F_VERSION_1 | VHOST_F_MRG_RXBUF)) != 0 ? VHOST_HDR_LEN :
									   VHOST_SHORT_HDR_LEN;
}

struct vhost_ring *
vhost_peer_ring(struct vhost_peer *p, unsigned int i)
{
	return &p->ring[i];
}

/* Packed rings */

static uint16_t
packed_lap(const struct vhost_ring *r, uint16_t at, bool used)
{
	const bool odd = (at & r->num) != 0;

	if (used)
		return odd ? 0 : DESC_AVAIL | DESC_USED;
	return odd ? DESC_USED : DESC_AVAIL;
}

static bool
packed_is_avail(const struct vhost_ring *r, uint16_t at)
{
	uint16_t flags = __atomic_load_n(&r->packed[at & (r->num - 1)].flags, __ATOMIC_ACQUIRE);

	return (flags & (DESC_AVAIL | DESC_USED)) == packed_lap(r, at, false);
}

/* Take over chains that the driver has made available. */
static void
packed_absorb(struct vhost_ring *r)
{
	struct vhost_taken *t = r->taken;
	const struct vhost_packed *d;
	uint16_t n, id;

	while ((uint16_t)(r->next_avail - r->next_used) < r->num &&
			packed_is_avail(r, r->next_avail)) {
		d = &r->packed[r->next_avail & (r->num - 1)];
		id = d->id & (r->num - 1);
		r->desc[id] = (struct vhost_desc){ d->addr, d->len, d->flags, 0 };
		for (n = 1; (d->flags & DESC_NEXT) != 0 && n < r->num; n++)
			d = &r->packed[(r->next_avail + n) & (r->num - 1)];
		t->chain[id] = n;
		t->fifo[(uint16_t)(t->first + t->nb++)] = id;
		r->next_avail += n;
	}
}

static void
packed_put(struct vhost_ring *r, uint16_t ahead, uint32_t id, uint32_t len)
{
	struct vhost_taken *t = r->taken;
	const uint16_t at = r->next_used + t->place[ahead];
	struct vhost_packed *d = &r->packed[at & (r->num - 1)];
	uint16_t step = id < r->num ? t->chain[id] : 0;

	t->place[ahead + 1] = t->place[ahead] + RTE_MAX(step, 1);
	t->nb_put = ahead + 1;
	/* Not to run over what the driver has not made available. */
	if ((uint16_t)(at - r->next_used) >= (uint16_t)(r->next_avail - r->next_used))
		return;
	if (step != 0) {
		t->chain[id] = 0;
		r->desc[id].len = 0;
	}
	__atomic_store_n(&d->id, (uint16_t)id, __ATOMIC_RELAXED);
	__atomic_store_n(&d->len, len, __ATOMIC_RELAXED);
}

/* The first one last, as good back ends do. */
static void
packed_publish(struct vhost_ring *r, uint16_t n)
{
	struct vhost_taken *t = r->taken;
	const uint16_t given = r->next_avail - r->next_used;
	uint16_t at, k;

	for (k = t->nb_put; k < n; k++)
		t->place[k + 1] = t->place[k] + 1;
	t->nb_put = 0;
	while (n > 0 && t->place[n - 1] >= given)
		n--;
	for (k = n; k > 0; k--) {
		at = r->next_used + t->place[k - 1];
		__atomic_store_n(&r->packed[at & (r->num - 1)].flags,
				packed_lap(r, at, true) | DESC_WRITE, __ATOMIC_RELEASE);
	}
	r->next_used += n == 0 ? 0 : RTE_MIN(t->place[n], given);
}

/* Rings */

uint16_t
vhost_ring_pending(struct vhost_ring *r)
{
	if (r->packed == NULL)
		return __atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE) - r->next_avail;
	packed_absorb(r);
	return r->taken->nb;
}

uint16_t
vhost_ring_take(struct vhost_ring *r)
{
	if (r->packed == NULL)
		return r->avail->ring[r->next_avail++ & (r->num - 1)] & (r->num - 1);
	r->taken->nb--;
	return r->taken->fifo[r->taken->first++];
}

void
vhost_ring_put(struct vhost_ring *r, uint16_t ahead, uint32_t id, uint32_t len)
{
	struct vhost_entry *e;

	if (r->packed != NULL) {
		packed_put(r, ahead, id, len);
		return;
	}
	e = &r->used->ring[(r->next_used + ahead) & (r->num - 1)];
	__atomic_store_n(&e->id, id, __ATOMIC_RELAXED);
	__atomic_store_n(&e->len, len, __ATOMIC_RELAXED);
}

void
vhost_ring_set_avail_event(struct vhost_ring *r, uint16_t event)
{
	__atomic_store_n((uint16_t *)&r->used->ring[r->num], event, __ATOMIC_RELAXED);
}

uint16_t
vhost_ring_used_event(const struct vhost_ring *r)
{
	return __atomic_load_n(&r->avail->ring[r->num], __ATOMIC_RELAXED);
}

void
vhost_ring_publish(struct vhost_ring *r, uint16_t n)
{
	if (r->packed != NULL) {
		packed_publish(r, n);
		return;
	}
	r->next_used += n;
	__atomic_store_n(&r->used->idx, r->next_used, __ATOMIC_RELEASE);
}

uint16_t
vhost_ring_consume(struct vhost_ring *r)
{
	uint16_t n, done = vhost_ring_pending(r);

	for (n = 0; n < done; n++)
		vhost_ring_put(r, n, vhost_ring_take(r), 0);
	vhost_ring_publish(r, done);
	return done;
}

void
vhost_ring_publish_last(struct vhost_ring *r, uint16_t n)
{
	const struct vhost_taken *t = r->taken;
	const uint16_t last = r->next_used + t->place[n - 1], next = r->next_used + t->place[n];

	r->packed[r->next_used & (r->num - 1)].id = r->packed[last & (r->num - 1)].id;
	r->packed[r->next_used & (r->num - 1)].len = r->packed[last & (r->num - 1)].len;
	packed_publish(r, 1);
	r->next_used = next;
}

uint16_t
vhost_ring_room(struct vhost_ring *r)
{
	if (r->packed == NULL)
		return UINT16_MAX;
	packed_absorb(r);
	return r->next_avail - r->next_used;
}

uint32_t *
vhost_ring_len_at(const struct vhost_ring *r, uint16_t place)
{
	return r->packed != NULL ? &r->packed[place].len : &r->used->ring[place].len;
}

void
vhost_ring_set_id_at(const struct vhost_ring *r, uint16_t place, uint32_t id)
{
	if (r->packed != NULL)
		__atomic_store_n(&r->packed[place].id, (uint16_t)id, __ATOMIC_RELAXED);
	else
		__atomic_store_n(&r->used->ring[place].id, id, __ATOMIC_RELAXED);
}

void
vhost_ring_scribble(const struct vhost_ring *r, int byte)
{
	uint16_t i;

	if (r->packed == NULL) {
		if (byte & 1)
			memset(r->desc, byte, r->num * sizeof(*r->desc));
		if (byte & 2)
			memset(r->avail, byte, sizeof(*r->avail) + 2 * r->num);
		return;
	}
	/* Not over the flags: else nobody knows where the other side is. */
	for (i = 0; i < r->num && (byte & 1); i++)
		memset(&r->packed[i], byte, offsetof(struct vhost_packed, flags));
	if (byte & 2)
		memset(r->driver, byte, sizeof(*r->driver));
	memset(r->device, byte, sizeof(*r->device));
}

static uint16_t
peer_fill(const struct vhost_peer *p, struct vhost_ring *r, const void *frame, uint32_t len)
{
	const uint32_t hdr_len = vhost_peer_hdr_len(p);
	uint32_t left = len, off = hdr_len, room;
	char *buf, *head = NULL;
	uint16_t id, n;

	for (n = 0; n == 0 || left > 0; n++, off = 0) {
		if (vhost_ring_pending(r) == 0)
			return 0;
		id = vhost_ring_take(r);
		buf = vhost_peer_at(p, r->desc[id].addr, r->desc[id].len);
		if (buf == NULL)
			return 0;
		room = RTE_MIN(left, r->desc[id].len - off);
		memcpy(buf + off, (const char *)frame + (len - left), room);
		left -= room;
		vhost_ring_put(r, n, id, off + room);
		if (head == NULL)
			head = buf;
	}
	memset(head, 0, hdr_len);
	if (hdr_len == VHOST_HDR_LEN)
		memcpy(head + VHOST_HDR_LEN - sizeof(n), &n, sizeof(n));
	return n;
}

uint16_t
vhost_peer_fill(struct vhost_peer *p, const void *frame, uint32_t len)
{
	return peer_fill(p, &p->ring[VHOST_RX], frame, len);
}

bool
vhost_peer_send_by(struct vhost_peer *p, struct vhost_ring *r, const void *frame, uint32_t len)
{
	uint16_t n = peer_fill(p, r, frame, len);

	vhost_ring_publish(r, n);
	return n != 0;
}

bool
vhost_peer_send(struct vhost_peer *p, const void *frame, uint32_t len)
{
	return vhost_peer_send_by(p, &p->ring[VHOST_RX], frame, len);
}
