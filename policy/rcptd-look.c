/* rcptd-look.c - the process of pipit-rcptd that sees whether a dot-qmail file is there
 *
 * It is the only one that may look into homes which are closed to others, and it has no
 * system call left with which it could open a file. It makes the names itself, so whoever asks
 * can learn of no file but .qmail ones.
 *
 * Nor can a user who puts symbolic links where he may: a link that is not root's counts as a
 * file, whatever it leads to. Delivery, which has only the user's rights, then decides.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <skalibs/stralloc.h>

#include "dotname.h"
#include "rcptd.h"
#include "sandbox.h"

#define OPEN_HOME (S_IWOTH | S_ISVTX) /* a home with one of these gets no mail now */

/* All that is needed to see whether a file is there, and to answer. */
static int const calls[] = {
    SYS_read,
    SYS_write,
#ifdef SYS_newfstatat
    SYS_newfstatat,
#endif
#ifdef SYS_fstatat64
    SYS_fstatat64,
#endif
#ifdef SYS_statx
    SYS_statx,
#endif
#ifdef SYS_stat
    SYS_stat,
    SYS_lstat,
#endif
#ifdef SYS_stat64
    SYS_stat64,
    SYS_lstat64,
#endif
    SYS_exit,
    SYS_exit_group,
    SYS_rt_sigreturn,
    SYS_restart_syscall,
#ifdef __SANITIZE_ADDRESS__
    SYS_sigaltstack,
#endif
};

struct place {
  int guarded;
  char path[RCPTD_PACKET_MAX]; /* home, and from <len> on the name */
  size_t len;
};

/* A link that somebody else than root made, who might learn from us where it leads. */
static int is_strange(struct stat const *st)
{
  return S_ISLNK(st->st_mode) && st->st_uid;
}

/* Is there no strange link on the way to <path>? 1, 0, or -1. */
static int is_straight(char *path)
{
  for (size_t i = 1;; i++) {
    struct stat st;
    char c = path[i];
    if (c && c != '/') continue;
    path[i] = 0;
    int r = lstat(path, &st);
    path[i] = c;
    if (r == -1) return -1;
    if (is_strange(&st)) return 0;
    if (!c) return 1;
  }
}

/* Would delivery go there? LOOK_FILE: that is not for us to tell. */
static enum look look_at_home(struct place *p)
{
  struct stat st;
  int straight = p->guarded ? is_straight(p->path) : 1;
  if (straight == -1) return LOOK_TROUBLE;
  if (!straight) return LOOK_FILE;
  if (stat(p->path, &st) == -1 || !S_ISDIR(st.st_mode) || st.st_mode & OPEN_HOME)
    return LOOK_TROUBLE;
  return LOOK_NONE;
}

/* Look at the name as far as it stands in the path. */
static enum look look_at(struct place const *p, int is_directory)
{
  struct stat st;
  if ((p->guarded ? lstat(p->path, &st) : stat(p->path, &st)) == -1)
    return dotname_is_absent(errno) ? LOOK_NONE : LOOK_TROUBLE;
  if (is_directory) return S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode) ? LOOK_TROUBLE : LOOK_NONE;
  return S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? LOOK_FILE : LOOK_NONE;
}

/* A slash in an extension leads into a directory .qmail-something: whoever has such a thing
 * keeps it from being looked into. */
static enum look look_at_name(struct place *p, stralloc const *name)
{
  char const *slash = p->guarded ? strchr(name->s, '/') : 0;
  size_t len = slash ? (size_t)(slash - name->s) : name->len - 1;
  if (len >= sizeof p->path - p->len) return LOOK_NONE; /* longer than any path */
  memcpy(p->path + p->len, name->s, len);
  p->path[p->len + len] = 0;
  return look_at(p, slash != 0);
}

static int is_default(char const *name, char const *dash)
{
  return !strcmp(name + sizeof ".qmail" - 1 + strlen(dash), "default");
}

/* The cascade of pipit-local. */
static enum look search(struct place *p, char const *dash, char const *ext, stralloc *name)
{
  size_t len = strlen(ext);
  size_t i = len + 1;
  if (!dotname_make(name, dash, ext, len, "")) return LOOK_TROUBLE;
  enum look r = look_at_name(p, name);
  while (r == LOOK_NONE && dotname_shorter(ext, &i)) {
    if (!dotname_make(name, dash, ext, i, "default")) return LOOK_TROUBLE;
    r = look_at_name(p, name);
  }
  return r == LOOK_FILE && is_default(name->s, dash) ? LOOK_DEFAULT : r;
}

/* <name> has room for all names. */
static enum look answer(struct place *p, char const *packet, size_t size, stralloc *name)
{
  char const *field[3];
  char const *end = packet + size;
  for (int i = 0; i < 3; i++) {
    field[i] = packet;
    packet = memchr(packet, 0, (size_t)(end - packet));
    if (!packet++) return LOOK_TROUBLE;
  }
  p->len = strlen(field[0]);
  if (packet != end || *field[0] != '/' || p->len >= PATH_MAX) return LOOK_TROUBLE;
  memcpy(p->path, field[0], p->len + 1);
  enum look r = look_at_home(p);
  if (r != LOOK_NONE) return r;
  p->path[p->len++] = '/';
  return search(p, field[1], field[2], name);
}

int look_confine(void)
{
  return sandbox_allow_only(calls, sizeof calls / sizeof *calls);
}

void look_run(int guarded)
{
  static struct place p;
  static char packet[RCPTD_PACKET_MAX];
  static char room[RCPTD_PACKET_MAX + sizeof ".qmaildefault"];
  stralloc name = {.s = room, .a = sizeof room}; /* there is no more memory to be had */
  p.guarded = guarded;
  for (;;) {
    ssize_t n = read(0, packet, sizeof packet);
    if (n <= 0) _exit(0);
    char byte = (char)answer(&p, packet, (size_t)n, &name);
    if (write(0, &byte, 1) != 1) _exit(0);
  }
}
