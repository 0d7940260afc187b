/* maildir.h - deliver to a Maildir: tmp/, on disk, then new/ */
#ifndef PIPIT_MAILDIR_H
#define PIPIT_MAILDIR_H

#include "delivery.h"
#include "message.h"
#include "quota.h"
#include "report.h"

#define MAILDIR_STALE 129600 /* seconds: what lies in tmp/ for so long (36 h) is removed */

struct maildir_how {
  int tidy; /* remove what is stale in tmp/ */
  int make; /* make the Maildir, and the folders that lead to it, where they are missing */
  struct quota quota; /* when given: instead of the one that the Maildir itself has */
};

/* Deliver to the Maildir <path>. tmp and new must be folders in it, not links. When this returns 1
 * the message is in new/ and on disk with its name; else 0 and <r> (permanent: it loops, or the
 * Maildir is over quota), and nothing is in new/. */
extern int maildir_deliver(struct delivery const *d, struct message *m, char const *path,
                           struct maildir_how const *how, struct report *r);

#endif
