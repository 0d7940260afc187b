/* pipit-passwd.c - add, change and delete logins of users/passwd, and compile it to users/passwd.cdb
 *
 * usage: pipit-passwd [ -s ] [ -i iterations ] [ -u user ] [ -h home ] login
 *        pipit-passwd -D | -d | -e login
 *        pipit-passwd -b
 *
 * Asks for a password twice; where descriptor 0 is no terminal it is the first line there. It
 * becomes the login's, which is added where there is none. -s: keys of SCRAM-SHA-256 are kept
 * instead of a hash of crypt(3). -u user: the login is that user of the system; -h home: but this
 * is his home. -D deletes a login, -d disables it, -e enables it again. -b compiles only.
 *
 * exit: 0 done, 1 no such login, or two passwords that differ, 100 wrong usage, 111 trouble: the
 * old files are in their place.
 */

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>
#include <skalibs/bytestr.h>
#include <skalibs/djbunix.h>
#include <skalibs/sgetopt.h>
#include <skalibs/sig.h>
#include <skalibs/strerr.h>
#include <skalibs/types.h>

#include "accounts.h"
#include "fileat.h"
#include "home.h"
#include "passwd.h"
#include "pipit-passwd.h"
#include "program.h"
#include "secret.h"
#include "table.h"

#define USAGE                                                                                      \
  "pipit-passwd [ -s ] [ -i iterations ] [ -u user ] [ -h home ] login, or -D | -d | -e login, or -b"
#define NEW  PASSWD_TEXT ".new"
#define SEED 16 /* bytes of randomness in the head, as hexadecimal digits */

enum action { SET, DELETE, DISABLE, ENABLE, BUILD };

struct job {
  enum action action;
  char const *login;
  unsigned int iterations; /* 0: crypt(3) */
  char const *user, *home; /* or NULL */
  char secret[SECRET_MAX];
  int found;
};

struct line {
  char text[PASSWD_LINE_MAX + 1];
  char *field[PASSWD_FIELDS]; /* "" for those that are missing */
};
enum { LOGIN, SECRET, UID, GID, GECOS, HOME, SHELL, MORE };

static void die(char const *what)
{
  strerr_diefusys(EXIT_TEMPORARY, what, " ", home_dir(), "/" PASSWD_TEXT);
}

/* --- the password --- */

static struct termios terminal;

static void echo(int on)
{
  struct termios t = terminal;
  if (!on) t.c_lflag &= (tcflag_t)~ECHO;
  tcsetattr(0, TCSAFLUSH, &t);
}

static void interrupted(int sig)
{
  (void)sig;
  echo(1);
  _exit(EXIT_TEMPORARY);
}

/* A line of descriptor 0, byte by byte: what follows is not ours. */
static void read_line(char out[SECRET_PASSWORD_MAX + 1])
{
  size_t n = 0;
  for (;;) {
    char c;
    ssize_t r = fd_read(0, &c, 1);
    if (r == -1) strerr_diefusys(EXIT_TEMPORARY, "read the password");
    if (r == 0 || c == '\n') break;
    if (n == SECRET_PASSWORD_MAX || !c) {
      n = 0;
      break;
    }
    out[n++] = c;
  }
  out[n] = 0;
  if (!n) strerr_dief(EXIT_PERMANENT, "that password is empty, or too long");
}

static void prompt(char const *text, char out[SECRET_PASSWORD_MAX + 1])
{
  fd_write(2, text, strlen(text));
  echo(0);
  read_line(out);
  echo(1);
  fd_write(2, "\n", 1);
}

static void read_password(char out[SECRET_PASSWORD_MAX + 1])
{
  char again[SECRET_PASSWORD_MAX + 1];
  if (tcgetattr(0, &terminal) == -1) {
    read_line(out);
    return;
  }
  sig_catch(SIGINT, interrupted);
  sig_catch(SIGTERM, interrupted);
  prompt("password: ", out);
  prompt("once more: ", again);
  int same = !strcmp(out, again);
  explicit_bzero(again, sizeof again);
  if (!same) strerr_dief(1, "those are two passwords; nothing was changed");
}

