/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * What a pool for a load needs, from the rules by which carvers cut pages. Creates nothing.
 *
 * A page is cut from the front in units of PPOOL_FRAG_ALIGN until what is left cannot hold the
 * largest frame. Packets of a mix arrive independently of each other, so that the units that are
 * cut off a page are a random walk, and the packets at which a lane closes its pages a renewal
 * process. Both are computed, not simulated: first how many packets a page takes, then for the
 * first packets of a lane how likely each is to close a page. All lanes begin with fresh pages at
 * the same time. So they close them at about the same time, too, and most pages are held when the
 * packets that are held at a time include as many of these moments as possible.
 *
 * Slots of a class are used again as soon as they are freed: their pages follow the most that were
 * ever live.
 */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "ppool_freelist.h"
#include "ppool_compat.h"
#include "ppool_private.h"
#include "ppool_sizing.h"

/* Packets an lcore is working on. */
#define BURST 32u
/* What EAL's allocator puts around a piece of memory. */
#define MALLOC_OVERHEAD 128u
/* Largest page that is estimated: the time it takes grows with the square. */
#define PAGE_MAX (UINT32_C(1) << 20)
/* A larger page is chosen if it needs at most this many percent more memory than the best. */
#define LARGER_PERCENT 2u
/* What a class holds is at most so many standard deviations above the mean, see ppool_sizing.h. */
#define PEAK_DEVIATIONS 5
/* Packets held for a time. */
#define LIVE_MAX ((double)(UINT64_C(1) << 40))

/* Frames may be this much longer than the MTU: Ethernet header, two VLAN tags. */
#define L2_LEN (RTE_ETHER_HDR_LEN + 2 * RTE_VLAN_HLEN)

/* Pages of 2 MB divided by these are candidates. */
static const uint32_t candidates[] = {
	31,
	32,
	40,
	48,
	64,
	80,
	96,
	128,
	160,
	192,
	256,
	320,
	384,
	512,
	640,
	768,
	1024,
};

/* Layout */

/* A pool without memory: the pool proper computes its layout and its size classes. */
struct model {
	struct rte_mempool *mp;
	struct ppool *p;
};

static void
model_fini(struct model *m)
{
	free(m->p);
	free(m->mp);
}

/* Zeroed; structs that begin with a cache line do so here, too. */
static void *
lines_alloc(size_t size)
{
	size_t len = RTE_ALIGN_CEIL(size, RTE_CACHE_LINE_SIZE);
	void *lines = aligned_alloc(RTE_CACHE_LINE_SIZE, len);

	return lines == NULL ? NULL : memset(lines, 0, len);
}

static int
model_init(struct model *m, uint32_t page_size, uint32_t priv_size)
{
	size_t head = RTE_MEMPOOL_HEADER_SIZE((struct rte_mempool *)NULL, 0);
	struct rte_pktmbuf_pool_private *priv;
	struct rte_mempool_objsz size;

	rte_mempool_calc_obj_size(sizeof(struct rte_mbuf) + priv_size + page_size, 0, &size);
	m->mp = lines_alloc(head + sizeof(*priv));
	m->p = lines_alloc(sizeof(*m->p));
	if (m->mp == NULL || m->p == NULL)
		return -ENOMEM;
	snprintf(m->mp->name, sizeof(m->mp->name), "estimate");
	m->mp->elt_size = size.elt_size;
	m->mp->header_size = size.header_size;
	m->mp->trailer_size = size.trailer_size;
	m->mp->private_data_size = sizeof(*priv);
	priv = rte_mempool_get_priv(m->mp);
	priv->mbuf_priv_size = (uint16_t)priv_size;
	m->p->mp = m->mp;
	return ppool_layout_init(m->p);
}

/* UINT32_MAX where a mempool cannot have such objects. */
static uint32_t
object_bytes(uint32_t page_size, uint32_t priv_size)
{
	uint64_t elt_size = sizeof(struct rte_mbuf) + (uint64_t)priv_size + page_size;
	struct rte_mempool_objsz size;

	if (elt_size > INT32_MAX)
		return UINT32_MAX;
	return rte_mempool_calc_obj_size((uint32_t)elt_size, 0, &size);
}

