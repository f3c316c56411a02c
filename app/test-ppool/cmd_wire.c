/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_random.h>

#include <ppool.h>
#include <ppool_carver.h>
#include <ppool_create.h>
#include <ppool_keep.h>
#include <ppool_slot.h>

#include "commands.h"
#include "json.h"
#include "port.h"

/*
 * Is what a NIC writes where the pool says it is? Two ports that are connected to each other send
 * frames of every length, which are frags of the pool that both receive into. Each frame that
 * arrives is compared with what was sent, and once more when it is freed, as nobody may write to it
 * while it is held. IOVAs of all objects, and of all that is sent and received, are compared with
 * the kernel's page map where they are physical addresses, and with what EAL maps for devices.
 */

#define WIRE_PORTS 2u
#define WIRE_BURST 16u
#define WIRE_FLIGHT 64u                /* frames on their way: less than the rings hold */
#define WIRE_LEN_MIN 60u               /* shorter ones are padded */
#define WIRE_ETHER_TYPE 0x88b5         /* for experiments: IEEE 802, clause 9 */
#define WIRE_MTU_MAX (UINT16_MAX - 64) /* frames are counted in 16 bits */
#define WIRE_LINK_SECONDS 15
#define WIRE_HELLO UINT32_MAX /* a number that is not a frame's */
#define WIRE_FAULTS_SHOWN 10u
#define WIRE_STRIDE 1009u /* prime: all lengths come, in another order */
#define WIRE_PAGE 4096u
#define PAGEMAP_FRAME ((UINT64_C(1) << 55) - 1) /* of an entry of /proc/self/pagemap */

static uint64_t mbuf_size = 16384;
static uint64_t pages = 2048;
static uint64_t mtu = RTE_ETHER_MTU;
static uint64_t frames; /* each way; 0: one of every length */
static uint64_t hold = 512;
static uint64_t segments = 1;
static uint64_t restarts;
static uint64_t wait_seconds = 20;
static const char *into = "page";
static bool own_memory;
static const char *json_path;
static bool node_of_port;

static const struct opt wire_opts[] = {
	{ "mbuf-size", OPT_UINT, &mbuf_size, RTE_PKTMBUF_HEADROOM + 64, PPOOL_PAGE_SIZE_MAX,
			"BYTES", "data room of a page, headroom included" },
	{ "mbufs", OPT_UINT, &pages, 1, INT32_MAX, "N", "pages of the pool" },
	{ "own-memory", OPT_FLAG, &own_memory, 0, 0, NULL,
			"pages in a memfd, mapped for DMA of both ports" },
	{ "node", OPT_FLAG, &node_of_port, 0, 0, NULL,
			"pages on the NUMA node of the second port, or it is an error" },
	{ "into", OPT_STR, &into, 0, 0, "WHAT",
			"receive into page: whole pages; slot: slots for the longest frame; keep: pages, moved into slots as they come" },
	{ "mtu", OPT_UINT, &mtu, RTE_ETHER_MIN_MTU, WIRE_MTU_MAX, "BYTES", "MTU of the ports" },
	{ "frames", OPT_UINT, &frames, 0, INT32_MAX, "N", "each way, 0: one of every length" },
	{ "segments", OPT_UINT, &segments, 1, 8, "N", "send chains of up to so many frags" },
	{ "hold", OPT_UINT, &hold, 0, 1 << 20, "N", "frames held, freed in random order" },
	{ "restarts", OPT_UINT, &restarts, 0, 1000, "N",
			"stop and start both ports so often, and send all frames again" },
	{ "wait", OPT_UINT, &wait_seconds, 1, 3600, "S", "give up when no frame comes" },
	{ "json", OPT_STR, &json_path, 0, 0, "FILE", "write the result there" },
	{ .name = NULL },
};

/* A frame that was received, and the number of what was sent. */
struct wire_held {
	struct rte_mbuf *m;
	uint32_t number;
};

struct wire {
	struct rte_mempool *mp, *rx_pool;
	struct ppool_carver *carver;
	const char *driver[WIRE_PORTS];
	int pagemap;                /* descriptor of /proc/self/pagemap */
	uint16_t opened;            /* ports */
	uint32_t len_max, part_max; /* of a frame, of a frag of it */
	struct wire_held *held;
	size_t nb_held;
	uint64_t sent, received, chains, addresses;
	uint64_t faults;
};

