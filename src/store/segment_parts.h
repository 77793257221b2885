/* What the files of segment.h share: the columns of a segment in the order in which they stand in the file, and what an
 * open one knows of its mapping. For nobody else. */
#pragma once
#include <stdatomic.h>

#include "store/arrow.h"
#include "store/segment.h"
#include "store/summary.h"

/* Columns that others see only through segment_history, numbered behind enum segment_column. */
enum { SEG_HISTORY = SEG_COLUMNS, SEG_H_FIELD, SEG_H_SEQ, SEG_H_TIME, SEG_H_KEY, SEG_H_VALUE, SEG_ALL };
enum { SEG_NO = SEG_ALL };

/* name, type, what it may be, children, where its values and its text are found (enum segment_column) */
enum { IS_NULLABLE = 1, IS_CODED = 2, IS_OPTIONAL = 4 /* only there when a row has a value */ };
#define SEGMENT_LAYOUT(X)                                                            \
    X("id", UTF8, 0, 0, SEG_ID, SEG_ID_BYTES)                                        \
    X("id_hash", U64, 0, 0, SEG_ID_HASH, SEG_NO)                                     \
    X("same_id", U32, 0, 0, SEG_SAME_ID, SEG_NO)                                     \
    X("content", U64, 0, 0, SEG_CONTENT, SEG_NO)                                     \
    X("time", TIME, 0, 0, SEG_TIME, SEG_NO)                                          \
    X("received", TIME, 0, 0, SEG_RECEIVED, SEG_NO)                                  \
    X("seq", U64, 0, 0, SEG_SEQ, SEG_NO)                                             \
    X("index", U32, 0, 0, SEG_INDEX, SEG_NO)                                         \
    X("flags", U8, 0, 0, SEG_FLAGS, SEG_NO)                                          \
    X("latency", F64, IS_NULLABLE, 0, SEG_LATENCY, SEG_NO)                           \
    X("latency_bin", U16, IS_NULLABLE, 0, SEG_LATENCY_BIN, SEG_NO)                   \
    X("confidence", F64, IS_NULLABLE, 0, SEG_CONFIDENCE, SEG_NO)                     \
    X("confidence_bin", U16, IS_NULLABLE, 0, SEG_CONFIDENCE_BIN, SEG_NO)             \
    X("model", UTF8, IS_NULLABLE | IS_CODED, 0, SEG_MODEL, SEG_NO)                   \
    X("model_name", UTF8, IS_NULLABLE | IS_CODED, 0, SEG_MODEL_NAME, SEG_NO)         \
    X("model_sha256", UTF8, IS_NULLABLE | IS_CODED, 0, SEG_MODEL_SHA256, SEG_NO)     \
    X("device", UTF8, IS_NULLABLE | IS_CODED, 0, SEG_DEVICE, SEG_NO)                 \
    X("source", UTF8, IS_NULLABLE | IS_CODED, 0, SEG_SOURCE, SEG_NO)                 \
    X("source_info", UTF8, IS_NULLABLE | IS_CODED, 0, SEG_SOURCE_INFO, SEG_NO)       \
    X("server", UTF8, IS_NULLABLE | IS_CODED, 0, SEG_SERVER, SEG_NO)                 \
    X("server_version", UTF8, IS_NULLABLE | IS_CODED, 0, SEG_SERVER_VERSION, SEG_NO) \
    X("width", U32, IS_NULLABLE, 0, SEG_WIDTH, SEG_NO)                               \
    X("height", U32, IS_NULLABLE, 0, SEG_HEIGHT, SEG_NO)                             \
    X("error", UTF8, IS_NULLABLE, 0, SEG_ERROR, SEG_ERROR_BYTES)                     \
    X("picture", BYTES32, IS_NULLABLE | IS_OPTIONAL, 0, SEG_PICTURE, SEG_NO)         \
    X("detections", LIST, 0, 1, SEG_DETECTIONS, SEG_NO)                              \
    X("item", STRUCT, 0, 10, SEG_NO, SEG_NO)                                         \
    X("class", UTF8, IS_NULLABLE | IS_CODED, 0, SEG_D_CLASS, SEG_NO)                 \
    X("class_id", I64, IS_NULLABLE, 0, SEG_D_CLASS_ID, SEG_NO)                       \
    X("confidence", F64, IS_NULLABLE, 0, SEG_D_CONFIDENCE, SEG_NO)                   \
    X("confidence_bin", U16, IS_NULLABLE, 0, SEG_D_CONFIDENCE_BIN, SEG_NO)           \
    X("x", F64, IS_NULLABLE, 0, SEG_D_X, SEG_NO)                                     \
    X("y", F64, IS_NULLABLE, 0, SEG_D_Y, SEG_NO)                                     \
    X("width", F64, IS_NULLABLE, 0, SEG_D_WIDTH, SEG_NO)                             \
    X("height", F64, IS_NULLABLE, 0, SEG_D_HEIGHT, SEG_NO)                           \
    X("detection_id", UTF8, IS_NULLABLE, 0, SEG_D_ID, SEG_D_ID_BYTES)                \
    X("other", UTF8, IS_NULLABLE, 0, SEG_D_OTHER, SEG_D_OTHER_BYTES)                 \
    X("history", LIST, 0, 1, SEG_HISTORY, SEG_NO)                                    \
    X("item", STRUCT, 0, 5, SEG_NO, SEG_NO)                                          \
    X("field", UTF8, IS_CODED, 0, SEG_H_FIELD, SEG_NO)                               \
    X("seq", U64, 0, 0, SEG_H_SEQ, SEG_NO)                                           \
    X("time", TIME, 0, 0, SEG_H_TIME, SEG_NO)                                        \
    X("key", U32, 0, 0, SEG_H_KEY, SEG_NO)                                           \
    X("value", UTF8, IS_NULLABLE | IS_CODED, 0, SEG_H_VALUE, SEG_NO)