uint32_t
ppool_size_fit(uint64_t len, uint32_t pages, uint32_t priv_size)
{
	uint64_t page = len / RTE_MAX(pages, 1u);
	uint32_t size;

	size = (uint32_t)RTE_ALIGN_FLOOR(RTE_MIN(page, (uint64_t)PPOOL_BIAS), PPOOL_FRAG_ALIGN);
	while (size > 0 && object_bytes(size, priv_size) > page)
		size -= PPOOL_FRAG_ALIGN;
	return size;
}

/* Bytes that a mempool takes for so many objects, which do not cross OS pages if they can. */
static uint64_t
object_memory(uint64_t n, uint64_t object, uint64_t os_page)
{
	uint64_t in_one = os_page / object;

	if (in_one == 0)
		return n * RTE_ALIGN_CEIL(object, os_page);
	return n / in_one * os_page + n % in_one * object;
}

/* Carving */

struct flow {
	unsigned int nb;
	uint32_t *units; /* that a packet of each length takes */
	float *share;    /* of all packets */
	uint32_t last;   /* a page from which more units have been cut is closed */
	double frags;    /* packets that a page takes */
	uint32_t nb_closing;
	float *closing; /* by packet of a lane: how likely it is to close a page */
};

static void
flow_free(struct flow *f)
{
	free(f->units);
	free(f->share);
	free(f->closing);
}

static uint32_t
max_len(const struct ppool_size_conf *conf)
{
	return conf->mtu + L2_LEN;
}

static int
flow_init(struct flow *f, const struct ppool_size_conf *conf, const struct ppool_layout *layout)
{
	double sum = 0;
	unsigned int i;

	memset(f, 0, sizeof(*f));
	f->nb = conf->nb_mix;
	f->units = calloc(f->nb, sizeof(f->units[0]));
	f->share = calloc(f->nb, sizeof(f->share[0]));
	if (f->units == NULL || f->share == NULL)
		return -ENOMEM;
	for (i = 0; i < f->nb; i++)
		sum += conf->mix[i].weight;
	for (i = 0; i < f->nb; i++) {
		f->units[i] = (conf->headroom + conf->mix[i].len + PPOOL_FRAG_ALIGN - 1) /
				PPOOL_FRAG_ALIGN;
		f->share[i] = (float)(conf->mix[i].weight / sum);
	}
	f->last = (layout->room_bytes - conf->headroom - max_len(conf)) / PPOOL_FRAG_ALIGN;
	return 0;
}

/* How many packets a page takes: from its end, how many more it takes after so many units. */
static int
flow_frags(struct flow *f)
{
	double *more = calloc((size_t)f->last + 1, sizeof(*more));
	unsigned int i;
	uint32_t at;

	if (more == NULL)
		return -ENOMEM;
	for (at = f->last + 1; at-- > 0;) {
		more[at] = 1;
		for (i = 0; i < f->nb; i++)
			if (f->units[i] <= f->last - at)
				more[at] += f->share[i] * more[at + f->units[i]];
	}
	f->frags = more[0];
	free(more);
	return 0;
}

/* One packet: from now to next, how likely so many units have been cut. Returns what closes. */
static float
flow_step(const struct flow *f, const float *now, float *next)
{
	float closing = 0;
	uint32_t at, units;
	unsigned int i;

	memset(next, 0, ((size_t)f->last + 1) * sizeof(*next));
	for (i = 0; i < f->nb; i++) {
		units = RTE_MIN(f->units[i], f->last + 1);
		for (at = 0; at + units <= f->last; at++)
			next[at + units] += f->share[i] * now[at];
		for (; at <= f->last; at++)
			closing += f->share[i] * now[at];
	}
	next[0] += closing;
	return closing;
}

static int
flow_closing(struct flow *f, uint32_t packets)
{
	size_t n = (size_t)f->last + 1;
	float *state = calloc(2 * n, sizeof(*state));
	uint32_t i;

	f->closing = calloc(packets, sizeof(f->closing[0]));
	if (state == NULL || f->closing == NULL) {
		free(state);
		return -ENOMEM;
	}
	state[0] = 1;
	for (i = 0; i < packets; i++)
		f->closing[i] = flow_step(f, state + i % 2 * n, state + (i + 1) % 2 * n);
	f->nb_closing = packets;
	free(state);
	return 0;
}

/* The most pages that any so many packets in sequence of a lane close. */
static double
closed_by_window(const struct flow *f, uint32_t window)
{
	double sum = 0, most = 0;
	uint32_t i;

	for (i = 0; i < f->nb_closing; i++) {
		sum += f->closing[i];
		if (i >= window)
			sum -= f->closing[i - window];
		most = RTE_MAX(most, sum);
	}
	return most;
}

