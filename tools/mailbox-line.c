/* mailbox-line.c - lines of users/mailboxes; see mailbox-line.h */

#include <string.h>

#include <skalibs/bytestr.h>
#include <skalibs/types.h>

#include "address.h"
#include "mailbox-line.h"
#include "mailbox-words.h"
#include "mailboxes.h"

#define NOMEM  "out of memory"
#define NUMBER 20 /* bytes of a uid or gid as text, with the NUL */

enum { OWN_NAME, OWN_USER, OWN_GROUP, OWN_PATH, OWN_QUOTA, OWN_PARTS }; /* of a line with '=' */
enum { DEF_USER, DEF_GROUP, DEF_BASE, DEF_QUOTA, DEF_PARTS };            /* of one with '*' */

static int set(stralloc *sa, char const *s)
{
  return stralloc_copyb(sa, s, strlen(s) + 1);
}

/* *user:group:base:quota */
static char const *read_defaults(struct mailbox_defaults *d, char const *s, size_t len)
{
  struct words p = {.text = STRALLOC_ZERO};
  char const *why = words_cut(&p, DEF_PARTS, s, len);
  if (!why) why = words_ids(p.word[DEF_USER], p.word[DEF_GROUP], &d->uid, &d->gid);
  if (!why && *p.word[DEF_BASE] != '/') why = "the third part has to be a folder that begins with /";
  if (!why) why = words_path(p.word[DEF_BASE] + 1);
  if (!why && *p.word[DEF_QUOTA]) why = words_quota(p.word[DEF_QUOTA]);
  if (!why && (!set(&d->user, p.word[DEF_USER]) || !set(&d->base, p.word[DEF_BASE]) ||
               !set(&d->quota, p.word[DEF_QUOTA])))
    why = NOMEM;
  d->given = !why;
  stralloc_free(&p.text);
  return why;
}

/* Where the mail of a mailbox goes: as which account, from which folder, and to which below that. */
struct place {
  uid_t uid;
  gid_t gid;
  char const *user;
  char const *quota;
  stralloc home;
  stralloc maildir;
};

/* The account: the line's own, or that of the defaults. */
static char const *find_account(struct place *to, struct mailbox_defaults const *d,
                                char const *const *word)
{
  if (*word[OWN_USER]) {
    to->user = word[OWN_USER];
    return words_ids(to->user, word[OWN_GROUP], &to->uid, &to->gid);
  }
  if (*word[OWN_GROUP]) return "a group without a user";
  if (!d->given) return "whose is it? write a user into its second part, or a line with * before it";
  to->user = d->user.s;
  to->uid = d->uid;
  to->gid = d->gid;
  return 0;
}

/* Split an absolute path into home and Maildir. */
static char const *split_path(struct place *to, char const *path)
{
  size_t len = strlen(path);
  while (len && path[len - 1] == '/') len--;
  size_t slash = byte_rchr(path, len, '/');
  if (!len || !stralloc_copyb(&to->maildir, path + slash + 1, len - slash - 1) ||
      !stralloc_append(&to->maildir, 0) || !stralloc_copyb(&to->home, path, slash ? slash : 1) ||
      !stralloc_append(&to->home, 0))
    return len ? NOMEM : "/ is no Maildir";
  return words_path(path + 1);
}

/* Below the base: the path, or <domain>/<local part>. */
static char const *below_base(struct place *to, struct mailbox_defaults const *d,
                              struct mailbox_line const *l, char const *path)
{
  char const *domain = l->addr.s + l->at + 1;
  int ok = stralloc_copy(&to->home, &d->base) && stralloc_copys(&to->maildir, path);
  if (ok && !*path)
    ok = stralloc_copyb(&to->maildir, domain, l->addr.len - l->at - 1) &&
         stralloc_append(&to->maildir, '/') && stralloc_catb(&to->maildir, l->addr.s, l->at);
  if (!ok) return NOMEM;
  while (to->maildir.len && to->maildir.s[to->maildir.len - 1] == '/') to->maildir.len--;
  return stralloc_append(&to->maildir, 0) ? words_path(to->maildir.s) : NOMEM;
}

static char const *find_maildir(struct place *to, struct mailbox_defaults const *d,
                                struct mailbox_line const *l, char const *const *word)
{
  char const *path = word[OWN_PATH];
  if (*path == '/') return split_path(to, path);
  if (*word[OWN_USER]) return "with a user of its own, a mailbox needs a path that begins with /";
  if (!*path && (!l->at || memchr(l->addr.s, '/', l->at)))
    return "its Maildir cannot be named after it: write a path into its fourth part";
  return below_base(to, d, l, path);
}

