/* SPDX-License-Identifier: BSD-3-Clause
 * Copyright(c) 2026 The ppfrag authors
 */

#ifndef _JSON_H_
#define _JSON_H_

/* A writer of one JSON document into a file. Every function accepts NULL and then does nothing. */

#include <stdint.h>

struct json;

/**
 * Create the file and open the document's object.
 *
 * @param path
 *   NULL where no document is wanted.
 * @return
 *   0, or -1 with a message printed. *j is NULL where path is.
 */
int json_open(struct json **j, const char *path);

/** Close the document. @return 0, or -1 with a message where it could not be written. */
int json_close(struct json *j);

/* The key is NULL inside an array. */
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_end(struct json *j);
void json_uint(struct json *j, const char *key, uint64_t value);
void json_real(struct json *j, const char *key, double value);
void json_bool(struct json *j, const char *key, int value);
void json_string(struct json *j, const char *key, const char *value);

#endif /* _JSON_H_ */