/* Packets of a lane that are looked at: two pages, and a window of up to two more. */
static uint32_t
window_max(const struct flow *f)
{
	return (uint32_t)ceil(2 * f->frags) + 1;
}

/*
 * The most pages that lanes have closed by packets that are held, each lane by an equal part.
 * Whole pages' worth of packets more than the last two are a page more each.
 */
static double
closed_by(const struct flow *f, double packets, double lanes)
{
	double window = packets / lanes, pages = 0, low, part;

	if (window > 2 * f->frags) {
		pages = floor(window / f->frags) - 1;
		window -= pages * f->frags;
	}
	low = floor(window);
	part = window - low;
	pages += (1 - part) * closed_by_window(f, (uint32_t)low);
	pages += part * closed_by_window(f, (uint32_t)low + 1);
	return pages * lanes;
}

/* The parts of a pool */

static uint64_t
carvers_of(const struct ppool_size_conf *conf)
{
	return (uint64_t)conf->ports * conf->queues;
}

/* Packets held that the application does not count. */
static uint64_t
in_flight(const struct ppool_size_conf *conf)
{
	return carvers_of(conf) * conf->tx_desc + (uint64_t)conf->lcores * BURST;
}

/*
 * Where only one in so many packets is held, those received meanwhile spread over more pages, of
 * which each is pinned that has at least one of them. Packets in flight pin every page.
 */
static double
held_pages(const struct ppool_size_conf *conf, const struct flow *f)
{
	double lanes = (double)carvers_of(conf) * conf->rx_desc;
	double received = (double)conf->packets * conf->one_in + (double)in_flight(conf);
	double pinned = 1 - pow(1 - 1.0 / conf->one_in, f->frags);

	return pinned * closed_by(f, received, lanes) +
			(1 - pinned) * closed_by(f, (double)in_flight(conf), lanes);
}

/* Idle headers stay with the lcores, and each carver has a header page for itself. */
static uint64_t
header_pages(const struct ppool_size_conf *conf, const struct ppool_layout *layout, uint64_t held)
{
	uint64_t slots = held + (uint64_t)conf->lcores * PPOOL_LCORE_HEADERS;

	return RTE_MAX((slots + layout->slots - 1) / layout->slots, carvers_of(conf));
}

static uint64_t
cached(const struct ppool_size_conf *conf)
{
	return (uint64_t)conf->lcores * PPOOL_CACHE_OBJECTS(conf->cache_size);
}

/* Outside the pages: what every pool has, and some pieces of so many bytes each. */
static uint64_t
table_bytes(const struct ppool_size_conf *conf, uint64_t pages, uint64_t pieces, uint64_t each)
{
	const struct rte_mempool *mp = NULL;
	uint64_t bytes;

	bytes = RTE_MEMPOOL_HEADER_SIZE(mp, conf->cache_size) + RTE_MEMPOOL_HEADER_SIZE(mp, 0);
	bytes += sizeof(struct ppool) + pages * sizeof(struct ppool_page);
	bytes += ppool_freelist_memory((uint32_t)pages);
	bytes += conf->lcores * sizeof(struct ppool_lcore);
	bytes += pieces * each;
	return bytes + (5 + conf->lcores + pieces) * MALLOC_OVERHEAD;
}

/* As many mbufs of a fixed size, large enough for a frame, and their ring. */
static uint64_t
fixed_bytes(const struct ppool_size_conf *conf, uint64_t held)
{
	const struct rte_mempool *mp = NULL;
	uint64_t n = held + carvers_of(conf) * conf->rx_desc + conf->mbufs + cached(conf);
	uint64_t object = object_bytes(conf->headroom + max_len(conf), conf->priv_size);

	return object_memory(n, object, RTE_PGSIZE_2M) + n * sizeof(void *) +
			RTE_MEMPOOL_HEADER_SIZE(mp, conf->cache_size);
}

uint64_t
ppool_size_memory(const struct ppool_size *size, uint64_t os_page_len)
{
	return object_memory(size->pages, size->page_bytes, os_page_len) + size->table_bytes;
}

/* What follows from the pages that are needed; pieces and each as of table_bytes(). */
static void
size_finish(const struct ppool_size_conf *conf, uint64_t pieces, uint64_t each,
		struct ppool_size *s)
{
	uint64_t needed;

