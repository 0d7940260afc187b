/* explain.h - where would mail go? */
#ifndef PIPIT_REMOTE_EXPLAIN_H
#define PIPIT_REMOTE_EXPLAIN_H

/* Print one line on the route of mail from <sender> (NULL: of any sender without a line of his own) to
 * <host>; nothing is connected to. 0, or 111 with a line on stderr. */
extern int explain(char const *host, char const *sender);

#endif
