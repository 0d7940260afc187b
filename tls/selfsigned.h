/* selfsigned.h - a certificate that is there from the first minute */
#ifndef PIPIT_TLS_SELFSIGNED_H
#define PIPIT_TLS_SELFSIGNED_H

/* Make a key and a certificate for the host <name>, signed by that key, and write both to
 * the new file <path>, mode 0600. 1, or 0 after a line on stderr. */
extern int selfsigned_make(char const *name, char const *path);

#endif
