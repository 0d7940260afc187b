/* envelope.h - read an envelope piece by piece, believing nothing
 *
 * The form is that of qfile.h: F<sender>\0, X records, then for each recipient
 * X records and T<rcpt>\0. An address may hold any byte but NUL; an X record
 * is a name of letters, digits and '-', '=', and a value without control
 * characters. qmail-queue's form ends with one more NUL; a file's does not.
 */
#ifndef PIPIT_ENVELOPE_H
#define PIPIT_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#define ENVELOPE_NAME_MAX 32 /* bytes of the name of an X record */

enum envelope_state {
  ENVELOPE_START,   /* nothing was read */
  ENVELOPE_BETWEEN, /* at the beginning of a record */
  ENVELOPE_ADDRESS, /* inside F or T */
  ENVELOPE_NAME,    /* inside an X record, before its '=' */
  ENVELOPE_VALUE,
  ENVELOPE_END      /* the additional NUL was read */
};

struct envelope {
  enum envelope_state state;
  char letter;     /* of the present or last record */
  size_t len;      /* bytes of the present record so far, without its letter */
  int dangling;    /* 1: the last record is an X that follows a T: another T must come */
  uint32_t rcpts;  /* T records that are complete */
  uint64_t total;  /* bytes taken, without the additional NUL */
  int code;        /* 0, or the exit code of qmail-queue: it stays */
};
#define ENVELOPE_ZERO { .state = ENVELOPE_START }

/* Read s[0..len). The number of bytes used: all, or fewer when the additional
 * NUL (which is counted) or an error (e->code) came. */
extern size_t envelope_take(struct envelope *e, char const *s, size_t len);

/* Is what was read a whole envelope? 0, or the exit code of qmail-queue: an
 * earlier one, 54 when a record is cut off, 91 when X records stand behind the
 * last recipient. */
extern int envelope_check(struct envelope const *e);

#endif
