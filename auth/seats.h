/* seats.h - a table of bounded size that remembers something of those who came last
 *
 * Keys are keyed hashes: nobody outside can tell which of them share a row. Where a row is full,
 * the caller's own measure says who has to go.
 */
#ifndef PIPIT_AUTH_SEATS_H
#define PIPIT_AUTH_SEATS_H

#include <stddef.h>
#include <stdint.h>

#define SEATS_ROWS  512
#define SEATS_WIDTH 8

/* Every seat begins with its key; 0: it is free. */
struct seats {
  void *rows;  /* SEATS_ROWS times SEATS_WIDTH seats, zeros at first */
  size_t size; /* bytes of a seat */
  /* How much it is worth to keep it; the one that is worth least goes. */
  int64_t (*worth)(void const *seat, uint64_t now);
};

/* The key of some strings, which depends on <kind> and on a secret of this process; never 0. Case
 * of ASCII letters does not count. */
extern uint64_t seats_key(char kind, char const *a, size_t alen, char const *b, size_t blen);

/* The seat of the key, or NULL. */
extern void *seats_find(struct seats const *t, uint64_t key);
/* The same, but one is made: all zeros but for the key. */
extern void *seats_take(struct seats *t, uint64_t key, uint64_t now);

#endif
