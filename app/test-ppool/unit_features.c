/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>

#include "dut.h"

/*
 * What a port announces, by the names that features have in DPDK's documentation, where a call
 * tells. tests/test_features.py compares the output with the features file of the guide.
 */

/* Checksums, segmentation and UDP segmentation, by either side. */
#define F_ALL (UINT64_C(0x1983) | UINT64_C(1) << 56)

static struct rte_eth_dev_info info;

static bool
has_rx(uint64_t offloads)
{
	return (info.rx_offload_capa & offloads) == offloads;
}

static bool
has_tx(uint64_t offloads)
{
	return (info.tx_offload_capa & offloads) == offloads;
}

static bool
has_flag(uint32_t flag)
{
	return (*info.dev_flags & flag) != 0;
}

/* Whether a call is one that the driver has. */
static bool
is_done(int ret)
{
	return ret != -ENOTSUP && ret != -ENOSYS;
}

static bool
has_link(void)
{
	struct rte_eth_link link;

	return rte_eth_link_get_nowait(dut.port, &link) == 0;
}

static bool
has_modes(bool rx)
{
	struct rte_eth_burst_mode mode;

	return (rx ? rte_eth_rx_burst_mode_get(dut.port, 0, &mode) :
		     rte_eth_tx_burst_mode_get(dut.port, 0, &mode)) == 0;
}

static bool
has_stats(void)
{
	struct rte_eth_stats stats;

	return rte_eth_stats_get(dut.port, &stats) == 0;
}

static bool
has_xstats(void)
{
	uint64_t id;

	return rte_eth_xstats_get_id_by_name(dut.port, "reconnections", &id) == 0;
}

static bool
has_queue_stats(void)
{
	uint64_t id;

	return rte_eth_xstats_get_id_by_name(dut.port, "rx_q0_packets", &id) == 0;
}

static bool
has_ptypes(void)
{
	return rte_eth_dev_get_supported_ptypes(dut.port, RTE_PTYPE_ALL_MASK, NULL, 0) > 0;
}

static bool
has_rss(void)
{
	struct rte_eth_rss_conf conf = { .rss_key = NULL };

	return is_done(rte_eth_dev_rss_hash_conf_get(dut.port, &conf));
}

static bool
has_rss_update(void)
{
	struct rte_eth_rss_conf conf = { .rss_key = NULL };

	return is_done(rte_eth_dev_rss_hash_update(dut.port, &conf));
}

static bool
has_flow_control(void)
{
	struct rte_eth_fc_conf conf;

	return is_done(rte_eth_dev_flow_ctrl_get(dut.port, &conf));
}

static bool
has_firmware(void)
{
	char version[32];

	return is_done(rte_eth_dev_fw_version_get(dut.port, version, sizeof(version)));
}

static bool
has_registers(void)
{
	struct rte_dev_reg_info regs = { .data = NULL };

	return is_done(rte_eth_dev_get_reg_info(dut.port, &regs));
}

static bool
restarts_queues(void)
{
	return is_done(rte_eth_dev_rx_queue_stop(dut.port, 0)) &&
			is_done(rte_eth_dev_rx_queue_start(dut.port, 0)) &&
			is_done(rte_eth_dev_tx_queue_stop(dut.port, 0)) &&
			is_done(rte_eth_dev_tx_queue_start(dut.port, 0));
}

#define RX(name) RTE_ETH_RX_OFFLOAD_##name
#define TX(name) RTE_ETH_TX_OFFLOAD_##name

