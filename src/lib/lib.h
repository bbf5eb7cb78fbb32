/* The opaque types of the public headers, as what they are inside. */
#pragma once

#include "base/error.h"
#include "recipe/recipe.h"
#include "value/event.h"
#include <pickglass/pickglass.h>

struct pick_params {
    struct settings settings;
};

static inline pick_error *public_error(struct error *error) {
    return (pick_error *)error;
}

static inline const struct error *inner_error(const pick_error *error) {
    return (const struct error *)error;
}

static inline const struct buffer *inner_event(const pick_event *event) {
    return (const struct buffer *)event;
}
