/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include <rte_memcpy.h>

#include "../ppfrag_slots.h"
#include "../virtio/ppfrag_offload.h"
#include "../virtio/virtio_hdr.h"
#include "xsk.h"

/*
 * A packet that lies in the umem is sent from where it is: a descriptor for each chunk's length of
 * each segment. Any other packet, and one of too many pieces, is copied into one slot.
 *
 * Which descriptors the kernel has, in which order, stands in flight: what comes back from it is
 * looked for there. An mbuf is freed when all descriptors up to its last one have come back.
 */

/* A flight that has come back before an older one. */
#define FLIGHT_DONE UINT64_MAX
/* Packets freed in one go. */
#define TX_FREE_BURST 64u
/* How long xsk_tx_wait() waits, and how often it looks. */
#define TX_WAIT_MS 100u
/* Bursts of the kernel that one of ours is sent in at most; 32 packets each. */
#define TX_WAKE_MAX 64u

/* Completions */

static inline struct xsk_flight *
flight_at(struct xsk_txq *x, uint32_t pos)
{
	return &x->flight[pos & x->tx.mask];
}

static inline uint32_t
nb_in_flight(const struct xsk_txq *x)
{
	return x->tx.pos - x->tail;
}

/* One that comes back out of order. Returns whether the kernel had it. */
static __rte_noinline bool
flight_find(struct xsk_txq *x, uint64_t addr)
{
	uint32_t at;

	for (at = x->tail; at != x->tx.pos; at++) {
		if (flight_at(x, at)->addr == addr) {
			flight_at(x, at)->addr = FLIGHT_DONE;
			return true;
		}
	}
	return false;
}

/* Mbufs that are freed together. */
struct tx_free {
	unsigned int n;
	unsigned int all;
	struct rte_mbuf *m[TX_FREE_BURST];
};

static inline void
free_add(struct tx_free *f, struct rte_mbuf *m)
{
	if (m == NULL)
		return;
	f->m[f->n++] = m;
	f->all++;
	if (f->n == TX_FREE_BURST) {
		rte_pktmbuf_free_bulk(f->m, f->n);
		f->n = 0;
	}
}

/* The oldest flights that have come back. */
static inline void
flights_end(struct xsk_txq *x, struct tx_free *f)
{
	for (; x->tail != x->tx.pos && flight_at(x, x->tail)->addr == FLIGHT_DONE; x->tail++)
		free_add(f, flight_at(x, x->tail)->m);
}

/* Returns how many packets were freed. */
static unsigned int
tx_reclaim(struct xsk_txq *x)
{
	uint32_t ready = xsk_ring_ready(&x->done);
	struct tx_free f = { .n = 0 };
	uint64_t addr;

	if (ready == 0)
		return 0;
	for (; ready > 0; ready--) {
		addr = *xsk_ring_addr(&x->done, x->done.pos++);
		if (likely(x->tail != x->tx.pos && flight_at(x, x->tail)->addr == addr))
			flight_at(x, x->tail)->addr = FLIGHT_DONE;
		else if (!flight_find(x, addr))
			ppfrag_count(&x->q.stats.bad_used, 1);
		flights_end(x, &f);
	}
	xsk_ring_consume(&x->done);
	rte_pktmbuf_free_bulk(f.m, f.n);
	return f.all;
}

/* Packets */

static __rte_noinline bool
is_in_pool(const struct rte_mempool *mp, const char *data, uint32_t len)
{
	const struct rte_mempool_memhdr *chunk;
	uint64_t offset;

	STAILQ_FOREACH(chunk, &mp->mem_list, next) {
		offset = (uint64_t)(data - (const char *)chunk->addr);
		if (offset < chunk->len && len <= chunk->len - offset)
			return true;
	}
	return false;
}

/*
 * What lies between the chunks of the pool belongs to others. They may have given it back and got
 * other pages at the same address: the kernel would send from the former ones.
 */
static inline bool
is_in_umem(const struct xsk_txq *x, const char *data, uint32_t len)
{
	/* What may be in front counts. */
	const uint64_t offset = (uint64_t)(data - x->umem) - x->meta;

	if (offset >= x->umem_len || len + x->meta > x->umem_len - offset)
		return false;
	return likely(x->gaps == NULL) || is_in_pool(x->gaps, data, len);
}

