/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_string_fns.h>

#include "../ppfrag.h"
#include "vhost_user.h"

/* A socket at which back ends connect. What is said there is the same in both directions. */

static int
refuse(const struct vu *vu, int err, const char *what)
{
	PPFRAG_LOG(ERR, "%s: cannot listen at path=%s: %s", vu->name, vu->path, what);
	return -err;
}

static int
new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

/* Whether nobody listens at a socket any more. */
static bool
is_stale(const struct sockaddr_un *addr)
{
	int fd = new_socket(), ret;

	if (fd < 0)
		return false;
	ret = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 ? 0 : errno;
	close(fd);
	return ret == ECONNREFUSED;
}

/* Remove what a process that has ended has left behind. */
static int
stale_remove(const struct vu *vu, const struct sockaddr_un *addr)
{
	struct stat st;

	if (lstat(vu->path, &st) != 0)
		return errno == ENOENT ? 0 : refuse(vu, errno, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return refuse(vu, EEXIST, "there is a file that is no socket: choose another path");
	if (!is_stale(addr))
		return refuse(vu, EADDRINUSE,
				"another process listens there: choose another path, end it, or connect to it without server=1");
	return unlink(vu->path) == 0 || errno == ENOENT ? 0 : refuse(vu, errno, strerror(errno));
}

static int
server_bind(struct vu_server *s, const struct vu *vu, const struct sockaddr_un *addr)
{
	struct stat st;

	if (bind(s->fd, (const struct sockaddr *)addr, sizeof(*addr)) != 0 ||
			lstat(vu->path, &st) != 0)
		return refuse(vu, errno, strerror(errno));
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	return listen(s->fd, 1) == 0 ? 0 : refuse(vu, errno, strerror(errno));
}

int
vu_server_open(struct vu_server *s, const struct vu *vu)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int ret;

	if (rte_strscpy(addr.sun_path, vu->path, sizeof(addr.sun_path)) < 0)
		return refuse(vu, ENAMETOOLONG, "the path is too long");
	ret = stale_remove(vu, &addr);
	if (ret != 0)
		return ret;
	s->fd = new_socket();
	if (s->fd < 0)
		return refuse(vu, -s->fd, strerror(-s->fd));
	ret = server_bind(s, vu, &addr);
	if (ret != 0)
		vu_server_close(s, vu);
	return ret;
}

void
vu_server_close(struct vu_server *s, const struct vu *vu)
{
	struct stat st;

	if (s->fd < 0)
		return;
	/* Another process may have taken the path meanwhile. */
	if (s->ino != 0 && lstat(vu->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(vu->path);
	close(s->fd);
	s->fd = -1;
	s->ino = 0;
}

int
vu_server_accept(const struct vu_server *s, struct vu *vu)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;
	vu_adopt(vu, fd);
	return 0;
}
