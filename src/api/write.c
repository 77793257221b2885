#include "api/write.h"

#include "api/app.h"

static void forget(struct request *r) { write_free(r->data); }

struct store_write *write_start(struct request *r, uint32_t workspace) {
    struct store_write *w = arena_alloc(&r->arena, sizeof *w);
    write_begin(w, workspace);
    r->data = w;
    r->cleanup = forget;
    return w;
}

struct store_write *write_of(struct request *r) { return r->data; }

static void wake(struct store_write *w) { request_wake(w->ctx); }

void write_send(struct request *r, request_handler *then) {
    struct store_write *w = r->data;
    w->ctx = r;
    w->done = wake;
    request_wait(r, then);
    if (!store_submit(app_of(r)->store, w, &w->err)) request_wake(r);
}
