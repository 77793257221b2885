#include "infer/meter.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"

struct slot {
    int64_t second;
    size_t inferences, errors;
    double seconds;
};

/* Of one account's model; two whose names come out the same are counted together. */
struct row {
    uint64_t account;
    struct str name;
    struct slot slots[METER_WINDOW_S];
};

struct meter {
    pthread_mutex_t lock; /* over all below */
    struct arena names;
    struct row *rows;
    size_t count;
};

struct meter *meter_new(void) {
    struct meter *m = mem_zero(1, sizeof *m);
    CHECK(pthread_mutex_init(&m->lock, NULL) == 0);
    return m;
}

void meter_free(struct meter *m) {
    if (!m) return;
    arena_free(&m->names);
    free(m->rows);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static char name_char(char c) {
    bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    return fits ? c : '_';
}

static bool same_name(struct str name, struct str model) {
    if (name.n != model.n) return false;
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] != name_char(model.p[i])) return false;
    return true;
}

/* The slot of this second, emptied if it was of another. */
static struct slot *slot_of(struct meter *m, uint64_t account, struct str model, int64_t now_us) {
    size_t i = 0;
    while (i < m->count && !(m->rows[i].account == account && same_name(m->rows[i].name, model))) i++;
    if (i == m->count) {
        char *name = arena_alloc(&m->names, model.n + 1);
        for (size_t k = 0; k < model.n; k++) name[k] = name_char(model.p[k]);
        m->rows = mem_resize(m->rows, (m->count + 1) * sizeof *m->rows);
        m->rows[m->count++] = (struct row){.account = account, .name = {name, model.n}};
    }
    int64_t second = now_us / 1000000;
    struct slot *s = &m->rows[i].slots[second % METER_WINDOW_S];
    if (s->second != second) *s = (struct slot){.second = second};
    return s;
}

void meter_done(struct meter *m, uint64_t account, struct str model, size_t pictures, double seconds, int64_t now_us) {
    pthread_mutex_lock(&m->lock);
    struct slot *s = slot_of(m, account, model, now_us);
    s->inferences += pictures;
    s->seconds += seconds;
    pthread_mutex_unlock(&m->lock);
}

void meter_failed(struct meter *m, uint64_t account, struct str model, int64_t now_us) {
    pthread_mutex_lock(&m->lock);
    slot_of(m, account, model, now_us)->errors++;
    pthread_mutex_unlock(&m->lock);
}

static struct slot sum_of(const struct row *row, int64_t now_us) {
    struct slot sum = {0};
    for (size_t i = 0; i < METER_WINDOW_S; i++) {
        const struct slot *s = &row->slots[i];
        if (s->second <= now_us / 1000000 - METER_WINDOW_S) continue;
        sum.inferences += s->inferences, sum.errors += s->errors, sum.seconds += s->seconds;
    }
    return sum;
}

static void gauge(struct buf *out, const char *what, struct str name, const char *help, double value) {
    buf_printf(out, "# HELP %s" STR_FMT " %s\n# TYPE %s" STR_FMT " gauge\n%s" STR_FMT " %.9g\n", what, STR_ARG(name), help,
               what, STR_ARG(name), what, STR_ARG(name), value);
}

static void write(struct buf *out, struct str name, const struct slot *sum) {
    gauge(out, "num_inferences_", name, "Inferences in the last 10 seconds", (double)sum->inferences);
    gauge(out, "avg_inference_time_", name, "Mean seconds of an inference in the last 10 seconds",
          sum->inferences ? sum->seconds / (double)sum->inferences : 0);
    gauge(out, "num_errors_", name, "Failed inferences in the last 10 seconds", (double)sum->errors);
}

void meter_write(struct meter *m, uint64_t account, int64_t now_us, struct buf *out) {
    struct slot total = {0};
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->count; i++) {
        if (m->rows[i].account != account) continue;
        struct slot sum = sum_of(&m->rows[i], now_us);
        total.inferences += sum.inferences, total.errors += sum.errors, total.seconds += sum.seconds;
        if (m->rows[i].name.n) write(out, m->rows[i].name, &sum);
    }
    pthread_mutex_unlock(&m->lock);
    write(out, STR("total"), &total);
}