/* Chunks that a packet takes where it is; 0: it cannot be sent from there. */
static inline uint32_t
packet_chunks(const struct xsk_txq *x, const struct rte_mbuf *m)
{
	uint32_t n = 0;

	for (; m != NULL; m = m->next) {
		if (unlikely(!is_in_umem(x, rte_pktmbuf_mtod(m, const char *), m->data_len)))
			return 0;
		n += (m->data_len + x->max_piece - 1) / x->max_piece;
	}
	return likely(n <= x->max_chunks) ? n : 0;
}

/* The next descriptor. There is a free one. */
static inline void
desc_write(struct xsk_txq *x, uint64_t addr, uint32_t len, struct rte_mbuf *m, uint32_t options)
{
	*flight_at(x, x->tx.pos) = (struct xsk_flight){ addr, m };
	*xsk_ring_desc(&x->tx, x->tx.pos++) = (struct xdp_desc){
		.addr = addr,
		.len = len,
		.options = options,
	};
}

/* Write the descriptors of a packet, of which there are n free ones; options are of the first. */
static inline void
packet_offer(struct xsk_txq *x, struct rte_mbuf *packet, uint32_t n, uint32_t options)
{
	const struct rte_mbuf *m;
	uint32_t left, len;
	uint64_t addr;

	for (m = packet; m != NULL; m = m->next) {
		addr = (uint64_t)(rte_pktmbuf_mtod(m, const char *) - x->umem);
		for (left = m->data_len; left > 0; left -= len, addr += len) {
			len = RTE_MIN(left, x->max_piece);
			n--;
			desc_write(x, addr, len, n == 0 ? packet : NULL,
					options | (n == 0 ? 0 : XDP_PKT_CONTD));
			options = 0;
		}
	}
}

/* A packet that asks for offloads has another start. */
static void
copy_data(char *to, const struct rte_mbuf *m, const struct ppfrag_tx_head *head)
{
	uint32_t skip = head != NULL ? head->skip : 0;

	if (skip != 0)
		memcpy(to, &head->bytes[VIRTIO_HDR_LEN], skip);
	for (; m != NULL; m = m->next, skip = 0) {
		rte_memcpy(to + skip, rte_pktmbuf_mtod_offset(m, const char *, skip),
				m->data_len - skip);
		to += m->data_len;
	}
}

/* Options of a descriptor of data in front of which there is room to ask for a checksum. */
static uint32_t
meta_write(const struct xsk_txq *x, char *data, const struct ppfrag_tx_head *head)
{
	struct xsk_tx_meta meta = { .flags = XDP_TXMD_FLAGS_CHECKSUM };

	if (head == NULL || (head->hdr.flags & VIRTIO_HDR_F_NEEDS_CSUM) == 0)
		return 0;
	meta.csum_start = rte_le_to_cpu_16(head->hdr.csum_start);
	meta.csum_offset = rte_le_to_cpu_16(head->hdr.csum_offset);
	memcpy(data - x->meta, &meta, sizeof(meta));
	return XDP_TX_METADATA;
}

/* What became of a packet. */
enum tx_result {
	TX_SENT,
	TX_FULL,    /* no room, or no slot, now */
	TX_DROPPED, /* freed: cannot be sent at all */
};

/* A receive queue with lanes has no slots of its own. */
static struct rte_mbuf *
copy_alloc(const struct xsk_txq *x, uint32_t len)
{
	struct rte_mbuf *m;

	if (x->copy_pool == NULL)
		return ppfrag_slots_get(x->slots, len);
	m = rte_pktmbuf_alloc(x->copy_pool);
	if (m == NULL)
		return NULL;
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	return m;
}

/* Send a copy. */
static __rte_noinline enum tx_result
tx_send_copy(struct xsk_txq *x, struct rte_mbuf *m, const struct ppfrag_tx_head *head)
{
	const uint32_t n = (m->pkt_len + x->max_piece - 1) / x->max_piece;
	struct rte_mbuf *copy;
	char *to;

	if (m->pkt_len == 0 || n > x->max_chunks || m->pkt_len > x->max_copy) {
		ppfrag_count(&x->q.stats.dropped_packets, 1);
		rte_pktmbuf_free(m);
		return TX_DROPPED;
	}
	if (x->tx.mask + 1 - nb_in_flight(x) < n)
		return TX_FULL;
	copy = copy_alloc(x, m->pkt_len);
	if (copy == NULL)
		return TX_FULL;
	to = rte_pktmbuf_mtod(copy, char *);
	copy_data(to, m, head);
	packet_offer(x, copy, n, meta_write(x, to, head));
	rte_pktmbuf_free(m);
	ppfrag_count(&x->q.stats.copied_packets, 1);
	return TX_SENT;
}

