/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

/* The telemetry commands /ppool/...: what pools and accounts tell, as JSON. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_telemetry.h>

#include "ppool_account_table.h"
#include "ppool_compat.h"
#include "ppool_create.h"
#include "ppool_recover.h"
#include "accounts.h"
#include "ledger.h"
#include "occupancy.h"

static void
list_pool(struct rte_mempool *mp, void *arg)
{
	if (ppool_find(mp) != NULL && !ppool_is_internal_role(mp))
		rte_tel_data_add_array_string(arg, mp->name);
}

static int
handle_list(const char *cmd, const char *params, struct rte_tel_data *d)
{
	RTE_SET_USED(cmd);
	RTE_SET_USED(params);
	rte_tel_data_start_array(d, RTE_TEL_STRING_VAL);
	rte_mempool_walk(list_pool, d);
	return 0;
}

/* Keys of /ppool/info: what does not change, the terms of the ledger, the counters. */

/* X(name, value, unit, meaning) */
#define CONFIG(X) \
	X(lead_bytes, p->layout.lead_bytes, "bytes", "of a page, in front of the first frag") \
	X(room_bytes, p->layout.room_bytes, "bytes", "of a page, for frags") \
	X(slot_bytes, p->layout.slot_bytes, "bytes", "a header slot") \
	X(slots, p->layout.slots, "slots", "of a header page") \
	X(priv_bytes, mp->private_data_size == 0 ? 0 : rte_pktmbuf_priv_size(mp), "bytes", \
			"private area of an mbuf") \
	X(cache_pages, mp->cache_size, "pages", "mempool cache of each lcore") \
	X(memory_bytes, memory_bytes(mp), "bytes", "of all chunks that the pages lie in") \
	X(carvers, ppool_carvers_count(p), "carvers", "of the pool")

static void
chunk_add_bytes(struct rte_mempool *mp, void *arg, struct rte_mempool_memhdr *chunk, unsigned int i)
{
	RTE_SET_USED(mp);
	RTE_SET_USED(i);
	*(uint64_t *)arg += chunk->len;
}

static uint64_t
memory_bytes(struct rte_mempool *mp)
{
	uint64_t bytes = 0;

	rte_mempool_mem_iter(mp, chunk_add_bytes, &bytes);
	return bytes;
}

static void
add_config(struct rte_tel_data *d, const struct ppool *p)
{
	struct rte_mempool *mp = p->mp;

#define ADD_CONFIG(name, value, unit, desc) ppool_tel_dict_add_u64(d, #name, value);
	CONFIG(ADD_CONFIG)
#undef ADD_CONFIG
}

static void
add_ledger(struct rte_tel_data *d, const struct ppool_ledger *l)
{
#define ADD_TERM(name, type, unit, desc) ppool_tel_dict_add_u64(d, #name, l->name);
	PPOOL_LEDGER(ADD_TERM)
#undef ADD_TERM
}

static void
add_stats(struct rte_tel_data *d, const struct ppool_stats *s)
{
#define PPOOL_STATS_TEL(name, desc) ppool_tel_dict_add_u64(d, #name, s->name);
	PPOOL_STATS(PPOOL_STATS_TEL)
#undef PPOOL_STATS_TEL
}

/*
 * Others may be at work though no counter moved: a thread may have been preempted within a call.
 * Only what does not balance after some time either, with the same counters, is a violation.
 */
#define AUDIT_TRIES 6u
#define AUDIT_PAUSE_US 50000u

static int
audit_patiently(struct ppool *p, struct ppool_ledger *l)
{
	struct ppool_stats first, now;
	unsigned int tries = AUDIT_TRIES;
	int violations;

	ppool_stats_get(p->mp, &first);
	while (true) {
		violations = ppool_audit(p, l, NULL);
		if (violations <= 0 || l->approximate != 0 || --tries == 0)
			break;
		rte_delay_us_sleep(AUDIT_PAUSE_US);
	}
	ppool_stats_get(p->mp, &now);
	if (violations > 0 && memcmp(&first, &now, sizeof(now)) != 0)
		l->approximate = 1;
	return violations;
}

/*
 * What was configured, every term of the ledger, every counter, and what the check of the ledger
 * found. It need not balance where others worked meanwhile: then nothing is said of violations.
 */
