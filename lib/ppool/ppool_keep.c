/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/*
 * Packets of any pool into slots of their size. A burst is looked at first, then there is one
 * allocation for each class that is wanted, then packets are copied, and at last the originals are
 * freed together. What they are charged to is moved in ppool_account.c; ppool_keep_rx.c does this
 * for the queues of any driver.
 */

#include <errno.h>

#include <rte_errno.h>
#include <rte_prefetch.h>

#include "ppool_keep.h"
#include "ppool_private.h"
#include "ppool_slot.h"
#include "ppool_slot_pool.h"

/* How many mbufs ahead a loop over them prefetches. */
#define AHEAD 4u

/* In place of a class: it becomes a chain of slots, or stays as it is. */
#define CLASS_CHAIN PPOOL_CLASSES
#define CLASS_NONE PPOOL_HEADERS

/* Up to PPOOL_BULK packets. */
struct burst {
	struct ppool *p;
	uint32_t max_len;
	int err;          /* why the last one failed that did */
	uint32_t classes; /* a bit for each that is wanted */
	uint16_t wanted[PPOOL_CLASSES + 1];
	uint16_t next[PPOOL_CLASSES]; /* slot[] of each class, up to end */
	uint16_t end[PPOOL_CLASSES];
	uint8_t size_class[PPOOL_BULK]; /* of each packet */
	struct rte_mbuf *slot[PPOOL_BULK];
	struct rte_mbuf *gone[PPOOL_BULK]; /* originals of what has moved */
	unsigned int nb_gone;
	unsigned int failed;
	const struct rte_mempool *latest; /* the pool of the mbuf seen last */
	bool has_records;                 /* of that: its mbufs know their account */
};

/* A packet stays where it is. */
static void
burst_fail(struct burst *b, int err)
{
	b->err = err;
	b->failed++;
}

/* What is worth it */

/*
 * What a segment gives back when it is freed. Not what it takes itself where it shares a page or a
 * buffer with others: that is worth any slot.
 */
static inline uint32_t
segment_bytes(const struct ppool *p, const struct rte_mbuf *m)
{
	if (!RTE_MBUF_DIRECT(m))
		return UINT32_MAX;
	if (m->pool == p->slot_mp)
		return ppool_frag_of((struct rte_mbuf *)(uintptr_t)m)->truesize;
	if (m->pool == p->mp || m->pool == p->mono_mp)
		return p->layout.page_bytes;
	return UINT32_MAX;
}

static inline uint32_t
packet_bytes(const struct ppool *p, const struct rte_mbuf *m)
{
	uint32_t sum = segment_bytes(p, m), bytes;

	/* The second line of most mbufs is still on its way. */
	if (likely(m->nb_segs == 1))
		return sum;
	for (m = m->next; m != NULL; m = m->next) {
		bytes = segment_bytes(p, m);
		sum = bytes > UINT32_MAX - sum ? UINT32_MAX : sum + bytes;
	}
	return sum;
}

/* Longer than any slot. */
static __rte_noinline unsigned int
long_packet_class(struct burst *b, const struct rte_mbuf *m)
{
	if (packet_bytes(b->p, m) != UINT32_MAX)
		return CLASS_NONE;
	if (m->nb_segs > 1)
		return CLASS_CHAIN;
	burst_fail(b, E2BIG);
	return CLASS_NONE;
}

static inline unsigned int
packet_class(struct burst *b, const struct rte_mbuf *m)
{
	/* What is copied of a single segment is what it says itself. */
	uint32_t len = likely(m->nb_segs == 1) ? m->data_len : m->pkt_len;
	const struct ppool *p = b->p;
	unsigned int c;

	if (len > b->max_len)
		return CLASS_NONE;
	c = ppool_class_for(p, len);
	if (unlikely(c == PPOOL_HEADERS))
		return long_packet_class(b, m);
	return p->depot.size_class[c].truesize < packet_bytes(p, m) ? c : CLASS_NONE;
}

