/* signals.h - signals that skalibs' selfpipe has caught */
#ifndef PIPIT_SIGNALS_H
#define PIPIT_SIGNALS_H

/* The next signal that came; 0: none is there now. When they cannot be read any
 * more, the program ends with EXIT_TEMPORARY and a line on stderr: nothing could
 * stop it otherwise, and what is never read would wake it for ever. */
extern int signals_next(void);

/* In a child that has no use for the descriptor <fd> of selfpipe_init: close it, and let signals come,
 * those of <reset> (a list that ends with 0) with their default. Unlike selfpipe_finish it writes nothing
 * into memory that the child shares with its parent: a page or two less for each of many. */
extern void signals_leave(int fd, int const *reset);

#endif
