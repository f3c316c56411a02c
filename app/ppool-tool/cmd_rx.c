/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_epoll.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <rte_random.h>

#include <ppool.h>

#include "commands.h"
#include "json.h"
#include "pool.h"
#include "port.h"

/*
 * What does receiving a packet cost? Busy cycles are the TSC cycles of those rounds that returned
 * packets, from before rte_eth_rx_burst() until its packets are processed and freed: as testpmd
 * counts them with --record-core-cycles.
 */

#define RX_BURST_MAX 512
#define RX_TOUCH_BYTES 64
#define RX_SLEEP_MS 100 /* at a time */
#define RX_PROGRESS_SECONDS 5

static struct port_conf port_conf = PORT_CONF_DEFAULT;
static uint64_t run_seconds = 5;
static uint64_t wait_seconds = 30;
static uint64_t burst = 32;
static uint64_t prefetch;
static bool touch;
static bool free_one;
static bool aged;
static const char *json_path;

static const struct opt rx_opts[] = {
	PORT_OPTS(&port_conf),
	{ "seconds", OPT_UINT, &run_seconds, 1, 86400, "S", "how long, from the first packet on" },
	{ "wait", OPT_UINT, &wait_seconds, 1, 3600, "S", "give up when no packet comes at all" },
	{ "burst", OPT_UINT, &burst, 1, RX_BURST_MAX, "N", "packets asked for at once" },
	{ "touch", OPT_FLAG, &touch, 0, 0, NULL, "read the first 64 bytes of every packet" },
	{ "prefetch", OPT_UINT, &prefetch, 0, RX_BURST_MAX, "N",
			"with --touch: prefetch data so many packets ahead" },
	{ "hold", OPT_UINT, &port_conf.hold, 0, INT32_MAX, "N",
			"keep the last N packets before freeing them" },
	{ "aged", OPT_FLAG, &aged, 0, 0, NULL,
			"with --hold: before counting, free that many in random order" },
	{ "free-one", OPT_FLAG, &free_one, 0, 0, NULL,
			"free one by one instead of rte_pktmbuf_free_bulk()" },
	{ "sleep", OPT_FLAG, &port_conf.interrupts, 0, 0, NULL,
			"wait for an interrupt of the port where there is no packet" },
	{ "json", OPT_STR, &json_path, 0, 0, "FILE", "write the result there" },
	{ .name = NULL },
};

/* The last packets, oldest first: a ring with room for hold + one burst. */
struct fifo {
	struct rte_mbuf **m;
	size_t size;
	size_t head; /* the oldest */
	size_t n;
};

struct rx_count {
	uint64_t packets;
	uint64_t busy_cycles;
	uint64_t bursts;
	uint64_t polls;
	uint64_t sleeps;                  /* of at most RX_SLEEP_MS */
	uint64_t wakeups;                 /* of these, ended by an interrupt */
	uint64_t tsc;                     /* of the whole run */
	uint64_t silent;                  /* TSC cycles since the last packet */
	uint64_t sizes[RX_BURST_MAX + 1]; /* bursts of each size */
};

static volatile uint64_t touch_sink;

static uint64_t
touch_packet(const struct rte_mbuf *m)
{
	const unaligned_uint64_t *data = rte_pktmbuf_mtod(m, const unaligned_uint64_t *);
	unsigned int i, n = RTE_MIN(m->data_len, RX_TOUCH_BYTES) / sizeof(*data);
	uint64_t sum = 0;

	for (i = 0; i < n; i++)
		sum += data[i];
	return sum;
}

static void
touch_burst(struct rte_mbuf **m, unsigned int n)
{
	unsigned int ahead = (unsigned int)prefetch, i;
	uint64_t sum = 0;

	for (i = 0; i < RTE_MIN(ahead, n); i++)
		rte_prefetch0(rte_pktmbuf_mtod(m[i], void *));
	for (i = 0; i < n; i++) {
		if (ahead != 0 && i + ahead < n)
			rte_prefetch0(rte_pktmbuf_mtod(m[i + ahead], void *));
		sum += touch_packet(m[i]);
	}
	touch_sink += sum;
}

