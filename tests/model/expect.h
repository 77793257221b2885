/* What the model answers to a plan: each row looked at by itself, nothing prepared; of src/query only the types of
 * question and answer, and the parser's tree. One thread. */
#pragma once
#include "model.h"
#include "query/answer.h"

bool expect_matches(const struct model *m, const struct model_row *r, const struct filter *f); /* f: NULL matches */

/* The rows of a plan, newest first; the caller frees them. Sequence numbers in the plan (cursor, as_of) are the model's
 * orders of arrival. */
size_t expect_rows(const struct model *m, const struct plan *p, const struct model_row ***rows);

/* In the arena. Quantiles and means are exact where the store's are near. */
void expect_groups(const struct model *m, const struct plan *p, const struct grouping *g, struct arena *a,
                   struct group_list *out);
void expect_facet(const struct model *m, const struct plan *p, const struct subject *of, struct arena *a,
                  struct facet *out);

/* Of a row; not OF_CLASS. */
struct value expect_value(const struct model *m, const struct model_row *r, const struct subject *of);
bool key_value_eq(const struct key_value *x, const struct key_value *y);