static int
tell_info(struct ppool *p, struct rte_tel_data *d)
{
	struct ppool_ledger ledger;
	struct ppool_stats stats;
	int violations;

	violations = audit_patiently(p, &ledger);
	if (violations < 0)
		return violations;
	ppool_stats_get(p->mp, &stats);
	rte_tel_data_add_dict_string(d, "name", p->mp->name);
	add_config(d, p);
	add_ledger(d, &ledger);
	add_stats(d, &stats);
	if (ledger.approximate != 0)
		return 0;
	return rte_tel_data_add_dict_int(d, "violations", violations);
}

/* What is known without looking at pages: X(name, value, unit, meaning). */
#define BRIEF(X) \
	X(page_bytes, mp->header_size + mp->elt_size + mp->trailer_size, "bytes", \
			"size of one page") \
	X(pages, mp->populated_size, "pages", "pages of the pool") \
	X(avail, rte_mempool_avail_count(mp), "pages", \
			"that can be had: free ones, and those that nobody uses")

static int
tell_stats(struct ppool *p, struct rte_tel_data *d)
{
	struct rte_mempool *mp = p->mp;
	struct ppool_stats stats;

	ppool_stats_get(mp, &stats);
	rte_tel_data_add_dict_string(d, "name", mp->name);
#define ADD_BRIEF(name, value, unit, desc) ppool_tel_dict_add_u64(d, #name, value);
	BRIEF(ADD_BRIEF)
#undef ADD_BRIEF
	add_config(d, p);
	add_stats(d, &stats);
	return 0;
}

/* What is told of the slots of one size: X(name, value, unit, meaning). */
#define CLASS(X) \
	X(room, c->buf_len - RTE_MIN(c->buf_len, RTE_PKTMBUF_HEADROOM), "bytes", \
			"of data in a slot, headroom not included; 0: headers of frags") \
	X(truesize, c->truesize, "bytes", "of a page, for one slot") \
	X(page_slots, c->slots, "slots", "of a page") \
	X(pages, pages, "pages", "that are such slots") \
	X(live, slots - RTE_MIN(slots, idle), "slots", "handed out") \
	X(idle, idle, "slots", "in lists")

static int
add_class(struct rte_tel_data *d, const struct ppool *p, unsigned int i)
{
	const struct ppool_class *c = &p->depot.size_class[i];
	uint64_t pages = __atomic_load_n(&c->nb_pages, __ATOMIC_RELAXED);
	uint64_t idle = ppool_slots_idle(p, i), slots = pages * c->slots;
	struct rte_tel_data *dict;
	char name[16];

	if (pages == 0)
		return 0;
	dict = rte_tel_data_alloc();
	if (dict == NULL)
		return -ENOMEM;
	rte_tel_data_start_dict(dict);
#define ADD_CLASS(name, value, unit, desc) ppool_tel_dict_add_u64(dict, #name, value);
	CLASS(ADD_CLASS)
#undef ADD_CLASS
	snprintf(name, sizeof(name), "%u", i);
	return rte_tel_data_add_dict_container(d, name, dict, 0);
}

/* Of the sizes that have pages; class 0 is that of headers. Counters are read, no page is. */
static int
tell_classes(struct ppool *p, struct rte_tel_data *d)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; ret == 0 && ppool_is_split(p) && i < p->depot.nb_classes; i++)
		ret = add_class(d, p, i);
	return ret;
}

/* Keys of /ppool/pages: see occupancy.h */

static int
add_array(struct rte_tel_data *d, const char *name, const uint64_t *value, unsigned int n)
{
	struct rte_tel_data *array = rte_tel_data_alloc();
	unsigned int i;

	if (array == NULL)
		return -ENOMEM;
	rte_tel_data_start_array(array, PPOOL_TEL_U64);
	for (i = 0; i < n; i++)
		ppool_tel_array_add_u64(array, value[i]);
	return rte_tel_data_add_dict_container(d, name, array, 0);
}

#define ADD_uint64_t ppool_tel_dict_add_u64
#define ADD_int64_t rte_tel_data_add_dict_int
#define ADD_ppool_text rte_tel_data_add_dict_string

static int
add_page(struct rte_tel_data *d, unsigned int i, const struct ppool_occupancy_page *page)
{
	struct rte_tel_data *dict = rte_tel_data_alloc();
	char name[16];

	if (dict == NULL)
		return -ENOMEM;
	rte_tel_data_start_dict(dict);
#define ADD_FIELD(name, type, desc) ADD_##type(dict, #name, page->name);
	PPOOL_OCCUPANCY_PAGE(ADD_FIELD)
#undef ADD_FIELD
	snprintf(name, sizeof(name), "%u", i);
	return rte_tel_data_add_dict_container(d, name, dict, 0);
}

