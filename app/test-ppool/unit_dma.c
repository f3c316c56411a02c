/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bus_driver.h>
#include <dev_driver.h>
#include <ethdev_driver.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_log.h>

#include <ppool_create.h>

#include "unit.h"

/*
 * Pools in a memfd and ports that do DMA. The devices of two ports of net_null are given to a bus
 * of the test, whose mappings are counted: rte_dev_dma_map() is the real one. Those of VFIO share
 * a container, and their kernel's driver is found in a directory that looks like /sys.
 */

#define PORTS 2u

/* What is mapped for a device, or in the container of VFIO. */
struct domain {
	uint64_t bytes;
	unsigned int maps;
};

static struct {
	char dir[64]; /* in the place of /sys/bus/BUS */
	char bus_name[80];
	bool vfio[PORTS];
	struct domain container, domain[PORTS];
	unsigned int calls;
	unsigned int fail_call; /* this call fails, counted from 1; 0: none */
	int fail_errno;         /* 0: rte_errno is left as it is */
} dma;

static struct rte_device *device[PORTS];
static struct rte_device saved[PORTS];
static uint16_t port[PORTS];

static const char * const names[PORTS] = { "net_null_dma0", "net_null_dma1" };

static struct domain *
domain_of(const struct rte_device *dev)
{
	unsigned int i = dev == device[0] ? 0 : 1;

	return dma.vfio[i] ? &dma.container : &dma.domain[i];
}

static int
bus_map(struct rte_device *dev, void *addr, uint64_t iova, size_t len)
{
	struct domain *d = domain_of(dev);

	(void)addr;
	(void)iova;
	dma.calls++;
	if (dma.calls == dma.fail_call) {
		if (dma.fail_errno != 0)
			rte_errno = dma.fail_errno;
		return -1;
	}
	d->bytes += len;
	d->maps++;
	return 0;
}

/* As VFIO: what is not mapped cannot be unmapped. */
static int
bus_unmap(struct rte_device *dev, void *addr, uint64_t iova, size_t len)
{
	struct domain *d = domain_of(dev);

	(void)addr;
	(void)iova;
	if (d->bytes < len) {
		print_error("%s: %zu bytes unmapped that are not mapped\n", dev->name, len);
		d->maps = UINT_MAX;
		return -1;
	}
	d->bytes -= len;
	return 0;
}

static struct rte_bus bus = {
	.name = dma.bus_name,
	.dma_map = bus_map,
	.dma_unmap = bus_unmap,
};

/* The link from a device to its driver. */
static void
driver_link(unsigned int i, const char *driver)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/devices/%s", dma.dir, names[i]);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/devices/%s/driver", dma.dir, names[i]);
	unlink(path);
	assert_int_equal(symlink(driver, path), 0);
	dma.vfio[i] = strstr(driver, "vfio") != NULL;
}

static void
dir_remove(void)
{
	char path[PATH_MAX];
	unsigned int i;

	for (i = 0; i < PORTS; i++) {
		snprintf(path, sizeof(path), "%s/devices/%s/driver", dma.dir, names[i]);
		unlink(path);
		snprintf(path, sizeof(path), "%s/devices/%s", dma.dir, names[i]);
		rmdir(path);
	}
	snprintf(path, sizeof(path), "%s/devices", dma.dir);
	rmdir(path);
	rmdir(dma.dir);
}

static bool
dir_make(void)
{
	char path[PATH_MAX];

	snprintf(dma.dir, sizeof(dma.dir), "/tmp/ppfrag_unit_XXXXXX");
	if (mkdtemp(dma.dir) == NULL)
		return false;
	snprintf(dma.bus_name, sizeof(dma.bus_name), "../..%s", dma.dir);
	snprintf(path, sizeof(path), "%s/devices", dma.dir);
	return mkdir(path, 0700) == 0;
}

/* The i-th port, its device on the bus of the test. */
static bool
port_make(unsigned int i)
{
	struct rte_eth_dev_info info;

	if (rte_eal_hotplug_add("vdev", names[i], "") != 0 ||
			rte_eth_dev_get_port_by_name(names[i], &port[i]) != 0 ||
			rte_eth_dev_info_get(port[i], &info) != 0)
		return false;
	device[i] = info.device;
	saved[i] = *device[i];
	device[i]->bus = &bus;
	return true;
}

static void
port_remove(unsigned int i)
{
	if (device[i] == NULL)
		return;
	device[i]->bus = saved[i].bus;
	rte_eal_hotplug_remove("vdev", names[i]);
	device[i] = NULL;
}

static int
dma_setup(void **state)
{
	unsigned int i;

	memset(&dma, 0, sizeof(dma));
	if (!dir_make())
		return -1;
	for (i = 0; i < PORTS; i++)
		if (!port_make(i))
			print_message("no port %s\n", names[i]);
	return unit_setup(state);
}

