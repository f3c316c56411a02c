/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _BENCH_COMMON_H_
#define _BENCH_COMMON_H_

/* What benchmarks compare with, and how they sum up rounds. */

#include <stdint.h>

/* How many rounds a benchmark may take the median of. */
#define ROUNDS_MAX 101

/** The median of up to ROUNDS_MAX samples, at least one. */
double median(const double *samples, unsigned int n);

/**
 * The median of the ratios a[i] / b[i], at most ROUNDS_MAX of them: both are of the same round, in
 * which a machine changes least.
 */
double median_ratio(const double *a, const double *b, unsigned int n);

/** TSC cycles of an atomic increment that nobody contends, the mean of n. */
double measure_atomic(uint64_t n);

#endif /* _BENCH_COMMON_H_ */
