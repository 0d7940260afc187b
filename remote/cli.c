/* cli.c - qmail-remote's interface; see cli.h */

#include <string.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/stralloc.h>

#include "cli.h"
#include "deliver.h"
#include "program.h"

static struct link link_now; /* too large for the stack */

static int put(char const *s, size_t len)
{
  return allwrite(1, s, len) == len;
}

int cli_report(char letter, char const *text)
{
  return put(&letter, 1) && put(text, strlen(text) + 1) ? 0 : EXIT_TEMPORARY;
}

static int add_verdict(stralloc *report, struct outcome const *o, struct verdict const *v)
{
  return stralloc_append(report, v->letter) && stralloc_catb(report, o->text.s + v->at, v->len) &&
         stralloc_0(report);
}

/* r, h or s for each recipient, then K, Z or D. */
static int report_all(struct outcome const *o)
{
  stralloc report = STRALLOC_ZERO;
  int ok = 1;
  for (size_t i = 0; ok && i < o->nrcpts; i++) {
    struct verdict v = o->rcpts[i];
    if (v.letter != 'h' && v.letter != 's') v = (struct verdict){ .letter = 'r' };
    ok = add_verdict(&report, o, &v);
  }
  if (!ok || !add_verdict(&report, o, &o->message))
    return cli_report('Z', "Out of memory. (#4.3.0)\n");
  return put(report.s, report.len) ? 0 : EXIT_TEMPORARY;
}

static int fill_rcpts(struct job *j, stralloc *rcpts, int n, char const *const *args)
{
  for (int i = 0; i < n; i++)
    if (!stralloc_catb(rcpts, args[i], strlen(args[i]) + 1)) return 0;
  j->rcpts = rcpts->s;
  j->rcptslen = rcpts->len;
  j->nrcpts = (uint32_t)n;
  return 1;
}

int cli_run(struct job *j, int n, char const *const *args)
{
  stralloc rcpts = STRALLOC_ZERO;
  link_init(&link_now);
  j->host = args[0];
  j->sender = args[1];
  if (n - 2 > JOB_RCPTS_MAX) return cli_report('Z', "Too many recipients at once. (#4.5.3)\n");
  if (!fill_rcpts(j, &rcpts, n - 2, args + 2)) return cli_report('Z', "Out of memory. (#4.3.0)\n");
  struct outcome const *o = &deliver(&link_now, j)->outcome;
  if (o->nrcpts != j->nrcpts) return cli_report('Z', "Out of memory. (#4.3.0)\n");
  int code = report_all(o);
  deliver_quit(&link_now);
  return code;
}