__rte_format_printf(2, 3) static void wire_fault(struct wire *w, const char *format, ...)
{
	va_list args;

	if (w->faults++ >= WIRE_FAULTS_SHOWN)
		return;
	fprintf(stderr, "wire: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
}

/* Addresses */

/* Where the kernel says that it is. EAL would open the page map for each question. */
static rte_iova_t
physical_address(const struct wire *w, const void *addr)
{
	uint64_t entry, os_page = (uintptr_t)addr / WIRE_PAGE;

	if (pread(w->pagemap, &entry, sizeof(entry), (off_t)(os_page * sizeof(entry))) !=
			(ssize_t)sizeof(entry))
		return RTE_BAD_IOVA;
	entry &= PAGEMAP_FRAME;
	return entry == 0 ? RTE_BAD_IOVA : entry * WIRE_PAGE + (uintptr_t)addr % WIRE_PAGE;
}

static void
address_check(struct wire *w, const char *what, const void *addr, rte_iova_t iova)
{
	const struct rte_memseg *ms = rte_mem_virt2memseg(addr, NULL);
	rte_iova_t right = (uintptr_t)addr, mapped = RTE_BAD_IOVA;

	if (rte_eal_iova_mode() == RTE_IOVA_PA)
		right = physical_address(w, addr);
	w->addresses++;
	if (ms != NULL)
		mapped = ms->iova + RTE_PTR_DIFF(addr, ms->addr);
	if (iova != right || iova != mapped)
		wire_fault(w,
				"%s at %p: IOVA %" PRIx64 " in place of %" PRIx64
				", mapped by EAL %" PRIx64,
				what, addr, iova, right, mapped);
}

/* The ends, and where OS pages may begin. */
static void
range_check(struct wire *w, const char *what, const void *addr, size_t len, rte_iova_t iova)
{
	size_t at;

	for (at = 0; at < len; at += WIRE_PAGE - ((uintptr_t)addr + at) % WIRE_PAGE)
		address_check(w, what, RTE_PTR_ADD(addr, at), iova + at);
	address_check(w, what, RTE_PTR_ADD(addr, len - 1), iova + len - 1);
}

static void
mbuf_check(struct wire *w, const char *what, const struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next)
		range_check(w, what, m->buf_addr, m->buf_len, rte_mbuf_iova_get(m));
}

static void
object_check(struct rte_mempool *mp, void *arg, void *obj, unsigned int i)
{
	(void)i;
	range_check(arg, "page", obj, mp->elt_size, rte_mempool_virt2iova(obj));
}

/* Frames */

/* Few frames, too, are short and long ones in turn. */
static uint32_t
frame_len(const struct wire *w, uint32_t number)
{
	return WIRE_LEN_MIN +
			(uint32_t)((uint64_t)number * WIRE_STRIDE %
					(w->len_max - WIRE_LEN_MIN + 1));
}

static uint8_t
frame_byte(uint32_t number, uint32_t at)
{
	return (uint8_t)((number * 2654435761u + at * 40503u) >> 11);
}

/* To everybody, so that no NIC filters it. */
static void
frame_make(uint8_t *data, uint32_t len, uint32_t number)
{
	struct rte_ether_hdr *eth = (struct rte_ether_hdr *)data;
	rte_be32_t be = rte_cpu_to_be_32(number);
	uint32_t i;

	for (i = 0; i < len; i++)
		data[i] = frame_byte(number, i);
	memset(&eth->dst_addr, 0xff, sizeof(eth->dst_addr));
	eth->ether_type = rte_cpu_to_be_16(WIRE_ETHER_TYPE);
	memset(&eth->src_addr, 0, sizeof(eth->src_addr));
	eth->src_addr.addr_bytes[0] = RTE_ETHER_LOCAL_ADMIN_ADDR;
	memcpy(eth + 1, &be, sizeof(be));
}

static uint32_t
frame_number(const struct rte_mbuf *m)
{
	rte_be32_t be;

	memcpy(&be, rte_pktmbuf_mtod_offset(m, char *, sizeof(struct rte_ether_hdr)), sizeof(be));
	return rte_be_to_cpu_32(be);
}

