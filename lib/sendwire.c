/* sendwire.c - packets between the tools and pipit-send; see sendwire.h */

#include <string.h>

#include <skalibs/uint64.h>

#include "sendwire.h"

static char const commands[] = { SENDWIRE_TRY,    SENDWIRE_HOLD, SENDWIRE_RELEASE, SENDWIRE_REMOVE,
                                 SENDWIRE_BOUNCE, SENDWIRE_LIST };

static size_t pack_selector(char *out, char letter, struct selector const *sel)
{
  out[0] = letter;
  out[1] = sel->kind;
  memcpy(out + 2, sel->value, sel->len);
  return 2 + sel->len;
}

size_t sendwire_pack(char out[SENDWIRE_MAX], char command, struct selector const *sel)
{
  if (command != SENDWIRE_LIST) return pack_selector(out, command, sel);
  out[0] = command;
  return 1;
}

int sendwire_unpack(char const *s, size_t len, char *command, struct selector *sel,
                    char const **why)
{
  *why = "not a command";
  if (!len || !memchr(commands, s[0], sizeof commands)) return 0;
  *command = s[0];
  if (*command == SENDWIRE_LIST) return len == 1;
  if (len < 2) return 0;
  *why = selector_make(sel, s[1], s + 2, len - 2);
  return !*why;
}

size_t sendwire_pack_answer(char out[SENDWIRE_MAX], struct sendwire_answer const *a)
{
  size_t len;
  out[0] = a->type;
  switch (a->type) {
  case 'L': return pack_selector(out, 'L', &a->held);
  case 'P': uint64_pack_big(out + 1, a->messages); return 9;
  case 'K':
    out[1] = a->changed != 0;
    uint64_pack_big(out + 2, a->messages);
    uint64_pack_big(out + 10, a->rcpts);
    return 18;
  default:
    len = strlen(a->text);
    memcpy(out + 1, a->text, len);
    return 1 + len;
  }
}

/* What a terminal might take for more than text becomes '?'. */
static void take_text(struct sendwire_answer *a, char const *s, size_t len)
{
  if (len > SENDWIRE_TEXT) len = SENDWIRE_TEXT;
  for (size_t i = 0; i < len; i++) a->text[i] = s[i] >= 32 && s[i] < 127 ? s[i] : '?';
  a->text[len] = 0;
}

int sendwire_unpack_answer(char const *s, size_t len, struct sendwire_answer *a)
{
  if (!len) return 0;
  a->type = s[0];
  switch (a->type) {
  case 'L': return len >= 2 && !selector_make(&a->held, s[1], s + 2, len - 2);
  case 'P':
    if (len != 9) return 0;
    uint64_unpack_big(s + 1, &a->messages);
    return 1;
  case 'K':
    if (len != 18) return 0;
    a->changed = s[1] != 0;
    uint64_unpack_big(s + 2, &a->messages);
    uint64_unpack_big(s + 10, &a->rcpts);
    return 1;
  case 'Z':
  case 'D': take_text(a, s + 1, len - 1); return 1;
  }
  return 0;
}
