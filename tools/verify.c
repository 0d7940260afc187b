/* verify.c - say where mail for an address would go, without sending any: sendmail -bv
 *
 * usage: pipit-verify [-f sender] address...
 *
 * One line for each, as sendmail words them:
 *   ADDRESS... deliverable: mailer local, user NAME
 *   ADDRESS... deliverable: mailer smtp, host HOST, user ADDRESS   (lmtp for an LMTP server)
 *   ADDRESS... User unknown
 *   ADDRESS... cannot tell: WHY
 * HOST is the relay of control/smtproutes, or of control/senderroutes for mail from <sender>, or the domain, whose mail exchangers are not looked up.
 * Anybody may use it: what is closed to him is something that cannot be told.
 *
 * exit: 0 all are deliverable; 100 wrong usage, or one is not; 111 it cannot be told of one.
 */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/buffer.h>
#include <skalibs/sgetopt.h>
#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "../remote/route.h"
#include "accounts.h"
#include "address.h"
#include "admin.h"
#include "complete.h"
#include "control.h"
#include "dotname.h"
#include "finduser.h"
#include "getpw.h"
#include "home.h"
#include "program.h"
#include "rewrite.h"

#define USAGE "pipit-verify [-f sender] address..."

struct verify {
  struct complete hosts;
  struct rewrite routes;
  struct accounts accounts;
  struct finduser_stamps stamps;
  char const *sender; /* or NULL */
  int code;
};

static void nomem(void) __attribute__((noreturn));
static void nomem(void)
{
  strerr_dief(EXIT_TEMPORARY, "out of memory");
}

/* The address may hold anything: what is no printable ASCII is not printed. */
static void put(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    char c = s[i] < 32 || s[i] > 126 ? '?' : s[i];
    if (buffer_put(buffer_1, &c, 1) == -1)
      strerr_diefusys(EXIT_TEMPORARY, "write to standard output");
  }
}

static void puts_text(char const *s)
{
  put(s, strlen(s));
}

static void end_line(void)
{
  if (buffer_put(buffer_1, "\n", 1) == -1 || !buffer_flush(buffer_1))
    strerr_diefusys(EXIT_TEMPORARY, "write to standard output");
}

/* Trouble outweighs an address that is not there. */
static void judge(struct verify *v, int code, char const *text, char const *more)
{
  if (code > v->code) v->code = code;
  puts_text(text);
  puts_text(more);
  end_line();
}

static void cannot_tell(struct verify *v, char const *why)
{
  judge(v, EXIT_TEMPORARY, "cannot tell: ", why);
}

/* 1 there is a dot-qmail file for the extension, 0 there is none, -1 with errno. */
static int has_dotqmail(int home, struct mailuser const *u)
{
  stralloc name = STRALLOC_ZERO;
  size_t len = strlen(u->ext);
  size_t i = len + 1;
  int there = 0;
  if (!dotname_make(&name, u->dash, u->ext, len, "")) nomem();
  do {
    there = faccessat(home, name.s, F_OK, 0) == 0 ? 1 : dotname_is_absent(errno) ? 0 : -1;
    if (there || !dotname_shorter(u->ext, &i)) break;
    if (!dotname_make(&name, u->dash, u->ext, i, "default")) nomem();
  } while (1);
  stralloc_free(&name);
  return there;
}

static void say_user(struct verify *v, struct mailuser const *u)
{
  int there = 1;
  if (!u->delivery && *u->dash) {
    int home = open(u->home, O_PATH | O_DIRECTORY | O_CLOEXEC);
    there = home == -1 ? -1 : has_dotqmail(home, u);
    int e = errno;
    if (home != -1) close(home);
    errno = e;
  }
  if (there == 1) judge(v, 0, "deliverable: mailer local, user ", u->user);
  else if (!there) judge(v, EXIT_PERMANENT, "User unknown", "");
  else cannot_tell(v, errno == EACCES ? "his home is closed to you" : strerror(errno));
}

static void local(struct verify *v, stralloc const *addr)
{
  struct finduser_source source = { .accounts = &v->accounts, .home = home_dir(),
                                    .stamps = &v->stamps, .getpw = getpw_find };
  struct mailuser u = MAILUSER_ZERO;
  switch (finduser(&source, addr->s, addr->len, &u)) {
  case FINDUSER_OK: say_user(v, &u); break;
  case FINDUSER_NONE: judge(v, EXIT_PERMANENT, "User unknown", ""); break;
  case FINDUSER_MEMORY: nomem();
  default: cannot_tell(v, "see standard error");
  }
  stralloc_free(&u.text);
}

static void remote(struct verify *v, stralloc const *addr)
{
  char relay[ROUTE_RELAY_MAX];
  stralloc host = STRALLOC_ZERO;
  struct route r;
  size_t at = address_at(addr->s, addr->len);
  if (at == addr->len || !stralloc_catb(&host, addr->s + at + 1, addr->len - at - 1) ||
      !stralloc_0(&host))
    nomem(); /* rewriting has given it a host */
  switch (route_find(&r, host.s, v->sender)) {
  case ROUTE_OK:
    route_relay_name(&r, relay);
    puts_text(r.lmtp ? "deliverable: mailer lmtp, host " : "deliverable: mailer smtp, host ");
    puts_text(*relay ? relay : host.s);
    puts_text(", user ");
    put(addr->s, addr->len);
    judge(v, 0, "", "");
    break;
  case ROUTE_BADHOST: judge(v, EXIT_PERMANENT, "Host unknown", ""); break;
  case ROUTE_TEMPORARY: cannot_tell(v, route_why()); break;
  }
  stralloc_free(&host);
}

static void verify(struct verify *v, char const *arg)
{
  stralloc addr = STRALLOC_ZERO, where = STRALLOC_ZERO;
  if (!stralloc_cats(&addr, arg) || !complete_address(&v->hosts, &addr)) nomem();
  int channel = rewrite_address(&v->routes, addr.s, addr.len, &where);
  if (channel == -1) nomem();
  put(addr.s, addr.len);
  puts_text("... ");
  if (!addr.len || !address_is_clean(addr.s, addr.len))
    judge(v, EXIT_PERMANENT, "no address", "");
  else if (channel == CHANNEL_LOCAL) local(v, &where);
  else remote(v, &where);
  stralloc_free(&addr);
  stralloc_free(&where);
}

int verify_main(int argc, char const *const *argv)
{
  struct verify v = { .hosts = COMPLETE_ZERO, .routes = REWRITE_ZERO };
  subgetopt l = SUBGETOPT_ZERO;
  char const *why;
  for (int opt; (opt = subgetopt_r(argc, argv, "f:", &l)) != -1; v.sender = l.arg)
    if (opt != 'f') strerr_dieusage(EXIT_PERMANENT, USAGE);
  if (l.ind == argc) strerr_dieusage(EXIT_PERMANENT, USAGE);
  int r = complete_load(&v.hosts, &why);
  if (r) strerr_dief(r, why);
  if (!rewrite_load(&v.routes)) strerr_dief(EXIT_TEMPORARY, control_why());
  if (!accounts_load(&v.accounts)) strerr_dief(EXIT_TEMPORARY, accounts_why());
  for (argv += l.ind; *argv; argv++) verify(&v, *argv);
  return v.code;
}
