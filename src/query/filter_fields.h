/* What filter.c and filter_json.c know of the fields that are no metadata: their names, and what their values are. */
#pragma once
#include "query/filter.h"

enum kind { KIND_TEXT, KIND_NUMBER, KIND_TIME, KIND_BOOL, KIND_CLASS, KIND_METADATA };

struct filter_builtin {
    const char *name;
    enum kind kind;
};
extern const struct filter_builtin filter_builtins[FIELD_METADATA]; /* by enum filter_field; in filter.c */
