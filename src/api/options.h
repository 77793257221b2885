/* Spellings of option values that the inference routes take (protocol 2.3, 2.5). Any thread. */
#pragma once
#include "base/err.h"
#include "base/json_text.h"

/* true/false, yes/no, on/off, t/f, y/n, 1/0 in any case. */
bool option_truth(struct str text, bool *out);
bool option_truth_json(const json_t *v, bool *out);      /* also JSON booleans and numbers 0, 1 */
bool option_number_json(const json_t *v, double *out);   /* also a number in a string */

/* mask_decode_mode and tradeoff_factor, either of them empty or NaN when it is not given, as infer_options.mask_factor.
 * The error's text is the protocol's. */
bool option_mask(struct str mode, double factor, double *out, struct err *e);
/* response_mask_format: polygon or rle. */
bool option_mask_format(struct str text, bool *runs);
