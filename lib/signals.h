/* signals.h - signals that skalibs' selfpipe has caught */
#ifndef PIPIT_SIGNALS_H
#define PIPIT_SIGNALS_H

/* The next signal that came; 0: none is there now. When they cannot be read any
 * more, the program ends with EXIT_TEMPORARY and a line on stderr: nothing could
 * stop it otherwise, and what is never read would wake it for ever. */
extern int signals_next(void);

#endif
