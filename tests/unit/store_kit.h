/* A store in a scratch folder, and short ways to write to it and to see all it holds. */
#pragma once
#include "scratch.h"
#include "store/store.h"

struct store_kit {
    struct scratch scratch;
    struct store_options o; /* small; a test may change it before opening */
    struct store *s;
    struct err e;
    struct write_result result; /* of the first record of the last write */
    int64_t received_us;        /* of the last write */
};

int store_kit_setup(void **state); /* *state is a struct store_kit; its store is open */
int store_kit_teardown(void **state);

bool store_kit_open(struct store_kit *k);
void store_kit_close(struct store_kit *k);

/* The store is left as after kill -9: what was acknowledged is in its files, nothing was finished. */
void store_kit_kill(struct store_kit *k);

#define TEXT_VALUE(z) ((struct value){.type = VALUE_STRING, .text = str_of(z)})
#define NUMBER_VALUE(v) ((struct value){.type = VALUE_NUMBER, .number = (v)})
#define BOOL_VALUE(v) ((struct value){.type = VALUE_BOOL, .truth = (v)})
#define NO_VALUE ((struct value){.type = VALUE_NONE})

enum { STORE_KIT_WORKSPACE = 3 };

/* An inference that says nothing but this. */
struct inference plain(const char *id, const char *model, uint32_t index);

/* One request with one record; false and k->e when it is refused. */
bool add_inference(struct store_kit *k, const struct inference *inf);
bool add_value(struct store_kit *k, const char *id, const char *field, struct value v);

/* Several records in one request: begin with write_begin(w, STORE_KIT_WORKSPACE), add with write_* and these, then
 * send_write, which frees it. */
void more_inference(struct store_write *w, const struct inference *inf);
void more_value(struct store_write *w, const char *id, const char *field, struct value v);
bool send_write(struct store_kit *k, struct store_write *w);

/* All the workspace holds (store_dump.h), sequence numbers and times included. Good until the fourth call after. */
const char *show(struct store_kit *k);

const struct chunk *chunk_of(struct store_kit *k); /* the open one of the workspace; NULL while it holds nothing */
uint32_t ids_of(struct store_kit *k);     /* in that chunk */
uint32_t waiting_of(struct store_kit *k); /* ids with metadata and no inference */
int field_of(struct store_kit *k, const char *name); /* -1: none */
uint32_t field_count_of(struct store_kit *k);
