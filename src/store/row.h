/* What chunks and segments have in common: a block of rows, the flags of a row, the text columns. */
#pragma once
#include <stdint.h>

/* A query looks at this many rows at a time. Rows of a chunk lie in blocks of that size; a segment is read in runs. */
enum { BLOCK_ROWS = 4096 };

/* Rows of a full chunk, and so of a segment, at the most. */
enum { SEGMENT_ROWS = 65536 };

enum row_flags {
    ROW_ERROR = 1,
    ROW_PARTIAL = 2,
    ROW_HIDDEN = 4, /* partial, and a complete one of the same id, model and index exists */
    ROW_PICTURE = 8,
    ROW_CLOCK_SUSPECT = 16, /* its time is over a day ahead of when it was received, or over a year behind */
    ROW_INDEX_ASSIGNED = 32, /* the index was given here (struct inference, assign_index) */
    ROW_FLAGS_ALL = 63,
};

/* The text columns with a dictionary. */
enum column {
    COLUMN_MODEL,
    COLUMN_DEVICE,
    COLUMN_SOURCE,
    COLUMN_SOURCE_INFO,
    COLUMN_SERVER,
    COLUMN_MODEL_NAME,
    COLUMN_CLASS, /* of detections */
    COLUMN_DICTS
};
