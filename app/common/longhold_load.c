/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>

#include "longhold_load.h"

/* No run is that long. */
#define LIFE_MAX 1e15

/* A number above low behind a colon; *text moves on. */
static bool
number_parse(const char **text, double low, double *value)
{
	char *end;

	if (**text != ':')
		return false;
	*value = strtod(*text + 1, &end);
	if (end == *text + 1 || !(*value > low && *value < LIFE_MAX))
		return false;
	*text = end;
	return true;
}

static bool
word_parse(const char **text, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*text, word, n) != 0)
		return false;
	*text += n;
	return true;
}

static bool
life_parse_one(struct life *life, const char **text)
{
	memset(life, 0, sizeof(*life));
	if (word_parse(text, "pareto")) {
		life->kind = LIFE_PARETO;
		return number_parse(text, 1, &life->shape) && number_parse(text, 0, &life->scale);
	}
	life->kind = LIFE_EXP;
	return word_parse(text, "exp") && number_parse(text, 0, &life->scale);
}

unsigned int
life_parse(struct life *life, unsigned int n, const char *text)
{
	unsigned int i;

	for (i = 0; i < n && life_parse_one(&life[i], &text); text++) {
		i++;
		if (*text == '\0')
			return i;
		if (*text != ',')
			return 0;
	}
	return 0;
}

static int
load_parse_shares(struct load *load, const char *text)
{
	double sum = 0;
	char *end;

	for (load->n = 0; load->n < LIFE_GROUPS_MAX; text = end + 1) {
		load->share[load->n] = strtod(text, &end);
		if (end == text || !(load->share[load->n] > 0))
			return -1;
		sum += load->share[load->n++];
		if (*end == '\0')
			return sum <= 100 ? 0 : -1;
		if (*end != ',')
			return -1;
	}
	return -1;
}

double
life_mean(const struct life *life)
{
	if (life->kind == LIFE_PARETO)
		return life->shape * life->scale / (life->shape - 1);
	return life->scale;
}

double
load_random(uint64_t *rng)
{
	/* xorshift64* */
	*rng ^= *rng >> 12;
	*rng ^= *rng << 25;
	*rng ^= *rng >> 27;
	return (double)((*rng * UINT64_C(0x2545f4914f6cdd1d)) >> 11) * 0x1p-53;
}

double
load_mean_max(const struct load *load)
{
	double mean = 0;
	unsigned int i;

	for (i = 0; i < load->n; i++)
		mean = RTE_MAX(mean, life_mean(&load->life[i]));
	return mean;
}

double
load_mean_live(const struct load *load)
{
	double live = 0;
	unsigned int i;

	for (i = 0; i < load->n; i++)
		live += load->share[i] / 100 * life_mean(&load->life[i]);
	return live;
}

/* At least 1. */
uint64_t
life_draw(const struct life *life, uint64_t *rng)
{
	double x = 1 - load_random(rng), packets;

	if (life->kind == LIFE_PARETO)
		packets = life->scale * pow(x, -1 / life->shape);
	else
		packets = -life->scale * log(x);
	return (uint64_t)RTE_MAX(RTE_MIN(packets, LIFE_MAX), 1.0);
}

uint64_t
load_draw(const struct load *load, uint64_t *rng)
{
	double x = 100 * load_random(rng);
	unsigned int i;

	for (i = 0; i < load->n; i++) {
		if (x < load->share[i])
			return life_draw(&load->life[i], rng);
		x -= load->share[i];
	}
	return 0;
}

int
held_heap_push(struct held_heap *h, struct held_packet packet)
{
	size_t i, parent, room = h->room == 0 ? 1024 : 2 * h->room;
	struct held_packet *grown;

	if (h->n == h->room) {
		grown = realloc(h->packet, room * sizeof(*grown));
		if (grown == NULL)
			return -1;
		h->packet = grown;
		h->room = room;
	}
	for (i = h->n++; i > 0; i = parent) {
		parent = (i - 1) / 2;
		if (h->packet[parent].due <= packet.due)
			break;
		h->packet[i] = h->packet[parent];
	}
	h->packet[i] = packet;
	return 0;
}

struct held_packet
held_heap_pop(struct held_heap *h)
{
	struct held_packet top = h->packet[0], last = h->packet[--h->n];
	size_t i, child;

	for (i = 0; (child = 2 * i + 1) < h->n; i = child) {
		if (child + 1 < h->n && h->packet[child + 1].due < h->packet[child].due)
			child++;
		if (last.due <= h->packet[child].due)
			break;
		h->packet[i] = h->packet[child];
	}
	h->packet[i] = last;
	return top;
}

bool
load_options(struct load *load, const char *command, const char *share, const char *life)
{
	if (load_parse_shares(load, share) != 0) {
		fprintf(stderr, "%s: --share '%s' is not a comma-separated list of at most %u percentages above 0; these add up to 100 at most\n",
				command, share, LIFE_GROUPS_MAX);
		return false;
	}
	if (life_parse(load->life, LIFE_GROUPS_MAX, life) == load->n)
		return true;
	fprintf(stderr, "%s: --life '%s' is not a comma-separated list of %u pareto:SHAPE:MIN, SHAPE above 1, or exp:MEAN, one for each --share\n",
			command, life, load->n);
	return false;
}
