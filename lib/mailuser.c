/* mailuser.c - who gets the mail for a local address; see mailuser.h */

#include <errno.h>
#include <string.h>

#include "mailuser.h"

enum { USER, HOME, DASH, EXT, DELIVERY, QUOTA, STRINGS };

/* Copy strings, of which that of EXT has <extlen> bytes; where they are in u->text. */
static int copy(struct mailuser *u, char const *const from[STRINGS], size_t extlen,
                size_t at[STRINGS])
{
  u->text.len = 0;
  for (int i = 0; i < STRINGS; i++) {
    at[i] = u->text.len;
    if (!stralloc_catb(&u->text, from[i], i == EXT ? extlen : strlen(from[i])) ||
        !stralloc_append(&u->text, 0))
      return 0;
  }
  return 1;
}

static int fill(struct mailuser *u, uid_t uid, gid_t gid, char const *const from[STRINGS],
                size_t extlen)
{
  size_t at[STRINGS];
  if (!copy(u, from, extlen, at)) return 0;
  char const *s = u->text.s;
  u->uid = uid;
  u->gid = gid;
  u->user = s + at[USER];
  u->home = s + at[HOME];
  u->dash = s + at[DASH];
  u->ext = s + at[EXT];
  u->delivery = *from[DELIVERY] ? s + at[DELIVERY] : 0;
  u->quota = s + at[QUOTA];
  return 1;
}

int mailuser_restore(struct mailuser *u, uid_t uid, gid_t gid, char const *text, size_t len)
{
  char const *from[STRINGS];
  size_t pos = 0;
  for (int i = 0; i < STRINGS; i++) {
    from[i] = text + pos;
    pos += strnlen(from[i], len - pos) + 1;
    if (pos > len) return (errno = EINVAL, 0);
  }
  return fill(u, uid, gid, from, strlen(from[EXT]));
}

int mailuser_set(struct mailuser *u, uid_t uid, gid_t gid, char const *user, char const *home,
                 char const *dash, char const *ext, size_t extlen)
{
  char const *const from[STRINGS] = {user, home, dash, ext, "", ""};
  return fill(u, uid, gid, from, extlen);
}

int mailuser_set_delivery(struct mailuser *u, uid_t uid, gid_t gid, char const *user,
                          char const *home, char const *delivery, char const *quota)
{
  char const *const from[STRINGS] = {user, home, "", "", delivery, quota};
  return fill(u, uid, gid, from, 0);
}
