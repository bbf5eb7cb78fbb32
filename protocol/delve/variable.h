/* Delve's Variable to `struct value`. */
#pragma once

#include "delve/request.h"
#include "delve/scan.h"
#include "value/value.h"

enum delve_as { DELVE_AS_IS, DELVE_AS_ADDR, DELVE_AS_HEX, DELVE_AS_TEXT, DELVE_AS_BYTES };

/* Memory that must be read besides: a []byte (Delve would send a 300-byte object for each byte), or
 * a string that an old server has already mangled (invalid UTF-8 became U+FFFD). */
struct delve_memory {
    uint64_t address;
    uint32_t length;
};

struct delve_reader {
    struct buffer *into;
    struct delve_load load;
    enum delve_as as;
    bool final; /* the server was asked with `load`: what is missing now stays missing */

    /* Memory read so far, or NULL where it has not been. With `final` unset it is not called. */
    const char *(*memory)(void *ctx, struct delve_memory range, const char **error);
    void *ctx;

    bool incomplete; /* out: the server loaded less than `load` allows; ask again, with it */
    bool failed;     /* out: memory is missing; see `wanted` */
    struct delve_memory wanted[16];
    unsigned wanted_count;
};

/* Can nothing of it be missing, whatever is to be loaded? For numbers, short texts and what is
 * unreadable; looked at without decoding it. */
bool delve_is_whole(struct span variable);

/* Builds the value of `variable` into reader->into. */
value_ref delve_value(struct delve_reader *reader, const json_t *variable);
