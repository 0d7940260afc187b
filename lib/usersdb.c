/* usersdb.c - look a local part up in users/cdb; see usersdb.h */

#include <errno.h>
#include <string.h>

#include <skalibs/stralloc.h>
#include <skalibs/types.h>

#include "usersdb.h"

#define FIELDS 6 /* user, uid, gid, home, dash, ext */

/* Read a value, NUL-terminated at the end of <value>, into <u>. 1, or -1 with errno. */
static int read_value(stralloc const *value, struct mailuser *u)
{
  char const *field[FIELDS];
  size_t pos = 0;
  uid_t uid;
  gid_t gid;
  for (int i = 0; i < FIELDS; i++) {
    char const *end = pos < value->len ? memchr(value->s + pos, 0, value->len - pos) : 0;
    if (!end) return (errno = EPROTO, -1);
    field[i] = value->s + pos;
    pos = (size_t)(end - value->s) + 1;
  }
  if (pos != value->len || !*field[0] || *field[3] != '/') return (errno = EPROTO, -1);
  if (!uid0_scan(field[1], &uid) || !gid0_scan(field[2], &gid)) return (errno = EPROTO, -1);
  if (!mailuser_set(u, uid, gid, field[0], field[3], field[4], field[5], strlen(field[5])))
    return -1;
  return 1;
}

/* Look for "!" and each prefix of the address in <key> ("!<local>\0"), the
 * longest first. As cdbmap_get; <*used> is the length of the prefix. */
static int find_wildcard(struct cdbmap *map, stralloc const *key, size_t *used, stralloc *value)
{
  int r = 0;
  for (size_t len = key->len - 1; !r && len; len--) {
    r = cdbmap_get(map, key->s, len, value);
    *used = len - 1;
  }
  return r;
}

/* "!<local>\0" in lower case. */
static int make_key(stralloc *key, char const *local, size_t len)
{
  if (!stralloc_copyb(key, "!", 1) || !stralloc_catb(key, local, len)) return 0;
  for (size_t i = 1; i < key->len; i++)
    if (key->s[i] >= 'A' && key->s[i] <= 'Z') key->s[i] += 'a' - 'A';
  return stralloc_append(key, 0);
}

/* Only a sound file can be believed that it has no such entry, or that this is the first. */
static int is_sound(struct cdbmap *map, struct cdbmap_stamp *stamp)
{
  stralloc wild = STRALLOC_ZERO;
  int sound = cdbmap_verify(map, stamp) == 1 && cdbmap_get(map, "", 0, &wild) == 1;
  stralloc_free(&wild);
  return sound;
}

static int find(struct cdbmap *map, char const *local, size_t len, struct cdbmap_stamp *stamp,
                stralloc *key, stralloc *value, struct mailuser *u)
{
  size_t used = len;
  if (!make_key(key, local, len)) return -1;
  if (!is_sound(map, stamp)) return (errno = EPROTO, -1);
  int r = cdbmap_get(map, key->s, key->len, value);
  if (r == 0) r = find_wildcard(map, key, &used, value);
  if (r != 1) return r;
  if (!stralloc_catb(value, local + used, len - used) || !stralloc_append(value, 0)) return -1;
  return read_value(value, u);
}

int usersdb_find(int dirfd, char const *path, char const *local, size_t len,
                 struct cdbmap_stamp *stamp, struct mailuser *u)
{
  struct cdbmap *map;
  stralloc key = STRALLOC_ZERO, value = STRALLOC_ZERO;
  int r = cdbmap_open(&map, dirfd, path);
  if (r != 1) return r;
  r = find(map, local, len, stamp, &key, &value, u);
  int e = errno;
  stralloc_free(&key);
  stralloc_free(&value);
  cdbmap_close(map);
  errno = e;
  return r;
}
