/* What the unit tests share. */
#pragma once

#include "base/error.h"
#include "value/value.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static inline const char *shown(const char *text) {
    return text ? text : "(none)";
}

#define SHOULD_BE(got, want, ...)                                                                  \
    cr_expect_str_eq(shown(got), (want), "%s\n  expected: %s\n  got:      %s", __VA_ARGS__,        \
                     (want), shown(got))

/* Does `text` hold `part`? With a message that shows both. */
#define SHOULD_HOLD(text, part, ...)                                                               \
    cr_expect(strstr(shown(text), (part)), "%s\n  expected: ...%s...\n  got:      %s",             \
              __VA_ARGS__, (part), shown(text))

#define SHOULD_LACK(text, part, ...)                                                               \
    cr_expect(!strstr(shown(text), (part)), "%s\n  unexpected: ...%s...\n  in:         %s",        \
              __VA_ARGS__, (part), shown(text))

/* The JSON of a value; the caller frees it. */
static inline char *json_of(const struct buffer *in, value_ref ref) {
    struct buffer out = BUFFER_INIT(1 << 20);
    value_json(in, ref, &out);
    return buffer_take(&out);
}
