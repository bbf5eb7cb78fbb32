/* The bytes of an event, as they come from elsewhere: what is valid must be writable, and copied.
 */
#include "value/event.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct buffer in = BUFFER_INIT(1 << 16), out = BUFFER_INIT(1 << 18),
                  copy = BUFFER_INIT(1 << 18);
    buffer_add(&in, data, size);
    if (!in.failed && event_valid(&in)) {
        event_json(&in, &out);
        if (!out.failed && (out.len < 2 || out.data[0] != '{' || out.data[out.len - 1] != '}'))
            abort();
        value_copy(&copy, &in, event_head(&in)->body);
        event_string(&in, event_head(&in)->run);
        value_find(&in, event_head(&in)->body, "values");
    }
    buffer_free(&in);
    buffer_free(&out);
    buffer_free(&copy);
    return 0;
}
