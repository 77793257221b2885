/* Pictures that come apart from their inference, before it or after it, and what is said of them: the one way by which
 * uploads, annotations and changes of a picture's metadata reach the store.
 *
 * A picture is known to its sender by an image id: the inference's id and the beginning of the picture's hash, so that
 * nothing has to be kept to find the inference again. What is said of a picture is metadata of its inference. Tags are
 * one field, `tags`: text, with commas between. */
#pragma once
#include "api/app.h"
#include "base/json_pull.h"
#include "record/uploads.h"

enum { IMAGE_ID_HASH = 8, TAGS_MOST = 64 };

/* One picture, and what shall be done. */
struct image_change {
    struct str inference_id;
    const uint8_t *image;        /* IMAGE_ID_HASH bytes: the picture has to be there already; NULL: `upload` is one */
    const struct upload *upload; /* to be added */
    const uint8_t *annotation;   /* of UPLOAD_HASH bytes, to be set; NULL: none */
    struct attach *values;       /* their ids are filled in when they are stored */
    size_t value_count;
    struct str tags[TAGS_MOST]; /* to be added to those that are there */
    size_t tag_count;

    bool duplicate;      /* the answer: it was there already */
    struct str tags_now; /* after it */
};

/* Into the arena. False: not what image_id_write wrote. */
void image_id_write(struct buf *to, struct str inference_id, const uint8_t *hash);
bool image_id_read(struct str text, struct arena *a, struct image_change *c);
bool image_unknown(struct err *e); /* false */

/* The JSON object that is the current token, as values to be stored; null removes. e: what is wrong, and where. */
bool image_change_values(struct json_pull *j, struct arena *a, struct image_change *c, struct err *e);
bool image_change_tag(struct image_change *c, struct str tag, struct err *e);

/* All of it or nothing; durable and visible when it returns true. ERR_NOT_FOUND: a picture is not there, and *at says
 * which change named it; ERR_CONFLICT: it has an annotation. Waits, so not on HTTP workers. */
bool images_change(struct app *app, const struct identity *who, struct image_change *list, size_t count,
                   struct arena *a, size_t *at, struct err *e);
