/* delivery.h - what one delivery is about: the arguments, and the lines made of them
 *
 * Addresses come from strangers. Wherever they appear in a line of the message
 * or in the environment of a program, each control character in them is '_',
 * and so is the first byte of a value that begins with "()", which old shells
 * would run. File names and envelopes have them as they are.
 */
#ifndef PIPIT_DELIVERY_H
#define PIPIT_DELIVERY_H

#include <stddef.h>
#include <time.h>

#include <skalibs/stralloc.h>

#include "report.h"

struct delivery {
  char const *user;
  char const *home;
  char const *local;
  char const *dash;
  char const *ext;
  char const *host;
  char const *sender;
  char const *fallback; /* dot-qmail lines for a user who has none */
  stralloc dtline;      /* "Delivered-To: local@host\n" */
  stralloc rpline;      /* "Return-Path: <sender>\n" */
  stralloc ufline;      /* "From sender date\n", once delivery_date was called */
};

/* The address in dtline, and its length. */
#define delivery_recipient(d)    ((d)->dtline.s + sizeof "Delivered-To: " - 1)
#define delivery_recipientlen(d) ((d)->dtline.len - sizeof "Delivered-To: ")

/* The number of arguments, which are the first fields of struct delivery. */
#define DELIVERY_ARGS 8

/* Fill in <d>, but for ufline, from args[0..DELIVERY_ARGS), which must live as
 * long. 1, or 0 with ENOMEM. */
extern int delivery_init(struct delivery *d, char const *const *args);
extern void delivery_free(struct delivery *d);

/* Make ufline, which only mboxes and programs need: no blank in the sender, the
 * date in UTC. 1, or 0 with ENOMEM. */
extern int delivery_date(struct delivery *d, time_t now);

/* Set the environment for programs: all variables of qmail-command(8) but
 * DEFAULT and NEWSENDER. 1, or 0 with ENOMEM. */
extern int delivery_environment(struct delivery const *d);

#endif
