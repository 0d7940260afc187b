/* perform.c - one delivery; see perform.h */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <skalibs/buffer.h>
#include <skalibs/strerr.h>

#include "cleanenv.h"
#include "command.h"
#include "job.h"
#include "maildir.h"
#include "mbox.h"
#include "perform.h"
#include "priv.h"
#include "program.h"

#define MEMORY_MAX  134217728 /* bytes of address space; programs get the limit that we had */
#define SECONDS_MAX 604800 /* after which a delivery that hangs is killed, if nobody did before */

static void fail(struct perform const *p) __attribute__((noreturn));
static void fail(struct perform const *p)
{
  if (!*p->r.text) _exit(p->r.code);
  strerr_die(p->r.code, p->r.text);
}

static void die_nomem(void) __attribute__((noreturn));
static void die_nomem(void)
{
  strerr_die(EXIT_TEMPORARY, "Out of memory. (#4.3.0)");
}

void perform_confine(void)
{
  alarm(SECONDS_MAX);
  if (!getuid() || !geteuid())
    strerr_die(EXIT_TEMPORARY, "Not allowed to perform deliveries as root. (#4.3.0)");
  if (!priv_limit_memory(MEMORY_MAX))
    strerr_die(EXIT_TEMPORARY, "Unable to limit memory. (#4.3.0)");
}

void perform_mailbox(struct perform *p)
{
  p->mailbox = p->maildir.make = 1;
}

/* It comes from a table of users: a wrong one is local trouble. */
void perform_quota(struct perform *p, char const *text)
{
  if (quota_read(&p->maildir.quota, text, strlen(text))) return;
  strerr_dief(EXIT_TEMPORARY, "the quota \"", text,
              "\" is none: write bytes and messages as 10000000S,1000C. (#4.3.5)");
}

/* Go home, unless the home says that its owner is at work there or that it is open to all. */
static void enter_home(struct perform const *p)
{
  struct stat st;
  if (chdir(p->d.home) == -1)
    strerr_die(EXIT_TEMPORARY, "Unable to switch to ", p->d.home, ": ", strerror(errno),
               ". (#4.3.0)");
  if (stat(".", &st) == -1)
    strerr_die(EXIT_TEMPORARY, "Unable to stat home directory: ", strerror(errno), ". (#4.3.0)");
  if (st.st_mode & DOTQMAIL_PATRN)
    strerr_die(EXIT_TEMPORARY, "Uh-oh: home directory is writable. (#4.7.0)");
  if (!(st.st_mode & S_ISVTX)) return;
  if (!p->describe)
    strerr_die(EXIT_TEMPORARY,
               "Home directory is sticky: user is editing his .qmail file. (#4.2.1)");
  strerr_warn("Warning: home directory is sticky.");
}

static int add(stralloc *sa, char const *s)
{
  return stralloc_catb(sa, s, strlen(s));
}

/* Who forwards come from: local-owner where that address exists, and with
 * -owner-default each recipient's own variant of it (VERP). */
static void choose_sender(struct perform *p)
{
  struct delivery const *d = &p->d;
  int owner = 0, verp = 0;
  if (!p->mailbox && *d->sender && strcmp(d->sender, "#@[]")) {
    owner = dotqmail_exists(d->dash, d->ext, "-owner", &p->r);
    if (owner == 1) verp = dotqmail_exists(d->dash, d->ext, "-owner-default", &p->r);
    if (owner == -1 || verp == -1) fail(p);
  }
  p->list = owner;
  int ok = owner ? add(&p->newsender, d->local) &&
                       add(&p->newsender, verp ? "-owner-@" : "-owner@") &&
                       add(&p->newsender, d->host) && (!verp || add(&p->newsender, "-@[]"))
                 : add(&p->newsender, d->sender);
  if (!ok || !stralloc_append(&p->newsender, 0)) die_nomem();
}

/* What programs find in their environment, that of the queue too. */
static void set_environment(struct perform const *p, size_t defaultfrom)
{
  if (!delivery_environment(&p->d) || !cleanenv_set("NEWSENDER", p->newsender.s)) die_nomem();
  unsetenv("DEFAULT");
  if (defaultfrom != DOTQMAIL_NOTDEF && !cleanenv_set("DEFAULT", p->d.ext + defaultfrom))
    die_nomem();
}

static void refuse(struct perform const *p)
{
  if (p->q.refusal) strerr_die(EXIT_TEMPORARY, p->q.refusal);
}

static int is_one_maildir(struct dotqmail const *q)
{
  return q->count == 1 && q->list[0].kind == INSTRUCTION_MAILDIR;
}

void perform_begin(struct perform *p, char const *const *args)
{
  struct dotqmail_file f = {.fd = -1, .defaultfrom = DOTQMAIL_NOTDEF};
  if (!delivery_init(&p->d, args)) die_nomem();
  enter_home(p);
  if (!p->mailbox && !dotqmail_find(&f, p->d.dash, p->d.ext, &p->r)) fail(p);
  if (!p->mailbox && f.fd == -1 && *p->d.dash)
    strerr_die(EXIT_PERMANENT, "Sorry, no mailbox here by that name. (#5.1.1)");
  if (!dotqmail_read(&p->q, &f, p->d.fallback, &p->r)) fail(p);
  if (!is_one_maildir(&p->q) && !delivery_date(&p->d, time(0))) die_nomem();
  if (p->q.programs || p->q.forwards) {
    choose_sender(p);
    set_environment(p, f.defaultfrom);
  }
  if (!p->q.programs && !p->describe) refuse(p);
}

