/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* Marks: pools and accounts that are looked at now and then. */

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_alarm.h>
#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_spinlock.h>

#include "mark.h"
#include "ppool_mark.h"
#include "ppool_private.h"

#define INTERVAL_MS 10u
#define INTERVAL_MAX_MS 60000u
/* How often ppool_wait_idle() looks. */
#define WAIT_US 1000u
/* How often a pool that is freed tries to leave its marks. */
#define DROP_US 100u

struct ppool_mark {
	struct rte_mempool *mp; /* NULL: an account, or a pool that was freed; changed with both
				 * locks held */
	uint16_t account;       /* 0: a pool */
	struct ppool_mark_conf conf;
	rte_spinlock_t lock;
	enum ppool_mark_state state; /* atomic */
	pthread_t caller;            /* of conf.changed, while has_caller */
	bool has_caller;
	int fd;
	struct ppool_mark *next;
};

/* All of this process. */
static pthread_mutex_t marks_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ppool_mark *marks;

/* Bytes of the pages that are not free. */
static uint64_t
pool_use(struct rte_mempool *mp)
{
	uint64_t page = mp->header_size + mp->elt_size + mp->trailer_size;

	return rte_mempool_in_use_count(mp) * page;
}

/* Lock held. */
static uint64_t
mark_use(const struct ppool_mark *mark)
{
	if (mark->account != 0)
		return ppool_account_used(mark->account);
	return mark->mp == NULL ? 0 : pool_use(mark->mp);
}

/* Lock held. */
static void
mark_change(struct ppool_mark *mark, enum ppool_mark_state state, uint64_t bytes)
{
	__atomic_store_n(&mark->state, state, __ATOMIC_RELEASE);
	/* It fails where nobody has read 2^64 changes. */
	if (eventfd_write(mark->fd, 1) != 0)
		PPOOL_LOG(DEBUG, "a mark's eventfd is full");
	if (mark->conf.changed == NULL)
		return;
	mark->caller = pthread_self();
	__atomic_store_n(&mark->has_caller, true, __ATOMIC_RELEASE);
	mark->conf.changed(state, bytes, mark->conf.arg);
	__atomic_store_n(&mark->has_caller, false, __ATOMIC_RELEASE);
}

enum ppool_mark_state
ppool_mark_state(const struct ppool_mark *mark)
{
	return __atomic_load_n(&mark->state, __ATOMIC_ACQUIRE);
}

enum ppool_mark_state
ppool_mark_poll(struct ppool_mark *mark)
{
	enum ppool_mark_state state;
	uint64_t bytes;

	/* Whoever looks at this moment, its own function included, sees the same. */
	if (rte_spinlock_trylock(&mark->lock) == 0)
		return ppool_mark_state(mark);
	bytes = mark_use(mark);
	if (mark->state == PPOOL_MARK_LOW && bytes >= mark->conf.high)
		mark_change(mark, PPOOL_MARK_HIGH, bytes);
	else if (mark->state == PPOOL_MARK_HIGH && bytes <= mark->conf.low)
		mark_change(mark, PPOOL_MARK_LOW, bytes);
	state = mark->state;
	/* The mark may be removed from here on. */
	rte_spinlock_unlock(&mark->lock);
	return state;
}

static int mark_arm(struct ppool_mark *mark);

static void
mark_alarm(void *arg)
{
	struct ppool_mark *mark = arg;

	ppool_mark_poll(mark);
	if (mark_arm(mark) != 0)
		PPOOL_LOG(ERR, "a mark is not looked at any more: no memory for an alarm; call ppool_mark_poll()");
}

static int
mark_arm(struct ppool_mark *mark)
{
	return rte_eal_alarm_set(mark->conf.interval_ms * UINT64_C(1000), mark_alarm, mark);
}

static void
mark_link(struct ppool_mark *mark)
{
	pthread_mutex_lock(&marks_lock);
	mark->next = marks;
	marks = mark;
	pthread_mutex_unlock(&marks_lock);
}

