/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* The size classes of a page pool: worked out from its layout, once in its life. */

#include "ppool_private.h"

/* The least data room of a slot behind its headroom. */
#define CLASS_LEAST 64u
/*
 * A class is longer than the one before by one part of so many, where a page has few enough. With
 * 9, packets of 64 to 1,518 bytes waste 10 % of what they need on average and 22 % at worst in
 * pages of 16 KB; with 5, 13 % and 31 %.
 */
#define CLASS_PARTS 9u

static void
class_init(const struct ppool *p, struct ppool_class *c, uint32_t slots, uint32_t slot_bytes)
{
	c->slots = slots;
	c->slot_bytes = slot_bytes;
	c->truesize = (p->layout.page_bytes + slots - 1) / slots;
	/* The last list has the pages that are idle as a whole, and nearly so. */
	c->fill_scale = (uint32_t)(((uint64_t)(PPOOL_FILLS - 1) << PPOOL_FILL_SHIFT) / slots) + 1;
}

/* From one slot to the next where a page has so many. */
static uint32_t
slot_bytes_for(const struct ppool *p, uint32_t slots)
{
	return RTE_ALIGN_FLOOR(p->layout.room_bytes / slots, RTE_CACHE_LINE_SIZE);
}

static uint16_t
class_keep(uint32_t slot_bytes)
{
	uint32_t n = PPOOL_LCORE_SLOT_BYTES / slot_bytes;

	return (uint16_t)RTE_MAX(RTE_MIN(n, PPOOL_LCORE_SLOTS), 1u);
}

/* Of a slot, what no data can lie in. */
static uint32_t
slot_overhead(const struct ppool *p)
{
	return PPOOL_FRONT + p->mbuf_bytes + RTE_PKTMBUF_HEADROOM;
}

/*
 * Slots that are a cache line longer than those of the class before, or by one part of so many, and
 * what is left of the page then. The last class is one slot a page, or the longest mbuf there is.
 * Returns whether that many classes can be.
 */
static bool
room_classes_init(struct ppool *p, uint32_t parts)
{
	uint32_t least = RTE_ALIGN_CEIL(slot_overhead(p) + CLASS_LEAST, RTE_CACHE_LINE_SIZE);
	uint32_t slots = p->layout.room_bytes / least, bytes, longer;
	struct ppool_depot *d = &p->depot;
	struct ppool_class *c;

	d->nb_classes = 1;
	while (slots > 0) {
		if (d->nb_classes == PPOOL_CLASSES)
			return false;
		bytes = slot_bytes_for(p, slots);
		c = &d->size_class[d->nb_classes++];
		class_init(p, c, slots, bytes);
		c->keep = class_keep(bytes);
		c->buf_len = (uint16_t)RTE_MIN(bytes - PPOOL_FRONT - p->mbuf_bytes,
				(uint32_t)UINT16_MAX);
		if (c->buf_len == UINT16_MAX)
			break;
		longer = RTE_MAX(bytes + RTE_CACHE_LINE_SIZE, bytes + bytes / parts);
		slots = RTE_MIN(slots - 1, p->layout.room_bytes / longer);
	}
	return true;
}

/* The rooms of classes differ by whole cache lines, but for the last one where it is cut off. */
static void
class_table_init(struct ppool *p)
{
	struct ppool_depot *d = &p->depot;
	uint32_t i, room;
	uint8_t c = PPOOL_HEADERS + 1;

	if (d->nb_classes == 1)
		return;
	d->room_min = ppool_class_room(p, c);
	d->room_max = ppool_class_room(p, d->nb_classes - 1);
	for (i = 0; i < RTE_DIM(d->class_for); i++) {
		room = d->room_min + i * RTE_CACHE_LINE_MIN_SIZE;
		while (ppool_class_room(p, c) < room && c + 1u < d->nb_classes)
			c++;
		d->class_for[i] = c;
	}
}

void
ppool_classes_init(struct ppool *p)
{
	uint32_t parts = CLASS_PARTS;

	class_init(p, &p->depot.size_class[PPOOL_HEADERS], p->layout.slots, p->layout.slot_bytes);
	while (!room_classes_init(p, parts))
		parts--;
	class_table_init(p);
}

uint16_t
ppool_class_room(const struct ppool *p, unsigned int size_class)
{
	return p->depot.size_class[size_class].buf_len - RTE_PKTMBUF_HEADROOM;
}
