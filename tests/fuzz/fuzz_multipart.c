/* Multipart forms (http/multipart.c). The input's first line is the Content-Type, the rest is the body. The parts lie
 * inside the body, in order, and the delimiter is in none of them. */
#define request_header header_of_input
#include "../../src/http/multipart.c"

#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct str content_type;

struct str header_of_input(const struct request *r, const char *name) {
    (void)r;
    CHECK(strcmp(name, "Content-Type") == 0);
    return content_type;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct request r = {0};
    struct part *parts = NULL;
    size_t count = 0;
    struct err e = {0};
    str_cut((struct str){(const char *)data, size}, '\n', &content_type, &r.body);
    if (request_multipart(&r, &parts, &count, &e)) {
        struct str delimiter = {0};
        const char *behind = r.body.p, *end = r.body.p + r.body.n;
        CHECK(count <= HTTP_MAX_PARTS && find_boundary(&r, &delimiter));
        for (size_t i = 0; i < count; i++) {
            const struct part *p = &parts[i];
            CHECK(p->bytes.p >= behind && p->bytes.p <= end && p->bytes.n <= (size_t)(end - p->bytes.p));
            CHECK(p->bytes.n == 0 || !memmem(p->bytes.p, p->bytes.n, delimiter.p, delimiter.n));
            CHECK(p->name.n <= r.body.n && p->filename.n <= r.body.n && p->content_type.n <= r.body.n);
            CHECK(p->has_filename || p->filename.n == 0);
            behind = p->bytes.p + p->bytes.n;
        }
    } else {
        CHECK(e.code == ERR_INVALID && e.msg[0]);
    }
    arena_free(&r.arena);
    return 0;
}
