/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * A program of somebody else's: devtools/test.sh builds it outside of the tree with what pkg-config
 * says about the installed library, and runs it. It is compiled as C and as C++.
 */

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf.h>

#include <ppool_carver.h>
#include <ppool_create.h>
#include <ppool_sizing.h>

#define NB_PAGES 64u
#define NB_FRAGS 200u
#define NB_HELD 5000u

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

/* A pool for so many packets of these lengths, in a memfd. */
static struct rte_mempool *
create_shared(void)
{
	static const struct ppool_size_mix mix[] = { { 64, 7 }, { 570, 4 }, { 1518, 1 } };
	struct ppool_size_conf load;
	struct ppool_create_conf conf;
	struct ppool_size size;

	memset(&load, 0, sizeof(load));
	load.ports = load.queues = load.lcores = load.one_in = 1;
	load.rx_desc = 256;
	load.mtu = 1500;
	load.headroom = RTE_PKTMBUF_HEADROOM;
	load.packets = NB_HELD;
	load.mix = mix;
	load.nb_mix = RTE_DIM(mix);
	if (ppool_size_estimate(&load, &size) != 0)
		return NULL;

	memset(&conf, 0, sizeof(conf));
	conf.name = "shared";
	conf.pages = (uint32_t)size.pages;
	conf.page_size = size.page_size;
	conf.socket_id = SOCKET_ID_ANY;
	conf.backing = PPOOL_BACKING_MEMFD;
	return ppool_create(&conf); /* where it is NULL, the log says why and what helps */
}

/* What another process does that has got the file and the place of a packet in it. */
static int
peer_reads(const struct ppool_memfd *memfd, size_t place, const void *expected, size_t len)
{
	char *pages = (char *)mmap(NULL, memfd->len, PROT_READ, MAP_SHARED, memfd->fd,
			(off_t)memfd->offset);
	int ret;

	if (pages == MAP_FAILED)
		return -1;
	ret = memcmp(pages + place, expected, len) == 0 ? 0 : -1;
	munmap(pages, memfd->len);
	return ret;
}

/* A packet in the pool, and what the peer has to be told. */
static int
share(struct rte_mempool *mp)
{
	static const char text[] = "seen by a peer";
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);
	struct ppool_memfd memfd;
	char *data;
	int ret;

	if (m == NULL)
		return -1;
	data = rte_pktmbuf_append(m, sizeof(text));
	if (data != NULL)
		memcpy(data, text, sizeof(text));
	ret = ppool_memfd(mp, &memfd);
	if (ret == 0 && data != NULL)
		ret = peer_reads(&memfd, (size_t)(data - (char *)memfd.addr), text, sizeof(text));
	rte_pktmbuf_free(m);
	return ret;
}

/* Frees the pool. */
static int
check(struct rte_mempool *mp)
{
	int ret = use(mp);

	if (ret == 0 && rte_mempool_avail_count(mp) != mp->size) {
		fprintf(stderr, "%u of %u pages came back\n", rte_mempool_avail_count(mp),
				mp->size);
		ret = 1;
	}
	rte_mempool_free(mp);
	return ret;
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
	ret = check(mp);
	mp = create_shared();
	if (mp == NULL || share(mp) != 0) {
		fprintf(stderr, "no pool that can be shared\n");
		ret = 1;
	}
	if (mp != NULL && check(mp) != 0)
		ret = 1;
	rte_eal_cleanup();
	printf("consumer: %s\n", ret == 0 ? "good" : "bad");
	return ret == 0 ? 0 : 1;
}
