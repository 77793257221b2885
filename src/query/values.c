#include "query/values.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/hash.h"

/* ---- hashes ---- */

static uint64_t mix(uint64_t v) {
    v *= 0x9e3779b97f4a7c15u;
    return v ^ v >> 32;
}

static uint64_t number_bits(double v) {
    uint64_t bits;
    v += 0.0; /* -0 and 0 are equal */
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

uint64_t value_hash64(const struct value *v) {
    switch (v->type) {
    case VALUE_STRING: return hash_str(v->text);
    case VALUE_NUMBER: {
        uint64_t bits = number_bits(v->number);
        return hash_str((struct str){(const char *)&bits, sizeof bits}) ^ 1;
    }
    case VALUE_BOOL: return hash_str(STR("")) + 2 + v->truth;
    case VALUE_NONE: break;
    }
    WRONG("a value of no type has no hash");
}

/* ---- numbers ---- */

static uint64_t hash_of(const struct key_value *v) {
    if (v->kind != KEY_VALUE) return mix((uint64_t)v->kind);
    switch (v->value.type) {
    case VALUE_STRING: return hash_str(v->value.text);
    case VALUE_NUMBER: return mix(number_bits(v->value.number));
    case VALUE_BOOL: return mix(16 + v->value.truth);
    case VALUE_NONE: break;
    }
    return mix((uint64_t)v->time_us);
}

static bool equal(const struct key_value *x, const struct key_value *y) {
    if (x->kind != y->kind) return false;
    if (x->kind != KEY_VALUE) return true;
    if (x->value.type != y->value.type) return false;
    return x->value.type == VALUE_NONE ? x->time_us == y->time_us : value_eq(&x->value, &y->value);
}

static uint32_t slot_of(const struct numbering *n, const struct key_value *v) {
    uint32_t at = (uint32_t)hash_of(v) & (n->slot_count - 1);
    while (n->slots[at] && !equal(&n->values[n->slots[at] - 1], v)) at = (at + 1) & (n->slot_count - 1);
    return at;
}

static void grow(struct numbering *n) {
    n->room = n->room ? n->room * 2 : 16;
    n->values = mem_resize(n->values, n->room * sizeof *n->values);
    free(n->slots);
    n->slot_count = n->room * 2;
    n->slots = mem_zero(n->slot_count, sizeof *n->slots);
    for (uint32_t i = 0; i < n->count; i++) n->slots[slot_of(n, &n->values[i])] = i + 1;
    n->bytes = n->room * sizeof *n->values + n->slot_count * sizeof *n->slots + n->texts.total;
}

uint32_t numbering_find(const struct numbering *n, const struct key_value *v) {
    return n->slot_count ? n->slots[slot_of(n, v)] - 1 : UINT32_MAX;
}

uint32_t numbering_of(struct numbering *n, const struct key_value *v) {
    if (n->count == n->room) grow(n);
    uint32_t at = slot_of(n, v);
    if (n->slots[at]) return n->slots[at] - 1;
    struct key_value *to = &n->values[n->count];
    *to = *v;
    if (v->kind == KEY_VALUE && v->value.type == VALUE_STRING) {
        to->value.text.p = arena_copy(&n->texts, v->value.text.p, v->value.text.n);
        n->bytes += (v->value.text.n + 15) & ~(size_t)15;
    }
    n->slots[at] = ++n->count;
    return n->count - 1;
}

void numbering_free(struct numbering *n) {
    arena_free(&n->texts);
    free(n->values);
    free(n->slots);
    *n = (struct numbering){0};
}

/* ---- sets ---- */

static bool insert(uint64_t *slots, uint32_t mask, uint64_t hash) {
    uint32_t at = (uint32_t)hash & mask;
    while (slots[at]) {
        if (slots[at] == hash) return false;
        at = (at + 1) & mask;
    }
    slots[at] = hash;
    return true;
}

size_t hash_set_add(struct hash_set *s, uint64_t hash) {
    size_t before = s->slot_count;
    if (s->count + 1 > s->slot_count / 4 * 3) {
        uint32_t more = s->slot_count ? s->slot_count * 2 : 8;
        uint64_t *slots = mem_zero(more, sizeof *slots);
        for (uint32_t i = 0; i < s->slot_count; i++)
            if (s->slots[i]) insert(slots, more - 1, s->slots[i]);
        free(s->slots);
        s->slots = slots;
        s->slot_count = more;
    }
    s->count += insert(s->slots, s->slot_count - 1, hash ? hash : 1);
    return (s->slot_count - before) * sizeof *s->slots;
}

void hash_set_free(struct hash_set *s) {
    free(s->slots);
    *s = (struct hash_set){0};
}
