/* getpw.c - look a local part up in the password database; see getpw.h */

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "getpw.h"

#define ENTRY_MAX 1048576 /* bytes of a password entry; a longer one is trouble */

/* Every error code is trouble, also ENOENT, which is what a switched off LDAP
 * daemon looks like: that there is no such user is said with code 0. */
int getpw_entry(char const *name, struct passwd *pw, char **buf)
{
  for (size_t size = 4096; size <= ENTRY_MAX; size *= 2) {
    struct passwd *result;
    char *bigger = realloc(*buf, size);
    if (!bigger) return -1;
    *buf = bigger;
    int e = getpwnam_r(name, pw, *buf, size, &result);
    if (!e) return result != 0;
    if (e == EINTR)
      size /= 2;
    else if (e != ERANGE)
      return (errno = e, -1);
  }
  return (errno = ERANGE, -1);
}

/* May <pw> get mail? 1, 0, or -1 with errno. */
static int owns_home(struct passwd const *pw)
{
  struct stat st;
  if (!pw->pw_uid || *pw->pw_dir != '/') return 0;
  if (stat(pw->pw_dir, &st) == 0) return st.st_uid == pw->pw_uid;
  return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
}

/* Is the user local[0..n) one who gets mail? As getpw_find. */
static int try_name(char const *local, size_t n, struct passwd *pw, char **buf)
{
  char name[GETPW_NAMELEN + 1];
  for (size_t i = 0; i < n; i++)
    name[i] = local[i] >= 'A' && local[i] <= 'Z' ? (char)(local[i] - 'A' + 'a') : local[i];
  name[n] = 0;
  int r = getpw_entry(name, pw, buf);
  return r == 1 ? owns_home(pw) : r;
}

int getpw_find(char const *local, size_t len, struct mailuser *u)
{
  struct passwd pw;
  char *buf = 0;
  int r = 0;
  for (size_t n = len < GETPW_NAMELEN ? len : GETPW_NAMELEN; !r && n; n--) {
    if (n < len && local[n] != GETPW_BREAK) continue;
    r = try_name(local, n, &pw, &buf);
    if (r != 1) continue;
    size_t ext = n < len ? n + 1 : n;
    char const dash[] = {GETPW_BREAK, 0};
    if (!mailuser_set(u, pw.pw_uid, pw.pw_gid, pw.pw_name, pw.pw_dir, n < len ? dash : "",
                      local + ext, len - ext))
      r = -1;
  }
  int e = errno;
  free(buf);
  errno = e;
  return r;
}

int getpw_ids(char const *name, uid_t *uid, gid_t *gid)
{
  struct passwd pw;
  char *buf = 0;
  int r = getpw_entry(name, &pw, &buf);
  if (r == 1) {
    *uid = pw.pw_uid;
    *gid = pw.pw_gid;
  }
  int e = errno;
  free(buf);
  errno = e;
  return r;
}
