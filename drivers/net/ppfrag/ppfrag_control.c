/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <rte_alarm.h>

#include "ppfrag_control.h"
#include "virtio/backend.h"
#include "virtio/virtio_device.h"

/*
 * The control thread owns the connection: it makes it, notices that it is gone, and makes another
 * one, for ever. What is said there, the device knows. The application asks the thread and waits
 * for its answer; what the thread does by itself ends when it is asked something.
 *
 * A back end that comes after another one finds rings that it knows nothing about. So the thread
 * begins a new epoch: a number next to link_up. Each queue's own thread sees it at its next burst,
 * resets the ring, posts buffers again and stores the number of the rings in the queue; the ring is
 * handed over then. No lcore is stopped and no queue waits for another one: in place of the ring of
 * a queue that is not polled the back end gets an idle one, until the queue is polled again.
 *
 * A queue that is stopped or started is a new epoch, too, but not one of the rings. While it is
 * stopped, this thread is the one that drives it.
 *
 * Memory that a back end has is not given to another one before it has closed the connection and
 * PPFRAG_QUARANTINE_MS have passed.
 */

/* From one attempt to connect to the next one. */
#define RETRY_MIN_MS 10u
#define RETRY_MAX_MS 500u
/* How long queues may take to reset their rings before the others are handed over. */
#define READY_MS 100u
/* How often to look for queues that have reset their rings, where nobody says so. */
#define READY_POLL_MS 2
#define LATE_POLL_MS 200
/* How often to look into the quarantine. */
#define QUARANTINE_POLL_MS 100

static struct ppfrag_local *
local_of(const struct rte_eth_dev *dev)
{
	return dev->process_private;
}

static struct ppfrag_control *
control_of(const struct rte_eth_dev *dev)
{
	return &local_of(dev)->control;
}

/* Events */

/*
 * The thread that handles interrupts and alarms tells the application, which may then stop or
 * close the port. One event for each call: nothing of the port is used after it.
 */
static void
on_event(void *arg)
{
	struct rte_eth_dev *dev = arg;
	struct ppfrag_control *c = control_of(dev);
	uint32_t left = __atomic_load_n(&c->events, __ATOMIC_RELAXED);
	enum rte_eth_event_type type = (enum rte_eth_event_type)rte_bsf32(left);

	left = __atomic_and_fetch(&c->events, ~RTE_BIT32(type), __ATOMIC_ACQ_REL);
	if (left != 0)
		rte_eal_alarm_set(1, on_event, dev);
	rte_eth_dev_callback_process(dev, type, NULL);
}

static void
event_raise(struct rte_eth_dev *dev, enum rte_eth_event_type type)
{
	struct ppfrag_control *c = control_of(dev);

	/* Who finds others there has them told, too. */
	if (__atomic_fetch_or(&c->events, RTE_BIT32(type), __ATOMIC_ACQ_REL) == 0)
		rte_eal_alarm_set(1, on_event, dev);
}

/* Set the link status. */
static void
link_set(struct rte_eth_dev *dev, bool up, bool report)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct rte_eth_link link = {
		.link_speed = up ? pd->speed : RTE_ETH_SPEED_NUM_NONE,
		.link_duplex = RTE_ETH_LINK_FULL_DUPLEX,
		.link_autoneg = RTE_ETH_LINK_FIXED,
		.link_status = up ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN,
	};

	__atomic_store_n(&pd->link_up, up, __ATOMIC_RELEASE);
	if (rte_eth_linkstatus_set(dev, &link) == 0 && report &&
			dev->data->dev_conf.intr_conf.lsc != 0)
		event_raise(dev, RTE_ETH_EVENT_INTR_LSC);
}

/* The connection */

/* The next attempt is later each time. */
static void
conn_retry_later(struct ppfrag_control *c)
{
	c->retry_ms = RTE_MIN(RTE_MAX(2 * c->retry_ms, RETRY_MIN_MS), RETRY_MAX_MS);
	c->retry_at = vu_now() + c->retry_ms;
}

