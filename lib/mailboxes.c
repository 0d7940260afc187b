/* mailboxes.c - look an address up in users/mailboxes.cdb; see mailboxes.h */

#include <errno.h>
#include <string.h>

#include <skalibs/bytestr.h>
#include <skalibs/types.h>
#include <skalibs/uint32.h>

#include "address.h"
#include "crc32c.h"
#include "mailboxes.h"

enum { USER, UID, GID, HOME, QUOTA, DELIVERY, FIELDS };

int mailboxes_key(stralloc *key, char kind, char const *addr, size_t len)
{
  key->len = 0;
  if (!stralloc_append(key, kind) || !stralloc_catb(key, addr, len)) return 0;
  case_lowerb(key->s, key->len);
  return 1;
}

void mailboxes_sum(char sum[MAILBOXES_SUM], stralloc const *key, char const *s, size_t len)
{
  uint32_pack(sum, crc32c(crc32c(0, key->s, key->len), s, len));
}

/* Set <value> to the fields of <key>. As cdbmap_get. */
static int get(struct cdbmap *map, stralloc const *key, stralloc *value)
{
  char sum[MAILBOXES_SUM];
  value->len = 0;
  int r = cdbmap_get(map, key->s, key->len, value);
  if (r != 1) return r;
  if (value->len < sizeof sum) return (errno = EPROTO, -1);
  mailboxes_sum(sum, key, value->s + sizeof sum, value->len - sizeof sum);
  if (memcmp(sum, value->s, sizeof sum)) return (errno = EPROTO, -1);
  value->len -= sizeof sum;
  memmove(value->s, value->s + sizeof sum, value->len);
  return 1;
}

/* Is <map> such a file, and whole? Then what is not found in it is not there. */
static int is_sound(struct cdbmap *map, struct cdbmap_stamp *stamp, stralloc *value)
{
  stralloc const none = STRALLOC_ZERO;
  static char const format[] = MAILBOXES_FORMAT;
  return get(map, &none, value) == 1 && value->len == sizeof format - 1 &&
         !memcmp(value->s, format, value->len) && cdbmap_verify(map, stamp) == 1;
}

/* Look for the address, shortened by one tag after the other (byte_rchr says <n> where there
 * is none left), then for the catch-all of its domain, which begins at addr[at]. As
 * cdbmap_get. */
static int get_address(struct cdbmap *map, char const *addr, size_t len, size_t at, stralloc *key,
                       stralloc *value)
{
  for (size_t n = at;; n = byte_rchr(addr, n, MAILBOXES_BREAK) % n) {
    if (!mailboxes_key(key, '!', addr, n) || !stralloc_catb(key, addr + at, len - at)) return -1;
    case_lowerb(key->s, key->len);
    int r = get(map, key, value);
    if (r || !n) return r;
  }
}

/* Read the fields of an address in m->text. 1, or -1 with errno. */
static int read_fields(struct mailbox *m)
{
  char const *field[FIELDS];
  size_t pos = 0;
  for (int i = 0; i < FIELDS; i++) {
    field[i] = m->text.s + pos;
    char const *end = memchr(field[i], 0, m->text.len - pos);
    if (!end) return (errno = EPROTO, -1);
    pos = (size_t)(end + 1 - m->text.s);
  }
  if (pos != m->text.len || !*field[DELIVERY]) return (errno = EPROTO, -1);
  m->forward = !*field[USER];
  m->user = field[USER];
  m->home = field[HOME];
  m->quota = field[QUOTA];
  m->delivery = field[DELIVERY];
  m->uid = 0;
  m->gid = 0;
  if (m->forward) return *m->delivery == '&' ? 1 : (errno = EPROTO, -1);
  if (!uid0_scan(field[UID], &m->uid) || !gid0_scan(field[GID], &m->gid) || !m->uid || !m->gid ||
      *m->home != '/' || *m->delivery != '.')
    return (errno = EPROTO, -1);
  return 1;
}

static int find(struct cdbmap *map, char const *addr, size_t len, struct cdbmap_stamp *stamp,
                stralloc *key, struct mailbox *m)
{
  size_t at = address_at(addr, len);
  if (!is_sound(map, stamp, &m->text)) return (errno = EPROTO, -1);
  if (at == len) return MAILBOXES_ELSEWHERE;
  if (!mailboxes_key(key, '@', addr + at + 1, len - at - 1)) return -1;
  int r = get(map, key, &m->text);
  if (r != 1) return r == 0 ? MAILBOXES_ELSEWHERE : -1;
  r = get_address(map, addr, len, at, key, &m->text);
  if (r) return r == 1 ? read_fields(m) : -1;
  if (!mailboxes_key(key, '+', addr + at + 1, len - at - 1)) return -1;
  r = get(map, key, &m->text);
  if (r == -1) return -1;
  return r == 1 ? MAILBOXES_ELSEWHERE : MAILBOXES_NONE;
}

int mailboxes_find(int dirfd, char const *path, char const *addr, size_t len,
                   struct cdbmap_stamp *stamp, struct mailbox *m)
{
  struct cdbmap *map;
  stralloc key = STRALLOC_ZERO;
  int r = cdbmap_open(&map, dirfd, path);
  if (r != 1) return r == 0 ? MAILBOXES_ELSEWHERE : -1;
  r = find(map, addr, len, stamp, &key, m);
  int e = errno;
  stralloc_free(&key);
  cdbmap_close(map);
  errno = e;
  return r;
}
