#include "infer/prepare.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

/* Where the resized picture lies in the input; part of it may be outside. */
struct place {
    int width, height, left, top;
};

static int at_least_one(double v) { return v < 1 ? 1 : (int)lround(v); }

static struct place place_of(int width, int height, const struct model_input *in) {
    if (in->resize == MODEL_STRETCH) return (struct place){in->width, in->height, 0, 0};
    double x = (double)in->width / width, y = (double)in->height / height;
    double scale = (in->resize == MODEL_LETTERBOX) == (x < y) ? x : y;
    struct place p = {.width = at_least_one(width * scale), .height = at_least_one(height * scale)};
    /* Of an odd number of pixels the smaller part comes first, whichever sign it has. */
    p.left = (int)floor((in->width - p.width) / 2.0);
    p.top = (int)floor((in->height - p.height) / 2.0);
    return p;
}

struct decode_frame prepare_frame(int width, int height, const struct model_input *input) {
    struct place p = place_of(width, height, input);
    return (struct decode_frame){.width = width,
                                 .height = height,
                                 .shift_x = p.left,
                                 .shift_y = p.top,
                                 .scale_x = (double)width / p.width,
                                 .scale_y = (double)height / p.height};
}

/* Where an output pixel lies between two input pixels. */
struct tap {
    bool inside;
    size_t first, second;
    float part; /* of the second */
};

static struct tap tap_at(int at, int from, int to) {
    double place = (at + 0.5) * from / to - 0.5;
    double low = floor(place);
    int first = (int)fmax(low, 0), second = (int)fmin(low + 1, from - 1);
    if (at < 0 || at >= to) return (struct tap){0};
    return (struct tap){true, (size_t)first, (size_t)second, (float)(place - low)};
}

void prepare(const struct image *picture, const struct model_input *input, float *tensor) {
    const size_t width = (size_t)input->width, height = (size_t)input->height, row_bytes = (size_t)picture->width * 3;
    const size_t pixel_step = input->layout == MODEL_NHWC ? 3 : 1;
    const size_t channel_step = input->layout == MODEL_NHWC ? 1 : width * height;
    const struct place p = place_of(picture->width, picture->height, input);
    float scale[3], shift[3];
    size_t to[3]; /* where red, green and blue go */
    for (size_t c = 0; c < 3; c++) {
        size_t channel = input->channels == MODEL_BGR ? 2 - c : c;
        scale[c] = (float)input->scale[channel];
        shift[c] = (float)(-input->mean[channel] * input->scale[channel]);
        to[c] = channel * channel_step;
    }
    struct tap *taps = mem_alloc(width * sizeof *taps);
    for (size_t x = 0; x < width; x++) taps[x] = tap_at((int)x - p.left, picture->width, p.width);

    for (size_t y = 0; y < height; y++) {
        struct tap v = tap_at((int)y - p.top, picture->height, p.height);
        const uint8_t *upper = picture->rgb + v.first * row_bytes, *lower = picture->rgb + v.second * row_bytes;
        float *out = tensor + y * width * pixel_step;
        for (size_t x = 0; x < width; x++, out += pixel_step) {
            if (!v.inside || !taps[x].inside) {
                for (size_t c = 0; c < 3; c++) out[to[c]] = (float)input->pad * scale[c] + shift[c];
                continue;
            }
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
