/* data.h - the text that follows DATA: find its end, undo dots, make LF lines
 *
 * Only CR LF '.' CR LF ends the text, whatever else is in it. A bare LF, a
 * bare CR or a NUL makes the message unacceptable; it is still read to its true
 * end, and what is wrong is counted. With <mend> (old devices, listed in
 * control/normalizeclients) a bare LF or CR becomes a line end instead; the end
 * of the text stays CR LF '.' CR LF.
 */
#ifndef PIPIT_DATA_H
#define PIPIT_DATA_H

#include <stddef.h>
#include <stdint.h>

#define DATA_FIELD_MAX 13 /* bytes of "Delivered-To:", the longest name that is looked for */

enum data_state {
  DATA_LINE_START, /* after CR LF, or at the very beginning */
  DATA_MENDED,     /* after a line end that was mended: a dot is undone, and ends nothing */
  DATA_TEXT,
  DATA_CR,     /* after a CR that may begin a line end */
  DATA_DOT,    /* after a dot at the start of a line */
  DATA_DOT_CR, /* and a CR */
  DATA_END
};

struct data {
  enum data_state state;
  int mend;
  uint64_t octets;   /* of the message, with CR LF and without stuffed dots (RFC 1870) */
  uint64_t seen;     /* bytes read so far */
  uint64_t bare_lf;  /* how often each was met */
  uint64_t bare_cr;
  uint64_t nul;
  uint64_t first_bad; /* offset of the first of them, when there is one */
  int in_header;
  size_t column;     /* bytes of this header line so far */
  char field[DATA_FIELD_MAX]; /* its beginning */
  unsigned int hops; /* Received and Delivered-To fields */
  /* Takes the message piece by piece; <text> is only good during the call. */
  void (*put)(void *arg, char const *text, size_t len);
  void *arg;
};

extern void data_start(struct data *d, int mend, void (*put)(void *, char const *, size_t),
                       void *arg);

/* Take the bytes s[0..len), which may be changed. Returns how many were used:
 * all, or those up to the end of the text (then d->state is DATA_END). */
extern size_t data_feed(struct data *d, char *s, size_t len);

/* Has anything been met that the message is to be refused for? */
extern int data_is_bad(struct data const *d);

#endif
