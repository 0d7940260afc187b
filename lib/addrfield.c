/* addrfield.c - complete the addresses of a header field; see addrfield.h */

#include <errno.h>
#include <string.h>

#include "addrfield.h"
#include "addrlist.h"

struct work {
  struct addrfield *r;
  char const *list;
  size_t copied; /* bytes of the list that are in out */
  stralloc *out;
  size_t start;  /* where the field begins in out */
  size_t line;   /* and its last line */
  stralloc host; /* of the address at hand, as it should be */
  stralloc addr;
  int changed;
};

static int put(struct work *w, char const *s, size_t len)
{
  char const *nl = len ? memrchr(s, '\n', len) : 0;
  if (nl) w->line = w->out->len + (size_t)(nl - s) + 1;
  return !len || stralloc_catb(w->out, s, len);
}

static int copy_to(struct work *w, size_t pos)
{
  if (pos <= w->copied) return 1;
  size_t from = w->copied;
  w->copied = pos;
  return put(w, w->list + from, pos - from);
}

/* The host as it is written, and as it should be: as much as possible of the text stays, with
 * the comments in it. <*more>: what stands in the place of all from the offset that is returned. */
static size_t difference(struct work const *w, struct addrlist_addr const *a, size_t *more)
{
  char const *old = a->s + a->at + 1;
  size_t len = a->at < a->len ? a->len - a->at - 1 : 0;
  stralloc const *host = &w->host;
  *more = len;
  if (!len) return a->at < a->len ? a->domain : a->end; /* @"" is no host either */
  if (host->len >= len && !memcmp(old, host->s, len)) return a->end;
  *more = --len;
  if (old[len] == '+' && w->list[a->end - 1] == '+' && host->len >= len && !memcmp(old, host->s, len))
    return a->end - 1;
  *more = 0;
  return a->domain;
}

/* A comma that is missing at <pos>. */
static int put_comma(struct work *w, size_t pos)
{
  w->changed = 1;
  return copy_to(w, pos) && put(w, ",", 1);
}

/* Write the address with its display name, as it should be. */
static int put_address(struct work *w, struct addrlist_addr const *a)
{
  size_t kept = 0;
  size_t upto = a->len ? difference(w, a, &kept) : a->end;
  size_t more = a->len ? w->host.len - kept : 0;
  int at = more && (a->at == a->len || upto == a->domain);
  if ((a->nocomma && !put_comma(w, a->comma)) || !copy_to(w, a->element)) return 0;
  if (w->changed && w->out->len - w->line > ADDRFIELD_FOLD && !put(w, "\n ", 2)) return 0;
  if (!copy_to(w, a->route)) return 0;
  w->copied = a->local;
  if (!copy_to(w, upto) || !put(w, "@", (size_t)at) || !put(w, w->host.s + kept, more)) return 0;
  w->copied = a->resume;
  if (more || upto != a->end || a->local != a->route || a->resume != a->end) w->changed = 1;
  return 1;
}

static int give(struct work *w, struct addrlist_addr const *a)
{
  if (!w->r->address || !a->len) return 1;
  return stralloc_copyb(&w->addr, a->s, a->at) && (!w->host.len || stralloc_append(&w->addr, '@')) &&
         stralloc_catb(&w->addr, w->host.s, w->host.len) &&
         w->r->address(w->r->data, w->addr.s, w->addr.len);
}

static int has_room(struct work const *w)
{
  return w->out->len - w->start <= w->r->max || (errno = EMSGSIZE, 0);
}

static int on_piece(void *data, struct addrlist_piece const *p)
{
  struct work *w = data;
  w->changed = 1;
  return (!p->nocomma || put_comma(w, p->comma)) && copy_to(w, p->start) && put(w, "\"", 1) &&
         copy_to(w, p->end) && put(w, "\"", 1) && has_room(w);
}

static int on_address(void *data, struct addrlist_addr const *a)
{
  struct work *w = data;
  size_t host = a->at < a->len ? a->at + 1 : a->len;
  if (!w->r->left) return (errno = E2BIG, 0);
  w->r->left--;
  if (!complete_host(w->r->hosts, &w->host, a->s + host, a->len - host)) return 0;
  return put_address(w, a) && give(w, a) && has_room(w);
}

int addrfield_rewrite(struct addrfield *r, struct header_field const *f, stralloc *out)
{
  struct work w = { .r = r, .list = f->s + f->value, .out = out, .start = out->len,
                    .line = out->len, .host = STRALLOC_ZERO, .addr = STRALLOC_ZERO };
  size_t len = f->len - f->value;
  addrlist_piece_func *piece = r->quote_names ? on_piece : 0;
  int result = put(&w, f->s, f->value) ? addrlist_parse_names(w.list, len, on_address, piece, &w) : -1;
  if (result == 1 && !copy_to(&w, len)) result = -1;
  if (result != 1) out->len = w.start;
  stralloc_free(&w.host);
  stralloc_free(&w.addr);
  return result;
}
