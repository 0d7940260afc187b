/* preline.c - preline, predate, datemail, mailsubj: a message with lines put before it
 *
 * usage: preline [-frdFRD] program [argument...]
 *        predate program [argument...]
 *        datemail [option...] [recipient...]
 *        mailsubj subject recipient...
 *
 * preline feeds the program UFLINE, RPLINE and DTLINE (-f, -r, -d: without it) and
 * the message. predate puts a Date field before what it reads; datemail is predate
 * sendmail. mailsubj sends what it reads.
 *
 * exit: that of the program; 100 wrong usage, 111 it cannot be run.
 */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>

#include "date.h"
#include "helper.h"
#include "home.h"
#include "program.h"

#define PRELINE_USAGE "preline [-frdFRD] program [argument...]"

int preline_main(int argc, char const *const *argv)
{
  static char const letters[] = "frdFRD";
  int leave_out[3] = {0};
  stralloc head = STRALLOC_ZERO;
  subgetopt l = SUBGETOPT_ZERO;
  for (int opt; (opt = subgetopt_r(argc, argv, letters, &l)) != -1;) {
    char const *p = strchr(letters, opt);
    if (!p) strerr_dieusage(EXIT_PERMANENT, PRELINE_USAGE);
    leave_out[(p - letters) % 3] = p - letters < 3;
  }
  if (!argv[l.ind]) strerr_dieusage(EXIT_PERMANENT, PRELINE_USAGE);
  for (int i = 0; i < 3; i++) {
    char const *line = helper_env(child_prelines[i]);
    if (!leave_out[i]) helper_add(&head, line, strlen(line));
  }
  return child_feed(argv + l.ind, &head);
}

static int predate(char const *const *argv)
{
  char date[DATE_MAX];
  stralloc head = STRALLOC_ZERO;
  size_t n = date_rfc5322(date, time(0));
  helper_add(&head, "Date: ", 6);
  helper_add(&head, date, n);
  helper_add(&head, "\n", 1);
  return child_feed(argv, &head);
}

int predate_main(int argc, char const *const *argv)
{
  if (argc < 2) strerr_dieusage(EXIT_PERMANENT, "predate program [argument...]");
  return predate(argv + 1);
}

int datemail_main(int argc, char const *const *argv)
{
  char const **args = calloc((size_t)argc + 2, sizeof *args);
  if (!args) helper_nomem();
  args[0] = home_program("pipit-sendmail");
  for (int i = 1; i < argc; i++) args[i] = argv[i];
  return predate(args);
}

/* A value of a field: a control character, which might begin another field, is a space. */
static void add_value(stralloc *head, char const *s)
{
  size_t from = head->len;
  helper_add(head, s, strlen(s));
  for (; from < head->len; from++)
    if ((unsigned char)head->s[from] < ' ' || head->s[from] == 127) head->s[from] = ' ';
}

int mailsubj_main(int argc, char const *const *argv)
{
  stralloc head = STRALLOC_ZERO;
  if (argc < 3) strerr_dieusage(EXIT_PERMANENT, "mailsubj subject recipient...");
  char const *const inject[] = {home_program("pipit-inject"), 0};
  helper_add(&head, "Subject: ", 9);
  add_value(&head, argv[1]);
  helper_add(&head, "\nTo: ", 5);
  for (int i = 2; i < argc; i++) {
    if (i > 2) helper_add(&head, ",\n ", 3);
    add_value(&head, argv[i]);
  }
  helper_add(&head, "\n\n", 2);
  return child_feed(inject, &head);
}
