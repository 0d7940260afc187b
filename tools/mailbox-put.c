/* mailbox-put.c - lines of users/mailboxes as records of users/mailboxes.cdb; see mailbox-put.h */

#include <string.h>

#include "mailbox-put.h"
#include "mailboxes.h"

/* Why a record could not be written, for a person. */
#define UNABLE "unable to write users/mailboxes.cdb.tmp: the disk is full, or memory is short"

/* Add the key of <kind> and s[0..len). 1, or 0 with errno. */
static int put(struct cdbwrite *w, char kind, char const *s, size_t len, char const *fields,
               size_t fieldslen)
{
  char sum[MAILBOXES_SUM];
  stralloc key = STRALLOC_ZERO, value = STRALLOC_ZERO;
  int ok = kind ? mailboxes_key(&key, kind, s, len) : 1;
  if (ok) {
    mailboxes_sum(sum, &key, fields, fieldslen);
    ok = stralloc_catb(&value, sum, sizeof sum) && stralloc_catb(&value, fields, fieldslen) &&
         cdbwrite_add(w, key.s, key.len, value.s, value.len);
  }
  stralloc_free(&key);
  stralloc_free(&value);
  return ok;
}

/* Is there a key of <kind> and s[0..len)? 1, 0, or -1 with errno. */
static int has(struct cdbwrite *w, char kind, char const *s, size_t len)
{
  stralloc key = STRALLOC_ZERO;
  int r = mailboxes_key(&key, kind, s, len) ? cdbwrite_has(w, key.s, key.len) : -1;
  stralloc_free(&key);
  return r;
}

/* Is there a key of <kind> already, which makes the line wrong? NULL, <what>, or other trouble. */
static char const *forbid(struct cdbwrite *w, char kind, char const *s, size_t len,
                          char const *what)
{
  int r = has(w, kind, s, len);
  return r == -1 ? UNABLE : r ? what : 0;
}

char const *mailbox_put(struct cdbwrite *w, struct mailbox_line const *l, int *fresh)
{
  char const *domain = l->addr.s + l->at + 1;
  size_t len = l->addr.len - l->at - 1;
  char kind = l->kind == '+' ? '+' : '!';
  char const *name = l->kind == '+' ? domain : l->addr.s;
  size_t namelen = l->kind == '+' ? len : l->addr.len;
  char const *why = forbid(w, kind, name, namelen, "there is a line for it already");
  if (!why && kind == '+')
    why = forbid(w, '!', l->addr.s, l->addr.len, "the domain has a line for all other addresses");
  if (!why && kind == '!' && !l->at)
    why = forbid(w, '+', domain, len, "other addresses of the domain are looked up elsewhere");
  if (why) return why;
  int known = has(w, '@', domain, len);
  *fresh = !known;
  if (known == -1 || (!known && !put(w, '@', domain, len, "", 0)) ||
      !put(w, kind, name, namelen, l->fields.s, l->fields.len))
    return UNABLE;
  return 0;
}

int mailbox_put_takes(struct cdbwrite *w, char const *local, char const *domain)
{
  stralloc addr = STRALLOC_ZERO;
  size_t len = strlen(domain);
  size_t at = strlen(local);
  int r = 1;
  if (stralloc_cats(&addr, local) && stralloc_append(&addr, '@') && stralloc_cats(&addr, domain))
    r = has(w, '!', addr.s, addr.len) || has(w, '!', addr.s + at, len + 1) ||
        has(w, '+', domain, len);
  stralloc_free(&addr);
  return r;
}

int mailbox_put_end(struct cdbwrite *w)
{
  return put(w, 0, "", 0, MAILBOXES_FORMAT, sizeof MAILBOXES_FORMAT - 1);
}
