/* The answer to a plan as JSON, in the one shape that every route has for a kind of plan; docs/query.md describes it.
 * Any thread. */
#pragma once
#include "api/read.h"

/* Runs the plan of the request and writes its answer: work for read_run, of routes that are a plan and nothing else. */
read_work show_answer;

/* The members, without the braces. */
void put_facet(struct buf *to, const char *name_key, struct str name, const struct facet *f);
