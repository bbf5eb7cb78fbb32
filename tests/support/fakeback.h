/* A back end without a debugger, and a clock that only the script moves: what a session does with a
 * target, told in words. Everything is deterministic; nothing sleeps.
 *
 * A script has a step a line; what stands behind its "->" is ignored:
 *   hit f n=5 path=abc [g=GOROUTINE] [t=THREAD] [frame=F] [ret] [+ g n=1 ...]
 *                    the running target reaches a function (`ret`: its return), or several at once
 *   +100ms           time goes by
 *   slow n [ROUNDS]  `n` needs so many round trips of 10 ms from now on
 *   halts 2ms        how long a halt takes from now on
 *   write n=5        what timers see
 *   changed n=6      ... and a hit of each watch
 *   stranger, theirs-resumed, panic, restart, exit N, killed N, lost, congest, drain, end WHY
 *
 * The words, behind each step: arm(f), arm(f if n > 3), arm(n of t=2) of a watch that comes from a
 * hit, disarm(f), halt, go, leave(running) in the order of the operations; events as they are sent:
 * a#1{"n":5}, trip(limit:figure:action), end(reason PROBE:REACHED>HITS>EMITTED). BUG(...) where the
 * back end's contract is broken. */
#pragma once

#include "session/session.h"

enum fake_found { FAKE_RUNNING, FAKE_LAUNCHED, FAKE_STOPPED };

struct fake_setup {
    const char *recipe; /* without its `recipe: 1` */
    const char *script;
    enum fake_found found;
    bool server; /* conditions are decided by the server */
    bool came;   /* values come with the stop: events are built after the resume */
    bool resume; /* --resume */
    enum session_mode mode;
    unsigned refusals; /* of the connection, at first */
};

/* The script with the words behind each step; the caller frees them. The session is ended and
 * freed. */
char *fake_run(const struct fake_setup *setup);