/* Every byte, and the length. */
static void
frame_check(struct wire *w, const char *when, const struct rte_mbuf *m, uint32_t number)
{
	static uint8_t want[UINT16_MAX], copy[UINT16_MAX];
	uint32_t len = frame_len(w, number), at;
	const uint8_t *data;

	if (rte_pktmbuf_pkt_len(m) != len) {
		wire_fault(w, "frame %u: %u bytes in place of %u", number, rte_pktmbuf_pkt_len(m),
				len);
		return;
	}
	frame_make(want, len, number);
	data = rte_pktmbuf_read(m, 0, len, copy);
	if (data == NULL) {
		wire_fault(w, "frame %u: segments of less than %u bytes", number, len);
		return;
	}
	if (memcmp(data, want, len) == 0)
		return;
	for (at = 0; data[at] == want[at]; at++)
		;
	wire_fault(w, "frame %u of %u bytes differs from byte %u on when %s", number, len, at,
			when);
}

/* Append a frag with so many bytes of the frame to a chain. */
static struct rte_mbuf *
segment_add(struct wire *w, struct rte_mbuf *head, const uint8_t *data, uint32_t len)
{
	struct rte_mbuf *m = ppool_carve(w->carver, len);

	if (m == NULL || rte_pktmbuf_append(m, (uint16_t)len) == NULL ||
			(head != NULL && rte_pktmbuf_chain(head, m) != 0)) {
		rte_pktmbuf_free(m);
		rte_pktmbuf_free(head);
		return NULL;
	}
	memcpy(rte_pktmbuf_mtod(m, void *), data, len);
	return head != NULL ? head : m;
}

/* In frags of about the same length: as many as --segments asks for, or as pages are short. */
static struct rte_mbuf *
frame_send_mbuf(struct wire *w, uint32_t number, uint32_t len)
{
	static uint8_t data[UINT16_MAX];
	uint32_t n = 1 + number % (uint32_t)segments, at, part;
	struct rte_mbuf *m = NULL;

	frame_make(data, len, number);
	part = RTE_MIN(RTE_MAX(len / n + 1, WIRE_LEN_MIN), w->part_max);
	for (at = 0; at < len; at += part) {
		m = segment_add(w, m, data + at, RTE_MIN(part, len - at));
		if (m == NULL)
			return NULL;
	}
	return m;
}

/* Holding */

static void
held_free(struct wire *w, size_t i)
{
	struct wire_held *h = &w->held[i];

	frame_check(w, "freed", h->m, h->number);
	rte_pktmbuf_free(h->m);
	*h = w->held[--w->nb_held];
}

static void
held_add(struct wire *w, struct rte_mbuf *m, uint32_t number)
{
	w->held[w->nb_held++] = (struct wire_held){ .m = m, .number = number };
	if (w->nb_held > hold)
		held_free(w, rte_rand_max(w->nb_held));
}

/* Exchange */

static unsigned int
wire_send(struct wire *w, uint16_t port, uint32_t first, unsigned int n)
{
	struct rte_mbuf *m[WIRE_BURST];
	unsigned int i, done;

	for (i = 0; i < n; i++) {
		m[i] = frame_send_mbuf(w, first + i, frame_len(w, first + i));
		if (m[i] == NULL)
			break;
		mbuf_check(w, "frag to send", m[i]);
	}
	done = rte_eth_tx_burst(port, 0, m, (uint16_t)i);
	rte_pktmbuf_free_bulk(m + done, i - done);
	return done;
}

/* In the order in which they were sent, each of them once. Returns how many. */
static unsigned int
wire_receive(struct wire *w, uint16_t port, uint32_t first)
{
	struct rte_mbuf *m[WIRE_BURST];
	unsigned int n = rte_eth_rx_burst(port, 0, m, WIRE_BURST), i, good = 0;

	for (i = 0; i < n; i++) {
		if (frame_number(m[i]) == WIRE_HELLO) {
			rte_pktmbuf_free(m[i]);
			continue;
		}
		if (frame_number(m[i]) != first + good)
			wire_fault(w, "frame %u arrives in place of %u", frame_number(m[i]),
					first + good);
		w->chains += m[i]->nb_segs > 1;
		mbuf_check(w, "received", m[i]);
		frame_check(w, "received", m[i], first + good);
		held_add(w, m[i], first + good);
		good++;
	}
	return good;
}

static bool
wire_silent(uint64_t last)
{
	return port_interrupted() || rte_rdtsc() - last > wait_seconds * rte_get_tsc_hz();
}

