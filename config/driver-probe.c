/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Whether driver headers describe the installed DPDK. Makes a port by these headers and has the
 * library's public functions work on it: every field and operation that net_ppfrag uses must be
 * found where the headers say. Prints what differs; status 0 if nothing does.
 *
 * Compiled and run by config/setup.sh and by the build, where the headers are of another patch
 * release than the library.
 */

#include <dlfcn.h>
#include <link.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_version.h>

#include <bus_vdev_driver.h>
#include <ethdev_driver.h>
#include <ethdev_vdev.h>

#define PORT_NAME "net_layout0"
#define PORT_ARGS "key=1"
#define MACS 2
#define RX_QUEUES 3
#define TX_QUEUES 2
#define NUMA_NODE 5
#define EFD 77

static unsigned int failed;

#define CHECK(cond) \
	do { \
		if (!(cond)) { \
			printf("driver-probe: not so: %s\n", #cond); \
			failed++; \
		} \
	} while (0)

/* The operations that one call of the library has led to. */
static const char *called[16];
static unsigned int nb_called;

static void
call_note(const char *name)
{
	if (nb_called < RTE_DIM(called))
		called[nb_called++] = name;
}

static void
call_expect(const char *name, int ret, const char *by)
{
	unsigned int i;

	for (i = 0; i < nb_called; i++)
		if (strcmp(called[i], name) == 0)
			break;
	if (i == nb_called || ret < 0) {
		printf("driver-probe: %s does not lead to operation %s: %d\n", by, name, ret);
		failed++;
	}
	nb_called = 0;
}

#define EXPECT(op, call) call_expect(#op, call, #call)

/* Operations of any type: nothing but the call matters. */
#define OP(name) \
	static int op_##name(void) \
	{ \
		call_note(#name); \
		return 0; \
	}

OP(dev_configure)
OP(dev_start)
OP(dev_stop)
OP(dev_reset)
OP(dev_close)
OP(rx_queue_release)
OP(rx_queue_start)
OP(rx_queue_stop)
OP(tx_queue_release)
OP(tx_queue_start)
OP(tx_queue_stop)
OP(tx_done_cleanup)
OP(link_update)
OP(dev_set_link_up)
OP(dev_set_link_down)
OP(promiscuous_enable)
OP(promiscuous_disable)
OP(allmulticast_enable)
OP(allmulticast_disable)
OP(vlan_offload_set)
OP(dev_ptypes_set)
OP(mtu_set)
OP(mac_addr_set)
OP(mac_addr_add)
OP(mac_addr_remove)
OP(set_mc_addr_list)
OP(stats_get)
OP(stats_reset)
OP(xstats_get)
OP(xstats_get_names)
OP(xstats_reset)
OP(rxq_info_get)
OP(txq_info_get)
OP(rx_burst_mode_get)
OP(tx_burst_mode_get)
OP(rx_queue_intr_enable)
OP(rx_queue_intr_disable)
OP(pool_ops_supported)

static int
op_dev_infos_get(struct rte_eth_dev *dev, struct rte_eth_dev_info *info)
{
	RTE_SET_USED(dev);
	call_note("dev_infos_get");
	info->max_rx_queues = RX_QUEUES;
	info->max_tx_queues = TX_QUEUES;
	info->max_rx_pktlen = 9018;
	info->max_mtu = 9000;
	info->max_mac_addrs = MACS;
	info->rx_offload_capa = RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
	return 0;
}

/* Whatever parameters it has: there are none. */
static const uint32_t *
op_dev_supported_ptypes_get(void)
{
	call_note("dev_supported_ptypes_get");
	return NULL;
}

static int
op_rx_queue_setup(struct rte_eth_dev *dev, uint16_t id)
{
	call_note("rx_queue_setup");
	dev->data->rx_queues[id] = &dev->data->rx_queues[id];
	return 0;
}

static int
op_tx_queue_setup(struct rte_eth_dev *dev, uint16_t id)
{
	call_note("tx_queue_setup");
	dev->data->tx_queues[id] = &dev->data->tx_queues[id];
	return 0;
}

static struct eth_dev_ops ops;

#define OP_SET(name) (ops.name = (void *)op_##name)

static void
ops_init(void)
{
	OP_SET(dev_configure), OP_SET(dev_start), OP_SET(dev_stop), OP_SET(dev_close);
	OP_SET(dev_reset);
	OP_SET(dev_infos_get);
	OP_SET(rx_queue_setup), OP_SET(rx_queue_release);
	OP_SET(rx_queue_start), OP_SET(rx_queue_stop);
	OP_SET(tx_queue_setup), OP_SET(tx_queue_release);
	OP_SET(tx_queue_start), OP_SET(tx_queue_stop), OP_SET(tx_done_cleanup);
	OP_SET(link_update), OP_SET(dev_set_link_up), OP_SET(dev_set_link_down);
	OP_SET(promiscuous_enable), OP_SET(promiscuous_disable);
	OP_SET(allmulticast_enable), OP_SET(allmulticast_disable);
	OP_SET(vlan_offload_set), OP_SET(dev_ptypes_set), OP_SET(dev_supported_ptypes_get);
	OP_SET(mtu_set), OP_SET(mac_addr_set);
	OP_SET(mac_addr_add), OP_SET(mac_addr_remove), OP_SET(set_mc_addr_list);
	OP_SET(stats_get), OP_SET(stats_reset);
	OP_SET(xstats_get), OP_SET(xstats_get_names), OP_SET(xstats_reset);
	OP_SET(rxq_info_get), OP_SET(txq_info_get);
	OP_SET(rx_burst_mode_get), OP_SET(tx_burst_mode_get);
	OP_SET(rx_queue_intr_enable), OP_SET(rx_queue_intr_disable);
	OP_SET(pool_ops_supported);
}

/* Functions of the data path: never called, only their addresses are looked for. */
static uint16_t
burst_rx(void *queue, struct rte_mbuf **m, uint16_t n)
{
	RTE_SET_USED(queue), RTE_SET_USED(m), RTE_SET_USED(n);
	return 0;
}

static uint16_t
burst_tx(void *queue, struct rte_mbuf **m, uint16_t n)
{
	RTE_SET_USED(queue), RTE_SET_USED(m);
	return n;
}

static uint16_t
prepare_tx(void *queue, struct rte_mbuf **m, uint16_t n)
{
	RTE_SET_USED(queue), RTE_SET_USED(m);
	return n;
}

static int
status_rx(void *queue, uint16_t offset)
{
	RTE_SET_USED(queue), RTE_SET_USED(offset);
	return 1;
}

static int
status_tx(void *queue, uint16_t offset)
{
	RTE_SET_USED(queue), RTE_SET_USED(offset);
	return 2;
}

static int
count_rx(void *queue)
{
	RTE_SET_USED(queue);
	return 3;
}

static struct rte_eth_dev *port;
static struct rte_ether_addr mac[MACS] = { { .addr_bytes = { 2, 1, 2, 3, 4, 5 } } };
static char private_data;

static void
port_fill(struct rte_eth_dev *dev, struct rte_vdev_device *vdev)
{
	dev->device = &vdev->device;
	dev->data->numa_node = NUMA_NODE;
	dev->data->mac_addrs = mac;
	dev->data->mtu = 1234;
	dev->data->rx_mbuf_alloc_failed = 55;
	dev->process_private = &private_data;
	dev->rx_pkt_burst = burst_rx;
	dev->tx_pkt_burst = burst_tx;
	dev->tx_pkt_prepare = prepare_tx;
	dev->rx_queue_count = (void *)count_rx;
	dev->rx_descriptor_status = status_rx;
	dev->tx_descriptor_status = status_tx;
	dev->dev_ops = &ops;
}

static int
vdev_probe(struct rte_vdev_device *vdev)
{
	call_note("probe");
	CHECK(strcmp(rte_dev_name(&vdev->device), PORT_NAME) == 0);
	CHECK(vdev->device.name == rte_dev_name(&vdev->device));
	CHECK(strcmp(rte_vdev_device_args(vdev), PORT_ARGS) == 0);
	vdev->device.numa_node = NUMA_NODE;
	CHECK(rte_dev_numa_node(&vdev->device) == NUMA_NODE);
	port = failed == 0 ? rte_eth_dev_allocate(PORT_NAME) : NULL;
	if (port == NULL)
		return -1;
	port_fill(port, vdev);
	rte_eth_dev_probing_finish(port);
	return 0;
}

static int
vdev_remove(struct rte_vdev_device *vdev)
{
	RTE_SET_USED(vdev);
	call_note("remove");
	return 0;
}

static struct rte_vdev_driver vdev_driver = {
	.driver = { .name = "net_layout" },
	.probe = vdev_probe,
	.remove = vdev_remove,
};

/* The array of all ports is a symbol, and symbols have a size. */
static size_t
devices_size(void)
{
	const ElfW(Sym) *sym = NULL;
	Dl_info info;

	if (dladdr1(rte_eth_devices, &info, (void **)&sym, RTLD_DL_SYMENT) == 0 || sym == NULL)
		return 0;
	return sym->st_size;
}

/* The library clears what it knows of when it gives up a port. */
static void
check_sizes(void)
{
	struct rte_eth_dev *next = rte_eth_dev_allocate("net_layout_next");
	struct rte_eth_dev_data *data;

	CHECK(devices_size() == sizeof(struct rte_eth_dev) * RTE_MAX_ETHPORTS);
	CHECK(next == &rte_eth_devices[1] && port == &rte_eth_devices[0]);
	if (next == NULL || failed != 0)
		return;
	data = next->data;
	CHECK(data == port->data + 1);
	next->process_private = &private_data;
	next->intr_handle = (void *)&private_data;
	data->dev_private = rte_malloc(NULL, 64, 0);
	CHECK(rte_eth_dev_release_port(next) == 0);
	CHECK(next->process_private == NULL && next->intr_handle == NULL && next->dev_ops == NULL);
	CHECK(data->dev_private == NULL && data->name[0] == '\0');
}

static void
check_names(uint16_t id)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr addr;
	char name[RTE_ETH_NAME_MAX_LEN];
	uint16_t mtu = 0;

	EXPECT(dev_infos_get, rte_eth_dev_info_get(id, &info));
	CHECK(info.device == port->device);
	CHECK(info.dev_flags == &port->data->dev_flags);
	CHECK(rte_eth_dev_is_valid_port(id) && port->data->port_id == id);
	CHECK(port->state == RTE_ETH_DEV_ATTACHED);
	CHECK(rte_eth_dev_get_name_by_port(id, name) == 0 && strcmp(name, PORT_NAME) == 0);
	CHECK(strcmp(port->data->name, PORT_NAME) == 0);
	CHECK(rte_eth_dev_socket_id(id) == NUMA_NODE);
	CHECK(rte_eth_dev_get_mtu(id, &mtu) == 0 && mtu == 1234);
	CHECK(rte_eth_macaddr_get(id, &addr) == 0 && rte_is_same_ether_addr(&addr, &mac[0]));
}

static void
check_configure(uint16_t id)
{
	struct rte_eth_conf conf = { .lpbk_mode = 0x12345678, .rxmode = { .mtu = 1300 } }, seen;
	struct rte_mempool *mp = rte_pktmbuf_pool_create("layout", 63, 0, 0, 2176, 0);
	unsigned int i;

	port->data->dev_private = &private_data;
	EXPECT(dev_configure, rte_eth_dev_configure(id, RX_QUEUES, TX_QUEUES, &conf));
	CHECK(port->data->nb_rx_queues == RX_QUEUES && port->data->nb_tx_queues == TX_QUEUES);
	CHECK(rte_eth_dev_conf_get(id, &seen) == 0 && seen.lpbk_mode == conf.lpbk_mode);
	CHECK(memcmp(&seen, &port->data->dev_conf, sizeof(seen)) == 0);
	CHECK(mp != NULL);
	for (i = 0; failed == 0 && i < RX_QUEUES; i++)
		EXPECT(rx_queue_setup, rte_eth_rx_queue_setup(id, i, 64, 0, NULL, mp));
	for (i = 0; failed == 0 && i < TX_QUEUES; i++)
		EXPECT(tx_queue_setup, rte_eth_tx_queue_setup(id, i, 64, 0, NULL));
}

static void
check_start(uint16_t id)
{
	const struct rte_eth_fp_ops *fp = &rte_eth_fp_ops[id];

	CHECK(port->data->dev_started == 0);
	EXPECT(dev_start, rte_eth_dev_start(id));
	CHECK(port->data->dev_started == 1);
	CHECK(fp->rx_pkt_burst == burst_rx && fp->tx_pkt_burst == burst_tx);
	CHECK(fp->tx_pkt_prepare == prepare_tx);
	CHECK((void *)fp->rx_queue_count == (void *)count_rx);
	CHECK(fp->rx_descriptor_status == status_rx && fp->tx_descriptor_status == status_tx);
	CHECK(fp->rxq.data == port->data->rx_queues && fp->txq.data == port->data->tx_queues);
}

static void
check_queues(uint16_t id)
{
	struct rte_eth_burst_mode mode;
	struct rte_eth_rxq_info rxq;
	struct rte_eth_txq_info txq;

	port->data->rx_queue_state[0] = RTE_ETH_QUEUE_STATE_STOPPED;
	port->data->rx_queue_state[1] = RTE_ETH_QUEUE_STATE_STARTED;
	port->data->tx_queue_state[0] = RTE_ETH_QUEUE_STATE_STOPPED;
	port->data->tx_queue_state[1] = RTE_ETH_QUEUE_STATE_STARTED;
	EXPECT(rxq_info_get, rte_eth_rx_queue_info_get(id, 1, &rxq));
	CHECK(rxq.queue_state == RTE_ETH_QUEUE_STATE_STARTED);
	EXPECT(txq_info_get, rte_eth_tx_queue_info_get(id, 1, &txq));
	CHECK(txq.queue_state == RTE_ETH_QUEUE_STATE_STARTED);
	EXPECT(rx_queue_start, rte_eth_dev_rx_queue_start(id, 0));
	EXPECT(rx_queue_stop, rte_eth_dev_rx_queue_stop(id, 1));
	EXPECT(tx_queue_start, rte_eth_dev_tx_queue_start(id, 0));
	EXPECT(tx_queue_stop, rte_eth_dev_tx_queue_stop(id, 1));
	EXPECT(tx_done_cleanup, rte_eth_tx_done_cleanup(id, 0, 0));
	EXPECT(rx_burst_mode_get, rte_eth_rx_burst_mode_get(id, 0, &mode));
	EXPECT(tx_burst_mode_get, rte_eth_tx_burst_mode_get(id, 0, &mode));
}

static void
check_interrupts(uint16_t id)
{
	struct rte_intr_handle *handle = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);

	EXPECT(rx_queue_intr_enable, rte_eth_dev_rx_intr_enable(id, 0));
	EXPECT(rx_queue_intr_disable, rte_eth_dev_rx_intr_disable(id, 0));
	CHECK(handle != NULL && rte_intr_vec_list_alloc(handle, NULL, 1) == 0);
	CHECK(rte_intr_vec_list_index_set(handle, 0, RTE_INTR_VEC_RXTX_OFFSET) == 0);
	CHECK(rte_intr_efds_index_set(handle, 0, EFD) == 0);
	port->intr_handle = handle;
	CHECK(rte_eth_dev_rx_intr_ctl_q_get_fd(id, 0) == EFD);
	port->intr_handle = NULL;
	rte_intr_instance_free(handle);
}

