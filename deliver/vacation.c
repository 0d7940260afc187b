/* vacation.c - pipit-vacation, vacation, qmail-autoresponder: answer mail while its reader is away
 *
 * usage: pipit-vacation [-jN] [-a alias]... [-t days] [-n count] [-h count] [-s subject] [-f
 * memory] file vacation [-djzN] [-a alias]... [-r days] [-n count] [-h count] [-s subject] [-f
 * memory]
 *                 [-m file] [login]
 *        vacation -i [-f memory]
 *        qmail-autoresponder [-jqNT] [-a alias]... [-n count] [-h count] [-t seconds] [-s prefix]
 *                 [file] dir
 *
 * The answer goes to SENDER, from nobody. Whoever was answered in the interval (a week; an
 * hour) is not answered again. What is never answered: vacation-decide.c. -N prints the answer.
 *
 * exit: 0, whatever happens, where SENDER is set: nobody's mail is bounced or comes late because of
 * an answer; stderr has why there was none. Typed by hand: 100 wrong usage, 111 trouble.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/djbunix.h>
#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "clock.h"
#include "helper.h"
#include "program.h"
#include "vacation.h"

#define DAY         86400
#define HOURLY      30 /* answers in an hour, to all */
#define MEMORY      ".pipit-vacation"
#define SECONDS_MAX 600 /* that an answer may take */

enum style { PIPIT, BSD, QMAIL };

static struct {
  char const *name, *letters, *usage;
} const styles[] = {
    [PIPIT] = {"pipit-vacation", "jNa:t:n:h:s:f:",
               "pipit-vacation [-jN] [-a alias]... [-t days] [-n count] [-h count] [-s subject] "
               "[-f memory] file"},
    [BSD] = {"vacation", "djzNia:r:t:n:h:s:f:m:",
             "vacation [-djzNi] [-a alias]... [-r days] [-n count] [-h count] [-s subject] "
             "[-f memory] [-m file] [login]"},
    [QMAIL] = {"qmail-autoresponder", "jqNTa:n:h:t:s:f:",
               "qmail-autoresponder [-jqNT] [-a alias]... [-n count] [-h count] [-t seconds] "
               "[-s prefix] [file] dir"},
};

struct call {
  enum style style;
  int print; /* -N */
  int quiet; /* -q */
  int init;  /* -i */
  struct vacation v;
};

static void usage(struct call const *c) __attribute__((noreturn));
static void usage(struct call const *c)
{
  strerr_dieusage(EXIT_PERMANENT, styles[c->style].usage);
}

static uint64_t number(struct call const *c, char const *s)
{
  uint64_t n;
  if (!uint640_scan(s, &n)) usage(c);
  return n;
}

/* An interval in units; anything but a number is for ever, as in vacation(1). */
static uint64_t interval(struct call const *c, char const *s)
{
  uint64_t unit = c->style == QMAIL ? 1 : DAY;
  if (*s < '0' || *s > '9') return UINT64_MAX;
  uint64_t n = number(c, s);
  return n > UINT64_MAX / unit ? UINT64_MAX : n * unit;
}

static void options(struct call *c, int argc, char const *const *argv, int *first)
{
  struct vacation *v = &c->v;
  subgetopt l = SUBGETOPT_ZERO;
  for (int opt; (opt = subgetopt_r(argc, argv, styles[c->style].letters, &l)) != -1;) switch (opt) {
    case 'a': helper_add_string(&v->own, l.arg); break;
    case 'r':
    case 't': v->interval = interval(c, l.arg); break;
    case 'n': v->count = number(c, l.arg); break;
    case 'h': v->hourly = number(c, l.arg); break;
    case 's': v->subject = l.arg; break;
    case 'f': v->memory = l.arg; break;
    case 'm': v->file = l.arg; break;
    case 'j': v->any = 1; break;
    case 'N': c->print = 1; break;
    case 'q': c->quiet = 1; break;
    case 'i': c->init = 1; break;
    case 'd': /* these say what is so anyway */
    case 'z':
    case 'T': break;
    default: usage(c);
    }
  *first = l.ind;
}

/* qmail-autoresponder's -s is what stands before the original subject. */
static void prefix_subject(struct vacation *v)
{
  stralloc subject = STRALLOC_ZERO;
  if (!v->subject) return;
  helper_add(&subject, v->subject, strlen(v->subject));
  helper_add_string(&subject, " %S");
  v->subject = subject.s;
}

