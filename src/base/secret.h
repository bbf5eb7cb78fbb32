/* The values of parameters marked `secret`: they never reach an event, a log or a recording.
 * Process-wide and written only while recipes are read. */
#pragma once

#include "base/buffer.h"

/* Remembers `text`. Texts under 4 bytes are not remembered: masking every "1" hides the report and
 * protects nothing. */
void secret_add(const char *text);

/* Replaces every occurrence of every secret by "***". */
void secret_scrub(struct buffer *buffer);

/* Does `text` hold a secret? */
bool secret_inside(const char *text, size_t len);

void secret_forget_all(void);
