/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include <ppool_slot.h>

#include "ppfrag_device.h"
#include "ppfrag_slots.h"

/*
 * The slots of a queue: classes, the table that says what is copied, and looking at how many pages
 * are free. What is done with each packet stands in the header.
 */

/* A packet that leaves more of its slot unused than this is copied in every preset. */
#define WASTE_MAX 2048u

/*
 * Whether pages are few decides whether density or speed counts; in between, it stays as it is.
 * Where the kernel copies every packet anyway, one more copy is little: density counts sooner.
 */
void
ppfrag_slots_look(struct ppfrag_rxq *q)
{
	struct ppfrag_rx_slots *s = q->slots;
	const bool xsk = q->dev->kind == PPFRAG_KIND_XSK;
	uint64_t free_pages, pages = q->mp->size;

	s->bursts = 0;
	if (q->dev->preset != PPFRAG_PRESET_AUTO)
		return;
	free_pages = rte_mempool_avail_count(q->mp);
	if (4 * free_pages < (xsk ? 3 : 2) * pages)
		s->dense = 1;
	else if (8 * free_pages > (xsk ? 7 : 6) * pages)
		s->dense = 0;
}

/* The smallest class of the queue with so much room. */
static uint8_t
class_for(const struct ppfrag_rx_slots *s, uint32_t len)
{
	uint8_t i;

	for (i = 0; i < s->nb_classes - 1 && s->room[i] < len; i++)
		;
	return i;
}

struct rte_mbuf *
ppfrag_slots_get(const struct ppfrag_rxq *q, uint32_t len)
{
	const struct ppfrag_rx_slots *s = q->slots;
	struct rte_mbuf *m;

	if (unlikely(rte_mempool_get(s->view[class_for(s, len)], (void **)&m) != 0))
		return NULL;
	slot_fill(&s->format, m, len);
	return m;
}

static bool
is_copied(const struct ppfrag_rxq *q, uint32_t len, bool dense)
{
	uint32_t room = q->slots->room[q->slots->post];

	if (len <= q->dev->copybreak || room - RTE_MIN(len, room) > WASTE_MAX)
		return true;
	return dense && len < room / 2;
}

static void
table_init(struct ppfrag_rxq *q)
{
	struct ppfrag_rx_slots *s = q->slots;
	uint32_t i, len;
	uint8_t dense;

	for (dense = 0; dense < 2; dense++) {
		for (i = 0; i < TABLE_LEN; i++) {
			len = i * LEN_STEP;
			s->copy_to[dense][i] =
					is_copied(q, len, dense != 0) ? class_for(s, len) : s->post;
		}
	}
	s->dense = q->dev->preset == PPFRAG_PRESET_DENSITY;
}

static void
format_init(struct ppfrag_rxq *q)
{
	struct slot_format *f = &q->slots->format;
	struct rte_mbuf m;

	memset(&m, 0, sizeof(m));
	m.data_off = RTE_PKTMBUF_HEADROOM;
	m.nb_segs = 1;
	m.port = q->dev->port_id;
	rte_mbuf_refcnt_set(&m, 1);
	memcpy(f->rearm, &m.data_off, sizeof(f->rearm));
	f->data_offset = sizeof(m) + rte_pktmbuf_priv_size(q->mp) + RTE_PKTMBUF_HEADROOM;
}

/* The classes of a pool, as many as a queue can use. Returns how many, or a negative errno. */
static int
classes_get(struct rte_mempool *mp, struct ppool_slot_class *c)
{
	int n = ppool_slot_classes_get(mp, c, PPFRAG_CLASSES_MAX);

	return n == 0 ? -E2BIG : RTE_MIN(n, (int)PPFRAG_CLASSES_MAX);
}

/* The first of n classes with so much room, else the last. */
static int
classes_find(const struct ppool_slot_class *c, int n, uint32_t len)
{
	int i;

	for (i = 0; i < n - 1 && c[i].room < len; i++)
		;
	return i;
}

/* The class views up to the one for the longest frame. */
static int
views_init(struct ppfrag_rxq *q)
{
	struct ppool_slot_class c[PPFRAG_CLASSES_MAX];
	struct ppfrag_rx_slots *s = q->slots;
	int i, last, n = classes_get(q->mp, c);

	if (n < 0)
		return n;
	last = classes_find(c, n, RTE_MAX(q->max_len, q->post_len));
	for (i = 0; i <= last; i++) {
		s->room[i] = c[i].room;
		s->view[i] = ppool_slot_pool(q->mp, c[i].room);
		if (s->view[i] == NULL)
			return -rte_errno;
	}
	s->nb_classes = (uint8_t)(last + 1);
	s->post = (uint8_t)(q->post_len == 0 ? last : classes_find(c, n, q->post_len));
	return 0;
}

struct ppool_slot_class
ppfrag_slots_class(struct rte_mempool *mp, uint32_t len)
{
	struct ppool_slot_class c[PPFRAG_CLASSES_MAX];
	int n = classes_get(mp, c);

	if (n < 0)
		return (struct ppool_slot_class){ .room = 0 };
	return c[classes_find(c, n, len)];
}

/* Posted slots of another class are given back. */
int
ppfrag_slots_set_frame(struct ppfrag_rxq *q)
{
	int ret;

	ppfrag_slots_release(q, NULL);
	ret = views_init(q);
	if (ret != 0) {
		PPFRAG_LOG(ERR, "%s: cannot receive into slots of pool %s: %s",
				ppfrag_port_name(q->dev), q->mp->name, rte_strerror(-ret));
		return ret;
	}
	format_init(q);
	table_init(q);
	return 0;
}

int
ppfrag_slots_init(struct ppfrag_rxq *q)
{
	q->slots = rte_zmalloc_socket("ppfrag_rx_slots",
			sizeof(*q->slots) + q->nb * sizeof(q->slots->posted[0]),
			RTE_CACHE_LINE_SIZE, q->socket_id);
	return q->slots == NULL ? -ENOMEM : 0;
}

uint32_t
ppfrag_slots_release(struct ppfrag_rxq *q, struct rte_mbuf **to)
{
	struct ppfrag_rx_slots *s = q->slots;
	uint32_t i, n = 0;

	if (s == NULL)
		return 0;
	for (i = 0; i < q->nb; i++) {
		if (s->posted[i] == NULL)
			continue;
		rte_mbuf_refcnt_set(s->posted[i], 1);
		if (to != NULL)
			to[n++] = s->posted[i];
		else
			rte_mempool_put(s->view[s->post], s->posted[i]);
		s->posted[i] = NULL;
	}
	return n;
}