static int add(stralloc *fields, char const *s)
{
  return stralloc_catb(fields, s, strlen(s) + 1);
}

static char const *put_fields(stralloc *fields, struct place const *to)
{
  char uid[NUMBER], gid[NUMBER];
  uid[uid_fmt(uid, to->uid)] = 0;
  gid[gid_fmt(gid, to->gid)] = 0;
  if (to->maildir.len > MAILBOXES_DELIVERY_MAX - 4) return "the path is too long";
  fields->len = 0;
  return add(fields, to->user) && add(fields, uid) && add(fields, gid) && add(fields, to->home.s) &&
                 add(fields, to->quota) && stralloc_cats(fields, "./") &&
                 stralloc_cats(fields, to->maildir.s) && add(fields, "/")
             ? 0
             : NOMEM;
}

static char const *take_address(struct mailbox_line *l, char const *s, size_t len)
{
  char const *why = words_address(s, len, 1);
  if (why) return why;
  if (!stralloc_copyb(&l->addr, s, len)) return NOMEM;
  case_lowerb(l->addr.s, len);
  l->at = address_at(s, len);
  return 0;
}

/* =address:user:group:maildir:quota */
static char const *read_mailbox(struct mailbox_line *l, struct mailbox_defaults const *d,
                                char const *s, size_t len)
{
  struct words p = {.text = STRALLOC_ZERO};
  struct place to = {.home = STRALLOC_ZERO, .maildir = STRALLOC_ZERO};
  char const *why = words_cut(&p, OWN_PARTS, s, len);
  if (!why) why = take_address(l, p.word[OWN_NAME], strlen(p.word[OWN_NAME]));
  if (!why) why = find_account(&to, d, p.word);
  if (!why) why = find_maildir(&to, d, l, p.word);
  if (!why) {
    to.quota = *p.word[OWN_QUOTA] ? p.word[OWN_QUOTA] : d->given ? d->quota.s : "";
    if (!strcmp(to.quota, "-")) to.quota = "";
    if (*to.quota) why = words_quota(to.quota);
  }
  if (!why) why = put_fields(&l->fields, &to);
  stralloc_free(&p.text);
  stralloc_free(&to.home);
  stralloc_free(&to.maildir);
  return why;
}

/* &address:other,other... */
static char const *read_forward(struct mailbox_line *l, char const *s, size_t len)
{
  size_t colon = byte_chr(s, len, ':');
  if (colon == len) return "a colon and the addresses that the mail goes to are missing";
  char const *why = take_address(l, s, colon);
  size_t pos = colon + 1;
  if (len > pos && s[len - 1] == ':') len--;
  l->fields.len = 0;
  if (!why && !stralloc_catb(&l->fields, "\0\0\0\0", 5)) why = NOMEM;
  while (!why) {
    size_t n = byte_chr(s + pos, len - pos, ',');
    why = words_address(s + pos, n, 0);
    if (!why && n == l->addr.len && !case_diffb(s + pos, n, l->addr.s))
      why = "a forward to itself would be a loop";
    if (!why && (!stralloc_catb(&l->fields, "&", 1) || !stralloc_catb(&l->fields, s + pos, n) ||
                 !stralloc_catb(&l->fields, "\n", 1)))
      why = NOMEM;
    pos += n + 1;
    if (pos > len) break;
  }
  if (!why && l->fields.len > MAILBOXES_DELIVERY_MAX) why = "there are too many addresses";
  if (!why && !stralloc_append(&l->fields, 0)) why = NOMEM;
  return why;
}

/* +domain */
static char const *read_domain(struct mailbox_line *l, char const *s, size_t len)
{
  if (len && s[len - 1] == ':') len--;
  if (!stralloc_copyb(&l->addr, "@", 1) || !stralloc_catb(&l->addr, s, len)) return NOMEM;
  char const *why = words_address(l->addr.s, l->addr.len, 1);
  case_lowerb(l->addr.s, l->addr.len);
  l->at = 0;
  l->fields.len = 0;
  return why;
}

char const *mailbox_line(struct mailbox_line *l, struct mailbox_defaults *d, char const *s,
                         size_t len)
{
  l->kind = 0;
  if (!len || *s == '#') return 0;
  if (*s == '*') return read_defaults(d, s + 1, len - 1);
  l->kind = *s;
  switch (*s) {
  case '=': return read_mailbox(l, d, s + 1, len - 1);
  case '&': return read_forward(l, s + 1, len - 1);
  case '+': return read_domain(l, s + 1, len - 1);
  default: return "begins with none of = & + * # .";
  }
}
