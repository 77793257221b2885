/* The store's answers beside the model's, by content. Each returns whether they are the same; if not, `why` gets
 * both. */
#pragma once
#include "expect.h"
#include "query/plan.h"
#include "store/view.h"

/* What is asked of rows; a list keeps its place in it, in the store's terms and in the model's. */
struct question {
    struct str text; /* the filter as written */
    const struct filter *filter;
    int64_t from_us, to_us;
    bool partial;
    uint32_t limit; /* of hits, of a facet's values */
    struct cursor store, model;
    bool more;      /* there is a further page */
    bool rows_only; /* summaries are off */
    size_t *summed; /* how often one stood for a segment is added; NULL: to nothing */
};

bool compare_page(const struct view *v, const struct model *m, struct question *q, struct buf *why);
bool compare_count(const struct view *v, const struct model *m, const struct question *q, struct buf *why);
bool compare_groups(const struct view *v, const struct model *m, const struct question *q, const struct grouping *g,
                    struct buf *why);
bool compare_facets(const struct view *v, const struct model *m, const struct question *q, struct buf *why);

/* `which`: any of the id's rows with NULL. */
bool compare_one(const struct view *v, const struct model *m, struct str id, const struct model_row *which,
                 int64_t now_us, struct buf *why);
bool compare_waiting(const struct view *v, const struct model *m, int64_t now_us, struct buf *why);

/* Each row in exactly one part, flags and order as they should be; segments whole. */
bool compare_parts(const struct view *v, const struct model *m, struct buf *why);

/* All of it. */
bool compare_all(const struct view *v, const struct model *m, int64_t now_us, struct buf *why);

/* As text. The first line that differs goes to `why`. */
void print_value(struct buf *out, const struct value *v);
bool compare_text(const struct buf *got, const struct buf *want, struct buf *why);
