/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdlib.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>

#include "dut.h"

/*
 * Offloads of net_ppfrag: what the back end is told of, what it is asked to do with packets, and
 * what is done in its place. Whether a packet is right is found out as a back end would: by doing
 * what its header asks for and by looking at the frame then.
 */

#define F_CSUM (UINT64_C(1) << 0)
#define F_HOST_TSO (UINT64_C(3) << 11)
#define F_HOST_USO (UINT64_C(1) << 56)
#define F_TX (F_CSUM | F_HOST_TSO | F_HOST_USO)

#define TX_CKSUM (RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM)
#define TX_SOFT (RTE_ETH_TX_OFFLOAD_VLAN_INSERT | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM)
#define TX_TSO RTE_ETH_TX_OFFLOAD_TCP_TSO
#define TX_ALL \
	(TX_CKSUM | TX_SOFT | TX_TSO | RTE_ETH_TX_OFFLOAD_UDP_TSO | RTE_ETH_TX_OFFLOAD_MULTI_SEGS)

#define NEEDS_CSUM 1

#define FRAME_MAX 70000
#define TAG_LEN 4u
#define VLAN_TCI 0x6123
#define MSS 1000
#define HEADER_MAX 120u

/* What the back end finds in a descriptor chain. */
struct virtio {
	uint8_t flags;
	uint8_t gso_type;
	uint16_t hdr_len;
	uint16_t gso_size;
	uint16_t csum_start;
	uint16_t csum_offset;
	uint16_t num_buffers;
};

struct sent {
	struct virtio hdr;
	uint32_t len;
	unsigned int descs;
	uint8_t frame[FRAME_MAX];
};

static struct sent sent;

/* What a packet is made of. */
struct kind {
	bool v6;
	bool udp;
	uint32_t payload;
};

/* Frames */

static uint32_t
l3_len(const struct kind *k)
{
	return k->v6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
}

static uint32_t
l4_len(const struct kind *k)
{
	return k->udp ? sizeof(struct rte_udp_hdr) : sizeof(struct rte_tcp_hdr);
}

static uint32_t
headers_len(const struct kind *k)
{
	return RTE_ETHER_HDR_LEN + l3_len(k) + l4_len(k);
}

static void
frame_set_ip(const struct kind *k, void *l3, uint32_t l4_bytes)
{
	const uint8_t proto = k->udp ? IPPROTO_UDP : IPPROTO_TCP;
	struct rte_ipv4_hdr *ip4 = l3;
	struct rte_ipv6_hdr *ip6 = l3;

	if (k->v6) {
		ip6->vtc_flow = rte_cpu_to_be_32(6u << 28);
		ip6->payload_len = rte_cpu_to_be_16((uint16_t)l4_bytes);
		ip6->proto = proto;
	} else {
		ip4->version_ihl = 0x45;
		ip4->total_length = rte_cpu_to_be_16((uint16_t)(sizeof(*ip4) + l4_bytes));
		ip4->fragment_offset = 0;
		ip4->next_proto_id = proto;
		ip4->hdr_checksum = 0;
	}
}

/* A frame, its checksums zero. Returns its length. */
static uint32_t
frame_make(const struct kind *k, uint8_t *frame, uint64_t tag)
{
	const uint32_t l4_bytes = l4_len(k) + k->payload, len = headers_len(k) + k->payload;
	uint8_t *l4 = frame + RTE_ETHER_HDR_LEN + l3_len(k);

	unit_fill(frame, len, tag);
	((struct rte_ether_hdr *)frame)->ether_type =
			rte_cpu_to_be_16(k->v6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
	frame_set_ip(k, frame + RTE_ETHER_HDR_LEN, l4_bytes);
	if (k->udp) {
		((struct rte_udp_hdr *)l4)->dgram_len = rte_cpu_to_be_16((uint16_t)l4_bytes);
		((struct rte_udp_hdr *)l4)->dgram_cksum = 0;
	} else {
		((struct rte_tcp_hdr *)l4)->data_off = 5 << 4;
		((struct rte_tcp_hdr *)l4)->cksum = 0;
	}
	return len;
}

/* The sum of big-endian words. */
static uint32_t
sum_words(const uint8_t *p, uint32_t len)
{
	uint32_t i, sum = 0;

	for (i = 0; i < len; i++)
		sum += i % 2 == 0 ? p[i] * 256u : p[i];
	return sum;
}

/* Pseudo header and all behind it add up to ones. */
static bool
checksum_is_right(const struct kind *k, const uint8_t *frame)
{
	const uint32_t l4_bytes = l4_len(k) + k->payload, addresses = k->v6 ? 32 : 8;
	const uint8_t *l4 = frame + RTE_ETHER_HDR_LEN + l3_len(k);
	uint32_t sum = l4_bytes + (k->udp ? IPPROTO_UDP : IPPROTO_TCP);

	sum += sum_words(l4 - addresses, addresses) + sum_words(l4, l4_bytes);
	while (sum > UINT16_MAX)
		sum = (sum & UINT16_MAX) + (sum >> 16);
	return sum == UINT16_MAX;
}

/* Transmission */

/* How a packet lies in memory. */
enum place {
	PLACE_OWN,     /* in an mbuf with headroom */
	PLACE_CLONE,   /* in a clone: the headroom is shared */
	PLACE_FULL,    /* without headroom */
	PLACE_FOREIGN, /* where the back end cannot read it */
	PLACE_CHAIN,   /* in several mbufs, the headers in the first one */
	PLACES,
};

static struct rte_mempool *foreign;

/* An mbuf with these bytes. */
static struct rte_mbuf *
mbuf_make(struct rte_mempool *mp, const uint8_t *bytes, uint32_t len, bool full)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);

	assert_non_null(m);
	if (full)
		m->data_off = 0;
	assert_in_range(len, 1, rte_pktmbuf_tailroom(m));
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), bytes, len);
	return m;
}

static struct rte_mbuf *
chain_make(struct rte_mempool *mp, const uint8_t *bytes, uint32_t len, uint32_t first)
{
	struct rte_mbuf *m = mbuf_make(mp, bytes, RTE_MIN(first, len), false);
	uint32_t n;

	for (bytes += first, len -= RTE_MIN(first, len); len > 0; bytes += n, len -= n) {
		n = RTE_MIN(len, 1500u);
		assert_int_equal(rte_pktmbuf_chain(m, mbuf_make(mp, bytes, n, false)), 0);
	}
	return m;
}

/* A packet, and in *orig the mbuf that has its bytes, which is the test's. */
static struct rte_mbuf *
packet_make(const struct kind *k, enum place place, const uint8_t *frame, uint32_t len,
		struct rte_mbuf **orig)
{
	struct rte_mbuf *m;