static int
add_oldest(struct rte_tel_data *d, const struct ppool_occupancy *s)
{
	struct rte_tel_data *oldest = rte_tel_data_alloc();
	unsigned int i;
	int ret = 0;

	if (oldest == NULL)
		return -ENOMEM;
	rte_tel_data_start_dict(oldest);
	for (i = 0; ret == 0 && i < s->nb_oldest; i++)
		ret = add_page(oldest, i, &s->oldest[i]);
	return ret != 0 ? ret : rte_tel_data_add_dict_container(d, "oldest", oldest, 0);
}

static int
tell_pages(struct ppool *p, struct rte_tel_data *d)
{
	struct ppool_occupancy s;
	int ret;

	ppool_occupancy(p, &s);
	rte_tel_data_add_dict_string(d, "name", p->mp->name);
	ppool_tel_dict_add_u64(d, "page_bytes",
			p->mp->header_size + p->mp->elt_size + p->mp->trailer_size);
#define ADD_SUM(name, desc) ppool_tel_dict_add_u64(d, #name, s.name);
	PPOOL_OCCUPANCY_SUMS(ADD_SUM)
#undef ADD_SUM
	ret = add_array(d, "occupancy", s.occupancy, RTE_DIM(s.occupancy));
	if (ret == 0)
		ret = add_array(d, "age", s.age, RTE_DIM(s.age));
	return ret != 0 ? ret : add_oldest(d, &s);
}

static struct ppool *
pool_named(const char *name)
{
	struct rte_mempool *mp = name == NULL ? NULL : rte_mempool_lookup(name);

	return mp == NULL ? NULL : ppool_find(mp);
}

/* An answer to a question about something that there is not; an error code would show as null. */
static int
tell_error(struct rte_tel_data *d, const char *text)
{
	rte_tel_data_start_dict(d);
	return rte_tel_data_add_dict_string(d, "error", text);
}

static int
tell_no_pool(struct rte_tel_data *d, const char *name)
{
	return tell_error(d,
			name == NULL ? "the name of a page pool is missing; see /ppool/list" :
				       "no page pool of this name; see /ppool/list");
}

/* Look a pool up and tell of its pages. In a secondary process they may not be mapped yet. */
static int
tell(const char *params, struct rte_tel_data *d, int (*f)(struct ppool *p, struct rte_tel_data *d))
{
	struct ppool *p = pool_named(params);

	if (p == NULL)
		return tell_no_pool(d, params);
	if (ppool_attach(p->mp) != 0)
		return tell_error(d, "the pages of this pool cannot be mapped; see the log");
	rte_tel_data_start_dict(d);
	return f(p, d);
}

static int
handle_stats(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct ppool *p = pool_named(params);

	RTE_SET_USED(cmd);
	if (p == NULL)
		return tell_no_pool(d, params);
	rte_tel_data_start_dict(d);
	return tell_stats(p, d);
}

static int
handle_classes(const char *cmd, const char *params, struct rte_tel_data *d)
{
	RTE_SET_USED(cmd);
	return tell(params, d, tell_classes);
}

static int
handle_info(const char *cmd, const char *params, struct rte_tel_data *d)
{
	RTE_SET_USED(cmd);
	return tell(params, d, tell_info);
}

static int
handle_pages(const char *cmd, const char *params, struct rte_tel_data *d)
{
	RTE_SET_USED(cmd);
	return tell(params, d, tell_pages);
}

/* Keys of /ppool/owners: see ppool_recover.h */

#define OWNERS_MAX 128u

static int
add_owner(struct rte_tel_data *d, unsigned int i, const struct ppool_owner_info *info)
{
	struct rte_tel_data *dict = rte_tel_data_alloc();
	char key[8];

	if (dict == NULL)
		return -ENOMEM;
	rte_tel_data_start_dict(dict);
	rte_tel_data_add_dict_int(dict, "lcore", info->lcore);
#define ADD_OWNER(name, desc) ppool_tel_dict_add_u64(dict, #name, info->name);
	PPOOL_OWNER_INFO(ADD_OWNER)
#undef ADD_OWNER
	snprintf(key, sizeof(key), "%u", i);
	return rte_tel_data_add_dict_container(d, key, dict, 0);
}

