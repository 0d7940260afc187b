/* mailbox-words.c - what stands between the colons of users/mailboxes; see mailbox-words.h */

#include <grp.h>
#include <string.h>

#include <skalibs/bytestr.h>
#include <skalibs/types.h>

#include "../local/quota.h"
#include "address.h"
#include "getpw.h"
#include "mailbox-words.h"

char const *words_cut(struct words *p, int max, char const *s, size_t len)
{
  int n = 0;
  if (!stralloc_copyb(&p->text, s, len) || !stralloc_append(&p->text, 0)) return "out of memory";
  for (size_t pos = 0; pos <= len && n < max; n++) {
    p->word[n] = p->text.s + pos;
    pos += byte_chr(p->text.s + pos, len - pos, ':');
    p->text.s[pos++] = 0;
    if (n == max - 1 && pos < len) return "there are too many colons";
  }
  while (n < WORDS_MAX) p->word[n++] = p->text.s + len;
  return 0;
}

char const *words_address(char const *s, size_t len, int catchall)
{
  size_t at = address_at(s, len);
  if (len > ADDRESS_MAX) return "an address is too long";
  if (at == len || len - at == 1 || (!at && !catchall))
    return "an address needs a local part, @ and a domain";
  for (size_t i = 0; i < len; i++)
    if ((unsigned char)s[i] <= ' ' || s[i] == 127 || strchr("<>(),;:\"\\", s[i]))
      return "an address holds a blank or one of <>(),;:\"\\";
  for (size_t i = at + 1; i < len; i++)
    if (s[i] == '/' || (s[i] == '.' && (i == at + 1 || i == len - 1 || s[i - 1] == '.')))
      return "an address has a domain that is none";
  return 0;
}

char const *words_quota(char const *s)
{
  struct quota q;
  return quota_read(&q, s, strlen(s)) ? 0 : "the quota is none: write bytes and messages as 10000000S,1000C";
}

char const *words_path(char const *s)
{
  while (*s) {
    size_t n = strcspn(s, "/");
    if (!n || (n == 1 && *s == '.') || (n == 2 && s[0] == '.' && s[1] == '.'))
      return "a path has an empty part, . or .. in it";
    s += n + (s[n] == '/');
  }
  return 0;
}

char const *words_ids(char const *user, char const *group, uid_t *uid, gid_t *gid)
{
  int primary = 0;
  if (!uid0_scan(user, uid)) {
    int r = getpw_ids(user, uid, gid);
    if (r == -1) return "the password database does not answer: try again";
    if (!r) return "there is no such user; make the account, or write its uid";
    primary = 1;
  }
  if (*group && !gid0_scan(group, gid)) {
    struct group const *g = getgrnam(group);
    if (!g) return "there is no such group; make it, or write its gid";
    *gid = g->gr_gid;
  } else if (!*group && !primary) {
    return "a group is needed beside a uid";
  }
  return *uid && *gid ? 0 : "nothing is delivered as uid 0 or gid 0";
}