static void make_secret(struct job *j)
{
  char password[SECRET_PASSWORD_MAX + 1];
  read_password(password);
  if (!secret_make(j->secret, password, j->iterations))
    strerr_diefusys(EXIT_TEMPORARY, "hash the password");
  explicit_bzero(password, sizeof password);
}

/* --- lines --- */

static int is_comment(char const *s, size_t len)
{
  return !table_trim(s, len) || *s == '#';
}

static void split(struct table const *t, struct line *l, char const *s, size_t len)
{
  if (len > PASSWD_LINE_MAX) table_bad(t, "too long");
  memcpy(l->text, s, len);
  l->text[len] = 0;
  char *p = l->text;
  for (int i = 0; i < PASSWD_FIELDS; i++) {
    l->field[i] = p;
    char *colon = i < MORE ? strchr(p, ':') : 0;
    if (colon) *colon = 0;
    p = colon ? colon + 1 : p + strlen(p);
  }
}

/* A number, or the name of a user. */
static void number(struct table const *t, char out[UINT_FMT + 1], char const *s, int is_uid)
{
  unsigned int n;
  struct passwd const *pw = 0;
  *out = 0;
  if (!*s) return;
  if (!uint0_scan(s, &n)) {
    pw = is_uid ? getpwnam(s) : 0;
    if (!pw) table_bad(t, is_uid ? "no such user" : "the gid is not a number");
    n = pw->pw_uid;
  }
  if (!n) table_bad(t, "uid and gid 0 are not for logins");
  out[uint_fmt(out, n)] = 0;
}

/* --- the cdb --- */

struct head {
  int all_scram; /* so far */
  int any;
  char dummy[SECRET_MAX];
};

static void put(char const *key, size_t klen, stralloc *fields)
{
  char sum[PASSWD_SUM];
  stralloc value = STRALLOC_ZERO;
  passwd_sum(sum, key, klen, fields->s, fields->len);
  if (!stralloc_catb(&value, sum, sizeof sum) || !stralloc_catb(&value, fields->s, fields->len))
    die("compile");
  table_put(key, klen, value.s, value.len);
  stralloc_free(&value);
}

static void add(stralloc *fields, char const *s)
{
  if (!stralloc_catb(fields, s, strlen(s) + 1)) die("compile");
}

static void note(struct head *h, char const *secret)
{
  char const *hash;
  if (secret_is_disabled(secret)) return;
  if (secret_kind(secret, &hash) != SECRET_SCRAM) h->all_scram = 0;
  if (!*h->dummy && strlen(secret) < sizeof h->dummy) snprintf(h->dummy, sizeof h->dummy, "%s", secret);
  h->any = 1;
}

static void compile(struct table const *t, struct cdbwrite *w, struct head *h, struct line *l)
{
  char uid[UINT_FMT + 1], gid[UINT_FMT + 1];
  stralloc fields = STRALLOC_ZERO;
  size_t len = strlen(l->field[LOGIN]);
  if (!passwd_is_login(l->field[LOGIN], len)) table_bad(t, "not a login");
  case_lowerb(l->field[LOGIN], len);
  if (cdbwrite_has(w, l->field[LOGIN], len)) table_bad(t, "this login stands above already");
  if (!secret_is_disabled(l->field[SECRET]) && !secret_is_usable(l->field[SECRET]))
    table_bad(t, "the secret is malformed; write {CRYPT} and a hash, {SCRAM-SHA-256} and keys, or ! to disable the login");
  number(t, uid, l->field[UID], 1);
  number(t, gid, l->field[GID], 0);
  if (*uid && (!*gid || *l->field[HOME] != '/')) table_bad(t, "with a uid there has to be a gid and a home");
  add(&fields, l->field[SECRET]);
  add(&fields, uid);
  add(&fields, gid);
  add(&fields, l->field[HOME]);
  add(&fields, l->field[SHELL]);
  put(l->field[LOGIN], len, &fields);
  note(h, l->field[SECRET]);
  stralloc_free(&fields);
}