static int
tell_owners(struct ppool *p, struct rte_tel_data *d)
{
	struct ppool_owner_info *info = calloc(OWNERS_MAX, sizeof(*info));
	int i, n, ret = 0;

	if (info == NULL)
		return -ENOMEM;
	n = ppool_owners_get(p->mp, info, OWNERS_MAX);
	for (i = 0; ret == 0 && i < RTE_MIN(n, (int)OWNERS_MAX); i++)
		ret = add_owner(d, (unsigned int)i, &info[i]);
	free(info);
	return n < 0 ? n : ret;
}

static int
handle_owners(const char *cmd, const char *params, struct rte_tel_data *d)
{
	RTE_SET_USED(cmd);
	return tell(params, d, tell_owners);
}

struct wanted {
	struct rte_tel_data *d;
	const char *name; /* NULL: all */
	unsigned int found;
};

static void
add_account(uint16_t account, const struct ppool_account_stats *s, void *arg)
{
	struct wanted *wanted = arg;
	const char *name = ppool_account_name(account);
	struct rte_tel_data *d;
	char key[8];

	if (name == NULL || (wanted->name != NULL && strcmp(wanted->name, name) != 0))
		return;
	wanted->found++;
	d = rte_tel_data_alloc();
	if (d == NULL)
		return;
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_string(d, "name", name);
#define PPOOL_ACCOUNT_TEL(field, desc) ppool_tel_dict_add_u64(d, #field, s->field);
	PPOOL_ACCOUNT_STATS(PPOOL_ACCOUNT_TEL)
#undef PPOOL_ACCOUNT_TEL
	snprintf(key, sizeof(key), "%u", account);
	if (rte_tel_data_add_dict_container(wanted->d, key, d, 0) != 0)
		rte_tel_data_free(d);
}

/* By number, as names may hold what the keys of a dictionary may not. */
static int
handle_accounts(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct wanted wanted = { .d = d, .name = params };

	RTE_SET_USED(cmd);
	rte_tel_data_start_dict(d);
	ppool_accounts_each(add_account, &wanted);
	if (params != NULL && wanted.found == 0)
		return tell_error(d, "no account of this name; see /ppool/accounts");
	return 0;
}

static int
add_account_frags(struct rte_tel_data *d, uint16_t id, const struct ppool_account_frags *sum)
{
	const char *name = ppool_account_name(id);
	struct rte_tel_data *dict;
	char key[8];

	if (name == NULL)
		return 0;
	dict = rte_tel_data_alloc();
	if (dict == NULL)
		return -ENOMEM;
	rte_tel_data_start_dict(dict);
	rte_tel_data_add_dict_string(dict, "name", name);
	ppool_tel_dict_add_u64(dict, "frags", sum->frags[id]);
	ppool_tel_dict_add_u64(dict, "bytes", sum->bytes[id]);
	snprintf(key, sizeof(key), "%u", id);
	return rte_tel_data_add_dict_container(d, key, dict, 0);
}

/* Of accounts that have some. */
static int
handle_account_frags(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct ppool_account_frags *sum = ppool_frags_by_account();
	uint16_t id;
	int ret = 0;

	RTE_SET_USED(cmd);
	RTE_SET_USED(params);
	if (sum == NULL)
		return -ENOMEM;
	rte_tel_data_start_dict(d);
	ppool_tel_dict_add_u64(d, "approximate", sum->approximate);
	for (id = 1; ret == 0 && id < PPOOL_ACCOUNTS_MAX; id++)
		if (sum->frags[id] != 0)
			ret = add_account_frags(d, id, sum);
	free(sum);
	return ret;
}

/*
 * What the keys of a command mean, for those who make metrics of them: "type, unit: meaning". The
 * type is gauge or counter, the unit may be empty.
 */
static void
add_key(struct rte_tel_data *d, const char *type, const char *name, const char *unit,
		const char *desc)
{
	char text[RTE_TEL_MAX_STRING_LEN];

	snprintf(text, sizeof(text), "%s, %s: %s", type, unit, desc);
	rte_tel_data_add_dict_string(d, name, text);
}

/* Where the list of keys has no unit of its own the meaning begins with it, if it is bytes. */
static const char *
unit_of(const char *desc)
{
	return strncmp(desc, "bytes ", strlen("bytes ")) == 0 ? "bytes" : "";
}

