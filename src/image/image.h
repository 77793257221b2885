/* Pictures: from the bytes a client sent to 8-bit sRGB pixels, and from pixels to a thumbnail. libvips does the
 * decoding, and only by the loaders it holds safe for strangers' bytes: JPEG, PNG, GIF, WebP, TIFF, HEIF and AVIF.
 *
 * What is in a picture is never believed: size in bytes and in pixels is checked before anything is decoded, and a
 * picture that ends early or is damaged is an error, not half a picture. Grey, 16-bit, CMYK and palette pictures become
 * 8-bit RGB; alpha is laid on black; of an animation the first frame counts. An embedded profile is used for CMYK only,
 * as the networks were trained on RGB values taken as they are.
 *
 * Any thread, between image_start and image_stop. The texts of errors are those that the inference routes answer
 * (protocol 2.6): "Could not load input image. Cause: ...". */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

bool image_start(struct err *e); /* once, before the first thread; turns off what libvips caches */
void image_stop(void);

struct image_limits {
    size_t max_bytes;    /* of the encoded picture */
    uint64_t max_pixels; /* width times height, 3 bytes of memory each */
};

/* Rows from the top, pixels from the left, three bytes each, no padding. Whoever asked for it frees it. */
struct image {
    uint8_t *rgb;
    int width, height;               /* of rgb: upright when that was asked for, else as stored */
    int stored_width, stored_height; /* as stored in the file, before EXIF turned it */
};

/* Decodes; with `upright` turns the picture as its EXIF orientation says. False leaves *out empty. */
bool image_decode(struct str bytes, const struct image_limits *limits, bool upright, struct image *out, struct err *e);
void image_free(struct image *image);

enum { IMAGE_THUMBNAIL_SIDE = 320 };

/* Appends a JPEG of the picture, its longer side at most IMAGE_THUMBNAIL_SIDE pixels; never larger than the picture. */
bool image_thumbnail(const struct image *image, struct buf *jpeg, struct err *e);

/* Appends the picture as a JPEG of quality 90. */
bool image_jpeg(const struct image *image, struct buf *jpeg, struct err *e);

/* Appends what the base64 text stands for. A "data:...;base64," before it and blanks and line ends in it are passed
 * over; the alphabet is the standard one and padding is required. */
bool image_decode_base64(struct str text, size_t max_bytes, struct buf *out, struct err *e);

/* The media type by the first bytes, for a picture that image_decode reads; "application/octet-stream" otherwise. */
const char *image_media_type(struct str bytes);