	*orig = NULL;
	if (place == PLACE_CHAIN || len > 1900) {
		m = chain_make(place == PLACE_FOREIGN ? foreign : dut.mp, frame, len,
				headers_len(k) + 1);
	} else {
		m = mbuf_make(place == PLACE_FOREIGN ? foreign : dut.mp, frame, len,
				place == PLACE_FULL);
	}
	if (place == PLACE_CLONE) {
		*orig = m;
		m = rte_pktmbuf_clone(m, dut.mp);
		assert_non_null(m);
	}
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = l3_len(k);
	m->l4_len = l4_len(k);
	m->ol_flags |= k->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
	return m;
}

/* The back end takes the next chain. */
static void
peer_take(void)
{
	uint8_t raw[VHOST_HDR_LEN + FRAME_MAX];
	const struct vhost_desc *d;
	uint16_t head, id;
	uint32_t len = 0;
	const void *p;

	assert_true(vhost_ring_pending(dut.tx) > 0);
	head = id = vhost_ring_take(dut.tx);
	for (sent.descs = 1;; sent.descs++) {
		d = &dut.tx->desc[id & (dut.tx->num - 1)];
		p = vhost_peer_at(dut.peer, d->addr, d->len);
		assert_non_null(p);
		assert_in_range(d->len, 1, sizeof(raw) - len);
		memcpy(raw + len, p, d->len);
		len += d->len;
		if ((d->flags & 1) == 0)
			break;
		id = d->next;
	}
	vhost_ring_put(dut.tx, 0, head, 0);
	vhost_ring_publish(dut.tx, 1);
	assert_in_range(len, dut.hdr_len + 1, sizeof(raw));
	memset(&sent.hdr, 0, sizeof(sent.hdr));
	memcpy(&sent.hdr, raw, dut.hdr_len);
	sent.len = len - dut.hdr_len;
	memcpy(sent.frame, raw + dut.hdr_len, sent.len);
}

static uint16_t
prepare_and_send(struct rte_mbuf *m)
{
	if (rte_eth_tx_prepare(dut.port, 0, &m, 1) != 1)
		return 0;
	return rte_eth_tx_burst(dut.port, 0, &m, 1);
}

/* Do what the header asks for: the checksum of all there is. */
static void
peer_complete_checksum(void)
{
	const uint32_t start = sent.hdr.csum_start, at = start + sent.hdr.csum_offset;
	uint16_t sum;

	assert_int_equal(sent.hdr.flags, NEEDS_CSUM);
	assert_in_range(at, start, sent.len - sizeof(sum));
	sum = (uint16_t)~rte_raw_cksum(sent.frame + start, sent.len - start);
	memcpy(sent.frame + at, &sum, sizeof(sum));
}

/* Take the tag out again. */
static void
peer_remove_tag(void)
{
	static const uint8_t tag[TAG_LEN] = { 0x81, 0, VLAN_TCI >> 8, VLAN_TCI & 0xff };

	assert_memory_equal(sent.frame + 12, tag, TAG_LEN);
	memmove(sent.frame + TAG_LEN, sent.frame, 12);
	memmove(sent.frame, sent.frame + TAG_LEN, sent.len - TAG_LEN);
	sent.len -= TAG_LEN;
	if (sent.hdr.csum_start != 0)
		sent.hdr.csum_start -= TAG_LEN;
	if (sent.hdr.hdr_len != 0)
		sent.hdr.hdr_len -= TAG_LEN;
}

/* The frame is as it was, but for its checksums, which are right. */
static void
check_frame(const struct kind *k, uint64_t flags, uint8_t *frame, uint32_t len)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(sent.frame + RTE_ETHER_HDR_LEN);
	const uint32_t at = RTE_ETHER_HDR_LEN + l3_len(k) + (k->udp ? 6 : 16);

	assert_int_equal(sent.len, len);
	if ((flags & RTE_MBUF_F_TX_IP_CKSUM) != 0) {
		assert_int_equal(rte_raw_cksum(ip, sizeof(*ip)), 0xffff);
		ip->hdr_checksum = 0;
	}
	if ((flags & RTE_MBUF_F_TX_L4_MASK) != 0) {
		peer_complete_checksum();
		assert_int_equal(sent.hdr.csum_start, RTE_ETHER_HDR_LEN + l3_len(k));
		assert_true(checksum_is_right(k, sent.frame));
		memcpy(frame + at, sent.frame + at, sizeof(uint16_t));
	} else {
		assert_int_equal(sent.hdr.flags, 0);
	}
	assert_memory_equal(sent.frame, frame, len);
}

static void
send_one(const struct kind *k, enum place place, uint64_t flags, uint64_t tag)
{
	uint8_t *frame = malloc(FRAME_MAX);
	uint32_t len = frame_make(k, frame, tag);
	struct rte_mbuf *orig, *m = packet_make(k, place, frame, len, &orig);

	m->ol_flags |= flags;
	m->vlan_tci = VLAN_TCI;
	m->tso_segsz = MSS;
	assert_int_equal(prepare_and_send(m), 1);
	peer_take();
	assert_int_equal(sent.hdr.num_buffers, 0);
	if ((flags & RTE_MBUF_F_TX_VLAN) != 0)
		peer_remove_tag();
	check_frame(k, flags, frame, len);
	rte_pktmbuf_free(orig);
	rte_eth_tx_done_cleanup(dut.port, 0, 0);
	free(frame);
}

static uint64_t
checksum_flag(const struct kind *k)
{
	return k->udp ? RTE_MBUF_F_TX_UDP_CKSUM : RTE_MBUF_F_TX_TCP_CKSUM;
}

/* Of back ends that have a short header. */
#define LEGACY .legacy = true, .no_mrg = true

static struct dut_conf legacy = { LEGACY };

/* Of the test at work: what the back end is; NULL: nothing special. */
static const struct dut_conf *base;

static int
tx_setup(void **state)
{
	base = *state;
	return dut_setup(state);
}

static void
start_with(uint64_t features, uint64_t tx_offloads)
{
	struct dut_conf conf = base != NULL ? *base : (struct dut_conf){ .pages = 0 };

	conf.features |= features;
	conf.tx_offloads = tx_offloads;
	dut_start(&conf);
	foreign = unit_stock_pool(256, 2176);
}

/* Checksums, tags and IPv4 headers in every combination, of every protocol, in every place. */
static void
test_tx_combinations(void **state)
{
	struct kind k;
	uint64_t flags;
	unsigned int i, place;

	(void)state;
	start_with(F_TX, TX_ALL);
	for (place = 0; place < PLACES; place++) {
		for (i = 0; i < 32; i++) {
			k = (struct kind){ (i & 1) != 0, (i & 2) != 0, 100 + 37 * i };
			flags = (i & 4) != 0 ? checksum_flag(&k) : 0;
			flags |= (i & 8) != 0 ? RTE_MBUF_F_TX_VLAN : 0;
			flags |= (i & 16) != 0 && !k.v6 ? RTE_MBUF_F_TX_IP_CKSUM : 0;
			send_one(&k, place, flags, i + 1);
		}
	}
	assert_int_equal(dut_xstat("tx_q0_offload_packets"), 32 * PLACES);
	assert_int_equal(dut_xstat("tx_q0_bad_offload_packets"), 0);
	assert_true(dut_xstat("tx_q0_copied_packets") == 32);
	dut_stop();
}

