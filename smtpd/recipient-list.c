/* recipient-list.c - control/validrcptto.cdb, as the patch of that name has it
 *
 * Keys, in lower case; the first that is there decides: the address; "-" and the address (no
 * such recipient); prefix-default@domain for each prefix of the local part that ends with
 * '-', the longest first; @domain; -@domain. Values are not looked at.
 */

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <skalibs/bytestr.h>

#include "cdbmap.h"
#include "home.h"
#include "recipient.h"

#define FILE_NAME "control/validrcptto.cdb"

static struct cdbmap_stamp own;
static struct cdbmap_stamp *sound = &own;

int recipient_share(void)
{
  void *p = mmap(0, sizeof *sound, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return 0;
  sound = p;
  return 1;
}

static int has(struct cdbmap *map, char const *key, size_t len)
{
  stralloc value = STRALLOC_ZERO;
  int r = cdbmap_get(map, key, len, &value);
  stralloc_free(&value);
  return r;
}

/* key[1..1+len) is an address, or its domain from the '@' on; with key[0], a "-", it is one that
 * does not exist. 1 and <*r>, or 0. */
static int find_pair(struct cdbmap *map, char const *key, size_t len, enum known *r)
{
  int yes = has(map, key + 1, len);
  int no = yes ? 0 : has(map, key, len + 1);
  if (!yes && !no) return 0;
  *r = yes == -1 || no == -1 ? KNOWN_TROUBLE : yes ? KNOWN_YES : KNOWN_NO;
  return 1;
}

/* prefix-default@domain, of the address addr[0..len) whose '@' is at <at>. */
static int find_default(struct cdbmap *map, char const *addr, size_t len, size_t at, enum known *r)
{
  static char const word[] = "default";
  char key[RECIPIENT_MAX + sizeof word];
  int found = 0;
  for (size_t i = at; i && !found; i--) {
    if (addr[i - 1] != '-') continue;
    memcpy(key, addr, i);
    memcpy(key + i, word, sizeof word - 1);
    memcpy(key + i + sizeof word - 1, addr + at, len - at);
    found = has(map, key, i + sizeof word - 1 + len - at);
  }
  *r = found == -1 ? KNOWN_TROUBLE : KNOWN_YES;
  return found != 0;
}

static enum known search(struct cdbmap *map, char const *addr, size_t len)
{
  char key[RECIPIENT_MAX + 1] = "-";
  enum known r;
  size_t at = address_at(addr, len);
  memcpy(key + 1, addr, len);
  case_lowerb(key + 1, len);
  if (find_pair(map, key, len, &r)) return r;
  if (at < len) {
    if (find_default(map, key + 1, len, at, &r)) return r;
    key[at] = '-';
    if (find_pair(map, key + at, len - at, &r)) return r;
  }
  return cdbmap_verify(map, sound) == 1 ? KNOWN_NOT_LISTED : KNOWN_TROUBLE;
}

enum known recipient_in_list(char const *addr, size_t len)
{
  struct cdbmap *map;
  int r = cdbmap_open(&map, home_fd(), FILE_NAME);
  if (r == 0) return KNOWN_NO_LIST;
  if (r == -1) return KNOWN_TROUBLE;
  enum known answer = search(map, addr, len);
  cdbmap_close(map);
  return answer;
}
