/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * A program of somebody else's: devtools/test.sh builds it outside of the tree with what pkg-config
 * says about the installed library, and runs it. It is compiled as C and as C++.
 */

#include <stdio.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include <ppool_carver.h>

#define NB_PAGES 64u
#define NB_FRAGS 200u

static int
use(struct rte_mempool *mp)
{
	struct ppool_carver_conf conf;
	struct rte_mbuf *m[NB_FRAGS];
	struct ppool_carver *c;
	struct ppool_ledger l;
	size_t truesize = 0;
	unsigned int i;

	conf.max_len = 1518;
	conf.headroom = RTE_PKTMBUF_HEADROOM;
	conf.nb_lanes = 1;
	conf.port = RTE_MBUF_PORT_INVALID;
	conf.socket_id = SOCKET_ID_ANY;
	c = ppool_carver_create(mp, &conf);
	if (c == NULL) {
		fprintf(stderr, "no carver: %s\n", rte_strerror(rte_errno));
		return -1;
	}
	for (i = 0; i < NB_FRAGS; i++) {
		m[i] = ppool_carve(c, 64 + i);
		if (m[i] == NULL || rte_pktmbuf_append(m[i], (uint16_t)(64 + i)) == NULL) {
			fprintf(stderr, "no frag %u\n", i);
			return -1;
		}
		truesize += ppool_mbuf_truesize(m[i]);
	}
	if (ppool_ledger_get(mp, &l) != 0 || l.charged + l.slot_charged != truesize) {
		fprintf(stderr, "the ledger charges something else than %zu\n", truesize);
		return -1;
	}
	rte_pktmbuf_free_bulk(m, NB_FRAGS);
	ppool_carver_free(c);
	return ppool_check(mp, stderr);
}

int
main(int argc, char **argv)
{
	struct rte_mempool *mp;
	int ret;

	if (rte_eal_init(argc, argv) < 0)
		return 1;
	mp = rte_pktmbuf_pool_create_by_ops("consumer", NB_PAGES, 16, 0, 16384, SOCKET_ID_ANY,
			PPOOL_OPS_NAME);
	if (mp == NULL) {
		fprintf(stderr, "no pool with ops %s: %s\n", PPOOL_OPS_NAME,
				rte_strerror(rte_errno));
		return 1;
	}
	ret = use(mp);
	if (ret == 0 && rte_mempool_avail_count(mp) != NB_PAGES) {
		fprintf(stderr, "%u of %u pages came back\n", rte_mempool_avail_count(mp),
				NB_PAGES);
		ret = 1;
	}
	rte_mempool_free(mp);
	rte_eal_cleanup();
	printf("consumer: %s\n", ret == 0 ? "good" : "bad");
	return ret == 0 ? 0 : 1;
}
