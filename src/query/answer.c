#include "query/answer.h"

#include <stdlib.h>

static int sign(bool above, bool below) { return above - below; }

/* ---- order ---- */

int value_order(const struct value *a, const struct value *b) {
    static const int ranks[] = {[VALUE_NONE] = 3, [VALUE_BOOL] = 0, [VALUE_NUMBER] = 1, [VALUE_STRING] = 2};
    if (a->type != b->type) return ranks[a->type] - ranks[b->type];
    switch (a->type) {
    case VALUE_NUMBER: return sign(a->number > b->number, a->number < b->number);
    case VALUE_STRING: return str_cmp(a->text, b->text);
    default: return a->truth - b->truth;
    }
}

static int key_order(const struct key_value *x, const struct key_value *y, bool descending) {
    if (x->kind != y->kind) return (int)x->kind - (int)y->kind;
    if (x->kind != KEY_VALUE) return 0;
    int order = x->value.type == VALUE_NONE ? sign(x->time_us > y->time_us, x->time_us < y->time_us)
                                            : value_order(&x->value, &y->value);
    return descending ? -order : order;
}

static int cell_order(const struct measure *m, const struct cell *x, const struct cell *y, bool descending) {
    int order = 0;
    if (x->known != y->known) return x->known ? -1 : 1;
    if (!x->known) return 0;
    switch (m->kind) {
    case MEASURE_INFERENCES:
    case MEASURE_ERRORS:
    case MEASURE_EMPTY:
    case MEASURE_DETECTIONS:
    case MEASURE_DISTINCT: order = sign(x->count > y->count, x->count < y->count); break;
    case MEASURE_HISTOGRAM: break;
    case MEASURE_NEWEST: order = str_cmp(x->text, y->text); break;
    default:
        order = m->of.of == OF_TIME ? sign(x->time_us > y->time_us, x->time_us < y->time_us)
                                    : sign(x->number > y->number, x->number < y->number);
    }
    return descending ? -order : order;
}

int group_order(const struct grouping *g, const struct group *a, const struct group *b) {
    int order = 0;
    for (size_t i = 0; i < g->order_count && order == 0; i++) {
        struct order o = g->orders[i];
        size_t measure = o.column - g->key_count;
        order = o.column < g->key_count
                    ? key_order(&a->keys[o.column], &b->keys[o.column], o.descending)
                    : cell_order(&g->measures[measure], &a->cells[measure], &b->cells[measure], o.descending);
    }
    for (size_t i = 0; i < g->key_count && order == 0; i++) order = key_order(&a->keys[i], &b->keys[i], false);
    return order;
}

static int by_order(const void *x, const void *y, void *grouping) { return group_order(grouping, x, y); }

void group_list_finish(const struct grouping *g, struct group_list *list) {
    struct grouping order = *g;
    list->all = list->count;
    if (list->count > 1) qsort_r(list->groups, list->count, sizeof *list->groups, by_order, &order);
    size_t skipped = g->skip < list->count ? g->skip : list->count;
    if (skipped) list->groups += skipped;
    list->count -= skipped;
    if (g->limit && list->count > g->limit) list->count = g->limit;
}