static void
burst_classify(struct burst *b, struct rte_mbuf * const *mbufs, unsigned int n)
{
	unsigned int i, c;

	for (i = 0; i < RTE_MIN(n, AHEAD); i++)
		rte_prefetch0(mbufs[i]);
	for (i = 0; i < n; i++) {
		if (i + AHEAD < n)
			rte_prefetch0(mbufs[i + AHEAD]);
		c = packet_class(b, mbufs[i]);
		b->size_class[i] = (uint8_t)c;
		b->wanted[c]++;
		if (c == CLASS_NONE)
			continue;
		if (likely(c != CLASS_CHAIN))
			b->classes |= UINT32_C(1) << c;
		rte_prefetch0(RTE_PTR_ADD(mbufs[i], RTE_CACHE_LINE_MIN_SIZE));
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
	}
}

/* Slots */

/* As many as there are. */
static __rte_noinline unsigned int
slots_take_some(struct ppool *p, unsigned int c, struct rte_mbuf **slot, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n && ppool_slots_alloc_bulk(p, c, slot + i, 1) == 0; i++)
		;
	return i;
}

static void
burst_take_slots(struct burst *b)
{
	uint32_t left = b->classes;
	unsigned int c, n, pos = 0;

	for (; left != 0; left &= left - 1) {
		c = (unsigned int)__builtin_ctz(left);
		n = b->wanted[c];
		if (unlikely(ppool_slots_alloc_bulk(b->p, c, b->slot + pos, n) != 0))
			n = slots_take_some(b->p, c, b->slot + pos, n);
		b->next[c] = (uint16_t)pos;
		pos += n;
		b->end[c] = (uint16_t)pos;
	}
}

/* Those that accounts refused packets for. */
static void
burst_return_slots(struct burst *b)
{
	uint32_t left = b->classes;
	unsigned int c;

	for (; left != 0; left &= left - 1) {
		c = (unsigned int)__builtin_ctz(left);
		if (unlikely(b->next[c] < b->end[c]))
			ppool_slots_free_bulk(b->p, b->slot + b->next[c],
					(unsigned int)b->end[c] - b->next[c]);
	}
}

/* Copying */

/* A clone has the size of the private area where its data are, and the area of its own pool. */
static inline uint16_t
private_size(const struct rte_mbuf *m)
{
	return RTE_MBUF_CLONED(m) ? rte_pktmbuf_priv_size(m->pool) : m->priv_size;
}

/* All that an mbuf says about its packet, but how it is cut into segments. */
static inline void
metadata_copy(struct rte_mbuf *to, const struct rte_mbuf *from)
{
	uint16_t priv;

	to->port = from->port;
	to->ol_flags = from->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
	to->packet_type = from->packet_type;
	to->pkt_len = from->pkt_len;
	to->vlan_tci = from->vlan_tci;
	to->vlan_tci_outer = from->vlan_tci_outer;
	to->hash = from->hash;
	to->tx_offload = from->tx_offload;
	to->timesync = from->timesync;
	rte_mbuf_dynfield_copy(to, from);
	priv = RTE_MIN(to->priv_size, private_size(from));
	if (priv != 0)
		memcpy(rte_mbuf_to_priv(to), RTE_PTR_ADD(from, sizeof(*from)), priv);
}

/* Returns how many bytes there were. */
static uint32_t
chain_data_copy(char *to, const struct rte_mbuf *from, uint32_t room)
{
	uint32_t done = 0, len;

	for (; from != NULL; from = from->next, done += len) {
		len = RTE_MIN((uint32_t)from->data_len, room - done);
		memcpy(to + done, rte_pktmbuf_mtod(from, void *), len);
	}
	return done;
}