/* The seed stays: a login that does not exist always has the same salt. */
static void put_head(struct head *h)
{
  struct passwd_head old = PASSWD_ZERO;
  unsigned char random[SEED];
  char seed[2 * SEED + 1];
  stralloc fields = STRALLOC_ZERO;
  int had = passwd_head(&old);
  if (getrandom(random, sizeof random, 0) != sizeof random) die("compile");
  for (size_t i = 0; i < SEED; i++) snprintf(seed + 2 * i, 3, "%02x", random[i]);
  if (!*h->dummy && !secret_make(h->dummy, seed, 0)) die("compile");
  add(&fields, PASSWD_FORMAT);
  add(&fields, h->any && h->all_scram ? "s" : "");
  add(&fields, had == 1 ? old.seed : seed);
  add(&fields, h->dummy);
  put("", 0, &fields);
}

/* --- the text --- */

static void join(stralloc *out, struct line const *l)
{
  int last = MORE;
  while (last > SECRET && !*l->field[last]) last--;
  for (int i = 0; i <= last; i++)
    if ((i && !stralloc_append(out, ':')) || !stralloc_cats(out, l->field[i])) die("change");
  if (!stralloc_append(out, '\n')) die("change");
}

static void set_user(struct job const *j, struct line *l, char *uid, char *gid)
{
  struct passwd const *pw = j->user ? getpwnam(j->user) : 0;
  if (j->user && !pw) strerr_dief(EXIT_TEMPORARY, "there is no user ", j->user);
  if (pw) {
    uid[uint_fmt(uid, pw->pw_uid)] = 0;
    gid[uint_fmt(gid, pw->pw_gid)] = 0;
    l->field[UID] = uid;
    l->field[GID] = gid;
    l->field[HOME] = pw->pw_dir;
  }
  if (j->home) l->field[HOME] = (char *)j->home;
}

/* Change the fields as asked, and append the line. */
static void change(struct job *j, stralloc *out, struct line *l)
{
  char secret[SECRET_MAX + 2], uid[UINT_FMT + 1], gid[UINT_FMT + 1];
  char *old = l->field[SECRET];
  j->found = 1;
  if (j->action == DELETE) return;
  if (j->action == SET) {
    l->field[SECRET] = j->secret;
    set_user(j, l, uid, gid);
  } else if (j->action == ENABLE) {
    l->field[SECRET] = old + (*old == '!');
  } else if (*old != '!') {
    snprintf(secret, sizeof secret, "!%.*s", SECRET_MAX, old);
    l->field[SECRET] = secret;
  }
  join(out, l);
}

static void edit(struct job *j, stralloc *out)
{
  struct table t = { .path = 0 };
  struct line l;
  char *s;
  size_t len;
  if (table_read_if(&t, PASSWD_TEXT))
    while (table_next(&t, &s, &len)) {
      if (!is_comment(s, len)) {
        split(&t, &l, s, len);
        if (!case_diffb(l.field[LOGIN], strlen(l.field[LOGIN]) + 1, j->login)) {
          change(j, out, &l);
          continue;
        }
      }
      if (!stralloc_catb(out, s, len) || !stralloc_append(out, '\n')) die("change");
    }
  if (j->found || j->action != SET) return;
  split(&t, &l, j->login, strlen(j->login));
  change(j, out, &l);
}

static void write_text(stralloc const *text)
{
  int fd = openat(home_fd(), NEW, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd == -1) die("change");
  if (fchmod(fd, 0600) == -1 || fd_write(fd, text->s ? text->s : "", text->len) != (ssize_t)text->len ||
      fsync(fd) == -1)
    die("change");
  close(fd);
}

