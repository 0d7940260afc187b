/* inject-rewrite.c - complete addresses, in the envelope and in fields; see inject.h */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <skalibs/stralloc.h>
#include <skalibs/strerr.h>

#include "address.h"
#include "addrfield.h"
#include "inject.h"
#include "program.h"
#include "word.h"

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
  struct rcpts *to;
  int readers; /* it is To or Cc */
};

static int is_in(stralloc const *list, char const *s, size_t len)
{
  for (size_t i = 0; i < list->len; i += strlen(list->s + i) + 1)
    if (word_is(s, len, list->s + i)) return 1;
  return 0;
}

static int on_address(void *data, char const *s, size_t len)
{
  struct work *w = data;
  if (!w->to && !w->readers) return 1;
  if (!address_is_clean(s, len)) return (errno = EILSEQ, 0);
  if (w->to) {
    cat(&w->to->list, s, len);
    cat(&w->to->list, "", 1);
  }
  if (w->readers && w->j->set.lists.len) {
    if (is_in(&w->j->set.lists, s, len)) w->j->to_list = 1;
    cat(&w->j->readers, s, len);
    cat(&w->j->readers, "", 1);
  }
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
  struct work w = { .j = j, .to = to, .readers = f->name == HEADER_TO || f->name == HEADER_CC };
  struct addrfield rewrite = { .hosts = &j->set.hosts, .left = INJECT_ADDRESSES_MAX - j->addresses,
                               .max = INJECT_HEADER_MAX, .address = on_address, .data = &w };
  size_t before = j->saved.len;
  int r = addrfield_rewrite(&rewrite, f, &j->saved);
  if (r == -1) fail(f);
  j->addresses = INJECT_ADDRESSES_MAX - rewrite.left;
  if (!save) j->saved.len = before;
  else if (!r) cat(&j->saved, f->s, f->len);
  return r;
}
