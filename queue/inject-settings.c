/* inject-settings.c - what the environment and the control files say; see inject.h */

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "address.h"
#include "control.h"
#include "inject.h"
#include "program.h"

void inject_nomem(void)
{
  strerr_dief(EXIT_TEMPORARY, "out of memory");
}

static void letters(struct settings *set, char const *s)
{
  for (; s && *s; s++)
    switch (*s) {
    case 'c': set->name_comment = 1; break;
    case 's': set->delete_sender = 1; break;
    case 'f': set->delete_from = 1; break;
    case 'i': set->delete_id = 1; break;
    case 'r': set->verp_rcpt = 1; break;
    case 'm': set->verp_message = 1; break;
    }
}

/* The first of these variables that is set, NULL if none is; as a part of an
 * address it must have no control character. */
static char const *first(int address, char const *const *names)
{
  for (; *names; names++) {
    char const *value = getenv(*names);
    if (!value) continue;
    if (address && !address_is_clean(value, strlen(value)))
      strerr_dief(EXIT_PERMANENT, "control character in the environment variable ", *names);
    return value;
  }
  return 0;
}
#define FIRST(address, ...) first((address), (char const *const[]){ __VA_ARGS__, 0 })

static char const *account(void)
{
  errno = 0;
  struct passwd const *pw = getpwuid(getuid());
  if (!pw && errno && errno != ENOENT && errno != ESRCH)
    strerr_diefusys(EXIT_TEMPORARY, "look up the name of the user");
  return pw && *pw->pw_name ? pw->pw_name : "anonymous";
}

/* QMAILMFTFILE: a file of mailing lists' addresses, one on each line. */
static void load_lists(struct settings *set)
{
  char const *path = getenv("QMAILMFTFILE");
  if (!path || !*path) return;
  if (!strchr(path, '/'))
    strerr_dief(EXIT_PERMANENT, "QMAILMFTFILE holds no path; write /path/to/file, or ./file: ", path);
  switch (control_list(path, &set->lists)) {
  case 1: break;
  case 0: strerr_dief(EXIT_TEMPORARY, path, ": no such file; QMAILMFTFILE names it");
  default: strerr_dief(EXIT_TEMPORARY, control_why());
  }
}

void settings_load(struct settings *set)
{
  letters(set, getenv("QMAILINJECT"));
  set->user = FIRST(1, "QMAILUSER", "MAILUSER", "USER", "LOGNAME");
  if (!set->user || !*set->user) set->user = account();
  set->host = FIRST(1, "QMAILHOST", "MAILHOST");
  set->name = FIRST(0, "QMAILNAME", "MAILNAME", "NAME");
  set->suser = FIRST(1, "QMAILSUSER");
  if (!set->suser) set->suser = set->user;
  set->shost = FIRST(1, "QMAILSHOST");
  if (!set->shost) set->shost = set->host;
  char const *why;
  int r = complete_load_rewrite(&set->hosts, &why);
  if (!r) r = complete_domain(&set->idhost, "idhost", "QMAILIDHOST", &why);
  if (r) strerr_dief(r, why);
  load_lists(set);
  clock_gettime(CLOCK_REALTIME, &set->now);
}
