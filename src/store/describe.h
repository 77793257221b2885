/* What the manifest says of a segment beside its name: how many rows it has, of which times, and when the last of them was
 * received. Retention goes by it, and answers tell it when the file cannot be read. Any thread. */
#pragma once
#include "store/manifest.h"
#include "store/segment.h"

/* Reads a column. Needs no guard of the caller's; ERR_DAMAGED: the segment could not be read. */
bool segment_describe(const struct segment *s, struct manifest_segment *out, struct err *e);
