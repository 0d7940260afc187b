/* delivery.c - the lines and variables that tell what a delivery is about; see delivery.h */

#include <stdlib.h>
#include <string.h>

#include "addrlist.h"
#include "delivery.h"
#include "mboxfile.h"

/* Append <s> with '_' for each control character. */
static int add_clean(stralloc *sa, char const *s, size_t len)
{
  if (!stralloc_readyplus(sa, len)) return 0;
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)s[i];
    sa->s[sa->len++] = c < 32 || c == 127 ? '_' : s[i];
  }
  return 1;
}

static int add(stralloc *sa, char const *s)
{
  return stralloc_catb(sa, s, strlen(s));
}

static int make_dtline(struct delivery *d)
{
  return add(&d->dtline, "Delivered-To: ") && add_clean(&d->dtline, d->local, strlen(d->local)) &&
         add(&d->dtline, "@") && add_clean(&d->dtline, d->host, strlen(d->host)) &&
         add(&d->dtline, "\n");
}

static int make_rpline(struct delivery *d)
{
  stralloc clean = STRALLOC_ZERO;
  int ok = add_clean(&clean, d->sender, strlen(d->sender)) && add(&d->rpline, "Return-Path: <");
  if (ok && clean.len) ok = addrlist_quote(&d->rpline, clean.s, clean.len);
  stralloc_free(&clean);
  return ok && add(&d->rpline, ">\n");
}

int delivery_date(struct delivery *d, time_t now)
{
  return mboxfile_from(&d->ufline, d->sender, strlen(d->sender), now);
}

int delivery_init(struct delivery *d, char const *const *args)
{
  *d = (struct delivery){
      .user = args[0],
      .home = args[1],
      .local = args[2],
      .dash = args[3],
      .ext = args[4],
      .host = args[5],
      .sender = args[6],
      .fallback = args[7],
  };
  return make_dtline(d) && make_rpline(d);
}

void delivery_free(struct delivery *d)
{
  stralloc_free(&d->dtline);
  stralloc_free(&d->rpline);
  stralloc_free(&d->ufline);
}

/* Set a variable to a cleaned copy of s[0..len); newlines at its end stay when <lines>. */
static int set(char const *name, char const *s, size_t len, int lines)
{
  stralloc sa = STRALLOC_ZERO;
  size_t body = lines && len && s[len - 1] == '\n' ? len - 1 : len;
  int ok = add_clean(&sa, s, body) && stralloc_catb(&sa, s + body, len - body) &&
           stralloc_append(&sa, 0);
  if (ok && !strncmp(sa.s, "()", 2)) sa.s[0] = '_';
  ok = ok && setenv(name, sa.s, 1) == 0;
  stralloc_free(&sa);
  return ok;
}

int delivery_setenv(char const *name, char const *value)
{
  return set(name, value, strlen(value), 0);
}

/* EXT, then EXT2 to EXT4: what follows the first, second and third dash. */
static int set_ext(char const *ext)
{
  static char const *const names[] = {"EXT", "EXT2", "EXT3", "EXT4"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (!delivery_setenv(names[i], ext)) return 0;
    ext += strcspn(ext, "-");
    if (*ext) ext++;
  }
  return 1;
}

/* HOST, then HOST2 to HOST4: what precedes the last dot, the one before it, and so on. */
static int set_host(char const *host)
{
  static char const *const names[] = {"HOST", "HOST2", "HOST3", "HOST4"};
  size_t len = strlen(host);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (!set(names[i], host, len, 0)) return 0;
    char const *dot = memrchr(host, '.', len);
    if (dot) len = (size_t)(dot - host);
  }
  return 1;
}

int delivery_environment(struct delivery const *d)
{
  return delivery_setenv("USER", d->user) && delivery_setenv("HOME", d->home) &&
         delivery_setenv("LOCAL", d->local) && delivery_setenv("SENDER", d->sender) &&
         set("RECIPIENT", delivery_recipient(d), delivery_recipientlen(d), 0) &&
         set("DTLINE", d->dtline.s, d->dtline.len, 1) &&
         set("RPLINE", d->rpline.s, d->rpline.len, 1) &&
         set("UFLINE", d->ufline.s, d->ufline.len, 1) && set_ext(d->ext) && set_host(d->host);
}