/* X(name of the feature, what tells). Those of stopped ports are below. */
#define FEATURES(X) \
	X("Speed capabilities", info.speed_capa != 0) \
	X("Link status", has_link()) \
	X("Link status event", has_flag(RTE_ETH_DEV_INTR_LSC)) \
	X("Removal event", has_flag(RTE_ETH_DEV_INTR_RMV)) \
	X("Rx interrupt", is_done(rte_eth_dev_rx_intr_enable(dut.port, 0))) \
	X("Lock-free Tx queue", has_tx(TX(MT_LOCKFREE))) \
	X("Fast mbuf free", has_tx(TX(MBUF_FAST_FREE))) \
	X("Free Tx mbuf on demand", is_done(rte_eth_tx_done_cleanup(dut.port, 0, 0))) \
	X("Queue start/stop", restarts_queues()) \
	X("Runtime Rx queue setup", \
			(info.dev_capa & RTE_ETH_DEV_CAPA_RUNTIME_RX_QUEUE_SETUP) != 0) \
	X("Runtime Tx queue setup", \
			(info.dev_capa & RTE_ETH_DEV_CAPA_RUNTIME_TX_QUEUE_SETUP) != 0) \
	X("Burst mode info", has_modes(true) && has_modes(false)) \
	X("Scattered Rx", has_rx(RX(SCATTER))) \
	X("Buffer Split on Rx", has_rx(RX(BUFFER_SPLIT))) \
	X("LRO", has_rx(RX(TCP_LRO))) \
	X("TSO", has_tx(TX(TCP_TSO))) \
	X("Promiscuous mode", rte_eth_promiscuous_enable(dut.port) == 0) \
	X("Allmulticast mode", rte_eth_allmulticast_enable(dut.port) == 0) \
	X("RSS hash", has_rss()) \
	X("RSS key update", has_rss_update()) \
	X("RSS reta update", info.reta_size != 0) \
	X("VMDq", info.max_vmdq_pools != 0) \
	X("SR-IOV", info.max_vfs != 0) \
	X("VLAN filter", has_rx(RX(VLAN_FILTER))) \
	X("VLAN offload", has_rx(RX(VLAN_STRIP)) && has_tx(TX(VLAN_INSERT))) \
	X("QinQ offload", has_rx(RX(QINQ_STRIP)) || has_tx(TX(QINQ_INSERT))) \
	X("CRC offload", has_rx(RX(KEEP_CRC))) \
	X("L3 checksum offload", has_rx(RX(IPV4_CKSUM)) && has_tx(TX(IPV4_CKSUM))) \
	X("L4 checksum offload", \
			has_rx(RX(TCP_CKSUM) | RX(UDP_CKSUM)) && \
					has_tx(TX(TCP_CKSUM) | TX(UDP_CKSUM))) \
	X("Inner L3 checksum", has_rx(RX(OUTER_IPV4_CKSUM)) || has_tx(TX(OUTER_IPV4_CKSUM))) \
	X("Inner L4 checksum", has_rx(RX(OUTER_UDP_CKSUM)) || has_tx(TX(OUTER_UDP_CKSUM))) \
	X("Timestamp offload", has_rx(RX(TIMESTAMP)) || has_tx(TX(SEND_ON_TIMESTAMP))) \
	X("MACsec offload", has_rx(RX(MACSEC_STRIP)) || has_tx(TX(MACSEC_INSERT))) \
	X("Inline crypto", has_rx(RX(SECURITY)) || has_tx(TX(SECURITY))) \
	X("Packet type parsing", has_ptypes()) \
	X("Timesync", is_done(rte_eth_timesync_enable(dut.port))) \
	X("Flow control", has_flow_control()) \
	X("Rx descriptor status", is_done(rte_eth_rx_descriptor_status(dut.port, 0, 0))) \
	X("Tx descriptor status", is_done(rte_eth_tx_descriptor_status(dut.port, 0, 0))) \
	X("Basic stats", has_stats()) \
	X("Extended stats", has_xstats()) \
	X("Stats per queue", has_queue_stats()) \
	X("FW version", has_firmware()) \
	X("EEPROM dump", is_done(rte_eth_dev_get_eeprom_length(dut.port))) \
	X("Registers dump", has_registers())

static void
test_announced(void **state)
{
	unsigned int n = 0;

	(void)state;
	dut_start(&(struct dut_conf){
			.features = F_ALL, .rx_interrupts = true, .devargs = "speed=25000" });
	assert_int_equal(rte_eth_dev_info_get(dut.port, &info), 0);
#define FEATURE(name, is_there) \
	if (is_there) { \
		print_message("feature: %s\n", name); \
		n++; \
	}
	FEATURES(FEATURE)
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	FEATURE("MTU update", is_done(rte_eth_dev_set_mtu(dut.port, 1400)))
#undef FEATURE
	assert_in_range(n, 1, 100);
	dut_start_port(&(struct dut_conf){ .features = F_ALL });
	dut_exchange(10, 100);
	dut_stop();
}

/* A speed is announced where the port is told one. */
static void
test_speed(void **state)
{
	struct rte_eth_link link;

	(void)state;
	dut_start(&(struct dut_conf){ .devargs = "speed=25000" });
	assert_int_equal(rte_eth_dev_info_get(dut.port, &info), 0);
	assert_int_equal(info.speed_capa, RTE_ETH_LINK_SPEED_25G);
	assert_int_equal(rte_eth_link_get_nowait(dut.port, &link), 0);
	assert_int_equal(link.link_speed, 25000);
	dut_stop();
	dut_start(&(struct dut_conf){ .ring = 64 });
	assert_int_equal(rte_eth_dev_info_get(dut.port, &info), 0);
	assert_int_equal(info.speed_capa, 0);
	dut_stop();
}

static const struct CMUnitTest tests[] = {
	DUT_TEST(test_announced),
	DUT_TEST(test_speed),
};

UNIT_SUITE(features, "what a net_ppfrag port announces", tests);
