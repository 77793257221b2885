/* Plans as JSON, the one form that requests and answers have; docs/query.md describes it with examples.
 *
 *   plan     = {"from": time, "to": time, "filter": filter (filter_json.h), "partial": boolean, "timeout_s": number,
 *               and one of
 *               "list": {"limit": 1..1000, "cursor": text}
 *               "count": {}
 *               "groups": [grouping, ...]
 *               "facets": {"of": [column, ...], "columns": boolean, "fields": boolean, "limit": 1..1000}}
 *   grouping = {"by": [key, ...], "measures": [measure, ...], "order": [name, "-name", ...], "limit": 1..10000,
 *               "cursor": text, "totals": boolean}
 *   key      = column | {"key": column, "width_s", "offset_s" (time), "width" (confidence), "top": n, "top_by":
 * measure, "other": boolean} measure  = "inferences" | "errors" | "empty" | "detections" | "distinct(column)" |
 * "sum(column)" | "avg(column)" | "min(column)" | "max(column)" | "quantile(column,0.95)" | "histogram(column)" |
 * "newest(column)" | "stats" column   = a name of PLAN_OF_MAP, "metadata.NAME" for metadata
 *
 * Any thread. */
#pragma once
#include "query/filter_json.h"
#include "query/plan.h"

enum {
    PLAN_LIST_DEFAULT = 100,
    PLAN_LIST_MOST = 1000,
    PLAN_GROUP_LIMIT_DEFAULT = 1000,
    PLAN_GROUP_LIMIT_MOST = 10000,
    PLAN_FACET_DEFAULT = 10,
    PLAN_FACET_MOST = 1000,
    PLAN_MAX_GROUPS = 1000000, /* what `max_groups` of a plan from JSON is; its memory ends most before */
};

/* Everything but the workspace, which no JSON names. Strings are copied into the arena. */
bool plan_from_json(struct arena *a, const json_t *json, struct plan *out, struct json_fault *fault, struct err *e);
/* What plan_from_json reads back as the same plan. */
void plan_to_json(struct buf *to, const struct plan *p);

/* A column by its name. False: there is none of that name, or none that may be used so. */
bool subject_read(struct arena *a, struct str name, unsigned uses, struct subject *out);
/* What most people mean by a plan without "partial": rows from partial sources are wanted when it speaks of them. */
bool plan_speaks_of_partial(const struct plan *p);
