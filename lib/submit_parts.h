/* submit_parts.h - between submit.c and the two ways that a message can go */
#ifndef PIPIT_SUBMIT_PARTS_H
#define PIPIT_SUBMIT_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "queuewire.h"
#include "submit.h"

/* Note the first error of a message; later ones change nothing. */
extern void submit_fail(struct submit *s, int code, char const *why);

/* The connection to queued. open: 1, or 0 and s->broken. commit sets s->code,
 * s->why and s->id. */
extern int submit_socket_open(struct submit *s, unsigned int flags, uint64_t size,
                              char const *trace);
extern int submit_socket_room(struct submit *s);
extern void submit_socket_message(struct submit *s, char const *bytes, size_t len);
extern void submit_socket_commit(struct submit *s);
extern void submit_socket_abort(struct submit *s);

/* The program that QMAILQUEUE names. finish ends the message either way (with
 * an envelope only unless s->broken), awaits the program, and sets s->code and
 * s->why. */
extern int submit_program_open(struct submit *s, char const *program);
extern void submit_program_message(struct submit *s, char const *bytes, size_t len);
extern void submit_program_finish(struct submit *s);

#endif
