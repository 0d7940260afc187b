/* seats.c - a table of bounded size; see seats.h */

#include <string.h>
#include <sys/random.h>

#include <skalibs/blake2s.h>
#include <skalibs/bytestr.h>
#include <skalibs/strerr.h>

#include "program.h"
#include "seats.h"

#define SECRET 16

static char const *secret(void)
{
  static char s[SECRET];
  static int made;
  if (!made && getrandom(s, sizeof s, 0) != sizeof s) strerr_diefusys(EXIT_TEMPORARY, "get random bytes");
  made = 1;
  return s;
}

static void add(blake2s_ctx *ctx, char const *s, size_t len)
{
  char piece[64];
  char size[8];
  for (size_t i = 0; i < sizeof size; i++) size[i] = (char)(len >> 8 * i);
  blake2s_update(ctx, size, sizeof size);
  for (size_t n; len; s += n, len -= n) {
    n = len < sizeof piece ? len : sizeof piece;
    memcpy(piece, s, n);
    case_lowerb(piece, n);
    blake2s_update(ctx, piece, n);
  }
}

uint64_t seats_key(char kind, char const *a, size_t alen, char const *b, size_t blen)
{
  blake2s_ctx ctx;
  uint64_t key;
  blake2s_init(&ctx, sizeof key);
  blake2s_update(&ctx, secret(), SECRET);
  blake2s_update(&ctx, &kind, 1);
  add(&ctx, a, alen);
  add(&ctx, b, blen);
  blake2s_final(&ctx, (char *)&key);
  return key ? key : 1;
}

static char *row_of(struct seats const *t, uint64_t key)
{
  return (char *)t->rows + key % SEATS_ROWS * SEATS_WIDTH * t->size;
}

static uint64_t key_of(void const *seat)
{
  uint64_t key;
  memcpy(&key, seat, sizeof key);
  return key;
}

void *seats_find(struct seats const *t, uint64_t key)
{
  char *row = row_of(t, key);
  for (size_t i = 0; i < SEATS_WIDTH; i++)
    if (key_of(row + i * t->size) == key) return row + i * t->size;
  return 0;
}

void *seats_take(struct seats *t, uint64_t key, uint64_t now)
{
  char *row = row_of(t, key);
  char *least = 0;
  void *there = seats_find(t, key);
  if (there) return there;
  for (size_t i = 0; i < SEATS_WIDTH; i++) {
    char *seat = row + i * t->size;
    if (!key_of(seat)) {
      least = seat;
      break;
    }
    if (!least || t->worth(seat, now) < t->worth(least, now)) least = seat;
  }
  memset(least, 0, t->size);
  memcpy(least, &key, sizeof key);
  return least;
}
