/* inject-settings.c - what the environment and the control files say; see inject.h */

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "control.h"
#include "inject.h"
#include "program.h"

void inject_nomem(void)
{
  strerr_dief(EXIT_TEMPORARY, "out of memory");
}

int inject_clean(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)s[i] < ' ' || s[i] == 127) return 0;
  return 1;
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
    if (address && !inject_clean(value, strlen(value)))
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

static void domain(stralloc *sa, char const *file, char const *variable)
{
  char const *value = FIRST(1, variable);
  if (value) {
    if (!stralloc_copys(sa, value)) inject_nomem();
    return;
  }
  if (control_line_or_me(file, sa) == -1) strerr_dief(EXIT_TEMPORARY, control_why());
  if (!inject_clean(sa->s, sa->len))
    strerr_dief(EXIT_TEMPORARY, "control character in the control file ", file);
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
  domain(&set->defaultdomain, "defaultdomain", "QMAILDEFAULTDOMAIN");
  domain(&set->defaulthost, "defaulthost", "QMAILDEFAULTHOST");
  domain(&set->plusdomain, "plusdomain", "QMAILPLUSDOMAIN");
  domain(&set->idhost, "idhost", "QMAILIDHOST");
  clock_gettime(CLOCK_REALTIME, &set->now);
}
