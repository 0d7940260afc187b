/* inject-rewrite.c - complete addresses, in the envelope and in fields; see inject.h */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "address.h"
#include "addrlist.h"
#include "inject.h"
#include "program.h"

static void cat(stralloc *sa, char const *s, size_t len)
{
  if (len && !stralloc_catb(sa, s, len)) inject_nomem();
}

void inject_complete(struct settings const *set, stralloc *addr)
{
  if (!complete_address(&set->hosts, addr)) inject_nomem();
}

/* A field that is being rewritten. */
struct work {
  struct inject *j;
  struct header_field const *f;
  struct rcpts *to;
  char const *list;
  size_t copied; /* bytes of the list that are in out */
  stralloc out;
  size_t line;   /* where the last line begins in out */
  stralloc more; /* what the address at hand lacks */
  int changed;
};

static void put(struct work *w, char const *s, size_t len)
{
  char const *nl = len ? memrchr(s, '\n', len) : 0;
  if (nl) w->line = w->out.len + (size_t)(nl - s) + 1;
  cat(&w->out, s, len);
}

static void copy_to(struct work *w, size_t pos)
{
  if (pos <= w->copied) return;
  put(w, w->list + w->copied, pos - w->copied);
  w->copied = pos;
}

/* Write the address with its display name, as it should be. */
static void put_address(struct work *w, struct addrlist_addr const *a)
{
  int plus = complete_has_plus(a->s, a->len, a->at) && w->list[a->end - 1] == '+';
  if (a->nocomma) {
    copy_to(w, a->comma);
    put(w, ",", 1);
    w->changed = 1;
  }
  copy_to(w, a->element);
  if (w->changed && w->out.len - w->line > INJECT_FOLD) put(w, "\n ", 2);
  copy_to(w, a->route);
  w->copied = a->local;
  copy_to(w, a->end - (size_t)plus);
  put(w, w->more.s, w->more.len);
  w->copied = a->resume;
  if (w->more.len || a->local != a->route || a->resume != a->end) w->changed = 1;
}

static void add_rcpt(struct work *w, struct addrlist_addr const *a)
{
  size_t len = a->len - (size_t)complete_has_plus(a->s, a->len, a->at);
  if (!len) return; /* <> is nobody */
  cat(&w->to->list, a->s, len);
  cat(&w->to->list, w->more.s, w->more.len);
  cat(&w->to->list, "", 1);
}

static int on_address(void *data, struct addrlist_addr const *a)
{
  struct work *w = data;
  if (++w->j->addresses > INJECT_ADDRESSES_MAX) return (errno = E2BIG, 0);
  if (w->to && !address_is_clean(a->s, a->len)) return (errno = EILSEQ, 0);
  w->more.len = 0;
  if (!complete_missing(&w->j->set.hosts, &w->more, a->s, a->len, a->at)) return 0;
  put_address(w, a);
  if (w->to) add_rcpt(w, a);
  if (w->out.len > INJECT_HEADER_MAX) return (errno = EMSGSIZE, 0);
  return 1;
}

static void fail(struct header_field const *f)
{
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)f->namelen, f->s);
  if (errno == E2BIG) strerr_dief(EXIT_PERMANENT, "more than 100000 addresses");
  if (errno == EILSEQ)
    strerr_dief(EXIT_PERMANENT, "control character in an address in the field ", name);
  if (errno == EMSGSIZE) strerr_dief(EXIT_PERMANENT, "header longer than 2 MiB");
  inject_nomem();
}

int rewrite_field(struct inject *j, struct header_field const *f, struct rcpts *to, int save)
{
  struct work w = { .j = j, .f = f, .to = to, .list = f->s + f->value, .out = STRALLOC_ZERO,
                    .more = STRALLOC_ZERO };
  put(&w, f->s, f->value);
  int r = addrlist_parse(w.list, f->len - f->value, on_address, &w);
  if (r == -1) fail(f);
  if (r == 1) copy_to(&w, f->len - f->value);
  if (save && r == 1) cat(&j->saved, w.out.s, w.out.len);
  if (save && r == 0) cat(&j->saved, f->s, f->len);
  stralloc_free(&w.out);
  stralloc_free(&w.more);
  return r;
}
