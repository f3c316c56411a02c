/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _PPOOL_MONO_H_
#define _PPOOL_MONO_H_

/* Whole pages as frags, with the mbuf of the page; see ppool_mono.c. */

#include "ppool_private.h"

/* Take whole pages as frags from an internal pool. All or none. */
int ppool_mono_get_bulk(struct rte_mempool *mp, struct rte_mbuf **m, unsigned int n);

/* Free one. */
void ppool_mono_put(struct ppool *p, struct rte_mbuf *m);

/* Whether m, an element of a page or the mbuf of a slot, is a whole page in use as a frag. */
bool ppool_mono_owns(const struct ppool *p, const struct rte_mbuf *m);

/* The record of a whole page, NULL where it is not in use as a frag. */
struct ppool_frag *ppool_mono_record(const struct ppool *p, const struct rte_mbuf *m);

/* The record of any mbuf, NULL where it is of no frag. */
struct ppool_frag *ppool_record_of(const struct rte_mbuf *m);

/* Its process has ended: make the mbuf of the page that of an ordinary object. */
void ppool_mono_reset(struct ppool *p, struct ppool_page *pg);

/* What the private data of the mono pool says of its mbufs. */
void ppool_mono_private(const struct ppool *p, struct rte_pktmbuf_pool_private *priv);

#endif /* _PPOOL_MONO_H_ */
