#include "query/keyer.h"

#include <stdlib.h>

void keyer_free(struct keyer *k) {
    numbering_free(&k->numbers);
    free(k->map);
    k->map = NULL;
}

static void map_for(struct keyer *k, uint32_t count) {
    if (count > k->map_room) {
        k->map_room = count + count / 2;
        k->map = mem_resize(k->map, k->map_room * sizeof *k->map);
    }
    if (count > k->map_count) memset(k->map + k->map_count, 0, (count - k->map_count) * sizeof *k->map);
    k->map_count = count;
}

void keyer_begin(struct keyer *k, const struct part *p) {
    k->map_count = 0;
    if (k->key->subject.of == OF_TIME) return;
    coded_begin(&k->coded, &k->key->subject, p);
    map_for(k, k->key->subject.of == OF_CONFIDENCE ? key_bins(k->key) + 1 : coded_count(&k->coded));
}

static uint32_t number_of(struct keyer *k, const struct key_value *v) {
    if (!k->top || v->kind != KEY_VALUE || numbering_find(k->top, v) != UINT32_MAX) return numbering_of(&k->numbers, v);
    return k->key->drop ? KEYER_DROPPED : numbering_of(&k->numbers, &(struct key_value){.kind = KEY_OTHER});
}

uint32_t keyer_none(struct keyer *k) { return numbering_of(&k->numbers, &(struct key_value){.kind = KEY_NONE}); }

static uint32_t number_of_value(struct keyer *k, struct value v) {
    if (v.type == VALUE_NONE) return keyer_none(k);
    return number_of(k, &(struct key_value){.kind = KEY_VALUE, .value = v});
}

static uint32_t number_of_number(struct keyer *k, double v) {
    return number_of_value(k, (struct value){.type = VALUE_NUMBER, .number = v});
}

/* A code that was not met before in this part. */
static uint32_t __attribute__((noinline)) new_code(struct keyer *k, uint32_t code) {
    if (code >= k->map_count) map_for(k, code + 1);
    uint32_t number;
    if (code == 0)
        number = keyer_none(k);
    else if (k->key->subject.of == OF_CONFIDENCE)
        number = number_of_number(k, key_bin_value(k->key, code - 1));
    else
        number = number_of_value(k, coded_value(&k->coded, code));
    k->map[code] = number + 1;
    return number;
}

static inline uint32_t number_of_code(struct keyer *k, uint32_t code) {
    uint32_t known = code < k->map_count ? k->map[code] : 0;
    return known ? known - 1 : new_code(k, code);
}

static uint32_t bin_code(const struct keyer *k, double confidence) {
    return isnan(confidence) ? 0 : key_bin(k->key, confidence) + 1;
}

static inline uint32_t number_of_time(struct keyer *k, int64_t time_us) {
    if (time_us < k->bucket_from || time_us >= k->bucket_to) {
        k->bucket_from = key_bucket(k->key, time_us);
        k->bucket_to = k->bucket_from + k->key->width_us;
        k->bucket = number_of(k, &(struct key_value){.kind = KEY_VALUE, .time_us = k->bucket_from});
    }
    return k->bucket;
}

static void times(struct keyer *k, struct batch *b, uint32_t *numbers) {
    const int64_t *time = batch_time(b);
    for (uint32_t i = 0; i < b->count; i++) numbers[i] = number_of_time(k, time[i]);
}

static void confidences(struct keyer *k, struct batch *b, uint32_t *numbers) {
    const double *column = slice_confidence(b->slice);
    for (uint32_t i = 0; i < b->count; i++) numbers[i] = number_of_code(k, bin_code(k, column[b->at[i]]));
}

void keyer_rows(struct keyer *k, struct batch *b, uint32_t numbers[BATCH_ROWS]) {
    if (k->key->subject.of == OF_TIME) {
        times(k, b, numbers);
        return;
    }
    if (k->key->subject.of == OF_CONFIDENCE) {
        confidences(k, b, numbers);
        return;
    }
    const uint32_t *codes = coded_read(&k->coded, b, numbers);
    for (uint32_t i = 0; i < b->count; i++)
        numbers[i] =
            codes[i] == CODED_NUMBER ? number_of_number(k, coded_number(&k->coded, b, i)) : number_of_code(k, codes[i]);
}

void keyer_detections(struct keyer *k, const struct batch_detections *d, uint32_t *numbers) {
    if (k->key->subject.of == OF_CLASS)
        for (uint32_t i = 0; i < d->count; i++) numbers[i] = number_of_code(k, d->classes[i]);
    else
        for (uint32_t i = 0; i < d->count; i++) numbers[i] = number_of_code(k, bin_code(k, d->confidences[i]));
}

uint32_t keyer_code(struct keyer *k, uint32_t code) { return number_of_code(k, code); }
uint32_t keyer_time(struct keyer *k, int64_t time_us) { return number_of_time(k, time_us); }
