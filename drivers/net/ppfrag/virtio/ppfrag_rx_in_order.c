/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include "ppfrag_rx.h"

/*
 * What differs where the device uses descriptors in the order of the ring: place and descriptor
 * have the same number for ever, so that the device may leave out what follows from that. A used
 * entry at a place tells of all descriptors from this one up to the one that it names. The device
 * has written all of these completely, but for the last one.
 *
 * It follows that a descriptor without memory has those behind it wait, too. All that the device
 * does not have are those between avail_idx and used_idx + nb.
 */

/* Used entries that the device has announced, from used_idx on. */
static uint16_t
entries_announced(const struct ppfrag_rxq *q)
{
	uint16_t n = virtq_used_idx(&q->vq) - q->used_idx;

	return RTE_MIN(n, q->nb_posted);
}

/*
 * Read an entry, and note the lengths of all descriptors that it tells of. One that names none of
 * those that the device may have used is as bad as one of no length, which is counted later.
 */
static void
entry_read(struct ppfrag_rxq *q)
{
	uint16_t before = q->known - q->used_idx, announced = entries_announced(q);
	uint16_t at = q->known & q->vq.mask, n;
	uint32_t id, len;

	virtq_used_read(&q->vq, q->known, &id, &len);
	n = (uint16_t)(id - at) & q->vq.mask;
	if (id > q->vq.mask || before + n >= announced) {
		len = 0;
		n = 0;
	}
	for (; n != 0; n--, q->known++)
		q->len[q->known & q->vq.mask] = q->buf_len;
	q->len[q->known & q->vq.mask] = len;
	q->known++;
}

uint32_t
ppfrag_in_order_len(struct ppfrag_rxq *q, uint16_t at)
{
	while ((uint16_t)(q->known - q->used_idx) <= at)
		entry_read(q);
	return q->len[(q->used_idx + at) & q->vq.mask];
}

/*
 * Descriptors that have to wait forget the memory that they had. Those that have waited before are
 * the first ones, and are not counted again.
 */
static void
descriptors_starve(struct ppfrag_rxq *q, uint16_t n, uint16_t waited)
{
	struct virtq_desc *desc;
	uint16_t i;

	for (i = 0; i < n; i++) {
		desc = &q->vq.desc[(q->avail_idx + i) & q->vq.mask];
		desc->len = 0;
		desc->addr = 0;
	}
	if (n > waited)
		ppfrag_count(&q->stats.no_page, n - waited);
	q->nb_starved = n;
}

void
ppfrag_in_order_post(struct ppfrag_rxq *q)
{
	const uint16_t before = q->avail_idx, n = q->used_idx + q->nb - before;
	const uint16_t starved = q->nb_starved;
	uint16_t i, id;
	char *addr;

	for (i = 0; i < n; i++) {
		id = (before + i) & q->vq.mask;
		addr = rx_buffer(q, id);
		if (unlikely(addr == NULL))
			break;
		rx_offer(q, &q->vq, before + i, id, addr);
		if (unlikely(starved != 0))
			q->vq.desc[id].len = rte_cpu_to_le_32(q->buf_len);
	}
	q->avail_idx += i;
	q->nb_posted += i;
	if (unlikely(starved != 0 || i < n))
		descriptors_starve(q, n - i, starved - RTE_MIN(starved, i));
	rx_publish(q, before);
}
