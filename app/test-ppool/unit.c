/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_malloc.h>

#include "pool.h"
#include "unit.h"
#include "unit_child.h"

#define POOLS_MAX 32
#define CARVERS_MAX 64
#define ACCOUNTS_MAX 128

unsigned int unit_ran;
unsigned int unit_skipped;
uint64_t unit_seed;

uint64_t
unit_scaled(uint64_t n, uint64_t many)
{
	const char *value = getenv("PPFRAG_LONG");

	return value != NULL && strcmp(value, "1") == 0 ? many : n;
}

static struct rte_mempool *pools[POOLS_MAX];
static struct ppool_carver *carvers[CARVERS_MAX];
static uint16_t accounts[ACCOUNTS_MAX];
static unsigned int heap_before;
static bool heap_forgiven;

void
unit_shuffle(void **array, unsigned int n, uint64_t *state)
{
	unsigned int i, k;
	void *tmp;

	for (i = n; i > 1; i--) {
		k = unit_range(state, 0, i - 1);
		tmp = array[i - 1];
		array[i - 1] = array[k];
		array[k] = tmp;
	}
}

bool
unit_debug_build(void)
{
	return ppool_debug_set_handler(NULL, NULL) == 0;
}

/* Pools */

const char *
unit_name(void)
{
	static char name[RTE_MEMPOOL_NAMESIZE];
	static unsigned int count;

	snprintf(name, sizeof(name), "unit_%u", count++);
	return name;
}

struct rte_mempool *
unit_register(struct rte_mempool *mp)
{
	unsigned int i;

	assert_non_null(mp);
	for (i = 0; i < POOLS_MAX; i++)
		if (pools[i] == NULL) {
			pools[i] = mp;
			return mp;
		}
	rte_mempool_free(mp);
	fail_msg("too many pools in one test");
	return NULL;
}

void
unit_unregister(struct rte_mempool *mp)
{
	unsigned int i;

	for (i = 0; i < POOLS_MAX; i++)
		if (pools[i] == mp)
			pools[i] = NULL;
}

struct rte_mempool *
unit_mempool(const struct unit_pool_conf *conf)
{
	const char *ops = conf->ops != NULL ? conf->ops : PPOOL_OPS_NAME;
	struct rte_mempool *mp;

	mp = rte_mempool_create_empty(unit_name(), conf->n, conf->elt_size, conf->cache, 0,
			SOCKET_ID_ANY, conf->flags);
	assert_non_null(mp);
	unit_register(mp);
	assert_int_equal(rte_mempool_set_ops_byname(mp, ops, NULL), 0);
	if (conf->anon)
		assert_int_equal(rte_mempool_populate_anon(mp), conf->n);
	else if (!conf->empty)
		assert_int_equal(rte_mempool_populate_default(mp), conf->n);
	return mp;
}

static struct rte_mempool *
pktmbuf_pool(const char *ops, unsigned int n, uint16_t room, unsigned int cache, uint16_t priv)
{
	struct rte_mempool *mp = rte_pktmbuf_pool_create_by_ops(unit_name(), n, cache, priv, room,
			SOCKET_ID_ANY, ops);

	if (mp == NULL)
		print_error("no pool of %u mbufs of %u bytes: %s\n", n, room,
				rte_strerror(rte_errno));
	assert_non_null(mp);
	return unit_register(mp);
}

struct rte_mempool *
unit_pool(unsigned int n, uint16_t room, unsigned int cache, uint16_t priv)
{
	return pktmbuf_pool(PPOOL_OPS_NAME, n, room, cache, priv);
}

struct rte_mempool *
unit_stock_pool(unsigned int n, uint16_t room)
{
	return pktmbuf_pool("ring_mp_mc", n, room, 0, 0);
}

/* Inlined, its copy loop for many objects makes GCC warn of those that a short array lacks. */
void
unit_put_bulk(struct rte_mempool *mp, void * const *obj, unsigned int n)
{
	rte_mempool_put_bulk(mp, obj, n);
}

static int
compare_pointers(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t) * (void * const *)a, y = (uintptr_t) * (void * const *)b;

	return (x > y) - (x < y);
}

