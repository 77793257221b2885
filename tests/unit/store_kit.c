#include "store_kit.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/guard.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "store_dump.h"

int store_kit_setup(void **state) {
    struct store_kit *k = mem_zero(1, sizeof *k);
    hash_init();
    guard_init();
    log_set_level(LOG_ERROR);
    scratch_make(&k->scratch);
    k->o = (struct store_options){
        .id = "the store's own", .journal_file_size = 64 << 10, .journal_max = 512 << 10, .checkpoint_interval_s = 3600,
        .max_fields = 1024, .max_pending = 1000, .max_per_id = 1000, .fold_share = 25, .manual = true,
    };
    *state = k;
    return store_kit_open(k) ? 0 : -1;
}

int store_kit_teardown(void **state) {
    struct store_kit *k = *state;
    store_kit_close(k);
    scratch_remove(&k->scratch);
    free(k);
    return 0;
}

bool store_kit_open(struct store_kit *k) {
    k->o.dir = k->scratch.dir;
    k->e = (struct err){0};
    k->s = store_open(&k->o, &k->e);
    return k->s;
}

void store_kit_close(struct store_kit *k) {
    if (k->s) store_close(k->s);
    k->s = NULL;
}

void store_kit_kill(struct store_kit *k) {
    char as_it_was[SCRATCH_PATH + 10];
    snprintf(as_it_was, sizeof as_it_was, "%s.copy", k->scratch.dir);
    scratch_copy_tree(k->scratch.dir, as_it_was);
    store_kit_close(k);
    scratch_remove_tree(k->scratch.dir);
    CHECK(rename(as_it_was, k->scratch.dir) == 0);
}

struct inference plain(const char *id, const char *model, uint32_t index) {
    return (struct inference){
        .id = str_of(id), .model_id = str_of(model), .index = index, .time_us = TIME_UNKNOWN, .latency_s = NAN,
    };
}

void more_inference(struct store_write *w, const struct inference *inf) {
    struct err e;
    CHECK(write_inference(w, inf, &e));
}

void more_value(struct store_write *w, const char *id, const char *field, struct value v) {
    struct str one = str_of(id);
    write_attach(w, &(struct attach){.key_id = 5, .field = str_of(field), .value = v, .ids = &one, .id_count = 1});
}

bool send_write(struct store_kit *k, struct store_write *w) {
    k->e = (struct err){0};
    bool ok = store_write_now(k->s, w, &k->e);
    if (w->results) k->result = w->results[0];
    k->received_us = w->received_us;
    write_free(w);
    return ok;
}

bool add_inference(struct store_kit *k, const struct inference *inf) {
    struct store_write w;
    write_begin(&w, STORE_KIT_WORKSPACE);
    more_inference(&w, inf);
    return send_write(k, &w);
}

bool add_value(struct store_kit *k, const char *id, const char *field, struct value v) {
    struct store_write w;
    write_begin(&w, STORE_KIT_WORKSPACE);
    more_value(&w, id, field, v);
    return send_write(k, &w);
}

const char *show(struct store_kit *k) {
    static struct buf turns[4];
    static unsigned turn;
    struct buf *b = &turns[turn++ % 4];
    b->n = 0;
    store_dump(k->s, STORE_KIT_WORKSPACE, true, b);
    buf_addc(b, '\0');
    return b->p;
}

const struct chunk *chunk_of(struct store_kit *k) {
    struct view *v = store_view(k->s, STORE_KIT_WORKSPACE);
    const struct chunk *c = v ? v->chunks[0] : NULL;
    view_release(v);
    return c;
}

uint32_t ids_of(struct store_kit *k) { return id_table_count(chunk_of(k)->ids); }

uint32_t waiting_of(struct store_kit *k) {
    struct view *v = store_view(k->s, STORE_KIT_WORKSPACE);
    uint32_t n = v ? pending_count(v->pending) : 0;
    view_release(v);
    return n;
}

int field_of(struct store_kit *k, const char *name) {
    struct view *v = store_view(k->s, STORE_KIT_WORKSPACE);
    int n = v ? fields_find(v->fields, str_of(name)) : -1;
    view_release(v);
    return n;
}

uint32_t field_count_of(struct store_kit *k) {
    struct view *v = store_view(k->s, STORE_KIT_WORKSPACE);
    uint32_t n = v ? fields_count(v->fields) : 0;
    view_release(v);
    return n;
}
