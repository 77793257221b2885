/* From a picture's pixels to a network's input tensor, in one pass: resized (bilinear between the four nearest pixels
 * with centres at half pixels, as OpenCV's INTER_LINEAR and PIL's transform do, which the public servers use: no
 * smoothing before shrinking), laid in the input as `resize` says, then channel order, mean, scale and layout.
 *
 * stretch: it fills the input, its proportions are lost. letterbox: it fits into the input, in the middle, and what is
 * left over is `pad`. crop: it covers the input, and what stands out on two sides is cut off.
 *
 * Pure; any thread. */
#pragma once
#include "image/image.h"
#include "infer/decode.h"
#include "infer/model.h"

/* How a picture of that size will lie in the input. */
struct decode_frame prepare_frame(int width, int height, const struct model_input *input);

/* `tensor` has 3 * width * height floats. */
void prepare(const struct image *picture, const struct model_input *input, float *tensor);