static inline void
keep_copy(struct rte_mbuf *to, const struct rte_mbuf *from)
{
	to->data_off = RTE_PKTMBUF_HEADROOM;
	metadata_copy(to, from);
	if (likely(from->nb_segs == 1)) {
		to->data_len = from->data_len;
		rte_memcpy(rte_pktmbuf_mtod(to, void *), rte_pktmbuf_mtod(from, void *),
				from->data_len);
	} else {
		to->data_len = (uint16_t)chain_data_copy(rte_pktmbuf_mtod(to, char *), from,
				RTE_MIN(from->pkt_len, (uint32_t)to->buf_len - to->data_off));
	}
}

/* Replacing */

static bool
chain_is_charged(const struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next)
		if (ppool_account_of(m) != PPOOL_ACCOUNT_NONE)
			return true;
	return false;
}

static inline bool
packet_is_charged(struct burst *b, const struct rte_mbuf *m)
{
	if (unlikely(m->nb_segs > 1))
		return chain_is_charged(m);
	if (unlikely(m->pool != b->latest)) {
		b->latest = m->pool;
		b->has_records = ppool_is_internal_pool(m->pool);
	}
	return b->has_records && ppool_account_of(m) != PPOOL_ACCOUNT_NONE;
}

/* Give the account of a packet to its copy. */
static inline bool
account_pass_on(struct burst *b, struct rte_mbuf *m, struct rte_mbuf *by)
{
	if (likely(!packet_is_charged(b, m)) || ppool_account_pass_on(m, by))
		return true;
	burst_fail(b, EDQUOT);
	return false;
}

/* A slot of a larger class, as there was no other: it may take as much as the original. */
static __rte_noinline bool
is_too_large(struct burst *b, const struct rte_mbuf *slot, const struct rte_mbuf *m)
{
	if (segment_bytes(b->p, slot) < packet_bytes(b->p, m))
		return false;
	burst_fail(b, ENOBUFS);
	return true;
}

/* Returns whether the packet is in the slot now. */
static inline bool
packet_move(struct burst *b, struct rte_mbuf *m, struct rte_mbuf *slot, unsigned int c)
{
	if (unlikely(slot->buf_len != b->p->depot.size_class[c].buf_len) &&
			is_too_large(b, slot, m))
		return false;
	if (unlikely(!account_pass_on(b, m, slot)))
		return false;
	keep_copy(slot, m);
	return true;
}

/* Slots in a chain, as long as a packet; NULL where there are not so many. */
static struct rte_mbuf *
chain_alloc(struct ppool *p, uint32_t len)
{
	struct rte_mbuf *head = NULL, **link = &head, *m;
	uint32_t part;

	for (; len > 0; len -= part) {
		part = RTE_MIN(len, (uint32_t)p->depot.room_max);
		if (ppool_slots_alloc_bulk(p, ppool_class_for(p, part), &m, 1) != 0) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		rte_pktmbuf_reset(m);
		m->data_len = (uint16_t)part;
		*link = m;
		link = &m->next;
		if (m != head)
			head->nb_segs++;
	}
	return head;
}

/* Fill a chain from another one of the same length, which is cut in other places. */
static void
chain_copy(struct rte_mbuf *to, const struct rte_mbuf *from)
{
	uint32_t done = 0, at = 0, len;

	metadata_copy(to, from);
	while (to != NULL && from != NULL) {
		len = RTE_MIN((uint32_t)to->data_len - done, (uint32_t)from->data_len - at);
		memcpy(rte_pktmbuf_mtod_offset(to, void *, done),
				rte_pktmbuf_mtod_offset(from, void *, at), len);
		done += len;
		at += len;
		if (done == to->data_len) {
			to = to->next;
			done = 0;
		}
		if (at == from->data_len) {
			from = from->next;
			at = 0;
		}
	}
}

/* Returns the copy, or NULL. */
static __rte_noinline struct rte_mbuf *
chain_move(struct burst *b, struct rte_mbuf *m)
{
	struct rte_mbuf *by = chain_alloc(b->p, m->pkt_len);

	if (by == NULL) {
		burst_fail(b, ENOBUFS);
		return NULL;
	}
	if (!account_pass_on(b, m, by)) {
		rte_pktmbuf_free(by);
		return NULL;
	}
	chain_copy(by, m);
	return by;
}

