/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <rte_string_fns.h>

#include "../ppfrag.h"
#include "vhost_user.h"

#define VU_VERSION 0x1u
#define VU_VERSION_MASK 0x3u
#define VU_REPLY 0x4u
#define VU_NEED_REPLY 0x8u

struct vu_vring_state {
	uint32_t index;
	uint32_t num;
};

struct vu_vring_addr {
	uint32_t index;
	uint32_t flags;
	uint64_t desc;
	uint64_t used;
	uint64_t avail;
	uint64_t log;
};

struct vu_mem_table {
	uint32_t nb;
	uint32_t padding;
	struct {
		uint64_t guest_addr;
		uint64_t len;
		uint64_t user_addr;
		uint64_t offset;
	} region[VU_MAX_REGIONS];
};

struct vu_hdr {
	uint32_t request;
	uint32_t flags;
	uint32_t size; /* of the payload */
};

/* Sent and received without the gap between its members. */
struct vu_msg {
	struct vu_hdr hdr;
	union {
		uint64_t u64;
		struct vu_vring_state state;
		struct vu_vring_addr addr;
		struct vu_mem_table mem;
	} payload;
};

/* As the protocol has them, whatever this compiler aligns to. */
_Static_assert(sizeof(struct vu_hdr) == 12, "header of a message");
_Static_assert(sizeof(struct vu_vring_state) == 8, "SET_VRING_NUM");
_Static_assert(sizeof(struct vu_vring_addr) == 40 && offsetof(struct vu_vring_addr, desc) == 8,
		"SET_VRING_ADDR");
_Static_assert(sizeof(struct vu_mem_table) == 8 + 32 * VU_MAX_REGIONS &&
				offsetof(struct vu_mem_table, region) == 8,
		"SET_MEM_TABLE");

static const char *
request_name(uint32_t req)
{
	switch (req) {
#define VU_REQUEST_NAME(name, number) \
	case number: \
		return #name;
		VU_REQUESTS(VU_REQUEST_NAME)
#undef VU_REQUEST_NAME
	default:
		return "?";
	}
}

static int
fail(const struct vu *vu, const struct vu_msg *msg, int err, const char *what)
{
	PPFRAG_LOG_LEVEL(vu->quiet ? RTE_LOG_DEBUG : RTE_LOG_ERR, "%s: back end at %s: %s: %s",
			vu->name, vu->path, request_name(msg->hdr.request), what);
	return -err;
}

uint64_t
vu_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void
vu_begin(struct vu *vu)
{
	vu->deadline = vu_now() + VU_TIMEOUT_S * 1000;
}

/* What is left of the handshake, in ms. */
static int
time_left(const struct vu *vu)
{
	uint64_t now = vu_now();

	return now < vu->deadline ? (int)(vu->deadline - now) : 0;
}

/* Connecting waits for a back end that has others in its queue. */
static int
connect_within(int fd, const struct sockaddr_un *addr, int ms)
{
	/* All zero would be no limit. */
	struct timeval left = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 + 1 };

	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &left, sizeof(left)) != 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return 0;
}

void
vu_adopt(struct vu *vu, int fd)
{
	vu->fd = fd;
	vu->protocol = 0;
}

int
vu_connect(struct vu *vu)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd, ret;

	if (rte_strscpy(addr.sun_path, vu->path, sizeof(addr.sun_path)) < 0)
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret = connect_within(fd, &addr, vu->cancel_fd < 0 ? time_left(vu) : 0);
	if (ret != 0)
		close(fd);
	else
		vu_adopt(vu, fd);
	return ret;
}

void
vu_close(struct vu *vu)
{
	if (vu->fd >= 0)
		close(vu->fd);
	vu->fd = -1;
}

bool
vu_is_gone(const struct vu *vu)
{
	char byte;

	return recv(vu->fd, &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) >= 0 ||
			(errno != EAGAIN && errno != EINTR);
}

