/* A report of an inference server or of a workflow while it is read: what pingback.c (protocol 3.2) and aggregator.c
 * (3.3) share. It lives in its request's arena; an ingest thread works on it. */
#pragma once
#include "api/app.h"
#include "base/json_pull.h"
#include "catalog/aside.h"
#include "store/store.h"

/* What a report says of its sender, beside its items. Strings are "" when they were not said. */
struct report_sender {
    struct str device_id, server_id, server_version;
    struct str hostname, ip_address, platform, platform_release, architecture;
    struct str source, source_info;
    struct str tags;    /* a JSON list of strings */
    int64_t started_us; /* when its process began; 0: not said */
    int64_t time_us;    /* of the items of an aggregator; TIME_UNKNOWN: not said, or without a zone */
};

enum { BATCH_ITEMS = 2048 };

/* A workspace that items go to. */
struct target {
    struct target *next;
    uint32_t workspace;
    struct store_write w;
    struct str *items; /* of the batch, as they stood */
    size_t count, room;
    struct aside *asides;
    size_t aside_count, aside_room;
    uint64_t stored, set_aside; /* of the whole report: new inferences, and bad items */
};

struct report {
    struct request *r;
    struct arena scratch; /* of the batch */
    struct buf room;
    struct report_sender from;
    struct str key;     /* the outer one */
    struct str results; /* the text of inference_results; empty: none */
    struct identity who;
    bool known;  /* the outer key opens who's workspace */
    bool header; /* it came in the query or a header, which beat the body */
    struct str slug; /* the workspace of the path; empty: the path has none */
    char last_key[KEY_MAX]; /* the last item's, whose owner is last_who */
    size_t last_key_n;
    struct identity last_who;
    bool last_known;
    struct target *targets;
    struct store_write single;
    size_t batch;
    uint64_t created, unchanged, conflicts, aside, nobodys;
    struct err e, no_key;
};

/* The target of a workspace; made when it is not there. */
struct target *report_target(struct report *p, uint32_t workspace);
/* Keeps an item with what is wrong with it; counted, and written with the batch. */
void report_aside(struct report *p, struct target *t, struct str raw, const char *reason);
/* Waits. A store that is busy is asked again for a while, for the sender will not. */
bool report_submit(struct report *p, struct store_write *w, struct err *e);
/* A refusal of what was sent, not of the moment. */
bool report_is_fault(const struct err *e);
/* Stores what the targets hold, and gives back the memory of the batch and of the body before `upto`. */
bool report_flush(struct report *p, const char *upto);

/* aggregator.c: the items of a workflow's report, into t. */
bool aggregate(struct report *p, struct target *t);