static void
check_modes(uint16_t id)
{
	struct rte_eth_link link = { .link_speed = 4711, .link_status = 1 }, seen;
	struct rte_ether_addr other = { .addr_bytes = { 2, 5, 4, 3, 2, 1 } };
	struct rte_ether_addr third = { .addr_bytes = { 2, 6, 5, 4, 3, 2 } };

	rte_eth_linkstatus_set(port, &link);
	EXPECT(link_update, rte_eth_link_get_nowait(id, &seen));
	CHECK(seen.link_speed == 4711);
	EXPECT(dev_set_link_up, rte_eth_dev_set_link_up(id));
	EXPECT(dev_set_link_down, rte_eth_dev_set_link_down(id));
	EXPECT(promiscuous_enable, rte_eth_promiscuous_enable(id));
	CHECK(port->data->promiscuous == 1);
	EXPECT(promiscuous_disable, rte_eth_promiscuous_disable(id));
	EXPECT(allmulticast_enable, rte_eth_allmulticast_enable(id));
	CHECK(port->data->all_multicast == 1);
	EXPECT(allmulticast_disable, rte_eth_allmulticast_disable(id));
	EXPECT(mac_addr_set, rte_eth_dev_default_mac_addr_set(id, &other));
	CHECK(rte_is_same_ether_addr(&port->data->mac_addrs[0], &other));
	EXPECT(mac_addr_add, rte_eth_dev_mac_addr_add(id, &third, 0));
	CHECK(rte_is_same_ether_addr(&port->data->mac_addrs[1], &third));
	EXPECT(mac_addr_remove, rte_eth_dev_mac_addr_remove(id, &third));
	EXPECT(set_mc_addr_list, rte_eth_dev_set_mc_addr_list(id, &third, 1));
	EXPECT(vlan_offload_set, rte_eth_dev_set_vlan_offload(id, RTE_ETH_VLAN_STRIP_OFFLOAD));
	EXPECT(dev_ptypes_set, rte_eth_dev_set_ptypes(id, RTE_PTYPE_UNKNOWN, NULL, 0));
	EXPECT(dev_supported_ptypes_get, rte_eth_dev_get_supported_ptypes(id, ~0u, NULL, 0));
	EXPECT(mtu_set, rte_eth_dev_set_mtu(id, 1400));
	CHECK(port->data->mtu == 1400);
	EXPECT(pool_ops_supported, rte_eth_dev_pool_ops_supported(id, "ring_mp_mc"));
}