static void
conn_close(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	local->control.tainted |= local->lent;
	local->control.state = PPFRAG_CONN_NONE;
	local->control.free_at = 0;
	local->told.nb = 0;
	virtio_backend(dev)->disconnect(dev);
}

/* A handshake begins. What the thread does by itself ends when it is asked for something else. */
static void
handshake_begin(struct ppfrag_local *local, bool asked)
{
	vu_begin(&local->vu);
	local->vu.cancel_fd = asked ? -1 : local->control.call_fd;
}

/* The application has to act: what it has set up does not suit the back end that is there. */
static void
conn_refused(struct rte_eth_dev *dev)
{
	struct ppfrag_control *c = control_of(dev);

	if (!c->refused && c->want_run)
		event_raise(dev, RTE_ETH_EVENT_INTR_RESET);
	c->refused = true;
}

/* Connect and agree on features. */
static int
conn_open(struct rte_eth_dev *dev, bool asked)
{
	struct ppfrag_local *local = local_of(dev);
	struct ppfrag_control *c = &local->control;
	int ret;

	handshake_begin(local, asked);
	ret = c->tainted ? ppfrag_notify_restart(local) : 0;
	if (ret != 0)
		return ret;
	c->tainted = false;
	ret = virtio_backend(dev)->connect(dev);
	if (ret != 0)
		return ret;
	ret = virtio_negotiate(dev, &c->offered);
	if (ret == 0) {
		c->state = PPFRAG_CONN_AGREED;
		return 0;
	}
	if (ret == -ENOTSUP)
		conn_refused(dev);
	conn_close(dev);
	return ret;
}

/* What the link is to be while the back end has the rings. */
static bool
link_wanted(const struct rte_eth_dev *dev)
{
	const struct virtio_backend_ops *backend = virtio_backend(dev);

	return control_of(dev)->admin_up && (backend->is_up == NULL || backend->is_up(dev));
}

/* Hand over memory and rings. */
static int
conn_run(struct rte_eth_dev *dev, bool asked)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = local_of(dev);
	struct ppfrag_control *c = &local->control;
	int ret;

	handshake_begin(local, asked);
	ret = virtio_run(dev, c->admin_up);
	c->used = c->used || local->lent;
	if (ret != 0) {
		conn_close(dev);
		return ret;
	}
	c->state = PPFRAG_CONN_RUNS;
	c->retry_ms = 0;
	c->refused = false;
	local->vu.quiet = false;
	if (!asked)
		pd->reconnections++;
	link_set(dev, link_wanted(dev), !asked);
	return 0;
}

static void
conn_lost(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	PPFRAG_LOG_LEVEL(local->vu.quiet ? RTE_LOG_DEBUG : RTE_LOG_WARNING,
			"%s: back end at %s is gone; %s", local->vu.name, local->vu.path,
			virtio_backend(dev)->gone);
	if (local->control.state != PPFRAG_CONN_RUNS)
		conn_retry_later(&local->control);
	conn_close(dev);
	link_set(dev, false, true);
}

/*
 * What to do next by itself, for each state. Returns in how many ms to come again, if nothing
 * happens before; -1: not by itself.
 */

/* How long until all memory is ours, 0: it is; -1: the back end has not closed the connection. */
static int
memory_wait(struct ppfrag_local *local)
{
	struct pollfd pfd = { .fd = local->vu.fd };
	uint64_t now = vu_now();

	if (!local->lent)
		return 0;
	if (local->control.free_at == 0) {
		if (poll(&pfd, 1, 0) != 1)
			return -1;
		local->control.free_at = now + PPFRAG_QUARANTINE_MS;
	}
	if (now < local->control.free_at)
		return (int)(local->control.free_at - now);
	local->lent = false;
	vu_close(&local->vu);
	return 0;
}

