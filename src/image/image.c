#include "image/image.h"

#include <inttypes.h>
#include <sodium.h>
#include <vips/vips.h>

#define CANNOT "Could not load input image. Cause: "

static void drop_message(const char *domain, GLogLevelFlags level, const char *message, void *ctx) {
    (void)domain, (void)level, (void)message, (void)ctx;
}

bool image_start(struct err *e) {
    if (sodium_init() < 0) return err_set(e, ERR_INTERNAL, "libsodium found no source of randomness on this machine");
    if (VIPS_INIT("sightglass") != 0) {
        err_set(e, ERR_INTERNAL, "libvips did not start: %s", vips_error_buffer());
        vips_error_clear();
        return false;
    }
    vips_block_untrusted_set(TRUE);
    /* Every picture is another one, so its cache of results is only memory, and the service has threads of its own. */
    vips_cache_set_max(0);
    vips_cache_set_max_mem(0);
    vips_cache_set_max_files(0);
    vips_concurrency_set(1);
    /* Its warnings about damaged pictures would stand between our log lines; what they lead to is in our errors. */
    g_log_set_handler("VIPS", G_LOG_LEVEL_WARNING | G_LOG_LEVEL_MESSAGE | G_LOG_LEVEL_INFO, drop_message, NULL);
    return true;
}

void image_stop(void) { vips_shutdown(); }

static const struct {
    struct str magic;
    size_t at;
    const char *name, *media_type;
} formats[] = {
    {STR("\xff\xd8\xff"), 0, "JPEG", "image/jpeg"},
    {STR("\x89PNG\r\n\x1a\n"), 0, "PNG", "image/png"},
    {STR("GIF8"), 0, "GIF", "image/gif"},
    {STR("WEBP"), 8, "WebP", "image/webp"},
    {STR("II*\0"), 0, "TIFF", "image/tiff"},
    {STR("MM\0*"), 0, "TIFF", "image/tiff"},
    {STR("ftypavif"), 4, "AVIF", "image/avif"},
    {STR("ftypheic"), 4, "HEIF", "image/heif"},
    {STR("ftypheix"), 4, "HEIF", "image/heif"},
    {STR("ftypmif1"), 4, "HEIF", "image/heif"},
};
enum { FORMAT_COUNT = sizeof formats / sizeof *formats };

static size_t format_of(struct str bytes) {
    size_t i = 0;
    while (i < FORMAT_COUNT &&
           !(bytes.n > formats[i].at && str_starts(str_from(bytes, formats[i].at), formats[i].magic)))
        i++;
    return i;
}

const char *image_media_type(struct str bytes) {
    size_t format = format_of(bytes);
    return format < FORMAT_COUNT ? formats[format].media_type : "application/octet-stream";
}

/* Puts the next step of a pipeline in the place of the one it was made from. */
static bool step(VipsImage **at, int failed, VipsImage **next) {
    if (failed) return false;
    g_object_unref(*at);
    *at = *next;
    return true;
}

/* From whatever the loader gives to three bands of 8 bits, and upright if so wished. */
static bool to_rgb(VipsImage **at, bool turn) {
    VipsImage *next = NULL;
    if (vips_image_get_interpretation(*at) != VIPS_INTERPRETATION_sRGB &&
        !step(at, vips_colourspace(*at, &next, VIPS_INTERPRETATION_sRGB, NULL), &next))
        return false;
    /* Alpha is left out, not blended: that is what the networks' own tools do. */
    if (vips_image_get_bands(*at) > 3 && !step(at, vips_extract_band(*at, &next, 0, "n", 3, NULL), &next)) return false;
    if (vips_image_get_bands(*at) != 3) return false;
    if (vips_image_get_format(*at) != VIPS_FORMAT_UCHAR && !step(at, vips_cast_uchar(*at, &next, NULL), &next))
        return false;
    if (!turn) return true;
    /* Turning reads out of order, the loader gives rows in order. */
    next = vips_image_copy_memory(*at);
    return step(at, next == NULL, &next) && step(at, vips_autorot(*at, &next, NULL), &next);
}

static bool check_size(struct str bytes, const struct image_limits *limits, struct err *e) {
    if (bytes.n == 0) return err_set(e, ERR_INVALID, CANNOT "Empty image payload.");
    if (bytes.n > limits->max_bytes)
        return err_set(e, ERR_TOO_LARGE, CANNOT "The picture has %zu bytes, the limit is %zu.", bytes.n,
                       limits->max_bytes);
    return true;
}