/* Send what is copied into chunks of the queue's own: each descriptor has one. */
static __rte_noinline enum tx_result
tx_send_own(struct xsk_txq *x, struct rte_mbuf *m, const struct ppfrag_tx_head *head)
{
	uint32_t n = (m->pkt_len + x->max_piece - 1) / x->max_piece, at, len, options;
	const char *from;
	uint64_t addr;
	char *to;

	if (n == 0 || n > x->max_chunks) {
		ppfrag_count(&x->q.stats.dropped_packets, 1);
		rte_pktmbuf_free(m);
		return TX_DROPPED;
	}
	if (x->tx.mask + 1 - nb_in_flight(x) < n)
		return TX_FULL;
	for (at = 0; at < m->pkt_len; at += len) {
		len = RTE_MIN(m->pkt_len - at, x->max_piece);
		addr = x->own + (uint64_t)(x->tx.pos & x->tx.mask) * XSK_CHUNK + x->meta;
		to = x->umem + addr;
		from = rte_pktmbuf_read(m, at, len, to);
		if (from != to)
			rte_memcpy(to, from, len);
		options = at + len == m->pkt_len ? 0 : XDP_PKT_CONTD;
		if (at == 0 && head != NULL) {
			memcpy(to, &head->bytes[VIRTIO_HDR_LEN], head->skip);
			options |= meta_write(x, to, head);
		}
		desc_write(x, addr, len, NULL, options);
	}
	rte_pktmbuf_free(m);
	ppfrag_count(&x->q.stats.copied_packets, 1);
	return TX_SENT;
}

/* Whether the first segment, and the bytes in front of it, are ours alone, and enough. */
static bool
is_to_rewrite(const struct xsk_txq *x, const struct rte_mbuf *m)
{
	if (rte_pktmbuf_headroom(m) < x->meta || rte_mbuf_refcnt_read(m) != 1)
		return false;
	if (RTE_MBUF_DIRECT(m))
		return true;
	return RTE_MBUF_HAS_PINNED_EXTBUF(m) && rte_mbuf_ext_refcnt_read(m->shinfo) == 1;
}

/* The kernel looks for the checksum in the first descriptor, and would try others for ever. */
static bool
has_checksum(const struct xsk_txq *x, const struct ppfrag_tx_head *head, uint32_t len)
{
	const uint32_t end = rte_le_to_cpu_16(head->hdr.csum_start) +
			rte_le_to_cpu_16(head->hdr.csum_offset) + (uint32_t)sizeof(uint16_t);

	return (head->hdr.flags & VIRTIO_HDR_F_NEEDS_CSUM) == 0 ||
			(x->meta != 0 && end <= RTE_MIN(len, x->max_piece));
}

/* From where it is if its start can be changed there. */
static enum tx_result
tx_send_head(struct xsk_txq *x, struct rte_mbuf *m, const struct ppfrag_tx_head *head)
{
	uint32_t n;
	char *data;

	if (x->copies)
		return tx_send_own(x, m, head);
	n = packet_chunks(x, m);
	if (n == 0 || !is_to_rewrite(x, m) || !has_checksum(x, head, m->data_len))
		return tx_send_copy(x, m, head);
	if (x->tx.mask + 1 - nb_in_flight(x) < n)
		return TX_FULL;
	data = rte_pktmbuf_mtod(m, char *);
	memcpy(data, &head->bytes[VIRTIO_HDR_LEN], head->skip);
	packet_offer(x, m, n, meta_write(x, data, head));
	return TX_SENT;
}

/* Send what asks for offloads. */
static __rte_noinline enum tx_result
tx_send_offload(struct xsk_txq *x, struct rte_mbuf *m)
{
	struct ppfrag_tx_head head;
	enum tx_result result;

	if (!ppfrag_tx_head(&x->q, m, &head) || !has_checksum(x, &head, m->pkt_len)) {
		ppfrag_count(&x->q.stats.bad_offload_packets, 1);
		rte_pktmbuf_free(m);
		return TX_DROPPED;
	}
	result = tx_send_head(x, m, &head);
	if (result == TX_SENT)
		ppfrag_count(&x->q.stats.offload_packets, 1);
	return result;
}

