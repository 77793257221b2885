/* A segment: up to SEGMENT_ROWS inferences of one workspace, sorted by (time, seq), in one immutable Arrow IPC file.
 * docs/segments.md describes the file; any Arrow reader opens it. Here it is mapped and read in place.
 *
 * What is opened has been checked for size, footer, and every offset and length (segment_open). The bytes of a column
 * are checked against their crc32c when it is first asked for. When they turn out wrong, or the disk fails under the
 * mapping, the reader's guard (base/guard.h) catches it: every function that takes a `const struct segment *` must be
 * called under a guard, but for segment_close and the plain members.
 *
 * Owner: whoever opened it; immutable after that. Any thread. Times in microseconds since 1970, latencies in
 * seconds. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "record/record.h"
#include "store/row.h"

/* ---- columns ----
 * name, C type of a value, what there is one of. Codes are places in a sorted dictionary, from 1, as those of
 * a chunk; CODE_NULL: none. NAN, BIN_NONE and -1 (class id) stand where there is no number. */
#define CODE_NULL 0
#define SEGMENT_COLUMNS(X)                                                                                             \
    X(ID, uint32_t, ROW_OFFSET)     /* into ID_BYTES, one more than rows */                                            \
    X(ID_BYTES, char, BYTES)                                                                                           \
    X(ID_HASH, uint64_t, ROW)       /* id_hash() */                                                                    \
    X(SAME_ID, uint32_t, ROW)       /* row + 1 of the next row with this id in this segment; 0: none */                \
    X(CONTENT, uint64_t, ROW)       /* content_hash() of the encoded inference */                                      \
    X(TIME, int64_t, ROW)                                                                                              \
    X(RECEIVED, int64_t, ROW)                                                                                          \
    X(SEQ, uint64_t, ROW)                                                                                              \
    X(INDEX, uint32_t, ROW)                                                                                            \
    X(FLAGS, uint8_t, ROW)          /* enum row_flags */                                                               \
    X(LATENCY, double, ROW)                                                                                            \
    X(LATENCY_BIN, uint16_t, ROW)                                                                                      \
    X(CONFIDENCE, double, ROW)      /* of the top detection */                                                         \
    X(CONFIDENCE_BIN, uint16_t, ROW)                                                                                   \
    X(MODEL, uint32_t, ROW_CODE)                                                                                       \
    X(MODEL_NAME, uint32_t, ROW_CODE)                                                                                  \
    X(MODEL_SHA256, uint32_t, ROW_CODE)                                                                                \
    X(DEVICE, uint32_t, ROW_CODE)                                                                                      \
    X(SOURCE, uint32_t, ROW_CODE)                                                                                      \
    X(SOURCE_INFO, uint32_t, ROW_CODE)                                                                                 \
    X(SERVER, uint32_t, ROW_CODE)                                                                                      \
    X(SERVER_VERSION, uint32_t, ROW_CODE)                                                                              \
    X(WIDTH, uint32_t, ROW)                                                                                            \
    X(HEIGHT, uint32_t, ROW)                                                                                           \
    X(ERROR, uint32_t, ROW_OFFSET)  /* into ERROR_BYTES */                                                             \
    X(ERROR_BYTES, char, BYTES)                                                                                        \
    X(PICTURE, uint8_t, ROW_32)     /* 32 bytes a row, valid with ROW_PICTURE */                                       \
    X(DETECTIONS, uint32_t, ROW_OFFSET) /* first detection of a row, one more than rows */                             \
    X(D_CLASS, uint32_t, DETECTION_CODE)                                                                               \
    X(D_CLASS_ID, int64_t, DETECTION)                                                                                  \
    X(D_CONFIDENCE, double, DETECTION)                                                                                 \
    X(D_CONFIDENCE_BIN, uint16_t, DETECTION)                                                                           \
    X(D_X, double, DETECTION)       /* NAN: no box */                                                                  \
    X(D_Y, double, DETECTION)                                                                                          \
    X(D_WIDTH, double, DETECTION)                                                                                      \
    X(D_HEIGHT, double, DETECTION)                                                                                     \
    X(D_ID, uint32_t, DETECTION_OFFSET) /* detection_id, into D_ID_BYTES */                                            \
    X(D_ID_BYTES, char, BYTES)                                                                                         \
    X(D_OTHER, uint32_t, DETECTION_OFFSET) /* further members as JSON, into D_OTHER_BYTES */                           \
    X(D_OTHER_BYTES, char, BYTES)

enum segment_column {
#define X(name, type, of) SEG_##name,
    SEGMENT_COLUMNS(X)
#undef X
        SEG_COLUMNS
};

/* A sorted dictionary of text: codes 1 to `count`. */
struct segment_dict {
    uint32_t count;
    const uint32_t *offsets; /* by code; before them that of a placeholder for none */
    const char *bytes;
};
static inline struct str segment_dict_text(const struct segment_dict *d, uint32_t code) {
    return (struct str){d->bytes + d->offsets[code], d->offsets[code + 1] - d->offsets[code]};
}
/* Binary search; CODE_NULL: not there. */
uint32_t segment_dict_find(const struct segment_dict *d, struct str text);

/* A metadata field, or the fields of none: a row has at most one of the three. */
struct segment_field {
    struct str name;
    const uint32_t *codes; /* NULL: no text in this field here */
    struct segment_dict dict;
    const double *numbers;                /* NULL: no number here; NAN: not a number in this row */
    const uint8_t *truths, *truths_known; /* bitmaps, least bit first; NULL: no truth value here */
};