static void
check_statistics(uint16_t id)
{
	struct rte_eth_xstat xstats[512];
	struct rte_eth_xstat_name names[512];
	struct rte_eth_stats stats;

	EXPECT(stats_get, rte_eth_stats_get(id, &stats));
	CHECK(stats.rx_nombuf == 55);
	EXPECT(xstats_get, rte_eth_xstats_get(id, xstats, RTE_DIM(xstats)));
	EXPECT(xstats_get_names, rte_eth_xstats_get_names(id, names, RTE_DIM(names)));
	EXPECT(xstats_reset, rte_eth_xstats_reset(id));
	EXPECT(stats_reset, rte_eth_stats_reset(id));
	CHECK(port->data->rx_mbuf_alloc_failed == 0);
}

/* What the port has is not EAL's to free. */
static void
check_end(uint16_t id)
{
	struct rte_eth_conf conf = { .lpbk_mode = 0 };

	EXPECT(dev_stop, rte_eth_dev_stop(id));
	EXPECT(dev_reset, rte_eth_dev_reset(id));
	EXPECT(rx_queue_release, rte_eth_dev_configure(id, 1, TX_QUEUES, &conf));
	EXPECT(tx_queue_release, rte_eth_dev_configure(id, 1, 1, &conf));
	CHECK(port->process_private == &private_data && port->data->dev_private == &private_data);
	port->data->mac_addrs = NULL;
	port->data->dev_private = NULL;
	EXPECT(dev_close, rte_eth_dev_close(id));
	EXPECT(remove, rte_vdev_uninit(PORT_NAME));
}

