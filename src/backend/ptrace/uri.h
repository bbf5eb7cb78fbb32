#pragma once

static const char native_launch_prefix[] __attribute__((unused)) = "native+exec:";
static const char native_attach_prefix[] __attribute__((unused)) = "native:";
/* After a worker's death: only to take out what it has left. Nobody's to type. */
static const char native_repair_prefix[] __attribute__((unused)) = "native+repair:";
