#include "worker/frame.h"

#include <string.h>

void frame_add(struct buffer *out, enum frame_type type, const void *bytes, size_t n) {
    struct frame head = {(uint32_t)n, type};
    buffer_add(out, &head, sizeof head);
    buffer_add(out, bytes, n);
}

bool frame_next(const char *bytes, size_t n, enum frame_type *type, const char **payload,
                size_t *len, bool *broken) {
    struct frame head;
    *broken = false;
    if (n < sizeof head)
        return false;
    memcpy(&head, bytes, sizeof head);
    if (head.len > FRAME_MAX || head.type < FRAME_JOB || head.type > FRAME_OVER) {
        *broken = true;
        return false;
    }
    if (n - sizeof head < head.len)
        return false;
    *type = (enum frame_type)head.type;
    *payload = bytes + sizeof head;
    *len = head.len;
    return true;
}
