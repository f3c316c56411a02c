/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "virtio.h"
#include "virtio_pci.h"

/*
 * Raising an eventfd that the back end has, too: it can clear O_NONBLOCK, which belongs to both
 * sides, and fill the counter, at any moment. A write() would then never return, and no test
 * before it helps. So the kernel raises the eventfd, as it does for devices: it never waits, a
 * counter that is full stays so. What makes it do so is a read of nothing from /dev/null by
 * io_submit(), which is over before the call returns.
 *
 * Where the kernel refuses that, a thread of the port writes, and nothing waits for this thread. A
 * back end that wins the race gets it stuck, and is not woken then; no other port suffers.
 */

/* Asynchronous reads */

/* Reads whose results were not collected yet. */
#define NOTIFY_DEPTH 64

/* Attempts while other lcores use up the results that this one has collected. */
#define NOTIFY_TRIES 4

/* Returns NULL, or what there is not, with errno. */
static const char *
aio_init(struct ppfrag_notifier *n)
{
	int err;

	n->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (n->null_fd < 0)
		return "/dev/null";
	n->ctx = 0;
	if (syscall(SYS_io_setup, NOTIFY_DEPTH, &n->ctx) == 0)
		return NULL;
	err = errno;
	close(n->null_fd);
	n->null_fd = -1;
	errno = err;
	return "io_setup()";
}

static void
aio_fini(struct ppfrag_notifier *n)
{
	syscall(SYS_io_destroy, n->ctx);
	close(n->null_fd);
	n->null_fd = -1;
}

/* Make room for more reads. Does not wait. */
static void
aio_collect(const struct ppfrag_notifier *n)
{
	struct io_event event[NOTIFY_DEPTH];
	struct timespec none = { .tv_sec = 0 };

	syscall(SYS_io_getevents, n->ctx, 0L, (long)NOTIFY_DEPTH, event, &none);
}

static void
aio_raise(const struct ppfrag_notifier *n, int fd)
{
	struct iocb read = {
		.aio_lio_opcode = IOCB_CMD_PREAD,
		.aio_fildes = (uint32_t)n->null_fd,
		.aio_flags = IOCB_FLAG_RESFD,
		.aio_resfd = (uint32_t)fd,
	};
	struct iocb *list = &read;
	unsigned int i;

	for (i = 0; i < NOTIFY_TRIES; i++) {
		if (syscall(SYS_io_submit, n->ctx, 1L, &list) == 1 || errno != EAGAIN)
			return;
		aio_collect(n);
	}
}

/* The thread */

static bool
eventfd_add(int fd)
{
	const uint64_t one = 1;

	return write(fd, &one, sizeof(one)) == sizeof(one);
}

static void
thread_raise(struct ppfrag_event *event)
{
	uint64_t count;

	if (!__atomic_exchange_n(&event->pending, false, __ATOMIC_ACQUIRE))
		return;
	/* Other rings wait for this one only where the back end clears it again just now. */
	fcntl(event->fd, F_SETFL, O_NONBLOCK);
	if (eventfd_add(event->fd))
		return;
	/* It is full: readable, but EAL waits for edges, and there is one when it is raised. */
	if (read(event->fd, &count, sizeof(count)) == sizeof(count))
		eventfd_add(event->fd);
}

/* It looks before it waits: the thread before it may have been cancelled between the two. */
static ppfrag_thread_ret_t
thread_run(void *arg)
{
	struct ppfrag_local *local = arg;
	unsigned int i;

	while (true) {
		for (i = 0; i < RTE_DIM(local->kick) && local->kick[i].fd >= 0; i++) {
			thread_raise(&local->kick[i]);
			thread_raise(&local->call[i]);
		}
		/* A signal makes it look in vain. */
		sem_wait(&local->notifier.wake);
	}
	return 0;
}

/*
 * pthread_cancel() loads this library, and aborts where there is none, as after a chroot(). One
 * that is loaded is found by its name. Other C libraries have no such file and need none.
 */
static void
cancel_prepare(void)
{
	dlopen("libgcc_s.so.1", RTLD_NOW);
}

static int
thread_start(struct ppfrag_local *local)
{
	struct ppfrag_notifier *n = &local->notifier;
	int ret;

	cancel_prepare();
	ret = ppfrag_thread_create(&n->thread, "ppfrag-wake", thread_run, local);

	n->has_thread = ret == 0;
	if (ret != 0)
		PPFRAG_LOG(ERR, "%s: cannot start the thread that wakes the back end: %s",
				local->vu.name, strerror(-ret));
	return ret;
}

/* Wherever it waits, in write(), too, it can be cancelled. */
static void
thread_stop(struct ppfrag_notifier *n)
{
	if (!n->has_thread)
		return;
	pthread_cancel(n->thread);
	pthread_join(n->thread, NULL);
	n->has_thread = false;
}

static void
thread_ask(struct ppfrag_notifier *n, struct ppfrag_event *event)
{
	/* One that is pending has been posted: the semaphore cannot overflow. */
	if (!__atomic_exchange_n(&event->pending, true, __ATOMIC_ACQ_REL))
		sem_post(&n->wake);
}

/* Either of them */

int
ppfrag_notify_init(struct ppfrag_local *local)
{
	const char *missing;

	sem_init(&local->notifier.wake, 0, 0);
	missing = aio_init(&local->notifier);
	if (missing == NULL)
		return 0;
	PPFRAG_LOG(WARNING,
			"%s: %s is refused: %s; a thread wakes the back end instead, which takes longer: "
			"allow io_setup() and raise fs.aio-max-nr",
			local->vu.name, missing, strerror(errno));
	return thread_start(local);
}

void
ppfrag_notify_fini(struct ppfrag_local *local)
{
	if (local->notifier.null_fd >= 0)
		aio_fini(&local->notifier);
	thread_stop(&local->notifier);
}

int
ppfrag_notify_restart(struct ppfrag_local *local)
{
	if (local->notifier.null_fd >= 0)
		return 0;
	thread_stop(&local->notifier);
	return thread_start(local);
}

void
ppfrag_kick(const struct ppfrag_dev *pd, uint16_t vring)
{
	struct ppfrag_local *local = rte_eth_devices[pd->port_id].process_private;

	/* A secondary process has no descriptor to write to; a polling back end needs none. */
	if (local == NULL)
		return;
#ifdef PPFRAG_HAS_PCI
	if (local->pci != NULL) {
		virtio_pci_kick(local->pci, &local->pci->bell[vring]);
		return;
	}
#endif
	ppfrag_notify(&local->notifier, &local->kick[vring]);
}

void
ppfrag_notify(struct ppfrag_notifier *n, struct ppfrag_event *event)
{
	if (n->null_fd >= 0)
		aio_raise(n, event->fd);
	else
		thread_ask(n, event);
}
