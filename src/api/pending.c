/* GET /api/v1/:workspace/pending: metadata that waits for its inference, how many ids by age, and the oldest of
 * them. */
#include "api/handlers.h"
#include "api/inference_json.h"
#include "api/read.h"
#include "query/lookup.h"

enum { LIMIT = 100 };

static void put_ages(struct buf *to, const struct waiting_list *list) {
    put_key(to, "ages"), put_array(to);
    for (size_t i = 0; i < WAITING_AGES; i++) {
        put_object(to);
        put_key(to, "up_to_s");
        if (i < WAITING_AGES - 1)
            put_int(to, waiting_ages_us[i] / 1000000);
        else
            put_null(to);
        put_key(to, "ids"), put_int(to, (int64_t)list->ages[i]);
        put_object_end(to);
    }
    put_array_end(to);
}

static bool show(struct read *rd, const struct view *v, struct err *e) {
    struct buf *to = &rd->request->out;
    struct waiting_list list;
    if (!query_waiting_list(v, rd->now_us, *(const uint64_t *)rd->own, &rd->request->arena, &list, e)) return false;
    put_object(to);
    put_key(to, "ids"), put_int(to, (int64_t)list.ids);
    put_ages(to, &list);
    put_key(to, "pending"), put_array(to);
    for (size_t i = 0; i < list.count; i++) {
        put_object(to);
        put_key(to, "inference_id"), put_str(to, list.oldest[i].id);
        put_key(to, "since"), put_time(to, list.oldest[i].since_us);
        put_key(to, "metadata"), put_entries(to, list.oldest[i].metadata, list.oldest[i].metadata_count);
        put_object_end(to);
    }
    put_array_end(to);
    put_key(to, "as_of"), put_time(to, rd->now_us);
    put_object_end(to);
    return true;
}

void get_pending(struct request *r) {
    static const char *const names[] = {"limit", NULL};
    struct read *rd = read_begin(r);
    if (!rd || !read_only(rd, names)) return;
    uint64_t *limit = rd->own = arena_alloc(&r->arena, sizeof *limit);
    *limit = LIMIT;
    if (read_number(rd, "limit", 1, WAITING_MOST, limit)) read_run(rd, show, NULL);
}
