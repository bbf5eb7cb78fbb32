#include "lib/lib.h"

const char *pick_error_message(const pick_error *error) {
    return inner_error(error)->message;
}

int pick_error_code(const pick_error *error) {
    return (int)inner_error(error)->class;
}

void pick_error_free(pick_error *error) {
    error_free((struct error *)error);
}
