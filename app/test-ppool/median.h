/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _MEDIAN_H_
#define _MEDIAN_H_

/* How many rounds a benchmark may take the median of. */
#define ROUNDS_MAX 101

/** The median of up to ROUNDS_MAX samples, at least one. */
double median(const double *samples, unsigned int n);

#endif /* _MEDIAN_H_ */
