#include "symbol/demangle.h"

#include <stdlib.h>
#include <string.h>

/* Itanium C++ ABI, section 3.4: libsupc++ has it, with C linkage. */
extern char *__cxa_demangle(const char *name, char *buffer, size_t *size, int *status);

#define NAME_MAX_BYTES 8192 /* longer ones cost more than they tell */

void demangle(const char *symbol, struct buffer *out) {
    int status = -1;
    char *plain = NULL;
    if (symbol[0] == '_' && symbol[1] == 'Z' && strlen(symbol) < NAME_MAX_BYTES)
        plain = __cxa_demangle(symbol, NULL, NULL, &status);
    buffer_puts(out, plain && !status ? plain : symbol);
    free(plain);
}
