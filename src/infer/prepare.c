#include "infer/prepare.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* Where an output pixel lies between two input pixels. */
struct tap {
    size_t first, second;
    float part; /* of the second */
};

static struct tap tap_at(int at, int from, int to) {
    double place = (at + 0.5) * from / to - 0.5;
    double low = floor(place);
    int first = (int)fmax(low, 0), second = (int)fmin(low + 1, from - 1);
    return (struct tap){(size_t)first, (size_t)second, (float)(place - low)};
}

void prepare_stretch(const struct image *picture, const struct model_input *input, float *tensor) {
    const size_t width = (size_t)input->width, height = (size_t)input->height, row_bytes = (size_t)picture->width * 3;
    const size_t pixel_step = input->layout == MODEL_NHWC ? 3 : 1;
    const size_t channel_step = input->layout == MODEL_NHWC ? 1 : width * height;
    float scale[3], shift[3];
    size_t to[3]; /* where red, green and blue go */
    for (size_t c = 0; c < 3; c++) {
        size_t channel = input->channels == MODEL_BGR ? 2 - c : c;
        scale[c] = (float)input->scale[channel];
        shift[c] = (float)(-input->mean[channel] * input->scale[channel]);
        to[c] = channel * channel_step;
    }
    struct tap *taps = mem_alloc(width * sizeof *taps);
    for (size_t x = 0; x < width; x++) taps[x] = tap_at((int)x, picture->width, input->width);

    for (size_t y = 0; y < height; y++) {
        struct tap v = tap_at((int)y, picture->height, input->height);
        const uint8_t *upper = picture->rgb + v.first * row_bytes, *lower = picture->rgb + v.second * row_bytes;
        float *out = tensor + y * width * pixel_step;
        for (size_t x = 0; x < width; x++, out += pixel_step) {
            size_t left = taps[x].first * 3, right = taps[x].second * 3;
            float h = taps[x].part;
            for (size_t c = 0; c < 3; c++) {
                float above = (float)upper[left + c] + h * (float)(upper[right + c] - upper[left + c]);
                float below = (float)lower[left + c] + h * (float)(lower[right + c] - lower[left + c]);
                out[to[c]] = (above + v.part * (below - above)) * scale[c] + shift[c];
            }
        }
    }
    free(taps);
}