static int
step_none(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);
	struct ppfrag_control *c = &local->control;
	int ret, wait = memory_wait(local);
	uint64_t now = vu_now();

	if (wait != 0)
		return wait;
	if (now < c->retry_at)
		return (int)(c->retry_at - now);
	ret = conn_open(dev, false);
	if (ret == 0 || ret == -EAGAIN)
		return ret == 0 ? 0 : -1;
	local->vu.quiet = true;
	conn_retry_later(c);
	return (int)c->retry_ms;
}

/* Have all queues reset their rings; applications that sleep wake up for that. */
static void
epoch_begin(struct rte_eth_dev *dev)
{
	struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = local_of(dev);
	uint16_t i;

	local->control.used = false;
	local->control.ready_by = vu_now() + READY_MS;
	local->control.state = PPFRAG_CONN_RENEWS;
	__atomic_add_fetch(&pd->ring_epoch, 1, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&pd->epoch, 1, __ATOMIC_SEQ_CST);
	virtio_stopped_drain(dev);
	for (i = 0; i < dev->data->nb_rx_queues; i++)
		ppfrag_notify(&local->notifier, &local->call[ppfrag_rx_vring(i)]);
}

static int
step_run(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	if (conn_run(dev, false) != 0) {
		local->vu.quiet = true;
		conn_retry_later(&local->control);
		return 0;
	}
	PPFRAG_LOG(NOTICE, "%s: connected to a back end at %s", local->vu.name, local->vu.path);
	return 0;
}

static int
step_agreed(struct rte_eth_dev *dev)
{
	struct ppfrag_control *c = control_of(dev);

	if (!c->want_run)
		return -1;
	switch (virtio_fit(dev)) {
	case VIRTIO_MISFIT:
		conn_refused(dev);
		virtio_forget(dev, 0);
		conn_retry_later(c);
		conn_close(dev);
		return 0;
	case VIRTIO_FIT:
		if (!c->used)
			return step_run(dev);
		break;
	default:
		break;
	}
	epoch_begin(dev);
	return 0;
}

static int
step_renews(struct rte_eth_dev *dev)
{
	if (!virtio_is_ready(dev) && vu_now() < control_of(dev)->ready_by)
		return READY_POLL_MS;
	return step_run(dev);
}

/* Rings that were late are handed over. */
static int
step_runs(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = local_of(dev);
	int late;

	handshake_begin(local, true);
	late = virtio_rings_move(dev, local->control.admin_up);
	if (late < 0)
		conn_lost(dev);
	else if (link_wanted(dev) != (pd->link_up != 0))
		link_set(dev, link_wanted(dev), true);
	return late > 0 ? LATE_POLL_MS : -1;
}

static int
conn_step(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	if (local->control.state == PPFRAG_CONN_NONE)
		return step_none(dev);
	if (virtio_backend(dev)->is_gone(dev)) {
		conn_lost(dev);
		return 0;
	}
	switch (local->control.state) {
	case PPFRAG_CONN_AGREED:
		return step_agreed(dev);
	case PPFRAG_CONN_RENEWS:
		return step_renews(dev);
	default:
		return step_runs(dev);
	}
}

/* Commands of the application */

/* The first attempt, for which the application waits. */
static void
conn_try(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);
	struct ppfrag_control *c = &local->control;
	enum virtio_fit fit = VIRTIO_FIT;
	int ret = 0;

	if (c->state == PPFRAG_CONN_NONE)
		ret = conn_open(dev, true);
	if (ret == 0)
		fit = virtio_fit(dev);
	/* What does not fit is dealt with afterwards. */
	if (ret == 0 && fit == VIRTIO_FIT)
		ret = conn_run(dev, true);
	if (ret == -EAGAIN)
		PPFRAG_LOG(NOTICE, "%s: waits for a back end at %s", local->vu.name,
				local->vu.path);
	else if (ret != 0)
		conn_retry_later(c);
	local->vu.quiet = fit == VIRTIO_MISFIT || (ret != 0 && ret != -EAGAIN);
}

