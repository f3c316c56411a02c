/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <string.h>

#include <rte_telemetry.h>

#include "ppool_compat.h"
#include "ppool_private.h"

static void
list_pool(struct rte_mempool *mp, void *arg)
{
	if (ppool_is_page_pool(mp))
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

static void
add_ledger(struct rte_tel_data *d, const struct ppool_ledger *l)
{
	ppool_tel_dict_add_u64(d, "page_bytes", l->page_bytes);
	ppool_tel_dict_add_u64(d, "pages", l->pages);
	ppool_tel_dict_add_u64(d, "free", l->free);
	ppool_tel_dict_add_u64(d, "whole", l->whole);
	ppool_tel_dict_add_u64(d, "data", l->data);
	ppool_tel_dict_add_u64(d, "header", l->header);
	ppool_tel_dict_add_u64(d, "data_bytes", l->data_bytes);
	ppool_tel_dict_add_u64(d, "charged", l->charged);
	ppool_tel_dict_add_u64(d, "stranded", l->stranded);
	ppool_tel_dict_add_u64(d, "open", l->open);
	ppool_tel_dict_add_u64(d, "header_bytes", l->header_bytes);
	ppool_tel_dict_add_u64(d, "slot_charged", l->slot_charged);
	ppool_tel_dict_add_u64(d, "slot_idle", l->slot_idle);
	ppool_tel_dict_add_u64(d, "frags", l->frags);
	ppool_tel_dict_add_u64(d, "table_bytes", l->table_bytes);
}

static void
add_stats(struct rte_tel_data *d, const struct ppool_stats *s)
{
#define PPOOL_STATS_TEL(name, desc) ppool_tel_dict_add_u64(d, #name, s->name);
	PPOOL_STATS(PPOOL_STATS_TEL)
#undef PPOOL_STATS_TEL
}

/*
 * Every term of the ledger, every counter, and what the check of the ledger found: it balances only
 * while the pool is quiet.
 */
static int
handle_info(const char *cmd, const char *params, struct rte_tel_data *d)
{
	struct rte_mempool *mp;
	struct ppool_ledger ledger;
	struct ppool_stats stats;

	RTE_SET_USED(cmd);
	mp = params == NULL ? NULL : rte_mempool_lookup(params);
	if (mp == NULL || ppool_ledger_get(mp, &ledger) != 0)
		return -EINVAL;
	ppool_stats_get(mp, &stats);
	rte_tel_data_start_dict(d);
	rte_tel_data_add_dict_string(d, "name", mp->name);
	add_ledger(d, &ledger);
	add_stats(d, &stats);
	rte_tel_data_add_dict_int(d, "violations", ppool_check(mp, NULL));
	return 0;
}

struct wanted {
	struct rte_tel_data *d;
	const char *name; /* NULL: all */
};

static void
add_account(uint16_t account, const struct ppool_account_stats *s, void *arg)
{
	const struct wanted *wanted = arg;
	const char *name = ppool_account_name(account);
	struct rte_tel_data *d;
	char key[8];

	if (name == NULL || (wanted->name != NULL && strcmp(wanted->name, name) != 0))
		return;
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
	return ppool_accounts_each(add_account, &wanted);
}

/* Help texts of 64 bytes and more are refused, and the command with them. */
RTE_INIT(ppool_telemetry_init)
{
	rte_telemetry_register_cmd("/ppool/list", handle_list,
			"Returns the names of all page pools. Takes no parameters");
	rte_telemetry_register_cmd("/ppool/info", handle_info,
			"Returns ledger and check of a page pool. Parameter: pool name");
	rte_telemetry_register_cmd("/ppool/accounts", handle_accounts,
			"Returns limit and use of accounts. Parameter: name (optional)");
}
