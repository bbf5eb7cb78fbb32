#include "lib/lib.h"

const char *pick_error_message(const pick_error *error) {
    return inner_error(error)->message;
}

int pick_error_code(const pick_error *error) {
    enum error_class class = inner_error(error)->class;
    return class == ERROR_UNSUPPORTED ? ERROR_RUN : (int)class;
}

void pick_error_free(pick_error *error) {
    error_free((struct error *)error);
}
