#include "data.h"

#include <string.h>

enum { STEP_US = 1000 }; /* times are whole milliseconds */
#define SECOND INT64_C(1000000)
#define HOUR (3600 * SECOND)

const char *const data_fields[DATA_FIELDS] = {
    "serial_number", "camera_location", "line",     "shift",    "operator",
    "part_number",   "plant",           "batch",    "tool",     "order",
    "color",         "supplier",        "material", "recipe",   "station",
    "inspector",     "ambient",         "lens",     "firmware", "customer",
};
/* Share of the inferences in percent, and number of values. */
static const struct {
    uint16_t percent, values;
} shape[DATA_FIELDS] = {
    {100, 0}, {60, 100}, {60, 9}, {5, 3},  {5, 50}, {5, 2000}, {5, 5},  {5, 5000}, {5, 40}, {5, 5000},
    {5, 8},   {5, 20},   {5, 12}, {5, 30}, {5, 60}, {5, 25},   {5, 10}, {5, 6},    {5, 15}, {5, 200},
};
enum { SERIAL, CAMERA, LINE };

const char *const data_classes[DATA_CLASSES] = {
    "person", "bicycle", "car",   "dog",     "truck", "bottle", "chair", "bird",  "scratch", "dent",
    "crack",  "missing", "label", "barcode", "screw", "cap",    "seal",  "stain", "burr",    "gap",
};

/* The finaliser of splitmix64: every input bit reaches every output bit. */
uint64_t data_mix(uint64_t x) {
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Independent draws for one number. */
enum draw { DRAW_TIME, DRAW_EVENT, DRAW_RESENT, DRAW_REVIEW, DRAW_FIELD /* and as many as there are fields */ };
static uint64_t draw(uint64_t seed, uint64_t number, unsigned which) {
    return data_mix(data_mix(seed * 64 + which) ^ number);
}

void data_id(uint64_t seed, uint64_t number, char out[DATA_ID]) {
    static const char digits[] = "0123456789abcdef";
    uint64_t half[2] = {data_mix(data_mix(seed) ^ number), data_mix(data_mix(~seed) ^ number)};
    half[0] = (half[0] & ~UINT64_C(0xf000)) | 0x4000;
    half[1] = (half[1] & (UINT64_MAX >> 2)) | (UINT64_C(1) << 63);
    size_t at = 0;
    for (unsigned nibble = 0; nibble < 32; nibble++) {
        if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) out[at++] = '-';
        out[at++] = digits[half[nibble / 16] >> (60 - 4 * (nibble % 16)) & 15];
    }
}

static int64_t event_time(const struct data *d, uint64_t number) {
    uint64_t r = draw(d->seed, number, DRAW_TIME), kind = r % 1000, amount = r >> 10;
    int64_t span = DATA_DAYS * DATA_DAY, us;
    us = d->end_us - span + (int64_t)((double)number / (double)d->events * (double)span);
    us += (int64_t)(data_mix(r) % 60000) * 1000 - 30 * SECOND;
    if (kind < 50)
        us -= HOUR + (int64_t)(amount % (uint64_t)(11 * HOUR));
    else if (kind == 50 && amount % 3 == 0)
        us = (int64_t)(amount % (uint64_t)DATA_DAY);
    else if (kind == 50 && amount % 3 == 1)
        us -= (700 + (int64_t)(amount % 1000)) * DATA_DAY;
    else if (kind == 50)
        us += (DATA_DAYS + 2 + (int64_t)(amount % 300)) * DATA_DAY;
    return us / STEP_US * STEP_US;
}

void data_event(const struct data *d, uint64_t number, struct data_event *out) {
    uint64_t r = draw(d->seed, number, DRAW_EVENT);
    out->number = number;
    out->time_us = number < DATA_PENDING ? event_time(d, number) : 0;
    out->model = (uint8_t)(r % DATA_MODELS);
    out->device = (uint8_t)((r >> 8) % DATA_DEVICES);
    out->latency_ms = (uint16_t)(5 + (r >> 16) % 200);
    out->count = (uint8_t)((r >> 32) % (DATA_MOST_DETECTIONS + 1));
    for (unsigned k = 0; k < out->count; k++) {
        uint64_t q = data_mix(r + k);
        out->d[k] = (struct data_detection){.class_code = (uint8_t)(q % DATA_CLASSES),
                                            .confidence = (uint16_t)(3000 + (q >> 8) % 7000),
                                            .x = (uint16_t)((q >> 20) % 1280),
                                            .y = (uint16_t)((q >> 30) % 720),
                                            .width = (uint16_t)(10 + (q >> 40) % 300),
                                            .height = (uint16_t)(10 + (q >> 50) % 300)};
    }
}

bool data_resent(const struct data *d, uint64_t number, uint64_t *earlier) {
    uint64_t r = draw(d->seed, number, DRAW_RESENT), most = 200000;
    if (r % 50 || !number) return false;
    *earlier = number - 1 - (r >> 8) % (number < most ? number : most);
    return true;
}

bool data_pending(const struct data *d, uint64_t number, uint64_t *id_number) {
    (void)d;
    *id_number = DATA_PENDING + number;
    return number % 100 == 99;
}