static int
wire_one_way(struct wire *w, uint16_t from, uint32_t n)
{
	uint16_t to = 1 - from;
	uint32_t sent = 0, received = 0, now;
	uint64_t last = rte_rdtsc();

	while (received < n && w->faults == 0) {
		if (sent < n && sent - received <= WIRE_FLIGHT - WIRE_BURST)
			sent += wire_send(w, from, sent, RTE_MIN(n - sent, WIRE_BURST));
		now = wire_receive(w, to, received);
		received += now;
		if (now != 0)
			last = rte_rdtsc();
		if (wire_silent(last)) {
			wire_fault(w,
					"port %u sent %u frames, %u of them arrived at port %u within --wait %" PRIu64
					" seconds; where the pool is too small, raise --mbufs or lower --hold",
					from, sent, received, to, wait_seconds);
			break;
		}
	}
	w->sent += sent;
	w->received += received;
	return w->faults == 0 ? 0 : -1;
}

/* Links need a while. What is sent meanwhile may be lost. */
static int
wire_greet(struct wire *w, uint16_t from)
{
	uint64_t end = rte_rdtsc() + WIRE_LINK_SECONDS * rte_get_tsc_hz();
	struct rte_mbuf *m;
	uint16_t n;

	while (rte_rdtsc() < end && !port_interrupted()) {
		m = frame_send_mbuf(w, WIRE_HELLO, WIRE_LEN_MIN);
		if (m == NULL || rte_eth_tx_burst(from, 0, &m, 1) == 0)
			rte_pktmbuf_free(m);
		rte_delay_ms(20);
		n = rte_eth_rx_burst(1 - from, 0, &m, 1);
		if (n == 1) {
			rte_pktmbuf_free(m);
			return 0;
		}
	}
	wire_fault(w, "nothing that port %u sends arrives at port %u: connect them to each other",
			from, 1 - from);
	return -1;
}

/* Hellos that were sent while the link came up. */
static void
wire_drain(uint16_t port)
{
	struct rte_mbuf *m[WIRE_BURST];
	uint16_t n;

	rte_delay_ms(50);
	do {
		n = rte_eth_rx_burst(port, 0, m, WIRE_BURST);
		rte_pktmbuf_free_bulk(m, n);
	} while (n != 0);
}

static int
wire_exchange(struct wire *w)
{
	uint32_t n = frames != 0 ? (uint32_t)frames : w->len_max - WIRE_LEN_MIN + 1;
	uint16_t from;

	for (from = 0; from < WIRE_PORTS; from++) {
		if (wire_greet(w, from) != 0)
			return -1;
		wire_drain(1 - from);
		if (wire_one_way(w, from, n) != 0)
			return -1;
	}
	return 0;
}

/* Set-up */

static struct rte_mempool *
wire_pool(void)
{
	const struct ppool_create_conf conf = {
		.name = "test_ppool_wire",
		.pages = (uint32_t)pages,
		.page_size = (uint32_t)mbuf_size,
		.socket_id = node_of_port ? PPOOL_SOCKET_OF_PORT : SOCKET_ID_ANY,
		.port_id = WIRE_PORTS - 1,
		.backing = own_memory ? PPOOL_BACKING_MEMFD : PPOOL_BACKING_EAL,
	};

	return ppool_create(&conf);
}

static int
wire_place(struct wire *w)
{
	struct ppool_placement placement;

	ppool_placement_get(w->mp, &placement);
	printf("pool             %u pages of %u bytes, %" PRIu64 " OS pages of %" PRIu64 " KB%s, ",
			w->mp->size, (unsigned int)mbuf_size, placement.os_pages,
			placement.os_page_len >> 10, own_memory ? " in a memfd" : "");
	printf("node 0: %" PRIu64 ", node 1: %" PRIu64 "\n", placement.on_node[0],
			placement.on_node[1]);
	if (node_of_port &&
			(placement.socket_id < 0 || placement.elsewhere != 0 ||
					placement.unknown != 0)) {
		wire_fault(w, "the pool is not on the node of port %u", WIRE_PORTS - 1);
		return -1;
	}
	return 0;
}

/* The queue's pool by --into. */
static int
wire_rx_pool(struct wire *w)
{
	uint32_t room = w->len_max + RTE_ETHER_CRC_LEN;

	w->rx_pool = strcmp(into, "slot") == 0 ?
			ppool_slot_pool(w->mp, (uint16_t)RTE_MIN(room, (uint32_t)UINT16_MAX)) :
			w->mp;
	if (w->rx_pool != NULL)
		return 0;
	fprintf(stderr, "wire: no slot of --mbuf-size %u holds %u bytes: %s\n",
			(unsigned int)mbuf_size, room, rte_strerror(rte_errno));
	return -1;
}

