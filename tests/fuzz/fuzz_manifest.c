/* MANIFEST's text: what is taken keeps to the law of manifest.h and is written again as the very bytes it was read
 * from; of the form before this one, as what is then written again as it is. The input is the lines without the last one; a right checksum is put behind them, or hardly any would be taken.
 */
#include <inttypes.h>

#include "base/check.h"
#include "base/crc32c.h"
#include "store/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_workspace(const struct manifest *m, size_t i) {
    const struct manifest_workspace *w = &m->workspaces[i];
    CHECK(manifest_find(m, w->number) == w && (i == 0 || w->number > w[-1].number));
    CHECK(w->deleted || (w->next_log > 0 && w->next_segment > 0));
    CHECK(!w->deleted || (w->log_count == 0 && w->segment_count == 0));
    for (size_t n = 0; n < w->log_count; n++)
        CHECK(w->logs[n].number > (n ? w->logs[n - 1].number : 0) && w->logs[n].number < w->next_log &&
              w->logs[n].length > 0 && w->logs[n].length % 512 == 0);
    for (size_t n = 0; n < w->segment_count; n++)
        CHECK(w->segments[n].number > (n ? w->segments[n - 1].number : 0) && w->segments[n].number < w->next_segment);
}

static void written(const struct manifest *m, struct buf *to) {
    struct manifest copy;
    manifest_copy(&copy, m);
    manifest_print(&copy, to);
    manifest_free(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buf text = {0}, again = {0};
    struct manifest m;
    struct err e = {0};
    if (manifest_parse((struct str){(const char *)data, size}, &m, &e)) manifest_free(&m);
    if (size) buf_add(&text, data, size);
    buf_printf(&text, "crc %08" PRIx32 "\n", crc32c(0, data, size));
    if (manifest_parse(buf_str(&text), &m, &e)) {
        for (size_t i = 0; i < m.count; i++) check_workspace(&m, i);
        written(&m, &again);
        manifest_free(&m);
        if (str_starts(buf_str(&text), STR("sightglass-manifest 2\n"))) {
            buf_free(&text);
            buf_add_str(&text, buf_str(&again));
            buf_free(&again);
            CHECK(manifest_parse(buf_str(&text), &m, &e));
            written(&m, &again);
            manifest_free(&m);
        }
        CHECK(str_eq(buf_str(&text), buf_str(&again)));
    } else {
        CHECK(e.code == ERR_DAMAGED && e.msg[0] && m.count == 0);
    }
    buf_free(&text);
    buf_free(&again);
    return 0;
}
