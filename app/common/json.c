/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define JSON_DEPTH 16

struct json {
	FILE *f;
	const char *path;
	unsigned int depth;
	struct {
		char end;  /* what closes this level */
		bool used; /* something precedes the next value */
	} level[JSON_DEPTH];
};

static void
json_text(struct json *j, const char *text)
{
	fputc('"', j->f);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(j->f, "\\%c", *text);
		else if ((unsigned char)*text < 0x20)
			fprintf(j->f, "\\u%04x", (unsigned int)*text);
		else
			fputc(*text, j->f);
	}
	fputc('"', j->f);
}

static void
json_indent(struct json *j)
{
	fprintf(j->f, "\n%*s", (int)j->depth * 2, "");
}

static void
json_key(struct json *j, const char *key)
{
	bool *used = &j->level[j->depth - 1].used;

	if (*used)
		fputc(',', j->f);
	*used = true;
	json_indent(j);
	if (key != NULL) {
		json_text(j, key);
		fputs(": ", j->f);
	}
}

static void
json_push(struct json *j, char begin, char end)
{
	if (j->depth == JSON_DEPTH)
		abort();
	fputc(begin, j->f);
	j->level[j->depth].end = end;
	j->level[j->depth].used = false;
	j->depth++;
}

int
json_open(struct json **j, const char *path)
{
	*j = NULL;
	if (path == NULL)
		return 0;
	*j = calloc(1, sizeof(**j));
	if (*j == NULL)
		return -1;
	(*j)->path = path;
	(*j)->f = fopen(path, "w");
	if ((*j)->f == NULL) {
		fprintf(stderr, "--json %s: %s\n", path, strerror(errno));
		free(*j);
		*j = NULL;
		return -1;
	}
	json_push(*j, '{', '}');
	return 0;
}

int
json_close(struct json *j)
{
	int ret = 0;

	if (j == NULL)
		return 0;
	while (j->depth > 0)
		json_end(j);
	fputc('\n', j->f);
	if (ferror(j->f))
		ret = -1;
	if (fclose(j->f) != 0)
		ret = -1;
	if (ret != 0)
		fprintf(stderr, "--json %s: could not be written\n", j->path);
	free(j);
	return ret;
}

void
json_object(struct json *j, const char *key)
{
	if (j == NULL)
		return;
	json_key(j, key);
	json_push(j, '{', '}');
}

void
json_array(struct json *j, const char *key)
{
	if (j == NULL)
		return;
	json_key(j, key);
	json_push(j, '[', ']');
}

void
json_end(struct json *j)
{
	if (j == NULL)
		return;
	j->depth--;
	if (j->level[j->depth].used)
		json_indent(j);
	fputc(j->level[j->depth].end, j->f);
}

void
json_uint(struct json *j, const char *key, uint64_t value)
{
	if (j == NULL)
		return;
	json_key(j, key);
	fprintf(j->f, "%" PRIu64, value);
}

void
json_real(struct json *j, const char *key, double value)
{
	if (j == NULL)
		return;
	json_key(j, key);
	/* JSON has no word for what is not finite. */
	if (isfinite(value))
		fprintf(j->f, "%.9g", value);
	else
		fputs("null", j->f);
}

void
json_bool(struct json *j, const char *key, int value)
{
	if (j == NULL)
		return;
	json_key(j, key);
	fputs(value ? "true" : "false", j->f);
}

void
json_string(struct json *j, const char *key, const char *value)
{
	if (j == NULL)
		return;
	json_key(j, key);
	json_text(j, value);
}