struct segment_layout {
    const char *name;
    enum arrow_type type;
    unsigned is, children;
    int values, text;
};
#define X(...) +1
enum { SEGMENT_LAYOUT_MOST = SEGMENT_LAYOUT(X) };
#undef X
extern const struct segment_layout segment_layout[SEGMENT_LAYOUT_MOST];

/* The columns of a metadata field: kind, type, what its name ends with. A field of whatever name has columns of its
 * own: where a text column's name would end like that of another kind, it ends in ":text". */
#define SEGMENT_KINDS(X) X(TEXT, "text", ARROW_UTF8) X(NUMBER, "number", ARROW_F64) X(BOOL, "bool", ARROW_BOOL)
enum segment_kind {
#define X(kind, name, type) KIND_##kind,
    SEGMENT_KINDS(X)
#undef X
        SEGMENT_KIND_COUNT
};
extern const char *const segment_kind_names[SEGMENT_KIND_COUNT];
extern const enum arrow_type segment_kind_types[SEGMENT_KIND_COUNT];
struct str segment_metadata_name(struct arena *a, struct str field, enum segment_kind kind);

#define SEGMENT_FORMAT "sightglass segment 1"

struct segment_part_field {
    struct segment_field shown;
    struct arrow_column *columns[SEGMENT_KIND_COUNT]; /* NULL: no value of this kind */
    _Atomic bool checked;
};

struct segment_parts {
    const void *map;
    uint8_t store_id[16];
    uint32_t workspace;
    struct arena arena;
    struct arrow_table table;
    struct arrow_column *columns[SEG_ALL]; /* by what they give: values or text; NULL: not in this file */
    _Atomic bool checked[SEG_ALL];         /* its sum, and what it leads to */
    struct segment_dict dicts[SEG_ALL];    /* of coded columns */
    _Atomic bool dict_checked[SEG_ALL];
    struct segment_part_field *fields;
    _Atomic int summary; /* enum segment_summary_state */
};

enum segment_summary_state { SUMMARY_UNREAD, SUMMARY_SOUND, SUMMARY_UNSOUND };

/* Each throws where a column is not what it should be. */
void segment_check_column(const struct segment *s, int column);
void segment_check_field(const struct segment *s, struct segment_part_field *f);
void segment_check_sum(const struct segment *s, const struct arrow_column *c, const struct arrow_buffer *b);
const void *segment_values(const struct segment *s, int column); /* also those behind enum segment_column */
const struct segment_dict *segment_texts(const struct segment *s, int column);
_Noreturn void segment_damaged(const struct segment *s, const struct arrow_column *c, const char *what);

/* Its columns, for making its summary; under a guard, throws. */
struct summary_rows segment_summary_rows(const struct segment *s);

/* The JSON text of a value in the history, read back; CODE_NULL is a removal. */
struct value segment_history_value(const struct segment *s, uint32_t code, struct arena *a);