#define ADD_VALUE_KEY(name, value, unit, desc) add_key(d, "gauge", #name, unit, desc);
#define ADD_GAUGE_KEY(name, desc) add_key(d, "gauge", #name, unit_of(desc), desc);
#define ADD_COUNTER_KEY(name, desc) add_key(d, "counter", #name, unit_of(desc), desc);
#define ADD_TERM_KEY(name, type, unit, desc) add_key(d, "gauge", #name, unit, desc);

static void
info_keys(struct rte_tel_data *d)
{
	CONFIG(ADD_VALUE_KEY)
	PPOOL_LEDGER(ADD_TERM_KEY)
	PPOOL_STATS(ADD_COUNTER_KEY)
	add_key(d, "gauge", "violations", "", "of invariants of the ledger: 0");
}

static void
stats_keys(struct rte_tel_data *d)
{
	BRIEF(ADD_VALUE_KEY)
	CONFIG(ADD_VALUE_KEY)
	PPOOL_STATS(ADD_COUNTER_KEY)
}

static void
classes_keys(struct rte_tel_data *d)
{
	CLASS(ADD_VALUE_KEY)
}

static void
owners_keys(struct rte_tel_data *d)
{
	PPOOL_OWNER_INFO(ADD_GAUGE_KEY)
}

/* One for each number of an account: a new one does not compile before it has a type. */
#define ACCOUNT_TYPE_limit "gauge"
#define ACCOUNT_TYPE_used "gauge"
#define ACCOUNT_TYPE_high_water "gauge"
#define ACCOUNT_TYPE_refusals "counter"
#define ACCOUNT_TYPE_foreign "gauge"

static void
accounts_keys(struct rte_tel_data *d)
{
#define ADD_ACCOUNT_KEY(name, desc) add_key(d, ACCOUNT_TYPE_##name, #name, unit_of(desc), desc);
	PPOOL_ACCOUNT_STATS(ADD_ACCOUNT_KEY)
#undef ADD_ACCOUNT_KEY
}

static void
pages_keys(struct rte_tel_data *d)
{
	PPOOL_OCCUPANCY_SUMS(ADD_GAUGE_KEY)
#define ADD_PAGE_KEY(name, type, desc) ADD_GAUGE_KEY(name, desc)
	PPOOL_OCCUPANCY_PAGE(ADD_PAGE_KEY)
#undef ADD_PAGE_KEY
}

static const struct {
	const char *command;
	void (*add)(struct rte_tel_data *d);
} keys[] = {
	{ "info", info_keys },
	{ "stats", stats_keys },
	{ "classes", classes_keys },
	{ "owners", owners_keys },
	{ "accounts", accounts_keys },
	{ "pages", pages_keys },
};

static int
handle_keys(const char *cmd, const char *params, struct rte_tel_data *d)
{
	unsigned int i;

	RTE_SET_USED(cmd);
	for (i = 0; params != NULL && i < RTE_DIM(keys); i++)
		if (strcmp(params, keys[i].command) == 0) {
			rte_tel_data_start_dict(d);
			keys[i].add(d);
			return 0;
		}
	return tell_error(d, "parameter: info, stats, classes, owners, accounts or pages");
}

/* Help texts of 64 bytes and more are refused, and the command with them. */
RTE_INIT(ppool_telemetry_init)
{
	/* Of two commands of a name, EAL asks the one that came last. */
	if (ppool_role_first_copy() != NULL)
		return;
	rte_telemetry_register_cmd("/ppool/list", handle_list,
			"Returns the names of all page pools. Takes no parameters");
	rte_telemetry_register_cmd("/ppool/info", handle_info,
			"Returns ledger and check of a page pool. Parameter: pool name");
	rte_telemetry_register_cmd("/ppool/stats", handle_stats,
			"Returns counters of a page pool. Parameter: pool name");
	rte_telemetry_register_cmd("/ppool/classes", handle_classes,
			"Returns slots by size of a page pool. Parameter: pool name");
	rte_telemetry_register_cmd("/ppool/keys", handle_keys,
			"Returns type, unit, meaning of keys. Parameter: a command");
	rte_telemetry_register_cmd("/ppool/accounts", handle_accounts,
			"Returns limit and use of accounts. Parameter: name (optional)");
	rte_telemetry_register_cmd("/ppool/account_frags", handle_account_frags,
			"Counts the frags charged to each account. Takes no parameters");
	rte_telemetry_register_cmd("/ppool/owners", handle_owners,
			"Returns who has what of a page pool. Parameter: pool name");
	rte_telemetry_register_cmd("/ppool/pages", handle_pages,
			"Returns use and age of data pages. Parameter: pool name");
}