/* The bytes of a packet that somebody else uses, too, stay as they are. */
static void
test_tx_shared_stays(void **state)
{
	const struct kind k = { .payload = 200 };
	uint8_t frame[512];
	struct rte_mbuf *m, *orig;
	uint32_t len;

	(void)state;
	start_with(F_TX, TX_ALL);
	len = frame_make(&k, frame, 1);
	m = packet_make(&k, PLACE_CLONE, frame, len, &orig);
	m->ol_flags |= RTE_MBUF_F_TX_VLAN | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_TCP_CKSUM;
	assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
	assert_memory_equal(rte_pktmbuf_mtod(orig, void *), frame, len);
	peer_take();
	rte_eth_tx_done_cleanup(dut.port, 0, 0);
	assert_memory_equal(rte_pktmbuf_mtod(orig, void *), frame, len);
	rte_pktmbuf_free(orig);
	dut_stop();
}

/* Segmentation */

static void
tso_one(const struct kind *k, enum place place, uint64_t more, unsigned int gso_type)
{
	const uint64_t seg = k->udp ? RTE_MBUF_F_TX_UDP_SEG : RTE_MBUF_F_TX_TCP_SEG;
	uint8_t *frame = malloc(FRAME_MAX);
	uint32_t len = frame_make(k, frame, k->payload);
	struct rte_mbuf *orig, *m = packet_make(k, place, frame, len, &orig);

	m->ol_flags |= seg | more;
	m->vlan_tci = VLAN_TCI;
	m->tso_segsz = MSS;
	assert_int_equal(prepare_and_send(m), 1);
	peer_take();
	if ((more & RTE_MBUF_F_TX_VLAN) != 0)
		peer_remove_tag();
	assert_int_equal(sent.hdr.gso_type, gso_type);
	assert_int_equal(sent.hdr.gso_size, gso_type == 0 ? 0 : MSS);
	assert_int_equal(sent.hdr.hdr_len, gso_type == 0 ? 0 : headers_len(k));
	/* The checksum is that of the whole packet until the back end cuts it. */
	check_frame(k, more | checksum_flag(k), frame, len);
	rte_pktmbuf_free(orig);
	rte_eth_tx_done_cleanup(dut.port, 0, 0);
	free(frame);
}

static void
test_tx_segmentation(void **state)
{
	static const uint32_t payloads[] = { 1, MSS, MSS + 1, 1460, 9000, 30000, 65000 };
	static const uint64_t more[] = { 0, RTE_MBUF_F_TX_VLAN };
	const unsigned int types[2][2] = { { 1, 5 }, { 4, 5 } };
	unsigned int i, j, v6, udp;
	struct kind k;

	(void)state;
	start_with(F_TX, TX_ALL);
	for (i = 0; i < RTE_DIM(payloads); i++) {
		for (j = 0; j < 2 * RTE_DIM(more); j++) {
			for (v6 = 0; v6 < 2; v6++) {
				for (udp = 0; udp < 2; udp++) {
					k = (struct kind){ v6, udp, payloads[i] };
					tso_one(&k, (j & 1) != 0 ? PLACE_FOREIGN : PLACE_CHAIN,
							more[j / 2],
							payloads[i] > MSS ? types[v6][udp] : 0);
				}
			}
		}
	}
	dut_stop();
}

/* Refused */

/* X(name, what makes it wrong): changes to an mbuf of a TCP packet that asks for all there is. */
#define BAD_PACKETS(X) \
	X(sctp, m->ol_flags = ip4 | RTE_MBUF_F_TX_SCTP_CKSUM) \
	X(tunnel, m->ol_flags |= RTE_MBUF_F_TX_TUNNEL_VXLAN) \
	X(qinq, m->ol_flags |= RTE_MBUF_F_TX_QINQ) \
	X(outer, m->ol_flags |= RTE_MBUF_F_TX_OUTER_IP_CKSUM) \
	X(timestamp, m->ol_flags |= RTE_MBUF_F_TX_IEEE1588_TMST) \
	X(both_segmentations, m->ol_flags |= RTE_MBUF_F_TX_UDP_SEG) \
	X(other_checksum, m->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM) \
	X(no_ip, m->ol_flags &= ~RTE_MBUF_F_TX_IPV4) \
	X(both_ip, m->ol_flags |= RTE_MBUF_F_TX_IPV6) \
	X(no_l2, m->l2_len = 13) \
	X(no_l3, m->l3_len = 19) \
	X(ip_too_long, m->l3_len = 64) \
	X(no_l4, m->l4_len = 19) \
	X(no_size, m->tso_segsz = 0) \
	X(far_l2, m->l2_len = 127) \
	X(far_l3, m->ol_flags &= ~RTE_MBUF_F_TX_IP_CKSUM; m->l3_len = 511) \
	X(far_l4, m->l4_len = 255)

#define BAD_FUNCTION(name, change) \
	static void bad_##name(struct rte_mbuf *m) \
	{ \
		const uint64_t ip4 = RTE_MBUF_F_TX_IPV4; \
		RTE_SET_USED(ip4); \
		change; \
	}
BAD_PACKETS(BAD_FUNCTION)

#define BAD_ENTRY(name, change) { #name, bad_##name },
static const struct {
	const char *name;
	void (*change)(struct rte_mbuf *m);
} bad_packets[] = { BAD_PACKETS(BAD_ENTRY) };

static struct rte_mbuf *
make_full_request(void)
{
	const struct kind k = { .payload = 100 };
	uint8_t frame[512];
	struct rte_mbuf *orig, *m;

	m = packet_make(&k, PLACE_OWN, frame, frame_make(&k, frame, 1), &orig);
	m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IP_CKSUM |
			RTE_MBUF_F_TX_VLAN;
	m->tso_segsz = 10;
	return m;
}

/* Neither prepared nor sent, but counted. */
static void
refuse_one(struct rte_mbuf *m, const char *name)
{
	const uint64_t before = dut_xstat("tx_q0_bad_offload_packets");

	rte_errno = 0;
	if (rte_eth_tx_prepare(dut.port, 0, &m, 1) != 0 || rte_errno != EINVAL)
		fail_msg("%s: is prepared", name);
	if (rte_eth_tx_burst(dut.port, 0, &m, 1) != 1 ||
			dut_xstat("tx_q0_bad_offload_packets") != before + 1)
		fail_msg("%s: is no counted drop", name);
	if (vhost_ring_pending(dut.tx) != 0)
		fail_msg("%s: is sent", name);
}

static void
test_tx_refused(void **state)
{
	struct rte_eth_stats stats;
	struct rte_mbuf *m;
	unsigned int i;

	(void)state;
	start_with(F_TX, TX_ALL);
	m = make_full_request();
	assert_int_equal(prepare_and_send(m), 1);
	assert_int_equal(dut_tx_consume(), 1);
	for (i = 0; i < RTE_DIM(bad_packets); i++) {
		m = make_full_request();
		bad_packets[i].change(m);
		refuse_one(m, bad_packets[i].name);
	}
	assert_int_equal(rte_eth_stats_get(dut.port, &stats), 0);
	assert_int_equal(stats.oerrors, RTE_DIM(bad_packets));
	assert_int_equal(stats.opackets, 1);
	dut_stop();
}