static int
wire_carver(struct wire *w)
{
	struct ppool_carver_conf conf = {
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = 1,
		.port = RTE_MBUF_PORT_INVALID,
		.socket_id = SOCKET_ID_ANY,
	};

	w->part_max = (uint32_t)RTE_MIN(mbuf_size, (uint64_t)UINT16_MAX) - 2 * RTE_PKTMBUF_HEADROOM;
	w->part_max = RTE_MIN(w->len_max, w->part_max);
	conf.max_len = w->part_max;
	w->carver = ppool_carver_create(w->mp, &conf);
	if (w->carver != NULL)
		return 0;
	fprintf(stderr, "wire: no carver: %s; raise --mbuf-size\n", rte_strerror(rte_errno));
	return -1;
}

static int
port_error(const struct wire *w, uint16_t port, const char *step, int ret)
{
	fprintf(stderr, "wire: port %u (%s), %s: %s\n", port, w->driver[port], step,
			rte_strerror(-ret));
	return -1;
}

static int
wire_port_configure(struct wire *w, uint16_t port)
{
	struct rte_eth_conf conf = { .rxmode = { .mtu = (uint32_t)mtu } };
	struct rte_eth_dev_info info;
	int ret = rte_eth_dev_info_get(port, &info);
	uint32_t need;

	if (ret != 0)
		return port_error(w, port, "information", ret);
	w->driver[port] = info.driver_name;
	/* Room for the frame and what some drivers count besides: checksum, two VLAN tags. */
	need = w->len_max + RTE_ETHER_CRC_LEN + 8u + RTE_PKTMBUF_HEADROOM;
	if (need > rte_pktmbuf_data_room_size(w->rx_pool))
		conf.rxmode.offloads = info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER;
	conf.txmode.offloads = info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
	if (conf.txmode.offloads == 0 && (segments > 1 || w->part_max < w->len_max)) {
		fprintf(stderr, "wire: %s sends no chains: leave out --segments, raise --mbuf-size\n",
				w->driver[port]);
		return -1;
	}
	ret = rte_eth_dev_configure(port, 1, 1, &conf);
	return ret == 0 ? 0 : port_error(w, port, "configure with --mtu", ret);
}

static int
wire_port_run(struct wire *w, uint16_t port)
{
	int ret = rte_eth_dev_start(port);

	if (ret == 0)
		ret = rte_eth_promiscuous_enable(port);
	return ret == 0 || ret == -ENOTSUP ? 0 : port_error(w, port, "start", ret);
}

static int
wire_port_start(struct wire *w, uint16_t port)
{
	uint16_t rxd = 256, txd = 256;
	int ret = rte_eth_dev_adjust_nb_rx_tx_desc(port, &rxd, &txd);

	if (ret == 0)
		ret = rte_eth_rx_queue_setup(port, 0, rxd, SOCKET_ID_ANY, NULL, w->rx_pool);
	if (ret != 0)
		return port_error(w, port, "receive queue", ret);
	ret = rte_eth_tx_queue_setup(port, 0, txd, SOCKET_ID_ANY, NULL);
	if (ret != 0)
		return port_error(w, port, "transmit queue", ret);
	if (strcmp(into, "keep") == 0) {
		ret = ppool_keep_rx_add(port, 0, w->mp, PPOOL_KEEP_ALL);
		if (ret != 0)
			return port_error(w, port, "keep", ret);
	}
	return wire_port_run(w, port);
}

/* What is held stays held. */
static int
wire_restart(struct wire *w)
{
	uint16_t port;
	int ret = 0;

	for (port = 0; port < WIRE_PORTS && ret == 0; port++)
		ret = rte_eth_dev_stop(port);
	if (ret != 0)
		return port_error(w, port - 1, "stop", ret);
	for (port = 0; port < WIRE_PORTS && ret == 0; port++)
		ret = wire_port_run(w, port);
	return ret;
}

static int
wire_open_port(struct wire *w, uint16_t port)
{
	if (wire_port_configure(w, port) != 0)
		return -1;
	w->opened = port + 1;
	if (own_memory && ppool_dma_map(w->mp, port) != 0)
		return -1; /* the log says why */
	return wire_port_start(w, port);
}

