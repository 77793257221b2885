/* The text of a parsed JSON value, {NULL, 0} of one that is no string or is absent. It lies in the value. Any thread. */
#pragma once
#include <jansson.h>

#include "base/str.h"

static inline struct str json_text(const json_t *v) {
    return (struct str){json_string_value(v), json_string_length(v)};
}
