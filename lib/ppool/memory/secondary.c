/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Pools in a memfd, in secondary processes: EAL knows of the memory there, but it is not mapped.
 * The primary hands out the file when it is asked for it.
 */

#include <errno.h>
#include <pthread.h>
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
#include "backing.h"
#include "ppool_private.h"

#define ACTION "ppool_memfd"
#define ANSWER_SECONDS 5

/* What a secondary asks for or tells. */
struct request {
	struct ppool_peer peer;
	void *detached;                  /* NULL: it wants to attach */
	char name[RTE_MEMPOOL_NAMESIZE]; /* of the pool */
};

struct answer {
	int err; /* 0: the file comes with the message */
	uint64_t offset;
	void *addr;
	size_t len;
};

_Static_assert(sizeof(struct request) <= RTE_MP_MAX_PARAM_LEN &&
				sizeof(struct answer) <= RTE_MP_MAX_PARAM_LEN,
		"request and answer fit into messages of EAL");

/* The primary's side */

static int
request_answer(const struct request *request, const void *peer)
{
	struct rte_mp_msg reply = { .len_param = sizeof(struct answer) };
	struct answer answer = { .err = 0 };
	struct ppool_memfd memfd;
	int ret;

	answer.err = -ppool_region_share(request->name, &request->peer, &memfd);
	if (answer.err == 0) {
		answer.offset = memfd.offset;
		answer.addr = memfd.addr;
		answer.len = memfd.len;
		reply.fds[reply.num_fds++] = memfd.fd;
	}
	strlcpy(reply.name, ACTION, sizeof(reply.name));
	memcpy(reply.param, &answer, sizeof(answer));
	ret = rte_mp_reply(&reply, peer);
	if (answer.err == 0)
		close(memfd.fd);
	return ret;
}

static int
request_handle(const struct rte_mp_msg *msg, const void *peer)
{
	struct request request;

	if (msg->len_param != sizeof(request))
		return -EINVAL;
	memcpy(&request, msg->param, sizeof(request));
	request.name[sizeof(request.name) - 1] = '\0';
	request.peer.name[sizeof(request.peer.name) - 1] = '\0';
	if (request.detached == NULL)
		return request_answer(&request, peer);
	ppool_region_unshare(request.detached, &request.peer);
	return 0;
}