static int
wire_open(struct wire *w)
{
	uint16_t port;

	if (rte_eth_dev_count_avail() != WIRE_PORTS) {
		fprintf(stderr, "wire: %u ports, it takes two that are connected to each other: give EAL those with -a or --vdev\n",
				rte_eth_dev_count_avail());
		return -1;
	}
	w->pagemap = open("/proc/self/pagemap", O_RDONLY);
	if (w->pagemap < 0) {
		fprintf(stderr, "wire: /proc/self/pagemap cannot be read: mount /proc\n");
		return -1;
	}
	w->held = calloc(hold + WIRE_BURST, sizeof(w->held[0]));
	w->mp = w->held == NULL ? NULL : wire_pool();
	if (w->mp == NULL) {
		fprintf(stderr, "wire: no pool: %s\n", rte_strerror(rte_errno));
		return -1;
	}
	if (wire_place(w) != 0 || wire_rx_pool(w) != 0 || wire_carver(w) != 0)
		return -1;
	for (port = 0; port < WIRE_PORTS; port++)
		if (wire_open_port(w, port) != 0)
			return -1;
	return 0;
}

/* All that is the pool's must be back then. */
static void
wire_close(struct wire *w)
{
	struct ppool_ledger ledger = { .frags = 0 };
	uint16_t port;

	while (w->nb_held > 0)
		held_free(w, w->nb_held - 1);
	for (port = 0; port < w->opened; port++) {
		if (strcmp(into, "keep") == 0)
			ppool_keep_rx_remove(port, 0);
		if (rte_eth_dev_stop(port) != 0 || rte_eth_dev_close(port) != 0)
			wire_fault(w, "port %u does not close", port);
	}
	ppool_carver_free(w->carver);
	if (w->mp != NULL) {
		if (ppool_check(w->mp, stderr) != 0 || ppool_ledger_get(w->mp, &ledger) != 0 ||
				rte_mempool_in_use_count(w->mp) != 0 || ledger.frags != 0)
			wire_fault(w, "%u pages and %" PRIu64 " frags are missing at the end",
					rte_mempool_in_use_count(w->mp), (uint64_t)ledger.frags);
		rte_mempool_free(w->mp);
	}
	free(w->held);
	if (w->pagemap >= 0)
		close(w->pagemap);
}

static void
wire_report(const struct wire *w, struct json *j)
{
	const char *mode = rte_eal_iova_mode() == RTE_IOVA_PA ? "PA" : "VA";

	printf("ports            %s, IOVA as %s, MTU %u, into %s\n", w->driver[0], mode,
			(unsigned int)mtu, into);
	printf("frames           %" PRIu64 " sent, %" PRIu64 " received, %" PRIu64 " as chains\n",
			w->sent, w->received, w->chains);
	printf("addresses        %" PRIu64 " compared\n", w->addresses);
	printf("faults           %" PRIu64 "\n", w->faults);
	json_string(j, "driver", w->driver[0]);
	json_string(j, "iova", mode);
	json_uint(j, "mtu", mtu);
	json_string(j, "into", into);
	json_uint(j, "sent", w->sent);
	json_uint(j, "received", w->received);
	json_uint(j, "chains", w->chains);
	json_uint(j, "addresses", w->addresses);
	json_uint(j, "faults", w->faults);
}

static int
wire_all(struct json *j)
{
	struct wire w = {
		.pagemap = -1,
		.driver = { "none", "none" },
		.len_max = (uint32_t)mtu + RTE_ETHER_HDR_LEN,
	};
	int ret = wire_open(&w);
	uint64_t i;

	if (ret == 0) {
		rte_mempool_obj_iter(w.mp, object_check, &w);
		ret = wire_exchange(&w);
	}
	for (i = 0; i < restarts && ret == 0; i++) {
		ret = wire_restart(&w);
		if (ret == 0)
			ret = wire_exchange(&w);
	}
	wire_close(&w);
	wire_report(&w, j);
	ret = ret == 0 && w.faults == 0 ? 0 : -1;
	json_bool(j, "ok", ret == 0);
	return ret;
}

static int
wire_run(char **args)
{
	struct json *j;
	int ret;

	(void)args;
	if (strcmp(into, "page") != 0 && strcmp(into, "slot") != 0 && strcmp(into, "keep") != 0) {
		fprintf(stderr, "wire: --into %s: it is page, slot or keep\n", into);
		return EXIT_FAILURE;
	}
	if (json_open(&j, json_path) != 0)
		return EXIT_FAILURE;
	port_catch_signals();
	ret = wire_all(j);
	if (json_close(j) != 0)
		ret = -1;
	return ret == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

const struct command cmd_wire = {
	.name = "wire",
	.help = "send frames between two connected ports, compare data and DMA addresses",
	.opts = wire_opts,
	.run = wire_run,
};