	s->whole_pages = conf->mbufs == 0 ? 0 : conf->mbufs + cached(conf);
	needed = s->held_pages + s->peak_pages + s->posted_pages + s->header_pages +
			s->reserve_pages + s->whole_pages;
	s->spare_pages = (needed * conf->spare + 99) / 100;
	s->pages = needed + s->spare_pages;
	s->table_bytes = table_bytes(conf, s->pages, pieces, each);
	s->bytes = ppool_size_memory(s, RTE_PGSIZE_2M);
	s->bytes_per_packet = (double)s->bytes / (double)s->held;
	s->packets_per_mib = (double)(1 << 20) / s->bytes_per_packet;
	s->fixed_bytes = fixed_bytes(conf, conf->slots ? s->peak : s->held);
}

static void
frags_fill(const struct ppool_size_conf *conf, const struct ppool_layout *layout,
		const struct flow *f, struct ppool_size *s)
{
	uint64_t carver = sizeof(struct ppool_carver) + conf->rx_desc * sizeof(struct ppool_lane);

	s->frags_per_page = f->frags;
	s->truesize = layout->page_bytes / f->frags + (double)layout->page_bytes / layout->slots;
	s->held = conf->packets + in_flight(conf);
	s->held_pages = (uint64_t)ceil(held_pages(conf, f));
	s->posted_pages = carvers_of(conf) * conf->rx_desc;
	s->header_pages = header_pages(conf, layout, s->held);
	size_finish(conf, carvers_of(conf), carver, s);
}

/* Slots */

/* By Little's law: each packet that comes finds so many that are held for a time. */
static double
hold_live(const struct ppool_size_conf *conf)
{
	double live = 0;
	unsigned int i;

	for (i = 0; i < conf->nb_hold; i++)
		live += conf->hold[i].share / 100 * conf->hold[i].lifetime;
	return live;
}

/* What a pool is for, in slots. */
struct slots_load {
	double certain;              /* packets held, whose number is not left to chance */
	double live;                 /* and those whose number is, on average */
	double share[PPOOL_CLASSES]; /* of all packets, by size class */
	unsigned int post;           /* the class of posted slots */
};

static void
slots_load_init(struct slots_load *l, const struct ppool_size_conf *conf, const struct ppool *p)
{
	double sum = 0;
	unsigned int i;

	memset(l, 0, sizeof(*l));
	l->certain = (double)(conf->packets + in_flight(conf));
	l->live = hold_live(conf);
	for (i = 0; i < conf->nb_mix; i++) {
		sum += conf->mix[i].weight;
		l->share[ppool_class_for(p, conf->mix[i].len)] += conf->mix[i].weight;
	}
	for (i = 0; i < PPOOL_CLASSES; i++)
		l->share[i] /= sum;
	l->post = ppool_class_for(p, max_len(conf));
}

/* Its part of a fixed number of packets is binomial, that of those held for a time Poisson. */
static double
class_deviation(const struct slots_load *l, double share)
{
	return sqrt(share * (1 - share) * l->certain + share * l->live);
}

/* Pages of so many more slots of a class, beyond those of *slots. */
static uint64_t
class_pages(const struct ppool_class *c, double *slots, double more)
{
	uint64_t before = (uint64_t)ceil(*slots / c->slots);

	*slots += more;
	return (uint64_t)ceil(*slots / c->slots) - before;
}

/* A class in use. */
static void
class_fill(const struct ppool_size_conf *conf, const struct slots_load *l,
		const struct ppool_class *c, double share, double posted, struct ppool_size *s)
{
	double held = share * (l->certain + l->live), slots = 0;

	s->charged += (uint64_t)(held * s->page_bytes / c->slots);
	s->truesize += share * s->page_bytes / c->slots;
	s->held_pages += class_pages(c, &slots, held);
	s->posted_pages += class_pages(c, &slots, posted);
	s->peak_pages += class_pages(c, &slots, PEAK_DEVIATIONS * class_deviation(l, share));
	s->reserve_pages += class_pages(c, &slots, (double)conf->lcores * c->keep);
	s->reserve_pages += PPOOL_IDLE_CLASS_PAGES;
}

