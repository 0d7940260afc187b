/* maildirsize.h - is there room in a Maildir? Maildir++ quotas, kept in the file maildirsize
 *
 * The Maildir is gone through when the file is missing, damaged, longer than SIZEFILE_MAX or under
 * another quota; and before mail is refused, unless that was done less than MAILDIRSIZE_SECONDS ago
 * and nothing was added since.
 */
#ifndef PIPIT_MAILDIRSIZE_H
#define PIPIT_MAILDIRSIZE_H

#include <stdint.h>

#include "quota.h"
#include "report.h"

#define MAILDIRSIZE_SECONDS 900

struct maildirsize {
  int base; /* the Maildir, locked; -1 when nothing is counted */
  int file; /* for appending */
  int counted;
  uint64_t size;
};

/* Is there room for a message of <size> bytes in the Maildir <path>, open as <maildir>? Then count
 * it. The quota is <given>, or when none is given the one of the Maildir's file, without which
 * nothing is counted. For a subfolder it is that of the Maildir above. 1, and no other delivery
 * counts until maildirsize_leave; or 0 and <r>: over quota, or not to be told. */
extern int maildirsize_enter(struct maildirsize *m, int maildir, char const *path,
                             struct quota const *given, uint64_t size, struct report *r);

/* The message is in the Maildir, or did not get there after all. */
extern void maildirsize_leave(struct maildirsize *m, int delivered);

#endif
