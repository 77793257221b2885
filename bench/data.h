/* The data of the benchmarks: which inferences there are, when, with which detections and metadata. Everything follows
 * from the seed and an inference's number, so that every engine gets the same, nothing has to be kept to be checked,
 * and what a question must answer can be computed without any store.
 *
 * `events` inferences over DATA_DAYS days, ending at end_us, in the order of their numbers: time grows evenly, shuffled
 * within 60 s; 5 % are late by 1 to 12 hours; 0.1 % have a wrong clock (1970, years back, months ahead). With 2 % of
 * the numbers an earlier inference is sent once more. 0 to 4 detections with boxes, 12 models, 40 devices, 20 classes.
 * Metadata: `serial_number` on each, 19 fields on 60 % (two of them) to 5 %, all of them text. For every hundredth
 * number there is metadata of an id that never gets an inference.
 *
 * Everything here is a pure function; any thread. Times in microseconds. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum {
    DATA_DAYS = 90,
    DATA_MODELS = 12,
    DATA_DEVICES = 40,
    DATA_CLASSES = 20,
    DATA_MOST_DETECTIONS = 4,
    DATA_FIELDS = 20,
    DATA_BATCH = 100, /* inferences a request while loading */
    DATA_ID = 36,     /* bytes of an id, and of a value at most */
    DATA_VALUE = 32,
    DATA_NAME = 16, /* a model's or device's */
};
#define DATA_DAY INT64_C(86400000000)

/* Where the numbers of other inferences and ids begin; those of the data are below. */
#define DATA_PENDING (UINT64_C(1) << 40) /* metadata without an inference */
#define DATA_FRESH (UINT64_C(2) << 40)   /* ingested during a measurement */
#define DATA_UNKNOWN (UINT64_C(3) << 40) /* attached to during a measurement, never ingested */

struct data {
    uint64_t seed, events;
    int64_t end_us;
};

struct data_detection {
    uint8_t class_code;
    uint16_t confidence; /* in 1/10000 */
    uint16_t x, y;       /* and a half each */
    uint16_t width, height;
};

struct data_event {
    uint64_t number;
    int64_t time_us; /* whole milliseconds */
    uint8_t model, device, count;
    uint16_t latency_ms;
    struct data_detection d[DATA_MOST_DETECTIONS];
};

/* number: of the data, or a fresh one, whose time the caller sets. */
void data_event(const struct data *d, uint64_t number, struct data_event *out);
void data_id(uint64_t seed, uint64_t number, char out[DATA_ID]); /* a version 4 UUID as text, no NUL */
/* Whether an earlier inference is sent again with this one. */
bool data_resent(const struct data *d, uint64_t number, uint64_t *earlier);
/* Whether metadata that never meets an inference comes with this number; then its id's. */
bool data_pending(const struct data *d, uint64_t number, uint64_t *id_number);

extern const char *const data_fields[DATA_FIELDS];
extern const char *const data_classes[DATA_CLASSES];
const char *data_model(unsigned model, char out[DATA_NAME]);
const char *data_device(unsigned device, char out[DATA_NAME]);
/* The value's length; 0: this inference has none. No NUL. */
size_t data_value(const struct data *d, uint64_t number, unsigned field, char out[DATA_VALUE]);

/* A share of the rows gets another value of DATA_REVIEW after everything is loaded: what lies over the columns. */
#define DATA_REVIEW "review"
size_t data_review(const struct data *d, uint64_t number, char out[DATA_VALUE]); /* 0: none; 20 % have one */

/* As the own ingest route takes it, about 330 bytes. */
void data_json(struct buf *to, const struct data *d, const struct data_event *e);
/* Decimal digits; text of a number below 10^19. */
size_t data_decimal(char *to, uint64_t v);
uint64_t data_mix(uint64_t x);