/* Sorts the objects. */
static bool
all_distinct(void **obj, unsigned int n)
{
	unsigned int i;

	qsort(obj, n, sizeof(*obj), compare_pointers);
	for (i = 1; i < n; i++)
		if (obj[i] == obj[i - 1])
			return false;
	return true;
}

/* Every object can be had, in one call, and not one more. */
static bool
all_reachable(struct rte_mempool *mp, void **obj)
{
	unsigned int n = mp->populated_size;
	bool ok = true;

	if (rte_mempool_generic_get(mp, obj, n, NULL) != 0) {
		print_error("%s: not all of %u objects can be had at once\n", mp->name, n);
		return false;
	}
	if (rte_mempool_generic_get(mp, obj + n, 1, NULL) == 0) {
		print_error("%s: one object more than there are\n", mp->name);
		ok = false;
	}
	if (!all_distinct(obj, n)) {
		print_error("%s: one object was handed out twice\n", mp->name);
		ok = false;
	}
	rte_mempool_generic_put(mp, obj, n, NULL);
	return ok;
}

static void
flush_caches(struct rte_mempool *mp)
{
	unsigned int i;

	if (mp->cache_size == 0)
		return;
	/* What other lcores have cached is free, but only they could hand it out. */
	for (i = 0; i < RTE_MAX_LCORE; i++)
		rte_mempool_cache_flush(&mp->local_cache[i], mp);
}

static bool
balanced(struct rte_mempool *mp)
{
	int ret = ppool_is_page_pool(mp) ? ppool_check(mp, stderr) : 0;

	if (ret != 0)
		print_error("%s: ledger not balanced: %d\n", mp->name, ret);
	return ppool_account_check(stderr) == 0 && ret == 0;
}

bool
unit_pool_whole(struct rte_mempool *mp)
{
	unsigned int avail;
	void **obj;
	bool ok;

	if (mp->populated_size == 0) /* a mempool that has no driver data yet */
		return true;
	avail = rte_mempool_avail_count(mp);
	ok = balanced(mp);
	if (avail != mp->populated_size) {
		print_error("%s: %u of %u objects available\n", mp->name, avail,
				mp->populated_size);
		ok = false;
	}
	flush_caches(mp);
	obj = malloc((mp->populated_size + 1) * sizeof(*obj));
	ok = obj != NULL && all_reachable(mp, obj) && ok;
	free(obj);
	return balanced(mp) && ok;
}

void
unit_pool_free(struct rte_mempool *mp)
{
	bool ok;

	unit_unregister(mp);
	ok = unit_pool_whole(mp);
	rte_mempool_free(mp);
	assert_true(ok);
}

/* Carvers */

struct ppool_carver *
unit_carver(struct rte_mempool *mp, uint32_t max_len, uint16_t lanes)
{
	struct ppool_carver_conf conf = {
		.max_len = max_len,
		.headroom = RTE_PKTMBUF_HEADROOM,
		.nb_lanes = lanes,
		.port = RTE_MBUF_PORT_INVALID,
		.socket_id = SOCKET_ID_ANY,
	};
	struct ppool_carver *c = ppool_carver_create(mp, &conf);
	unsigned int i;

	if (c == NULL)
		print_error("no carver: %s\n", rte_strerror(rte_errno));
	assert_non_null(c);
	for (i = 0; i < CARVERS_MAX; i++)
		if (carvers[i] == NULL) {
			carvers[i] = c;
			return c;
		}
	ppool_carver_free(c);
	fail_msg("too many carvers in one test");
	return NULL;
}

void
unit_carver_free(struct ppool_carver *c)
{
	unsigned int i;

	for (i = 0; i < CARVERS_MAX; i++)
		if (carvers[i] == c)
			carvers[i] = NULL;
	ppool_carver_free(c);
}

/* Accounts */

uint16_t
unit_account(uint64_t limit)
{
	uint16_t id = ppool_account_create(unit_name(), limit);
	unsigned int i;

	assert_int_not_equal(id, PPOOL_ACCOUNT_NONE);
	for (i = 0; i < ACCOUNTS_MAX; i++)
		if (accounts[i] == PPOOL_ACCOUNT_NONE) {
			accounts[i] = id;
			return id;
		}
	ppool_account_free(id);
	fail_msg("too many accounts in one test");
	return PPOOL_ACCOUNT_NONE;
}