static void arguments(struct call *c, int argc, char const *const *argv)
{
  struct vacation *v = &c->v;
  int first;
  options(c, argc, argv, &first);
  argc -= first;
  argv += first;
  if (argc > (c->style == QMAIL ? 2 : 1) || (argc < 1 && c->style != BSD)) usage(c);
  switch (c->style) {
  case PIPIT: v->file = argv[0]; break;
  case BSD:
    if (argc) helper_add_string(&v->own, argv[0]);
    break;
  case QMAIL:
    prefix_subject(v);
    if (argc == 2) v->file = argv[0];
    if (chdir(argv[argc - 1]) == -1) strerr_diefusys(EXIT_TEMPORARY, "switch to ", argv[argc - 1]);
    break;
  }
}

/* $<name>@HOST is an own address. */
static void add_own(stralloc *own, char const *name, char const *host)
{
  char const *local = getenv(name);
  if (!local || !*local) return;
  helper_add(own, local, strlen(local));
  helper_add(own, "@", 1);
  helper_add_string(own, host);
}

/* EXT and DEFAULT lack what virtualdomains puts before an address. */
static void own_addresses(struct vacation *v)
{
  char const *host = helper_env("HOST");
  helper_env("LOCAL");
  add_own(&v->own, "LOCAL", host);
  add_own(&v->own, "EXT", host);
  add_own(&v->own, "DEFAULT", host);
  add_own(&v->own, "USER", host);
}

static void unanswered(struct call const *c, char const *why) __attribute__((noreturn));
static void unanswered(struct call const *c, char const *why)
{
  if (!c->quiet) strerr_warn(PROG, ": not answered: ", why);
  _exit(0);
}

static void answer(struct call *c)
{
  struct vacation *v = &c->v;
  struct mailhead m = MAILHEAD_ZERO;
  stralloc text = STRALLOC_ZERO, reply = STRALLOC_ZERO;
  v->sender = helper_env("SENDER");
  own_addresses(v);
  char const *why = vacation_bad_sender(v->sender, &v->own);
  if (!why && !mailhead_read(&m)) why = "its header is too long";
  if (!why) why = vacation_bad_header(v, &m);
  if (why) unanswered(c, why);
  if (!helper_slurp(v->file, &text, VACATION_TEXT_MAX, 0))
    strerr_dief(EXIT_TEMPORARY, "there is no text of an answer in ", v->file);
  if (!text.s) helper_add(&text, "", 0);
  queue_stamp(&reply);
  vacation_compose(v, &m, &text, &reply);
  if (c->print) {
    if (allwrite(1, reply.s, reply.len) < reply.len)
      strerr_diefusys(EXIT_TEMPORARY, "write the answer");
    return;
  }
  why = vacation_remember(v, clock_wall());
  if (why) unanswered(c, why);
  uint64_t qp = queue_notice(&reply, v->sender);
  if (!c->quiet) queue_say(qp);
}

/* Forget who was answered. */
static void init(struct vacation const *v)
{
  if (unlink(v->memory) == -1 && errno != ENOENT)
    strerr_diefusys(EXIT_TEMPORARY, "remove ", v->memory);
}

static void work(enum style style, int argc, char const *const *argv)
{
  struct call c = {.style = style,
                   .v = {.memory = MEMORY,
                         .file = style == QMAIL ? "message.txt" : ".vacation.msg",
                         .interval = style == QMAIL ? 3600 : 7 * DAY,
                         .count = 1,
                         .hourly = HOURLY,
                         .percent = style != BSD}};
  arguments(&c, argc, argv);
  if (c.init)
    init(&c.v);
  else
    answer(&c);
}

/* Whatever becomes of the answer, the delivery goes on. */
static int guarded(enum style style, int argc, char const *const *argv)
{
  int wstat;
  pid_t pid = getenv("SENDER") ? fork() : 0;
  if (pid == -1) {
    strerr_warnwusys("fork");
    return 0;
  }
  if (!pid) {
    alarm(SECONDS_MAX);
    work(style, argc, argv);
    _exit(0);
  }
  if (wait_pid(pid, &wstat) == -1)
    strerr_warnwusys("wait");
  else if (WIFSIGNALED(wstat))
    strerr_warnw("killed by a signal: not answered");
  return 0;
}

int vacation_main(int argc, char const *const *argv)
{
  return guarded(strcmp(PROG, styles[BSD].name) ? PIPIT : BSD, argc, argv);
}

int autoresponder_main(int argc, char const *const *argv)
{
  return guarded(QMAIL, argc, argv);
}
