/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdlib.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_dev.h>

#include <ppool_create.h>

#include "dut.h"

#define RING 64
#define POLLS 1000
#define UP_MS 10000

struct dut dut;

/* A pool that no file descriptor leads to. */
static struct rte_mempool *
make_private_pool(uint32_t pages, uint32_t page_size)
{
	struct rte_pktmbuf_pool_private priv = { .mbuf_data_room_size = (uint16_t)page_size };
	struct rte_mempool *mp;

	mp = rte_mempool_create_empty(unit_name(), pages, sizeof(struct rte_mbuf) + page_size, 0,
			sizeof(priv), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	unit_register(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, PPOOL_OPS_NAME, NULL), 0);
	rte_pktmbuf_pool_init(mp, &priv);
	assert_int_equal(rte_mempool_populate_anon(mp), pages);
	rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
	return mp;
}

static struct rte_mempool *
make_pool(const struct dut_conf *conf)
{
	const struct ppool_create_conf create = {
		.name = unit_name(),
		.pages = conf->pages != 0 ? conf->pages : 512,
		.page_size = conf->page_size != 0 ? conf->page_size : 2176,
		.socket_id = SOCKET_ID_ANY,
		.backing = PPOOL_BACKING_MEMFD,
	};

	if (conf->copy)
		return make_private_pool(create.pages, create.page_size);
	return unit_register(ppool_create(&create));
}

static int
setup_queues(const struct dut_conf *conf, uint16_t i)
{
	const uint16_t ring = conf->ring != 0 ? conf->ring : RING;
	const struct rte_eth_rxconf rx = { .rx_deferred_start = (conf->rx_deferred >> i) & 1 };
	const struct rte_eth_txconf tx = {
		.tx_free_thresh = conf->free_thresh,
		.tx_deferred_start = (conf->tx_deferred >> i) & 1,
	};
	int ret;

	ret = rte_eth_rx_queue_setup(dut.port, i, conf->rxd != 0 ? conf->rxd : ring, SOCKET_ID_ANY,
			&rx, dut.mp);
	return ret == 0 ? rte_eth_tx_queue_setup(dut.port, i, ring, SOCKET_ID_ANY, &tx) : ret;
}

static int
start_port(const struct dut_conf *conf)
{
	const struct rte_eth_conf eth = {
		.rxmode = {
			.mtu = conf->mtu != 0 ? conf->mtu : RTE_ETHER_MTU,
			.max_lro_pkt_size = UINT16_MAX,
			.offloads = conf->rx_offloads |
					(conf->scatter ? RTE_ETH_RX_OFFLOAD_SCATTER : 0),
		},
		.intr_conf = { .lsc = conf->lsc, .rxq = conf->rx_interrupts },
		.txmode.offloads = conf->tx_offloads,
	};
	const uint16_t pairs = RTE_MAX(conf->pairs, 1);
	uint16_t i;
	int ret;

	dut.first_deferred = ((conf->rx_deferred | conf->tx_deferred) & 1) != 0;
	ret = rte_eth_dev_configure(dut.port, pairs, pairs, &eth);
	for (i = 0; i < pairs && ret == 0; i++)
		ret = setup_queues(conf, i);
	return ret == 0 ? rte_eth_dev_start(dut.port) : ret;
}

void
dut_look_at_rings(void)
{
	assert_true(dut.first_deferred || vhost_peer_wait(dut.peer));
	dut.rx = vhost_peer_ring(dut.peer, VHOST_RX);
	dut.tx = vhost_peer_ring(dut.peer, VHOST_TX);
	/* Of a packed ring, nothing is known before it is looked at. */
	if (!dut.first_deferred)
		vhost_ring_pending(dut.rx);
	dut.hdr_len = vhost_peer_hdr_len(dut.peer);
	dut.buf_len = dut.first_deferred ? 0 : dut.rx->desc[0].len;
}

static void
peer_start(bool no_mrg, uint64_t features)
{
	dut.peer = vhost_peer_start(dut.path,
			dut.version | dut.packed | features | (no_mrg ? 0 : VHOST_F_MRG_RXBUF));
	assert_non_null(dut.peer);
}

void
dut_stop_peer(void)
{
	vhost_peer_stop(dut.peer);
	dut.peer = NULL;
	unlink(dut.path);
}

void
dut_lose_peer(void)
{
	dut_stop_peer();
	unit_wait_link(dut.port, RTE_ETH_LINK_DOWN);
}

void
dut_poll_queues(void)
{
	struct rte_eth_dev_info info;
	struct rte_mbuf *m;
	uint16_t i;

	assert_int_equal(rte_eth_dev_info_get(dut.port, &info), 0);
	for (i = 0; i < info.nb_rx_queues; i++)
		rte_pktmbuf_free_bulk(&m, rte_eth_rx_burst(dut.port, i, &m, 1));
	for (i = 0; i < info.nb_tx_queues; i++)
		assert_int_equal(rte_eth_tx_burst(dut.port, i, NULL, 0), 0);
}

void
dut_poll_until_up(void)
{
	unsigned int ms;

	for (ms = 0; ms < UP_MS && !unit_link_is(dut.port, RTE_ETH_LINK_UP); ms++) {
		dut_poll_queues();
		rte_delay_us_sleep(1000);
	}
	unit_wait_link(dut.port, RTE_ETH_LINK_UP);
}

void
dut_start_peer(bool no_mrg)
{
	peer_start(no_mrg, dut.features);
}

void
dut_start_peer_with(uint64_t features)
{
	peer_start(false, features | dut.features);
}

void
dut_replace_peer(void)
{
	dut_stop_peer();
	dut_start_peer(false);
}

