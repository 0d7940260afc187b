/* newmailboxes.c - compile users/mailboxes to users/mailboxes.cdb: pipit-mailboxes(5)
 *
 * usage: pipit-newmailboxes
 *
 * It warns of a domain that is not in control/locals or not in control/rcpthosts: no mail
 * for it would come to a mailbox; and of one that has no postmaster.
 *
 * exit: 0 done, 100 wrong usage, 111 trouble: the old file is in its place.
 */

#include <string.h>

#include <skalibs/strerr.h>

#include "admin.h"
#include "cdbmap.h"
#include "control.h"
#include "home.h"
#include "mailbox-put.h"
#include "program.h"
#include "rewrite.h"
#include "table.h"

#define SOURCE "users/mailboxes"
#define TARGET "users/mailboxes.cdb"

/* What says which domains mail is taken for, and which are local. */
struct domains {
  struct rewrite rewrite;
  struct map rcpthosts;
  struct cdbmap *more; /* NULL: there is none */
  stralloc seen;       /* those of the file, NUL-terminated each */
};

static void read_domains(struct domains *d)
{
  stralloc list = STRALLOC_ZERO;
  if (!rewrite_load(&d->rewrite) || control_list("rcpthosts", &list) == -1)
    strerr_dief(EXIT_TEMPORARY, control_why());
  if (!map_build(&d->rcpthosts, &list, 0)) strerr_dief(EXIT_TEMPORARY, "out of memory");
  stralloc_free(&list);
  if (cdbmap_open(&d->more, home_fd(), "control/morercpthosts.cdb") == -1)
    table_die("read", "control/morercpthosts.cdb");
}

static void warn(struct table const *t, struct domains const *d, char const *domain, size_t len)
{
  if (!map_find(&d->rewrite.locals, domain, len))
    table_warn(t, "its domain is not in control/locals: mail for it does not come here");
  if (map_find_domain(&d->rcpthosts, domain, len)) return;
  if (d->more && cdbmap_has_domain(d->more, domain, len) == 1) return;
  table_warn(t, "its domain is not in control/rcpthosts: pipit-smtpd does not take mail for it");
}

static void take(struct table const *t, struct cdbwrite *w, struct mailbox_line const *l,
                 struct domains *d)
{
  int fresh;
  if (!l->kind) return;
  char const *why = mailbox_put(w, l, &fresh);
  if (why) table_bad(t, why);
  if (!fresh) return;
  char const *domain = l->addr.s + l->at + 1;
  size_t len = l->addr.len - l->at - 1;
  warn(t, d, domain, len);
  if (!stralloc_catb(&d->seen, domain, len) || !stralloc_append(&d->seen, 0))
    table_die("take the domains of", SOURCE);
}

/* RFC 5321, 4.5.1: each domain takes mail for its postmaster. */
static void warn_of_postmasters(struct cdbwrite *w, struct domains const *d)
{
  for (size_t pos = 0; pos < d->seen.len; pos += strlen(d->seen.s + pos) + 1) {
    char const *domain = d->seen.s + pos;
    if (!mailbox_put_takes(w, "postmaster", domain))
      strerr_warnw(SOURCE ": there is no postmaster@", domain, ": give it a line");
  }
}

int newmailboxes_main(int argc, char const *const *argv)
{
  struct table t;
  struct domains d = {
      .rewrite = REWRITE_ZERO, .rcpthosts = MAP_ZERO, .more = 0, .seen = STRALLOC_ZERO};
  struct mailbox_defaults defaults = MAILBOX_DEFAULTS_ZERO;
  struct mailbox_line l = MAILBOX_LINE_ZERO;
  char *s;
  size_t len;
  int ended = 0;
  (void)argv;
  table_program(argc);
  read_domains(&d);
  table_read(&t, SOURCE);
  struct cdbwrite *w = table_begin(TARGET);
  while (!ended && table_next(&t, &s, &len)) {
    len = table_trim(s, len);
    ended = len == 1 && *s == '.';
    if (ended) continue;
    char const *why = mailbox_line(&l, &defaults, s, len);
    if (why) table_bad(&t, why);
    take(&t, w, &l, &d);
  }
  if (!ended) table_bad(&t, "no line with a single dot ends the file: is it whole?");
  warn_of_postmasters(w, &d);
  if (!mailbox_put_end(w)) table_die("write", TARGET);
  table_commit();
  return 0;
}