static void
mark_unlink(struct ppool_mark *mark)
{
	struct ppool_mark **at;

	pthread_mutex_lock(&marks_lock);
	for (at = &marks; *at != mark; at = &(*at)->next)
		;
	*at = mark->next;
	pthread_mutex_unlock(&marks_lock);
}

/* Returns NULL with rte_errno. */
static struct ppool_mark *
mark_create(struct rte_mempool *mp, uint16_t account, const struct ppool_mark_conf *conf)
{
	struct ppool_mark *mark;
	int ret;

	if (conf->low >= conf->high || conf->interval_ms > INTERVAL_MAX_MS) {
		rte_errno = EINVAL;
		return NULL;
	}
	mark = calloc(1, sizeof(*mark));
	if (mark == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	*mark = (struct ppool_mark){ .mp = mp, .account = account, .conf = *conf };
	rte_spinlock_init(&mark->lock);
	if (conf->interval_ms == 0)
		mark->conf.interval_ms = INTERVAL_MS;
	mark->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	ret = mark->fd < 0 ? -errno : mark_arm(mark);
	if (ret != 0) {
		if (mark->fd >= 0)
			close(mark->fd);
		free(mark);
		rte_errno = -ret;
		return NULL;
	}
	mark_link(mark);
	return mark;
}

struct ppool_mark *
ppool_mark_pool(struct rte_mempool *mp, const struct ppool_mark_conf *conf)
{
	if (!ppool_is_page_pool(mp)) {
		rte_errno = ENOTSUP;
		return NULL;
	}
	return mark_create(mp, 0, conf);
}

struct ppool_mark *
ppool_mark_account(uint16_t account, const struct ppool_mark_conf *conf)
{
	if (ppool_account_name(account) == NULL) {
		rte_errno = ENOENT;
		return NULL;
	}
	return mark_create(NULL, account, conf);
}

int
ppool_mark_fd(const struct ppool_mark *mark)
{
	return mark->fd;
}

int
ppool_mark_remove(struct ppool_mark *mark)
{
	if (__atomic_load_n(&mark->has_caller, __ATOMIC_ACQUIRE) &&
			pthread_equal(mark->caller, pthread_self()))
		return -EBUSY;
	/* Waits until it does not run, and then for those who look by ppool_mark_poll(). */
	rte_eal_alarm_cancel(mark_alarm, mark);
	rte_spinlock_lock(&mark->lock);
	rte_spinlock_unlock(&mark->lock);
	mark_unlink(mark);
	close(mark->fd);
	free(mark);
	return 0;
}

/* Returns false where somebody looks at one: its function may make and remove marks meanwhile. */
static bool
marks_try_drop(const struct rte_mempool *mp)
{
	struct ppool_mark *mark;
	bool all = true;

	pthread_mutex_lock(&marks_lock);
	for (mark = marks; mark != NULL; mark = mark->next) {
		/* Of no other: a function may free other pools than that of its mark. */
		if (mark->mp != mp)
			continue;
		if (rte_spinlock_trylock(&mark->lock) == 0) {
			all = false;
			continue;
		}
		mark->mp = NULL;
		rte_spinlock_unlock(&mark->lock);
	}
	pthread_mutex_unlock(&marks_lock);
	return all;
}

void
ppool_marks_drop(const struct rte_mempool *mp)
{
	while (!marks_try_drop(mp))
		rte_delay_us_sleep(DROP_US);
}

int
ppool_wait_idle(struct rte_mempool *mp, unsigned int timeout_ms)
{
	uint64_t end = rte_get_timer_cycles() + timeout_ms * rte_get_timer_hz() / 1000;

	if (!ppool_is_page_pool(mp))
		return -ENOTSUP;
	while (rte_mempool_in_use_count(mp) != 0) {
		if (rte_get_timer_cycles() >= end)
			return -ETIMEDOUT;
		rte_delay_us_sleep(WAIT_US);
	}
	return 0;
}