static bool
teardown_accounts(void)
{
	bool ok = ppool_account_check(stderr) == 0;
	unsigned int i;

	for (i = 0; i < ACCOUNTS_MAX; i++) {
		if (accounts[i] == PPOOL_ACCOUNT_NONE || ppool_account_free(accounts[i]) == 0)
			continue;
		print_error("account %s: %" PRIu64 " bytes are still charged\n",
				ppool_account_name(accounts[i]), ppool_account_used(accounts[i]));
		ok = false;
	}
	memset(accounts, 0, sizeof(accounts));
	return ok;
}

/* Fixtures */

/* Not bytes: what is left of a free element is allocated with it where it is too small for one. */
static unsigned int
heap_count(void)
{
	struct rte_malloc_socket_stats stats;
	unsigned int i, n = 0;

	for (i = 0; i < rte_socket_count(); i++)
		if (rte_malloc_get_socket_stats(rte_socket_id_by_idx(i), &stats) == 0)
			n += stats.alloc_count;
	return n;
}

int
unit_setup(void **state)
{
	(void)state;
	unit_ran++;
	/* The tables of accounts and of processes stay allocated once they were needed. */
	ppool_account_free(ppool_account_create("unit_setup", 0));
	rte_mempool_free(rte_pktmbuf_pool_create_by_ops("unit_setup", 1, 0, 0, 2048, SOCKET_ID_ANY,
			PPOOL_OPS_NAME));
	heap_before = heap_count();
	heap_forgiven = false;
	return 0;
}

void
unit_forgive_heap(void)
{
	heap_forgiven = true;
}

static void
page_pool_find(struct rte_mempool *mp, void *arg)
{
	if (ppool_is_page_pool(mp))
		*(struct rte_mempool **)arg = mp;
}

/* Pools that a test has made and not registered: nobody has checked them. */
static bool
teardown_unregistered(void)
{
	struct rte_mempool *mp = NULL;
	bool ok = true;

	for (;; ok = false, mp = NULL) {
		rte_mempool_walk(page_pool_find, &mp);
		if (mp == NULL)
			return ok;
		print_error("%s: neither registered nor freed\n", mp->name);
		rte_mempool_free(mp);
	}
}

/* What fails a check is left out of the next test all the same. */
static bool
teardown_pools(void)
{
	struct rte_mempool *mp[POOLS_MAX];
	struct ppool_carver *c[CARVERS_MAX];
	bool ok = true;
	unsigned int i;

	memcpy(mp, pools, sizeof(mp));
	memcpy(c, carvers, sizeof(c));
	memset(pools, 0, sizeof(pools));
	memset(carvers, 0, sizeof(carvers));
	for (i = 0; i < POOLS_MAX; i++)
		if (mp[i] != NULL)
			ok = balanced(mp[i]) && ok;
	for (i = 0; i < CARVERS_MAX; i++)
		ppool_carver_free(c[i]);
	for (i = 0; i < POOLS_MAX; i++)
		if (mp[i] != NULL) {
			ok = unit_pool_whole(mp[i]) && ok;
			rte_mempool_free(mp[i]);
		}
	return teardown_unregistered() && ok;
}

/*
 * Whether a test has left no memory allocated. EAL's own threads free some later than they are told
 * to: what an earlier test allocated can go during this one, what this one did a little behind it.
 */
static bool
heap_is_back(void)
{
	unsigned int i;

	for (i = 0; i < 1000 && heap_count() > heap_before; i++)
		usleep(1000);
	return heap_count() <= heap_before;
}

int
unit_teardown(void **state)
{
	bool pools_ok, ok;

	(void)state;
	unit_children_end();
	pools_ok = teardown_pools();
	ok = teardown_accounts() && pools_ok;
	if (!heap_forgiven && !heap_is_back()) {
		print_error("EAL's heaps: %u allocations before the test, %u behind it\n",
				heap_before, heap_count());
		ok = false;
	}
	return ok ? 0 : -1;
}

/* Contents */

static uint64_t
pattern(uint64_t tag, size_t i)
{
	uint64_t state = tag + (uint64_t)i * UINT64_C(0x632be59bd9b4e019);

	return unit_random(&state);
}