static int
dma_teardown(void **state)
{
	int ret = unit_teardown(state);
	unsigned int i;

	for (i = 0; i < PORTS; i++)
		port_remove(i);
	dir_remove();
	if (dma.container.bytes + dma.domain[0].bytes + dma.domain[1].bytes != 0) {
		print_error("memory is left mapped for DMA\n");
		return -1;
	}
	return ret;
}

static void
require_ports(void)
{
	unit_require(device[0] != NULL && device[1] != NULL, "the driver net_null");
}

static struct ppool_create_conf
memfd_conf(void)
{
	struct ppool_create_conf conf = {
		.name = unit_name(),
		.pages = 100,
		.page_size = 65280,
		.socket_id = SOCKET_ID_ANY,
		.backing = PPOOL_BACKING_MEMFD,
	};

	return conf;
}

static struct rte_mempool *
memfd_pool(void)
{
	struct ppool_create_conf conf = memfd_conf();

	return unit_register(ppool_create(&conf));
}

static uint64_t
pool_bytes(struct rte_mempool *mp)
{
	struct ppool_memfd memfd;

	assert_int_equal(ppool_memfd(mp, &memfd), 0);
	return memfd.len;
}

/* Each device has a mapping of its own. */
static void
test_own_mappings(void **state)
{
	struct rte_mempool *mp;
	uint64_t bytes;

	(void)state;
	require_ports();
	mp = memfd_pool();
	bytes = pool_bytes(mp);
	driver_link(0, "../../../drivers/mlx5_core");
	assert_int_equal(ppool_dma_map(mp, port[0]), 0);
	assert_int_equal(ppool_dma_map(mp, port[0]), 0);
	assert_int_equal(ppool_dma_map(ppool_frag_pool(mp), port[1]), 0);
	assert_int_equal(dma.domain[0].bytes, bytes);
	assert_int_equal(dma.domain[1].bytes, bytes);
	assert_int_equal(ppool_dma_unmap(mp, port[0]), 0);
	assert_int_equal(ppool_dma_unmap(mp, port[0]), 0);
	assert_int_equal(dma.domain[0].bytes, 0);
	assert_int_equal(dma.domain[1].bytes, bytes);
	/* Undone with the pool. */
	unit_pool_free(mp);
	assert_int_equal(dma.domain[1].bytes, 0);
}

/* Devices of VFIO share one mapping: made once, kept until the last port lets go. */
static void
test_vfio_container(void **state)
{
	struct rte_mempool *mp;
	unsigned int i, ranges;
	uint64_t bytes;

	(void)state;
	require_ports();
	mp = memfd_pool();
	bytes = pool_bytes(mp);
	driver_link(0, "../../../drivers/vfio-pci");
	driver_link(1, "../../../drivers/mlx5_vfio_pci");
	for (i = 0; i < PORTS; i++) {
		assert_int_equal(ppool_dma_map(mp, port[i]), 0);
		ranges = dma.container.maps;
		assert_int_equal(ppool_dma_map(mp, port[1 - i]), 0);
		assert_int_equal(dma.container.maps, ranges);
		assert_int_equal(dma.container.bytes, bytes);
		assert_int_equal(ppool_dma_unmap(mp, port[0]), 0);
		assert_int_equal(dma.container.bytes, bytes);
		assert_int_equal(ppool_dma_unmap(mp, port[1]), 0);
		assert_int_equal(dma.container.bytes, 0);
	}
	/* With the pool, once. */
	assert_int_equal(ppool_dma_map(mp, port[0]), 0);
	assert_int_equal(ppool_dma_map(mp, port[1]), 0);
	unit_pool_free(mp);
	assert_int_equal(dma.container.bytes, 0);
	assert_int_not_equal(dma.container.maps, UINT_MAX);
}

/* Two pools are two ranges: one does not keep the other mapped. */
static void
test_two_pools(void **state)
{
	struct rte_mempool *a, *b;
	unsigned int i;

	(void)state;
	require_ports();
	a = memfd_pool();
	b = memfd_pool();
	for (i = 0; i < PORTS; i++) {
		driver_link(i, "../../../drivers/vfio-pci");
		assert_int_equal(ppool_dma_map(a, port[i]), 0);
	}
	assert_int_equal(ppool_dma_map(b, port[0]), 0);
	assert_int_equal(dma.container.bytes, pool_bytes(a) + pool_bytes(b));
	assert_int_equal(ppool_dma_unmap(b, port[0]), 0);
	assert_int_equal(dma.container.bytes, pool_bytes(a));
}

