/* log.h - the log lines of send and its children; man/pipit-log.7 has them all */
#ifndef PIPIT_SEND_LOG_H
#define PIPIT_SEND_LOG_H

#include <stddef.h>
#include <stdint.h>

/* "warning: unable to <what> <name> error=<errno's text>" */
extern void log_unable(char const *what, char const *name);
/* The same with "alert: ". */
extern void log_alert_unable(char const *what, char const *name);
/* "warning: <text>", "alert: <text>" */
extern void log_warning(char const *text);
extern void log_alert(char const *text);
/* "warning: <text> id=<id> error=<errno's text>" */
extern void log_trouble(char const *text, uint64_t id);

#endif
