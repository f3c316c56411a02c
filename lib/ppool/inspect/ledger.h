/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _LEDGER_H_
#define _LEDGER_H_

#include <stdio.h>

#include "ppool_private.h"

/*
 * ppool_ledger_get() and ppool_check() in one walk. What does not balance is a violation only if
 * l->approximate is 0. Returns how many, or a negative errno.
 */
int ppool_audit(struct ppool *p, struct ppool_ledger *l, FILE *f);

#endif /* _LEDGER_H_ */