/* What is to be rewritten is not in the first segment. */
static void
test_tx_split_headers(void **state)
{
	const struct kind k = { .payload = 100 };
	uint8_t frame[512];
	struct rte_mbuf *m;
	uint32_t len;

	(void)state;
	start_with(F_TX, TX_ALL);
	len = frame_make(&k, frame, 1);
	m = chain_make(dut.mp, frame, len, 33);
	m->l2_len = RTE_ETHER_HDR_LEN;
	m->l3_len = sizeof(struct rte_ipv4_hdr);
	m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
	refuse_one(m, "IPv4 header in two segments");
	m = chain_make(dut.mp, frame, len, 11);
	m->ol_flags |= RTE_MBUF_F_TX_VLAN;
	refuse_one(m, "addresses in two segments");
	dut_stop();
}

/* X(offload, flag): each is refused where it is not configured, but others are. */
#define TX_PAIRS(X) \
	X(RTE_ETH_TX_OFFLOAD_VLAN_INSERT, RTE_MBUF_F_TX_VLAN) \
	X(RTE_ETH_TX_OFFLOAD_IPV4_CKSUM, RTE_MBUF_F_TX_IP_CKSUM) \
	X(RTE_ETH_TX_OFFLOAD_TCP_CKSUM, RTE_MBUF_F_TX_TCP_CKSUM) \
	X(RTE_ETH_TX_OFFLOAD_UDP_CKSUM, RTE_MBUF_F_TX_UDP_CKSUM) \
	X(RTE_ETH_TX_OFFLOAD_TCP_TSO, RTE_MBUF_F_TX_TCP_SEG) \
	X(RTE_ETH_TX_OFFLOAD_UDP_TSO, RTE_MBUF_F_TX_UDP_SEG)

#define TX_PAIR(offload, flag) { offload, flag },
static const struct {
	uint64_t offload, flag;
} tx_pairs[] = { TX_PAIRS(TX_PAIR) };

static void
test_tx_not_configured(void **state)
{
	struct dut_conf conf = { .features = F_TX };
	unsigned int i, j;
	struct rte_mbuf *m;

	(void)state;
	dut_start(&conf);
	for (i = 0; i < RTE_DIM(tx_pairs); i++) {
		assert_int_equal(rte_eth_dev_stop(dut.port), 0);
		conf.tx_offloads = tx_pairs[i].offload;
		assert_int_equal(dut_configure(&conf), 0);
		for (j = 0; j < RTE_DIM(tx_pairs); j++) {
			m = make_full_request();
			m->ol_flags &= ~RTE_MBUF_F_TX_OFFLOAD_MASK;
			m->ol_flags |= RTE_MBUF_F_TX_IPV4 | tx_pairs[j].flag;
			if (i != j) {
				refuse_one(m, "what is not configured");
			} else {
				assert_int_equal(prepare_and_send(m), 1);
				assert_int_equal(dut_tx_consume(), 1);
			}
		}
	}
	dut_stop();
}

/* Where no offload is configured, packets are sent as they are, whatever they ask for. */
static void
test_tx_without(void **state)
{
	static const struct virtio zero;
	struct rte_mbuf *m;

	(void)state;
	start_with(F_TX, 0);
	m = make_full_request();
	assert_int_equal(prepare_and_send(m), 1);
	peer_take();
	assert_memory_equal(&sent.hdr, &zero, sizeof(zero));
	assert_int_equal(sent.descs, 1);
	assert_int_equal(dut_xstat("tx_q0_offload_packets"), 0);
	dut_stop();
}

/* Any lengths and flags: what is sent is no more than the packet, and its header stays within. */
static void
test_tx_random(void **state)
{
	uint64_t rng = unit_seed, i;
	unsigned int done = 0;
	struct rte_mbuf *m;

	(void)state;
	start_with(F_TX, TX_ALL);
	for (i = 0; i < unit_scaled(50000, 5000000); i++) {
		m = make_full_request();
		m->ol_flags |= unit_random(&rng) & RTE_MBUF_F_TX_OFFLOAD_MASK & unit_random(&rng) &
				unit_random(&rng);
		m->ol_flags &= ~(unit_random(&rng) & unit_random(&rng));
		m->tx_offload ^= unit_random(&rng) & unit_random(&rng) & unit_random(&rng);
		assert_int_equal(rte_eth_tx_burst(dut.port, 0, &m, 1), 1);
		if (vhost_ring_pending(dut.tx) == 0)
			continue;
		done++;
		peer_take();
		assert_in_range(sent.len, 154, 158);
		if (sent.hdr.flags != 0)
			peer_complete_checksum();
		if (sent.hdr.gso_type != 0)
			assert_in_range(sent.hdr.hdr_len, 14 + 20 + 8, sent.len);
		rte_eth_tx_done_cleanup(dut.port, 0, 0);
	}
	assert_int_equal(dut_xstat("tx_q0_bad_offload_packets"), i - done);
	assert_in_range(done, i / 100, i - i / 100);
	dut_stop();
}

/* A ring that is too short now, and one that is for ever. */
static void
test_tx_short_ring(void **state)
{
	struct dut_conf conf = { .features = F_TX, .tx_offloads = TX_ALL, .ring = 8 };
	const struct kind k = { .payload = 5000 };
	uint8_t frame[8192];
	struct rte_mbuf *m, *orig;
	unsigned int n = 0, i;
	uint32_t len;

	(void)state;
	dut_start(&conf);
	len = frame_make(&k, frame, 1);
	for (i = 0; i < 20; i++) {
		m = packet_make(&k, PLACE_CHAIN, frame, len, &orig);
		m->ol_flags |= RTE_MBUF_F_TX_VLAN | RTE_MBUF_F_TX_TCP_CKSUM;
		m->vlan_tci = VLAN_TCI;
		while (prepare_and_send(m) == 0) {
			assert_true(vhost_ring_pending(dut.tx) > 0);
			peer_take();
			peer_remove_tag();
			assert_int_equal(sent.len, len);
			peer_complete_checksum();
			assert_true(checksum_is_right(&k, sent.frame));
			n++;
		}
	}
	assert_int_equal(n + dut_tx_consume(), 20);
	dut_stop();
}

/* What there is, and what the back end is told of */

static uint64_t
tx_capabilities(void)
{
	struct rte_eth_dev_info info;

	assert_int_equal(rte_eth_dev_info_get(dut.port, &info), 0);
	return info.tx_offload_capa;
}

