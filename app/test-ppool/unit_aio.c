/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* Threads to which the kernel refuses asynchronous I/O, whatever it has to give. */

#include <errno.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "unit.h"

struct call {
	lcore_function_t *f;
	void *arg;
};

bool
unit_has_aio(void)
{
	unsigned long ctx = 0;

	if (syscall(SYS_io_setup, 1, &ctx) != 0)
		return false;
	syscall(SYS_io_destroy, ctx);
	return true;
}

/* For this thread. What a user may take of fs.aio-max-nr belongs to the whole system. */
static void
refuse_aio(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog prog = { .len = RTE_DIM(filter), .filter = filter };

	/* An emulator may have neither seccomp nor asynchronous I/O. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

static int
call_refused(void *arg)
{
	const struct call *call = arg;

	refuse_aio();
	return call->f(call->arg);
}

int
unit_without_aio(lcore_function_t *f, void *arg)
{
	struct call call = { .f = f, .arg = arg };

	return unit_on_thread(call_refused, &call);
}

static int
ask_aio(void *arg)
{
	RTE_SET_USED(arg);
	return unit_has_aio();
}

bool
unit_can_refuse_aio(void)
{
	return unit_without_aio(ask_aio, NULL) == 0;
}