void perform_describe(struct perform const *p)
{
  static char const *const kinds[] = {"maildir ", "mbox ", "program ", "forward "};
  for (size_t i = 0; i < p->q.count; i++) {
    buffer_puts(buffer_1, kinds[p->q.list[i].kind]);
    buffer_puts(buffer_1, p->q.list[i].text);
    buffer_puts(buffer_1, "\n");
  }
  buffer_flush(buffer_1);
  refuse(p);
}

static void count(struct perform *p, enum instruction_kind kind)
{
  switch (kind) {
  case INSTRUCTION_MAILDIR:
  case INSTRUCTION_MBOX: p->files++; break;
  case INSTRUCTION_PROGRAM: p->programs++; break;
  case INSTRUCTION_FORWARD: p->forwards++; break;
  }
}

static int execute(struct perform *p, struct instruction const *i)
{
  switch (i->kind) {
  case INSTRUCTION_MAILDIR: return maildir_deliver(&p->d, &p->m, i->text, &p->maildir, &p->r);
  case INSTRUCTION_MBOX: return mbox_deliver(&p->d, &p->m, i->text, &p->r);
  case INSTRUCTION_PROGRAM: return command_run(&p->m, i->text, &p->r);
  case INSTRUCTION_FORWARD: return 1;
  }
  return 0;
}

/* Have it kept that this line is done, if anything is left that may fail. */
static void keep_progress(struct perform *p, struct instruction const *i, int result)
{
  int last = i + 1 == p->q.list + p->q.count;
  if (i->kind == INSTRUCTION_FORWARD || (last && !p->forwards && !p->q.refusal)) return;
  progress_add(&p->progress, &p->d, i, result);
  if (p->tell) p->tell(p->data, p->progress.records, p->progress.count * PROGRESS_RECORD);
}

/* 1, COMMAND_STOP, or 0 and p->r. */
static int follow(struct perform *p, struct instruction const *i)
{
  count(p, i->kind);
  int r = progress_meet(&p->progress, &p->d, i);
  if (r) return r;
  r = execute(p, i);
  if (r) keep_progress(p, i, r);
  return r;
}

static void forward(struct perform *p, size_t n)
{
  struct forward f = {.d = &p->d, .m = &p->m, .q = &p->q, .n = n, .sender = p->newsender.s,
                      .wishes = p->wishes, .kind = FORWARD_COPIES};
  if (p->list) f.kind = FORWARD_LIST;
  else if (p->forwards == 1 && !p->files && !p->programs) f.kind = FORWARD_ALIAS;
  if (!forward_send(&f, &p->qp, &p->passed, &p->r)) fail(p);
  if (f.kind != FORWARD_ALIAS) p->passed = 0;
}

/* Follow the instructions in their order; all forwards go together at the end. */
void perform_deliver(struct perform *p, char const *data, int fd, uint64_t length)
{
  struct dotqmail const *q = &p->q;
  size_t n = 0;
  int r = 1;
  message_init(&p->m, data, fd, length, delivery_recipient(&p->d), delivery_recipientlen(&p->d));
  /* A single Maildir needs no copy: what was read of a message that is not whole is removed. */
  if (!is_one_maildir(q) && !message_keep(&p->m, q->programs > 0, &p->r)) fail(p);
  while (n < q->count && r == 1) {
    r = follow(p, q->list + n++);
    if (!r) fail(p);
  }
  if (r == 1) refuse(p);
  if (p->forwards) forward(p, n);
}

int perform_was_plain(struct perform const *p)
{
  return p->q.count == 1 && p->files == 1;
}

size_t perform_summary(struct perform const *p, char out[PERFORM_SUMMARY_MAX])
{
  static char const usual[] = "did 1+0+0\n"; /* without printf: its pages are five more page faults in a new process */
  if (perform_was_plain(p) && !*p->r.text) {
    memcpy(out, usual, sizeof usual);
    return sizeof usual - 1;
  }
  int n = snprintf(out, PERFORM_SUMMARY_MAX, "did %zu+%zu+%zu\n", p->files, p->forwards,
                   p->programs);
  if (p->qp)
    n += snprintf(out + n, PERFORM_SUMMARY_MAX - (size_t)n, "qp %llu\n",
                  (unsigned long long)p->qp);
  if (*p->r.text)
    n += snprintf(out + n, PERFORM_SUMMARY_MAX - (size_t)n, "%s\n", p->r.text);
  return (size_t)n;
}

char perform_note(struct perform const *p)
{
  if (p->passed) return JOB_PASSED;
  return p->forwards && p->list ? JOB_LISTED : 0;
}

void perform_free(struct perform *p)
{
  message_free(&p->m);
  dotqmail_free(&p->q);
  delivery_free(&p->d);
  stralloc_free(&p->newsender);
}