static void
slots_fill(const struct ppool_size_conf *conf, const struct ppool *p, struct ppool_size *s)
{
	uint64_t ring = carvers_of(conf) * conf->rx_desc, posted, pools = 1;
	struct slots_load l;
	unsigned int i;

	slots_load_init(&l, conf, p);
	s->live = l.live;
	s->held = (uint64_t)(l.certain + l.live + 0.5);
	s->peak = (uint64_t)ceil(l.certain + l.live + PEAK_DEVIATIONS * sqrt(l.live));
	for (i = PPOOL_HEADERS + 1; i < p->depot.nb_classes; i++) {
		posted = i == l.post ? ring : 0;
		if (l.share[i] == 0 && posted == 0)
			continue;
		class_fill(conf, &l, &p->depot.size_class[i], l.share[i], (double)posted, s);
		pools++;
	}
	s->frags_per_page = s->page_bytes / s->truesize;
	/* The slot pool, and a view of each class. */
	size_finish(conf, pools, RTE_MEMPOOL_HEADER_SIZE((struct rte_mempool *)NULL, 0), s);
}

/* Checks */

static int
check_mix(const struct ppool_size_conf *conf)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < conf->nb_mix; i++) {
		sum += conf->mix[i].weight;
		if (conf->mix[i].len == 0 || conf->mix[i].len > max_len(conf)) {
			PPOOL_LOG(ERR, "a packet of %u bytes is not possible with an MTU of %u: frames are 1 to %u bytes",
					conf->mix[i].len, conf->mtu, max_len(conf));
			return -EINVAL;
		}
	}
	if (sum == 0) {
		PPOOL_LOG(ERR, "the size mix is empty");
		return -EINVAL;
	}
	return 0;
}

static int
check_hold(const struct ppool_size_conf *conf)
{
	double share = 0;
	unsigned int i;

	if (conf->nb_hold > 0 && !conf->slots) {
		PPOOL_LOG(ERR, "packets that are held for a time need slots: in frags each may keep a page");
		return -EINVAL;
	}
	if (conf->slots && conf->headroom != RTE_PKTMBUF_HEADROOM) {
		PPOOL_LOG(ERR, "headroom %u: that of slots is %u", conf->headroom,
				RTE_PKTMBUF_HEADROOM);
		return -EINVAL;
	}
	for (i = 0; i < conf->nb_hold; i++) {
		share += conf->hold[i].share;
		if (conf->hold[i].share >= 0 && conf->hold[i].lifetime >= 0)
			continue;
		PPOOL_LOG(ERR, "shares and lifetimes of packets held are not below 0");
		return -EINVAL;
	}
	if (share <= 100 && hold_live(conf) <= LIVE_MAX)
		return 0;
	PPOOL_LOG(ERR, "%g %% of the packets are held, %g on average: at most 100 %% and %g", share,
			hold_live(conf), LIVE_MAX);
	return -EINVAL;
}

static int
check_conf(const struct ppool_size_conf *conf)
{
	if (conf->ports == 0 || conf->queues == 0 || (conf->rx_desc == 0 && !conf->slots) ||
			conf->lcores == 0 || conf->one_in == 0 || conf->mtu == 0) {
		PPOOL_LOG(ERR, "ports, queues, rx_desc, lcores, one_in and mtu are at least 1; rx_desc may be 0 with slots");
		return -EINVAL;
	}
	if (conf->mtu > UINT16_MAX || (uint64_t)conf->headroom + max_len(conf) > UINT16_MAX) {
		PPOOL_LOG(ERR, "MTU %u with a headroom of %u: frames do not fit into the 65535 bytes of an mbuf",
				conf->mtu, conf->headroom);
		return -EMSGSIZE;
	}
	if (conf->priv_size > UINT16_MAX || conf->page_size > PAGE_MAX) {
		PPOOL_LOG(ERR, "priv_size %u and page_size %u: at most %u and %u", conf->priv_size,
				conf->page_size, UINT16_MAX, PAGE_MAX);
		return -EINVAL;
	}
	return check_hold(conf) != 0 ? -EINVAL : check_mix(conf);
}

/* The estimate */

static int
frags_estimate(const struct ppool_size_conf *conf, const struct ppool_layout *layout,
		struct ppool_size *size)
{
	struct flow f;
	int ret;

	ret = flow_init(&f, conf, layout);
	if (ret == 0)
		ret = flow_frags(&f);
	if (ret == 0)
		ret = flow_closing(&f, 2 * window_max(&f));
	if (ret == 0)
		frags_fill(conf, layout, &f, size);
	flow_free(&f);
	return ret;
}

