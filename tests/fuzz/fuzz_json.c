/* base/json_pull beside jansson: the same texts accepted, the same values read (see tests/unit/json_twin.h). */
#include "../unit/json_twin.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *difference = twin_difference((struct str){(const char *)data, size});
    if (difference) {
        fprintf(stderr, "%s\n", difference);
        abort();
    }
    return 0;
}
