/* rcptd-judge.c - what pipit-rcptd is to say of an address
 *
 * The address goes the way of a delivery: send's rewriting, the search for the user, his
 * dot-qmail files. JUDGE_NO only where pipit-local would say that there is no such mailbox.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <skalibs/strerr.h>

#include "address.h"
#include "aliases.h"
#include "clock.h"
#include "control.h"
#include "home.h"
#include "rcptd.h"

#define CHECK_MS 1000 /* how often control files are looked at for changes */

static char const *const files[] = {"me",          "locals",      "virtualdomains",
                                    "percenthack", "envnoathost", "rcptaliases", 0};

/* --- settings --- */

static int load_aliases(stralloc *list)
{
  size_t n = 0;
  if (control_list("rcptaliases", list) == -1) return 0;
  for (size_t i = 0; i < list->len; i++) n += !list->s[i];
  if (n <= RCPTD_ALIASES_MAX) return 1;
  control_bad("rcptaliases", "too many files; put their addresses into fewer");
  return 0;
}

int judge_load(struct judge *j)
{
  stralloc aliases = STRALLOC_ZERO;
  j->stamp = control_stamp(files);
  j->checked = clock_ms();
  if (!load_aliases(&aliases) || !rewrite_load(&j->rewrite)) {
    stralloc_free(&aliases);
    return 0;
  }
  stralloc_free(&j->aliases);
  j->aliases = aliases;
  return 1;
}

int judge_changed(struct judge *j)
{
  uint64_t now = clock_ms();
  if (now - j->checked < CHECK_MS) return 0;
  j->checked = now;
  return control_stamp(files) != j->stamp;
}

/* --- the user --- */

/* Add s[0..len) and a NUL to the packet. */
static int add(struct question *q, char const *s, size_t len)
{
  return stralloc_catb(&q->packet, s, len) && stralloc_append(&q->packet, 0);
}

static struct question *asking;

/* finduser's getpw: what passwd has answered, or else what it is to be asked. */
static int ask_passwd(char const *local, size_t len, struct mailuser *u)
{
  struct question *q = asking;
  if (!q->asked_passwd) return stralloc_copyb(&q->packet, local, len) ? 2 : -1;
  if (q->found != 1) return (errno = EIO, q->found);
  struct mailuser const *p = &q->user;
  return mailuser_set(u, p->uid, p->gid, p->user, p->home, p->dash, p->ext, strlen(p->ext)) ? 1 : -1;
}

/* Does mail for this user go to the alias account, whose .qmail-default may be a matter of
 * control/rcptaliases? Then remember what that gets: $DEFAULT@$HOST. 1, or 0 with ENOMEM. */
static int note_target(struct judge const *j, struct question *q, struct mailuser const *u)
{
  size_t len = strlen(j->home);
  size_t at = address_at(q->address.s, q->address.len);
  q->target.len = 0;
  if (strncmp(u->home, j->home, len) || strcmp(u->home + len, "/alias") || strcmp(u->dash, "-"))
    return 1;
  return stralloc_cats(&q->target, u->ext) &&
         stralloc_catb(&q->target, q->address.s + at, q->address.len - at);
}

static enum judgement judge_user(struct judge const *j, struct question *q, struct mailuser const *u)
{
  if (j->accounts->separated && (!u->uid || !u->gid)) return JUDGE_TROUBLE;
  if (u->delivery || !*u->dash) return JUDGE_YES;
  q->packet.len = 0;
  if (!add(q, u->home, strlen(u->home)) || !add(q, u->dash, strlen(u->dash)) ||
      !add(q, u->ext, strlen(u->ext)) || !note_target(j, q, u) ||
      q->packet.len > RCPTD_PACKET_MAX)
    return JUDGE_TROUBLE;
  return JUDGE_LOOK;
}

static enum judgement find_user(struct judge *j, struct question *q)
{
  struct mailuser u = MAILUSER_ZERO;
  struct finduser_source const source = {
      .accounts = j->accounts, .home = j->home, .stamps = &j->users, .getpw = ask_passwd};
  enum judgement answer = JUDGE_TROUBLE;
  asking = q;
  switch (finduser(&source, q->address.s, q->address.len, &u)) {
  case FINDUSER_OK: answer = judge_user(j, q, &u); break;
  case FINDUSER_NONE: answer = JUDGE_NO; break;
  case FINDUSER_ASKED: answer = JUDGE_PASSWD; break;
  default: break;
  }
  stralloc_free(&u.text);
  return answer;
}

enum judgement judge_begin(struct judge *j, struct question *q, char const *addr, size_t len)
{
  q->address.len = 0;
  q->asked_passwd = 0;
  int channel = rewrite_address(&j->rewrite, addr, len, &q->address);
  if (channel == CHANNEL_REMOTE) return JUDGE_REMOTE;
  if (channel != CHANNEL_LOCAL) return JUDGE_TROUBLE;
  if (*q->address.s == '@') return JUDGE_YES; /* pipit-lspawn drops it */
  return find_user(j, q);
}

enum judgement judge_passwd(struct judge *j, struct question *q, char const *answer, size_t len)
{
  q->found = passwd_read(answer, len, &q->user);
  q->asked_passwd = 1;
  return find_user(j, q);
}

/* --- aliases --- */

/* Does this cdb know the address? 1, 0, or -1 after a line on stderr. */
static int is_alias(char const *path, struct cdbmap_stamp *sound, stralloc const *target)
{
  struct cdbmap *db;
  int r = cdbmap_open(&db, home_fd(), path);
  if (r == 0) errno = ENOENT;
  if (r == 1) {
    r = aliases_exists(db, target->s, target->len);
    if (r == 0 && cdbmap_verify(db, sound) != 1) r = -1;
    int e = errno;
    cdbmap_close(db);
    errno = e;
    if (r != -1) return r;
  }
  strerr_warnwusys("read ", path, ", which control/rcptaliases names");
  return -1;
}

static enum judgement judge_alias(struct judge *j, stralloc const *target)
{
  enum judgement answer = JUDGE_NO;
  struct cdbmap_stamp *sound = j->aliases_sound;
  for (size_t i = 0; i < j->aliases.len; i += strlen(j->aliases.s + i) + 1) {
    int r = is_alias(j->aliases.s + i, sound++, target);
    if (r == 1) return JUDGE_YES;
    if (r == -1) answer = JUDGE_TROUBLE;
  }
  return answer;
}

enum judgement judge_look(struct judge *j, struct question *q, enum look answer)
{
  switch (answer) {
  case LOOK_FILE: return JUDGE_YES;
  case LOOK_DEFAULT:
    return j->aliases.len && q->target.len ? judge_alias(j, &q->target) : JUDGE_YES;
  case LOOK_NONE: return JUDGE_NO;
  default:
    /* The packet begins with the home. */
    strerr_warnw("unable to tell which dot-qmail files there are in ", q->packet.s);
    return JUDGE_TROUBLE;
  }
}

void judge_free(struct question *q)
{
  stralloc_free(&q->address);
  stralloc_free(&q->packet);
  stralloc_free(&q->target);
  stralloc_free(&q->user.text);
}