static int
do_start(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);
	struct ppfrag_control *c = &local->control;
	int ret;

	/* While the port is started, none of its memory becomes other memory. */
	ret = ppfrag_mem_collect_all(&local->mem, dev);
	if (ret != 0)
		return ret;
	/*
	 * A pool that was freed may have had the addresses that another one has now, and back ends
	 * that get the same addresses again keep the mapping they have. A new connection makes them
	 * forget it.
	 */
	if (c->state != PPFRAG_CONN_NONE &&
			(virtio_backend(dev)->is_gone(dev) ||
					ppfrag_mem_was_remapped(&local->mem, &local->told)))
		conn_close(dev);
	local->vu.quiet = false;
	c->want_run = true;
	c->admin_up = true;
	c->used = false;
	c->refused = false;
	c->retry_ms = 0;
	c->retry_at = 0;
	conn_try(dev);
	return 0;
}

/* Without a back end to connect to there is no port, and the application gives up. */
static int
do_open(struct rte_eth_dev *dev)
{
	const struct ppfrag_dev *pd = dev->data->dev_private;
	struct ppfrag_local *local = local_of(dev);
	int ret;

	ret = pd->server ? vu_server_open(&local->server, &local->vu) : conn_open(dev, true);

	local->vu.quiet = ret != 0;
	if (ret != 0)
		conn_retry_later(&local->control);
	return ret;
}

static int
do_stop(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);
	struct ppfrag_control *c = &local->control;

	c->want_run = false;
	handshake_begin(local, true);
	/* Closing the connection is the other way to make a back end stop, some time. */
	if (c->state == PPFRAG_CONN_RUNS && virtio_idle(dev) == 0) {
		local->lent = false;
		c->state = PPFRAG_CONN_AGREED;
	} else if (c->state == PPFRAG_CONN_RUNS) {
		conn_close(dev);
	} else if (c->state == PPFRAG_CONN_RENEWS) {
		c->state = PPFRAG_CONN_AGREED;
	}
	if (local->lent) {
		ppfrag_quarantine_add(dev, local->vu.fd);
		local->vu.fd = -1;
		local->lent = false;
	}
	link_set(dev, false, false);
	return 0;
}

static int
do_link(struct rte_eth_dev *dev, bool up)
{
	struct ppfrag_local *local = local_of(dev);
	int ret;

	local->control.admin_up = up;
	if (local->control.state != PPFRAG_CONN_RUNS)
		return 0;
	handshake_begin(local, true);
	ret = virtio_enable(dev, up);
	if (ret == 0)
		link_set(dev, link_wanted(dev), false);
	else
		conn_lost(dev);
	return ret;
}

/*
 * The memory of a back end that is lost is not touched. Before another one comes, the ring is reset
 * by whoever drives the queue then.
 */
static int
do_queue(struct rte_eth_dev *dev, bool run)
{
	struct ppfrag_local *local = local_of(dev);
	struct ppfrag_control *c = &local->control;
	const bool connected = c->state == PPFRAG_CONN_RUNS;
	const bool ours = connected || !local->lent;
	int ret;

	handshake_begin(local, true);
	ret = run ? virtio_queue_start(dev, c->vring, connected, ours, c->admin_up) :
		    virtio_queue_stop(dev, c->vring, connected, ours);
	if (ret == 0)
		return 0;
	PPFRAG_LOG(WARNING,
			"%s: back end at %s did not confirm that a queue is %s: the connection is given up, and buffers of the queue stay with the port",
			local->vu.name, local->vu.path, run ? "started" : "stopped");
	conn_lost(dev);
	return 0;
}