static void
test_tx_capabilities(void **state)
{
	static const struct {
		uint64_t features, offloads;
	} cases[] = {
		{ 0, 0 },
		{ F_HOST_TSO | F_HOST_USO, 0 },
		{ F_CSUM, TX_CKSUM },
		{ F_CSUM | UINT64_C(1) << 11, TX_CKSUM },
		{ F_CSUM | F_HOST_TSO, TX_CKSUM | TX_TSO },
		{ F_CSUM | F_HOST_USO, TX_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_TSO },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(cases); i++) {
		dut_start(&(struct dut_conf){ .features = cases[i].features });
		assert_int_equal(tx_capabilities(),
				cases[i].offloads | TX_SOFT | RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
		dut_stop();
	}
}

/* The back end is told of what is configured and of nothing else; it may change at a stop. */
static void
test_tx_features(void **state)
{
	static const struct {
		uint64_t offloads, features;
	} cases[] = {
		{ 0, 0 },
		{ TX_SOFT, 0 },
		{ RTE_ETH_TX_OFFLOAD_UDP_CKSUM, F_CSUM },
		{ TX_TSO, F_CSUM | F_HOST_TSO },
		{ RTE_ETH_TX_OFFLOAD_UDP_TSO, F_CSUM | F_HOST_USO },
		{ 0, 0 },
		{ TX_ALL, F_TX },
	};
	struct dut_conf conf = { .features = F_TX };
	unsigned int i;

	(void)state;
	dut_start(&conf);
	for (i = 0; i < RTE_DIM(cases); i++) {
		assert_int_equal(rte_eth_dev_stop(dut.port), 0);
		conf.tx_offloads = cases[i].offloads;
		assert_int_equal(dut_configure(&conf), 0);
		assert_int_equal(vhost_peer_acked(dut.peer) & F_TX, cases[i].features);
		assert_true((vhost_peer_acked(dut.peer) & VHOST_F_VERSION_1) != 0);
		dut_exchange(3, 100);
	}
	dut_stop();
}

/* A back end that takes another's place must offer what is in use. */
static void
test_tx_lesser_peer(void **state)
{
	(void)state;
	start_with(F_TX, TX_CKSUM);
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	dut_replace_peer();
	/* It waits for one that does. */
	assert_int_equal(rte_eth_dev_start(dut.port), 0);
	assert_true(unit_link_is(dut.port, RTE_ETH_LINK_DOWN));
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	assert_int_equal(dut_configure(&(struct dut_conf){ .tx_offloads = TX_SOFT }), 0);
	assert_int_equal(tx_capabilities(), TX_SOFT | RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
	assert_int_equal(vhost_peer_acked(dut.peer) & F_TX, 0);
	dut_stop();
}

/* Reception */

#define F_GUEST_CSUM (UINT64_C(1) << 1)
#define F_GUEST_TSO (UINT64_C(3) << 7)
#define F_RX (F_GUEST_CSUM | F_GUEST_TSO)

#define RX_CKSUM (RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM)
#define RX_SOFT (RTE_ETH_RX_OFFLOAD_VLAN_STRIP | RTE_ETH_RX_OFFLOAD_IPV4_CKSUM)
#define RX_LRO RTE_ETH_RX_OFFLOAD_TCP_LRO
#define RX_ALL (RX_CKSUM | RX_SOFT | RX_LRO)

#define DATA_VALID 2
#define GSO_TCPV4 1
#define GSO_TCPV6 4

#define L4_FLAGS RTE_MBUF_F_RX_L4_CKSUM_MASK
#define POLLS 1000

/* X(name, configuration): every way to receive. */
#define WAYS(X) \
	X(lanes, { .lanes = true, .page_size = 16384 }) \
	X(lanes_small, { .lanes = true, .ring = 256 }) \
	X(slots, { .page_size = 16384 }) \
	X(slots_small, { .ring = 256 }) \
	X(slots_dense, { .density = true, .page_size = 16384 }) \
	X(copy, { .copy = true, .ring = 256 }) \
	X(copy_lanes, { .lanes = true, .copy = true, .ring = 256 })

/* X(name, configuration): the same with a short header. */
#define LEGACY_WAYS(X) \
	X(legacy_lanes, { LEGACY, .lanes = true, .page_size = 16384 }) \
	X(legacy_slots, { LEGACY, .page_size = 16384 }) \
	X(legacy_slots_dense, { LEGACY, .density = true, .page_size = 16384 }) \
	X(legacy_copy, { LEGACY, .copy = true, .ring = 256 }) \
	X(legacy_copy_lanes, { LEGACY, .lanes = true, .copy = true, .ring = 256 })

#define WAY_STRUCT(id, ...) static struct dut_conf way_##id = __VA_ARGS__;
WAYS(WAY_STRUCT)
LEGACY_WAYS(WAY_STRUCT)

static void
start_way(const struct dut_conf *way, uint64_t features, uint64_t rx_offloads)
{
	struct dut_conf conf = *way;

	/* Packets of several segments take mergeable buffers. */
	if (conf.no_mrg)
		rx_offloads &= ~RX_LRO;
	conf.features = features;
	conf.rx_offloads = rx_offloads;
	dut_start(&conf);
}

/* The back end sends a frame with this header; what the application gets. */
static struct rte_mbuf *
receive(const struct virtio *hdr, const uint8_t *frame, uint32_t len)
{
	const uint16_t pos = dut.rx->next_avail & (dut.rx->num - 1);
	const struct vhost_desc *d = &dut.rx->desc[dut.rx->avail->ring[pos] & (dut.rx->num - 1)];
	char *buf = vhost_peer_at(dut.peer, d->addr, dut.hdr_len);
	struct rte_mbuf *m;
	unsigned int i;

	assert_non_null(buf);
	assert_true(vhost_peer_send(dut.peer, frame, len));
	memcpy(buf, hdr, sizeof(*hdr) - sizeof(hdr->num_buffers));
	for (i = 0; i < POLLS; i++)
		if (rte_eth_rx_burst(dut.port, 0, &m, 1) == 1)
			return m;
	fail_msg("a frame does not arrive");
	return NULL;
}

/* The packet has these bytes. */
static void
check_bytes(const struct rte_mbuf *m, const uint8_t *frame, uint32_t len)
{
	static uint8_t buf[FRAME_MAX];
	const void *got;

	assert_int_equal(rte_mbuf_check(m, 1, &(const char *){ NULL }), 0);
	assert_int_equal(m->pkt_len, len);
	got = rte_pktmbuf_read(m, 0, len, buf);
	assert_non_null(got);
	assert_memory_equal(got, frame, len);
}

static void
frame_set_ip_checksum(const struct kind *k, uint8_t *frame)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + RTE_ETHER_HDR_LEN);

	if (!k->v6)
		ip->hdr_checksum = (uint16_t)~rte_raw_cksum(ip, sizeof(*ip));
}

static uint32_t
expected_ptype(const struct kind *k)
{
	return RTE_PTYPE_L2_ETHER | (k->v6 ? RTE_PTYPE_L3_IPV6 : RTE_PTYPE_L3_IPV4) |
			(k->udp ? RTE_PTYPE_L4_UDP : RTE_PTYPE_L4_TCP);
}