static inline void
free_burst(struct rte_mbuf **m, unsigned int n)
{
	unsigned int i;

	if (!free_one) {
		rte_pktmbuf_free_bulk(m, n);
		return;
	}
	for (i = 0; i < n; i++)
		rte_pktmbuf_free(m[i]);
}

static void
fifo_free_oldest(struct fifo *f, size_t n)
{
	size_t run;

	f->n -= n;
	for (; n > 0; n -= run) {
		run = RTE_MIN(n, f->size - f->head);
		free_burst(f->m + f->head, (unsigned int)run);
		f->head += run;
		if (f->head == f->size)
			f->head = 0;
	}
}

static void
fifo_add(struct fifo *f, struct rte_mbuf **m, size_t n)
{
	size_t tail = f->head + f->n;
	size_t run;

	if (tail >= f->size)
		tail -= f->size;
	run = RTE_MIN(n, f->size - tail);
	memcpy(f->m + tail, m, run * sizeof(*m));
	memcpy(f->m, m + run, (n - run) * sizeof(*m));
	f->n += n;
	if (f->n > port_conf.hold)
		fifo_free_oldest(f, f->n - port_conf.hold);
}

static inline void
process(struct fifo *f, struct rte_mbuf **m, uint16_t n)
{
	if (touch)
		touch_burst(m, n);
	if (port_conf.hold == 0)
		free_burst(m, n);
	else
		fifo_add(f, m, n);
}

/* Wait for an interrupt, where the user wants to sleep. */
static void
idle(uint16_t port, struct rx_count *c)
{
	struct rte_epoll_event event;

	if (!port_conf.interrupts || rte_eth_dev_rx_intr_enable(port, 0) != 0)
		return;
	c->sleeps++;
	if (rte_epoll_wait(RTE_EPOLL_PER_THREAD, &event, 1, RX_SLEEP_MS) == 1)
		c->wakeups++;
	rte_eth_dev_rx_intr_disable(port, 0);
}

/* Have the port's interrupts wake this thread. */
static int
watch_interrupts(uint16_t port)
{
	int ret;

	if (!port_conf.interrupts)
		return 0;
	ret = rte_eth_dev_rx_intr_ctl_q(port, 0, RTE_EPOLL_PER_THREAD, RTE_INTR_EVENT_ADD, NULL);
	if (ret != 0)
		fprintf(stderr, "port %u has no receive interrupts: %s; leave out --sleep\n", port,
				rte_strerror(-ret));
	return ret;
}

/* Receive that many packets, which are not counted. */
static int
warm_up(uint16_t port, struct fifo *f, struct rx_count *c, uint64_t packets)
{
	uint64_t deadline = rte_rdtsc() + wait_seconds * rte_get_tsc_hz();
	struct rte_mbuf *m[RX_BURST_MAX];
	uint16_t n;

	while (!port_interrupted() && rte_rdtsc() < deadline) {
		n = rte_eth_rx_burst(port, 0, m, (uint16_t)burst);
		process(f, m, n);
		if (n >= packets)
			return 0;
		packets -= n;
		if (n == 0)
			idle(port, c);
	}
	fprintf(stderr,
			"%" PRIu64 " packets to begin with did not come within --wait %" PRIu64
			" seconds\n",
			packets, wait_seconds);
	return -1;
}

static void
shuffle(struct rte_mbuf **m, size_t n)
{
	size_t k;

	for (; n > 1; n--) {
		k = rte_rand_max(n);
		RTE_SWAP(m[n - 1], m[k]);
	}
}

/*
 * A pool that was just created lies in the order of its addresses, and keeps it as long as packets
 * are freed in the order in which they came. One that was in use for long does not.
 */