/* Two ports of one device. */
static void
test_one_device(void **state)
{
	struct rte_device *other;
	struct rte_mempool *mp;

	(void)state;
	require_ports();
	mp = memfd_pool();
	other = rte_eth_devices[port[1]].device;
	rte_eth_devices[port[1]].device = device[0];
	assert_int_equal(ppool_dma_map(mp, port[0]), 0);
	assert_int_equal(ppool_dma_map(mp, port[1]), 0);
	assert_int_equal(dma.domain[0].bytes, pool_bytes(mp));
	assert_int_equal(ppool_dma_unmap(mp, port[1]), 0);
	assert_int_equal(dma.domain[0].bytes, pool_bytes(mp));
	assert_int_equal(ppool_dma_unmap(mp, port[0]), 0);
	assert_int_equal(dma.domain[0].bytes, 0);
	rte_eth_devices[port[1]].device = other;
}

/* A port is closed before the pool is freed, and another one gets its number. */
static void
test_port_closed(void **state)
{
	struct rte_mempool *mp;
	uint16_t closed;

	(void)state;
	require_ports();
	mp = memfd_pool();
	closed = port[1];
	assert_int_equal(ppool_dma_map(mp, port[1]), 0);
	assert_int_equal(rte_eth_dev_close(port[1]), 0);
	assert_int_equal(dma.domain[1].bytes, 0);
	assert_int_equal(ppool_dma_map(mp, closed), -ENODEV);
	assert_int_equal(ppool_dma_unmap(mp, closed), -ENODEV);
	port_remove(1);
	assert_true(port_make(1));
	assert_int_equal(port[1], closed);
	assert_int_equal(ppool_dma_map(mp, port[1]), 0);
	assert_int_equal(dma.domain[1].bytes, pool_bytes(mp));
}

static int
map_fails(struct rte_mempool *mp, unsigned int call, int err)
{
	uint32_t level = rte_log_get_global_level();
	int ret;

	dma.calls = 0;
	dma.fail_call = call;
	dma.fail_errno = err;
	/* Left by an earlier call. */
	rte_errno = ENOTSUP;
	rte_log_set_global_level(RTE_LOG_CRIT);
	ret = ppool_dma_map(mp, port[0]);
	rte_log_set_global_level(level);
	dma.fail_call = 0;
	return ret;
}

/* What fails is an error, whatever rte_errno is, and leaves nothing mapped. */
static void
test_map_fails(void **state)
{
	struct rte_mempool *mp;
	unsigned int ranges;

	(void)state;
	require_ports();
	mp = memfd_pool();
	driver_link(0, "../../../drivers/vfio-pci");
	assert_int_equal(map_fails(mp, 1, 0), -EIO);
	assert_int_equal(map_fails(mp, 1, ENOMEM), -ENOMEM);
	assert_int_equal(map_fails(mp, 1, ENOTSUP), -ENOTSUP);
	assert_int_equal(ppool_dma_unmap(mp, port[0]), 0);
	assert_int_equal(ppool_dma_map(mp, port[0]), 0);
	ranges = dma.container.maps;
	assert_int_equal(ppool_dma_unmap(mp, port[0]), 0);
	/* The last of them, where memory is contiguous in IOVA the only one. */
	assert_int_equal(map_fails(mp, ranges, 0), -EIO);
	assert_int_equal(dma.container.bytes, 0);
	/* A bus may know devices without DMA, but not of VFIO. */
	driver_link(0, "../../../drivers/uio_pci_generic");
	assert_int_equal(map_fails(mp, 1, ENOTSUP), 0);
	assert_int_equal(map_fails(mp, 1, 0), -EIO);
}

/* The pool is not created where its port cannot reach it, and the log says so. */
static void
test_create_fails(void **state)
{
	struct ppool_create_conf conf = memfd_conf();
	struct rte_mempool *mp;
	char *text = NULL;
	size_t len = 0;
	FILE *f;

	(void)state;
	require_ports();
	conf.socket_id = PPOOL_SOCKET_OF_PORT;
	conf.port_id = port[0];
	f = open_memstream(&text, &len);
	assert_non_null(f);
	rte_openlog_stream(f);
	dma.fail_call = 1;
	mp = ppool_create(&conf);
	rte_openlog_stream(NULL);
	fclose(f);
	if (mp != NULL)
		unit_register(mp);
	assert_null(mp);
	assert_int_equal(rte_errno, EIO);
	assert_non_null(strstr(text, "cannot be mapped for DMA of port"));
	assert_non_null(strstr(text, "PPOOL_BACKING_EAL"));
	free(text);
	dma.fail_call = 0;
	mp = unit_register(ppool_create(&conf));
	assert_int_equal(dma.domain[0].bytes, pool_bytes(mp));
}

#define DMA_TEST(f) cmocka_unit_test_setup_teardown(f, dma_setup, dma_teardown)

static const struct CMUnitTest tests[] = {
	DMA_TEST(test_own_mappings),
	DMA_TEST(test_vfio_container),
	DMA_TEST(test_two_pools),
	DMA_TEST(test_one_device),
	DMA_TEST(test_port_closed),
	DMA_TEST(test_map_fails),
	DMA_TEST(test_create_fails),
};

UNIT_SUITE(dma, "DMA of ports into pools in a memfd", tests);