/* A header that leaves out the checksum of a packet. */
static struct virtio
header_needs_csum(const struct kind *k)
{
	return (struct virtio){
		.flags = NEEDS_CSUM,
		.csum_start = (uint16_t)(RTE_ETHER_HDR_LEN + l3_len(k)),
		.csum_offset = k->udp ? 6 : 16,
	};
}

/* One that is to be cut, too. */
static struct virtio
header_gso(const struct kind *k)
{
	struct virtio hdr = header_needs_csum(k);

	hdr.gso_type = k->v6 ? GSO_TCPV6 : GSO_TCPV4;
	hdr.gso_size = MSS;
	hdr.hdr_len = (uint16_t)headers_len(k);
	return hdr;
}

/* Receive one frame with a header, and see what its mbuf says. */
static void
receive_one(const struct kind *k, const struct virtio *hdr, uint64_t tag, uint64_t flags)
{
	static uint8_t frame[FRAME_MAX];
	const uint32_t len = frame_make(k, frame, tag);
	const bool good = tag % 2 == 0;
	struct rte_mbuf *m;

	frame_set_ip_checksum(k, frame);
	if (!good && !k->v6)
		frame[RTE_ETHER_HDR_LEN + 8] ^= 1; /* the time to live */
	if (!k->v6)
		flags |= good ? RTE_MBUF_F_RX_IP_CKSUM_GOOD : RTE_MBUF_F_RX_IP_CKSUM_BAD;
	m = receive(hdr, frame, len);
	check_bytes(m, frame, len);
	assert_int_equal(m->ol_flags &
					(L4_FLAGS | RTE_MBUF_F_RX_IP_CKSUM_MASK |
							RTE_MBUF_F_RX_LRO | RTE_MBUF_F_RX_VLAN),
			flags);
	assert_int_equal(m->packet_type, expected_ptype(k));
	if ((flags & RTE_MBUF_F_RX_LRO) != 0)
		assert_int_equal(m->tso_segsz, hdr->gso_size);
	rte_pktmbuf_free(m);
}

static void
test_rx_flags(void **state)
{
	static const struct virtio none, valid = { .flags = DATA_VALID };
	struct virtio needs;
	struct kind k;
	unsigned int i;

	start_way(*state, F_RX, RX_ALL);
	for (i = 0; i < 400; i++) {
		k = (struct kind){ i & 1, (i & 2) != 0, 1 + (37 * i) % 1400 };
		needs = header_needs_csum(&k);
		receive_one(&k, &none, 3 * i, RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN);
		receive_one(&k, &valid, 3 * i + 1, RTE_MBUF_F_RX_L4_CKSUM_GOOD);
		receive_one(&k, &needs, 3 * i + 2, RTE_MBUF_F_RX_L4_CKSUM_NONE);
	}
	assert_int_equal(dut_xstat("rx_q0_bad_header_packets"), 0);
	dut_stop();
}

/* Packets of several segments that the back end has not cut. */
static void
test_rx_lro(void **state)
{
	static const uint32_t payloads[] = { MSS + 1, 1500, 9000, 20000, 45001, 65000 };
	struct virtio hdr;
	unsigned int i;
	struct kind k;

	start_way(*state, F_RX, RX_ALL);
	for (i = 0; i < 4 * RTE_DIM(payloads); i++) {
		k = (struct kind){ i & 1, false, payloads[i / 4] };
		hdr = header_gso(&k);
		receive_one(&k, &hdr, i, RTE_MBUF_F_RX_L4_CKSUM_NONE | RTE_MBUF_F_RX_LRO);
	}
	assert_true(dut_xstat("rx_q0_chained_packets") > 0);
	assert_int_equal(dut_xstat("rx_q0_bad_header_packets"), 0);
	dut_stop();
}

/* Tags are taken out, and places in headers count with them. */
static void
test_rx_strip(void **state)
{
	static uint8_t frame[2048], tagged[2048];
	struct virtio hdr;
	struct rte_mbuf *m;
	unsigned int i;
	struct kind k;
	uint32_t len;

	start_way(*state, F_RX, RX_ALL);
	for (i = 0; i < 200; i++) {
		k = (struct kind){ i & 1, (i & 2) != 0, 1 + 7 * i };
		len = frame_make(&k, frame, i);
		memcpy(tagged, frame, 12);
		memcpy(tagged + 12, (uint8_t[]){ 0x81, 0, VLAN_TCI >> 8, VLAN_TCI & 0xff },
				TAG_LEN);
		memcpy(tagged + 12 + TAG_LEN, frame + 12, len - 12);
		hdr = header_needs_csum(&k);
		hdr.csum_start += TAG_LEN;
		m = receive(&hdr, tagged, len + TAG_LEN);
		check_bytes(m, frame, len);
		assert_int_equal(m->vlan_tci, VLAN_TCI);
		assert_int_equal(m->ol_flags &
						(L4_FLAGS | RTE_MBUF_F_RX_VLAN |
								RTE_MBUF_F_RX_VLAN_STRIPPED),
				RTE_MBUF_F_RX_L4_CKSUM_NONE | RTE_MBUF_F_RX_VLAN |
						RTE_MBUF_F_RX_VLAN_STRIPPED);
		assert_int_equal(m->packet_type, expected_ptype(&k));
		rte_pktmbuf_free(m);
	}
	dut_stop();
}

/* A checksum that is missing elsewhere than in the packet's TCP or UDP is put in. */
static void
test_rx_other_checksum(void **state)
{
	const struct virtio hdr = { .flags = NEEDS_CSUM, .csum_start = 51, .csum_offset = 8 };
	const struct kind k = { .payload = 300 };
	static uint8_t frame[1024], got[1024];
	struct rte_mbuf *m;
	uint32_t len, sum;

	start_way(*state, F_RX, RX_ALL);
	len = frame_make(&k, frame, 1);
	m = receive(&hdr, frame, len);
	assert_int_equal(m->pkt_len, len);
	memcpy(got, rte_pktmbuf_mtod(m, void *), len);
	assert_int_equal(m->ol_flags & L4_FLAGS, 0);
	rte_pktmbuf_free(m);
	/* What was there counts, and all ones is the sum of what is there now less that. */
	sum = sum_words(got + 51, len - 51) - sum_words(got + 59, 2) + sum_words(frame + 59, 2);
	sum += sum_words(got + 59, 2);
	while (sum > UINT16_MAX)
		sum = (sum & UINT16_MAX) + (sum >> 16);
	assert_int_equal(sum, UINT16_MAX);
	assert_memory_not_equal(got + 59, frame + 59, 2);
	memcpy(got + 59, frame + 59, 2);
	assert_memory_equal(got, frame, len);
	assert_int_equal(dut_xstat("rx_q0_bad_header_packets"), 0);
	dut_stop();
}

