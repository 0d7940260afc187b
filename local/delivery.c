/* delivery.c - the lines and variables that tell what a delivery is about; see delivery.h */

#include <stdlib.h>
#include <string.h>

#include "addrlist.h"
#include "cleanenv.h"
#include "delivery.h"
#include "mboxfile.h"

static int add(stralloc *sa, char const *s)
{
  return stralloc_catb(sa, s, strlen(s));
}

static int make_dtline(struct delivery *d)
{
  return add(&d->dtline, "Delivered-To: ") && cleanenv_add(&d->dtline, d->local, strlen(d->local)) &&
         add(&d->dtline, "@") && cleanenv_add(&d->dtline, d->host, strlen(d->host)) &&
         add(&d->dtline, "\n");
}

static int make_rpline(struct delivery *d)
{
  stralloc clean = STRALLOC_ZERO;
  int ok = cleanenv_add(&clean, d->sender, strlen(d->sender)) && add(&d->rpline, "Return-Path: <");
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

/* EXT, then EXT2 to EXT4: what follows the first, second and third dash. */
static int set_ext(char const *ext)
{
  static char const *const names[] = {"EXT", "EXT2", "EXT3", "EXT4"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    if (!cleanenv_set(names[i], ext)) return 0;
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
    if (!cleanenv_setb(names[i], host, len, 0)) return 0;
    char const *dot = memrchr(host, '.', len);
    if (dot) len = (size_t)(dot - host);
  }
  return 1;
}

int delivery_environment(struct delivery const *d)
{
  return cleanenv_set("USER", d->user) && cleanenv_set("HOME", d->home) &&
         cleanenv_set("LOCAL", d->local) && cleanenv_set("SENDER", d->sender) &&
         cleanenv_setb("RECIPIENT", delivery_recipient(d), delivery_recipientlen(d), 0) &&
         cleanenv_setb("DTLINE", d->dtline.s, d->dtline.len, 1) &&
         cleanenv_setb("RPLINE", d->rpline.s, d->rpline.len, 1) &&
         cleanenv_setb("UFLINE", d->ufline.s, d->ufline.len, 1) && set_ext(d->ext) && set_host(d->host);
}
