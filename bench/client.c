#include "client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

bool client_address(const char *url, struct sockaddr_in *out, struct err *e) {
    struct str rest = str_of(url), by_number = STR("http://127.0.0.1:"), by_name = STR("http://localhost:"), port, path;
    unsigned long long number;
    if (!str_starts(rest, by_number) && !str_starts(rest, by_name))
        return err_set(e, ERR_INVALID, "--url %s: want http://127.0.0.1:PORT; load is for this machine only",
                       url ? url : "");
    str_cut(str_from(rest, str_starts(rest, by_number) ? by_number.n : by_name.n), '/', &port, &path);
    if (!str_to_u64(port, &number) || number < 1 || number > 65535)
        return err_set(e, ERR_INVALID, "--url %s: want a port from 1 to 65535", url);
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)number),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return true;
}

int client_connect(const struct sockaddr_in *to, struct err *e) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0) {
        err_errno(e, "127.0.0.1:%u: no connection", ntohs(to->sin_port));
        if (fd >= 0) close(fd);
        return -1;
    }
    return fd;
}

enum client_parsed client_parse(struct str bytes, struct answer *out) {
    const char *end = bytes.n ? memmem(bytes.p, bytes.n, "\r\n\r\n", 4) : NULL;
    if (!end) return bytes.n > 16384 ? CLIENT_BROKEN : CLIENT_MORE;
    struct str head = {bytes.p, (size_t)(end - bytes.p)}, line, name, value;
    unsigned long long status, length = 0;
    bool has_length = false;
    str_cut(head, '\r', &line, &head);
    if (!str_starts(line, STR("HTTP/1.1 ")) || line.n < 12 || !str_to_u64((struct str){line.p + 9, 3}, &status))
        return CLIENT_BROKEN;
    while (head.n) {
        str_cut(head, '\r', &line, &head);
        if (!str_cut(str_trim(line), ':', &name, &value)) return CLIENT_BROKEN;
        if (name.n != 14 || !str_eq_nocase(name, STR("Content-Length"))) continue;
        if (!str_to_u64(str_trim(value), &length) || length > (1u << 30)) return CLIENT_BROKEN;
        has_length = true;
    }
    if (!has_length) return CLIENT_BROKEN;
    size_t start = (size_t)(end - bytes.p) + 4;
    *out = (struct answer){(int)status, {bytes.p + start, (size_t)length}, start + (size_t)length};
    return out->size <= bytes.n ? CLIENT_DONE : CLIENT_MORE;
}

bool client_open(struct client *c, const char *url, const char *key, struct err *e) {
    struct sockaddr_in to;
    *c = (struct client){.fd = -1, .key = key};
    if (!client_address(url, &to, e) || (c->fd = client_connect(&to, e)) < 0) return false;
    struct timeval limit = {.tv_sec = 60};
    if (setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0) return err_errno(e, "SO_RCVTIMEO");
    return true;
}

void client_close(struct client *c) {
    if (c->fd >= 0) close(c->fd);
    buf_free(&c->in);
    c->fd = -1;
}

bool client_call(struct client *c, const char *method, const char *path, struct str body, struct answer *out,
                 struct err *e) {
    struct buf b = {0};
    buf_printf(&b, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer %s\r\n", method, path, c->key);
    if (body.p) buf_printf(&b, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.n);
    buf_addz(&b, "\r\n");
    buf_add_str(&b, body);
    bool sent = true;
    for (size_t at = 0; sent && at < b.n;) {
        ssize_t n = send(c->fd, b.p + at, b.n - at, MSG_NOSIGNAL);
        sent = n > 0;
        if (sent) at += (size_t)n;
    }
    buf_free(&b);
    if (!sent) return err_errno(e, "%s %s: not sent", method, path);
    c->in.n = 0;
    for (;;) {
        enum client_parsed parsed = client_parse(buf_str(&c->in), out);
        if (parsed == CLIENT_DONE) return true;
        if (parsed == CLIENT_BROKEN)
            return err_set(e, ERR_IO, "%s %s: the answer is not HTTP/1.1 with a length", method, path);
        buf_reserve(&c->in, 65536);
        ssize_t n = recv(c->fd, c->in.p + c->in.n, 65536, 0);
        if (n <= 0) return err_errno(e, "%s %s: no answer", method, path);
        c->in.n += (size_t)n;
    }
}