void
unit_fill(void *data, size_t len, uint64_t tag)
{
	uint64_t word;
	size_t i;

	for (i = 0; i < len; i += sizeof(word)) {
		word = pattern(tag, i);
		memcpy((char *)data + i, &word, RTE_MIN(sizeof(word), len - i));
	}
}

bool
unit_filled(const void *data, size_t len, uint64_t tag)
{
	uint64_t word;
	size_t i;

	for (i = 0; i < len; i += sizeof(word)) {
		word = pattern(tag, i);
		if (memcmp((const char *)data + i, &word, RTE_MIN(sizeof(word), len - i)) != 0)
			return false;
	}
	return true;
}

void
unit_fill_buf(struct rte_mbuf *m, uint64_t tag)
{
	unit_fill(m->buf_addr, m->buf_len, tag);
}

bool
unit_filled_buf(const struct rte_mbuf *m, uint64_t tag)
{
	return unit_filled(m->buf_addr, m->buf_len, tag);
}

void
unit_fill_data(struct rte_mbuf *m, uint64_t tag)
{
	for (; m != NULL; m = m->next)
		unit_fill(rte_pktmbuf_mtod(m, void *), m->data_len, tag++);
}

bool
unit_filled_data(const struct rte_mbuf *m, uint64_t tag)
{
	for (; m != NULL; m = m->next)
		if (!unit_filled(rte_pktmbuf_mtod(m, const void *), m->data_len, tag++))
			return false;
	return true;
}

void
unit_assert_fresh(struct rte_mbuf *m, struct rte_mempool *frag_pool)
{
	const char *reason = NULL;

	if (rte_mbuf_check(m, 1, &reason) != 0)
		fail_msg("mbuf %p: %s", (void *)m, reason);
	assert_ptr_equal(m->pool, frag_pool);
	assert_int_equal(rte_mbuf_refcnt_read(m), 1);
	assert_int_equal(rte_mbuf_ext_refcnt_read(m->shinfo), 1);
	assert_int_equal(m->ol_flags, RTE_MBUF_F_EXTERNAL);
	assert_int_equal(m->nb_segs, 1);
	assert_null(m->next);
	assert_int_equal(m->packet_type, 0);
	assert_int_equal(m->data_off, RTE_PKTMBUF_HEADROOM);
	assert_int_equal(m->pkt_len, m->data_len);
	assert_int_equal(m->priv_size, rte_pktmbuf_priv_size(frag_pool));
	assert_true(rte_is_aligned(m->buf_addr, PPOOL_FRAG_ALIGN));
}

/* Slots */

unsigned int
unit_slot_classes(struct rte_mempool *mp, struct ppool_slot_class *c)
{
	int n = ppool_slot_classes_get(mp, c, UNIT_SLOT_CLASSES);

	assert_in_range(n, 1, UNIT_SLOT_CLASSES);
	return (unsigned int)n;
}

struct rte_mempool *
unit_slot_pool(struct rte_mempool *mp, uint16_t room)
{
	struct rte_mempool *view = ppool_slot_pool(mp, room);

	assert_non_null(view);
	return view;
}

/* Ledger */

struct ppool_ledger
unit_ledger(struct rte_mempool *mp)
{
	struct ppool_ledger l;

	assert_int_equal(ppool_check(mp, stderr), 0);
	assert_int_equal(ppool_account_check(stderr), 0);
	assert_int_equal(ppool_ledger_get(mp, &l), 0);
	/* The invariants, once more and independently of ppool_check(). */
	assert_int_equal(l.pages, l.free + l.whole + l.data + l.header + l.class_pages);
	assert_int_equal(l.class_bytes, (uint64_t)l.class_pages * l.page_bytes);
	assert_int_equal(l.class_bytes, l.class_live + l.class_idle);
	assert_int_equal(l.data_bytes, (uint64_t)l.data * l.page_bytes);
	assert_int_equal(l.header_bytes, (uint64_t)l.header * l.page_bytes);
	assert_int_equal(l.data_bytes, l.charged + l.stranded + l.open);
	assert_int_equal(l.header_bytes, l.slot_charged + l.slot_idle);
	return l;
}

