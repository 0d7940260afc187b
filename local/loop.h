/* loop.h - has this message been here before? Its header says so: Delivered-To, or a
 * hundred Received fields, which a program that sends it on leaves in it */
#ifndef PIPIT_LOOP_H
#define PIPIT_LOOP_H

#include <stddef.h>

#define LOOP_LINE_MAX 2048 /* bytes of a field that are compared; addresses are much shorter */
#define LOOP_HOPS     100  /* Received fields that a message may not reach, as in pipit-smtpd */

struct loop {
  char const *address; /* local@host */
  size_t addresslen;
  int state;
  int found;
  unsigned int hops;
  int toolong; /* there is no room for all of the field in hand */
  size_t len;
  char line[LOOP_LINE_MAX];
};

/* Begin. The address is as it stands in our own Delivered-To line, and must live as long. */
extern void loop_init(struct loop *l, char const *address, size_t len);

/* Look at the next piece of the message. 1 to go on; 0 when the header has a
 * field "Delivered-To: local@host" (the case of the name and of the host does not
 * matter, nor where it is folded), or LOOP_HOPS Received fields. Pieces may be cut anywhere. */
extern int loop_look(struct loop *l, char const *s, size_t len);

/* The message has ended: look at the last field. As loop_look. */
extern int loop_end(struct loop *l);

#endif
