/* Which pictures are kept: the setting keep_images. Its text is a default policy and exceptions by workspace,
 *
 *   none                      nothing is kept
 *   all,canary=none           all pictures, but none of workspace "canary"
 *   sample:0.05,line4=below:0.5   a twentieth of the inferences; of "line4" those that were not sure
 *
 * `sample:P` keeps the share P (0..1) of inferences, chosen by their ids, so all pictures of one request are kept or
 * none, and a resent request gets the same answer. `below:C` keeps a picture whose best detection has a confidence
 * under C; one in which nothing was found counts as 0. Immutable once parsed: any thread. */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"

struct keep;
struct keep *keep_parse(struct str text, struct err *e); /* NULL on error; the text is not kept */
void keep_free(struct keep *k);

/* top_confidence: of the picture's best detection, 0 when there is none. */
bool keep_decide(const struct keep *k, struct str workspace, struct str inference_id, double top_confidence);
