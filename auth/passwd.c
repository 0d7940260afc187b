/* passwd.c - look logins up in users/passwd.cdb; see passwd.h */

#include <errno.h>
#include <string.h>

#include <skalibs/bytestr.h>
#include <skalibs/types.h>
#include <skalibs/uint32.h>

#include "authwire.h"
#include "cdbmap.h"
#include "crc32c.h"
#include "home.h"
#include "passwd.h"

int passwd_is_login(char const *s, size_t len)
{
  if (!len || len > AUTHWIRE_LOGIN_MAX || *s == '#') return 0;
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)s[i] <= 32 || s[i] == 127 || s[i] == ':') return 0;
  return 1;
}

void passwd_sum(char sum[PASSWD_SUM], char const *key, size_t klen, char const *s, size_t len)
{
  uint32_pack_big(sum, crc32c(crc32c(0, key, klen), s, len));
}

/* Get the fields of a key, as <n> strings. 1, 0, -1 with errno. */
static int get(char const *key, size_t klen, stralloc *text, char const **field, size_t n)
{
  struct cdbmap *db;
  struct cdbmap_stamp stamp = { 0 };
  char sum[PASSWD_SUM];
  int r = cdbmap_open(&db, home_fd(), PASSWD_CDB);
  if (r != 1) return r;
  text->len = 0;
  r = cdbmap_get(db, key, klen, text);
  if (r == 0 && (cdbmap_verify(db, &stamp) != 1 || !klen)) r = -1, errno = EPROTO;
  int e = errno;
  cdbmap_close(db);
  errno = e;
  if (r != 1) return r;
  size_t pos = PASSWD_SUM;
  if (text->len <= PASSWD_SUM || text->s[text->len - 1]) return (errno = EPROTO, -1);
  passwd_sum(sum, key, klen, text->s + PASSWD_SUM, text->len - PASSWD_SUM);
  if (memcmp(sum, text->s, PASSWD_SUM)) return (errno = EPROTO, -1);
  for (size_t i = 0; i < n; i++) {
    if (pos >= text->len) return (errno = EPROTO, -1);
    field[i] = text->s + pos;
    pos += strlen(field[i]) + 1;
  }
  return 1;
}

int passwd_head(struct passwd_head *h)
{
  char const *field[4];
  int r = get("", 0, &h->text, field, 4);
  if (r != 1) return r;
  if (strcmp(field[0], PASSWD_FORMAT)) return (errno = EPROTO, -1);
  h->flags = field[1];
  h->seed = field[2];
  h->dummy = field[3];
  return 1;
}

int passwd_find(struct passwd_entry *e, char const *login, size_t len)
{
  char key[AUTHWIRE_LOGIN_MAX];
  char const *field[5];
  if (!passwd_is_login(login, len)) return 0;
  memcpy(key, login, len);
  case_lowerb(key, len);
  int r = get(key, len, &e->text, field, 5);
  if (r != 1) return r;
  e->secret = field[0];
  e->has_user = *field[1] != 0;
  e->home = field[3];
  e->shell = field[4];
  if (!e->has_user || (uid0_scan(field[1], &e->uid) && gid0_scan(field[2], &e->gid))) return 1;
  return (errno = EPROTO, -1);
}