/* Wait until the socket can be read or written, and the request it is for goes on. */
static int
wait_socket(const struct vu *vu, const struct vu_msg *request, short events)
{
	struct pollfd pfd[] = {
		{ .fd = vu->fd, .events = events },
		{ .fd = vu->cancel_fd, .events = POLLIN },
	};
	int ret;

	do {
		ret = poll(pfd, RTE_DIM(pfd), time_left(vu));
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return fail(vu, request, errno, strerror(errno));
	if (pfd[1].revents != 0)
		return -ECANCELED;
	/* Also where the back end always has one more byte. */
	if (ret == 0 || time_left(vu) == 0)
		return fail(vu, request, ETIMEDOUT,
				"no answer within the " RTE_STR(VU_TIMEOUT_S) " s of a handshake");
	return 0;
}

static int
send_msg(const struct vu *vu, struct vu_msg *msg, const int *fds, unsigned int nb_fds)
{
	char control[CMSG_SPACE(VU_MAX_REGIONS * sizeof(int))] = { 0 };
	struct iovec iov[] = {
		{ .iov_base = &msg->hdr, .iov_len = sizeof(msg->hdr) },
		{ .iov_base = &msg->payload, .iov_len = msg->hdr.size },
	};
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = RTE_DIM(iov) };
	size_t len = sizeof(msg->hdr) + msg->hdr.size;
	struct cmsghdr *cmsg;
	ssize_t ret;

	if (nb_fds != 0) {
		mh.msg_control = control;
		mh.msg_controllen = CMSG_SPACE(nb_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&mh);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nb_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), fds, nb_fds * sizeof(int));
	}
	do {
		ret = wait_socket(vu, msg, POLLOUT);
		if (ret != 0)
			return (int)ret;
		ret = sendmsg(vu->fd, &mh, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	if (ret == (ssize_t)len)
		return 0;
	return ret < 0 ? fail(vu, msg, errno, strerror(errno)) :
			 fail(vu, msg, EIO, "it does not take the request");
}

/* No answer to any request used here carries file descriptors. */
static void
close_fds(struct msghdr *mh)
{
	struct cmsghdr *cmsg;
	size_t i, n;
	int fd;

	for (cmsg = CMSG_FIRSTHDR(mh); cmsg != NULL; cmsg = CMSG_NXTHDR(mh, cmsg)) {
		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (i = 0; i < n; i++) {
			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			close(fd);
		}
	}
}

static int
recv_bytes(const struct vu *vu, const struct vu_msg *request, void *buf, size_t len)
{
	char control[CMSG_SPACE(VU_MAX_REGIONS * sizeof(int))];
	struct iovec iov = { .iov_base = buf, .iov_len = len };
	struct msghdr mh;
	ssize_t ret;

	while (iov.iov_len != 0) {
		mh = (struct msghdr){ .msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };
		ret = wait_socket(vu, request, POLLIN);
		if (ret != 0)
			return (int)ret;
		ret = recvmsg(vu->fd, &mh, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
		if (ret < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (ret < 0)
			return fail(vu, request, errno, strerror(errno));
		close_fds(&mh);
		if (ret == 0)
			return fail(vu, request, ENOTCONN, "it closed the connection");
		iov.iov_base = RTE_PTR_ADD(iov.iov_base, ret);
		iov.iov_len -= ret;
	}
	return 0;
}

/* The answer to a request: its payload has the given size and replaces that of the request. */
static int
recv_reply(const struct vu *vu, struct vu_msg *msg, uint32_t size)
{
	struct vu_hdr hdr;
	int ret;

	ret = recv_bytes(vu, msg, &hdr, sizeof(hdr));
	if (ret != 0)
		return ret;
	if (hdr.request != msg->hdr.request || hdr.size != size ||
			(hdr.flags & (VU_VERSION_MASK | VU_REPLY)) != (VU_VERSION | VU_REPLY))
		return fail(vu, msg, EPROTO, "the answer is malformed");
	return recv_bytes(vu, msg, &msg->payload, size);
}

/* A request that is answered only where acknowledgements were agreed on. */
static int
set(const struct vu *vu, struct vu_msg *msg, const int *fds, unsigned int nb_fds)
{
	bool ack = (vu->protocol & RTE_BIT64(VU_PROTOCOL_F_REPLY_ACK)) != 0;
	int ret;

	msg->hdr.flags = VU_VERSION | (ack ? VU_NEED_REPLY : 0);
	ret = send_msg(vu, msg, fds, nb_fds);
	if (ret != 0 || !ack)
		return ret;
	ret = recv_reply(vu, msg, sizeof(msg->payload.u64));
	if (ret == 0 && msg->payload.u64 != 0)
		ret = fail(vu, msg, EPROTO, "it refuses the request");
	return ret;
}

static int
get(const struct vu *vu, struct vu_msg *msg, uint32_t size)
{
	int ret;

	msg->hdr.flags = VU_VERSION;
	ret = send_msg(vu, msg, NULL, 0);
	return ret != 0 ? ret : recv_reply(vu, msg, size);
}

int
vu_get(struct vu *vu, enum vu_request req, uint64_t *value)
{
	struct vu_msg msg = { .hdr = { .request = req } };
	int ret = get(vu, &msg, sizeof(msg.payload.u64));

	if (ret == 0)
		*value = msg.payload.u64;
	return ret;
}

int
vu_set(struct vu *vu, enum vu_request req, uint64_t value)
{
	struct vu_msg msg = { .hdr = { .request = req, .size = sizeof(msg.payload.u64) } };

	msg.payload.u64 = value;
	return set(vu, &msg, NULL, 0);
}

int
vu_set_owner(struct vu *vu)
{
	struct vu_msg msg = { .hdr = { .request = VU_SET_OWNER } };

	return set(vu, &msg, NULL, 0);
}

int
vu_set_mem_table(struct vu *vu, const struct vu_region *region, unsigned int n)
{
	struct vu_msg msg = { .hdr = { .request = VU_SET_MEM_TABLE } };
	struct vu_mem_table *mem = &msg.payload.mem;
	int fds[VU_MAX_REGIONS];
	unsigned int i;

	mem->nb = n;
	for (i = 0; i < n; i++) {
		mem->region[i].guest_addr = region[i].addr;
		mem->region[i].user_addr = region[i].addr;
		mem->region[i].len = region[i].len;
		mem->region[i].offset = region[i].offset;
		fds[i] = region[i].fd;
	}
	msg.hdr.size = offsetof(struct vu_mem_table, region[n]);
	return set(vu, &msg, fds, n);
}

int
vu_set_vring(struct vu *vu, enum vu_request req, uint16_t vring, uint32_t value)
{
	struct vu_msg msg = { .hdr = { .request = req, .size = sizeof(msg.payload.state) } };

	msg.payload.state.index = vring;
	msg.payload.state.num = value;
	return set(vu, &msg, NULL, 0);
}

int
vu_stop_vring(struct vu *vu, uint16_t vring)
{
	struct vu_msg msg = { .hdr = { .request = VU_GET_VRING_BASE,
					      .size = sizeof(msg.payload.state) } };
	int ret;

	msg.payload.state.index = vring;
	ret = get(vu, &msg, sizeof(msg.payload.state));
	if (ret == 0 && msg.payload.state.index != vring)
		ret = fail(vu, &msg, EPROTO, "the answer is for another ring");
	return ret;
}

int
vu_set_vring_addr(struct vu *vu, uint16_t vring, const void *desc, const void *avail,
		const void *used)
{
	struct vu_msg msg = { .hdr = { .request = VU_SET_VRING_ADDR,
					      .size = sizeof(msg.payload.addr) } };

	msg.payload.addr = (struct vu_vring_addr){
		.index = vring,
		.desc = (uintptr_t)desc,
		.avail = (uintptr_t)avail,
		.used = (uintptr_t)used,
	};
	return set(vu, &msg, NULL, 0);
}

int
vu_set_vring_fd(struct vu *vu, enum vu_request req, uint16_t vring, int fd)
{
	struct vu_msg msg = { .hdr = { .request = req, .size = sizeof(msg.payload.u64) } };

	msg.payload.u64 = vring;
	return set(vu, &msg, &fd, 1);
}