static bool
frame_fits(const struct ppool_size_conf *conf, const struct ppool *p)
{
	if (conf->slots)
		return ppool_class_for(p, max_len(conf)) != PPOOL_HEADERS;
	return conf->headroom + max_len(conf) <= p->layout.room_bytes;
}

static int
frame_refuse(const struct ppool_size_conf *conf, uint32_t page_size, const struct ppool *p)
{
	if (conf->slots)
		PPOOL_LOG(ERR, "slots for frames of up to %u bytes do not fit into a page of %u: choose a larger page_size, or 0 for the best",
				max_len(conf), page_size);
	else
		PPOOL_LOG(ERR, "frames of up to %u bytes behind a headroom of %u do not fit into a page of %u: choose a page_size of at least %u, better several times as much",
				max_len(conf), conf->headroom, page_size,
				page_size + conf->headroom + max_len(conf) - p->layout.room_bytes);
	return -EMSGSIZE;
}

static int
model_estimate(const struct ppool_size_conf *conf, uint32_t page_size, const struct ppool *p,
		struct ppool_size *size)
{
	if (!frame_fits(conf, p))
		return frame_refuse(conf, page_size, p);
	memset(size, 0, sizeof(*size));
	size->page_size = page_size;
	size->page_bytes = p->layout.page_bytes;
	if (!conf->slots)
		return frags_estimate(conf, &p->layout, size);
	slots_fill(conf, p, size);
	return 0;
}

static int
estimate(const struct ppool_size_conf *conf, uint32_t page_size, struct ppool_size *size)
{
	struct model m;
	int ret;

	ret = model_init(&m, page_size, conf->priv_size);
	if (ret == 0)
		ret = model_estimate(conf, page_size, m.p, size);
	model_fini(&m);
	return ret;
}

static bool
page_takes_frame(const struct ppool_size_conf *conf, uint32_t page_size)
{
	uint64_t frame = RTE_ALIGN_CEIL((uint64_t)conf->headroom + conf->mtu + L2_LEN,
			PPOOL_FRAG_ALIGN);
	struct model m;
	bool fits;

	/* The private area of the first mbuf is rounded up to a line. */
	if (page_size < frame + PPOOL_FRAG_ALIGN)
		return false;
	if (!conf->slots)
		return true;
	fits = model_init(&m, page_size, conf->priv_size) == 0 && frame_fits(conf, m.p);
	model_fini(&m);
	return fits;
}

unsigned int
ppool_size_candidates(const struct ppool_size_conf *conf, uint32_t *page_size, unsigned int n)
{
	uint32_t fit, smaller;
	unsigned int i, k = 0;

	for (i = 0; i < RTE_DIM(candidates) && k < n; i++) {
		fit = ppool_size_fit(RTE_PGSIZE_2M, candidates[i], conf->priv_size);
		if (fit > UINT16_MAX) {
			smaller = ppool_size_fit(RTE_PGSIZE_2M, candidates[i + 1], conf->priv_size);
			if (page_takes_frame(conf, smaller))
				continue;
		}
		if (page_takes_frame(conf, fit))
			page_size[k++] = fit;
	}
	return k;
}

static int
choose(const struct ppool_size_conf *conf, struct ppool_size *size)
{
	uint32_t page_size[RTE_DIM(candidates)];
	struct ppool_size each[RTE_DIM(candidates)];
	uint64_t least = UINT64_MAX;
	unsigned int i, n;
	int ret;

	n = ppool_size_candidates(conf, page_size, RTE_DIM(page_size));
	for (i = 0; i < n; i++) {
		ret = estimate(conf, page_size[i], &each[i]);
		if (ret != 0)
			return ret;
		least = RTE_MIN(least, each[i].bytes);
	}
	/* From the largest on. */
	for (i = 0; i < n; i++) {
		if (each[i].bytes > least + least * LARGER_PERCENT / 100)
			continue;
		*size = each[i];
		return 0;
	}
	PPOOL_LOG(ERR, "no page takes a frame of %u bytes with these headers: lower the MTU or priv_size",
			max_len(conf));
	return -EMSGSIZE;
}

int
ppool_size_estimate(const struct ppool_size_conf *conf, struct ppool_size *size)
{
	int ret = check_conf(conf);

	if (ret != 0)
		return ret;
	return conf->page_size != 0 ? estimate(conf, conf->page_size, size) : choose(conf, size);
}
