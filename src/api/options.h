/* Spellings of option values that the inference routes take (protocol 2.3, 2.5). Any thread. */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

/* true/false, yes/no, on/off, t/f, y/n, 1/0 in any case. */
bool option_truth(struct str text, bool *out);
bool option_truth_json(const json_t *v, bool *out);      /* also JSON booleans and numbers 0, 1 */
bool option_number_json(const json_t *v, double *out);   /* also a number in a string */
