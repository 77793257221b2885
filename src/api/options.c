#include "api/options.h"

#include <math.h>

bool option_truth(struct str text, bool *out) {
    static const struct {
        const char *text;
        bool truth;
    } spellings[] = {{"true", true},   {"false", false}, {"1", true},  {"0", false}, {"yes", true}, {"no", false},
                     {"on", true},     {"off", false},   {"t", true},  {"f", false}, {"y", true},   {"n", false}};
    for (size_t i = 0; i < sizeof spellings / sizeof *spellings; i++)
        if (str_eq_nocase(text, str_of(spellings[i].text))) return *out = spellings[i].truth, true;
    return false;
}

bool option_truth_json(const json_t *v, bool *out) {
    if (json_is_boolean(v)) return *out = json_is_true(v), true;
    if (json_is_string(v)) return option_truth(json_text(v), out);
    double n = json_number_value(v);
    if (!json_is_number(v) || (n != 0 && n != 1)) return false;
    *out = n != 0;
    return true;
}

bool option_number_json(const json_t *v, double *out) {
    if (json_is_string(v)) return str_to_double(json_text(v), out);
    *out = json_number_value(v);
    return json_is_number(v);
}

bool option_mask(struct str mode, double factor, double *out, struct err *e) {
    if (isnan(factor)) factor = 0;
    bool tradeoff = str_is(mode, "tradeoff"), fast = str_is(mode, "fast");
    if ((mode.n && !tradeoff && !fast && !str_is(mode, "accurate")) || factor < 0 || factor > 1)
        return err_set(e, ERR_INVALID,
                       "Invalid mask decode argument sent. mask_decode_mode is accurate, tradeoff or fast, and "
                       "tradeoff_factor a number from 0 to 1.");
    *out = tradeoff ? factor : fast ? 0 : 1;
    return true;
}

bool option_mask_format(struct str text, bool *runs) {
    *runs = str_is(text, "rle");
    return *runs || str_is(text, "polygon");
}