/* X(name, what makes it wrong): changes to the header of a TCP packet over IPv4 that is right. */
#define BAD_HEADERS(X) \
	X(start_behind_the_end, h->csum_start = 400) \
	X(start_at_65535, h->csum_start = UINT16_MAX) \
	X(start_in_the_link_header, h->csum_start = 13) \
	X(start_zero, h->csum_start = 0) \
	X(offset_behind_the_end, h->csum_offset = 354 - 34 - 1) \
	X(offset_65535, h->csum_offset = UINT16_MAX) \
	X(both_65535, h->csum_start = h->csum_offset = UINT16_MAX) \
	X(gso_size_zero, h->gso_size = 0) \
	X(gso_of_ipv6, h->gso_type = GSO_TCPV6) \
	X(gso_of_udp, h->gso_type = 3) \
	X(gso_of_udp_l4, h->gso_type = 5) \
	X(gso_with_ecn, h->gso_type |= 0x80) \
	X(gso_255, h->gso_type = UINT8_MAX) \
	X(hdr_len_behind_the_end, h->hdr_len = 355)

#define BAD_HEADER_FUNCTION(name, change) \
	static void bad_header_##name(struct virtio *h) \
	{ \
		change; \
	}
BAD_HEADERS(BAD_HEADER_FUNCTION)

#define BAD_HEADER_ENTRY(name, change) { #name, bad_header_##name },
static const struct {
	const char *name;
	void (*change)(struct virtio *h);
} bad_headers[] = { BAD_HEADERS(BAD_HEADER_ENTRY) };

static void
test_rx_bad_headers(void **state)
{
	const struct kind k = { .payload = 300 };
	struct virtio hdr = header_gso(&k);
	static uint8_t frame[1024];
	struct rte_mbuf *m;
	unsigned int i;
	uint32_t len;

	start_way(*state, F_RX, RX_ALL);
	len = frame_make(&k, frame, 1);
	assert_int_equal(len, 354);
	for (i = 0; i < RTE_DIM(bad_headers); i++) {
		hdr = header_gso(&k);
		rte_pktmbuf_free(receive(&hdr, frame, len));
		bad_headers[i].change(&hdr);
		m = receive(&hdr, frame, len);
		check_bytes(m, frame, len);
		if ((m->ol_flags & (L4_FLAGS | RTE_MBUF_F_RX_LRO)) != RTE_MBUF_F_RX_L4_CKSUM_BAD ||
				dut_xstat("rx_q0_bad_header_packets") != i + 1)
			fail_msg("%s: is taken for a header", bad_headers[i].name);
		rte_pktmbuf_free(m);
	}
	dut_stop();
}

/* Segments were not asked for. */
static void
test_rx_lro_not_configured(void **state)
{
	const struct kind k = { .payload = 300 };
	const struct virtio hdr = header_gso(&k);
	static uint8_t frame[1024];
	struct rte_mbuf *m;

	start_way(*state, F_RX, RX_CKSUM);
	m = receive(&hdr, frame, frame_make(&k, frame, 1));
	assert_int_equal(m->ol_flags & (L4_FLAGS | RTE_MBUF_F_RX_LRO), RTE_MBUF_F_RX_L4_CKSUM_BAD);
	rte_pktmbuf_free(m);
	assert_int_equal(dut_xstat("rx_q0_bad_header_packets"), 1);
	dut_stop();
}

static unsigned int
count_differences(const struct rte_mbuf *m, const uint8_t *frame)
{
	static uint8_t buf[FRAME_MAX];
	const uint8_t *got = rte_pktmbuf_read(m, 0, m->pkt_len, buf);
	unsigned int i, n = 0;

	assert_non_null(got);
	for (i = 0; i < m->pkt_len; i++)
		n += got[i] != frame[i];
	return n;
}

/* Any header in front of any frame: no more than one checksum is written, within the packet. */
static void
test_rx_random(void **state)
{
	static uint8_t frame[FRAME_MAX];
	uint64_t rng = unit_seed, i;
	struct virtio hdr;
	struct rte_mbuf *m;
	struct kind k;
	uint32_t len;

	start_way(*state, F_RX, RX_ALL & ~RTE_ETH_RX_OFFLOAD_VLAN_STRIP);
	for (i = 0; i < unit_scaled(20000, 2000000); i++) {
		k = (struct kind){ i & 1, (i & 2) != 0, unit_range(&rng, 1, 1400) };
		if (unit_range(&rng, 0, 99) == 0)
			k.payload = unit_range(&rng, 1, 60000);
		len = frame_make(&k, frame, i);
		if (unit_range(&rng, 0, 3) == 0) /* other headers, other lengths */
			frame[unit_range(&rng, 12, 60)] = (uint8_t)unit_random(&rng);
		if (unit_range(&rng, 0, 7) == 0)
			len = unit_range(&rng, 14, RTE_MIN(len, 80u));
		hdr = header_gso(&k);
		hdr.flags = (uint8_t)unit_random(&rng);
		hdr.gso_type = (uint8_t)(unit_random(&rng) & unit_random(&rng));
		hdr.csum_start ^= unit_random(&rng) & unit_random(&rng) & unit_random(&rng);
		hdr.csum_offset ^= unit_random(&rng) & unit_random(&rng) & unit_random(&rng);
		hdr.hdr_len ^= unit_random(&rng) & unit_random(&rng);
		m = receive(&hdr, frame, len);
		assert_int_equal(m->pkt_len, len);
		assert_int_equal(rte_mbuf_check(m, 1, &(const char *){ NULL }), 0);
		assert_in_range(count_differences(m, frame), 0, 2);
		rte_pktmbuf_free(m);
	}
	assert_in_range(dut_xstat("rx_q0_bad_header_packets"), i / 20, i);
	dut_stop();
}

/* Without offloads, nobody looks at a header. */
static void
test_rx_without(void **state)
{
	const struct virtio hdr = { 255, 255, 65535, 65535, 65535, 65535, 1 };
	const struct kind k = { .payload = 300 };
	static uint8_t frame[1024];
	struct rte_mbuf *m;
	uint32_t len;

	start_way(*state, F_RX, 0);
	len = frame_make(&k, frame, 1);
	m = receive(&hdr, frame, len);
	check_bytes(m, frame, len);
	assert_int_equal(m->ol_flags & (L4_FLAGS | RTE_MBUF_F_RX_IP_CKSUM_MASK | RTE_MBUF_F_RX_LRO),
			0);
	assert_int_equal(m->packet_type, 0);
	rte_pktmbuf_free(m);
	assert_int_equal(dut_xstat("rx_q0_bad_header_packets"), 0);
	dut_stop();
}

static uint64_t
rx_capabilities(void)
{
	struct rte_eth_dev_info info;

	assert_int_equal(rte_eth_dev_info_get(dut.port, &info), 0);
	return info.rx_offload_capa;
}

static void
test_rx_capabilities(void **state)
{
	static const struct {
		uint64_t features, offloads;
		bool no_mrg, declined;
	} cases[] = {
		{ 0, 0, false, false },
		{ F_GUEST_CSUM, RX_CKSUM, false, false },
		{ F_GUEST_TSO, 0, false, false },
		{ F_RX, RX_CKSUM | RX_LRO, false, false },
		{ F_RX, RX_CKSUM, true, false },
		{ F_RX, RX_CKSUM, false, true },
	};
	unsigned int i;

	(void)state;
	for (i = 0; i < RTE_DIM(cases); i++) {
		dut_start(&(struct dut_conf){ .features = cases[i].features,
				.no_mrg = cases[i].no_mrg,
				.declined = cases[i].declined });
		assert_int_equal(rx_capabilities(),
				cases[i].offloads | RX_SOFT | RTE_ETH_RX_OFFLOAD_SCATTER);
		dut_stop();
	}
}

