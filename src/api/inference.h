/* A request that runs a model: what /infer/object_detection and /:project/:version have in common. The handler fills
 * an inference_call and gives it to inference_run; pictures are decoded and the network runs on the threads of the
 * inference service, the result is stored, and only then is it answered (protocol 2.4).
 *
 * Life: handler (HTTP worker) -> each picture, `picture_done` (inference thread) -> `job_done`: records to the store ->
 * `stored` (writer) -> `answer` (HTTP worker). The call belongs to its request, which is held while it waits. */
#pragma once
#include <jansson.h>

#include "catalog/catalog.h"
#include "http/http.h"
#include "infer/infer.h"
#include "store/store.h"

struct inference_call {
    /* the handler's */
    struct identity who;
    struct str id;       /* the client's, or empty: one is made */
    struct str source, source_info;
    bool monitored;      /* false: nothing is stored */
    bool as_list;        /* the answer is a list */
    bool as_picture;     /* the answer is the drawing itself */
    struct infer_job job; /* model_id, options, inputs, count */
    json_t *body;        /* that strings above point into; freed with the request */

    /* inference.c's */
    struct request *r;
    char made_id[UUID_TEXT];
    uint8_t (*pictures)[32];
    bool *kept;
    struct store_write write;
    struct err err;
};

/* In the request's arena, with the defaults; sets r->data and r->cleanup. */
struct inference_call *inference_call_new(struct request *r);

/* Waits, runs, stores, answers. */
void inference_run(struct inference_call *call);

/* Which model answered, and whether it had to be loaded for it (protocol 2.1). */
void respond_model_headers(struct request *r, const struct infer_job *job);

/* GET /model/registry and what /model/add answers; without the models, what /model/remove does. */
void respond_registry(struct request *r, bool models);
