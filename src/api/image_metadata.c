/* POST /:workspace/images/:image/metadata and POST /:workspace/images/metadata (protocol 3.6): what the asset-library
 * block says of pictures becomes metadata of the inferences behind them. All updates of a request or none. */
#include "api/auth.h"
#include "api/handlers.h"
#include "api/images.h"
#include "base/pool.h"
#include "base/uuid.h"

enum { UPDATES_MOST = 1000 };

struct job {
    struct request *r;
    struct identity who;
    struct image_change *list;
    size_t count;
    bool many;
    struct str key;
    struct err e;
};

static bool read_tags(struct json_pull *j, struct image_change *c, struct err *e) {
    if (j->token != PULL_ARRAY) return err_set(e, ERR_INVALID, "addTags must be a list of strings");
    while (json_next(j) != PULL_ARRAY_END) {
        if (j->token != PULL_STRING) return err_set(e, ERR_INVALID, "addTags must be a list of strings");
        if (!image_change_tag(c, j->text, e)) return false;
    }
    return true;
}

/* A member of an update, its value the current token. */
static bool read_member(struct job *job, struct json_pull *j, struct str name, struct image_change *c, struct err *e) {
    if (str_is(name, "metadata") && j->token != PULL_NULL) return image_change_values(j, &job->r->arena, c, e);
    if (str_is(name, "addTags") && j->token != PULL_NULL) return read_tags(j, c, e);
    if (str_is(name, "api_key") && j->token == PULL_STRING && !job->many) job->key = j->text;
    if (str_is(name, "imageId") && job->many) {
        if (j->token != PULL_STRING) return err_set(e, ERR_INVALID, "imageId must be a string");
        return image_id_read(j->text, &job->r->arena, c) || image_unknown(e);
    }
    if (str_is(name, "removeTags") || str_is(name, "removeMetadata"))
        return err_set(e, ERR_INVALID, STR_FMT " is not served: set a field to null to remove it", STR_ARG(name));
    return json_skip(j, NULL) || err_set(e, ERR_INVALID, "the body is not JSON: %s at byte %zu", j->error, j->at);
}

static bool read_update(struct job *job, struct json_pull *j, struct image_change *c, struct err *e) {
    if (j->token != PULL_OBJECT) return err_set(e, ERR_INVALID, "an update must be an object");
    while (json_next(j) == PULL_KEY) {
        struct str name = j->text;
        json_next(j);
        if (j->token != PULL_ERROR && !read_member(job, j, name, c, e)) return false;
    }
    if (j->token != PULL_OBJECT_END)
        return err_set(e, ERR_INVALID, "the body is not JSON: %s at byte %zu", j->error ? j->error : "text", j->at);
    return c->image || err_set(e, ERR_INVALID, "imageId is missing");
}

static bool read_updates(struct job *job, struct json_pull *j, struct err *e) {
    if (j->token != PULL_ARRAY) return err_set(e, ERR_INVALID, "updates must be a list");
    job->list = arena_alloc(&job->r->arena, UPDATES_MOST * sizeof *job->list);
    for (size_t i = 0; json_next(j) != PULL_ARRAY_END; i++) {
        if (i == UPDATES_MOST) return err_set(e, ERR_INVALID, "updates: a request may have %d", UPDATES_MOST);
        if (!read_update(job, j, &job->list[i], e)) return err_wrap(e, "updates[%zu]", i);
        job->count++;
    }
    return true;
}

static bool read_body(struct job *job, struct err *e) {
    struct json_pull j;
    bool found = false;
    json_pull_init(&j, job->r->body, &job->r->arena);
    json_next(&j);
    if (!job->many) {
        if (!read_update(job, &j, job->list, e)) return false;
    } else if (j.token == PULL_OBJECT) {
        while (json_next(&j) == PULL_KEY) {
            struct str name = j.text;
            json_next(&j);
            if (str_is(name, "api_key") && j.token == PULL_STRING) job->key = j.text;
            if (str_is(name, "updates") && !found) {
                found = true;
                if (!read_updates(job, &j, e)) return false;
            } else if (!json_skip(&j, NULL)) {
                break;
            }
        }
    }
    if (j.token != PULL_OBJECT_END || json_next(&j) != PULL_END)
        return err_set(e, ERR_INVALID, "the body is not a JSON object: %s at byte %zu", j.error ? j.error : "text",
                       j.at);
    return !job->many || found || err_set(e, ERR_INVALID, "updates is missing");
}

static void store(void *arg) {
    struct job *job = arg;
    size_t at;
    if (!images_change(app_of(job->r), &job->who, job->list, job->count, &job->r->arena, &at, &job->e) && job->many &&
        at < job->count)
        err_wrap(&job->e, "updates[%zu]", at);
    request_wake(job->r);
}

static void answer(struct request *r) {
    const struct job *job = r->data;
    char id[UUID_TEXT];
    if (job->e.code != ERR_NONE) {
        respond_error(r, &job->e);
        return;
    }
    put_object(&r->out);
    put_key(&r->out, "success"), put_bool(&r->out, true);
    /* It is done, not to be waited for; callers want a name of the task. */
    if (job->many) uuid_v4(id), put_key(&r->out, "taskId"), put_strz(&r->out, id);
    put_object_end(&r->out);
    respond_json(r, 200);
}

static void run(struct request *r, bool many) {
    struct job *job = arena_alloc(&r->arena, sizeof *job);
    struct err e = {0}, fault = {0};
    *job = (struct job){.r = r, .many = many};
    if (!many) {
        job->list = arena_alloc(&r->arena, sizeof *job->list);
        job->count = 1;
        if (!image_id_read(request_param(r, "image"), &r->arena, job->list)) image_unknown(&fault);
    }
    bool readable = fault.code == ERR_NONE && read_body(job, &fault);
    if (!authorize_workspace(r, request_param(r, "workspace"), job->key, &job->who, &e)) {
        respond_error(r, &e);
    } else if (!readable) {
        respond_error(r, &fault);
    } else {
        r->data = job;
        request_wait(r, answer);
        if (pool_submit(app_of(r)->ingest, store, job)) return;
        err_set(&job->e, ERR_BUSY, "too much waits to be kept; send it again");
        request_wake(r);
    }
}

void post_image_metadata(struct request *r) { run(r, false); }
void post_images_metadata(struct request *r) { run(r, true); }