static void compile_text(struct cdbwrite *w, char const *path)
{
  struct table t = { .path = 0 };
  struct head h = { .all_scram = 1 };
  struct line l;
  char *s;
  size_t len;
  table_read(&t, path);
  while (table_next(&t, &s, &len)) {
    if (is_comment(s, len)) continue;
    split(&t, &l, s, len);
    compile(&t, w, &h, &l);
  }
  put_head(&h);
}

/* The cdb file's lock is both files' lock. The text comes first: what is in no cdb yet is there
 * after the next time, and nothing that was changed gets lost. */
static void work(struct job *j)
{
  struct stat st;
  stralloc text = STRALLOC_ZERO;
  struct cdbwrite *w = table_begin(PASSWD_CDB);
  cdbwrite_private(w);
  if (j->action != BUILD) {
    unlinkat(home_fd(), NEW, 0); /* of one that was cut off */
    edit(j, &text);
    if (!j->found) strerr_dief(1, "there is no login ", j->login);
    write_text(&text);
  }
  compile_text(w, j->action == BUILD ? PASSWD_TEXT : NEW);
  if (j->action == BUILD && fstatat(home_fd(), PASSWD_TEXT, &st, 0) == 0 && st.st_mode & 077)
    strerr_warnw("others can read ", home_dir(), "/" PASSWD_TEXT ": chmod 600");
  if (j->action != BUILD &&
      (renameat(home_fd(), NEW, home_fd(), PASSWD_TEXT) == -1 || !fileat_sync_directory(home_fd(), "users")))
    die("change");
  table_commit();
}

static int read_options(struct job *j, int argc, char const *const *argv)
{
  subgetopt g = SUBGETOPT_ZERO;
  int others = 0;
  for (int opt; (opt = subgetopt_r(argc, argv, "sDdebi:u:h:", &g)) != -1;) {
    enum action before = j->action;
    switch (opt) {
      case 'D': j->action = DELETE; break;
      case 'd': j->action = DISABLE; break;
      case 'e': j->action = ENABLE; break;
      case 'b': j->action = BUILD; break;
      case 's':
        if (!j->iterations) j->iterations = SCRAM_ITERATIONS;
        others = 1;
        continue;
      case 'i':
        if (!uint0_scan(g.arg, &j->iterations) || j->iterations < SCRAM_ITERATIONS_MIN ||
            j->iterations > SCRAM_ITERATIONS_MAX)
          return 0;
        others = 1;
        continue;
      case 'u': j->user = g.arg; others = 1; continue;
      case 'h': j->home = g.arg; others = 1; continue;
      default: return 0;
    }
    if (before != SET) return 0;
  }
  if (others && j->action != SET) return 0;
  if (argc - g.ind != (j->action != BUILD)) return 0;
  j->login = argv[g.ind];
  return j->action == BUILD || passwd_is_login(j->login, strlen(j->login));
}

/* Root leaves no file of its own in an instance of one account. */
static void become(void)
{
  struct accounts a;
  if (!accounts_load(&a)) strerr_dief(EXIT_TEMPORARY, accounts_why());
  if (a.separated && geteuid()) strerr_dief(EXIT_TEMPORARY, "only root may change logins here");
  if (!a.separated && !accounts_become(&a, ACCOUNT_SMTPD)) strerr_dief(EXIT_TEMPORARY, accounts_why());
}

int passwd_main(int argc, char const *const *argv)
{
  static struct job j;
  umask(077);
  if (!read_options(&j, argc, argv))
    strerr_dieusage(EXIT_PERMANENT, j.login && strchr(j.login, ':') ? "a login has no colon" : USAGE);
  become();
  if (j.action == SET) make_secret(&j);
  work(&j);
  return 0;
}
