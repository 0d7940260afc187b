/* output.h - the one function that writes a message as SMTP data (RFC 5321, 2.3.8 and 4.5.2)
 *
 * In: a stored message, any bytes. Out: lines that end with CR LF and nothing
 * else, with every dot at a line's start doubled. LF, CR LF and a bare CR are
 * each one line end; the dot after any of them stands at a line's start. The
 * end adds a missing last line end, and the line with the one dot.
 *
 * A dot that only NULs part from the line's start is doubled as well: a receiver
 * that throws NULs away must not find a line of one dot. One that keeps them
 * stores a dot more; RFC 5322 knows no NUL.
 */
#ifndef PIPIT_OUTPUT_H
#define PIPIT_OUTPUT_H

#include <stddef.h>
#include <stdint.h>

#define OUTPUT_GROWTH 2 /* a byte of the message becomes at most so many */
#define OUTPUT_END    5 /* bytes that output_end writes at most */

enum output_line { OUTPUT_NOTHING, OUTPUT_NULS, OUTPUT_TEXT };

struct output {
  enum output_line inside; /* what of this line was written */
  int after_cr;            /* the last byte was a CR: an LF that follows belongs to it */
  int eightbit;            /* a byte over 127 was seen */
  uint64_t octets;         /* of the message as RFC 1870 counts: with CR LF, without doubled dots */
};
#define OUTPUT_ZERO { .inside = OUTPUT_NOTHING, .after_cr = 0, .eightbit = 0, .octets = 0 }

/* Convert in[0..len) into <out>, which has room for OUTPUT_GROWTH * len bytes.
 * The number of bytes written. */
extern size_t output_add(struct output *o, char *out, char const *in, size_t len);

/* End the message: the number of bytes written to out[0..OUTPUT_END). */
extern size_t output_end(struct output *o, char *out);

#endif
