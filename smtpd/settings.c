/* settings.c - load and check the control files; see settings.h */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "control.h"
#include "home.h"
#include "mode.h"
#include "settings.h"

#define SESSIONS_MAX 20000
#define SECONDS_MAX  1000000

/* Those of pipit-ofmipd, then those of both. */
static char const *const files[] = {
  "rewrite", "defaulthost", "defaultdomain", "plusdomain", "idhost", "ofmiphideclient",
#define FILES_SUBMISSION 6
  "me", "smtpgreeting", "localiphost", "rcpthosts", "badmailfrom", "normalizeclients", "authinclear", "authdelay", "relayopentime",
  "databytes", "maxrcpt", "maxline", "maxerrors", "brtlimit", "rcptcheck", "timeoutsmtpd", "timeoutsession",
  "concurrencysmtpd", "concurrencysmtpdclient", "concurrencypop3", "concurrencypop3client", 0
};

static char const *const *my_files(void)
{
  return mode.submission ? files : files + FILES_SUBMISSION;
}

static char why[600];

char const *settings_why(void)
{
  return why;
}

static int fail(char const *text)
{
  snprintf(why, sizeof why, "%s", text);
  return 0;
}

static int fail_file(char const *name, char const *what, char const *mend)
{
  snprintf(why, sizeof why, "%s/control/%s: %.100s%s", home_dir(), name, what, mend);
  return 0;
}

int settings_changed(struct settings const *s)
{
  return control_stamp(my_files()) != s->stamp;
}

static int check_name(char const *file, stralloc const *sa)
{
  for (size_t i = 0; i < sa->len; i++)
    if ((unsigned char)sa->s[i] < 32 || sa->s[i] == 127)
      return fail_file(file, "line 1: holds a control character", "; write one line of text");
  if (!sa->len) return fail_file(file, "line 1: empty", "; write this host's full name into it");
  return 1;
}

/* Without the file it is <me>. */
static int load_name(char const *file, stralloc *sa, stralloc const *me)
{
  int r = control_line(file, sa);
  if (r == -1) return fail(control_why());
  if (r) return check_name(file, sa);
  if (!stralloc_copyb(sa, me->s, me->len + 1)) return fail_file(file, "out of memory", "");
  sa->len--;
  return 1;
}

static int load_names(struct settings *s)
{
  if (control_line_or_me("me", &s->me) == -1) return fail(control_why());
  return check_name("me", &s->me) && load_name("smtpgreeting", &s->greeting, &s->me) &&
         load_name("localiphost", &s->localiphost, &s->me);
}

static int load_number(char const *file, unsigned long *value, unsigned long max)
{
  return control_number(file, value, max) == -1 ? fail(control_why()) : 1;
}

static int load_map(char const *file, struct map *m, int *there)
{
  stralloc list = STRALLOC_ZERO;
  int r = control_list(file, &list);
  if (r == -1) fail(control_why());
  if (there) *there = r == 1;
  if (r != -1 && !map_build(m, &list, 0)) r = -1, fail_file(file, "out of memory", "");
  stralloc_free(&list);
  return r != -1;
}

static int load_networks(char const *file, struct netlist *l)
{
  stralloc list = STRALLOC_ZERO;
  char const *bad = "";
  int r = control_list(file, &list);
  if (r == -1) fail(control_why());
  else if (!netlist_build(l, &list, &bad)) {
    r = -1;
    if (errno == EINVAL) fail_file(file, bad, ": write an address, 192.0.2.0/24 or 192.0.2.");
    else fail_file(file, "out of memory", "");
  }
  stralloc_free(&list);
  return r != -1;
}

static int load_numbers(struct settings *s)
{
  s->databytes = 0;
  s->maxrcpt = 1000;
  s->maxline = 4096;
  s->maxerrors = 20;
  s->brtlimit = 20;
  s->idle = 1200;
  s->session = 600;
  s->sessions = 200;
  s->per_client = 20;
  s->authdelay = 1;
  if (!load_number("databytes", &s->databytes, ~0ul >> 1) ||
      !load_number("maxrcpt", &s->maxrcpt, 100000) ||
      !load_number("maxline", &s->maxline, SETTINGS_LINE_MAX) ||
      !load_number("maxerrors", &s->maxerrors, 1000000) ||
      !load_number("brtlimit", &s->brtlimit, 1000000) ||
      !load_number("timeoutsmtpd", &s->idle, SECONDS_MAX) ||
      !load_number("timeoutsession", &s->session, SECONDS_MAX) ||
      !load_number("authdelay", &s->authdelay, 60) ||
      !load_number("relayopentime", &s->relayopen, SECONDS_MAX) ||
      !load_number(mode.limit, &s->sessions, SESSIONS_MAX) ||
      !load_number(mode.limit_client, &s->per_client, SESSIONS_MAX))
    return 0;
  if (s->maxline < SETTINGS_LINE_MIN)
    return fail_file("maxline", "line 1: too small", "; a command may have 512 bytes");
  if (!s->maxrcpt)
    return fail_file("maxrcpt", "line 1: no mail could come in", "; write 1 or more");
  return 1;
}

/* Who is asked whether a recipient exists. */
static int load_rcptcheck(struct settings *s)
{
  stralloc sa = STRALLOC_ZERO;
  int r = control_line("rcptcheck", &sa);
  int ok = r == -1 ? fail(control_why()) : 1;
  if (r == 1 && sa.len) {
    s->rcptd = !strcmp(sa.s, "rcptd");
    if (!s->rcptd)
      ok = fail_file("rcptcheck", "line 1: not known",
                     "; write rcptd, or nothing (a program of yours is named by RCPTCHECK in the environment)");
  }
  stralloc_free(&sa);
  return ok;
}

static int load_submission(struct settings *s)
{
  char const *reason = 0;
  if (!mode.submission) return 1;
  if (complete_load_rewrite(&s->hosts, &reason) ||
      complete_domain(&s->idhost, "idhost", "QMAILIDHOST", &reason))
    return fail(reason);
  return load_number("ofmiphideclient", &s->hideclient, 1);
}

static void settings_free(struct settings *s)
{
  stralloc_free(&s->me);
  stralloc_free(&s->greeting);
  stralloc_free(&s->localiphost);
  map_free(&s->rcpthosts);
  map_free(&s->badmailfrom);
  netlist_free(&s->normalize);
  netlist_free(&s->authinclear);
  complete_free(&s->hosts);
  stralloc_free(&s->idhost);
}

/* What SMTP needs and POP3 does not: a fault in there is not to keep people from their mail. */
static int load_smtp(struct settings *s)
{
  return mode.pop3 ||
         (load_rcptcheck(s) && load_map("rcpthosts", &s->rcpthosts, &s->has_rcpthosts) &&
          load_map("badmailfrom", &s->badmailfrom, 0) && load_networks("normalizeclients", &s->normalize));
}

int settings_load(struct settings *s, int watch)
{
  struct settings fresh;
  memset(&fresh, 0, sizeof fresh);
  if (watch) fresh.stamp = control_stamp(my_files());
  if (!load_names(&fresh) || !load_submission(&fresh) || !load_numbers(&fresh) || !load_smtp(&fresh) ||
      !load_networks("authinclear", &fresh.authinclear)) {
    settings_free(&fresh);
    s->stamp = fresh.stamp;
    return 0;
  }
  settings_free(s);
  *s = fresh;
  return 1;
}
