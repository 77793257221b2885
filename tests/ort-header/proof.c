/* Compiles only if src/infer/ort.h says the same as the published onnxruntime_c_api.h of the same release: every
 * function at its place with its type, every value. Run, it compares the keys. */
#define OrtGetApiBase ort_get_api_base_of_ours
#include "infer/ort.h"
#undef OrtGetApiBase

#include <onnxruntime_c_api.h>
#include <onnxruntime_session_options_config_keys.h>

#define X(place, returns, name, parameters)                                                                      \
    _Static_assert(offsetof(union ort_api, name) == offsetof(OrtApi, name), #name " is at another place");       \
    _Static_assert(__builtin_types_compatible_p(__typeof__(((union ort_api *)0)->name),                          \
                                                __typeof__(((OrtApi *)0)->name)),                                \
                   #name " has another type");
ORT_FUNCTIONS(X)
#undef X

#define X(ours, value, published) \
    _Static_assert((int)ours == (int)published, #ours " is not " #published);
ORT_VALUES(X)
#undef X

_Static_assert(offsetof(struct ort_api_base, GetApi) == offsetof(OrtApiBase, GetApi), "GetApi is at another place");
_Static_assert(offsetof(struct ort_api_base, GetVersionString) == offsetof(OrtApiBase, GetVersionString),
               "GetVersionString is at another place");
_Static_assert(sizeof(struct ort_api_base) == sizeof(OrtApiBase), "OrtApiBase has more in it");
_Static_assert(ORT_ASKED_VERSION <= ORT_API_VERSION, "the release is older than the table we ask for");

int main(void) { return strcmp(ORT_KEY_SPINNING, kOrtSessionOptionsConfigAllowIntraOpSpinning) != 0; }
