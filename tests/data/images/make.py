#!/usr/bin/python3
"""Makes the pictures beside it, for the tests of src/image: every kind that must work, and bad ones.

The good ones are 32 x 24, four flat quarters: red, green, blue, white from the upper left. Needs Debian's python3-pil.
The results are committed, as other releases of PIL write other bytes; run it again only to change them.
"""
import io
import os
import struct
import zlib

from PIL import Image

WIDTH, HEIGHT = 32, 24
RED, GREEN, BLUE, WHITE = (200, 30, 20), (20, 180, 40), (30, 40, 210), (255, 255, 255)


def quarters():
    im = Image.new("RGB", (WIDTH, HEIGHT))
    for color, x, y in ((RED, 0, 0), (GREEN, 1, 0), (BLUE, 0, 1), (WHITE, 1, 1)):
        im.paste(color, (x * WIDTH // 2, y * HEIGHT // 2, (x + 1) * WIDTH // 2, (y + 1) * HEIGHT // 2))
    return im


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, rows):
    """A PNG of any size and depth; PIL writes none with 16 bits a channel."""
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")


def write(name, data):
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), name), "wb") as f:
        f.write(data)


def save(name, im, kind, **options):
    out = io.BytesIO()
    im.save(out, kind, **options)
    write(name, out.getvalue())
    return out.getvalue()


im = quarters()
jpeg = {"quality": 95, "subsampling": 0}
save("rgb.png", im, "PNG")
save("palette.png", im.quantize(8), "PNG")
save("alpha.png", Image.merge("RGBA", (*im.split(), Image.new("L", im.size, 128))), "PNG")
save("grey.png", im.convert("L"), "PNG")
save("grey-alpha.png", im.convert("LA"), "PNG")
save("grey.jpg", im.convert("L"), "JPEG", **jpeg)
save("cmyk.jpg", im.convert("CMYK"), "JPEG", **jpeg)
save("rgb.webp", im, "WEBP", lossless=True)
save("rgb.tif", im, "TIFF")
save("animated.gif", im, "GIF", save_all=True, append_images=[Image.new("RGB", im.size, BLUE)], duration=100)

pixels = [im.getpixel((x, y)) for y in range(HEIGHT) for x in range(WIDTH)]
rows = b"".join(
    b"\0" + b"".join(struct.pack(">3H", *(c * 257 for c in p)) for p in pixels[y * WIDTH : (y + 1) * WIDTH])
    for y in range(HEIGHT)
)
write("rgb16.png", png(WIDTH, HEIGHT, 16, 2, rows))
grey = im.convert("L")
rows = b"".join(
    b"\0" + b"".join(struct.pack(">H", grey.getpixel((x, y)) * 257) for x in range(WIDTH)) for y in range(HEIGHT)
)
write("grey16.png", png(WIDTH, HEIGHT, 16, 0, rows))

# Stored lying on its side; orientation 6 means: turn it a quarter clockwise to see it upright.
exif = Image.Exif()
exif[0x0112] = 6
save("turned.jpg", im.rotate(90, expand=True), "JPEG", exif=exif.tobytes(), **jpeg)

# Bad ones.
noise = Image.frombytes("L", (64, 64), bytes((x * x * 7 + y * 13 + x * y * 31) & 255 for y in range(64) for x in range(64)))
whole = save("truncated.jpg", noise.convert("RGB"), "JPEG", quality=90)
write("truncated.jpg", whole[: len(whole) // 2])
whole = save("truncated.png", noise, "PNG")
write("truncated.png", whole[: len(whole) // 2])
whole = save("header-only.jpg", im, "JPEG", **jpeg)
write("header-only.jpg", whole[:24])
write("text.jpg", b"This is a text, whatever its name says.\n" * 4)
write("page.svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="32" height="24"><rect width="9" height="9"/></svg>\n')
write("bomb.png", png(20000, 20000, 1, 0, bytes(20000 * (20000 // 8 + 1))))
write("empty.png", b"")
