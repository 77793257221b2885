/* The dashboard's files, which tools/embed puts into the program at build time. Constant: any thread. */
#pragma once
#include <stddef.h>

struct ui_asset {
    const char *path; /* below /ui/: "index.html", "assets/index-1a2b.js" */
    const char *type;
    const char *etag; /* with its quotes */
    const unsigned char *bytes;
    size_t size;
    const unsigned char *packed; /* gzip */
    size_t packed_size;
};

extern const struct ui_asset ui_assets[];
extern const size_t ui_asset_count;
