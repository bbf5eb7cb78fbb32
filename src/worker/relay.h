/* The small process between a server that we started and the people who read its output. */
#pragma once

/* Copies stdin to stderr, and to stdout for as long as somebody reads there, until stdin ends.
 * Never stops draining: a server that cannot print would stand still. Returns the exit code. */
int relay_main(void);
