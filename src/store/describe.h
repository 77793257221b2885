/* What others than queries ask of a segment. Any thread.
 *
 * The manifest says beside its name how many rows it has, of which times, and when the last of them was received:
 * retention goes by it, and answers tell it when the file cannot be read. */
#pragma once
#include "record/uploads.h"
#include "store/manifest.h"
#include "store/segment.h"

/* Each picture that a row names, or that was uploaded for it. Under a guard. */
void segment_each_picture(const struct segment *s, picture_call *call, void *ctx);

/* Reads a column. Needs no guard of the caller's; ERR_DAMAGED: the segment could not be read. */
bool segment_describe(const struct segment *s, struct manifest_segment *out, struct err *e);
