/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "../ppfrag.h"

/*
 * Raising an eventfd that the back end has, too: it can clear O_NONBLOCK, which belongs to both
 * sides, and fill the counter, at any moment. A write() would then never return, and no test
 * before it helps. So the kernel raises the eventfd, as it does for devices: it never waits, a
 * counter that is full stays so. What makes it do so is a read of nothing from /dev/null by
 * io_submit(), which is over before the call returns.
 */

/* Reads whose results were not collected yet. */
#define NOTIFY_DEPTH 64

/* Attempts while other lcores use up the results that this one has collected. */
#define NOTIFY_TRIES 4

int
ppfrag_notify_init(struct ppfrag_notifier *n)
{
	int err;

	n->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (n->null_fd < 0)
		return -errno;
	n->ctx = 0;
	if (syscall(SYS_io_setup, NOTIFY_DEPTH, &n->ctx) == 0)
		return 0;
	err = errno;
	close(n->null_fd);
	n->null_fd = -1;
	return -err;
}

void
ppfrag_notify_fini(struct ppfrag_notifier *n)
{
	if (n->null_fd < 0)
		return;
	syscall(SYS_io_destroy, n->ctx);
	close(n->null_fd);
	n->null_fd = -1;
}

/* Make room for more reads. Does not wait. */
static void
notify_collect(const struct ppfrag_notifier *n)
{
	struct io_event event[NOTIFY_DEPTH];
	struct timespec none = { .tv_sec = 0 };

	syscall(SYS_io_getevents, n->ctx, 0L, (long)NOTIFY_DEPTH, event, &none);
}

void
ppfrag_notify(const struct ppfrag_notifier *n, int fd)
{
	struct iocb read = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)n->null_fd,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
	};
	struct iocb *list = &read;
	unsigned int i;

	if (n->null_fd < 0)
		return;
	for (i = 0; i < NOTIFY_TRIES; i++) {
		if (syscall(SYS_io_submit, n->ctx, 1L, &list) == 1 || errno != EAGAIN)
			return;
		notify_collect(n);
	}
}