static int
do_reset(struct rte_eth_dev *dev)
{
	struct ppfrag_control *c = control_of(dev);
	int ret;

	conn_close(dev);
	virtio_forget(dev, c->offered);
	c->refused = false;
	c->retry_ms = 0;
	c->retry_at = 0;
	ret = conn_open(dev, true);
	if (ret != 0 && ret != -EAGAIN)
		conn_retry_later(c);
	return 0;
}

static int
do_close(struct rte_eth_dev *dev)
{
	struct ppfrag_local *local = local_of(dev);

	conn_close(dev);
	virtio_backend(dev)->close(dev);
	link_set(dev, false, false);
	local->control.quit = true;
	return 0;
}

static int
command_run(struct rte_eth_dev *dev, enum ppfrag_command command)
{
	switch (command) {
	case PPFRAG_COMMAND_OPEN:
		return do_open(dev);
	case PPFRAG_COMMAND_START:
		return do_start(dev);
	case PPFRAG_COMMAND_STOP:
		return do_stop(dev);
	case PPFRAG_COMMAND_LINK_UP:
	case PPFRAG_COMMAND_LINK_DOWN:
		return do_link(dev, command == PPFRAG_COMMAND_LINK_UP);
	case PPFRAG_COMMAND_QUEUE_START:
	case PPFRAG_COMMAND_QUEUE_STOP:
		return do_queue(dev, command == PPFRAG_COMMAND_QUEUE_START);
	case PPFRAG_COMMAND_RESET:
		return do_reset(dev);
	default:
		return do_close(dev);
	}
}

/* The thread */

static void
eventfd_drain(int fd)
{
	eventfd_t count;

	eventfd_read(fd, &count);
}

/* Do what the application asks for, if it does. */
static void
command_serve(struct rte_eth_dev *dev)
{
	struct ppfrag_control *c = control_of(dev);
	enum ppfrag_command command;
	int result;

	pthread_mutex_lock(&c->lock);
	command = c->command;
	pthread_mutex_unlock(&c->lock);
	if (command == PPFRAG_COMMAND_NONE)
		return;
	eventfd_drain(c->call_fd);
	result = command_run(dev, command);
	pthread_mutex_lock(&c->lock);
	c->command = PPFRAG_COMMAND_NONE;
	c->result = result;
	pthread_cond_signal(&c->done);
	pthread_mutex_unlock(&c->lock);
}

/* Wait until there is something to do. */
static void
control_wait(struct rte_eth_dev *dev, int ms)
{
	struct ppfrag_local *local = local_of(dev);
	struct ppfrag_control *c = &local->control;
	bool none = c->state == PPFRAG_CONN_NONE, hung_up = none && c->free_at != 0;
	struct pollfd pfd[] = {
		{ .fd = c->call_fd, .events = POLLIN },
		{ .fd = c->ready_fd, .events = POLLIN },
		{ .fd = hung_up ? -1 : local->vu.fd, .events = none ? 0 : POLLIN },
		{ .fd = none && ms < 0 && !local->lent ? local->server.fd : -1, .events = POLLIN },
	};

	if (ppfrag_quarantine_check(dev) && (ms < 0 || ms > QUARANTINE_POLL_MS))
		ms = QUARANTINE_POLL_MS;
	poll(pfd, RTE_DIM(pfd), ms);
	if (pfd[1].revents != 0)
		eventfd_drain(c->ready_fd);
}

static ppfrag_thread_ret_t
control_run(void *arg)
{
	struct rte_eth_dev *dev = arg;
	struct ppfrag_control *c = control_of(dev);
	const int look_ms = virtio_backend(dev)->look_ms;
	int ms = -1;

	/* The first command opens the connection, or gives up. */
	while (!c->quit) {
		control_wait(dev, ms);
		command_serve(dev);
		ms = c->quit ? -1 : conn_step(dev);
		if (look_ms != 0 && c->state == PPFRAG_CONN_RUNS && ms < 0)
			ms = look_ms;
	}
	return 0;
}