bool image_decode(struct str bytes, const struct image_limits *limits, bool upright, struct image *out, struct err *e) {
    *out = (struct image){0};
    if (!check_size(bytes, limits, e)) return false;
    size_t format = format_of(bytes);
    if (format == FORMAT_COUNT)
        return err_set(e, ERR_INVALID, CANNOT "The bytes are not a JPEG, PNG, GIF, WebP, TIFF, HEIF or AVIF picture.");

    bool ok = false;
    VipsImage *at = vips_image_new_from_buffer(bytes.p, bytes.n, "", "access", VIPS_ACCESS_SEQUENTIAL, "fail_on",
                                               VIPS_FAIL_ON_ERROR, NULL);
    if (!at) {
        err_set(e, ERR_INVALID, CANNOT "The %s picture's header is damaged.", formats[format].name);
        goto out;
    }
    int width = vips_image_get_width(at), height = vips_image_get_height(at);
    if ((uint64_t)width * (uint64_t)height > limits->max_pixels) {
        err_set(e, ERR_INVALID, CANNOT "The picture has %d x %d pixels, the limit is %" PRIu64 " (max_image_pixels).",
                width, height, limits->max_pixels);
        goto out;
    }
    size_t size = 0;
    if (!to_rgb(&at, upright && vips_image_get_orientation(at) != 1) ||
        !(out->rgb = vips_image_write_to_memory(at, &size))) {
        err_set(e, ERR_INVALID, CANNOT "The %s picture is damaged or ends early.", formats[format].name);
        goto out;
    }
    out->width = vips_image_get_width(at);
    out->height = vips_image_get_height(at);
    out->stored_width = width;
    out->stored_height = height;
    ok = true;
out:
    if (at) g_object_unref(at);
    vips_error_clear();
    vips_thread_shutdown();
    return ok;
}

void image_free(struct image *image) {
    g_free(image->rgb);
    *image = (struct image){0};
}

bool image_thumbnail(const struct image *image, struct buf *jpeg, struct err *e) {
    size_t size = (size_t)image->width * (size_t)image->height * 3, length = 0;
    void *bytes = NULL;
    VipsImage *at = vips_image_new_from_memory(image->rgb, size, image->width, image->height, 3, VIPS_FORMAT_UCHAR);
    VipsImage *small = NULL;
    bool ok = at &&
              vips_thumbnail_image(at, &small, IMAGE_THUMBNAIL_SIDE, "height", IMAGE_THUMBNAIL_SIDE, "size",
                                   VIPS_SIZE_DOWN, NULL) == 0 &&
              vips_jpegsave_buffer(small, &bytes, &length, "Q", 80, "strip", TRUE, NULL) == 0;
    if (ok)
        buf_add(jpeg, bytes, length);
    else
        err_set(e, ERR_INTERNAL, "no thumbnail of a picture of %d x %d pixels: %s", image->width, image->height,
                vips_error_buffer());
    g_free(bytes);
    if (small) g_object_unref(small);
    if (at) g_object_unref(at);
    vips_error_clear();
    vips_thread_shutdown();
    return ok;
}

bool image_jpeg(const struct image *image, struct buf *jpeg, struct err *e) {
    size_t size = (size_t)image->width * (size_t)image->height * 3, length = 0;
    void *bytes = NULL;
    VipsImage *at = vips_image_new_from_memory(image->rgb, size, image->width, image->height, 3, VIPS_FORMAT_UCHAR);
    bool ok = at && vips_jpegsave_buffer(at, &bytes, &length, "Q", 90, "strip", TRUE, NULL) == 0;
    if (ok)
        buf_add(jpeg, bytes, length);
    else
        err_set(e, ERR_INTERNAL, "no JPEG of a picture of %d x %d pixels: %s", image->width, image->height,
                vips_error_buffer());
    g_free(bytes);
    if (at) g_object_unref(at);
    vips_error_clear();
    vips_thread_shutdown();
    return ok;
}

/* Passes over "data:image/jpeg;base64,". */
static struct str without_prefix(struct str text) {
    struct str head, tail;
    struct str start = {text.p, text.n < 128 ? text.n : 128};
    if (str_starts(text, STR("data:")) && str_cut(start, ',', &head, &tail)) return str_from(text, head.n + 1);
    return text;
}

bool image_decode_base64(struct str text, size_t max_bytes, struct buf *out, struct err *e) {
    struct str base64 = without_prefix(str_trim(text));
    if (base64.n == 0) return err_set(e, ERR_INVALID, CANNOT "Empty image payload.");
    if (base64.n / 4 > max_bytes / 3 + 1)
        return err_set(e, ERR_TOO_LARGE, CANNOT "The picture has over %zu bytes, the limit.", max_bytes);
    if (format_of(text) != FORMAT_COUNT)
        return err_set(e, ERR_INVALID, CANNOT "Invalid base64 input: these are the raw bytes of a picture; send them "
                                              "as base64 text, or as the part \"file\" of a multipart form.");
    size_t room = base64.n / 4 * 3 + 3, length = 0;
    buf_reserve(out, room);
    /* libsodium looks for a character to pass over with strchr, which finds NUL too. */
    if (memchr(base64.p, 0, base64.n) ||
        sodium_base642bin((unsigned char *)out->p + out->n, room, base64.p, base64.n, " \t\r\n", &length,
                          NULL, sodium_base64_VARIANT_ORIGINAL) != 0)
        return err_set(e, ERR_INVALID, CANNOT "Malformed base64 input image.");
    if (length == 0) return err_set(e, ERR_INVALID, CANNOT "Empty image payload.");
    out->n += length;
    return true;
}
