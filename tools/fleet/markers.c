#include "markers.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "client_json.h"

static bool is_there(const json_t *markers, const char *when, const char *text) {
    json_t *one;
    size_t at;
    json_array_foreach(markers, at, one) {
        const char *its_time = json_string_value(json_object_get(one, "time"));
        const char *its_text = json_string_value(json_object_get(one, "text"));
        if (its_time && its_text && !strcmp(its_time, when) && !strcmp(its_text, text)) return true;
    }
    return false;
}

static bool set_marker(struct client *c, const char *path, const struct marker *m, const char *when, struct err *e) {
    struct buf b = {0};
    put_object(&b);
    put_key(&b, "time"), put_strz(&b, when);
    put_key(&b, "text"), put_strz(&b, m->text);
    put_key(&b, "kind"), put_strz(&b, m->kind == MARKER_CHANGEOVER ? "changeover" : "other");
    put_key(&b, "device_id"), put_strz(&b, m->device_id[0] ? m->device_id : NULL);
    put_object_end(&b);
    json_t *answer = client_json(c, "POST", path, buf_str(&b), e);
    buf_free(&b);
    json_decref(answer);
    return answer != NULL;
}

static bool is_noted(const struct world *w, const struct marker *m) {
    char line[NAME];
    if (m->kind != MARKER_CHANGEOVER) return m->kind == MARKER_LENS;
    snprintf(line, sizeof line, "%s, line-%u: ", world_plants[w->containers[0].plant], w->containers[0].line);
    return !strncmp(m->text, line, strlen(line));
}

bool markers_set(const struct wire *wire, struct err *e) {
    const struct world *w = wire->w;
    struct client c;
    char path[512], from[CLOCK_TEXT], to[CLOCK_TEXT];
    snprintf(path, sizeof path, "/api/v1/%s/markers?from=%s&to=%s", wire->workspace, clock_format(w->begin_us, from),
             clock_format(world_start(w, w->windows), to));
    if (!client_open(&c, w->s->url, wire->key, e)) return false;
    json_t *there = client_json(&c, "GET", path, (struct str){0}, e);
    bool ok = there != NULL;
    snprintf(path, sizeof path, "/api/v1/%s/markers", wire->workspace);
    for (size_t i = 0; ok && i < w->marker_count; i++) {
        const struct marker *m = &w->markers[i];
        clock_format(m->time_us, from);
        if (is_noted(w, m) && !is_there(json_object_get(there, "markers"), from, m->text))
            ok = set_marker(&c, path, m, from, e);
    }
    json_decref(there);
    client_close(&c);
    return ok;
}
