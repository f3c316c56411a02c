/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Pools in a memfd, in secondary processes: EAL knows of the memory there, but it is not mapped.
 * The primary hands out the file when it is asked for it.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <unistd.h>

#include <rte_common.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_memory.h>
#include <rte_string_fns.h>

#include "ppool_create.h"
#include "ppool_memory.h"
#include "ppool_private.h"

#define ACTION "ppool_memfd"
#define ANSWER_SECONDS 5

/* The parameters of question and answer. */
struct question {
	char name[RTE_MEMPOOL_NAMESIZE];
};

struct answer {
	int err; /* 0: the file comes with the message */
	uint64_t offset;
	void *addr;
	size_t len;
};

_Static_assert(sizeof(struct question) <= RTE_MP_MAX_PARAM_LEN &&
				sizeof(struct answer) <= RTE_MP_MAX_PARAM_LEN,
		"question and answer fit into messages of EAL");

/* The primary's side */

static int
answer_question(const struct rte_mp_msg *msg, const void *peer)
{
	struct answer answer = { .err = EINVAL };
	struct rte_mp_msg reply = { .len_param = sizeof(answer) };
	struct rte_mempool *mp = NULL;
	struct ppool_memfd memfd;
	struct question question;

	if (msg->len_param == sizeof(question)) {
		memcpy(&question, msg->param, sizeof(question));
		question.name[sizeof(question.name) - 1] = '\0';
		mp = rte_mempool_lookup(question.name);
		answer.err = ENOENT;
	}
	if (mp != NULL && ppool_memfd(mp, &memfd) == 0) {
		answer.err = 0;
		answer.offset = memfd.offset;
		answer.addr = memfd.addr;
		answer.len = memfd.len;
		reply.fds[reply.num_fds++] = memfd.fd;
	}
	strlcpy(reply.name, ACTION, sizeof(reply.name));
	memcpy(reply.param, &answer, sizeof(answer));
	return rte_mp_reply(&reply, peer);
}

void
ppool_attach_serve(void)
{
	if (rte_mp_action_register(ACTION, answer_question) == 0 || rte_errno == EEXIST)
		return;
	/* With --in-memory there are no secondary processes. */
	if (rte_errno != ENOTSUP)
		PPOOL_LOG(WARNING, "secondary processes cannot attach to pools in a memfd: %s",
				rte_strerror(rte_errno));
}

/* The secondary's side */

/* Memory that is attached here. */
struct attached {
	LIST_ENTRY(attached) next;
	const struct rte_mempool *mp;
	void *addr;
	size_t len;
};

static LIST_HEAD(, attached) attached_list = LIST_HEAD_INITIALIZER(attached_list);
static rte_spinlock_t attached_lock = RTE_SPINLOCK_INITIALIZER;

static struct attached *
find_attached(const struct rte_mempool *mp)
{
	struct attached *a;

	LIST_FOREACH(a, &attached_list, next)
	if (a->mp == mp)
		break;
	return a;
}

static int
ask_primary(const struct rte_mempool *mp, struct answer *answer, int *fd)
{
	const struct timespec timeout = { .tv_sec = ANSWER_SECONDS };
	struct rte_mp_msg msg = { .len_param = sizeof(struct question) };
	struct question question = { .name = "" };
	struct rte_mp_reply reply;
	int ret = -ETIMEDOUT;

	strlcpy(msg.name, ACTION, sizeof(msg.name));
	strlcpy(question.name, mp->name, sizeof(question.name));
	memcpy(msg.param, &question, sizeof(question));
	if (rte_mp_request_sync(&msg, &reply, &timeout) != 0)
		return -rte_errno;
	if (reply.nb_received == 1 && reply.msgs[0].len_param == sizeof(*answer)) {
		memcpy(answer, reply.msgs[0].param, sizeof(*answer));
		ret = -answer->err;
		if (ret == 0 && reply.msgs[0].num_fds == 1)
			*fd = reply.msgs[0].fds[0];
		else if (ret == 0)
			ret = -EBADF;
	}
	free(reply.msgs);
	return ret;
}

/* At the same address as in the primary, as pointers into it are in shared memory. */
static int
map_there(const struct answer *answer, int fd)
{
	void *addr = mmap(answer->addr, answer->len, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED_NOREPLACE, fd, (off_t)answer->offset);

	if (addr == answer->addr)
		return 0;
	if (addr == MAP_FAILED)
		return -errno;
	munmap(addr, answer->len);
	return -EEXIST;
}

static int
attach(struct attached *a)
{
	struct answer answer;
	int fd = -1, ret;

	ret = ask_primary(a->mp, &answer, &fd);
	if (ret != 0)
		return ret;
	ret = map_there(&answer, fd);
	close(fd);
	if (ret != 0)
		return ret;
	a->addr = answer.addr;
	a->len = answer.len;
	if (rte_extmem_attach(a->addr, a->len) == 0)
		return 0;
	ret = -rte_errno;
	munmap(a->addr, a->len);
	return ret;
}

static int
attach_new(const struct rte_mempool *mp)
{
	struct attached *a = calloc(1, sizeof(*a));
	int ret;

	if (a == NULL)
		return -ENOMEM;
	a->mp = mp;
	ret = attach(a);
	if (ret != 0) {
		PPOOL_LOG(ERR, "mempool %s: its memfd cannot be mapped here: %s%s", mp->name,
				rte_strerror(-ret),
				ret == -EEXIST ? "; start the primary with another "
						 "--base-virtaddr" :
						 "");
		free(a);
		return ret;
	}
	LIST_INSERT_HEAD(&attached_list, a, next);
	return 0;
}

static bool
is_external(const struct rte_mempool *mp)
{
	const struct rte_mempool_memhdr *chunk = STAILQ_FIRST(&mp->mem_list);
	const struct rte_memseg_list *msl = NULL;

	if (chunk != NULL)
		msl = rte_mem_virt2memseg_list(chunk->addr);
	return msl != NULL && msl->external;
}

bool
ppool_is_mapped(const struct ppool *p)
{
	bool mapped;

	if (rte_eal_process_type() == RTE_PROC_PRIMARY || !is_external(p->mp))
		return true;
	rte_spinlock_lock(&attached_lock);
	mapped = find_attached(p->mp) != NULL;
	rte_spinlock_unlock(&attached_lock);
	return mapped;
}

int
ppool_attach(struct rte_mempool *mp)
{
	const struct ppool *p = ppool_from_mempool(mp);
	int ret = 0;

	if (p == NULL)
		return -ENOTSUP;
	if (rte_eal_process_type() == RTE_PROC_PRIMARY || !is_external(p->mp))
		return 0;
	rte_spinlock_lock(&attached_lock);
	if (find_attached(p->mp) == NULL)
		ret = attach_new(p->mp);
	rte_spinlock_unlock(&attached_lock);
	return ret;
}

int
ppool_detach(struct rte_mempool *mp)
{
	const struct ppool *p = ppool_from_mempool(mp);
	struct attached *a;

	if (p == NULL)
		return -ENOTSUP;
	rte_spinlock_lock(&attached_lock);
	a = find_attached(p->mp);
	if (a != NULL)
		LIST_REMOVE(a, next);
	rte_spinlock_unlock(&attached_lock);
	if (a == NULL)
		return 0;
	if (rte_extmem_detach(a->addr, a->len) != 0)
		PPOOL_LOG(ERR, "mempool %s: EAL does not let go of its memory: %s", mp->name,
				rte_strerror(rte_errno));
	munmap(a->addr, a->len);
	free(a);
	return 0;
}
