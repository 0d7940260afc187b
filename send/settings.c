/* settings.c - the control files that send itself reads; see settings.h */

#include <stdio.h>
#include <string.h>

#include <skalibs/types.h>

#include "address.h"
#include "control.h"
#include "retry.h"
#include "settings.h"

#define DOMAINS_FILE "queuelifetimedomains"

static int is_lifetime(char const *s)
{
  unsigned int n;
  return uint0_scan(s, &n) && n <= RETRY_LIFETIME_MAX;
}

static int check_domains(stralloc const *list)
{
  char why[256];
  for (size_t i = 0; i < list->len; i += strlen(list->s + i) + 1) {
    char const *colon = strchr(list->s + i, ':');
    if (colon && colon > list->s + i && is_lifetime(colon + 1)) continue;
    snprintf(why, sizeof why, "not domain:seconds: %.150s", list->s + i);
    control_bad_entry(DOMAINS_FILE, why);
    return 0;
  }
  return 1;
}

static int load_domains(struct map *m)
{
  stralloc list = STRALLOC_ZERO;
  int ok = control_list(DOMAINS_FILE, &list) != -1 && check_domains(&list);
  if (ok && !map_build(m, &list, ':')) {
    control_bad_entry(DOMAINS_FILE, "out of memory");
    ok = 0;
  }
  stralloc_free(&list);
  return ok;
}

int settings_load(struct settings *s)
{
  unsigned long local = CONCURRENCY_LOCAL;
  unsigned long remote = CONCURRENCY_REMOTE;
  unsigned long lifetime = RETRY_LIFETIME;
  unsigned long delaywarn = 0;
  if (control_number("concurrencylocal", &local, CONCURRENCY_MAX) == -1) return 0;
  if (control_number("concurrencyremote", &remote, CONCURRENCY_MAX) == -1) return 0;
  if (control_number("queuelifetime", &lifetime, RETRY_LIFETIME_MAX) == -1) return 0;
  if (control_number("delaywarn", &delaywarn, RETRY_LIFETIME_MAX) == -1) return 0;
  if (!load_domains(&s->lifetimes)) return 0;
  s->concurrency[CHANNEL_LOCAL] = (uint32_t)local;
  s->concurrency[CHANNEL_REMOTE] = (uint32_t)remote;
  s->lifetime = (uint32_t)lifetime;
  s->delaywarn = (uint32_t)delaywarn;
  return 1;
}

void settings_free(struct settings *s)
{
  map_free(&s->lifetimes);
}

uint32_t settings_lifetime(struct settings const *s, char const *addr, size_t len)
{
  unsigned int seconds;
  size_t at = address_at(addr, len);
  if (!s->lifetimes.count || at == len) return s->lifetime;
  char const *value = map_find_domain(&s->lifetimes, addr + at + 1, len - at - 1);
  return value && uint0_scan(value, &seconds) ? seconds : s->lifetime;
}
