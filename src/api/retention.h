/* How long the inferences of a workspace are kept, in microseconds; 0: for ever, and when it cannot be known. For the
 * store, which asks when it is about to drop some. ctx: struct app. Waits for the disk. */
#pragma once
#include <stdint.h>

int64_t retention_of(void *ctx, uint32_t workspace);