static inline enum tx_result
tx_send(struct xsk_txq *x, struct rte_mbuf *m)
{
	uint32_t n;

	if (unlikely((m->ol_flags & RTE_MBUF_F_TX_OFFLOAD_MASK) != 0) && x->q.allowed != 0)
		return tx_send_offload(x, m);
	if (unlikely(x->copies))
		return tx_send_own(x, m, NULL);
	n = packet_chunks(x, m);
	if (unlikely(n == 0))
		return tx_send_copy(x, m, NULL);
	if (unlikely(x->tx.mask + 1 - nb_in_flight(x) < n))
		return TX_FULL;
	packet_offer(x, m, n, 0);
	if (n > 1)
		ppfrag_count(&x->q.stats.chained_packets, 1);
	return TX_SENT;
}

/*
 * Have the kernel send what it was given: it does so in its caller's time, some at each call.
 * Returns false where it does not now: the interface is down, or gone.
 */
static bool
tx_wake(struct xsk_txq *x)
{
	unsigned int i;

	for (i = 0; i < TX_WAKE_MAX; i++) {
		if (__atomic_load_n(x->tx.consumer, __ATOMIC_RELAXED) == x->tx.pos ||
				!xsk_ring_wants_wakeup(&x->tx))
			return true;
		ppfrag_count(&x->q.stats.kicks, 1);
		if (sendto(x->sock->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
			return true;
		if (errno != EAGAIN)
			return errno != ENXIO && errno != ENETDOWN;
		tx_reclaim(x);
	}
	return true;
}

static __rte_always_inline uint16_t
tx_burst(struct xsk_txq *x, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	uint16_t i, dropped = 0;
	enum tx_result result;
	uint64_t bytes = 0;
	uint32_t len;

	if (nb_in_flight(x) != 0)
		tx_reclaim(x);
	for (i = 0; i < nb_pkts; i++) {
		len = pkts[i]->pkt_len;
		result = tx_send(x, pkts[i]);
		if (likely(result == TX_SENT)) {
			bytes += len;
		} else if (result == TX_DROPPED) {
			dropped++;
		} else {
			ppfrag_count(&x->q.stats.full, 1);
			break;
		}
	}
	xsk_ring_publish(&x->tx);
	tx_wake(x);
	ppfrag_count(&x->q.stats.packets, i - dropped);
	ppfrag_count(&x->q.stats.bytes, bytes);
	return i;
}

uint16_t
xsk_tx_burst(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	struct xsk_txq *x = txq;
	uint16_t sent;

	if (unlikely(!xsk_gate_enter(&x->gate)))
		return 0;
	sent = tx_burst(x, pkts, nb_pkts);
	xsk_gate_leave(&x->gate);
	return sent;
}

uint16_t
xsk_tx_burst_sizes(void *txq, struct rte_mbuf **pkts, uint16_t nb_pkts)
{
	return ppfrag_sizes_send(txq, pkts, nb_pkts, xsk_tx_burst);
}

int
xsk_tx_done_cleanup(void *txq, uint32_t n)
{
	struct xsk_txq *x = txq;
	int freed = 0;

	RTE_SET_USED(n); /* a hint: freeing more does no harm */
	if (rte_eal_process_type() != RTE_PROC_PRIMARY)
		return -ENOTSUP;
	if (!xsk_gate_enter(&x->gate))
		return 0;
	if (x->sock != NULL)
		freed = (int)tx_reclaim(x);
	xsk_gate_leave(&x->gate);
	return freed;
}

void
xsk_tx_wait(struct xsk_txq *x)
{
	bool sends = true;
	unsigned int ms;

	for (ms = 0; ms < TX_WAIT_MS && nb_in_flight(x) != 0 && sends; ms++) {
		if (ms != 0)
			usleep(1000);
		sends = tx_wake(x);
		tx_reclaim(x);
	}
}

void
xsk_tx_drain(struct xsk_txq *x)
{
	for (; x->tail != x->tx.pos; x->tail++)
		rte_pktmbuf_free(flight_at(x, x->tail)->m);
}