void
dut_start_port(const struct dut_conf *conf)
{
	assert_int_equal(start_port(conf), 0);
	dut_look_at_rings();
}

static int
plug_port(void *args)
{
	return rte_eal_hotplug_add("vdev", DUT_NAME, args);
}

void
dut_start_pool(const struct dut_conf *conf, struct rte_mempool *mp)
{
	struct rte_devargs devargs = { .type = RTE_DEVTYPE_VIRTUAL };
	bool loaded = rte_devargs_parse(&devargs, DUT_NAME) == 0;
	char args[512];

	free(devargs.data);
	unit_require(loaded, "the driver net_ppfrag: -d librte_net_ppfrag.so");
	unit_require(!conf->no_aio || unit_can_refuse_aio(), UNIT_REFUSE_AIO);
	dut.mp = mp;
	dut.packed = !conf->packed || conf->no_packed ? 0 : VHOST_F_PACKED | VHOST_F_IN_ORDER;
	dut.version = conf->legacy ? VHOST_F_ANY_LAYOUT : VHOST_F_VERSION_1;
	dut.features = (conf->pairs > 1 ? VHOST_F_MQ : 0) |
			(conf->no_protocol ? 0 : VHOST_F_PROTOCOL);
	peer_start(conf->no_mrg, conf->features | dut.features);
	snprintf(args, sizeof(args), "path=%s,queues=%u,queue_size=%u%s%s%s%s%s%s%s%s", dut.path,
			RTE_MAX(conf->pairs, 1), conf->ring != 0 ? conf->ring : RING,
			conf->lanes ? ",rx=lanes" : "", conf->density ? ",preset=density" : "",
			conf->size_stats ? ",size_stats=1" : "", conf->packed ? ",packed_vq=1" : "",
			conf->in_order ? ",in_order=1" : "", conf->declined ? ",mrg_rxbuf=0" : "",
			conf->devargs != NULL ? "," : "",
			conf->devargs != NULL ? conf->devargs : "");
	assert_int_equal(conf->no_aio ? unit_without_aio(plug_port, args) : plug_port(args), 0);
	assert_int_equal(rte_eth_dev_get_port_by_name(DUT_NAME, &dut.port), 0);
	dut_start_port(conf);
}

int
dut_configure(const struct dut_conf *conf)
{
	int ret = start_port(conf);

	if (ret == 0)
		dut_look_at_rings();
	return ret;
}

void
dut_start(const struct dut_conf *conf)
{
	dut_start_pool(conf, make_pool(conf));
	assert_int_equal(dut_copies(), conf->copy);
}

void
dut_restart(void)
{
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	assert_int_equal(rte_eth_dev_start(dut.port), 0);
	dut_look_at_rings();
}

static void
dut_close(void)
{
	uint16_t port;

	if (rte_eth_dev_get_port_by_name(DUT_NAME, &port) == 0) {
		rte_eth_dev_stop(port);
		rte_eth_dev_close(port);
		rte_eal_hotplug_remove("vdev", DUT_NAME);
	}
	if (dut.peer != NULL)
		vhost_peer_stop(dut.peer);
	dut.peer = NULL;
	unlink(dut.path);
}

void
dut_stop(void)
{
	dut_close();
	unit_pool_free(dut.mp);
}

int
dut_setup(void **state)
{
	uint64_t id;

	/* What ethdev allocates at its first use stays. */
	rte_eth_dev_owner_new(&id);
	unit_setup(state);
	memset(&dut, 0, sizeof(dut));
	snprintf(dut.dir, sizeof(dut.dir), "/tmp/ppfrag-unit-XXXXXX");
	if (mkdtemp(dut.dir) == NULL)
		return -1;
	snprintf(dut.path, sizeof(dut.path), "%s/sock", dut.dir);
	return 0;
}

int
dut_teardown(void **state)
{
	dut_close();
	rmdir(dut.dir);
	return unit_teardown(state);
}

uint64_t
dut_xstat(const char *name)
{
	uint64_t id, value;

	assert_int_equal(rte_eth_xstats_get_id_by_name(dut.port, name, &id), 0);
	assert_int_equal(rte_eth_xstats_get_by_id(dut.port, &id, &value, 1), 1);
	return value;
}

bool
dut_copies(void)
{
	struct rte_eth_burst_mode mode;

	assert_int_equal(rte_eth_rx_burst_mode_get(dut.port, 0, &mode), 0);
	return strstr(mode.info, "zero-copy") == NULL;
}

unsigned int
dut_tx_consume(void)
{
	return vhost_ring_consume(dut.tx);
}

static struct rte_mbuf *
receive_one(void)
{
	struct rte_mbuf *m;
	unsigned int i;

	for (i = 0; i < POLLS; i++)
		if (rte_eth_rx_burst(dut.port, 0, &m, 1) == 1)
			return m;
	fail_msg("a frame does not arrive");
	return NULL;
}

void
dut_exchange(unsigned int n, uint32_t len)
{
	char *frame = malloc(2 * (size_t)len);
	struct rte_mbuf *m;
	const void *got;
	unsigned int i;

	assert_non_null(frame);
	for (i = 0; i < n; i++) {
		unit_fill(frame, len, i);
		assert_true(vhost_peer_send(dut.peer, frame, len));
		m = receive_one();
		assert_int_equal(m->pkt_len, len);
		assert_int_equal(rte_mbuf_check(m, 1, &(const char *){ NULL }), 0);
		got = rte_pktmbuf_read(m, 0, len, frame + len);
		assert_non_null(got);
		assert_memory_equal(got, frame, len);
		rte_pktmbuf_free(m);
	}
	free(frame);
}
