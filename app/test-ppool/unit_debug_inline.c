/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* A driver that was not built for debugging, with a library that was. */
#undef PPOOL_DEBUG

#include "unit.h"

void
unit_commit_unchecked(struct ppool_carver *c, uint16_t lane, struct rte_mbuf *m, uint32_t len)
{
	ppool_commit(c, lane, m, len);
}