static int
age(uint16_t port, struct fifo *f, struct rx_count *c)
{
	if (warm_up(port, f, c, port_conf.hold) != 0)
		return -1;
	/* Full, and its oldest may be anywhere. */
	shuffle(f->m + f->head, RTE_MIN(f->n, f->size - f->head));
	shuffle(f->m, f->n - RTE_MIN(f->n, f->size - f->head));
	return warm_up(port, f, c, port_conf.hold);
}

/* Tell how far the run is, every few seconds. Returns when it will be told again. */
static uint64_t
print_progress(const struct rx_count *c, uint64_t begin, uint64_t now, uint64_t next)
{
	if (now < next)
		return next;
	if (now > begin) {
		printf("%" PRIu64 " packets in %" PRIu64 " of %" PRIu64 " s\n", c->packets,
				(now - begin) / rte_get_tsc_hz(), run_seconds);
		fflush(stdout);
	}
	return now + RX_PROGRESS_SECONDS * rte_get_tsc_hz();
}

static void
receive(uint16_t port, struct fifo *f, struct rx_count *c)
{
	uint64_t begin = rte_rdtsc(), end = begin + run_seconds * rte_get_tsc_hz();
	uint64_t before = begin, after, last = begin, progress = begin;
	struct rte_mbuf *m[RX_BURST_MAX];
	uint16_t n;

	while (before < end && !port_interrupted()) {
		progress = print_progress(c, begin, before, progress);
		before = rte_rdtsc();
		n = rte_eth_rx_burst(port, 0, m, (uint16_t)burst);
		c->polls++;
		if (n == 0) {
			idle(port, c);
			continue;
		}
		process(f, m, n);
		after = rte_rdtsc();
		c->busy_cycles += after - before;
		c->packets += n;
		c->bursts++;
		c->sizes[n]++;
		last = after;
	}
	c->tsc = rte_rdtsc() - begin;
	c->silent = begin + c->tsc - last;
}

static double
ratio(double a, double b)
{
	return b == 0 ? 0 : a / b;
}

static double
rx_seconds(const struct rx_count *c)
{
	return (double)c->tsc / (double)rte_get_tsc_hz();
}

/* Sizes 1, 2, 3-4, 5-8, ... */
static void
print_histogram(const struct rx_count *c)
{
	unsigned int low, high, i;

	printf("burst sizes     ");
	for (low = 1, high = 1; low <= burst; low = high + 1, high *= 2) {
		uint64_t n = 0;

		for (i = low; i <= RTE_MIN(high, (unsigned int)burst); i++)
			n += c->sizes[i];
		printf(" %u:%.1f%%", RTE_MIN(high, (unsigned int)burst),
				100 * ratio((double)n, (double)c->bursts));
	}
	printf("\n");
}

static void
report(const struct port *p, const struct rx_count *c, const struct rte_eth_stats *stats)
{
	double seconds = rx_seconds(c);

	printf("driver           %s, pool ops %s, %u mbufs of %u bytes\n", p->driver,
			pool_ops_name(p->mp), p->mp->size, rte_pktmbuf_data_room_size(p->mp));
	printf("packets          %" PRIu64 " in %.2f s, %.3f Mpps\n", c->packets, seconds,
			ratio((double)c->packets, seconds) / 1e6);
	printf("busy cycles      %.1f a packet\n",
			ratio((double)c->busy_cycles, (double)c->packets));
	printf("busy             %.1f %% of the time\n",
			100 * ratio((double)c->busy_cycles, (double)c->tsc));
	printf("average burst    %.1f of %" PRIu64 "\n",
			ratio((double)c->packets, (double)c->bursts), burst);
	print_histogram(c);
	if (port_conf.interrupts)
		printf("sleeps           %" PRIu64 ", %" PRIu64 " of them ended by an interrupt\n",
				c->sleeps, c->wakeups);
	printf("not received     %" PRIu64 " no mbuf, %" PRIu64 " missed, %" PRIu64 " errors\n",
			stats->rx_nombuf, stats->imissed, stats->ierrors);
}

