/* maildir.h - deliver to a Maildir: tmp/, on disk, then new/ */
#ifndef PIPIT_MAILDIR_H
#define PIPIT_MAILDIR_H

#include "delivery.h"
#include "message.h"
#include "report.h"

#define MAILDIR_STALE 129600 /* seconds: what lies in tmp/ for so long (36 h) is removed */

/* Deliver to the Maildir <path>, which must exist. tmp and new must be folders
 * in it, not links. When this returns 1 the message is in new/ and on disk
 * with its name; else 0 and <r>, and nothing is in new/. With <tidy> what is
 * stale in tmp/ is removed. */
extern int maildir_deliver(struct delivery const *d, struct message *m, char const *path, int tidy,
                           struct report *r);

#endif
