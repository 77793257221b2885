/* From a picture's pixels to a network's input tensor, in one pass: stretched to the input's size, bilinear between the
 * four nearest pixels with centres at half pixels (as OpenCV's INTER_LINEAR and PIL's transform do, which the public
 * servers use: no smoothing before shrinking), then channel order, mean, scale and layout. Pure; any thread. */
#pragma once
#include "image/image.h"
#include "infer/model.h"

/* `tensor` has 3 * width * height floats. */
void prepare_stretch(const struct image *picture, const struct model_input *input, float *tensor);
