/* cardmapd/selector.h - the configured selector, run for the resolver, which may start no program. */
#ifndef CM_CARDMAPD_SELECTOR_H
#define CM_CARDMAPD_SELECTOR_H

#include "cache/store_server.h"

/*
 * A process is forked before there are threads, sockets and the seccomp filter,
 * which a selector would inherit: it forks one for each question, which runs
 * the program as cm_selector_run() does and says how it ended.  The program is
 * named to it once, here; questions hold keys and a user.  When cardmapd is
 * gone, it ends, and with it whatever runs.
 */
struct cm_selectors;

#define CM_SELECTORS_MOST	16	/* that run at once */

/* Before there are threads, and before the sandbox.  program is borrowed.  CM_ERR_SYSTEM, CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_selectors_new(const char *program, struct cm_trace *t, struct cm_selectors **out);
/* Whoever waits for an answer has none, at once. */
void cm_selectors_stop(struct cm_selectors *s);
/* Nobody asks any more. */
void cm_selectors_free(struct cm_selectors **s);

/* Any thread; as struct cm_store_selector says. */
CM_MUST_USE enum cm_err cm_selectors_ask(void *selectors, const struct cm_selection *q, struct cm_trace *t, struct cm_buf *answer);

/* The process is gone, and nothing can be run any more. */
bool cm_selectors_gone(struct cm_selectors *s);
/* For poll(2): has something when that has happened. */
int cm_selectors_fd(const struct cm_selectors *s);

#endif /* CM_CARDMAPD_SELECTOR_H */