static void
test_rx_features(void **state)
{
	static const struct {
		uint64_t offloads, features;
	} cases[] = {
		{ 0, 0 },
		{ RX_SOFT, 0 },
		{ RTE_ETH_RX_OFFLOAD_UDP_CKSUM, F_GUEST_CSUM },
		{ RX_LRO, F_RX },
		{ 0, 0 },
		{ RX_ALL, F_RX },
	};
	struct dut_conf conf = { .features = F_RX | F_TX };
	unsigned int i;

	(void)state;
	dut_start(&conf);
	for (i = 0; i < RTE_DIM(cases); i++) {
		assert_int_equal(rte_eth_dev_stop(dut.port), 0);
		conf.rx_offloads = cases[i].offloads;
		assert_int_equal(dut_configure(&conf), 0);
		assert_int_equal(vhost_peer_acked(dut.peer) & (F_RX | F_TX), cases[i].features);
		assert_true((vhost_peer_acked(dut.peer) & VHOST_F_MRG_RXBUF) != 0);
		dut_exchange(3, 100);
	}
	dut_stop();
}

static uint32_t
received_ptype(void)
{
	const struct kind k = { .payload = 10 };
	static const struct virtio none;
	static uint8_t frame[256];
	struct rte_mbuf *m = receive(&none, frame, frame_make(&k, frame, 1));
	uint32_t ptype = m->packet_type;

	rte_pktmbuf_free(m);
	return ptype;
}

/* Packet types are told where checksums are, or where they are asked for. */
static void
test_rx_ptypes(void **state)
{
	const struct kind k = { .payload = 10 };
	const uint32_t all = expected_ptype(&k);
	uint32_t types[16];

	(void)state;
	dut_start(&(struct dut_conf){ .features = F_RX });
	assert_int_equal(rte_eth_dev_get_supported_ptypes(dut.port, RTE_PTYPE_ALL_MASK, types, 16),
			11);
	assert_int_equal(received_ptype(), 0);
	assert_int_equal(rte_eth_dev_set_ptypes(dut.port, RTE_PTYPE_L3_MASK, NULL, 0), -EBUSY);
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	assert_int_equal(rte_eth_dev_set_ptypes(dut.port, RTE_PTYPE_L3_MASK, NULL, 0), 0);
	dut_restart();
	assert_int_equal(received_ptype(), all & RTE_PTYPE_L3_MASK);
	assert_int_equal(rte_eth_dev_set_ptypes(dut.port, RTE_PTYPE_ALL_MASK, NULL, 0), 0);
	assert_int_equal(received_ptype(), all);
	assert_int_equal(rte_eth_dev_set_ptypes(dut.port, RTE_PTYPE_UNKNOWN, NULL, 0), 0);
	assert_int_equal(received_ptype(), 0);
	assert_int_equal(vhost_peer_acked(dut.peer) & F_RX, 0);
	dut_stop();
}

static int
received_tag(void)
{
	static uint8_t frame[64] = { [12] = 0x81, [14] = VLAN_TCI >> 8, VLAN_TCI & 0xff };
	static const struct virtio none;
	struct rte_mbuf *m = receive(&none, frame, sizeof(frame));
	int tag = (m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) != 0 ? m->vlan_tci : -1;

	assert_int_equal(m->pkt_len, tag < 0 ? 64 : 60);
	rte_pktmbuf_free(m);
	return tag;
}

/* Stripping can be turned off at any time, and on where other offloads are. */
static void
test_rx_strip_change(void **state)
{
	(void)state;
	dut_start(&(struct dut_conf){ .features = 0 });
	assert_int_equal(received_tag(), -1);
	assert_int_equal(rte_eth_dev_set_vlan_offload(dut.port, RTE_ETH_VLAN_STRIP_OFFLOAD),
			-EBUSY);
	assert_int_equal(received_tag(), -1);
	assert_int_equal(rte_eth_dev_stop(dut.port), 0);
	assert_int_equal(rte_eth_dev_set_vlan_offload(dut.port, RTE_ETH_VLAN_STRIP_OFFLOAD), 0);
	dut_restart();
	assert_int_equal(received_tag(), VLAN_TCI);
	assert_int_equal(rte_eth_dev_set_vlan_offload(dut.port, 0), 0);
	assert_int_equal(received_tag(), -1);
	assert_int_equal(rte_eth_dev_set_vlan_offload(dut.port, RTE_ETH_VLAN_STRIP_OFFLOAD), 0);
	assert_int_equal(received_tag(), VLAN_TCI);
	dut_stop();
}

#define WAY_TEST(f, id) { #f "_" #id, f, dut_setup, dut_teardown, &way_##id },
#define WAY_TESTS(id, ...) \
	WAY_TEST(test_rx_flags, id) \
	WAY_TEST(test_rx_lro, id) \
	WAY_TEST(test_rx_strip, id) \
	WAY_TEST(test_rx_other_checksum, id) \
	WAY_TEST(test_rx_bad_headers, id) \
	WAY_TEST(test_rx_lro_not_configured, id) \
	WAY_TEST(test_rx_random, id) \
	WAY_TEST(test_rx_without, id)

#define LEGACY_WAY_TESTS(id, ...) \
	WAY_TEST(test_rx_flags, id) \
	WAY_TEST(test_rx_strip, id) \
	WAY_TEST(test_rx_other_checksum, id) \
	WAY_TEST(test_rx_lro_not_configured, id) \
	WAY_TEST(test_rx_without, id)

#define TX_TEST(f) \
	{ #f, f, tx_setup, dut_teardown, NULL }, \
	{ \
#f "_legacy", f, tx_setup, dut_teardown, &legacy \
	}

static const struct CMUnitTest tests[] = {
	TX_TEST(test_tx_combinations),
	TX_TEST(test_tx_shared_stays),
	TX_TEST(test_tx_segmentation),
	TX_TEST(test_tx_refused),
	TX_TEST(test_tx_split_headers),
	DUT_TEST(test_tx_not_configured),
	TX_TEST(test_tx_without),
	TX_TEST(test_tx_random),
	DUT_TEST(test_tx_short_ring),
	DUT_TEST(test_tx_capabilities),
	DUT_TEST(test_tx_features),
	DUT_TEST(test_tx_lesser_peer),
	WAYS(WAY_TESTS) LEGACY_WAYS(LEGACY_WAY_TESTS) DUT_TEST(test_rx_capabilities),
	DUT_TEST(test_rx_features),
	DUT_TEST(test_rx_ptypes),
	DUT_TEST(test_rx_strip_change),
};

UNIT_SUITE(offload, "checksums, segmentation and tags that net_ppfrag leaves to the back end",
		tests);