void
unit_assert_charged(struct rte_mempool *mp, struct rte_mbuf * const *m, unsigned int n)
{
	struct ppool_ledger l = unit_ledger(mp);
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < n; i++)
		sum += ppool_mbuf_truesize(m[i]);
	assert_int_equal(sum, l.charged + l.slot_charged);
	assert_int_equal(l.frags, n);
}

struct ppool_stats
unit_stats(struct rte_mempool *mp)
{
	struct ppool_stats stats;

	assert_int_equal(ppool_stats_get(mp, &stats), 0);
	return stats;
}

/* Telemetry */

#define TELEMETRY_SOCKETS 10 /* of processes with the same --file-prefix */
#define TELEMETRY_ANSWER (1 << 20)

unsigned int
unit_json_uints(const char *json, const char *key, uint64_t *value, unsigned int n)
{
	char name[64], *end;
	const char *at;
	unsigned int i;

	snprintf(name, sizeof(name), "\"%s\":", key);
	at = strstr(json, name);
	if (at == NULL)
		return 0;
	at += strlen(name);
	at += *at == '[';
	for (i = 0; i < n; i++, at = end + 1) {
		value[i] = strtoull(at, &end, 10);
		if (end == at)
			return i;
		if (*end != ',')
			return i + 1;
	}
	return i;
}

uint64_t
unit_json_uint(const char *json, const char *key)
{
	uint64_t value;

	return unit_json_uints(json, key, &value, 1) == 1 ? value : UINT64_MAX;
}

/* Connect to one of the sockets of our prefix; it says at first whose it is. */
static int
telemetry_connect(unsigned int i)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char greeting[1024] = "", suffix[16] = "";
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	if (i > 0)
		snprintf(suffix, sizeof(suffix), ":%u", i);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/dpdk_telemetry.v2%s",
			rte_eal_get_runtime_dir(), suffix);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
			recv(fd, greeting, sizeof(greeting) - 1, 0) > 0 &&
			unit_json_uint(greeting, "pid") == (uint64_t)getpid())
		return fd;
	close(fd);
	return -1;
}

char *
unit_telemetry(const char *command)
{
	char *answer = calloc(1, TELEMETRY_ANSWER);
	unsigned int i;
	int fd = -1;

	for (i = 0; i < TELEMETRY_SOCKETS && fd < 0; i++)
		fd = telemetry_connect(i);
	if (answer != NULL && fd >= 0 && send(fd, command, strlen(command), 0) > 0 &&
			recv(fd, answer, TELEMETRY_ANSWER - 1, 0) > 0) {
		close(fd);
		return answer;
	}
	if (fd >= 0)
		close(fd);
	free(answer);
	return NULL;
}

/* Threads */

unsigned int
unit_workers(void)
{
	return rte_lcore_count() - 1;
}

int
unit_on_lcore(unsigned int i, lcore_function_t *f, void *arg)
{
	unsigned int id;

	RTE_LCORE_FOREACH_WORKER(id)
		if (i-- == 0) {
			if (rte_eal_remote_launch(f, arg, id) != 0)
				return -1;
			return rte_eal_wait_lcore(id);
		}
	return -1;
}

struct call {
	lcore_function_t *f;
	void *arg;
	int ret;
};

static void *
call_thread(void *arg)
{
	struct call *call = arg;

	call->ret = call->f(call->arg);
	return NULL;
}

int
unit_on_thread(lcore_function_t *f, void *arg)
{
	struct call call = { .f = f, .arg = arg };
	pthread_t thread;

	if (pthread_create(&thread, NULL, call_thread, &call) != 0)
		return -1;
	pthread_join(thread, NULL);
	return call.ret;
}

/* Ports */

#define LINK_SECONDS 30

bool
unit_link_is(uint16_t port, int status)
{
	struct rte_eth_link link = { .link_status = !status };

	return rte_eth_link_get_nowait(port, &link) == 0 && link.link_status == status;
}

void
unit_wait_link(uint16_t port, int status)
{
	uint64_t end = rte_rdtsc() + LINK_SECONDS * rte_get_tsc_hz();

	while (!unit_link_is(port, status)) {
		if (rte_rdtsc() > end)
			fail_msg("link of port %u does not go %s", port, status ? "up" : "down");
		usleep(1000);
	}
}
