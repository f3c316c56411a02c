/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_cycles.h>

#include "bench_common.h"

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
median(const double *samples, unsigned int n)
{
	double sorted[ROUNDS_MAX];

	n = RTE_MIN(n, (unsigned int)ROUNDS_MAX);
	memcpy(sorted, samples, n * sizeof(*samples));
	qsort(sorted, n, sizeof(*sorted), compare_doubles);
	return n % 2 != 0 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

double
median_ratio(const double *a, const double *b, unsigned int n)
{
	double ratio[ROUNDS_MAX] = { 0 };
	unsigned int i;

	n = RTE_MIN(n, (unsigned int)ROUNDS_MAX);
	for (i = 0; i < n; i++)
		ratio[i] = a[i] / b[i];
	return median(ratio, n);
}

double
measure_atomic(uint64_t n)
{
	static uint64_t counter __rte_cache_aligned;
	uint64_t i, begin = rte_rdtsc_precise();

	for (i = 0; i < n; i++)
		__atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED);
	return (double)(rte_rdtsc_precise() - begin) / (double)n;
}
