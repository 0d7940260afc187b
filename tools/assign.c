/* assign.c - lines of users/assign as records of users/cdb; see assign.h */

#include <string.h>

#include <skalibs/bytestr.h>
#include <skalibs/types.h>

#include "assign.h"

#define NOMEM "out of memory"

enum { USER, UID, GID, HOME, DASH, EXT, FIELDS };

static char const *make_key(struct assign *a, char kind, char const *name, size_t len)
{
  int wild = kind == '+';
  if (!stralloc_copyb(&a->key, "!", 1) || !stralloc_catb(&a->key, name, len)) return NOMEM;
  case_lowerb(a->key.s, a->key.len);
  if (!wild) return stralloc_append(&a->key, 0) ? 0 : NOMEM;
  if (!len || byte_chr(a->wild.s, a->wild.len, name[len - 1]) < a->wild.len) return 0;
  return stralloc_append(&a->wild, name[len - 1]) ? 0 : NOMEM;
}

/* Is there something in the fields, NUL-terminated, that no mail can be delivered by? */
static char const *doubt(char kind, char const *const field[FIELDS])
{
  uid_t uid;
  gid_t gid;
  if (kind != '=' && kind != '+') return "begins with neither = nor +; it counts as one with =";
  if (!*field[USER]) return "no user; its mail is deferred";
  if (!uid0_scan(field[UID], &uid)) return "the uid is no number; its mail is deferred";
  if (!gid0_scan(field[GID], &gid)) return "the gid is no number; its mail is deferred";
  if (!uid || !gid) return "nothing is delivered as uid 0 or gid 0; its mail is deferred";
  if (*field[HOME] != '/') return "the home is no path that begins with /; its mail is deferred";
  return 0;
}

char const *assign_line(struct assign *a, char const *s, size_t len)
{
  char const *field[FIELDS];
  size_t name = byte_chr(s, len, ':');
  if (name == len || !name) return "no address with a colon after it: write =address:user:uid:gid:home:dash:ext:";
  char const *why = make_key(a, *s, s + 1, name - 1);
  if (why) return why;
  if (!stralloc_copyb(&a->value, s + name + 1, len - name - 1)) return NOMEM;
  size_t pos = 0;
  for (int i = 0; i < FIELDS; i++) {
    size_t n = byte_chr(a->value.s + pos, a->value.len - pos, ':');
    if (pos + n >= a->value.len) return "seven colons are needed: =address:user:uid:gid:home:dash:ext:";
    field[i] = a->value.s + pos;
    pos += n;
    a->value.s[pos++] = 0;
  }
  a->value.len = pos - 1;
  a->doubt = doubt(*s, field);
  return 0;
}