/* In this order: a step leans on what the ones before it have found right. */
static void (* const checks[])(uint16_t id) = {
	check_names,
	check_configure,
	check_start,
	check_queues,
	check_interrupts,
	check_modes,
	check_statistics,
	check_end,
};

static int
eal_start(const char *program)
{
	char lcore[32], prefix[32];
	const char *argv[] = { program, "--no-huge", "--no-shconf", "-m", "64", "--no-pci",
		"--no-telemetry", "--file-prefix", prefix, "--lcores", lcore, NULL };

	snprintf(lcore, sizeof(lcore), "0@%d", sched_getcpu());
	snprintf(prefix, sizeof(prefix), "driver-probe-%d", (int)getpid());
	return rte_eal_init(RTE_DIM(argv) - 1, (char **)(uintptr_t)argv);
}

int
main(int argc, char **argv)
{
	unsigned int i;

	RTE_SET_USED(argc);
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (eal_start(argv[0]) < 0) {
		printf("driver-probe: EAL does not start\n");
		return 2;
	}
	/* At once: what the headers have wrong may be the end of this process. */
	rmdir(rte_eal_get_runtime_dir());
	ops_init();
	rte_vdev_register(&vdev_driver);
	EXPECT(probe, rte_vdev_init(PORT_NAME, PORT_ARGS));
	if (failed == 0)
		check_sizes();
	for (i = 0; failed == 0 && i < RTE_DIM(checks); i++)
		checks[i](port->data->port_id);
	if (failed != 0)
		return EXIT_FAILURE;
	rte_eal_cleanup();
	printf("driver-probe: the headers fit DPDK %s\n", rte_version());
	return EXIT_SUCCESS;
}
