/* A serial line, raw: eight bits, no parity, one stop bit, no flow control. */
#pragma once

#include "base/error.h"

/* *fd becomes the open line, with what had come before thrown away. ERROR_USAGE for a speed that
 * there is not, ERROR_RUN for what is no serial line, or cannot be opened. */
struct error *serial_open(const char *device, unsigned baud, int *fd);