static void
report_json(struct json *j, const struct port *p, const struct rx_count *c,
		const struct rte_eth_stats *stats)
{
	unsigned int i;

	port_json(p, &port_conf, j);
	json_uint(j, "burst", burst);
	json_bool(j, "touch", touch);
	json_uint(j, "prefetch", prefetch);
	json_bool(j, "free_one", free_one);
	json_uint(j, "hold", port_conf.hold);
	json_bool(j, "aged", aged);
	json_uint(j, "packets", c->packets);
	json_real(j, "seconds", rx_seconds(c));
	json_real(j, "packets_per_second", ratio((double)c->packets, rx_seconds(c)));
	json_uint(j, "busy_cycles", c->busy_cycles);
	json_real(j, "cycles_per_packet", ratio((double)c->busy_cycles, (double)c->packets));
	json_uint(j, "tsc_hz", rte_get_tsc_hz());
	json_uint(j, "polls", c->polls);
	json_uint(j, "sleeps", c->sleeps);
	json_uint(j, "wakeups", c->wakeups);
	json_real(j, "average_burst", ratio((double)c->packets, (double)c->bursts));
	json_array(j, "bursts_of_size");
	for (i = 1; i <= burst; i++)
		json_uint(j, NULL, c->sizes[i]);
	json_end(j);
	json_uint(j, "ipackets", stats->ipackets);
	json_uint(j, "ibytes", stats->ibytes);
	json_uint(j, "rx_nombuf", stats->rx_nombuf);
	json_uint(j, "imissed", stats->imissed);
	json_uint(j, "ierrors", stats->ierrors);
}

/* Whether the source sent to the end. With --sleep it may be slow; an interrupt is the user's. */
static int
check_source(const struct rx_count *c)
{
	if (port_conf.interrupts || port_interrupted() || c->silent < c->tsc / 2)
		return 0;
	fprintf(stderr,
			"rx: source stopped: no packet in the last %.1f of %.1f seconds; have it send "
			"without end, or hold less than the pool has (--hold, --mbufs)\n",
			(double)c->silent / (double)rte_get_tsc_hz(), rx_seconds(c));
	return -1;
}

static int
rx(struct port *p, struct json *j)
{
	size_t size = port_conf.hold + burst;
	struct fifo f = { .m = calloc(size, sizeof(struct rte_mbuf *)), .size = size };
	struct rx_count c = { .packets = 0 };
	struct rte_eth_stats stats;
	int ret;

	if (f.m == NULL) {
		fprintf(stderr, "no memory for --hold %" PRIu64 "\n", port_conf.hold);
		return -1;
	}
	if (watch_interrupts(p->id) != 0) {
		free(f.m);
		return -1;
	}
	printf("ready\n");
	fflush(stdout);
	ret = warm_up(p->id, &f, &c, 1);
	if (ret == 0 && aged)
		ret = age(p->id, &f, &c);
	if (ret == 0) {
		receive(p->id, &f, &c);
		ret = check_source(&c);
	}
	memset(&stats, 0, sizeof(stats));
	rte_eth_stats_get(p->id, &stats);
	if (ret == 0)
		report(p, &c, &stats);
	report_json(j, p, &c, &stats);
	fifo_free_oldest(&f, f.n);
	free(f.m);
	return ret;
}

static int
rx_run(char **args)
{
	(void)args;
	if (aged && port_conf.hold == 0) {
		fprintf(stderr, "rx: --aged needs --hold N: packets to free in random order\n");
		return EXIT_FAILURE;
	}
	return port_run(&port_conf, json_path, rx);
}

const struct command cmd_rx = {
	.name = "rx",
	.help = "receive for some seconds, report rate and busy cycles per packet",
	.opts = rx_opts,
	.run = rx_run,
};
