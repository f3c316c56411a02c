/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _MARK_H_
#define _MARK_H_

struct rte_mempool;

/* A page pool is being freed: marks of this process look at it no more. */
void ppool_marks_drop(const struct rte_mempool *mp);

#endif /* _MARK_H_ */