/* The slot or chain that a packet is in now, NULL where it stays. */
static inline struct rte_mbuf *
burst_move(struct burst *b, struct rte_mbuf *m, unsigned int c)
{
	struct rte_mbuf *slot;

	if (unlikely(c == CLASS_CHAIN))
		return chain_move(b, m);
	if (unlikely(b->next[c] == b->end[c])) {
		burst_fail(b, ENOBUFS);
		return NULL;
	}
	slot = b->slot[b->next[c]];
	if (unlikely(!packet_move(b, m, slot, c)))
		return NULL;
	b->next[c]++;
	return slot;
}

static inline void
slot_prefetch(const struct burst *b, unsigned int c)
{
	const char *slot;

	if (c == CLASS_NONE || c == CLASS_CHAIN || b->next[c] == b->end[c])
		return;
	slot = (const char *)b->slot[b->next[c]];
	__builtin_prefetch(slot, 1);
	__builtin_prefetch(slot + RTE_CACHE_LINE_MIN_SIZE, 1);
}

static void
burst_replace(struct burst *b, struct rte_mbuf **mbufs, unsigned int n)
{
	struct rte_mbuf *by;
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (b->size_class[i] == CLASS_NONE)
			continue;
		if (i + 1 < n)
			slot_prefetch(b, b->size_class[i + 1]);
		by = burst_move(b, mbufs[i], b->size_class[i]);
		if (unlikely(by == NULL))
			continue;
		b->gone[b->nb_gone++] = mbufs[i];
		mbufs[i] = by;
	}
}

static void
burst_count(const struct burst *b)
{
	struct ppool_lcore *lc = ppool_lcore_get(b->p);

	PPOOL_STAT_ADD(b->p, lc, keep_move, b->nb_gone);
	PPOOL_STAT_ADD(b->p, lc, keep_fail, b->failed);
}

/* Returns how many could not be moved. */
static unsigned int
keep_burst(struct ppool *p, struct rte_mbuf **mbufs, unsigned int n, uint32_t max_len)
{
	struct burst b;

	/* Not the arrays: a burst of one packet would clear 1.2 KB. */
	b.p = p;
	b.max_len = max_len;
	b.classes = 0;
	b.nb_gone = 0;
	b.failed = 0;
	b.latest = NULL;
	memset(b.wanted, 0, sizeof(b.wanted));
	burst_classify(&b, mbufs, n);
	if (b.wanted[CLASS_NONE] < n) {
		burst_take_slots(&b);
		burst_replace(&b, mbufs, n);
		burst_return_slots(&b);
		rte_pktmbuf_free_bulk(b.gone, b.nb_gone);
		burst_count(&b);
	}
	if (unlikely(b.failed != 0))
		rte_errno = b.err;
	return b.failed;
}

/* The pool that a mempool is of, with slots; NULL with rte_errno. */
static inline struct ppool *
pool_with_slots(struct rte_mempool *mp)
{
	struct ppool *p = ppool_from_mempool(mp);

	if (likely(p != NULL && __atomic_load_n(&p->slot_mp, __ATOMIC_ACQUIRE) != NULL))
		return p;
	return ppool_slot_pool(mp, 0) == NULL ? NULL : ppool_from_mempool(mp);
}

unsigned int
ppool_keep(struct rte_mempool *mp, struct rte_mbuf **mbufs, unsigned int n, uint32_t max_len)
{
	struct ppool *p = pool_with_slots(mp);
	unsigned int i, k, failed = 0;

	if (unlikely(p == NULL))
		return 0;
	for (i = 0; i < n; i += k) {
		k = RTE_MIN(n - i, PPOOL_BULK);
		failed += keep_burst(p, mbufs + i, k, max_len);
	}
	return n - failed;
}
