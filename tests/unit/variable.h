/* Decoding a Variable from its JSON text. */
#pragma once

#include "delve/scan.h"
#include "delve/variable.h"
#include "unit.h"

struct decoded {
    char *json; /* as an event shows it; the caller frees it */
    bool incomplete, failed;
    unsigned wanted;
    struct delve_memory first;
};

static inline struct decoded decode_json(const json_t *variable, struct delve_reader reader) {
    struct buffer into = BUFFER_INIT(1 << 20);
    reader.into = &into;
    value_ref ref = delve_value(&reader, variable);
    struct decoded out = {json_of(&into, ref), reader.incomplete, reader.failed,
                          reader.wanted_count, reader.wanted[0]};
    buffer_free(&into);
    return out;
}

static inline struct decoded decode(const char *text, struct delve_reader reader) {
    struct buffer scratch = BUFFER_INIT(1 << 20);
    json_t *variable = span_decode(span_of(text, strlen(text)), &scratch);
    cr_assert_not_null(variable, "%s", text);
    struct decoded out = decode_json(variable, reader);
    json_decref(variable);
    buffer_free(&scratch);
    return out;
}

#define LOADED ((struct delve_load){.string = 256, .items = 64, .depth = 3, .bytes = 65536})