/* Other threads */

static int
control_ask_of(struct rte_eth_dev *dev, enum ppfrag_command command, uint16_t vring)
{
	struct ppfrag_control *c = control_of(dev);
	int result;

	pthread_mutex_lock(&c->call);
	pthread_mutex_lock(&c->lock);
	c->command = command;
	c->vring = vring;
	eventfd_write(c->call_fd, 1);
	while (c->command != PPFRAG_COMMAND_NONE)
		pthread_cond_wait(&c->done, &c->lock);
	result = c->result;
	pthread_mutex_unlock(&c->lock);
	pthread_mutex_unlock(&c->call);
	return result;
}

static int
control_ask(struct rte_eth_dev *dev, enum ppfrag_command command)
{
	return control_ask_of(dev, command, 0);
}

static int
fds_init(struct ppfrag_control *c)
{
	c->call_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	c->ready_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return c->call_fd < 0 || c->ready_fd < 0 ? -errno : 0;
}

static void
fds_fini(struct ppfrag_control *c)
{
	if (c->call_fd >= 0)
		close(c->call_fd);
	if (c->ready_fd >= 0)
		close(c->ready_fd);
}

int
ppfrag_control_init(struct rte_eth_dev *dev)
{
	struct ppfrag_control *c = control_of(dev);
	int ret;

	pthread_mutex_init(&c->call, NULL);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->done, NULL);
	ret = fds_init(c);
	if (ret == 0)
		ret = ppfrag_thread_create(&c->thread, "ppfrag-control", control_run, dev);
	if (ret != 0) {
		PPFRAG_LOG(ERR, "%s: cannot start the control thread: %s", dev->data->name,
				strerror(-ret));
		fds_fini(c);
	}
	return ret;
}

void
ppfrag_control_fini(struct rte_eth_dev *dev)
{
	struct ppfrag_control *c = control_of(dev);

	pthread_join(c->thread, NULL);
	rte_eal_alarm_cancel(on_event, dev);
	fds_fini(c);
	pthread_cond_destroy(&c->done);
	pthread_mutex_destroy(&c->lock);
	pthread_mutex_destroy(&c->call);
}

int
ppfrag_control_open(struct rte_eth_dev *dev)
{
	return control_ask(dev, PPFRAG_COMMAND_OPEN);
}

void
ppfrag_control_close(struct rte_eth_dev *dev)
{
	control_ask(dev, PPFRAG_COMMAND_CLOSE);
}

int
ppfrag_control_start(struct rte_eth_dev *dev)
{
	return control_ask(dev, PPFRAG_COMMAND_START);
}

void
ppfrag_control_stop(struct rte_eth_dev *dev)
{
	control_ask(dev, PPFRAG_COMMAND_STOP);
}

int
ppfrag_control_set_link(struct rte_eth_dev *dev, bool up)
{
	if (!dev->data->dev_started)
		return up ? -EINVAL : 0;
	if (!virtio_can_enable(dev))
		return -ENOTSUP;
	return control_ask(dev, up ? PPFRAG_COMMAND_LINK_UP : PPFRAG_COMMAND_LINK_DOWN);
}

int
ppfrag_control_run_queue(struct rte_eth_dev *dev, uint16_t vring, bool run)
{
	return control_ask_of(dev, run ? PPFRAG_COMMAND_QUEUE_START : PPFRAG_COMMAND_QUEUE_STOP,
			vring);
}

int
ppfrag_control_reset(struct rte_eth_dev *dev)
{
	return control_ask(dev, PPFRAG_COMMAND_RESET);
}

void
ppfrag_control_ready(const struct ppfrag_dev *pd)
{
	const struct rte_eth_dev *dev = &rte_eth_devices[pd->port_id];

	/* The thread looks by itself where a secondary process drives the queue. */
	if (dev->process_private != NULL)
		eventfd_write(control_of(dev)->ready_fd, 1);
}
