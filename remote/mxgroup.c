/* mxgroup.c - name the mail exchangers of best preference; see mxgroup.h */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <skalibs/bytestr.h>

#include "limits.h"
#include "mxgroup.h"
#include "tlspolicy.h"

#define HASH_ROOM 18 /* '#', 16 digits, NUL */
#define PORT_ROOM 6  /* ':', 5 digits */
#define NAMES_MAX (MXGROUP_MAX - PORT_ROOM)

static int compare(void const *a, void const *b)
{
  return strcasecmp(*(char const *const *)a, *(char const *const *)b);
}

/* FNV-1a over the names and their NULs, in lower case. */
static uint64_t hash_names(char const *const *names, size_t n)
{
  uint64_t h = 0xcbf29ce484222325u;
  for (size_t i = 0; i < n; i++)
    for (char const *c = names[i];; c++) {
      unsigned char b = (unsigned char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
      h = (h ^ b) * 0x100000001b3u;
      if (!b) break;
    }
  return h;
}

static size_t unite(char const **names, size_t n)
{
  size_t kept = 0;
  qsort(names, n, sizeof *names, compare);
  for (size_t i = 0; i < n; i++)
    if (!kept || strcasecmp(names[i], names[kept - 1])) names[kept++] = names[i];
  return kept;
}

static size_t join(char out[MXGROUP_MAX + 1], char const *const *names, size_t n)
{
  size_t len = 0;
  for (size_t i = 0; i < n; i++) {
    size_t more = strlen(names[i]) + (i != 0);
    size_t room = NAMES_MAX - len - (i + 1 < n ? HASH_ROOM : 0);
    if (more > room)
      return len + (size_t)snprintf(out + len, HASH_ROOM, "#%016llx",
                                    (unsigned long long)hash_names(names, n));
    if (i) out[len++] = ',';
    memcpy(out + len, names[i], strlen(names[i]));
    len += strlen(names[i]);
  }
  out[len] = 0;
  return len;
}

size_t mxgroup_name(char out[MXGROUP_MAX + 1], struct dns_mx const *list, size_t n,
                    unsigned int port)
{
  size_t best = 0;
  char const **names = n ? calloc(n, sizeof *names) : 0;
  *out = 0;
  if (!names) return 0;
  for (size_t i = 0; i < n; i++)
    if (list[i].preference == list[0].preference) names[best++] = list[i].name;
  size_t len = join(out, names, unite(names, best));
  case_lowerb(out, len);
  if (port != SMTP_PORT) len += (size_t)snprintf(out + len, PORT_ROOM + 1, ":%u", port);
  free(names);
  return len;
}
