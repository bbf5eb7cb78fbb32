/* A scripted clock in the place of libuv's: uv_hrtime() and the timers. One test at a time. */
#pragma once

#include <stdbool.h>
#include <uv.h>

void fake_clock_start(void);
bool fake_clock_run(void); /* one callback that is due; false: none is */
uint64_t fake_clock_next(void);
void fake_clock_set(uint64_t ns);
