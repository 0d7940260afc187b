/* newfield.c - make the fields that a message lacks; see newfield.h */

#include <string.h>

#include "address.h"
#include "addrlist.h"
#include "date.h"
#include "newfield.h"

int newfield_id(stralloc *out, char const *prefix, struct timespec const *now,
                stralloc const *idhost)
{
  char id[DATE_ID_MAX];
  date_id(id, now);
  return stralloc_cats(out, prefix) && stralloc_cats(out, "Message-ID: <") &&
         stralloc_cats(out, id) && stralloc_cats(out, "@") &&
         stralloc_catb(out, idhost->s, idhost->len) && stralloc_cats(out, ">\n");
}

/* Append a personal name with a backslash before the characters in <escape>; a control character
 * (a line end would begin another field) becomes a space. */
static int add_name(stralloc *out, char const *name, size_t len, char const *escape)
{
  for (size_t i = 0; i < len; i++) {
    char c = name[i];
    if (c && strchr(escape, c) && !stralloc_append(out, '\\')) return 0;
    if (!stralloc_append(out, address_is_clean(&c, 1) ? c : ' ')) return 0;
  }
  return 1;
}

int newfield_mailbox(stralloc *out, char const *field, char const *name, size_t namelen,
                     int comment, char const *s, size_t len)
{
  int named = namelen > 0;
  if (!stralloc_cats(out, field) || !stralloc_cats(out, ": ")) return 0;
  if (named && !comment &&
      (!stralloc_append(out, '"') || !add_name(out, name, namelen, "\"\\") ||
       !stralloc_cats(out, "\" <")))
    return 0;
  if (!addrlist_quote(out, s, len)) return 0;
  if (named && comment && (!stralloc_cats(out, " (") || !add_name(out, name, namelen, "()\\")))
    return 0;
  return stralloc_cats(out, named ? comment ? ")\n" : ">\n" : "\n");
}
