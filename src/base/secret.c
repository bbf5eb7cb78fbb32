#include "base/secret.h"

#include <stdlib.h>
#include <string.h>

static char **secrets;
static size_t count;

void secret_add(const char *text) {
    if (strlen(text) < 4)
        return;
    for (size_t i = 0; i < count; i++)
        if (!strcmp(secrets[i], text))
            return;
    char **grown = realloc(secrets, (count + 1) * sizeof *grown);
    if (!grown)
        return;
    secrets = grown;
    char *copy = strdup(text);
    if (!copy)
        return;
    size_t at = count++;
    for (; at && strlen(secrets[at - 1]) < strlen(text); at--)
        secrets[at] = secrets[at - 1]; /* the longest first: one may be a part of another */
    secrets[at] = copy;
}

bool secret_inside(const char *text, size_t len) {
    for (size_t i = 0; i < count; i++)
        if (memmem(text, len, secrets[i], strlen(secrets[i])))
            return true;
    return false;
}

static void scrub_one(struct buffer *buffer, const char *secret) {
    size_t n = strlen(secret), from = 0;
    char *found;
    while (from < buffer->len &&
           (found = memmem(buffer->data + from, buffer->len - from, secret, n))) {
        size_t at = (size_t)(found - buffer->data);
        memcpy(found, "***", 3);
        memmove(found + 3, found + n, buffer->len - at - n + 1);
        buffer->len -= n - 3;
        from = at + 3;
    }
}

void secret_scrub(struct buffer *buffer) {
    for (size_t i = 0; i < count && buffer->data; i++)
        scrub_one(buffer, secrets[i]);
}

void secret_forget_all(void) {
    for (size_t i = 0; i < count; i++)
        free(secrets[i]);
    free(secrets);
    secrets = NULL;
    count = 0;
}