struct segment {
    uint64_t number;          /* unique in the workspace, grows; a fold keeps it, a merge makes a new one */
    uint32_t version;         /* grows with each fold */
    uint32_t rows, detections;
    uint64_t applied_through; /* metadata writes up to this sequence number are in it */
    bool apart;               /* rows with suspect clocks or late by hours */
    int64_t min_time_us, max_time_us;
    uint64_t min_seq, max_seq;
    uint64_t bytes; /* of the file */
    uint32_t field_count;
    struct segment_parts *parts; /* its own */
};

/* Opens, maps and checks. e: what is wrong, and where. */
struct segment *segment_open(const char *path, const uint8_t store_id[16], uint32_t workspace, struct err *e);
void segment_close(struct segment *s);
void segment_will_index(const struct segment *s); /* its ids are read soon: asks the disk for them; needs no guard */

/* Checks everything there is to check: all checksums, order, codes within dictionaries, dictionaries sorted, ids
 * against their hashes and links, bins against their numbers, nulls. Needs no guard of the caller's. */
bool segment_verify(const struct segment *s, struct err *e);
/* Whether the summary, where there is one, is that of its rows, to the byte. For a segment that was found right. */
bool segment_verify_summary(const struct segment *s, struct err *e);

const void *segment_column(const struct segment *s, enum segment_column c);
#define SEG(s, name) ((const SEG_TYPE_##name *)segment_column(s, SEG_##name))
#define X(name, type, of) typedef type SEG_TYPE_##name;
SEGMENT_COLUMNS(X)
#undef X
const struct segment_dict *segment_dict(const struct segment *s, enum segment_column code_column);

/* Fields in the order in which they came into being in the workspace. */
struct str segment_field_name(const struct segment *s, uint32_t field); /* needs no guard */
const struct segment_field *segment_field(const struct segment *s, uint32_t field);
/* The value in a row; VALUE_NONE. Text points into the mapping. */
struct value segment_value(const struct segment_field *f, uint32_t row);

struct str segment_id(const struct segment *s, uint32_t row);
/* Everything of a row as it came. What points into the mapping stays valid with the segment; detections and picture
 * are in the arena. */
void segment_inference(const struct segment *s, uint32_t row, struct arena *a, struct inference *out);

/* The writes of the id that a row has, oldest first; they stand with the first row of the id in the segment, and that
 * is the row to ask. */
size_t segment_history(const struct segment *s, uint32_t row, struct arena *a, struct change **out);
/* The names of all fields in histories: some may have no values any more. */
const struct segment_dict *segment_history_fields(const struct segment *s);

/* The segment's summary (store/summary.h), in its mapping. False: it has none, or none that is sound, and the rows have
 * to be read: it is not set aside for that. */
struct summary;
bool segment_summary(const struct segment *s, struct summary *out);

/* Under which hash an id stands: SipHash-2-4 under the store's id, so that it may be written to disk. */
uint64_t id_hash(const uint8_t store_id[16], struct str id);
/* Tells whether two records with the same id, model and index are the same: SipHash-2-4 of the encoded inference under
 * a key of zeros. */
uint64_t content_hash(struct str payload);

/* ---- making one: the keeper ---- */

struct segment_row {
    struct inference inf; /* index and time as the store has them */
    int64_t received_us;
    uint64_t seq, content;
    uint8_t flags;
    const struct entry *metadata;
    size_t metadata_count;
    const struct change *history; /* of the id, oldest first; the builder keeps that of the id's first row */
    size_t history_count;
};

struct segment_identity {
    uint8_t store_id[16];
    uint32_t workspace;
    uint64_t number;
    uint32_t version;
    uint64_t applied_through;
    bool apart;
};

/* Rows are added in order of (time, seq). What a row points to may go after the call. */
struct segment_builder *segment_builder_new(const struct segment_identity *id, struct str const *fields,
                                            size_t field_count);
void segment_builder_add(struct segment_builder *b, const struct segment_row *row);
/* About what the file will have. One that passes 2 GiB in a single column cannot be written (ERR_TOO_LARGE): who has
 * rows of such size closes a segment early. */
size_t segment_builder_bytes(const struct segment_builder *b);
/* Writes dir/name by way of a temporary name: write, sync ("segment.file"), rename, sync of the folder ("segment.dir").
 * On failure nothing is there. Frees the builder. */
bool segment_builder_write(struct segment_builder *b, const char *dir, const char *name, struct err *e);
void segment_builder_free(struct segment_builder *b); /* instead of writing */

/* A new version of a segment: the same rows in the same order, with changes to their metadata and flags. Columns
 * nothing changed in are copied as they are, once their checksums have been found right. Needs no guard of the
 * caller's: ERR_DAMAGED says that `from` could not be read. */
struct segment_change {
    uint32_t row;
    struct change change; /* of this row's cell; and of its id's history, where the row is the id's first */
};
struct segment_fold {
    struct segment_identity id;
    const struct str *fields; /* of the workspace, in order; those of the segment and of the changes among them */
    size_t field_count;
    const struct segment_change *changes; /* in order of (row, seq) */
    size_t change_count;
    const uint32_t *hidden; /* rows that get ROW_HIDDEN, ascending */
    size_t hidden_count;
};
bool segment_fold_write(const struct segment *from, const struct segment_fold *f, const char *dir, const char *name,
                        struct err *e);
