/* mailuser.c - who gets the mail for a local address; see mailuser.h */

#include <string.h>

#include "mailuser.h"

int mailuser_set(struct mailuser *u, uid_t uid, gid_t gid, char const *user, char const *home,
                 char const *dash, char const *ext, size_t extlen)
{
  size_t userlen = strlen(user) + 1;
  size_t homelen = strlen(home) + 1;
  size_t dashlen = strlen(dash) + 1;
  u->text.len = 0;
  if (!stralloc_catb(&u->text, user, userlen) || !stralloc_catb(&u->text, home, homelen) ||
      !stralloc_catb(&u->text, dash, dashlen) || !stralloc_catb(&u->text, ext, extlen) ||
      !stralloc_append(&u->text, 0))
    return 0;
  u->uid = uid;
  u->gid = gid;
  u->user = u->text.s;
  u->home = u->user + userlen;
  u->dash = u->home + homelen;
  u->ext = u->dash + dashlen;
  return 1;
}
