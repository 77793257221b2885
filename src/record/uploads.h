/* The pictures that came apart from an inference, under its id. They are an attach like any other, to a field that
 * nobody can name: the API takes no control characters in names. So they are durable, wait for their inference, go with
 * it to wherever it is and have a history, by what does so with metadata; and they are metadata in no answer.
 *
 * The field's value is text, an entry a picture in the order of arrival, with blanks between:
 *   64 hex digits: BLAKE2b-256 of the picture, by which it is kept (image/blobs.h)
 *   | ':' and 64 hex digits of the annotation, a JSON document that is kept likewise; absent: none
 *   | '@' and the decimal place of the picture in its request; absent: not told
 * Entries are added and completed, never taken away. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "record/record.h"

/* Fields of our own, which count towards no limit and stand in no answer. */
enum { OWN_FIELDS = 1 };
#define FIELD_UPLOADS STR("\x01pictures")
static inline bool field_is_own(struct str name) { return name.n && name.p[0] == '\x01'; }

enum { UPLOADS_MOST = 32, UPLOAD_HASH = 32 };

struct upload {
    uint8_t picture[UPLOAD_HASH], annotation[UPLOAD_HASH];
    bool annotated, placed;
    uint32_t index; /* placed */
};

/* How many there are in the text; an entry that is none ends it. */
size_t uploads_read(struct str text, struct upload out[UPLOADS_MOST]);
void uploads_write(struct buf *to, const struct upload *all, size_t count);

/* Each file that a value of the field names; values of other types name none. */
typedef void picture_call(void *ctx, const uint8_t hash[UPLOAD_HASH]);
void uploads_each_picture(const struct value *v, picture_call *call, void *ctx);

/* The picture of the inference with this index: the one that was placed there; else the only one that was not placed,
 * for index 0. Of several nobody knows which is whose, and sampled pictures of a batch are as good as several. NULL. */
const struct upload *uploads_of(const struct upload *all, size_t count, uint32_t index);