void
ppool_attach_serve(void)
{
	if (rte_mp_action_register(ACTION, request_handle) == 0 || rte_errno == EEXIST)
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
/* Held while the primary is asked, which may take seconds. */
static pthread_mutex_t attached_lock = PTHREAD_MUTEX_INITIALIZER;

/* Where the pages of a pool are in the primary, NULL where they need not be attached. */
static void *
pool_base(const struct ppool *p)
{
	const struct rte_mempool_memhdr *chunk = NULL;
	const struct rte_memseg_list *msl = NULL;

	if (p != NULL && rte_eal_process_type() != RTE_PROC_PRIMARY)
		chunk = STAILQ_FIRST(&p->mp->mem_list);
	if (chunk != NULL)
		msl = rte_mem_virt2memseg_list(chunk->addr);
	return msl != NULL && msl->external ? msl->base_va : NULL;
}

/* Lock held. */
static struct attached *
attached_find(const struct rte_mempool *mp)
{
	struct attached *a;

	LIST_FOREACH(a, &attached_list, next) {
		if (a->mp == mp)
			break;
	}
	return a;
}

static void
request_init(struct rte_mp_msg *msg, const char *name, void *detached)
{
	struct request request = { .detached = detached };

	request.peer.pid = getpid();
	strlcpy(request.peer.name, program_invocation_short_name, sizeof(request.peer.name));
	strlcpy(request.name, name, sizeof(request.name));
	memset(msg, 0, sizeof(*msg));
	strlcpy(msg->name, ACTION, sizeof(msg->name));
	memcpy(msg->param, &request, sizeof(request));
	msg->len_param = sizeof(request);
}

/* Without an answer: where the primary is gone, there is nobody to be told. */
static void
tell_primary(void *detached)
{
	struct rte_mp_msg msg;

	request_init(&msg, "", detached);
	rte_mp_sendmsg(&msg);
}

static int
ask_primary(const struct rte_mempool *mp, struct answer *answer, int *fd)
{
	const struct timespec timeout = { .tv_sec = ANSWER_SECONDS };
	struct rte_mp_reply reply;
	struct rte_mp_msg msg;
	int ret = -ETIMEDOUT;

	request_init(&msg, mp->name, NULL);
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
answer_map(const struct answer *answer, int fd)
{
	void *addr = mmap(answer->addr, answer->len, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_FIXED_NOREPLACE, fd, (off_t)answer->offset);

	if (addr == MAP_FAILED)
		return -errno;
	if (addr == answer->addr && rte_extmem_attach(addr, answer->len) == 0)
		return 0;
	munmap(addr, answer->len);
	return addr == answer->addr ? -rte_errno : -EEXIST;
}

static int
attached_map(struct attached *a)
{
	struct answer answer;
	int fd = -1, ret;

	ret = ask_primary(a->mp, &answer, &fd);
	if (ret != 0)
		return ret;
	ret = answer_map(&answer, fd);
	close(fd);
	if (ret != 0)
		tell_primary(answer.addr);
	a->addr = answer.addr;
	a->len = answer.len;
	return ret;
}

/* Lock held. */
static int
attached_add(const struct rte_mempool *mp)
{
	struct attached *a = calloc(1, sizeof(*a));
	int ret;

	if (a == NULL)
		return -ENOMEM;
	a->mp = mp;
	ret = attached_map(a);
	if (ret != 0) {
		PPOOL_LOG(ERR, "mempool %s: its memfd cannot be mapped here: %s%s", mp->name,
				rte_strerror(-ret),
				ret == -EEXIST ?
						"; start the primary with another --base-virtaddr" :
						"");
		free(a);
		return ret;
	}
	LIST_INSERT_HEAD(&attached_list, a, next);
	return 0;
}

/* Lock held. The pool may be freed. */
static void
attached_remove(struct attached *a)
{
	LIST_REMOVE(a, next);
	if (rte_extmem_detach(a->addr, a->len) != 0)
		PPOOL_LOG(ERR, "EAL does not let go of the memory at %p: %s", a->addr,
				rte_strerror(rte_errno));
	munmap(a->addr, a->len);
	tell_primary(a->addr);
	free(a);
}

bool
ppool_needs_attach(const struct ppool *p)
{
	return pool_base(p) != NULL;
}

bool
ppool_is_mapped(const struct ppool *p)
{
	void *base = pool_base(p);
	const struct attached *a;
	bool mapped;

	if (base == NULL)
		return true;
	pthread_mutex_lock(&attached_lock);
	a = attached_find(p->mp);
	mapped = a != NULL && a->addr == base;
	pthread_mutex_unlock(&attached_lock);
	return mapped;
}

int
ppool_attach(struct rte_mempool *mp)
{
	const struct ppool *p = ppool_find(mp);
	void *base = pool_base(p);
	struct attached *a;
	int ret = 0;

	if (p == NULL)
		return -ENOTSUP;
	if (base == NULL)
		return 0;
	pthread_mutex_lock(&attached_lock);
	a = attached_find(p->mp);
	/* A pool that was at this place before has been freed. */
	if (a != NULL && a->addr != base) {
		attached_remove(a);
		a = NULL;
	}
	if (a == NULL)
		ret = attached_add(p->mp);
	pthread_mutex_unlock(&attached_lock);
	return ret;
}

/* A pool that the primary has freed is known by its address only. */
int
ppool_detach(struct rte_mempool *mp)
{
	const struct ppool *p = NULL;
	struct attached *a;

	pthread_mutex_lock(&attached_lock);
	a = attached_find(mp);
	if (a == NULL)
		p = ppool_find(mp);
	if (p != NULL)
		a = attached_find(p->mp);
	if (a != NULL)
		attached_remove(a);
	pthread_mutex_unlock(&attached_lock);
	return a == NULL && p == NULL ? -ENOTSUP : 0;
}