size_t data_decimal(char *to, uint64_t v) {
    char digits[20];
    size_t n = 0, at = 0;
    do digits[n++] = (char)('0' + v % 10);
    while (v /= 10);
    while (n) to[at++] = digits[--n];
    return at;
}

static size_t padded(char *to, uint64_t v, unsigned width) {
    for (unsigned i = width; i-- > 0; v /= 10) to[i] = (char)('0' + v % 10);
    return width;
}

static size_t text(char *to, const char *z) {
    size_t n = strlen(z);
    memcpy(to, z, n);
    return n;
}

static const char *name(char out[DATA_NAME], const char *prefix, unsigned first, char between, unsigned second) {
    size_t n = text(out, prefix);
    n += data_decimal(out + n, first);
    if (between) out[n++] = between, n += data_decimal(out + n, second);
    out[n] = '\0';
    return out;
}

const char *data_model(unsigned model, char out[DATA_NAME]) {
    return name(out, "line-", model / 3, '/', model % 3 + 1);
}
const char *data_device(unsigned device, char out[DATA_NAME]) { return name(out, "edge-", device, '\0', 0); }

size_t data_value(const struct data *d, uint64_t number, unsigned field, char out[DATA_VALUE]) {
    uint64_t r = draw(d->seed, number, DRAW_FIELD + field), which;
    if (field == SERIAL) {
        size_t n = text(out, "SN");
        return n + padded(out + n, number, 14);
    }
    if (r % 100 >= shape[field].percent) return 0;
    which = (r >> 8) % shape[field].values;
    /* `line` is line-1 on 50 % of all, camera_location is canada on 1 %: the first of 60 and of 100. */
    if (field == LINE) which = (r >> 8) % 60 < 50 ? 1 : 2 + (r >> 16) % 8;
    if (field == CAMERA && (r >> 8) % 60 == 0) return text(out, "canada");
    if (field == CAMERA) which = 1 + (r >> 16) % 99;
    size_t n = text(out, data_fields[field]);
    out[n++] = '-';
    return n + data_decimal(out + n, which);
}

size_t data_review(const struct data *d, uint64_t number, char out[DATA_VALUE]) {
    uint64_t r = draw(d->seed, number, DRAW_REVIEW);
    if (r % 5) return 0;
    return text(out, (r >> 8) % 2 ? "correct" : "incorrect");
}

/* The date of a day since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days). */
static void put_date(char out[10], int64_t days) {
    int64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153, month = mp < 10 ? mp + 3 : mp - 9;
    padded(out, (uint64_t)(yoe + era * 400 + (month <= 2)), 4), out[4] = '-';
    padded(out + 5, (uint64_t)month, 2), out[7] = '-';
    padded(out + 8, (uint64_t)(doy - (153 * mp + 2) / 5 + 1), 2);
}

/* "2026-11-21T20:55:01.123Z" */
static size_t put_when(char *to, int64_t us) {
    uint64_t ms = (uint64_t)(us / STEP_US), day_ms = 86400000, rest = ms % day_ms;
    put_date(to, (int64_t)(ms / day_ms)), to[10] = 'T';
    padded(to + 11, rest / 3600000, 2), to[13] = ':';
    padded(to + 14, rest / 60000 % 60, 2), to[16] = ':';
    padded(to + 17, rest / 1000 % 60, 2), to[19] = '.';
    padded(to + 20, rest % 1000, 3), to[23] = 'Z';
    return 24;
}

#define LITERAL(p, z) (memcpy(p, z, sizeof(z) - 1), p += sizeof(z) - 1)

static char *put_detection(char *p, const struct data_detection *d) {
    LITERAL(p, "{\"class\":\"");
    p += text(p, data_classes[d->class_code]);
    LITERAL(p, "\",\"confidence\":0.");
    p += padded(p, d->confidence, 4);
    LITERAL(p, ",\"x\":");
    p += data_decimal(p, d->x);
    LITERAL(p, ".5,\"y\":");
    p += data_decimal(p, d->y);
    LITERAL(p, ".5,\"width\":");
    p += data_decimal(p, d->width);
    LITERAL(p, ",\"height\":");
    p += data_decimal(p, d->height);
    *p++ = '}';
    return p;
}

void data_json(struct buf *to, const struct data *d, const struct data_event *e) {
    char model[DATA_NAME], device[DATA_NAME];
    buf_reserve(to, 256 + DATA_MOST_DETECTIONS * 128);
    char *p = to->p + to->n;
    LITERAL(p, "{\"inference_id\":\"");
    data_id(d->seed, e->number, p), p += DATA_ID;
    LITERAL(p, "\",\"model_id\":\"");
    p += text(p, data_model(e->model, model));
    LITERAL(p, "\",\"time\":\"");
    p += put_when(p, e->time_us);
    LITERAL(p, "\",\"latency_s\":0.");
    p += padded(p, e->latency_ms, 3);
    LITERAL(p, ",\"device_id\":\"");
    p += text(p, data_device(e->device, device));
    LITERAL(p, "\",\"image\":{\"width\":1280,\"height\":720},\"predictions\":[");
    for (unsigned k = 0; k < e->count; k++) {
        if (k) *p++ = ',';
        p = put_detection(p, &e->d[k]);
    }
    LITERAL(p, "]}");
    to->n = (size_t)(p - to->p);
}
