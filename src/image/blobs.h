/* The pictures that are kept, and their thumbnails, as files named by what is in them:
 *
 *   DIR/<workspace number>/images/ab/cdef....          the picture, byte for byte as it came
 *   DIR/<workspace number>/images/ab/cdef....thumb     its thumbnail, a JPEG
 *
 * or the annotation of one, a JSON document, likewise and without a thumbnail,
 * where abcdef... is the BLAKE2b-256 of the picture's bytes in hexadecimal: the same picture twice is one file. A
 * picture is whole and synced, and so are the names of its folders, before blob_put returns; the record that names it
 * is queued after that. So a crash can leave a picture without a record, never the other way; blob_sweep removes those.
 *
 * Any thread. A sweep may run beside puts: what was put less than `min_age_s` ago, or put again, it leaves alone. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { BLOB_HASH = 32 };

struct blobs;
struct blobs *blobs_new(const char *dir); /* keeps a copy of dir; the folder exists */
void blobs_free(struct blobs *b);

/* A picture with its thumbnail; or a document, JSON text that begins with '{', which has none. */
bool blob_put(struct blobs *b, uint32_t workspace, struct str picture, struct str thumbnail,
              uint8_t hash[BLOB_HASH], struct err *e);

enum blob_kind { BLOB_PICTURE, BLOB_THUMBNAIL };

/* A descriptor for reading, the caller closes it, and the file's size; -1 with ERR_NOT_FOUND when it is not there. */
int blob_open(struct blobs *b, uint32_t workspace, const uint8_t hash[BLOB_HASH], enum blob_kind kind, size_t *size,
              struct err *e);

/* Whether picture and thumbnail are there, and the picture's bytes are those its name says. e: which file; ERR_NOT_FOUND,
 * ERR_DAMAGED, or it could not be read. */
bool blob_verify(struct blobs *b, uint32_t workspace, const uint8_t hash[BLOB_HASH], struct err *e);
enum { BLOB_PATH = 4352 };
void blob_file(const struct blobs *b, uint32_t workspace, const uint8_t hash[BLOB_HASH], enum blob_kind kind,
               char path[BLOB_PATH]);

/* Removes picture and thumbnail; nothing there is no error. */
bool blob_remove(struct blobs *b, uint32_t workspace, const uint8_t hash[BLOB_HASH], struct err *e);

/* Removes every picture of the workspace that is at least min_age_s old and that `referenced` says false of, and what a
 * crash left half written. `removed` counts. The callback runs with no lock held. */
typedef bool blob_referenced(void *ctx, const uint8_t hash[BLOB_HASH]);
bool blob_sweep(struct blobs *b, uint32_t workspace, unsigned min_age_s, blob_referenced *referenced, void *ctx,
                size_t *removed, struct err *e);
