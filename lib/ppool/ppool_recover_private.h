/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_RECOVER_PRIVATE_H_
#define _PPOOL_RECOVER_PRIVATE_H_

/* What ppool_recover.c has for ppool_recount.c. */

#include "ppool_private.h"

typedef void ppool_slot_cb_t(struct ppool *p, struct rte_mbuf *m, void *arg);

/* All slots of all classes that are formatted, idle ones, too. */
void ppool_slots_each(struct ppool *p, ppool_slot_cb_t *f, void *arg);

/* Whether the record of a slot is that of a header. */
static inline bool
ppool_record_is_header(const struct ppool_frag *frag)
{
	return frag->account < PPOOL_RECORD_SLOT;
}

/* Locks are taken over by who takes them. Returns false where another process is stopped inside. */
bool ppool_locks_take_over(struct ppool *p);

/* Whether no pool has anything of a process that has ended; takes over what it left in lists. */
bool ppool_process_left_nothing(uint32_t process);

#endif /* _PPOOL_RECOVER_PRIVATE_H_ */
