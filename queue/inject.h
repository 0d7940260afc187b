/* inject.h - what the modules of pipit-inject share
 *
 * Every function here either does its work or ends the program: with a line on
 * stderr and 100 (the message or the call is wrong) or 111 (try later).
 */
#ifndef PIPIT_INJECT_H
#define PIPIT_INJECT_H

#include <stddef.h>
#include <time.h>

#include <skalibs/stralloc.h>

#include "complete.h"
#include "header.h"

#define INJECT_HEADER_MAX    2097152 /* bytes of a header, before and after it is completed */
#define INJECT_ADDRESSES_MAX 100000  /* addresses in arguments and header together */
#define INJECT_FOLLOWUPS_MAX 1000    /* addresses of a Mail-Followup-To that is added */
#define INJECT_BUFFER        65536   /* bytes of the message that are held at a time */

struct settings {
  /* the letters of QMAILINJECT */
  int name_comment;  /* c */
  int delete_sender; /* s */
  int delete_from;   /* f */
  int delete_id;     /* i */
  int verp_rcpt;     /* r */
  int verp_message;  /* m */
  /* who is sending; strings of the environment, or NULL */
  char const *user, *host, *name;
  char const *suser, *shost; /* of the envelope */
  struct complete hosts;
  stralloc idhost;
  stralloc lists; /* of QMAILMFTFILE: addresses, each with its NUL */
  struct timespec now;
};

/* Addresses of the envelope, each with a NUL behind it. */
struct rcpts {
  stralloc list;
  char bad[64]; /* the name of a field that could not be understood, or "" */
};

struct inject {
  struct settings set;
  stralloc sender;
  int sender_known;
  struct rcpts args;   /* from the command line */
  struct rcpts header; /* To, Cc, Bcc, Apparently-To */
  struct rcpts resent; /* Resent-To, Resent-Cc, Resent-Bcc */
  size_t addresses;
  int seen[HEADER_NAMES];
  stralloc readers; /* the addresses of To and Cc, each with a NUL behind it */
  int to_list;      /* one of them is in set.lists */
  stralloc saved; /* the fields that are passed on */
  stralloc added; /* those that were missing */
};

/* pipit-sendmail.c: the sendmail command. It returns only an exit code, if at all. */
extern int sendmail_main(int argc, char const *const *argv);

/* pipit-queue.c. Its exit code. */
extern int queue_main(int argc, char const *const *argv);

extern void inject_nomem(void) __attribute__((noreturn));

/* Read the environment and the control files. */
extern void settings_load(struct settings *set);

/* complete_address, or out of memory. */
extern void inject_complete(struct settings const *set, stralloc *addr);

/* Append the address list in <f> to j->saved (when <save>) with its addresses
 * completed, and the addresses to <to> (when not NULL). 0: the list cannot be
 * understood, and the field was saved as it is; <to> is not to be used then. The addresses
 * of To and Cc are noted in j->readers. */
extern int rewrite_field(struct inject *j, struct header_field const *f, struct rcpts *to,
                         int save);

/* Take one address of the command line; -f's sender. */
extern void inject_argument(struct inject *j, char const *arg);
extern void inject_sender(struct inject *j, char const *arg);

/* Sort the header's fields into saved ones and recipients, and make those that
 * are missing. 1 when the message is a resent one, else 0. */
extern int inject_header(struct inject *j, char const *s, size_t len);

/* A message on descriptor 0, with CRLF read as LF. */
struct input {
  int fd;      /* what is read from: 0, or a spool file */
  int cr;      /* the last byte read was a CR, and is not given out yet */
  int ended;
  char *bytes; /* what the last input_read gave */
  char buf[INJECT_BUFFER];
  int whole;       /* what is still to be read stands in ahead[at..have), all of it */
  size_t at, have;
  char ahead[INJECT_BUFFER];
};

/* Read some more: the number of bytes at in->bytes, 0 at the end. */
extern size_t input_read(struct input *in);

/* Wait for the rest of the message, into a file without a name when it is long:
 * whoever writes it may take hours (a job that prints now and then), and would
 * keep the queue waiting. */
extern void input_settle(struct input *in);

#endif
