/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPFRAG_CONTROL_H_
#define _PPFRAG_CONTROL_H_

/**
 * @file
 * The connection of a port to its back end, kept by a thread of the port: the control thread. In
 * the primary process only, but for what says otherwise.
 */

#include <pthread.h>

#include "ppfrag.h"

/** How far the connection is. */
enum ppfrag_conn_state {
	PPFRAG_CONN_NONE,   /**< there is none, or one that the back end has to end, too */
	PPFRAG_CONN_AGREED, /**< features are agreed on; the back end has no memory */
	PPFRAG_CONN_RENEWS, /**< the same, and queues reset their rings */
	PPFRAG_CONN_RUNS,   /**< the back end has memory and rings */
};

/** What the control thread is asked to do. */
enum ppfrag_command {
	PPFRAG_COMMAND_NONE,
	PPFRAG_COMMAND_OPEN,
	PPFRAG_COMMAND_START,
	PPFRAG_COMMAND_STOP,
	PPFRAG_COMMAND_LINK_UP,
	PPFRAG_COMMAND_LINK_DOWN,
	PPFRAG_COMMAND_QUEUE_START,
	PPFRAG_COMMAND_QUEUE_STOP,
	PPFRAG_COMMAND_RESET,
	PPFRAG_COMMAND_CLOSE,
};

/** The control thread, and what it is asked. */
struct ppfrag_control {
	pthread_t thread;
	pthread_mutex_t call;        /**< one caller at a time */
	pthread_mutex_t lock;        /**< of command and result */
	pthread_cond_t done;         /**< there is a result */
	enum ppfrag_command command; /**< until it is done */
	uint16_t vring;              /**< that the command is about */
	int result;
	int call_fd;     /**< eventfd: there is a command */
	int ready_fd;    /**< eventfd: a queue has reset its ring */
	uint32_t events; /**< bits of enum rte_eth_event_type to tell the application; atomic */

	/* Used by the thread alone. */
	bool quit;
	bool want_run; /**< the port is started */
	bool admin_up; /**< and its link was not set down */
	bool used;     /**< a back end has had the rings as they are */
	bool refused;  /**< the application was told that it has to act */
	bool tainted;  /**< a back end that is gone has had the eventfds */
	enum ppfrag_conn_state state;
	uint64_t retry_at;     /**< not to connect before, in ms of vu_now() */
	uint64_t free_at;      /**< when memory that was lent is ours again; 0: not known */
	uint64_t ready_by;     /**< queues that have not reset their rings are not waited for */
	unsigned int retry_ms; /**< from one attempt to the next */
	uint64_t offered;      /**< features of the latest back end */
};

/** Start the control thread. @return 0 or a negative errno, logged. */
int ppfrag_control_init(struct rte_eth_dev *dev);

/**
 * End it. Waits for a callback of the application that is being told of an event, unless that is
 * what calls this.
 */
void ppfrag_control_fini(struct rte_eth_dev *dev);

/** Connect to the back end and negotiate features. @return 0 or a negative errno, logged. */
int ppfrag_control_open(struct rte_eth_dev *dev);

/** Disconnect. The port is stopped. */
void ppfrag_control_close(struct rte_eth_dev *dev);

/**
 * Hand memory and rings, which were reset, to the back end; if there is none, as soon as there is.
 *
 * @return 0 or a negative errno, logged.
 */
int ppfrag_control_start(struct rte_eth_dev *dev);

/**
 * Take the rings back. On return the back end uses them no more; where it did not say so, they are
 * in quarantine with all buffers that are in them.
 */
void ppfrag_control_stop(struct rte_eth_dev *dev);

/** Have the back end process the rings of a started port, or not. */
int ppfrag_control_set_link(struct rte_eth_dev *dev, bool up);

/** Have a started port use a ring, or not. Nobody else uses the queue while this is called. */
int ppfrag_control_run_queue(struct rte_eth_dev *dev, uint16_t vring, bool run);

/** Forget the features that were agreed on. The port is stopped. */
int ppfrag_control_reset(struct rte_eth_dev *dev);

/** A queue has reset its ring. Any process, any thread; never waits. */
void ppfrag_control_ready(const struct ppfrag_dev *pd);

#endif /* _PPFRAG_CONTROL_H_ */
