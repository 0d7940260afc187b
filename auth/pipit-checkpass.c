/* pipit-checkpass.c - check a login and its password, become its user, and execute a program
 *
 * usage: pipit-checkpass [ -p | -s ] program arg...
 *
 * A checkpassword program: login, password and a timestamp come on descriptor 3, each with a NUL
 * behind it. Logins are those of users/passwd.cdb (pipit-passwd), with -p those of the system (PAM,
 * service pipit). USER, HOME and SHELL are set, for a mailbox of users/mailboxes MAILDIR as well.
 *
 * -s: descriptor 3 is a socket, over which SCRAM-SHA-256 is spoken, packets as in lib/authwire.h
 * (AUTHWIRE_WHO once the first message was read; AUTHWIRE_DATA both ways; AUTHWIRE_OK or AUTHWIRE_NO,
 * without a login, at the end).
 *
 * Called as pipit-passwd it is that program: tools/pipit-passwd.c.
 *
 * exit: 1 no such login or the wrong password, 2 wrong usage, 111 trouble, about which one line
 * is on stderr; else that of the program.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/sgetopt.h>
#include <skalibs/strerr.h>

#include "checkpass.h"
#include "home.h"
#include "program.h"
#include "secret.h"
#include "../tools/pipit-passwd.h"

#define USAGE "pipit-checkpass [ -p | -s ] program arg..."
#define INPUT 3

/* login\0password\0...: 1 and where they are. */
static int read_input(char data[AUTHWIRE_DATA_MAX + 1], char const **login, char const **password)
{
  size_t n = allread(INPUT, data, AUTHWIRE_DATA_MAX + 1);
  close(INPUT);
  if (n > AUTHWIRE_DATA_MAX) return 0;
  char const *nul = memchr(data, 0, n);
  if (!nul) return 0;
  *login = data;
  *password = nul + 1;
  return memchr(*password, 0, n - (size_t)(*password - data)) != 0;
}

/* As long as a login with a password takes, so that nobody can tell. */
static int check_nobody(char const *password)
{
  struct passwd_head h = PASSWD_ZERO;
  int r = passwd_head(&h);
  if (r == 0) errno = ENOENT;
  if (r != 1) return -1;
  secret_check(h.dummy, password);
  return 0;
}

static int check_password(struct checkpass *c, char const *login, char const *password)
{
  size_t len = strlen(login);
  int r = passwd_find(&c->entry, login, len);
  if (len < sizeof c->login) memcpy(c->login, login, len + 1);
  if (r == -1) return -1;
  return !r || secret_is_disabled(c->entry.secret) ? check_nobody(password) : secret_check(c->entry.secret, password);
}

static int check(struct checkpass *c, int use_pam)
{
  char data[AUTHWIRE_DATA_MAX + 1];
  char const *login, *password;
  if (!read_input(data, &login, &password))
    strerr_dief(2, "descriptor 3 has no login and password");
  int r = use_pam ? checkpass_pam(c, login, password) : check_password(c, login, password);
  explicit_bzero(data, sizeof data);
  return r;
}

static void set(char const *name, char const *value)
{
  if (setenv(name, value, 1) == -1) strerr_diefusys(EXIT_TEMPORARY, "set ", name);
}

static int checkpass_main(int argc, char const *const *argv)
{
  static struct checkpass c = CHECKPASS_ZERO;
  subgetopt g = SUBGETOPT_ZERO;
  int use_pam = 0, scram = 0, wrong = 0;
  for (int opt; (opt = subgetopt_r(argc, argv, "ps", &g)) != -1;) {
    if (opt == 'p') use_pam = 1;
    else if (opt == 's') scram = 1;
    else wrong = 1;
  }
  if (wrong || g.ind >= argc || (use_pam && scram)) strerr_dieusage(2, USAGE);
  int r = scram ? checkpass_scram(&c, INPUT) : check(&c, use_pam);
  if (r == -1 && !use_pam)
    strerr_diefusys(EXIT_TEMPORARY, "use ", home_dir(), "/" PASSWD_CDB ", which pipit-passwd makes");
  if (r == -1) _exit(EXIT_TEMPORARY);
  if (r == 0) _exit(1);
  checkpass_become(&c);
  set("USER", c.login);
  set("HOME", c.home);
  set("SHELL", c.shell);
  if (c.maildir) set("MAILDIR", c.maildir);
  else unsetenv("MAILDIR");
  argv += g.ind;
  execvp(argv[0], (char **)argv);
  strerr_diefusys(EXIT_TEMPORARY, "execute ", argv[0]);
}

static struct names const programs[] = {
    {"checkpass", checkpass_main},
    {"passwd", passwd_main},
};

int main(int argc, char const *const *argv)
{
  return names_run("pipit-checkpass", programs, sizeof programs / sizeof *programs, argc, argv);
}
